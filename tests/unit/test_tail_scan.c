/* test_tail_scan.c: searching the tail by codes, against brute force in binary64 over the very
 * numbers that were put, and against the first search of a fresh handle, which makes no codes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "index/vafile.h"
#include "state/snapshot.h"
#include "store_fixture.h"
#include "vector/vtype.h"

#define QUERIES 7
#define K_MAX   3000

/* ---- rows ---------------------------------------------------------------------------------- */

enum kind {
    CLUSTERS,  /* as embeddings have them, finer than any grid */
    INTEGERS,  /* that a grid has */
    DRIFT,     /* each thousand rows ten times as large as those before */
    OUTLIERS,  /* every fortieth 1e30 times, every fifty-first 1e-30 times as large */
    STRAY,     /* as CLUSTERS, but for two rows */
    CROWD,     /* all but the same: distances differ less than codes can tell */
    ALL_EQUAL, /* and very large */
    NESTED,    /* every other a hundredth of the others' size; these are one another's opposites */
};

struct world {
    enum vdb_metric metric;
    enum vdb_type type;
    enum kind kind;
    uint32_t dim, rows, batch;
    float *row; /* rows * dim */
    bool *dead;
    float *queries; /* QUERIES * dim */
};

static double uniform(uint64_t *seed)
{
    return (double)(store_random(seed) >> 11) / 9007199254740992.0;
}

static float whole(const struct world *w, uint64_t *seed)
{
    int x = (int)(store_random(seed) % 250);
    return (float)(w->type == VDB_TYPE_I8 ? x - 125 : x);
}

static float number(const struct world *w, uint32_t i, uint64_t *centre, uint64_t *seed)
{
    double x = uniform(seed) + uniform(seed) + uniform(seed) - 1.5;
    switch (w->kind) {
    case CLUSTERS:
        return (float)(x + 3 * uniform(centre));
    case STRAY:
        return i % 500 == 77 ? 1e9f : (float)(x + 3 * uniform(centre));
    case INTEGERS:
        return whole(w, seed);
    case DRIFT:
        return (float)(x * pow(10, i / 1000));
    case OUTLIERS:
        return (float)(i % 40 == 9 ? x * 1e30 : i % 51 == 9 ? x * 1e-30 : x);
    case NESTED:
        return (float)(i % 2 ? x : x / 100);
    case CROWD:
        return (float)(5 + 1e-5 * x);
    case ALL_EQUAL:
        return 3e35f;
    }
    return 0;
}

/* Of f16, what it holds exactly, so that brute force sees what is stored. */
static float as_stored(const struct world *w, float x)
{
    return w->type == VDB_TYPE_F16 ? f16_to_f32(f32_to_f16(x)) : x;
}

static void make_vector(const struct world *w, uint32_t i, uint64_t *seed, float *v)
{
    uint64_t centre = (store_random(seed) % 20 + 1) * 0x9e3779b97f4a7c15u;
    for (uint32_t d = 0; d < w->dim; d++) v[d] = as_stored(w, number(w, i, &centre, seed));
    if (w->metric == VDB_METRIC_COSINE && v[0] == 0) v[0] = 1;
}

/* Two like the rows, one that is a row, one between grid lines, one far out, one very near 0, and
 * one that is far from the rows in some dimensions only. */
static void make_queries(struct world *w, uint64_t *seed)
{
    float *q = w->queries;
    uint32_t dim = w->dim;
    for (uint32_t i = 0; i < QUERIES; i++) make_vector(w, i * 41, seed, q + i * dim);
    memcpy(q + 2 * dim, w->row + (size_t)(w->rows / 2) * dim, dim * sizeof *q);
    for (uint32_t d = 0; d < dim; d++) {
        q[3 * dim + d] += 0.3125f;
        q[4 * dim + d] = (d % 3 ? 90.0f : -50.0f) * q[4 * dim + d] + 1;
        q[5 * dim + d] = q[5 * dim + d] * 1e-20f + 1e-30f;
        if (d % 4 == 0) q[6 * dim + d] = 7000;
    }
}

static void put_rows(const struct world *w, struct vdb *db, uint32_t first, uint32_t count)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        store_put(txn, id, w->row + (size_t)i * w->dim, NULL);
    }
    store_commit(txn);
}

static void kill_rows(struct world *w, struct vdb *db, uint32_t first, uint32_t step)
{
    struct vdb_txn *txn = store_begin(db);
    struct vdb_error err;
    for (uint32_t i = first; i < w->rows; i += step) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
        w->dead[i] = true;
    }
    store_commit(txn);
}

