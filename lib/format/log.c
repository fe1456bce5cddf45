/* log.c: judging and encoding log records; implements format-spec/log.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/log.h"

#include <string.h>

#include "base/checksum.h"
#include "base/error.h"

static struct log_block block_get(const struct disk_block *from)
{
    return (struct log_block){le64_get(from->off), le64_get(from->len), le64_get(from->check)};
}

static struct disk_block block_put(const struct log_block *from)
{
    return (struct disk_block){le64_put(from->off), le64_put(from->len), le64_put(from->check)};
}

/* An empty block is zero throughout: its offset leads nowhere. No block has a byte in [free, end),
 * the room that the record leaves in its extent: the next record would overwrite it. */
static bool block_inside(const struct log_block *block, uint64_t free, uint64_t end,
                         uint64_t file_len)
{
    if (block->len == 0) return block->off == 0 && block->check == 0;
    return block->off % VDB_ARRAY_ALIGN == 0 &&
           block->off >= VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE && block->off <= file_len &&
           block->len <= file_len - block->off &&
           (block->off >= end || block->off + block->len <= free);
}

static bool blocks_inside(const struct log_commit *commit, uint64_t free, uint64_t end,
                          uint64_t file_len)
{
    return block_inside(&commit->vectors, free, end, file_len) &&
           block_inside(&commit->ids, free, end, file_len) &&
           block_inside(&commit->metadata, free, end, file_len) &&
           block_inside(&commit->events, free, end, file_len);
}

/* A body that passes is consistent in itself; whether it fits the state before is the reader's to
 * see, who knows that state. */
static bool commit_get(const uint8_t *record, uint64_t length, const struct log_cursor *at,
                       uint64_t file_len, struct log_commit *out)
{
    struct disk_record head;
    struct disk_commit body;
    memcpy(&head, record, sizeof head);
    memcpy(&body, record + sizeof head, sizeof body);
    *out = (struct log_commit){
        .commit = le64_get(head.commit),
        .time_us = (int64_t)le64_get(head.time_us),
        .row_base = le32_get(body.row_base),
        .row_count = le32_get(body.row_count),
        .live_count = le32_get(body.live_count),
        .event_count = le32_get(body.event_count),
        .vectors = block_get(&body.vectors),
        .ids = block_get(&body.ids),
        .metadata = block_get(&body.metadata),
        .events = block_get(&body.events),
        .stride = le32_get(body.stride),
        .names.count = le32_get(body.name_count),
    };
    uint64_t names_len = (uint64_t)out->names.count * sizeof(struct disk_name_change);
    if (names_len > length - sizeof head - sizeof body) return false;
    out->names.off = length - names_len; /* within the record: log_next adds where that lies */
    return blocks_inside(out, at->off + length, at->end, file_len) &&
           out->vectors.len == (uint64_t)out->row_count * out->stride &&
           out->events.len == (uint64_t)out->event_count * sizeof(struct disk_event) &&
           out->row_count < VDB_NO_ROW - out->row_base;
}

static bool is_known(const struct disk_record *head)
{
    unsigned kind = le16_get(head->kind);
    return kind >= DISK_RECORD_COMMIT && kind <= DISK_RECORD_NAMES && le16_get(head->version) == 1;
}

/* The length of the record at the cursor if its head is the next one of the chain, else 0. */
static uint64_t head_fits(const uint8_t *file, uint64_t file_len, const struct log_cursor *cursor,
                          struct disk_record *head)
{
    uint64_t end = cursor->end < file_len ? cursor->end : file_len;
    if (cursor->off % VDB_ARRAY_ALIGN != 0 || cursor->off > end || end - cursor->off < sizeof *head)
        return 0;
    memcpy(head, file + cursor->off, sizeof *head);
    uint64_t length = le64_get(head->length);
    bool fits = memcmp(head->magic, VDB_RECORD_MAGIC, sizeof head->magic) == 0 &&
                le64_get(head->prev_check) == cursor->check && length >= sizeof *head &&
                length % VDB_ARRAY_ALIGN == 0 && length <= end - cursor->off;
    return fits ? length : 0;
}

