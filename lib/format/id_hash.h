/* id_hash.h: id-hash segments: from an id to its rows (format-spec/ids.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_ID_HASH_H
#define VDB_FORMAT_ID_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "format/ids.h"
#include "vdb.h"

/* Appends the segment over rows 0 to n - 1 to `to`; hashes[row] is checksum() of the row's id, and
 * rows of one id have entries of their own. Its offsets count from where `to` ends now.
 * Errors: VDB_NO_MEMORY. */
enum vdb_status id_hash_build(const uint64_t *hashes, uint32_t n, struct buf *to,
                              struct vdb_error *err);

struct id_hash_view { /* owns nothing */
    uint32_t rows;
    uint32_t bucket_bits;
    const uint8_t *buckets, *entries; /* arrays that lie inside the segment */
    uint64_t buckets_at, entries_at;  /* where they lie in the file, for errors */
};

/* Looks at the header alone; see ids_view_init. Errors: VDB_CORRUPT. */
enum vdb_status id_hash_view_init(struct id_hash_view *view, const void *p, size_t len,
                                  uint32_t rows, uint64_t file_off, struct vdb_error *err);

/* The entries [first, first + count) are all that may belong to an id of this hash: the caller
 * compares the ids of their rows. Rows rise, so that the newest is the last. count is 0 where
 * there is none. Takes time in the logarithm of the bucket's size. Errors: VDB_CORRUPT. */
enum vdb_status id_hash_find(const struct id_hash_view *view, uint64_t hash, uint32_t *first,
                             uint32_t *count, struct vdb_error *err);

/* The row of an entry that id_hash_find gave, below view->rows. Errors: VDB_CORRUPT. */
enum vdb_status id_hash_row(const struct id_hash_view *view, uint32_t entry, uint32_t *row,
                            struct vdb_error *err);

/* Bounds and order of all buckets, and that every row of `ids` has its one entry where its hash
 * says. Errors: VDB_CORRUPT. */
enum vdb_status id_hash_validate(const struct id_hash_view *view, const struct ids_view *ids,
                                 struct vdb_error *err);

#endif