static void world_make(struct world *w)
{
    uint64_t seed = 7 + w->dim + 10 * (uint64_t)w->metric + 100 * (uint64_t)w->type;
    w->row = malloc((size_t)w->rows * w->dim * sizeof *w->row);
    w->dead = calloc(w->rows, sizeof *w->dead);
    w->queries = malloc((size_t)QUERIES * w->dim * sizeof *w->queries);
    assert_true(w->row && w->dead && w->queries);
    for (uint32_t i = 0; i < w->rows; i++) make_vector(w, i, &seed, w->row + (size_t)i * w->dim);
    for (size_t i = 3; i < w->rows && w->kind == NESTED; i += 4)
        for (uint32_t d = 0; d < w->dim; d++)
            w->row[i * w->dim + d] = -w->row[(i - 2) * w->dim + d];
    /* A tie, between a row of a block and one of another. */
    memcpy(w->row + (size_t)(w->rows - 9) * w->dim, w->row + (size_t)(w->rows / 2) * w->dim,
           w->dim * sizeof *w->row);
    make_queries(w, &seed);
}

static struct vdb *create(const struct world *w)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = w->dim;
    options.index = VDB_INDEX_FLAT;
    options.metric = w->metric;
    options.type = w->type;
    unlink(store_path("t.vdb"));
    return store_create("t.vdb", options);
}

static void world_release(struct world *w)
{
    free(w->row);
    free(w->dead);
    free(w->queries);
}

/* ---- brute force --------------------------------------------------------------------------- */

static double distance(const struct world *w, const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0, dd = 0;
    for (uint32_t i = 0; i < w->dim; i++) {
        double x = a[i], y = b[i];
        dot += x * y;
        aa += x * x;
        bb += y * y;
        dd += (x - y) * (x - y);
    }
    if (w->metric == VDB_METRIC_L2) return sqrt(dd);
    return w->metric == VDB_METRIC_IP ? -dot : 1 - dot / (sqrt(aa) * sqrt(bb));
}

/* How far rounding may take what has this distance: sums of products may cancel. */
static double rounding(const struct world *w, const float *a, const float *b)
{
    double sum = 1e-300;
    if (w->metric == VDB_METRIC_COSINE) return 1e-12;
    for (uint32_t i = 0; i < w->dim; i++) sum += fabs((double)a[i] * (double)b[i]);
    return 1e-12 * (w->metric == VDB_METRIC_IP ? sum : distance(w, a, b));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every hit is a row that may be one, at its distance, in order; and no row is nearer. */
static void expect_nearest(const struct world *w, const float *query, uint32_t rows, bool deleted,
                           uint32_t k, const struct vdb_hit *hits, uint32_t found)
{
    double *all = malloc((rows + 1) * sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows; i++)
        if (deleted || !w->dead[i]) all[n++] = distance(w, query, w->row + (size_t)i * w->dim);
    qsort(all, n, sizeof *all, ascending);
    assert_int_equal(found, n < k ? n : k);
    for (uint32_t i = 0; i < found; i++) {
        const struct vdb_hit *h = &hits[i];
        assert_true(h->row < rows && (deleted || !w->dead[h->row]));
        const float *row = w->row + (size_t)h->row * w->dim;
        double slack = rounding(w, query, row);
        if (!(fabs(h->distance - distance(w, query, row)) <= slack))
            fail_msg("row %u: %.17g, expected %.17g", h->row, h->distance, distance(w, query, row));
        if (!(h->distance <= all[i] + slack))
            fail_msg("hit %u: %.17g, expected %.17g", i, h->distance, all[i]);
        assert_true(i == 0 || (hits[i - 1].distance <= h->distance && hits[i - 1].row != h->row));
    }
    free(all);
}

/* ---- searches ------------------------------------------------------------------------------ */

struct answer {
    struct vdb_hit hits[K_MAX];
    uint32_t found;
};

static void ask(const struct vdb_snapshot *s, const float *query, uint32_t k, bool deleted,
                struct answer *to)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    options.k = k;
    options.include_deleted = deleted;
    options.threads = 1;
    options.exact = 1;
    must(vdb_search(s, query, 1, &options, to->hits, &to->found, &err), &err);
}

static uint32_t rows_coded(const struct vdb_snapshot *s)
{
    uint32_t rows = 0;
    const struct tail_chunk *c = s->generation->codes.first;
    for (; c; c = tail_chunk_next(c)) rows += c->codes ? vafile_count(c->codes) : 0;
    return rows;
}

