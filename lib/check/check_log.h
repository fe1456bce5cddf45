/* check_log.h: the records of the log behind the manifest, and where it ends.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_LOG_H
#define VDB_CHECK_CHECK_LOG_H

#include "check/checker.h"

/* Returns only what keeps it from going on (VDB_NO_MEMORY). */
enum vdb_status check_log(struct checker *checker, const struct vdb_snapshot *snapshot,
                          struct vdb_error *err);

#endif
