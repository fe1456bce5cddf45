/* storm_shipper.c: who makes files of the index that are to stand elsewhere, while others write to
 * it: a copy, which takes streams, and a dense output.
 *
 * Whoever is killed here leaves each of the two as it was or as it was to become, and what that is
 * the processes of this role tell one another through the memory that all share.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/storm_role.h"

struct shipper {
    struct storm_role *role;
    struct storm_shared *shared;
    struct storm_scan *scan;
    struct vdb *db;
    uint8_t *stream;
    size_t len, room;
};

struct reading {
    const uint8_t *bytes;
    size_t len, at;
};

static int keep(void *context, const void *bytes, size_t len)
{
    struct shipper *s = context;
    if (s->len + len > s->room) {
        s->room = 2 * (s->len + len);
        s->stream = realloc(s->stream, s->room);
        if (!s->stream) storm_wrong(s->role, "out of memory");
    }
    memcpy(s->stream + s->len, bytes, len);
    s->len += len;
    return 0;
}

static ptrdiff_t give(void *context, void *bytes, size_t len)
{
    struct reading *reading = context;
    size_t left = reading->len - reading->at, n = len < left ? len : left;
    memcpy(bytes, reading->bytes + reading->at, n);
    reading->at += n;
    return (ptrdiff_t)n;
}

/* ---- the copy ------------------------------------------------------------------------------ */

static void begin_state(struct shipper *s, struct storm_state next)
{
    s->shared->copy[!s->shared->copy_now] = next;
    s->shared->copy_changes = 1;
}

static void end_state(struct shipper *s)
{
    s->shared->copy_now = !s->shared->copy_now;
    s->shared->copy_changes = 0;
}

static bool holds(const struct shipper *s, const struct storm_state *state, bool there)
{
    if (!there || !state->commit) return !there && !state->commit;
    return s->scan->hash == state->hash && s->scan->count == state->live;
}

/* It is as it was last, or as who was killed was about to make it. */
static void check_copy(struct shipper *s)
{
    struct storm_shared *shared = s->shared;
    const struct storm_state *is = &shared->copy[shared->copy_now],
                             *next = &shared->copy[!shared->copy_now];
    bool there = access(s->role->copy, F_OK) == 0;
    if (there) {
        struct vdb_info info;
        struct vdb *db = storm_open(s->role, s->role->copy, true);
        const struct vdb_snapshot *snapshot = storm_snapshot(s->role, db, &info);
        storm_scan_rows(s->role, snapshot, info.commit, s->scan);
        vdb_snapshot_close(snapshot);
        vdb_close(db);
    }
    if (!holds(s, is, there)) {
        if (!shared->copy_changes || !holds(s, next, there))
            storm_wrong(s->role,
                        "the copy %s, has %u rows, and was to be of commit %llu with %u rows%s",
                        there ? "is there" : "is not there", there ? s->scan->count : 0,
                        (unsigned long long)is->commit, is->live,
                        shared->copy_changes ? " or of a later one" : "");
        end_state(s);
    }
    shared->copy_changes = 0;
}

static void remove_copy(struct shipper *s)
{
    begin_state(s, (struct storm_state){0});
    if (unlink(s->role->copy) < 0 && s->shared->copy[s->shared->copy_now].commit)
        storm_wrong(s->role, "the copy cannot be removed");
    end_state(s);
}

static enum vdb_status receive(struct shipper *s, const struct reading *stream,
                               struct vdb_receive_info *info, struct vdb_error *err)
{
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    struct vdb_receive_options options = VDB_RECEIVE_OPTIONS_INIT;
    struct reading reading = *stream;
    open.threads = 1;
    options.force = s->role->names; /* a name may have gone over to another commit */
    return vdb_receive(s->role->copy, &open, &options, give, &reading, info, err);
}

/* What is cut off or has a bit turned changes nothing. */
static void receive_damaged(struct shipper *s)
{
    struct vdb_receive_info info;
    struct vdb_error err;
    struct reading stream = {s->stream, s->len, 0};
    uint8_t *byte = &s->stream[storm_random(&s->role->seed) % s->len];
    uint8_t bit = (uint8_t)(1u << storm_below(s->role, 8));
    bool cut = storm_below(s->role, 2);
    if (cut)
        stream.len = (size_t)(byte - s->stream);
    else
        *byte ^= bit;
    enum vdb_status status = receive(s, &stream, &info, &err);
    if (status != VDB_CORRUPT && status != VDB_UNSUPPORTED)
        storm_wrong(s->role, "a damaged stream: status %d: %.200s", (int)status, err.message);
    if (!cut) *byte ^= bit;
    check_copy(s);
}

