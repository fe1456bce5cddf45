/* past.c: the commits that are recorded in a file, from the oldest on.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/past.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"

static const struct manifest *manifest_of(const struct past *p)
{
    return &p->snapshot->generation->manifest;
}

uint64_t past_first_commit(const struct vdb_snapshot *s)
{
    const struct manifest *m = &s->generation->manifest;
    return m->log_extent_count ? m->log_extents[0].first_commit : m->commit + 1;
}

void past_init(struct past *p, const struct vdb_snapshot *s, uint64_t since)
{
    *p = (struct past){.snapshot = s, .since = since};
    const struct manifest *m = manifest_of(p);
    if (since >= m->commit) {
        uint64_t known = since - m->commit;
        p->extent = m->log_extent_count;
        p->tail = known < s->tail_count ? (uint32_t)known : s->tail_count;
        return;
    }
    while (p->extent + 1 < m->log_extent_count &&
           m->log_extents[p->extent + 1].first_commit <= since + 1)
        p->extent++;
}

/* Whoever does not come from the extent before takes the chain value from the first record, whose
 * own checksum covers it. */
static void enter(struct past *p)
{
    const struct log_extent_entry *extent = &manifest_of(p)->log_extents[p->extent];
    struct disk_record head;
    memcpy(&head, p->snapshot->generation->view->base + extent->off, sizeof head);
    p->cursor = (struct log_cursor){extent->off, extent->off + extent->len,
                                    le64_get(head.prev_check), extent->first_commit - 1};
    p->entered = true;
}

/* The link led out of an extent: to the next one of the table. */
static enum vdb_status go_on(struct past *p, struct vdb_error *err)
{
    const struct manifest *m = manifest_of(p);
    if (p->extent + 1 < m->log_extent_count) {
        const struct log_extent_entry *next = &m->log_extents[++p->extent];
        if (p->cursor.off == next->off && p->cursor.end == next->off + next->len &&
            p->cursor.commit + 1 == next->first_commit)
            return VDB_OK;
    }
    return error_set_corrupt(err, "log", p->cursor.off,
                             "the log goes on after commit %llu where the manifest has no extent",
                             (unsigned long long)p->cursor.commit);
}

static enum vdb_status check_commit(struct past *p, const struct log_commit *commit,
                                    struct vdb_error *err)
{
    const struct vdb_snapshot *s = p->snapshot;
    p->bytes += commit->vectors.len + commit->ids.len + commit->metadata.len + commit->events.len;
    if (p->bytes > s->file_len)
        return error_set_corrupt(err, "log", commit->record_off,
                                 "the blocks up to commit %llu overlap",
                                 (unsigned long long)commit->commit);
    if (commit->row_base <= s->row_count && commit->row_count <= s->row_count - commit->row_base)
        return VDB_OK;
    return error_set_corrupt(
        err, "log", commit->record_off, "commit %llu adds %u rows from %u, and there are %u",
        (unsigned long long)commit->commit, commit->row_count, commit->row_base, s->row_count);
}

/* The past ends where the superblock has the log go on, with the commit and the chain value that
 * are named there. */
static enum vdb_status end_extents(struct past *p, struct vdb_error *err)
{
    const struct superblock *sb = &p->snapshot->generation->superblock;
    const struct manifest *m = manifest_of(p);
    p->extent = m->log_extent_count;
    if (p->cursor.commit == m->commit && p->cursor.check == sb->log_check) return VDB_OK;
    return error_set_corrupt(err, "log", p->cursor.off,
                             "the log before it ends with commit %llu, and the manifest's is %llu",
                             (unsigned long long)p->cursor.commit, (unsigned long long)m->commit);
}

/* *found: there is one in the extents. */
static enum vdb_status next_in_extents(struct past *p, struct log_commit *commit, bool *found,
                                       struct vdb_error *err)
{
    const struct generation *g = p->snapshot->generation;
    struct log_names names;
    *found = false;
    while (p->extent < g->manifest.log_extent_count) {
        bool last = p->extent + 1 == g->manifest.log_extent_count;
        const struct log_extent_entry *extent = &g->manifest.log_extents[p->extent];
        if (!p->entered && last && extent->off == g->superblock.log_off) {
            p->extent++; /* it has nothing of the past */
            return VDB_OK;
        }
        if (!p->entered) enter(p);
        if (last && p->cursor.off == g->superblock.log_off) return end_extents(p, err);
        enum log_step step = LOG_ENDS;
        if (!last || p->cursor.off < g->superblock.log_off)
            step = log_next(g->view->base, p->snapshot->file_len, &p->cursor, commit, &names);
        if (step == LOG_UNKNOWN) return log_unknown(g->view->base, &p->cursor, err);
        if (!log_went_on(step))
            return error_set_corrupt(err, "log", p->cursor.off,
                                     "the record after commit %llu is damaged",
                                     (unsigned long long)p->cursor.commit);
        if (step == LOG_COMMIT && commit->commit > p->snapshot->commit) {
            p->extent = g->manifest.log_extent_count;
            return VDB_OK;
        }
        enum vdb_status status = VDB_OK;
        if (step == LOG_LINKED) status = go_on(p, err);
        if (step == LOG_COMMIT) status = check_commit(p, commit, err);
        if (status) return status;
        *found = step == LOG_COMMIT && commit->commit > p->since;
        if (*found) return VDB_OK;
    }
    return VDB_OK;
}

enum vdb_status past_next(struct past *p, struct log_commit *commit, struct vdb_error *err)
{
    bool found = false;
    enum vdb_status status = next_in_extents(p, commit, &found, err);
    if (status || found) return status;
    if (p->tail == p->snapshot->tail_count) return VDB_NOT_FOUND;
    *commit = tail_at(&p->snapshot->generation->tail, p->tail++)->log;
    return VDB_OK;
}

enum vdb_status past_states(const struct vdb_snapshot *s, struct states_view *view, bool *found,
                            struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    const uint8_t *file = s->generation->view->base;
    *found = false;
    for (uint32_t i = 0; i < m->segment_count; i++) {
        const struct segment_entry *segment = &m->segments[i];
        if (segment->type != DISK_SEGMENT_STATES || segment->version != 1) continue;
        *found = true;
        return states_view_init(view, file + segment->off, (size_t)segment->len, segment->off, err);
    }
    return VDB_OK;
}
