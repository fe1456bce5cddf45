/* calibrator.c: the queries that calibrations are measured with, and their true neighbours.
 *
 * Queries are to be rows that the graph does not have. Merely keeping a walk from a row that is
 * there loses the paths that led through it: recall came out up to 0.03 too low; walking through
 * it, up to 0.04 too high, as its neighbours are the answer. So some rows are taken out of the
 * graph and its lists mended (graph_without.c), all of them at once, and then put back. An inverted
 * file keeps them: it is enough that they do not count.
 *
 * The truth is sought among the nearest by 8-bit codes, or by the vectors in binary32 where these
 * are too coarse, which a scan finds, by distances of the vectors themselves; rows as near as the
 * k-th count as it does. A larger k needs fewer queries for the same certainty, since each has k
 * rows to find.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/calibrator.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"

#define QUERIES     384 /* as many as may be, of rows up to one of ROWS_A_QUERY */
#define QUERIES_MAX 768 /* of one of ROWS_WIDE */
#define QUERIES_MIN 32
#define QUERIES_FEW 128 /* where a part of most of the rows was measured with more */
/* Of the last rows, what they find counts by their share of all, and so does its error. */
#define QUERIES_LAST     256 /* times that share */
#define QUERIES_LAST_MIN 16
#define ROWS_A_QUERY     16
#define ROWS_WIDE        128
#define WINDOW_EXACT     48 /* the same up to k = 10, where codes are the values themselves */
#define BLOCK            64 /* rows of it that are measured against them in turn */

static const uint32_t KS_QUERIES[KS] = {QUERIES_MAX, QUERIES_MAX, 192};

/* ---- the queries --------------------------------------------------------------------------- */

static void set_bit(uint64_t *bits, uint32_t row)
{
    bits[row / 64] |= (uint64_t)1 << (row % 64);
}

static void keep_entries(const struct graph *graph, uint64_t *taken)
{
    const struct graph_levels *levels = &graph->levels;
    for (uint32_t i = 0; i < graph->pivot_count; i++) set_bit(taken, graph->pivots[i]);
    for (uint32_t i = 0; levels->count && i < levels->sizes[0]; i++)
        set_bit(taken, levels->members[i]);
}

/* One row of each stretch, at places that keep no time with any order of the rows: multiples of
 * the golden ratio. Pivots and the members of levels, where walks begin, stay in the graph. */
static enum vdb_status choose_queries(struct calibrator *m, struct vdb_error *err)
{
    uint32_t rows = m->rows.rows, among = rows - m->first, width = among / m->query_count;
    size_t words = (size_t)rows / 64 + 1;
    uint64_t *taken = calloc(words, sizeof *taken);
    if (!taken) return error_no_memory(err);
    if (m->graph) keep_entries(m->graph, taken);
    for (uint32_t i = 0; i < m->query_count; i++) {
        uint32_t row = m->first + (uint32_t)((uint64_t)i * among / m->query_count);
        row += (uint32_t)((uint64_t)(i * 0x9e3779b9u) * width >> 32);
        while (bit_is_set(taken, row)) row = row + 1 < rows ? row + 1 : 0;
        set_bit(taken, row);
        set_bit(m->gone, row);
        m->queries[i].row = row;
    }
    free(taken);
    return VDB_OK;
}

static double distance(const struct calibrator *m, const float *x, uint32_t query)
{
    const struct quality_rows *r = &m->rows;
    const float *values = m->values + (size_t)query * r->dim;
    if (r->metric == VDB_METRIC_IP) return -r->kernels->dot[VDB_TYPE_F32](x, values, r->dim);
    return r->kernels->l2sq[VDB_TYPE_F32](x, values, r->dim);
}

/* The least `a` such that the row is as near as the KS_MEASURED[a]-th nearest, or KS. */
static uint8_t place_of(const struct calibrator *m, uint32_t query, double key)
{
    uint8_t a = 0;
    const struct query *q = &m->queries[query];
    while (a < q->ks && key > q->reach[a]) a++;
    return a < q->ks ? a : KS;
}

