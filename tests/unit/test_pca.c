/* test_pca.c: principal axes, and projections on them.
 *
 * Expected values: matrices whose eigenvectors are known in closed form, Jacobi's method in double
 * precision, and the header's definitions.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/pca.h"
#include "points.h"

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

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) fail_msg("%.9g is not %.9g", got, expected);
}

/* All axes of some samples, and a projection on m of them. */
struct trained {
    struct pca_axes *axes;
    const double *energies;
    struct pca pca;
    uint8_t *matrix;
    float *scales;
};

static struct trained train(const float *samples, size_t n, uint32_t dim, uint32_t m,
                            unsigned threads)
{
    struct trained t = {.matrix = filled(m * pca_stride(dim), 0xee),
                        .scales = filled(m * sizeof(float), 0xee)};
    assert_int_equal(pca_axes_create(kernels_best(), samples, n, dim, threads, &t.axes, NULL),
                     VDB_OK);
    assert_int_equal(pca_round(t.axes, m, threads, t.matrix, t.scales, NULL), VDB_OK);
    t.energies = pca_energies(t.axes);
    t.pca = (struct pca){kernels_best(), dim, m, t.matrix, t.scales};
    return t;
}

static void release(struct trained *t)
{
    pca_axes_free(t->axes);
    free(t->matrix);
    free(t->scales);
}

/* Value i of axis j, as it is rounded. */
static double weight(const struct pca *pca, size_t j, size_t i)
{
    int8_t byte;
    memcpy(&byte, pca->matrix + j * pca_stride(pca->dim) + i, 1);
    return (double)pca->scales[j] * byte;
}

/* Normal values, of which each next one is smaller, and each depends on the one before. */
static float *slanted(size_t n, uint32_t dim, uint64_t seed)
{
    float *x = filled(n * dim * sizeof *x, 0);
    for (size_t row = 0; row < n; row++)
        for (uint32_t i = 0; i < dim; i++) {
            double before = i > 0 ? (double)x[row * dim + i - 1] : 0.0;
            x[row * dim + i] = (float)(0.7 * before + random_normal(&seed) / (1.0 + 0.2 * i));
        }
    return x;
}

static double share(const double *energies, uint32_t dim, uint32_t m)
{
    double kept = 0.0, all = 0.0;
    for (uint32_t i = 0; i < dim; i++) {
        kept += i < m ? energies[i] : 0.0;
        all += energies[i];
    }
    return kept / all;
}

/* ---- axes ---------------------------------------------------------------------------------- */

static void axes_along_dimensions(void **state)
{
    (void)state;
    enum { DIM = 70 };
    float *x = filled(2 * DIM * DIM * sizeof *x, 0);
    for (size_t i = 0; i < DIM; i++) { /* sizes 1 to 70 in no order: 17 and 71 have no divisor */
        x[2 * i * DIM + i] = (float)((i + 1) * 17 % 71);
        x[(2 * i + 1) * DIM + i] = -x[2 * i * DIM + i];
    }
    struct trained t = train(x, 2 * DIM, DIM, DIM, 1);
    for (size_t j = 0; j < DIM; j++) {
        double size = DIM - (double)j;
        assert_near(t.energies[j], size * size / DIM, 1e-12 * DIM);
        assert_near((double)t.scales[j], 1.0 / 127.0, 1e-8);
        for (size_t i = 0; i < DIM; i++) {
            bool along = (i + 1) * 17 % 71 == (size_t)size;
            assert_near(fabs(weight(&t.pca, j, i)), along ? 1.0 : 0.0, 1e-6);
        }
        for (size_t i = DIM; i < pca_stride(DIM); i++)
            assert_int_equal(t.matrix[j * pca_stride(DIM) + i], 0);
    }
    release(&t);
    free(x);
}

/* The matrix of second differences, 2 on the diagonal and -1 beside it, has the eigenvalues
 * 2 - 2 cos(k pi / (n + 1)) with vectors sin(i k pi / (n + 1)); as a sum of squares it is that of
 * the columns of its Cholesky factor, sqrt((i + 1) / i) with -sqrt(i / (i + 1)) below. */
