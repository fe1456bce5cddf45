/* part_index.c: writing a part's codes and graph.
 *
 * The graph is built on 8-bit codes. Then the codes that walks are to use are tried on it, and
 * those that need the least work are kept. A build holds the graph in memory and nothing else that
 * grows with the rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/part_codes.h"
#include "db/space.h"
#include "format/graph_header.h"
#include "index/calibrate.h"
#include "index/dimension.h"
#include "index/graph.h"
#include "index/hnsw.h"
#include "index/margin.h"
#include "index/quality.h"
#include "vector/vtype.h"

/* Below this a scan of all rows is as fast as a walk over a few. */
#define GRAPH_MIN_ROWS 1000
/* Where codes, or long walks on the graph, find less than this share of the nearest rows, scanning
 * is what is left. */
#define RECALL_MIN 0.9
/* To gather, compare and keep a row costs a walk about as much as fetching so many cache lines. */
#define HANDLING_LINES 4

uint16_t part_index_kind(enum vdb_index_kind index, uint32_t rows)
{
    bool graph = index == VDB_INDEX_GRAPH || index == VDB_INDEX_HNSW ||
                 (index == VDB_INDEX_AUTO && rows >= GRAPH_MIN_ROWS);
    return graph ? DISK_PART_GRAPH : DISK_PART_FLAT;
}

struct indexer {
    struct part_source source;
    struct part_codes build; /* 8-bit codes, which the graph is built on */
    bool good;               /* who is near whom can be told by codes and found by walks */
    uint32_t *edges, *pivots, *groups;
    uint32_t *members, *level_edges; /* of an HNSW */
    struct graph view;
    struct graph_header header;
    uint8_t *front; /* of the graph segment, up to the edges */
    uint64_t graph_len;
};

/* Who asked for a graph by name gets one. */
static void judge(struct indexer *x, double recall)
{
    x->good = recall >= RECALL_MIN || x->source.build->index != VDB_INDEX_AUTO;
}

static enum vdb_status build_codes(struct indexer *x, struct vdb_error *err)
{
    struct quantizer quantizer = {1, 0};
    enum vdb_status status = VDB_OK;
    x->good = true;
    if (!part_source_is_coded(&x->source)) {
        double recall;
        struct quality_rows rows = part_source_rows(&x->source);
        status = quality_choose(&rows, &quantizer, &recall, err);
        judge(x, recall);
    }
    if (status || !x->good) return status;
    return part_codes_make(&x->source, CODES_8, &quantizer, &x->build, err);
}

/* What was asked for, and what the rows themselves ask for. */
static enum vdb_status choose_params(const struct indexer *x, struct graph_params *params,
                                     struct vdb_error *err)
{
    const struct part_build *b = x->source.build;
    const struct manifest *m = x->source.manifest;
    uint32_t dimension = 0;
    *params = (struct graph_params){
        .degree = m->degree,
        .ef_construction = m->ef_construction,
        .alpha_milli = m->alpha_milli,
        .threads = b->threads,
        .progress = b->progress,
        .context = b->context,
    };
    if (!m->degree && b->index != VDB_INDEX_HNSW) {
        enum vdb_status status =
            dimension_estimate(&x->build.view, b->source->kernels, b->threads, &dimension, err);
        if (status) return status;
    }
    graph_params_default(params, dimension);
    return VDB_OK;
}

static size_t list_count(const struct graph_levels *levels)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < levels->count; i++) sum += levels->sizes[i];
    return sum;
}

static enum vdb_status build_hnsw(struct indexer *x, const struct graph_params *params,
                                  struct vdb_error *err)
{
    struct graph_header *h = &x->header;
    struct graph_levels *levels = &x->view.levels;
    struct hnsw *hnsw;
    enum vdb_status status =
        hnsw_create(&x->build.view, x->source.build->source->kernels, params, levels, &hnsw, err);
    if (status) return status;
    uint32_t members = levels->count ? levels->sizes[0] : 0;
    x->members = malloc(members * sizeof *x->members + 1);
    x->level_edges = malloc(list_count(levels) * levels->degree * sizeof *x->level_edges + 1);
    if (x->members && x->level_edges)
        status = hnsw_run(hnsw, x->edges, x->members, x->level_edges, x->pivots, levels, err);
    else
        status = error_no_memory(err);
    hnsw_free(hnsw);
    x->view.pivot_count = h->pivot_count = 1;
    h->leader_count = 0;
    h->level_count = levels->count + 1;
    h->level_degree = levels->degree;
    memcpy(h->level_sizes, levels->sizes, sizeof h->level_sizes);
    return status;
}

