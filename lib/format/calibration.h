/* calibration.h: calibration segments: what recall which effort gave
 * (format-spec/calibration.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_CALIBRATION_H
#define VDB_FORMAT_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "vdb.h"

#define CALIBRATION_CURVES_MAX 8
#define CALIBRATION_POINTS_MAX 64
#define CALIBRATION_RECALL_ONE 1000000u

struct calibration_point {
    uint32_t effort; /* at least 1 */
    uint32_t recall; /* in millionths, 0 to CALIBRATION_RECALL_ONE */
    uint32_t error;  /* the standard error of that mean, in millionths */
};

struct calibration_curve {
    uint32_t k;           /* the recall is recall@k; at least 1 */
    uint32_t query_count; /* it is the mean over so many queries; at least 1 */
    uint32_t point_count; /* 1 to CALIBRATION_POINTS_MAX */
    struct calibration_point points[CALIBRATION_POINTS_MAX];
};

/* All zero: nothing was measured. Both the k of the curves and the efforts of a curve rise; the
 * recall along a curve never falls. */
struct calibration {
    uint32_t curve_count; /* 0 to CALIBRATION_CURVES_MAX */
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

/* The effort for a recall@k of `recall`, 0 to 1; 0 where nothing was measured. It is the least that
 * reaches it by the curves less one standard error, so that it is reached five times in six, and
 * exceeded by little. Between what was measured it interpolates. Where the curve ends below
 * `recall`, effort grows as misses must shrink, to four times the last one at most; beyond the last
 * curve's k it grows as k does. `k` is at least 1. */
uint32_t calibration_effort(const struct calibration *calibration, uint32_t k, double recall);

#endif
