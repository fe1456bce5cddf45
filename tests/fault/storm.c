/* storm.c: eight writers, eight readers, a compactor, and one who ships copies, on one index,
 * killed and stopped at random.
 *
 *     storm [--kills N] [--seed N] [--index flat|graph|hybrid] [--names] [--tool VDB-COMPACT]
 *           [--pace MS] DIRECTORY
 *
 * The parent is the oracle. It never opens the index for writing; it hears of every batch before it
 * is committed and after, through pipes that outlive their writers, and knows from that what each
 * commit must hold (storm_oracle.c). Readers tell what they see. A killed process is replaced, once
 * the parent has looked whether its last batch is there.
 *
 * Exits with 0 when all that must hold held, else says what did not and exits with 1.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault/storm.h"
#include "unit/slow.h"

enum {
    SLOWER = SLOW ? 10 : 1, /* than without sanitizers, in round numbers */
    COMPACTOR = WRITERS + READERS,
    SHIPPER,
    PROCESSES,
    RECENT = 512 /* rows of a hybrid index that lie in graphs */
};

#define SECOND ((int64_t)1000000000)

/* A lock is free at once when its holder dies; what is left is a commit of every other process. */
#define WAIT_LIMIT (SLOWER * SECOND)
#define HANG_LIMIT (30 * SLOWER * SECOND)
#define PATIENCE   (25.0 * SLOWER)

struct process {
    pid_t pid;
    int pipe;
    uint32_t count; /* writers: of the slot's batches */
    bool in_flight; /* `batch` was announced, and no more was heard of it */
    bool stopped;
    struct storm_batch batch;
    int64_t began, heard, go_on;
    int64_t delay; /* its storm_run_delay when it was looked at last */
};

struct storm {
    const char *folder;
    char path[4096], copy[4096], output[4096];
    const char *tool;
    uint64_t seed;
    enum vdb_index_kind index;
    bool names;
    struct storm_shared *shared;
    struct storm_oracle *oracle;
    struct process process[PROCESSES];
    pid_t witness;
    uint64_t newest; /* commit that was acknowledged */
    /* From when on the next acknowledgement is waited for: the last one, or the moment that all
     * processes which may hold a lock ran again. */
    int64_t progress, running_since;
    int64_t longest_wait, delays_seen; /* when the delays were looked at last */
    /* The compactor is killed at a random moment of its next work, which takes about as long as it
     * took before, or when it has just renamed the new file: what it does between two system calls
     * is rarely hit otherwise. */
    bool aims, hit_at_rename;
    int64_t work_began, work_took, hit_at; /* 0: not yet */
    int watch;                             /* of the folder, for renames */
    uint64_t kills, stops, batches, refused, unacknowledged, unsure, seen, compacted, maintained;
    uint64_t stalls, gone_back, as_was, by_tool, whole, changes, outputs;
};

static bool is_writer(int p)
{
    return p < WRITERS;
}

static bool may_hold_a_lock(int p)
{
    return p < WRITERS || p == COMPACTOR;
}

static const char *name_of(int p)
{
    static char name[32];
    if (p == COMPACTOR) return "the compactor";
    if (p == SHIPPER) return "the shipper";
    snprintf(name, sizeof name, "%s %d", is_writer(p) ? "writer" : "reader",
             is_writer(p) ? p : p - WRITERS);
    return name;
}

static void end_all(struct storm *s)
{
    for (int p = 0; p < PROCESSES; p++) {
        if (s->process[p].pid <= 0) continue;
        kill(s->process[p].pid, SIGKILL);
        waitpid(s->process[p].pid, NULL, 0);
    }
    if (s->witness <= 0) return;
    kill(s->witness, SIGKILL);
    waitpid(s->witness, NULL, 0);
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(struct storm *s,
                                                                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("after %llu kills and %llu commits: ", (unsigned long long)s->kills,
           (unsigned long long)s->newest);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    end_all(s);
    exit(1);
}

static void must_hold(struct storm *s, const char *wrong)
{
    if (wrong) fail(s, "%s", wrong);
}

static uint32_t below(struct storm *s, uint32_t n)
{
    return (uint32_t)(storm_random(&s->seed) % n);
}

/* ---- starting ------------------------------------------------------------------------------ */

static void start(struct storm *s, int p)
{
    struct process *process = &s->process[p];
    int ends[2];
    struct storm_role role = {
        .path = s->path,
        .copy = s->copy,
        .output = s->output,
        .tool = s->tool,
        .shared = s->shared,
        .seed = storm_random(&s->seed),
        .slot = (uint32_t)(is_writer(p) ? p : p - WRITERS),
        .count = process->count,
        .names = s->names,
        .patience = PATIENCE,
    };
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0) fail(s, "pipe2: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) fail(s, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        close(ends[0]);
        role.pipe = ends[1];
        if (p == COMPACTOR) storm_compactor(&role);
        if (p == SHIPPER) storm_shipper(&role);
        if (is_writer(p)) storm_writer(&role);
        storm_reader(&role);
    }
    close(ends[1]);
    process->pid = pid;
    process->pipe = ends[0];
    process->in_flight = process->stopped = false;
    process->heard = storm_now_ns();
    process->delay = 0;
}

