/* test_codes4.c: 4-bit codes, and how near the estimates from them come.
 *
 * Expected values: the header's definition in double precision, and distances from the values
 * themselves.
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

#include "index/space.h"
#include "points.h"
#include "slow.h"

static const uint32_t dims[] = {1,   2,   3,   4,   63,  64,  65,  100, 127,  128,
                                129, 255, 256, 257, 511, 512, 513, 784, 1024, 2001};

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

/* One row and one query about a centre, and what they are coded as; memory is of the exact size
 * for the address sanitizer to watch. */
struct sample {
    struct codes4 codes;
    float *center, *row, *query, *scratch;
    uint8_t *code;
    int8_t *query8;
    size_t bytes;
    struct codes4_factors factors;
    struct kernel_query4 prepared;
    float estimate;
};

static void sample_init(struct sample *sample, const struct kernels *kernels, uint32_t dim,
                        bool rotated)
{
    size_t bytes = codes4_bytes(dim);
    *sample = (struct sample){
        .center = calloc(dim, sizeof(float)),
        .row = calloc(dim, sizeof(float)),
        .query = calloc(dim, sizeof(float)),
        .scratch = malloc(codes4_scratch(dim) * sizeof(float)),
        .code = malloc(bytes),
        .query8 = aligned_alloc(64, 2 * bytes),
        .bytes = bytes,
    };
    assert_true(sample->center && sample->row && sample->query && sample->scratch && sample->code &&
                sample->query8);
    sample->codes = (struct codes4){kernels, sample->center, dim, rotated};
    memset(sample->scratch, 0xee, codes4_scratch(dim) * sizeof(float));
    memset(sample->code, 0xee, bytes);
    memset(sample->query8, 0xee, 2 * bytes);
}

static void sample_release(struct sample *sample)
{
    free(sample->center);
    free(sample->row);
    free(sample->query);
    free(sample->scratch);
    free(sample->code);
    free(sample->query8);
}

static void sample_fill(struct sample *sample, uint64_t seed)
{
    for (uint32_t i = 0; i < sample->codes.dim; i++) {
        sample->center[i] = (float)(3.0 * random_normal(&seed));
        sample->row[i] = sample->center[i] + (float)random_normal(&seed);
        sample->query[i] = sample->center[i] + (float)random_normal(&seed);
    }
}

static float sample_measure(const struct sample *sample, const struct kernel_query4 *prepared)
{
    struct kernel_codes from = {.code = sample->code,
                                .factors = (const uint8_t *)&sample->factors,
                                .bytes = sample->bytes,
                                .lines = 1};
    static const uint32_t rows[4] = {0, 0, 0, 0};
    struct kernel_list list = {.rows = rows, .count = 4};
    uint32_t distances[4];
    sample->codes.kernels->list_u4i8(&from, &list, prepared, distances);
    return space_disorder(distances[3]);
}

static void sample_code(struct sample *sample, bool ip)
{
    codes4_encode(&sample->codes, sample->row, sample->scratch, sample->code, &sample->factors);
    codes4_prepare(&sample->codes, sample->query, ip, sample->scratch, sample->query8,
                   &sample->prepared);
    sample->estimate = sample_measure(sample, &sample->prepared);
}

static float sample_l2sq(const struct sample *sample)
{
    return sample->estimate;
}

static float sample_ip(const struct sample *sample)
{
    return -sample->estimate;
}

