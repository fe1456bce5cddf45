/* history.c: history segments; implements format-spec/history.md.
 *
 *     header | table of blocks | packed blocks
 *
 * A block, unpacked, is whole entries back to back, each with its id behind it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/history.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

static const char SEGMENT[] = "history";

static bool operation_known(uint16_t operation)
{
    return operation >= DISK_OPERATION_ADD && operation <= DISK_OPERATION_RESTORE;
}

/* ---- building ------------------------------------------------------------------------------ */

static enum vdb_status close_block(struct history_builder *b, struct vdb_error *err)
{
    if (b->raw.len == 0) return VDB_OK;
    enum vdb_status status = packed_append(&b->blocks, &b->data, b->taken, (uint32_t)b->block_first,
                                           b->raw.data, b->raw.len, err);
    buf_clear(&b->raw);
    b->block_first = b->entries;
    return status;
}

enum vdb_status history_builder_add(struct history_builder *b, const struct history_entry *entry,
                                    struct vdb_error *err)
{
    if (!operation_known(entry->operation))
        return error_set(err, VDB_INVALID, "there is no operation %d", entry->operation);
    if (!utf8_id_valid(entry->id, entry->id_len))
        return error_set(err, VDB_INVALID, "a change names no valid id");
    if (b->entries && entry->commit < b->last)
        return error_set(err, VDB_INVALID, "commit %" PRIu64 " comes after %" PRIu64, b->last,
                         entry->commit);
    struct disk_history_entry put = {
        .commit = le64_put(entry->commit),
        .time_us = le64_put((uint64_t)entry->time_us),
        .operation = le16_put(entry->operation),
        .id_len = le16_put((uint16_t)entry->id_len),
    };
    if (buf_append(&b->raw, &put, sizeof put) != 0 ||
        buf_append(&b->raw, entry->id, entry->id_len) != 0)
        return error_no_memory(err);
    if (b->entries == 0) b->first = entry->commit;
    b->last = entry->commit;
    b->entries++;
    return b->raw.len < VDB_METADATA_BLOCK ? VDB_OK : close_block(b, err);
}

enum vdb_status history_builder_take(struct history_builder *b, struct buf *to,
                                     struct vdb_error *err)
{
    if (buf_append(to, b->data.data, b->data.len) != 0) return error_no_memory(err);
    b->taken += b->data.len;
    buf_clear(&b->data);
    return VDB_OK;
}

enum vdb_status history_builder_front(struct history_builder *b, uint64_t first_commit,
                                      uint64_t last_commit, struct buf *to, struct vdb_error *err)
{
    if (first_commit > last_commit ||
        (b->entries && (b->first < first_commit || b->last > last_commit)))
        return error_set(err, VDB_INVALID, "a change lies outside the commits listed");
    enum vdb_status status = close_block(b, err);
    if (status != VDB_OK) return status;
    size_t blocks_off = sizeof(struct disk_history_header);
    struct disk_history_header header = {
        .first_commit = le64_put(first_commit),
        .last_commit = le64_put(last_commit),
        .entry_count = le64_put(b->entries),
        .block_count = le32_put((uint32_t)(b->blocks.len / sizeof(struct disk_packed_block))),
        .blocks_off = le64_put(blocks_off),
        .data_off = le64_put(blocks_off + b->blocks.len),
        .data_len = le64_put(b->taken + b->data.len),
    };
    if (buf_append(to, &header, sizeof header) || buf_append(to, b->blocks.data, b->blocks.len))
        return error_no_memory(err);
    return VDB_OK;
}

enum vdb_status history_builder_finish(struct history_builder *b, uint64_t first_commit,
                                       uint64_t last_commit, struct buf *to, struct vdb_error *err)
{
    enum vdb_status status = history_builder_front(b, first_commit, last_commit, to, err);
    return status ? status : history_builder_take(b, to, err);
}

