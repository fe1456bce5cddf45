/* test_search.c: searching against brute force in binary64 over the very numbers that were put.
 *
 * Rows hold small integers, which every type stores exactly, so that the exact search must agree in
 * rows and, but for rounding, in distances.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store_fixture.h"

enum { DIM = 24, ROWS = 5200, QUERIES = 40 };

/* ---- the index and what it should answer --------------------------------------------------- */

struct world {
    enum vdb_metric metric;
    enum vdb_type type;
    float *rows; /* ROWS * DIM */
    bool *dead;
    float queries[QUERIES * DIM];
    struct vdb_hit *nearest[2][QUERIES]; /* of the live rows, and of all: see brute */
};

/* About 30 centres, as real vectors have; signs where the type has them. */
static void make_vector(const struct world *w, uint64_t *seed, float *v)
{
    bool is_signed = w->type != VDB_TYPE_U8;
    uint64_t centre = store_random(seed) % 30 + 1;
    centre *= 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < DIM; i++) {
        int x = (int)(store_random(&centre) % 150) + (int)(store_random(seed) % 40);
        v[i] = (float)(is_signed ? x - 95 : x + 1);
    }
}

static void add(const struct world *w, struct vdb *db, uint32_t first, uint32_t count)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        store_put(txn, id, w->rows + (size_t)i * DIM, NULL);
    }
    store_commit(txn);
}

/* Two graph parts, a tail of several commits, and every ninth row deleted. */
static struct vdb *world_make(struct world *w, enum vdb_metric metric, enum vdb_type type)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t seed = 99 + (uint64_t)metric * 10 + (uint64_t)type;
    *w = (struct world){.metric = metric, .type = type};
    w->rows = malloc(sizeof *w->rows * ROWS * DIM);
    w->dead = calloc(ROWS, sizeof *w->dead);
    assert_true(w->rows && w->dead);
    for (uint32_t i = 0; i < ROWS; i++) make_vector(w, &seed, w->rows + (size_t)i * DIM);
    memcpy(w->rows + 50 * DIM, w->rows + 17 * DIM, sizeof(float) * DIM);   /* twins: a tie, */
    memcpy(w->rows + 5100 * DIM, w->rows + 17 * DIM, sizeof(float) * DIM); /* across parts too */
    for (uint32_t q = 0; q < QUERIES; q++) make_vector(w, &seed, w->queries + (size_t)q * DIM);
    memcpy(w->queries, w->rows + 17 * DIM, sizeof(float) * DIM);
    for (unsigned i = 0; i < DIM; i++) w->queries[DIM + i] += 0.3125f; /* not integers */
    options.dim = DIM;
    options.index = VDB_INDEX_GRAPH;
    options.metric = metric;
    options.type = type;
    struct vdb *db = store_create("s.vdb", options);
    add(w, db, 0, 2600);
    must(vdb_maintain(db, NULL, &err), &err);
    add(w, db, 2600, 1000);
    add(w, db, 3600, 1200);
    must(vdb_maintain(db, NULL, &err), &err);
    add(w, db, 4800, 250);
    add(w, db, 5050, 150);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 4; i < ROWS; i += 9) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
        w->dead[i] = true;
    }
    store_commit(txn);
    struct vdb_info info = store_info(db);
    assert_int_equal(info.parts, 2);
    assert_int_equal(info.tail_rows, 400);
    return db;
}

static void world_release(struct world *w)
{
    free(w->rows);
    free(w->dead);
    for (int deleted = 0; deleted < 2; deleted++)
        for (uint32_t q = 0; q < QUERIES; q++) free(w->nearest[deleted][q]);
}

static double distance(const struct world *w, const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0, dd = 0;
    for (unsigned i = 0; i < DIM; i++) {
        double x = a[i], y = b[i];
        dot += x * y;
        aa += x * x;
        bb += y * y;
        dd += (x - y) * (x - y);
    }
    if (w->metric == VDB_METRIC_L2) return sqrt(dd);
    return w->metric == VDB_METRIC_IP ? -dot : 1 - dot / sqrt(aa * bb);
}

