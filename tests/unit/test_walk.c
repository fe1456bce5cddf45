/* test_walk.c: a walk finds what is near, gives exact code distances in order, and survives any
 * graph.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/ending.h"
#include "index/graph.h"
#include "points.h"

static const struct kernels *kernels;

static int setup(void **state)
{
    (void)state;
    return kernels_select(NULL, &kernels, NULL) != VDB_OK;
}

static void search(struct walk *walk, const struct points *points, const float *query, uint32_t ef,
                   const struct candidate **found, uint32_t *count)
{
    assert_int_equal(walk_prepare(walk, &points->codes, kernels, query, NULL), VDB_OK);
    assert_int_equal(walk_graph(walk, &points->graph, ef, ef, found, count, NULL), VDB_OK);
}

/* Rows and queries of integers, so that codes are exact whatever the kind of number. */
static void integer_points(struct points *points, uint32_t rows, uint32_t dim, int low, int high)
{
    uint64_t seed = 5;
    points_init(points, rows, dim);
    for (size_t i = 0; i < (size_t)rows * dim; i++)
        points->x[i] = (float)(low + (int)(random_next(&seed) % (uint64_t)(high - low + 1)));
    points->x[0] = (float)low;
    points->x[1] = (float)high;
}

/* With ef as large as the graph every row comes back, in the order of exact integer distances. */
static void check_all(struct points *points, enum vdb_metric metric, size_t offset, int flip)
{
    points_code(points, metric, offset);
    assert_true(points->codes.scale == 1.0f);
    if (flip) {
        for (uint32_t row = 0; row < points->rows; row++)
            for (uint32_t i = 0; i < points->dim; i++)
                points->memory[offset + row * points->codes.code_stride + i] ^= 0x80;
        points->codes.flip = 0x80;
    }
    points_build(points, &(struct graph_params){.degree = 8}, NULL);
    struct walk *walk = walk_create();
    uint32_t *expected = malloc(points->rows * sizeof *expected);
    float *query = malloc(points->dim * sizeof *query);
    assert_true(walk && expected && query);
    uint64_t seed = 99;
    for (int trial = 0; trial < 5; trial++) {
        int low = metric == VDB_METRIC_IP ? -127 : points->codes.zero == 0 ? 0 : -128;
        for (uint32_t i = 0; i < points->dim; i++)
            query[i] = (float)(low + (int)(random_next(&seed) % (uint64_t)(127 - low + 1)));
        query[0] =
            127.0f; /* under ip the largest number becomes 127, so this one is kept as it is */
        points_nearest(points, query, points->rows, expected);
        const struct candidate *found;
        uint32_t count;
        search(walk, points, query, points->rows + 7, &found, &count);
        assert_int_equal(count, points->rows);
        for (uint32_t i = 0; i < count; i++) {
            double distance = points_distance(points, expected[i], query);
            assert_int_equal(found[i].row, expected[i]);
            if (metric == VDB_METRIC_L2) assert_true((double)found[i].distance == distance);
        }
    }
    walk_free(walk);
    free(expected);
    free(query);
    points_release(points);
}

static void every_row_in_exact_order(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 63, 64, 65, 200};
    struct points points;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        integer_points(&points, 500, dims[i], 0, 255);
        check_all(&points, VDB_METRIC_L2, 0, 0);
        integer_points(&points, 500, dims[i], -128, 127);
        check_all(&points, VDB_METRIC_L2, 0, 1);
        integer_points(&points, 500, dims[i], -128, 127);
        check_all(&points, VDB_METRIC_IP, 0, 1);
        integer_points(&points, 500, dims[i], 0, 255);
        check_all(&points, VDB_METRIC_IP, 0, 0);
    }
}

static void rows_of_any_alignment(void **state)
{
    (void)state;
    struct points points;
    integer_points(&points, 300, 100, 0, 255);
    check_all(&points, VDB_METRIC_L2, 5, 0);
    integer_points(&points, 300, 100, -128, 127);
    check_all(&points, VDB_METRIC_IP, 3, 1);
}

