/* truth.h: the true neighbours of a benchmark's queries, and how many of them an answer has.
 *
 * The truth is the file's own list of neighbours where that speaks of this very index, else an
 * exact scan. A neighbour counts as found when it is no further away than the k-th true one, as
 * ann-benchmarks counts, so that ties cost nothing.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_BENCH_TRUTH_H
#define TOOLS_BENCH_TRUTH_H

#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "input/input.h"
#include "vdb.h"

struct truth { /* all of it is the caller's */
    const struct cli *cli;
    const char *path; /* of the file with the queries */
    enum input_format format;
    const struct vdb_snapshot *snapshot;
    const struct vdb_info *info;
    uint32_t k;           /* at most the live rows */
    const float *queries; /* query_count * dim */
    size_t query_count;

    struct vdb_hit *hits; /* query_count * k, for passing use */

    /* by truth_find */
    double *reach;   /* a query: the distance of its k-th true neighbour */
    uint32_t *count; /* and how many true neighbours there are */
};

/* Returns an exit status and has told what was wrong. */
int truth_find(struct truth *truth);

/* The share of query q's true neighbours that these answers have, 0 to 1. */
double truth_recall(const struct truth *truth, size_t q, const struct vdb_hit *hits,
                    uint32_t found);

#endif
