/* test_compact.c: compaction: the same rows and options give the same bytes, and processes that
 * write while others compact and maintain lose nothing, killed ones included.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"

/* ---- the same bytes ------------------------------------------------------------------------ */

static void output(struct vdb *db, const char *name, unsigned threads, struct buf *bytes)
{
    struct vdb_error err;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.output = store_path(name);
    options.threads = threads;
    must(vdb_compact(db, &options, &err), &err);
    store_read(name, bytes);
}

static void expect_same(const struct buf *a, const struct buf *b)
{
    assert_int_equal(a->len, b->len);
    for (size_t i = 0; i < a->len; i++)
        if (a->data[i] != b->data[i]) fail_msg("byte %zu differs", i);
}

/* The same rows by another way: in one commit or many, with parts or without, and with rows that
 * are gone again. */
static struct vdb *made_otherwise(const struct vdb_create_options *options, uint32_t rows)
{
    struct vdb_error err;
    struct vdb *db = store_create("b.vdb", *options);
    for (uint32_t i = 0; i < rows; i += 300) {
        uint32_t n = rows - i < 300 ? rows - i : 300;
        store_add(db, rows + i, options->dim);
        store_add_many(db, i, n, options->dim);
        store_delete(db, rows + i);
        must(vdb_maintain(db, NULL, &err), &err);
    }
    return db;
}

static void same_bytes_of(enum vdb_metric metric, enum vdb_type type, enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    enum { ROWS = 2400 };
    options.dim = 19;
    options.metric = metric;
    options.type = type;
    options.index = index;
    struct buf first = {0}, other = {0};
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, ROWS, options.dim);
    output(db, "1.vdb", 1, &first);
    output(db, "2.vdb", 2, &other);
    expect_same(&first, &other);
    output(db, "2.vdb", 5, &other); /* over the file that is there */
    expect_same(&first, &other);
    vdb_close(db);
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
        struct vdb_error err;
        open.isa = isas[i];
        enum vdb_status status = vdb_open(store_path("a.vdb"), &open, &db, &err);
        if (status == VDB_UNSUPPORTED && i > 0) continue; /* not on this machine */
        must(status, &err);
        output(db, "3.vdb", 2, &other);
        expect_same(&first, &other);
        vdb_close(db);
    }
    db = made_otherwise(&options, ROWS);
    output(db, "4.vdb", 2, &other);
    expect_same(&first, &other);
    vdb_close(db);
    db = store_open("4.vdb"); /* of the output itself */
    output(db, "5.vdb", 2, &other);
    expect_same(&first, &other);
    vdb_close(db);
    assert_int_equal(store_check("4.vdb", 1, NULL), 0);
    buf_release(&first);
    buf_release(&other);
}

static void same_bytes_l2_f32(void **state)
{
    (void)state;
    same_bytes_of(VDB_METRIC_L2, VDB_TYPE_F32, VDB_INDEX_GRAPH);
}

static void same_bytes_l2_u8(void **state)
{
    (void)state;
    same_bytes_of(VDB_METRIC_L2, VDB_TYPE_U8, VDB_INDEX_AUTO);
}

static void same_bytes_cosine_i8(void **state)
{
    (void)state;
    same_bytes_of(VDB_METRIC_COSINE, VDB_TYPE_I8, VDB_INDEX_GRAPH);
}

static void same_bytes_ip_f16(void **state)
{
    (void)state;
    same_bytes_of(VDB_METRIC_IP, VDB_TYPE_F16, VDB_INDEX_AUTO);
}

/* ---- what it leaves ------------------------------------------------------------------------ */

