/* durable_commit.c: the speed of commits: of one row, of batches, and of many writers.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/durable.h"

/* ---- one row, against a bare loop ---------------------------------------------------------- */

#define ROUNDS 10
#define TURNS  10 /* of each round, the two after one another */
#define STEPS  10 /* commits or bare writes a turn */

void measure_commits(void)
{
    index_make("commits.vdb", VDB_INDEX_AUTO);
    struct vdb *db = index_open("commits.vdb");
    float row[DIM];
    uint64_t number = 0, before = 0;
    for (; number < 3; number++) { /* the last one's bytes count: the first have more to set up */
        row_make(number, row);
        before = bytes_written();
        commit_rows(db, "row", number, 1, row);
    }
    size_t len = (size_t)(bytes_written() - before), writes = ROUNDS * TURNS * STEPS;
    struct bare bare;
    bare_open(&bare, "commits.bare", len, writes);
    struct times *ours = times_new(writes), *theirs = times_new(writes);
    struct spread rates = {0};
    double cpu[2] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        double sum[2] = {0};
        for (int turn = 0; turn < 2 * TURNS; turn++) {
            bool commit = (turn + turn / 2 + round) % 2;
            for (int i = 0; i < STEPS; i++) {
                row_make(number, row);
                double before_cpu = cpu_ms();
                double took = commit ? commit_rows(db, "row", number++, 1, row) : bare_write(&bare);
                times_add(commit ? ours : theirs, took);
                sum[commit] += took;
                cpu[commit] += cpu_ms() - before_cpu;
            }
        }
        spread_add(&rates, sum[0] / sum[1]);
    }
    char text[64];
    double p99 = times_quantile(ours, 0.99), bare_p99 = times_quantile(theirs, 0.99);
    note("commit of one row, %zu bytes, %zu times: p50 %.3f ms, p99 %.3f, longest %.3f; of the "
         "processor %.3f",
         len, ours->count, times_quantile(ours, 0.5), p99, times_quantile(ours, 1),
         cpu[1] / (double)ours->count);
    note("bare pwrite and fdatasync of as many: p50 %.3f ms, p99 %.3f, longest %.3f; of the "
         "processor %.3f",
         times_quantile(theirs, 0.5), bare_p99, times_quantile(theirs, 1),
         cpu[0] / (double)theirs->count);
    figure("commits of one row a second / bare loop", ">= 0.80 x", spread_median(&rates) >= 0.8,
           "%s", spread_text(&rates, text));
    figure("  p99 of one / bare loop", "<= 1.50 x", p99 <= 1.5 * bare_p99, "%.2f x",
           p99 / bare_p99);
    times_free(ours);
    times_free(theirs);
    bare_close(&bare);
    vdb_close(db);
    unlink("commits.vdb");
    unlink("commits.bare");
}

/* ---- batches ------------------------------------------------------------------------------- */

#define BATCH   1000
#define BATCHES 60

/* Another handle, which sees each batch as soon as it is acknowledged. */
struct reader {
    struct vdb *db;
    const struct vdb_snapshot *seen;
};

static void reader_open(struct reader *reader, const char *path)
{
    struct vdb_error err = {0};
    reader->db = index_open(path);
    if (vdb_snapshot_open(reader->db, &reader->seen, &err)) die("vdb_snapshot_open", &err);
}

static double reader_look(struct reader *reader, uint64_t live, const char *id, bool there)
{
    struct vdb_error err = {0};
    struct vdb_info info;
    uint32_t row;
    double begin = now_ms();
    if (vdb_refresh(reader->db, &reader->seen, &err)) die("vdb_refresh", &err);
    vdb_snapshot_info(reader->seen, &info);
    bool found = vdb_find(reader->seen, id, strlen(id), 0, &row, &err) == VDB_OK;
    double took = now_ms() - begin;
    if (info.live != live || found != there) {
        fprintf(stderr, "durable: a reader sees %llu rows, not %llu, or not %s\n",
                (unsigned long long)info.live, (unsigned long long)live, id);
        exit(1);
    }
    return took;
}

static void reader_close(struct reader *reader)
{
    vdb_snapshot_close(reader->seen);
    vdb_close(reader->db);
}

struct batches {
    const char *path;
    const float *vectors;
    struct times *adds, *deletes, *looks, *bare;
};

static void run_batches(void *argument)
{
    const struct batches *b = argument;
    struct vdb *db = index_open(b->path);
    struct reader reader;
    reader_open(&reader, b->path);
    struct bare bare;
    char id[64];
    if (b->bare) bare_open(&bare, "batches.bare", BATCH * DIM * sizeof(float), 8);
    for (uint64_t i = 0; i < BATCHES; i++) {
        if (b->bare) times_add(b->bare, bare_write(&bare));
        times_add(b->adds, commit_rows(db, "row", i * BATCH, BATCH, b->vectors + i * BATCH * DIM));
        snprintf(id, sizeof id, "row%llu", (unsigned long long)(i * BATCH + BATCH - 1));
        times_add(b->looks, reader_look(&reader, (i + 1) * BATCH, id, true));
    }
    for (uint64_t i = 0; i < BATCHES; i++) {
        times_add(b->deletes, commit_deletes(db, "row", i * BATCH, BATCH));
        snprintf(id, sizeof id, "row%llu", (unsigned long long)(i * BATCH + BATCH - 1));
        times_add(b->looks, reader_look(&reader, (BATCHES - 1 - i) * BATCH, id, false));
    }
    if (b->bare) bare_close(&bare);
    reader_close(&reader);
    vdb_close(db);
}

