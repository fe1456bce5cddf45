/* pq.c: training codebooks, coding rows, and the tables of queries.
 *
 * Owns nothing. Loops over a sub-space's codewords have a fixed length, which compilers turn into
 * vector code; each length of a codeword has its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/pq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"

#define LANES       16
#define SUB_DIM_MAX 4

#define VALUE_MAX 0x1p48f
#define SPAN_MIN  0x1p-100f /* of a table that is not taken as flat; 255 over it is finite */
#define NORM_MIN  0x1p-126

/* The first rounds look at one sample in PART, where that leaves enough of them. 16 rounds over all
 * samples gave the same error, to a thousandth, in twice the time; 64 of them, of normal values,
 * one that was 1 to 4 percent lower. */
#define ROUNDS      24
#define PART_ROUNDS 20
#define PART        4
#define PART_MIN    1024

#define COSINE_MIN 0x1p-4

/* 1.5 * 2^23: a float between 2^23 and 2^24 has its integer in its low bits, so that adding this
 * rounds to the nearest integer, halves to even, without a conversion that could overflow. */
#define ROUNDING      0x1.8p23f
#define ROUNDING_BITS 0x4b400000u

static size_t padded(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

size_t pq_codebook_floats(uint32_t m, uint32_t sub_dim)
{
    return (size_t)pq_count(m, sub_dim) * PQ_CODEWORDS * sub_dim;
}

static inline float lesser(float a, float b)
{
    return a < b ? a : b;
}

static inline float greater(float a, float b)
{
    return a > b ? a : b;
}

static inline void limit_block(float *x)
{
    for (size_t j = 0; j < LANES; j++) x[j] = greater(x[j], -VALUE_MAX); /* a NaN's too */
    for (size_t j = 0; j < LANES; j++) x[j] = lesser(x[j], VALUE_MAX);
}

/* Of n values, a multiple of LANES. */
static void limit(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) limit_block(x + i);
}

/* ---- one sub-space ------------------------------------------------------------------------- */

static inline void squares_1(const float *y, const float *restrict word, float *restrict d)
{
    float y0 = y[0];
    for (size_t v = 0; v < PQ_CODEWORDS; v++) {
        float a = y0 - word[v];
        d[v] = a * a;
    }
}

static inline void squares_2(const float *y, const float *restrict word, float *restrict d)
{
    float y0 = y[0], y1 = y[1];
    for (size_t v = 0; v < PQ_CODEWORDS; v++) {
        float a = y0 - word[2 * v], b = y1 - word[2 * v + 1];
        d[v] = a * a + b * b;
    }
}

static inline void squares_4(const float *y, const float *restrict word, float *restrict d)
{
    float y0 = y[0], y1 = y[1], y2 = y[2], y3 = y[3];
    for (size_t v = 0; v < PQ_CODEWORDS; v++) {
        float a = y0 - word[4 * v], b = y1 - word[4 * v + 1];
        float c = y2 - word[4 * v + 2], e = y3 - word[4 * v + 3];
        d[v] = (a * a + b * b) + (c * c + e * e);
    }
}

/* The least of 16 values. */
static inline float least_of(const float *restrict x)
{
    float lane[8];
    for (size_t j = 0; j < 8; j++) lane[j] = lesser(x[j], x[j + 8]);
    for (size_t j = 0; j < 4; j++) lane[j] = lesser(lane[j], lane[j + 4]);
    for (size_t j = 0; j < 2; j++) lane[j] = lesser(lane[j], lane[j + 2]);
    return lesser(lane[0], lane[1]);
}

static inline uint32_t nearest_of(const float *y, const float *words, uint32_t sub_dim)
{
    float d[PQ_CODEWORDS];
    if (sub_dim == 1)
        squares_1(y, words, d);
    else if (sub_dim == 2)
        squares_2(y, words, d);
    else
        squares_4(y, words, d);
    static const float numbers[PQ_CODEWORDS] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};
    float least = least_of(d), at[PQ_CODEWORDS];
    for (size_t v = 0; v < PQ_CODEWORDS; v++) at[v] = d[v] > least ? 15.0f : numbers[v];
    return (uint32_t)least_of(at);
}

