/* test_graph.c: what holds for every graph that is built.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
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

/* Lists: as many neighbours as degree and rows allow, in front, each a row, none twice, not the
 * row itself. Pivots: rows, none twice. */
static void check_lists(const struct points *points)
{
    const struct graph *graph = &points->graph;
    uint32_t rows = graph->rows, full = rows - 1 < graph->degree ? rows - 1 : graph->degree;
    uint32_t *seen = malloc(rows * sizeof *seen);
    assert_non_null(seen);
    memset(seen, 0xff, rows * sizeof *seen);
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t *list = graph->edges + (size_t)row * graph->degree;
        for (uint32_t i = 0; i < graph->degree; i++) {
            if (i >= full) {
                assert_int_equal(list[i], GRAPH_NO_ROW);
                continue;
            }
            assert_in_range(list[i], 0, rows - 1);
            assert_int_not_equal(list[i], row);
            assert_int_not_equal(seen[list[i]], row);
            seen[list[i]] = row;
        }
    }
    memset(seen, 0, rows * sizeof *seen);
    assert_in_range(graph->pivot_count, 1, rows);
    for (uint32_t i = 0; i < graph->pivot_count; i++) {
        assert_in_range(graph->pivots[i], 0, rows - 1);
        assert_int_equal(seen[graph->pivots[i]]++, 0);
    }
    free(seen);
}

static void check_reachable(const struct points *points)
{
    const struct graph *graph = &points->graph;
    uint32_t *stack = malloc(graph->rows * sizeof *stack), depth = 0, reached = 0;
    uint8_t *seen = calloc(graph->rows, 1);
    assert_true(stack && seen);
    seen[graph->pivots[0]] = 1;
    stack[depth++] = graph->pivots[0];
    while (depth > 0) {
        const uint32_t *list = graph->edges + (size_t)stack[--depth] * graph->degree;
        reached++;
        for (uint32_t i = 0; i < graph->degree && list[i] != GRAPH_NO_ROW; i++)
            if (!seen[list[i]]) {
                seen[list[i]] = 1;
                stack[depth++] = list[i];
            }
    }
    assert_int_equal(reached, graph->rows);
    free(stack);
    free(seen);
}

static void check_build(struct points *points, enum vdb_metric metric,
                        const struct graph_params *params)
{
    points_code(points, metric, 0);
    points_build(points, params, NULL);
    check_lists(points);
    check_reachable(points);
    free(points->memory);
    points->memory = NULL;
}

static void any_number_of_rows(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 3, 4, 5, 9, 16, 17, 18, 31, 32, 33, 34, 50, 100, 1000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++)
            for (uint32_t degree = 4; degree <= 32; degree *= 2) {
                struct points points;
                points_init(&points, rows[i], 5);
                points_cluster(&points, 3, 0.5, i);
                check_build(&points, (enum vdb_metric)metric,
                            &(struct graph_params){.degree = degree, .ef_construction = 20});
                points_release(&points);
            }
}

static void no_rows(void **state)
{
    (void)state;
    struct codes codes = {.dim = 3, .bytes = 64, .metric = VDB_METRIC_L2};
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    assert_int_equal(graph_pivot_count(0, VDB_METRIC_L2), 0);
    assert_int_equal(graph_build(&codes, kernels, &(struct graph_params){0}, NULL, NULL, NULL),
                     VDB_OK);
}

/* Tight clusters far apart tend to lose each other. */
static void islands_are_reachable(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 5000, 8);
    points_cluster(&points, 200, 0.001, 12);
    check_build(&points, VDB_METRIC_L2, &(struct graph_params){.degree = 4, .ef_construction = 8});
    check_build(&points, VDB_METRIC_IP, &(struct graph_params){.degree = 8, .ef_construction = 16});
    points_release(&points);
}

/* ---- duplicates ---------------------------------------------------------------------------- */

