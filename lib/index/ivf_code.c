/* ivf_code.c: the transform, the codebook, and rows coded list by list.
 *
 * The product quantiser, one for all lists, learns from what is left of sampled rows when the
 * centroid of their list is taken away. Rows that lie close together leave thousandths of what
 * others do, and by the codewords of these they would all be the same. So what is left is coded by
 * its direction alone, as all of it were of one length; f, which each row has, takes the length
 * back. All sums are over rows in a fixed order.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/ivf_code.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/par.h"
#include "vector/vtype.h"

#define SAMPLE_ROWS     16384       /* that the quantiser learns from, at most */
#define SAMPLE_BYTES    (64u << 20) /* and their floats */
#define ENERGY          0.92        /* of residuals, that principal axes are to keep */
#define PCA_MIN_DIM     96          /* below, codes are short as they are */
#define LIST_CHUNK      4           /* lists that a worker codes at a time */
#define TRANSFORM_CHUNK 64
#define QUANTUM_MAX     1e-4 /* of <y, u> / |u| */

/* ---- residuals ----------------------------------------------------------------------------- */

/* c as its codes stand for it. */
static void load_centroid(const struct ivf_builder *x, uint32_t list, float *c)
{
    const struct codes *eight = x->eight;
    size_t groups = kernel_block_groups(eight->dim);
    for (uint32_t i = 0; i < eight->dim; i++) {
        int32_t code = x->centroids[kernel_block_at(groups, list, i)];
        c[i] = eight->scale * (float)(code - eight->zero);
    }
}

static double dot(const struct ivf_builder *x, const float *a, const float *b, uint32_t n)
{
    return x->rows->kernels->dot[VDB_TYPE_F32](a, b, n);
}

/* y = P r */
static void transform(const struct ivf_builder *x, const float *r, float *y)
{
    if (x->matrix)
        pca_apply_exact(&x->pca, r, y);
    else
        memcpy(y, r, x->eight->dim * sizeof *y);
}

/* Brings y to the length of m values of a mean square of 1. What is too short to have a direction,
 * or too long, stays. */
static void level(const struct ivf_builder *x, const float *y, float *to)
{
    double square = dot(x, y, y, x->m), times = sqrt(x->m / square);
    if (!(square >= DBL_MIN && square <= DBL_MAX)) times = 1;
    for (uint32_t i = 0; i < x->m; i++) to[i] = (float)((double)y[i] * times);
}

/* Residuals of rows evenly spread. */
static enum vdb_status sample_residuals(const struct ivf_builder *x, float **samples,
                                        uint32_t *count, struct vdb_error *err)
{
    uint32_t rows = x->eight->rows, dim = x->eight->dim;
    uint32_t n = SAMPLE_BYTES / (uint32_t)sizeof(float) / dim;
    n = n < SAMPLE_ROWS ? n : SAMPLE_ROWS;
    n = n < rows ? n : rows;
    n = n > 0 ? n : 1;
    float *r = malloc((size_t)n * dim * sizeof *r), *c = malloc(dim * sizeof *c);
    enum vdb_status status = r && c ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < n && !status; i++) {
        uint32_t row = (uint32_t)((uint64_t)i * rows / n);
        float *to = r + (size_t)i * dim;
        status = x->rows->row_fn(x->rows->context, row, to);
        load_centroid(x, x->first[row], c);
        for (uint32_t j = 0; j < dim; j++) to[j] -= c[j];
    }
    free(c);
    *samples = r;
    *count = n;
    if (status) free(r);
    return status;
}

/* So many axes as keep ENERGY, where that is half of the dimensions or fewer. */
static uint32_t choose_axes(const struct ivf_builder *x, const struct pca_axes *axes)
{
    uint32_t dim = x->eight->dim, m = x->params->out_dim;
    if (m == 0) m = pca_choose(pca_energies(axes), dim, ENERGY);
    return x->params->out_dim || m <= dim / 2 ? m : dim;
}

static void set_views(struct ivf_builder *x)
{
    x->pca = (struct pca){.kernels = x->rows->kernels,
                          .dim = x->eight->dim,
                          .m = x->m,
                          .matrix = x->matrix,
                          .scales = x->matrix_scales};
    x->pq = (struct pq){.kernels = x->rows->kernels,
                        .codebook = x->codebook,
                        .m = x->m,
                        .sub_dim = x->params->sub_dim};
}

