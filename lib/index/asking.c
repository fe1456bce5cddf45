/* asking.c: searches for a calibrator's queries, in a graph or an inverted file.
 *
 * Each k has walks of its own where it decides when they end, and searches of its own of an
 * inverted file, as it has survivors of its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/asking.h"

#include "base/error.h"
#include "base/par.h"
#include "index/cost.h"
#include "index/margin.h"

#define KS_ROUGH     2 /* of KS_MEASURED, where few queries are asked */
#define CHUNK        8
#define PANEL_EVERY  8  /* one query of so many is asked even where it has found all */
#define QUERIES_NEAR 16 /* queries among the nearest rows, as which they do not count */

/* Expansions over all queries, of some 80 a row that a build makes, and as much again in pruning.
 */
#define EXPANSIONS_A_ROW   8
#define LISTS_AN_EXPANSION 4 /* which cost as much, or of a single list so many survivors */
#define EXPANSIONS_MIN     524288

/* ---- who is asked -------------------------------------------------------------------------- */

void asking_begin(struct calibrator *m, calibrate_rerank_fn rerank, enum calibrate_depth depth)
{
    bool rough = depth == CALIBRATE_ROUGH;
    m->rerank = rerank;
    m->every = rough ? ASKING_ROUGHLY : 1;
    m->k_limit = rough && m->k_count > KS_ROUGH ? KS_ROUGH : m->k_count;
    m->status = VDB_OK;
    m->survivors = 0;
    for (uint32_t a = 0; a < KS; a++) m->open[a] = a < m->k_limit;
    for (uint32_t i = 0; i < m->query_count; i++) {
        struct query *q = &m->queries[i];
        for (uint32_t a = 0; a < KS; a++) {
            q->hits[a] = 0;
            q->cost[a] = q->before[a] = 0;
        }
    }
}

uint32_t asking_ks(const struct calibrator *m, uint32_t query)
{
    uint32_t ks = m->queries[query].ks;
    if (query % m->every != 0) return 0;
    return ks < m->k_limit ? ks : m->k_limit;
}

bool asking_measures(const struct calibrator *m, uint32_t a)
{
    return m->open[a] && !(asking_one_list(m) && m->effort < KS_MEASURED[a]);
}

/* Whether the query has something to find, or is one that tells what all cost. */
static bool is_asked(const struct calibrator *m, uint32_t query, uint32_t a)
{
    return asking_measures(m, a) &&
           (m->queries[query].hits[a] < KS_MEASURED[a] || query % PANEL_EVERY == 0);
}

static bool has_to_find(const struct calibrator *m, uint32_t query)
{
    for (uint32_t a = 0; a < asking_ks(m, query); a++)
        if (is_asked(m, query, a)) return true;
    return false;
}

void asking_gather(struct calibrator *m)
{
    m->active_count = 0;
    for (uint32_t i = 0; i < m->query_count; i++)
        if (has_to_find(m, i)) m->active[m->active_count++] = i;
}

/* ---- searches ------------------------------------------------------------------------------ */

static void note_cost(struct query *q, uint32_t a, uint64_t cost)
{
    q->before[a] = q->cost[a];
    q->cost[a] = (double)cost;
}

/* What a search answered, nearest estimates first. */
struct answer {
    const struct candidate *candidates;
    uint32_t count, keep; /* how many there are, and how many of them count at most */
};

/* What a search spends on stored vectors: those of the k nearest by estimates, and of the others
 * whose rows may be as near as the k-th; none where nothing is left to decide. */
static uint64_t cost_of_deciding(const struct calibrator *m, const struct walk *walk,
                                 const struct codes *codes, uint32_t query, uint32_t a,
                                 const struct answer *answer)
{
    uint32_t k = KS_MEASURED[a], n = 0;
    double reach = m->queries[query].reach[a];
    if (m->rerank(k, m->effort) == k) return 0;
    if (m->rows.metric == VDB_METRIC_COSINE) reach /= 2; /* of unit vectors */
    double most = margin_reach(codes, reach);
    for (uint32_t i = 0; i < answer->count && n < answer->keep; i++) {
        const struct candidate *candidate = &answer->candidates[i];
        if (n >= k && walk_estimate(walk, candidate->distance) > most) break;
        n += !bit_is_set(m->gone, candidate->row);
    }
    return cost_vectors(n, m->rows.stride);
}

