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
#include "index/cost.h"
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
        .stride = points->dim * sizeof *points->x,
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
    struct calibrator *calibrator;
    enum vdb_status status = calibrate_open(&rows, &points->codes, &points->codes, &points->graph,
                                            points->edges, 1100, false, &calibrator, NULL);
    if (!status)
        status =
            calibrate_walks(calibrator, codes, &points->graph, rerank, CALIBRATE_FULL, c, NULL);
    calibrate_close(calibrator);
    return status;
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

struct seen {
    double mean, zero, cost;
    double sorted[QUERIES];
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Recall@k of queries from outside at the effort, by brute force. */
static struct seen look(struct points *points, const struct codes *codes, struct walk *walk,
                        uint32_t k, uint32_t ef)
{
    struct seen seen = {0, 0, 0, {0}};
    uint32_t vectors = 0;
    struct walk_work before = walk_work_done(walk);
    float *query = malloc(points->dim * sizeof *query);
    uint32_t *nearest = malloc(k * sizeof *nearest);
    assert_true(query && nearest);
    for (uint32_t i = 0; i < QUERIES; i++) {
        const struct candidate *found;
        uint32_t count, hits = 0, keep = rerank(k, ef) > ef ? rerank(k, ef) : ef;
        points_query(points, 40, 0.5, 6, i, query);
        points_nearest(points, query, k, nearest);
        assert_int_equal(walk_prepare(walk, codes, kernels, query, NULL), VDB_OK);
        assert_int_equal(
            walk_graph_for(walk, &points->graph, k, ef, keep, NULL, &found, &count, NULL), VDB_OK);
        double reach = points_distance(points, nearest[k - 1], query);
        for (uint32_t j = 0; j < count; j++)
            for (uint32_t l = 0; l < k; l++) hits += found[j].row == nearest[l];
        for (uint32_t j = 0; j < count && j < keep; j++)
            vectors += j < k || walk_estimate(walk, found[j].distance) <= reach;
        seen.sorted[i] = hits / (double)k;
        seen.mean += seen.sorted[i] / QUERIES;
        seen.zero += (hits == 0) / (double)QUERIES;
    }
    struct walk_work work = walk_work_done(walk);
    work.expanded -= before.expanded;
    work.measured -= before.measured;
    uint64_t spent = cost_walks(codes, &work) + cost_vectors(vectors, points->dim * sizeof(float));
    seen.cost = (double)spent / QUERIES + (double)cost_entry(codes, &points->graph);
    qsort(seen.sorted, QUERIES, sizeof *seen.sorted, by_value);
    free(query);
    free(nearest);
    return seen;
}

static double deviation(double share, double queries)
{
    return sqrt(share * (1 - share) / queries);
}

/* Means and shares within two standard deviations and a hundredth or two: of queries that find
 * nothing some are of clusters that were left by the way that led there. */
static void check_point(const struct seen *seen, uint32_t k, const struct calibration_point *point)
{
    double recall = point->recall * 1e-6, zero = point->zero * 1e-6;
    assert_true(fabs(seen->mean - recall) <
                0.01 + 2 * (deviation(seen->mean, QUERIES) + point->error * 1e-6));
    assert_true(fabs(seen->zero - zero) <
                0.02 + 2 * (deviation(seen->zero, QUERIES) + deviation(zero, 192)));
    assert_true(fabs(seen->cost / point->cost - 1) < 0.06);
    /* Between the 2nd percentile seen and the 9th, or a row off. */
    assert_true(point->p5 * 1e-6 > seen->sorted[QUERIES * 2 / 100] - 1.01 / k);
    assert_true(point->p5 * 1e-6 < seen->sorted[QUERIES * 9 / 100] + 1.01 / k);
}

static void check_curves(struct points *points, const struct codes *codes)
{
    static const uint32_t ks[] = {1, 10, 100};
    struct calibration c;
    struct walk *walk = walk_create();
    points->graph.walk_dimension = 8000; /* by which walks end */
    assert_int_equal(calibrate_with(points, codes, 2, &c), VDB_OK);
    assert_int_equal(c.curve_count, 3);
    for (uint32_t a = 0; a < 3; a++) {
        const struct calibration_curve *curve = &c.curves[a];
        assert_int_equal(curve->k, ks[a]);
        assert_true(curve->points[0].recall < 950000); /* or there is nothing to measure */
        assert_true(curve->points[curve->point_count - 1].recall >= 995000);
        for (uint32_t i = 0; i < curve->point_count; i += 3) {
            struct seen seen = look(points, codes, walk, ks[a], curve->points[i].effort);
            check_point(&seen, ks[a], &curve->points[i]);
        }
        struct seen seen = look(points, codes, walk, ks[a], calibration_effort(&c, ks[a], 0.95));
        assert_true(seen.mean > 0.93 && seen.mean < 0.99);
        assert_true(ks[a] == 1 || seen.sorted[QUERIES * 7 / 100] > 0.799);
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

/* Of k = 1 all follows from how many queries missed: the standard error is that of a share, the
 * 5th percentile is 0 where a twentieth of them or more did. */
static void figures_of_one_neighbour(void **state)
{
    (void)state;
    struct points points;
    struct calibration c;
    unsigned both = 0;
    clustered(&points, 8000, 32, VDB_METRIC_L2);
    assert_int_equal(calibrate(&points, 2, &c), VDB_OK);
    assert_int_equal(c.curves[0].query_count, 384);
    for (uint32_t i = 0; i < c.curves[0].point_count; i++) {
        const struct calibration_point *point = &c.curves[0].points[i];
        double n = 384, share = point->recall * 1e-6;
        double expected = sqrt(share * (1 - share) / (n - 1));
        if (expected < 1 / n) expected = 1 / n;
        assert_true(fabs(point->error * 1e-6 - expected) < 3e-6);
        assert_in_range(point->recall + point->zero, 999998, 1000000);
        uint32_t missed = (uint32_t)lround(n * (1 - share));
        uint32_t p5 = missed < 20 ? 1000000 : 0;      /* 19.2, rounded up */
        uint32_t assured = missed < 16 ? 1000000 : 0; /* 20 less sqrt(18.24), rounded up */
        assert_int_equal(point->p5, p5);
        assert_int_equal(point->p5 - point->p5_error, assured);
        both |= 1u << (missed < 20);
    }
    assert_int_equal(both, 3); /* or the curve has no such points */
    points_release(&points);
}

/* Many rows give more queries, and the largest k needs fewer of them. */
static void queries_by_rows(void **state)
{
    (void)state;
    static const uint32_t expected[][3] = {
        {3000, 187, 187}, {8000, 384, 192}, {60000, 468, 234}, {131072, 768, 192}};
    for (size_t i = 0; i < 4; i++) {
        struct points points;
        struct calibration c;
        points_init(&points, expected[i][0], 4);
        points_cluster(&points, 40, 0.5, 6);
        points_code(&points, VDB_METRIC_L2, 0);
        points_build(&points, &(struct graph_params){.degree = 4, .ef_construction = 8}, NULL);
        assert_int_equal(calibrate(&points, 2, &c), VDB_OK);
        assert_int_equal(c.curves[1].query_count, expected[i][1]);
        assert_int_equal(c.curves[2].query_count, expected[i][2]);
        points_release(&points);
    }
}

/* A rough measurement is one of a quarter of the queries, and nothing stays of it. */
static void rough_and_full(void **state)
{
    (void)state;
    struct points points;
    struct calibration rough, again, full;
    struct calibrator *calibrator;
    clustered(&points, 8000, 32, VDB_METRIC_L2);
    struct quality_rows rows = rows_of(&points, 2);
    assert_int_equal(calibrate(&points, 2, &full), VDB_OK);
    assert_int_equal(calibrate_open(&rows, &points.codes, &points.codes, &points.graph,
                                    points.edges, 1100, false, &calibrator, NULL),
                     VDB_OK);
    assert_int_equal(calibrate_walks(calibrator, &points.codes, &points.graph, rerank,
                                     CALIBRATE_ROUGH, &rough, NULL),
                     VDB_OK);
    assert_int_equal(calibrate_walks(calibrator, &points.codes, &points.graph, rerank,
                                     CALIBRATE_FULL, &again, NULL),
                     VDB_OK);
    calibrate_close(calibrator);
    assert_memory_equal(&again, &full, sizeof full);
    assert_int_equal(calibrate_open(&rows, &points.codes, &points.codes, &points.graph,
                                    points.edges, 1100, true, &calibrator, NULL),
                     VDB_OK);
    assert_int_equal(calibrate_walks(calibrator, &points.codes, &points.graph, rerank,
                                     CALIBRATE_FULL, &again, NULL),
                     VDB_OK);
    calibrate_close(calibrator);
    assert_int_equal(again.curves[0].query_count, 128); /* of 384 */
    assert_int_equal(rough.curve_count, 2);
    assert_int_equal(rough.curves[1].k, 10);
    assert_int_equal(rough.curves[1].query_count, 96);
    for (uint32_t i = 0; i < rough.curves[1].point_count && i < full.curves[1].point_count; i++) {
        const struct calibration_point *a = &rough.curves[1].points[i],
                                       *b = &full.curves[1].points[i];
        double off = ((double)a->recall - (double)b->recall) * 1e-6;
        assert_int_equal(a->effort, b->effort);
        assert_true(fabs(off) < 0.01 + 3e-6 * a->error);
    }
    points_release(&points);
}

static uint32_t nothing_to_decide(uint32_t k, uint32_t ef)
{
    (void)ef;
    return k;
}

/* What the first point of the curve for k = 10 costs, of vectors of so many bytes. */
static double first_cost(struct points *points, size_t stride, calibrate_rerank_fn keep)
{
    struct quality_rows rows = rows_of(points, 2);
    struct calibration c;
    struct calibrator *calibrator;
    rows.stride = stride;
    assert_int_equal(calibrate_open(&rows, &points->codes, &points->codes, &points->graph,
                                    points->edges, 1100, false, &calibrator, NULL),
                     VDB_OK);
    assert_int_equal(
        calibrate_walks(calibrator, &points->codes, &points->graph, keep, CALIBRATE_FULL, &c, NULL),
        VDB_OK);
    calibrate_close(calibrator);
    assert_int_equal(c.curves[1].k, 10);
    assert_int_equal(c.curves[1].points[0].effort, 2);
    return c.curves[1].points[0].cost;
}

/* How many vectors of the 25 candidates are counted, by what longer vectors add. */
static double vectors_counted(struct points *points, float error, calibrate_rerank_fn keep)
{
    points->codes.error = error;
    double more = first_cost(points, 6400, keep) - first_cost(points, 64, keep);
    return more / (double)(cost_vectors(1, 6400) - cost_vectors(1, 64));
}

/* With exact estimates k and what ties, with those that may be off by anything all; half of 1 is
 * what the metric orders by under cosine. */
static void costs_count_vectors(void **state)
{
    (void)state;
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_COSINE; metric++) {
        struct points points;
        clustered(&points, 3000, 24, (enum vdb_metric)metric);
        double exact = vectors_counted(&points, 0, rerank);
        assert_true(exact >= 9.99 && exact < 11);
        assert_true(fabs(vectors_counted(&points, 3e38f, rerank) - 25) < 0.01);
        double some = vectors_counted(&points, metric == VDB_METRIC_L2 ? 1 : 0.01f, rerank);
        assert_true(some > exact + 0.5 && some < 24);
        assert_true(vectors_counted(&points, 3e38f, nothing_to_decide) <= 0);
        points_release(&points);
    }
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
            assert_int_equal(calibrate(&points, 5 - 2 * (unsigned)i, &other), VDB_OK);
            assert_memory_equal(&first, &other, sizeof first);
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
    assert_int_equal(c.curves[0].query_count, 32);
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
    struct calibrator *calibrator;
    clustered(&points, 2000, 4, VDB_METRIC_L2); /* dense: each row is in some window */
    size_t bytes = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
    uint32_t *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, points.edges, bytes);
    struct quality_rows rows = rows_of(&points, 2);
    rows.row_fn = unreadable;
    assert_int_equal(calibrate_open(&rows, &points.codes, &points.codes, &points.graph,
                                    points.edges, 1100, false, &calibrator, NULL),
                     VDB_IO);
    assert_null(calibrator);
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
        cmocka_unit_test(figures_of_one_neighbour),
        cmocka_unit_test(queries_by_rows),
        cmocka_unit_test(rough_and_full),
        cmocka_unit_test(costs_count_vectors),
        cmocka_unit_test(the_same_for_any_threads_and_kernels),
        cmocka_unit_test(few_rows),
        cmocka_unit_test(equal_rows_count_alike),
        cmocka_unit_test(a_graph_without_edges),
        cmocka_unit_test(a_row_that_cannot_be_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, NULL);
}
