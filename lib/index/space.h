/* space.h: how far a coded row is from a query or from another row, as an integer.
 *
 * What rows are measured against is a `probe`: a row or query as its codes' kind has it. The kinds
 * of distance, all u32, all the same on every CPU:
 * - SPACE_L2: sum (c - q)^2. Walks and builds under l2 and cosine.
 * - SPACE_DOT: 2^31 - sum c * k, k being the query in -127..127. Walks under ip.
 * - SPACE_PRODUCT: M^2 - x.y for x = c - zero, y = q - zero and M the largest length of a row,
 *   which is never negative, halved until it fits. Builds under ip. It is computed from what the
 *   others use: 2 (M^2 - x.y) = |x - y|^2 + r(x) + r(y), r(x) = M^2 - |x|^2, the row's `rise`.
 *   The graph thus joins rows by inner product itself (Morozov and Babenko, "Non-metric Similarity
 *   Graphs for Maximum Inner Product Search", NeurIPS 2018). The reduction to distances by one
 *   more coordinate, sqrt(r(x)), was measured beside it and lost by far: rows near the centre
 *   crowd together at the pole and take all edges of those that are the answers.
 * - SPACE_FOUR and SPACE_VECTORS: estimates by 4-bit codes, and the stored vectors' own distances,
 *   in what the metric orders by (under cosine twice that); binary32, as integers that order like
 *   them. Walks only.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_SPACE_H
#define VDB_INDEX_SPACE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "index/codes.h"
#include "index/codes4.h"
#include "vector/kernel.h"

enum space_kind { SPACE_L2, SPACE_DOT, SPACE_PRODUCT, SPACE_FOUR, SPACE_VECTORS };

struct space {
    const struct codes *codes;
    const struct kernels *kernels;
    enum space_kind kind;
    bool inner; /* the metric is ip */
    uint8_t flip;
    size_t bytes, code_stride, norm_stride; /* as in codes, with what follows: at hand for loops */
    const uint8_t *code, *norm;
    const uint64_t *rise; /* SPACE_PRODUCT: one a row, in units of scale^2 */
    uint32_t shift;       /* SPACE_PRODUCT: (4 M^2 >> shift) fits 32 bits; 1 or more */
    uint32_t lines;       /* cache lines a code row touches, as many as are worth fetching ahead */
    int norm_apart;       /* the norms do not lie in these lines */
};

struct probe {
    int8_t *query; /* codes->bytes of them, or twice as many for CODES_4; 64-byte aligned; zeros
                      beyond dim */
    uint32_t base; /* SPACE_L2, SPACE_PRODUCT: sum of its codes' squares */
    uint64_t rise; /* SPACE_PRODUCT */
    int exact;     /* SPACE_L2: the query is what its codes stand for */
    struct codes4_query four;
    const float *vector; /* SPACE_VECTORS */
    double unit, offset; /* what the metric orders by is near unit * distance + offset, but for
                            SPACE_FOUR and SPACE_VECTORS: unit * the float */
};

#define SPACE_LINES_MAX 16

/* Forced: what walks do for every row they meet is compiled into one loop for each kind of space.
 */
#define SPACE_INLINE __attribute__((always_inline)) static inline

static inline void space_init(struct space *space, const struct codes *codes,
                              const struct kernels *kernels, enum space_kind kind)
{
    size_t lines = (codes->bytes + 63) / 64;
    if (((uintptr_t)codes->code | codes->code_stride) & 63) lines++;
    if (lines > SPACE_LINES_MAX) lines = SPACE_LINES_MAX;
    int inside = codes->norm >= codes->code && codes->norm < codes->code + codes->bytes &&
                 codes->norm_stride == codes->code_stride;
    *space = (struct space){.codes = codes,
                            .kernels = kernels,
                            .kind = kind,
                            .inner = codes->metric == VDB_METRIC_IP,
                            .flip = codes->flip,
                            .bytes = codes->bytes,
                            .code_stride = codes->code_stride,
                            .norm_stride = codes->norm_stride,
                            .code = codes->code,
                            .norm = codes->norm,
                            .shift = 1,
                            .lines = (uint32_t)lines,
                            .norm_apart = codes->kind != CODES_VECTORS && !inside};
}

SPACE_INLINE const uint8_t *space_code(const struct space *space, uint32_t row)
{
    return space->code + (size_t)row * space->code_stride;
}

SPACE_INLINE const uint8_t *space_norm_at(const struct space *space, uint32_t row)
{
    return space->norm + (size_t)row * space->norm_stride;
}

SPACE_INLINE uint32_t space_norm(const struct space *space, uint32_t row)
{
    uint32_t norm;
    memcpy(&norm, space_norm_at(space, row), sizeof norm);
    return norm;
}

/* Fetches what measuring `row` will read. Forced inline: gcc 12 takes a function that only
 * prefetches for one without effect and drops calls of it. */
SPACE_INLINE void space_prefetch(const struct space *space, uint32_t row)
{
    const uint8_t *code = space_code(space, row);
    __builtin_prefetch(code, 0, 2);
    for (uint32_t i = 1; i < space->lines; i++) __builtin_prefetch(code + (size_t)64 * i, 0, 2);
    if (space->norm_apart) __builtin_prefetch(space_norm_at(space, row));
}

