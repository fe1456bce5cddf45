/* vafile4.c: rows by 4-bit codes, and which of them can be among the nearest to a query.
 *
 * What the rotation and sums in binary32 may be off by is added to each row's and query's distance
 * from their codes, so that bounds hold all the same.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/vafile4.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "vector/kernel_bound.h"
#include "vector/vtype.h"

/* Of a vector's length, what rounding in a rotation of up to 65,535 dimensions, some 40 steps of
 * 2^-24 each, and in what is made of it may amount to. */
#define ROUNDING 1e-5
/* Of the largest numbers that a bound is made of, five operations. */
#define BOUND_ROUNDING 1e-6
#define UNIT_ROUNDING  1e-7 /* as in vafile.c */

#define LENGTH_MAX  1e18 /* what is longer is let through, */
#define LEFT_MAX    4    /* and what is farther from its code, in steps and roots of dimensions */
#define NUMBERS_MAX 1e37

/* In root mean squares: the best for normally spread values (Max, "Quantizing for Minimum
 * Distortion", 1960). */
#define STEP 0.335

#define DEVIATIONS 4 /* of a normal value: one in 30,000 is beyond */

#define LONGER 4 /* than half of the rows: such a row is left out of a frame */
/* A frame serves rows that are up to so many times as far from its centre as from their own, and
 * not under such a share of the distance that it was made for. */
#define FARTHER 1.25
#define SMALLER 0.6

struct vafile4_frame {
    int refs;
    float step;      /* above 0 */
    double distance; /* root mean square, of the rows that it was made for */
    double size;     /* of the centre */
    float center[];  /* dim of them */
};

size_t vafile4_bytes(uint32_t dim)
{
    return 8 * kernel_bound_groups(dim);
}

/* ---- frames -------------------------------------------------------------------------------- */

static struct vafile4_frame *frame_ref(struct vafile4_frame *frame)
{
    __atomic_add_fetch(&frame->refs, 1, __ATOMIC_RELAXED);
    return frame;
}

void vafile4_frame_free(struct vafile4_frame *frame)
{
    if (frame && __atomic_sub_fetch(&frame->refs, 1, __ATOMIC_ACQ_REL) == 0) free(frame);
}

/* Rows of the sample: [count][dim]. */
struct sample {
    float *rows;
    uint32_t count, dim;
};

static double distance_from(const struct sample *sample, const float *center)
{
    double sum = 0;
    for (uint32_t i = 0; i < sample->count; i++)
        for (uint32_t j = 0; j < sample->dim; j++) {
            double y = (double)sample->rows[(size_t)i * sample->dim + j] - (double)center[j];
            sum += y * y;
        }
    return sample->count ? sqrt(sum / sample->count) : 0;
}

static struct vafile4_frame *frame_create(const struct vafile_space *space,
                                          const struct sample *sample)
{
    uint32_t dim = sample->dim;
    struct vafile4_frame *frame = malloc(sizeof *frame + dim * sizeof(float));
    if (!frame) return NULL;
    for (uint32_t j = 0; j < dim; j++) {
        double sum = 0;
        for (uint32_t i = 0; i < sample->count; i++)
            sum += (double)sample->rows[(size_t)i * dim + j];
        frame->center[j] = sample->count ? (float)(sum / sample->count) : 0;
    }
    frame->refs = 1;
    frame->size = sqrt(space->kernels->sumsq[VDB_TYPE_F32](frame->center, dim));
    frame->distance = distance_from(sample, frame->center);
    double step = STEP * frame->distance / sqrt(dim);
    frame->step = step > (double)FLT_MIN && step < 1e18 ? (float)step : 1;
    return frame;
}

