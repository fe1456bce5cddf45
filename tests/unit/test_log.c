/* test_log.c: where the log goes on and where it ends.
 *
 * A file is played in memory: an extent of the log from EXTENT_A on, another from EXTENT_B on.
 * Offsets within records are those of format-spec/log.md.
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

#include "format/log.h"
#include "hostile.h"

#define FILE_LEN 24576u
#define EXTENT_A 12288u
#define EXTENT_B 16384u
#define FIRST    UINT64_C(0x1122334455667788) /* what the first record names as its predecessor */

enum { HEAD = 64, BODY = 128, CHECK = 40, CHANGE = 320 };

static struct log_cursor start(void)
{
    return (struct log_cursor){.off = EXTENT_A, .end = EXTENT_B, .check = FIRST, .commit = 10};
}

/* Writes a commit of no rows with one inline event at *off; returns its check. */
static uint64_t commit_put(uint8_t *file, uint64_t *off, uint64_t number, uint64_t prev)
{
    struct log_commit commit = {
        .commit = number,
        .time_us = 1000 + (int64_t)number,
        .row_base = 5,
        .live_count = 4,
        .event_count = 1,
        .events = {*off + HEAD + BODY, 8, 77},
    };
    struct buf record = {0};
    assert_int_equal(log_encode_commit(&commit, prev, &record, NULL), VDB_OK);
    assert_int_equal(record.len, HEAD + BODY);
    struct disk_event event = {le32_put(3), le32_put(DISK_EVENT_DELETE)};
    assert_int_equal(buf_append(&record, &event, sizeof event) || buf_align(&record, 64), 0);
    uint64_t check = log_seal(&record, 0);
    memcpy(file + *off, record.data, record.len);
    *off += record.len;
    buf_release(&record);
    return check;
}

static uint64_t link_put(uint8_t *file, uint64_t off, uint64_t commit, uint64_t prev, uint64_t to,
                         uint64_t len)
{
    struct log_cursor from = {.off = off, .check = prev, .commit = commit};
    struct buf record = {0};
    assert_int_equal(log_encode_link(&from, 5, to, len, &record, NULL), VDB_OK);
    uint64_t check = log_seal(&record, 0);
    memcpy(file + off, record.data, record.len);
    buf_release(&record);
    return check;
}

static struct log_name_change named(unsigned operation, const char *name)
{
    struct log_name_change change = {
        .operation = operation,
        .snapshot = {11, 1011, 2000, {"fedcba9876543210", 7}, 5, 4, (uint16_t)strlen(name), ""},
    };
    memcpy(change.snapshot.name, name, strlen(name));
    return change;
}

static const char *const NAMES[] = {"before", "after", ""};

/* Writes a record that creates a name, removes one, and tells what was received. */
static uint64_t names_put(uint8_t *file, uint64_t *off, uint64_t commit, uint64_t prev)
{
    struct log_cursor from = {.off = *off, .check = prev, .commit = commit};
    struct buf record = {0};
    assert_int_equal(log_encode_names(&from, 9, 3, &record, NULL), VDB_OK);
    assert_int_equal(record.len, HEAD + 64);
    for (unsigned i = 0; i < 3; i++) {
        struct log_name_change change = named(DISK_NAME_CREATE + i, NAMES[i]);
        assert_int_equal(log_encode_name(&change, &record, NULL), VDB_OK);
    }
    assert_int_equal(record.len, HEAD + 64 + 3 * CHANGE);
    uint64_t check = log_seal(&record, 0);
    memcpy(file + *off, record.data, record.len);
    *off += record.len;
    buf_release(&record);
    return check;
}

/* A change of a record's bytes, `room` of which may be read, with its check made right. */
static void patch_within(uint8_t *record, size_t room, size_t at, uint64_t value, size_t width)
{
    uint64_t length;
    memcpy(record + at, &value, width);
    memcpy(&length, record + 8, 8);
    if (length < HEAD || length > room) length = HEAD + BODY + 64;
    memset(record + CHECK, 0, 8);
    uint64_t check = XXH3_64bits(record, length);
    memcpy(record + CHECK, &check, 8);
}

static void patch(uint8_t *record, size_t at, uint64_t value, size_t width)
{
    patch_within(record, 4096, at, value, width);
}