SPACE_INLINE uint32_t space_finish(const struct space *space, const struct probe *probe,
                                   uint32_t row, int32_t sum)
{
    if (space->kind == SPACE_DOT) return 0x80000000u - (uint32_t)sum;
    uint32_t distance = space_norm(space, row) - 2 * (uint32_t)sum + probe->base;
    if (space->kind == SPACE_L2) return distance;
    return (uint32_t)((distance + space->rise[row] + probe->rise) >> space->shift);
}

/* A float, not a NaN, as an integer that orders like it; and back. */
SPACE_INLINE uint32_t space_order(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (0x80000000u | (0 - (bits >> 31)));
}

static inline float space_disorder(uint32_t order)
{
    uint32_t bits = order ^ (0x80000000u | ((order >> 31) - 1));
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Estimates of four rows at once: loops of constant length, which compilers vectorise. What a
 * damaged file makes of it is some number. */
SPACE_INLINE void space_finish_four(const struct space *space, const struct probe *probe,
                                    const uint32_t rows[4], const int32_t sums[4],
                                    uint32_t distances[4])
{
    const struct codes4_query query = probe->four;
    float norms[4], fs[4], x[4];
    for (int i = 0; i < 4; i++) {
        struct codes4_factors factors;
        memcpy(&factors, space_norm_at(space, rows[i]), sizeof factors);
        norms[i] = factors.norm;
        fs[i] = factors.f;
    }
    for (int i = 0; i < 4; i++) x[i] = fs[i] * (query.scale * (float)(2 * sums[i] - query.offset));
    if (space->inner) {
        for (int i = 0; i < 4; i++) distances[i] = space_order(-(query.norm + 0.5f * x[i]));
        return;
    }
    for (int i = 0; i < 4; i++) {
        x[i] = query.norm + norms[i] - x[i];
        x[i] = x[i] > 0.0f ? x[i] : 0.0f;
    }
    memcpy(distances, x, sizeof x);
    for (int i = 0; i < 4; i++)
        distances[i] |= 0x80000000u; /* space_order of what is not below 0 */
}

/* What the metric orders by, under cosine twice that: of a query whose length is 1. */
static inline float space_vector_distance(const struct space *space, const struct probe *probe,
                                          const uint8_t *vector)
{
    const struct codes *codes = space->codes;
    const struct kernels *k = space->kernels;
    double x;
    if (codes->metric == VDB_METRIC_L2) {
        x = k->l2sq[codes->type](vector, probe->vector, codes->dim);
    } else {
        x = -k->dot[codes->type](vector, probe->vector, codes->dim);
        if (codes->metric == VDB_METRIC_COSINE)
            x = 2 + 2 * x / sqrt(k->sumsq[codes->type](vector, codes->dim));
    }
    return (float)x;
}

/* Distances of the first n rows of `rows`, 1 to 4 of them; what is behind them in distances[] may
 * change. */
SPACE_INLINE void space_measure(const struct space *space, const struct probe *probe,
                                const uint32_t *rows, uint32_t n, uint32_t distances[4])
{
    const uint8_t *code[4];
    uint32_t four[4];
    int32_t sums[4];
    four[0] = rows[0];
    for (uint32_t i = 1; i < 4; i++) four[i] = i < n ? rows[i] : rows[0];
    for (uint32_t i = 0; i < 4; i++) code[i] = space_code(space, four[i]);
    if (space->kind == SPACE_FOUR) {
        space->kernels->dot4_u4i8(code, probe->query, space->bytes, sums);
        space_finish_four(space, probe, four, sums, distances);
    } else if (space->kind == SPACE_VECTORS) {
        for (uint32_t i = 0; i < n; i++)
            distances[i] = space_order(space_vector_distance(space, probe, code[i]));
    } else {
        space->kernels->dot4_u8i8(code, probe->query, space->bytes, space->flip, sums);
        for (uint32_t i = 0; i < 4; i++)
            distances[i] = space_finish(space, probe, four[i], sums[i]);
    }
}

/* Makes the probe that stands for a row; SPACE_L2 and SPACE_PRODUCT. */
static inline void space_probe_row(const struct space *space, uint32_t row, struct probe *probe)
{
    const struct codes *codes = space->codes;
    const uint8_t *code = space_code(space, row);
    int8_t *query = probe->query;
    uint64_t turn = (uint64_t)(codes->flip ^ 0x80) * 0x0101010101010101u;
    for (size_t i = 0; i < codes->bytes; i += sizeof turn) {
        uint64_t eight;
        memcpy(&eight, code + i, sizeof eight);
        eight ^= turn;
        memcpy(query + i, &eight, sizeof eight);
    }
    memset(query + codes->dim, 0, codes->bytes - codes->dim);
    int32_t self = space->kernels->dot_u8i8(code, query, codes->bytes, codes->flip);
    /* Distance 0 to itself: 0 = norm - 2 * self + base. */
    probe->base = 2 * (uint32_t)self - space_norm(space, row);
    probe->rise = space->rise ? space->rise[row] : 0;
}

#endif
