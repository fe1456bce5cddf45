/* codes4.c: coding rows and queries for estimates from 4 bits a dimension.
 *
 * Owns nothing. Loops run over blocks of fixed length, which compilers turn into vector code; the
 * scratch memory is long enough for whole blocks, and what is behind the dimensions in it is zero.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/codes4.h"

#include <math.h>
#include <string.h>

#define BLOCK 64
#define LANES 16

#define NORM_MIN    0x1p-126 /* |y|^2 of a row that is not taken as 0 */
#define NORM_MAX    0x1p112  /* of one whose values are left alone: 65,535 times VALUE_MAX^2 fit */
#define VALUE_MAX   0x1p48f
#define PRODUCT_MAX 0x1p126
#define LARGEST_MIN 0x1p-100f

static size_t padded(uint32_t dim)
{
    return ((size_t)dim + BLOCK - 1) / BLOCK * BLOCK;
}

static uint32_t half(uint32_t dim)
{
    return dim / 2 + dim % 2;
}

size_t codes4_bytes(uint32_t dim)
{
    return padded(half(dim));
}

/* Bytes, one a dimension, of which a block may be read anywhere up to the last. */
static size_t bytes_behind(uint32_t dim)
{
    return padded(dim) + BLOCK;
}

size_t codes4_scratch(uint32_t dim)
{
    return padded(dim) + bytes_behind(dim) / sizeof(float);
}

static inline void subtract_block(const float *restrict x, const float *restrict center,
                                  float *restrict y)
{
    for (size_t j = 0; j < LANES; j++) y[j] = x[j] - center[j];
}

/* y = the difference from the centre, or x itself for NULL, rotated; zeros behind. |y|^2 is
 * returned. */
static double transform(const struct codes4 *codes, const float *center, const float *x, float *y)
{
    const struct kernels *kernels = codes->kernels;
    size_t dim = codes->dim, i = 0;
    if (center) {
        for (; i + LANES <= dim; i += LANES) subtract_block(x + i, center + i, y + i);
        for (; i < dim; i++) y[i] = x[i] - center[i];
    } else {
        memcpy(y, x, dim * sizeof *y);
    }
    memset(y + dim, 0, (padded(codes->dim) - dim) * sizeof *y);
    double norm = kernels->sumsq[VDB_TYPE_F32](y, dim);
    if (!(norm <= NORM_MAX)) { /* or one of them is a NaN, in a damaged file */
        for (i = 0; i < dim; i++) {
            y[i] = y[i] > -VALUE_MAX ? y[i] : -VALUE_MAX;
            y[i] = y[i] < VALUE_MAX ? y[i] : VALUE_MAX;
        }
        norm = kernels->sumsq[VDB_TYPE_F32](y, dim);
    }
    if (codes->rotated) kernels->rotate(y, codes->dim);
    return norm;
}

/* No value is above sqrt(dim) times the root mean square, so all fit an i32. */
static inline int32_t level(float y, float inverse)
{
    int32_t v = (int32_t)(y * inverse + 8.0f);
    v = v > 0 ? v : 0;
    return v < 15 ? v : 15;
}

/* Adds to each lane, for the step 1 / inverse, its products w y and squares w^2. The latter are
 * integers, and exact: 225 * 65,535 is below 2^24. */
static inline void project_block(const float *restrict y, float inverse, float *restrict dot,
                                 float *restrict squares)
{
    for (size_t j = 0; j < LANES; j++) {
        float w = (float)(2 * level(y[j], inverse) - 15);
        dot[j] += w * y[j];
        squares[j] += w * w;
    }
}

static float add_lanes(float *lane)
{
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++) lane[j] += lane[j + width];
    return lane[0];
}

/* <w, y> and |w|^2 over all blocks, lanes added as a tree. */
static float project(const float *y, size_t n, float inverse, float *squares)
{
    float dot[LANES] = {0}, square[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) project_block(y + i, inverse, dot, square);
    *squares = add_lanes(square);
    return add_lanes(dot);
}

/* Around 0.335, the best for normally spread values, from that of evenly spread ones, 0.217, to
 * what long tails want (Max, "Quantizing for Minimum Distortion", 1960). */
static const float steps[] = {0.22f, 0.27f, 0.31f, 0.35f, 0.40f, 0.46f};

/* The inverse of the best step, and <w, y> with it. */
static float choose(const float *y, uint32_t dim, float rms, float *dot)
{
    float best = 0.0f, best_inverse = 0.0f;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        float inverse = 1.0f / (steps[i] * rms);
        float squares;
        float projection = project(y, padded(dim), inverse, &squares);
        squares -= (float)(padded(dim) - dim); /* of zeros behind, each w = 1 */
        float cosine = projection / sqrtf(squares);
        if (cosine > best) {
            best = cosine;
            best_inverse = inverse;
            *dot = projection;
        }
    }
    return best_inverse;
}

static inline void level_block(const float *restrict y, float inverse, uint8_t *restrict v)
{
    for (size_t j = 0; j < BLOCK; j++) v[j] = (uint8_t)level(y[j], inverse);
}

