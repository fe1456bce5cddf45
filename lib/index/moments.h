/* moments.h: second moments of rows, in tiles of dimensions.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_MOMENTS_H
#define VDB_INDEX_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "vdb.h"
#include "vector/kernel.h"

/* square[i * dim + j], j up to i, becomes the sum of x[i] * x[j] over `rows` of the samples
 * [n][dim], evenly spread over them, in binary64 and in their order: the same bits for any number
 * of threads and any kernel set. Errors: VDB_NO_MEMORY. */
enum vdb_status moments_find(const struct kernels *kernels, const float *samples, size_t n,
                             size_t rows, uint32_t dim, unsigned threads, double *square,
                             struct vdb_error *err);

#endif