/* ---- hearing ------------------------------------------------------------------------------- */

/* Writes and syncs a file without a name beside the index: a disk that others use, too, makes
 * everybody wait, now and then for most of a second. */
static void bear_witness(const struct storm *s)
{
    static const char bytes[832];
    int fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    for (uint64_t i = 0; fd >= 0; i++) {
        int64_t began = storm_now_ns();
        if (pwrite(fd, bytes, sizeof bytes, (off_t)(i % 256 * 4096)) < 0 || fdatasync(fd) < 0)
            break;
        int64_t took = storm_now_ns() - began;
        if (took > s->shared->longest_sync) s->shared->longest_sync = took;
        storm_nap(0.005);
    }
    _exit(0);
}

static void start_witness(struct storm *s)
{
    s->witness = fork();
    if (s->witness < 0) fail(s, "fork: %s", strerror(errno));
    if (s->witness > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bear_witness(s);
}

/* For how long, since the last look, that process which may hold a lock and got a processor the
 * least was kept from running. */
static int64_t look_at_delays(struct storm *s)
{
    int64_t most = 0;
    for (int p = 0; p < PROCESSES; p++) {
        if (!may_hold_a_lock(p)) continue;
        int64_t delay = storm_run_delay(s->process[p].pid);
        if (delay - s->process[p].delay > most) most = delay - s->process[p].delay;
        s->process[p].delay = delay;
    }
    s->delays_seen = storm_now_ns();
    return most;
}

/* A writer's commit has returned at `time`: it was the next one in since then. What a busy machine
 * kept one of them from running for is not counted. */
static void measure_wait(struct storm *s, int64_t time)
{
    int64_t since = INT64_MAX;
    for (int p = 0; p < WRITERS; p++) {
        const struct process *w = &s->process[p];
        if (w->in_flight && !w->stopped && w->began < since) since = w->began;
    }
    if (s->progress > since) since = s->progress;
    if (s->running_since > since) since = s->running_since;
    int64_t wait = since == INT64_MAX ? 0 : time - since;
    if (wait > WAIT_LIMIT) wait -= look_at_delays(s);
    if (wait > s->longest_wait) s->longest_wait = wait;
    if (time > s->progress) s->progress = time;
    if (storm_now_ns() - s->delays_seen > SECOND / 10) look_at_delays(s);
    if (s->longest_wait > WAIT_LIMIT + s->shared->longest_sync)
        fail(s, "writers waited for %.3f s while none was let in",
             (double)s->longest_wait / (double)SECOND);
}

/* Where batches go back to earlier commits, one may be in the way of any other. */
static bool refusable(const struct storm *s, const struct storm_batch *batch)
{
    if (batch->back) return true;
    for (uint32_t i = 0; i < batch->groups; i++)
        if (batch->op[i] != OP_UPSERT &&
            (s->names || batch->group[i] >= WRITERS * OWN_GROUPS || batch->op[i] == OP_RESTORE))
            return true;
    return false;
}

static void hear_commit(struct storm *s, int p, const struct storm_tell *what)
{
    struct process *process = &s->process[p];
    if (!process->in_flight || process->batch.number != what->batch.number)
        fail(s, "%s ended batch %u, which it had not begun", name_of(p), what->batch.number);
    measure_wait(s, what->time_ns);
    process->in_flight = false;
    if (what->kind == TELL_REFUSED) {
        if (!refusable(s, &what->batch))
            fail(s, "%s: batch %u was refused, which nobody could be in the way of", name_of(p),
                 what->batch.number);
        s->refused++;
        return;
    }
    if (what->kind == TELL_AS_WAS) {
        must_hold(s, oracle_same(s->oracle, what->commit, what->batch.back));
        s->as_was++;
        return;
    }
    s->gone_back += what->batch.back != 0;
    must_hold(s, oracle_acknowledged(s->oracle, what->commit, &what->batch));
    if (what->commit > s->newest) s->newest = what->commit;
    s->batches++;
}

static void aim(struct storm *s)
{
    s->hit_at_rename = below(s, 2);
    if (!s->hit_at_rename) s->hit_at = s->work_began + s->work_took / 1000 * below(s, 1200);
    s->aims = false;
}

static void hear(struct storm *s, int p, const struct storm_tell *what)
{
    struct process *process = &s->process[p];
    process->heard = storm_now_ns();
    switch (what->kind) {
    case TELL_BEGIN:
        process->in_flight = true;
        process->batch = what->batch;
        process->began = what->time_ns;
        process->count = what->batch.number & 0xfffff;
        break;
    case TELL_DONE:
    case TELL_REFUSED:
    case TELL_AS_WAS:
        hear_commit(s, p, what);
        break;
    case TELL_SEEN:
        must_hold(s, oracle_seen(s->oracle, what->commit, what->hash, what->live));
        s->seen++;
        break;
    case TELL_OUTPUT:
        must_hold(s, oracle_shipped(s->oracle, what->since, what->commit, what->hash));
        s->outputs++;
        break;
    case TELL_SENT_WHOLE:
        s->whole++;
        break;
    case TELL_SENT_CHANGES:
        s->changes++;
        break;
    case TELL_TOOL:
        s->by_tool++;
        break;
    case TELL_WORK:
        s->work_began = what->time_ns;
        if (s->aims) aim(s);
        break;
    case TELL_COMPACTED:
        if (p == COMPACTOR) s->work_took = what->time_ns - s->work_began;
        s->compacted++;
        break;
    case TELL_MAINTAINED:
        s->maintained++;
        break;
    case TELL_WRONG:
        fail(s, "%s: %s", name_of(p), what->text);
    default:
        break;
    }
}

/* All that the process has told; false: no more will come. */
static bool drain(struct storm *s, int p)
{
    struct storm_tell what;
    for (;;) {
        ssize_t n = read(s->process[p].pipe, &what, sizeof what);
        if (n == (ssize_t)sizeof what)
            hear(s, p, &what);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n > 0)
            fail(s, "%s told a part of a message", name_of(p));
        else
            return n < 0;
    }
}

