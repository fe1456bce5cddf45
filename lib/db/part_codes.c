/* part_codes.c: coding the rows of a part.
 *
 *     header | center | codes, a row each | norms
 *
 * The norm lies in the row of the codes itself where that has room behind them: one cache line
 * less for a walk to wait for. u8 and i8 vectors under l2 and ip are their own codes: the segment
 * then has norms only and names the vectors as its plane.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/pages.h"
#include "base/par.h"
#include "db/part_index.h"
#include "db/space.h"
#include "index/codes4.h"
#include "vector/vtype.h"

#define ENCODE_CHUNK  256
#define ROTATE_FROM   8 /* dimensions: with fewer there is nothing to even out */
#define CENTER_SAMPLE 65536

/* ---- rows ---------------------------------------------------------------------------------- */

enum vdb_status part_source_row(void *context, uint32_t row, float *x)
{
    const struct part_source *s = context;
    const uint8_t *stored = s->vectors + row * s->stride;
    uint32_t dim = s->manifest->dim;
    vtype_load(s->manifest->type, stored, x, dim);
    if (s->manifest->metric != VDB_METRIC_COSINE) return VDB_OK;
    double length = sqrt(s->build->source->kernels->sumsq[s->manifest->type](stored, dim));
    if (!(length > 0)) return VDB_OK; /* only a damaged file has a zero vector here */
    for (uint32_t i = 0; i < dim; i++) x[i] = (float)(x[i] / length);
    return VDB_OK;
}

struct quality_rows part_source_rows(struct part_source *source)
{
    return (struct quality_rows){
        .rows = source->build->count,
        .dim = source->manifest->dim,
        .stride = source->stride,
        .metric = source->manifest->metric,
        .row_fn = part_source_row,
        .context = source,
        .kernels = source->build->source->kernels,
        .threads = source->build->threads,
    };
}

bool part_source_is_coded(const struct part_source *source)
{
    const struct manifest *m = source->manifest;
    bool bytes = m->type == VDB_TYPE_U8 || m->type == VDB_TYPE_I8;
    return bytes && m->metric != VDB_METRIC_COSINE;
}

/* The mean of rows evenly spread: sums in order, so that it is the same anywhere. */
static enum vdb_status find_center(struct part_source *source, float **center,
                                   struct vdb_error *err)
{
    uint32_t dim = source->manifest->dim, count = source->build->count;
    uint32_t sample = count < CENTER_SAMPLE ? count : CENTER_SAMPLE;
    double *sums = calloc(dim, sizeof *sums);
    float *x = malloc(dim * sizeof *x);
    enum vdb_status status = sums && x ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < sample && !status; i++) {
        status = part_source_row(source, (uint32_t)((uint64_t)i * count / sample), x);
        for (uint32_t j = 0; j < dim; j++) sums[j] += (double)x[j];
    }
    for (uint32_t j = 0; j < dim && !status; j++) x[j] = (float)(sums[j] / sample);
    free(sums);
    if (!status)
        *center = x;
    else
        free(x);
    return status;
}

/* ---- layout -------------------------------------------------------------------------------- */

static void lay_out(const struct part_source *source, enum codes_kind kind,
                    const struct quantizer *quantizer, struct part_codes *codes)
{
    const struct manifest *m = source->manifest;
    uint32_t dim = m->dim, rows = source->build->count, norm = codes_norm_bytes(kind);
    uint32_t used = kind == CODES_4 ? (dim + 1) / 2 : dim;
    uint32_t width = code_width(kind == CODES_4 ? DISK_CODE_SQ4 : DISK_CODE_SQ8, dim);
    bool own = codes->own;
    struct code_header *h = &codes->header;
    *h = (struct code_header){
        .kind = kind == CODES_4 ? DISK_CODE_SQ4 : DISK_CODE_SQ8,
        .rows = rows,
        .dim = dim,
        .scale = kind == CODES_8 && own ? quantizer->scale : 1,
        .zero = kind != CODES_8          ? 0
                : own                    ? quantizer->zero
                : m->type == VDB_TYPE_I8 ? 128
                                         : 0,
    };
    if (m->metric == VDB_METRIC_COSINE) h->flags |= DISK_CODE_NORMALIZE;
    if (!own && m->type == VDB_TYPE_I8) h->flags |= DISK_CODE_SIGNED;
    if (kind == CODES_4 && dim >= ROTATE_FROM) h->flags |= DISK_CODE_ROTATED;
    uint64_t end = sizeof(struct disk_code_header);
    if (kind == CODES_4) {
        h->center_off = end;
        end = round_up(end + (uint64_t)dim * sizeof(float), VDB_ARRAY_ALIGN);
    }
    h->codes = (struct plane){source->vectors_off, (uint32_t)source->stride, width};
    if (own) {
        h->codes = (struct plane){end, width, width};
        end += (uint64_t)rows * width;
    }
    bool inside = own && used + norm <= width;
    h->norms = inside ? (struct plane){h->codes.off + width - norm, width, norm}
                      : (struct plane){end, norm, norm};
    codes->len = inside ? end : end + (uint64_t)rows * norm;
}

