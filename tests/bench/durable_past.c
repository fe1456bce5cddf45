/* durable_past.c: what snapshots, restores, searches of the past, streams and compaction cost.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/durable.h"

#define K 10

static const struct vdb_snapshot *newest(struct vdb *db)
{
    struct vdb_error err = {0};
    const struct vdb_snapshot *now;
    if (vdb_snapshot_open(db, &now, &err)) die("vdb_snapshot_open", &err);
    return now;
}

static uint64_t name_newest(struct vdb *db, const char *name)
{
    struct vdb_error err = {0};
    uint64_t commit;
    if (vdb_name_create(db, name, strlen(name), &commit, &err)) die("vdb_name_create", &err);
    return commit;
}

/* ---- names and restores at a million rows -------------------------------------------------- */

#define MANY    1000000
#define LOADED  50000 /* rows of a commit that loads them */
#define NAMES   200
#define CHANGES 1000

static void load(const char *path, uint64_t rows, size_t batch, enum vdb_index_kind kind)
{
    index_make(path, kind);
    struct vdb *db = index_open(path);
    sync_off = true;
    for (uint64_t first = 0; first < rows; first += batch) {
        float *vectors = rows_make(first, batch);
        commit_rows(db, "row", first, batch, vectors);
        free(vectors);
    }
    maintain(db);
    sync_off = false;
    vdb_close(db);
}

static void measure_names(struct vdb *db)
{
    struct times *commits = times_new(NAMES), *names = times_new(NAMES);
    float row[DIM];
    for (uint64_t i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof name, "name %" PRIu64, i);
        row_make(i, row);
        times_add(commits, commit_rows(db, "named", i, 1, row));
        double begin = now_ms();
        name_newest(db, name);
        times_add(names, now_ms() - begin);
    }
    double beyond = times_quantile(names, 0.5) - times_quantile(commits, 0.5);
    note("%d rows: a commit of one row p50 %.2f ms, p99 %.2f; a snapshot p50 %.2f, p99 %.2f", MANY,
         times_quantile(commits, 0.5), times_quantile(commits, 0.99), times_quantile(names, 0.5),
         times_quantile(names, 0.99));
    figure("snapshot of a million rows, beyond a commit", "<= 5 ms", beyond <= 5, "%.2f ms",
           beyond);
    times_free(commits);
    times_free(names);
}

/* Every other one a delete, else a row in the place of another; a commit each. */
static void change(struct vdb *db, uint64_t rows, uint64_t count)
{
    float row[DIM];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = i * 7919 % rows;
        row_make(i + rows, row);
        if (i % 2)
            commit_deletes(db, "row", number, 1);
        else
            commit_rows(db, "row", number, 1, row);
    }
}

static void measure_restores(struct vdb *db)
{
    struct times *times = times_new(8);
    for (int i = 0; i < 5; i++) {
        struct vdb_error err = {0};
        struct vdb_commit_info info;
        char name[32];
        snprintf(name, sizeof name, "restore %d", i);
        uint64_t commit = name_newest(db, name);
        change(db, MANY, CHANGES);
        double begin = now_ms();
        if (vdb_rollback(db, commit, &info, &err)) die("vdb_rollback", &err);
        times_add(times, now_ms() - begin);
    }
    double worst = times_quantile(times, 1);
    note("restore of a snapshot %d changes back, of %d rows: p50 %.2f ms, longest %.2f", CHANGES,
         MANY, times_quantile(times, 0.5), worst);
    figure("restore, 1,000 changes back, longest of 5", "<= 50 ms", worst <= 50, "%.1f ms", worst);
    times_free(times);
}

/* ---- searches of the past ------------------------------------------------------------------ */

#define ROWS    60000
#define QUERIES 2000
#define TRUTHS  200

/* Queries a second with one thread; *recall of the first TRUTHS of them. */
static double search_speed(const struct vdb_snapshot *s, const float *queries, double *recall)
{
    struct vdb_error err = {0};
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit *hits = malloc(QUERIES * K * sizeof *hits),
                   *truth = malloc(TRUTHS * K * sizeof *truth);
    uint32_t *found = malloc(QUERIES * sizeof *found);
    how.threads = 1;
    double best = 0;
    for (int round = 0; round < 4; round++) { /* the first one warms up */
        double begin = now_ms();
        if (vdb_search(s, queries, QUERIES, &how, hits, found, &err)) die("vdb_search", &err);
        double speed = QUERIES / (now_ms() - begin) * 1e3;
        if (round && speed > best) best = speed;
    }
    how.exact = 1;
    if (vdb_search(s, queries, TRUTHS, &how, truth, found, &err)) die("vdb_search", &err);
    int right = 0;
    for (int q = 0; q < TRUTHS; q++)
        for (int i = 0; i < K; i++)
            right += hits[q * K + i].distance <= truth[q * K + K - 1].distance;
    *recall = (double)right / (TRUTHS * K);
    free(hits);
    free(truth);
    free(found);
    return best;
}

