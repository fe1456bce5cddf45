/* history_keep.c: the history of changes, carried over from an index to its compacted successor.
 *
 * What the log's records tell becomes a history segment. It takes in the segments before it that
 * have no more changes than have gathered behind them, so segments grow geometrically: of n changes
 * there are at most some log2 n of them, and a change is written anew as often. Where only the
 * newest are kept, the segment that has the oldest of them is cut.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/history_keep.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "base/error.h"
#include "db/space.h"
#include "db/spool.h"
#include "format/history.h"
#include "state/past.h"
#include "state/verify.h"

#define TAKE_FROM ((size_t)1 << 20)
#define ASK_EVERY 65536u /* changes, between two calls of the progress function */

struct range {
    uint64_t first, last; /* commits */
};

/* ---- one segment --------------------------------------------------------------------------- */

static enum vdb_status add_segment(struct manifest *m, uint64_t off, uint64_t len, uint64_t check,
                                   struct vdb_error *err)
{
    struct segment_entry segment = {
        .type = DISK_SEGMENT_HISTORY, .off = off, .len = len, .check = check};
    return manifest_add_segment(m, &segment, err);
}

static enum vdb_status copy_segment(const struct history_keep *k, const struct segment_entry *from,
                                    struct manifest *m, struct vdb_error *err)
{
    const uint8_t *file = k->source->generation->view->base;
    uint64_t off = 0;
    enum vdb_status status = verify_bytes(file, "history", from->off, from->len, from->check, err);
    if (!status)
        status = space_reserve(k->file, from->len, space_segment_align(from->len), &off, err);
    if (!status) status = space_write(k->file, off, file + from->off, (size_t)from->len, err);
    return status ? status : add_segment(m, off, from->len, from->check, err);
}

struct writer {
    struct history_builder builder;
    struct spool packed; /* what was taken from it */
    uint64_t changes;
};

static enum vdb_status take(struct writer *w, struct vdb_error *err)
{
    struct buf chunk = {0};
    enum vdb_status status = history_builder_take(&w->builder, &chunk, err);
    if (!status) status = spool_append(&w->packed, chunk.data, chunk.len, err);
    buf_release(&chunk);
    return status;
}

static enum vdb_status add_change(const struct history_keep *k, struct writer *w,
                                  const struct vdb_log_entry *change, struct vdb_error *err)
{
    struct history_entry entry = {change->commit, change->time_us, (uint16_t)change->operation,
                                  change->id, change->id_len};
    if (k->progress && w->changes++ % ASK_EVERY == 0 &&
        k->progress(k->context, "keep history", w->changes, 0))
        return error_set(err, VDB_CANCELLED, "stopped while history was kept");
    enum vdb_status status = history_builder_add(&w->builder, &entry, err);
    return !status && w->builder.data.len >= TAKE_FROM ? take(w, err) : status;
}

