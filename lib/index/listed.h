/* listed.h: which of some rows are the nearest, by their codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_LISTED_H
#define VDB_INDEX_LISTED_H

#include <stdint.h>

#include "index/graph.h"
#include "vdb.h"

#define LISTED_ROOM 64 /* rows that are measured while as many are fetched, at most */

/* Rows one after another, each below the codes' rows, none twice. */
struct listed {
    uint32_t (*next)(void *context, uint32_t rows[LISTED_ROOM]); /* how many; 0 behind the last */
    void *context;
};

/* For the query prepared, as walk_graph: the `keep` nearest of the rows listed. A `keep` of 0 is 1.
 * Errors: VDB_NO_MEMORY, VDB_LIMIT (over 2^31 rows). */
enum vdb_status listed_nearest(struct walk *walk, const struct listed *listed, uint32_t keep,
                               const struct candidate **candidates, uint32_t *count,
                               struct vdb_error *err);

#endif
