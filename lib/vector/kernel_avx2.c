/* kernel_avx2.c: the kernels for CPUs with AVX2 and F16C.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "vector/rotation.h"
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

#include "vector/kernel_x86.h"

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

KERNEL_INLINE __m128i dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                                uint8_t flip)
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
    return add_across4(sum_a, sum_b, sum_c, sum_d);
}

static void avx2_dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                           uint8_t flip, int32_t sums[4])
{
    _mm_storeu_si128((__m128i *)sums, dot4_u8i8(codes, query, bytes, flip));
}

/* MAXPS and MINPS return their second operand where one is a NaN, as the comparisons of the
 * portable kernel do. */
KERNEL_INLINE __m256i encode8(__m256 x, __m256 inverse, __m256 zero)
{
    __m256 t = _mm256_add_ps(_mm256_mul_ps(x, inverse), zero);
    t = _mm256_min_ps(_mm256_max_ps(t, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvttps_epi32(_mm256_add_ps(t, _mm256_set1_ps(0.5f)));
}

static void avx2_encode_u8(const float *x, size_t n, float inverse, float zero, uint8_t *code,
                           uint32_t sums[2])
{
    __m256 inverses = _mm256_set1_ps(inverse), zeros = _mm256_set1_ps(zero);
    __m256i sum = _mm256_setzero_si256(), squares = sum;
    for (size_t i = 0; i < n; i += 8) {
        size_t count = n - i < 8 ? n - i : 8;
        __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
        __m256i c = encode8(_mm256_maskload_ps(x + i, mask), inverses, zeros);
        c = _mm256_and_si256(c, mask);
        sum = _mm256_add_epi32(sum, c);
        squares = _mm256_add_epi32(squares, _mm256_madd_epi16(c, c));
        __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
        uint64_t bytes = (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(words, words));
        memcpy(code + i, &bytes, count);
    }
    uint32_t out[2][8];
    _mm256_storeu_si256((__m256i *)out[0], sum);
    _mm256_storeu_si256((__m256i *)out[1], squares);
    for (int k = 0; k < 2; k++) {
        sums[k] = 0;
        for (int j = 0; j < 8; j++) sums[k] += out[k][j];
    }
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

/* Here VPMADDUBSW does not saturate: 15 * -128, eight times, fits its i16, and so the products of
 * a block of 64 bytes are added as i16 first. */
KERNEL_INLINE __m256i nibbles(const uint8_t *code, __m256i query_low, __m256i query_high)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i c = _mm256_loadu_si256((const __m256i *)code);
    return _mm256_add_epi16(
        _mm256_maddubs_epi16(_mm256_and_si256(c, low), query_low),
        _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(c, 4), low), query_high));
}

KERNEL_INLINE __m256i nibbles_step(__m256i sum, const uint8_t *code, const __m256i query[4])
{
    __m256i products =
        _mm256_add_epi16(nibbles(code, query[0], query[2]), nibbles(code + 32, query[1], query[3]));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}

KERNEL_INLINE __m128i dot4_u4i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes)
{
    const uint8_t *a = codes[0], *b = codes[1], *c = codes[2], *d = codes[3];
    __m256i sum_a = _mm256_setzero_si256(), sum_b = sum_a, sum_c = sum_a, sum_d = sum_a;
    for (size_t i = 0; i < bytes; i += 64) {
        const __m256i *low = (const __m256i *)(query + i);
        const __m256i *high = (const __m256i *)(query + bytes + i);
        __m256i q[4] = {_mm256_loadu_si256(low), _mm256_loadu_si256(low + 1),
                        _mm256_loadu_si256(high), _mm256_loadu_si256(high + 1)};
        sum_a = nibbles_step(sum_a, a + i, q);
        sum_b = nibbles_step(sum_b, b + i, q);
        sum_c = nibbles_step(sum_c, c + i, q);
        sum_d = nibbles_step(sum_d, d + i, q);
    }
    return add_across4(sum_a, sum_b, sum_c, sum_d);
}

KERNEL_INLINE void four_u8i8(const uint8_t *const codes[4], const uint8_t *const factors[4],
                             size_t bytes, const void *any, uint32_t distances[4])
{
    const struct kernel_query8 *query = any;
    __m128i sums = dot4_u8i8(codes, query->values, bytes, query->flip);
    _mm_storeu_si128((__m128i *)distances, distances8(query, factors, sums));
}

KERNEL_INLINE void four_u4i8(const uint8_t *const codes[4], const uint8_t *const factors[4],
                             size_t bytes, const void *any, uint32_t distances[4])
{
    const struct kernel_query4 *query = any;
    __m128i sums = dot4_u4i8(codes, query->values, bytes);
    _mm_storeu_si128((__m128i *)distances, distances4(query, factors, sums));
}

LIST_KERNELS(avx2)

/* ---- blocks of rows ------------------------------------------------------------------------ */

