/* search.c: the k nearest rows of a snapshot.
 *
 *     query -> each graph part: walk on codes -> candidates -> exact distances
 *           -> flat parts and tail: exact distances of every row
 *           -> one list of the k best
 *
 * A walk orders by codes; what it hands over is measured on the stored vectors, nearest codes
 * first, until k + k / RERANK_SHARE + RERANK_EXTRA have been. Deleted rows
 * are walked through and dropped then; effort grows with their share, and where still too few are
 * left it is doubled.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/graph.h"
#include "store/snapshot.h"
#include "store/topk.h"
#include "vector/vtype.h"

#define EF_DEFAULT   64
#define RERANK_EXTRA 10
#define RERANK_SHARE 2
#define QUERY_CHUNK  16

struct searcher { /* one thread's */
    const struct vdb_snapshot *s;
    const struct manifest *manifest;
    const struct vdb_search_options *options;
    const struct kernels *kernels;
    uint32_t k;
    struct walk *walk;
    struct topk top;
    float *unit;  /* the query divided by its length, for codes under cosine */
    double length; /* of the query, under cosine */
};

/* ---- exact distances ----------------------------------------------------------------------- */

/* What rows are ordered by: the metric's own distance, but for l2 its square. */
static double measure(const struct searcher *s, const uint8_t *vector, const float *query)
{
    enum vdb_type type = s->manifest->type;
    uint32_t dim = s->manifest->dim;
    switch (s->manifest->metric) {
    case VDB_METRIC_L2: return s->kernels->l2sq[type](vector, query, dim);
    case VDB_METRIC_IP: return -s->kernels->dot[type](vector, query, dim);
    case VDB_METRIC_COSINE: break;
    }
    double length = sqrt(s->kernels->sumsq[type](vector, dim)) * s->length;
    double cosine = length > 0 ? s->kernels->dot[type](vector, query, dim) / length : 0;
    return 1 - (cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

static double to_distance(const struct searcher *s, double measured)
{
    return s->manifest->metric == VDB_METRIC_L2 ? sqrt(measured) : measured;
}

static bool wanted(const struct searcher *s, uint32_t row)
{
    return s->options->include_deleted || !liveness_deleted(&s->s->dead, row);
}

static void offer(struct searcher *s, uint32_t row, const uint8_t *vector, const float *query)
{
    double key = measure(s, vector, query);
    topk_offer(&s->top, row, isnan(key) ? INFINITY : key); /* only a damaged file holds NaNs */
}

static void scan(struct searcher *s, const uint8_t *vectors, size_t stride, uint32_t row_begin,
                 uint32_t count, const float *query)
{
    for (uint32_t i = 0; i < count; i++)
        if (wanted(s, row_begin + i)) offer(s, row_begin + i, vectors + i * stride, query);
}

static void scan_tail(struct searcher *s, const float *query)
{
    for (uint32_t i = 0; i < s->s->tail_count; i++) {
        const struct tail_commit *commit = tail_at(&s->s->generation->tail, i);
        scan(s, commit->vectors, commit->log.stride, commit->log.row_base, commit->log.row_count, query);
    }
}

/* ---- walks --------------------------------------------------------------------------------- */

static uint32_t count_wanted(const struct searcher *s, const struct part *part,
                             const struct candidate *candidates, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && n < s->k; i++) n += wanted(s, part->row_begin + candidates[i].row);
    return n;
}

/* Offers the nearest candidates that are wanted. Their vectors lie anywhere, so each is fetched
 * while the one before is measured. */
static void rerank(struct searcher *s, const struct part *part, const struct candidate *candidates,
                   uint32_t count, const float *query)
{
    uint32_t left = s->k + s->k / RERANK_SHARE + RERANK_EXTRA;
    for (uint32_t i = 0; i < count && left > 0; i++) {
        uint32_t local = candidates[i].row;
        if (i + 1 < count) __builtin_prefetch(part->vectors + candidates[i + 1].row * part->stride);
        if (!wanted(s, part->row_begin + local)) continue;
        offer(s, part->row_begin + local, part->vectors + local * part->stride, query);
        left--;
    }
}

static uint32_t rows_of(const struct part *part) { return part->row_end - part->row_begin; }

/* The effort for a part of which a share is deleted, as if the live rows were alone. */
static uint32_t effort(const struct searcher *s, const struct part *part)
{
    uint64_t ef = s->options->ef ? s->options->ef : EF_DEFAULT;
    if (ef < s->k) ef = s->k;
    if (!s->options->include_deleted && s->s->live_count)
        ef = ef * s->s->row_count / s->s->live_count;
    return ef < rows_of(part) ? (uint32_t)ef : rows_of(part);
}

static enum vdb_status walk_part(struct searcher *s, const struct part *part, const float *query,
                                 struct vdb_error *err)
{
    bool cosine = s->manifest->metric == VDB_METRIC_COSINE;
    uint32_t rows = rows_of(part), ef = effort(s, part), count = 0;
    const struct candidate *candidates;
    enum vdb_status status = walk_prepare(s->walk, &part->codes, cosine ? s->unit : query, err);
    while (!status) {
        status = walk_graph(s->walk, &part->graph, &part->codes, s->kernels, ef, &candidates, &count, err);
        if (status) break;
        bool enough = count_wanted(s, part, candidates, count) >= s->k;
        if (enough || (ef >= rows && count >= rows)) {
            rerank(s, part, candidates, count, query);
            break;
        }
        if (count < ef) { /* the walk has met all that it can reach */
            scan(s, part->vectors, part->stride, part->row_begin, rows, query);
            break;
        }
        ef = ef < rows / 2 ? 2 * ef : rows;
    }
    return status;
}

/* ---- queries ------------------------------------------------------------------------------- */

static enum vdb_status check_query(struct searcher *s, const float *query, size_t number,
                                   struct vdb_error *err)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->manifest->dim; i++) {
        if (!isfinite(query[i]))
            return error_set(err, VDB_INVALID, "query %zu: element %u is not a finite number", number, i);
        sum += (double)query[i] * query[i];
    }
    if (s->manifest->metric != VDB_METRIC_COSINE) return VDB_OK;
    if (sum == 0)
        return error_set(err, VDB_INVALID, "query %zu is zero, which has no direction for cosine", number);
    s->length = sqrt(s->kernels->sumsq[VDB_TYPE_F32](query, s->manifest->dim));
    for (uint32_t i = 0; i < s->manifest->dim; i++) s->unit[i] = (float)(query[i] / s->length);
    return VDB_OK;
}

