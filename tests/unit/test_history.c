/* test_history.c: history segments give back the changes put in, in their order.
 *
 * The bytes of five changes are those of the worked example of format-spec/history.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "format/history.h"
#include "hostile.h"

static const uint8_t EXAMPLE[] = {
    2,    0,    0,    0,    0,    0,    0,    0,    4,    0,    0,    0,    0,    0,    0,    0,
    7,    0,    0,    0,    0,    0,    0,    0,    1,    0,    0,    0,    0,    0,    0,    0,
    0x40, 0,    0,    0,    0,    0,    0,    0,    0x58, 0,    0,    0,    0,    0,    0,    0,
    0xc3, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0xc3, 0,    0,    0,    0xc3, 0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    2,    0,    0,    0,    0,    0,    0,    0,
    0,    0x9a, 0xd9, 0xee, 0x5e, 0x47, 6,    0,    1,    0,    5,    0,    0,    0,    0,    0,
    0x61, 0x70, 0x70, 0x6c, 0x65, 2,    0,    0,    0,    0,    0,    0,    0,    0,    0x9a, 0xd9,
    0xee, 0x5e, 0x47, 6,    0,    1,    0,    4,    0,    0,    0,    0,    0,    0x70, 0x65, 0x61,
    0x72, 2,    0,    0,    0,    0,    0,    0,    0,    0,    0x9a, 0xd9, 0xee, 0x5e, 0x47, 6,
    0,    1,    0,    4,    0,    0,    0,    0,    0,    0x70, 0x6c, 0x75, 0x6d, 2,    0,    0,
    0,    0,    0,    0,    0,    0,    0x9a, 0xd9, 0xee, 0x5e, 0x47, 6,    0,    1,    0,    3,
    0,    0,    0,    0,    0,    0x66, 0x69, 0x67, 3,    0,    0,    0,    0,    0,    0,    0,
    0,    0x21, 0x6d, 0xf2, 0x5e, 0x47, 6,    0,    3,    0,    3,    0,    0,    0,    0,    0,
    0x66, 0x69, 0x67, 3,    0,    0,    0,    0,    0,    0,    0,    0,    0x21, 0x6d, 0xf2, 0x5e,
    0x47, 6,    0,    3,    0,    4,    0,    0,    0,    0,    0,    0x70, 0x65, 0x61, 0x72, 4,
    0,    0,    0,    0,    0,    0,    0,    0,    0xa8, 0,    0xf6, 0x5e, 0x47, 6,    0,    4,
    0,    4,    0,    0,    0,    0,    0,    0x70, 0x65, 0x61, 0x72};

#define SECOND 0x0006475eeed99a00
#define THIRD  0x0006475ef26d2100
#define FOURTH 0x0006475ef600a800

static const struct history_entry CHANGES[] = {
    {2, SECOND, DISK_OPERATION_ADD, "apple", 5},    {2, SECOND, DISK_OPERATION_ADD, "pear", 4},
    {2, SECOND, DISK_OPERATION_ADD, "plum", 4},     {2, SECOND, DISK_OPERATION_ADD, "fig", 3},
    {3, THIRD, DISK_OPERATION_DELETE, "fig", 3},    {3, THIRD, DISK_OPERATION_DELETE, "pear", 4},
    {4, FOURTH, DISK_OPERATION_RESTORE, "pear", 4},
};

/* Change i of a long history: three to a commit, times before 1970 among them. */
static struct history_entry make(uint32_t i, char id[32])
{
    struct history_entry entry = {.commit = 10 + i / 3,
                                  .time_us = (int64_t)i * 1000 - 5000000,
                                  .operation = (uint16_t)(1 + i % 4),
                                  .id = id};
    entry.id_len = (size_t)snprintf(id, 32, "id-%u", i * 2654435761u);
    return entry;
}

static void build(uint32_t count, struct buf *to)
{
    struct history_builder b = {0};
    for (uint32_t i = 0; i < count; i++) {
        char id[32];
        struct history_entry entry = make(i, id);
        assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_OK);
    }
    assert_int_equal(history_builder_finish(&b, 1, 10 + count / 3, to, NULL), VDB_OK);
    history_builder_release(&b);
}

static void same(const struct history_entry *a, const struct history_entry *b)
{
    assert_int_equal(a->commit, b->commit);
    assert_int_equal(a->time_us, b->time_us);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->id_len, b->id_len);
    assert_memory_equal(a->id, b->id, a->id_len);
}

