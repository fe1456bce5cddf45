/* newname.c: a file that is written under a passing name and then takes its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/newname.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "format/disk.h"

/* Where the lock of a new file is held by who is about to remove it, that is over in no time. */
#define HOLD_SECONDS 0.1

static const struct filelock_place new_place = {VDB_LOCK_NEW, 0};

/* ---- what lies there ------------------------------------------------------------------------ */

/* Whether the file is one that was being written: nothing but zeros where the superblocks will be,
 * or an index, with this file_id if that is not NULL. */
static bool is_leftover(const struct osfile *file, const uint8_t file_id[16])
{
    struct {
        struct disk_superblock slot;
        uint8_t padding[VDB_SUPERBLOCK_STRIDE - VDB_SUPERBLOCK_SIZE];
    } head, zero = {0};
    size_t got = 0;
    if (osfile_read(file, 0, &head, sizeof head, &got)) return false;
    if (memcmp(&head, &zero, got) == 0) return true;
    return got == sizeof head && memcmp(head.slot.magic, VDB_MAGIC, sizeof head.slot.magic) == 0 &&
           (!file_id || memcmp(head.slot.file_id, file_id, sizeof head.slot.file_id) == 0);
}

/* Whether the name stands for this very file. */
static int leads_to(const char *path, const struct osfile *file, bool *does)
{
    struct osfile_stat there, is;
    int failed = osfile_stat_name(path, &there);
    if (!failed) failed = osfile_stat(file, &is);
    *does = !failed && there.identity.inode == is.identity.inode &&
            there.identity.device == is.identity.device;
    return failed == ENOENT ? 0 : failed;
}

/* With the lock in hand the name is looked at again: its file may have taken its own name and let
 * go of the lock meanwhile. */
static void remove_unheld(const char *passing, const struct osfile *file)
{
    struct filelock lock;
    bool same;
    if (filelock_open(&lock, file)) return;
    if (!filelock_take(&lock, new_place, 0, NULL) && !leads_to(passing, file, &same) && same)
        osfile_unlink(passing);
    filelock_close(&lock);
}

static void clear(const char *passing)
{
    struct osfile file;
    struct osfile_stat there;
    if (osfile_stat_name(passing, &there) || !there.regular || there.owner != geteuid()) return;
    if (osfile_open(&file, passing, true)) return;
    if (is_leftover(&file, NULL)) remove_unheld(passing, &file);
    osfile_close(&file);
}

/* ---- passing names -------------------------------------------------------------------------- */

_Static_assert(NEWNAME_COUNT <= 10, "a passing name ends in one digit");

static char *first_passing(const char *path)
{
    char *passing;
    return asprintf(&passing, "%s.tmp-0", path) < 0 ? NULL : passing;
}

static void set_number(char *passing, int n)
{
    passing[strlen(passing) - 1] = (char)('0' + n);
}

static void clear_from(char *passing, int n)
{
    for (; n < NEWNAME_COUNT; n++) {
        set_number(passing, n);
        clear(passing);
    }
}

enum vdb_status newname_clear(const char *path, struct vdb_error *err)
{
    char *passing = first_passing(path);
    if (!passing) return error_no_memory(err);
    clear_from(passing, 0);
    free(passing);
    return VDB_OK;
}

/* Locks the file that was just made; EEXIST where it was removed before that, by somebody who came
 * upon it unlocked. A file system without locks has nobody who could remove it either. */
static int hold(struct newname *name)
{
    bool same = true;
    int failed = filelock_open(&name->lock, &name->file);
    if (failed) return failed;
    failed = filelock_take(&name->lock, new_place, HOLD_SECONDS, NULL);
    if (failed == EAGAIN) return EEXIST;
    failed = leads_to(name->passing, &name->file, &same);
    return failed ? failed : same ? 0 : EEXIST;
}

static int create_held(struct newname *name, mode_t mode)
{
    int failed = osfile_create(&name->file, name->passing, mode);
    if (failed) return failed;
    failed = hold(name);
    if (!failed) return 0;
    if (failed != EEXIST) osfile_unlink(name->passing);
    filelock_close(&name->lock);
    osfile_close(&name->file);
    return failed;
}

