/* ivf.c: searching an inverted file.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/ivf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "index/beam.h"
#include "index/margin.h"
#include "index/space.h"
#include "vector/kernel_scan.h"

#define BATCH         32          /* survivors measured while as many are fetched */
#define SURVIVORS_MAX 0x40000000u /* twice as many and SPARE fit 32 bits */
#define SPARE         64          /* places of the reservoir beyond twice the survivors */
#define LISTS_AHEAD   8           /* whose entries are fetched */
#define LISTS_SORTED  16          /* scanned first, for a low limit; the others in any order */
#define BLOCKS        512         /* put together for a scan */

/* Survivors that are measured first, those of the least estimates (tests/bench/NOTES.md). */
#define FIRST(k) (2 * (uint64_t)(k) + 12)

static const uint32_t KS[3] = {1, 10, 100};

/* Of fewer lists than those with which survivors were counted as many fewer survive as the square
 * root of lists, but half of them at least (tests/bench/NOTES.md). */
#define LEAST_SHARE 0.5

/* ---- views --------------------------------------------------------------------------------- */

void ivf_init(struct ivf *ivf, const struct ivf_view *view, const struct ivf_vectors *from)
{
    const struct ivf_header *h = &view->h;
    *ivf = (struct ivf){
        .view = *view,
        .centroids = {.count = h->list_count,
                      .dim = h->dim,
                      .codes = view->centroids,
                      .norms = view->centroid_norms},
        .pq = {.codebook = view->codebook, .m = h->out_dim, .sub_dim = h->sub_dim},
        .codes = {.kind = CODES_8,
                  .metric = from->metric,
                  .rows = h->slot_count,
                  .dim = h->dim,
                  .code = view->slot_codes,
                  .code_stride = h->slot_code_stride,
                  .bytes = h->code_bytes,
                  .norm = view->norms,
                  .norm_stride = h->norm_stride,
                  .scale = h->scale,
                  .zero = h->zero,
                  .bias = h->bias,
                  .error = h->error},
        .by_row = !view->slot_codes,
    };
    if (view->matrix)
        ivf->pca = (struct pca){
            .matrix = view->matrix, .scales = view->matrix_scales, .dim = h->dim, .m = h->out_dim};
    if (!ivf->by_row) return;
    ivf->codes.rows = h->rows;
    ivf->codes.code = from->vectors;
    ivf->codes.code_stride = from->stride;
    ivf->codes.flip = from->type == VDB_TYPE_I8 ? 0x80 : 0;
}

uint32_t ivf_survivors(const struct ivf *ivf, uint32_t k, uint32_t effort)
{
    const uint32_t *known = ivf->view.h.survivors, lists = ivf->view.h.survivor_lists;
    if (ivf->view.h.list_count == 1) return effort > k ? effort : k;
    uint64_t survivors;
    if (k >= KS[2])
        survivors = (uint64_t)known[2] * k / KS[2];
    else if (k >= KS[1])
        survivors = known[1] + (uint64_t)(known[2] - known[1]) * (k - KS[1]) / (KS[2] - KS[1]);
    else
        survivors = known[0] + (uint64_t)(known[1] - known[0]) * (k - KS[0]) / (KS[1] - KS[0]);
    if (effort < lists && lists <= ivf->view.h.list_count) {
        double share = sqrt((double)effort / lists);
        survivors = (uint64_t)ceil((share > LEAST_SHARE ? share : LEAST_SHARE) * (double)survivors);
    }
    if (survivors < k) survivors = k;
    return survivors < UINT32_MAX ? (uint32_t)survivors : UINT32_MAX;
}

/* ---- scratch space ------------------------------------------------------------------------- */