/* What was acknowledged before all pipes were read, and comes before all batches in flight, cannot
 * be preceded by anything that is still unheard of. */
static void hear_all(struct storm *s)
{
    uint64_t settled = s->newest;
    for (int p = 0; p < PROCESSES; p++)
        if (!drain(s, p)) {
            int status = 0;
            waitpid(s->process[p].pid, &status, 0);
            s->process[p].pid = 0;
            fail(s, "%s died of itself, with wait status %#x", name_of(p), (unsigned)status);
        }
    for (int p = 0; p < WRITERS; p++)
        if (s->process[p].in_flight && s->process[p].batch.base < settled)
            settled = s->process[p].batch.base;
    must_hold(s, oracle_replay(s->oracle, settled));
}

/* ---- killing and stopping ------------------------------------------------------------------ */

static void open_index(struct storm *s, struct vdb **db, const struct vdb_snapshot **snapshot)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err;
    options.read_only = 1;
    options.threads = 1;
    if (vdb_open(s->path, &options, db, &err)) fail(s, "vdb_open: %s", err.message);
    if (vdb_snapshot_open(*db, snapshot, &err)) fail(s, "vdb_snapshot_open: %s", err.message);
}

/* Whether the last batch of a writer that is gone is there shows its marker; but one that goes back
 * has none, and takes those of others with it. */
static void look_for_batch(struct storm *s, uint32_t slot)
{
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    struct vdb_info info;
    char id[STORM_ID_MAX];
    uint32_t row;
    float vector[DIM], wanted[DIM];
    const struct storm_batch *batch = &s->process[slot].batch;
    const struct storm_row marker = {MARKER + slot, 0, batch->number, 0};
    open_index(s, &db, &snapshot);
    vdb_snapshot_info(snapshot, &info);
    enum vdb_status status =
        vdb_find(snapshot, id, (size_t)storm_id(marker.group, 0, id), 0, &row, &err);
    if (!status) status = vdb_row_vector(snapshot, row, vector, &err);
    if (status && status != VDB_NOT_FOUND) fail(s, "looking for %s: %s", id, err.message);
    storm_vector(&marker, wanted);
    bool there = !batch->back && !status && memcmp(vector, wanted, sizeof vector) == 0;
    if (there || s->names)
        must_hold(s, oracle_unacknowledged(s->oracle, info.commit, batch, there));
    s->unacknowledged += there;
    s->unsure += !there && s->names;
    vdb_snapshot_close(snapshot);
    vdb_close(db);
}

