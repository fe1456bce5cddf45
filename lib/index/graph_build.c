/* graph_build.c: building a graph, by inserting rows in batches where not in bulk (graph_bulk.c).
 *
 * Rows come in a pseudo-random order that depends on nothing but their number. A batch is as large
 * as all before it, up to a fiftieth of the rows. Each row of a batch walks the graph as it was
 * before the batch, read-only and in parallel, and takes its neighbours from what it met. Edges
 * back are then grouped by target, and each target is served by one worker: this is the
 * deterministic scheme of ParlayANN (Manohar et al., PPoPP 2024) for the graph of DiskANN
 * (Subramanya et al., NeurIPS 2019), without locks, and the same for any number of threads.
 *
 * Differences from the papers: integer distances, ties by row; one pass; lists may grow to one and
 * a half times the degree before they are pruned again; they are filled up after pruning
 * (graph_prune.c); walks enter by the nearest of many pivots rather than by a medoid; duplicates
 * are set apart before the build, and every row is made reachable after it (graph_repair.c). Of the
 * pivots some are the rows that lie farthest out (graph_outliers.c).
 *
 * Into a finished graph rows are inserted in the same way, but for how edges back are added
 * (graph_merge.c).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "base/par.h"
#include "index/graph_build.h"
#include "index/graph_bulk.h"
#include "index/graph_merge.h"
#include "index/levels.h"

#define BATCH_SHARE 50 /* a batch is at most one in so many rows */
#define BATCH_MIN   256
/* Intrinsic dimension, in thousandths, from which lists of 64 pay: at 12 (Fashion-MNIST) they were
 * measured not to, from 18 on (80,000 words of GloVe, and all of them) they save a third of the
 * work. */
#define HARD_FROM 15000
/* Of a base, the first batches, and then one in so many of the rows that came. */
#define MERGED_MIN   16
#define MERGED_SHARE 8
/* Rows that come to a base are looked at as many as in a build, but a walk for them ends sooner:
 * what is near is found soon where it is worth no lists longer than 32. */
#define MERGED_EF(ef, degree) ((degree) > 32 ? (ef) - (ef) / 4 : (ef) / 2)
#define DEGREE_MIN            4
#define EF_MIN                8
#define EF_MAX                4096
#define ALPHA_MAX             65535 /* its square times a distance fits 64 bits */
#define BULK_ROWS             20000 /* for fewer, insertion costs as little */
#define PIVOTS_MIN            16
#define UNGROUPED_MAX         1024
#define ROWS_A_PIVOT          512
/* Rows of a cluster without a pivot are met by chance only, so large parts have many pivots, in
 * groups: on a million rows in 2,000 clusters one walk in eleven with effort 40 found none of its
 * answers by 1,024 pivots, and by 7,812 one in two hundred. */
#define GROUPS_FROM    131072 /* rows */
#define ROWS_A_GROUPED 128
#define PIVOTS_MAX     16384

/* ---- parameters ---------------------------------------------------------------------------- */

void graph_params_default(struct graph_params *params, uint32_t dimension)
{
    bool hard = dimension >= HARD_FROM;
    if (params->degree == 0) params->degree = hard ? 64 : 32;
    if (params->ef_construction == 0) params->ef_construction = params->degree > 32 ? 100 : 80;
    if (params->alpha_milli == 0) params->alpha_milli = 1100;
    if (params->bulk_rows == 0) params->bulk_rows = BULK_ROWS;
}

/* Under ip groups of what is near would not tell where large products are. */
uint32_t graph_pivot_count(uint32_t rows, enum vdb_metric metric)
{
    bool many = metric != VDB_METRIC_IP && rows >= GROUPS_FROM;
    uint32_t count = rows / (many ? ROWS_A_GROUPED : ROWS_A_PIVOT);
    uint32_t most = many ? PIVOTS_MAX : UNGROUPED_MAX;
    if (count < PIVOTS_MIN) count = PIVOTS_MIN;
    if (count > most) count = most;
    return count < rows ? count : rows;
}

