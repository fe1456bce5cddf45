/* db.c: opening, closing and refreshing a handle.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* The newest state of the file, with the help of an older generation of it, or NULL. */
static enum vdb_status open_state(struct vdb *db, const struct generation *before,
                                  struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    db->options.read_only = db->read_only;
    enum vdb_status status = snapshot_open(&db->file, before, &db->options, snapshot, err);
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
    db->cancel = (struct cancel){chosen.cancelled, chosen.cancel_context};
    db->options.threads = par_threads(chosen.threads);
    status = kernels_select(chosen.isa, &db->options.kernels, err);
    if (status) return status;
    db->path = realpath(path, NULL);
    if (!db->path) return open_failed(errno, err);
    status = open_file(db, !chosen.read_only, err);
    return status ? status : open_state(db, NULL, &db->newest, err);
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
    db->maintained.fd = db->writing.lock.file.fd = db->maintaining.lock.file.fd = -1;
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
    filelock_close(&db->writing.lock);
    filelock_close(&db->maintaining.lock);
    osfile_close(&db->file);
    pthread_mutex_destroy(&db->sync_lock);
    pthread_mutex_destroy(&db->state_lock);
    pthread_mutex_destroy(&db->write_lock);
    pthread_mutex_destroy(&db->maintain_lock);
    if (db->fresh) newname_finish(db->fresh, VDB_CANCELLED, false, NULL);
    free(db->fresh);
    free(db->path);
    free(db);
}

/* ---- refreshing ---------------------------------------------------------------------------- */

/* With state_lock held. Goes along the log where the superblock is still the same one, else opens
 * anew. */
static enum vdb_status refresh_locked(struct vdb *db, const struct osfile_stat *now,
                                      struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    const struct generation *generation = db->newest->generation;
    struct superblock superblock;
    enum vdb_status status = generation_look(generation, now, &superblock, err);
    if (status) return status;
    *snapshot = NULL;
    if (superblock.generation == generation->superblock.generation)
        status = snapshot_follow(db->newest, &db->file, now->size, snapshot, err);
    return status || *snapshot ? status : open_state(db, generation, snapshot, err);
}

/* A range that nobody uses is let go of: open, it would keep the old file's room on the medium. Who
 * is about to lock has the mutex, and aims anew. */
static void forget(pthread_mutex_t *mutex, struct db_range *range)
{
    if (pthread_mutex_trylock(mutex) != 0) return;
    filelock_close(&range->lock);
    pthread_mutex_unlock(mutex);
}

enum vdb_status db_reopen_if_replaced(struct vdb *db, struct vdb_error *err)
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
    if (!status) status = open_state(db, NULL, &snapshot, err);
    if (status) {
        osfile_close(&db->file);
        db->file = old;
        db->identity = old_identity;
        db->read_only = was_read_only;
        db->not_writable = was_not_writable;
        return status;
    }
    osfile_close(&old);
    forget(&db->write_lock, &db->writing);
    forget(&db->maintain_lock, &db->maintaining);
    snapshot_unref(db->newest);
    db->newest = snapshot;
    return VDB_OK;
}

/* Whether another file is known to have taken this one's place. Who put it there may have died
 * before it could mark this one; then no name leads here any more. */
static bool superseded(const struct vdb *db, const struct osfile_stat *now)
{
    return db->newest->generation->superblock.flags & VDB_SUPERBLOCK_SUPERSEDED || now->links == 0;
}

enum vdb_status db_refresh(struct vdb *db, struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    pthread_mutex_lock(&db->state_lock);
    struct vdb_snapshot *newer;
    struct osfile_stat now;
    enum vdb_status status = VDB_OK;
    int failed = osfile_stat(&db->file, &now);
    if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    if (!status) status = refresh_locked(db, &now, &newer, err);
    if (!status) {
        snapshot_unref(db->newest);
        db->newest = newer;
        if (superseded(db, &now)) status = db_reopen_if_replaced(db, err);
    }
    if (!status) *snapshot = snapshot_ref(db->newest);
    pthread_mutex_unlock(&db->state_lock);
    return status;
}

enum vdb_status db_refresh_to_write(struct vdb *db, struct vdb_snapshot **snapshot,
                                    struct vdb_error *err)
{
    *snapshot = NULL;
    enum vdb_status status = db_refresh(db, snapshot, err);
    if (status) return status;
    status = db_takes_writes(db, err);
    if (status) {
        snapshot_unref(*snapshot);
        *snapshot = NULL;
    }
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

enum vdb_status vdb_refresh(struct vdb *db, const struct vdb_snapshot **snapshot,
                            struct vdb_error *err)
{
    struct vdb_snapshot *newest;
    enum vdb_status status = db_refresh(db, &newest, err);
    if (status) return status;
    if (newest->commit == (*snapshot)->commit && newest->generation == (*snapshot)->generation &&
        newest->names == (*snapshot)->names) {
        snapshot_unref(newest);
        return VDB_OK;
    }
    vdb_snapshot_close(*snapshot);
    *snapshot = newest;
    return VDB_OK;
}
