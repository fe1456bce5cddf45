/* test_ivf.c: inverted files: what is built, and what searches of it find.
 *
 * Expected neighbours are those of brute force in double precision; where 8-bit codes and queries
 * are integers, distances by codes are exact, and so must answers be.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "index/calibrate.h"
#include "index/ivf_build.h"
#include "index/margin.h"
#include "points.h"
#include "slow.h"
#include "vector/vtype.h"

#define MOST_FOUND 4096

static const struct kernels *sets[4];
static size_t sets_count;

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"portable", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kernels_select(names[i], &sets[sets_count], NULL) != VDB_OK)
            print_message("# not run on this CPU: %s\n", names[i]);
        else
            sets_count++;
    }
    return sets_count > 0 ? 0 : -1;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Rows, and an inverted file over them, which has been let through as one from outside is. */
struct file {
    struct points points;
    enum vdb_type type;
    uint8_t *vectors; /* of u8 or i8 */
    size_t stride;
    struct ivf_built built;
    struct ivf ivf;
};

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    const struct points *points = context;
    memcpy(x, points->x + (size_t)row * points->dim, points->dim * sizeof *x);
    return VDB_OK;
}

/* Puts rows of integers, which `type` can hold, in place of the codes. */
static void store(struct file *f, enum vdb_type type, enum vdb_metric metric)
{
    struct points *p = &f->points;
    f->type = type;
    f->stride = vtype_stride(type, p->dim);
    f->vectors = aligned_alloc(64, f->stride * p->rows);
    p->memory = calloc(p->rows, 4);
    assert_non_null(f->vectors);
    assert_non_null(p->memory);
    memset(f->vectors, 0, f->stride * p->rows);
    uint8_t flip = type == VDB_TYPE_I8 ? 0x80 : 0;
    for (size_t row = 0; row < p->rows; row++) {
        uint8_t *to = f->vectors + row * f->stride;
        assert_int_equal(vtype_store(type, p->x + row * p->dim, to, p->dim), p->dim);
        int32_t norm = codes_norm(to, p->dim, flip);
        memcpy(p->memory + 4 * row, &norm, sizeof norm);
    }
    p->codes = (struct codes){.metric = metric,
                              .rows = p->rows,
                              .dim = p->dim,
                              .code = f->vectors,
                              .code_stride = f->stride,
                              .bytes = codes_bytes(p->dim),
                              .flip = flip,
                              .norm = p->memory,
                              .norm_stride = 4,
                              .scale = 1,
                              .zero = flip};
}

static struct quality_rows rows_of(struct points *points, const struct kernels *kernels,
                                   unsigned threads)
{
    return (struct quality_rows){.rows = points->rows,
                                 .dim = points->dim,
                                 .metric = points->codes.metric,
                                 .row_fn = row_of,
                                 .context = points,
                                 .kernels = kernels,
                                 .threads = threads};
}

static enum vdb_status try_build(struct file *f, const struct ivf_params *params,
                                 const struct kernels *kernels, struct vdb_error *err)
{
    struct quality_rows rows = rows_of(&f->points, kernels, params->threads);
    return ivf_build(&rows, &f->points.codes, f->vectors != NULL, params, &f->built, err);
}

static void open_file(struct file *f)
{
    const struct points *p = &f->points;
    struct vdb_error err = {.message = ""};
    struct ivf_header h;
    struct ivf_view view;
    enum vdb_type type = f->vectors ? f->type : VDB_TYPE_F32;
    enum vdb_status status =
        ivf_header_decode(f->built.segment, f->built.len, p->rows, p->dim, 0, &h, &err);
    if (!status) status = ivf_header_match(&h, type, p->codes.metric, 0, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, VDB_OK);
    struct ivf_vectors vectors = {f->vectors, f->stride, type, p->codes.metric};
    ivf_view_init(&view, &h, f->built.segment);
    ivf_init(&f->ivf, &view, &vectors);
}

static void validate(const struct file *f)
{
    struct vdb_error err = {.message = ""};
    const struct ivf_header *h = &f->ivf.view.h;
    enum vdb_status status = ivf_header_validate(h, f->built.segment, 0, &err);
    if (!status && f->vectors)
        status = ivf_header_validate_norms(h, f->built.segment, f->vectors, f->stride,
                                           f->type == VDB_TYPE_I8 ? 0x80 : 0, 0, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, VDB_OK);
}

static void build_with(struct file *f, const struct ivf_params *params,
                       const struct kernels *kernels)
{
    struct vdb_error err = {.message = ""};
    enum vdb_status status = try_build(f, params, kernels, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, VDB_OK);
    struct disk_ivf_header disk;
    ivf_header_encode(&f->built.header, &disk);
    memcpy(f->built.segment, &disk, sizeof disk);
    open_file(f);
    validate(f);
}

static void build(struct file *f, struct ivf_params params)
{
    if (params.threads == 0) params.threads = 2;
    build_with(f, &params, kernels_best());
}

static void file_release(struct file *f)
{
    ivf_built_release(&f->built);
    points_release(&f->points);
    free(f->vectors);
}

/* Clusters, coded; `spread` widely varies the lengths of the rows. */
static void make(struct file *f, uint32_t rows, uint32_t dim, enum vdb_metric metric, bool spread)
{
    *f = (struct file){0};
    points_init(&f->points, rows, dim);
    points_cluster(&f->points, 40, 0.5, 11);
    for (size_t row = 0; row < rows && spread; row++)
        for (uint32_t i = 0; i < dim; i++)
            f->points.x[row * dim + i] *= powf(10.0F, (float)((int)(row * 7 % 21) - 10) / 15);
    points_code(&f->points, metric, 0);
}

/* Integers: clusters about the middle of what the type can hold. */
static void make_integers(struct file *f, uint32_t rows, uint32_t dim, enum vdb_type type,
                          enum vdb_metric metric)
{
    *f = (struct file){0};
    points_init(&f->points, rows, dim);
    points_cluster(&f->points, 40, 0.5, 12);
    float middle = type == VDB_TYPE_U8 ? 128 : 0;
    for (size_t i = 0; i < (size_t)rows * dim; i++)
        f->points.x[i] = fminf(fmaxf(roundf(f->points.x[i] * 30), -128), 127) + middle;
    store(f, type, metric);
}

