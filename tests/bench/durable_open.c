/* durable_open.c: opening an index whose writer was killed, with as much in its log as there may
 * be, and a reader's going on to newer commits.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/durable.h"

#define PART_ROWS 70000 /* which events delete */
#define OPENS     5

struct tail {
    const char *name;
    uint32_t rows, events;         /* events: with the rows */
    uint32_t row_step, event_step; /* of one commit */
    double wanted;                 /* ms; 0: for information */
};

/* Maintenance comes at 2,048 rows, or 131,072 events with a commit counting as 16, and outside of
 * quiet hours at 16 times that. */
static const struct tail tails[] = {
    {"no tail", 0, 0, 1, 1, 0},
    {"2,047 rows, a commit each", 2047, 2047, 1, 1, 20},
    {"7,700 events, a commit each", 2047, 7700, 1, 1, 20},
    {"130,000 events, commits of 1,000", 2047, 130000, 1000, 1000, 20},
    {"16 x 2,047 rows, a commit each", 32767, 32767, 1, 1, 0},
    {"16 x 130,000 events, commits of 1,000", 32767, 2080000, 1, 1000, 0},
};
#define TAILS (sizeof tails / sizeof *tails)

static void make_part(void *argument)
{
    (void)argument;
    float *rows = rows_make(0, PART_ROWS);
    index_make("part.vdb", VDB_INDEX_FLAT);
    struct vdb *db = index_open("part.vdb");
    commit_rows(db, "row", 0, PART_ROWS, rows);
    maintain(db);
    vdb_close(db);
    free(rows);
}

/* Deletes or restores `count` rows of the part, from event number `first` on: all of them in turn
 * are deleted, then restored, and so on. */
static void change_rows(struct vdb *db, uint64_t first, size_t count)
{
    struct vdb_error err = {0};
    struct vdb_txn *txn;
    if (vdb_txn_begin(db, &txn, &err)) die("vdb_txn_begin", &err);
    for (uint64_t i = first; i < first + count; i++) {
        char id[64];
        size_t len = (size_t)snprintf(id, sizeof id, "row%u", (unsigned)(i % PART_ROWS));
        if (i / PART_ROWS % 2 ? vdb_txn_restore(txn, id, len, &err)
                              : vdb_txn_delete(txn, id, len, &err))
            die(id, &err);
    }
    if (vdb_txn_commit(txn, NULL, &err)) die("vdb_txn_commit", &err);
}

/* Ends by being killed in the sync of a last commit, which is one of the tail. */
static void make_tail(void *argument)
{
    const struct tail *tail = argument;
    struct vdb *db = index_open("tail.vdb");
    float *rows = rows_make(PART_ROWS, tail->rows);
    uint32_t changes = tail->events - tail->rows;
    sync_off = true;
    for (uint32_t i = 0, n; i < changes; i += n) {
        n = changes - i < tail->event_step ? changes - i : tail->event_step;
        change_rows(db, i, n);
    }
    for (uint32_t i = 0, n; i < tail->rows; i += n) {
        n = tail->rows - i < tail->row_step ? tail->rows - i : tail->row_step;
        sync_kills = i + n == tail->rows;
        commit_rows(db, "new", i, n, rows + (size_t)i * DIM);
    }
    exit(tail->rows ? 1 : 0);
}

struct opening {
    const struct tail *tail;
    struct times *times, *cpu;
};

static void open_once(void *argument)
{
    const struct opening *opening = argument;
    struct vdb_error err = {0};
    struct vdb *db;
    const struct vdb_snapshot *now;
    struct vdb_info info;
    double begin = now_ms(), cpu = cpu_ms();
    if (vdb_open("tail.vdb", NULL, &db, &err) || vdb_snapshot_open(db, &now, &err))
        die("tail.vdb", &err);
    times_add(opening->times, now_ms() - begin);
    times_add(opening->cpu, cpu_ms() - cpu);
    vdb_snapshot_info(now, &info);
    if (info.tail_rows != opening->tail->rows) {
        fprintf(stderr, "durable: %llu rows in the tail\n", (unsigned long long)info.tail_rows);
        exit(1);
    }
    vdb_snapshot_close(now);
    vdb_close(db);
}