/* The passing name is told where it is what stands in the way. */
static enum vdb_status create_failed(struct newname *name, int failed, struct vdb_error *err)
{
    error_set_errno(err, VDB_CANNOT_CREATE, failed, "cannot create %s",
                    failed == EEXIST ? name->passing : "the file");
    free(name->passing);
    free(name->path);
    return VDB_CANNOT_CREATE;
}

static enum vdb_status init(struct newname *name, const char *path, char *passing,
                            struct vdb_error *err)
{
    *name = (struct newname){
        .file = {-1}, .lock = {.file = {-1}}, .path = strdup(path), .passing = passing};
    if (name->path && passing) return VDB_OK;
    free(name->path);
    free(passing);
    return error_no_memory(err);
}

enum vdb_status newname_create(struct newname *name, const char *path, mode_t mode,
                               struct vdb_error *err)
{
    char *target;
    int n = 0, failed = osfile_follow(path, &target);
    if (failed) return error_set_errno(err, VDB_CANNOT_CREATE, failed, "cannot create the file");
    enum vdb_status status = init(name, target, first_passing(target), err);
    free(target);
    if (status) return status;
    failed = EEXIST;
    for (; n < NEWNAME_COUNT && failed == EEXIST; n++) {
        set_number(name->passing, n);
        clear(name->passing);
        failed = create_held(name, mode);
    }
    if (failed) return create_failed(name, failed, err);
    clear_from(name->passing, n);
    set_number(name->passing, n - 1);
    name->shared = true;
    return VDB_OK;
}

/* ---- of a compaction ------------------------------------------------------------------------ */

static char *successor_passing(const char *path)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    char *passing;
    return asprintf(&passing, "%.*s.%s.compact", folder, path, path + folder) < 0 ? NULL : passing;
}

static int clear_successor(const char *passing, const uint8_t file_id[16])
{
    struct osfile file;
    if (osfile_open(&file, passing, false)) return 0;
    bool is = is_leftover(&file, file_id);
    osfile_close(&file);
    return is ? osfile_unlink(passing) : 0;
}

enum vdb_status newname_clear_successor(const char *path, const uint8_t file_id[16],
                                        struct vdb_error *err)
{
    char *passing = successor_passing(path);
    if (!passing) return error_no_memory(err);
    clear_successor(passing, file_id);
    free(passing);
    return VDB_OK;
}

enum vdb_status newname_create_successor(struct newname *name, const char *path,
                                         const uint8_t file_id[16], mode_t mode,
                                         struct vdb_error *err)
{
    enum vdb_status status = init(name, path, successor_passing(path), err);
    if (status) return status;
    int failed = clear_successor(name->passing, file_id);
    if (!failed) failed = osfile_create(&name->file, name->passing, mode);
    return failed ? create_failed(name, failed, err) : VDB_OK;
}

/* ---- the name ------------------------------------------------------------------------------- */

/* Not if somebody has put another one under its passing name. */
enum vdb_status newname_take(const struct newname *name, bool replace, struct vdb_error *err)
{
    bool same;
    int failed = leads_to(name->passing, &name->file, &same);
    if (!failed && !same)
        return error_set(err, VDB_CANNOT_CREATE, "%s was removed meanwhile", name->passing);
    if (!failed)
        failed = replace ? osfile_rename(name->passing, name->path)
                         : osfile_rename_new(name->passing, name->path);
    if (!failed) return VDB_OK;
    if (failed == EEXIST) return error_set(err, VDB_EXISTS, "the file exists already");
    return error_set_errno(err, VDB_CANNOT_CREATE, failed, "cannot give the new file its name");
}

static void discard(const struct newname *name)
{
    bool same;
    if (name->shared && name->lock.file.fd < 0) return;
    if (!leads_to(name->passing, &name->file, &same) && same) osfile_unlink(name->passing);
}

enum vdb_status newname_settle(struct newname *name, enum vdb_status status, struct vdb_error *err)
{
    if (status) {
        discard(name);
    } else {
        int failed = osfile_sync_directory_of(name->path);
        if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot sync the directory");
    }
    filelock_close(&name->lock);
    osfile_close(&name->file);
    free(name->passing);
    free(name->path);
    return status;
}

enum vdb_status newname_finish(struct newname *name, enum vdb_status status, bool replace,
                               struct vdb_error *err)
{
    if (!status) status = newname_take(name, replace, err);
    return newname_settle(name, status, err);
}
