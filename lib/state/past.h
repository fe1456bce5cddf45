/* past.h: the commits that are recorded in a file, from the oldest on: those of the manifest's log
 * extents, then the tail's (format-spec/manifest.md, "Log extents").
 *
 * What lies in the extents was judged when it was new and is judged again: there a record that is
 * not valid is damage, since the manifest says where the past ends.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_PAST_H
#define VDB_STATE_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "format/log.h"
#include "format/states.h"
#include "state/snapshot.h"
#include "vdb.h"

/* From the first commit to the last: init, and next until it returns VDB_NOT_FOUND. It holds no
 * memory; the snapshot outlives it. */
struct past {
    const struct vdb_snapshot *snapshot;
    uint64_t since;  /* commits up to this one are passed over */
    uint32_t extent; /* of the manifest's table; log_extent_count: all of them are read */
    bool entered;    /* the cursor stands in that extent */
    struct log_cursor cursor;
    uint32_t tail;  /* commits of the tail that are read */
    uint64_t bytes; /* of the blocks of commits so far, which do not overlap */
};

/* Commits after number `since`, up to that of the snapshot. */
void past_init(struct past *past, const struct vdb_snapshot *snapshot, uint64_t since);

/* VDB_NOT_FOUND: there was no further commit; err is left alone. The rows of *commit are rows of
 * the snapshot; the checksums of its blocks are the caller's to verify. Errors: VDB_CORRUPT. */
enum vdb_status past_next(struct past *past, struct log_commit *commit, struct vdb_error *err);

/* The states from before the log that a compaction kept. *found: there are any. Errors:
 * VDB_CORRUPT. */
enum vdb_status past_states(const struct vdb_snapshot *snapshot, struct states_view *view,
                            bool *found, struct vdb_error *err);

/* The oldest commit that is in an extent or will be. */
uint64_t past_first_commit(const struct vdb_snapshot *snapshot);

#endif
