/* storm_role.c: what the processes of the storm have in common.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/storm_role.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct storm_tell) <= PIPE_BUF, "a message is written whole or not at all");

uint32_t storm_below(struct storm_role *role, uint32_t n)
{
    return (uint32_t)(storm_random(&role->seed) % n);
}

void storm_tell(const struct storm_role *role, struct storm_tell *what)
{
    what->time_ns = storm_now_ns();
    if (write(role->pipe, what, sizeof *what) != (ssize_t)sizeof *what) _exit(1);
}

void storm_tell_kind(const struct storm_role *role, enum storm_kind kind)
{
    struct storm_tell what = {.kind = kind};
    storm_tell(role, &what);
}

void storm_wrong(const struct storm_role *role, const char *format, ...)
{
    struct storm_tell what = {.kind = TELL_WRONG};
    va_list args;
    va_start(args, format);
    vsnprintf(what.text, sizeof what.text, format, args);
    va_end(args);
    storm_tell(role, &what);
    _exit(1);
}

void storm_must(const struct storm_role *role, enum vdb_status status, const char *what,
                const struct vdb_error *err)
{
    if (status) storm_wrong(role, "%s: status %d: %.300s", what, (int)status, err->message);
}

struct vdb *storm_open(const struct storm_role *role, const char *path, bool read_only)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb *db;
    options.read_only = read_only;
    options.wait = role->patience;
    options.threads = 1;
    storm_must(role, vdb_open(path, &options, &db, &err), "vdb_open", &err);
    return db;
}

const struct vdb_snapshot *storm_snapshot(const struct storm_role *role, struct vdb *db,
                                          struct vdb_info *info)
{
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    storm_must(role, vdb_snapshot_open(db, &snapshot, &err), "vdb_snapshot_open", &err);
    vdb_snapshot_info(snapshot, info);
    return snapshot;
}

static void read_row(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                     uint32_t row, struct storm_row *what, float *vector)
{
    const char *id;
    char *json, *expected;
    size_t len, json_len;
    float wanted[DIM];
    struct vdb_error err;
    storm_must(role, vdb_row_id(snapshot, row, &id, &len, &err), "vdb_row_id", &err);
    if (!storm_id_parse(id, len, &what->group, &what->member))
        storm_wrong(role, "row %u has an id that nobody wrote: %.*s", row, (int)len, id);
    storm_must(role, vdb_row_vector(snapshot, row, vector, &err), "vdb_row_vector", &err);
    what->batch = (uint32_t)vector[0] | (uint32_t)vector[1] << 8 | (uint32_t)vector[2] << 16;
    what->place = (uint32_t)vector[3];
    storm_vector(what, wanted);
    if (memcmp(vector, wanted, sizeof wanted) != 0)
        storm_wrong(role, "row %u (%.*s) has a vector that nobody wrote", row, (int)len, id);
    storm_must(role, vdb_row_metadata(snapshot, row, &json, &json_len, &err), "vdb_row_metadata",
               &err);
    expected = storm_metadata(what);
    if (!json != !expected || (json && strcmp(json, expected) != 0))
        storm_wrong(role, "row %u (%.*s) has metadata that nobody wrote", row, (int)len, id);
    free(json);
    free(expected);
}

void storm_scan_rows(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                     uint64_t commit, struct storm_scan *s)
{
    uint32_t members[GROUPS] = {0}, batch[GROUPS], place[GROUPS];
    s->count = 0;
    s->hash = 0;
    for (uint32_t row = 0; vdb_next_live_row(snapshot, &row); row++) {
        if (s->count == STORM_ROWS_MAX)
            storm_wrong(role, "commit %llu has more live rows than there are ids",
                        (unsigned long long)commit);
        struct storm_row *what = &s->what[s->count];
        read_row(role, snapshot, row, what, s->vector[s->count]);
        s->row[s->count++] = row;
        s->hash += storm_hash(what);
        if (what->group >= MARKER) continue;
        uint32_t g = what->group;
        if (!members[g]) {
            batch[g] = what->batch;
            place[g] = what->place - what->member;
        }
        if (members[g] >> what->member & 1 || batch[g] != what->batch ||
            place[g] != what->place - what->member)
            storm_wrong(role, "commit %llu: rows of group %u are from batches %u and %u",
                        (unsigned long long)commit, g, batch[g], what->batch);
        members[g] |= 1u << what->member;
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        if (members[g] && members[g] != (1u << GROUP_ROWS) - 1)
            storm_wrong(role, "commit %llu: batch %u is there in part, its group %u has rows %x",
                        (unsigned long long)commit, batch[g], g, members[g]);
}

void storm_tell_seen(const struct storm_role *role, uint64_t commit, const struct storm_scan *s)
{
    struct storm_tell what = {
        .kind = TELL_SEEN, .commit = commit, .hash = s->hash, .live = s->count};
    storm_tell(role, &what);
}