static void let_run(struct storm *s, int p)
{
    if (!s->process[p].stopped) return;
    kill(s->process[p].pid, SIGCONT);
    s->process[p].stopped = false;
    s->process[p].heard = storm_now_ns();
    if (may_hold_a_lock(p)) s->running_since = storm_now_ns();
}

static void bury(struct storm *s, int p)
{
    struct process *process = &s->process[p];
    int status;
    if (waitpid(process->pid, &status, 0) != process->pid) fail(s, "waitpid: %s", strerror(errno));
    process->pid = 0;
    while (drain(s, p)) continue;
    close(process->pipe);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail(s, "%s died of itself, with wait status %#x", name_of(p), (unsigned)status);
    if (process->stopped && may_hold_a_lock(p)) s->running_since = storm_now_ns();
    if (process->in_flight) look_for_batch(s, (uint32_t)p);
    start(s, p);
    s->kills++;
}

static void slay(struct storm *s, int p)
{
    kill(s->process[p].pid, SIGKILL);
    bury(s, p);
}

static bool has_renamed(struct storm *s)
{
    char events[4096];
    return read(s->watch, events, sizeof events) > 0;
}

static void hit_compactor(struct storm *s)
{
    bool now = has_renamed(s) && s->hit_at_rename;
    if (!now && (!s->hit_at || storm_now_ns() < s->hit_at)) return;
    s->hit_at = 0;
    s->hit_at_rename = false;
    slay(s, COMPACTOR);
}

static void strike(struct storm *s)
{
    uint32_t what = below(s, 100);
    if (what < 2) { /* all writers at once, so that whoever has the lock is among them */
        for (int p = 0; p < WRITERS; p++) kill(s->process[p].pid, SIGKILL);
        for (int p = 0; p < WRITERS; p++) bury(s, p);
        return;
    }
    if (what < 14) {
        s->aims = true;
        return;
    }
    int p = what < 70 ? (int)below(s, WRITERS) : (int)below(s, PROCESSES);
    if (what < 90) {
        slay(s, p);
    } else if (!s->process[p].stopped) {
        kill(s->process[p].pid, SIGSTOP);
        s->process[p].stopped = true;
        s->process[p].go_on = storm_now_ns() + below(s, 250) * (SECOND / 1000);
        s->stops++;
    }
}

static void look_after(struct storm *s)
{
    int64_t now = storm_now_ns(), waiting = INT64_MAX;
    for (int p = 0; p < PROCESSES; p++) {
        const struct process *process = &s->process[p];
        if (process->stopped && process->go_on <= now) let_run(s, p);
        if (process->stopped && may_hold_a_lock(p)) s->running_since = now;
        if (!process->stopped && now - process->heard > HANG_LIMIT)
            fail(s, "%s hangs: it was heard of %.1f s ago last", name_of(p),
                 (double)(now - process->heard) / (double)SECOND);
        if (process->in_flight && process->began < waiting) waiting = process->began;
    }
    if (s->progress > waiting) waiting = s->progress;
    if (s->running_since > waiting) waiting = s->running_since;
    if (now - waiting > HANG_LIMIT)
        fail(s, "no writer was let in for %.1f s", (double)(now - waiting) / (double)SECOND);
}

/* Waits until `until` and listens meanwhile. Where the parent itself, which waits for nobody, comes
 * to run late, the machine is at fault, and what the writers waited is not counted. */
static void listen_until(struct storm *s, int64_t until)
{
    struct pollfd fds[PROCESSES + 1] = {[PROCESSES] = {.fd = s->watch, .events = POLLIN}};
    for (;;) {
        int64_t now = storm_now_ns(), left = until - now;
        if (left <= 0) return;
        for (int p = 0; p < PROCESSES; p++)
            fds[p] = (struct pollfd){.fd = s->process[p].pipe, .events = POLLIN};
        if (left > SECOND / 100) left = SECOND / 100;
        if (s->hit_at && s->hit_at - now < left) left = s->hit_at > now ? s->hit_at - now : 0;
        ppoll(fds, PROCESSES + 1, &(struct timespec){0, (long)left}, NULL);
        hit_compactor(s);
        if (storm_now_ns() - now > left + SECOND / 10) {
            s->running_since = storm_now_ns();
            s->stalls++;
        }
        look_after(s);
        hear_all(s);
    }
}

