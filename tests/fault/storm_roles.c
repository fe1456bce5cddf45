/* storm_roles.c: the writers, readers and the compactor of the storm, each in a process of its own
 * that may be killed between any two instructions.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/storm.h"

_Static_assert(sizeof(struct storm_tell) <= PIPE_BUF, "a message is written whole or not at all");

enum { ROWS_MAX = GROUPS * GROUP_ROWS + WRITERS, SEARCH_K = 10 };

static uint32_t below(struct storm_role *role, uint32_t n)
{
    return (uint32_t)(storm_random(&role->seed) % n);
}

static void tell(const struct storm_role *role, struct storm_tell *what)
{
    what->time_ns = storm_now_ns();
    if (write(role->pipe, what, sizeof *what) != (ssize_t)sizeof *what) _exit(1);
}

static void tell_kind(const struct storm_role *role, enum storm_kind kind)
{
    struct storm_tell what = {.kind = kind};
    tell(role, &what);
}

__attribute__((noreturn, format(printf, 2, 3))) static void wrong(const struct storm_role *role,
                                                                  const char *format, ...)
{
    struct storm_tell what = {.kind = TELL_WRONG};
    va_list args;
    va_start(args, format);
    vsnprintf(what.text, sizeof what.text, format, args);
    va_end(args);
    tell(role, &what);
    _exit(1);
}

static void must(const struct storm_role *role, enum vdb_status status, const char *what,
                 const struct vdb_error *err)
{
    if (status) wrong(role, "%s: status %d: %.300s", what, (int)status, err->message);
}

static struct vdb *open_index(const struct storm_role *role, bool read_only)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb *db;
    options.read_only = read_only;
    options.wait = role->patience;
    options.threads = 1;
    must(role, vdb_open(role->path, &options, &db, &err), "vdb_open", &err);
    return db;
}

static const struct vdb_snapshot *open_snapshot(const struct storm_role *role, struct vdb *db,
                                                struct vdb_info *info)
{
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    must(role, vdb_snapshot_open(db, &snapshot, &err), "vdb_snapshot_open", &err);
    vdb_snapshot_info(snapshot, info);
    return snapshot;
}

/* As a process that has been told of the commit. */
static void acknowledge(struct storm_shared *shared, uint64_t commit)
{
    uint64_t known = shared->acknowledged;
    while (known < commit && !atomic_compare_exchange_weak(&shared->acknowledged, &known, commit))
        continue;
}

/* ---- writers ------------------------------------------------------------------------------- */

static enum vdb_status change(const struct storm_role *role, struct vdb_txn *txn, uint32_t op,
                              const struct storm_row *row, struct vdb_error *err)
{
    static const enum vdb_put_mode modes[] = {
        [OP_UPSERT] = VDB_UPSERT, [OP_INSERT] = VDB_INSERT, [OP_UPDATE] = VDB_UPDATE};
    char id[STORM_ID_MAX];
    float vector[DIM];
    size_t len = (size_t)storm_id(row->group, row->member, id);
    if (op == OP_DELETE) return vdb_txn_delete(txn, id, len, err);
    if (op == OP_RESTORE) return vdb_txn_restore(txn, id, len, err);
    storm_vector(row, vector);
    char *json = storm_metadata(row);
    enum vdb_status status =
        vdb_txn_put(txn, modes[op], id, len, vector, json, json ? strlen(json) : 0, err);
    free(json);
    if (status && status != VDB_EXISTS && status != VDB_NOT_FOUND) must(role, status, "put", err);
    return status;
}

/* The first operation that the group takes as it is now, for all of its rows. Where names keep rows
 * from compaction, which of an id's deleted rows is left to be restored is not for the oracle to
 * know. */