static int nearer(const void *a, const void *b)
{
    const struct vdb_hit *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* All rows in order of their distance to query q, ties by row, and one infinitely far behind. */
static const struct vdb_hit *brute(struct world *w, uint32_t q, bool deleted)
{
    const float *query = w->queries + (size_t)q * DIM;
    struct vdb_hit *to = w->nearest[deleted][q];
    uint32_t n = 0;
    if (to) return to;
    to = w->nearest[deleted][q] = malloc((ROWS + 1) * sizeof *to);
    assert_non_null(to);
    for (uint32_t i = 0; i < ROWS; i++)
        if (deleted || !w->dead[i])
            to[n++] = (struct vdb_hit){i, distance(w, query, w->rows + (size_t)i * DIM)};
    qsort(to, n, sizeof *to, nearer);
    to[n] = (struct vdb_hit){ROWS, INFINITY};
    return to;
}

/* Rounding: |a| up to some 2^20 in the sums, and 1 - x cancels under cosine. */
static bool close_to(const struct world *w, double a, double b)
{
    double scale = w->metric == VDB_METRIC_COSINE ? 1 : fabs(b);
    return fabs(a - b) <= 1e-12 * scale;
}

/* Under cosine two rows whose distances agree but for rounding may stand either way. */
static void expect_hits(const struct world *w, const struct vdb_hit *got, uint32_t found,
                        const struct vdb_hit *want, uint32_t wanted)
{
    assert_int_equal(found, wanted);
    for (uint32_t i = 0; i < found; i++) {
        bool tie = (i > 0 && close_to(w, want[i].distance, want[i - 1].distance)) ||
                   close_to(w, want[i].distance, want[i + 1].distance);
        if (!close_to(w, got[i].distance, want[i].distance))
            fail_msg("hit %u: %.17g, expected %.17g", i, got[i].distance, want[i].distance);
        if (got[i].row != want[i].row && !(tie && w->metric == VDB_METRIC_COSINE))
            fail_msg("hit %u: row %u, expected %u", i, got[i].row, want[i].row);
    }
}

static void search(struct vdb *db, const float *queries, size_t count,
                   struct vdb_search_options options, struct vdb_hit *hits, uint32_t *found)
{
    struct vdb_error err;
    const struct vdb_snapshot *s = store_snapshot(db);
    must(vdb_search(s, queries, count, &options, hits, found, &err), &err);
    vdb_snapshot_close(s);
}

/* ---- exact, and how near to it the graph comes --------------------------------------------- */

static void exact_is_brute_force(struct world *w, struct vdb *db)
{
    enum { K = 13 };
    static struct vdb_hit hits[QUERIES * K];
    uint32_t found[QUERIES];
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.k = K;
    options.exact = 1;
    for (int deleted = 0; deleted < 2; deleted++) {
        options.include_deleted = deleted;
        search(db, w->queries, QUERIES, options, hits, found);
        for (uint32_t q = 0; q < QUERIES; q++) {
            const struct vdb_hit *want = brute(w, q, deleted);
            expect_hits(w, hits + (size_t)q * K, found[q], want, K);
        }
    }
}

/* More wanted than there are: every live row, in order. */
static void k_beyond_all(struct world *w, struct vdb *db)
{
    static struct vdb_hit hits[ROWS + 100];
    const struct vdb_hit *want = brute(w, 0, false);
    uint32_t n = 0;
    while (want[n].distance < INFINITY) n++;
    for (int exact = 0; exact < 2; exact++) {
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        uint32_t found;
        options.k = ROWS + 100;
        options.exact = exact;
        search(db, w->queries, 1, options, hits, &found);
        expect_hits(w, hits, found, want, n);
    }
}

static void a_radius_bounds(struct world *w, struct vdb *db)
{
    static struct vdb_hit hits[100];
    for (uint32_t q = 2; q < 12; q++) {
        const float *query = w->queries + (size_t)q * DIM;
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        uint32_t found;
        const struct vdb_hit *want = brute(w, q, false);
        options.k = 100;
        options.exact = 1;
        options.use_radius = 1;
        options.radius = (want[5].distance + want[6].distance) / 2;
        search(db, query, 1, options, hits, &found);
        if (close_to(w, want[5].distance, want[6].distance)) continue;
        expect_hits(w, hits, found, want, 6);
        options.exact = 0;
        search(db, query, 1, options, hits, &found);
        assert_in_range(found, 4, 6);
        options.radius = want[0].distance - 1;
        search(db, query, 1, options, hits, &found);
        assert_int_equal(found, 0);
    }
}

static double recall(struct world *w, struct vdb *db, uint32_t ef, bool deleted)
{
    enum { K = 10 };
    static struct vdb_hit hits[QUERIES * K];
    uint32_t found[QUERIES], right = 0;
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.k = K;
    options.ef = ef;
    options.include_deleted = deleted;
    search(db, w->queries, QUERIES, options, hits, found);
    for (uint32_t q = 0; q < QUERIES; q++) {
        const struct vdb_hit *want = brute(w, q, deleted);
        assert_int_equal(found[q], K);
        for (uint32_t i = 0; i < K; i++) {
            const struct vdb_hit *hit = &hits[q * K + i];
            const float *row = w->rows + (size_t)hit->row * DIM;
            assert_true(deleted || !w->dead[hit->row]);
            /* What is given is right even where something nearer was missed. */
            assert_true(close_to(w, hit->distance, distance(w, w->queries + (size_t)q * DIM, row)));
            assert_true(i == 0 || nearer(hit - 1, hit) < 0);
            right += hit->distance <= want[K - 1].distance ||
                     close_to(w, hit->distance, want[K - 1].distance);
        }
    }
    return (double)right / (QUERIES * K);
}

/* One row of twenty is left: too few to walk for, whatever the kind of vectors. */
static void few_are_left(struct world *w, struct vdb *db)
{
    struct vdb_error err;
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        if (w->dead[i] || i % 20 == 7) continue;
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
        w->dead[i] = true;
    }
    store_commit(txn);
    for (uint32_t q = 0; q < QUERIES; q++) {
        free(w->nearest[0][q]);
        w->nearest[0][q] = NULL;
    }
    double found = recall(w, db, 200, false);
    if (found < 0.995) fail_msg("recall %.3f of few", found);
}

