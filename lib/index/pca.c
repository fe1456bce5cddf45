/* pca.c: principal axes by the symmetric QR algorithm, and projections on them.
 *
 * The second moments A are brought to tridiagonal form T by Householder reflections (Golub and Van
 * Loan, "Matrix Computations", 4th ed., algorithm 8.3.1, begun at the last row so that what is left
 * lies together in a lower triangle), T to diagonal form by implicit QR steps with Wilkinson's
 * shift (algorithms 8.3.2 and 8.3.3). Both leave eigenvectors orthogonal to rounding however close
 * eigenvalues are. What the rotations of the QR steps do to the eigenvectors of T is left until
 * there are many, and then done to a few components of all vectors at a time, which fit a cache;
 * reflections are only undone for the axes that are asked for. Energies need no eigenvectors, so
 * steps are taken twice: who is told by energies that axes do not pay does not pay for them.
 *
 * Owns the axes. Loops run over blocks of fixed length, which compilers turn into vector code.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/pca.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "base/par.h"
#include "index/moments.h"

#define ROWS_MAX       8192
#define PRODUCTS_ROWS  256 /* held against each other before all that */
#define PRODUCTS_SHARE 0.8 /* what they say of energies may be off by a fifth */
#define BLOCK          64  /* of bytes and floats */
#define LANES          8
#define SLICE          32 /* components of eigenvectors that rotations are done to together */
#define ROTATIONS      32768
#define STEPS_MAX      64 /* for one eigenvalue; two are usual */

#define LARGEST_MIN 0x1p-100f
#define LARGEST_MAX 0x1p100f
#define WORD_MAX    32639.0f /* 256 * 127 + 127 */
#define VALUE_MAX   0x1p112  /* of a row's projection: |y|^2 is finite, and all that comes of it */

/* 1.5 * 2^23: a float between 2^23 and 2^24 has its integer in its low bits, so that adding this
 * rounds to the nearest integer, halves to even, without a conversion that could overflow. */
#define ROUNDING      0x1.8p23f
#define ROUNDING_BITS 0x4b400000u

struct rotation {
    double cosine, sine;
    uint32_t at; /* turns vectors at and at + 1 */
};

/* T: the diagonal and what lies beside it; eigenvalues when all is done. */
struct tridiagonal {
    double *diagonal, *beside;
};

struct pca_axes {
    uint32_t dim, slices;
    size_t square_len, vectors_len; /* bytes */
    double *square;  /* [dim][dim]: second moments; then, in row k, the first k values of h of the
                        reflection I - h h' that made row k of T */
    double *t;       /* T: the diagonal, then what lies beside it */
    double *vectors; /* [slices][dim][SLICE]: the eigenvectors of T; NULL until they are wanted */
    double *energies;
    uint32_t *order; /* of the eigenvectors, by energy */
};

/* ---- second moments ------------------------------------------------------------------------ */

/* Brings the trace to 1, so that nothing overflows on the way; returns what it was, or 0 where
 * there is nothing to find. */
static double normalise(double *square, size_t dim)
{
    double trace = 0.0;
    for (size_t i = 0; i < dim; i++) trace += square[i * dim + i];
    if (!(trace >= DBL_MIN) || !(trace <= DBL_MAX)) {
        memset(square, 0, dim * dim * sizeof *square);
        return 0.0;
    }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j <= i; j++) square[i * dim + j] /= trace;
    return trace;
}

/* ---- tridiagonal form ---------------------------------------------------------------------- */

static inline double add_lanes(double *lane)
{
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++) lane[j] += lane[j + width];
    return lane[0];
}

static inline void dot_block(const double *restrict x, const double *restrict y,
                             double *restrict lane)
{
    for (size_t j = 0; j < LANES; j++) lane[j] += x[j] * y[j];
}

static double dot(const double *x, const double *y, size_t n)
{
    double lane[LANES] = {0}, rest = 0.0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) dot_block(x + i, y + i, lane);
    for (; i < n; i++) rest += x[i] * y[i];
    return add_lanes(lane) + rest;
}

static inline void add_times_block(double factor, const double *restrict x, double *restrict y)
{
    for (size_t j = 0; j < LANES; j++) y[j] += factor * x[j];
}

static void add_times(double factor, const double *x, double *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) add_times_block(factor, x + i, y + i);
    for (; i < n; i++) y[i] += factor * x[i];
}

