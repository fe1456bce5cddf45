/* test_graph_merge.c: rows that are put into a finished graph.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/graph.h"
#include "points.h"
#include "slow.h"

struct made { /* a graph, and its memory */
    struct graph graph;
    uint32_t *edges, *pivots, *groups;
};

static void made_free(struct made *made)
{
    free(made->edges);
    free(made->pivots);
    free(made->groups);
}

/* A graph of the first `rows` of the points, on `base` or, where that is NULL, anew. */
static struct made build(const struct points *points, uint32_t rows,
                         const struct graph_params *params, const struct graph *base)
{
    struct codes codes = points->codes;
    struct graph_params chosen = *params;
    struct vdb_error err;
    codes.rows = rows;
    graph_params_default(&chosen, 0);
    uint32_t pivots = graph_pivot_count_on(base, rows, codes.metric);
    uint32_t leaders = graph_leader_count(rows, codes.metric);
    struct made made = {.edges = malloc((size_t)rows * chosen.degree * sizeof *made.edges),
                        .pivots = malloc(pivots * sizeof *made.pivots),
                        .groups = calloc(leaders + 1, sizeof *made.groups)};
    assert_true(made.edges && made.pivots && made.groups);
    chosen.base = base;
    chosen.groups = made.groups;
    if (graph_build(&codes, kernels_best(), &chosen, made.edges, made.pivots, &err))
        fail_msg("%s", err.message);
    made.graph = (struct graph){.rows = rows,
                                .degree = chosen.degree,
                                .edges = made.edges,
                                .pivots = made.pivots,
                                .pivot_count = pivots,
                                .leader_count = made.groups[0] ? leaders : 0,
                                .groups = made.groups};
    return made;
}

/* Lists are full and name different rows, not the row itself; all rows are reached. */
static void check_sound(const struct graph *g)
{
    uint32_t full = g->rows - 1 < g->degree ? g->rows - 1 : g->degree, depth = 0, reached = 0;
    uint32_t *named = malloc(g->rows * sizeof *named), *stack = malloc(g->rows * sizeof *stack);
    uint8_t *seen = calloc(g->rows, 1);
    assert_true(named && stack && seen);
    memset(named, 0xff, g->rows * sizeof *named);
    for (uint32_t row = 0; row < g->rows; row++)
        for (uint32_t i = 0; i < g->degree; i++) {
            uint32_t to = g->edges[(size_t)row * g->degree + i];
            if (i >= full) {
                assert_int_equal(to, GRAPH_NO_ROW);
                continue;
            }
            assert_in_range(to, 0, g->rows - 1);
            assert_int_not_equal(to, row);
            assert_int_not_equal(named[to], row);
            named[to] = row;
        }
    stack[depth++] = g->pivots[0];
    seen[g->pivots[0]] = 1;
    while (depth) {
        const uint32_t *list = g->edges + (size_t)stack[--depth] * g->degree;
        reached++;
        for (uint32_t i = 0; i < full; i++)
            if (!seen[list[i]]) {
                seen[list[i]] = 1;
                stack[depth++] = list[i];
            }
    }
    assert_int_equal(reached, g->rows);
    free(named);
    free(stack);
    free(seen);
}

static void any_number_of_rows_comes_to_any(void **state)
{
    (void)state;
    static const uint32_t old[] = {1, 2, 5, 17, 33, 300}, fresh[] = {0, 1, 2, 16, 40, 700};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        for (size_t j = 0; j < sizeof fresh / sizeof *fresh; j++)
            for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
                struct points points;
                struct graph_params params = {.degree = 16, .ef_construction = 20};
                points_init(&points, old[i] + fresh[j], 5);
                points_cluster(&points, 3, 0.5, i);
                points_code(&points, (enum vdb_metric)metric, 0);
                struct made base = build(&points, old[i], &params, NULL);
                struct made made = build(&points, points.rows, &params, &base.graph);
                check_sound(&made.graph);
                made_free(&base);
                made_free(&made);
                points_release(&points);
            }
}

/* Old ones, new ones, and new ones of old rows. */
static void duplicates_stay_apart(void **state)
{
    (void)state;
    static const uint32_t distinct[] = {1, 3, 40, 900, 1600, 1700};
    for (size_t i = 0; i < sizeof distinct / sizeof *distinct; i++) {
        struct points points;
        struct graph_params params = {.degree = 16, .bulk_rows = 1650};
        points_init(&points, 2000, 12);
        points_cluster(&points, 10, 0.5, i);
        for (uint32_t row = distinct[i]; row < points.rows; row++)
            memcpy(points.x + row * 12, points.x + row % distinct[i] * 12, 12 * sizeof(float));
        points_code(&points, VDB_METRIC_L2, 0);
        struct made base = build(&points, 1200, &params, NULL);
        struct made made = build(&points, 2000, &params, &base.graph);
        check_sound(&made.graph);
        made_free(&base);
        made_free(&made);
        points_release(&points);
    }
}

