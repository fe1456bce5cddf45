/* vdb-search.c: nearest neighbours of stored vectors (--like) and of queries from a file.
 *
 * Queries are gathered into batches, which the library searches with all threads asked for, and
 * answered in the order in which they came; the size of a batch follows from k and the dimension
 * alone, so that nothing printed depends on threads or timing.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "input/input.h"
#include "query.h"
#include "search/output.h"
#include "vdb.h"

#define BATCH_QUERIES 1024
#define BATCH_NUMBERS (4u << 20) /* of query vectors: 16 MiB */
#define BATCH_HITS    (1u << 20) /* 16 MiB */

enum {
    OPT_K = 1,
    OPT_EF,
    OPT_EXACT,
    OPT_LIKE,
    OPT_RADIUS,
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
    {"ef", 0, "N", "effort: candidates kept during the walk (default 64)", OPT_EF},
    {"exact", 0, NULL, "compare every row", OPT_EXACT},
    {"like", 0, "ID", "use the stored vector of ID as a query; may be given several times",
     OPT_LIKE},
    {"radius", 0, "D", "only neighbours at distance D or nearer", OPT_RADIUS},
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

struct search {
    struct cli cli;

    /* options */
    uint32_t k;
    struct vdb_search_options how;
    bool ef_given, json;
    const char *dataset;
    enum input_format query_format;
    const char **likes;
    size_t like_count;

    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    struct output output;

    /* the batch */
    size_t batch_max, batch_len;
    float *queries;                /* batch_max * dim */
    char (*names)[VDB_ID_MAX + 1]; /* what the first column says of each */
    struct vdb_hit *hits;          /* batch_max * how.k */
    uint32_t *found;

