/* scan_avx512.c: the scan by look-up tables for CPUs with AVX-512, and the cutting of what it
 * keeps.
 *
 * Where the CPU has VBMI the set takes the scan of scan_vbmi.c; this one is for those that have
 * none (Intel's before Ice Lake).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "vector/kernel_cut.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c")
#endif

#include "vector/scan_avx512.h"

/* VPSHUFB looks 64 bytes up in tables of 16, one a quarter of the register, and so a register has
 * to hold one code of 64 rows: four blocks are taken at once and their bytes transposed. Quarter q
 * then has of each block the rows 4q to 4q + 3. */
struct codes {
    __m512i j[4];
};

KERNEL_INLINE __m512i rows_by_code(const uint8_t *p)
{
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    return _mm512_shuffle_epi8(_mm512_loadu_si512(p), order);
}

KERNEL_INLINE struct codes transpose(const uint8_t *const line[BATCH])
{
    __m512i a = rows_by_code(line[0]), b = rows_by_code(line[1]);
    __m512i c = rows_by_code(line[2]), d = rows_by_code(line[3]);
    __m512i ab01 = _mm512_unpacklo_epi32(a, b), ab23 = _mm512_unpackhi_epi32(a, b);
    __m512i cd01 = _mm512_unpacklo_epi32(c, d), cd23 = _mm512_unpackhi_epi32(c, d);
    return (struct codes){{_mm512_unpacklo_epi64(ab01, cd01), _mm512_unpackhi_epi64(ab01, cd01),
                           _mm512_unpacklo_epi64(ab23, cd23), _mm512_unpackhi_epi64(ab23, cd23)}};
}

/* Sums in u16. `odd` has those of bytes 1, 3, ...; `words` adds up pairs of bytes as they lie, so
 * that it is the sum of the even bytes plus 256 times that of the odd ones, modulo 2^16. */
struct sums16 {
    __m512i words, odd;
};

/* `codes` have the code in the low halves of their bytes. */
KERNEL_INLINE struct sums16 look_up(struct sums16 s, const uint8_t *table, __m512i codes)
{
    __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    __m512i found = _mm512_shuffle_epi8(entries, _mm512_and_si512(codes, _mm512_set1_epi8(15)));
    return (struct sums16){_mm512_add_epi16(s.words, found),
                           _mm512_add_epi16(s.odd, _mm512_srli_epi16(found, 8))};
}

/* Adds them to the sums of the blocks' rows, in their order. */
KERNEL_INLINE void widen(struct sums16 s, int count, __m512i sums[BATCH])
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i even = _mm512_sub_epi16(s.words, _mm512_slli_epi16(s.odd, 8));
    __m512i ab = _mm512_unpacklo_epi16(even, s.odd), cd = _mm512_unpackhi_epi16(even, s.odd);
    sums[0] = _mm512_add_epi32(sums[0], _mm512_unpacklo_epi16(ab, zero));
    if (count == 1) return;
    sums[1] = _mm512_add_epi32(sums[1], _mm512_unpackhi_epi16(ab, zero));
    sums[2] = _mm512_add_epi32(sums[2], _mm512_unpacklo_epi16(cd, zero));
    sums[3] = _mm512_add_epi32(sums[3], _mm512_unpackhi_epi16(cd, zero));
}

/* 32 groups add at most 32 * 8 * 255 = 65,280 to a row, which still fits a u16. */
#define GROUPS_AT_ONCE 32

KERNEL_INLINE void sums_of(const struct kernel_scan *scan, uint32_t whole,
                           const struct batch *batch, enum fetched fetched, int count,
                           __m512i sums[BATCH])
{
    const uint8_t *table = scan->table;
    size_t offset = KERNEL_SCAN_HEADER;
    UNROLL for (int k = 0; k < count; k++)
    {
        sums[k] = _mm512_setzero_si512();
    }
    for (uint32_t g = 0; g < scan->groups;) {
        struct sums16 s = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        uint32_t end = scan->groups - g < GROUPS_AT_ONCE ? scan->groups : g + GROUPS_AT_ONCE;
        for (; g < end; g++) {
            const uint8_t *line[BATCH]; /* a block alone stands for all four */
            UNROLL for (int k = 0; k < BATCH; k++)
            {
                line[k] = line_of(batch, fetched, k < count ? k : 0, offset);
            }
            struct codes c = transpose(line);
            UNROLL for (int j = 0; j < 4; j++)
            {
                s = look_up(s, table + 16 * j, c.j[j]);
            }
            UNROLL for (int j = 0; j < 4 && g < whole; j++)
            {
                s = look_up(s, table + 64 + 16 * j, _mm512_srli_epi16(c.j[j], 4));
            }
            offset += KERNEL_SCAN_GROUP;
            table += KERNEL_SCAN_TABLE;
        }
        widen(s, count, sums);
    }
}

uint32_t shuffle_scan_u4(struct kernel_scan *scan)
{
    return scan_blocks(scan, INTO_SECOND, sums_of);
}

/* ---- cutting ------------------------------------------------------------------------------- */

KERNEL_INLINE __mmask16 first(uint32_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

KERNEL_INLINE struct kernel_ends ends_of(const float *x, uint32_t n)
{
    __m512 low = _mm512_set1_ps(x[0]), high = low;
    for (uint32_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_mask_loadu_ps(low, first(n - i), x + i);
        low = _mm512_min_ps(low, v);
        high = _mm512_max_ps(high, v);
    }
    return (struct kernel_ends){_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high)};
}

KERNEL_INLINE uint32_t count_up_to(const float *x, uint32_t n, float most)
{
    const __m512 limit = _mm512_set1_ps(most);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += 16) {
        __mmask16 there = first(n - i);
        __m512 v = _mm512_maskz_loadu_ps(there, x + i);
        count += (uint32_t)__builtin_popcount(_mm512_mask_cmp_ps_mask(there, v, limit, _CMP_LE_OQ));
    }
    return count;
}

void avx512_cut_scan(struct kernel_scan *scan, uint32_t wanted)
{
    uint32_t n = scan->count, most = wanted + wanted / 8, kept = 0;
    if (n <= wanted) return;
    const struct kernel_ends ends = ends_of(scan->estimates, n);
    float bound = kernel_cut_bound(scan->estimates, n, wanted, ends, count_up_to);
    const __m512 limit = _mm512_set1_ps(bound);
    for (uint32_t i = 0; i < n && kept < most; i += 16) {
        __mmask16 there = first(n - i);
        __m512 v = _mm512_maskz_loadu_ps(there, scan->estimates + i);
        __m512i slots = _mm512_maskz_loadu_epi32(there, scan->slots + i);
        __mmask16 mask = _mm512_mask_cmp_ps_mask(there, v, limit, _CMP_LE_OQ);
        uint32_t more = (uint32_t)__builtin_popcount(mask);
        _mm512_mask_storeu_ps(scan->estimates + kept, first(more),
                              _mm512_maskz_compress_ps(mask, v));
        _mm512_mask_storeu_epi32(scan->slots + kept, first(more),
                                 _mm512_maskz_compress_epi32(mask, slots));
        kept += more;
    }
    scan->count = kept < most ? kept : most;
    scan->limit = bound;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

uint32_t avx512_scan_u4(struct kernel_scan *scan)
{
    return __builtin_cpu_supports("avx512vbmi") ? vbmi_scan_u4(scan) : shuffle_scan_u4(scan);
}

#endif