/* ---- training ------------------------------------------------------------------------------ */

struct training {
    const float *samples;
    size_t n;
    uint32_t m, sub_dim;
    float *codebook;
    float *memory; /* worker_floats of it for each worker */
    size_t worker_floats;
};

/* splitmix64 (Steele et al., OOPSLA 2014), as a value in [0, 1). */
static double draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* The samples' values of sub-space s, [n][sub_dim], every PART-th of them first. */
static void gather(const struct training *training, size_t s, float *x)
{
    size_t w = training->sub_dim, begin = s * w;
    size_t there = training->m - begin < w ? training->m - begin : w;
    float *to = x;
    for (size_t first = 0; first < PART; first++)
        for (size_t i = first; i < training->n; i += PART, to += w) {
            const float *from = training->samples + i * training->m + begin;
            for (size_t j = 0; j < w; j++) to[j] = j < there ? from[j] : 0.0f;
        }
    limit(x, padded(training->n * w));
}

/* Lowers near[i], the square of the way from x[i] to the nearest codeword, for a new one. The sum
 * of all is returned. */
static double come_near(const float *x, size_t n, size_t w, const float *word, float *near)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        float square = 0.0f;
        for (size_t j = 0; j < w; j++) {
            float a = x[i * w + j] - word[j];
            square += a * a;
        }
        near[i] = near[i] < square ? near[i] : square;
        total += (double)near[i];
    }
    return total;
}

/* k-means++ (Arthur and Vassilvitskii, SODA 2007): each next codeword is a sample, drawn by the
 * square of its way from those there are. */
static void seed_words(const float *x, size_t n, size_t w, uint64_t state, float *near,
                       float *words)
{
    size_t chosen = (size_t)(draw(&state) * (double)n);
    for (size_t i = 0; i < n; i++) near[i] = INFINITY;
    for (size_t v = 0;; v++) {
        memcpy(words + v * w, x + chosen * w, w * sizeof *words);
        if (v == PQ_CODEWORDS - 1) return;
        double left = draw(&state) * come_near(x, n, w, words + v * w, near);
        for (chosen = 0; chosen < n - 1; chosen++) {
            left -= (double)near[chosen];
            if (left < 0.0) break;
        }
    }
}

/* A round of Lloyd's: each codeword becomes the mean of the samples that are nearest to it, or
 * stays where there are none. */
static inline void move_words(const float *x, size_t n, uint32_t w, float *words)
{
    double sum[PQ_CODEWORDS][SUB_DIM_MAX] = {{0}};
    size_t count[PQ_CODEWORDS] = {0};
    for (size_t i = 0; i < n; i++) {
        uint32_t v = nearest_of(x + i * w, words, w);
        count[v]++;
        for (size_t j = 0; j < w; j++) sum[v][j] += (double)x[i * w + j];
    }
    for (size_t v = 0; v < PQ_CODEWORDS; v++)
        for (size_t j = 0; j < w && count[v] > 0; j++)
            words[v * w + j] = (float)(sum[v][j] / (double)count[v]);
}

static void train_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct training *training = context;
    uint32_t w = training->sub_dim;
    float *x = training->memory + worker * training->worker_floats;
    float *near = x + padded(training->n * w);
    for (size_t s = begin; s < end; s++) {
        float *words = training->codebook + s * PQ_CODEWORDS * w;
        gather(training, s, x);
        size_t part = training->n / PART < PART_MIN ? training->n : training->n / PART;
        seed_words(x, part, w, s, near, words);
        float before[PQ_CODEWORDS * SUB_DIM_MAX];
        size_t bytes = PQ_CODEWORDS * w * sizeof *words;
        for (int round = 0; round < ROUNDS; round++) {
            size_t n = round < PART_ROUNDS ? part : training->n;
            memcpy(before, words, bytes);
            if (w == 1)
                move_words(x, n, 1, words);
            else if (w == 2)
                move_words(x, n, 2, words);
            else
                move_words(x, n, 4, words);
            if (n == training->n && memcmp(before, words, bytes) == 0) break;
        }
    }
}