/* The rank-2 update A - h w' - w h' of the reflection before, and p = A g of the next reflection g,
 * in one pass over A. All are zero behind what they hold. */
struct sweep {
    double *h, *w, *g, *p;
};

static inline void sweep_block(double *restrict row, const double *restrict h,
                               const double *restrict w, const double *restrict g,
                               double *restrict p, double hi, double wi, double gi,
                               double *restrict lane)
{
    for (size_t j = 0; j < LANES; j++) {
        double a = row[j] - (hi * w[j] + wi * h[j]);
        row[j] = a;
        lane[j] += a * g[j];
        p[j] += gi * a;
    }
}

static void sweep_row(const struct sweep *sweep, double *row, size_t i)
{
    double hi = sweep->h[i], wi = sweep->w[i], gi = sweep->g[i];
    double lane[LANES] = {0}, rest = 0.0;
    size_t j = 0;
    for (; j + LANES <= i; j += LANES)
        sweep_block(row + j, sweep->h + j, sweep->w + j, sweep->g + j, sweep->p + j, hi, wi, gi,
                    lane);
    for (; j < i; j++) {
        double a = row[j] - (hi * sweep->w[j] + wi * sweep->h[j]);
        row[j] = a;
        rest += a * sweep->g[j];
        sweep->p[j] += gi * a;
    }
    row[i] -= 2.0 * (hi * wi);
    sweep->p[i] = add_lanes(lane) + rest + row[i] * gi;
}

/* Makes, in place of x[0..n), h such that I - h h' turns x into `beside` times the last unit
 * vector, which is returned; h is 0 where x is that already. */
static double reflection(double *x, size_t n)
{
    double last = x[n - 1], before = dot(x, x, n - 1);
    if (before == 0.0) {
        x[n - 1] = 0.0;
        return last;
    }
    double beside = -copysign(sqrt(before + last * last), last);
    x[n - 1] = last - beside; /* like signs: no digits are lost */
    double scale = sqrt(2.0 / (before + x[n - 1] * x[n - 1]));
    for (size_t i = 0; i < n; i++) x[i] *= scale;
    return beside;
}

/* `memory` is 3 * dim zeros. */
static void tridiagonalise(double *square, size_t dim, double *memory, struct tridiagonal *t)
{
    struct sweep sweep = {.h = memory, .w = memory + dim, .p = memory + 2 * dim};
    for (size_t k = dim - 1; k > 0; k--) {
        double *row = square + k * dim;
        add_times(-sweep.h[k], sweep.w, row, k);
        add_times(-sweep.w[k], sweep.h, row, k);
        t->diagonal[k] = row[k] - 2.0 * (sweep.h[k] * sweep.w[k]);
        t->beside[k - 1] = reflection(row, k);

        sweep.g = row;
        memset(sweep.p, 0, k * sizeof *sweep.p);
        for (size_t i = 0; i < k; i++) sweep_row(&sweep, square + i * dim, i);
        double *freed = sweep.w;
        add_times(-0.5 * dot(sweep.p, row, k), row, sweep.p, k);
        sweep.w = sweep.p;
        sweep.p = freed;
        sweep.h = row;
    }
    t->diagonal[0] = square[0] - (dim > 1 ? 2.0 * (sweep.h[0] * sweep.w[0]) : 0.0);
}

/* ---- diagonal form ------------------------------------------------------------------------- */

struct turns {
    struct pca_axes *axes;
    struct rotation *rotation;
    size_t count;
    unsigned threads;
};

static inline void turn(double *restrict a, double *restrict b, double cosine, double sine)
{
    for (size_t j = 0; j < SLICE; j++) {
        double x = a[j], y = b[j];
        a[j] = cosine * x + sine * y;
        b[j] = cosine * y - sine * x;
    }
}

static void turns_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct turns *turns = context;
    (void)worker;
    for (size_t slice = begin; slice < end; slice++) {
        double *vectors = turns->axes->vectors + slice * turns->axes->dim * SLICE;
        for (size_t i = 0; i < turns->count; i++) {
            const struct rotation *r = &turns->rotation[i];
            double *a = vectors + (size_t)r->at * SLICE;
            turn(a, a + SLICE, r->cosine, r->sine);
        }
    }
}

static void turns_do(struct turns *turns)
{
    par_for(turns->threads, turns->axes->slices, 1, turns_job, turns);
    turns->count = 0;
}

