/* check_past.h: the states that can be gone back to, and what names say of them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_PAST_H
#define VDB_CHECK_CHECK_PAST_H

#include "check/checker.h"

/* Goes from the oldest kept state over every recorded commit to the snapshot's, and holds its names
 * against what comes by. Deeply it counts live rows at each of them. Returns only what keeps it
 * from going on (VDB_NO_MEMORY). */
enum vdb_status check_past(struct checker *checker, const struct vdb_snapshot *snapshot,
                           struct vdb_error *err);

#endif
