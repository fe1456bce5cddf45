/* kmeans_pass.c: measuring blocks of rows against tiles of centroids.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/kmeans_pass.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "index/lanes.h"

/* A tile of centroids stays in the first cache while a block of rows, which stays in the second,
 * goes past it. */
#define TILE_BYTES  16384
#define TILE_MIN    4 /* blocks, which kernels measure at once */
#define TILE_MAX    8
#define BLOCK_BYTES 131072
#define BLOCK_MIN   16
#define BLOCK_MAX   1024

static size_t tile_blocks(uint32_t dim)
{
    size_t blocks = TILE_BYTES / (64 * kernel_block_groups(dim)) / TILE_MIN * TILE_MIN;
    return blocks < TILE_MIN ? TILE_MIN : blocks > TILE_MAX ? TILE_MAX : blocks;
}

uint32_t kmeans_block_rows(size_t bytes)
{
    size_t rows = BLOCK_BYTES / (bytes ? bytes : 1);
    return rows < BLOCK_MIN ? BLOCK_MIN : rows > BLOCK_MAX ? BLOCK_MAX : (uint32_t)rows;
}

void pass_release(struct pass *pass)
{
    for (unsigned i = 0; pass->scratch && i < pass->workers; i++) {
        free(pass->scratch[i].queries);
        free(pass->scratch[i].bases);
        free(pass->scratch[i].list);
        free(pass->scratch[i].distance);
        free(pass->scratch[i].keys);
        free(pass->scratch[i].measured);
        free(pass->scratch[i].centroids);
    }
    free(pass->scratch);
    free(pass->neighbours);
}

enum vdb_status pass_init(struct pass *pass, const struct codes *codes,
                          const struct kernels *kernels, const struct kmeans_lists *lists,
                          unsigned threads, struct vdb_error *err)
{
    size_t rows = kmeans_block_rows(codes->bytes);
    *pass = (struct pass){.lists = *lists, .workers = par_threads(threads)};
    space_init(&pass->space, codes, kernels, SPACE_L2);
    pass->near = lists->count - 1 < NEIGHBOURS ? lists->count - 1 : NEIGHBOURS;
    pass->neighbours = malloc(((size_t)lists->count * pass->near + 1) * sizeof *pass->neighbours);
    pass->scratch = calloc(pass->workers, sizeof *pass->scratch);
    if (!pass->neighbours || !pass->scratch) return error_no_memory(err);
    for (unsigned i = 0; i < pass->workers; i++) {
        struct scratch *scratch = &pass->scratch[i];
        scratch->queries = aligned_alloc(64, rows * codes->bytes + 64);
        scratch->bases = malloc(rows * sizeof *scratch->bases);
        scratch->list = malloc(rows * sizeof *scratch->list);
        scratch->distance = malloc(rows * sizeof *scratch->distance);
        scratch->keys = malloc(kmeans_scratch_bytes(lists->count));
        scratch->measured = malloc(TILE_MAX * KMEANS_BLOCK * sizeof *scratch->measured);
        scratch->centroids = aligned_alloc(64, kmeans_codes_bytes(NEIGHBOURS + 1, codes->dim));
        if (!scratch->queries || !scratch->bases || !scratch->list || !scratch->distance ||
            !scratch->keys || !scratch->measured || !scratch->centroids)
            return error_no_memory(err);
    }
    return VDB_OK;
}

uint32_t pass_query(const struct space *space, uint32_t row, int8_t *queries)
{
    struct probe probe = {.query = queries};
    space_probe_row(space, row, &probe);
    return probe.base;
}

static void fetch_row(const struct space *space, uint32_t row)
{
    const uint8_t *code = space_code(space, row);
    for (size_t i = 0; i < space->codes->bytes; i += 64) __builtin_prefetch(code + i);
    __builtin_prefetch(space->codes->norm + row * space->codes->norm_stride);
}

void pass_queries(const struct pass *pass, const struct scratch *scratch, const uint32_t *places,
                  size_t first, size_t n)
{
    size_t stride = pass_code_bytes(pass);
    for (size_t i = 0; i < n; i++) {
        size_t ahead = i + PASS_AHEAD;
        if (ahead < n)
            fetch_row(&pass->space, pass_row(pass, places ? places[ahead] : first + ahead));
        uint32_t row = pass_row(pass, places ? places[i] : first + i);
        scratch->bases[i] = pass_query(&pass->space, row, scratch->queries + i * stride);
    }
}

