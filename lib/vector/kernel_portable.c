/* kernel_portable.c: the kernels in plain C: the reference that the other sets are held against,
 * and what runs where there are no others.
 *
 * No expression here may be fused (-ffp-contract=off for gcc, the pragma for clang).
 * SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/le.h"
#include "vector/kernel_sets.h"
#include "vector/rotation.h"
#include "vector/vtype.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#define CODE_BLOCK 64

/* Sums modulo 2^32, for which no order of adding can overflow. The inner loop has a constant
 * length, so that compilers turn it into what vector instructions they may use. */
static int32_t portable_dot_u8i8(const uint8_t *code, const int8_t *query, size_t bytes,
                                 uint8_t flip)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i += CODE_BLOCK)
        for (size_t j = 0; j < CODE_BLOCK; j++)
            sum += (uint32_t)((code[i + j] ^ flip) * query[i + j]);
    return (int32_t)sum;
}

static void portable_dot4_u8i8(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                               uint8_t flip, int32_t sums[4])
{
    for (int k = 0; k < 4; k++) sums[k] = portable_dot_u8i8(codes[k], query, bytes, flip);
}

static void portable_blocks_u8i8(const uint8_t *codes, const int32_t *norms, size_t blocks,
                                 size_t groups, const struct kernel_query8 *query,
                                 uint32_t *distances)
{
    for (size_t b = 0; b < blocks; b++, codes += 64 * groups, norms += 16, distances += 16) {
        uint32_t sums[16] = {0};
        for (size_t g = 0; g < groups; g++)
            for (size_t i = 0; i < 64; i++)
                sums[i / 4] += (uint32_t)(codes[64 * g + i] * query->values[4 * g + i % 4]);
        for (int r = 0; r < 16; r++)
            distances[r] = query->inner ? query->base - sums[r]
                                        : (uint32_t)norms[r] - 2 * sums[r] + query->base;
    }
}

static void portable_encode_u8(const float *x, size_t n, float inverse, float zero, uint8_t *code,
                               uint32_t sums[2])
{
    uint32_t sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        float t = x[i] * inverse + zero;
        t = t > 0.0f ? t : 0.0f;
        t = t < 255.0f ? t : 255.0f;
        uint32_t c = (uint32_t)(int32_t)(t + 0.5f);
        code[i] = (uint8_t)c;
        sum += c;
        squares += c * c;
    }
    sums[0] = sum;
    sums[1] = squares;
}

static int32_t portable_dot_u4i8(const uint8_t *code, const int8_t *query, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i += CODE_BLOCK)
        for (size_t j = 0; j < CODE_BLOCK; j++)
            sum += (uint32_t)((code[i + j] & 15) * query[i + j] +
                              (code[i + j] >> 4) * query[bytes + i + j]);
    return (int32_t)sum;
}

static uint32_t ordered(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (0x80000000u | (0 - (bits >> 31)));
}

KERNEL_INLINE void four_u8i8(const uint8_t *const codes[4], const uint8_t *const factors[4],
                             size_t bytes, const void *any, uint32_t distances[4])
{
    const struct kernel_query8 *query = any;
    for (int k = 0; k < 4; k++) {
        uint32_t norm,
            sum = (uint32_t)portable_dot_u8i8(codes[k], query->values, bytes, query->flip);
        memcpy(&norm, factors[k], sizeof norm);
        distances[k] = query->inner ? query->base - sum : norm - 2 * sum + query->base;
    }
}

KERNEL_INLINE void four_u4i8(const uint8_t *const codes[4], const uint8_t *const factors[4],
                             size_t bytes, const void *any, uint32_t distances[4])
{
    const struct kernel_query4 *query = any;
    for (int k = 0; k < 4; k++) {
        float factor[2];
        int32_t sum = portable_dot_u4i8(codes[k], query->values, bytes);
        memcpy(factor, factors[k], sizeof factor);
        float x = factor[1] * (query->scale * (float)(2 * sum - query->offset));
        float l2sq = query->norm + factor[0] - x;
        if (query->inner)
            distances[k] = ordered(-(query->norm + 0.5f * x));
        else
            distances[k] = ordered(l2sq > 0.0f ? l2sq : 0.0f);
    }
}

LIST_KERNELS(portable)

KERNEL_INLINE double element(enum vdb_type type, const void *x, size_t i)
{
    const unsigned char *bytes = x;
    float f;
    switch (type) {
    case VDB_TYPE_F32:
        memcpy(&f, bytes + 4 * i, sizeof f);
        return (double)f;
    case VDB_TYPE_F16:
        return (double)f16_to_f32(le16_at(bytes + 2 * i));
    case VDB_TYPE_I8:
        return (double)(int8_t)bytes[i];
    case VDB_TYPE_U8:
        return (double)bytes[i];
    }
    return 0.0;
}

/* The query has float's alignment as far as C knows, but not as the header promises. */
KERNEL_INLINE double query_element(const float *query, size_t i)
{
    return element(VDB_TYPE_F32, query, i);
}

static double add_lanes(double lane[KERNEL_LANES])
{
    for (int width = KERNEL_LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) lane[j] += lane[j + width];
    return kernel_result(lane[0]);
}

/* Lanes start at +0.0, and a sum that starts so never becomes -0.0. Adding +0.0 to a lane changes
 * nothing therefore, and the other sets may pad a last, short block with zeros. */