/* ---- searches ------------------------------------------------------------------------------ */

struct search {
    struct walk *walk;
    struct ivf_scratch *scratch;
    struct candidate found[MOST_FOUND];
    uint32_t count;
};

static void search_init(struct search *s)
{
    *s = (struct search){.walk = walk_create(), .scratch = ivf_scratch_create()};
    assert_non_null(s->walk);
    assert_non_null(s->scratch);
}

static void search_release(struct search *s)
{
    walk_free(s->walk);
    ivf_scratch_free(s->scratch);
}

/* What holds of any answer: rows that are there, nearest first, ties by row, so each once. */
static void search_near(struct search *s, const struct file *f, const struct kernels *kernels,
                        const float *query, const struct ivf_effort *effort)
{
    const struct candidate *candidates;
    assert_int_equal(walk_prepare(s->walk, &f->ivf.codes, kernels, query, NULL), VDB_OK);
    assert_int_equal(
        ivf_search(s->scratch, s->walk, &f->ivf, query, effort, &candidates, &s->count, NULL),
        VDB_OK);
    assert_in_range(s->count, 0, MOST_FOUND);
    memcpy(s->found, candidates, s->count * sizeof *candidates);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct candidate *c = &s->found[i], *before = c - 1;
        assert_in_range(c->row, 0, f->points.rows - 1);
        if (i && (before->distance > c->distance ||
                  (before->distance == c->distance && before->row >= c->row)))
            fail_msg("row %u at %u before row %u at %u", before->row, before->distance, c->row,
                     c->distance);
    }
}

static void search(struct search *s, const struct file *f, const struct kernels *kernels,
                   const float *query, uint32_t effort, uint32_t survivors, uint32_t keep)
{
    struct ivf_effort all = {effort, survivors, keep, keep};
    search_near(s, f, kernels, query, &all);
}

/* A query near to the rows: none of them. */
static void query_of(const struct file *f, uint64_t number, float *query)
{
    uint32_t dim = f->points.dim;
    uint64_t seed = 991 + 31 * number;
    const float *row = f->points.x + (size_t)(number * 37 % f->points.rows) * dim;
    double sum = 0.0, norm = 0.0;
    for (uint32_t i = 0; i < dim; i++) norm += (double)row[i] * (double)row[i];
    for (uint32_t i = 0; i < dim; i++) {
        query[i] = row[i] + (float)(0.3 * sqrt(norm / dim) * random_normal(&seed));
        if (f->vectors) query[i] = roundf(query[i]);
        sum += (double)query[i] * (double)query[i];
    }
    for (uint32_t i = 0; i < dim && f->points.codes.metric == VDB_METRIC_COSINE; i++)
        query[i] = (float)((double)query[i] / sqrt(sum));
}

/* The share of the true 10 nearest among what `keep` candidates bring. */
static double recall(const struct file *f, uint32_t effort, uint32_t survivors, uint32_t keep)
{
    struct search s;
    uint32_t hits = 0, queries = 100, nearest[10];
    float *query = calloc(f->points.dim, sizeof *query);
    assert_non_null(query);
    search_init(&s);
    for (uint32_t i = 0; i < queries; i++) {
        query_of(f, i, query);
        search(&s, f, kernels_best(), query, effort, survivors, keep);
        points_nearest(&f->points, query, 10, nearest);
        for (uint32_t j = 0; j < s.count; j++)
            for (uint32_t k = 0; k < 10; k++) hits += s.found[j].row == nearest[k];
    }
    search_release(&s);
    free(query);
    return hits / (10.0 * queries);
}

static void at_least(double found, double wanted, const char *what)
{
    if (!(found >= wanted)) fail_msg("%s: recall %.3f, not %.3f", what, found, wanted);
}

/* ---- what is found ------------------------------------------------------------------------- */

static void every_metric_and_code(void **state)
{
    (void)state;
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_COSINE, VDB_METRIC_IP};
    static const uint32_t widths[] = {1, 2, 4}, out_dims[] = {33, 16};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 6; j++)
            for (int lengths = 0; lengths < 2; lengths++) {
                if (SLOW && (i + j + (size_t)lengths) % 5) continue; /* a fifth of them */
                struct file f;
                char what[64];
                snprintf(what, sizeof what, "metric %d, lengths %d, %u dimensions a code of %u",
                         (int)metrics[i], lengths, widths[j / 2], out_dims[j % 2]);
                make(&f, 3000, 33, metrics[i], lengths);
                build(&f, (struct ivf_params){
                              .lists = 30, .sub_dim = widths[j / 2], .out_dim = out_dims[j % 2]});
                /* All lists, all survivors: 8-bit codes alone decide. Then fewer of either. */
                at_least(recall(&f, 30, 3000, 40), 0.99, what);
                at_least(recall(&f, 30, 600, 40), j == 5 ? 0.8 : 0.9, what);
                at_least(recall(&f, 15, 3000, 40), metrics[i] == VDB_METRIC_IP ? 0.75 : 0.9, what);
                file_release(&f);
            }
}

