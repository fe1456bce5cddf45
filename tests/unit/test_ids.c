/* test_ids.c: id segments give back the ids put in, and bytes that are none are refused.
 *
 * The bytes of three rows are those of the worked example of format-spec/ids.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "format/ids.h"
#include "hostile.h"

static const uint8_t EXAMPLE[] = {
    3,    0, 0,   0,   0,   0,    0,   0,   0x40, 0,   0,   0,   0,   0,    0,  0, 0x48, 0, 0,
    0,    0, 0,   0,   0,   0x4e, 0,   0,   0,    0,   0,   0,   0,   0x0d, 0,  0, 0,    0, 0,
    0,    0, 0,   0,   0,   0,    0,   0,   0,    0,   0,   0,   0,   0,    0,  0, 0,    0, 0,
    0,    0, 0,   0,   0,   0,    0,   0,   0,    0,   0,   0,   0,   0,    0,  5, 0,    9, 0,
    0x0d, 0, 'a', 'p', 'p', 'l',  'e', 'p', 'e',  'a', 'r', 'p', 'l', 'u',  'm'};

/* Ids of all lengths: row r has r % 1023 + 1 bytes, and begins with its number where that fits. */
static size_t make_id(uint32_t row, char *id)
{
    size_t len = row % VDB_ID_MAX + 1;
    char number[16];
    snprintf(number, sizeof number, "%u.", row);
    for (size_t i = 0; i < len; i++) id[i] = i < strlen(number) ? number[i] : 'x';
    return len;
}

static void build(uint32_t rows, struct buf *to)
{
    struct ids_builder b = {0};
    char id[VDB_ID_MAX];
    for (uint32_t row = 0; row < rows; row++)
        assert_int_equal(ids_builder_add(&b, id, make_id(row, id), NULL), VDB_OK);
    assert_int_equal(b.rows, rows);
    assert_int_equal(ids_builder_finish(&b, to, NULL), VDB_OK);
    ids_builder_release(&b);
}

static void example_of_the_spec(void **state)
{
    (void)state;
    struct ids_builder b = {0};
    struct buf buf = {0};
    assert_int_equal(ids_builder_add(&b, "apple", 5, NULL), VDB_OK);
    assert_int_equal(ids_builder_add(&b, "pear", 4, NULL), VDB_OK);
    assert_int_equal(ids_builder_add(&b, "plum", 4, NULL), VDB_OK);
    assert_int_equal(buf_append(&buf, "before", 6), 0);
    assert_int_equal(ids_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(buf.len, 6 + sizeof EXAMPLE);
    assert_memory_equal(buf.data + 6, EXAMPLE, sizeof EXAMPLE);
    buf_release(&buf);
    ids_builder_release(&b);
}

static void round_trip(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 63, 64, 65, 127, 128, 129, 3000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct buf buf = {0};
        struct ids_view view;
        build(counts[c], &buf);
        assert_int_equal(ids_view_init(&view, buf.data, buf.len, counts[c], 0, NULL), VDB_OK);
        assert_int_equal(ids_validate(&view, NULL), VDB_OK);
        for (uint32_t row = 0; row < counts[c]; row++) {
            char expected[VDB_ID_MAX];
            const char *id;
            size_t len, expected_len = make_id(row, expected);
            assert_int_equal(ids_get(&view, row, &id, &len, NULL), VDB_OK);
            assert_int_equal(len, expected_len);
            assert_memory_equal(id, expected, len);
        }
        const char *id;
        size_t len;
        assert_int_equal(ids_get(&view, counts[c], &id, &len, NULL), VDB_NOT_FOUND);
        assert_int_equal(ids_get(&view, UINT32_MAX, &id, &len, NULL), VDB_NOT_FOUND);
        buf_release(&buf);
    }
}

