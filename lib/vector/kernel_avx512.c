/* kernel_avx512.c: the kernels for CPUs with AVX-512 and its byte dot product (VNNI).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "vector/rotation.h"

/* After the includes: the pragmas change what every function below is compiled for, and so no
 * flags for this file are needed. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c"))),            \
    apply_to = function)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c")
#endif

#include "vector/kernel_x86.h"

/* ---- codes --------------------------------------------------------------------------------- */

/* Keeps the compiler from moving a sum to another register and back in every step of a loop, as
 * gcc 12 does, and from loading twice what is used twice: one load of this width a cycle is all
 * that many CPUs do. */
KERNEL_INLINE __m512i in_register(__m512i x)
{
    __asm__("" : "+v"(x));
    return x;
}

/* VPDPBUSD multiplies u8 by i8 and adds groups of four products to an i32 without saturation, so
 * the sums are exact (modulo 2^32, and the true ones fit). */
KERNEL_INLINE __m512i add_products(__m512i sum, __m512i code, __m512i query)
{
    return in_register(_mm512_dpbusd_epi32(sum, code, query));
}

KERNEL_INLINE __m512i dot_step(__m512i sum, const uint8_t *code, __m512i query, __m512i flip)
{
    return add_products(sum, _mm512_xor_si512(_mm512_loadu_si512(code), flip), query);
}

/* The sums over the 16 lanes of a, b, c and d. Two rounds of interleaving and adding leave a
 * partial sum of each in every quarter of one register. */
KERNEL_INLINE __m128i add_across4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i abcd = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i halves =
        _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

KERNEL_INLINE __m128i dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                                uint8_t flip)
{
    const uint8_t *a = codes[0], *b = codes[1], *c = codes[2], *d = codes[3];
    __m512i flips = _mm512_set1_epi8((char)flip);
    __m512i sum_a = _mm512_setzero_si512(), sum_b = sum_a, sum_c = sum_a, sum_d = sum_a;
    for (size_t i = 0; i < bytes; i += 64) {
        __m512i q = _mm512_loadu_si512(query + i);
        sum_a = dot_step(sum_a, a + i, q, flips);
        sum_b = dot_step(sum_b, b + i, q, flips);
        sum_c = dot_step(sum_c, c + i, q, flips);
        sum_d = dot_step(sum_d, d + i, q, flips);
    }
    return add_across4(sum_a, sum_b, sum_c, sum_d);
}

static void avx512_dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                             uint8_t flip, int32_t sums[4])
{
    _mm_storeu_si128((__m128i *)sums, dot4_u8i8(codes, query, bytes, flip));
}

/* Modulo 2^32, which _mm512_reduce_add_epi32 is not made for. */
KERNEL_INLINE uint32_t add_words(__m512i words)
{
    uint32_t lanes[16], sum = 0;
    _mm512_storeu_si512(lanes, words);
    for (int i = 0; i < 16; i++) sum += lanes[i];
    return sum;
}

/* MAXPS and MINPS return their second operand where one is a NaN, as the comparisons of the
 * portable kernel do. */
static void avx512_encode_u8(const float *x, size_t n, float inverse, float zero, uint8_t *code,
                             uint32_t sums[2])
{
    __m512 inverses = _mm512_set1_ps(inverse), zeros = _mm512_set1_ps(zero);
    __m512i sum = _mm512_setzero_si512(), squares = sum;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = (__mmask16)(n - i >= 16 ? 0xffffu : (1u << (n - i)) - 1);
        __m512 t = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), inverses);
        t = _mm512_max_ps(_mm512_add_ps(t, zeros), _mm512_setzero_ps());
        t = _mm512_add_ps(_mm512_min_ps(t, _mm512_set1_ps(255.0f)), _mm512_set1_ps(0.5f));
        __m512i c = _mm512_maskz_cvttps_epi32(mask, t);
        sum = _mm512_add_epi32(sum, c);
        squares = _mm512_add_epi32(squares, _mm512_madd_epi16(c, c));
        _mm512_mask_cvtepi32_storeu_epi8(code + i, mask, c);
    }
    sums[0] = add_words(sum);
    sums[1] = add_words(squares);
}

