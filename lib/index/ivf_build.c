/* ivf_build.c: building an inverted file over coded rows.
 *
 * Lists are found by k-means on the 8-bit codes. The product quantiser, one for all lists, learns
 * from what is left of sampled rows when the centroid of their list is taken away. Rows are then
 * coded list by list. All sums are over rows in a fixed order, or of integers.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/ivf_build.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "base/par.h"
#include "vector/vtype.h"

#define SAMPLE_ROWS  16384       /* that the quantiser learns from, at most */
#define SAMPLE_BYTES (64u << 20) /* and their floats */
#define ENERGY       0.92        /* of residuals, that principal axes are to keep */
#define PCA_MIN_DIM  96          /* below, codes are short as they are */
#define SINGLE_MAX   8192        /* rows, below which a list of all is as good as many */
#define STRUCTURELESS                                                                              \
    100000 /* an intrinsic dimension in thousandths, of which the same is true                     \
            */
#define ROWS_A_LIST 128
#define LIST_CHUNK  4      /* lists that a worker codes at a time */
#define F16_MOST    0x1p15 /* what b and f are brought below by their units */

void ivf_params_default(struct ivf_params *params, uint32_t rows, uint32_t dim, uint32_t dimension)
{
    if (params->sub_dim == 0) params->sub_dim = dim >= 512 ? 4 : 2;
    if (params->lists) return;
    double lists = 4 * sqrt((double)rows);
    if (lists > rows / ROWS_A_LIST) lists = rows / ROWS_A_LIST;
    if (dimension >= STRUCTURELESS || rows < SINGLE_MAX || lists < 1) lists = 1;
    params->lists = (uint32_t)lists;
}

struct ivf_builder {
    const struct quality_rows *rows;
    const struct codes *eight;
    const struct ivf_params *params;
    struct ivf_built *built;
    uint8_t *centroids;
    int32_t *norms;
    uint32_t *first, *second; /* lists of each row */
    uint8_t *matrix;          /* of the PCA */
    float *matrix_scales;
    float *codebook;
    uint32_t m; /* dimensions of the codes */
    struct pq pq;
    struct pca pca;
    float *b, *f; /* of each slot */
    int failed;   /* memory ran out in a job, or row_fn said so */
    enum vdb_status status;
};

/* ---- lists --------------------------------------------------------------------------------- */

static struct kmeans_params kmeans_params_of(const struct ivf_builder *x)
{
    const struct ivf_params *p = x->params;
    return (struct kmeans_params){.lists = p->lists,
                                  .seeds = p->seeds,
                                  .seed_count = p->seed_count,
                                  .threads = p->threads,
                                  .progress = p->progress,
                                  .context = p->context};
}

/* The caller's centroids. */
static void take_centroids(struct ivf_builder *x)
{
    uint32_t lists = x->params->lists, dim = x->eight->dim;
    memset(x->centroids, 0, kmeans_codes_bytes(lists, dim));
    memset(x->norms, 0, kmeans_places(lists) * sizeof *x->norms);
    for (uint32_t i = 0; i < lists; i++) {
        const uint8_t *code = x->params->centroids + i * x->eight->bytes;
        kmeans_put(x->centroids, dim, i, code);
        x->norms[i] = codes_norm(code, dim, 0);
    }
}

static enum vdb_status find_lists(struct ivf_builder *x, struct vdb_error *err)
{
    const struct codes *eight = x->eight;
    struct kmeans_params params = kmeans_params_of(x);
    size_t rows = eight->rows;
    enum vdb_status status = VDB_OK;
    x->centroids = aligned_alloc(64, kmeans_codes_bytes(params.lists, eight->dim));
    x->norms = malloc(kmeans_places(params.lists) * sizeof *x->norms);
    x->first = malloc(rows * sizeof *x->first);
    x->second = x->params->spill ? malloc(rows * sizeof *x->second) : NULL;
    if (!x->centroids || !x->norms || !x->first || (x->params->spill && !x->second))
        return error_no_memory(err);
    if (x->params->centroids) {
        take_centroids(x);
    } else {
        status = kmeans_train(eight, x->rows->kernels, &params, x->centroids, x->norms, err);
    }
    if (status) return status;
    struct kmeans_lists found = {
        .count = params.lists, .dim = eight->dim, .codes = x->centroids, .norms = x->norms};
    return kmeans_assign(eight, x->rows->kernels, &found, &params, x->first, x->second, err);
}