/* Nothing to turn: only eigenvalues are wanted. */
static void turns_add(struct turns *turns, struct rotation rotation)
{
    if (!turns->rotation) return;
    if (turns->count == ROTATIONS) turns_do(turns);
    turns->rotation[turns->count++] = rotation;
}

/* The eigenvalue of the last two rows up to `high` that is nearer to the last. */
static double shift_of(const struct tridiagonal *t, size_t high)
{
    double b = t->beside[high - 1], half = (t->diagonal[high - 1] - t->diagonal[high]) / 2.0;
    return t->diagonal[high] - b * b / (half + copysign(sqrt(half * half + b * b), half));
}

/* One implicit QR step on rows low to high: G T G' for rotations G that chase a bulge downwards. */
static void qr_step(struct tridiagonal *t, size_t low, size_t high, struct turns *turns)
{
    double *d = t->diagonal, *e = t->beside;
    double x = d[low] - shift_of(t, high), bulge = e[low];
    for (size_t k = low; k < high; k++) {
        double r = sqrt(x * x + bulge * bulge);
        double c = r > 0.0 ? x / r : 1.0, s = r > 0.0 ? bulge / r : 0.0;
        if (k > low) e[k - 1] = r;
        double a = d[k], b = e[k], g = d[k + 1], across = 2.0 * c * s * b;
        d[k] = c * c * a + across + s * s * g;
        d[k + 1] = s * s * a - across + c * c * g;
        e[k] = c * s * (g - a) + (c * c - s * s) * b;
        x = e[k];
        if (k + 1 < high) {
            bulge = s * e[k + 1];
            e[k + 1] *= c;
        }
        turns_add(turns, (struct rotation){c, s, (uint32_t)k});
    }
}

/* Eigenvalues are wanted to within a rounding of the greatest: the small ones are of axes that are
 * left out. */
static void diagonalise(struct tridiagonal *t, size_t dim, struct turns *turns)
{
    double largest = 0.0;
    for (size_t i = 0; i < dim; i++)
        largest = fmax(largest, fmax(fabs(t->diagonal[i]), i + 1 < dim ? fabs(t->beside[i]) : 0.0));
    double small = DBL_EPSILON * largest;
    unsigned steps = 0;
    for (size_t high = dim - 1; high > 0;) {
        if (!(fabs(t->beside[high - 1]) > small) || steps == STEPS_MAX) {
            high--;
            steps = 0;
            continue;
        }
        size_t low = high - 1;
        while (low > 0 && fabs(t->beside[low - 1]) > small) low--;
        qr_step(t, low, high, turns);
        steps++;
    }
    if (turns->rotation) turns_do(turns);
}

/* ---- axes ---------------------------------------------------------------------------------- */

struct ranked {
    double energy;
    uint32_t vector;
};

static int by_energy(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->energy != y->energy) return x->energy > y->energy ? -1 : 1;
    return x->vector < y->vector ? -1 : x->vector > y->vector;
}

/* Puts the eigenvalues, times `scale`, in order. */
static void rank(struct pca_axes *axes, const double *values, double scale, struct ranked *ranked)
{
    for (uint32_t i = 0; i < axes->dim; i++)
        ranked[i] = (struct ranked){fmax(values[i], 0.0) * scale, i};
    qsort(ranked, axes->dim, sizeof *ranked, by_energy);
    for (uint32_t i = 0; i < axes->dim; i++) {
        axes->energies[i] = ranked[i].energy;
        axes->order[i] = ranked[i].vector;
    }
}

/* `memory` is 5 * dim zeros; `square` has the moments of so many rows. */
static void find_energies(struct pca_axes *axes, size_t rows, double *memory, struct ranked *ranked)
{
    size_t dim = axes->dim;
    double trace = normalise(axes->square, dim);
    struct tridiagonal kept = {axes->t, axes->t + dim}, t = {memory, memory + dim};
    struct turns none = {0};
    tridiagonalise(axes->square, dim, memory + 2 * dim, &kept);
    memcpy(memory, axes->t, 2 * dim * sizeof *memory);
    diagonalise(&t, dim, &none);
    rank(axes, t.diagonal, rows > 0 ? trace / (double)rows : 0.0, ranked);
}

