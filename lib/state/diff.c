/* diff.c: what differs between two states of one index, told by ids.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/error.h"
#include "state/snapshot.h"
#include "vdb.h"

struct vdb_diff {
    struct vdb_snapshot *from, *to;
    uint32_t row;  /* the next to look at */
    bool deleting; /* all that `to` has was told */
};

enum vdb_status vdb_diff_open(const struct vdb_snapshot *from, const struct vdb_snapshot *to,
                              struct vdb_diff **out, struct vdb_error *err)
{
    if (from->generation != to->generation)
        return error_set(err, VDB_INVALID, "the two snapshots were not made from the same one");
    struct vdb_diff *diff = malloc(sizeof *diff);
    if (!diff) return error_no_memory(err);
    *diff = (struct vdb_diff){.from = snapshot_ref((struct vdb_snapshot *)(uintptr_t)from),
                              .to = snapshot_ref((struct vdb_snapshot *)(uintptr_t)to)};
    *out = diff;
    return VDB_OK;
}

void vdb_diff_close(struct vdb_diff *diff)
{
    if (!diff) return;
    snapshot_unref(diff->from);
    snapshot_unref(diff->to);
    free(diff);
}

/* The next row that is live in `in` and not in `without`. */
static bool next_row(struct vdb_diff *diff, const struct vdb_snapshot *in,
                     const struct vdb_snapshot *without, uint32_t *row)
{
    while ((diff->row = snapshot_next_difference(in, without, diff->row)) < in->row_count) {
        *row = diff->row++;
        if (!liveness_deleted(&in->dead, *row)) return true;
    }
    return false;
}

static enum vdb_status tell(const struct vdb_snapshot *in, const struct vdb_snapshot *other,
                            uint32_t row, struct vdb_diff_entry *entry, uint32_t *other_row,
                            struct vdb_error *err)
{
    enum vdb_status status = vdb_row_id(in, row, &entry->id, &entry->id_len, err);
    if (status) return status;
    return snapshot_find(other, &other->dead, entry->id, entry->id_len, false, other_row, err);
}

enum vdb_status vdb_diff_next(struct vdb_diff *diff, struct vdb_diff_entry *entry,
                              struct vdb_error *err)
{
    const struct vdb_snapshot *from = diff->from, *to = diff->to;
    enum vdb_status status;
    if (!diff->deleting && next_row(diff, to, from, &entry->to_row)) {
        status = tell(to, from, entry->to_row, entry, &entry->from_row, err);
        entry->operation = entry->from_row == VDB_NO_ROW ? VDB_OPERATION_ADD : VDB_OPERATION_UPDATE;
        return status;
    }
    if (!diff->deleting) diff->row = 0;
    diff->deleting = true;
    while (next_row(diff, from, to, &entry->from_row)) {
        status = tell(from, to, entry->from_row, entry, &entry->to_row, err);
        entry->operation = VDB_OPERATION_DELETE;
        if (status || entry->to_row == VDB_NO_ROW) return status; /* else it was an update */
    }
    return VDB_NOT_FOUND;
}