/* Row i is a copy of row i % distinct. */
static void duplicate(struct points *points, uint32_t distinct)
{
    size_t dim = points->dim;
    for (uint32_t row = distinct; row < points->rows; row++)
        memcpy(points->x + row * dim, points->x + row % distinct * dim, dim * sizeof(float));
}

static void duplicates_keep_the_graph_whole(void **state)
{
    (void)state;
    static const uint32_t distinct[] = {1, 2, 3, 20, 40, 500, 1500, 2999};
    for (size_t i = 0; i < sizeof distinct / sizeof *distinct; i++)
        for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
            struct points points;
            points_init(&points, 3000, 12);
            points_cluster(&points, 10, 0.5, i);
            duplicate(&points, distinct[i]);
            check_build(&points, (enum vdb_metric)metric, &(struct graph_params){.degree = 16});
            points_release(&points);
        }
}

/* One vector a thousand times among others: queries at it find copies alone, and queries
 * elsewhere are not caught by it. */
static void duplicates_are_found_and_left(void **state)
{
    (void)state;
    enum { ROWS = 4000, COPIES = 1000, DIM = 16 };
    struct points points;
    points_init(&points, ROWS, DIM);
    points_cluster(&points, 30, 0.5, 21);
    for (uint32_t row = 0; row < COPIES; row++)
        memcpy(points.x + row * 3 * DIM, points.x, DIM * sizeof(float));
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 16}, NULL);
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    struct walk *walk = walk_create();
    const struct candidate *found;
    uint32_t count, missed = 0;
    walk_prepare(walk, &points.codes, kernels, points.x, NULL);
    walk_graph(walk, &points.graph, 100, 100, &found, &count, NULL);
    assert_int_equal(count, 100);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(found[i].distance, 0);
        assert_true(found[i].row % 3 == 0 && found[i].row < 3 * COPIES);
    }
    for (uint32_t row = 3 * COPIES; row < ROWS; row++) {
        walk_prepare(walk, &points.codes, kernels, points.x + row * DIM, NULL);
        walk_graph(walk, &points.graph, 20, 20, &found, &count, NULL);
        missed += found[0].distance != 0;
    }
    assert_in_range(missed, 0, 10);
    walk_free(walk);
    points_release(&points);
}

/* Many small sets of equals: whoever finds one finds all. */
static void all_copies_are_found(void **state)
{
    (void)state;
    enum { ROWS = 3000, DISTINCT = 300, DIM = 16 };
    struct points points;
    points_init(&points, ROWS, DIM);
    points_cluster(&points, 30, 0.5, 23);
    duplicate(&points, DISTINCT);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &(struct graph_params){.degree = 16}, NULL);
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    struct walk *walk = walk_create();
    uint32_t missed = 0;
    for (uint32_t row = 0; row < DISTINCT; row++) {
        const struct candidate *found;
        uint32_t count;
        walk_prepare(walk, &points.codes, kernels, points.x + row * DIM, NULL);
        walk_graph(walk, &points.graph, 80, 80, &found, &count, NULL);
        for (uint32_t i = 0; i < ROWS / DISTINCT; i++)
            missed += found[i].row != row + i * DISTINCT || found[i].distance != 0;
    }
    assert_in_range(missed, 0, ROWS / 100);
    walk_free(walk);
    points_release(&points);
}

/* ---- determinism --------------------------------------------------------------------------- */

