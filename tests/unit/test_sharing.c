/* test_sharing.c: one index and several who use it: handles of one process, threads of one handle,
 * processes after a fork, and readers who go on to newer commits.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "store_fixture.h"

enum { DIM = 4 };

static struct vdb *create(void)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    return store_create("x.vdb", options);
}

static struct vdb *open_waiting(double wait)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.wait = wait;
    return store_open_with("x.vdb", options);
}

static void put(struct vdb_txn *txn, const char *id, uint32_t number)
{
    float vector[DIM];
    store_vector(number, DIM, vector);
    store_put(txn, id, vector, NULL);
}

/* ---- two handles of one process ------------------------------------------------------------ */

/* They exclude each other as two processes do, and who is kept out hears by whom. */
static void two_handles_exclude_each_other(void **state)
{
    (void)state;
    struct vdb *a = create(), *b = open_waiting(0);
    struct vdb_error err;
    char self[64];
    must(db_lock_write(a, &err), &err);
    struct vdb_txn *txn = store_begin(b);
    put(txn, "x", 1);
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_BUSY);
    snprintf(self, sizeof self, "process %ld (", (long)getpid());
    assert_non_null(strstr(err.message, self));
    assert_non_null(strstr(err.message, "WRITE lock"));
    /* Closing the one that was kept out takes nothing from the other. */
    vdb_close(b);
    b = open_waiting(0);
    txn = store_begin(b);
    put(txn, "x", 1);
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_BUSY);
    db_unlock_write(a);
    txn = store_begin(b);
    put(txn, "x", 1);
    assert_int_equal(store_commit(txn).commit, 2);
    must(db_lock_maintain(a, 0, &err), &err);
    assert_int_equal(vdb_compact(b, NULL, &err), VDB_BUSY);
    assert_non_null(strstr(err.message, "MAINTAIN lock"));
    store_add(b, 2, DIM); /* commits go on meanwhile */
    db_unlock_maintain(a);
    must(vdb_compact(b, NULL, &err), &err);
    vdb_close(a);
    vdb_close(b);
}

/* Two transactions that began on the same commit: neither update is lost. */
static void two_handles_lose_nothing(void **state)
{
    (void)state;
    struct vdb *a = create(), *b = open_waiting(10);
    struct vdb_txn *first = store_begin(a), *second = store_begin(b);
    put(first, "both", 1);
    put(first, "a", 2);
    put(second, "both", 3);
    put(second, "b", 4);
    assert_int_equal(store_commit(second).commit, 2);
    struct vdb_commit_info done = store_commit(first);
    assert_int_equal(done.commit, 3);
    assert_int_equal(done.added, 1);
    assert_int_equal(done.updated, 1);
    const struct vdb_snapshot *s = store_snapshot(b);
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.live, 3);
    uint32_t row;
    float got[DIM], wanted[DIM];
    struct vdb_error err;
    must(vdb_find(s, "both", 4, 0, &row, &err), &err);
    must(vdb_row_vector(s, row, got, &err), &err);
    store_vector(1, DIM, wanted);
    assert_memory_equal(got, wanted, sizeof got);
    vdb_snapshot_close(s);
    vdb_close(a);
    vdb_close(b);
}

/* ---- threads of one handle ----------------------------------------------------------------- */

enum { THREADS = 4, COMMITS = 50 };

struct worker {
    struct vdb *db;
    int number;
    uint64_t commits[COMMITS];
};

static void *write_some(void *context)
{
    struct worker *w = context;
    for (int i = 0; i < COMMITS; i++) {
        struct vdb_txn *txn;
        struct vdb_commit_info info;
        char id[32];
        float vector[DIM] = {(float)w->number, (float)i};
        int len = snprintf(id, sizeof id, "%d-%d", w->number, i);
        if (vdb_txn_begin(w->db, &txn, NULL) ||
            vdb_txn_put(txn, VDB_INSERT, id, (size_t)len, vector, NULL, 0, NULL) ||
            vdb_txn_commit(txn, &info, NULL))
            return w;
        w->commits[i] = info.commit;
    }
    return NULL;
}

static void threads_write_in_turn(void **state)
{
    (void)state;
    struct vdb *db = create();
    pthread_t threads[THREADS];
    static struct worker workers[THREADS]; /* where the test fails, some still write to it */
    bool seen[THREADS * COMMITS] = {false};
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.db = db, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
        for (int j = 0; j < COMMITS; j++) {
            uint64_t at = workers[i].commits[j] - 2; /* commit 1 is the creation */
            assert_true(at < THREADS * COMMITS && !seen[at]);
            seen[at] = true;
        }
    }
    assert_int_equal(store_info(db).live, THREADS * COMMITS);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static void wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A child reads the snapshot that it was born with, closes what it has inherited, and opens the
 * file anew to write; the parent's handle goes on. */
