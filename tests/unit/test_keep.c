/* test_keep.c: compaction keeps what named commits see, and the rows of as long ago as it is told,
 * and purges the rest. What there was after each commit is known from a model in memory.
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

#include "db/txn.h"
#include "state/snapshot.h"
#include "store_fixture.h"

/* ---- the model ----------------------------------------------------------------------------- */

enum { IDS = 60, COMMITS = 400, DIM = 6, STEP_US = 10000000, NUMBERS = 4096 };

struct model {
    struct vdb *db;
    uint64_t seed;
    uint32_t next;               /* the number of the next row that is put */
    uint32_t live[COMMITS][IDS]; /* after each commit: an id's row; 0: none */
    int64_t time_us[COMMITS];
    int64_t named_us[COMMITS]; /* when */
    bool kept[COMMITS], named[COMMITS];
    uint32_t numbers[COMMITS]; /* `next` after each commit */
    bool there[NUMBERS];       /* rows in the file, which are in the order of their numbers, */
    bool disordered;           /* or not: restored ones were carried over as new ones */
    uint64_t newest;
    uint32_t gone[IDS]; /* what restoring the id brings back; 0: not known */
};

static const char *id_of(uint32_t id)
{
    static char text[16];
    snprintf(text, sizeof text, "id%u", id);
    return text;
}

static const char *name_of(uint64_t commit)
{
    static char text[32];
    snprintf(text, sizeof text, "c%llu", (unsigned long long)commit);
    return text;
}

static const char *metadata_of(uint32_t number)
{
    static char text[32];
    snprintf(text, sizeof text, "{\"number\": %u}", number);
    return number % 3 ? NULL : text;
}

static struct model *model_create(uint64_t seed)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    options.dim = DIM;
    m->db = store_create("a.vdb", options);
    m->seed = seed;
    m->next = 1;
    m->newest = 1;
    m->numbers[1] = 1;
    m->kept[1] = true;
    m->time_us[1] = store_info(m->db).commit_time_us;
    return m;
}

static void model_free(struct model *m)
{
    vdb_close(m->db);
    free(m);
}

static uint32_t below(struct model *m, uint32_t n)
{
    return (uint32_t)(store_random(&m->seed) >> 20) % n;
}

static void change(struct model *m, struct vdb_txn *txn, uint32_t id, uint32_t *live)
{
    struct vdb_error err;
    float vector[DIM];
    const char *text = id_of(id);
    uint32_t what = below(m, 5);
    if (what == 0 && *live) {
        must(vdb_txn_delete(txn, text, strlen(text), &err), &err);
        m->gone[id] = *live;
        *live = 0;
    } else if (what == 1 && !*live && m->gone[id]) {
        must(vdb_txn_restore(txn, text, strlen(text), &err), &err);
        *live = m->gone[id];
    } else {
        store_vector(m->next, DIM, vector);
        store_put(txn, text, vector, metadata_of(m->next));
        m->there[m->next] = true;
        *live = m->next++;
        assert_true(m->next < NUMBERS);
    }
}

/* The next commit is begun in the model, with the live rows of the one before. */
static void model_step(struct model *m)
{
    assert_true(++m->newest < COMMITS);
    memcpy(m->live[m->newest], m->live[m->newest - 1], sizeof m->live[0]);
    m->time_us[m->newest] = m->time_us[m->newest - 1] + STEP_US;
    m->kept[m->newest] = true;
}

static void commit_to(struct model *m, struct vdb *db)
{
    struct vdb_txn *txn = store_begin(db);
    model_step(m);
    txn->replayed = true;
    txn->time_us = m->time_us[m->newest];
    for (uint32_t i = 0, n = 1 + below(m, 5); i < n; i++) {
        uint32_t id = below(m, IDS);
        change(m, txn, id, &m->live[m->newest][id]);
    }
    assert_int_equal(store_commit(txn).commit, m->newest);
    m->numbers[m->newest] = m->next;
}

static void commits(struct model *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) commit_to(m, m->db);
}