static enum vdb_status find_axes(struct ivf_builder *x, const float *samples, uint32_t n,
                                 struct vdb_error *err)
{
    uint32_t dim = x->eight->dim;
    unsigned threads = x->params->threads;
    struct pca_axes *axes;
    x->m = dim;
    if (x->params->out_dim == dim || dim > PCA_DIM_MAX || dim < PCA_MIN_DIM) return VDB_OK;
    if (!x->params->out_dim && !pca_may_keep(x->rows->kernels, samples, n, dim, dim / 2, ENERGY))
        return VDB_OK;
    enum vdb_status status =
        pca_axes_create(x->rows->kernels, samples, n, dim, threads, &axes, err);
    if (status) return status;
    x->m = choose_axes(x, axes);
    if (x->m < dim) {
        x->matrix = aligned_alloc(64, x->m * pca_stride(dim));
        x->matrix_scales = malloc(x->m * sizeof *x->matrix_scales);
        if (x->matrix && x->matrix_scales)
            status = pca_round(axes, x->m, threads, x->matrix, x->matrix_scales, err);
        else
            status = error_no_memory(err);
    }
    pca_axes_free(axes);
    set_views(x);
    return status;
}

struct transformation {
    const struct ivf_builder *x;
    const float *samples;
    float *to;
    int failed;
};

static void transform_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct transformation *t = context;
    uint32_t dim = t->x->eight->dim, m = t->x->m;
    void *words = malloc(6 * pca_stride(dim));
    if (!words) __atomic_store_n(&t->failed, 1, __ATOMIC_RELAXED);
    for (size_t i = begin; i < end && words; i++) {
        const float *r = t->samples + i * dim;
        if (pca_apply_row(&t->x->pca, r, t->to + i * m, words) < INFINITY) continue;
        transform(t->x, r, t->to + i * m);
    }
    free(words);
}

/* In place, in the end: P r is no longer than r. */
static enum vdb_status transform_samples(const struct ivf_builder *x, float *samples, uint32_t n,
                                         struct vdb_error *err)
{
    size_t bytes = (size_t)n * x->m * sizeof(float);
    struct transformation t = {.x = x, .samples = samples, .to = malloc(bytes)};
    if (!t.to) return error_no_memory(err);
    par_for(x->params->threads, n, TRANSFORM_CHUNK, transform_job, &t);
    if (!t.failed) memcpy(samples, t.to, bytes);
    free(t.to);
    return t.failed ? error_no_memory(err) : VDB_OK;
}

enum vdb_status ivf_code_take(struct ivf_builder *x, struct vdb_error *err)
{
    const struct ivf_built *single = x->params->single;
    const struct ivf_header *h = &single->header;
    const uint8_t *segment = single->segment;
    size_t floats = pq_codebook_floats(h->out_dim, h->sub_dim);
    x->m = h->out_dim;
    x->codebook = malloc(floats * sizeof *x->codebook);
    if (!x->codebook) return error_no_memory(err);
    memcpy(x->codebook, segment + h->codebook_off, floats * sizeof *x->codebook);
    if (h->flags & DISK_IVF_MATRIX) {
        x->matrix = aligned_alloc(64, (size_t)h->out_dim * h->code_bytes);
        x->matrix_scales = malloc(h->out_dim * sizeof *x->matrix_scales);
        if (!x->matrix || !x->matrix_scales) return error_no_memory(err);
        memcpy(x->matrix, segment + h->matrix_off, (size_t)h->out_dim * h->code_bytes);
        memcpy(x->matrix_scales, segment + h->matrix_scales_off, h->out_dim * sizeof(float));
    }
    set_views(x);
    return VDB_OK;
}

enum vdb_status ivf_code_learn(struct ivf_builder *x, struct vdb_error *err)
{
    uint32_t n;
    float *samples;
    enum vdb_status status = sample_residuals(x, &samples, &n, err);
    if (status) return status;
    status = find_axes(x, samples, n, err);
    if (!status && x->matrix) status = transform_samples(x, samples, n, err);
    for (size_t i = 0; i < n && !status; i++) level(x, samples + i * x->m, samples + i * x->m);
    if (!status) {
        x->codebook = malloc(pq_codebook_floats(x->m, x->params->sub_dim) * sizeof *x->codebook);
        status = !x->codebook ? error_no_memory(err)
                              : pq_train(samples, n, x->m, x->params->sub_dim, x->params->threads,
                                         x->codebook, err);
    }
    free(samples);
    set_views(x);
    return status;
}

