/* blocks_vnni.c: inner products with blocks of rows for CPUs with AVX2 and its byte dot product
 * (AVX-VNNI: Intel's desktop CPUs since Alder Lake, which have no AVX-512).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c,avxvnni")
#endif

KERNEL_INLINE __m256i add_products(__m256i sum, const uint8_t *codes, const int8_t *values)
{
    int32_t four;
    memcpy(&four, values, sizeof four);
    return _mm256_dpbusd_avx_epi32(sum, _mm256_loadu_si256((const __m256i *)(const void *)codes),
                                   _mm256_set1_epi32(four));
}

KERNEL_INLINE void put_eight(const struct kernel_query8 *query, __m256i sum, const int32_t *norms,
                             uint32_t *distances)
{
    __m256i from = _mm256_set1_epi32((int32_t)query->base), less = sum;
    if (!query->inner) {
        __m256i eight = _mm256_loadu_si256((const __m256i *)(const void *)norms);
        from = _mm256_add_epi32(eight, from);
        less = _mm256_add_epi32(sum, sum);
    }
    _mm256_storeu_si256((__m256i *)(void *)distances, _mm256_sub_epi32(from, less));
}

/* Two sums of each half, as each step waits for the last one on its sum. */
void vnni_blocks_u8i8(const uint8_t *codes, const int32_t *norms, size_t blocks, size_t groups,
                      const struct kernel_query8 *query, uint32_t *distances)
{
    for (size_t b = 0; b < blocks; b++, norms += 16, distances += 16) {
        __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
        const int8_t *values = query->values;
        size_t g = 0;
        for (; g + 2 <= groups; g += 2, codes += 128, values += 8) {
            s0 = add_products(s0, codes, values);
            s1 = add_products(s1, codes + 32, values);
            s2 = add_products(s2, codes + 64, values + 4);
            s3 = add_products(s3, codes + 96, values + 4);
        }
        if (g < groups) {
            s0 = add_products(s0, codes, values);
            s1 = add_products(s1, codes + 32, values);
            codes += 64;
        }
        put_eight(query, _mm256_add_epi32(s0, s2), norms, distances);
        put_eight(query, _mm256_add_epi32(s1, s3), norms + 8, distances + 8);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
