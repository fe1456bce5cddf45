/* space.h: how far a coded row is from a query or from another row, as an integer.
 *
 * What rows are measured against is a `probe`: a row or query as signed bytes with its sum of
 * squares. Three kinds of distance, all u32, all the same on every CPU:
 * - SPACE_L2: sum (c - q)^2. Walks and builds under l2 and cosine.
 * - SPACE_DOT: 2^31 - sum c * k, k being the query in -127..127. Walks under ip.
 * - SPACE_PRODUCT: M^2 - x.y for x = c - zero, y = q - zero and M the largest length of a row,
 *   which is never negative, halved until it fits. Builds under ip. It is computed from what the
 *   others use: 2 (M^2 - x.y) = |x - y|^2 + r(x) + r(y), r(x) = M^2 - |x|^2, the row's `rise`.
 *   The graph thus joins rows by inner product itself (Morozov and Babenko, "Non-metric Similarity
 *   Graphs for Maximum Inner Product Search", NeurIPS 2018). The reduction to distances by one
 *   more coordinate, sqrt(r(x)), was measured beside it and lost by far: rows near the centre
 *   crowd together at the pole and take all edges of those that are the answers.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_SPACE_H
#define VDB_INDEX_SPACE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "index/codes.h"
#include "vector/kernel.h"

enum space_kind { SPACE_L2, SPACE_DOT, SPACE_PRODUCT };

struct space {
    const struct codes *codes;
    const struct kernels *kernels;
    enum space_kind kind;
    const uint64_t *rise; /* SPACE_PRODUCT: one a row, in units of scale^2 */
    uint32_t shift;       /* SPACE_PRODUCT: (4 M^2 >> shift) fits 32 bits; 1 or more */
    uint32_t lines;       /* cache lines a code row touches, as many as are worth fetching ahead */
};

struct probe {
    int8_t *query; /* codes->bytes of them, 64-byte aligned; zeros beyond dim */
    uint32_t base; /* SPACE_L2, SPACE_PRODUCT: sum of its codes' squares */
    uint64_t rise; /* SPACE_PRODUCT */
    int exact;     /* SPACE_L2: the query is what its codes stand for */
};

#define SPACE_LINES_MAX 16

static inline void space_init(struct space *space, const struct codes *codes,
                              const struct kernels *kernels, enum space_kind kind)
{
    size_t lines = codes->bytes / 64;
    if (((uintptr_t)codes->code | codes->code_stride) & 63) lines++;
    if (lines > SPACE_LINES_MAX) lines = SPACE_LINES_MAX;
    *space = (struct space){
        .codes = codes, .kernels = kernels, .kind = kind, .shift = 1, .lines = (uint32_t)lines};
}

static inline const uint8_t *space_code(const struct space *space, uint32_t row)
{
    return space->codes->code + (size_t)row * space->codes->code_stride;
}

static inline const uint8_t *space_norm_at(const struct space *space, uint32_t row)
{
    return space->codes->norm + (size_t)row * space->codes->norm_stride;
}

static inline uint32_t space_norm(const struct space *space, uint32_t row)
{
    uint32_t norm;
    memcpy(&norm, space_norm_at(space, row), sizeof norm);
    return norm;
}

/* Fetches what measuring `row` will read. Forced inline: gcc 12 takes a function that only
 * prefetches for one without effect and drops calls of it. */
__attribute__((always_inline)) static inline void space_prefetch(const struct space *space,
                                                                 uint32_t row)
{
    const uint8_t *code = space_code(space, row);
    for (uint32_t i = 0; i < space->lines; i++) __builtin_prefetch(code + (size_t)64 * i, 0, 2);
    __builtin_prefetch(space_norm_at(space, row));
}

static inline uint32_t space_finish(const struct space *space, const struct probe *probe,
                                    uint32_t row, int32_t sum)
{
    if (space->kind == SPACE_DOT) return 0x80000000u - (uint32_t)sum;
    uint32_t distance = space_norm(space, row) - 2 * (uint32_t)sum + probe->base;
    if (space->kind == SPACE_L2) return distance;
    return (uint32_t)((distance + space->rise[row] + probe->rise) >> space->shift);
}

/* Distances of the first n rows of `rows`, 1 to 4 of them. */
static inline void space_measure(const struct space *space, const struct probe *probe,
                                 const uint32_t *rows, uint32_t n, uint32_t distances[4])
{
    const uint8_t *code[4];
    int32_t sums[4];
    for (uint32_t i = 0; i < 4; i++) code[i] = space_code(space, rows[i < n ? i : n - 1]);
    space->kernels->dot4_u8i8(code, probe->query, space->codes->bytes, space->codes->flip, sums);
    for (uint32_t i = 0; i < n; i++) distances[i] = space_finish(space, probe, rows[i], sums[i]);
}

/* Makes the probe that stands for a row; SPACE_L2 and SPACE_PRODUCT. */
static inline void space_probe_row(const struct space *space, uint32_t row, struct probe *probe)
{
    const struct codes *codes = space->codes;
    const uint8_t *code = space_code(space, row);
    int8_t *query = probe->query;
    uint8_t turn = codes->flip ^ 0x80;
    for (size_t i = 0; i < codes->bytes; i += 64)
        for (size_t j = 0; j < 64; j++) query[i + j] = (int8_t)(code[i + j] ^ turn);
    for (size_t i = codes->dim; i < codes->bytes; i++) query[i] = 0;
    int32_t self = space->kernels->dot_u8i8(code, query, codes->bytes, codes->flip);
    /* Distance 0 to itself: 0 = norm - 2 * self + base. */
    probe->base = 2 * (uint32_t)self - space_norm(space, row);
    probe->rise = space->rise ? space->rise[row] : 0;
}

#endif