static enum vdb_status search_one(struct searcher *s, const float *query, size_t number,
                                  struct vdb_hit *hits, uint32_t *found, struct vdb_error *err)
{
    enum vdb_status status = check_query(s, query, number, err);
    if (status) return status;
    const struct generation *g = s->s->generation;
    topk_reset(&s->top);
    for (uint32_t i = 0; i < g->manifest.part_count && !status; i++) {
        const struct part *part = &g->parts[i];
        if (part->is_graph && !s->options->exact)
            status = walk_part(s, part, query, err);
        else
            scan(s, part->vectors, part->stride, part->row_begin, rows_of(part), query);
    }
    if (status) return status;
    scan_tail(s, query);
    uint32_t n = 0;
    for (; n < s->top.count; n++) {
        double distance = to_distance(s, s->top.items[n].key);
        if (s->options->use_radius && distance > s->options->radius) break;
        hits[n] = (struct vdb_hit){s->top.items[n].row, distance};
    }
    *found = n;
    return VDB_OK;
}

static enum vdb_status searcher_init(struct searcher *s, const struct vdb_snapshot *snapshot,
                                     const struct vdb_search_options *options, struct vdb_error *err)
{
    const struct manifest *manifest = &snapshot->generation->manifest;
    uint32_t most = snapshot->row_count ? snapshot->row_count : 1;
    *s = (struct searcher){
        .s = snapshot,
        .manifest = manifest,
        .options = options,
        .kernels = snapshot->kernels,
        .k = options->k < most ? options->k : most, /* memory follows the rows, not the wish */
        .walk = walk_create(),
        .unit = malloc(manifest->dim * sizeof(float)),
    };
    if (!s->walk || !s->unit) return error_no_memory(err);
    return topk_init(&s->top, s->k, err);
}

static void searcher_release(struct searcher *s)
{
    walk_free(s->walk);
    free(s->unit);
    topk_release(&s->top);
}

/* ---- batches ------------------------------------------------------------------------------- */

struct batch {
    struct searcher *searchers; /* one a worker */
    const float *queries;
    struct vdb_hit *hits;
    uint32_t *found;
    uint32_t k; /* of the caller: the stride of hits */
    size_t failed_at; /* the first query that failed: it is the one to be told of */
    enum vdb_status status;
    struct vdb_error error;
    pthread_mutex_t lock; /* guards the three above */
};

static void batch_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct batch *b = context;
    struct searcher *s = &b->searchers[worker];
    for (size_t i = begin; i < end; i++) {
        struct vdb_error err;
        enum vdb_status status = search_one(s, b->queries + i * s->manifest->dim, i,
                                            b->hits + i * b->k, &b->found[i], &err);
        if (!status) continue;
        pthread_mutex_lock(&b->lock);
        if (!b->status || i < b->failed_at) {
            b->failed_at = i;
            b->status = status;
            b->error = err;
        }
        pthread_mutex_unlock(&b->lock);
        return;
    }
}

static enum vdb_status search_batch(const struct vdb_snapshot *snapshot, const float *queries,
                                    size_t count, const struct vdb_search_options *options,
                                    struct vdb_hit *hits, uint32_t *found, struct vdb_error *err)
{
    unsigned threads = options->threads ? options->threads : snapshot->threads;
    size_t chunks = (count + QUERY_CHUNK - 1) / QUERY_CHUNK;
    if (threads > chunks) threads = (unsigned)chunks;
    struct batch b = {.queries = queries, .hits = hits, .found = found, .k = options->k};
    b.searchers = calloc(threads, sizeof *b.searchers);
    if (!b.searchers) return error_no_memory(err);
    enum vdb_status status = VDB_OK;
    for (unsigned i = 0; i < threads && !status; i++)
        status = searcher_init(&b.searchers[i], snapshot, options, err);
    if (!status) {
        pthread_mutex_init(&b.lock, NULL);
        par_for(threads, count, QUERY_CHUNK, batch_job, &b);
        pthread_mutex_destroy(&b.lock);
        status = b.status;
        if (status && err) *err = b.error;
    }
    for (unsigned i = 0; i < threads; i++) searcher_release(&b.searchers[i]);
    free(b.searchers);
    return status;
}

enum vdb_status vdb_search(const struct vdb_snapshot *snapshot, const float *queries, size_t count,
                           const struct vdb_search_options *options, struct vdb_hit *hits,
                           uint32_t *found, struct vdb_error *err)
{
    static const struct vdb_search_options defaults = VDB_SEARCH_OPTIONS_INIT;
    if (!options) options = &defaults;
    if (options->k == 0) return error_set(err, VDB_INVALID, "k is 0, expected at least 1");
    if (options->use_radius && isnan(options->radius))
        return error_set(err, VDB_INVALID, "radius is not a number");
    if (count == 0) return VDB_OK;
    return search_batch(snapshot, queries, count, options, hits, found, err);
}
