/* vafile.c: rows by 8-bit codes, and which of them can be among the nearest to a query.
 *
 * Bounds are computed in binary64 and widened by more than its rounding can amount to; which rows
 * they let through changes what a search costs, never what it finds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/vafile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "vector/vtype.h"

#define WIDER 1e-9 /* relative; that of sums over 65,535 dimensions is 1e-11 */

/* Of coordinates of a vector of length 1 that are rounded to binary32, all together. */
#define UNIT_ROUNDING 1e-7

/* A row that lies in the grid's box is no farther than half a step in each dimension from its
 * code, but for rounding. */
#define SLACK_MAX 0.5005

static size_t groups_of(const struct vafile_space *space)
{
    return kernel_block_groups(space->dim);
}

struct vafile *vafile_create(const struct vafile_space *space, const struct quantizer *grid)
{
    size_t bytes = sizeof(struct vafile) + VAFILE_ROWS / VAFILE_BLOCK * 64 * groups_of(space);
    struct vafile *file = pages_alloc(bytes);
    if (!file) return NULL;
    file->bytes = bytes;
    file->grid = *grid;
    return file;
}

void vafile_free(struct vafile *file)
{
    if (file) pages_free(file, file->bytes);
}

/* ---- rows ---------------------------------------------------------------------------------- */

bool vafile_load(const struct vafile_space *space, const uint8_t *vector, float *x)
{
    double squares = space->kernels->sumsq[space->type](vector, space->dim);
    if (!isfinite(squares)) return false;
    vtype_load(space->type, vector, x, space->dim);
    if (space->metric != VDB_METRIC_COSINE) return true;
    if (squares == 0) return false;
    double length = sqrt(squares);
    for (uint32_t i = 0; i < space->dim; i++) x[i] = (float)(x[i] / length);
    return true;
}

/* At least how far x is from its code, in steps; x is overwritten. Of x / scale, the product and
 * the sum each is rounded once. An inner loop of constant length is what compilers vectorise. */
static double slack_of(const struct vafile_space *space, const struct quantizer *grid, float *x,
                       const uint8_t *code)
{
    float inverse = 1.0f / grid->scale, zero = (float)grid->zero;
    uint32_t dim = space->dim, i = 0;
    for (float *at = x; i + 16 <= dim; i += 16, at += 16)
        for (int j = 0; j < 16; j++) at[j] = at[j] * inverse + zero;
    for (; i < dim; i++) x[i] = x[i] * inverse + zero;
    double rounding = 2.5e-7 * (256 + fabs((double)grid->zero));
    return sqrt(space->kernels->l2sq[VDB_TYPE_U8](code, x, dim)) * (1 + WIDER) +
           rounding * sqrt(dim);
}

static double length_of(const struct quantizer *grid, uint32_t dim, const uint32_t sums[2])
{
    double zero = (double)grid->zero;
    return sqrt(fabs((double)sums[1] - 2 * zero * (double)sums[0] + zero * zero * dim)) *
           (1 + WIDER);
}

static void put(struct vafile *file, const struct vafile_space *space, uint32_t row,
                const uint8_t *code)
{
    size_t groups = groups_of(space);
    uint8_t *to = file->codes + kernel_block_at(groups, row, 0);
    for (size_t g = 0; g < groups; g++) memcpy(to + 64 * g, code + 4 * g, 4);
}

/* What is to be published of a block. */
struct bounds {
    float slack, longest;
    uint32_t outliers;
};

static void append_row(struct vafile *file, const struct vafile_space *space, uint32_t row,
                       const uint8_t *vector, struct vafile_scratch *scratch, struct bounds *bounds)
{
    uint32_t sums[2], dim = space->dim;
    bool outlier = !vafile_load(space, vector, scratch->x);
    if (!outlier) {
        const struct quantizer *grid = &file->grid;
        space->kernels->encode_u8(scratch->x, dim, 1.0f / grid->scale, (float)grid->zero,
                                  scratch->code, sums);
        memset(scratch->code + dim, 0, codes_bytes(dim) - dim);
        double slack = slack_of(space, grid, scratch->x, scratch->code);
        outlier = !(slack <= SLACK_MAX * sqrt(dim));
        put(file, space, row, scratch->code);
        file->norms[row] = (int32_t)(sums[1] - 256 * sums[0]);
        if (!outlier) {
            bounds->slack = fmaxf(bounds->slack, nextafterf((float)slack, INFINITY));
            double length = length_of(grid, dim, sums);
            bounds->longest = fmaxf(bounds->longest, nextafterf((float)length, INFINITY));
        }
    }
    if (outlier) file->outliers[bounds->outliers++] = (uint16_t)row;
}

