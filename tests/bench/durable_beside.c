/* durable_beside.c: searches beside inserts, and commits beside maintenance and compaction.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/durable.h"

#define ROWS 100000

static void make_rows(const char *path, enum vdb_index_kind kind)
{
    float *rows = rows_make(0, ROWS);
    index_make(path, kind);
    struct vdb *db = index_open(path);
    commit_rows(db, "row", 0, ROWS, rows);
    vdb_close(db);
    free(rows);
}

/* In a process that yields to others, as the tools start it. */
static void maintain_once(void *path)
{
    if (nice(10) == -1) die("nice", NULL);
    struct vdb *db = index_open(path);
    maintain(db);
    vdb_close(db);
}

/* ---- searches ------------------------------------------------------------------------------ */

#define K            10
#define SEARCH_MS    1000
#define SEARCH_TURNS 2
#define WARM_UP      300
#define POOL         30000 /* rows that an inserting process has ready */

struct answers {
    struct times *times, *cpu; /* of each query, its refresh included */
    double rows_a_second;      /* that were inserted beside it, the sum over the turns */
    uint64_t most_tail;        /* rows in a tail that was searched */
};

struct search {
    const char *path;
    struct answers *answers; /* shared with children */
    uint64_t first;          /* query */
};

static void answer(const struct vdb_snapshot *now, const float *query, int exact,
                   struct vdb_hit hits[K])
{
    struct vdb_error err = {0};
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    uint32_t found;
    options.k = K;
    options.recall = 0.95;
    options.threads = 1;
    options.exact = exact;
    if (vdb_search(now, query, 1, &options, hits, &found, &err)) die("vdb_search", &err);
    if (found != K) die("fewer neighbours than asked for", NULL);
}

static void search_on(void *argument)
{
    const struct search *search = argument;
    struct vdb_error err = {0};
    const struct vdb_snapshot *now;
    struct vdb_info info;
    struct vdb_hit hits[K];
    float query[DIM];
    struct vdb *db = index_open(search->path);
    if (vdb_snapshot_open(db, &now, &err)) die("vdb_snapshot_open", &err);
    double end = INFINITY;
    for (uint64_t i = 0; now_ms() < end; i++) {
        row_make(((uint64_t)1 << 40) + search->first + i, query);
        double begin = now_ms(), cpu = cpu_ms();
        if (vdb_refresh(db, &now, &err)) die("vdb_refresh", &err);
        answer(now, query, 0, hits);
        if (i < WARM_UP) continue;
        times_add(search->answers->times, now_ms() - begin);
        times_add(search->answers->cpu, cpu_ms() - cpu);
        if (i == WARM_UP) end = begin + SEARCH_MS;
        vdb_snapshot_info(now, &info);
        if (info.tail_rows > search->answers->most_tail)
            search->answers->most_tail = info.tail_rows;
    }
    vdb_snapshot_close(now);
    vdb_close(db);
}

static void recall_of(void *argument)
{
    const char *path = argument;
    struct vdb_error err = {0};
    const struct vdb_snapshot *now;
    struct vdb *db = index_open(path);
    if (vdb_snapshot_open(db, &now, &err)) die("vdb_snapshot_open", &err);
    const int queries = 200;
    int right = 0;
    for (int i = 0; i < queries; i++) {
        float query[DIM];
        struct vdb_hit found[K], exact[K];
        row_make(((uint64_t)1 << 41) + (uint64_t)i, query);
        answer(now, query, 0, found);
        answer(now, query, 1, exact);
        for (int j = 0; j < K; j++) right += found[j].distance <= exact[K - 1].distance;
    }
    note("%d rows of %d dimensions, recall@%d of %d queries %.4f", ROWS, DIM, K, queries,
         (double)right / (queries * K));
    vdb_snapshot_close(now);
    vdb_close(db);
}

/* What goes on beside the searching process. */
static const struct company {
    const char *name;
    size_t batch;  /* rows of a commit; 0: nobody inserts, two processes only compute */
    bool self;     /* who inserts maintains the index between two batches, as vdb-add does */
    bool promised; /* the figures are judged by it */
} companies[] = {
    {"inserts of 100", 100, false, true},
    {"inserts of 1", 1, false, true},
    {"vdb-add --batch 100", 100, true, false},
    {"two processes that compute", 0, false, false},
};
#define COMPANIES (sizeof companies / sizeof *companies)

struct inserter {
    const char *path;
    const struct company *company;
    struct stage *stage;
    uint64_t first;
    _Atomic uint64_t *inserted;
};

