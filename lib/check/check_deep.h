/* check_deep.h: the invariants that checksums do not show.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_DEEP_H
#define VDB_CHECK_CHECK_DEEP_H

#include "check/checker.h"

/* Goes over every part and every commit of the tail, each invariant by itself. Returns only what
 * keeps it from going on (VDB_NO_MEMORY). */
enum vdb_status check_deep(struct checker *checker, const struct vdb_snapshot *snapshot,
                           struct vdb_error *err);

#endif
