/* check_past.c: the states that can be gone back to, and what names say of them.
 *
 * The state that the log goes on from is made by undoing all that the log has; from there one way
 * leads back over the kept states, and the other forward over the commits, whose last one must be
 * the state that it all began with.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_past.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "check/check_records.h"
#include "format/states.h"
#include "state/past.h"
#include "state/rewind.h"

struct past_check {
    struct checker *checker;
    const struct vdb_snapshot *newest;
    const struct snapshot_entry **names; /* by their commits */
    uint32_t next;                       /* of these */
    bool has_states;
    struct states_view states;
    struct vdb_snapshot *base;
    bool rows_differ;
};

/* A state that can be had. */
struct point {
    uint64_t commit;
    int64_t time_us;
    uint32_t row_count, live_count;
};

/* ---- names --------------------------------------------------------------------------------- */

static int commit_order(const void *a, const void *b)
{
    const struct snapshot_entry *const *x = a, *const *y = b;
    return ((*x)->commit > (*y)->commit) - ((*x)->commit < (*y)->commit);
}

static enum vdb_status sort_names(struct past_check *p, struct vdb_error *err)
{
    const struct names *names = p->newest->names;
    p->names = malloc((names->count ? names->count : 1) * sizeof *p->names);
    if (!p->names) return error_no_memory(err);
    for (uint32_t i = 0; i < names->count; i++) p->names[i] = names->entries[i];
    qsort(p->names, names->count, sizeof *p->names, commit_order);
    return VDB_OK;
}

static void name_is_wrong(struct past_check *p, const struct snapshot_entry *name, const char *why)
{
    struct vdb_error finding;
    error_set_corrupt(&finding, "snapshot", p->newest->generation->superblock.manifest_off,
                      "snapshot %.*s of commit %llu, with %u of %u rows live, %s", name->name_len,
                      name->name, (unsigned long long)name->commit, name->live_count,
                      name->row_count, why);
    checker_report(p->checker, &finding);
}

/* Names of this point, and those before it whose commits did not come by. */
static void names_up_to(struct past_check *p, const struct point *point)
{
    for (; p->next < p->newest->names->count; p->next++) {
        const struct snapshot_entry *name = p->names[p->next];
        if (name->commit > point->commit) return;
        if (name->commit < point->commit)
            name_is_wrong(p, name, "which is not kept");
        else if (name->row_count != point->row_count || name->live_count != point->live_count ||
                 name->commit_time_us != point->time_us)
            name_is_wrong(p, name, "is not what that state is");
    }
}

/* ---- kept states --------------------------------------------------------------------------- */

static const struct segment_entry *states_segment(const struct manifest *m, uint32_t from)
{
    for (uint32_t i = from; i < m->segment_count; i++)
        if (m->segments[i].type == DISK_SEGMENT_STATES && m->segments[i].version == 1)
            return &m->segments[i];
    return NULL;
}

static enum vdb_status open_states(struct past_check *p, struct vdb_error *finding)
{
    const struct manifest *m = &p->newest->generation->manifest;
    const struct segment_entry *segment = states_segment(m, 0);
    if (!segment) return VDB_OK;
    const struct segment_entry *other = states_segment(m, (uint32_t)(segment - m->segments) + 1);
    if (other)
        return error_set_corrupt(finding, "states", other->off, "there are two states segments");
    p->has_states = true;
    return states_view_init(&p->states, p->newest->generation->view->base + segment->off,
                            (size_t)segment->len, segment->off, finding);
}

/* That they lie before the state that the log goes on from, and begin where the manifest says. */
static enum vdb_status check_bounds(const struct past_check *p, struct vdb_error *finding)
{
    const struct generation *g = p->newest->generation;
    uint64_t oldest = p->has_states ? states_at(&p->states, 0).commit : p->base->commit;
    if (g->manifest.horizon_commit != oldest)
        return error_set_corrupt(finding, "manifest", g->superblock.manifest_off,
                                 "the horizon is commit %llu, and the oldest state that of %llu",
                                 (unsigned long long)g->manifest.horizon_commit,
                                 (unsigned long long)oldest);
    if (!p->has_states) return VDB_OK;
    struct state_entry last = states_at(&p->states, p->states.count - 1);
    bool next = last.commit + 1 == p->base->commit;
    if (last.commit >= p->base->commit || last.row_count > p->base->row_count ||
        (next ? last.until_us != p->base->commit_time_us : last.until_us > p->base->commit_time_us))
        return error_set_corrupt(finding, "states", p->states.file_off,
                                 "the state at commit %llu does not go before that at commit %llu",
                                 (unsigned long long)last.commit,
                                 (unsigned long long)p->base->commit);
    return VDB_OK;
}

