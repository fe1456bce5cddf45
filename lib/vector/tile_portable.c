/* tile_portable.c: distances of packed rows in plain C, which the other sets' are held against.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "vector/kernel_bound.h"
#include "vector/kernel_sets.h"
#include "vector/kernel_tile.h"

#define LANES KERNEL_TILE_PANEL
#define BLOCK 64 /* bytes of a row that are unpacked at a time */

/* Bytes [begin, begin + BLOCK) of a panel's rows, zeros behind the last. */
static void unpack(const struct kernel_tile *tile, const uint8_t *panel, size_t begin,
                   uint8_t rows[LANES][BLOCK])
{
    for (size_t i = 0; i < BLOCK; i += 4)
        for (size_t row = 0; row < LANES; row++) {
            if (begin + i < (size_t)4 * tile->fours)
                memcpy(rows[row] + i, panel + (begin + i) * LANES + 4 * row, 4);
            else
                memset(rows[row] + i, 0, 4);
        }
}

/* The inner loop has a constant length, so that compilers turn it into what vector instructions
 * they may use. */
static void add_block(const struct kernel_tile *tile, size_t begin, uint8_t rows[LANES][BLOCK],
                      uint32_t sums[KERNEL_TILE_QUERIES][LANES])
{
    size_t left = (size_t)4 * tile->fours - begin;
    for (size_t i = 0; i < KERNEL_TILE_QUERIES; i++) {
        int8_t query[BLOCK] = {0};
        memcpy(query, tile->queries + i * tile->query_stride + begin, left < BLOCK ? left : BLOCK);
        for (size_t row = 0; row < LANES; row++) {
            uint32_t sum = 0;
            for (size_t j = 0; j < BLOCK; j++) sum += (uint32_t)(rows[row][j] * query[j]);
            sums[i][row] += sum;
        }
    }
}

void portable_tile_u8i8(struct kernel_tile *tile)
{
    uint32_t room = kernel_tile_room(tile->rows);
    memset(tile->least, 0xff, sizeof tile->least);
    for (uint32_t begin = 0; begin < room; begin += LANES) {
        const uint8_t *panel = tile->panels + (size_t)begin * tile->fours * 4;
        uint32_t sums[KERNEL_TILE_QUERIES][LANES] = {{0}};
        uint8_t rows[LANES][BLOCK];
        for (size_t byte = 0; byte < (size_t)4 * tile->fours; byte += BLOCK) {
            unpack(tile, panel, byte, rows);
            add_block(tile, byte, rows, sums);
        }
        for (size_t i = 0; i < KERNEL_TILE_QUERIES; i++)
            for (uint32_t j = 0; j < LANES; j++) {
                uint32_t distance = tile->norms[begin + j] - 2 * sums[i][j] + tile->bases[i];
                if (begin + j >= tile->rows) distance = UINT32_MAX;
                tile->distances[i * tile->stride + begin + j] = distance;
                if (distance < tile->least[i][j]) tile->least[i][j] = distance;
            }
    }
}

uint32_t portable_select_u32(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        places[count] = i; /* stays only if it is near: no branch to mispredict */
        count += values[i] <= limit;
    }
    return count;
}

/* Of 16 rows, each lane one of them. */
KERNEL_INLINE void add_nibbles(const uint8_t *codes, const int8_t *query, int32_t sums[LANES])
{
    for (size_t row = 0; row < LANES; row++) {
        int32_t sum = 0;
        for (size_t j = 0; j < 4; j++) {
            uint8_t code = codes[4 * row + j];
            sum += (code & 15) * query[j] + (code >> 4) * query[4 + j];
        }
        sums[row] += sum;
    }
}

uint32_t portable_bound_u4i8(const struct kernel_bound *bound, uint32_t *rows)
{
    const uint8_t *codes = bound->codes;
    uint32_t count = 0;
    for (size_t b = 0; b < bound->blocks; b++) {
        int32_t sums[LANES] = {0};
        for (size_t g = 0; g < bound->groups; g++, codes += 64)
            add_nibbles(codes, bound->query + 8 * g, sums);
        for (size_t i = 0; i < LANES; i++) {
            size_t row = LANES * b + i;
            float least = bound->terms[row] - bound->slope * bound->slacks[row] -
                          bound->weight * (float)sums[i];
            rows[count] = (uint32_t)row;
            count += least <= bound->limit;
        }
    }
    return count;
}