enum vdb_status pq_train(const float *samples, size_t n, uint32_t m, uint32_t sub_dim,
                         unsigned threads, float *codebook, struct vdb_error *err)
{
    uint32_t count = pq_count(m, sub_dim);
    if (threads < 1) threads = 1;
    if (threads > count) threads = count;
    struct training training = {.samples = samples,
                                .n = n,
                                .m = m,
                                .sub_dim = sub_dim,
                                .codebook = codebook,
                                .worker_floats = padded(n * sub_dim) + n};
    training.memory = calloc(threads, training.worker_floats * sizeof(float));
    if (!training.memory) return error_no_memory(err);
    par_for(threads, count, 1, train_job, &training);
    free(training.memory);
    return VDB_OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The code of the first `there` values of a sub-space, of w. */
static inline uint8_t encode_values(const float *y, uint32_t there, const float *words, uint32_t w)
{
    float values[SUB_DIM_MAX] = {0};
    for (uint32_t i = 0; i < there; i++) values[i] = lesser(greater(y[i], -VALUE_MAX), VALUE_MAX);
    return (uint8_t)nearest_of(values, words, w);
}

static inline void encode(const struct pq *pq, const float *y, uint32_t w, uint8_t *codes)
{
    const float *words = pq->codebook;
    uint32_t whole = pq->m / w, rest = pq->m % w;
    for (uint32_t s = 0; s < whole; s++, y += w, words += PQ_CODEWORDS * w)
        codes[s] = encode_values(y, w, words, w);
    if (rest > 0) codes[whole] = encode_values(y, rest, words, w);
}

void pq_encode(const struct pq *pq, const float *y, uint8_t *codes, float *u, struct pq_row *row)
{
    uint32_t m = pq->m, w = pq->sub_dim;
    if (w == 1)
        encode(pq, y, 1, codes);
    else if (w == 2)
        encode(pq, y, 2, codes);
    else
        encode(pq, y, 4, codes);
    pq_decode(pq, codes, u);
    *row = (struct pq_row){
        .norm = pq->kernels->sumsq[VDB_TYPE_F32](y, m),
        .dot = pq->kernels->dot[VDB_TYPE_F32](u, y, m),
        .decoded = pq->kernels->sumsq[VDB_TYPE_F32](u, m),
    };
}

void pq_decode(const struct pq *pq, const uint8_t *codes, float *u)
{
    uint32_t m = pq->m, w = pq->sub_dim;
    for (uint32_t i = 0; i < m; i++) {
        size_t s = i / w;
        u[i] = pq->codebook[(s * PQ_CODEWORDS + codes[s]) * w + i % w];
    }
}

void pq_pack_block(const uint8_t *codes, size_t stride, uint32_t rows, uint32_t count,
                   uint8_t *block)
{
    memset(block, 0, (size_t)pq_groups(count) * PQ_GROUP_BYTES);
    for (uint32_t row = 0; row < rows; row++) {
        const uint8_t *code = codes + row * stride;
        for (uint32_t s = 0; s < count; s++) {
            uint8_t *group = block + (size_t)(s / PQ_GROUP) * PQ_GROUP_BYTES;
            uint32_t shift = s % PQ_GROUP < PQ_GROUP / 2 ? 0 : 4;
            group[4 * row + s % 4] |= (uint8_t)(code[s] << shift);
        }
    }
}

void pq_unpack_row(const uint8_t *block, uint32_t row, uint32_t count, uint8_t *codes)
{
    for (uint32_t s = 0; s < count; s++) {
        uint8_t byte = block[(size_t)(s / PQ_GROUP) * PQ_GROUP_BYTES + 4 * row + s % 4];
        codes[s] = s % PQ_GROUP < PQ_GROUP / 2 ? byte & 15 : byte >> 4;
    }
}

/* The estimate's error grows with the tangent of the angle, without bound towards a right one. It
 * is not cut off at 45 degrees, where the error over all queries would be less without codes: near
 * the row itself the estimate is good at any angle, and there it counts. */
struct pq_factors pq_factors_of(bool ip, const struct pq_row *row, double residual, double center)
{
    double cosine = row->dot / sqrt(row->norm * row->decoded);
    if (!(row->norm >= NORM_MIN) || !(cosine >= COSINE_MIN))
        return (struct pq_factors){ip ? 0.0 : residual, 0.0};
    double f = row->norm / row->dot;
    if (ip) return (struct pq_factors){0.0, f};
    return (struct pq_factors){residual + 2.0 * f * center, 2.0 * f};
}

/* ---- tables of queries --------------------------------------------------------------------- */

/* In scratch memory: q, T, a quarter each of the least and the greatest of T[s], as four values of
 * which it is the least or the greatest, and both of these whole. */
size_t pq_scratch(uint32_t m, uint32_t sub_dim)
{
    size_t count = pq_count(m, sub_dim);
    return padded(count * sub_dim) + count * PQ_CODEWORDS + 10 * padded(count);
}

/* A vector register of the least of CPUs holds four values: four of T at a time are made without a
 * loop being left. */
static inline void products_1(const float *q, const float *restrict word, float *restrict t)
{
    float q0 = q[0];
    for (size_t j = 0; j < 4; j++) t[j] = q0 * word[j];
}

static inline void products_2(const float *q, const float *restrict word, float *restrict t)
{
    float q0 = q[0], q1 = q[1];
    for (size_t j = 0; j < 4; j++) t[j] = q0 * word[2 * j] + q1 * word[2 * j + 1];
}

static inline void products_4(const float *q, const float *restrict word, float *restrict t)
{
    float q0 = q[0], q1 = q[1], q2 = q[2], q3 = q[3];
    for (size_t j = 0; j < 4; j++)
        t[j] = (q0 * word[4 * j] + q1 * word[4 * j + 1]) +
               (q2 * word[4 * j + 2] + q3 * word[4 * j + 3]);
}

static inline void products_of_4(const float *q, const float *words, uint32_t w, float *t)
{
    if (w == 1)
        products_1(q, words, t);
    else if (w == 2)
        products_2(q, words, t);
    else
        products_4(q, words, t);
}

/* The least and the greatest of 16 values, each as one of four; all four of `sum` grow by them. */
static inline void survey(const float *restrict t, float *restrict low, float *restrict high,
                          float *restrict sum)
{
    for (size_t j = 0; j < 4; j++) {
        low[j] = lesser(lesser(t[j], t[j + 4]), lesser(t[j + 8], t[j + 12]));
        high[j] = greater(greater(t[j], t[j + 4]), greater(t[j + 8], t[j + 12]));
        sum[j] += (t[j] + t[j + 4]) + (t[j + 8] + t[j + 12]);
    }
}

static inline void tabulate(const float *q, const float *words, uint32_t w, size_t count, float *t,
                            float *low, float *high, float *sum)
{
    for (size_t s = 0; s < count; s++) {
        products_of_4(q, words, w, t);
        products_of_4(q, words + 4 * w, w, t + 4);
        products_of_4(q, words + 8 * w, w, t + 8);
        products_of_4(q, words + 12 * w, w, t + 12);
        survey(t, low, high, sum);
        q += w;
        words += PQ_CODEWORDS * w;
        t += PQ_CODEWORDS;
        low += 4;
        high += 4;
    }
}

/* Of each four values in a row the least, and by how much the greatest is above. */
static inline void span_block(const float *restrict lows, const float *restrict highs,
                              float *restrict low, float *restrict span)
{
    for (size_t j = 0; j < LANES; j++) {
        const float *a = lows + 4 * j, *b = highs + 4 * j;
        low[j] = lesser(lesser(a[0], a[1]), lesser(a[2], a[3]));
        span[j] = greater(greater(b[0], b[1]), greater(b[2], b[3])) - low[j];
    }
}

static inline void raise_block(const float *restrict x, float *restrict lane)
{
    for (size_t j = 0; j < LANES; j++) lane[j] = greater(lane[j], x[j]);
}

static inline void round_4(const float *restrict t, float low, float inverse, float *restrict sum)
{
    for (size_t j = 0; j < 4; j++) sum[j] = (t[j] - low) * inverse + ROUNDING;
}

/* The low byte of each sum is what is wanted; taken from memory as every fourth byte, where
 * conversions of integers would cost twice the time. `words` grows by all of their bits. */
static inline void round_block(const float *restrict t, float low, float inverse,
                               uint8_t *restrict table, uint32_t *restrict words)
{
    float sum[PQ_CODEWORDS];
    uint32_t bits[PQ_CODEWORDS];
    round_4(t, low, inverse, sum);
    round_4(t + 4, low, inverse, sum + 4);
    round_4(t + 8, low, inverse, sum + 8);
    round_4(t + 12, low, inverse, sum + 12);
    const uint8_t *bytes = (const uint8_t *)sum;
    for (size_t v = 0; v < PQ_CODEWORDS; v++) table[v] = bytes[4 * v];
    memcpy(bits, sum, sizeof bits);
    for (size_t j = 0; j < 4; j++)
        words[j] += (bits[j] + bits[j + 4]) + (bits[j + 8] + bits[j + 12]);
}

/* What the entries of all sub-spaces add up to, taken off the lanes. */
static uint32_t sum_of_entries(const uint32_t words[4], size_t count)
{
    uint32_t all = words[0] + words[1] + words[2] + words[3];
    return all - (uint32_t)(count * PQ_CODEWORDS) * ROUNDING_BITS;
}

void pq_table(const struct pq *pq, const float *q, float *scratch, uint8_t *table,
              struct pq_query *query)
{
    uint32_t m = pq->m, w = pq->sub_dim;
    size_t count = pq_count(m, w), places = padded(count * w), whole = padded(count);
    float *x = scratch, *t = x + places;
    float *lows = t + count * PQ_CODEWORDS, *highs = lows + 4 * whole;
    float *low = highs + 4 * whole, *span = low + whole;
    memcpy(x, q, m * sizeof *x);
    memset(x + m, 0, (places - m) * sizeof *x);
    memset(lows + 4 * count, 0, 4 * (whole - count) * sizeof *lows);
    memset(highs + 4 * count, 0, 4 * (whole - count) * sizeof *highs);
    limit(x, places);
    float sum[4] = {0}, widest[LANES] = {0};
    if (w == 1)
        tabulate(x, pq->codebook, 1, count, t, lows, highs, sum);
    else if (w == 2)
        tabulate(x, pq->codebook, 2, count, t, lows, highs, sum);
    else
        tabulate(x, pq->codebook, 4, count, t, lows, highs, sum);

    for (size_t i = 0; i < whole; i += LANES) {
        span_block(lows + 4 * i, highs + 4 * i, low + i, span + i);
        raise_block(span + i, widest);
    }
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++) widest[j] = greater(widest[j], widest[j + width]);
    float inverse = widest[0] > SPAN_MIN ? 255.0f / widest[0] : 0.0f;
    float scale = inverse > 0.0f ? widest[0] / 255.0f : 0.0f;
    uint32_t words[4] = {0};
    for (size_t s = 0; s < count; s++)
        round_block(t + s * PQ_CODEWORDS, low[s], inverse, table + s * PQ_CODEWORDS, words);
    memset(table + count * PQ_CODEWORDS, 0,
           ((size_t)pq_groups((uint32_t)count) * PQ_GROUP - count) * PQ_CODEWORDS);
    float entries = scale * (float)sum_of_entries(words, count);
    float values = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    *query = (struct pq_query){scale, (values - entries) / PQ_CODEWORDS};
}
