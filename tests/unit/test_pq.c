/* test_pq.c: product quantisation, and how near the estimates from it come.
 *
 * Expected values: the header's definitions in double precision, distances from the values
 * themselves, and the least errors of normal values at 1, 2 and 4 bits that Max gives in
 * "Quantizing for Minimum Distortion" (1960).
 * SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/pq.h"
#include "points.h"
#include "slow.h"

static const uint32_t widths[] = {1, 2, 4};
static const uint32_t dims[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 128, 131};

#define WIDTHS (sizeof widths / sizeof *widths)
#define DIMS   (sizeof dims / sizeof *dims)

static const struct kernels *sets[4];
static size_t sets_count;

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kernels_select(names[i], &sets[sets_count], NULL) != VDB_OK)
            print_message("# not run on this CPU: %s\n", names[i]);
        else
            sets_count++;
    }
    return sets_count > 0 ? 0 : -1;
}

static void *filled(size_t bytes, int byte)
{
    void *p = malloc(bytes + !bytes);
    assert_non_null(p);
    return memset(p, byte, bytes);
}

static float *normals(size_t n, uint64_t seed)
{
    float *x = filled(n * sizeof *x, 0);
    for (size_t i = 0; i < n; i++) x[i] = (float)random_normal(&seed);
    return x;
}

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static double l2sq(const float *x, const float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum;
}

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) fail_msg("%g is not %g", got, expected);
}

/* A quantiser with memory of its own, of the exact size. */
struct trained {
    struct pq pq;
    float *codebook;
};

static struct trained train(const float *samples, size_t n, uint32_t m, uint32_t width,
                            unsigned threads)
{
    struct trained trained;
    trained.codebook = filled(pq_codebook_floats(m, width) * sizeof(float), 0xee);
    trained.pq = (struct pq){kernels_best(), trained.codebook, m, width};
    assert_int_equal(pq_train(samples, n, m, width, threads, trained.codebook, NULL), VDB_OK);
    return trained;
}

/* ---- training ------------------------------------------------------------------------------ */

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(pq_count(1, 4), 1);
    assert_int_equal(pq_count(4, 4), 1);
    assert_int_equal(pq_count(5, 4), 2);
    assert_int_equal(pq_count(131, 2), 66);
    assert_int_equal(pq_groups(8), 1);
    assert_int_equal(pq_groups(9), 2);
    assert_int_equal(pq_codebook_floats(5, 4), 2 * 16 * 4);
}

/* The mean square of a value's error, decoded. */
static double error_of(const struct pq *pq, const float *x, size_t n)
{
    uint8_t *codes = filled(pq_count(pq->m, pq->sub_dim), 0);
    float *u = filled(pq->m * sizeof *u, 0);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        struct pq_row row;
        pq_encode(pq, x + i * pq->m, codes, u, &row);
        sum += l2sq(x + i * pq->m, u, pq->m);
    }
    free(codes);
    free(u);
    return sum / (double)n / pq->m;
}

/* Scalar quantisers at 4, 2 and 1 bits are quantisers of sub-spaces too, and no better ones; one
 * that k-means ends at may be a little worse. */
static void errors_of_normal_values_are_near_the_least(void **state)
{
    (void)state;
    static const double least[] = {0.009497, 0.1175, 0.3634};
    enum { N = 20000, M = 8 };
    float *x = normals(N * M, 1), *others = normals(N * M, 2);
    for (size_t i = 0; i < WIDTHS; i++) {
        struct trained trained = train(x, N, M, widths[i], 2);
        double error = error_of(&trained.pq, others, N);
        assert_true(error < (widths[i] == 1 ? 1.12 : 1.0) * least[i]);
        assert_true(error > 0.85 * least[i]);
        free(trained.codebook);
    }
    free(x);
    free(others);
}

/* Of 16 different values in each sub-space, each must become a codeword: a draw by squares never
 * takes a value a second time. */
static void sixteen_values_are_kept_exactly(void **state)
{
    (void)state;
    enum { N = 400 };
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t j = 0; j < DIMS; j++) {
            uint32_t m = dims[j], width = widths[i];
            float *x = filled((size_t)N * m * sizeof *x, 0), *u = filled(m * sizeof *u, 0);
            uint8_t *codes = filled(pq_count(m, width), 0xee);
            for (size_t row = 0; row < N; row++)
                for (uint32_t d = 0; d < m; d++) {
                    uint64_t value = 100 * (d / width) + (row * (d / width + 1) + row / 16) % 16;
                    value = value * 64 + d % width;
                    x[row * m + d] = (float)random_normal(&value);
                }
            struct trained trained = train(x, N, m, width, 1);
            for (size_t d = m; d < (size_t)pq_count(m, width) * width; d++)
                for (size_t v = 0; v < 16; v++)
                    assert_true(trained.codebook[(d / width * 16 + v) * width + d % width] == 0.0f);
            for (size_t row = 0; row < N; row++) {
                struct pq_row factors;
                pq_encode(&trained.pq, x + row * m, codes, u, &factors);
                assert_near(sqrt(l2sq(x + row * m, u, m)), 0.0, 1e-6 * sqrt(m));
            }
            free(trained.codebook);
            free(x);
            free(u);
            free(codes);
        }
}

