/* db.h: an open index file: the handle, its newest snapshot, its locks.
 *
 * Lock order: `maintain_lock` and the file's MAINTAIN range, `write_lock` (one writer of this
 * handle at a time) and the file's WRITE range, then `state_lock` (held for moments). Readers take
 * state_lock alone. The ranges belong to the handle and so to all of its threads, which the
 * mutexes tell apart.
 *
 * state_lock guards `newest` and the change of `file`: any thread that sees the file superseded
 * goes over to its successor and closes it. It stays as it is while the WRITE range is held; who
 * writes to it without that has a descriptor of its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_DB_H
#define VDB_DB_DB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/filelock.h"
#include "base/osfile.h"
#include "db/newname.h"
#include "state/snapshot.h"
#include "vdb.h"

/* A range to be locked, open on the file that was there when it was locked last. */
struct db_range {
    struct filelock lock;
    struct osfile_identity identity;
    bool named; /* the directory was synced since it was opened */
};

struct vdb {
    char *path; /* resolved: no symbolic links */
    struct osfile file;
    struct osfile_identity identity;
    bool read_only;
    int not_writable;      /* errno of the open for writing that failed, or 0 */
    struct newname *fresh; /* of an index that has not been published; else NULL */
    bool unsynced;         /* nobody knows of the file yet; who gives it its name syncs it */
    bool poisoned;         /* under sync_lock: a sync failed: no more writes through this handle */
    double wait;
    struct cancel cancel;
    struct snapshot_options options;

    pthread_mutex_t maintain_lock;
    struct db_range maintaining;
    struct osfile maintained; /* while MAINTAIN is held: the file that it is held on */
    pthread_mutex_t write_lock;
    struct db_range writing;
    pthread_mutex_t state_lock;
    pthread_mutex_t sync_lock; /* taken last */
    struct vdb_snapshot *newest;
};

/* The newest snapshot as a reference of the caller's; looks at the file for what came since. */
enum vdb_status db_refresh(struct vdb *db, struct vdb_snapshot **snapshot, struct vdb_error *err);

/* The same for who has locked the file and is about to write: VDB_READ_ONLY where another version
 * of the library has given it a feature meanwhile that must not be written beside (ro_compat). */
enum vdb_status db_refresh_to_write(struct vdb *db, struct vdb_snapshot **snapshot,
                                    struct vdb_error *err);

/* With state_lock held. Where the path names another file than the one open, goes over to it. */
enum vdb_status db_reopen_if_replaced(struct vdb *db, struct vdb_error *err);

/* VDB_READ_ONLY, with the reason, for a handle that only reads. */
enum vdb_status db_takes_writes(struct vdb *db, struct vdb_error *err);

/* Takes write_lock and the file's WRITE range; where a compaction has put another file in the
 * place of this one, goes over to that. Undone by db_unlock_write.
 * Errors: VDB_READ_ONLY, VDB_DURABILITY_UNKNOWN (poisoned), VDB_BUSY, VDB_CANCELLED,
 * VDB_CANNOT_OPEN, VDB_IO. */
enum vdb_status db_lock_write(struct vdb *db, struct vdb_error *err);
void db_unlock_write(struct vdb *db);

/* Returns when those who wait for the WRITE range have had it, on the file that is there then. */
void db_stand_in_line(struct vdb *db);

/* maintain_lock and the file's MAINTAIN range, likewise, within `wait` seconds. db->maintained is
 * open until db_unlock_maintain. */
enum vdb_status db_lock_maintain(struct vdb *db, double wait, struct vdb_error *err);
void db_unlock_maintain(struct vdb *db);

/* db_lock_write, on the file that MAINTAIN is held on: VDB_BUSY where another has taken its place.
 */
enum vdb_status db_lock_write_maintained(struct vdb *db, struct vdb_error *err);

/* osfile_sync_data of one of the handle's descriptors. After a failed one nothing is known of what
 * lies on the medium, so the handle refuses all further writes. One thread at a time: the system
 * tells of a failure once, to whoever asks first, and the others must not take theirs for done.
 * Errors: VDB_DURABILITY_UNKNOWN. */
enum vdb_status db_sync(struct vdb *db, const struct osfile *file, struct vdb_error *err);

#endif
