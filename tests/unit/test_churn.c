/* test_churn.c: search in parts of which a state sees only some rows, and merges of parts.
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

#include "db/db.h"
#include "points.h"
#include "search/searcher.h"
#include "slow.h"
#include "store_fixture.h"

enum { QUERIES = SLOW ? 400 : 1000, MERGES = SLOW ? 5 : 20 };
enum { DIM = 16, CLUSTERS = 20, ROWS = 5000, K = 10, PROMISED = 600 };

static struct points rows;

static int setup(void **state)
{
    points_init(&rows, ROWS, DIM);
    points_cluster(&rows, CLUSTERS, 0.5, 3);
    return store_setup(state);
}

static int teardown(void **state)
{
    points_release(&rows);
    return store_teardown(state);
}

static struct vdb *create(const char *name, enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = index;
    return store_create(name, options);
}

static void put(struct vdb_txn *txn, uint32_t row)
{
    char id[16];
    snprintf(id, sizeof id, "r%u", row);
    store_put(txn, id, rows.x + (size_t)row * DIM, NULL);
}

static void put_range(struct vdb *db, uint32_t begin, uint32_t end)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = begin; row < end; row++) put(txn, row);
    store_commit(txn);
}

static void delete (struct vdb_txn *txn, uint32_t row)
{
    struct vdb_error err;
    char id[16];
    snprintf(id, sizeof id, "r%u", row);
    must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
}

static void merge(struct vdb *db, unsigned percent)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    options.merge_percent = percent;
    must(vdb_maintain(db, &options, &err), &err);
}

/* ---- search -------------------------------------------------------------------------------- */

static float queries[QUERIES * DIM];

/* How far off the K-th nearest row of each query is, of those that the state sees. */
static void find_reach(const struct vdb_snapshot *s, double *reach)
{
    static struct vdb_hit hits[QUERIES * K];
    static uint32_t found[QUERIES];
    struct vdb_search_options exact = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    exact.exact = 1;
    for (uint32_t q = 0; q < QUERIES; q++)
        points_query(&rows, CLUSTERS, 0.5, 3, q, queries + q * DIM);
    must(vdb_search(s, queries, QUERIES, &exact, hits, found, &err), &err);
    for (uint32_t q = 0; q < QUERIES; q++) {
        assert_int_equal(found[q], K);
        reach[q] = hits[q * K + K - 1].distance;
    }
}

struct searched {
    uint32_t hits[QUERIES]; /* of K each */
    uint64_t measured;      /* by walks, a query */
};

static void search(const struct vdb_snapshot *s, uint32_t ef, const double *reach,
                   struct searched *to)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct searcher searcher;
    struct vdb_error err;
    options.ef = ef;
    must(searcher_init(&searcher, s, &options, 1, &err), &err);
    for (uint32_t q = 0; q < QUERIES; q++) {
        must(query_begin(&searcher.queries[0], s, queries + q * DIM, q, &err), &err);
        const struct generation *g = s->generation;
        for (uint32_t i = 0; i < g->manifest.part_count; i++)
            must(searcher_part(&searcher, &g->parts[i], searcher.queries, 1, &err), &err);
        const struct topk *top = &searcher.queries[0].top;
        to->hits[q] = 0;
        for (uint32_t i = 0; i < top->count; i++)
            to->hits[q] += query_distance(s, top->items[i].key) <= reach[q];
    }
    to->measured = walk_work_done(searcher.by_index.walk).measured / QUERIES;
    searcher_release(&searcher);
}

/* An index that holds only the rows that the state sees. */
static struct vdb *fresh_of(const struct vdb_snapshot *s)
{
    struct vdb *db = create("fresh.vdb", VDB_INDEX_GRAPH);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = 0; row < s->row_count; row++)
        if (vdb_row_state(s, row) == 1) put(txn, row);
    store_commit(txn);
    merge(db, 1);
    return db;
}

/* Whether queries find less here than there, beyond what chance makes of so many: half a point of
 * recall and three standard errors of the mean of what each one misses. */
static bool finds_less(const struct searched *here, const struct searched *there)
{
    double sum = 0, squares = 0, n = QUERIES;
    for (uint32_t q = 0; q < QUERIES; q++) {
        double lost = ((double)there->hits[q] - (double)here->hits[q]) / K;
        sum += lost;
        squares += lost * lost;
    }
    double mean = sum / n, error = sqrt((squares / n - mean * mean) / (n - 1));
    assert_true(3 * error < 0.01); /* else there are too few queries to tell */
    return mean > 0.005 + 3 * error;
}

