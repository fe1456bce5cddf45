/* calibrate.c: what recall which effort gives on a graph, measured on rows of its own.
 *
 * Queries are to be rows that the graph does not have. Merely keeping a walk from a row that is
 * there loses the paths that led through it: recall came out up to 0.03 too low; walking through
 * it, up to 0.04 too high, as its neighbours are the answer. So some rows are taken out of the
 * graph and its lists mended (graph_without.c), all of them at once, and then put back.
 *
 * The truth is sought among the nearest by 8-bit codes, which a scan finds, by distances of the
 * vectors themselves; rows as near as the k-th count as it does. A larger k needs fewer queries for
 * the same certainty, since each has k rows to find.
 *
 * One walk serves every k. Efforts rise for all queries together; a query that has found all its
 * rows is done.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/beam.h"
#include "index/graph_without.h"

#define QUERIES_MAX   384
#define QUERIES_MIN   16
#define ROWS_A_QUERY  32
#define WINDOW        256 /* rows nearest by codes that the k nearest are sought among */
#define WINDOW_EXACT  48  /* the same up to k = 10, where codes are the values themselves */
#define KS            3
#define GROUP         32 /* queries that share a scan */
#define BLOCK         16 /* rows of it that are measured against them in turn */
#define WALK_CHUNK    8
#define RECALL_ENOUGH 999000u /* a curve ends here, in millionths */

/* Expansions over all queries, of some 80 a row that a build makes, and as much again in pruning.
 */
#define EXPANSIONS_A_ROW 8
#define EXPANSIONS_MIN   262144

static const uint32_t KS_MEASURED[KS] = {1, 10, 100};
static const uint32_t KS_QUERIES[KS] = {384, 384, 128};
static const uint32_t EFFORTS[] = {2,   3,   4,   5,   6,   8,    10,   12,   15,   19,   24,
                                   30,  38,  48,  60,  75,  95,   120,  150,  190,  240,  300,
                                   380, 480, 600, 750, 950, 1200, 1500, 1900, 2400, 3000, 3800};

_Static_assert(sizeof EFFORTS / sizeof *EFFORTS <= CALIBRATION_POINTS_MAX, "a point an effort");

struct query {
    uint32_t row;
    uint32_t ks;       /* it counts for so many of KS_MEASURED, from the first on */
    uint32_t count;    /* of the window */
    double reach[KS];  /* how far off the k-th nearest row is */
    uint32_t hits[KS]; /* at the last effort; all k once they were */
    bool beyond;       /* rows outside of the window may be as near as the last that counts */
};

struct measuring {
    const struct quality_rows *rows;
    const struct codes *eight; /* that the graph was built on */
    const struct codes *codes; /* that walks use */
    const struct graph *graph;
    calibrate_rerank_fn rerank;
    uint64_t *gone; /* a bit a row: it is a query */
    uint32_t query_count, k_count;
    bool open[KS]; /* the curve goes on */
    struct query *queries;
    float *values;     /* dim a query */
    uint64_t *windows; /* WINDOW keys a query, nearest first; once judged, judged_row() by row */
    uint32_t *active;  /* queries that have something to find */
    uint32_t active_count, effort;
    unsigned workers;
    struct scratch *scratch;
    enum vdb_status status; /* of the first job that failed */
};

struct scratch { /* a worker's */
    struct walk *walk;
    struct probe probes[GROUP];
    struct pool pools[GROUP];
    float *x;
};

/* ---- the queries --------------------------------------------------------------------------- */

static void set_bit(uint64_t *bits, uint32_t row)
{
    bits[row / 64] |= (uint64_t)1 << (row % 64);
}

/* One row of each stretch, at places that keep no time with any order of the rows: multiples of
 * the golden ratio. Pivots and the members of levels, where walks begin, stay in the graph. */
static enum vdb_status choose_queries(struct measuring *m, struct vdb_error *err)
{
    uint32_t rows = m->rows->rows, width = rows / m->query_count;
    size_t words = (size_t)rows / 64 + 1;
    uint64_t *taken = calloc(words, sizeof *taken);
    if (!taken) return error_no_memory(err);
    const struct graph_levels *levels = &m->graph->levels;
    for (uint32_t i = 0; i < m->graph->pivot_count; i++) set_bit(taken, m->graph->pivots[i]);
    for (uint32_t i = 0; levels->count && i < levels->sizes[0]; i++)
        set_bit(taken, levels->members[i]);
    for (uint32_t i = 0; i < m->query_count; i++) {
        uint32_t row = (uint32_t)((uint64_t)i * rows / m->query_count);
        row += (uint32_t)((uint64_t)(i * 0x9e3779b9u) * width >> 32);
        while (bit_is_set(taken, row)) row = row + 1 < rows ? row + 1 : 0;
        set_bit(taken, row);
        set_bit(m->gone, row);
        m->queries[i].row = row;
    }
    free(taken);
    return VDB_OK;
}

