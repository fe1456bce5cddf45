/* vdb-bench.c: recall against speed: the queries of a file, one at a time, at several efforts.
 *
 * The truth is the file's own list of neighbours where that speaks of this very index, else an
 * exact scan. A neighbour counts as found when it is no further away than the k-th true one, as
 * ann-benchmarks counts, so that ties cost nothing. What is timed is vdb_search and nothing else:
 * answers are kept and compared when the pass is over.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/plot.h"
#include "cli.h"
#include "input/input.h"
#include "query.h"
#include "vdb.h"

#define EFFORTS_MAX  PLOT_POINTS_MAX
#define TRUTH_SAMPLE 16 /* queries for which the file's truth is held against an exact scan */
#define SCAN_BATCH   64 /* queries of an exact scan from one drawn progress line to the next */

enum { OPT_K = 1, OPT_EF, OPT_QUERIES, OPT_PLOT, OPT_JSON, OPT_QUERY_FORMAT };

static const struct cli_option options[] = {
    {"k", 'k', "N", "neighbours wanted (default 10)", OPT_K},
    {"ef", 0, "LIST", "efforts to try (default: k times 1, 2, 4, ... 64)", OPT_EF},
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
    uint32_t efforts[EFFORTS_MAX];
    size_t effort_count;
    uint64_t query_limit;
    bool json;
    enum input_format format;
    const char *path;
    struct plot plot; /* its path is NULL where none is wanted */

    const struct vdb_snapshot *snapshot;
    struct vdb_info info;

    float *queries; /* query_count * dim */
    size_t query_count, query_room;
    double *reach;        /* a query: the distance of its k-th true neighbour */
    uint32_t *true_count; /* and how many true neighbours there are: k, or all the rows */

    /* one pass */
    struct vdb_hit *hits; /* query_count * k */
    uint32_t *found;
    double *micros; /* a query */
    double *recall;

    struct plot_point figures[EFFORTS_MAX];
};

/* ---- options ------------------------------------------------------------------------------- */

