/* test_margin.c: bias and error are those of all pairs, where a walk of a few rows meets them all.
 *
 * Expected values: every pair of rows, with the estimate by its definition in format-spec/codes.md
 * in double precision. For 4 bits a walk rounds its query to bytes, which adds something of its
 * own: they are held to a part of the error.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/codes4.h"
#include "index/margin.h"
#include "points.h"

#define ROWS 30u /* all of them candidates of each walk */
#define DIM  96u

static struct points points;

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    (void)context;
    memcpy(x, points.x + (size_t)row * DIM, DIM * sizeof *x);
    return VDB_OK;
}

static struct quality_rows rows_of(enum vdb_metric metric, const char *isa)
{
    struct quality_rows rows = {
        .rows = ROWS, .dim = DIM, .metric = metric, .row_fn = row_of, .threads = 1};
    if (kernels_select(isa, &rows.kernels, NULL)) rows.kernels = kernels_best();
    return rows;
}

/* Rows about 3 centres, or whole numbers of 0 to 255, coded and joined by a graph. */
static void make(enum vdb_metric metric, bool whole)
{
    points_init(&points, ROWS, DIM);
    points_cluster(&points, 3, 0.4, 5);
    for (uint32_t i = 0; i < ROWS * DIM && whole; i++) points.x[i] = (float)(i * 7919u % 256u);
    points_code(&points, metric, 0);
    struct graph_params params = {.threads = 1};
    points_build(&points, &params, NULL);
}

static const float *row_at(uint32_t row)
{
    return points.x + (size_t)row * DIM;
}

/* What the metric orders by. */
static double truth(enum vdb_metric metric, uint32_t a, uint32_t b)
{
    double dot = 0, square = 0;
    for (uint32_t i = 0; i < DIM; i++) {
        double x = (double)row_at(a)[i], y = (double)row_at(b)[i];
        dot += x * y;
        square += (x - y) * (x - y);
    }
    return metric == VDB_METRIC_L2 ? square : metric == VDB_METRIC_IP ? -dot : 1 - dot;
}

static double estimate8(enum vdb_metric metric, uint32_t row, uint32_t query)
{
    const struct codes *codes = &points.codes;
    const uint8_t *c = codes->code + row * codes->code_stride,
                  *q = codes->code + query * codes->code_stride;
    double scale = (double)codes->scale, dot = 0, square = 0, largest = 0;
    for (uint32_t i = 0; i < DIM; i++) largest = fmax(largest, fabs((double)row_at(query)[i]));
    for (uint32_t i = 0; i < DIM; i++) {
        double k = round((double)row_at(query)[i] * 127 / largest);
        dot += k * largest / 127 * scale * (c[i] - codes->zero);
        square += (c[i] - q[i]) * (c[i] - q[i]);
    }
    if (metric == VDB_METRIC_IP) return -dot;
    return scale * scale * square / (metric == VDB_METRIC_COSINE ? 2 : 1);
}

/* The rows in 4 bits, not rotated, about a centre of 0.25. */
struct four {
    struct codes codes;
    float center[DIM];
    uint8_t row[ROWS][64];
    struct codes4_factors factors[ROWS];
};

static void make_four(struct four *f, enum vdb_metric metric)
{
    float *scratch = malloc(codes4_scratch(DIM) * sizeof *scratch);
    assert_non_null(scratch);
    for (uint32_t i = 0; i < DIM; i++) f->center[i] = 0.25f;
    struct codes4 coder = {kernels_best(), f->center, DIM, false};
    for (uint32_t row = 0; row < ROWS; row++)
        codes4_encode(&coder, row_at(row), scratch, f->row[row], &f->factors[row]);
    free(scratch);
    f->codes = (struct codes){
        .kind = CODES_4,
        .metric = metric,
        .rows = ROWS,
        .dim = DIM,
        .code = f->row[0],
        .code_stride = 64,
        .bytes = 64,
        .norm = (const uint8_t *)f->factors,
        .norm_stride = sizeof f->factors[0],
        .center = f->center,
    };
}

static double estimate4(const struct four *f, enum vdb_metric metric, uint32_t row, uint32_t query)
{
    double sum = 0, square = 0, apart = 0;
    for (uint32_t i = 0; i < DIM; i++) {
        int v = i < DIM / 2 ? f->row[row][i] & 15 : f->row[row][i - DIM / 2] >> 4;
        double q = (double)row_at(query)[i], center = (double)f->center[i];
        double r = metric == VDB_METRIC_IP ? q : q - center;
        sum += (2 * v - 15) * r;
        square += r * r;
        apart += q * center;
    }
    double norm = (double)f->factors[row].norm, factor = (double)f->factors[row].f;
    if (metric == VDB_METRIC_IP) return -(apart + factor / 2 * sum);
    double l2sq = fmax(0, square + norm - factor * sum);
    return metric == VDB_METRIC_COSINE ? l2sq / 2 : l2sq;
}

