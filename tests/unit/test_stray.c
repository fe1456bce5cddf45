/* test_stray.c: how far what a walk found is from the query, beside its own neighbours.
 *
 * Rows on a line, and ratios by arithmetic.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/beam.h"
#include "index/stray.h"
#include "points.h"

#define ROWS   40
#define DEGREE 10

static uint32_t edges[ROWS * DEGREE];

/* Row i stands at place i; the pool has the `found` rows from `first` on, for a query at `place`.
 */
static double ratio(const float *places, enum vdb_metric metric, float place, uint32_t first,
                    uint32_t found)
{
    struct points points;
    points_init(&points, ROWS, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        points.x[i] = places[i];
        for (uint32_t j = 0; j < DEGREE; j++)
            edges[i * DEGREE + j] = i + 1 + j < ROWS ? i + 1 + j : GRAPH_NO_ROW;
    }
    points_code(&points, metric, 0);
    struct graph graph = {.rows = ROWS, .degree = DEGREE, .edges = edges};
    struct walk *walk = walk_create();
    assert_true(walk && walk_reserve(walk, ROWS, DEGREE, ROWS));
    assert_int_equal(walk_prepare(walk, &points.codes, kernels_best(), &place, NULL), VDB_OK);
    pool_reset(&walk->pool, ROWS);
    for (uint32_t row = first; row < first + found; row++) {
        uint32_t distances[4];
        space_measure(&walk->space, &walk->probe, &row, 1, distances);
        pool_insert(&walk->pool, pool_key(distances[0], row));
    }
    int8_t *values = aligned_alloc(64, 128);
    assert_non_null(values);
    double seen = 0;
    if (stray_bytes(&walk->space)) {
        assert_in_range(stray_bytes(&walk->space), 64, 128);
        seen = stray_ratio(&walk->space, &graph, &walk->pool, values);
    }
    free(values);
    walk_free(walk);
    points_release(&points);
    return seen;
}

static void ratios_of_squares(void **state)
{
    (void)state;
    float even[ROWS], pairs[ROWS];
    for (int i = 0; i < ROWS; i++) {
        even[i] = (float)i;
        pairs[i] = (float)(i / 2);
    }
    /* 1 + 4 + ... + 64 = 204, and 121 + ... + 324 = 1,724, for the first is at 10. */
    assert_true(fabs(ratio(even, VDB_METRIC_L2, 0, 10, 12) - 1724.0 / 204.0) < 1e-9);
    assert_true(fabs(ratio(even, VDB_METRIC_L2, 10, 10, 12) - 1.0) < 1e-9);
    /* 0, 1, 1, 4, 4, 9, 9 and 16 on either side; the first one's equal does not count. */
    assert_true(fabs(ratio(pairs, VDB_METRIC_L2, 5, 10, 12) - 44.0 / 8 / (44.0 / 7)) < 1e-9);
}

static void too_little_to_tell(void **state)
{
    (void)state;
    float even[ROWS], equal[ROWS];
    for (int i = 0; i < ROWS; i++) {
        even[i] = (float)i;
        equal[i] = i < 30 ? 20.0f : (float)i;
    }
    assert_true(ratio(even, VDB_METRIC_L2, 0, 10, 8) == 0); /* rows found */
    assert_true(ratio(even, VDB_METRIC_L2, 0, 38, 2) == 0);
    assert_true(ratio(even, VDB_METRIC_L2, 0, ROWS - 1, 1) == 0);
    assert_true(ratio(equal, VDB_METRIC_L2, 0, 10, 12) == 0); /* all in one place */
    assert_true(ratio(even, VDB_METRIC_IP, 0, 10, 12) == 0);  /* products are no distances */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratios_of_squares),
        cmocka_unit_test(too_little_to_tell),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("stray", tests, NULL, NULL);
}