static double each_second(const struct times *times)
{
    return 1e3 * BATCH * (double)times->count / times_sum(times);
}

static void report_batches(const struct batches *b, const char *how)
{
    char name[96];
    double adds = each_second(b->adds), deletes = each_second(b->deletes);
    note("batches of %d, %s: adding p50 %.2f ms, longest %.2f; deleting p50 %.2f, longest %.2f; "
         "the next reader p50 %.3f, longest %.3f",
         BATCH, how, times_quantile(b->adds, 0.5), times_quantile(b->adds, 1),
         times_quantile(b->deletes, 0.5), times_quantile(b->deletes, 1),
         times_quantile(b->looks, 0.5), times_quantile(b->looks, 1));
    snprintf(name, sizeof name, "durable rows a second, %s", how);
    figure(name, ">= 20000", adds >= 20000, "%.0f", adds);
    snprintf(name, sizeof name, "durable deletes a second, %s", how);
    figure(name, ">= 20000", deletes >= 20000, "%.0f", deletes);
}

void measure_batches(void)
{
    float *vectors = rows_make(0, BATCH * BATCHES);
    struct stage *stage = stage_new();
    for (int maintained = 0; maintained < 2; maintained++) {
        struct batches b = {"batches.vdb",          vectors,
                            times_new(BATCHES),     times_new(BATCHES),
                            times_new(2 * BATCHES), maintained ? NULL : times_new(BATCHES)};
        index_make(b.path, VDB_INDEX_AUTO);
        struct upkeep upkeep = {b.path, stage};
        pid_t other = maintained ? child_start(keep_maintained, &upkeep) : 0;
        if (maintained) stage_begin(stage, 1);
        child_run(run_batches, &b);
        stage->stop = true;
        if (maintained) child_await(other);
        if (b.bare)
            note("bare pwrite and fdatasync of their vectors: p50 %.2f ms; the batches take %.2f "
                 "times as long",
                 times_quantile(b.bare, 0.5), times_sum(b.adds) / times_sum(b.bare));
        stage->stop = false;
        report_batches(&b, maintained ? "with maintenance" : "alone");
        times_free(b.adds);
        times_free(b.deletes);
        times_free(b.looks);
        if (b.bare) times_free(b.bare);
    }
    stage_free(stage);
    free(vectors);
    unlink("batches.vdb");
    unlink("batches.bare");
}

/* ---- many writers -------------------------------------------------------------------------- */

#define WRITERS      8
#define WRITERS_MS   3000
#define WRITER_ROUND 2

struct writer {
    int number;
    struct stage *stage;
    struct times *times;
};

static void write_on(void *argument)
{
    const struct writer *writer = argument;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "writer%d of %ld-", writer->number, (long)getpid());
    struct vdb *db = index_open("writers.vdb");
    float row[DIM];
    stage_enter(writer->stage);
    for (uint64_t i = 0; !writer->stage->stop; i++) {
        row_make(i, row);
        times_add(writer->times, commit_rows(db, prefix, i, 1, row));
    }
    vdb_close(db);
}

/* Appends the times of each of `count` writers to those of `each`. */
static double run_writers(int count, struct times *each[WRITERS])
{
    struct stage *stage = stage_new();
    struct writer writers[WRITERS];
    pid_t pids[WRITERS];
    for (int i = 0; i < count; i++) {
        writers[i] = (struct writer){i, stage, each[i]};
        pids[i] = child_start(write_on, &writers[i]);
    }
    stage_begin(stage, (unsigned)count);
    double begin = now_ms();
    sleep_ms(WRITERS_MS / WRITER_ROUND / (count == 1 ? 2 : 1));
    stage->stop = true;
    for (int i = 0; i < count; i++) child_await(pids[i]);
    double took = now_ms() - begin;
    stage_free(stage);
    return took;
}

void measure_writers(void)
{
    struct times *alone[WRITERS] = {times_new(100000)}, *each[WRITERS],
                 *all = times_new(WRITERS * 100000);
    double alone_ms = 0, all_ms = 0, p99_low = 1e9, p99_high = 0;
    size_t least = SIZE_MAX, most = 0;
    for (int i = 0; i < WRITERS; i++) each[i] = times_new(100000);
    index_make("writers.vdb", VDB_INDEX_AUTO);
    for (int round = 0; round < WRITER_ROUND; round++) {
        alone_ms += run_writers(1, alone);
        all_ms += run_writers(WRITERS, each);
    }
    for (int i = 0; i < WRITERS; i++) {
        double p99 = times_quantile(each[i], 0.99);
        if (p99 < p99_low) p99_low = p99;
        if (p99 > p99_high) p99_high = p99;
        if (each[i]->count < least) least = each[i]->count;
        if (each[i]->count > most) most = each[i]->count;
        times_join(all, each[i]);
    }
    double p99 = times_quantile(all, 0.99);
    note("one writer: %.0f commits a second, p50 %.2f ms; %d: %.0f, p50 %.2f ms, p99 %.2f (of each "
         "writer %.2f to %.2f), longest %.2f",
         1e3 * (double)alone[0]->count / alone_ms, times_quantile(alone[0], 0.5), WRITERS,
         1e3 * (double)all->count / all_ms, times_quantile(all, 0.5), p99, p99_low, p99_high,
         times_quantile(all, 1));
    note("commits of a writer: %zu to %zu", least, most);
    figure("8 writers, commit with its wait, p99", "<= 100 ms", p99 <= 100, "%.1f ms", p99);
    for (int i = 0; i < WRITERS; i++) times_free(each[i]);
    times_free(alone[0]);
    times_free(all);
    unlink("writers.vdb");
}
