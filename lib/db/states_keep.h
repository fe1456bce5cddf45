/* states_keep.h: states of the past that a compaction keeps, and the rows that they see.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_STATES_KEEP_H
#define VDB_DB_STATES_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/osfile.h"
#include "format/manifest.h"
#include "format/states.h"
#include "state/snapshot.h"
#include "vdb.h"

#define STATES_KEEP_ALL   INT64_MIN
#define STATES_KEEP_NAMED INT64_MAX

struct kept_state {
    struct state_entry entry; /* its row_count is one of kept rows */
    uint64_t flips_end;
};

/* The caller sets the first part and calls states_keep_find; the rest is zero before. */
struct states_keep {
    const struct vdb_snapshot *source;
    bool live_only;   /* nothing of the past is kept, named or not */
    int64_t since_us; /* states are kept that were the newest later than that, beside named ones;
                         or one of the two constants above */
    vdb_progress_fn progress;
    void *context;

    uint32_t *rows; /* the source's rows to be kept, rising: live ones, and what kept states see */
    uint32_t count;
    struct kept_state *states; /* kept ones before the source's, oldest first */
    uint32_t state_count;
    struct buf flips; /* u32, numbers of kept rows: of one state behind those of the other */
};

/* Finds rows and states, in time by the changes that are recorded and a bit a row; where nothing of
 * the past is to be kept, by the rows alone. Errors: VDB_CORRUPT, VDB_NO_MEMORY, VDB_CANCELLED. */
enum vdb_status states_keep_find(struct states_keep *keep, struct vdb_error *err);

/* Writes the segment of the kept states into the file, which nobody else has, unsynced, and gives
 * the manifest segment, horizon and names. Errors: VDB_IO, VDB_NO_MEMORY. */
enum vdb_status states_keep_write(const struct states_keep *keep, const struct osfile *file,
                                  struct manifest *manifest, struct vdb_error *err);

void states_keep_release(struct states_keep *keep);

#endif
