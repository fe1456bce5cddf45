/* packed.c: blocks packed by LZ4; implements format-spec/metadata.md, "Packed blocks".
 *
 * A block that LZ4 does not make smaller is stored as it is. What a hostile table can cost is
 * bounded: PACKED_RAW_MAX bytes of memory and as many steps a block.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/packed.h"

#include <inttypes.h>
#include <lz4.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "format/range.h"

_Static_assert(PACKED_RAW_MAX < LZ4_MAX_INPUT_SIZE, "every block can be packed");

enum vdb_status packed_pack(const void *raw, size_t raw_len, struct buf *to, uint32_t *packing,
                            struct vdb_error *err)
{
    int bound = LZ4_compressBound((int)raw_len);
    if (buf_reserve(to, (size_t)bound) != 0) return error_no_memory(err);
    char *at = (char *)to->data + to->len;
    int packed = LZ4_compress_default(raw, at, (int)raw_len, bound);
    bool smaller = packed > 0 && (size_t)packed < raw_len;
    if (!smaller) memcpy(at, raw, raw_len);
    to->len += smaller ? (size_t)packed : raw_len;
    *packing = smaller ? DISK_BLOCK_LZ4 : DISK_BLOCK_STORED;
    return VDB_OK;
}

bool packed_unpack(uint32_t packing, const uint8_t *from, uint32_t packed_len, uint8_t *to,
                   uint32_t raw_len)
{
    if (packing == DISK_BLOCK_STORED) {
        if (packed_len != raw_len) return false;
        memcpy(to, from, raw_len);
        return true;
    }
    return packing == DISK_BLOCK_LZ4 && packed_len < raw_len &&
           LZ4_decompress_safe((const char *)from, (char *)to, (int)packed_len, (int)raw_len) ==
               (int)raw_len;
}

enum vdb_status packed_append(struct buf *blocks, struct buf *data, uint64_t before, uint32_t first,
                              const void *raw, size_t raw_len, struct vdb_error *err)
{
    if (raw_len >= PACKED_RAW_MAX)
        return error_set(err, VDB_LIMIT, "a block of %zu bytes is too long", raw_len);
    if (buf_reserve(blocks, sizeof(struct disk_packed_block)) != 0) return error_no_memory(err);
    size_t start = data->len;
    uint32_t packing;
    enum vdb_status status = packed_pack(raw, raw_len, data, &packing, err);
    if (status) return status;
    struct disk_packed_block block = {
        .first = le32_put(first),
        .packing = le32_put(packing),
        .raw_len = le32_put((uint32_t)raw_len),
        .packed_len = le32_put((uint32_t)(data->len - start)),
        .off = le64_put(before + start),
    };
    (void)buf_append(blocks, &block, sizeof block); /* reserved above */
    return VDB_OK;
}

enum vdb_status packed_view_init(struct packed_view *view, const void *p, size_t len,
                                 uint64_t file_off, uint64_t blocks_off, uint64_t data_off,
                                 uint64_t data_len, struct vdb_error *err)
{
    if (!range_array_inside(blocks_off, view->count, sizeof(struct disk_packed_block), 8, len))
        return error_set_corrupt(err, view->segment, file_off,
                                 "the table of %" PRIu32 " blocks at %" PRIu64
                                 " does not lie in it",
                                 view->count, blocks_off);
    if (!range_inside(data_off, data_len, len))
        return error_set_corrupt(err, view->segment, file_off,
                                 "the data at %" PRIu64 " do not lie in it", data_off);
    if ((view->items == 0) != (view->count == 0))
        return error_set_corrupt(err, view->segment, file_off,
                                 "%" PRIu64 " items in %" PRIu32 " blocks", view->items,
                                 view->count);
    const uint8_t *start = p;
    view->blocks = start + blocks_off;
    view->data = start + data_off;
    view->data_len = data_len;
    view->blocks_at = file_off + blocks_off;
    view->data_at = file_off + data_off;
    return VDB_OK;
}

static struct disk_packed_block block_at(const struct packed_view *view, uint32_t block)
{
    struct disk_packed_block b;
    memcpy(&b, view->blocks + (size_t)block * sizeof b, sizeof b);
    return b;
}

