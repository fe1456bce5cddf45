/* maintain.c: building a part from the tail, and merging small parts into it.
 *
 * A part is built when the tail has grown to where scanning it would cost more than a walk. The new
 * part takes in every part behind which as many rows have gathered as it has itself, so parts grow
 * geometrically: there are at most some log2 of them, and a row is built into one as often.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "base/par.h"
#include "db/newname.h"
#include "db/part_build.h"
#include "db/part_index.h"
#include "db/policy.h"
#include "db/publish.h"
#include "format/tombstone.h"
#include "vdb.h"

#define TAIL_MAX_ROWS   2048   /* rows that a search scans beside the parts */
#define TAIL_MAX_REPLAY 131072 /* events that an opener replays, some 15 ns each */
#define COMMIT_REPLAY   16     /* a commit takes as long as so many of them */
#define LOUD_TIMES      16     /* so many times as much outside of the quiet hours */

static bool needed(const struct vdb_snapshot *s, unsigned percent, int64_t now_us)
{
    const struct manifest *m = &s->generation->manifest;
    uint64_t tail = s->row_count - m->row_count;
    if (percent && tail && tail * 100 >= (uint64_t)m->row_count * percent) return true;
    uint32_t times = policy_is_quiet(m, now_us) ? 1 : LOUD_TIMES;
    return tail >= TAIL_MAX_ROWS * times ||
           s->tail_events + (uint64_t)COMMIT_REPLAY * s->tail_count >=
               (uint64_t)TAIL_MAX_REPLAY * times;
}

/* How many of the parts stay as they are. Old rows of a hybrid index that have their inverted file
 * keep it as long as a recent row, from `recent` on, would come to them. */
static uint32_t parts_kept(const struct vdb_snapshot *s, unsigned percent, uint32_t recent)
{
    const struct generation *g = s->generation;
    uint32_t kept = g->manifest.part_count;
    while (kept > 0) {
        const struct part *last = &g->parts[kept - 1];
        uint64_t own = last->row_end - last->row_begin, behind = s->row_count - last->row_end;
        if (own * percent > behind * 100) break;
        if (g->manifest.index == VDB_INDEX_HYBRID && last->entry->kind == DISK_PART_IVF &&
            recent < s->row_count)
            break;
        kept--;
    }
    return kept;
}

/* A part as it was, but for its tombstones if rows of it were deleted or restored since. */
static enum vdb_status keep_part(const struct part_build *b, const struct part *part,
                                 struct manifest *m, struct vdb_error *err)
{
    const struct manifest *old = &b->source->generation->manifest;
    struct part_entry entry = *part->entry;
    entry.segment_first = m->segment_count;
    uint32_t rows = part->row_end - part->row_begin;
    size_t len = tombstone_len(rows);
    uint8_t *words = malloc(len);
    if (!words) return error_no_memory(err);
    uint32_t deleted = liveness_store(&b->source->dead, part->row_begin, rows, words);
    bool same = part->tombstones && memcmp(words, part->tombstones, len) == 0;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < part->entry->segment_count && !status; i++) {
        const struct segment_entry *segment = &old->segments[part->entry->segment_first + i];
        if (segment->type != DISK_SEGMENT_TOMBSTONE || same)
            status = manifest_add_segment(m, segment, err);
    }
    if (!status && deleted && !same) {
        struct segment_entry segment = {
            .type = DISK_SEGMENT_TOMBSTONE, .row_begin = part->row_begin, .row_end = part->row_end};
        status = part_build_segment(b, words, len, &segment, err);
        if (!status) status = manifest_add_segment(m, &segment, err);
    }
    free(words);
    entry.segment_count = m->segment_count - entry.segment_first;
    return status ? status : manifest_add_part(m, &entry, err);
}