static off_t sync_and_drop(void)
{
    int fd = open("tail.vdb", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0) die("tail.vdb", NULL);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    off_t len = lseek(fd, 0, SEEK_END);
    close(fd);
    return len;
}

static void measure_tail(const struct tail *tail)
{
    int status;
    struct times *cold = times_new(OPENS), *warm = times_new(OPENS), *cpu = times_new(OPENS),
                 *ignored = times_new(OPENS);
    file_copy("part.vdb", "tail.vdb");
    pid_t pid = child_start(make_tail, (void *)tail);
    if (waitpid(pid, &status, 0) < 0 || (tail->rows ? !WIFSIGNALED(status) : status != 0))
        die("the writer was not killed as planned", NULL);
    for (int i = 0; i < OPENS; i++) {
        sync_and_drop();
        child_run(open_once, &(struct opening){tail, cold, ignored});
        child_run(open_once, &(struct opening){tail, warm, cpu});
    }
    double median = times_quantile(warm, 0.5);
    note("opening after a crash, %s: warm p50 %.2f ms (of the processor %.2f), longest %.2f; from "
         "the disk p50 %.2f, longest %.2f",
         tail->name, median, times_quantile(cpu, 0.5), times_quantile(warm, 1),
         times_quantile(cold, 0.5), times_quantile(cold, 1));
    if (tail->wanted > 0) {
        char name[96];
        snprintf(name, sizeof name, "opening, %s", tail->name);
        figure(name, "<= 20 ms", median <= tail->wanted, "%.2f ms", median);
    }
    times_free(cold);
    times_free(warm);
    times_free(cpu);
    times_free(ignored);
}

void measure_opening(void)
{
    child_run(make_part, NULL);
    for (size_t i = 0; i < TAILS; i++) measure_tail(&tails[i]);
    unlink("part.vdb");
    unlink("tail.vdb");
}

/* ---- refreshing ---------------------------------------------------------------------------- */

#define REFRESHES 300

struct refreshing {
    size_t rows;    /* of the index, in a part */
    size_t changes; /* rows that are deleted between two looks, and as many that are added */
    struct times *times;
};

static void refresh_on(void *argument)
{
    const struct refreshing *r = argument;
    struct vdb_error err = {0};
    const struct vdb_snapshot *now;
    float *vectors = rows_make(0, r->rows);
    index_make("refresh.vdb", VDB_INDEX_FLAT);
    struct vdb *db = index_open("refresh.vdb"), *reader = index_open("refresh.vdb");
    sync_off = true;
    commit_rows(db, "row", 0, r->rows, vectors);
    maintain(db);
    if (vdb_snapshot_open(reader, &now, &err)) die("vdb_snapshot_open", &err);
    for (uint64_t i = 0; i < REFRESHES; i++) {
        commit_deletes(db, "row", i * r->changes, r->changes);
        commit_rows(db, "new", i * r->changes, r->changes, vectors);
        double begin = cpu_ms();
        if (vdb_refresh(reader, &now, &err)) die("vdb_refresh", &err);
        times_add(r->times, cpu_ms() - begin);
    }
    vdb_snapshot_close(now);
    vdb_close(reader);
    vdb_close(db);
    free(vectors);
    unlink("refresh.vdb");
}

static double refresh_us(size_t rows, size_t changes)
{
    struct refreshing r = {rows, changes, times_new(REFRESHES)};
    child_run(refresh_on, &r);
    double median = 1e3 * times_quantile(r.times, 0.5);
    note("refresh over commits that delete %zu rows and add as many, of %zu rows: of the processor "
         "p50 %.1f us, longest %.1f",
         changes, rows, median, 1e3 * times_quantile(r.times, 1));
    times_free(r.times);
    return median;
}

void measure_refreshing(void)
{
    double small = refresh_us(2000, 1), large = refresh_us(200000, 1);
    refresh_us(200000, 100);
    figure("refresh, of 200,000 rows / of 2,000", "<= 2.00 x", large <= 2 * small, "%.2f x",
           large / small);
}
