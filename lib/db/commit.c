/* commit.c: making a transaction durable.
 *
 * Small commits lie whole in their log record. The rows of larger ones are written and synced into
 * an extent of their own first, with no lock held but for the moment in which the extent is
 * reserved; what is then done under the WRITE lock is short whatever the commit's size. One sync
 * under the lock makes the record durable: format-spec/writing.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/txn.h"

#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/append.h"
#include "db/naming.h"
#include "db/policy.h"
#include "db/space.h"

/* Rows or events beyond this get an extent of their own. */
#define INLINE_MAX ((uint64_t)256 << 10)

struct rows { /* the blocks of the rows a transaction adds */
    struct buf ids;
    uint64_t vectors_len, metadata_len, total; /* total: with the padding between the three */
    bool placed;                               /* in an extent of the file `where` */
    struct osfile where; /* held open, so that no other file can be given its inode meanwhile */
    struct log_block vectors_block, ids_block, metadata_block;
};

static uint64_t align64(uint64_t n)
{
    return round_up(n, VDB_ARRAY_ALIGN);
}

/* A compaction may have come since the rows were placed: its file does not hold the extent. */
static bool is_where_placed(const struct vdb *db, const struct osfile *where)
{
    struct osfile_stat placed;
    return osfile_stat(where, &placed) == 0 && placed.identity.device == db->identity.device &&
           placed.identity.inode == db->identity.inode;
}

static enum vdb_status rows_prepare(struct vdb_txn *txn, struct rows *rows, struct vdb_error *err)
{
    *rows = (struct rows){.vectors_len = spool_len(&txn->vectors), .where = {-1}};
    if (txn->changes.ids.rows == 0) return VDB_OK;
    enum vdb_status status = ids_builder_finish(&txn->changes.ids, &rows->ids, err);
    if (!status) status = metaspool_finish(&txn->metadata, &rows->metadata_len, err);
    rows->total = align64(rows->vectors_len) + align64(rows->ids.len) + align64(rows->metadata_len);
    return status;
}

/* Sets the blocks as they lie from `off` on, in the order vectors, ids, metadata; the checksums of
 * the first and the last come with the writing. */
static void rows_lay_out(struct rows *rows, uint64_t off)
{
    rows->vectors_block = (struct log_block){.off = off, .len = rows->vectors_len};
    off += align64(rows->vectors_len);
    rows->ids_block =
        (struct log_block){off, rows->ids.len, checksum(rows->ids.data, rows->ids.len)};
    off += align64(rows->ids.len);
    rows->metadata_block = (struct log_block){0};
    if (rows->metadata_len)
        rows->metadata_block = (struct log_block){.off = off, .len = rows->metadata_len};
}

static enum vdb_status rows_write(const struct vdb_txn *txn, struct rows *rows,
                                  const struct osfile *file, struct vdb_error *err)
{
    const struct cancel *cancel = &txn->db->cancel;
    struct checksum_state check;
    checksum_init(&check);
    enum vdb_status status =
        spool_copy(&txn->vectors, file, rows->vectors_block.off, &check, cancel, err);
    rows->vectors_block.check = checksum_end(&check);
    if (!status)
        status = space_write(file, rows->ids_block.off, rows->ids.data, rows->ids.len, err);
    if (!status && rows->metadata_len)
        status = metaspool_copy(&txn->metadata, file, rows->metadata_block.off,
                                &rows->metadata_block.check, cancel, err);
    return status;
}

/* Reserves an extent and writes the rows into it, durably. */
static enum vdb_status rows_place(struct vdb_txn *txn, struct rows *rows, struct vdb_error *err)
{
    struct vdb *db = txn->db;
    uint64_t off;
    enum vdb_status status = db_lock_write(db, err);
    if (status) return status;
    status =
        space_reserve(&db->file, rows->total, space_segment_align(rows->vectors_len), &off, err);
    /* Another thread may go over to a successor of db->file. */
    int failed = status ? 0 : osfile_duplicate(&db->file, &rows->where);
    db_unlock_write(db);
    if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot duplicate a descriptor");
    if (status) return status;
    rows_lay_out(rows, off);
    status = rows_write(txn, rows, &rows->where, err);
    if (!status) status = db_sync(db, &rows->where, err);
    rows->placed = !status;
    return status;
}

