/* kernel_bound.h: what bounds of rows by 4-bit codes are given, and what they give.
 *
 * Rows stand in blocks of 16. A block has 64 bytes for every 8 dimensions: byte 4 * r + j, j < 4,
 * of the g-th has dimension 8 g + j of row r in its low half and dimension 8 g + 4 + j in its high
 * half. The sum of a row is that of code times query over all dimensions, and its bound
 *
 *     terms[row] - slope * slacks[row] - weight * (float)sum
 *
 * in binary32, each operation rounded and none fused, which gives the same bits in every kernel
 * set.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_BOUND_H
#define VDB_VECTOR_KERNEL_BOUND_H

#include <stddef.h>
#include <stdint.h>

struct kernel_bound { /* nothing needs alignment */
    const uint8_t *codes;
    size_t blocks, groups; /* a group: 8 dimensions */
    const int8_t *query;   /* 8 * groups of them */
    const float *terms, *slacks;
    float slope, weight;
    float limit; /* rows whose bound is up to it are let through: no NaN is */
};

static inline size_t kernel_bound_groups(size_t dim)
{
    return dim / 8 + (dim % 8 != 0);
}

#endif