    uint64_t query_count, hit_count;
    int status; /* the exit status so far, for what does not end the run */
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
    case OPT_EF:
        s->how.ef = (uint32_t)cli_number(cli, "--ef", value, 1, UINT32_MAX - 1);
        s->ef_given = true;
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
    bool numbers = s->output.format == OUTPUT_IVECS || s->output.format == OUTPUT_HDF5;
    if (cli->operand_count > 1) cli_usage_error(cli, "one file of QUERIES and no more");
    if (s->how.exact && s->ef_given) cli_usage_error(cli, "--exact or --ef, not both");
    if (s->json && numbers) cli_usage_error(cli, "--json or --format, not both");
    if (s->output.with_metadata && numbers)
        cli_usage_error(cli, "--format writes numbers only: --with-metadata does not go with it");
    if (numbers && !s->output.path && isatty(STDOUT_FILENO))
        cli_usage_error(cli, "binary output is not for a terminal: use --output FILE or a pipe");
    if (s->output.path && same_file(s->output.path, cli->index))
        cli_usage_error(cli, "--output: %s is the index itself", s->output.path);
    if (s->json) s->output.format = OUTPUT_JSON;
}

/* ---- searching ----------------------------------------------------------------------------- */

static int prepare(struct search *s)
{
    /* More neighbours than rows cannot be found, and no room is kept for them. */
    s->how.k = s->info.rows < s->k ? (uint32_t)s->info.rows : s->k;
    if (s->how.k == 0) s->how.k = 1;
    s->how.threads = s->cli.threads;
    s->batch_max = BATCH_QUERIES;
    if (s->batch_max * s->info.dim > BATCH_NUMBERS) s->batch_max = BATCH_NUMBERS / s->info.dim;
    if (s->batch_max * s->how.k > BATCH_HITS) s->batch_max = BATCH_HITS / s->how.k;
    if (s->batch_max == 0) s->batch_max = 1;
    s->queries = malloc(s->batch_max * s->info.dim * sizeof *s->queries);
    s->names = malloc(s->batch_max * sizeof *s->names);
    s->hits = malloc(s->batch_max * s->how.k * sizeof *s->hits);
    s->found = malloc(s->batch_max * sizeof *s->found);
    if (s->queries != NULL && s->names != NULL && s->hits != NULL && s->found != NULL)
        return CLI_OK;
    cli_message(&s->cli, "out of memory");
    return CLI_IOERR;
}

static int flush_batch(struct search *s)
{
    struct vdb_error err = {0};
    if (s->batch_len == 0) return CLI_OK;
    enum vdb_status status =
        vdb_search(s->snapshot, s->queries, s->batch_len, &s->how, s->hits, s->found, &err);
    if (status != VDB_OK) return cli_report(&s->cli, &err);
    for (size_t q = 0; q < s->batch_len; q++) {
        s->hit_count += s->found[q];
        int written = output_write(&s->output, s->names[q], s->hits + q * s->how.k, s->found[q]);
        if (written != CLI_OK) return written;
    }
    s->batch_len = 0;
    return CLI_OK;
}

/* Where the next query goes; `id` NULL: it is called by its number. */
static float *next_query(struct search *s, const char *id, size_t id_len)
{
    char *name = s->names[s->batch_len];
    if (id == NULL)
        snprintf(name, VDB_ID_MAX + 1, "%" PRIu64, s->query_count);
    else {
        memcpy(name, id, id_len);
        name[id_len] = '\0';
    }
    s->query_count++;
    return s->queries + s->batch_len++ * s->info.dim;
}

static int search_likes(struct search *s)
{
    struct vdb_error err = {0};
    for (size_t i = 0; i < s->like_count; i++) {
        const char *id = s->likes[i];
        char name[CLI_NAME_SIZE];
        uint32_t row = 0;
        enum vdb_status status =
            vdb_find(s->snapshot, id, strlen(id), s->how.include_deleted, &row, &err);
        if (status == VDB_NOT_FOUND || status == VDB_INVALID) {
            cli_message(&s->cli, "%s: no such id: %s", s->cli.index,
                        cli_name(id, strlen(id), name));
            s->status = CLI_NO;
            continue;
        }
        if (status == VDB_OK)
            status = vdb_row_vector(s->snapshot, row, next_query(s, id, strlen(id)), &err);
        if (status != VDB_OK) return cli_report(&s->cli, &err);
        if (s->batch_len < s->batch_max) continue;
        int done = flush_batch(s);
        if (done != CLI_OK) return done;
    }
    return flush_batch(s);
}

/* Queries before a bad one are answered, so that what is printed does not hang on batches. Before
 * a fatal fault they are not: a file that proves broken may have been broken there too. */
static int search_records(struct search *s, struct input *input, const char *path, bool text)
{
    struct cli_progress progress = {.cli = &s->cli};
    bool show = input_rows(input) > 0 && (s->output.path || !isatty(STDOUT_FILENO));
    char message[1024];
    int status = CLI_OK;
    while (status == CLI_OK) {
        struct record record;
        int exit_status = CLI_DATA;
        enum input_status next = input_next(input, &record, &exit_status, message, sizeof message);
        if (next == INPUT_END) break;
        if (next == INPUT_RECORD &&
            query_fits(&record, path, text, &s->info, s->cli.index, message, sizeof message)) {
            float *query = next_query(s, record.id, record.id_len);
            memcpy(query, record.vector, s->info.dim * sizeof *query);
            if (s->batch_len == s->batch_max) status = flush_batch(s);
            if (show) cli_progress(&progress, "search", s->query_count, input_rows(input));
            continue;
        }
        cli_progress_end(&progress);
        if (next != INPUT_FATAL) status = flush_batch(s);
        cli_message(&s->cli, "%s", message);
        return status != CLI_OK ? status : next == INPUT_FATAL ? exit_status : CLI_DATA;
    }
    if (status == CLI_OK) status = flush_batch(s);
    cli_progress_end(&progress);
    return status;
}

static int search_file(struct search *s)
{
    const char *path = s->cli.operand_count > 0 ? s->cli.operands[0] : "-";
    struct input_options how = {
        .format = s->query_format,
        .dataset = s->dataset,
        .default_dataset = "test",
        .ids_optional = true,
    };
    char message[1024];
    int status = CLI_DATA;
    struct input *input = input_open(path, &how, &status, message, sizeof message);
    if (input == NULL) {
        cli_message(&s->cli, "%s", message);
        return status;
    }
    status = search_records(s, input, path, input_is_text(input));
    input_close(input);
    return status;
}

static int search(struct search *s)
{
    int status = prepare(s);
    if (status != CLI_OK) return status;
    s->output.cli = &s->cli;
    s->output.snapshot = s->snapshot;
    s->output.k = s->k;
    status = output_open(&s->output);
    if (status != CLI_OK) return output_close(&s->output, status);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    status = search_likes(s);
    if (status == CLI_OK && (s->like_count == 0 || s->cli.operand_count > 0))
        status = search_file(s);
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

int main(int argc, char **argv)
{
    struct search s = {
        .cli = {.tool = "vdb-search",
                .usage = "[options] INDEX [QUERIES]",
                .summary = "Finds the nearest neighbours of queries.",
                .options = options},
        .k = 10,
        .how = VDB_SEARCH_OPTIONS_INIT,
    };
    cli_parse(&s.cli, argc, argv, take, &s);
    check_usage(&s);

    int status = CLI_OK;
    struct vdb_error err = {0};
    struct vdb *db = cli_open(&s.cli, s.cli.index, true, &status);
    if (db == NULL) return status;
    if (vdb_snapshot_open(db, &s.snapshot, &err) != VDB_OK) {
        status = cli_report(&s.cli, &err);
    } else {
        vdb_snapshot_info(s.snapshot, &s.info);
        status = search(&s);
        vdb_snapshot_close(s.snapshot);
    }
    vdb_close(db);
    free(s.queries);
    free(s.names);
    free(s.hits);
    free(s.found);
    free(s.likes);
    return cli_finish(&s.cli, status);
}
