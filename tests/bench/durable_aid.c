/* durable_aid.c: times, processes, files and rows for durable.c.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/durable.h"

_Noreturn void die(const char *what, const struct vdb_error *err)
{
    fprintf(stderr, "durable: %s: %s\n", what, err ? err->message : strerror(errno));
    exit(1);
}

void *shared_memory(size_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) die("mmap", NULL);
    return at;
}

/* ---- time ---------------------------------------------------------------------------------- */

static double clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

double now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

double cpu_ms(void)
{
    return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

void sleep_ms(double ms)
{
    long ns = (long)(ms * 1e6);
    nanosleep(&(struct timespec){ns / 1000000000, ns % 1000000000}, NULL);
}

struct times *times_new(size_t room)
{
    struct times *times = shared_memory(sizeof *times + room * sizeof *times->at);
    times->room = room;
    return times;
}

void times_add(struct times *times, double ms)
{
    if (times->count < times->room) times->at[times->count++] = ms;
}

void times_join(struct times *to, const struct times *from)
{
    for (size_t i = 0; i < from->count; i++) times_add(to, from->at[i]);
}

void times_free(struct times *times)
{
    munmap(times, sizeof *times + times->room * sizeof *times->at);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double times_quantile(struct times *times, double share)
{
    if (times->count == 0) return NAN;
    qsort(times->at, times->count, sizeof *times->at, ascending);
    size_t place = (size_t)ceil(share * (double)times->count);
    return times->at[place ? place - 1 : 0];
}

double times_sum(const struct times *times)
{
    double sum = 0;
    for (size_t i = 0; i < times->count; i++) sum += times->at[i];
    return sum;
}

void spread_add(struct spread *spread, double ratio)
{
    if (spread->count < sizeof spread->ratio / sizeof *spread->ratio)
        spread->ratio[spread->count++] = ratio;
}

double spread_median(struct spread *spread)
{
    qsort(spread->ratio, spread->count, sizeof *spread->ratio, ascending);
    unsigned half = spread->count / 2;
    if (spread->count == 0) return NAN;
    return spread->count % 2 ? spread->ratio[half]
                             : (spread->ratio[half - 1] + spread->ratio[half]) / 2;
}

const char *spread_text(struct spread *spread, char text[64])
{
    double median = spread_median(spread);
    if (spread->count < 2)
        snprintf(text, 64, "%.2f x", median);
    else
        snprintf(text, 64, "%.2f x (%.2f to %.2f)", median, spread->ratio[0],
                 spread->ratio[spread->count - 1]);
    return text;
}

/* ---- what is printed ----------------------------------------------------------------------- */

void note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("# ");
    vprintf(format, list);
    putchar('\n');
    fflush(stdout);
    va_end(list);
}

void figure(const char *name, const char *target, bool reached, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("%s\t", name);
    vprintf(format, list);
    printf("\t%s\t%s\n", target, reached ? "yes" : "no");
    fflush(stdout);
    va_end(list);
}

/* ---- processes ----------------------------------------------------------------------------- */

struct stage *stage_new(void)
{
    return shared_memory(sizeof(struct stage));
}

void stage_free(struct stage *stage)
{
    munmap(stage, sizeof *stage);
}

void stage_enter(struct stage *stage)
{
    stage->ready++;
    while (!stage->go) sleep_ms(0.2);
}

void stage_begin(struct stage *stage, unsigned children)
{
    while (stage->ready < children) {
        /* One that has died will never be ready. */
        siginfo_t ended = {0};
        if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid &&
            ended.si_status != 0)
            exit(1);
        sleep_ms(0.2);
    }
    stage->go = true;
}

pid_t child_start(void (*work)(void *argument), void *argument)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) die("fork", NULL);
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(argument);
    fflush(stdout);
    _exit(0);
}

void child_await(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) die("waitpid", NULL);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) exit(1);
}

void child_run(void (*work)(void *argument), void *argument)
{
    child_await(child_start(work, argument));
}

/* ---- files --------------------------------------------------------------------------------- */

bool sync_off, write_out_off, sync_kills;

/* In place of the C library's, for the library too, which is linked into this program. */
int fdatasync(int fd)
{
    if (sync_kills) raise(SIGKILL);
    return sync_off ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
    return write_out_off ? 0 : (int)syscall(SYS_sync_file_range, fd, off, len, flags);
}

uint64_t bytes_written(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    if (!file) die("/proc/self/io", NULL);
    char line[128];
    unsigned long long written = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "wchar: %llu", &written) == 1) break;
    fclose(file);
    return written;
}

void bare_open(struct bare *bare, const char *path, size_t len, size_t writes)
{
    *bare = (struct bare){.len = len, .end = (uint64_t)len * writes};
    bare->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bare->bytes = calloc(1, len);
    if (bare->fd < 0 || !bare->bytes) die(path, NULL);
    for (uint64_t off = 0; off < bare->end; off += len)
        if (pwrite(bare->fd, bare->bytes, len, (off_t)off) != (ssize_t)len) die(path, NULL);
    if (fsync(bare->fd) < 0) die(path, NULL);
    for (size_t i = 0; i < len; i++) bare->bytes[i] = (unsigned char)(i * 131 + 7);
}

