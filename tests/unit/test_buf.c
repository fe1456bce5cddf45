/* test_buf.c: a buf keeps what was put into it, and refuses lengths that cannot be.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void appends(void **state)
{
    (void)state;
    struct buf b = {0};
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t two[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
        assert_int_equal(buf_append(&b, two, 2), 0);
    }
    assert_int_equal(b.len, 200000);
    assert_true(b.cap >= b.len);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[2 * i] | b.data[2 * i + 1] << 8, i & 0xffff);
    buf_release(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, 0);
}

static void empty_appends_need_no_memory(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_append_zeros(&b, 0), 0);
    assert_int_equal(buf_align(&b, 64), 0);
    assert_null(b.data);
    buf_release(&b);
}

static void aligns(void **state)
{
    (void)state;
    static const size_t expected[][3] = {/* from, align, to */
                                         {1, 1, 1},    {1, 2, 2},     {1, 64, 64},
                                         {64, 64, 64}, {65, 64, 128}, {63, 8, 64}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct buf b = {0};
        uint8_t *p = buf_extend(&b, expected[i][0]);
        assert_non_null(p);
        memset(p, 0xee, expected[i][0]);
        assert_int_equal(buf_align(&b, expected[i][1]), 0);
        assert_int_equal(b.len, expected[i][2]);
        for (size_t j = 0; j < b.len; j++)
            assert_int_equal(b.data[j], j < expected[i][0] ? 0xee : 0);
        buf_release(&b);
    }
}

static void zeros_after_clear(void **state)
{
    (void)state;
    struct buf b = {0};
    memset(buf_extend(&b, 1000), 0xff, 1000);
    uint8_t *before = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_append_zeros(&b, 1000), 0);
    assert_ptr_equal(b.data, before); /* the memory was kept */
    for (size_t i = 0; i < 1000; i++) assert_int_equal(b.data[i], 0);
    buf_release(&b);
}

static void refuses_overflow(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append(&b, "abc", 3), 0);
    struct buf before = b;
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), -1);
    assert_int_equal(buf_reserve(&b, (size_t)PTRDIFF_MAX - 2), -1);
    assert_null(buf_extend(&b, SIZE_MAX - 3));
    assert_int_equal(buf_append_zeros(&b, SIZE_MAX / 2), -1);
    assert_memory_equal(&b, &before, sizeof b);
    assert_memory_equal(b.data, "abc", 3);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),          cmocka_unit_test(empty_appends_need_no_memory),
        cmocka_unit_test(aligns),           cmocka_unit_test(zeros_after_clear),
        cmocka_unit_test(refuses_overflow),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