/* So many searches that all rows of the tail have codes, but for a block that is not full. */
static void code_all(const struct world *w, const struct vdb_snapshot *s)
{
    static struct answer unused;
    for (int i = 0; i < 200; i++) ask(s, w->queries, 1, false, &unused);
    assert_true(rows_coded(s) + VAFILE_BLOCK > s->row_count - s->generation->manifest.row_count);
}

static void expect_same(const struct answer *a, const struct answer *b)
{
    assert_int_equal(a->found, b->found);
    for (uint32_t i = 0; i < a->found; i++) {
        assert_int_equal(a->hits[i].row, b->hits[i].row);
        assert_memory_equal(&a->hits[i].distance, &b->hits[i].distance, sizeof(double));
    }
}

/* What a handle answers that has never searched before. */
static void ask_afresh(const char *isa, const float *query, uint32_t k, bool deleted,
                       struct answer *to)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.isa = isa;
    struct vdb *db = store_open_with("t.vdb", options);
    const struct vdb_snapshot *s = store_snapshot(db);
    ask(s, query, k, deleted, to);
    assert_int_equal(rows_coded(s), 0);
    vdb_snapshot_close(s);
    vdb_close(db);
}

static void expect_right(const struct world *w, const struct vdb_snapshot *s)
{
    static const uint32_t ks[] = {1, 10, K_MAX};
    static struct answer got, want;
    for (uint32_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            const float *query = w->queries + (size_t)q * w->dim;
            bool deleted = (q + i) % 3 == 0;
            ask(s, query, ks[i], deleted, &got);
            expect_nearest(w, query, w->rows, deleted, ks[i], got.hits, got.found);
            ask_afresh(NULL, query, ks[i], deleted, &want);
            expect_same(&got, &want);
        }
}

/* Rows in commits of `batch`, some of them deleted, searched until all have codes. */
static void a_tail(struct world w)
{
    world_make(&w);
    struct vdb *db = create(&w);
    for (uint32_t i = 0; i < w.rows; i += w.batch)
        put_rows(&w, db, i, w.rows - i < w.batch ? w.rows - i : w.batch);
    kill_rows(&w, db, 5, 7);
    const struct vdb_snapshot *s = store_snapshot(db);
    code_all(&w, s);
    expect_right(&w, s);
    vdb_snapshot_close(s);
    vdb_close(db);
    world_release(&w);
}

static void answers_are_those_of_the_stored_vectors(void **state)
{
    (void)state;
    static const struct {
        enum vdb_type type;
        enum kind kind;
    } what[] = {
        {VDB_TYPE_F32, CLUSTERS}, {VDB_TYPE_F32, INTEGERS}, {VDB_TYPE_F32, DRIFT},
        {VDB_TYPE_F32, OUTLIERS}, {VDB_TYPE_F32, CROWD},    {VDB_TYPE_F16, CLUSTERS},
        {VDB_TYPE_I8, INTEGERS},  {VDB_TYPE_U8, INTEGERS},
    };
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        for (int m = VDB_METRIC_L2; m <= VDB_METRIC_IP; m++)
            a_tail((struct world){.metric = (enum vdb_metric)m,
                                  .type = what[i].type,
                                  .kind = what[i].kind,
                                  .dim = 30,
                                  .rows = 2300,
                                  .batch = 700});
}

static void any_dimension_and_any_batch(void **state)
{
    (void)state;
    static const struct {
        uint32_t dim, rows, batch;
    } sizes[] = {{1, 1500, 1500}, {3, 150, 1},   {16, 15, 15},   {64, 16, 3},
                 {65, 33, 11},    {130, 90, 17}, {100, 1100, 90}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int m = VDB_METRIC_L2; m <= VDB_METRIC_IP; m++)
            a_tail((struct world){.metric = (enum vdb_metric)m,
                                  .type = VDB_TYPE_F32,
                                  .kind = CLUSTERS,
                                  .dim = sizes[i].dim,
                                  .rows = sizes[i].rows,
                                  .batch = sizes[i].batch});
    a_tail((struct world){VDB_METRIC_L2, VDB_TYPE_F32, ALL_EQUAL, 8, 70, 35, NULL, NULL, NULL});
}

/* ---- bounds -------------------------------------------------------------------------------- */