static void name_newest(struct model *m, struct vdb *db)
{
    struct vdb_error err;
    uint64_t commit;
    const char *name = name_of(m->newest);
    must(vdb_name_create(db, name, strlen(name), &commit, &err), &err);
    assert_int_equal(commit, m->newest);
    m->named[m->newest] = true;
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_name found;
    assert_int_equal(vdb_name_find(s, name, strlen(name), &found, NULL), VDB_OK);
    m->named_us[m->newest] = found.created_us;
    vdb_snapshot_close(s);
}

static void remove_name(struct model *m, struct vdb *db, uint64_t commit)
{
    struct vdb_error err;
    const char *name = name_of(commit);
    must(vdb_name_remove(db, name, strlen(name), &err), &err);
    m->named[commit] = false;
}

static uint32_t live_count(const struct model *m, uint64_t commit)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < IDS; id++) count += m->live[commit][id] != 0;
    return count;
}

/* Rows of the file that were there after a commit. */
static uint32_t row_count(const struct model *m, uint64_t commit)
{
    uint32_t count = 0;
    for (uint32_t number = 1; number < m->numbers[commit]; number++) count += m->there[number];
    return count;
}

/* What kept commits up to `last` see, or came later, is what is there. */
static void model_compact(struct model *m, uint64_t last, bool all, int64_t since_us)
{
    for (uint64_t c = 1; c < last; c++)
        m->kept[c] = m->kept[c] && (m->named[c] || all || m->time_us[c + 1] > since_us);
    memset(m->there, 0, m->numbers[last]);
    for (uint64_t c = 1; c <= last; c++)
        for (uint32_t id = 0; id < IDS && m->kept[c]; id++) m->there[m->live[c][id]] = true;
    m->there[0] = false;
    memset(m->gone, 0, sizeof m->gone); /* it may be purged */
}

/* ---- held against it ----------------------------------------------------------------------- */

static void expect_row(const struct vdb_snapshot *s, uint32_t id, uint32_t number)
{
    struct vdb_error err;
    float vector[DIM], wanted[DIM];
    char *json;
    size_t len;
    uint32_t row;
    enum vdb_status status = vdb_find(s, id_of(id), strlen(id_of(id)), 0, &row, &err);
    if (status != (number ? VDB_OK : VDB_NOT_FOUND)) fail_msg("%s: %d", id_of(id), (int)status);
    if (!number) return;
    must(vdb_row_vector(s, row, vector, &err), &err);
    store_vector(number, DIM, wanted);
    assert_memory_equal(vector, wanted, sizeof vector);
    must(vdb_row_metadata(s, row, &json, &len, &err), &err);
    if (metadata_of(number))
        assert_string_equal(json, metadata_of(number));
    else
        assert_null(json);
    free(json);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void expect_nearest(const struct model *m, const struct vdb_snapshot *s, uint64_t commit,
                           const float *query)
{
    double all[IDS];
    uint32_t count = 0, found, k = 8;
    struct vdb_hit hits[8];
    struct vdb_error err;
    for (uint32_t id = 0; id < IDS; id++) {
        float vector[DIM];
        double sum = 0;
        if (!m->live[commit][id]) continue;
        store_vector(m->live[commit][id], DIM, vector);
        for (int i = 0; i < DIM; i++) sum += pow((double)vector[i] - (double)query[i], 2);
        all[count++] = sqrt(sum);
    }
    qsort(all, count, sizeof all[0], by_value);
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    options.k = k;
    options.ef = 200;
    must(vdb_search(s, query, 1, &options, hits, &found, &err), &err);
    assert_int_equal(found, count < k ? count : k);
    for (uint32_t i = 0; i < found; i++) assert_true(fabs(hits[i].distance - all[i]) < 1e-4);
}

static void expect_state(const struct model *m, const struct vdb_snapshot *newest, uint64_t commit)
{
    const struct vdb_snapshot *s;
    struct vdb_error err;
    struct vdb_info info;
    float query[DIM];
    must(vdb_snapshot_at(newest, commit, &s, &err), &err);
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.commit, commit);
    assert_int_equal(info.commit_time_us, m->time_us[commit]);
    assert_int_equal(info.live, live_count(m, commit));
    if (!m->disordered) assert_int_equal(info.rows, row_count(m, commit));
    for (uint32_t id = 0; id < IDS; id++) expect_row(s, id, m->live[commit][id]);
    store_vector((uint32_t)commit + NUMBERS, DIM, query);
    expect_nearest(m, s, commit, query);
    vdb_snapshot_close(s);
}

