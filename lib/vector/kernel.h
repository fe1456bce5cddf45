/* kernel.h: the inner loops over vectors, one table of them a kernel set.
 *
 * Every kernel of every set gives the same bits for the same input. Integer kernels do so by
 * nature. Float kernels widen each element to double, keep KERNEL_LANES running sums, element i
 * going to lane i % KERNEL_LANES, multiply and add without fusing, and add the lanes as a fixed
 * tree: lane j and lane j + width, for width = KERNEL_LANES / 2, ... 1.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_H
#define VDB_VECTOR_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

#define KERNEL_LANES 32

struct kernels {
    const char *name; /* "portable", "avx2", "avx512" */

    /* Codes. Sum over i < bytes of (code[i] ^ flip) * query[i], for four codes at once.
     * `bytes` is a multiple of 64; code rows need no alignment; flip is 0 or 0x80; the code is
     * taken as u8 after the flip, the query as i8. The true sums fit an i32. */
    void (*dot4_u8i8)(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                      uint8_t flip, int32_t sums[4]);
    int32_t (*dot_u8i8)(const uint8_t *code, const int8_t *query, size_t bytes, uint8_t flip);

    /* Codes n floats on a grid: code[i] = trunc(min(max(x[i] * inverse + zero, 0), 255) + 0.5), a
     * NaN giving 0. sums[0] and sums[1] become the sums of the codes and of their squares, modulo
     * 2^32. Nothing beyond n elements is read or written. */
    void (*encode_u8)(const float *x, size_t n, float inverse, float zero, uint8_t *code,
                      uint32_t sums[2]);

    /* Codes of 4 bits, two a byte. Sum over i < bytes of the low half of code[i] times query[i]
     * and the high half times query[bytes + i], for four codes at once. `bytes` is a multiple of
     * 64, at most 32,768; neither codes nor query need alignment. */
    void (*dot4_u4i8)(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                      int32_t sums[4]);

    /* Stored vectors of each type against a query of n floats: sum of (x-q)^2, sum of x*q, and
     * sum of x*x. Neither pointer needs alignment; nothing beyond n elements is read. */
    double (*l2sq[5])(const void *x, const float *query, size_t n); /* by enum vdb_type */
    double (*dot[5])(const void *x, const float *query, size_t n);
    double (*sumsq[5])(const void *x, size_t n);

    /* Rotates x[0..n), n above 0, in place, as rotation.h has it. */
    void (*rotate)(float *x, uint32_t n);
};

/* The set of that name, or, for NULL, the best that this CPU runs. VDB_UNSUPPORTED where the name
 * is not one of a set or the CPU lacks it; the message says which. */
enum vdb_status kernels_select(const char *name, const struct kernels **kernels,
                               struct vdb_error *err);

#endif