static void take_efforts(struct bench *b, const char *list)
{
    b->effort_count = 0;
    for (const char *at = list;; at++) {
        char number[32];
        size_t len = strcspn(at, ",");
        snprintf(number, sizeof number, "%.*s", (int)(len < 31 ? len : 31), at);
        if (b->effort_count == EFFORTS_MAX)
            cli_usage_error(&b->cli, "--ef: more than %d efforts", EFFORTS_MAX);
        b->efforts[b->effort_count++] =
            (uint32_t)cli_number(&b->cli, "--ef", number, 1, UINT32_MAX - 1);
        at += len;
        if (*at == '\0') return;
    }
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
        take_efforts(b, value);
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

static void default_efforts(struct bench *b)
{
    /* An effort of all the rows is the last that can tell anything new. */
    for (uint64_t ef = b->k; ef <= (uint64_t)b->k * 64 && ef < UINT32_MAX; ef *= 2) {
        b->efforts[b->effort_count++] = (uint32_t)ef;
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

/* ---- the truth ----------------------------------------------------------------------------- */

/* In double precision and in the metric's own terms. The truth is computed here and not taken from
 * the library, whose answers it is to judge. */
static double distance(enum vdb_metric metric, const float *x, const float *q, uint32_t dim)
{
    double squares = 0, dot = 0, xx = 0, qq = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double a = (double)x[i], b = (double)q[i];
        squares += (a - b) * (a - b);
        dot += a * b;
        xx += a * a;
        qq += b * b;
    }
    if (metric == VDB_METRIC_L2) return sqrt(squares);
    if (metric == VDB_METRIC_COSINE) return 1 - dot / sqrt(xx * qq);
    return -dot;
}

static struct input *open_dataset(const struct bench *b, const char *dataset)
{
    struct input_options how = {.format = INPUT_HDF5, .dataset = dataset};
    char message[1024];
    int status;
    return input_open(b->path, &how, &status, message, sizeof message);
}

/* `neighbors` counts rows of `train` in their order: it speaks of this index only if that holds
 * those rows, all alive, and nothing else. Its numbers come as floats, whole up to 2^24. */
static bool truth_is_ours(const struct bench *b)
{
    if (b->info.deleted != 0 || b->info.rows > 1u << 24) return false;
    struct input *train = open_dataset(b, "train");
    if (train == NULL) return false;
    bool ours = input_rows(train) == b->info.rows && input_dim(train) == b->info.dim;
    input_close(train);
    return ours;
}

/* Is what the file says of the first queries as near as an exact scan gets? It is not where the
 * index has other rows, another order or another metric. One part in a thousand, as in
 * ann-benchmarks, is for types that round what the file's truth was made from. */
static bool truth_holds(struct bench *b)
{
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    size_t count = b->query_count < TRUTH_SAMPLE ? b->query_count : TRUTH_SAMPLE;
    how.k = b->k;
    how.exact = 1;
    how.threads = b->cli.threads;
    if (vdb_search(b->snapshot, b->queries, count, &how, b->hits, b->found, NULL) != VDB_OK)
        return false;
    for (size_t q = 0; q < count; q++) {
        double nearest = b->hits[(q + 1) * b->k - 1].distance;
        if (b->reach[q] > nearest + 1e-3 * fabs(nearest) + 1e-12) return false;
    }
    return true;
}

/* The reach of query q from the rows that the file names; false where one of them is not there. */
static bool take_truth(struct bench *b, size_t q, const struct record *rows, float *vector)
{
    if (rows->dim < b->k) return false;
    double reach = -INFINITY;
    for (uint32_t i = 0; i < b->k; i++) {
        float number = rows->vector[i];
        if (!(number >= 0 && (double)number < (double)b->info.rows)) return false;
        if (vdb_row_vector(b->snapshot, (uint32_t)number, vector, NULL) != VDB_OK) return false;
        double d = distance(b->info.metric, vector, b->queries + q * b->info.dim, b->info.dim);
        if (d > reach) reach = d;
    }
    b->reach[q] = reach;
    b->true_count[q] = b->k;
    return true;
}

static bool read_truth(struct bench *b)
{
    bool may_be = b->format == INPUT_AUTO || b->format == INPUT_HDF5;
    if (!may_be || strcmp(b->path, "-") == 0) return false;
    struct input *input = open_dataset(b, "neighbors");
    if (input == NULL) return false;
    float *vector = malloc(b->info.dim * sizeof *vector);
    size_t q = 0;
    if (vector != NULL && truth_is_ours(b)) {
        struct record record;
        char message[1024];
        int status;
        while (q < b->query_count &&
               input_next(input, &record, &status, message, sizeof message) == INPUT_RECORD &&
               take_truth(b, q, &record, vector))
            q++;
    }
    free(vector);
    input_close(input);
    bool ours = q == b->query_count && truth_holds(b);
    if (!ours && !b->cli.quiet)
        cli_message(&b->cli, "%s: its neighbors are not those of %s: scanning instead", b->path,
                    b->cli.index);
    return ours;
}

static int scan_truth(struct bench *b)
{
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    struct cli_progress progress = {.cli = &b->cli};
    struct vdb_error err = {0};
    how.k = b->k;
    how.exact = 1;
    how.threads = b->cli.threads;
    for (size_t q = 0; q < b->query_count; q += SCAN_BATCH) {
        size_t count = b->query_count - q < SCAN_BATCH ? b->query_count - q : SCAN_BATCH;
        if (vdb_search(b->snapshot, b->queries + q * b->info.dim, count, &how, b->hits + q * b->k,
                       b->true_count + q, &err) != VDB_OK) {
            cli_progress_end(&progress);
            return cli_report(&b->cli, &err);
        }
        cli_progress(&progress, "exact scan", q + count, b->query_count);
    }
    cli_progress_end(&progress);
    for (size_t q = 0; q < b->query_count; q++)
        b->reach[q] =
            b->true_count[q] > 0 ? b->hits[q * b->k + b->true_count[q] - 1].distance : -INFINITY;
    return CLI_OK;
}

/* ---- one pass ------------------------------------------------------------------------------ */

struct pass {
    struct bench *bench;
    uint32_t ef;
    atomic_size_t next;
    double seconds;
};

struct worker {
    struct pass *pass;
    pthread_t thread;
    enum vdb_status status;
    struct vdb_error err;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct bench *b = worker->pass->bench;
    struct vdb_search_options how = VDB_SEARCH_OPTIONS_INIT;
    how.k = b->k;
    how.ef = worker->pass->ef;
    how.threads = 1;
    for (;;) {
        size_t q = atomic_fetch_add(&worker->pass->next, 1);
        if (q >= b->query_count) return NULL;
        double begin = now();
        worker->status = vdb_search(b->snapshot, b->queries + q * b->info.dim, 1, &how,
                                    b->hits + q * b->k, b->found + q, &worker->err);
        b->micros[q] = (now() - begin) * 1e6;
        if (worker->status != VDB_OK) return NULL;
    }
}

static int run_pass(struct pass *pass)
{
    struct bench *b = pass->bench;
    unsigned threads = bench_threads(b), started = 1;
    struct worker *workers = calloc(threads, sizeof *workers);
    if (workers == NULL) return no_memory(b);
    atomic_store(&pass->next, 0);
    double begin = now();
    for (unsigned i = 0; i < threads; i++) workers[i].pass = pass;
    while (started < threads &&
           pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
        started++;
    work(&workers[0]);
    for (unsigned i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
    pass->seconds = now() - begin;
    int status = CLI_OK;
    for (unsigned i = 0; i < started && status == CLI_OK; i++)
        if (workers[i].status != VDB_OK) status = cli_report(&b->cli, &workers[i].err);
    free(workers);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Room for the last digits: the truth's sums run in another order than the library's. The absolute
 * part is for cosine distances near zero, where 1 - cosine cancels. */
static double query_recall(const struct bench *b, size_t q)
{
    double limit = b->reach[q] + 1e-6 * fabs(b->reach[q]) + 1e-12;
    uint32_t within = 0;
    for (uint32_t i = 0; i < b->found[q]; i++) within += b->hits[q * b->k + i].distance <= limit;
    if (b->true_count[q] == 0) return 1;
    return within < b->true_count[q] ? (double)within / b->true_count[q] : 1;
}

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

static struct plot_point figures_of(struct bench *b, const struct pass *pass, size_t *zero)
{
    double sum = 0;
    *zero = 0;
    for (size_t q = 0; q < b->query_count; q++) {
        b->recall[q] = query_recall(b, q);
        sum += b->recall[q];
        *zero += b->recall[q] == 0;
    }
    qsort(b->recall, b->query_count, sizeof *b->recall, by_value);
    qsort(b->micros, b->query_count, sizeof *b->micros, by_value);
    return (struct plot_point){
        .ef = pass->ef,
        .recall = sum / (double)b->query_count,
        .p5_recall = percentile(b->recall, b->query_count, 5),
        .qps = (double)b->query_count / pass->seconds,
        .p50_us = percentile(b->micros, b->query_count, 50),
        .p99_us = percentile(b->micros, b->query_count, 99),
    };
}

static void print_figures(const struct bench *b, const struct plot_point *f, size_t zero)
{
    if (b->json)
        printf("{\"ef\":%" PRIu32 ",\"k\":%" PRIu32 ",\"queries\":%zu,\"threads\":%u,"
               "\"recall\":%.5f,\"p5_recall\":%.5f,\"zero_recall\":%zu,"
               "\"qps\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
               f->ef, b->k, b->query_count, bench_threads(b), f->recall, f->p5_recall, zero, f->qps,
               f->p50_us, f->p99_us);
    else
        printf("%" PRIu32 "\t%.5f\t%.5f\t%.1f\t%.1f\t%.1f\n", f->ef, f->recall, f->p5_recall,
               f->qps, f->p50_us, f->p99_us);
    fflush(stdout); /* a pass may take long, and its line is worth having at once */
}

static int run(struct bench *b)
{
    int status = read_queries(b);
    if (status != CLI_OK) return status;
    size_t count = b->query_count;
    b->hits = calloc(count, b->k * sizeof *b->hits);
    b->found = calloc(count, sizeof *b->found);
    b->true_count = calloc(count, sizeof *b->true_count);
    b->reach = calloc(count, sizeof *b->reach);
    b->micros = calloc(count, sizeof *b->micros);
    b->recall = calloc(count, sizeof *b->recall);
    if (b->hits == NULL || b->found == NULL || b->true_count == NULL || b->reach == NULL ||
        b->micros == NULL || b->recall == NULL)
        return no_memory(b);
    if (!read_truth(b)) status = scan_truth(b);

    /* The first effort runs twice: the pass that warms caches and faults pages in is not told. */
    struct pass pass = {.bench = b, .ef = b->efforts[0]};
    if (status == CLI_OK) status = run_pass(&pass);
    for (size_t i = 0; i < b->effort_count && status == CLI_OK; i++) {
        pass.ef = b->efforts[i];
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
    free(b->true_count);
    free(b->reach);
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