void history_builder_release(struct history_builder *b)
{
    buf_release(&b->raw);
    buf_release(&b->blocks);
    buf_release(&b->data);
    *b = (struct history_builder){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

enum vdb_status history_view_init(struct history_view *view, const void *p, size_t len,
                                  uint64_t file_off, struct vdb_error *err)
{
    struct disk_history_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    *view = (struct history_view){
        .first_commit = le64_get(header.first_commit),
        .last_commit = le64_get(header.last_commit),
        .entries = le64_get(header.entry_count),
        .packed = {.segment = SEGMENT,
                   .items = le64_get(header.entry_count),
                   .count = le32_get(header.block_count)},
    };
    if (view->first_commit > view->last_commit)
        return error_set_corrupt(err, SEGMENT, file_off, "it lists commits %" PRIu64 " to %" PRIu64,
                                 view->first_commit, view->last_commit);
    return packed_view_init(&view->packed, p, len, file_off, le64_get(header.blocks_off),
                            le64_get(header.data_off), le64_get(header.data_len), err);
}

void history_iter_init(struct history_iter *iter, const struct history_view *view)
{
    *iter = (struct history_iter){.view = view, .commit = view->first_commit};
}

void history_iter_release(struct history_iter *iter)
{
    packed_block_release(&iter->unpacked);
}

/* Decodes the entry at iter->at, of which neither head nor id is known to be there. */
static enum vdb_status decode(struct history_iter *iter, struct history_entry *entry,
                              struct vdb_error *err)
{
    const struct packed_block *block = &iter->unpacked;
    struct disk_history_entry head;
    size_t room = block->raw.len - iter->at;
    if (room < sizeof head)
        return error_set_corrupt(err, SEGMENT, block->at, "a block ends within an entry");
    memcpy(&head, block->raw.data + iter->at, sizeof head);
    *entry = (struct history_entry){
        .commit = le64_get(head.commit),
        .time_us = (int64_t)le64_get(head.time_us),
        .operation = le16_get(head.operation),
        .id = (const char *)block->raw.data + iter->at + sizeof head,
        .id_len = le16_get(head.id_len),
    };
    if (entry->id_len > room - sizeof head)
        return error_set_corrupt(err, SEGMENT, block->at, "a block ends within an id");
    if (!utf8_id_valid(entry->id, entry->id_len))
        return error_set_corrupt(err, SEGMENT, block->at, "an entry names no valid id");
    if (!operation_known(entry->operation))
        return error_set_corrupt(err, SEGMENT, block->at, "an entry names operation %d",
                                 entry->operation);
    if (entry->commit < iter->commit || entry->commit > iter->view->last_commit)
        return error_set_corrupt(err, SEGMENT, block->at,
                                 "commit %" PRIu64 " of an entry is out of order", entry->commit);
    iter->commit = entry->commit;
    iter->at += sizeof head + entry->id_len;
    return VDB_OK;
}

enum vdb_status history_next(struct history_iter *iter, struct history_entry *entry,
                             struct vdb_error *err)
{
    if (iter->left == 0) {
        if (iter->block == iter->view->packed.count) return VDB_NOT_FOUND;
        enum vdb_status status =
            packed_read(&iter->view->packed, iter->block, &iter->unpacked, err);
        if (status != VDB_OK) return status;
        iter->block++;
        iter->left = iter->unpacked.count;
        iter->at = 0;
    }
    enum vdb_status status = decode(iter, entry, err);
    if (status != VDB_OK) return status;
    iter->left--;
    if (iter->left == 0 && iter->at != iter->unpacked.raw.len)
        return error_set_corrupt(err, SEGMENT, iter->unpacked.at,
                                 "a block holds more than its entries");
    return VDB_OK;
}

uint64_t history_pass(struct history_iter *iter, uint64_t most)
{
    uint64_t passed = 0;
    while (iter->left == 0 && iter->block < iter->view->packed.count) {
        uint32_t count = packed_count(&iter->view->packed, iter->block);
        if (count == 0 || count > most - passed) break;
        passed += count;
        iter->block++;
    }
    return passed;
}

enum vdb_status history_validate(const struct history_view *view, struct vdb_error *err)
{
    struct history_iter iter;
    struct history_entry entry;
    enum vdb_status status = packed_validate(&view->packed, err);
    history_iter_init(&iter, view);
    while (status == VDB_OK) status = history_next(&iter, &entry, err);
    history_iter_release(&iter);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}
