/* quality.h: whether codes keep who is near whom, measured on the rows themselves.
 *
 * One scale serves all rows, so a few far values, heavy tails, or more rows than the grid has
 * places can make codes worthless, and no effort in walking mends that. So the grid is judged
 * before it is used: some rows are taken as queries, and it is counted how many of their nearest
 * rows are found among the nearest by codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_QUALITY_H
#define VDB_INDEX_QUALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/codes.h"
#include "index/graph.h"
#include "vdb.h"
#include "vector/kernel.h"

struct quality_rows {
    uint32_t rows, dim;
    size_t stride; /* bytes from one stored vector to the next */
    enum vdb_metric metric;
    quantizer_row_fn row_fn; /* safe to call from several threads */
    void *context;
    const struct kernels *kernels;
    unsigned threads;
    bool coarse; /* 8-bit codes do not tell which rows are near, as far as that is known */
};

/* Chooses scale and zero: as quantizer_train does, or with more of the values clipped where that is
 * measured to be better. *recall is the share, 0 to 1, of the QUALITY_NEAREST nearest rows that are
 * among the QUALITY_WINDOW nearest by codes. The same rows give the same result on any CPU and for
 * any number of threads. Errors: VDB_NO_MEMORY, and what row_fn returns. */
#define QUALITY_NEAREST 10
#define QUALITY_WINDOW  64
enum vdb_status quality_choose(const struct quality_rows *rows, struct quantizer *quantizer,
                               double *recall, struct vdb_error *err);

/* The share of the nearest rows that walks of QUALITY_EFFORT find on a finished graph: what effort
 * can reach, not what it costs. */
#define QUALITY_EFFORT 512
enum vdb_status quality_walk(const struct quality_rows *rows, const struct codes *codes,
                             const struct graph *graph, double *recall, struct vdb_error *err);

#endif
