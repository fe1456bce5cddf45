/* kernel_x86.h: what the kernel sets of x86-64 share: four distances from four sums.
 *
 * Sums, norms and factors come together in registers of four: written one by one and read as four,
 * they would wait for the stores. To be included behind the pragmas that say what its user is
 * compiled for.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_X86_H
#define VDB_VECTOR_KERNEL_X86_H

#include <immintrin.h>
#include <string.h>

#include "vector/kernel_sets.h"

KERNEL_INLINE __m128i load_word(const uint8_t *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return _mm_cvtsi32_si128(word);
}

KERNEL_INLINE __m128i distances8(const struct kernel_query8 *query, const uint8_t *const factors[4],
                                 __m128i sums)
{
    __m128i base = _mm_set1_epi32((int32_t)query->base);
    if (query->inner) return _mm_sub_epi32(base, sums);
    __m128i ab = _mm_unpacklo_epi32(load_word(factors[0]), load_word(factors[1]));
    __m128i cd = _mm_unpacklo_epi32(load_word(factors[2]), load_word(factors[3]));
    __m128i norms = _mm_unpacklo_epi64(ab, cd);
    return _mm_add_epi32(_mm_sub_epi32(norms, _mm_add_epi32(sums, sums)), base);
}

KERNEL_INLINE __m128 load_pair(const uint8_t *bytes)
{
    return _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
}

/* MAXPS returns its second operand where one is a NaN, as the comparison of the portable kernel
 * does. */
KERNEL_INLINE __m128i distances4(const struct kernel_query4 *query, const uint8_t *const factors[4],
                                 __m128i sums)
{
    __m128 ab = _mm_unpacklo_ps(load_pair(factors[0]), load_pair(factors[1]));
    __m128 cd = _mm_unpacklo_ps(load_pair(factors[2]), load_pair(factors[3]));
    __m128 f = _mm_movehl_ps(cd, ab), norm = _mm_set1_ps(query->norm);
    __m128i twice = _mm_sub_epi32(_mm_add_epi32(sums, sums), _mm_set1_epi32(query->offset));
    __m128 x = _mm_mul_ps(f, _mm_mul_ps(_mm_set1_ps(query->scale), _mm_cvtepi32_ps(twice)));
    __m128 result;
    if (query->inner) {
        result = _mm_add_ps(norm, _mm_mul_ps(_mm_set1_ps(0.5f), x));
        result = _mm_xor_ps(result, _mm_set1_ps(-0.0f));
    } else {
        result = _mm_sub_ps(_mm_add_ps(norm, _mm_movelh_ps(ab, cd)), x);
        result = _mm_max_ps(result, _mm_setzero_ps());
    }
    __m128i bits = _mm_castps_si128(result);
    __m128i turn = _mm_or_si128(_mm_srai_epi32(bits, 31), _mm_set1_epi32(INT32_MIN));
    return _mm_xor_si128(bits, turn);
}

#endif
