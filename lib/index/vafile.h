/* vafile.h: rows by 8-bit codes, and which of them can be among the nearest to a query.
 *
 * After Weber, Schek and Blott, "A Quantitative Analysis and Performance Study for
 * Similarity-Search Methods in High-Dimensional Spaces" (VLDB 1998): approximations are scanned
 * from first to last, a lower bound of its distance rules a row out, and the stored vectors of what
 * remains are measured. Their cells have sides, of which bounds are sums; here it is the distance
 * between codes, which integer kernels give, less how far the row and the query are from theirs:
 * with x^ and q^ what the codes stand for, |q - x| >= |q^ - x^| - |q - q^| - |x - x^|. So no answer
 * is lost, and a scan by codes gives what a scan of the vectors would.
 *
 * Rows come in blocks of 16 and stay as they are: one thread at a time appends, any number read
 * the blocks below a count that they asked for, meanwhile and without a lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_VAFILE_H
#define VDB_INDEX_VAFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/codes.h"
#include "vdb.h"
#include "vector/kernel.h"

#define VAFILE_BLOCK 16
#define VAFILE_ROWS  1024 /* of one file, which has a grid of its own: data may drift */
#define VAFILE_SCAN  1024 /* rows at most that are scanned at a time */

struct vafile_space { /* what all rows of an index have in common */
    enum vdb_metric metric;
    enum vdb_type type;
    uint32_t dim;
    const struct kernels *kernels;
};

struct vafile {
    size_t bytes; /* of all this */
    struct quantizer grid;
    uint32_t count;         /* of rows: see vafile_count */
    uint32_t outlier_count; /* of rows that the grid does not reach: they are always measured */
    float slack;            /* the others are no farther from their codes, in steps of the grid */
    float longest;          /* ip: nor are their codes longer, in steps */
    uint16_t outliers[VAFILE_ROWS];
    int32_t norms[VAFILE_ROWS];
    _Alignas(64) uint8_t codes[]; /* in blocks, as kernels->blocks_u8i8 reads them */
};

/* Room for VAFILE_ROWS rows, none of them there yet. NULL: no memory. */
struct vafile *vafile_create(const struct vafile_space *space, const struct quantizer *grid);
void vafile_free(struct vafile *file);

/* What coding takes beside: codes_bytes(dim) and dim floats. */
struct vafile_scratch {
    uint8_t *code;
    float *x;
};

/* Sets the grid for rows like these n stored vectors; at most VAFILE_SAMPLE are looked at. Where
 * `before`, the grid of rows before these, or NULL, serves as well, that stays: queries are coded
 * anew for every other grid. */
#define VAFILE_SAMPLE 128
void vafile_train(const struct vafile_space *space, const uint8_t *const *vectors, uint32_t n,
                  const struct quantizer *before, struct vafile_scratch *scratch,
                  struct quantizer *grid);

/* Puts the dim numbers that are coded into x. False: there are none, the vector is not finite or
 * has no direction. */
bool vafile_load(const struct vafile_space *space, const uint8_t *vector, float *x);

/* Appends a block of stored vectors; there is room for it. What is not finite is an outlier. */
void vafile_append(struct vafile *file, const struct vafile_space *space,
                   const uint8_t *const vectors[VAFILE_BLOCK], struct vafile_scratch *scratch);

/* How many rows can be read: a multiple of VAFILE_BLOCK. */
static inline uint32_t vafile_count(const struct vafile *file)
{
    return __atomic_load_n(&file->count, __ATOMIC_ACQUIRE);
}

/* A query, as the codes of one grid have it. */
struct vafile_query {
    struct quantizer grid; /* scale 0: of none yet */
    int8_t *values;        /* codes_bytes(dim); the caller's memory */
    uint32_t base;
    double unit;    /* ip: what a product of the integers is worth */
    double outside; /* l2, cosine: the square of how far the query is from the grid's box */
    double off;     /* how far what it comes to there is from its code */
    double length;  /* ip */
    double shift;   /* ip: what the grid's zero adds to a sum of products */
};

/* Codes a query of finite values, under cosine of length 1, for the rows of `file`. What was coded
 * for the same grid stays: begin with {.values = ...} for every other query. */
void vafile_prepare(struct vafile_query *query, const struct vafile *file,
                    const struct vafile_space *space, const float *values);

static inline bool vafile_is_prepared(const struct vafile_query *query, const struct vafile *file)
{
    return query->grid.scale == file->grid.scale && query->grid.zero == file->grid.zero;
}

/* Puts the rows of [begin, begin + count) into rows[], room for count + 16, whose distance may be
 * `worst` or less, in what the metric orders by (l2: squares); returns how many they are. Outliers
 * may be among them or not. begin and count are multiples of VAFILE_BLOCK, count at most
 * VAFILE_SCAN. */
uint32_t vafile_scan(const struct vafile *file, const struct vafile_query *query,
                     const struct vafile_space *space, uint32_t begin, uint32_t count, double worst,
                     uint32_t *rows);

/* Puts into rows[], room for count + 16, `wanted` or some more of the rows of [begin, begin +
 * count) whose codes are nearest to the query; all where they are fewer. Returns how many they are.
 */
uint32_t vafile_nearest(const struct vafile *file, const struct vafile_query *query,
                        const struct vafile_space *space, uint32_t begin, uint32_t count,
                        uint32_t wanted, uint32_t *rows);

/* Of the n rows[], VAFILE_SCAN at most, those that vafile_scan would put there; they stay in order.
 * by_row has the codes of all rows, codes_bytes(dim) each. */
uint32_t vafile_filter(const struct vafile *file, const struct vafile_query *query,
                       const struct vafile_space *space, const uint8_t *by_row, double worst,
                       uint32_t *rows, uint32_t n);

/* Fetches what that will read. */
void vafile_filter_fetch(const struct vafile *file, const struct vafile_space *space,
                         const uint8_t *by_row, const uint32_t *rows, uint32_t n);

/* The outliers: those below a count that vafile_count gave, and maybe later ones. */
uint32_t vafile_outliers(const struct vafile *file, const uint16_t **rows);

#endif
