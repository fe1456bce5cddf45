/* graph_homes.c: finding the leaders nearest to rows, in tiles.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_homes.h"

#include <stdlib.h>

#include "index/pool.h"

bool homes_alloc(struct homes *homes, const struct space *space, uint32_t leaders)
{
    size_t room = kernel_tile_room(leaders);
    homes->distances = malloc(room * KERNEL_TILE_QUERIES * sizeof *homes->distances);
    homes->places = malloc((room + 16) * sizeof *homes->places);
    return homes->distances && homes->places &&
           tiles_alloc(&homes->queries, space, KERNEL_TILE_QUERIES, false, true);
}

void homes_free(struct homes *homes)
{
    tiles_free(&homes->queries);
    free(homes->distances);
    free(homes->places);
    *homes = (struct homes){0};
}

static void choose(struct homes *homes, const struct space *space, const uint32_t *distances,
                   uint32_t leaders, uint32_t limit, uint32_t fan, uint16_t *out)
{
    uint32_t n = space->kernels->select_u32(distances, leaders, limit, homes->places);
    uint64_t keys[HOMES_FAN_MAX + 1];
    struct pool nearest = {.keys = keys};
    pool_reset(&nearest, fan);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = pool_key(distances[homes->places[i]], homes->places[i]);
        if (key < nearest.limit) pool_insert(&nearest, key);
    }
    for (uint32_t i = 0; i < fan; i++) out[i] = (uint16_t)pool_row(keys[i]);
}

void homes_find(struct homes *homes, const struct space *space, const struct tiles *leaders,
                uint32_t leader_count, const uint32_t *rows, size_t n, uint32_t fan, uint16_t *out)
{
    struct kernel_tile tile;
    for (size_t i = 0; i < n; i += KERNEL_TILE_QUERIES) {
        uint32_t m = n - i < KERNEL_TILE_QUERIES ? (uint32_t)(n - i) : KERNEL_TILE_QUERIES;
        space_prefetch(space, rows + i, n - i < 16 ? (uint32_t)(n - i) : 16);
        for (uint32_t j = 0; j < m; j++) tiles_query(&homes->queries, space, j, rows[i + j]);
        tiles_measure(leaders, leader_count, &homes->queries, 0, space, homes->distances, &tile);
        for (uint32_t j = 0; j < m; j++)
            choose(homes, space, tile.distances + j * tile.stride, leader_count,
                   tiles_limit(tile.least[j], fan), fan, out + (i + j) * fan);
    }
}

/* While rows are put in place, a home's start is that of the one before it. */
size_t homes_sort(const uint32_t *rows, size_t n, const uint16_t *homes, size_t fan,
                  size_t home_count, size_t *starts, uint32_t *sorted)
{
    size_t most = 0;
    for (size_t i = 0; i < n * fan; i++) starts[homes[i] + 2]++;
    for (size_t i = 2; i < home_count + 2; i++) {
        most = starts[i] > most ? starts[i] : most;
        starts[i] += starts[i - 1];
    }
    for (size_t i = 0; i < n * fan; i++) sorted[starts[homes[i] + 1]++] = rows[i / fan];
    return most;
}
