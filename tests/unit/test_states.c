/* test_states.c: states segments: the bytes of the spec, and what is refused.
 *
 * Holds promises 4 and 8: no input makes a reader read outside of it; the spec and the code do not
 * drift apart.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/le.h"
#include "format/disk.h"
#include "format/states.h"
#include "hostile.h"

/* Three states, with 2, 0 and 1 flips. */
static const struct state_entry STATES[] = {
    {3, 1000, 2000, 4, 3}, {4, 2000, 2000, 5, 5}, {9, 5000, 7000, 6, 5}};
static const uint32_t FLIPS[] = {1, 3, 4};

/* By the tables of the page, byte by byte. */
static const uint8_t EXAMPLE[] =
    {
        3,    0, 0,    0,    0,    0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, /* states, flips */
        64,   0, 0,    0,    0,    0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, /* where they lie */
        0,    0, 0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,
        0,    0, 0,    0,    0,    0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0,    0,    0xe8, 3, 0, 0,
        0,    0, 0,    0,                                           /* commit, its time */
        0xd0, 7, 0,    0,    0,    0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, /* until; rows, live */
        2,    0, 0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,
        0,    0, 0,    0,    0,    0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0,    0,    0xd0, 7, 0, 0,
        0,    0, 0,    0,    0xd0, 7, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5,    0,    0,    0, 2, 0,
        0,    0, 0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,
        0,    0, 0,    0,    0,    0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x13, 0,    0, 0, 0,
        0,    0, 0x58, 0x1b, 0,    0, 0, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0,    0,    3,    0, 0, 0,
        0,    0, 0,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,    0, 0, 0,
        0,    0, 0,    0,    0,    0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0,    0};

static void build(struct buf *to)
{
    struct states_builder b = {0};
    assert_int_equal(states_builder_add(&b, &STATES[0], FLIPS, 2, NULL), VDB_OK);
    assert_int_equal(states_builder_add(&b, &STATES[1], NULL, 0, NULL), VDB_OK);
    assert_int_equal(states_builder_add(&b, &STATES[2], FLIPS + 2, 1, NULL), VDB_OK);
    assert_int_equal(states_builder_finish(&b, to, NULL), VDB_OK);
    states_builder_release(&b);
}

static void written_as_the_tables_say(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_int_equal(buf_append(&buf, "before", 6), 0);
    build(&buf);
    assert_int_equal(buf.len, 6 + sizeof EXAMPLE);
    assert_memory_equal(buf.data + 6, EXAMPLE, sizeof EXAMPLE);
    buf_release(&buf);
}

static void read_as_the_tables_say(void **state)
{
    (void)state;
    struct states_view view;
    uint32_t count, first = 0;
    assert_int_equal(states_view_init(&view, EXAMPLE, sizeof EXAMPLE, 0, NULL), VDB_OK);
    assert_int_equal(states_validate(&view, NULL), VDB_OK);
    assert_int_equal(view.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct state_entry got = states_at(&view, i);
        assert_int_equal(got.commit, STATES[i].commit);
        assert_int_equal(got.time_us, STATES[i].time_us);
        assert_int_equal(got.until_us, STATES[i].until_us);
        assert_int_equal(got.row_count, STATES[i].row_count);
        assert_int_equal(got.live_count, STATES[i].live_count);
        const uint8_t *flips = states_flips(&view, i, &count);
        assert_int_equal(count, i == 0 ? 2 : i == 1 ? 0 : 1);
        for (uint32_t j = 0; j < count; j++)
            assert_int_equal(le32_at(flips + 4 * (size_t)j), FLIPS[first + j]);
        first += count;
    }
}

static void found_by_commit(void **state)
{
    (void)state;
    static const uint32_t expected[] = {0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3};
    struct states_view view;
    assert_int_equal(states_view_init(&view, EXAMPLE, sizeof EXAMPLE, 0, NULL), VDB_OK);
    for (uint64_t commit = 0; commit < 12; commit++)
        assert_int_equal(states_from(&view, commit), expected[commit]);
    assert_int_equal(states_from(&view, UINT64_MAX), 3);
}

static void builder_refuses(void **state)
{
    (void)state;
    static const uint32_t falling[] = {3, 1}, twice[] = {1, 1}, beyond[] = {1, 4};
    static const struct state_entry wrong[] = {
        {0, 1000, 2000, 4, 3},
        {3, 2001, 2000, 4, 3},
        {3, 1000, 2000, 4, 5},
        {3, 1000, 2000, ~0u, 3},
    };
    static const struct state_entry behind[] = {
        {3, 2000, 2000, 5, 5}, {2, 2000, 2000, 5, 5}, {4, 1999, 2000, 5, 5},
        {4, 2001, 2001, 5, 5}, {5, 1999, 2000, 5, 5}, {4, 2000, 2000, 3, 3},
    };
    struct states_builder b = {0};
    struct buf buf = {0};
    assert_int_equal(states_builder_finish(&b, &buf, NULL), VDB_INVALID);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(states_builder_add(&b, &wrong[i], NULL, 0, NULL), VDB_INVALID);
    assert_int_equal(states_builder_add(&b, &wrong[0], FLIPS, 2, NULL), VDB_INVALID);
    assert_int_equal(states_builder_add(&b, &STATES[0], falling, 2, NULL), VDB_INVALID);
    assert_int_equal(states_builder_add(&b, &STATES[0], twice, 2, NULL), VDB_INVALID);
    assert_int_equal(states_builder_add(&b, &STATES[0], beyond, 2, NULL), VDB_INVALID);
    assert_int_equal(b.count, 0);
    assert_int_equal(states_builder_add(&b, &STATES[0], FLIPS, 2, NULL), VDB_OK);
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++)
        assert_int_equal(states_builder_add(&b, &behind[i], NULL, 0, NULL), VDB_INVALID);
    assert_int_equal(states_builder_add(&b, &STATES[1], NULL, 0, NULL), VDB_OK);
    assert_int_equal(states_builder_add(&b, &STATES[2], FLIPS + 2, 1, NULL), VDB_OK);
    assert_int_equal(states_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_memory_equal(buf.data, EXAMPLE, sizeof EXAMPLE);
    states_builder_release(&b);
    buf_release(&buf);
}