static void example_of_the_spec(void **state)
{
    (void)state;
    struct history_view view;
    struct history_iter iter;
    struct history_entry entry;
    assert_int_equal(history_view_init(&view, EXAMPLE, sizeof EXAMPLE, 0, NULL), VDB_OK);
    assert_int_equal(view.first_commit, 2);
    assert_int_equal(view.last_commit, 4);
    assert_int_equal(view.entries, 7);
    assert_int_equal(history_validate(&view, NULL), VDB_OK);
    history_iter_init(&iter, &view);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(history_next(&iter, &entry, NULL), VDB_OK);
        same(&entry, &CHANGES[i]);
    }
    assert_int_equal(history_next(&iter, &entry, NULL), VDB_NOT_FOUND);
    assert_int_equal(history_next(&iter, &entry, NULL), VDB_NOT_FOUND);
    history_iter_release(&iter);
}

/* LZ4 may pack the example's block, which is stored there; unpacked it is the same. */
static void example_written(void **state)
{
    (void)state;
    struct history_builder b = {0};
    struct buf buf = {0};
    struct history_view view;
    struct packed_block block = {0};
    for (int i = 0; i < 7; i++)
        assert_int_equal(history_builder_add(&b, &CHANGES[i], NULL), VDB_OK);
    assert_int_equal(buf_append(&buf, "before", 6), 0);
    assert_int_equal(history_builder_finish(&b, 2, 4, &buf, NULL), VDB_OK);
    assert_memory_equal(buf.data + 6, EXAMPLE, 48); /* the header up to data_len */
    assert_int_equal(history_view_init(&view, buf.data + 6, buf.len - 6, 0, NULL), VDB_OK);
    assert_int_equal(packed_read(&view.packed, 0, &block, NULL), VDB_OK);
    assert_int_equal(block.first, 0);
    assert_int_equal(block.count, 7);
    assert_int_equal(block.raw.len, sizeof EXAMPLE - 88);
    assert_memory_equal(block.raw.data, EXAMPLE + 88, block.raw.len);
    packed_block_release(&block);
    history_builder_release(&b);
    buf_release(&buf);
}

static void round_trip(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 100, 20000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct buf buf = {0};
        struct history_view view;
        struct history_iter iter;
        struct history_entry entry;
        build(counts[c], &buf);
        assert_int_equal(history_view_init(&view, buf.data, buf.len, 0, NULL), VDB_OK);
        assert_int_equal(view.entries, counts[c]);
        if (counts[c] == 20000) assert_true(view.packed.count > 30);
        assert_int_equal(history_validate(&view, NULL), VDB_OK);
        history_iter_init(&iter, &view);
        for (uint32_t i = 0; i < counts[c]; i++) {
            char id[32];
            struct history_entry expected = make(i, id);
            assert_int_equal(history_next(&iter, &entry, NULL), VDB_OK);
            same(&entry, &expected);
        }
        assert_int_equal(history_next(&iter, &entry, NULL), VDB_NOT_FOUND);
        history_iter_release(&iter);
        buf_release(&buf);
    }
}

/* However often packed blocks are taken from the builder, front and pieces are the same segment. */
static void in_pieces(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct buf whole = {0}, front = {0}, pieces = {0};
    struct history_builder b = {0};
    build(COUNT, &whole);
    for (uint32_t i = 0; i < COUNT; i++) {
        char id[32];
        struct history_entry entry = make(i, id);
        assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_OK);
        if (i % 700 == 0) assert_int_equal(history_builder_take(&b, &pieces, NULL), VDB_OK);
    }
    assert_int_equal(history_builder_front(&b, 1, 10 + COUNT / 3, &front, NULL), VDB_OK);
    assert_true(b.data.len < whole.len / 2);
    assert_int_equal(history_builder_take(&b, &pieces, NULL), VDB_OK);
    assert_int_equal(front.len + pieces.len, whole.len);
    assert_memory_equal(front.data, whole.data, front.len);
    assert_memory_equal(pieces.data, whole.data + front.len, pieces.len);
    history_builder_release(&b);
    buf_release(&whole);
    buf_release(&front);
    buf_release(&pieces);
}

/* Passing over entries ends before the block that holds the one sought, and going on finds it. */
static void passing_over(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct buf buf = {0};
    struct history_view view;
    build(COUNT, &buf);
    assert_int_equal(history_view_init(&view, buf.data, buf.len, 0, NULL), VDB_OK);
    assert_true(view.packed.count > 5);
    for (uint32_t sought = 0; sought <= COUNT; sought += 250) {
        struct history_iter iter;
        struct history_entry entry;
        history_iter_init(&iter, &view);
        uint64_t passed = history_pass(&iter, sought);
        assert_true(passed <= sought && sought - passed < 1000);
        if (sought == COUNT) assert_int_equal(passed, COUNT);
        for (; passed < sought; passed++)
            assert_int_equal(history_next(&iter, &entry, NULL), VDB_OK);
        assert_int_equal(history_pass(&iter, 0), 0);
        if (sought < COUNT) {
            char id[32];
            struct history_entry expected = make(sought, id);
            assert_int_equal(history_next(&iter, &entry, NULL), VDB_OK);
            same(&entry, &expected);
        } else {
            assert_int_equal(history_next(&iter, &entry, NULL), VDB_NOT_FOUND);
        }
        history_iter_release(&iter);
    }
    buf_release(&buf);
}

