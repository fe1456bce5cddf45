/* txn.h: a transaction: changes and the rows they bring, gathered outside of any lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STORE_TXN_H
#define VDB_STORE_TXN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "db/changes.h"
#include "db/db.h"
#include "db/metaspool.h"
#include "db/spool.h"
#include "vdb.h"

struct vdb_txn {
    struct vdb *db;
    uint32_t dim;
    size_t stride;
    enum vdb_type type;
    enum vdb_metric metric;
    const struct kernels *kernels;
    struct changes changes;
    struct spool vectors;
    struct metaspool metadata;
    struct buf row; /* one vector as stored, padding included */
    bool broken;    /* memory or the spool failed: it can only be aborted */

    /* For the catching up of a compaction: the commit's own time, and a commit even if empty. */
    bool replayed;
    int64_t time_us;
};

/* Writes the transaction's commit; db_lock_write is not held. Does not free it. */
enum vdb_status txn_write(struct vdb_txn *txn, struct vdb_commit_info *info, struct vdb_error *err);

#endif