static void axes_of_second_differences(void **state)
{
    (void)state;
    static const uint32_t dims[] = {2, 3, 5, 8, 9, 31, 32, 33, 64, 65, 100};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t dim = dims[d];
        double pi = acos(-1.0);
        float *x = filled((size_t)dim * dim * sizeof *x, 0);
        for (size_t i = 0; i < dim; i++) {
            double number = (double)i + 1.0;
            x[i * dim + i] = (float)sqrt((number + 1.0) / number);
            if (i + 1 < dim) x[i * dim + i + 1] = (float)-sqrt(number / (number + 1.0));
        }
        struct trained t = train(x, dim, dim, dim, 2);
        for (size_t j = 0; j < dim; j++) {
            double k = dim - (double)j, step = k * pi / (dim + 1.0), sign = 0.0;
            assert_near(t.energies[j] * dim, 2.0 - 2.0 * cos(step), 1e-6);
            for (size_t i = 0; i < dim; i++)
                sign += weight(&t.pca, j, i) * sin(((double)i + 1.0) * step);
            for (size_t i = 0; i < dim; i++)
                assert_near(copysign(1.0, sign) * weight(&t.pca, j, i),
                            sqrt(2.0 / (dim + 1.0)) * sin(((double)i + 1.0) * step),
                            0.51 * (double)t.scales[j] + 1e-3 / dim);
        }
        release(&t);
        free(x);
    }
}

/* Eigenvalues by Jacobi's method: the oldest there is, and unlike the one under test. */
static void jacobi(double *a, size_t n)
{
    for (int sweep = 0; sweep < 12; sweep++)
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2.0 * a[p * n + q], a[q * n + q] - a[p * n + p]);
                double c = cos(angle), s = sin(angle);
                for (size_t i = 0; i < n; i++) {
                    double x = a[i * n + p], y = a[i * n + q];
                    a[i * n + p] = c * x - s * y;
                    a[i * n + q] = s * x + c * y;
                }
                for (size_t i = 0; i < n; i++) {
                    double x = a[p * n + i], y = a[q * n + i];
                    a[p * n + i] = c * x - s * y;
                    a[q * n + i] = s * x + c * y;
                }
            }
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static void energies_are_those_of_jacobi(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 7, 17, 40, 67};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t n = 5; n <= 500; n *= 10) { /* of less rank than dim, too */
            uint32_t dim = dims[d];
            float *x = slanted(n, dim, n + dim);
            double *a = filled((size_t)dim * dim * sizeof *a, 0), values[67];
            for (size_t row = 0; row < n; row++)
                for (size_t i = 0; i < dim; i++)
                    for (size_t j = 0; j < dim; j++)
                        a[i * dim + j] += (double)x[row * dim + i] * (double)x[row * dim + j];
            jacobi(a, dim);
            for (size_t i = 0; i < dim; i++) values[i] = a[i * dim + i] / (double)n;
            qsort(values, dim, sizeof *values, descending);
            struct trained t = train(x, n, dim, 1, 1);
            for (size_t i = 0; i < dim; i++) {
                assert_near(t.energies[i], values[i], 1e-13 * dim * values[0]);
                assert_true(t.energies[i] >= 0.0);
            }
            release(&t);
            free(a);
            free(x);
        }
}

/* A value that is lost beside a large one when squared still counts. */
static void small_values_beside_large_ones(void **state)
{
    (void)state;
    float x[] = {1.0f, 1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 1e-9f, 0.0f, 1.0f};
    double e = (double)x[6], a[] = {1.0 + e * e, 1.0, e, 1.0, 2.0, 1.0, e, 1.0, 2.0};
    double values[3];
    jacobi(a, 3);
    for (size_t i = 0; i < 3; i++) values[i] = a[4 * i] / 3.0;
    qsort(values, 3, sizeof *values, descending);
    struct trained t = train(x, 3, 3, 1, 1);
    for (size_t i = 0; i < 3; i++) assert_near(t.energies[i], values[i], 1e-13);
    release(&t);
}

/* What the axes keep of the rows is what their energies say. */
static void axes_keep_their_energies(void **state)
{
    (void)state;
    enum { N = 400, DIM = 90, M = 21 };
    float *x = slanted(N, DIM, 3), y[M];
    struct trained t = train(x, N, DIM, M, 2);
    double kept[M] = {0};
    for (size_t row = 0; row < N; row++) {
        pca_apply_exact(&t.pca, x + row * DIM, y);
        for (size_t j = 0; j < M; j++) kept[j] += (double)y[j] * (double)y[j] / N;
    }
    for (size_t j = 0; j < M; j++) assert_near(kept[j], t.energies[j], 0.02 * t.energies[j]);
    assert_true(share(t.energies, DIM, M) > 0.9);
    release(&t);
    free(x);
}