/* Lays out the segment, and puts rows into their slots: those of a list in order. */
static enum vdb_status place_rows(struct ivf_builder *x, bool by_row, struct vdb_error *err)
{
    const struct ivf_params *p = x->params;
    struct ivf_header *h = &x->built->header;
    *h = (struct ivf_header){
        .rows = x->eight->rows,
        .dim = x->eight->dim,
        .list_count = p->lists,
        .code_count = pq_count(x->m, p->sub_dim),
        .sub_dim = p->sub_dim,
        .out_dim = x->m,
        .flags = (p->spill ? DISK_IVF_SPILLED : 0) | (x->matrix ? DISK_IVF_MATRIX : 0),
        .scale = x->eight->scale,
        .zero = x->eight->zero,
        .survivors = {24, 60, 400},
    };
    uint32_t *sizes = calloc(p->lists, sizeof *sizes);
    struct disk_ivf_list *lists = calloc(p->lists, sizeof *lists);
    enum vdb_status status = sizes && lists ? VDB_OK : error_no_memory(err);
    for (uint32_t row = 0; row < x->eight->rows && !status; row++) {
        sizes[x->first[row]]++;
        if (x->second && x->second[row] != KMEANS_NO_LIST) sizes[x->second[row]]++;
    }
    if (!status) {
        x->built->imbalance = kmeans_imbalance(sizes, p->lists);
        x->built->len = ivf_header_layout(h, sizes, !by_row, lists);
        if (!x->built->len) status = error_set(err, VDB_LIMIT, "too many rows for an ivf segment");
    }
    if (!status && !(x->built->segment = pages_alloc(x->built->len))) status = error_no_memory(err);
    if (!status) {
        uint8_t *segment = x->built->segment;
        uint32_t *slot_rows = (uint32_t *)(void *)(segment + h->slot_rows_off);
        memcpy(segment + h->lists_off, lists, p->lists * sizeof *lists);
        memset(slot_rows, 0xff, (size_t)h->slot_count * sizeof *slot_rows);
        memset(sizes, 0, p->lists * sizeof *sizes);
        for (uint32_t row = 0; row < x->eight->rows; row++)
            for (int i = 0; i < (x->second ? 2 : 1); i++) {
                uint32_t list = i ? x->second[row] : x->first[row];
                if (list == KMEANS_NO_LIST) continue;
                slot_rows[VDB_IVF_BLOCK * le32_get(lists[list].first_block) + sizes[list]++] = row;
            }
    }
    free(sizes);
    free(lists);
    return status;
}

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

