/* part_search.c: candidates from a part's index, and which of them are the nearest rows.
 *
 * Walks and probes order by codes; what they hand over is measured on the stored vectors, nearest
 * estimates first, until k have been and the next one's is too far for its row to be among the
 * best. Rows that the snapshot does not see are dropped then, be they deleted or newer. A walk goes
 * on until it has met as many that are seen as it would without the others, within bounds that
 * follow the share of the part's rows that are; a probe's effort grows with that share. Where
 * still too few are left the bounds are doubled, and where few rows of a part are seen at all, they
 * are scanned.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/part_search.h"

#include "base/error.h"
#include "index/cost.h"
#include "index/listed.h"
#include "index/margin.h"
#include "search/scan.h"

#define RECALL_BY_CODES 0.995 /* what a scan of codes finds at least */
#define FETCH_AHEAD     4
#define ROOM_SHARE      4 /* one more candidate in so many, as rows that are seen do not lie evenly */
#define MET             8    /* rows that a step of a walk measures, about */
#define SCAN_TIMES      2    /* as much costs a row that a walk measures as one that is scanned */
#define FETCH_MAX       4096 /* bytes of a vector; what is behind them follows by itself */

/* ---- candidates ---------------------------------------------------------------------------- */

static bool wanted(const struct part_search *s, uint32_t row)
{
    return snapshot_sees(s->s, row, s->options->include_deleted);
}

/* How many rows of the part are wanted. */
static uint32_t wanted_in(const struct part_search *s, const struct part *part)
{
    if (!s->options->include_deleted) return snapshot_live_in(s->s, part);
    uint32_t end = part->row_end < s->s->row_count ? part->row_end : s->s->row_count;
    return end > part->row_begin ? end - part->row_begin : 0;
}

static bool enough_wanted(const struct part_search *s, const struct part *part,
                          const struct candidate *candidates, uint32_t count, uint32_t enough)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && n < enough; i++)
        n += wanted(s, part->row_begin + candidates[i].row);
    return n >= enough;
}

/* Whether a row at that distance of codes may still be nearer than the k-th best, as estimates
 * go. */
