/* locks.c: the locks of a handle: one writer, one who maintains, and syncs that are asked once.
 *
 * The file's ranges exclude other handles, in this process or another; threads of the same handle
 * are told apart by its mutexes, which are taken first.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <time.h>

#include "base/error.h"
#include "db/db.h"
#include "format/disk.h"

/* Of the bytes that are locked, and those below the first of them in which waiting writers stand.
 */
static const struct filelock_place write_place = {VDB_LOCK_WRITE, VDB_LOCK_WRITE - VDB_LOCK_QUEUE},
                                   maintain_place = {VDB_LOCK_MAINTAIN, 0};

enum vdb_status db_takes_writes(struct vdb *db, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    bool read_only = db->read_only;
    int why = db->not_writable;
    uint64_t unknown =
        db->newest->generation->superblock.ro_compat & ~(uint64_t)VDB_RO_COMPAT_KNOWN;
    pthread_mutex_unlock(&db->state_lock);
    if (!read_only) return VDB_OK;
    if (unknown)
        return error_set(
            err, VDB_READ_ONLY,
            "the file has a feature (ro_compat bit %d) that is not known here and that "
            "leaves it open for reading only",
            __builtin_ctzll(unknown));
    if (!why) return error_set(err, VDB_READ_ONLY, "the index is open for reading only");
    return error_set_errno(err, VDB_READ_ONLY, why, "the index cannot be opened for writing");
}

static enum vdb_status may_write(struct vdb *db, struct vdb_error *err)
{
    pthread_mutex_lock(&db->sync_lock);
    bool poisoned = db->poisoned;
    pthread_mutex_unlock(&db->sync_lock);
    if (poisoned)
        return error_set(
            err, VDB_DURABILITY_UNKNOWN,
            "an earlier sync failed: durability is unknown and this handle takes no more writes");
    return db_takes_writes(db, err);
}

/* A descriptor of its own for the file as it is now: another thread may close db->file. */
static enum vdb_status hold_file(struct vdb *db, struct osfile *held,
                                 struct osfile_identity *identity, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    int failed = osfile_duplicate(&db->file, held);
    *identity = db->identity;
    pthread_mutex_unlock(&db->state_lock);
    return failed ? error_set_errno(err, VDB_IO, failed, "cannot duplicate a descriptor") : VDB_OK;
}

static enum vdb_status lock_failed(int failed, const struct osfile *file, uint64_t off,
                                   struct vdb_error *err)
{
    const char *what = off == VDB_LOCK_WRITE ? "WRITE" : "MAINTAIN";
    char holder[FILELOCK_HOLDER];
    switch (failed) {
    case EAGAIN:
        if (!filelock_holder(file, off, holder) || !holder[0])
            return error_set(err, VDB_BUSY, "another process holds the %s lock of the index", what);
        return error_set(err, VDB_BUSY, "%s holds the %s lock of the index", holder, what);
    case ECANCELED:
        return error_set(err, VDB_CANCELLED, "cancelled while waiting for the %s lock", what);
    default:
        return error_set_errno(err, VDB_READ_ONLY, failed, "cannot lock the index for writing");
    }
}

static bool same_file(struct osfile_identity a, struct osfile_identity b)
{
    return a.inode == b.inode && a.device == b.device;
}

static enum vdb_status look_again(struct vdb *db, struct osfile_identity locked, bool *same,
                                  struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    enum vdb_status status = db_reopen_if_replaced(db, err);
    *same = same_file(locked, db->identity);
    pthread_mutex_unlock(&db->state_lock);
    return status ? status : may_write(db, err);
}

/* Has the range open on the file as it is now, which it most often is. */
static enum vdb_status aim(struct vdb *db, struct db_range *range, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    struct osfile_identity identity = db->identity;
    int failed = 0;
    if (range->lock.file.fd < 0 || !same_file(range->identity, identity)) {
        filelock_close(&range->lock);
        failed = filelock_open(&range->lock, &db->file);
        range->identity = identity;
        range->named = false;
    }
    pthread_mutex_unlock(&db->state_lock);
    return failed ? error_set_errno(err, VDB_IO, failed, "cannot open the index once more")
                  : VDB_OK;
}

/* Who gave the file its name syncs the directory, but may not have come to that, or have died
 * before: so whoever writes to it does that first, once, or his commit could be lost with the name.
 * Nothing in the file tells whether it has been done: its inode may have been another file's, and
 * one that was salvaged or published has had its parts before its name. Of a directory that only
 * lets us pass we must take it as done. */
static enum vdb_status make_name_durable(struct vdb *db, struct db_range *range,
                                         struct vdb_error *err)
{
    if (db->unsynced || range->named) return VDB_OK;
    int failed = osfile_sync_directory_of(db->path);
    if (failed && failed != EACCES && failed != EPERM)
        return error_set_errno(err, VDB_IO, failed, "cannot sync the directory of the index");
    range->named = true;
    return VDB_OK;
}

/* A compaction may take the file's place while its lock is waited for, so who gets the lock looks
 * again at what the path names, and begins anew with that. */
static enum vdb_status lock_current(struct vdb *db, struct filelock_place place, double wait,
                                    bool to_write, struct db_range *range, struct vdb_error *err)
{
    for (;;) {
        bool same = false;
        enum vdb_status status = aim(db, range, err);
        /* Before, so that nobody waits for it. */
        if (!status && to_write) status = make_name_durable(db, range, err);
        if (status) return status;
        int failed = filelock_take(&range->lock, place, wait, &db->cancel);
        if (failed) return lock_failed(failed, &range->lock.file, place.off, err);
        status = look_again(db, range->identity, &same, err);
        if (!status && same) return VDB_OK;
        filelock_release(&range->lock, place);
        if (status) return status;
    }
}