KERNEL_INLINE void l2sq_block(enum vdb_type type, const void *x, const float *query, size_t begin,
                              size_t count, double lane[KERNEL_LANES])
{
    for (size_t j = 0; j < count; j++) {
        double difference = element(type, x, begin + j) - query_element(query, begin + j);
        lane[j] += difference * difference;
    }
}

KERNEL_INLINE void dot_block(enum vdb_type type, const void *x, const float *query, size_t begin,
                             size_t count, double lane[KERNEL_LANES])
{
    for (size_t j = 0; j < count; j++)
        lane[j] += element(type, x, begin + j) * query_element(query, begin + j);
}

KERNEL_INLINE void sumsq_block(enum vdb_type type, const void *x, size_t begin, size_t count,
                               double lane[KERNEL_LANES])
{
    for (size_t j = 0; j < count; j++) {
        double value = element(type, x, begin + j);
        lane[j] += value * value;
    }
}

KERNEL_INLINE double l2sq_of(enum vdb_type type, const void *x, const float *query, size_t n)
{
    double lane[KERNEL_LANES] = {0};
    size_t i = 0;
    for (; i + KERNEL_LANES <= n; i += KERNEL_LANES)
        l2sq_block(type, x, query, i, KERNEL_LANES, lane);
    l2sq_block(type, x, query, i, n - i, lane);
    return add_lanes(lane);
}

KERNEL_INLINE double dot_of(enum vdb_type type, const void *x, const float *query, size_t n)
{
    double lane[KERNEL_LANES] = {0};
    size_t i = 0;
    for (; i + KERNEL_LANES <= n; i += KERNEL_LANES)
        dot_block(type, x, query, i, KERNEL_LANES, lane);
    dot_block(type, x, query, i, n - i, lane);
    return add_lanes(lane);
}

KERNEL_INLINE double sumsq_of(enum vdb_type type, const void *x, size_t n)
{
    double lane[KERNEL_LANES] = {0};
    size_t i = 0;
    for (; i + KERNEL_LANES <= n; i += KERNEL_LANES) sumsq_block(type, x, i, KERNEL_LANES, lane);
    sumsq_block(type, x, i, n - i, lane);
    return add_lanes(lane);
}

FLOAT_KERNELS(f32, VDB_TYPE_F32)
FLOAT_KERNELS(f16, VDB_TYPE_F16)
FLOAT_KERNELS(i8, VDB_TYPE_I8)
FLOAT_KERNELS(u8, VDB_TYPE_U8)

/* ---- the rotation -------------------------------------------------------------------------- */

static void flip(float *x, uint32_t n, uint32_t round)
{
    for (uint32_t i = 0; i < n; i += 64)
        rotation_negate(x + i, n - i < 64 ? n - i : 64, rotation_signs(round, i / 64));
}

static void transform(float *x, uint32_t p, float scale)
{
    for (uint32_t h = 1; h < p; h *= 2)
        for (uint32_t i = 0; i < p; i += 2 * h)
            for (uint32_t j = i; j < i + h; j++) {
                float a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
    for (uint32_t i = 0; i < p; i++) x[i] *= scale;
}

static void fold(float *x, uint32_t n)
{
    rotation_fold(x, n, 0);
}

static void portable_rotate(float *x, uint32_t n)
{
    rotate_of(x, n, flip, transform, fold);
}

/* Loops of constant length, and sums few enough for registers. */
KERNEL_INLINE void add_products(double factor, const double *restrict x, double *restrict sum)
{
    for (size_t j = 0; j < 8; j++) sum[j] += factor * x[j];
}

static void portable_add_moments(const double *a, const double *b, double *sums)
{
    for (size_t i = 0; i < KERNEL_MOMENTS; i += 4)
        for (size_t j = 0; j < KERNEL_MOMENTS; j += 8) {
            double s[4][8];
            for (size_t k = 0; k < 4; k++)
                memcpy(s[k], sums + (i + k) * KERNEL_MOMENTS + j, sizeof s[k]);
            for (size_t r = 0; r < KERNEL_MOMENTS; r++) {
                const double *factors = a + r * KERNEL_MOMENTS + i, *x = b + r * KERNEL_MOMENTS + j;
                add_products(factors[0], x, s[0]);
                add_products(factors[1], x, s[1]);
                add_products(factors[2], x, s[2]);
                add_products(factors[3], x, s[3]);
            }
            for (size_t k = 0; k < 4; k++)
                memcpy(sums + (i + k) * KERNEL_MOMENTS + j, s[k], sizeof s[k]);
        }
}

const struct kernels kernels_portable = {
    .name = "portable",
    .dot4_u8i8 = portable_dot4_u8i8,
    .dot_u8i8 = portable_dot_u8i8,
    .list_u8i8 = portable_list_u8i8,
    .tile_u8i8 = portable_tile_u8i8,
    .select_u32 = portable_select_u32,
    .bound_u4i8 = portable_bound_u4i8,
    .blocks_u8i8 = portable_blocks_u8i8,
    .add_moments = portable_add_moments,
    .encode_u8 = portable_encode_u8,
    .list_u4i8 = portable_list_u4i8,
    .l2sq = FLOAT_KERNEL_TABLE(l2sq),
    .dot = FLOAT_KERNEL_TABLE(dot),
    .sumsq = FLOAT_KERNEL_TABLE(sumsq),
    .rotate = portable_rotate,
    .scan_u4 = portable_scan_u4,
    .cut_scan = portable_cut_scan,
};