/* The largest distance there is: 65,535 times 255 squared, close under 2^32. */
static void widest_vectors(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 3, 65535);
    for (uint32_t i = 0; i < 65535; i++) points.x[2 * 65535 + i] = 255.0f;
    points.x[65535] = 1.0f;
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){0}, NULL);
    struct walk *walk = walk_create();
    const struct candidate *found;
    uint32_t count;
    search(walk, &points, points.x, 3, &found, &count);
    assert_int_equal(count, 3);
    assert_int_equal(found[0].row, 0);
    assert_int_equal(found[0].distance, 0);
    assert_int_equal(found[1].row, 1);
    assert_int_equal(found[1].distance, 1);
    assert_int_equal(found[2].distance, 4261413375u);
    walk_free(walk);
    points_release(&points);
}

/* ---- recall -------------------------------------------------------------------------------- */

#define QUERIES 100
#define K       10

/* The share of the exact nearest K, by the float vectors, among the candidates of a walk. */
static double recall(struct points *points, uint32_t ef, uint32_t clusters, double spread,
                     uint64_t seed)
{
    struct walk *walk = walk_create();
    float *query = malloc(points->dim * sizeof *query);
    assert_true(walk && query);
    uint32_t hits = 0;
    for (uint64_t i = 0; i < QUERIES; i++) {
        uint32_t nearest[K], count;
        const struct candidate *found;
        points_query(points, clusters, spread, seed, i, query);
        if (points->codes.metric == VDB_METRIC_COSINE) {
            double sum = 0.0;
            for (uint32_t j = 0; j < points->dim; j++) sum += (double)query[j] * (double)query[j];
            for (uint32_t j = 0; j < points->dim; j++)
                query[j] = (float)((double)query[j] / sqrt(sum));
        }
        points_nearest(points, query, K, nearest);
        search(walk, points, query, ef, &found, &count);
        assert_in_range(count, K, ef);
        for (uint32_t j = 0; j < count; j++) {
            if (j > 0) assert_true(found[j - 1].distance <= found[j].distance);
            for (uint32_t l = 0; l < K; l++) hits += found[j].row == nearest[l];
        }
    }
    walk_free(walk);
    free(query);
    return hits / (double)(QUERIES * K);
}

static void finds_neighbours_l2(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 8000, 32);
    points_cluster(&points, 100, 0.3, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){0}, NULL);
    assert_true(recall(&points, 20, 100, 0.3, 1) > 0.90);
    assert_true(recall(&points, 100, 100, 0.3, 1) > 0.99);
    points_release(&points);
}

static void finds_neighbours_cosine(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 8000, 48);
    points_cluster(&points, 40, 0.8, 2);
    points_code(&points, VDB_METRIC_COSINE, 0);
    points_build(&points, &(struct graph_params){0}, NULL);
    assert_true(recall(&points, 100, 40, 0.8, 2) > 0.97);
    points_release(&points);
}

/* Under ip, with lengths that vary by orders of magnitude: few rows answer most queries. */
static void finds_neighbours_ip(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 8000, 32);
    points_cluster(&points, 100, 0.5, 3);
    uint64_t seed = 31;
    for (uint32_t row = 0; row < points.rows; row++) {
        double length = exp(random_normal(&seed));
        for (uint32_t i = 0; i < points.dim; i++)
            points.x[row * points.dim + i] =
                (float)(length * (double)points.x[row * points.dim + i]);
    }
    points_code(&points, VDB_METRIC_IP, 0);
    points_build(&points, &(struct graph_params){0}, NULL);
    assert_true(recall(&points, 100, 100, 0.5, 3) > 0.95);
    points_release(&points);
}

/* ---- hostile graphs ------------------------------------------------------------------------ */

static void check_hostile(struct walk *walk, struct points *points, uint32_t ef)
{
    const struct candidate *found;
    uint32_t count;
    search(walk, points, points->x + 7 * points->dim, ef, &found, &count);
    assert_in_range(count, 0, ef);
    for (uint32_t i = 0; i < count; i++) {
        assert_in_range(found[i].row, 0, points->rows - 1);
        for (uint32_t j = 0; j < i; j++) assert_int_not_equal(found[i].row, found[j].row);
    }
}