struct ivf_scratch {
    uint64_t *nearest; /* of kmeans_nearest */
    size_t nearest_room;
    struct kernel_scan_block blocks[BLOCKS];
    float *y, *floats; /* P q, and what making the table takes */
    void *bytes;
    uint8_t *table;
    uint32_t floats_room, groups, out_dim, dim; /* what the four above have room for */
    uint32_t *slots;                            /* the reservoir: rows of the least estimates */
    float *estimates;                           /* and behind it room for as much again */
    uint32_t *rows, *distances;                 /* of survivors */
    uint32_t room;                              /* of the reservoir */
    struct ivf_work work;
};

struct ivf_scratch *ivf_scratch_create(void)
{
    return calloc(1, sizeof(struct ivf_scratch));
}

struct ivf_work ivf_work_done(const struct ivf_scratch *s)
{
    return s->work;
}

static void free_query(struct ivf_scratch *s)
{
    free(s->y);
    free(s->floats);
    free(s->bytes);
    free(s->table);
    s->y = s->floats = NULL;
    s->bytes = NULL;
    s->table = NULL;
    s->floats_room = s->groups = s->out_dim = s->dim = 0;
}

static void free_reservoir(struct ivf_scratch *s)
{
    free(s->slots);
    free(s->estimates);
    free(s->rows);
    free(s->distances);
    s->slots = s->rows = s->distances = NULL;
    s->estimates = NULL;
    s->room = 0;
}

void ivf_scratch_free(struct ivf_scratch *s)
{
    if (!s) return;
    free(s->nearest);
    free_query(s);
    free_reservoir(s);
    free(s);
}

static int reserve_query(struct ivf_scratch *s, const struct ivf *ivf)
{
    const struct ivf_header *h = &ivf->view.h;
    size_t floats = pq_scratch(h->out_dim, h->sub_dim);
    if (floats <= s->floats_room && ivf->view.groups <= s->groups && h->out_dim <= s->out_dim &&
        h->dim <= s->dim)
        return 1;
    free_query(s);
    s->y = malloc(h->out_dim * sizeof *s->y);
    s->floats = malloc(floats * sizeof *s->floats);
    s->bytes = malloc(5 * pca_stride(h->dim));
    s->table = aligned_alloc(64, 128 * (size_t)ivf->view.groups);
    if (!s->y || !s->floats || !s->bytes || !s->table) {
        free_query(s);
        return 0;
    }
    s->floats_room = (uint32_t)floats;
    s->groups = ivf->view.groups;
    s->out_dim = h->out_dim;
    s->dim = h->dim;
    return 1;
}

static int reserve_reservoir(struct ivf_scratch *s, uint32_t survivors)
{
    size_t room = 2 * (size_t)survivors + SPARE;
    if (room <= s->room) return 1;
    free_reservoir(s);
    s->slots = malloc(2 * room * sizeof *s->slots);
    s->estimates = malloc(2 * room * sizeof *s->estimates);
    s->rows = malloc(room * sizeof *s->rows);
    s->distances = malloc(room * sizeof *s->distances);
    if (!s->slots || !s->estimates || !s->rows || !s->distances) {
        free_reservoir(s);
        return 0;
    }
    s->room = (uint32_t)room;
    return 1;
}

static int reserve(struct ivf_scratch *s, const struct ivf *ivf, uint32_t survivors)
{
    size_t bytes = kmeans_scratch_bytes(ivf->centroids.count);
    if (bytes > s->nearest_room) {
        uint64_t *nearest = malloc(bytes);
        if (!nearest) return 0;
        free(s->nearest);
        s->nearest = nearest;
        s->nearest_room = bytes;
    }
    return reserve_query(s, ivf) && reserve_reservoir(s, survivors);
}

/* ---- the scan ------------------------------------------------------------------------------ */

/* What is left to be scanned of the lists at s->nearest. */
struct lists {
    uint32_t count, next, block; /* the next list, and the next block in it */
};

/* How many times what it means for users a distance is in estimates: of the squared distance of
 * vectors of length 1 their 1 - cosine is half. */
static double unit_of(const struct walk *walk)
{
    return walk->space.codes->metric == VDB_METRIC_COSINE ? 2 : 1;
}

