/* test_by_vectors.c: graphs that are built on the stored vectors: rows in places that are dense and
 * far apart, where one grid of 8 bits gives most rows of a place the same code.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/beam.h"
#include "index/graph_build.h"
#include "index/space.h"
#include "points.h"
#include "state/generation.h"
#include "state/snapshot.h"
#include "store_fixture.h"
#include "vector/vtype.h"

enum { DIM = 3, ROWS = 6000, PLACES = 60, FEW = 3 };

/* Degrees on a globe, and some hundredths of one about each place. */
static void places(struct points *points, uint32_t rows, uint32_t count, uint64_t seed)
{
    points_init(points, rows, DIM);
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t place = row % count + 1, own = seed * 1000003 + row;
        for (uint32_t i = 0; i < DIM; i++)
            points->x[(size_t)row * DIM + i] =
                (float)(340 * random_unit(&place) - 170 + 0.05 * random_normal(&own));
    }
}

static void dense_places(struct points *points, uint32_t rows, uint64_t seed)
{
    places(points, rows, PLACES, seed);
}

/* The rows as they are stored, and as codes to build on. */
static struct codes stored(const struct points *points, enum vdb_type type, enum vdb_metric metric,
                           uint8_t **memory)
{
    size_t stride = vtype_stride(type, points->dim);
    *memory = calloc(points->rows, stride);
    assert_non_null(*memory);
    for (uint32_t row = 0; row < points->rows; row++)
        assert_int_equal(vtype_store(type, points->x + (size_t)row * points->dim,
                                     *memory + row * stride, points->dim),
                         points->dim);
    return (struct codes){.kind = CODES_VECTORS,
                          .metric = metric,
                          .rows = points->rows,
                          .dim = points->dim,
                          .code = *memory,
                          .code_stride = stride,
                          .bytes = stride,
                          .type = type};
}

/* ---- distances ----------------------------------------------------------------------------- */

static double expected(const float *a, const float *b, uint32_t dim, enum vdb_metric metric)
{
    double squares = 0, dot = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < dim; i++) {
        squares += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return metric == VDB_METRIC_L2 ? squares : 2 - 2 * dot / sqrt(aa * bb);
}

static void rows_by_rows(void **state)
{
    (void)state;
    static const enum vdb_type types[] = {VDB_TYPE_F32, VDB_TYPE_F16, VDB_TYPE_I8, VDB_TYPE_U8};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_COSINE; metric++) {
            struct points points;
            uint8_t *memory;
            uint64_t seed = 5;
            points_init(&points, 12, 21);
            for (uint32_t i = 0; i < 12 * 21; i++)
                points.x[i] = (float)(1 + random_next(&seed) % 100);
            struct codes codes = stored(&points, types[t], (enum vdb_metric)metric, &memory);
            struct space space;
            space_init(&space, &codes, kernels_best(), space_of_rows(&codes));
            assert_int_equal(space.kind, SPACE_VECTORS);
            struct probe probe = {.query = aligned_alloc(64, space_probe_bytes(&codes))};
            assert_non_null(probe.query);
            for (uint32_t row = 0; row < 12; row++) {
                uint32_t rows[12], distances[12 + 3];
                for (uint32_t i = 0; i < 12; i++) rows[i] = i;
                space_probe_row(&space, row, &probe);
                space_measure(&space, &probe, rows, 12, distances);
                for (uint32_t i = 0; i < 12; i++) {
                    double want = expected(points.x + row * 21, points.x + i * 21, 21,
                                           (enum vdb_metric)metric);
                    assert_true(fabs(space_distance(&space, distances[i]) - want) <=
                                1e-6 * (1 + want));
                }
            }
            free(probe.query);
            free(memory);
            points_release(&points);
        }
}

