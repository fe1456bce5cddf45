/* tiles.h: rows packed to be measured many against many.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_TILES_H
#define VDB_INDEX_TILES_H

#include <stdbool.h>
#include <stdint.h>

#include "index/space.h"
#include "vector/kernel_tile.h"

/* Rows packed as kernel_tile.h has it, and rows as its queries; either may be missing. */
struct tiles {
    uint8_t *panels;
    uint32_t *norms, *bases;
    int8_t *queries;
};

/* Room for `rows` of the space, which is SPACE_L2, rounded up to whole tiles. False where there is
 * no memory; tiles_free is due even so. */
bool tiles_alloc(struct tiles *tiles, const struct space *space, uint32_t rows, bool packed,
                 bool queries);
void tiles_free(struct tiles *tiles);

void tiles_pack(struct tiles *tiles, const struct space *space, uint32_t place, uint32_t row);
void tiles_query(struct tiles *tiles, const struct space *space, uint32_t place, uint32_t row);

/* Distances of the first `rows` packed rows to KERNEL_TILE_QUERIES queries from `first` on, into
 * distances[], which has room for kernel_tile_room(rows) a query, and tile->least. */
void tiles_measure(const struct tiles *packed, uint32_t rows, const struct tiles *queries,
                   uint32_t first, const struct space *space, uint32_t *distances,
                   struct kernel_tile *tile);

/* A distance up to which at least k rows are, k being at most KERNEL_TILE_PANEL; UINT32_MAX where
 * there may be fewer. */
uint32_t tiles_limit(const uint32_t least[KERNEL_TILE_PANEL], uint32_t k);

#endif
