/* storm_reader.c: the readers of the storm.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/storm_role.h"

enum { SEARCH_K = 10 };

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

/* What a search finds is in the scan, at its distance; an exact one finds the nearest. */
static void storm_search(struct storm_role *role, const struct vdb_snapshot *snapshot,
                         const struct storm_scan *s, bool exact)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[SEARCH_K];
    struct vdb_error err;
    uint32_t found, nearer = 0;
    options.k = SEARCH_K;
    options.exact = exact;
    options.threads = 1;
    if (!s->count) return;
    const float *query = s->vector[storm_below(role, s->count)];
    storm_must(role, vdb_search(snapshot, query, 1, &options, hits, &found, &err), "vdb_search",
               &err);
    uint32_t wanted = s->count < SEARCH_K ? s->count : SEARCH_K;
    if (exact && found != wanted)
        storm_wrong(role, "an exact search found %u of %u rows", found, wanted);
    for (uint32_t i = 0; i < found; i++) {
        uint32_t at = 0;
        while (at < s->count && s->row[at] != hits[i].row) at++;
        if (at == s->count) storm_wrong(role, "a search found row %u, no live one", hits[i].row);
        if (fabs(distance(query, s->vector[at]) - hits[i].distance) > 1e-4)
            storm_wrong(role, "a search gave row %u the distance %g, it is at %g", hits[i].row,
                        hits[i].distance, distance(query, s->vector[at]));
    }
    if (!exact || !found) return;
    for (uint32_t i = 0; i < s->count; i++)
        nearer += distance(query, s->vector[i]) < hits[found - 1].distance - 1e-4;
    if (nearer >= found) storm_wrong(role, "an exact search passed over a nearer row");
}

static void look_up(struct storm_role *role, const struct vdb_snapshot *snapshot,
                    const struct storm_scan *s)
{
    char id[STORM_ID_MAX];
    struct vdb_error err;
    uint32_t row;
    if (!s->count) return;
    uint32_t at = storm_below(role, s->count);
    size_t len = (size_t)storm_id(s->what[at].group, s->what[at].member, id);
    storm_must(role, vdb_find(snapshot, id, len, 0, &row, &err), "vdb_find", &err);
    if (row != s->row[at])
        storm_wrong(role, "id %s is found in row %u, not %u", id, row, s->row[at]);
}

typedef uint64_t name_states[WRITERS][NAMES];

static void look_at_names(const struct storm_role *role, name_states states)
{
    for (uint32_t slot = 0; slot < WRITERS; slot++)
        for (uint32_t n = 0; n < NAMES; n++) states[slot][n] = role->shared->names[slot][n];
}

/* What was not changed while the snapshot was taken is there as its writer left it. */
static void check_names(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                        name_states before, name_states after)
{
    for (uint32_t slot = 0; slot < WRITERS; slot++)
        for (uint32_t n = 0; n < NAMES; n++) {
            struct vdb_name name = {0};
            uint64_t state = before[slot][n];
            char text[STORM_ID_MAX];
            size_t len = (size_t)storm_name(slot, n, text);
            if (state != after[slot][n] || state & 1) continue;
            vdb_name_find(snapshot, text, len, &name, NULL);
            if (name.commit != STORM_NAME_COMMIT(state))
                storm_wrong(role, "name %s is of commit %llu, it was given to %llu", text,
                            (unsigned long long)name.commit,
                            (unsigned long long)STORM_NAME_COMMIT(state));
        }
}

