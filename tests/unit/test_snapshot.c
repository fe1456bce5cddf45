/* test_snapshot.c: a reader sees exactly one commit, whoever writes what: through another handle,
 * or from other threads through the same one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "store_fixture.h"

#define DIM 4u

static struct vdb *create(uint32_t dim)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = dim;
    return store_create("x.vdb", options);
}

static void commits_of_one_handle_reach_the_other(void **state)
{
    (void)state;
    struct vdb *a = create(DIM), *b = store_open("x.vdb");
    store_add(a, 1, DIM);
    const struct vdb_snapshot *old = store_snapshot(b);
    store_add(a, 2, DIM);
    store_delete(b, 1);
    assert_int_equal(store_info(a).live, 1);
    assert_int_equal(store_info(a).commit, 4);
    assert_int_equal(store_info(b).commit, 4);
    assert_int_equal(vdb_row_state(old, 0), 1);
    assert_int_equal(vdb_row_state(old, 1), 0);
    vdb_snapshot_close(old);
    vdb_close(a);
    vdb_close(b);
}

static void live_rows_are_gone_over_in_order(void **state)
{
    (void)state;
    struct vdb *db = create(3);
    uint32_t row = 0;
    const struct vdb_snapshot *empty = store_snapshot(db);
    assert_int_equal(vdb_next_live_row(empty, &row), 0);
    store_add_many(db, 0, 6, 3);
    store_delete(db, 0);
    store_delete(db, 3);
    store_delete(db, 5);
    const struct vdb_snapshot *now = store_snapshot(db);
    static const uint32_t live[] = {1, 2, 4};
    size_t n = 0;
    for (row = 0; vdb_next_live_row(now, &row); row++, n++) assert_int_equal(row, live[n]);
    assert_int_equal(n, 3);
    vdb_snapshot_close(empty);
    vdb_snapshot_close(now);
    vdb_close(db);
}

/* Another's commit came between: what the transaction asks for is judged against the newest. */
static void a_commit_between_is_taken_into_account(void **state)
{
    (void)state;
    const float v[DIM] = {1, 2, 3, 4};
    struct vdb_error err;
    struct vdb_commit_info info = {.commit = 99};
    struct vdb *a = create(DIM), *b = store_open("x.vdb");
    struct vdb_txn *insert = store_begin(a), *upsert = store_begin(a);
    must(vdb_txn_put(insert, VDB_INSERT, "r1", 2, v, NULL, 0, &err), &err);
    store_put(upsert, "r1", v, NULL);
    store_add(b, 1, DIM);
    struct vdb_txn *update = store_begin(a), *delete = store_begin(a);
    must(vdb_txn_put(update, VDB_UPDATE, "r1", 2, v, NULL, 0, &err), &err);
    must(vdb_txn_delete(delete, "r1", 2, &err), &err);
    assert_int_equal(vdb_txn_commit(insert, &info, &err), VDB_EXISTS);
    assert_int_equal(info.commit, 99);
    info = store_commit(upsert);
    assert_int_equal(info.added, 0);
    assert_int_equal(info.updated, 1);
    store_delete(b, 1);
    assert_int_equal(vdb_txn_commit(update, NULL, &err), VDB_NOT_FOUND);
    assert_int_equal(vdb_txn_commit(delete, NULL, &err), VDB_NOT_FOUND);
    assert_int_equal(store_info(b).live, 0);
    assert_int_equal(store_info(b).commit, 4);
    vdb_close(a);
    vdb_close(b);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void a_held_lock_is_busy_but_keeps_no_reader_out(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb *a = create(DIM);
    store_add(a, 1, DIM);
    options.wait = 0;
    struct vdb *b = store_open_with("x.vdb", options);
    must(db_lock_write(a, &err), &err);
    struct vdb_txn *txn = store_begin(b);
    const float v[DIM] = {1, 2, 3, 4};
    store_put(txn, "b", v, NULL);
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_BUSY);
    assert_int_equal(store_info(b).live, 1);
    struct vdb *c = store_open("x.vdb");
    assert_int_equal(store_info(c).live, 1);
    vdb_close(c);
    options.wait = 0.3;
    c = store_open_with("x.vdb", options);
    txn = store_begin(c);
    store_put(txn, "b", v, NULL);
    double begin = seconds();
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_BUSY);
    assert_true(seconds() - begin >= 0.3);
    db_unlock_write(a);
    store_add(b, 2, DIM);
    must(db_lock_maintain(a, 0, &err), &err);
    assert_int_equal(vdb_compact(b, NULL, &err), VDB_BUSY);
    store_add(b, 3, DIM); /* commits go on meanwhile */
    db_unlock_maintain(a);
    must(vdb_compact(b, NULL, &err), &err);
    assert_int_equal(store_info(a).live, 3);
    vdb_close(a);
    vdb_close(b);
    vdb_close(c);
}

