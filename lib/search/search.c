/* search.c: the k nearest rows of a snapshot.
 *
 *     query -> each graph part: walk on codes -> candidates -> exact distances
 *           -> flat parts and tail: exact distances of every row
 *           -> one list of the k best
 *
 * A walk orders by codes; what it hands over is measured on the stored vectors, nearest estimates
 * first, until k have been and the next one's is too far for its row to be among the best. Deleted
 * rows are walked through and dropped then; effort grows with their share, and where still too few
 * are left it is doubled. SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/options.h"
#include "base/par.h"
#include "index/graph.h"
#include "index/margin.h"
#include "search/query.h"
#include "search/scan.h"

#define RERANK_ERRORS 2.5 /* an estimate is rarely off by more than so many times its error */
#define FETCH_AHEAD   4
#define FETCH_MAX     4096 /* bytes of a vector; what is behind them follows by itself */
#define CHUNK         32   /* queries that a thread takes at a time */

struct searcher { /* one thread's */
    const struct vdb_snapshot *s;
    const struct vdb_search_options *options;
    uint32_t k;
    struct walk *walk;
    struct query queries[CHUNK];
};

/* ---- walks --------------------------------------------------------------------------------- */

static bool wanted(const struct searcher *s, uint32_t row)
{
    return s->options->include_deleted || !liveness_deleted(&s->s->dead, row);
}

static bool enough_wanted(const struct searcher *s, const struct part *part,
                          const struct candidate *candidates, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && n < s->k; i++)
        n += wanted(s, part->row_begin + candidates[i].row);
    return n >= s->k;
}

/* Whether a row at that distance of codes may still be nearer than the k-th best, as estimates
 * go. */
static bool may_be_nearer(const struct searcher *s, const struct part *part, uint32_t distance,
                          const struct query *query)
{
    double estimate = walk_estimate(s->walk, distance) - (double)part->codes.bias;
    return estimate - RERANK_ERRORS * (double)part->codes.error <= topk_worst(&query->top);
}

/* Forced inline: gcc 12 drops calls of a function that only prefetches. */
__attribute__((always_inline)) static inline void fetch_vector(const struct part *part,
                                                               uint32_t row)
{
    const uint8_t *vector = part->vectors + row * part->stride;
    size_t bytes = part->stride < FETCH_MAX ? part->stride : FETCH_MAX;
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(vector + i, 0, 2);
}

/* Measures the nearest candidates that are wanted. Their vectors lie anywhere, so some are fetched
 * while the ones before are measured. */
static void rerank(struct searcher *s, const struct part *part, const struct candidate *candidates,
                   uint32_t count, struct query *query)
{
    for (uint32_t i = 0; i < count && i < FETCH_AHEAD; i++) fetch_vector(part, candidates[i].row);
    for (uint32_t i = 0, taken = 0; i < count; i++) {
        uint32_t local = candidates[i].row;
        if (taken >= s->k && !may_be_nearer(s, part, candidates[i].distance, query)) break;
        if (i + FETCH_AHEAD < count) fetch_vector(part, candidates[i + FETCH_AHEAD].row);
        if (!wanted(s, part->row_begin + local)) continue;
        query_offer(query, s->s, part->row_begin + local, part->vectors + local * part->stride);
        taken++;
    }
}

/* Where codes are the vectors and the query is on their grid, the walk has measured already. */
static void take_measured(struct searcher *s, const struct part *part,
                          const struct candidate *candidates, uint32_t count, struct query *query)
{
    for (uint32_t i = 0; i < count && (double)candidates[i].distance <= topk_worst(&query->top);
         i++)
        if (wanted(s, part->row_begin + candidates[i].row))
            topk_offer(&query->top, part->row_begin + candidates[i].row, candidates[i].distance);
}

/* A number for live rows, as it must be for all rows where only some are live. */
static uint32_t for_all_rows(const struct searcher *s, uint64_t n, uint32_t rows)
{
    if (!s->options->include_deleted && s->s->live_count)
        n = (n * s->s->row_count + s->s->live_count - 1) / s->s->live_count;
    return n < rows ? (uint32_t)n : rows;
}

static uint32_t effort_for(const struct searcher *s, const struct part *part)
{
    return s->options->ef ? s->options->ef : part_effort(part, s->k, s->options->recall);
}

