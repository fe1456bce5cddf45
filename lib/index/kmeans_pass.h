/* kmeans_pass.h: which of some centroids is nearest to each of many rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_KMEANS_PASS_H
#define VDB_INDEX_KMEANS_PASS_H

#include <stddef.h>
#include <stdint.h>

#include "index/kmeans.h"
#include "index/space.h"

#define NEIGHBOURS 127 /* one less than whole blocks: a list and its neighbours fill these */
#define PASS_AHEAD 8   /* rows fetched ahead: those of a sample lie anywhere */

struct neighbour {
    uint32_t list, distance;
};

struct scratch {     /* a worker's */
    int8_t *queries; /* of a block's rows */
    uint32_t *bases;
    uint32_t *list, *distance; /* of the same: what is nearest among centroids copied together */
    uint64_t *keys;            /* for kmeans_nearest */
    int32_t *measured;         /* distances to the centroids of a tile, as lanes.h orders them */
    uint8_t *centroids;        /* NEIGHBOURS + 1 of them, in blocks */
    int32_t norms[NEIGHBOURS + 1];
};

/* Finding the nearest of the centroids `from` to `to` - 1 for each of some rows. */
struct pass {
    struct space space; /* of the rows */
    struct kmeans_lists lists;
    uint32_t from, to;
    const uint32_t *rows; /* the i-th is rows[i]; NULL: base + i */
    uint32_t base;
    uint32_t *list, *distance; /* of the i-th: the nearest so far */
    unsigned workers;
    struct scratch *scratch;
    uint32_t near;                /* neighbours of a list */
    struct neighbour *neighbours; /* `near` a list, nearest first */
};

static inline size_t pass_code_bytes(const struct pass *pass)
{
    return pass->space.codes->bytes;
}

static inline uint32_t pass_row(const struct pass *pass, size_t i)
{
    return pass->rows ? pass->rows[i] : pass->base + (uint32_t)i;
}

static inline uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Distances to all places of `blocks` blocks of centroids. */
static inline void measure_blocks(const struct kmeans_lists *lists, const struct kernels *kernels,
                                  const struct kernel_query8 *query, size_t block, size_t blocks,
                                  uint32_t *distances)
{
    size_t groups = kernel_block_groups(lists->dim);
    kernels->blocks_u8i8(lists->codes + 64 * groups * block, lists->norms + KMEANS_BLOCK * block,
                         blocks, groups, query, distances);
}

static inline uint32_t measure_one(const struct kmeans_lists *lists, const struct kernels *kernels,
                                   const struct kernel_query8 *query, uint32_t list)
{
    uint32_t distances[KMEANS_BLOCK];
    measure_blocks(lists, kernels, query, list / KMEANS_BLOCK, 1, distances);
    return distances[list % KMEANS_BLOCK];
}

/* How many rows are measured against all centroids in one go. */
uint32_t kmeans_block_rows(size_t bytes);

/* All memory but pass->list and pass->distance. pass_release is due after a failure, too. Errors:
 * VDB_NO_MEMORY. */
enum vdb_status pass_init(struct pass *pass, const struct codes *codes,
                          const struct kernels *kernels, const struct kmeans_lists *lists,
                          unsigned threads, struct vdb_error *err);
void pass_release(struct pass *pass);

/* Makes `row` the query at `queries`; returns its base. */
uint32_t pass_query(const struct space *space, uint32_t row, int8_t *queries);

/* Makes queries of the rows at places[0..n) of the pass, or where that is NULL of those from place
 * `first` on. */
void pass_queries(const struct pass *pass, const struct scratch *scratch, const uint32_t *places,
                  size_t first, size_t n);

/* For each of the n rows whose queries are in `scratch`, `stride` bytes apart: *list and *distance
 * become the nearest of the centroids `from` to `to` - 1, ties by lower list, where it is nearer
 * than *distance. Of those before `from` some may be found as well. */
void pass_block(const struct kmeans_lists *lists, const struct kernels *kernels,
                const struct scratch *scratch, size_t stride, size_t n, uint32_t from, uint32_t to,
                uint32_t *list, uint32_t *distance);

/* The same for rows 0 to count - 1 of the pass. */
void pass_run(struct pass *pass, uint32_t from, uint32_t to, size_t count);

/* Forgets what was nearest. All distances are below UINT32_MAX. */
void pass_reset(struct pass *pass, size_t count);

/* Fills pass->neighbours. */
void pass_neighbours(struct pass *pass);

#endif