/* ---- the end ------------------------------------------------------------------------------- */

static void end_storm(struct storm *s)
{
    int64_t deadline = storm_now_ns() + HANG_LIMIT;
    s->shared->over = 1;
    for (int p = 0; p < PROCESSES; p++) let_run(s, p);
    for (int p = 0; p < PROCESSES; p++) {
        struct process *process = &s->process[p];
        int status = 0;
        while (drain(s, p)) {
            if (storm_now_ns() > deadline) fail(s, "%s does not end", name_of(p));
            storm_nap(0.002);
        }
        waitpid(process->pid, &status, 0);
        process->pid = 0;
        if (status) fail(s, "%s ended with wait status %#x", name_of(p), (unsigned)status);
        if (process->in_flight) fail(s, "%s ended in the midst of a batch", name_of(p));
    }
}

static void print_finding(void *context, const struct vdb_error *finding)
{
    (void)context;
    printf("vdb_check: %s at %llu: %s\n", finding->segment ? finding->segment : "?",
           (unsigned long long)finding->offset, finding->message);
}

static void check_deep(struct storm *s, const char *path)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t findings;
    options.deep = 1;
    options.threads = 1;
    options.report = print_finding;
    if (vdb_check(path, &options, &findings, &err)) fail(s, "vdb_check: %s", err.message);
    if (findings) fail(s, "vdb_check of %s has %llu findings", path, (unsigned long long)findings);
}

static void compact(struct storm *s, const char *path)
{
    struct vdb *db;
    struct vdb_error err;
    if (vdb_open(path, NULL, &db, &err)) fail(s, "vdb_open: %s", err.message);
    if (vdb_compact(db, NULL, &err)) fail(s, "vdb_compact: %s", err.message);
    vdb_close(db);
}

static void check_alone(struct storm *s)
{
    DIR *folder = opendir(s->folder);
    if (!folder) fail(s, "%s: %s", s->folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "storm.vdb") != 0 && strcmp(entry->d_name, "copy.vdb") != 0 &&
            strcmp(entry->d_name, "output.vdb") != 0)
            fail(s, "%s is left behind", entry->d_name);
    closedir(folder);
}

/* One more reader of the kind that was in the storm looks at what is left. */
static void read_once(struct storm *s)
{
    int p = WRITERS;
    uint64_t before = s->seen;
    int64_t deadline = storm_now_ns() + HANG_LIMIT;
    s->shared->over = 0;
    close(s->process[p].pipe);
    start(s, p);
    while (s->seen == before && drain(s, p)) {
        if (storm_now_ns() > deadline) fail(s, "%s hangs", name_of(p));
        storm_nap(0.002);
    }
    s->shared->over = 1;
    while (drain(s, p)) storm_nap(0.002);
    waitpid(s->process[p].pid, NULL, 0);
    s->process[p].pid = 0;
}

static void check_what_is_left(struct storm *s)
{
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    open_index(s, &db, &snapshot);
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    uint64_t least = s->batches + s->unacknowledged + 1;
    if (info.commit < least || info.commit > least + s->unsure)
        fail(s, "the newest commit is %llu, after %llu acknowledged and %llu to %llu other batches",
             (unsigned long long)info.commit, (unsigned long long)s->batches,
             (unsigned long long)s->unacknowledged,
             (unsigned long long)(s->unacknowledged + s->unsure));
    read_once(s);
    must_hold(s, oracle_replay(s->oracle, info.commit));
    check_deep(s, s->path);
    check_deep(s, s->copy);
    check_deep(s, s->output);
    compact(s, s->path);
    check_alone(s);
    check_deep(s, s->path);
    read_once(s);
}

/* ---- main ---------------------------------------------------------------------------------- */

