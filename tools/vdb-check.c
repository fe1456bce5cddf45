/* vdb-check.c: verifies an index and prints what is wrong with it, one finding a line; and what can
 * still be read of it, which it writes into a new index where that is asked for.
 *
 * Owns nothing but the way from a finding to a line; what is verified is the library's business.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "vdb.h"

enum { OPT_DEEP = 1, OPT_JSON, OPT_SALVAGE };

static const struct cli_option options[] = {
    {"deep", 0, NULL, "also hold every structure against the rules of the format", OPT_DEEP},
    {"json", 0, NULL, "print one JSON object a finding", OPT_JSON},
    {"salvage", 0, "OUT.vdb", "write what is proven sound into a new index", OPT_SALVAGE},
    {NULL, 0, NULL, NULL, 0},
};

#define RANGES_TOLD 8

struct check_tool {
    bool deep, json;
    const char *output;
    struct cli *cli;
    struct cli_progress progress;
    /* Of what cannot be read, in a check: rows one behind another for one reason. */
    struct vdb_salvage_loss range;
    unsigned ranges;
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct check_tool *tool = context;
    (void)cli;
    if (id == OPT_DEEP) tool->deep = true;
    if (id == OPT_JSON) tool->json = true;
    if (id == OPT_SALVAGE) tool->output = value;
}

/* A message may quote bytes of a damaged file: columns and lines must survive them. */
static void put_message(const char *message)
{
    for (const char *p = message; *p != '\0'; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
}

static const char *segment_of(const struct vdb_error *finding)
{
    return finding->segment != NULL ? finding->segment : "file";
}

static uint64_t offset_of(const struct vdb_error *finding)
{
    return finding->segment != NULL ? finding->offset : 0;
}

static void put_place_json(const struct vdb_error *finding)
{
    fputs("\"segment\":", stdout);
    cli_json_string(stdout, segment_of(finding), strlen(segment_of(finding)));
    printf(",\"offset\":%" PRIu64 ",\"message\":", offset_of(finding));
    cli_json_string(stdout, finding->message, strlen(finding->message));
}

static void report(void *context, const struct vdb_error *finding)
{
    const struct check_tool *tool = context;
    if (tool->json) {
        putchar('{');
        put_place_json(finding);
        puts("}");
    } else {
        printf("%s\t%" PRIu64 "\t", segment_of(finding), offset_of(finding));
        put_message(finding->message);
        putchar('\n');
    }
}

/* ---- what can still be read ---------------------------------------------------------------- */

static void end_range(struct check_tool *tool)
{
    const struct vdb_salvage_loss *range = &tool->range;
    if (!range->what || ++tool->ranges > RANGES_TOLD) return;
    bool commits = range->what == VDB_SALVAGE_COMMITS;
    if (commits)
        cli_message(tool->cli, "%s: commits from %" PRIu64 " on cannot: %s at offset %" PRIu64,
                    tool->cli->index, range->first, segment_of(&range->why),
                    offset_of(&range->why));
    else if (range->first == range->last)
        cli_message(tool->cli, "%s: row %" PRIu64 " cannot: %s at offset %" PRIu64,
                    tool->cli->index, range->first, segment_of(&range->why),
                    offset_of(&range->why));
    else
        cli_message(tool->cli,
                    "%s: of rows %" PRIu64 " to %" PRIu64 " none can: %s at offset %" PRIu64,
                    tool->cli->index, range->first, range->last, segment_of(&range->why),
                    offset_of(&range->why));
}

static void gather_range(void *context, const struct vdb_salvage_loss *loss)
{
    struct check_tool *tool = context;
    struct vdb_salvage_loss *range = &tool->range;
    if (loss->what == VDB_SALVAGE_DOUBTFUL) return;
    bool rows = loss->what == VDB_SALVAGE_ROW || loss->what == VDB_SALVAGE_ROWS;
    if (rows && range->what == VDB_SALVAGE_ROWS && loss->first == range->last + 1 &&
        loss->why.offset == range->why.offset) {
        range->last = loss->last;
        return;
    }
    end_range(tool);
    *range = *loss;
    if (rows) range->what = VDB_SALVAGE_ROWS;
}

static bool can_be_opened(const struct cli *cli)
{
    struct vdb_open_options how = cli_open_options(cli, true);
    struct vdb *db;
    if (vdb_open(cli->index, &how, &db, NULL) != VDB_OK) return false;
    vdb_close(db);
    return true;
}

static void tell_readable(struct check_tool *tool, const struct vdb_salvage_info *info)
{
    struct cli *cli = tool->cli;
    bool opens = can_be_opened(cli);
    if (tool->json)
        printf("{\"readable\":{\"rows\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"doubtful\":%" PRIu64
               ",\"commit\":%" PRIu64 ",\"later\":%s,\"opens\":%s}}\n",
               info->rows, info->lost, info->doubtful, info->commit,
               info->behind ? "true" : "false", opens ? "true" : "false");
    cli_message(cli,
                "%s: %" PRIu64 " of %" PRIu64 " rows can be read for certain, as of commit %" PRIu64
                "%s",
                cli->index, info->rows - info->doubtful, info->rows + info->lost, info->commit,
                info->doubtful ? "; others may be deleted ones" : "");
    end_range(tool);
    if (tool->ranges > RANGES_TOLD)
        cli_message(cli, "%s: and %u such ranges more", cli->index, tool->ranges - RANGES_TOLD);
    cli_message(cli, "%s: %s; 'vdb-check --salvage NEW.vdb' writes what is sound into a new index",
                cli->index,
                opens ? "it can be opened, but answers may be wrong" : "it cannot be opened");
}

/* Goes over the index once more, and writes nothing. */
static void find_readable(struct check_tool *tool)
{
    struct vdb_salvage_options how = VDB_SALVAGE_OPTIONS_INIT;
    struct vdb_salvage_info info;
    struct vdb_error err;
    how.threads = tool->cli->threads;
    how.report = gather_range;
    how.context = tool;
    if (vdb_salvage(tool->cli->index, NULL, &how, &info, &err) == VDB_OK)
        tell_readable(tool, &info);
    else
        cli_message(tool->cli, "%s: none of it can be read for certain: %s", tool->cli->index,
                    err.message);
}

static int check(struct check_tool *tool)
{
    struct cli *cli = tool->cli;
    struct vdb_check_options how = VDB_CHECK_OPTIONS_INIT;
    how.deep = tool->deep;
    how.threads = cli->threads;
    how.report = report;
    how.context = tool;
    uint64_t findings = 0;
    struct vdb_error err;
    if (vdb_check(cli->index, &how, &findings, &err) != VDB_OK) {
        fflush(stdout); /* findings before the sentence that says why there are no more */
        return cli_report(cli, &err);
    }
    fflush(stdout);
    if (findings == 0) {
        if (cli->verbose) cli_message(cli, "%s: sound", cli->index);
        return CLI_OK;
    }
    if (!cli->quiet) {
        cli_message(cli, "%s: damaged, %" PRIu64 " %s", cli->index, findings,
                    findings == 1 ? "finding" : "findings");
        find_readable(tool);
    }
    return CLI_NO;
}

/* ---- salvage ------------------------------------------------------------------------------- */

static const char *const lost_names[] = {
    [VDB_SALVAGE_ROW] = "row",
    [VDB_SALVAGE_ROWS] = "rows",
    [VDB_SALVAGE_COMMITS] = "commits",
    [VDB_SALVAGE_DOUBTFUL] = "doubtful",
};

static void report_loss(void *context, const struct vdb_salvage_loss *loss)
{
    const struct check_tool *tool = context;
    bool open_end = loss->what == VDB_SALVAGE_COMMITS && loss->last == 0;
    if (tool->json) {
        printf("{\"lost\":\"%s\",\"first\":%" PRIu64, lost_names[loss->what], loss->first);
        if (!open_end) printf(",\"last\":%" PRIu64, loss->last);
        if (loss->id != NULL) {
            fputs(",\"id\":", stdout);
            cli_json_string(stdout, loss->id, loss->id_len);
        }
        putchar(',');
        put_place_json(&loss->why);
        puts("}");
        return;
    }
    printf("%s\t%" PRIu64 "\t", lost_names[loss->what], loss->first);
    if (!open_end) printf("%" PRIu64, loss->last);
    printf("\t%.*s\t%s\t%" PRIu64 "\t", (int)loss->id_len, loss->id != NULL ? loss->id : "",
           segment_of(&loss->why), offset_of(&loss->why));
    put_message(loss->why.message);
    putchar('\n');
}

static int progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct check_tool *tool = context;
    return cli_progress(&tool->progress, phase, done, total);
}