static enum vdb_status gather(const struct history_keep *k, struct range range, struct writer *w,
                              struct vdb_error *err)
{
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    options.since_commit = range.first - 1;
    struct vdb_log *log;
    enum vdb_status status = vdb_log_open(k->source, &options, &log, err);
    if (status) return status;
    struct vdb_log_entry change;
    while (!status && (status = vdb_log_next(log, &change, err)) == VDB_OK) {
        if (change.commit > range.last) break;
        status = add_change(k, w, &change, err);
    }
    vdb_log_close(log);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

static enum vdb_status write_segment(const struct history_keep *k, struct range range,
                                     struct manifest *m, struct vdb_error *err)
{
    struct writer w = {.changes = 0};
    struct buf front = {0};
    struct checksum_state state;
    uint64_t off = 0, len = 0;
    spool_init(&w.packed, k->beside);
    enum vdb_status status = gather(k, range, &w, err);
    if (!status) status = history_builder_front(&w.builder, range.first, range.last, &front, err);
    if (!status) status = take(&w, err);
    if (!status) {
        len = front.len + spool_len(&w.packed);
        status = space_reserve(k->file, len, space_segment_align(len), &off, err);
    }
    checksum_init(&state);
    checksum_add(&state, front.data, front.len);
    if (!status) status = space_write(k->file, off, front.data, front.len, err);
    if (!status) status = spool_copy(&w.packed, k->file, off + front.len, &state, NULL, err);
    if (!status) status = add_segment(m, off, len, checksum_end(&state), err);
    buf_release(&front);
    spool_release(&w.packed);
    history_builder_release(&w.builder);
    return status;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* The first commit that is kept; one after the source's where none is. */
static enum vdb_status first_kept(const struct history_keep *k, uint64_t *first,
                                  struct vdb_error *err)
{
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    options.since_us = k->since_us == INT64_MIN ? 0 : k->since_us;
    struct vdb_log *log;
    enum vdb_status status = vdb_log_open(k->source, &options, &log, err);
    if (status) return status;
    struct vdb_log_entry change;
    *first = vdb_log_first_commit(log);
    if (options.since_us) {
        status = vdb_log_next(log, &change, err);
        *first = status ? k->source->commit + 1 : change.commit;
    }
    vdb_log_close(log);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

/* Changes that records of the file tell. */
static enum vdb_status count_recorded(const struct history_keep *k, uint64_t *count,
                                      struct vdb_error *err)
{
    struct past past;
    struct log_commit commit;
    enum vdb_status status;
    *count = 0;
    past_init(&past, k->source, 0);
    while ((status = past_next(&past, &commit, err)) == VDB_OK)
        *count += (uint64_t)commit.row_count + commit.event_count;
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

static enum vdb_status view_of(const struct history_keep *k, const struct segment_entry *s,
                               struct history_view *view, struct vdb_error *err)
{
    return history_view_init(view, k->source->generation->view->base + s->off, (size_t)s->len,
                             s->off, err);
}

static bool is_history(const struct segment_entry *s)
{
    return s->type == DISK_SEGMENT_HISTORY && s->version == 1;
}

/* The commit from which on all becomes one segment. */
static enum vdb_status merged_from(const struct history_keep *k, uint64_t *from,
                                   struct vdb_error *err)
{
    const struct manifest *old = &k->source->generation->manifest;
    uint64_t gathered;
    enum vdb_status status = count_recorded(k, &gathered, err);
    *from = past_first_commit(k->source);
    for (uint32_t i = old->segment_count; i-- > 0 && !status;) {
        struct history_view view;
        if (!is_history(&old->segments[i])) continue;
        status = view_of(k, &old->segments[i], &view, err);
        if (status || view.entries > gathered) break;
        gathered += view.entries;
        *from = view.first_commit;
    }
    return status;
}

/* Ids of rows that commits deleted or replaced are read from the parts. */
static enum vdb_status verify_ids(const struct vdb_snapshot *s, struct vdb_error *err)
{
    const struct generation *g = s->generation;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < g->manifest.segment_count && !status; i++) {
        const struct segment_entry *segment = &g->manifest.segments[i];
        if (segment->type == DISK_SEGMENT_ID)
            status = verify_bytes(g->view->base, segment_type_name(segment->type), segment->off,
                                  segment->len, segment->check, err);
    }
    return status;
}

enum vdb_status history_keep(const struct history_keep *k, struct manifest *m,
                             struct vdb_error *err)
{
    const struct manifest *old = &k->source->generation->manifest;
    uint64_t first = 0, merged = 0;
    enum vdb_status status = verify_ids(k->source, err);
    if (!status) status = first_kept(k, &first, err);
    if (!status) status = merged_from(k, &merged, err);
    for (uint32_t i = 0; i < old->segment_count && !status; i++) {
        const struct segment_entry *s = &old->segments[i];
        struct history_view view;
        if (!is_history(s)) continue;
        status = view_of(k, s, &view, err);
        if (status || view.last_commit < first || view.first_commit >= merged) continue;
        status = view.first_commit >= first
                     ? copy_segment(k, s, m, err)
                     : write_segment(k, (struct range){first, view.last_commit}, m, err);
    }
    struct range rest = {merged > first ? merged : first, k->source->commit};
    if (status || rest.first > rest.last) return status;
    return write_segment(k, rest, m, err);
}
