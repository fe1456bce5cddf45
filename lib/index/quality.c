/* quality.c: whether codes keep who is near whom, measured on the rows themselves.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"

#define QUERIES      32
#define GRIDS_MAX    3
#define GOOD_ENOUGH  0.98    /* no other grid is tried */
#define GAIN_MIN     0.005   /* another grid is worth it from here on */
#define CLIP_SAMPLES 262144u /* values that quantiles are taken from */
#define CHUNK        512

/* ---- the nearest so far -------------------------------------------------------------------- */

struct near {
    double key;
    uint32_t row;
};

struct nearest {
    struct near items[QUALITY_WINDOW];
    uint32_t count, cap;
};

static void nearest_offer(struct nearest *n, double key, uint32_t row)
{
    uint32_t at = n->count;
    if (n->count == n->cap) {
        const struct near *last = &n->items[n->cap - 1];
        if (!(key < last->key || (key == last->key && row < last->row))) return;
        at--;
    } else {
        n->count++;
    }
    for (; at > 0; at--) {
        const struct near *before = &n->items[at - 1];
        if (before->key < key || (before->key == key && before->row < row)) break;
        n->items[at] = *before;
    }
    n->items[at] = (struct near){key, row};
}

/* ---- one pass over the rows ---------------------------------------------------------------- */

struct pass {
    const struct quality_rows *rows;
    const struct quantizer *grids;
    uint32_t grid_count, query_count;
    uint32_t query_rows[QUERIES];
    float *queries;          /* query_count * dim */
    float *coded;            /* the same on each grid: grid_count * query_count * dim */
    struct nearest *nearest; /* a worker: (1 + grid_count) lists a query, exact first */
    enum vdb_status status;
};

static double distance(const struct quality_rows *r, const float *x, const float *query)
{
    if (r->metric == VDB_METRIC_IP) return -r->kernels->dot[VDB_TYPE_F32](x, query, r->dim);
    return r->kernels->l2sq[VDB_TYPE_F32](x, query, r->dim);
}

/* What the codes of x stand for. */
static void on_grid(const struct kernels *kernels, const struct quantizer *grid, const float *x,
                    uint32_t dim, uint8_t *code, float *to)
{
    int32_t norm;
    codes_encode_row(kernels, grid, x, dim, code, &norm);
    for (uint32_t i = 0; i < dim; i++) to[i] = grid->scale * (float)(code[i] - grid->zero);
}

static struct nearest *list_of(const struct pass *p, unsigned worker, uint32_t list, uint32_t query)
{
    size_t lists = 1 + (size_t)p->grid_count;
    return &p->nearest[((size_t)worker * lists + list) * p->query_count + query];
}

static void pass_row(struct pass *p, unsigned worker, uint32_t row, const float *x, uint8_t *code,
                     float *shown)
{
    const struct quality_rows *r = p->rows;
    for (uint32_t q = 0; q < p->query_count; q++)
        if (row != p->query_rows[q])
            nearest_offer(list_of(p, worker, 0, q), distance(r, x, p->queries + (size_t)q * r->dim),
                          row);
    for (uint32_t g = 0; g < p->grid_count; g++) {
        on_grid(r->kernels, &p->grids[g], x, r->dim, code, shown);
        const float *queries = p->coded + (size_t)g * p->query_count * r->dim;
        for (uint32_t q = 0; q < p->query_count; q++)
            if (row != p->query_rows[q])
                nearest_offer(list_of(p, worker, 1 + g, q),
                              distance(r, shown, queries + (size_t)q * r->dim), row);
    }
}

static void pass_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct pass *p = context;
    uint32_t dim = p->rows->dim;
    float *x = malloc(2 * (size_t)dim * sizeof *x);
    uint8_t *code = malloc(codes_bytes(dim));
    enum vdb_status status = x && code ? VDB_OK : VDB_NO_MEMORY;
    for (size_t row = begin; row < end && !status; row++) {
        status = p->rows->row_fn(p->rows->context, (uint32_t)row, x);
        if (!status) pass_row(p, worker, (uint32_t)row, x, code, x + dim);
    }
    if (status) __atomic_store_n(&p->status, status, __ATOMIC_RELAXED);
    free(x);
    free(code);
}

/* Brings all workers' lists together in the first one's. */
static void pass_merge(struct pass *p, unsigned workers)
{
    for (unsigned w = 1; w < workers; w++)
        for (uint32_t list = 0; list <= p->grid_count; list++)
            for (uint32_t q = 0; q < p->query_count; q++) {
                const struct nearest *from = list_of(p, w, list, q);
                for (uint32_t i = 0; i < from->count; i++)
                    nearest_offer(list_of(p, 0, list, q), from->items[i].key, from->items[i].row);
            }
}