static void fork_with_an_open_handle(void **state)
{
    (void)state;
    struct vdb *db = create();
    store_add_many(db, 0, 10, DIM);
    const struct vdb_snapshot *s = store_snapshot(db);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        float query[DIM];
        struct vdb_hit hits[10];
        uint32_t found = 0;
        store_vector(3, DIM, query);
        if (vdb_search(s, query, 1, NULL, hits, &found, NULL) || found != 10 || hits[0].row != 3)
            _exit(1);
        vdb_snapshot_close(s);
        vdb_close(db);
        struct vdb *own;
        struct vdb_txn *txn;
        float vector[DIM] = {9};
        if (vdb_open(store_path("x.vdb"), NULL, &own, NULL) || vdb_txn_begin(own, &txn, NULL) ||
            vdb_txn_put(txn, VDB_INSERT, "child", 5, vector, NULL, 0, NULL) ||
            vdb_txn_commit(txn, NULL, NULL))
            _exit(2);
        vdb_close(own);
        _exit(0);
    }
    wait_for(child);
    store_add(db, 10, DIM);
    assert_int_equal(store_info(db).live, 12);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* The lock of a killed writer is free, though a child of it that never called exec lives on. */
static void a_killed_writer_with_children(void **state)
{
    (void)state;
    struct vdb *db = create();
    vdb_close(db);
    int born[2], stay[2];
    assert_int_equal(pipe(born), 0);
    assert_int_equal(pipe(stay), 0);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        struct vdb *own;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (vdb_open(store_path("x.vdb"), NULL, &own, NULL) || db_lock_write(own, NULL) ||
            db_lock_maintain(own, 0, NULL))
            _exit(1);
        if (fork() == 0) {
            char nothing;
            close(stay[1]);
            if (write(born[1], "x", 1) != 1) _exit(2);
            _exit(read(stay[0], &nothing, 1) == 0 ? 0 : 3);
        }
        close(born[1]);
        for (;;) pause();
    }
    char said;
    close(born[1]);
    assert_int_equal(read(born[0], &said, 1), 1);
    db = open_waiting(0);
    struct vdb_error err;
    assert_int_equal(db_lock_write(db, &err), VDB_BUSY);
    assert_int_equal(db_lock_maintain(db, 0, &err), VDB_BUSY);
    kill(writer, SIGKILL);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    store_add(db, 1, DIM);
    must(vdb_compact(db, NULL, &err), &err);
    vdb_close(db);
    close(born[0]);
    close(stay[0]);
    close(stay[1]);
}

/* ---- refreshing ---------------------------------------------------------------------------- */

static uint64_t commit_of(const struct vdb_snapshot *s)
{
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    return info.commit;
}

/* What a refresh shares with the snapshot before, it need not have made anew. */
static void refreshing_goes_on_along_the_log(void **state)
{
    (void)state;
    struct vdb *db = create(), *reader = open_waiting(0);
    struct vdb_error err;
    store_add_many(db, 0, 100, DIM);
    const struct vdb_snapshot *s = store_snapshot(reader), *same = s;
    must(vdb_refresh(reader, &s, &err), &err);
    assert_ptr_equal(s, same); /* there was nothing new */
    const struct generation *generation = s->generation;
    const struct tail_commit *first = tail_at(&generation->tail, 0);
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t before = commit_of(s);
        store_add(db, 100 + i, DIM);
        must(vdb_refresh(reader, &s, &err), &err);
        assert_int_equal(commit_of(s), before + 1);
        assert_ptr_equal(s->generation, generation);
        assert_ptr_equal(tail_at(&s->generation->tail, 0), first);
        assert_int_equal(s->tail_count, 2 + i);
    }
    vdb_snapshot_close(s);
    vdb_close(reader);
    vdb_close(db);
}

/* Over maintenance, which makes parts, and compaction, which makes another file. */
static void refreshing_over_other_files(void **state)
{
    (void)state;
    struct vdb *db = create(), *reader = open_waiting(0);
    struct vdb_error err;
    store_add_many(db, 0, 3000, DIM);
    const struct vdb_snapshot *s = store_snapshot(reader), *held = store_snapshot(reader);
    assert_int_equal(commit_of(s), 2);
    must(vdb_maintain(db, NULL, &err), &err);
    must(vdb_refresh(reader, &s, &err), &err); /* the same commit, with a part over its rows */
    assert_int_equal(commit_of(s), 2);
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.parts, 1);
    store_delete(db, 7);
    must(vdb_compact(db, NULL, &err), &err);
    must(vdb_refresh(reader, &s, &err), &err);
    assert_int_equal(commit_of(s), 3);
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.rows, 2999);
    store_add(db, 3000, DIM);
    must(vdb_refresh(reader, &s, &err), &err);
    assert_int_equal(commit_of(s), 4);
    vdb_snapshot_info(held, &info); /* and who does not refresh stays where he was */
    assert_int_equal(info.commit, 2);
    assert_int_equal(info.live, 3000);
    uint32_t row;
    must(vdb_find(held, "r7", 2, 0, &row, &err), &err);
    vdb_snapshot_close(held);
    vdb_snapshot_close(s);
    vdb_close(reader);
    vdb_close(db);
}