static void put_blocks(const struct ivf_list *list, uint32_t begin, uint32_t count, size_t bytes,
                       float base, struct kernel_scan_block *to)
{
    const uint8_t *at = list->blocks + begin * bytes;
    uint32_t slot = list->first_slot + begin * VDB_IVF_BLOCK;
    for (struct kernel_scan_block *end = to + count; to < end; to++) {
        *to = (struct kernel_scan_block){at, slot, base};
        at += bytes;
        slot += VDB_IVF_BLOCK;
    }
}

/* Puts the next blocks together, so that short lists are scanned as fast as long ones; returns how
 * many. */
static uint32_t gather_blocks(struct ivf_scratch *s, const struct walk *walk, const struct ivf *ivf,
                              struct lists *lists)
{
    double unit = unit_of(walk);
    uint32_t n = 0;
    while (lists->next < lists->count && n < BLOCKS) {
        uint64_t key = s->nearest[lists->next];
        if (lists->count - lists->next > LISTS_AHEAD)
            __builtin_prefetch(&ivf->view.lists[(uint32_t)s->nearest[lists->next + LISTS_AHEAD]]);
        struct ivf_list list = ivf_view_list(&ivf->view, (uint32_t)key);
        float base = (float)(unit * walk_estimate(walk, (uint32_t)(key >> 32)));
        uint32_t left = list.block_count - lists->block, here = BLOCKS - n;
        if (here > left) here = left;
        put_blocks(&list, lists->block, here, ivf->view.block_bytes, base, s->blocks + n);
        lists->block += here;
        n += here;
        if (here < left) break;
        lists->block = 0;
        lists->next++;
        s->work.scanned += list.row_count;
        s->work.probed++;
    }
    return n;
}

static void scan_blocks(const struct kernels *kernels, struct kernel_scan *scan, uint32_t survivors)
{
    while (scan->block_count > 0) {
        uint32_t done = kernels->scan_u4(scan);
        scan->blocks += done;
        scan->block_count -= done;
        if (scan->block_count > 0) kernels->cut_scan(scan, survivors);
    }
}

static struct pq_query make_table(struct ivf_scratch *s, const struct kernels *kernels,
                                  const struct ivf *ivf, const float *query)
{
    struct pq pq = ivf->pq;
    struct pca pca = ivf->pca;
    struct pq_query table;
    pq.kernels = pca.kernels = kernels;
    if (ivf->view.matrix) pca_apply(&pca, query, s->y, s->bytes);
    pq_table(&pq, ivf->view.matrix ? s->y : query, s->floats, s->table, &table);
    return table;
}

/* All that is left of the lists, from the first `blocks` on, which were put together. */
static void scan_rest(struct ivf_scratch *s, const struct walk *walk, const struct ivf *ivf,
                      struct lists *lists, uint32_t blocks, uint32_t survivors,
                      struct kernel_scan *scan)
{
    for (; blocks > 0; blocks = gather_blocks(s, walk, ivf, lists)) {
        scan->blocks = s->blocks;
        scan->block_count = blocks;
        scan_blocks(walk->space.kernels, scan, survivors);
    }
}

/* The lists behind those that were scanned, as few as have so many rows or all. Were they doubled
 * instead until there are enough, few of them would end with more than many do. */
static void add_lists(struct ivf_scratch *s, const struct kernels *kernels, const struct ivf *ivf,
                      const struct kernel_query8 *probe, uint64_t rows, struct lists *lists)
{
    uint32_t all = ivf->centroids.count, n = lists->count;
    kmeans_nearest(&ivf->centroids, kernels, probe, all, all, s->nearest);
    for (uint64_t here = 0; here < rows && n < all; n++)
        here += ivf_view_list(&ivf->view, (uint32_t)s->nearest[n]).row_count;
    lists->count = n;
}

