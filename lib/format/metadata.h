/* metadata.h: metadata segments: the JSON text of each row (format-spec/metadata.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_METADATA_H
#define VDB_FORMAT_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/packed.h"
#include "vdb.h"

/* Gathers texts in row order. All zero is an empty one. It takes the packed texts and one block;
 * while no row has had metadata it takes nothing. */
struct metadata_builder {
    uint32_t rows;
    uint32_t block_first;      /* the row that the open block begins with */
    bool any;                  /* a row has metadata */
    struct buf lengths, texts; /* of the open block */
    struct buf blocks, data;
    uint64_t taken; /* packed bytes that were in `data` and that the caller has put elsewhere */
};

/* Adds the next row's text, NULL where it has none: at most VDB_METADATA_MAX bytes of UTF-8
 * without NUL. After VDB_NO_MEMORY the builder can only be released, after another error it is as
 * before. Errors: VDB_INVALID (no such text), VDB_LIMIT, VDB_NO_MEMORY. */
enum vdb_status metadata_builder_add(struct metadata_builder *b, const char *text, size_t len,
                                     struct vdb_error *err);

/* Moves the packed bytes that there are behind `to`, so that they need not be held here; the
 * segment is then its front, all that was taken in order, and what `data` still holds. */
enum vdb_status metadata_builder_take(struct metadata_builder *b, struct buf *to,
                                      struct vdb_error *err);

/* Closes the last block and appends what stands in front of the packed bytes to `to`, or nothing
 * where no row has metadata. Afterwards the builder takes no more rows. Errors: VDB_NO_MEMORY. */
enum vdb_status metadata_builder_front(struct metadata_builder *b, struct buf *to,
                                       struct vdb_error *err);

/* Appends the segment to `to`, or nothing where no row has metadata: then there is no segment. Its
 * offsets count from where `to` ends now. Afterwards the builder takes no more rows.
 * Errors: VDB_NO_MEMORY. */
enum vdb_status metadata_builder_finish(struct metadata_builder *b, struct buf *to,
                                        struct vdb_error *err);
void metadata_builder_release(struct metadata_builder *b);

struct metadata_view { /* owns nothing */
    uint32_t rows;
    struct packed_view packed;
};

/* Looks at the header alone; see ids_view_init. Errors: VDB_CORRUPT. */
enum vdb_status metadata_view_init(struct metadata_view *view, const void *p, size_t len,
                                   uint32_t rows, uint64_t file_off, struct vdb_error *err);

/* The row's text with a final NUL, which the caller frees; NULL where it has none. Unpacks one
 * block. Errors: VDB_NOT_FOUND (no such row), VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status metadata_get(const struct metadata_view *view, uint32_t row, char **text,
                             size_t *len, struct vdb_error *err);

/* The same for many rows: neighbouring ones share a block, which *cache keeps unpacked. *text lies
 * in the cache, without final NUL, until its next use. A cache begins all zero, serves one view,
 * and ends with packed_block_release. */
enum vdb_status metadata_read(const struct metadata_view *view, struct packed_block *cache,
                              uint32_t row, const char **text, size_t *len, struct vdb_error *err);

/* Every block and every text. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status metadata_validate(const struct metadata_view *view, struct vdb_error *err);

#endif