static bool tells(const char *message, uint64_t commit)
{
    char text[32];
    snprintf(text, sizeof text, "commit %llu", (unsigned long long)commit);
    for (const char *at = message; (at = strstr(at, text)) != NULL; at++)
        if (at[strlen(text)] < '0' || at[strlen(text)] > '9') return true;
    return false;
}

static void expect_purged(const struct model *m, const struct vdb_snapshot *newest, uint64_t commit)
{
    const struct vdb_snapshot *s;
    struct vdb_error err;
    uint64_t oldest = 1, before = commit, after = commit;
    while (!m->kept[oldest]) oldest++;
    while (before > oldest && !m->kept[before]) before--;
    while (!m->kept[after]) after++;
    assert_int_equal(vdb_snapshot_at(newest, commit, &s, &err), VDB_NOT_FOUND);
    bool told = tells(err.message, commit) && tells(err.message, oldest);
    if (before > oldest) told = told && tells(err.message, before) && tells(err.message, after);
    if (!told) fail_msg("%s", err.message);
}

static void expect_all(const struct model *m, struct vdb *db)
{
    const struct vdb_snapshot *newest = store_snapshot(db);
    struct vdb_info info;
    struct vdb_name name;
    uint64_t oldest = 1;
    uint32_t names = 0;
    while (!m->kept[oldest]) oldest++;
    vdb_snapshot_info(newest, &info);
    assert_int_equal(info.commit, m->newest);
    assert_int_equal(info.oldest_commit, oldest);
    for (uint64_t c = 1; c <= m->newest; c++) {
        if (m->kept[c])
            expect_state(m, newest, c);
        else
            expect_purged(m, newest, c);
        names += m->named[c];
        if (!m->named[c]) continue;
        assert_int_equal(vdb_name_find(newest, name_of(c), strlen(name_of(c)), &name, NULL),
                         VDB_OK);
        assert_int_equal(name.commit, c);
        assert_int_equal(name.live, live_count(m, c));
        if (!m->disordered) assert_int_equal(name.rows, row_count(m, c));
        assert_int_equal(name.created_us, m->named_us[c]);
        assert_int_equal(name.origin_commit, c);
        assert_memory_equal(name.origin_id, info.file_id, sizeof info.file_id);
        assert_int_equal(name.commit_time_us, m->time_us[c]);
    }
    assert_int_equal(vdb_name_at(newest, names, &name), VDB_NOT_FOUND);
    vdb_snapshot_close(newest);
}

