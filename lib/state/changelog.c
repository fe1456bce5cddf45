/* changelog.c: the changes that led to a snapshot, one by one; implements format-spec/history.md.
 *
 * History segments tell of commits whose records are gone, records of the others. A record names
 * the rows that its commit ended, and rows keep their numbers as long as the file lives: so their
 * ids are asked of the snapshot.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/options.h"
#include "format/history.h"
#include "state/past.h"
#include "state/snapshot.h"
#include "state/verify.h"
#include "vdb.h"

/* A row that its commit replaced by another of the same id: by the next one with that id, of those
 * it added. */
struct replaced {
    uint64_t hash;
    uint32_t row;
    bool told; /* the other row was told to be an update */
};

struct vdb_log {
    struct vdb_snapshot *snapshot;
    struct vdb_log_options options;
    uint64_t skip; /* changes to be passed over, so that the newest are left */

    /* History segments. */
    uint32_t segment; /* the next one to look at, of the manifest's table */
    uint64_t expect;  /* the commit that it begins with; 0: not known yet */
    bool in_segment;
    struct history_view view;
    struct history_iter iter;

    /* Records. */
    struct past past;
    bool in_commit;
    struct log_commit commit; /* the one that is being listed */
    struct ids_view ids;
    const uint8_t *events;
    uint32_t row, event; /* the next ones */
    struct buf replaced; /* struct replaced, by hash and row */
};

static const struct manifest *manifest_of(const struct vdb_log *log)
{
    return &log->snapshot->generation->manifest;
}

static const uint8_t *file_of(const struct vdb_log *log)
{
    return log->snapshot->generation->view->base;
}

/* ---- history segments ---------------------------------------------------------------------- */

/* Goes to the next segment that has commits after since_commit. *found: there is one. */
static enum vdb_status open_segment(struct vdb_log *log, bool *found, struct vdb_error *err)
{
    const struct manifest *m = manifest_of(log);
    *found = false;
    while (log->segment < m->segment_count) {
        const struct segment_entry *s = &m->segments[log->segment++];
        if (s->type != DISK_SEGMENT_HISTORY || s->version != 1) continue;
        enum vdb_status status =
            history_view_init(&log->view, file_of(log) + s->off, (size_t)s->len, s->off, err);
        if (status) return status;
        if ((log->expect && log->view.first_commit != log->expect) ||
            log->view.last_commit >= past_first_commit(log->snapshot))
            return error_set_corrupt(err, "history", s->off,
                                     "commits %llu to %llu do not go on from those before",
                                     (unsigned long long)log->view.first_commit,
                                     (unsigned long long)log->view.last_commit);
        log->expect = log->view.last_commit + 1;
        if (log->view.last_commit <= log->options.since_commit) continue;
        status = verify_bytes(file_of(log), "history", s->off, s->len, s->check, err);
        if (status) return status;
        history_iter_init(&log->iter, &log->view);
        *found = log->in_segment = true;
        return VDB_OK;
    }
    return VDB_OK;
}

static void close_segment(struct vdb_log *log)
{
    if (log->in_segment) history_iter_release(&log->iter);
    log->in_segment = false;
}

static bool wanted(const struct vdb_log *log, uint64_t commit, int64_t time_us)
{
    return commit > log->options.since_commit && commit <= log->snapshot->commit &&
           (log->options.since_us == 0 || time_us >= log->options.since_us);
}

/* Whether every change of the open segment is wanted, as its header tells. */
static bool wanted_whole(const struct vdb_log *log)
{
    return log->view.first_commit > log->options.since_commit &&
           log->view.last_commit <= log->snapshot->commit && log->options.since_us == 0;
}

static enum vdb_status next_in_segment(struct vdb_log *log, struct vdb_log_entry *entry,
                                       struct vdb_error *err)
{
    struct history_entry at;
    for (;;) {
        if (log->skip && wanted_whole(log)) log->skip -= history_pass(&log->iter, log->skip);
        enum vdb_status status = history_next(&log->iter, &at, err);
        if (status) return status;
        if (!wanted(log, at.commit, at.time_us)) continue;
        if (log->skip == 0) break;
        log->skip--;
    }
    *entry = (struct vdb_log_entry){at.commit, at.time_us, (enum vdb_operation)at.operation,
                                    at.id,     at.id_len,  UINT32_MAX};
    return VDB_OK;
}