struct coded { /* rows of a world, in a file of codes */
    struct world w;
    struct vafile_space space;
    struct vafile *file;
    const uint16_t *outliers;
    uint32_t outlier_count;
    struct vafile_query query;
    int8_t *values;
    struct vafile4 *coarse; /* of the same rows */
    struct vafile4_query query4;
};

static void code_rows(struct coded *c)
{
    struct vdb_error err;
    struct world *w = &c->w;
    struct vafile_scratch scratch = {malloc(codes_bytes(w->dim)),
                                     malloc(vafile4_bytes(w->dim) * sizeof(float))};
    const uint8_t *vectors[VAFILE_ROWS], *some[VAFILE4_SAMPLE];
    struct vafile4_frame *frame = NULL;
    struct quantizer grid;
    world_make(w);
    c->space = (struct vafile_space){w->metric, w->type, w->dim, NULL};
    must(kernels_select(NULL, &c->space.kernels, &err), &err);
    for (uint32_t i = 0; i < w->rows; i++)
        vectors[i] = (const uint8_t *)(w->row + (size_t)i * w->dim);
    vafile_train(&c->space, vectors, w->rows, NULL, &scratch, &grid);
    c->file = vafile_create(&c->space, &grid);
    c->values = malloc(codes_bytes(w->dim));
    assert_true(c->file && c->values);
    for (uint32_t i = 0; i < w->rows; i += VAFILE_BLOCK)
        vafile_append(c->file, &c->space, vectors + i, &scratch);
    c->outlier_count = vafile_outliers(c->file, &c->outliers);
    for (uint32_t i = 0; i < VAFILE4_SAMPLE; i++) some[i] = vectors[i / 4 * (w->rows / 16) + i % 4];
    c->coarse = vafile4_create(&c->space, some, &frame);
    assert_non_null(c->coarse);
    for (uint32_t i = 0; i < w->rows; i += VAFILE_BLOCK)
        vafile4_append(c->coarse, &c->space, c->file, vectors + i, &scratch);
    vafile4_frame_free(frame);
    c->query4 = (struct vafile4_query){.values = malloc(vafile4_bytes(w->dim)),
                                       .rotated = malloc(w->dim * sizeof(float))};
    assert_true(c->query4.values && c->query4.rotated);
    free(scratch.code);
    free(scratch.x);
}

static void coded_release(struct coded *c)
{
    vafile_free(c->file);
    vafile4_free(c->coarse);
    free(c->query4.values);
    free(c->query4.rotated);
    free(c->values);
    world_release(&c->w);
}

static void prepare(struct coded *c, const float *query)
{
    float *unit = malloc(c->w.dim * sizeof *unit);
    double length = 0;
    for (uint32_t d = 0; d < c->w.dim; d++) length += (double)query[d] * (double)query[d];
    for (uint32_t d = 0; d < c->w.dim; d++) unit[d] = (float)(query[d] / sqrt(length));
    c->query = (struct vafile_query){.values = c->values};
    const float *values = c->w.metric == VDB_METRIC_COSINE ? unit : query;
    vafile_prepare(&c->query, c->file, &c->space, values);
    c->query4.frame = NULL;
    vafile4_prepare(&c->query4, c->coarse, &c->space, values);
    free(unit);
}

/* What the metric orders by. */
static double key_of(const struct world *w, const float *query, uint32_t row)
{
    double x = distance(w, query, w->row + (size_t)row * w->dim);
    return w->metric == VDB_METRIC_L2 ? x * x : x;
}

static bool among(uint32_t row, const uint32_t *rows, uint32_t count)
{
    while (count-- > 0)
        if (rows[count] == row) return true;
    return false;
}

/* Where it is the farthest of the best, but for rounding, it has to be looked at. */
static void expect_let_through(const struct coded *c, const float *query, uint32_t row)
{
    uint32_t rows[VAFILE_BLOCK + 16], begin = row & ~(VAFILE_BLOCK - 1u);
    for (uint32_t i = 0; i < c->outlier_count; i++)
        if (c->outliers[i] == row) return;
    double key = key_of(&c->w, query, row), low = key - 1e-12 * fabs(key) - 1e-15;
    if (c->w.metric == VDB_METRIC_IP)
        low = key - rounding(&c->w, query, c->w.row + (size_t)row * c->w.dim);
    if (c->w.metric == VDB_METRIC_L2 && low < 0) low = 0;
    uint32_t n = vafile_scan(c->file, &c->query, &c->space, begin, VAFILE_BLOCK, low, rows);
    if (!among(row, rows, n))
        fail_msg("metric %d, kind %d, dim %u: row %u at %.17g is ruled out", c->w.metric, c->w.kind,
                 c->w.dim, row, key);
    n = vafile_filter(c->file, &c->query, &c->space, c->coarse->by_row, low, rows, n);
    if (!among(row, rows, n)) fail_msg("row %u is filtered out", row);
    n = vafile4_scan(c->coarse, &c->query4, &c->space, true, begin, VAFILE_BLOCK, low, rows);
    if (!among(row, rows, n))
        fail_msg("metric %d, kind %d, dim %u: row %u at %.17g is ruled out by 4 bits", c->w.metric,
                 c->w.kind, c->w.dim, row, key);
}