static void live_rows_in_order_mode_kept(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    struct stat before, after;
    options.dim = 4;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 400, 4);
    for (uint32_t i = 0; i < 400; i += 40) store_delete(db, i);
    assert_int_equal(chmod(store_path("a.vdb"), 0640), 0);
    assert_int_equal(stat(store_path("a.vdb"), &before), 0);
    struct vdb_info was = store_info(db);
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    compact.set_index = 1;
    compact.index = VDB_INDEX_FLAT;
    must(vdb_compact(db, &compact, &err), &err);
    assert_int_equal(stat(store_path("a.vdb"), &after), 0);
    assert_true(after.st_ino != before.st_ino);
    assert_int_equal(after.st_mode, before.st_mode);
    struct vdb_info info = store_info(db);
    assert_int_equal(info.rows, 390);
    assert_int_equal(info.deleted, 0);
    assert_int_equal(info.parts, 1);
    assert_int_equal(info.tail_rows, 0);
    assert_int_equal(info.index, VDB_INDEX_FLAT);
    assert_int_equal(info.commit, was.commit);
    assert_int_equal(info.commit_time_us, was.commit_time_us);
    assert_memory_equal(info.file_id, was.file_id, 16);
    const struct vdb_snapshot *s = store_snapshot(db);
    for (uint32_t row = 0, number = 0; row < 390; row++, number++) {
        const char *id;
        char want[16];
        size_t len;
        if (number % 40 == 0) number++;
        snprintf(want, sizeof want, "r%u", number);
        must(vdb_row_id(s, row, &id, &len, &err), &err);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(id, want, len);
    }
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* ---- codes and centroids ------------------------------------------------------------------- */

static enum vdb_status compact_to(struct vdb *db, enum vdb_index_kind kind, int codes)
{
    struct vdb_error err;
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    compact.set_index = 1;
    compact.index = kind;
    compact.set_codes = codes >= 0;
    if (codes >= 0) compact.codes = (enum vdb_codes)codes;
    return vdb_compact(db, &compact, &err);
}

static void codes_that_a_kind_cannot_have(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 4;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 300, 4);
    /* Asked for in one breath they are refused, and the index is as it was. */
    assert_int_equal(compact_to(db, VDB_INDEX_IVF, VDB_CODES_NONE), VDB_INVALID);
    assert_int_equal(compact_to(db, VDB_INDEX_IVF, VDB_CODES_I8), VDB_INVALID);
    assert_int_equal(compact_to(db, VDB_INDEX_GRAPH, VDB_CODES_PQ), VDB_INVALID);
    assert_int_equal(compact_to(db, VDB_INDEX_HNSW, VDB_CODES_B1), VDB_INVALID);
    assert_int_equal(compact_to(db, VDB_INDEX_FLAT, VDB_CODES_B1), VDB_INVALID);
    assert_int_equal(compact_to(db, VDB_INDEX_IVF, 6), VDB_INVALID);
    assert_int_equal(store_info(db).index, VDB_INDEX_AUTO);
    assert_int_equal(store_info(db).parts, 0);
    /* Those of old give way to the kind that is asked for now, and others stay. */
    static const struct {
        enum vdb_index_kind kind;
        int codes;
        enum vdb_codes after;
    } steps[] = {
        {VDB_INDEX_GRAPH, VDB_CODES_I8, VDB_CODES_I8},
        {VDB_INDEX_IVF, -1, VDB_CODES_AUTO},
        {VDB_INDEX_IVF, VDB_CODES_PQ, VDB_CODES_PQ},
        {VDB_INDEX_AUTO, -1, VDB_CODES_PQ},
        {VDB_INDEX_GRAPH, -1, VDB_CODES_AUTO},
        {VDB_INDEX_GRAPH, VDB_CODES_I4, VDB_CODES_I4},
        {VDB_INDEX_IVF, -1, VDB_CODES_I4},
        {VDB_INDEX_HNSW, -1, VDB_CODES_I4},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (compact_to(db, steps[i].kind, steps[i].codes)) fail_msg("step %zu", i);
        if (store_info(db).codes != steps[i].after) fail_msg("codes after step %zu", i);
        assert_int_equal(store_info(db).index, steps[i].kind);
    }
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