void calibrator_fail(struct calibrator *m, enum vdb_status status)
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
static enum vdb_status judge_window(struct calibrator *m, float *x, uint32_t query)
{
    struct query *q = &m->queries[query];
    uint64_t *window = m->windows + (size_t)query * WINDOW;
    double keys[WINDOW], sorted[WINDOW] = {0};
    for (uint32_t i = 0; i < q->count; i++) {
        enum vdb_status status = m->rows.row_fn(m->rows.context, pool_row(window[i]), x);
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

static uint32_t window_of(const struct calibrator *m, uint32_t query)
{
    bool exact = m->eight->scale == 1.0f && (m->eight->zero == 0 || m->eight->zero == 128);
    return exact && KS_MEASURED[m->queries[query].ks - 1] <= 10 ? WINDOW_EXACT : WINDOW;
}

static void offer(struct pool *pool, const uint32_t *rows, const uint32_t *distances, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = pool_key(distances[i], rows[i]);
        if (key < pool->limit) pool_insert(pool, key);
    }
}

static void scan_tiles(struct scratch *s, const struct space *space, const uint32_t *rows,
                       uint32_t n, size_t queries)
{
    struct kernel_tile tile;
    space_prefetch(space, rows, n);
    for (uint32_t i = 0; i < n; i++) tiles_pack(&s->packed, space, i, rows[i]);
    for (uint32_t q = 0; q < queries; q += KERNEL_TILE_QUERIES) {
        tiles_measure(&s->packed, n, &s->asked, q, space, s->distances, &tile);
        for (uint32_t j = 0; j < KERNEL_TILE_QUERIES && q + j < queries; j++) {
            struct pool *pool = &s->pools[q + j];
            uint32_t least = UINT32_MAX;
            for (uint32_t lane = 0; lane < KERNEL_TILE_PANEL; lane++)
                least = tile.least[j][lane] < least ? tile.least[j][lane] : least;
            if (least <= pool_distance(pool->limit))
                offer(pool, rows, tile.distances + j * tile.stride, n);
        }
    }
}

static void scan_block(const struct calibrator *m, struct scratch *s, const struct space *space,
                       uint32_t begin, uint32_t end, size_t queries)
{
    uint32_t rows[BLOCK], distances[BLOCK], n = 0;
    for (uint32_t row = begin; row < end; row++)
        if (!bit_is_set(m->gone, row)) rows[n++] = row;
    if (n && space->kind == SPACE_L2) {
        scan_tiles(s, space, rows, n, queries);
        return;
    }
    for (size_t q = 0; q < queries; q++) {
        space_measure(space, &s->probes[q], rows, n, distances);
        offer(&s->pools[q], rows, distances, n);
    }
}

static enum vdb_status scan_codes(const struct calibrator *m, struct scratch *s, size_t begin,
                                  size_t end)
{
    for (size_t i = begin; i < end; i++) {
        enum vdb_status status =
            walk_prepare(s->walk, m->eight, m->rows.kernels, m->values + i * m->rows.dim, NULL);
        if (status) return status;
        int8_t *query = s->probes[i - begin].query;
        memcpy(query, s->walk->probe.query, m->eight->bytes);
        s->probes[i - begin] = s->walk->probe;
        s->probes[i - begin].query = query;
        memcpy(s->asked.queries + (i - begin) * m->eight->bytes, query, m->eight->bytes);
        s->asked.bases[i - begin] = s->probes[i - begin].base;
    }
    struct space space = s->walk->space;
    space.kernels = m->rows.kernels;
    for (uint32_t row = 0; row < m->eight->rows; row += BLOCK) {
        uint32_t left = m->eight->rows - row;
        scan_block(m, s, &space, row, row + (left < BLOCK ? left : BLOCK), end - begin);
    }
    return VDB_OK;
}

static enum vdb_status scan_vectors(const struct calibrator *m, struct scratch *s, size_t begin,
                                    size_t end)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t row = 0; row < m->rows.rows && !status; row++) {
        if (bit_is_set(m->gone, row)) continue;
        status = m->rows.row_fn(m->rows.context, row, s->x);
        for (size_t i = begin; i < end && !status; i++) {
            uint32_t order = space_order((float)distance(m, s->x, (uint32_t)i));
            offer(&s->pools[i - begin], &row, &order, 1);
        }
    }
    return status;
}

