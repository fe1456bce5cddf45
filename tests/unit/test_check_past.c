/* test_check_past.c: what a file says of its past is held against what it has of it: kept states,
 * recorded commits, and the names of both.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "base/le.h"
#include "format/manifest.h"
#include "format/superblock.h"
#include "store_fixture.h"

enum { DIM = 4 };

struct made {
    struct buf bytes;
    struct manifest m;
    struct superblock sb;
    int slot;
};

static void name(struct vdb *db, const char *text)
{
    struct vdb_error err;
    must(vdb_name_create(db, text, strlen(text), NULL, &err), &err);
}

static void load(struct made *made)
{
    struct vdb_error err;
    *made = (struct made){0};
    store_read("x.vdb", &made->bytes);
    must(superblock_choose(made->bytes.data, made->bytes.len, &made->sb, &made->slot, &err), &err);
    must(manifest_decode(made->bytes.data + made->sb.manifest_off, made->sb.manifest_len,
                         made->sb.manifest_off, made->bytes.len, &made->m, &err),
         &err);
}

/* Commits 2 and 4 are kept by a compaction at commit 5; 6 and 7 are in the extents of the manifest,
 * 8 is in the tail. Rows 5, 7 and 9 were deleted, 7 restored in between. */
static void make(struct made *made)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_commit_info info;
    struct vdb_error err;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("x.vdb", options);
    store_add_many(db, 0, 30, DIM);
    name(db, "two");
    store_delete(db, 5);
    store_delete(db, 7);
    name(db, "four");
    must(vdb_rollback(db, 3, &info, &err), &err);
    must(vdb_compact(db, NULL, &err), &err);
    store_delete(db, 9);
    name(db, "six");
    store_add_many(db, 30, 2100, DIM);
    must(vdb_maintain(db, NULL, &err), &err);
    store_delete(db, 11);
    name(db, "eight");
    vdb_close(db);
    load(made);
    assert_int_equal(made->m.commit, 7);
    assert_int_equal(made->m.horizon_commit, 2);
    assert_int_equal(made->m.snapshot_count, 3); /* four, six, two */
}

static void release(struct made *made)
{
    manifest_release(&made->m);
    buf_release(&made->bytes);
    remove(store_path("x.vdb"));
}

static uint64_t check(const struct made *made, int deep, struct vdb_error *first)
{
    store_write("y.vdb", &made->bytes);
    return store_check("y.vdb", deep, first);
}

static void seal(struct made *made)
{
    struct buf again = {0};
    for (uint32_t i = 0; i < made->m.segment_count; i++) {
        struct segment_entry *s = &made->m.segments[i];
        s->check = XXH3_64bits(made->bytes.data + s->off, s->len);
    }
    assert_int_equal(manifest_encode(&made->m, &again, NULL), VDB_OK);
    assert_int_equal(again.len, made->sb.manifest_len);
    memcpy(made->bytes.data + made->sb.manifest_off, again.data, again.len);
    buf_release(&again);
}

static void sound_is_sound(void **state)
{
    (void)state;
    struct made made;
    make(&made);
    for (int deep = 0; deep < 2; deep++) {
        struct vdb_error first;
        if (check(&made, deep, &first)) fail_msg("%s", first.message);
    }
    seal(&made);
    assert_int_equal(check(&made, 1, NULL), 0);
    release(&made);
}

/* ---- one wrong thing each ------------------------------------------------------------------ */

static uint8_t *states(struct made *made)
{
    for (uint32_t i = 0; i < made->m.segment_count; i++)
        if (made->m.segments[i].type == DISK_SEGMENT_STATES)
            return made->bytes.data + made->m.segments[i].off;
    fail_msg("no states are kept");
    return NULL;
}

static uint8_t *flips(struct made *made)
{
    return states(made) + le64_at(states(made) + 24);
}