static void assert_orthonormal(const struct pca *pca)
{
    for (size_t j = 0; j < pca->m; j++)
        for (size_t k = 0; k <= j; k++) {
            double sum = 0.0;
            for (size_t i = 0; i < pca->dim; i++) sum += weight(pca, j, i) * weight(pca, k, i);
            assert_near(sum, j == k, 0.035);
        }
}

/* Where all eigenvalues are the same, or all but some are 0, vectors must still be orthogonal. */
static void equal_energies(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 33, 100};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t dim = dims[d];
        float *x = filled((size_t)dim * dim * sizeof *x, 0), *y = slanted(3, dim, dim);
        for (size_t i = 0; i < dim; i++) x[i * dim + i] = 3.0f;
        struct trained t = train(x, dim, dim, dim, 1);
        for (size_t i = 0; i < dim; i++) assert_near(t.energies[i] * dim, 9.0, 1e-12);
        assert_orthonormal(&t.pca);
        release(&t);

        t = train(y, 3, dim, dim, 1);
        for (size_t i = 3; i < dim; i++) assert_near(t.energies[i], 0.0, 1e-13 * t.energies[0]);
        assert_orthonormal(&t.pca);
        release(&t);
        free(x);
        free(y);
    }
}

static void one_row_is_one_axis(void **state)
{
    (void)state;
    enum { DIM = 37 };
    float *x = slanted(1, DIM, 4), twice[2 * DIM], y[DIM];
    double length = 0.0;
    for (size_t i = 0; i < DIM; i++) {
        length += (double)x[i] * (double)x[i];
        twice[i] = twice[DIM + i] = x[i];
    }
    for (size_t n = 1; n <= 2; n++) {
        struct trained t = train(twice, n, DIM, DIM, 1);
        assert_near(t.energies[0], length, 1e-12 * length);
        for (size_t i = 1; i < DIM; i++) assert_near(t.energies[i], 0.0, 1e-13 * length);
        pca_apply_exact(&t.pca, x, y);
        assert_near(fabs((double)y[0]), sqrt(length), 0.01 * sqrt(length));
        for (size_t i = 1; i < DIM; i++) assert_near((double)y[i], 0.0, 0.03 * sqrt(length));
        release(&t);
    }
    free(x);
}

static void nothing_to_find(void **state)
{
    (void)state;
    enum { N = 5, DIM = 20 };
    static const float values[] = {0.0f, NAN, INFINITY, -INFINITY};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t n = 0; n <= N; n += N) {
            float x[N * DIM] = {0};
            x[N * DIM / 2] = values[v];
            struct trained t = train(x, n, DIM, DIM, 1);
            for (size_t i = 0; i < DIM; i++) assert_true(t.energies[i] == 0.0);
            assert_orthonormal(&t.pca);
            assert_int_equal(pca_choose(t.energies, DIM, 0.9), 16);
            release(&t);
        }
}

static void values_of_any_size(void **state)
{
    (void)state;
    static const double sizes[] = {1e-40, 1e-20, 1e20, 1e38};
    enum { N = 100, DIM = 30 };
    float *x = slanted(N, DIM, 6), *scaled = filled(N * DIM * sizeof *scaled, 0);
    struct trained one = train(x, N, DIM, 8, 1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t i = 0; i < N * DIM; i++)
            scaled[i] = (float)(fmin(fmax((double)x[i], -3.4), 3.4) * sizes[s]);
        struct trained t = train(scaled, N, DIM, 8, 1);
        assert_near(t.energies[0] / sizes[s] / sizes[s], one.energies[0], 0.1 * one.energies[0]);
        release(&t);
    }
    release(&one);
    free(x);
    free(scaled);
}

static void same_axes_for_any_number_of_threads(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 31, 130, 300};
    static const unsigned threads[] = {0, 2, 5, 100};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        uint32_t dim = dims[d], m = (dim + 1) / 2;
        float *x = slanted(700, dim, dim);
        struct trained one = train(x, 700, dim, m, 1);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
            struct trained many = train(x, 700, dim, m, threads[i]);
            assert_memory_equal(one.energies, many.energies, dim * sizeof *one.energies);
            assert_memory_equal(one.matrix, many.matrix, m * pca_stride(dim));
            assert_memory_equal(one.scales, many.scales, m * sizeof(float));
            release(&many);
        }
        release(&one);
        free(x);
    }
}

