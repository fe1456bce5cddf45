/* bench_search.c: recall and queries a second of vdb and hnswlib, in turns, on one thread.
 *
 * bench_search ROUNDS U8.vdb F32.vdb PEER IMAGES QUERIES CACHE prints a line a pass over all
 * queries: contender, effort, round, recall@10, queries a second, divided by tabs. A pass is every
 * query once, one call a query. In round 0 each contender climbs from the lowest effort until its
 * recall is above ENOUGH; its times are those of cold caches and not for use. The rounds after it
 * run every effort tried, the contenders in turns, so that a slow minute of the machine strikes
 * all alike.
 *
 * Recall is counted here, the same for all: a row that was found is a true neighbour when it is
 * no further away than the tenth true one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/truth.h"
#include "vdb.h"

#define K      10
#define ENOUGH 0.9993 /* beyond the highest recall that is asked for */

static const uint32_t efforts[] = {10,  14,  20,  28,  40,  56,  80,  112,
                                   160, 224, 320, 448, 640, 896, 1280};
#define EFFORTS (sizeof efforts / sizeof efforts[0])

struct contender {
    const char *name;
    size_t effort_count; /* how many of `efforts` it needs */
    struct peer *peer;   /* hnswlib, or */
    struct vdb *db;      /* vdb */
    const struct vdb_snapshot *snapshot;
};

struct trial {
    struct images images, queries;
    float *vectors; /* the queries */
    uint32_t *reaches;
    uint32_t *rows; /* K a query: what the pass found */
    struct vdb_hit *hits;
    uint32_t *found;
};

/* The last processor that we may use: the first one is where a machine's own work tends to be. */
static void stay_on_one_processor(void)
{
    cpu_set_t all, one;
    size_t last = 0;
    if (sched_getaffinity(0, sizeof all, &all) != 0) die("no list of processors");
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all)) last = i;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) die("cannot stay on one processor");
}

static double recall(const struct trial *t)
{
    size_t good = 0;
    for (size_t q = 0; q < t->queries.count; q++) {
        const uint32_t *rows = t->rows + q * K;
        for (uint32_t i = 0; i < t->found[q]; i++) {
            int again = 0;
            for (uint32_t j = 0; j < i; j++) again |= rows[j] == rows[i];
            if (again || rows[i] >= t->images.count) die("a contender found row %u", rows[i]);
            good += truth_distance(t->queries.bytes + q * t->queries.dim,
                                   t->images.bytes + rows[i] * t->images.dim,
                                   t->images.dim) <= t->reaches[q];
        }
    }
    return (double)good / (double)(t->queries.count * K);
}

static void pass_of_peer(struct trial *t, struct peer *peer, uint32_t effort)
{
    peer_effort(peer, effort);
    for (size_t q = 0; q < t->queries.count; q++)
        t->found[q] =
            (uint32_t)peer_search(peer, t->vectors + q * t->queries.dim, K, t->rows + q * K);
}

static void pass_of_vdb(struct trial *t, const struct contender *c, int exact, uint32_t effort,
                        size_t count)
{
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    how.k = K;
    how.ef = effort;
    how.exact = exact;
    how.threads = 1;
    for (size_t q = 0; q < count; q++) {
        if (vdb_search(c->snapshot, t->vectors + q * t->queries.dim, 1, &how, t->hits + q * K,
                       t->found + q, &err) != VDB_OK)
            die("%s", err.message);
        for (uint32_t i = 0; i < t->found[q]; i++) t->rows[q * K + i] = t->hits[q * K + i].row;
    }
}

/* One pass; prints its line and returns its recall. */
static double pass(struct trial *t, const struct contender *c, uint32_t effort, int round)
{
    double begin = seconds();
    if (c->peer != NULL)
        pass_of_peer(t, c->peer, effort);
    else
        pass_of_vdb(t, c, 0, effort, t->queries.count);
    double took = seconds() - begin, share = recall(t);
    printf("%s\t%u\t%d\t%.6f\t%.1f\n", c->name, effort, round, share,
           (double)t->queries.count / took);
    fflush(stdout);
    return share;
}

static void open_index(struct contender *c, const char *path)
{
    struct vdb_error err;
    if (vdb_open(path, NULL, &c->db, &err) != VDB_OK ||
        vdb_snapshot_open(c->db, &c->snapshot, &err) != VDB_OK)
        die("%s", err.message);
}

/* Two programs that search exactly, and share nothing, have to agree. */
static void check_truth(struct trial *t, const struct contender *c)
{
    size_t some = t->queries.count < 50 ? t->queries.count : 50;
    pass_of_vdb(t, c, 1, 0, some);
    for (size_t q = 0; q < some; q++)
        if (t->found[q] != K ||
            truth_distance(t->queries.bytes + q * t->queries.dim,
                           t->images.bytes + t->rows[q * K + K - 1] * t->images.dim,
                           t->images.dim) != t->reaches[q])
            die("exact search and truth differ for query %zu", q);
}

static void run(struct trial *t, struct contender *contenders, size_t count, int rounds)
{
    for (size_t c = 0; c < count; c++) {
        double share = 0;
        struct contender *it = &contenders[c];
        while (it->effort_count < EFFORTS && share < ENOUGH)
            share = pass(t, it, efforts[it->effort_count++], 0);
    }
    for (int round = 1; round <= rounds; round++)
        for (size_t i = 0; i < EFFORTS; i++)
            for (size_t c = 0; c < count; c++)
                if (i < contenders[c].effort_count) pass(t, &contenders[c], efforts[i], round);
}

int main(int argc, char **argv)
{
    if (argc != 8)
        die("usage: bench_search ROUNDS U8.vdb F32.vdb PEER IMAGES QUERIES CACHE");
    struct trial t = {.images = images_read(argv[5]), .queries = images_read(argv[6])};
    struct contender contenders[3] = {{.name = "vdb-u8"}, {.name = "vdb-f32"}, {.name = "hnswlib"}};
    t.reaches = truth_reaches(&t.images, &t.queries, K, argv[7]);
    t.vectors = images_as_floats(&t.queries);
    t.rows = calloc(t.queries.count, K * sizeof *t.rows);
    t.hits = calloc(t.queries.count, K * sizeof *t.hits);
    t.found = calloc(t.queries.count, sizeof *t.found);
    if (t.rows == NULL || t.hits == NULL || t.found == NULL) die("out of memory");
    open_index(&contenders[0], argv[2]);
    open_index(&contenders[1], argv[3]);
    contenders[2].peer = peer_load(t.images.dim, argv[4]);
    if (contenders[2].peer == NULL) die("%s: hnswlib could not load it", argv[4]);

    stay_on_one_processor();
    check_truth(&t, &contenders[0]);
    run(&t, contenders, 3, atoi(argv[1]));

    peer_free(contenders[2].peer);
    for (int i = 0; i < 2; i++) {
        vdb_snapshot_close(contenders[i].snapshot);
        vdb_close(contenders[i].db);
    }
    return 0;
}