static void create(struct storm *s)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    options.index = s->index;
    options.recent_rows = s->index == VDB_INDEX_HYBRID ? RECENT : 0;
    snprintf(s->path, sizeof s->path, "%s/storm.vdb", s->folder);
    snprintf(s->copy, sizeof s->copy, "%s/copy.vdb", s->folder);
    snprintf(s->output, sizeof s->output, "%s/output.vdb", s->folder);
    if (vdb_create(s->path, &options, &err)) fail(s, "vdb_create: %s", err.message);
    s->shared =
        mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->watch < 0 || inotify_add_watch(s->watch, s->folder, IN_MOVED_TO) < 0)
        fail(s, "inotify: %s", strerror(errno));
    s->oracle = oracle_create(s->names);
    if (s->shared == MAP_FAILED || !s->oracle) fail(s, "out of memory");
}

__attribute__((noreturn)) static void usage(void)
{
    fprintf(stderr, "usage: storm [--kills N] [--seed N] [--index flat|graph|hybrid] [--names] "
                    "[--tool VDB-COMPACT] [--pace MS] DIRECTORY\n");
    exit(2);
}

static enum vdb_index_kind index_called(const char *name)
{
    if (strcmp(name, "flat") == 0) return VDB_INDEX_FLAT;
    if (strcmp(name, "graph") == 0) return VDB_INDEX_GRAPH;
    if (strcmp(name, "hybrid") == 0) return VDB_INDEX_HYBRID;
    usage();
}

#define N(count) ((unsigned long long)(count))

static void report(const struct storm *s, double seconds)
{
    printf("%llu kills, %llu stops, in %.1f s\n", N(s->kills), N(s->stops), seconds);
    printf("%llu batches acknowledged, %llu refused, %llu there whose writers were killed, %llu "
           "that may be\n",
           N(s->batches), N(s->refused), N(s->unacknowledged), N(s->unsure));
    printf("%llu went back to an earlier commit, %llu found that nothing differed\n",
           N(s->gone_back), N(s->as_was));
    printf("%llu states read, %llu not judged\n", N(s->seen), N(oracle_unjudged(s->oracle)));
    printf("%llu compactions carried through, %llu runs of vdb-compact --if-needed, %llu of "
           "maintenance\n",
           N(s->compacted), N(s->by_tool), N(s->maintained));
    printf("%llu streams of a whole and %llu of changes received, %llu outputs looked at\n",
           N(s->whole), N(s->changes), N(s->outputs));
    printf(
        "longest wait for the next commit: %.0f ms, for a sync by itself: %.0f ms (%llu times the "
        "machine was too slow to say)\n",
        (double)s->longest_wait / 1e6, (double)s->shared->longest_sync / 1e6, N(s->stalls));
}

/* Whether each kind of work has been carried through that this storm is for. */
static bool has_seen_all(const struct storm *s)
{
    return s->compacted > 0 && s->whole > 0 && s->changes > 0 && s->outputs > 0 &&
           (s->tool ? s->by_tool > 0 : s->maintained > 0) && (!s->names || s->gone_back > 0);
}

int main(int argc, char **argv)
{
    static struct storm s;
    static const struct option options[] = {{"kills", required_argument, NULL, 'k'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"index", required_argument, NULL, 'i'},
                                            {"names", no_argument, NULL, 'n'},
                                            {"tool", required_argument, NULL, 't'},
                                            {"pace", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    uint64_t kills = 100, pace = 25 * SLOWER, seed = (uint64_t)time(NULL);
    int option;
    s.index = VDB_INDEX_FLAT;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) switch (option) {
        case 'k':
            kills = strtoull(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            s.index = index_called(optarg);
            break;
        case 'n':
            s.names = true;
            break;
        case 't':
            s.tool = optarg;
            break;
        case 'p':
            pace = strtoull(optarg, NULL, 10);
            break;
        default:
            usage();
        }
    if (optind + 1 != argc) usage();
    s.folder = argv[optind];
    s.seed = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    int64_t began = storm_now_ns();
    create(&s);
    start_witness(&s);
    for (int p = 0; p < PROCESSES; p++) start(&s, p);
    /* Few kills may be over before each kind of work had its turn; some more show it, or that there
     * is none. */
    while (s.kills < kills || (!has_seen_all(&s) && s.kills < 20 * kills)) {
        listen_until(&s, storm_now_ns() + (int64_t)below(&s, 2 * (uint32_t)pace) * (SECOND / 1000));
        strike(&s);
    }
    end_storm(&s);
    check_what_is_left(&s);
    report(&s, (double)(storm_now_ns() - began) / (double)SECOND);
    end_all(&s);
    oracle_free(s.oracle);
    return 0;
}