/* The bounds before the rows that they are of. */
void vafile_append(struct vafile *file, const struct vafile_space *space,
                   const uint8_t *const vectors[VAFILE_BLOCK], struct vafile_scratch *scratch)
{
    struct bounds bounds = {file->slack, file->longest, file->outlier_count};
    for (uint32_t i = 0; i < VAFILE_BLOCK; i++)
        append_row(file, space, file->count + i, vectors[i], scratch, &bounds);
    __atomic_store(&file->slack, &bounds.slack, __ATOMIC_RELAXED);
    __atomic_store(&file->longest, &bounds.longest, __ATOMIC_RELAXED);
    __atomic_store_n(&file->outlier_count, bounds.outliers, __ATOMIC_RELEASE);
    __atomic_store_n(&file->count, file->count + VAFILE_BLOCK, __ATOMIC_RELEASE);
}

uint32_t vafile_outliers(const struct vafile *file, const uint16_t **rows)
{
    *rows = file->outliers;
    return __atomic_load_n(&file->outlier_count, __ATOMIC_ACQUIRE);
}

/* ---- the grid ------------------------------------------------------------------------------ */

struct survey {
    float low[VAFILE_SAMPLE], high[VAFILE_SAMPLE]; /* of each row, ascending */
    uint32_t count;
    bool integers;
};

static void insert(float *sorted, uint32_t count, float value)
{
    uint32_t at = count;
    for (; at > 0 && sorted[at - 1] > value; at--) sorted[at] = sorted[at - 1];
    sorted[at] = value;
}