/* Of what is nearest to a query half is gone: its walk would go through all of that. */
static void the_near_are_gone(void **state)
{
    (void)state;
    struct world w;
    struct vdb_error err;
    struct vdb *db = world_make(&w, VDB_METRIC_L2, VDB_TYPE_F32);
    struct vdb_txn *txn = store_begin(db);
    const struct vdb_hit *near = brute(&w, 3, false);
    for (uint32_t i = 0; i < ROWS / 2; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", near[i].row);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
        w.dead[near[i].row] = true;
    }
    store_commit(txn);
    for (uint32_t q = 0; q < QUERIES; q++) {
        free(w.nearest[0][q]);
        w.nearest[0][q] = NULL;
    }
    double found = recall(&w, db, 100, false);
    if (found < 0.99) fail_msg("recall %.3f behind what is gone", found);
    vdb_close(db);
    world_release(&w);
}

static void a_world(enum vdb_metric metric, enum vdb_type type)
{
    struct world w;
    struct vdb *db = world_make(&w, metric, type);
    exact_is_brute_force(&w, db);
    k_beyond_all(&w, db);
    a_radius_bounds(&w, db);
    for (int deleted = 0; deleted < 2; deleted++) {
        double low = recall(&w, db, 16, deleted), high = recall(&w, db, 200, deleted);
        if (low < 0.8 || high < 0.99) fail_msg("recall %.3f and %.3f", low, high);
    }
    few_are_left(&w, db);
    vdb_close(db);
    world_release(&w);
}

#define world(metric, type)                                                                        \
    static void metric##_##type(void **state)                                                      \
    {                                                                                              \
        (void)state;                                                                               \
        a_world(VDB_METRIC_##metric, VDB_TYPE_##type);                                             \
    }

world(L2, F32) world(L2, F16) world(L2, I8) world(L2, U8) world(COSINE, F32) world(COSINE, F16)
    world(COSINE, I8) world(COSINE, U8) world(IP, F32) world(IP, F16) world(IP, I8) world(IP, U8)

    /* ---- the same bits everywhere --------------------------------------------------------------
     */

    enum {
        MANY = 200,
        K = 7
    };

struct answer {
    struct vdb_hit hits[MANY * K];
    uint32_t found[MANY];
};

static void answer(struct vdb *db, const float *queries, unsigned threads, bool exact,
                   struct answer *to)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    memset(to, 0, sizeof *to);
    options.k = K;
    options.threads = threads;
    options.exact = exact;
    search(db, queries, MANY, options, to->hits, to->found);
}

static void expect_equal(const struct answer *a, const struct answer *b)
{
    assert_memory_equal(a->found, b->found, sizeof a->found);
    for (size_t i = 0; i < MANY * K; i++) {
        assert_int_equal(a->hits[i].row, b->hits[i].row);
        assert_memory_equal(&a->hits[i].distance, &b->hits[i].distance, sizeof(double));
    }
}

