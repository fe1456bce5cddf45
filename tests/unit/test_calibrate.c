/* test_calibrate.c: the curves that rows of the part give are those that other queries see, and
 * the graph is as before.
 *
 * What queries see is measured by the test's own brute force over the vectors.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/calibrate.h"
#include "index/codes4.h"
#include "index/graph_without.h"
#include "points.h"

static const struct kernels *kernels;

static int setup(void **state)
{
    (void)state;
    return kernels_select(NULL, &kernels, NULL) != VDB_OK;
}

static uint32_t rerank(uint32_t k, uint32_t ef)
{
    return k + k / 2 + 10 + ef / 16;
}

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    const struct points *points = context;
    memcpy(x, points->x + (size_t)row * points->dim, points->dim * sizeof *x);
    return VDB_OK;
}

static struct quality_rows rows_of(struct points *points, unsigned threads)
{
    return (struct quality_rows){
        .rows = points->rows,
        .dim = points->dim,
        .metric = points->codes.metric,
        .row_fn = row_of,
        .context = points,
        .kernels = kernels,
        .threads = threads,
    };
}

static enum vdb_status calibrate_with(struct points *points, const struct codes *codes,
                                      unsigned threads, struct calibration *c)
{
    struct quality_rows rows = rows_of(points, threads);
    return calibrate_graph(&rows, &points->codes, codes, &points->graph, points->edges, 1100,
                           rerank, c, NULL);
}

static enum vdb_status calibrate(struct points *points, unsigned threads, struct calibration *c)
{
    return calibrate_with(points, &points->codes, threads, c);
}

static void clustered(struct points *points, uint32_t rows, uint32_t dim, enum vdb_metric metric)
{
    points_init(points, rows, dim);
    points_cluster(points, 40, 0.5, 6);
    points_code(points, metric, 0);
    points_build(points, &(struct graph_params){.degree = 16}, NULL);
}

/* ---- the graph without some rows ----------------------------------------------------------- */

static uint32_t length_of(const struct points *points, uint32_t row)
{
    const uint32_t *edges = points->edges + (size_t)row * points->graph.degree;
    uint32_t n = 0;
    while (n < points->graph.degree && edges[n] != GRAPH_NO_ROW) n++;
    for (uint32_t i = n; i < points->graph.degree; i++) assert_int_equal(edges[i], GRAPH_NO_ROW);
    return n;
}

static void check_without(enum vdb_metric metric)
{
    struct points points;
    clustered(&points, 2000, 24, metric);
    size_t bytes = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
    uint32_t *before = malloc(bytes);
    uint64_t gone[2000 / 64 + 1] = {0}, seed = 9;
    assert_non_null(before);
    memcpy(before, points.edges, bytes);
    for (int i = 0; i < 100; i++) {
        uint32_t row = (uint32_t)(random_next(&seed) % points.rows);
        gone[row / 64] |= (uint64_t)1 << row % 64;
    }
    struct graph_undo *undo;
    assert_int_equal(graph_without(&points.codes, kernels, &points.graph, points.edges, gone, 1100,
                                   3, &undo, NULL),
                     VDB_OK);
    assert_memory_not_equal(before, points.edges, bytes);
    for (uint32_t row = 0; row < points.rows; row++) {
        const uint32_t *edges = points.edges + (size_t)row * points.graph.degree;
        const uint32_t *old = before + (size_t)row * points.graph.degree;
        bool touched = false;
        for (uint32_t i = 0; i < points.graph.degree; i++) touched |= bit_is_set(gone, old[i]);
        if (bit_is_set(gone, row) || !touched) { /* stays */
            assert_memory_equal(edges, old, points.graph.degree * sizeof *edges);
            continue;
        }
        assert_int_equal(length_of(&points, row), points.graph.degree); /* as full as before */
        for (uint32_t i = 0; i < points.graph.degree; i++) {
            assert_in_range(edges[i], 0, points.rows - 1);
            assert_int_not_equal(edges[i], row);
            assert_false(bit_is_set(gone, edges[i]));
            for (uint32_t j = 0; j < i; j++) assert_int_not_equal(edges[i], edges[j]);
        }
    }
    graph_undo(undo, points.edges);
    assert_memory_equal(before, points.edges, bytes);
    free(before);
    points_release(&points);
}

static void rows_are_gone_from_all_lists_and_come_back(void **state)
{
    (void)state;
    check_without(VDB_METRIC_L2);
    check_without(VDB_METRIC_IP);
}

/* ---- curves -------------------------------------------------------------------------------- */

#define QUERIES 400

