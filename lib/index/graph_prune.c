/* graph_prune.c: choosing a row's neighbours among candidates.
 *
 * Robust pruning (Subramanya et al., "DiskANN", NeurIPS 2019, algorithm 2): take the nearest
 * candidate, drop those which are nearer to it than to the row by a factor of alpha, go on with
 * what is left. A graph of the rows kept alone is short of edges, and filling each list up with
 * the nearest of the rows dropped made searches a quarter faster for the same bytes.
 *
 * Distances of codes are squares, so alpha enters squared, in integers: s drops c where
 * (alpha_milli)^2 * d(s, c) < 10^6 * d(row, c). Of equals none drops another.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "index/graph_build.h"

struct pruner *pruner_create(const struct space *space, uint32_t rows, uint32_t degree, uint32_t ef,
                             uint32_t room)
{
    struct pruner *pruner = calloc(1, sizeof *pruner);
    if (!pruner) return NULL;
    size_t bytes = space->codes->bytes;
    pruner->walk = walk_create();
    pruner->probe.query = aligned_alloc(64, bytes);
    pruner->room = room;
    pruner->rows = malloc(2 * (size_t)room * sizeof *pruner->rows);
    uint32_t pool = ef > room ? ef : room;
    if (!pruner->walk || !pruner->probe.query || !pruner->rows ||
        !walk_reserve_probe(pruner->walk, bytes) ||
        !walk_reserve(pruner->walk, rows, degree, pool < rows ? pool : rows)) {
        pruner_free(pruner);
        return NULL;
    }
    pruner->distances = pruner->rows + room;
    return pruner;
}

void pruner_free(struct pruner *pruner)
{
    if (!pruner) return;
    walk_free(pruner->walk);
    free(pruner->probe.query);
    free(pruner->rows);
    free(pruner);
}

void pool_measure(struct pruner *pruner, const struct space *space, const uint32_t *rows,
                  uint32_t n)
{
    struct pool *pool = &pruner->walk->pool;
    for (uint32_t i = 0; i < n; i++) space_prefetch(space, rows[i]);
    for (uint32_t i = 0; i < n; i += 4) {
        uint32_t m = n - i < 4 ? n - i : 4, distances[4];
        space_measure(space, &pruner->walk->probe, rows + i, m, distances);
        for (uint32_t j = 0; j < m; j++) {
            uint64_t key = pool_key(distances[j], rows[i + j]);
            if (key < pool->limit) pool_insert(pool, key);
        }
    }
}

/* Leaves out candidates that `chosen` makes superfluous. Those before `first` are done with;
 * returns how many of the others stay, moved to the front. */
static uint32_t drop(struct pruner *pruner, const struct space *space, uint64_t alpha2,
                     uint32_t chosen, uint32_t first, uint32_t n)
{
    uint32_t stay = 0;
    space_probe_row(space, chosen, &pruner->probe);
    for (uint32_t i = first; i < n; i += 4) {
        uint32_t m = n - i < 4 ? n - i : 4, distances[4];
        space_measure(space, &pruner->probe, pruner->rows + i, m, distances);
        for (uint32_t j = i; j < i + m; j++) {
            uint32_t from_row = pruner->distances[j];
            uint32_t superfluous = alpha2 * distances[j - i] < 1000000 * (uint64_t)from_row;
            pruner->rows[stay] = pruner->rows[j];
            pruner->distances[stay] = from_row;
            stay += !superfluous;
        }
    }
    return stay;
}

uint32_t prune(struct pruner *pruner, const struct space *space, uint32_t alpha_milli,
               uint32_t degree, uint32_t *out, uint32_t *kept, uint32_t *count)
{
    const struct pool *pool = &pruner->walk->pool;
    uint64_t alpha2 = (uint64_t)alpha_milli * alpha_milli;
    uint32_t n = pool->count < pruner->room ? pool->count : pruner->room, chosen = 0;
    for (uint32_t i = 0; i < n; i++) {
        pruner->rows[i] = pool_row(pool->keys[i]);
        pruner->distances[i] = pool_distance(pool->keys[i]);
    }
    for (uint32_t left = n; left > 0 && chosen < degree; chosen++) {
        out[chosen] = pruner->rows[0];
        if (kept) kept[chosen] = pruner->distances[0];
        left = drop(pruner, space, alpha2, out[chosen], 1, left);
    }
    uint32_t filled = chosen;
    for (uint32_t i = 0, next = 0; i < n && filled < degree; i++) {
        uint32_t row = pool_row(pool->keys[i]);
        if (next < chosen && out[next] == row)
            next++;
        else
            out[filled++] = row;
    }
    *count = filled;
    return chosen;
}
