/* levels.h: the way down through the levels of an HNSW.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_LEVELS_H
#define VDB_INDEX_LEVELS_H

#include <stdint.h>

#include "index/graph.h"
#include "index/space.h"

/* The levels from number `below` + 1 on. */
static inline struct graph_levels levels_above(const struct graph_levels *levels, uint32_t below)
{
    struct graph_levels above = *levels;
    above.count -= below;
    for (uint32_t i = 0; i < above.count; i++) {
        above.sizes[i] = levels->sizes[below + i];
        above.edges[i] = levels->edges[below + i];
    }
    return above;
}

/* From the first member, on the top level, goes to the nearest neighbour as long as one is nearer,
 * and on from there a level below. Returns the pool's key of the row where that ends on level 1, or
 * UINT64_MAX: there are no levels, or the first member is no row. `rows` is the graph's; members
 * that are not below it and edges out of the level are passed over. */
uint64_t levels_descend(const struct graph_levels *levels, const struct space *space,
                        const struct probe *probe, uint32_t rows);

#endif
