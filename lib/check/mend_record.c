/* mend_record.c: a record of the log that is whole but for one bit.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/mend_record.h"

#include <stddef.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "check/onebit.h"
#include "format/range.h"

#define HEAD_LEN (sizeof(struct disk_record) + sizeof(struct disk_commit))
/* No longer record is tried with another length than it has. */
#define ROOM_MAX ((uint64_t)8 << 20)
#define CHECK_AT offsetof(struct disk_record, check)

static unsigned differing(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

/* Of what is known beforehand of the next record, all is there but for one bit at most: it costs
 * nothing to see that nothing was written here. */
static bool is_near(const struct disk_record *head, const struct log_cursor *end)
{
    uint32_t magic, expected;
    memcpy(&magic, head->magic, sizeof magic);
    memcpy(&expected, VDB_RECORD_MAGIC, sizeof expected);
    uint64_t commit = le64_get(head->commit);
    unsigned as_last = differing(commit, end->commit), as_next = differing(commit, end->commit + 1);
    return differing(magic, expected) + differing(le64_get(head->prev_check), end->check) +
               (as_last < as_next ? as_last : as_next) <=
           1;
}

static bool length_fits(uint64_t length, uint64_t room)
{
    return length >= LOG_LINK_LEN && length % VDB_ARRAY_ALIGN == 0 && length <= room;
}

struct mending {
    struct buf record; /* as it is, then with the bit turned */
    uint64_t off, room;
    uint64_t bit;
};

static void turn(struct mending *m)
{
    m->record.data[m->bit / 8] ^= (uint8_t)(1u << m->bit % 8);
}

static enum vdb_status take(struct mending *m, const uint8_t *from, uint64_t length,
                            struct vdb_error *err)
{
    buf_clear(&m->record);
    return buf_append(&m->record, from, (size_t)length) ? error_no_memory(err) : VDB_OK;
}

/* The length itself has the bit: each other one that it may have been is tried. */
static enum vdb_status seek_in_length(struct mending *m, const uint8_t *from, uint64_t length,
                                      bool *found, struct vdb_error *err)
{
    for (unsigned i = 0; i < 64; i++) {
        uint64_t other = length ^ (uint64_t)1 << i;
        if (!length_fits(other, m->room) || other > ROOM_MAX) continue;
        enum vdb_status status = take(m, from, other, err);
        if (status) return status;
        m->bit = offsetof(struct disk_record, length) * 8 + i;
        turn(m);
        *found = checksum_without(m->record.data, m->record.len, CHECK_AT) ==
                 le64_at(m->record.data + CHECK_AT);
        if (*found) return VDB_OK;
    }
    return VDB_OK;
}

static bool seek_between(struct mending *m, uint64_t begin, uint64_t end)
{
    struct onebit sought = {.p = m->record.data,
                            .len = m->record.len,
                            .begin = (size_t)begin,
                            .end = (size_t)end,
                            .has_field = true,
                            .field = CHECK_AT};
    if (!onebit_find(&sought, &m->bit)) return false;
    turn(m);
    return true;
}

/* A block of a commit that lies in its record. */
struct inline_block {
    size_t said; /* where in the record its disk_block is */
    uint64_t begin, len, check;
};

enum { BLOCKS = 4 };

/* Those of them that lie one after another, as they are written. */
static size_t inline_blocks(const struct mending *m, struct inline_block blocks[BLOCKS])
{
    static const size_t offsets[BLOCKS] = {
        offsetof(struct disk_commit, vectors), offsetof(struct disk_commit, ids),
        offsetof(struct disk_commit, metadata), offsetof(struct disk_commit, events)};
    size_t count = 0;
    uint64_t at = HEAD_LEN;
    for (size_t i = 0; i < BLOCKS; i++) {
        struct inline_block b = {.said = sizeof(struct disk_record) + offsets[i]};
        struct disk_block block;
        memcpy(&block, m->record.data + b.said, sizeof block);
        b.begin = le64_get(block.off) - m->off;
        b.len = le64_get(block.len);
        b.check = le64_get(block.check);
        if (!b.len || b.begin < at || !range_inside(b.begin, b.len, m->record.len)) continue;
        at = b.begin + b.len;
        blocks[count++] = b;
    }
    return count;
}

/* In a block that fails its own checksum, which takes less than the record's. */
static bool seek_in_block(struct mending *m, const struct inline_block *block)
{
    struct onebit sought = {.p = m->record.data + block->begin,
                            .len = (size_t)block->len,
                            .end = (size_t)block->len,
                            .check = block->check};
    if (!onebit_find(&sought, &m->bit)) return false;
    m->bit += block->begin * 8;
    turn(m);
    if (checksum_without(m->record.data, m->record.len, CHECK_AT) ==
        le64_at(m->record.data + CHECK_AT))
        return true;
    turn(m);
    return false;
}

/* A block that is wrong has the bit, or what the head says of it; where two are wrong, it is not
 * for one bit: most records that were left unfinished are passed over so. Where none is, it is in
 * the head, between blocks or behind them. */
static bool seek_in_commit(struct mending *m)
{
    struct inline_block blocks[BLOCKS], *wrong = NULL;
    size_t count = inline_blocks(m, blocks);
    for (size_t i = 0; i < count; i++) {
        if (checksum(m->record.data + blocks[i].begin, (size_t)blocks[i].len) == blocks[i].check)
            continue;
        if (wrong) return false;
        wrong = &blocks[i];
    }
    if (wrong)
        return seek_in_block(m, wrong) ||
               seek_between(m, wrong->said, wrong->said + sizeof(struct disk_block));
    if (seek_between(m, 0, HEAD_LEN)) return true;
    uint64_t from = HEAD_LEN;
    for (size_t i = 0; i < count; i++) {
        if (seek_between(m, from, blocks[i].begin)) return true;
        from = blocks[i].begin + blocks[i].len;
    }
    return seek_between(m, from, m->record.len);
}

static bool seek_in_record(struct mending *m)
{
    struct disk_record head;
    const size_t kind = offsetof(struct disk_record, kind);
    memcpy(&head, m->record.data, sizeof head);
    if (m->record.len >= HEAD_LEN && le16_get(head.kind) == DISK_RECORD_COMMIT)
        /* Of another kind but for the bit, it has none of a commit's blocks. */
        return seek_between(m, kind, kind + sizeof head.kind) || seek_in_commit(m);
    uint64_t end = m->record.len < HEAD_LEN ? m->record.len : HEAD_LEN;
    return seek_between(m, 0, end) || seek_between(m, end, m->record.len);
}

enum vdb_status mend_record(const uint8_t *file, uint64_t file_len, const struct log_cursor *end,
                            bool *found, uint64_t *bit, struct buf *mended, struct vdb_error *err)
{
    struct disk_record head;
    uint64_t limit = end->end < file_len ? end->end : file_len;
    *found = false;
    if (end->off > limit || limit - end->off < LOG_LINK_LEN) return VDB_OK;
    memcpy(&head, file + end->off, sizeof head);
    if (!is_near(&head, end)) return VDB_OK;
    struct mending m = {.off = end->off, .room = limit - end->off};
    const uint8_t *from = file + end->off;
    uint64_t length = le64_get(head.length);
    enum vdb_status status = VDB_OK;
    if (length_fits(length, m.room)) {
        status = take(&m, from, length, err);
        if (!status) *found = seek_in_record(&m);
    }
    if (!status && !*found) status = seek_in_length(&m, from, length, found, err);
    /* Its checksum is right; so is what it says of its place, or it is not the next. */
    if (!status && *found) {
        memcpy(&head, m.record.data, sizeof head);
        *found = le64_get(head.prev_check) == end->check;
        *bit = m.bit;
    }
    if (!status && *found && mended && buf_append(mended, m.record.data, m.record.len))
        status = error_no_memory(err);
    buf_release(&m.record);
    return status;
}

uint64_t mend_whole_behind(const uint8_t *file, uint64_t file_len, const struct log_cursor *end)
{
    uint64_t limit = end->end < file_len ? end->end : file_len;
    for (uint64_t off = end->off + VDB_ARRAY_ALIGN; off < limit; off += VDB_ARRAY_ALIGN) {
        struct disk_record head;
        if (limit - off < sizeof head) break;
        memcpy(&head, file + off, sizeof head);
        uint64_t length = le64_get(head.length);
        if (memcmp(head.magic, VDB_RECORD_MAGIC, sizeof head.magic) == 0 && length >= sizeof head &&
            length <= limit - off && le64_get(head.commit) > end->commit &&
            checksum_without(file + off, length, offsetof(struct disk_record, check)) ==
                le64_get(head.check))
            return off;
    }
    return 0;
}
