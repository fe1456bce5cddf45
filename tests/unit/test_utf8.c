/* test_utf8.c: what is UTF-8 and what is an id.
 *
 * Expected: every code point against an encoder written from RFC 3629, section 3, and forms that
 * the RFC forbids.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)),
               out[2] = (uint8_t)(0x80 | (c & 63)), 3;
    return out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63)),
           out[2] = (uint8_t)(0x80 | (c >> 6 & 63)), out[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

/* Every number that four bytes can express, the ones that are no characters included. */
static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++) {
        uint8_t bytes[4];
        uint32_t code = 0;
        size_t n = encode(c, bytes);
        bool character = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
        if (utf8_decode(bytes, n, &code) != (character ? n : 0) || (character && code != c) ||
            utf8_valid(bytes, n) != character || utf8_id_valid(bytes, n) != (character && !control))
            fail_msg("U+%06X is judged wrongly", c);
        for (size_t cut = 1; cut < n; cut++)
            if (utf8_decode(bytes, cut, &code) != 0 || utf8_valid(bytes, cut))
                fail_msg("U+%06X passes with %zu bytes", c, cut);
    }
}

/* All that two bytes can be. */
static void every_pair(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        uint8_t bytes[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        bool two = bytes[0] >= 0xc2 && bytes[0] <= 0xdf && bytes[1] >= 0x80 && bytes[1] <= 0xbf;
        bool one_each = bytes[0] < 0x80 && bytes[1] < 0x80;
        assert_int_equal(utf8_valid(bytes, 2), two || one_each);
    }
}

static void overlong_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "\x80",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xe2\x28\xa1",
        "\xf0\x9f\x98",
        "a\xc3",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
        assert_false(utf8_id_valid(bad[i], strlen(bad[i])));
    }
}

static void ids(void **state)
{
    (void)state;
    char longest[1024];
    memset(longest, 'x', sizeof longest);
    assert_false(utf8_id_valid(longest, 0));
    assert_true(utf8_id_valid(longest, 1));
    assert_true(utf8_id_valid(longest, 1023));
    assert_false(utf8_id_valid(longest, 1024));
    assert_true(utf8_id_valid("a b/c\xc3\xa9\xf0\x9f\x98\x80", 11));
    assert_false(utf8_id_valid("a\tb", 3));
    assert_false(utf8_id_valid("a\0b", 3));
    assert_false(utf8_id_valid("ab\x7f", 3));
    assert_false(utf8_id_valid("a\xc2\x85", 3));
    assert_true(utf8_valid("a\0\x7f\n", 4));
    assert_true(utf8_valid("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_pair),
        cmocka_unit_test(overlong_forms),
        cmocka_unit_test(ids),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
