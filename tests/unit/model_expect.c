/* model_expect.c: holding an index against a model.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "model_expect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_fixture.h"

#define check(what, ...)                                                                           \
    do {                                                                                           \
        if (!(what)) fail_msg(__VA_ARGS__);                                                        \
    } while (0)

/* ---- states -------------------------------------------------------------------------------- */

static void expect_row(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                       uint32_t row, bool metadata)
{
    const struct version *want = &m->versions[m->rows[row]];
    struct vdb_error err;
    char id[VDB_ID_MAX + 1], *json;
    const char *got;
    size_t id_len = model_id(want->id, id), len;
    float vector[MODEL_DIM], want_vector[MODEL_DIM];
    must(vdb_row_id(s, row, &got, &len, &err), &err);
    check(len == id_len && !memcmp(got, id, len), "commit %d: row %u has id %.*s, not %s",
          (int)commit, row, (int)len, got, id);
    must(vdb_row_vector(s, row, vector, &err), &err);
    model_vector(want->tag, want_vector);
    assert_memory_equal(vector, want_vector, sizeof vector);
    if (!metadata) return;
    must(vdb_row_metadata(s, row, &json, &len, &err), &err);
    char *text = model_metadata(want->tag);
    if (text) assert_string_equal(json, text);
    if (!text) assert_null(json);
    free(text);
    free(json);
}

static void expect_info(const struct vdb_snapshot *s, const struct model *m, uint64_t commit)
{
    const struct state *state = model_state(m, commit);
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.commit, commit);
    assert_int_equal(info.commit_time_us, state->time_us);
    check(info.rows == state->row_count && info.live == state->live_count,
          "commit %d: %d rows, %d live, and not %u, %u", (int)commit, (int)info.rows,
          (int)info.live, state->row_count, state->live_count);
    assert_int_equal(info.deleted, state->row_count - state->live_count);
    assert_int_equal(info.oldest_commit, model_oldest(m));
    assert_true(info.tail_rows <= info.rows);
}

static void expect_liveness(const struct vdb_snapshot *s, const struct model *m, uint64_t commit)
{
    const struct state *state = model_state(m, commit);
    uint32_t next = 0;
    for (uint32_t row = 0; row < state->row_count; row++) {
        bool live = model_live(state, m->rows[row]);
        check(vdb_row_state(s, row) == (live ? 1 : 2), "commit %d: row %u is %d", (int)commit, row,
              vdb_row_state(s, row));
        if (!live) continue;
        check(vdb_next_live_row(s, &next) && next == row, "commit %d: the next live row is %u",
              (int)commit, next);
        next++;
    }
    assert_false(vdb_next_live_row(s, &next));
    for (uint32_t beyond = 0; beyond < 70; beyond++)
        assert_int_equal(vdb_row_state(s, state->row_count + beyond), 0);
}

static void expect_id(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                      uint32_t id)
{
    struct vdb_error err;
    char text[VDB_ID_MAX + 1];
    size_t len = model_id(id, text);
    const struct state *state = model_state(m, commit);
    uint32_t version = model_find(m, state->live, state->row_count, id), row = MODEL_NONE;
    uint32_t live = version == MODEL_NONE ? MODEL_NONE : m->versions[version].row;
    enum vdb_status status = vdb_find(s, text, len, 0, &row, &err);
    check(status == (live == MODEL_NONE ? VDB_NOT_FOUND : VDB_OK) && row == live,
          "commit %d: id %s is in row %d, not %d (status %d)", (int)commit, text, (int)row,
          (int)live, (int)status);
    if (version == MODEL_NONE) version = model_last(m, state->live, state->row_count, id, commit);
    uint32_t last = version == MODEL_NONE ? MODEL_NONE : m->versions[version].row;
    row = MODEL_NONE;
    status = vdb_find(s, text, len, 1, &row, &err);
    check(status == (last == MODEL_NONE ? VDB_NOT_FOUND : VDB_OK) && row == last,
          "commit %d: id %s, deleted or not, is in row %d, not %d", (int)commit, text, (int)row,
          (int)last);
}