static void a_chain_is_followed_to_its_end(void **state)
{
    (void)state;
    static uint8_t file[FILE_LEN];
    memset(file, 0, sizeof file);
    uint64_t off = EXTENT_A, check = FIRST;
    for (uint64_t n = 11; n <= 13; n++) check = commit_put(file, &off, n, check);
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    for (uint64_t n = 11; n <= 13; n++) {
        uint64_t from = at.off;
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
        assert_int_equal(commit.commit, n);
        assert_int_equal(commit.time_us, 1000 + n);
        assert_int_equal(commit.row_base, 5);
        assert_int_equal(commit.row_count, 0);
        assert_int_equal(commit.live_count, 4);
        assert_int_equal(commit.event_count, 1);
        assert_int_equal(commit.events.off, from + HEAD + BODY);
        assert_int_equal(commit.events.check, 77);
        assert_int_equal(commit.record_off, from);
        assert_int_equal(commit.record_len, HEAD + BODY + 64);
        assert_int_equal(at.commit, n);
    }
    assert_int_equal(at.off, off);
    assert_int_equal(at.check, check);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_ENDS);
    assert_int_equal(at.off, off);
}

/* Wherever writing stopped, the record is not there. */
static void a_torn_record_is_the_end(void **state)
{
    (void)state;
    uint8_t file[FILE_LEN] = {0}, whole[FILE_LEN] = {0};
    uint64_t off = EXTENT_A, check = commit_put(whole, &off, 11, FIRST);
    uint64_t second = off;
    commit_put(whole, &off, 12, check);
    size_t used = HEAD + BODY + 8; /* the rest of the record is zero as the file was */
    for (size_t cut = 0; cut <= used; cut++) {
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        memcpy(file, whole, FILE_LEN);
        memset(file + second + cut, 0, FILE_LEN - second - cut);
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
        bool there = memcmp(file, whole, FILE_LEN) == 0;
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names),
                         there ? LOG_COMMIT : LOG_ENDS);
    }
    for (size_t bit = 0; bit < 8 * (HEAD + BODY + 64u); bit++) {
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        memcpy(file, whole, FILE_LEN);
        file[second + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_ENDS);
        assert_int_equal(at.off, second);
    }
}

static void same_change(const struct log_name_change *got, unsigned operation, const char *name)
{
    struct log_name_change want = named(operation, name);
    const struct snapshot_entry *a = &got->snapshot, *b = &want.snapshot;
    assert_int_equal(got->operation, operation);
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->commit_time_us, b->commit_time_us);
    assert_int_equal(a->created_us, b->created_us);
    assert_int_equal(a->origin.commit, b->origin.commit);
    assert_memory_equal(a->origin.id, b->origin.id, 16);
    assert_int_equal(a->row_count, b->row_count);
    assert_int_equal(a->live_count, b->live_count);
    assert_int_equal(a->name_len, strlen(name));
    assert_memory_equal(a->name, name, strlen(name));
}

/* They use up no commit's number, and the chain goes through them. */
static void names_between_commits(void **state)
{
    (void)state;
    uint8_t file[FILE_LEN] = {0};
    uint64_t off = EXTENT_A, check = commit_put(file, &off, 11, FIRST), from = off;
    check = names_put(file, &off, 11, check);
    uint64_t behind = off;
    commit_put(file, &off, 12, check);
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
    assert_int_equal(commit.names.count, 0);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_NAMES);
    assert_int_equal(at.commit, 11);
    assert_int_equal(at.off, behind);
    assert_int_equal(at.check, check);
    assert_int_equal(names.record_off, from);
    assert_int_equal(names.off, from + HEAD + 64);
    assert_int_equal(names.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct log_name_change change;
        assert_true(log_name_change(file, &names, i, &change));
        same_change(&change, DISK_NAME_CREATE + i, NAMES[i]);
    }
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
    assert_int_equal(at.commit, 12);
}