static uint32_t change_group(struct storm_role *role, struct vdb_txn *txn, struct storm_row row)
{
    static const uint32_t plans[][3] = {{OP_UPSERT, OP_UPSERT, OP_UPSERT},
                                        {OP_UPDATE, OP_INSERT, OP_INSERT},
                                        {OP_DELETE, OP_RESTORE, OP_INSERT},
                                        {OP_RESTORE, OP_UPDATE, OP_INSERT}};
    const uint32_t *plan = plans[below(role, 4)];
    struct vdb_error err;
    enum vdb_status status = VDB_OK;
    uint32_t first = row.place, op = 0;
    for (int i = 0; i < 3; i++) {
        op = role->names && plan[i] == OP_RESTORE ? OP_UPSERT : plan[i];
        status = change(role, txn, op, &row, &err);
        if (!status) break;
    }
    must(role, status, "no operation is right for the first row of a group", &err);
    for (row.member = 1; row.member < GROUP_ROWS; row.member++) {
        row.place = first + row.member;
        status = change(role, txn, op, &row, &err);
        if (status)
            wrong(role, "operation %u did for row 0 of group %u and not for row %u: %.200s", op,
                  row.group, row.member, err.message);
    }
    return op;
}

static void choose_groups(struct storm_role *role, struct storm_batch *batch)
{
    batch->groups = 0;
    for (uint32_t want = 1 + below(role, BATCH_GROUPS), i = 0; i < want; i++) {
        bool own = below(role, 5) < 3;
        uint32_t group = own ? role->slot * OWN_GROUPS + below(role, OWN_GROUPS)
                             : WRITERS * OWN_GROUPS + below(role, SHARED_GROUPS);
        bool twice = false;
        for (uint32_t j = 0; j < batch->groups; j++) twice |= batch->group[j] == group;
        if (!twice) batch->group[batch->groups++] = group;
    }
}

static void write_batch(struct storm_role *role, struct vdb *db)
{
    struct storm_tell what = {.kind = TELL_BEGIN};
    struct storm_batch *batch = &what.batch;
    struct vdb_info info;
    struct vdb_error err;
    struct vdb_txn *txn;
    struct vdb_commit_info done;
    batch->number = role->slot << 20 | ++role->count;
    vdb_snapshot_close(open_snapshot(role, db, &info));
    batch->base = info.commit;
    choose_groups(role, batch);
    must(role, vdb_txn_begin(db, &txn, &err), "vdb_txn_begin", &err);
    struct storm_row marker = {MARKER + role->slot, 0, batch->number, 0};
    must(role, change(role, txn, OP_UPSERT, &marker, &err), "marker", &err);
    for (uint32_t i = 0; i < batch->groups; i++) {
        struct storm_row row = {batch->group[i], 0, batch->number, 1 + i * GROUP_ROWS};
        batch->op[i] = change_group(role, txn, row);
    }
    tell(role, &what);
    enum vdb_status status = vdb_txn_commit(txn, &done, &err);
    if (status && status != VDB_EXISTS && status != VDB_NOT_FOUND)
        must(role, status, "vdb_txn_commit", &err);
    if (!status) acknowledge(role->shared, done.commit);
    what.kind = status ? TELL_REFUSED : TELL_DONE;
    what.commit = status ? 0 : done.commit;
    tell(role, &what);
}

static size_t name_text(uint32_t slot, uint32_t number, char text[STORM_ID_MAX])
{
    return (size_t)snprintf(text, STORM_ID_MAX, "s%u-%u", slot, number);
}

/* What has become of a name whose writer was killed while it changed it. */
static uint64_t settle_name(const struct storm_role *role, struct vdb *db, const char *text,
                            size_t len)
{
    struct vdb_info info;
    struct vdb_name name = {0};
    const struct vdb_snapshot *snapshot = open_snapshot(role, db, &info);
    vdb_name_find(snapshot, text, len, &name, NULL);
    vdb_snapshot_close(snapshot);
    return name.commit;
}

