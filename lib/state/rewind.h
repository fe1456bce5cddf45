/* rewind.h: the state after an earlier commit, made from a newer one.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_REWIND_H
#define VDB_STATE_REWIND_H

#include <stdint.h>

#include "state/snapshot.h"
#include "vdb.h"

/* As vdb_snapshot_at. In *past the rows from its row count up to that of `from` are deleted, so
 * that two states made from the same one are compared by their liveness alone. */
enum vdb_status rewind_to(const struct vdb_snapshot *from, uint64_t commit,
                          struct vdb_snapshot **past, struct vdb_error *err);

#endif
