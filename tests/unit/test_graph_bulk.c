/* test_graph_bulk.c: graphs built from partitions: what lists hold, and data that partitions badly.
 *
 * Expected neighbours: by brute force over the codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/graph_bulk.h"
#include "points.h"

enum { BULK = 2000 }; /* rows that are enough here */

static const uint8_t *code_of(const struct points *points, uint32_t row)
{
    return points->codes.code + (size_t)row * points->codes.code_stride;
}

static uint32_t code_distance(const struct points *points, uint32_t a, uint32_t b)
{
    const uint8_t *x = code_of(points, a), *y = code_of(points, b);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < points->dim; i++) sum += (uint32_t)((x[i] - y[i]) * (x[i] - y[i]));
    return sum;
}

static uint32_t nearest_row(const struct points *points, uint32_t row)
{
    uint32_t best = UINT32_MAX, nearest = row;
    for (uint32_t other = 0; other < points->rows; other++) {
        if (other == row) continue;
        uint32_t distance = code_distance(points, row, other);
        if (distance >= best) continue;
        best = distance;
        nearest = other;
    }
    return nearest;
}

static bool list_has(const struct points *points, uint32_t row, uint32_t other)
{
    const uint32_t *list = points->edges + (size_t)row * points->graph.degree;
    for (uint32_t i = 0; i < points->graph.degree; i++)
        if (list[i] == other) return true;
    return false;
}

/* Builds in bulk: there are rows enough, no two of them equal. */
static void build(struct points *points, const struct graph_params *params, const char *kernels)
{
    uint32_t *representative = malloc(points->rows * sizeof *representative);
    struct builder builder = {.space = {.kind = SPACE_L2}, .params = *params};
    assert_non_null(representative);
    graph_params_default(&builder.params, 0);
    assert_int_equal(duplicates_find(&points->codes, representative, NULL), VDB_OK);
    for (uint32_t i = 0; i < points->rows; i++) builder.distinct += representative[i] == i;
    assert_true(graph_bulk_serves(&builder));
    free(representative);
    points_build(points, params, kernels);
}

/* Full lists of different rows, and all of them reached from the first pivot. */
static void check_graph(const struct points *points)
{
    uint32_t rows = points->rows, degree = points->graph.degree, reached = 0, n = 0;
    uint32_t *seen = calloc(rows, sizeof *seen), *queue = malloc(rows * sizeof *queue);
    assert_true(seen && queue);
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < degree; i++) {
            uint32_t other = points->edges[(size_t)row * degree + i];
            assert_in_range(other, 0, rows - 1);
            assert_int_not_equal(other, row);
            assert_int_not_equal(seen[other], row + 1);
            seen[other] = row + 1;
        }
    memset(seen, 0, rows * sizeof *seen);
    queue[n++] = points->pivots[0];
    seen[points->pivots[0]] = 1;
    while (reached < n) {
        const uint32_t *list = points->edges + (size_t)queue[reached++] * degree;
        for (uint32_t i = 0; i < degree; i++)
            if (!seen[list[i]]++) queue[n++] = list[i];
    }
    assert_int_equal(n, rows);
    free(seen);
    free(queue);
}

/* The nearest row of all is never pruned from a list that has met it, so lists without are those of
 * rows that met their nearest in no leaf. */
static void nearest_rows_are_met(void **state)
{
    (void)state;
    static const uint32_t dims[] = {8, 16, 40, 130};
    uint32_t back = 0, asked_back = 0;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        struct points points;
        uint32_t met = 0, asked = 0;
        points_init(&points, 21000, dims[i]);
        points_cluster(&points, 7, 2, i);
        points_code(&points, VDB_METRIC_L2, i % 2 ? 3 : 0);
        build(&points, &(struct graph_params){.threads = 2}, NULL);
        check_graph(&points);
        for (uint32_t row = 0; row < points.rows; row += 101, asked++) {
            uint32_t nearest = nearest_row(&points, row);
            met += list_has(&points, row, nearest);
            back += list_has(&points, nearest, row);
        }
        assert_true(met * 100 >= asked * 95);
        asked_back += asked;
        points_release(&points);
    }
    assert_true(back * 100 >= asked_back * 90); /* and have edges back, which may be pruned */
}

/* One ball has nearly all rows: it is cut more than once. */
static void crowded_ball(void **state)
{
    (void)state;
    enum { ROWS = 6000, DIM = 24 };
    struct points points;
    uint32_t met = 0, asked = 0;
    points_init(&points, ROWS, DIM);
    points_cluster(&points, 1, 0.05, 3);
    for (uint32_t row = 0; row < ROWS; row += 50)
        for (uint32_t i = 0; i < DIM; i++) points.x[(size_t)row * DIM + i] += (float)(row % 7 * 2);
    points_code(&points, VDB_METRIC_L2, 0);
    build(&points, &(struct graph_params){.degree = 16, .threads = 2, .bulk_rows = BULK}, NULL);
    check_graph(&points);
    for (uint32_t row = 0; row < ROWS; row += 29, asked++) {
        uint32_t nearest = nearest_row(&points, row);
        uint32_t distance = code_distance(&points, row, nearest);
        const uint32_t *list = points.edges + (size_t)row * points.graph.degree;
        uint32_t least = UINT32_MAX;
        for (uint32_t i = 0; i < points.graph.degree; i++) {
            uint32_t its = code_distance(&points, row, list[i]);
            least = its < least ? its : least;
        }
        met += least == distance;
    }
    assert_true(met * 100 >= asked * 90);
    points_release(&points);
}

