/* graph_bulk.h: building a graph from overlapping partitions, all rows at once.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_BULK_H
#define VDB_INDEX_GRAPH_BULK_H

#include <stdbool.h>

#include "index/graph_build.h"

/* Whether the builder's graph is built so: one of many rows, without levels, whose distances are
 * SPACE_L2. Balls hold what is near, and under ip that is not where the largest products are. */
bool graph_bulk_serves(const struct builder *builder);

/* Fills the lists of the distinct rows, as robust pruning has them, in `edges`; the others are left
 * empty. The same edges for any number of threads. Calls progress. Errors: VDB_NO_MEMORY,
 * VDB_CANCELLED. */
enum vdb_status graph_bulk(struct builder *builder, uint32_t *edges, struct vdb_error *err);

#endif