static void damage_is_named(void **state)
{
    (void)state;
    enum { INIT, VALIDATE };
    static const struct {
        size_t at;
        uint8_t value;
        int found_by;
        uint64_t offset;
    } cases[] = {
        {0, 0, INIT, 0},         /* no state */
        {0, 4, INIT, 0},         /* one more than there is room for */
        {3, 1, INIT, 0},         /* states beyond the end */
        {15, 0x40, INIT, 0},     /* more flips than 64 bits count the bytes of */
        {8, 4, INIT, 0},         /* flips beyond the end */
        {8, 2, INIT, 192},       /* less of them than states have */
        {16, 0, INIT, 0},        /* states within the header */
        {16, 65, INIT, 0},       /* states anywhere */
        {25, 0, INIT, 0},        /* flips within the header */
        {24, 4, INIT, 0},        /* flips anywhere */
        {31, 0xff, INIT, 0},     /* flips nowhere */
        {64, 0, INIT, 64},       /* commit 0 */
        {73, 8, INIT, 64},       /* a time after the end */
        {88, 2, INIT, 64},       /* fewer rows than live ones */
        {91, 0xff, INIT, 128},   /* more rows than the next state has */
        {96, 5, INIT, 64},       /* more flips than rows */
        {128, 3, INIT, 128},     /* a commit twice */
        {136, 0xd1, INIT, 128},  /* begins after the one before ends */
        {136, 0xcf, INIT, 128},  /* and before */
        {160, 1, INIT, 128},     /* flips that fall */
        {201, 7, INIT, 192},     /* a time before the end of the state before */
        {224, 4, INIT, 192},     /* more flips than there are */
        {256, 3, VALIDATE, 260}, /* flips that do not rise */
        {256, 4, VALIDATE, 256}, /* no row of that state */
        {260, 0, VALIDATE, 260}, {264, 6, VALIDATE, 264}, {267, 0x80, VALIDATE, 264},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof EXAMPLE];
        memcpy(bytes, EXAMPLE, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        struct states_view view;
        struct vdb_error err = {0};
        enum vdb_status status = states_view_init(&view, bytes, sizeof bytes, 1000, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = states_validate(&view, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 1000 + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
        assert_string_equal(err.segment, "states");
    }
}

/* What takes more than one byte: flips enough for one state to have more than rows, and more of
 * them than the states have. */
static void flips_that_are_too_many(void **state)
{
    (void)state;
    uint8_t bytes[sizeof EXAMPLE + 4] = {0};
    struct states_view view;
    struct vdb_error err = {0};
    memcpy(bytes, EXAMPLE, sizeof EXAMPLE);
    bytes[8] = 4;
    assert_int_equal(states_view_init(&view, bytes, sizeof bytes, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1000);
    bytes[8] = 3;
    assert_int_equal(states_view_init(&view, bytes, sizeof bytes, 1000, &err), VDB_OK);
    bytes[88] = 1; /* row_count, with live_count behind it */
    bytes[92] = 1;
    assert_int_equal(states_view_init(&view, bytes, sizeof bytes, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1064);
}

/* All that a reader does with what passes. */
static void read_all(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct states_view view;
    uint64_t sum = 0;
    if (states_view_init(&view, p, len, 0, NULL) != VDB_OK) return;
    for (uint32_t i = 0; i < view.count; i++) {
        uint32_t count;
        const uint8_t *flips = states_flips(&view, i, &count);
        for (uint32_t j = 0; j < count; j++) sum += le32_at(flips + 4 * (size_t)j);
        assert_int_equal(states_from(&view, states_at(&view, i).commit), i);
    }
    (void)states_validate(&view, NULL);
    assert_true(sum < UINT64_MAX);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct states_view view;
    assert_int_equal(states_view_init(&view, p, len, 0, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    hostile_truncations(EXAMPLE, sizeof EXAMPLE, must_fail, NULL);
    hostile_flips(EXAMPLE, sizeof EXAMPLE, 20000, read_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_as_the_tables_say), cmocka_unit_test(read_as_the_tables_say),
        cmocka_unit_test(found_by_commit),           cmocka_unit_test(builder_refuses),
        cmocka_unit_test(damage_is_named),           cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(flips_that_are_too_many),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