/* What a record of the chain must be besides: it follows the last commit, has room for its body,
 * and leaves room for a link, without which the log could not go on behind it. */
static bool head_obeys(const struct disk_record *head, uint64_t length,
                       const struct log_cursor *cursor)
{
    unsigned kind = is_known(head) ? le16_get(head->kind) : 0;
    size_t body = kind == DISK_RECORD_COMMIT  ? sizeof(struct disk_commit)
                  : kind == DISK_RECORD_LINK  ? sizeof(struct disk_link)
                  : kind == DISK_RECORD_NAMES ? sizeof(struct disk_names)
                                              : 0;
    uint64_t behind = cursor->end - cursor->off - length;
    return length >= sizeof *head + body && (kind == DISK_RECORD_LINK || behind >= LOG_LINK_LEN) &&
           le64_get(head->commit) == cursor->commit + (kind == DISK_RECORD_COMMIT);
}

/* Extents only ever lie behind the ones before, so following links ends. */
static bool link_follow(const uint8_t *record, uint64_t file_len, struct log_cursor *cursor)
{
    struct disk_link link;
    memcpy(&link, record + sizeof(struct disk_record), sizeof link);
    uint64_t off = le64_get(link.next_off), len = le64_get(link.next_len);
    if (off % VDB_ARRAY_ALIGN != 0 || len % VDB_ARRAY_ALIGN != 0 || len < LOG_LINK_LEN ||
        off < cursor->end || off > file_len || len > file_len - off)
        return false;
    cursor->off = off;
    cursor->end = off + len;
    return true;
}

static bool names_get(const uint8_t *record, uint64_t length, struct log_names *out)
{
    struct disk_names body;
    memcpy(&body, record + sizeof(struct disk_record), sizeof body);
    *out = (struct log_names){.off = sizeof(struct disk_record) + sizeof body,
                              .count = le32_get(body.count)};
    return length == out->off + out->count * sizeof(struct disk_name_change);
}

enum log_step log_next(const uint8_t *file, uint64_t file_len, struct log_cursor *cursor,
                       struct log_commit *commit, struct log_names *names)
{
    struct disk_record head;
    uint64_t length = head_fits(file, file_len, cursor, &head);
    if (!length) return LOG_ENDS;
    const uint8_t *record = file + cursor->off;
    uint64_t check = checksum_without(record, length, offsetof(struct disk_record, check));
    if (check != le64_get(head.check)) return LOG_ENDS;
    if (!is_known(&head) && !(le16_get(head.kind) & DISK_RECORD_OPTIONAL)) return LOG_UNKNOWN;
    if (!head_obeys(&head, length, cursor)) return LOG_DAMAGED;
    if (!is_known(&head)) {
        cursor->off += length;
        cursor->check = check;
        return LOG_PASSED;
    }
    if (le16_get(head.kind) == DISK_RECORD_LINK) {
        if (!link_follow(record, file_len, cursor)) return LOG_DAMAGED;
        cursor->check = check;
        return LOG_LINKED;
    }
    if (le16_get(head.kind) == DISK_RECORD_NAMES) {
        if (!names_get(record, length, names)) return LOG_DAMAGED;
        names->record_off = cursor->off;
        names->off += cursor->off;
        cursor->off += length;
        cursor->check = check;
        return LOG_NAMES;
    }
    if (!commit_get(record, length, cursor, file_len, commit)) return LOG_DAMAGED;
    commit->record_off = commit->names.record_off = cursor->off;
    commit->names.off += cursor->off;
    commit->record_len = length;
    cursor->off += length;
    cursor->check = check;
    cursor->commit = commit->commit;
    return LOG_COMMIT;
}

enum vdb_status log_unknown(const uint8_t *file, const struct log_cursor *cursor,
                            struct vdb_error *err)
{
    struct disk_record head;
    memcpy(&head, file + cursor->off, sizeof head);
    error_set(err, VDB_UNSUPPORTED, "record of kind %u version %u is not known here",
              le16_get(head.kind), le16_get(head.version));
    if (err) {
        err->segment = "log";
        err->offset = cursor->off;
    }
    return VDB_UNSUPPORTED;
}

