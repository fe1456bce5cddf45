/* kmeans.h: clustering rows by their 8-bit codes, and finding the clusters near a query.
 *
 * The distance is sum (c - q)^2 of codes, whatever the metric, and a centroid is the mean of its
 * rows rounded to the grid of codes: all is integers, and the same rows give the same lists for any
 * number of threads and any kernel set.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_KMEANS_H
#define VDB_INDEX_KMEANS_H

#include <stddef.h>
#include <stdint.h>

#include "index/codes.h"
#include "vdb.h"
#include "vector/kernel.h"

#define KMEANS_NO_LIST 0xffffffffu

struct kmeans_params {
    uint32_t lists;      /* 1 to the number of rows */
    uint32_t sample;     /* rows to train on, at most; at least `lists` are taken. 0: 160 a list */
    uint32_t iterations; /* 0: 10, from seeds 8 */
    /* Centroids to begin with, seed_count times codes->bytes, of flip 0. More than are begun with
     * are left out at the end; NULL: they are drawn from the rows. */
    const uint8_t *seeds;
    uint32_t seed_count;
    unsigned threads;         /* 0: as many as there are processors */
    vdb_progress_fn progress; /* may be NULL; returning nonzero ends the work: VDB_CANCELLED */
    void *context;
};

/* Centroids are codes of flip 0, and stand in blocks of KMEANS_BLOCK by dimensions, as
 * kernels->blocks_u8i8 reads them, with zeros beyond dim and in places without a list: a query
 * meets them all, and so they are measured without a sum over lanes, and more of them stay in the
 * caches. */
#define KMEANS_BLOCK 16

struct kmeans_lists { /* a view; owns nothing */
    uint32_t count, dim;
    const uint8_t *codes; /* kmeans_codes_bytes of them */
    const int32_t *norms; /* one a place, as codes_norm has them; 0 where there is no list */
};

static inline uint32_t kmeans_blocks(uint32_t lists)
{
    return lists / KMEANS_BLOCK + (lists % KMEANS_BLOCK != 0);
}

static inline size_t kmeans_places(uint32_t lists)
{
    return (size_t)kmeans_blocks(lists) * KMEANS_BLOCK;
}

static inline size_t kmeans_codes_bytes(uint32_t lists, uint32_t dim)
{
    return 64 * kernel_block_groups(dim) * kmeans_blocks(lists);
}

/* One centroid of those at `codes`, from and to `dim` codes in a row. */
static inline void kmeans_get(const uint8_t *codes, uint32_t dim, uint32_t list, uint8_t *code)
{
    for (uint32_t i = 0; i < dim; i++)
        code[i] = codes[kernel_block_at(kernel_block_groups(dim), list, i)];
}

static inline void kmeans_put(uint8_t *codes, uint32_t dim, uint32_t list, const uint8_t *code)
{
    for (uint32_t i = 0; i < dim; i++)
        codes[kernel_block_at(kernel_block_groups(dim), list, i)] = code[i];
}

/* Puts params->lists centroids into centroids[0..kmeans_codes_bytes) and their norms into
 * norms[0..kmeans_places). `codes` are CODES_8. Where fewer rows than lists differ, some lists have
 * the same centroid. Errors: VDB_INVALID (0 lists, or more than rows), VDB_CANCELLED,
 * VDB_NO_MEMORY. */
enum vdb_status kmeans_train(const struct codes *codes, const struct kernels *kernels,
                             const struct kmeans_params *params, uint8_t *centroids, int32_t *norms,
                             struct vdb_error *err);

/* first[row] becomes the list whose centroid is nearest, ties by lower list. second[row], unless
 * `second` is NULL, becomes another list to keep the row in as well: by SOAR (kmeans.c), and
 * KMEANS_NO_LIST of a single list. Both have room for all rows of `codes`, whose dim is that of the
 * lists. Of params only threads, progress and context are read. Errors: VDB_CANCELLED,
 * VDB_NO_MEMORY. */
enum vdb_status kmeans_assign(const struct codes *codes, const struct kernels *kernels,
                              const struct kmeans_lists *lists, const struct kmeans_params *params,
                              uint32_t *first, uint32_t *second, struct vdb_error *err);

/* second[] alone, as above, of rows whose first[] is known. */
enum vdb_status kmeans_second(const struct codes *codes, const struct kernels *kernels,
                              const struct kmeans_lists *lists, const struct kmeans_params *params,
                              uint32_t *first, uint32_t *second, struct vdb_error *err);

/* Brings centroids of rows of length 1 nearer to their mean length, as far as residuals allow, so
 * that the lists near to a query of length 1 are ordered by angle. `grid` is that of the rows'
 * codes: its dim, scale and zero are read. */
void kmeans_even_lengths(const struct codes *grid, uint32_t lists, uint8_t *centroids,
                         int32_t *norms);

/* What kmeans_nearest needs of scratch, in bytes, aligned to 8. */
size_t kmeans_scratch_bytes(uint32_t lists);

/* The min(n, lists->count) lists nearest to a query, whose number is returned: scratch[i] is
 * distance << 32 | list, the distance being that of kernels->blocks_u8i8. The first `sorted` are
 * the nearest, nearest first, ties by lower list; the others stand in any order, the same for all
 * kernel sets. query->flip is 0. */
uint32_t kmeans_nearest(const struct kmeans_lists *lists, const struct kernels *kernels,
                        const struct kernel_query8 *query, uint32_t n, uint32_t sorted,
                        uint64_t *scratch);

/* How uneven lists of sizes[0..lists) rows are: lists * sum size^2 / rows^2, which is 1 where all
 * are the same. A search that probes lists as rows fall into them reads so many times more rows
 * than of even ones. 0 without rows. */
double kmeans_imbalance(const uint32_t *sizes, uint32_t lists);

#endif
