/* test_searcher.c: a searcher answers as vdb_search does, keeps what it needs, and asks for no
 * memory while it runs.
 *
 * The calls that give memory are wrapped by the linker (see the Makefile) and counted.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "store_fixture.h"

enum { DIM = 24, ROWS = 3000, TAIL = 150, QUERIES = 60, K_MAX = 120 };

/* ---- memory asked for ---------------------------------------------------------------------- */

static unsigned long asked; /* changed by any thread */

static void count_one(void)
{
    __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off);

void *__wrap_malloc(size_t size)
{
    count_one();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    count_one();
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    count_one();
    return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    count_one();
    return __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off)
{
    count_one();
    return __real_mmap(at, len, protection, flags, fd, off);
}

/* ---- an index and queries ------------------------------------------------------------------ */

/* Around 30 centres, not integers: as data are, and such that rounding would show. */
static void make_vector(uint64_t *seed, float *v)
{
    uint64_t centre = (store_random(seed) % 30 + 1) * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < DIM; i++) {
        uint64_t x = store_random(&centre) % 100000 + store_random(seed) % 60000;
        v[i] = (float)x / 1000 - 70;
    }
}

static void add(struct vdb *db, uint64_t *seed, uint32_t first, uint32_t count)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        float v[DIM];
        make_vector(seed, v);
        snprintf(id, sizeof id, "r%u", i);
        store_put(txn, id, v, NULL);
    }
    store_commit(txn);
}

/* A part, a tail, and every seventh row deleted. */
static struct vdb *make(enum vdb_metric metric, enum vdb_index_kind kind, enum vdb_codes codes)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t seed = 77;
    options.dim = DIM;
    options.metric = metric;
    options.index = kind;
    options.codes = codes;
    remove(store_path("s.vdb"));
    struct vdb *db = store_create("s.vdb", options);
    add(db, &seed, 0, ROWS);
    must(vdb_maintain(db, NULL, &err), &err);
    add(db, &seed, ROWS, TAIL);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 5; i < ROWS + TAIL; i += 7) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    }
    store_commit(txn);
    assert_int_equal(store_info(db).parts, 1);
    assert_int_equal(store_info(db).tail_rows, TAIL);
    return db;
}

static void make_queries(float *queries, size_t count)
{
    uint64_t seed = 123;
    for (size_t q = 0; q < count; q++) make_vector(&seed, queries + q * DIM);
}

static struct vdb_searcher *open_searcher(const struct vdb_snapshot *s,
                                          const struct vdb_search_options *options)
{
    struct vdb_searcher *searcher = NULL;
    struct vdb_error err;
    must(vdb_searcher_open(s, options, &searcher, &err), &err);
    assert_non_null(searcher);
    return searcher;
}

static void expect_same(const struct vdb_hit *got, uint32_t found, const struct vdb_hit *want,
                        uint32_t wanted)
{
    assert_int_equal(found, wanted);
    for (uint32_t i = 0; i < found; i++) {
        assert_int_equal(got[i].row, want[i].row);
        assert_memory_equal(&got[i].distance, &want[i].distance, sizeof got[i].distance);
    }
}

/* ---- answers ------------------------------------------------------------------------------- */

static void as_vdb_search(const struct vdb_snapshot *s, const float *queries,
                          const struct vdb_search_options *options)
{
    static struct vdb_hit want[QUERIES * K_MAX], got[K_MAX];
    uint32_t wanted[QUERIES], found;
    struct vdb_error err;
    struct vdb_searcher *searcher = open_searcher(s, options);
    uint32_t k = options ? options->k : 10;
    must(vdb_search(s, queries, QUERIES, options, want, wanted, &err), &err);
    for (unsigned round = 0; round < 2; round++)
        for (uint32_t q = 0; q < QUERIES; q++) {
            must(vdb_searcher_search(searcher, queries + q * DIM, got, &found, &err), &err);
            expect_same(got, found, want + q * k, wanted[q]);
        }
    vdb_searcher_close(searcher);
}