/* Rounded to floats, the length of a row is not quite 1. */
static void cosine_of_a_row_and_itself(void **state)
{
    (void)state;
    struct points points;
    uint8_t *memory;
    dense_places(&points, 500, 3);
    struct codes codes = stored(&points, VDB_TYPE_F32, VDB_METRIC_COSINE, &memory);
    struct space space;
    space_init(&space, &codes, kernels_best(), SPACE_VECTORS);
    struct probe probe = {.query = aligned_alloc(64, space_probe_bytes(&codes))};
    assert_non_null(probe.query);
    for (uint32_t row = 0; row < 500; row++) {
        uint32_t distances[1 + 3];
        space_probe_row(&space, row, &probe);
        space_measure(&space, &probe, &row, 1, distances);
        assert_true(fabs(space_distance(&space, distances[0])) < 1e-14);
    }
    free(probe.query);
    free(memory);
    points_release(&points);
}

/* The integers of floats only order as these do. */
static void alpha_times_a_distance(void **state)
{
    (void)state;
    struct space space = {.kind = SPACE_VECTORS};
    uint32_t one = space_order(1.0f), more = space_order(1.22f), much = space_order(1.2f);
    assert_true(space_is_less(&space, 1100 * 1100, one, more));  /* 1.21 < 1.22 */
    assert_false(space_is_less(&space, 1100 * 1100, one, much)); /* not < 1.2 */
    space.kind = SPACE_L2;
    assert_true(space_is_less(&space, 1100 * 1100, 100, 122));
    assert_false(space_is_less(&space, 1100 * 1100, 100, 121));
    assert_false(space_is_less(&space, 1100 * 1100, 100, 120));
}

static void equal_vectors(void **state)
{
    (void)state;
    struct points points;
    uint8_t *memory;
    uint32_t representative[40];
    points_init(&points, 40, 5);
    for (uint32_t row = 0; row < 40; row++)
        for (uint32_t i = 0; i < 5; i++)
            points.x[row * 5 + i] = (float)(row % 7) + 0.25f * (float)i;
    points.x[39 * 5 + 4] += 1e-6f; /* which no code would tell */
    struct codes codes = stored(&points, VDB_TYPE_F32, VDB_METRIC_L2, &memory);
    assert_int_equal(duplicates_find(&codes, representative, NULL), VDB_OK);
    for (uint32_t row = 0; row < 39; row++) assert_int_equal(representative[row], row % 7);
    assert_int_equal(representative[39], 39);
    free(memory);
    points_release(&points);
}

/* ---- graphs -------------------------------------------------------------------------------- */

static double recall_of(const struct points *points, const struct codes *codes,
                        const struct graph *graph)
{
    enum { K = 10, QUERIES = 100 };
    struct points queries;
    uint32_t found = 0;
    struct walk *walk = walk_create();
    dense_places(&queries, QUERIES, 9);
    for (uint32_t q = 0; q < QUERIES; q++) {
        const float *query = queries.x + (size_t)q * DIM;
        const struct candidate *candidates;
        uint32_t count, nearest[K];
        points_nearest(points, query, K, nearest);
        assert_int_equal(walk_prepare(walk, codes, kernels_best(), query, NULL), VDB_OK);
        assert_int_equal(walk_graph_for(walk, graph, K, 2 * K, K, NULL, &candidates, &count, NULL),
                         VDB_OK);
        for (uint32_t i = 0; i < K; i++)
            for (uint32_t j = 0; j < count && j < K; j++) found += candidates[j].row == nearest[i];
    }
    walk_free(walk);
    points_release(&queries);
    return (double)found / (K * QUERIES);
}

