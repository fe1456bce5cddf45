/* test_hnsw.c: the levels of an HNSW, what they lead to, and levels that break the rules.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/graph_header.h"
#include "hostile.h"
#include "index/calibrate.h"
#include "index/graph_build.h"
#include "index/hnsw.h"
#include "points.h"

struct built {
    struct graph graph;
    uint32_t *edges, *members, *level_edges, entry;
    size_t lists; /* on all levels above 0 */
};

static void release(struct built *built)
{
    free(built->edges);
    free(built->members);
    free(built->level_edges);
}

static enum vdb_status try_build(struct built *built, const struct points *points,
                                 const struct graph_params *params, const char *name,
                                 struct vdb_error *err)
{
    struct hnsw *hnsw;
    struct graph_levels levels;
    const struct kernels *kernels;
    uint32_t degree = params->degree ? params->degree : 32;
    *built = (struct built){.entry = 0};
    assert_int_equal(kernels_select(name, &kernels, err), VDB_OK);
    enum vdb_status status = hnsw_create(&points->codes, kernels, params, &levels, &hnsw, err);
    if (status != VDB_OK) return status;
    for (uint32_t i = 0; i < levels.count; i++) built->lists += levels.sizes[i];
    built->edges = malloc((size_t)points->rows * degree * sizeof(uint32_t) + 1);
    built->members = malloc((levels.count ? levels.sizes[0] : 0) * sizeof(uint32_t) + 1);
    built->level_edges = malloc(built->lists * levels.degree * sizeof(uint32_t) + 1);
    assert_true(built->edges && built->members && built->level_edges);
    status = hnsw_run(hnsw, built->edges, built->members, built->level_edges, &built->entry,
                      &levels, err);
    hnsw_free(hnsw);
    built->graph = (struct graph){.rows = points->rows,
                                  .degree = degree,
                                  .edges = built->edges,
                                  .pivots = &built->entry,
                                  .pivot_count = points->rows ? 1 : 0,
                                  .levels = levels};
    return status;
}

static void build(struct built *built, const struct points *points,
                  const struct graph_params *params, const char *name)
{
    struct vdb_error err = {.message = ""};
    enum vdb_status status = try_build(built, points, params, name, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, VDB_OK);
}

/* Row i + distinct * n becomes a copy of row i. */
static void duplicate(struct points *points, uint32_t distinct)
{
    for (uint32_t row = distinct; row < points->rows; row++)
        memcpy(points->x + (size_t)row * points->dim,
               points->x + (size_t)(row % distinct) * points->dim, points->dim * sizeof(float));
}

/* ---- what holds for every one -------------------------------------------------------------- */

/* Full lists of different others, and all within reach of `first`. */
static void check_lists(const uint32_t *edges, uint32_t count, uint32_t degree, uint32_t first)
{
    uint32_t full = count - 1 < degree ? count - 1 : degree, reached = 1, depth = 1;
    uint32_t *seen = calloc(count, sizeof *seen), *stack = malloc(count * sizeof *stack);
    uint8_t *there = calloc(count, 1);
    assert_true(seen && stack && there);
    for (uint32_t row = 0; row < count; row++) {
        const uint32_t *list = edges + (size_t)row * degree;
        for (uint32_t i = 0; i < degree; i++) {
            if (i >= full) {
                assert_int_equal(list[i], GRAPH_NO_ROW);
                continue;
            }
            assert_true(list[i] < count && list[i] != row);
            assert_int_not_equal(seen[list[i]], row + 1);
            seen[list[i]] = row + 1;
        }
    }
    there[stack[0] = first] = 1;
    while (depth > 0) {
        const uint32_t *list = edges + (size_t)stack[--depth] * degree;
        for (uint32_t i = 0; i < full; i++) {
            if (there[list[i]]) continue;
            there[list[i]] = 1;
            stack[depth++] = list[i];
            reached++;
        }
    }
    assert_int_equal(reached, count);
    free(seen);
    free(stack);
    free(there);
}