/* Tight clusters far from each other: walks come into each of them. */
static void every_cluster_is_entered(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 25600, 32);
    points_cluster(&points, 256, 0.05, 11);
    points_code(&points, VDB_METRIC_L2, 0);
    build(&points, &(struct graph_params){.degree = 16, .threads = 2}, NULL);
    struct walk *walk = walk_create();
    assert_non_null(walk);
    uint32_t found = 0, asked = 0;
    for (uint32_t row = 0; row < points.rows; row += 10, asked++) {
        const struct candidate *near;
        uint32_t n;
        const float *query = points.x + (size_t)row * points.dim;
        assert_int_equal(walk_prepare(walk, &points.codes, kernels_best(), query, NULL), VDB_OK);
        assert_int_equal(walk_graph(walk, &points.graph, 20, 20, &near, &n, NULL), VDB_OK);
        found += n > 0 && near[0].row == row;
    }
    assert_true(found * 100 >= asked * 97);
    walk_free(walk);
    points_release(&points);
}

static void same_edges_however_built(void **state)
{
    (void)state;
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    static const unsigned threads[] = {3, 1, 3};
    static const uint32_t degrees[] = {16, 64};
    for (size_t d = 0; d < 2; d++) {
        struct points points;
        points_init(&points, 4000, 21);
        points_cluster(&points, 40, 0.5, 17);
        points_code(&points, VDB_METRIC_COSINE, 0);
        struct graph_params params = {
            .degree = degrees[d], .ef_construction = 40, .threads = 1, .bulk_rows = BULK};
        build(&points, &params, NULL);
        size_t bytes = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
        uint32_t *first = malloc(bytes);
        assert_non_null(first);
        memcpy(first, points.edges, bytes);
        for (size_t i = 0; i < 3; i++) {
            const struct kernels *kernels;
            if (kernels_select(sets[i], &kernels, NULL) != VDB_OK) continue;
            params.threads = threads[i];
            build(&points, &params, sets[i]);
            assert_memory_equal(points.edges, first, bytes);
        }
        free(first);
        points_release(&points);
    }
}

/* Whatever was asked for: lists longer than reservoirs, walks shorter than lists. */
static void any_parameters(void **state)
{
    (void)state;
    static const struct graph_params params[] = {
        {.degree = 4, .ef_construction = 8, .bulk_rows = BULK},
        {.degree = 4, .ef_construction = 4096, .bulk_rows = BULK},
        {.degree = 256, .ef_construction = 8, .bulk_rows = BULK},
        {.degree = 33, .alpha_milli = 65535, .bulk_rows = BULK},
        {.degree = 5, .alpha_milli = 1000, .bulk_rows = BULK},
    };
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        struct points points;
        points_init(&points, 3000, 10);
        points_cluster(&points, 20, 0.5, i);
        points_code(&points, VDB_METRIC_L2, 0);
        build(&points, &params[i], NULL);
        check_graph(&points);
        points_release(&points);
    }
}

struct stop {
    unsigned calls, at;
    uint64_t last;
};

static int on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct stop *stop = context;
    (void)phase;
    assert_true(done > stop->last && done <= total);
    stop->last = done;
    return ++stop->calls == stop->at;
}

static void stops_at_every_step(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 3000, 10);
    points_cluster(&points, 20, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    struct stop stop = {0};
    struct graph_params params = {.degree = 8,
                                  .ef_construction = 8,
                                  .progress = on_progress,
                                  .context = &stop,
                                  .threads = 2,
                                  .bulk_rows = BULK};
    build(&points, &params, NULL);
    assert_int_equal(stop.last, points.rows);
    unsigned calls = stop.calls;
    for (unsigned at = 1; at <= calls; at++) {
        struct vdb_error err = {.status = VDB_OK};
        stop = (struct stop){.at = at};
        assert_int_equal(
            graph_build(&points.codes, kernels_best(), &params, points.edges, points.pivots, &err),
            VDB_CANCELLED);
        assert_int_equal(stop.calls, at);
    }
    points_release(&points);
}

static void serves_many_rows_and_distances_alone(void **state)
{
    (void)state;
    struct builder builder = {.space = {.kind = SPACE_L2}, .distinct = 20000};
    graph_params_default(&builder.params, 0);
    assert_true(graph_bulk_serves(&builder));
    builder.levels.degree = 16;
    assert_false(graph_bulk_serves(&builder));
    builder.levels.degree = 0;
    builder.space.kind = SPACE_PRODUCT;
    assert_false(graph_bulk_serves(&builder));
    builder.space.kind = SPACE_L2;
    builder.distinct = 19999;
    assert_false(graph_bulk_serves(&builder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_rows_are_met),
        cmocka_unit_test(crowded_ball),
        cmocka_unit_test(every_cluster_is_entered),
        cmocka_unit_test(same_edges_however_built),
        cmocka_unit_test(any_parameters),
        cmocka_unit_test(stops_at_every_step),
        cmocka_unit_test(serves_many_rows_and_distances_alone),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
