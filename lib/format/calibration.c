/* calibration.c: calibration segments; implements format-spec/calibration.md.
 *
 *     header | disk_calibration_curve a curve | disk_calibration_point a point, curve by curve
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/calibration.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"

static const char SEGMENT[] = "calibration";

#define EXTRAPOLATE_MAX 4.0 /* times the last effort of a curve */

/* ---- encoding ------------------------------------------------------------------------------ */

enum vdb_status calibration_encode(const struct calibration *from, struct buf *to,
                                   struct vdb_error *err)
{
    struct disk_calibration_header header = {.curve_count = le32_put(from->curve_count)};
    memcpy(header.magic, VDB_CALIBRATION_MAGIC, sizeof header.magic);
    int failed = buf_append(to, &header, sizeof header);
    for (uint32_t i = 0; i < from->curve_count && !failed; i++) {
        const struct calibration_curve *curve = &from->curves[i];
        struct disk_calibration_curve disk = {.k = le32_put(curve->k),
                                              .query_count = le32_put(curve->query_count),
                                              .point_count = le32_put(curve->point_count)};
        failed = buf_append(to, &disk, sizeof disk);
    }
    for (uint32_t i = 0; i < from->curve_count; i++)
        for (uint32_t j = 0; j < from->curves[i].point_count && !failed; j++) {
            const struct calibration_point *point = &from->curves[i].points[j];
            struct disk_calibration_point disk = {le32_put(point->effort), le32_put(point->recall),
                                                  le32_put(point->error)};
            failed = buf_append(to, &disk, sizeof disk);
        }
    return failed ? error_no_memory(err) : VDB_OK;
}

/* ---- decoding ------------------------------------------------------------------------------ */

static enum vdb_status get_curve(const uint8_t *p, uint32_t number, uint64_t file_off,
                                 struct calibration *out, struct vdb_error *err)
{
    size_t at = sizeof(struct disk_calibration_header) +
                (size_t)number * sizeof(struct disk_calibration_curve);
    struct disk_calibration_curve disk;
    memcpy(&disk, p + at, sizeof disk);
    struct calibration_curve *curve = &out->curves[number];
    curve->k = le32_get(disk.k);
    curve->query_count = le32_get(disk.query_count);
    curve->point_count = le32_get(disk.point_count);
    if (curve->k <= (number ? out->curves[number - 1].k : 0))
        return error_set_corrupt(err, SEGMENT, file_off + at,
                                 "the k of curve %" PRIu32 " is %" PRIu32 ", out of order", number,
                                 curve->k);
    if (curve->query_count == 0)
        return error_set_corrupt(
            err, SEGMENT, file_off + at + offsetof(struct disk_calibration_curve, query_count),
            "curve %" PRIu32 " is of no queries", number);
    if (curve->point_count == 0 || curve->point_count > CALIBRATION_POINTS_MAX)
        return error_set_corrupt(
            err, SEGMENT, file_off + at + offsetof(struct disk_calibration_curve, point_count),
            "curve %" PRIu32 " has %" PRIu32 " points", number, curve->point_count);
    return VDB_OK;
}

static enum vdb_status get_points(const uint8_t *p, size_t at, uint64_t file_off,
                                  struct calibration_curve *curve, struct vdb_error *err)
{
    struct calibration_point before = {0, 0, 0};
    for (uint32_t i = 0; i < curve->point_count; i++, at += sizeof(struct disk_calibration_point)) {
        struct disk_calibration_point disk;
        memcpy(&disk, p + at, sizeof disk);
        struct calibration_point point = {le32_get(disk.effort), le32_get(disk.recall),
                                          le32_get(disk.error)};
        if (point.effort <= before.effort)
            return error_set_corrupt(err, SEGMENT, file_off + at,
                                     "effort %" PRIu32 " follows %" PRIu32, point.effort,
                                     before.effort);
        if (point.recall < before.recall || point.recall > CALIBRATION_RECALL_ONE)
            return error_set_corrupt(
                err, SEGMENT, file_off + at + offsetof(struct disk_calibration_point, recall),
                "a recall of %" PRIu32 " millionths follows %" PRIu32, point.recall, before.recall);
        if (point.error > CALIBRATION_RECALL_ONE)
            return error_set_corrupt(err, SEGMENT,
                                     file_off + at + offsetof(struct disk_calibration_point, error),
                                     "a standard error of %" PRIu32 " millionths", point.error);
        curve->points[i] = before = point;
    }
    return VDB_OK;
}

