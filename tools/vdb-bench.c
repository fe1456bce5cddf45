/* vdb-bench.c: recall against speed: the queries of a file, one at a time, at several efforts.
 *
 * What is timed is vdb_searcher_search and nothing else, after a first search of each thread's
 * searcher, which takes the memory that it needs; answers are kept and held against the truth when
 * the pass is over.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/efforts.h"
#include "bench/plot.h"
#include "bench/truth.h"
#include "cli.h"
#include "input/hdf5_pipe.h"
#include "input/input.h"
#include "query.h"
#include "vdb.h"

enum { OPT_K = 1, OPT_EF, OPT_RECALL, OPT_QUERIES, OPT_PLOT, OPT_JSON, OPT_QUERY_FORMAT };

static const struct cli_option options[] = {
    {"k", 'k', "N", "neighbours wanted (default 10)", OPT_K},
    {"ef", 0, "LIST", "efforts to try (default: k times 1/4, 1/2, 1, ... 64)", OPT_EF},
    {"recall", 0, "LIST", "recalls to aim at instead, by the index's calibration", OPT_RECALL},
    {"queries", 0, "N", "use the first N queries only", OPT_QUERIES},
    {"plot", 0, "FILE", "draw the curve of recall against speed as FILE, an SVG", OPT_PLOT},
    {"json", 0, NULL, "print one JSON object an effort", OPT_JSON},
    {"query-format", 0, "NAME", "format of DATASET (default: by extension or content)",
     OPT_QUERY_FORMAT},
    {NULL, 0, NULL, NULL, 0},
};

struct bench {
    struct cli cli;

    /* options */
    uint32_t k;
    struct effort efforts[EFFORTS_MAX];
    size_t effort_count;
    int effort_option; /* the one that gave them, or 0 */
    uint64_t query_limit;
    bool json;
    enum input_format format;
    const char *path;
    struct plot plot; /* its path is NULL where none is wanted */

    const struct vdb_snapshot *snapshot;
    struct vdb_info info;

    float *queries; /* query_count * dim */
    size_t query_count, query_room;
    struct truth truth;

    /* one pass */
    struct vdb_hit *hits; /* query_count * k */
    uint32_t *found;
    double *micros; /* a query */
    double *recall;

    struct plot_point figures[EFFORTS_MAX];
};

/* ---- options ------------------------------------------------------------------------------- */

static void take_efforts(struct bench *b, int option, const char *list)
{
    if (b->effort_option != 0 && b->effort_option != option)
        cli_usage_error(&b->cli, "--ef or --recall, not both");
    b->effort_option = option;
    b->effort_count = efforts_take(&b->cli, option == OPT_RECALL, list, b->efforts);
}

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct bench *b = context;
    int format;
    switch (id) {
    case OPT_K:
        b->k = (uint32_t)cli_number(cli, "-k", value, 1, UINT32_MAX - 1);
        break;
    case OPT_EF:
    case OPT_RECALL:
        take_efforts(b, id, value);
        break;
    case OPT_QUERIES:
        b->query_limit = cli_number(cli, "--queries", value, 1, UINT32_MAX);
        break;
    case OPT_PLOT:
        if (strcmp(value, "-") == 0)
            cli_usage_error(cli, "--plot: standard output has the figures: name a file");
        b->plot.path = value;
        break;
    case OPT_JSON:
        b->json = true;
        break;
    case OPT_QUERY_FORMAT:
        format = input_format_by_name(value);
        if (format < 0) cli_usage_error(cli, "--query-format: no format is called '%s'", value);
        b->format = (enum input_format)format;
        break;
    default:
        break;
    }
}

/* A quarter of k to 64 times k, by doubling. An effort of all the rows is the last that can tell
 * anything new. */
static void default_efforts(struct bench *b)
{
    for (uint64_t quarters = 1; quarters <= 256; quarters *= 2) {
        uint64_t ef = (b->k * quarters + 3) / 4;
        if (ef >= UINT32_MAX) return;
        if (b->effort_count == 0 || ef != b->efforts[b->effort_count - 1].ef)
            b->efforts[b->effort_count++] = (struct effort){(uint32_t)ef, 0};
        if (ef >= b->info.live) return;
    }
}

