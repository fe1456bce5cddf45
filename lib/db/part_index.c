/* part_index.c: which index a part gets.
 *
 * What was asked for by name is built; where the choice was left open, a graph and an inverted file
 * are both built, and race on rows of the part: by counts of what their searches do (index/cost.h),
 * for several k and recalls, of which the mean ratio decides. A merge goes on with the graph of its
 * largest part until rows have doubled by such merges, and with its codes and calibration as far as
 * they fit. A build holds them in memory and nothing else that grows with the rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/part_codes.h"
#include "db/part_graph.h"
#include "db/part_ivf.h"
#include "index/calibrate.h"
#include "index/dimension.h"
#include "index/quality.h"

/* Below this a scan of all rows is as fast as a walk over a few. */
#define GRAPH_MIN_ROWS 1000
#define IVF_MIN_ROWS   256 /* lists and codes are learned from them */
/* Where codes, or long searches, find less than this share of the nearest rows, scanning is what is
 * left. */
#define RECALL_MIN 0.9
#define MISSED     4.0 /* times as dear is a recall that is not reached */
/* Where codes find less than this share of the near rows, and a stored vector is as short as they
 * are, graphs are built on the vectors, and the truth of calibrations is sought by them: measuring
 * them takes little longer. Longer vectors serve where there is no other way: below RECALL_MIN. */
#define EXACT_MIN  0.99
#define CACHE_LINE 64
/* From such an intrinsic dimension on, in thousandths, walks look at every row: no graph is built
 * to race. */
#define NO_GRAPH_FROM 100000
/* Rows are put into a graph until there are so many times those that it was built of: one that is
 * put in costs more than it does in a build of all, and where they come a few at a time a third of
 * a point of recall is lost by then (tests/bench/NOTES.md). */
#define BUILT_TIMES 2
/* What was measured of searches is kept as long as the graph is, and with it the dimension, which
 * says how long lists are to be; it is checked as often as rows are an eighth more. */
#define CHECK_EIGHTHS 9
#define FIT_SAMPLE    4096  /* rows */
#define GRID_SAMPLE   16384 /* rows */
#define BESIDE_MORE   0.001 /* of their numbers may lie beside the grid, beyond those that did */

uint16_t part_index_kind(enum vdb_index_kind index, uint32_t rows)
{
    switch (index) {
    case VDB_INDEX_FLAT:
        return DISK_PART_FLAT;
    case VDB_INDEX_GRAPH:
    case VDB_INDEX_HNSW:
    case VDB_INDEX_HYBRID: /* a build of its old rows is told to be of the other kind */
        return DISK_PART_GRAPH;
    case VDB_INDEX_IVF:
        return rows >= IVF_MIN_ROWS ? DISK_PART_IVF : DISK_PART_FLAT;
    case VDB_INDEX_AUTO:
        break;
    }
    return rows >= GRAPH_MIN_ROWS ? DISK_PART_GRAPH : DISK_PART_FLAT;
}

struct segment_entry part_index_entry(const struct part_build *b, uint16_t type, uint32_t flags)
{
    return (struct segment_entry){.type = type,
                                  .flags = flags,
                                  .row_begin = b->row_begin,
                                  .row_end = b->row_begin + b->count};
}

struct indexer {
    struct part_source source;
    const struct part *base; /* whose graph is built on; NULL: the rows get a new one */
    struct part_codes eight; /* 8-bit codes, which both are built on */
    bool coarse;             /* they do not tell well who is near whom: better ask the vectors */
    uint32_t dimension;      /* intrinsic, in thousandths */
    int32_t hubness;
    struct part_graph graph;
    struct part_ivf ivf;
};

/* ---- a part to go on from ------------------------------------------------------------------ */

/* Whether between so many rows and so many there is one of the numbers that rise by an eighth each,
 * which happens as often as rows grow by that, however small the steps are. */
static bool to_be_checked(uint32_t from, uint32_t to)
{
    uint64_t mark = 1024;
    while (mark <= from) mark = mark * CHECK_EIGHTHS / 8;
    return mark <= to;
}