static void expect_ids(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                       uint32_t step, uint32_t first)
{
    for (uint32_t id = 0; id < MODEL_IDS; id += id < MODEL_HOT ? 1 : step)
        expect_id(s, m, commit, id);
    for (uint32_t id = first % step; id < MODEL_IDS; id += step) expect_id(s, m, commit, id);
}

void expect_state(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                  uint32_t step, uint64_t random)
{
    const struct state *state = model_state(m, commit);
    uint32_t first = (uint32_t)(random >> 20);
    expect_info(s, m, commit);
    expect_liveness(s, m, commit);
    for (uint32_t row = first % step, n = 0; row < state->row_count; row += step, n++)
        expect_row(s, m, commit, row, step == 1 || n % 8 == 0); /* a block has to be unpacked */
    expect_ids(s, m, commit, step, first);
}

static void expect_not_kept(const struct vdb_snapshot *s, const struct model *m, uint64_t commit)
{
    const struct vdb_snapshot *past;
    struct vdb_error err = {0};
    struct vdb_info info;
    char number[40];
    vdb_snapshot_info(s, &info);
    assert_int_equal(vdb_snapshot_at(s, commit, &past, &err), VDB_NOT_FOUND);
    snprintf(number, sizeof number, "commit %llu ", (unsigned long long)commit);
    assert_non_null(strstr(err.message, number));
    uint64_t named[3] = {info.commit, info.commit, info.commit};
    if (commit <= info.commit) {
        named[0] = model_oldest(m);
        uint64_t before = commit, after = commit;
        while (before > named[0] && !model_keeps(m, before)) before--;
        while (!model_keeps(m, after)) after++;
        named[1] = before < named[0] || commit < named[0] ? named[0] : before;
        named[2] = commit < named[0] ? named[0] : after;
    }
    for (int i = 0; i < 3; i++) {
        snprintf(number, sizeof number, " %llu", (unsigned long long)named[i]);
        check(strstr(err.message, number) != NULL, "\"%s\" does not name commit %llu", err.message,
              (unsigned long long)named[i]);
    }
}

void expect_past(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                 uint32_t step, uint64_t random)
{
    const struct vdb_snapshot *past = NULL;
    struct vdb_error err;
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    if (commit > info.commit || !model_keeps(m, commit)) {
        expect_not_kept(s, m, commit);
        return;
    }
    must(vdb_snapshot_at(s, commit, &past, &err), &err);
    expect_state(past, m, commit, step, random);
    vdb_snapshot_close(past);
}

void expect_all_pasts(const struct vdb_snapshot *s, const struct model *m, uint32_t step)
{
    for (uint64_t c = 0; c <= model_commit(m) + 1; c++) expect_past(s, m, c, step, c << 20);
}

/* ---- searches ------------------------------------------------------------------------------ */

#define NEAREST 7u

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < MODEL_DIM; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

static bool nearer(const struct vdb_hit *a, const struct vdb_hit *b)
{
    return a->distance < b->distance || (a->distance == b->distance && a->row < b->row);
}

static uint32_t nearest(const struct model *m, uint64_t commit, const float *query, bool deleted,
                        struct vdb_hit *hits)
{
    const struct state *state = model_state(m, commit);
    uint32_t found = 0;
    for (uint32_t row = 0; row < state->row_count; row++) {
        if (!deleted && !model_live(state, m->rows[row])) continue;
        float vector[MODEL_DIM];
        model_vector(m->versions[m->rows[row]].tag, vector);
        struct vdb_hit hit = {row, distance(query, vector)};
        uint32_t at = found;
        while (at > 0 && nearer(&hit, &hits[at - 1])) at--;
        if (at == NEAREST) continue;
        if (found < NEAREST) found++;
        memmove(&hits[at + 1], &hits[at], (found - 1 - at) * sizeof *hits);
        hits[at] = hit;
    }
    return found;
}

static void expect_hits(const struct model *m, uint64_t commit, const float *query, bool deleted,
                        const struct vdb_hit *hits, uint32_t found)
{
    const struct state *state = model_state(m, commit);
    for (uint32_t i = 0; i < found; i++) {
        float vector[MODEL_DIM];
        uint32_t row = hits[i].row;
        check(row < state->row_count && (deleted || model_live(state, m->rows[row])),
              "commit %d: row %u was found", (int)commit, row);
        model_vector(m->versions[m->rows[row]].tag, vector);
        assert_true(fabs(hits[i].distance - distance(query, vector)) < 1e-6 * hits[i].distance);
        if (i) assert_true(nearer(&hits[i - 1], &hits[i]));
    }
}

