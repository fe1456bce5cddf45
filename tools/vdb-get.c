/* vdb-get.c: reads rows back, or centroids of lists, in formats that vdb-add and others read.
 *
 * It reads one commit, holds one row in memory, and takes no lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "at.h"
#include "cli.h"
#include "get/format.h"
#include "input/hdf5_pipe.h"
#include "input/hdf5_write.h"
#include "newfile.h"
#include "vdb.h"

enum { OPT_AT, OPT_INCLUDE_DELETED, OPT_CENTROIDS, OPT_FORMAT, OPT_OUTPUT };

static const struct cli_option options[] = {
    {"at", 0, "WHEN", "as of that snapshot, commit or time", OPT_AT},
    {"include-deleted", 0, NULL, "deleted rows, too", OPT_INCLUDE_DELETED},
    {"centroids", 0, NULL, "not rows, but the centroids of an ivf's lists", OPT_CENTROIDS},
    {"format", 0, "FORMAT", "jsonl, tsv, npy, fvecs or hdf5 (default: jsonl)", OPT_FORMAT},
    {"output", 'o', "FILE", "write to FILE, which appears when it is complete", OPT_OUTPUT},
    {NULL, 0, NULL, NULL, 0},
};

struct get {
    struct cli *cli;
    bool include_deleted, centroids, hdf5;
    const struct get_format *format; /* NULL with hdf5 */
    const char *output;              /* NULL: standard output */
    const char *at;                  /* NULL: now */

    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    float *vector;
    uint32_t *found;       /* the rows of the ids asked for; NULL: every row */
    uint64_t rows;         /* that will be written, or centroids */
    uint32_t listed_parts; /* parts that have centroids */
    bool missing;

    FILE *out; /* NULL with hdf5 */
    struct newfile file;
    struct hdf5_writer *writer;
    int vectors, ids; /* datasets */
    struct cli_progress progress;
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct get *get = context;
    switch (id) {
    case OPT_AT:
        at_check(cli, "--at", value);
        get->at = value;
        break;
    case OPT_INCLUDE_DELETED:
        get->include_deleted = true;
        break;
    case OPT_CENTROIDS:
        get->centroids = true;
        break;
    case OPT_OUTPUT:
        get->output = strcmp(value, "-") == 0 ? NULL : value;
        break;
    case OPT_FORMAT:
        get->hdf5 = strcmp(value, "hdf5") == 0;
        get->format = get_format(value);
        if (!get->format && !get->hdf5)
            cli_usage_error(cli, "--format: '%s' is not jsonl, tsv, npy, fvecs or hdf5", value);
        break;
    default:
        break;
    }
}

/* ---- what to write ------------------------------------------------------------------------- */

/* A deleted row counts where its id finds it: older versions of an id are not rows to get. */
static int is_selected(const struct get *get, uint32_t row, bool *selected)
{
    int state = vdb_row_state(get->snapshot, row);
    *selected = state == 1;
    if (state != 2 || !get->include_deleted) return CLI_OK;
    const char *id;
    size_t len;
    uint32_t newest = 0;
    struct vdb_error err = {0};
    if (vdb_row_id(get->snapshot, row, &id, &len, &err) != VDB_OK ||
        vdb_find(get->snapshot, id, len, 1, &newest, &err) != VDB_OK)
        return cli_report(get->cli, &err);
    *selected = newest == row;
    return CLI_OK;
}

static int count_rows(struct get *get)
{
    get->rows = get->info.live;
    if (!get->include_deleted) return CLI_OK;
    get->rows = 0;
    for (uint64_t row = 0; row < get->info.rows; row++) {
        bool selected;
        int status = is_selected(get, (uint32_t)row, &selected);
        if (status != CLI_OK) return status;
        get->rows += selected;
    }
    return CLI_OK;
}

static int count_centroids(struct get *get)
{
    struct vdb_part_info part;
    for (uint32_t i = 0; vdb_part_info(get->snapshot, i, &part) == VDB_OK; i++) {
        get->rows += part.lists;
        get->listed_parts += part.lists > 0;
    }
    if (get->rows) return CLI_OK;
    cli_message(get->cli, "%s: no part of it has lists, and so there are no centroids",
                get->cli->index);
    return CLI_NO;
}

