/* ending.h: when a walk for the nearest rows ends, and which rows it need not keep.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_ENDING_H
#define VDB_INDEX_ENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "index/graph.h"
#include "index/pool.h"
#include "index/space.h"

/* A walk ends having expanded `least` rows, where the next is `stretch` times as far as the k-th
 * nearest; with `most` in any case. `keep` rows are wanted of it at least, if it meets as many. */
struct ending {
    uint32_t k, least, most, keep;
    double stretch; /* 0: `least` and `most` are one */

    /* For some rows: of those expanded and of the k nearest only these count. */
    const struct walk_filter *filter; /* NULL: all do */
    struct pool nearest;              /* the k nearest */
    uint32_t taken;                   /* how many were expanded, some of them too early */
    uint32_t look_far, look_most;     /* with how many it is to be looked at what they are worth */
    uint32_t turns;                   /* until it is looked at anew whether, */
    bool ample;                       /* of the `keep` nearest, enough count */
};

/* For the `k` nearest, 1 or more, with effort ef; a k of 0, without a filter, is none in
 * particular. `keys` has room for k + 1 if there is a filter. */
void ending_init(struct ending *ending, const struct space *space, const struct graph *graph,
                 uint32_t k, uint32_t ef, uint32_t keep, const struct walk_filter *filter,
                 uint64_t *keys);

/* Before each walk. */
void ending_begin(struct ending *ending);

/* Whether the walk whose pool this is ends before its next row, which there is. Where it does not,
 * rows that it will have no use for may leave the pool, and are not let in any more. */
bool ending_reached(struct ending *ending, const struct space *space, struct pool *pool);

/* A row that is to be let into the pool, and one that is expanded. */
static inline void ending_met(struct ending *ending, uint64_t key)
{
    const struct walk_filter *filter = ending->filter;
    if (filter && key < ending->nearest.limit && filter->counts(filter->context, pool_row(key)))
        pool_insert(&ending->nearest, key);
}

static inline void ending_take(struct ending *ending, uint32_t row)
{
    const struct walk_filter *filter = ending->filter;
    if (filter) ending->taken += filter->counts(filter->context, row);
}

#endif
