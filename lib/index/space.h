/* space.h: how far a coded row is from a query or from another row, as an integer.
 *
 * What rows are measured against is a `probe`: a row or query as signed bytes with its sum of
 * squares. Three kinds of distance, all u32, all the same on every CPU:
 * - SPACE_L2: sum (c - q)^2. Walks and builds under l2 and cosine.
 * - SPACE_DOT: 2^31 - sum c * k, k being the query in -127..127. Walks under ip.
 * - SPACE_LIFTED: sum (c - q)^2 + (a(c) - a(q))^2, cut off at 2^32 - 1, where a(c) is
 *   sqrt(max |x|^2 - |x|^2). Builds under ip: with that coordinate all rows have the same length,
 *   and a query, whose own is 0, has the same nearest rows by distance as by inner product
 *   (Bachrach et al., "Speeding Up the Xbox Recommender System Using a Euclidean Transformation
 *   for Inner-Product Spaces", RecSys 2014).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_SPACE_H
#define VDB_INDEX_SPACE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "index/codes.h"
#include "vector/kernel.h"

enum space_kind { SPACE_L2, SPACE_DOT, SPACE_LIFTED };

struct space {
    const struct codes *codes;
    const struct kernels *kernels;
    const uint32_t *lift; /* a(row) a row; SPACE_LIFTED only */
    enum space_kind kind;
    uint32_t lines; /* cache lines a code row touches, as many as are worth fetching ahead */
};

struct probe {
    int8_t *query; /* codes->bytes of them, 64-byte aligned; zeros beyond dim */
    uint32_t base; /* SPACE_L2, SPACE_LIFTED: sum of its codes' squares */
    uint32_t lift; /* SPACE_LIFTED: a(q) */
};

#define SPACE_LINES_MAX 16

static inline void space_init(struct space *space, const struct codes *codes,
                              const struct kernels *kernels, enum space_kind kind)
{
    size_t lines = codes->bytes / 64;
    if (((uintptr_t)codes->code | codes->code_stride) & 63) lines++;
    *space = (struct space){codes, kernels, NULL, kind,
                            (uint32_t)(lines < SPACE_LINES_MAX ? lines : SPACE_LINES_MAX)};
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
    for (uint32_t i = 0; i < space->lines; i++) __builtin_prefetch(code + (size_t)64 * i);
    __builtin_prefetch(space_norm_at(space, row));
}

static inline uint32_t space_finish(const struct space *space, const struct probe *probe,
                                    uint32_t row, int32_t sum)
{
    if (space->kind == SPACE_DOT) return 0x80000000u - (uint32_t)sum;
    uint32_t distance = space_norm(space, row) - 2 * (uint32_t)sum + probe->base;
    if (space->kind == SPACE_L2) return distance;
    uint32_t a = space->lift[row], b = probe->lift;
    uint64_t gap = a > b ? a - b : b - a;
    if (gap > UINT16_MAX) return UINT32_MAX;
    uint64_t lifted = distance + gap * gap;
    return lifted < UINT32_MAX ? (uint32_t)lifted : UINT32_MAX;
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

/* Makes the probe that stands for a row; SPACE_L2 and SPACE_LIFTED. */
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
    probe->lift = space->lift ? space->lift[row] : 0;
}

#endif
