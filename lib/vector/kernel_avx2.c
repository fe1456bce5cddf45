/* kernel_avx2.c: the kernels for CPUs with AVX2 and F16C.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "vector/vtype.h"

/* After the includes: the pragmas change what every function below is compiled for, and so no
 * flags for this file are needed. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#define UNROLL _Pragma("unroll")
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* ---- codes --------------------------------------------------------------------------------- */

/* VPMADDUBSW would saturate: 255 * -128 twice does not fit its i16. So even and odd bytes are
 * widened to i16, by a mask and by shifts, which unlike unpacking need no shuffle, and VPMADDWD
 * adds pairs of products exactly. */
struct query32 {
    __m256i even, odd;
};

KERNEL_INLINE struct query32 load_query32(const int8_t *query)
{
    __m256i q = _mm256_loadu_si256((const __m256i *)query);
    return (struct query32){_mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8), _mm256_srai_epi16(q, 8)};
}

KERNEL_INLINE __m256i dot_step(__m256i sum, const uint8_t *code, struct query32 query, __m256i flip)
{
    __m256i c = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)code), flip);
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(c, _mm256_set1_epi16(0xff)), query.even);
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(c, 8), query.odd);
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

/* The sums over the 8 lanes of a, b, c and d. */
KERNEL_INLINE __m128i add_across4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i abcd = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(abcd), _mm256_extracti128_si256(abcd, 1));
}

static void avx2_dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                           uint8_t flip, int32_t sums[4])
{
    const uint8_t *a = codes[0], *b = codes[1], *c = codes[2], *d = codes[3];
    __m256i flips = _mm256_set1_epi8((char)flip);
    __m256i sum_a = _mm256_setzero_si256(), sum_b = sum_a, sum_c = sum_a, sum_d = sum_a;
    for (size_t i = 0; i < bytes; i += 32) {
        struct query32 q = load_query32(query + i);
        sum_a = dot_step(sum_a, a + i, q, flips);
        sum_b = dot_step(sum_b, b + i, q, flips);
        sum_c = dot_step(sum_c, c + i, q, flips);
        sum_d = dot_step(sum_d, d + i, q, flips);
    }
    _mm_storeu_si128((__m128i *)sums, add_across4(sum_a, sum_b, sum_c, sum_d));
}

static int32_t avx2_dot_u8i8(const uint8_t *code, const int8_t *query, size_t bytes, uint8_t flip)
{
    __m256i flips = _mm256_set1_epi8((char)flip);
    __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
    for (size_t i = 0; i < bytes; i += 64) {
        sum0 = dot_step(sum0, code + i, load_query32(query + i), flips);
        sum1 = dot_step(sum1, code + i + 32, load_query32(query + i + 32), flips);
    }
    __m256i sum = _mm256_add_epi32(sum0, sum1);
    return _mm_cvtsi128_si32(add_across4(sum, sum, sum, sum));
}

/* ---- stored vectors ------------------------------------------------------------------------ */

/* Elements begin ... begin + 3 as doubles. */
KERNEL_INLINE __m256d load4(enum vdb_type type, const void *x, size_t begin)
{
    const uint8_t *bytes = x;
    uint32_t four;
    switch (type) {
    case VDB_TYPE_F32:
        return _mm256_cvtps_pd(
            _mm_castsi128_ps(_mm_loadu_si128((const __m128i *)(const void *)(bytes + 4 * begin))));
    case VDB_TYPE_F16:
        return _mm256_cvtps_pd(
            _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)(const void *)(bytes + 2 * begin))));
    case VDB_TYPE_I8:
        memcpy(&four, bytes + begin, sizeof four);
        return _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(_mm_cvtsi32_si128((int)four)));
    case VDB_TYPE_U8:
        memcpy(&four, bytes + begin, sizeof four);
        return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128((int)four)));
    }
    return _mm256_setzero_pd();
}

KERNEL_INLINE __m256d l2sq_step(__m256d sum, enum vdb_type type, const void *x, const float *query,
                                size_t begin)
{
    __m256d difference = _mm256_sub_pd(load4(type, x, begin), load4(VDB_TYPE_F32, query, begin));
    return _mm256_add_pd(sum, _mm256_mul_pd(difference, difference));
}