/* Behind its blocks, in the same record: both or neither. */
static void names_of_a_commit(void **state)
{
    (void)state;
    static uint8_t file[FILE_LEN];
    struct log_commit put = {.commit = 11, .live_count = 5, .row_base = 5, .names.count = 2}, got;
    struct buf record = {0};
    assert_int_equal(log_encode_commit(&put, FIRST, &record, NULL), VDB_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct log_name_change change = named(DISK_NAME_CREATE + i, NAMES[i]);
        assert_int_equal(log_encode_name(&change, &record, NULL), VDB_OK);
    }
    log_seal(&record, 0);
    memcpy(file + EXTENT_A, record.data, record.len);
    struct log_cursor at = start();
    struct log_names names;
    assert_int_equal(log_next(file, FILE_LEN, &at, &got, &names), LOG_COMMIT);
    assert_int_equal(got.names.count, 2);
    assert_int_equal(got.names.off, EXTENT_A + HEAD + BODY);
    assert_int_equal(got.names.record_off, EXTENT_A);
    for (unsigned i = 0; i < 2; i++) {
        struct log_name_change change;
        assert_true(log_name_change(file, &got.names, i, &change));
        same_change(&change, DISK_NAME_CREATE + i, NAMES[i]);
    }
    static const uint64_t counts[] = {3, 0x0ccccccd, 0xffffffff}; /* 320 times the second: 64 */
    for (size_t i = 0; i < 3; i++) {
        patch(file + EXTENT_A, HEAD + 116, counts[i], 4);
        at = start();
        assert_int_equal(log_next(file, FILE_LEN, &at, &got, &names), LOG_DAMAGED);
        assert_int_equal(at.off, EXTENT_A);
    }
    buf_release(&record);
}

/* What a commit keeps elsewhere lies behind its extent or before what is left of that, where the
 * next record comes to. */
static void blocks_in_the_rest_of_the_extent(void **state)
{
    (void)state;
    static uint8_t file[FILE_LEN];
    uint64_t free = EXTENT_A;
    commit_put(file, &free, 11, FIRST);
    const struct {
        uint64_t off;
        enum log_step step;
    } cases[] = {{EXTENT_B, LOG_COMMIT},
                 {free - 64, LOG_COMMIT},
                 {free, LOG_DAMAGED},
                 {EXTENT_B - 64, LOG_DAMAGED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_cursor at = start();
        struct log_commit got;
        struct log_names names;
        patch(file + EXTENT_A, HEAD + offsetof(struct disk_commit, events), cases[i].off, 8);
        if (log_next(file, FILE_LEN, &at, &got, &names) != cases[i].step) fail_msg("case %zu", i);
    }
}

static void counts_that_are_not_the_records_are_damage(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 2, 4, 0x0ccccccd, 0xffffffff};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint8_t file[FILE_LEN] = {0};
        uint64_t off = EXTENT_A;
        names_put(file, &off, 10, FIRST);
        patch(file + EXTENT_A, HEAD, counts[i], 4);
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        enum log_step step = log_next(file, FILE_LEN, &at, &commit, &names);
        if (step != LOG_DAMAGED || at.off != EXTENT_A) fail_msg("case %zu: step %d", i, (int)step);
    }
}

/* Of the last commit it must be, and no other. */
static void names_after_another_commit_are_damage(void **state)
{
    (void)state;
    for (uint64_t commit = 9; commit <= 11; commit++) {
        uint8_t file[FILE_LEN] = {0};
        uint64_t off = EXTENT_A;
        names_put(file, &off, commit, FIRST);
        struct log_cursor at = start();
        struct log_commit got;
        struct log_names names;
        assert_int_equal(log_next(file, FILE_LEN, &at, &got, &names),
                         commit == 10 ? LOG_NAMES : LOG_DAMAGED);
        at = start();
        at.end = off + 64; /* no room for a link */
        assert_int_equal(log_next(file, FILE_LEN, &at, &got, &names), LOG_DAMAGED);
    }
}

