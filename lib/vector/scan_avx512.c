/* scan_avx512.c: the scan by look-up tables for CPUs with AVX-512, its byte dot product (VNNI) and
 * its permutation of bytes (VBMI).
 *
 * The set asks for no VBMI, as its other kernels do without: where a CPU has none (Intel's before
 * Ice Lake), the scan is that of the AVX2 set.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "vector/kernel_cut.h"
#include "vector/kernel_scan.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,f16c"))), \
    apply_to = function)
#define UNROLL _Pragma("unroll")
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,f16c")
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Blocks at a time, which share what is loaded of the table, and whose sums do not wait for one
 * another. */
#define BATCH 4

/* Keeps the compiler from loading again what is used twice. */
KERNEL_INLINE __m512i in_register(__m512i x)
{
    __asm__("" : "+v"(x));
    return x;
}

/* VPERMB looks 64 bytes up in a table of 64: byte j of each row's four in the j-th of four tables
 * of 16, by an index of 16 * j + code. VPDPBUSD with ones adds up the row's four. `codes` have the
 * code in their low halves. */
KERNEL_INLINE __m512i look_up(__m512i sums, __m512i table, __m512i codes)
{
    const __m512i low = _mm512_set1_epi8(15), which = _mm512_set1_epi32(0x30201000);
    __m512i index = _mm512_ternarylogic_epi32(codes, low, which, 0xea); /* codes & low | which */
    return in_register(
        _mm512_dpbusd_epi32(sums, _mm512_permutexvar_epi8(index, table), _mm512_set1_epi8(1)));
}

/* Blocks that are scanned together, and others that are fetched meanwhile. */
struct batch {
    const uint8_t *at[BATCH], *ahead[BATCH];
};

KERNEL_INLINE const uint8_t *line_of(const struct batch *batch, int k, size_t offset)
{
    _mm_prefetch((const char *)batch->ahead[k] + offset, _MM_HINT_T1);
    return batch->at[k] + offset;
}

KERNEL_INLINE void batch_sums(const struct kernel_scan *scan, uint32_t whole,
                              const struct batch *batch, int count, __m512i sums[BATCH])
{
    const uint8_t *table = scan->table;
    size_t offset = KERNEL_SCAN_HEADER;
    UNROLL for (int k = 0; k < count; k++)
    {
        sums[k] = _mm512_setzero_si512();
    }
    for (uint32_t g = 0; g < whole; g++) {
        __m512i low = in_register(_mm512_loadu_si512(table));
        __m512i high = in_register(_mm512_loadu_si512(table + 64));
        UNROLL for (int k = 0; k < count; k++)
        {
            __m512i c = in_register(_mm512_loadu_si512(line_of(batch, k, offset)));
            sums[k] = look_up(sums[k], low, c);
            sums[k] = look_up(sums[k], high, _mm512_srli_epi32(c, 4));
        }
        offset += KERNEL_SCAN_GROUP;
        table += KERNEL_SCAN_TABLE;
    }
    if (whole == scan->groups) return;
    UNROLL for (int k = 0; k < count; k++)
    {
        __m512i c = _mm512_loadu_si512(line_of(batch, k, offset));
        sums[k] = look_up(sums[k], _mm512_loadu_si512(table), c);
    }
}

struct terms {
    __m512 unit_b, scale, offset, limit;
};

KERNEL_INLINE __m512 estimate(const struct terms *t, const uint8_t *block, float base, __m512i sums)
{
    __m512 b = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)block));
    __m512 f = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)block + 1));
    __m512 product = _mm512_add_ps(_mm512_mul_ps(t->scale, _mm512_cvtepi32_ps(sums)), t->offset);
    __m512 rest = _mm512_sub_ps(_mm512_mul_ps(t->unit_b, b), _mm512_mul_ps(f, product));
    return _mm512_add_ps(_mm512_set1_ps(base), rest);
}

/* Writes all 16 places, for which there is room: compressing right into memory takes far longer on
 * some CPUs (Zen 4) than into a register. */
static void keep(struct kernel_scan *scan, uint32_t slot, __m512 estimates, __mmask16 kept)
{
    const __m512i rows = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i slots = _mm512_add_epi32(_mm512_set1_epi32((int)slot), rows);
    _mm512_storeu_si512(scan->slots + scan->count, _mm512_maskz_compress_epi32(kept, slots));
    _mm512_storeu_ps(scan->estimates + scan->count, _mm512_maskz_compress_ps(kept, estimates));
    scan->count += (uint32_t)__builtin_popcount(kept);
}

KERNEL_INLINE void scan_batch(struct kernel_scan *scan, const struct terms *t, uint32_t whole,
                              uint32_t done, int count)
{
    const struct kernel_scan_block *blocks = scan->blocks + done;
    struct batch batch;
    __m512i sums[BATCH];
    __m512 estimates[BATCH];
    __mmask16 kept[BATCH];
    unsigned any = 0;
    UNROLL for (int k = 0; k < count; k++)
    {
        batch.at[k] = blocks[k].at;
        batch.ahead[k] = kernel_scan_ahead(scan, done + (uint32_t)k);
    }
    batch_sums(scan, whole, &batch, count, sums);
    UNROLL for (int k = 0; k < count; k++)
    {
        estimates[k] = estimate(t, line_of(&batch, k, 0), blocks[k].base, sums[k]);
        kept[k] = _mm512_cmp_ps_mask(estimates[k], t->limit, _CMP_LT_OQ);
        any |= kept[k];
    }
    if (__builtin_expect(any == 0, 1)) return;
    UNROLL for (int k = 0; k < count; k++)
    {
        if (kept[k]) keep(scan, blocks[k].slot, estimates[k], kept[k]);
    }
}

static uint32_t scan_u4(struct kernel_scan *scan)
{
    const struct terms t = {_mm512_set1_ps(scan->unit_b), _mm512_set1_ps(scan->scale),
                            _mm512_set1_ps(scan->offset), _mm512_set1_ps(scan->limit)};
    const uint32_t whole = kernel_scan_whole_groups(scan);
    uint32_t done = 0;
    for (; scan->block_count - done >= BATCH && kernel_scan_has_room(scan, BATCH); done += BATCH)
        scan_batch(scan, &t, whole, done, BATCH);
    for (; done < scan->block_count && kernel_scan_has_room(scan, 1); done++)
        scan_batch(scan, &t, whole, done, 1);
    return done;
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
    return __builtin_cpu_supports("avx512vbmi") ? scan_u4(scan) : avx2_scan_u4(scan);
}

#endif
