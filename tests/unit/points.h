/* points.h: made-up rows and their codes, for tests of what finds neighbours.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_POINTS_H
#define TESTS_UNIT_POINTS_H

#include <stddef.h>
#include <stdint.h>

#include "index/codes.h"
#include "index/graph.h"

struct points {
    uint32_t rows, dim;
    float *x;           /* rows * dim; under cosine of length 1 */
    uint8_t *memory;    /* the planes of `codes` */
    struct codes codes; /* made by points_code */
    struct graph graph; /* made by points_build */
    uint32_t *edges, *pivots;
};

uint64_t random_next(uint64_t *seed);
double random_unit(uint64_t *seed);   /* [0, 1) */
double random_normal(uint64_t *seed); /* mean 0, deviation 1 */

/* The best kernel set of this CPU. */
const struct kernels *kernels_best(void);

/* Room for rows * dim numbers, all zero. */
void points_init(struct points *points, uint32_t rows, uint32_t dim);
void points_release(struct points *points);

/* Normally spread about `clusters` centres, which are normally spread themselves. */
void points_cluster(struct points *points, uint32_t clusters, double spread, uint64_t seed);

/* A query from the same distribution as points_cluster's rows with the same arguments. */
void points_query(const struct points *points, uint32_t clusters, double spread, uint64_t seed,
                  uint64_t number, float *query);

/* Codes the rows. With `offset` not 0 rows begin that far off alignment and are padded with rubbish
 * to a larger stride. */
void points_code(struct points *points, enum vdb_metric metric, size_t offset);

/* Builds the graph over the codes with the given parameters. */
void points_build(struct points *points, const struct graph_params *params, const char *kernels);

/* |x - q|^2 or, under ip, -x.q in binary64; and exact neighbours by it, nearest first, ties by row.
 */
double points_distance(const struct points *points, uint32_t row, const float *query);
void points_nearest(const struct points *points, const float *query, uint32_t k, uint32_t *rows);

#endif
