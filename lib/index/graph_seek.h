/* graph_seek.h: edges to rows that walks do not find.
 *
 * Where clusters are tight, all that a row has met in leaves is of its own, and no edge leads from
 * one cluster to the next, as edges do that insertion makes while a graph has few rows. So some of
 * the rows are sought, and where one is not found, the nearest that was gets an edge to it.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_SEEK_H
#define VDB_INDEX_GRAPH_SEEK_H

#include <stddef.h>
#include <stdint.h>

#include "index/graph_build.h"

struct seek {
    const struct builder *builder;
    uint32_t *edges; /* the caller's: lists of builder->params.degree, without duplicates */
    uint32_t sought; /* how many, in this round */
    uint32_t *rows;  /* they */
    uint32_t *ends;  /* the nearest to each that was found; where all is well, itself */
    uint16_t *added; /* edges, of each row */
    uint32_t round;
};

/* Errors: VDB_NO_MEMORY. seek_release is due even so. */
enum vdb_status seek_init(struct seek *seek, const struct builder *builder, uint32_t *edges,
                          struct vdb_error *err);
void seek_release(struct seek *seek);

/* A round: seek_run for all of 0 to `sought`, by several workers at once; then seek_link, which
 * leaves those that were not found to be sought in the next. */
void seek_run(struct seek *seek, struct walk *walk, size_t begin, size_t end);
void seek_link(struct seek *seek);

#endif