/* Changes of the open segment that are wanted. */
static enum vdb_status count_in_segment(struct vdb_log *log, uint64_t *count, struct vdb_error *err)
{
    struct history_entry at;
    enum vdb_status status = VDB_OK;
    if (wanted_whole(log)) {
        *count += log->view.entries;
        return VDB_OK;
    }
    while ((status = history_next(&log->iter, &at, err)) == VDB_OK)
        *count += wanted(log, at.commit, at.time_us);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

/* ---- records ------------------------------------------------------------------------------- */

static struct disk_event event_at(const struct vdb_log *log, uint32_t index)
{
    struct disk_event event;
    memcpy(&event, log->events + (size_t)index * sizeof event, sizeof event);
    return event;
}

static enum vdb_status check_event(const struct vdb_log *log, uint32_t index, struct vdb_error *err)
{
    struct disk_event event = event_at(log, index);
    uint32_t row = le32_get(event.row), kind = le32_get(event.kind);
    uint32_t rows = log->commit.row_base + log->commit.row_count;
    if (row < rows && kind >= DISK_EVENT_DELETE && kind <= DISK_EVENT_REPLACE) return VDB_OK;
    return error_set_corrupt(err, "log", log->commit.events.off + (uint64_t)index * sizeof event,
                             "event of kind %u names row %u of %u", kind, row, rows);
}

static enum vdb_status verify_block(const struct vdb_log *log, const struct log_block *block,
                                    struct vdb_error *err)
{
    if (!block->len) return VDB_OK;
    return verify_bytes(file_of(log), "log", block->off, block->len, block->check, err);
}

/* Takes the next commit that is wanted, with its events in order; in_commit: there was one. */
static enum vdb_status open_commit(struct vdb_log *log, struct vdb_error *err)
{
    log->in_commit = false;
    do {
        enum vdb_status status = past_next(&log->past, &log->commit, err);
        if (status) return status == VDB_NOT_FOUND ? VDB_OK : status;
    } while (!wanted(log, log->commit.commit, log->commit.time_us));
    log->in_commit = true;
    log->row = log->event = 0;
    log->events = file_of(log) + log->commit.events.off;
    enum vdb_status status = verify_block(log, &log->commit.events, err);
    for (uint32_t i = 0; i < log->commit.event_count && !status; i++)
        status = check_event(log, i, err);
    return status;
}

/* Replacing is told by the rows added. */
static uint64_t count_in_commit(const struct vdb_log *log)
{
    uint64_t count = log->commit.row_count;
    for (uint32_t i = 0; i < log->commit.event_count; i++)
        count += le32_get(event_at(log, i).kind) != DISK_EVENT_REPLACE;
    return count;
}

static int by_hash_and_row(const void *a, const void *b)
{
    const struct replaced *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static enum vdb_status gather_replaced(struct vdb_log *log, struct vdb_error *err)
{
    buf_clear(&log->replaced);
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < log->commit.event_count && !status; i++) {
        struct disk_event event = event_at(log, i);
        struct replaced add = {.row = le32_get(event.row)};
        const char *id;
        size_t id_len;
        if (le32_get(event.kind) != DISK_EVENT_REPLACE) continue;
        status = vdb_row_id(log->snapshot, add.row, &id, &id_len, err);
        if (status) break;
        add.hash = checksum(id, id_len);
        if (buf_append(&log->replaced, &add, sizeof add)) status = error_no_memory(err);
    }
    size_t count = log->replaced.len / sizeof(struct replaced);
    if (!status && count > 1)
        qsort(log->replaced.data, count, sizeof(struct replaced), by_hash_and_row);
    return status;
}

/* Reads the rest of the commit, of which some change will be told. */
static enum vdb_status read_commit(struct vdb_log *log, struct vdb_error *err)
{
    const struct log_commit *c = &log->commit;
    if (!c->row_count) return VDB_OK;
    enum vdb_status status = verify_block(log, &c->ids, err);
    if (!status)
        status = ids_view_init(&log->ids, file_of(log) + c->ids.off, (size_t)c->ids.len,
                               c->row_count, c->ids.off, err);
    return status ? status : gather_replaced(log, err);
}

/* Whether the row, which the commit added, took the place of a live one: of the nearest replaced
 * row before it that has its id, unless another row did. Rows are to be asked in their order. */
static enum vdb_status is_update(struct vdb_log *log, const char *id, size_t id_len, uint32_t row,
                                 bool *update, struct vdb_error *err)
{
    struct replaced *all = (struct replaced *)(void *)log->replaced.data;
    struct replaced sought = {.hash = checksum(id, id_len), .row = row};
    size_t low = 0, high = log->replaced.len / sizeof *all;
    *update = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_hash_and_row(&all[middle], &sought) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low-- > 0 && all[low].hash == sought.hash) {
        const char *other;
        size_t other_len;
        enum vdb_status status = vdb_row_id(log->snapshot, all[low].row, &other, &other_len, err);
        if (status) return status;
        if (other_len != id_len || memcmp(other, id, id_len) != 0) continue;
        *update = !all[low].told;
        all[low].told = true;
        break;
    }
    return VDB_OK;
}

static enum vdb_status next_row(struct vdb_log *log, struct vdb_log_entry *entry,
                                struct vdb_error *err)
{
    uint32_t local = log->row++;
    bool update;
    entry->row = log->commit.row_base + local;
    enum vdb_status status = ids_get(&log->ids, local, &entry->id, &entry->id_len, err);
    if (!status) status = is_update(log, entry->id, entry->id_len, entry->row, &update, err);
    if (!status) entry->operation = update ? VDB_OPERATION_UPDATE : VDB_OPERATION_ADD;
    return status;
}