/* Few dimensions, in which the errors of row, query and zero point may all point the same way. */
static void no_bound_rules_out_its_own_row(void **state)
{
    (void)state;
    static const enum kind kinds[] = {CLUSTERS, INTEGERS, DRIFT, OUTLIERS, CROWD};
    static const uint32_t dims[] = {1, 2, 5, 33};
    for (size_t i = 0; i < 5 * 4 * 3; i++) {
        struct coded c = {.w = {.metric = (enum vdb_metric)(VDB_METRIC_L2 + (int)(i % 3)),
                                .type = VDB_TYPE_F32,
                                .kind = kinds[i / 12],
                                .dim = dims[i / 3 % 4],
                                .rows = VAFILE_ROWS}};
        code_rows(&c);
        for (uint32_t q = 0; q < QUERIES + 12; q++) {
            const float *query =
                q < QUERIES ? c.w.queries + (size_t)q * c.w.dim : c.w.row + (size_t)q * c.w.dim;
            prepare(&c, query);
            for (uint32_t row = 0; row < c.w.rows; row++) expect_let_through(&c, query, row);
        }
        coded_release(&c);
    }
}

/* Codes rule out most rows, else they were of no use, though one row lies beyond all grids. */
static void bounds_are_tight(void **state)
{
    (void)state;
    for (int m = VDB_METRIC_L2; m <= VDB_METRIC_IP; m++) {
        struct coded c = {.w = {.metric = (enum vdb_metric)m,
                                .type = VDB_TYPE_F32,
                                .kind = STRAY,
                                .dim = 128,
                                .rows = VAFILE_ROWS}};
        double keys[VAFILE_ROWS];
        uint32_t rows[VAFILE_SCAN + 16], left = 0;
        code_rows(&c);
        assert_true(c.outlier_count < 32);
        prepare(&c, c.w.queries);
        for (uint32_t i = 0; i < c.w.rows; i++) keys[i] = key_of(&c.w, c.w.queries, i);
        qsort(keys, c.w.rows, sizeof *keys, ascending);
        for (uint32_t at = 0; at < c.w.rows; at += VAFILE_SCAN)
            left += vafile_scan(c.file, &c.query, &c.space, at, VAFILE_SCAN, keys[9], rows);
        if (left < 10 || left > 60) fail_msg("%u rows are left of %u", left, c.w.rows);
        uint32_t sure =
            vafile4_scan(c.coarse, &c.query4, &c.space, true, 0, c.w.rows, keys[9], rows);
        uint32_t n = vafile4_scan(c.coarse, &c.query4, &c.space, false, 0, c.w.rows, keys[9], rows);
        if (n < 10 || n > sure || n > 110)
            fail_msg("metric %d: 4 bits leave %u, %u for sure", m, n, sure);
        n = vafile_nearest(c.file, &c.query, &c.space, 0, c.w.rows, 20, rows);
        assert_in_range(n, 20, 30);
        for (uint32_t i = 0; i < n; i++) /* among the nearest but for what codes do not tell */
            assert_true(key_of(&c.w, c.w.queries, rows[i]) <= keys[60]);
        coded_release(&c);
    }
}

/* By the tighter bound hardly any row is ruled out that lies where the limit is, though half of
 * them are near the centre, and so off by as much as they are long. */
