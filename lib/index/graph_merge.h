/* graph_merge.h: rows that come to a finished graph.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_MERGE_H
#define VDB_INDEX_GRAPH_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "index/graph_build.h"

/* Whether params->base has what a build reads of it without looking. */
bool merge_base_serves(const struct graph_params *params, const struct codes *codes);

/* Puts the rows of the base first in builder->order, behind which those come that are put in. */
void merge_settle(struct builder *builder);

/* The base's pivots, whose edges lead from one to another, then outliers that are none of them,
 * then of those in the order, the newest first. Errors: VDB_NO_MEMORY. */
enum vdb_status merge_pivots(const struct builder *builder, const uint32_t *outliers,
                             uint32_t outlier_count, uint32_t *pivots, uint32_t count,
                             struct vdb_error *err);

/* The base's pivots are the way in until all rows are there. */
void merge_enter(struct builder *builder);

/* Puts the base's lists, without rows that are duplicates, into edges[], params.degree a row; those
 * of other rows are empty. */
void merge_load(struct builder *builder, uint32_t *edges);

/* Adds edges from a row to fresh[0..n), rows that are not in its list of params.degree. What only
 * filled the list makes room; a list that becomes too long is pruned. */
void merge_link(struct builder *builder, struct pruner *pruner, uint32_t row, uint32_t *list,
                const uint32_t *fresh, uint32_t n);

#endif
