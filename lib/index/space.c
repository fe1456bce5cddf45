/* space.c: distances of listed rows, for each kind of space.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/space.h"

#include <math.h>

#include "vector/vtype.h"

/* What the metric orders by, under cosine twice that. A row's floats are not quite of length 1: by
 * the length that they have, no row is nearer to it than itself. */
static float vector_distance(const struct space *space, const struct probe *probe, uint32_t row)
{
    const struct codes *codes = space->codes;
    const struct kernels *k = space->kernels;
    const uint8_t *vector = space_code(space, row);
    double x;
    if (codes->metric == VDB_METRIC_L2) {
        x = k->l2sq[codes->type](vector, probe->vector, codes->dim);
    } else {
        x = -k->dot[codes->type](vector, probe->vector, codes->dim);
        if (codes->metric == VDB_METRIC_COSINE)
            x = 1 + probe->square + 2 * x / sqrt(k->sumsq[codes->type](vector, codes->dim));
    }
    return (float)x;
}

void space_probe_vector(const struct space *space, uint32_t row, struct probe *probe)
{
    const struct codes *codes = space->codes;
    float *x = (float *)(void *)probe->query;
    vtype_load(codes->type, space_code(space, row), x, codes->dim);
    probe->vector = x;
    if (codes->metric != VDB_METRIC_COSINE) return;
    double length = sqrt(space->kernels->sumsq[VDB_TYPE_F32](x, codes->dim));
    for (uint32_t i = 0; i < codes->dim && length > 0; i++) x[i] = (float)(x[i] / length);
    probe->square = space->kernels->sumsq[VDB_TYPE_F32](x, codes->dim);
}

static void measure_eight(const struct space *space, const struct probe *probe,
                          const struct kernel_list *list, uint32_t *distances)
{
    struct kernel_query8 query = {.values = probe->query,
                                  .base = space->kind == SPACE_DOT ? 0x80000000u : probe->base,
                                  .flip = space->codes->flip,
                                  .inner = space->kind == SPACE_DOT};
    space->kernels->list_u8i8(&space->rows, list, &query, distances);
    if (space->kind != SPACE_PRODUCT) return;
    for (uint32_t i = 0; i < list->count; i++)
        distances[i] =
            (uint32_t)((distances[i] + space->rise[list->rows[i]] + probe->rise) >> space->shift);
}

void space_measure_list(const struct space *space, const struct probe *probe,
                        const struct kernel_list *list, uint32_t *distances)
{
    switch (space->kind) {
    case SPACE_FOUR:
        space->kernels->list_u4i8(&space->rows, list, &probe->four, distances);
        break;
    case SPACE_VECTORS:
        space_prefetch(space, list->ahead, list->ahead_count);
        for (uint32_t i = 0; i < list->count; i++)
            distances[i] = space_order(vector_distance(space, probe, list->rows[i]));
        break;
    case SPACE_L2:
    case SPACE_DOT:
    case SPACE_PRODUCT:
        measure_eight(space, probe, list, distances);
        break;
    }
}