/* ---- coding -------------------------------------------------------------------------------- */

struct coder { /* a worker's scratch space */
    float *c, *r, *y, *leveled, *u, *pc;
    void *words;    /* of a row that is transformed */
    uint8_t *codes; /* of a block */
    uint32_t count;
};

static int coder_init(struct coder *s, const struct ivf_builder *x)
{
    uint32_t dim = x->eight->dim, m = x->m;
    s->count = pq_count(m, x->params->sub_dim);
    s->c = malloc((2 * (size_t)dim + 4 * (size_t)m) * sizeof *s->c);
    s->words = malloc(6 * pca_stride(dim));
    s->codes = malloc((size_t)VDB_IVF_BLOCK * s->count);
    if (!s->c || !s->words || !s->codes) return 0;
    s->r = s->c + dim;
    s->y = s->r + dim;
    s->leveled = s->y + m;
    s->u = s->leveled + m;
    s->pc = s->u + m;
    return 1;
}

static void coder_release(struct coder *s)
{
    free(s->c);
    free(s->words);
    free(s->codes);
}

static void encode_leveled(const struct ivf_builder *x, struct coder *s, uint8_t *codes,
                           struct pq_row *coded)
{
    level(x, s->y, s->leveled);
    pq_encode(&x->pq, s->leveled, codes, s->u, coded);
    coded->norm = dot(x, s->y, s->y, x->m);
    coded->dot = dot(x, s->y, s->u, x->m);
}

/* Where rounding to 16 bits could show in the factors, which divide by <y, u>, rows are
 * transformed with all their bits: its error is spread over dimensions as u is not, and half as
 * large as |u| quanta at the most. */
static void encode(const struct ivf_builder *x, struct coder *s, uint8_t *codes,
                   struct pq_row *coded)
{
    double quantum = 0;
    if (x->matrix)
        quantum = pca_apply_row(&x->pca, s->r, s->y, s->words);
    else
        memcpy(s->y, s->r, x->eight->dim * sizeof *s->y);
    if (quantum < INFINITY) encode_leveled(x, s, codes, coded);
    if (quantum == 0 || quantum * sqrt(coded->decoded) < QUANTUM_MAX * coded->dot) return;
    transform(x, s->r, s->y);
    encode_leveled(x, s, codes, coded);
}

static enum vdb_status code_slot(struct ivf_builder *x, struct coder *s, uint32_t slot,
                                 uint32_t row, uint8_t *codes)
{
    uint32_t dim = x->eight->dim;
    struct pq_row coded;
    enum vdb_status status = x->rows->row_fn(x->rows->context, row, s->r);
    if (status) return status;
    for (uint32_t i = 0; i < dim; i++) s->r[i] -= s->c[i];
    encode(x, s, codes, &coded);
    struct pq_factors factors =
        pq_factors_of(x->rows->metric == VDB_METRIC_IP, &coded, dot(x, s->r, s->r, dim),
                      dot(x, s->pc, s->u, x->pq.m));
    x->built->b[slot] = (float)fmin(fmax(factors.b, -FLT_MAX), FLT_MAX);
    x->built->f[slot] = (float)fmin(fmax(factors.f, -FLT_MAX), FLT_MAX);
    return VDB_OK;
}

/* What params->single has of the row. */
static void copy_slot(struct ivf_builder *x, const struct ivf_view *single, uint32_t slot,
                      uint32_t row, uint8_t *codes)
{
    uint32_t from = x->slots[row];
    struct ivf_list list = ivf_view_list(single, x->first[row]);
    uint32_t place = from - list.first_slot;
    const uint8_t *block = list.blocks + (size_t)(place / VDB_IVF_BLOCK) * single->block_bytes;
    pq_unpack_row(block + 64, place % VDB_IVF_BLOCK, single->h.code_count, codes);
    x->built->b[slot] = x->params->single->b[from];
    x->built->f[slot] = x->params->single->f[from];
}

