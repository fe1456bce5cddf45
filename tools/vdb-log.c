/* vdb-log.c: prints the changes of an index, one a line, the oldest first, and those to come.
 *
 * What changed is the library's to say; this file turns options into a range of changes, and waits
 * for more. To wait it looks at the file some 50 times a second, which costs next to nothing and
 * works wherever the file can be read: there is no lock, no notification and no writer to ask.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "at.h"
#include "cli.h"
#include "kinds.h"
#include "vdb.h"
#include "when.h"

#define LOOK_EVERY_MS 20

enum { OPT_LINES = 1, OPT_SINCE, OPT_AT, OPT_FOLLOW, OPT_JSON };

static const struct cli_option options[] = {
    {"lines", 'n', "N", "only the last N changes", OPT_LINES},
    {"since", 0, "WHEN", "only changes after that commit or snapshot, or from that time on",
     OPT_SINCE},
    {"at", 0, "WHEN", "only changes up to that commit, snapshot or time", OPT_AT},
    {"follow", 'f', NULL, "then wait for changes to come, and print them at once", OPT_FOLLOW},
    {"json", 0, NULL, "print one JSON object a change", OPT_JSON},
    {NULL, 0, NULL, NULL, 0},
};

struct log_tool {
    struct cli cli;
    bool follow, json;
    bool limited; /* to this many lines: */
    uint64_t lines;
    const char *since, *at; /* as given; NULL: not */
    uint64_t since_commit;
    int64_t since_us;

    char *path; /* of the file itself, links followed */
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    struct vdb_info info; /* of it */

    uint64_t timed_commit; /* whose time `time` is */
    char time[WHEN_TEXT_SIZE];
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct log_tool *tool = context;
    if (id == OPT_LINES) {
        tool->lines = cli_number(cli, "--lines", value, 0, UINT64_MAX);
        tool->limited = true;
    }
    if (id == OPT_SINCE || id == OPT_AT) at_check(cli, id == OPT_AT ? "--at" : "--since", value);
    if (id == OPT_SINCE) tool->since = value;
    if (id == OPT_AT) tool->at = value;
    if (id == OPT_FOLLOW) tool->follow = true;
    if (id == OPT_JSON) tool->json = true;
}

/* A commit's number and a time need not be of a commit that there is. */
static int take_since(struct log_tool *tool)
{
    struct vdb_name name;
    struct when when = when_parse(tool->since);
    if (when.kind == WHEN_NAME || at_find(tool->snapshot, tool->since, &name))
        return at_commit(&tool->cli, tool->snapshot, tool->since, &tool->since_commit);
    if (when.kind == WHEN_COMMIT)
        tool->since_commit = when.commit;
    else
        tool->since_us = when.time_us + when.later;
    /* The library takes 0 for no time at all; no commit is that old, nor older. */
    if (when.kind == WHEN_TIME && tool->since_us <= 0) tool->since_us = 1;
    return CLI_OK;
}

/* ---- printing ------------------------------------------------------------------------------ */

static void print_change(struct log_tool *tool, const struct vdb_log_entry *entry)
{
    if (entry->commit != tool->timed_commit) when_text(entry->time_us, tool->time);
    tool->timed_commit = entry->commit;
    const char *operation = operation_name(entry->operation);
    if (tool->json) {
        printf("{\"commit\":%" PRIu64 ",\"time\":\"%s\",\"operation\":\"%s\",\"id\":",
               entry->commit, tool->time, operation);
        cli_json_string(stdout, entry->id, entry->id_len);
        fputs("}\n", stdout);
    } else {
        printf("%" PRIu64 "\t%s\t%s\t", entry->commit, tool->time, operation);
        fwrite(entry->id, 1, entry->id_len, stdout);
        putchar('\n');
    }
}

/* The time of the oldest commit that is recorded, or of the newest there is if none is. */
static enum vdb_status oldest_time(const struct log_tool *tool, int64_t *time_us,
                                   struct vdb_error *err)
{
    struct vdb_log *log;
    struct vdb_log_entry entry;
    enum vdb_status status = vdb_log_open(tool->snapshot, NULL, &log, err);
    if (status != VDB_OK) return status;
    status = vdb_log_next(log, &entry, err);
    *time_us = status == VDB_OK ? entry.time_us : tool->info.commit_time_us;
    vdb_log_close(log);
    return status == VDB_NOT_FOUND ? VDB_OK : status;
}

/* Says so where changes were asked for that are not recorded any more. Commit 1 is the creation,
 * which changed no row. */
static enum vdb_status tell_lost(const struct log_tool *tool, uint64_t first, uint64_t after,
                                 struct vdb_error *err)
{
    int64_t oldest = INT64_MAX;
    if (first <= 2 || after >= first - 1 || tool->cli.quiet) return VDB_OK;
    enum vdb_status status = tool->since_us ? oldest_time(tool, &oldest, err) : VDB_OK;
    if (status == VDB_OK && tool->since_us < oldest)
        cli_message(&tool->cli, "%s: changes of commits before %" PRIu64 " are not recorded",
                    tool->cli.index, first);
    return status;
}