static void measure_past_search(struct vdb *db)
{
    double recall_then, recall_now, recall_past;
    float *queries = rows_make((uint64_t)1 << 40, QUERIES);
    const struct vdb_snapshot *then = newest(db), *now, *past;
    double speed_then = search_speed(then, queries, &recall_then);
    vdb_snapshot_close(then);
    uint64_t before = name_newest(db, "before");
    float *rows = rows_make(ROWS, ROWS / 10);
    commit_rows(db, "row", 0, ROWS / 10, rows);
    commit_deletes(db, "row", ROWS / 2, ROWS / 10);
    maintain(db);
    free(rows);
    now = newest(db);
    struct vdb_error err = {0};
    double begin = now_ms();
    if (vdb_snapshot_at(now, before, &past, &err)) die("vdb_snapshot_at", &err);
    double opened = now_ms() - begin;
    double speed_now = search_speed(now, queries, &recall_now);
    double speed_past = search_speed(past, queries, &recall_past);
    note("%d rows: %.0f queries a second at recall %.4f; with a fifth of them changed %.0f at "
         "%.4f, and of the state before %.0f at %.4f, which took %.2f ms to go back to",
         ROWS, speed_then, recall_then, speed_now, recall_now, speed_past, recall_past, opened);
    figure("search of the past / search now", ">= 0.50 x", speed_past >= 0.5 * speed_now, "%.2f x",
           speed_past / speed_now);
    figure("  its recall less that of the time", ">= -0.005", recall_past >= recall_then - 0.005,
           "%+.4f", recall_past - recall_then);
    vdb_snapshot_close(past);
    vdb_snapshot_close(now);
    free(queries);
}

/* ---- streams ------------------------------------------------------------------------------- */

static int count_bytes(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(uint64_t *)context += len;
    return 0;
}

static uint64_t sent(const struct vdb_snapshot *from, const struct vdb_snapshot *to)
{
    struct vdb_error err = {0};
    uint64_t bytes = 0;
    if (vdb_send(from, to, count_bytes, &bytes, &err)) die("vdb_send", &err);
    return bytes;
}

static void measure_streams(struct vdb *db)
{
    uint64_t base = name_newest(db, "base");
    float *rows = rows_make(2 * ROWS, ROWS / 100);
    commit_rows(db, "row", ROWS / 3, ROWS / 100, rows);
    free(rows);
    const struct vdb_snapshot *now = newest(db), *past;
    struct vdb_error err = {0};
    if (vdb_snapshot_at(now, base, &past, &err)) die("vdb_snapshot_at", &err);
    uint64_t whole = sent(NULL, now), change = sent(past, now);
    note("stream of %d rows: whole %" PRIu64 " bytes, of 1%% of the rows %" PRIu64, ROWS, whole,
         change);
    figure("stream of 1% of the rows / whole", "<= 2.0%", (double)change <= 0.02 * (double)whole,
           "%.2f%%", 100.0 * (double)change / (double)whole);
    vdb_snapshot_close(past);
    vdb_snapshot_close(now);
}

/* ---- compaction ---------------------------------------------------------------------------- */

struct reader {
    const char *path;
    struct stage *stage;
    _Atomic uint64_t *answered;
};

static void read_on(void *argument)
{
    const struct reader *r = argument;
    struct vdb *db = index_open(r->path);
    const struct vdb_snapshot *now = newest(db);
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err = {0};
    how.threads = 1;
    stage_enter(r->stage);
    for (uint64_t i = 0; !r->stage->stop; i++) {
        struct vdb_hit hits[K];
        uint32_t found;
        float query[DIM];
        row_make(((uint64_t)1 << 40) + i, query);
        if (vdb_refresh(db, &now, &err)) die("vdb_refresh", &err);
        if (vdb_search(now, query, 1, &how, hits, &found, &err)) die("vdb_search", &err);
        ++*r->answered;
    }
    vdb_snapshot_close(now);
    vdb_close(db);
}

static void compact(void *path)
{
    struct vdb_error err = {0};
    struct vdb *db = index_open(path);
    if (vdb_compact(db, NULL, &err)) die("vdb_compact", &err);
    vdb_close(db);
}

static void wait_a_while(void *path)
{
    (void)path;
    sleep_ms(2000);
}

static void build_anew(void *path)
{
    load(path, ROWS, ROWS, VDB_INDEX_GRAPH);
}

/* Queries a second of another process while work(path) goes on; *took: milliseconds. */
static double read_beside(const char *path, void (*work)(void *path), double *took)
{
    struct stage *stage = stage_new();
    _Atomic uint64_t *answered = shared_memory(sizeof *answered);
    struct reader reader = {path, stage, answered};
    pid_t pid = child_start(read_on, &reader);
    stage_begin(stage, 1);
    double begin = now_ms();
    child_run(work, (void *)path);
    *took = now_ms() - begin;
    double speed = (double)*answered / *took * 1e3;
    stage->stop = true;
    child_await(pid);
    stage_free(stage);
    return speed;
}

static void measure_compaction(const char *path)
{
    double alone_ms, beside_ms;
    struct spread build = {0};
    for (int round = 0; round < 3; round++) {
        double begin = now_ms();
        child_run(build_anew, "anew.vdb");
        double anew = now_ms() - begin;
        begin = now_ms();
        child_run(compact, "anew.vdb");
        spread_add(&build, (now_ms() - begin) / anew);
        unlink("anew.vdb");
    }
    char text[64];
    figure("compaction of 60,000 rows / building anew", "<= 1.00 x", spread_median(&build) <= 1,
           "%s", spread_text(&build, text));
    double alone = read_beside(path, wait_a_while, &alone_ms);
    double beside = read_beside(path, compact, &beside_ms);
    note("one process searches: %.0f queries a second alone, %.0f beside a compaction of %.1f s",
         alone, beside, beside_ms / 1e3);
    figure("searches beside a compaction / alone", ">= 0.50 x", beside >= 0.5 * alone, "%.2f x",
           beside / alone);
}

void measure_past(void)
{
    load("many.vdb", MANY, LOADED, VDB_INDEX_FLAT);
    struct vdb *db = index_open("many.vdb");
    measure_names(db);
    measure_restores(db);
    vdb_close(db);
    unlink("many.vdb");
    load("past.vdb", ROWS, ROWS, VDB_INDEX_GRAPH);
    db = index_open("past.vdb");
    measure_past_search(db);
    measure_streams(db);
    vdb_close(db);
    measure_compaction("past.vdb");
    unlink("past.vdb");
}
