/* search.c: the k nearest rows of a snapshot.
 *
 *     query -> each part with an index: part_search.h
 *           -> flat parts and tail: exact distances of every row
 *           -> one list of the k best
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/options.h"
#include "base/par.h"
#include "search/scan.h"
#include "search/searcher.h"
#include "search/team.h"

/* ---- chunks of queries --------------------------------------------------------------------- */

/* Each by the searcher alone or, if it is one and there is a team, by that. */
static enum vdb_status search_parts(struct searcher *s, struct team *team, size_t count,
                                    struct vdb_error *err)
{
    const struct generation *g = s->by_index.s->generation;
    enum vdb_status status = VDB_OK;
    if (team && count == 1) return team_search(team, s, &s->queries[0], err);
    for (uint32_t i = 0; i < g->manifest.part_count && !status; i++)
        status = searcher_part(s, &g->parts[i], s->queries, count, err);
    return status;
}

static void give(const struct searcher *s, const struct query *query, struct vdb_hit *hits,
                 uint32_t *found)
{
    const struct vdb_search_options *options = s->by_index.options;
    uint32_t n = 0;
    for (; n < query->top.count; n++) {
        double distance = query_distance(s->by_index.s, query->top.items[n].key);
        if (options->use_radius && distance > options->radius) break;
        hits[n] = (struct vdb_hit){query->top.items[n].row, distance};
    }
    *found = n;
}

/* Searches queries [first, first + count) of a batch; *bad is the one at fault on an error. */
static enum vdb_status search_chunk(struct searcher *s, struct team *team, const float *queries,
                                    size_t first, size_t count, struct vdb_hit *hits,
                                    uint32_t *found, size_t *bad, struct vdb_error *err)
{
    const struct vdb_snapshot *snapshot = s->by_index.s;
    const struct vdb_search_options *options = s->by_index.options;
    uint32_t dim = snapshot->generation->manifest.dim;
    for (size_t q = 0; q < count; q++) {
        *bad = first + q;
        enum vdb_status status =
            query_begin(&s->queries[q], snapshot, queries + (first + q) * dim, first + q, err);
        if (status) return status;
    }
    *bad = first;
    enum vdb_status status = search_parts(s, team, count, err);
    if (status) return status;
    bool sure = options->exact || options->recall >= 1 ||
                snapshot->generation->manifest.index == VDB_INDEX_FLAT;
    scan_tail(snapshot, options->include_deleted, sure, s->queries, count);
    for (size_t q = 0; q < count; q++)
        give(s, &s->queries[q], hits + (first + q) * options->k, &found[first + q]);
    return VDB_OK;
}

/* ---- batches ------------------------------------------------------------------------------- */

struct batch {
    struct searcher *searchers; /* one a worker */
    struct team *team;          /* of a batch of one query, or NULL */
    const float *queries;
    struct vdb_hit *hits;
    uint32_t *found;
    pthread_mutex_t lock; /* guards the three below */
    size_t failed_at;     /* the first query that failed: it is the one to be told of */
    enum vdb_status status;
    struct vdb_error error;
};

static void batch_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct batch *b = context;
    struct vdb_error err;
    size_t bad;
    enum vdb_status status = search_chunk(&b->searchers[worker], b->team, b->queries, begin,
                                          end - begin, b->hits, b->found, &bad, &err);
    if (!status) return;
    pthread_mutex_lock(&b->lock);
    if (!b->status || bad < b->failed_at) {
        b->failed_at = bad;
        b->status = status;
        b->error = err;
    }
    pthread_mutex_unlock(&b->lock);
}

