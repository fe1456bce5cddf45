/* storm_writer.c: the writers and the compactor of the storm, each in a process of its own that may
 * be killed between any two instructions.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/storm_role.h"

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
    if (status && status != VDB_EXISTS && status != VDB_NOT_FOUND)
        storm_must(role, status, "put", err);
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
    const uint32_t *plan = plans[storm_below(role, 4)];
    struct vdb_error err;
    enum vdb_status status = VDB_OK;
    uint32_t first = row.place, op = 0;
    for (int i = 0; i < 3; i++) {
        op = role->names && plan[i] == OP_RESTORE ? OP_UPSERT : plan[i];
        status = change(role, txn, op, &row, &err);
        if (!status) break;
    }
    storm_must(role, status, "no operation is right for the first row of a group", &err);
    for (row.member = 1; row.member < GROUP_ROWS; row.member++) {
        row.place = first + row.member;
        status = change(role, txn, op, &row, &err);
        if (status)
            storm_wrong(role, "operation %u did for row 0 of group %u and not for row %u: %.200s",
                        op, row.group, row.member, err.message);
    }
    return op;
}

static void choose_groups(struct storm_role *role, struct storm_batch *batch)
{
    batch->groups = 0;
    for (uint32_t want = 1 + storm_below(role, BATCH_GROUPS), i = 0; i < want; i++) {
        bool own = storm_below(role, 5) < 3;
        uint32_t group = own ? role->slot * OWN_GROUPS + storm_below(role, OWN_GROUPS)
                             : WRITERS * OWN_GROUPS + storm_below(role, SHARED_GROUPS);
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
    vdb_snapshot_close(storm_snapshot(role, db, &info));
    batch->base = info.commit;
    choose_groups(role, batch);
    storm_must(role, vdb_txn_begin(db, &txn, &err), "vdb_txn_begin", &err);
    struct storm_row marker = {MARKER + role->slot, 0, batch->number, 0};
    storm_must(role, change(role, txn, OP_UPSERT, &marker, &err), "marker", &err);
    for (uint32_t i = 0; i < batch->groups; i++) {
        struct storm_row row = {batch->group[i], 0, batch->number, 1 + i * GROUP_ROWS};
        batch->op[i] = change_group(role, txn, row);
    }
    storm_tell(role, &what);
    enum vdb_status status = vdb_txn_commit(txn, &done, &err);
    if (status && status != VDB_EXISTS && status != VDB_NOT_FOUND)
        storm_must(role, status, "vdb_txn_commit", &err);
    if (!status) acknowledge(role->shared, done.commit);
    what.kind = status ? TELL_REFUSED : TELL_DONE;
    what.commit = status ? 0 : done.commit;
    storm_tell(role, &what);
}

/* To a commit with a name, or to one of the last. */
static uint64_t choose_past(struct storm_role *role, const struct vdb_snapshot *newest,
                            const struct vdb_info *info)
{
    struct vdb_name name;
    if (storm_below(role, 2) && !vdb_name_at(newest, storm_below(role, WRITERS), &name))
        return name.commit;
    uint64_t span = info->commit - info->oldest_commit;
    return info->commit - storm_below(role, span < 30 ? (uint32_t)span + 1 : 30);
}

static void go_back(struct storm_role *role, struct vdb *db)
{
    struct storm_tell what = {.kind = TELL_BEGIN};
    struct storm_batch *batch = &what.batch;
    struct vdb_info info;
    struct vdb_error err;
    struct vdb_commit_info done = {0};
    const struct vdb_snapshot *newest = storm_snapshot(role, db, &info);
    batch->number = role->slot << 20 | ++role->count;
    batch->base = info.commit;
    batch->back = choose_past(role, newest, &info);
    vdb_snapshot_close(newest);
    storm_tell(role, &what);
    enum vdb_status status = vdb_rollback(db, batch->back, &done, &err);
    if (status != VDB_NOT_FOUND) storm_must(role, status, "vdb_rollback", &err);
    if (!status) acknowledge(role->shared, done.commit);
    what.kind = status ? TELL_REFUSED : done.deleted + done.restored ? TELL_DONE : TELL_AS_WAS;
    what.commit = done.commit;
    storm_tell(role, &what);
}

/* What has become of a name whose writer was killed while it changed it. */
static uint64_t settle_name(const struct storm_role *role, struct vdb *db, const char *text,
                            size_t len)
{
    struct vdb_info info;
    struct vdb_name name = {0};
    const struct vdb_snapshot *snapshot = storm_snapshot(role, db, &info);
    vdb_name_find(snapshot, text, len, &name, NULL);
    vdb_snapshot_close(snapshot);
    return name.commit;
}

