/* test_changelog.c: the history of changes is whole, whatever became of the file meanwhile.
 *
 * Each test keeps a record of its own of what it did and holds the log against that.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "format/disk.h"
#include "state/past.h"
#include "store_fixture.h"

#define DIM 4

/* ---- the record ---------------------------------------------------------------------------- */

struct change {
    uint64_t commit;
    enum vdb_operation operation;
    char id[16];
};

static struct change *record;
static size_t recorded, room;

static void note(uint64_t commit, enum vdb_operation operation, const char *id)
{
    if (recorded == room) {
        room = room ? 2 * room : 1024;
        record = realloc(record, room * sizeof *record);
        assert_non_null(record);
    }
    record[recorded].commit = commit;
    record[recorded].operation = operation;
    snprintf(record[recorded++].id, sizeof record[0].id, "%s", id);
}

static int setup(void **state)
{
    recorded = 0;
    return store_setup(state);
}

static int teardown(void **state)
{
    free(record);
    record = NULL;
    recorded = room = 0;
    return store_teardown(state);
}

/* What the record has after a commit, of it the last `last` or, for 0, all. */
static void expect_changes(const struct vdb_snapshot *snapshot, uint64_t since, uint64_t last)
{
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    struct vdb_log *log;
    struct vdb_log_entry entry;
    struct vdb_error err;
    struct vdb_info info;
    vdb_snapshot_info(snapshot, &info);
    options.since_commit = since;
    options.last = last;
    size_t at = 0, end = recorded;
    while (at < recorded && record[at].commit <= since) at++;
    while (end > at && record[end - 1].commit > info.commit) end--;
    if (last && end - at > last) at = end - (size_t)last;
    must(vdb_log_open(snapshot, &options, &log, &err), &err);
    enum vdb_status status;
    int64_t time_us = info.created_us;
    while ((status = vdb_log_next(log, &entry, &err)) == VDB_OK) {
        if (at == end)
            fail_msg("one more: commit %d, operation %d, %.*s", (int)entry.commit,
                     (int)entry.operation, (int)entry.id_len, entry.id);
        const struct change *c = &record[at++];
        if (entry.commit != c->commit || entry.operation != c->operation ||
            entry.id_len != strlen(c->id) || memcmp(entry.id, c->id, entry.id_len) != 0)
            fail_msg("commit %d, operation %d, %.*s in place of %d, %d, %s", (int)entry.commit,
                     (int)entry.operation, (int)entry.id_len, entry.id, (int)c->commit,
                     (int)c->operation, c->id);
        assert_true(entry.time_us >= time_us);
        time_us = entry.time_us;
        if (entry.row == UINT32_MAX) continue;
        const char *id;
        size_t id_len;
        must(vdb_row_id(snapshot, entry.row, &id, &id_len, &err), &err);
        assert_int_equal(id_len, entry.id_len);
        assert_memory_equal(id, entry.id, id_len);
    }
    must(status == VDB_NOT_FOUND ? VDB_OK : status, &err);
    if (at != end) fail_msg("%zu changes are missing", end - at);
    assert_int_equal(vdb_log_next(log, &entry, &err), VDB_NOT_FOUND);
    vdb_log_close(log);
}

static void expect_all(struct vdb *db)
{
    const struct vdb_snapshot *snapshot = store_snapshot(db);
    struct vdb_info info;
    const struct manifest *m = &snapshot->generation->manifest;
    vdb_snapshot_info(snapshot, &info);
    expect_changes(snapshot, 0, 0);
    for (uint32_t i = 0; i < m->log_extent_count; i++) /* about where an extent begins */
        for (uint64_t before = 0; before <= 2; before++)
            expect_changes(snapshot, m->log_extents[i].first_commit - before, 0);
    uint64_t seed = info.commit;
    for (int i = 0; i < 6; i++)
        expect_changes(snapshot, store_random(&seed) % (info.commit + 2),
                       store_random(&seed) % (recorded + 10));
    expect_changes(snapshot, 0, 1);
    expect_changes(snapshot, info.commit - 1, 0);
    expect_changes(snapshot, info.commit, 0);
    expect_changes(snapshot, UINT64_MAX, 3);
    vdb_snapshot_close(snapshot);
}

/* ---- a life -------------------------------------------------------------------------------- */

enum { IDS = 40 };

/* A commit of some changes, each of another id, so that what they are does not hang on one another;
 * puts are noted before marks, as the log has them. */