/* Of vectors that are their own codes, with a query on their grid, distances are exact. */
static void rows_that_are_their_own_codes(void **state)
{
    (void)state;
    static const enum vdb_type types[] = {VDB_TYPE_U8, VDB_TYPE_I8};
    for (size_t t = 0; t < 4; t += SLOW ? 3 : 1) {
        struct file f;
        struct search s;
        float query[70];
        uint32_t nearest[20];
        make_integers(&f, 2500, 70, types[t % 2], VDB_METRIC_L2);
        build(&f, (struct ivf_params){.lists = 25, .sub_dim = 2, .out_dim = 70, .spill = t / 2});
        assert_true(f.ivf.by_row);
        assert_int_equal(f.ivf.view.h.slot_codes_off, 0);
        search_init(&s);
        for (uint32_t q = 0; q < 60; q++) {
            query_of(&f, q, query);
            for (uint32_t i = 0; i < 70; i++)
                query[i] = fminf(fmaxf(query[i], t % 2 ? -128 : 0), t % 2 ? 127 : 255);
            struct ivf_effort all = {25, UINT32_MAX, .k = 2500,
                                     .keep = 20}; /* nothing is left out */
            search_near(&s, &f, kernels_best(), query, &all);
            points_nearest(&f.points, query, 20, nearest);
            assert_int_equal(s.count, 20);
            for (uint32_t i = 0; i < 20; i++) {
                double sum = 0.0;
                for (uint32_t j = 0; j < 70; j++) {
                    double d = (double)f.points.x[nearest[i] * 70 + j] - (double)query[j];
                    sum += d * d;
                }
                assert_int_equal(s.found[i].row, nearest[i]);
                assert_true(s.found[i].distance == sum);
            }
        }
        search_release(&s);
        at_least(recall(&f, 8, 100, 30), 0.95, "by row");
        file_release(&f);
        make_integers(&f, 2500, 70, types[t % 2], VDB_METRIC_IP);
        build(&f, (struct ivf_params){.lists = 25, .sub_dim = 1, .out_dim = 70, .spill = t / 2});
        at_least(recall(&f, 25, 2500, 30), 0.99, "by row, inner products");
        file_release(&f);
    }
}

/* Rows that lie close together, a tenth as far as others do from the centroids of theirs, are told
 * from each other by their codes as well as those. */
static void short_residuals(void **state)
{
    (void)state;
    enum { ROWS = 6000, DIM = 32, TIGHT = 10, ASKED = 60 };
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_IP};
    for (int m = 0; m < 2; m++) {
        struct file f = {0};
        struct search s;
        uint64_t seed = 31;
        float centers[TIGHT][DIM], query[DIM];
        uint32_t hits = 0, nearest[10];
        points_init(&f.points, ROWS, DIM);
        for (uint32_t i = 0; i < TIGHT * DIM; i++)
            centers[i / DIM][i % DIM] = (float)(60 * random_normal(&seed));
        for (size_t i = 0; i < (size_t)ROWS * DIM; i++) {
            size_t row = i / DIM;
            f.points.x[i] = row % 2 ? centers[row / 2 % TIGHT][i % DIM] : 0;
            f.points.x[i] += (float)((row % 2 ? 4 : 40) * random_normal(&seed));
        }
        points_code(&f.points, metrics[m], 0);
        build(&f, (struct ivf_params){.lists = 40, .sub_dim = 2, .out_dim = DIM});
        search_init(&s);
        for (uint32_t i = 0; i < ASKED; i++) {
            for (uint32_t j = 0; j < DIM; j++)
                query[j] = centers[i % TIGHT][j] + (float)(4 * random_normal(&seed));
            search(&s, &f, kernels_best(), query, 4, 40, 30);
            points_nearest(&f.points, query, 10, nearest);
            for (uint32_t j = 0; j < s.count; j++)
                for (uint32_t k = 0; k < 10; k++) hits += s.found[j].row == nearest[k];
        }
        at_least(hits / (10.0 * ASKED), 0.95, m ? "inner products" : "distances");
        search_release(&s);
        file_release(&f);
    }
}

/* Whatever lists and survivors: all rows, once each, where all are asked for. */
static void all_rows(void **state)
{
    (void)state;
    for (int spill = 0; spill < 2; spill++) {
        struct file f;
        struct search s;
        float query[24];
        make(&f, 1500, 24, VDB_METRIC_L2, false);
        build(&f,
              (struct ivf_params){.lists = 20, .sub_dim = 2, .out_dim = 24, .spill = spill != 0});
        search_init(&s);
        query_of(&f, 5, query);
        search(&s, &f, kernels_best(), query, 20, UINT32_MAX, 1500);
        assert_int_equal(s.count, 1500); /* each once, as `search` has made sure */
        search(&s, &f, kernels_best(), query, 1000, UINT32_MAX, 4000); /* more than there are */
        assert_int_equal(s.count, 1500);
        search(&s, &f, kernels_best(), query, 0, 0, 0); /* as 1, 1 and 1 */
        assert_int_equal(s.count, 1);
        search(&s, &f, kernels_best(), query, 20, 1, 10);
        assert_in_range(s.count, 1, 2);
        search_release(&s);
        file_release(&f);
    }
}

static struct calibrator *calibrator_of(struct file *f)
{
    struct quality_rows rows = rows_of(&f->points, kernels_best(), 2);
    struct calibrator *calibrator;
    assert_int_equal(
        calibrate_open(&rows, &f->points.codes, NULL, NULL, NULL, 0, false, &calibrator, NULL),
        VDB_OK);
    return calibrator;
}

/* As few as lose next to nothing, of rows without any structure, and more for more neighbours. */
static void survivors_are_enough(void **state)
{
    (void)state;
    struct file f = {0};
    uint32_t survivors[3], lists = 0;
    points_init(&f.points, 6000, 24);
    uint64_t seed = 5;
    for (size_t i = 0; i < (size_t)6000 * 24; i++) f.points.x[i] = (float)random_normal(&seed);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 25, .sub_dim = 2, .out_dim = 24});
    struct calibrator *calibrator = calibrator_of(&f);
    assert_int_equal(
        calibrate_survivors(calibrator, &f.ivf, margin_candidates, survivors, &lists, NULL),
        VDB_OK);
    calibrate_close(calibrator);
    assert_in_range(lists, 3, 25);
    at_least(recall(&f, lists, 400, 30), 0.98, "with so many lists");
    at_least(recall(&f, 18, survivors[1], 30), recall(&f, 18, 400, 30) - 0.005, "survivors");
    assert_in_range(survivors[0], 5, survivors[1] - 1);
    assert_in_range(survivors[1], 16, 200);
    assert_in_range(survivors[2], survivors[1] + 1, 16 * 100 + 240);
    file_release(&f);
}

/* For the nearest row alone, of which few queries tell little, no fewer than their number falls
 * from k 100 to 10. */
