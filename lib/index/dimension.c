/* dimension.c: estimating the intrinsic dimension and the hubness.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/dimension.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/par.h"
#include "index/pool.h"
#include "index/tiles.h"

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

/* ---- the nearest of some rows -------------------------------------------------------------- */

/* Rows that are held against one another: so many at a time, as a worker's share. */
#define GROUP 16
#define BLOCK 64

struct finder { /* a worker's scratch space */
    struct tiles packed, asked;
    uint32_t distances[KERNEL_TILE_QUERIES * BLOCK];
    uint64_t keys[GROUP][NEAREST + 1];
    struct pool pools[GROUP];
};

/* What nearest rows are sought among. */
struct among {
    const struct space *space;
    const uint32_t *rows; /* NULL: all there are */
    uint32_t count;
    bool turned; /* keys hold places among them, counted from that of the row itself on */
};

static struct finder *finder_create(const struct space *space)
{
    struct finder *f = calloc(1, sizeof *f);
    if (f && tiles_alloc(&f->packed, space, BLOCK, true, false) &&
        tiles_alloc(&f->asked, space, GROUP, false, true))
        return f;
    if (f) tiles_free(&f->packed), tiles_free(&f->asked);
    free(f);
    return NULL;
}

static void finder_free(struct finder *f)
{
    if (!f) return;
    tiles_free(&f->packed);
    tiles_free(&f->asked);
    free(f);
}

/* Those at distances above 0. Of several that are as near, which are kept differs from row to row
 * where places are turned, or the first of them would become a hub. */
static void offer(const struct among *among, struct pool *pool, uint32_t own, uint32_t begin,
                  const uint32_t *distances, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = begin + i;
        if (among->turned) place += place < own ? among->count - own : 0 - own;
        uint64_t key = pool_key(distances[i], place);
        if (distances[i] && key < pool->limit) pool_insert(pool, key);
    }
}

/* The `nearest` rows nearest to each of n, up to GROUP, the first of which is at place `first`. */
static void find_nearest(struct finder *f, const struct among *among, const uint32_t *asked,
                         uint32_t first, uint32_t n, uint32_t nearest)
{
    const struct space *space = among->space;
    for (uint32_t q = 0; q < n; q++) {
        tiles_query(&f->asked, space, q, asked[q]);
        f->pools[q].keys = f->keys[q];
        pool_reset(&f->pools[q], nearest);
    }
    for (uint32_t begin = 0; begin < among->count; begin += BLOCK) {
        uint32_t rows[BLOCK], left = among->count - begin, here = left < BLOCK ? left : BLOCK;
        for (uint32_t i = 0; i < here; i++)
            rows[i] = among->rows ? among->rows[begin + i] : begin + i;
        space_prefetch(space, rows, here);
        for (uint32_t i = 0; i < here; i++) tiles_pack(&f->packed, space, i, rows[i]);
        for (uint32_t q = 0; q < n; q += KERNEL_TILE_QUERIES) {
            struct kernel_tile tile;
            tiles_measure(&f->packed, here, &f->asked, q, space, f->distances, &tile);
            for (uint32_t j = 0; j < KERNEL_TILE_QUERIES && q + j < n; j++)
                offer(among, &f->pools[q + j], first + q + j, begin,
                      tile.distances + j * tile.stride, here);
        }
    }
}

/* ---- dimension ----------------------------------------------------------------------------- */

struct estimate {
    struct space space;
    uint32_t rows, queries;
    uint64_t logs[QUERIES];   /* of each row: the sum of log2 of squared ratios, 2^-16 */
    uint32_t counts[QUERIES]; /* and of how many */
    int failed;
};

static void add_logs(struct estimate *e, const struct pool *pool, size_t query)
{
    if (pool->count < LEAST) return;
    uint32_t farthest = log2_fixed(pool_distance(pool->keys[pool->count - 1]));
    for (uint32_t i = 0; i + 1 < pool->count; i++)
        e->logs[query] += farthest - log2_fixed(pool_distance(pool->keys[i]));
    e->counts[query] = pool->count - 1;
}

static void estimate_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct estimate *e = context;
    struct among among = {.space = &e->space, .count = e->rows};
    struct finder *f = finder_create(&e->space);
    if (!f) {
        __atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    uint32_t asked[GROUP] = {0}, n = (uint32_t)(end - begin);
    for (uint32_t q = 0; q < n; q++)
        asked[q] = (uint32_t)((uint64_t)(begin + q) * e->rows / e->queries);
    find_nearest(f, &among, asked, 0, n, NEAREST);
    for (uint32_t q = 0; q < n; q++) add_logs(e, &f->pools[q], begin + q);
    finder_free(f);
}

enum vdb_status dimension_estimate(const struct codes *codes, const struct kernels *kernels,
                                   unsigned threads, uint32_t *thousandths, struct vdb_error *err)
{
    struct estimate e = {.rows = codes->rows,
                         .queries = codes->rows < QUERIES ? codes->rows : QUERIES};
    space_init(&e.space, codes, kernels, SPACE_L2);
    par_for(par_threads(threads), e.queries, GROUP, estimate_job, &e);
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

static void hubs_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct hubs *h = context;
    struct among among = {&h->space, h->rows, h->sample, true};
    struct finder *f = finder_create(&h->space);
    if (!f) __atomic_store_n(&h->failed, 1, __ATOMIC_RELAXED);
    for (size_t own = begin, n; own < end && f; own += n) {
        n = end - own < GROUP ? end - own : GROUP;
        find_nearest(f, &among, h->rows + own, (uint32_t)own, (uint32_t)n, HUBNESS_NEAREST);
        for (size_t q = 0; q < n; q++)
            for (uint32_t i = 0; i < f->pools[q].count; i++) {
                uint32_t place = (uint32_t)((pool_row(f->pools[q].keys[i]) + own + q) % h->sample);
                __atomic_fetch_add(&h->counts[place], 1, __ATOMIC_RELAXED);
            }
    }
    finder_free(f);
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