/* The stream of the newest state, whole or from that of the copy on where that can be had; returns
 * what it leads to. */
static struct storm_state send(struct shipper *s)
{
    struct vdb_info info;
    struct vdb_error err;
    const struct vdb_snapshot *newest = storm_snapshot(s->role, s->db, &info), *base = NULL;
    uint64_t from = s->shared->copy[s->shared->copy_now].commit;
    storm_scan_rows(s->role, newest, info.commit, s->scan);
    storm_tell_seen(s->role, info.commit, s->scan);
    if (from && storm_below(s->role, 4)) {
        enum vdb_status status = vdb_snapshot_at(newest, from, &base, &err);
        if (status == VDB_NOT_FOUND) base = NULL;
        if (status != VDB_NOT_FOUND) storm_must(s->role, status, "vdb_snapshot_at", &err);
    }
    s->len = 0;
    storm_must(s->role, vdb_send(base, newest, keep, s, &err), "vdb_send", &err);
    storm_tell_kind(s->role, base ? TELL_SENT_CHANGES : TELL_SENT_WHOLE);
    vdb_snapshot_close(base);
    vdb_snapshot_close(newest);
    return (struct storm_state){info.commit, s->scan->hash, s->scan->count};
}

static void ship(struct shipper *s)
{
    struct vdb_receive_info first, again;
    struct vdb_error err;
    if (storm_below(s->role, 8) == 0) remove_copy(s);
    struct storm_state next = send(s);
    struct reading stream = {s->stream, s->len, 0};
    if (storm_below(s->role, 3) == 0) receive_damaged(s);
    begin_state(s, next);
    storm_must(s->role, receive(s, &stream, &first, &err), "vdb_receive", &err);
    end_state(s);
    check_copy(s);
    storm_must(s->role, receive(s, &stream, &again, &err), "vdb_receive once more", &err);
    if (!again.known || again.commit != first.commit)
        storm_wrong(s->role, "a stream that was received as commit %llu made commit %llu of itself",
                    (unsigned long long)first.commit, (unsigned long long)again.commit);
    check_copy(s);
}

/* ---- the output ---------------------------------------------------------------------------- */

/* One commit, and nothing in it but live rows. */
static void check_output(struct shipper *s)
{
    struct storm_shared *shared = s->shared;
    struct storm_tell what = {.kind = TELL_OUTPUT, .since = shared->output_since};
    struct vdb_info info;
    struct vdb_name name;
    if (!what.since) what.since = shared->next_output_since;
    if (access(s->role->output, F_OK) != 0) {
        if (shared->output_since) storm_wrong(s->role, "the output is gone");
        return;
    }
    struct vdb *db = storm_open(s->role, s->role->output, true);
    const struct vdb_snapshot *snapshot = storm_snapshot(s->role, db, &info);
    storm_scan_rows(s->role, snapshot, info.commit, s->scan);
    if (info.commit != 1 || info.rows != info.live || info.tail_rows ||
        !vdb_name_at(snapshot, 0, &name))
        storm_wrong(s->role, "the output is not dense: commit %llu, %llu rows of which %llu live",
                    (unsigned long long)info.commit, (unsigned long long)info.rows,
                    (unsigned long long)info.live);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    vdb_snapshot_close(storm_snapshot(s->role, s->db, &info));
    what.commit = info.commit;
    what.hash = s->scan->hash;
    storm_tell(s->role, &what);
}

static void put_out(struct shipper *s)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_info info;
    options.output = s->role->output;
    options.threads = 1;
    vdb_snapshot_close(storm_snapshot(s->role, s->db, &info));
    s->shared->next_output_since = info.commit;
    storm_must(s->role, vdb_compact(s->db, &options, &err), "vdb_compact to an output", &err);
    s->shared->output_since = info.commit;
    check_output(s);
}

/* ---- the role ------------------------------------------------------------------------------ */

/* A last round, in which nobody is killed, clears away what those who were have left. */
void storm_shipper(struct storm_role *role)
{
    struct shipper s = {.role = role, .shared = role->shared, .scan = malloc(sizeof *s.scan)};
    if (!s.scan) storm_wrong(role, "out of memory");
    s.db = storm_open(role, role->path, true);
    check_copy(&s);
    check_output(&s);
    while (!role->shared->over) {
        ship(&s);
        put_out(&s);
        storm_nap(0.001 * storm_below(role, 60));
    }
    remove_copy(&s);
    ship(&s);
    put_out(&s);
    vdb_close(s.db);
    free(s.stream);
    free(s.scan);
    _exit(0);
}
