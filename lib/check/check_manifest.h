/* check_manifest.h: rules of the manifest that opening does not hold it against.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_MANIFEST_H
#define VDB_CHECK_CHECK_MANIFEST_H

#include "check/checker.h"

/* That segments do not overlap; and of history segments, that each is as history.md says, goes on
 * where the one before it ends, and that they end before the log begins. Returns only what keeps it
 * from going on (VDB_NO_MEMORY). */
enum vdb_status check_manifest(struct checker *checker, const struct vdb_snapshot *snapshot,
                               struct vdb_error *err);

#endif