static void survivors_follow_a_trend(void **state)
{
    (void)state;
    uint64_t seed = 21;
    for (int i = 0; i < 4; i++) {
        struct file f = {0};
        uint32_t survivors[3], lists;
        points_init(&f.points, 2000, 24);
        for (size_t j = 0; j < (size_t)2000 * 24; j++) f.points.x[j] = (float)random_normal(&seed);
        points_code(&f.points, VDB_METRIC_L2, 0);
        build(&f, (struct ivf_params){.lists = 10, .sub_dim = 4, .out_dim = 24});
        struct quality_rows rows = rows_of(&f.points, kernels_best(), 2);
        struct calibrator *calibrator;
        assert_int_equal(
            calibrate_open_last(1900, &rows, &f.points.codes, NULL, NULL, 0, &calibrator, NULL),
            VDB_OK);
        assert_int_equal(
            calibrate_survivors(calibrator, &f.ivf, margin_candidates, survivors, &lists, NULL),
            VDB_OK);
        calibrate_close(calibrator);
        assert_true((uint64_t)survivors[0] * survivors[2] + survivors[2] >
                    (uint64_t)survivors[1] * survivors[1]);
        file_release(&f);
    }
}

/* Opens a calibrator over all rows and measures survivors, then curves with these. */
static void calibrate(struct file *f, uint32_t survivors[3], struct calibration *curves)
{
    struct calibrator *calibrator;
    uint32_t lists;
    struct quality_rows rows = {.rows = f->points.rows,
                                .dim = f->points.dim,
                                .metric = VDB_METRIC_L2,
                                .row_fn = row_of,
                                .context = &f->points,
                                .kernels = kernels_best(),
                                .threads = 2};
    assert_int_equal(
        calibrate_open(&rows, &f->points.codes, NULL, NULL, NULL, 0, false, &calibrator, NULL),
        VDB_OK);
    assert_int_equal(
        calibrate_survivors(calibrator, &f->ivf, margin_candidates, survivors, &lists, NULL),
        VDB_OK);
    memcpy(f->ivf.view.h.survivors, survivors, 3 * sizeof *survivors);
    f->ivf.view.h.survivor_lists = lists;
    assert_int_equal(
        calibrate_probes(calibrator, &f->ivf, margin_candidates, CALIBRATE_FULL, curves, NULL),
        VDB_OK);
    calibrate_close(calibrator);
}

/* Where a large share of many lists has to be read, curves go on to where little is missed. */
static void many_lists_are_measured(void **state)
{
    (void)state;
    enum { ROWS = 24000, DIM = 32 };
    struct file f = {0};
    static struct calibration curves;
    uint32_t survivors[3];
    points_init(&f.points, ROWS, DIM);
    uint64_t seed = 8;
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) f.points.x[i] = (float)random_normal(&seed);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 1500, .sub_dim = 2, .out_dim = DIM});
    calibrate(&f, survivors, &curves);
    for (uint32_t a = 0; a < curves.curve_count; a++) {
        const struct calibration_curve *curve = &curves.curves[a];
        assert_in_range(curve->points[curve->point_count - 1].recall, 970000, 1000000);
    }
    file_release(&f);
}

/* Half of the rows lie so near to each other that short codes do not tell them apart: more of them
 * survive than elsewhere. */
static void survivors_of_dense_rows(void **state)
{
    (void)state;
    enum { ROWS = 16000, DIM = 32 };
    struct file f = {0};
    static struct calibration curves;
    uint32_t survivors[3];
    points_init(&f.points, ROWS, DIM);
    uint64_t seed = 8;
    for (uint32_t row = 0; row < ROWS; row++) {
        double mean = random_unit(&seed) * 200, spread = row % 2 ? 0.6 : 40;
        for (uint32_t i = 0; i < DIM; i++)
            f.points.x[row * DIM + i] =
                (float)(spread > 1 ? 100 + random_normal(&seed) * spread
                                   : floor(mean) + floor(random_unit(&seed) * 3));
    }
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 125, .sub_dim = 2, .out_dim = DIM});
    calibrate(&f, survivors, &curves);
    assert_in_range(survivors[0], 16 + 240 + 1, ROWS);
    assert_in_range(curves.curves[0].points[curves.curves[0].point_count - 1].recall, 800000,
                    1000000);
    file_release(&f);
}

/* Of a single list, whose effort is survivors: no searches that are all the same, and on to where
 * next to nothing is missed, for each k. */
static void one_list_is_measured_to_the_end(void **state)
{
    (void)state;
    enum { ROWS = 2000, DIM = 64 };
    struct file f = {0};
    static struct calibration curves;
    points_init(&f.points, ROWS, DIM);
    uint64_t seed = 8;
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) f.points.x[i] = (float)random_normal(&seed);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 1, .sub_dim = 4, .out_dim = DIM});
    struct calibrator *calibrator = calibrator_of(&f);
    assert_int_equal(
        calibrate_probes(calibrator, &f.ivf, margin_candidates, CALIBRATE_FULL, &curves, NULL),
        VDB_OK);
    calibrate_close(calibrator);
    assert_int_equal(curves.curve_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct calibration_curve *curve = &curves.curves[i];
        const struct calibration_point *first = curve->points;
        assert_in_range(first->effort, curve->k, 2 * curve->k);
        assert_in_range(first[curve->point_count - 1].recall, 990000, 1000000);
    }
    uint32_t effort = calibration_effort(&curves, 10, 0.99);
    assert_in_range(effort, 20, ROWS - 1);
    at_least(recall(&f, 1, effort, 25), 0.985, "calibrated");
    file_release(&f);
}

/* More lists bring rows in front of the nearest, which may then not survive: what a curve says of
 * many lists is what searches of them find, not what was found with fewer. */
