/* vdb-compact.c: purges deleted rows, merges all parts into one and gives space back, in place or
 * into a fresh file.
 *
 * The work is vdb_compact's; this file turns options into it and tells what was gained.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "compact/centroids.h"
#include "kinds.h"
#include "policy.h"
#include "upkeep.h"
#include "vdb.h"

enum {
    OPT_INDEX = 1,
    OPT_M,
    OPT_EF_CONSTRUCTION,
    OPT_CODES,
    OPT_CENTROIDS,
    OPT_RECENT,
    OPT_QUIET_HOURS,
    OPT_NOW,
    OPT_KEEP_HISTORY,
    OPT_KEEP_ROWS,
    OPT_IF_NEEDED,
    OPT_MAINTAIN,
    OPT_OUTPUT
};

static const struct cli_option options[] = {
    {"index", 0, "KIND", "graph, hnsw, ivf, flat, hybrid, or what suits (auto)", OPT_INDEX},
    {"m", 0, "M", "of an hnsw: neighbours a row, twice that on level 0", OPT_M},
    {"ef-construction", 0, "N", "candidates looked at per insertion", OPT_EF_CONSTRUCTION},
    {"codes", 0, "CODES", "what guides searches: none, i8, i4, pq, b1 or auto", OPT_CODES},
    {"centroids", 0, "FILE", "of an ivf: lists around these vectors", OPT_CENTROIDS},
    {"recent", 0, "AGE|ROWS", "of a hybrid: rows in graphs, by age (30d, 12h, 90m) or number",
     OPT_RECENT},
    {"quiet-hours", 0, "HH:MM-HH:MM", "when maintenance runs, in UTC; none: at all hours",
     OPT_QUIET_HOURS},
    {"now", 0, "SECONDS", "since 1970, that ages are reckoned from", OPT_NOW},
    {"keep-history", 0, "AGE|all|none",
     "changes that vdb-log tells: those of AGE (30d, 12h), or all", OPT_KEEP_HISTORY},
    {"keep-rows", 0, "AGE|all|none",
     "deleted rows of commits of that age, beside what snapshots hold", OPT_KEEP_ROWS},
    {"if-needed", 0, NULL, "only where much is deleted, dead or in many parts", OPT_IF_NEEDED},
    {"maintain", 0, NULL, "only build the index part over new rows; purge nothing", OPT_MAINTAIN},
    {"output", 'o', "FILE", "write a dense file here and leave INDEX alone", OPT_OUTPUT},
    {NULL, 0, NULL, NULL, 0},
};

struct options {
    struct vdb_compact_options how;
    const char *centroids; /* NULL: not given */
    bool if_needed, maintain;
};

static void take_codes(struct cli *cli, struct vdb_compact_options *how, const char *value)
{
    for (int codes = 0; codes_names[codes]; codes++) {
        if (strcmp(value, codes_names[codes]) != 0) continue;
        how->codes = (enum vdb_codes)codes;
        how->set_codes = 1;
        return;
    }
    cli_usage_error(cli, "--codes takes none, i8, i4, pq, b1 or auto, not '%s'", value);
}