/* What was purged is gone from the file, and what is held is in it once. */
static void compact(struct model *m, struct vdb_compact_options options, bool all, int64_t since_us)
{
    struct vdb_error err;
    uint64_t before = store_info(m->db).rows, purged = UINT64_MAX;
    const struct vdb_snapshot *s = store_snapshot(m->db);
    must(vdb_compact_purges(s, &options, &purged, &err), &err);
    vdb_snapshot_close(s);
    must(vdb_compact(m->db, &options, &err), &err);
    model_compact(m, m->newest, all, since_us);
    assert_int_equal(store_info(m->db).rows, row_count(m, m->newest));
    assert_int_equal(before - purged, row_count(m, m->newest));
    assert_int_equal(store_info(m->db).live, live_count(m, m->newest));
    expect_all(m, m->db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

static void compact_named(struct model *m)
{
    compact(m, (struct vdb_compact_options)VDB_COMPACT_OPTIONS_INIT, false, INT64_MAX);
}

/* ---- names --------------------------------------------------------------------------------- */

static void without_names_nothing_is_kept(void **state)
{
    (void)state;
    struct model *m = model_create(1);
    commits(m, 30);
    expect_all(m, m->db);
    compact_named(m);
    assert_int_equal(store_info(m->db).deleted, 0);
    model_free(m);
}

static void named_states_are_kept(void **state)
{
    (void)state;
    struct model *m = model_create(2);
    name_newest(m, m->db); /* of the commit that made the index */
    for (int i = 0; i < 5; i++) {
        commits(m, 7);
        name_newest(m, m->db);
    }
    commits(m, 9);
    compact_named(m);
    compact_named(m); /* of what it left itself */
    for (int i = 0; i < 3; i++) {
        commits(m, 6);
        name_newest(m, m->db);
    }
    compact_named(m); /* the newest of them is that of the commit it begins with */
    commits(m, 3);
    compact_named(m);
    model_free(m);
}

static void rows_go_when_their_last_name_does(void **state)
{
    (void)state;
    struct model *m = model_create(3);
    for (int i = 0; i < 6; i++) {
        commits(m, 6);
        name_newest(m, m->db);
    }
    commits(m, 2);
    for (uint64_t c = 1; c < m->newest; c++) {
        if (!m->named[c]) continue;
        remove_name(m, m->db, c);
        expect_all(m, m->db); /* until it is purged it can be had */
        compact_named(m);
    }
    assert_int_equal(store_info(m->db).deleted, 0);
    model_free(m);
}

/* Parts come in between, and compactions of compactions. */
static void many_rounds(void **state)
{
    (void)state;
    struct model *m = model_create(4);
    struct vdb_error err;
    for (int round = 0; round < 12; round++) {
        for (uint32_t i = 0, n = 1 + below(m, 4); i < n; i++) {
            commits(m, 1 + below(m, 5));
            if (below(m, 3)) name_newest(m, m->db);
        }
        if (below(m, 2)) must(vdb_maintain(m->db, NULL, &err), &err);
        for (uint64_t c = 1; c < m->newest; c++)
            if (m->named[c] && !below(m, 4)) remove_name(m, m->db, c);
        if (below(m, 3)) compact_named(m);
    }
    expect_all(m, m->db);
    model_free(m);
}

static void a_kept_state_can_be_rolled_back_to(void **state)
{
    (void)state;
    struct model *m = model_create(5);
    struct vdb_error err;
    commits(m, 20);
    name_newest(m, m->db);
    uint64_t wanted = m->newest;
    commits(m, 20);
    compact_named(m);
    commits(m, 3);
    uint64_t before = m->newest;
    struct vdb_commit_info info;
    must(vdb_rollback(m->db, wanted, &info, &err), &err);
    model_step(m);
    m->time_us[m->newest] = store_info(m->db).commit_time_us;
    memcpy(m->live[m->newest], m->live[wanted], sizeof m->live[0]);
    m->numbers[m->newest] = m->next;
    assert_int_equal(info.commit, m->newest);
    expect_all(m, m->db);
    must(vdb_rollback(m->db, before, &info, &err), &err);
    model_step(m);
    m->time_us[m->newest] = store_info(m->db).commit_time_us;
    memcpy(m->live[m->newest], m->live[before], sizeof m->live[0]);
    m->numbers[m->newest] = m->next;
    expect_all(m, m->db);
    compact_named(m);
    model_free(m);
}

/* ---- ages ---------------------------------------------------------------------------------- */

static void rows_are_kept_by_age(void **state)
{
    (void)state;
    struct model *m = model_create(6);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    commits(m, 10);
    name_newest(m, m->db);
    commits(m, 40);
    options.now_us = m->time_us[m->newest] + STEP_US / 2;
    /* At the moment where the window begins, a commit is the newest that is older: it is kept. */
    options.keep_rows_seconds = 20 * STEP_US / 1000000;
    compact(m, options, false, options.now_us - 20 * (int64_t)STEP_US);
    assert_true(m->kept[m->newest - 20] && !m->kept[m->newest - 21] && m->kept[11]);
    commits(m, 10);
    options.now_us = m->time_us[m->newest];
    options.keep_rows_seconds = 15 * STEP_US / 1000000;
    compact(m, options, false, options.now_us - 15 * (int64_t)STEP_US);
    options.keep_rows_seconds = 1000 * (STEP_US / 1000000); /* what is purged does not come back */
    compact(m, options, false, options.now_us - 1000 * (int64_t)STEP_US);
    options.now_us += 1000 * (int64_t)STEP_US;
    options.keep_rows_seconds = 1;
    compact(m, options, false, options.now_us - 1000000);
    assert_int_equal(store_info(m->db).oldest_commit, 11);
    options.keep_rows_seconds = VDB_RECENT_SECONDS_MAX + 1;
    struct vdb_error err;
    assert_int_equal(vdb_compact(m->db, &options, &err), VDB_INVALID);
    model_free(m);
}

static void all_rows_are_kept(void **state)
{
    (void)state;
    struct model *m = model_create(7);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.keep_rows_seconds = UINT64_MAX;
    for (int round = 0; round < 3; round++) {
        commits(m, 25);
        compact(m, options, true, 0);
        compact(m, options, true, 0);
    }
    for (uint64_t c = 1; c <= m->newest; c++) assert_true(m->kept[c]);
    model_free(m);
}

static void an_output_has_nothing_of_the_past(void **state)
{
    (void)state;
    struct model *m = model_create(8);
    struct vdb_error err;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    commits(m, 20);
    name_newest(m, m->db);
    commits(m, 20);
    struct buf dense = {0}, other = {0};
    options.output = store_path("b.vdb");
    options.keep_rows_seconds = UINT64_MAX;
    must(vdb_compact(m->db, &options, &err), &err);
    store_read("b.vdb", &dense);
    compact_named(m);
    assert_true(store_info(m->db).deleted > 0);
    must(vdb_compact(m->db, &options, &err), &err);
    store_read("b.vdb", &other); /* whatever the index it comes from keeps */
    assert_int_equal(dense.len, other.len);
    assert_memory_equal(dense.data, other.data, dense.len);
    struct vdb *db = store_open("b.vdb");
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_name name;
    assert_int_equal(vdb_name_at(s, 0, &name), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    assert_int_equal(store_info(db).rows, live_count(m, m->newest));
    assert_int_equal(store_info(db).deleted, 0);
    vdb_close(db);
    buf_release(&dense);
    buf_release(&other);
    model_free(m);
}

/* ---- every kind of index ------------------------------------------------------------------- */

enum { MANY = 3000, MANY_DIM = 12, QUERIES = 20, NEAREST = 10 };

static bool lives(uint32_t number, bool past)
{
    return past ? number < MANY : number >= MANY / 3;
}

/* How many of the nearest are found by a search at ordinary effort. */
static uint32_t hits_of(const struct vdb_snapshot *s, bool past)
{
    uint32_t hit = 0;
    for (uint32_t q = 0; q < QUERIES; q++) {
        float query[MANY_DIM], vector[MANY_DIM];
        double all[MANY + 500];
        uint32_t count = 0, found;
        struct vdb_hit hits[NEAREST];
        struct vdb_error err;
        store_vector(100000 + q, MANY_DIM, query);
        for (uint32_t number = 0; number < MANY + 500; number++) {
            double sum = 0;
            if (!lives(number, past)) continue;
            store_vector(number, MANY_DIM, vector);
            for (int i = 0; i < MANY_DIM; i++) sum += pow((double)vector[i] - (double)query[i], 2);
            all[count++] = sqrt(sum);
        }
        qsort(all, count, sizeof all[0], by_value);
        must(vdb_search(s, query, 1, NULL, hits, &found, &err), &err);
        assert_int_equal(found, NEAREST);
        for (uint32_t i = 0; i < NEAREST; i++) {
            const char *id;
            size_t len;
            hit += hits[i].distance <= all[NEAREST - 1] + 1e-4;
            must(vdb_row_id(s, hits[i].row, &id, &len, &err), &err);
            if (!lives((uint32_t)strtoul(id + 1, NULL, 10), past)) fail_msg("%.*s", (int)len, id);
        }
    }
    return hit;
}

static void expect_found(const struct vdb_snapshot *s, bool past, int kind)
{
    uint32_t hit = hits_of(s, past);
    if (hit * 100 < QUERIES * NEAREST * 93)
        fail_msg("kind %d, past %d: %u of %d", kind, past, hit, QUERIES * NEAREST);
}

static void of_kind(enum vdb_index_kind kind)
{
    struct vdb_create_options create = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    const struct vdb_snapshot *s, *then;
    uint64_t commit;
    create.dim = MANY_DIM;
    struct vdb *db = store_create("a.vdb", create);
    store_add_many(db, 0, MANY, MANY_DIM);
    must(vdb_name_create(db, "all", 3, &commit, &err), &err);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = 0; i < MANY / 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%u", i);
        must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    }
    store_commit(txn);
    store_add_many(db, MANY, 500, MANY_DIM);
    options.set_index = 1;
    options.index = kind;
    if (kind == VDB_INDEX_HYBRID) options.recent_rows = 1000;
    must(vdb_compact(db, &options, &err), &err);
    assert_int_equal(store_info(db).rows, MANY + 500);
    s = store_snapshot(db);
    must(vdb_snapshot_at(s, commit, &then, &err), &err);
    expect_found(s, false, kind);
    expect_found(then, true, kind);
    vdb_snapshot_close(then);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
    assert_int_equal(remove(store_path("a.vdb")), 0);
}

static void every_kind_of_index_sees_the_past(void **state)
{
    (void)state;
    of_kind(VDB_INDEX_GRAPH);
    of_kind(VDB_INDEX_HNSW);
    of_kind(VDB_INDEX_IVF);
    of_kind(VDB_INDEX_HYBRID);
    of_kind(VDB_INDEX_FLAT);
}

/* ---- beside others ------------------------------------------------------------------------- */

struct meanwhile {
    struct model *m;
    struct vdb *db; /* another handle */
    uint64_t from;  /* what it is compacted from */
    uint64_t received;
    int calls;
};

static const struct origin elsewhere = {"another's file", 77};

/* As if the newest commit had been received from another index. */
static void mark_received(struct meanwhile *w)
{
    struct vdb_error err;
    struct log_name_change mark = {.operation = DISK_NAME_RECEIVED, .snapshot.origin = elsewhere};
    struct vdb_txn *txn = store_begin(w->db);
    must(txn_name(txn, &mark, &err), &err);
    store_commit(txn);
    w->received = w->m->newest;
}

static int go_on(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct meanwhile *w = context;
    (void)phase;
    (void)done;
    (void)total;
    if (w->calls++ > 0) return 0;
    w->from = w->m->newest;
    remove_name(w->m, w->db, w->from); /* and given anew, to the same commit */
    name_newest(w->m, w->db);
    remove_name(w->m, w->db, 11);
    for (int i = 0; i < 12; i++) {
        commit_to(w->m, w->db);
        if (i % 3 == 0) name_newest(w->m, w->db);
        if (i % 6 == 0) remove_name(w->m, w->db, w->m->newest);
        if (i == 7) mark_received(w);
    }
    name_newest(w->m, w->db);
    return 0;
}

static void names_given_meanwhile_are_carried_over(void **state)
{
    (void)state;
    struct model *m = model_create(9);
    struct vdb_error err;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct meanwhile w = {.m = m, .db = store_open("a.vdb")};
    for (int i = 0; i < 3; i++) {
        commits(m, 10);
        name_newest(m, m->db);
    }
    commits(m, 5);
    name_newest(m, m->db);
    options.progress = go_on;
    options.context = &w;
    must(vdb_compact(m->db, &options, &err), &err);
    assert_true(w.calls > 0);
    m->disordered = true;
    m->named[11] = true; /* it was when rows were chosen */
    m->named[w.from] = false;
    model_compact(m, w.from, false, INT64_MAX);
    m->named[11] = false;
    m->named[w.from] = true;
    expect_all(m, m->db);
    expect_all(m, w.db);
    const struct vdb_snapshot *s = store_snapshot(m->db);
    assert_int_equal(s->names->received_commit, w.received);
    assert_memory_equal(&s->names->origin, &elsewhere, sizeof elsewhere);
    vdb_snapshot_close(s);
    m->disordered = false;
    compact_named(m);
    vdb_close(w.db);
    model_free(m);
}

static int take_the_last_name(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct meanwhile *w = context;
    struct vdb_error err;
    (void)phase;
    (void)done;
    (void)total;
    if (w->calls++ > 0) return 0;
    must(vdb_name_remove(w->db, "z", 1, &err), &err);
    struct vdb_txn *txn = store_begin(w->db); /* as many as the names have room for then */
    for (int i = 0; i < 3; i++) {
        struct log_name_change name = {
            .operation = DISK_NAME_CREATE,
            .snapshot = {
                .commit = w->from, .created_us = 7, .name_len = 1, .name = {(char)('a' + i)}}};
        must(txn_name(txn, &name, &err), &err);
    }
    store_commit(txn);
    return 0;
}

/* Which is looked for where no name stands. */
static void the_last_name_may_go_meanwhile(void **state)
{
    (void)state;
    struct model *m = model_create(13);
    struct vdb_error err;
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct meanwhile w = {.m = m, .db = store_open("a.vdb")};
    commits(m, 5);
    must(vdb_name_create(m->db, "z", 1, &w.from, &err), &err);
    options.progress = take_the_last_name;
    options.context = &w;
    must(vdb_compact(m->db, &options, &err), &err);
    const struct vdb_snapshot *s = store_snapshot(m->db);
    assert_int_equal(s->names->count, 3);
    assert_string_equal(s->names->entries[0]->name, "a");
    assert_string_equal(s->names->entries[1]->name, "b");
    vdb_snapshot_close(s);
    vdb_close(w.db);
    model_free(m);
}

static int stop_seeking(void *context, const char *phase, uint64_t done, uint64_t total)
{
    int *asked = context;
    if (strcmp(phase, "find kept rows") != 0) return 0;
    assert_true(done <= total);
    return ++*asked == 1;
}

static void it_can_be_stopped_while_it_seeks(void **state)
{
    (void)state;
    struct model *m = model_create(10);
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_error err;
    int asked = 0;
    commits(m, 10);
    name_newest(m, m->db);
    commits(m, 10);
    options.progress = stop_seeking;
    options.context = &asked;
    assert_int_equal(vdb_compact(m->db, &options, &err), VDB_CANCELLED);
    assert_int_equal(asked, 1);
    expect_all(m, m->db);
    must(vdb_compact(m->db, &options, &err), &err);
    model_free(m);
}

/* ---- damage -------------------------------------------------------------------------------- */

static const struct segment_entry *states_of(const struct vdb_snapshot *s)
{
    const struct manifest *m = &s->generation->manifest;
    for (uint32_t i = 0; i < m->segment_count; i++)
        if (m->segments[i].type == DISK_SEGMENT_STATES) return &m->segments[i];
    fail_msg("no states are kept");
    return NULL;
}

/* Or it would be given a fresh checksum and never be found. */
static void damaged_states_are_not_carried_over(void **state)
{
    (void)state;
    struct model *m = model_create(11);
    struct vdb_error err;
    struct buf bytes = {0};
    commits(m, 10);
    name_newest(m, m->db);
    commits(m, 10);
    compact_named(m);
    const struct vdb_snapshot *s = store_snapshot(m->db);
    const struct segment_entry segment = *states_of(s);
    vdb_snapshot_close(s);
    vdb_close(m->db);
    store_read("a.vdb", &bytes);
    bytes.data[segment.off + segment.len - 1] ^= 1; /* of the last flip */
    store_write("a.vdb", &bytes);
    m->db = store_open("a.vdb");
    assert_int_equal(vdb_compact(m->db, NULL, &err), VDB_CORRUPT);
    assert_string_equal(err.segment, "states");
    assert_int_equal(err.offset, segment.off);
    remove_name(m, m->db, 11);
    must(vdb_compact(m->db, NULL, &err), &err); /* which does not need them */
    buf_release(&bytes);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_names_nothing_is_kept, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(named_states_are_kept, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(rows_go_when_their_last_name_does, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(many_rounds, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(a_kept_state_can_be_rolled_back_to, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(rows_are_kept_by_age, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(all_rows_are_kept, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(an_output_has_nothing_of_the_past, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(every_kind_of_index_sees_the_past, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(it_can_be_stopped_while_it_seeks, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(damaged_states_are_not_carried_over, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(names_given_meanwhile_are_carried_over, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(the_last_name_may_go_meanwhile, store_setup,
                                        store_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