static void survives_hostile_graphs(void **state)
{
    (void)state;
    struct points points;
    integer_points(&points, 300, 20, 0, 255);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 8}, NULL);
    struct walk *walk = walk_create();
    uint64_t seed = 3;
    size_t edges = (size_t)points.rows * points.graph.degree;
    for (int kind = 0; kind < 6; kind++) {
        for (size_t i = 0; i < edges; i++) {
            uint32_t random = (uint32_t)random_next(&seed), row = (uint32_t)(i / 8);
            uint32_t hostile[] = {random,      GRAPH_NO_ROW,      row,
                                  points.rows, 0x80000000u | row, random & 0xfff};
            points.edges[i] = hostile[kind];
        }
        check_hostile(walk, &points, 50);
        check_hostile(walk, &points, 1000);
    }
    for (uint32_t i = 0; i < points.graph.pivot_count; i++) points.pivots[i] = points.rows + i;
    check_hostile(walk, &points, 50);
    for (uint32_t i = 0; i < points.graph.pivot_count; i++) points.pivots[i] = 4;
    check_hostile(walk, &points, 50);
    points.graph.pivot_count = 0;
    check_hostile(walk, &points, 50);
    points.graph.rows = 0x7fffffffu; /* more than there are codes */
    points.graph.pivot_count = 1;
    points.pivots[0] = 299;
    points.edges[299 * 8] = 300;
    check_hostile(walk, &points, 50);
    walk_free(walk);
    points_release(&points);
}

/* Less effort than candidates: the walk ends sooner, and what it kept is as many, in order. */
static void effort_below_keep(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 3000, 32);
    points_cluster(&points, 40, 0.3, 5);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 16}, NULL);
    struct walk *walk = walk_create();
    uint32_t hits[2] = {0, 0};
    for (uint32_t q = 0; q < 50; q++) {
        const float *query = points.x + (size_t)q * 60 * points.dim;
        const struct candidate *found;
        uint32_t count, whole[50];
        assert_int_equal(walk_prepare(walk, &points.codes, kernels, query, NULL), VDB_OK);
        assert_int_equal(walk_graph(walk, &points.graph, 3000, 50, &found, &count, NULL), VDB_OK);
        assert_int_equal(count, 50);
        for (uint32_t i = 0; i < 50; i++) whole[i] = found[i].row;
        for (int less = 0; less < 2; less++) {
            assert_int_equal(
                walk_graph(walk, &points.graph, less ? 2 : 50, 50, &found, &count, NULL), VDB_OK);
            assert_in_range(count, less ? 10 : 50, 50);
            for (uint32_t i = 0; i < count; i++) {
                if (i) assert_true(found[i - 1].distance <= found[i].distance);
                for (uint32_t j = 0; j < 50; j++) hits[less] += found[i].row == whole[j];
            }
        }
    }
    assert_true(hits[0] > 50 * 50 * 95 / 100);
    assert_true(hits[1] < hits[0]);
    walk_free(walk);
    points_release(&points);
}

/* ---- where a walk for the k nearest ends ---------------------------------------------------- */

#define LINE   100
#define DEGREE 8

/* Rows on a line, nearest to the query at 0 first, each with edges to the next ones: a walk expands
 * them in order. */
struct line {
    struct points points;
    uint32_t edges[LINE * DEGREE], pivot;
    struct graph graph;
};

static void line_init(struct line *line, const int *places, enum vdb_metric metric)
{
    points_init(&line->points, LINE, 1);
    for (uint32_t i = 0; i < LINE; i++) {
        line->points.x[i] = (float)places[i];
        for (uint32_t j = 0; j < DEGREE; j++)
            line->edges[i * DEGREE + j] = i + 1 + j < LINE ? i + 1 + j : GRAPH_NO_ROW;
    }
    line->pivot = 0;
    line->graph = (struct graph){.rows = LINE,
                                 .degree = DEGREE,
                                 .edges = line->edges,
                                 .pivots = &line->pivot,
                                 .pivot_count = 1,
                                 .walk_dimension = 1000};
    points_code(&line->points, metric, 0);
    assert_true(line->points.codes.scale == 1.0f);
}