static struct snapshot_entry *snapshot(struct made *made, const char *text)
{
    for (uint32_t i = 0; i < made->m.snapshot_count; i++)
        if (memcmp(made->m.snapshots[i].name, text, strlen(text)) == 0)
            return &made->m.snapshots[i];
    fail_msg("no snapshot %s", text);
    return NULL;
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

static void another_horizon(struct made *made)
{
    made->m.horizon_commit = 1;
}

static void other_live_count_of_a_state(struct made *made)
{
    put32(states(made) + 64 + 64 + 28, 27); /* of commit 4, and its name agrees */
    snapshot(made, "four")->live_count = 27;
}

static void other_flip(struct made *made)
{
    assert_int_equal(le32_at(flips(made)), 5); /* between 2 and 4 */
    put32(flips(made), 4);
    put32(flips(made) + 4, 4); /* and not rising */
}

static void flip_of_no_row(struct made *made)
{
    put32(flips(made) + 8, 30); /* of commit 4, which has 30 rows */
}

static void state_that_ends_late(struct made *made)
{
    put64(states(made) + 64 + 64 + 16, le64_at(states(made) + 64 + 64 + 16) + 1);
}

static void state_of_the_compaction(struct made *made)
{
    put64(states(made) + 64 + 64, 5);
}

static void state_with_too_many_rows(struct made *made)
{
    put32(states(made) + 64 + 64 + 24, 31);
}

static void states_twice(struct made *made)
{
    made->m.segments[made->m.segment_count - 1].type = DISK_SEGMENT_STATES;
    for (uint32_t i = 0; i < made->m.segment_count; i++)
        if (made->m.segments[i].type == DISK_SEGMENT_HISTORY)
            made->m.segments[i].type = DISK_SEGMENT_STATES;
}

static void name_of_a_kept_state_miscounts(struct made *made)
{
    snapshot(made, "four")->live_count--;
}

static void name_of_a_commit_miscounts(struct made *made)
{
    snapshot(made, "six")->row_count--;
}

static void name_of_another_time(struct made *made)
{
    snapshot(made, "two")->commit_time_us++;
}

static void name_of_a_purged_commit(struct made *made)
{
    snapshot(made, "two")->commit = 3;
}

static void name_of_a_commit_before_all(struct made *made)
{
    snapshot(made, "two")->commit = 1;
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct made *);
        const char *segment, *words;
        int deep; /* found by that check alone */
    } cases[] = {
        {another_horizon, "manifest", "the horizon is commit 1, and the oldest state that of 2", 0},
        {other_live_count_of_a_state, "states", "28 rows are live at commit 4, expected 27", 1},
        {other_flip, "states", "row 4 flips out of order at commit 2", 1},
        {flip_of_no_row, "states", "row 30 flips out of order at commit 4", 1},
        {state_that_ends_late, "states", "commit 4 does not go before that at commit 5", 0},
        {state_of_the_compaction, "states", "commit 5 does not go before that at commit 5", 0},
        {state_with_too_many_rows, "states", "commit 4 does not go before that at commit 5", 0},
        {states_twice, "states", "two states segments", 0},
        {name_of_a_kept_state_miscounts, "snapshot", "four of commit 4, with 27 of 30", 0},
        {name_of_a_commit_miscounts, "snapshot", "six of commit 6, with 28 of 29", 0},
        {name_of_another_time, "snapshot", "two of commit 2, with 30 of 30", 0},
        {name_of_a_purged_commit, "snapshot", "two of commit 3", 0},
        {name_of_a_commit_before_all, "snapshot", "two of commit 1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made;
        struct vdb_error finding = {0};
        make(&made);
        cases[i].change(&made);
        seal(&made);
        uint64_t findings = check(&made, 0, &finding);
        if (cases[i].deep && findings) fail_msg("case %zu: %s", i, finding.message);
        if (cases[i].deep) findings = check(&made, 1, &finding);
        if (!findings || strcmp(finding.segment, cases[i].segment) != 0 ||
            !strstr(finding.message, cases[i].words))
            fail_msg("case %zu: %d findings, %s", i, (int)findings, finding.message);
        release(&made);
    }
}

/* Records that the manifest covers are not needed to read the index, but to go back. */
static void damaged_records_of_the_past(void **state)
{
    (void)state;
    struct made made;
    make(&made);
    assert_int_equal(made.m.log_extent_count, 2);
    uint64_t first = made.m.log_extents[0].off, second = made.m.log_extents[1].off;
    assert_true(second + 256 < made.sb.log_off);
    for (uint64_t at = first; at < made.sb.log_off; at += at < second ? 37 : 997) {
        struct vdb_error finding = {0};
        if (at >= first + 256 + 448 + 128 && at < second) at = second; /* commit 6, names, link */
        made.bytes.data[at] ^= 0x10;
        if (!check(&made, 0, &finding) || strcmp(finding.segment, "log") != 0)
            fail_msg("byte %llu: %s", (unsigned long long)at, finding.message);
        made.bytes.data[at] ^= 0x10;
    }
    release(&made);
}

/* ---- records whose checks and chain are right ---------------------------------------------- */

