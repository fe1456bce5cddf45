/* test_txn.c: long random histories against a plain model in memory.
 *
 * The model is a list of rows (id, vector, metadata, dead or alive) and knows nothing of commits'
 * bytes, parts or logs. After each commit, maintenance, compaction and reopening the index must
 * show what the model says; snapshots taken on the way must go on showing what it said then.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "slow.h"
#include "store_fixture.h"

#define DIM      3u
#define IDS      60u /* few, so that they are met again */
#define ROWS_MAX 20000u
#define VIEWS    5u

struct row {
    uint8_t id;
    bool dead;
    uint16_t metadata; /* 0: none, else its length */
    float vector[DIM];
};

struct model {
    struct row *rows;
    uint32_t count;
};

static void model_copy(const struct model *from, struct model *to)
{
    to->count = from->count;
    to->rows = malloc((from->count ? from->count : 1) * sizeof *to->rows);
    assert_non_null(to->rows);
    memcpy(to->rows, from->rows, from->count * sizeof *to->rows);
}

/* The newest row of that id which is dead, or alive; -1: none. */
static int64_t model_find(const struct model *m, unsigned id, bool dead)
{
    for (uint32_t i = m->count; i-- > 0;)
        if (m->rows[i].id == id && m->rows[i].dead == dead) return i;
    return -1;
}

/* Ids from 1 byte to VDB_ID_MAX, some of them not ASCII. */
static size_t id_text(unsigned id, char *text)
{
    int len = snprintf(text, VDB_ID_MAX + 1, id % 5 ? "%u" : "\xc3\xa4/%u", id);
    size_t want = id == 7 ? VDB_ID_MAX : (size_t)len + id % 11;
    memset(text + len, 'x', want - (size_t)len);
    return want;
}

static char *metadata_text(const struct row *row)
{
    if (!row->metadata) return NULL;
    char *text = malloc(row->metadata + 1u);
    assert_non_null(text);
    memset(text, 'm', row->metadata);
    memcpy(text, "{\"", 2);
    memcpy(text + row->metadata - 2, "\"}", 3);
    text[2] = (char)('a' + row->id % 26);
    return text;
}

static void expect_row(const struct vdb_snapshot *s, const struct model *m, uint32_t row)
{
    const struct row *want = &m->rows[row];
    struct vdb_error err;
    char id[VDB_ID_MAX + 1], *json;
    const char *got;
    size_t id_len = id_text(want->id, id), len;
    float vector[DIM];
    assert_int_equal(vdb_row_state(s, row), want->dead ? 2 : 1);
    must(vdb_row_id(s, row, &got, &len, &err), &err);
    assert_int_equal(len, id_len);
    assert_memory_equal(got, id, len);
    must(vdb_row_vector(s, row, vector, &err), &err);
    assert_memory_equal(vector, want->vector, sizeof vector);
    must(vdb_row_metadata(s, row, &json, &len, &err), &err);
    assert_int_equal(len, want->metadata);
    char *text = metadata_text(want);
    if (text) assert_string_equal(json, text);
    if (!text) assert_null(json);
    free(text);
    free(json);
}

static void expect_id(const struct vdb_snapshot *s, const struct model *m, unsigned id)
{
    struct vdb_error err;
    char text[VDB_ID_MAX + 1];
    size_t len = id_text(id, text);
    int64_t live = model_find(m, id, false), dead = model_find(m, id, true);
    uint32_t row = 0;
    enum vdb_status status = vdb_find(s, text, len, 0, &row, &err);
    assert_int_equal(status, live < 0 ? VDB_NOT_FOUND : VDB_OK);
    if (live >= 0) assert_int_equal(row, live);
    status = vdb_find(s, text, len, 1, &row, &err);
    assert_int_equal(status, live < 0 && dead < 0 ? VDB_NOT_FOUND : VDB_OK);
    if (live < 0 && dead >= 0) assert_int_equal(row, dead);
}

/* With `row_step` 1 every row, else each so many. */
static void expect(const struct vdb_snapshot *s, const struct model *m, uint32_t row_step)
{
    struct vdb_info info;
    uint32_t live = 0;
    for (uint32_t i = 0; i < m->count; i++) live += !m->rows[i].dead;
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.rows, m->count);
    assert_int_equal(info.live, live);
    assert_int_equal(info.deleted, m->count - live);
    assert_true(info.tail_rows <= info.rows);
    for (uint32_t i = m->count % row_step; i < m->count; i += row_step) expect_row(s, m, i);
    for (unsigned id = 0; id < IDS; id++) expect_id(s, m, id);
    assert_int_equal(vdb_row_state(s, m->count), 0);
}

/* ---- operations ---------------------------------------------------------------------------- */

struct run {
    uint64_t seed;
    struct model now;
    struct vdb *db;
    uint64_t commit;
    struct model then[VIEWS]; /* states that snapshots hold on to */
    const struct vdb_snapshot *views[VIEWS];
};

static uint32_t draw(struct run *run, uint32_t below)
{
    return (uint32_t)(store_random(&run->seed) >> 20) % below;
}