/* How many rows a walk expands. */
static uint32_t expanded(struct line *line, uint32_t k, uint32_t ef,
                         const struct walk_filter *filter)
{
    struct walk *walk = walk_create();
    const struct candidate *found;
    uint32_t count;
    float query = 0;
    assert_int_equal(walk_prepare(walk, &line->points.codes, kernels, &query, NULL), VDB_OK);
    assert_int_equal(walk_graph_for(walk, &line->graph, k, ef, 60, filter, &found, &count, NULL),
                     VDB_OK);
    assert_true(filter || count <= 60);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(found[i].row, i);
    uint32_t n = (uint32_t)walk_work_done(walk).expanded;
    walk_free(walk);
    return n;
}

/* Of evenly spread rows as many are expanded as ef says, or as many as are as near as the ef-th
 * would be in the dimension that the graph has. */
static void ends_where_the_next_row_is_far(void **state)
{
    (void)state;
    struct line line;
    int even[LINE], thin[LINE], dense[LINE];
    for (int i = 0; i < LINE; i++) {
        even[i] = i + 1;
        thin[i] = i < 10 ? i + 1 : i + 80;
        dense[i] = i < 10 ? 10 * i + 10 : i + 91;
    }
    line_init(&line, even, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 10, 40, NULL), 40);
    assert_int_equal(expanded(&line, 5, 40, NULL), 40);
    line.graph.walk_dimension = 1250;
    assert_int_equal(expanded(&line, 5, 40, NULL), 26); /* 5 * 8^(1/1.25) = 26.4 */
    line.graph.walk_dimension = 2000;
    assert_int_equal(expanded(&line, 5, 40, NULL), 20);  /* half of ef, though 5 * 8^(1/2) = 14.1 */
    assert_int_equal(expanded(&line, 36, 40, NULL), 37); /* 36 * (40/36)^(1/2) = 37.9 */
    points_release(&line.points);
    line_init(&line, thin, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 10, 40, NULL), 20);
    assert_int_equal(expanded(&line, 10, 16, NULL), 10);
    points_release(&line.points);
    line_init(&line, dense, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 10, 40, NULL), 70); /* twice ef less k */
    points_release(&line.points);
}

/* No more than k to go on from, an unknown dimension, and products tell nothing of it. */
static void ends_by_effort_alone(void **state)
{
    (void)state;
    struct line line;
    int dense[LINE], products[LINE];
    for (int i = 0; i < LINE; i++) {
        dense[i] = i < 10 ? 10 * i + 10 : i + 91;
        products[i] = 200 - i;
    }
    line_init(&line, dense, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 40, 40, NULL), 40);
    assert_int_equal(expanded(&line, 0, 40, NULL), 40);
    line.graph.walk_dimension = 0;
    assert_int_equal(expanded(&line, 10, 40, NULL), 40);
    points_release(&line.points);
    line_init(&line, products, VDB_METRIC_IP);
    assert_int_equal(expanded(&line, 10, 40, NULL), 40);
    points_release(&line.points);
}

static bool is_even(void *context, uint32_t row)
{
    (void)context;
    return row % 2 == 0;
}

/* With less effort than k they go on until k rows have been met, one list further than it takes, so
 * that the least effort finds no more than a greater one. Of row i the list has those up to i +
 * DEGREE. */
static void goes_on_until_k_are_met(void **state)
{
    (void)state;
    struct line line;
    struct walk_filter filter = {is_even, NULL, 60, UINT64_MAX / 2};
    int even[LINE];
    for (int i = 0; i < LINE; i++) even[i] = i + 1;
    line_init(&line, even, VDB_METRIC_L2);
    for (uint32_t ef = 1; ef < 50 - DEGREE; ef++)
        assert_int_equal(expanded(&line, 50, ef, NULL), 50 - DEGREE + 1);
    assert_int_equal(expanded(&line, 50, 48, NULL), 48);
    for (uint32_t ef = 1; ef < 10; ef++)
        assert_int_equal(expanded(&line, 20, ef, &filter), 39 - DEGREE + 1); /* the 20th is at 38 */
    points_release(&line.points);
}

