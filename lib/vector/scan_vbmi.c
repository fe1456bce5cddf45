/* scan_vbmi.c: the scan by look-up tables for CPUs with AVX-512, its byte dot product (VNNI) and
 * its permutation of bytes (VBMI).
 *
 * The set avx512 asks for no VBMI, as its other kernels do without; it takes this scan where the
 * CPU has it (AMD's since Zen 4, Intel's since Ice Lake).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,avx2,f16c")
#endif

#include "vector/scan_avx512.h"

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
    for (uint32_t g = 0; g < whole; g++) {
        __m512i low = in_register(_mm512_loadu_si512(table));
        __m512i high = in_register(_mm512_loadu_si512(table + 64));
        UNROLL for (int k = 0; k < count; k++)
        {
            __m512i c = in_register(_mm512_loadu_si512(line_of(batch, fetched, k, offset)));
            sums[k] = look_up(sums[k], low, c);
            sums[k] = look_up(sums[k], high, _mm512_srli_epi32(c, 4));
        }
        offset += KERNEL_SCAN_GROUP;
        table += KERNEL_SCAN_TABLE;
    }
    if (whole == scan->groups) return;
    UNROLL for (int k = 0; k < count; k++)
    {
        __m512i c = _mm512_loadu_si512(line_of(batch, fetched, k, offset));
        sums[k] = look_up(sums[k], _mm512_loadu_si512(table), c);
    }
}

/* Intel's CPUs are faster with what is fetched into the first cache, AMD's into the second
 * (tests/bench/NOTES.md). */
uint32_t vbmi_scan_u4(struct kernel_scan *scan)
{
    return __builtin_cpu_is("intel") ? scan_blocks(scan, INTO_FIRST, sums_of)
                                     : scan_blocks(scan, INTO_SECOND, sums_of);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
