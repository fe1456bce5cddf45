/* test_when.c: WHEN as users write it: numbers, times, names; and times as they are printed.
 *
 * Expected values are what Python's datetime makes of the same texts.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "when.h"

static void numbers_are_commits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t number;
    } good[] = {
        {"0", 0}, {"1", 1}, {"007", 7}, {"1000000", 1000000}, {"18446744073709551615", UINT64_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct when when = when_parse(good[i].text);
        assert_int_equal(when.kind, WHEN_COMMIT);
        assert_true(when.commit == good[i].number);
    }
    static const char *const bad[] = {"",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "1e3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(when_parse(bad[i]).kind, WHEN_NAME);
    assert_int_equal(when_parse("2026").kind, WHEN_COMMIT); /* not a year */
}

static void expect_time(const char *text, int64_t us, bool later)
{
    struct when when = when_parse(text);
    if (when.kind != WHEN_TIME || when.time_us != us || when.later != later)
        fail_msg("%s: kind %d, %" PRId64 " us, later %d", text, (int)when.kind, when.time_us,
                 when.later);
}

static void times_of_rfc_3339(void **state)
{
    (void)state;
    expect_time("1970-01-01T00:00:00Z", 0, false);
    expect_time("2026-11-21T20:15:00Z", 1795292100000000, false);
    expect_time("2026-11-21t20:15:00z", 1795292100000000, false);
    expect_time("2026-11-21 20:15:00Z", 1795292100000000, false);
    expect_time("2026-11-21T20:15:00+00:00", 1795292100000000, false);
    expect_time("2026-11-21T20:15:00-00:00", 1795292100000000, false);
    expect_time("2026-11-21T22:15:00+02:00", 1795292100000000, false);
    expect_time("2026-11-21T20:15:00.123456Z", 1795292100123456, false);
    expect_time("2024-02-29T23:59:59.999999+02:00", 1709243999999999, false);
    expect_time("2000-02-29T00:00:00-11:30", 951823800000000, false);
    expect_time("1969-12-31T23:59:59.5Z", -500000, false);
    expect_time("0001-01-01T00:00:00Z", -62135596800000000, false);
    expect_time("9999-12-31T23:59:59.999999Z", 253402300799999999, false);
    expect_time("1900-03-01T00:00:00+23:59", -2203977540000000, false);
    expect_time("2100-03-01T12:00:00-23:59", 4107671940000000, false);
    /* Python knows no year 0; `date -u +%s` of GNU does. */
    expect_time("0000-01-01T00:00:00Z", -62167219200000000, false);
}

static void digits_beyond_microseconds(void **state)
{
    (void)state;
    expect_time("1970-01-01T00:00:00.1Z", 100000, false);
    expect_time("1970-01-01T00:00:00.000001000Z", 1, false);
    expect_time("1970-01-01T00:00:00.0000010000000000000000000000000001Z", 1, true);
    expect_time("1970-01-01T00:00:00.9999999Z", 999999, true);
    expect_time("1969-12-31T23:59:59.9999999Z", -1, true);
}

/* The leap second at the end of 2016 is the second before 2017 began: time since 1970, which does
 * not count it, has for it what follows. */
static void leap_seconds(void **state)
{
    (void)state;
    expect_time("2016-12-31T23:59:60Z", 1483228800000000, false);
    expect_time("2017-01-01T00:59:60+01:00", 1483228800000000, false);
    expect_time("2016-12-31T15:59:60.75-08:00", 1483228800000000, false);
    assert_int_equal(when_parse("2016-12-31T23:58:60Z").kind, WHEN_NAME);
    assert_int_equal(when_parse("2016-12-31T23:59:60+01:00").kind, WHEN_NAME);
    assert_int_equal(when_parse("2016-12-31T23:59:61Z").kind, WHEN_NAME);
}

static void what_is_no_time_may_be_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {"before-migration",
                                        "2026-11-21",
                                        "2026-11-21T20:15:00",
                                        "2026-11-21T20:15Z",
                                        "20261121T201500Z",
                                        "2026-11-21T20:15:00.Z",
                                        "2026-11-21T20:15:00,5Z",
                                        "2026-11-21T20:15:00 Z",
                                        "2026-11-21T20:15:00+0200",
                                        "2026-11-21T20:15:00+02",
                                        "2026-11-21T20:15:00+24:00",
                                        "2026-11-21T20:15:00+02:60",
                                        "2026-11-21T20:15:00Zulu",
                                        "2026-11-21T24:00:00Z",
                                        "2026-11-21T20:60:00Z",
                                        "2026-00-21T20:15:00Z",
                                        "2026-13-21T20:15:00Z",
                                        "2026-11-00T20:15:00Z",
                                        "2026-11-31T20:15:00Z",
                                        "2025-02-29T20:15:00Z",
                                        "1900-02-29T20:15:00Z",
                                        "12026-11-21T20:15:00Z",
                                        "-2026-11-21T20:15:00Z",
                                        "2026-1-21T20:15:00Z",
                                        " 2026-11-21T20:15:00Z",
                                        "2026-11-21T20:15:00Z ",
                                        "2026-11-21T"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (when_parse(names[i]).kind != WHEN_NAME) fail_msg("%s is taken", names[i]);
}

/* 3,652,059 days, and what `h = (h * 1000003 + (d.toordinal() - 719163)) % 2**64` over all of them
 * comes to. */
static void every_day_there_is(void **state)
{
    (void)state;
    uint64_t sum = 0, days = 0;
    for (int year = 1; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= 31; day++) {
                char text[64];
                snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                struct when when = when_parse(text);
                if (when.kind != WHEN_TIME) continue;
                sum = sum * 1000003 + (uint64_t)(when.time_us / 86400000000);
                days++;
            }
    assert_int_equal(days, 3652059);
    assert_true(sum == 0xba0e41f8425830ef);
}

static void times_printed(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {1700000000123456, "2023-11-14T22:13:20.123456Z"},
        {-62135596800000000, "0001-01-01T00:00:00.000000Z"},
        {-62167219200000000, "0000-01-01T00:00:00.000000Z"},
        {253402300799999999, "9999-12-31T23:59:59.999999Z"},
        /* No calendar: whole seconds. */
        {253402300800000000, "253402300800"},
        {-62167219200000001, "-62167219201"},
        {INT64_MAX, "9223372036854"},
        {INT64_MIN, "-9223372036855"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[WHEN_TEXT_SIZE];
        assert_string_equal(when_text(cases[i].us, text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_commits),
        cmocka_unit_test(times_of_rfc_3339),
        cmocka_unit_test(digits_beyond_microseconds),
        cmocka_unit_test(leap_seconds),
        cmocka_unit_test(what_is_no_time_may_be_a_name),
        cmocka_unit_test(every_day_there_is),
        cmocka_unit_test(times_printed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
