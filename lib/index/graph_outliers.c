/* graph_outliers.c: the rows that lie farthest out.
 *
 * They are the nearest to whatever lies beyond the rows, as queries of another kind do, and hardly
 * any list has them. As pivots all walks measure them: of the first 48,219 words of GloVe two are
 * among the ten nearest of 40% of rare words, and without them as pivots walks found them for half
 * of these.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/graph_build.h"

#define SHARE  16   /* of so many pivots, one */
#define SAMPLE 4096 /* rows whose mean is taken */

struct outliers {
    const struct space *space;
    struct probe mean;
    uint32_t *distances; /* a row */
};

/* Of rows evenly spread, by codes. */
static void find_mean(const struct space *space, struct probe *mean, uint64_t *sums)
{
    const struct codes *codes = space->codes;
    uint32_t sample = codes->rows < SAMPLE ? codes->rows : SAMPLE;
    for (uint32_t i = 0; i < sample; i++) {
        const uint8_t *code = space_code(space, (uint32_t)((uint64_t)i * codes->rows / sample));
        for (uint32_t j = 0; j < codes->dim; j++) sums[j] += (uint8_t)(code[j] ^ codes->flip);
    }
    memset(mean->query, 0, codes->bytes);
    mean->base = 0;
    for (uint32_t j = 0; j < codes->dim; j++) {
        uint32_t x = (uint32_t)(sums[j] / sample);
        mean->query[j] = (int8_t)((int32_t)x - 128);
        mean->base += x * x;
    }
}

static void measure_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    const struct outliers *o = context;
    for (size_t row = begin; row < end; row += 4) {
        uint32_t rows[4] = {0}, distances[4], n = 0;
        for (; n < 4 && row + n < end; n++) rows[n] = (uint32_t)(row + n);
        space_measure(o->space, &o->mean, rows, n, distances);
        memcpy(o->distances + row, distances, n * sizeof *distances);
    }
}

uint32_t outliers_among(const struct builder *builder, uint32_t pivot_count)
{
    if (builder->space.kind != SPACE_L2 || pivot_count > builder->distinct) return 0;
    return pivot_count / SHARE;
}

/* Those that are no pivots yet trade places with the last pivots that are none of them. */
enum vdb_status outliers_lead(const struct builder *builder, const uint32_t *outliers, uint32_t n,
                              uint32_t pivot_count, struct vdb_error *err)
{
    uint32_t *order = builder->order, at = pivot_count;
    uint8_t *is_outlier = calloc(builder->space.codes->rows, 1);
    if (!is_outlier) return error_no_memory(err);
    for (uint32_t i = 0; i < n; i++) is_outlier[outliers[i]] = 1;
    for (uint32_t i = pivot_count; i < builder->distinct; i++) {
        uint32_t row = order[i];
        if (!is_outlier[row]) continue;
        do at--;
        while (is_outlier[order[at]]);
        order[i] = order[at];
        order[at] = row;
    }
    free(is_outlier);
    return VDB_OK;
}

enum vdb_status outliers_find(const struct builder *builder, uint32_t count, uint32_t *rows,
                              struct vdb_error *err)
{
    const struct codes *codes = builder->space.codes;
    if (count == 0) return VDB_OK;
    struct outliers o = {.space = &builder->space,
                         .distances = malloc(codes->rows * sizeof *o.distances)};
    struct pool farthest = {.keys = malloc((count + (size_t)1) * sizeof *farthest.keys)};
    uint64_t *sums = calloc(codes->dim, sizeof *sums);
    o.mean.query = aligned_alloc(64, codes->bytes);
    bool got = o.distances && farthest.keys && sums && o.mean.query;
    if (got) {
        find_mean(&builder->space, &o.mean, sums);
        par_for(builder->workers, codes->rows, 1024, measure_job, &o);
        pool_reset(&farthest, count);
        for (uint32_t i = 0; i < builder->distinct; i++) {
            uint64_t key = pool_key(~o.distances[builder->order[i]], builder->order[i]);
            if (key < farthest.limit) pool_insert(&farthest, key);
        }
        for (uint32_t i = 0; i < count; i++) rows[i] = pool_row(farthest.keys[i]);
    }
    free(o.distances);
    free(farthest.keys);
    free(sums);
    free(o.mean.query);
    return got ? VDB_OK : error_no_memory(err);
}
