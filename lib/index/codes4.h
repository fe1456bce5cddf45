/* codes4.h: 4-bit codes of rows, with two factors each, from which distances are estimated.
 *
 * A row x is coded by its difference from a centre, y = x - centre, rotated (vector/rotation.h)
 * where the caller says so. Dimension i has the code
 *     v = trunc(min(max(y * (1 / a) + 8, 0), 15)), which stands for w = 2 v - 15,
 * the step a being the root mean square of y times that of 0.22, 0.27, 0.31, 0.35, 0.40 and 0.46
 * for which the angle between w and y is least. A query's q, which is centred and rotated too, is
 * rounded to bytes q8 with one scale s. Then, as errors of w across y meet those of q at random,
 *     <y, q> is near  f / 2 * s * sum w q8  for  f = 2 |y|^2 / <w, y>,
 * exact where q is along y, and |x - query|^2 = |q|^2 + |y|^2 - 2 <y, q>. For inner products the
 * query is rotated but not centred: <x, query> = <centre, query> + <y, q>.
 *
 * The estimate is that of Gao and Long, "RaBitQ" (SIGMOD 2024), and its extension to more bits by
 * Gao et al. (SIGMOD 2025); the latter looks for the best of all steps,
 * which was measured to find no more neighbours.
 *
 * Estimates are finite for whatever is finite: where |y|^2 or |q|^2 is above 2^112, values beyond
 * +-2^48 are taken as 2^48 of their sign, and <centre, query> stays within +-2^126. A row with
 * |y|^2 below 2^-126 is coded as y = 0, and so is a query without a value above 2^-100.
 *
 * Floats are binary32, unfused and in a fixed order: the same bits from any kernel set.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_CODES4_H
#define VDB_INDEX_CODES4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vector/kernel.h"

/* How rows and queries are coded; a view. */
struct codes4 {
    const struct kernels *kernels;
    const float *center; /* dim of them */
    uint32_t dim;
    bool rotated;
};

struct codes4_factors {
    float norm; /* |y|^2 */
    float f;    /* 2 |y|^2 / <w, y>, above 0; 0 where y is 0 */
};

/* Bytes of a row's code: half of dim, rounded up to a multiple of 64. With H = half of dim, itself
 * rounded up, byte j < H has dimension j in its low and dimension H + j in its high half; what is
 * beyond dim is zero. */
size_t codes4_bytes(uint32_t dim);

/* Floats of scratch memory that the functions below use. */
size_t codes4_scratch(uint32_t dim);

/* Codes x[0..dim). `code` has codes4_bytes. */
void codes4_encode(const struct codes4 *codes, const float *x, float *scratch, uint8_t *code,
                   struct codes4_factors *factors);

/* Codes a query, for inner products where `ip`, else for distances: what the kernel list_u4i8
 * measures rows with. values has twice codes4_bytes, and is kept by the query. */
void codes4_prepare(const struct codes4 *codes, const float *query, bool ip, float *scratch,
                    int8_t *values, struct kernel_query4 *prepared);

/* The same for a row, of its code and factors: estimates are then of distances between rows. Not
 * for ip; `values` as above. */
void codes4_prepare_row(uint32_t dim, const uint8_t *code, const struct codes4_factors *factors,
                        int8_t *values, struct kernel_query4 *prepared);

#endif