/* Whether what was measured of the base may be kept. On another grid, which rows of another kind
 * ask for, its walks would not find the same, nor be as far off. */
static bool may_keep(const struct indexer *x)
{
    const struct codes *before = &x->base->codes, *now = &x->eight.view;
    bool regridded = before->scale != now->scale || before->zero != now->zero;
    return before->kind != CODES_8 || !regridded;
}

static bool segment_is_whole(const struct part_build *b, const struct part *part, unsigned type)
{
    const struct generation *g = b->source->generation;
    const struct segment_entry *s = manifest_segment(&g->manifest, part->entry, type);
    return !s || checksum(g->view->base + s->off, s->len) == s->check;
}

/* Whether a graph was built on vectors. That of an older file, which does not say by what grid it
 * was, is taken for one. */
static bool joins_vectors(const struct part *part)
{
    return part->codes.kind == CODES_VECTORS && part->graph.grid_scale == 0;
}

/* The build's base where its graph is to be kept: that asked for by the options, and undamaged.
 * Where it is not, and the choice was left open, graph and inverted file race again. Rows are put
 * into graphs by 8-bit codes. */
static const struct part *base_of(const struct part_build *b, const struct manifest *m)
{
    const struct part *base = b->base;
    bool open = b->index == VDB_INDEX_AUTO;
    if (!base || base->entry->kind != DISK_PART_GRAPH || base->row_begin != b->first ||
        base->row_end - base->row_begin > b->count || base->graph.levels.degree ||
        joins_vectors(base) || (!open && b->index != VDB_INDEX_GRAPH))
        return NULL;
    if (b->count / BUILT_TIMES >= base->graph.built_rows) return NULL;
    if (!graph_can_grow(&base->graph, b->count, m->metric)) return NULL;
    bool whole = segment_is_whole(b, base, DISK_SEGMENT_GRAPH) &&
                 segment_is_whole(b, base, DISK_SEGMENT_CODE) &&
                 segment_is_whole(b, base, DISK_SEGMENT_CALIBRATION);
    return whole ? base : NULL;
}

/* The share of the numbers of rows [first, end) that lie beside the grid. */
static enum vdb_status share_beside(struct part_source *source, const struct quantizer *quantizer,
                                    uint32_t first, uint32_t end, double *share,
                                    struct vdb_error *err)
{
    uint32_t dim = source->manifest->dim, rows = end - first;
    uint32_t sample = rows < FIT_SAMPLE ? rows : FIT_SAMPLE, beside = 0;
    float *x = malloc(dim * sizeof *x);
    enum vdb_status status = x ? VDB_OK : error_no_memory(err);
    for (uint32_t i = 0; i < sample && !status; i++) {
        status = part_source_row(source, first + (uint32_t)((uint64_t)i * rows / sample), x);
        for (uint32_t j = 0; j < dim; j++) {
            double place = (double)x[j] / (double)quantizer->scale + quantizer->zero;
            beside += place < -0.5 || place > 255.5;
        }
    }
    free(x);
    *share = beside / ((double)sample * dim);
    return status;
}

/* Whether the grid that the base's codes are on serves the rows that come to it as well. */
static enum vdb_status grid_fits(struct indexer *x, const struct quantizer *quantizer, bool *fits,
                                 struct vdb_error *err)
{
    uint32_t old = x->base->graph.rows, rows = x->source.build->count;
    double before = 0, now = 0;
    enum vdb_status status = share_beside(&x->source, quantizer, 0, old, &before, err);
    if (!status && rows > old) status = share_beside(&x->source, quantizer, old, rows, &now, err);
    *fits = now <= before + BESIDE_MORE;
    return status;
}

static enum vdb_status sampled_row(void *source, uint32_t row, float *x)
{
    struct part_source *s = source;
    return part_source_row(s, (uint32_t)((uint64_t)row * s->build->count / GRID_SAMPLE), x);
}