static void builder_refuses(void **state)
{
    (void)state;
    struct history_builder b = {0};
    struct buf buf = {0};
    struct history_entry entry = CHANGES[4];
    assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_OK);
    entry.commit = 2;
    assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_INVALID);
    entry = CHANGES[4];
    entry.operation = 0;
    assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_INVALID);
    entry.operation = 5;
    assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_INVALID);
    entry = CHANGES[4];
    entry.id_len = 0;
    assert_int_equal(history_builder_add(&b, &entry, NULL), VDB_INVALID);
    assert_int_equal(b.entries, 1);
    assert_int_equal(history_builder_finish(&b, 4, 5, &buf, NULL), VDB_INVALID);
    assert_int_equal(history_builder_finish(&b, 1, 2, &buf, NULL), VDB_INVALID);
    assert_int_equal(history_builder_finish(&b, 3, 2, &buf, NULL), VDB_INVALID);
    assert_int_equal(history_builder_finish(&b, 3, 3, &buf, NULL), VDB_OK);
    history_builder_release(&b);
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
        {0, 5, INIT, 0},        /* commits that end before they begin */
        {24, 0, INIT, 0},       /* entries in no block */
        {16, 0, INIT, 0},       /* blocks without entries */
        {24, 10, INIT, 0},      /* a table beyond the end */
        {48, 0xc4, INIT, 0},    /* data beyond the end */
        {0, 3, VALIDATE, 88},   /* an entry of an earlier commit */
        {8, 2, VALIDATE, 88},   /* and of a later one */
        {16, 6, VALIDATE, 88},  /* a block with more than its entries */
        {16, 8, VALIDATE, 88},  /* and with less */
        {64, 1, VALIDATE, 64},  /* the first block is not the first entry's */
        {68, 1, VALIDATE, 88},  /* not packed, though it says so */
        {88, 3, VALIDATE, 88},  /* commits out of order */
        {104, 0, VALIDATE, 88}, /* operations that are none */
        {104, 5, VALIDATE, 88},    {106, 0, VALIDATE, 88}, /* no id */
        {107, 1, VALIDATE, 88},                            /* an id beyond the block */
        {112, 0x07, VALIDATE, 88},                         /* a control character in an id */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof EXAMPLE];
        memcpy(bytes, EXAMPLE, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        struct history_view view;
        struct vdb_error err = {0};
        enum vdb_status status = history_view_init(&view, bytes, sizeof bytes, 1000, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = history_validate(&view, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 1000 + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
        assert_string_equal(err.segment, "history");
    }
}

/* A block without entries would leave a reader that counts them down from nothing. */
static void empty_block(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct history_view view;
    struct history_iter iter;
    struct history_entry entry;
    struct vdb_error err = {0};
    build(1500, &buf);
    assert_int_equal(history_view_init(&view, buf.data, buf.len, 0, NULL), VDB_OK);
    assert_true(view.packed.count > 1);
    memset(buf.data + 64 + 24, 0, 4); /* the second block, too, begins with entry 0 */
    history_iter_init(&iter, &view);
    assert_int_equal(history_next(&iter, &entry, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 64);
    history_iter_release(&iter);
    buf_release(&buf);
}

/* Without the look at the table first, as a reader of the history goes about it. */
static void read_all(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct history_view view;
    struct history_iter iter;
    struct history_entry entry;
    if (history_view_init(&view, p, len, 0, NULL) != VDB_OK) return;
    history_iter_init(&iter, &view);
    while (history_next(&iter, &entry, NULL) == VDB_OK) assert_in_range(entry.id_len, 1, 1023);
    history_iter_release(&iter);
    (void)history_validate(&view, NULL);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct history_view view;
    assert_int_equal(history_view_init(&view, p, len, 0, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct buf buf = {0};
    build(1500, &buf);
    hostile_truncations(EXAMPLE, sizeof EXAMPLE, must_fail, NULL);
    hostile_flips(EXAMPLE, sizeof EXAMPLE, 20000, read_all, NULL);
    hostile_truncations(buf.data, buf.len, must_fail, NULL);
    hostile_flips(buf.data, buf.len, 1500, read_all, NULL);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_spec), cmocka_unit_test(example_written),
        cmocka_unit_test(round_trip),          cmocka_unit_test(in_pieces),
        cmocka_unit_test(passing_over),        cmocka_unit_test(builder_refuses),
        cmocka_unit_test(damage_is_named),     cmocka_unit_test(empty_block),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
