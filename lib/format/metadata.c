/* metadata.c: metadata segments; implements format-spec/metadata.md.
 *
 *     header | table of blocks | packed blocks
 *
 * A block, unpacked, is a u32 length for each of its rows and then their texts. A row without
 * metadata has length 0, which no JSON text has: runs of such rows cost next to nothing packed.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/metadata.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static const char SEGMENT[] = "metadata";

static bool text_valid(const char *text, size_t len)
{
    return !memchr(text, 0, len) && utf8_valid(text, len);
}

/* ---- building ------------------------------------------------------------------------------ */

static enum vdb_status close_block(struct metadata_builder *b, uint32_t next, struct vdb_error *err)
{
    if (b->lengths.len == 0) return VDB_OK;
    if (buf_append(&b->lengths, b->texts.data, b->texts.len) != 0) return error_no_memory(err);
    enum vdb_status status = packed_append(&b->blocks, &b->data, b->taken, b->block_first,
                                           b->lengths.data, b->lengths.len, err);
    buf_clear(&b->lengths);
    buf_clear(&b->texts);
    b->block_first = next;
    return status;
}

static enum vdb_status add_row(struct metadata_builder *b, uint32_t row, const char *text,
                               uint32_t len, struct vdb_error *err)
{
    if (buf_append(&b->lengths, &len, sizeof len) != 0 || buf_append(&b->texts, text, len) != 0)
        return error_no_memory(err);
    if (b->lengths.len + b->texts.len < VDB_METADATA_BLOCK) return VDB_OK;
    return close_block(b, row + 1, err);
}

enum vdb_status metadata_builder_add(struct metadata_builder *b, const char *text, size_t len,
                                     struct vdb_error *err)
{
    if (!text) len = 0;
    if (text && len == 0) return error_set(err, VDB_INVALID, "the metadata is empty");
    if (len > VDB_METADATA_MAX)
        return error_set(err, VDB_LIMIT, "metadata of %zu bytes, more than %d", len,
                         VDB_METADATA_MAX);
    if (len && !text_valid(text, len))
        return error_set(err, VDB_INVALID, "the metadata is not valid UTF-8 text");
    if (b->rows == VDB_NO_ROW) return error_set(err, VDB_LIMIT, "too many rows");
    enum vdb_status status = VDB_OK;
    if (len && !b->any) {
        b->any = true;
        for (uint32_t row = 0; row < b->rows && status == VDB_OK; row++)
            status = add_row(b, row, NULL, 0, err);
    }
    if (b->any && status == VDB_OK) status = add_row(b, b->rows, text, (uint32_t)len, err);
    if (status == VDB_OK) b->rows++;
    return status;
}

enum vdb_status metadata_builder_front(struct metadata_builder *b, struct buf *to,
                                       struct vdb_error *err)
{
    if (!b->any) return VDB_OK;
    enum vdb_status status = close_block(b, b->rows, err);
    if (status != VDB_OK) return status;
    size_t block_count = b->blocks.len / sizeof(struct disk_packed_block);
    size_t blocks_off = sizeof(struct disk_metadata_header);
    size_t data_off = blocks_off + b->blocks.len;
    struct disk_metadata_header header = {
        .row_count = le32_put(b->rows),
        .block_count = le32_put((uint32_t)block_count),
        .blocks_off = le64_put(blocks_off),
        .data_off = le64_put(data_off),
        .data_len = le64_put(b->taken + b->data.len),
    };
    if (buf_append(to, &header, sizeof header) != 0 ||
        buf_append(to, b->blocks.data, b->blocks.len) != 0)
        return error_no_memory(err);
    return VDB_OK;
}

enum vdb_status metadata_builder_take(struct metadata_builder *b, struct buf *to,
                                      struct vdb_error *err)
{
    if (buf_append(to, b->data.data, b->data.len) != 0) return error_no_memory(err);
    b->taken += b->data.len;
    buf_clear(&b->data);
    return VDB_OK;
}

enum vdb_status metadata_builder_finish(struct metadata_builder *b, struct buf *to,
                                        struct vdb_error *err)
{
    enum vdb_status status = metadata_builder_front(b, to, err);
    return status ? status : metadata_builder_take(b, to, err);
}