/* Under VDB_INDEX_AUTO they ask for one, of compactions and of parts that are built by the way. */
static void codes_of_inverted_files_ask_for_one(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_part_info part;
    options.dim = 4;
    options.codes = VDB_CODES_B1;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 3000, 4);
    for (int i = 0; i < 2; i++) {
        must(i ? vdb_compact(db, NULL, &err) : vdb_maintain(db, NULL, &err), &err);
        const struct vdb_snapshot *s = store_snapshot(db);
        assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
        assert_int_equal(part.kind, VDB_INDEX_IVF);
        vdb_snapshot_close(s);
    }
    assert_int_equal(store_info(db).index, VDB_INDEX_AUTO);
    vdb_close(db);
}

/* And those that they cannot have keep them out. */
static void codes_of_graphs_ask_for_one(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_part_info part;
    options.dim = 4;
    options.codes = compact.codes = VDB_CODES_NONE;
    compact.set_codes = 1;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 3000, 4);
    for (int i = 0; i < 3; i++) {
        must(i ? vdb_compact(db, &compact, &err) : vdb_maintain(db, NULL, &err), &err);
        const struct vdb_snapshot *s = store_snapshot(db);
        assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
        assert_int_equal(part.kind, VDB_INDEX_GRAPH);
        assert_int_equal(part.codes, compact.codes);
        assert_int_equal(part.rival, VDB_INDEX_AUTO);
        vdb_snapshot_close(s);
        if (i == 1) compact.codes = VDB_CODES_I8;
    }
    assert_int_equal(store_info(db).index, VDB_INDEX_AUTO);
    vdb_close(db);
}

static struct vdb_compact_options around(const float *centroids, uint32_t count)
{
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    compact.set_index = 1;
    compact.index = VDB_INDEX_IVF;
    compact.centroids = centroids;
    compact.centroid_count = count;
    return compact;
}