/* As many rows are live in it as follows from the records that were undone. */
static enum vdb_status check_base(const struct past_check *p, struct vdb_error *finding)
{
    uint32_t live = 0;
    for (uint32_t row = 0; row < p->base->row_count; row++)
        live += !liveness_deleted(&p->base->dead, row);
    if (live == p->base->live_count) return VDB_OK;
    return error_set_corrupt(finding, "log", p->newest->generation->manifest.log_extents[0].off,
                             "%u rows are live at commit %llu, and %u by the records behind it",
                             live, (unsigned long long)p->base->commit, p->base->live_count);
}

/* The liveness of the next state becomes that of state `index`; *live goes with it. */
static enum vdb_status turn_back(const struct past_check *p, uint32_t index, uint32_t rows,
                                 struct liveness *dead, uint32_t *live, struct vdb_error *finding)
{
    struct state_entry state = states_at(&p->states, index);
    for (uint32_t row = state.row_count; row < rows; row++) *live -= !liveness_deleted(dead, row);
    enum vdb_status status = liveness_hide(dead, state.row_count, rows, finding);
    uint32_t count;
    const uint8_t *flips = states_flips(&p->states, index, &count);
    for (uint32_t i = 0; i < count && !status; i++) {
        uint32_t row = le32_at(flips + (size_t)i * 4);
        bool deleted = liveness_deleted(dead, row);
        *live += deleted ? 1 : UINT32_MAX;
        status = liveness_set(dead, row, !deleted, finding);
    }
    if (!status && *live != state.live_count)
        return error_set_corrupt(finding, "states", p->states.file_off,
                                 "%u rows are live at commit %llu, expected %u", *live,
                                 (unsigned long long)state.commit, state.live_count);
    return status;
}

static enum vdb_status check_flips(const struct past_check *p, struct vdb_error *finding)
{
    struct liveness dead;
    uint32_t rows = p->base->row_count, live = p->base->live_count;
    enum vdb_status status = states_validate(&p->states, finding);
    if (!status) status = liveness_copy(&p->base->dead, &dead, finding);
    if (status) return status;
    for (uint32_t i = p->states.count; i-- > 0 && !status;) {
        status = turn_back(p, i, rows, &dead, &live, finding);
        rows = states_at(&p->states, i).row_count;
    }
    liveness_release(&dead);
    return status;
}

static void names_of_states(struct past_check *p)
{
    for (uint32_t i = 0; p->has_states && i < p->states.count; i++) {
        struct state_entry state = states_at(&p->states, i);
        names_up_to(
            p, &(struct point){state.commit, state.time_us, state.row_count, state.live_count});
    }
}

/* ---- recorded commits ---------------------------------------------------------------------- */

static enum vdb_status wrong_event(const struct log_commit *commit, uint32_t index,
                                   struct vdb_error *finding)
{
    return error_set_corrupt(finding, "log", commit->events.off + index * sizeof(struct disk_event),
                             "event %u of commit %llu cannot be", index,
                             (unsigned long long)commit->commit);
}

/* The commit's rows and events on top of the state before it. */
static enum vdb_status replay(const struct past_check *p, const struct log_commit *commit,
                              struct liveness *dead, uint32_t *live, struct vdb_error *finding)
{
    const uint8_t *events = p->newest->generation->view->base + commit->events.off;
    uint32_t end = commit->row_base + commit->row_count;
    enum vdb_status status = VDB_OK;
    for (uint32_t row = commit->row_base; row < end && !status; row++)
        status = liveness_set(dead, row, false, finding);
    *live += commit->row_count;
    for (uint32_t i = 0; i < commit->event_count && !status; i++) {
        struct disk_event event;
        memcpy(&event, events + (size_t)i * sizeof event, sizeof event);
        uint32_t row = le32_get(event.row), kind = le32_get(event.kind);
        bool restore = kind == DISK_EVENT_RESTORE;
        if (row >= end || kind < DISK_EVENT_DELETE || kind > DISK_EVENT_REPLACE ||
            liveness_deleted(dead, row) != restore)
            return wrong_event(commit, i, finding);
        *live += restore ? 1 : UINT32_MAX;
        status = liveness_set(dead, row, !restore, finding);
    }
    return status;
}

