/* model_run.c: operations on an index and on its model.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "model_expect.h"
#include "store_fixture.h"

#define ROWS_MAX  9000u /* from then on compactions are more likely */
#define HOUR_US   INT64_C(3600000000)
#define MEANWHILE 5u /* operations at most beside a compaction */

uint32_t run_draw(struct run *run, uint32_t below)
{
    if (!run->choice) return (uint32_t)(store_random(&run->seed) >> 20) % below;
    uint32_t value = 0;
    for (uint32_t reach = 1; reach < below && run->choices; run->choices--) {
        value = value << 8 | *run->choice++;
        reach = reach < 1u << 24 ? reach << 8 : below;
    }
    return value % below;
}

static uint64_t draw_commit(struct run *run)
{
    return 1 + run_draw(run, (uint32_t)model_commit(&run->now));
}

static uint64_t draw_kept(struct run *run)
{
    uint64_t commit = draw_commit(run);
    while (!model_keeps(&run->now, commit)) commit++;
    return commit;
}

static struct vdb *draw_handle(struct run *run)
{
    return run->db[run_draw(run, 2)];
}

static int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- transactions -------------------------------------------------------------------------- */

/* The time that the index gave its newest commit, which must be that of these moments. */
static int64_t time_of_commit(struct vdb *db, int64_t begun)
{
    struct vdb_info info = store_info(db);
    assert_true(info.commit_time_us >= begun && info.commit_time_us <= clock_us());
    return info.commit_time_us;
}

static void end(struct run *run, struct vdb *db, int64_t begun, const struct vdb_commit_info *got)
{
    struct model *m = &run->now;
    const struct vdb_commit_info *want = &m->done;
    assert_int_equal(got->added, want->added);
    assert_int_equal(got->updated, want->updated);
    assert_int_equal(got->deleted, want->deleted);
    assert_int_equal(got->restored, want->restored);
    if (model_changed(m)) model_end(m, time_of_commit(db, begun));
    assert_int_equal(got->commit, model_commit(m));
}

static uint32_t draw_id(struct run *run)
{
    return run_draw(run, run_draw(run, 4) ? MODEL_HOT : MODEL_IDS);
}

static void put_as(struct vdb_txn *txn, enum vdb_put_mode mode, uint32_t id, uint32_t tag,
                   enum vdb_status expected)
{
    struct vdb_error err;
    char text[VDB_ID_MAX + 1], *metadata = model_metadata(tag);
    float vector[MODEL_DIM];
    size_t len = model_id(id, text);
    model_vector(tag, vector);
    assert_int_equal(
        vdb_txn_put(txn, mode, text, len, vector, metadata, metadata ? strlen(metadata) : 0, &err),
        expected);
    free(metadata);
}

static void put(struct run *run, struct vdb_txn *txn)
{
    struct model *m = &run->now;
    uint32_t id = draw_id(run), tag = run->next_tag++;
    enum vdb_put_mode mode = (enum vdb_put_mode)run_draw(run, 3);
    bool live = model_find(m, m->live, m->row_count, id) != MODEL_NONE;
    enum vdb_status expected = mode == VDB_INSERT && live    ? VDB_EXISTS
                               : mode == VDB_UPDATE && !live ? VDB_NOT_FOUND
                                                             : VDB_OK;
    put_as(txn, mode, id, tag, expected);
    if (!expected) model_put(m, id, tag);
}

static void mark(struct run *run, struct vdb_txn *txn, bool restore)
{
    struct model *m = &run->now;
    struct vdb_error err;
    char text[VDB_ID_MAX + 1];
    uint32_t id = draw_id(run);
    size_t len = model_id(id, text);
    uint32_t live = model_find(m, m->live, m->row_count, id);
    uint32_t dead = model_last(m, m->live, m->row_count, id, model_commit(m));
    if (!restore) {
        assert_int_equal(vdb_txn_delete(txn, text, len, &err),
                         live == MODEL_NONE ? VDB_NOT_FOUND : VDB_OK);
        if (live != MODEL_NONE) model_delete(m, live);
        return;
    }
    enum vdb_status expected = live != MODEL_NONE   ? VDB_EXISTS
                               : dead == MODEL_NONE ? VDB_NOT_FOUND
                                                    : VDB_OK;
    assert_int_equal(vdb_txn_restore(txn, text, len, &err), expected);
    if (!expected) model_restore(m, dead);
}