static void with_all_options(const struct vdb_snapshot *s, const float *queries)
{
    struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit nearest[10];
    uint32_t found;
    struct vdb_error err;
    as_vdb_search(s, queries, NULL);
    for (o.k = 1; o.k <= K_MAX; o.k += o.k == 1 ? 11 : 108) /* 1, 12, 120 */
        for (o.include_deleted = 0; o.include_deleted < 2; o.include_deleted++)
            for (o.exact = 0; o.exact < 2; o.exact++) as_vdb_search(s, queries, &o);
    o = (struct vdb_search_options)VDB_SEARCH_OPTIONS_INIT;
    o.ef = 3;
    as_vdb_search(s, queries, &o);
    o.ef = 0;
    o.recall = 0.6;
    as_vdb_search(s, queries, &o);
    must(vdb_search(s, queries, 1, NULL, nearest, &found, &err), &err);
    o.use_radius = 1;
    o.radius = nearest[4].distance;
    as_vdb_search(s, queries, &o);
}

static void the_same_hits(void **state)
{
    (void)state;
    static float queries[QUERIES * DIM];
    make_queries(queries, QUERIES);
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        struct vdb *db = make((enum vdb_metric)metric, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
        const struct vdb_snapshot *s = store_snapshot(db);
        with_all_options(s, queries);
        vdb_snapshot_close(s);
        vdb_close(db);
    }
}

/* More wanted than there are: what there is, and no memory for the wish. */
static void more_than_there_are(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[5];
    struct vdb_error err;
    uint32_t found = 9;
    float q[DIM];
    options.dim = DIM;
    o.k = UINT32_MAX - 1;
    store_vector(2, DIM, q);
    struct vdb *db = store_create("e.vdb", options);
    for (uint32_t rows = 0; rows <= 5; rows += 5) {
        if (rows) store_add_many(db, 0, rows, DIM);
        const struct vdb_snapshot *s = store_snapshot(db);
        struct vdb_searcher *searcher = open_searcher(s, &o);
        must(vdb_searcher_search(searcher, q, hits, &found, &err), &err);
        assert_int_equal(found, rows);
        if (rows) assert_int_equal(hits[0].row, 2);
        vdb_searcher_close(searcher);
        vdb_snapshot_close(s);
    }
    vdb_close(db);
}

