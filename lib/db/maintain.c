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
#include "db/part_build.h"
#include "db/publish.h"
#include "format/tombstone.h"
#include "vdb.h"

#define TAIL_MAX_ROWS   2048  /* rows that a search scans beside the parts */
#define TAIL_MAX_EVENTS 65536 /* what an opener replays at most, and a little more */

static bool needed(const struct vdb_snapshot *s)
{
    return s->row_count - s->generation->manifest.row_count >= TAIL_MAX_ROWS ||
           s->tail_events >= TAIL_MAX_EVENTS;
}

/* How many of the parts stay as they are. */
static uint32_t parts_kept(const struct vdb_snapshot *s)
{
    const struct generation *g = s->generation;
    uint32_t kept = g->manifest.part_count;
    while (kept > 0) {
        const struct part *last = &g->parts[kept - 1];
        if (last->row_end - last->row_begin > s->row_count - last->row_end) break;
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

/* The old manifest's facts, log extents, snapshots and history, for the state of `s`. */
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
    for (uint32_t i = 0; i < old->snapshot_count && !status; i++)
        status = manifest_add_snapshot(m, &old->snapshots[i], err);
    return status;
}

/* Segments that belong to the file and not to a part: history. */
static enum vdb_status keep_file_segments(const struct manifest *old, struct manifest *m,
                                          struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < old->segment_count && !status; i++)
        if (old->segments[i].type == DISK_SEGMENT_HISTORY)
            status = manifest_add_segment(m, &old->segments[i], err);
    return status;
}

static enum vdb_status build_and_publish(struct vdb *db, const struct vdb_snapshot *s,
                                         const struct vdb_maintain_options *options,
                                         struct vdb_error *err)
{
    const struct generation *g = s->generation;
    uint32_t kept = parts_kept(s);
    struct part_build build = {
        .source = s,
        .first = kept ? g->parts[kept - 1].row_end : 0,
        .file = &db->maintained,
        .beside = db->path,
        .shared = db,
        .in_place = true,
        .commit = s->commit,
        .index = g->manifest.index,
        .threads = options->threads ? options->threads : s->threads,
        .progress = options->progress,
        .context = options->context,
    };
    build.row_begin = build.first;
    build.count = s->row_count - build.first;
    struct manifest manifest;
    enum vdb_status status = manifest_begin(s, &manifest, err);
    for (uint32_t i = 0; i < kept && !status; i++)
        status = keep_part(&build, &g->parts[i], &manifest, err);
    if (!status && build.count) status = part_build(&build, &manifest, err);
    if (!status) status = keep_file_segments(&g->manifest, &manifest, err);
    if (!status) status = publish_next(db, g, &manifest, &s->cursor, err);
    if (!status) publish_settle(&db->maintained, g->view, &manifest, build.commit);
    manifest_release(&manifest);
    return status;
}

enum vdb_status vdb_maintain(struct vdb *db, const struct vdb_maintain_options *options,
                             struct vdb_error *err)
{
    struct vdb_maintain_options chosen = VDB_MAINTAIN_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct vdb_snapshot *snapshot;
    status = db_refresh(db, &snapshot, err);
    if (status) return status;
    bool wanted = needed(snapshot);
    snapshot_unref(snapshot);
    if (!wanted) return VDB_OK;
    status = db_lock_maintain(db, err);
    if (status) return status;
    status = db_refresh(db, &snapshot, err); /* another may just have done it */
    if (!status) {
        if (needed(snapshot)) status = build_and_publish(db, snapshot, &chosen, err);
        snapshot_unref(snapshot);
    }
    db_unlock_maintain(db);
    return status;
}
