/* check_records.h: rows that lie in a part and still in the record of the log that brought them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECK_RECORDS_H
#define VDB_CHECK_CHECK_RECORDS_H

#include <stdbool.h>

#include "format/log.h"
#include "state/snapshot.h"
#include "vdb.h"

/* Of a commit that the snapshot's manifest has: that the parts have its rows as it brought them,
 * id, vector and metadata, and their times, where they have any. *differs is set where one is not;
 * that is an error only where the checksums of both are right: else it is told elsewhere. Errors:
 * VDB_CORRUPT, with the first that is wrong in *finding; VDB_NO_MEMORY. */
enum vdb_status check_record_rows(const struct vdb_snapshot *snapshot,
                                  const struct log_commit *commit, bool *differs,
                                  struct vdb_error *finding);

#endif