static void few_are_lost_to_the_tighter_bound(void **state)
{
    (void)state;
    for (int m = VDB_METRIC_L2; m <= VDB_METRIC_IP; m++) {
        struct coded c = {.w = {.metric = (enum vdb_metric)m,
                                .type = VDB_TYPE_F32,
                                .kind = m == VDB_METRIC_L2 ? NESTED : CLUSTERS,
                                .dim = 100,
                                .rows = VAFILE_ROWS}};
        uint32_t rows[VAFILE_BLOCK + 16], lost = 0, asked = 0;
        code_rows(&c);
        for (uint32_t q = 0; q < QUERIES + 30; q++) {
            const float *query =
                q < QUERIES ? c.w.queries + (size_t)q * 100 : c.w.row + (size_t)q * 100;
            prepare(&c, query);
            for (uint32_t row = 0; row < c.w.rows; row++, asked++) {
                double key = key_of(&c.w, query, row), low = key + 1e-9 * fabs(key);
                uint32_t begin = row & ~(VAFILE_BLOCK - 1u);
                uint32_t n = vafile4_scan(c.coarse, &c.query4, &c.space, false, begin, VAFILE_BLOCK,
                                          low, rows);
                lost += !among(row, rows, n);
            }
        }
        if (lost > asked / 5000) fail_msg("metric %d: %u of %u are lost", m, lost, asked);
        coded_release(&c);
    }
}

/* ---- how it is asked ----------------------------------------------------------------------- */

static void sets_and_threads_agree(void **state)
{
    (void)state;
    static struct answer got, want;
    struct world w = {VDB_METRIC_L2, VDB_TYPE_F32, CLUSTERS, 50, 1200, 400, NULL, NULL, NULL};
    world_make(&w);
    struct vdb *made = create(&w);
    put_rows(&w, made, 0, w.rows);
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        struct vdb_error err;
        const struct kernels *kernels;
        if (kernels_select(isas[i], &kernels, &err)) continue;
        struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
        options.isa = isas[i];
        struct vdb *db = store_open_with("t.vdb", options);
        const struct vdb_snapshot *s = store_snapshot(db);
        code_all(&w, s);
        for (uint32_t q = 0; q < QUERIES; q++) {
            ask(s, w.queries + (size_t)q * w.dim, 20, false, &got);
            ask_afresh("portable", w.queries + (size_t)q * w.dim, 20, false, &want);
            expect_same(&got, &want);
        }
        vdb_snapshot_close(s);
        vdb_close(db);
    }
    vdb_close(made);
    world_release(&w);
}

/* A batch of queries codes at once what single ones code by and by. */
static void a_batch_of_queries(void **state)
{
    (void)state;
    enum { K = 10, MANY = 70 };
    static struct vdb_hit hits[MANY * K];
    uint32_t found[MANY];
    struct vdb_error err;
    struct world w = {VDB_METRIC_IP, VDB_TYPE_F32, CLUSTERS, 20, 1900, 950, NULL, NULL, NULL};
    world_make(&w);
    struct vdb *db = create(&w);
    for (uint32_t i = 0; i < w.rows; i += w.batch) put_rows(&w, db, i, w.batch);
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.k = K;
    options.threads = 2;
    must(vdb_search(s, w.row, MANY, &options, hits, found, &err), &err);
    assert_true(rows_coded(s) >= 1888);
    for (uint32_t q = 0; q < MANY; q++)
        expect_nearest(&w, w.row + (size_t)q * w.dim, w.rows, false, K, hits + q * K, found[q]);
    vdb_snapshot_close(s);
    vdb_close(db);
    world_release(&w);
}

/* ---- coarser codes ------------------------------------------------------------------------- */

static uint32_t rows_coarse(const struct vdb_snapshot *s)
{
    uint32_t rows = 0;
    const struct tail_chunk *c = s->generation->codes.first;
    for (; c; c = tail_chunk_next(c)) rows += tail_chunk_coarse(c) ? VAFILE_ROWS : 0;
    return rows;
}

/* Searches that are to be exact are so, by codes of 4 bits too, and others miss next to nothing. */
static void a_long_tail_has_coarser_codes(void **state)
{
    (void)state;
    static const enum kind kinds[] = {CLUSTERS, OUTLIERS, DRIFT};
    static struct answer got, want;
    struct vdb_error err;
    for (int m = VDB_METRIC_L2; m <= VDB_METRIC_IP; m++) {
        struct world w = {.metric = (enum vdb_metric)m,
                          .type = VDB_TYPE_F32,
                          .kind = kinds[m - VDB_METRIC_L2],
                          .dim = 20,
                          .rows = 17500,
                          .batch = 3500};
        world_make(&w);
        struct vdb *db = create(&w);
        for (uint32_t i = 0; i < w.rows; i += w.batch) put_rows(&w, db, i, w.batch);
        const struct vdb_snapshot *s = store_snapshot(db);
        code_all(&w, s);
        assert_true(rows_coarse(s) >= 16384);
        for (uint32_t q = 0; q < QUERIES; q++) {
            const float *query = w.queries + (size_t)q * w.dim;
            ask(s, query, 10, false, &got);
            ask_afresh(NULL, query, 10, false, &want);
            expect_same(&got, &want);
            expect_nearest(&w, query, w.rows, false, 10, got.hits, got.found);
        }
        enum { MANY = 100 };
        static struct vdb_hit hits[MANY * 10];
        uint32_t found[MANY], same = 0;
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        options.threads = 1;
        must(vdb_search(s, w.row, MANY, &options, hits, found, &err), &err);
        for (uint32_t q = 0; q < MANY; q++) {
            ask(s, w.row + (size_t)q * w.dim, 10, false, &got);
            for (uint32_t i = 0; i < 10; i++) same += hits[10 * q + i].row == got.hits[i].row;
        }
        assert_true(same >= 995);
        vdb_snapshot_close(s);
        vdb_close(db);
        world_release(&w);
    }
}