static enum vdb_status walk_part(struct searcher *s, const struct part *part, struct query *query,
                                 struct vdb_error *err)
{
    bool cosine = s->s->generation->manifest.metric == VDB_METRIC_COSINE;
    enum vdb_status status = walk_prepare(s->walk, &part->codes, s->s->kernels,
                                          cosine ? query->unit : query->values, err);
    bool measured = part->codes.code == part->vectors && walk_is_exact(s->walk);
    uint32_t rows = part->row_end - part->row_begin, effort = effort_for(s, part);
    uint32_t least =
        measured ? margin_candidates_exact(s->k, effort) : margin_candidates(s->k, effort);
    uint32_t ef = for_all_rows(s, effort, rows);
    uint32_t keep = for_all_rows(s, least > effort ? least : effort, rows);
    while (!status) {
        const struct candidate *candidates;
        uint32_t count;
        status = walk_graph(s->walk, &part->graph, ef, keep, &candidates, &count, err);
        if (status) break;
        if (enough_wanted(s, part, candidates, count) || count >= rows) {
            if (measured)
                take_measured(s, part, candidates, count, query);
            else
                rerank(s, part, candidates, count, query);
            break;
        }
        if (ef >= keep && (count < keep || keep >= rows)) { /* all is met that can be reached */
            scan_part(s->s, part, s->options->include_deleted, query, 1);
            break;
        }
        keep = keep < rows / 2 ? 2 * keep : rows;
        ef = keep;
    }
    return status;
}

/* ---- chunks of queries --------------------------------------------------------------------- */

static enum vdb_status search_parts(struct searcher *s, size_t count, struct vdb_error *err)
{
    const struct generation *g = s->s->generation;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < g->manifest.part_count && !status; i++) {
        const struct part *part = &g->parts[i];
        if (!part->is_graph || s->options->exact)
            scan_part(s->s, part, s->options->include_deleted, s->queries, count);
        else
            for (size_t q = 0; q < count && !status; q++)
                status = walk_part(s, part, &s->queries[q], err);
    }
    return status;
}

static void give(const struct searcher *s, const struct query *query, struct vdb_hit *hits,
                 uint32_t *found)
{
    uint32_t n = 0;
    for (; n < query->top.count; n++) {
        double distance = query_distance(s->s, query->top.items[n].key);
        if (s->options->use_radius && distance > s->options->radius) break;
        hits[n] = (struct vdb_hit){query->top.items[n].row, distance};
    }
    *found = n;
}

/* Searches queries [first, first + count) of a batch; *bad is the one at fault on an error. */
static enum vdb_status search_chunk(struct searcher *s, const float *queries, size_t first,
                                    size_t count, struct vdb_hit *hits, uint32_t *found,
                                    size_t *bad, struct vdb_error *err)
{
    uint32_t dim = s->s->generation->manifest.dim;
    for (size_t q = 0; q < count; q++) {
        *bad = first + q;
        enum vdb_status status =
            query_begin(&s->queries[q], s->s, queries + (first + q) * dim, first + q, err);
        if (status) return status;
    }
    *bad = first;
    enum vdb_status status = search_parts(s, count, err);
    if (status) return status;
    scan_tail(s->s, s->options->include_deleted, s->queries, count);
    for (size_t q = 0; q < count; q++)
        give(s, &s->queries[q], hits + (first + q) * s->options->k, &found[first + q]);
    return VDB_OK;
}

static enum vdb_status searcher_init(struct searcher *s, const struct vdb_snapshot *snapshot,
                                     const struct vdb_search_options *options, size_t queries,
                                     struct vdb_error *err)
{
    uint32_t most = snapshot->row_count ? snapshot->row_count : 1;
    *s = (struct searcher){
        .s = snapshot,
        .options = options,
        .k = options->k < most ? options->k : most, /* memory follows the rows, not the wish */
        .walk = walk_create(),
    };
    enum vdb_status status = s->walk ? VDB_OK : error_no_memory(err);
    for (size_t q = 0; q < queries && q < CHUNK && !status; q++)
        status = query_init(&s->queries[q], snapshot->generation->manifest.dim, s->k, err);
    return status;
}

static void searcher_release(struct searcher *s)
{
    walk_free(s->walk);
    for (size_t q = 0; q < CHUNK; q++) query_release(&s->queries[q]);
}

/* ---- batches ------------------------------------------------------------------------------- */

struct batch {
    struct searcher *searchers; /* one a worker */
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
    enum vdb_status status = search_chunk(&b->searchers[worker], b->queries, begin, end - begin,
                                          b->hits, b->found, &bad, &err);
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
    unsigned threads = options->threads ? options->threads : snapshot->threads;
    size_t chunks = (count + CHUNK - 1) / CHUNK;
    if (threads > chunks) threads = (unsigned)chunks;
    struct batch b = {.queries = queries, .hits = hits, .found = found};
    b.searchers = calloc(threads, sizeof *b.searchers);
    if (!b.searchers) return error_no_memory(err);
    enum vdb_status status = VDB_OK;
    for (unsigned i = 0; i < threads && !status; i++)
        status = searcher_init(&b.searchers[i], snapshot, options, count, err);
    if (!status) {
        pthread_mutex_init(&b.lock, NULL);
        par_for(threads, count, CHUNK, batch_job, &b);
        pthread_mutex_destroy(&b.lock);
        status = b.status;
        if (status && err) *err = b.error;
    }
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
    return search_chunk(&searcher->one, query, 0, 1, hits, found, &bad, err);
}

void vdb_searcher_close(struct vdb_searcher *searcher)
{
    if (!searcher) return;
    searcher_release(&searcher->one);
    snapshot_unref(searcher->snapshot);
    free(searcher);
}