/* A grid for all rows. Where most of them had a good one before, some speak for all. */
static enum vdb_status choose_grid(struct indexer *x, struct quantizer *quantizer, double *recall,
                                   struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(&x->source);
    if (x->base && rows.rows > GRID_SAMPLE) {
        rows.rows = GRID_SAMPLE;
        rows.row_fn = sampled_row;
    }
    return quality_choose(&rows, quantizer, recall, err);
}

/* The grid that the base was built on; false where the file does not say. By another, lists would
 * not be in the order which tells what pruning kept of them (graph_merge.c). */
static bool base_grid(const struct part *base, struct quantizer *quantizer)
{
    bool eight = base->codes.kind == CODES_8;
    quantizer->scale = eight ? base->codes.scale : base->graph.grid_scale;
    quantizer->zero = eight ? base->codes.zero : base->graph.grid_zero;
    return quantizer->scale > 0;
}

static enum vdb_status estimate_dimension(struct indexer *x, struct vdb_error *err)
{
    const struct part_build *b = x->source.build;
    const struct codes *eight = &x->eight.view;
    const struct kernels *kernels = b->source->kernels;
    enum vdb_status status = dimension_estimate(eight, kernels, b->threads, &x->dimension, err);
    return status ? status : hubness_estimate(eight, kernels, b->threads, &x->hubness, err);
}

static enum vdb_status code_rows(struct indexer *x, struct vdb_error *err)
{
    struct quantizer quantizer = {1, 0};
    enum vdb_status status = VDB_OK;
    bool fits = false, coded = part_source_is_coded(&x->source);
    if (x->base && !coded && base_grid(x->base, &quantizer))
        status = grid_fits(x, &quantizer, &fits, err);
    if (!status && !fits && !coded) {
        double recall = 1;
        status = choose_grid(x, &quantizer, &recall, err);
        x->coarse = recall < (x->source.stride <= CACHE_LINE ? EXACT_MIN : RECALL_MIN);
    }
    if (status) return status;
    return part_codes_make(&x->source, CODES_8, &quantizer, x->base ? &x->base->codes : NULL,
                           &x->eight, err);
}

static enum vdb_status find_dimension(struct indexer *x, struct vdb_error *err)
{
    const struct calibration *before = x->base ? &x->base->calibration : NULL;
    if (!before || !before->dimension || !may_keep(x)) return estimate_dimension(x, err);
    x->dimension = before->dimension;
    x->hubness = before->hubness;
    return VDB_OK;
}

static enum vdb_status write_calibration(const struct indexer *x, struct calibration *c,
                                         struct manifest *m, struct vdb_error *err)
{
    const struct part_build *b = x->source.build;
    struct segment_entry segment =
        part_index_entry(b, DISK_SEGMENT_CALIBRATION, DISK_SEGMENT_OPTIONAL);
    struct buf bytes = {0};
    if (c->curve_count == 0) return VDB_OK;
    c->dimension = x->dimension;
    c->hubness = x->hubness;
    if (x->base) {
        c->rival = x->base->calibration.rival;
        c->rival_cost = x->base->calibration.rival_cost;
    }
    enum vdb_status status = calibration_encode(c, &bytes, err);
    if (!status) status = part_build_segment(b, bytes.data, bytes.len, &segment, err);
    buf_release(&bytes);
    return status ? status : manifest_add_segment(m, &segment, err);
}

static enum vdb_status write_graph(struct indexer *x, struct manifest *m, struct vdb_error *err)
{
    enum vdb_status status = part_graph_write(&x->graph, m, err);
    return status ? status : write_calibration(x, &x->graph.best->calibration, m, err);
}

static enum vdb_status write_ivf(struct indexer *x, struct manifest *m, struct vdb_error *err)
{
    struct segment_entry segment = part_index_entry(x->source.build, DISK_SEGMENT_IVF, 0);
    enum vdb_status status = part_ivf_write(&x->source, &x->ivf, &segment, err);
    if (!status) status = manifest_add_segment(m, &segment, err);
    return status ? status : write_calibration(x, &x->ivf.calibration, m, err);
}

/* ---- the race ------------------------------------------------------------------------------ */

