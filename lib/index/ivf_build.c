/* ivf_build.c: building an inverted file over coded rows.
 *
 * Lists are found by k-means on the 8-bit codes; what codes are learned from, and the rows' codes,
 * are ivf_code.c's. All sums are of integers.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/ivf_build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "index/beam.h"
#include "index/ivf_code.h"

#define SINGLE_MAX    8192   /* rows, below which a list of all is as good as many */
#define STRUCTURELESS 100000 /* thousandths of intrinsic dimension, from which on it is too */
#define ROWS_A_LIST   128

void ivf_params_default(struct ivf_params *params, uint32_t rows, uint32_t dim, uint32_t dimension)
{
    if (params->sub_dim == 0) params->sub_dim = dim >= 512 ? 4 : 2;
    if (params->lists) return;
    double lists = 4 * sqrt((double)rows);
    if (lists > rows / ROWS_A_LIST) lists = rows / ROWS_A_LIST;
    if (dimension >= STRUCTURELESS || rows < SINGLE_MAX || lists < 1) lists = 1;
    params->lists = (uint32_t)lists;
}

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

/* Those of the file without second lists. */
static enum vdb_status take_lists(struct ivf_builder *x, struct vdb_error *err)
{
    const struct ivf_built *single = x->params->single;
    struct ivf_view view;
    ivf_view_init(&view, &single->header, single->segment);
    memcpy(x->centroids, view.centroids, kmeans_codes_bytes(view.h.list_count, view.h.dim));
    memcpy(x->norms, view.centroid_norms, kmeans_places(view.h.list_count) * sizeof *x->norms);
    x->slots = malloc(view.h.rows * sizeof *x->slots);
    if (!x->slots) return error_no_memory(err);
    for (uint32_t number = 0; number < view.h.list_count; number++) {
        struct ivf_list list = ivf_view_list(&view, number);
        for (uint32_t i = 0; i < list.row_count; i++) {
            uint32_t slot = list.first_slot + i;
            x->first[view.slot_rows[slot]] = number;
            x->slots[view.slot_rows[slot]] = slot;
        }
    }
    return VDB_OK;
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
    if (x->params->single)
        status = take_lists(x, err);
    else if (x->params->centroids)
        take_centroids(x);
    else
        status = kmeans_train(eight, x->rows->kernels, &params, x->centroids, x->norms, err);
    if (status) return status;
    if (!x->params->single && !x->params->centroids && eight->metric == VDB_METRIC_COSINE)
        kmeans_even_lengths(eight, params.lists, x->centroids, x->norms);
    struct kmeans_lists found = {
        .count = params.lists, .dim = eight->dim, .codes = x->centroids, .norms = x->norms};
    if (x->params->single)
        return kmeans_second(eight, x->rows->kernels, &found, &params, x->first, x->second, err);
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
    free(x->slots);
}

enum vdb_status ivf_build(const struct quality_rows *rows, const struct codes *eight, bool by_row,
                          const struct ivf_params *params, struct ivf_built *built,
                          struct vdb_error *err)
{
    struct ivf_builder x = {.rows = rows, .eight = eight, .params = params, .built = built};
    *built = (struct ivf_built){0};
    enum vdb_status status = walk_check_rows(eight->rows, err); /* else none could search it */
    if (!status) status = find_lists(&x, err);
    if (!status) status = params->single ? ivf_code_take(&x, err) : ivf_code_learn(&x, err);
    if (!status) status = place_rows(&x, by_row, err);
    if (!status) status = ivf_code_rows(&x, err);
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
    free(built->b);
    free(built->f);
    *built = (struct ivf_built){0};
}
