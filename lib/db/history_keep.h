/* history_keep.h: the history of changes, carried over from an index to its compacted successor.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_HISTORY_KEEP_H
#define VDB_DB_HISTORY_KEEP_H

#include <stdint.h>

#include "base/osfile.h"
#include "format/manifest.h"
#include "state/snapshot.h"
#include "vdb.h"

struct history_keep {
    const struct vdb_snapshot *source;
    const struct osfile *file; /* where to; nobody else has it */
    const char *beside;        /* a path in whose directory temporary files go */
    int64_t since_us;          /* commits at this time or later; INT64_MIN: all */
    vdb_progress_fn progress;
    void *context;
};

/* Writes history segments for the changes up to the source's commit into the file, unsynced, and
 * adds them to the manifest. Segments of the source are copied where they are large, and else
 * become one with what came after them, so that there are few. Checksums of what is read are
 * verified. Errors: VDB_CORRUPT, VDB_IO, VDB_NO_MEMORY, VDB_CANCELLED. */
enum vdb_status history_keep(const struct history_keep *keep, struct manifest *manifest,
                             struct vdb_error *err);

#endif