/* The same handle is no exception: the second maintenance must not run beside the first. */
static void maintenance_is_alone_within_a_handle_too(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(DIM);
    store_add_many(db, 0, 3000, DIM);
    must(db_lock_maintain(db, 0, &err), &err);
    assert_int_equal(vdb_maintain(db, NULL, &err), VDB_BUSY);
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_BUSY);
    db_unlock_maintain(db);
    must(vdb_maintain(db, NULL, &err), &err);
    assert_int_equal(store_info(db).parts, 1);
    vdb_close(db);
}

static void a_snapshot_outlives_handle_compaction_and_file(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(DIM);
    store_add_many(db, 0, 500, DIM);
    store_delete(db, 7);
    const struct vdb_snapshot *old = store_snapshot(db);
    store_delete(db, 8);
    must(vdb_compact(db, NULL, &err), &err);
    assert_int_equal(store_info(db).rows, 498);
    vdb_close(db);
    assert_int_equal(unlink(store_path("x.vdb")), 0);
    assert_int_equal(vdb_row_state(old, 7), 2);
    assert_int_equal(vdb_row_state(old, 8), 1);
    float got[DIM], want[DIM];
    must(vdb_row_vector(old, 499, got, &err), &err);
    store_vector(499, DIM, want);
    assert_memory_equal(got, want, sizeof got);
    vdb_snapshot_close(old);
}

/* A copy is a complete index; without permission to write it opens all the same. */
static void a_read_only_copy(void **state)
{
    (void)state;
    struct vdb_error err;
    struct buf bytes = {0};
    struct vdb *db = create(DIM);
    store_add_many(db, 0, 50, DIM);
    store_read("x.vdb", &bytes);
    vdb_close(db);
    store_write("y.vdb", &bytes);
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.read_only = 1;
    db = store_open_with("y.vdb", options);
    assert_int_equal(store_info(db).live, 50);
    assert_int_equal(store_info(db).read_only, 1);
    struct vdb_txn *txn;
    assert_int_equal(vdb_txn_begin(db, &txn, &err), VDB_READ_ONLY);
    assert_int_equal(vdb_maintain(db, NULL, &err), VDB_OK); /* nothing to do */
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_READ_ONLY);
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    compact.output = store_path("z.vdb");
    must(vdb_compact(db, &compact, &err), &err);
    vdb_close(db);
    db = store_open("z.vdb");
    assert_int_equal(store_info(db).live, 50);
    vdb_close(db);
    buf_release(&bytes);
}

/* ---- threads ------------------------------------------------------------------------------- */

/* cmocka's assertions are for the main thread; others count what went wrong. */
struct shared {
    struct vdb *db;
    uint32_t first; /* the writer's first row */
    int stop, failures, reads;
};

static void count_failure(struct shared *s, bool good)
{
    if (!good) __atomic_add_fetch(&s->failures, 1, __ATOMIC_RELAXED);
}

enum { COMMITS = 60, PER_COMMIT = 10, WIDE = 64 };

/* Each commit adds PER_COMMIT rows and deletes half of them in the next: a reader that sees a part
 * of a commit would count rows that are no multiple. */