/* Of rows of which those from `distinct` on are copies. */
static void check_levels(const struct built *built, uint32_t distinct)
{
    const struct graph *graph = &built->graph;
    const struct graph_levels *levels = &graph->levels;
    assert_int_equal(levels->degree, graph->degree / 2);
    check_lists(graph->edges, graph->rows, graph->degree, built->entry);
    if (levels->count == 0) return;
    assert_ptr_equal(levels->members, built->members);
    assert_int_equal(built->members[0], built->entry);
    uint8_t *seen = calloc(graph->rows, 1);
    assert_non_null(seen);
    for (uint32_t i = 0; i < levels->sizes[0]; i++) {
        assert_true(built->members[i] < distinct);
        assert_int_equal(seen[built->members[i]]++, 0);
    }
    free(seen);
    const uint32_t *edges = built->level_edges;
    for (uint32_t i = 0; i < levels->count; i++) {
        assert_true(levels->sizes[i] > 0);
        assert_true(i == 0 || levels->sizes[i] <= levels->sizes[i - 1]);
        assert_ptr_equal(levels->edges[i], edges);
        check_lists(edges, levels->sizes[i], levels->degree, 0);
        edges += (size_t)levels->sizes[i] * levels->degree;
    }
}

static void any_number_of_rows(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 5, 9, 17, 64, 300, 1000, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
            struct points points;
            struct built built;
            points_init(&points, counts[i], 12);
            points_cluster(&points, 9, 0.5, counts[i]);
            points_code(&points, (enum vdb_metric)metric, 0);
            build(&built, &points, &(struct graph_params){.degree = 8, .ef_construction = 20},
                  NULL);
            check_levels(&built, counts[i]);
            release(&built);
            points_release(&points);
        }
}

static void no_rows(void **state)
{
    (void)state;
    struct points points;
    struct built built;
    points_init(&points, 0, 4);
    points.codes = (struct codes){.dim = 4, .bytes = 64, .metric = VDB_METRIC_L2};
    build(&built, &points, &(struct graph_params){0}, NULL);
    assert_int_equal(built.graph.levels.count, 0);
    assert_int_equal(built.graph.levels.degree, 16);
    release(&built);
    points_release(&points);
}

/* A member is a row that others are copies of, never a copy. */
static void duplicates_stay_below(void **state)
{
    (void)state;
    static const uint32_t distinct[] = {1, 2, 40, 1500};
    for (size_t i = 0; i < sizeof distinct / sizeof *distinct; i++)
        for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
            struct points points;
            struct built built;
            points_init(&points, 3000, 8);
            points_cluster(&points, 20, 0.5, 3);
            duplicate(&points, distinct[i]);
            points_code(&points, (enum vdb_metric)metric, 0);
            build(&built, &points, &(struct graph_params){.degree = 16}, NULL);
            check_levels(&built, distinct[i]);
            release(&built);
            points_release(&points);
        }
}

/* A row is on level l with a probability of M^-l: the number of rows there is binomial, and within
 * five standard deviations. */
static void levels_are_geometric(void **state)
{
    (void)state;
    enum { ROWS = 200000 };
    uint32_t *order = malloc(ROWS * sizeof *order), *same = malloc(ROWS * sizeof *same);
    assert_true(order && same);
    for (uint32_t m = 4; m <= 128; m *= 2) {
        uint32_t sizes[GRAPH_LEVELS_MAX];
        for (uint32_t i = 0; i < ROWS; i++) same[i] = i;
        assert_int_equal(graph_order(same, ROWS, order), ROWS);
        uint32_t count = graph_order_levels(order, ROWS, m, sizes);
        assert_true(count >= 2);
        double share = 1;
        for (uint32_t i = 0; i < count; i++) {
            share /= m;
            double mean = ROWS * share, deviation = sqrt(mean * (1 - share));
            assert_true(fabs(sizes[i] - mean) < 5 * deviation + 1);
        }
        memset(same, 0, ROWS * sizeof *same);
        for (uint32_t i = 0; i < ROWS; i++) same[order[i]]++;
        for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(same[i], 1);
    }
    free(order);
    free(same);
}