static enum vdb_status build_graph(struct indexer *x, struct vdb_error *err)
{
    const struct part_build *b = x->source.build;
    struct graph_params params;
    enum vdb_status status = choose_params(x, &params, err);
    if (status) return status;
    struct graph_header *h = &x->header;
    *h = (struct graph_header){
        .rows = b->count,
        .degree = params.degree,
        .pivot_count = graph_pivot_count(b->count, x->source.manifest->metric),
        .leader_count = graph_leader_count(b->count, x->source.manifest->metric),
        .ef_construction = params.ef_construction,
        .alpha_milli = params.alpha_milli,
    };
    size_t edges = (size_t)h->rows * h->degree, pivots = h->pivot_count;
    x->edges = malloc(edges * sizeof *x->edges);
    x->pivots = malloc(pivots * sizeof *x->pivots + 1);
    x->groups = calloc(h->leader_count + 1, sizeof *x->groups);
    if (!x->edges || !x->pivots || !x->groups) return error_no_memory(err);
    x->view = (struct graph){
        .rows = h->rows,
        .degree = h->degree,
        .edges = x->edges,
        .pivots = x->pivots,
        .pivot_count = h->pivot_count,
    };
    if (b->index == VDB_INDEX_HNSW) return build_hnsw(x, &params, err);
    params.groups = x->groups;
    status = graph_build(&x->build.view, b->source->kernels, &params, x->edges, x->pivots, err);
    if (h->leader_count && x->groups[h->leader_count - 1] == 0) h->leader_count = 0;
    x->view.leader_count = h->leader_count;
    x->view.groups = x->groups;
    return status;
}

/* ---- codes --------------------------------------------------------------------------------- */

/* Cache lines that a walk reads to measure a row. */
static uint32_t lines_of(enum codes_kind kind, const struct manifest *m)
{
    if (kind == CODES_VECTORS) return (uint32_t)(vtype_stride(m->type, m->dim) + 63) / 64;
    uint16_t disk = kind == CODES_4 ? DISK_CODE_SQ4 : DISK_CODE_SQ8;
    uint32_t width = code_width(disk, m->dim), used = kind == CODES_4 ? (m->dim + 1) / 2 : m->dim;
    return width / 64 + (used + code_norm_width(disk) > width);
}

/* Codes to walk on, and how that went. */
struct trial {
    struct part_codes codes; /* those of the build are not in here */
    struct part_codes *used; /* these, or those of the build */
    bool exact;
    struct calibration calibration;
};

static void put_levels(struct indexer *x)
{
    const struct graph_header *h = &x->header;
    const struct graph_levels *levels = &x->view.levels;
    graph_header_put_sizes(h, x->front);
    if (levels->count == 0) return;
    memcpy(x->front + h->members_off, x->members, levels->sizes[0] * sizeof *x->members);
    memcpy(x->front + h->level_edges_off, x->level_edges,
           list_count(levels) * levels->degree * sizeof *x->level_edges);
}

/* Puts the pivots' codes in order; the segment's front is that of the header, which is laid out for
 * them. */
