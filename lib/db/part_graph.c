/* part_graph.c: the graph of a part that is being built.
 *
 * The graph is built on 8-bit codes. Then the codes that walks are to use are tried on it, and
 * those that cost the least are kept. Where one grid is too coarse for all rows, as of places that
 * are far apart and dense, it is built on the vectors themselves, and walks measure these.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/part_index.h"
#include "db/space.h"
#include "format/code_header.h"
#include "index/hnsw.h"
#include "index/margin.h"
#include "vector/vtype.h"

/* What was asked for, and what the rows themselves ask for. A graph that is built on keeps its
 * lists where a new one would have shorter ones: estimates near the border vary by a few
 * hundredths, and each time that they cross it all lists would be made anew. */
static struct graph_params params_of(const struct part_graph *x, uint32_t dimension,
                                     const struct part *base)
{
    struct graph_params wanted = {0};
    const struct part_build *b = x->source->build;
    const struct manifest *m = x->source->manifest;
    struct graph_params params = {
        .degree = m->degree,
        .ef_construction = m->ef_construction,
        .alpha_milli = m->alpha_milli,
        .threads = b->threads,
        .progress = b->progress,
        .context = b->context,
    };
    graph_params_default(&wanted, dimension);
    if (base && params.degree == 0 && base->graph.degree > wanted.degree)
        params.degree = base->graph.degree;
    graph_params_default(&params, dimension);
    return params;
}

static size_t list_count(const struct graph_levels *levels)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < levels->count; i++) sum += levels->sizes[i];
    return sum;
}

