/* catchup.c: carrying commits over from an index to its compacted successor.
 *
 * Rows have other numbers there, so a commit is carried over by ids: what it added and left alive
 * is put, what it ended is deleted. A row that it restored may be purged in the successor, so it is
 * put, from the old file. A name is carried over when the successor has come to its commit, unless
 * it is gone again by then.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/catchup.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "db/txn.h"

struct carrier {
    const struct vdb_snapshot *before, *after; /* the commit's two sides, in the old file */
    struct vdb_txn *txn;                       /* in the new one */
    float *vector;
    struct liveness seen; /* rows below before->row_count that an event was handled for */
};

static enum vdb_status carry_row(struct carrier *c, uint32_t row, struct vdb_error *err)
{
    const char *id;
    size_t id_len, json_len;
    char *json = NULL;
    enum vdb_status status = vdb_row_id(c->after, row, &id, &id_len, err);
    if (!status) status = vdb_row_vector(c->after, row, c->vector, err);
    if (!status) status = vdb_row_metadata(c->after, row, &json, &json_len, err);
    if (!status)
        status = vdb_txn_put(c->txn, VDB_UPSERT, id, id_len, c->vector, json, json_len, err);
    free(json);
    return status;
}

/* A row from before that the commit ended, unless the id lives on in another row: then the put of
 * that has replaced it. */
static enum vdb_status carry_end(struct carrier *c, uint32_t row, struct vdb_error *err)
{
    const char *id;
    size_t id_len;
    uint32_t live;
    enum vdb_status status = vdb_row_id(c->after, row, &id, &id_len, err);
    if (!status) status = snapshot_find(c->after, &c->after->dead, id, id_len, false, &live, err);
    if (!status && live == VDB_NO_ROW) status = vdb_txn_delete(c->txn, id, id_len, err);
    return status;
}

static enum vdb_status carry_event(struct carrier *c, uint32_t row, struct vdb_error *err)
{
    if (row >= c->before->row_count || liveness_deleted(&c->seen, row)) return VDB_OK;
    bool was = !liveness_deleted(&c->before->dead, row),
         is = !liveness_deleted(&c->after->dead, row);
    enum vdb_status status = liveness_set(&c->seen, row, true, err);
    if (!status && was && !is) status = carry_end(c, row, err);
    if (!status && !was && is) status = carry_row(c, row, err);
    return status;
}

static enum vdb_status carry_commit(struct carrier *c, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t row = c->before->row_count; row < c->after->row_count && !status; row++)
        if (!liveness_deleted(&c->after->dead, row)) status = carry_row(c, row, err);
    const struct tail_commit *commit =
        tail_at(&c->after->generation->tail, c->after->tail_count - 1);
    for (uint32_t i = 0; i < commit->log.event_count && !status; i++) {
        struct disk_event event;
        memcpy(&event, commit->events + i * sizeof event, sizeof event);
        status = carry_event(c, le32_get(event.row), err);
    }
    return status;
}

static enum vdb_status carry(struct vdb *to, const struct vdb_snapshot *before,
                             const struct vdb_snapshot *after, struct vdb_error *err)
{
    struct carrier c = {.before = before, .after = after};
    enum vdb_status status = vdb_txn_begin(to, &c.txn, err);
    if (status) return status;
    c.vector = malloc(c.txn->dim * sizeof *c.vector);
    status = c.vector ? carry_commit(&c, err) : error_no_memory(err);
    free(c.vector);
    liveness_release(&c.seen);
    c.txn->replayed = true;
    c.txn->time_us = after->commit_time_us;
    if (!status) return vdb_txn_commit(c.txn, NULL, err);
    vdb_txn_abort(c.txn);
    return status;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Row counts differ between the two files. */
static bool has_name(const struct names *names, const struct snapshot_entry *entry)
{
    bool there;
    uint32_t place = names_place(names, entry->name, entry->name_len, &there);
    if (!there) return false;
    const struct snapshot_entry *other = names->entries[place];
    return other->commit == entry->commit && other->created_us == entry->created_us &&
           same_origin(&other->origin, &entry->origin);
}

static enum vdb_status add_change(struct buf *changes, unsigned operation,
                                  const struct snapshot_entry *entry, struct vdb_error *err)
{
    struct log_name_change change = {.operation = operation, .snapshot = *entry};
    return buf_append(changes, &change, sizeof change) ? error_no_memory(err) : VDB_OK;
}

/* What makes the names of `is` those of `want` that its commit can have; others follow later. */
static enum vdb_status names_between(const struct vdb_snapshot *is, const struct names *want,
                                     struct buf *changes, struct vdb_error *err)
{
    const struct names *names = is->names;
    struct snapshot_entry received = {.origin = want->origin};
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < names->count && !status; i++)
        if (!has_name(want, names->entries[i]))
            status = add_change(changes, DISK_NAME_REMOVE, names->entries[i], err);
    for (uint32_t i = 0; i < want->count && !status; i++)
        if (want->entries[i]->commit == is->commit && !has_name(names, want->entries[i]))
            status = add_change(changes, DISK_NAME_CREATE, want->entries[i], err);
    bool marked = names->received_commit == want->received_commit &&
                  same_origin(&names->origin, &want->origin);
    if (!status && !marked && want->received_commit == is->commit)
        status = add_change(changes, DISK_NAME_RECEIVED, &received, err);
    return status;
}