/* The old manifest's facts and log extents, and the names there are now, for the state of `s`. */
static enum vdb_status manifest_begin(const struct vdb_snapshot *s, struct manifest *m,
                                      struct vdb_error *err)
{
    const struct manifest *old = &s->generation->manifest;
    *m = *old;
    m->commit = s->commit;
    m->commit_time_us = s->commit_time_us;
    m->row_count = s->row_count;
    m->live_count = s->live_count;
    m->parts = NULL;
    m->segments = NULL;
    m->log_extents = NULL;
    m->snapshots = NULL;
    m->part_count = m->segment_count = m->log_extent_count = m->snapshot_count = 0;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < old->log_extent_count && !status; i++)
        status = manifest_add_log_extent(m, &old->log_extents[i], err);
    return status ? status : names_store(s->names, m, err);
}

/* Segments that belong to the file and not to a part: history, and states of the past. */
static enum vdb_status keep_file_segments(const struct manifest *old, struct manifest *m,
                                          struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < old->segment_count && !status; i++)
        if (old->segments[i].type == DISK_SEGMENT_HISTORY ||
            old->segments[i].type == DISK_SEGMENT_STATES)
            status = manifest_add_segment(m, &old->segments[i], err);
    return status;
}

/* One part, of a hybrid index a graph unless all its rows are old; but where no part comes before,
 * as after a bulk load, its old rows get an inverted file at once. */
static enum vdb_status build_parts(struct part_build *b, uint32_t recent, struct manifest *m,
                                   struct vdb_error *err)
{
    uint32_t end = b->first + b->count;
    enum vdb_status status = VDB_OK;
    if (m->index != VDB_INDEX_HYBRID) return part_build(b, m, err);
    b->index = recent < end ? VDB_INDEX_GRAPH : VDB_INDEX_IVF;
    if (recent < end && b->first == 0 && part_index_kind(VDB_INDEX_IVF, recent) == DISK_PART_IVF) {
        b->index = VDB_INDEX_IVF;
        b->count = recent;
        status = part_build(b, m, err);
        b->index = VDB_INDEX_GRAPH;
        b->first = b->row_begin = recent;
        b->count = end - recent;
    }
    return status ? status : part_build(b, m, err);
}

/* ---- lists of older parts ------------------------------------------------------------------ */

struct seed {
    uint32_t list, rows;
};

static int seed_order(const void *a, const void *b)
{
    const struct seed *x = a, *y = b;
    if (x->rows != y->rows) return x->rows > y->rows ? -1 : 1;
    return x->list < y->list ? -1 : x->list > y->list;
}

/* Of the parts from `first` on, the largest that has an inverted file; part_count: none has. */
static uint32_t largest_ivf(const struct generation *g, uint32_t first)
{
    uint32_t most = 0, found = g->manifest.part_count;
    for (uint32_t i = first; i < g->manifest.part_count; i++) {
        const struct part *part = &g->parts[i];
        uint32_t rows = part->row_end - part->row_begin;
        if (part->entry->kind != DISK_PART_IVF || rows <= most) continue;
        most = rows;
        found = i;
    }
    return found;
}

/* The centroids of the largest inverted file among the parts that are merged, those of long lists
 * first: the new one begins with them. There is no rule by which it would begin anew: lists were
 * as good where all later rows are of another kind (tests/bench/NOTES.md). *seeds is the caller's
 * to free. */
static enum vdb_status take_seeds(const struct vdb_snapshot *s, uint32_t kept, float **seeds,
                                  uint32_t *count, struct vdb_error *err)
{
    const struct generation *g = s->generation;
    uint32_t number = largest_ivf(g, kept), dim = g->manifest.dim;
    *seeds = NULL;
    *count = 0;
    if (number == g->manifest.part_count) return VDB_OK;
    const struct ivf_view *view = &g->parts[number].ivf.view;
    uint32_t lists = view->h.list_count;
    struct seed *order = malloc(lists * sizeof *order);
    *seeds = malloc((size_t)lists * dim * sizeof **seeds);
    enum vdb_status status = order && *seeds ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < lists && !status; i++)
        order[i] = (struct seed){i, ivf_view_list(view, i).row_count};
    if (!status) qsort(order, lists, sizeof *order, seed_order);
    for (uint32_t i = 0; i < lists && !status; i++)
        status = vdb_part_centroid(s, number, order[i].list, *seeds + (size_t)i * dim);
    free(order);
    *count = lists;
    return status;
}

