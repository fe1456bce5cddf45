/* catchup.h: carrying commits over from an index to its compacted successor.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STORE_CATCHUP_H
#define VDB_STORE_CATCHUP_H

#include "db/db.h"

/* The index at `successor` holds the live rows of `from`, under commit numbers that go on from
 * there. Makes in it, one for one and with their times, the commits that the index `db` has beyond
 * `from`. The WRITE and MAINTAIN locks of `db` are held. */
enum vdb_status catchup_run(struct vdb *db, const struct vdb_snapshot *from, const char *successor,
                            struct vdb_error *err);

#endif
