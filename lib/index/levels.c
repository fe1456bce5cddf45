/* levels.c: the way down through the levels of an HNSW.
 *
 * The greedy search of Malkov and Yashunin ("Efficient and robust approximate nearest neighbor
 * search using Hierarchical Navigable Small World graphs", TPAMI 2020, algorithm 5 with ef 1). Each
 * step lowers the key, so that it ends whatever the edges are.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/levels.h"

#include "index/graph_build.h"
#include "index/pool.h"

struct place { /* where a descent stands */
    uint32_t member;
    uint64_t key;
};

static uint32_t row_of(const struct graph_levels *levels, uint32_t member, uint32_t rows)
{
    uint32_t row = levels->members ? levels->members[member] : member;
    return row < rows ? row : GRAPH_NO_ROW;
}

/* The neighbours that are rows, and their code rows on the way to the cache. */
static uint32_t gather(const struct graph_levels *levels, uint32_t at, const struct space *space,
                       uint32_t rows, uint32_t member, uint32_t *members, uint32_t *found)
{
    const uint32_t *list = levels->edges[at] + (size_t)member * levels->degree;
    uint32_t n = 0;
    for (uint32_t i = 0; i < levels->degree && list[i] != GRAPH_NO_ROW; i++) {
        if (list[i] >= levels->sizes[at]) continue;
        members[n] = list[i];
        found[n] = row_of(levels, list[i], rows);
        if (found[n] == GRAPH_NO_ROW) continue;
        n++;
    }
    space_prefetch(space, found, n);
    return n;
}

/* To the nearest neighbour on level `at` + 1; 0 where none is nearer. */
static int step(const struct graph_levels *levels, uint32_t at, const struct space *space,
                const struct probe *probe, uint32_t rows, struct place *place)
{
    uint32_t members[GRAPH_DEGREE_MAX], found[GRAPH_DEGREE_MAX], distances[GRAPH_DEGREE_MAX];
    uint32_t n = gather(levels, at, space, rows, place->member, members, found);
    uint64_t before = place->key;
    space_measure(space, probe, found, n, distances);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = pool_key(distances[i], found[i]);
        if (key < place->key) *place = (struct place){members[i], key};
    }
    return place->key < before;
}

uint64_t levels_descend(const struct graph_levels *levels, const struct space *space,
                        const struct probe *probe, uint32_t rows)
{
    if (levels->count == 0) return UINT64_MAX;
    uint32_t first[4] = {row_of(levels, 0, rows)}, distances[4];
    if (first[0] == GRAPH_NO_ROW) return UINT64_MAX;
    space_measure(space, probe, first, 1, distances);
    struct place place = {0, pool_key(distances[0], first[0])};
    for (uint32_t at = levels->count; at-- > 0;)
        while (step(levels, at, space, probe, rows, &place)) continue;
    return place.key;
}
