/* test_codes.c: the grid of the 8-bit codes, and coding rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/codes.h"
#include "points.h"

static enum vdb_status give_row(void *context, uint32_t row, float *x)
{
    const struct points *points = context;
    assert_in_range(row, 0, points->rows - 1);
    memcpy(x, points->x + (size_t)row * points->dim, points->dim * sizeof *x);
    return VDB_OK;
}

static struct quantizer train(struct points *points, enum vdb_metric metric)
{
    struct quantizer quantizer = {0.0f, 0};
    assert_int_equal(
        quantizer_train(&quantizer, points->rows, points->dim, metric, give_row, points, NULL),
        VDB_OK);
    assert_true(quantizer.scale > 0.0f && isfinite(quantizer.scale));
    return quantizer;
}

static void fill_integers(struct points *points, int low, int high)
{
    uint64_t seed = 1;
    for (size_t i = 0; i < (size_t)points->rows * points->dim; i++)
        points->x[i] = (float)(low + (int)(random_next(&seed) % (uint64_t)(high - low + 1)));
    points->x[0] = (float)low;
    points->x[1] = (float)high;
}

static void integers_are_exact(void **state)
{
    (void)state;
    static const int ranges[][3] = {{0, 255, 0}, {0, 1, 0}, {-128, 127, 128}, {-1, 3, 128}};
    struct points points;
    points_init(&points, 50, 70);
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        fill_integers(&points, ranges[r][0], ranges[r][1]);
        struct quantizer quantizer = train(&points, VDB_METRIC_L2);
        assert_true(quantizer.scale == 1.0f);
        assert_int_equal(quantizer.zero, ranges[r][2]);
        for (uint32_t row = 0; row < points.rows; row++) {
            uint8_t code[128];
            int32_t norm;
            const float *x = points.x + row * points.dim;
            codes_encode_row(kernels_best(), &quantizer, x, points.dim, code, &norm);
            for (uint32_t i = 0; i < points.dim; i++)
                assert_int_equal(code[i], (int)x[i] + ranges[r][2]);
        }
    }
    /* Beyond 255, below -128 with more than 127, or a fraction: no longer. */
    fill_integers(&points, 0, 255);
    points.x[5] = 256.0f;
    assert_true(train(&points, VDB_METRIC_L2).scale != 1.0f);
    fill_integers(&points, -128, 127);
    points.x[5] = 128.0f;
    assert_true(train(&points, VDB_METRIC_L2).scale != 1.0f);
    fill_integers(&points, 0, 3);
    points.x[5] = 0.5f;
    assert_true(train(&points, VDB_METRIC_L2).scale != 1.0f);
    points_release(&points);
}

/* Each value comes back within half a step, by arithmetic in binary64. */
static void values_come_back(void **state)
{
    (void)state;
    static const double shifts[] = {0.0, 5.0, -300.0, 1e4}, sizes[] = {1.0, 1e-20, 1e20};
    struct points points;
    points_init(&points, 100, 33);
    for (size_t s = 0; s < 4; s++)
        for (size_t t = 0; t < 3; t++) {
            uint64_t seed = 7;
            for (size_t i = 0; i < 3300; i++)
                points.x[i] = (float)(sizes[t] * (shifts[s] + 2.0 * random_unit(&seed) - 1.0));
            struct quantizer quantizer = train(&points, VDB_METRIC_IP);
            double scale = (double)quantizer.scale;
            assert_true(scale < 2.0 * sizes[t] / 250.0);
            for (uint32_t row = 0; row < 100; row++) {
                uint8_t code[64];
                int32_t norm;
                codes_encode_row(kernels_best(), &quantizer, points.x + row * 33, 33, code, &norm);
                for (uint32_t i = 0; i < 33; i++) {
                    double value = scale * (code[i] - quantizer.zero);
                    assert_true(fabs(value - (double)points.x[row * 33 + i]) < 0.6 * scale);
                }
            }
        }
    points_release(&points);
}

static void zero_is_exact(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 200, 20);
    points_cluster(&points, 3, 0.5, 4);
    struct quantizer quantizer = train(&points, VDB_METRIC_COSINE);
    float zeros[20] = {0};
    uint8_t code[64];
    int32_t norm;
    codes_encode_row(kernels_best(), &quantizer, zeros, 20, code, &norm);
    for (int i = 0; i < 20; i++) assert_int_equal(code[i], quantizer.zero);
    points_release(&points);
}

