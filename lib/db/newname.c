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

#define TRIES 100

static enum vdb_status create_failed(struct newname *name, int failed, struct vdb_error *err)
{
    free(name->passing);
    free(name->path);
    return error_set_errno(err, VDB_CANNOT_CREATE, failed, "cannot create the file");
}

enum vdb_status newname_create(struct newname *name, const char *path, mode_t mode,
                               struct vdb_error *err)
{
    *name = (struct newname){.file = {-1}};
    name->path = strdup(path);
    if (!name->path) return error_no_memory(err);
    int failed = EEXIST;
    for (int i = 0; i < TRIES && failed == EEXIST; i++) {
        free(name->passing);
        name->passing = NULL;
        if (asprintf(&name->passing, "%s.tmp-%ld-%d", path, (long)getpid(), i) < 0) {
            name->passing = NULL;
            failed = ENOMEM;
            break;
        }
        failed = osfile_create(&name->file, name->passing, mode);
    }
    if (!failed) return VDB_OK;
    return create_failed(name, failed, err);
}

/* Whether the file is one that a compaction was writing: nothing but zeros where the superblocks
 * will be, or the index's own id in them. */
static bool is_leftover(const char *path, const uint8_t file_id[16])
{
    struct {
        struct disk_superblock slot;
        uint8_t padding[VDB_SUPERBLOCK_STRIDE - VDB_SUPERBLOCK_SIZE];
    } head, zero = {0};
    struct osfile file;
    size_t got = 0;
    if (osfile_open(&file, path, false) != 0) return false;
    int failed = osfile_read(&file, 0, &head, sizeof head, &got);
    osfile_close(&file);
    if (failed) return false;
    if (memcmp(&head, &zero, got) == 0) return true;
    return got == sizeof head && memcmp(head.slot.magic, VDB_MAGIC, sizeof head.slot.magic) == 0 &&
           memcmp(head.slot.file_id, file_id, sizeof head.slot.file_id) == 0;
}

enum vdb_status newname_create_successor(struct newname *name, const char *path,
                                         const uint8_t file_id[16], mode_t mode,
                                         struct vdb_error *err)
{
    *name = (struct newname){.file = {-1}};
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    name->path = strdup(path);
    if (!name->path ||
        asprintf(&name->passing, "%.*s.%s.compact", folder, path, path + folder) < 0) {
        free(name->path);
        return error_no_memory(err);
    }
    int failed = is_leftover(name->passing, file_id) ? osfile_unlink(name->passing) : 0;
    if (!failed) failed = osfile_create(&name->file, name->passing, mode);
    if (!failed) return VDB_OK;
    error_set_errno(err, VDB_CANNOT_CREATE, failed, "cannot create %s", name->passing);
    return create_failed(name, failed, NULL);
}

enum vdb_status newname_finish(struct newname *name, enum vdb_status status, bool replace,
                               struct vdb_error *err)
{
    osfile_close(&name->file);
    if (!status) {
        int failed = replace ? osfile_rename(name->passing, name->path)
                             : osfile_rename_new(name->passing, name->path);
        if (failed == EEXIST)
            status = error_set(err, VDB_EXISTS, "the file exists already");
        else if (failed)
            status = error_set_errno(err, VDB_CANNOT_CREATE, failed,
                                     "cannot give the new file its name");
    }
    if (status) {
        osfile_unlink(name->passing);
    } else {
        int failed = osfile_sync_directory_of(name->path);
        if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot sync the directory");
    }
    free(name->passing);
    free(name->path);
    return status;
}
