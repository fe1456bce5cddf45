/* rewind.c: the state after an earlier commit, made from a newer one.
 *
 * Rows keep their numbers as long as the file lives, so a state is how many rows there were and
 * which of them were deleted. Of a row that later commits deleted, replaced or restored, the first
 * of these tells what it was before. States older than the log's first record are those that a
 * compaction kept, each told by what differs from the next one (format-spec/states.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/rewind.h"

#include <string.h>

#include "base/error.h"
#include "base/le.h"
#include "format/states.h"
#include "state/past.h"
#include "state/verify.h"

/* ---- commits of the log -------------------------------------------------------------------- */

struct rewinding {
    const struct vdb_snapshot *from;
    struct vdb_snapshot *to;
    struct liveness seen; /* rows that an event was found for */
    bool counted;         /* the row and live counts of `to` are known */
};

static struct disk_event event_at(const uint8_t *events, uint32_t index)
{
    struct disk_event event;
    memcpy(&event, events + (size_t)index * sizeof event, sizeof event);
    return event;
}

/* The commit after the one to go back to tells what there was before it. */
static enum vdb_status take_counts(struct rewinding *r, const struct log_commit *next,
                                   const uint8_t *events, struct vdb_error *err)
{
    uint64_t live = next->live_count;
    for (uint32_t i = 0; i < next->event_count; i++)
        live += le32_get(event_at(events, i).kind) == DISK_EVENT_RESTORE ? UINT64_MAX : 1;
    live -= next->row_count;
    if (live > next->row_base)
        return error_set_corrupt(err, "log", next->record_off,
                                 "commit %llu leaves %u rows live of %u, by %u events",
                                 (unsigned long long)next->commit, next->live_count,
                                 next->row_base + next->row_count, next->event_count);
    r->to->row_count = next->row_base;
    r->to->live_count = (uint32_t)live;
    r->counted = true;
    return VDB_OK;
}

static enum vdb_status undo_event(struct rewinding *r, const struct log_commit *commit,
                                  struct disk_event event, struct vdb_error *err)
{
    uint32_t row = le32_get(event.row), kind = le32_get(event.kind);
    if (row >= commit->row_base + commit->row_count || kind < DISK_EVENT_DELETE ||
        kind > DISK_EVENT_REPLACE)
        return error_set_corrupt(err, "log", commit->events.off, "event of kind %u names row %u",
                                 kind, row);
    if (row >= r->to->row_count || liveness_deleted(&r->seen, row)) return VDB_OK;
    enum vdb_status status = liveness_set(&r->seen, row, true, err);
    return status ? status : liveness_set(&r->to->dead, row, kind == DISK_EVENT_RESTORE, err);
}

static enum vdb_status undo_commit(struct rewinding *r, const struct log_commit *commit,
                                   struct vdb_error *err)
{
    const uint8_t *file = r->from->generation->view->base;
    enum vdb_status status = VDB_OK;
    if (commit->event_count)
        status = verify_bytes(file, "log", commit->events.off, commit->events.len,
                              commit->events.check, err);
    if (!status && !r->counted) status = take_counts(r, commit, file + commit->events.off, err);
    for (uint32_t i = 0; i < commit->event_count && !status; i++)
        status = undo_event(r, commit, event_at(file + commit->events.off, i), err);
    return status;
}

/* When a commit was made that the log has, or that it goes on from. */
static enum vdb_status time_of(const struct vdb_snapshot *s, uint64_t commit, int64_t *time_us,
                               struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    for (uint32_t i = 0; i < m->log_extent_count; i++)
        if (m->log_extents[i].first_commit == commit + 1) {
            *time_us = m->log_extents[i].time_us;
            return VDB_OK;
        }
    struct past past;
    struct log_commit at;
    past_init(&past, s, commit - 1);
    enum vdb_status status = past_next(&past, &at, err);
    if (status == VDB_NOT_FOUND || (!status && at.commit != commit))
        return error_set_corrupt(err, "log", 0, "commit %llu is not in the log",
                                 (unsigned long long)commit);
    if (!status) *time_us = at.time_us;
    return status;
}

