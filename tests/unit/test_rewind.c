/* test_rewind.c: going back in time, by hand: what single rows were, commits that come between,
 * and where the log goes on in another extent. Long random histories are those of test_model.c.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/txn.h"
#include "store_fixture.h"

#define DIM 4

static struct vdb *create(void)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    return store_create("x.vdb", options);
}

static void name(struct vdb *db, const char *text, uint64_t expected)
{
    struct vdb_error err;
    uint64_t commit;
    must(vdb_name_create(db, text, strlen(text), &commit, &err), &err);
    assert_int_equal(commit, expected);
}

/* `rows` has a letter a row: live, deleted, or - for one that is not there. */
static void expect_rows(const struct vdb_snapshot *s, uint64_t commit, const char *rows)
{
    const struct vdb_snapshot *past;
    struct vdb_error err;
    struct vdb_info info;
    uint64_t count = 0, live = 0;
    must(vdb_snapshot_at(s, commit, &past, &err), &err);
    for (uint32_t row = 0; rows[row]; row++) {
        const char *letters = "-ld";
        if (vdb_row_state(past, row) != strchr(letters, rows[row]) - letters)
            fail_msg("commit %d: row %u is %c, not %c", (int)commit, row,
                     letters[vdb_row_state(past, row)], rows[row]);
        count += rows[row] != '-';
        live += rows[row] == 'l';
    }
    vdb_snapshot_info(past, &info);
    assert_int_equal(info.commit, commit);
    assert_int_equal(info.rows, count);
    assert_int_equal(info.live, live);
    vdb_snapshot_close(past);
}

static void expect_newest(struct vdb *db, uint64_t commit, const char *rows)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(store_info(db).commit, commit);
    expect_rows(s, commit, rows);
    vdb_snapshot_close(s);
}

static void restore(struct vdb_txn *txn, const char *id)
{
    struct vdb_error err;
    must(vdb_txn_restore(txn, id, strlen(id), &err), &err);
}

static void end_row(struct vdb_txn *txn, const char *id)
{
    struct vdb_error err;
    must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
}

static void roll_back(struct vdb *db, uint64_t to, uint64_t expected, uint64_t deleted,
                      uint64_t restored)
{
    struct vdb_error err;
    struct vdb_commit_info info;
    must(vdb_rollback(db, to, &info, &err), &err);
    assert_int_equal(info.commit, expected);
    assert_int_equal(info.added + info.updated, 0);
    assert_int_equal(info.deleted, deleted);
    assert_int_equal(info.restored, restored);
}

/* ---- single rows --------------------------------------------------------------------------- */

static void a_row_that_went_and_came_back(void **state)
{
    (void)state;
    struct vdb *db = create();
    store_add(db, 0, DIM); /* commit 2 */
    store_delete(db, 0);   /* 3 */
    struct vdb_txn *txn = store_begin(db);
    restore(txn, "r0"); /* 4 */
    store_commit(txn);
    store_add(db, 0, DIM); /* 5: row 1 takes its place */
    store_add(db, 0, DIM); /* 6: and row 2 its */
    const struct vdb_snapshot *s = store_snapshot(db);
    expect_rows(s, 1, "---");
    expect_rows(s, 2, "l--");
    expect_rows(s, 3, "d--");
    expect_rows(s, 4, "l--");
    expect_rows(s, 5, "dl-");
    expect_rows(s, 6, "ddl");
    vdb_snapshot_close(s);
    vdb_close(db);
}

static void expect_last(struct vdb *db, const char *id, uint32_t row)
{
    struct vdb_error err;
    uint32_t found;
    const struct vdb_snapshot *s = store_snapshot(db);
    must(vdb_find(s, id, strlen(id), 1, &found, &err), &err);
    assert_int_equal(found, row);
    vdb_snapshot_close(s);
}

