/* hnsw.c: building an HNSW, level by level.
 *
 * After Malkov and Yashunin ("Efficient and robust approximate nearest neighbor search using
 * Hierarchical Navigable Small World graphs", arXiv 2016, TPAMI 2020): levels geometric with 1/M, M
 * neighbours a row, 2M on level 0, each row's insertion entering where a greedy descent through the
 * levels above its own ends.
 *
 * Differences from the paper: levels are built one after another from the top, each by the batches
 * of graph_build.c and therefore without locks and alike for any number of threads; a level takes
 * its rows in falling order of their highest level, so that where a descent ends is always in the
 * level already. Neighbours are chosen as in graph_prune.c, which with an alpha of 1 is the paper's
 * heuristic, algorithm 4 with keepPrunedConnections; an alpha above 1, the default, gives the same
 * recall for half the effort (Fashion-MNIST). Duplicates are set apart, and on every level
 * each row can be reached from the entry.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "index/graph_build.h"
#include "index/hnsw.h"
#include "index/levels.h"

struct hnsw {
    struct builder ground; /* level 0, not run yet; its order begins with the members */
    struct codes codes;    /* of the members, in one piece, so that a level is a graph of its own */
    uint8_t *memory;       /* of `codes` */
    uint64_t *rise;        /* of the members, under ip */
    struct graph_params asked;
    uint64_t done, total; /* rows inserted on the levels that are complete, and on all */
};

/* One count over all levels, so that a build can be cancelled on any. */
static int on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    const struct hnsw *hnsw = context;
    (void)total;
    return hnsw->asked.progress(hnsw->asked.context, phase, hnsw->done + done, hnsw->total);
}

void hnsw_free(struct hnsw *hnsw)
{
    if (!hnsw) return;
    builder_release(&hnsw->ground);
    free(hnsw->memory);
    free(hnsw->rise);
    free(hnsw);
}

static enum vdb_status assign_levels(struct hnsw *hnsw, struct graph_levels *levels,
                                     struct vdb_error *err)
{
    struct builder *ground = &hnsw->ground;
    const struct codes *codes = ground->space.codes;
    enum vdb_status status = duplicates_find(codes, ground->representative, err);
    if (status != VDB_OK) return status;
    ground->distinct = graph_order(ground->representative, codes->rows, ground->order);
    if (ground->rise) {
        graph_rise(codes, ground->workers, ground->rise, &ground->space.shift);
        ground->space.rise = ground->rise;
    }
    *levels = (struct graph_levels){.degree = ground->params.degree / 2};
    levels->count =
        graph_order_levels(ground->order, ground->distinct, levels->degree, levels->sizes);
    return VDB_OK;
}

static enum vdb_status copy_members(struct hnsw *hnsw, uint32_t count, struct vdb_error *err)
{
    const struct builder *ground = &hnsw->ground;
    const struct codes *codes = ground->space.codes;
    size_t bytes = (size_t)count * codes->bytes;
    size_t norm = codes_norm_bytes(codes->kind);
    hnsw->memory = aligned_alloc(64, bytes + (count * norm + 63) / 64 * 64);
    if (ground->rise) hnsw->rise = malloc(count * sizeof *hnsw->rise);
    if (!hnsw->memory || (ground->rise && !hnsw->rise)) return error_no_memory(err);
    graph_copy_pivots(codes, ground->order, count, hnsw->memory, hnsw->memory + bytes);
    for (uint32_t i = 0; ground->rise && i < count; i++)
        hnsw->rise[i] = ground->rise[ground->order[i]];
    hnsw->codes = *codes;
    hnsw->codes.code = hnsw->memory;
    hnsw->codes.code_stride = codes->bytes;
    hnsw->codes.norm = hnsw->memory + bytes;
    hnsw->codes.norm_stride = norm;
    return VDB_OK;
}

