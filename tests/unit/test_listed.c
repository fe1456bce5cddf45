/* test_listed.c: the nearest of some rows, by codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/listed.h"
#include "points.h"

enum { ROWS = 1000, DIM = 20 };

struct every { /* every step-th row from `row` on, by as many as it likes */
    uint32_t row, step, end, few;
};

static uint32_t next_of(void *context, uint32_t rows[LISTED_ROOM])
{
    struct every *every = context;
    uint32_t n = 0;
    for (; n < every->few && every->row < every->end; every->row += every->step)
        rows[n++] = every->row;
    return n;
}

/* Those of the rows nearest to the query that are listed, as many as there are. */
static uint32_t nearest_of(const struct points *points, const float *query, struct every every,
                           uint32_t rows[ROWS])
{
    uint32_t n = 0;
    points_nearest(points, query, ROWS, rows);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t row = rows[i];
        bool listed = row >= every.row && row < every.end && (row - every.row) % every.step == 0;
        rows[n] = row;
        n += listed;
    }
    return n;
}

/* Distances are squares of those of integers, which codes have as they are. */
static void the_nearest_of_them(void **state)
{
    (void)state;
    static const struct {
        struct every every;
        uint32_t keep;
    } cases[] = {{{0, 1, ROWS, 64}, 40},  {{3, 7, ROWS, 64}, 10},   {{3, 7, ROWS, 5}, 10},
                 {{1, 300, ROWS, 1}, 10}, {{0, 1, ROWS, 64}, ROWS}, {{0, 1, 64, 64}, 1},
                 {{0, 1, 0, 64}, 10},     {{0, 3, ROWS, 64}, 0},    {{0, 1, ROWS, 63}, 2 * ROWS}};
    struct points points;
    uint32_t nearest[ROWS];
    uint64_t seed = 11;
    struct walk *walk = walk_create();
    points_init(&points, ROWS, DIM);
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) points.x[i] = (float)(random_next(&seed) % 256);
    points.x[0] = 0;
    points.x[1] = 255;
    points_code(&points, VDB_METRIC_L2, 0);
    assert_true(points.codes.scale == 1.0f);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float query[DIM];
        const struct candidate *found;
        struct every every = cases[c].every;
        struct listed listed = {next_of, &every};
        uint32_t count, keep = cases[c].keep ? cases[c].keep : 1;
        for (uint32_t i = 0; i < DIM; i++) query[i] = (float)(random_next(&seed) % 256);
        assert_int_equal(walk_prepare(walk, &points.codes, kernels_best(), query, NULL), VDB_OK);
        assert_int_equal(listed_nearest(walk, &listed, cases[c].keep, &found, &count, NULL),
                         VDB_OK);
        uint32_t all = nearest_of(&points, query, cases[c].every, nearest);
        assert_int_equal(count, all < keep ? all : keep);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(found[i].row, nearest[i]);
            assert_true((double)found[i].distance == points_distance(&points, nearest[i], query));
        }
    }
    walk_free(walk);
    points_release(&points);
}

/* Rows beyond 2^31 would be taken for others, also by a walk. */
static void too_many_rows_are_refused(void **state)
{
    (void)state;
    struct points points;
    struct every every = {0, 1, ROWS, 64};
    struct listed listed = {next_of, &every};
    const struct candidate *found;
    uint32_t count, edges[8] = {0}, pivot = 0;
    struct walk *walk = walk_create();
    points_init(&points, ROWS, DIM);
    points_cluster(&points, 5, 0.5, 3);
    points_code(&points, VDB_METRIC_L2, 0);
    points.codes.rows = 0x80000001u;
    struct graph graph = {
        .rows = 0x80000001u, .degree = 8, .edges = edges, .pivots = &pivot, .pivot_count = 1};
    assert_int_equal(walk_prepare(walk, &points.codes, kernels_best(), points.x, NULL), VDB_OK);
    assert_int_equal(listed_nearest(walk, &listed, 10, &found, &count, NULL), VDB_LIMIT);
    assert_int_equal(every.row, 0);
    assert_int_equal(walk_graph(walk, &graph, 10, 10, &found, &count, NULL), VDB_LIMIT);
    walk_free(walk);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_of_them),
        cmocka_unit_test(too_many_rows_are_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
