/* flat.h: scanning coded rows where codes are the stored values themselves.
 *
 * u8 and i8 vectors are their own codes, and a query of such values too: then integer kernels give
 * the very squared distance that the float kernels would, several times as fast.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_FLAT_H
#define VDB_INDEX_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "index/codes.h"
#include "vector/kernel.h"

struct flat_query {
    int8_t *values; /* codes less 128, codes->bytes of them, zero beyond dim; the caller's memory */
    uint32_t sumsq; /* of the codes */
};

/* Whether every number of the query is a value that codes stand for exactly; if so it is made
 * ready. The codes have scale 1. */
bool flat_query_prepare(struct flat_query *to, const struct codes *codes, const float *query);

/* The exact squared Euclidean distances of rows [begin, begin + count). */
void flat_l2sq(const struct flat_query *query, const struct codes *codes,
               const struct kernels *kernels, uint32_t begin, uint32_t count, uint32_t *distances);

#endif