static int find_ids(struct get *get)
{
    get->found = malloc((size_t)get->cli->operand_count * sizeof *get->found);
    if (!get->found) {
        cli_message(get->cli, "out of memory");
        return CLI_IOERR;
    }
    for (int i = 0; i < get->cli->operand_count; i++) {
        const char *id = get->cli->operands[i];
        char name[CLI_NAME_SIZE];
        struct vdb_error err = {0};
        uint32_t row;
        switch (vdb_find(get->snapshot, id, strlen(id), get->include_deleted, &row, &err)) {
        case VDB_OK:
            get->found[get->rows++] = row;
            break;
        case VDB_NOT_FOUND:
        case VDB_INVALID:
            cli_message(get->cli, "%s: no such id: %s", get->cli->index,
                        cli_name(id, strlen(id), name));
            get->missing = true;
            break;
        default:
            return cli_report(get->cli, &err);
        }
    }
    return CLI_OK;
}

/* ---- where to -------------------------------------------------------------------------------- */

static int cannot_create(const struct get *get)
{
    cli_message(get->cli, "%s: %s", get->output, strerror(errno));
    return CLI_CANTCREAT;
}

static int open_stream(struct get *get)
{
    struct stat st;
    if (!get->output) {
        get->out = stdout;
    } else if (stat(get->output, &st) == 0 && !S_ISREG(st.st_mode)) {
        get->out = fopen(get->output, "we"); /* a device or a pipe: nothing to put in its place */
        if (!get->out) return cannot_create(get);
    } else {
        int fd = newfile_open(&get->file, get->output);
        if (fd < 0) return cannot_create(get);
        get->out = fdopen(fd, "w");
        if (!get->out) return cannot_create(get);
    }
    if (get->format->begin) get->format->begin(get->out, &get->info, get->rows);
    return CLI_OK;
}

static int open_hdf5(struct get *get)
{
    /* The words that ann-benchmarks has for the metrics. */
    static const char *const distances[] = {"", "euclidean", "angular", "dot"};
    char message[1024];
    int status = CLI_OK;
    get->writer =
        hdf5_write_open(get->output ? get->output : "-", NULL, &status, message, sizeof message);
    if (!get->writer) {
        cli_message(get->cli, "%s", message);
        return status;
    }
    /* What fails from here on shows when the writer is closed. */
    hdf5_write_attribute(get->writer, "distance", distances[get->info.metric]);
    get->vectors = hdf5_write_dataset(get->writer, "train", HDF5_F32, get->info.dim);
    get->ids = hdf5_write_dataset(get->writer, "ids", HDF5_STRING, 0);
    return CLI_OK;
}

static int close_stream(struct get *get)
{
    if (get->out == stdout) return CLI_OK; /* cli_finish sees to that one */
    bool failed = ferror(get->out) || fflush(get->out) != 0 ||
                  (get->file.open && fdatasync(fileno(get->out)) != 0);
    int error = errno;
    failed = fclose(get->out) != 0 || failed;
    get->out = NULL;
    if (failed) {
        cli_message(get->cli, "%s: %s", get->output, strerror(error));
        return CLI_IOERR;
    }
    if (get->file.open && !newfile_publish(&get->file)) return cannot_create(get);
    return CLI_OK;
}

