/* graph_without.c: a finished graph as if some of its rows had never been there.
 *
 * A place that is freed in a list goes to a neighbour of the row that is gone, chosen much as
 * building chooses: the nearest that nothing in the list makes superfluous by alpha, and where
 * there is none the nearest (graph_prune.c). What else is in the list stays: choosing the whole
 * list anew from all those neighbours, as repairs after deletions do (Singh et al., "FreshDiskANN",
 * 2021), makes it better than the lists of a graph that never had the row, and taking the nearest
 * alone, or leaving the place empty, makes it worse.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_without.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/par.h"
#include "index/graph_build.h"

#define CANDIDATES 256 /* for the places freed in one list: the nearest are enough */
#define TRIED      8   /* a place freed: candidates that are held against the list */
#define CHUNK      256

struct mender { /* a worker's */
    struct probe row, other;
    struct pool candidates;
    struct buf saved; /* row and list, one behind another */
    int failed;
};

struct graph_undo {
    uint32_t degree;
    unsigned workers;
    struct mender *menders;
};

struct mending {
    struct space space;
    const struct graph *graph;
    uint32_t *edges;
    const uint64_t *gone;
    uint64_t alpha2;
    struct mender *menders;
};

struct list { /* of the row at hand */
    uint32_t rows[GRAPH_DEGREE_MAX], distances[GRAPH_DEGREE_MAX];
    uint32_t count;
};

static bool is_gone(const struct mending *m, uint32_t row)
{
    return row < m->graph->rows && bit_is_set(m->gone, row);
}

static bool list_has(const struct list *list, uint32_t row)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->rows[i] == row) return true;
    return false;
}

static void offer(struct pool *pool, uint32_t distance, uint32_t row)
{
    uint64_t key = pool_key(distance, row);
    if (key >= pool->limit) return;
    uint32_t at = pool_rank(pool->keys, pool->count, key);
    if (at < pool->count && pool->keys[at] == key) return;
    pool_insert(pool, key);
}

/* The neighbours of a row that is gone, but for those that the list has already. */
static void gather_candidates(const struct mending *m, struct mender *mender, uint32_t row,
                              uint32_t from, const struct list *list)
{
    const struct graph *g = m->graph;
    const uint32_t *edges = g->edges + (size_t)from * g->degree;
    uint32_t rows[GRAPH_DEGREE_MAX], distances[GRAPH_DEGREE_MAX], n = 0;
    for (uint32_t i = 0; i < g->degree; i++) {
        uint32_t to = edges[i];
        if (to < g->rows && to != row && !is_gone(m, to) && !list_has(list, to)) rows[n++] = to;
    }
    space_prefetch(&m->space, rows, n);
    space_measure(&m->space, &mender->row, rows, n, distances);
    for (uint32_t i = 0; i < n; i++) offer(&mender->candidates, distances[i], rows[i]);
}

/* Whether something in the list that is nearer to the row makes the candidate superfluous. */
static bool superfluous(const struct mending *m, struct mender *mender, uint64_t key,
                        uint64_t alpha2, const struct list *list)
{
    uint32_t from_row = pool_distance(key), rows[4], distances[4], n = 0;
    space_probe_row(&m->space, pool_row(key), &mender->other);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->distances[i] <= from_row) rows[n++] = list->rows[i];
        if (n < 4 && (i + 1 < list->count || n == 0)) continue;
        space_measure(&m->space, &mender->other, rows, n, distances);
        for (uint32_t j = 0; j < n; j++)
            if (space_is_less(&m->space, alpha2, distances[j], from_row)) return true;
        n = 0;
    }
    return false;
}

/* Takes from the first `tried` candidates, nearest first, until the list has `length` rows; with
 * alpha2 only those that are not superfluous. */
static void fill_places(const struct mending *m, struct mender *mender, uint64_t alpha2,
                        uint32_t tried, uint32_t length, struct list *list)
{
    struct pool *pool = &mender->candidates;
    for (uint32_t i = 0; i < tried && i < pool->count && list->count < length; i++) {
        uint64_t key = pool->keys[i];
        if (key & 1 || (alpha2 && superfluous(m, mender, key, alpha2, list))) continue;
        list->rows[list->count] = pool_row(key);
        list->distances[list->count++] = pool_distance(key);
        pool->keys[i] |= 1;
    }
}

static int save(struct mender *mender, uint32_t row, const uint32_t *edges, uint32_t degree)
{
    return buf_append(&mender->saved, &row, sizeof row) ||
           buf_append(&mender->saved, edges, degree * sizeof *edges);
}