static void few_values(void **state)
{
    (void)state;
    static const float values[] = {0.0f, 0.1f, -7.5f, FLT_MIN, 1e14f};
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            for (size_t n = 1; n <= 40; n += 39) {
                enum { M = 11 };
                float x[40 * M], u[M];
                uint8_t codes[M];
                struct pq_row row;
                for (size_t j = 0; j < n * M; j++) x[j] = values[v];
                struct trained trained = train(x, n, M, widths[i], 3);
                pq_encode(&trained.pq, x, codes, u, &row);
                for (size_t j = 0; j < M; j++) assert_true(u[j] == values[v]);
                free(trained.codebook);
            }
}

static void same_codebook_for_any_number_of_threads(void **state)
{
    (void)state;
    static const unsigned threads[] = {0, 2, 3, 8, 200};
    enum { N = 500, M = 37 };
    float *x = normals(N * M, 5);
    for (size_t i = 0; i < WIDTHS; i++) {
        struct trained one = train(x, N, M, widths[i], 1);
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            struct trained many = train(x, N, M, widths[i], threads[t]);
            assert_memory_equal(one.codebook, many.codebook,
                                pq_codebook_floats(M, widths[i]) * sizeof(float));
            free(many.codebook);
        }
        free(one.codebook);
    }
    free(x);
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The square of the way from sub-space s of y to codeword v. */
static double way(const struct pq *pq, const float *y, size_t s, size_t v)
{
    double sum = 0.0;
    for (size_t j = 0; j < pq->sub_dim; j++) {
        size_t i = s * pq->sub_dim + j;
        double a = i < pq->m ? (double)y[i] : 0.0;
        double b = (double)pq->codebook[(s * 16 + v) * pq->sub_dim + j];
        sum += (a - b) * (a - b);
    }
    return sum;
}

static void check_row(const struct pq *pq, const float *y)
{
    uint32_t m = pq->m, count = pq_count(m, pq->sub_dim);
    uint8_t *codes = filled(count, 0xee), *again = filled(count, 0xee);
    float *u = filled(m * sizeof *u, 0xee), *decoded = filled(m * sizeof *decoded, 0xee);
    struct pq_row row, other;
    pq_encode(pq, y, codes, u, &row);
    for (size_t s = 0; s < count; s++) {
        double least = INFINITY;
        for (size_t v = 0; v < 16; v++) least = fmin(least, way(pq, y, s, v));
        assert_in_range(codes[s], 0, 15);
        assert_near(way(pq, y, s, codes[s]), least, 1e-5 * (least + 1e-3));
        for (size_t j = 0; j < pq->sub_dim && s * pq->sub_dim + j < m; j++)
            assert_true(u[s * pq->sub_dim + j] ==
                        pq->codebook[(s * 16 + codes[s]) * pq->sub_dim + j]);
    }
    assert_near(row.norm, dot(y, y, m), 1e-12 * row.norm);
    assert_near(row.decoded, dot(u, u, m), 1e-12 * row.decoded);
    assert_near(row.dot, dot(u, y, m), 1e-12 * row.norm);
    pq_decode(pq, codes, decoded);
    assert_memory_equal(u, decoded, m * sizeof *u);
    for (size_t k = 0; k < sets_count; k++) {
        struct pq same = *pq;
        same.kernels = sets[k];
        pq_encode(&same, y, again, decoded, &other);
        assert_memory_equal(codes, again, count);
        assert_memory_equal(u, decoded, m * sizeof *u);
        assert_memory_equal(&row, &other, sizeof row);
    }
    free(codes);
    free(again);
    free(u);
    free(decoded);
}

static void codes_are_of_the_nearest(void **state)
{
    (void)state;
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t j = 0; j < DIMS; j++) {
            enum { N = 100 };
            float *x = normals((size_t)N * dims[j], 7), *y = normals((size_t)N * dims[j], 8);
            struct trained trained = train(x, N, dims[j], widths[i], 1);
            for (size_t row = 0; row < N; row++) check_row(&trained.pq, y + row * dims[j]);
            free(trained.codebook);
            free(x);
            free(y);
        }
}

