/* part_search.c: candidates from a part's index, and which of them are the nearest rows.
 *
 * Walks and probes order by codes; what they hand over is measured on the stored vectors, nearest
 * estimates first, until k have been and the next one's is too far for its row to be among the
 * best. Deleted rows are dropped then; effort grows with their share, and where still too few are
 * left it is doubled.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/part_search.h"

#include "base/error.h"
#include "index/cost.h"
#include "index/margin.h"
#include "search/scan.h"

#define RERANK_ERRORS 2.5 /* an estimate is rarely off by more than so many times its error */
#define FETCH_AHEAD   4
#define FETCH_MAX     4096 /* bytes of a vector; what is behind them follows by itself */

/* ---- candidates ---------------------------------------------------------------------------- */

static bool wanted(const struct part_search *s, uint32_t row)
{
    return snapshot_sees(s->s, row, s->options->include_deleted);
}

static bool enough_wanted(const struct part_search *s, const struct part *part,
                          const struct candidate *candidates, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && n < s->k; i++)
        n += wanted(s, part->row_begin + candidates[i].row);
    return n >= s->k;
}

/* Whether a row at that distance of codes may still be nearer than the k-th best, as estimates
 * go. */
static bool may_be_nearer(const struct part_search *s, const struct part *part, uint32_t distance,
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
static void rerank(struct part_search *s, const struct part *part,
                   const struct candidate *candidates, uint32_t count, struct query *query)
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
static void take_measured(struct part_search *s, const struct part *part,
                          const struct candidate *candidates, uint32_t count, struct query *query)
{
    for (uint32_t i = 0; i < count && (double)candidates[i].distance <= topk_worst(&query->top);
         i++)
        if (wanted(s, part->row_begin + candidates[i].row))
            topk_offer(&query->top, part->row_begin + candidates[i].row, candidates[i].distance);
}

static uint64_t in_proportion(uint64_t n, uint32_t all, uint32_t some)
{
    return (n * all + some - 1) / some;
}

/* A number for live rows, as it must be for all rows where only some are live, and of the part's
 * only some were there yet. */
static uint32_t for_all_rows(const struct part_search *s, const struct part *part, uint32_t n,
                             uint32_t most)
{
    uint64_t all = in_proportion(n, part->row_end - part->row_begin, scan_part_rows(s->s, part));
    if (all > UINT32_MAX) all = UINT32_MAX;
    if (!s->options->include_deleted && s->s->live_count)
        all = in_proportion(all, s->s->row_count, s->s->live_count);
    return all < most ? (uint32_t)all : most;
}

/* ---- parts --------------------------------------------------------------------------------- */

struct effort { /* of one search in a part */
    uint32_t effort;
    uint32_t keep;      /* candidates to measure, at least so many */
    uint32_t survivors; /* of an inverted file */
};

static const float *values_of(const struct part_search *s, const struct query *query)
{
    bool cosine = s->s->generation->manifest.metric == VDB_METRIC_COSINE;
    return cosine ? query->unit : query->values;
}

/* Doubles what was too little; false where nothing is left to double. */
static bool more_of_graph(struct effort *e, uint32_t count, uint32_t rows)
{
    bool all = e->keep >= rows || count < e->keep; /* is met that can be reached */
    if (e->effort >= e->keep && all) return false;
    e->keep = e->keep < rows / 2 ? 2 * e->keep : rows;
    e->effort = e->keep;
    return true;
}

static bool more_of_ivf(struct effort *e, const struct ivf *ivf, uint32_t rows)
{
    uint32_t lists = ivf->view.h.list_count, slots = ivf->view.h.slot_count;
    if (e->effort >= lists && e->survivors >= slots && e->keep >= rows) return false;
    e->effort = e->effort < lists / 2 ? 2 * e->effort : lists;
    e->survivors = e->survivors < slots / 2 ? 2 * e->survivors : slots;
    e->keep = e->keep < rows / 2 ? 2 * e->keep : rows;
    return true;
}

static struct effort first_effort(const struct part_search *s, const struct part *part,
                                  bool measured)
{
    uint32_t rows = part->row_end - part->row_begin, effort = s->options->ef;
    if (effort == 0) effort = part_effort(part, s->k, s->options->recall);
    bool ivf = part->entry->kind == DISK_PART_IVF;
    uint32_t walked = ivf ? 0 : effort;
    uint32_t least =
        measured ? margin_candidates_exact(s->k, walked) : margin_candidates(s->k, walked);
    struct effort e = {.keep = for_all_rows(s, part, least > walked ? least : walked, rows)};
    if (ivf) {
        e.effort = effort;
        e.survivors = for_all_rows(s, part, ivf_survivors(&part->ivf, s->k, effort), UINT32_MAX);
    } else {
        e.effort = for_all_rows(s, part, effort, rows);
    }
    return e;
}

/* Whether comparing every row is no more work than what the index would do for this recall. */
static bool scan_is_cheaper(const struct part_search *s, const struct part *part)
{
    uint32_t rows = scan_part_rows(s->s, part);
    uint64_t cost = s->options->ef ? 0 : part_cost(part, s->k, s->options->recall);
    if (cost) cost = in_proportion(cost, part->row_end - part->row_begin, rows);
    return cost && cost_scan(rows, part->stride) <= cost;
}

enum vdb_status part_search(struct part_search *s, const struct part *part, struct query *query,
                            struct vdb_error *err)
{
    if (scan_part_rows(s->s, part) == 0) return VDB_OK;
    if (scan_is_cheaper(s, part)) {
        scan_part(s->s, part, s->options->include_deleted, query, 1);
        return VDB_OK;
    }
    const float *values = values_of(s, query);
    bool ivf = part->entry->kind == DISK_PART_IVF;
    uint32_t rows = part->row_end - part->row_begin;
    enum vdb_status status = walk_prepare(s->walk, &part->codes, s->s->kernels, values, err);
    bool measured = part->codes.code == part->vectors && walk_is_exact(s->walk);
    struct effort e = first_effort(s, part, measured);
    while (!status) {
        const struct candidate *candidates;
        uint32_t count;
        status =
            ivf ? ivf_search(s->scratch, s->walk, &part->ivf, values, e.effort, e.survivors, e.keep,
                             &candidates, &count, err)
                : walk_graph(s->walk, &part->graph, e.effort, e.keep, &candidates, &count, err);
        if (status) break;
        if (enough_wanted(s, part, candidates, count) || count >= rows) {
            if (measured)
                take_measured(s, part, candidates, count, query);
            else
                rerank(s, part, candidates, count, query);
            break;
        }
        if (ivf ? more_of_ivf(&e, &part->ivf, rows) : more_of_graph(&e, count, rows)) continue;
        scan_part(s->s, part, s->options->include_deleted, query, 1);
        break;
    }
    return status;
}

enum vdb_status part_search_init(struct part_search *s, const struct vdb_snapshot *snapshot,
                                 const struct vdb_search_options *options, struct vdb_error *err)
{
    uint32_t most = snapshot->row_count ? snapshot->row_count : 1;
    *s = (struct part_search){
        .s = snapshot,
        .options = options,
        .k = options->k < most ? options->k : most, /* memory follows the rows, not the wish */
        .walk = walk_create(),
        .scratch = ivf_scratch_create(),
    };
    return s->walk && s->scratch ? VDB_OK : error_no_memory(err);
}

void part_search_release(struct part_search *s)
{
    walk_free(s->walk);
    ivf_scratch_free(s->scratch);
}
