/* tile_avx512.c: distances of packed rows for CPUs with AVX-512 and its byte dot product (VNNI).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "vector/kernel_bound.h"
#include "vector/kernel_tile.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)
#define UNROLL _Pragma("unroll")
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define QUERIES KERNEL_TILE_QUERIES

/* See kernel_avx512.c. */
KERNEL_INLINE __m512i add_products(__m512i sum, __m512i code, __m512i query)
{
    sum = _mm512_dpbusd_epi32(sum, code, query);
    __asm__("" : "+v"(sum));
    return sum;
}

/* Sixteen sums, of eight queries and two panels: as many as hide that each step waits for the last
 * one on its sum. */
KERNEL_INLINE void panel_sums(const struct kernel_tile *tile, const uint8_t *panel,
                              __m512i low[QUERIES], __m512i high[QUERIES])
{
    const uint8_t *next = panel + (size_t)tile->fours * 64;
    const int8_t *query = tile->queries;
    UNROLL for (int i = 0; i < QUERIES; i++)
    {
        low[i] = high[i] = _mm512_setzero_si512();
    }
    for (uint32_t f = 0; f < tile->fours; f++, panel += 64, next += 64, query += 4) {
        __m512i a = _mm512_loadu_si512(panel), b = _mm512_loadu_si512(next);
        UNROLL for (int i = 0; i < QUERIES; i++)
        {
            int32_t four;
            memcpy(&four, query + (size_t)i * tile->query_stride, sizeof four);
            __m512i q = _mm512_set1_epi32(four);
            low[i] = add_products(low[i], a, q);
            high[i] = add_products(high[i], b, q);
        }
    }
}

/* Bits for those of the 16 from `begin` on that are not rows. */
KERNEL_INLINE __mmask16 behind(const struct kernel_tile *tile, uint32_t begin)
{
    uint32_t left = tile->rows > begin ? tile->rows - begin : 0;
    return (__mmask16)(left >= 16 ? 0 : 0xffffu << left);
}

KERNEL_INLINE __m512i finish(__m512i norms, uint32_t base, __m512i sums, __mmask16 behind)
{
    __m512i x = _mm512_add_epi32(norms, _mm512_set1_epi32((int32_t)base));
    x = _mm512_sub_epi32(x, _mm512_add_epi32(sums, sums));
    return _mm512_mask_set1_epi32(x, behind, -1);
}

void avx512_tile_u8i8(struct kernel_tile *tile)
{
    uint32_t room = kernel_tile_room(tile->rows);
    memset(tile->least, 0xff, sizeof tile->least);
    for (uint32_t begin = 0; begin < room; begin += KERNEL_TILE_ROWS) {
        __m512i low[QUERIES], high[QUERIES];
        panel_sums(tile, tile->panels + (size_t)begin * tile->fours * 4, low, high);
        __m512i norms = _mm512_loadu_si512(tile->norms + begin);
        __m512i more_norms = _mm512_loadu_si512(tile->norms + begin + 16);
        UNROLL for (int i = 0; i < QUERIES; i++)
        {
            uint32_t *distances = tile->distances + (size_t)i * tile->stride + begin;
            __m512i a = finish(norms, tile->bases[i], low[i], behind(tile, begin));
            __m512i b = finish(more_norms, tile->bases[i], high[i], behind(tile, begin + 16));
            __m512i least = _mm512_min_epu32(_mm512_loadu_si512(tile->least[i]), a);
            _mm512_storeu_si512(distances, a);
            _mm512_storeu_si512(distances + 16, b);
            _mm512_storeu_si512(tile->least[i], _mm512_min_epu32(least, b));
        }
    }
}

uint32_t avx512_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places)
{
    const __m512i limits = _mm512_set1_epi32((int32_t)limit);
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += 16) {
        __mmask16 mask = (__mmask16)(n - i >= 16 ? 0xffffu : (1u << (n - i)) - 1);
        __m512i v = _mm512_maskz_loadu_epi32(mask, values + i);
        mask = _mm512_mask_cmple_epu32_mask(mask, v, limits);
        if (mask) {
            /* Not VPCOMPRESSD to memory, which some CPUs are very slow at. */
            _mm512_storeu_si512(places + count, _mm512_maskz_compress_epi32(mask, at));
            count += (uint32_t)__builtin_popcount(mask);
        }
        at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
    }
    return count;
}

KERNEL_INLINE __m512i load_codes(const uint8_t *codes)
{
    __m512i x = _mm512_loadu_si512(codes);
    __asm__("" : "+v"(x)); /* loaded once, and not by both of those that use it */
    return x;
}

KERNEL_INLINE __m512i four_of(const int8_t *query)
{
    int32_t four;
    memcpy(&four, query, sizeof four);
    return _mm512_set1_epi32(four);
}

/* A group's products, low and high halves apart. */
KERNEL_INLINE void add_nibbles(const uint8_t *codes, const int8_t *query, __m512i *low,
                               __m512i *high)
{
    const __m512i lows = _mm512_set1_epi8(15), highs = _mm512_set1_epi8((char)0xf0);
    __m512i x = load_codes(codes);
    *low = add_products(*low, _mm512_and_si512(x, lows), four_of(query));
    *high = add_products(*high, _mm512_and_si512(x, highs), four_of(query + 4));
}

/* Sums of 16 rows. High halves stay where they are, and count 16 times until the end. */
KERNEL_INLINE __m512i nibble_sums(const uint8_t *codes, size_t groups, const int8_t *query)
{
    __m512i low = _mm512_setzero_si512(), high = low, more_low = low, more_high = low;
    size_t g = 0;
    for (; g + 2 <= groups; g += 2, codes += 128, query += 16) {
        add_nibbles(codes, query, &low, &high);
        add_nibbles(codes + 64, query + 8, &more_low, &more_high);
    }
    if (g < groups) add_nibbles(codes, query, &low, &high);
    high = _mm512_srai_epi32(_mm512_add_epi32(high, more_high), 4);
    return _mm512_add_epi32(_mm512_add_epi32(low, more_low), high);
}

uint32_t avx512_bound_u4i8(const struct kernel_bound *any, uint32_t *rows)
{
    const struct kernel_bound bound = *any; /* which stores to rows[] do not change */
    const __m512 slope = _mm512_set1_ps(bound.slope), weight = _mm512_set1_ps(bound.weight);
    const __m512 limit = _mm512_set1_ps(bound.limit);
    __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t count = 0;
    const uint8_t *codes = bound.codes;
    for (size_t b = 0; b < bound.blocks; b++, codes += 64 * bound.groups) {
        __m512i sums = nibble_sums(codes, bound.groups, bound.query);
        __m512 slack = _mm512_mul_ps(slope, _mm512_loadu_ps(bound.slacks + 16 * b));
        __m512 least = _mm512_sub_ps(_mm512_loadu_ps(bound.terms + 16 * b), slack);
        least = _mm512_sub_ps(least, _mm512_mul_ps(weight, _mm512_cvtepi32_ps(sums)));
        __mmask16 kept = _mm512_cmp_ps_mask(least, limit, _CMP_LE_OQ);
        if (__builtin_expect(kept != 0, 0)) {
            _mm512_storeu_si512(rows + count, _mm512_maskz_compress_epi32(kept, at));
            count += (uint32_t)__builtin_popcount(kept);
        }
        at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
    }
    return count;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
