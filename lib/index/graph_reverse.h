/* graph_reverse.h: edges back, to the rows that have a row in their lists.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_REVERSE_H
#define VDB_INDEX_GRAPH_REVERSE_H

#include <stddef.h>
#include <stdint.h>

#include "index/graph_build.h"

struct reverse {
    /* The caller's. A list is `degree` edges, GRAPH_NO_ROW behind the last. */
    struct builder *builder;
    uint32_t *edges;
    const uint16_t *kept; /* how many of a list, the first, are worth an edge back */

    size_t *starts; /* of each row in `rows` */
    uint32_t *rows; /* those that have it in their lists, in order */
};

/* Gathers the edges back. Errors: VDB_NO_MEMORY. reverse_release is due even so. */
enum vdb_status reverse_gather(struct reverse *reverse, struct vdb_error *err);
void reverse_release(struct reverse *reverse);

/* Those that have the row in their lists: *count of them. */
const uint32_t *reverse_rows(const struct reverse *reverse, uint32_t row, uint32_t *count);

/* Adds them to the list of a row, for which what only filled it makes room; a list that becomes too
 * long is pruned. `pruner` has room for all that are kept, and as many again or more. */
void reverse_link(struct reverse *reverse, struct pruner *pruner, uint32_t row);

#endif