static void *writer(void *context)
{
    struct shared *s = context;
    for (uint32_t c = 0; c < COMMITS; c++) {
        struct vdb_txn *txn;
        struct vdb_error err;
        bool good = vdb_txn_begin(s->db, &txn, &err) == VDB_OK;
        uint32_t rows = c % 10 == 9 ? 2000 : PER_COMMIT; /* now and then one with an extent */
        for (uint32_t i = 0; good && i < rows; i++) {
            char id[32];
            float v[WIDE];
            snprintf(id, sizeof id, "w%u-%u-%u", s->first, c, i);
            store_vector(i, WIDE, v);
            good = vdb_txn_put(txn, VDB_INSERT, id, strlen(id), v, NULL, 0, &err) == VDB_OK;
        }
        good = good && vdb_txn_commit(txn, NULL, &err) == VDB_OK;
        count_failure(s, good);
    }
    return NULL;
}

static void *reader(void *context)
{
    struct shared *s = context;
    uint64_t last = 0;
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        const struct vdb_snapshot *snapshot;
        struct vdb_error err;
        struct vdb_info info;
        if (vdb_snapshot_open(s->db, &snapshot, &err)) {
            count_failure(s, false);
            continue;
        }
        vdb_snapshot_info(snapshot, &info);
        count_failure(s, info.live % PER_COMMIT == 0 && info.commit >= last);
        last = info.commit;
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        struct vdb_hit hits[10];
        uint32_t found;
        float q[WIDE];
        store_vector((uint32_t)(last % 2000), WIDE, q);
        options.threads = 1;
        bool good = vdb_search(snapshot, q, 1, &options, hits, &found, &err) == VDB_OK &&
                    found == (info.live < 10 ? info.live : 10);
        for (uint32_t i = 0; good && i < found; i++) {
            const char *id;
            size_t len;
            uint32_t row;
            good = vdb_row_state(snapshot, hits[i].row) == 1 &&
                   vdb_row_id(snapshot, hits[i].row, &id, &len, &err) == VDB_OK &&
                   vdb_find(snapshot, id, len, 0, &row, &err) == VDB_OK && row == hits[i].row;
        }
        count_failure(s, good);
        vdb_snapshot_close(snapshot);
        __atomic_add_fetch(&s->reads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* Through a handle of its own or the same. */
static void *maintainer(void *context)
{
    struct shared *s = context;
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        struct vdb_error err;
        struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
        struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
        maintain.threads = compact.threads = 1;
        compact.index = VDB_INDEX_FLAT;
        compact.set_index = 1;
        enum vdb_status status = vdb_maintain(s->db, &maintain, &err);
        count_failure(s, status == VDB_OK || status == VDB_BUSY);
        status = vdb_compact(s->db, &compact, &err);
        count_failure(s, status == VDB_OK || status == VDB_BUSY);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return NULL;
}

/* Two writers, two readers and two that compact over and over, all through `db` but for one. */
static void many_threads_share_a_handle(void **state)
{
    (void)state;
    struct vdb *db = create(WIDE), *other = store_open("x.vdb");
    struct shared writers[2] = {{.db = db}, {.db = db, .first = 1}};
    struct shared rest = {.db = db}, away = {.db = other};
    pthread_t threads[6];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, writer, &writers[i]), 0);
    for (int i = 2; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &rest), 0);
    assert_int_equal(pthread_create(&threads[4], NULL, maintainer, &rest), 0);
    assert_int_equal(pthread_create(&threads[5], NULL, maintainer, &away), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    __atomic_store_n(&rest.stop, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&away.stop, 1, __ATOMIC_RELEASE);
    for (int i = 2; i < 6; i++) pthread_join(threads[i], NULL);
    assert_int_equal(writers[0].failures, 0);
    assert_int_equal(writers[1].failures, 0);
    assert_int_equal(rest.failures, 0);
    assert_int_equal(away.failures, 0);
    assert_true(rest.reads > 0);
    assert_int_equal(store_info(db).live, 2 * (COMMITS / 10 * (9 * PER_COMMIT + 2000)));
    vdb_close(db);
    vdb_close(other);
    struct vdb_error finding;
    if (store_check("x.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(commits_of_one_handle_reach_the_other),
        test(live_rows_are_gone_over_in_order),
        test(a_commit_between_is_taken_into_account),
        test(a_held_lock_is_busy_but_keeps_no_reader_out),
        test(maintenance_is_alone_within_a_handle_too),
        test(a_snapshot_outlives_handle_compaction_and_file),
        test(a_read_only_copy),
        test(many_threads_share_a_handle),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