static void same_edges_however_built(void **state)
{
    (void)state;
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    static const unsigned threads[] = {1, 2, 5};
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        struct points points;
        points_init(&points, SLOW ? 1200 : 3000, 40);
        points_cluster(&points, 30, 0.5, 17);
        duplicate(&points, SLOW ? 1000 : 2500);
        points_code(&points, (enum vdb_metric)metric, 0);
        struct graph_params params = {.threads = 1};
        points_build(&points, &params, "portable");
        size_t edges = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
        size_t pivots = points.graph.pivot_count * sizeof(uint32_t);
        uint32_t *first = malloc(edges), *first_pivots = malloc(pivots);
        assert_true(first && first_pivots);
        memcpy(first, points.edges, edges);
        memcpy(first_pivots, points.pivots, pivots);
        for (size_t i = 0; i < 9; i += SLOW ? 4 : 1) { /* each set and each number once at least */
            const struct kernels *kernels;
            if (kernels_select(sets[i / 3], &kernels, NULL) != VDB_OK) continue;
            params.threads = threads[i % 3];
            points_build(&points, &params, sets[i / 3]);
            assert_memory_equal(points.edges, first, edges);
            assert_memory_equal(points.pivots, first_pivots, pivots);
        }
        free(first);
        free(first_pivots);
        points_release(&points);
    }
}

/* Codes stored as i8 are the same codes. */
static void same_edges_from_signed_codes(void **state)
{
    (void)state;
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        struct points points;
        points_init(&points, 2000, 64);
        points_cluster(&points, 20, 0.5, 29);
        points_code(&points, (enum vdb_metric)metric, 0);
        points_build(&points, &(struct graph_params){0}, NULL);
        size_t edges = (size_t)points.rows * points.graph.degree * sizeof(uint32_t);
        uint32_t *first = malloc(edges);
        assert_non_null(first);
        memcpy(first, points.edges, edges);
        for (size_t i = 0; i < (size_t)points.rows * 64; i++) points.memory[i] ^= 0x80;
        points.codes.flip = 0x80;
        points_build(&points, &(struct graph_params){0}, NULL);
        /* Equals aside, which are none here, nothing depends on the bytes themselves. */
        assert_memory_equal(points.edges, first, edges);
        free(first);
        points_release(&points);
    }
}

/* ---- parameters and progress --------------------------------------------------------------- */

static void refuses_bad_parameters(void **state)
{
    (void)state;
    static const struct graph_params bad[] = {{.degree = 3},          {.degree = 257},
                                              {.ef_construction = 7}, {.ef_construction = 4097},
                                              {.alpha_milli = 999},   {.alpha_milli = 65536}};
    struct points points;
    points_init(&points, 10, 4);
    points_cluster(&points, 2, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    uint32_t edges[10 * 256], pivots[10];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vdb_error err = {.status = VDB_OK};
        assert_int_equal(graph_build(&points.codes, kernels, &bad[i], edges, pivots, &err),
                         VDB_INVALID);
        assert_int_equal(err.status, VDB_INVALID);
        assert_true(err.message[0] != '\0');
    }
    struct graph_params chosen = {.degree = 7};
    graph_params_default(&chosen, 0);
    assert_int_equal(chosen.degree, 7);
    assert_true(chosen.ef_construction >= 8 && chosen.alpha_milli >= 1000);
    points_release(&points);
}

struct progress {
    pthread_t caller;
    uint64_t done;
    unsigned calls, stop_at;
    int faults;
};

static int on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    if (strcmp(phase, "build graph") != 0 || done <= progress->done || done > total ||
        !pthread_equal(pthread_self(), progress->caller))
        progress->faults++;
    progress->done = done;
    return ++progress->calls == progress->stop_at;
}

static void progress_tells_and_stops(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 3000, 4);
    points_cluster(&points, 10, 0.5, 2);
    points_code(&points, VDB_METRIC_L2, 0);
    struct progress progress = {.caller = pthread_self()};
    struct graph_params params = {.threads = 2, .progress = on_progress, .context = &progress};
    points_build(&points, &params, NULL);
    assert_int_equal(progress.faults, 0);
    assert_true(progress.calls >= 5);
    const struct kernels *kernels;
    struct vdb_error err;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    progress = (struct progress){.caller = pthread_self(), .stop_at = 3};
    assert_int_equal(
        graph_build(&points.codes, kernels, &params, points.edges, points.pivots, &err),
        VDB_CANCELLED);
    assert_int_equal(progress.calls, 3);
    points_release(&points);
}

