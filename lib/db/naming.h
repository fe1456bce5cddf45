/* naming.h: changes of the names of commits, which make records of their own or come with a commit.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_NAMING_H
#define VDB_DB_NAMING_H

#include <stdint.h>

#include "base/buf.h"
#include "db/db.h"
#include "format/log.h"
#include "state/snapshot.h"
#include "vdb.h"

struct naming_state { /* what the names are of */
    uint64_t commit;
    int64_t time_us;
    uint32_t row_count, live_count;
};

struct naming { /* changes as they are written */
    struct log_name_change *changes;
    uint32_t count;
};

/* What `asked`, of struct log_name_change, means where `base` is the newest state and `state` is
 * what the names will be of: their commit, counts and times are filled in, and the origin of those
 * that have none. One that is there already, for a state of the same origin, is left out.
 * Errors: VDB_EXISTS, VDB_NOT_FOUND, VDB_NO_MEMORY. *naming is the caller's also after these. */
enum vdb_status naming_resolve(const struct buf *asked, const struct vdb_snapshot *base,
                               const struct naming_state *state, struct naming *naming,
                               struct vdb_error *err);
void naming_release(struct naming *naming);

/* The bytes that they take in a record. */
uint64_t naming_len(const struct naming *naming);
enum vdb_status naming_append(const struct naming *naming, struct buf *record,
                              struct vdb_error *err);

/* Writes a record of the changes that are asked for, of the newest state, if there are any. The
 * WRITE lock is held. */
enum vdb_status naming_write(struct vdb *db, const struct vdb_snapshot *newest,
                             const struct buf *asked, struct vdb_error *err);

#endif
