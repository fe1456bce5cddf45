/* beam.h: the walk itself, as queries and builds use it.
 *
 * A walk keeps the nearest rows met, expands the nearest not yet expanded, and ends when the `ef`
 * nearest are, or for a query by distance (graph.h). Work is bounded whatever the edges are: a row
 * enters the pool once, an entry is expanded once, and rows that the graph does not have are passed
 * over.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_BEAM_H
#define VDB_INDEX_BEAM_H

#include <stddef.h>
#include <stdint.h>

#include "index/graph.h"
#include "index/pool.h"
#include "index/space.h"

struct walk {
    struct pool pool;
    size_t pool_room;
    /* A bit a row, all clear between walks. The rows whose bits are set lie in `met`, in the order
     * in which they were gathered, so that clearing costs what the walk did. A walk that meets
     * more than fit starts again at the front and clears the whole map at its end. */
    uint64_t *visited;
    size_t visited_words;
    uint32_t *met;
    size_t met_room, met_limit;
    uint32_t *distances; /* of the rows that are measured: room for those of one list */
    size_t distances_room;
    struct probe probe;
    size_t probe_room;
    int8_t *nearest; /* the row found nearest, to measure others from */
    size_t nearest_room;
    uint64_t *before; /* what was found before it entered anew */
    size_t before_room;
    uint64_t *pivots; /* that were measured, as keys by number */
    uint32_t pivot_room, pivot_count;
    uint64_t *counted; /* the nearest of the rows that count, where not all do */
    uint32_t counted_room;
    float *scratch;
    size_t scratch_room;
    struct space space; /* of the query prepared */
    struct walk_work work;
    struct candidate *found;
    size_t found_room;
};

/* Rows of a graph are below this: the pool's keys have 31 bits for them. */
#define GRAPH_ROWS_MAX 0x80000000u

/* VDB_LIMIT for more rows than that, which the pool could not tell apart. */
enum vdb_status walk_check_rows(uint32_t rows, struct vdb_error *err);

/* Makes room; 0 where there is none. After it walk_run cannot fail. */
int walk_reserve_probe(struct walk *walk, size_t bytes);
int walk_reserve(struct walk *walk, uint32_t rows, uint32_t degree, uint32_t keep);

/* Room in the pool, and in what walk_take_found puts its entries in, for their number. */
int walk_reserve_found(struct walk *walk, uint32_t room);
uint32_t walk_take_found(struct walk *walk, const struct candidate **candidates);

/* Leaves the `keep` nearest rows met in walk->pool, of which the first `ef` are expanded.
 * graph->rows is at most the codes' rows. */
void walk_run(struct walk *walk, const struct space *space, const struct graph *graph,
              const struct probe *probe, uint32_t ef, uint32_t keep);

#endif