/* Measures what is there of the graph and the inverted file, on the same queries. */
static enum vdb_status measure(struct indexer *x, bool graph, bool ivf, struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(&x->source);
    struct part_graph *g = &x->graph;
    struct calibrator *calibrator = NULL;
    rows.coarse = x->coarse;
    enum vdb_status status = calibrate_open(
        &rows, &x->eight.view, graph ? part_graph_joined_by(g) : NULL, graph ? &g->view : NULL,
        g->edges, g->header.alpha_milli, x->base != NULL, &calibrator, err);
    if (!status && graph) status = part_graph_measure(g, calibrator, err);
    if (!status && ivf) status = part_ivf_measure(&x->source, &x->eight, calibrator, &x->ivf, err);
    calibrate_close(calibrator);
    return status;
}

/* Builds and measures the one, the other or both. */
static enum vdb_status build(struct indexer *x, bool graph, bool ivf, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    if (ivf) status = part_ivf_make(&x->source, &x->eight, x->dimension, &x->ivf, err);
    if (!status && graph)
        status = part_graph_make(&x->source, &x->eight, x->coarse, x->dimension, x->base, &x->graph,
                                 err);
    return status ? status : measure(x, graph, ivf, err);
}

/* How many times as much as the other's its searches cost, as the geometric mean over what users
 * ask for; the usual k counts twice. A recall that only one of them reaches speaks for it. */
static double cost_ratio(const struct calibration *own, const struct calibration *other)
{
    static const uint32_t ks[] = {1, 10, 10, 100};
    static const double recalls[] = {0.9, 0.95, 0.99};
    double sum = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++) {
            double a = calibration_cost(own, ks[i], recalls[j]),
                   b = calibration_cost(other, ks[i], recalls[j]);
            sum += a > 0 && b > 0 ? log(a / b) : a > 0 ? -log(MISSED) : b > 0 ? log(MISSED) : 0;
        }
    return exp(sum / 12);
}

static double best_recall(const struct calibration *c)
{
    for (uint32_t i = 0; i < c->curve_count; i++)
        if (c->curves[i].k == QUALITY_NEAREST)
            return c->curves[i].points[c->curves[i].point_count - 1].recall /
                   (double)CALIBRATION_RECALL_ONE;
    return 0;
}

static void note_rival(struct calibration *winner, const struct calibration *rival, uint32_t kind)
{
    winner->rival = kind;
    winner->rival_cost = calibration_cost(rival, QUALITY_NEAREST, 0.95);
}

/* *kind is left DISK_PART_FLAT where neither finds what is near. Codes that inverted files cannot
 * have ask for a graph, and what it falls short of is scanned. */
static enum vdb_status race(struct indexer *x, struct manifest *m, uint16_t *kind,
                            struct vdb_error *err)
{
    bool graph = x->dimension < NO_GRAPH_FROM;
    bool lists = m->codes != VDB_CODES_NONE && m->codes != VDB_CODES_I8;
    double graph_recall = 0;
    if (!graph && !lists) return VDB_OK;
    enum vdb_status status = build(x, graph, lists, err);
    if (!status && graph) status = part_graph_recall(&x->graph, RECALL_MIN, &graph_recall, err);
    if (status) return status;
    struct calibration *ivf = &x->ivf.calibration;
    bool ivf_good = best_recall(ivf) >= RECALL_MIN, graph_good = graph_recall >= RECALL_MIN;
    if (graph_good && ivf_good) {
        struct calibration *walks = &x->graph.best->calibration;
        graph_good = cost_ratio(walks, ivf) <= 1;
        if (graph_good)
            note_rival(walks, ivf, DISK_INDEX_IVF);
        else
            note_rival(ivf, walks, DISK_INDEX_GRAPH);
    }
    *kind = graph_good ? DISK_PART_GRAPH : ivf_good ? DISK_PART_IVF : DISK_PART_FLAT;
    if (graph_good) return write_graph(x, m, err);
    return ivf_good ? write_ivf(x, m, err) : VDB_OK;
}

/* ---- a merge ------------------------------------------------------------------------------- */

/* Whether what is kept of the base agrees with what queries among the rows find that have come
 * since it was measured. */