uint32_t graph_pivot_count_on(const struct graph *base, uint32_t rows, enum vdb_metric metric)
{
    uint32_t count = graph_pivot_count(rows, metric);
    if (!base) return count;
    uint32_t more = base->pivot_count + rows / ROWS_A_PIVOT - base->rows / ROWS_A_PIVOT;
    if (more > UNGROUPED_MAX) more = UNGROUPED_MAX;
    return count > more ? count : more;
}

/* About the square root: then as many leaders are measured as rows of a group. */
uint32_t graph_leader_count(uint32_t rows, enum vdb_metric metric)
{
    if (metric == VDB_METRIC_IP || rows < GROUPS_FROM) return 0;
    uint32_t pivots = graph_pivot_count(rows, metric), leaders = 4;
    while (leaders * leaders < pivots) leaders += 4;
    return leaders;
}

enum vdb_status builder_check_params(struct graph_params *params, const struct codes *codes,
                                     struct vdb_error *err)
{
    graph_params_default(params, 0);
    if (params->degree < DEGREE_MIN || params->degree > GRAPH_DEGREE_MAX)
        return error_set(err, VDB_INVALID, "degree %u is not in %d to %d", params->degree,
                         DEGREE_MIN, GRAPH_DEGREE_MAX);
    if (params->ef_construction < EF_MIN || params->ef_construction > EF_MAX)
        return error_set(err, VDB_INVALID, "ef_construction %u is not in %d to %d",
                         params->ef_construction, EF_MIN, EF_MAX);
    if (params->alpha_milli < 1000 || params->alpha_milli > ALPHA_MAX)
        return error_set(err, VDB_INVALID, "alpha %u/1000 is not in 1 to %d/1000",
                         params->alpha_milli, ALPHA_MAX);
    if (codes->kind == CODES_VECTORS && codes->metric == VDB_METRIC_IP)
        return error_set(err, VDB_INVALID, "under ip a graph is built on codes");
    if (codes->rows > GRAPH_ROWS_MAX)
        return error_set(err, VDB_LIMIT, "a graph has at most %u rows", GRAPH_ROWS_MAX);
    if (params->base && !merge_base_serves(params, codes))
        return error_set(err, VDB_INVALID, "no graph of that degree over the first of the rows");
    return VDB_OK;
}

/* ---- memory -------------------------------------------------------------------------------- */

void builder_release(struct builder *builder)
{
    for (unsigned i = 0; builder->pruners && i < builder->workers; i++)
        pruner_free(builder->pruners[i]);
    free(builder->pruners);
    pages_free(builder->own_lists, builder->lists_len);
    free(builder->lengths);
    free(builder->rise);
    free(builder->representative);
    free(builder->order);
    free(builder->pivot_codes);
    free(builder->pivot_norms);
    free(builder->back_counts);
    free(builder->back);
    free(builder->back_spare);
    free(builder->groups);
}

/* All at once, so that workers cannot fail. */
enum vdb_status builder_init(struct builder *builder, const struct codes *codes,
                             const struct kernels *kernels, const struct graph_params *params,
                             struct vdb_error *err)
{
    size_t rows = codes->rows;
    *builder = (struct builder){.params = *params};
    space_init(&builder->space, codes, kernels, space_of_rows(codes));
    builder->capacity = params->degree + params->degree / 2;
    builder->batch_room = (uint32_t)(rows / BATCH_SHARE);
    if (builder->batch_room < BATCH_MIN) builder->batch_room = BATCH_MIN;
    uint32_t pivots = graph_pivot_count_on(params->base, codes->rows, codes->metric);
    if (builder->batch_room < pivots) builder->batch_room = pivots;
    builder->workers = par_threads(params->threads);