static void what_more_lists_lose(void **state)
{
    (void)state;
    enum { ROWS = 6000, DIM = 24, ASKED = 400 };
    struct file f = {0};
    struct search s;
    static struct calibration curves;
    points_init(&f.points, ROWS, DIM);
    uint64_t seed = 6;
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) f.points.x[i] = (float)random_normal(&seed);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 60, .sub_dim = 4, .out_dim = DIM});
    static const uint32_t few[3] = {4, 60, 600};
    memcpy(f.ivf.view.h.survivors, few, sizeof few);
    struct calibrator *calibrator = calibrator_of(&f);
    assert_int_equal(
        calibrate_probes(calibrator, &f.ivf, margin_candidates, CALIBRATE_FULL, &curves, NULL),
        VDB_OK);
    calibrate_close(calibrator);
    const struct calibration_curve *curve = &curves.curves[0];
    const struct calibration_point *last = &curve->points[curve->point_count - 1];
    uint32_t hits = 0, nearest, keep = margin_candidates(1, few[0]);
    search_init(&s);
    for (uint32_t i = 0; i < ASKED; i++) {
        float query[DIM];
        for (uint32_t j = 0; j < DIM; j++) query[j] = (float)random_normal(&seed);
        struct ivf_effort effort = {60, few[0], 1, keep};
        search_near(&s, &f, kernels_best(), query, &effort);
        points_nearest(&f.points, query, 1, &nearest);
        for (uint32_t j = 0; j < s.count; j++) hits += s.found[j].row == nearest;
    }
    double found = hits / (double)ASKED, said = last->recall * 1e-6;
    double deviation = sqrt(found * (1 - found) / ASKED);
    if (!(fabs(found - said) < 2 * (deviation + last->error * 1e-6)))
        fail_msg("recall %.3f is said to be %.3f", found, said);
    /* Beyond where most was found a curve says nothing. */
    assert_true(last->effort < 60);
    assert_true(last->recall > curve->points[curve->point_count - 2].recall);
    search_release(&s);
    file_release(&f);
}

/* What a search does for the K nearest of all that survive in so many lists. */
static struct ivf_work work_of(struct search *s, const struct file *f, const float *query,
                               uint32_t lists, uint32_t k)
{
    struct ivf_effort effort = {lists, UINT32_MAX, k, k};
    struct ivf_work before = ivf_work_done(s->scratch);
    search_near(s, f, kernels_best(), query, &effort);
    struct ivf_work work = ivf_work_done(s->scratch);
    work.probed -= before.probed;
    work.scanned -= before.scanned;
    return work;
}

/* Where k rows are more than the nearest lists have, the lists that are added are as many as have
 * them, so that more effort never finds less. */
static void lists_with_k_rows(void **state)
{
    (void)state;
    enum { ROWS = 2000, DIM = 30, LISTS = 60, K = 200 };
    for (uint64_t copies = 1; copies <= 2; copies++) {
        struct file f;
        struct search s;
        float query[DIM];
        make(&f, ROWS, DIM, VDB_METRIC_L2, false);
        build(&f, (struct ivf_params){
                      .lists = LISTS, .sub_dim = 2, .out_dim = DIM, .spill = copies == 2});
        search_init(&s);
        for (uint32_t q = 0; q < 30; q++) {
            query_of(&f, q, query);
            struct ivf_work work = work_of(&s, &f, query, 1, K);
            uint32_t lists = (uint32_t)work.probed;
            assert_in_range(s.count, K, ROWS);
            assert_in_range(lists, 2, LISTS - 1);
            assert_in_range(work.scanned, K * copies, ROWS);
            static struct search found;
            found = s;
            assert_int_equal(work_of(&s, &f, query, lists, K).probed, lists);
            assert_int_equal(s.count, found.count);
            assert_memory_equal(s.found, found.found, s.count * sizeof *s.found);
            /* A list less has not enough. */
            work = work_of(&s, &f, query, lists - 1, 1);
            assert_int_equal(work.probed, lists - 1);
            assert_in_range(work.scanned, 1, K * copies - 1);
        }
        search_release(&s);
        file_release(&f);
    }
}

/* Rows beyond 2^31 would be taken for others: neither searched nor built. */
static void too_many_rows_are_refused(void **state)
{
    (void)state;
    struct file f = {0};
    const struct ivf_effort effort = {1, 10, 10, 10};
    const struct ivf_params params = {.lists = 1, .sub_dim = 2};
    const struct candidate *found;
    const float query[2] = {0};
    uint32_t count;
    points_init(&f.points, 300, 2);
    points_cluster(&f.points, 4, 0.5, 3);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, params);
    f.ivf.view.h.rows = 0x80000001u;
    struct walk *walk = walk_create();
    struct ivf_scratch *scratch = ivf_scratch_create();
    assert_int_equal(walk_prepare(walk, &f.ivf.codes, kernels_best(), query, NULL), VDB_OK);
    assert_int_equal(ivf_search(scratch, walk, &f.ivf, query, &effort, &found, &count, NULL),
                     VDB_LIMIT);
    struct codes many = f.points.codes;
    struct ivf_built built;
    many.rows = 0x80000001u;
    assert_int_equal(ivf_build(NULL, &many, false, &params, &built, NULL), VDB_LIMIT);
    ivf_scratch_free(scratch);
    walk_free(walk);
    file_release(&f);
}