static void norms_and_padding(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 3, 63, 64, 65, 128, 1000, 65535};
    struct quantizer quantizer = {0.5f, 100};
    uint64_t seed = 3;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t bytes = codes_bytes(dims[d]);
        assert_int_equal(bytes % 64, 0);
        assert_in_range(bytes, dims[d], dims[d] + 63);
        float *x = malloc(dims[d] * sizeof *x);
        uint8_t *code = malloc(bytes);
        assert_true(x && code);
        for (uint32_t i = 0; i < dims[d]; i++) x[i] = (float)(100.0 * random_normal(&seed));
        memset(code, 0xee, bytes);
        int32_t norm;
        uint32_t returned = codes_encode_row(kernels_best(), &quantizer, x, dims[d], code, &norm);
        int64_t squares = 0, sum = 0;
        for (uint32_t i = 0; i < dims[d]; i++) {
            double grid = fmin(fmax(2.0 * (double)x[i] + 100.0, 0.0), 255.0);
            assert_true(fabs(grid - code[i]) < 0.501);
            squares += (int64_t)code[i] * code[i];
            sum += code[i];
        }
        for (size_t i = dims[d]; i < bytes; i++) assert_int_equal(code[i], 0);
        assert_int_equal(returned, (uint32_t)squares);
        assert_int_equal((uint32_t)norm, (uint32_t)(squares - 256 * sum));
        assert_int_equal(codes_norm(code, dims[d], 0), norm);
        for (uint32_t i = 0; i < dims[d]; i++) code[i] ^= 0x80;
        assert_int_equal(codes_norm(code, dims[d], 0x80), norm);
        free(x);
        free(code);
    }
}

/* Halves go up, which is what the format says. */
static void rounding(void **state)
{
    (void)state;
    static const float x[] = {0.5f, 1.5f, 2.5f, 0.49f, -1.0f, 254.5f, 255.0f, 300.0f};
    static const int expected[] = {1, 2, 3, 0, 0, 255, 255, 255};
    uint8_t code[64];
    int32_t norm;
    codes_encode_row(kernels_best(), &(struct quantizer){1.0f, 0}, x, 8, code, &norm);
    for (int i = 0; i < 8; i++) assert_int_equal(code[i], expected[i]);
}

/* A few wild values must not take the levels of all others, except under ip. */
static void outliers_are_clipped(void **state)
{
    (void)state;
    struct points points;
    points_init(&points, 20000, 20);
    points_cluster(&points, 10, 0.3, 9);
    points.x[1234] = 1e6f;
    points.x[56789] = -1e6f;
    struct quantizer quantizer = train(&points, VDB_METRIC_L2);
    assert_true(quantizer.scale < 0.1f);
    quantizer = train(&points, VDB_METRIC_IP);
    assert_true(quantizer.scale > 7000.0f);
    uint8_t code[64];
    int32_t norm;
    codes_encode_row(kernels_best(), &quantizer, (const float[]){1e6f, -1e6f}, 2, code, &norm);
    assert_in_range(code[0], 254, 255);
    assert_in_range(code[1], 0, 1);
    points_release(&points);
}

static void degenerate_rows(void **state)
{
    (void)state;
    static const float values[] = {0.0f,   3.7f,    -2e5f,  FLT_MAX, -FLT_MAX,
                                   1e-45f, FLT_MIN, 1e-30f, 1e30f,   0.5f};
    struct points points;
    points_init(&points, 10, 3);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int spread = 0; spread < 2; spread++)
            for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
                for (int j = 0; j < 30; j++) points.x[j] = spread && j % 2 ? -values[i] : values[i];
                struct quantizer quantizer = train(&points, (enum vdb_metric)metric);
                uint8_t code[64], other[64];
                int32_t norm;
                codes_encode_row(kernels_best(), &quantizer, points.x, 3, code, &norm);
                codes_encode_row(kernels_best(), &quantizer, points.x + 6, 3, other, &norm);
                assert_memory_equal(code, other, 64);
                if (spread && fabsf(values[i]) > 1e-30f) assert_int_not_equal(code[0], code[1]);
            }
    struct quantizer quantizer;
    assert_int_equal(quantizer_train(&quantizer, 0, 3, VDB_METRIC_L2, give_row, &points, NULL),
                     VDB_OK);
    assert_true(quantizer.scale > 0.0f);
    points_release(&points);
}

static enum vdb_status refuse(void *context, uint32_t row, float *x)
{
    (void)context;
    x[0] = 0.0f;
    return row < 3 ? VDB_OK : VDB_CORRUPT;
}

static void errors_are_passed_on(void **state)
{
    (void)state;
    struct quantizer quantizer;
    assert_int_equal(quantizer_train(&quantizer, 10, 1, VDB_METRIC_L2, refuse, NULL, NULL),
                     VDB_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact), cmocka_unit_test(values_come_back),
        cmocka_unit_test(zero_is_exact),      cmocka_unit_test(norms_and_padding),
        cmocka_unit_test(rounding),           cmocka_unit_test(outliers_are_clipped),
        cmocka_unit_test(degenerate_rows),    cmocka_unit_test(errors_are_passed_on),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
