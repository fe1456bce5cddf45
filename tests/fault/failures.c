/* failures.c: a run with a failing call, and what must hold after it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fault/failures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault/workload.h"
#include "unit/slow.h"
#include "vdb.h"

#ifdef __SANITIZE_ADDRESS__
int __lsan_do_recoverable_leak_check(void);
#endif

/* ---- the files that each run begins with --------------------------------------------------- */

enum { FILES_MAX = 4, KINDS_MAX = 24, COMPLAINTS_MAX = 6 };

struct kept_file {
    char name[64];
    void *bytes;
    size_t len;
};

struct prepared {
    struct run run;
    struct kept_file files[FILES_MAX];
    unsigned file_count;
    struct {
        uint32_t kinds;
        uint64_t calls;
    } known[KINDS_MAX]; /* how many calls of these kinds it makes where none fails */
    unsigned known_count;
};

static char directory[128];
static struct prepared *prepared;
static unsigned workload_count;
static unsigned descriptors_before;
typedef void (*name_fn)(void *context, const char *name);

static unsigned each_entry(const char *path, name_fn call, void *context)
{
    DIR *entries = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;
    assert_non_null(entries);
    while ((entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        count++;
        if (call) call(context, entry->d_name);
    }
    closedir(entries);
    return count;
}

static const char *path_of(const char *name)
{
    static char path[sizeof directory + 256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void remove_file(void *context, const char *name)
{
    (void)context;
    unlink(path_of(name));
}

static void keep_file(void *context, const char *name)
{
    struct prepared *p = context;
    struct stat found;
    assert_true(p->file_count < FILES_MAX && strlen(name) < sizeof p->files[0].name);
    struct kept_file *kept = &p->files[p->file_count++];
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &found), 0);
    snprintf(kept->name, sizeof kept->name, "%s", name);
    kept->len = (size_t)found.st_size;
    kept->bytes = malloc(kept->len + 1);
    assert_non_null(kept->bytes);
    assert_int_equal(fread(kept->bytes, 1, kept->len, file), kept->len);
    fclose(file);
}

static void put_back(const struct prepared *p)
{
    each_entry(directory, remove_file, NULL);
    for (unsigned i = 0; i < p->file_count; i++) {
        FILE *file = fopen(path_of(p->files[i].name), "wb");
        assert_non_null(file);
        setvbuf(file, NULL, _IONBF, 0);
        assert_int_equal(fwrite(p->files[i].bytes, 1, p->files[i].len, file), p->files[i].len);
        fclose(file);
    }
}

/* In memory where the system has a place for that: nothing here outlives the machine. */
static const char *base_directory(void)
{
    const char *base = getenv("TMPDIR");
    if (access("/dev/shm", W_OK | X_OK) == 0) return "/dev/shm";
    return base && *base ? base : "/tmp";
}

int failures_setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "%s/vdb-test-XXXXXX", base_directory());
    if (!mkdtemp(directory)) return -1;
    while (workloads[workload_count].name) workload_count++;
    prepared = calloc(workload_count, sizeof *prepared);
    if (!prepared) return -1;
    for (unsigned i = 0; i < workload_count; i++) {
        struct run *run = &prepared[i].run;
        if (run_prepare(run, &workloads[i], directory)) {
            print_error("setup of %s: %s: %s\n", workloads[i].name,
                        workload_call_name(run->failed_call), run->err.message);
            return -1;
        }
        each_entry(directory, keep_file, &prepared[i]);
    }
    descriptors_before = each_entry("/proc/self/fd", NULL, NULL);
    return 0;
}

int failures_teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < workload_count; i++) {
        for (unsigned k = 0; k < prepared[i].file_count; k++) free(prepared[i].files[k].bytes);
        run_release(&prepared[i].run);
    }
    free(prepared);
    each_entry(directory, remove_file, NULL);
    return rmdir(directory);
}

/* ---- one run ------------------------------------------------------------------------------- */

struct trial {
    const struct workload *workload;
    struct prepared *prepared;
    const struct failure *failure;
    bool for_good;
    uint64_t nth;

    struct run run;
    uint64_t struck;                 /* calls that were failed */
    const char *call;                /* the first of them */
    bool late;                       /* then a new file had taken the name of the index already */
    bool passing;                    /* then a new file had a passing name */
    ino_t index_inode, output_inode; /* when what is allowed changed last; 0: not there */
    const struct model_state *found; /* what the index holds */
};

static unsigned complaints; /* of one struct failure */

