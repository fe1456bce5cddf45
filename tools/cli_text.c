/* cli_text.c: numbers and strings as the tools print them.
 *
 * A float prints in the fewest digits that read back as the same float: found with exact powers of
 * ten in double precision for ordinary numbers, by trial for the rest. (Ryu and its kind are faster
 * still, at the price of large tables; here printing is not what a user waits for.)
 * SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* x times ten to the `power`, -22 to 22: exact powers, so that there is one rounding. */
static double scale(double x, int power)
{
    return power >= 0 ? x * powers_of_ten[power] : x / powers_of_ten[-power];
}

#define IN_DOUBT UINT32_MAX

/* The whole number nearest to x * 10^power, if it reads back as x, else 0.
 *
 * Reading back rounds twice, to double and to float, which is wrong only where the double lies
 * beside the middle between two floats: there the 29 bits that the float lacks are near 2^28. */
static uint32_t digits_at(float x, int power)
{
    double whole = rint(scale((double)x, power)), back = scale(whole, -power);
    uint64_t bits;
    memcpy(&bits, &back, sizeof bits);
    uint64_t beyond = bits & 0x1fffffff;
    if (beyond - 0xffffffc <= 8) return IN_DOUBT;
    return (float)back == x ? (uint32_t)whole : 0;
}

/* The fewest decimal digits that read back as x, for ordinary numbers: *power is such that
 * x = digits * 10^*power. 0 where the slow way must be taken. */
static uint32_t few_digits(float x, int *power)
{
    if (x < 1e-4F || x >= 1e9F) return 0;
    int tens = -4; /* 10^tens <= x, but for rounding, which moves one digit more or less */
    while (tens < 8 && (double)x >= scale(1, tens + 1)) tens++;
    /* n digits that read back mean that n + 1 do, since the nearest of n + 1 lies no further. (A
     * power of two, which has less room below than above, could be an exception: none here is.) */
    int low = 0, high = 9;
    uint32_t found = 0;
    while (high - low > 1) {
        int middle = high == 9 && low == 0 ? 6 : high == 9 && low == 6 ? 8 : (low + high) / 2;
        uint32_t digits = digits_at(x, middle - 1 - tens);
        if (digits == IN_DOUBT) return 0;
        if (digits) {
            high = middle;
            found = digits;
        } else {
            low = middle;
        }
    }
    if (!found) found = digits_at(x, 8 - tens);
    if (found == IN_DOUBT) return 0;
    *power = tens - (high - 1);
    return found;
}

static uint32_t few_digits_slowly(float x, int *power)
{
    for (int count = 1;; count++) {
        char text[48];
        snprintf(text, sizeof text, "%.*e", count - 1, (double)x);
        if (count < 9 && strtof(text, NULL) != x) continue;
        uint32_t digits = 0;
        const char *c = text;
        for (; *c != 'e'; c++)
            if (*c >= '0' && *c <= '9') digits = digits * 10 + (uint32_t)(*c - '0');
        *power = (int)strtol(c + 1, NULL, 10) - (count - 1);
        return digits;
    }
}

static const char *lay_out(bool negative, uint32_t value, int power, char text[32])
{
    char digits[16];
    while (value % 10 == 0) {
        value /= 10;
        power++;
    }
    int count = snprintf(digits, sizeof digits, "%u", value);
    int tens = count - 1 + power; /* of the first digit */
    const char *sign = negative ? "-" : "";
    if (tens < -5 || tens > 8)
        snprintf(text, 32, "%s%.1s%s%se%d", sign, digits, count > 1 ? "." : "", digits + 1, tens);
    else if (tens < 0)
        snprintf(text, 32, "%s0.%.*s%s", sign, -tens - 1, "0000", digits);
    else if (count <= tens + 1)
        snprintf(text, 32, "%s%s%.*s", sign, digits, tens + 1 - count, "00000000");
    else
        snprintf(text, 32, "%s%.*s.%s", sign, tens + 1, digits, digits + tens + 1);
    return text;
}

const char *cli_float(float value, char text[32])
{
    bool negative = signbit(value) != 0;
    float size = fabsf(value);
    if (isnan(value)) return strcpy(text, "nan");
    if (isinf(value)) return strcpy(text, negative ? "-inf" : "inf");
    if (size == 0) return strcpy(text, negative ? "-0.0" : "0");
    int power = 0;
    uint32_t digits = few_digits(size, &power);
    if (!digits) digits = few_digits_slowly(size, &power);
    return lay_out(negative, digits, power, text);
}

const char *cli_name(const char *text, size_t len, char to[CLI_NAME_SIZE])
{
    size_t used = 0;
    for (; used < len && used < VDB_ID_MAX; used++) {
        unsigned char c = (unsigned char)text[used];
        to[used] = c < 0x20 || c == 0x7f ? '?' : text[used];
    }
    strcpy(to + used, used < len ? "..." : "");
    return to;
}

void cli_json_string(FILE *to, const char *text, size_t len)
{
    putc('"', to);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            putc(c, to);
    }
    putc('"', to);
}
