/* states.c: vdb-snap's restore and diff: going back to a state, and what differs between two.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "at.h"
#include "kinds.h"
#include "snap/snap.h"
#include "upkeep.h"

/* ---- restore ------------------------------------------------------------------------------- */

static void tell(const struct snap *snap, const struct vdb_commit_info *info)
{
    if (snap->json)
        printf("{\"restored\":%" PRIu64 ",\"deleted\":%" PRIu64 ",\"commit\":%" PRIu64 "}\n",
               info->restored, info->deleted, info->commit);
    else if (!snap->cli.quiet)
        fprintf(stderr, "restored %" PRIu64 ", deleted %" PRIu64 ", commit %" PRIu64 "\n",
                info->restored, info->deleted, info->commit);
}

/* A signal meanwhile: either it comes in time and nothing is changed, or it waits until that
 * something is can be told. */
int snap_restore(struct snap *snap)
{
    uint64_t commit;
    struct vdb_commit_info info;
    struct vdb_error err = {0};
    int status = at_commit(&snap->cli, snap->snapshot, snap->operands[0], &commit);
    if (status != CLI_OK) return status;
    cli_note_signals("all is as it was then or nothing is changed");
    if (vdb_rollback(snap->db, commit, &info, &err) != VDB_OK) {
        status = cli_report(&snap->cli, &err);
        cli_release_signals();
        return status;
    }
    char text[80];
    snprintf(text, sizeof text, "the rows are as they were, to commit %" PRIu64, info.commit);
    cli_at_signal(NULL, text);
    cli_release_signals();
    tell(snap, &info);
    if (!snap->no_maintain) upkeep_later(&snap->cli, snap->db, 0);
    return CLI_OK;
}

/* ---- diff ---------------------------------------------------------------------------------- */

static void print_entry(const struct snap *snap, const struct vdb_diff_entry *entry)
{
    const char *operation = operation_name(entry->operation);
    if (snap->json) {
        printf("{\"operation\":\"%s\",\"id\":", operation);
        cli_json_string(stdout, entry->id, entry->id_len);
        fputs("}\n", stdout);
    } else {
        printf("%s\t", operation);
        fwrite(entry->id, 1, entry->id_len, stdout);
        putchar('\n');
    }
}

static int print_diff(const struct snap *snap, const struct vdb_snapshot *from,
                      const struct vdb_snapshot *to)
{
    struct vdb_diff *diff;
    struct vdb_diff_entry entry;
    struct vdb_error err = {0};
    if (vdb_diff_open(from, to, &diff, &err) != VDB_OK) return cli_report(&snap->cli, &err);
    enum vdb_status status;
    while ((status = vdb_diff_next(diff, &entry, &err)) == VDB_OK && !ferror(stdout))
        print_entry(snap, &entry);
    vdb_diff_close(diff);
    return status == VDB_OK || status == VDB_NOT_FOUND ? CLI_OK : cli_report(&snap->cli, &err);
}

int snap_diff(struct snap *snap)
{
    const struct vdb_snapshot *from = NULL, *to = NULL;
    bool now = snap->operand_count < 2;
    int status = at_past(&snap->cli, snap->snapshot, snap->operands[0], &from);
    if (status == CLI_OK && !now)
        status = at_past(&snap->cli, snap->snapshot, snap->operands[1], &to);
    if (status == CLI_OK) status = print_diff(snap, from, now ? snap->snapshot : to);
    vdb_snapshot_close(from);
    vdb_snapshot_close(to);
    return status;
}
