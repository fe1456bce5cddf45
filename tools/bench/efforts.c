/* efforts.c: lists of efforts, as users write them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench/efforts.h"

#include <stdio.h>
#include <string.h>

/* cli_number and cli_real see to bad ones. */
static struct effort take_one(const struct cli *cli, bool recalls, const char *text)
{
    struct effort effort = {0, 0};
    if (!recalls) {
        effort.ef = (uint32_t)cli_number(cli, "--ef", text, 1, UINT32_MAX - 1);
        return effort;
    }
    effort.recall = cli_real(cli, "--recall", text);
    if (!(effort.recall > 0 && effort.recall <= 1))
        cli_usage_error(cli, "--recall: '%s' is not above 0 and at most 1", text);
    return effort;
}

size_t efforts_take(const struct cli *cli, bool recalls, const char *list,
                    struct effort efforts[EFFORTS_MAX])
{
    const char *name = recalls ? "--recall" : "--ef";
    size_t count = 0;
    for (const char *at = list;; at++) {
        char text[64];
        size_t len = strcspn(at, ",");
        if (count == EFFORTS_MAX)
            cli_usage_error(cli, "%s: more than %d in the list", name, EFFORTS_MAX);
        if (len >= sizeof text) cli_usage_error(cli, "%s: '%.*s' is too long", name, (int)len, at);
        snprintf(text, sizeof text, "%.*s", (int)len, at);
        efforts[count++] = take_one(cli, recalls, text);
        at += len;
        if (*at == '\0') return count;
    }
}