/* Recall@k of queries from outside at the effort, by brute force. */
static double recall_seen(struct points *points, const struct codes *codes, struct walk *walk,
                          uint32_t k, uint32_t ef)
{
    float *query = malloc(points->dim * sizeof *query);
    uint32_t *nearest = malloc(k * sizeof *nearest), hits = 0;
    assert_true(query && nearest);
    for (uint32_t i = 0; i < QUERIES; i++) {
        const struct candidate *found;
        uint32_t count, keep = rerank(k, ef) > ef ? rerank(k, ef) : ef;
        points_query(points, 40, 0.5, 6, i, query);
        points_nearest(points, query, k, nearest);
        assert_int_equal(walk_prepare(walk, codes, kernels, query, NULL), VDB_OK);
        assert_int_equal(walk_graph(walk, &points->graph, ef, keep, &found, &count, NULL), VDB_OK);
        for (uint32_t j = 0; j < count; j++)
            for (uint32_t l = 0; l < k; l++) hits += found[j].row == nearest[l];
    }
    free(query);
    free(nearest);
    return hits / (double)(QUERIES * k);
}

static void check_curves(struct points *points, const struct codes *codes)
{
    static const uint32_t ks[] = {1, 10, 100};
    struct calibration c;
    struct walk *walk = walk_create();
    assert_int_equal(calibrate_with(points, codes, 2, &c), VDB_OK);
    assert_int_equal(c.curve_count, 3);
    for (uint32_t a = 0; a < 3; a++) {
        const struct calibration_curve *curve = &c.curves[a];
        assert_int_equal(curve->k, ks[a]);
        assert_true(curve->points[0].recall < 950000); /* or there is nothing to measure */
        assert_true(curve->points[curve->point_count - 1].recall >= 995000);
        for (uint32_t i = 0; i < curve->point_count; i += 3) {
            double seen = recall_seen(points, codes, walk, ks[a], curve->points[i].effort);
            double deviation = sqrt(seen * (1 - seen) / QUERIES) + curve->points[i].error * 1e-6;
            assert_true(fabs(seen - curve->points[i].recall * 1e-6) < 0.01 + 2 * deviation);
        }
        uint32_t effort = calibration_effort(&c, ks[a], 0.95);
        double seen = recall_seen(points, codes, walk, ks[a], effort);
        assert_true(seen > 0.93 && seen < 0.99);
    }
    walk_free(walk);
}

static void curves_are_those_of_other_queries(void **state)
{
    (void)state;
    struct points points;
    clustered(&points, 8000, 32, VDB_METRIC_L2);
    check_curves(&points, &points.codes);
    points_release(&points);
}

/* Walks may use other codes than the graph was built on. */
static void curves_of_coarser_codes(void **state)
{
    (void)state;
    struct points points;
    clustered(&points, 8000, 32, VDB_METRIC_L2);
    size_t bytes = codes4_bytes(points.dim);
    uint8_t *code = calloc(points.rows, bytes);
    struct codes4_factors *factors = calloc(points.rows, sizeof *factors);
    float *center = calloc(points.dim, sizeof *center),
          *scratch = calloc(codes4_scratch(points.dim), sizeof *scratch);
    assert_true(code && factors && center && scratch);
    struct codes4 coder = {.kernels = kernels, .center = center, .dim = points.dim};
    for (uint32_t row = 0; row < points.rows; row++)
        codes4_encode(&coder, points.x + (size_t)row * points.dim, scratch, code + row * bytes,
                      &factors[row]);
    struct codes four = {
        .kind = CODES_4,
        .metric = VDB_METRIC_L2,
        .rows = points.rows,
        .dim = points.dim,
        .code = code,
        .code_stride = bytes,
        .bytes = bytes,
        .norm = (const uint8_t *)factors,
        .norm_stride = sizeof *factors,
        .center = center,
    };
    check_curves(&points, &four);
    free(code);
    free(factors);
    free(center);
    free(scratch);
    points_release(&points);
}

/* The standard errors of k = 1 are those of a share. */
static void errors_are_those_of_the_mean(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    clustered(&points, 8000, 32, VDB_METRIC_L2);
    assert_int_equal(calibrate(&points, 2, &c), VDB_OK);
    for (uint32_t i = 0; i < c.curves[0].point_count; i++) {
        double n = c.curves[0].query_count, share = c.curves[0].points[i].recall * 1e-6;
        double expected = sqrt(share * (1 - share) / (n - 1));
        if (expected < 1 / n) expected = 1 / n;
        assert_true(fabs(c.curves[0].points[i].error * 1e-6 - expected) < 3e-6);
    }
    points_release(&points);
}

