/* part_index.c: writing a part's codes and graph.
 *
 * Codes are written first and read back through a mapping, so that a build holds the graph in
 * memory and nothing else that grows with the rows. u8 and i8 vectors under l2 and ip are their own
 * codes: the code segment then has norms only and names the vectors as its plane.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/par.h"
#include "db/space.h"
#include "format/code_header.h"
#include "format/graph_header.h"
#include "index/codes.h"
#include "index/graph.h"
#include "index/quality.h"
#include "vector/vtype.h"

/* Below this a scan of all rows is as fast as a walk over a few. */
#define GRAPH_MIN_ROWS 1000
/* Where codes, or long walks on the graph, find less than this share of the nearest rows, scanning
 * is what is left. */
#define RECALL_MIN   0.9
#define ENCODE_CHUNK 256

uint16_t part_index_kind(enum vdb_index_kind index, uint32_t rows)
{
    bool graph = index == VDB_INDEX_GRAPH || (index == VDB_INDEX_AUTO && rows >= GRAPH_MIN_ROWS);
    return graph ? DISK_PART_GRAPH : DISK_PART_FLAT;
}

struct encoder {
    const struct part_build *build;
    const struct manifest *manifest;
    const uint8_t *vectors; /* mapped */
    size_t stride;
    struct quantizer quantizer;
    bool own_codes; /* a plane of codes is written, not only norms */
    bool good;      /* codes tell near from far well enough */
    uint64_t segment_off;
    struct code_header header;
    enum vdb_status status; /* of the first job that failed */
    struct vdb_error error;
};

/* The row as it is coded: under cosine divided by its length. */
static enum vdb_status load_row(void *context, uint32_t row, float *x)
{
    const struct encoder *e = context;
    const uint8_t *stored = e->vectors + row * e->stride;
    uint32_t dim = e->manifest->dim;
    vtype_load(e->manifest->type, stored, x, dim);
    if (e->manifest->metric != VDB_METRIC_COSINE) return VDB_OK;
    double length = sqrt(e->build->source->kernels->sumsq[e->manifest->type](stored, dim));
    if (!(length > 0)) return VDB_OK; /* only a damaged file has a zero vector here */
    for (uint32_t i = 0; i < dim; i++) x[i] = (float)(x[i] / length);
    return VDB_OK;
}

static struct quality_rows quality_rows_of(struct encoder *e)
{
    return (struct quality_rows){
        .rows = e->build->count,
        .dim = e->manifest->dim,
        .metric = e->manifest->metric,
        .row_fn = load_row,
        .context = e,
        .kernels = e->build->source->kernels,
        .threads = e->build->threads,
    };
}

/* Who asked for a graph by name gets one. */
static void judge(struct encoder *e, double recall)
{
    e->good = recall >= RECALL_MIN || e->build->index == VDB_INDEX_GRAPH;
}

static void encode_rows(struct encoder *e, size_t begin, size_t end, float *x, uint8_t *codes,
                        int32_t *norms)
{
    uint32_t dim = e->manifest->dim;
    size_t width = e->header.codes.width;
    for (size_t row = begin; row < end; row++) {
        if (e->own_codes) {
            load_row(e, (uint32_t)row, x);
            codes_encode_row(&e->quantizer, x, dim, codes + (row - begin) * width,
                             &norms[row - begin]);
        } else {
            uint8_t flip = (uint8_t)(e->header.flags & DISK_CODE_SIGNED ? 0x80 : 0);
            norms[row - begin] = codes_norm(e->vectors + row * e->stride, dim, flip);
        }
    }
}