/* A commit goes on from the point before it, which then is the commit's. */
static enum vdb_status go_on(struct past_check *p, const struct log_commit *commit,
                             struct point *point, struct liveness *dead, struct vdb_error *finding)
{
    if (commit->row_base != point->row_count || commit->time_us < point->time_us)
        return error_set_corrupt(finding, "log", commit->record_off,
                                 "commit %llu does not go on from the one before it",
                                 (unsigned long long)commit->commit);
    if (p->checker->options->deep) {
        uint32_t live = point->live_count;
        enum vdb_status status = replay(p, commit, dead, &live, finding);
        if (status) return status;
        if (live != commit->live_count)
            return error_set_corrupt(finding, "log", commit->record_off,
                                     "%u rows are live after commit %llu, expected %u", live,
                                     (unsigned long long)commit->commit, commit->live_count);
    }
    *point = (struct point){commit->commit, commit->time_us, commit->row_base + commit->row_count,
                            commit->live_count};
    return VDB_OK;
}

/* What the events lead to is what tombstones and the log say of the newest state. */
static enum vdb_status check_end(const struct past_check *p, const struct liveness *dead,
                                 struct vdb_error *finding)
{
    const struct vdb_snapshot *s = p->newest;
    uint32_t row = liveness_next_difference(dead, &s->dead, 0, s->row_count);
    if (row >= s->row_count) return VDB_OK;
    const struct part *part = generation_part_of_row(s->generation, row);
    const struct segment_entry *tombstones =
        part ? manifest_segment(&s->generation->manifest, part->entry, DISK_SEGMENT_TOMBSTONE)
             : NULL;
    return error_set_corrupt(finding, "tombstone", tombstones ? tombstones->off : 0,
                             "row %u is %s, and by the events of the log it is not", row,
                             liveness_deleted(&s->dead, row) ? "deleted" : "live");
}

/* Until rows are found that are not the same: in a damaged part they may be many. */
static enum vdb_status check_rows_of(struct past_check *p, const struct log_commit *commit,
                                     struct vdb_error *finding)
{
    struct vdb_error wrong;
    if (p->rows_differ) return VDB_OK;
    enum vdb_status status = check_record_rows(p->newest, commit, &p->rows_differ, &wrong);
    if (status && status != VDB_CORRUPT) *finding = wrong;
    return checker_take(p->checker, status, &wrong);
}

static enum vdb_status check_commits(struct past_check *p, struct vdb_error *finding)
{
    const struct vdb_snapshot *base = p->base;
    struct point point = {base->commit, base->commit_time_us, base->row_count, base->live_count};
    struct liveness dead;
    struct past past;
    struct log_commit commit;
    enum vdb_status status = liveness_copy(&base->dead, &dead, finding);
    if (status) return status;
    names_up_to(p, &point);
    past_init(&past, p->newest, base->commit);
    bool deep = p->checker->options->deep;
    while (!status && (status = past_next(&past, &commit, finding)) == VDB_OK) {
        bool before = commit.commit <= p->newest->generation->manifest.commit;
        if (before) checker_blocks(p->checker, &commit);
        if (before && deep) status = check_rows_of(p, &commit, finding);
        if (!status) status = go_on(p, &commit, &point, &dead, finding);
        if (!status) names_up_to(p, &point);
    }
    if (status == VDB_NOT_FOUND) status = deep ? check_end(p, &dead, finding) : VDB_OK;
    liveness_release(&dead);
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vdb_status check_all(struct past_check *p, struct vdb_error *finding)
{
    enum vdb_status status = open_states(p, finding);
    if (!status) status = rewind_to(p->newest, past_first_commit(p->newest) - 1, &p->base, finding);
    if (!status) status = check_bounds(p, finding);
    bool deep = p->checker->options->deep;
    if (!status && deep) status = check_base(p, finding);
    if (!status && deep && p->has_states) status = check_flips(p, finding);
    if (status) return status;
    names_of_states(p);
    return check_commits(p, finding);
}

enum vdb_status check_past(struct checker *c, const struct vdb_snapshot *s, struct vdb_error *err)
{
    struct past_check p = {.checker = c, .newest = s};
    struct vdb_error finding;
    enum vdb_status status = sort_names(&p, err);
    if (status) return status;
    status = checker_take(c, check_all(&p, &finding), &finding);
    if (status && err) *err = finding;
    snapshot_unref(p.base);
    free(p.names);
    return status;
}