/* ---- generations --------------------------------------------------------------------------- */

static void expect_snapshot(const struct world *w, const struct vdb_snapshot *s)
{
    static struct answer got;
    for (uint32_t q = 0; q < QUERIES; q++) {
        const float *query = w->queries + (size_t)q * w->dim;
        ask(s, query, 10, false, &got);
        expect_nearest(w, query, s->row_count, false, 10, got.hits, got.found);
    }
}

/* Generations of a file share codes; rows that went into a part before they had any leave a gap;
 * and older snapshots see what they saw. */
static void codes_outlive_a_generation(void **state)
{
    (void)state;
    enum { STEPS = 7 };
    struct vdb_error err;
    struct world w = {VDB_METRIC_L2, VDB_TYPE_F32, CLUSTERS, 24,  900 * STEPS,
                      900,           NULL,         NULL,     NULL};
    world_make(&w);
    struct vdb *db = create(&w), *other = store_open("t.vdb");
    const struct vdb_snapshot *s[STEPS];
    for (uint32_t i = 0; i < STEPS; i++) {
        put_rows(&w, other, i * w.batch, w.batch);
        s[i] = store_snapshot(db);
        if (i != 4) code_all(&w, s[i]);
        for (uint32_t j = 0; j <= i; j++) expect_snapshot(&w, s[j]);
        if (i == 2 || i == 5) must(vdb_maintain(other, NULL, &err), &err);
        if (i == 3) vdb_snapshot_close(s[0]), s[0] = store_snapshot(db);
    }
    assert_ptr_not_equal(s[2]->generation, s[3]->generation);
    assert_ptr_not_equal(s[5]->generation, s[6]->generation);
    assert_ptr_equal(s[2]->generation->codes.coder, s[6]->generation->codes.coder);
    for (uint32_t i = 0; i < STEPS; i++) vdb_snapshot_close(s[i]);
    vdb_close(other);
    vdb_close(db);
    world_release(&w);
}

/* Rows of a world in commits of w->batch, as if they lay in a file one behind the other. */
static void tail_of(const struct world *w, struct tail *tail)
{
    struct vdb_error err;
    must(tail_init(tail, &err), &err);
    tail->blocks[0] = calloc(TAIL_BLOCK_FIRST, sizeof *tail->blocks[0]);
    assert_non_null(tail->blocks[0]);
    for (uint32_t i = 0; i < w->rows; i += w->batch) {
        struct log_commit *log = &tail->blocks[0][tail->count++].log;
        assert_true(tail->count <= TAIL_BLOCK_FIRST);
        log->row_base = i;
        log->row_count = w->rows - i < w->batch ? w->rows - i : w->batch;
        log->stride = w->dim * (uint32_t)sizeof(float);
        log->vectors.off = (uint64_t)i * log->stride;
    }
}

/* The chunks are a chain without gaps from `begin`, or a little before, to the end, which is
 * returned; each row's place is its own. */
static uint32_t walk_chain(const struct world *w, const struct tail_codes *codes, uint32_t begin)
{
    uint32_t end = 0;
    for (const struct tail_chunk *c = codes->first; c; c = tail_chunk_next(c)) {
        if (!c->codes) continue;
        assert_true(end ? c->first_row == end : c->first_row <= begin);
        end = c->first_row + vafile_count(c->codes);
        for (uint32_t i = 0; i < end - c->first_row; i++)
            assert_int_equal(c->places[i], (uint64_t)(c->first_row + i) * w->dim * sizeof(float));
    }
    return end;
}