static bool may_be_nearer(const struct part_search *s, const struct part *part, uint32_t distance,
                          const struct query *query)
{
    return walk_estimate(s->walk, distance) <= margin_reach(&part->codes, topk_worst(&query->top));
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

/* ---- parts --------------------------------------------------------------------------------- */

struct effort {          /* of one search in a part */
    uint32_t rows, seen; /* of the part, and how many of them are wanted */
    uint32_t enough;     /* candidates that are wanted: with fewer, it goes on */
    uint32_t effort;     /* of a walk that not all rows count for: as if the others were not */
    uint32_t least;      /* candidates to measure, at least so many */
    uint32_t keep;       /* and room for so many */
    uint32_t survivors;  /* of an inverted file, */
    uint32_t near;       /* and of how many rows it is to find what may be among the nearest */
    uint64_t budget;     /* rows that walks may measure until a scan of those seen is less work */
};

static const float *values_of(const struct part_search *s, const struct query *query)
{
    bool cosine = s->s->generation->manifest.metric == VDB_METRIC_COSINE;
    return cosine ? query->unit : query->values;
}

/* A number for wanted rows, as it must be for all rows where only some are wanted. */
static uint32_t for_all_rows(const struct effort *e, uint64_t n, uint32_t most)
{
    n = (n * e->rows + e->seen - 1) / e->seen;
    return n < most ? (uint32_t)n : most;
}

/* Doubles what was too little; false where nothing is left to double. */
static bool more_of_graph(struct effort *e, uint32_t count)
{
    bool all = e->keep >= e->rows || count < e->least; /* is met that can be reached */
    if (e->effort >= e->keep && all) return false;
    e->least = e->keep = e->keep < e->rows / 2 ? 2 * e->keep : e->rows;
    if (all || e->seen == e->rows) e->effort = e->keep;
    return true;
}

static bool more_of_ivf(struct effort *e, const struct ivf *ivf)
{
    uint32_t lists = ivf->view.h.list_count, slots = ivf->view.h.slot_count;
    if (e->effort >= lists && e->survivors >= slots && e->keep >= e->rows) return false;
    e->effort = e->effort < lists / 2 ? 2 * e->effort : lists;
    e->survivors = e->survivors < slots / 2 ? 2 * e->survivors : slots;
    e->near = e->near < e->rows / 2 ? 2 * e->near : e->rows;
    e->keep = e->keep < e->rows / 2 ? 2 * e->keep : e->rows;
    return true;
}

/* Where rows that are not seen lie together, there may be less of the others between them than
 * their share tells: half as many as asked for are enough. */
static void first_effort(const struct part_search *s, const struct part *part, bool measured,
                         struct effort *e)
{
    uint32_t effort = e->effort;
    bool ivf = part->entry->kind == DISK_PART_IVF;
    uint32_t sought = ivf ? ivf_survivors(&part->ivf, s->k, effort) : effort;
    uint32_t least =
        measured ? margin_candidates_exact(s->k, sought) : margin_candidates(s->k, sought);
    uint64_t keep = ivf || least > sought ? least : sought;
    e->enough = s->k;
    if (ivf) {
        e->survivors = for_all_rows(e, sought, UINT32_MAX);
        e->near = for_all_rows(e, s->k, e->rows);
    } else if (e->seen < e->rows) {
        least += least / ROOM_SHARE;
        keep += keep / ROOM_SHARE;
        if (e->enough < effort / 2) e->enough = effort / 2;
    }
    e->keep = for_all_rows(e, keep, e->rows);
    e->least = for_all_rows(e, least, e->rows);
    if (e->enough > e->seen) e->enough = e->seen;
    e->budget = e->seen / SCAN_TIMES;
}

struct seen { /* the rows of a part that are live, one after another */
    const struct part_search *s;
    const struct part *part;
    uint32_t row;
};

static uint32_t next_seen(void *context, uint32_t rows[LISTED_ROOM])
{
    struct seen *seen = context;
    const struct part *part = seen->part;
    uint32_t n = 0, row = seen->row;
    for (; n < LISTED_ROOM; n++) {
        row = liveness_next_live(&seen->s->s->dead, row, part->row_end);
        if (row == part->row_end) break;
        rows[n] = row++ - part->row_begin;
    }
    seen->row = row;
    return n;
}

/* Where few rows are seen, by codes first, if they are shorter than the vectors. */
static bool codes_are_shorter(const struct part_search *s, const struct part *part,
                              const struct effort *e)
{
    return part->entry->kind == DISK_PART_GRAPH && !s->options->include_deleted &&
           s->options->recall < RECALL_BY_CODES && e->seen < e->rows &&
           cost_list(e->seen, part->codes.bytes) < cost_list(e->seen, part->stride);
}

/* Whether comparing every row that is wanted is no more work than what the index would do for this
 * recall or effort. */
static bool scan_is_cheaper(const struct part_search *s, const struct part *part,
                            const struct effort *e)
{
    uint64_t cost = s->options->ef ? 0 : part_cost(part, s->k, s->options->recall);
    if (e->seen == e->rows) return cost && cost_scan(e->rows, part->stride) <= cost;
    if (e->seen == 0) return true;
    if (!cost && part->entry->kind == DISK_PART_GRAPH) {
        struct walk_work work = {e->effort, (uint64_t)MET * e->effort};
        cost = cost_walks(&part->codes, &work);
    }
    uint64_t bytes = codes_are_shorter(s, part, e) ? part->codes.bytes : part->stride;
    return cost && cost_list(e->seen, bytes) <= cost * e->rows / e->seen;
}

static enum vdb_status scan_codes(struct part_search *s, const struct part *part,
                                  const struct effort *e, struct query *query,
                                  struct vdb_error *err)
{
    struct seen seen = {s, part, part->row_begin};
    struct listed listed = {next_seen, &seen};
    const struct candidate *candidates;
    uint32_t count;
    enum vdb_status status =
        walk_prepare(s->walk, &part->codes, s->s->kernels, values_of(s, query), err);
    if (!status)
        status = listed_nearest(s->walk, &listed, margin_candidates(s->k, e->effort), &candidates,
                                &count, err);
    if (!status) rerank(s, part, candidates, count, query);
    return status;
}

static void scan(const struct part_search *s, const struct part *part, const struct effort *e,
                 struct query *query)
{
    if (e->seen == e->rows || s->options->include_deleted) {
        scan_part(s->s, part, s->options->include_deleted, query, 1);
        return;
    }
    scan_part_live(s->s, part, query);
}

static enum vdb_status scan_seen(struct part_search *s, const struct part *part,
                                 const struct effort *e, struct query *query, struct vdb_error *err)
{
    if (e->seen && codes_are_shorter(s, part, e)) return scan_codes(s, part, e, query, err);
    scan(s, part, e, query);
    return VDB_OK;
}

struct counted { /* what a walk's filter looks at */
    const struct part_search *s;
    uint32_t row_begin;
};

static bool counts(void *context, uint32_t row)
{
    const struct counted *c = context;
    return wanted(c->s, c->row_begin + row);
}

/* *gave_up: of the rows met few are seen, and to scan all that are is less work than to go on. */
static enum vdb_status search_index(struct part_search *s, const struct part *part,
                                    struct effort *e, const float *values,
                                    const struct candidate **candidates, uint32_t *count,
                                    bool *gave_up, struct vdb_error *err)
{
    *gave_up = false;
    struct ivf_effort effort = {e->effort, e->survivors, e->near, e->keep};
    if (part->entry->kind == DISK_PART_IVF)
        return ivf_search(s->scratch, s->walk, &part->ivf, values, &effort, candidates, count, err);
    struct counted counted = {s, part->row_begin};
    struct walk_filter filter = {counts, &counted, e->keep, e->budget};
    bool all = e->seen == e->rows;
    uint64_t before = walk_work_done(s->walk).measured;
    enum vdb_status status = walk_graph_for(s->walk, &part->graph, s->k, e->effort, e->least,
                                            all ? NULL : &filter, candidates, count, err);
    uint64_t measured = walk_work_done(s->walk).measured - before;
    *gave_up = !all && measured >= e->budget;
    e->budget -= measured < e->budget ? measured : e->budget;
    return status;
}

enum vdb_status part_search(struct part_search *s, const struct part *part, struct query *query,
                            struct vdb_error *err)
{
    struct effort e = {.rows = part->row_end - part->row_begin,
                       .seen = wanted_in(s, part),
                       .effort = s->options->ef};
    if (e.effort == 0) e.effort = part_effort(part, s->k, s->options->recall);
    if (e.effort == 0 || scan_is_cheaper(s, part, &e)) return scan_seen(s, part, &e, query, err);
    const float *values = values_of(s, query);
    enum vdb_status status = walk_prepare(s->walk, &part->codes, s->s->kernels, values, err);
    bool measured = part->codes.code == part->vectors && walk_is_exact(s->walk);
    first_effort(s, part, measured, &e);
    while (!status) {
        const struct candidate *candidates;
        uint32_t count;
        bool gave_up;
        status = search_index(s, part, &e, values, &candidates, &count, &gave_up, err);
        if (status) break;
        if (gave_up) return scan_seen(s, part, &e, query, err);
        if (enough_wanted(s, part, candidates, count, e.enough) || count >= e.rows) {
            if (measured)
                take_measured(s, part, candidates, count, query);
            else
                rerank(s, part, candidates, count, query);
            break;
        }
        bool ivf = part->entry->kind == DISK_PART_IVF;
        if (ivf ? more_of_ivf(&e, &part->ivf) : more_of_graph(&e, count)) continue;
        return scan_seen(s, part, &e, query, err);
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
