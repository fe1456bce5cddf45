/* kmeans_lengths.c: centroids of rows of length 1, brought to one length.
 *
 * The square of the distance from a query q of length 1 to a centroid c is 1 + |c|^2 - 2 <q, c>,
 * and rows lie about c at 1 - |c|^2 on average: of two lists at one distance the one with the
 * shorter centroid has its rows spread wider, and more of them near the query. By the angle alone,
 * which is the order by distance where all centroids are of one length, a search reads a sixth
 * less rows for the same recall (tests/bench/NOTES.md). What it costs is that residuals grow by
 * the square of what a centroid is moved by.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "index/kmeans.h"

#define GROWN 0.1 /* the share by which the squared residuals of a list may grow */

static double length_of(const struct codes *grid, const uint8_t *centroids, uint32_t list)
{
    size_t groups = kernel_block_groups(grid->dim);
    double sum = 0;
    for (uint32_t i = 0; i < grid->dim; i++) {
        double code = centroids[kernel_block_at(groups, list, i)] - grid->zero;
        sum += code * code;
    }
    return (double)grid->scale * sqrt(sum);
}

static void lengthen(const struct codes *grid, uint8_t *centroids, uint32_t list, double factor,
                     int32_t *norm)
{
    size_t groups = kernel_block_groups(grid->dim);
    *norm = 0;
    for (uint32_t i = 0; i < grid->dim; i++) {
        uint8_t *code = &centroids[kernel_block_at(groups, list, i)];
        double place = grid->zero + factor * (*code - grid->zero);
        place = place < 0 ? 0 : place > 255 ? 255 : place;
        *code = (uint8_t)(place + 0.5);
        *norm += *code * (*code - 256);
    }
}

void kmeans_even_lengths(const struct codes *grid, uint32_t lists, uint8_t *centroids,
                         int32_t *norms)
{
    double mean = 0;
    for (uint32_t list = 0; list < lists; list++) mean += length_of(grid, centroids, list) / lists;
    for (uint32_t list = 0; list < lists; list++) {
        double length = length_of(grid, centroids, list), residual = 1 - length * length;
        double most = sqrt(GROWN * fmax(residual, 0)), by = mean - length;
        by = by > most ? most : by < -most ? -most : by;
        if (length > 0) lengthen(grid, centroids, list, 1 + by / length, &norms[list]);
    }
}
