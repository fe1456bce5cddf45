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
 *   them. Walks and, by vectors under l2 and cosine, builds.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_SPACE_H
#define VDB_INDEX_SPACE_H

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
    struct kernel_codes rows;
    const uint64_t *rise; /* SPACE_PRODUCT: one a row, in units of scale^2 */
    uint32_t shift;       /* SPACE_PRODUCT: (4 M^2 >> shift) fits 32 bits; 1 or more */
};

struct probe {
    int8_t *query; /* codes->bytes of them, or twice as many for CODES_4; 64-byte aligned; zeros
                      beyond dim */
    uint32_t base; /* SPACE_L2, SPACE_PRODUCT: sum of its codes' squares */
    uint64_t rise; /* SPACE_PRODUCT */
    int exact;     /* SPACE_L2: the query is what its codes stand for */
    struct kernel_query4 four; /* SPACE_FOUR */
    const float *vector;       /* SPACE_VECTORS; of a row it lies where `query` does */
    double square;             /* under cosine, of its length: near 1 */
    double unit, offset; /* what the metric orders by is near unit * distance + offset, but for
                            SPACE_FOUR and SPACE_VECTORS: unit * the float */
};

#define SPACE_LINES_MAX 16

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
                            .rows = {.code = codes->code,
                                     .factors = codes->norm,
                                     .stride = codes->code_stride,
                                     .factors_stride = codes->norm_stride,
                                     .bytes = codes->bytes,
                                     .lines = (uint32_t)lines,
                                     .factors_apart = codes->kind != CODES_VECTORS && !inside},
                            .shift = 1};
}

static inline const uint8_t *space_code(const struct space *space, uint32_t row)
{
    return space->rows.code + (size_t)row * space->rows.stride;
}

static inline uint32_t space_norm(const struct space *space, uint32_t row)
{
    uint32_t norm;
    memcpy(&norm, space->rows.factors + (size_t)row * space->rows.factors_stride, sizeof norm);
    return norm;
}

/* A float, not a NaN, as an integer that orders like it; and back. */
static inline uint32_t space_order(float x)
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

/* A distance as a number that stands in a fixed ratio to it, but under ip. */
static inline double space_distance(const struct space *space, uint32_t distance)
{
    bool is_float = space->kind == SPACE_FOUR || space->kind == SPACE_VECTORS;
    return is_float ? (double)space_disorder(distance) : (double)distance;
}

/* The largest distance that stands for such a number or less. */
static inline uint32_t space_distance_of(const struct space *space, double x)
{
    bool is_float = space->kind == SPACE_FOUR || space->kind == SPACE_VECTORS;
    if (is_float) return space_order((float)x);
    return x < UINT32_MAX ? (uint32_t)x : UINT32_MAX;
}

/* distances[] has room for list->count rounded up to a multiple of 4; what is behind the list's in
 * it may change. Rows ahead are fetched. */
void space_measure_list(const struct space *space, const struct probe *probe,
                        const struct kernel_list *list, uint32_t *distances);

static inline void space_measure(const struct space *space, const struct probe *probe,
                                 const uint32_t *rows, uint32_t n, uint32_t *distances)
{
    struct kernel_list list = {.rows = rows, .count = n};
    space_measure_list(space, probe, &list, distances);
}

/* Fetches ahead what measuring these rows will read. */
static inline void space_prefetch(const struct space *space, const uint32_t *rows, uint32_t n)
{
    struct kernel_list list = {.ahead = rows, .ahead_count = n};
    space->kernels->list_u8i8(&space->rows, &list, NULL, NULL);
}

/* By which kind of distance rows are joined. */
static inline enum space_kind space_of_rows(const struct codes *codes)
{
    if (codes->kind == CODES_VECTORS) return SPACE_VECTORS;
    return codes->metric == VDB_METRIC_IP ? SPACE_PRODUCT : SPACE_L2;
}

/* What the `query` of a row's probe takes: a multiple of 64. */
static inline size_t space_probe_bytes(const struct codes *codes)
{
    size_t floats = (sizeof(float) * (size_t)codes->dim + 63) & ~(size_t)63;
    return codes->kind == CODES_VECTORS ? floats : codes->bytes;
}

/* Whether alpha times the one distance is less than the other; distances are squares. */
static inline bool space_is_less(const struct space *space, uint64_t alpha2_millionths,
                                 uint32_t one, uint32_t other)
{
    if (space->kind == SPACE_VECTORS)
        return (double)alpha2_millionths * (double)space_disorder(one) <
               1e6 * (double)space_disorder(other);
    return alpha2_millionths * one < 1000000 * (uint64_t)other;
}

void space_probe_vector(const struct space *space, uint32_t row, struct probe *probe);

/* Makes the probe that stands for a row, in the kinds of space that rows are joined by. */
static inline void space_probe_row(const struct space *space, uint32_t row, struct probe *probe)
{
    if (space->kind == SPACE_VECTORS) {
        space_probe_vector(space, row, probe);
        return;
    }
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