static enum vdb_status code_block(struct ivf_builder *x, struct coder *s,
                                  const struct ivf_view *views, uint32_t list, uint32_t first,
                                  uint32_t n)
{
    for (uint32_t j = 0; j < n; j++) {
        uint32_t row = views[0].slot_rows[first + j];
        uint8_t *codes = s->codes + (size_t)j * s->count;
        enum vdb_status status = VDB_OK;
        if (x->params->single && x->first[row] == list)
            copy_slot(x, &views[1], first + j, row, codes);
        else
            status = code_slot(x, s, first + j, row, codes);
        if (status) return status;
    }
    return VDB_OK;
}

static enum vdb_status code_list(struct ivf_builder *x, struct coder *s,
                                 const struct ivf_view *views, uint32_t number)
{
    struct ivf_list list = ivf_view_list(&views[0], number);
    uint8_t *block = (uint8_t *)(uintptr_t)list.blocks;
    load_centroid(x, number, s->c);
    transform(x, s->c, s->pc);
    for (uint32_t i = 0; i < list.row_count; i += VDB_IVF_BLOCK, block += views[0].block_bytes) {
        uint32_t n = list.row_count - i < VDB_IVF_BLOCK ? list.row_count - i : VDB_IVF_BLOCK;
        enum vdb_status status = code_block(x, s, views, number, list.first_slot + i, n);
        if (status) return status;
        pq_pack_block(s->codes, s->count, n, s->count, block + 64);
    }
    return VDB_OK;
}

static void code_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct ivf_builder *x = context;
    const struct ivf_built *single = x->params->single;
    struct ivf_view views[2]; /* the new file, and the single one */
    struct coder s = {0};
    enum vdb_status status = coder_init(&s, x) ? VDB_OK : VDB_NO_MEMORY, none = VDB_OK;
    ivf_view_init(&views[0], &x->built->header, x->built->segment);
    if (single) ivf_view_init(&views[1], &single->header, single->segment);
    for (size_t i = begin; i < end && !status; i++) status = code_list(x, &s, views, (uint32_t)i);
    coder_release(&s);
    if (status)
        __atomic_compare_exchange_n(&x->status, &none, status, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

/* The least power of two that brings the largest below 2^15, as f16 holds it. */
static float unit_for(const float *x, size_t n)
{
    float most = 0.0f;
    int exponent = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    if (most > 0.0f) frexpf(most, &exponent);
    exponent -= 15;
    return ldexpf(1.0f, exponent < -100 ? -100 : exponent);
}

static void put_factors(const struct ivf_builder *x)
{
    struct ivf_header *h = &x->built->header;
    struct ivf_view view;
    const float *all_b = x->built->b, *all_f = x->built->f;
    h->unit_b = unit_for(all_b, h->slot_count);
    h->unit_f = unit_for(all_f, h->slot_count);
    ivf_view_init(&view, h, x->built->segment);
    for (uint32_t number = 0; number < h->list_count; number++) {
        struct ivf_list list = ivf_view_list(&view, number);
        uint8_t *block = (uint8_t *)(uintptr_t)list.blocks;
        for (uint32_t i = 0; i < VDB_IVF_BLOCK * list.block_count; i++) {
            uint8_t *at = block + i / VDB_IVF_BLOCK * (size_t)view.block_bytes;
            uint32_t slot = list.first_slot + i;
            uint16_t b = 0x7c00, f = 0; /* infinity: no row */
            if (i < list.row_count) {
                b = f32_to_f16(all_b[slot] / h->unit_b);
                f = f32_to_f16(all_f[slot] / h->unit_f);
            }
            ((le16 *)(void *)at)[i % VDB_IVF_BLOCK] = le16_put(b);
            ((le16 *)(void *)at)[VDB_IVF_BLOCK + i % VDB_IVF_BLOCK] = le16_put(f);
        }
    }
}

enum vdb_status ivf_code_rows(struct ivf_builder *x, struct vdb_error *err)
{
    struct ivf_header *h = &x->built->header;
    x->built->b = calloc(h->slot_count, sizeof(float));
    x->built->f = calloc(h->slot_count, sizeof(float));
    if (!x->built->b || !x->built->f) return error_no_memory(err);
    par_for(x->params->threads, h->list_count, LIST_CHUNK, code_job, x);
    if (x->status == VDB_NO_MEMORY) return error_no_memory(err);
    if (x->status) return error_set(err, x->status, "a row could not be read");
    put_factors(x);
    return VDB_OK;
}