KERNEL_INLINE __m256d dot_float_step(__m256d sum, enum vdb_type type, const void *x,
                                     const float *query, size_t begin)
{
    return _mm256_add_pd(sum,
                         _mm256_mul_pd(load4(type, x, begin), load4(VDB_TYPE_F32, query, begin)));
}

KERNEL_INLINE __m256d sumsq_step(__m256d sum, enum vdb_type type, const void *x,
                                 const float *unused, size_t begin)
{
    (void)unused;
    __m256d value = load4(type, x, begin);
    return _mm256_add_pd(sum, _mm256_mul_pd(value, value));
}

typedef __m256d (*step_fn)(__m256d sum, enum vdb_type type, const void *x, const float *query,
                           size_t begin);

KERNEL_INLINE double add_lanes(const __m256d group[8])
{
    __m256d g04 = _mm256_add_pd(group[0], group[4]), g15 = _mm256_add_pd(group[1], group[5]);
    __m256d g26 = _mm256_add_pd(group[2], group[6]), g37 = _mm256_add_pd(group[3], group[7]);
    __m256d by4 = _mm256_add_pd(_mm256_add_pd(g04, g26), _mm256_add_pd(g15, g37));
    __m128d by2 = _mm_add_pd(_mm256_castpd256_pd128(by4), _mm256_extractf128_pd(by4, 1));
    return kernel_result(_mm_cvtsd_f64(_mm_add_sd(by2, _mm_unpackhi_pd(by2, by2))));
}

/* Lane 4 * g + j is element j of group g. The rest behind the last whole block is copied into a
 * block of zeros, which change no lane (see kernel_portable.c). */
KERNEL_INLINE double reduce(step_fn step, enum vdb_type type, const void *x, const float *query,
                            size_t n)
{
    __m256d group[8];
    UNROLL
    for (size_t g = 0; g < 8; g++) group[g] = _mm256_setzero_pd();

    size_t i = 0;
    for (; i + KERNEL_LANES <= n; i += KERNEL_LANES) {
        UNROLL
        for (size_t g = 0; g < 8; g++) group[g] = step(group[g], type, x, query, i + 4 * g);
    }
    if (i < n) {
        uint8_t x_rest[4 * KERNEL_LANES] = {0};
        float query_rest[KERNEL_LANES] = {0};
        size_t size = vtype_size(type);
        memcpy(x_rest, (const uint8_t *)x + size * i, size * (n - i));
        if (query)
            memcpy(query_rest, (const uint8_t *)(const void *)query + sizeof *query * i,
                   sizeof *query * (n - i));
        UNROLL
        for (size_t g = 0; g < 8; g++) group[g] = step(group[g], type, x_rest, query_rest, 4 * g);
    }
    return add_lanes(group);
}

KERNEL_INLINE double l2sq_of(enum vdb_type type, const void *x, const float *query, size_t n)
{
    return reduce(l2sq_step, type, x, query, n);
}

KERNEL_INLINE double dot_of(enum vdb_type type, const void *x, const float *query, size_t n)
{
    return reduce(dot_float_step, type, x, query, n);
}

KERNEL_INLINE double sumsq_of(enum vdb_type type, const void *x, size_t n)
{
    return reduce(sumsq_step, type, x, NULL, n);
}

FLOAT_KERNELS(f32, VDB_TYPE_F32)
FLOAT_KERNELS(f16, VDB_TYPE_F16)
FLOAT_KERNELS(i8, VDB_TYPE_I8)
FLOAT_KERNELS(u8, VDB_TYPE_U8)

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .dot4_u8i8 = avx2_dot4_u8i8,
    .dot_u8i8 = avx2_dot_u8i8,
    .l2sq = FLOAT_KERNEL_TABLE(l2sq),
    .dot = FLOAT_KERNEL_TABLE(dot),
    .sumsq = FLOAT_KERNEL_TABLE(sumsq),
};

#endif