static int mend_row(const struct mending *m, struct mender *mender, uint32_t row)
{
    uint32_t degree = m->graph->degree, length = 0;
    uint32_t *edges = m->edges + (size_t)row * degree;
    struct list list = {.count = 0};
    for (; length < degree && edges[length] != GRAPH_NO_ROW; length++)
        if (!is_gone(m, edges[length])) list.rows[list.count++] = edges[length];
    if (list.count == length) return 0;
    if (save(mender, row, edges, degree)) return -1;

    space_probe_row(&m->space, row, &mender->row);
    space_measure(&m->space, &mender->row, list.rows, list.count, list.distances);
    pool_reset(&mender->candidates, CANDIDATES);
    for (uint32_t i = 0; i < length; i++)
        if (is_gone(m, edges[i])) gather_candidates(m, mender, row, edges[i], &list);
    fill_places(m, mender, m->alpha2, TRIED * (length - list.count), length, &list);
    fill_places(m, mender, 0, CANDIDATES, length, &list);
    memcpy(edges, list.rows, list.count * sizeof *edges);
    for (uint32_t i = list.count; i < degree; i++) edges[i] = GRAPH_NO_ROW;
    return 0;
}

/* Rows that are gone keep their lists, so that workers read what no worker writes. */
static void mend_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct mending *m = context;
    struct mender *mender = &m->menders[worker];
    for (size_t row = begin; row < end && !mender->failed; row++)
        if (!is_gone(m, (uint32_t)row)) mender->failed = mend_row(m, mender, (uint32_t)row);
}

static struct graph_undo *undo_create(uint32_t degree, unsigned workers, size_t bytes)
{
    struct graph_undo *undo = calloc(1, sizeof *undo);
    if (!undo) return NULL;
    *undo = (struct graph_undo){degree, workers, calloc(workers, sizeof *undo->menders)};
    int failed = !undo->menders;
    for (unsigned i = 0; i < workers && !failed; i++) {
        struct mender *mender = &undo->menders[i];
        mender->row.query = aligned_alloc(64, bytes);
        mender->other.query = aligned_alloc(64, bytes);
        mender->candidates.keys = malloc(CANDIDATES * sizeof *mender->candidates.keys);
        failed = !mender->row.query || !mender->other.query || !mender->candidates.keys;
    }
    if (!failed) return undo;
    graph_undo(undo, NULL);
    return NULL;
}

void graph_undo(struct graph_undo *undo, uint32_t *edges)
{
    if (!undo) return;
    for (unsigned i = 0; undo->menders && i < undo->workers; i++) {
        struct mender *mender = &undo->menders[i];
        size_t list = undo->degree * sizeof *edges, item = sizeof(uint32_t) + list;
        for (size_t at = 0; at + item <= mender->saved.len; at += item) {
            uint32_t row;
            memcpy(&row, mender->saved.data + at, sizeof row);
            memcpy(edges + (size_t)row * undo->degree, mender->saved.data + at + sizeof row, list);
        }
        buf_release(&mender->saved);
        free(mender->row.query);
        free(mender->other.query);
        free(mender->candidates.keys);
    }
    free(undo->menders);
    free(undo);
}

static enum vdb_status mend(struct mending *m, unsigned workers, struct vdb_error *err)
{
    uint64_t *rise = NULL;
    enum vdb_status status = VDB_OK;
    if (m->space.kind == SPACE_PRODUCT) {
        rise = malloc(m->graph->rows * sizeof *rise);
        if (rise)
            graph_rise(m->space.codes, workers, rise, &m->space.shift);
        else
            status = error_no_memory(err);
        m->space.rise = rise;
    }
    if (!status) par_for(workers, m->graph->rows, CHUNK, mend_job, m);
    free(rise);
    for (unsigned i = 0; i < workers && !status; i++)
        if (m->menders[i].failed) status = error_no_memory(err);
    return status;
}

enum vdb_status graph_without(const struct codes *codes, const struct kernels *kernels,
                              const struct graph *graph, uint32_t *edges, const uint64_t *gone,
                              uint32_t alpha_milli, unsigned threads, struct graph_undo **undo,
                              struct vdb_error *err)
{
    unsigned workers = par_threads(threads);
    *undo = undo_create(graph->degree, workers, space_probe_bytes(codes));
    if (!*undo) return error_no_memory(err);
    struct mending m = {
        .graph = graph,
        .edges = edges,
        .gone = gone,
        .alpha2 = (uint64_t)alpha_milli * alpha_milli,
        .menders = (*undo)->menders,
    };
    space_init(&m.space, codes, kernels, space_of_rows(codes));
    enum vdb_status status = mend(&m, workers, err);
    if (status) {
        graph_undo(*undo, edges);
        *undo = NULL;
    }
    return status;
}
