/* codes.h: 8-bit codes of rows, as walks and builds read them; where they lie is data.
 *
 * A value x is coded as c = round(x / scale) + zero, 0 to 255, with one scale and one zero for all
 * rows. Then |x - y|^2 is scale^2 * sum (cx - cy)^2 and the walk needs integers only:
 *     sum (c - q)^2 = norm(c) - 2 * sum c * (q - 128) + sum q^2,  norm(c) = sum c^2 - 256 sum c,
 * one u8 x i8 product a dimension, taken modulo 2^32: up to 65,535 dimensions the true value is
 * below 2^32.
 *
 * The rounding is the same on every CPU: in binary32 arithmetic without fused operations,
 *     c = trunc(min(max(x * (1 / scale) + zero, 0), 255) + 0.5).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_CODES_H
#define VDB_INDEX_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"
#include "vector/kernel.h"

enum codes_kind {
    CODES_8,      /* the above */
    CODES_4,      /* codes4.h */
    CODES_VECTORS /* none: the stored vectors are measured, each time */
};

struct codes { /* a view; owns nothing */
    enum codes_kind kind;
    enum vdb_metric metric;
    uint32_t rows;
    uint32_t dim;
    const uint8_t *code; /* of row 0 */
    size_t code_stride;  /* at least `bytes` */
    size_t bytes; /* a multiple of 64; those beyond dim meet zeros of the query. CODES_VECTORS: of a
                     stored vector, any number */
    uint8_t flip; /* CODES_8, 0x80: stored as i8; the code is byte ^ 0x80 */
    const uint8_t *norm; /* of row 0; CODES_8: i32, CODES_4: struct codes4_factors */
    size_t norm_stride;
    float scale;         /* CODES_8 */
    int32_t zero;        /* CODES_8 */
    const float *center; /* CODES_4: dim of them */
    bool rotated;        /* CODES_4 */
    enum vdb_type type;  /* CODES_VECTORS */
    /* How an estimate differs from the distance, in what the metric orders by (l2: squares), near
     * a query: its mean and its root mean square about that. 0 where codes are exact. */
    float bias, error;
};

/* Bytes of a row's norm. */
static inline uint32_t codes_norm_bytes(enum codes_kind kind)
{
    return kind == CODES_8 ? 4 : kind == CODES_4 ? 8 : 0;
}

struct quantizer {
    float scale; /* finite, above 0 */
    int32_t zero;
};

/* Bytes of a code row: dim rounded up to a multiple of 64. */
size_t codes_bytes(uint32_t dim);

/* Puts the dim numbers of row `row` into x, under cosine already divided by their length; nonzero
 * ends the training, which returns it. */
typedef enum vdb_status (*quantizer_row_fn)(void *context, uint32_t row, float *x);

/* Chooses scale and zero over rows 0 to rows - 1, looking at a sample that depends on `rows` and
 * `dim` alone (under ip at every row: its longest vectors are its answers). Where all that it sees
 * are integers in 0..255 or -128..127, codes are exact. 0.0 always lies on the grid of codes.
 * Errors: VDB_NO_MEMORY, and what `row_fn` returns. */
enum vdb_status quantizer_train(struct quantizer *quantizer, uint32_t rows, uint32_t dim,
                                enum vdb_metric metric, quantizer_row_fn row_fn, void *context,
                                struct vdb_error *err);

/* The grid whose 256 places span low to high, or as nearly as 0.0 on the grid and binary32 allow.
 */
void quantizer_cover(struct quantizer *quantizer, double low, double high);

/* Codes x[0..dim) into code[0..codes_bytes(dim)), zero bytes behind, and *norm. Rows and queries
 * alike: the sum of the squares of the codes is returned. `code` must not overlap x. */
uint32_t codes_encode_row(const struct kernels *kernels, const struct quantizer *quantizer,
                          const float *x, uint32_t dim, uint8_t *code, int32_t *norm);

/* The norm of a row that is stored as its own codes (flip as in struct codes). */
int32_t codes_norm(const uint8_t *code, uint32_t dim, uint8_t flip);

#endif