void metadata_builder_release(struct metadata_builder *b)
{
    buf_release(&b->lengths);
    buf_release(&b->texts);
    buf_release(&b->blocks);
    buf_release(&b->data);
    *b = (struct metadata_builder){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

enum vdb_status metadata_view_init(struct metadata_view *view, const void *p, size_t len,
                                   uint32_t rows, uint64_t file_off, struct vdb_error *err)
{
    struct disk_metadata_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    uint32_t row_count = le32_get(header.row_count);
    if (row_count != rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_metadata_header, row_count),
                                 "it holds %" PRIu32 " rows, not %" PRIu32, row_count, rows);
    *view = (struct metadata_view){
        .rows = rows,
        .packed = {.segment = SEGMENT, .items = rows, .count = le32_get(header.block_count)},
    };
    return packed_view_init(&view->packed, p, len, file_off, le64_get(header.blocks_off),
                            le64_get(header.data_off), le64_get(header.data_len), err);
}

static enum vdb_status impossible(const struct packed_block *block, uint32_t row,
                                  struct vdb_error *err)
{
    return error_set_corrupt(err, SEGMENT, block->at,
                             "the metadata of row %" PRIu32 " has an impossible length", row);
}

/* The text of the block's i-th row, of whose predecessors the texts take `before` bytes. */
static enum vdb_status text_at(const struct packed_block *block, uint32_t i, uint64_t before,
                               const char **text, size_t *len, struct vdb_error *err)
{
    uint64_t room = block->raw.len - (uint64_t)block->count * 4;
    uint32_t n = le32_at(block->raw.data + (size_t)i * 4);
    if (n > VDB_METADATA_MAX || before > room || n > room - before)
        return impossible(block, block->first + i, err);
    const char *p = (const char *)block->raw.data + (size_t)block->count * 4 + before;
    if (n && !text_valid(p, n))
        return error_set_corrupt(err, SEGMENT, block->at,
                                 "the metadata of row %" PRIu32 " is not valid text",
                                 block->first + i);
    *text = n ? p : NULL;
    *len = n;
    return VDB_OK;
}

static enum vdb_status load(const struct metadata_view *view, uint32_t number,
                            struct packed_block *block, struct vdb_error *err)
{
    enum vdb_status status = packed_read(&view->packed, number, block, err);
    if (status != VDB_OK) return status;
    uint32_t rows = block->count;
    if (rows <= VDB_METADATA_BLOCK_ROWS && rows <= block->raw.len / 4) return VDB_OK;
    block->count = 0;
    if (rows > VDB_METADATA_BLOCK_ROWS) /* each read adds up the lengths before it */
        return error_set_corrupt(err, SEGMENT, block->at,
                                 "block %" PRIu32 " has %" PRIu32 " rows, at most %d can be",
                                 number, rows, VDB_METADATA_BLOCK_ROWS);
    return error_set_corrupt(err, SEGMENT, block->at, "block %" PRIu32 " is too short for its rows",
                             number);
}

enum vdb_status metadata_read(const struct metadata_view *view, struct packed_block *cache,
                              uint32_t row, const char **text, size_t *len, struct vdb_error *err)
{
    if (row >= view->rows)
        return error_set(err, VDB_NOT_FOUND,
                         "row %" PRIu32 " is not in a metadata segment of %" PRIu32, row,
                         view->rows);
    if (row < cache->first || row - cache->first >= cache->count) {
        uint32_t number = packed_find(&view->packed, row);
        enum vdb_status status = load(view, number, cache, err);
        if (status != VDB_OK) return status;
        /* The table may be in no order, and may change under the mapping. */
        if (row < cache->first || row - cache->first >= cache->count)
            return error_set_corrupt(err, SEGMENT, cache->at,
                                     "block %" PRIu32 " does not hold row %" PRIu32, number, row);
    }
    uint32_t i = row - cache->first;
    uint64_t before = 0;
    /* A row without metadata needs no sum: a pass over a block of such rows stays linear. */
    if (le32_at(cache->raw.data + (size_t)i * 4) != 0)
        for (uint32_t j = 0; j < i; j++) before += le32_at(cache->raw.data + (size_t)j * 4);
    return text_at(cache, i, before, text, len, err);
}

enum vdb_status metadata_get(const struct metadata_view *view, uint32_t row, char **text,
                             size_t *len, struct vdb_error *err)
{
    struct packed_block block = {0};
    const char *found = NULL;
    size_t n = 0;
    char *copy = NULL;
    enum vdb_status status = metadata_read(view, &block, row, &found, &n, err);
    if (status == VDB_OK && found) {
        copy = malloc(n + 1);
        if (copy) {
            memcpy(copy, found, n);
            copy[n] = 0;
        } else {
            status = error_no_memory(err);
        }
    }
    if (status == VDB_OK) {
        *text = copy;
        *len = n;
    }
    packed_block_release(&block);
    return status;
}

/* That the texts of a block are texts and fill it. */
static enum vdb_status validate_block(const struct packed_block *block, struct vdb_error *err)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const char *text;
        size_t len = 0;
        enum vdb_status status = text_at(block, i, before, &text, &len, err);
        if (status != VDB_OK) return status;
        before += len;
    }
    if (before != block->raw.len - (uint64_t)block->count * 4)
        return impossible(block, block->first + block->count - 1, err);
    return VDB_OK;
}

enum vdb_status metadata_validate(const struct metadata_view *view, struct vdb_error *err)
{
    struct packed_block block = {0};
    enum vdb_status status = packed_validate(&view->packed, err);
    for (uint32_t i = 0; i < view->packed.count && status == VDB_OK; i++) {
        status = load(view, i, &block, err);
        if (status == VDB_OK) status = validate_block(&block, err);
    }
    packed_block_release(&block);
    return status;
}