static int32_t avx512_dot_u8i8(const uint8_t *code, const int8_t *query, size_t bytes, uint8_t flip)
{
    __m512i flips = _mm512_set1_epi8((char)flip);
    __m512i even = _mm512_setzero_si512(),
            odd = even; /* two chains, as each step waits for the last */
    size_t i = 0;
    for (; i + 128 <= bytes; i += 128) {
        even = dot_step(even, code + i, _mm512_loadu_si512(query + i), flips);
        odd = dot_step(odd, code + i + 64, _mm512_loadu_si512(query + i + 64), flips);
    }
    if (i < bytes) even = dot_step(even, code + i, _mm512_loadu_si512(query + i), flips);
    return _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
}

/* The high halves stay where they are: their sums are 16 times too large, which a shift puts right
 * at the end (240 * 128 * 32,768 still fits an i32), and have registers of their own, as each
 * VPDPBUSD waits for the last one on its sum. */
struct nibble_sums {
    __m512i low, high;
};

KERNEL_INLINE struct nibble_sums nibbles_step(struct nibble_sums sums, const uint8_t *code,
                                              __m512i query_low, __m512i query_high)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i c = in_register(_mm512_loadu_si512(code));
    sums.low = add_products(sums.low, _mm512_and_si512(low, c), query_low);
    sums.high = add_products(sums.high, _mm512_andnot_si512(low, c), query_high);
    return sums;
}

KERNEL_INLINE __m512i nibbles_sum(struct nibble_sums sums)
{
    return _mm512_add_epi32(sums.low, _mm512_srai_epi32(sums.high, 4));
}

KERNEL_INLINE __m128i dot4_u4i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes)
{
    const uint8_t *code_a = codes[0], *code_b = codes[1], *code_c = codes[2], *code_d = codes[3];
    struct nibble_sums a = {_mm512_setzero_si512(), _mm512_setzero_si512()}, b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 64) {
        __m512i low = _mm512_loadu_si512(query + i), high = _mm512_loadu_si512(query + bytes + i);
        a = nibbles_step(a, code_a + i, low, high);
        b = nibbles_step(b, code_b + i, low, high);
        c = nibbles_step(c, code_c + i, low, high);
        d = nibbles_step(d, code_d + i, low, high);
    }
    return add_across4(nibbles_sum(a), nibbles_sum(b), nibbles_sum(c), nibbles_sum(d));
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

LIST_KERNELS(avx512)

/* ---- blocks of rows ------------------------------------------------------------------------ */

KERNEL_INLINE __m512i four_of(const int8_t *values)
{
    int32_t four;
    memcpy(&four, values, sizeof four);
    return _mm512_set1_epi32(four);
}

KERNEL_INLINE void put_block(const struct kernel_query8 *query, __m512i sum, const int32_t *norms,
                             uint32_t *distances)
{
    __m512i base = _mm512_set1_epi32((int32_t)query->base);
    __m512i from = query->inner ? base : _mm512_add_epi32(_mm512_loadu_si512(norms), base);
    __m512i less = query->inner ? sum : _mm512_add_epi32(sum, sum);
    _mm512_storeu_si512(distances, _mm512_sub_epi32(from, less));
}

/* Four sums, as each step waits for the last one on its sum; and one block after the other, so that
 * memory is read in order: beyond the second cache that is an eighth faster than a sum for each of
 * four blocks. */