/* Gives the newest commit one of the slot's names, or takes that away where some commit has it. */
static void change_name(struct storm_role *role, struct vdb *db)
{
    uint32_t number = below(role, NAMES);
    _Atomic uint64_t *state = &role->shared->names[role->slot][number];
    uint64_t was = *state, count = (was >> 40) + 1, commit = STORM_NAME_COMMIT(was);
    char text[STORM_ID_MAX];
    struct vdb_error err;
    size_t len = name_text(role->slot, number, text);
    if (was & 1) commit = settle_name(role, db, text, len);
    *state = STORM_NAME(count, commit, 1);
    if (commit) {
        must(role, vdb_name_remove(db, text, len, &err), "vdb_name_remove", &err);
        commit = 0;
    } else {
        must(role, vdb_name_create(db, text, len, &commit, &err), "vdb_name_create", &err);
        acknowledge(role->shared, commit);
    }
    *state = STORM_NAME(count, commit, 0);
    tell_kind(role, TELL_ALIVE);
}

/* As vdb-add does after its commit, or as somebody who compacts while the compactor is at it. */
static void maintain(struct storm_role *role, struct vdb *db)
{
    struct vdb_error err;
    bool compact = below(role, 8) == 0;
    enum vdb_status status = compact ? vdb_compact(db, NULL, &err) : vdb_maintain(db, NULL, &err);
    if (status && status != VDB_BUSY)
        must(role, status, compact ? "vdb_compact" : "vdb_maintain", &err);
    tell_kind(role, status ? TELL_ALIVE : compact ? TELL_COMPACTED : TELL_MAINTAINED);
}

void storm_writer(struct storm_role *role)
{
    struct vdb *db = open_index(role, false);
    while (!role->shared->over) {
        write_batch(role, db);
        if (role->names && below(role, 8) == 0) change_name(role, db);
        if (below(role, 16) == 0) maintain(role, db);
        if (below(role, 50) == 0) {
            vdb_close(db);
            db = open_index(role, false);
        }
        if (below(role, 4)) storm_nap(0.001 * below(role, 12));
    }
    vdb_close(db);
    _exit(0);
}

/* ---- readers ------------------------------------------------------------------------------- */

struct scan {
    uint32_t count;
    uint64_t hash;
    uint32_t row[ROWS_MAX];
    struct storm_row what[ROWS_MAX];
    float vector[ROWS_MAX][DIM];
};

static void read_row(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                     uint32_t row, struct storm_row *what, float *vector)
{
    const char *id;
    char *json, *expected;
    size_t len, json_len;
    float wanted[DIM];
    struct vdb_error err;
    must(role, vdb_row_id(snapshot, row, &id, &len, &err), "vdb_row_id", &err);
    if (!storm_id_parse(id, len, &what->group, &what->member))
        wrong(role, "row %u has an id that nobody wrote: %.*s", row, (int)len, id);
    must(role, vdb_row_vector(snapshot, row, vector, &err), "vdb_row_vector", &err);
    what->batch = (uint32_t)vector[0] | (uint32_t)vector[1] << 8 | (uint32_t)vector[2] << 16;
    what->place = (uint32_t)vector[3];
    storm_vector(what, wanted);
    if (memcmp(vector, wanted, sizeof wanted) != 0)
        wrong(role, "row %u (%.*s) has a vector that nobody wrote", row, (int)len, id);
    must(role, vdb_row_metadata(snapshot, row, &json, &json_len, &err), "vdb_row_metadata", &err);
    expected = storm_metadata(what);
    if (!json != !expected || (json && strcmp(json, expected) != 0))
        wrong(role, "row %u (%.*s) has metadata that nobody wrote", row, (int)len, id);
    free(json);
    free(expected);
}