/* Leaves the survivors in the reservoir. */
static void scan_lists(struct ivf_scratch *s, const struct walk *walk, const struct ivf *ivf,
                       const float *query, const struct ivf_effort *effort,
                       struct kernel_scan *scan)
{
    const struct space *space = &walk->space;
    const struct ivf_header *h = &ivf->view.h;
    struct kernel_query8 probe = {.values = walk->probe.query,
                                  .base = space->inner ? 0x80000000u : walk->probe.base,
                                  .inner = space->inner};
    struct lists lists = {.count = kmeans_nearest(&ivf->centroids, space->kernels, &probe,
                                                  effort->lists, LISTS_SORTED, s->nearest)};
    uint64_t before = s->work.scanned;
    uint32_t survivors = effort->survivors;
    uint32_t blocks = gather_blocks(s, walk, ivf, &lists);
    for (uint32_t i = 0; i < blocks && i < KERNEL_SCAN_AHEAD; i++)
        kernel_scan_fetch(s->blocks[i].at, ivf->view.block_bytes);
    struct pq_query table = make_table(s, space->kernels, ivf, query);
    *scan = (struct kernel_scan){.groups = ivf->view.groups,
                                 .table = s->table,
                                 .unit_b = h->unit_b,
                                 .scale = table.scale * h->unit_f,
                                 .offset = table.offset * h->unit_f,
                                 .limit = INFINITY,
                                 .slots = s->slots,
                                 .estimates = s->estimates,
                                 .room = 2 * survivors + SPARE}; /* whatever was before */
    scan_rest(s, walk, ivf, &lists, blocks, survivors, scan);
    uint64_t scanned = s->work.scanned - before;
    uint64_t least = (uint64_t)effort->k * (h->flags & DISK_IVF_SPILLED ? 2 : 1);
    if (scanned < least && lists.count < h->list_count) {
        add_lists(s, space->kernels, ivf, &probe, least - scanned, &lists);
        scan_rest(s, walk, ivf, &lists, gather_blocks(s, walk, ivf, &lists), survivors, scan);
    }
    space->kernels->cut_scan(scan, survivors);
}

/* ---- survivors ----------------------------------------------------------------------------- */

/* Some of the reservoir, in its order. */
struct survivors {
    uint32_t *slots;
    float *estimates;
    uint32_t count;
};

/* Leaves out what only a damaged file has, and turns slots into what their codes go by. */
static void find_rows(struct ivf_scratch *s, const struct ivf *ivf, struct survivors *some)
{
    uint32_t rows = ivf->view.h.rows, n = 0;
    for (uint32_t i = 0; i < some->count; i++) {
        uint32_t row = ivf->view.slot_rows[some->slots[i]];
        s->rows[n] = row;
        some->slots[n] = ivf->by_row ? row : some->slots[i];
        some->estimates[n] = some->estimates[i];
        n += row < rows;
    }
    some->count = n;
}

static void offer(struct pool *pool, const uint32_t *rows, const uint32_t *distances, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = pool_key(distances[i], rows[i]);
        if (key >= pool->limit) continue;
        uint32_t at = pool_rank(pool->keys, pool->count, key); /* a row may be in two lists */
        if (at < pool->count && pool->keys[at] == key) continue;
        pool_insert(pool, key);
    }
}

/* Measures them by 8-bit codes, BATCH at a time; the codes of the next ones are fetched meanwhile.
 * Distances stay in s->distances. */
static void measure(struct ivf_scratch *s, struct walk *walk, const struct ivf *ivf,
                    struct survivors *some)
{
    find_rows(s, ivf, some);
    uint32_t n = some->count;
    space_prefetch(&walk->space, some->slots, n < BATCH ? n : BATCH);
    for (uint32_t i = 0; i < n; i += BATCH) {
        uint32_t left = n - i, here = left < BATCH ? left : BATCH, more = left - here;
        struct kernel_list list = {.rows = some->slots + i,
                                   .count = here,
                                   .ahead = some->slots + i + here,
                                   .ahead_count = more < BATCH ? more : BATCH};
        space_measure_list(&walk->space, &walk->probe, &list, s->distances + i);
        offer(&walk->pool, s->rows + i, s->distances + i, here);
    }
    s->work.survived += n;
}