/* The k-th nearest is that of the rows that count, and so many of these are to be expanded. */
static void ends_by_rows_that_count(void **state)
{
    (void)state;
    struct line line;
    struct walk_filter filter = {is_even, NULL, 60, UINT64_MAX / 2};
    int even[LINE], thin[LINE];
    for (int i = 0; i < LINE; i++) {
        even[i] = i + 1;
        thin[i] = i < 20 ? i + 1 : i + 80;
    }
    line_init(&line, even, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 5, 20, &filter), 36); /* the fifth is at 9 */
    line.graph.walk_dimension = 0;
    assert_int_equal(expanded(&line, 5, 20, &filter), 39);
    points_release(&line.points);
    line_init(&line, thin, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 10, 24, &filter), 23); /* half of ef that count */
    points_release(&line.points);
}

static bool is_last(void *context, uint32_t row)
{
    (void)context;
    return row == LINE - 1;
}

/* Where what counts lies beyond much that does not, it ends by what it may measure. */
static void gives_up(void **state)
{
    (void)state;
    struct line line;
    struct walk_filter filter = {is_last, NULL, LINE, UINT64_MAX / 2};
    int even[LINE];
    for (int i = 0; i < LINE; i++) even[i] = i + 1;
    line_init(&line, even, VDB_METRIC_L2);
    assert_int_equal(expanded(&line, 1, 20, &filter), LINE);
    filter.budget = 30;
    assert_in_range(expanded(&line, 1, 20, &filter), 30 / DEGREE, 30);
    points_release(&line.points);
}

static bool is_most(void *context, uint32_t row)
{
    (void)context;
    return row % 8 != 0;
}

/* Rows that are far are not kept, and nothing else changes by it. */
static void check_kept(struct points *points, const struct walk_filter *filter)
{
    struct walk *walk = walk_create();
    uint32_t *whole = malloc(points->rows * sizeof *whole), returned = 0;
    assert_non_null(whole);
    for (uint32_t q = 0; q < 50; q++) {
        const struct candidate *found;
        const float *query = points->x + (size_t)q * 70 * points->dim;
        uint32_t count, all, ef = q % 2 ? 24 : 120;
        assert_int_equal(walk_prepare(walk, &points->codes, kernels, query, NULL), VDB_OK);
        struct walk_work before = walk_work_done(walk);
        assert_int_equal(
            walk_graph_for(walk, &points->graph, 10, ef, points->rows, filter, &found, &all, NULL),
            VDB_OK);
        for (uint32_t i = 0; i < all; i++) whole[i] = found[i].row;
        struct walk_work middle = walk_work_done(walk);
        assert_int_equal(
            walk_graph_for(walk, &points->graph, 10, ef, 75, filter, &found, &count, NULL), VDB_OK);
        struct walk_work after = walk_work_done(walk);
        assert_int_equal(after.expanded - middle.expanded, middle.expanded - before.expanded);
        assert_int_equal(after.measured - middle.measured, middle.measured - before.measured);
        assert_true(count >= 75);
        for (uint32_t i = 0; i < count; i++) assert_int_equal(found[i].row, whole[i]);
        returned += ef == 120 ? count : 0;
    }
    assert_true(returned < 25 * 120 * 9 / 10);
    free(whole);
    walk_free(walk);
}

static void far_rows_are_not_kept(void **state)
{
    (void)state;
    struct points points;
    struct walk_filter filter = {is_most, NULL, 160, UINT64_MAX / 2};
    points_init(&points, 4000, 24);
    points_cluster(&points, 20, 0.5, 5);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 16}, NULL);
    points.graph.walk_dimension = 12000;
    check_kept(&points, NULL);
    check_kept(&points, &filter);
    points_release(&points);
}

/* A walk that no longer has what it last knew it to have, enough rows that count among the nearest,
 * ends where its next row is dropped for being far: there is none to go on from. */
