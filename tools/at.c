/* at.c: earlier states of an index, as users ask for them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "at.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "when.h"

#define NAMES_TOLD 5 /* of the snapshots there are, in a message */

void at_check(const struct cli *cli, const char *option, const char *text)
{
    if (!*text)
        cli_usage_error(cli, "%s: '' is no snapshot, no commit's number and no time", option);
}

bool at_find(const struct vdb_snapshot *snapshot, const char *text, struct vdb_name *name)
{
    return vdb_name_find(snapshot, text, strlen(text), name, NULL) == VDB_OK;
}

/* Names are bytes without control characters: the format has no others. */
static void names_text(const struct vdb_snapshot *snapshot, char *text, size_t room)
{
    struct vdb_name name;
    uint32_t count = 0;
    size_t used = 0;
    while (vdb_name_at(snapshot, count, &name) == VDB_OK) {
        if (count < NAMES_TOLD)
            used += (size_t)snprintf(text + used, room - used, "%s%.*s",
                                     count ? ", " : "there are: ", (int)name.name_len, name.name);
        count++;
    }
    if (count > NAMES_TOLD)
        snprintf(text + used, room - used, " and %" PRIu32 " more", count - NAMES_TOLD);
    if (count == 0) snprintf(text, room, "there is none");
}

int at_unknown(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
               const char *else_)
{
    char name[CLI_NAME_SIZE], names[NAMES_TOLD * (VDB_NAME_MAX + 2) + 64];
    names_text(snapshot, names, sizeof names);
    cli_message(cli, "%s: no snapshot is called '%s'%s; %s", cli->index,
                cli_name(text, strlen(text), name), else_ ? else_ : "", names);
    return CLI_NO;
}

int at_commit(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
              uint64_t *commit)
{
    struct vdb_name name;
    struct vdb_error err = {0};
    if (at_find(snapshot, text, &name)) {
        *commit = name.commit;
        return CLI_OK;
    }
    struct when when = when_parse(text);
    *commit = when.commit;
    if (when.kind == WHEN_NAME)
        return at_unknown(cli, snapshot, text,
                          ", and it is no commit's number and no time like 2026-11-21T20:15:00Z");
    /* Commits have their times in whole microseconds, so that what lies between two of them does
     * not matter. */
    if (when.kind == WHEN_TIME && vdb_commit_at(snapshot, when.time_us, commit, &err) != VDB_OK)
        return cli_report(cli, &err);
    return CLI_OK;
}

int at_past(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
            const struct vdb_snapshot **past)
{
    uint64_t commit;
    struct vdb_error err = {0};
    int status = at_commit(cli, snapshot, text, &commit);
    if (status == CLI_OK && vdb_snapshot_at(snapshot, commit, past, &err) != VDB_OK)
        status = cli_report(cli, &err);
    return status;
}

int at_open(const struct cli *cli, struct vdb *db, const char *text,
            const struct vdb_snapshot **snapshot)
{
    struct vdb_error err = {0};
    const struct vdb_snapshot *newest;
    if (vdb_snapshot_open(db, &newest, &err) != VDB_OK) return cli_report(cli, &err);
    if (!text) {
        *snapshot = newest;
        return CLI_OK;
    }
    int status = at_past(cli, newest, text, snapshot);
    vdb_snapshot_close(newest);
    return status;
}