static double dot(const float *x, const float *y, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static double l2sq(const float *x, const float *y, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum;
}

/* ---- codes --------------------------------------------------------------------------------- */

/* y as it is coded: the rotation has its own test. */
static void centred(const struct sample *sample, const float *x, float *y)
{
    for (uint32_t i = 0; i < sample->codes.dim; i++) y[i] = x[i] - sample->center[i];
    if (sample->codes.rotated) sample->codes.kernels->rotate(y, sample->codes.dim);
}

static int stored_value(const struct sample *sample, uint32_t i)
{
    uint32_t half = (sample->codes.dim + 1) / 2;
    return i < half ? sample->code[i] % 16 : sample->code[i - half] / 16;
}

/* The best of the steps for y, by the cosine in double precision; whether the code is that of the
 * step, but for values that lie on the border of two levels. */
static double best_cosine(const float *y, uint32_t dim)
{
    static const double steps[] = {0.22, 0.27, 0.31, 0.35, 0.40, 0.46};
    double rms = sqrt(dot(y, y, dim) / dim), best = 0.0;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        double wy = 0.0, ww = 0.0;
        for (uint32_t i = 0; i < dim; i++) {
            double level = fmin(fmax(floor((double)y[i] / (steps[s] * rms) + 8.0), 0.0), 15.0);
            wy += (2.0 * level - 15.0) * (double)y[i];
            ww += (2.0 * level - 15.0) * (2.0 * level - 15.0);
        }
        best = fmax(best, wy / sqrt(ww * dot(y, y, dim)));
    }
    return best;
}

static void check_code(struct sample *sample)
{
    uint32_t dim = sample->codes.dim;
    float *y = malloc(dim * sizeof *y);
    assert_non_null(y);
    centred(sample, sample->row, y);
    double wy = 0.0, ww = 0.0, yy = dot(y, y, dim);
    for (uint32_t i = 0; i < dim; i++) {
        double w = 2.0 * stored_value(sample, i) - 15.0;
        wy += w * (double)y[i];
        ww += w * w;
    }
    assert_true(fabs(wy / sqrt(ww * yy) - best_cosine(y, dim)) < 1e-5);
    assert_true(fabs((double)sample->factors.norm - yy) <= 1e-5 * yy);
    assert_true(fabs((double)sample->factors.f - 2.0 * yy / wy) <= 1e-5 * 2.0 * yy / wy);
    free(y);
}

static void check_query(struct sample *sample)
{
    uint32_t dim = sample->codes.dim, half = (dim + 1) / 2;
    float *q = malloc(dim * sizeof *q);
    assert_non_null(q);
    centred(sample, sample->query, q);
    double largest = 0.0, qq = dot(q, q, dim);
    for (uint32_t i = 0; i < dim; i++) largest = fmax(largest, fabs((double)q[i]));
    int32_t sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        int8_t stored = sample->query8[i < half ? i : sample->bytes + i - half];
        assert_true(fabs((double)q[i] * 127.0 / largest - stored) < 0.501);
        sum += stored;
    }
    assert_true(fabs((double)sample->prepared.scale - largest / 127.0) <= 1e-5 * largest);
    assert_true(fabs((double)sample->prepared.norm - qq) <= 1e-5 * qq);
    assert_int_equal(sample->prepared.offset, 15 * sum);
    free(q);
}

static void codes_are_as_defined(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (uint64_t seed = 0; seed < 40; seed++) {
            struct sample sample;
            sample_init(&sample, sets[seed / 2 % sets_count], dims[d], seed % 2);
            sample_fill(&sample, seed);
            sample_code(&sample, false);
            check_code(&sample);
            check_query(&sample);
            sample_release(&sample);
        }
}

static void layout_is_as_described(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct sample sample;
        uint32_t dim = dims[d], half = (dim + 1) / 2;
        sample_init(&sample, sets[0], dim, false);
        assert_int_equal(sample.bytes, (half + 63) / 64 * 64);
        sample_fill(&sample, 77);
        sample_code(&sample, false);
        for (size_t j = half; j < sample.bytes; j++) {
            assert_int_equal(sample.code[j], 0);
            assert_int_equal(sample.query8[j], 0);
        }
        for (size_t j = dim - half; j < sample.bytes; j++)
            assert_int_equal(sample.query8[sample.bytes + j], 0);
        if (dim % 2) assert_int_equal(sample.code[half - 1] / 16, 0);

        /* A dimension's value has its own place, and no other. */
        for (uint32_t at = 0; at < dim; at += at < 3 || at + 3 >= dim ? 1 : dim / 5 + 1) {
            memcpy(sample.row, sample.center, dim * sizeof *sample.row);
            sample.row[at] += 1000.0f;
            sample_code(&sample, false);
            for (uint32_t i = 0; i < dim; i++)
                assert_int_equal(stored_value(&sample, i) > 8, i == at);
        }
        sample_release(&sample);
    }
}