/* A group of 64 ids of the greatest length is what just fits the 16 bits of its ends. */
static void longest_group(void **state)
{
    (void)state;
    struct ids_builder b = {0};
    struct buf buf = {0};
    struct ids_view view;
    char id[VDB_ID_MAX];
    for (int row = 0; row < 65; row++) {
        memset(id, '0' + row, sizeof id);
        assert_int_equal(ids_builder_add(&b, id, sizeof id, NULL), VDB_OK);
    }
    assert_int_equal(ids_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(ids_view_init(&view, buf.data, buf.len, 65, 0, NULL), VDB_OK);
    for (uint32_t row = 0; row < 65; row++) {
        const char *got;
        size_t len;
        memset(id, '0' + (int)row, sizeof id);
        assert_int_equal(ids_get(&view, row, &got, &len, NULL), VDB_OK);
        assert_int_equal(len, sizeof id);
        assert_memory_equal(got, id, len);
    }
    buf_release(&buf);
    ids_builder_release(&b);
}

static void builder_refuses(void **state)
{
    (void)state;
    struct ids_builder b = {0};
    char id[VDB_ID_MAX + 1] = {'a'};
    assert_int_equal(ids_builder_add(&b, id, 0, NULL), VDB_INVALID);
    assert_int_equal(ids_builder_add(&b, id, sizeof id, NULL), VDB_INVALID);
    assert_int_equal(b.rows, 0);
    b.rows = 0xffffffff;
    assert_int_equal(ids_builder_add(&b, id, 1, NULL), VDB_LIMIT);
    ids_builder_release(&b);
}

/* One byte of the example changed: who finds it, and where it is said to be. */
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
        {0, 4, INIT, 0},       /* row_count */
        {8, 0x41, INIT, 8},    /* bases not aligned */
        {8, 0x58, INIT, 8},    /* bases beyond the end */
        {15, 0x80, INIT, 8},   /* an offset near 2^63 */
        {16, 0x49, INIT, 16},  /* ends not aligned */
        {16, 0x56, INIT, 16},  /* ends beyond the end */
        {24, 0x4f, INIT, 24},  /* bytes beyond the end */
        {32, 0x0e, INIT, 24},  /* more bytes than there are */
        {39, 0xff, INIT, 24},  /* and far more */
        {64, 1, VALIDATE, 72}, /* a base too high */
        {71, 0x80, VALIDATE, 72},
        {72, 0, VALIDATE, 72},         /* an empty id */
        {74, 4, VALIDATE, 74},         /* ends before it begins */
        {76, 0x0e, VALIDATE, 76},      /* ends behind the bytes */
        {76, 0x0c, VALIDATE, 78 + 12}, /* a byte that is of no id */
        {78, 0x1b, VALIDATE, 78},      /* a control character */
        {83, 0xff, VALIDATE, 83},      /* not UTF-8 */
        {24, 0x4d, VALIDATE, 77},      /* bytes that begin within the ends */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof EXAMPLE];
        memcpy(bytes, EXAMPLE, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        struct ids_view view;
        struct vdb_error err = {0};
        enum vdb_status status = ids_view_init(&view, bytes, sizeof bytes, 3, 1000, &err);
        if (cases[i].found_by == INIT) {
            assert_int_equal(status, VDB_CORRUPT);
        } else {
            assert_int_equal(status, VDB_OK);
            assert_int_equal(ids_validate(&view, &err), VDB_CORRUPT);
        }
        assert_string_equal(err.segment, "id");
        assert_int_equal(err.offset, 1000 + cases[i].offset);
    }
}

static void read_all(const uint8_t *p, size_t len, void *context)
{
    struct ids_view view;
    uint32_t rows = *(uint32_t *)context;
    if (ids_view_init(&view, p, len, rows, 0, NULL) != VDB_OK) return;
    for (uint32_t row = 0; row < rows; row++) {
        const char *id;
        size_t n;
        if (ids_get(&view, row, &id, &n, NULL) != VDB_OK) continue;
        assert_in_range(n, 1, VDB_ID_MAX);
        assert_true((const uint8_t *)id >= p && (const uint8_t *)id + n <= p + len);
    }
    (void)ids_validate(&view, NULL);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    struct ids_view view;
    assert_int_equal(ids_view_init(&view, p, len, *(uint32_t *)context, 0, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    uint32_t rows = 70;
    struct buf buf = {0};
    build(rows, &buf);
    hostile_truncations(buf.data, buf.len, must_fail, &rows);
    hostile_flips(buf.data, buf.len, 5000, read_all, &rows);
    hostile_flips(buf.data, 250, 5000, read_all, &rows);
    rows = 3;
    hostile_flips(EXAMPLE, sizeof EXAMPLE, 5000, read_all, &rows);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_spec), cmocka_unit_test(round_trip),
        cmocka_unit_test(longest_group),       cmocka_unit_test(builder_refuses),
        cmocka_unit_test(damage_is_named),     cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