static void the_first_of_equals(void **state)
{
    (void)state;
    float codebook[16], u;
    for (size_t v = 0; v < 16; v++) codebook[v] = v < 3 ? 9.0f : v % 2 ? 1.0f : -1.0f;
    struct pq pq = {kernels_best(), codebook, 1, 1};
    float y = 0.0f;
    uint8_t code;
    struct pq_row row;
    pq_encode(&pq, &y, &code, &u, &row);
    assert_int_equal(code, 3);
}

static void blocks_are_laid_out_as_defined(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 3, 4, 5, 8, 9, 13, 64, 66};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (uint32_t rows = 0; rows <= 16; rows++) {
            uint32_t count = counts[i], stride = count + 3, groups = (count + 7) / 8;
            uint64_t seed = count;
            uint8_t *codes = filled((size_t)rows * stride, 0xff);
            uint8_t *block = filled(groups * 64, 0xee);
            for (uint32_t row = 0; row < rows; row++)
                for (uint32_t s = 0; s < count; s++)
                    codes[row * stride + s] = (uint8_t)(random_next(&seed) % 16);
            pq_pack_block(codes, stride, rows, count, block);
            for (uint32_t s = 0; s < groups * 8; s++)
                for (uint32_t row = 0; row < 16; row++) {
                    uint8_t byte = block[s / 8 * 64 + 4 * row + s % 4];
                    int expected = row < rows && s < count ? codes[row * stride + s] : 0;
                    assert_int_equal(s % 8 < 4 ? byte % 16 : byte / 16, expected);
                }
            for (uint32_t row = 0; row < rows; row++) {
                uint8_t *one = filled(count, 0xee);
                pq_unpack_row(block, row, count, one);
                assert_memory_equal(one, codes + row * stride, count);
                free(one);
            }
            free(codes);
            free(block);
        }
}

/* ---- tables -------------------------------------------------------------------------------- */

static double product(const struct pq *pq, const float *q, size_t s, size_t v)
{
    double sum = 0.0;
    for (size_t j = 0; j < pq->sub_dim && s * pq->sub_dim + j < pq->m; j++)
        sum +=
            (double)q[s * pq->sub_dim + j] * (double)pq->codebook[(s * 16 + v) * pq->sub_dim + j];
    return sum;
}

static uint8_t *table_of(const struct pq *pq, const float *q, struct pq_query *query)
{
    size_t bytes = (size_t)pq_groups(pq_count(pq->m, pq->sub_dim)) * 128;
    float *scratch = filled(pq_scratch(pq->m, pq->sub_dim) * sizeof *scratch, 0xff); /* NaNs */
    uint8_t *table = filled(bytes, 0xee);
    pq_table(pq, q, scratch, table, query);
    free(scratch);
    return table;
}

static void check_table(const struct pq *pq, const float *q)
{
    size_t count = pq_count(pq->m, pq->sub_dim), bytes = (count + 7) / 8 * 128;
    struct pq_query query;
    uint8_t *table = table_of(pq, q, &query);
    double widest = 0.0, left = 0.0, sizes = 0.0;
    int greatest = 0;
    for (size_t s = 0; s < count; s++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t v = 0; v < 16; v++) {
            low = fmin(low, product(pq, q, s, v));
            high = fmax(high, product(pq, q, s, v));
        }
        widest = fmax(widest, high - low);
        int least = 255;
        for (size_t v = 0; v < 16; v++) {
            int t = table[16 * s + v];
            assert_near(t, (product(pq, q, s, v) - low) / (double)query.scale, 0.501);
            left += (product(pq, q, s, v) - (double)query.scale * t) / 16.0;
            sizes += fabs(product(pq, q, s, v)) / 16.0;
            least = t < least ? t : least;
            greatest = t > greatest ? t : greatest;
        }
        assert_int_equal(least, 0);
    }
    assert_int_equal(greatest, 255);
    assert_near((double)query.scale, widest / 255.0, 1e-5 * widest / 255.0);
    assert_near((double)query.offset, left, 1e-5 * (sizes + widest));
    for (size_t i = 16 * count; i < bytes; i++) assert_int_equal(table[i], 0);
    free(table);
}

