/* check_graph.h: whether walks on a graph can find its rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_GRAPH_H
#define VDB_CHECK_CHECK_GRAPH_H

#include "state/snapshot.h"

/* For a part with a graph whose lists graph_header_validate has let through and which begins at
 * file_off: that every row can be reached from the pivots, and every member of a level from the
 * first; and that a live row has half as many neighbours as its list has places for, or all other
 * rows. Errors: VDB_CORRUPT, with the first that is wrong in *finding; VDB_NO_MEMORY. */
enum vdb_status check_graph(const struct vdb_snapshot *snapshot, const struct part *part,
                            uint64_t file_off, struct vdb_error *finding);

#endif
