/* pq.h: product quantisation: codes of 4 bits for a few dimensions each, and tables to read them by
 *
 * The m dimensions of y fall into sub-spaces of sub_dim consecutive ones, 1, 2 or 4; where m is no
 * multiple, the last is filled up with zeros. Each sub-space has 16 codewords of its own, and a row
 * is coded by the number of the nearest, the first of equals. Decoded, the row is u. For a query q,
 *     <q, u> = sum over sub-spaces s of T[s][code s],  T[s][v] = <q_s, codeword v of s>,
 * where T is rounded to bytes on one grid: with low_s the least of T[s] and `scale` a 255th of the
 * largest span of any T[s],
 *     t[s][v] = round((T[s][v] - low_s) / scale),
 *     <q, u> is near offset + scale * sum over s of t[s][code s],
 * offset being the sum over s of the mean of T[s][v] - scale * t[s][v] over v. The mean, where
 * low_s would be off on one side: sub-spaces in which q is small have spans of less than a step,
 * and there all of t is 0.
 *
 * Of a row x in the list of centre c, r = x - c is coded, after a linear map P that is the same for
 * rows, centres and queries: y = P r. What codes are chosen for may be y brought to some length,
 * one for all rows. As errors of u across y meet those of a query at random, <P q, y> is near |y|^2
 * / <y, u> * <P q, u>,  exact where P q is along y, so that with f = 2 |y|^2 / <y, u> and b = |r|^2
 * + f <P c, u> |q - x|^2 is near |q - c|^2 + b - f <P q, u>, and for inner products, with f = |y|^2
 * / <y, u> and b = 0,
 *     -<q, x> is near -<q, c> + b - f <P q, u>.
 *
 * The quantiser is that of Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor
 * Search" (TPAMI 2011); tables of bytes for codes of 4 bits are those of Andre, Kermarrec and Le
 * Scouarnec, "Cache Locality is Not Enough" (VLDB 2015); the estimate is that of Gao and Long,
 * "RaBitQ" (SIGMOD 2024).
 *
 * Floats are unfused and in a fixed order: the same bits from any kernel set and for any number of
 * threads. Codewords and tables are made of, and codes found by, values of which those beyond
 * +-2^48 are taken as 2^48 of their sign, so that estimates are finite for whatever is finite.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_PQ_H
#define VDB_INDEX_PQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"
#include "vector/kernel.h"

#define PQ_CODEWORDS   16
#define PQ_GROUP       8  /* codes of one row that lie together in a block */
#define PQ_BLOCK_ROWS  16 /* rows of a block */
#define PQ_GROUP_BYTES 64 /* of a group of 16 rows */

/* A trained quantiser; a view. */
struct pq {
    const struct kernels *kernels;
    const float *codebook; /* [pq_count][16][sub_dim] */
    uint32_t m;            /* at least 1 */
    uint32_t sub_dim;      /* 1, 2 or 4 */
};

/* What a row's factors are made of. */
struct pq_row {
    double norm;    /* |y|^2 */
    double dot;     /* <y, u> */
    double decoded; /* |u|^2 */
};

struct pq_factors {
    double b, f;
};

struct pq_query {
    float scale; /* 0 where all of the table is 0 */
    float offset;
};

/* Codes of a row: one for each sub-space. */
static inline uint32_t pq_count(uint32_t m, uint32_t sub_dim)
{
    return m / sub_dim + (m % sub_dim != 0);
}

/* Groups of 8 codes that a row's codes fill, the last with zeros behind. */
static inline uint32_t pq_groups(uint32_t count)
{
    return count / PQ_GROUP + (count % PQ_GROUP != 0);
}

/* Floats of a codebook. */
size_t pq_codebook_floats(uint32_t m, uint32_t sub_dim);

/* Fills in the codebook from n samples [n][m], n at least 1: for each sub-space 16 means, of which
 * some are the same where there are fewer different values. Time grows with n * m. Errors:
 * VDB_NO_MEMORY. */
enum vdb_status pq_train(const float *samples, size_t n, uint32_t m, uint32_t sub_dim,
                         unsigned threads, float *codebook, struct vdb_error *err);

/* Codes y[0..m): pq_count bytes, each 0 to 15, and u[0..m). */
void pq_encode(const struct pq *pq, const float *y, uint8_t *codes, float *u, struct pq_row *row);

/* u[0..m) from a row's codes, each 0 to 15. */
void pq_decode(const struct pq *pq, const uint8_t *codes, float *u);

/* Writes the codes of up to 16 rows, `stride` bytes apart, as the pq_groups(count) * 64 bytes of a
 * block: in group g, byte 4 * row + j, j < 4, has code 8 g + j of the row in its low half and code
 * 8 g + 4 + j in its high half. Rows and codes that are not there are 0. */
void pq_pack_block(const uint8_t *codes, size_t stride, uint32_t rows, uint32_t count,
                   uint8_t *block);

/* One row's codes from such a block. */
void pq_unpack_row(const uint8_t *block, uint32_t row, uint32_t count, uint8_t *codes);

/* b and f of a row, for inner products where `ip`, else for distances: residual is |r|^2 and
 * center <P c, u>. Where u says next to nothing about y, their angle being above 86 degrees, f is 0
 * and b is |r|^2, or 0 where `ip`. Finite for whatever is finite, and f is not negative. */
struct pq_factors pq_factors_of(bool ip, const struct pq_row *row, double residual, double center);

/* Floats of scratch memory that pq_table uses. */
size_t pq_scratch(uint32_t m, uint32_t sub_dim);

/* The table of a query q[0..m), that is, P q: pq_groups * 128 bytes, that of code s at 16 * s, and
 * zeros behind the last. `scratch` needs no more alignment than a float has. */
void pq_table(const struct pq *pq, const float *q, float *scratch, uint8_t *table,
              struct pq_query *query);

#endif
