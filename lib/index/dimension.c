/* dimension.c: estimating the intrinsic dimension and the hubness.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/dimension.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/par.h"
#include "index/beam.h"

#define QUERIES 64
#define NEAREST 100
#define LEAST   10      /* neighbours at different distances that an estimate asks for */
#define LN_2    45426ll /* ln 2 in units of 2^-16 */

/* log2(x) in units of 2^-16, rounded down; x is not 0. Its fraction comes bit by bit, by squaring.
 */
static uint32_t log2_fixed(uint32_t x)
{
    uint32_t whole = 31u - (uint32_t)__builtin_clz(x), fraction = 0;
    uint64_t y = (uint64_t)x << (31 - whole); /* in [1, 2), in units of 2^-31 */
    for (int bit = 15; bit >= 0; bit--) {
        y = y * y >> 31;
        if (y >> 32) {
            fraction |= 1u << bit;
            y >>= 1;
        }
    }
    return whole << 16 | fraction;
}

struct estimate {
    struct space space;
    uint32_t rows, queries;
    uint64_t logs[QUERIES];   /* of each row: the sum of log2 of squared ratios, 2^-16 */
    uint32_t counts[QUERIES]; /* and of how many */
    int failed;
};

/* The NEAREST other rows, at distances above 0. */
static void find_nearest(const struct estimate *e, const struct probe *probe, struct pool *pool)
{
    pool_reset(pool, NEAREST);
    for (uint32_t row = 0; row < e->rows; row += 4) {
        uint32_t rows[4] = {0}, distances[4], n = 0;
        for (; n < 4 && row + n < e->rows; n++) rows[n] = row + n;
        space_measure(&e->space, probe, rows, n, distances);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t key = pool_key(distances[i], rows[i]);
            if (distances[i] && key < pool->limit) pool_insert(pool, key);
        }
    }
}

static void estimate_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct estimate *e = context;
    uint64_t keys[NEAREST + 1];
    struct pool pool = {.keys = keys};
    struct walk *walk = walk_create();
    if (!walk || !walk_reserve_probe(walk, e->space.codes->bytes)) {
        __atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
        walk_free(walk);
        return;
    }
    for (size_t q = begin; q < end; q++) {
        space_probe_row(&e->space, (uint32_t)((uint64_t)q * e->rows / e->queries), &walk->probe);
        find_nearest(e, &walk->probe, &pool);
        if (pool.count < LEAST) continue;
        uint32_t farthest = log2_fixed(pool_distance(keys[pool.count - 1]));
        for (uint32_t i = 0; i + 1 < pool.count; i++)
            e->logs[q] += farthest - log2_fixed(pool_distance(keys[i]));
        e->counts[q] = pool.count - 1;
    }
    walk_free(walk);
}

enum vdb_status dimension_estimate(const struct codes *codes, const struct kernels *kernels,
                                   unsigned threads, uint32_t *thousandths, struct vdb_error *err)
{
    struct estimate e = {.rows = codes->rows,
                         .queries = codes->rows < QUERIES ? codes->rows : QUERIES};
    space_init(&e.space, codes, kernels, SPACE_L2);
    par_for(par_threads(threads), e.queries, 1, estimate_job, &e);
    if (e.failed) return error_no_memory(err);
    uint64_t logs = 0, count = 0;
    for (uint32_t q = 0; q < e.queries; q++) {
        logs += e.logs[q];
        count += e.counts[q];
    }
    /* ln of a ratio of distances is half of ln 2 times log2 of that of their squares. */
    uint64_t sum = logs * LN_2 >> 17;
    *thousandths = sum ? (uint32_t)(count * 1000 * 65536 / sum) : 0;
    return VDB_OK;
}

/* ---- hubness ------------------------------------------------------------------------------- */

struct hubs {
    struct space space;
    uint32_t sample;
    uint32_t rows[HUBNESS_ROWS];
    uint32_t counts[HUBNESS_ROWS]; /* how many have the row among their nearest */
    int failed;
};

/* The entries of the pool are places in the sample, counted from the row's own on: of several that
 * are as near, which are kept differs from row to row, or the first of them would become a hub. */
static void find_sampled(const struct hubs *h, uint32_t own, const struct probe *probe,
                         struct pool *pool)
{
    pool_reset(pool, HUBNESS_NEAREST);
    for (uint32_t at = 0; at < h->sample; at += 4) {
        uint32_t distances[4], n = h->sample - at < 4 ? h->sample - at : 4;
        space_measure(&h->space, probe, h->rows + at, n, distances);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t place = at + i < own ? at + i + h->sample - own : at + i - own;
            uint64_t key = pool_key(distances[i], place);
            if (distances[i] && key < pool->limit) pool_insert(pool, key);
        }
    }
}

static void hubs_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct hubs *h = context;
    uint64_t keys[HUBNESS_NEAREST + 1];
    struct pool pool = {.keys = keys};
    struct walk *walk = walk_create();
    if (!walk || !walk_reserve_probe(walk, h->space.codes->bytes)) {
        __atomic_store_n(&h->failed, 1, __ATOMIC_RELAXED);
        walk_free(walk);
        return;
    }
    for (size_t own = begin; own < end; own++) {
        space_probe_row(&h->space, h->rows[own], &walk->probe);
        find_sampled(h, (uint32_t)own, &walk->probe, &pool);
        for (uint32_t i = 0; i < pool.count; i++) {
            uint32_t place = (uint32_t)((pool_row(keys[i]) + own) % h->sample);
            __atomic_fetch_add(&h->counts[place], 1, __ATOMIC_RELAXED);
        }
    }
    walk_free(walk);
}

/* The sums stay below 2^59: the counts are HUBNESS_ROWS numbers, below that, and their sum is at
 * most HUBNESS_NEAREST times that. */
static int32_t skewness(const uint32_t *counts, uint32_t n)
{
    int64_t sums[3] = {0};
    for (uint32_t i = 0; i < n; i++) {
        int64_t count = counts[i];
        sums[0] += count;
        sums[1] += count * count;
        sums[2] += count * count * count;
    }
    int64_t second = n * sums[1] - sums[0] * sums[0]; /* n^2 times the central moment */
    int64_t third = n * (n * sums[2] - 3 * sums[0] * sums[1]) + 2 * sums[0] * sums[0] * sums[0];
    if (second == 0) return 0;
    double spread = (double)second * sqrt((double)second);
    return (int32_t)floor((double)third / spread * 1000 + 0.5);
}

enum vdb_status hubness_estimate(const struct codes *codes, const struct kernels *kernels,
                                 unsigned threads, int32_t *thousandths, struct vdb_error *err)
{
    struct hubs *h = calloc(1, sizeof *h);
    if (!h) return error_no_memory(err);
    h->sample = codes->rows < HUBNESS_ROWS ? codes->rows : HUBNESS_ROWS;
    space_init(&h->space, codes, kernels, SPACE_L2);
    for (uint32_t i = 0; i < h->sample; i++)
        h->rows[i] = (uint32_t)((uint64_t)i * codes->rows / h->sample);
    par_for(par_threads(threads), h->sample, 64, hubs_job, h);
    int failed = h->failed;
    *thousandths = skewness(h->counts, h->sample);
    free(h);
    return failed ? error_no_memory(err) : VDB_OK;
}
