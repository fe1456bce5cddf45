/* calibration.c: calibration segments; implements format-spec/calibration.md.
 *
 *     header | disk_calibration_curve a curve | disk_calibration_point a point, curve by curve
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/calibration.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

static const char SEGMENT[] = "calibration";

#define EXTRAPOLATE_MAX 4.0 /* times the last effort of a curve */
#define AIM_ABOVE       0.1 /* of the misses, times the recall */
#define TAIL_MISSES     4.0 /* times the misses of the mean: what all but 5% of the queries stay in */

/* ---- encoding ------------------------------------------------------------------------------ */

enum vdb_status calibration_encode(const struct calibration *from, struct buf *to,
                                   struct vdb_error *err)
{
    struct disk_calibration_header header = {.curve_count = le32_put(from->curve_count),
                                             .dimension = le32_put(from->dimension),
                                             .hubness = le32_put((uint32_t)from->hubness),
                                             .rival = le32_put(from->rival),
                                             .rival_cost = le32_put(from->rival_cost),
                                             .walk_dimension = le32_put(from->walk_dimension),
                                             .measured_rows = le32_put(from->measured_rows)};
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
            struct disk_calibration_point disk = {
                le32_put(point->effort), le32_put(point->recall),   le32_put(point->error),
                le32_put(point->p5),     le32_put(point->p5_error), le32_put(point->zero),
                le32_put(point->cost)};
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

static struct calibration_point point_get(const uint8_t *p)
{
    struct disk_calibration_point disk;
    memcpy(&disk, p, sizeof disk);
    return (struct calibration_point){
        .effort = le32_get(disk.effort),
        .recall = le32_get(disk.recall),
        .error = le32_get(disk.error),
        .p5 = le32_get(disk.p5),
        .p5_error = le32_get(disk.p5_error),
        .zero = le32_get(disk.zero),
        .cost = le32_get(disk.cost),
    };
}

#define POINT_FIELD(name) offsetof(struct disk_calibration_point, name)

/* `off` is where in the file it lies, `last` the point before. */
static enum vdb_status check_point(const struct calibration_point *point,
                                   const struct calibration_point *last, uint64_t off,
                                   struct vdb_error *err)
{
    if (point->effort <= last->effort)
        return error_set_corrupt(err, SEGMENT, off, "effort %" PRIu32 " follows %" PRIu32,
                                 point->effort, last->effort);
    if (point->recall < last->recall || point->recall > CALIBRATION_RECALL_ONE)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(recall),
                                 "a recall of %" PRIu32 " millionths follows %" PRIu32,
                                 point->recall, last->recall);
    if (point->error > CALIBRATION_RECALL_ONE)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(error),
                                 "a standard error of %" PRIu32 " millionths", point->error);
    if (point->p5 < last->p5 || point->p5 > CALIBRATION_RECALL_ONE)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(p5),
                                 "a 5th percentile of %" PRIu32 " millionths follows %" PRIu32,
                                 point->p5, last->p5);
    if (point->p5_error > point->p5)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(p5_error),
                                 "the error of a 5th percentile, %" PRIu32
                                 " millionths, is more than the %" PRIu32 " of that",
                                 point->p5_error, point->p5);
    if (point->zero > last->zero)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(zero),
                                 "a share of zeros of %" PRIu32 " millionths follows %" PRIu32,
                                 point->zero, last->zero);
    if (point->cost < last->cost)
        return error_set_corrupt(err, SEGMENT, off + POINT_FIELD(cost),
                                 "a cost of %" PRIu32 " nanoseconds follows %" PRIu32, point->cost,
                                 last->cost);
    return VDB_OK;
}