/* What searches with this effort for KS_MEASURED[a] would answer, and for those of the next ones
 * for which walks are the same, held against the truth. Returns through *a which is next. */
static enum vdb_status walk_for(const struct calibrator *m, struct scratch *s, uint32_t query,
                                uint32_t *a)
{
    struct query *q = &m->queries[query];
    const struct candidate *candidates;
    uint32_t first = *a, ks = asking_ks(m, query), count, hits[KS] = {0}, keep[KS] = {0}, most = 0;
    uint32_t end = m->effort <= KS_MEASURED[first] ? ks : first + 1;
    for (uint32_t i = first; i < end; i++) {
        keep[i] = m->rerank(KS_MEASURED[i], m->effort);
        if (keep[i] > most) most = keep[i];
        if (keep[i] < m->effort) keep[i] = m->effort;
    }
    struct walk_work before = walk_work_done(s->walk);
    enum vdb_status status = walk_graph_for(s->walk, m->graph, KS_MEASURED[first], m->effort, most,
                                            NULL, &candidates, &count, NULL);
    while (end > first + 1 && count < KS_MEASURED[end - 1]) end--; /* it would go on for more */
    for (uint32_t i = 0; !status && i < count; i++) {
        uint8_t place;
        status = calibrator_place(m, query, candidates[i].row, s->x, &place);
        for (uint32_t j = place > first ? place : first; !status && j < end; j++)
            hits[j] += i < keep[j];
    }
    struct walk_work work = walk_work_done(s->walk);
    work.expanded -= before.expanded;
    work.measured -= before.measured;
    for (; !status && *a < end; ++*a) {
        uint32_t k = KS_MEASURED[*a];
        if (q->hits[*a] < k) q->hits[*a] = hits[*a] < k ? hits[*a] : k;
        struct answer answer = {candidates, count, keep[*a]};
        uint64_t deciding = cost_of_deciding(m, s->walk, m->codes, query, *a, &answer);
        note_cost(q, *a, cost_entry(m->codes, m->graph) + cost_walks(m->codes, &work) + deciding);
    }
    return status;
}

static enum vdb_status walk_query(const struct calibrator *m, struct scratch *s, uint32_t query)
{
    enum vdb_status status = walk_prepare(s->walk, m->codes, m->rows.kernels,
                                          m->values + (size_t)query * m->rows.dim, NULL);
    for (uint32_t a = 0; a < asking_ks(m, query) && !status;) {
        if (is_asked(m, query, a))
            status = walk_for(m, s, query, &a);
        else
            a++;
    }
    return status;
}

/* The same in an inverted file, which has the query among its rows. */
static enum vdb_status probe_for(const struct calibrator *m, struct scratch *s, uint32_t query,
                                 uint32_t a)
{
    uint32_t k = KS_MEASURED[a], count, hits = 0;
    uint32_t survivors = m->survivors ? m->survivors : ivf_survivors(m->ivf, k, m->effort);
    uint32_t kept = m->rerank(k, survivors);
    struct ivf_effort effort = {
        .lists = m->effort,
        .survivors = survivors,
        .k = k + 1, /* the query itself is found too */
        .keep = kept + QUERIES_NEAR,
    };
    const struct candidate *candidates;
    uint32_t left = kept;
    const float *values = m->values + (size_t)query * m->rows.dim;
    struct ivf_work before = ivf_work_done(s->probe), work;
    enum vdb_status status =
        ivf_search(s->probe, s->walk, m->ivf, values, &effort, &candidates, &count, NULL);
    for (uint32_t i = 0; !status && i < count && left > 0; i++) {
        uint8_t place;
        if (bit_is_set(m->gone, candidates[i].row)) continue;
        left--;
        status = calibrator_place(m, query, candidates[i].row, s->x, &place);
        hits += place <= a;
    }
    struct query *q = &m->queries[query];
    if (!status && q->hits[a] < k) q->hits[a] = hits < k ? hits : k;
    work = ivf_work_done(s->probe);
    work.probed -= before.probed;
    work.scanned -= before.scanned;
    work.survived -= before.survived;
    struct answer answer = {candidates, count, kept};
    uint64_t deciding = cost_of_deciding(m, s->walk, &m->ivf->codes, query, a, &answer);
    note_cost(q, a, cost_lists(m->ivf) + cost_probes(m->ivf, &work) + deciding);
    return status;
}