static void take_index(struct cli *cli, struct vdb_compact_options *how, const char *value)
{
    for (int kind = 0; kind_names[kind]; kind++) {
        if (strcmp(value, kind_names[kind]) != 0) continue;
        how->index = (enum vdb_index_kind)kind;
        how->set_index = 1;
        return;
    }
    cli_usage_error(cli, "--index takes graph, hnsw, ivf, flat, hybrid or auto, not '%s'", value);
}

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct options *o = context;
    struct vdb_compact_options *how = &o->how;
    if (id == OPT_OUTPUT) how->output = value;
    if (id == OPT_CENTROIDS) o->centroids = value;
    if (id == OPT_IF_NEEDED) o->if_needed = true;
    if (id == OPT_MAINTAIN) o->maintain = true;
    if (id == OPT_INDEX) take_index(cli, how, value);
    if (id == OPT_CODES) take_codes(cli, how, value);
    if (id == OPT_RECENT) policy_recent(cli, value, &how->recent_rows, &how->recent_seconds);
    if (id == OPT_NOW) how->now_us = policy_time(cli, value);
    if (id == OPT_KEEP_HISTORY)
        policy_keep(cli, "--keep-history", value, &how->history_seconds, &how->set_history);
    if (id == OPT_KEEP_ROWS) {
        int limited;
        policy_keep(cli, "--keep-rows", value, &how->keep_rows_seconds, &limited);
        if (!limited) how->keep_rows_seconds = UINT64_MAX;
    }
    if (id == OPT_QUIET_HOURS) {
        policy_quiet(cli, value, &how->quiet_begin, &how->quiet_end);
        how->set_quiet = 1;
    }
    if (id == OPT_M) how->degree = 2 * (uint32_t)cli_number(cli, "--m", value, 4, 128);
    if (id == OPT_EF_CONSTRUCTION)
        how->ef_construction = (uint32_t)cli_number(cli, "--ef-construction", value, 8, 4096);
}

/* An option is given that tells how to write the file anew. */
static bool changes_something(const struct options *o)
{
    const struct vdb_compact_options *how = &o->how;
    return how->output || how->set_index || how->set_codes || how->degree || how->ef_construction ||
           o->centroids || how->recent_rows || how->recent_seconds || how->set_quiet ||
           how->keep_rows_seconds;
}

/* Options that go with some kinds of index, held against that which will be built. */
static void check_kind(const struct cli *cli, const struct options *o, const struct vdb_info *info)
{
    const struct vdb_compact_options *how = &o->how;
    enum vdb_index_kind kind = how->set_index ? how->index : info->index;
    enum vdb_codes codes = how->set_codes ? how->codes : info->codes;
    const char *misfit = how->set_codes ? kind_refuses(kind, codes) : NULL;
    if (how->degree && kind != VDB_INDEX_HNSW) cli_usage_error(cli, "--m is for --index hnsw");
    if (misfit) cli_usage_error(cli, "%s", misfit);
    bool given = how->recent_rows || how->recent_seconds;
    if (given && kind != VDB_INDEX_HYBRID) cli_usage_error(cli, "--recent is for --index hybrid");
    if (!given && kind == VDB_INDEX_HYBRID && info->index != VDB_INDEX_HYBRID)
        cli_usage_error(cli, "--index hybrid takes --recent AGE or --recent ROWS");
    bool listed = kind == VDB_INDEX_IVF || kind == VDB_INDEX_HYBRID ||
                  (kind == VDB_INDEX_AUTO && (codes == VDB_CODES_PQ || codes == VDB_CODES_B1));
    if (o->centroids && !listed) cli_usage_error(cli, "--centroids is for --index ivf");
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static int info_of(const struct cli *cli, struct vdb *db, struct vdb_info *info)
{
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    if (vdb_snapshot_open(db, &snapshot, &err) != VDB_OK) return cli_report(cli, &err);
    vdb_snapshot_info(snapshot, info);
    vdb_snapshot_close(snapshot);
    return CLI_OK;
}

/* Opens the result anew: the figures are those of the file that is there now. */
static int look_at(const struct cli *cli, const char *path, struct vdb_info *after)
{
    int status = CLI_OK;
    struct vdb *db = cli_open(cli, path, true, &status);
    if (db == NULL) return status;
    status = info_of(cli, db, after);
    vdb_close(db);
    return status;
}

static void tell(const struct vdb_info *before, const struct vdb_info *after)
{
    fprintf(stderr, "rows %" PRIu64 ", purged %" PRIu64 ", bytes %" PRIu64 " -> %" PRIu64 "\n",
            after->live, before->deleted - after->deleted, before->file_bytes, after->file_bytes);
}

/* The library writes a file that it can seek in and rename, so one is made for it where big files
 * may lie, in a folder that nobody else may enter, and copied out when it is complete. It has lost
 * its name by then, so that nothing is left however the copying ends. */
struct spool {
    char folder[32], path[48];
    FILE *file;
};

static int spool_open(const struct cli *cli, struct spool *spool)
{
    snprintf(spool->folder, sizeof spool->folder, "/var/tmp/vdb-compact-XXXXXX");
    if (!mkdtemp(spool->folder)) {
        cli_message(cli, "%s: %s", spool->folder, strerror(errno));
        return CLI_CANTCREAT;
    }
    snprintf(spool->path, sizeof spool->path, "%s/fresh.vdb", spool->folder);
    return CLI_OK;
}

static int spool_take(const struct cli *cli, struct spool *spool)
{
    spool->file = fopen(spool->path, "rbe");
    if (spool->file) return CLI_OK;
    cli_message(cli, "%s: %s", spool->path, strerror(errno));
    return CLI_IOERR;
}

static void spool_remove(const struct spool *spool)
{
    if (!spool->path[0]) return;
    unlink(spool->path);
    rmdir(spool->folder);
}

/* To standard output where `path` is NULL. */
static int spool_copy(const struct cli *cli, const struct spool *spool, const char *path)
{
    char piece[65536];
    size_t len;
    FILE *to = path ? fopen(path, "wbe") : stdout;
    if (!to) {
        cli_message(cli, "%s: %s", path, strerror(errno));
        return CLI_CANTCREAT;
    }
    bool wrong = false;
    while (!wrong && (len = fread(piece, 1, sizeof piece, spool->file)) > 0)
        wrong = fwrite(piece, 1, len, to) != len; /* of stdout, cli_finish says why */
    int status = ferror(spool->file) ? CLI_IOERR : CLI_OK;
    if (status != CLI_OK) cli_message(cli, "%s: %s", spool->path, strerror(errno));
    if (path && (fclose(to) != 0 || wrong) && status == CLI_OK) {
        cli_message(cli, "%s: %s", path, strerror(errno));
        status = CLI_IOERR;
    }
    return status;
}

/* Whether the output is a device, a pipe or the like: it is written to, never put another file in
 * the place of. */
static bool is_special(const struct cli *cli, const char *path)
{
    struct stat there;
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode)) return false;
    if (!S_ISDIR(there.st_mode)) return true;
    cli_message(cli, "%s: is a directory", path);
    exit(CLI_CANTCREAT);
}