static void what_walks_find_in_dense_places(void **state)
{
    (void)state;
    struct points points;
    uint8_t *memory;
    struct graph_params params = {.threads = 2};
    dense_places(&points, ROWS, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    points_build(&points, &params, NULL);
    assert_true(recall_of(&points, &points.codes, &points.graph) < 0.3);
    struct codes codes = stored(&points, VDB_TYPE_F32, VDB_METRIC_L2, &memory);
    params = (struct graph_params){.threads = 2};
    assert_int_equal(
        graph_build(&codes, kernels_best(), &params, points.edges, points.pivots, NULL), VDB_OK);
    struct graph graph = points.graph;
    graph.pivot_codes = graph.pivot_norms = NULL;
    assert_true(recall_of(&points, &codes, &graph) > 0.97);
    free(memory);
    points_release(&points);
}

static void inner_products_are_built_on_codes(void **state)
{
    (void)state;
    struct points points;
    uint8_t *memory;
    struct graph_params params = {.threads = 1};
    uint32_t edges[40 * 64], pivots[40];
    dense_places(&points, 40, 1);
    struct codes codes = stored(&points, VDB_TYPE_F32, VDB_METRIC_IP, &memory);
    assert_int_equal(graph_build(&codes, kernels_best(), &params, edges, pivots, NULL),
                     VDB_INVALID);
    free(memory);
    points_release(&points);
}

/* ---- parts --------------------------------------------------------------------------------- */

static void add(struct vdb *db, const struct points *points, uint32_t begin, uint32_t end)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = begin; row < end; row++) {
        char id[16];
        snprintf(id, sizeof id, "%u", row);
        store_put(txn, id, points->x + (size_t)row * DIM, NULL);
    }
    store_commit(txn);
}

static void maintain(struct vdb *db, unsigned threads)
{
    struct vdb_error err;
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    options.threads = threads;
    options.merge_percent = 1;
    must(vdb_maintain(db, &options, &err), &err);
}

static double search_recall(struct vdb *db, const struct points *points)
{
    enum { K = 10, QUERIES = 200 };
    struct points queries;
    struct vdb_error err;
    uint32_t found = 0, count;
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_searcher *searcher;
    options.k = K;
    options.recall = 0.95;
    must(vdb_searcher_open(s, &options, &searcher, &err), &err);
    dense_places(&queries, QUERIES, 9);
    for (uint32_t q = 0; q < QUERIES; q++) {
        const float *query = queries.x + (size_t)q * DIM;
        struct vdb_hit hits[K];
        uint32_t nearest[K];
        points_nearest(points, query, K, nearest);
        must(vdb_searcher_search(searcher, query, hits, &count, &err), &err);
        for (uint32_t i = 0; i < K; i++)
            for (uint32_t j = 0; j < count; j++) found += hits[j].row == nearest[i];
    }
    vdb_searcher_close(searcher);
    vdb_snapshot_close(s);
    points_release(&queries);
    return (double)found / (K * QUERIES);
}

static const struct part *last_part(const struct vdb_snapshot *s)
{
    return &s->generation->parts[s->generation->manifest.part_count - 1];
}

static void an_index_of_dense_places(void **state)
{
    (void)state;
    struct points points;
    struct vdb_error first;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_AUTO;
    dense_places(&points, ROWS, 1);
    struct vdb *db = store_create("x.vdb", options), *other = store_create("y.vdb", options);
    add(db, &points, 0, ROWS * 3 / 4);
    add(other, &points, 0, ROWS * 3 / 4);
    maintain(db, 1);
    maintain(other, 3);
    const struct vdb_snapshot *a = store_snapshot(db), *b = store_snapshot(other);
    const struct graph *one = &last_part(a)->graph, *two = &last_part(b)->graph;
    assert_int_equal(last_part(a)->entry->kind, DISK_PART_GRAPH);
    assert_int_equal(last_part(a)->codes.kind, CODES_VECTORS);
    assert_true(one->grid_scale == 0);
    assert_int_equal(one->degree, two->degree);
    assert_memory_equal(one->edges, two->edges, (size_t)one->rows * one->degree * 4);
    vdb_snapshot_close(a);
    vdb_snapshot_close(b);
    /* A merge has nothing to go on from: it builds all of it anew. */
    add(db, &points, ROWS * 3 / 4, ROWS);
    maintain(db, 2);
    a = store_snapshot(db);
    assert_int_equal(a->generation->manifest.part_count, 1);
    assert_int_equal(last_part(a)->codes.kind, CODES_VECTORS);
    assert_int_equal(last_part(a)->graph.built_rows, ROWS);
    vdb_snapshot_close(a);
    assert_true(search_recall(db, &points) > 0.93);
    vdb_close(other);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, &first), 0);
    points_release(&points);
}