static void prepare(struct walk *walk, const struct points *points, const struct kernels *kernels,
                    const float *query)
{
    assert_int_equal(walk_prepare(walk, &points->codes, kernels, query, NULL), VDB_OK);
}

/* ---- the way down -------------------------------------------------------------------------- */

static uint32_t nearest_by_codes(const struct points *points, const uint32_t *rows, uint32_t count,
                                 uint32_t to)
{
    const uint8_t *q = points->codes.code + to * points->codes.code_stride;
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *c = points->codes.code + rows[i] * points->codes.code_stride;
        uint64_t sum = 0;
        for (uint32_t j = 0; j < points->dim; j++) sum += (uint64_t)((c[j] - q[j]) * (c[j] - q[j]));
        if ((sum << 32 | rows[i]) < best) best = sum << 32 | rows[i];
    }
    return (uint32_t)best;
}

/* Levels without edges below: what a walk brings back is where they led, and the pivot. */
static void walks_enter_where_the_levels_lead(void **state)
{
    (void)state;
    enum { ROWS = 400, MEMBERS = 12, TOP = 3, DEGREE = 12 };
    struct points points;
    points_init(&points, ROWS, 20);
    points_cluster(&points, 40, 0.5, 4);
    points_code(&points, VDB_METRIC_L2, 0);
    uint32_t none[ROWS * 4], members[MEMBERS], whole[MEMBERS * DEGREE], top[TOP * DEGREE];
    memset(none, 0xff, sizeof none);
    memset(whole, 0xff, sizeof whole);
    memset(top, 0xff, sizeof top);
    for (uint32_t i = 0; i < MEMBERS; i++) { /* each has all others */
        members[i] = (i * 37 + 5) % ROWS;
        for (uint32_t j = 0, n = 0; j < MEMBERS; j++)
            if (j != i) whole[i * DEGREE + n++] = j;
    }
    for (uint32_t i = 0; i + 1 < TOP; i++) top[i * DEGREE] = i + 1; /* a path */
    uint32_t pivot = members[0];
    struct graph graph = {.rows = ROWS,
                          .degree = 4,
                          .edges = none,
                          .pivots = &pivot,
                          .pivot_count = 1,
                          .levels = {.count = 2,
                                     .degree = DEGREE,
                                     .members = members,
                                     .sizes = {MEMBERS, TOP},
                                     .edges = {whole, top}}};
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    struct walk *walk = walk_create();
    for (uint32_t row = 0; row < ROWS; row++) {
        const struct candidate *found;
        uint32_t count, want = nearest_by_codes(&points, members, MEMBERS, row);
        prepare(walk, &points, kernels, points.x + row * points.dim);
        assert_int_equal(walk_graph(walk, &graph, 10, 10, &found, &count, NULL), VDB_OK);
        assert_int_equal(found[0].row, want);
        assert_int_equal(count, want == pivot ? 1 : 2);
        assert_true(count == 1 || found[1].row == pivot);
    }
    walk_free(walk);
    points_release(&points);
}

/* Of the ten nearest, those among the `taken` first candidates. */
static double recall_of(const struct points *points, const struct graph *graph, uint32_t ef,
                        uint32_t taken)
{
    enum { QUERIES = 300, K = 10 };
    const struct kernels *kernels;
    assert_int_equal(kernels_select(NULL, &kernels, NULL), VDB_OK);
    struct walk *walk = walk_create();
    float *query = malloc(points->dim * sizeof *query);
    uint32_t hits = 0, near[K], count;
    for (uint32_t q = 0; q < QUERIES; q++) {
        const struct candidate *found;
        points_query(points, 40, 0.5, 6, q, query);
        points_nearest(points, query, K, near);
        prepare(walk, points, kernels, query);
        assert_int_equal(walk_graph(walk, graph, ef, ef > K ? ef : K, &found, &count, NULL),
                         VDB_OK);
        for (uint32_t i = 0; i < count && i < taken; i++)
            for (uint32_t j = 0; j < K; j++) hits += found[i].row == near[j];
    }
    free(query);
    walk_free(walk);
    return (double)hits / (QUERIES * K);
}

