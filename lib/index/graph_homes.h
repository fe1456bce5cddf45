/* graph_homes.h: which of some leaders are nearest to rows, and rows in the order of them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_HOMES_H
#define VDB_INDEX_GRAPH_HOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/tiles.h"

#define HOMES_FAN_MAX KERNEL_TILE_PANEL /* as many nearest as tiles_limit can tell */

struct homes { /* a worker's scratch */
    struct tiles queries;
    uint32_t *distances, *places; /* of a tile */
};

/* For up to so many leaders of the space, which is SPACE_L2. False where there is no memory;
 * homes_free is due even so. */
bool homes_alloc(struct homes *homes, const struct space *space, uint32_t leaders);
void homes_free(struct homes *homes);

/* Puts the numbers of the `fan` nearest leaders of each row, nearest first, into out[0..n * fan).
 * There are at least as many leaders, and fan is at most HOMES_FAN_MAX. */
void homes_find(struct homes *homes, const struct space *space, const struct tiles *leaders,
                uint32_t leader_count, const uint32_t *rows, size_t n, uint32_t fan, uint16_t *out);

/* Sorts rows by their homes, each with `fan` of them, stably. Home h's come to stand from starts[h]
 * to starts[h + 1], for which starts[], two longer than homes are many, is 0 before. Returns the
 * most that one home has. */
size_t homes_sort(const uint32_t *rows, size_t n, const uint16_t *homes, size_t fan,
                  size_t home_count, size_t *starts, uint32_t *sorted);

#endif
