/* vdb-search.c: nearest neighbours of stored vectors (--like) and of queries from a file.
 *
 * Queries are gathered into small batches, which go through search/pipeline.h: one thread reads,
 * others search and print what was read before, and answers come out in the order of the queries.
 * Each query is answered by itself, so that nothing printed depends on batches, threads or timing.
 * What standard input has not sent yet is not waited for while there is something to answer.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "at.h"
#include "cli.h"
#include "input/hdf5_pipe.h"
#include "input/input.h"
#include "query.h"
#include "search/output.h"
#include "search/pipeline.h"
#include "vdb.h"

#define BATCH_QUERIES  32               /* as many as a scan looks at together */
#define NUMBERS_MAX    (4u << 20)       /* of query vectors in all batches: 16 MiB */
#define HITS_MAX       (1u << 20)       /* in all batches: 16 MiB */
#define PRINT_MAX      (1u << 20)       /* bytes of answers that are printed before their turn */
#define PRINT_HITS_MAX (PRINT_MAX / 32) /* likewise of one query */

enum {
    OPT_K = 1,
    OPT_RECALL,
    OPT_EF,
    OPT_EXACT,
    OPT_LIKE,
    OPT_RADIUS,
    OPT_AT,
    OPT_DELETED,
    OPT_METADATA,
    OPT_JSON,
    OPT_FORMAT,
    OPT_OUTPUT,
    OPT_QUERY_FORMAT,
    OPT_DATASET
};

static const struct cli_option options[] = {
    {"k", 'k', "N", "neighbours wanted (default 10)", OPT_K},
    {"recall", 0, "R", "share of the true neighbours to aim at, above 0 to 1 (default 0.95)",
     OPT_RECALL},
    {"ef", 0, "N", "effort by hand: the rows a walk goes on from, or the lists to read", OPT_EF},
    {"exact", 0, NULL, "compare every row", OPT_EXACT},
    {"like", 0, "ID", "use the stored vector of ID as a query; may be given several times",
     OPT_LIKE},
    {"radius", 0, "D", "only neighbours at distance D or nearer", OPT_RADIUS},
    {"at", 0, "WHEN", "among the rows of that snapshot, commit or time", OPT_AT},
    {"include-deleted", 0, NULL, "find deleted rows too", OPT_DELETED},
    {"with-metadata", 0, NULL, "print each neighbour's metadata", OPT_METADATA},
    {"json", 0, NULL, "print one JSON object a neighbour", OPT_JSON},
    {"format", 0, "NAME", "write row numbers and distances as ivecs or hdf5", OPT_FORMAT},
    {"output", 'o', "FILE", "write to FILE instead of standard output", OPT_OUTPUT},
    {"query-format", 0, "NAME", "format of QUERIES (default: by extension or content)",
     OPT_QUERY_FORMAT},
    {"dataset", 0, "NAME", "dataset of an HDF5 file of queries (default test)", OPT_DATASET},
    {NULL, 0, NULL, NULL, 0},
};

struct batch {
    size_t len;
    float *queries;                /* batch_max * dim */
    char (*names)[VDB_ID_MAX + 1]; /* what the first column says of each */
    struct vdb_hit *hits;          /* batch_max * how.k */
    uint32_t *found;
    FILE *print; /* text and JSON: what is printed before its turn */
    char *text;
    size_t text_len, printed; /* bytes; queries */
    enum vdb_status status;
    struct vdb_error err;
};

struct search {
    struct cli cli;

    /* options */
    uint32_t k;
    struct vdb_search_options how;
    bool json;
    const char *at; /* NULL: now */
    const char *dataset;
    enum input_format query_format;
    const char **likes;
    size_t like_count;

    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    struct output output;

    size_t batch_max, batch_count;
    struct batch *batches;

