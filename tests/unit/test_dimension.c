/* test_dimension.c: the estimates against rows whose dimension and hubness are known.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/dimension.h"
#include "points.h"

enum { ROWS = 20000, DIM = 32 };

static uint64_t seed = 99;

static float unit_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) / 16777216.0f;
}

/* Rows evenly spread over a cube of `inner` dimensions, laid into DIM of them by a shear, so that
 * no dimension by itself tells. */
static void spread(struct points *points, uint32_t inner)
{
    points_init(points, ROWS, DIM);
    for (uint32_t row = 0; row < ROWS; row++) {
        float *x = points->x + (size_t)row * DIM;
        for (uint32_t i = 0; i < DIM; i++) x[i] = i < inner ? unit_random() : 0.5f * x[i - inner];
    }
    points_code(points, VDB_METRIC_L2, 0);
}

static uint32_t estimate(const struct points *points, const char *set, unsigned threads)
{
    const struct kernels *kernels;
    uint32_t thousandths;
    if (kernels_select(set, &kernels, NULL) != VDB_OK) kernels = kernels_best();
    assert_int_equal(dimension_estimate(&points->codes, kernels, threads, &thousandths, NULL),
                     VDB_OK);
    return thousandths;
}

static void known_dimensions(void **state)
{
    (void)state;
    static const struct {
        uint32_t inner, low, high; /* the estimator is known to fall short as dimension grows */
    } cases[] = {{2, 1800, 2300}, {4, 3400, 4300}, {8, 6000, 8200}, {16, 9500, 16000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct points points;
        spread(&points, cases[i].inner);
        uint32_t found = estimate(&points, NULL, 1);
        if (found < cases[i].low || found > cases[i].high)
            fail_msg("%u dimensions are taken for %u/1000", cases[i].inner, found);
        assert_int_equal(estimate(&points, "portable", 3), found);
        assert_int_equal(estimate(&points, "avx2", 2), found);
        points_release(&points);
    }
}

static void nothing_to_go_by(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows < 12; rows += 5) {
        struct points points;
        points_init(&points, rows, 3);
        memset(points.x, 0, rows * 3 * sizeof(float));
        points_code(&points, VDB_METRIC_L2, 0);
        assert_int_equal(estimate(&points, NULL, 1), 0); /* all rows are the same, or too few */
        points_release(&points);
    }
}

/* ---- hubness ------------------------------------------------------------------------------- */

static int32_t hubness(const struct points *points, const char *set, unsigned threads)
{
    const struct kernels *kernels;
    int32_t thousandths;
    if (kernels_select(set, &kernels, NULL) != VDB_OK) kernels = kernels_best();
    assert_int_equal(hubness_estimate(&points->codes, kernels, threads, &thousandths, NULL),
                     VDB_OK);
    return thousandths;
}

/* Corners of a simplex, 128 rows all as far from each other, with what is their middle in code or
 * without. A corner is near to all others alike. */
static void simplex(struct points *points, int middle)
{
    points_init(points, 128 + (uint32_t)middle, 128);
    memset(points->x, 0, (size_t)points->rows * 128 * sizeof(float));
    for (size_t i = 0; i < 128; i++) points->x[i * 129] = 1;
    points_code(points, VDB_METRIC_L2, 0);
}

/* The middle is among the nearest of 128 rows. They name nine more each, and it names ten: 118 rows
 * are named by 9, and 10 by 10. The skewness of those 129 numbers is 11.214, that of one number
 * among 128 equal ones 127 / sqrt(128) = 11.225. */
static void one_hub(void **state)
{
    (void)state;
    struct points points;
    simplex(&points, 1);
    assert_int_equal(hubness(&points, NULL, 1), 11214);
    assert_int_equal(hubness(&points, "portable", 3), 11214);
    points_release(&points);
}

static void no_hubs(void **state)
{
    (void)state;
    struct points points;
    simplex(&points, 0);
    assert_int_equal(hubness(&points, NULL, 2), 0);
    points_release(&points);
    for (uint32_t rows = 1; rows < 60; rows += 29) { /* all rows are the same, or too few */
        points_init(&points, rows, 3);
        memset(points.x, 0, rows * 3 * sizeof(float));
        points_code(&points, VDB_METRIC_L2, 0);
        assert_int_equal(hubness(&points, NULL, 1), 0);
        points_release(&points);
    }
}

static float normal_random(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++) sum += unit_random();
    return sum;
}

/* In a few dimensions there are none; in many, the rows near the middle are hubs. */
static void hubs_come_with_dimensions(void **state)
{
    (void)state;
    static const struct {
        uint32_t dim;
        int32_t low, high;
    } cases[] = {{3, -500, 500}, {20, 900, 3000}, {100, 3000, 12000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct points points;
        points_init(&points, 5000, cases[i].dim);
        for (size_t j = 0; j < (size_t)5000 * cases[i].dim; j++) points.x[j] = normal_random();
        points_code(&points, VDB_METRIC_L2, 0);
        int32_t found = hubness(&points, NULL, 1);
        if (found < cases[i].low || found > cases[i].high)
            fail_msg("of %u dimensions the hubness is %d/1000", cases[i].dim, found);
        assert_int_equal(hubness(&points, "portable", 3), found);
        assert_int_equal(hubness(&points, "avx2", 2), found);
        points_release(&points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dimensions),
        cmocka_unit_test(nothing_to_go_by),
        cmocka_unit_test(one_hub),
        cmocka_unit_test(no_hubs),
        cmocka_unit_test(hubs_come_with_dimensions),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