static void survivors_for_any_k(void **state)
{
    (void)state;
    struct ivf ivf = {.view.h = {.list_count = 9, .survivors = {24, 60, 400}}};
    static const uint32_t wanted[][2] = {{1, 24},   {4, 36},    {10, 60},   {55, 230},
                                         {99, 396}, {100, 400}, {200, 800}, {1000, 4000}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_int_equal(ivf_survivors(&ivf, wanted[i][0], 3), wanted[i][1]);
    assert_int_equal(ivf_survivors(&ivf, UINT32_MAX, 3), UINT32_MAX);
    ivf.view.h.survivors[2] = 60; /* never fewer than rows asked for */
    assert_int_equal(ivf_survivors(&ivf, 90, 3), 90);
    ivf.view.h.list_count = 1; /* the effort tells */
    assert_int_equal(ivf_survivors(&ivf, 10, 300), 300);
    assert_int_equal(ivf_survivors(&ivf, 400, 300), 400);
}

/* With a fraction of the lists the root of it of the survivors, and half at least. */
static void survivors_of_fewer_lists(void **state)
{
    (void)state;
    static const uint32_t wanted[][2] = {{1, 35},  {25, 35}, {26, 36},  {64, 56},
                                         {81, 63}, {99, 70}, {100, 70}, {500, 70}};
    struct ivf ivf = {
        .view.h = {.list_count = 500, .survivors = {24, 70, 400}, .survivor_lists = 100}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_int_equal(ivf_survivors(&ivf, 10, wanted[i][0]), wanted[i][1]);
    assert_int_equal(ivf_survivors(&ivf, 1, 64), 20); /* 19.2 */
    assert_int_equal(ivf_survivors(&ivf, 100, 1), 200);
    ivf.view.h.survivors[2] = 70; /* never fewer than rows asked for */
    assert_int_equal(ivf_survivors(&ivf, 60, 1), 60);
    ivf.view.h.survivor_lists = 0;
    assert_int_equal(ivf_survivors(&ivf, 10, 1), 70);
    ivf.view.h.survivor_lists = 501; /* of 500 */
    assert_int_equal(ivf_survivors(&ivf, 10, 1), 70);
}

/* The 10 nearest of many survivors are found by measuring few of these; where 500 are asked for,
 * all are measured. */
static void far_estimates_are_not_measured(void **state)
{
    (void)state;
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_COSINE, VDB_METRIC_IP};
    enum { QUERIES = 100, SURVIVORS = 900 };
    for (size_t m = 0; m < 3; m++) {
        struct file f;
        float query[32];
        make(&f, 3000, 32, metrics[m], m == 2);
        build(&f, (struct ivf_params){.lists = 30, .sub_dim = 2, .out_dim = 32});
        uint32_t hits[2] = {0}, nearest[10];
        uint64_t measured[2];
        for (uint32_t all = 0; all < 2; all++) {
            struct ivf_effort effort = {20, SURVIVORS, all ? 500 : 10, 20};
            struct search s;
            search_init(&s);
            for (uint32_t q = 0; q < QUERIES; q++) {
                query_of(&f, q, query);
                search_near(&s, &f, kernels_best(), query, &effort);
                points_nearest(&f.points, query, 10, nearest);
                for (uint32_t i = 0; i < s.count; i++)
                    for (uint32_t k = 0; k < 10; k++) hits[all] += s.found[i].row == nearest[k];
            }
            measured[all] = ivf_work_done(s.scratch).survived;
            search_release(&s);
        }
        assert_in_range(measured[1], QUERIES * SURVIVORS, 2 * QUERIES * SURVIVORS);
        assert_in_range(measured[0], 32 * QUERIES, measured[1] / 3);
        assert_in_range(hits[0], hits[1] - hits[1] / 200, 10 * QUERIES);
        file_release(&f);
    }
}

/* ---- what is built ------------------------------------------------------------------------- */

/* How many slots each row has, counted by hand. */
static void count_slots(const struct file *f, uint32_t *slots)
{
    memset(slots, 0, f->points.rows * sizeof *slots);
    for (uint32_t i = 0; i < f->ivf.view.h.list_count; i++) {
        struct ivf_list list = ivf_view_list(&f->ivf.view, i);
        for (uint32_t j = 0; j < list.row_count; j++) {
            uint32_t row = f->ivf.view.slot_rows[list.first_slot + j];
            assert_in_range(row, 0, f->points.rows - 1);
            slots[row]++;
        }
    }
}

static void rows_stand_in_lists(void **state)
{
    (void)state;
    uint32_t slots[1500];
    for (uint32_t spill = 0; spill < 2; spill++)
        for (uint32_t lists = 1; lists < 40; lists += 19) {
            struct file f;
            make(&f, 1500, 16, VDB_METRIC_L2, false);
            build(&f, (struct ivf_params){
                          .lists = lists, .sub_dim = 1, .out_dim = 16, .spill = spill != 0});
            count_slots(&f, slots);
            for (uint32_t row = 0; row < 1500; row++)
                assert_int_equal(slots[row], spill && lists > 1 ? 2 : 1);
            assert_int_equal(f.ivf.view.h.flags & DISK_IVF_SPILLED, spill ? DISK_IVF_SPILLED : 0);
            assert_true(f.built.imbalance >= 1.0);
            file_release(&f);
        }
}

/* Lists around given centroids: each row is in that of the nearest by codes, ties to the first. */
static void centroids_that_are_given(void **state)
{
    (void)state;
    struct file f;
    uint8_t centroids[12 * 64];
    make(&f, 1200, 20, VDB_METRIC_L2, false);
    for (uint32_t i = 0; i < 12; i++)
        memcpy(centroids + 64 * i, f.points.codes.code + i * 97 * f.points.codes.code_stride, 64);
    build(&f,
          (struct ivf_params){.lists = 12, .sub_dim = 2, .out_dim = 20, .centroids = centroids});
    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t d = 0; d < 20; d++)
            assert_int_equal(f.ivf.view.centroids[ivf_centroid_at(20, i, d)],
                             centroids[64 * i + d]);
        struct ivf_list list = ivf_view_list(&f.ivf.view, i);
        for (uint32_t j = 0; j < list.row_count; j++) {
            uint32_t row = f.ivf.view.slot_rows[list.first_slot + j], nearest = 0, least = 0;
            const uint8_t *code = f.points.codes.code + row * f.points.codes.code_stride;
            for (uint32_t c = 0; c < 12; c++) {
                uint32_t sum = 0;
                for (uint32_t d = 0; d < 20; d++) {
                    int difference = code[d] - centroids[64 * c + d];
                    sum += (uint32_t)(difference * difference);
                }
                if (c == 0 || sum < least) nearest = c, least = sum;
            }
            assert_int_equal(nearest, i);
        }
    }
    file_release(&f);
}

/* Under cosine centroids are of about one length, but for those that were given. */
static void lengths_of_centroids(void **state)
{
    (void)state;
    struct file f;
    double shortest = INFINITY, longest = 0;
    make(&f, 3000, 16, VDB_METRIC_COSINE, true);
    build(&f, (struct ivf_params){.lists = 30, .sub_dim = 2, .out_dim = 16});
    const struct ivf_header *h = &f.ivf.view.h;
    for (uint32_t i = 0; i < 30; i++) {
        double sum = 0;
        for (uint32_t d = 0; d < 16; d++) {
            double code = f.ivf.view.centroids[ivf_centroid_at(16, i, d)] - h->zero;
            sum += code * code;
        }
        double length = (double)h->scale * sqrt(sum);
        shortest = length < shortest ? length : shortest;
        longest = length > longest ? length : longest;
    }
    assert_true(longest < 1.05 * shortest);
    file_release(&f);
}