    /* reading, by one thread at a time */
    size_t likes_done;
    struct input *input;
    const char *path;
    bool polled, show; /* standard input that may make wait; progress is shown */
    struct cli_progress progress;
    uint64_t query_count;
    int status;         /* the exit status so far, for what does not end the run */
    int fault;          /* the exit status of what ended the reading, or 0 */
    char message[1024]; /* that is told when the queries before it are answered */

    /* writing, likewise */
    uint64_t hit_count;
    struct vdb_error err; /* what ended it, where that is the library's */
    int os_errno;         /* and where a write failed, on whichever thread that was */
};

static void take_format(struct search *s, const char *value)
{
    if (strcmp(value, "ivecs") == 0)
        s->output.format = OUTPUT_IVECS;
    else if (strcmp(value, "hdf5") == 0)
        s->output.format = OUTPUT_HDF5;
    else
        cli_usage_error(&s->cli, "--format takes ivecs or hdf5, not '%s'", value);
}

static void take_like(struct search *s, const char *value)
{
    const char **likes = realloc(s->likes, (s->like_count + 1) * sizeof *likes);
    if (likes == NULL) {
        cli_message(&s->cli, "out of memory");
        exit(CLI_IOERR);
    }
    s->likes = likes;
    s->likes[s->like_count++] = value;
}

static void take_query_format(struct search *s, const char *value)
{
    int format = input_format_by_name(value);
    if (format < 0) cli_usage_error(&s->cli, "--query-format: no format is called '%s'", value);
    s->query_format = (enum input_format)format;
}

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct search *s = context;
    switch (id) {
    case OPT_K:
        s->k = (uint32_t)cli_number(cli, "-k", value, 1, UINT32_MAX - 1);
        break;
    case OPT_RECALL:
        s->how.recall = cli_real(cli, "--recall", value);
        if (!(s->how.recall > 0 && s->how.recall <= 1))
            cli_usage_error(cli, "--recall: '%s' is not above 0 and at most 1", value);
        break;
    case OPT_EF:
        s->how.ef = (uint32_t)cli_number(cli, "--ef", value, 1, UINT32_MAX - 1);
        break;
    case OPT_EXACT:
        s->how.exact = 1;
        break;
    case OPT_LIKE:
        take_like(s, value);
        break;
    case OPT_RADIUS:
        s->how.radius = cli_real(cli, "--radius", value);
        s->how.use_radius = 1;
        break;
    case OPT_AT:
        at_check(cli, "--at", value);
        s->at = value;
        break;
    case OPT_DELETED:
        s->how.include_deleted = 1;
        break;
    case OPT_METADATA:
        s->output.with_metadata = true;
        break;
    case OPT_JSON:
        s->json = true;
        break;
    case OPT_FORMAT:
        take_format(s, value);
        break;
    case OPT_OUTPUT:
        s->output.path = strcmp(value, "-") == 0 ? NULL : value;
        break;
    case OPT_QUERY_FORMAT:
        take_query_format(s, value);
        break;
    case OPT_DATASET:
        s->dataset = value;
        break;
    default:
        break;
    }
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static void check_usage(struct search *s)
{
    const struct cli *cli = &s->cli;
    bool numbers = output_is_numbers(s->output.format);
    if (cli->operand_count > 1) cli_usage_error(cli, "one file of QUERIES and no more");
    if (s->how.exact && s->how.ef) cli_usage_error(cli, "--exact or --ef, not both");
    if (s->how.exact && s->how.recall > 0) cli_usage_error(cli, "--exact or --recall, not both");
    if (s->how.ef && s->how.recall > 0) cli_usage_error(cli, "--ef or --recall, not both");
    if (s->json && numbers) cli_usage_error(cli, "--json or --format, not both");
    if (s->output.with_metadata && numbers)
        cli_usage_error(cli, "--format writes numbers only: --with-metadata does not go with it");
    if (numbers && !s->output.path && isatty(STDOUT_FILENO))
        cli_usage_error(cli, "binary output is not for a terminal: use --output FILE or a pipe");
    if (s->output.path && same_file(s->output.path, cli->index))
        cli_usage_error(cli, "--output: %s is the index itself", s->output.path);
    if (s->json) s->output.format = OUTPUT_JSON;
}

