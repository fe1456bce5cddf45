/* when.c: points in an index's life, as users write them, and times, as the tools print them.
 *
 * Days are counted here, in the Gregorian calendar extended backwards, so that no time zone of the
 * machine plays a part.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- reading ------------------------------------------------------------------------------- */

/* Takes `count` digits at *p, and moves on behind them; false where there are no such. */
static bool take_digits(const char **p, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, ++*p) {
        if (**p < '0' || **p > '9') return false;
        *value = *value * 10 + (**p - '0');
    }
    return true;
}

static bool take_one_of(const char **p, const char *set)
{
    if (!**p || !strchr(set, **p)) return false;
    ++*p;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the date. Reckoned 400 years later, after which the calendar is the same
 * again, so that the years before it, from year 1 on, are positive. */
static int64_t day_number(int year, int month, int day)
{
    const int64_t period = 146097, from_year_1 = 719162, before = year + 399;
    int64_t days = before * 365 + before / 4 - before / 100 + before / 400;
    for (int m = 1; m < month; m++) days += days_of(year, m);
    return days + day - 1 - period - from_year_1;
}

static bool take_date(const char **p, int64_t *days)
{
    int year, month, day;
    if (!take_digits(p, 4, &year) || !take_one_of(p, "-") || !take_digits(p, 2, &month) ||
        !take_one_of(p, "-") || !take_digits(p, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_of(year, month)) return false;
    *days = day_number(year, month, day);
    return true;
}

/* Digits behind the sixth only tell whether the time is a little later. */
static bool take_fraction(const char **p, int *micro, bool *later)
{
    *micro = 0;
    *later = false;
    if (!take_one_of(p, ".")) return true;
    int digits = 0;
    for (; **p >= '0' && **p <= '9'; ++*p, digits++) {
        if (digits < 6)
            *micro = *micro * 10 + (**p - '0');
        else if (**p != '0')
            *later = true;
    }
    for (int i = digits; i < 6; i++) *micro *= 10;
    return digits > 0;
}

/* *minutes is how far ahead of UTC the clock is. */
static bool take_offset(const char **p, int *minutes)
{
    *minutes = 0;
    if (take_one_of(p, "Zz")) return true;
    bool behind = **p == '-';
    int hours, rest;
    if (!take_one_of(p, "+-") || !take_digits(p, 2, &hours) || !take_one_of(p, ":") ||
        !take_digits(p, 2, &rest) || hours > 23 || rest > 59)
        return false;
    *minutes = hours * 60 + rest;
    if (behind) *minutes = -*minutes;
    return true;
}

static bool parse_time(const char *p, struct when *when)
{
    int64_t days;
    int hour, minute, second, micro, ahead;
    if (!take_date(&p, &days) || !take_one_of(&p, "Tt ") || !take_digits(&p, 2, &hour) ||
        !take_one_of(&p, ":") || !take_digits(&p, 2, &minute) || !take_one_of(&p, ":") ||
        !take_digits(&p, 2, &second) || !take_fraction(&p, &micro, &when->later) ||
        !take_offset(&p, &ahead) || *p)
        return false;
    if (hour > 23 || minute > 59 || second > 60) return false;
    int64_t minutes = days * 1440 + hour * 60 + minute - ahead;
    if (second == 60) {
        if ((minutes % 1440 + 1440) % 1440 != 1439) return false;
        micro = 0;
        when->later = false;
    }
    when->kind = WHEN_TIME;
    when->time_us = (minutes * 60 + second) * 1000000 + micro;
    return true;
}

static bool parse_number(const char *text, uint64_t *number)
{
    const char *c = text;
    *number = 0;
    for (; *c >= '0' && *c <= '9'; c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        if (*number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return c != text && !*c;
}

struct when when_parse(const char *text)
{
    struct when when = {.kind = WHEN_NAME};
    if (parse_number(text, &when.commit)) {
        when.kind = WHEN_COMMIT;
        return when;
    }
    if (parse_time(text, &when)) return when;
    return (struct when){.kind = WHEN_NAME};
}

/* ---- printing ------------------------------------------------------------------------------ */

const char *when_text(int64_t time_us, char text[WHEN_TEXT_SIZE])
{
    int64_t seconds = time_us / 1000000 - (time_us % 1000000 < 0);
    int micro = (int)((time_us % 1000000 + 1000000) % 1000000);
    struct tm tm;
    time_t t = (time_t)seconds;
    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099) {
        snprintf(text, WHEN_TEXT_SIZE, "%" PRId64, seconds);
        return text;
    }
    snprintf(text, WHEN_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micro);
    return text;
}
