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
#include "base/par.h"
#include "db/part_index.h"
#include "db/space.h"
#include "index/codes4.h"
#include "vector/vtype.h"

#define ENCODE_CHUNK  256
#define ROTATE_FROM   8 /* dimensions: with fewer there is nothing to even out */
#define CENTER_SAMPLE 65536
#define COPY_STEP     ((size_t)1 << 20)

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
    enum vdb_status status; /* of the first job that failed */
    struct vdb_error error;
};

struct encode_buffers {
    float *x, *scratch;
    uint8_t *codes, *norms; /* of a chunk; norms: where they lie apart */
};

/* One row's code, and its norm, wherever that goes. */
static void encode_row(const struct encoder *e, uint32_t row, const struct encode_buffers *b,
                       uint8_t *code, uint8_t *norm)
{
    const struct part_source *s = e->source;
    if (!e->codes->own) {
        uint8_t flip = (uint8_t)(e->codes->header.flags & DISK_CODE_SIGNED ? 0x80 : 0);
        int32_t value = codes_norm(s->vectors + row * s->stride, s->manifest->dim, flip);
        memcpy(norm, &value, sizeof value);
        return;
    }
    part_source_row(e->source, row, b->x);
    if (e->kind == CODES_8) {
        int32_t value;
        codes_encode_row(s->build->source->kernels, &e->quantizer, b->x, s->manifest->dim, code,
                         &value);
        memcpy(norm, &value, sizeof value);
    } else {
        struct codes4_factors factors;
        codes4_encode(&e->four, b->x, b->scratch, code, &factors);
        memcpy(norm, &factors, sizeof factors);
    }
}

static enum vdb_status encode_chunk(const struct encoder *e, size_t begin, size_t end,
                                    const struct encode_buffers *b, struct vdb_error *err)
{
    const struct code_header *h = &e->codes->header;
    const struct osfile *file = &e->codes->file;
    bool own = e->codes->own;
    bool inside = own && h->norms.stride == h->codes.stride;
    size_t width = h->codes.width, norm = h->norms.width;
    for (size_t row = begin; row < end; row++) {
        uint8_t *code = b->codes + (row - begin) * width;
        encode_row(e, (uint32_t)row, b, code,
                   inside ? code + width - norm : b->norms + (row - begin) * norm);
    }
    enum vdb_status status = VDB_OK;
    if (own)
        status =
            space_write(file, h->codes.off + begin * width, b->codes, (end - begin) * width, err);
    if (!status && !inside)
        status =
            space_write(file, h->norms.off + begin * norm, b->norms, (end - begin) * norm, err);
    return status;
}

/* One worker's stretch of rows. The file is written at places of its own, so no two meet. */
static void encode_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct encoder *e = context;
    size_t n = end - begin, dim = e->source->manifest->dim;
    struct encode_buffers b = {
        .x = malloc(dim * sizeof *b.x),
        .scratch = malloc(codes4_scratch((uint32_t)dim) * sizeof *b.scratch),
        .codes = malloc(n * e->codes->header.codes.width),
        .norms = malloc(n * e->codes->header.norms.width),
    };
    struct vdb_error err;
    enum vdb_status status =
        b.x && b.scratch && b.codes && b.norms ? VDB_OK : error_no_memory(&err);
    if (!status) status = encode_chunk(e, begin, end, &b, &err);
    if (status) {
        enum vdb_status none = VDB_OK;
        if (__atomic_compare_exchange_n(&e->status, &none, status, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            e->error = err;
    }
    free(b.x);
    free(b.scratch);
    free(b.codes);
    free(b.norms);
}

static enum vdb_status encode_all(struct encoder *e, struct vdb_error *err)
{
    const struct code_header *h = &e->codes->header;
    int failed = osfile_create_unnamed(&e->codes->file, e->source->build->beside);
    if (!failed) failed = osfile_reserve(&e->codes->file, 0, e->codes->len);
    if (failed)
        return error_set_errno(err, VDB_IO, failed,
                               "cannot make a temporary file beside the index");
    if (e->kind == CODES_4) {
        enum vdb_status status = space_write(&e->codes->file, h->center_off, e->codes->center,
                                             h->dim * sizeof(float), err);
        if (status) return status;
    }
    par_for(e->source->build->threads, e->source->build->count, ENCODE_CHUNK, encode_job, e);
    if (e->status && err) *err = e->error;
    return e->status;
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

enum vdb_status part_codes_make(struct part_source *source, enum codes_kind kind,
                                const struct quantizer *quantizer, struct part_codes *codes,
                                struct vdb_error *err)
{
    *codes = (struct part_codes){.file = {-1}};
    enum vdb_status status = VDB_OK;
    if (kind != CODES_VECTORS) {
        codes->own = kind == CODES_4 || !part_source_is_coded(source);
        lay_out(source, kind, quantizer, codes);
        struct encoder e = {.source = source, .codes = codes, .kind = kind};
        if (quantizer) e.quantizer = *quantizer;
        if (kind == CODES_4) status = find_center(source, &codes->center, err);
        e.four = (struct codes4){source->build->source->kernels, codes->center,
                                 source->manifest->dim, codes->header.flags & DISK_CODE_ROTATED};
        if (!status) status = encode_all(&e, err);
        int failed = status ? 0 : osfile_map(&codes->file, 0, codes->len, &codes->segment);
        if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot map new codes");
    }
    if (!status) codes->view = view_of(source, kind, codes);
    return status;
}

void part_codes_release(struct part_codes *codes)
{
    osfile_unmap(codes->segment, codes->len);
    osfile_close(&codes->file);
    free(codes->center);
    *codes = (struct part_codes){.file = {-1}};
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
    for (uint64_t at = sizeof disk; at < codes->len && !status; at += COPY_STEP) {
        size_t n = codes->len - at < COPY_STEP ? (size_t)(codes->len - at) : COPY_STEP;
        checksum_add(&check, codes->segment + at, n);
        status = space_write(file, segment->off + at, codes->segment + at, n, err);
    }
    segment->check = checksum_end(&check);
    return status;
}