enum vdb_status pca_axes_create(const struct kernels *kernels, const float *samples, size_t n,
                                uint32_t dim, unsigned threads, struct pca_axes **axes,
                                struct vdb_error *err)
{
    *axes = NULL;
    if (dim == 0) return error_set(err, VDB_INVALID, "no principal axes of 0 dimensions");
    if (dim > PCA_DIM_MAX)
        return error_set(err, VDB_UNSUPPORTED,
                         "principal axes of %u dimensions: there may be up to %d", dim,
                         PCA_DIM_MAX);
    struct pca_axes *made = calloc(1, sizeof *made);
    if (!made) return error_no_memory(err);
    made->dim = dim;
    made->slices = (dim + SLICE - 1) / SLICE;
    made->square_len = (size_t)dim * dim * sizeof(double);
    made->square = pages_alloc(made->square_len);
    made->t = calloc(2 * (size_t)dim, sizeof *made->t);
    made->energies = malloc(dim * sizeof *made->energies);
    made->order = malloc(dim * sizeof *made->order);

    double *memory = calloc(5 * (size_t)dim, sizeof *memory);
    struct ranked *ranked = malloc(dim * sizeof *ranked);
    size_t rows = n < ROWS_MAX ? n : ROWS_MAX;
    bool got = made->square && made->t && made->energies && made->order && memory && ranked;
    enum vdb_status status =
        got ? moments_find(kernels, samples, n, rows, dim, threads, made->square, err)
            : error_no_memory(err);
    if (!status)
        find_energies(made, rows, memory, ranked);
    else
        pca_axes_free(made);
    *axes = status ? NULL : made;
    free(ranked);
    free(memory);
    return status;
}

/* The steps once more, as they led to the energies, with the eigenvectors. */
static enum vdb_status find_vectors(struct pca_axes *axes, unsigned threads, struct vdb_error *err)
{
    size_t dim = axes->dim;
    if (axes->vectors) return VDB_OK;
    axes->vectors_len = (size_t)axes->slices * dim * SLICE * sizeof(double);
    axes->vectors = pages_alloc(axes->vectors_len);
    double *memory = malloc(2 * dim * sizeof *memory);
    struct rotation *rotations = malloc(ROTATIONS * sizeof *rotations);
    enum vdb_status status = VDB_OK;
    if (axes->vectors && memory && rotations) {
        struct tridiagonal t = {memory, memory + dim};
        struct turns turns = {.axes = axes, .rotation = rotations, .threads = threads};
        memcpy(memory, axes->t, 2 * dim * sizeof *memory);
        for (size_t i = 0; i < dim; i++)
            axes->vectors[(i / SLICE * dim + i) * SLICE + i % SLICE] = 1.0;
        diagonalise(&t, dim, &turns);
    } else {
        pages_free(axes->vectors, axes->vectors_len);
        axes->vectors = NULL;
        status = error_no_memory(err);
    }
    free(rotations);
    free(memory);
    return status;
}

void pca_axes_free(struct pca_axes *axes)
{
    if (!axes) return;
    pages_free(axes->square, axes->square_len);
    pages_free(axes->vectors, axes->vectors_len);
    free(axes->t);
    free(axes->energies);
    free(axes->order);
    free(axes);
}

const double *pca_energies(const struct pca_axes *axes)
{
    return axes->energies;
}

/* Of energies that add up to 1, m with that share and the others with the rest, squares add up to
 * least where those of either kind are equal. The sum of squares is the mean of <x, y>^2 over
 * different rows, by the square of that of |x|^2. */
bool pca_may_keep(const struct kernels *kernels, const float *samples, size_t n, uint32_t dim,
                  uint32_t m, double share)
{
    size_t rows = n < PRODUCTS_ROWS ? n : PRODUCTS_ROWS;
    double lengths = 0.0, squares = 0.0, pairs = (double)rows * ((double)rows - 1.0) / 2.0;
    for (size_t i = 0; i < rows; i++) {
        const float *x = samples + i * n / rows * dim;
        lengths += kernels->sumsq[VDB_TYPE_F32](x, dim);
        for (size_t j = 0; j < i; j++) {
            double product = kernels->dot[VDB_TYPE_F32](samples + j * n / rows * dim, x, dim);
            squares += product * product;
        }
    }
    double mean = lengths / (double)rows, rest = 1.0 - share;
    double least = share * share / m + rest * rest / (dim - m);
    return !(squares < PRODUCTS_SHARE * least * mean * mean * pairs);
}