static int close_hdf5(struct get *get)
{
    char message[1024];
    int status = CLI_OK;
    bool done = hdf5_write_close(get->writer, &status, message, sizeof message);
    get->writer = NULL;
    if (!done) cli_message(get->cli, "%s", message);
    return done ? CLI_OK : status;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* Whether there is more to write: false where the output has failed, which closing it will report.
 */
static bool put(struct get *get, const struct get_row *r)
{
    if (get->writer)
        return hdf5_write_row(get->writer, get->vectors, r->vector) &&
               hdf5_write_string(get->writer, get->ids, r->id, r->id_len);
    get->format->row(get->out, &get->info, r);
    return !ferror(get->out);
}

static int write_row(struct get *get, uint32_t row, bool *more)
{
    struct get_row r = {.vector = get->vector};
    struct vdb_error err = {0};
    char *metadata = NULL;
    if (vdb_row_id(get->snapshot, row, &r.id, &r.id_len, &err) != VDB_OK ||
        vdb_row_vector(get->snapshot, row, get->vector, &err) != VDB_OK ||
        (get->format && get->format->metadata &&
         vdb_row_metadata(get->snapshot, row, &metadata, &r.metadata_len, &err) != VDB_OK))
        return cli_report(get->cli, &err);
    r.metadata = metadata;
    *more = put(get, &r);
    free(metadata);
    return CLI_OK;
}

static int write_rows(struct get *get)
{
    uint64_t end = get->found ? get->rows : get->info.rows, written = 0;
    bool more = true;
    for (uint64_t i = 0; i < end && more; i++) {
        uint32_t row = get->found ? get->found[i] : (uint32_t)i;
        bool selected = true;
        int status = get->found ? CLI_OK : is_selected(get, row, &selected);
        if (status == CLI_OK && selected) status = write_row(get, row, &more);
        if (status != CLI_OK) return status;
        if (selected && ++written % 256 == 0 && get->output)
            cli_progress(&get->progress, "write", written, get->rows);
    }
    return CLI_OK;
}

/* By the number of the list, behind that of the part where several have lists. */
static void write_centroids(struct get *get)
{
    bool more = true;
    for (uint32_t part = 0; part < get->info.parts; part++)
        for (uint32_t list = 0;
             more && vdb_part_centroid(get->snapshot, part, list, get->vector) == VDB_OK; list++) {
            char id[32];
            int skip = snprintf(id, sizeof id, "%" PRIu32 ".", part);
            snprintf(id + skip, sizeof id - (size_t)skip, "%" PRIu32, list);
            if (get->listed_parts > 1) skip = 0;
            more =
                put(get, &(struct get_row){
                             .id = id + skip, .id_len = strlen(id + skip), .vector = get->vector});
        }
}

static int prepare(struct get *get)
{
    if (!get->centroids) return get->cli->operand_count ? find_ids(get) : count_rows(get);
    get->info.type = VDB_TYPE_F32; /* means of i8 and u8 are neither */
    return count_centroids(get);
}

static int run(struct get *get, struct vdb *db)
{
    int status = at_open(get->cli, db, get->at, &get->snapshot);
    if (status != CLI_OK) return status;
    vdb_snapshot_info(get->snapshot, &get->info);
    get->vector = malloc(get->info.dim * sizeof *get->vector);
    if (!get->vector) {
        cli_message(get->cli, "out of memory");
        return CLI_IOERR;
    }
    status = prepare(get);
    if (status == CLI_OK) status = get->hdf5 ? open_hdf5(get) : open_stream(get);
    if (status == CLI_OK && get->centroids) write_centroids(get);
    if (status == CLI_OK && !get->centroids) status = write_rows(get);
    cli_progress_end(&get->progress);
    if (status == CLI_OK) status = get->hdf5 ? close_hdf5(get) : close_stream(get);
    return status == CLI_OK && get->missing ? CLI_NO : status;
}

static void release(struct get *get)
{
    hdf5_write_abort(get->writer);
    if (get->out && get->out != stdout) fclose(get->out);
    newfile_discard(&get->file);
    free(get->vector);
    free(get->found);
    vdb_snapshot_close(get->snapshot);
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

int main(int argc, char **argv)
{
    struct cli cli = {.tool = "vdb-get",
                      .usage = "[options] INDEX [ID...]",
                      .about = hdf5_about,
                      .summary = "Prints rows by id, or every live row in row order.",
                      .options = options,
                      .threads_help = CLI_ONE_THREAD};
    struct get get = {.cli = &cli, .format = get_format("jsonl")};
    get.progress.cli = &cli;
    cli_parse(&cli, argc, argv, take, &get);
    if (get.centroids && (cli.operand_count || get.include_deleted || get.at))
        cli_usage_error(&cli, "--centroids goes with no ID, no --include-deleted and no --at");
    if (!get.output && (get.hdf5 || get.format->binary) && isatty(STDOUT_FILENO))
        cli_usage_error(&cli, "binary output is not for a terminal: use --output FILE or a pipe");
    if (get.output && same_file(get.output, cli.index))
        cli_usage_error(&cli, "--output: %s is the index itself", get.output);
    int status = CLI_OK;
    struct vdb *db = cli_open(&cli, cli.index, true, &status);
    if (db) status = run(&get, db);
    release(&get);
    vdb_close(db);
    return cli_finish(&cli, status);
}