static void few_rows(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows < 40; rows += rows < 4 ? 1 : 13)
        for (uint32_t lists = 1; lists <= rows; lists += lists < 3 ? 1 : 7)
            for (uint32_t spill = 0; spill < 2; spill++) {
                struct file f;
                struct search s;
                float query[5];
                make(&f, rows, 5, VDB_METRIC_L2, false);
                build(&f, (struct ivf_params){
                              .lists = lists, .sub_dim = 4, .out_dim = 5, .spill = spill != 0});
                search_init(&s);
                query_of(&f, 1, query);
                search(&s, &f, kernels_best(), query, lists, UINT32_MAX, rows);
                assert_int_equal(s.count, rows);
                search_release(&s);
                file_release(&f);
            }
}

static void parameters_by_default(void **state)
{
    (void)state;
    for (uint32_t rows = 1; rows < 3000000; rows = rows * 3 + 1) {
        static const uint32_t dimensions[] = {0, 3000, 15000, 30000, 200000};
        for (size_t i = 0; i < 5; i++) {
            struct ivf_params params = {0}, own = {.lists = 3, .sub_dim = 4};
            ivf_params_default(&params, rows, 100, dimensions[i]);
            assert_in_range(params.lists, 1, rows);
            assert_int_equal(params.sub_dim & (params.sub_dim - 1), 0);
            assert_in_range(params.sub_dim, 1, 4);
            ivf_params_default(&own, rows, 100, dimensions[i]);
            assert_int_equal(own.lists, 3);
            assert_int_equal(own.sub_dim, 4);
        }
    }
}

/* All rows alike, or of a few kinds: the first of them are found, whatever lists they fell into. */
static void duplicates(void **state)
{
    (void)state;
    for (uint32_t kinds = 1; kinds < 6; kinds += 2) {
        struct file f = {0};
        struct search s;
        points_init(&f.points, 500, 18);
        for (uint32_t row = 0; row < 500; row++)
            for (uint32_t i = 0; i < 18; i++)
                f.points.x[row * 18 + i] = (float)((row % kinds * 5 + i * 3) % 11);
        points_code(&f.points, VDB_METRIC_L2, 0);
        build(&f, (struct ivf_params){.lists = 8, .sub_dim = 2, .out_dim = 18, .spill = kinds > 2});
        search_init(&s);
        for (uint32_t row = 0; row < kinds; row++) {
            search(&s, &f, kernels_best(), f.points.x + (size_t)row * 18, 8, UINT32_MAX, 10);
            assert_int_equal(s.count, 10);
            for (uint32_t i = 0; i < 10; i++) {
                assert_int_equal(s.found[i].row, row + kinds * i);
                assert_int_equal(s.found[i].distance, 0);
            }
            search(&s, &f, kernels_best(), f.points.x + (size_t)row * 18, 8, 20, 5);
            assert_int_equal(s.count, 5);
            for (uint32_t i = 0; i < 5; i++) assert_int_equal(s.found[i].distance, 0);
        }
        search_release(&s);
        file_release(&f);
    }
}

/* Second lists that are added to a file give what a build with them gives. */
static void second_lists_come_later(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct file f;
        struct ivf_params params = {.lists = 30, .sub_dim = i == 2 ? 4 : 2, .threads = 2};
        params.out_dim = i == 1 ? 32 : 30;
        if (i < 3)
            make(&f, 2000, i == 1 ? 112 : 30, i == 2 ? VDB_METRIC_IP : VDB_METRIC_L2, true);
        else
            make_integers(&f, 2000, 30, VDB_TYPE_U8, VDB_METRIC_L2);
        build_with(&f, &params, kernels_best());
        struct ivf_built single = f.built;
        params.spill = true;
        build_with(&f, &params, kernels_best());
        struct ivf_built at_once = f.built;
        params.single = &single;
        build_with(&f, &params, sets[0]);
        assert_int_equal(f.built.len, at_once.len);
        assert_memory_equal(f.built.segment, at_once.segment, at_once.len);
        ivf_built_release(&single);
        ivf_built_release(&at_once);
        file_release(&f);
    }
}

/* ---- the same for any threads and kernels -------------------------------------------------- */

static void same_bytes(void **state)
{
    (void)state;
    const uint32_t rows = SLOW ? 500 : 2000;
    for (int i = 0; i < 5; i++) {
        struct file f;
        struct ivf_params params = {.lists = 20, .sub_dim = i == 2 ? 4 : 2, .spill = i % 2};
        if (i < 4)
            make(&f, rows, i == 1 ? 112 : 30, i == 3 ? VDB_METRIC_IP : VDB_METRIC_L2, true);
        else
            make_integers(&f, rows, 30, VDB_TYPE_I8, VDB_METRIC_L2);
        params.out_dim = i == 1 ? 32 : 30;
        params.threads = 1;
        build_with(&f, &params, sets[0]);
        struct ivf_built first = f.built;
        for (size_t set = 0; set < sets_count; set++) {
            params.threads = 5 - 2 * (unsigned)set;
            build_with(&f, &params, sets[set]);
            assert_int_equal(f.built.len, first.len);
            assert_memory_equal(f.built.segment, first.segment, first.len);
            assert_true(f.built.imbalance == first.imbalance);
            ivf_built_release(&f.built);
        }
        f.built = first;
        file_release(&f);
    }
}