static void random_commit(struct vdb *db, bool live[IDS], bool was[IDS], uint64_t *seed)
{
    static const enum vdb_operation put_as[] = {VDB_OPERATION_ADD, VDB_OPERATION_UPDATE};
    struct vdb_error err;
    struct vdb_txn *txn = store_begin(db);
    uint64_t commit = store_info(db).commit + 1;
    uint32_t first = (uint32_t)(store_random(seed) % IDS),
             count = 1 + (uint32_t)(store_random(seed) % 5);
    struct change marks[5];
    size_t marked = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (first + i) % IDS;
        char id[16];
        float vector[DIM];
        snprintf(id, sizeof id, "id%u", number);
        store_vector(number, DIM, vector);
        bool mark = store_random(seed) % 3 == 0 && (live[number] || was[number]);
        if (!mark) {
            store_put(txn, id, vector, NULL);
            note(commit, put_as[live[number]], id);
            live[number] = was[number] = true;
            continue;
        }
        must(live[number] ? vdb_txn_delete(txn, id, strlen(id), &err)
                          : vdb_txn_restore(txn, id, strlen(id), &err),
             &err);
        marks[marked].operation = live[number] ? VDB_OPERATION_DELETE : VDB_OPERATION_RESTORE;
        memcpy(marks[marked++].id, id, sizeof id);
        live[number] = !live[number];
    }
    for (size_t i = 0; i < marked; i++) note(commit, marks[i].operation, marks[i].id);
    assert_int_equal(store_commit(txn).commit, commit);
}

static void compact(struct vdb *db, struct vdb_compact_options options)
{
    struct vdb_error err;
    must(vdb_compact(db, &options, &err), &err);
}

/* Hundreds of commits over many extents of the log, parts built from them, the file written anew
 * time and again: at each moment the log is the record. */
static void through_a_life(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    bool live[IDS] = {false}, was[IDS] = {false};
    uint64_t seed = 7;
    uint32_t bulk = 0;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("a.vdb", options);
    const struct vdb_snapshot *kept = NULL;
    expect_all(db);
    for (int round = 0; round < 16; round++) {
        uint64_t commits = 20 + store_random(&seed) % 200;
        for (uint64_t i = 0; i < commits; i++) random_commit(db, live, was, &seed);
        if (round % 3 == 1) { /* a part of its own, its rows outside of the log */
            uint64_t commit = store_info(db).commit + 1;
            store_add_many(db, bulk, 8000, DIM);
            for (uint32_t i = bulk; i < bulk + 8000; i++) {
                char id[16];
                snprintf(id, sizeof id, "r%u", i);
                note(commit, VDB_OPERATION_ADD, id);
            }
            bulk += 8000;
            must(vdb_maintain(db, NULL, &err), &err);
        }
        expect_all(db);
        if (round == 9) kept = store_snapshot(db);
        if (round % 4 == 3) {
            compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
            memcpy(was, live, sizeof was); /* what was deleted is purged */
            expect_all(db);
            assert_int_equal(store_check("a.vdb", 1, NULL), 0);
        }
    }
    expect_changes(kept, 0, 0); /* as it was then */
    vdb_snapshot_close(kept);
    vdb_close(db);
    db = store_open("a.vdb");
    expect_all(db);
    vdb_close(db);
}

/* An id that one commit puts, deletes, restores and puts again. */
static void several_changes_of_one_id(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    static const float vector[DIM] = {1, 2, 3, 4};
    options.dim = DIM;
    struct vdb *db = store_create("a.vdb", options);
    struct vdb_txn *txn = store_begin(db);
    store_put(txn, "new", vector, NULL);
    store_put(txn, "new", vector, NULL);
    must(vdb_txn_delete(txn, "new", 3, &err), &err);
    must(vdb_txn_restore(txn, "new", 3, &err), &err);
    store_put(txn, "new", vector, NULL);
    must(vdb_txn_delete(txn, "new", 3, &err), &err);
    store_put(txn, "new", vector, NULL);
    struct vdb_commit_info info = store_commit(txn);
    assert_int_equal(info.added, 2);
    assert_int_equal(info.updated, 2);
    note(2, VDB_OPERATION_ADD, "new");
    note(2, VDB_OPERATION_UPDATE, "new");
    note(2, VDB_OPERATION_UPDATE, "new");
    note(2, VDB_OPERATION_ADD, "new"); /* none was live then */
    note(2, VDB_OPERATION_DELETE, "new");
    note(2, VDB_OPERATION_RESTORE, "new");
    note(2, VDB_OPERATION_DELETE, "new");
    expect_all(db);
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    expect_all(db);
    vdb_close(db);
}

