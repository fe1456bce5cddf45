/* margin.c: measuring the error of estimates.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/margin.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

#define QUERIES 128
#define NEAR    32 /* candidates a query */

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

static enum vdb_status measure_query(const struct quality_rows *r, const struct graph *graph,
                                     const struct codes *codes, struct walk *walk, uint32_t query,
                                     float *q, float *x, struct sums *sums, struct vdb_error *err)
{
    const struct candidate *near;
    uint32_t count = 0;
    enum vdb_status status = r->row_fn(r->context, query, q);
    if (!status) status = walk_prepare(walk, codes, r->kernels, q, err);
    if (!status) status = walk_graph(walk, graph, NEAR, NEAR, &near, &count, err);
    for (uint32_t i = 0; i < count && !status; i++) {
        if (near[i].row == query) continue;
        status = r->row_fn(r->context, near[i].row, x);
        if (status) break;
        double off = walk_estimate(walk, near[i].distance) - exact(r->metric, x, q, r->dim);
        sums->one += off;
        sums->square += off * off;
        sums->count++;
    }
    return status;
}

enum vdb_status margin_measure(const struct quality_rows *r, const struct graph *graph,
                               struct codes *codes, struct vdb_error *err)
{
    uint32_t queries = r->rows < QUERIES ? r->rows : QUERIES;
    struct sums sums = {0, 0, 0};
    struct walk *walk = walk_create();
    float *x = malloc(2 * (size_t)r->dim * sizeof *x);
    enum vdb_status status = walk && x ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < queries && !status; i++)
        status = measure_query(r, graph, codes, walk, (uint32_t)((uint64_t)i * r->rows / queries),
                               x + r->dim, x, &sums, err);
    walk_free(walk);
    free(x);
    if (status || sums.count == 0) return status;
    double mean = sums.one / sums.count, rest = sums.square / sums.count - mean * mean;
    codes->bias = (float)mean;
    codes->error = rest > 0 ? (float)sqrt(rest) : 0.0f;
    if (!isfinite(codes->bias) || !isfinite(codes->error)) /* beyond binary32: measure them all */
        codes->bias = 0, codes->error = 3e38f;
    return VDB_OK;
}
