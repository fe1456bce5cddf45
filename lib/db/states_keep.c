/* states_keep.c: states of the past that a compaction keeps, and the rows that they see.
 *
 * Two walks along the recorded states, of the states segment and then of the log. What turns a
 * row's liveness an odd number of times turns its present liveness into that of the state in which
 * it appeared: that is the first walk. The second one goes forward from there. A row is kept where
 * it is live at a kept state, which is looked at for those that came or were turned since the kept
 * state before: so the work does not grow with rows times states.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/states_keep.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/space.h"
#include "state/past.h"
#include "state/verify.h"

#define ASK_EVERY 1024u /* states, between two calls of the progress function */

/* ---- recorded states, one by one ----------------------------------------------------------- */

struct step {
    struct state_entry state;
    bool counted;         /* its live_count is told */
    const char *segment;  /* what tells it, */
    uint64_t off;         /* and where */
    const uint8_t *turns; /* what led to it from the one before: rows, each a le32 at the front */
    uint32_t turn_count;
    size_t turn_size;
};

struct steps {
    const struct vdb_snapshot *source;
    struct states_view view; /* count 0: there is none */
    uint32_t next;           /* of its states */
    bool based;              /* the state that the log begins with is told */
    struct past past;
    struct log_commit ahead;
    bool more; /* there is such a commit */
};

static const uint8_t *file_of(const struct vdb_snapshot *s)
{
    return s->generation->view->base;
}

