/* plot.h: the curve of recall against speed as one SVG file, as vdb-bench --plot draws it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_BENCH_PLOT_H
#define TOOLS_BENCH_PLOT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli.h"
#include "newfile.h"
#include "vdb.h"

#define PLOT_POINTS_MAX 64

/* What one pass over the queries has measured. */
struct plot_point {
    uint32_t ef;              /* 0: not known */
    double aim;               /* the recall that was asked for; 0: none, but that effort */
    double recall, p5_recall; /* 0 to 1 */
    double qps, p50_us, p99_us;
};

struct plot {
    /* by the caller */
    const struct cli *cli;
    const char *path; /* of the SVG file */

    /* by plot_open */
    FILE *out;
    struct newfile file;
};

struct plot_curve {
    const char *index, *dataset; /* names of files, of any bytes */
    const struct vdb_info *info;
    uint32_t k;
    size_t queries;
    unsigned threads;
    struct plot_point *points; /* plot_close sorts them by recall */
    size_t count;              /* 1 to PLOT_POINTS_MAX */
};

/* Both return an exit status and have told what was wrong. The file is made before anything is
 * measured, so that a bad path shows at once. */
int plot_open(struct plot *plot);

/* Draws the curve and gives the file its name where `status` is 0, else gives it up. Returns
 * `status`, or what went wrong here. */
int plot_close(struct plot *plot, int status, const struct plot_curve *curve);

/* Draws the curve on a stream. */
void plot_draw(FILE *out, const struct plot_curve *curve);

#endif