/* A later version's record: to take the log for ended would let the next writer overwrite it. */
static void records_of_unknown_kinds_are_no_end(void **state)
{
    (void)state;
    static const struct {
        uint16_t kind, version;
        uint64_t commit;
        enum log_step step;
    } cases[] = {
        {4, 1, 10, LOG_UNKNOWN},      {0, 1, 10, LOG_UNKNOWN},     {0x7fff, 9, 10, LOG_UNKNOWN},
        {1, 2, 11, LOG_UNKNOWN},      {3, 2, 10, LOG_UNKNOWN},     {4, 1, 11, LOG_UNKNOWN},
        {0x8000, 0, 10, LOG_PASSED},  {0x8001, 1, 10, LOG_PASSED}, {0xffff, 7, 10, LOG_PASSED},
        {0x8004, 1, 11, LOG_DAMAGED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t file[FILE_LEN] = {0};
        uint64_t off = EXTENT_A;
        names_put(file, &off, 10, FIRST);
        patch(file + EXTENT_A, 4, cases[i].kind, 2);
        patch(file + EXTENT_A, 6, cases[i].version, 2);
        patch(file + EXTENT_A, 16, cases[i].commit, 8);
        uint64_t chain, behind = off;
        memcpy(&chain, file + EXTENT_A + 40, sizeof chain);
        commit_put(file, &behind, 11, chain);
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        enum log_step step = log_next(file, FILE_LEN, &at, &commit, &names);
        if (step != cases[i].step) fail_msg("case %zu: step %d", i, (int)step);
        assert_int_equal(at.off, step == LOG_PASSED ? off : EXTENT_A);
        if (step == LOG_PASSED)
            assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
        if (step != LOG_UNKNOWN) continue;
        struct vdb_error err = {0};
        char words[64];
        assert_int_equal(log_unknown(file, &at, &err), VDB_UNSUPPORTED);
        assert_int_equal(log_unknown(file, &at, NULL), VDB_UNSUPPORTED);
        snprintf(words, sizeof words, "kind %u version %u", cases[i].kind, cases[i].version);
        assert_non_null(strstr(err.message, words));
        assert_int_equal(err.offset, EXTENT_A);
    }
}

static void changes_that_are_none(void **state)
{
    (void)state;
    enum { NAME = 64 + 58, NAME_LEN = 64 + 56 };
    static const struct {
        uint32_t index;
        size_t at, width;
        uint64_t value;
        bool is_one;
    } cases[] = {
        {0, 0, 2, DISK_NAME_REMOVE, true},
        {0, 0, 2, 0, false},
        {0, 0, 2, 4, false},
        {0, 0, 2, DISK_NAME_RECEIVED, false}, /* with a name */
        {2, 0, 2, DISK_NAME_CREATE, false},   /* without one */
        {2, 0, 2, DISK_NAME_REMOVE, false},
        {0, NAME_LEN, 2, 0, false},
        {0, NAME_LEN, 2, 5, true},
        {0, NAME_LEN, 2, 7, false}, /* a name that goes on with a zero */
        {0, NAME_LEN, 2, 199, false},
        {0, NAME_LEN, 2, 0xffff, false},
        {0, NAME, 1, '\n', false},
        {0, NAME, 1, 0x7f, false},
        {0, NAME, 2, 0x85c2, false}, /* U+0085 */
        {0, NAME, 2, 0xa9c3, true},  /* U+00E9 */
        {0, NAME, 1, 0xc3, false},   /* half of that */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t file[FILE_LEN] = {0};
        uint64_t off = EXTENT_A;
        names_put(file, &off, 10, FIRST);
        size_t change_at = HEAD + 64 + cases[i].index * CHANGE;
        patch(file + EXTENT_A, change_at + cases[i].at, cases[i].value, cases[i].width);
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        struct log_name_change change;
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_NAMES);
        if (log_name_change(file, &names, cases[i].index, &change) != cases[i].is_one)
            fail_msg("case %zu", i);
    }
}

/* The longest name there can be. */
static void a_name_of_198_bytes(void **state)
{
    (void)state;
    static uint8_t file[FILE_LEN];
    struct log_name_change put = named(DISK_NAME_CREATE, ""), got;
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    struct buf record = {0};
    memset(put.snapshot.name, 'n', 198);
    put.snapshot.name_len = 198;
    assert_int_equal(log_encode_names(&at, 9, 1, &record, NULL), VDB_OK);
    assert_int_equal(log_encode_name(&put, &record, NULL), VDB_OK);
    log_seal(&record, 0);
    memcpy(file + EXTENT_A, record.data, record.len);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_NAMES);
    assert_true(log_name_change(file, &names, 0, &got));
    assert_int_equal(got.snapshot.name_len, 198);
    assert_memory_equal(got.snapshot.name, put.snapshot.name, 198);
    buf_release(&record);
}

/* A record of an older, longer chain behind the end is whole, but follows another. */
static void a_stale_record_behind_is_not_taken(void **state)
{
    (void)state;
    uint8_t file[FILE_LEN] = {0};
    uint64_t off = EXTENT_A, check = FIRST;
    for (uint64_t n = 11; n <= 13; n++) check = commit_put(file, &off, n, check);
    uint64_t again = EXTENT_A, stale = EXTENT_A + HEAD + BODY + 64;
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    at.check = FIRST + 1;
    check = commit_put(file, &again, 11, FIRST + 1); /* another history of the same length */
    assert_int_equal(again, stale);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_ENDS);
    assert_int_equal(at.off, stale);
    assert_int_equal(at.check, check);
}

static enum log_step step_of(size_t at, size_t width, uint64_t value)
{
    uint8_t file[FILE_LEN] = {0};
    uint64_t off = EXTENT_A;
    commit_put(file, &off, 11, FIRST);
    patch(file + EXTENT_A, at, value, width);
    struct log_cursor cursor = start();
    struct log_commit commit;
    struct log_names names;
    enum log_step step = log_next(file, FILE_LEN, &cursor, &commit, &names);
    assert_int_equal(cursor.off, EXTENT_A);
    return step;
}