/* A commit with a name, which must be there, or any one. */
static void read_past(struct storm_role *role, const struct vdb_snapshot *snapshot,
                      const struct vdb_info *newest, struct storm_scan *s)
{
    const struct vdb_snapshot *past;
    struct vdb_error err;
    struct vdb_info info;
    struct vdb_name name = {0};
    uint64_t span = newest->commit - newest->oldest_commit + 1;
    uint64_t commit = newest->oldest_commit + storm_random(&role->seed) % span;
    bool named = storm_below(role, 2) && !vdb_name_at(snapshot, storm_below(role, WRITERS), &name);
    if (named) commit = name.commit;
    enum vdb_status status = vdb_snapshot_at(snapshot, commit, &past, &err);
    if (!named && status == VDB_NOT_FOUND) return;
    storm_must(role, status, "vdb_snapshot_at", &err);
    vdb_snapshot_info(past, &info);
    storm_scan_rows(role, past, commit, s);
    if (info.commit != commit || info.live != s->count || (named && name.live != s->count))
        storm_wrong(role, "commit %llu had %u live rows, %llu are counted, %llu at its name",
                    (unsigned long long)commit, s->count, (unsigned long long)info.live,
                    (unsigned long long)name.live);
    storm_search(role, past, s, true);
    storm_search(role, past, s, false);
    storm_tell_seen(role, commit, s);
    vdb_snapshot_close(past);
}

static void read_state(struct storm_role *role, struct vdb *db, uint64_t *newest,
                       struct storm_scan scans[2])
{
    struct vdb_info info;
    name_states before, after;
    uint64_t floor = role->shared->acknowledged;
    look_at_names(role, before);
    const struct vdb_snapshot *snapshot = storm_snapshot(role, db, &info);
    look_at_names(role, after);
    check_names(role, snapshot, before, after);
    if (info.commit < floor)
        storm_wrong(role, "a snapshot is at commit %llu, after %llu was acknowledged",
                    (unsigned long long)info.commit, (unsigned long long)floor);
    if (info.commit < *newest)
        storm_wrong(role, "a snapshot is at commit %llu, the one before it was at %llu",
                    (unsigned long long)info.commit, (unsigned long long)*newest);
    *newest = info.commit;
    storm_scan_rows(role, snapshot, info.commit, &scans[0]);
    storm_nap(0.001 * storm_below(role, storm_below(role, 16) ? 30 : 300));
    storm_search(role, snapshot, &scans[0], true);
    storm_search(role, snapshot, &scans[0], false);
    look_up(role, snapshot, &scans[0]);
    storm_scan_rows(role, snapshot, info.commit, &scans[1]);
    if (scans[0].hash != scans[1].hash || scans[0].count != scans[1].count)
        storm_wrong(role, "a snapshot of commit %llu changed", (unsigned long long)info.commit);
    if (info.live != scans[0].count)
        storm_wrong(role, "commit %llu has %u live rows and counts %llu",
                    (unsigned long long)info.commit, scans[0].count, (unsigned long long)info.live);
    storm_tell_seen(role, info.commit, &scans[0]);
    read_past(role, snapshot, &info, &scans[1]);
    vdb_snapshot_close(snapshot);
}

/* What the shipper has made is whole whenever it is there. */
static void read_shipped(struct storm_role *role, struct storm_scan *s)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_info info;
    struct vdb *db;
    options.read_only = 1;
    options.threads = 1;
    const char *path = storm_below(role, 2) ? role->copy : role->output;
    enum vdb_status status = vdb_open(path, &options, &db, &err);
    if (status == VDB_CANNOT_OPEN) return;
    storm_must(role, status, path, &err);
    const struct vdb_snapshot *snapshot = storm_snapshot(role, db, &info);
    storm_scan_rows(role, snapshot, info.commit, s);
    if (info.live != s->count)
        storm_wrong(role, "%s has %u live rows and counts %llu", path, s->count,
                    (unsigned long long)info.live);
    storm_search(role, snapshot, s, true);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
}

void storm_reader(struct storm_role *role)
{
    struct vdb *db = storm_open(role, role->path, true);
    struct storm_scan *scans = malloc(2 * sizeof *scans);
    uint64_t newest = 0;
    if (!scans) storm_wrong(role, "out of memory");
    while (!role->shared->over) {
        read_state(role, db, &newest, scans);
        if (storm_below(role, 8) == 0) read_shipped(role, scans);
        if (storm_below(role, 20) == 0) {
            vdb_close(db);
            db = storm_open(role, role->path, true);
        }
    }
    free(scans);
    vdb_close(db);
    _exit(0);
}
