/* test_hybrid.c: where rows of a hybrid index lie, by number and by age, that they move when they
 * have aged, and that nothing but the layout depends on it; and when maintenance is quiet.
 *
 * Commits are given times of the test's own, and compactions a clock of its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/txn.h"
#include "search/scan.h"
#include "search/team.h"
#include "store_fixture.h"

#define SECOND ((int64_t)1000000)
#define DAY    (86400 * SECOND)

enum { DIM = 16, QUERIES = 40, K = 10 };

static struct vdb_error err;

static struct vdb_create_options hybrid(uint32_t rows, uint64_t seconds)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_HYBRID;
    options.recent_rows = rows;
    options.recent_seconds = seconds;
    return options;
}

static struct vdb *create(uint32_t rows, uint64_t seconds)
{
    return store_create("x.vdb", hybrid(rows, seconds));
}

/* In clusters, as data are, and so that no two distances are equal. */
static void make_vector(uint64_t number, float *v)
{
    uint64_t centre = (number % 20 + 1) * 0x9e3779b97f4a7c15u, seed = number * 77 + 12345;
    for (int i = 0; i < 4; i++) store_random(&seed);
    for (unsigned i = 0; i < DIM; i++)
        v[i] = (float)(store_random(&centre) % 1000 * 50 + store_random(&seed) % 30000) / 1000;
}

static void add_at(struct vdb *db, uint32_t first, uint32_t count, int64_t time_us)
{
    struct vdb_txn *txn = store_begin(db);
    txn->replayed = time_us != 0;
    txn->time_us = time_us;
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        float v[DIM];
        make_vector(i, v);
        snprintf(id, sizeof id, "r%u", i);
        store_put(txn, id, v, NULL);
    }
    store_commit(txn);
}

static void delete_some(struct vdb *db, uint32_t first, uint32_t end, uint32_t step)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < end; i += step) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    }
    store_commit(txn);
}

static void maintain_at(struct vdb *db, int64_t now_us)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    options.now_us = now_us;
    must(vdb_maintain(db, &options, &err), &err);
}

static void compact_at(struct vdb *db, int64_t now_us)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.now_us = now_us;
    must(vdb_compact(db, &options, &err), &err);
}

/* The parts as text: "ivf 0 graph 500 -700" are rows 0 to 499 and 500 to 699, none in the tail. */
static void assert_layout(struct vdb *db, const char *want)
{
    static const char *const kinds[] = {"auto", "flat", "graph", "hnsw", "ivf"};
    char got[256];
    size_t used = 0;
    uint64_t end = 0;
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_part_info part;
    for (uint32_t i = 0; vdb_part_info(s, i, &part) == VDB_OK; i++) {
        used += (size_t)snprintf(got + used, sizeof got - used, "%s %u ", kinds[part.kind],
                                 (unsigned)part.row_begin);
        end = part.row_end;
    }
    snprintf(got + used, sizeof got - used, "-%u", (unsigned)end);
    vdb_snapshot_close(s);
    assert_string_equal(got, want);
}

/* ---- where rows lie ------------------------------------------------------------------------ */