static void the_same_for_any_threads_and_kernels(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_COSINE, VDB_METRIC_IP};
    const struct kernels *best = kernels;
    for (size_t m = 0; m < 3; m++) {
        struct points points;
        struct calibration first, other;
        clustered(&points, 3000, 40, metrics[m]);
        size_t bytes = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
        uint32_t *before = malloc(bytes);
        assert_non_null(before);
        memcpy(before, points.edges, bytes);
        assert_int_equal(calibrate(&points, 1, &first), VDB_OK);
        assert_int_equal(first.curve_count, 3);
        for (size_t i = 0; i < 3; i++) {
            if (kernels_select(names[i], &kernels, NULL)) continue;
            for (unsigned threads = 1; threads < 6; threads += 2) {
                assert_int_equal(calibrate(&points, threads, &other), VDB_OK);
                assert_memory_equal(&first, &other, sizeof first);
            }
        }
        assert_memory_equal(before, points.edges, bytes);
        kernels = best;
        free(before);
        points_release(&points);
    }
}

/* ---- odd parts ----------------------------------------------------------------------------- */

static void few_rows(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    clustered(&points, 511, 8, VDB_METRIC_L2);
    assert_int_equal(calibrate(&points, 1, &c), VDB_OK);
    assert_int_equal(c.curve_count, 0);
    points_release(&points);
    clustered(&points, 512, 8, VDB_METRIC_L2);
    assert_int_equal(calibrate(&points, 1, &c), VDB_OK);
    assert_int_equal(c.curve_count, 3);
    assert_int_equal(c.curves[0].query_count, 16);
    points_release(&points);
}

/* Rows as near as the k-th nearest count as it does: where all are at one distance from one
 * another, any k of them will do, and few are in the lists of nearest that a scan keeps. */
static void equal_rows_count_alike(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    points_init(&points, 1024, 1024);
    for (uint32_t row = 0; row < points.rows; row++)
        points.x[(size_t)row * points.dim + row * 7 % 1024] = 1;
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 16}, NULL);
    for (uint32_t i = 0; i < points.rows * 16; i++) /* a built graph leads to the first rows */
        points.edges[i] = (i / 16 * 37 + i % 16 * 61 + 13) % points.rows;
    assert_int_equal(calibrate(&points, 2, &c), VDB_OK);
    for (uint32_t a = 0; a < 3; a++) {
        const struct calibration_point *last = &c.curves[a].points[c.curves[a].point_count - 1];
        assert_int_equal(last->recall, 1000000);
        assert_in_range(last->effort, 2, 5); /* as soon as the walk has met 100 */
    }
    points_release(&points);
}

/* A graph that leads nowhere: the curves say so, and measuring ends. */
static void a_graph_without_edges(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    clustered(&points, 3000, 16, VDB_METRIC_L2);
    memset(points.edges, 0xff, (size_t)points.rows * points.graph.degree * sizeof(uint32_t));
    assert_int_equal(calibrate(&points, 2, &c), VDB_OK);
    for (uint32_t a = 0; a < 3; a++)
        assert_true(c.curves[a].points[c.curves[a].point_count - 1].recall < 100000);
    points_release(&points);
}

static enum vdb_status unreadable(void *context, uint32_t row, float *x)
{
    return row == 1234 ? VDB_IO : row_of(context, row, x);
}

static void a_row_that_cannot_be_read(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    clustered(&points, 2000, 4, VDB_METRIC_L2); /* dense: each row is in some window */
    size_t bytes = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
    uint32_t *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, points.edges, bytes);
    struct quality_rows rows = rows_of(&points, 2);
    rows.row_fn = unreadable;
    assert_int_equal(calibrate_graph(&rows, &points.codes, &points.codes, &points.graph,
                                     points.edges, 1100, rerank, &c, NULL),
                     VDB_IO);
    assert_int_equal(c.curve_count, 0);
    assert_memory_equal(before, points.edges, bytes);
    free(before);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_gone_from_all_lists_and_come_back),
        cmocka_unit_test(curves_are_those_of_other_queries),
        cmocka_unit_test(curves_of_coarser_codes),
        cmocka_unit_test(errors_are_those_of_the_mean),
        cmocka_unit_test(the_same_for_any_threads_and_kernels),
        cmocka_unit_test(few_rows),
        cmocka_unit_test(equal_rows_count_alike),
        cmocka_unit_test(a_graph_without_edges),
        cmocka_unit_test(a_row_that_cannot_be_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, NULL);
}