uint32_t pca_choose(const double *energies, uint32_t dim, double share)
{
    double all = 0.0, kept = 0.0;
    uint32_t m = 0;
    for (uint32_t i = 0; i < dim; i++) all += energies[i];
    while (m < dim && (m == 0 || kept < share * all)) kept += energies[m++];
    m = (m + PCA_MULTIPLE - 1) / PCA_MULTIPLE * PCA_MULTIPLE;
    return m < dim ? m : dim;
}

/* ---- the matrix ---------------------------------------------------------------------------- */

size_t pca_stride(uint32_t dim)
{
    return ((size_t)dim + BLOCK - 1) / BLOCK * BLOCK;
}

struct rounding {
    const struct pca_axes *axes;
    double *memory; /* dim of it for each worker */
    uint8_t *matrix;
    float *scales;
};

/* The axis of rank j: its vector of T, with the reflections undone. */
static void axis_of(const struct pca_axes *axes, size_t j, double *axis)
{
    size_t dim = axes->dim, vector = axes->order[j];
    for (size_t i = 0; i < dim; i++)
        axis[i] = axes->vectors[(i / SLICE * dim + vector) * SLICE + i % SLICE];
    for (size_t k = 2; k < dim; k++) { /* row 1 needed none */
        const double *h = axes->square + k * dim;
        add_times(-dot(h, axis, k), h, axis, k);
    }
}

static void round_job(void *context, unsigned worker, size_t begin, size_t end)
{
    const struct rounding *rounding = context;
    size_t dim = rounding->axes->dim, stride = pca_stride(rounding->axes->dim);
    double *axis = rounding->memory + worker * dim;
    for (size_t j = begin; j < end; j++) {
        axis_of(rounding->axes, j, axis);
        double largest = 0.0;
        for (size_t i = 0; i < dim; i++) largest = fmax(largest, fabs(axis[i]));
        uint8_t *row = rounding->matrix + j * stride;
        for (size_t i = 0; i < dim; i++)
            row[i] = (uint8_t)(int8_t)floor(axis[i] * (127.0 / largest) + 0.5);
        memset(row + dim, 0, stride - dim);
        rounding->scales[j] = (float)(largest / 127.0);
    }
}

enum vdb_status pca_round(struct pca_axes *axes, uint32_t m, unsigned threads, uint8_t *matrix,
                          float *scales, struct vdb_error *err)
{
    enum vdb_status status = find_vectors(axes, threads, err);
    if (status) return status;
    if (threads < 1) threads = 1;
    if (threads > m) threads = m;
    struct rounding rounding = {.axes = axes, .matrix = matrix, .scales = scales};
    rounding.memory = calloc((size_t)threads + 1, axes->dim * sizeof *rounding.memory);
    if (!rounding.memory) return error_no_memory(err);
    par_for(threads, m, 1, round_job, &rounding);
    free(rounding.memory);
    return VDB_OK;
}

/* ---- projections --------------------------------------------------------------------------- */

static inline void largest_block(const float *restrict x, float *restrict lane)
{
    for (size_t j = 0; j < BLOCK; j++) {
        float size = fabsf(x[j]);
        lane[j] = lane[j] < size ? size : lane[j];
    }
}

/* The integers are the low bytes of sums of ROUNDING. They are added as words: for values that are
 * not numbers, in a damaged file, any sum will do. */
static inline uint32_t round_block(const float *restrict x, float inverse, int8_t *restrict bytes)
{
    float sum[BLOCK];
    uint32_t words[BLOCK], all = 0;
    for (size_t j = 0; j < BLOCK; j++) sum[j] = x[j] * inverse + ROUNDING;
    const int8_t *low = (const int8_t *)sum;
    for (size_t j = 0; j < BLOCK; j++) bytes[j] = low[4 * j];
    memcpy(words, sum, sizeof words);
    for (size_t j = 0; j < BLOCK; j++) all += words[j] - ROUNDING_BITS;
    return all;
}

/* The products of one row of bytes with the matrix, from its row j on, 4 of them. They are made
 * with bytes of 0x80 more than those of the matrix, which are then taken off: the kernel takes one
 * side as unsigned. */