/* What an estimate of a row that may be among the k nearest is not above: MARGIN_ERRORS times what
 * those of the rows measured so far were off by, beyond the k-th of these. */
static float limit_of(const struct ivf_scratch *s, const struct walk *walk,
                      const struct survivors *measured, uint32_t k)
{
    const struct pool *pool = &walk->pool;
    double unit = unit_of(walk), squares = 0;
    if (k > pool->capacity) k = pool->capacity;
    if (pool->count < k) return INFINITY;
    for (uint32_t i = 0; i < measured->count; i++) {
        double off = unit * walk_estimate(walk, s->distances[i]) - (double)measured->estimates[i];
        squares += off * off;
    }
    double reach = unit * walk_estimate(walk, pool_distance(pool->keys[k - 1]));
    double limit = reach + MARGIN_ERRORS * sqrt(squares / measured->count);
    return isnan(limit) ? INFINITY : (float)limit; /* of a damaged file */
}

/* Keeps those not above the limit, without the first `count` not above `bound`. */
static void keep_others(struct survivors *all, float bound, uint32_t count, float limit)
{
    uint32_t kept = 0, seen = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        float estimate = all->estimates[i];
        uint32_t near = estimate <= bound && seen < count;
        all->slots[kept] = all->slots[i];
        all->estimates[kept] = estimate;
        kept += !near && estimate <= limit;
        seen += near;
    }
    all->count = kept;
}

/* Measures the rows of the least estimates, and of the others those that may still be among the k
 * nearest then: there are as many survivors as the hardest queries need. */
static void measure_survivors(struct ivf_scratch *s, struct walk *walk, const struct ivf *ivf,
                              const struct kernel_scan *scan, uint32_t k)
{
    struct survivors all = {s->slots, s->estimates, scan->count};
    if (all.count / 2 < FIRST(k)) {
        measure(s, walk, ivf, &all);
        return;
    }
    struct survivors some = {s->slots + s->room, s->estimates + s->room, 0};
    memcpy(some.slots, all.slots, all.count * sizeof *all.slots);
    memcpy(some.estimates, all.estimates, all.count * sizeof *all.estimates);
    struct kernel_scan nearest = {
        .slots = some.slots, .estimates = some.estimates, .count = all.count, .room = all.count};
    walk->space.kernels->cut_scan(&nearest, (uint32_t)FIRST(k));
    some.count = nearest.count;
    measure(s, walk, ivf, &some);
    keep_others(&all, nearest.limit, nearest.count, limit_of(s, walk, &some, k));
    measure(s, walk, ivf, &all);
}

enum vdb_status ivf_search(struct ivf_scratch *s, struct walk *walk, const struct ivf *ivf,
                           const float *query, const struct ivf_effort *effort,
                           const struct candidate **candidates, uint32_t *count,
                           struct vdb_error *err)
{
    struct ivf_effort e = *effort;
    uint32_t slots = ivf->view.h.slot_count;
    enum vdb_status status = walk_check_rows(ivf->view.h.rows, err);
    if (status) return status;
    if (e.lists == 0) e.lists = 1;
    if (e.k == 0) e.k = 1;
    if (e.survivors > slots) e.survivors = slots;
    if (e.survivors > SURVIVORS_MAX) e.survivors = SURVIVORS_MAX;
    if (e.survivors == 0) e.survivors = 1;
    if (e.keep == 0) e.keep = 1;
    if (e.keep > e.survivors) e.keep = e.survivors + e.survivors / 8; /* a cut may leave so many */
    if (!reserve(s, ivf, e.survivors) || !walk_reserve_found(walk, e.keep))
        return error_no_memory(err);
    struct kernel_scan scan;
    scan_lists(s, walk, ivf, query, &e, &scan);
    pool_reset(&walk->pool, e.keep);
    measure_survivors(s, walk, ivf, &scan, e.k);
    *count = walk_take_found(walk, candidates);
    return VDB_OK;
}