/* Rows of whole numbers from 0 to 255 are coded by themselves, and so are centroids. */
static void lists_lie_around_given_centroids(void **state)
{
    (void)state;
    static const float given[] = {20, 20.4f, 19.6f, 0, -7, 300, 255, 254.5f, 80, 1, 2, 3};
    static const float wanted[] = {20, 20, 20, 0, 0, 255, 255, 255, 80, 1, 2, 3};
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options compact = around(given, 3);
    struct vdb_error err;
    struct vdb_part_info part;
    options.dim = 4;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 300, 4);
    must(vdb_compact(db, &compact, &err), &err);
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
    assert_int_equal(part.kind, VDB_INDEX_IVF);
    float vector[4];
    for (uint32_t list = 0; list < 3; list++) {
        assert_int_equal(vdb_part_centroid(s, 0, list, vector), VDB_OK);
        assert_memory_equal(vector, wanted + (size_t)4 * list, sizeof vector);
    }
    assert_int_equal(vdb_part_centroid(s, 0, 3, vector), VDB_NOT_FOUND);
    assert_int_equal(vdb_part_centroid(s, 1, 0, vector), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    assert_int_equal(compact_to(db, VDB_INDEX_GRAPH, -1), VDB_OK);
    s = store_snapshot(db);
    assert_int_equal(vdb_part_centroid(s, 0, 0, vector), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

static void centroids_that_cannot_be(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = 4;
    struct vdb *db = store_create("a.vdb", options), *few = store_create("few.vdb", options);
    store_add_many(db, 0, 301, 4);
    store_delete(db, 7);
    store_add_many(few, 0, 20, 4);
    static float centroids[301 * 4];
    struct vdb_compact_options compact = around(centroids, 300);
    compact.output = store_path("b.vdb");
    must(vdb_compact(db, &compact, &err), &err); /* as many as there are live rows */
    static const struct vdb_compact_options none = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_compact_options bad[] = {
        around(centroids, 301), around(centroids, 0), around(NULL, 1), around(centroids, 3), none,
    };
    bad[3].index = VDB_INDEX_GRAPH;
    bad[4].centroids = centroids;
    bad[4].centroid_count = 3; /* of an index that is none */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (vdb_compact(db, &bad[i], &err) != VDB_INVALID) fail_msg("case %zu", i);
    compact = around(centroids, 3);
    assert_int_equal(vdb_compact(few, &compact, &err), VDB_INVALID);
    centroids[9] = NAN;
    assert_int_equal(vdb_compact(db, &compact, &err), VDB_INVALID);
    assert_non_null(strstr(err.message, "number 2 of centroid 2"));
    assert_int_equal(store_info(db).rows, 301);
    assert_int_equal(store_info(db).parts, 0);
    vdb_close(few);
    vdb_close(db);
}

static int stop_at_once(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase;
    (void)done;
    (void)total;
    return ++*(int *)context > 2;
}

static void cancelled_it_leaves_nothing(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    struct stat before, after;
    int calls = 0;
    options.dim = 16;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 3000, 16);
    assert_int_equal(stat(store_path("a.vdb"), &before), 0);
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    compact.progress = stop_at_once;
    compact.context = &calls;
    assert_int_equal(vdb_compact(db, &compact, &err), VDB_CANCELLED);
    calls = 0;
    compact.output = store_path("b.vdb");
    assert_int_equal(vdb_compact(db, &compact, &err), VDB_CANCELLED);
    assert_int_equal(access(store_path("b.vdb"), F_OK), -1);
    calls = 0;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    maintain.progress = stop_at_once;
    maintain.context = &calls;
    assert_int_equal(vdb_maintain(db, &maintain, &err), VDB_CANCELLED);
    assert_int_equal(stat(store_path("a.vdb"), &after), 0);
    assert_true(after.st_ino == before.st_ino);
    assert_int_equal(store_info(db).parts, 0);
    assert_int_equal(store_info(db).live, 3000);
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

/* ---- processes ----------------------------------------------------------------------------- */

enum { WRITERS = 4, COMMITS = 100, DIM = 32 };

/* Rows of a writer's commit: now and then so many that they get an extent of their own. */
static uint32_t rows_of(uint32_t commit)
{
    return commit % 20 == 19 ? 2500 : 1 + commit % 4;
}

static uint32_t big_commits(uint32_t commit)
{
    (void)commit;
    return 2500;
}

static bool commit_one(struct vdb *db, unsigned writer, uint32_t commit, uint32_t rows)
{
    struct vdb_txn *txn;
    struct vdb_error err;
    float v[DIM];
    if (vdb_txn_begin(db, &txn, &err)) return false;
    for (uint32_t i = 0; i < rows; i++) {
        char id[48];
        snprintf(id, sizeof id, "%u/%u/%u", writer, commit, i);
        store_vector(i, DIM, v);
        if (vdb_txn_put(txn, VDB_INSERT, id, strlen(id), v, NULL, 0, &err)) return false;
    }
    char last[48]; /* and ends a row of the commit before */
    snprintf(last, sizeof last, "%u/%u/0", writer, commit - 1);
    if (commit % 3 == 1 && vdb_txn_delete(txn, last, strlen(last), &err)) return false;
    enum vdb_status status = vdb_txn_commit(txn, NULL, &err);
    if (status) fprintf(stderr, "# commit: %d: %s\n", (int)status, err.message);
    return status == VDB_OK;
}

static bool is_ended(uint32_t commit)
{
    return (commit + 1) % 3 == 1;
}

/* A process of its own: exits with 0 where all went well. Each commit that was acknowledged is told
 * through the pipe, a byte each. */
static void run_writer(unsigned writer, uint32_t (*rows)(uint32_t), uint32_t commits,
                       int acknowledge)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb *db;
    struct vdb_error err;
    options.wait = 60;
    if (vdb_open(store_path("a.vdb"), &options, &db, &err)) _exit(1);
    for (uint32_t c = 0; c < commits; c++) {
        if (!commit_one(db, writer, c, rows(c))) _exit(2);
        if (acknowledge >= 0 && write(acknowledge, "", 1) != 1) _exit(3);
    }
    vdb_close(db);
    _exit(0);
}

static void run_maintainer(bool compacts, int until, long pause_ns)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb *db;
    struct vdb_error err;
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    char byte;
    compact.set_index = 1;
    compact.index = VDB_INDEX_FLAT;
    options.wait = 60;
    options.threads = 1;
    if (vdb_open(store_path("a.vdb"), &options, &db, &err)) _exit(1);
    while (read(until, &byte, 1) < 0) { /* the other end is closed when the writers are through */
        enum vdb_status status =
            compacts ? vdb_compact(db, &compact, &err) : vdb_maintain(db, NULL, &err);
        if (status && status != VDB_BUSY) {
            fprintf(stderr, "# maintain: %d: %s\n", (int)status, err.message);
            _exit(2);
        }
        nanosleep(&(struct timespec){0, pause_ns}, NULL);
    }
    vdb_close(db);
    _exit(0);
}