    builder->representative = malloc(rows * sizeof *builder->representative);
    builder->order = malloc(rows * sizeof *builder->order);
    bool copied = builder->space.kind == SPACE_L2;
    builder->pivot_codes = aligned_alloc(64, copied ? (size_t)pivots * codes->bytes : 64);
    builder->pivot_norms = malloc((size_t)pivots * codes_norm_bytes(codes->kind) + 1);
    builder->pruners = calloc(builder->workers, sizeof(struct pruner *));
    if (builder->space.kind == SPACE_PRODUCT) builder->rise = malloc(rows * sizeof *builder->rise);
    if (!builder->representative || !builder->order || !builder->pivot_codes ||
        !builder->pivot_norms || !builder->pruners ||
        (builder->space.kind == SPACE_PRODUCT && !builder->rise))
        return error_no_memory(err);
    /* Candidates at once: what a walk leaves, or a full list and as many new ones again. */
    uint32_t room = 2 * builder->capacity;
    if (room < params->ef_construction) room = params->ef_construction;
    for (unsigned i = 0; i < builder->workers; i++) {
        builder->pruners[i] = pruner_create(&builder->space, codes->rows, builder->capacity,
                                            params->ef_construction, room);
        if (!builder->pruners[i]) return error_no_memory(err);
    }
    builder->growing = (struct graph){.rows = codes->rows, .degree = builder->capacity};
    return VDB_OK;
}

static enum vdb_status reserve_lists(struct builder *builder, struct vdb_error *err)
{
    builder->lists_len = (size_t)builder->growing.rows * builder->capacity * sizeof *builder->lists;
    builder->lists = builder->own_lists = pages_alloc(builder->lists_len);
    if (!builder->lists) return error_no_memory(err);
    memset(builder->lists, 0xff, builder->lists_len);
    return VDB_OK;
}

/* What inserting takes. All at once, so that workers cannot fail. Rows that come to a base grow in
 * the caller's lists. */
static enum vdb_status reserve_batches(struct builder *builder, uint32_t *edges,
                                       struct vdb_error *err)
{
    size_t rows = builder->growing.rows;
    size_t back = (size_t)builder->batch_room * builder->params.degree;
    if (builder->params.base) {
        builder->lists = edges;
        builder->capacity = builder->growing.degree = builder->params.degree;
        merge_load(builder, edges);
    } else if (reserve_lists(builder, err)) {
        return VDB_NO_MEMORY;
    }
    builder->lengths = calloc(rows, sizeof *builder->lengths);
    builder->back_counts = malloc(builder->batch_room * sizeof *builder->back_counts);
    builder->back = malloc(back * sizeof *builder->back);
    builder->back_spare = malloc(back * sizeof *builder->back_spare);
    builder->groups = malloc(2 * (back + 1) * sizeof *builder->groups);
    if (!builder->lengths || !builder->back_counts || !builder->back || !builder->back_spare ||
        !builder->groups)
        return error_no_memory(err);
    builder->growing.edges = builder->lists;
    return VDB_OK;
}

/* ---- a batch ------------------------------------------------------------------------------- */

/* The first batch are the pivots, which have only each other. */
static void meet_pivots(struct builder *builder, struct pruner *pruner, uint32_t self)
{
    struct walk *walk = pruner->walk;
    uint32_t pivots = builder->growing.pivot_count, n = 0, *others = pruner->others;
    for (uint32_t i = 0; i < pivots; i++)
        if (builder->order[i] != self) others[n++] = builder->order[i];
    pool_reset(&walk->pool, builder->params.ef_construction);
    pool_measure(pruner, &builder->space, others, n);
}