static uint64_t tail_rows(struct vdb *db)
{
    const struct vdb_snapshot *now;
    struct vdb_info info;
    struct vdb_error err = {0};
    if (vdb_snapshot_open(db, &now, &err)) die("vdb_snapshot_open", &err);
    vdb_snapshot_info(now, &info);
    vdb_snapshot_close(now);
    return info.tail_rows;
}

/* As the tools do (tools/upkeep.h): who inserts faster than the index is built waits. */
#define BEHIND     16384
#define TAIL_SHORT 2048

static void insert_on(void *argument)
{
    const struct inserter *in = argument;
    struct vdb *db = index_open(in->path);
    float *rows = rows_make(in->first, POOL);
    size_t batch = in->company->batch;
    stage_enter(in->stage);
    for (size_t i = 0; !in->stage->stop; i += batch) {
        commit_rows(db, "new", in->first + i, batch, rows + i % POOL * DIM);
        *in->inserted += batch;
        if (in->company->self)
            maintain(db);
        else if (tail_rows(db) >= BEHIND)
            while (tail_rows(db) >= TAIL_SHORT && !in->stage->stop) sleep_ms(5);
    }
    free(rows);
    vdb_close(db);
}

static void spin_on(void *argument)
{
    struct stage *stage = argument;
    stage_enter(stage);
    while (!stage->stop) {
    }
}

/* Returns the rows inserted a second. Maintenance is a third process's where it is not the
 * inserting one's. */
static double search_beside(const struct search *search, const struct company *company)
{
    struct stage *stage = stage_new();
    _Atomic uint64_t *inserted = shared_memory(sizeof *inserted);
    struct inserter in = {search->path, company, stage, ROWS + search->first, inserted};
    struct upkeep upkeep = {search->path, stage};
    pid_t pids[2];
    unsigned count = company->self ? 1 : 2;
    pids[0] = company->batch ? child_start(insert_on, &in) : child_start(spin_on, stage);
    if (count == 2)
        pids[1] =
            company->batch ? child_start(keep_maintained, &upkeep) : child_start(spin_on, stage);
    stage_begin(stage, count);
    double begin = now_ms();
    child_run(search_on, (void *)search);
    double rate = 1e3 * (double)*inserted / (now_ms() - begin);
    stage->stop = true;
    for (unsigned i = 0; i < count; i++) child_await(pids[i]);
    stage_free(stage);
    return rate;
}

static void note_search(const char *how, struct answers *a, struct answers *alone)
{
    note("search %s, %.0f rows a second, tail up to %llu: p50 %.3f ms, p99 %.3f (%.1f x), longest "
         "%.2f; of the processor p50 %.3f, p99 %.3f (%.1f x)",
         how, a->rows_a_second / SEARCH_TURNS, (unsigned long long)a->most_tail,
         times_quantile(a->times, 0.5), times_quantile(a->times, 0.99),
         times_quantile(a->times, 0.99) / times_quantile(alone->times, 0.99),
         times_quantile(a->times, 1), times_quantile(a->cpu, 0.5), times_quantile(a->cpu, 0.99),
         times_quantile(a->cpu, 0.99) / times_quantile(alone->cpu, 0.99));
}

static void report_search(struct answers *a, struct answers *alone, const char *company)
{
    char name[96];
    double p99 = times_quantile(a->times, 0.99), ratio = p99 / times_quantile(alone->times, 0.99);
    snprintf(name, sizeof name, "search p99 beside %s / alone", company);
    figure(name, "<= 2.00 x", ratio <= 2, "%.2f x", ratio);
    figure("  that p99", "<= 15 ms", p99 <= 15, "%.2f ms", p99);
}

void measure_search(void)
{
    const char *path = "search.vdb";
    struct answers *answers = shared_memory((COMPANIES + 1) * sizeof *answers),
                   *alone = &answers[COMPANIES];
    for (size_t i = 0; i <= COMPANIES; i++) {
        answers[i].times = times_new(1 << 20);
        answers[i].cpu = times_new(1 << 20);
    }
    make_rows(path, VDB_INDEX_GRAPH);
    child_run(maintain_once, (void *)path);
    child_run(recall_of, (void *)path);
    struct search search = {.path = path};
    for (int turn = 0; turn < SEARCH_TURNS; turn++)
        for (size_t i = 0; i < COMPANIES; i++) {
            child_run(maintain_once, (void *)path);
            search.answers = alone;
            child_run(search_on, &search);
            search.answers = &answers[i];
            search.first += 1000000;
            answers[i].rows_a_second += search_beside(&search, &companies[i]);
        }
    note_search("alone", alone, alone);
    for (size_t i = 0; i < COMPANIES; i++) {
        char how[64];
        snprintf(how, sizeof how, "beside %s", companies[i].name);
        note_search(how, &answers[i], alone);
    }
    for (size_t i = 0; i < COMPANIES; i++)
        if (companies[i].promised) report_search(&answers[i], alone, companies[i].name);
    for (size_t i = 0; i <= COMPANIES; i++) {
        times_free(answers[i].times);
        times_free(answers[i].cpu);
    }
    unlink(path);
}

