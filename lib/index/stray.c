/* stray.c: whether what a walk found is much farther from the query than from its own neighbours.
 *
 * A walk that ends in a false minimum has found rows that are near to each other and far from the
 * query. On Fashion-MNIST and on clustered rows the queries that found nothing had a ratio of 2 or
 * more; the median of all is 1.1 to 1.3.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/stray.h"

#define SAMPLE 8 /* rows looked at on either side */

size_t stray_bytes(const struct space *space)
{
    if (space->inner) return 0;
    if (space->kind == SPACE_FOUR) return 2 * space->codes->bytes;
    return space_probe_bytes(space->codes);
}

static struct probe probe_of(const struct space *space, uint32_t row, int8_t *values)
{
    struct probe probe = {.query = values};
    if (space->kind == SPACE_FOUR) {
        struct codes4_factors factors;
        memcpy(&factors, space->rows.factors + (size_t)row * space->rows.factors_stride,
               sizeof factors);
        codes4_prepare_row(space->codes->dim, space_code(space, row), &factors, values,
                           &probe.four);
    } else {
        space_probe_row(space, row, &probe);
    }
    return probe;
}

double stray_ratio(const struct space *space, const struct graph *graph, const struct pool *pool,
                   int8_t *values)
{
    uint32_t distances[SAMPLE], rows[SAMPLE], n = 0, differ = 0;
    double from_query = 0, from_first = 0;
    if (pool->count <= SAMPLE) return 0;
    uint32_t first = pool_row(pool->keys[0]);
    const uint32_t *list = graph->edges + (size_t)first * graph->degree;
    while (n < SAMPLE && n < graph->degree && list[n] < graph->rows) rows[n] = list[n], n++;
    struct probe probe = probe_of(space, first, values);
    space_measure(space, &probe, rows, n, distances);
    for (uint32_t i = 0; i < n; i++) {
        double distance = space_distance(space, distances[i]);
        from_first += distance;
        differ += distance > 0;
    }
    if (differ < SAMPLE / 2) return 0;
    for (uint32_t i = 1; i <= SAMPLE; i++)
        from_query += space_distance(space, pool_distance(pool->keys[i]));
    return from_query / SAMPLE / (from_first / differ);
}