static int salvage_failed(const struct check_tool *tool, const struct vdb_error *err)
{
    bool output = err->status == VDB_EXISTS || err->status == VDB_CANNOT_CREATE;
    if (err->status == VDB_CANCELLED) return cli_exit_of(err->status);
    if (!output) return cli_report(tool->cli, err);
    cli_message(tool->cli, "%s: %s", tool->output, err->message);
    return CLI_CANTCREAT;
}

static int salvage(struct check_tool *tool)
{
    struct cli *cli = tool->cli;
    struct vdb_salvage_options how = VDB_SALVAGE_OPTIONS_INIT;
    struct vdb_salvage_info info;
    struct vdb_error err = {0};
    how.threads = cli->threads;
    how.report = report_loss;
    how.progress = progress;
    how.context = tool;
    tool->progress.cli = cli;
    cli_note_signals(NULL);
    enum vdb_status status = vdb_salvage(cli->index, tool->output, &how, &info, &err);
    cli_progress_end(&tool->progress);
    cli_release_signals();
    fflush(stdout);
    if (status != VDB_OK) return salvage_failed(tool, &err);
    if (tool->json) {
        fputs("{\"output\":", stdout);
        cli_json_string(stdout, tool->output, strlen(tool->output));
        printf(",\"rows\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"doubtful\":%" PRIu64
               ",\"commit\":%" PRIu64 ",\"later\":%s,\"mended\":%" PRIu64 "}\n",
               info.rows, info.lost, info.doubtful, info.commit, info.behind ? "true" : "false",
               info.mended);
    }
    if (!cli->quiet)
        cli_message(cli,
                    "%s: %" PRIu64 " row%s as of commit %" PRIu64 "%s, %" PRIu64 " lost, %" PRIu64
                    " doubtful",
                    tool->output, info.rows, info.rows == 1 ? "" : "s", info.commit,
                    info.behind ? " (there were later ones)" : "", info.lost, info.doubtful);
    return info.lost || info.doubtful || info.behind ? CLI_NO : CLI_OK;
}

int main(int argc, char **argv)
{
    struct cli cli = {
        .tool = "vdb-check",
        .usage = "[options] INDEX",
        .summary = "Verifies every checksum of an index, and saves what is sound of a damaged one.",
        .options = options,
    };
    struct check_tool tool = {.cli = &cli};
    cli_parse(&cli, argc, argv, take, &tool);
    if (cli.operand_count > 0) cli_usage_error(&cli, "one INDEX and no more");
    if (tool.output && tool.deep) cli_usage_error(&cli, "--deep and --salvage do not go together");
    return cli_finish(&cli, tool.output ? salvage(&tool) : check(&tool));
}