static void codes_by_name_stay(void **state)
{
    (void)state;
    static const enum vdb_codes codes[] = {VDB_CODES_I8, VDB_CODES_I4, VDB_CODES_AUTO};
    static const enum vdb_index_kind kinds[] = {VDB_INDEX_GRAPH, VDB_INDEX_GRAPH, VDB_INDEX_HNSW};
    static const enum vdb_codes expected_codes[] = {VDB_CODES_I8, VDB_CODES_I4, VDB_CODES_I8};
    struct points points;
    dense_places(&points, ROWS / 2, 1);
    for (int i = 0; i < 3; i++) {
        struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
        struct vdb_part_info part;
        options.dim = DIM;
        options.index = kinds[i];
        options.codes = codes[i];
        struct vdb *db = store_create("x.vdb", options);
        add(db, &points, 0, ROWS / 2);
        maintain(db, 2);
        const struct vdb_snapshot *s = store_snapshot(db);
        assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
        assert_int_equal(part.kind, kinds[i]);
        assert_int_equal(part.codes, expected_codes[i]);
        vdb_snapshot_close(s);
        vdb_close(db);
        assert_int_equal(store_check("x.vdb", 1, NULL), 0);
        assert_int_equal(remove(store_path("x.vdb")), 0);
    }
    points_release(&points);
}

/* Lists by name are there for searches with an effort; a recall that none comes to is kept by
 * comparing all rows, in two parts of one search as well. */
static void lists_that_fall_short(void **state)
{
    (void)state;
    struct points points;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_maintain_options maintain_options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_hit hits[10];
    options.dim = DIM;
    options.index = VDB_INDEX_IVF;
    places(&points, ROWS, FEW, 1);
    struct vdb *db = store_create("x.vdb", options);
    for (uint32_t i = 0; i < 2; i++) {
        add(db, &points, i ? ROWS * 3 / 5 : 0, i ? ROWS : ROWS * 3 / 5);
        must(vdb_maintain(db, &maintain_options, &err), &err);
    }
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 2);
    for (uint32_t part = 0; part < 2; part++) {
        uint32_t effort = 9;
        assert_int_equal(s->generation->parts[part].entry->kind, DISK_PART_IVF);
        assert_int_equal(vdb_part_effort(s, part, 10, 0.95, &effort), VDB_OK);
        assert_int_equal(effort, 0);
        assert_int_equal(vdb_part_effort(s, part, 10, 0.01, &effort), VDB_OK);
        assert_int_not_equal(effort, 0);
    }
    assert_true(search_recall(db, &points) >= 1);
    struct vdb_search_options search = VDB_SEARCH_OPTIONS_INIT;
    uint32_t found;
    search.ef = 5;
    search.threads = 2;
    must(vdb_search(s, points.x, 1, &search, hits, &found, &err), &err);
    assert_int_equal(found, 10);
    vdb_snapshot_close(s);
    vdb_close(db);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_by_rows),
        cmocka_unit_test(cosine_of_a_row_and_itself),
        cmocka_unit_test(alpha_times_a_distance),
        cmocka_unit_test(equal_vectors),
        cmocka_unit_test(what_walks_find_in_dense_places),
        cmocka_unit_test(inner_products_are_built_on_codes),
        cmocka_unit_test_setup_teardown(codes_by_name_stay, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(lists_that_fall_short, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(an_index_of_dense_places, store_setup, store_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