static void sets_agree_bit_for_bit(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (int variant = 0; variant < 4; variant++) {
            struct sample first, other;
            sample_init(&first, sets[0], dims[d], variant & 1);
            sample_fill(&first, d);
            sample_code(&first, variant & 2);
            for (size_t s = 1; s < sets_count; s++) {
                sample_init(&other, sets[s], dims[d], variant & 1);
                sample_fill(&other, d);
                sample_code(&other, variant & 2);
                assert_memory_equal(other.code, first.code, first.bytes);
                assert_memory_equal(other.query8, first.query8, 2 * first.bytes);
                assert_memory_equal(&other.factors, &first.factors, sizeof first.factors);
                assert_true(other.prepared.scale == first.prepared.scale);
                assert_true(other.prepared.norm == first.prepared.norm);
                assert_int_equal(other.prepared.offset, first.prepared.offset);
                assert_memory_equal(&other.estimate, &first.estimate, sizeof first.estimate);
                sample_release(&other);
            }
            sample_release(&first);
        }
}

/* ---- estimates ----------------------------------------------------------------------------- */

/* The errors of 4 bits normally spread are 0.115 of a value's deviation (Max 1960: a mean square
 * of 0.01154 for 16 levels evenly spaced); 1 / 127 of the largest is that of a query's byte. So
 * <y, q> misses by about 0.11 |y| |q| / sqrt(dim). */
static void estimates_are_near(void **state)
{
    (void)state;
    static const uint32_t some[] = {16, 64, 127, 300, 512, 784, 1023};
    for (size_t d = 0; d < sizeof some / sizeof *some; d++)
        for (int variant = 0; variant < 4; variant++) {
            double squares_l2 = 0.0, squares_ip = 0.0, bias = 0.0;
            uint32_t dim = some[d];
            int rounds = 400;
            struct sample sample;
            sample_init(&sample, sets[sets_count - 1], dim, variant & 1);
            for (int round = 0; round < rounds; round++) {
                sample_fill(&sample, (uint64_t)round * 1000 + d);
                if (variant & 2) /* neighbours */
                    for (uint32_t i = 0; i < dim; i++)
                        sample.query[i] = 0.9f * sample.row[i] + 0.1f * sample.query[i];
                double yy = l2sq(sample.row, sample.center, dim);
                double qq = l2sq(sample.query, sample.center, dim);
                double unit = sqrt(yy * qq / dim);
                sample_code(&sample, false);
                double error = (double)sample_l2sq(&sample) - l2sq(sample.row, sample.query, dim);
                squares_l2 += error * error / (unit * unit);
                bias += error / unit;

                sample_code(&sample, true);
                unit = sqrt(yy * dot(sample.query, sample.query, dim) / dim);
                error = (double)sample_ip(&sample) - dot(sample.row, sample.query, dim);
                squares_ip += error * error / (unit * unit);
            }
            double l2 = sqrt(squares_l2 / rounds), ip = sqrt(squares_ip / rounds);
            if (!(l2 < 2 * 0.14 && ip < 0.14 && fabs(bias / rounds) < 0.05))
                fail_msg("%u dimensions, variant %d: l2 %g ip %g bias %g", dim, variant, l2, ip,
                         bias / rounds);
            sample_release(&sample);
        }
}

/* Where the query lies along the row, no error of the code counts. */
static void estimates_along_the_row_are_exact(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (int rotated = 0; rotated < 2; rotated++) {
            struct sample sample;
            uint32_t dim = dims[d];
            sample_init(&sample, sets[0], dim, rotated);
            sample_fill(&sample, d);
            memset(sample.center, 0, dim * sizeof *sample.center);
            /* Few values, so that those of the query are bytes but for a factor. */
            for (uint32_t i = 0; i < dim; i++) {
                sample.row[i] = (float)((int)(i * i % 7) - 3) + (i == 0 ? 130.0f : 0.0f);
                sample.query[i] = 2.0f * sample.row[i];
            }
            sample.row[0] = 127.0f;
            sample.query[0] = 254.0f;
            sample_code(&sample, false);
            double yy = dot(sample.row, sample.row, dim), tolerance = rotated ? 2e-2 : 1e-5;
            assert_true(fabs((double)sample_l2sq(&sample) - yy) <= tolerance * yy);
            sample_code(&sample, true);
            assert_true(fabs((double)sample_ip(&sample) - 2.0 * yy) <= tolerance * yy);
            sample_release(&sample);
        }
}