static void what_is_no_record_of_the_chain_is_the_end(void **state)
{
    (void)state;
    static const struct {
        size_t at, width;
        uint64_t value;
    } cases[] = {
        {0, 1, 'v'},
        {8, 8, 0},
        {8, 8, HEAD + BODY + 63},
        {8, 8, EXTENT_B - EXTENT_A + 64},
        {8, 8, (uint64_t)-64},
        {32, 8, FIRST + 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (step_of(cases[i].at, cases[i].width, cases[i].value) != LOG_ENDS)
            fail_msg("case %zu is taken", i);
}

/* Chain and check are right: no crash leaves that behind. */
static void a_record_of_the_chain_out_of_turn_is_damage(void **state)
{
    (void)state;
    static const struct {
        size_t at, width;
        uint64_t value;
    } cases[] = {
        {4, 2, DISK_RECORD_NAMES},        /* of a commit that is still to come */
        {8, 8, HEAD},                     /* no room for its body */
        {8, 8, EXTENT_B - EXTENT_A - 64}, /* no room for a link behind it */
        {16, 8, 10},
        {16, 8, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (step_of(cases[i].at, cases[i].width, cases[i].value) != LOG_DAMAGED)
            fail_msg("case %zu is no damage", i);
}

/* A whole record of the chain that names what is not in the file: the file was cut or lies. */
static void blocks_outside_the_file_are_damage(void **state)
{
    (void)state;
    static const struct {
        size_t at, width;
        uint64_t value;
    } cases[] = {
        {HEAD + 88, 8, FILE_LEN},     /* events.off */
        {HEAD + 88, 8, (uint64_t)-8}, /* wraps */
        {HEAD + 88, 8, EXTENT_A + 1}, /* not aligned */
        {HEAD + 96, 8, 16},           /* events.len and event_count disagree */
        {HEAD + 12, 4, 2},            /* likewise */
        {HEAD + 12, 4, 0x20000001},   /* 8 times that is 8 in 32 bits */
        {HEAD + 4, 4, 1},             /* a row without a vector */
        {HEAD + 24, 8, 64},           /* a vector without a row */
        {HEAD + 4, 4, 0xfffffffa},    /* the rows go beyond the last number (stride 0) */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t file[FILE_LEN] = {0};
        uint64_t off = EXTENT_A;
        commit_put(file, &off, 11, FIRST);
        if (i == 6) patch(file + EXTENT_A, HEAD + 112, 64, 4); /* stride */
        patch(file + EXTENT_A, cases[i].at, cases[i].value, cases[i].width);
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        enum log_step step = log_next(file, FILE_LEN, &at, &commit, &names);
        if (step != LOG_DAMAGED || at.off != EXTENT_A) fail_msg("case %zu: step %d", i, (int)step);
    }
}

static void links_lead_to_the_next_extent(void **state)
{
    (void)state;
    uint8_t file[FILE_LEN] = {0};
    uint64_t off = EXTENT_A, check = commit_put(file, &off, 11, FIRST), next = EXTENT_B;
    check = link_put(file, off, 11, check, EXTENT_B, 4096);
    commit_put(file, &next, 12, check);
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_LINKED);
    assert_int_equal(at.off, EXTENT_B);
    assert_int_equal(at.end, EXTENT_B + 4096);
    assert_int_equal(at.check, check);
    assert_int_equal(at.commit, 11);
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_COMMIT);
    assert_int_equal(commit.commit, 12);
}

static void links_to_nowhere_are_damage(void **state)
{
    (void)state;
    static const uint64_t cases[][2] = {
        {FILE_LEN, 64}, {EXTENT_B, FILE_LEN}, {EXTENT_B + 1, 4096},     {EXTENT_A, 4096},
        {0, 4096},      {(uint64_t)-64, 128}, {EXTENT_B, (uint64_t)-1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t file[FILE_LEN] = {0};
        link_put(file, EXTENT_A, 10, FIRST, cases[i][0], cases[i][1]);
        struct log_cursor at = start();
        struct log_commit commit;
        struct log_names names;
        if (log_next(file, FILE_LEN, &at, &commit, &names) != LOG_DAMAGED) fail_msg("case %zu", i);
        assert_int_equal(at.off, EXTENT_A);
    }
}

/* Cursors come from a superblock, which may lie. */
static void a_cursor_outside_the_file_is_the_end(void **state)
{
    (void)state;
    static const uint64_t cases[][2] = {
        {FILE_LEN, FILE_LEN + 64}, {FILE_LEN - 32, FILE_LEN}, {(uint64_t)-64, (uint64_t)-1},
        {EXTENT_A + 1, EXTENT_B},  {EXTENT_B, EXTENT_A},
    };
    uint8_t file[FILE_LEN] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_cursor at = {cases[i][0], cases[i][1], FIRST, 10};
        struct log_commit commit;
        struct log_names names;
        assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_ENDS);
    }
}

/* A commit must end within its extent and leave room for a link, whatever lies behind. */
static void a_record_does_not_leave_its_extent(void **state)
{
    (void)state;
    uint8_t file[FILE_LEN] = {0};
    uint64_t off = EXTENT_A;
    commit_put(file, &off, 11, FIRST);
    struct log_cursor at = start();
    struct log_commit commit;
    struct log_names names;
    at.end = off - 64;
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_ENDS);
    at.end = off + 64;
    assert_int_equal(log_next(file, FILE_LEN, &at, &commit, &names), LOG_DAMAGED);
    at.end = off + 128;
    assert_int_equal(log_next(file, off - 1, &at, &commit, &names), LOG_ENDS);
    assert_int_equal(log_next(file, off, &at, &commit, &names), LOG_COMMIT);
}

