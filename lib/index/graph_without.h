/* graph_without.h: a finished graph as if some of its rows had never been there.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_WITHOUT_H
#define VDB_INDEX_GRAPH_WITHOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "index/graph.h"
#include "vdb.h"

struct graph_undo; /* the lists that were changed, as they were */

static inline bool bit_is_set(const uint64_t *bits, uint32_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}

/* Changes every list of `edges`, which is graph->edges, that names a row whose bit in `gone` is
 * set; after that no list of the other rows does. No pivot may be gone. The lists of the rows that
 * are gone stay. *undo is for graph_undo, and NULL on an error, when nothing has changed.
 * alpha_milli is what the graph was built with. The same lists for any number of threads and any
 * kernel set. Errors: VDB_NO_MEMORY. */
enum vdb_status graph_without(const struct codes *codes, const struct kernels *kernels,
                              const struct graph *graph, uint32_t *edges, const uint64_t *gone,
                              uint32_t alpha_milli, unsigned threads, struct graph_undo **undo,
                              struct vdb_error *err);

/* Puts the lists back and frees `undo`, which may be NULL. */
void graph_undo(struct graph_undo *undo, uint32_t *edges);

#endif
