/* test_cli.c: floats print in the fewest digits that read back; every status has its exit status.
 *
 * The C library's conversions are the judge of both: strtof of what reads back, printf with each
 * precision in turn of how few digits do.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"

/* Digits from the first that is not zero to the last that is not. */
static int digits_of(const char *text)
{
    int count = 0, last = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') continue;
        if (count || *text != '0') count++;
        if (*text != '0') last = count;
    }
    return last;
}

static void check(float value)
{
    char text[32], trial[64];
    memset(text, 'x', sizeof text);
    assert_ptr_equal(cli_float(value, text), text);
    assert_non_null(memchr(text, 0, sizeof text));
    char *end;
    float back = strtof(text, &end);
    if (*end || memcmp(&back, &value, sizeof value) != 0)
        fail_msg("%a printed as %s", (double)value, text);
    int precision = 0;
    do snprintf(trial, sizeof trial, "%.*e", precision++, (double)value);
    while (strtof(trial, NULL) != value);
    if (digits_of(text) > digits_of(trial)) fail_msg("%s is longer than %s", text, trial);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void every_power_of_two_and_its_neighbours(void **state)
{
    (void)state;
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (uint32_t step = 0; step < 3; step++) {
            uint32_t bits = (exponent << 23) + step - (exponent ? 1 : 0);
            check(float_of(bits));
            check(float_of(bits | 0x80000000));
        }
}

static void random_floats_of_every_size(void **state)
{
    (void)state;
    uint32_t bits = 2463534242U; /* xorshift32 */
    for (int i = 0; i < 200000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 17;
        bits ^= bits << 5;
        if ((bits >> 23 & 0xff) != 0xff) check(float_of(bits));
        check((float)(bits % 2000001) / 1e6F - 1); /* as vectors have them */
        check((float)(int32_t)bits / 2147483648.0F);
    }
}

static void what_is_printed(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0F, "-0.0"},
                 {1, "1"},
                 {-1.5F, "-1.5"},
                 {100, "100"},
                 {0.1F, "0.1"},
                 {1.0F / 3, "0.33333334"},
                 {0.00001F, "0.00001"},
                 {1e-6F, "1e-6"},
                 {1.25e-7F, "1.25e-7"},
                 {123456792, "123456790"},
                 {1e9F, "1e9"},
                 {3.4028235e38F, "3.4028235e38"},
                 {1e-45F, "1e-45"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        assert_string_equal(cli_float(cases[i].value, text), cases[i].text);
    }
}

static void json_strings(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    cli_json_string(stream, "a\"b\\c\n\x01\xc3\xa9\0z", 11);
    fclose(stream);
    assert_string_equal(text, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\\u0000z\"");
    free(text);
}

static void names_in_messages(void **state)
{
    (void)state;
    char name[CLI_NAME_SIZE], id[2000];
    assert_string_equal(cli_name("a\tb\x1b[31m\x7f", 9, name), "a?b?[31m?");
    memset(id, 'x', sizeof id);
    assert_int_equal(strlen(cli_name(id, VDB_ID_MAX, name)), VDB_ID_MAX);
    cli_name(id, sizeof id, name);
    assert_int_equal(strlen(name), VDB_ID_MAX + 3);
    assert_string_equal(name + VDB_ID_MAX, "...");
}

static void exit_statuses(void **state)
{
    (void)state;
    static const int wanted[] = {0, 1, 65, 65, 65, 65, 66, 73, 74, 75, 73, 74, 74, 130, 65, 70};
    for (int status = VDB_OK; status <= VDB_INTERNAL; status++)
        assert_int_equal(cli_exit_of((enum vdb_status)status), wanted[status]);
    assert_int_equal(cli_exit_of((enum vdb_status)99), 70);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_power_of_two_and_its_neighbours),
        cmocka_unit_test(random_floats_of_every_size),
        cmocka_unit_test(what_is_printed),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(names_in_messages),
        cmocka_unit_test(exit_statuses),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
