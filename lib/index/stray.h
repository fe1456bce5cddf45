/* stray.h: whether what a walk found is much farther from the query than from its own neighbours.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_STRAY_H
#define VDB_INDEX_STRAY_H

#include "index/graph.h"
#include "index/pool.h"
#include "index/space.h"

/* Bytes that stray_ratio has to be given for a row's probe; 0 where codes do not tell how far rows
 * are from each other. */
size_t stray_bytes(const struct space *space);

/* How many times as far, in squares of distances, the nearest rows of the pool but the first are
 * from the query as the first is from the rows that its list begins with, those that equal it
 * aside. Near 1 for queries that are like the rows, and the larger the more the walk may have ended
 * where nothing near is. 0 where too little was found to tell. `values`: stray_bytes() of them,
 * 64-byte aligned; there is at least one. */
double stray_ratio(const struct space *space, const struct graph *graph, const struct pool *pool,
                   int8_t *values);

#endif