static void expect_exit(pid_t child)
{
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFEXITED(how) || WEXITSTATUS(how)) fail_msg("a process ended with %#x", (unsigned)how);
}

/* Commits below `commits` of this writer are there, wholly. */
static void expect_commits(const struct vdb_snapshot *s, unsigned writer, uint32_t commits,
                           bool last_was_ended)
{
    struct vdb_error err;
    for (uint32_t c = 0; c < commits; c++) {
        for (uint32_t i = 0; i < rows_of(c); i++) {
            char id[48];
            uint32_t row;
            snprintf(id, sizeof id, "%u/%u/%u", writer, c, i);
            bool ended = i == 0 && is_ended(c) && (c + 1 < commits || last_was_ended);
            enum vdb_status status = vdb_find(s, id, strlen(id), 0, &row, &err);
            if (status != (ended ? VDB_NOT_FOUND : VDB_OK)) fail_msg("row %s: %d", id, (int)status);
        }
    }
}

/* Two compactions may pass while a writer waits for its lock, and the second new file may be given
 * the inode of the first old one: that file does not hold the rows that were placed in the other.
 */
static void placed_rows_are_not_taken_for_another_files(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    enum { EACH = 12 };
    int through[2];
    pid_t writers[WRITERS], compactor;
    options.dim = DIM;
    vdb_close(store_create("a.vdb", options));
    assert_int_equal(pipe2(through, O_NONBLOCK), 0);
    if ((compactor = fork()) == 0) {
        close(through[1]);
        run_maintainer(true, through[0], 0);
    }
    close(through[0]);
    for (unsigned i = 0; i < WRITERS; i++)
        if ((writers[i] = fork()) == 0) run_writer(i, big_commits, EACH, -1);
    for (unsigned i = 0; i < WRITERS; i++) expect_exit(writers[i]);
    close(through[1]);
    expect_exit(compactor);
    struct vdb *db = store_open("a.vdb");
    assert_int_equal(store_info(db).commit, 1 + WRITERS * EACH);
    vdb_close(db);
    struct vdb_error finding;
    if (store_check("a.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
}

static void writers_beside_compactions_lose_nothing(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    int through[2];
    pid_t writers[WRITERS], others[2];
    options.dim = DIM;
    vdb_close(store_create("a.vdb", options));
    assert_int_equal(pipe2(through, O_NONBLOCK), 0);
    for (unsigned i = 0; i < 2; i++)
        if ((others[i] = fork()) == 0) {
            close(through[1]);
            run_maintainer(i == 1, through[0], 5000000);
        }
    close(through[0]);
    for (unsigned i = 0; i < WRITERS; i++)
        if ((writers[i] = fork()) == 0) run_writer(i, rows_of, COMMITS, -1);
    for (unsigned i = 0; i < WRITERS; i++) expect_exit(writers[i]);
    close(through[1]);
    for (unsigned i = 0; i < 2; i++) expect_exit(others[i]);
    struct vdb *db = store_open("a.vdb");
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_info info;
    uint64_t live = 0;
    vdb_snapshot_info(s, &info);
    for (uint32_t c = 0; c < COMMITS; c++) live += rows_of(c) - (is_ended(c) && c + 1 < COMMITS);
    assert_int_equal(info.live, WRITERS * live);
    assert_int_equal(info.commit, 1 + WRITERS * COMMITS);
    for (unsigned i = 0; i < WRITERS; i++) expect_commits(s, i, COMMITS, false);
    vdb_snapshot_close(s);
    vdb_close(db);
    struct vdb_error finding;
    if (store_check("a.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
}

/* kill -9 at any moment: what was acknowledged is there, the commit in flight wholly or not. */
static void killed_writers_lose_nothing(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    uint64_t seed = 12345;
    options.dim = DIM;
    vdb_close(store_create("a.vdb", options));
    for (unsigned round = 0; round < 50; round++) {
        int acknowledged[2];
        char bytes[4096];
        assert_int_equal(pipe2(acknowledged, 0), 0);
        pid_t child = fork();
        if (child == 0) run_writer(round, rows_of, 4000, acknowledged[1]);
        close(acknowledged[1]);
        uint32_t commits = 0;
        if (round % 3) commits += read(acknowledged[0], bytes, 1) == 1;
        nanosleep(&(struct timespec){0, (long)(store_random(&seed) % 20000000)}, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        ssize_t got;
        while ((got = read(acknowledged[0], bytes, sizeof bytes)) > 0) commits += (uint32_t)got;
        close(acknowledged[0]);
        struct vdb *db = store_open("a.vdb");
        const struct vdb_snapshot *s = store_snapshot(db);
        uint32_t row;
        char id[48];
        snprintf(id, sizeof id, "%u/%u/%u", round, commits, rows_of(commits) - 1);
        bool more = vdb_find(s, id, strlen(id), 1, &row, NULL) == VDB_OK;
        expect_commits(s, round, commits + more, false);
        for (uint32_t i = 0; i < rows_of(commits) && !more; i++) {
            snprintf(id, sizeof id, "%u/%u/%u", round, commits, i);
            assert_int_equal(vdb_find(s, id, strlen(id), 1, &row, NULL), VDB_NOT_FOUND);
        }
        vdb_snapshot_close(s);
        vdb_close(db);
    }
    struct vdb_error finding;
    if (store_check("a.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
}

/* A compactor that dies leaves the index as it was, and the next one goes on. */
static void killed_compactions_lose_nothing(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    uint64_t seed = 777;
    options.dim = DIM;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 3000, DIM);
    for (unsigned round = 0; round < 15; round++) {
        int through[2];
        assert_int_equal(pipe2(through, O_NONBLOCK), 0);
        pid_t child = fork();
        if (child == 0) {
            close(through[1]);
            run_maintainer(true, through[0], 5000000);
        }
        close(through[0]);
        nanosleep(&(struct timespec){0, (long)(store_random(&seed) % 30000000)}, NULL);
        store_add(db, 10000 + round, DIM);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        close(through[1]);
        assert_int_equal(store_info(db).live, 3001 + round);
        if (store_check("a.vdb", 0, NULL)) fail_msg("round %u", round);
    }
    struct vdb_error err;
    must(vdb_compact(db, NULL, &err), &err);
    assert_int_equal(store_info(db).rows, 3015);
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(same_bytes_l2_f32),
        test(same_bytes_l2_u8),
        test(same_bytes_cosine_i8),
        test(same_bytes_ip_f16),
        test(live_rows_in_order_mode_kept),
        test(codes_that_a_kind_cannot_have),
        test(codes_of_inverted_files_ask_for_one),
        test(codes_of_graphs_ask_for_one),
        test(lists_lie_around_given_centroids),
        test(centroids_that_cannot_be),
        test(cancelled_it_leaves_nothing),
        test(placed_rows_are_not_taken_for_another_files),
        test(writers_beside_compactions_lose_nothing),
        test(killed_writers_lose_nothing),
        test(killed_compactions_lose_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
