/* codes.c: choosing the grid of the 8-bit codes, and coding rows.
 *
 * Owns nothing. Float operations are binary32 or binary64, unfused and in a fixed order, so that
 * the same rows give the same codes on any CPU.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Elements of a sample, and the share of them clipped on each side: rare outliers would otherwise
 * spend the levels that all other values need. */
#define SAMPLE_ELEMENTS 4194304
#define SAMPLE_ROWS_MIN 256
#define CLIP_ONE_IN     50000
#define CLIP_MAX        512

/* A grid no finer than the largest value over this: beyond, binary32 cannot tell its lines apart.
 */
#define ZERO_MAX  4194304
#define SCALE_MIN 1e-37f /* its reciprocal is finite */

#define BLOCK 64

size_t codes_bytes(uint32_t dim)
{
    return ((size_t)dim + BLOCK - 1) / BLOCK * BLOCK;
}

/* The `capacity` smallest values seen, ascending. */
struct tail {
    float value[CLIP_MAX + 1];
    size_t count, capacity;
};

static void tail_add(struct tail *tail, float x)
{
    if (tail->count == tail->capacity && x >= tail->value[tail->count - 1]) return;
    size_t at = tail->count < tail->capacity ? tail->count++ : tail->count - 1;
    for (; at > 0 && tail->value[at - 1] > x; at--) tail->value[at] = tail->value[at - 1];
    tail->value[at] = x;
}

struct survey {
    struct tail low;
    struct tail high; /* of the values' negatives */
    int integers;
};

static void survey_row(struct survey *survey, const float *x, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) {
        tail_add(&survey->low, x[i]);
        tail_add(&survey->high, -x[i]);
        if (survey->integers && !(fabsf(x[i]) <= 255.0f && x[i] == (float)(int32_t)x[i]))
            survey->integers = 0;
    }
}

void quantizer_cover(struct quantizer *quantizer, double low, double high)
{
    double largest = fmax(fabs(low), fabs(high));
    float scale = (float)fmax((high - low) / 255.0, largest / ZERO_MAX);
    if (scale < SCALE_MIN) scale = largest > 0.0 ? SCALE_MIN : 1.0f;
    quantizer->scale = scale;
    quantizer->zero = (int32_t)floor(0.5 - low / (double)scale);
}

static void quantizer_choose(struct quantizer *quantizer, const struct survey *survey)
{
    const struct tail *low = &survey->low, *high = &survey->high;
    if (low->count == 0) {
        *quantizer = (struct quantizer){1.0f, 0};
    } else if (survey->integers && low->value[0] >= 0.0f) {
        *quantizer = (struct quantizer){1.0f, 0};
    } else if (survey->integers && low->value[0] >= -128.0f && -high->value[0] <= 127.0f) {
        *quantizer = (struct quantizer){1.0f, 128};
    } else {
        quantizer_cover(quantizer, (double)low->value[low->count - 1],
                        -(double)high->value[high->count - 1]);
    }
}

/* Rows to look at, evenly spread. Values near the ends of a long-tailed sample may be clipped
 * under l2 and cosine, where each counts little. Under ip the largest values are those of the rows
 * that answer most queries, so every row is looked at and nothing is clipped. */
enum vdb_status quantizer_train(struct quantizer *quantizer, uint32_t rows, uint32_t dim,
                                enum vdb_metric metric, quantizer_row_fn row_fn, void *context,
                                struct vdb_error *err)
{
    uint64_t sample = SAMPLE_ELEMENTS / (dim ? dim : 1);
    if (sample < SAMPLE_ROWS_MIN) sample = SAMPLE_ROWS_MIN;
    if (sample > rows || metric == VDB_METRIC_IP) sample = rows;
    uint64_t clip = metric == VDB_METRIC_IP ? 0 : sample * dim / CLIP_ONE_IN;
    if (clip > CLIP_MAX) clip = CLIP_MAX;

    struct survey *survey = calloc(1, sizeof *survey);
    float *x = malloc(((size_t)dim + 1) * sizeof *x);
    enum vdb_status status = VDB_OK;
    if (!survey || !x) {
        status = error_no_memory(err);
        goto done;
    }
    survey->low.capacity = survey->high.capacity = (size_t)clip + 1;
    /* A unit vector of integers is a corner of the space; the rows not seen are rarely that. */
    survey->integers = metric != VDB_METRIC_COSINE;
    for (uint64_t i = 0; i < sample; i++) {
        status = row_fn(context, (uint32_t)(i * rows / sample), x);
        if (status != VDB_OK) goto done;
        survey_row(survey, x, dim);
    }
    quantizer_choose(quantizer, survey);
done:
    free(x);
    free(survey);
    return status;
}

uint32_t codes_encode_row(const struct kernels *kernels, const struct quantizer *quantizer,
                          const float *x, uint32_t dim, uint8_t *code, int32_t *norm)
{
    uint32_t sums[2];
    kernels->encode_u8(x, dim, 1.0f / quantizer->scale, (float)quantizer->zero, code, sums);
    memset(code + dim, 0, codes_bytes(dim) - dim);
    *norm = (int32_t)(sums[1] - 256 * sums[0]);
    return sums[1];
}

int32_t codes_norm(const uint8_t *code, uint32_t dim, uint8_t flip)
{
    uint32_t squares = 0, sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t c = (uint32_t)(code[i] ^ flip);
        squares += c * c;
        sum += c;
    }
    return (int32_t)(squares - 256 * sum);
}
