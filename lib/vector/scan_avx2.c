/* scan_avx2.c: the scan by look-up tables for CPUs with AVX2 and F16C.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "vector/kernel_cut.h"
#include "vector/kernel_scan.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif

/* VPSHUFB looks 32 bytes up in tables of 16, one a half register, and so a register has to hold
 * one code of 32 rows: two blocks are taken at once and their bytes transposed. A register's
 * halves then have, of blocks p and q, the rows
 *     p 0-3, p 8-11, q 0-3, q 8-11  and  p 4-7, p 12-15, q 4-7, q 12-15. */
struct codes {
    __m256i j0, j1, j2, j3;
};

KERNEL_INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

KERNEL_INLINE __m256i rows_by_code(const uint8_t *p)
{
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    return _mm256_shuffle_epi8(load(p), order);
}

KERNEL_INLINE struct codes transpose(const uint8_t *p, const uint8_t *q)
{
    __m256i p0 = rows_by_code(p), p1 = rows_by_code(p + 32);
    __m256i q0 = rows_by_code(q), q1 = rows_by_code(q + 32);
    __m256i p01 = _mm256_unpacklo_epi32(p0, p1), p23 = _mm256_unpackhi_epi32(p0, p1);
    __m256i q01 = _mm256_unpacklo_epi32(q0, q1), q23 = _mm256_unpackhi_epi32(q0, q1);
    return (struct codes){_mm256_unpacklo_epi64(p01, q01), _mm256_unpackhi_epi64(p01, q01),
                          _mm256_unpacklo_epi64(p23, q23), _mm256_unpackhi_epi64(p23, q23)};
}

/* Sums in u16. `odd` has those of bytes 1, 3, ...; `words` adds up pairs of bytes as they lie, so
 * that it is the sum of the even bytes plus 256 times that of the odd ones, modulo 2^16. */
struct sums16 {
    __m256i words, odd;
};

KERNEL_INLINE struct sums16 look_up(struct sums16 s, const uint8_t *table, __m256i codes)
{
    __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    __m256i found = _mm256_shuffle_epi8(entries, _mm256_and_si256(codes, _mm256_set1_epi8(15)));
    return (struct sums16){_mm256_add_epi16(s.words, found),
                           _mm256_add_epi16(s.odd, _mm256_srli_epi16(found, 8))};
}

KERNEL_INLINE struct sums16 low_halves(struct sums16 s, const uint8_t *table, struct codes c)
{
    s = look_up(s, table, c.j0);
    s = look_up(s, table + 16, c.j1);
    s = look_up(s, table + 32, c.j2);
    return look_up(s, table + 48, c.j3);
}

KERNEL_INLINE struct sums16 high_halves(struct sums16 s, const uint8_t *table, struct codes c)
{
    s = look_up(s, table + 64, _mm256_srli_epi16(c.j0, 4));
    s = look_up(s, table + 80, _mm256_srli_epi16(c.j1, 4));
    s = look_up(s, table + 96, _mm256_srli_epi16(c.j2, 4));
    return look_up(s, table + 112, _mm256_srli_epi16(c.j3, 4));
}

/* Sums of two blocks' rows, eight to a register and in their order. */
struct sums32 {
    __m256i p0, p8, q0, q8;
};

KERNEL_INLINE struct sums32 widen(struct sums32 sums, struct sums16 s)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i even = _mm256_sub_epi16(s.words, _mm256_slli_epi16(s.odd, 8));
    __m256i p = _mm256_unpacklo_epi16(even, s.odd), q = _mm256_unpackhi_epi16(even, s.odd);
    return (struct sums32){_mm256_add_epi32(sums.p0, _mm256_unpacklo_epi16(p, zero)),
                           _mm256_add_epi32(sums.p8, _mm256_unpackhi_epi16(p, zero)),
                           _mm256_add_epi32(sums.q0, _mm256_unpacklo_epi16(q, zero)),
                           _mm256_add_epi32(sums.q8, _mm256_unpackhi_epi16(q, zero))};
}

/* 32 groups add at most 32 * 8 * 255 = 65,280 to a row, which still fits a u16. */
#define GROUPS_AT_ONCE 32

KERNEL_INLINE struct sums32 block_sums(const struct kernel_scan *scan, uint32_t whole,
                                       const uint8_t *p, const uint8_t *q)
{
    const __m256i zero = _mm256_setzero_si256();
    struct sums32 sums = {zero, zero, zero, zero};
    const uint8_t *table = scan->table;
    p += KERNEL_SCAN_HEADER;
    q += KERNEL_SCAN_HEADER;
    for (uint32_t g = 0; g < scan->groups;) {
        struct sums16 s = {zero, zero};
        uint32_t end = scan->groups - g < GROUPS_AT_ONCE ? scan->groups : g + GROUPS_AT_ONCE;
        for (; g < end; g++) {
            struct codes c = transpose(p, q);
            s = low_halves(s, table, c);
            if (g < whole) s = high_halves(s, table, c);
            p += KERNEL_SCAN_GROUP;
            q += KERNEL_SCAN_GROUP;
            table += KERNEL_SCAN_TABLE;
        }
        sums = widen(sums, s);
    }
    return sums;
}

