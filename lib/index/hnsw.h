/* hnsw.h: building an HNSW: a graph over all rows, and smaller ones over few of them to enter by.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_HNSW_H
#define VDB_INDEX_HNSW_H

#include <stdint.h>

#include "index/graph.h"

#define HNSW_M_MIN 4
#define HNSW_M_MAX 128

struct hnsw; /* a build under way */

/* Assigns levels: levels->count, degree and sizes are then known, and with them how much memory
 * hnsw_run needs. params->degree is that of level 0, twice M. `codes` and `kernels` must stay.
 * hnsw_free ends it. Errors: VDB_INVALID (a degree that is not twice an M of 4 to 128, or as for
 * graph_build), VDB_LIMIT, VDB_NO_MEMORY. */
enum vdb_status hnsw_create(const struct codes *codes, const struct kernels *kernels,
                            const struct graph_params *params, struct graph_levels *levels,
                            struct hnsw **hnsw, struct vdb_error *err);
void hnsw_free(struct hnsw *hnsw);

/* Builds, once. The caller's are: edges (rows * params->degree), members (sizes[0]), level_edges
 * (M times the sum of sizes; level after level, from 1 on), and *entry, the one pivot.
 * levels->members and levels->edges point into these afterwards. Otherwise as graph_build, of whose
 * promises on neighbours and reach all hold on each level. */
enum vdb_status hnsw_run(struct hnsw *hnsw, uint32_t *edges, uint32_t *members,
                         uint32_t *level_edges, uint32_t *entry, struct graph_levels *levels,
                         struct vdb_error *err);

#endif
