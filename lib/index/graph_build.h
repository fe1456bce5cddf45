/* graph_build.h: what the files that build a graph share.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_BUILD_H
#define VDB_INDEX_GRAPH_BUILD_H

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
};

struct pruner *pruner_create(const struct space *space, uint32_t rows, uint32_t degree, uint32_t ef,
                             uint32_t room);
void pruner_free(struct pruner *pruner);

/* Chooses up to `degree` of the candidates in pruner->walk->pool (those beyond pruner->room are
 * left out) as neighbours: first those that robust pruning keeps, whose number is returned and
 * whose distances go to `kept`, room for `degree`, where that is not NULL; then the nearest of the
 * rest. *count of them are put in out[0..degree). */
uint32_t prune(struct pruner *pruner, const struct space *space, uint32_t alpha_milli,
               uint32_t degree, uint32_t *out, uint32_t *kept, uint32_t *count);

/* Puts the distances from pruner->walk->probe to rows[0..n) into the pool. */
void pool_measure(struct pruner *pruner, const struct space *space, const uint32_t *rows,
                  uint32_t n);

/* Puts the distinct rows, those which represent themselves, into order[] pseudo-randomly; returns
 * their number. */
uint32_t graph_order(const uint32_t *representative, uint32_t rows, uint32_t *order);

/* Under ip: fills rise[], one a row, and shift (space.h), and moves the `longest` longest of the
 * `distinct` rows of order[] to its front. */
enum vdb_status graph_rise(const struct codes *codes, unsigned threads, uint32_t *order,
                           uint32_t distinct, uint32_t longest, uint64_t *rise, uint32_t *shift,
                           struct vdb_error *err);

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