enum vdb_status hnsw_create(const struct codes *codes, const struct kernels *kernels,
                            const struct graph_params *params, struct graph_levels *levels,
                            struct hnsw **out, struct vdb_error *err)
{
    struct graph_params chosen = *params;
    graph_params_default(&chosen, 0);
    *out = NULL;
    if (chosen.degree % 2 || chosen.degree < 2 * HNSW_M_MIN || chosen.degree > 2 * HNSW_M_MAX)
        return error_set(err, VDB_INVALID, "degree %u is not twice an M of %d to %d", chosen.degree,
                         HNSW_M_MIN, HNSW_M_MAX);
    enum vdb_status status = builder_check_params(&chosen, codes, err);
    if (status != VDB_OK) return status;
    struct hnsw *hnsw = calloc(1, sizeof *hnsw);
    if (!hnsw) return error_no_memory(err);
    *levels = (struct graph_levels){.degree = chosen.degree / 2};
    if (codes->rows) {
        hnsw->asked = chosen;
        if (chosen.progress) chosen.progress = on_progress;
        chosen.context = hnsw;
        status = builder_init(&hnsw->ground, codes, kernels, &chosen, err);
        if (status == VDB_OK) status = assign_levels(hnsw, levels, err);
        if (status == VDB_OK && levels->count) status = copy_members(hnsw, levels->sizes[0], err);
    }
    if (status == VDB_OK)
        *out = hnsw;
    else
        hnsw_free(hnsw);
    return status;
}

/* A level of `size` members, whose numbers are its rows, below `above`. */
static enum vdb_status build_level(struct hnsw *hnsw, const struct graph_levels *above,
                                   uint32_t size, uint32_t *edges, struct vdb_error *err)
{
    const struct builder *ground = &hnsw->ground;
    static const uint32_t entry = 0;
    struct builder level;
    struct codes codes = hnsw->codes;
    struct graph_params params = ground->params;
    codes.rows = size;
    params.degree = above->degree;
    enum vdb_status status = builder_init(&level, &codes, ground->space.kernels, &params, err);
    if (status == VDB_OK) {
        if (hnsw->rise) memcpy(level.rise, hnsw->rise, size * sizeof *level.rise);
        level.space.rise = level.rise;
        level.space.shift = ground->space.shift;
        for (uint32_t i = 0; i < size; i++) level.order[i] = i;
        level.distinct = size;
        level.levels = *above;
        level.growing.pivots = &entry;
        level.growing.pivot_count = 1;
        status = builder_run(&level, edges, &entry, 1, err);
    }
    builder_release(&level);
    return status;
}

enum vdb_status hnsw_run(struct hnsw *hnsw, uint32_t *edges, uint32_t *members,
                         uint32_t *level_edges, uint32_t *entry, struct graph_levels *levels,
                         struct vdb_error *err)
{
    struct builder *ground = &hnsw->ground;
    if (!ground->space.codes) return VDB_OK; /* no rows */
    *entry = ground->order[0];
    size_t lists = 0;
    for (uint32_t i = 0; i < levels->count; i++) {
        levels->edges[i] = level_edges + lists * levels->degree;
        lists += levels->sizes[i];
    }
    hnsw->total = lists + ground->distinct;
    /* Members are numbered as in `order` until all levels above 0 are there. */
    levels->members = NULL;
    for (uint32_t at = levels->count; at-- > 0;) {
        struct graph_levels above = levels_above(levels, at + 1);
        lists -= levels->sizes[at];
        enum vdb_status status =
            build_level(hnsw, &above, levels->sizes[at], level_edges + lists * levels->degree, err);
        if (status != VDB_OK) return status;
        hnsw->done += levels->sizes[at];
    }
    if (levels->count) memcpy(members, ground->order, levels->sizes[0] * sizeof *members);
    levels->members = members;
    ground->levels = *levels;
    ground->growing.pivots = entry;
    ground->growing.pivot_count = 1;
    return builder_run(ground, edges, entry, 1, err);
}
