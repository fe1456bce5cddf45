/* calibrate.h: what recall which effort gives on a graph, measured on rows of its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_CALIBRATE_H
#define VDB_INDEX_CALIBRATE_H

#include <stdint.h>

#include "format/calibration.h"
#include "index/graph.h"
#include "index/quality.h"
#include "vdb.h"

/* How many of a walk's candidates, nearest codes first, a search for the k nearest with effort `ef`
 * keeps at least, for the stored vectors to decide between. At least k; it never keeps fewer than
 * ef. */
typedef uint32_t (*calibrate_rerank_fn)(uint32_t k, uint32_t ef);

/* Takes up to 384 of the rows for queries, one of 32 at most, and measures recall@k for k = 1, 10
 * and 100, as far as there are so many rows, against efforts that rise until nothing much is
 * missed, or until that has cost a few hundredths of what a build does. Of fewer than 512 rows
 * nothing is measured: `out` has no curves then.
 *
 * `eight` are the 8-bit codes that the graph was built on, `codes` those that walks use, the same
 * or others. graph->edges is `edges`, in which the rows taken are put out of the way; at the end,
 * errors included, it is as it was. alpha_milli is what the graph was built with. The same rows
 * give the same curves for any number of threads and any kernel set. Errors: VDB_NO_MEMORY, and
 * what rows->row_fn returns. */
enum vdb_status calibrate_graph(const struct quality_rows *rows, const struct codes *eight,
                                const struct codes *codes, const struct graph *graph,
                                uint32_t *edges, uint32_t alpha_milli, calibrate_rerank_fn rerank,
                                struct calibration *out, struct vdb_error *err);

#endif