/* Between rows both errors count, those of 4 bits: sqrt(2) * 0.115 and a little. Those of
 * neighbours go together a little. */
static void estimates_between_rows_are_near(void **state)
{
    (void)state;
    static const uint32_t some[] = {16, 63, 100, 128, 785};
    for (size_t d = 0; d < sizeof some / sizeof *some; d++)
        for (int variant = 0; variant < 4; variant++) {
            double squares = 0.0, bias = 0.0;
            uint32_t dim = some[d];
            int rounds = 300;
            struct sample sample, other;
            sample_init(&sample, sets[sets_count - 1], dim, variant & 1);
            sample_init(&other, sets[sets_count - 1], dim, variant & 1);
            for (int round = 0; round < rounds; round++) {
                sample_fill(&sample, (uint64_t)round * 1000 + d);
                sample_fill(&other, (uint64_t)round * 1000 + d);
                memcpy(other.row, sample.query, dim * sizeof *other.row);
                if (variant & 2) /* neighbours */
                    for (uint32_t i = 0; i < dim; i++)
                        other.row[i] = 0.9f * sample.row[i] + 0.1f * other.row[i];
                sample_code(&sample, false);
                sample_code(&other, false);
                codes4_prepare_row(dim, other.code, &other.factors, other.query8, &other.prepared);
                double yy = l2sq(sample.row, sample.center, dim);
                double unit = sqrt(yy * l2sq(other.row, sample.center, dim) / dim);
                double error = (double)sample_measure(&sample, &other.prepared) -
                               l2sq(sample.row, other.row, dim);
                squares += error * error / (unit * unit);
                bias += error / unit;
            }
            if (!(sqrt(squares / rounds) < 2 * 0.2 &&
                  fabs(bias / rounds) < (variant & 2 ? 0.2 : 0.05)))
                fail_msg("%u dimensions, variant %d: l2 %g bias %g", dim, variant,
                         sqrt(squares / rounds), bias / rounds);
            sample_release(&sample);
            sample_release(&other);
        }
}

/* ---- extremes ------------------------------------------------------------------------------ */

static void nothing_but_the_centre(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (int rotated = 0; rotated < 2; rotated++) {
            struct sample sample;
            uint32_t dim = dims[d];
            sample_init(&sample, sets[sets_count - 1], dim, rotated);
            sample_fill(&sample, d);
            double qq = l2sq(sample.query, sample.center, dim);

            memcpy(sample.row, sample.center, dim * sizeof *sample.row);
            sample_code(&sample, false);
            assert_true(sample.factors.norm == 0.0f && sample.factors.f == 0.0f);
            assert_true(fabs((double)sample_l2sq(&sample) - qq) <= 1e-5 * qq);
            sample_code(&sample, true);
            double ip = dot(sample.center, sample.query, dim);
            assert_true(fabs((double)sample_ip(&sample) - ip) <=
                        1e-5 * sqrt(dot(sample.center, sample.center, dim) *
                                    dot(sample.query, sample.query, dim)));

            memcpy(sample.query, sample.center, dim * sizeof *sample.query);
            sample_code(&sample, false);
            assert_true(sample_l2sq(&sample) == 0.0f);
            sample_release(&sample);
        }
}

