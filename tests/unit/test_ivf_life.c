/* test_ivf_life.c: an index of inverted files that grows by commits: lists are carried over from
 * merge to merge, and searches of them are as good as those of a fresh build.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "points.h"
#include "state/snapshot.h"
#include "store_fixture.h"

enum { DIM = 16, CLUSTERS = 300, CORNER = 4, STEP = 512, QUERIES = 300, K = 10 };
enum { ROWS = 32768, SPREAD = ROWS / 2 };

struct growth {
    uint32_t spread; /* rows of all clusters; those that come later are of CORNER of them */
    float *rows;
    struct vdb *db;
};

/* A point of all clusters or of the corner's, which lie beside one another and far out. */
static void point_make(uint64_t seed, int corner, float *x)
{
    uint64_t own = seed * 0x9e3779b97f4a7c15u + 1;
    uint64_t clusters = corner ? CORNER : CLUSTERS;
    uint64_t centre = (corner ? 2000 : 1000) + random_next(&own) % clusters;
    for (int i = 0; i < DIM; i++)
        x[i] = (float)(random_normal(&centre) * (corner ? 0.5 : 2) + (corner ? 5 : 0) +
                       random_normal(&own) * 0.6);
}

static const float *row_at(const struct growth *g, uint32_t row)
{
    return g->rows + (size_t)row * DIM;
}

static void growth_begin(struct growth *g, const char *name, uint32_t spread)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.metric = VDB_METRIC_L2;
    options.index = VDB_INDEX_IVF;
    *g = (struct growth){.spread = spread, .rows = malloc((size_t)ROWS * DIM * sizeof(float))};
    assert_non_null(g->rows);
    for (uint32_t i = 0; i < ROWS; i++) point_make(i, i >= spread, g->rows + (size_t)i * DIM);
    g->db = store_create(name, options);
}

static void growth_end(struct growth *g)
{
    vdb_close(g->db);
    free(g->rows);
}

/* Rows [from, to) in commits of STEP, with maintenance after each; how many of these built. */
static uint32_t grow(struct growth *g, uint32_t from, uint32_t to, unsigned threads)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    uint32_t built = 0;
    options.threads = threads;
    for (; from < to; from += STEP) {
        struct vdb_txn *txn = store_begin(g->db);
        struct vdb_error err;
        char id[16];
        for (uint32_t i = from; i < from + STEP; i++) {
            snprintf(id, sizeof id, "r%u", i);
            store_put(txn, id, row_at(g, i), NULL);
        }
        store_commit(txn);
        must(vdb_maintain(g->db, &options, &err), &err);
        built += store_info(g->db).tail_rows == 0;
    }
    return built;
}

/* ---- recall -------------------------------------------------------------------------------- */

static void query_make(const struct growth *g, uint32_t i, uint32_t rows, float *q)
{
    int corner = i < QUERIES && g->spread < rows && i % 2;
    point_make((uint64_t)1 << 32 | i, corner, q);
}

/* The distance, squared, of the K-th nearest of the first `rows`. */
static double kth_distance(const struct growth *g, uint32_t rows, const float *q)
{
    double nearest[K];
    int n = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const float *x = row_at(g, row);
        double d = 0;
        for (int i = 0; i < DIM; i++) d += ((double)x[i] - q[i]) * ((double)x[i] - q[i]);
        if (n == K && d >= nearest[K - 1]) continue;
        int at = n < K ? n++ : K - 1;
        for (; at > 0 && nearest[at - 1] > d; at--) nearest[at] = nearest[at - 1];
        nearest[at] = d;
    }
    return nearest[K - 1];
}

struct truth {
    float queries[QUERIES * DIM];
    double limit[QUERIES];
};

static struct truth *truth_make(const struct growth *g, uint32_t rows)
{
    struct truth *truth = malloc(sizeof *truth);
    assert_non_null(truth);
    for (uint32_t i = 0; i < QUERIES; i++) {
        query_make(g, i, rows, truth->queries + i * DIM);
        truth->limit[i] = kth_distance(g, rows, truth->queries + i * DIM);
    }
    return truth;
}

/* The mean recall@10 with that effort; 0: the default. Rows are those of `g` in their order. */
static double recall_of(const struct growth *g, struct vdb *db, const struct truth *truth,
                        uint32_t effort)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    static struct vdb_hit hits[QUERIES * K];
    static uint32_t found[QUERIES];
    struct vdb_error err;
    const struct vdb_snapshot *s = store_snapshot(db);
    uint32_t good = 0;
    options.ef = effort;
    must(vdb_search(s, truth->queries, QUERIES, &options, hits, found, &err), &err);
    for (uint32_t i = 0; i < QUERIES; i++)
        for (uint32_t j = 0; j < found[i]; j++) {
            const float *x = row_at(g, hits[i * K + j].row), *q = truth->queries + i * DIM;
            double d = 0;
            for (int c = 0; c < DIM; c++) d += ((double)x[c] - q[c]) * ((double)x[c] - q[c]);
            good += d <= truth->limit[i];
        }
    vdb_snapshot_close(s);
    return (double)good / (QUERIES * K);
}

