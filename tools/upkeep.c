/* upkeep.c: maintenance here and now, or by a process that is started for it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "upkeep.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static enum vdb_status build(const struct cli *cli, struct vdb *db, int64_t now_us,
                             struct cli_progress *progress, struct vdb_error *err)
{
    struct vdb_maintain_options how = VDB_MAINTAIN_OPTIONS_INIT;
    how.threads = cli->threads;
    how.progress = cli_progress;
    how.context = progress;
    how.now_us = now_us;
    cli_note_signals(NULL);
    enum vdb_status status = vdb_maintain(db, &how, err);
    cli_progress_end(progress);
    cli_release_signals();
    return status;
}

void upkeep_now(const struct cli *cli, struct vdb *db, int64_t now_us,
                struct cli_progress *progress)
{
    struct vdb_error err = {0};
    enum vdb_status status = build(cli, db, now_us, progress, &err);
    if (status == VDB_OK || (status == VDB_BUSY && !cli->verbose)) return;
    const char *reason = err.message[0] ? err.message : vdb_status_string(status);
    if (status == VDB_BUSY)
        cli_message(cli, "%s", reason);
    else
        cli_message(cli,
                    "%s: warning: the rows are committed and can be searched; only the index part "
                    "over them was not built: %s",
                    cli->index, reason);
}

/* ---- compaction ---------------------------------------------------------------------------- */

/* Merges leave some log2 of the rows over 2,048 of them, 8 for half a million. */
#define PARTS_MANY 8

enum vdb_status upkeep_compaction_due(const struct vdb_snapshot *snapshot,
                                      const struct vdb_compact_options *how, bool *due,
                                      struct vdb_error *err)
{
    struct vdb_info info;
    uint64_t purged = 0;
    vdb_snapshot_info(snapshot, &info);
    *due = info.used_bytes * 2 < info.file_bytes || info.parts > PARTS_MANY;
    if (*due || info.deleted * 10 <= info.rows) return VDB_OK;
    enum vdb_status status = vdb_compact_purges(snapshot, how, &purged, err);
    *due = purged * 10 > info.rows;
    return status;
}

/* ---- in the background --------------------------------------------------------------------- */

/* Whether something is to be done; *tail: rows that searches compare one by one. */
static bool wanted(struct vdb *db, int64_t now_us, uint64_t *tail)
{
    struct vdb_maintain_options how = VDB_MAINTAIN_OPTIONS_INIT;
    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    how.now_us = now_us;
    if (vdb_snapshot_open(db, &snapshot, NULL) != VDB_OK) return false;
    vdb_snapshot_info(snapshot, &info);
    *tail = info.tail_rows;
    bool is = vdb_maintain_wanted(snapshot, &how) != 0;
    vdb_snapshot_close(snapshot);
    return is;
}

static bool running(struct vdb *db)
{
    struct vdb_locks locks;
    return vdb_locks(db, &locks, NULL) != VDB_OK || locks.maintaining;
}

/* Beside this program, where they are built and where they are installed. */
static bool find_compact(char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0) return false;
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash) return false;
    *slash = '\0';
    int n = snprintf(path, PATH_MAX, "%s/vdb-compact", self);
    return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

/* Keeps nothing of where it comes from: no terminal, no file, no signal's lot. */
static void become_own_master(void)
{
    setsid();
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++) dup2(nothing, fd);
    close_range(3, UINT_MAX, 0);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (nice(10) == -1) return; /* then as busy as everyone */
}

/* A grandchild, which is nobody's to wait for. */
static void start(const char *program, char *const argv[])
{
    pid_t child = fork();
    if (child < 0) return;
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild != 0) _exit(0);
        become_own_master();
        execv(program, argv);
        _exit(CLI_SOFTWARE);
    }
    while (waitpid(child, NULL, 0) < 0) continue;
}

static void start_maintenance(const struct cli *cli, int64_t now_us)
{
    char program[PATH_MAX], threads[16], seconds[32];
    if (!find_compact(program)) return;
    /* Who is at it already makes another one needless. */
    char *argv[12] = {(char *)"vdb-compact", (char *)"--maintain", (char *)"--quiet",
                      (char *)"--wait=0"};
    int argc = 4;
    if (cli->threads) {
        snprintf(threads, sizeof threads, "-j%u", cli->threads);
        argv[argc++] = threads;
    }
    if (now_us) {
        snprintf(seconds, sizeof seconds, "--now=%" PRId64, now_us / 1000000);
        argv[argc++] = seconds;
    }
    argv[argc++] = (char *)"--";
    argv[argc] = (char *)(uintptr_t)cli->index;
    start(program, argv);
}

/* Until the tail is short again, whoever makes it so. Another process may be at it for long, or be
 * stopped: *waited for it are as many seconds as for any lock, and then no more. */
static void catch_up(const struct cli *cli, struct vdb *db, int64_t now_us, double *waited)
{
    const double nap = 0.005;
    struct cli_progress progress = {.cli = cli};
    struct vdb_error err = {0};
    uint64_t tail;
    enum vdb_status status = VDB_OK;
    while (wanted(db, now_us, &tail) && (status == VDB_OK || status == VDB_BUSY)) {
        status = build(cli, db, now_us, &progress, &err);
        if (status != VDB_BUSY) continue;
        if (*waited >= cli->wait) return;
        nanosleep(&(struct timespec){0, (long)(nap * 1e9)}, NULL);
        *waited += nap;
    }
}

void upkeep_later(const struct cli *cli, struct vdb *db, int64_t now_us)
{
    static double waited; /* since the tail was short */
    uint64_t tail = UPKEEP_BEHIND;
    bool is_wanted = wanted(db, now_us, &tail);
    if (tail < UPKEEP_BEHIND) waited = 0;
    if (!is_wanted) return;
    if (tail >= UPKEEP_BEHIND)
        catch_up(cli, db, now_us, &waited);
    else if (!running(db))
        start_maintenance(cli, now_us);
}