static void put(struct run *run, struct vdb_txn *txn, struct vdb_commit_info *want)
{
    struct model *m = &run->now;
    enum vdb_put_mode mode = (enum vdb_put_mode)draw(run, 3);
    struct row row = {.id = (uint8_t)draw(run, IDS)};
    if (draw(run, 2)) row.metadata = (uint16_t)(5 + draw(run, draw(run, 50) ? 30 : 5000));
    for (unsigned i = 0; i < DIM; i++) row.vector[i] = (float)draw(run, 1000) / 8 - 60;
    char id[VDB_ID_MAX + 1], *metadata = metadata_text(&row);
    size_t id_len = id_text(row.id, id);
    int64_t live = model_find(m, row.id, false);
    enum vdb_status expected = mode == VDB_INSERT && live >= 0  ? VDB_EXISTS
                               : mode == VDB_UPDATE && live < 0 ? VDB_NOT_FOUND
                                                                : VDB_OK;
    struct vdb_error err;
    assert_int_equal(vdb_txn_put(txn, mode, id, id_len, row.vector, metadata, row.metadata, &err),
                     expected);
    free(metadata);
    if (expected) return;
    assert_true(m->count < ROWS_MAX);
    if (live >= 0) m->rows[live].dead = true;
    m->rows[m->count++] = row;
    *(live >= 0 ? &want->updated : &want->added) += 1;
}

static void end_or_restore(struct run *run, struct vdb_txn *txn, bool restore,
                           struct vdb_commit_info *want)
{
    unsigned number = draw(run, IDS);
    char id[VDB_ID_MAX + 1];
    size_t id_len = id_text(number, id);
    int64_t live = model_find(&run->now, number, false), dead = model_find(&run->now, number, true);
    struct vdb_error err;
    if (!restore) {
        assert_int_equal(vdb_txn_delete(txn, id, id_len, &err), live < 0 ? VDB_NOT_FOUND : VDB_OK);
        if (live < 0) return;
        run->now.rows[live].dead = true;
        want->deleted++;
        return;
    }
    enum vdb_status expected = live >= 0 ? VDB_EXISTS : dead < 0 ? VDB_NOT_FOUND : VDB_OK;
    assert_int_equal(vdb_txn_restore(txn, id, id_len, &err), expected);
    if (expected) return;
    run->now.rows[dead].dead = false;
    want->restored++;
}

static void transact(struct run *run)
{
    struct vdb_txn *txn = store_begin(run->db);
    struct vdb_commit_info want = {0};
    struct model before;
    model_copy(&run->now, &before);
    uint32_t operations = draw(run, 20) ? draw(run, 8) : draw(run, 60);
    for (uint32_t i = 0; i < operations; i++) {
        uint32_t kind = draw(run, 10);
        if (kind < 6)
            put(run, txn, &want);
        else
            end_or_restore(run, txn, kind == 9, &want);
    }
    if (draw(run, 12) == 0) { /* it never was */
        vdb_txn_abort(txn);
        memcpy(run->now.rows, before.rows, before.count * sizeof *before.rows);
        run->now.count = before.count;
        free(before.rows);
        return;
    }
    free(before.rows);
    struct vdb_commit_info got = store_commit(txn);
    run->commit += want.added || want.updated || want.deleted || want.restored;
    assert_int_equal(got.commit, run->commit);
    assert_int_equal(got.added, want.added);
    assert_int_equal(got.updated, want.updated);
    assert_int_equal(got.deleted, want.deleted);
    assert_int_equal(got.restored, want.restored);
}

/* Rows in one go that make a part needed. Ids are met again and again within the transaction. */
static void bulk(struct run *run)
{
    struct vdb_txn *txn = store_begin(run->db);
    struct vdb_commit_info want = {0};
    uint32_t before = run->now.count;
    while (run->now.count < before + 2100) put(run, txn, &want);
    store_commit(txn);
    run->commit++;
}

static void compact(struct run *run)
{
    struct vdb_error err;
    must(vdb_compact(run->db, NULL, &err), &err);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->now.count; i++)
        if (!run->now.rows[i].dead) run->now.rows[kept++] = run->now.rows[i];
    run->now.count = kept;
}

static void look_back(struct run *run)
{
    uint32_t i = draw(run, VIEWS);
    if (run->views[i]) {
        expect(run->views[i], &run->then[i], 7);
        vdb_snapshot_close(run->views[i]);
        free(run->then[i].rows);
    }
    run->views[i] = store_snapshot(run->db);
    model_copy(&run->now, &run->then[i]);
}

static void step(struct run *run)
{
    struct vdb_error err;
    uint32_t what = draw(run, 100);
    if (what == 0) {
        bulk(run);
    } else if (what < 3) {
        must(vdb_maintain(run->db, NULL, &err), &err);
    } else if (what == 3) {
        compact(run);
    } else if (what < 7) {
        vdb_close(run->db);
        run->db = store_open("x.vdb");
    } else if (what < 15) {
        look_back(run);
    } else {
        transact(run);
    }
}