static enum vdb_status search_batch(const struct vdb_snapshot *snapshot, const float *queries,
                                    size_t count, const struct vdb_search_options *options,
                                    struct vdb_hit *hits, uint32_t *found, struct vdb_error *err)
{
    unsigned all = options->threads ? options->threads : snapshot->threads, threads = all;
    size_t chunks = (count + SEARCHER_QUERIES - 1) / SEARCHER_QUERIES;
    if (threads > chunks) threads = (unsigned)chunks;
    struct batch b = {.queries = queries, .hits = hits, .found = found};
    b.searchers = calloc(threads, sizeof *b.searchers);
    if (!b.searchers) return error_no_memory(err);
    enum vdb_status status = VDB_OK;
    for (unsigned i = 0; i < threads && !status; i++)
        status = searcher_init(&b.searchers[i], snapshot, options, count, err);
    if (!status && count == 1)
        status = team_create(snapshot, options, all, TEAM_STARTS, &b.team, err);
    if (!status) {
        pthread_mutex_init(&b.lock, NULL);
        par_for(threads, count, SEARCHER_QUERIES, batch_job, &b);
        pthread_mutex_destroy(&b.lock);
        status = b.status;
        if (status && err) *err = b.error;
    }
    team_free(b.team);
    for (unsigned i = 0; i < threads; i++) searcher_release(&b.searchers[i]);
    free(b.searchers);
    return status;
}

static enum vdb_status take_options(const struct vdb_search_options *options,
                                    struct vdb_search_options *chosen, struct vdb_error *err)
{
    *chosen = (struct vdb_search_options)VDB_SEARCH_OPTIONS_INIT;
    enum vdb_status status = options_take(chosen, sizeof *chosen, options, err);
    if (status) return status;
    if (chosen->k == 0) return error_set(err, VDB_INVALID, "k is 0, expected at least 1");
    if (chosen->use_radius && isnan(chosen->radius))
        return error_set(err, VDB_INVALID, "radius is not a number");
    if (!(chosen->recall >= 0 && chosen->recall <= 1))
        return error_set(err, VDB_INVALID, "recall is %g, expected above 0 to 1", chosen->recall);
    return VDB_OK;
}

enum vdb_status vdb_search(const struct vdb_snapshot *snapshot, const float *queries, size_t count,
                           const struct vdb_search_options *options, struct vdb_hit *hits,
                           uint32_t *found, struct vdb_error *err)
{
    struct vdb_search_options chosen;
    enum vdb_status status = take_options(options, &chosen, err);
    if (status || count == 0) return status;
    return search_batch(snapshot, queries, count, &chosen, hits, found, err);
}

/* ---- one query after another --------------------------------------------------------------- */

struct vdb_searcher {
    struct vdb_search_options options;
    struct vdb_snapshot *snapshot;
    struct searcher one;
    struct team *team; /* NULL: one thread does */
};

enum vdb_status vdb_searcher_open(const struct vdb_snapshot *snapshot,
                                  const struct vdb_search_options *options,
                                  struct vdb_searcher **searcher, struct vdb_error *err)
{
    struct vdb_searcher *made = calloc(1, sizeof *made);
    if (!made) return error_no_memory(err);
    enum vdb_status status = take_options(options, &made->options, err);
    if (!status) {
        made->snapshot = snapshot_ref((struct vdb_snapshot *)(uintptr_t)snapshot);
        status = searcher_init(&made->one, snapshot, &made->options, 1, err);
        if (!status)
            status = team_create(snapshot, &made->options, made->options.threads, TEAM_WAKES,
                                 &made->team, err);
        if (!status && made->team) status = team_warm(made->team, &made->one, err);
    }
    if (status)
        vdb_searcher_close(made);
    else
        *searcher = made;
    return status;
}

enum vdb_status vdb_searcher_search(struct vdb_searcher *searcher, const float *query,
                                    struct vdb_hit *hits, uint32_t *found, struct vdb_error *err)
{
    size_t bad;
    return search_chunk(&searcher->one, searcher->team, query, 0, 1, hits, found, &bad, err);
}

void vdb_searcher_close(struct vdb_searcher *searcher)
{
    if (!searcher) return;
    team_free(searcher->team);
    searcher_release(&searcher->one);
    snapshot_unref(searcher->snapshot);
    free(searcher);
}