/* One worker's stretch of rows. The file is written at places of its own, so no two meet. */
static void encode_job(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct encoder *e = context;
    size_t n = end - begin, width = e->header.codes.width;
    float *x = malloc(e->manifest->dim * sizeof *x);
    uint8_t *codes = malloc(n * width);
    int32_t *norms = malloc(n * sizeof *norms);
    struct vdb_error err;
    enum vdb_status status = x && codes && norms ? VDB_OK : error_no_memory(&err);
    if (!status) encode_rows(e, begin, end, x, codes, norms);
    if (!status && e->own_codes)
        status = space_write(e->build->file, e->header.codes.off + begin * width, codes, n * width,
                             &err);
    if (!status)
        status = space_write(e->build->file, e->header.norms.off + begin * sizeof *norms, norms,
                             n * sizeof *norms, &err);
    if (status) {
        enum vdb_status none = VDB_OK;
        if (__atomic_compare_exchange_n(&e->status, &none, status, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            e->error = err;
    }
    free(x);
    free(codes);
    free(norms);
}

static enum vdb_status encode_all(struct encoder *e, struct vdb_error *err)
{
    uint32_t count = e->build->count;
    par_for(e->build->threads, count, ENCODE_CHUNK, encode_job, e);
    if (e->status && err) *err = e->error;
    return e->status;
}

static void lay_out(struct encoder *e, const struct segment_entry *vectors, uint64_t *len)
{
    const struct manifest *m = e->manifest;
    uint32_t rows = e->build->count, width = code_width(m->dim);
    bool bytes = m->type == VDB_TYPE_U8 || m->type == VDB_TYPE_I8;
    e->own_codes = !bytes || m->metric == VDB_METRIC_COSINE;
    uint64_t norms_off =
        sizeof(struct disk_code_header) + (e->own_codes ? (uint64_t)rows * width : 0);
    *len = norms_off + (uint64_t)rows * sizeof(int32_t);
    e->header = (struct code_header){
        .kind = DISK_CODE_SQ8,
        .rows = rows,
        .dim = m->dim,
        .codes = {vectors->off, vectors->stride, width},
        .norms = {norms_off, sizeof(int32_t), sizeof(int32_t)},
        .scale = 1,
        .zero = m->type == VDB_TYPE_I8 ? 128 : 0,
    };
    if (m->metric == VDB_METRIC_COSINE) e->header.flags |= DISK_CODE_NORMALIZE;
    if (e->own_codes)
        e->header.codes = (struct plane){sizeof(struct disk_code_header), width, width};
    else if (m->type == VDB_TYPE_I8)
        e->header.flags |= DISK_CODE_SIGNED;
}

/* The segment's checksum, over what was written. */
static enum vdb_status checksum_written(const struct osfile *file, uint64_t off, uint64_t len,
                                        uint64_t *check, struct vdb_error *err)
{
    const uint8_t *mapping;
    int failed = osfile_map(file, off, len, &mapping);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot map a new segment");
    *check = checksum(mapping, len);
    osfile_unmap(mapping, len);
    return VDB_OK;
}

static enum vdb_status build_codes(struct encoder *e, const struct segment_entry *vectors,
                                   struct segment_entry *segment, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    lay_out(e, vectors, &segment->len);
    e->good = true;
    if (e->own_codes) {
        double recall;
        struct quality_rows rows = quality_rows_of(e);
        status = quality_choose(&rows, &e->quantizer, &recall, err);
        judge(e, recall);
        if (status || !e->good) return status;
        e->header.scale = e->quantizer.scale;
        e->header.zero = e->quantizer.zero;
    }
    if (!status)
        status = part_build_reserve(e->build, segment->len, space_segment_align(segment->len),
                                    &segment->off, err);
    if (status) return status;
    if (e->own_codes) e->header.codes.off += segment->off;
    e->header.norms.off += segment->off;
    struct disk_code_header disk;
    code_header_encode(&e->header, &disk);
    status = space_write(e->build->file, segment->off, &disk, sizeof disk, err);
    if (!status) status = encode_all(e, err);
    if (!status)
        status = checksum_written(e->build->file, segment->off, segment->len, &segment->check, err);
    return status;
}

static struct graph_params params_of(const struct part_build *b, const struct manifest *m)
{
    struct graph_params params = {
        .degree = m->degree,
        .ef_construction = m->ef_construction,
        .alpha_milli = m->alpha_milli,
        .threads = b->threads,
        .progress = b->progress,
        .context = b->context,
    };
    graph_params_default(&params, b->count, m->dim);
    return params;
}

static enum vdb_status build_graph(struct encoder *e, const struct codes *codes,
                                   struct segment_entry *segment, struct vdb_error *err)
{
    const struct part_build *b = e->build;
    struct graph_params params = params_of(b, e->manifest);
    struct graph_header header = {
        .rows = b->count,
        .degree = params.degree,
        .pivot_count = graph_pivot_count(b->count),
        .ef_construction = params.ef_construction,
        .alpha_milli = params.alpha_milli,
        .code_bytes = (uint32_t)codes->bytes,
        .norm_bytes = CODES_NORM_BYTES,
    };
    segment->len = graph_header_layout(&header);
    uint8_t *bytes = aligned_alloc(VDB_ARRAY_ALIGN, round_up(segment->len, VDB_ARRAY_ALIGN));
    if (!bytes) return error_no_memory(err);
    memset(bytes, 0, header.edges_off);
    struct disk_graph_header disk;
    graph_header_encode(&header, &disk);
    memcpy(bytes, &disk, sizeof disk);
    enum vdb_status status = graph_build(codes, b->source->kernels, &params,
                                         (uint32_t *)(void *)(bytes + header.edges_off),
                                         (uint32_t *)(void *)(bytes + header.pivots_off), err);
    struct graph view = {
        .rows = header.rows,
        .degree = header.degree,
        .edges = (const uint32_t *)(const void *)(bytes + header.edges_off),
        .pivots = (const uint32_t *)(const void *)(bytes + header.pivots_off),
        .pivot_count = header.pivot_count,
        .pivot_codes = bytes + header.pivot_codes_off,
        .pivot_norms = bytes + header.pivot_norms_off,
    };
    if (!status)
        graph_copy_pivots(codes, view.pivots, view.pivot_count, bytes + header.pivot_codes_off,
                          bytes + header.pivot_norms_off);
    double recall = 0;
    struct quality_rows rows = quality_rows_of(e);
    if (!status) status = quality_walk(&rows, codes, &view, &recall, err);
    judge(e, recall);
    if (!status && e->good) status = part_build_segment(b, bytes, segment->len, segment, err);
    free(bytes);
    return status;
}

/* `e->vectors` and the code segment as struct codes, for the time of the build. */
static enum vdb_status build_graph_over(struct encoder *e, const struct segment_entry *code,
                                        struct segment_entry *graph, struct vdb_error *err)
{
    const uint8_t *mapping;
    int failed = osfile_map(e->build->file, code->off, code->len, &mapping);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot map a new segment");
    const struct code_header *h = &e->header;
    struct codes codes = {
        .rows = h->rows,
        .dim = h->dim,
        .code = e->own_codes ? mapping + (h->codes.off - code->off) : e->vectors,
        .code_stride = h->codes.stride,
        .bytes = h->codes.width,
        .flip = (uint8_t)(h->flags & DISK_CODE_SIGNED ? 0x80 : 0),
        .norm = mapping + (h->norms.off - code->off),
        .norm_stride = h->norms.stride,
        .scale = h->scale,
        .zero = h->zero,
        .metric = e->manifest->metric,
    };
    enum vdb_status status = build_graph(e, &codes, graph, err);
    osfile_unmap(mapping, code->len);
    return status;
}

enum vdb_status part_index_build(const struct part_build *b, const struct segment_entry *vectors,
                                 struct manifest *m, bool *built, struct vdb_error *err)
{
    struct encoder e = {.build = b, .manifest = m, .stride = vectors->stride};
    int failed = osfile_map(b->file, vectors->off, vectors->len, &e.vectors);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot map the vectors");
    struct segment_entry code = {
        .type = DISK_SEGMENT_CODE, .row_begin = b->row_begin, .row_end = b->row_begin + b->count};
    struct segment_entry graph = {
        .type = DISK_SEGMENT_GRAPH, .row_begin = b->row_begin, .row_end = b->row_begin + b->count};
    enum vdb_status status = build_codes(&e, vectors, &code, err);
    if (!status && e.good) status = build_graph_over(&e, &code, &graph, err);
    osfile_unmap(e.vectors, vectors->len);
    if (!status && e.good) status = manifest_add_segment(m, &code, err);
    if (!status && e.good) status = manifest_add_segment(m, &graph, err);
    *built = e.good;
    return status;
}