/* Events beyond what a record should hold get an extent too. The WRITE lock is held. */
static enum vdb_status place_events(struct vdb *db, const struct buf *events,
                                    struct log_block *block, struct vdb_error *err)
{
    uint64_t off;
    enum vdb_status status = space_reserve(&db->file, events->len, VDB_SEGMENT_ALIGN, &off, err);
    if (!status) status = space_write(&db->file, off, events->data, events->len, err);
    if (!status) status = db_sync(db, &db->file, err);
    if (status) return status;
    *block = (struct log_block){off, events->len, checksum(events->data, events->len)};
    return VDB_OK;
}

static int append_aligned(struct buf *to, const struct buf *from)
{
    return buf_append(to, from->data, from->len) || buf_align(to, VDB_ARRAY_ALIGN);
}

/* Rows that are inline are few: their spools have not left memory. */
static int append_rows(struct buf *to, const struct vdb_txn *txn, const struct rows *rows)
{
    const struct metaspool *metadata = &txn->metadata;
    return append_aligned(to, &txn->vectors.memory) || append_aligned(to, &rows->ids) ||
           buf_append(to, metadata->front.data, metadata->front.len) ||
           append_aligned(to, &metadata->packed.memory);
}

static void lay_out_inline(const struct vdb_txn *txn, struct rows *rows, uint64_t off)
{
    const struct metaspool *metadata = &txn->metadata;
    struct checksum_state check;
    rows_lay_out(rows, off);
    rows->vectors_block.check = checksum(txn->vectors.memory.data, txn->vectors.memory.len);
    if (!rows->metadata_len) return;
    checksum_init(&check);
    checksum_add(&check, metadata->front.data, metadata->front.len);
    checksum_add(&check, metadata->packed.memory.data, metadata->packed.memory.len);
    rows->metadata_block.check = checksum_end(&check);
}

/* The record with all that is inline in it. */
static enum vdb_status build_record(struct vdb_txn *txn, const struct rows *rows,
                                    const struct naming *names, struct log_commit *commit,
                                    uint64_t off, uint64_t prev_check, struct buf *record,
                                    struct vdb_error *err)
{
    const struct buf *events = &txn->changes.now.events;
    uint64_t inline_off = off + sizeof(struct disk_record) + sizeof(struct disk_commit);
    uint64_t rows_len = rows->placed ? 0 : rows->total;
    if (!commit->events.len && events->len)
        commit->events = (struct log_block){inline_off + rows_len, events->len,
                                            checksum(events->data, events->len)};
    struct rows laid = *rows;
    if (rows_len) lay_out_inline(txn, &laid, inline_off);
    commit->vectors = laid.vectors_block;
    commit->ids = laid.ids_block;
    commit->metadata = laid.metadata_block;
    enum vdb_status status = log_encode_commit(commit, prev_check, record, err);
    if (status) return status;
    int failed = 0;
    if (rows_len) failed = append_rows(record, txn, rows);
    if (commit->events.off == inline_off + rows_len && events->len)
        failed = failed || append_aligned(record, events);
    if (failed) return error_no_memory(err);
    status = naming_append(names, record, err);
    if (!status) log_seal(record, 0);
    return status;
}

/* With the WRITE lock held and the changes resolved against `base`, the newest snapshot. */
static enum vdb_status append_commit(struct vdb_txn *txn, const struct rows *rows,
                                     const struct vdb_snapshot *base, struct vdb_error *err)
{
    struct vdb *db = txn->db;
    const struct buf *events = &txn->changes.now.events;
    struct log_cursor cursor = base->cursor;
    struct log_commit commit = {
        .commit = base->commit + 1,
        .time_us = txn->replayed ? txn->time_us : policy_now(0),
        .row_base = base->row_count,
        .row_count = txn->changes.ids.rows,
        .live_count = changes_live_count(&txn->changes),
        .event_count = (uint32_t)(events->len / sizeof(struct disk_event)),
        .stride = txn->changes.ids.rows ? (uint32_t)txn->stride : 0,
    };
    if (commit.time_us < base->commit_time_us) commit.time_us = base->commit_time_us;
    struct naming names;
    struct naming_state state = {commit.commit, commit.time_us, commit.row_base + commit.row_count,
                                 commit.live_count};
    enum vdb_status status = naming_resolve(&txn->names, base, &state, &names, err);
    commit.names.count = names.count;
    if (!status && events->len > INLINE_MAX) status = place_events(db, events, &commit.events, err);
    uint64_t len = sizeof(struct disk_record) + sizeof(struct disk_commit) +
                   (rows->placed ? 0 : rows->total) +
                   (commit.events.len ? 0 : align64(events->len)) + naming_len(&names);
    struct buf link = {0}, record = {0};
    uint64_t link_off = 0;
    if (!status)
        status = append_make_room(db, base, &cursor, len, commit.time_us, &link, &link_off, err);
    if (!status)
        status = build_record(txn, rows, &names, &commit, cursor.off, cursor.check, &record, err);
    if (!status) status = append_write(db, &link, link_off, &record, cursor.off, err);
    buf_release(&link);
    buf_release(&record);
    naming_release(&names);
    return status;
}

