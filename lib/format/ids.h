/* ids.h: id segments: the id of each row (format-spec/ids.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_IDS_H
#define VDB_FORMAT_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "vdb.h"

/* Gathers ids in row order. All zero is an empty one. It takes 2 bytes a row, 8 a group of 64
 * rows, and the ids' own. */
struct ids_builder {
    uint32_t rows;
    struct buf bases; /* native u64 a group */
    struct buf ends;  /* native u16 a row */
    struct buf bytes;
};

/* Adds the next row's id, which utf8_id_valid accepts. After an error the builder is as before.
 * Errors: VDB_INVALID (length), VDB_LIMIT (rows), VDB_NO_MEMORY. */
enum vdb_status ids_builder_add(struct ids_builder *b, const void *id, size_t len,
                                struct vdb_error *err);

/* The id of a row added before, until the next one is. */
void ids_builder_get(const struct ids_builder *b, uint32_t row, const char **id, size_t *len);

/* Appends the segment to `to`; its offsets count from where that ends now. The builder keeps its
 * rows. Errors: VDB_NO_MEMORY. */
enum vdb_status ids_builder_finish(const struct ids_builder *b, struct buf *to,
                                   struct vdb_error *err);
void ids_builder_release(struct ids_builder *b);

struct ids_view { /* owns nothing */
    uint32_t rows;
    const uint8_t *bases, *ends, *bytes; /* arrays that lie inside the segment */
    uint64_t bytes_len;
    uint64_t ends_at, bytes_at; /* where they lie in the file, for errors */
};

/* Looks at the header alone: the segment is the len bytes at p, which lie at file_off of the file
 * and hold `rows` rows. Errors: VDB_CORRUPT. */
enum vdb_status ids_view_init(struct ids_view *view, const void *p, size_t len, uint32_t rows,
                              uint64_t file_off, struct vdb_error *err);

/* The id of a row, in place. Errors: VDB_NOT_FOUND (no such row), VDB_CORRUPT, which stands also
 * for bytes that are no id: what is handed out may be printed. */
enum vdb_status ids_get(const struct ids_view *view, uint32_t row, const char **id, size_t *len,
                        struct vdb_error *err);

/* Every id, and that they fill the bytes without gap or overlap. Errors: VDB_CORRUPT. */
enum vdb_status ids_validate(const struct ids_view *view, struct vdb_error *err);

#endif
