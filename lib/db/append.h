/* append.h: putting a record where the log ends. The WRITE lock is held.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_APPEND_H
#define VDB_DB_APPEND_H

#include <stdint.h>

#include "base/buf.h"
#include "db/db.h"
#include "format/log.h"
#include "vdb.h"

/* Makes sure that a record of `len` bytes fits at *cursor with room for a link behind it; where it
 * does not, reserves a further extent and appends the link to it to `link`, to be written at
 * *link_off in the same sync as the record. `base` is the newest state. */
enum vdb_status append_make_room(struct vdb *db, const struct vdb_snapshot *base,
                                 struct log_cursor *cursor, uint64_t len, int64_t time_us,
                                 struct buf *link, uint64_t *link_off, struct vdb_error *err);

/* Writes link, if it is not empty, and record, and syncs. Errors: VDB_CANCELLED, VDB_IO,
 * VDB_DURABILITY_UNKNOWN. */
enum vdb_status append_write(struct vdb *db, const struct buf *link, uint64_t link_off,
                             const struct buf *record, uint64_t record_off, struct vdb_error *err);

#endif