/* y = P r */
static void transform(const struct ivf_builder *x, const float *r, float *y)
{
    if (x->matrix)
        pca_apply_exact(&x->pca, r, y);
    else
        memcpy(y, r, x->eight->dim * sizeof *y);
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

static enum vdb_status find_axes(struct ivf_builder *x, const float *samples, uint32_t n,
                                 struct vdb_error *err)
{
    uint32_t dim = x->eight->dim;
    unsigned threads = x->params->threads;
    struct pca_axes *axes;
    x->m = dim;
    if (x->params->out_dim == dim || dim > PCA_DIM_MAX || dim < PCA_MIN_DIM) return VDB_OK;
    enum vdb_status status = pca_axes_create(samples, n, dim, threads, &axes, err);
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
    x->pca = (struct pca){.kernels = x->rows->kernels,
                          .dim = dim,
                          .m = x->m,
                          .matrix = x->matrix,
                          .scales = x->matrix_scales};
    return status;
}

/* Learns the transform and the codebook. */
static enum vdb_status learn(struct ivf_builder *x, struct vdb_error *err)
{
    uint32_t dim = x->eight->dim, n;
    float *samples, *y = NULL;
    enum vdb_status status = sample_residuals(x, &samples, &n, err);
    if (status) return status;
    status = find_axes(x, samples, n, err);
    if (!status && !(y = malloc(x->m * sizeof *y))) status = error_no_memory(err);
    for (uint32_t i = 0; i < n && !status && x->matrix; i++) { /* in place, as y is no longer */
        transform(x, samples + (size_t)i * dim, y);
        memcpy(samples + (size_t)i * x->m, y, x->m * sizeof *y);
    }
    free(y);
    if (!status) {
        x->codebook = malloc(pq_codebook_floats(x->m, x->params->sub_dim) * sizeof *x->codebook);
        status = !x->codebook ? error_no_memory(err)
                              : pq_train(samples, n, x->m, x->params->sub_dim, x->params->threads,
                                         x->codebook, err);
    }
    free(samples);
    x->pq = (struct pq){.kernels = x->rows->kernels,
                        .codebook = x->codebook,
                        .m = x->m,
                        .sub_dim = x->params->sub_dim};
    return status;
}

/* ---- coding -------------------------------------------------------------------------------- */

struct coder { /* a worker's scratch space */
    float *c, *r, *y, *u, *pc;
    uint8_t *codes; /* of a block */
    uint32_t count;
};

static int coder_init(struct coder *s, const struct ivf_builder *x)
{
    uint32_t dim = x->eight->dim, m = x->m;
    s->count = pq_count(m, x->params->sub_dim);
    s->c = malloc((2 * (size_t)dim + 3 * (size_t)m) * sizeof *s->c);
    s->codes = malloc((size_t)VDB_IVF_BLOCK * s->count);
    if (!s->c || !s->codes) return 0;
    s->r = s->c + dim;
    s->y = s->r + dim;
    s->u = s->y + m;
    s->pc = s->u + m;
    return 1;
}

static void coder_release(struct coder *s)
{
    free(s->c);
    free(s->codes);
}

static double dot(const struct ivf_builder *x, const float *a, const float *b, uint32_t n)
{
    return x->rows->kernels->dot[VDB_TYPE_F32](a, b, n);
}

static enum vdb_status code_slot(struct ivf_builder *x, struct coder *s, uint32_t slot,
                                 uint32_t row, uint8_t *codes)
{
    uint32_t dim = x->eight->dim;
    struct pq_row coded;
    enum vdb_status status = x->rows->row_fn(x->rows->context, row, s->r);
    if (status) return status;
    for (uint32_t i = 0; i < dim; i++) s->r[i] -= s->c[i];
    transform(x, s->r, s->y);
    pq_encode(&x->pq, s->y, codes, s->u, &coded);
    struct pq_factors factors =
        pq_factors_of(x->rows->metric == VDB_METRIC_IP, &coded, dot(x, s->r, s->r, dim),
                      dot(x, s->pc, s->u, x->pq.m));
    x->b[slot] = (float)fmin(fmax(factors.b, -FLT_MAX), FLT_MAX);
    x->f[slot] = (float)fmin(fmax(factors.f, -FLT_MAX), FLT_MAX);
    return VDB_OK;
}

static enum vdb_status code_list(struct ivf_builder *x, struct coder *s,
                                 const struct ivf_view *view, uint32_t number)
{
    struct ivf_list list = ivf_view_list(view, number);
    uint8_t *block = (uint8_t *)(uintptr_t)list.blocks;
    load_centroid(x, number, s->c);
    transform(x, s->c, s->pc);
    for (uint32_t i = 0; i < list.row_count; i += VDB_IVF_BLOCK, block += view->block_bytes) {
        uint32_t n = list.row_count - i < VDB_IVF_BLOCK ? list.row_count - i : VDB_IVF_BLOCK;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t slot = list.first_slot + i + j;
            enum vdb_status status =
                code_slot(x, s, slot, view->slot_rows[slot], s->codes + (size_t)j * s->count);
            if (status) return status;
        }
        pq_pack_block(s->codes, s->count, n, s->count, block + 64);
    }
    return VDB_OK;
}

static void code_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct ivf_builder *x = context;
    struct ivf_view view;
    struct coder s = {0};
    enum vdb_status status = coder_init(&s, x) ? VDB_OK : VDB_NO_MEMORY, none = VDB_OK;
    ivf_view_init(&view, &x->built->header, x->built->segment);
    for (size_t i = begin; i < end && !status; i++) status = code_list(x, &s, &view, (uint32_t)i);
    coder_release(&s);
    if (status)
        __atomic_compare_exchange_n(&x->status, &none, status, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

/* The least power of two that brings the largest below F16_MOST. */
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
    h->unit_b = unit_for(x->b, h->slot_count);
    h->unit_f = unit_for(x->f, h->slot_count);
    ivf_view_init(&view, h, x->built->segment);
    for (uint32_t number = 0; number < h->list_count; number++) {
        struct ivf_list list = ivf_view_list(&view, number);
        uint8_t *block = (uint8_t *)(uintptr_t)list.blocks;
        for (uint32_t i = 0; i < VDB_IVF_BLOCK * list.block_count; i++) {
            uint8_t *at = block + i / VDB_IVF_BLOCK * (size_t)view.block_bytes;
            uint32_t slot = list.first_slot + i;
            uint16_t b = 0x7c00, f = 0; /* infinity: no row */
            if (i < list.row_count) {
                b = f32_to_f16(x->b[slot] / h->unit_b);
                f = f32_to_f16(x->f[slot] / h->unit_f);
            }
            ((le16 *)(void *)at)[i % VDB_IVF_BLOCK] = le16_put(b);
            ((le16 *)(void *)at)[VDB_IVF_BLOCK + i % VDB_IVF_BLOCK] = le16_put(f);
        }
    }
}