static void insert_row(struct builder *builder, struct pruner *pruner, size_t place)
{
    uint32_t row = builder->batch[place], degree = builder->params.degree, kept[GRAPH_DEGREE_MAX],
             count;
    struct walk *walk = pruner->walk;
    space_probe_row(&builder->space, row, &walk->probe);
    if (builder->batch == builder->order && !builder->params.base) {
        meet_pivots(builder, pruner, row);
    } else {
        uint32_t keep = builder->params.ef_construction;
        walk_run(walk, &builder->space, &builder->growing, &walk->probe,
                 builder->params.base ? MERGED_EF(keep, degree) : keep, keep);
    }
    uint32_t *list = builder->lists + (size_t)row * builder->capacity;
    uint32_t mutual =
        prune(pruner, &builder->space, builder->params.alpha_milli, degree, list, kept, &count);
    builder->lengths[row] = (uint16_t)count;
    struct back_edge *back = builder->back + place * degree;
    for (uint32_t i = 0; i < mutual; i++)
        back[i] = (struct back_edge){list[i], kept[i], (uint32_t)place};
    builder->back_counts[place] = mutual;
}

static void insert_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct builder *builder = context;
    for (size_t i = begin; i < end; i++) insert_row(builder, builder->pruners[worker], i);
}

/* Closes the gaps between the back edges of a batch and sorts them by target, edges to one target
 * staying in the order of the batch. Returns their number. */
static size_t sort_back_edges(struct builder *builder, size_t batch_count)
{
    size_t n = 0, degree = builder->params.degree;
    for (size_t i = 0; i < batch_count; i++)
        for (uint32_t j = 0; j < builder->back_counts[i]; j++)
            builder->back[n++] = builder->back[i * degree + j];
    for (unsigned shift = 0; shift < 32 && (builder->growing.rows - 1) >> shift; shift += 11) {
        size_t starts[2048] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++) starts[builder->back[i].target >> shift & 2047]++;
        for (size_t i = 0; i < 2048; i++) {
            size_t count = starts[i];
            starts[i] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            builder->back_spare[starts[builder->back[i].target >> shift & 2047]++] =
                builder->back[i];
        struct back_edge *sorted = builder->back_spare;
        builder->back_spare = builder->back;
        builder->back = sorted;
    }
    return n;
}

/* Adds the rows of back[0..n) to the list of their target; prunes it where it has no room. */
static void link_target(struct builder *builder, struct pruner *pruner,
                        const struct back_edge *back, size_t n)
{
    uint32_t target = back[0].target, capacity = builder->capacity;
    uint32_t *list = builder->lists + (size_t)target * capacity;
    uint32_t length = builder->lengths[target], count;
    if (length + n <= capacity) {
        for (size_t i = 0; i < n; i++)
            if (!graph_list_has(list, length, builder->batch[back[i].place]))
                list[length++] = builder->batch[back[i].place];
        builder->lengths[target] = (uint16_t)length;
        return;
    }
    struct walk *walk = pruner->walk;
    space_probe_row(&builder->space, target, &walk->probe);
    pool_reset(&walk->pool, pruner->room);
    pool_measure(pruner, &builder->space, list, length);
    for (size_t i = 0; i < n; i++) {
        uint32_t row = builder->batch[back[i].place];
        uint64_t key = pool_key(back[i].distance, row);
        if (key < walk->pool.limit && !graph_list_has(list, length, row))
            pool_insert(&walk->pool, key);
    }
    prune(pruner, &builder->space, builder->params.alpha_milli, builder->params.degree, list, NULL,
          &count);
    for (uint32_t i = count; i < length; i++) list[i] = GRAPH_NO_ROW;
    builder->lengths[target] = (uint16_t)count;
}

static void link_to_base(struct builder *builder, struct pruner *pruner,
                         const struct back_edge *back, size_t n)
{
    uint32_t target = back[0].target, fresh[GRAPH_DEGREE_MAX];
    uint32_t *list = builder->lists + (size_t)target * builder->capacity;
    for (size_t done = 0; done < n;) {
        uint32_t some = 0;
        for (; some < GRAPH_DEGREE_MAX && done < n; done++)
            fresh[some++] = builder->batch[back[done].place];
        merge_link(builder, pruner, target, list, fresh, some);
    }
}