static void multiply(const struct pca *pca, uint32_t j, const int8_t *x8, uint32_t sum,
                     int32_t products[4])
{
    size_t stride = pca_stride(pca->dim);
    uint32_t last = pca->m - 1;
    const uint8_t *rows[4];
    int32_t sums[4];
    for (uint32_t i = 0; i < 4; i++) rows[i] = pca->matrix + (j + i < last ? j + i : last) * stride;
    pca->kernels->dot4_u8i8(rows, x8, stride, 0x80, sums);
    for (uint32_t i = 0; i < 4; i++) products[i] = (int32_t)((uint32_t)sums[i] - 128 * sum);
}

/* Puts x into whole[] with zeros behind it, and returns the size of the largest value. */
static float take(const struct pca *pca, const float *x, float *whole)
{
    size_t stride = pca_stride(pca->dim);
    float lane[BLOCK] = {0};
    memcpy(whole, x, pca->dim * sizeof *whole);
    memset(whole + pca->dim, 0, (stride - pca->dim) * sizeof *whole);
    for (size_t i = 0; i < stride; i += BLOCK) largest_block(whole + i, lane);
    for (size_t width = BLOCK / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            lane[j] = lane[j] < lane[j + width] ? lane[j + width] : lane[j];
    return lane[0];
}

void pca_apply(const struct pca *pca, const float *x, float *out, void *scratch)
{
    size_t stride = pca_stride(pca->dim);
    float *whole = scratch, largest = take(pca, x, whole);
    int8_t *x8 = (int8_t *)(whole + stride);
    float inverse = largest > LARGEST_MIN ? 127.0f / largest : 0.0f;
    float scale = inverse > 0.0f ? largest / 127.0f : 0.0f;
    uint32_t sum = 0;
    for (size_t i = 0; i < stride; i += BLOCK) sum += round_block(whole + i, inverse, x8 + i);
    for (uint32_t j = 0; j < pca->m; j += 4) {
        int32_t products[4];
        multiply(pca, j, x8, sum, products);
        for (uint32_t i = 0; i < 4 && j + i < pca->m; i++)
            out[j + i] = (float)products[i] * (pca->scales[j + i] * scale);
    }
}

/* Each value as 256 * high + low, both signed bytes. */
static inline void split_block(const float *restrict x, float inverse, int8_t *restrict high,
                               int8_t *restrict low)
{
    float sum[BLOCK];
    uint32_t words[BLOCK];
    for (size_t j = 0; j < BLOCK; j++) sum[j] = x[j] * inverse + ROUNDING;
    memcpy(words, sum, sizeof words);
    for (size_t j = 0; j < BLOCK; j++) low[j] = (int8_t)(uint8_t)words[j];
    for (size_t j = 0; j < BLOCK; j++) high[j] = (int8_t)(uint8_t)((words[j] + 128) >> 8);
}

static uint32_t sum_of(const int8_t *bytes, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += bytes[i];
    return (uint32_t)sum;
}

double pca_apply_row(const struct pca *pca, const float *x, float *out, void *scratch)
{
    size_t stride = pca_stride(pca->dim);
    float *whole = scratch, largest = take(pca, x, whole);
    int8_t *high = (int8_t *)(whole + stride), *low = high + stride;
    if (!(largest > LARGEST_MIN && largest < LARGEST_MAX)) return INFINITY;
    float inverse = WORD_MAX / largest;
    double quantum = 1.0 / (double)inverse;
    for (size_t i = 0; i < stride; i += BLOCK) split_block(whole + i, inverse, high + i, low + i);
    uint32_t high_sum = sum_of(high, stride), low_sum = sum_of(low, stride);
    for (uint32_t j = 0; j < pca->m; j += 4) {
        int32_t highs[4], lows[4];
        multiply(pca, j, high, high_sum, highs);
        multiply(pca, j, low, low_sum, lows);
        for (uint32_t i = 0; i < 4 && j + i < pca->m; i++) {
            double product = 256.0 * highs[i] + lows[i];
            out[j + i] = (float)(product * ((double)pca->scales[j + i] * quantum));
        }
    }
    return quantum;
}

void pca_apply_exact(const struct pca *pca, const float *x, float *out)
{
    size_t stride = pca_stride(pca->dim);
    for (uint32_t j = 0; j < pca->m; j++) {
        double product = pca->kernels->dot[VDB_TYPE_I8](pca->matrix + j * stride, x, pca->dim);
        out[j] = (float)fmin(fmax(product * (double)pca->scales[j], -VALUE_MAX), VALUE_MAX);
    }
}