static enum vdb_status get_curves(const uint8_t *p, size_t len, uint64_t file_off,
                                  struct calibration *out, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    size_t at = sizeof(struct disk_calibration_header) +
                out->curve_count * sizeof(struct disk_calibration_curve);
    size_t end = at;
    if (end > len)
        return error_set_corrupt(err, SEGMENT, file_off,
                                 "%zu bytes do not hold its %" PRIu32 " curves", len,
                                 out->curve_count);
    for (uint32_t i = 0; i < out->curve_count && !status; i++) {
        status = get_curve(p, i, file_off, out, err);
        end += out->curves[i].point_count * sizeof(struct disk_calibration_point);
    }
    if (!status && end != len)
        return error_set_corrupt(err, SEGMENT, file_off, "it has %zu bytes, its points end at %zu",
                                 len, end);
    for (uint32_t i = 0; i < out->curve_count && !status; i++) {
        status = get_points(p, at, file_off, &out->curves[i], err);
        at += out->curves[i].point_count * sizeof(struct disk_calibration_point);
    }
    return status;
}

enum vdb_status calibration_decode(const void *p, size_t len, uint64_t file_off,
                                   struct calibration *out, struct vdb_error *err)
{
    struct disk_calibration_header header;
    memset(out, 0, sizeof *out);
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    if (memcmp(header.magic, VDB_CALIBRATION_MAGIC, sizeof header.magic) != 0)
        return error_set_corrupt(err, SEGMENT, file_off, "it has no magic");
    out->curve_count = le32_get(header.curve_count);
    enum vdb_status status = VDB_OK;
    if (out->curve_count == 0 || out->curve_count > CALIBRATION_CURVES_MAX)
        status = error_set_corrupt(err, SEGMENT,
                                   file_off + offsetof(struct disk_calibration_header, curve_count),
                                   "it has %" PRIu32 " curves", out->curve_count);
    if (!status) status = get_curves(p, len, file_off, out, err);
    if (status) memset(out, 0, sizeof *out);
    return status;
}

/* ---- from recall to effort ----------------------------------------------------------------- */

/* The recall of a point less its standard error; not below that of the points before. */
static double assured(const struct calibration_point *point, double before)
{
    double low = (double)point->recall - (double)point->error;
    return low > before ? low : before;
}

/* Linear in the recall and in the logarithm of the effort. Recall bends downwards over the
 * logarithm of the effort where it is high, so that between two points the chord asks for a little
 * more effort than the curve would, never for less; and unlike the logarithm of the misses, it
 * needs no care where nothing is missed. Beyond the last point the misses are taken to halve with
 * each doubling of the effort: on the sets measured they shrink faster. */
static double effort_on(const struct calibration_curve *curve, double recall)
{
    const struct calibration_point *points = curve->points;
    double low = assured(&points[0], 0);
    if (recall <= low) return points[0].effort;
    for (uint32_t i = 1; i < curve->point_count; i++) {
        double high = assured(&points[i], low);
        if (recall <= high) { /* and low < recall */
            double from = log(points[i - 1].effort), to = log(points[i].effort);
            return exp(from + (recall - low) / (high - low) * (to - from));
        }
        low = high;
    }
    double misses = CALIBRATION_RECALL_ONE - low, left = CALIBRATION_RECALL_ONE - recall;
    double factor = left * EXTRAPOLATE_MAX > misses ? misses / left : EXTRAPOLATE_MAX;
    return points[curve->point_count - 1].effort * factor;
}

uint32_t calibration_effort(const struct calibration *calibration, uint32_t k, double recall)
{
    uint32_t count = calibration->curve_count, above = 0;
    if (count == 0) return 0;
    double millionths = recall * CALIBRATION_RECALL_ONE, effort;
    if (!(millionths >= 0)) millionths = 0;
    if (millionths > CALIBRATION_RECALL_ONE) millionths = CALIBRATION_RECALL_ONE;
    const struct calibration_curve *curves = calibration->curves;
    while (above < count && curves[above].k < k) above++;
    if (above == 0) {
        effort = effort_on(&curves[0], millionths);
    } else if (above == count) {
        effort = effort_on(&curves[count - 1], millionths) * k / curves[count - 1].k;
    } else {
        double low = log(curves[above - 1].k), high = log(curves[above].k);
        double from = log(effort_on(&curves[above - 1], millionths));
        double to = log(effort_on(&curves[above], millionths));
        effort = exp(from + (log(k) - low) / (high - low) * (to - from));
    }
    /* The last bits of log and exp differ between systems; the answer is not to. */
    effort = ceil(effort * (1 - 1e-9));
    return effort < UINT32_MAX ? (uint32_t)effort : UINT32_MAX;
}
