/* graph_bulk.c: building a graph from overlapping partitions, all rows at once.
 *
 * All distances within a leaf are computed, in tiles of packed rows, which cost so little each that
 * more of them than walks would compute take a fraction of the walks' time. Each row offers its
 * reservoir what is nearest in the leaf. Reservoirs are then pruned to lists, edges back are added,
 * and some rows are sought.
 *
 * The plan is that of PiPNN (Rubel et al., "PiPNN: Ultra-Scalable Graph-Based Nearest Neighbor
 * Indexing", arXiv 2602.21247, 2026). Differences: integer distances; reservoirs by distance
 * alone; only what pruning has kept of a list gets edges back; and rows are sought, to mend what is
 * cut off.
 *
 * Rows that come to a finished graph, where they are not few, find what is near them in cells
 * (graph_cells.h). Only they have reservoirs, and of each cell's rows the nearest few are offered:
 * walks would give them their nearest alone, and lists chosen among these are worse than those of a
 * new graph.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_bulk.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/graph_cells.h"
#include "index/graph_leaves.h"
#include "index/graph_merge.h"
#include "index/graph_reservoirs.h"
#include "index/graph_reverse.h"
#include "index/graph_seek.h"

/* Rows come to a base in bulk where that takes up to so many times the distances that walks for
 * them would, with lists of up to 32 and with longer ones: five times as many take as long, and
 * rows that ask for longer lists are worth more (tests/bench/NOTES.md). Bases may be smaller than
 * what is built so. */
#define MERGED_DISTANCES      5
#define MERGED_DISTANCES_LONG 32
#define MERGED_SMALLER        8

#define COPIES_MIN 4
#define LEAF_BYTES (256 << 10) /* of packed rows, for which a core's own cache has room */
#define LEAF_MIN   500
#define LEAF_MAX   2000
#define KEEP_MAX   128
/* At least so many of a leaf are offered. With twice as many, reservoirs fill with what is
 * nearest in all leaves alike; with half, near rows are missed where leaves differ little. */
#define NEAR 6
/* Of a cell, which has what no other has, half as many again. Rows that come to a base choose among
 * more, since no old row seeks them. */
#define NEAR_MERGED       9
#define KEEP_MERGED(keep) ((keep) + (keep) / 2)
#define BALL_STEPS        16 /* between calls of progress */
#define LIST_STEPS        4
#define SEEK_ROUNDS       5 /* then hardly any are left */

struct scratch { /* a worker's */
    struct tiles leaf;
    uint32_t *distances, *places; /* of a tile */
    uint64_t *offered;
};

struct bulk {
    struct builder *builder;
    uint32_t *edges; /* the caller's: reservoirs, then lists */
    uint32_t first;  /* rows from here on are to get lists; those before are of a base */
    const uint32_t *fresh;
    uint32_t fresh_count; /* distinct ones, in order */
    uint32_t *mixed;      /* all, in an order that does not tell them apart */
    uint32_t leaf_rows, keep, near;
    size_t offset; /* of the step at work */
    uint32_t steps, steps_done, reported;

    struct scratch *scratch;
    struct leaves leaves; /* or, of rows that come to a base: */
    struct cells cells;
    struct reservoirs reservoirs;
    uint16_t *kept; /* how many of a list pruning kept; the others fill it */
    struct reverse reverse;
    struct seek seek;
};

/* ---- leaves -------------------------------------------------------------------------------- */

static bool scratch_alloc(struct scratch *s, const struct bulk *bulk)
{
    size_t room = kernel_tile_room(bulk->leaf_rows);
    s->distances = malloc(room * KERNEL_TILE_QUERIES * sizeof *s->distances);
    s->places = malloc((room + 16) * sizeof *s->places);
    s->offered = malloc(room * sizeof *s->offered);
    return tiles_alloc(&s->leaf, &bulk->builder->space, bulk->leaf_rows, true, true) &&
           s->distances && s->places && s->offered;
}

static void scratch_free(struct bulk *bulk)
{
    for (unsigned i = 0; bulk->scratch && i < bulk->builder->workers; i++) {
        struct scratch *s = &bulk->scratch[i];
        tiles_free(&s->leaf);
        free(s->distances);
        free(s->places);
        free(s->offered);
    }
    free(bulk->scratch);
    bulk->scratch = NULL;
}

