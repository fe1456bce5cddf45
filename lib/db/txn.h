/* txn.h: a transaction: changes and the rows they bring, gathered outside of any lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_TXN_H
#define VDB_DB_TXN_H

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
    struct buf names; /* struct log_name_change */
    struct buf row;   /* one vector as stored, padding included */
    bool broken;      /* memory or the spool failed: it can only be aborted */

    /* For the catching up of a compaction: the commit's own time, and a commit even if empty. */
    bool replayed;
    int64_t time_us;

    /* Not 0: it is to be committed over this commit alone. Where another one came between,
     * `overtaken` is set and nothing is written (VDB_BUSY). */
    uint64_t only_on;
    bool overtaken;
};

/* The transaction begins with the live rows of the state at that commit, in place of the newest
 * one's; before anything else. Errors: as vdb_snapshot_at, which also the commit may give. */
enum vdb_status txn_roll_back(struct vdb_txn *txn, uint64_t commit, struct vdb_error *err);

/* A change of a name that becomes durable with the commit, both or none; or by itself, where
 * nothing else changes. It needs operation and name, for DISK_NAME_RECEIVED the origin and no
 * name; `created_us` and origin are kept where they are given, and the rest is filled in. */
enum vdb_status txn_name(struct vdb_txn *txn, const struct log_name_change *change,
                         struct vdb_error *err);

/* Writes the transaction's commit; db_lock_write is not held. Does not free it. */
enum vdb_status txn_write(struct vdb_txn *txn, struct vdb_commit_info *info, struct vdb_error *err);

#endif