static double length_of(const struct vafile_space *space, const uint8_t *vector)
{
    return sqrt(space->kernels->sumsq[space->type](vector, space->dim));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Longer rows are left out of a frame: a few of them would make it theirs. */
static double usual_length(const struct vafile_space *space, const uint8_t *const *vectors)
{
    double lengths[VAFILE4_SAMPLE];
    for (uint32_t i = 0; i < VAFILE4_SAMPLE; i++) {
        lengths[i] = length_of(space, vectors[i]);
        if (isnan(lengths[i])) lengths[i] = INFINITY; /* of a damaged file */
    }
    qsort(lengths, VAFILE4_SAMPLE, sizeof *lengths, by_value);
    return LONGER * lengths[VAFILE4_SAMPLE / 2];
}

/* Replaces *frame where it does not serve these rows. False: no memory. */
static bool frame_for(const struct vafile_space *space, const uint8_t *const *vectors,
                      struct vafile4_frame **frame)
{
    size_t floats = (size_t)VAFILE4_SAMPLE * space->dim;
    struct sample sample = {malloc(floats * sizeof(float)), 0, space->dim};
    if (!sample.rows) return false;
    double limit = usual_length(space, vectors);
    for (uint32_t i = 0; i < VAFILE4_SAMPLE; i++) {
        if (length_of(space, vectors[i]) > limit) continue;
        sample.count +=
            vafile_load(space, vectors[i], sample.rows + (size_t)sample.count * space->dim);
    }
    struct vafile4_frame *own = frame_create(space, &sample);
    bool serves = own && *frame &&
                  distance_from(&sample, (*frame)->center) <= FARTHER * own->distance &&
                  own->distance >= SMALLER * (*frame)->distance;
    struct vafile4_frame *other = serves ? own : *frame;
    if (own) vafile4_frame_free(other);
    if (own && !serves) *frame = own;
    free(sample.rows);
    return own != NULL;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The square of how far y is from its levels v, in steps; y is overwritten. Inner loops of constant
 * length are what compilers vectorise. */
static double round_to_levels(const struct vafile_space *space, float step, float *y, uint8_t *v)
{
    float inverse = 1.0f / step;
    uint32_t dim = space->dim, i = 0, sums[2];
    space->kernels->encode_u8(y, dim, inverse, 7.5f, v, sums);
    memset(v + dim, 0, vafile4_bytes(dim) - dim);
    for (uint32_t j = 0; j < vafile4_bytes(dim); j += 8)
        for (uint32_t k = j; k < j + 8; k++) v[k] = v[k] < 15 ? v[k] : 15;
    for (; i + 16 <= dim; i += 16)
        for (uint32_t j = i; j < i + 16; j++) y[j] = y[j] * inverse + 7.5f;
    for (; i < dim; i++) y[i] = y[i] * inverse + 7.5f;
    return space->kernels->l2sq[VDB_TYPE_U8](v, y, dim);
}

/* Levels fit half a byte: four of them are moved up at once. */
static void put(struct vafile4 *file, uint32_t row, uint32_t groups, const uint8_t *v)
{
    uint8_t *to =
        file->codes + (size_t)64 * (row / VAFILE_BLOCK) * groups + 4 * (row % VAFILE_BLOCK);
    for (uint32_t g = 0; g < groups; g++, to += 64, v += 8) {
        uint32_t low, high;
        memcpy(&low, v, sizeof low);
        memcpy(&high, v + 4, sizeof high);
        low |= high << 4;
        memcpy(to, &low, sizeof low);
    }
}

/* |y^|^2 in quarters of a squared step. An inner loop of constant length is what compilers
 * vectorise. */
static double squares_of(const uint8_t *v, uint32_t dim)
{
    int32_t lanes[8] = {0}, sum = 0;
    uint32_t i = 0;
    for (; i + 8 <= dim; i += 8)
        for (uint32_t j = 0; j < 8; j++) {
            int32_t w = 2 * v[i + j] - 15;
            lanes[j] += w * w;
        }
    for (; i < dim; i++) sum += (2 * v[i] - 15) * (2 * v[i] - 15);
    for (uint32_t j = 0; j < 8; j++) sum += lanes[j];
    return (double)sum;
}

static float below(double x)
{
    return nextafterf((float)x, -INFINITY);
}

static float above(double x)
{
    return nextafterf((float)x, INFINITY);
}

struct coded_row {
    double length;  /* |y| */
    double squares; /* |y^|^2 */
    double left;    /* |e| */
    double along;   /* |<y, e>| / |y| */
};

static void put_bounds(struct vafile4 *file, const struct vafile_space *space, uint32_t row,
                       const struct coded_row *r)
{
    double size = sqrt(r->squares), slack = r->left + ROUNDING * (r->length + size);
    double likely = DEVIATIONS * slack / sqrt(space->dim) + r->along + ROUNDING * r->length;
    file->slacks[0][row] = above(slack);
    file->slacks[1][row] = above(likely < slack ? likely : slack);
    file->terms[row] = space->metric == VDB_METRIC_IP ? 0 : below(r->squares - slack * slack);
    file->longest = fmaxf(file->longest, above(size));
    file->farthest = fmaxf(file->farthest, above(slack));
    file->largest = fmaxf(file->largest, above(r->squares + slack * slack));
}

static void append_row(struct vafile4 *file, const struct vafile_space *space, uint32_t row,
                       const uint8_t *vector, struct vafile_scratch *scratch)
{
    float *y = scratch->x, step = file->frame->step;
    uint32_t dim = space->dim, groups = (uint32_t)kernel_bound_groups(dim);
    struct coded_row r;
    file->terms[row] = -INFINITY; /* is let through */
    if (!vafile_load(space, vector, y)) return;
    for (uint32_t i = 0; i < dim; i++) y[i] -= file->frame->center[i];
    space->kernels->rotate(y, dim);
    double norm = space->kernels->sumsq[VDB_TYPE_F32](y, dim);
    r.length = sqrt(norm);
    if (!(r.length < LENGTH_MAX)) return;
    double left = round_to_levels(space, step, y, scratch->code);
    if (!(left <= LEFT_MAX * LEFT_MAX * (double)dim)) return;
    left *= (double)step * (double)step;
    r.left = sqrt(left);
    r.squares = squares_of(scratch->code, dim) * (double)step * (double)step / 4;
    /* |y^|^2 = |y|^2 - 2 <y, e> + |e|^2 */
    r.along = r.length > 0 ? fabs(norm + left - r.squares) / (2 * r.length) : 0;
    put(file, row, groups, scratch->code);
    put_bounds(file, space, row, &r);
}

/* 8-bit codes of a row, which stand in a block of `eight`. */
static void put_by_row(struct vafile4 *file, const struct vafile *eight, uint32_t row, uint32_t dim)
{
    size_t groups = kernel_block_groups(dim);
    const uint8_t *from = eight->codes + kernel_block_at(groups, row, 0);
    uint8_t *to = file->by_row + row * codes_bytes(dim);
    for (size_t g = 0; g < groups; g++) memcpy(to + 4 * g, from + 64 * g, 4);
}

void vafile4_append(struct vafile4 *file, const struct vafile_space *space,
                    const struct vafile *eight, const uint8_t *const vectors[VAFILE_BLOCK],
                    struct vafile_scratch *scratch)
{
    for (uint32_t i = 0; i < VAFILE_BLOCK; i++) {
        put_by_row(file, eight, file->count, space->dim);
        append_row(file, space, file->count++, vectors[i], scratch);
    }
}

struct vafile4 *vafile4_create(const struct vafile_space *space,
                               const uint8_t *const vectors[VAFILE4_SAMPLE],
                               struct vafile4_frame **frame)
{
    size_t codes = VAFILE_ROWS / 2 * vafile4_bytes(space->dim);
    size_t bytes = sizeof(struct vafile4) + codes + VAFILE_ROWS * codes_bytes(space->dim);
    struct vafile4 *file = pages_alloc(bytes);
    if (!file) return NULL;
    if (!frame_for(space, vectors, frame)) {
        pages_free(file, bytes);
        return NULL;
    }
    file->bytes = bytes;
    file->frame = frame_ref(*frame);
    file->by_row = file->codes + codes;
    return file;
}

void vafile4_free(struct vafile4 *file)
{
    if (!file) return;
    vafile4_frame_free(file->frame);
    pages_free(file, file->bytes);
}

/* ---- queries ------------------------------------------------------------------------------- */

/* In bytes, with one scale, which is returned; *sum becomes what they add up to, *sizes their
 * sizes, and *off how far they are from y. */
static double round_query(struct vafile4_query *q, uint32_t dim, int64_t *sum, int64_t *sizes,
                          double *off)
{
    float largest = 0;
    for (uint32_t i = 0; i < dim; i++) largest = fmaxf(largest, fabsf(q->rotated[i]));
    double scale = largest > FLT_MIN ? (double)largest / 127 : 1, squares = 0;
    *sum = *sizes = 0;
    *off = INFINITY;
    memset(q->values, 0, vafile4_bytes(dim));
    if (!((double)largest < LENGTH_MAX)) return scale;
    for (uint32_t i = 0; i < dim; i++) {
        double y = (double)q->rotated[i], value = nearbyint(y / scale);
        q->values[i] = (int8_t)value;
        *sum += (int64_t)value;
        *sizes += llabs((int64_t)value);
        squares += (y - scale * value) * (y - scale * value);
    }
    *off = sqrt(squares);
    return scale;
}

void vafile4_prepare(struct vafile4_query *query, const struct vafile4 *file,
                     const struct vafile_space *space, const float *values)
{
    const struct vafile4_frame *frame = file->frame;
    bool ip = space->metric == VDB_METRIC_IP;
    uint32_t dim = space->dim;
    int64_t sum, sizes, squares = 0;
    if (query->frame == frame) return;
    query->frame = frame;
    memcpy(query->rotated, values, dim * sizeof *values);
    for (uint32_t i = 0; i < dim && !ip; i++) query->rotated[i] -= frame->center[i];
    query->length = sqrt(space->kernels->sumsq[VDB_TYPE_F32](query->rotated, dim));
    space->kernels->rotate(query->rotated, dim);
    double scale = round_query(query, dim, &sum, &sizes, &query->off), step = (double)frame->step;
    query->off += ROUNDING * query->length;
    query->sums = 15 * (double)sizes;
    query->weight = scale * step;
    for (uint32_t i = 0; i < dim; i++) squares += query->values[i] * query->values[i];
    if (ip) {
        query->constant = space->kernels->dot[VDB_TYPE_F32](frame->center, values, dim) -
                          7.5 * query->weight * (double)sum;
        return;
    }
    query->weight *= 2; /* |q^ - y^|^2 has -2 <q^, y^> */
    query->constant = scale * scale * (double)squares + 7.5 * query->weight * (double)sum;
}

/* ---- bounds -------------------------------------------------------------------------------- */

/* False: beyond binary32. */
static bool bound_of(const struct vafile4 *file, const struct vafile4_query *query,
                     const struct vafile_space *space, double worst, struct kernel_bound *bound)
{
    bool cosine = space->metric == VDB_METRIC_COSINE;
    double slope, limit;
    if (space->metric == VDB_METRIC_IP) {
        slope = query->length * (1 + ROUNDING);
        limit = worst + query->constant + query->off * (double)file->longest;
        limit += ROUNDING * ROUNDING * query->length * file->frame->size;
    } else {
        double reach = sqrt(cosine ? 2 * worst + 1e-12 : worst) + (cosine ? 2 * UNIT_ROUNDING : 0);
        double all = reach + query->off;
        slope = 2 * reach;
        limit = all * all + 2 * query->off * (double)file->farthest - query->constant;
    }
    double numbers = fabs(limit) + fabs(query->constant) + query->weight * query->sums +
                     (double)file->largest + slope * (double)file->farthest;
    bound->slope = (float)slope;
    bound->weight = (float)query->weight;
    bound->limit = (float)(limit + BOUND_ROUNDING * numbers);
    return numbers < NUMBERS_MAX;
}

uint32_t vafile4_scan(const struct vafile4 *file, const struct vafile4_query *query,
                      const struct vafile_space *space, bool sure, uint32_t begin, uint32_t count,
                      double worst, uint32_t *rows)
{
    size_t groups = kernel_bound_groups(space->dim);
    struct kernel_bound bound = {.codes = file->codes + 64 * groups * (begin / VAFILE_BLOCK),
                                 .blocks = count / VAFILE_BLOCK,
                                 .groups = groups,
                                 .query = query->values,
                                 .terms = file->terms + begin,
                                 .slacks = file->slacks[sure ? 0 : 1] + begin};
    uint32_t n = count;
    if (bound_of(file, query, space, worst, &bound))
        n = space->kernels->bound_u4i8(&bound, rows);
    else
        for (uint32_t i = 0; i < count; i++) rows[i] = i;
    for (uint32_t i = 0; i < n; i++) rows[i] += begin;
    return n;
}