/* At the same degree and effort an HNSW finds what the graph does, give or take. */
static void finds_as_much_as_the_graph(void **state)
{
    (void)state;
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_IP};
    for (size_t i = 0; i < 2; i++) {
        struct points points;
        struct built built;
        points_init(&points, 10000, 32);
        points_cluster(&points, 40, 0.5, 6);
        points_code(&points, metrics[i], 0);
        points_build(&points, &(struct graph_params){.degree = 32}, NULL);
        build(&built, &points, &(struct graph_params){.degree = 32}, NULL);
        for (uint32_t ef = 10; ef <= 80; ef *= 2) {
            double graph = recall_of(&points, &points.graph, ef, 10);
            double hnsw = recall_of(&points, &built.graph, ef, 10);
            if (hnsw < graph - 0.02 || (ef == 80 && hnsw < 0.9))
                fail_msg("metric %d, ef %u: %.4f, graph %.4f", (int)metrics[i], ef, hnsw, graph);
        }
        release(&built);
        points_release(&points);
    }
}

static enum vdb_status row_of(void *context, uint32_t row, float *x)
{
    const struct points *points = context;
    memcpy(x, points->x + (size_t)row * points->dim, points->dim * sizeof *x);
    return VDB_OK;
}

static uint32_t as_kept(uint32_t k, uint32_t ef)
{
    return k > ef ? k : ef;
}

/* Queries are rows that are put out of the way, and levels lead to none of them: what is measured
 * with them is what others see. A quarter of these rows are members. */
static void calibration_is_that_of_other_queries(void **state)
{
    (void)state;
    struct points points;
    struct built built;
    struct calibration c;
    points_init(&points, 8000, 32);
    points_cluster(&points, 40, 0.5, 6);
    points_code(&points, VDB_METRIC_L2, 0);
    build(&built, &points, &(struct graph_params){.degree = 8}, NULL);
    struct quality_rows rows = {.rows = points.rows,
                                .dim = points.dim,
                                .metric = VDB_METRIC_L2,
                                .row_fn = row_of,
                                .context = &points};
    assert_int_equal(kernels_select(NULL, &rows.kernels, NULL), VDB_OK);
    struct calibrator *calibrator;
    assert_int_equal(calibrate_open(&rows, &points.codes, &points.codes, &built.graph, built.edges,
                                    1100, false, &calibrator, NULL),
                     VDB_OK);
    assert_int_equal(
        calibrate_walks(calibrator, &points.codes, &built.graph, as_kept, CALIBRATE_FULL, &c, NULL),
        VDB_OK);
    calibrate_close(calibrator);
    check_levels(&built, points.rows);
    const struct calibration_curve *curve = &c.curves[1];
    assert_int_equal(curve->k, 10);
    unsigned compared = 0;
    for (uint32_t i = 0; i < curve->point_count; i++) {
        double said = curve->points[i].recall * 1e-6;
        uint32_t ef = curve->points[i].effort;
        double seen = recall_of(&points, &built.graph, ef, as_kept(10, ef));
        double deviation = sqrt(seen * (1 - seen) / 300) + curve->points[i].error * 1e-6;
        if (fabs(said - seen) > 0.01 + 2 * deviation)
            fail_msg("ef %u: said %.4f, seen %.4f", curve->points[i].effort, said, seen);
        compared++;
    }
    assert_true(compared >= 4);
    release(&built);
    points_release(&points);
}

/* ---- determinism --------------------------------------------------------------------------- */

