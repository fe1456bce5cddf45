/* graph_cells.h: rows that come to a graph, brought together with those that may be near them.
 *
 * Every row lies in one cell, that of the leader nearest to it. Those that come ask in the `copies`
 * cells whose leaders are nearest to them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_CELLS_H
#define VDB_INDEX_GRAPH_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "index/graph_homes.h"

struct cells {
    /* The caller's, before cells_init. */
    const struct space *space; /* SPACE_L2 */
    const uint32_t *order;     /* `count` rows, the first of them at random: leaders */
    const uint32_t *fresh;     /* `fresh_count` of these: those that came */
    uint32_t count, fresh_count;
    uint32_t copies;     /* up to HOMES_FAN_MAX */
    uint32_t piece_rows; /* at most so many are handed over at once */
    unsigned workers;

    uint32_t cells;
    struct tiles leaders;
    uint16_t *homes; /* of the rows in order, then `copies` of each that came */
    size_t *member_starts, *asker_starts;
    uint32_t *members, *askers; /* by cell */
    struct homes *scratch;      /* a worker */
};

/* How many cells there are where so many of the rows came; `bytes` are those of a packed row. */
uint32_t cells_count(uint32_t count, uint32_t fresh_count, uint32_t copies, size_t bytes);

/* How many distances that takes. */
uint64_t cells_distances(uint32_t count, uint32_t fresh_count, uint32_t copies, size_t bytes);

/* Errors: VDB_NO_MEMORY. cells_release is due even so. */
enum vdb_status cells_init(struct cells *cells, struct vdb_error *err);
void cells_release(struct cells *cells);

/* `rows` of a cell, some of them, and all that ask in it. */
typedef void (*cell_fn)(void *context, unsigned worker, const uint32_t *rows, uint32_t n,
                        const uint32_t *askers, uint32_t asker_count);

/* To be called for [0, count + fresh_count), then once cells_fill, then cells_visit for all cells.
 * Workers may call the first and the last at once, each with its own number. */
void cells_home(struct cells *cells, unsigned worker, size_t begin, size_t end);
void cells_fill(struct cells *cells);
void cells_visit(const struct cells *cells, unsigned worker, size_t begin, size_t end,
                 cell_fn visit, void *context);

#endif
