/* graph_build.h: what the files that build a graph share.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_BUILD_H
#define VDB_INDEX_GRAPH_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/beam.h"
#include "index/graph.h"
#include "index/space.h"

#define GRAPH_DEGREE_MAX 256

/* A worker's scratch: a walk, and room to choose among `room` candidates. A candidate's place is
 * its index in the pool. */
struct pruner {
    struct walk *walk;
    struct probe probe; /* of a candidate; walk->probe is of the row itself */
    uint32_t room;
    uint32_t *rows, *places; /* candidates not yet decided, nearest first */
    uint32_t *fates;         /* by place */
    uint32_t *distances;     /* room for all candidates, rounded up to a multiple of 4 */
    uint32_t *others;        /* room for all pivots */
};

struct pruner *pruner_create(const struct space *space, uint32_t rows, uint32_t degree, uint32_t ef,
                             uint32_t room);
void pruner_free(struct pruner *pruner);

struct back_edge {
    uint32_t target, distance, place; /* of the row, in the batch */
};

/* A graph in the making. */
struct builder {
    struct space space;
    struct graph_params params;
    uint32_t capacity;    /* entries a list has room for during the build */
    struct graph growing; /* its edges are `lists` */
    uint32_t *lists;      /* `capacity` a row */
    uint32_t *own_lists;  /* the same, where they are not the caller's */
    size_t lists_len;     /* in bytes */
    uint16_t *lengths;
    uint64_t *rise; /* under ip */
    uint32_t *representative;
    uint32_t *order; /* the distinct rows, pivots first */
    uint8_t *pivot_codes, *pivot_norms;
    uint32_t distinct;
    uint32_t settled; /* the first so many of `order` are of params.base, and have lists */
    unsigned workers;
    struct pruner **pruners;
    /* HNSW: what lies above, complete. The first levels.sizes[0] rows of `order` are its members.
     */
    struct graph_levels levels;

    const uint32_t *batch; /* in order */
    uint32_t batch_room;
    uint32_t *back_counts; /* of each row of the batch */
    struct back_edge *back, *back_spare;
    size_t back_count;
    uint32_t *groups; /* where in `back` each target's edges begin */
    uint32_t *edges;  /* the caller's */
};

/* Fills what params leave open and refuses what they may not hold. */
enum vdb_status builder_check_params(struct graph_params *params, const struct codes *codes,
                                     struct vdb_error *err);

/* All memory that the build needs. builder_release is due after a failure, too. */
enum vdb_status builder_init(struct builder *builder, const struct codes *codes,
                             const struct kernels *kernels, const struct graph_params *params,
                             struct vdb_error *err);
void builder_release(struct builder *builder);

/* Builds in bulk where that serves and there is no base; else inserts the rows of `order` as
 * growing.pivots and `levels` lead to them. Calls progress; then completes the lists in `edges`:
 * duplicates, full lists, every row within reach of the first of the `pivot_count` pivots. */
enum vdb_status builder_run(struct builder *builder, uint32_t *edges, const uint32_t *pivots,
                            uint32_t pivot_count, struct vdb_error *err);

/* Calls progress; nonzero where that ends the build. */
int builder_progress(const struct builder *builder, uint32_t done);

/* Chooses up to `degree` of the candidates in pruner->walk->pool (those beyond pruner->room are
 * left out) as neighbours: first those that robust pruning keeps, whose number is returned and
 * whose distances go to `kept`, room for `degree`, where that is not NULL; then the nearest of the
 * rest. *count of them are put in out[0..degree). */
uint32_t prune(struct pruner *pruner, const struct space *space, uint32_t alpha_milli,
               uint32_t degree, uint32_t *out, uint32_t *kept, uint32_t *count);

/* The same for a list that edges back came to, with places left for the next of these; returns how
 * many are put in out[0..degree). */
uint32_t prune_again(const struct builder *builder, struct pruner *pruner, uint32_t *out);

static inline bool graph_list_has(const uint32_t *list, uint32_t length, uint32_t row)
{
    for (uint32_t i = 0; i < length; i++)
        if (list[i] == row) return true;
    return false;
}

/* Puts the distances from pruner->walk->probe to rows[0..n) into the pool. */
void pool_measure(struct pruner *pruner, const struct space *space, const uint32_t *rows,
                  uint32_t n);

/* Puts the distinct rows, those which represent themselves, into order[] pseudo-randomly; returns
 * their number. */
uint32_t graph_order(const uint32_t *representative, uint32_t rows, uint32_t *order);

/* How many of the pivots are outliers. */
uint32_t outliers_among(const struct builder *builder, uint32_t pivot_count);

/* Brings them among the first pivot_count of builder->order. Errors: VDB_NO_MEMORY. */
enum vdb_status outliers_lead(const struct builder *builder, const uint32_t *outliers, uint32_t n,
                              uint32_t pivot_count, struct vdb_error *err);

/* Puts the `count` distinct rows that are farthest from the mean into rows[], the farthest first;
 * under l2 and cosine. Errors: VDB_NO_MEMORY. */
enum vdb_status outliers_find(const struct builder *builder, uint32_t count, uint32_t *rows,
                              struct vdb_error *err);

/* Under ip: fills rise[], one a row, and shift (space.h). */
void graph_rise(const struct codes *codes, unsigned threads, uint64_t *rise, uint32_t *shift);

/* Moves the rows that have levels above 0 to the front of order[], higher levels first: a row is of
 * level l or above with a probability of degree^-l, by a hash of its number. Fills sizes[] and
 * returns how many levels there are above 0. */
uint32_t graph_order_levels(uint32_t *order, uint32_t distinct, uint32_t degree,
                            uint32_t sizes[GRAPH_LEVELS_MAX]);

/* representative[row] becomes the lowest row with the same code as `row`, whose own it is. */
enum vdb_status duplicates_find(const struct codes *codes, uint32_t *representative,
                                struct vdb_error *err);

/* Gives rows that are duplicates their edges, and their representatives edges to them. */
enum vdb_status duplicates_link(const uint32_t *representative, uint32_t rows, uint32_t degree,
                                uint32_t *edges, struct vdb_error *err);

/* Completes lists shorter than the rows allow. */
void graph_fill(uint32_t rows, uint32_t degree, uint32_t *edges);

/* Makes every row reachable from the first pivot, replacing edges that no path needs. `pruner` has
 * room for a walk with `ef`. */
enum vdb_status graph_repair(const struct graph *graph, uint32_t *edges, const struct space *space,
                             struct pruner *pruner, uint32_t ef, struct vdb_error *err);

#endif
