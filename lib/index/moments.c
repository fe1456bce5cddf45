/* moments.c: second moments of rows, in tiles of dimensions.
 *
 * Owns nothing. Samples are packed by tiles first, as floats: read where they lie, each tile would
 * take a line here and there of all of them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/moments.h"

#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "base/par.h"

#define TILE       KERNEL_MOMENTS /* three tiles of doubles fit a cache of the first level */
#define LANES      8
#define PACK_CHUNK 256

struct moments {
    const struct kernels *kernels;
    const float *samples;
    size_t n, rows; /* all there are; those looked at */
    uint32_t dim, tiles;
    float *packed; /* [tiles][rows up to a multiple of TILE][TILE], zeros where there is nothing */
    double *square;
};

static size_t tile_floats(const struct moments *moments)
{
    return (moments->rows + TILE - 1) / TILE * TILE * TILE;
}

/* Rows first to last - 1. */
static void pack_job(void *context, unsigned worker, size_t first, size_t last)
{
    const struct moments *moments = context;
    (void)worker;
    for (size_t r = first; r < last; r++) {
        size_t row = (size_t)((uint64_t)r * moments->n / moments->rows);
        const float *x = moments->samples + row * moments->dim;
        for (size_t tile = 0; tile < moments->tiles; tile++) {
            size_t left = moments->dim - tile * TILE;
            memcpy(moments->packed + tile * tile_floats(moments) + r * TILE, x + tile * TILE,
                   (left < TILE ? left : TILE) * sizeof *x);
        }
    }
}

static inline void widen_block(const float *restrict x, double *restrict wide)
{
    for (size_t j = 0; j < LANES; j++) wide[j] = (double)x[j];
}

static void load_tile(const float *from, double *tile)
{
    for (size_t i = 0; i < TILE * TILE; i += LANES) widen_block(from + i, tile + i);
}

static void moments_tile(const struct moments *moments, size_t tile_i, size_t tile_j)
{
    double a[TILE * TILE], b[TILE * TILE], sum[TILE * TILE] = {0};
    size_t begin_i = tile_i * TILE, begin_j = tile_j * TILE, dim = moments->dim;
    size_t floats = tile_floats(moments);
    for (size_t first = 0; first < floats; first += TILE * TILE) {
        load_tile(moments->packed + tile_i * floats + first, a);
        if (tile_i != tile_j) load_tile(moments->packed + tile_j * floats + first, b);
        moments->kernels->add_moments(a, tile_i != tile_j ? b : a, sum);
    }
    for (size_t i = begin_i; i < begin_i + TILE && i < dim; i++)
        for (size_t j = begin_j; j < begin_j + TILE && j < dim; j++)
            moments->square[i * dim + j] = sum[(i - begin_i) * TILE + j - begin_j];
}

/* Tiles of the lower triangle, counted along its rows. */
static void moments_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct moments *moments = context;
    (void)worker;
    size_t i = 0, before = 0;
    for (size_t tile = begin; tile < end; tile++) {
        while (before + i + 1 <= tile) before += ++i;
        moments_tile(moments, i, tile - before);
    }
}

enum vdb_status moments_find(const struct kernels *kernels, const float *samples, size_t n,
                             size_t rows, uint32_t dim, unsigned threads, double *square,
                             struct vdb_error *err)
{
    struct moments moments = {.kernels = kernels,
                              .samples = samples,
                              .n = n,
                              .rows = rows,
                              .dim = dim,
                              .tiles = (dim + TILE - 1) / TILE,
                              .square = square};
    size_t bytes = (moments.tiles * tile_floats(&moments) + 1) * sizeof(float),
           tiles = moments.tiles;
    moments.packed = pages_alloc(bytes);
    if (!moments.packed) return error_no_memory(err);
    par_for(threads, moments.rows, PACK_CHUNK, pack_job, &moments);
    par_for(threads, tiles * (tiles + 1) / 2, 1, moments_job, &moments);
    pages_free(moments.packed, bytes);
    return VDB_OK;
}