/* The sample is spread over all rows: the last of many have their say. */
static void many_rows(void **state)
{
    (void)state;
    enum { N = 30000, DIM = 3 };
    float *x = filled(N * DIM * sizeof *x, 0);
    for (size_t row = 0; row < N; row++) x[row * DIM + row * DIM / N] = row < N / 3 ? 2.0f : 1.0f;
    struct trained t = train(x, N, DIM, DIM, 2);
    assert_near(t.energies[0], 4.0 / 3.0, 1e-3);
    assert_near(t.energies[1], 1.0 / 3.0, 1e-3);
    assert_near(t.energies[2], 1.0 / 3.0, 1e-3);
    release(&t);
    free(x);
}

static void dimensions_that_are_refused(void **state)
{
    (void)state;
    struct pca_axes *axes;
    struct vdb_error err;
    assert_int_equal(pca_axes_create(kernels_best(), NULL, 0, 0, 1, &axes, &err), VDB_INVALID);
    assert_null(axes);
    assert_int_equal(pca_axes_create(kernels_best(), NULL, 0, PCA_DIM_MAX + 1, 1, &axes, &err),
                     VDB_UNSUPPORTED);
    assert_string_equal(err.message, "principal axes of 2049 dimensions: there may be up to 2048");
    assert_null(axes);
    pca_axes_free(NULL);
}

static void choosing(void **state)
{
    (void)state;
    double energies[40];
    for (size_t i = 0; i < 40; i++) energies[i] = i < 20 ? 4.0 : 1.0; /* 100 in all */
    assert_int_equal(pca_choose(energies, 40, 0.0), 16);
    assert_int_equal(pca_choose(energies, 40, 0.64), 16);
    assert_int_equal(pca_choose(energies, 40, 0.65), 32);
    assert_int_equal(pca_choose(energies, 40, 0.92), 32);
    assert_int_equal(pca_choose(energies, 40, 0.93), 40);
    assert_int_equal(pca_choose(energies, 40, 1.0), 40);
    assert_int_equal(pca_choose(energies, 7, 0.1), 7);
    assert_int_equal(pca_choose(energies, 1, 1.0), 1);
}

/* m axes keep the share, or a little less than that, or all are equal: whatever may keep it passes,
 * and what keeps far less does not. */
static void what_axes_may_keep_is_told_before(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 100 };
    static const struct {
        uint32_t leading; /* axes with `share` of the energy; the others have the rest */
        double share;
        bool passes;
    } cases[] = {{50, 0.92, true}, {50, 0.95, true}, {10, 0.92, true},  {1, 1.0, true},
                 {50, 0.5, false}, {50, 0.7, false}, {90, 0.92, false}, {10, 0.2, false}};
    float *x = filled(N * DIM * sizeof *x, 0);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint32_t leading = cases[c].leading;
        uint64_t seed = c + 1;
        for (size_t i = 0; i < (size_t)N * DIM; i++) {
            double energy = i % DIM < leading ? cases[c].share / leading
                                              : (1.0 - cases[c].share) / (DIM - leading);
            x[i] = (float)(random_normal(&seed) * sqrt(energy) * 1e-6);
        }
        for (size_t s = 0; s < sets_count; s++)
            assert_int_equal(pca_may_keep(sets[s], x, N, DIM, 50, 0.92), cases[c].passes);
    }
    assert_true(pca_may_keep(sets[0], x, 1, DIM, 50, 0.92));
    x[5] = NAN;
    assert_true(pca_may_keep(sets[0], x, N, DIM, 50, 0.92));
    memset(x, 0, N * DIM * sizeof *x);
    assert_true(pca_may_keep(sets[0], x, N, DIM, 50, 0.92));
    free(x);
}

/* ---- projections --------------------------------------------------------------------------- */

static const uint32_t shapes[][2] = {{1, 1},    {2, 1},    {3, 3},     {5, 4},     {63, 16},
                                     {64, 17},  {65, 33},  {100, 80},  {127, 2},   {128, 128},
                                     {200, 50}, {784, 96}, {1024, 37}, {2048, 130}};

