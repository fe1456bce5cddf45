/* vdb-snap.c: snapshots of an index, which are names of its commits: makes, lists and drops them,
 * goes back to one, tells two apart, and sends them to another index.
 *
 * The commands are in snap/; this file tells which one is asked for.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "at.h"
#include "cli.h"
#include "snap/snap.h"
#include "vdb.h"

enum { OPT_KEEP = 1, OPT_PREFIX, OPT_FROM, OPT_FORCE, OPT_JSON, OPT_NO_MAINTAIN, OPT_COUNT };

static const struct cli_option options[] = {
    {"keep", 0, "N", "create: drop the oldest of --prefix, so that N are left", OPT_KEEP},
    {"prefix", 0, "P", "create: begin the name with P; of NAME, that it begins so", OPT_PREFIX},
    {"from", 0, "WHEN", "send: only what changed since then", OPT_FROM},
    {"force", 0, NULL, "recv: undo what is not in the stream's history", OPT_FORCE},
    {"json", 0, NULL, "print JSON objects", OPT_JSON},
    {"no-maintain", 0, NULL, "start no maintenance in the background", OPT_NO_MAINTAIN},
    {NULL, 0, NULL, NULL, 0},
};

#define BIT(option) (1u << (option))

struct command {
    const char *name;
    int (*run)(struct snap *snap);
    int least, most;       /* operands */
    const char *operands;  /* as --help has them */
    unsigned options;      /* that go with it */
    bool writes, no_index; /* no_index: it may not be there yet */
};

static const struct command commands[] = {
    {"list", snap_list, 0, 0, "", BIT(OPT_JSON), false, false},
    {"create", snap_create, 0, 1, " [NAME]", BIT(OPT_JSON) | BIT(OPT_KEEP) | BIT(OPT_PREFIX), true,
     false},
    {"restore", snap_restore, 1, 1, " WHEN", BIT(OPT_JSON) | BIT(OPT_NO_MAINTAIN), true, false},
    {"rm", snap_rm, 1, INT_MAX, " NAME...", 0, true, false},
    {"diff", snap_diff, 1, 2, " A [B]", BIT(OPT_JSON), false, false},
    {"send", snap_send, 0, 1, " [WHEN]", BIT(OPT_FROM), false, false},
    {"recv", snap_recv, 0, 0, "", BIT(OPT_JSON) | BIT(OPT_FORCE) | BIT(OPT_NO_MAINTAIN), true,
     true},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

struct given {
    struct snap snap;
    unsigned options; /* bits of those given */
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct given *given = context;
    struct snap *snap = &given->snap;
    given->options |= BIT(id);
    if (id == OPT_KEEP) snap->keep = cli_number(cli, "--keep", value, 1, UINT32_MAX);
    if (id == OPT_PREFIX) snap->prefix = value;
    if (id == OPT_FROM) {
        at_check(cli, "--from", value);
        snap->from = value;
    }
    if (id == OPT_FORCE) snap->force = true;
    if (id == OPT_JSON) snap->json = true;
    if (id == OPT_NO_MAINTAIN) snap->no_maintain = true;
}

static const struct command *find_command(const struct cli *cli)
{
    if (cli->operand_count == 0) return &commands[0];
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(cli->operands[0], commands[i].name) == 0) return &commands[i];
    cli_usage_error(cli, "'%s' is not list, create, restore, rm, diff, send or recv",
                    cli->operands[0]);
}

static void check_usage(const struct given *given, const struct command *command)
{
    const struct snap *snap = &given->snap;
    const struct cli *cli = &snap->cli;
    if (snap->operand_count < command->least || snap->operand_count > command->most)
        cli_usage_error(cli, "%s is used as: vdb-snap INDEX %s%s", command->name, command->name,
                        command->operands);
    for (const struct cli_option *o = options; o->name; o++)
        if (given->options & BIT(o->id) & ~command->options)
            cli_usage_error(cli, "--%s does not go with %s", o->name, command->name);
    if (snap->keep && !snap->prefix)
        cli_usage_error(cli, "--keep takes --prefix, which says of which the oldest are dropped");
    bool whens =
        command->run == snap_restore || command->run == snap_diff || command->run == snap_send;
    for (int i = 0; whens && i < snap->operand_count; i++)
        at_check(cli, command->name, snap->operands[i]);
}

static int run(struct snap *snap, const struct command *command)
{
    struct vdb_error err = {0};
    int status = CLI_OK;
    if (command->no_index) return command->run(snap);
    snap->db = cli_open(&snap->cli, snap->cli.index, !command->writes, &status);
    if (!snap->db) return status;
    if (vdb_snapshot_open(snap->db, &snap->snapshot, &err) != VDB_OK)
        return cli_report(&snap->cli, &err);
    return command->run(snap);
}

int main(int argc, char **argv)
{
    struct given given = {
        .snap.cli =
            {
                .tool = "vdb-snap",
                .usage = "[options] INDEX\n"
                         "       vdb-snap [[--keep N] --prefix P] INDEX create [NAME]\n"
                         "       vdb-snap INDEX restore WHEN\n"
                         "       vdb-snap INDEX rm NAME...\n"
                         "       vdb-snap INDEX diff A [B]\n"
                         "       vdb-snap [--from A] INDEX send [WHEN]\n"
                         "       vdb-snap [--force] INDEX recv",
                .summary = "Keeps states of an index by name, goes back to them, and sends them "
                           "elsewhere.",
                .options = options,
            },
    };
    struct snap *snap = &given.snap;
    cli_parse(&snap->cli, argc, argv, take, &given);
    const struct command *command = find_command(&snap->cli);
    bool named = snap->cli.operand_count > 0;
    snap->operands = snap->cli.operands + named;
    snap->operand_count = snap->cli.operand_count - named;
    check_usage(&given, command);
    int status = run(snap, command);
    int error = errno; /* of a write that failed, which cli_finish tells */
    vdb_snapshot_close(snap->snapshot);
    vdb_close(snap->db);
    errno = error;
    return cli_finish(&snap->cli, status);
}