/* The four products of a row, in two sums. */
KERNEL_INLINE __m256i add_fours(__m256i sum, const uint8_t *codes, __m256i query)
{
    __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)codes));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(wide, query));
}

/* Eight rows from two times four; VPHADDD adds within halves, so their middle quarters change
 * places. */
KERNEL_INLINE void put_eight(const struct kernel_query8 *query, __m256i low, __m256i high,
                             const int32_t *norms, uint32_t *distances)
{
    __m256i sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
    __m256i base = _mm256_set1_epi32((int32_t)query->base), from = base, less = sum;
    if (!query->inner) {
        from = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)norms), base);
        less = _mm256_add_epi32(sum, sum);
    }
    _mm256_storeu_si256((__m256i *)(void *)distances, _mm256_sub_epi32(from, less));
}

static void avx2_blocks_u8i8(const uint8_t *codes, const int32_t *norms, size_t blocks,
                             size_t groups, const struct kernel_query8 *query, uint32_t *distances)
{
    for (size_t b = 0; b < blocks; b++, norms += 16, distances += 16) {
        __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t g = 0; g < groups; g++, codes += 64) {
            int32_t four;
            memcpy(&four, query->values + 4 * g, sizeof four);
            __m256i q = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
            s0 = add_fours(s0, codes, q);
            s1 = add_fours(s1, codes + 16, q);
            s2 = add_fours(s2, codes + 32, q);
            s3 = add_fours(s3, codes + 48, q);
        }
        put_eight(query, s0, s1, norms, distances);
        put_eight(query, s2, s3, norms + 8, distances + 8);
    }
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

/* ---- the rotation -------------------------------------------------------------------------- */

static void flip(float *x, uint32_t n, uint32_t round)
{
    const __m256i to_top = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    const __m256i top = _mm256_set1_epi32(INT32_MIN);
    uint64_t signs = 0;
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        signs = i % 64 ? signs >> 8 : rotation_signs(round, i / 64);
        __m256i bits = _mm256_sllv_epi32(_mm256_set1_epi32((int32_t)(signs & 255)), to_top);
        _mm256_storeu_ps(x + i, _mm256_xor_ps(_mm256_loadu_ps(x + i),
                                              _mm256_castsi256_ps(_mm256_and_si256(bits, top))));
    }
    rotation_negate(x + i, n - i, rotation_signs(round, i / 64) >> i % 64);
}

/* One of the stages within a register: a value's partner comes into its lane, and the second of
 * the two, where `second` has the sign bit, is negated before they are added. */
KERNEL_INLINE __m256 stage(__m256 x, __m256 partner, __m256 second)
{
    return _mm256_add_ps(partner, _mm256_xor_ps(x, second));
}

/* Stages 1, 2 and 4. */
KERNEL_INLINE __m256 transform8(__m256 x)
{
    const __m256 odd = _mm256_setr_ps(0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f);
    const __m256 pairs = _mm256_setr_ps(0.0f, 0.0f, -0.0f, -0.0f, 0.0f, 0.0f, -0.0f, -0.0f);
    const __m256 fours = _mm256_setr_ps(0.0f, 0.0f, 0.0f, 0.0f, -0.0f, -0.0f, -0.0f, -0.0f);
    x = stage(x, _mm256_permute_ps(x, 0xb1), odd);
    x = stage(x, _mm256_permute_ps(x, 0x4e), pairs);
    return stage(x, _mm256_permute2f128_ps(x, x, 1), fours);
}

/* Stages h and 2h of the four at x, x + h, x + 2h and x + 3h. */
KERNEL_INLINE void transform4(float *x, size_t h, __m256 a, __m256 b, __m256 c, __m256 d,
                              __m256 scale)
{
    __m256 ab = _mm256_add_ps(a, b), cd = _mm256_add_ps(c, d);
    __m256 a_b = _mm256_sub_ps(a, b), c_d = _mm256_sub_ps(c, d);
    _mm256_storeu_ps(x, _mm256_mul_ps(_mm256_add_ps(ab, cd), scale));
    _mm256_storeu_ps(x + h, _mm256_mul_ps(_mm256_add_ps(a_b, c_d), scale));
    _mm256_storeu_ps(x + 2 * h, _mm256_mul_ps(_mm256_sub_ps(ab, cd), scale));
    _mm256_storeu_ps(x + 3 * h, _mm256_mul_ps(_mm256_sub_ps(a_b, c_d), scale));
}