/* How many of a query's nearest rows are among `count` rows; by distance, so that ties are equal.
 */
static enum vdb_status count_hits(const struct pass *p, uint32_t query, const uint32_t *rows,
                                  uint32_t count, uint32_t *hits)
{
    const struct quality_rows *r = p->rows;
    const struct nearest *exact = list_of(p, 0, 0, query);
    float *x = malloc((size_t)r->dim * sizeof *x);
    enum vdb_status status = x ? VDB_OK : VDB_NO_MEMORY;
    *hits = 0;
    for (uint32_t i = 0; i < count && *hits < exact->count && !status; i++) {
        if (rows[i] == p->query_rows[query]) continue;
        status = r->row_fn(r->context, rows[i], x);
        double key = status ? 0 : distance(r, x, p->queries + (size_t)query * r->dim);
        *hits += !status && key <= exact->items[exact->count - 1].key;
    }
    free(x);
    return status;
}

/* Gives the rows that stand for a query's answer; *count of them, at most QUALITY_EFFORT. */
typedef enum vdb_status (*answer_fn)(const struct pass *p, void *context, uint32_t query,
                                     uint32_t *rows, uint32_t *count, struct vdb_error *err);

static enum vdb_status share_found(const struct pass *p, answer_fn answer, void *context,
                                   double *recall, struct vdb_error *err)
{
    uint32_t found = 0, all = 0, rows[QUALITY_EFFORT], count, hits;
    enum vdb_status status = VDB_OK;
    for (uint32_t q = 0; q < p->query_count && !status; q++) {
        status = answer(p, context, q, rows, &count, err);
        if (!status) status = count_hits(p, q, rows, count, &hits);
        if (status) break;
        found += hits;
        all += list_of(p, 0, 0, q)->count;
    }
    *recall = all ? (double)found / all : 1;
    return status;
}

static enum vdb_status answer_of_window(const struct pass *p, void *context, uint32_t query,
                                        uint32_t *rows, uint32_t *count, struct vdb_error *err)
{
    (void)err;
    const struct nearest *window = list_of(p, 0, 1 + *(const uint32_t *)context, query);
    *count = window->count;
    for (uint32_t i = 0; i < window->count; i++) rows[i] = window->items[i].row;
    return VDB_OK;
}

static enum vdb_status pass_prepare(struct pass *p, unsigned workers)
{
    const struct quality_rows *r = p->rows;
    size_t values = (size_t)p->query_count * r->dim;
    size_t lists = (size_t)workers * (1 + p->grid_count) * p->query_count;
    p->queries = malloc(values * sizeof *p->queries);
    p->coded = malloc((values * p->grid_count + 1) * sizeof *p->coded);
    p->nearest = malloc(lists * sizeof *p->nearest);
    uint8_t *code = malloc(codes_bytes(r->dim));
    enum vdb_status status = p->queries && p->coded && p->nearest && code ? VDB_OK : VDB_NO_MEMORY;
    for (size_t i = 0; i < lists && !status; i++) p->nearest[i].count = 0;
    for (unsigned w = 0; w < workers && !status; w++)
        for (uint32_t list = 0; list <= p->grid_count; list++)
            for (uint32_t q = 0; q < p->query_count; q++)
                list_of(p, w, list, q)->cap = list ? QUALITY_WINDOW : QUALITY_NEAREST;
    for (uint32_t q = 0; q < p->query_count && !status; q++) {
        float *query = p->queries + (size_t)q * r->dim;
        p->query_rows[q] = (uint32_t)((uint64_t)q * r->rows / p->query_count);
        status = r->row_fn(r->context, p->query_rows[q], query);
        for (uint32_t g = 0; g < p->grid_count && !status; g++) {
            float *to = p->coded + (size_t)g * values + (size_t)q * r->dim;
            if (r->metric == VDB_METRIC_IP) /* a walk codes it on a grid of its own, and finer */
                memcpy(to, query, r->dim * sizeof *to);
            else
                on_grid(r->kernels, &p->grids[g], query, r->dim, code, to);
        }
    }
    free(code);
    return status;
}

/* Goes over all rows: the exact lists, and those of each grid. */
static enum vdb_status pass_run(struct pass *p)
{
    unsigned workers = p->rows->threads ? p->rows->threads : 1;
    p->query_count = p->rows->rows < QUERIES ? p->rows->rows : QUERIES;
    enum vdb_status status = pass_prepare(p, workers);
    if (status) return status;
    par_for(workers, p->rows->rows, CHUNK, pass_job, p);
    pass_merge(p, workers);
    return p->status;
}

static void pass_release(struct pass *p)
{
    free(p->queries);
    free(p->coded);
    free(p->nearest);
}