/* A matrix of any bytes: what is projected has not to be on axes. */
static struct trained any_matrix(uint32_t dim, uint32_t m)
{
    uint64_t seed = dim;
    struct trained t = {.matrix = filled(m * pca_stride(dim), 0),
                        .scales = filled(m * sizeof(float), 0)};
    for (size_t j = 0; j < m; j++) {
        for (size_t i = 0; i < dim; i++)
            t.matrix[j * pca_stride(dim) + i] = (uint8_t)(random_next(&seed) % 255 - 127);
        t.scales[j] = (float)(0.001 + 0.01 * random_unit(&seed));
    }
    t.pca = (struct pca){kernels_best(), dim, m, t.matrix, t.scales};
    return t;
}

static double projected(const struct pca *pca, size_t j, const double *x, double *sizes)
{
    double sum = 0.0;
    *sizes = 0.0;
    for (size_t i = 0; i < pca->dim; i++) {
        sum += weight(pca, j, i) * x[i];
        *sizes += fabs(weight(pca, j, i) * x[i]);
    }
    return sum;
}

static void check_projections(const struct pca *pca, const float *x)
{
    uint32_t dim = pca->dim, m = pca->m;
    float *out = filled(m * sizeof *out, 0xee), *same = filled(m * sizeof *same, 0xee);
    void *scratch = filled(6 * pca_stride(dim), 0xee);
    double *wide = filled(dim * sizeof *wide, 0), largest = 0.0, sizes;
    for (size_t i = 0; i < dim; i++) {
        wide[i] = (double)x[i];
        largest = fmax(largest, fabs(wide[i]));
    }
    pca_apply_exact(pca, x, out);
    for (size_t j = 0; j < m; j++) {
        double expected = projected(pca, j, wide, &sizes);
        assert_near((double)out[j], expected, 1e-7 * fabs(expected) + 1e-12 * sizes);
    }
    for (size_t s = 0; s < sets_count; s++) {
        struct pca other = *pca;
        other.kernels = sets[s];
        pca_apply_exact(&other, x, same);
        assert_memory_equal(out, same, m * sizeof *out);
    }

    double quantum = pca_apply_row(pca, x, out, scratch);
    assert_near(quantum * 32639.0, largest, 1e-6 * largest);
    for (size_t j = 0; j < m; j++) { /* no value is off by more than half of it */
        double expected = projected(pca, j, wide, &sizes), slack = 1e-6 * sizes;
        for (size_t i = 0; i < dim; i++) slack += fabs(weight(pca, j, i)) * quantum / 2;
        assert_near((double)out[j], expected, slack);
    }
    for (size_t s = 0; s < sets_count; s++) {
        struct pca other = *pca;
        other.kernels = sets[s];
        assert_true(pca_apply_row(&other, x, same, scratch) == quantum);
        assert_memory_equal(out, same, m * sizeof *out);
    }

    double *doubt = filled(dim * sizeof *doubt, 0); /* where a level is too near a half to tell */
    for (size_t i = 0; i < dim; i++) {
        double level = wide[i] * 127.0 / largest;
        doubt[i] = fabs(level - floor(level) - 0.5) < 1e-4 ? largest / 127.0 : 0.0;
        wide[i] = rint(level) * largest / 127.0;
    }
    pca_apply(pca, x, out, scratch);
    for (size_t j = 0; j < m; j++) {
        double expected = projected(pca, j, wide, &sizes), slack = 1e-6 * sizes;
        for (size_t i = 0; i < dim; i++) slack += fabs(weight(pca, j, i)) * doubt[i];
        assert_near((double)out[j], expected, slack);
    }
    for (size_t s = 0; s < sets_count; s++) {
        struct pca other = *pca;
        other.kernels = sets[s];
        pca_apply(&other, x, same, scratch);
        assert_memory_equal(out, same, m * sizeof *out);
    }
    free(out);
    free(same);
    free(scratch);
    free(wide);
    free(doubt);
}

static void projections_are_as_defined(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct trained t = any_matrix(shapes[s][0], shapes[s][1]);
        float *x = slanted(10, shapes[s][0], s);
        for (size_t row = 0; row < 10; row++) check_projections(&t.pca, x + row * shapes[s][0]);
        release(&t);
        free(x);
    }
}

