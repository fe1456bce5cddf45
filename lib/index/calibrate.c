/* calibrate.c: what recall which effort gives on a graph or an inverted file.
 *
 * Each k has walks of its own where it decides when they end, and searches of its own of an
 * inverted file, as it has survivors of its own. Efforts rise for all queries together; a query
 * that has found all its rows is done.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/calibrator.h"
#include "index/cost.h"

#define ROUGH_EVERY      4 /* one query of so many, up to KS_ROUGH of KS_MEASURED */
#define KS_ROUGH         2
#define WALK_CHUNK       8
#define PANEL_EVERY      8     /* one query of so many is asked even where it has found all */
#define ENDED            3     /* points of a curve without gain, behind which it ends */
#define QUERIES_NEAR     16    /* queries among the nearest rows, as which they do not count */
#define AMPLE            0.99  /* recall with which survivors are counted */
#define SURVIVORS_LOSS   0.003 /* recall that fewer of them may cost */
#define SURVIVORS_MAX(k) (16 * (k) + 240) /* as a rule, and */
#define SURVIVORS_TIMES  16               /* times as many where these lose what would be ample */
#define SURVIVORS_STEPS  48
#define RECALL_ENOUGH    999000u /* a curve ends here, in millionths */

/* Expansions over all queries, of some 80 a row that a build makes, and as much again in pruning.
 */
#define EXPANSIONS_A_ROW   8
#define LISTS_AN_EXPANSION 4 /* which cost as much, or of a single list so many survivors */
#define EXPANSIONS_MIN     524288
#define SURVIVORS_TRIALS   16 /* numbers of them that are tried, about */

static const uint32_t EFFORTS[] = {2,   3,   4,   5,   6,   8,    10,   12,   15,   19,   24,
                                   30,  38,  48,  60,  75,  95,   120,  150,  190,  240,  300,
                                   380, 480, 600, 750, 950, 1200, 1500, 1900, 2400, 3000, 3800};

_Static_assert(sizeof EFFORTS / sizeof *EFFORTS <= CALIBRATION_POINTS_MAX, "a point an effort");

/* ---- walks --------------------------------------------------------------------------------- */

/* For how many of KS_MEASURED the query counts in this measurement. */
static uint32_t ks_of(const struct calibrator *m, uint32_t query)
{
    uint32_t ks = m->queries[query].ks;
    if (query % m->every != 0) return 0;
    return ks < m->k_limit ? ks : m->k_limit;
}

static bool has_one_list(const struct calibrator *m)
{
    return m->ivf && m->ivf->view.h.list_count == 1;
}

/* Whether KS_MEASURED[a] is measured with this effort. Of a single list at least k rows survive:
 * with less effort searches are the same. */
static bool is_measured(const struct calibrator *m, uint32_t a)
{
    return m->open[a] && !(has_one_list(m) && m->effort < KS_MEASURED[a]);
}

/* Whether the query has something to find, or is one that tells what all cost. */
static bool is_asked(const struct calibrator *m, uint32_t query, uint32_t a)
{
    return is_measured(m, a) &&
           (m->queries[query].hits[a] < KS_MEASURED[a] || query % PANEL_EVERY == 0);
}

static void note_cost(struct query *q, uint32_t a, uint64_t cost)
{
    q->before[a] = q->cost[a];
    q->cost[a] = (double)cost;
}

/* What searches with this effort for KS_MEASURED[a] would answer, and for those of the next ones
 * for which walks are the same, held against the truth. Returns through *a which is next. */
static enum vdb_status walk_for(const struct calibrator *m, struct scratch *s, uint32_t query,
                                uint32_t *a)
{
    struct query *q = &m->queries[query];
    const struct candidate *candidates;
    uint32_t first = *a, ks = ks_of(m, query), count, hits[KS] = {0}, keep[KS] = {0}, most = 0;
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
        note_cost(q, *a, cost_entry(m->codes, m->graph) + cost_walks(m->codes, &work));
    }
    return status;
}