static void transact(struct run *run, struct vdb *db)
{
    struct model *m = &run->now;
    int64_t begun = clock_us();
    struct vdb_txn *txn = store_begin(db);
    uint32_t operations = run_draw(run, 20) ? run_draw(run, 8) : run_draw(run, 60);
    model_begin(m);
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t kind = run_draw(run, 10);
        if (kind < 5)
            put(run, txn);
        else
            mark(run, txn, kind > 7);
    }
    if (run_draw(run, 12) == 0) { /* it never was */
        vdb_txn_abort(txn);
        model_abort(m);
        return;
    }
    struct vdb_commit_info got = store_commit(txn);
    end(run, db, begun, &got);
}

/* Puts `count` rows; between them and their commit comes, if `overtaken`, one of the other handle.
 */
static void put_many(struct run *run, uint32_t count, bool overtaken)
{
    struct model *m = &run->now;
    uint32_t which = run_draw(run, 2), tag = run->next_tag, *ids = calloc(count + 1, sizeof *ids);
    assert_non_null(ids);
    struct vdb_txn *txn = store_begin(run->db[which]);
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = run_draw(run, MODEL_IDS);
        put_as(txn, VDB_UPSERT, ids[i], run->next_tag++, VDB_OK);
    }
    if (overtaken) transact(run, run->db[!which]);
    int64_t begun = model_state(m, model_commit(m))->time_us;
    model_begin(m);
    for (uint32_t i = 0; i < count; i++) model_put(m, ids[i], tag + i);
    struct vdb_commit_info got = store_commit(txn);
    end(run, run->db[which], begun, &got);
    free(ids);
}

