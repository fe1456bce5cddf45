/* test_rotation.c: the rotation is what rotation.h says, in every kernel set.
 *
 * Expected values: the definition in double precision, with the transform as a matrix of signs.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "points.h"
#include "vector/kernel.h"

#define DIM_MAX 65535

static const uint32_t dims[] = {1,   2,   3,   5,   8,   15,   16,   31,   32,   33,  63,
                                64,  65,  100, 127, 128, 129,  200,  255,  256,  257, 511,
                                512, 513, 784, 960, 999, 1023, 1024, 1025, 1536, 2048};

static const struct kernels *sets[4];
static size_t sets_count;

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kernels_select(names[i], &sets[sets_count], NULL) != VDB_OK)
            print_message("# not run on this CPU: %s\n", names[i]);
        else
            sets_count++;
    }
    return sets_count > 0 ? 0 : -1;
}

static float *random_vector(uint32_t n, uint64_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (uint32_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

/* Output number k of splitmix64, as its authors give it: a state that grows, and is then mixed. */
static uint64_t splitmix64(uint64_t seed, uint32_t k)
{
    uint64_t state = seed, z = 0;
    for (uint32_t i = 0; i <= k; i++) {
        state += UINT64_C(11400714819323198485);
        z = state;
        z = (z ^ (z >> 30)) * UINT64_C(13787848793156543929);
        z = (z ^ (z >> 27)) * UINT64_C(10723151780598845931);
        z = z ^ (z >> 31);
    }
    return z;
}

/* Row i of the matrix of Sylvester's construction has the sign (-1)^(number of bits in i & j). */
static void transform(double *x, uint32_t p)
{
    double *y = calloc(p, sizeof *y);
    assert_non_null(y);
    for (uint32_t i = 0; i < p; i++)
        for (uint32_t j = 0; j < p; j++) y[i] += __builtin_parity(i & j) ? -x[j] : x[j];
    for (uint32_t i = 0; i < p; i++) x[i] = y[i] / sqrt(p);
    free(y);
}

static void expected_rotation(double *x, uint32_t n)
{
    uint32_t p = 1;
    while (2 * p <= n) p *= 2;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < n; i++)
            if (splitmix64(round, i / 64) >> (i % 64) & 1) x[i] = -x[i];
        transform(round == 0 ? x : x + n - p, p);
    }
    for (uint32_t i = 0; p != n && i < n / 2; i++) {
        double a = x[i], b = x[n - 1 - i];
        x[i] = (a + b) / sqrt(2.0);
        x[n - 1 - i] = (a - b) / sqrt(2.0);
    }
}

static void splitmix64_is_the_known_one(void **state)
{
    (void)state;
    /* The first outputs for the seed 1234567, as published with other implementations. */
    assert_true(splitmix64(1234567, 0) == UINT64_C(6457827717110365317));
    assert_true(splitmix64(1234567, 1) == UINT64_C(3203168211198807973));
}

static void rotation_is_as_defined(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t n = dims[d];
        float *x = random_vector(n, n);
        double *expected = malloc(n * sizeof *expected);
        assert_non_null(expected);
        for (uint32_t i = 0; i < n; i++) expected[i] = (double)x[i];
        expected_rotation(expected, n);
        sets[0]->rotate(x, n);
        for (uint32_t i = 0; i < n; i++)
            if (!(fabs((double)x[i] - expected[i]) < 1e-5))
                fail_msg("%u dimensions: x[%u] is %g, expected %g", n, i, (double)x[i],
                         expected[i]);
        free(expected);
        free(x);
    }
}

static void sets_agree_bit_for_bit(void **state)
{
    (void)state;
    static float memory[DIM_MAX + 64];
    for (uint32_t n = 1; n <= DIM_MAX; n = n < 1100 ? n + 1 : 2 * n + 1 - n % 3) {
        float *x = random_vector(n, n), *first = malloc(n * sizeof *first);
        assert_non_null(first);
        for (uint32_t i = 0; i < n; i += 7) x[i] = i % 2 ? 0.0f : -0.0f;
        memcpy(first, x, n * sizeof *x);
        sets[0]->rotate(first, n);
        for (size_t s = 1; s < sets_count; s++) {
            float *moved = memory + n % 17; /* no alignment is asked for */
            memcpy(moved, x, n * sizeof *x);
            moved[n] = 12345.0f;
            sets[s]->rotate(moved, n);
            if (memcmp(moved, first, n * sizeof *x) != 0)
                fail_msg("%s differs from %s at %u dimensions", sets[s]->name, sets[0]->name, n);
            assert_true(moved[n] == 12345.0f);
        }
        free(first);
        free(x);
    }
}

static double dot(const float *x, const float *y, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static void lengths_and_products_are_kept(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= DIM_MAX; n = n < 300 ? n + 1 : n + n / 2) {
        float *x = random_vector(n, n), *y = random_vector(n, n + 1000000);
        double xx = dot(x, x, n), yy = dot(y, y, n), xy = dot(x, y, n);
        sets[sets_count - 1]->rotate(x, n);
        sets[sets_count - 1]->rotate(y, n);
        assert_true(fabs(dot(x, x, n) - xx) <= 1e-5 * xx);
        assert_true(fabs(dot(y, y, n) - yy) <= 1e-5 * yy);
        assert_true(fabs(dot(x, y, n) - xy) <= 1e-5 * sqrt(xx * yy));
        free(y);
        free(x);
    }
}

/* Vectors of few values other than 0, where a code of few bits is at its worst: a single one, and
 * blocks of ones. The mean fourth power is 3 for normal values of variance 1. */
static void energy_is_spread(void **state)
{
    (void)state;
    static const uint32_t from512[] = {512, 513, 600, 767, 784, 960, 1023, 1024, 1536};
    for (size_t d = 0; d < sizeof from512 / sizeof *from512; d++) {
        uint32_t n = from512[d];
        float *x = malloc(n * sizeof *x);
        assert_non_null(x);
        for (uint32_t at = 0; at < n; at++)
            for (uint32_t width = 1; width <= n / 8; width += n / 8 - 1) {
                memset(x, 0, n * sizeof *x);
                for (uint32_t i = 0; i < width; i++) x[(at + i) % n] = 1.0f;
                sets[sets_count - 1]->rotate(x, n);
                double fourth = 0.0;
                for (uint32_t i = 0; i < n; i++) {
                    double square = (double)x[i] * (double)x[i] * n / width;
                    fourth += square * square / n;
                    if (square > 6.0 * 6.0)
                        fail_msg("%u ones at %u of %u: one value stands out, %g", width, at, n,
                                 sqrt(square));
                }
                if (fourth > 5.5)
                    fail_msg("%u ones at %u of %u: kurtosis %g", width, at, n, fourth);
            }
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitmix64_is_the_known_one),
        cmocka_unit_test(rotation_is_as_defined),
        cmocka_unit_test(sets_agree_bit_for_bit),
        cmocka_unit_test(lengths_and_products_are_kept),
        cmocka_unit_test(energy_is_spread),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("rotation", tests, set_up, NULL);
}