/* The least of the distances to some blocks of centroids, the first of which is list `from`, where
 * it is below *distance. */
static void tile_nearest(const int32_t *measured, size_t blocks, uint32_t from, uint32_t *list,
                         uint32_t *distance)
{
    struct lanes lanes = lanes_load(measured);
    for (size_t b = 1; b < blocks; b++)
        lanes = lanes_least(lanes, lanes_load(measured + b * LANES));
    int32_t lane[LANES], least = lanes_least_one(lanes);
    uint32_t found = (uint32_t)least ^ LANES_ORDERED, first = UINT32_MAX;
    if (found >= *distance) return; /* nothing, or a tie with a lower list */
    lanes_store(lanes, lane);
    for (uint32_t i = 0; i < LANES; i++) {
        if (lane[i] != least) continue;
        uint32_t at = i;
        while (measured[at] != least) at += LANES;
        first = least_of(first, at);
    }
    *list = from + first;
    *distance = found;
}

void pass_block(const struct kmeans_lists *lists, const struct kernels *kernels,
                const struct scratch *scratch, size_t stride, size_t n, uint32_t from, uint32_t to,
                uint32_t *list, uint32_t *distance)
{
    size_t tile = tile_blocks(lists->dim), end = kmeans_blocks(to), here;
    int32_t *measured = scratch->measured;
    for (size_t block = from / KMEANS_BLOCK; block < end; block += here) {
        uint32_t first = (uint32_t)block * KMEANS_BLOCK;
        here = end - block < tile ? end - block : tile;
        for (size_t i = 0; i < n; i++) {
            struct kernel_query8 query = {.values = scratch->queries + i * stride,
                                          .base = scratch->bases[i] + LANES_ORDERED};
            measure_blocks(lists, kernels, &query, block, here, (uint32_t *)measured);
            for (size_t none = to - first; none < here * KMEANS_BLOCK; none++)
                measured[none] = INT32_MAX;
            tile_nearest(measured, here, first, &list[i], &distance[i]);
        }
    }
}

static void pass_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct pass *pass = context;
    const struct scratch *scratch = &pass->scratch[worker];
    size_t stride = pass_code_bytes(pass);
    pass_queries(pass, scratch, NULL, begin, end - begin);
    pass_block(&pass->lists, pass->space.kernels, scratch, stride, end - begin, pass->from,
               pass->to, pass->list + begin, pass->distance + begin);
}

void pass_run(struct pass *pass, uint32_t from, uint32_t to, size_t count)
{
    pass->from = from;
    pass->to = to;
    par_for(pass->workers, count, kmeans_block_rows(pass_code_bytes(pass)), pass_job, pass);
}

void pass_reset(struct pass *pass, size_t count)
{
    memset(pass->distance, 0xff, count * sizeof *pass->distance);
}

/* The lists nearest to each list, itself left out. */
static void neighbours_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct pass *pass = context;
    const struct kmeans_lists *lists = &pass->lists;
    const struct kernels *kernels = pass->space.kernels;
    struct scratch *scratch = &pass->scratch[worker];
    size_t groups = kernel_block_groups(lists->dim);
    for (size_t list = begin; list < end; list++) {
        memset(scratch->queries, 0, pass_code_bytes(pass));
        for (uint32_t i = 0; i < lists->dim; i++)
            scratch->queries[i] = (int8_t)(lists->codes[kernel_block_at(groups, list, i)] ^ 0x80);
        struct kernel_query8 query = {.values = scratch->queries};
        uint32_t self = measure_one(lists, kernels, &query, (uint32_t)list), n = 0;
        query.base = 0 - self;
        uint32_t found =
            kmeans_nearest(lists, kernels, &query, pass->near + 1, pass->near + 1, scratch->keys);
        struct neighbour *neighbours = pass->neighbours + list * pass->near;
        for (uint32_t i = 0; i < found && n < pass->near; i++) {
            uint64_t key = scratch->keys[i];
            if ((uint32_t)key != list)
                neighbours[n++] = (struct neighbour){(uint32_t)key, (uint32_t)(key >> 32)};
        }
    }
}

void pass_neighbours(struct pass *pass)
{
    par_for(pass->workers, pass->lists.count, 16, neighbours_job, pass);
}