static void same_levels_however_built(void **state)
{
    (void)state;
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    static const unsigned threads[] = {1, 2, 5};
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
        struct points points;
        struct built first, again;
        points_init(&points, 3000, 40);
        points_cluster(&points, 30, 0.5, 17);
        duplicate(&points, 2500);
        points_code(&points, (enum vdb_metric)metric, 0);
        struct graph_params params = {.degree = 8, .threads = 1};
        build(&first, &points, &params, "portable");
        size_t level_edges = first.lists * 4 * sizeof(uint32_t);
        for (size_t i = 0; i < 9; i++) {
            const struct kernels *kernels;
            if (kernels_select(sets[i / 3], &kernels, NULL) != VDB_OK) continue;
            params.threads = threads[i % 3];
            build(&again, &points, &params, sets[i / 3]);
            assert_int_equal(again.lists, first.lists);
            assert_memory_equal(again.edges, first.edges, 3000 * 8 * sizeof(uint32_t));
            assert_memory_equal(again.level_edges, first.level_edges, level_edges);
            assert_memory_equal(again.members, first.members,
                                first.graph.levels.sizes[0] * sizeof(uint32_t));
            release(&again);
        }
        release(&first);
        points_release(&points);
    }
}

/* ---- parameters and progress --------------------------------------------------------------- */

static void refuses_bad_parameters(void **state)
{
    (void)state;
    static const struct graph_params bad[] = {{.degree = 6},          {.degree = 9},
                                              {.degree = 258},        {.degree = 1},
                                              {.ef_construction = 7}, {.alpha_milli = 999}};
    struct points points;
    points_init(&points, 10, 4);
    points_cluster(&points, 2, 0.5, 1);
    points_code(&points, VDB_METRIC_L2, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vdb_error err = {.status = VDB_OK};
        struct built built;
        assert_int_equal(try_build(&built, &points, &bad[i], NULL, &err), VDB_INVALID);
        assert_true(err.message[0] != '\0');
    }
    points_release(&points);
}

struct progress {
    uint64_t done, total;
    unsigned calls, stop_at;
    int faults;
};

static int on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    if (strcmp(phase, "build graph") != 0 || done <= progress->done || done > total ||
        (progress->calls && total != progress->total))
        progress->faults++;
    progress->done = done;
    progress->total = total;
    return ++progress->calls == progress->stop_at;
}

/* One count over all levels; a build can be ended on any of them. */
static void progress_tells_and_stops(void **state)
{
    (void)state;
    struct points points;
    struct built built;
    struct vdb_error err;
    points_init(&points, 3000, 4);
    points_cluster(&points, 10, 0.5, 2);
    points_code(&points, VDB_METRIC_L2, 0);
    struct progress progress = {.calls = 0};
    struct graph_params params = {.degree = 8, .progress = on_progress, .context = &progress};
    build(&built, &points, &params, NULL);
    assert_int_equal(progress.faults, 0);
    assert_int_equal(progress.done, 3000 + built.lists);
    release(&built);
    unsigned calls = progress.calls;
    for (unsigned stop = 1; stop < calls; stop += 7) {
        progress = (struct progress){.stop_at = stop};
        assert_int_equal(try_build(&built, &points, &params, NULL, &err), VDB_CANCELLED);
        assert_int_equal(progress.calls, stop);
        release(&built);
    }
    points_release(&points);
}

/* ---- hostile levels ------------------------------------------------------------------------ */

static struct graph view_of(const struct graph_header *h, const uint8_t *p)
{
    struct graph graph = {.rows = h->rows,
                          .degree = h->degree,
                          .edges = (const uint32_t *)(const void *)(p + h->edges_off),
                          .pivots = (const uint32_t *)(const void *)(p + h->pivots_off),
                          .pivot_count = h->pivot_count,
                          .levels = {.degree = h->level_degree}};
    if (h->level_count < 2) return graph;
    graph.levels.count = h->level_count - 1;
    graph.levels.members = (const uint32_t *)(const void *)(p + h->members_off);
    for (uint32_t i = 0; i < graph.levels.count; i++) {
        graph.levels.sizes[i] = h->level_sizes[i];
        graph.levels.edges[i] =
            (const uint32_t *)(const void *)(p + graph_header_level_off(h, i + 1));
    }
    return graph;
}

struct hostile {
    const struct points *points;
    const struct kernels *kernels;
    struct walk *walk;
    unsigned walked, refused, invalid;
};