static void ends_where_the_next_row_is_dropped(void **state)
{
    (void)state;
    struct line line;
    struct space space;
    struct walk_filter filter = {is_even, NULL, LINE, UINT64_MAX / 2};
    int even[LINE];
    for (int i = 0; i < LINE; i++) even[i] = i + 1;
    line_init(&line, even, VDB_METRIC_L2);
    space_init(&space, &line.points.codes, kernels, SPACE_L2);
    uint64_t nearest[2], keys[8] = {pool_key(1, 0) | 1, pool_key(4, 1) | 1, pool_key(100, 9)};
    struct pool pool = {
        .keys = keys, .count = 3, .capacity = 7, .effort = 7, .next = 2, .limit = UINT64_MAX};
    struct ending ending;
    ending_init(&ending, &space, &line.graph, 1, 4, 2, &filter, nearest);
    ending_begin(&ending);
    ending_met(&ending, keys[0]);
    ending.turns = 3;
    ending.ample = true;
    assert_true(ending_reached(&ending, &space, &pool));
    assert_int_equal(pool.count, 2);
    points_release(&line.points);
}

/* ---- walks that went astray ----------------------------------------------------------------- */

#define TRAP 40 /* rows, from the first on, where the nearest pivots lead to */

static const uint32_t trap_pivots[] = {0, 1, TRAP};

/* A trap of rows near to each other, and a chain from far behind it to rows near the query at 0,
 * with no edge from the one to the other. `together`: rows of the trap are all in one place. */
static void trap_init(struct line *line, bool together)
{
    points_init(&line->points, LINE, 1);
    for (uint32_t i = 0; i < LINE; i++) {
        uint32_t end = i < TRAP ? TRAP : LINE, n = 0;
        line->points.x[i] = i < TRAP ? together ? 60.0f : (float)(60 + i) : (float)(4 * (LINE - i));
        for (uint32_t j = i + 1; j < end && n < DEGREE; j++) line->edges[i * DEGREE + n++] = j;
        for (uint32_t j = i; j > (i < TRAP ? 0 : TRAP) && n < DEGREE;)
            line->edges[i * DEGREE + n++] = --j;
    }
    line->points.x[TRAP] = 255;
    line->graph = (struct graph){.rows = LINE,
                                 .degree = DEGREE,
                                 .edges = line->edges,
                                 .pivots = trap_pivots,
                                 .pivot_count = 3};
}

static uint32_t nearest_in_trap(struct line *line, float place, uint32_t k,
                                const struct walk_filter *filter, uint32_t *walked)
{
    struct walk *walk = walk_create();
    const struct candidate *found;
    uint32_t count, row;
    points_code(&line->points, VDB_METRIC_L2, 0);
    assert_int_equal(walk_prepare(walk, &line->points.codes, kernels, &place, NULL), VDB_OK);
    assert_int_equal(walk_graph_for(walk, &line->graph, k, 12, 12, filter, &found, &count, NULL),
                     VDB_OK);
    assert_true(filter || count == 12);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(found[i - 1].distance <= found[i].distance);
        assert_int_not_equal(found[i - 1].row, found[i].row);
    }
    row = found[0].row;
    *walked = (uint32_t)walk_work_done(walk).expanded;
    walk_free(walk);
    points_release(&line->points);
    return row;
}

/* From the first pivot of all, in the trap, and the two nearest a walk ends in the trap; the third
 * pivot leads out. */
static void enters_anew_where_it_went_astray(void **state)
{
    (void)state;
    struct line line;
    uint32_t walked, plain;
    trap_init(&line, false);
    assert_int_equal(nearest_in_trap(&line, 0, 0, NULL, &plain), 0);
    trap_init(&line, false);
    assert_int_equal(nearest_in_trap(&line, 0, 5, NULL, &walked), LINE - 1);
    assert_in_range(walked, plain + 12, plain + LINE);
    trap_init(&line, false); /* a query that is like the rows there */
    assert_in_range(nearest_in_trap(&line, 75, 0, NULL, &plain), 15, 15);
    trap_init(&line, false);
    assert_in_range(nearest_in_trap(&line, 75, 5, NULL, &walked), 15, 15);
    assert_int_equal(walked, plain);
    trap_init(&line, true); /* of equal rows nothing can be told */
    assert_int_equal(nearest_in_trap(&line, 0, 5, NULL, &walked), 0);
}