/* ---- what compaction keeps ----------------------------------------------------------------- */

static uint64_t first_commit(struct vdb *db)
{
    const struct vdb_snapshot *snapshot = store_snapshot(db);
    struct vdb_log *log;
    struct vdb_error err;
    must(vdb_log_open(snapshot, NULL, &log, &err), &err);
    uint64_t first = vdb_log_first_commit(log);
    vdb_log_close(log);
    vdb_snapshot_close(snapshot);
    return first;
}

static void one_a_commit(struct vdb *db, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        note(store_info(db).commit + 1, VDB_OPERATION_ADD, id);
        store_add(db, i, DIM);
    }
}

/* The time of a commit, as the log tells it. */
static int64_t time_of(struct vdb *db, uint64_t commit)
{
    const struct vdb_snapshot *snapshot = store_snapshot(db);
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    struct vdb_log *log;
    struct vdb_log_entry entry;
    struct vdb_error err;
    options.since_commit = commit - 1;
    must(vdb_log_open(snapshot, &options, &log, &err), &err);
    must(vdb_log_next(log, &entry, &err), &err);
    assert_int_equal(entry.commit, commit);
    vdb_log_close(log);
    vdb_snapshot_close(snapshot);
    return entry.time_us;
}

/* Forgets the record before a commit. */
static void forget_before(uint64_t commit)
{
    size_t from = 0;
    while (from < recorded && record[from].commit < commit) from++;
    memmove(record, record + from, (recorded - from) * sizeof *record);
    recorded -= from;
}

static void age_cuts_at_a_commit(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options how = VDB_COMPACT_OPTIONS_INIT;
    options.dim = DIM;
    struct vdb *db = store_create("a.vdb", options);
    one_a_commit(db, 0, 300);
    compact(db, how);
    one_a_commit(db, 300, 20);
    compact(db, how);
    one_a_commit(db, 320, 5);
    assert_int_equal(first_commit(db), 2);
    how.set_history = 1;
    how.history_seconds = 3600;
    /* In the first segment, which is cut; in it again; in the second; in the records. */
    static const uint64_t cuts[] = {100, 290, 310, 325};
    for (int i = 0; i < 4; i++) {
        assert_true(time_of(db, cuts[i]) > time_of(db, cuts[i] - 1));
        how.now_us = time_of(db, cuts[i]) + 3600 * (int64_t)1000000;
        compact(db, how);
        assert_int_equal(first_commit(db), cuts[i]);
        forget_before(cuts[i]);
        expect_all(db);
        assert_int_equal(store_check("a.vdb", 1, NULL), 0);
    }
    how.now_us += (int64_t)7200 * 1000000; /* all of it is older */
    compact(db, how);
    assert_int_equal(first_commit(db), store_info(db).commit + 1);
    recorded = 0;
    expect_all(db);
    one_a_commit(db, 325, 3);
    expect_all(db);
    vdb_close(db);
}

static void none_is_kept(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options how = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    struct vdb *db = store_create("a.vdb", options);
    one_a_commit(db, 0, 10);
    how.set_history = 1;
    compact(db, how);
    recorded = 0;
    expect_all(db);
    assert_int_equal(first_commit(db), 12);
    how.set_history = 0;
    one_a_commit(db, 10, 10);
    compact(db, how);
    expect_all(db);
    assert_int_equal(first_commit(db), 12);
    how.set_history = 1;
    how.history_seconds = (uint64_t)VDB_RECENT_SECONDS_MAX + 1;
    assert_int_equal(vdb_compact(db, &how, &err), VDB_INVALID);
    vdb_close(db);
}

/* A copy begins at commit 1 and knows of nothing before. */
static void an_output_begins_anew(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options how = VDB_COMPACT_OPTIONS_INIT;
    options.dim = DIM;
    struct vdb *db = store_create("a.vdb", options);
    one_a_commit(db, 0, 10);
    char path[512];
    snprintf(path, sizeof path, "%s", store_path("b.vdb"));
    how.output = path;
    compact(db, how);
    vdb_close(db);
    recorded = 0;
    db = store_open("b.vdb");
    expect_all(db);
    assert_int_equal(first_commit(db), 2);
    one_a_commit(db, 10, 2);
    expect_all(db);
    vdb_close(db);
}