/* Recall is no less than a fresh index's, and `times` as many rows are measured at most. */
static void compare(const struct vdb_snapshot *s, double times)
{
    static struct searched here, fresh;
    static double reach[QUERIES];
    struct vdb *db = fresh_of(s);
    const struct vdb_snapshot *other = store_snapshot(db);
    find_reach(s, reach);
    for (uint32_t ef = 10; ef <= 40; ef *= 2) {
        search(s, ef, reach, &here);
        search(other, ef, reach, &fresh);
        assert_false(finds_less(&here, &fresh));
        assert_true((double)here.measured <= times * (double)fresh.measured);
    }
    vdb_snapshot_close(other);
    vdb_close(db);
    remove(store_path("fresh.vdb"));
}

static struct vdb *whole(void)
{
    struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, ROWS);
    merge(db, 1);
    return db;
}

/* All rows on one side are: some queries have nothing else near them, others none. */
static void a_region_is_deleted(void **state)
{
    (void)state;
    struct vdb *db = whole();
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = 0; row < ROWS; row++)
        if (rows.x[row * DIM] > 0.3f) delete (txn, row);
    store_commit(txn);
    const struct vdb_snapshot *s = store_snapshot(db);
    compare(s, 3);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* So few are left that they are scanned. */
static void most_rows_are_deleted(void **state)
{
    (void)state;
    struct vdb *db = whole();
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = 0; row < ROWS; row++)
        if (row % 10 != 3) delete (txn, row);
    store_commit(txn);
    const struct vdb_snapshot *s = store_snapshot(db);
    compare(s, 0);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* Deleted rows of one part ask for no more effort in another. */
static void parts_are_on_their_own(void **state)
{
    enum { FIRST = 2600 };
    (void)state;
    struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, FIRST);
    merge(db, 0);
    put_range(db, FIRST, ROWS);
    merge(db, 0);
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 2);
    static struct searched before, after;
    static double reach[QUERIES];
    find_reach(s, reach);
    search(s, 20, reach, &before);
    vdb_snapshot_close(s);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t row = FIRST; row < ROWS; row++) delete (txn, row);
    store_commit(txn);
    s = store_snapshot(db);
    assert_int_equal(snapshot_live_in(s, &s->generation->parts[0]), FIRST);
    assert_int_equal(snapshot_live_in(s, &s->generation->parts[1]), 0);
    search(s, 20, reach, &after);
    assert_true(after.measured < before.measured);
    vdb_snapshot_close(s);
    vdb_close(db);
}

/* A state before most rows of the part came, or half of them. */
static void rows_are_newer(void **state)
{
    (void)state;
    struct vdb_error err;
    static const uint32_t shares[] = {10, 2};
    for (int i = 0; i < 2; i++) {
        uint32_t share = shares[i];
        struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
        put_range(db, 0, ROWS / share);
        struct vdb_info info = store_info(db);
        put_range(db, ROWS / share, ROWS);
        merge(db, 1);
        const struct vdb_snapshot *s = store_snapshot(db), *past;
        must(vdb_snapshot_at(s, info.commit, &past, &err), &err);
        assert_int_equal(snapshot_live_in(past, &s->generation->parts[0]), ROWS / share);
        compare(past, 2);
        vdb_snapshot_close(past);
        vdb_snapshot_close(s);
        vdb_close(db);
        remove(store_path("x.vdb"));
    }
}

/* ---- merges -------------------------------------------------------------------------------- */

/* The lists of the first rows of the only part, malloced. */
static uint32_t *lists_of(struct vdb *db, uint32_t count, uint32_t *degree)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 1);
    const struct graph *g = &s->generation->parts[0].graph;
    size_t bytes = (size_t)count * g->degree * sizeof *g->edges;
    uint32_t *lists = malloc(bytes);
    assert_non_null(lists);
    memcpy(lists, g->edges, bytes);
    *degree = g->degree;
    vdb_snapshot_close(s);
    return lists;
}

/* The share of the first rows' lists that are what they were; frees `before`. */
static double share_kept(struct vdb *db, uint32_t *before, uint32_t count)
{
    uint32_t degree, same = 0;
    uint32_t *after = lists_of(db, count, &degree);
    for (size_t row = 0; row < count; row++)
        same += memcmp(before + row * degree, after + row * degree, degree * sizeof *after) == 0;
    free(before);
    free(after);
    return same / (double)count;
}

