/* calibrate.c: what recall which effort gives on a graph or an inverted file.
 *
 * Efforts rise for all queries together; a query that has found all its rows is done.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/calibrate.h"

#include <math.h>
#include <string.h>

#include "index/asking.h"

#define ENDED         3       /* points of a curve without gain, behind which it ends */
#define RECALL_ENOUGH 999000u /* a curve ends here, in millionths */

static const uint32_t EFFORTS[] = {2,   3,   4,   5,   6,   8,    10,   12,   15,   19,   24,
                                   30,  38,  48,  60,  75,  95,   120,  150,  190,  240,  300,
                                   380, 480, 600, 750, 950, 1200, 1500, 1900, 2400, 3000, 3800};

_Static_assert(sizeof EFFORTS / sizeof *EFFORTS <= CALIBRATION_POINTS_MAX, "a point an effort");

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
        if (asking_ks(m, i) <= a) continue;
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
    *point = (struct calibration_point){.effort = m->effort, .cost = asking_cost(m, a)};
    if (point->cost < last->cost) point->cost = last->cost;
    fill_point(m, a, last, point);
    curve->k = KS_MEASURED[a];
    curve->query_count = 0;
    for (uint32_t i = 0; i < m->query_count; i++) {
        if (asking_ks(m, i) <= a) continue;
        *hits_at(m, i, a, at) = (uint8_t)m->queries[i].hits[a];
        curve->query_count++;
    }
    m->open[a] = point->recall < RECALL_ENOUGH &&
                 !(m->ivf && m->effort > KS_MEASURED[a] && has_ended(curve));
}

/* ---- what more lists lose ------------------------------------------------------------------ */

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
            if (asking_ks(m, i) <= a) continue;
            bool done = *hits_at(m, i, a, at - 1) == k, lost = at == last || q->hits[a] < k;
            q->hits[a] = done && lost ? 0 : k;
            asked += q->hits[a] == 0;
        }
        if (asked == 0) break;
        asking_only(m, a, curve->points[at].effort);
        for (uint32_t i = 0; i < m->query_count; i++)
            if (asking_ks(m, i) > a && m->queries[i].hits[a] < k)
                *hits_at(m, i, a, at) = (uint8_t)m->queries[i].hits[a];
    }
    for (uint32_t at = 0; at < curve->point_count; at++) {
        for (uint32_t i = 0; i < m->query_count; i++)
            if (asking_ks(m, i) > a) m->queries[i].hits[a] = *hits_at(m, i, a, at);
        fill_point(m, a, point_before(curve, at), &curve->points[at]);
    }
}

/* ---- measuring ----------------------------------------------------------------------------- */

/* Whether some k has not been measured yet, for want of effort. */
static bool is_waiting(const struct calibrator *m)
{
    return m->open[m->k_limit - 1] && !asking_measures(m, m->k_limit - 1);
}

static void measure_curves(struct calibrator *m, struct calibration *out)
{
    uint64_t budget = asking_budget(m), spent = 0;
    uint32_t most = asking_effort_max(m);
    for (size_t i = 0; i < sizeof EFFORTS / sizeof *EFFORTS; i++) {
        m->effort = EFFORTS[i] - (m->ivf != NULL); /* a single list may be enough */
        if (m->effort > most) m->effort = most;
        asking_gather(m);
        spent += (uint64_t)m->active_count * m->effort * m->every;
        if (m->active_count == 0 && is_waiting(m)) continue;
        if (m->active_count == 0 || (i && spent > budget && !is_waiting(m))) break;
        asking_search(m);
        if (m->status) break;
        for (uint32_t a = 0; a < m->k_limit; a++)
            if (asking_measures(m, a)) add_point(m, a, &out->curves[a]);
        if (m->effort >= most) break;
    }
    if (m->ivf && !asking_one_list(m) && !m->status) {
        take_lost(m, 0, &out->curves[0]);
        for (uint32_t a = 0; a < m->k_limit; a++) end_where_it_rose_last(&out->curves[a]);
    }
    out->curve_count = m->k_limit;
}

static enum vdb_status finish(const struct calibrator *m, struct calibration *out,
                              struct vdb_error *err)
{
    if (m->status) memset(out, 0, sizeof *out);
    return asking_end(m, err);
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
    asking_begin(m, rerank, depth);
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
    asking_begin(m, rerank, depth);
    measure_curves(m, out);
    return finish(m, out, err);
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
    asking_begin(m, rerank, CALIBRATE_FULL);
    *recall = asking_share(m, a, asking_hits(m, a, effort, 0));
    return asking_end(m, err);
}
