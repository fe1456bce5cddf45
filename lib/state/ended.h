/* ended.h: in which order rows were deleted or replaced.
 *
 * An id's rows mostly end in the order of their numbers. Where an older one was brought back, by
 * going back to an earlier state, it may have been live last.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_ENDED_H
#define VDB_STATE_ENDED_H

#include <stdint.h>

#include "state/snapshot.h"
#include "vdb.h"

/* Stands in a snapshot's `ended` for the order of numbers. */
extern const uint32_t ended_in_order[];

/* Frees what a snapshot's `ended` is. */
void ended_release(const uint32_t *ended);

/* *order has for each deleted row of the snapshot when it was deleted or replaced last, as a number
 * that rises with the commits; 0 for those of which nothing is known any more. NULL where nothing
 * was ever brought back: of an id's rows the newest was live last. It is made once, from all of the
 * log and of the states that were kept, and belongs to the snapshot. Any number of threads.
 * Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status ended_order(const struct vdb_snapshot *s, const uint32_t **order,
                            struct vdb_error *err);

#endif