static void by_number(void **state)
{
    (void)state;
    struct vdb *db = create(700, 0);
    add_at(db, 0, 3000, 0);
    maintain_at(db, 0);
    assert_layout(db, "ivf 0 graph 2300 -3000"); /* at once, as nothing came before */
    add_at(db, 3000, 2500, 0);
    maintain_at(db, 0);
    assert_layout(db, "ivf 0 graph 2300 -5500"); /* old rows stay where they are */
    compact_at(db, 0);
    assert_layout(db, "ivf 0 graph 4800 -5500");
    delete_some(db, 5400, 5500, 1); /* of the newest: live rows are counted */
    compact_at(db, 0);
    assert_layout(db, "ivf 0 graph 4700 -5400");
    struct vdb_info info = store_info(db);
    assert_int_equal(info.index, VDB_INDEX_HYBRID);
    assert_int_equal(info.recent_rows, 700);
    assert_int_equal(info.recent_seconds, 0);

    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.recent_rows = 5400;
    must(vdb_compact(db, &options, &err), &err);
    assert_layout(db, "graph 0 -5400");
    compact_at(db, 0); /* it is kept */
    assert_layout(db, "graph 0 -5400");
    options.recent_rows = 5300;
    must(vdb_compact(db, &options, &err), &err);
    assert_layout(db, "flat 0 graph 100 -5400"); /* too few for lists */
    options = (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT;
    options.set_index = 1;
    options.index = VDB_INDEX_IVF;
    must(vdb_compact(db, &options, &err), &err);
    assert_layout(db, "ivf 0 -5400");
    assert_int_equal(store_info(db).recent_rows, 0);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* Rows keep their times from compaction to compaction, and move when they have aged. */
static void by_age(void **state)
{
    (void)state;
    struct vdb *db = create(0, 10 * 86400);
    int64_t start = store_info(db).commit_time_us + SECOND;
    static const uint32_t days[] = {0, 5, 8};
    for (uint32_t i = 0; i < 3; i++) add_at(db, i * 600, 600, start + days[i] * DAY + 1234);
    compact_at(db, start + 9 * DAY);
    assert_layout(db, "graph 0 -1800");
    compact_at(db, start + 10 * DAY);
    assert_layout(db, "graph 0 -1800");
    compact_at(db, start + 10 * DAY + 1234); /* to the microsecond */
    assert_layout(db, "ivf 0 graph 600 -1800");
    compact_at(db, start + 14 * DAY);
    assert_layout(db, "ivf 0 graph 600 -1800");
    add_at(db, 7, 1,
           start + 8 * DAY + 2 * SECOND); /* an old row that is replaced is a recent one */
    delete_some(db, 601, 611, 2);
    compact_at(db, start + 14 * DAY);
    assert_layout(db, "ivf 0 graph 599 -1795");
    add_at(db, 9000, 5, start + 8 * DAY + 5 * SECOND);
    compact_at(db, start + 14 * DAY);
    assert_layout(db, "ivf 0 graph 599 -1800");
    compact_at(db, start + 16 * DAY);
    assert_layout(db, "ivf 0 graph 1194 -1800"); /* 599 and 595 */
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_part_info part;
    assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
    assert_int_equal(part.oldest_us, start + 1234);
    assert_int_equal(part.newest_us, start + 5 * DAY + 1234);
    assert_int_equal(vdb_part_info(s, 1, &part), VDB_OK);
    assert_int_equal(part.oldest_us, start + 8 * DAY + 1234);
    assert_int_equal(part.newest_us, start + 8 * DAY + 5 * SECOND);
    vdb_snapshot_close(s);
    compact_at(db, start + 12 * DAY); /* a clock that was put back */
    assert_layout(db, "ivf 0 graph 599 -1800");
    compact_at(db, start + 30 * DAY);
    assert_layout(db, "ivf 0 -1800");
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* An index that becomes hybrid when it has long been compacted otherwise knows its rows' times. */
static void an_index_that_was_none(void **state)
{
    (void)state;
    struct vdb_create_options how = VDB_CREATE_OPTIONS_INIT;
    how.dim = DIM;
    struct vdb *db = store_create("x.vdb", how);
    int64_t start = store_info(db).commit_time_us + SECOND;
    for (uint32_t i = 0; i < 4; i++) add_at(db, i * 300, 300, start + i * DAY);
    compact_at(db, 0);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.set_index = 1;
    options.index = VDB_INDEX_HYBRID;
    options.recent_seconds = 86400;
    options.now_us = start + 2 * DAY + SECOND;
    must(vdb_compact(db, &options, &err), &err);
    assert_layout(db, "ivf 0 graph 600 -1200");
    vdb_close(db);
}

/* A copy that depends on its rows alone has no times: they count as old. */
static void times_that_are_not_recorded(void **state)
{
    (void)state;
    struct vdb *db = create(500, 0);
    char path[512];
    add_at(db, 0, 1500, 0);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    snprintf(path, sizeof path, "%s", store_path("copy.vdb"));
    options.output = path;
    must(vdb_compact(db, &options, &err), &err);
    vdb_close(db);
    db = store_open("copy.vdb");
    assert_layout(db, "ivf 0 graph 1000 -1500");
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_part_info part;
    assert_int_equal(vdb_part_info(s, 1, &part), VDB_OK);
    assert_int_equal(part.oldest_us, 0);
    assert_int_equal(part.newest_us, 0);
    vdb_snapshot_close(s);
    add_at(db, 1500, 400, 0);
    options = (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT;
    options.recent_seconds = 3600;
    must(vdb_compact(db, &options, &err), &err);
    assert_layout(db, "ivf 0 graph 1500 -1900");
    s = store_snapshot(db);
    assert_int_equal(vdb_part_info(s, 0, &part), VDB_OK);
    assert_int_equal(part.newest_us, 0);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("copy.vdb", 1, NULL), 0);
}

/* Old rows' lists are built anew by maintenance only if no recent row would come to them. */
static void merges(void **state)
{
    (void)state;
    struct vdb *db = create(0, 10 * 86400);
    int64_t start = store_info(db).commit_time_us + SECOND;
    add_at(db, 0, 1800, start);
    compact_at(db, start + 20 * DAY);
    assert_layout(db, "ivf 0 -1800");
    add_at(db, 1800, 2100, start + 20 * DAY);
    maintain_at(db, start + 20 * DAY);
    assert_layout(db, "ivf 0 graph 1800 -3900");
    add_at(db, 3900, 4300, start + 21 * DAY);
    maintain_at(db, start + 22 * DAY);
    assert_layout(db, "ivf 0 graph 1800 -8200");
    add_at(db, 8200, 2100, start + 23 * DAY);
    maintain_at(db, start + 60 * DAY);
    assert_layout(db, "ivf 0 graph 1800 ivf 8200 -10300"); /* all that it builds is old */
    add_at(db, 10300, 9000, start + 24 * DAY);
    maintain_at(db, start + 60 * DAY);
    assert_layout(db, "ivf 0 -19300");
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* ---- searches ------------------------------------------------------------------------------ */

static void make_queries(float *queries)
{
    for (uint32_t q = 0; q < QUERIES; q++) make_vector(100000 + q, queries + (size_t)q * DIM);
}

struct answers {
    uint64_t numbers[QUERIES * K]; /* of the ids: rows are numbered anew by compaction */
    double distances[QUERIES * K];
};

static void answer(const struct vdb_snapshot *s, int exact, unsigned threads, struct answers *to)
{
    static float queries[QUERIES * DIM];
    struct vdb_hit hits[QUERIES * K];
    uint32_t found[QUERIES];
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.exact = exact;
    options.k = K;
    options.threads = threads;
    make_queries(queries);
    must(vdb_search(s, queries, QUERIES, &options, hits, found, &err), &err);
    for (size_t i = 0; i < sizeof hits / sizeof hits[0]; i++) {
        const char *id;
        size_t len;
        assert_int_equal(found[i / K], K);
        must(vdb_row_id(s, hits[i].row, &id, &len, &err), &err);
        to->numbers[i] = strtoull(id + 1, NULL, 10);
        to->distances[i] = hits[i].distance;
    }
}

static double recall(const struct answers *got, const struct answers *want)
{
    unsigned same = 0;
    for (size_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++)
                same += got->numbers[q * K + i] == want->numbers[q * K + j];
    return same / (double)(QUERIES * K);
}

/* By brute force in double precision, over all rows but those deleted. */
static void nearest(uint32_t rows, uint32_t step, struct answers *to)
{
    static float queries[QUERIES * DIM];
    make_queries(queries);
    for (size_t q = 0; q < QUERIES; q++) {
        double *best = to->distances + q * K;
        uint64_t *who = to->numbers + q * K;
        size_t count = 0;
        for (uint32_t row = 0; row < rows; row++) {
            float v[DIM];
            double sum = 0;
            if (row % step == 0) continue;
            make_vector(row, v);
            for (unsigned i = 0; i < DIM; i++) {
                double d = (double)v[i] - (double)queries[q * DIM + i];
                sum += d * d;
            }
            if (count == K && sum >= best[K - 1]) continue;
            size_t at = count < K ? count++ : K - 1;
            for (; at > 0 && best[at - 1] > sum; at--) {
                best[at] = best[at - 1];
                who[at] = who[at - 1];
            }
            best[at] = sum;
            who[at] = row;
        }
    }
}

/* The same answers as ever: exact ones equal, others as near as asked for, and those of a snapshot
 * from before do not change. */
static void searches(void **state)
{
    (void)state;
    static struct answers want, got, old;
    struct vdb *db = create(6000, 0);
    add_at(db, 0, 12500, 0);
    maintain_at(db, 0);
    assert_layout(db, "ivf 0 graph 6500 -12500");
    delete_some(db, 0, 12500, 9);
    nearest(12500, 9, &want);
    const struct vdb_snapshot *before = store_snapshot(db);
    answer(before, 0, 1, &old);
    assert_true(recall(&old, &want) >= 0.93);
    for (int compacted = 0; compacted < 2; compacted++) {
        if (compacted) {
            compact_at(db, 0);
            assert_layout(db, "ivf 0 graph 5111 -11111");
        }
        const struct vdb_snapshot *s = store_snapshot(db);
        answer(s, 1, 1, &got);
        assert_memory_equal(got.numbers, want.numbers, sizeof want.numbers);
        answer(s, 0, 2, &got);
        assert_true(recall(&got, &want) >= 0.93);
        vdb_snapshot_close(s);
    }
    answer(before, 0, 1, &got);
    assert_memory_equal(&got, &old, sizeof old);
    answer(before, 1, 1, &got);
    assert_memory_equal(got.numbers, want.numbers, sizeof want.numbers);
    vdb_snapshot_close(before);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* By a team where there are two threads and parts, however little there is to be done. */
static uint32_t search_by_team(const struct vdb_snapshot *s, const struct vdb_search_options *o,
                               unsigned threads, const float *query, struct vdb_hit *hits)
{
    struct searcher first;
    struct team *team;
    must(searcher_init(&first, s, o, 1, &err), &err);
    must(team_create(s, o, threads, 0, &team, &err), &err);
    assert_int_equal(team != NULL, threads > 1);
    must(query_begin(&first.queries[0], s, query, 0, &err), &err);
    if (team) must(team_warm(team, &first, &err), &err);
    must(query_begin(&first.queries[0], s, query, 0, &err), &err);
    for (uint32_t i = 0; !team && i < s->generation->manifest.part_count; i++)
        must(searcher_part(&first, &s->generation->parts[i], first.queries, 1, &err), &err);
    if (team) must(team_search(team, &first, &first.queries[0], &err), &err);
    scan_tail(s, o->include_deleted, true, first.queries, 1);
    uint32_t found = first.queries[0].top.count;
    for (uint32_t i = 0; i < found; i++)
        hits[i] = (struct vdb_hit){first.queries[0].top.items[i].row,
                                   query_distance(s, first.queries[0].top.items[i].key)};
    team_free(team);
    searcher_release(&first);
    return found;
}

/* One query by 1 to 4 threads, of vdb_search, a searcher and a team, with a tail behind the
 * parts. */
static void threads_do_not_show(void **state)
{
    (void)state;
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_COSINE, VDB_METRIC_IP};
    static float queries[QUERIES * DIM];
    make_queries(queries);
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        struct vdb_create_options how = hybrid(6000, 0);
        how.metric = metrics[m];
        remove(store_path("x.vdb"));
        struct vdb *db = store_create("x.vdb", how);
        add_at(db, 0, 12000, 0);
        maintain_at(db, 0);
        add_at(db, 12000, 2100, 0);
        maintain_at(db, 0);
        add_at(db, 14100, 50, 0);
        delete_some(db, 3, 14000, 11);
        const struct vdb_snapshot *s = store_snapshot(db);
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        for (unsigned kind = 0; kind < 5; kind++) {
            struct vdb_hit want[QUERIES * 60], hits[60];
            uint32_t wanted[QUERIES], found;
            options.k = kind == 1 ? 60 : 10;
            options.exact = kind == 2;
            options.include_deleted = kind == 3;
            options.recall = kind == 4 ? 1 : 0; /* what takes long */
            options.threads = 1;
            memset(want, 0, sizeof want);
            must(vdb_search(s, queries, QUERIES, &options, want, wanted, &err), &err);
            for (unsigned threads = 1; threads <= 4; threads += threads) {
                struct vdb_searcher *searcher = NULL;
                options.threads = threads;
                must(vdb_searcher_open(s, &options, &searcher, &err), &err);
                for (size_t q = 0; q < QUERIES; q++) {
                    for (int way = 0; way < 3; way++) {
                        memset(hits, 0, sizeof hits);
                        const float *query = queries + q * DIM;
                        if (way == 0)
                            must(vdb_search(s, query, 1, &options, hits, &found, &err), &err);
                        if (way == 1)
                            must(vdb_searcher_search(searcher, query, hits, &found, &err), &err);
                        if (way == 2) found = search_by_team(s, &options, threads, query, hits);
                        assert_int_equal(found, wanted[q]);
                        for (uint32_t i = 0; i < found; i++) {
                            assert_int_equal(hits[i].row, want[q * options.k + i].row);
                            assert_true(hits[i].distance == want[q * options.k + i].distance);
                        }
                    }
                }
                vdb_searcher_close(searcher);
            }
        }
        vdb_snapshot_close(s);
        vdb_close(db);
    }
}

/* ---- copies -------------------------------------------------------------------------------- */

static void copy(struct vdb *db, const char *name, unsigned threads, int64_t now_us)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    char path[512];
    snprintf(path, sizeof path, "%s", store_path(name));
    options.output = path;
    options.threads = threads;
    options.now_us = now_us;
    must(vdb_compact(db, &options, &err), &err);
}

static bool same_files(const char *a, const char *b)
{
    struct buf first = {0}, second = {0};
    store_read(a, &first);
    store_read(b, &second);
    bool same = first.len == second.len && memcmp(first.data, second.data, first.len) == 0;
    buf_release(&first);
    buf_release(&second);
    return same;
}

static void copies(void **state)
{
    (void)state;
    struct vdb *db = create(0, 3600);
    int64_t start = store_info(db).commit_time_us + SECOND;
    add_at(db, 0, 1500, start);
    add_at(db, 1500, 1500, start + 3600 * SECOND);
    copy(db, "a.vdb", 1, start + 4000 * SECOND);
    copy(db, "b.vdb", 3, start + 5000 * SECOND); /* the same rows are recent */
    copy(db, "c.vdb", 1, start + DAY);
    assert_true(same_files("a.vdb", "b.vdb"));
    assert_false(same_files("a.vdb", "c.vdb"));
    vdb_close(db);
    db = store_open("b.vdb"); /* and knows the times of its rows */
    assert_layout(db, "ivf 0 graph 1500 -3000");
    compact_at(db, start + DAY);
    assert_layout(db, "ivf 0 -3000");
    vdb_close(db);
    assert_int_equal(store_check("b.vdb", 1, NULL), 0);
}

/* ---- quiet hours --------------------------------------------------------------------------- */

static struct vdb *create_quiet(uint32_t begin, uint32_t end)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = VDB_INDEX_FLAT;
    options.quiet_begin = begin;
    options.quiet_end = end;
    remove(store_path("x.vdb"));
    return store_create("x.vdb", options);
}

/* Of a day long after the creation. */
static int64_t at_minute(uint32_t minute)
{
    return 100000 * DAY + minute * 60 * SECOND;
}

static void maintenance_waits_for_quiet(void **state)
{
    (void)state;
    static const struct {
        uint32_t begin, end, minute;
        bool quiet;
    } cases[] = {
        {60, 300, 59, false},    {60, 300, 60, true},      {60, 300, 299, true},
        {60, 300, 300, false},   {1380, 240, 0, true},     {1380, 240, 239, true},
        {1380, 240, 240, false}, {1380, 240, 1379, false}, {1380, 240, 1380, true},
        {0, 0, 700, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vdb *db = create_quiet(cases[i].begin, cases[i].end);
        add_at(db, 0, 2048, 0);
        maintain_at(db, at_minute(cases[i].minute));
        assert_layout(db, cases[i].quiet ? "flat 0 -2048" : "-0");
        vdb_close(db);
    }
}

static void it_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct vdb *db = create_quiet(60, 300);
    add_at(db, 0, 16 * 2048 - 1, 0);
    maintain_at(db, at_minute(700));
    assert_layout(db, "-0");
    add_at(db, 16 * 2048 - 1, 1, 0);
    maintain_at(db, at_minute(700));
    assert_layout(db, "flat 0 -32768");
    vdb_close(db);
}

static void quiet_hours_are_kept(void **state)
{
    (void)state;
    struct vdb *db = create_quiet(60, 300);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    must(vdb_compact(db, &options, &err), &err);
    assert_int_equal(store_info(db).quiet_begin, 60);
    assert_int_equal(store_info(db).quiet_end, 300);
    options.set_quiet = 1;
    options.quiet_begin = 1439;
    must(vdb_compact(db, &options, &err), &err);
    assert_int_equal(store_info(db).quiet_begin, 1439);
    assert_int_equal(store_info(db).quiet_end, 0);
    add_at(db, 0, 2100, 0);
    maintain_at(db, at_minute(1439));
    assert_int_equal(store_info(db).quiet_begin, 1439); /* by maintenance, too */
    options.quiet_begin = 0;
    must(vdb_compact(db, &options, &err), &err);
    assert_int_equal(store_info(db).quiet_begin, 0);
    vdb_close(db);
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static void nonsense(void **state)
{
    (void)state;
    static const struct {
        enum vdb_index_kind index;
        uint32_t rows;
        uint64_t seconds;
        uint32_t quiet_begin, quiet_end;
        const char *words;
    } bad[] = {
        {VDB_INDEX_HYBRID, 0, 0, 0, 0, "not given"},
        {VDB_INDEX_HYBRID, 1, 1, 0, 0, "not by both"},
        {VDB_INDEX_HYBRID, 0, VDB_RECENT_SECONDS_MAX + 1, 0, 0, "seconds"},
        {VDB_INDEX_GRAPH, 1, 0, 0, 0, "only hybrid"},
        {VDB_INDEX_AUTO, 0, 1, 0, 0, "only hybrid"},
        {VDB_INDEX_AUTO, 0, 0, 1440, 0, "quiet hours"},
        {VDB_INDEX_AUTO, 0, 0, 0, 1440, "quiet hours"},
        {VDB_INDEX_AUTO, 0, 0, 65536, 65596, "quiet hours"},
        {VDB_INDEX_HYBRID + 1, 0, 0, 0, 0, "not known"},
    };
    struct vdb_create_options plain = VDB_CREATE_OPTIONS_INIT;
    plain.dim = DIM;
    struct vdb *db = store_create("plain.vdb", plain);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vdb_create_options create = hybrid(bad[i].rows, bad[i].seconds);
        create.index = bad[i].index;
        create.quiet_begin = bad[i].quiet_begin;
        create.quiet_end = bad[i].quiet_end;
        memset(&err, 0, sizeof err);
        assert_int_equal(vdb_create(store_path("bad.vdb"), &create, &err), VDB_INVALID);
        assert_non_null(strstr(err.message, bad[i].words));
        struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
        compact.set_index = 1;
        compact.index = bad[i].index;
        compact.recent_rows = bad[i].rows;
        compact.recent_seconds = bad[i].seconds;
        compact.set_quiet = 1;
        compact.quiet_begin = bad[i].quiet_begin;
        compact.quiet_end = bad[i].quiet_end;
        memset(&err, 0, sizeof err);
        assert_int_equal(vdb_compact(db, &compact, &err), VDB_INVALID);
        assert_non_null(strstr(err.message, bad[i].words));
    }
    vdb_close(db);
    assert_int_equal(remove(store_path("bad.vdb")), -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(by_number),
        test(by_age),
        test(an_index_that_was_none),
        test(times_that_are_not_recorded),
        test(merges),
        test(searches),
        test(threads_do_not_show),
        test(copies),
        test(maintenance_waits_for_quiet),
        test(it_does_not_wait_for_ever),
        test(quiet_hours_are_kept),
        test(nonsense),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
