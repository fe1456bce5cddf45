/* churn.c: recall, file size and time of an index whose rows come and go, beside a fresh one of the
 * same rows.
 *
 * churn DATA QUERIES l2|cosine EF [SCENARIO...]
 *
 * DATA and QUERIES are gzipped IDX images, which are stored as bytes, or 32-bit floats behind their
 * count and dimension (.fbin). The scenarios, all of them where none is named:
 *
 *     random     50 times 5% of the rows, drawn at random, are deleted and put in again
 *     merges     100 times as many rows as are 1% of those there are come, and become one part
 *                with them each time
 *     clustered  10 times the 5% nearest to a row go, and as many that were not there come
 *     window     50 times the oldest 5% go, and as many that were not there come
 *     cost       what merging 1, 5, 20 and 50% into a part costs, against building it
 *
 * Prints lines that begin with `#`, then rows of the table of `make bench`: FIGURE, REACHED,
 * TARGET, and yes or no. Files lie in the working directory.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vdb.h"

#define K       10
#define QUERIES 2000  /* of 500 two equal indexes differ by 0.3 points now and then */
#define LIMIT   0.005 /* that recall may be under a fresh index's */

struct matrix {
    uint32_t rows, dim;
    enum vdb_type type;
    float *x;
};

struct world {
    struct matrix rows, queries;
    enum vdb_metric metric;
    uint32_t ef;
    uint64_t seed;
    uint32_t *live; /* rows of `rows` that are in the index, in the order in which they came */
    uint32_t live_count;
    uint32_t next; /* the first row that was never in it */
    struct vdb *db;
    const char *scenario;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "churn: %s: %s\n", what, why);
    exit(1);
}

static void must(enum vdb_status status, const char *what, const struct vdb_error *err)
{
    if (status) fail(what, err->message);
}

static void *allocate(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) fail("malloc", "no memory");
    return p;
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec * 1e-6;
}

static uint64_t random_next(uint64_t *seed) /* SplitMix64 */
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- data ---------------------------------------------------------------------------------- */

static void read_all(gzFile file, void *to, size_t len, const char *path)
{
    for (size_t done = 0; done < len;) {
        unsigned step = len - done < 1u << 30 ? (unsigned)(len - done) : 1u << 30;
        int got = gzread(file, (char *)to + done, step);
        if (got <= 0) fail(path, "is too short");
        done += (size_t)got;
    }
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct matrix read_matrix(const char *path)
{
    struct matrix m = {.type = VDB_TYPE_F32};
    gzFile file = gzopen(path, "rb");
    if (!file) fail(path, "cannot be opened");
    uint8_t head[16];
    read_all(file, head, 8, path);
    bool images = be32(head) == 0x803;
    if (images) {
        read_all(file, head + 8, 8, path);
        m.rows = be32(head + 4);
        m.dim = be32(head + 8) * be32(head + 12);
        m.type = VDB_TYPE_U8;
    } else {
        memcpy(&m.rows, head, 4);
        memcpy(&m.dim, head + 4, 4);
    }
    size_t n = (size_t)m.rows * m.dim;
    m.x = allocate(n * sizeof *m.x);
    if (images) {
        uint8_t *bytes = allocate(n);
        read_all(file, bytes, n, path);
        for (size_t i = 0; i < n; i++) m.x[i] = bytes[i];
        free(bytes);
    } else {
        read_all(file, m.x, n * sizeof *m.x, path);
    }
    gzclose(file);
    return m;
}

static const float *row_of(const struct matrix *m, uint32_t row)
{
    return m->x + (size_t)row * m->dim;
}

/* ---- the index ----------------------------------------------------------------------------- */

static struct vdb *create(const struct world *w, const char *path)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb *db;
    options.dim = w->rows.dim;
    options.type = w->rows.type;
    options.metric = w->metric;
    options.index = VDB_INDEX_GRAPH;
    unlink(path);
    must(vdb_create(path, &options, &err), path, &err);
    must(vdb_open(path, NULL, &db, &err), path, &err);
    return db;
}