/* The windows of queries [begin, end), GROUP of them at most. */
static void truth_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct calibrator *m = context;
    struct scratch *s = &m->scratch[worker];
    for (size_t i = begin; i < end; i++) {
        s->pools[i - begin].keys = m->windows + i * WINDOW;
        pool_reset(&s->pools[i - begin], window_of(m, (uint32_t)i));
    }
    enum vdb_status status =
        m->rows.coarse ? scan_vectors(m, s, begin, end) : scan_codes(m, s, begin, end);
    for (size_t i = begin; i < end && !status; i++) {
        m->queries[i].count = s->pools[i - begin].count;
        status = judge_window(m, s->x, (uint32_t)i);
    }
    if (status) calibrator_fail(m, status);
}

/* What is not in the window counts for nothing, unless all that is in it are as near. */
enum vdb_status calibrator_place(const struct calibrator *m, uint32_t query, uint32_t row, float *x,
                                 uint8_t *place)
{
    const struct query *q = &m->queries[query];
    const uint64_t *window = m->windows + (size_t)query * WINDOW;
    uint32_t at = pool_rank(window, q->count, judged_row(row, 0));
    *place = KS;
    if (at < q->count && window[at] >> 8 == row) *place = (uint8_t)window[at];
    if (*place < KS || !q->beyond) return VDB_OK;
    enum vdb_status status = m->rows.row_fn(m->rows.context, row, x);
    if (!status) *place = place_of(m, query, distance(m, x, query));
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vdb_status scratch_init(struct scratch *s, const struct calibrator *m)
{
    s->walk = walk_create();
    s->probe = ivf_scratch_create();
    s->x = malloc(m->rows.dim * sizeof *s->x);
    struct space space;
    space_init(&space, m->eight, m->rows.kernels, SPACE_L2);
    s->distances = malloc((size_t)KERNEL_TILE_QUERIES * BLOCK * sizeof *s->distances);
    bool got = s->walk && s->probe && s->x && s->distances &&
               tiles_alloc(&s->packed, &space, BLOCK, true, false) &&
               tiles_alloc(&s->asked, &space, GROUP, false, true);
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

static enum vdb_status calibrator_init(struct calibrator *m, struct vdb_error *err)
{
    uint32_t rows = m->rows.rows, count = m->query_count;
    m->workers = par_threads(m->rows.threads);
    m->gone = calloc((size_t)rows / 64 + 1, sizeof *m->gone);
    m->queries = calloc(count, sizeof *m->queries);
    m->hits = malloc((size_t)count * KS * CALIBRATION_POINTS_MAX);
    m->values = malloc((size_t)count * m->rows.dim * sizeof *m->values);
    m->windows = malloc((size_t)count * WINDOW * sizeof *m->windows);
    m->active = malloc(count * sizeof *m->active);
    m->scratch = calloc(m->workers, sizeof *m->scratch);
    if (!m->gone || !m->queries || !m->hits || !m->values || !m->windows || !m->active ||
        !m->scratch)
        return error_no_memory(err);
    for (unsigned i = 0; i < m->workers; i++)
        if (scratch_init(&m->scratch[i], m)) return error_no_memory(err);
    while (m->k_count < KS && KS_MEASURED[m->k_count] <= rows - count) m->k_count++;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t a = 0; a < m->k_count && i % queries_a_k(count, a) == 0; a++)
            m->queries[i].ks = a + 1;
    enum vdb_status status = choose_queries(m, err);
    for (uint32_t i = 0; i < count && !status; i++)
        status =
            m->rows.row_fn(m->rows.context, m->queries[i].row, m->values + (size_t)i * m->rows.dim);
    return status;
}

void calibrate_close(struct calibrator *m)
{
    if (!m) return;
    if (m->undo) graph_undo(m->undo, m->edges);
    for (unsigned i = 0; m->scratch && i < m->workers; i++) {
        walk_free(m->scratch[i].walk);
        ivf_scratch_free(m->scratch[i].probe);
        free(m->scratch[i].x);
        free(m->scratch[i].distances);
        tiles_free(&m->scratch[i].packed);
        tiles_free(&m->scratch[i].asked);
        for (int j = 0; j < GROUP; j++) free(m->scratch[i].probes[j].query);
    }
    free(m->scratch);
    free(m->gone);
    free(m->queries);
    free(m->hits);
    free(m->values);
    free(m->windows);
    free(m->active);
    free(m);
}

static uint32_t count_queries(uint32_t rows, bool few)
{
    uint32_t near = rows / ROWS_A_QUERY, wide = rows / ROWS_WIDE;
    if (near > QUERIES) near = QUERIES;
    if (wide > QUERIES_MAX) wide = QUERIES_MAX;
    uint32_t count = near > wide ? near : wide;
    return few && count > QUERIES_FEW ? QUERIES_FEW : count;
}

static enum vdb_status open_with(uint32_t first, uint32_t queries, const struct quality_rows *rows,
                                 const struct codes *eight, const struct codes *joined_by,
                                 const struct graph *graph, uint32_t *edges, uint32_t alpha_milli,
                                 struct calibrator **out, struct vdb_error *err)
{
    *out = NULL;
    struct calibrator *m = calloc(1, sizeof *m);
    if (!m) return error_no_memory(err);
    m->rows = *rows;
    m->eight = eight;
    m->graph = graph;
    m->edges = edges;
    m->first = first;
    m->query_count = queries;
    enum vdb_status status = calibrator_init(m, err);
    if (!status && graph)
        status = graph_without(joined_by, rows->kernels, graph, edges, m->gone, alpha_milli,
                               rows->threads, &m->undo, err);
    if (!status) {
        par_for(m->workers, m->query_count, GROUP, truth_job, m);
        status = m->status == VDB_NO_MEMORY ? error_no_memory(err) : m->status;
    }
    if (status)
        calibrate_close(m);
    else
        *out = m;
    return status;
}

enum vdb_status calibrate_open(const struct quality_rows *rows, const struct codes *eight,
                               const struct codes *joined_by, const struct graph *graph,
                               uint32_t *edges, uint32_t alpha_milli, bool few,
                               struct calibrator **out, struct vdb_error *err)
{
    uint32_t queries = count_queries(rows->rows, few);
    *out = NULL;
    if (queries < QUERIES_MIN) return VDB_OK;
    return open_with(0, queries, rows, eight, joined_by, graph, edges, alpha_milli, out, err);
}

enum vdb_status calibrate_open_last(uint32_t first, const struct quality_rows *rows,
                                    const struct codes *eight, const struct graph *graph,
                                    uint32_t *edges, uint32_t alpha_milli, struct calibrator **out,
                                    struct vdb_error *err)
{
    uint32_t among = rows->rows - first;
    uint32_t queries = (uint32_t)((uint64_t)QUERIES_LAST * among / rows->rows);
    if (queries < QUERIES_LAST_MIN) queries = QUERIES_LAST_MIN;
    if (queries > QUERIES_FEW) queries = QUERIES_FEW;
    *out = NULL;
    if (rows->rows / ROWS_A_QUERY < queries || among < 2 * queries) return VDB_OK;
    return open_with(first, queries, rows, eight, eight, graph, edges, alpha_milli, out, err);
}