static void survey_row(struct survey *survey, const float *x, uint32_t dim)
{
    float low = x[0], high = x[0];
    for (uint32_t i = 0; i < dim; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    for (uint32_t i = 0; i < dim && survey->integers; i++)
        survey->integers = fabsf(x[i]) <= 255.0f && x[i] == (float)(int32_t)x[i];
    insert(survey->low, survey->count, low);
    insert(survey->high, survey->count, high);
    survey->count++;
}

/* Whether low to high lies on the grid and takes at least half of it. */
static bool serves(const struct quantizer *grid, double low, double high)
{
    double scale = (double)grid->scale, zero = (double)grid->zero;
    return low >= -zero * scale && high <= (255 - zero) * scale && high - low >= 127 * scale;
}

/* Of rows that reach farther than almost all, one in 64 may be left out: they are outliers, and
 * others have finer steps. The rows to come reach somewhat farther than those that were seen. */
static void choose(const struct survey *survey, const struct quantizer *before,
                   struct quantizer *grid)
{
    uint32_t n = survey->count, skip = n / 64;
    if (n == 0) {
        *grid = before ? *before : (struct quantizer){1.0f, 0};
        return;
    }
    double low = (double)survey->low[skip], high = (double)survey->high[n - 1 - skip];
    double margin = (high - low) / 8;
    if (survey->integers && survey->low[0] >= 0.0f)
        *grid = (struct quantizer){1.0f, 0};
    else if (survey->integers && survey->low[0] >= -128.0f && survey->high[n - 1] <= 127.0f)
        *grid = (struct quantizer){1.0f, 128};
    else if (before && serves(before, low, high))
        *grid = *before;
    else
        quantizer_cover(grid, low - margin, high + margin);
}

void vafile_train(const struct vafile_space *space, const uint8_t *const *vectors, uint32_t n,
                  const struct quantizer *before, struct vafile_scratch *scratch,
                  struct quantizer *grid)
{
    struct survey survey = {.integers = space->metric != VDB_METRIC_COSINE};
    uint32_t sample = n < VAFILE_SAMPLE ? n : VAFILE_SAMPLE;
    for (uint32_t i = 0; i < sample; i++)
        if (vafile_load(space, vectors[(uint64_t)i * n / sample], scratch->x))
            survey_row(&survey, scratch->x, space->dim);
    choose(&survey, before, grid);
}

/* ---- queries ------------------------------------------------------------------------------- */

/* On the rows' grid, or as near as its box is. All x^ lie in the box, so that the way from q to one
 * of them is at least as long as the two legs of a right angle, to the nearest point of the box and
 * on from there. */
static void prepare_l2(struct vafile_query *q, const struct vafile_space *space,
                       const float *values)
{
    uint32_t sums[2], dim = space->dim;
    double scale = (double)q->grid.scale, zero = (double)q->grid.zero;
    double low = -zero * scale, high = (255 - zero) * scale, off = 0, outside = 0;
    uint8_t *code = (uint8_t *)q->values;
    space->kernels->encode_u8(values, dim, 1.0f / q->grid.scale, (float)q->grid.zero, code, sums);
    for (uint32_t i = 0; i < dim; i++) {
        double x = (double)values[i], in = x < low ? low : x > high ? high : x;
        double rest = in - scale * ((double)code[i] - zero);
        outside += (x - in) * (x - in);
        off += rest * rest;
        code[i] ^= 0x80; /* less 128, as an i8 */
    }
    q->base = sums[1];
    q->outside = outside;
    q->off = sqrt(off) + (space->metric == VDB_METRIC_COSINE ? UNIT_ROUNDING : 0);
}

/* On a grid of its own. */
static void prepare_ip(struct vafile_query *q, const struct vafile_space *space,
                       const float *values)
{
    double largest = 0, off = 0, squares = 0;
    int64_t sum = 0;
    for (uint32_t i = 0; i < space->dim; i++) largest = fmax(largest, fabs((double)values[i]));
    double step = largest > 0 ? largest / 127 : 1;
    for (uint32_t i = 0; i < space->dim; i++) {
        double x = (double)values[i], value = nearbyint(x / step);
        q->values[i] = (int8_t)value;
        sum += (int64_t)value;
        off += (x - step * value) * (x - step * value);
        squares += x * x;
    }
    q->base = 1u << 31; /* sums are below it, of either sign */
    q->unit = step * (double)q->grid.scale;
    q->off = sqrt(off);
    q->length = sqrt(squares);
    q->shift = (double)q->grid.zero * (double)sum;
}

void vafile_prepare(struct vafile_query *query, const struct vafile *file,
                    const struct vafile_space *space, const float *values)
{
    const struct quantizer *grid = &file->grid;
    if (vafile_is_prepared(query, file)) return;
    query->grid = *grid;
    memset(query->values + space->dim, 0, codes_bytes(space->dim) - space->dim);
    if (space->metric == VDB_METRIC_IP)
        prepare_ip(query, space, values);
    else
        prepare_l2(query, space, values);
}

/* ---- bounds -------------------------------------------------------------------------------- */

static uint32_t whole(double limit)
{
    return limit >= (double)UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

/* The largest distance between codes at which a row may be within `worst`. False: none may. Under
 * cosine, the square of the distance between vectors of length 1 is twice the metric's. */
static bool limit_l2(const struct vafile_query *q, const struct vafile_space *space, float slack,
                     double worst, uint32_t *limit)
{
    double scale = (double)q->grid.scale, rows = (double)slack * scale;
    bool cosine = space->metric == VDB_METRIC_COSINE;
    double reach = sqrt(cosine ? 2 * worst + 1e-12 : worst) + rows + (cosine ? UNIT_ROUNDING : 0);
    double left = reach * reach * (1 + WIDER) - q->outside * (1 - WIDER);
    if (left < 0) return false;
    double steps = (sqrt(left) + q->off) / scale;
    *limit = whole(steps * steps * (1 + WIDER) + 1e-6);
    return true;
}

/* q.x differs from q^.x^ = unit * (sum - shift) by q.(x - x^) + (q - q^).x^. */
static bool limit_ip(const struct vafile_query *q, float slack, float longest, double worst,
                     uint32_t *limit)
{
    double scale = (double)q->grid.scale;
    double off = q->length * (double)slack * scale + q->off * (double)longest * scale;
    double widest = WIDER * ((fabs(worst) + off) / q->unit + fabs(q->shift)) + 1;
    double most = (double)q->base - ((-worst - off) / q->unit + q->shift) + widest;
    if (most < 0) return false;
    *limit = whole(most);
    return true;
}

static bool limit_of(const struct vafile *file, const struct vafile_query *query,
                     const struct vafile_space *space, double worst, uint32_t *limit)
{
    float slack, longest;
    *limit = UINT32_MAX;
    if (!(worst < INFINITY)) return true;
    __atomic_load(&file->slack, &slack, __ATOMIC_RELAXED);
    __atomic_load(&file->longest, &longest, __ATOMIC_RELAXED);
    if (space->metric == VDB_METRIC_IP) return limit_ip(query, slack, longest, worst, limit);
    return limit_l2(query, space, slack, worst, limit);
}

static void measure(const struct vafile *file, const struct vafile_query *query,
                    const struct vafile_space *space, uint32_t begin, uint32_t count,
                    uint32_t *distances)
{
    size_t groups = groups_of(space);
    struct kernel_query8 q = {
        .values = query->values, .base = query->base, .inner = space->metric == VDB_METRIC_IP};
    space->kernels->blocks_u8i8(file->codes + kernel_block_at(groups, begin, 0),
                                file->norms + begin, count / VAFILE_BLOCK, groups, &q, distances);
}

/* By bisection between what `wanted` of them are not above, and what fewer are below. */
uint32_t vafile_nearest(const struct vafile *file, const struct vafile_query *query,
                        const struct vafile_space *space, uint32_t begin, uint32_t count,
                        uint32_t wanted, uint32_t *rows)
{
    uint32_t distances[VAFILE_SCAN], low = 0, high = UINT32_MAX, n = count;
    measure(file, query, space, begin, count, distances);
    while (low < high && n > wanted + wanted / 2) {
        uint32_t middle = low + (high - low) / 2;
        n = space->kernels->select_u32(distances, count, middle, rows);
        if (n < wanted)
            low = middle + 1, n = count;
        else
            high = middle;
    }
    n = space->kernels->select_u32(distances, count, high, rows);
    for (uint32_t i = 0; i < n; i++) rows[i] += begin;
    return n;
}

uint32_t vafile_scan(const struct vafile *file, const struct vafile_query *query,
                     const struct vafile_space *space, uint32_t begin, uint32_t count, double worst,
                     uint32_t *rows)
{
    uint32_t limit, distances[VAFILE_SCAN];
    if (!limit_of(file, query, space, worst, &limit)) return 0;
    measure(file, query, space, begin, count, distances);
    uint32_t found = space->kernels->select_u32(distances, count, limit, rows);
    for (uint32_t i = 0; i < found; i++) rows[i] += begin;
    return found;
}

static struct kernel_codes codes_by_row(const struct vafile *file, const struct vafile_space *space,
                                        const uint8_t *by_row)
{
    size_t bytes = codes_bytes(space->dim);
    return (struct kernel_codes){.code = by_row,
                                 .factors = (const uint8_t *)file->norms,
                                 .stride = bytes,
                                 .factors_stride = sizeof *file->norms,
                                 .bytes = bytes,
                                 .lines = (uint32_t)(bytes / 64),
                                 .factors_apart = true};
}

uint32_t vafile_filter(const struct vafile *file, const struct vafile_query *query,
                       const struct vafile_space *space, const uint8_t *by_row, double worst,
                       uint32_t *rows, uint32_t n)
{
    uint32_t limit, distances[VAFILE_SCAN + 4], found = 0;
    if (n == 0 || !limit_of(file, query, space, worst, &limit)) return 0;
    struct kernel_codes codes = codes_by_row(file, space, by_row);
    struct kernel_list list = {.rows = rows, .count = n};
    struct kernel_query8 q = {
        .values = query->values, .base = query->base, .inner = space->metric == VDB_METRIC_IP};
    space->kernels->list_u8i8(&codes, &list, &q, distances);
    for (uint32_t i = 0; i < n; i++) {
        rows[found] = rows[i];
        found += distances[i] <= limit;
    }
    return found;
}

void vafile_filter_fetch(const struct vafile *file, const struct vafile_space *space,
                         const uint8_t *by_row, const uint32_t *rows, uint32_t n)
{
    struct kernel_codes codes = codes_by_row(file, space, by_row);
    struct kernel_list list = {.ahead = rows, .ahead_count = n};
    space->kernels->list_u8i8(&codes, &list, NULL, NULL);
}
