/* test_metadata.c: metadata segments give back the texts put in, and unpack no more than they may.
 *
 * The bytes of the two examples are those of format-spec/metadata.md; the second was packed by
 * hand, so that it stands for a packer other than ours.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "format/metadata.h"
#include "hostile.h"

static const char YEAR[] = "{\"year\":2021}", TAGS[] = "{\"tags\":[\"b\",\"c\"]}",
                  LANGUAGE[] = "{\"lang\":null}";

/* Header, table and lengths of the stored example; the three texts follow. */
static const uint8_t STORED[100] = {
    [0] = 3,     [4] = 1,     [8] = 0x40,  [16] = 0x58, [24] = 0x38,
    [72] = 0x38, [76] = 0x38, [88] = 0x0d, [92] = 0x12, [96] = 0x0d};

static const uint8_t PACKED[] = {
    2,    0,    0,    0,    1,    0,    0,    0,    0x40, 0,    0,    0,    0,    0,    0,    0,
    0x58, 0,    0,    0,    0,    0,    0,    0,    0x23, 0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    1,    0,    0,    0,    0x30, 0,    0,    0,    0x23, 0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0xff, 0x05, 0,    0,    0,    0,    0x28, 0,
    0,    0,    0x7b, 0x22, 0x6e, 0x6f, 0x74, 0x65, 0x22, 0x3a, 0x22, 0x6c, 0x61, 0x20, 0x03, 0,
    0,    0x90, 0x61, 0x20, 0x6c, 0x61, 0x20, 0x6c, 0x61, 0x22, 0x7d};

/* The text of a row: one row of three has none, and every hundredth is long. */
static char *make_text(uint32_t row, size_t *len)
{
    *len = 0;
    if (row % 3 == 1) return NULL;
    size_t fill = row % 100 == 0 ? 20000 : row % 50;
    char *text = malloc(fill + 64);
    assert_non_null(text);
    size_t n = (size_t)sprintf(text, "{\"row\":%u,\"x\":\"", row);
    uint64_t random = row + 1;
    for (size_t i = 0; i < fill; i++) text[n++] = (char)('a' + hostile_random(&random) % 16);
    memcpy(text + n, "\"}", 3);
    *len = n + 2;
    return text;
}

static void build(uint32_t rows, struct buf *to)
{
    struct metadata_builder b = {0};
    for (uint32_t row = 0; row < rows; row++) {
        size_t len;
        char *text = make_text(row, &len);
        assert_int_equal(metadata_builder_add(&b, text, len, NULL), VDB_OK);
        free(text);
    }
    assert_int_equal(metadata_builder_finish(&b, to, NULL), VDB_OK);
    metadata_builder_release(&b);
}