struct terms {
    __m256 unit_b, scale, offset, limit;
};

/* Estimates of 8 rows of a block, from row `first` on, and what of them is kept. */
KERNEL_INLINE void estimate(struct kernel_scan *scan, const struct terms *t,
                            const struct kernel_scan_block *block, uint32_t first, __m256i sums)
{
    const __m128i *at = (const __m128i *)(block->at + 2 * (size_t)first);
    __m256 b = _mm256_cvtph_ps(_mm_loadu_si128(at)), f = _mm256_cvtph_ps(_mm_loadu_si128(at + 2));
    __m256 product = _mm256_add_ps(_mm256_mul_ps(t->scale, _mm256_cvtepi32_ps(sums)), t->offset);
    __m256 rest = _mm256_sub_ps(_mm256_mul_ps(t->unit_b, b), _mm256_mul_ps(f, product));
    __m256 estimates = _mm256_add_ps(_mm256_set1_ps(block->base), rest);
    unsigned kept = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(estimates, t->limit, _CMP_LT_OQ));
    if (!kept) return;

    float all[8];
    _mm256_storeu_ps(all, estimates);
    for (; kept; kept &= kept - 1) {
        uint32_t row = (uint32_t)__builtin_ctz(kept);
        scan->slots[scan->count] = block->slot + first + row;
        scan->estimates[scan->count] = all[row];
        scan->count++;
    }
}

uint32_t avx2_scan_u4(struct kernel_scan *scan)
{
    const struct terms t = {_mm256_set1_ps(scan->unit_b), _mm256_set1_ps(scan->scale),
                            _mm256_set1_ps(scan->offset), _mm256_set1_ps(scan->limit)};
    const uint32_t whole = kernel_scan_whole_groups(scan);
    const size_t bytes = kernel_scan_block_bytes(scan->groups);
    uint32_t done = 0;
    while (done < scan->block_count && kernel_scan_has_room(scan, 1)) {
        const struct kernel_scan_block *one = &scan->blocks[done];
        int two = scan->block_count - done >= 2 && kernel_scan_has_room(scan, 2);
        const struct kernel_scan_block *other = one + two;
        kernel_scan_fetch(kernel_scan_ahead(scan, done), bytes);
        if (two) kernel_scan_fetch(kernel_scan_ahead(scan, done + 1), bytes);
        struct sums32 sums = block_sums(scan, whole, one->at, other->at);
        estimate(scan, &t, one, 0, sums.p0);
        estimate(scan, &t, one, 8, sums.p8);
        if (two) {
            estimate(scan, &t, other, 0, sums.q0);
            estimate(scan, &t, other, 8, sums.q8);
        }
        done += two ? 2 : 1;
    }
    return done;
}

/* ---- cutting ------------------------------------------------------------------------------- */

KERNEL_INLINE float least_of(__m256 x)
{
    __m128 y = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_min_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_min_ss(y, _mm_movehdup_ps(y)));
}

KERNEL_INLINE float greatest_of(__m256 x)
{
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

KERNEL_INLINE struct kernel_ends ends_of(const float *x, uint32_t n)
{
    __m256 low = _mm256_set1_ps(x[0]), high = low;
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        low = _mm256_min_ps(low, v);
        high = _mm256_max_ps(high, v);
    }
    for (; i < n; i++) {
        __m256 v = _mm256_set1_ps(x[i]);
        low = _mm256_min_ps(low, v);
        high = _mm256_max_ps(high, v);
    }
    return (struct kernel_ends){least_of(low), greatest_of(high)};
}

KERNEL_INLINE uint32_t count_up_to(const float *x, uint32_t n, float most)
{
    const __m256 limit = _mm256_set1_ps(most);
    uint32_t i = 0, count = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 within = _mm256_cmp_ps(_mm256_loadu_ps(x + i), limit, _CMP_LE_OQ);
        count += (uint32_t)__builtin_popcount((unsigned)_mm256_movemask_ps(within));
    }
    for (; i < n; i++) count += x[i] <= most;
    return count;
}

void avx2_cut_scan(struct kernel_scan *scan, uint32_t wanted)
{
    uint32_t n = scan->count, most = wanted + wanted / 8, kept = 0;
    if (n <= wanted) return;
    const struct kernel_ends ends = ends_of(scan->estimates, n);
    float bound = kernel_cut_bound(scan->estimates, n, wanted, ends, count_up_to);
    for (uint32_t i = 0; i < n && kept < most; i++) {
        float estimate = scan->estimates[i];
        scan->slots[kept] = scan->slots[i];
        scan->estimates[kept] = estimate;
        kept += estimate <= bound;
    }
    scan->count = kept;
    scan->limit = bound;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