/* Segments stay few and large ones are not written anew: the first, of 3,000 changes, is the same
 * bytes after 40 more compactions. */
static void segments_stay_few(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("a.vdb", options);
    store_add_many(db, 0, 3000, DIM);
    for (uint32_t i = 0; i < 3000; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        note(2, VDB_OPERATION_ADD, id);
    }
    uint64_t check = 0;
    for (uint32_t turn = 0; turn < 41; turn++) {
        compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
        const struct vdb_snapshot *snapshot = store_snapshot(db);
        const struct manifest *m = &snapshot->generation->manifest;
        uint32_t segments = 0;
        for (uint32_t i = 0; i < m->segment_count; i++) {
            if (m->segments[i].type != DISK_SEGMENT_HISTORY) continue;
            if (segments++ > 0) continue;
            if (turn == 0) check = m->segments[i].check;
            assert_true(m->segments[i].check == check);
        }
        assert_in_range(segments, 1, 8); /* log2 of 164, and the first */
        vdb_snapshot_close(snapshot);
        if (turn % 10 == 0) expect_all(db);
        if (turn % 3 != 2) one_a_commit(db, 3000 + 4 * turn, 4); /* none, now and then */
    }
    expect_all(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
    vdb_close(db);
}

/* ---- damage -------------------------------------------------------------------------------- */

/* Reads all of the log of "b.vdb", which is `bytes`. */
static enum vdb_status read_log(const struct buf *bytes, struct vdb_error *err)
{
    store_write("b.vdb", bytes);
    struct vdb *db = store_open("b.vdb");
    const struct vdb_snapshot *snapshot = store_snapshot(db);
    struct vdb_log *log;
    struct vdb_log_entry entry;
    enum vdb_status status = vdb_log_open(snapshot, NULL, &log, err);
    if (!status) {
        while ((status = vdb_log_next(log, &entry, err)) == VDB_OK) {
        }
        vdb_log_close(log);
    }
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    return status;
}

/* Of the commit that replaced so many rows, the blocks outside of its record. */
static struct log_commit replacing(const struct vdb_snapshot *s, uint32_t rows)
{
    struct past past;
    struct log_commit commit, found = {.commit = 0};
    past_init(&past, s, 0);
    while (past_next(&past, &commit, NULL) == VDB_OK)
        if (commit.row_count == rows && commit.event_count == rows) found = commit;
    assert_true(found.record_len == 192); /* head and body */
    return found;
}

/* A file with a history segment, and a past in log extents and external blocks: one byte of each
 * changed, nothing of which opening needs, is told by name and place. */
static void damage_is_named(void **state)
{
    enum { LARGE = 33000 }; /* rows and events have more than 256 KiB: outside of the log */
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("a.vdb", options);
    one_a_commit(db, 0, 50);
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    one_a_commit(db, 50, 200);
    store_add_many(db, 1000, LARGE, DIM);
    store_add_many(db, 1000, LARGE, DIM);
    one_a_commit(db, 250, 10);
    must(vdb_maintain(db, NULL, &err), &err);
    one_a_commit(db, 260, 1);
    struct vdb_snapshot *s = (struct vdb_snapshot *)(uintptr_t)store_snapshot(db);
    const struct manifest *m = &s->generation->manifest;
    assert_int_equal(s->tail_count, 1);
    assert_true(m->log_extent_count >= 2);
    uint64_t history = 0;
    for (uint32_t i = 0; i < m->segment_count; i++)
        if (m->segments[i].type == DISK_SEGMENT_HISTORY) history = m->segments[i].off;
    struct log_extent_entry first = m->log_extents[0];
    struct log_extent_entry last = m->log_extents[m->log_extent_count - 1];
    uint64_t log_off = s->generation->superblock.log_off;
    struct log_commit large = replacing(s, LARGE);
    vdb_snapshot_close(s);
    vdb_close(db);
    struct buf bytes = {0};
    store_read("a.vdb", &bytes);
    assert_int_equal(read_log(&bytes, &err), VDB_NOT_FOUND);
    /* The second record's prev_check is the first one's check: that is how it is found. */
    uint64_t length;
    memcpy(&length, bytes.data + first.off + 8, sizeof length);
    uint64_t second = first.off + length;
    assert_memory_equal(bytes.data + second, "VREC", 4);
    const struct {
        const char *segment;
        uint64_t at, told_at;
    } cases[] = {
        {"history", history + 70, history},
        {"log", first.off + 3, first.off},   /* the magic */
        {"log", first.off + 33, first.off},  /* the chain value that it begins with */
        {"log", first.off + 200, first.off}, /* an inline block */
        {"log", second + 32, second},        /* the chain */
        {"log", second + 16, second},        /* the commit's number */
        {"log", large.ids.off + large.ids.len - 1, large.ids.off},
        {"log", large.events.off + 8, large.events.off},
        {"log", log_off - 64, 0},    /* the last record before the manifest's commit */
        {"log", last.off, last.off}, /* where the log went on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes.data[cases[i].at] ^= 0x10;
        enum vdb_status status = read_log(&bytes, &err);
        if (status != VDB_CORRUPT || strcmp(err.segment, cases[i].segment) != 0 ||
            (cases[i].told_at && err.offset != cases[i].told_at))
            fail_msg("case %zu: status %d, %s", i, (int)status, err.message);
        bytes.data[cases[i].at] ^= 0x10;
    }
    assert_int_equal(read_log(&bytes, &err), VDB_NOT_FOUND);
    buf_release(&bytes);
}

/* ---- lies ---------------------------------------------------------------------------------- */

/* Puts checksums right: of the history segments, of the manifest that has them in its table, of the
 * superblock. */
static void make_sound(struct buf *bytes)
{
    struct disk_superblock sb;
    struct disk_manifest m;
    uint64_t newest = 0;
    for (int i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        uint8_t *slot = bytes->data + (size_t)i * VDB_SUPERBLOCK_STRIDE;
        le64 check = le64_put(checksum(slot, offsetof(struct disk_superblock, check)));
        memcpy(slot + offsetof(struct disk_superblock, check), &check, sizeof check);
        struct disk_superblock read;
        memcpy(&read, slot, sizeof read);
        if (le64_get(read.generation) < newest) continue;
        newest = le64_get(read.generation);
        sb = read;
    }
    uint8_t *manifest = bytes->data + le64_get(sb.manifest_off);
    memcpy(&m, manifest, sizeof m);
    for (uint32_t i = 0; i < le32_get(m.segments.count); i++) {
        struct disk_segment s;
        uint8_t *at = manifest + le64_get(m.segments.off) + i * sizeof s;
        memcpy(&s, at, sizeof s);
        if (le16_get(s.type) != DISK_SEGMENT_HISTORY) continue;
        s.check = le64_put(checksum(bytes->data + le64_get(s.off), le64_get(s.len)));
        memcpy(at, &s, sizeof s);
    }
    le64 check = le64_put(
        checksum_without(manifest, le64_get(m.length), offsetof(struct disk_manifest, check)));
    memcpy(manifest + offsetof(struct disk_manifest, check), &check, sizeof check);
}

/* A file whose checksums are right and whose parts contradict one another is refused as well. */
static void contradictions_are_named(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("a.vdb", options);
    one_a_commit(db, 0, 20); /* 2 to 21 */
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    one_a_commit(db, 20, 3); /* 22 to 24 */
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    one_a_commit(db, 23, 150);
    store_add_many(db, 1000, 3000, DIM);
    must(vdb_maintain(db, NULL, &err), &err);
    struct vdb_snapshot *s = (struct vdb_snapshot *)(uintptr_t)store_snapshot(db);
    const struct generation *g = s->generation;
    const struct manifest *m = &g->manifest;
    uint64_t history[2], tables = g->superblock.manifest_off + sizeof(struct disk_manifest);
    uint32_t segments = 0;
    for (uint32_t i = 0; i < m->segment_count; i++)
        if (m->segments[i].type == DISK_SEGMENT_HISTORY)
            history[segments++ % 2] = m->segments[i].off;
    assert_int_equal(segments, 2);
    assert_in_range(m->log_extent_count, 2, 5);
    uint64_t extents = tables + m->part_count * sizeof(struct disk_part) +
                       m->segment_count * sizeof(struct disk_segment);
    uint64_t slot = (uint64_t)g->slot * VDB_SUPERBLOCK_STRIDE;
    const struct {
        uint64_t at;
        uint8_t change;
        const char *segment;
        uint64_t told_at;
    } cases[] = {
        /* Commits 2 to 21, and from 20 or 23 on. */
        {history[1], 22 ^ 20, "history", history[1]},
        {history[1], 22 ^ 23, "history", history[1]},
        /* To 25, of which there is a record. */
        {history[1] + 8, 24 ^ 25, "history", history[1]},
        /* The extents begin with another commit, or elsewhere. */
        {extents + 16, 25 ^ 27, "log", m->log_extents[0].off},
        {extents + 32 + 16, 1, "log", m->log_extents[1].off},
        {extents + 32 + 8, 0x40, "log", m->log_extents[1].off},
        /* The chain value where the past ends. */
        {slot + offsetof(struct disk_superblock, log_check), 1, "log", g->superblock.log_off},
    };
    vdb_snapshot_close(s);
    vdb_close(db);
    struct buf bytes = {0};
    store_read("a.vdb", &bytes);
    make_sound(&bytes);
    assert_int_equal(read_log(&bytes, &err), VDB_NOT_FOUND);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes.data[cases[i].at] ^= cases[i].change;
        make_sound(&bytes);
        enum vdb_status status = read_log(&bytes, &err);
        if (status != VDB_CORRUPT || strcmp(err.segment, cases[i].segment) != 0 ||
            err.offset != cases[i].told_at)
            fail_msg("case %zu: status %d, %s", i, (int)status, err.message);
        bytes.data[cases[i].at] ^= cases[i].change;
        make_sound(&bytes);
    }
    buf_release(&bytes);
}

static enum vdb_status compact_bytes(const struct buf *bytes, int set_history,
                                     struct vdb_error *err)
{
    struct vdb_compact_options how = VDB_COMPACT_OPTIONS_INIT;
    store_write("b.vdb", bytes);
    struct vdb *db = store_open("b.vdb");
    how.set_history = set_history;
    enum vdb_status status = vdb_compact(db, &how, err);
    vdb_close(db);
    return status;
}

/* Compaction refuses damage, which would else get a checksum that is right: in the segment that it
 * copies, in the one that it writes anew, in a record, and in the ids of a part none of whose rows
 * it takes. What keeps no history is not held up by any. */
static void damage_is_not_carried_over(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("a.vdb", options);
    /* 20,000 changes of 4,000 rows: more than come after them, so that the segment is copied. */
    for (int i = 0; i < 5; i++) store_add_many(db, 0, 4000, DIM);
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    one_a_commit(db, 4000, 5);
    compact(db, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT);
    store_add_many(db, 4005, 3000, DIM);
    must(vdb_maintain(db, NULL, &err), &err);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 0; i < 7005; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    }
    store_commit(txn);
    assert_int_equal(store_info(db).live, 0);
    struct vdb_snapshot *s = (struct vdb_snapshot *)(uintptr_t)store_snapshot(db);
    const struct manifest *m = &s->generation->manifest;
    uint64_t history[2], ids = 0;
    uint32_t segments = 0;
    for (uint32_t i = 0; i < m->segment_count; i++) {
        if (m->segments[i].type == DISK_SEGMENT_HISTORY)
            history[segments++ % 2] = m->segments[i].off + 100;
        if (m->segments[i].type == DISK_SEGMENT_ID)
            ids = m->segments[i].off + m->segments[i].len - 1; /* a digit, and still one */
    }
    assert_int_equal(segments, 2);
    const struct {
        uint64_t at;
        const char *segment;
    } cases[] = {{history[0], "history"},
                 {history[1], "history"},
                 {m->log_extents[0].off + 16, "log"},
                 {ids, "id"}};
    vdb_snapshot_close(s);
    vdb_close(db);
    struct buf bytes = {0};
    store_read("a.vdb", &bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes.data[cases[i].at] ^= 1;
        enum vdb_status status = compact_bytes(&bytes, 0, &err);
        if (status != VDB_CORRUPT || strcmp(err.segment, cases[i].segment) != 0)
            fail_msg("case %zu: status %d, %s", i, (int)status, err.message);
        assert_int_equal(compact_bytes(&bytes, 1, &err), VDB_OK);
        bytes.data[cases[i].at] ^= 1;
    }
    must(compact_bytes(&bytes, 0, &err), &err);
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(through_a_life, setup, teardown),
        cmocka_unit_test_setup_teardown(several_changes_of_one_id, setup, teardown),
        cmocka_unit_test_setup_teardown(age_cuts_at_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(none_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(an_output_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_stay_few, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(contradictions_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_not_carried_over, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