/* In slices, so that it can be cancelled. */
static int mutex_lock_within(pthread_mutex_t *mutex, double wait, const struct cancel *cancel)
{
    const double slice = 0.05;
    while (pthread_mutex_trylock(mutex) != 0) {
        struct timespec until;
        if (cancel_asked(cancel)) return ECANCELED;
        if (wait <= 0) return EAGAIN;
        double seconds = wait < slice ? wait : slice;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(seconds * 1e9);
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (pthread_mutex_timedlock(mutex, &until) == 0) return 0;
        wait -= seconds;
    }
    return 0;
}

static enum vdb_status lock_write(struct vdb *db, bool to_write, struct vdb_error *err)
{
    enum vdb_status status = may_write(db, err);
    if (status) return status;
    int failed = mutex_lock_within(&db->write_lock, db->wait, &db->cancel);
    if (failed == ECANCELED)
        return error_set(err, VDB_CANCELLED, "cancelled while waiting for another thread");
    if (failed) return error_set(err, VDB_BUSY, "another thread is writing to the index");
    status = lock_current(db, write_place, db->wait, to_write, &db->writing, err);
    if (status) pthread_mutex_unlock(&db->write_lock);
    return status;
}

enum vdb_status db_lock_write(struct vdb *db, struct vdb_error *err)
{
    return lock_write(db, true, err);
}

void db_stand_in_line(struct vdb *db)
{
    if (!lock_write(db, false, NULL)) db_unlock_write(db);
}

/* Once the range is free another handle may put a new file in the place of ours, which a thread
 * that maintains then opens as db->file: by state_lock it comes after what we did with the old. */
void db_unlock_write(struct vdb *db)
{
    pthread_mutex_lock(&db->state_lock);
    pthread_mutex_unlock(&db->state_lock);
    filelock_release(&db->writing.lock, write_place);
    pthread_mutex_unlock(&db->write_lock);
}

enum vdb_status db_lock_maintain(struct vdb *db, double wait, struct vdb_error *err)
{
    enum vdb_status status = may_write(db, err);
    if (status) return status;
    int failed = mutex_lock_within(&db->maintain_lock, wait, &db->cancel);
    if (failed == ECANCELED)
        return error_set(err, VDB_CANCELLED, "cancelled while waiting for another thread");
    if (failed) return error_set(err, VDB_BUSY, "another thread maintains the index");
    status = lock_current(db, maintain_place, wait, false, &db->maintaining, err);
    struct osfile_identity identity;
    if (!status) status = hold_file(db, &db->maintained, &identity, err);
    if (!status && same_file(identity, db->maintaining.identity)) return VDB_OK;
    /* Only where somebody replaces files without asking for the lock. */
    if (!status) status = error_set(err, VDB_BUSY, "another file has taken the index's place");
    filelock_release(&db->maintaining.lock, maintain_place);
    osfile_close(&db->maintained);
    pthread_mutex_unlock(&db->maintain_lock);
    return status;
}

enum vdb_status db_lock_write_maintained(struct vdb *db, struct vdb_error *err)
{
    enum vdb_status status = db_lock_write(db, err);
    if (status) return status;
    struct osfile_stat now;
    int failed = osfile_stat(&db->maintained, &now);
    if (!failed && same_file(now.identity, db->identity)) return VDB_OK;
    db_unlock_write(db);
    return error_set(err, VDB_BUSY, "another file has taken the index's place meanwhile");
}

void db_unlock_maintain(struct vdb *db)
{
    filelock_release(&db->maintaining.lock, maintain_place);
    osfile_close(&db->maintained);
    pthread_mutex_unlock(&db->maintain_lock);
}

enum vdb_status vdb_locks(struct vdb *db, struct vdb_locks *locks, struct vdb_error *err)
{
    struct osfile file;
    struct osfile_identity identity;
    enum vdb_status status = hold_file(db, &file, &identity, err);
    if (status) return status;
    locks->writing = filelock_is_held(&file, VDB_LOCK_WRITE);
    locks->maintaining = filelock_is_held(&file, VDB_LOCK_MAINTAIN);
    osfile_close(&file);
    return VDB_OK;
}

enum vdb_status vdb_maintainer(struct vdb *db, char holder[FILELOCK_HOLDER], struct vdb_error *err)
{
    struct osfile file;
    struct osfile_identity identity;
    enum vdb_status status = hold_file(db, &file, &identity, err);
    if (status) return status;
    filelock_holder(&file, VDB_LOCK_MAINTAIN, holder);
    osfile_close(&file);
    return VDB_OK;
}

enum vdb_status db_sync(struct vdb *db, const struct osfile *file, struct vdb_error *err)
{
    if (db->unsynced) return VDB_OK;
    pthread_mutex_lock(&db->sync_lock);
    int failed = db->poisoned ? EIO : osfile_sync_data(file);
    db->poisoned |= failed != 0;
    pthread_mutex_unlock(&db->sync_lock);
    if (!failed) return VDB_OK;
    return error_set_errno(err, VDB_DURABILITY_UNKNOWN, failed,
                           "sync failed, the durability of the last change is unknown");
}