/* A merge that goes on with a graph leaves many lists as they were. */
static void few_rows_come_to_the_graph_and_many_make_a_new_one(void **state)
{
    (void)state;
    static const enum vdb_index_kind kinds[] = {VDB_INDEX_GRAPH, VDB_INDEX_HNSW};
    for (int i = 0; i < 2; i++)
        for (uint32_t old = 2000; old <= 4800; old += 2800) {
            uint32_t degree;
            struct vdb *db = create("x.vdb", kinds[i]);
            put_range(db, 0, old);
            merge(db, 1);
            uint32_t *before = lists_of(db, old, &degree);
            put_range(db, old, ROWS);
            merge(db, 1);
            double kept = share_kept(db, before, old);
            bool gone_on = kinds[i] == VDB_INDEX_GRAPH && old == 4800;
            assert_true(gone_on ? kept > 0.3 : kept < 0.15);
            const struct vdb_snapshot *s = store_snapshot(db);
            compare(s, 2);
            vdb_snapshot_close(s);
            vdb_close(db);
            assert_int_equal(store_check("x.vdb", 1, NULL), 0);
            remove(store_path("x.vdb"));
        }
}

/* A graph is made of the vectors again where it is damaged, and so it heals. */
static void a_damaged_graph_is_not_gone_on_with(void **state)
{
    (void)state;
    struct buf bytes = {0};
    uint32_t degree;
    struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, 4800);
    merge(db, 1);
    uint32_t *before = lists_of(db, 4800, &degree);
    const struct vdb_snapshot *s = store_snapshot(db);
    const struct generation *g = s->generation;
    const struct segment_entry *graph =
        manifest_segment(&g->manifest, g->parts[0].entry, DISK_SEGMENT_GRAPH);
    uint64_t at = graph->off + graph->len / 2;
    vdb_snapshot_close(s);
    vdb_close(db);
    store_read("x.vdb", &bytes);
    bytes.data[at] ^= 1;
    store_write("x.vdb", &bytes);
    buf_release(&bytes);
    assert_int_equal(store_check("x.vdb", 0, NULL), 1);
    db = store_open("x.vdb");
    put_range(db, 4800, ROWS);
    merge(db, 1);
    assert_true(share_kept(db, before, 4800) < 0.15);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* As another writer may have made it, with more pivots than this one has, or as damage leaves it.
 */
static void a_graph_that_cannot_grow_is_made_anew(void **state)
{
    (void)state;
    static uint32_t pivots[2000];
    for (uint32_t bad = 0; bad < 2; bad++) {
        uint32_t degree;
        struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
        put_range(db, 0, 4800);
        merge(db, 1);
        uint32_t *before = lists_of(db, 4800, &degree);
        const struct vdb_snapshot *s = store_snapshot(db);
        struct graph *graph = (struct graph *)(uintptr_t)&s->generation->parts[0].graph;
        for (uint32_t i = 0; i < 2000; i++) pivots[i] = bad ? ROWS : i;
        graph->pivots = pivots;
        graph->pivot_count = bad ? graph->pivot_count : 2000;
        put_range(db, 4800, ROWS);
        merge(db, 1);
        vdb_snapshot_close(s);
        assert_true(share_kept(db, before, 4800) < 0.15);
        vdb_close(db);
        assert_int_equal(store_check("x.vdb", 1, NULL), 0);
        remove(store_path("x.vdb"));
    }
}

/* Many small merges, rows going as others come. */
static void recall_stays(void **state)
{
    (void)state;
    struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, 3000);
    merge(db, 1);
    for (uint32_t row = 3000; row < 3000 + MERGES * 100; row += 100) {
        struct vdb_txn *txn = store_begin(db);
        for (uint32_t i = 0; i < 100; i++) {
            put(txn, row + i);
            delete (txn, row + i - 3000);
        }
        store_commit(txn);
        merge(db, 1);
    }
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 1);
    compare(s, 4);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* ---- what was measured --------------------------------------------------------------------- */

/* Rows and queries of two kinds: they differ in the first `wide` of the dimensions. */
static void draw(float *x, uint32_t wide, uint64_t *seed)
{
    for (uint32_t j = 0; j < DIM; j++) x[j] = j < wide ? (float)random_unit(seed) : 0;
}

static struct calibration measured_of(struct vdb *db)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 1);
    struct calibration c = s->generation->parts[0].calibration;
    vdb_snapshot_close(s);
    return c;
}

/* How far estimates by the codes of the only part are off. */
static float error_of(struct vdb *db)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    float error = s->generation->parts[0].codes.error;
    vdb_snapshot_close(s);
    return error;
}