static enum vdb_status probe_query(const struct calibrator *m, struct scratch *s, uint32_t query)
{
    enum vdb_status status = walk_prepare(s->walk, &m->ivf->codes, m->rows.kernels,
                                          m->values + (size_t)query * m->rows.dim, NULL);
    for (uint32_t a = 0; a < asking_ks(m, query) && !status; a++)
        if (is_asked(m, query, a)) status = probe_for(m, s, query, a);
    return status;
}

static void search_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct calibrator *m = context;
    struct scratch *s = &m->scratch[worker];
    enum vdb_status status = VDB_OK;
    for (size_t i = begin; i < end && !status; i++)
        status = m->ivf ? probe_query(m, s, m->active[i]) : walk_query(m, s, m->active[i]);
    if (status) calibrator_fail(m, status);
}

void asking_search(struct calibrator *m)
{
    par_for(m->workers, m->active_count, CHUNK, search_job, m);
}

void asking_only(struct calibrator *m, uint32_t a, uint32_t effort)
{
    m->effort = effort;
    for (uint32_t i = 0; i < KS; i++) m->open[i] = i == a;
    asking_gather(m);
    asking_search(m);
}

enum vdb_status asking_end(const struct calibrator *m, struct vdb_error *err)
{
    return m->status == VDB_NO_MEMORY ? error_no_memory(err) : m->status;
}

/* ---- what they find, and what it costs ----------------------------------------------------- */

uint64_t asking_hits(struct calibrator *m, uint32_t a, uint32_t effort, uint32_t survivors)
{
    uint64_t hits = 0;
    m->survivors = survivors;
    for (uint32_t i = 0; i < m->query_count; i++) m->queries[i].hits[a] = 0;
    asking_only(m, a, effort);
    for (uint32_t i = 0; i < m->query_count; i++) hits += m->queries[i].hits[a];
    return hits;
}

uint64_t asking_wanted(const struct calibrator *m, uint32_t a, double recall)
{
    uint64_t queries = 0;
    for (uint32_t i = 0; i < m->query_count; i++) queries += asking_ks(m, i) > a;
    return (uint64_t)(recall * (double)(queries * KS_MEASURED[a]));
}

double asking_share(const struct calibrator *m, uint32_t a, uint64_t hits)
{
    uint64_t all = asking_wanted(m, a, 1);
    return all ? (double)hits / (double)all : 0;
}

/* All are asked at first; from then on it grows as that of those does that are asked always. */
uint32_t asking_cost(struct calibrator *m, uint32_t a)
{
    double now = 0, before = 0, all = 0;
    uint32_t queries = 0;
    for (uint32_t i = 0; i < m->query_count; i++) {
        const struct query *q = &m->queries[i];
        if (asking_ks(m, i) <= a) continue;
        queries++;
        all += q->cost[a];
        if (i % PANEL_EVERY != 0) continue;
        now += q->cost[a];
        before += q->before[a];
    }
    if (before > 0)
        m->cost[a] *= now / before;
    else
        m->cost[a] = queries ? all / queries : 0;
    return m->cost[a] < UINT32_MAX ? (uint32_t)m->cost[a] : UINT32_MAX;
}

/* ---- how far -------------------------------------------------------------------------------- */

bool asking_one_list(const struct calibrator *m)
{
    return m->ivf && m->ivf->view.h.list_count == 1;
}

uint32_t asking_effort_max(const struct calibrator *m)
{
    uint32_t lists = m->ivf ? m->ivf->view.h.list_count : 1;
    return lists > 1 ? lists : m->rows.rows;
}

uint64_t asking_budget(const struct calibrator *m)
{
    uint64_t expansions = (uint64_t)m->rows.rows * EXPANSIONS_A_ROW;
    if (expansions < EXPANSIONS_MIN) expansions = EXPANSIONS_MIN;
    return m->ivf ? expansions * LISTS_AN_EXPANSION : expansions;
}