static enum vdb_status walk_query(const struct calibrator *m, struct scratch *s, uint32_t query)
{
    enum vdb_status status = walk_prepare(s->walk, m->codes, m->rows.kernels,
                                          m->values + (size_t)query * m->rows.dim, NULL);
    for (uint32_t a = 0; a < ks_of(m, query) && !status;) {
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
    const float *values = m->values + (size_t)query * m->rows.dim;
    struct ivf_work before = ivf_work_done(s->probe), work;
    enum vdb_status status =
        ivf_search(s->probe, s->walk, m->ivf, values, &effort, &candidates, &count, NULL);
    for (uint32_t i = 0; !status && i < count && kept > 0; i++) {
        uint8_t place;
        if (bit_is_set(m->gone, candidates[i].row)) continue;
        kept--;
        status = calibrator_place(m, query, candidates[i].row, s->x, &place);
        hits += place <= a;
    }
    struct query *q = &m->queries[query];
    if (!status && q->hits[a] < k) q->hits[a] = hits < k ? hits : k;
    work = ivf_work_done(s->probe);
    work.probed -= before.probed;
    work.scanned -= before.scanned;
    work.survived -= before.survived;
    note_cost(q, a, cost_lists(m->ivf) + cost_probes(m->ivf, &work));
    return status;
}

static enum vdb_status probe_query(const struct calibrator *m, struct scratch *s, uint32_t query)
{
    enum vdb_status status = walk_prepare(s->walk, &m->ivf->codes, m->rows.kernels,
                                          m->values + (size_t)query * m->rows.dim, NULL);
    for (uint32_t a = 0; a < ks_of(m, query) && !status; a++)
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

static bool has_to_find(const struct calibrator *m, uint32_t query)
{
    for (uint32_t a = 0; a < ks_of(m, query); a++)
        if (is_asked(m, query, a)) return true;
    return false;
}

static void gather_active(struct calibrator *m)
{
    m->active_count = 0;
    for (uint32_t i = 0; i < m->query_count; i++)
        if (has_to_find(m, i)) m->active[m->active_count++] = i;
}

/* ---- curves -------------------------------------------------------------------------------- */

/* The standard error of a mean of hits / k, from their sum and that of their squares; at least one
 * row that one query misses, since to have seen none is not to know of none. */
static double standard_error(uint64_t queries, uint64_t sum, uint64_t squares, uint32_t k)
{
    double n = (double)queries,
           spread = (double)(queries * squares - sum * sum) / (n * n * (n - 1));
    double error = sqrt(spread) / k, least = 1 / (n * k);
    return error > least ? error : least;
}

/* How many queries found so many of their k nearest. */
struct tally {
    uint32_t queries, k;
    uint32_t with[K_MAX + 1];
};

static void tally_hits(const struct calibrator *m, uint32_t a, struct tally *tally)
{
    *tally = (struct tally){.k = KS_MEASURED[a]};
    for (uint32_t i = 0; i < m->query_count; i++) {
        if (ks_of(m, i) <= a) continue;
        tally->with[m->queries[i].hits[a]]++;
        tally->queries++;
    }
}

/* The rank-th least recall, in millionths; rank counts from 1. */
static uint32_t ranked(const struct tally *tally, double rank)
{
    uint32_t hits = 0, seen = tally->with[0];
    while (seen < rank && hits < tally->k) seen += tally->with[++hits];
    return (uint32_t)((uint64_t)hits * CALIBRATION_RECALL_ONE / tally->k);
}

/* The 5th percentile, and what it is by one standard error of that share of the queries less: the
 * order statistic so many ranks before. */
static void add_percentile(const struct tally *tally, struct calibration_point *point)
{
    double n = tally->queries, rank = ceil(n / 20), before = rank - sqrt(n * 0.05 * 0.95);
    point->p5 = ranked(tally, rank);
    point->p5_error = point->p5 - ranked(tally, before > 1 ? ceil(before) : 1);
}

/* Whether more lists have found nothing more for long: what is missed now lies in codes. */
static bool has_ended(const struct calibration_curve *curve)
{
    uint32_t n = curve->point_count;
    return n > ENDED && curve->points[n - 1].recall == curve->points[n - 1 - ENDED].recall;
}

/* The mean cost of a search with this effort. All are asked at first; from then on it grows as that
 * of those does that are asked always. */
static uint32_t take_cost(struct calibrator *m, uint32_t a)
{
    double now = 0, before = 0, all = 0;
    uint32_t queries = 0;
    for (uint32_t i = 0; i < m->query_count; i++) {
        const struct query *q = &m->queries[i];
        if (ks_of(m, i) <= a) continue;
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

/* All of a point but its effort and its cost, by what the queries found last. */
static void fill_point(const struct calibrator *m, uint32_t a, const struct calibration_point *last,
                       struct calibration_point *point)
{
    struct tally tally;
    uint64_t sum = 0, squares = 0;
    tally_hits(m, a, &tally);
    for (uint64_t hits = 0; hits <= tally.k; hits++) {
        sum += hits * tally.with[hits];
        squares += hits * hits * tally.with[hits];
    }
    double error = standard_error(tally.queries, sum, squares, tally.k);
    point->recall = (uint32_t)(sum * CALIBRATION_RECALL_ONE / ((uint64_t)tally.queries * tally.k));
    point->error = (uint32_t)ceil(error * CALIBRATION_RECALL_ONE);
    point->zero = (uint32_t)((uint64_t)tally.with[0] * CALIBRATION_RECALL_ONE / tally.queries);
    add_percentile(&tally, point);
    /* A query may find less with more effort; curves do not fall. */
    if (point->recall < last->recall) point->recall = last->recall;
    if (point->p5 < last->p5) point->p5 = last->p5;
    if (point->zero > last->zero) point->zero = last->zero;
}

static const struct calibration_point *point_before(const struct calibration_curve *curve,
                                                    uint32_t point)
{
    static const struct calibration_point none = {.zero = CALIBRATION_RECALL_ONE};
    return point ? &curve->points[point - 1] : &none;
}

static uint8_t *hits_at(const struct calibrator *m, uint32_t query, uint32_t a, uint32_t point)
{
    return &m->hits[((size_t)query * KS + a) * CALIBRATION_POINTS_MAX + point];
}

static void add_point(struct calibrator *m, uint32_t a, struct calibration_curve *curve)
{
    uint32_t at = curve->point_count++;
    const struct calibration_point *last = point_before(curve, at);
    struct calibration_point *point = &curve->points[at];
    *point = (struct calibration_point){.effort = m->effort, .cost = take_cost(m, a)};
    if (point->cost < last->cost) point->cost = last->cost;
    fill_point(m, a, last, point);
    curve->k = KS_MEASURED[a];
    curve->query_count = 0;
    for (uint32_t i = 0; i < m->query_count; i++) {
        if (ks_of(m, i) <= a) continue;
        *hits_at(m, i, a, at) = (uint8_t)m->queries[i].hits[a];
        curve->query_count++;
    }
    m->open[a] = point->recall < RECALL_ENOUGH &&
                 !(m->ivf && m->effort > KS_MEASURED[a] && has_ended(curve));
}

/* ---- what more lists lose ------------------------------------------------------------------ */

/* Asks those queries again whose hits are not all. */
static void ask_again(struct calibrator *m, uint32_t a, uint32_t effort)
{
    m->effort = effort;
    for (uint32_t i = 0; i < KS; i++) m->open[i] = i == a;
    gather_active(m);
    par_for(m->workers, m->active_count, WALK_CHUNK, search_job, m);
}

/* More lists than those with which most was found are of no use: beyond the last point a curve is
 * taken to rise. */
static void end_where_it_rose_last(struct calibration_curve *curve)
{
    const struct calibration_point *points = curve->points;
    uint32_t n = curve->point_count;
    while (n > 1 && points[n - 1].recall == points[n - 2].recall &&
           points[n - 1].p5 == points[n - 2].p5)
        n--;
    curve->point_count = n;
}

/* Queries that had found all were done, while more lists bring rows in front of theirs, which may
 * then not survive. So they are asked once more with the most lists, and those that lost some with
 * fewer and fewer until they have them. Of the nearest row alone a hundredth of the queries was
 * lost so; of ten, which are found later, it would be a thousandth of the rows. */
static void take_lost(struct calibrator *m, uint32_t a, struct calibration_curve *curve)
{
    uint32_t k = KS_MEASURED[a], last = curve->point_count ? curve->point_count - 1 : 0;
    for (uint32_t at = last; at > 0 && !m->status; at--) {
        uint32_t asked = 0;
        for (uint32_t i = 0; i < m->query_count; i++) {
            struct query *q = &m->queries[i];
            if (ks_of(m, i) <= a) continue;
            bool done = *hits_at(m, i, a, at - 1) == k, lost = at == last || q->hits[a] < k;
            q->hits[a] = done && lost ? 0 : k;
            asked += q->hits[a] == 0;
        }
        if (asked == 0) break;
        ask_again(m, a, curve->points[at].effort);
        for (uint32_t i = 0; i < m->query_count; i++)
            if (ks_of(m, i) > a && m->queries[i].hits[a] < k)
                *hits_at(m, i, a, at) = (uint8_t)m->queries[i].hits[a];
    }
    for (uint32_t at = 0; at < curve->point_count; at++) {
        for (uint32_t i = 0; i < m->query_count; i++)
            if (ks_of(m, i) > a) m->queries[i].hits[a] = *hits_at(m, i, a, at);
        fill_point(m, a, point_before(curve, at), &curve->points[at]);
    }
}

/* ---- measuring ----------------------------------------------------------------------------- */

/* The most effort there can be: rows, or lists where there are several. */
static uint32_t effort_max(const struct calibrator *m)
{
    uint32_t lists = m->ivf ? m->ivf->view.h.list_count : 1;
    return lists > 1 ? lists : m->rows.rows;
}

/* Whether some k has not been measured yet, for want of effort. */
static bool is_waiting(const struct calibrator *m)
{
    return m->open[m->k_limit - 1] && !is_measured(m, m->k_limit - 1);
}

/* In efforts of one search. */
static uint64_t budget_of(const struct calibrator *m)
{
    uint64_t expansions = (uint64_t)m->rows.rows * EXPANSIONS_A_ROW;
    if (expansions < EXPANSIONS_MIN) expansions = EXPANSIONS_MIN;
    return m->ivf ? expansions * LISTS_AN_EXPANSION : expansions;
}

static void measure_curves(struct calibrator *m, struct calibration *out)
{
    uint64_t budget = budget_of(m), spent = 0;
    uint32_t most = effort_max(m);
    for (size_t i = 0; i < sizeof EFFORTS / sizeof *EFFORTS; i++) {
        m->effort = EFFORTS[i] - (m->ivf != NULL); /* a single list may be enough */
        if (m->effort > most) m->effort = most;
        gather_active(m);
        spent += (uint64_t)m->active_count * m->effort * m->every;
        if (m->active_count == 0 && is_waiting(m)) continue;
        if (m->active_count == 0 || (i && spent > budget && !is_waiting(m))) break;
        par_for(m->workers, m->active_count, WALK_CHUNK, search_job, m);
        if (m->status) break;
        for (uint32_t a = 0; a < m->k_limit; a++)
            if (is_measured(m, a)) add_point(m, a, &out->curves[a]);
        if (m->effort >= most) break;
    }
    if (m->ivf && !has_one_list(m) && !m->status) {
        take_lost(m, 0, &out->curves[0]);
        for (uint32_t a = 0; a < m->k_limit; a++) end_where_it_rose_last(&out->curves[a]);
    }
    out->curve_count = m->k_limit;
}

static void begin(struct calibrator *m, calibrate_rerank_fn rerank, enum calibrate_depth depth)
{
    bool rough = depth == CALIBRATE_ROUGH;
    m->rerank = rerank;
    m->every = rough ? ROUGH_EVERY : 1;
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

static enum vdb_status finish(const struct calibrator *m, struct calibration *out,
                              struct vdb_error *err)
{
    if (m->status) memset(out, 0, sizeof *out);
    return m->status == VDB_NO_MEMORY ? error_no_memory(err) : m->status;
}

enum vdb_status calibrate_walks(struct calibrator *m, const struct codes *codes,
                                const struct graph *graph, calibrate_rerank_fn rerank,
                                enum calibrate_depth depth, struct calibration *out,
                                struct vdb_error *err)
{
    memset(out, 0, sizeof *out);
    if (!m) return VDB_OK;
    m->graph = graph;
    m->codes = codes;
    m->ivf = NULL;
    begin(m, rerank, depth);
    measure_curves(m, out);
    return finish(m, out, err);
}

enum vdb_status calibrate_probes(struct calibrator *m, const struct ivf *ivf,
                                 calibrate_rerank_fn rerank, enum calibrate_depth depth,
                                 struct calibration *out, struct vdb_error *err)
{
    memset(out, 0, sizeof *out);
    if (!m) return VDB_OK;
    m->ivf = ivf;
    begin(m, rerank, depth);
    measure_curves(m, out);
    return finish(m, out, err);
}

/* ---- survivors ----------------------------------------------------------------------------- */

/* The hits of all queries for KS_MEASURED[a], with this effort and so many survivors. */
static uint64_t hits_with(struct calibrator *m, uint32_t a, uint32_t effort, uint32_t survivors)
{
    uint64_t hits = 0;
    m->effort = effort;
    m->survivors = survivors;
    for (uint32_t i = 0; i < KS; i++) m->open[i] = i == a;
    for (uint32_t i = 0; i < m->query_count; i++) m->queries[i].hits[a] = 0;
    gather_active(m);
    par_for(m->workers, m->active_count, WALK_CHUNK, search_job, m);
    for (uint32_t i = 0; i < m->query_count; i++) hits += m->queries[i].hits[a];
    return hits;
}

static uint64_t wanted_hits(const struct calibrator *m, uint32_t a, double recall)
{
    uint64_t queries = 0;
    for (uint32_t i = 0; i < m->query_count; i++) queries += ks_of(m, i) > a;
    return (uint64_t)(recall * (double)(queries * KS_MEASURED[a]));
}

static double share_of_hits(const struct calibrator *m, uint32_t a, uint64_t hits)
{
    uint64_t all = wanted_hits(m, a, 1);
    return all ? (double)hits / (double)all : 0;
}

struct ample {
    uint32_t effort; /* lists enough for nearly all that can be found */
    double price;    /* what all of recall would cost at the rate of the last lists */
    uint32_t times;  /* SURVIVORS_MAX so many times */
};

/* Asks fewer of the queries, down to one of ROUGH_EVERY, where all of them would take too long with
 * so much effort. True where they have become fewer. */
static bool thin_out(struct calibrator *m, uint32_t effort)
{
    uint64_t budget = budget_of(m), work = (uint64_t)m->query_count * effort * SURVIVORS_TRIALS;
    uint32_t before = m->every;
    while (m->every < ROUGH_EVERY && work / m->every > budget) m->every *= 2;
    return m->every > before;
}

static struct ample ample_effort(struct calibrator *m, uint32_t a)
{
    uint32_t most = effort_max(m), survivors = SURVIVORS_MAX(KS_MEASURED[a]);
    struct ample ample = {.effort = most < 3 ? most : 3, .times = 1};
    uint64_t hits = hits_with(m, a, ample.effort, survivors);
    double cost = take_cost(m, a);
    while (ample.effort < most && !m->status && hits < wanted_hits(m, a, AMPLE)) {
        uint32_t next = ample.effort + (ample.effort + 1) / 2;
        if (next > most) next = most;
        if (thin_out(m, next)) {
            hits = hits_with(m, a, ample.effort, survivors);
            cost = take_cost(m, a);
        }
        ample.effort = next;
        uint64_t more = hits_with(m, a, ample.effort, survivors);
        double dearer = take_cost(m, a);
        ample.price = more > hits ? (dearer - cost) / share_of_hits(m, a, more - hits) : 0;
        bool lost = more <= hits && ample.times < SURVIVORS_TIMES;
        hits = more;
        cost = dearer;
        if (!lost) continue;
        /* What is missed now does not survive. */
        ample.times *= 2;
        survivors *= 2;
        hits = hits_with(m, a, ample.effort, survivors);
        cost = take_cost(m, a);
    }
    return ample;
}

/* What so many survivors find, and what searches cost with them. */
struct yield {
    uint64_t hits;
    double cost;
};

static struct yield yield_of(struct calibrator *m, uint32_t a, uint32_t effort, uint32_t survivors)
{
    uint64_t hits = hits_with(m, a, effort, survivors);
    return (struct yield){hits, take_cost(m, a)};
}

/* The fewest, on a scale of which each step is a quarter more, that lose next to nothing; and then
 * more for as long as the recall that they bring would cost more in lists. */
static uint32_t enough_survivors(struct calibrator *m, uint32_t a, const struct ample *ample)
{
    uint32_t k = KS_MEASURED[a], most = SURVIVORS_MAX(k) * ample->times;
    uint32_t scale[SURVIVORS_STEPS + 1], count = 0;
    struct yield best = yield_of(m, a, ample->effort, most), yields[SURVIVORS_STEPS + 1];
    uint64_t lost = wanted_hits(m, a, SURVIVORS_LOSS);
    for (uint32_t n = k + k / 4 + 4; n < most && count < SURVIVORS_STEPS; n += n / 4)
        scale[count++] = n;
    scale[count] = most;
    yields[count] = best;
    uint32_t low = 0, high = count; /* scale[high] and beyond are enough */
    while (low < high && !m->status) {
        uint32_t middle = (low + high) / 2;
        yields[middle] = yield_of(m, a, ample->effort, scale[middle]);
        if (yields[middle].hits + lost >= best.hits)
            high = middle;
        else
            low = middle + 1;
    }
    for (; high < count && !m->status; high++) {
        struct yield less = yields[high], more = yield_of(m, a, ample->effort, scale[high + 1]);
        yields[high + 1] = more;
        if (more.hits <= less.hits ||
            ample->price * share_of_hits(m, a, more.hits - less.hits) <= more.cost - less.cost)
            break;
    }
    return scale[high];
}

enum vdb_status calibrate_survivors(struct calibrator *m, const struct ivf *ivf,
                                    calibrate_rerank_fn rerank, uint32_t survivors[3],
                                    struct vdb_error *err)
{
    if (!m || ivf->view.h.list_count == 1) return VDB_OK;
    m->ivf = ivf;
    begin(m, rerank, CALIBRATE_FULL);
    uint32_t middle = m->k_count > 1 ? 1 : 0;
    struct ample ample = ample_effort(m, middle);
    for (uint32_t a = 0; a < m->k_count && !m->status; a++) {
        uint32_t found = enough_survivors(m, a, &ample);
        survivors[a] = a && found < survivors[a - 1] ? survivors[a - 1] : found;
    }
    for (uint32_t a = m->k_count; a < KS; a++)
        survivors[a] = survivors[a - 1] * (KS_MEASURED[a] / KS_MEASURED[a - 1]);
    /* Of one row a query some hundred tell what is lost, so that as few may seem enough as are by
     * luck: no fewer than their number falls from k to k before. */
    uint64_t trend = (uint64_t)survivors[1] * survivors[1] / survivors[2];
    if (survivors[0] < trend) survivors[0] = (uint32_t)trend;
    return m->status == VDB_NO_MEMORY ? error_no_memory(err) : m->status;
}

/* ---- one effort ---------------------------------------------------------------------------- */

enum vdb_status calibrate_recall(struct calibrator *m, const struct codes *codes,
                                 const struct graph *graph, calibrate_rerank_fn rerank, uint32_t k,
                                 uint32_t effort, double *recall, struct vdb_error *err)
{
    uint32_t a = 0;
    while (a + 1 < m->k_count && KS_MEASURED[a] < k) a++;
    m->graph = graph;
    m->codes = codes;
    m->ivf = NULL;
    begin(m, rerank, CALIBRATE_FULL);
    *recall = share_of_hits(m, a, hits_with(m, a, effort, 0));
    return m->status == VDB_NO_MEMORY ? error_no_memory(err) : m->status;
}