static void link_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct builder *builder = context;
    for (size_t i = begin; i < end; i++) {
        const struct back_edge *back = builder->back + builder->groups[i];
        size_t n = 1, left = builder->back_count - builder->groups[i];
        while (n < left && back[n].target == back[0].target) n++;
        if (builder->params.base)
            link_to_base(builder, builder->pruners[worker], back, n);
        else
            link_target(builder, builder->pruners[worker], back, n);
    }
}

/* Puts where the edges to each target begin into groups[], those of the batch's first row first:
 * what targets of one row are near to is still in the cache for the next. Returns their number. */
static size_t order_targets(struct builder *builder, size_t n, uint32_t batch_count)
{
    size_t groups = 0;
    uint32_t *starts = builder->back_counts, *unordered = builder->groups + n + 1;
    memset(starts, 0, batch_count * sizeof *starts);
    for (size_t i = 0; i < n; i++) {
        if (i && builder->back[i].target == builder->back[i - 1].target) continue;
        unordered[groups++] = (uint32_t)i;
        if (builder->back[i].place + 1 < batch_count) starts[builder->back[i].place + 1]++;
    }
    for (uint32_t i = 1; i < batch_count; i++) starts[i] += starts[i - 1];
    for (size_t i = 0; i < groups; i++)
        builder->groups[starts[builder->back[unordered[i]].place]++] = unordered[i];
    return groups;
}

static void insert_batch(struct builder *builder, uint32_t begin, uint32_t count)
{
    builder->batch = builder->order + begin;
    par_for(builder->workers, count, 8, insert_job, builder);
    builder->back_count = sort_back_edges(builder, count);
    size_t groups = order_targets(builder, builder->back_count, count);
    par_for(builder->workers, groups, 16, link_job, builder);
}

/* ---- the build ----------------------------------------------------------------------------- */

int builder_progress(const struct builder *builder, uint32_t done)
{
    const struct graph_params *params = &builder->params;
    return params->progress &&
           params->progress(params->context, "build graph", done, builder->distinct);
}

/* Rows of one level come by the levels above it, whose members are in the graph already; all rows
 * of a batch are therefore of one level. Sets the way in for the row at `done` of the order, and
 * returns where the rows of its level end. */
static uint32_t enter_level(struct builder *builder, uint32_t done)
{
    uint32_t level = 0;
    while (level < builder->levels.count && builder->levels.sizes[level] > done) level++;
    builder->growing.levels = levels_above(&builder->levels, level);
    return level ? builder->levels.sizes[level - 1] : builder->distinct;
}

/* Brings the list of a row down to the degree, into the caller's edges. */
static void finish_row(struct builder *builder, struct pruner *pruner, size_t place)
{
    uint32_t row = builder->order[place], degree = builder->params.degree, count;
    uint32_t *edges = builder->edges + (size_t)row * degree;
    const uint32_t *list = builder->lists + (size_t)row * builder->capacity;
    uint32_t length = builder->lengths[row];
    space_probe_row(&builder->space, row, &pruner->walk->probe);
    pool_reset(&pruner->walk->pool, pruner->room);
    pool_measure(pruner, &builder->space, list, length);
    prune(pruner, &builder->space, builder->params.alpha_milli, degree, edges, NULL, &count);
}

static void finish_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct builder *builder = context;
    for (size_t i = begin; i < end; i++) finish_row(builder, builder->pruners[worker], i);
}

/* How many rows come next. Those of a batch do not meet each other, so batches of what comes to a
 * base are small at first: it may be of a kind that is new. */
static uint32_t next_batch(const struct builder *builder, uint32_t done)
{
    uint32_t count = done;
    if (builder->params.base) {
        count = (done - builder->settled) / MERGED_SHARE;
        if (count < MERGED_MIN) count = MERGED_MIN;
    } else if (done == 0) {
        return builder->growing.pivot_count;
    }
    return count < builder->batch_room ? count : builder->batch_room;
}

