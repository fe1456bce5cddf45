/* tile_avx2.c: distances of packed rows for CPUs with AVX2.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "vector/kernel_bound.h"
#include "vector/kernel_tile.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define UNROLL _Pragma("unroll")
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define TOGETHER 4 /* queries that share what is loaded of a panel: their sums fill 8 registers */

KERNEL_INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* VPMADDUBSW would saturate, so even and odd bytes are widened apart, as in kernel_avx2.c. */
KERNEL_INLINE __m256i add_products(__m256i sum, __m256i even, __m256i odd, __m256i query_even,
                                   __m256i query_odd)
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(even, query_even));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(odd, query_odd));
}

KERNEL_INLINE void panel_sums(const struct kernel_tile *tile, const uint8_t *panel, int first,
                              __m256i low[TOGETHER], __m256i high[TOGETHER])
{
    const __m256i bytes = _mm256_set1_epi16(0xff);
    const int8_t *query = tile->queries + (size_t)first * tile->query_stride;
    UNROLL for (int i = 0; i < TOGETHER; i++)
    {
        low[i] = high[i] = _mm256_setzero_si256();
    }
    for (uint32_t f = 0; f < tile->fours; f++, panel += 64, query += 4) {
        __m256i a = load(panel), b = load(panel + 32);
        __m256i a_even = _mm256_and_si256(a, bytes), a_odd = _mm256_srli_epi16(a, 8);
        __m256i b_even = _mm256_and_si256(b, bytes), b_odd = _mm256_srli_epi16(b, 8);
        UNROLL for (int i = 0; i < TOGETHER; i++)
        {
            int32_t four;
            memcpy(&four, query + (size_t)i * tile->query_stride, sizeof four);
            __m256i q = _mm256_set1_epi32(four);
            __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8);
            __m256i odd = _mm256_srai_epi16(q, 8);
            low[i] = add_products(low[i], a_even, a_odd, even, odd);
            high[i] = add_products(high[i], b_even, b_odd, even, odd);
        }
    }
}

/* norm - 2 * sum + base; all ones for what is not a row. */
KERNEL_INLINE __m256i finish(const struct kernel_tile *tile, uint32_t begin, int i, __m256i sums)
{
    __m256i norms =
        _mm256_add_epi32(load(tile->norms + begin), _mm256_set1_epi32((int32_t)tile->bases[i]));
    __m256i places = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                      _mm256_set1_epi32((int32_t)begin));
    __m256i behind = _mm256_cmpgt_epi32(places, _mm256_set1_epi32((int32_t)tile->rows - 1));
    return _mm256_or_si256(_mm256_sub_epi32(norms, _mm256_add_epi32(sums, sums)), behind);
}

void avx2_tile_u8i8(struct kernel_tile *tile)
{
    uint32_t room = kernel_tile_room(tile->rows);
    memset(tile->least, 0xff, sizeof tile->least);
    for (uint32_t begin = 0; begin < room; begin += KERNEL_TILE_PANEL) {
        const uint8_t *panel = tile->panels + (size_t)begin * tile->fours * 4;
        for (int first = 0; first < KERNEL_TILE_QUERIES; first += TOGETHER) {
            __m256i low[TOGETHER], high[TOGETHER];
            panel_sums(tile, panel, first, low, high);
            UNROLL for (int k = 0; k < TOGETHER; k++)
            {
                int i = first + k;
                uint32_t *distances = tile->distances + (size_t)i * tile->stride + begin;
                __m256i *least = (__m256i *)(void *)tile->least[i];
                __m256i a = finish(tile, begin, i, low[k]), b = finish(tile, begin + 8, i, high[k]);
                _mm256_storeu_si256((__m256i *)(void *)distances, a);
                _mm256_storeu_si256((__m256i *)(void *)(distances + 8), b);
                _mm256_storeu_si256(least, _mm256_min_epu32(a, load(least)));
                _mm256_storeu_si256(least + 1, _mm256_min_epu32(b, load(least + 1)));
            }
        }
    }
}

uint32_t avx2_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places)
{
    const __m256i limits = _mm256_set1_epi32((int32_t)limit);
    uint32_t count = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = load(values + i);
        __m256i within = _mm256_cmpeq_epi32(_mm256_min_epu32(v, limits), v);
        uint32_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(within));
        for (; mask; mask &= mask - 1) places[count++] = i + (uint32_t)__builtin_ctz(mask);
    }
    for (; i < n; i++)
        if (values[i] <= limit) places[count++] = i;
    return count;
}

/* VPMADDUBSW cannot saturate here: two products of 15 and 128 are 3,840 at the most, and eight
 * such sums still fit an i16. */
#define NIBBLE_STEPS 4 /* of two sums each */

KERNEL_INLINE __m256i add_nibbles(__m256i sum, const uint8_t *codes, __m256i low, __m256i high)
{
    const __m256i lows = _mm256_set1_epi8(15);
    __m256i x = load(codes), more = _mm256_and_si256(_mm256_srli_epi16(x, 4), lows);
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_and_si256(x, lows), low));
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(more, high));
}

/* Sums of 16 rows, eight to a register. */
KERNEL_INLINE void nibble_sums(const uint8_t *codes, size_t groups, const int8_t *query,
                               __m256i sums[2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    sums[0] = sums[1] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups;) {
        __m256i first = _mm256_setzero_si256(), second = first;
        size_t end = groups - g < NIBBLE_STEPS ? groups : g + NIBBLE_STEPS;
        for (; g < end; g++, codes += 64, query += 8) {
            int32_t four[2];
            memcpy(four, query, sizeof four);
            __m256i low = _mm256_set1_epi32(four[0]), high = _mm256_set1_epi32(four[1]);
            first = add_nibbles(first, codes, low, high);
            second = add_nibbles(second, codes + 32, low, high);
        }
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(first, ones));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(second, ones));
    }
}

KERNEL_INLINE uint32_t within_bound(const struct kernel_bound *bound, size_t row, __m256i sums)
{
    __m256 slack =
        _mm256_mul_ps(_mm256_set1_ps(bound->slope), _mm256_loadu_ps(bound->slacks + row));
    __m256 least = _mm256_sub_ps(_mm256_loadu_ps(bound->terms + row), slack);
    __m256 product = _mm256_mul_ps(_mm256_set1_ps(bound->weight), _mm256_cvtepi32_ps(sums));
    least = _mm256_sub_ps(least, product);
    return (uint32_t)_mm256_movemask_ps(
        _mm256_cmp_ps(least, _mm256_set1_ps(bound->limit), _CMP_LE_OQ));
}

uint32_t avx2_bound_u4i8(const struct kernel_bound *bound, uint32_t *rows)
{
    uint32_t count = 0;
    for (size_t b = 0; b < bound->blocks; b++) {
        __m256i sums[2];
        nibble_sums(bound->codes + 64 * bound->groups * b, bound->groups, bound->query, sums);
        uint32_t mask =
            within_bound(bound, 16 * b, sums[0]) | within_bound(bound, 16 * b + 8, sums[1]) << 8;
        for (; mask; mask &= mask - 1)
            rows[count++] = (uint32_t)(16 * b) + (uint32_t)__builtin_ctz(mask);
    }
    return count;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