static void put(struct vdb_txn *txn, const struct world *w, uint32_t row)
{
    struct vdb_error err;
    char id[16];
    int len = snprintf(id, sizeof id, "%u", row);
    must(vdb_txn_put(txn, VDB_UPSERT, id, (size_t)len, row_of(&w->rows, row), NULL, 0, &err), "put",
         &err);
}

/* Deletes the rows out[0..gone) and puts in[0..come), in one commit. */
static void change(const struct world *w, struct vdb *db, const uint32_t *out, uint32_t gone,
                   const uint32_t *in, uint32_t come)
{
    struct vdb_error err;
    struct vdb_txn *txn;
    must(vdb_txn_begin(db, &txn, &err), "begin", &err);
    for (uint32_t i = 0; i < gone; i++) {
        char id[16];
        int len = snprintf(id, sizeof id, "%u", out[i]);
        must(vdb_txn_delete(txn, id, (size_t)len, &err), "delete", &err);
    }
    for (uint32_t i = 0; i < come; i++) put(txn, w, in[i]);
    must(vdb_txn_commit(txn, NULL, &err), "commit", &err);
}

static double maintain(struct vdb *db, unsigned percent)
{
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    double begin = cpu_seconds();
    options.merge_percent = percent;
    must(vdb_maintain(db, &options, &err), "maintain", &err);
    return cpu_seconds() - begin;
}

static struct vdb *fresh(const struct world *w, double *seconds)
{
    struct vdb *db = create(w, "fresh.vdb");
    change(w, db, NULL, 0, w->live, w->live_count);
    *seconds = maintain(db, 1);
    return db;
}

/* ---- measuring ----------------------------------------------------------------------------- */

struct measured {
    double recall, microseconds;
    uint64_t bytes;
    uint32_t parts, rows, live;
};

static void search(const struct world *w, const struct vdb_snapshot *s, bool exact, uint32_t count,
                   struct vdb_hit *hits, uint32_t *found)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_error err;
    options.k = K;
    options.exact = exact;
    options.ef = exact ? 0 : w->ef;
    options.threads = exact ? 0 : 1;
    must(vdb_search(s, w->queries.x, count, &options, hits, found, &err), "search", &err);
}

/* A row counts when it is no farther than the true k-th. */
static struct measured measure(const struct world *w, struct vdb *db, const char *path)
{
    uint32_t count = w->queries.rows < QUERIES ? w->queries.rows : QUERIES, found[QUERIES];
    struct vdb_hit *hits = allocate((size_t)count * K * sizeof *hits);
    struct vdb_hit *truth = allocate((size_t)count * K * sizeof *truth);
    struct vdb_error err;
    const struct vdb_snapshot *s;
    struct vdb_info info;
    struct stat file;
    must(vdb_snapshot_open(db, &s, &err), "snapshot", &err);
    search(w, s, true, count, truth, found);
    search(w, s, false, count, hits, found); /* once to warm up */
    double begin = cpu_seconds();
    search(w, s, false, count, hits, found);
    double seconds = cpu_seconds() - begin;
    uint64_t right = 0;
    for (uint32_t q = 0; q < count; q++)
        for (uint32_t i = 0; i < found[q]; i++)
            right += hits[q * K + i].distance <= truth[q * K + K - 1].distance;
    vdb_snapshot_info(s, &info);
    stat(path, &file);
    vdb_snapshot_close(s);
    free(hits);
    free(truth);
    return (struct measured){(double)right / (count * K), seconds / count * 1e6,
                             (uint64_t)file.st_size,      info.parts,
                             (uint32_t)info.rows,         (uint32_t)info.live};
}

/* Both, side by side; returns by how much the fresh one's recall is higher. */
static double compare(const struct world *w, unsigned cycle, double maintained)
{
    double seconds;
    struct vdb *db = fresh(w, &seconds);
    struct measured here = measure(w, w->db, "churn.vdb"), there = measure(w, db, "fresh.vdb");
    printf("# %s %u: %u rows, %u live, %u parts, %.1f MB, recall %.4f, %.0f us; fresh %.1f MB, "
           "recall %.4f, %.0f us; maintained %.1f s, fresh built in %.1f s\n",
           w->scenario, cycle, here.rows, here.live, here.parts, (double)here.bytes / 1e6,
           here.recall, here.microseconds, (double)there.bytes / 1e6, there.recall,
           there.microseconds, maintained, seconds);
    fflush(stdout);
    vdb_close(db);
    unlink("fresh.vdb");
    return there.recall - here.recall;
}