static void scan(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                 uint64_t commit, struct scan *s)
{
    uint32_t members[GROUPS] = {0}, batch[GROUPS], place[GROUPS];
    s->count = 0;
    s->hash = 0;
    for (uint32_t row = 0; vdb_next_live_row(snapshot, &row); row++) {
        if (s->count == ROWS_MAX)
            wrong(role, "commit %llu has more live rows than there are ids",
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
            wrong(role, "commit %llu: rows of group %u are from batches %u and %u",
                  (unsigned long long)commit, g, batch[g], what->batch);
        members[g] |= 1u << what->member;
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        if (members[g] && members[g] != (1u << GROUP_ROWS) - 1)
            wrong(role, "commit %llu: batch %u is there in part, its group %u has rows %x",
                  (unsigned long long)commit, batch[g], g, members[g]);
}

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

/* What a search finds is in the scan, at its distance; an exact one finds the nearest. */
static void search(struct storm_role *role, const struct vdb_snapshot *snapshot,
                   const struct scan *s, bool exact)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[SEARCH_K];
    struct vdb_error err;
    uint32_t found, nearer = 0;
    options.k = SEARCH_K;
    options.exact = exact;
    options.threads = 1;
    if (!s->count) return;
    const float *query = s->vector[below(role, s->count)];
    must(role, vdb_search(snapshot, query, 1, &options, hits, &found, &err), "vdb_search", &err);
    uint32_t wanted = s->count < SEARCH_K ? s->count : SEARCH_K;
    if (exact && found != wanted) wrong(role, "an exact search found %u of %u rows", found, wanted);
    for (uint32_t i = 0; i < found; i++) {
        uint32_t at = 0;
        while (at < s->count && s->row[at] != hits[i].row) at++;
        if (at == s->count) wrong(role, "a search found row %u, no live one", hits[i].row);
        if (fabs(distance(query, s->vector[at]) - hits[i].distance) > 1e-4)
            wrong(role, "a search gave row %u the distance %g, it is at %g", hits[i].row,
                  hits[i].distance, distance(query, s->vector[at]));
    }
    if (!exact || !found) return;
    for (uint32_t i = 0; i < s->count; i++)
        nearer += distance(query, s->vector[i]) < hits[found - 1].distance - 1e-4;
    if (nearer >= found) wrong(role, "an exact search passed over a nearer row");
}

static void look_up(struct storm_role *role, const struct vdb_snapshot *snapshot,
                    const struct scan *s)
{
    char id[STORM_ID_MAX];
    struct vdb_error err;
    uint32_t row;
    if (!s->count) return;
    uint32_t at = below(role, s->count);
    size_t len = (size_t)storm_id(s->what[at].group, s->what[at].member, id);
    must(role, vdb_find(snapshot, id, len, 0, &row, &err), "vdb_find", &err);
    if (row != s->row[at]) wrong(role, "id %s is found in row %u, not %u", id, row, s->row[at]);
}

static void tell_seen(const struct storm_role *role, uint64_t commit, const struct scan *s)
{
    struct storm_tell what = {
        .kind = TELL_SEEN, .commit = commit, .hash = s->hash, .live = s->count};
    tell(role, &what);
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
            size_t len = name_text(slot, n, text);
            if (state != after[slot][n] || state & 1) continue;
            vdb_name_find(snapshot, text, len, &name, NULL);
            if (name.commit != STORM_NAME_COMMIT(state))
                wrong(role, "name %s is of commit %llu, it was given to %llu", text,
                      (unsigned long long)name.commit,
                      (unsigned long long)STORM_NAME_COMMIT(state));
        }
}

/* A commit with a name, which must be there, or any one. */
static void read_past(struct storm_role *role, const struct vdb_snapshot *snapshot,
                      const struct vdb_info *newest, struct scan *s)
{
    const struct vdb_snapshot *past;
    struct vdb_error err;
    struct vdb_info info;
    struct vdb_name name = {0};
    uint64_t span = newest->commit - newest->oldest_commit + 1;
    uint64_t commit = newest->oldest_commit + storm_random(&role->seed) % span;
    bool named = below(role, 2) && !vdb_name_at(snapshot, below(role, WRITERS), &name);
    if (named) commit = name.commit;
    enum vdb_status status = vdb_snapshot_at(snapshot, commit, &past, &err);
    if (!named && status == VDB_NOT_FOUND) return;
    must(role, status, "vdb_snapshot_at", &err);
    vdb_snapshot_info(past, &info);
    scan(role, past, commit, s);
    if (info.commit != commit || info.live != s->count || (named && name.live != s->count))
        wrong(role, "commit %llu had %u live rows, %llu are counted, %llu at its name",
              (unsigned long long)commit, s->count, (unsigned long long)info.live,
              (unsigned long long)name.live);
    search(role, past, s, true);
    search(role, past, s, false);
    tell_seen(role, commit, s);
    vdb_snapshot_close(past);
}

