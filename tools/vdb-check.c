/* vdb-check.c: verifies an index and prints what is wrong with it, one finding a line.
 *
 * Owns nothing but the way from a finding to a line; what is verified is the library's business.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "vdb.h"

enum { OPT_DEEP = 1, OPT_JSON };

static const struct cli_option options[] = {
    {"deep", 0, NULL, "also hold every structure against the rules of the format", OPT_DEEP},
    {"json", 0, NULL, "print one JSON object a finding", OPT_JSON},
    {NULL, 0, NULL, NULL, 0},
};

struct check_tool {
    bool deep, json;
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct check_tool *tool = context;
    (void)cli;
    (void)value;
    if (id == OPT_DEEP) tool->deep = true;
    if (id == OPT_JSON) tool->json = true;
}

static void report_text(const struct vdb_error *finding)
{
    const char *segment = finding->segment != NULL ? finding->segment : "file";
    printf("%s\t%" PRIu64 "\t", segment, finding->segment != NULL ? finding->offset : 0);
    /* A message may quote bytes of a damaged file: columns and lines must survive them. */
    for (const char *p = finding->message; *p != '\0'; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
    putchar('\n');
}

static void report_json(const struct vdb_error *finding)
{
    const char *segment = finding->segment != NULL ? finding->segment : "file";
    fputs("{\"segment\":", stdout);
    cli_json_string(stdout, segment, strlen(segment));
    printf(",\"offset\":%" PRIu64 ",\"message\":", finding->segment != NULL ? finding->offset : 0);
    cli_json_string(stdout, finding->message, strlen(finding->message));
    fputs("}\n", stdout);
}

static void report(void *context, const struct vdb_error *finding)
{
    const struct check_tool *tool = context;
    if (tool->json)
        report_json(finding);
    else
        report_text(finding);
}

int main(int argc, char **argv)
{
    struct cli cli = {
        .tool = "vdb-check",
        .usage = "[options] INDEX",
        .summary = "Verifies every checksum of an index.",
        .options = options,
    };
    struct check_tool tool = {0};
    cli_parse(&cli, argc, argv, take, &tool);
    if (cli.operand_count > 0) cli_usage_error(&cli, "one INDEX and no more");

    struct vdb_check_options how = VDB_CHECK_OPTIONS_INIT;
    how.deep = tool.deep;
    how.threads = cli.threads;
    how.report = report;
    how.context = &tool;
    uint64_t findings = 0;
    struct vdb_error err;
    if (vdb_check(cli.index, &how, &findings, &err) != VDB_OK) {
        fflush(stdout); /* findings before the sentence that says why there are no more */
        return cli_finish(&cli, cli_report(&cli, &err));
    }
    fflush(stdout);
    if (findings == 0) {
        if (cli.verbose) cli_message(&cli, "%s: sound", cli.index);
        return cli_finish(&cli, CLI_OK);
    }
    if (!cli.quiet)
        cli_message(&cli, "%s: damaged, %" PRIu64 " %s", cli.index, findings,
                    findings == 1 ? "finding" : "findings");
    return cli_finish(&cli, CLI_NO);
}