/* Gives the newest commit one of the slot's names, or takes that away where some commit has it. */
static void change_name(struct storm_role *role, struct vdb *db)
{
    uint32_t number = storm_below(role, NAMES);
    _Atomic uint64_t *state = &role->shared->names[role->slot][number];
    uint64_t was = *state, count = (was >> 40) + 1, commit = STORM_NAME_COMMIT(was);
    char text[STORM_ID_MAX];
    struct vdb_error err;
    size_t len = (size_t)storm_name(role->slot, number, text);
    if (was & 1) commit = settle_name(role, db, text, len);
    *state = STORM_NAME(count, commit, 1);
    if (commit) {
        storm_must(role, vdb_name_remove(db, text, len, &err), "vdb_name_remove", &err);
        commit = 0;
    } else {
        storm_must(role, vdb_name_create(db, text, len, &commit, &err), "vdb_name_create", &err);
        acknowledge(role->shared, commit);
    }
    *state = STORM_NAME(count, commit, 0);
    storm_tell_kind(role, TELL_ALIVE);
}

/* As vdb-add does after its commit, or as somebody who compacts while the compactor is at it. */
static void maintain(struct storm_role *role, struct vdb *db)
{
    struct vdb_error err;
    bool compact = storm_below(role, 8) == 0;
    enum vdb_status status = compact ? vdb_compact(db, NULL, &err) : vdb_maintain(db, NULL, &err);
    if (status && status != VDB_BUSY)
        storm_must(role, status, compact ? "vdb_compact" : "vdb_maintain", &err);
    storm_tell_kind(role, status ? TELL_ALIVE : compact ? TELL_COMPACTED : TELL_MAINTAINED);
}

void storm_writer(struct storm_role *role)
{
    struct vdb *db = storm_open(role, role->path, false);
    while (!role->shared->over) {
        write_batch(role, db);
        if (role->names && storm_below(role, 8) == 0) change_name(role, db);
        if (role->names && storm_below(role, 24) == 0) go_back(role, db);
        if (storm_below(role, 16) == 0) maintain(role, db);
        if (storm_below(role, 50) == 0) {
            vdb_close(db);
            db = storm_open(role, role->path, false);
        }
        if (storm_below(role, 4)) storm_nap(0.001 * storm_below(role, 12));
    }
    vdb_close(db);
    _exit(0);
}

/* ---- the compactor ------------------------------------------------------------------------- */

/* For a while, until there is a tail that vdb_maintain would make a part of. */
static void await_tail(struct storm_role *role, struct vdb *db)
{
    struct vdb_info info = {0};
    for (uint32_t i = storm_below(role, 25); i > 0 && info.tail_rows < 2048 && !role->shared->over;
         i--) {
        vdb_snapshot_close(storm_snapshot(role, db, &info));
        storm_tell_kind(role, TELL_ALIVE);
        storm_nap(0.02);
    }
}

/* By the tool, which dies with this process. */
static void compact_if_needed(const struct storm_role *role)
{
    char wait[32];
    int status;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        snprintf(wait, sizeof wait, "--wait=%d", (int)role->patience);
        execl(role->tool, "vdb-compact", "--if-needed", "--quiet", "-j1", wait, role->path,
              (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 75)) /* a writer may be at it */
        storm_wrong(role, "vdb-compact --if-needed ended with wait status %#x", (unsigned)status);
    storm_tell_kind(role, TELL_TOOL);
}

static void compact(const struct storm_role *role, struct vdb *db)
{
    struct vdb_error err;
    storm_tell_kind(role, TELL_WORK);
    enum vdb_status status = vdb_compact(db, NULL, &err);
    if (status != VDB_BUSY) storm_must(role, status, "vdb_compact", &err);
    storm_tell_kind(role, status ? TELL_ALIVE : TELL_COMPACTED);
}

void storm_compactor(struct storm_role *role)
{
    struct vdb *db = storm_open(role, role->path, false);
    struct vdb_error err;
    while (!role->shared->over) {
        await_tail(role, db);
        enum vdb_status status = vdb_maintain(db, NULL, &err);
        if (status != VDB_BUSY) storm_must(role, status, "vdb_maintain", &err);
        storm_tell_kind(role, status ? TELL_ALIVE : TELL_MAINTAINED);
        if (role->tool && storm_below(role, 2))
            compact_if_needed(role);
        else
            compact(role, db);
    }
    vdb_close(db);
    _exit(0);
}