static void a_later_generation_goes_on_with_the_codes(void **state)
{
    (void)state;
    enum { DIM = 10, ROWS = 4000 };
    struct vdb_error err;
    struct world w = {VDB_METRIC_L2, VDB_TYPE_F32, CLUSTERS, DIM, ROWS, 90, NULL, NULL, NULL};
    struct tail tail;
    struct tail_codes older, newer, newest;
    world_make(&w);
    tail_of(&w, &tail);
    struct tail_rows rows = {.tail = &tail,
                             .commits = tail.count,
                             .end = 3000,
                             .file = (const uint8_t *)w.row,
                             .queries = 1,
                             .space = {w.metric, w.type, DIM, NULL}};
    must(kernels_select(NULL, &rows.space.kernels, &err), &err);
    must(tail_codes_init(&older, NULL, 0, &err), &err);
    tail_codes_extend(&older, &rows);
    assert_int_equal(walk_chain(&w, &older, 0), 0); /* who asks once pays nothing */
    tail_codes_extend(&older, &rows);
    assert_int_equal(walk_chain(&w, &older, 0), 256); /* nor all at once, who asks again */
    for (int i = 0; i < 100; i++) tail_codes_extend(&older, &rows);
    assert_int_equal(walk_chain(&w, &older, 0), 2992);
    must(tail_codes_init(&newer, &older, 1500, &err), &err);
    assert_int_equal(newer.first->first_row, 1024);
    rows.begin = 1500;
    rows.end = ROWS;
    rows.queries = 16; /* at once after all */
    tail_codes_extend(&newer, &rows);
    assert_int_equal(walk_chain(&w, &newer, 1500), ROWS);
    tail_codes_release(&older);
    must(tail_codes_init(&newest, &newer, ROWS, &err), &err);
    assert_int_equal(newest.first->first_row, 3072);
    tail_codes_release(&newer);
    assert_int_equal(walk_chain(&w, &newest, ROWS), ROWS);
    tail_codes_release(&newest);
    tail_release(&tail);
    world_release(&w);
}

/* ---- several at once ----------------------------------------------------------------------- */

struct reader {
    const struct world *w;
    struct vdb *db;
    const int *stop;
    uint32_t first;
};

static void *search_on(void *argument)
{
    struct reader *r = argument;
    struct vdb_error err;
    struct answer *got = malloc(sizeof *got);
    const struct vdb_snapshot *s = store_snapshot(r->db);
    for (uint32_t i = r->first; got && !__atomic_load_n(r->stop, __ATOMIC_RELAXED); i++) {
        must(vdb_refresh(r->db, &s, &err), &err);
        const float *query = r->w->queries + (size_t)(i % QUERIES) * r->w->dim;
        ask(s, query, 10, true, got);
        expect_nearest(r->w, query, s->row_count, true, 10, got->hits, got->found);
    }
    vdb_snapshot_close(s);
    free(got);
    return NULL;
}

static void *maintain_on(void *argument)
{
    struct reader *r = argument;
    struct vdb_error err;
    while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) must(vdb_maintain(r->db, NULL, &err), &err);
    return NULL;
}

/* And beside one that maintains, so that generations come whose tails are never empty. */
static void searches_beside_a_writer(void **state)
{
    (void)state;
    enum { READERS = 4 };
    struct world w = {VDB_METRIC_L2, VDB_TYPE_F32, CLUSTERS, 12, 4000, 20, NULL, NULL, NULL};
    int stop = 0;
    world_make(&w);
    struct vdb *db = create(&w);
    put_rows(&w, db, 0, 400);
    struct reader readers[READERS];
    pthread_t threads[READERS];
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){&w, db, &stop, i};
        void *(*work)(void *) = i ? search_on : maintain_on;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &readers[i]), 0);
    }
    for (uint32_t i = 400; i < w.rows; i += w.batch) put_rows(&w, db, i, w.batch);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    vdb_close(db);
    world_release(&w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(answers_are_those_of_the_stored_vectors),
        test(any_dimension_and_any_batch),
        cmocka_unit_test(no_bound_rules_out_its_own_row),
        cmocka_unit_test(bounds_are_tight),
        cmocka_unit_test(few_are_lost_to_the_tighter_bound),
        test(a_long_tail_has_coarser_codes),
        test(sets_and_threads_agree),
        test(a_batch_of_queries),
        test(codes_outlive_a_generation),
        cmocka_unit_test(a_later_generation_goes_on_with_the_codes),
        test(searches_beside_a_writer),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