static void roll_back(struct run *run, struct vdb *db)
{
    struct model *m = &run->now;
    struct vdb_commit_info got;
    struct vdb_error err;
    uint64_t commit = run_draw(run, 3) ? draw_kept(run) : draw_commit(run) + run_draw(run, 2);
    /* The recent past is what differs little. */
    if (run_draw(run, 2) && model_commit(m) > 4) commit = model_commit(m) - run_draw(run, 4);
    enum vdb_status status;
    int64_t begun = clock_us();
    status = vdb_rollback(db, commit, &got, &err);
    if (!model_keeps(m, commit)) {
        assert_int_equal(status, VDB_NOT_FOUND);
        return;
    }
    must(status, &err);
    model_begin(m);
    model_roll_back(m, commit);
    end(run, db, begun, &got);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Of every length, some of them not ASCII. */
static void draw_name(struct run *run, char *text)
{
    uint32_t number = run_draw(run, 2 * MODEL_NAMES), len = number % 4 ? 1 + number : VDB_NAME_MAX;
    memset(text, 'n', len);
    text[len] = 0;
    text[0] = (char)('A' + number);
    if (number % 3 == 0 && len > 2) memcpy(text + 1, "\xc3\xbc", 2);
}

static void change_names(struct run *run, struct vdb *db)
{
    struct model *m = &run->now;
    char text[VDB_NAME_MAX + 1];
    struct vdb_error err;
    bool there, remove = run_draw(run, 5) < 2 || m->name_count == MODEL_NAMES;
    draw_name(run, text);
    if (remove && m->name_count && run_draw(run, 3))
        memcpy(text, m->names[run_draw(run, m->name_count)].text, sizeof text);
    uint32_t place = model_name_place(m, text, &there);
    if (remove) {
        enum vdb_status status = vdb_name_remove(db, text, strlen(text), &err);
        assert_int_equal(status, there ? VDB_OK : VDB_NOT_FOUND);
        if (there) model_unname(m, place);
        return;
    }
    uint64_t commit = 0;
    enum vdb_status status = vdb_name_create(db, text, strlen(text), &commit, &err);
    assert_int_equal(status, there ? VDB_EXISTS : VDB_OK);
    if (there) return;
    model_name(m, text);
    assert_int_equal(commit, model_commit(m));
}

/* ---- compaction ---------------------------------------------------------------------------- */

static void change_something(struct run *run, struct vdb *db)
{
    uint32_t what = run_draw(run, 10);
    if (what < 2)
        roll_back(run, db);
    else if (what < 5)
        change_names(run, db);
    else
        transact(run, db);
}

static int beside(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct run *run = context;
    (void)phase, (void)done, (void)total;
    if (run->meanwhile && run_draw(run, 2)) {
        run->meanwhile--;
        change_something(run, run->db[1]);
    }
    return 0;
}

static uint32_t tag_at(const struct vdb_snapshot *s, uint32_t row)
{
    float vector[MODEL_DIM];
    struct vdb_error err;
    must(vdb_row_vector(s, row, vector, &err), &err);
    return model_tag(vector);
}

/* What a commit looks like that was carried over: its rows are numbered as the index says, but it
 * has the live tags that it had. */
struct carried {
    uint32_t *before, *after; /* by tag: its version, or MODEL_NONE where it is not live */
    uint32_t tags;
};

static uint32_t *versions_by_tag(const struct model *m, uint64_t commit, uint32_t tags)
{
    const struct state *state = model_state(m, commit);
    uint32_t *versions = malloc(tags * sizeof *versions);
    assert_non_null(versions);
    memset(versions, 0xff, tags * sizeof *versions);
    for (uint32_t v = 0; v < m->version_count; v++)
        if (model_live(state, v)) versions[m->versions[v].tag] = v;
    return versions;
}

/* The rows that the commit added: what came to be live by it. A tag may have had another row
 * before, where a compaction had put anew what a named state had kept. */
static void take_rows(struct run *run, const struct vdb_snapshot *s, const struct carried *c)
{
    struct model *m = &run->now;
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    for (uint32_t row = m->row_count; row < info.rows; row++) {
        uint32_t tag = tag_at(s, row);
        assert_true(tag < c->tags && c->after[tag] != MODEL_NONE);
        assert_true(c->before[tag] != c->after[tag]);
        model_take_row(m, tag, m->versions[c->after[tag]].id);
    }
}

/* Its live rows have the tags that they had before the compaction, each once. */
static void take_liveness(struct run *run, const struct vdb_snapshot *s, uint64_t commit,
                          const struct carried *c)
{
    struct model *m = &run->now;
    uint32_t live = 0;
    uint64_t *bits = model_no_versions(m);
    for (uint32_t row = 0; row < m->row_count; row++) {
        if (vdb_row_state(s, row) != 1) continue;
        uint32_t tag = tag_at(s, row);
        assert_true(tag < c->tags && c->after[tag] != MODEL_NONE);
        c->after[tag] = MODEL_NONE;
        bits[m->rows[row] / 64] |= (uint64_t)1 << (m->rows[row] % 64);
        live++;
    }
    assert_int_equal(live, model_state(m, commit)->live_count);
    model_take_state(m, commit, bits);
}

/* Where an id is live at a commit, or MODEL_NONE. */
static uint32_t row_at(const struct model *m, uint64_t commit, uint32_t id)
{
    const struct state *state = model_state(m, commit);
    uint32_t version = model_find(m, state->live, state->row_count, id);
    return version == MODEL_NONE ? MODEL_NONE : m->versions[version].row;
}

/* In which order ids were ended is for the log to say. */
static void take_deletions(struct run *run, const struct vdb_snapshot *s, uint64_t commit)
{
    struct model *m = &run->now;
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    struct vdb_log_entry entry;
    struct vdb_log *log;
    struct vdb_error err;
    uint32_t expected = 0;
    for (uint32_t id = 0; id < MODEL_IDS; id++)
        expected += row_at(m, commit - 1, id) != MODEL_NONE && row_at(m, commit, id) == MODEL_NONE;
    options.since_commit = commit - 1;
    must(vdb_log_open(s, &options, &log, &err), &err);
    while (vdb_log_next(log, &entry, &err) == VDB_OK) {
        if (entry.operation != VDB_OPERATION_DELETE) continue;
        uint32_t id = m->versions[m->rows[entry.row]].id;
        assert_int_equal(row_at(m, commit - 1, id), entry.row);
        assert_int_equal(row_at(m, commit, id), MODEL_NONE);
        model_take_entry(m, commit, VDB_OPERATION_DELETE, entry.row);
        expected--;
    }
    assert_int_equal(expected, 0);
    vdb_log_close(log);
}

static void take_carried(struct run *run, const struct vdb_snapshot *newest, uint64_t s)
{
    struct model *m = &run->now;
    uint32_t **by_tag = calloc(model_commit(m) + 1, sizeof *by_tag);
    assert_non_null(by_tag);
    for (uint64_t c = s; c <= model_commit(m); c++)
        by_tag[c] = versions_by_tag(m, c, run->next_tag);
    for (uint64_t c = s + 1; c <= model_commit(m); c++) {
        const struct vdb_snapshot *past;
        struct vdb_error err;
        uint32_t first = m->row_count;
        must(vdb_snapshot_at(newest, c, &past, &err), &err);
        struct carried carried = {by_tag[c - 1], by_tag[c], run->next_tag};
        take_rows(run, past, &carried);
        /* Taking the liveness uses the table up, and the next commit has to know it. */
        carried.after = memcpy(by_tag[c - 1], by_tag[c], run->next_tag * sizeof **by_tag);
        take_liveness(run, past, c, &carried);
        for (uint32_t row = first; row < m->row_count; row++) {
            bool was = row_at(m, c - 1, m->versions[m->rows[row]].id) != MODEL_NONE;
            model_take_entry(m, c, was ? VDB_OPERATION_UPDATE : VDB_OPERATION_ADD, row);
        }
        take_deletions(run, past, c);
        vdb_snapshot_close(past);
    }
    for (uint64_t c = s; c <= model_commit(m); c++) free(by_tag[c]);
    free(by_tag);
}

static void compact(struct run *run, bool accompanied)
{
    struct model *m = &run->now, before;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t s = model_commit(m);
    int64_t since = INT64_MAX;
    uint32_t keep = run_draw(run, 4);
    if (keep == 0) {
        since = model_state(m, draw_commit(run))->time_us;
        options.now_us = since + HOUR_US;
        options.keep_rows_seconds = HOUR_US / 1000000;
    } else if (keep == 1) {
        since = INT64_MIN;
        options.keep_rows_seconds = UINT64_MAX;
    }
    options.set_history = run_draw(run, 6) == 0;
    if (accompanied) {
        options.progress = beside;
        options.context = run;
        run->meanwhile = MEANWHILE;
    }
    model_copy(m, &before);
    must(vdb_compact(run->db[0], &options, &err), &err);
    model_compact(m, s, &before, since);
    if (options.set_history) model_forget_history(m, s);
    model_release(&before);
    if (model_commit(m) == s) return;
    const struct vdb_snapshot *newest = store_snapshot(run->db[0]);
    take_carried(run, newest, s);
    vdb_snapshot_close(newest);
}

/* ---- looking ------------------------------------------------------------------------------- */

void run_look(struct run *run, uint32_t step)
{
    struct vdb *db = draw_handle(run);
    const struct vdb_snapshot *s = store_snapshot(db), *past;
    const struct model *m = &run->now;
    struct vdb_error err;
    uint64_t newest = model_commit(m), some = draw_kept(run), other = draw_kept(run);
    expect_state(s, m, newest, step, run->seed);
    expect_past(s, m, some, step, run->seed);
    expect_past(s, m, draw_commit(run), step, run->seed);
    expect_names(s, m);
    int64_t time = model_state(m, draw_commit(run))->time_us;
    for (int64_t t = time - 1; t <= time + 1; t++) expect_commit_at(s, m, t);
    if (run_draw(run, 4) == 0) expect_searches(s, m, some, run->seed);
    if (run_draw(run, 4) == 0) expect_diff(s, m, some, other);
    if (run_draw(run, 4) == 0)
        expect_log(s, m, some, run_draw(run, 2) ? draw_commit(run) : 0,
                   run_draw(run, 2) * run_draw(run, 50));
    if (run_draw(run, 4) == 0) { /* by way of another past state */
        must(vdb_snapshot_at(s, some, &past, &err), &err);
        expect_past(past, m, other, step, run->seed);
        vdb_snapshot_close(past);
    }
    vdb_snapshot_close(s);
}

void run_look_all(struct run *run, uint32_t step)
{
    const struct vdb_snapshot *s = store_snapshot(draw_handle(run));
    expect_all_pasts(s, &run->now, step);
    expect_log(s, &run->now, model_commit(&run->now), 0, 0);
    expect_commit_at(s, &run->now, 0);
    expect_commit_at(s, &run->now, INT64_MAX);
    vdb_snapshot_close(s);
}

/* A view that is held shows what it did, and all of the past that there was. Refreshed, it shows
 * the newest state. */
static void look_at_view(struct run *run, uint32_t i, uint32_t step)
{
    struct vdb_error err;
    const struct model *m = &run->then[i];
    uint64_t commit = model_commit(m), some = 1 + run_draw(run, (uint32_t)commit);
    expect_state(run->views[i], m, commit, step, run->seed);
    expect_names(run->views[i], m);
    expect_past(run->views[i], m, some, step, run->seed);
    if (run_draw(run, 2)) {
        must(vdb_refresh(*run->view_of[i], &run->views[i], &err), &err);
        expect_state(run->views[i], &run->now, model_commit(&run->now), step, run->seed);
        expect_names(run->views[i], &run->now);
    }
}

static void close_view(struct run *run, uint32_t i)
{
    if (!run->views[i]) return;
    vdb_snapshot_close(run->views[i]);
    run->views[i] = NULL;
    model_release(&run->then[i]);
}

static void look_back(struct run *run)
{
    uint32_t i = run_draw(run, RUN_VIEWS);
    if (run->views[i]) look_at_view(run, i, 7);
    close_view(run, i);
    run->view_of[i] = &run->db[run_draw(run, 2)];
    run->views[i] = store_snapshot(*run->view_of[i]);
    model_copy(&run->now, &run->then[i]);
}

static void reopen(struct run *run)
{
    uint32_t which = run_draw(run, 2);
    for (uint32_t i = 0; i < RUN_VIEWS; i++) /* a snapshot is refreshed by its own handle */
        if (run->views[i] && run->view_of[i] == &run->db[which]) close_view(run, i);
    vdb_close(run->db[which]);
    run->db[which] = store_open(RUN_INDEX);
}

/* ---- runs ---------------------------------------------------------------------------------- */

void run_step(struct run *run)
{
    struct vdb_error err;
    uint32_t what = run_draw(run, 200);
    bool full = run->now.row_count > ROWS_MAX && run_draw(run, 4) == 0;
    if (what < 3 || full) {
        compact(run, what != 0);
        run_look_all(run, 41);
    } else if (what < 7) {
        put_many(run, run->many + run_draw(run, 3 * run->many), what == 3);
    } else if (what < 12) {
        must(vdb_maintain(draw_handle(run), NULL, &err), &err);
    } else if (what < 18) {
        reopen(run);
    } else if (what < 30) {
        look_back(run);
    } else if (what < 45) {
        roll_back(run, draw_handle(run));
    } else if (what < 70) {
        change_names(run, draw_handle(run));
    } else if (what < 80) {
        put_many(run, 1 + run_draw(run, 12), true);
    } else {
        transact(run, draw_handle(run));
    }
}

void run_begin(struct run *run, enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = MODEL_DIM;
    options.index = index;
    if (index == VDB_INDEX_HYBRID) options.recent_rows = run->many;
    run->next_tag = 1;
    run->db[0] = store_create(RUN_INDEX, options);
    run->db[1] = store_open(RUN_INDEX);
    model_init(&run->now, store_info(run->db[0]).commit_time_us);
}

void run_end(struct run *run)
{
    struct vdb_error finding;
    for (uint32_t i = 0; i < RUN_VIEWS; i++) {
        if (run->views[i]) look_at_view(run, i, 1);
        close_view(run, i);
    }
    vdb_close(run->db[0]);
    vdb_close(run->db[1]);
    model_release(&run->now);
    if (store_check(RUN_INDEX, 1, &finding)) fail_msg("check: %s", finding.message);
}