static struct disk_record head_put(unsigned kind, uint64_t commit, int64_t time_us,
                                   uint64_t prev_check)
{
    struct disk_record head = {
        .kind = le16_put((uint16_t)kind),
        .version = le16_put(1),
        .commit = le64_put(commit),
        .time_us = le64_put((uint64_t)time_us),
        .prev_check = le64_put(prev_check),
    };
    memcpy(head.magic, VDB_RECORD_MAGIC, sizeof head.magic);
    return head;
}

enum vdb_status log_encode_commit(const struct log_commit *commit, uint64_t prev_check,
                                  struct buf *to, struct vdb_error *err)
{
    struct disk_record head =
        head_put(DISK_RECORD_COMMIT, commit->commit, commit->time_us, prev_check);
    struct disk_commit body = {
        .row_base = le32_put(commit->row_base),
        .row_count = le32_put(commit->row_count),
        .live_count = le32_put(commit->live_count),
        .event_count = le32_put(commit->event_count),
        .vectors = block_put(&commit->vectors),
        .ids = block_put(&commit->ids),
        .metadata = block_put(&commit->metadata),
        .events = block_put(&commit->events),
        .stride = le32_put(commit->stride),
        .name_count = le32_put(commit->names.count),
    };
    if (buf_append(to, &head, sizeof head) || buf_append(to, &body, sizeof body))
        return error_no_memory(err);
    return VDB_OK;
}

enum vdb_status log_encode_link(const struct log_cursor *from, int64_t time_us, uint64_t next_off,
                                uint64_t next_len, struct buf *to, struct vdb_error *err)
{
    struct disk_record head = head_put(DISK_RECORD_LINK, from->commit, time_us, from->check);
    struct disk_link link = {.next_off = le64_put(next_off), .next_len = le64_put(next_len)};
    if (buf_append(to, &head, sizeof head) || buf_append(to, &link, sizeof link))
        return error_no_memory(err);
    return VDB_OK;
}

bool log_name_change(const uint8_t *file, const struct log_names *names, uint32_t index,
                     struct log_name_change *change)
{
    struct disk_name_change disk;
    memcpy(&disk, file + names->off + index * sizeof disk, sizeof disk);
    change->operation = le16_get(disk.operation);
    bool named = manifest_snapshot_get(&disk.snapshot, &change->snapshot);
    if (change->operation == DISK_NAME_RECEIVED) return change->snapshot.name_len == 0;
    return named &&
           (change->operation == DISK_NAME_CREATE || change->operation == DISK_NAME_REMOVE);
}

enum vdb_status log_encode_name(const struct log_name_change *change, struct buf *to,
                                struct vdb_error *err)
{
    struct disk_name_change disk = {
        .operation = le16_put((uint16_t)change->operation),
        .snapshot = manifest_snapshot_put(&change->snapshot),
    };
    return buf_append(to, &disk, sizeof disk) ? error_no_memory(err) : VDB_OK;
}

enum vdb_status log_encode_names(const struct log_cursor *from, int64_t time_us, uint32_t count,
                                 struct buf *to, struct vdb_error *err)
{
    struct disk_record head = head_put(DISK_RECORD_NAMES, from->commit, time_us, from->check);
    struct disk_names body = {.count = le32_put(count)};
    if (buf_append(to, &head, sizeof head) || buf_append(to, &body, sizeof body))
        return error_no_memory(err);
    return VDB_OK;
}

uint64_t log_seal(struct buf *to, size_t start)
{
    uint8_t *record = to->data + start;
    size_t length = to->len - start;
    le64 put = le64_put(length);
    memcpy(record + offsetof(struct disk_record, length), &put, sizeof put);
    uint64_t check = checksum_without(record, length, offsetof(struct disk_record, check));
    put = le64_put(check);
    memcpy(record + offsetof(struct disk_record, check), &put, sizeof put);
    return check;
}