static void expect_search(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                          const float *query, bool exact, bool deleted)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit got[NEAREST], want[NEAREST];
    uint32_t found, wanted = nearest(m, commit, query, deleted, want);
    struct vdb_error err;
    options.k = NEAREST;
    options.exact = exact;
    options.include_deleted = deleted;
    options.threads = 1;
    must(vdb_search(s, query, 1, &options, got, &found, &err), &err);
    assert_true(found <= wanted);
    expect_hits(m, commit, query, deleted, got, found);
    if (!exact) return;
    assert_int_equal(found, wanted);
    for (uint32_t i = 0; i < found; i++)
        check(got[i].row == want[i].row, "commit %d: hit %u is row %u, not %u", (int)commit, i,
              got[i].row, want[i].row);
}

void expect_searches(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                     uint64_t seed)
{
    const struct vdb_snapshot *past;
    struct vdb_error err;
    float query[MODEL_DIM];
    for (uint32_t i = 0; i < MODEL_DIM; i++) query[i] = (float)(store_random(&seed) % 256) + 0.5f;
    query[4] = (float)(store_random(&seed) % (m->version_count / 256 + 1)) + 0.5f;
    must(vdb_snapshot_at(s, commit, &past, &err), &err);
    for (int how = 0; how < 4; how++) expect_search(past, m, commit, query, how & 1, how & 2);
    vdb_snapshot_close(past);
}

/* ---- names and times ----------------------------------------------------------------------- */

void expect_names(const struct vdb_snapshot *s, const struct model *m)
{
    struct vdb_name got, found;
    struct vdb_error err;
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    for (uint32_t i = 0; i < m->name_count; i++) {
        const struct name *want = &m->names[i];
        const struct state *state = model_state(m, want->commit);
        assert_int_equal(vdb_name_at(s, i, &got), VDB_OK);
        check(got.name_len == strlen(want->text) && !memcmp(got.name, want->text, got.name_len),
              "name %u is %.*s, not %s", i, (int)got.name_len, got.name, want->text);
        assert_int_equal(got.commit, want->commit);
        assert_int_equal(got.commit_time_us, state->time_us);
        assert_int_equal(got.rows, state->row_count);
        assert_int_equal(got.live, state->live_count);
        assert_int_equal(got.origin_commit, want->commit);
        assert_memory_equal(got.origin_id, info.file_id, sizeof got.origin_id);
        assert_true(got.created_us >= got.commit_time_us);
        must(vdb_name_find(s, want->text, strlen(want->text), &found, &err), &err);
        assert_int_equal(found.commit, want->commit);
    }
    assert_int_equal(vdb_name_at(s, m->name_count, &got), VDB_NOT_FOUND);
}

void expect_commit_at(const struct vdb_snapshot *s, const struct model *m, int64_t time_us)
{
    uint64_t want = 0, got = 0;
    struct vdb_error err = {0};
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    while (want < info.commit && model_state(m, want + 1)->time_us <= time_us) want++;
    enum vdb_status status = vdb_commit_at(s, time_us, &got, &err);
    if (model_keeps(m, want)) {
        check(status == VDB_OK && got == want, "at that time it was commit %d, not %d: %s",
              (int)want, (int)got, err.message);
        return;
    }
    check(status == VDB_NOT_FOUND, "commit %d is told for a time of commit %d", (int)got,
          (int)want);
    char oldest[40];
    snprintf(oldest, sizeof oldest, "commit %llu", (unsigned long long)model_oldest(m));
    if (want) assert_non_null(strstr(err.message, oldest));
}

/* ---- the history of changes ---------------------------------------------------------------- */