static int compact(const struct cli *cli, struct vdb *db, struct vdb_compact_options *how)
{
    struct vdb_error err = {0};
    struct cli_progress progress = {.cli = cli};
    how->threads = cli->threads;
    how->progress = cli_progress;
    how->context = &progress;
    enum vdb_status status = vdb_compact(db, how, &err);
    cli_progress_end(&progress);
    if (status == VDB_OK) return CLI_OK;
    if (status == VDB_CANCELLED) return cli_exit_of(status); /* the signal comes when all is tidy */
    if (how->output == NULL || (status != VDB_CANNOT_CREATE && status != VDB_IO))
        return cli_report(cli, &err);
    cli_message(cli, "%s: %s", how->output, err.message); /* it is what was being written */
    return cli_exit_of(status);
}

static int is_needed(const struct cli *cli, struct vdb *db, const struct vdb_compact_options *how,
                     bool *needed)
{
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    if (vdb_snapshot_open(db, &snapshot, &err) != VDB_OK) return cli_report(cli, &err);
    enum vdb_status status = upkeep_compaction_due(snapshot, how, needed, &err);
    vdb_snapshot_close(snapshot);
    return status == VDB_OK ? CLI_OK : cli_report(cli, &err);
}

static int build_only(const struct cli *cli, struct vdb *db, int64_t now_us)
{
    struct vdb_maintain_options how = VDB_MAINTAIN_OPTIONS_INIT;
    struct cli_progress progress = {.cli = cli};
    struct vdb_error err = {0};
    how.threads = cli->threads;
    how.progress = cli_progress;
    how.context = &progress;
    how.now_us = now_us;
    how.wait = cli->wait;
    enum vdb_status status = vdb_maintain(db, &how, &err);
    cli_progress_end(&progress);
    return status == VDB_OK ? CLI_OK : cli_report(cli, &err);
}

/* Signals are noted while files lie about under passing names, which the library removes when it
 * is cancelled. */