static void expected(enum vdb_metric metric, const struct four *f, double *bias, double *error)
{
    double one = 0, square = 0, count = ROWS * (ROWS - 1);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t a = 0; a < ROWS; a++)
            for (uint32_t q = 0; q < ROWS; q++) {
                if (a == q) continue;
                double off = (f ? estimate4(f, metric, a, q) : estimate8(metric, a, q)) -
                             truth(metric, a, q);
                if (pass == 0) one += off / count;
                if (pass == 1) square += (off - one) * (off - one) / count;
            }
    *bias = one;
    *error = sqrt(square);
}

static void held(enum vdb_metric metric, struct codes *codes, const struct four *f, double part)
{
    double bias, error;
    struct quality_rows rows = rows_of(metric, NULL);
    codes->bias = codes->error = 77;
    assert_int_equal(margin_measure(&rows, &points.graph, codes, NULL), VDB_OK);
    expected(metric, f, &bias, &error);
    assert_true(error > 0);
    if (fabs((double)codes->bias - bias) > part * error ||
        fabs((double)codes->error - error) > part * error)
        fail_msg("metric %d: bias %g, error %g; expected %g, %g", (int)metric, (double)codes->bias,
                 (double)codes->error, bias, error);
}

static void all_pairs_of_8_bits(void **state)
{
    (void)state;
    for (enum vdb_metric metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        make(metric, false);
        held(metric, &points.codes, NULL, 1e-4);
        points_release(&points);
    }
}

static void all_pairs_of_4_bits(void **state)
{
    (void)state;
    for (enum vdb_metric metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        struct four *f = calloc(1, sizeof *f);
        assert_non_null(f);
        make(metric, false);
        make_four(f, metric);
        points.graph.pivot_codes = points.graph.pivot_norms = NULL; /* they are of 8 bits */
        held(metric, &f->codes, f, 0.05);
        points_release(&points);
        free(f);
    }
}

static void nothing_where_codes_are_the_values(void **state)
{
    (void)state;
    make(VDB_METRIC_L2, true);
    assert_true(points.codes.scale == 1.0f);
    struct quality_rows rows = rows_of(VDB_METRIC_L2, NULL);
    points.codes.bias = points.codes.error = 77;
    assert_int_equal(margin_measure(&rows, &points.graph, &points.codes, NULL), VDB_OK);
    assert_true(points.codes.bias == 0.0f);
    assert_true(points.codes.error == 0.0f);
    points_release(&points);
}

static void the_same_from_any_kernels(void **state)
{
    (void)state;
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    struct four *f = calloc(1, sizeof *f);
    assert_non_null(f);
    make(VDB_METRIC_COSINE, false);
    make_four(f, VDB_METRIC_COSINE);
    points.graph.pivot_codes = points.graph.pivot_norms = NULL;
    float bias = 0, error = 0;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        struct quality_rows rows = rows_of(VDB_METRIC_COSINE, isas[i]);
        assert_int_equal(margin_measure(&rows, &points.graph, &f->codes, NULL), VDB_OK);
        if (i == 0) bias = f->codes.bias, error = f->codes.error;
        assert_true(f->codes.bias == bias && f->codes.error == error);
    }
    points_release(&points);
    free(f);
}

/* Values so far apart that their squares leave binary32: every candidate is to be measured. */
static void beyond_binary32(void **state)
{
    (void)state;
    make(VDB_METRIC_L2, false);
    for (uint32_t i = 0; i < ROWS * DIM; i++) points.x[i] *= 1e25f;
    points.codes.scale *= 1e25f;
    struct quality_rows rows = rows_of(VDB_METRIC_L2, NULL);
    assert_int_equal(margin_measure(&rows, &points.graph, &points.codes, NULL), VDB_OK);
    assert_true(points.codes.bias == 0.0f);
    assert_true(points.codes.error > 1e38f && isfinite(points.codes.error));
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_of_8_bits),
        cmocka_unit_test(all_pairs_of_4_bits),
        cmocka_unit_test(nothing_where_codes_are_the_values),
        cmocka_unit_test(the_same_from_any_kernels),
        cmocka_unit_test(beyond_binary32),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