static enum vdb_status build_and_publish(struct vdb *db, const struct vdb_snapshot *s,
                                         const struct vdb_maintain_options *options, int64_t now_us,
                                         struct vdb_error *err)
{
    const struct generation *g = s->generation;
    uint32_t recent = policy_first_recent(&g->manifest, s, now_us);
    uint32_t kept = parts_kept(s, options->merge_percent ? options->merge_percent : 100, recent);
    struct part_build build = {
        .source = s,
        .first = kept ? g->parts[kept - 1].row_end : 0,
        .file = &db->maintained,
        .beside = db->path,
        .shared = db,
        .in_place = true,
        .commit = s->commit,
        .index = part_build_kind(&g->manifest),
        .threads = options->threads ? options->threads : s->threads,
        .progress = options->progress,
        .context = options->context,
    };
    build.row_begin = build.first;
    build.base = kept < g->manifest.part_count ? &g->parts[kept] : NULL;
    build.count = s->row_count - build.first;
    struct manifest manifest;
    float *seeds = NULL;
    enum vdb_status status = manifest_begin(s, &manifest, err);
    if (!status) status = take_seeds(s, kept, &seeds, &build.seed_count, err);
    build.seeds = seeds;
    for (uint32_t i = 0; i < kept && !status; i++)
        status = keep_part(&build, &g->parts[i], &manifest, err);
    if (!status && build.count) status = build_parts(&build, recent, &manifest, err);
    if (!status) status = keep_file_segments(&g->manifest, &manifest, err);
    if (!status) status = publish_next(db, g, &manifest, &s->cursor, err);
    if (!status) publish_settle(&db->maintained, g->view, &manifest, build.commit);
    manifest_release(&manifest);
    free(seeds);
    return status;
}

/* What killed compactions and creations left would stay where nobody compacts again. */
static enum vdb_status clear_leftovers(const struct vdb *db, const struct vdb_snapshot *s,
                                       struct vdb_error *err)
{
    enum vdb_status status = newname_clear(db->path, err);
    if (status) return status;
    return newname_clear_successor(db->path, s->generation->superblock.file_id, err);
}

int vdb_maintain_wanted(const struct vdb_snapshot *snapshot,
                        const struct vdb_maintain_options *options)
{
    struct vdb_maintain_options chosen = VDB_MAINTAIN_OPTIONS_INIT;
    if (options_take(&chosen, sizeof chosen, options, NULL)) return 0;
    return needed(snapshot, chosen.merge_percent, policy_now(chosen.now_us));
}

enum vdb_status vdb_maintain(struct vdb *db, const struct vdb_maintain_options *options,
                             struct vdb_error *err)
{
    struct vdb_maintain_options chosen = VDB_MAINTAIN_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct vdb_snapshot *snapshot;
    if (chosen.merge_percent > 100)
        return error_set(err, VDB_INVALID, "%u is not a share in hundredths", chosen.merge_percent);
    status = db_refresh(db, &snapshot, err);
    if (status) return status;
    int64_t now_us = policy_now(chosen.now_us);
    bool wanted = needed(snapshot, chosen.merge_percent, now_us);
    snapshot_unref(snapshot);
    if (!wanted) return VDB_OK;
    status = db_lock_maintain(db, chosen.wait, err);
    if (status) return status;
    status = db_refresh_to_write(db, &snapshot, err); /* another may just have done it */
    if (!status) {
        status = clear_leftovers(db, snapshot, err);
        if (!status && needed(snapshot, chosen.merge_percent, now_us))
            status = build_and_publish(db, snapshot, &chosen, now_us, err);
        snapshot_unref(snapshot);
    }
    db_unlock_maintain(db);
    return status;
}