static void what_is_wrong(void **state)
{
    (void)state;
    struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit want[10], got[10];
    uint32_t wanted, found;
    struct vdb_error err;
    float q[DIM], bad[DIM];
    make_queries(q, 1);
    struct vdb *db = make(VDB_METRIC_COSINE, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_searcher *searcher = NULL;
    o.k = 0;
    assert_int_equal(vdb_searcher_open(s, &o, &searcher, &err), VDB_INVALID);
    o.k = 10;
    o.recall = 1.5;
    assert_int_equal(vdb_searcher_open(s, &o, &searcher, &err), VDB_INVALID);
    assert_null(searcher);
    vdb_searcher_close(NULL);
    searcher = open_searcher(s, NULL);
    must(vdb_search(s, q, 1, NULL, want, &wanted, &err), &err);
    for (int fault = 0; fault < 3; fault++) {
        memcpy(bad, q, sizeof bad);
        if (fault == 0) bad[DIM - 1] = NAN;
        if (fault == 1) bad[0] = INFINITY;
        if (fault == 2) memset(bad, 0, sizeof bad);
        assert_int_equal(vdb_searcher_search(searcher, bad, got, &found, &err), VDB_INVALID);
        assert_int_equal(err.status, VDB_INVALID);
        must(vdb_searcher_search(searcher, q, got, &found, &err), &err);
        expect_same(got, found, want, wanted);
    }
    vdb_searcher_close(searcher);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* The searcher keeps its snapshot: the caller's may be closed, the handle too, and what is
 * committed later is not seen. */
static void it_keeps_its_snapshot(void **state)
{
    (void)state;
    struct vdb_hit want[10], got[10];
    uint32_t wanted, found;
    struct vdb_error err;
    float q[DIM];
    make_queries(q, 1);
    struct vdb *db = make(VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
    const struct vdb_snapshot *s = store_snapshot(db);
    must(vdb_search(s, q, 1, NULL, want, &wanted, &err), &err);
    struct vdb_searcher *searcher = open_searcher(s, NULL);
    vdb_snapshot_close(s);
    struct vdb_txn *txn = store_begin(db);
    store_put(txn, "the query itself", q, NULL);
    store_commit(txn);
    must(vdb_searcher_search(searcher, q, got, &found, &err), &err);
    expect_same(got, found, want, wanted);
    vdb_close(db);
    must(vdb_searcher_search(searcher, q, got, &found, &err), &err);
    expect_same(got, found, want, wanted);
    vdb_searcher_close(searcher);
}

/* ---- several at once ----------------------------------------------------------------------- */

struct one_of_many {
    const struct vdb_snapshot *snapshot;
    const float *queries;
    const struct vdb_hit *want;
    const uint32_t *wanted;
    unsigned wrong;
};

static void *search_all(void *context)
{
    struct one_of_many *m = context;
    struct vdb_searcher *searcher;
    struct vdb_hit got[10];
    uint32_t found;
    m->wrong = 1;
    if (vdb_searcher_open(m->snapshot, NULL, &searcher, NULL)) return NULL;
    m->wrong = 0;
    for (unsigned round = 0; round < 5; round++)
        for (uint32_t q = 0; q < QUERIES; q++) {
            if (vdb_searcher_search(searcher, m->queries + q * DIM, got, &found, NULL) ||
                found != m->wanted[q]) {
                m->wrong++;
                continue;
            }
            for (uint32_t i = 0; i < found; i++)
                m->wrong += got[i].row != m->want[q * 10 + i].row ||
                            got[i].distance != m->want[q * 10 + i].distance;
        }
    vdb_searcher_close(searcher);
    return NULL;
}

static void one_a_thread(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    static float queries[QUERIES * DIM];
    static struct vdb_hit want[QUERIES * 10];
    uint32_t wanted[QUERIES];
    struct vdb_error err;
    pthread_t threads[THREADS];
    struct one_of_many all[THREADS];
    make_queries(queries, QUERIES);
    struct vdb *db = make(VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
    const struct vdb_snapshot *s = store_snapshot(db);
    must(vdb_search(s, queries, QUERIES, NULL, want, wanted, &err), &err);
    for (int i = 0; i < THREADS; i++) {
        all[i] = (struct one_of_many){s, queries, want, wanted, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, search_all, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(all[i].wrong, 0);
    }
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void ask_1000(struct vdb *db, struct vdb_search_options options)
{
    enum { MANY = 1000 };
    static float queries[MANY * DIM];
    static struct vdb_hit hits[K_MAX];
    struct vdb_error err;
    uint32_t found;
    make_queries(queries, MANY);
    const struct vdb_snapshot *s = store_snapshot(db);
    unsigned long before = asked;
    struct vdb_searcher *searcher = open_searcher(s, &options);
    must(vdb_searcher_search(searcher, queries, hits, &found, &err), &err);
    assert_true(asked > before); /* it does count */
    must(vdb_searcher_search(searcher, queries + DIM, hits, &found, &err), &err);
    before = asked;
    for (uint32_t q = 2; q < MANY; q++)
        must(vdb_searcher_search(searcher, queries + q * DIM, hits, &found, &err), &err);
    if (asked != before) fail_msg("%lu calls for memory", asked - before);
    assert_int_equal(found, options.k);
    vdb_searcher_close(searcher);
    vdb_snapshot_close(s);
}

static unsigned threads_now(void)
{
    char line[256];
    unsigned count = 0;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "Threads:", 8) == 0) count = (unsigned)strtoul(line + 8, NULL, 10);
    fclose(status);
    return count;
}

/* Two large parts, which two threads search at once: what those need is there from the beginning.
 */
static void nor_by_its_threads(void **state)
{
    (void)state;
    enum { LARGE = 6000, MANY = 1000 };
    static float queries[MANY * DIM];
    struct vdb_create_options create = VDB_CREATE_OPTIONS_INIT;
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[10];
    struct vdb_error err;
    uint32_t found;
    uint64_t seed = 5;
    create.dim = DIM;
    create.index = VDB_INDEX_HYBRID;
    create.recent_rows = LARGE;
    struct vdb *db = store_create("large.vdb", create);
    add(db, &seed, 0, 2 * LARGE);
    must(vdb_maintain(db, NULL, &err), &err);
    assert_int_equal(store_info(db).parts, 2);
    make_queries(queries, MANY);
    const struct vdb_snapshot *s = store_snapshot(db);
    options.threads = 2;
    options.recall = 1; /* so that there is work for two */
    struct vdb_searcher *searcher = open_searcher(s, &options);
    assert_int_equal(threads_now(), 2);
    unsigned long before = asked;
    for (uint32_t q = 0; q < MANY; q++) {
        must(vdb_searcher_search(searcher, queries + q * DIM, hits, &found, &err), &err);
        if (asked != before) fail_msg("%lu calls for memory by query %u", asked - before, q);
        assert_int_equal(found, 10);
    }
    vdb_searcher_close(searcher);
    vdb_snapshot_close(s);
    vdb_close(db);
}

static void no_memory_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        enum vdb_metric metric;
        enum vdb_index_kind kind;
        enum vdb_codes codes;
    } kinds[] = {
        {VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_I8},
        {VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_I4},
        {VDB_METRIC_COSINE, VDB_INDEX_GRAPH, VDB_CODES_I8},
        {VDB_METRIC_IP, VDB_INDEX_GRAPH, VDB_CODES_AUTO},
        {VDB_METRIC_L2, VDB_INDEX_HNSW, VDB_CODES_AUTO},
        {VDB_METRIC_COSINE, VDB_INDEX_FLAT, VDB_CODES_AUTO},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        struct vdb *db = make(kinds[i].metric, kinds[i].kind, kinds[i].codes);
        ask_1000(db, options);
        options.k = 100;
        options.recall = 0.99;
        ask_1000(db, options);
        options.k = 1;
        options.exact = 1;
        ask_1000(db, options);
        vdb_close(db);
    }
}

/* ---- what effort it is --------------------------------------------------------------------- */

/* A search with a recall is one with the effort that vdb_part_effort names. */
static void the_effort_of_a_recall(void **state)
{
    (void)state;
    static const double recalls[] = {0, 0.5, 0.8, 0.95, 0.99, 1};
    static float queries[QUERIES * DIM];
    static struct vdb_hit aimed[QUERIES * K_MAX], given[QUERIES * K_MAX];
    uint32_t found[2][QUERIES], effort = 0, before;
    struct vdb_error err;
    make_queries(queries, QUERIES);
    struct vdb *db = make(VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
    const struct vdb_snapshot *s = store_snapshot(db);
    for (uint32_t k = 1; k <= K_MAX; k += 17) {
        struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
        before = 0;
        for (size_t i = 0; i < sizeof recalls / sizeof recalls[0]; i++) {
            assert_int_equal(vdb_part_effort(s, 0, k, recalls[i], &effort), VDB_OK);
            assert_true(effort >= (i == 1 ? 1 : before));
            before = effort;
            memset(aimed, 0, sizeof aimed);
            memset(given, 0, sizeof given);
            o.k = k;
            o.ef = 0;
            o.recall = recalls[i];
            must(vdb_search(s, queries, QUERIES, &o, aimed, found[0], &err), &err);
            o.ef = effort;
            o.recall = 0;
            must(vdb_search(s, queries, QUERIES, &o, given, found[1], &err), &err);
            assert_memory_equal(found[0], found[1], sizeof found[0]);
            for (size_t h = 0; h < QUERIES * (size_t)k; h++)
                assert_int_equal(aimed[h].row, given[h].row);
        }
    }
    uint32_t usual, at_95;
    assert_int_equal(vdb_part_effort(s, 0, 10, 0, &usual), VDB_OK);
    assert_int_equal(vdb_part_effort(s, 0, 10, 0.95, &at_95), VDB_OK);
    assert_int_equal(usual, at_95);
    effort = 4711;
    assert_int_equal(vdb_part_effort(s, 1, 10, 0.95, &effort), VDB_NOT_FOUND);
    assert_int_equal(vdb_part_effort(s, 0, 0, 0.95, &effort), VDB_INVALID);
    assert_int_equal(vdb_part_effort(s, 0, 10, 1.01, &effort), VDB_INVALID);
    assert_int_equal(vdb_part_effort(s, 0, 10, -0.1, &effort), VDB_INVALID);
    assert_int_equal(vdb_part_effort(s, 0, 10, NAN, &effort), VDB_INVALID);
    assert_int_equal(effort, 4711);
    assert_int_equal(vdb_part_effort(s, 0, UINT32_MAX, 0.95, &effort), VDB_OK); /* all rows */
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* Curve by curve, each rising; and where a point reaches what a recall r asks for, r + r (1 - r) /
 * 10 in the mean and 1 - 4 (1 - r) in all but 5%, less errors, no more effort is taken than that.
 */
static void the_calibration_of_a_part(void **state)
{
    (void)state;
    struct vdb_calibration_point p, before = {.zero = 1};
    uint32_t count = 0, curves = 0, reached = 0, effort;
    struct vdb *db = make(VDB_METRIC_L2, VDB_INDEX_GRAPH, VDB_CODES_AUTO);
    const struct vdb_snapshot *s = store_snapshot(db);
    for (; vdb_part_calibration(s, 0, count, &p) == VDB_OK; count++) {
        assert_true(p.k >= before.k && p.k >= 1 && p.effort >= 1);
        assert_true(p.recall >= 0 && p.recall <= 1 && p.error >= 0 && p.error <= 1);
        curves += p.k > before.k;
        if (p.k == before.k) {
            assert_true(p.effort > before.effort);
            assert_true(p.recall >= before.recall);
        }
        assert_true(p.p5_error >= 0 && p.p5_error <= p.p5 && p.p5 <= 1);
        assert_true(p.zero >= 0 && p.zero <= 1);
        assert_true(p.cost > 0 && (p.k > before.k || p.cost >= before.cost));
        if (p.k == before.k) assert_true(p.p5 >= before.p5 && p.zero <= before.zero);
        double r =
            p.recall > p.error ? (1.1 - sqrt(1.21 - 0.4 * (p.recall - p.error))) / 0.2 - 1e-9 : 0;
        assert_int_equal(vdb_part_effort(s, 0, p.k, r, &effort), VDB_OK);
        if (r > 0 && p.p5 - p.p5_error >= 1 - 4 * (1 - r)) {
            assert_true(effort <= p.effort);
            reached++;
        }
        before = p;
    }
    assert_true(curves >= 2 && count > 2 * curves && reached > count / 2);
    before = p;
    assert_int_equal(vdb_part_calibration(s, 0, count, &p), VDB_NOT_FOUND);
    assert_int_equal(vdb_part_calibration(s, 0, UINT32_MAX, &p), VDB_NOT_FOUND);
    assert_int_equal(vdb_part_calibration(s, 1, 0, &p), VDB_NOT_FOUND);
    assert_memory_equal(&p, &before, sizeof p);
    struct vdb_part_info info;
    assert_int_equal(vdb_part_info(s, 0, &info), VDB_OK);
    assert_true(info.dimension > 1 && info.cost > 0);
    assert_int_equal(info.rival, VDB_INDEX_AUTO); /* a graph was asked for by name */
    assert_true(info.rival_cost == 0);
    vdb_snapshot_close(s);
    vdb_close(db);
    db = make(VDB_METRIC_L2, VDB_INDEX_FLAT, VDB_CODES_AUTO);
    s = store_snapshot(db);
    assert_int_equal(vdb_part_calibration(s, 0, 0, &p), VDB_NOT_FOUND);
    assert_int_equal(vdb_part_effort(s, 0, 10, 0.95, &effort), VDB_OK);
    assert_int_equal(effort, 0);
    vdb_snapshot_close(s);
    vdb_close(db);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(the_same_hits),         test(more_than_there_are),    test(what_is_wrong),
        test(it_keeps_its_snapshot), test(one_a_thread),           test(no_memory_is_asked_for),
        test(nor_by_its_threads),    test(the_effort_of_a_recall), test(the_calibration_of_a_part),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