/* Two stages a pass over memory. All passes but the last multiply by 1, which changes nothing. */
static void transform(float *x, uint32_t p, float scale)
{
    const __m256 one = _mm256_set1_ps(1.0f), last = _mm256_set1_ps(scale);
    for (float *y = x; y < x + p; y += 32)
        transform4(y, 8, transform8(_mm256_loadu_ps(y)), transform8(_mm256_loadu_ps(y + 8)),
                   transform8(_mm256_loadu_ps(y + 16)), transform8(_mm256_loadu_ps(y + 24)),
                   p == 32 ? last : one);
    size_t h = 32;
    for (; h <= p / 4; h *= 4)
        for (size_t i = 0; i < p; i += 4 * h)
            for (float *y = x + i; y < x + i + h; y += 8)
                transform4(y, h, _mm256_loadu_ps(y), _mm256_loadu_ps(y + h),
                           _mm256_loadu_ps(y + 2 * h), _mm256_loadu_ps(y + 3 * h),
                           h == p / 4 ? last : one);
    for (float *y = x; h < p && y < x + h; y += 8) {
        __m256 a = _mm256_loadu_ps(y), b = _mm256_loadu_ps(y + h);
        _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_add_ps(a, b), last));
        _mm256_storeu_ps(y + h, _mm256_mul_ps(_mm256_sub_ps(a, b), last));
    }
}

static void fold(float *x, uint32_t n)
{
    const __m256i backwards = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const __m256 root_half = _mm256_set1_ps(ROTATION_ROOT_HALF);
    uint32_t i = 0;
    for (; i + 8 <= n / 2; i += 8) {
        float *end = x + (n - 8 - i);
        __m256 a = _mm256_loadu_ps(x + i);
        __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(end), backwards);
        __m256 difference = _mm256_mul_ps(_mm256_sub_ps(a, b), root_half);
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_add_ps(a, b), root_half));
        _mm256_storeu_ps(end, _mm256_permutevar8x32_ps(difference, backwards));
    }
    rotation_fold(x, n, i);
}

static void avx2_rotate(float *x, uint32_t n)
{
    if (n < 32)
        kernels_portable.rotate(x, n);
    else
        rotate_of(x, n, flip, transform, fold);
}

/* Eight sums: two rows of 16. */
static void avx2_add_moments(const double *a, const double *b, double *sums)
{
    for (int i = 0; i < KERNEL_MOMENTS; i += 2)
        for (int j = 0; j < KERNEL_MOMENTS; j += 16) {
            double *to = sums + (ptrdiff_t)i * KERNEL_MOMENTS + j;
            __m256d sum[2][4];
            UNROLL for (int k = 0; k < 8; k++)
            {
                sum[k / 4][k % 4] = _mm256_loadu_pd(to + k / 4 * KERNEL_MOMENTS + 4 * (k % 4));
            }
            for (int r = 0; r < KERNEL_MOMENTS; r++) {
                const double *x = b + (ptrdiff_t)r * KERNEL_MOMENTS + j;
                const double *factors = a + (ptrdiff_t)r * KERNEL_MOMENTS + i;
                __m256d x0 = _mm256_loadu_pd(x), x1 = _mm256_loadu_pd(x + 4);
                __m256d x2 = _mm256_loadu_pd(x + 8), x3 = _mm256_loadu_pd(x + 12);
                UNROLL for (int k = 0; k < 2; k++)
                {
                    __m256d factor = _mm256_set1_pd(factors[k]);
                    sum[k][0] = _mm256_add_pd(sum[k][0], _mm256_mul_pd(factor, x0));
                    sum[k][1] = _mm256_add_pd(sum[k][1], _mm256_mul_pd(factor, x1));
                    sum[k][2] = _mm256_add_pd(sum[k][2], _mm256_mul_pd(factor, x2));
                    sum[k][3] = _mm256_add_pd(sum[k][3], _mm256_mul_pd(factor, x3));
                }
            }
            UNROLL for (int k = 0; k < 8; k++)
            {
                _mm256_storeu_pd(to + k / 4 * KERNEL_MOMENTS + 4 * (k % 4), sum[k / 4][k % 4]);
            }
        }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define AVX2_KERNELS(blocks)                                                                       \
    {                                                                                              \
        .name = "avx2", .dot4_u8i8 = avx2_dot4_u8i8, .dot_u8i8 = avx2_dot_u8i8,                    \
        .list_u8i8 = avx2_list_u8i8, .tile_u8i8 = avx2_tile_u8i8, .select_u32 = avx2_select_u32,   \
        .bound_u4i8 = avx2_bound_u4i8, .blocks_u8i8 = blocks, .add_moments = avx2_add_moments,     \
        .encode_u8 = avx2_encode_u8, .list_u4i8 = avx2_list_u4i8,                                  \
        .l2sq = FLOAT_KERNEL_TABLE(l2sq), .dot = FLOAT_KERNEL_TABLE(dot),                          \
        .sumsq = FLOAT_KERNEL_TABLE(sumsq), .rotate = avx2_rotate, .scan_u4 = avx2_scan_u4,        \
        .cut_scan = avx2_cut_scan,                                                                 \
    }

const struct kernels kernels_avx2 = AVX2_KERNELS(avx2_blocks_u8i8);
const struct kernels kernels_avx2_vnni = AVX2_KERNELS(vnni_blocks_u8i8);

#endif
