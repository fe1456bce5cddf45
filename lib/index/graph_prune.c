/* graph_prune.c: choosing a row's neighbours among candidates.
 *
 * Robust pruning (Subramanya et al., "DiskANN", NeurIPS 2019, algorithm 2): take the nearest
 * candidate, drop those which are nearer to it than to the row, go on with what is left. Where
 * that leaves the list short, a second round takes, nearest first, those which alpha times their
 * distance from everything taken would not have dropped. (As in DiskANN's own program: a single
 * round with alpha fills the list with the nearest rows of a tight cluster, and no edge leads out
 * of it.) What is still free is filled up with the nearest of the rows dropped: it made searches a
 * quarter faster for the same bytes.
 *
 * A list that edges back come to is pruned when nothing fills it any more. As it would soon be full
 * again, what is kept of it then leaves an eighth of the places to what fills it: the next edges
 * back take these.
 *
 * Distances are squares, so alpha enters squared: s drops c where
 * alpha_milli^2 * d(s, c) < 10^6 * d(row, c). Of equals none drops another.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "index/graph_build.h"

#define SPARE 8 /* of so many places one is left to what fills a list */

struct pruner *pruner_create(const struct space *space, uint32_t rows, uint32_t degree, uint32_t ef,
                             uint32_t room)
{
    struct pruner *pruner = calloc(1, sizeof *pruner);
    if (!pruner) return NULL;
    size_t bytes = space_probe_bytes(space->codes);
    pruner->walk = walk_create();
    pruner->probe.query = aligned_alloc(64, bytes);
    pruner->room = room;
    pruner->rows = malloc((4 * (size_t)room + 3) * sizeof *pruner->rows);
    uint32_t pivots = graph_pivot_count(space->codes->rows, space->codes->metric);
    pruner->others = malloc((size_t)pivots * sizeof *pruner->others + 1);
    uint32_t pool = ef > room ? ef : room;
    if (!pruner->walk || !pruner->probe.query || !pruner->rows || !pruner->others ||
        !walk_reserve_probe(pruner->walk, bytes) ||
        !walk_reserve(pruner->walk, rows, degree, pool < rows ? pool : rows)) {
        pruner_free(pruner);
        return NULL;
    }
    pruner->places = pruner->rows + room;
    pruner->fates = pruner->places + room;
    pruner->distances = pruner->fates + room;
    return pruner;
}

void pruner_free(struct pruner *pruner)
{
    if (!pruner) return;
    walk_free(pruner->walk);
    free(pruner->probe.query);
    free(pruner->rows);
    free(pruner->others);
    free(pruner);
}

void pool_measure(struct pruner *pruner, const struct space *space, const uint32_t *rows,
                  uint32_t n)
{
    struct pool *pool = &pruner->walk->pool;
    uint32_t distances[GRAPH_DEGREE_MAX];
    for (uint32_t m; n > 0; rows += m, n -= m) {
        m = n < GRAPH_DEGREE_MAX ? n : GRAPH_DEGREE_MAX;
        space_prefetch(space, rows, m);
        space_measure(space, &pruner->walk->probe, rows, m, distances);
        for (uint32_t i = 0; i < m; i++) {
            uint64_t key = pool_key(distances[i], rows[i]);
            if (key < pool->limit) pool_insert(pool, key);
        }
    }
}

/* What becomes of a candidate; below UNDECIDED: the index in `out` of what dropped it, though not
 * by alpha. */
enum { UNDECIDED = GRAPH_DEGREE_MAX, TAKEN, DROPPED };

struct choice {
    struct pruner *pruner;
    const struct space *space;
    const uint64_t *keys; /* by place */
    uint64_t alpha2;
    uint32_t taken;
    uint32_t *out, *kept;
    uint32_t places[GRAPH_DEGREE_MAX]; /* of what was taken */
};

static void take(struct choice *choice, uint32_t place)
{
    choice->pruner->fates[place] = TAKEN;
    choice->places[choice->taken] = place;
    choice->out[choice->taken++] = pool_row(choice->keys[place]);
}

/* Takes the first of the `left` undecided and drops those that it makes superfluous; returns how
 * many stay undecided. Those that alpha would spare note who dropped them. */
