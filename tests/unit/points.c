/* points.c: made-up rows and their codes, for tests of what finds neighbours.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "points.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint64_t random_next(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

double random_unit(uint64_t *seed)
{
    return (double)(random_next(seed) >> 11) * 0x1p-53;
}

double random_normal(uint64_t *seed)
{
    double u = 1.0 - random_unit(seed), v = random_unit(seed);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

const struct kernels *kernels_best(void)
{
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    return kernels;
}

void points_init(struct points *points, uint32_t rows, uint32_t dim)
{
    *points = (struct points){.rows = rows, .dim = dim};
    points->x = calloc((size_t)rows * dim + 1, sizeof *points->x);
    assert_non_null(points->x);
}

void points_release(struct points *points)
{
    free(points->x);
    free(points->memory);
    free(points->edges);
    free(points->pivots);
}

static void sample(uint32_t dim, uint32_t clusters, double spread, uint64_t seed, uint64_t *own,
                   float *x)
{
    uint64_t centre = seed * 1000003 + random_next(own) % clusters;
    for (uint32_t i = 0; i < dim; i++)
        x[i] = (float)(random_normal(&centre) + spread * random_normal(own));
}

void points_cluster(struct points *points, uint32_t clusters, double spread, uint64_t seed)
{
    uint64_t own = seed ^ 0x5555;
    for (uint32_t row = 0; row < points->rows; row++)
        sample(points->dim, clusters, spread, seed, &own, points->x + (size_t)row * points->dim);
}

void points_query(const struct points *points, uint32_t clusters, double spread, uint64_t seed,
                  uint64_t number, float *query)
{
    uint64_t own = seed + 77777 * (number + 1);
    sample(points->dim, clusters, spread, seed, &own, query);
}

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    const struct points *points = context;
    memcpy(x, points->x + (size_t)row * points->dim, points->dim * sizeof *x);
    return VDB_OK;
}

static void normalise(struct points *points)
{
    for (uint32_t row = 0; row < points->rows; row++) {
        float *x = points->x + (size_t)row * points->dim;
        double sum = 0.0;
        for (uint32_t i = 0; i < points->dim; i++) sum += (double)x[i] * (double)x[i];
        for (uint32_t i = 0; i < points->dim && sum > 0.0; i++)
            x[i] = (float)((double)x[i] / sqrt(sum));
    }
}

void points_code(struct points *points, enum vdb_metric metric, size_t offset)
{
    uint32_t rows = points->rows, dim = points->dim;
    struct quantizer quantizer;
    if (metric == VDB_METRIC_COSINE) normalise(points);
    assert_int_equal(quantizer_train(&quantizer, rows, dim, metric, row_of, points, NULL), VDB_OK);
    size_t bytes = codes_bytes(dim), stride = bytes + 3 * offset, norm_stride = 4 + offset;
    size_t norm_off = offset + (size_t)rows * stride;
    points->memory = aligned_alloc(64, (norm_off + (size_t)rows * norm_stride + 64) / 64 * 64);
    assert_non_null(points->memory);
    memset(points->memory, 0xa5, norm_off + (size_t)rows * norm_stride);
    for (uint32_t row = 0; row < rows; row++) {
        int32_t norm;
        codes_encode_row(kernels_best(), &quantizer, points->x + (size_t)row * dim, dim,
                         points->memory + offset + row * stride, &norm);
        memcpy(points->memory + norm_off + row * norm_stride, &norm, sizeof norm);
    }
    points->codes = (struct codes){.rows = rows,
                                   .dim = dim,
                                   .code = points->memory + offset,
                                   .code_stride = stride,
                                   .bytes = bytes,
                                   .norm = points->memory + norm_off,
                                   .norm_stride = norm_stride,
                                   .scale = quantizer.scale,
                                   .zero = quantizer.zero,
                                   .metric = metric};
}

void points_build(struct points *points, const struct graph_params *params, const char *name)
{
    const struct kernels *kernels;
    struct vdb_error err = {.message = ""};
    struct graph_params chosen = *params;
    graph_params_default(&chosen, 0);
    assert_int_equal(kernels_select(name, &kernels, &err), VDB_OK);
    uint32_t pivots = graph_pivot_count(points->rows, VDB_METRIC_L2);
    free(points->edges);
    free(points->pivots);
    points->edges = malloc((size_t)points->rows * chosen.degree * sizeof(uint32_t) + 1);
    points->pivots = malloc(pivots * sizeof(uint32_t) + 1);
    assert_non_null(points->edges);
    assert_non_null(points->pivots);
    enum vdb_status status =
        graph_build(&points->codes, kernels, params, points->edges, points->pivots, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, VDB_OK);
    points->graph = (struct graph){.rows = points->rows,
                                   .degree = chosen.degree,
                                   .edges = points->edges,
                                   .pivots = points->pivots,
                                   .pivot_count = pivots};
}

double points_distance(const struct points *points, uint32_t row, const float *query)
{
    const float *x = points->x + (size_t)row * points->dim;
    double sum = 0.0;
    for (uint32_t i = 0; i < points->dim; i++) {
        double a = (double)x[i], b = (double)query[i];
        sum += points->codes.metric == VDB_METRIC_IP ? -a * b : (a - b) * (a - b);
    }
    return sum;
}

void points_nearest(const struct points *points, const float *query, uint32_t k, uint32_t *rows)
{
    double *best = malloc(k * sizeof *best);
    assert_non_null(best);
    uint32_t found = 0;
    for (uint32_t row = 0; row < points->rows; row++) {
        double sum = points_distance(points, row, query);
        if (found == k && sum >= best[k - 1]) continue;
        uint32_t at = found < k ? found++ : k - 1;
        for (; at > 0 && best[at - 1] > sum; at--) {
            best[at] = best[at - 1];
            rows[at] = rows[at - 1];
        }
        best[at] = sum;
        rows[at] = row;
    }
    free(best);
}