static enum vdb_status look_ahead(struct steps *steps, struct vdb_error *err)
{
    enum vdb_status status = past_next(&steps->past, &steps->ahead, err);
    steps->more = status == VDB_OK;
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

static enum vdb_status view_states(const struct vdb_snapshot *s, struct states_view *view,
                                   struct vdb_error *err)
{
    const struct manifest *m = &s->generation->manifest;
    const struct segment_entry *segment = NULL;
    for (uint32_t i = 0; i < m->segment_count; i++)
        if (m->segments[i].type == DISK_SEGMENT_STATES && m->segments[i].version == 1)
            segment = &m->segments[i];
    if (!segment) return VDB_OK;
    const uint8_t *file = file_of(s);
    enum vdb_status status =
        verify_bytes(file, "states", segment->off, segment->len, segment->check, err);
    return status ? status
                  : states_view_init(view, file + segment->off, (size_t)segment->len, segment->off,
                                     err);
}

static enum vdb_status steps_init(struct steps *steps, const struct vdb_snapshot *s,
                                  struct vdb_error *err)
{
    *steps = (struct steps){.source = s};
    past_init(&steps->past, s, 0);
    enum vdb_status status = view_states(s, &steps->view, err);
    return status ? status : look_ahead(steps, err);
}

/* The state that the log begins with: what the flips of the segment's last state lead to. */
static void take_base(struct steps *steps, struct step *step)
{
    const struct vdb_snapshot *s = steps->source;
    const struct manifest *m = &s->generation->manifest;
    step->state = (struct state_entry){
        .commit = past_first_commit(s) - 1,
        .time_us = m->log_extent_count ? m->log_extents[0].time_us : m->commit_time_us,
        .until_us = steps->more ? steps->ahead.time_us : INT64_MAX,
        .row_count = steps->more ? steps->ahead.row_base : s->row_count,
    };
    steps->based = true;
}

static enum vdb_status take_commit(struct steps *steps, struct step *step, struct vdb_error *err)
{
    const struct log_commit commit = steps->ahead;
    const struct log_block *events = &commit.events;
    const uint8_t *file = file_of(steps->source);
    enum vdb_status status = VDB_OK;
    if (events->len)
        status = verify_bytes(file, "log", events->off, events->len, events->check, err);
    if (!status) status = look_ahead(steps, err);
    if (status) return status;
    step->segment = "log";
    step->off = commit.record_off;
    step->turns = file + events->off;
    step->turn_count = commit.event_count;
    step->turn_size = sizeof(struct disk_event);
    step->counted = true;
    step->state = (struct state_entry){
        .commit = commit.commit,
        .time_us = commit.time_us,
        .until_us = steps->more ? steps->ahead.time_us : INT64_MAX,
        .row_count = commit.row_base + commit.row_count,
        .live_count = commit.live_count,
    };
    return VDB_OK;
}

/* VDB_NOT_FOUND: the step before came to the source itself. */
static enum vdb_status steps_next(struct steps *steps, struct step *step, struct vdb_error *err)
{
    *step = (struct step){.segment = "states", .off = steps->view.file_off};
    if (steps->based) return steps->more ? take_commit(steps, step, err) : VDB_NOT_FOUND;
    if (steps->next > 0) {
        step->turns = states_flips(&steps->view, steps->next - 1, &step->turn_count);
        step->turn_size = sizeof(le32);
    }
    step->counted = steps->next < steps->view.count;
    if (step->counted)
        step->state = states_at(&steps->view, steps->next++);
    else
        take_base(steps, step);
    return VDB_OK;
}

static uint32_t turned_row(const struct step *step, uint32_t i)
{
    le32 row;
    memcpy(&row, step->turns + i * step->turn_size, sizeof row);
    return le32_get(row);
}

/* ---- bits ---------------------------------------------------------------------------------- */

static uint64_t *bits_create(uint32_t count)
{
    return calloc((size_t)count / 64 + 1, sizeof(uint64_t));
}

static bool bit_test(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void bit_turn(uint64_t *bits, uint32_t i)
{
    bits[i / 64] ^= (uint64_t)1 << (i % 64);
}

static void bit_set(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= (uint64_t)1 << (i % 64);
}

/* ---- the walk ------------------------------------------------------------------------------ */

struct walk {
    struct states_keep *keep;
    uint64_t *named; /* commits before the source's that have names, rising, each once */
    uint32_t named_count, named_found;
    uint64_t *live;      /* a bit a row: before it appeared, what it will appear as */
    uint64_t *kept;      /* a bit a row */
    uint32_t rows;       /* that have appeared */
    uint32_t live_count; /* of these */
    uint32_t looked_at;  /* rows of the last kept state; 0 before the first one */
    struct buf turned;   /* u32: rows below these, turned since */
    struct buf states;   /* struct kept_state */
    uint64_t asked;      /* steps of both walks */
};

static const struct superblock *superblock_of(const struct walk *w)
{
    return &w->keep->source->generation->superblock;
}

static enum vdb_status ask(struct walk *w, struct vdb_error *err)
{
    const struct states_keep *k = w->keep;
    const struct manifest *m = &k->source->generation->manifest;
    uint64_t steps = 2 * (k->source->commit - m->horizon_commit + 1);
    if (!k->progress || w->asked++ % ASK_EVERY) return VDB_OK;
    if (k->progress(k->context, "find kept rows", w->asked < steps ? w->asked : steps, steps))
        return error_set(err, VDB_CANCELLED, "stopped while kept rows were sought");
    return VDB_OK;
}

static enum vdb_status check_turn(const struct step *step, uint32_t row, uint32_t rows,
                                  struct vdb_error *err)
{
    if (row < rows) return VDB_OK;
    return error_set_corrupt(err, step->segment, step->off,
                             "what led to commit %llu changes row %u, and there are %u",
                             (unsigned long long)step->state.commit, row, rows);
}

/* The first walk: from the source's liveness to that in which rows appeared. */
static enum vdb_status turn_back(struct walk *w, struct vdb_error *err)
{
    const struct vdb_snapshot *s = w->keep->source;
    struct steps steps;
    struct step step;
    for (uint32_t row = 0; row < s->row_count; row++)
        if (!liveness_deleted(&s->dead, row)) bit_set(w->live, row);
    enum vdb_status status = steps_init(&steps, s, err);
    while (!status && (status = steps_next(&steps, &step, err)) == VDB_OK) {
        status = ask(w, err);
        for (uint32_t i = 0; i < step.turn_count && !status; i++) {
            uint32_t row = turned_row(&step, i);
            status = check_turn(&step, row, s->row_count, err);
            if (!status) bit_turn(w->live, row);
        }
    }
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

/* Makes the walk's state that which the step leads to. */
static enum vdb_status go(struct walk *w, const struct step *step, struct vdb_error *err)
{
    uint32_t rows = step->state.row_count;
    if (rows < w->rows || rows > w->keep->source->row_count)
        return error_set_corrupt(err, step->segment, step->off, "commit %llu has %u rows after %u",
                                 (unsigned long long)step->state.commit, rows, w->rows);
    for (; w->rows < rows; w->rows++) w->live_count += bit_test(w->live, w->rows);
    for (uint32_t i = 0; i < step->turn_count; i++) {
        uint32_t row = turned_row(step, i);
        enum vdb_status status = check_turn(step, row, rows, err);
        if (status) return status;
        bit_turn(w->live, row);
        w->live_count += bit_test(w->live, row) ? 1u : UINT32_MAX;
        if (row < w->looked_at && buf_append(&w->turned, &row, sizeof row))
            return error_no_memory(err);
    }
    if (step->counted && w->live_count != step->state.live_count)
        return error_set_corrupt(err, step->segment, step->off,
                                 "%u rows are live after commit %llu, which says %u", w->live_count,
                                 (unsigned long long)step->state.commit, step->state.live_count);
    return VDB_OK;
}

static int u32_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Between the last kept state and this one, which is kept as well: what of its rows is live is
 * kept, and what was turned and not turned back is a flip. */
static enum vdb_status look(struct walk *w, struct vdb_error *err)
{
    uint32_t *turned = (uint32_t *)(void *)w->turned.data;
    size_t count = w->turned.len / sizeof *turned;
    if (count) qsort(turned, count, sizeof *turned, u32_order);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && turned[next] == turned[i]; next++)
            ;
        if ((next - i) % 2 == 0) continue;
        if (bit_test(w->live, turned[i])) bit_set(w->kept, turned[i]);
        if (buf_append(&w->keep->flips, &turned[i], sizeof turned[i])) return error_no_memory(err);
    }
    buf_clear(&w->turned);
    for (; w->looked_at < w->rows; w->looked_at++)
        if (bit_test(w->live, w->looked_at)) bit_set(w->kept, w->looked_at);
    return VDB_OK;
}

/* Of the last kept state: the next one is reached. */
static void end_flips(struct walk *w)
{
    if (!w->states.len) return;
    struct kept_state *last = (struct kept_state *)(void *)(w->states.data + w->states.len) - 1;
    last->flips_end = w->keep->flips.len / sizeof(uint32_t);
}

static enum vdb_status no_such_state(const struct walk *w, struct vdb_error *err)
{
    return error_set_corrupt(err, "manifest", superblock_of(w)->manifest_off,
                             "commit %llu has a name and is not kept",
                             (unsigned long long)w->named[w->named_found]);
}

static enum vdb_status keep_state(struct walk *w, const struct state_entry *entry,
                                  struct vdb_error *err)
{
    struct kept_state kept = {.entry = *entry};
    enum vdb_status status = look(w, err);
    kept.entry.live_count = w->live_count;
    if (!status) end_flips(w);
    if (!status && buf_append(&w->states, &kept, sizeof kept)) status = error_no_memory(err);
    return status;
}

/* Keeps the state that the walk has come to if it is wanted. */
static enum vdb_status consider(struct walk *w, const struct state_entry *entry,
                                struct vdb_error *err)
{
    bool due = w->named_found < w->named_count, named;
    if (due && w->named[w->named_found] < entry->commit) return no_such_state(w, err);
    named = due && w->named[w->named_found] == entry->commit;
    w->named_found += named;
    bool wanted = named || entry->until_us > w->keep->since_us;
    return wanted ? keep_state(w, entry, err) : VDB_OK;
}

static enum vdb_status end_walk(struct walk *w, struct vdb_error *err)
{
    const struct vdb_snapshot *s = w->keep->source;
    if (w->named_found < w->named_count) return no_such_state(w, err);
    if (w->rows != s->row_count || w->live_count != s->live_count)
        return error_set_corrupt(err, "manifest", superblock_of(w)->manifest_off,
                                 "what is recorded leads to %u rows, %u live, and there are %u, %u",
                                 w->rows, w->live_count, s->row_count, s->live_count);
    enum vdb_status status = look(w, err);
    if (!status) end_flips(w);
    return status;
}

/* The second walk: from the oldest state to the source's. */
static enum vdb_status go_forward(struct walk *w, struct vdb_error *err)
{
    const struct vdb_snapshot *s = w->keep->source;
    struct steps steps;
    struct step step;
    enum vdb_status status = steps_init(&steps, s, err);
    while (!status && (status = steps_next(&steps, &step, err)) == VDB_OK) {
        status = ask(w, err);
        if (!status) status = go(w, &step, err);
        if (!status && step.state.commit < s->commit) status = consider(w, &step.state, err);
    }
    return status == VDB_NOT_FOUND ? end_walk(w, err) : status;
}

/* ---- what is kept -------------------------------------------------------------------------- */

static int u64_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum vdb_status find_named(struct walk *w, struct vdb_error *err)
{
    const struct vdb_snapshot *s = w->keep->source;
    const struct names *names = s->names;
    uint32_t count = 0;
    w->named = malloc((names->count ? names->count : 1) * sizeof *w->named);
    if (!w->named) return error_no_memory(err);
    for (uint32_t i = 0; i < names->count; i++)
        if (names->entries[i]->commit < s->commit) w->named[count++] = names->entries[i]->commit;
    qsort(w->named, count, sizeof *w->named, u64_order);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || w->named[i] != w->named[i - 1]) w->named[w->named_count++] = w->named[i];
    return VDB_OK;
}