static void offer_nearest(struct bulk *bulk, struct scratch *s, const uint32_t *rows, uint32_t n,
                          uint32_t self, const uint32_t *distances, uint32_t limit)
{
    const struct kernels *kernels = bulk->builder->space.kernels;
    uint32_t m = kernels->select_u32(distances, n, limit, s->places), count = 0;
    for (uint32_t i = 0; i < m; i++) {
        uint32_t row = rows[s->places[i]];
        s->offered[count] = reservoirs_key(distances[s->places[i]], row);
        count += row != self;
    }
    reservoirs_offer(&bulk->reservoirs, self - bulk->first, s->offered, count);
}

static void pack(const struct bulk *bulk, struct scratch *s, const uint32_t *rows, uint32_t n)
{
    const struct space *space = &bulk->builder->space;
    for (uint32_t i = 0; i < n; i++) {
        if (i % 8 == 0) space_prefetch(space, rows + i, n - i < 16 ? n - i : 16);
        tiles_pack(&s->leaf, space, i, rows[i]);
    }
}

/* Offers the nearest of what is packed to up to KERNEL_TILE_QUERIES rows, which are among the
 * leaf's queries from `first` on. */
static void offer_packed(struct bulk *bulk, struct scratch *s, const uint32_t *rows, uint32_t n,
                         const uint32_t *askers, uint32_t m, uint32_t first)
{
    struct kernel_tile tile;
    for (uint32_t j = 0; j < m; j++) reservoirs_fetch(&bulk->reservoirs, askers[j] - bulk->first);
    tiles_measure(&s->leaf, n, &s->leaf, first, &bulk->builder->space, s->distances, &tile);
    for (uint32_t j = 0; j < m; j++) /* one of those nearest is the row itself */
        offer_nearest(bulk, s, rows, n, askers[j], tile.distances + j * tile.stride,
                      tiles_limit(tile.least[j], bulk->near + 1));
}

static uint32_t tile_of(uint32_t n, uint32_t begin)
{
    return n - begin < KERNEL_TILE_QUERIES ? n - begin : KERNEL_TILE_QUERIES;
}

static void leaf(void *context, unsigned worker, const uint32_t *rows, uint32_t n)
{
    struct bulk *bulk = context;
    struct scratch *s = &bulk->scratch[worker];
    pack(bulk, s, rows, n);
    for (uint32_t i = 0; i < n; i++) tiles_query(&s->leaf, &bulk->builder->space, i, rows[i]);
    for (uint32_t i = 0; i < n; i += KERNEL_TILE_QUERIES)
        offer_packed(bulk, s, rows, n, rows + i, tile_of(n, i), i);
}

static void cell(void *context, unsigned worker, const uint32_t *rows, uint32_t n,
                 const uint32_t *askers, uint32_t asker_count)
{
    struct bulk *bulk = context;
    const struct space *space = &bulk->builder->space;
    struct scratch *s = &bulk->scratch[worker];
    pack(bulk, s, rows, n);
    for (uint32_t i = 0; i < asker_count; i += KERNEL_TILE_QUERIES) {
        uint32_t m = tile_of(asker_count, i);
        space_prefetch(space, askers + i, m);
        for (uint32_t j = 0; j < m; j++) tiles_query(&s->leaf, space, j, askers[i + j]);
        offer_packed(bulk, s, rows, n, askers + i, m, 0);
    }
}

/* ---- steps --------------------------------------------------------------------------------- */

static void home_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    leaves_home(&bulk->leaves, worker, begin + bulk->offset, end + bulk->offset);
}

static void ball_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    leaves_visit(&bulk->leaves, worker, begin + bulk->offset, end + bulk->offset, leaf, bulk);
}

static void cell_home_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    cells_home(&bulk->cells, worker, begin + bulk->offset, end + bulk->offset);
}

static void cell_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    cells_visit(&bulk->cells, worker, begin + bulk->offset, end + bulk->offset, cell, bulk);
}

/* What is in the reservoir of a row becomes its list, in place. */
static void prune_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    const struct builder *b = bulk->builder;
    struct pruner *pruner = b->pruners[worker];
    struct walk *walk = pruner->walk;
    uint32_t degree = b->params.degree, rows[RESERVOIRS_KEEP_MAX];
    for (size_t i = begin + bulk->offset; i < end + bulk->offset; i++) {
        uint32_t row = bulk->fresh[i], *list = bulk->edges + (size_t)row * degree;
        uint32_t count = reservoirs_get(&bulk->reservoirs, row - bulk->first, walk->pool.keys);
        for (uint32_t j = 0; j < count; j++) rows[j] = pool_row(walk->pool.keys[j]);
        space_probe_row(&b->space, row, &walk->probe);
        pool_reset(&walk->pool, bulk->keep);
        pool_measure(pruner, &b->space, rows, count);
        bulk->kept[row] =
            (uint16_t)prune(pruner, &b->space, b->params.alpha_milli, degree, list, NULL, &count);
        for (uint32_t j = count; j < degree; j++) list[j] = GRAPH_NO_ROW;
    }
}