static inline void pack_block(const uint8_t *restrict low, const uint8_t *restrict high,
                              uint8_t *restrict code)
{
    for (size_t j = 0; j < BLOCK; j++) code[j] = (uint8_t)(low[j] | high[j] << 4);
}

/* `v` may be read for a block behind its last value. */
static void pack(const uint8_t *v, uint32_t dim, uint8_t *code)
{
    size_t h = half(dim), bytes = codes4_bytes(dim);
    for (size_t i = 0; i < bytes; i += BLOCK) pack_block(v + i, v + h + i, code + i);
    memset(code + h, 0, bytes - h);
}

void codes4_encode(const struct codes4 *codes, const float *x, float *scratch, uint8_t *code,
                   struct codes4_factors *factors)
{
    uint32_t dim = codes->dim;
    float *y = scratch;
    uint8_t *v = (uint8_t *)(scratch + padded(dim));
    *factors = (struct codes4_factors){0.0f, 0.0f};
    memset(code, 0, codes4_bytes(dim));

    double norm = transform(codes, codes->center, x, y);
    if (norm < NORM_MIN) return;
    float dot = 0.0f;
    float inverse = choose(y, dim, (float)sqrt(norm / dim), &dot);
    for (size_t i = 0; i < padded(dim); i += BLOCK) level_block(y + i, inverse, v + i);
    memset(v + dim, 0, bytes_behind(dim) - dim);
    pack(v, dim, code);
    *factors = (struct codes4_factors){(float)norm, (float)(2.0 * norm / (double)dot)};
}

static inline void largest_block(const float *restrict y, float *restrict lane)
{
    for (size_t j = 0; j < BLOCK; j++) {
        float size = fabsf(y[j]);
        lane[j] = lane[j] < size ? size : lane[j];
    }
}

static float largest_of(const float *y, size_t n)
{
    float lane[BLOCK] = {0};
    for (size_t i = 0; i < n; i += BLOCK) largest_block(y + i, lane);
    for (size_t width = BLOCK / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            lane[j] = lane[j] < lane[j + width] ? lane[j + width] : lane[j];
    return lane[0];
}

static inline int32_t round_block(const float *restrict y, float inverse, int8_t *restrict bytes)
{
    int32_t sum = 0;
    for (size_t j = 0; j < BLOCK; j++) {
        int32_t rounded = (int32_t)(y[j] * inverse + 128.5f) - 128;
        bytes[j] = (int8_t)rounded;
        sum += rounded;
    }
    return sum;
}

/* Rounds n values, a multiple of BLOCK, halves upwards; the sum of them is returned. */
static int32_t round_bytes(const float *y, size_t n, float inverse, int8_t *bytes)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i += BLOCK) sum += round_block(y + i, inverse, bytes + i);
    return sum;
}

void codes4_prepare(const struct codes4 *codes, const float *query, bool ip, float *scratch,
                    int8_t *values, struct kernel_query4 *prepared)
{
    uint32_t dim = codes->dim, h = half(dim);
    size_t bytes = codes4_bytes(dim);
    float *q = scratch;
    double norm = transform(codes, ip ? NULL : codes->center, query, q);
    if (ip) {
        norm = codes->kernels->dot[VDB_TYPE_F32](codes->center, query, dim);
        norm = fmin(fmax(norm, -PRODUCT_MAX), PRODUCT_MAX);
    }
    float largest = largest_of(q, padded(dim));
    float inverse = largest > LARGEST_MIN ? 127.0f / largest : 0.0f;
    int8_t *rounded = (int8_t *)(scratch + padded(dim));
    int32_t sum = round_bytes(q, padded(dim), inverse, rounded);
    memset(values, 0, 2 * bytes);
    memcpy(values, rounded, h);
    memcpy(values + bytes, rounded + h, dim - h);
    *prepared = (struct kernel_query4){
        .values = values,
        .scale = inverse > 0.0f ? largest / 127.0f : 0.0f,
        .offset = 15 * sum,
        .norm = (float)norm,
        .inner = ip,
    };
}

/* y is near f / 2 times w, whose values are odd and of 15 at most: 8 w fits a byte. */
void codes4_prepare_row(uint32_t dim, const uint8_t *code, const struct codes4_factors *factors,
                        int8_t *values, struct kernel_query4 *prepared)
{
    uint32_t h = half(dim);
    size_t bytes = codes4_bytes(dim);
    int32_t sum = 0;
    memset(values, 0, 2 * bytes);
    for (uint32_t i = 0; i < dim; i++) {
        int32_t v = i < h ? code[i] & 15 : code[i - h] >> 4, w = 8 * (2 * v - 15);
        values[i < h ? i : bytes + i - h] = (int8_t)w;
        sum += w;
    }
    *prepared = (struct kernel_query4){
        .values = values, .scale = factors->f / 16, .offset = 15 * sum, .norm = factors->norm};
}