static void avx512_blocks_u8i8(const uint8_t *codes, const int32_t *norms, size_t blocks,
                               size_t groups, const struct kernel_query8 *query,
                               uint32_t *distances)
{
    for (size_t b = 0; b < blocks; b++, codes += 64 * groups) {
        __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
        size_t g = 0;
        for (; g + 4 <= groups; g += 4) {
            const uint8_t *at = codes + 64 * g;
            const int8_t *values = query->values + 4 * g;
            s0 = add_products(s0, _mm512_loadu_si512(at), four_of(values));
            s1 = add_products(s1, _mm512_loadu_si512(at + 64), four_of(values + 4));
            s2 = add_products(s2, _mm512_loadu_si512(at + 128), four_of(values + 8));
            s3 = add_products(s3, _mm512_loadu_si512(at + 192), four_of(values + 12));
        }
        for (; g < groups; g++)
            s0 = add_products(s0, _mm512_loadu_si512(codes + 64 * g),
                              four_of(query->values + 4 * g));
        __m512i sum = _mm512_add_epi32(_mm512_add_epi32(s0, s1), _mm512_add_epi32(s2, s3));
        put_block(query, sum, norms + 16 * b, distances + 16 * b);
    }
}

/* ---- stored vectors ------------------------------------------------------------------------ */

/* Elements begin ... begin + 7 as doubles, where the mask has a bit; the others are neither read
 * nor anything but +0.0, which changes no lane (see kernel_portable.c). */
KERNEL_INLINE __m512d load8(enum vdb_type type, const void *x, size_t begin, __mmask8 mask)
{
    const uint8_t *bytes = x;
    switch (type) {
    case VDB_TYPE_F32:
        return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, bytes + 4 * begin));
    case VDB_TYPE_F16:
        return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_maskz_loadu_epi16(mask, bytes + 2 * begin)));
    case VDB_TYPE_I8:
        return _mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, bytes + begin)));
    case VDB_TYPE_U8:
        return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, bytes + begin)));
    }
    return _mm512_setzero_pd();
}

/* The KERNEL_LANES running sums: lane 8 * g + j is element j of group g. */
struct lanes {
    __m512d g0, g1, g2, g3;
};

KERNEL_INLINE struct lanes no_lanes(void)
{
    __m512d zero = _mm512_setzero_pd();
    return (struct lanes){zero, zero, zero, zero};
}

KERNEL_INLINE double add_lanes(struct lanes l)
{
    __m512d by8 = _mm512_add_pd(_mm512_add_pd(l.g0, l.g2), _mm512_add_pd(l.g1, l.g3));
    __m256d by4 = _mm256_add_pd(_mm512_castpd512_pd256(by8), _mm512_extractf64x4_pd(by8, 1));
    __m128d by2 = _mm_add_pd(_mm256_castpd256_pd128(by4), _mm256_extractf128_pd(by4, 1));
    return kernel_result(_mm_cvtsd_f64(_mm_add_sd(by2, _mm_unpackhi_pd(by2, by2))));
}

/* Bits for the elements of group g among the last `left`, which are less than a block. */
KERNEL_INLINE __mmask8 group_mask(size_t left, int g)
{
    return (__mmask8)(((1u << left) - 1) >> (8 * g));
}

KERNEL_INLINE __m512d l2sq_step(__m512d sum, enum vdb_type type, const void *x, const float *query,
                                size_t begin, __mmask8 mask)
{
    __m512d difference =
        _mm512_sub_pd(load8(type, x, begin, mask), load8(VDB_TYPE_F32, query, begin, mask));
    return _mm512_add_pd(sum, _mm512_mul_pd(difference, difference));
}

KERNEL_INLINE __m512d dot_float_step(__m512d sum, enum vdb_type type, const void *x,
                                     const float *query, size_t begin, __mmask8 mask)
{
    return _mm512_add_pd(
        sum, _mm512_mul_pd(load8(type, x, begin, mask), load8(VDB_TYPE_F32, query, begin, mask)));
}

KERNEL_INLINE __m512d sumsq_step(__m512d sum, enum vdb_type type, const void *x,
                                 const float *unused, size_t begin, __mmask8 mask)
{
    (void)unused;
    __m512d value = load8(type, x, begin, mask);
    return _mm512_add_pd(sum, _mm512_mul_pd(value, value));
}

typedef __m512d (*step_fn)(__m512d sum, enum vdb_type type, const void *x, const float *query,
                           size_t begin, __mmask8 mask);

