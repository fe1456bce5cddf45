/* policy.h: ages of rows and hours of the day, as users write them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_POLICY_H
#define TOOLS_POLICY_H

#include <stdint.h>

#include "cli.h"

/* What --recent takes: a number of rows, or one with a unit of time behind it (s, m, h, d, w),
 * which becomes seconds; the other is set to 0. Anything else is wrong usage. */
void policy_recent(const struct cli *cli, const char *value, uint32_t *rows, uint64_t *seconds);

/* What --keep-history and --keep-rows take: an age as above, in seconds; or "all", for which
 * *limited is 0; or "none", which is 0 seconds. Anything else is wrong usage. */
void policy_keep(const struct cli *cli, const char *option, const char *value, uint64_t *seconds,
                 int *limited);

/* What --quiet-hours takes: HH:MM-HH:MM, as minutes of the day, or "none", as two equal ones.
 * Anything else is wrong usage. */
void policy_quiet(const struct cli *cli, const char *value, uint32_t *begin, uint32_t *end);

/* As --quiet-hours takes them. */
const char *policy_quiet_text(uint32_t begin, uint32_t end, char text[16]);

/* What --now takes, seconds since 1970, in microseconds. Anything else is wrong usage. */
int64_t policy_time(const struct cli *cli, const char *value);

#endif
