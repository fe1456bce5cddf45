/* vdb-add.c: inserts and updates vectors, from every format that tools/input reads.
 *
 * One run is one transaction, or one every --batch records. An index that it makes is published
 * with the first commit: a run that fails leaves no empty index, and removes nothing that another
 * process may have begun to use.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "add/options.h"
#include "cli.h"
#include "input/hdf5_pipe.h"
#include "input/input.h"
#include "kinds.h"
#include "policy.h"
#include "upkeep.h"
#include "vdb.h"

struct add {
    struct cli *cli;
    const struct add_options *options;

    struct vdb *db;
    struct vdb_txn *txn;
    bool fresh;   /* an index was made here and has yet to be published */
    uint32_t dim; /* of the index; 0 as long as that is to be made */
    enum vdb_type input_type;
    enum vdb_metric input_metric;
    uint32_t input_dim;

    uint64_t number;  /* of the next row, over all inputs */
    uint64_t pending; /* records put and not committed */
    uint64_t records_in, added, updated, skipped, commit;
    uint64_t taken; /* records read, bad ones included */
    uint64_t dealt; /* of these, as many as the last commit leaves behind it */
    struct cli_progress progress;
};

/* ---- messages ------------------------------------------------------------------------------ */

/* A record that cannot be taken: passed over with --skip-bad, else the end of the run. */
__attribute__((format(printf, 2, 3))) static int bad_record(struct add *add, const char *format,
                                                            ...)
{
    char message[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    cli_message(add->cli, "%s", message);
    if (!add->options->skip_bad) return CLI_DATA;
    add->skipped++;
    return CLI_OK;
}

/* With --batch: how many records are in, and of how many, where some were passed over. */
static void tell_in(const struct add *add, char *text, size_t size)
{
    if (add->dealt > add->records_in)
        snprintf(text, size,
                 "%" PRIu64 " of the first %" PRIu64 " records are in, to commit %" PRIu64,
                 add->records_in, add->dealt, add->commit);
    else
        snprintf(text, size, "%" PRIu64 " records are in, to commit %" PRIu64, add->records_in,
                 add->commit);
}

static void show_progress(struct add *add, const struct input *input)
{
    uint64_t total = input_rows(input), done = add->records_in + add->pending + add->skipped;
    double share = input_progress(input);
    if (add->cli->operand_count > 1)
        total = 0; /* what the others hold is not known yet */
    else if (total == 0 && share > 0)
        total = (uint64_t)((double)done / share);
    cli_progress(&add->progress, "read", done, total);
}

/* ---- the index ----------------------------------------------------------------------------- */

static int begin(struct add *add)
{
    struct vdb_error err = {0};
    if (vdb_txn_begin(add->db, &add->txn, &err) == VDB_OK) return CLI_OK;
    return cli_report(add->cli, &err);
}

static int open_existing(struct add *add)
{
    int status = CLI_OK;
    add->db = cli_open(add->cli, add->cli->index, false, &status);
    if (!add->db) return status;
    const struct vdb_snapshot *snapshot;
    struct vdb_error err = {0};
    if (vdb_snapshot_open(add->db, &snapshot, &err) != VDB_OK) return cli_report(add->cli, &err);
    struct vdb_info info;
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    add->dim = info.dim;
    char conflict[256];
    if (add_options_conflict(add->options, &info, conflict, sizeof conflict)) {
        cli_message(add->cli, "%s: %s", add->cli->index, conflict);
        return CLI_USAGE;
    }
    return begin(add);
}

/* Makes the index, for vectors of `dim` numbers; its name comes with the first commit. */
static int make_index(struct add *add, uint32_t dim)
{
    const struct add_options *o = add->options;
    struct vdb_create_options how = VDB_CREATE_OPTIONS_INIT;
    how.dim = o->dim ? o->dim : dim;
    how.metric = o->metric ? o->metric : add->input_metric ? add->input_metric : VDB_METRIC_L2;
    how.type = o->type ? o->type : add->input_type ? add->input_type : VDB_TYPE_F32;
    how.index = o->index_given ? o->index : VDB_INDEX_AUTO;
    how.codes = o->codes_given ? o->codes : VDB_CODES_AUTO;
    how.degree = 2 * o->m;
    how.ef_construction = o->ef_construction;
    how.recent_rows = o->recent_rows;
    how.recent_seconds = o->recent_seconds;
    how.quiet_begin = o->quiet_begin;
    how.quiet_end = o->quiet_end;
    int status = CLI_OK;
    cli_note_signals(NULL);
    add->db = cli_create(add->cli, add->cli->index, &how, &status);
    if (add->db) cli_at_signal(vdb_passing_path(add->db), NULL);
    cli_release_signals();
    if (!add->db) return status;
    add->fresh = true;
    add->dim = how.dim;
    return begin(add);
}

/* Gives an index made here its name, with which `commit` is there for all. */
static int publish(struct add *add, uint64_t commit)
{
    struct vdb_error err = {0};
    enum vdb_status status = vdb_publish(add->db, &err);
    cli_at_signal(NULL, NULL);
    add->fresh = false;
    if (status == VDB_EXISTS) {
        cli_message(add->cli, "%s: another process made it meanwhile", add->cli->index);
        return CLI_BUSY;
    }
    if (status == VDB_OK || status == VDB_DURABILITY_UNKNOWN) add->commit = commit;
    cli_watch(add->cli->index);
    return status == VDB_OK ? CLI_OK : cli_report(add->cli, &err);
}

/* What a producer of an endless stream goes by: so many records of its are dealt with for good. */
static void print_acknowledged(const struct add *add)
{
    if (add->options->json) {
        printf("{\"records\": %" PRIu64 ", \"commit\": %" PRIu64 "}\n", add->taken, add->commit);
        fflush(stdout);
    } else if (!add->cli->quiet) {
        fprintf(stderr, "records %" PRIu64 ", commit %" PRIu64 "\n", add->taken, add->commit);
    }
}

/* What is in should a signal end the tool, or nobody take its output. */
static void say_in(const struct add *add, const char *rest)
{
    char text[200];
    if (add->options->batch)
        tell_in(add, text, sizeof text);
    else
        snprintf(text, sizeof text, "the rows are in, to commit %" PRIu64 "%s", add->commit, rest);
    cli_at_signal(NULL, text);
}

static int commit_pending(struct add *add)
{
    struct vdb_commit_info info;
    struct vdb_error err = {0};
    enum vdb_status done = vdb_txn_commit(add->txn, &info, &err);
    add->txn = NULL;
    if (done != VDB_OK) return cli_report(add->cli, &err);
    int status = CLI_OK;
    if (add->fresh)
        status = publish(add, info.commit);
    else
        add->commit = info.commit;
    if (!add->commit) return status;
    add->added += info.added;
    add->updated += info.updated;
    add->records_in += add->pending;
    add->pending = 0;
    add->dealt = add->taken;
    say_in(add, ", only the index part over them may not be built");
    return status;
}

/* A signal meanwhile: either it comes in time and nothing of this commit is in, or it waits until
 * what is in can be told. */
static int commit(struct add *add)
{
    uint64_t before = add->records_in;
    cli_note_signals("the records of one commit are in, all or none of them");
    int status = commit_pending(add);
    cli_release_signals();
    if (add->options->batch && add->records_in > before) print_acknowledged(add);
    return status;
}

/* ---- records ------------------------------------------------------------------------------- */

static int put(struct add *add, const struct record *record, const char *place)
{
    if (record->dim != add->dim)
        return bad_record(add, "%s: vector has %" PRIu32 " dimensions, index %s has %" PRIu32,
                          place, record->dim, add->cli->index, add->dim);
    struct vdb_error err = {0};
    char id[CLI_NAME_SIZE];
    enum vdb_status status =
        vdb_txn_put(add->txn, add->options->mode, record->id, record->id_len, record->vector,
                    record->metadata, record->metadata_len, &err);
    if (status != VDB_OK) cli_name(record->id, record->id_len, id);
    switch (status) {
    case VDB_OK:
        add->pending++;
        return CLI_OK;
    case VDB_EXISTS:
        return bad_record(add, "%s: id %s is there already, and the mode is insert", place, id);
    case VDB_NOT_FOUND:
        return bad_record(add, "%s: id %s is not there, and the mode is update", place, id);
    case VDB_INVALID:
    case VDB_LIMIT:
        return bad_record(add, "%s: %s", place, err.message);
    default:
        return cli_report(add->cli, &err);
    }
}

/* Takes one record of `operand`, which may give it an id of its own. */
static int take_record(struct add *add, const struct input *input, struct record *record,
                       const struct add_operand *operand)
{
    const char *name = strcmp(operand->path, "-") == 0 ? "standard input" : operand->path;
    char place[512];
    snprintf(place, sizeof place, input_is_text(input) ? "%s:%" PRIu64 : "%s: row %" PRIu64, name,
             record->place);
    if (operand->id) {
        if (input_rows(input) > 1) {
            cli_message(add->cli, "%s: holds %" PRIu64 " vectors, ID=FILE wants one", name,
                        input_rows(input));
            return CLI_DATA;
        }
        record->id = operand->id;
        record->id_len = operand->id_len;
    }
    int status = add->db ? CLI_OK : make_index(add, record->dim);
    if (status == CLI_OK) status = put(add, record, place);
    if (status == CLI_OK && add->options->batch && add->pending == add->options->batch) {
        status = commit(add);
        if (status == CLI_OK && add->options->maintain)
            upkeep_later(add->cli, add->db, add->options->now_us);
        if (status == CLI_OK) status = begin(add);
    }
    return status;
}

static int read_records(struct add *add, struct input *input, const struct add_operand *operand)
{
    char message[1024];
    struct record record;
    for (uint64_t count = 0;; count++) {
        int status = CLI_OK;
        enum input_status next = input_next(input, &record, &status, message, sizeof message);
        add->taken += next == INPUT_RECORD || next == INPUT_BAD;
        switch (next) {
        case INPUT_RECORD:
            status = take_record(add, input, &record, operand);
            break;
        case INPUT_BAD:
            status = bad_record(add, "%s", message);
            break;
        case INPUT_END:
            return CLI_OK;
        case INPUT_FATAL:
            cli_message(add->cli, "%s", message);
            return status;
        }
        if (status != CLI_OK) return status;
        if (!operand->id) add->number++;
        if (count % 256 == 0) show_progress(add, input);
    }
}

static int add_input(struct add *add, const char *text)
{
    struct input_options how = add->options->input;
    struct add_operand operand = add_operand(text, how.format);
    if (operand.id) how.format = INPUT_HDF5;
    how.first_number = add->number;
    char message[1024];
    int status = CLI_OK;
    struct input *input = input_open(operand.path, &how, &status, message, sizeof message);
    if (!input) {
        cli_message(add->cli, "%s", message);
        return status;
    }
    if (!add->input_type) {
        add->input_type = input_type(input);
        add->input_metric = input_metric(input);
        add->input_dim = input_dim(input);
    }
    status = read_records(add, input, &operand);
    input_close(input);
    return status;
}

/* ---- the run ------------------------------------------------------------------------------- */

static int read_inputs(struct add *add)
{
    if (add->cli->operand_count == 0) return add_input(add, "-");
    for (int i = 0; i < add->cli->operand_count; i++) {
        int status = add_input(add, add->cli->operands[i]);
        if (status != CLI_OK) return status;
    }
    return CLI_OK;
}

static void print_summary(const struct add *add)
{
    if (add->options->json)
        printf("{\"added\": %" PRIu64 ", \"updated\": %" PRIu64 ", \"skipped\": %" PRIu64
               ", \"commit\": %" PRIu64 "}\n",
               add->added, add->updated, add->skipped, add->commit);
    else if (!add->cli->quiet)
        fprintf(stderr,
                "added %" PRIu64 ", updated %" PRIu64 ", skipped %" PRIu64 ", commit %" PRIu64 "\n",
                add->added, add->updated, add->skipped, add->commit);
}

static void maintain(struct add *add)
{
    if (!add->options->maintain) return;
    if (add->added + add->updated >= UPKEEP_LOAD)
        upkeep_now(add->cli, add->db, add->options->now_us, &add->progress);
    else
        upkeep_later(add->cli, add->db, add->options->now_us);
}

static int run(struct add *add)
{
    struct stat st;
    bool missing = stat(add->cli->index, &st) != 0 && errno == ENOENT;
    if (missing && !add->options->create) {
        cli_message(add->cli, "%s: %s; --create makes an index", add->cli->index, strerror(ENOENT));
        return CLI_NOINPUT;
    }
    bool recent = add->options->recent_rows || add->options->recent_seconds;
    bool hybrid = add->options->index_given && add->options->index == VDB_INDEX_HYBRID;
    if (missing && recent && !hybrid) cli_usage_error(add->cli, "--recent is for --index hybrid");
    if (missing && hybrid && !recent)
        cli_usage_error(add->cli, "--index hybrid takes --recent AGE or --recent ROWS");
    int status = missing ? CLI_OK : open_existing(add);
    if (status == CLI_OK) status = read_inputs(add);
    if (status == CLI_OK && !add->db) {
        uint32_t dim = add->options->dim ? add->options->dim : add->input_dim;
        if (dim == 0) {
            cli_message(add->cli, "%s: no good record in the input, so its dimension is not known",
                        add->cli->index);
            return CLI_DATA;
        }
        status = make_index(add, dim);
    }
    if (status == CLI_OK) status = commit(add);
    cli_progress_end(&add->progress);
    if (status != CLI_OK) return status;
    print_summary(add);
    maintain(add);
    if (add->commit) say_in(add, "");
    return add->skipped ? CLI_DATA : CLI_OK;
}

int main(int argc, char **argv)
{
    struct add_options options = ADD_OPTIONS_INIT;
    struct cli cli = {.tool = "vdb-add",
                      .usage = "[options] INDEX [INPUT...]\n"
                               "       vdb-add [options] INDEX ID=FILE.h5...",
                      .about = hdf5_about,
                      .summary = "Inserts and updates vectors; with no INPUT, JSON Lines from "
                                 "standard input.",
                      .options = add_option_table};
    cli_parse(&cli, argc, argv, add_take_option, &options);
    if (cli.operand_count > 1 && (options.input.ids_path || options.input.metadata_path))
        cli_usage_error(&cli, "--ids and --metadata go with one INPUT");
    if (options.m && !(options.index_given && options.index == VDB_INDEX_HNSW))
        cli_usage_error(&cli, "--m is for --index hnsw");
    bool recent = options.recent_rows || options.recent_seconds;
    if (recent && options.index_given && options.index != VDB_INDEX_HYBRID)
        cli_usage_error(&cli, "--recent is for --index hybrid");
    const char *misfit = options.index_given && options.codes_given
                             ? kind_refuses(options.index, options.codes)
                             : NULL;
    if (misfit) cli_usage_error(&cli, "%s", misfit);
    struct add add = {.cli = &cli, .options = &options};
    add.progress.cli = &cli;
    int status = run(&add);
    cli_progress_end(&add.progress);
    if (status != CLI_OK && status != CLI_DATA && add.commit && !options.batch)
        cli_message(&cli, "the rows are in, to commit %" PRIu64, add.commit);
    if (options.batch && status != CLI_OK && add.commit) {
        char text[200];
        tell_in(&add, text, sizeof text);
        cli_message(&cli, "%s", text);
    }
    if (add.txn) vdb_txn_abort(add.txn);
    vdb_close(add.db);
    return cli_finish(&cli, status);
}