/* The record of a commit that the log has. */
static uint64_t record(const struct made *made, uint64_t commit, void (*visit)(uint8_t *, uint64_t))
{
    const uint8_t *file = made->bytes.data;
    uint64_t off = made->m.log_extents[0].off;
    while (memcmp(file + off, VDB_RECORD_MAGIC, 4) == 0) {
        unsigned kind = le16_at(file + off + 4);
        if (visit) visit(made->bytes.data, off);
        if (kind == DISK_RECORD_COMMIT && le64_at(file + off + 16) == commit) return off;
        off = kind == DISK_RECORD_LINK ? le64_at(file + off + 64) : off + le64_at(file + off + 8);
    }
    return 0;
}

static uint64_t chain;

static void seal_record(uint8_t *file, uint64_t off)
{
    if (chain) put64(file + off + 32, chain);
    put64(file + off + 40, 0);
    chain = XXH3_64bits(file + off, le64_at(file + off + 8));
    put64(file + off + 40, chain);
}

static void seal_log(struct made *made)
{
    struct disk_superblock disk;
    chain = 0;
    record(made, UINT64_MAX, seal_record);
    made->sb.log_check = le64_at(made->bytes.data + made->sb.log_off + 32);
    superblock_encode(&made->sb, &disk);
    memcpy(made->bytes.data + made->slot * VDB_SUPERBLOCK_STRIDE, &disk, sizeof disk);
}

static void records_that_do_not_go_together(void **state)
{
    (void)state;
    static const struct {
        uint64_t commit;
        size_t at; /* in the record */
        uint32_t value;
        const char *words;
        int deep; /* found by that check alone */
    } cases[] = {
        {7, 72, 2129, "2128 rows are live after commit 7, expected 2129", 1},  /* live_count + 1 */
        {6, 192, 8, "28 rows are live at commit 5, and 29 by the records", 1}, /* deletes row 8 */
        {6, 72, 27, "six of commit 6", 0},
        {7, 24, 5, "commit 7 does not go on", 0},  /* times that fall */
        {7, 64, 29, "commit 7 does not go on", 0}, /* its first row */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made;
        struct vdb_error finding = {0};
        make(&made);
        uint64_t off = record(&made, cases[i].commit, NULL);
        assert_true(off);
        if (i == 0) assert_int_equal(le32_at(made.bytes.data + off + 72), 2128);
        put32(made.bytes.data + off + cases[i].at, cases[i].value);
        if (cases[i].at == 24) put32(made.bytes.data + off + 28, 0);
        if (cases[i].at == 192) { /* and the block's own check */
            uint64_t check_at = off + 64 + 88 + 16;
            put64(made.bytes.data + check_at, XXH3_64bits(made.bytes.data + off + 192, 8));
        }
        seal_log(&made);
        uint64_t findings = check(&made, 0, &finding);
        if (cases[i].deep && findings) fail_msg("case %zu: %s", i, finding.message);
        if (cases[i].deep) findings = check(&made, 1, &finding);
        if (!findings || !strstr(finding.message, cases[i].words))
            fail_msg("case %zu: %d findings, %s", i, (int)findings, finding.message);
        release(&made);
    }
}

/* Rows that lie beside the log, and that no part has taken over where they are. */
static void blocks_of_the_past(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err, finding;
    struct made made;
    options.dim = 16;
    options.index = VDB_INDEX_FLAT;
    struct vdb *db = store_create("x.vdb", options);
    for (uint32_t i = 0; i < 2; i++) {
        store_add_many(db, 9000 * i, 9000, 16);
        must(vdb_maintain(db, NULL, &err), &err);
    }
    store_delete(db, 1);
    vdb_close(db);
    load(&made);
    assert_int_equal(made.m.part_count, 1); /* of both */
    for (uint64_t commit = 2; commit <= 3; commit++) {
        uint64_t off = le64_at(made.bytes.data + record(&made, commit, NULL) + 80);
        uint64_t at = record(&made, commit, NULL);
        assert_true(off < at || off >= at + le64_at(made.bytes.data + at + 8));
        made.bytes.data[off + 100000] ^= 1;
        assert_int_equal(check(&made, 0, &finding), 1);
        assert_string_equal(finding.segment, "log");
        assert_int_equal(finding.offset, off);
        made.bytes.data[off + 100000] ^= 1;
    }
    release(&made);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(sound_is_sound),
        test(what_is_wrong_is_named),
        test(damaged_records_of_the_past),
        test(records_that_do_not_go_together),
        test(blocks_of_the_past),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