static uint32_t take_first(struct choice *choice, uint32_t left)
{
    struct pruner *pruner = choice->pruner;
    uint32_t taker = choice->taken, stay = 0;
    take(choice, pruner->places[0]);
    space_probe_row(choice->space, choice->out[taker], &pruner->probe);
    uint32_t *distances = pruner->distances;
    space_measure(choice->space, &pruner->probe, pruner->rows + 1, left - 1, distances);
    for (uint32_t i = 1; i < left; i++) {
        uint32_t place = pruner->places[i], row = pruner->rows[i];
        uint32_t from_row = pool_distance(choice->keys[place]);
        int gone = distances[i - 1] < from_row;
        if (gone)
            pruner->fates[place] =
                space_is_less(choice->space, choice->alpha2, distances[i - 1], from_row) ? DROPPED
                                                                                         : taker;
        pruner->rows[stay] = row;
        pruner->places[stay] = place;
        stay += !gone;
    }
    return stay;
}

/* 1 where nothing taken and nearer to the row than the candidate drops it by alpha. Of what was
 * taken in the first round only what came after its dropper has not been compared with it. */
static int spared(struct choice *choice, uint32_t place)
{
    struct pruner *pruner = choice->pruner;
    uint32_t from_row = pool_distance(choice->keys[place]), rows[4] = {0}, distances[4], n = 0;
    int probed = 0;
    for (uint32_t i = pruner->fates[place] + 1; i < choice->taken; i++) {
        if (choice->places[i] < place) rows[n++] = choice->out[i];
        if (n < 4 && (i + 1 < choice->taken || n == 0)) continue;
        if (!probed) space_probe_row(choice->space, pool_row(choice->keys[place]), &pruner->probe);
        probed = 1;
        space_measure(choice->space, &pruner->probe, rows, n, distances);
        for (uint32_t j = 0; j < n; j++)
            if (space_is_less(choice->space, choice->alpha2, distances[j], from_row)) return 0;
        n = 0;
    }
    return 1;
}

/* Nearest first, whatever the round in which they were taken. */
static void sort_taken(struct choice *choice, uint32_t n)
{
    uint32_t taken = 0;
    for (uint32_t place = 0; place < n && taken < choice->taken; place++) {
        if (choice->pruner->fates[place] != TAKEN) continue;
        choice->out[taken] = pool_row(choice->keys[place]);
        if (choice->kept) choice->kept[taken] = pool_distance(choice->keys[place]);
        taken++;
    }
}

/* As prune() has it, but that no more than `most` are kept. */
static uint32_t choose(struct pruner *pruner, const struct space *space, uint32_t alpha_milli,
                       uint32_t most, uint32_t degree, uint32_t *out, uint32_t *kept,
                       uint32_t *count)
{
    const struct pool *pool = &pruner->walk->pool;
    struct choice choice = {.pruner = pruner,
                            .space = space,
                            .keys = pool->keys,
                            .alpha2 = (uint64_t)alpha_milli * alpha_milli,
                            .out = out,
                            .kept = kept};
    uint32_t n = pool->count < pruner->room ? pool->count : pruner->room;
    for (uint32_t place = 0; place < n; place++) {
        pruner->rows[place] = pool_row(pool->keys[place]);
        pruner->places[place] = place;
        pruner->fates[place] = UNDECIDED;
    }
    for (uint32_t left = n; left > 0 && choice.taken < most;) left = take_first(&choice, left);
    for (uint32_t place = 0; place < n && choice.taken < most; place++)
        if (pruner->fates[place] < UNDECIDED && spared(&choice, place)) take(&choice, place);

    sort_taken(&choice, n);
    uint32_t filled = choice.taken;
    for (uint32_t place = 0; place < n && filled < degree; place++)
        if (pruner->fates[place] != TAKEN) out[filled++] = pool_row(pool->keys[place]);
    *count = filled;
    return choice.taken;
}

uint32_t prune(struct pruner *pruner, const struct space *space, uint32_t alpha_milli,
               uint32_t degree, uint32_t *out, uint32_t *kept, uint32_t *count)
{
    return choose(pruner, space, alpha_milli, degree, degree, out, kept, count);
}

uint32_t prune_again(const struct builder *builder, struct pruner *pruner, uint32_t *out)
{
    const struct graph_params *params = &builder->params;
    uint32_t degree = params->degree, count;
    choose(pruner, &builder->space, params->alpha_milli, degree - degree / SPARE, degree, out, NULL,
           &count);
    return count;
}