static void complain(void *context, const struct vdb_error *finding)
{
    (void)context;
    printf("# %s\n", finding->message);
}

/* Every row is reached, and none has fewer than half of the neighbours that it may have. */
static void check(const struct world *w)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t findings;
    options.deep = 1;
    options.report = complain;
    must(vdb_check("churn.vdb", &options, &findings, &err), "check", &err);
    printf("findings of a deep check, %s\t%" PRIu64 "\t<= 0\t%s\n", w->scenario, findings,
           findings ? "no" : "yes");
}

static void judge(const struct world *w, double worst)
{
    check(w);
    printf("recall@10 under a fresh index's, %s\t%.2f points\t<= 0.50\t%s\n", w->scenario,
           worst * 100, worst <= LIMIT ? "yes" : "no");
}

/* ---- scenarios ----------------------------------------------------------------------------- */

static void begin(struct world *w, const char *scenario, uint32_t rows)
{
    w->scenario = scenario;
    w->seed = 1;
    w->live_count = rows;
    for (uint32_t i = 0; i < rows; i++) w->live[i] = i;
    w->next = rows;
    w->db = create(w, "churn.vdb");
    change(w, w->db, NULL, 0, w->live, rows);
    maintain(w->db, 0);
}

static void end(struct world *w)
{
    vdb_close(w->db);
    unlink("churn.vdb");
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Moves `count` of the live rows, drawn at random, to the end of `live`, in the order drawn. */
static void draw(struct world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = w->live_count - i, at = (uint32_t)(random_next(&w->seed) % left);
        uint32_t row = w->live[at];
        w->live[at] = w->live[left - 1];
        w->live[left - 1] = row;
    }
}

static void churn_random(struct world *w, unsigned cycles)
{
    uint32_t some = w->rows.rows / 20;
    double worst = -1, seconds = 0;
    begin(w, "random", w->rows.rows);
    for (unsigned i = 1; i <= cycles; i++) {
        draw(w, some);
        uint32_t *drawn = w->live + w->live_count - some;
        change(w, w->db, drawn, some, NULL, 0);
        change(w, w->db, NULL, 0, drawn, some);
        seconds += maintain(w->db, 0);
        if (i % 10 == 0) worst = larger(worst, compare(w, i, seconds));
    }
    judge(w, worst);
    end(w);
}

static void churn_merges(struct world *w, unsigned cycles)
{
    double worst = -1, seconds = 0;
    begin(w, "merges", w->rows.rows * 10 / 28); /* 1.01^100 is 2.7 */
    for (unsigned i = 1; i <= cycles; i++) {
        uint32_t some = w->live_count / 100;
        for (uint32_t j = 0; j < some; j++) w->live[w->live_count + j] = w->next++;
        change(w, w->db, NULL, 0, w->live + w->live_count, some);
        w->live_count += some;
        seconds += maintain(w->db, 1);
        if (i % 25 == 0) worst = larger(worst, compare(w, i, seconds));
    }
    judge(w, worst);
    end(w);
}

/* Deletes the first `some` of `live` and puts in as many that are new, or, where there are none
 * left, those that went first. */
static void replace(struct world *w, uint32_t some)
{
    uint32_t *gone = allocate(some * sizeof *gone), kept = w->live_count - some;
    memcpy(gone, w->live, some * sizeof *gone);
    memmove(w->live, w->live + some, kept * sizeof *w->live);
    for (uint32_t j = 0; j < some; j++) w->live[kept + j] = w->next++ % w->rows.rows;
    change(w, w->db, gone, some, NULL, 0);
    change(w, w->db, NULL, 0, w->live + kept, some);
    free(gone);
}

struct near {
    double distance;
    uint32_t row;
};