static void take_names(const uint8_t *p, const struct log_names *names)
{
    struct log_name_change change;
    for (uint32_t i = 0; i < names->count; i++)
        if (log_name_change(p, names, i, &change))
            assert_in_range(change.snapshot.name_len, 0, VDB_NAME_MAX);
}

static void walk_any(const uint8_t *p, size_t len, void *context)
{
    struct log_cursor at = {0, len, FIRST, 10};
    struct log_commit commit;
    struct log_names names;
    unsigned steps = 0;
    (void)context;
    enum log_step step;
    do {
        step = log_next(p, len, &at, &commit, &names);
        if (step == LOG_COMMIT) take_names(p, &commit.names);
        if (step == LOG_NAMES) take_names(p, &names);
        assert_true(++steps < 1000);
    } while (log_went_on(step));
}

static void walk_sealed(const uint8_t *p, size_t len, void *context)
{
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, p, len);
    patch_within(copy, len, 6, 1, 2);
    walk_any(copy, len, context);
    free(copy);
}

static void hostile_bytes(void **state)
{
    (void)state;
    uint8_t file[1024] = {0};
    uint64_t off = 0;
    uint64_t check = commit_put(file, &off, 11, FIRST);
    check = commit_put(file, &off, 12, check);
    link_put(file, off, 12, check, 832, 192);
    hostile_truncations(file, sizeof file, walk_any, NULL);
    hostile_flips(file, sizeof file, 20000, walk_any, NULL);
    hostile_flips(file, sizeof file, 50000, walk_sealed, NULL);
    uint8_t named_file[2048] = {0};
    off = 0;
    check = names_put(named_file, &off, 10, FIRST);
    commit_put(named_file, &off, 11, check);
    hostile_truncations(named_file, sizeof named_file, walk_any, NULL);
    hostile_flips(named_file, sizeof named_file, 50000, walk_sealed, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_followed_to_its_end),
        cmocka_unit_test(a_torn_record_is_the_end),
        cmocka_unit_test(names_between_commits),
        cmocka_unit_test(names_of_a_commit),
        cmocka_unit_test(blocks_in_the_rest_of_the_extent),
        cmocka_unit_test(counts_that_are_not_the_records_are_damage),
        cmocka_unit_test(names_after_another_commit_are_damage),
        cmocka_unit_test(records_of_unknown_kinds_are_no_end),
        cmocka_unit_test(changes_that_are_none),
        cmocka_unit_test(a_name_of_198_bytes),
        cmocka_unit_test(a_stale_record_behind_is_not_taken),
        cmocka_unit_test(what_is_no_record_of_the_chain_is_the_end),
        cmocka_unit_test(a_record_of_the_chain_out_of_turn_is_damage),
        cmocka_unit_test(blocks_outside_the_file_are_damage),
        cmocka_unit_test(links_lead_to_the_next_extent),
        cmocka_unit_test(links_to_nowhere_are_damage),
        cmocka_unit_test(a_cursor_outside_the_file_is_the_end),
        cmocka_unit_test(a_record_does_not_leave_its_extent),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
