/* kernel_tile.h: what the distances of a few queries to many packed rows are given, and what they
 * give.
 *
 * Rows are packed in panels of 16, as the blocks of kernels->blocks_u8i8 (kernel_block_at): four
 * bytes of each row, then the next four of each, `fours` times, so that one register holds four
 * dimensions of 16 rows and no sum runs across its lanes. Two kernels even so: a tile reads codes
 * once for eight queries, which one by one would read them eight times; and a single query in a
 * tile would cost as much as eight.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_TILE_H
#define VDB_VECTOR_KERNEL_TILE_H

#include <stddef.h>
#include <stdint.h>

#define KERNEL_TILE_QUERIES 8
#define KERNEL_TILE_PANEL   16
#define KERNEL_TILE_ROWS    32 /* packed rows, norms and distances are a multiple of it */

struct kernel_tile {
    /* Read. Nothing needs alignment. */
    const uint8_t *panels;
    const uint32_t *norms;
    uint32_t rows; /* at least 1; what is packed behind them may be anything */
    uint32_t fours;
    const int8_t *queries; /* KERNEL_TILE_QUERIES of 4 * fours bytes, so far apart: */
    size_t query_stride;
    const uint32_t *bases; /* of each query */

    /* Written. Query i's distance of a row: norm - 2 * (sum of products) + base, modulo 2^32, at
     * distances[i * stride + row]; UINT32_MAX behind the rows. least[i][j] is the least of those
     * whose row is j modulo KERNEL_TILE_PANEL. */
    uint32_t *distances;
    size_t stride;
    uint32_t least[KERNEL_TILE_QUERIES][KERNEL_TILE_PANEL];
};

static inline uint32_t kernel_tile_room(uint32_t rows)
{
    return (rows + KERNEL_TILE_ROWS - 1) / KERNEL_TILE_ROWS * KERNEL_TILE_ROWS;
}

#endif
