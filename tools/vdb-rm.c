/* vdb-rm.c: deletes rows by id, brings them back, lists what is deleted.
 *
 * One run is one transaction. Ids are printed when the commit stands, so that what is on stdout has
 * happened.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "upkeep.h"
#include "vdb.h"

enum { OPT_RESTORE, OPT_IDS_FROM, OPT_LIST, OPT_NO_MAINTAIN };

static const struct cli_option options[] = {
    {"restore", 0, NULL, "bring deleted rows back", OPT_RESTORE},
    {"ids-from", 0, "FILE", "take ids from FILE, one a line; -: standard input", OPT_IDS_FROM},
    {"list", 0, NULL, "print the ids now deleted", OPT_LIST},
    {"no-maintain", 0, NULL, "start no maintenance in the background", OPT_NO_MAINTAIN},
    {NULL, 0, NULL, NULL, 0},
};

struct rm {
    struct cli *cli;
    bool restore, list, no_maintain;
    const char *ids_from;
    struct vdb *db;
    struct vdb_txn *txn;
    char *changed; /* ids, each with a newline */
    size_t changed_len, changed_room;
    bool missing;
};

static void take(struct cli *cli, void *context, int id, const char *value)
{
    struct rm *rm = context;
    (void)cli;
    switch (id) {
    case OPT_RESTORE:
        rm->restore = true;
        break;
    case OPT_NO_MAINTAIN:
        rm->no_maintain = true;
        break;
    case OPT_IDS_FROM:
        rm->ids_from = value;
        break;
    case OPT_LIST:
        rm->list = true;
        break;
    default:
        break;
    }
}

static int remember(struct rm *rm, const char *id, size_t len)
{
    if (rm->changed_room - rm->changed_len < len + 1) {
        size_t room = rm->changed_room * 2 + len + 4096;
        char *larger = realloc(rm->changed, room);
        if (!larger) {
            cli_message(rm->cli, "out of memory");
            return CLI_IOERR;
        }
        rm->changed = larger;
        rm->changed_room = room;
    }
    memcpy(rm->changed + rm->changed_len, id, len);
    rm->changed[rm->changed_len + len] = '\n';
    rm->changed_len += len + 1;
    return CLI_OK;
}

/* Deletes or restores one. An id that no row can have is one that is not there. */
static int change(struct rm *rm, const char *id, size_t len)
{
    struct vdb_error err = {0};
    char name[CLI_NAME_SIZE];
    enum vdb_status status = rm->restore ? vdb_txn_restore(rm->txn, id, len, &err)
                                         : vdb_txn_delete(rm->txn, id, len, &err);
    switch (status) {
    case VDB_OK:
        return remember(rm, id, len);
    case VDB_NOT_FOUND:
    case VDB_INVALID:
    case VDB_EXISTS:
        cli_message(rm->cli, "%s: %s: %s", rm->cli->index,
                    status == VDB_EXISTS ? "not deleted"
                    : rm->restore        ? "no such deleted id"
                                         : "no such id",
                    cli_name(id, len, name));
        rm->missing = true;
        return CLI_OK;
    default:
        return cli_report(rm->cli, &err);
    }
}

