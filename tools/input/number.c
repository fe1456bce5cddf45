/* number.c: decimal to float, a fast path that proves itself exact and strtof behind it.
 *
 * Fast path: up to 19 digits w and a power of ten |e| <= 22. w as a double, 10^|e| (exact), and
 * one multiplication or division: two roundings, an error below 2 units in the double's last place
 * (digits beyond the 19th are dropped, which adds less than one more). Casting that to float is
 * the correctly rounded result unless the double lies within the error of the midpoint of two
 * floats; those few go to strtof. What is so small that floats lose bits has |e| > 22. (The idea of
 * deciding by the distance to the midpoint is Clinger's, "How to read floating point numbers
 * accurately", 1990.)
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/number.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    uint64_t digits; /* the first 19 significant ones */
    int kept;        /* how many */
    int64_t power;   /* value = digits * 10^power */
    bool negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t take_digits(const char *text, size_t at, size_t len, struct decimal *d, bool fraction)
{
    for (; at < len && is_digit(text[at]); at++) {
        if (d->kept < 19) {
            d->digits = d->digits * 10 + (uint64_t)(text[at] - '0');
            if (d->digits) d->kept++;
            if (fraction) d->power--;
        } else if (!fraction) {
            d->power++;
        }
    }
    return at;
}

static size_t take_exponent(const char *text, size_t at, size_t len, struct decimal *d)
{
    size_t begin = at;
    if (at >= len || (text[at] | 0x20) != 'e') return begin;
    at++;
    bool negative = at < len && text[at] == '-';
    if (at < len && (text[at] == '-' || text[at] == '+')) at++;
    if (at >= len || !is_digit(text[at])) return begin;
    int64_t exponent = 0;
    for (; at < len && is_digit(text[at]); at++)
        if (exponent < 100000000) exponent = exponent * 10 + (text[at] - '0');
    d->power += negative ? -exponent : exponent;
    return at;
}

/* The length of the number by its grammar, 0 for none. */
static size_t scan(const char *text, size_t len, bool json, struct decimal *d)
{
    size_t at = 0;
    if (at < len && (text[at] == '-' || (!json && text[at] == '+')))
        d->negative = text[at++] == '-';
    size_t whole = at;
    at = take_digits(text, at, len, d, false);
    size_t whole_digits = at - whole;
    if (json && (whole_digits == 0 || (whole_digits > 1 && text[whole] == '0'))) return 0;
    if (at < len && text[at] == '.') {
        size_t after = take_digits(text, at + 1, len, d, true);
        size_t fraction_digits = after - at - 1;
        if (fraction_digits == 0 && (json || whole_digits == 0)) return 0;
        at = after;
    } else if (whole_digits == 0) {
        return 0;
    }
    return take_exponent(text, at, len, d);
}

static bool fast(const struct decimal *d, float *value)
{
    if (d->power < -22 || d->power > 22) return false;
    double v = (double)d->digits;
    v = d->power < 0 ? v / power_of_ten[-d->power] : v * power_of_ten[d->power];
    if (v > 0x1p126) return false; /* near the largest float, or above */
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint64_t below = bits & 0x1fffffff; /* the 29 bits that a float lacks; midpoint 2^28 */
    if (below > 0x10000000 - 8 && below < 0x10000000 + 8) return false;
    *value = (float)(d->negative ? -v : v);
    return true;
}

/* strtof obeys the locale's decimal point. The program's locale is "C" unless someone calls
 * setlocale; a locale object of our own makes that certain. */
static float slow(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) return strtof(text, NULL);
    float value = strtof_l(text, NULL, c);
    freelocale(c);
    return value;
}

static size_t word_len(const char *text, size_t len)
{
    static const char *const words[] = {"infinity", "inf", "nan"};
    size_t sign = len > 0 && (text[0] == '-' || text[0] == '+');
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if (len >= sign + n && strncasecmp(text + sign, words[i], n) == 0) return sign + n;
    }
    return 0;
}

enum number_status number_parse(const char *text, size_t len, bool json, float *value, size_t *used)
{
    struct decimal d = {0, 0, 0, false};
    *used = scan(text, len, json, &d);
    if (*used == 0) {
        *used = word_len(text, len);
        return *used ? NUMBER_NOT_FINITE : NUMBER_NOT;
    }
    if (!fast(&d, value)) *value = slow(text);
    return isfinite(*value) ? NUMBER_OK : NUMBER_TOO_LARGE;
}

const char *number_fault(enum number_status status)
{
    switch (status) {
    case NUMBER_OK:
        return "is a number";
    case NUMBER_NOT:
        return "is not a number";
    case NUMBER_TOO_LARGE:
        return "is too large for a 32-bit float";
    case NUMBER_NOT_FINITE:
        return "is not finite";
    }
    return "is not a number";
}