static enum vdb_status insert_all(struct builder *builder, uint32_t *edges, struct vdb_error *err)
{
    enum vdb_status status = reserve_batches(builder, edges, err);
    if (status != VDB_OK) return status;
    uint32_t done = builder->settled;
    while (done < builder->distinct) {
        uint32_t count = next_batch(builder, done), left = enter_level(builder, done) - done;
        if (count > left) count = left;
        insert_batch(builder, done, count);
        done += count;
        if (builder_progress(builder, done)) return error_set(err, VDB_CANCELLED, "cancelled");
    }
    if (builder->params.base) return VDB_OK;
    builder->edges = edges;
    memset(edges, 0xff, (size_t)builder->growing.rows * builder->params.degree * sizeof *edges);
    par_for(builder->workers, builder->distinct, 64, finish_job, builder);
    return VDB_OK;
}

/* Distinct rows first; where there are too few, duplicates. */
static void choose_pivots(const struct builder *builder, uint32_t *pivots, uint32_t count)
{
    uint32_t n = 0;
    for (; n < count && n < builder->distinct; n++) pivots[n] = builder->order[n];
    for (uint32_t row = 0; n < count; row++)
        if (builder->representative[row] != row) pivots[n++] = row;
}

/* Of a base, its own, and others behind them. */
static enum vdb_status find_pivots(const struct builder *builder, uint32_t *pivots, uint32_t count,
                                   struct vdb_error *err)
{
    uint32_t n = outliers_among(builder, count);
    uint32_t *outliers = malloc(n * sizeof *outliers + 1);
    if (!outliers) return error_no_memory(err);
    enum vdb_status status = outliers_find(builder, n, outliers, err);
    if (!status && builder->params.base)
        status = merge_pivots(builder, outliers, n, pivots, count, err);
    else if (!status)
        status = outliers_lead(builder, outliers, n, count, err);
    if (!status && !builder->params.base) choose_pivots(builder, pivots, count);
    free(outliers);
    return status;
}

struct grouping {
    struct builder *builder;
    const uint32_t *pivots;
    uint32_t leaders;
    uint32_t *leader; /* of each pivot */
};

static void group_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct grouping *g = context;
    const struct space *space = &g->builder->space;
    struct probe *probe = &g->builder->pruners[worker]->walk->probe;
    for (size_t i = begin; i < end; i++) {
        uint64_t best = UINT64_MAX;
        space_probe_row(space, g->pivots[i], probe);
        for (uint32_t j = 0; j < g->leaders; j += GRAPH_DEGREE_MAX) {
            uint32_t distances[GRAPH_DEGREE_MAX], n = g->leaders - j;
            n = n < GRAPH_DEGREE_MAX ? n : GRAPH_DEGREE_MAX;
            space_measure(space, probe, g->pivots + j, n, distances);
            for (uint32_t k = 0; k < n; k++) {
                uint64_t key = pool_key(distances[k], j + k);
                best = key < best ? key : best;
            }
        }
        g->leader[i] = pool_row(best);
    }
}

/* Puts the pivots behind the leaders in the order of their groups, whose ends go to
 * params.groups. */
static enum vdb_status group_pivots(struct builder *builder, uint32_t *pivots, uint32_t count,
                                    struct vdb_error *err)
{
    uint32_t leaders = graph_leader_count(builder->space.codes->rows, builder->space.codes->metric);
    uint32_t *ends = builder->params.groups;
    if (!ends || leaders == 0 || builder->distinct < count) return VDB_OK;
    struct grouping g = {builder, pivots, leaders, malloc(2 * (size_t)count * sizeof *g.leader)};
    if (!g.leader) return error_no_memory(err);
    uint32_t *sorted = g.leader + count, end = leaders;
    par_for(builder->workers, count, 64, group_job, &g);
    for (uint32_t j = 0; j < leaders; j++) {
        for (uint32_t i = leaders; i < count; i++)
            if (g.leader[i] == j) sorted[end++] = pivots[i];
        ends[j] = end;
    }
    memcpy(pivots + leaders, sorted + leaders, (count - leaders) * sizeof *pivots);
    free(g.leader);
    builder->growing.leader_count = leaders;
    builder->growing.groups = ends;
    return VDB_OK;
}

