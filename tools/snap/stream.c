/* stream.c: vdb-snap's send and recv: states of an index as streams of bytes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "at.h"
#include "snap/snap.h"
#include "upkeep.h"

/* ---- send ---------------------------------------------------------------------------------- */

static int write_stdout(void *failed, const void *bytes, size_t len)
{
    if (fwrite(bytes, 1, len, stdout) == len) return 0;
    *(int *)failed = errno;
    return -1;
}

static int send_between(struct snap *snap, const struct vdb_snapshot *from,
                        const struct vdb_snapshot *to)
{
    struct vdb_error err = {0};
    int failed = 0;
    if (vdb_send(from, to, write_stdout, &failed, &err) == VDB_OK) return CLI_OK;
    if (!failed) return cli_report(&snap->cli, &err);
    errno = failed; /* cli_finish tells it */
    return CLI_IOERR;
}

int snap_send(struct snap *snap)
{
    const struct vdb_snapshot *from = NULL, *to = NULL;
    if (isatty(STDOUT_FILENO))
        cli_usage_error(&snap->cli, "a stream is not for a terminal: use a file or a pipe");
    int status = CLI_OK;
    if (snap->from) status = at_past(&snap->cli, snap->snapshot, snap->from, &from);
    if (status == CLI_OK && snap->operand_count)
        status = at_past(&snap->cli, snap->snapshot, snap->operands[0], &to);
    if (status == CLI_OK) status = send_between(snap, from, to ? to : snap->snapshot);
    int error = errno;
    vdb_snapshot_close(from);
    vdb_snapshot_close(to);
    errno = error;
    return status;
}

/* ---- recv ---------------------------------------------------------------------------------- */

#define LOOK_EVERY_MS 100

/* Waits for bytes a moment at a time: a signal that came just before a wait is seen after it. */
static ptrdiff_t read_stdin(void *failed, void *bytes, size_t len)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!cli_cancelled(NULL)) {
        int ready = poll(&in, 1, LOOK_EVERY_MS);
        if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
        ssize_t got = ready < 0 ? -1 : read(STDIN_FILENO, bytes, len);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) *(int *)failed = errno;
        return got;
    }
    *(int *)failed = errno = EINTR;
    return -1;
}

static void tell(const struct snap *snap, const struct vdb_receive_info *info)
{
    const char *created = info->created ? "true" : "false", *known = info->known ? "true" : "false";
    if (snap->json)
        printf("{\"added\":%" PRIu64 ",\"updated\":%" PRIu64 ",\"deleted\":%" PRIu64
               ",\"commit\":%" PRIu64 ",\"created\":%s,\"known\":%s}\n",
               info->added, info->updated, info->deleted, info->commit, created, known);
    else if (!snap->cli.quiet)
        fprintf(stderr,
                "added %" PRIu64 ", updated %" PRIu64 ", deleted %" PRIu64 ", commit %" PRIu64
                "%s\n",
                info->added, info->updated, info->deleted, info->commit,
                info->known ? ", received before" : "");
}

/* The rows are in: nothing fails from here on. */
static void maintain(const struct snap *snap, const struct vdb_receive_info *info)
{
    struct cli_progress progress = {.cli = &snap->cli};
    int ignored;
    if (snap->no_maintain || info->known) return;
    struct vdb *db = cli_open(&snap->cli, snap->cli.index, false, &ignored);
    if (!db) return;
    if (info->added + info->updated >= UPKEEP_LOAD)
        upkeep_now(&snap->cli, db, 0, &progress);
    else
        upkeep_later(&snap->cli, db, 0);
    vdb_close(db);
}

static int failed_to_receive(const struct snap *snap, const struct vdb_error *err, int read_errno)
{
    if (read_errno) {
        cli_release_signals();
        cli_message(&snap->cli, "standard input: %s", strerror(read_errno));
        return CLI_IOERR;
    }
    int status = cli_report(&snap->cli, err);
    cli_release_signals();
    return status == CLI_NO ? CLI_DATA
                            : status; /* a base that is not there makes it a bad stream */
}

int snap_recv(struct snap *snap)
{
    struct vdb_open_options open = cli_open_options(&snap->cli, false);
    struct vdb_receive_options how = VDB_RECEIVE_OPTIONS_INIT;
    struct vdb_receive_info info;
    struct vdb_error err = {0};
    int failed = 0;
    if (isatty(STDIN_FILENO))
        cli_usage_error(&snap->cli, "a stream is not typed: give it by a pipe or a file");
    how.force = snap->force;
    cli_note_signals("all of the stream is in or nothing");
    if (vdb_receive(snap->cli.index, &open, &how, read_stdin, &failed, &info, &err) != VDB_OK)
        return failed_to_receive(snap, &err, failed);
    char text[80];
    snprintf(text, sizeof text, "the stream is in, to commit %" PRIu64, info.commit);
    cli_at_signal(NULL, text);
    cli_release_signals();
    tell(snap, &info);
    maintain(snap, &info);
    return CLI_OK;
}