void expect_log(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                uint64_t since, uint64_t last)
{
    const struct vdb_snapshot *past;
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    struct vdb_log_entry got;
    struct vdb_log *log;
    struct vdb_error err;
    uint32_t at = 0, end = m->entry_count;
    options.since_commit = since;
    options.last = last;
    while (end > 0 && m->entries[end - 1].commit > commit) end--;
    while (at < end && m->entries[at].commit <= since) at++;
    if (last && end - at > last) at = end - (uint32_t)last;
    must(vdb_snapshot_at(s, commit, &past, &err), &err);
    must(vdb_log_open(past, &options, &log, &err), &err);
    for (; at < end; at++) {
        const struct entry *want = &m->entries[at];
        char id[VDB_ID_MAX + 1];
        size_t len = model_id(want->id, id);
        must(vdb_log_next(log, &got, &err), &err);
        check(got.commit == want->commit && got.operation == want->operation &&
                  got.row == want->row && got.id_len == len && !memcmp(got.id, id, len),
              "the log of commit %d has: commit %d, %d of %.*s in row %d; and not: commit %d, %d "
              "of %s in row %d",
              (int)commit, (int)got.commit, (int)got.operation, (int)got.id_len, got.id,
              (int)got.row, (int)want->commit, (int)want->operation, id, (int)want->row);
        assert_int_equal(got.time_us, model_state(m, want->commit)->time_us);
    }
    assert_int_equal(vdb_log_next(log, &got, &err), VDB_NOT_FOUND);
    vdb_log_close(log);
    vdb_snapshot_close(past);
}

/* ---- differences --------------------------------------------------------------------------- */

static void expect_entry(struct vdb_diff *diff, enum vdb_operation operation, uint32_t id,
                         uint32_t from_row, uint32_t to_row)
{
    struct vdb_diff_entry got;
    struct vdb_error err;
    char text[VDB_ID_MAX + 1];
    size_t len = model_id(id, text);
    must(vdb_diff_next(diff, &got, &err), &err);
    check(got.operation == operation && got.id_len == len && !memcmp(got.id, text, len) &&
              got.from_row == from_row && got.to_row == to_row,
          "the difference is %d of %.*s, rows %d and %d, not %d of %s, rows %d and %d",
          (int)got.operation, (int)got.id_len, got.id, (int)got.from_row, (int)got.to_row,
          (int)operation, text, (int)from_row, (int)to_row);
}

/* rows[id]: where the state has it. */
static void live_rows(const struct model *m, uint64_t commit, uint32_t *rows)
{
    const struct state *state = model_state(m, commit);
    memset(rows, 0xff, MODEL_IDS * sizeof *rows);
    for (uint32_t row = 0; row < state->row_count; row++)
        if (model_live(state, m->rows[row])) rows[m->versions[m->rows[row]].id] = row;
}

void expect_diff(const struct vdb_snapshot *s, const struct model *m, uint64_t from, uint64_t to)
{
    const struct vdb_snapshot *a, *b;
    struct vdb_diff *diff;
    struct vdb_diff_entry none;
    struct vdb_error err;
    static uint32_t in_from[MODEL_IDS], in_to[MODEL_IDS];
    live_rows(m, from, in_from);
    live_rows(m, to, in_to);
    must(vdb_snapshot_at(s, from, &a, &err), &err);
    must(vdb_snapshot_at(s, to, &b, &err), &err);
    must(vdb_diff_open(a, b, &diff, &err), &err);
    for (uint32_t row = 0; row < model_state(m, to)->row_count; row++) {
        uint32_t id = m->versions[m->rows[row]].id;
        if (in_to[id] != row || in_from[id] == row) continue;
        expect_entry(diff, in_from[id] == MODEL_NONE ? VDB_OPERATION_ADD : VDB_OPERATION_UPDATE, id,
                     in_from[id], row);
    }
    for (uint32_t row = 0; row < model_state(m, from)->row_count; row++) {
        uint32_t id = m->versions[m->rows[row]].id;
        if (in_from[id] == row && in_to[id] == MODEL_NONE)
            expect_entry(diff, VDB_OPERATION_DELETE, id, row, MODEL_NONE);
    }
    assert_int_equal(vdb_diff_next(diff, &none, &err), VDB_NOT_FOUND);
    vdb_diff_close(diff);
    vdb_snapshot_close(a);
    vdb_snapshot_close(b);
}