void graph_copy_pivots(const struct codes *codes, const uint32_t *pivots, uint32_t count,
                       uint8_t *pivot_codes, uint8_t *pivot_norms)
{
    size_t norm = codes_norm_bytes(codes->kind);
    for (uint32_t i = 0; i < count; i++) {
        size_t row = pivots[i];
        memcpy(pivot_codes + i * codes->bytes, codes->code + row * codes->code_stride,
               codes->bytes);
        memcpy(pivot_norms + i * norm, codes->norm + row * codes->norm_stride, norm);
    }
}

enum vdb_status builder_run(struct builder *builder, uint32_t *edges, const uint32_t *pivots,
                            uint32_t pivot_count, struct vdb_error *err)
{
    uint32_t rows = builder->growing.rows, degree = builder->params.degree;
    enum vdb_status status = graph_bulk_serves(builder) ? graph_bulk(builder, edges, err)
                                                        : insert_all(builder, edges, err);
    if (status != VDB_OK) return status;
    if (builder->distinct < rows) {
        status = duplicates_link(builder->representative, rows, degree, edges, err);
        if (status != VDB_OK) return status;
    }
    graph_fill(rows, degree, edges);
    struct graph graph = {.rows = rows,
                          .degree = degree,
                          .edges = edges,
                          .pivots = pivots,
                          .pivot_count = pivot_count,
                          .levels = builder->levels};
    return graph_repair(&graph, edges, &builder->space, builder->pruners[0],
                        builder->params.ef_construction, err);
}

static enum vdb_status build(struct builder *builder, uint32_t *edges, uint32_t *pivots,
                             struct vdb_error *err)
{
    const struct codes *codes = builder->space.codes;
    uint32_t rows = codes->rows,
             pivot_count = graph_pivot_count_on(builder->params.base, rows, codes->metric);
    enum vdb_status status = duplicates_find(codes, builder->representative, err);
    if (status != VDB_OK) return status;
    builder->distinct = graph_order(builder->representative, rows, builder->order);
    if (builder->rise) {
        graph_rise(codes, builder->workers, builder->rise, &builder->space.shift);
        builder->space.rise = builder->rise;
    }
    if (builder->params.base) merge_settle(builder);
    status = find_pivots(builder, pivots, pivot_count, err);
    if (status == VDB_OK) status = group_pivots(builder, pivots, pivot_count, err);
    if (status != VDB_OK) return status;
    builder->growing.pivots = pivots;
    builder->growing.pivot_count =
        pivot_count < builder->distinct ? pivot_count : builder->distinct;
    if (builder->params.base) merge_enter(builder);
    if (builder->space.kind == SPACE_L2) {
        graph_copy_pivots(codes, builder->growing.pivots, builder->growing.pivot_count,
                          builder->pivot_codes, builder->pivot_norms);
        builder->growing.pivot_codes = builder->pivot_codes;
        builder->growing.pivot_norms = builder->pivot_norms;
    }
    return builder_run(builder, edges, pivots, pivot_count, err);
}

enum vdb_status graph_build(const struct codes *codes, const struct kernels *kernels,
                            const struct graph_params *params, uint32_t *edges, uint32_t *pivots,
                            struct vdb_error *err)
{
    struct graph_params chosen = *params;
    enum vdb_status status = builder_check_params(&chosen, codes, err);
    if (status != VDB_OK || codes->rows == 0) return status;
    struct builder builder;
    status = builder_init(&builder, codes, kernels, &chosen, err);
    if (status == VDB_OK) status = build(&builder, edges, pivots, err);
    builder_release(&builder);
    return status;
}
