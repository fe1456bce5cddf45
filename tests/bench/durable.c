/* durable.c: what durability costs, and what processes that share an index cost each other.
 *
 * Usage: durable [--no-write-out] [commits|batches|writers|search|scan|maintenance|opening|
 * refreshing|past]... measures what is named, else all, in files in the working directory, whose
 * file system is what counts. Prints notes, in lines that begin with `#`, and FIGURE, REACHED,
 * TARGET, yes or no, between tabs. NOTES.md says how each figure is taken.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench/durable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct measurement {
    const char *name;
    void (*take)(void);
} measurements[] = {
    {"commits", measure_commits}, {"batches", measure_batches},
    {"writers", measure_writers}, {"search", measure_search},
    {"scan", measure_scan},       {"maintenance", measure_maintenance},
    {"opening", measure_opening}, {"refreshing", measure_refreshing},
    {"past", measure_past},
};
#define MEASUREMENTS (sizeof measurements / sizeof *measurements)

static void take(const struct measurement *m)
{
    double begin = now_ms();
    fprintf(stderr, "bench: durability: %s\n", m->name);
    m->take();
    note("%s: %.0f s", m->name, (now_ms() - begin) / 1e3);
}

int main(int argc, char **argv)
{
    int at = 1;
    if (at < argc && strcmp(argv[at], "--no-write-out") == 0) {
        write_out_off = true;
        at++;
    }
    for (int i = at; i < argc; i++) {
        size_t m = 0;
        while (m < MEASUREMENTS && strcmp(measurements[m].name, argv[i]) != 0) m++;
        if (m == MEASUREMENTS) {
            fputs("usage: durable [--no-write-out] [MEASUREMENT...]\n", stderr);
            return 2;
        }
        take(&measurements[m]);
    }
    for (size_t m = 0; m < MEASUREMENTS && at == argc; m++) take(&measurements[m]);
    return 0;
}