KERNEL_INLINE double reduce(step_fn step, enum vdb_type type, const void *x, const float *query,
                            size_t n)
{
    struct lanes l = no_lanes();
    size_t i = 0;
    for (; i + KERNEL_LANES <= n; i += KERNEL_LANES) {
        l.g0 = step(l.g0, type, x, query, i, 0xff);
        l.g1 = step(l.g1, type, x, query, i + 8, 0xff);
        l.g2 = step(l.g2, type, x, query, i + 16, 0xff);
        l.g3 = step(l.g3, type, x, query, i + 24, 0xff);
    }
    if (i < n) {
        l.g0 = step(l.g0, type, x, query, i, group_mask(n - i, 0));
        l.g1 = step(l.g1, type, x, query, i + 8, group_mask(n - i, 1));
        l.g2 = step(l.g2, type, x, query, i + 16, group_mask(n - i, 2));
        l.g3 = step(l.g3, type, x, query, i + 24, group_mask(n - i, 3));
    }
    return add_lanes(l);
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
    const __m512 top = _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN));
    uint64_t signs = 0;
    uint32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        signs = i % 64 ? signs >> 16 : rotation_signs(round, i / 64);
        __m512 y = _mm512_loadu_ps(x + i);
        _mm512_storeu_ps(x + i, _mm512_mask_xor_ps(y, (__mmask16)signs, y, top));
    }
    rotation_negate(x + i, n - i, rotation_signs(round, i / 64) >> i % 64);
}

/* One of the stages within a register: a value's partner comes into its lane, and the second of
 * the two, where the mask has a bit, is negated before they are added. */
KERNEL_INLINE __m512 stage(__m512 x, __m512 partner, __mmask16 second)
{
    const __m512 top = _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN));
    return _mm512_add_ps(partner, _mm512_mask_xor_ps(x, second, x, top));
}

/* Stages 1, 2, 4 and 8. */
KERNEL_INLINE __m512 transform16(__m512 x)
{
    x = stage(x, _mm512_permute_ps(x, 0xb1), 0xaaaa);
    x = stage(x, _mm512_permute_ps(x, 0x4e), 0xcccc);
    x = stage(x, _mm512_shuffle_f32x4(x, x, 0xb1), 0xf0f0);
    return stage(x, _mm512_shuffle_f32x4(x, x, 0x4e), 0xff00);
}

/* Stages h and 2h of the four at x, x + h, x + 2h and x + 3h. */
KERNEL_INLINE void transform4(float *x, size_t h, __m512 a, __m512 b, __m512 c, __m512 d,
                              __m512 scale)
{
    __m512 ab = _mm512_add_ps(a, b), cd = _mm512_add_ps(c, d);
    __m512 a_b = _mm512_sub_ps(a, b), c_d = _mm512_sub_ps(c, d);
    _mm512_storeu_ps(x, _mm512_mul_ps(_mm512_add_ps(ab, cd), scale));
    _mm512_storeu_ps(x + h, _mm512_mul_ps(_mm512_add_ps(a_b, c_d), scale));
    _mm512_storeu_ps(x + 2 * h, _mm512_mul_ps(_mm512_sub_ps(ab, cd), scale));
    _mm512_storeu_ps(x + 3 * h, _mm512_mul_ps(_mm512_sub_ps(a_b, c_d), scale));
}

/* Two stages a pass over memory. All passes but the last multiply by 1, which changes nothing. */
static void transform(float *x, uint32_t p, float scale)
{
    const __m512 one = _mm512_set1_ps(1.0f), last = _mm512_set1_ps(scale);
    for (float *y = x; y < x + p; y += 64)
        transform4(y, 16, transform16(_mm512_loadu_ps(y)), transform16(_mm512_loadu_ps(y + 16)),
                   transform16(_mm512_loadu_ps(y + 32)), transform16(_mm512_loadu_ps(y + 48)),
                   p == 64 ? last : one);
    size_t h = 64;
    for (; h <= p / 4; h *= 4)
        for (size_t i = 0; i < p; i += 4 * h)
            for (float *y = x + i; y < x + i + h; y += 16)
                transform4(y, h, _mm512_loadu_ps(y), _mm512_loadu_ps(y + h),
                           _mm512_loadu_ps(y + 2 * h), _mm512_loadu_ps(y + 3 * h),
                           h == p / 4 ? last : one);
    for (float *y = x; h < p && y < x + h; y += 16) {
        __m512 a = _mm512_loadu_ps(y), b = _mm512_loadu_ps(y + h);
        _mm512_storeu_ps(y, _mm512_mul_ps(_mm512_add_ps(a, b), last));
        _mm512_storeu_ps(y + h, _mm512_mul_ps(_mm512_sub_ps(a, b), last));
    }
}

