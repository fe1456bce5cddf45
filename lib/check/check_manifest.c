/* check_manifest.c: rules of the manifest that opening does not hold it against.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_manifest.h"

#include <stdlib.h>

#include "base/error.h"
#include "format/history.h"
#include "state/past.h"

static int offset_order(const void *a, const void *b)
{
    const struct segment_entry *const *x = a, *const *y = b;
    return ((*x)->off > (*y)->off) - ((*x)->off < (*y)->off);
}

static enum vdb_status check_overlap(const struct manifest *m, struct vdb_error *finding)
{
    const struct segment_entry **order = malloc((m->segment_count + 1) * sizeof *order);
    if (!order) return error_no_memory(finding);
    for (uint32_t i = 0; i < m->segment_count; i++) order[i] = &m->segments[i];
    qsort(order, m->segment_count, sizeof *order, offset_order);
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 1; i < m->segment_count && !status; i++) {
        const struct segment_entry *before = order[i - 1], *at = order[i];
        const char *name = segment_type_name(at->type), *other = segment_type_name(before->type);
        if (before->off + before->len > at->off)
            status = error_set_corrupt(finding, name ? name : "unknown", at->off,
                                       "it begins within the %s segment at %llu",
                                       other ? other : "unknown", (unsigned long long)before->off);
    }
    free(order);
    return status;
}

/* Commits and their times, as changes have them. */
static enum vdb_status check_changes(const struct history_view *view, uint64_t off,
                                     struct vdb_error *finding)
{
    struct history_iter iter;
    struct history_entry entry, before = {0};
    enum vdb_status status;
    history_iter_init(&iter, view);
    while ((status = history_next(&iter, &entry, finding)) == VDB_OK) {
        bool same = entry.commit == before.commit;
        if (before.commit &&
            (same ? entry.time_us != before.time_us : entry.time_us < before.time_us)) {
            status = error_set_corrupt(finding, "history", off,
                                       "changes of commit %llu are of two times, or of one before "
                                       "that of an earlier commit",
                                       (unsigned long long)entry.commit);
            break;
        }
        before = entry;
    }
    history_iter_release(&iter);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

/* *next is the commit that the segment is to begin with, 0 where it is the first. */
static enum vdb_status check_history(const struct vdb_snapshot *s,
                                     const struct segment_entry *segment, uint64_t *next,
                                     struct vdb_error *finding)
{
    struct history_view view;
    enum vdb_status status = history_view_init(&view, s->generation->view->base + segment->off,
                                               segment->len, segment->off, finding);
    if (!status) status = history_validate(&view, finding);
    if (!status) status = check_changes(&view, segment->off, finding);
    if (status) return status;
    uint64_t wanted = *next;
    *next = view.last_commit + 1;
    if ((wanted && view.first_commit != wanted) || view.last_commit >= past_first_commit(s))
        return error_set_corrupt(
            finding, "history", segment->off,
            "it lists commits %llu to %llu: the one before it ends with %llu, the log begins "
            "with %llu",
            (unsigned long long)view.first_commit, (unsigned long long)view.last_commit,
            (unsigned long long)(wanted ? wanted - 1 : 0),
            (unsigned long long)past_first_commit(s));
    return VDB_OK;
}

enum vdb_status check_manifest(struct checker *c, const struct vdb_snapshot *s,
                               struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    struct vdb_error finding;
    uint64_t next = 0;
    enum vdb_status status = checker_take(c, check_overlap(m, &finding), &finding);
    for (uint32_t i = 0; i < m->segment_count && !status; i++)
        if (m->segments[i].type == DISK_SEGMENT_HISTORY)
            status = checker_take(c, check_history(s, &m->segments[i], &next, &finding), &finding);
    if (status && err) *err = finding;
    return status;
}
