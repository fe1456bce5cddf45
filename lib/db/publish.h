/* publish.h: putting a manifest into force: in a new file, or in the place of an older one.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PUBLISH_H
#define VDB_DB_PUBLISH_H

#include <stdint.h>

#include "base/osfile.h"
#include "db/db.h"
#include "format/log.h"
#include "format/manifest.h"
#include "format/superblock.h"
#include "vdb.h"

/* A new file's first extent: superblocks, room for the manifest, and the first of the log. */
#define NEWFILE_MANIFEST_OFF ((uint64_t)VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE)
#define NEWFILE_LOG_OFF      ((uint64_t)16384)
#define NEWFILE_HEAD_LEN     ((uint64_t)65536)

/* Lengthens a new, empty file by its first extent; segments may then be appended. */
enum vdb_status publish_begin_new(const struct osfile *file, struct vdb_error *err);

/* Writes manifest and superblock of a new file and syncs all of it. The manifest's generation is 1
 * and its log begins in the first extent; both are set here. */
enum vdb_status publish_new(const struct osfile *file, const uint8_t file_id[16],
                            struct manifest *manifest, struct vdb_error *err);

/* Makes `manifest` the next generation of an open index: it describes the state where the log
 * stands at `cursor`. Segments are written but need not be synced. The MAINTAIN lock is held.
 * Errors: VDB_IO, VDB_DURABILITY_UNKNOWN (the handle is poisoned then). */
enum vdb_status publish_next(struct vdb *db, const struct generation *current,
                             struct manifest *manifest, const struct log_cursor *cursor,
                             struct vdb_error *err);

/* Marks the file as one that another has taken the place of. No sync, and no harm where it fails:
 * it is a hint to readers, who also see that no name leads to the file. */
void publish_superseded(const struct osfile *file, const struct generation *current);

/* Once the file is synced: what every search of a part built from the state at `commit` touches is
 * put into huge pages, where the system has them. `view` maps the file here, or is NULL. */
void publish_settle(const struct osfile *file, const struct view *view,
                    const struct manifest *manifest, uint64_t commit);

#endif