static bool is_any(void *context, uint32_t row)
{
    (void)context;
    return row < LINE;
}

/* What it may measure is for all its walks together, and the one that gave up is the last. */
static void gives_up_instead_of_entering_anew(void **state)
{
    (void)state;
    struct line line;
    struct walk_filter filter = {is_any, NULL, 24, UINT64_MAX / 2};
    uint32_t walked, plain;
    trap_init(&line, false);
    assert_int_equal(nearest_in_trap(&line, 0, 5, &filter, &walked), LINE - 1);
    for (filter.budget = 10; filter.budget <= 18; filter.budget++) {
        trap_init(&line, false);
        assert_int_equal(nearest_in_trap(&line, 0, 5, &filter, &walked), 0);
        trap_init(&line, false);
        line.graph.pivot_count = 2; /* there is nothing to enter anew by */
        assert_int_equal(nearest_in_trap(&line, 0, 5, &filter, &plain), 0);
        assert_int_equal(walked, plain);
    }
}

/* A tree, each row of which leads to `degree` more, far from the query at 0 and all but the first
 * in one place; behind it rows without edges, where all pivots but the first are. */
static void check_after(uint32_t degree)
{
    enum { ROWS = 6000, PIVOTS = 12 };
    struct points points;
    uint32_t *edges = malloc((size_t)ROWS * degree * sizeof *edges), pivots[PIVOTS] = {0};
    float query = 0;
    struct walk *walk = walk_create();
    assert_non_null(edges);
    points_init(&points, ROWS, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        points.x[i] = i == 0 ? 200.0f : i < ROWS - PIVOTS ? 201.0f : 255.0f;
        for (uint32_t j = 0; j < degree; j++) {
            uint32_t to = i * degree + 1 + j;
            edges[(size_t)i * degree + j] = to < ROWS - PIVOTS ? to : GRAPH_NO_ROW;
        }
    }
    for (uint32_t i = 1; i < PIVOTS; i++) pivots[i] = ROWS - i;
    points_code(&points, VDB_METRIC_L2, 0);
    assert_int_equal(walk_prepare(walk, &points.codes, kernels, &query, NULL), VDB_OK);
    struct graph graph = {
        .rows = ROWS, .degree = degree, .edges = edges, .pivots = pivots, .pivot_count = PIVOTS};
    for (uint32_t ef = 3900 / degree; ef < 4700 / degree; ef++) {
        const struct candidate *found;
        uint32_t count;
        struct walk_work before = walk_work_done(walk);
        assert_int_equal(walk_graph_for(walk, &graph, 1, ef, ef, NULL, &found, &count, NULL),
                         VDB_OK);
        assert_int_equal(found[0].row, 0);
        /* As many of the tree, and the rows of another walk, or of two. */
        assert_in_range(walk_work_done(walk).expanded - before.expanded, ef + 4, ef + PIVOTS);
    }
    walk_free(walk);
    free(edges);
    points_release(&points);
}

/* However many rows the walk before met, as here with some of these efforts as many as there is
 * room for: there is room for those that it enters by. */
static void enters_anew_after_long_walks(void **state)
{
    (void)state;
    check_after(13);
    check_after(15);
}

/* ---- scratch space ------------------------------------------------------------------------- */

static uint64_t digest(struct walk *walk, const struct points *points, uint32_t ef)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < 20; i++) {
        const struct candidate *found;
        uint32_t count;
        search(walk, points, points->x + (size_t)i * points->dim, ef, &found, &count);
        for (uint32_t j = 0; j < count; j++)
            hash = (hash ^ found[j].row ^ (uint64_t)found[j].distance << 32) * 0x9fb21c651e98df25u;
    }
    return hash;
}