/* ---- groups of pivots ---------------------------------------------------------------------- */

enum { MANY = 131072, FEW_DIM = 8 };

static uint32_t code_distance(const struct points *points, uint32_t a, uint32_t b)
{
    const uint8_t *x = points->codes.code + (size_t)a * points->codes.code_stride;
    const uint8_t *y = points->codes.code + (size_t)b * points->codes.code_stride;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < FEW_DIM; i++) sum += (uint32_t)((x[i] - y[i]) * (x[i] - y[i]));
    return sum;
}

/* Pivots of large graphs stand in the groups of their nearest leaders, ties to the first; and walks
 * find their way in by them. */
static void pivots_in_groups(void **state)
{
    (void)state;
    struct points points;
    struct vdb_error err;
    points_init(&points, MANY, FEW_DIM);
    points_cluster(&points, 3000, 0.01, 7);
    points_code(&points, VDB_METRIC_L2, 0);
    uint32_t pivots = graph_pivot_count(MANY, VDB_METRIC_L2);
    uint32_t leaders = graph_leader_count(MANY, VDB_METRIC_L2);
    assert_int_equal(pivots, 1024);
    assert_int_equal(leaders, 32);
    assert_int_equal(graph_leader_count(MANY, VDB_METRIC_IP), 0);
    assert_int_equal(graph_leader_count(MANY - 1, VDB_METRIC_L2), 0);
    uint32_t *groups = calloc(leaders, sizeof *groups);
    uint32_t *edges = malloc((size_t)MANY * 8 * sizeof *edges);
    uint32_t *rows = malloc(pivots * sizeof *rows);
    assert_true(groups && edges && rows);
    struct graph_params params = {
        .degree = 8, .ef_construction = 16, .threads = 2, .groups = groups};
    assert_int_equal(graph_build(&points.codes, kernels_best(), &params, edges, rows, &err),
                     VDB_OK);
    assert_int_equal(groups[leaders - 1], pivots);
    for (uint32_t group = 0, i = leaders; group < leaders; group++) {
        for (; i < groups[group]; i++) {
            uint32_t mine = code_distance(&points, rows[i], rows[group]);
            for (uint32_t other = 0; other < leaders; other++) {
                uint32_t its = code_distance(&points, rows[i], rows[other]);
                assert_true(its > mine || (its == mine && other >= group));
            }
        }
        assert_int_equal(i, groups[group]);
    }
    struct graph graph = {.rows = MANY,
                          .degree = 8,
                          .edges = edges,
                          .pivots = rows,
                          .pivot_count = pivots,
                          .leader_count = leaders,
                          .groups = groups};
    struct walk *walk = walk_create();
    uint32_t found_itself = 0;
    for (uint32_t row = 0; row < MANY; row += 512) {
        const struct candidate *found;
        uint32_t count;
        walk_prepare(walk, &points.codes, kernels_best(), points.x + (size_t)row * FEW_DIM, NULL);
        assert_int_equal(walk_graph(walk, &graph, 16, 16, &found, &count, NULL), VDB_OK);
        found_itself += count > 0 && found[0].distance == 0;
    }
    assert_true(found_itself > 256 * 9 / 10);
    walk_free(walk);
    free(groups);
    free(edges);
    free(rows);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pivots_in_groups),
        cmocka_unit_test(any_number_of_rows),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(islands_are_reachable),
        cmocka_unit_test(duplicates_keep_the_graph_whole),
        cmocka_unit_test(duplicates_are_found_and_left),
        cmocka_unit_test(all_copies_are_found),
        cmocka_unit_test(same_edges_however_built),
        cmocka_unit_test(same_edges_from_signed_codes),
        cmocka_unit_test(refuses_bad_parameters),
        cmocka_unit_test(progress_tells_and_stops),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