static enum vdb_status build_hnsw(struct part_graph *x, const struct graph_params *params,
                                  struct vdb_error *err)
{
    struct graph_header *h = &x->header;
    struct graph_levels *levels = &x->view.levels;
    struct hnsw *hnsw;
    enum vdb_status status =
        hnsw_create(&x->eight->view, x->source->build->source->kernels, params, levels, &hnsw, err);
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

static enum vdb_status build(struct part_graph *x, uint32_t dimension, const struct part *base,
                             struct vdb_error *err)
{
    const struct part_build *b = x->source->build;
    struct graph_params params = params_of(x, dimension, base);
    struct graph_header *h = &x->header;
    if (base && base->graph.degree == params.degree) params.base = &base->graph;
    *h = (struct graph_header){
        .rows = b->count,
        .degree = params.degree,
        .pivot_count = graph_pivot_count_on(params.base, b->count, x->source->manifest->metric),
        .leader_count = graph_leader_count(b->count, x->source->manifest->metric),
        .built_rows = params.base ? params.base->built_rows : b->count,
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
        .walk_dimension = x->source->manifest->metric == VDB_METRIC_IP ? 0 : dimension,
    };
    if (b->index == VDB_INDEX_HNSW) return build_hnsw(x, &params, err);
    params.groups = x->groups;
    enum vdb_status status =
        graph_build(part_graph_joined_by(x), b->source->kernels, &params, x->edges, x->pivots, err);
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

static void put_levels(struct part_graph *x)
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
static enum vdb_status finish_graph(struct part_graph *x, const struct codes *codes,
                                    struct vdb_error *err)
{
    struct graph_header *h = &x->header;
    bool copied = codes->kind != CODES_VECTORS, other = codes->kind != CODES_8;
    h->code_bytes = copied ? (uint32_t)codes->bytes : 0;
    h->norm_bytes = copied ? codes_norm_bytes(codes->kind) : 0;
    h->grid_scale = other && !x->by_vectors ? x->eight->header.scale : 0;
    h->grid_zero = other && !x->by_vectors ? x->eight->header.zero : 0;
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

static enum vdb_status make_codes(struct part_graph *x, enum codes_kind kind,
                                  const struct codes *base, struct graph_trial *trial,
                                  struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    trial->used = x->eight;
    if (kind != CODES_8) {
        status = part_codes_make(x->source, kind, NULL, base, &trial->codes, err);
        trial->used = &trial->codes;
    }
    trial->exact = kind == CODES_VECTORS || !trial->used->own;
    return status;
}

/* Measures how far the estimates of the codes are off. */
static enum vdb_status measure_margin(struct part_graph *x, struct graph_trial *trial,
                                      struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(x->source);
    struct part_codes *used = trial->used;
    enum vdb_status status = finish_graph(x, &used->view, err);
    if (!status && !trial->exact) status = margin_measure(&rows, &x->view, &used->view, err);
    used->header.bias = used->view.bias;
    used->header.error = used->view.error;
    return status;
}

/* Measures walks on the codes. */
static enum vdb_status try_codes(struct part_graph *x, struct calibrator *calibrator,
                                 enum calibrate_depth depth, struct graph_trial *trial,
                                 struct vdb_error *err)
{
    enum vdb_status status = finish_graph(x, &trial->used->view, err);
    if (status) return status;
    status = calibrate_walks(calibrator, &trial->used->view, &x->view,
                             trial->exact ? margin_candidates_exact : margin_candidates, depth,
                             &trial->calibration, err);
    trial->calibration.walk_dimension = x->view.walk_dimension;
    return status;
}

/* What answers cost with them; more than any does where that was not measured. */
static uint64_t cost_of(const struct calibration *c)
{
    uint64_t low = calibration_cost(c, QUALITY_NEAREST, 0.95),
             high = calibration_cost(c, QUALITY_NEAREST, 0.99);
    return low && high ? low + high : UINT64_MAX;
}

/* The codes that were asked for. *rival is set to others that may be better where that was left
 * open. */
static enum codes_kind codes_kind_of(const struct part_graph *x, bool *rival)
{
    const struct manifest *m = x->source->manifest;
    *rival = false;
    if (x->by_vectors) return CODES_VECTORS;
    if (part_source_is_coded(x->source) && m->codes != VDB_CODES_I4) return CODES_8;
    switch (m->codes) {
    case VDB_CODES_NONE:
        return CODES_VECTORS;
    case VDB_CODES_I8:
        return CODES_8;
    case VDB_CODES_I4:
        return CODES_4;
    case VDB_CODES_PQ: /* of inverted files, as the next */
    case VDB_CODES_B1:
    case VDB_CODES_AUTO:
        break;
    }
    *rival = lines_of(CODES_4, m) < lines_of(CODES_8, m);
    return CODES_8;
}

/* Makes codes of one kind or, where that is open, of two, and tries them. */
static enum vdb_status choose_codes(struct part_graph *x, struct graph_trial trials[2],
                                    struct calibrator *calibrator, struct graph_trial **best,
                                    struct vdb_error *err)
{
    bool rival;
    enum codes_kind kind = codes_kind_of(x, &rival);
    *best = &trials[0];
    enum vdb_status status = make_codes(x, kind, NULL, &trials[0], err);
    if (!status) status = measure_margin(x, &trials[0], err);
    if (!status && rival) {
        status = make_codes(x, CODES_4, NULL, &trials[1], err);
        if (!status) status = measure_margin(x, &trials[1], err);
        for (int i = 0; i < 2 && !status; i++)
            status = try_codes(x, calibrator, CALIBRATE_ROUGH, &trials[i], err);
        if (!status && cost_of(&trials[1].calibration) <= cost_of(&trials[0].calibration))
            *best = &trials[1];
    }
    return status ? status : try_codes(x, calibrator, CALIBRATE_FULL, *best, err);
}

enum vdb_status part_graph_measure(struct part_graph *x, struct calibrator *calibrator,
                                   struct vdb_error *err)
{
    return choose_codes(x, x->trials, calibrator, &x->best, err);
}

uint32_t part_graph_measured_rows(const struct part *part)
{
    uint32_t rows = part->calibration.measured_rows;
    return rows && rows < part->graph.rows ? rows : part->graph.rows;
}

enum vdb_status part_graph_keep(struct part_graph *x, const struct part *base,
                                struct vdb_error *err)
{
    x->best = &x->trials[0];
    x->best->calibration = base->calibration;
    x->best->calibration.measured_rows = part_graph_measured_rows(base);
    x->best->calibration.rows = x->source->build->count;
    enum vdb_status status = make_codes(x, base->codes.kind, &base->codes, x->best, err);
    struct part_codes *used = x->best->used;
    if (status) return status;
    used->header.bias = used->view.bias = base->codes.bias;
    used->header.error = used->view.error = base->codes.error;
    return VDB_OK;
}

/* The points of the curve for QUALITY_NEAREST that first reach these, or its last. */
static const double AIMS[] = {0.9, 0.95, 0.99};

/* Whether the mean over all rows, as far as the new ones move it, is within the curve's standard
 * error of what the curve says. */
static enum vdb_status agrees(const struct part_graph *x, const struct calibration_curve *curve,
                              struct calibrator *calibrator, double share, bool *holds,
                              struct vdb_error *err)
{
    const struct graph_trial *trial = x->best;
    double growth = calibration_growth(&trial->calibration), one = CALIBRATION_RECALL_ONE;
    struct graph graph = x->view;
    graph.walk_dimension = trial->calibration.walk_dimension;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0, j = 0; i < sizeof AIMS / sizeof *AIMS && !status && *holds; i++) {
        double recall;
        while (j + 1 < curve->point_count && curve->points[j].recall < AIMS[i] * one) j++;
        const struct calibration_point *point = &curve->points[j];
        status = calibrate_recall(calibrator, &trial->used->view, &graph,
                                  trial->exact ? margin_candidates_exact : margin_candidates,
                                  curve->k, point->effort, &recall, err);
        double missed = (one - point->recall) * growth;
        *holds = share * ((1 - recall) * one - missed) <= point->error;
    }
    return status;
}

enum vdb_status part_graph_spot_check(struct part_graph *x, struct calibrator *calibrator,
                                      bool *holds, struct vdb_error *err)
{
    const struct calibration *c = &x->best->calibration;
    double share = 1 - (double)c->measured_rows / x->header.rows;
    enum vdb_status status = finish_graph(x, &x->best->used->view, err);
    *holds = true;
    for (uint32_t i = 0; i < c->curve_count && !status && calibrator; i++)
        if (c->curves[i].k == QUALITY_NEAREST)
            status = agrees(x, &c->curves[i], calibrator, share, holds, err);
    return status;
}

void part_graph_forget(struct part_graph *x)
{
    for (int i = 0; i < 2; i++) {
        part_codes_release(&x->trials[i].codes);
        x->trials[i] = (struct graph_trial){0};
    }
    x->best = NULL;
}

/* Where the calibration did not reach as far, longer walks decide. */
enum vdb_status part_graph_recall(struct part_graph *x, double enough, double *recall,
                                  struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(x->source);
    const struct calibration *c = &x->best->calibration;
    enum vdb_status status = VDB_OK;
    *recall = 0;
    for (uint32_t i = 0; i < c->curve_count; i++)
        if (c->curves[i].k == QUALITY_NEAREST)
            *recall = c->curves[i].points[c->curves[i].point_count - 1].recall /
                      (double)CALIBRATION_RECALL_ONE;
    if (*recall >= enough) return VDB_OK;
    status = finish_graph(x, &x->best->used->view, err);
    if (!status) status = quality_walk(&rows, &x->best->used->view, &x->view, recall, err);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum vdb_status write_graph(const struct part_graph *x, struct segment_entry *segment,
                                   struct vdb_error *err)
{
    const struct part_build *b = x->source->build;
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

enum vdb_status part_graph_write(struct part_graph *x, struct manifest *m, struct vdb_error *err)
{
    struct part_codes *used = x->best->used;
    struct segment_entry code = part_index_entry(x->source->build, DISK_SEGMENT_CODE, 0),
                         graph = part_index_entry(x->source->build, DISK_SEGMENT_GRAPH, 0);
    enum vdb_status status = finish_graph(x, &used->view, err);
    if (!status && used->segment) {
        status = part_codes_write(x->source, used, &code, err);
        if (!status) status = manifest_add_segment(m, &code, err);
    }
    if (!status) status = write_graph(x, &graph, err);
    return status ? status : manifest_add_segment(m, &graph, err);
}

/* Under ip pruning goes by inner products of codes, and an HNSW is asked for as it is. */
static bool can_join_vectors(const struct part_source *source, const struct part *base)
{
    const struct manifest *m = source->manifest;
    bool open = m->codes == VDB_CODES_AUTO || m->codes == VDB_CODES_NONE;
    return open && !base && m->metric != VDB_METRIC_IP && source->build->index != VDB_INDEX_HNSW;
}

const struct codes *part_graph_joined_by(const struct part_graph *x)
{
    return x->by_vectors ? &x->vectors.view : &x->eight->view;
}

enum vdb_status part_graph_make(struct part_source *source, struct part_codes *eight,
                                bool by_vectors, uint32_t dimension, const struct part *base,
                                struct part_graph *graph, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    graph->source = source;
    graph->eight = eight;
    graph->by_vectors = by_vectors && can_join_vectors(source, base);
    if (graph->by_vectors)
        status = part_codes_make(source, CODES_VECTORS, NULL, NULL, &graph->vectors, err);
    return status ? status : build(graph, dimension, base, err);
}

void part_graph_release(struct part_graph *x)
{
    part_graph_forget(x);
    part_codes_release(&x->vectors);
    free(x->edges);
    free(x->pivots);
    free(x->groups);
    free(x->members);
    free(x->level_edges);
    free(x->front);
    *x = (struct part_graph){0};
}