static void same_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct file f;
        struct search first, s;
        float query[112];
        uint32_t dim = i == 1 ? 112 : 30;
        if (i < 4)
            make(&f, 2000, dim,
                 i == 3   ? VDB_METRIC_IP
                 : i == 2 ? VDB_METRIC_COSINE
                          : VDB_METRIC_L2,
                 true);
        else
            make_integers(&f, 2000, dim, VDB_TYPE_U8, VDB_METRIC_L2);
        build(&f, (struct ivf_params){.lists = 20,
                                      .sub_dim = i == 2 ? 4 : 2,
                                      .out_dim = i == 1 ? 32 : dim,
                                      .spill = i % 2});
        search_init(&first);
        search_init(&s);
        for (uint32_t q = 0; q < 40; q++) {
            query_of(&f, q, query);
            search(&first, &f, sets[0], query, 1 + q % 7, 10 + 5 * q, 10 + q);
            for (size_t set = 1; set < sets_count; set++) {
                search(&s, &f, sets[set], query, 1 + q % 7, 10 + 5 * q, 10 + q);
                assert_int_equal(s.count, first.count);
                assert_memory_equal(s.found, first.found, s.count * sizeof *s.found);
            }
        }
        search_release(&first);
        search_release(&s);
        file_release(&f);
    }
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

/* Numbers of rows are not believed. */
static void hostile_rows(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct file f;
        struct search s;
        float query[30];
        uint64_t seed = 4;
        if (own)
            make_integers(&f, 2000, 30, VDB_TYPE_U8, VDB_METRIC_L2);
        else
            make(&f, 2000, 30, VDB_METRIC_L2, false);
        build(&f, (struct ivf_params){.lists = 20, .sub_dim = 2, .out_dim = 30});
        uint32_t *rows = (uint32_t *)(void *)(f.built.segment + f.ivf.view.h.slot_rows_off);
        search_init(&s);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < f.ivf.view.h.slot_count; i++)
                rows[i] = round == 0   ? 2000
                          : round == 1 ? VDB_NO_ROW - i % 2
                                       : (uint32_t)random_next(&seed) % 2100;
            for (uint32_t q = 0; q < 20; q++) {
                query_of(&f, q, query);
                search(&s, &f, kernels_best(), query, 5, 100, 50);
                if (round < 2) assert_int_equal(s.count, 0);
                search(&s, &f, kernels_best(), query, 20, UINT32_MAX, 3000);
                if (round < 2) assert_int_equal(s.count, 0);
            }
        }
        search_release(&s);
        file_release(&f);
    }
}

/* Codes, b and f that are anything, infinite and no numbers among them. */
static void hostile_blocks(void **state)
{
    (void)state;
    struct file f;
    struct search s;
    float query[30];
    uint64_t seed = 9;
    make(&f, 2000, 30, VDB_METRIC_L2, false);
    build(&f, (struct ivf_params){.lists = 20, .sub_dim = 2, .out_dim = 30});
    uint8_t *blocks = f.built.segment + f.ivf.view.h.blocks_off;
    size_t len = f.ivf.view.h.slot_codes_off - f.ivf.view.h.blocks_off;
    search_init(&s);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < len; i++)
            blocks[i] = round < 2 ? (uint8_t)(255 * round) : (uint8_t)random_next(&seed);
        for (uint32_t q = 0; q < 10; q++) {
            query_of(&f, q, query);
            for (size_t set = 0; set < sets_count; set++)
                search(&s, &f, sets[set], query, 1 + q, 10 + 20 * q, 40);
        }
    }
    search_release(&s);
    file_release(&f);
}

static int stop(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase, (void)done, (void)total;
    return ++*(int *)context >= 2;
}

static enum vdb_status no_row(void *context, uint32_t row, float *x)
{
    (void)context, (void)row, (void)x;
    return error_set(NULL, VDB_IO, "no row");
}

static void builds_that_end_early(void **state)
{
    (void)state;
    struct file f;
    int calls = 0;
    make(&f, 2000, 12, VDB_METRIC_L2, false);
    struct ivf_params params = {.lists = 20,
                                .sub_dim = 2,
                                .out_dim = 12,
                                .threads = 2,
                                .progress = stop,
                                .context = &calls};
    assert_int_equal(try_build(&f, &params, kernels_best(), NULL), VDB_CANCELLED);
    assert_null(f.built.segment);
    struct quality_rows rows = rows_of(&f.points, kernels_best(), 2);
    rows.row_fn = no_row;
    params.progress = NULL;
    assert_int_equal(ivf_build(&rows, &f.points.codes, false, &params, &f.built, NULL), VDB_IO);
    file_release(&f);
}

/* Numbers as large as binary32 has them: no codes can tell them apart, but what is written is as
 * the format wants it, and can be searched. */
static void huge_numbers(void **state)
{
    (void)state;
    struct file f = {0};
    struct search s;
    points_init(&f.points, 300, 6);
    for (uint32_t i = 0; i < 300 * 6; i++)
        f.points.x[i] = (i * 7919 % 13 < 6 ? -1.0F : 1.0F) * 3e38F / (float)(1 + i % 5);
    points_code(&f.points, VDB_METRIC_L2, 0);
    build(&f, (struct ivf_params){.lists = 6, .sub_dim = 2, .out_dim = 6});
    search_init(&s);
    search(&s, &f, kernels_best(), f.points.x, 6, UINT32_MAX, 10);
    search_release(&s);
    file_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_and_code),
        cmocka_unit_test(rows_that_are_their_own_codes),
        cmocka_unit_test(short_residuals),
        cmocka_unit_test(all_rows),
        cmocka_unit_test(survivors_are_enough),
        cmocka_unit_test(survivors_follow_a_trend),
        cmocka_unit_test(many_lists_are_measured),
        cmocka_unit_test(survivors_of_dense_rows),
        cmocka_unit_test(one_list_is_measured_to_the_end),
        cmocka_unit_test(survivors_for_any_k),
        cmocka_unit_test(survivors_of_fewer_lists),
        cmocka_unit_test(what_more_lists_lose),
        cmocka_unit_test(lists_with_k_rows),
        cmocka_unit_test(too_many_rows_are_refused),
        cmocka_unit_test(far_estimates_are_not_measured),
        cmocka_unit_test(rows_stand_in_lists),
        cmocka_unit_test(centroids_that_are_given),
        cmocka_unit_test(second_lists_come_later),
        cmocka_unit_test(lengths_of_centroids),
        cmocka_unit_test(few_rows),
        cmocka_unit_test(parameters_by_default),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(same_answers),
        cmocka_unit_test(hostile_rows),
        cmocka_unit_test(hostile_blocks),
        cmocka_unit_test(builds_that_end_early),
        cmocka_unit_test(huge_numbers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