/* ---- commits ------------------------------------------------------------------------------- */

#define UPKEEP_TURNS 1
#define ALONE_MS     1500

struct committer {
    const char *path;
    struct stage *stage;
    struct times *commits, *bare;
};

/* Commits of one row and bare writes to another file, by turns. */
static void commit_on(void *argument)
{
    const struct committer *c = argument;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "process %ld-", (long)getpid());
    struct vdb *db = index_open(c->path);
    struct bare bare;
    bare_open(&bare, "commit.bare", 768, 2000);
    float row[DIM];
    stage_enter(c->stage);
    for (uint64_t i = 0; !c->stage->stop; i++) {
        row_make(i, row);
        times_add(c->commits, commit_rows(db, prefix, i, 1, row));
        times_add(c->bare, bare_write(&bare));
    }
    bare_close(&bare);
    vdb_close(db);
}

static void compact_once(void *path)
{
    if (nice(10) == -1) die("nice", NULL);
    struct vdb_error err = {0};
    struct vdb *db = index_open(path);
    if (vdb_compact(db, NULL, &err)) die("vdb_compact", &err);
    vdb_close(db);
}

static void wait_a_while(void *path)
{
    (void)path;
    sleep_ms(ALONE_MS);
}

/* The committing process beside one that does work(path). Returns how long that took. */
static double commit_beside(struct committer *c, void (*work)(void *path))
{
    c->stage = stage_new();
    pid_t pid = child_start(commit_on, c);
    stage_begin(c->stage, 1);
    double begin = now_ms();
    child_run(work, (void *)c->path);
    double took = now_ms() - begin;
    c->stage->stop = true;
    child_await(pid);
    stage_free(c->stage);
    return took;
}

void measure_maintenance(void)
{
    static void (*const works[])(void *) = {wait_a_while, maintain_once, compact_once};
    static const char *const names[] = {"alone", "maintenance", "compaction"};
    struct committer c[3];
    double took[3] = {0};
    for (int i = 0; i < 3; i++)
        c[i] = (struct committer){"beside.vdb", NULL, times_new(100000), times_new(100000)};
    make_rows("unmaintained.vdb", VDB_INDEX_GRAPH);
    for (int turn = 0; turn < UPKEEP_TURNS; turn++) {
        file_copy("unmaintained.vdb", "beside.vdb");
        for (int i = 0; i < 3; i++) took[i] += commit_beside(&c[i], works[i]);
    }
    double alone = times_quantile(c[0].commits, 0.99);
    for (int i = 0; i < 3; i++)
        note("commits, %s, %.1f s: %zu, p50 %.2f ms, p99 %.2f, longest %.2f; bare writes p50 %.2f, "
             "p99 %.2f, longest %.2f",
             names[i], took[i] / 1e3, c[i].commits->count, times_quantile(c[i].commits, 0.5),
             times_quantile(c[i].commits, 0.99), times_quantile(c[i].commits, 1),
             times_quantile(c[i].bare, 0.5), times_quantile(c[i].bare, 0.99),
             times_quantile(c[i].bare, 1));
    for (int i = 1; i < 3; i++) {
        char name[96];
        double p99 = times_quantile(c[i].commits, 0.99);
        snprintf(name, sizeof name, "commit p99 beside %s / alone", names[i]);
        figure(name, "<= 2.00 x", p99 <= 2 * alone, "%.2f x", p99 / alone);
        double longest = times_quantile(c[i].commits, 1), bare = times_quantile(c[i].bare, 1);
        figure("  longest / longest bare write beside it", "<= 2.00 x", longest <= 2 * bare,
               "%.2f x", longest / bare);
    }
    for (int i = 0; i < 3; i++) {
        times_free(c[i].commits);
        times_free(c[i].bare);
    }
    unlink("unmaintained.vdb");
    unlink("beside.vdb");
    unlink("commit.bare");
}
