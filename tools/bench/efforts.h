/* efforts.h: lists of efforts, as users write them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_BENCH_EFFORTS_H
#define TOOLS_BENCH_EFFORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/plot.h"
#include "cli.h"

#define EFFORTS_MAX PLOT_POINTS_MAX

struct effort {
    uint32_t ef;   /* 0: what `recall` asks for */
    double recall; /* to aim at */
};

/* What --ef takes, or with `recalls` what --recall does: numbers with commas between them. Returns
 * how many there are; a list of more than EFFORTS_MAX, or with a bad number, is wrong usage. */
size_t efforts_take(const struct cli *cli, bool recalls, const char *list,
                    struct effort efforts[EFFORTS_MAX]);

#endif
