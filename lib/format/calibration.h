/* calibration.h: calibration segments: what recall which effort gave, and what it cost
 * (format-spec/calibration.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_CALIBRATION_H
#define VDB_FORMAT_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "vdb.h"

#define CALIBRATION_CURVES_MAX 8
#define CALIBRATION_POINTS_MAX 64
#define CALIBRATION_RECALL_ONE 1000000u

struct calibration_point {
    uint32_t effort;   /* at least 1 */
    uint32_t recall;   /* in millionths, 0 to CALIBRATION_RECALL_ONE */
    uint32_t error;    /* the standard error of that mean, in millionths */
    uint32_t p5;       /* the 5th percentile: what 95% of the queries reached, in millionths */
    uint32_t p5_error; /* its standard error, in millionths; at most p5 */
    uint32_t zero;     /* the share of queries that found none of their k, in millionths */
    uint32_t cost;     /* nanoseconds that a search is estimated to take, by what it counts */
};

struct calibration_curve {
    uint32_t k;           /* the recall is recall@k; at least 1 */
    uint32_t query_count; /* it is the mean over so many queries; at least 1 */
    uint32_t point_count; /* 1 to CALIBRATION_POINTS_MAX */
    struct calibration_point points[CALIBRATION_POINTS_MAX];
};

/* All zero: nothing was measured. Both the k of the curves and the efforts of a curve rise; along a
 * curve the recall, its percentile and the cost never fall, and the share of zeros never rises. */
struct calibration {
    uint32_t dimension;      /* the rows' intrinsic dimension in thousandths; 0: not measured */
    int32_t hubness;         /* skewness of how many rows' nearest a row is among, in thousandths */
    uint32_t rival;          /* DISK_INDEX_ kind that was tried beside the part's own; 0: none */
    uint32_t rival_cost;     /* its nanoseconds for recall@10 0.95; 0: it did not reach that */
    uint32_t walk_dimension; /* in thousandths, that the walks measured end by; 0: by ef alone */
    uint32_t measured_rows;  /* how many of the part's rows there were then; 0: all of them */
    uint32_t rows;           /* how many there are now; not in the segment; 0: as many */
    uint32_t curve_count;    /* 0 to CALIBRATION_CURVES_MAX */
    struct calibration_curve curves[CALIBRATION_CURVES_MAX];
};

/* Appends the segment. There is at least one curve. Errors: VDB_NO_MEMORY. */
enum vdb_status calibration_encode(const struct calibration *from, struct buf *to,
                                   struct vdb_error *err);

/* The segment is the len bytes at p, which lie at file_off of the file. What it lets through is
 * within the bounds above, with 1 curve or more, and fills the segment. On an error *out is all
 * zero. Errors: VDB_CORRUPT. */
enum vdb_status calibration_decode(const void *p, size_t len, uint64_t file_off,
                                   struct calibration *out, struct vdb_error *err);

/* How many times as much is missed with the same effort now that there are more rows. */
double calibration_growth(const struct calibration *calibration);

/* The effort for a recall@k of `recall`, 0 to 1; 0 where nothing was measured. It is the least with
 * which, by the curves less one standard error,
 * - the mean is recall + recall * (1 - recall) / 10: other queries miss a little more than rows do
 *   that were taken out of the graph;
 * - all but 5% of the queries miss at most four times what is to be missed in the mean, in whole
 *   rows: 4 * (1 - recall) * k, rounded up.
 * Where rows have come since it was measured, the mean misses calibration_growth times as much.
 * Between what was measured it interpolates. Where a curve ends below that, effort grows as misses
 * must shrink, to four times the last one at most; beyond the last curve's k it grows as k does.
 * `k` is at least 1. */
uint32_t calibration_effort(const struct calibration *calibration, uint32_t k, double recall);

/* Whether the curves that tell the effort for `k` come to such a recall, or nothing was measured.
 */
bool calibration_reaches(const struct calibration *calibration, uint32_t k, double recall);

/* The nanoseconds that a search with that effort is estimated to take, between what was measured by
 * interpolation; 0 where nothing was measured, and where that recall was not reached or k is beyond
 * the last curve's. */
uint32_t calibration_cost(const struct calibration *calibration, uint32_t k, double recall);

#endif
