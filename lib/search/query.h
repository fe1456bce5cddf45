/* query.h: one query of a search while it runs: its values, and the best rows so far.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_QUERY_H
#define VDB_SEARCH_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "format/manifest.h"
#include "index/codes.h"
#include "search/topk.h"
#include "state/snapshot.h"
#include "vdb.h"
#include "vector/kernel.h"

struct query {
    const float *values;
    double squares; /* under cosine: their sum */
    float *unit;    /* under cosine: the values divided by their length, for codes */
    int8_t *codes;  /* room for index/flat.h */
    int8_t *coarse; /* and for index/vafile4.h, with floats */
    float *rotated;
    struct topk top;
};

enum vdb_status query_init(struct query *query, uint32_t dim, uint32_t k, struct vdb_error *err);
void query_release(struct query *query);

/* Begins query `number` of a batch. Errors: VDB_INVALID, naming it. */
enum vdb_status query_begin(struct query *query, const struct vdb_snapshot *snapshot,
                            const float *values, size_t number, struct vdb_error *err);

/* Measures a stored vector exactly and keeps the row if it is among the best. What rows are ordered
 * by is the metric's own distance, but for l2 its square. */
void query_offer(struct query *query, const struct vdb_snapshot *snapshot, uint32_t row,
                 const uint8_t *vector);

/* The metric's distance from what rows are ordered by. */
double query_distance(const struct vdb_snapshot *snapshot, double key);

#endif