/* Where nothing of the past is wanted, nothing of it is read. */
static enum vdb_status keep_live(struct walk *w, struct vdb_error *err)
{
    const struct vdb_snapshot *s = w->keep->source;
    for (uint32_t row = 0; row < s->row_count; row++) {
        if (liveness_deleted(&s->dead, row)) continue;
        bit_set(w->kept, row);
        w->live_count++;
    }
    if (w->live_count == s->live_count) return VDB_OK;
    return error_set_corrupt(err, "tombstone", 0, "%u rows are live, the manifest has %u",
                             w->live_count, s->live_count);
}

static enum vdb_status list_rows(struct walk *w, struct vdb_error *err)
{
    struct states_keep *k = w->keep;
    uint32_t count = k->source->row_count;
    for (uint32_t row = 0; row < count; row++) k->count += bit_test(w->kept, row);
    k->rows = malloc((k->count ? k->count : 1) * sizeof *k->rows);
    if (!k->rows) return error_no_memory(err);
    for (uint32_t row = 0, at = 0; row < count; row++)
        if (bit_test(w->kept, row)) k->rows[at++] = row;
    return VDB_OK;
}

/* Kept rows below the source's row. */
static uint32_t new_number(const struct states_keep *k, uint32_t row)
{
    uint32_t low = 0, high = k->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (k->rows[mid] < row)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void renumber(struct states_keep *k)
{
    uint32_t *flips = (uint32_t *)(void *)k->flips.data;
    for (size_t i = 0; i < k->flips.len / sizeof *flips; i++) flips[i] = new_number(k, flips[i]);
    for (uint32_t i = 0; i < k->state_count; i++)
        k->states[i].entry.row_count = new_number(k, k->states[i].entry.row_count);
}

enum vdb_status states_keep_find(struct states_keep *k, struct vdb_error *err)
{
    const struct vdb_snapshot *s = k->source;
    struct walk w = {.keep = k};
    w.live = bits_create(s->row_count);
    w.kept = bits_create(s->row_count);
    enum vdb_status status = w.live && w.kept ? find_named(&w, err) : error_no_memory(err);
    bool past = !k->live_only && (w.named_count > 0 || s->commit_time_us > k->since_us);
    if (!status && past) status = turn_back(&w, err);
    if (!status) status = past ? go_forward(&w, err) : keep_live(&w, err);
    if (!status) status = list_rows(&w, err);
    k->states = (struct kept_state *)(void *)w.states.data;
    k->state_count = (uint32_t)(w.states.len / sizeof *k->states);
    if (!status) renumber(k);
    buf_release(&w.turned);
    free(w.named);
    free(w.live);
    free(w.kept);
    return status;
}

void states_keep_release(struct states_keep *k)
{
    free(k->rows);
    free(k->states);
    buf_release(&k->flips);
    k->rows = NULL;
    k->states = NULL;
}

/* ---- the segment --------------------------------------------------------------------------- */

static enum vdb_status add_states(const struct states_keep *k, struct states_builder *builder,
                                  struct vdb_error *err)
{
    const uint32_t *flips = (const uint32_t *)(const void *)k->flips.data;
    uint64_t begin = 0;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < k->state_count && !status; i++) {
        uint64_t end = k->states[i].flips_end;
        status = states_builder_add(builder, &k->states[i].entry, flips ? flips + begin : NULL,
                                    (uint32_t)(end - begin), err);
        begin = end;
    }
    return status;
}