static void complain(const struct trial *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(const struct trial *t, const char *format, ...)
{
    char text[700];
    va_list args;
    if (complaints++ >= COMPLAINTS_MAX) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_message("# %s, %s%s, call %llu (%s), %s returned %d (%s): %s\n", t->workload->name,
                  t->failure->name, t->for_good ? " from then on" : "", (unsigned long long)t->nth,
                  t->call, workload_call_name(t->run.failed_call), (int)t->run.status,
                  t->run.err.message, text);
}

static ino_t inode_of(const char *path)
{
    struct stat found;
    return *path && stat(path, &found) == 0 ? found.st_ino : 0;
}

static void note_inodes(void *context, const struct run *run)
{
    struct trial *t = context;
    seam_pause();
    t->index_inode = inode_of(run->index.path);
    t->output_inode = inode_of(run->output.path);
    seam_resume();
}

#define ON(name) (1u << VDB_##name)

/* What vdb.h says that a call may return where no argument is wrong and no file damaged. */
static bool documented(enum workload_call call, enum vdb_status status)
{
    static const unsigned may[CALL_COUNT] = {
        [CALL_CREATE] = ON(CANNOT_CREATE) | ON(IO),
        [CALL_PUBLISH] = ON(CANNOT_CREATE) | ON(CANNOT_OPEN) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_OPEN] = ON(CANNOT_OPEN) | ON(IO),
        [CALL_SNAPSHOT_OPEN] = ON(CANNOT_OPEN) | ON(IO),
        [CALL_TXN_BEGIN] = ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO),
        [CALL_TXN_PUT] = ON(IO),
        [CALL_TXN_COMMIT] =
            ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_NAME_CREATE] =
            ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_NAME_REMOVE] =
            ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_ROLLBACK] =
            ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_RECEIVE] = ON(BUSY) | ON(CANNOT_OPEN) | ON(CANNOT_CREATE) | ON(READ_ONLY) | ON(IO) |
                         ON(DURABILITY_UNKNOWN),
        [CALL_MAINTAIN] =
            ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(IO) | ON(DURABILITY_UNKNOWN),
        [CALL_COMPACT] = ON(BUSY) | ON(CANNOT_OPEN) | ON(READ_ONLY) | ON(CANNOT_CREATE) | ON(IO),
    };
    return ((may[call] | ON(NO_MEMORY)) & 1u << status) != 0;
}

static void check_error(const struct trial *t)
{
    const struct run *run = &t->run;
    const struct vdb_error *err = &run->err;
    size_t len = strlen(err->message);
    if (!documented(run->failed_call, run->status)) complain(t, "which vdb.h does not name");
    if (err->status != run->status || err->os_errno < 0 || len == 0 || err->message[len - 1] == '.')
        complain(t, "the error is not filled in: status %d, errno %d", (int)err->status,
                 err->os_errno);
    if (run->status == VDB_NO_MEMORY && t->failure->error != ENOMEM)
        complain(t, "memory was not what failed");
    /* What cannot be seen to be a leftover is taken for somebody's file, which stays. */
    bool in_the_way = run->status == VDB_CANNOT_CREATE && err->os_errno == EEXIST;
    if ((1u << run->status & (ON(IO) | ON(DURABILITY_UNKNOWN) | ON(CANNOT_CREATE))) &&
        err->os_errno != t->failure->error && !in_the_way)
        complain(t, "the error's errno is %d, expected %d", err->os_errno, t->failure->error);
}

/* The states that the index may be in now that its last call has returned. A new file that has
 * taken its name is complete, whatever came after; a record may be there only where its sync
 * failed. */
static unsigned index_states(const struct trial *t, const struct model_state *states[2])
{
    const struct run *run = &t->run;
    unsigned count = 0;
    bool renamed = inode_of(run->index.path) != t->index_inode;
    bool makes = run->failed_call == CALL_CREATE || run->failed_call == CALL_RECEIVE ||
                 run->failed_call == CALL_PUBLISH;
    if (makes && renamed)
        states[count++] = run->next;
    else if (run->successor && renamed)
        states[count++] = run->successor;
    else
        states[count++] = run->current;
    if (run->next && run->status == VDB_DURABILITY_UNKNOWN && run->failed_call != CALL_CREATE)
        states[count++] = run->next;
    return count;
}

struct findings {
    bool torn; /* half of a slot of the superblock may have been written */
    uint64_t explained;
    struct vdb_error first;
};

static void keep_finding(void *context, const struct vdb_error *finding)
{
    struct findings *all = context;
    if (all->torn && finding->segment && strcmp(finding->segment, "superblock") == 0)
        all->explained++;
    else if (!all->first.status)
        all->first = *finding;
}

