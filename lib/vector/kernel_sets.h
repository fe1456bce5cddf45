/* kernel_sets.h: the kernel sets of this build, and what their files have in common.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_SETS_H
#define VDB_VECTOR_KERNEL_SETS_H

#include <math.h>

#include "vector/kernel.h"

#if defined(__FAST_MATH__)
#error "the kernels promise the same bits everywhere: build without -ffast-math"
#endif

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#endif

/* The generic kernels take the element type as a parameter that is a constant wherever they are
 * used, and only once inlined does the choice by type disappear from the loop. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

/* One function for each operation on elements of `type`, from the generic ones
 * l2sq_of, dot_of and sumsq_of of the file that uses it. */
#define FLOAT_KERNELS(suffix, type)                                                                \
    static double l2sq_##suffix(const void *x, const float *query, size_t n)                       \
    {                                                                                              \
        return l2sq_of(type, x, query, n);                                                         \
    }                                                                                              \
    static double dot_##suffix(const void *x, const float *query, size_t n)                        \
    {                                                                                              \
        return dot_of(type, x, query, n);                                                          \
    }                                                                                              \
    static double sumsq_##suffix(const void *x, size_t n)                                          \
    {                                                                                              \
        return sumsq_of(type, x, n);                                                               \
    }

#define FLOAT_KERNEL_TABLE(operation)                                                              \
    {                                                                                              \
        NULL, operation##_f32, operation##_f16, operation##_i8, operation##_u8                     \
    }

/* A stored vector that is damaged may hold NaNs, and which of two NaNs an addition passes on is up
 * to the order of its operands: all are made one, so that sets agree there too. */
static inline double kernel_result(double sum)
{
    return isnan(sum) ? (double)NAN : sum;
}

#endif
