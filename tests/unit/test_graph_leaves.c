/* test_graph_leaves.c: leaves cover all rows, as often as asked, and hold what is near.
 *
 * Expected leaders: by brute force over the codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/graph_leaves.h"
#include "points.h"

struct seen {
    uint32_t rows, leaf_rows;
    uint32_t *times;  /* a row was in a leaf */
    uint32_t *last;   /* the last leaf that a row was in, counted from 1 */
    uint32_t leaves;  /* visited */
    uint32_t *member; /* where not NULL: rows of all leaves, in order, */
    uint32_t *leaf;   /* and the leaves */
    uint32_t members;
};

static void visit(void *context, unsigned worker, const uint32_t *rows, uint32_t n)
{
    struct seen *seen = context;
    assert_int_equal(worker, 0);
    assert_in_range(n, 1, seen->leaf_rows);
    seen->leaves++;
    for (uint32_t i = 0; i < n; i++) {
        assert_in_range(rows[i], 0, seen->rows - 1);
        assert_int_not_equal(seen->last[rows[i]], seen->leaves);
        seen->last[rows[i]] = seen->leaves;
        seen->times[rows[i]]++;
        if (!seen->member) continue;
        seen->member[seen->members] = rows[i];
        seen->leaf[seen->members++] = seen->leaves - 1;
    }
}

/* Leaves of all rows in the order of their numbers; returns how many balls there were. */
static uint32_t visit_all(const struct points *points, uint32_t copies, struct seen *seen)
{
    struct space space;
    uint32_t *order = malloc(points->rows * sizeof *order);
    assert_non_null(order);
    for (uint32_t i = 0; i < points->rows; i++) order[i] = i;
    space_init(&space, &points->codes, kernels_best(), SPACE_L2);
    struct leaves leaves = {.space = &space,
                            .order = order,
                            .count = points->rows,
                            .copies = copies,
                            .leaf_rows = seen->leaf_rows,
                            .workers = 1};
    seen->rows = points->rows;
    seen->times = calloc(points->rows, sizeof *seen->times);
    seen->last = calloc(points->rows, sizeof *seen->last);
    assert_true(seen->times && seen->last);
    assert_int_equal(leaves_init(&leaves, NULL), VDB_OK);
    leaves_home(&leaves, 0, 0, points->rows / 3);
    leaves_home(&leaves, 0, points->rows / 3, points->rows);
    assert_int_equal(leaves_fill(&leaves, NULL), VDB_OK);
    leaves_visit(&leaves, 0, 0, leaves.balls, visit, seen);
    uint32_t balls = leaves.balls;
    for (uint32_t row = 0; row < points->rows; row++)
        assert_int_equal(seen->times[row], copies); /* by different balls, and once in each */
    leaves_release(&leaves);
    free(seen->times);
    free(seen->last);
    free(order);
    return balls;
}

static uint32_t code_distance(const struct points *points, uint32_t a, uint32_t b)
{
    const uint8_t *x = points->codes.code + (size_t)a * points->codes.code_stride;
    const uint8_t *y = points->codes.code + (size_t)b * points->codes.code_stride;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < points->dim; i++) sum += (uint32_t)((x[i] - y[i]) * (x[i] - y[i]));
    return sum;
}

/* Leaders before `leader` in the order of distance, ties by number. */
static uint32_t rank_of(const struct points *points, uint32_t balls, uint32_t row, uint32_t leader)
{
    uint32_t distance = code_distance(points, row, leader), rank = 0;
    for (uint32_t other = 0; other < balls; other++) {
        uint32_t its = code_distance(points, row, other);
        rank += its < distance || (its == distance && other < leader);
    }
    return rank;
}

/* Leaves as large as balls can be are the balls. */
static void rows_join_their_nearest_leaders(void **state)
{
    (void)state;
    static const uint32_t copies[] = {1, 4, 16};
    for (size_t c = 0; c < 3; c++) {
        struct points points;
        points_init(&points, 5003, 7 + 20 * (uint32_t)c);
        points_cluster(&points, 30, 0.7, c);
        points_code(&points, VDB_METRIC_L2, c == 1 ? 3 : 0);
        struct seen seen = {.leaf_rows = points.rows};
        size_t total = (size_t)points.rows * copies[c];
        seen.member = malloc(total * sizeof *seen.member);
        seen.leaf = malloc(total * sizeof *seen.leaf);
        assert_true(seen.member && seen.leaf);
        uint32_t balls = visit_all(&points, copies[c], &seen);
        assert_int_equal(seen.leaves, balls); /* none is empty: its leader is in it */
        for (size_t i = 0; i < total; i += 7)
            assert_in_range(rank_of(&points, balls, seen.member[i], seen.leaf[i]), 0,
                            copies[c] - 1);
        free(seen.member);
        free(seen.leaf);
        points_release(&points);
    }
}

/* Two leaves of a ball that was cut hold what is nearer to each other than rows at large are. */
static void large_balls_are_cut(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 9000, 8);
    points_cluster(&points, 12, 0.01, 5);
    points_code(&points, VDB_METRIC_L2, 0);
    struct seen seen = {.leaf_rows = 300};
    seen.member = malloc((size_t)points.rows * sizeof *seen.member);
    seen.leaf = malloc((size_t)points.rows * sizeof *seen.leaf);
    assert_true(seen.member && seen.leaf);
    assert_true(visit_all(&points, 1, &seen) < 30);
    uint64_t within = 0, at_large = 0, pairs = 0;
    for (uint32_t i = 0; i + 1 < seen.members; i++) {
        if (seen.leaf[i] != seen.leaf[i + 1]) continue;
        within += code_distance(&points, seen.member[i], seen.member[i + 1]);
        at_large += code_distance(&points, i, i + 1);
        pairs++;
    }
    assert_true(pairs > 8000);
    assert_true(within < at_large / 4);
    free(seen.member);
    free(seen.leaf);
    points_release(&points);
}

/* All rows are equally far from each other: the balls of the first leaders hold all of them, and
 * no leader divides these. */
static void nothing_is_nearer(void **state)
{
    (void)state;
    enum { ROWS = 1800 };
    struct points points;
    points_init(&points, ROWS, ROWS);
    for (uint32_t row = 0; row < ROWS; row++) points.x[(size_t)row * ROWS + row] = 1;
    points_code(&points, VDB_METRIC_L2, 0);
    struct seen seen = {.leaf_rows = 500};
    visit_all(&points, 16, &seen);
    assert_true(seen.leaves < ROWS); /* it ends by cutting by number, not row by row */
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_join_their_nearest_leaders),
        cmocka_unit_test(large_balls_are_cut),
        cmocka_unit_test(nothing_is_nearer),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
