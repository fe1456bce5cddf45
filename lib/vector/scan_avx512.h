/* scan_avx512.h: what the scans by look-up tables in registers of 512 bits share. They differ in
 * how they look sums up. To be included behind the pragmas that say what its user is compiled for.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_SCAN_AVX512_H
#define VDB_VECTOR_SCAN_AVX512_H

#include <immintrin.h>

#include "vector/kernel_scan.h"
#include "vector/kernel_sets.h"

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
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

/* Blocks that are scanned together, and others that are fetched meanwhile. */
struct batch {
    const uint8_t *at[BATCH], *ahead[BATCH];
};

/* Which cache blocks are fetched into. A constant wherever it is given. */
enum fetched { INTO_FIRST, INTO_SECOND };

KERNEL_INLINE const uint8_t *line_of(const struct batch *batch, enum fetched fetched, int k,
                                     size_t offset)
{
    const char *ahead = (const char *)batch->ahead[k] + offset;
    if (fetched == INTO_FIRST)
        _mm_prefetch(ahead, _MM_HINT_T0);
    else
        _mm_prefetch(ahead, _MM_HINT_T1);
    return batch->at[k] + offset;
}

/* Of `count` blocks, 1 or BATCH, the sums of each one's 16 rows, in their order. The first `whole`
 * groups are looked up whole, of the last one there may be but the low halves. */
typedef void (*sums_fn)(const struct kernel_scan *scan, uint32_t whole, const struct batch *batch,
                        enum fetched fetched, int count, __m512i sums[BATCH]);

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
                              uint32_t done, int count, enum fetched fetched, sums_fn sums_of)
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
    sums_of(scan, whole, &batch, fetched, count, sums);
    UNROLL for (int k = 0; k < count; k++)
    {
        estimates[k] = estimate(t, line_of(&batch, fetched, k, 0), blocks[k].base, sums[k]);
        kept[k] = _mm512_cmp_ps_mask(estimates[k], t->limit, _CMP_LT_OQ);
        any |= kept[k];
    }
    if (__builtin_expect(any == 0, 1)) return;
    UNROLL for (int k = 0; k < count; k++)
    {
        if (kept[k]) keep(scan, blocks[k].slot, estimates[k], kept[k]);
    }
}

KERNEL_INLINE uint32_t scan_blocks(struct kernel_scan *scan, enum fetched fetched, sums_fn sums_of)
{
    const struct terms t = {_mm512_set1_ps(scan->unit_b), _mm512_set1_ps(scan->scale),
                            _mm512_set1_ps(scan->offset), _mm512_set1_ps(scan->limit)};
    const uint32_t whole = kernel_scan_whole_groups(scan);
    uint32_t done = 0;
    for (; scan->block_count - done >= BATCH && kernel_scan_has_room(scan, BATCH); done += BATCH)
        scan_batch(scan, &t, whole, done, BATCH, fetched, sums_of);
    for (; done < scan->block_count && kernel_scan_has_room(scan, 1); done++)
        scan_batch(scan, &t, whole, done, 1, fetched, sums_of);
    return done;
}

#endif