static enum vdb_status code_rows(struct ivf_builder *x, struct vdb_error *err)
{
    struct ivf_header *h = &x->built->header;
    x->b = calloc(h->slot_count, sizeof *x->b);
    x->f = calloc(h->slot_count, sizeof *x->f);
    if (!x->b || !x->f) return error_no_memory(err);
    par_for(x->params->threads, h->list_count, LIST_CHUNK, code_job, x);
    if (x->status == VDB_NO_MEMORY) return error_no_memory(err);
    if (x->status) return error_set(err, x->status, "a row could not be read");
    put_factors(x);
    return VDB_OK;
}

/* ---- the rest of the segment --------------------------------------------------------------- */

/* Without codes of their own rows are measured by their vectors, and norms are by row. */
static void put_slot_codes(const struct ivf_builder *x)
{
    const struct ivf_header *h = &x->built->header;
    const struct codes *eight = x->eight;
    uint8_t *segment = x->built->segment;
    const uint32_t *slot_rows = (const uint32_t *)(const void *)(segment + h->slot_rows_off);
    uint32_t count = h->slot_codes_off ? h->slot_count : h->rows;
    for (uint32_t i = 0; i < count; i++) {
        size_t row = h->slot_codes_off ? slot_rows[i] : i;
        if (row >= h->rows) continue;
        if (h->slot_codes_off)
            memcpy(segment + h->slot_codes_off + (size_t)i * h->slot_code_stride,
                   eight->code + row * eight->code_stride, eight->bytes);
        memcpy(segment + h->norms_off + (size_t)i * h->norm_stride,
               eight->norm + row * eight->norm_stride, sizeof(int32_t));
    }
}

static void put_tables(const struct ivf_builder *x)
{
    const struct ivf_header *h = &x->built->header;
    uint8_t *segment = x->built->segment;
    memcpy(segment + h->centroids_off, x->centroids, kmeans_codes_bytes(h->list_count, h->dim));
    memcpy(segment + h->centroid_norms_off, x->norms,
           kmeans_places(h->list_count) * sizeof *x->norms);
    memcpy(segment + h->codebook_off, x->codebook,
           pq_codebook_floats(h->out_dim, h->sub_dim) * sizeof *x->codebook);
    if (!x->matrix) return;
    memcpy(segment + h->matrix_off, x->matrix, (size_t)h->out_dim * h->code_bytes);
    memcpy(segment + h->matrix_scales_off, x->matrix_scales, h->out_dim * sizeof(float));
}

static void builder_release(struct ivf_builder *x)
{
    free(x->centroids);
    free(x->norms);
    free(x->first);
    free(x->second);
    free(x->matrix);
    free(x->matrix_scales);
    free(x->codebook);
    free(x->b);
    free(x->f);
}

enum vdb_status ivf_build(const struct quality_rows *rows, const struct codes *eight, bool by_row,
                          const struct ivf_params *params, struct ivf_built *built,
                          struct vdb_error *err)
{
    struct ivf_builder x = {.rows = rows, .eight = eight, .params = params, .built = built};
    *built = (struct ivf_built){0};
    enum vdb_status status = find_lists(&x, err);
    if (!status) status = learn(&x, err);
    if (!status) status = place_rows(&x, by_row, err);
    if (!status) status = code_rows(&x, err);
    if (!status) {
        put_tables(&x);
        put_slot_codes(&x);
    }
    builder_release(&x);
    return status;
}

void ivf_built_release(struct ivf_built *built)
{
    pages_free(built->segment, built->len);
    *built = (struct ivf_built){0};
}
