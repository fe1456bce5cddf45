/* margin.c: measuring the error of estimates.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/margin.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

#define QUERIES 128
#define NEAR    32  /* rows a query: the nearest, */
#define WINDOW  256 /* of so many that are so by their estimates */

#define NEAR_LISTS 4 /* of an inverted file, that they are sought in */

#define EXTRA    10
#define SHARE    2
#define EF_SHARE 16

uint32_t margin_candidates(uint32_t k, uint32_t ef)
{
    uint64_t n = (uint64_t)k + k / SHARE + EXTRA + ef / EF_SHARE;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint32_t margin_candidates_exact(uint32_t k, uint32_t ef)
{
    (void)ef;
    return k;
}

static double exact(enum vdb_metric metric, const float *x, const float *q, uint32_t dim)
{
    double dot = 0, square = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double a = (double)x[i], b = (double)q[i];
        dot += a * b;
        square += (a - b) * (a - b);
    }
    if (metric == VDB_METRIC_L2) return square;
    return metric == VDB_METRIC_IP ? -dot : 1 - dot; /* under cosine rows are of length 1 */
}

struct sums {
    double one, square;
    uint32_t count;
};

/* What is measured: a graph over codes, or an inverted file with its own. */
struct measuring {
    const struct quality_rows *rows;
    const struct codes *codes;
    const struct graph *graph;
    const struct ivf *ivf; /* NULL: the graph */
    struct walk *walk;
    struct ivf_scratch *scratch;
    float *q, *x;
    struct found {
        double exact, estimate;
    } found[WINDOW];
    struct sums sums;
};

static enum vdb_status find_near(const struct measuring *m, const struct candidate **near,
                                 uint32_t *count, struct vdb_error *err)
{
    static const struct ivf_effort effort = {NEAR_LISTS, WINDOW, WINDOW, WINDOW};
    if (m->ivf) return ivf_search(m->scratch, m->walk, m->ivf, m->q, &effort, near, count, err);
    return walk_graph(m->walk, m->graph, WINDOW, WINDOW, near, count, err);
}

static int by_exact(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->exact != y->exact) return x->exact < y->exact ? -1 : 1;
    return (x->estimate > y->estimate) - (x->estimate < y->estimate);
}

/* What counts is by how much rows that are near seem farther. Of those whose estimates are the
 * least, most seem nearer than they are, all the more the coarser codes are. */
static enum vdb_status measure_query(struct measuring *m, uint32_t query, struct vdb_error *err)
{
    const struct quality_rows *r = m->rows;
    const struct candidate *near;
    uint32_t count = 0;
    enum vdb_status status = r->row_fn(r->context, query, m->q);
    if (!status) status = walk_prepare(m->walk, m->codes, r->kernels, m->q, err);
    if (!status) status = find_near(m, &near, &count, err);
    uint32_t n = 0;
    for (uint32_t i = 0; i < count && !status; i++) {
        if (near[i].row == query) continue;
        status = r->row_fn(r->context, near[i].row, m->x);
        if (status) break;
        m->found[n++] = (struct found){exact(r->metric, m->x, m->q, r->dim),
                                       walk_estimate(m->walk, near[i].distance)};
    }
    qsort(m->found, n, sizeof *m->found, by_exact);
    for (uint32_t i = 0; i < n && i < NEAR && !status; i++) {
        double off = m->found[i].estimate - m->found[i].exact;
        m->sums.one += off;
        m->sums.square += off * off;
        m->sums.count++;
    }
    return status;
}

static enum vdb_status measure(struct measuring *m, float *bias, float *error,
                               struct vdb_error *err)
{
    const struct quality_rows *r = m->rows;
    uint32_t queries = r->rows < QUERIES ? r->rows : QUERIES;
    *bias = *error = 0.0f;
    m->walk = walk_create();
    m->scratch = ivf_scratch_create();
    m->x = malloc(2 * (size_t)r->dim * sizeof *m->x);
    enum vdb_status status = m->walk && m->scratch && m->x ? VDB_OK : error_no_memory(err);
    if (!status) m->q = m->x + r->dim;
    for (uint32_t i = 0; i < queries && !status; i++)
        status = measure_query(m, (uint32_t)((uint64_t)i * r->rows / queries), err);
    walk_free(m->walk);
    ivf_scratch_free(m->scratch);
    free(m->x);
    if (status || m->sums.count == 0) return status;
    double mean = m->sums.one / m->sums.count, rest = m->sums.square / m->sums.count - mean * mean;
    *bias = (float)mean;
    *error = rest > 0 ? (float)sqrt(rest) : 0.0f;
    if (!isfinite(*bias) || !isfinite(*error)) /* beyond binary32: measure them all */
        *bias = 0, *error = 3e38f;
    return VDB_OK;
}

enum vdb_status margin_measure(const struct quality_rows *rows, const struct graph *graph,
                               struct codes *codes, struct vdb_error *err)
{
    struct measuring m = {.rows = rows, .codes = codes, .graph = graph};
    return measure(&m, &codes->bias, &codes->error, err);
}

enum vdb_status margin_measure_ivf(const struct quality_rows *rows, const struct ivf *ivf,
                                   float *bias, float *error, struct vdb_error *err)
{
    struct measuring m = {.rows = rows, .codes = &ivf->codes, .ivf = ivf};
    return measure(&m, bias, error, err);
}
