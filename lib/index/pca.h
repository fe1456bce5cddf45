/* pca.h: the principal axes of rows, and the projection of rows and queries on the leading ones.
 *
 * The axes are the eigenvectors of sum x x' over the sampled rows x, an axis' energy the mean
 * square of the rows' values along it. No mean is taken off: what is projected are differences from
 * centres, and the leading m axes are those that keep most of the rows' squared length.
 *
 * The matrix of the projection P holds m axes as rows of signed bytes, each row with a scale: value
 * j of P x is scales[j] * sum over i of matrix[j][i] * x[i]. Rows and queries go through the same
 * rounded matrix, rows with all their bits, or 16 of them, and queries rounded to bytes:
 *     q8 = round(x * (127 / largest)),  largest being the size of the largest value of x.
 *
 * All arithmetic on axes is in binary64, unfused and in a fixed order: the same axes for any number
 * of threads.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_PCA_H
#define VDB_INDEX_PCA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"
#include "vector/kernel.h"

#define PCA_DIM_MAX  2048
#define PCA_MULTIPLE 16 /* of which m is a multiple where dim allows it */

/* A projection; a view. */
struct pca {
    const struct kernels *kernels;
    uint32_t dim;          /* 1 to PCA_DIM_MAX */
    uint32_t m;            /* 1 to dim */
    const uint8_t *matrix; /* m rows of pca_stride(dim) bytes, zeros behind dim */
    const float *scales;   /* m of them */
};

/* All axes of some rows. */
struct pca_axes;

/* Whether m axes of samples [n][dim], m below dim, may keep the given share, 0 to 1, of all energy,
 * as far as a few of the samples tell; it takes a small part of the time that axes do. */
bool pca_may_keep(const struct kernels *kernels, const float *samples, size_t n, uint32_t dim,
                  uint32_t m, double share);

/* The axes of samples [n][dim], looking at no more than some thousand rows, evenly spread over the
 * n. Where the samples are all zero, or one of those looked at is not finite, energies are 0 and
 * the axes are any. Takes 8 * dim^2 bytes until it is freed, and as many more once
 * axes are rounded. Errors: VDB_INVALID (dim is 0),
 * VDB_UNSUPPORTED (dim is above PCA_DIM_MAX), VDB_NO_MEMORY. */
enum vdb_status pca_axes_create(const struct kernels *kernels, const float *samples, size_t n,
                                uint32_t dim, unsigned threads, struct pca_axes **axes,
                                struct vdb_error *err);
void pca_axes_free(struct pca_axes *axes); /* NULL is allowed */

/* dim energies, greatest first, none below 0. */
const double *pca_energies(const struct pca_axes *axes);

/* The least multiple of PCA_MULTIPLE, or dim where that is less, such that so many axes keep the
 * given share, 0 to 1, of all energy. */
uint32_t pca_choose(const double *energies, uint32_t dim, double share);

/* Bytes of a row of the matrix: dim rounded up to a multiple of 64. */
size_t pca_stride(uint32_t dim);

/* Rounds the m leading axes, m at most dim, as m rows of the matrix and m scales. Errors:
 * VDB_NO_MEMORY. */
enum vdb_status pca_round(struct pca_axes *axes, uint32_t m, unsigned threads, uint8_t *matrix,
                          float *scales, struct vdb_error *err);

/* Projects a query x[0..dim), rounded to bytes, to out[0..m). scratch has 5 * pca_stride(dim) bytes
 * and is aligned as floats are. */
void pca_apply(const struct pca *pca, const float *x, float *out, void *scratch);

/* The same for a row, rounded to multiples of the quantum that is returned: 16 bits and their sign
 * for the largest value. scratch has 6 * pca_stride(dim) bytes. INFINITY, and nothing in out,
 * where the largest is not between 2^-100 and 2^100. */
double pca_apply_row(const struct pca *pca, const float *x, float *out, void *scratch);

/* The same for a row, which is not rounded. Values beyond +-2^112 are made that. */
void pca_apply_exact(const struct pca *pca, const float *x, float *out);

#endif