static void every_row_is_found(const struct growth *g, uint32_t rows)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit *hits = malloc(rows * sizeof *hits);
    uint32_t *found = malloc(rows * sizeof *found);
    struct vdb_error err;
    const struct vdb_snapshot *s = store_snapshot(g->db);
    options.k = 1;
    assert_true(hits && found);
    must(vdb_search(s, g->rows, rows, &options, hits, found, &err), &err);
    for (uint32_t i = 0; i < rows; i++) {
        assert_int_equal(found[i], 1);
        assert_int_equal(hits[i].row, i);
    }
    vdb_snapshot_close(s);
    free(hits);
    free(found);
}

/* ---- tests --------------------------------------------------------------------------------- */

/* A list has 128 rows as long as that makes fewer than 4 sqrt(rows) lists, and parts of less than
 * 8,192 rows have one (ivf_params_default). */
static void check_lists(const struct growth *g)
{
    const struct vdb_snapshot *s = store_snapshot(g->db);
    struct vdb_info info;
    vdb_snapshot_info(s, &info);
    for (uint32_t i = 0; i < info.parts; i++) {
        struct vdb_part_info part;
        assert_int_equal(vdb_part_info(s, i, &part), VDB_OK);
        uint64_t rows = part.row_end - part.row_begin;
        assert_int_equal(part.kind, VDB_INDEX_IVF);
        assert_int_equal(part.lists, rows < 8192 ? 1 : rows / 128);
        if (part.imbalance > 1.6)
            fail_msg("imbalance %.3f of %u lists", part.imbalance, part.lists);
    }
    vdb_snapshot_close(s);
}

static void check_recall(const struct growth *g, uint32_t rows)
{
    struct truth *truth = truth_make(g, rows);
    double recall = recall_of(g, g->db, truth, 0);
    if (recall < 0.94) fail_msg("recall %.4f of %u rows", recall, rows);
    free(truth);
}

/* A fresh build over the same rows, at equal effort: it has one part, too. */
static void check_against_fresh(const struct growth *g)
{
    static const uint32_t efforts[] = {1, 2, 4, 8, 16};
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    char output[4096];
    snprintf(output, sizeof output, "%s", store_path("fresh.vdb"));
    options.output = output;
    must(vdb_compact(g->db, &options, &err), &err);
    struct vdb *fresh = store_open("fresh.vdb");
    struct truth *truth = truth_make(g, ROWS);
    double merged_sum = 0, fresh_sum = 0;
    assert_int_equal(store_info(g->db).parts, 1);
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++) {
        merged_sum += recall_of(g, g->db, truth, efforts[i]) / 5;
        fresh_sum += recall_of(g, fresh, truth, efforts[i]) / 5;
    }
    if (merged_sum < fresh_sum - 0.005)
        fail_msg("recall %.4f, of a fresh build %.4f", merged_sum, fresh_sum);
    free(truth);
    vdb_close(fresh);
}

static void live(uint32_t spread)
{
    struct growth g;
    growth_begin(&g, "x.vdb", spread);
    uint32_t built = grow(&g, 0, SPREAD, 2);
    check_lists(&g);
    check_recall(&g, SPREAD);
    built += grow(&g, SPREAD, 24576, 2);
    check_lists(&g);
    check_recall(&g, 24576);
    built += grow(&g, 24576, ROWS, 2);
    assert_int_equal(built, ROWS / 2048);
    check_lists(&g);
    check_recall(&g, ROWS);
    every_row_is_found(&g, ROWS);
    check_against_fresh(&g);
    growth_end(&g);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

static void grows_by_rows_of_the_same_kind(void **state)
{
    (void)state;
    live(ROWS);
}

static void grows_by_rows_of_one_corner(void **state)
{
    (void)state;
    live(SPREAD);
}

/* What the commits' times have no part in: by the checksums of segments. */
static void same_for_any_number_of_threads(void **state)
{
    (void)state;
    static const unsigned threads[] = {1, 2, 5};
    uint64_t checks[16] = {0};
    for (int i = 0; i < 3; i++) {
        struct growth g;
        growth_begin(&g, "x.vdb", SPREAD / 2);
        grow(&g, 0, SPREAD, threads[i]);
        const struct vdb_snapshot *s = store_snapshot(g.db);
        const struct manifest *m = &s->generation->manifest;
        uint32_t found = 0;
        for (uint32_t j = 0; j < m->segment_count; j++) {
            unsigned type = m->segments[j].type;
            if (type != DISK_SEGMENT_IVF && type != DISK_SEGMENT_CALIBRATION) continue;
            assert_in_range(found, 0, 15);
            if (i == 0) checks[found] = m->segments[j].check;
            assert_true(checks[found++] == m->segments[j].check);
        }
        assert_true(found >= 2);
        vdb_snapshot_close(s);
        growth_end(&g);
        remove(store_path("x.vdb"));
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(grows_by_rows_of_the_same_kind),
        test(grows_by_rows_of_one_corner),
        test(same_for_any_number_of_threads),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