static enum vdb_status write_names(struct vdb *to, const struct buf *changes, struct vdb_error *err)
{
    struct vdb_txn *txn;
    enum vdb_status status = vdb_txn_begin(to, &txn, err);
    if (status) return status;
    for (size_t at = 0; at < changes->len && !status; at += sizeof(struct log_name_change))
        status =
            txn_name(txn, (const struct log_name_change *)(const void *)(changes->data + at), err);
    if (!status) return vdb_txn_commit(txn, NULL, err);
    vdb_txn_abort(txn);
    return status;
}

/* Gives the successor's newest commit the names that it has in `newest`, and takes away those that
 * are gone there. */
static enum vdb_status carry_names(struct catchup *c, const struct vdb_snapshot *newest,
                                   struct vdb_error *err)
{
    struct vdb_snapshot *is;
    struct buf changes = {0};
    enum vdb_status status = db_refresh(c->to, &is, err);
    if (status) return status;
    status = names_between(is, newest->names, &changes, err);
    if (!status && changes.len) status = write_names(c->to, &changes, err);
    snapshot_unref(is);
    buf_release(&changes);
    return status;
}

/* ---- commits ------------------------------------------------------------------------------- */

/* The state at `commit`, in a generation of its own, whose tail can be gone along anew. */
static enum vdb_status state_at(struct vdb *db, uint64_t commit, uint64_t file_len,
                                struct vdb_snapshot **state, struct vdb_error *err)
{
    struct generation *generation;
    struct vdb_snapshot *base;
    enum vdb_status status = generation_open(&db->maintained, NULL, &generation, err);
    if (!status) status = snapshot_create(generation, file_len, &db->options, &base, err);
    if (status) return status;
    uint64_t most = commit - base->commit;
    bool beyond;
    status = snapshot_advance(base, file_len, most, state, &beyond, err);
    snapshot_unref(base);
    return status;
}

/* Makes sure that c->at can see `file_len` bytes of the file. */
static enum vdb_status look_as_far(struct catchup *c, uint64_t file_len, struct vdb_error *err)
{
    struct vdb_snapshot *anew;
    if (c->at && file_len <= c->at->generation->view->cap) return VDB_OK;
    uint64_t commit = c->at ? c->at->commit : c->from->commit;
    enum vdb_status status = state_at(c->db, commit, file_len, &anew, err);
    if (status) return status;
    snapshot_unref(c->at);
    c->at = anew;
    return VDB_OK;
}

static enum vdb_status carry_all(struct catchup *c, const struct vdb_snapshot *newest,
                                 struct vdb_error *err)
{
    enum vdb_status status = look_as_far(c, newest->file_len, err);
    if (!status) status = carry_names(c, newest, err);
    while (!status && c->at->commit < newest->commit) {
        struct vdb_snapshot *after;
        bool beyond;
        status = snapshot_advance(c->at, newest->file_len, 1, &after, &beyond, err);
        if (!status && after->commit == c->at->commit) {
            snapshot_unref(after);
            status = error_set(err, VDB_INTERNAL, "the log ends before commit %llu",
                               (unsigned long long)newest->commit);
        }
        if (status) break;
        status = carry(c->to, c->at, after, err);
        snapshot_unref(c->at);
        c->at = after;
        if (!status) status = carry_names(c, newest, err);
    }
    return status;
}

enum vdb_status catchup_run(struct catchup *c, uint64_t *carried, struct vdb_error *err)
{
    struct vdb_snapshot *newest;
    *carried = 0;
    enum vdb_status status = db_refresh(c->db, &newest, err);
    if (status) return status;
    uint64_t done = c->at ? c->at->commit : c->from->commit;
    const struct names *names = c->names ? c->names : c->from->names;
    if (newest->commit > done || newest->names != names) {
        struct vdb_open_options alone = VDB_OPEN_OPTIONS_INIT; /* nobody else knows of it */
        alone.wait = 0;
        alone.threads = 1;
        if (!c->to) status = vdb_open(c->successor, &alone, &c->to, err);
        if (!status) c->to->unsynced = true;
        if (!status) status = carry_all(c, newest, err);
        names_unref(c->names);
        c->names = names_ref(newest->names);
        *carried = newest->commit - done;
    }
    snapshot_unref(newest);
    return status;
}

void catchup_release(struct catchup *c)
{
    snapshot_unref(c->at);
    names_unref(c->names);
    vdb_close(c->to);
}
