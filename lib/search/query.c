/* query.c: one query of a search while it runs.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/query.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum vdb_status query_init(struct query *query, uint32_t dim, uint32_t k, struct vdb_error *err)
{
    *query = (struct query){
        .unit = malloc(dim * sizeof(float)),
        .codes = malloc(codes_bytes(dim)),
        .coarse = malloc(codes_bytes(dim)),
        .rotated = malloc(dim * sizeof(float)),
    };
    enum vdb_status status = topk_init(&query->top, k, err);
    return query->unit && query->codes && query->coarse && query->rotated ? status
                                                                          : error_no_memory(err);
}

void query_release(struct query *query)
{
    free(query->unit);
    free(query->codes);
    free(query->coarse);
    free(query->rotated);
    topk_release(&query->top);
}

/* What is not finite times 0 is a NaN, which stays one through any sum. An inner loop of constant
 * length is what compilers vectorise. */
static bool all_finite(const float *values, uint32_t dim)
{
    float sums[16] = {0};
    uint32_t i = 0;
    for (; i + 16 <= dim; i += 16)
        for (uint32_t j = 0; j < 16; j++) sums[j] += values[i + j] * 0.0f;
    for (; i < dim; i++) sums[0] += values[i] * 0.0f;
    for (uint32_t j = 1; j < 16; j++) sums[0] += sums[j];
    return sums[0] == 0.0f;
}

enum vdb_status query_begin(struct query *query, const struct vdb_snapshot *snapshot,
                            const float *values, size_t number, struct vdb_error *err)
{
    uint32_t dim = snapshot->generation->manifest.dim;
    query->values = values;
    topk_reset(&query->top);
    if (!all_finite(values, dim)) {
        uint32_t i = 0;
        while (isfinite(values[i])) i++;
        return error_set(err, VDB_INVALID, "query %zu: number %u of the vector is not finite",
                         number, i + 1);
    }
    if (snapshot->generation->manifest.metric != VDB_METRIC_COSINE) return VDB_OK;
    query->squares = snapshot->kernels->sumsq[VDB_TYPE_F32](values, dim);
    if (query->squares == 0)
        return error_set(err, VDB_INVALID, "query %zu is zero, which has no direction for cosine",
                         number);
    double length = sqrt(query->squares);
    for (uint32_t i = 0; i < dim; i++) query->unit[i] = (float)(values[i] / length);
    return VDB_OK;
}

static double measure(const struct query *query, const struct vdb_snapshot *s,
                      const uint8_t *vector)
{
    const struct manifest *m = &s->generation->manifest;
    switch (m->metric) {
    case VDB_METRIC_L2:
        return s->kernels->l2sq[m->type](vector, query->values, m->dim);
    case VDB_METRIC_IP:
        return -s->kernels->dot[m->type](vector, query->values, m->dim);
    case VDB_METRIC_COSINE:
        break;
    }
    /* One root of the product, not a product of roots: of a vector and itself that is exact. */
    double lengths = sqrt(s->kernels->sumsq[m->type](vector, m->dim) * query->squares);
    double cosine =
        lengths > 0 ? s->kernels->dot[m->type](vector, query->values, m->dim) / lengths : 0;
    return 1 - (cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

void query_offer(struct query *query, const struct vdb_snapshot *snapshot, uint32_t row,
                 const uint8_t *vector)
{
    double key = measure(query, snapshot, vector);
    topk_offer(&query->top, row, isnan(key) ? INFINITY : key); /* only a damaged file holds NaNs */
}

double query_distance(const struct vdb_snapshot *snapshot, double key)
{
    return snapshot->generation->manifest.metric == VDB_METRIC_L2 ? sqrt(key) : key;
}
