/* truth.h: how far the true k-th neighbour of each query is, by comparing everything.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TRUTH_H
#define TRUTH_H

#include "bench.h"

/* Squared Euclidean distance. Integers: no rounding, so that ties are ties. */
uint32_t truth_distance(const uint8_t *a, const uint8_t *b, size_t dim);

/* For each query the squared distance of its k-th nearest row. Taken from the file `cache` where
 * that was made from the same images, else computed by two threads and put there. The caller frees
 * it. */
uint32_t *truth_reaches(const struct images *rows, const struct images *queries, uint32_t k,
                        const char *cache);

#endif