static int compact_to_spool(const struct cli *cli, struct vdb *db, struct vdb_compact_options *how,
                            struct spool *spool, struct vdb_info *after)
{
    int status = spool_open(cli, spool);
    how->output = spool->path;
    if (status == CLI_OK) status = compact(cli, db, how);
    if (status == CLI_OK) status = look_at(cli, spool->path, after);
    if (status == CLI_OK) status = spool_take(cli, spool);
    spool_remove(spool);
    return status;
}

/* The library removes the file that it writes under a passing name, unless it never comes back. */
static void remove_at_end(void *context, const char *passing)
{
    (void)context;
    cli_at_signal(passing, NULL);
}

static int compact_to_file(const struct cli *cli, struct vdb *db, struct vdb_compact_options *how,
                           struct vdb_info *after)
{
    how->passing = remove_at_end;
    int status = compact(cli, db, how);
    if (status != CLI_OK) return status;
    cli_at_signal(NULL, how->output != NULL ? "the output is complete" : "the index is compacted");
    return look_at(cli, how->output != NULL ? how->output : cli->index, after);
}

int main(int argc, char **argv)
{
    struct cli cli = {
        .tool = "vdb-compact",
        .usage = "[options] INDEX",
        .summary =
            "Purges deleted rows, merges all parts into one, builds its index, gives space back.",
        .options = options,
    };
    struct options given = {.how = VDB_COMPACT_OPTIONS_INIT};
    struct centroids centroids = {0};
    cli_parse(&cli, argc, argv, take, &given);
    struct vdb_compact_options how = given.how;
    if (cli.operand_count > 0) cli_usage_error(&cli, "one INDEX and no more");
    if (given.maintain && (given.if_needed || changes_something(&given)))
        cli_usage_error(&cli, "--maintain goes with no option but --now");
    if (given.if_needed && how.output)
        cli_usage_error(&cli, "--if-needed and --output exclude each other");
    bool to_stdout = how.output != NULL && strcmp(how.output, "-") == 0;
    if (to_stdout && isatty(STDOUT_FILENO))
        cli_usage_error(&cli, "an index is not for a terminal: use --output FILE or a pipe");
    if (how.output != NULL && !to_stdout && same_file(how.output, cli.index))
        cli_usage_error(&cli, "--output: %s is the index itself", how.output);

    const char *special = NULL;
    if (how.output != NULL && !to_stdout && is_special(&cli, how.output)) special = how.output;

    int status = CLI_OK;
    struct vdb_info before, after;
    struct spool spool = {0};
    struct vdb *db = cli_open(&cli, cli.index, how.output != NULL, &status);
    if (db == NULL) return status;
    status = info_of(&cli, db, &before);
    if (status == CLI_OK) check_kind(&cli, &given, &before);
    if (status == CLI_OK && given.centroids) {
        status = centroids_read(&cli, given.centroids, &before, &centroids);
        how.centroids = centroids.vectors;
        how.centroid_count = centroids.count;
    }
    bool needed = !given.maintain;
    if (status == CLI_OK && given.if_needed) status = is_needed(&cli, db, &how, &needed);
    bool build = !needed;
    if (status == CLI_OK && build) {
        cli_note_signals(NULL);
        status = build_only(&cli, db, how.now_us);
        if (status == CLI_OK) status = info_of(&cli, db, &after);
        cli_release_signals();
    } else if (status == CLI_OK) {
        cli_note_signals("the index holds the same rows, compacted or as it was");
        status = to_stdout || special ? compact_to_spool(&cli, db, &how, &spool, &after)
                                      : compact_to_file(&cli, db, &how, &after);
        cli_release_signals();
    }
    vdb_close(db);
    centroids_release(&centroids);
    if (spool.file) {
        status = spool_copy(&cli, &spool, special);
        fclose(spool.file);
    }
    if (status == CLI_OK && to_stdout && fflush(stdout) != 0) status = cli_finish(&cli, status);
    if (status == CLI_OK && !cli.quiet) tell(&before, &after);
    return cli_finish(&cli, status);
}