static int nearer(const void *a, const void *b)
{
    const struct near *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Brings the rows nearest to one of the live ones to the front. */
static void sort_by_distance(struct world *w)
{
    struct near *all = allocate(w->live_count * sizeof *all);
    const float *q = row_of(&w->rows, w->live[random_next(&w->seed) % w->live_count]);
    for (uint32_t i = 0; i < w->live_count; i++) {
        const float *x = row_of(&w->rows, w->live[i]);
        double sum = 0;
        for (uint32_t j = 0; j < w->rows.dim; j++)
            sum += (double)(x[j] - q[j]) * (double)(x[j] - q[j]);
        all[i] = (struct near){sum, w->live[i]};
    }
    qsort(all, w->live_count, sizeof *all, nearer);
    for (uint32_t i = 0; i < w->live_count; i++) w->live[i] = all[i].row;
    free(all);
}

static void churn_clustered(struct world *w, unsigned cycles)
{
    double worst = -1, seconds = 0;
    begin(w, "clustered", w->rows.rows / 2);
    uint32_t some = w->live_count / 20;
    for (unsigned i = 1; i <= cycles; i++) {
        sort_by_distance(w);
        replace(w, some);
        seconds += maintain(w->db, 0);
        if (i % 5 == 0) worst = larger(worst, compare(w, i, seconds));
    }
    judge(w, worst);
    end(w);
}

static void churn_window(struct world *w, unsigned cycles)
{
    double worst = -1, seconds = 0;
    begin(w, "window", w->rows.rows / 2);
    uint32_t some = w->live_count / 20;
    for (unsigned i = 1; i <= cycles; i++) {
        replace(w, some);
        seconds += maintain(w->db, 0);
        if (i % 10 == 0) worst = larger(worst, compare(w, i, seconds));
    }
    judge(w, worst);
    end(w);
}

/* The same rows, once built at once and once merged. */
static void merge_cost(struct world *w)
{
    static const unsigned percents[] = {1, 5, 20, 50};
    double build;
    w->live_count = w->rows.rows;
    for (uint32_t i = 0; i < w->live_count; i++) w->live[i] = i;
    vdb_close(fresh(w, &build));
    unlink("fresh.vdb");
    printf("# a part of %u rows built in %.2f s\n", w->live_count, build);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        uint32_t old = (uint32_t)((uint64_t)w->rows.rows * 100 / (100 + percents[i]));
        uint32_t some = w->rows.rows - old;
        begin(w, "cost", old);
        for (uint32_t j = 0; j < some; j++) w->live[old + j] = old + j;
        change(w, w->db, NULL, 0, w->live + old, some);
        double seconds = maintain(w->db, 1), share = (double)some / w->rows.rows;
        w->live_count = w->rows.rows;
        printf("# %u%% merged in %.2f s: %.2f of the build, %.1f times their share of it\n",
               percents[i], seconds, seconds / build, seconds / build / share);
        compare(w, percents[i], seconds);
        end(w);
    }
}

static bool wanted(int argc, char **argv, const char *scenario)
{
    for (int i = 5; i < argc; i++)
        if (strcmp(argv[i], scenario) == 0) return true;
    return argc <= 5;
}

int main(int argc, char **argv)
{
    if (argc < 5) fail("usage", "churn DATA QUERIES l2|cosine EF [SCENARIO...]");
    struct world w = {.rows = read_matrix(argv[1]), .queries = read_matrix(argv[2])};
    w.metric = strcmp(argv[3], "cosine") ? VDB_METRIC_L2 : VDB_METRIC_COSINE;
    w.ef = (uint32_t)strtoul(argv[4], NULL, 10);
    w.live = allocate(2 * (size_t)w.rows.rows * sizeof *w.live);
    if (wanted(argc, argv, "cost")) merge_cost(&w);
    if (wanted(argc, argv, "random")) churn_random(&w, 50);
    if (wanted(argc, argv, "merges")) churn_merges(&w, 100);
    if (wanted(argc, argv, "clustered")) churn_clustered(&w, 10);
    if (wanted(argc, argv, "window")) churn_window(&w, 50);
    free(w.live);
    free(w.rows.x);
    free(w.queries.x);
    return 0;
}
