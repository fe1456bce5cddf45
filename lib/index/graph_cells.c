/* graph_cells.c: cells around leaders drawn at random, and who asks in them.
 *
 * As in an inverted file, and unlike in graph_leaves.c, only who asks is in several places: of most
 * rows nothing is sought, and finding twelve leaves of each of them cost more than all that is then
 * measured in the leaves.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_cells.h"

#include <stdlib.h>

#include "base/error.h"

/* Smaller cells are more for the same distances, and from their nearest rows come lists that are
 * better spread, until a row's cells hold too little of what is near it: lists for words of GloVe
 * are as good as new ones from 500 rows on, images of Fashion-MNIST from 250. */
#define CELL_BYTES (128 << 10)
#define CELL_MIN   250
#define CELL_MAX   500
#define CELLS_MAX  2048

/* Where few rows come, finding the cells of the others is most of the work. Distances are fewest,
 * count * cells + fresh * copies * count / cells, for sqrt(fresh * copies) cells. */
uint32_t cells_count(uint32_t count, uint32_t fresh_count, uint32_t copies, size_t bytes)
{
    size_t rows = CELL_BYTES / bytes;
    rows = rows < CELL_MIN ? CELL_MIN : rows > CELL_MAX ? CELL_MAX : rows;
    uint32_t most = (uint32_t)(count / rows), cells = 2 * copies;
    if (most > CELLS_MAX) most = CELLS_MAX;
    while (cells < most && (uint64_t)cells * cells < (uint64_t)fresh_count * copies) cells++;
    return cells;
}

uint64_t cells_distances(uint32_t count, uint32_t fresh_count, uint32_t copies, size_t bytes)
{
    uint64_t cells = cells_count(count, fresh_count, copies, bytes);
    return (count + fresh_count) * cells + (uint64_t)fresh_count * copies * count / cells;
}

enum vdb_status cells_init(struct cells *c, struct vdb_error *err)
{
    size_t bytes = 4 * kernel_block_groups(c->space->codes->dim);
    size_t asked = (size_t)c->fresh_count * c->copies;
    c->cells = cells_count(c->count, c->fresh_count, c->copies, bytes);
    c->homes = malloc((c->count + asked) * sizeof *c->homes);
    c->member_starts = calloc(c->cells + 2, sizeof *c->member_starts);
    c->asker_starts = calloc(c->cells + 2, sizeof *c->asker_starts);
    c->members = malloc(c->count * sizeof *c->members);
    c->askers = malloc(asked * sizeof *c->askers + 1);
    c->scratch = calloc(c->workers, sizeof *c->scratch);
    if (!c->homes || !c->member_starts || !c->asker_starts || !c->members || !c->askers ||
        !c->scratch || !tiles_alloc(&c->leaders, c->space, c->cells, true, false))
        return error_no_memory(err);
    for (unsigned i = 0; i < c->workers; i++)
        if (!homes_alloc(&c->scratch[i], c->space, c->cells)) return error_no_memory(err);
    for (uint32_t i = 0; i < c->cells; i++) tiles_pack(&c->leaders, c->space, i, c->order[i]);
    return VDB_OK;
}

void cells_release(struct cells *c)
{
    for (unsigned i = 0; c->scratch && i < c->workers; i++) homes_free(&c->scratch[i]);
    free(c->scratch);
    tiles_free(&c->leaders);
    free(c->homes);
    free(c->member_starts);
    free(c->asker_starts);
    free(c->members);
    free(c->askers);
    *c = (struct cells){0};
}

void cells_home(struct cells *c, unsigned worker, size_t begin, size_t end)
{
    size_t split = end < c->count ? end : begin > c->count ? begin : c->count;
    if (begin < split)
        homes_find(&c->scratch[worker], c->space, &c->leaders, c->cells, c->order + begin,
                   split - begin, 1, c->homes + begin);
    if (split < end)
        homes_find(&c->scratch[worker], c->space, &c->leaders, c->cells,
                   c->fresh + (split - c->count), end - split, c->copies,
                   c->homes + c->count + (split - c->count) * c->copies);
}

void cells_fill(struct cells *c)
{
    homes_sort(c->order, c->count, c->homes, 1, c->cells, c->member_starts, c->members);
    homes_sort(c->fresh, c->fresh_count, c->homes + c->count, c->copies, c->cells, c->asker_starts,
               c->askers);
}

void cells_visit(const struct cells *c, unsigned worker, size_t begin, size_t end, cell_fn visit,
                 void *context)
{
    for (size_t i = begin; i < end; i++) {
        size_t n = c->member_starts[i + 1] - c->member_starts[i];
        size_t askers = c->asker_starts[i + 1] - c->asker_starts[i];
        size_t pieces = askers ? (n + c->piece_rows - 1) / c->piece_rows : 0;
        for (size_t j = 0; j < pieces; j++) {
            size_t first = n * j / pieces, last = n * (j + 1) / pieces;
            visit(context, worker, c->members + c->member_starts[i] + first,
                  (uint32_t)(last - first), c->askers + c->asker_starts[i], (uint32_t)askers);
        }
    }
}
