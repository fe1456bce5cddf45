/* seal.c: checks made anew, so that what they cover is come to.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/seal.h"

#include <stdbool.h>
#include <string.h>

#include "base/checksum.h"
#include "format/disk.h"
#include "format/log.h"

static void put_check(uint8_t *at, uint64_t check)
{
    le64 put = le64_put(check);
    memcpy(at, &put, sizeof put);
}

static bool inside(uint64_t off, uint64_t size, size_t len)
{
    return off <= len && size <= len - off;
}

/* ---- the log ------------------------------------------------------------------------------- */

/* The blocks of a commit are its first structs. What is read for them is taken off the budget:
 * blocks of hostile commits overlap. */
static void seal_blocks(uint8_t *file, size_t len, uint8_t *commit, uint64_t *budget)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *at =
            commit + offsetof(struct disk_commit, vectors) + i * sizeof(struct disk_block);
        struct disk_block block;
        memcpy(&block, at, sizeof block);
        uint64_t off = le64_get(block.off), size = le64_get(block.len);
        if (size == 0 || !inside(off, size, len) || size > *budget) continue;
        *budget -= size;
        put_check(at + offsetof(struct disk_block, check), checksum(file + off, size));
    }
}

uint64_t seal_log(uint8_t *file, size_t len, uint64_t off, uint64_t end, uint64_t check,
                  uint64_t numbers, uint64_t stop, uint64_t *at_stop)
{
    uint64_t budget = 4 * (uint64_t)len;
    if (end > len) end = len;
    while (off <= end && end - off >= sizeof(struct disk_record)) {
        uint8_t *record = file + off;
        struct disk_record head;
        if (at_stop != NULL && off == stop) *at_stop = check;
        memcpy(&head, record, sizeof head);
        uint64_t length = le64_get(head.length);
        unsigned kind = le16_get(head.kind);
        if (memcmp(head.magic, VDB_RECORD_MAGIC, sizeof head.magic) != 0 || length > end - off ||
            length < sizeof head)
            break;
        head.prev_check = le64_put(check);
        if (numbers && kind == DISK_RECORD_COMMIT) numbers++;
        if (numbers) head.commit = le64_put(numbers);
        memcpy(record, &head, sizeof head);
        if (kind == DISK_RECORD_COMMIT && length >= sizeof head + sizeof(struct disk_commit))
            seal_blocks(file, len, record + sizeof head, &budget);
        check = checksum_without(record, length, offsetof(struct disk_record, check));
        put_check(record + offsetof(struct disk_record, check), check);
        off += length;
        if (kind != DISK_RECORD_LINK || length < LOG_LINK_LEN) continue;
        struct disk_link link;
        memcpy(&link, record + sizeof head, sizeof link);
        uint64_t next = le64_get(link.next_off), next_len = le64_get(link.next_len);
        if (next < end || !inside(next, next_len, len)) break;
        off = next;
        end = next + next_len;
    }
    if (at_stop != NULL && off == stop) *at_stop = check;
    return check;
}

/* ---- index files --------------------------------------------------------------------------- */

static void seal_segments(uint8_t *file, size_t len, uint8_t *manifest, size_t manifest_len)
{
    struct disk_manifest head;
    uint64_t budget = 4 * (uint64_t)len;
    memcpy(&head, manifest, sizeof head);
    uint64_t off = le64_get(head.segments.off);
    uint32_t count = le32_get(head.segments.count), stride = le32_get(head.segments.entry_size);
    if (stride < sizeof(struct disk_segment)) return;
    for (uint32_t i = 0; i < count && inside(off, sizeof(struct disk_segment), manifest_len); i++) {
        struct disk_segment segment;
        uint8_t *at = manifest + off;
        memcpy(&segment, at, sizeof segment);
        uint64_t begin = le64_get(segment.off), size = le64_get(segment.len);
        off += stride;
        if (!inside(begin, size, len) || size > budget) continue;
        budget -= size;
        put_check(at + offsetof(struct disk_segment, check), checksum(file + begin, size));
    }
}

/* From the oldest extent on, up to where the superblock says that the records begin which the
 * manifest does not have. Of the very first record the predecessor is not known: it stays. */
static void seal_extents(uint8_t *file, size_t len, const uint8_t *manifest, size_t manifest_len,
                         struct disk_superblock *slot)
{
    struct disk_manifest head;
    struct disk_log_extent extent;
    struct disk_record record;
    uint64_t log_off = le64_get(slot->log_off), log_check = le64_get(slot->log_check);
    memcpy(&head, manifest, sizeof head);
    uint64_t off = le64_get(head.log_extents.off);
    if (le32_get(head.log_extents.count) != 0 && inside(off, sizeof extent, manifest_len)) {
        memcpy(&extent, manifest + off, sizeof extent);
        uint64_t begin = le64_get(extent.off), size = le64_get(extent.len);
        if (inside(begin, size, len) && size >= sizeof record) {
            memcpy(&record, file + begin, sizeof record);
            seal_log(file, len, begin, begin + size, le64_get(record.prev_check), 0, log_off,
                     &log_check);
        }
    }
    slot->log_check = le64_put(log_check);
    seal_log(file, len, log_off, le64_get(slot->log_end), log_check, 0, UINT64_MAX, NULL);
}

void seal_index(uint8_t *file, size_t len)
{
    for (unsigned i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        struct disk_superblock slot;
        uint64_t at = (uint64_t)i * VDB_SUPERBLOCK_STRIDE;
        if (!inside(at, sizeof slot, len)) return;
        memcpy(&slot, file + at, sizeof slot);
        if (memcmp(slot.magic, VDB_MAGIC, sizeof slot.magic) != 0) continue;
        uint64_t off = le64_get(slot.manifest_off), size = le64_get(slot.manifest_len);
        if (inside(off, size, len) && size >= sizeof(struct disk_manifest)) {
            seal_segments(file, len, file + off, size);
            seal_extents(file, len, file + off, size, &slot);
            put_check(file + off + offsetof(struct disk_manifest, check),
                      checksum_without(file + off, size, offsetof(struct disk_manifest, check)));
        }
        slot.check = le64_put(checksum(&slot, offsetof(struct disk_superblock, check)));
        memcpy(file + at, &slot, sizeof slot);
    }
}

/* ---- streams ------------------------------------------------------------------------------- */

void seal_stream(uint8_t *p, size_t len)
{
    size_t at = sizeof(struct disk_stream);
    if (len < at) return;
    put_check(p + offsetof(struct disk_stream, check),
              checksum(p, offsetof(struct disk_stream, check)));
    for (uint32_t number = 0; len - at >= sizeof(struct disk_stream_frame); number++) {
        struct disk_stream_frame head;
        memcpy(&head, p + at, sizeof head);
        head.number = le32_put(number);
        memcpy(p + at, &head, sizeof head);
        size_t packed_len = le32_get(head.packed_len), body = at + sizeof head;
        if (packed_len > len - body) return;
        if (le16_get(head.kind) == DISK_FRAME_END && packed_len == sizeof(struct disk_stream_end))
            put_check(p + body + offsetof(struct disk_stream_end, check), checksum(p, at));
        put_check(p + at + offsetof(struct disk_stream_frame, check),
                  checksum_without(p + at, sizeof head + packed_len,
                                   offsetof(struct disk_stream_frame, check)));
        at = body + packed_len;
    }
}