static void read_state(struct storm_role *role, struct vdb *db, uint64_t *newest,
                       struct scan scans[2])
{
    struct vdb_info info;
    name_states before, after;
    uint64_t floor = role->shared->acknowledged;
    look_at_names(role, before);
    const struct vdb_snapshot *snapshot = open_snapshot(role, db, &info);
    look_at_names(role, after);
    check_names(role, snapshot, before, after);
    if (info.commit < floor)
        wrong(role, "a snapshot is at commit %llu, after %llu was acknowledged",
              (unsigned long long)info.commit, (unsigned long long)floor);
    if (info.commit < *newest)
        wrong(role, "a snapshot is at commit %llu, the one before it was at %llu",
              (unsigned long long)info.commit, (unsigned long long)*newest);
    *newest = info.commit;
    scan(role, snapshot, info.commit, &scans[0]);
    storm_nap(0.001 * below(role, below(role, 16) ? 30 : 300));
    search(role, snapshot, &scans[0], true);
    search(role, snapshot, &scans[0], false);
    look_up(role, snapshot, &scans[0]);
    scan(role, snapshot, info.commit, &scans[1]);
    if (scans[0].hash != scans[1].hash || scans[0].count != scans[1].count)
        wrong(role, "a snapshot of commit %llu changed", (unsigned long long)info.commit);
    if (info.live != scans[0].count)
        wrong(role, "commit %llu has %u live rows and counts %llu", (unsigned long long)info.commit,
              scans[0].count, (unsigned long long)info.live);
    tell_seen(role, info.commit, &scans[0]);
    read_past(role, snapshot, &info, &scans[1]);
    vdb_snapshot_close(snapshot);
}

void storm_reader(struct storm_role *role)
{
    struct vdb *db = open_index(role, true);
    struct scan *scans = malloc(2 * sizeof *scans);
    uint64_t newest = 0;
    if (!scans) wrong(role, "out of memory");
    while (!role->shared->over) {
        read_state(role, db, &newest, scans);
        if (below(role, 20) == 0) {
            vdb_close(db);
            db = open_index(role, true);
        }
    }
    free(scans);
    vdb_close(db);
    _exit(0);
}

/* ---- the compactor ------------------------------------------------------------------------- */

/* For a while, until there is a tail that vdb_maintain would make a part of. */
static void await_tail(struct storm_role *role, struct vdb *db)
{
    struct vdb_info info = {0};
    for (uint32_t i = below(role, 25); i > 0 && info.tail_rows < 2048 && !role->shared->over; i--) {
        vdb_snapshot_close(open_snapshot(role, db, &info));
        tell_kind(role, TELL_ALIVE);
        storm_nap(0.02);
    }
}

void storm_compactor(struct storm_role *role)
{
    struct vdb *db = open_index(role, false);
    struct vdb_error err;
    while (!role->shared->over) {
        enum vdb_status status;
        await_tail(role, db);
        for (int compact = 0; compact < 2; compact++) {
            if (compact) tell_kind(role, TELL_WORK);
            status = compact ? vdb_compact(db, NULL, &err) : vdb_maintain(db, NULL, &err);
            if (status != VDB_BUSY) /* a writer may be at it */
                must(role, status, compact ? "vdb_compact" : "vdb_maintain", &err);
            tell_kind(role, status ? TELL_ALIVE : compact ? TELL_COMPACTED : TELL_MAINTAINED);
        }
    }
    vdb_close(db);
    _exit(0);
}