/* Recall@10 with the effort that stands for 0.95, one query in `other` of the wide kind. */
static double recall_promised(struct vdb *db, uint32_t other)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT, exact = options;
    struct vdb_error err;
    uint64_t seed = 11;
    uint32_t right = 0;
    const struct vdb_snapshot *s = store_snapshot(db);
    options.recall = 0.95;
    exact.exact = 1;
    for (uint32_t q = 0; q < PROMISED; q++) {
        struct vdb_hit truth[K], hits[K];
        uint32_t found;
        float query[DIM];
        draw(query, q % other ? 3 : DIM, &seed);
        must(vdb_search(s, query, 1, &exact, truth, &found, &err), &err);
        must(vdb_search(s, query, 1, &options, hits, &found, &err), &err);
        for (uint32_t i = 0; i < found; i++) right += hits[i].distance <= truth[K - 1].distance;
    }
    vdb_snapshot_close(s);
    return right / (double)(PROMISED * K);
}

/* 4,000 rows of few dimensions, and then as many as cross the mark of a check. */
static struct vdb *come(uint32_t wide)
{
    uint64_t seed = 7;
    for (uint32_t row = 0; row < ROWS; row++)
        draw(rows.x + (size_t)row * DIM, row < 4000 ? 3 : wide, &seed);
    struct vdb *db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, 4000);
    merge(db, 1);
    return db;
}

static void what_was_measured_is_kept_for_more_of_the_kind(void **state)
{
    (void)state;
    struct vdb *db = come(3);
    struct calibration before = measured_of(db);
    assert_int_equal(before.measured_rows, 0);
    for (uint32_t row = 4000; row < 4600; row += 300) {
        put_range(db, row, row + 300);
        merge(db, 1);
        struct calibration after = measured_of(db);
        assert_int_equal(after.measured_rows, 4000);
        assert_int_equal(after.rows, row + 300);
        assert_memory_equal(after.curves, before.curves, sizeof after.curves);
    }
    assert_true(recall_promised(db, PROMISED) >= 0.95);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* One row in eight is of another kind by then, and so is one query. */
static void rows_of_another_kind_are_measured(void **state)
{
    (void)state;
    struct vdb *db = come(DIM);
    struct calibration before = measured_of(db);
    put_range(db, 4000, 4600);
    merge(db, 1);
    struct calibration after = measured_of(db);
    assert_int_equal(after.measured_rows, 0);
    assert_memory_not_equal(after.curves, before.curves, sizeof after.curves);
    assert_true(after.dimension > before.dimension);
    assert_true(recall_promised(db, 8) >= 0.95);
    vdb_close(db);
}

/* Also where nothing is checked yet: rows beyond the grid of those before ask for another one, on
 * which codes are farther off. */
static void rows_beyond_the_grid_are_measured(void **state)
{
    (void)state;
    struct vdb *db = come(3);
    put_range(db, 4000, 4300); /* behind a mark of a check */
    merge(db, 1);
    float before = error_of(db);
    struct calibration kept = measured_of(db);
    assert_int_equal(kept.measured_rows, 4000);
    for (uint32_t i = 4300 * DIM; i < 4400 * DIM; i++) rows.x[i] *= 20;
    put_range(db, 4300, 4400);
    merge(db, 1);
    assert_int_equal(measured_of(db).measured_rows, 0);
    assert_true(error_of(db) > 5 * before);
    vdb_close(db);
}

/* However small the steps are. */
static void rows_that_have_doubled_are_measured(void **state)
{
    (void)state;
    struct vdb *db = come(3);
    vdb_close(db);
    remove(store_path("x.vdb"));
    db = create("x.vdb", VDB_INDEX_GRAPH);
    put_range(db, 0, 1200);
    merge(db, 1);
    for (uint32_t row = 1200; row < 3000; row += 300) {
        put_range(db, row, row + 300);
        merge(db, 1);
        struct calibration c = measured_of(db);
        assert_int_equal(c.measured_rows, row + 300 == 2400 ? 0 : row + 300 < 2400 ? 1200 : 2400);
    }
    vdb_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_region_is_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(most_rows_are_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_are_on_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_newer, setup, teardown),
        cmocka_unit_test_setup_teardown(few_rows_come_to_the_graph_and_many_make_a_new_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_graph_is_not_gone_on_with, setup, teardown),
        cmocka_unit_test_setup_teardown(a_graph_that_cannot_grow_is_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(recall_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_measured_is_kept_for_more_of_the_kind, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rows_of_another_kind_are_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_beyond_the_grid_are_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_that_have_doubled_are_measured, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