static int change_from_file(struct rm *rm)
{
    bool standard = strcmp(rm->ids_from, "-") == 0;
    FILE *file = standard ? stdin : fopen(rm->ids_from, "re");
    if (!file) {
        cli_message(rm->cli, "%s: %s", rm->ids_from, strerror(errno));
        return CLI_NOINPUT;
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int status = CLI_OK;
    while (status == CLI_OK && (len = getline(&line, &room, file)) >= 0) {
        if (len > 0 && line[len - 1] == '\n') len--;
        if (len > 0 && line[len - 1] == '\r') len--;
        if (len > 0) status = change(rm, line, (size_t)len);
    }
    if (status == CLI_OK && ferror(file)) {
        cli_message(rm->cli, "%s: %s", standard ? "standard input" : rm->ids_from, strerror(errno));
        status = CLI_IOERR;
    }
    free(line);
    if (!standard) fclose(file);
    return status;
}

/* A signal meanwhile: either it comes in time and nothing is changed, or it waits until that
 * something is can be told. */
static int commit(struct rm *rm)
{
    struct vdb_commit_info info;
    struct vdb_error err = {0};
    cli_note_signals("all is changed or nothing");
    enum vdb_status done = vdb_txn_commit(rm->txn, &info, &err);
    if (done != VDB_OK) {
        int status = cli_report(rm->cli, &err);
        cli_release_signals();
        return status;
    }
    char text[80];
    snprintf(text, sizeof text, "the changes are in, to commit %" PRIu64, info.commit);
    cli_at_signal(NULL, text);
    cli_release_signals();
    if (rm->changed_len) fwrite(rm->changed, 1, rm->changed_len, stdout);
    return rm->missing ? CLI_NO : CLI_OK;
}

static int change_all(struct rm *rm)
{
    struct vdb_error err = {0};
    if (vdb_txn_begin(rm->db, &rm->txn, &err) != VDB_OK) return cli_report(rm->cli, &err);
    int status = rm->ids_from ? change_from_file(rm) : CLI_OK;
    for (int i = 0; status == CLI_OK && i < rm->cli->operand_count; i++)
        status = change(rm, rm->cli->operands[i], strlen(rm->cli->operands[i]));
    if (status != CLI_OK) {
        vdb_txn_abort(rm->txn);
        return status;
    }
    return commit(rm);
}

/* A deleted row is listed where its id finds it: not the older versions of a deleted id, and not
 * those of a live one. */
static int list(struct rm *rm)
{
    const struct vdb_snapshot *snapshot;
    struct vdb_error err = {0};
    if (vdb_snapshot_open(rm->db, &snapshot, &err) != VDB_OK) return cli_report(rm->cli, &err);
    struct vdb_info info;
    vdb_snapshot_info(snapshot, &info);
    enum vdb_status status = VDB_OK;
    for (uint64_t row = 0; status == VDB_OK && row < info.rows; row++) {
        if (vdb_row_state(snapshot, (uint32_t)row) != 2) continue;
        const char *id;
        size_t len;
        uint32_t newest;
        status = vdb_row_id(snapshot, (uint32_t)row, &id, &len, &err);
        if (status == VDB_OK) status = vdb_find(snapshot, id, len, 1, &newest, &err);
        if (status == VDB_OK && newest == row) printf("%.*s\n", (int)len, id);
    }
    vdb_snapshot_close(snapshot);
    return status == VDB_OK ? CLI_OK : cli_report(rm->cli, &err);
}

int main(int argc, char **argv)
{
    struct cli cli = {.tool = "vdb-rm",
                      .usage = "[--restore] [--ids-from FILE] INDEX [ID...]\n"
                               "       vdb-rm --list INDEX",
                      .summary = "Deletes rows, so that no search finds them, or restores them.",
                      .options = options,
                      .threads_help = CLI_ONE_THREAD};
    struct rm rm = {.cli = &cli};
    cli_parse(&cli, argc, argv, take, &rm);
    if (rm.list && (rm.restore || rm.ids_from || cli.operand_count))
        cli_usage_error(&cli, "--list goes with nothing else");
    if (!rm.list && !rm.ids_from && !cli.operand_count) cli_usage_error(&cli, "no ID given");
    int status = CLI_OK;
    rm.db = cli_open(&cli, cli.index, rm.list, &status);
    if (rm.db) status = rm.list ? list(&rm) : change_all(&rm);
    bool changed = status == CLI_OK || status == CLI_NO;
    if (rm.db && changed && !rm.list && !rm.no_maintain) upkeep_later(&cli, rm.db, 0);
    vdb_close(rm.db);
    free(rm.changed);
    return cli_finish(&cli, status);
}