static uint64_t block_off(const struct packed_view *view, uint32_t block)
{
    return view->blocks_at + (uint64_t)block * sizeof(struct disk_packed_block);
}

/* Where a block's items end, modulo 2^32. */
static uint32_t items_end(const struct packed_view *view, uint32_t block)
{
    return block + 1 < view->count ? le32_get(block_at(view, block + 1).first)
                                   : (uint32_t)view->items;
}

/* Where the data of the block before it end: with shared bytes, a small file would unpack to as
 * much as its table has entries for. */
static uint64_t data_end(const struct packed_view *view, uint32_t block)
{
    if (block == 0) return 0;
    struct disk_packed_block b = block_at(view, block - 1);
    return le64_get(b.off) + le32_get(b.packed_len);
}

uint32_t packed_count(const struct packed_view *view, uint32_t block)
{
    return items_end(view, block) - le32_get(block_at(view, block).first);
}

uint32_t packed_find(const struct packed_view *view, uint32_t item)
{
    uint32_t low = 0, high = view->count; /* the block sought is below high, and not below low */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (le32_get(block_at(view, middle).first) <= item)
            low = middle;
        else
            high = middle;
    }
    return low;
}

enum vdb_status packed_read(const struct packed_view *view, uint32_t block,
                            struct packed_block *out, struct vdb_error *err)
{
    struct disk_packed_block b = block_at(view, block);
    uint32_t first = le32_get(b.first), count = items_end(view, block) - first;
    uint32_t raw_len = le32_get(b.raw_len), packed_len = le32_get(b.packed_len);
    uint64_t off = le64_get(b.off);
    out->count = 0;
    buf_clear(&out->raw);
    if (count == 0)
        return error_set_corrupt(err, view->segment, block_off(view, block),
                                 "block %" PRIu32 " holds no items", block);
    if (off != data_end(view, block))
        return error_set_corrupt(err, view->segment, block_off(view, block),
                                 "block %" PRIu32 " does not begin where the one before it ends",
                                 block);
    if (raw_len == 0 || raw_len >= PACKED_RAW_MAX || !range_inside(off, packed_len, view->data_len))
        return error_set_corrupt(err, view->segment, block_off(view, block),
                                 "block %" PRIu32 " has impossible bounds", block);
    uint8_t *to = buf_extend(&out->raw, raw_len);
    if (!to) return error_no_memory(err);
    if (!packed_unpack(le32_get(b.packing), view->data + off, packed_len, to, raw_len))
        return error_set_corrupt(err, view->segment, view->data_at + off,
                                 "block %" PRIu32 " does not unpack to its length", block);
    out->first = first;
    out->count = count;
    out->at = view->data_at + off;
    return VDB_OK;
}

void packed_block_release(struct packed_block *block)
{
    buf_release(&block->raw);
    *block = (struct packed_block){0};
}

enum vdb_status packed_validate(const struct packed_view *view, struct vdb_error *err)
{
    uint64_t items = 0, off = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        struct disk_packed_block b = block_at(view, i);
        uint32_t count = items_end(view, i) - le32_get(b.first);
        if (count == 0 || count > view->items - items)
            return error_set_corrupt(err, view->segment, block_off(view, i),
                                     "block %" PRIu32 " is out of order", i);
        if (le64_get(b.off) != off)
            return error_set_corrupt(err, view->segment, block_off(view, i),
                                     "block %" PRIu32 " does not follow on", i);
        items += count;
        off += le32_get(b.packed_len);
    }
    /* The counts add up from where the first block begins, so that this holds it to item 0. */
    if (items != view->items)
        return error_set_corrupt(err, view->segment, view->blocks_at,
                                 "blocks of %" PRIu64 " items, not %" PRIu64, items, view->items);
    if (off != view->data_len)
        return error_set_corrupt(err, view->segment, view->data_at,
                                 "%" PRIu64 " bytes of data, of which blocks take %" PRIu64,
                                 view->data_len, off);
    return VDB_OK;
}