static enum vdb_status check_kept(struct indexer *x, bool *holds, struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(&x->source);
    struct part_graph *g = &x->graph;
    struct calibrator *calibrator;
    enum vdb_status status =
        calibrate_open_last(part_graph_measured_rows(x->base), &rows, &x->eight.view, &g->view,
                            g->edges, g->header.alpha_milli, &calibrator, err);
    if (status) return status;
    status = part_graph_spot_check(g, calibrator, holds, err);
    calibrate_close(calibrator);
    return status;
}

/* Keeps what was measured of the base, if that holds. Where it does not, rows may have come that
 * are of more dimensions. */
static enum vdb_status keep(struct indexer *x, bool *kept, struct vdb_error *err)
{
    uint32_t rows = x->source.build->count;
    *kept = x->base->calibration.curve_count && may_keep(x);
    enum vdb_status status = *kept ? part_graph_keep(&x->graph, x->base, err) : VDB_OK;
    if (!status && *kept && to_be_checked(x->base->graph.rows, rows))
        status = check_kept(x, kept, err);
    if (status || *kept || !x->graph.best) return status;
    part_graph_forget(&x->graph);
    return estimate_dimension(x, err);
}

/* What walks find changes slowly as rows are put in, unless those are of another kind. It is
 * measured on fewer queries than of a new graph. */
static enum vdb_status merge(struct indexer *x, struct manifest *m, uint16_t *kind,
                             struct vdb_error *err)
{
    double recall = 1;
    bool kept = false;
    enum vdb_status status =
        part_graph_make(&x->source, &x->eight, false, x->dimension, x->base, &x->graph, err);
    *kind = DISK_PART_GRAPH;
    if (!status) status = keep(x, &kept, err);
    if (status) return status;
    if (kept) {
        status = part_graph_write(&x->graph, m, err);
        return status ? status : write_calibration(x, &x->graph.best->calibration, m, err);
    }
    status = measure(x, true, false, err);
    if (!status && x->source.build->index == VDB_INDEX_AUTO)
        status = part_graph_recall(&x->graph, RECALL_MIN, &recall, err);
    if (!status && recall < RECALL_MIN) *kind = DISK_PART_FLAT;
    return status || recall < RECALL_MIN ? status : write_graph(x, m, err);
}

static enum vdb_status build_index(struct indexer *x, struct manifest *m, uint16_t *kind,
                                   struct vdb_error *err)
{
    enum vdb_index_kind index = x->source.build->index;
    enum vdb_status status = code_rows(x, err);
    if (status) return status;
    status = find_dimension(x, err);
    if (status) return status;
    if (x->base) return merge(x, m, kind, err);
    if (index == VDB_INDEX_AUTO) return race(x, m, kind, err);
    *kind = index == VDB_INDEX_IVF ? DISK_PART_IVF : DISK_PART_GRAPH;
    status = build(x, *kind == DISK_PART_GRAPH, *kind == DISK_PART_IVF, err);
    if (status) return status;
    return *kind == DISK_PART_IVF ? write_ivf(x, m, err) : write_graph(x, m, err);
}

enum vdb_status part_index_build(const struct part_build *b, const struct segment_entry *vectors,
                                 struct manifest *m, uint16_t *kind, struct vdb_error *err)
{
    struct indexer *x = calloc(1, sizeof *x);
    *kind = DISK_PART_FLAT;
    if (!x) return error_no_memory(err);
    x->source = (struct part_source){
        .build = b, .manifest = m, .vectors_off = vectors->off, .stride = vectors->stride};
    x->base = base_of(b, m);
    int failed = osfile_map(b->file, vectors->off, vectors->len, &x->source.vectors);
    enum vdb_status status = VDB_OK;
    if (failed)
        status = error_set_errno(err, VDB_IO, failed, "cannot map the vectors");
    else
        status = build_index(x, m, kind, err);
    part_graph_release(&x->graph);
    part_ivf_release(&x->ivf);
    part_codes_release(&x->eight);
    if (!failed) osfile_unmap(x->source.vectors, vectors->len);
    free(x);
    return status;
}