static void tables_are_as_defined(void **state)
{
    (void)state;
    for (size_t i = 0; i < WIDTHS; i++)
        for (size_t j = 0; j < DIMS; j++) {
            enum { N = 60 };
            float *x = normals((size_t)N * dims[j], 9), *q = normals((size_t)N * dims[j], 10);
            struct trained trained = train(x, N, dims[j], widths[i], 1);
            for (size_t d = dims[j]; d < (size_t)pq_count(dims[j], widths[i]) * widths[i]; d++)
                for (size_t v = 0; v < 16; v++) /* as damage may have it: it meets zeros */
                    trained.codebook[(d / widths[i] * 16 + v) * widths[i] + d % widths[i]] = 5.0f;
            for (size_t row = 0; row < N; row++) check_table(&trained.pq, q + row * dims[j]);
            free(trained.codebook);
            free(x);
            free(q);
        }
}

static void a_query_of_zeros(void **state)
{
    (void)state;
    enum { M = 10 };
    float *x = normals(100 * M, 11), q[M] = {0};
    for (size_t i = 0; i < WIDTHS; i++) {
        struct trained trained = train(x, 100, M, widths[i], 1);
        struct pq_query query;
        uint8_t *table = table_of(&trained.pq, q, &query);
        for (size_t b = 0; b < (size_t)pq_groups(pq_count(M, widths[i])) * 128; b++)
            assert_int_equal(table[b], 0);
        assert_true(query.scale == 0.0f && query.offset == 0.0f);
        free(table);
        free(trained.codebook);
    }
    free(x);
}

/* The sizes that values may have at the most: all that comes of them is finite. */
static void large_values(void **state)
{
    (void)state;
    enum { N = 50, M = 9 };
    float x[N * M], u[M];
    uint8_t codes[M];
    uint64_t seed = 12;
    for (size_t i = 0; i < N * M; i++) x[i] = random_next(&seed) % 2 ? FLT_MAX : -FLT_MAX;
    for (size_t i = 0; i < WIDTHS; i++) {
        struct trained trained = train(x, N, M, widths[i], 1);
        for (size_t row = 0; row < N; row++) {
            struct pq_query query;
            struct pq_row factors;
            free(table_of(&trained.pq, x + row * M, &query));
            assert_true(isfinite(query.scale) && isfinite(query.offset) && query.scale > 0.0f);
            pq_encode(&trained.pq, x + row * M, codes, u, &factors);
            for (size_t j = 0; j < M; j++) assert_true(u[j] == copysignf(0x1p48f, x[row * M + j]));
            struct pq_factors f = pq_factors_of(false, &factors, 9.0 * 0x1p256, 9.0 * 0x1p176);
            assert_true(isfinite(f.b) && isfinite(f.f) && f.f > 0.0);
        }
        free(trained.codebook);
    }
}

/* A damaged codebook gives rubbish, but nothing worse. */
static void damaged_codebooks(void **state)
{
    (void)state;
    enum { M = 9 };
    static const float rubbish[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f};
    float u[M], *x = normals(M, 13);
    uint8_t codes[M];
    uint64_t seed = 14;
    for (size_t i = 0; i < WIDTHS; i++)
        for (int run = 0; run < 200; run++) {
            struct trained trained = train(x, 1, M, widths[i], 1);
            struct pq_row row;
            struct pq_query query;
            for (size_t j = 0; j < pq_codebook_floats(M, widths[i]); j++)
                if (random_next(&seed) % 2) trained.codebook[j] = rubbish[random_next(&seed) % 6];
            pq_encode(&trained.pq, x, codes, u, &row);
            for (size_t s = 0; s < pq_count(M, widths[i]); s++) assert_in_range(codes[s], 0, 15);
            free(table_of(&trained.pq, x, &query));
            free(trained.codebook);
        }
    free(x);
}

/* ---- estimates ----------------------------------------------------------------------------- */

struct errors {
    double sum, squares, without; /* without: squares of the errors where f is 0 */
    size_t n;
};

/* est by the table of bytes, as blocks are scanned. */
static double estimate(const struct pq *pq, const struct pq_factors *factors, const uint8_t *codes,
                       const float *q)
{
    struct pq_query query;
    uint8_t *table = table_of(pq, q, &query);
    uint32_t sum = 0;
    for (uint32_t s = 0; s < pq_count(pq->m, pq->sub_dim); s++) sum += table[16 * s + codes[s]];
    free(table);
    return factors->b - factors->f * ((double)query.scale * sum + (double)query.offset);
}

/* Of normal values; of which, where `slanted`, those of later dimensions are smaller and smaller.
 */
