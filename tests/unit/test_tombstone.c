/* test_tombstone.c: bits of tombstone bitmaps are where format-spec/tombstones.md puts them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/tombstone.h"
#include "hostile.h"

static void lengths(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows;
        size_t len;
    } cases[] = {{0, 0}, {1, 8}, {63, 8}, {64, 8}, {65, 16}, {128, 16}, {0xffffffff, 0x20000000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(tombstone_len(cases[i].rows), cases[i].len);
}

static void bits(void **state)
{
    (void)state;
    uint8_t map[16] = {0};
    static const uint8_t expected[16] = {[0] = 0x82, [7] = 0x80, [8] = 0x01, [9] = 0x02};
    tombstone_set(map, 1);
    tombstone_set(map, 7);
    tombstone_set(map, 63);
    tombstone_set(map, 64);
    tombstone_set(map, 73);
    assert_memory_equal(map, expected, sizeof map);
    assert_true(tombstone_test(map, 63));
    assert_false(tombstone_test(map, 62));
    assert_false(tombstone_test(NULL, 63));
    tombstone_set(map, 7);
    tombstone_clear(map, 1);
    tombstone_clear(map, 2);
    assert_int_equal(map[0], 0x80);
}

static void count(void **state)
{
    (void)state;
    uint8_t map[32], all[32];
    uint64_t random = 5;
    memset(all, 0xff, sizeof all);
    for (size_t i = 0; i < sizeof map; i++) map[i] = (uint8_t)hostile_random(&random);
    for (uint32_t rows = 0; rows <= 256; rows++) {
        uint32_t expected = 0;
        for (uint32_t row = 0; row < rows; row++) expected += map[row / 8] >> row % 8 & 1;
        assert_int_equal(tombstone_count(map, rows), expected);
        assert_int_equal(tombstone_count(all, rows), rows);
        assert_int_equal(tombstone_count(NULL, rows), 0);
    }
}

static void validation(void **state)
{
    (void)state;
    uint8_t map[16] = {0};
    const uint8_t *view = NULL;
    struct vdb_error err = {0};
    assert_int_equal(tombstone_view(&view, map, 16, 65, 1000, &err), VDB_OK);
    assert_ptr_equal(view, map);
    assert_int_equal(tombstone_view(&view, map, 16, 129, 1000, &err), VDB_CORRUPT);
    assert_int_equal(tombstone_view(&view, map, 15, 65, 1000, &err), VDB_CORRUPT);
    assert_int_equal(tombstone_view(&view, map, 16, 64, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1000);
    tombstone_set(map, 64);
    assert_int_equal(tombstone_validate(map, 65, 1000, &err), VDB_OK);
    tombstone_set(map, 65);
    assert_int_equal(tombstone_validate(map, 65, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1008);
    assert_string_equal(err.segment, "tombstone");
    assert_int_equal(tombstone_validate(map, 66, 1000, &err), VDB_OK);
    memset(map, 0xff, sizeof map);
    assert_int_equal(tombstone_validate(map, 128, 1000, &err), VDB_OK);
    assert_int_equal(tombstone_validate(map, 127, 1000, &err), VDB_CORRUPT);
    assert_int_equal(tombstone_validate(map, 0, 1000, &err), VDB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(bits),
        cmocka_unit_test(count),
        cmocka_unit_test(validation),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