static enum vdb_status finish_graph(struct indexer *x, const struct codes *codes,
                                    struct vdb_error *err)
{
    struct graph_header *h = &x->header;
    bool copied = codes->kind != CODES_VECTORS;
    h->code_bytes = copied ? (uint32_t)codes->bytes : 0;
    h->norm_bytes = copied ? codes_norm_bytes(codes->kind) : 0;
    x->graph_len = graph_header_layout(h);
    free(x->front);
    x->front = aligned_alloc(VDB_ARRAY_ALIGN, round_up(h->edges_off, VDB_ARRAY_ALIGN));
    if (!x->front) return error_no_memory(err);
    struct disk_graph_header disk;
    memset(x->front, 0, h->edges_off);
    graph_header_encode(h, &disk);
    memcpy(x->front, &disk, sizeof disk);
    memcpy(x->front + h->pivots_off, x->pivots, h->pivot_count * sizeof *x->pivots);
    put_levels(x);
    if (h->leader_count)
        memcpy(x->front + h->groups_off, x->groups, h->leader_count * sizeof *x->groups);
    x->view.pivot_codes = copied ? x->front + h->pivot_codes_off : NULL;
    x->view.pivot_norms = copied ? x->front + h->pivot_norms_off : NULL;
    if (copied)
        graph_copy_pivots(codes, x->pivots, h->pivot_count, x->front + h->pivot_codes_off,
                          x->front + h->pivot_norms_off);
    return VDB_OK;
}

/* Makes the codes and measures walks on them. */
static enum vdb_status try_codes(struct indexer *x, enum codes_kind kind, struct trial *trial,
                                 struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(&x->source);
    enum vdb_status status = VDB_OK;
    trial->used = &x->build;
    if (kind != CODES_8) {
        status = part_codes_make(&x->source, kind, NULL, &trial->codes, err);
        trial->used = &trial->codes;
    }
    struct codes *view = &trial->used->view;
    trial->exact = kind == CODES_VECTORS || !trial->used->own;
    if (!status) status = finish_graph(x, view, err);
    if (!status)
        status = calibrate_graph(
            &rows, &x->build.view, view, &x->view, x->edges, x->header.alpha_milli,
            trial->exact ? margin_candidates_exact : margin_candidates, &trial->calibration, err);
    if (!status && !trial->exact) status = margin_measure(&rows, &x->view, view, err);
    trial->used->header.bias = view->bias;
    trial->used->header.error = view->error;
    return status;
}

/* What answers cost with them: efforts, times what a row costs to fetch and to handle. */
static double work_of(const struct indexer *x, const struct trial *trial)
{
    uint32_t lines = lines_of(trial->used->view.kind, x->source.manifest);
    double low = calibration_effort(&trial->calibration, QUALITY_NEAREST, 0.95),
           high = calibration_effort(&trial->calibration, QUALITY_NEAREST, 0.99);
    return (low + high) * (lines + HANDLING_LINES);
}

/* The codes that were asked for. *rival is set to others that may be better where that was left
 * open. */
