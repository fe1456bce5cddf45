/* rotation.h: a fixed rotation, drawn at random, that spreads a vector over its dimensions.
 *
 * Codes of few bits a dimension want vectors whose values are all of about one size. For n
 * dimensions, p being the largest power of two up to n, the rotation is two rounds of
 *     1. signs: x[i] is negated where bit i % 64 of the output number i / 64 of splitmix64, seeded
 *        with the round's number, 0 or 1, is set;
 *     2. the Walsh-Hadamard transform of order p on the first p values in round 0, on the last p
 *        in round 1: stages h = 1, 2, 4, ... p / 2 turn a = x[i], b = x[i + h] into a + b, a - b,
 *        and at the end every value is multiplied by 1 / sqrt(p), rounded to binary32;
 * and, where n is no power of two, a last butterfly that shares between the two ends what the
 * middle may not have carried over: a = x[i], b = x[n - 1 - i], i < n / 2, become (a + b) * r and
 * (a - b) * r for r = sqrt(1/2) in binary32. All operations are in binary32 and unfused.
 *
 * Signs and transforms are those of Ailon and Chazelle, "The Fast Johnson-Lindenstrauss Transform"
 * (SIAM J. Comput. 2009). Two rounds are enough here: of unit vectors, sums of two and blocks of
 * ones, at 513 to 2,047 dimensions, none kept a kurtosis above 5, 3 being that of normal values.
 * Butterflies of x[i] and x[i + n / 2] between the rounds, as they are used elsewhere, left up to
 * 28 after four rounds.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_ROTATION_H
#define VDB_VECTOR_ROTATION_H

#include <stdint.h>
#include <string.h>

#include "vector/kernel_sets.h"

#define ROTATION_ROOT_HALF 0x1.6a09e6p-1f

/* The signs of dimensions 64 * block and on, from the lowest bit: splitmix64 (Steele et al.,
 * OOPSLA 2014). */
KERNEL_INLINE uint64_t rotation_signs(uint32_t round, uint32_t block)
{
    uint64_t z = round + ((uint64_t)block + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Negates x[i] where bit i is set; count is 0 to 64. */
KERNEL_INLINE void rotation_negate(float *x, uint32_t count, uint64_t signs)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits ^= (uint32_t)(signs >> i) << 31;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

/* The last butterflies of pairs `begin` to n / 2 - 1. */
KERNEL_INLINE void rotation_fold(float *x, uint32_t n, uint32_t begin)
{
    for (uint32_t i = begin; i < n / 2; i++) {
        float a = x[i], b = x[n - 1 - i];
        x[i] = (a + b) * ROTATION_ROOT_HALF;
        x[n - 1 - i] = (a - b) * ROTATION_ROOT_HALF;
    }
}

/* The whole, n above 0, from what a kernel set has for its parts: the signs of a round, the
 * transform of p values times `scale`, and the last butterflies. */
KERNEL_INLINE void rotate_of(float *x, uint32_t n,
                             void (*flip)(float *x, uint32_t n, uint32_t round),
                             void (*transform)(float *x, uint32_t p, float scale),
                             void (*fold)(float *x, uint32_t n))
{
    uint32_t p = 1;
    float scale = 1.0f; /* rounded to binary32 once: halving is exact */
    for (; p <= n / 4; p *= 4) scale *= 0.5f;
    if (p <= n / 2) {
        p *= 2;
        scale *= ROTATION_ROOT_HALF;
    }
    flip(x, n, 0);
    transform(x, p, scale);
    flip(x, n, 1);
    transform(x + (n - p), p, scale);
    if (p != n) fold(x, n);
}

#endif