static void link_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    struct builder *b = bulk->builder;
    for (size_t i = begin + bulk->offset; i < end + bulk->offset; i++) {
        uint32_t row = b->order[i], n;
        const uint32_t *fresh = reverse_rows(&bulk->reverse, row, &n);
        uint32_t *list = bulk->edges + (size_t)row * b->params.degree;
        if (row >= bulk->first)
            reverse_link(&bulk->reverse, b->pruners[worker], row);
        else if (n)
            merge_link(b, b->pruners[worker], row, list, fresh, n);
    }
}

static void seek_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct bulk *bulk = context;
    seek_run(&bulk->seek, bulk->builder->pruners[worker]->walk, begin + bulk->offset,
             end + bulk->offset);
}

/* Runs the job over [0, count) in `steps` steps, telling progress after each. */
static enum vdb_status run(struct bulk *bulk, size_t count, size_t chunk, par_fn job,
                           uint32_t steps, struct vdb_error *err)
{
    struct builder *builder = bulk->builder;
    for (size_t i = 0; i < steps; i++) {
        size_t begin = count * i / steps, end = count * (i + 1) / steps;
        bulk->offset = begin;
        par_for(builder->workers, end - begin, chunk, job, bulk);
        uint32_t done = (uint32_t)((uint64_t)builder->distinct * ++bulk->steps_done / bulk->steps);
        if (done == bulk->reported) continue;
        bulk->reported = done;
        if (builder_progress(builder, done)) return error_set(err, VDB_CANCELLED, "cancelled");
    }
    return VDB_OK;
}

/* ---- the build ----------------------------------------------------------------------------- */

