/* kernel.h: the inner loops over vectors, one table of them a kernel set.
 *
 * Every kernel of every set gives the same bits for the same input. Integer kernels do so by
 * nature. Float kernels widen each element to double, keep KERNEL_LANES running sums, element i
 * going to lane i % KERNEL_LANES, multiply and add without fusing, and add the lanes as a fixed
 * tree: lane j and lane j + width, for width = KERNEL_LANES / 2, ... 1.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_H
#define VDB_VECTOR_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

#define KERNEL_LANES   32
#define KERNEL_MOMENTS 32

/* Where the codes of rows lie, and what belongs to each. */
struct kernel_codes {
    const uint8_t *code;    /* of row 0 */
    const uint8_t *factors; /* of row 0 */
    size_t stride, factors_stride;
    size_t bytes;       /* of a code, a multiple of 64 */
    uint32_t lines;     /* cache lines of a code row that are worth fetching ahead */
    bool factors_apart; /* the factors do not lie in these */
};

/* Rows to measure, and rows to fetch meanwhile, which are measured next. */
struct kernel_list {
    const uint32_t *rows, *ahead;
    uint32_t count, ahead_count;
};

struct kernel_query8 {
    const int8_t *values; /* one a byte of a code */
    uint32_t base;
    uint8_t flip; /* 0 or 0x80 */
    bool inner;
};

struct kernel_query4 {
    const int8_t *values; /* those that the low halves meet, then those of the high halves */
    float scale, norm;
    int32_t offset;
    bool inner;
};

struct kernel_bound;
struct kernel_scan;
struct kernel_tile;

struct kernels {
    const char *name; /* "portable", "avx2", "avx512" */

    /* Codes. Sum over i < bytes of (code[i] ^ flip) * query[i], for four codes at once.
     * `bytes` is a multiple of 64; code rows need no alignment; flip is 0 or 0x80; the code is
     * taken as u8 after the flip, the query as i8. The true sums fit an i32. */
    void (*dot4_u8i8)(const uint8_t *const codes[4], const int8_t *query, size_t bytes,
                      uint8_t flip, int32_t sums[4]);
    int32_t (*dot_u8i8)(const uint8_t *code, const int8_t *query, size_t bytes, uint8_t flip);

    /* Distances of listed rows, modulo 2^32: norm - 2 * sum + base, the norm being the row's first
     * factor, an i32; or, where the query is `inner`, base - sum. The sum is that of dot_u8i8.
     * distances[] has room for list->count rounded up to a multiple of 4, and any of it may be
     * written. */
    void (*list_u8i8)(const struct kernel_codes *codes, const struct kernel_list *list,
                      const struct kernel_query8 *query, uint32_t *distances);

    /* Distances of packed rows to a few queries, as kernel_tile.h has it. */
    void (*tile_u8i8)(struct kernel_tile *tile);
    /* Puts the places of values up to `limit` into places[], room for n + 16, in order; returns how
     * many they are. */
    uint32_t (*select_u32)(const uint32_t *values, uint32_t n, uint32_t limit, uint32_t *places);
    /* Distances, as those of list_u8i8, of 16 * blocks rows whose codes stand by dimensions: a
     * block of 16 rows has 64 bytes for every 4 dimensions, 4 * r + j being dimension j of these of
     * row r. groups is how many fours of dimensions there are. query->flip is 0. Nothing needs
     * alignment. */
    void (*blocks_u8i8)(const uint8_t *codes, const int32_t *norms, size_t blocks, size_t groups,
                        const struct kernel_query8 *query, uint32_t *distances);

    /* Puts the numbers of those of 16 * blocks rows that a bound by 4-bit codes lets through, as
     * kernel_bound.h has it, into rows[], room for 16 more, in order; returns how many they are. */
    uint32_t (*bound_u4i8)(const struct kernel_bound *bound, uint32_t *rows);

    /* Codes n floats on a grid: code[i] = trunc(min(max(x[i] * inverse + zero, 0), 255) + 0.5), a
     * NaN giving 0. sums[0] and sums[1] become the sums of the codes and of their squares, modulo
     * 2^32. Nothing beyond n elements is read or written. */
    void (*encode_u8)(const float *x, size_t n, float inverse, float zero, uint8_t *code,
                      uint32_t sums[2]);

    /* Codes of 4 bits, two a byte. The sum is that over i < bytes of the low half of code[i] times
     * values[i] and the high half times values[bytes + i]; `bytes` is at most 32,768. With a row's
     * factors (norm, f), two binary32, and x = f * (scale * (2 * sum - offset)), which are rounded
     * one by one, its distance is (query's norm + norm) - x or 0 where that is not above 0; or,
     * where the query is `inner`, -(query's norm + 0.5 * x): as integers that order as floats do,
     * space_order in index/space.h. distances[] as in list_u8i8. */
    void (*list_u4i8)(const struct kernel_codes *codes, const struct kernel_list *list,
                      const struct kernel_query4 *query, uint32_t *distances);

    /* Stored vectors of each type against a query of n floats: sum of (x-q)^2, sum of x*q, and
     * sum of x*x. Neither pointer needs alignment; nothing beyond n elements is read. */
    double (*l2sq[5])(const void *x, const float *query, size_t n); /* by enum vdb_type */
    double (*dot[5])(const void *x, const float *query, size_t n);
    double (*sumsq[5])(const void *x, size_t n);

    /* sums[i][j] += a[r][i] * b[r][j] for r = 0, 1, ... KERNEL_MOMENTS - 1, each rounded: squares
     * of KERNEL_MOMENTS rows. */
    void (*add_moments)(const double *a, const double *b, double *sums);

    /* Rotates x[0..n), n above 0, in place, as rotation.h has it. */
    void (*rotate)(float *x, uint32_t n);

    /* Scans 4-bit codes by look-up tables, as kernel_scan.h has it, from the first block on.
     * Stops where all blocks are done or fewer than 16 places are left, and returns the number of
     * blocks done. */
    uint32_t (*scan_u4)(struct kernel_scan *scan);
    /* Keeps the least of what a scan has kept, as kernel_scan.h has it. */
    void (*cut_scan)(struct kernel_scan *scan, uint32_t wanted);
};

/* Blocks of 16 rows, as blocks_u8i8 reads them: their fours of dimensions, and where dimension i of
 * a row stands. */
static inline size_t kernel_block_groups(size_t dim)
{
    return dim / 4 + (dim % 4 != 0);
}

static inline size_t kernel_block_at(size_t groups, size_t row, size_t i)
{
    return 64 * (row / 16 * groups + i / 4) + 4 * (row % 16) + i % 4;
}

/* The set of that name, or, for NULL, the best that this CPU runs. VDB_UNSUPPORTED where the name
 * is not one of a set or the CPU lacks it; the message says which. */
enum vdb_status kernels_select(const char *name, const struct kernels **kernels,
                               struct vdb_error *err);

#endif
