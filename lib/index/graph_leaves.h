/* graph_leaves.h: cutting rows into overlapping leaves, within which they are near.
 *
 * Every row joins the balls about `copies` leaders, those nearest to it. A ball that is larger than
 * a leaf is cut by leaders of its own, again and again, without overlap.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_LEAVES_H
#define VDB_INDEX_GRAPH_LEAVES_H

#include <stddef.h>
#include <stdint.h>

#include "index/graph_homes.h"
#include "index/tiles.h"

#define LEAVES_COPIES_MAX HOMES_FAN_MAX

struct leaves_scratch; /* a worker's */

struct leaves {
    /* The caller's, before leaves_init. */
    const struct space *space; /* SPACE_L2 */
    const uint32_t *order;     /* `count` rows, the first of them at random: leaders */
    uint32_t count;            /* at least twice `copies` */
    uint32_t copies;           /* up to LEAVES_COPIES_MAX */
    uint32_t leaf_rows;
    unsigned workers;

    uint32_t balls;
    struct tiles leaders;
    uint16_t *homes;   /* `copies` a row of the order: its balls */
    size_t *starts;    /* where balls begin in `members`; the last is where they end */
    uint32_t *members; /* by ball */
    struct leaves_scratch *scratch;
};

typedef void (*leaf_fn)(void *context, unsigned worker, const uint32_t *rows, uint32_t n);

/* Errors: VDB_NO_MEMORY. leaves_release is due even so. */
enum vdb_status leaves_init(struct leaves *leaves, struct vdb_error *err);
void leaves_release(struct leaves *leaves);

/* To be called for all of `order`, then once leaves_fill, then leaves_visit for all balls. Workers
 * may call the first and the last at once, each with its own number. */
void leaves_home(struct leaves *leaves, unsigned worker, size_t begin, size_t end);
enum vdb_status leaves_fill(struct leaves *leaves, struct vdb_error *err);

/* Calls visit() with every leaf of these balls: different rows, at most leaf_rows of them. */
void leaves_visit(struct leaves *leaves, unsigned worker, size_t begin, size_t end, leaf_fn visit,
                  void *context);

#endif