static void history(uint64_t seed, unsigned steps, enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct run run = {.seed = seed, .commit = 1};
    options.dim = DIM;
    options.index = index;
    run.now.rows = calloc(ROWS_MAX, sizeof *run.now.rows);
    assert_non_null(run.now.rows);
    run.db = store_create("x.vdb", options);
    for (unsigned i = 0; i < steps; i++) {
        step(&run);
        const struct vdb_snapshot *s = store_snapshot(run.db);
        struct vdb_info info;
        vdb_snapshot_info(s, &info);
        assert_int_equal(info.commit, run.commit);
        expect(s, &run.now, i % 50 == 0 ? 1 : 97);
        vdb_snapshot_close(s);
    }
    for (unsigned i = 0; i < VIEWS; i++) {
        if (!run.views[i]) continue;
        expect(run.views[i], &run.then[i], 1);
        vdb_snapshot_close(run.views[i]);
        free(run.then[i].rows);
    }
    vdb_close(run.db);
    free(run.now.rows);
    struct vdb_error finding;
    if (store_check("x.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
}

static void random_history_1(void **state)
{
    (void)state;
    history(1, SLOW ? 200 : 600, VDB_INDEX_AUTO);
}

static void random_history_2(void **state)
{
    (void)state;
    history(0xdecafbad, 600, VDB_INDEX_FLAT);
}

static void random_history_3(void **state)
{
    (void)state;
    history(77777777, 600, VDB_INDEX_GRAPH);
}

/* ---- single promises ----------------------------------------------------------------------- */

static void a_transaction_without_changes_writes_nothing(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct buf before = {0}, after = {0};
    options.dim = DIM;
    struct vdb *db = store_create("x.vdb", options);
    store_read("x.vdb", &before);
    struct vdb_commit_info info = store_commit(store_begin(db));
    assert_int_equal(info.commit, 1);
    vdb_close(db);
    store_read("x.vdb", &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_release(&before);
    buf_release(&after);
}

/* An error leaves the transaction as it was; it goes on, and only the good rows come. */
static void errors_within_leave_it_usable(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    const float v[DIM] = {1, 2, 3};
    options.dim = DIM;
    struct vdb *db = store_create("x.vdb", options);
    struct vdb_txn *txn = store_begin(db);
    store_put(txn, "a", v, NULL);
    assert_int_equal(vdb_txn_put(txn, VDB_INSERT, "a", 1, v, NULL, 0, &err), VDB_EXISTS);
    assert_int_equal(vdb_txn_put(txn, VDB_UPDATE, "b", 1, v, NULL, 0, &err), VDB_NOT_FOUND);
    assert_int_equal(vdb_txn_delete(txn, "b", 1, &err), VDB_NOT_FOUND);
    assert_int_equal(vdb_txn_restore(txn, "a", 1, &err), VDB_EXISTS);
    assert_int_equal(vdb_txn_restore(txn, "b", 1, &err), VDB_NOT_FOUND);
    assert_int_equal(vdb_txn_put(txn, (enum vdb_put_mode)3, "c", 1, v, NULL, 0, &err), VDB_INVALID);
    store_put(txn, "d", v, NULL);
    struct vdb_commit_info info = store_commit(txn);
    assert_int_equal(info.added, 2);
    assert_int_equal(store_info(db).live, 2);
    vdb_close(db);
}

/* Large enough to be spooled into a file, to have an extent of its own, and to fill log extents. */
static void large_transactions(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    enum { WIDE = 1000, ROWS = 3000 };
    options.dim = WIDE;
    struct vdb *db = store_create("x.vdb", options);
    store_add_many(db, 0, ROWS, WIDE);
    store_add_many(db, ROWS / 2, 20, WIDE);
    store_add_many(db, ROWS, 20, WIDE);
    vdb_close(db);
    db = store_open("x.vdb");
    const struct vdb_snapshot *s = store_snapshot(db);
    for (uint32_t row = 0; row < ROWS + 40; row += 5) {
        float got[WIDE], want[WIDE];
        struct vdb_error err;
        uint32_t number = row < ROWS ? row : row < ROWS + 20 ? row - ROWS / 2 : row - 20;
        store_vector(number, WIDE, want);
        must(vdb_row_vector(s, row, got, &err), &err);
        assert_memory_equal(got, want, sizeof got);
        char *json, text[64];
        size_t len;
        must(vdb_row_metadata(s, row, &json, &len, &err), &err);
        snprintf(text, sizeof text, "{\"number\": %u}", number);
        if (number % 3 == 0) assert_string_equal(json, text);
        if (number % 3) assert_null(json);
        free(json);
    }
    vdb_snapshot_close(s);
    assert_int_equal(store_info(db).live, ROWS + 20);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(random_history_1),
        test(random_history_2),
        test(random_history_3),
        test(a_transaction_without_changes_writes_nothing),
        test(errors_within_leave_it_usable),
        test(large_transactions),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
