/* tiles.c: rows packed to be measured many against many.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/tiles.h"

#include <stdlib.h>
#include <string.h>

bool tiles_alloc(struct tiles *tiles, const struct space *space, uint32_t rows, bool packed,
                 bool queries)
{
    size_t room = kernel_tile_room(rows), bytes = space->codes->bytes;
    size_t groups = kernel_block_groups(space->codes->dim);
    *tiles = (struct tiles){0};
    if (packed) {
        tiles->panels = aligned_alloc(64, room * groups * 4);
        tiles->norms = calloc(room, sizeof *tiles->norms);
        if (!tiles->panels || !tiles->norms) return false;
        memset(tiles->panels, 0, room * groups * 4);
    }
    if (queries) {
        tiles->queries = aligned_alloc(64, room * bytes);
        tiles->bases = calloc(room, sizeof *tiles->bases);
        if (!tiles->queries || !tiles->bases) return false;
        memset(tiles->queries, 0, room * bytes);
    }
    return true;
}

void tiles_free(struct tiles *tiles)
{
    free(tiles->panels);
    free(tiles->norms);
    free(tiles->bases);
    free(tiles->queries);
    *tiles = (struct tiles){0};
}

void tiles_pack(struct tiles *tiles, const struct space *space, uint32_t place, uint32_t row)
{
    const uint8_t *code = space_code(space, row);
    size_t groups = kernel_block_groups(space->codes->dim);
    uint8_t *panel = tiles->panels + kernel_block_at(groups, place, 0);
    uint32_t flip = space->codes->flip * 0x01010101u;
    for (size_t i = 0; i < groups; i++, code += 4, panel += 4 * KERNEL_TILE_PANEL) {
        uint32_t four;
        memcpy(&four, code, sizeof four);
        four ^= flip;
        memcpy(panel, &four, sizeof four);
    }
    tiles->norms[place] = space_norm(space, row);
}

void tiles_query(struct tiles *tiles, const struct space *space, uint32_t place, uint32_t row)
{
    struct probe probe = {.query = tiles->queries + (size_t)place * space->codes->bytes};
    space_probe_row(space, row, &probe);
    tiles->bases[place] = probe.base;
}

void tiles_measure(const struct tiles *packed, uint32_t rows, const struct tiles *queries,
                   uint32_t first, const struct space *space, uint32_t *distances,
                   struct kernel_tile *tile)
{
    tile->panels = packed->panels;
    tile->norms = packed->norms;
    tile->rows = rows;
    tile->fours = (uint32_t)kernel_block_groups(space->codes->dim);
    tile->queries = queries->queries + (size_t)first * space->codes->bytes;
    tile->query_stride = space->codes->bytes;
    tile->bases = queries->bases + first;
    tile->distances = distances;
    tile->stride = kernel_tile_room(rows);
    space->kernels->tile_u8i8(tile);
}

/* The k-th least: as many lanes have something up to it, and so at least as many rows are. */
uint32_t tiles_limit(const uint32_t least[KERNEL_TILE_PANEL], uint32_t k)
{
    uint32_t ranks[KERNEL_TILE_PANEL] = {0}, best = 0;
    for (uint32_t i = 0; i < KERNEL_TILE_PANEL; i++)
        for (uint32_t j = 0; j < KERNEL_TILE_PANEL; j++) ranks[j] += least[i] < least[j];
    for (uint32_t j = 0; j < KERNEL_TILE_PANEL; j++)
        if (ranks[j] < k && least[j] > best) best = least[j];
    return best;
}