static void fold(float *x, uint32_t n)
{
    const __m512i backwards =
        _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512 root_half = _mm512_set1_ps(ROTATION_ROOT_HALF);
    uint32_t i = 0;
    for (; i + 16 <= n / 2; i += 16) {
        float *end = x + (n - 16 - i);
        __m512 a = _mm512_loadu_ps(x + i);
        __m512 b = _mm512_permutexvar_ps(backwards, _mm512_loadu_ps(end));
        __m512 difference = _mm512_mul_ps(_mm512_sub_ps(a, b), root_half);
        _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_add_ps(a, b), root_half));
        _mm512_storeu_ps(end, _mm512_permutexvar_ps(backwards, difference));
    }
    rotation_fold(x, n, i);
}

static void avx512_rotate(float *x, uint32_t n)
{
    if (n < 64)
        kernels_portable.rotate(x, n);
    else
        rotate_of(x, n, flip, transform, fold);
}

/* Sixteen sums: four rows of 32. */
static void avx512_add_moments(const double *a, const double *b, double *sums)
{
    for (int i = 0; i < KERNEL_MOMENTS; i += 4) {
        double *to = sums + (ptrdiff_t)i * KERNEL_MOMENTS;
        __m512d sum[4][4];
        UNROLL for (int k = 0; k < 16; k++)
        {
            sum[k / 4][k % 4] = _mm512_loadu_pd(to + 8 * k);
        }
        for (int r = 0; r < KERNEL_MOMENTS; r++) {
            const double *x = b + (ptrdiff_t)r * KERNEL_MOMENTS;
            const double *factors = a + (ptrdiff_t)r * KERNEL_MOMENTS + i;
            __m512d x0 = _mm512_loadu_pd(x), x1 = _mm512_loadu_pd(x + 8);
            __m512d x2 = _mm512_loadu_pd(x + 16), x3 = _mm512_loadu_pd(x + 24);
            UNROLL for (int k = 0; k < 4; k++)
            {
                __m512d factor = _mm512_set1_pd(factors[k]);
                sum[k][0] = _mm512_add_pd(sum[k][0], _mm512_mul_pd(factor, x0));
                sum[k][1] = _mm512_add_pd(sum[k][1], _mm512_mul_pd(factor, x1));
                sum[k][2] = _mm512_add_pd(sum[k][2], _mm512_mul_pd(factor, x2));
                sum[k][3] = _mm512_add_pd(sum[k][3], _mm512_mul_pd(factor, x3));
            }
        }
        UNROLL for (int k = 0; k < 16; k++)
        {
            _mm512_storeu_pd(to + 8 * k, sum[k / 4][k % 4]);
        }
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .dot4_u8i8 = avx512_dot4_u8i8,
    .dot_u8i8 = avx512_dot_u8i8,
    .list_u8i8 = avx512_list_u8i8,
    .tile_u8i8 = avx512_tile_u8i8,
    .select_u32 = avx512_select_u32,
    .bound_u4i8 = avx512_bound_u4i8,
    .blocks_u8i8 = avx512_blocks_u8i8,
    .add_moments = avx512_add_moments,
    .encode_u8 = avx512_encode_u8,
    .list_u4i8 = avx512_list_u4i8,
    .l2sq = FLOAT_KERNEL_TABLE(l2sq),
    .dot = FLOAT_KERNEL_TABLE(dot),
    .sumsq = FLOAT_KERNEL_TABLE(sumsq),
    .rotate = avx512_rotate,
    .scan_u4 = avx512_scan_u4,
    .cut_scan = avx512_cut_scan,
};

#endif