static enum vdb_status get_points(const uint8_t *p, size_t at, uint64_t file_off,
                                  struct calibration_curve *curve, struct vdb_error *err)
{
    struct calibration_point last = {.zero = CALIBRATION_RECALL_ONE};
    for (uint32_t i = 0; i < curve->point_count; i++, at += sizeof(struct disk_calibration_point)) {
        struct calibration_point point = point_get(p + at);
        enum vdb_status status = check_point(&point, &last, file_off + at, err);
        if (status) return status;
        curve->points[i] = last = point;
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

#define HEADER_FIELD(name) offsetof(struct disk_calibration_header, name)

static enum vdb_status check_header(const struct calibration *c, uint64_t file_off,
                                    struct vdb_error *err)
{
    if (c->curve_count == 0 || c->curve_count > CALIBRATION_CURVES_MAX)
        return error_set_corrupt(err, SEGMENT, file_off + HEADER_FIELD(curve_count),
                                 "it has %" PRIu32 " curves", c->curve_count);
    if (c->rival > DISK_INDEX_IVF)
        return error_set_corrupt(err, SEGMENT, file_off + HEADER_FIELD(rival),
                                 "its rival is of kind %" PRIu32, c->rival);
    if (c->rival_cost && !c->rival)
        return error_set_corrupt(err, SEGMENT, file_off + HEADER_FIELD(rival_cost),
                                 "a cost of %" PRIu32 " nanoseconds without a rival",
                                 c->rival_cost);
    return VDB_OK;
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
    out->dimension = le32_get(header.dimension);
    out->hubness = (int32_t)le32_get(header.hubness);
    out->rival = le32_get(header.rival);
    out->rival_cost = le32_get(header.rival_cost);
    out->walk_dimension = le32_get(header.walk_dimension);
    out->measured_rows = le32_get(header.measured_rows);
    enum vdb_status status = check_header(out, file_off, err);
    if (!status) status = get_curves(p, len, file_off, out, err);
    if (status) memset(out, 0, sizeof *out);
    return status;
}

/* ---- from recall to effort and cost -------------------------------------------------------- */

/* The least effort with which what was measured, `values` by point less their errors, is `wanted`.
 *
 * Linear in the value and in the logarithm of the effort. Recall bends downwards over the logarithm
 * of the effort where it is high, so that between two points the chord asks for a little more
 * effort than the curve would, never for less; and unlike the logarithm of the misses, it needs no
 * care where nothing is missed. Beyond the last point the misses are taken to halve with each
 * doubling of the effort: on the sets measured they shrink faster. */
static double least_effort(const struct calibration_curve *curve, const double *values,
                           double wanted)
{
    const struct calibration_point *points = curve->points;
    double low = values[0];
    if (wanted <= low) return points[0].effort;
    for (uint32_t i = 1; i < curve->point_count; i++) {
        double high = values[i] > low ? values[i] : low;
        if (wanted <= high) { /* and low < wanted */
            double from = log(points[i - 1].effort), to = log(points[i].effort);
            return exp(from + (wanted - low) / (high - low) * (to - from));
        }
        low = high;
    }
    double misses = CALIBRATION_RECALL_ONE - low, left = CALIBRATION_RECALL_ONE - wanted;
    double factor = left * EXTRAPOLATE_MAX > misses ? misses / left : EXTRAPOLATE_MAX;
    return points[curve->point_count - 1].effort * factor;
}

/* The square root of how many times as many rows there are: merged graphs of Fashion-MNIST and of
 * GloVe were measured to miss no more (tests/bench/NOTES.md). */
double calibration_growth(const struct calibration *c)
{
    bool more = c->measured_rows && c->rows > c->measured_rows;
    return more ? sqrt((double)c->rows / c->measured_rows) : 1;
}

static double effort_on(const struct calibration_curve *curve, double growth, double recall)
{
    double means[CALIBRATION_POINTS_MAX], tails[CALIBRATION_POINTS_MAX];
    for (uint32_t i = 0; i < curve->point_count; i++) {
        const struct calibration_point *point = &curve->points[i];
        double missed = CALIBRATION_RECALL_ONE - point->recall;
        means[i] = CALIBRATION_RECALL_ONE - missed * growth - point->error;
        if (means[i] < 0) means[i] = 0;
        tails[i] = point->p5 - point->p5_error;
    }
    double mean = recall + AIM_ABOVE * recall * (1 - recall);
    /* The last bits of 1 - recall are not to cost a row, nor is what millionths cut off. */
    double missed = ceil(TAIL_MISSES * (1 - recall) * curve->k - 1e-6) / curve->k;
    double effort = least_effort(curve, means, mean * CALIBRATION_RECALL_ONE);
    double tail = least_effort(curve, tails, (1 - missed) * CALIBRATION_RECALL_ONE - 1);
    return effort > tail ? effort : tail;
}

/* The last bits of log and exp differ between systems; the answer is not to. */
static uint32_t round_up(double value)
{
    value = ceil(value * (1 - 1e-9));
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* From (from, a) to (to, b) in a straight line of logarithms. */
static double between(double from, double to, double a, double b, double at)
{
    return exp(log(a) + (log(at) - log(from)) / (log(to) - log(from)) * (log(b) - log(a)));
}

static double within(double recall)
{
    if (!(recall >= 0)) return 0;
    return recall > 1 ? 1 : recall;
}

/* The first curve whose k is no less, or curve_count. */
static uint32_t curve_above(const struct calibration *calibration, uint32_t k)
{
    uint32_t i = 0;
    while (i < calibration->curve_count && calibration->curves[i].k < k) i++;
    return i;
}

uint32_t calibration_effort(const struct calibration *calibration, uint32_t k, double recall)
{
    uint32_t count = calibration->curve_count;
    if (count == 0) return 0;
    const struct calibration_curve *curves = calibration->curves;
    recall = within(recall);
    uint32_t above = curve_above(calibration, k);
    double growth = calibration_growth(calibration);
    if (above == count)
        return round_up(effort_on(&curves[count - 1], growth, recall) * k / curves[count - 1].k);
    double effort = effort_on(&curves[above], growth, recall);
    if (above && curves[above].k > k)
        effort = between(curves[above - 1].k, curves[above].k,
                         effort_on(&curves[above - 1], growth, recall), effort, k);
    return round_up(effort);
}

static bool comes_to(const struct calibration_curve *curve, double recall)
{
    return curve->points[curve->point_count - 1].recall >= recall * CALIBRATION_RECALL_ONE;
}

bool calibration_reaches(const struct calibration *calibration, uint32_t k, double recall)
{
    const struct calibration_curve *curves = calibration->curves;
    uint32_t above = curve_above(calibration, k), count = calibration->curve_count;
    if (count == 0) return true;
    if (above == count) return comes_to(&curves[count - 1], recall);
    if (above && curves[above].k > k && !comes_to(&curves[above - 1], recall)) return false;
    return comes_to(&curves[above], recall);
}

/* 0 beyond the last point. What a search does grows about as its effort. */
static uint32_t cost_on(const struct calibration_curve *curve, double growth, double recall)
{
    const struct calibration_point *points = curve->points;
    uint32_t effort = round_up(effort_on(curve, growth, recall)), i = 0;
    while (i < curve->point_count && points[i].effort < effort) i++;
    if (i == curve->point_count) return 0;
    if (i == 0) return points[0].cost;
    uint64_t rise = points[i].cost - points[i - 1].cost;
    uint64_t cost =
        rise * (effort - points[i - 1].effort) / (points[i].effort - points[i - 1].effort);
    return points[i - 1].cost + (uint32_t)cost;
}

uint32_t calibration_cost(const struct calibration *calibration, uint32_t k, double recall)
{
    const struct calibration_curve *curves = calibration->curves;
    recall = within(recall);
    uint32_t above = curve_above(calibration, k);
    if (above == calibration->curve_count) return 0;
    double growth = calibration_growth(calibration);
    uint32_t high = cost_on(&curves[above], growth, recall);
    if (above == 0 || curves[above].k == k) return high;
    uint32_t low = cost_on(&curves[above - 1], growth, recall);
    if (!low || !high) return 0;
    return round_up(between(curves[above - 1].k, curves[above].k, low, high, k));
}
