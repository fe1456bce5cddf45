/* changes.h: what a transaction asks for, and what that means for a given state.
 *
 * The asking is a sequence: rows put, and between them ids to be deleted or restored. Resolving
 * it against a snapshot gives the events of the commit; where another commit came between, it is
 * resolved anew against the newer state, from the beginning.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_CHANGES_H
#define VDB_DB_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/ids.h"
#include "state/liveness.h"
#include "state/snapshot.h"
#include "vdb.h"

struct mark { /* a delete or restore, after `puts` rows of the transaction */
    uint32_t puts;
    uint32_t kind; /* DISK_EVENT_DELETE or DISK_EVENT_RESTORE */
    uint32_t id_len;
    uint64_t id_off; /* in mark_ids */
};

struct resolution {
    struct vdb_snapshot *base; /* a reference */
    struct liveness dead;      /* the state after the changes resolved so far */
    struct buf events;         /* struct disk_event */
    uint64_t added, updated, deleted, restored;
    uint64_t *map; /* hash's upper 32 bits, number of the last put of the id + 1 below; 0: empty */
    uint32_t map_bits, map_used;
};

struct changes {
    struct ids_builder ids; /* of the rows put */
    struct buf modes;       /* u8 a row put: enum vdb_put_mode */
    struct buf marks;       /* struct mark */
    struct buf mark_ids;
    uint64_t
        roll_back_to; /* they begin with what makes the live rows those at this commit; 0: no */
    struct resolution now;
};

/* Begins with nothing, to be resolved against `base`, of which it takes a reference. */
enum vdb_status changes_init(struct changes *changes, struct vdb_snapshot *base,
                             struct vdb_error *err);
void changes_release(struct changes *changes);
bool changes_none(const struct changes *changes);

/* Where nothing was put, deleted or restored yet. Errors: as vdb_snapshot_at. */
enum vdb_status changes_roll_back(struct changes *changes, uint64_t commit, struct vdb_error *err);

/* Whether, as resolved, they leave the state as it is. */
bool changes_settled(const struct changes *changes);

/* Each adds to the sequence if it resolves; else it leaves everything as it was (VDB_EXISTS,
 * VDB_NOT_FOUND). */
enum vdb_status changes_put(struct changes *changes, enum vdb_put_mode mode, const char *id,
                            size_t id_len, struct vdb_error *err);
enum vdb_status changes_mark(struct changes *changes, uint32_t kind, const char *id, size_t id_len,
                             struct vdb_error *err);

/* Resolves all of it again, against another state. */
enum vdb_status changes_rebase(struct changes *changes, struct vdb_snapshot *base,
                               struct vdb_error *err);

/* Live rows after the changes. */
uint32_t changes_live_count(const struct changes *changes);

#endif
