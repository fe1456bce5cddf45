/* db.c: opening, closing and refreshing a handle, and its locks.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/options.h"
#include "base/par.h"

const char *vdb_version(void)
{
    return VDB_VERSION_STRING;
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum vdb_status open_failed(int failed, struct vdb_error *err)
{
    return error_set_errno(err, VDB_CANNOT_OPEN, failed, "cannot open the index");
}

/* Opens for writing where that is wanted and allowed, else for reading. */
static enum vdb_status open_file(struct vdb *db, bool want_write, struct vdb_error *err)
{
    int failed = want_write ? osfile_open(&db->file, db->path, true) : EACCES;
    db->read_only = failed != 0;
    db->not_writable = want_write ? failed : 0;
    if (failed == EACCES || failed == EROFS || failed == EPERM || failed == ETXTBSY)
        failed = osfile_open(&db->file, db->path, false);
    if (failed) return open_failed(failed, err);
    struct osfile_stat found;
    failed = osfile_stat(&db->file, &found);
    if (failed) return open_failed(failed, err);
    if (!found.regular) return error_set(err, VDB_CANNOT_OPEN, "not a regular file");
    db->identity = found.identity;
    return VDB_OK;
}

/* The first snapshot of the file. */
static enum vdb_status open_state(struct vdb *db, struct vdb_snapshot **snapshot,
                                  struct vdb_error *err)
{
    db->options.read_only = db->read_only;
    enum vdb_status status = snapshot_open(&db->file, &db->options, snapshot, err);
    if (!status && (*snapshot)->generation->superblock.ro_compat & ~(uint64_t)VDB_RO_COMPAT_KNOWN)
        db->read_only = db->options.read_only = (*snapshot)->read_only = true;
    return status;
}

static enum vdb_status db_init(struct vdb *db, const char *path,
                               const struct vdb_open_options *options, struct vdb_error *err)
{
    struct vdb_open_options chosen = VDB_OPEN_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    db->wait = chosen.wait;
    db->options.threads = par_threads(chosen.threads);
    status = kernels_select(chosen.isa, &db->options.kernels, err);
    if (status) return status;
    db->path = realpath(path, NULL);
    if (!db->path) return open_failed(errno, err);
    status = open_file(db, !chosen.read_only, err);
    return status ? status : open_state(db, &db->newest, err);
}