/* A check finds nothing. Only of a slot of which half was written it says so: it is the one that
 * does not count. */
static void check_deeply(const struct trial *t, const char *path)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    struct findings all = {.torn = t->failure->effect == SEAM_HALF &&
                                   t->run.failed_call == CALL_MAINTAIN};
    struct vdb_error err;
    uint64_t findings = 0;
    options.deep = 1;
    options.threads = 1;
    options.report = keep_finding;
    options.context = &all;
    if (vdb_check(path, &options, &findings, &err))
        complain(t, "%s cannot be checked: %s", path, err.message);
    else if (findings != all.explained || findings > 1)
        complain(t, "%s is damaged: %s", path, all.first.message);
}

static bool has_passing(const char *path)
{
    char name[300];
    bool has = false;
    for (int i = 0; i < 8 && !has; i++) {
        snprintf(name, sizeof name, "%s.tmp-%d", path, i);
        has = access(name, F_OK) == 0;
    }
    return has;
}

static void note_strike(void *context)
{
    struct trial *t = context;
    if (t->struck++) return;
    t->late = inode_of(t->run.index.path) != t->index_inode;
    t->passing = has_passing(t->run.index.path) || has_passing(t->run.output.path);
}

/* Once a compacted file has the index's name, and that is durable, nothing is left to do but to
 * write a hint in the old one, and to let go of it behind those who wait for its lock: that these
 * cannot be done is no failure. */
static bool is_hint(const struct trial *t)
{
    return t->late && (strcmp(t->call, "pwrite") == 0 || strcmp(t->call, "fcntl") == 0);
}

/* Nor is a file system without locks one on which nothing can be made. */
static bool is_lock_of_new(const struct trial *t)
{
    return t->passing && strcmp(t->call, "fcntl") == 0;
}

static bool is_unnoticed(const struct trial *t)
{
    return is_hint(t) || is_lock_of_new(t) || (t->late && t->failure->kinds == SEAM_MEMORY);
}

/* No lock is left behind: nobody who opens the file finds one. */
static void check_locks(const struct trial *t)
{
    struct flock any = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(t->run.index.path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    assert_int_equal(fcntl(fd, F_OFD_GETLK, &any), 0);
    if (any.l_type != F_UNLCK) complain(t, "byte %llx is locked", (unsigned long long)any.l_start);
    close(fd);
}

/* A new handle finds one of the states that the index may be in. */
static void check_index(struct trial *t)
{
    const struct model_state *states[2] = {0};
    char why[2][256] = {"", ""};
    unsigned count = index_states(t, states);
    t->found = NULL;
    for (unsigned i = 0; i < count && !t->found; i++)
        if (workload_matches(t->run.index.path, states[i], why[i], sizeof why[i]))
            t->found = states[i];
    if (!t->found)
        complain(t, "the index is not as it was: %s; %s", why[0], why[1]);
    else if (!t->found->absent)
        check_deeply(t, t->run.index.path);
}

static void check_output(const struct trial *t)
{
    const struct tracked *output = &t->run.output;
    char why[256];
    if (!*output->path) return;
    bool renamed = inode_of(output->path) != t->output_inode;
    const struct model_state *want = output->allowed[renamed && output->allowed_count > 1 ? 1 : 0];
    if (!workload_matches(output->path, want, why, sizeof why))
        complain(t, "the output is not as it was: %s", why);
    else if (!want->absent)
        check_deeply(t, output->path);
}

/* What was read before can be read still, and what is there now, too. */
static void check_readers(const struct trial *t, const struct vdb_snapshot *witness)
{
    const struct run *run = &t->run;
    struct vdb *const handles[2] = {run->db, run->other};
    const struct vdb_snapshot *snapshot;
    struct vdb_error err;
    char why[256];
    if (witness && !workload_matches_snapshot(witness, t->prepared->run.current, why, sizeof why))
        complain(t, "a reader's snapshot changed: %s", why);
    if (run->held && !workload_matches_snapshot(run->held, run->held_state, why, sizeof why))
        complain(t, "the snapshot that was held changed: %s", why);
    for (int i = 0; i < 2 && t->found; i++) {
        if (!handles[i]) continue;
        if (vdb_snapshot_open(handles[i], &snapshot, &err)) {
            complain(t, "the handle does not read any more: %s", err.message);
            continue;
        }
        if (!workload_matches_snapshot(snapshot, t->found, why, sizeof why))
            complain(t, "the handle reads something else: %s", why);
        vdb_snapshot_close(snapshot);
    }
}

/* Deletes and adds nothing that the model would have to know: one row, of another commit. */
static enum vdb_status try_to_write(struct vdb *db, uint32_t dim, struct vdb_error *err)
{
    struct vdb_txn *txn;
    enum vdb_status status = vdb_txn_begin(db, &txn, err);
    if (status) return status;
    float *vector = malloc(dim * sizeof *vector);
    assert_non_null(vector);
    for (uint32_t i = 0; i < dim; i++) vector[i] = 1;
    status = vdb_txn_put(txn, VDB_UPSERT, "late", 4, vector, NULL, 0, err);
    free(vector);
    if (!status) return vdb_txn_commit(txn, NULL, err);
    vdb_txn_abort(txn);
    return status;
}

/* The next writer goes on at once. The handle whose call failed goes on, too, unless a sync of it
 * failed: then it refuses, and asks for no sync any more. */
static void check_writers(struct trial *t)
{
    struct run *run = &t->run;
    struct vdb_error err = {0};
    bool poisoned = run->status == VDB_DURABILITY_UNKNOWN;
    if (!t->found || t->found->absent) return;
    if (run_commit_one(run, t->found, &err)) complain(t, "the next writer: %s", err.message);
    if (!run->failed_handle) return;
    seam_fail(&(struct seam_fault){.kinds = SEAM_SYNC});
    enum vdb_status status = try_to_write(run->failed_handle, t->found->dim, &err);
    if (poisoned && status == VDB_DURABILITY_UNKNOWN)
        status = vdb_compact(run->failed_handle, NULL, &err);
    uint64_t syncs = seam_count();
    seam_pass();
    if (poisoned && status != VDB_DURABILITY_UNKNOWN)
        complain(t, "the handle takes writes after a failed sync: %d", (int)status);
    if (poisoned && syncs)
        complain(t, "the handle syncs again: %llu times", (unsigned long long)syncs);
    if (!poisoned && status && status != VDB_READ_ONLY)
        complain(t, "the handle does not write any more: %s", err.message);
}

static void expect_known(void *context, const char *name)
{
    const struct trial *t = context;
    if (strcmp(name, "x.vdb") == 0 || (*t->run.output.path && strcmp(name, "out.vdb") == 0)) return;
    for (unsigned i = 0; i < t->prepared->file_count; i++)
        if (strcmp(name, t->prepared->files[i].name) == 0) return;
    complain(t, "%s is left over", name);
}

static unsigned mappings(void)
{
    char line[512];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) count += strstr(line, directory) != NULL;
    fclose(maps);
    return count;
}