/* Words of two bytes, each of which may be the least or the greatest there is. */
static void every_word_is_split_right(void **state)
{
    (void)state;
    enum { DIM = 64 };
    struct trained t = {.matrix = filled(DIM, 0), .scales = filled(sizeof(float), 0)};
    t.matrix[0] = 1;
    t.scales[0] = 1.0f;
    t.pca = (struct pca){kernels_best(), DIM, 1, t.matrix, t.scales};
    float x[DIM] = {0}, y, scratch[6 * DIM / sizeof(float)];
    x[1] = -32639.0f;
    for (int word = -32639; word <= 32639; word++) {
        x[0] = (float)word;
        assert_true(pca_apply_row(&t.pca, x, &y, scratch) < 1.001);
        assert_near((double)y, word, 1e-6 * abs(word));
    }
    static const float none[] = {0.0f, 0x1p-101f, 0x1p101f, INFINITY};
    x[1] = 0.0f;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        x[0] = none[i];
        assert_true(isinf(pca_apply_row(&t.pca, x, &y, scratch)));
    }
    free(t.matrix);
    free(t.scales);
}

/* Rounding a query to bytes does less harm than a hundredth of its length. */
static void rounding_queries_costs_little(void **state)
{
    (void)state;
    enum { N = 300, DIM = 200, M = 60 };
    float *x = slanted(N, DIM, 8), *q = slanted(N, DIM, 9), exact[M], rounded[M];
    struct trained t = train(x, N, DIM, M, 1);
    float scratch[5 * 256 / sizeof(float)];
    double errors = 0.0, lengths = 0.0;
    for (size_t row = 0; row < N; row++) {
        pca_apply_exact(&t.pca, q + row * DIM, exact);
        pca_apply(&t.pca, q + row * DIM, rounded, scratch);
        for (size_t j = 0; j < M; j++) {
            double error = (double)rounded[j] - (double)exact[j];
            errors += error * error;
            lengths += (double)exact[j] * (double)exact[j];
        }
    }
    assert_true(errors > 0.0 && errors < 1e-4 * lengths);
    release(&t);
    free(x);
    free(q);
}

static void zeros_and_large_values(void **state)
{
    (void)state;
    enum { DIM = 100, M = 10 };
    static const float values[] = {0.0f, 0x1p-110f, FLT_MIN, FLT_MAX, -FLT_MAX};
    struct trained t = any_matrix(DIM, M);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        float x[DIM], out[M], scratch[5 * 128 / sizeof(float)];
        for (size_t i = 0; i < DIM; i++) x[i] = values[v];
        pca_apply_exact(&t.pca, x, out);
        for (size_t j = 0; j < M; j++)
            assert_true(fabsf(out[j]) <= 0x1p112f && (values[v] != 0.0f || out[j] == 0.0f));
        pca_apply(&t.pca, x, out, scratch);
        for (size_t j = 0; j < M; j++)
            assert_true(!isnan(out[j]) && (fabsf(values[v]) > 1.0f || out[j] == 0.0f));
    }
    for (size_t s = 0; s < sets_count; s++) { /* rubbish in, rubbish out, and nothing worse */
        float x[DIM], out[M], scratch[5 * 128 / sizeof(float)];
        for (size_t i = 0; i < DIM; i++) x[i] = i % 3 ? NAN : INFINITY;
        t.pca.kernels = sets[s];
        pca_apply(&t.pca, x, out, scratch);
        pca_apply_exact(&t.pca, x, out);
    }
    release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_along_dimensions),
        cmocka_unit_test(axes_of_second_differences),
        cmocka_unit_test(energies_are_those_of_jacobi),
        cmocka_unit_test(small_values_beside_large_ones),
        cmocka_unit_test(axes_keep_their_energies),
        cmocka_unit_test(equal_energies),
        cmocka_unit_test(one_row_is_one_axis),
        cmocka_unit_test(nothing_to_find),
        cmocka_unit_test(values_of_any_size),
        cmocka_unit_test(same_axes_for_any_number_of_threads),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(dimensions_that_are_refused),
        cmocka_unit_test(choosing),
        cmocka_unit_test(what_axes_may_keep_is_told_before),
        cmocka_unit_test(projections_are_as_defined),
        cmocka_unit_test(every_word_is_split_right),
        cmocka_unit_test(rounding_queries_costs_little),
        cmocka_unit_test(zeros_and_large_values),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pca", tests, set_up, NULL);
}