/* With queries and rows that are no integers, so that rounding would show. */
static void the_same_bits(void **state)
{
    (void)state;
    static struct answer one, other;
    static float queries[MANY * DIM];
    for (int run = 0; run < 6; run++) {
        struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
        struct vdb_error err;
        uint64_t seed = 5;
        options.dim = DIM;
        options.metric = (enum vdb_metric)(VDB_METRIC_L2 + run / 2);
        options.index = run % 2 ? VDB_INDEX_IVF : VDB_INDEX_GRAPH;
        struct vdb *db = store_create("f.vdb", options);
        struct vdb_txn *txn = store_begin(db);
        for (uint32_t i = 0; i < 2500 + MANY; i++) {
            char id[16];
            float v[DIM];
            for (unsigned j = 0; j < DIM; j++)
                v[j] = (float)((double)(store_random(&seed) >> 11) / 9007199254740992.0 - 0.4);
            if (i >= 2500) memcpy(queries + (i - 2500) * (size_t)DIM, v, sizeof v);
            snprintf(id, sizeof id, "%u", i);
            if (i < 2500) store_put(txn, id, v, NULL);
        }
        store_commit(txn);
        must(vdb_maintain(db, NULL, &err), &err);
        for (int exact = 0; exact < 2; exact++) {
            answer(db, queries, 1, exact, &one);
            for (unsigned threads = 2; threads < 8; threads += 2) {
                answer(db, queries, threads, exact, &other);
                expect_equal(&one, &other);
            }
            for (uint32_t q = 0; q < MANY; q += 37) { /* alone as in a batch */
                struct vdb_search_options alone = VDB_SEARCH_OPTIONS_INIT;
                alone.k = K;
                alone.exact = exact;
                search(db, queries + (size_t)q * DIM, 1, alone, other.hits + (size_t)q * K,
                       &other.found[q]);
            }
            expect_equal(&one, &other);
            static const char *const isas[] = {"portable", "avx2", "avx512"};
            for (int i = 0; i < 3; i++) {
                struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
                struct vdb *forced;
                open.isa = isas[i];
                enum vdb_status status = vdb_open(store_path("f.vdb"), &open, &forced, &err);
                if (status == VDB_UNSUPPORTED && i > 0) continue;
                must(status, &err);
                assert_string_equal(store_info(forced).isa, isas[i]);
                answer(forced, queries, 2, exact, &other);
                expect_equal(&one, &other);
                vdb_close(forced);
            }
        }
        vdb_close(db);
        remove(store_path("f.vdb"));
    }
}

/* ---- edges --------------------------------------------------------------------------------- */

static void what_cannot_be_searched(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_hit hits[30];
    uint32_t found[3] = {9, 9, 9};
    float q[3 * 2] = {1, 2, 3, 4, 5, 6};
    options.dim = 2;
    options.metric = VDB_METRIC_COSINE;
    struct vdb *db = store_create("e.vdb", options);
    const struct vdb_snapshot *s = store_snapshot(db);
    must(vdb_search(s, q, 3, &o, hits, found, &err), &err); /* an empty index */
    for (int i = 0; i < 3; i++) assert_int_equal(found[i], 0);
    must(vdb_search(s, q, 0, &o, hits, found, &err), &err);
    o.k = 0;
    assert_int_equal(vdb_search(s, q, 1, &o, hits, found, &err), VDB_INVALID);
    o.k = 10;
    q[3] = NAN;
    assert_int_equal(vdb_search(s, q, 3, &o, hits, found, &err), VDB_INVALID);
    assert_non_null(strstr(err.message, "query 1"));
    q[3] = INFINITY;
    assert_int_equal(vdb_search(s, q, 3, &o, hits, found, &err), VDB_INVALID);
    q[3] = 1;
    q[4] = q[5] = 0;
    assert_int_equal(vdb_search(s, q, 3, &o, hits, found, &err), VDB_INVALID);
    assert_non_null(strstr(err.message, "query 2"));
    q[5] = 1;
    o.use_radius = 1;
    o.radius = NAN;
    assert_int_equal(vdb_search(s, q, 3, &o, hits, found, &err), VDB_INVALID);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* All rows of a part deleted, and all but one: the search goes through the dead. */
static void among_the_dead_of(enum vdb_index_kind kind)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_search_options o = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    options.index = kind;
    struct vdb *db = store_create("d.vdb", options);
    store_add_many(db, 0, 2100, DIM);
    must(vdb_maintain(db, NULL, &err), &err);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 0; i < 2100; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        if (i != 1234) must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    }
    store_commit(txn);
    for (int left = 1; left >= 0; left--) {
        float q[DIM];
        struct vdb_hit hits[10];
        uint32_t found;
        store_vector(3, DIM, q);
        search(db, q, 1, o, hits, &found);
        assert_int_equal(found, left);
        if (left) assert_int_equal(hits[0].row, 1234);
        o.include_deleted = 1;
        search(db, q, 1, o, hits, &found);
        assert_int_equal(found, 10);
        assert_int_equal(hits[0].row, 3);
        assert_true(hits[0].distance == 0);
        o.include_deleted = 0;
        if (left) store_delete(db, 1234);
    }
    vdb_close(db);
    remove(store_path("d.vdb"));
}

static void among_the_dead(void **state)
{
    (void)state;
    among_the_dead_of(VDB_INDEX_GRAPH);
    among_the_dead_of(VDB_INDEX_IVF);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(the_near_are_gone),
        test(L2_F32),
        test(L2_F16),
        test(L2_I8),
        test(L2_U8),
        test(COSINE_F32),
        test(COSINE_F16),
        test(COSINE_I8),
        test(COSINE_U8),
        test(IP_F32),
        test(IP_F16),
        test(IP_I8),
        test(IP_U8),
        test(the_same_bits),
        test(what_cannot_be_searched),
        test(among_the_dead),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