/* What the header lets through is walked, whatever its arrays hold. */
static void walk_damaged(const uint8_t *p, size_t len, void *context)
{
    struct hostile *hostile = context;
    const struct points *points = hostile->points;
    struct graph_header header;
    struct vdb_error err;
    if (graph_header_decode(p, len, points->rows, 0, &header, &err) != VDB_OK) {
        hostile->refused++;
        return;
    }
    hostile->invalid += graph_header_validate(&header, p, 0, &err) != VDB_OK;
    uint8_t *aligned = aligned_alloc(64, (len + 63) / 64 * 64);
    assert_non_null(aligned);
    memcpy(aligned, p, len);
    struct graph graph = view_of(&header, aligned);
    for (uint32_t row = 0; row < points->rows; row += 61) {
        const struct candidate *found;
        uint32_t count;
        prepare(hostile->walk, points, hostile->kernels, points->x + row * points->dim);
        assert_int_equal(walk_graph(hostile->walk, &graph, 10, 10, &found, &count, &err), VDB_OK);
        for (uint32_t i = 0; i < count; i++) assert_true(found[i].row < points->rows);
    }
    hostile->walked++;
    free(aligned);
}

static void hostile_levels_are_refused_or_walked(void **state)
{
    (void)state;
    enum { ROWS = 200, DEGREE = 8 };
    struct points points;
    struct built built;
    points_init(&points, ROWS, 8);
    points_cluster(&points, 10, 0.5, 8);
    points_code(&points, VDB_METRIC_L2, 0);
    build(&built, &points, &(struct graph_params){.degree = DEGREE, .ef_construction = 20}, NULL);
    const struct graph_levels *levels = &built.graph.levels;
    assert_true(levels->count >= 2);
    struct graph_header header = {.rows = ROWS,
                                  .degree = DEGREE,
                                  .pivot_count = 1,
                                  .level_count = levels->count + 1,
                                  .level_degree = levels->degree};
    memcpy(header.level_sizes, levels->sizes, sizeof header.level_sizes);
    size_t len = graph_header_layout(&header);
    uint8_t *bytes = aligned_alloc(64, (len + 63) / 64 * 64);
    assert_non_null(bytes);
    memset(bytes, 0, len);
    struct disk_graph_header disk;
    graph_header_encode(&header, &disk);
    memcpy(bytes, &disk, sizeof disk);
    graph_header_put_sizes(&header, bytes);
    memcpy(bytes + header.pivots_off, &built.entry, 4);
    memcpy(bytes + header.members_off, built.members, levels->sizes[0] * 4);
    memcpy(bytes + header.level_edges_off, built.level_edges, built.lists * levels->degree * 4);
    memcpy(bytes + header.edges_off, built.edges, (size_t)ROWS * DEGREE * 4);

    struct hostile hostile = {.points = &points, .walk = walk_create()};
    assert_int_equal(kernels_select(NULL, &hostile.kernels, NULL), VDB_OK);
    walk_damaged(bytes, len, &hostile);
    assert_int_equal(hostile.walked, 1);
    assert_int_equal(hostile.invalid, 0);
    hostile_flips(bytes, len, 4000, walk_damaged, &hostile);
    hostile_flips(bytes, header.edges_off, 4000, walk_damaged, &hostile); /* none has its edges */
    memset(bytes + header.level_edges_off, 0xfe, built.lists * levels->degree * 4);
    walk_damaged(bytes, len, &hostile);
    memset(bytes + header.members_off, 0xfd, levels->sizes[0] * 4);
    walk_damaged(bytes, len, &hostile);
    assert_true(hostile.walked > 500 && hostile.refused > 500 && hostile.invalid > 500);
    walk_free(hostile.walk);
    free(bytes);
    release(&built);
    points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_rows),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(duplicates_stay_below),
        cmocka_unit_test(levels_are_geometric),
        cmocka_unit_test(walks_enter_where_the_levels_lead),
        cmocka_unit_test(finds_as_much_as_the_graph),
        cmocka_unit_test(calibration_is_that_of_other_queries),
        cmocka_unit_test(same_levels_however_built),
        cmocka_unit_test(refuses_bad_parameters),
        cmocka_unit_test(progress_tells_and_stops),
        cmocka_unit_test(hostile_levels_are_refused_or_walked),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