/* On which queries run. */
static unsigned bench_threads(const struct bench *b)
{
    return b->cli.threads != 0 ? b->cli.threads : 1;
}

static int no_memory(const struct bench *b)
{
    cli_message(&b->cli, "out of memory");
    return CLI_IOERR;
}

/* ---- queries ------------------------------------------------------------------------------- */

static int add_query(struct bench *b, const float *vector)
{
    size_t dim = b->info.dim;
    if (b->query_count == b->query_room) {
        size_t room = b->query_room != 0 ? b->query_room * 2 : 1024;
        float *queries = reallocarray(b->queries, room, dim * sizeof *queries);
        if (queries == NULL) return no_memory(b);
        b->queries = queries;
        b->query_room = room;
    }
    memcpy(b->queries + b->query_count++ * dim, vector, dim * sizeof *vector);
    return CLI_OK;
}

static int read_queries(struct bench *b)
{
    struct input_options how = {
        .format = b->format, .default_dataset = "test", .ids_optional = true};
    char message[1024];
    int status = CLI_DATA;
    struct input *input = input_open(b->path, &how, &status, message, sizeof message);
    if (input == NULL) {
        cli_message(&b->cli, "%s", message);
        return status;
    }
    bool text = input_is_text(input);
    status = CLI_OK;
    while (status == CLI_OK && b->query_count < b->query_limit) {
        struct record record;
        int exit_status = CLI_DATA;
        enum input_status next = input_next(input, &record, &exit_status, message, sizeof message);
        if (next == INPUT_END) break;
        if (next == INPUT_RECORD &&
            query_fits(&record, b->path, text, &b->info, b->cli.index, message, sizeof message)) {
            status = add_query(b, record.vector);
            continue;
        }
        cli_message(&b->cli, "%s", message);
        status = next == INPUT_FATAL ? exit_status : CLI_DATA;
    }
    input_close(input);
    if (status == CLI_OK && b->query_count == 0) {
        cli_message(&b->cli, "%s: holds no queries", query_source(b->path));
        status = CLI_DATA;
    }
    return status;
}

/* ---- one pass ------------------------------------------------------------------------------ */

struct pass {
    struct bench *bench;
    struct effort effort;
    atomic_size_t next;
    double seconds;
};