static struct errors measure(uint32_t width, bool ip, bool slanted)
{
    enum { N = 3000, M = 50 };
    float *x = normals((size_t)N * M, 21), *q = normals((size_t)N * M, 22), *c = normals(M, 23);
    for (size_t i = 0; i < (size_t)N * M && slanted; i++) {
        x[i] *= powf(0.9f, (float)(i % M));
        q[i] *= powf(0.9f, (float)(i % M));
    }
    struct trained trained = train(x, N, M, width, 2);
    struct errors errors = {.n = N};
    for (size_t row = 0; row < N; row++) {
        float *r = x + row * M, *query = q + row * M, u[M], near[M];
        uint8_t codes[M];
        struct pq_row factors_from;
        pq_encode(&trained.pq, r, codes, u, &factors_from);
        struct pq_factors factors = pq_factors_of(ip, &factors_from, dot(r, r, M), dot(c, u, M));
        double truth = ip ? -dot(query, r, M) : 0.0;
        for (size_t i = 0; i < M && !ip; i++) {
            double way_on = (double)query[i] - (double)c[i] - (double)r[i];
            truth += way_on * way_on;
        }
        double base = ip ? 0.0 : l2sq(query, c, M), error;
        error = base + estimate(&trained.pq, &factors, codes, query) - truth;
        errors.sum += error;
        errors.squares += error * error;
        error = base + (ip ? 0.0 : dot(r, r, M)) - truth;
        errors.without += error * error;

        /* Where the query, seen from the centre, lies along r, nothing but the table rounds. */
        for (size_t i = 0; i < M; i++) near[i] = (ip ? 0.0f : c[i]) + 2.0f * r[i];
        truth = ip ? -2.0 * dot(r, r, M) : dot(r, r, M);
        base = ip ? 0.0 : 4.0 * dot(r, r, M);
        error = base + factors.b - factors.f * dot(near, u, M) - truth;
        assert_near(error, 0.0, 1e-5 * (dot(r, r, M) + factors.f * fabs(dot(near, u, M))));
    }
    free(trained.codebook);
    free(x);
    free(q);
    free(c);
    return errors;
}

static void estimates_are_unbiased_and_near(void **state)
{
    (void)state;
    static const double most[] = {0.15, 0.45, 0.95};
    for (size_t i = 0; i < WIDTHS; i++)
        for (int run = 0; run < 4; run += SLOW ? 3 : 1) {
            struct errors errors = measure(widths[i], run % 2, run / 2);
            double deviation = sqrt(errors.squares / (double)errors.n);
            assert_true(fabs(errors.sum / (double)errors.n) <
                        4.0 * deviation / sqrt((double)errors.n));
            assert_true(deviation < most[i] * sqrt(errors.without / (double)errors.n));
        }
}

static void factors_where_codes_say_nothing(void **state)
{
    (void)state;
    static const struct pq_row rows[] = {
        {0.0, 0.0, 0.0},  {0.0, 0.0, 1.0},   {1.0, 0.0, 0.0},        {1.0, 0.0, 1.0},
        {1.0, -0.5, 1.0}, {4.0, 0.249, 4.0}, {0x1p-130, 0x1p-66, 1}, {DBL_MIN, DBL_MIN, DBL_MIN},
        {1.0, 1e-30, 1.0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pq_factors factors = pq_factors_of(false, &rows[i], 7.0, 3.0);
        assert_true(factors.f == 0.0 && factors.b == 7.0);
        factors = pq_factors_of(true, &rows[i], 7.0, 3.0);
        assert_true(factors.f == 0.0 && factors.b == 0.0);
    }
    struct pq_row row = {4.0, 0.5, 4.0}; /* the cosine is 1/8 */
    struct pq_factors factors = pq_factors_of(false, &row, 7.0, 3.0);
    assert_true(factors.f == 16.0 && factors.b == 55.0);
    factors = pq_factors_of(true, &row, 7.0, 3.0);
    assert_true(factors.f == 8.0 && factors.b == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(errors_of_normal_values_are_near_the_least),
        cmocka_unit_test(sixteen_values_are_kept_exactly),
        cmocka_unit_test(few_values),
        cmocka_unit_test(same_codebook_for_any_number_of_threads),
        cmocka_unit_test(codes_are_of_the_nearest),
        cmocka_unit_test(the_first_of_equals),
        cmocka_unit_test(blocks_are_laid_out_as_defined),
        cmocka_unit_test(tables_are_as_defined),
        cmocka_unit_test(a_query_of_zeros),
        cmocka_unit_test(large_values),
        cmocka_unit_test(damaged_codebooks),
        cmocka_unit_test(estimates_are_unbiased_and_near),
        cmocka_unit_test(factors_where_codes_say_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pq", tests, set_up, NULL);
}