/* VDB_NOT_FOUND: the commit has no further change. */
static enum vdb_status next_in_commit(struct vdb_log *log, struct vdb_log_entry *entry,
                                      struct vdb_error *err)
{
    const struct log_commit *c = &log->commit;
    *entry = (struct vdb_log_entry){.commit = c->commit, .time_us = c->time_us};
    while (log->row < c->row_count) {
        enum vdb_status status = next_row(log, entry, err);
        if (status || log->skip == 0) return status;
        log->skip--;
    }
    while (log->event < c->event_count) {
        struct disk_event event = event_at(log, log->event++);
        uint32_t kind = le32_get(event.kind);
        if (kind == DISK_EVENT_REPLACE) continue;
        if (log->skip) {
            log->skip--;
            continue;
        }
        entry->row = le32_get(event.row);
        entry->operation = kind == DISK_EVENT_DELETE ? VDB_OPERATION_DELETE : VDB_OPERATION_RESTORE;
        return vdb_row_id(log->snapshot, entry->row, &entry->id, &entry->id_len, err);
    }
    return VDB_NOT_FOUND;
}

/* ---- both ---------------------------------------------------------------------------------- */

static void rewind_log(struct vdb_log *log)
{
    close_segment(log);
    log->segment = 0;
    log->expect = 0;
    log->in_commit = false;
    past_init(&log->past, log->snapshot, log->options.since_commit);
}

/* How many changes are wanted in all. */
static enum vdb_status count_all(struct vdb_log *log, uint64_t *count, struct vdb_error *err)
{
    bool found = true;
    enum vdb_status status = VDB_OK;
    *count = 0;
    while (found && !status) {
        status = open_segment(log, &found, err);
        if (!status && found) status = count_in_segment(log, count, err);
        close_segment(log);
    }
    do {
        if (!status) status = open_commit(log, err);
        if (!status && log->in_commit) *count += count_in_commit(log);
    } while (!status && log->in_commit);
    return status;
}

enum vdb_status vdb_log_open(const struct vdb_snapshot *snapshot,
                             const struct vdb_log_options *options, struct vdb_log **out,
                             struct vdb_error *err)
{
    struct vdb_log_options chosen = VDB_LOG_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct vdb_log *log = calloc(1, sizeof *log);
    if (!log) return error_no_memory(err);
    log->snapshot = snapshot_ref((struct vdb_snapshot *)(uintptr_t)snapshot);
    log->options = chosen;
    rewind_log(log);
    uint64_t count = 0;
    if (chosen.last) status = count_all(log, &count, err);
    if (status) {
        vdb_log_close(log);
        return status;
    }
    if (chosen.last) rewind_log(log);
    log->skip = count > chosen.last ? count - chosen.last : 0;
    *out = log;
    return VDB_OK;
}

static enum vdb_status next_in_segments(struct vdb_log *log, struct vdb_log_entry *entry,
                                        struct vdb_error *err)
{
    for (;;) {
        bool found = log->in_segment;
        enum vdb_status status = found ? VDB_OK : open_segment(log, &found, err);
        if (status) return status;
        if (!found) return VDB_NOT_FOUND;
        status = next_in_segment(log, entry, err);
        if (status != VDB_NOT_FOUND) return status;
        close_segment(log);
    }
}

static enum vdb_status next_in_records(struct vdb_log *log, struct vdb_log_entry *entry,
                                       struct vdb_error *err)
{
    for (;;) {
        enum vdb_status status = log->in_commit ? next_in_commit(log, entry, err) : VDB_NOT_FOUND;
        if (status != VDB_NOT_FOUND) return status;
        status = open_commit(log, err);
        if (status) return status;
        if (!log->in_commit) return VDB_NOT_FOUND;
        uint64_t count = log->skip ? count_in_commit(log) : 0;
        if (log->skip && log->skip >= count) {
            log->skip -= count;
            log->in_commit = false;
            continue;
        }
        status = read_commit(log, err);
        if (status) return status;
    }
}

enum vdb_status vdb_log_next(struct vdb_log *log, struct vdb_log_entry *entry,
                             struct vdb_error *err)
{
    enum vdb_status status = next_in_segments(log, entry, err);
    return status == VDB_NOT_FOUND ? next_in_records(log, entry, err) : status;
}

uint64_t vdb_log_first_commit(const struct vdb_log *log)
{
    const struct manifest *m = manifest_of(log);
    for (uint32_t i = 0; i < m->segment_count; i++) {
        const struct segment_entry *s = &m->segments[i];
        struct history_view view;
        if (s->type == DISK_SEGMENT_HISTORY && s->version == 1 &&
            !history_view_init(&view, file_of(log) + s->off, (size_t)s->len, s->off, NULL))
            return view.first_commit;
    }
    return past_first_commit(log->snapshot);
}

void vdb_log_close(struct vdb_log *log)
{
    if (!log) return;
    close_segment(log);
    buf_release(&log->replaced);
    snapshot_unref(log->snapshot);
    free(log);
}