struct worker {
    struct pass *pass;
    pthread_t thread;
    struct vdb_searcher *searcher;
    enum vdb_status status;
    struct vdb_error err;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The searcher of a worker, warmed up by one query. */
static void prepare_worker(struct worker *worker, struct pass *pass)
{
    struct bench *b = pass->bench;
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    how.k = b->k;
    how.ef = pass->effort.ef;
    how.recall = pass->effort.recall;
    worker->pass = pass;
    worker->status = vdb_searcher_open(b->snapshot, &how, &worker->searcher, &worker->err);
    if (worker->status == VDB_OK)
        worker->status =
            vdb_searcher_search(worker->searcher, b->queries, b->hits, b->found, &worker->err);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct bench *b = worker->pass->bench;
    for (;;) {
        size_t q = atomic_fetch_add(&worker->pass->next, 1);
        if (q >= b->query_count) return NULL;
        double begin = now();
        worker->status = vdb_searcher_search(worker->searcher, b->queries + q * b->info.dim,
                                             b->hits + q * b->k, b->found + q, &worker->err);
        b->micros[q] = (now() - begin) * 1e6;
        if (worker->status != VDB_OK) return NULL;
    }
}

static void run_workers(struct pass *pass, struct worker *workers, unsigned threads)
{
    unsigned started = 1;
    atomic_store(&pass->next, 0);
    double begin = now();
    while (started < threads &&
           pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
        started++;
    work(&workers[0]);
    for (unsigned i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
    pass->seconds = now() - begin;
}

static int run_pass(struct pass *pass)
{
    struct bench *b = pass->bench;
    unsigned threads = bench_threads(b);
    if (threads > b->query_count) threads = (unsigned)b->query_count;
    struct worker *workers = calloc(threads, sizeof *workers);
    if (workers == NULL) return no_memory(b);
    enum vdb_status prepared = VDB_OK;
    for (unsigned i = 0; i < threads && prepared == VDB_OK; i++) {
        prepare_worker(&workers[i], pass);
        prepared = workers[i].status;
    }
    if (prepared == VDB_OK) run_workers(pass, workers, threads);
    int status = CLI_OK;
    for (unsigned i = 0; i < threads; i++) {
        if (status == CLI_OK && workers[i].status != VDB_OK)
            status = cli_report(&b->cli, &workers[i].err);
        vdb_searcher_close(workers[i].searcher);
    }
    free(workers);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* By nearest rank: the smallest value that at least `percent` of all are not above. */
static double percentile(const double *sorted, size_t count, unsigned percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}

/* The effort that a recall comes to; 0 where none is to be told: an index of several graphs has one
 * for each of them, and one without graphs has none. */
static uint32_t effort_of_recall(const struct bench *b, double recall)
{
    uint32_t effort = 0;
    for (uint32_t i = 0; i < b->info.parts; i++) {
        uint32_t of_part = 0;
        if (vdb_part_effort(b->snapshot, i, b->k, recall, &of_part) != VDB_OK || of_part == 0)
            continue;
        if (effort != 0) return 0;
        effort = of_part;
    }
    return effort;
}

static struct plot_point figures_of(struct bench *b, const struct pass *pass, size_t *zero)
{
    double sum = 0;
    *zero = 0;
    for (size_t q = 0; q < b->query_count; q++) {
        b->recall[q] = truth_recall(&b->truth, q, b->hits + q * b->k, b->found[q]);
        sum += b->recall[q];
        *zero += b->recall[q] == 0;
    }
    qsort(b->recall, b->query_count, sizeof *b->recall, by_value);
    qsort(b->micros, b->query_count, sizeof *b->micros, by_value);
    return (struct plot_point){
        .ef = pass->effort.ef != 0 ? pass->effort.ef : effort_of_recall(b, pass->effort.recall),
        .aim = pass->effort.recall,
        .recall = sum / (double)b->query_count,
        .p5_recall = percentile(b->recall, b->query_count, 5),
        .qps = (double)b->query_count / pass->seconds,
        .p50_us = percentile(b->micros, b->query_count, 50),
        .p99_us = percentile(b->micros, b->query_count, 99),
    };
}

static void print_figures(const struct bench *b, const struct plot_point *f, size_t zero)
{
    char ef[16] = "";
    if (f->ef != 0) snprintf(ef, sizeof ef, "%" PRIu32, f->ef);
    if (b->json) {
        printf("{\"ef\":%s,", f->ef != 0 ? ef : "null");
        if (f->aim != 0) printf("\"target_recall\":%.10g,", f->aim);
        printf("\"k\":%" PRIu32 ",\"queries\":%zu,\"threads\":%u,"
               "\"recall\":%.5f,\"p5_recall\":%.5f,\"zero_recall\":%zu,"
               "\"qps\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
               b->k, b->query_count, bench_threads(b), f->recall, f->p5_recall, zero, f->qps,
               f->p50_us, f->p99_us);
    } else {
        printf("%s\t%.5f\t%.5f\t%.1f\t%.1f\t%.1f\n", f->ef != 0 ? ef : "-", f->recall, f->p5_recall,
               f->qps, f->p50_us, f->p99_us);
    }
    fflush(stdout); /* a pass may take long, and its line is worth having at once */
}

static int run(struct bench *b)
{
    int status = read_queries(b);
    if (status != CLI_OK) return status;
    size_t count = b->query_count;
    b->hits = calloc(count, b->k * sizeof *b->hits);
    b->found = calloc(count, sizeof *b->found);
    b->micros = calloc(count, sizeof *b->micros);
    b->recall = calloc(count, sizeof *b->recall);
    b->truth = (struct truth){.cli = &b->cli,
                              .path = b->path,
                              .format = b->format,
                              .snapshot = b->snapshot,
                              .info = &b->info,
                              .k = b->k,
                              .queries = b->queries,
                              .query_count = count,
                              .hits = b->hits,
                              .reach = calloc(count, sizeof *b->truth.reach),
                              .count = calloc(count, sizeof *b->truth.count)};
    if (b->hits == NULL || b->found == NULL || b->micros == NULL || b->recall == NULL ||
        b->truth.reach == NULL || b->truth.count == NULL)
        return no_memory(b);
    status = truth_find(&b->truth);

    /* The first effort runs twice: the pass that warms caches and faults pages in is not told. */
    struct pass pass = {.bench = b, .effort = b->efforts[0]};
    if (status == CLI_OK) status = run_pass(&pass);
    for (size_t i = 0; i < b->effort_count && status == CLI_OK; i++) {
        pass.effort = b->efforts[i];
        status = run_pass(&pass);
        if (status != CLI_OK) break;
        size_t zero;
        b->figures[i] = figures_of(b, &pass, &zero);
        print_figures(b, &b->figures[i], zero);
        if (ferror(stdout)) status = CLI_IOERR; /* cli_finish tells why */
    }
    return status;
}

static int run_on_snapshot(struct bench *b)
{
    vdb_snapshot_info(b->snapshot, &b->info);
    if (b->info.live == 0) {
        cli_message(&b->cli, "%s: has no rows to search", b->cli.index);
        return CLI_DATA;
    }
    if (b->k > b->info.live) b->k = (uint32_t)b->info.live;
    if (b->effort_count == 0) default_efforts(b);
    int status = b->plot.path ? plot_open(&b->plot) : CLI_OK;
    if (status == CLI_OK) status = run(b);
    struct plot_curve curve = {.index = b->cli.index,
                               .dataset = query_source(b->path),
                               .info = &b->info,
                               .k = b->k,
                               .queries = b->query_count,
                               .threads = bench_threads(b),
                               .points = b->figures,
                               .count = b->effort_count};
    if (b->plot.path) status = plot_close(&b->plot, status, &curve);
    free(b->queries);
    free(b->hits);
    free(b->found);
    free(b->truth.reach);
    free(b->truth.count);
    free(b->micros);
    free(b->recall);
    return status;
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static void check_usage(struct bench *b)
{
    const struct cli *cli = &b->cli;
    if (cli->operand_count == 0) cli_usage_error(cli, "no DATASET given");
    if (cli->operand_count > 1) cli_usage_error(cli, "one DATASET and no more");
    b->path = cli->operands[0];
    if (!b->plot.path) return;
    if (same_file(b->plot.path, cli->index))
        cli_usage_error(cli, "--plot: %s is the index itself", b->plot.path);
    if (same_file(b->plot.path, b->path))
        cli_usage_error(cli, "--plot: %s is DATASET itself", b->plot.path);
}

int main(int argc, char **argv)
{
    struct bench b = {
        .cli = {.tool = "vdb-bench",
                .usage = "[options] INDEX DATASET",
                .about = hdf5_about,
                .summary = "Measures recall and speed with the queries of a file.",
                .options = options,
                .threads_help =
                    "use N threads (default: one for queries, one a processor for the scan)"},
        .k = 10,
        .query_limit = UINT64_MAX,
    };
    cli_parse(&b.cli, argc, argv, take, &b);
    b.plot.cli = &b.cli;
    check_usage(&b);

    int status = CLI_OK;
    struct vdb_error err = {0};
    struct vdb *db = cli_open(&b.cli, b.cli.index, true, &status);
    if (db == NULL) return status;
    if (vdb_snapshot_open(db, &b.snapshot, &err) != VDB_OK) {
        status = cli_report(&b.cli, &err);
    } else {
        status = run_on_snapshot(&b);
        vdb_snapshot_close(b.snapshot);
    }
    vdb_close(db);
    return cli_finish(&b.cli, status);
}