/* Of an id's rows not always the newest was live last. */
static void what_was_live_last_comes_back(void **state)
{
    (void)state;
    struct vdb *db = create();
    store_add_many(db, 0, 2, DIM); /* commit 2: rows 0 and 1 */
    store_add_many(db, 0, 2, DIM); /* 3: rows 2 and 3 in their places */
    roll_back(db, 2, 4, 2, 2);
    store_delete(db, 0); /* 5 */
    expect_last(db, "r0", 0);
    expect_last(db, "r1", 1); /* live */
    struct vdb_txn *txn = store_begin(db);
    restore(txn, "r0"); /* 6 */
    end_row(txn, "r1");
    restore(txn, "r1"); /* ended here and nowhere else */
    store_commit(txn);
    expect_newest(db, 6, "lldd");
    roll_back(db, 3, 7, 2, 2);
    store_delete(db, 0); /* 8 */
    expect_last(db, "r0", 2);
    const struct vdb_snapshot *s = store_snapshot(db), *past;
    struct vdb_error err;
    uint32_t found;
    must(vdb_snapshot_at(s, 5, &past, &err), &err); /* where row 0 was the last */
    must(vdb_find(past, "r0", 2, 1, &found, &err), &err);
    assert_int_equal(found, 0);
    vdb_snapshot_close(past);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* A named commit keeps a newer row than the one that was live last. */
static void what_was_live_last_across_a_compaction(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create();
    store_add(db, 0, DIM); /* commit 2: row 0 */
    store_add(db, 0, DIM); /* 3: row 1 */
    name(db, "newer", 3);
    roll_back(db, 2, 4, 1, 1);
    name(db, "older", 4);
    must(vdb_compact(db, NULL, &err), &err);
    store_delete(db, 0);
    expect_last(db, "r0", 0);
    must(vdb_compact(db, NULL, &err), &err); /* both rows are there for the names alone */
    expect_last(db, "r0", 0);
    struct vdb_txn *txn = store_begin(db);
    restore(txn, "r0");
    store_commit(txn);
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(vdb_row_state(s, 0), 1);
    assert_int_equal(vdb_row_state(s, 1), 2);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* What one commit does to a row more than once. */
static void rows_that_one_commit_changes_often(void **state)
{
    (void)state;
    float v[DIM] = {1, 2, 3, 4};
    struct vdb *db = create();
    store_add_many(db, 0, 3, DIM); /* commit 2: rows 0, 1, 2 */
    struct vdb_txn *txn = store_begin(db);
    end_row(txn, "r0");
    restore(txn, "r0"); /* as it was */
    store_put(txn, "r1", v, NULL);
    store_put(txn, "r1", v, NULL); /* row 3 is dead at once, row 4 lives */
    end_row(txn, "r1");
    end_row(txn, "r2");
    store_put(txn, "r2", v, NULL);
    end_row(txn, "r2");
    restore(txn, "r2");  /* row 5 */
    store_commit(txn);   /* 3 */
    store_delete(db, 0); /* 4 */
    const struct vdb_snapshot *s = store_snapshot(db);
    expect_rows(s, 2, "lll---");
    expect_rows(s, 3, "lddddl");
    expect_rows(s, 4, "dddddl");
    vdb_snapshot_close(s);
    vdb_close(db);
}

static void expect_difference(struct vdb_diff *diff, enum vdb_operation operation, const char *id,
                              uint32_t from_row, uint32_t to_row)
{
    struct vdb_diff_entry entry;
    struct vdb_error err;
    must(vdb_diff_next(diff, &entry, &err), &err);
    assert_int_equal(entry.operation, operation);
    assert_int_equal(entry.id_len, strlen(id));
    assert_memory_equal(entry.id, id, entry.id_len);
    assert_int_equal(entry.from_row, from_row);
    assert_int_equal(entry.to_row, to_row);
}

static void differences_either_way(void **state)
{
    (void)state;
    struct vdb *db = create();
    struct vdb_diff *diff;
    struct vdb_diff_entry entry;
    struct vdb_error err;
    store_add_many(db, 0, 2, DIM); /* commit 2: r0, r1 */
    store_add_many(db, 1, 2, DIM); /* 3: r1 anew in row 2, r2 in row 3 */
    store_delete(db, 0);           /* 4 */
    const struct vdb_snapshot *to = store_snapshot(db), *from, *other = store_snapshot(db);
    must(vdb_snapshot_at(to, 2, &from, &err), &err);
    must(vdb_diff_open(from, to, &diff, &err), &err);
    expect_difference(diff, VDB_OPERATION_UPDATE, "r1", 1, 2);
    expect_difference(diff, VDB_OPERATION_ADD, "r2", UINT32_MAX, 3);
    expect_difference(diff, VDB_OPERATION_DELETE, "r0", 0, UINT32_MAX);
    assert_int_equal(vdb_diff_next(diff, &entry, &err), VDB_NOT_FOUND);
    vdb_diff_close(diff);
    must(vdb_diff_open(to, from, &diff, &err), &err);
    expect_difference(diff, VDB_OPERATION_ADD, "r0", UINT32_MAX, 0);
    expect_difference(diff, VDB_OPERATION_UPDATE, "r1", 2, 1);
    expect_difference(diff, VDB_OPERATION_DELETE, "r2", 3, UINT32_MAX);
    assert_int_equal(vdb_diff_next(diff, &entry, &err), VDB_NOT_FOUND);
    vdb_diff_close(diff);
    vdb_snapshot_close(from);
    vdb_snapshot_close(to);
    vdb_snapshot_close(other);
    vdb_close(db);
}

/* ---- rolling back -------------------------------------------------------------------------- */

static void going_back_can_be_gone_back_on(void **state)
{
    (void)state;
    struct vdb *db = create();
    store_add_many(db, 0, 2, DIM); /* commit 2: r0, r1 */
    store_delete(db, 0);           /* 3 */
    store_add_many(db, 1, 2, DIM); /* 4: r1 anew, r2 */
    roll_back(db, 2, 5, 2, 2);
    expect_newest(db, 5, "lldd");
    roll_back(db, 4, 6, 2, 2);
    expect_newest(db, 6, "ddll");
    roll_back(db, 6, 6, 0, 0);
    roll_back(db, 4, 6, 0, 0);
    roll_back(db, 1, 7, 2, 0);
    roll_back(db, 5, 8, 0, 2);
    vdb_close(db);
    db = store_open("x.vdb");
    expect_newest(db, 8, "lldd");
    const struct vdb_snapshot *s = store_snapshot(db);
    expect_rows(s, 7, "dddd");
    expect_rows(s, 5, "lldd");
    expect_rows(s, 3, "dl--");
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

static struct vdb_txn *begin_back(struct vdb *db, uint64_t commit)
{
    struct vdb_error err;
    struct vdb_txn *txn = store_begin(db);
    must(txn_roll_back(txn, commit, &err), &err);
    return txn;
}

/* It leads to the state that was asked for, whatever another writer has committed meanwhile. */
static void going_back_beside_another_writer(void **state)
{
    (void)state;
    struct vdb *db = create(), *other = store_open("x.vdb");
    store_add_many(db, 0, 2, DIM); /* commit 2 */
    store_delete(db, 0);           /* 3 */
    struct vdb_txn *txn = begin_back(db, 2);
    store_add_many(other, 1, 2, DIM); /* 4 */
    struct vdb_commit_info info = store_commit(txn);
    assert_int_equal(info.commit, 5);
    assert_int_equal(info.deleted, 2);
    assert_int_equal(info.restored, 2);
    expect_newest(other, 5, "lldd");
    /* Where the other one has come to that state by itself, nothing is left to do. */
    store_delete(db, 1); /* 6 */
    txn = begin_back(db, 5);
    struct vdb_txn *same = store_begin(other);
    restore(same, "r1"); /* the newest: row 2 */
    store_commit(same);  /* 7 */
    vdb_txn_abort(txn);
    txn = begin_back(db, 7);
    store_delete(other, 0); /* 8 */
    roll_back(other, 7, 9, 0, 1);
    info = store_commit(txn);
    assert_int_equal(info.commit, 9);
    assert_int_equal(info.deleted + info.restored, 0);
    vdb_close(other);
    vdb_close(db);
}

static void going_back_across_a_compaction(void **state)
{
    (void)state;
    struct vdb_error err = {0};
    struct vdb *db = create(), *other = store_open("x.vdb");
    store_add_many(db, 0, 2, DIM); /* commit 2 */
    name(db, "kept", 2);
    store_delete(db, 0);           /* 3 */
    store_add_many(db, 2, 1, DIM); /* 4: row 2 */
    struct vdb_txn *kept = begin_back(db, 2);
    must(vdb_compact(other, NULL, &err), &err);
    struct vdb_commit_info info = store_commit(kept);
    assert_int_equal(info.commit, 5);
    expect_newest(db, 5, "lld");
    store_delete(db, 1); /* 6 */
    struct vdb_txn *lost = begin_back(db, 5);
    must(vdb_compact(other, NULL, &err), &err);
    assert_int_equal(vdb_txn_commit(lost, &info, &err), VDB_NOT_FOUND);
    assert_non_null(strstr(err.message, "commit 2"));
    expect_newest(db, 6, "ld");
    vdb_close(other);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* ---- extents of the log -------------------------------------------------------------------- */

enum { COMMITS = 24, PART = 2048 };

static uint64_t rows_at(uint64_t commit)
{
    return commit - 1;
}

/* Commit c adds row c - 2, and each has some 20 KiB: the log has several extents. */
static void add_heavy(struct vdb *db, int64_t *times)
{
    char *metadata = malloc(20000);
    assert_non_null(metadata);
    uint64_t seed = 9;
    for (uint64_t c = 2; c <= COMMITS; c++) {
        float v[DIM] = {(float)c, 1, 1, 1};
        char id[16];
        size_t len = (size_t)snprintf(metadata, 20000, "{\"x\":\"");
        for (; len < 19000; len++) metadata[len] = "0123456789abcdef"[store_random(&seed) >> 60];
        snprintf(metadata + len, 20000 - len, "\"}");
        snprintf(id, sizeof id, "h%d", (int)c);
        struct vdb_txn *txn = store_begin(db);
        store_put(txn, id, v, metadata);
        store_commit(txn);
        times[c] = store_info(db).commit_time_us;
    }
    free(metadata);
}

static void expect_heavy(struct vdb *db, const int64_t *times)
{
    const struct vdb_snapshot *s = store_snapshot(db), *past;
    struct vdb_error err;
    struct vdb_info info;
    uint64_t commit;
    for (uint64_t c = 2; c <= COMMITS; c++) {
        must(vdb_snapshot_at(s, c, &past, &err), &err);
        vdb_snapshot_info(past, &info);
        assert_int_equal(info.rows, rows_at(c));
        assert_int_equal(info.live, rows_at(c));
        assert_int_equal(info.commit_time_us, times[c]);
        must(vdb_commit_at(s, times[c], &commit, &err), &err);
        assert_true(commit >= c && times[commit] == times[c]);
        vdb_snapshot_close(past);
    }
    vdb_snapshot_close(s);
}

static void a_log_of_several_extents(void **state)
{
    (void)state;
    struct vdb_error err;
    int64_t times[COMMITS + 1] = {0};
    struct vdb *db = create();
    add_heavy(db, times);
    expect_heavy(db, times);
    store_add_many(db, 0, PART, DIM);
    must(vdb_maintain(db, NULL, &err), &err);
    expect_heavy(db, times); /* the extents are the manifest's now */
    store_add_many(db, 0, 5, DIM);
    vdb_close(db);
    db = store_open("x.vdb");
    expect_heavy(db, times);
    const struct vdb_snapshot *s = store_snapshot(db);
    for (uint64_t c = COMMITS + 1; c <= COMMITS + 2; c++) {
        const struct vdb_snapshot *past;
        struct vdb_info info;
        must(vdb_snapshot_at(s, c, &past, &err), &err);
        vdb_snapshot_info(past, &info);
        assert_int_equal(info.live, rows_at(COMMITS) + PART);
        assert_int_equal(info.rows, info.live + (c > COMMITS + 1 ? 5 : 0));
        vdb_snapshot_close(past);
    }
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* ---- names --------------------------------------------------------------------------------- */

static void what_a_name_is(void **state)
{
    (void)state;
    struct vdb_error err;
    char longest[VDB_NAME_MAX + 2];
    static const char *const bad[] = {"", "a\nb", "\xff", "a\x7f", "\xc3"};
    struct vdb *db = create();
    memset(longest, 'n', sizeof longest);
    assert_int_equal(vdb_name_create(db, longest, VDB_NAME_MAX + 1, NULL, &err), VDB_INVALID);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(vdb_name_create(db, bad[i], strlen(bad[i]), NULL, &err), VDB_INVALID);
    must(vdb_name_create(db, longest, VDB_NAME_MAX, NULL, &err), &err);
    assert_int_equal(vdb_name_create(db, longest, VDB_NAME_MAX, NULL, &err), VDB_EXISTS);
    must(vdb_name_create(db, longest, VDB_NAME_MAX - 1, NULL, &err), &err);
    must(vdb_name_remove(db, longest, VDB_NAME_MAX, &err), &err);
    assert_int_equal(vdb_name_remove(db, longest, VDB_NAME_MAX, &err), VDB_NOT_FOUND);
    vdb_close(db);
    db = store_open("x.vdb");
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_name found;
    assert_int_equal(vdb_name_at(s, 0, &found), VDB_OK);
    assert_int_equal(found.name_len, VDB_NAME_MAX - 1);
    assert_int_equal(vdb_name_at(s, 1, &found), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    vdb_close(db);
}

enum { NAMERS = 2, COMMITTERS = 2, TIMES = 60 };

struct worker {
    pthread_t thread;
    const char *path;
    unsigned number;
    bool names;
    uint64_t commits[TIMES]; /* that were named */
    char wrong[200];
};

static void *work(void *context)
{
    struct worker *w = context;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct vdb *db;
    float v[DIM] = {1, 1, 1, 1};
    enum vdb_status status = vdb_open(w->path, &options, &db, &err);
    for (unsigned i = 0; i < TIMES && !status; i++) {
        char text[32];
        size_t len = (size_t)snprintf(text, sizeof text, "%u-%u", w->number, i);
        if (w->names) {
            status = vdb_name_create(db, text, len, &w->commits[i], &err);
            continue;
        }
        struct vdb_txn *txn;
        status = vdb_txn_begin(db, &txn, &err);
        if (!status) status = vdb_txn_put(txn, VDB_UPSERT, text, len, v, NULL, 0, &err);
        if (!status) status = vdb_txn_commit(txn, NULL, &err);
    }
    if (status) snprintf(w->wrong, sizeof w->wrong, "status %d: %.150s", (int)status, err.message);
    vdb_close(db);
    return NULL;
}

/* Each commit adds a row, so a state tells its commit by its rows. */
static void names_among_commits_of_others(void **state)
{
    (void)state;
    struct worker workers[NAMERS + COMMITTERS] = {0};
    const char *path = store_path("x.vdb");
    vdb_close(create());
    for (unsigned i = 0; i < NAMERS + COMMITTERS; i++) {
        workers[i].path = path;
        workers[i].number = i;
        workers[i].names = i < NAMERS;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < NAMERS + COMMITTERS; i++) pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < NAMERS + COMMITTERS; i++) assert_string_equal(workers[i].wrong, "");
    struct vdb *db = store_open("x.vdb");
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_name found;
    struct vdb_error err;
    assert_int_equal(store_info(db).commit, 1 + COMMITTERS * TIMES);
    for (unsigned i = 0; i < NAMERS; i++)
        for (unsigned n = 0; n < TIMES; n++) {
            char text[32];
            size_t len = (size_t)snprintf(text, sizeof text, "%u-%u", i, n);
            must(vdb_name_find(s, text, len, &found, &err), &err);
            assert_int_equal(found.commit, workers[i].commits[n]);
            assert_int_equal(found.rows, found.commit - 1);
            assert_int_equal(found.live, found.commit - 1);
            if (n) assert_true(workers[i].commits[n] >= workers[i].commits[n - 1]);
        }
    assert_int_equal(vdb_name_at(s, NAMERS * TIMES, &found), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_row_that_went_and_came_back),    test(rows_that_one_commit_changes_often),
        test(differences_either_way),           test(going_back_can_be_gone_back_on),
        test(going_back_beside_another_writer), test(going_back_across_a_compaction),
        test(what_was_live_last_comes_back),    test(what_was_live_last_across_a_compaction),
        test(a_log_of_several_extents),         test(what_a_name_is),
        test(names_among_commits_of_others),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