/* Who put another file in this one's place may have died before it could say so in the old one. */
static void a_replaced_file_without_a_mark(void **state)
{
    (void)state;
    struct vdb *db = create(), *reader = open_waiting(0);
    struct vdb_error err;
    store_add(db, 1, DIM);
    const struct vdb_snapshot *s = store_snapshot(reader);
    struct buf bytes = {0};
    store_read("x.vdb", &bytes);
    store_write("y.vdb", &bytes);
    buf_release(&bytes);
    struct vdb *other = store_open("y.vdb");
    store_add(other, 2, DIM);
    vdb_close(other);
    assert_int_equal(rename(store_path("y.vdb"), store_path("x.vdb")), 0);
    must(vdb_refresh(reader, &s, &err), &err);
    assert_int_equal(commit_of(s), 3);
    store_add(db, 3, DIM);
    must(vdb_refresh(reader, &s, &err), &err);
    assert_int_equal(commit_of(s), 4);
    vdb_snapshot_close(s);
    vdb_close(reader);
    vdb_close(db);
}

/* A handle that has written and then only reads keeps nothing of a file that was replaced. */
static void a_replaced_file_is_let_go(void **state)
{
    (void)state;
    struct vdb *writer = create(), *db = open_waiting(0);
    struct vdb_error err;
    store_add(db, 1, DIM);
    must(vdb_compact(db, NULL, &err), &err);
    store_add(db, 2, DIM);
    struct osfile_identity old = db->identity;
    must(vdb_compact(writer, NULL, &err), &err);
    assert_int_equal(store_info(writer).live, 2);
    assert_int_equal(store_info(db).live, 2);
    for (int fd = 0; fd < 1024; fd++) {
        struct osfile_stat found;
        if (osfile_stat(&(struct osfile){fd}, &found) == 0 && db->identity.inode != old.inode)
            assert_true(found.identity.inode != old.inode || found.links > 0);
    }
    vdb_close(db);
    vdb_close(writer);
}

/* Where the file cannot be read any more, the snapshot stays. */
static void refreshing_that_fails(void **state)
{
    (void)state;
    struct vdb *db = create(), *reader = open_waiting(0);
    struct vdb_error err;
    store_add_many(db, 0, 10, DIM);
    const struct vdb_snapshot *s = store_snapshot(reader), *same = s;
    struct buf bytes = {0};
    store_read("x.vdb", &bytes);
    bytes.data[0] ^= 1;
    bytes.data[4096] ^= 1;
    assert_int_equal(osfile_write(&db->file, 0, bytes.data, 8192), 0);
    assert_int_equal(vdb_refresh(reader, &s, &err), VDB_CORRUPT);
    assert_ptr_equal(s, same);
    assert_int_equal(commit_of(s), 2);
    buf_release(&bytes);
    vdb_snapshot_close(s);
    vdb_close(reader);
    vdb_close(db);
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static int asked_to_stop(void *context)
{
    int *left = context;
    return (*left)-- <= 0;
}

/* Whenever a commit is cancelled, nothing of it is there, and the handle can be used. */
static void cancelling_a_commit(void **state)
{
    (void)state;
    struct vdb *db = create();
    int left = 0;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.cancelled = asked_to_stop;
    options.cancel_context = &left;
    struct vdb *other = store_open_with("x.vdb", options);
    struct vdb_error err;
    float vector[DIM] = {1};
    for (int rows = 1; rows <= 400000; rows += 399999) { /* in its record, and in an extent */
        uint64_t before = store_info(db).commit;
        for (int most = 0;; most++) {
            struct vdb_txn *txn = store_begin(other);
            for (int i = 0; i < rows; i++) {
                char id[16];
                int len = snprintf(id, sizeof id, "%d", i);
                must(vdb_txn_put(txn, VDB_UPSERT, id, (size_t)len, vector, NULL, 0, &err), &err);
            }
            left = most;
            enum vdb_status status = vdb_txn_commit(txn, NULL, &err);
            if (status == VDB_OK) {
                assert_true(most >= (rows == 1 ? 1 : 3));
                break;
            }
            assert_int_equal(status, VDB_CANCELLED);
            assert_int_equal(store_info(db).commit, before);
        }
        assert_int_equal(store_info(db).commit, before + 1);
        assert_int_equal(store_info(db).live, rows);
    }
    /* While it waits for another writer. */
    must(db_lock_write(db, &err), &err);
    struct vdb_txn *txn = store_begin(other);
    put(txn, "late", 1);
    left = 5;
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_CANCELLED);
    db_unlock_write(db);
    vdb_close(other);
    vdb_close(db);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(two_handles_exclude_each_other),
        test(two_handles_lose_nothing),
        test(threads_write_in_turn),
        test(fork_with_an_open_handle),
        test(a_killed_writer_with_children),
        test(refreshing_goes_on_along_the_log),
        test(refreshing_over_other_files),
        test(a_replaced_file_without_a_mark),
        test(a_replaced_file_is_let_go),
        test(refreshing_that_fails),
        test(cancelling_a_commit),
    };
    alarm(300); /* a lock that is never had is no reason to wait for ever */
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
