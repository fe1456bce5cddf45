/* newname.h: a file that is written under a passing name and then takes its own.
 *
 * Whoever dies meanwhile leaves the file. A lock, which dies with him, tells such a one from those
 * that are being written.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_NEWNAME_H
#define VDB_DB_NEWNAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/filelock.h"
#include "base/osfile.h"
#include "vdb.h"

#define NEWNAME_COUNT 8 /* passing names that a file may have */

/* Must not move while it is in use. */
struct newname {
    struct osfile file;
    struct filelock lock; /* of the file, where others may come upon it */
    bool shared;          /* locked; in a child of fork, where the lock is lost, not our file */
    char *path;           /* the name to take */
    char *passing;        /* in the same directory */
};

/* Under the first passing name PATH.tmp-N, N from 0 to 7, that is not taken; what others left under
 * these is removed. Symbolic links are followed: PATH is what they lead to, though it is not there.
 * Errors: VDB_CANNOT_CREATE. */
enum vdb_status newname_create(struct newname *name, const char *path, mode_t mode,
                               struct vdb_error *err);

/* For who alone may be at it, under the passing name .NAME.compact: what a killed process left
 * there, half a file or one with this file_id, is removed first. Errors: VDB_CANNOT_CREATE. */
enum vdb_status newname_create_successor(struct newname *name, const char *path,
                                         const uint8_t file_id[16], mode_t mode,
                                         struct vdb_error *err);

/* For who alone may be at it: removes what a killed process left under .NAME.compact, as above.
 * What cannot be removed stays. Errors: VDB_NO_MEMORY. */
enum vdb_status newname_clear_successor(const char *path, const uint8_t file_id[16],
                                        struct vdb_error *err);

/* Removes what killed processes left under the passing names of `path`: files of this user that are
 * empty, half written or indexes, and that nobody has locked. What cannot be removed stays.
 * Errors: VDB_NO_MEMORY. */
enum vdb_status newname_clear(const char *path, struct vdb_error *err);

/* With `status` VDB_OK gives the file its name, durably: in the place of one that has it where
 * `replace` is set, else only if none has (VDB_EXISTS). With another status, or where that fails,
 * removes the file. Closes it either way. Returns the outcome. */
enum vdb_status newname_finish(struct newname *name, enum vdb_status status, bool replace,
                               struct vdb_error *err);

/* The two halves of that, for who does something in between. The first gives the file its name, if
 * not durably yet; after a failure of it the second has to be told. */
enum vdb_status newname_take(const struct newname *name, bool replace, struct vdb_error *err);
enum vdb_status newname_settle(struct newname *name, enum vdb_status status, struct vdb_error *err);

#endif