static void nothing_new_changes_nothing(void **state)
{
    (void)state;
    struct points points;
    struct graph_params params = {.degree = 16};
    points_init(&points, 3000, 12);
    points_cluster(&points, 10, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    struct made base = build(&points, 3000, &params, NULL);
    struct made made = build(&points, 3000, &params, &base.graph);
    assert_memory_equal(base.edges, made.edges, 3000 * 16 * sizeof *made.edges);
    assert_memory_equal(base.pivots, made.pivots, base.graph.pivot_count * sizeof *made.pivots);
    made_free(&base);
    made_free(&made);
    points_release(&points);
}

static void threads_make_no_difference(void **state)
{
    (void)state;
    static const uint32_t bulk_rows[] = {1000, 100000};
    struct points points;
    points_init(&points, 6000, 12);
    points_cluster(&points, 10, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    for (int i = 0; i < 2; i++) {
        struct graph_params params = {.degree = 16, .threads = 1, .bulk_rows = bulk_rows[i]};
        struct made base = build(&points, 4000, &params, NULL);
        struct made one = build(&points, 6000, &params, &base.graph);
        params.threads = 4;
        struct made four = build(&points, 6000, &params, &base.graph);
        check_sound(&four.graph);
        assert_memory_equal(one.edges, four.edges, 6000 * 16 * sizeof *one.edges);
        made_free(&base);
        made_free(&one);
        made_free(&four);
    }
    points_release(&points);
}

/* Recall@10 of walks with that effort, for queries like the rows. */
static double recall(const struct points *points, const struct graph *graph, uint32_t clusters,
                     uint32_t ef)
{
    enum { QUERIES = SLOW ? 200 : 500, K = 10 };
    struct walk *walk = walk_create();
    uint32_t right = 0, truth[K];
    float query[16];
    for (uint32_t q = 0; q < QUERIES; q++) {
        const struct candidate *found;
        uint32_t count;
        points_query(points, clusters, 0.5, 7, q, query);
        points_nearest(points, query, K, truth);
        assert_int_equal(walk_prepare(walk, &points->codes, kernels_best(), query, NULL), VDB_OK);
        assert_int_equal(walk_graph(walk, graph, ef, ef, &found, &count, NULL), VDB_OK);
        for (uint32_t i = 0; i < count && i < 2 * K; i++)
            for (uint32_t j = 0; j < K; j++) right += found[i].row == truth[j];
    }
    walk_free(walk);
    return right / (double)(QUERIES * K);
}

/* All rows, from `rows` on in steps of a sixteenth. */
static struct made in_steps(const struct points *points, uint32_t rows,
                            const struct graph_params *params, const struct graph *base)
{
    struct made made = {.edges = NULL};
    while (rows < points->rows) {
        rows = rows + rows / 16 < points->rows ? rows + rows / 16 : points->rows;
        struct made next = build(points, rows, params, base);
        made_free(&made);
        made = next;
        base = &made.graph;
    }
    return made;
}

/* In many steps and in one, each by walks and in bulk; the rows of a step lie as the others
 * do, or all in clusters that were not there before. */
static void recall_is_that_of_a_new_graph(void **state)
{
    (void)state;
    enum { ROWS = 4000, DIM = 16, CLUSTERS = 20 };
    for (int sorted = 0; sorted < 2; sorted++) {
        struct points points;
        struct graph_params params = {.degree = 16, .ef_construction = 60};
        points_init(&points, ROWS, DIM);
        points_cluster(&points, CLUSTERS, 0.5, 7);
        if (sorted) { /* those on one side come last */
            float *x = malloc((size_t)ROWS * DIM * sizeof *x);
            uint32_t n = 0;
            assert_non_null(x);
            for (int side = 0; side < 2; side++)
                for (uint32_t row = 0; row < ROWS; row++)
                    if ((points.x[row * DIM] > 0.4f) == side)
                        memcpy(x + DIM * n++, points.x + row * DIM, DIM * sizeof *x);
            memcpy(points.x, x, (size_t)ROWS * DIM * sizeof *x);
            free(x);
        }
        points_code(&points, VDB_METRIC_L2, 0);
        struct made fresh = build(&points, ROWS, &params, NULL);
        struct made half = build(&points, ROWS / 2, &params, NULL);
        params.bulk_rows = 1000;
        struct made bulk = build(&points, ROWS, &params, &half.graph);
        struct made bulk_steps = in_steps(&points, ROWS / 2, &params, &half.graph);
        params.bulk_rows = 100000;
        struct made once = build(&points, ROWS, &params, &half.graph);
        struct made steps = in_steps(&points, ROWS / 2, &params, &half.graph);
        params.bulk_rows = 0;
        made_free(&half);
        for (uint32_t ef = 20; ef <= 80; ef *= 2) {
            double want = recall(&points, &fresh.graph, CLUSTERS, ef);
            assert_true(want > 0.9);
            assert_true(recall(&points, &once.graph, CLUSTERS, ef) >= want - 0.005);
            assert_true(recall(&points, &bulk.graph, CLUSTERS, ef) >= want - 0.005);
            assert_true(recall(&points, &steps.graph, CLUSTERS, ef) >= want - 0.005);
            assert_true(recall(&points, &bulk_steps.graph, CLUSTERS, ef) >= want - 0.005);
        }
        made_free(&fresh);
        made_free(&once);
        made_free(&bulk);
        made_free(&steps);
        made_free(&bulk_steps);
        points_release(&points);
    }
}

/* Lists that pruning kept all of: nearest first to their end. */
static uint32_t full_lists(const struct points *points, const struct graph *g)
{
    const struct codes *codes = &points->codes;
    uint32_t full = 0;
    for (uint32_t row = 0; row < g->rows; row++) {
        const uint8_t *from = codes->code + row * codes->code_stride;
        uint32_t before = 0, i = 0;
        for (; i < g->degree; i++) {
            const uint8_t *to = codes->code + g->edges[row * g->degree + i] * codes->code_stride;
            uint32_t distance = 0;
            for (uint32_t j = 0; j < codes->dim; j++)
                distance += (uint32_t)((from[j] - to[j]) * (from[j] - to[j]));
            if (distance < before) break;
            before = distance;
        }
        full += i == g->degree;
    }
    return full;
}

/* In many dimensions little drops another, and edges back come to most lists. */
static void few_lists_have_no_place_for_an_edge_back(void **state)
{
    (void)state;
    enum { ROWS = 4000 };
    struct points points;
    struct graph_params params = {.degree = 16, .bulk_rows = 1000};
    points_init(&points, ROWS, 32);
    points_cluster(&points, 1, 1, 3);
    points_code(&points, VDB_METRIC_L2, 0);
    struct made base = build(&points, ROWS - 250, &params, NULL);
    assert_true(full_lists(&points, &base.graph) < base.graph.rows / 4);
    struct made made = build(&points, ROWS, &params, &base.graph);
    assert_true(full_lists(&points, &made.graph) < ROWS / 4);
    params.bulk_rows = 100000; /* by walks */
    struct made walks = build(&points, ROWS, &params, &base.graph);
    assert_true(full_lists(&points, &walks.graph) < ROWS / 4);
    made_free(&base);
    made_free(&made);
    made_free(&walks);
    points_release(&points);
}

static void what_is_no_graph_of_these_rows_is_refused(void **state)
{
    (void)state;
    struct points points;
    struct graph_params params = {.degree = 16};
    points_init(&points, 500, 12);
    points_cluster(&points, 10, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    struct made base = build(&points, 400, &params, NULL);
    uint32_t *edges = malloc(500 * 16 * sizeof *edges), pivots[64];
    assert_non_null(edges);
    for (int fault = 0; fault < 4; fault++) {
        struct graph g = base.graph;
        uint32_t other = 400;
        if (fault == 0) g.degree = 8;
        if (fault == 1) g.rows = 0;
        if (fault == 2) g.rows = 501;
        if (fault == 3) g.pivots = &other, g.pivot_count = 1;
        params.base = &g;
        assert_int_equal(graph_build(&points.codes, kernels_best(), &params, edges, pivots, NULL),
                         VDB_INVALID);
    }
    free(edges);
    made_free(&base);
    points_release(&points);
}

/* A file may say anything. */
static void lists_may_say_anything(void **state)
{
    (void)state;
    struct points points;
    struct graph_params params = {.degree = 16};
    uint64_t seed = 5;
    points_init(&points, 1000, 12);
    points_cluster(&points, 10, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    struct made base = build(&points, 700, &params, NULL);
    for (uint32_t row = 0; row < 700; row++) {
        uint32_t *list = base.edges + row * 16;
        list[random_next(&seed) % 16] = row;
        list[random_next(&seed) % 16] = (uint32_t)random_next(&seed);
        list[random_next(&seed) % 16] = 700 + row % 300;
    }
    for (params.bulk_rows = 100; params.bulk_rows <= 10000; params.bulk_rows *= 100) {
        struct made made = build(&points, 1000, &params, &base.graph);
        check_sound(&made.graph);
        made_free(&made);
    }
    made_free(&base);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_rows_comes_to_any),
        cmocka_unit_test(duplicates_stay_apart),
        cmocka_unit_test(nothing_new_changes_nothing),
        cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(recall_is_that_of_a_new_graph),
        cmocka_unit_test(few_lists_have_no_place_for_an_edge_back),
        cmocka_unit_test(what_is_no_graph_of_these_rows_is_refused),
        cmocka_unit_test(lists_may_say_anything),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