/* Prints the snapshot's changes after the commit `after`, the last `lines` of them or, where that
 * is 0, all. */
static int print_changes(struct log_tool *tool, uint64_t after, uint64_t lines)
{
    struct vdb_log_options how = VDB_LOG_OPTIONS_INIT;
    how.since_commit = after;
    how.since_us = tool->since_us;
    how.last = lines;
    struct vdb_log *log;
    struct vdb_log_entry entry;
    struct vdb_error err = {0};
    uint64_t printed = 0;
    enum vdb_status status = vdb_log_open(tool->snapshot, &how, &log, &err);
    if (status != VDB_OK) return cli_report(&tool->cli, &err);
    while ((status = vdb_log_next(log, &entry, &err)) == VDB_OK && !ferror(stdout)) {
        print_change(tool, &entry);
        printed++;
    }
    if (status == VDB_NOT_FOUND) status = VDB_OK;
    if (status == VDB_OK && !ferror(stdout) && (lines == 0 || printed < lines))
        status = tell_lost(tool, vdb_log_first_commit(log), after, &err);
    vdb_log_close(log);
    return status == VDB_OK ? CLI_OK : cli_report(&tool->cli, &err);
}

/* ---- following ----------------------------------------------------------------------------- */

/* Waits a moment; ends the tool as a write would where nobody reads what it prints any more. */
static void wait_a_moment(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    if (poll(&out, 1, LOOK_EVERY_MS) > 0 && out.revents & (POLLERR | POLLHUP)) raise(SIGPIPE);
}

static bool removed(const struct log_tool *tool)
{
    struct stat there;
    return stat(tool->path, &there) != 0 && errno == ENOENT;
}

/* Goes on to the newest snapshot, which is of the same index and no older. */
static int look_again(struct log_tool *tool)
{
    struct vdb_error err = {0};
    struct vdb_info was = tool->info;
    if (vdb_refresh(tool->db, &tool->snapshot, &err) != VDB_OK) return cli_report(&tool->cli, &err);
    vdb_snapshot_info(tool->snapshot, &tool->info);
    if (tool->info.commit < was.commit ||
        memcmp(tool->info.file_id, was.file_id, sizeof was.file_id) != 0) {
        cli_message(&tool->cli, "%s: another index has taken its place", tool->cli.index);
        return CLI_DATA;
    }
    return CLI_OK;
}

static int follow(struct log_tool *tool)
{
    for (;;) {
        uint64_t seen = tool->info.commit;
        if (fflush(stdout) != 0) return CLI_IOERR; /* cli_finish says why */
        wait_a_moment();
        bool gone = removed(tool);
        int status = look_again(tool);
        uint64_t after = seen > tool->since_commit ? seen : tool->since_commit;
        if (status == CLI_OK && tool->info.commit > after) status = print_changes(tool, after, 0);
        if (status != CLI_OK) return status;
        if (!gone) continue;
        cli_message(&tool->cli, "%s: was removed", tool->cli.index);
        return CLI_NOINPUT;
    }
}

/* Takes the newest snapshot, or the one of --at. */
static int open_snapshot(struct log_tool *tool)
{
    const struct vdb_snapshot *past = NULL;
    int status = at_open(&tool->cli, tool->db, NULL, &tool->snapshot);
    if (status == CLI_OK && tool->since) status = take_since(tool);
    if (status == CLI_OK && tool->at) status = at_past(&tool->cli, tool->snapshot, tool->at, &past);
    if (past) {
        vdb_snapshot_close(tool->snapshot);
        tool->snapshot = past;
    }
    if (status == CLI_OK) vdb_snapshot_info(tool->snapshot, &tool->info);
    return status;
}

static int run(struct log_tool *tool)
{
    tool->path = realpath(tool->cli.index, NULL);
    if (!tool->path) {
        cli_message(&tool->cli, "%s: %s", tool->cli.index, strerror(errno));
        return CLI_NOINPUT;
    }
    int status = open_snapshot(tool);
    if (status == CLI_OK && (!tool->limited || tool->lines > 0))
        status = print_changes(tool, tool->since_commit, tool->limited ? tool->lines : 0);
    return status == CLI_OK && tool->follow ? follow(tool) : status;
}

int main(int argc, char **argv)
{
    struct log_tool tool = {
        .cli =
            {
                .tool = "vdb-log",
                .usage = "[options] INDEX",
                .summary = "Prints the changes of an index, the oldest first.",
                .options = options,
                .threads_help = CLI_ONE_THREAD,
            },
    };
    struct cli *cli = &tool.cli;
    cli_parse(cli, argc, argv, take, &tool);
    if (cli->operand_count > 0) cli_usage_error(cli, "one INDEX and no more");
    if (tool.at && tool.follow) cli_usage_error(cli, "--at or --follow, not both");

    int status = CLI_OK;
    tool.db = cli_open(cli, cli->index, true, &status);
    if (!tool.db) return status;
    status = run(&tool);
    vdb_snapshot_close(tool.snapshot);
    vdb_close(tool.db);
    free(tool.path);
    return cli_finish(cli, status);
}