static enum codes_kind codes_kind_of(const struct indexer *x, bool *rival)
{
    const struct manifest *m = x->source.manifest;
    *rival = false;
    if (part_source_is_coded(&x->source) && m->codes != VDB_CODES_I4) return CODES_8;
    switch (m->codes) {
    case VDB_CODES_NONE:
        return CODES_VECTORS;
    case VDB_CODES_I8:
        return CODES_8;
    case VDB_CODES_I4:
        return CODES_4;
    case VDB_CODES_AUTO:
        break;
    }
    *rival = lines_of(CODES_4, m) < lines_of(CODES_8, m);
    return CODES_8;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum vdb_status write_graph(const struct indexer *x, struct segment_entry *segment,
                                   struct vdb_error *err)
{
    const struct part_build *b = x->source.build;
    uint64_t front = x->header.edges_off, edges = x->graph_len - front;
    struct checksum_state check;
    segment->len = x->graph_len;
    enum vdb_status status =
        part_build_reserve(b, segment->len, space_segment_align(segment->len), &segment->off, err);
    if (!status) status = space_write(b->file, segment->off, x->front, front, err);
    if (!status) status = space_write(b->file, segment->off + front, x->edges, edges, err);
    checksum_init(&check);
    checksum_add(&check, x->front, front);
    checksum_add(&check, x->edges, edges);
    segment->check = checksum_end(&check);
    return status;
}

static struct segment_entry entry_for(const struct indexer *x, uint16_t type, uint32_t flags)
{
    const struct part_build *b = x->source.build;
    return (struct segment_entry){.type = type,
                                  .flags = flags,
                                  .row_begin = b->row_begin,
                                  .row_end = b->row_begin + b->count};
}

static enum vdb_status write_calibration(const struct indexer *x, const struct calibration *from,
                                         struct manifest *m, struct vdb_error *err)
{
    struct segment_entry segment = entry_for(x, DISK_SEGMENT_CALIBRATION, DISK_SEGMENT_OPTIONAL);
    struct buf bytes = {0};
    if (from->curve_count == 0) return VDB_OK;
    enum vdb_status status = calibration_encode(from, &bytes, err);
    if (!status) status = part_build_segment(x->source.build, bytes.data, bytes.len, &segment, err);
    buf_release(&bytes);
    return status ? status : manifest_add_segment(m, &segment, err);
}

static enum vdb_status write_all(struct indexer *x, const struct trial *trial, struct manifest *m,
                                 struct vdb_error *err)
{
    struct segment_entry code = entry_for(x, DISK_SEGMENT_CODE, 0),
                         graph = entry_for(x, DISK_SEGMENT_GRAPH, 0);
    enum vdb_status status = finish_graph(x, &trial->used->view, err);
    if (!status && trial->used->segment) {
        status = part_codes_write(&x->source, trial->used, &code, err);
        if (!status) status = manifest_add_segment(m, &code, err);
    }
    if (!status) status = write_graph(x, &graph, err);
    if (!status) status = manifest_add_segment(m, &graph, err);
    return status ? status : write_calibration(x, &trial->calibration, m, err);
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Where the calibration did not reach as far, longer walks decide. */
static enum vdb_status judge_walks(struct indexer *x, const struct trial *trial,
                                   struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(&x->source);
    enum vdb_status status = VDB_OK;
    double recall = 0;
    for (uint32_t i = 0; i < trial->calibration.curve_count; i++) {
        const struct calibration_curve *curve = &trial->calibration.curves[i];
        if (curve->k == QUALITY_NEAREST)
            recall = curve->points[curve->point_count - 1].recall / (double)CALIBRATION_RECALL_ONE;
    }
    if (recall < RECALL_MIN) {
        status = finish_graph(x, &trial->used->view, err);
        if (!status) status = quality_walk(&rows, &trial->used->view, &x->view, &recall, err);
    }
    judge(x, recall);
    return status;
}

static enum vdb_status build_index(struct indexer *x, struct trial trials[2], struct manifest *m,
                                   struct vdb_error *err)
{
    bool rival;
    enum vdb_status status = build_codes(x, err);
    if (!status && x->good) status = build_graph(x, err);
    if (status || !x->good) return status;
    enum codes_kind kind = codes_kind_of(x, &rival);
    struct trial *best = &trials[0];
    status = try_codes(x, kind, best, err);
    if (!status && rival) {
        status = try_codes(x, CODES_4, &trials[1], err);
        if (work_of(x, &trials[1]) <= work_of(x, best)) best = &trials[1];
    }
    if (!status) status = judge_walks(x, best, err);
    if (status || !x->good) return status;
    return write_all(x, best, m, err);
}

enum vdb_status part_index_build(const struct part_build *b, const struct segment_entry *vectors,
                                 struct manifest *m, bool *built, struct vdb_error *err)
{
    struct indexer x = {
        .source = {
            .build = b, .manifest = m, .vectors_off = vectors->off, .stride = vectors->stride}};
    int failed = osfile_map(b->file, vectors->off, vectors->len, &x.source.vectors);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot map the vectors");
    struct trial *trials = calloc(2, sizeof *trials);
    enum vdb_status status = trials ? VDB_OK : error_no_memory(err);
    if (!status) status = build_index(&x, trials, m, err);
    for (int i = 0; i < 2 && trials; i++) part_codes_release(&trials[i].codes);
    free(trials);
    osfile_unmap(x.source.vectors, vectors->len);
    part_codes_release(&x.build);
    free(x.edges);
    free(x.pivots);
    free(x.groups);
    free(x.members);
    free(x.level_edges);
    free(x.front);
    *built = x.good;
    return status;
}