static bool little_endian(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

enum vdb_status vdb_open(const char *path, const struct vdb_open_options *options, struct vdb **out,
                         struct vdb_error *err)
{
    if (!little_endian())
        return error_set(err, VDB_UNSUPPORTED, "this machine is not little-endian");
    struct vdb *db = calloc(1, sizeof *db);
    if (!db) return error_no_memory(err);
    db->file.fd = -1;
    db->maintained.fd = -1;
    pthread_mutex_init(&db->maintain_lock, NULL);
    pthread_mutex_init(&db->write_lock, NULL);
    pthread_mutex_init(&db->state_lock, NULL);
    pthread_mutex_init(&db->sync_lock, NULL);
    enum vdb_status status = db_init(db, path, options, err);
    if (status) {
        vdb_close(db);
        return status;
    }
    *out = db;
    return VDB_OK;
}

void vdb_close(struct vdb *db)
{
    if (!db) return;
    snapshot_unref(db->newest);
    osfile_close(&db->file);
    pthread_mutex_destroy(&db->sync_lock);
    pthread_mutex_destroy(&db->state_lock);
    pthread_mutex_destroy(&db->write_lock);
    pthread_mutex_destroy(&db->maintain_lock);
    free(db->path);
    free(db);
}

/* ---- refreshing ---------------------------------------------------------------------------- */

/* With state_lock held. Goes along the log where the superblock is still the same one, else opens
 * anew. */
static enum vdb_status refresh_locked(struct vdb *db, struct vdb_snapshot **snapshot,
                                      struct vdb_error *err)
{
    struct superblock superblock;
    int slot;
    uint64_t file_len;
    enum vdb_status status = generation_superblock(&db->file, &superblock, &slot, &file_len, err);
    if (status) return status;
    *snapshot = NULL;
    if (superblock.generation == db->newest->generation->superblock.generation)
        status = snapshot_follow(db->newest, &db->file, snapshot, err);
    return status || *snapshot ? status : open_state(db, snapshot, err);
}

/* With state_lock held. Where the path names another file than the one open, goes over to it. */
static enum vdb_status reopen_if_replaced(struct vdb *db, struct vdb_error *err)
{
    struct osfile_stat now;
    if (osfile_stat_path(db->path, &now) != 0)
        return VDB_OK; /* renamed or removed: ours lives on */
    if (now.identity.inode == db->identity.inode && now.identity.device == db->identity.device)
        return VDB_OK;
    struct osfile old = db->file;
    struct osfile_identity old_identity = db->identity;
    bool was_read_only = db->read_only;
    int was_not_writable = db->not_writable;
    enum vdb_status status = open_file(db, !was_read_only, err);
    struct vdb_snapshot *snapshot = NULL;
    if (!status) status = open_state(db, &snapshot, err);
    if (status) {
        osfile_close(&db->file);
        db->file = old;
        db->identity = old_identity;
        db->read_only = was_read_only;
        db->not_writable = was_not_writable;
        return status;
    }
    /* Where another thread has a descriptor of it too, closing would leave the lock held. */
    osfile_unlock(&old, VDB_LOCK_WRITE);
    osfile_close(&old);
    snapshot_unref(db->newest);
    db->newest = snapshot;
    return VDB_OK;
}

/* Whether another file is known to have taken this one's place. Who put it there may have died
 * before it could mark this one; then no name leads here any more. */
static bool superseded(const struct vdb *db)
{
    struct osfile_stat now;
    if (db->newest->generation->superblock.flags & VDB_SUPERBLOCK_SUPERSEDED) return true;
    return osfile_stat(&db->file, &now) == 0 && now.links == 0;
}

enum vdb_status db_refresh(struct vdb *db, struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    struct vdb_snapshot *newer;
    enum vdb_status status = refresh_locked(db, &newer, err);
    if (!status) {
        snapshot_unref(db->newest);
        db->newest = newer;
        if (superseded(db)) status = reopen_if_replaced(db, err);
    }
    if (!status) *snapshot = snapshot_ref(db->newest);
    pthread_mutex_unlock(&db->state_lock);
    return status;
}

enum vdb_status vdb_snapshot_open(struct vdb *db, const struct vdb_snapshot **snapshot,
                                  struct vdb_error *err)
{
    struct vdb_snapshot *newest;
    enum vdb_status status = db_refresh(db, &newest, err);
    if (!status) *snapshot = newest;
    return status;
}

/* ---- locks --------------------------------------------------------------------------------- */

static enum vdb_status lock_failed(int failed, const char *what, struct vdb_error *err)
{
    if (failed == EAGAIN)
        return error_set(err, VDB_BUSY, "another process holds the %s lock of the index", what);
    return error_set_errno(err, VDB_READ_ONLY, failed, "cannot lock the index for writing");
}

enum vdb_status db_takes_writes(struct vdb *db, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    bool read_only = db->read_only;
    int why = db->not_writable;
    pthread_mutex_unlock(&db->state_lock);
    if (!read_only) return VDB_OK;
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

static enum vdb_status look_again(struct vdb *db, struct osfile_identity locked, bool *same,
                                  struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    enum vdb_status status = reopen_if_replaced(db, err);
    *same = locked.inode == db->identity.inode && locked.device == db->identity.device;
    pthread_mutex_unlock(&db->state_lock);
    return status ? status : may_write(db, err);
}

/* A compaction may take the file's place while its lock is waited for, so who gets the lock looks
 * again at what the path names, and begins anew with that. *held is a descriptor of the file that
 * the lock is on. */
static enum vdb_status lock_current(struct vdb *db, uint64_t range, const char *what, double wait,
                                    struct osfile *held, struct vdb_error *err)
{
    for (;;) {
        bool same = false;
        struct osfile_identity identity;
        enum vdb_status status = hold_file(db, held, &identity, err);
        if (status) return status;
        int failed = osfile_lock(held, range, wait);
        if (failed) {
            osfile_close(held);
            return lock_failed(failed, what, err);
        }
        status = look_again(db, identity, &same, err);
        if (!status && same) return VDB_OK;
        osfile_unlock(held, range);
        osfile_close(held);
        if (status) return status;
    }
}

static bool mutex_lock_within(pthread_mutex_t *mutex, double wait)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    double seconds = wait < 0 ? 0 : wait < 1e9 ? wait : 1e9; /* some 30 years are for ever */
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_mutex_timedlock(mutex, &until) == 0;
}

enum vdb_status db_lock_write(struct vdb *db, struct vdb_error *err)
{
    enum vdb_status status = may_write(db, err);
    if (status) return status;
    struct osfile held;
    if (!mutex_lock_within(&db->write_lock, db->wait))
        return error_set(err, VDB_BUSY, "another thread is writing to the index");
    status = lock_current(db, VDB_LOCK_WRITE, "WRITE", db->wait, &held, err);
    if (status)
        pthread_mutex_unlock(&db->write_lock);
    else
        osfile_close(&held); /* db->file keeps the lock */
    return status;
}

void db_unlock_write(struct vdb *db)
{
    pthread_mutex_lock(&db->state_lock);
    osfile_unlock(&db->file, VDB_LOCK_WRITE);
    pthread_mutex_unlock(&db->state_lock);
    pthread_mutex_unlock(&db->write_lock);
}

enum vdb_status db_lock_maintain(struct vdb *db, struct vdb_error *err)
{
    enum vdb_status status = may_write(db, err);
    if (status) return status;
    if (pthread_mutex_trylock(&db->maintain_lock) != 0)
        return error_set(err, VDB_BUSY, "another thread maintains the index");
    status = lock_current(db, VDB_LOCK_MAINTAIN, "MAINTAIN", 0, &db->maintained, err);
    if (status) pthread_mutex_unlock(&db->maintain_lock);
    return status;
}

enum vdb_status db_lock_write_maintained(struct vdb *db, struct vdb_error *err)
{
    enum vdb_status status = db_lock_write(db, err);
    if (status) return status;
    struct osfile_stat now;
    int failed = osfile_stat(&db->maintained, &now);
    if (!failed && now.identity.inode == db->identity.inode &&
        now.identity.device == db->identity.device)
        return VDB_OK;
    db_unlock_write(db);
    return error_set(err, VDB_BUSY, "another file has taken the index's place meanwhile");
}

void db_unlock_maintain(struct vdb *db)
{
    osfile_unlock(&db->maintained, VDB_LOCK_MAINTAIN);
    osfile_close(&db->maintained);
    pthread_mutex_unlock(&db->maintain_lock);
}

enum vdb_status db_sync(struct vdb *db, const struct osfile *file, struct vdb_error *err)
{
    pthread_mutex_lock(&db->sync_lock);
    int failed = db->poisoned ? EIO : osfile_sync_data(file);
    db->poisoned |= failed != 0;
    pthread_mutex_unlock(&db->sync_lock);
    if (!failed) return VDB_OK;
    return error_set_errno(err, VDB_DURABILITY_UNKNOWN, failed,
                           "sync failed, the durability of the last change is unknown");
}
