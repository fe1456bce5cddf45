/* check_records.c: rows that lie in a part and still in the record of the log that brought them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_records.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "format/ids.h"
#include "format/metadata.h"
#include "state/verify.h"

#define SECOND 1000000

struct record_check {
    const struct vdb_snapshot *snapshot;
    const struct log_commit *commit;
    const uint8_t *file;
    struct ids_view ids;
    struct metadata_view metadata; /* where the commit has any */
    struct packed_block mine, theirs;
    const struct part *part; /* of the row before: whose metadata `theirs` has */
};

static enum vdb_status is_other(const struct record_check *k, uint32_t row, const char *segment,
                                const char *what, struct vdb_error *finding)
{
    return error_set_corrupt(finding, segment, k->commit->record_off,
                             "the %s of row %" PRIu32 " is not that which commit %llu brought",
                             what, row, (unsigned long long)k->commit->commit);
}

static enum vdb_status check_id(const struct record_check *k, const struct row_place *place,
                                uint32_t row, struct vdb_error *finding)
{
    const char *mine, *theirs;
    size_t len, other = 0;
    enum vdb_status status = ids_get(&k->ids, row - k->commit->row_base, &mine, &len, finding);
    if (!status) status = ids_get(place->ids, place->local, &theirs, &other, finding);
    if (status || (len == other && memcmp(mine, theirs, len) == 0)) return status;
    return is_other(k, row, "id", "id", finding);
}

static enum vdb_status check_metadata(struct record_check *k, const struct row_place *place,
                                      uint32_t row, struct vdb_error *finding)
{
    const char *mine = NULL, *theirs = NULL;
    size_t len = 0, other = 0;
    enum vdb_status status = VDB_OK;
    if (k->commit->metadata.len)
        status =
            metadata_read(&k->metadata, &k->mine, row - k->commit->row_base, &mine, &len, finding);
    if (!status && place->metadata)
        status = metadata_read(place->metadata, &k->theirs, place->local, &theirs, &other, finding);
    if (status || (len == other && (!len || memcmp(mine, theirs, len) == 0))) return status;
    return is_other(k, row, "metadata", "metadata", finding);
}

/* The part's entry is of the newest of its rows that came within one second. */
static enum vdb_status check_time(const struct record_check *k, uint32_t row,
                                  struct vdb_error *finding)
{
    int64_t time_us = snapshot_row_time(k->snapshot, row), made_us = k->commit->time_us;
    if (!time_us || (time_us >= made_us && time_us - made_us < SECOND)) return VDB_OK;
    return is_other(k, row, "time", "time", finding);
}

static enum vdb_status check_row(struct record_check *k, uint32_t row, struct vdb_error *finding)
{
    const struct log_commit *c = k->commit;
    const uint8_t *mine = k->file + c->vectors.off + (size_t)(row - c->row_base) * c->stride;
    const struct part *part = generation_part_of_row(k->snapshot->generation, row);
    struct row_place place;
    if (part != k->part) packed_block_release(&k->theirs);
    k->part = part;
    enum vdb_status status = snapshot_place(k->snapshot, row, &place, finding);
    if (status) return status;
    if (part->stride != c->stride || memcmp(mine, place.vector, c->stride) != 0)
        return is_other(k, row, "vector", "vector", finding);
    status = check_id(k, &place, row, finding);
    if (!status) status = check_metadata(k, &place, row, finding);
    return status ? status : check_time(k, row, finding);
}

/* Whether the checksums on both sides are right. */
static bool both_sound(const struct record_check *k)
{
    const struct generation *g = k->snapshot->generation;
    if (verify_commit(k->file, k->commit, NULL)) return false;
    for (uint32_t i = 0; i < g->manifest.segment_count; i++) {
        const struct segment_entry *s = &g->manifest.segments[i];
        bool rows = s->type == DISK_SEGMENT_VECTOR || s->type == DISK_SEGMENT_ID ||
                    s->type == DISK_SEGMENT_METADATA || s->type == DISK_SEGMENT_TIME;
        bool shared = s->row_end > k->commit->row_base &&
                      s->row_begin < k->commit->row_base + k->commit->row_count;
        if (rows && shared && verify_bytes(k->file, "", s->off, s->len, s->check, NULL))
            return false;
    }
    return true;
}

enum vdb_status check_record_rows(const struct vdb_snapshot *snapshot,
                                  const struct log_commit *commit, bool *differs,
                                  struct vdb_error *finding)
{
    struct record_check k = {
        .snapshot = snapshot, .commit = commit, .file = snapshot->generation->view->base};
    if (!commit->row_count) return VDB_OK;
    enum vdb_status status =
        ids_view_init(&k.ids, k.file + commit->ids.off, (size_t)commit->ids.len, commit->row_count,
                      commit->ids.off, finding);
    if (!status && commit->metadata.len)
        status = metadata_view_init(&k.metadata, k.file + commit->metadata.off,
                                    (size_t)commit->metadata.len, commit->row_count,
                                    commit->metadata.off, finding);
    for (uint32_t i = 0; i < commit->row_count && !status; i++)
        status = check_row(&k, commit->row_base + i, finding);
    packed_block_release(&k.mine);
    packed_block_release(&k.theirs);
    *differs = status == VDB_CORRUPT;
    return *differs && !both_sound(&k) ? VDB_OK : status;
}