/* ---- batches ------------------------------------------------------------------------------- */

static unsigned threads_of(const struct cli *cli)
{
    if (cli->threads > 0) return cli->threads;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return (unsigned)CPU_COUNT(&allowed);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

static int no_memory(const struct search *s)
{
    cli_message(&s->cli, "out of memory");
    return CLI_IOERR;
}

static size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

static int prepare(struct search *s)
{
    /* More neighbours than rows cannot be found, and no room is kept for them. */
    s->how.k = s->info.rows < s->k ? (uint32_t)s->info.rows : s->k;
    if (s->how.k == 0) s->how.k = 1;
    s->how.threads = 1; /* of each batch */
    s->batch_count = threads_of(&s->cli) > 1 ? 2 * (size_t)threads_of(&s->cli) : 1;
    s->batch_max = at_most(BATCH_QUERIES, NUMBERS_MAX / s->batch_count / s->info.dim);
    s->batch_max = at_most(s->batch_max, HITS_MAX / s->batch_count / s->how.k);
    if (s->batch_max == 0) s->batch_max = 1;
    s->batches = calloc(s->batch_count, sizeof *s->batches);
    return s->batches != NULL ? CLI_OK : no_memory(s);
}

/* Few queries never need more than the first of all batches: each gets its room when it is its
 * turn. */
static bool batch_reserve(const struct search *s, struct batch *b)
{
    b->len = b->printed = 0;
    b->status = VDB_OK;
    if (b->found != NULL) return true;
    b->status = VDB_NO_MEMORY;
    b->err = (struct vdb_error){.status = VDB_NO_MEMORY, .message = "out of memory"};
    b->queries = malloc(s->batch_max * s->info.dim * sizeof *b->queries);
    b->names = malloc(s->batch_max * sizeof *b->names);
    b->hits = malloc(s->batch_max * s->how.k * sizeof *b->hits);
    bool numbers = output_is_numbers(s->output.format);
    if (!numbers) b->print = open_memstream(&b->text, &b->text_len);
    if (b->queries && b->names && b->hits && (numbers || b->print))
        b->found = malloc(s->batch_max * sizeof *b->found);
    if (b->found == NULL) return false;
    b->status = VDB_OK;
    return true;
}

static void batch_release(struct batch *b)
{
    if (b->print != NULL) fclose(b->print);
    free(b->queries);
    free(b->names);
    free(b->hits);
    free(b->found);
    free(b->text);
}

/* Where the next query goes; `id` NULL: it is called by its number. */
static float *next_query(struct search *s, struct batch *b, const char *id, size_t id_len)
{
    char *name = b->names[b->len];
    if (id == NULL)
        snprintf(name, VDB_ID_MAX + 1, "%" PRIu64, s->query_count);
    else {
        memcpy(name, id, id_len);
        name[id_len] = '\0';
    }
    s->query_count++;
    return b->queries + b->len++ * s->info.dim;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool read_likes(void *context, size_t slot)
{
    struct search *s = context;
    struct batch *b = &s->batches[slot];
    if (!batch_reserve(s, b)) return false;
    for (; s->likes_done < s->like_count && b->len < s->batch_max; s->likes_done++) {
        const char *id = s->likes[s->likes_done];
        char name[CLI_NAME_SIZE];
        uint32_t row = 0;
        b->status = vdb_find(s->snapshot, id, strlen(id), s->how.include_deleted, &row, &b->err);
        if (b->status == VDB_NOT_FOUND || b->status == VDB_INVALID) {
            cli_message(&s->cli, "%s: no such id: %s", s->cli.index,
                        cli_name(id, strlen(id), name));
            s->status = CLI_NO;
            b->status = VDB_OK;
            continue;
        }
        if (b->status == VDB_OK)
            b->status = vdb_row_vector(s->snapshot, row, next_query(s, b, id, strlen(id)), &b->err);
        if (b->status != VDB_OK) return false;
    }
    return s->likes_done < s->like_count;
}

/* Whether nothing has come yet of what standard input is still to send. */
static bool must_wait(const struct search *s)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return s->polled && poll(&in, 1, 0) == 0;
}

/* Queries before a bad one are answered. Those in one batch with a fatal fault are not: a file that
 * proves broken may have been broken there too. */
static bool read_records(void *context, size_t slot)
{
    struct search *s = context;
    struct batch *b = &s->batches[slot];
    if (!batch_reserve(s, b)) return false;
    while (b->len < s->batch_max && !(b->len > 0 && must_wait(s))) {
        struct record record;
        int fatal = CLI_DATA;
        enum input_status next =
            input_next(s->input, &record, &fatal, s->message, sizeof s->message);
        if (next == INPUT_END) return false;
        if (next != INPUT_RECORD || !query_fits(&record, s->path, input_is_text(s->input), &s->info,
                                                s->cli.index, s->message, sizeof s->message)) {
            s->fault = next == INPUT_FATAL ? fatal : CLI_DATA;
            if (next == INPUT_FATAL) b->len = 0;
            return false;
        }
        float *query = next_query(s, b, record.id, record.id_len);
        memcpy(query, record.vector, s->info.dim * sizeof *query);
        if (s->show) cli_progress(&s->progress, "search", s->query_count, input_rows(s->input));
    }
    return true;
}

/* ---- searching and writing ----------------------------------------------------------------- */

/* Of a huge answer the rest is printed when it is its turn, so that memory stays bounded. */
static void print_ahead(const struct search *s, struct batch *b)
{
    rewind(b->print);
    for (; b->printed < b->len && b->status == VDB_OK; b->printed++) {
        size_t q = b->printed;
        if (ftello(b->print) > PRINT_MAX || b->found[q] > PRINT_HITS_MAX) break;
        b->status = output_print(&s->output, b->print, b->names[q], b->hits + q * s->how.k,
                                 b->found[q], &b->err);
    }
    if (fflush(b->print) == 0 && !ferror(b->print)) return;
    b->status = VDB_NO_MEMORY;
    b->err = (struct vdb_error){.status = VDB_NO_MEMORY, .message = "out of memory"};
}

static void search_batch(void *context, size_t slot)
{
    struct search *s = context;
    struct batch *b = &s->batches[slot];
    if (b->len == 0 || b->status != VDB_OK) return;
    struct vdb_search_options how = s->how;
    if (b->len == 1) how.threads = threads_of(&s->cli); /* in several parts at once */
    b->status = vdb_search(s->snapshot, b->queries, b->len, &how, b->hits, b->found, &b->err);
    if (b->status == VDB_OK && b->print != NULL) print_ahead(s, b);
}

static int write_answers(struct search *s, struct batch *b)
{
    int status = CLI_OK;
    if (b->print != NULL && b->printed > 0) fwrite(b->text, 1, b->text_len, s->output.out);
    for (size_t q = b->printed; q < b->len && b->status == VDB_OK && status == CLI_OK; q++) {
        const struct vdb_hit *hits = b->hits + q * s->how.k;
        if (b->print == NULL)
            status = output_write_row(&s->output, hits, b->found[q]);
        else
            b->status =
                output_print(&s->output, s->output.out, b->names[q], hits, b->found[q], &b->err);
    }
    if (s->polled && s->output.out != NULL) fflush(s->output.out); /* somebody may be waiting */
    return s->output.out != NULL && ferror(s->output.out) ? CLI_IOERR : status;
}

static int write_batch(void *context, size_t slot)
{
    struct search *s = context;
    struct batch *b = &s->batches[slot];
    int status = b->len > 0 ? write_answers(s, b) : CLI_OK;
    if (status != CLI_OK) s->os_errno = errno;
    if (status == CLI_OK && b->status != VDB_OK) {
        s->err = b->err;
        status = CLI_DATA;
    }
    for (size_t q = 0; q < b->len && status == CLI_OK; q++) s->hit_count += b->found[q];
    return status;
}

/* Answers the queries that `read` gives and tells what was wrong. */
static int answer(struct search *s, bool (*read)(void *context, size_t slot))
{
    struct pipeline pipeline = {.threads = s->batch_count > 1 ? threads_of(&s->cli) : 1,
                                .slots = s->batch_count,
                                .context = s,
                                .read = read,
                                .work = search_batch,
                                .write = write_batch};
    int status = pipeline_run(&pipeline);
    cli_progress_end(&s->progress);
    if (s->err.status != VDB_OK) return cli_report(&s->cli, &s->err);
    if (status != CLI_OK || s->fault == CLI_OK) return status;
    cli_message(&s->cli, "%s", s->message);
    return s->fault;
}

static int answer_file(struct search *s)
{
    struct stat in;
    struct input_options how = {
        .format = s->query_format,
        .dataset = s->dataset,
        .default_dataset = "test",
        .ids_optional = true,
    };
    int status = CLI_DATA;
    s->path = s->cli.operand_count > 0 ? s->cli.operands[0] : "-";
    s->input = input_open(s->path, &how, &status, s->message, sizeof s->message);
    if (s->input == NULL) {
        cli_message(&s->cli, "%s", s->message);
        return status;
    }
    s->polled = strcmp(s->path, "-") == 0 && fstat(STDIN_FILENO, &in) == 0 && !S_ISREG(in.st_mode);
    s->show = input_rows(s->input) > 0 && (s->output.path || !isatty(STDOUT_FILENO));
    status = answer(s, read_records);
    input_close(s->input);
    return status;
}

static int search(struct search *s)
{
    int status = prepare(s);
    if (status != CLI_OK) return status;
    s->output.cli = s->progress.cli = &s->cli;
    s->output.snapshot = s->snapshot;
    s->output.k = s->k;
    status = output_open(&s->output);
    if (status != CLI_OK) return output_close(&s->output, status);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (s->like_count > 0) status = answer(s, read_likes);
    if (status == CLI_OK && (s->like_count == 0 || s->cli.operand_count > 0))
        status = answer_file(s);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (status == CLI_OK) status = s->status;
    if (status == CLI_OK && s->hit_count == 0) status = CLI_NO;
    if (s->cli.verbose)
        cli_message(&s->cli, "queries %" PRIu64 ", neighbours %" PRIu64 ", seconds %.3f",
                    s->query_count, s->hit_count,
                    (double)(end.tv_sec - begin.tv_sec) +
                        (double)(end.tv_nsec - begin.tv_nsec) * 1e-9);
    return output_close(&s->output, status);
}

static int search_index(struct search *s)
{
    int status = CLI_OK;
    struct vdb *db = cli_open(&s->cli, s->cli.index, true, &status);
    if (db == NULL) return status;
    status = at_open(&s->cli, db, s->at, &s->snapshot);
    if (status == CLI_OK) {
        vdb_snapshot_info(s->snapshot, &s->info);
        status = search(s);
        vdb_snapshot_close(s->snapshot);
    }
    vdb_close(db);
    return status;
}

int main(int argc, char **argv)
{
    struct search s = {
        .cli = {.tool = "vdb-search",
                .usage = "[options] INDEX [QUERIES]",
                .about = hdf5_about,
                .summary = "Finds the nearest neighbours of queries.",
                .options = options},
        .k = 10,
        .how = VDB_SEARCH_OPTIONS_INIT,
    };
    cli_parse(&s.cli, argc, argv, take, &s);
    check_usage(&s);
    int status = search_index(&s);
    for (size_t i = 0; s.batches != NULL && i < s.batch_count; i++) batch_release(&s.batches[i]);
    free(s.batches);
    free(s.likes);
    if (s.os_errno != 0) errno = s.os_errno;
    return cli_finish(&s.cli, status);
}
