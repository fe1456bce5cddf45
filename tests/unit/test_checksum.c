/* test_checksum.c: checksums are XXH3-64, whole and in pieces.
 *
 * Expected values were computed by an implementation of the published algorithm in another
 * language (format-spec/reader/xxh3.py), one for each of the lengths that it treats apart.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"

static uint8_t pattern[5000];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint8_t)(i % 251);
    return 0;
}

static void known_values(void **state)
{
    (void)state;
    assert_int_equal(checksum(NULL, 0), 0x2d06800538d394c2);
    assert_int_equal(checksum("a", 1), 0xe6c632b61e964e1f);
    assert_int_equal(checksum("abc", 3), 0x78af5f94892f3950);
    assert_int_equal(checksum("0123456789abcdef0", 17), 0xc92e2385daf36034);
    assert_int_equal(checksum(pattern, 200), 0xf42a8864feaf0703);
    assert_int_equal(checksum(pattern, 241), 0x2e8cd95421c6d02);
    assert_int_equal(checksum(pattern, 5000), 0xb418500fc42320ee);
}

static void pieces_give_the_whole(void **state)
{
    (void)state;
    for (size_t step = 1; step < 1500; step = step * 3 + 1) {
        struct checksum_state s;
        checksum_init(&s);
        for (size_t at = 0; at < sizeof pattern; at += step)
            checksum_add(&s, pattern + at,
                         at + step <= sizeof pattern ? step : sizeof pattern - at);
        checksum_add(&s, NULL, 0);
        assert_int_equal(checksum_end(&s), 0xb418500fc42320ee);
    }
}

static void nothing_added(void **state)
{
    (void)state;
    struct checksum_state s;
    checksum_init(&s);
    assert_int_equal(checksum_end(&s), 0x2d06800538d394c2);
    checksum_add(&s, "a", 1);
    assert_int_equal(checksum_end(&s), 0xe6c632b61e964e1f);
    checksum_add(&s, "bc", 2); /* after an end it goes on */
    assert_int_equal(checksum_end(&s), 0x78af5f94892f3950);
}

static void own_field_counts_as_zero(void **state)
{
    (void)state;
    static const size_t lengths[] = {8, 9, 64, 240, 241, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = lengths[i];
        for (size_t field = 0; field + 8 <= len; field += len < 100 ? 1 : 97) {
            uint8_t zeroed[5000];
            memcpy(zeroed, pattern, len);
            memset(zeroed + field, 0, 8);
            assert_int_equal(checksum_without(pattern, len, field), checksum(zeroed, len));
        }
    }
    assert_int_not_equal(checksum_without(pattern, 64, 8), checksum(pattern, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(pieces_give_the_whole),
        cmocka_unit_test(nothing_added),
        cmocka_unit_test(own_field_counts_as_zero),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