/* A path may have come to name another index since the transaction began. */
static enum vdb_status check_same_index(const struct vdb_txn *txn,
                                        const struct vdb_snapshot *newest, struct vdb_error *err)
{
    const struct generation *now = newest->generation, *then = txn->changes.now.base->generation;
    if (now == then ||
        (memcmp(now->superblock.file_id, then->superblock.file_id,
                sizeof now->superblock.file_id) == 0 &&
         now->manifest.dim == then->manifest.dim && now->manifest.type == then->manifest.type &&
         now->manifest.metric == then->manifest.metric))
        return VDB_OK;
    return error_set(err, VDB_INVALID, "another index has taken this one's place");
}

static enum vdb_status check_not_overtaken(struct vdb_txn *txn, const struct vdb_snapshot *newest,
                                           struct vdb_error *err)
{
    txn->overtaken = txn->only_on && newest->commit != txn->only_on;
    if (!txn->overtaken) return VDB_OK;
    return error_set(err, VDB_BUSY, "another writer's commit came between");
}

/* With the WRITE lock held. */
static enum vdb_status commit_locked(struct vdb_txn *txn, const struct rows *rows, uint64_t *number,
                                     struct vdb_error *err)
{
    struct vdb_snapshot *newest;
    enum vdb_status status = db_refresh_to_write(txn->db, &newest, err);
    if (status) return status;
    const struct vdb_snapshot *base = txn->changes.now.base;
    status = check_same_index(txn, newest, err);
    if (!status) status = check_not_overtaken(txn, newest, err);
    if (!status && (newest->commit != base->commit || newest->generation != base->generation))
        status = changes_rebase(&txn->changes, newest, err);
    bool commit = txn->replayed || !changes_settled(&txn->changes);
    if (!status && commit) status = append_commit(txn, rows, newest, err);
    if (!status && !commit) status = naming_write(txn->db, newest, &txn->names, err);
    *number = newest->commit + commit;
    snapshot_unref(newest);
    return status;
}

enum vdb_status txn_write(struct vdb_txn *txn, struct vdb_commit_info *info, struct vdb_error *err)
{
    struct vdb *db = txn->db;
    struct rows rows;
    uint64_t number = txn->changes.now.base->commit;
    /* Letting go of a file that was compacted away takes time, which no other writer waits for. */
    struct vdb_snapshot *begun = snapshot_ref(txn->changes.now.base);
    enum vdb_status status = rows_prepare(txn, &rows, err);
    bool write = !changes_none(&txn->changes) || txn->replayed || txn->names.len;
    while (write && !status) {
        if (rows.total > INLINE_MAX && !rows.placed) status = rows_place(txn, &rows, err);
        if (!status) status = db_lock_write(db, err);
        if (status) break;
        bool lost = rows.placed && !is_where_placed(db, &rows.where);
        if (!lost) status = commit_locked(txn, &rows, &number, err);
        db_unlock_write(db);
        if (!lost) break;
        osfile_close(&rows.where);
        rows.placed = false;
    }
    osfile_close(&rows.where);
    buf_release(&rows.ids);
    const struct resolution *done = &txn->changes.now;
    if (!status && info)
        *info = (struct vdb_commit_info){number, done->added, done->updated, done->deleted,
                                         done->restored};
    snapshot_unref(begun);
    return status;
}