static enum vdb_status ended(enum vdb_status status, struct vdb_error *err)
{
    return status == VDB_NO_MEMORY ? error_no_memory(err) : status;
}

/* The recall of each grid, over all rows. */
static enum vdb_status measure(const struct quality_rows *r, const struct quantizer *grids,
                               uint32_t grid_count, double recall[], struct vdb_error *err)
{
    struct pass p = {.rows = r, .grids = grids, .grid_count = grid_count};
    enum vdb_status status = pass_run(&p);
    for (uint32_t g = 0; g < grid_count && !status; g++)
        status = share_found(&p, answer_of_window, &g, &recall[g], err);
    pass_release(&p);
    return ended(status, err);
}

/* ---- walks --------------------------------------------------------------------------------- */

struct walker {
    struct walk *walk;
    const struct codes *codes;
    const struct graph *graph;
};

static enum vdb_status answer_of_walk(const struct pass *p, void *context, uint32_t query,
                                      uint32_t *rows, uint32_t *count, struct vdb_error *err)
{
    const struct walker *w = context;
    const struct candidate *candidates;
    const float *values = p->queries + (size_t)query * p->rows->dim;
    enum vdb_status status = walk_prepare(w->walk, w->codes, p->rows->kernels, values, err);
    if (!status)
        status =
            walk_graph(w->walk, w->graph, QUALITY_EFFORT, QUALITY_EFFORT, &candidates, count, err);
    for (uint32_t i = 0; !status && i < *count; i++) rows[i] = candidates[i].row;
    return status;
}

enum vdb_status quality_walk(const struct quality_rows *r, const struct codes *codes,
                             const struct graph *graph, double *recall, struct vdb_error *err)
{
    struct pass p = {.rows = r};
    struct walker walker = {walk_create(), codes, graph};
    enum vdb_status status = walker.walk ? pass_run(&p) : VDB_NO_MEMORY;
    if (!status) status = share_found(&p, answer_of_walk, &walker, recall, err);
    walk_free(walker.walk);
    pass_release(&p);
    return ended(status, err);
}

/* ---- other grids --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Values of rows evenly spread, sorted. */
static enum vdb_status sample_values(const struct quality_rows *r, float **values, size_t *count,
                                     struct vdb_error *err)
{
    uint32_t rows = CLIP_SAMPLES / r->dim + 1;
    if (rows > r->rows) rows = r->rows;
    float *all = malloc((size_t)rows * r->dim * sizeof *all);
    enum vdb_status status = all ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < rows && !status; i++)
        status = r->row_fn(r->context, (uint32_t)((uint64_t)i * r->rows / rows),
                           all + (size_t)i * r->dim);
    if (status) {
        free(all);
        return status;
    }
    *count = (size_t)rows * r->dim;
    qsort(all, *count, sizeof *all, by_value);
    *values = all;
    return VDB_OK;
}

/* Grids that clip a ten-thousandth, a thousandth and a hundredth of the values on each side. */
static enum vdb_status clipped_grids(const struct quality_rows *r,
                                     struct quantizer grids[GRIDS_MAX], struct vdb_error *err)
{
    static const double shares[GRIDS_MAX] = {1e-4, 1e-3, 1e-2};
    float *values;
    size_t count;
    enum vdb_status status = sample_values(r, &values, &count, err);
    if (status) return status;
    for (int g = 0; g < GRIDS_MAX; g++) {
        size_t clip = (size_t)(shares[g] * (double)count);
        quantizer_cover(&grids[g], (double)values[clip], (double)values[count - 1 - clip]);
    }
    free(values);
    return VDB_OK;
}

static bool is_exact(const struct quantizer *q)
{
    return q->scale == 1.0f && (q->zero == 0 || q->zero == 128);
}

enum vdb_status quality_choose(const struct quality_rows *r, struct quantizer *quantizer,
                               double *recall, struct vdb_error *err)
{
    struct quantizer grids[GRIDS_MAX];
    double recalls[GRIDS_MAX];
    *recall = 1;
    enum vdb_status status =
        quantizer_train(quantizer, r->rows, r->dim, r->metric, r->row_fn, r->context, err);
    if (status || is_exact(quantizer)) return status;
    status = measure(r, quantizer, 1, recall, err);
    if (status || *recall >= GOOD_ENOUGH) return status;
    status = clipped_grids(r, grids, err);
    if (!status) status = measure(r, grids, GRIDS_MAX, recalls, err);
    double first = *recall;
    for (int g = 0; g < GRIDS_MAX && !status; g++) {
        if (recalls[g] < first + GAIN_MIN || recalls[g] <= *recall) continue;
        *quantizer = grids[g];
        *recall = recalls[g];
    }
    return status;
}
