/* durable_scan.c: searches of rows that no part covers yet.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/durable.h"

#define ROWS    65536
#define BATCH   4096
#define QUERIES 500
#define CODED   128 /* queries after which rows have codes */
#define K       10

static void make_tail(const char *path, enum vdb_type type, float *rows)
{
    struct vdb_error err = {0};
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.type = type;
    for (size_t i = 0; i < (size_t)ROWS * DIM && type == VDB_TYPE_U8; i++)
        rows[i] = fminf(fmaxf(rintf(128 + 30 * rows[i]), 0), 255);
    unlink(path);
    if (vdb_create(path, &options, &err)) die(path, &err);
    struct vdb *db = index_open(path);
    sync_off = true;
    for (size_t i = 0; i < ROWS; i += BATCH) commit_rows(db, "row", i, BATCH, rows + i * DIM);
    sync_off = false;
    vdb_close(db);
}

static double search_ms(struct vdb_searcher *searcher, const float *query)
{
    struct vdb_error err = {0};
    struct vdb_hit hits[K];
    uint32_t found;
    double begin = now_ms();
    if (vdb_searcher_search(searcher, query, hits, &found, &err)) die("vdb_searcher_search", &err);
    return now_ms() - begin;
}

/* Queries are rows but for some of their dimensions, so that they have neighbours. */
static void measure_type(const char *name, enum vdb_type type)
{
    const char *path = "tail.vdb";
    struct vdb_error err = {0};
    const struct vdb_snapshot *now;
    struct vdb_searcher *searcher;
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct times *times = times_new(QUERIES);
    float *rows = rows_make(0, ROWS);
    make_tail(path, type, rows);
    struct vdb *db = index_open(path);
    options.k = K;
    options.threads = 1;
    if (vdb_snapshot_open(db, &now, &err)) die("vdb_snapshot_open", &err);
    if (vdb_searcher_open(now, &options, &searcher, &err)) die("vdb_searcher_open", &err);
    double first = search_ms(searcher, rows), longest = 0;
    for (size_t i = 0; i < CODED + QUERIES; i++) {
        float *query = rows + (i * 131 + 7) % ROWS * DIM;
        for (size_t d = 0; d < DIM; d += 3) query[d] = rows[(i * 17 + 1) % ROWS * DIM + d];
        double took = search_ms(searcher, query);
        if (i >= CODED)
            times_add(times, took);
        else
            longest = fmax(longest, took);
    }
    double us = 1e3 * times_quantile(times, 0.5);
    note(
        "tail of %d rows of %d dimensions, %s: the first query %.0f us, the longest of the next %d "
        "%.0f, then p50 %.0f, p99 %.0f",
        ROWS, DIM, name, 1e3 * first, CODED, 1e3 * longest, us, 1e3 * times_quantile(times, 0.99));
    char what[64];
    snprintf(what, sizeof what, "query of 65,536 rows in the tail, %s", name);
    figure(what, "<= 100 us", us <= 100, "%.0f us", us);
    vdb_searcher_close(searcher);
    vdb_snapshot_close(now);
    vdb_close(db);
    times_free(times);
    free(rows);
    unlink(path);
}

void measure_scan(void)
{
    measure_type("f32", VDB_TYPE_F32);
    measure_type("u8", VDB_TYPE_U8);
}
