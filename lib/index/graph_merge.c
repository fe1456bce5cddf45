/* graph_merge.c: rows that come to a finished graph.
 *
 * The graph stays as it is but for lists that get edges back, as in FreshDiskANN (Singh et al.,
 * arXiv 2105.09613, 2021). A list has what pruning kept, nearest first, and then what fills it up,
 * nearest first again (graph_prune.c): where distances fall, what was kept ends. Edges back go
 * among what is kept, in its order, and what fills the list gives way. So a list is pruned again
 * only when nothing fills it any more, once in so many edges back as are between what pruning keeps
 * and the degree.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"

#define AT_ONCE 8 /* rows of a list that are measured together */

bool graph_can_grow(const struct graph *base, uint32_t rows, enum vdb_metric metric)
{
    if (base->rows == 0 || base->rows > rows || base->pivot_count == 0 ||
        base->pivot_count > graph_pivot_count_on(base, rows, metric))
        return false;
    for (uint32_t i = 0; i < base->pivot_count; i++)
        if (base->pivots[i] >= base->rows) return false;
    return true;
}

bool merge_base_serves(const struct graph_params *params, const struct codes *codes)
{
    return params->base->degree == params->degree &&
           graph_can_grow(params->base, codes->rows, codes->metric);
}

void merge_settle(struct builder *builder)
{
    uint32_t *order = builder->order;
    for (uint32_t i = 0; i < builder->distinct; i++) {
        uint32_t row = order[i];
        if (row >= builder->params.base->rows) continue;
        order[i] = order[builder->settled];
        order[builder->settled++] = row;
    }
}

enum vdb_status merge_pivots(const struct builder *builder, const uint32_t *outliers,
                             uint32_t outlier_count, uint32_t *pivots, uint32_t count,
                             struct vdb_error *err)
{
    const struct graph *base = builder->params.base;
    uint8_t *taken = calloc(builder->growing.rows, 1);
    if (!taken) return error_no_memory(err);
    uint32_t n = 0;
    for (; n < base->pivot_count; n++) {
        pivots[n] = base->pivots[n];
        taken[pivots[n]] = 1;
    }
    for (uint32_t i = 0; i < outlier_count && n < count; i++) {
        if (taken[outliers[i]]) continue;
        pivots[n++] = outliers[i];
        taken[outliers[i]] = 1;
    }
    for (uint32_t i = builder->distinct; i-- > 0 && n < count;)
        if (!taken[builder->order[i]]) pivots[n++] = builder->order[i];
    for (uint32_t row = 0; n < count; row++)
        if (!taken[row] && builder->representative[row] != row) pivots[n++] = row;
    free(taken);
    return VDB_OK;
}

void merge_enter(struct builder *builder)
{
    const struct graph *base = builder->params.base;
    struct graph *growing = &builder->growing;
    growing->pivots = base->pivots;
    growing->pivot_count = base->pivot_count;
    growing->leader_count = base->leader_count;
    growing->groups = base->groups;
}

struct load {
    const struct builder *builder;
    uint32_t *edges;
};

static void load_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    const struct load *load = context;
    const struct graph *base = load->builder->params.base;
    const uint32_t *representative = load->builder->representative;
    for (size_t row = begin; row < end; row++) {
        const uint32_t *from = base->edges + row * base->degree;
        uint32_t *list = load->edges + row * base->degree, n = 0;
        for (uint32_t i = 0; i < base->degree && representative[row] == row; i++)
            if (from[i] < base->rows && from[i] != row && representative[from[i]] == from[i])
                list[n++] = from[i];
        for (; n < base->degree; n++) list[n] = GRAPH_NO_ROW;
    }
}

void merge_load(struct builder *builder, uint32_t *edges)
{
    struct load load = {builder, edges};
    size_t old = builder->params.base->rows, degree = builder->params.degree;
    par_for(builder->workers, old, 1024, load_job, &load);
    memset(edges + old * degree, 0xff, (builder->growing.rows - old) * degree * sizeof *edges);
}

/* Returns how many of the list's first rows are there for more than to fill it. Distances are
 * measured a few at a time, until those fall: *measured of them are in distances[]. */
static uint32_t count_kept(const struct builder *builder, struct pruner *pruner,
                           const uint32_t *list, uint32_t length, uint32_t *distances,
                           uint32_t *measured)
{
    uint32_t kept = 0, done = 0, ahead = 0;
    while (kept == done && done < length) {
        uint32_t n = length - done < AT_ONCE ? length - done : AT_ONCE;
        for (; ahead < length && ahead < done + 3 * AT_ONCE; ahead++)
            space_prefetch(&builder->space, list + ahead, 1);
        space_measure(&builder->space, &pruner->walk->probe, list + done, n, distances + done);
        done += n;
        while (kept < done && (kept == 0 || distances[kept] >= distances[kept - 1])) kept++;
    }
    *measured = done;
    return kept;
}

static void put_in_pool(struct pool *pool, const uint32_t *rows, const uint32_t *distances,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = pool_key(distances[i], rows[i]);
        if (key < pool->limit) pool_insert(pool, key);
    }
}

void merge_link(struct builder *builder, struct pruner *pruner, uint32_t row, uint32_t *list,
                const uint32_t *fresh, uint32_t n)
{
    uint32_t degree = builder->params.degree, length = 0, count = 0;
    uint32_t distances[GRAPH_DEGREE_MAX + 3], filled[GRAPH_DEGREE_MAX];
    struct pool *pool = &pruner->walk->pool;
    while (length < degree && list[length] != GRAPH_NO_ROW) length++;
    space_probe_row(&builder->space, row, &pruner->walk->probe);
    uint32_t measured, kept = count_kept(builder, pruner, list, length, distances, &measured);
    pool_reset(pool, pruner->room);
    put_in_pool(pool, list, distances, kept);
    pool_measure(pruner, &builder->space, fresh, n);
    if (kept + n > degree) {
        space_measure(&builder->space, &pruner->walk->probe, list + measured, length - measured,
                      distances + measured);
        put_in_pool(pool, list + kept, distances + kept, length - kept);
        count = prune_again(builder, pruner, list);
    } else {
        memcpy(filled, list + kept, (length - kept) * sizeof *filled);
        for (; count < pool->count; count++) list[count] = pool_row(pool->keys[count]);
        for (uint32_t i = 0; i < length - kept && count < degree; i++) list[count++] = filled[i];
    }
    for (; count < degree; count++) list[count] = GRAPH_NO_ROW;
}