static enum vdb_status write_segment(const struct states_keep *k, const struct osfile *file,
                                     struct manifest *m, struct vdb_error *err)
{
    struct states_builder builder = {0};
    struct buf bytes = {0};
    struct segment_entry segment = {.type = DISK_SEGMENT_STATES};
    enum vdb_status status = add_states(k, &builder, err);
    if (!status) status = states_builder_finish(&builder, &bytes, err);
    states_builder_release(&builder);
    if (!status) {
        segment.len = bytes.len;
        segment.check = checksum(bytes.data, bytes.len);
        status = space_reserve(file, bytes.len, space_segment_align(bytes.len), &segment.off, err);
    }
    if (!status) status = space_write(file, segment.off, bytes.data, bytes.len, err);
    if (!status) status = manifest_add_segment(m, &segment, err);
    buf_release(&bytes);
    return status;
}

/* Rows of the new file that the state at a commit which is kept, or the source's, has. */
static uint32_t rows_at(const struct states_keep *k, uint64_t commit)
{
    uint32_t low = 0, high = k->state_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (k->states[mid].entry.commit < commit)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->state_count ? k->states[low].entry.row_count : k->count;
}

enum vdb_status states_keep_write(const struct states_keep *k, const struct osfile *file,
                                  struct manifest *m, struct vdb_error *err)
{
    enum vdb_status status = names_store(k->source->names, m, err);
    for (uint32_t i = 0; i < m->snapshot_count && !status; i++)
        m->snapshots[i].row_count = rows_at(k, m->snapshots[i].commit);
    if (status || k->state_count == 0) return status;
    m->horizon_commit = k->states[0].entry.commit;
    return write_segment(k, file, m, err);
}
