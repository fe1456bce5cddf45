/* vafile4.h: rows by 4-bit codes, a coarser look at them than vafile.h's.
 *
 * A row is coded by its difference from a centre, rotated (vector/rotation.h), y, of which the code
 * v, 0 to 15, of each dimension stands for y^ = step * (v - 7.5). How far off that is is known by
 * row: with e = y - y^, q the query's difference from the centre, rotated, and W how far away an
 * answer may be,
 *     |q - y|^2 = |q - y^|^2 + |e|^2 - 2 <q - y^, e>,
 * and by Cauchy and Schwarz a row with |q - y| <= W has
 *     |q - y^|^2 <= W^2 + 2 W |e| + |e|^2,
 * which holds whatever the rows are: no answer is lost, as in vafile.h. A tighter bound takes what
 * e has along y as it is; across y, where q is no longer than W, it takes e to meet q as directions
 * meet that were rotated at random, their product being of a standard deviation of 1 / sqrt(dim)
 * (Gao and Long, "RaBitQ", SIGMOD 2024). Then all answers but one in some ten thousands have
 *     |q - y^|^2 <= W^2 + 2 W (4 |e| / sqrt(dim) + |<y, e>| / |y|) + |e|^2.
 * For inner products <q, e> is bounded alike, with |q| for W.
 *
 * Half as many bytes are read as by codes of 8 bits, but some times as many rows remain. So these
 * are held against their codes of 8 bits next, which are kept here row by row.
 *
 * The rotation spreads what is in a few dimensions over all, so that one step serves them all. Step
 * and centre are a frame's, which files share as long as it serves: queries are prepared for each.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_VAFILE4_H
#define VDB_INDEX_VAFILE4_H

#include "index/vafile.h"

struct vafile4_frame; /* shared by files; freed with the last that holds it */
void vafile4_frame_free(struct vafile4_frame *frame); /* gives up a hold; NULL is allowed */

struct vafile4 {
    size_t bytes; /* of all this */
    struct vafile4_frame *frame;
    uint32_t count; /* of rows; a file is read when it is full, and stays as it is then */
    float longest;  /* no y^ is longer, */
    float farthest; /* no |e| larger, */
    float largest;  /* and no number in bounds, but of rows that are let through anyway */
    float terms[VAFILE_ROWS];
    float slacks[2][VAFILE_ROWS]; /* |e|, and what stands for it in the tighter bound */
    uint8_t *by_row;              /* 8-bit codes, as kernels->list_u8i8 reads them */
    _Alignas(64) uint8_t codes[]; /* in blocks, as kernels->bound_u4i8 reads them */
};

/* Room for VAFILE_ROWS rows, of which VAFILE4_SAMPLE stored vectors are given. *frame, which the
 * caller holds, or NULL, is replaced where it does not serve them. NULL: no memory. */
#define VAFILE4_SAMPLE 64
struct vafile4 *vafile4_create(const struct vafile_space *space,
                               const uint8_t *const vectors[VAFILE4_SAMPLE],
                               struct vafile4_frame **frame);
void vafile4_free(struct vafile4 *file); /* NULL is allowed */

/* Appends a block of stored vectors, whose codes of 8 bits are those of the same rows in `eight`;
 * there is room for it. scratch->x and scratch->code have room for vafile4_bytes(dim). */
void vafile4_append(struct vafile4 *file, const struct vafile_space *space,
                    const struct vafile *eight, const uint8_t *const vectors[VAFILE_BLOCK],
                    struct vafile_scratch *scratch);

/* Dimensions, in whole groups. */
size_t vafile4_bytes(uint32_t dim);

/* A query, as the codes of one frame are measured with. */
struct vafile4_query {
    const struct vafile4_frame *frame; /* NULL: of none yet */
    int8_t *values;                    /* vafile4_bytes(dim); the caller's memory */
    float *rotated;                    /* dim of them; the caller's, too */
    double off;                        /* how far it is from what its bytes stand for */
    double length;
    double constant; /* of all bounds: for l2 squares, for ip products */
    double weight;   /* of a sum of products */
    double sums;     /* no sum is larger */
};

/* Prepares a query of finite values, under cosine of length 1. What was for the same frame stays:
 * begin with {.values = ..., .rotated = ...} for every other query. The frame is to live on. */
void vafile4_prepare(struct vafile4_query *query, const struct vafile4 *file,
                     const struct vafile_space *space, const float *values);

/* As vafile_scan, for a finite `worst`; by the bound that holds whatever the rows are where `sure`.
 * What is left is to go through vafile_filter. */
uint32_t vafile4_scan(const struct vafile4 *file, const struct vafile4_query *query,
                      const struct vafile_space *space, bool sure, uint32_t begin, uint32_t count,
                      double worst, uint32_t *rows);

#endif
