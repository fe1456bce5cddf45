/* test_graph_outliers.c: the rows that lie farthest out are pivots, of new graphs and of merged
 * ones.
 *
 * Expected rows: by distances from the mean, in double precision.
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

enum { ROWS = 17000, OLD = 16400, DIM = 12, DEGREE = 8, FAR = 2 };

static uint32_t edges[ROWS * DEGREE], base_edges[ROWS * DEGREE];

/* Of the first rows the farthest from their mean, and the one after it. */
static void find_farthest(const struct points *points, uint32_t rows, uint32_t far[FAR])
{
    double mean[DIM] = {0}, best[FAR] = {-1, -1};
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < DIM; i++) mean[i] += (double)points->x[row * DIM + i] / rows;
    for (uint32_t row = 0; row < rows; row++) {
        double sum = 0;
        for (uint32_t i = 0; i < DIM; i++) {
            double off = (double)points->x[row * DIM + i] - mean[i];
            sum += off * off;
        }
        for (uint32_t i = 0; i < FAR; i++) {
            if (sum <= best[i]) continue;
            memmove(best + i + 1, best + i, (FAR - 1 - i) * sizeof *best);
            memmove(far + i + 1, far + i, (FAR - 1 - i) * sizeof *far);
            best[i] = sum;
            far[i] = row;
            break;
        }
    }
}

static bool is_pivot(const uint32_t *pivots, uint32_t count, uint32_t row)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < count; i++) times += pivots[i] == row;
    assert_in_range(times, 0, 1);
    return times;
}

static void build(const struct points *points, uint32_t rows, const struct graph *base,
                  uint32_t *lists, uint32_t *pivots)
{
    struct graph_params params = {
        .degree = DEGREE, .ef_construction = 20, .bulk_rows = 1000, .base = base};
    struct codes codes = points->codes;
    codes.rows = rows;
    assert_int_equal(graph_build(&codes, kernels_best(), &params, lists, pivots, NULL), VDB_OK);
}

static void make(struct points *points, uint32_t outlier)
{
    points_init(points, ROWS, DIM);
    points_cluster(points, 30, 0.5, 3);
    for (uint32_t i = 0; i < DIM; i++) points->x[outlier * DIM + i] = i % 2 ? 3.0f : -3.0f;
    points_code(points, VDB_METRIC_L2, 0);
}

static void outliers_are_pivots(void **state)
{
    (void)state;
    struct points points;
    uint32_t pivots[64], far[FAR], count = graph_pivot_count(ROWS, VDB_METRIC_L2);
    make(&points, 12345);
    find_farthest(&points, ROWS, far);
    assert_int_equal(far[0], 12345);
    assert_in_range(count, 16 * FAR, 16 * FAR + 15);
    build(&points, ROWS, NULL, edges, pivots);
    for (uint32_t i = 0; i < FAR; i++) assert_true(is_pivot(pivots, count, far[i]));
    points_release(&points);
}

/* The single pivot more that more rows ask for. */
static void a_new_outlier_becomes_a_pivot(void **state)
{
    (void)state;
    struct points points;
    uint32_t pivots[64], base_pivots[64], count = graph_pivot_count(ROWS, VDB_METRIC_L2),
                                          old_count = graph_pivot_count(OLD, VDB_METRIC_L2);
    make(&points, 16500);
    assert_int_equal(old_count + 1, count);
    build(&points, OLD, NULL, base_edges, base_pivots);
    struct graph base = {.rows = OLD,
                         .degree = DEGREE,
                         .edges = base_edges,
                         .pivots = base_pivots,
                         .pivot_count = old_count};
    build(&points, ROWS, &base, edges, pivots);
    assert_memory_equal(pivots, base_pivots, old_count * sizeof *pivots);
    assert_int_equal(pivots[old_count], 16500);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outliers_are_pivots),
        cmocka_unit_test(a_new_outlier_becomes_a_pivot),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
