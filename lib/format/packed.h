/* packed.h: the blocks of metadata and history segments: runs of items, packed by LZ4
 * (format-spec/metadata.md).
 *
 * A block is unpacked whole: items are gathered until a block holds VDB_METADATA_BLOCK raw bytes,
 * so that one is small unless a single item is large.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_PACKED_H
#define VDB_FORMAT_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "vdb.h"

/* No block has as many raw bytes: just short of full, and then the largest item with its length. */
#define PACKED_RAW_MAX (VDB_METADATA_BLOCK + 4 + VDB_METADATA_MAX)

/* Packs raw bytes behind `data` and describes the block behind `blocks`; `first` is the number of
 * its first item, and `before` how many packed bytes stand in front of what `data` holds. Errors:
 * VDB_NO_MEMORY, VDB_LIMIT (over PACKED_RAW_MAX). */
enum vdb_status packed_append(struct buf *blocks, struct buf *data, uint64_t before, uint32_t first,
                              const void *raw, size_t raw_len, struct vdb_error *err);

/* Appends raw bytes to `to`, packed where that makes them fewer: *packing is DISK_BLOCK_. There are
 * 1 to 2^30. Errors: VDB_NO_MEMORY. */
enum vdb_status packed_pack(const void *raw, size_t raw_len, struct buf *to, uint32_t *packing,
                            struct vdb_error *err);

/* Unpacks into `to`, which has room for raw_len bytes; false where the bytes are not that. Lengths
 * are below 2^31. */
bool packed_unpack(uint32_t packing, const uint8_t *from, uint32_t packed_len, uint8_t *to,
                   uint32_t raw_len);

struct packed_view { /* owns nothing */
    const char *segment;
    uint64_t items; /* numbered from 0; a block names its first one modulo 2^32 */
    uint32_t count; /* blocks */
    const uint8_t *blocks, *data;
    uint64_t data_len;
    uint64_t blocks_at, data_at; /* in the file, for errors */
};

/* Checks that table and data lie in the segment of len bytes at p; the view's segment, items and
 * count are the caller's to set before. Errors: VDB_CORRUPT. */
enum vdb_status packed_view_init(struct packed_view *view, const void *p, size_t len,
                                 uint64_t file_off, uint64_t blocks_off, uint64_t data_off,
                                 uint64_t data_len, struct vdb_error *err);

/* The block that holds an item, if the table is in order: whoever unpacks it compares the item with
 * what it then has. view->items is above `item` and below 2^32. Takes time in the logarithm of the
 * blocks. */
uint32_t packed_find(const struct packed_view *view, uint32_t item);

/* How many items a block holds by the table; see packed_find. */
uint32_t packed_count(const struct packed_view *view, uint32_t block);

struct packed_block {      /* one block unpacked; all zero: none yet */
    uint32_t first, count; /* its items; count is 0 where none is held */
    uint64_t at;           /* of its packed bytes in the file, for errors */
    struct buf raw;
};

/* Unpacks block number `block` (below view->count) into *out, whose memory is used again. On
 * success out->count is at least 1. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status packed_read(const struct packed_view *view, uint32_t block,
                            struct packed_block *out, struct vdb_error *err);
void packed_block_release(struct packed_block *block);

/* That the blocks cover the items and the data in order, without gap or overlap. */
enum vdb_status packed_validate(const struct packed_view *view, struct vdb_error *err);

#endif