/* To a commit that is not before the one that the log goes on from. */
static enum vdb_status rewind_log(const struct vdb_snapshot *from, uint64_t commit,
                                  struct vdb_snapshot **past, struct vdb_error *err)
{
    struct rewinding r = {.from = from};
    enum vdb_status status = snapshot_clone(from, &r.to, err);
    if (status || commit == from->commit) {
        *past = r.to;
        return status;
    }
    struct past later;
    struct log_commit record;
    past_init(&later, from, commit);
    while (!status && (status = past_next(&later, &record, err)) == VDB_OK)
        status = undo_commit(&r, &record, err);
    if (status == VDB_NOT_FOUND)
        status = r.counted ? VDB_OK
                           : error_set_corrupt(err, "log", 0, "commit %llu is not in the log",
                                               (unsigned long long)commit + 1);
    liveness_release(&r.seen);
    struct vdb_snapshot *to = r.to;
    to->commit = commit;
    if (!status) status = time_of(from, commit, &to->commit_time_us, err);
    if (!status) status = liveness_hide(&to->dead, to->row_count, from->row_count, err);
    uint64_t base = to->generation->manifest.commit;
    to->tail_count = commit > base ? (uint32_t)(commit - base) : 0;
    if (!status)
        *past = to;
    else
        snapshot_unref(to);
    return status;
}

/* ---- states that a compaction kept --------------------------------------------------------- */

static enum vdb_status not_kept(const struct vdb_snapshot *s, const struct states_view *view,
                                uint64_t commit, struct vdb_error *err)
{
    uint64_t oldest = s->generation->manifest.horizon_commit, next = past_first_commit(s) - 1;
    if (commit < oldest || !view)
        return error_set(err, VDB_NOT_FOUND,
                         "commit %llu is not kept any more: the oldest that is, is commit %llu",
                         (unsigned long long)commit, (unsigned long long)oldest);
    uint32_t at = states_from(view, commit);
    uint64_t before = at ? states_at(view, at - 1).commit : oldest;
    if (at < view->count) next = states_at(view, at).commit;
    return error_set(err, VDB_NOT_FOUND,
                     "commit %llu is not kept any more: commit %llu is, and then commit %llu; the "
                     "oldest is commit %llu",
                     (unsigned long long)commit, (unsigned long long)before,
                     (unsigned long long)next, (unsigned long long)oldest);
}

static enum vdb_status turn(struct vdb_snapshot *to, const struct states_view *view, uint32_t index,
                            struct vdb_error *err)
{
    uint32_t count;
    const uint8_t *flips = states_flips(view, index, &count);
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < count && !status; i++) {
        uint32_t row = le32_at(flips + (size_t)i * 4);
        if (row >= to->row_count)
            return error_set_corrupt(err, "states", 0, "state %u names row %u of %u", index, row,
                                     to->row_count);
        status = liveness_set(&to->dead, row, !liveness_deleted(&to->dead, row), err);
    }
    return status;
}

/* `base` is a state that was kept, or the one that the log goes on from; it becomes the one wanted.
 */
static enum vdb_status rewind_states(struct vdb_snapshot *base, const struct states_view *view,
                                     uint64_t commit, struct vdb_error *err)
{
    bool kept = base->commit + 1 < past_first_commit(base);
    uint32_t last = states_from(view, commit);
    uint32_t begin = kept ? states_from(view, base->commit) : view->count;
    struct state_entry state = {0};
    if (last < view->count) state = states_at(view, last);
    if (state.commit != commit) return not_kept(base, view, commit, err);
    enum vdb_status status = VDB_OK;
    for (uint32_t i = begin; i-- > last && !status;) {
        state = states_at(view, i);
        if (state.row_count > base->row_count)
            return error_set_corrupt(err, "states", 0, "state %u has %u rows, the next one %u", i,
                                     state.row_count, base->row_count);
        status = liveness_hide(&base->dead, state.row_count, base->row_count, err);
        base->row_count = state.row_count;
        if (!status) status = turn(base, view, i, err);
    }
    base->live_count = state.live_count;
    base->commit = state.commit;
    base->commit_time_us = state.time_us;
    return status;
}