static double distance(const struct measuring *m, const float *x, uint32_t query)
{
    const struct quality_rows *r = m->rows;
    const float *values = m->values + (size_t)query * r->dim;
    if (r->metric == VDB_METRIC_IP) return -r->kernels->dot[VDB_TYPE_F32](x, values, r->dim);
    return r->kernels->l2sq[VDB_TYPE_F32](x, values, r->dim);
}

/* The least `a` such that the row is as near as the KS_MEASURED[a]-th nearest, or KS. */
static uint8_t place_of(const struct measuring *m, uint32_t query, double key)
{
    uint8_t a = 0;
    const struct query *q = &m->queries[query];
    while (a < q->ks && key > q->reach[a]) a++;
    return a < q->ks ? a : KS;
}

static void failed(struct measuring *m, enum vdb_status status)
{
    enum vdb_status none = VDB_OK;
    __atomic_compare_exchange_n(&m->status, &none, status, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- the truth ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_row(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t judged_row(uint32_t row, uint8_t place)
{
    return (uint64_t)row << 8 | place;
}

/* Measures a window by the vectors themselves. */
static enum vdb_status judge_window(struct measuring *m, float *x, uint32_t query)
{
    struct query *q = &m->queries[query];
    uint64_t *window = m->windows + (size_t)query * WINDOW;
    double keys[WINDOW], sorted[WINDOW] = {0};
    for (uint32_t i = 0; i < q->count; i++) {
        enum vdb_status status = m->rows->row_fn(m->rows->context, pool_row(window[i]), x);
        if (status) return status;
        keys[i] = sorted[i] = distance(m, x, query);
    }
    qsort(sorted, q->count, sizeof *sorted, by_value);
    for (uint32_t a = 0; a < q->ks; a++) q->reach[a] = sorted[KS_MEASURED[a] - 1];
    q->beyond = sorted[q->count - 1] <= q->reach[q->ks - 1];
    for (uint32_t i = 0; i < q->count; i++)
        window[i] = judged_row(pool_row(window[i]), place_of(m, query, keys[i]));
    qsort(window, q->count, sizeof *window, by_row);
    return VDB_OK;
}

static uint32_t window_of(const struct measuring *m, uint32_t query)
{
    bool exact = m->eight->scale == 1.0f && (m->eight->zero == 0 || m->eight->zero == 128);
    return exact && KS_MEASURED[m->queries[query].ks - 1] <= 10 ? WINDOW_EXACT : WINDOW;
}

static void scan_block(const struct measuring *m, struct scratch *s, const struct space *space,
                       uint32_t begin, uint32_t end, size_t queries)
{
    uint32_t rows[BLOCK], n = 0;
    for (uint32_t row = begin; row < end; row++)
        if (!bit_is_set(m->gone, row)) rows[n++] = row;
    for (size_t q = 0; q < queries; q++)
        for (uint32_t i = 0; i < n; i += 4) {
            uint32_t distances[4], some = n - i < 4 ? n - i : 4;
            space_measure(space, &s->probes[q], rows + i, some, distances);
            for (uint32_t j = 0; j < some; j++) {
                uint64_t key = pool_key(distances[j], rows[i + j]);
                if (key < s->pools[q].limit) pool_insert(&s->pools[q], key);
            }
        }
}

/* The windows of queries [begin, end), GROUP of them at most. */
static void truth_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct measuring *m = context;
    struct scratch *s = &m->scratch[worker];
    enum vdb_status status = VDB_OK;
    for (size_t i = begin; i < end && !status; i++) {
        status =
            walk_prepare(s->walk, m->eight, m->rows->kernels, m->values + i * m->rows->dim, NULL);
        if (status) break;
        int8_t *query = s->probes[i - begin].query;
        memcpy(query, s->walk->probe.query, m->eight->bytes);
        s->probes[i - begin] = s->walk->probe;
        s->probes[i - begin].query = query;
        s->pools[i - begin].keys = m->windows + i * WINDOW;
        pool_reset(&s->pools[i - begin], window_of(m, (uint32_t)i));
    }
    struct space space = s->walk->space;
    space.kernels = m->rows->kernels;
    for (uint32_t row = 0; row < m->eight->rows && !status; row += BLOCK) {
        uint32_t left = m->eight->rows - row;
        scan_block(m, s, &space, row, row + (left < BLOCK ? left : BLOCK), end - begin);
    }
    for (size_t i = begin; i < end && !status; i++) {
        m->queries[i].count = s->pools[i - begin].count;
        status = judge_window(m, s->x, (uint32_t)i);
    }
    if (status) failed(m, status);
}

/* ---- walks --------------------------------------------------------------------------------- */

/* What is not in the window counts for nothing, unless all that is in it are as near. */
static enum vdb_status place_candidate(const struct measuring *m, uint32_t query, uint32_t row,
                                       float *x, uint8_t *place)
{
    const struct query *q = &m->queries[query];
    const uint64_t *window = m->windows + (size_t)query * WINDOW;
    uint32_t at = pool_rank(window, q->count, judged_row(row, 0));
    *place = KS;
    if (at < q->count && window[at] >> 8 == row) *place = (uint8_t)window[at];
    if (*place < KS || !q->beyond) return VDB_OK;
    enum vdb_status status = m->rows->row_fn(m->rows->context, row, x);
    if (!status) *place = place_of(m, query, distance(m, x, query));
    return status;
}

/* Of how many candidates a search measures those that may matter. */
static uint32_t kept(const struct measuring *m, uint32_t k)
{
    uint32_t room = m->rerank(k, m->effort);
    return room > m->effort ? room : m->effort;
}

/* What a search with this effort would answer, held against the truth. */
static enum vdb_status walk_query(const struct measuring *m, struct scratch *s, uint32_t query)
{
    struct query *q = &m->queries[query];
    const struct candidate *candidates;
    uint32_t count, hits[KS] = {0}, keep[KS];
    for (uint32_t a = 0; a < q->ks; a++) keep[a] = kept(m, KS_MEASURED[a]);
    enum vdb_status status = walk_prepare(s->walk, m->codes, m->rows->kernels,
                                          m->values + (size_t)query * m->rows->dim, NULL);
    if (!status)
        status =
            walk_graph(s->walk, m->graph, m->effort, keep[q->ks - 1], &candidates, &count, NULL);
    for (uint32_t i = 0; !status && i < count; i++) {
        uint8_t place;
        status = place_candidate(m, query, candidates[i].row, s->x, &place);
        for (uint32_t a = place; !status && a < q->ks; a++) hits[a] += i < keep[a];
    }
    for (uint32_t a = 0; !status && a < q->ks; a++) {
        uint32_t k = KS_MEASURED[a];
        if (q->hits[a] < k) q->hits[a] = hits[a] < k ? hits[a] : k;
    }
    return status;
}

static void walk_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct measuring *m = context;
    enum vdb_status status = VDB_OK;
    for (size_t i = begin; i < end && !status; i++)
        status = walk_query(m, &m->scratch[worker], m->active[i]);
    if (status) failed(m, status);
}

static bool has_to_find(const struct measuring *m, uint32_t query)
{
    const struct query *q = &m->queries[query];
    for (uint32_t a = 0; a < q->ks; a++)
        if (m->open[a] && q->hits[a] < KS_MEASURED[a]) return true;
    return false;
}

static void gather_active(struct measuring *m)
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

static void add_point(struct measuring *m, uint32_t a, struct calibration_curve *curve)
{
    uint64_t sum = 0, squares = 0, queries = 0;
    for (uint32_t i = 0; i < m->query_count; i++) {
        uint64_t hits = m->queries[i].hits[a];
        sum += hits;
        squares += hits * hits;
        queries += m->queries[i].ks > a;
    }
    double error = standard_error(queries, sum, squares, KS_MEASURED[a]);
    struct calibration_point point = {
        .effort = m->effort,
        .recall = (uint32_t)(sum * CALIBRATION_RECALL_ONE / (queries * KS_MEASURED[a])),
        .error = (uint32_t)ceil(error * CALIBRATION_RECALL_ONE),
    };
    uint32_t before = curve->point_count ? curve->points[curve->point_count - 1].recall : 0;
    if (point.recall < before) point.recall = before;
    curve->k = KS_MEASURED[a];
    curve->query_count = (uint32_t)queries;
    curve->points[curve->point_count++] = point;
    m->open[a] = point.recall < RECALL_ENOUGH;
}

static void measure_curves(struct measuring *m, struct calibration *out)
{
    uint64_t budget = (uint64_t)m->rows->rows * EXPANSIONS_A_ROW, spent = 0;
    if (budget < EXPANSIONS_MIN) budget = EXPANSIONS_MIN;
    for (size_t i = 0; i < sizeof EFFORTS / sizeof *EFFORTS; i++) {
        gather_active(m);
        m->effort = EFFORTS[i];
        spent += (uint64_t)m->active_count * m->effort;
        if (m->active_count == 0 || (i && spent > budget)) break;
        par_for(m->workers, m->active_count, WALK_CHUNK, walk_job, m);
        if (m->status) break;
        for (uint32_t a = 0; a < m->k_count; a++)
            if (m->open[a]) add_point(m, a, &out->curves[a]);
        if (m->effort >= m->rows->rows) break;
    }
    out->curve_count = m->k_count;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vdb_status scratch_init(struct scratch *s, const struct measuring *m)
{
    s->walk = walk_create();
    s->x = malloc(m->rows->dim * sizeof *s->x);
    bool got = s->walk && s->x;
    for (int i = 0; i < GROUP && got; i++) {
        s->probes[i].query = aligned_alloc(64, m->eight->bytes);
        got = s->probes[i].query;
    }
    return got ? VDB_OK : VDB_NO_MEMORY;
}

/* Of how many queries one counts for KS_MEASURED[a]. */
static uint32_t queries_a_k(uint32_t count, uint32_t a)
{
    return count > KS_QUERIES[a] ? count / KS_QUERIES[a] : 1;
}

static enum vdb_status measuring_init(struct measuring *m, struct vdb_error *err)
{
    uint32_t rows = m->rows->rows, count = m->query_count;
    m->workers = par_threads(m->rows->threads);
    m->gone = calloc((size_t)rows / 64 + 1, sizeof *m->gone);
    m->queries = calloc(count, sizeof *m->queries);
    m->values = malloc((size_t)count * m->rows->dim * sizeof *m->values);
    m->windows = malloc((size_t)count * WINDOW * sizeof *m->windows);
    m->active = malloc(count * sizeof *m->active);
    m->scratch = calloc(m->workers, sizeof *m->scratch);
    if (!m->gone || !m->queries || !m->values || !m->windows || !m->active || !m->scratch)
        return error_no_memory(err);
    for (unsigned i = 0; i < m->workers; i++)
        if (scratch_init(&m->scratch[i], m)) return error_no_memory(err);
    while (m->k_count < KS && KS_MEASURED[m->k_count] <= rows - count) m->open[m->k_count++] = true;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t a = 0; a < m->k_count && i % queries_a_k(count, a) == 0; a++)
            m->queries[i].ks = a + 1;
    enum vdb_status status = choose_queries(m, err);
    for (uint32_t i = 0; i < count && !status; i++)
        status = m->rows->row_fn(m->rows->context, m->queries[i].row,
                                 m->values + (size_t)i * m->rows->dim);
    return status;
}

static void measuring_release(struct measuring *m)
{
    for (unsigned i = 0; m->scratch && i < m->workers; i++) {
        walk_free(m->scratch[i].walk);
        free(m->scratch[i].x);
        for (int j = 0; j < GROUP; j++) free(m->scratch[i].probes[j].query);
    }
    free(m->scratch);
    free(m->gone);
    free(m->queries);
    free(m->values);
    free(m->windows);
    free(m->active);
}

enum vdb_status calibrate_graph(const struct quality_rows *rows, const struct codes *eight,
                                const struct codes *codes, const struct graph *graph,
                                uint32_t *edges, uint32_t alpha_milli, calibrate_rerank_fn rerank,
                                struct calibration *out, struct vdb_error *err)
{
    uint32_t queries = rows->rows / ROWS_A_QUERY;
    memset(out, 0, sizeof *out);
    if (queries < QUERIES_MIN) return VDB_OK;
    struct measuring m = {
        .rows = rows,
        .eight = eight,
        .codes = codes,
        .graph = graph,
        .rerank = rerank,
        .query_count = queries < QUERIES_MAX ? queries : QUERIES_MAX,
    };
    struct graph_undo *undo = NULL;
    enum vdb_status status = measuring_init(&m, err);
    if (!status)
        status = graph_without(eight, rows->kernels, graph, edges, m.gone, alpha_milli,
                               rows->threads, &undo, err);
    if (!status) {
        par_for(m.workers, m.query_count, GROUP, truth_job, &m);
        if (!m.status) measure_curves(&m, out);
        status = m.status == VDB_NO_MEMORY ? error_no_memory(err) : m.status;
    }
    graph_undo(undo, edges);
    measuring_release(&m);
    if (status) memset(out, 0, sizeof *out);
    return status;
}