static uint32_t within(uint32_t x, uint32_t low, uint32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* In how many leaves a row is. Lists are long where dimensions are many, and what is near is spread
 * over more leaves then. */
static uint32_t copies_of(const struct graph_params *params)
{
    uint32_t share = params->degree > 32 ? 6 : 8;
    return within(params->ef_construction / share, COPIES_MIN, LEAVES_COPIES_MAX);
}

static size_t packed_bytes(const struct builder *b)
{
    return 4 * kernel_block_groups(b->space.codes->dim);
}

/* A walk expands about ef rows, and has met half of their neighbours before. */
static bool merges_in_bulk(const struct builder *b)
{
    const struct graph_params *params = &b->params;
    uint32_t fresh = b->distinct - b->settled;
    uint64_t walks = (uint64_t)fresh * params->ef_construction * params->degree / 2;
    uint32_t times = params->degree > 32 ? MERGED_DISTANCES_LONG : MERGED_DISTANCES;
    return b->distinct >= params->bulk_rows / MERGED_SMALLER && b->distinct >= 2 * HOMES_FAN_MAX &&
           cells_distances(b->distinct, fresh, copies_of(params), packed_bytes(b)) <= walks * times;
}

bool graph_bulk_serves(const struct builder *builder)
{
    if (builder->space.kind != SPACE_L2 || builder->levels.degree) return false;
    if (builder->params.base) return merges_in_bulk(builder);
    return builder->distinct >= builder->params.bulk_rows;
}

/* ef_construction says how hard to look: for how many candidates, in how many leaves. */
static enum vdb_status init(struct bulk *bulk, struct vdb_error *err)
{
    struct builder *b = bulk->builder;
    uint32_t rows = b->growing.rows, degree = b->params.degree, ef = b->params.ef_construction;
    size_t packed = packed_bytes(b);
    uint32_t keep = b->params.base ? KEEP_MERGED(ef * 16 / 25) : ef * 16 / 25;
    bulk->keep = within(keep, degree, degree > KEEP_MAX ? degree : KEEP_MAX);
    bulk->near = b->params.base ? NEAR_MERGED : NEAR;
    bulk->leaf_rows = within((uint32_t)(LEAF_BYTES / packed), LEAF_MIN, LEAF_MAX);
    bulk->steps = BALL_STEPS + 4 * LIST_STEPS + (SEEK_ROUNDS - 1);
    bulk->first = b->params.base ? b->params.base->rows : 0;
    bulk->fresh = b->order + b->settled;
    bulk->fresh_count = b->distinct - b->settled;
    bulk->mixed = malloc(rows * sizeof *bulk->mixed);
    if (!bulk->mixed) return error_no_memory(err);
    graph_order(b->representative, rows, bulk->mixed);
    bulk->kept = calloc(rows, sizeof *bulk->kept);
    bulk->scratch = calloc(b->workers, sizeof *bulk->scratch);
    if (!bulk->kept || !bulk->scratch) return error_no_memory(err);
    for (unsigned i = 0; i < b->workers; i++)
        if (!scratch_alloc(&bulk->scratch[i], bulk)) return error_no_memory(err);
    uint32_t *edges = bulk->edges + (size_t)bulk->first * degree;
    if (b->params.base)
        merge_load(b, bulk->edges);
    else
        memset(edges, 0xff, (size_t)rows * degree * sizeof *edges);
    return reservoirs_init(&bulk->reservoirs, rows - bulk->first, degree, bulk->keep, edges,
                           b->workers > 1, err);
}

static enum vdb_status fill_from_leaves(struct bulk *bulk, struct vdb_error *err)
{
    const struct builder *b = bulk->builder;
    bulk->leaves = (struct leaves){.space = &b->space,
                                   .order = bulk->mixed,
                                   .count = b->distinct,
                                   .copies = copies_of(&b->params),
                                   .leaf_rows = bulk->leaf_rows,
                                   .workers = b->workers};
    enum vdb_status status = leaves_init(&bulk->leaves, err);
    if (!status) status = run(bulk, bulk->leaves.count, 512, home_job, LIST_STEPS, err);
    if (!status) status = leaves_fill(&bulk->leaves, err);
    if (!status) status = run(bulk, bulk->leaves.balls, 1, ball_job, BALL_STEPS, err);
    leaves_release(&bulk->leaves);
    return status;
}

static enum vdb_status fill_from_cells(struct bulk *bulk, struct vdb_error *err)
{
    const struct builder *b = bulk->builder;
    struct cells *cells = &bulk->cells;
    *cells = (struct cells){.space = &b->space,
                            .order = bulk->mixed,
                            .fresh = bulk->fresh,
                            .count = b->distinct,
                            .fresh_count = bulk->fresh_count,
                            .copies = copies_of(&b->params),
                            .piece_rows = bulk->leaf_rows,
                            .workers = b->workers};
    enum vdb_status status = cells_init(cells, err);
    if (!status)
        status = run(bulk, (size_t)cells->count + cells->fresh_count, 512, cell_home_job,
                     LIST_STEPS, err);
    if (!status) {
        cells_fill(cells);
        status = run(bulk, cells->cells, 1, cell_job, BALL_STEPS, err);
    }
    cells_release(cells);
    return status;
}

static enum vdb_status fill_reservoirs(struct bulk *bulk, struct vdb_error *err)
{
    enum vdb_status status =
        bulk->builder->params.base ? fill_from_cells(bulk, err) : fill_from_leaves(bulk, err);
    scratch_free(bulk);
    return status;
}

static enum vdb_status link_back(struct bulk *bulk, struct vdb_error *err)
{
    struct builder *b = bulk->builder;
    bulk->reverse = (struct reverse){.builder = b, .edges = bulk->edges, .kept = bulk->kept};
    enum vdb_status status = reverse_gather(&bulk->reverse, err);
    if (!status) status = run(bulk, b->distinct, 64, link_job, LIST_STEPS, err);
    reverse_release(&bulk->reverse);
    return status;
}

static enum vdb_status seek_some(struct bulk *bulk, struct vdb_error *err)
{
    enum vdb_status status = seek_init(&bulk->seek, bulk->builder, bulk->edges, err);
    for (uint32_t i = 0; i < SEEK_ROUNDS && !status; i++) {
        status = run(bulk, bulk->seek.sought, 64, seek_job, i ? 1 : LIST_STEPS, err);
        if (!status) seek_link(&bulk->seek);
    }
    seek_release(&bulk->seek);
    return status;
}

enum vdb_status graph_bulk(struct builder *builder, uint32_t *edges, struct vdb_error *err)
{
    struct bulk bulk = {.builder = builder, .edges = edges};
    enum vdb_status status = init(&bulk, err);
    if (!status) status = fill_reservoirs(&bulk, err);
    if (!status) status = run(&bulk, bulk.fresh_count, 64, prune_job, LIST_STEPS, err);
    reservoirs_release(&bulk.reservoirs);
    if (!status) status = link_back(&bulk, err);
    if (!status) status = seek_some(&bulk, err);
    scratch_free(&bulk);
    free(bulk.kept);
    free(bulk.mixed);
    return status;
}