/* ---- coding -------------------------------------------------------------------------------- */

struct encoder {
    struct part_source *source;
    struct part_codes *codes;
    enum codes_kind kind;
    struct quantizer quantizer;
    struct codes4 four;
    struct codes base; /* of as many of the first rows as it has */
    int failed;        /* memory ran out in a job */
};

static void encode_row(const struct encoder *e, uint32_t row, float *x, float *scratch)
{
    const struct part_source *s = e->source;
    const struct code_header *h = &e->codes->header;
    uint8_t *norm = e->codes->segment + h->norms.off + (size_t)row * h->norms.stride;
    uint32_t dim = s->manifest->dim;
    int32_t value;
    if (!e->codes->own) {
        uint8_t flip = (uint8_t)(h->flags & DISK_CODE_SIGNED ? 0x80 : 0);
        value = codes_norm(s->vectors + row * s->stride, dim, flip);
        memcpy(norm, &value, sizeof value);
        return;
    }
    uint8_t *code = e->codes->segment + h->codes.off + (size_t)row * h->codes.stride;
    part_source_row(e->source, row, x);
    if (e->kind == CODES_8) {
        codes_encode_row(s->build->source->kernels, &e->quantizer, x, dim, code, &value);
        memcpy(norm, &value, sizeof value);
    } else {
        struct codes4_factors factors;
        codes4_encode(&e->four, x, scratch, code, &factors);
        memcpy(norm, &factors, sizeof factors);
    }
}

/* Codes that there are already, whose norm may lie behind them in their row. */
static void copy_row(const struct encoder *e, uint32_t row)
{
    const struct code_header *h = &e->codes->header;
    const struct codes *base = &e->base;
    if (e->codes->own)
        memcpy(e->codes->segment + h->codes.off + (size_t)row * h->codes.stride,
               base->code + row * base->code_stride, h->codes.width);
    memcpy(e->codes->segment + h->norms.off + (size_t)row * h->norms.stride,
           base->norm + row * base->norm_stride, codes_norm_bytes(e->kind));
}

static void encode_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct encoder *e = context;
    uint32_t dim = e->source->manifest->dim;
    float *x = malloc((dim + codes4_scratch(dim)) * sizeof *x);
    if (!x) {
        __atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    for (; begin < end && begin < e->base.rows; begin++) copy_row(e, (uint32_t)begin);
    for (size_t row = begin; row < end; row++) encode_row(e, (uint32_t)row, x, x + dim);
    free(x);
}

static enum vdb_status encode_all(struct encoder *e, struct vdb_error *err)
{
    const struct code_header *h = &e->codes->header;
    e->codes->segment = pages_alloc(e->codes->len);
    if (!e->codes->segment) return error_no_memory(err);
    if (e->kind == CODES_4)
        memcpy(e->codes->segment + h->center_off, e->codes->center, h->dim * sizeof(float));
    par_for(e->source->build->threads, e->source->build->count, ENCODE_CHUNK, encode_job, e);
    return e->failed ? error_no_memory(err) : VDB_OK;
}