static void estimates_are_finite(void **state)
{
    (void)state;
    static const float sizes[] = {0.0f,  1e-45f, FLT_MIN, 1e-30f, 1e-20f, 1e-19f, 1e-18f, 1e10f,
                                  1e16f, 2e16f,  1e18f,   1e19f,  1e20f,  1e30f,  3e38f,  FLT_MAX};
    size_t count = sizeof sizes / sizeof *sizes;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t i = 0; i < count * count * count; i += SLOW ? 7 : 1) {
            struct sample sample;
            sample_init(&sample, sets[i % sets_count], dims[d], i / 3 % 2);
            uint64_t seed = i;
            for (uint32_t j = 0; j < dims[d]; j++) {
                uint64_t signs = random_next(&seed) >> 32;
                sample.row[j] = signs & 1 ? sizes[i % count] : -sizes[i % count];
                sample.query[j] = signs & 2 ? sizes[i / count % count] : -sizes[i / count % count];
                sample.center[j] = signs & 4 ? sizes[i / count / count] : -sizes[i / count / count];
            }
            if (i % 5 == 0) memset(sample.row + 1, 0, (dims[d] - 1) * sizeof *sample.row);
            sample_code(&sample, false);
            assert_true(isfinite(sample.factors.norm) && isfinite(sample.factors.f));
            assert_true(sample.factors.norm >= 0.0f && sample.factors.f >= 0.0f);
            assert_true(isfinite(sample_l2sq(&sample)) && sample_l2sq(&sample) >= 0.0f);
            sample_code(&sample, true);
            assert_true(isfinite(sample_ip(&sample)));
            sample_release(&sample);
        }
}

/* What is too large counts as 2^48, what is too small as nothing. */
static void limits_are_as_described(void **state)
{
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct sample sample;
        uint32_t dim = dims[d];
        sample_init(&sample, sets[d % sets_count], dim, d % 2);
        for (uint32_t i = 0; i < dim; i++) {
            sample.row[i] = i % 3 ? FLT_MAX : -1e30f;
            sample.query[i] = i % 2 ? -0x1p57f : 3e38f;
        }
        sample_code(&sample, false);
        double largest = (double)dim * 0x1p96;
        assert_true(fabs((double)sample.factors.norm - largest) <= 1e-5 * largest);
        assert_true(fabs((double)sample.prepared.norm - largest) <= 1e-5 * largest);

        for (uint32_t i = 0; i < dim; i++) {
            sample.row[i] = 0x1p-70f;
            sample.query[i] = 0x1p-110f;
        }
        sample_code(&sample, false);
        assert_true(sample.factors.norm == 0.0f && sample.factors.f == 0.0f);
        assert_true(sample.prepared.scale == 0.0f);
        for (size_t i = 0; i < 2 * sample.bytes; i++) assert_int_equal(sample.query8[i], 0);
        for (size_t i = 0; i < sample.bytes; i++) assert_int_equal(sample.code[i], 0);
        sample_release(&sample);
    }
}

/* Rows of a damaged file must do no harm, though nothing is said of their estimates. */
static void damaged_values_do_no_harm(void **state)
{
    (void)state;
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t i = 0; i < 64; i++) {
            struct sample sample;
            sample_init(&sample, sets[i % sets_count], dims[d], i / 3 % 2);
            sample_fill(&sample, i);
            sample.row[i % dims[d]] = odd[i % 4];
            sample.query[i * 7 % dims[d]] = odd[i / 4 % 4];
            sample.center[i * 5 % dims[d]] = odd[i / 16];
            sample_code(&sample, false);
            assert_true(isfinite(sample.factors.norm) && isfinite(sample.factors.f));
            assert_true(isfinite(sample_l2sq(&sample)));
            sample_code(&sample, true);
            sample_release(&sample);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_as_defined),
        cmocka_unit_test(layout_is_as_described),
        cmocka_unit_test(sets_agree_bit_for_bit),
        cmocka_unit_test(estimates_are_near),
        cmocka_unit_test(estimates_along_the_row_are_exact),
        cmocka_unit_test(estimates_between_rows_are_near),
        cmocka_unit_test(nothing_but_the_centre),
        cmocka_unit_test(estimates_are_finite),
        cmocka_unit_test(limits_are_as_described),
        cmocka_unit_test(damaged_values_do_no_harm),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("codes4", tests, set_up, NULL);
}
