/* policy.c: ages of rows and hours of the day, as users write them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MINUTES 1440

static uint64_t seconds_of(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 604800;
    default:
        return 0;
    }
}

/* Takes apart a number and the unit behind it, in seconds, or 0 where there is none. False: the
 * value is neither. */
static bool split(const char *value, char number[24], uint64_t *unit)
{
    size_t digits = strspn(value, "0123456789");
    *unit = value[digits] ? seconds_of(value[digits]) : 0;
    if (digits == 0 || digits >= 24 || (value[digits] && (!*unit || value[digits + 1])))
        return false;
    memcpy(number, value, digits);
    number[digits] = '\0';
    return true;
}

void policy_recent(const struct cli *cli, const char *value, uint32_t *rows, uint64_t *seconds)
{
    char number[24];
    uint64_t unit;
    if (!split(value, number, &unit))
        cli_usage_error(cli, "--recent: '%s' is no number of rows and no age such as 30d or 12h",
                        value);
    uint64_t most = unit ? VDB_RECENT_SECONDS_MAX / unit : UINT32_MAX - 1;
    uint64_t count = cli_number(cli, "--recent", number, 1, most);
    *rows = unit ? 0 : (uint32_t)count;
    *seconds = count * unit;
}

void policy_keep(const struct cli *cli, const char *option, const char *value, uint64_t *seconds,
                 int *limited)
{
    char number[24];
    uint64_t unit;
    *seconds = 0;
    *limited = strcmp(value, "all") != 0;
    if (!*limited || strcmp(value, "none") == 0) return;
    if (!split(value, number, &unit) || !unit)
        cli_usage_error(cli, "%s: '%s' is not all, none or an age such as 30d or 12h", option,
                        value);
    *seconds = cli_number(cli, option, number, 1, VDB_RECENT_SECONDS_MAX / unit) * unit;
}

/* Minutes of the day from "HH:MM", or DAY_MINUTES where that is no time of it; "24:00" ends it. */
static uint32_t minutes_of(const char *text)
{
    for (int i = 0; i < 5; i++)
        if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9') return DAY_MINUTES;
    uint32_t hours = (uint32_t)(text[0] - '0') * 10 + (uint32_t)(text[1] - '0');
    uint32_t minutes = (uint32_t)(text[3] - '0') * 10 + (uint32_t)(text[4] - '0');
    if (hours == 24 && minutes == 0) return 0;
    return hours < 24 && minutes < 60 ? hours * 60 + minutes : DAY_MINUTES;
}

void policy_quiet(const struct cli *cli, const char *value, uint32_t *begin, uint32_t *end)
{
    *begin = *end = 0;
    if (strcmp(value, "none") == 0) return;
    bool formed = strlen(value) == 11 && value[5] == '-';
    *begin = formed ? minutes_of(value) : DAY_MINUTES;
    *end = formed ? minutes_of(value + 6) : DAY_MINUTES;
    if (*begin >= DAY_MINUTES || *end >= DAY_MINUTES)
        cli_usage_error(cli, "--quiet-hours: '%s' is not HH:MM-HH:MM or none", value);
    if (*begin == *end)
        cli_usage_error(cli, "--quiet-hours: '%s' begin when they end; none is for no quiet hours",
                        value);
}

const char *policy_quiet_text(uint32_t begin, uint32_t end, char text[16])
{
    snprintf(text, 16, "%02u:%02u-%02u:%02u", begin / 60 % 24, begin % 60, end / 60 % 24, end % 60);
    return text;
}

int64_t policy_time(const struct cli *cli, const char *value)
{
    return (int64_t)cli_number(cli, "--now", value, 1, INT64_MAX / 1000000) * 1000000;
}
