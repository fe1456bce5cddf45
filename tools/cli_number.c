/* cli_number.c: numbers as users write them in options.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t cli_number(const struct cli *cli, const char *option, const char *text, uint64_t min,
                    uint64_t max)
{
    uint64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        if (value > (UINT64_MAX - digit) / 10) break;
        value = value * 10 + digit;
    }
    if (*c || c == text || value < min || value > max)
        cli_usage_error(cli, "%s: '%s' is not a number from %llu to %llu", option, text,
                        (unsigned long long)min, (unsigned long long)max);
    return value;
}

double cli_real(const struct cli *cli, const char *option, const char *text)
{
    char *end;
    errno = 0;
    /* The set of characters keeps out what strtod takes beyond it: hexadecimal, nan, inf, space. */
    double value = strtod(text, &end);
    if (!*text || *end || text[strspn(text, "+-.0123456789eE")] || !isfinite(value))
        cli_usage_error(cli, "%s: '%s' is not a number", option, text);
    return value;
}