enum vdb_status rewind_to(const struct vdb_snapshot *from, uint64_t commit,
                          struct vdb_snapshot **past, struct vdb_error *err)
{
    if (commit == 0)
        return error_set(err, VDB_NOT_FOUND,
                         "commit 0 never was: the oldest that is kept is commit %llu",
                         (unsigned long long)from->generation->manifest.horizon_commit);
    if (commit > from->commit)
        return error_set(err, VDB_NOT_FOUND, "commit %llu is still to come: the newest is %llu",
                         (unsigned long long)commit, (unsigned long long)from->commit);
    uint64_t base = past_first_commit(from) - 1;
    if (commit >= base || commit == from->commit) return rewind_log(from, commit, past, err);
    struct states_view view;
    bool found;
    enum vdb_status status = past_states(from, &view, &found, err);
    if (!status && !found) status = not_kept(from, NULL, commit, err);
    struct vdb_snapshot *to = NULL;
    if (!status) status = rewind_log(from, from->commit < base ? from->commit : base, &to, err);
    if (!status) status = rewind_states(to, &view, commit, err);
    if (!status)
        *past = to;
    else
        snapshot_unref(to);
    return status;
}

enum vdb_status vdb_snapshot_at(const struct vdb_snapshot *snapshot, uint64_t commit,
                                const struct vdb_snapshot **past, struct vdb_error *err)
{
    struct vdb_snapshot *to;
    enum vdb_status status = rewind_to(snapshot, commit, &to, err);
    if (!status) *past = to;
    return status;
}

/* ---- commits by time ----------------------------------------------------------------------- */

static enum vdb_status commit_of_states(const struct vdb_snapshot *s, int64_t time_us,
                                        uint64_t *commit, struct vdb_error *err)
{
    struct states_view view;
    bool found;
    enum vdb_status status = past_states(s, &view, &found, err);
    for (uint32_t i = found && !status ? view.count : 0; i-- > 0;) {
        struct state_entry state = states_at(&view, i);
        if (time_us < state.time_us) continue;
        *commit = state.commit;
        if (time_us < state.until_us) return VDB_OK;
        break;
    }
    uint64_t oldest = s->generation->manifest.horizon_commit;
    if (status) return status;
    return error_set(err, VDB_NOT_FOUND,
                     "the commit of that time is not kept any more: the oldest that is, is "
                     "commit %llu",
                     (unsigned long long)oldest);
}

static enum vdb_status commit_of_log(const struct vdb_snapshot *s, int64_t time_us,
                                     uint64_t *commit, struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    uint32_t extent = 0;
    while (extent + 1 < m->log_extent_count && m->log_extents[extent + 1].time_us <= time_us)
        extent++;
    struct past past;
    struct log_commit record;
    enum vdb_status status;
    *commit = m->log_extents[extent].first_commit - 1;
    past_init(&past, s, *commit);
    while ((status = past_next(&past, &record, err)) == VDB_OK && record.time_us <= time_us)
        *commit = record.commit;
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

enum vdb_status vdb_commit_at(const struct vdb_snapshot *s, int64_t time_us, uint64_t *commit,
                              struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    if (time_us >= s->commit_time_us) {
        *commit = s->commit;
        return VDB_OK;
    }
    if (time_us < m->created_us)
        return error_set(err, VDB_NOT_FOUND, "the index was made later than that");
    bool in_log = m->log_extent_count && time_us >= m->log_extents[0].time_us;
    return in_log ? commit_of_log(s, time_us, commit, err)
                  : commit_of_states(s, time_us, commit, err);
}