static void stored_example(void **state)
{
    (void)state;
    struct metadata_builder b = {0};
    struct buf buf = {0}, expected = {0};
    assert_int_equal(metadata_builder_add(&b, YEAR, strlen(YEAR), NULL), VDB_OK);
    assert_int_equal(metadata_builder_add(&b, TAGS, strlen(TAGS), NULL), VDB_OK);
    assert_int_equal(metadata_builder_add(&b, LANGUAGE, strlen(LANGUAGE), NULL), VDB_OK);
    assert_int_equal(buf_append(&buf, "before", 6), 0);
    assert_int_equal(metadata_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(buf_append(&expected, STORED, sizeof STORED), 0);
    assert_int_equal(buf_append(&expected, YEAR, strlen(YEAR)), 0);
    assert_int_equal(buf_append(&expected, TAGS, strlen(TAGS)), 0);
    assert_int_equal(buf_append(&expected, LANGUAGE, strlen(LANGUAGE)), 0);
    assert_int_equal(buf.len, 6 + expected.len);
    assert_memory_equal(buf.data + 6, expected.data, expected.len);
    metadata_builder_release(&b);
    buf_release(&buf);
    buf_release(&expected);
}

static void packed_example(void **state)
{
    (void)state;
    struct metadata_view view;
    char *text = (char *)"";
    size_t len;
    assert_int_equal(metadata_view_init(&view, PACKED, sizeof PACKED, 2, 0, NULL), VDB_OK);
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    assert_int_equal(metadata_get(&view, 0, &text, &len, NULL), VDB_OK);
    assert_null(text);
    assert_int_equal(len, 0);
    assert_int_equal(metadata_get(&view, 1, &text, &len, NULL), VDB_OK);
    assert_string_equal(text, "{\"note\":\"la la la la la la la la la la\"}");
    assert_int_equal(len, 40);
    free(text);
    assert_int_equal(metadata_get(&view, 2, &text, &len, NULL), VDB_NOT_FOUND);
}

static void round_trip(void **state)
{
    (void)state;
    enum { ROWS = 5000 };
    struct buf buf = {0};
    struct metadata_view view;
    struct packed_block cache = {0};
    build(ROWS, &buf);
    assert_int_equal(metadata_view_init(&view, buf.data, buf.len, ROWS, 0, NULL), VDB_OK);
    assert_true(view.packed.count > 30); /* a long text closes a block */
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    for (uint32_t i = 0; i < 2 * ROWS; i++) {
        uint32_t row = i < ROWS ? i : i * 7919 % ROWS; /* in order, then across */
        size_t expected_len, len, read_len;
        char *expected = make_text(row, &expected_len), *text = NULL;
        const char *read = NULL;
        assert_int_equal(metadata_read(&view, &cache, row, &read, &read_len, NULL), VDB_OK);
        assert_int_equal(read_len, expected_len);
        if (i % 16 == 0) {
            assert_int_equal(metadata_get(&view, row, &text, &len, NULL), VDB_OK);
            assert_int_equal(len, expected_len);
            if (expected) assert_string_equal(text, expected);
        }
        if (expected)
            assert_memory_equal(read, expected, expected_len);
        else
            assert_true(!read && !text);
        free(text);
        free(expected);
    }
    packed_block_release(&cache);
    buf_release(&buf);
}

static void none_at_all(void **state)
{
    (void)state;
    struct metadata_builder b = {0};
    struct buf buf = {0};
    for (int i = 0; i < 100; i++) assert_int_equal(metadata_builder_add(&b, NULL, 0, NULL), VDB_OK);
    assert_false(b.any);
    assert_int_equal(metadata_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(buf.len, 0);
    metadata_builder_release(&b);
}

/* A single text, with many rows without before and behind it. */
static void one_of_many(void **state)
{
    (void)state;
    enum { ROWS = 30000, AT = 17000 };
    struct metadata_builder b = {0};
    struct buf buf = {0};
    struct metadata_view view;
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(metadata_builder_add(&b, i == AT ? "{}" : NULL, 2, NULL), VDB_OK);
    assert_int_equal(metadata_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_true(buf.len < 2000); /* runs of nothing pack well */
    assert_int_equal(metadata_view_init(&view, buf.data, buf.len, ROWS, 0, NULL), VDB_OK);
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    static const uint32_t rows[] = {0, 4095, 4096, AT - 1, AT, AT + 1, ROWS - 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = NULL;
        size_t len;
        assert_int_equal(metadata_get(&view, rows[i], &text, &len, NULL), VDB_OK);
        assert_int_equal(len, rows[i] == AT ? 2 : 0);
        if (rows[i] == AT) assert_string_equal(text, "{}");
        free(text);
    }
    metadata_builder_release(&b);
    buf_release(&buf);
}

/* The longest text there may be, that does not pack, in a block that was nearly full. */
static void longest(void **state)
{
    (void)state;
    struct metadata_builder b = {0};
    struct buf buf = {0};
    struct metadata_view view;
    char *text = malloc(VDB_METADATA_MAX + 1), *got = NULL;
    uint64_t random = 1;
    size_t len;
    assert_non_null(text);
    for (size_t i = 0; i <= VDB_METADATA_MAX; i++)
        text[i] = (char)(1 + hostile_random(&random) % 127);
    assert_int_equal(metadata_builder_add(&b, text, VDB_METADATA_MAX + 1, NULL), VDB_LIMIT);
    assert_int_equal(metadata_builder_add(&b, text, VDB_METADATA_BLOCK - 5, NULL), VDB_OK);
    assert_int_equal(metadata_builder_add(&b, text, VDB_METADATA_MAX, NULL), VDB_OK);
    assert_int_equal(metadata_builder_add(&b, NULL, 0, NULL), VDB_OK);
    assert_int_equal(metadata_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(metadata_view_init(&view, buf.data, buf.len, 3, 0, NULL), VDB_OK);
    assert_int_equal(view.packed.count, 2);
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    assert_int_equal(metadata_get(&view, 1, &got, &len, NULL), VDB_OK);
    assert_int_equal(len, VDB_METADATA_MAX);
    assert_memory_equal(got, text, len);
    assert_int_equal(got[len], 0);
    free(got);
    free(text);
    metadata_builder_release(&b);
    buf_release(&buf);
}

static void builder_refuses(void **state)
{
    (void)state;
    struct metadata_builder b = {0};
    assert_int_equal(metadata_builder_add(&b, "", 0, NULL), VDB_INVALID);
    assert_int_equal(metadata_builder_add(&b, "{\0}", 3, NULL), VDB_INVALID);
    assert_int_equal(metadata_builder_add(&b, "\"\xff\"", 3, NULL), VDB_INVALID);
    assert_int_equal(b.rows, 0);
    assert_false(b.any);
    b.rows = 0xffffffff;
    assert_int_equal(metadata_builder_add(&b, NULL, 0, NULL), VDB_LIMIT);
    metadata_builder_release(&b);
}

/* Bytes of the packed example changed: who finds it, and where. */
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
        {0, 3, INIT, 0},          /* row_count */
        {4, 0, INIT, 0},          /* rows in no block */
        {4, 4, INIT, 0},          /* a table beyond the end */
        {8, 0x41, INIT, 0},       /* a table not aligned */
        {15, 0x80, INIT, 0},      /* an offset near 2^63 */
        {16, 0x59, INIT, 0},      /* data beyond the end */
        {31, 0xff, INIT, 0},      /* and far more of them */
        {24, 0x22, VALIDATE, 88}, /* data that the block exceeds */
        {64, 1, VALIDATE, 64},    /* the first block is not row 0's */
        {68, 0, VALIDATE, 88},    /* stored, yet shorter */
        {68, 2, VALIDATE, 88},    /* packed in an unknown way */
        {72, 0, VALIDATE, 64},    /* unpacks to nothing */
        {72, 0x2f, VALIDATE, 88}, /* unpacks to more */
        {72, 0x31, VALIDATE, 88}, /* unpacks to less */
        {72, 0x23, VALIDATE, 88}, /* not shorter than unpacked */
        {75, 0x02, VALIDATE, 64}, /* 32 MiB unpacked */
        {76, 0x22, VALIDATE, 88}, /* data that are of no block */
        {80, 1, VALIDATE, 64},
        {90, 1, VALIDATE, 88},    /* the first text takes a byte of the second */
        {94, 0x29, VALIDATE, 88}, /* a text beyond the block */
        {94, 0x27, VALIDATE, 88}, /* a block with bytes of no text */
        {97, 0x03, VALIDATE, 88}, /* a text of 48 MiB */
        {99, 0, VALIDATE, 88},    /* NUL in a text */
        {99, 0xc0, VALIDATE, 88}, /* no UTF-8 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof PACKED];
        memcpy(bytes, PACKED, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        struct metadata_view view;
        struct vdb_error err = {0};
        enum vdb_status status = metadata_view_init(&view, bytes, sizeof bytes, 2, 1000, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = metadata_validate(&view, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 1000 + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
        assert_string_equal(err.segment, "metadata");
    }
}

/* A table whose blocks do not rise: no row of it may be read from a block that lacks it. */
static void disorder(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct metadata_view view;
    build(1000, &buf);
    assert_int_equal(metadata_view_init(&view, buf.data, buf.len, 1000, 0, NULL), VDB_OK);
    assert_true(view.packed.count > 4);
    static const uint32_t firsts[] = {0, 1, 999, 1000, 0xffffffff};
    for (uint32_t block = 0; block < view.packed.count; block++) {
        uint8_t *first = buf.data + 64 + (size_t)block * 24, before[4];
        memcpy(before, first, 4);
        for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
            memcpy(first, &firsts[i], 4);
            if (memcmp(first, before, 4) != 0)
                assert_int_equal(metadata_validate(&view, NULL), VDB_CORRUPT);
            for (uint32_t row = 0; row < 1000; row += 9) {
                char *text = NULL;
                size_t len;
                (void)metadata_get(&view, row, &text, &len, NULL);
                free(text);
            }
        }
        memcpy(first, before, 4);
    }
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    struct vdb_error err = {0};
    memset(buf.data + 64 + 2 * 24, 0xff, 4); /* the block before it is named: its rows never end */
    assert_int_equal(metadata_validate(&view, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 64 + 24);
    buf_release(&buf);
}

/* Two blocks of the same text: that they share their bytes shows in the table alone. */
static void overlap(void **state)
{
    (void)state;
    struct metadata_builder b = {0};
    struct buf buf = {0};
    struct metadata_view view;
    struct vdb_error err = {0};
    static char text[VDB_METADATA_BLOCK];
    memset(text, ' ', sizeof text);
    for (int i = 0; i < 2; i++)
        assert_int_equal(metadata_builder_add(&b, text, sizeof text, NULL), VDB_OK);
    assert_int_equal(metadata_builder_finish(&b, &buf, NULL), VDB_OK);
    assert_int_equal(metadata_view_init(&view, buf.data, buf.len, 2, 0, NULL), VDB_OK);
    assert_int_equal(view.packed.count, 2);
    assert_int_equal(metadata_validate(&view, &err), VDB_OK);
    memset(buf.data + 64 + 24 + 16, 0, 8); /* off of the second */
    char *read = NULL;
    size_t len;
    assert_int_equal(metadata_get(&view, 0, &read, &len, NULL), VDB_OK);
    free(read);
    assert_int_equal(metadata_get(&view, 1, &read, &len, NULL), VDB_CORRUPT);
    assert_int_equal(metadata_validate(&view, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 64 + 24);
    metadata_builder_release(&b);
    buf_release(&buf);
}

/* Each of a row's four bytes at least. */
static void rows_of_a_block(void **state)
{
    (void)state;
    for (uint32_t rows = 4096; rows <= 4097; rows++) {
        struct buf raw = {0}, blocks = {0}, data = {0}, buf = {0};
        struct metadata_view view;
        struct vdb_error err = {0};
        char *text = NULL;
        size_t len;
        assert_int_equal(buf_append_zeros(&raw, (size_t)rows * 4), 0);
        raw.data[4 * (rows - 1)] = 2;
        assert_int_equal(buf_append(&raw, "{}", 2), 0);
        assert_int_equal(packed_append(&blocks, &data, 0, 0, raw.data, raw.len, NULL), VDB_OK);
        struct disk_metadata_header header = {.row_count = le32_put(rows),
                                              .block_count = le32_put(1),
                                              .blocks_off = le64_put(64),
                                              .data_off = le64_put(88),
                                              .data_len = le64_put(data.len)};
        assert_int_equal(buf_append(&buf, &header, sizeof header), 0);
        assert_int_equal(buf_append(&buf, blocks.data, blocks.len), 0);
        assert_int_equal(buf_append(&buf, data.data, data.len), 0);
        assert_int_equal(metadata_view_init(&view, buf.data, buf.len, rows, 0, NULL), VDB_OK);
        enum vdb_status status = metadata_get(&view, rows - 1, &text, &len, &err);
        assert_int_equal(status, rows == 4096 ? VDB_OK : VDB_CORRUPT);
        if (status) assert_non_null(strstr(err.message, "has 4097 rows"));
        free(text);
        buf_release(&raw);
        buf_release(&blocks);
        buf_release(&data);
        buf_release(&buf);
    }
}

/* A block may hold more bytes than the longest text; a text may not. */
static void too_long(void **state)
{
    (void)state;
    struct buf raw = {0}, blocks = {0}, data = {0}, buf = {0};
    struct metadata_view view;
    char *text;
    size_t len;
    for (uint32_t more = 0; more < 2; more++) {
        uint32_t n = VDB_METADATA_MAX + more;
        buf_clear(&raw);
        buf_clear(&blocks);
        buf_clear(&data);
        buf_clear(&buf);
        assert_int_equal(buf_append(&raw, &n, 4), 0);
        memset(buf_extend(&raw, n), ' ', n);
        assert_int_equal(packed_append(&blocks, &data, 0, 0, raw.data, raw.len, NULL), VDB_OK);
        struct disk_metadata_header header = {.row_count = le32_put(1),
                                              .block_count = le32_put(1),
                                              .blocks_off = le64_put(64),
                                              .data_off = le64_put(88),
                                              .data_len = le64_put(data.len)};
        assert_int_equal(buf_append(&buf, &header, sizeof header), 0);
        assert_int_equal(buf_append(&buf, blocks.data, blocks.len), 0);
        assert_int_equal(buf_append(&buf, data.data, data.len), 0);
        assert_int_equal(metadata_view_init(&view, buf.data, buf.len, 1, 0, NULL), VDB_OK);
        assert_int_equal(metadata_validate(&view, NULL), more ? VDB_CORRUPT : VDB_OK);
        text = NULL;
        assert_int_equal(metadata_get(&view, 0, &text, &len, NULL), more ? VDB_CORRUPT : VDB_OK);
        free(text);
    }
    buf_release(&raw);
    buf_release(&blocks);
    buf_release(&data);
    buf_release(&buf);
}

static void read_all(const uint8_t *p, size_t len, void *context)
{
    struct metadata_view view;
    struct packed_block cache = {0};
    uint32_t rows = *(uint32_t *)context;
    if (metadata_view_init(&view, p, len, rows, 0, NULL) != VDB_OK) return;
    for (uint32_t row = 0; row < rows; row++) {
        char *text;
        const char *read;
        size_t n;
        if (metadata_read(&view, &cache, row, &read, &n, NULL) == VDB_OK && read)
            assert_true(n > 0 && n <= VDB_METADATA_MAX);
        if (row % 16 == 0 && metadata_get(&view, row, &text, &n, NULL) == VDB_OK) free(text);
    }
    packed_block_release(&cache);
    (void)metadata_validate(&view, NULL);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    struct metadata_view view;
    assert_int_equal(metadata_view_init(&view, p, len, *(uint32_t *)context, 0, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct buf buf = {0};
    uint32_t rows = 2;
    hostile_truncations(PACKED, sizeof PACKED, must_fail, &rows);
    hostile_flips(PACKED, sizeof PACKED, 20000, read_all, &rows);
    rows = 99;
    build(rows, &buf);
    hostile_truncations(buf.data, buf.len, must_fail, &rows);
    hostile_flips(buf.data, buf.len, 2000, read_all, &rows);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_example),  cmocka_unit_test(packed_example),
        cmocka_unit_test(round_trip),      cmocka_unit_test(none_at_all),
        cmocka_unit_test(one_of_many),     cmocka_unit_test(longest),
        cmocka_unit_test(builder_refuses), cmocka_unit_test(damage_is_named),
        cmocka_unit_test(disorder),        cmocka_unit_test(overlap),
        cmocka_unit_test(rows_of_a_block), cmocka_unit_test(too_long),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