/* What a walk finds does not depend on what it was used for before, long walks that overrun the
 * list of visited rows included. */
static void walks_leave_no_trace(void **state)
{
    (void)state;
    struct points large, small;
    points_init(&large, 9000, 16);
    points_cluster(&large, 50, 0.5, 8);
    points_code(&large, VDB_METRIC_L2, 0);
    points_build(&large, &(struct graph_params){.degree = 16}, NULL);
    points_init(&small, 400, 70);
    points_cluster(&small, 50, 0.5, 9);
    points_code(&small, VDB_METRIC_IP, 0);
    points_build(&small, &(struct graph_params){.degree = 8}, NULL);

    struct walk *fresh = walk_create(), *used = walk_create();
    uint64_t small_digest = digest(fresh, &small, 30);
    walk_free(fresh);
    fresh = walk_create();
    uint64_t large_digest = digest(fresh, &large, 30);
    walk_free(fresh);
    for (int i = 0; i < 2; i++) {
        assert_true(digest(used, &small, 30) == small_digest);
        digest(used, &large, 9000);
        assert_true(digest(used, &large, 30) == large_digest);
        assert_true(digest(used, &small, 30) == small_digest);
        digest(used, &small, 400);
    }
    walk_free(used);
    walk_free(NULL);
    points_release(&large);
    points_release(&small);
}

/* Rows and distances are the same for every kernel set that this CPU has. */
static void same_for_every_kernel_set(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    struct points points;
    points_init(&points, 2000, 77);
    points_cluster(&points, 20, 0.5, 4);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){0}, "portable");
    const struct kernels *best = kernels;
    uint64_t first = 0;
    for (size_t i = 0; i < 3; i++) {
        if (kernels_select(names[i], &kernels, NULL) != VDB_OK) continue;
        struct walk *walk = walk_create();
        uint64_t hash = digest(walk, &points, 50);
        if (i == 0) first = hash;
        assert_true(hash == first);
        walk_free(walk);
    }
    kernels = best;
    points_release(&points);
}

static void odd_queries(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 200, 10);
    points_cluster(&points, 5, 0.5, 6);
    static const float values[] = {0.0f, 3e38f, -3e38f, 1e-45f};
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric += 2) {
        points_code(&points, (enum vdb_metric)metric, 0);
        points_build(&points, &(struct graph_params){.degree = 8}, NULL);
        struct walk *walk = walk_create();
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            float query[10];
            const struct candidate *found;
            uint32_t count;
            for (int j = 0; j < 10; j++) query[j] = j % 3 ? values[i] : 0.0f;
            search(walk, &points, query, 0, &found, &count);
            assert_int_equal(count, 1);
            search(walk, &points, query, 200, &found, &count);
            assert_int_equal(count, 200);
        }
        walk_free(walk);
        free(points.memory);
    }
    points.memory = NULL;
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_in_exact_order),
        cmocka_unit_test(rows_of_any_alignment),
        cmocka_unit_test(widest_vectors),
        cmocka_unit_test(finds_neighbours_l2),
        cmocka_unit_test(finds_neighbours_cosine),
        cmocka_unit_test(finds_neighbours_ip),
        cmocka_unit_test(survives_hostile_graphs),
        cmocka_unit_test(walks_leave_no_trace),
        cmocka_unit_test(same_for_every_kernel_set),
        cmocka_unit_test(effort_below_keep),
        cmocka_unit_test(ends_where_the_next_row_is_far),
        cmocka_unit_test(ends_by_effort_alone),
        cmocka_unit_test(goes_on_until_k_are_met),
        cmocka_unit_test(ends_by_rows_that_count),
        cmocka_unit_test(gives_up),
        cmocka_unit_test(ends_where_the_next_row_is_dropped),
        cmocka_unit_test(far_rows_are_not_kept),
        cmocka_unit_test(enters_anew_where_it_went_astray),
        cmocka_unit_test(enters_anew_after_long_walks),
        cmocka_unit_test(gives_up_instead_of_entering_anew),
        cmocka_unit_test(odd_queries),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, NULL);
}