static void check_leaks(const struct trial *t)
{
    unsigned descriptors = each_entry("/proc/self/fd", NULL, NULL);
    if (descriptors != descriptors_before)
        complain(t, "%u descriptors are open, expected %u", descriptors, descriptors_before);
    unsigned mapped = mappings();
    if (mapped) complain(t, "%u mappings are left", mapped);
}

/* A reader from before the run, in a handle of its own. */
static const struct vdb_snapshot *open_witness(const struct trial *t)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    const struct vdb_snapshot *witness;
    struct vdb *db;
    struct vdb_error err;
    if (t->run.current->absent) return NULL;
    options.read_only = 1;
    assert_int_equal(vdb_open(t->run.index.path, &options, &db, &err), VDB_OK);
    assert_int_equal(vdb_snapshot_open(db, &witness, &err), VDB_OK);
    vdb_close(db);
    return witness;
}

/* Returns how many calls of the kind the run made. */
static uint64_t trial_run(struct trial *t)
{
    put_back(t->prepared);
    run_begin(&t->run, &t->prepared->run);
    note_inodes(t, &t->run);
    t->struck = 0;
    t->late = t->passing = false;
    t->run.changed = note_inodes;
    t->run.context = t;
    t->run.threads = t->failure->kinds == SEAM_THREAD ? 3 : 1;
    const struct vdb_snapshot *witness = open_witness(t);
    seam_fail(&(struct seam_fault){.kinds = t->failure->kinds,
                                   .nth = t->nth,
                                   .from_then_on = t->for_good,
                                   .error = t->failure->error,
                                   .effect = t->failure->effect,
                                   .before = note_strike,
                                   .context = t});
    enum vdb_status status = t->workload->run(&t->run);
    uint64_t calls = seam_count();
    t->call = seam_failed_call();
    seam_pass();
    if ((status != VDB_OK) != (t->run.failed_call != CALL_NONE))
        complain(t, "the workload returned %d", (int)status);
    if (status && (!t->struck || t->failure->seen == SEEN_NEVER))
        complain(t, "it should not have failed");
    if (!status && t->struck && t->failure->seen == SEEN_ALWAYS && !is_unnoticed(t))
        complain(t, "what failed went unnoticed");
    if (t->struck && !t->for_good && (t->failure->kinds & SEAM_SYNC) && status && calls != t->nth)
        complain(t, "%llu syncs came after the failed one", (unsigned long long)(calls - t->nth));
    if (status) check_error(t);
    /* But that the name is durable is learnt last. */
    bool syncs_names = !t->for_good || !(t->failure->kinds & SEAM_SYNC_DIRECTORY);
    if (t->run.failed_call == CALL_COMPACT && is_hint(t) && syncs_names)
        complain(t, "but it is done");
    if (t->run.half_committed) complain(t, "yet the transaction could be committed");
    check_locks(t);
    check_index(t);
    check_output(t);
    check_readers(t, witness);
    check_writers(t);
    run_release(&t->run);
    vdb_snapshot_close(witness);
    if (!(t->failure->kinds & SEAM_UNLINK)) each_entry(directory, expect_known, t);
    check_leaks(t);
    return calls;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* How many calls are tried in turn at most, spread over all: of light workloads and heavier ones.
 * Where there are steps between them, each kind of failure begins at another call. */
static uint64_t limit_of(const struct trial *t)
{
    static const uint64_t limits[2][3] = {{UINT64_MAX, 4, 1}, {2, 1, 0}};
    uint64_t limit = limits[SLOW][t->workload->heavy];
    return SLOW && t->failure->kinds == SEAM_MEMORY ? 4 * limit : limit;
}

/* How many calls of the kinds there are to fail, by a run in which none does. */
static uint64_t calls_of(struct trial *t)
{
    struct prepared *p = t->prepared;
    uint32_t kinds = t->failure->kinds;
    for (unsigned i = 0; i < p->known_count; i++)
        if (p->known[i].kinds == kinds) return p->known[i].calls;
    t->nth = 0;
    t->for_good = false;
    uint64_t calls = trial_run(t);
    assert_true(p->known_count < KINDS_MAX);
    p->known[p->known_count].kinds = kinds;
    p->known[p->known_count++].calls = calls;
    return calls;
}

struct tally {
    uint64_t runs, struck, failed, stepped, turn;
};

/* Every call, or every so-manieth and the last ones. */
static void try_workload(struct trial *t, bool for_good, struct tally *tally)
{
    uint64_t limit = limit_of(t);
    if (!limit) return;
    uint64_t calls = calls_of(t);
    uint64_t step = calls > limit ? (calls + limit - 1) / limit : 1;
    tally->stepped += step > 1;
    t->for_good = for_good;
    uint64_t n = 1 + tally->turn++ * 7 % step;
    for (; n <= calls + 1; n = n <= calls && n + step > calls ? calls + 1 : n + step) {
        t->nth = n;
        trial_run(t);
        tally->runs++;
        tally->struck += t->struck > 0;
        tally->failed += t->run.failed_call != CALL_NONE;
        if (n <= calls && !t->struck) complain(t, "of %llu calls", (unsigned long long)calls);
    }
}

void failures_try(const struct failure *failures, unsigned count)
{
    unsigned broken = 0;
    for (unsigned i = 0; i < count; i++) {
        struct tally tally = {.turn = i};
        complaints = 0;
        for (unsigned w = 0; w < workload_count; w++) {
            struct trial t = {
                .workload = &workloads[w], .prepared = &prepared[w], .failure = &failures[i]};
            if (workloads[w].heavy == 2 && !failures[i].builds) continue;
            if (failures[i].lasts & LASTS_ONCE) try_workload(&t, false, &tally);
            if (failures[i].lasts & LASTS_FOR_GOOD) try_workload(&t, true, &tally);
        }
#ifdef __SANITIZE_ADDRESS__
        if (__lsan_do_recoverable_leak_check()) {
            print_message("# %s: memory is leaked\n", failures[i].name);
            broken++;
        }
#endif
        print_message("# %s: %llu runs, %llu with a failed call, %llu of them ended in an error; "
                      "%llu sweeps in steps\n",
                      failures[i].name, (unsigned long long)tally.runs,
                      (unsigned long long)tally.struck, (unsigned long long)tally.failed,
                      (unsigned long long)tally.stepped);
        if (complaints > COMPLAINTS_MAX)
            print_message("# and %u complaints more\n", complaints - COMPLAINTS_MAX);
        broken += complaints;
    }
    if (broken) fail_msg("%u promises were broken", broken);
}