double bare_write(struct bare *bare)
{
    if (bare->off + bare->len > bare->end) bare->off = 0;
    double begin = now_ms();
    if (pwrite(bare->fd, bare->bytes, bare->len, (off_t)bare->off) != (ssize_t)bare->len ||
        fdatasync(bare->fd) < 0)
        die("bare write", NULL);
    double took = now_ms() - begin;
    bare->off += bare->len;
    return took;
}

void bare_close(struct bare *bare)
{
    close(bare->fd);
    free(bare->bytes);
}

void file_copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = 1;
    while (in >= 0 && out >= 0 && n > 0) n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
    if (in < 0 || out < 0 || n < 0 || fsync(out) < 0) die(to, NULL);
    close(in);
    close(out);
}

/* ---- rows ---------------------------------------------------------------------------------- */

#define CENTRES 1000
#define AXES    16

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Near enough to a normal distribution: the sum of four even ones, of variance 1. */
static float next_normal(uint64_t *state)
{
    uint64_t bits = next_random(state);
    float sum = 0;
    for (int i = 0; i < 4; i++, bits >>= 16) sum += (float)(bits & 0xffff) / 65536.0f - 0.5f;
    return sum * 1.7320508f;
}

void row_make(uint64_t number, float row[DIM])
{
    static float axes[AXES][DIM];
    static bool made;
    uint64_t state = 1;
    for (int a = 0; a < AXES && !made; a++)
        for (int i = 0; i < DIM; i++)
            axes[a][i] = next_normal(&state) / sqrtf((float)(a + 1) * 4.0f);
    made = true;
    state = number * 0x100000001b3 + 77;
    uint64_t centre = 1000003 + next_random(&state) % CENTRES;
    float z[AXES];
    for (int a = 0; a < AXES; a++) z[a] = next_normal(&state);
    for (int i = 0; i < DIM; i++) {
        row[i] = next_normal(&centre) + 0.1f * next_normal(&state);
        for (int a = 0; a < AXES; a++) row[i] += z[a] * axes[a][i];
    }
}

float *rows_make(uint64_t first, size_t count)
{
    float *rows = malloc(count * DIM * sizeof *rows);
    if (!rows) die("rows", NULL);
    for (size_t i = 0; i < count; i++) row_make(first + i, rows + i * DIM);
    return rows;
}

/* ---- indexes ------------------------------------------------------------------------------- */

struct vdb *index_open(const char *path)
{
    struct vdb_error err = {0};
    struct vdb *db;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.wait = 60;
    if (vdb_open(path, &options, &db, &err)) die(path, &err);
    return db;
}

void index_make(const char *path, enum vdb_index_kind kind)
{
    struct vdb_error err = {0};
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = kind;
    unlink(path);
    if (vdb_create(path, &options, &err)) die(path, &err);
}

static size_t id_make(char id[64], const char *prefix, uint64_t number)
{
    return (size_t)snprintf(id, 64, "%s%llu", prefix, (unsigned long long)number);
}

double commit_rows(struct vdb *db, const char *prefix, uint64_t first, size_t count,
                   const float *vectors)
{
    struct vdb_error err = {0};
    struct vdb_txn *txn;
    char id[64];
    double begin = now_ms();
    if (vdb_txn_begin(db, &txn, &err)) die("vdb_txn_begin", &err);
    for (size_t i = 0; i < count; i++)
        if (vdb_txn_put(txn, VDB_UPSERT, id, id_make(id, prefix, first + i), vectors + i * DIM,
                        NULL, 0, &err))
            die("vdb_txn_put", &err);
    if (vdb_txn_commit(txn, NULL, &err)) die("vdb_txn_commit", &err);
    return now_ms() - begin;
}

double commit_deletes(struct vdb *db, const char *prefix, uint64_t first, size_t count)
{
    struct vdb_error err = {0};
    struct vdb_txn *txn;
    char id[64];
    double begin = now_ms();
    if (vdb_txn_begin(db, &txn, &err)) die("vdb_txn_begin", &err);
    for (size_t i = 0; i < count; i++)
        if (vdb_txn_delete(txn, id, id_make(id, prefix, first + i), &err))
            die("vdb_txn_delete", &err);
    if (vdb_txn_commit(txn, NULL, &err)) die("vdb_txn_commit", &err);
    return now_ms() - begin;
}

void maintain(struct vdb *db)
{
    struct vdb_error err = {0};
    enum vdb_status status = vdb_maintain(db, NULL, &err);
    if (status && status != VDB_BUSY) die("vdb_maintain", &err);
}

void keep_maintained(void *argument)
{
    const struct upkeep *upkeep = argument;
    struct vdb *db = index_open(upkeep->path);
    if (nice(10) == -1) die("nice", NULL); /* as the tools start it */
    stage_enter(upkeep->stage);
    while (!upkeep->stage->stop) {
        maintain(db);
        sleep_ms(5);
    }
    vdb_close(db);
}
