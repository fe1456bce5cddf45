/* test_input_number.c: decimal numbers become the float that is nearest, in either grammar.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input/number.h"
#include "unit/input_fixture.h"

/* The whole text must be one number, the one that the C library reads. */
static void agrees(const char *text, bool json)
{
    float got = 0, wanted = strtof(text, NULL);
    size_t used;
    enum number_status status = number_parse(text, strlen(text), json, &got, &used);
    if (status != (isinf(wanted) ? NUMBER_TOO_LARGE : NUMBER_OK) || used != strlen(text) ||
        memcmp(&got, &wanted, sizeof got) != 0)
        fail_msg("'%s': %.9g, expected %.9g", text, (double)got, (double)wanted);
}

static uint64_t state = 88172645463325252ULL;

static uint64_t next_random(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void random_floats_agree_with_the_c_library(void **context)
{
    (void)context;
    static const char *const formats[] = {"%.9g", "%.17g", "%.6f", "%.25e", "%.3g", "%.60f"};
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)next_random();
        float f;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f)) continue;
        char text[200];
        snprintf(text, sizeof text, formats[i % 6], (double)f);
        agrees(text, true);
    }
}

/* The hardest ones: exactly between two floats, and a hair beside that. */
static void midpoints_round_as_the_c_library_does(void **context)
{
    (void)context;
    for (int i = 0; i < 50000; i++) {
        uint32_t bits = (uint32_t)next_random() & 0x7fffffff;
        float f;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f) || !isfinite(nextafterf(f, INFINITY))) continue;
        double middle = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
        char text[1200];
        snprintf(text, sizeof text, "%.*e", i % 2 ? 17 : 150, middle);
        agrees(text, true);
        snprintf(text, sizeof text, "%.17g", nextafter(middle, i % 3 ? INFINITY : 0));
        agrees(text, true);
    }
    agrees("16777217", true);
    agrees("16777217.000000000000000000000000000001", true);
    agrees("33554433.9999999999999999999999999999999", true);
}

static void both_grammars_take_json_numbers(void **context)
{
    (void)context;
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "-1.5",
                                       "1e5",
                                       "1E+5",
                                       "1e-5",
                                       "0.1",
                                       "0e0",
                                       "0e999",
                                       "1e-999",
                                       "3.4028235e38",
                                       "1e39",
                                       "-1e39",
                                       "1e400",
                                       "1.40129846e-45",
                                       "7e-46",
                                       "12345678901234567890123",
                                       "0.00000000000000000000001",
                                       "1000000000000000000000000000000e-30"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        agrees(good[i], true);
        agrees(good[i], false);
    }
}

static void expect(const char *text, bool json, enum number_status status, size_t used)
{
    float value = 0;
    size_t got;
    if (number_parse(text, strlen(text), json, &value, &got) != status || got != used)
        fail_msg("'%s' is taken otherwise than expected (%zu bytes)", text, got);
}

static void json_is_the_stricter_grammar(void **context)
{
    (void)context;
    static const char *const loose[] = {"+1", ".5", "5.", "007", "-.5", "5.e1"};
    for (size_t i = 0; i < sizeof loose / sizeof loose[0]; i++) {
        agrees(loose[i], false);
        float value;
        size_t used;
        enum number_status status = number_parse(loose[i], strlen(loose[i]), true, &value, &used);
        assert_true(status == NUMBER_NOT || used < strlen(loose[i]));
    }
    static const char *const none[] = {"", "-", "+", ".", "-.", "e5", "abc", " 1", "--1"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        expect(none[i], true, NUMBER_NOT, 0);
        expect(none[i], false, NUMBER_NOT, 0);
    }
    expect("0x10", false, NUMBER_OK, 1);
    expect("1e", false, NUMBER_OK, 1);
    expect("1e+", true, NUMBER_OK, 1);
    expect("1.5.5", false, NUMBER_OK, 3);
}

static void words_for_no_number_are_told_apart(void **context)
{
    (void)context;
    expect("nan", false, NUMBER_NOT_FINITE, 3);
    expect("NaN", true, NUMBER_NOT_FINITE, 3);
    expect("-Infinity", true, NUMBER_NOT_FINITE, 9);
    expect("-inf", false, NUMBER_NOT_FINITE, 4);
    expect("1e39", true, NUMBER_TOO_LARGE, 4);
    expect("-99999999999999999999999999999999999999999", true, NUMBER_TOO_LARGE, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_floats_agree_with_the_c_library),
        cmocka_unit_test(midpoints_round_as_the_c_library_does),
        cmocka_unit_test(both_grammars_take_json_numbers),
        cmocka_unit_test(json_is_the_stricter_grammar),
        cmocka_unit_test(words_for_no_number_are_told_apart),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