/* The codes as walks and builds see them. */
static struct codes view_of(const struct part_source *source, enum codes_kind kind,
                            const struct part_codes *codes)
{
    const struct manifest *m = source->manifest;
    const struct code_header *h = &codes->header;
    if (kind == CODES_VECTORS)
        return (struct codes){
            .kind = kind,
            .metric = m->metric,
            .rows = source->build->count,
            .dim = m->dim,
            .code = source->vectors,
            .code_stride = source->stride,
            .bytes = source->stride,
            .type = m->type,
        };
    return (struct codes){
        .kind = kind,
        .metric = m->metric,
        .rows = h->rows,
        .dim = h->dim,
        .code = codes->own ? codes->segment + h->codes.off : source->vectors,
        .code_stride = h->codes.stride,
        .bytes = h->codes.width,
        .flip = (uint8_t)(h->flags & DISK_CODE_SIGNED ? 0x80 : 0),
        .norm = codes->segment + h->norms.off,
        .norm_stride = h->norms.stride,
        .scale = h->scale,
        .zero = h->zero,
        .center = codes->center,
        .rotated = h->flags & DISK_CODE_ROTATED,
    };
}

/* Whether codes made now would be those of the base. */
static bool base_serves(const struct part_codes *codes, enum codes_kind kind,
                        const struct codes *base)
{
    const struct code_header *h = &codes->header;
    if (!base || base->kind != kind || base->rows > h->rows || base->dim != h->dim ||
        base->bytes != h->codes.width)
        return false;
    if (kind == CODES_4)
        return base->center && base->rotated == ((h->flags & DISK_CODE_ROTATED) != 0);
    return base->scale == h->scale && base->zero == h->zero;
}

static enum vdb_status copy_center(const struct codes *base, struct part_codes *codes,
                                   struct vdb_error *err)
{
    codes->center = malloc(base->dim * sizeof *codes->center);
    if (!codes->center) return error_no_memory(err);
    memcpy(codes->center, base->center, base->dim * sizeof *codes->center);
    return VDB_OK;
}

enum vdb_status part_codes_make(struct part_source *source, enum codes_kind kind,
                                const struct quantizer *quantizer, const struct codes *base,
                                struct part_codes *codes, struct vdb_error *err)
{
    *codes = (struct part_codes){0};
    enum vdb_status status = VDB_OK;
    if (kind != CODES_VECTORS) {
        codes->own = kind == CODES_4 || !part_source_is_coded(source);
        lay_out(source, kind, quantizer, codes);
        struct encoder e = {.source = source, .codes = codes, .kind = kind};
        if (quantizer) e.quantizer = *quantizer;
        if (base_serves(codes, kind, base)) e.base = *base;
        if (kind == CODES_4)
            status = e.base.rows ? copy_center(base, codes, err)
                                 : find_center(source, &codes->center, err);
        e.four = (struct codes4){source->build->source->kernels, codes->center,
                                 source->manifest->dim, codes->header.flags & DISK_CODE_ROTATED};
        if (!status) status = encode_all(&e, err);
    }
    if (!status) codes->view = view_of(source, kind, codes);
    return status;
}

void part_codes_release(struct part_codes *codes)
{
    pages_free(codes->segment, codes->len);
    free(codes->center);
    *codes = (struct part_codes){0};
}

/* ---- writing ------------------------------------------------------------------------------- */

enum vdb_status part_codes_write(const struct part_source *source, const struct part_codes *codes,
                                 struct segment_entry *segment, struct vdb_error *err)
{
    const struct osfile *file = source->build->file;
    struct code_header header = codes->header;
    struct disk_code_header disk;
    struct checksum_state check;
    segment->len = codes->len;
    enum vdb_status status = part_build_reserve(
        source->build, segment->len, space_segment_align(segment->len), &segment->off, err);
    if (status) return status;
    if (codes->own) header.codes.off += segment->off;
    header.norms.off += segment->off;
    if (header.center_off) header.center_off += segment->off;
    code_header_encode(&header, &disk);
    checksum_init(&check);
    checksum_add(&check, &disk, sizeof disk);
    status = space_write(file, segment->off, &disk, sizeof disk, err);
    checksum_add(&check, codes->segment + sizeof disk, codes->len - sizeof disk);
    if (!status)
        status = space_write(file, segment->off + sizeof disk, codes->segment + sizeof disk,
                             codes->len - sizeof disk, err);
    segment->check = checksum_end(&check);
    return status;
}
