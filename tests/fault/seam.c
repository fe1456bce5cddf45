/* seam.c: the wrapped calls, and what fails them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "seam.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seam_record.h"

/* The linker leads the library's `open` to __wrap_open, and __real_open to the system's. */
#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);

WRAP(int, open, const char *path, int flags, ...)
WRAP(int, mkostemp, char *path, int flags)
WRAP(int, close, int fd)
WRAP(ssize_t, pread, int fd, void *to, size_t len, off_t off)
WRAP(ssize_t, pwrite, int fd, const void *from, size_t len, off_t off)
WRAP(int, posix_fallocate, int fd, off_t off, off_t len)
WRAP(int, ftruncate, int fd, off_t len)
WRAP(int, fdatasync, int fd)
WRAP(int, fsync, int fd)
WRAP(int, rename, const char *from, const char *to)
WRAP(int, renameat2, int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
WRAP(int, link, const char *from, const char *to)
WRAP(int, unlink, const char *path)
WRAP(int, fcntl, int fd, int command, ...)
WRAP(int, statx, int directory, const char *path, int flags, unsigned mask, struct statx *found)
WRAP(char *, realpath, const char *path, char *resolved)
WRAP(ssize_t, readlink, const char *path, char *held, size_t room)
WRAP(int, fchmod, int fd, mode_t mode)
WRAP(int, fchown, int fd, uid_t owner, gid_t group)
WRAP(void *, mmap, void *at, size_t len, int protection, int flags, int fd, off_t off)
WRAP(void *, malloc, size_t size)
WRAP(void *, calloc, size_t count, size_t size)
WRAP(void *, realloc, void *p, size_t size)
WRAP(void *, aligned_alloc, size_t alignment, size_t size)
WRAP(char *, strdup, const char *text)
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
     void *context)

/* ---- which call fails ---------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct seam_fault armed; /* with `lock` held, as the next three */
static uint64_t counted, failed;
static const char *failed_call = "none";
static uint32_t armed_kinds; /* atomic: a copy of armed.kinds, so that most calls take no lock */
static _Thread_local unsigned paused;

static void undo_forget_all(void);

void seam_fail(const struct seam_fault *fault)
{
    pthread_mutex_lock(&lock);
    armed = *fault;
    counted = failed = 0;
    failed_call = "none";
    undo_forget_all();
    __atomic_store_n(&armed_kinds, fault->kinds, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

void seam_pass(void)
{
    pthread_mutex_lock(&lock);
    armed = (struct seam_fault){0};
    __atomic_store_n(&armed_kinds, 0, __ATOMIC_RELEASE);
    undo_forget_all();
    pthread_mutex_unlock(&lock);
}

uint64_t seam_count(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = counted;
    pthread_mutex_unlock(&lock);
    return n;
}

uint64_t seam_failures(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = failed;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *seam_failed_call(void)
{
    pthread_mutex_lock(&lock);
    const char *call = failed_call;
    pthread_mutex_unlock(&lock);
    return call;
}

void seam_pause(void)
{
    paused++;
}

void seam_resume(void)
{
    paused--;
}

struct verdict {
    bool fails;
    bool first; /* of those that fail */
    int error;
    enum seam_effect effect;
};

static bool counts(uint32_t kind)
{
    return (__atomic_load_n(&armed_kinds, __ATOMIC_ACQUIRE) & kind) && !paused;
}

static struct verdict judge(uint32_t kind, const char *call)
{
    struct verdict v = {false, false, 0, SEAM_PASS};
    if (!counts(kind)) return v;
    pthread_mutex_lock(&lock);
    counted++;
    bool strikes =
        armed.nth && (counted == armed.nth || (armed.from_then_on && counted > armed.nth));
    struct seam_fault fault = armed;
    if (strikes) {
        v = (struct verdict){fault.effect != SEAM_PASS, failed == 0, fault.error, fault.effect};
        if (failed++ == 0) failed_call = call;
    }
    pthread_mutex_unlock(&lock);
    if (strikes && fault.before) {
        paused++;
        fault.before(fault.context);
        paused--;
    }
    return v;
}

/* Whether the call does nothing but fail; sets errno where it does. */
static bool refuses(const struct verdict *v)
{
    if (!v->fails || v->effect == SEAM_DONE) return false;
    errno = v->error;
    return true;
}

/* What a call that has done its work is made to return. */
static int after(const struct verdict *v, int result)
{
    if (!v->fails || v->effect != SEAM_DONE) return result;
    errno = v->error;
    return -1;
}

/* ---- dirty pages thrown away --------------------------------------------------------------- */

struct undo { /* what a write since the file's last good sync covered */
    struct undo *older;
    dev_t device;
    ino_t inode;
    off_t off;
    size_t len;
    uint8_t bytes[];
};
static struct undo *undos; /* newest first, with `lock` held */

static bool same_file(const struct undo *u, const struct stat *s)
{
    return u->device == s->st_dev && u->inode == s->st_ino;
}

static void undo_forget_all(void)
{
    while (undos) {
        struct undo *older = undos->older;
        free(undos);
        undos = older;
    }
}

static void undo_forget(int fd)
{
    struct stat s;
    if (fstat(fd, &s) != 0) return;
    pthread_mutex_lock(&lock);
    struct undo **at = &undos;
    while (*at) {
        struct undo *u = *at;
        if (same_file(u, &s)) {
            *at = u->older;
            free(u);
        } else {
            at = &u->older;
        }
    }
    pthread_mutex_unlock(&lock);
}

static bool drops(void)
{
    pthread_mutex_lock(&lock);
    bool yes = armed.effect == SEAM_DROP;
    pthread_mutex_unlock(&lock);
    return yes;
}

static void undo_keep(int fd, off_t off, size_t len)
{
    struct stat s;
    struct undo *u = __real_malloc(sizeof *u + len);
    if (!u || fstat(fd, &s) != 0) {
        free(u);
        return;
    }
    ssize_t got = __real_pread(fd, u->bytes, len, off);
    if (got < 0) got = 0;
    memset(u->bytes + got, 0, len - (size_t)got);
    u->device = s.st_dev;
    u->inode = s.st_ino;
    u->off = off;
    u->len = len;
    pthread_mutex_lock(&lock);
    u->older = undos;
    undos = u;
    pthread_mutex_unlock(&lock);
}

static void undo_all(int fd)
{
    struct stat s;
    if (fstat(fd, &s) != 0) return;
    pthread_mutex_lock(&lock);
    for (const struct undo *u = undos; u; u = u->older)
        if (same_file(u, &s) && __real_pwrite(fd, u->bytes, u->len, u->off) < 0) break;
    pthread_mutex_unlock(&lock);
    undo_forget(fd);
}

/* ---- calls on files ------------------------------------------------------------------------ */

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    if (creates) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    struct verdict v = judge(creates ? SEAM_CREATE : SEAM_OPEN, "open");
    if (refuses(&v)) return -1;
    trace_enter();
    int fd = __real_open(path, flags, mode);
    /* Only with O_EXCL is it sure to be new, and the library knows no other way. */
    if (fd >= 0 && (flags & O_CREAT) && (flags & O_EXCL)) trace_create(path, fd);
    trace_leave();
    if (fd >= 0 && v.fails) __real_close(fd);
    return after(&v, fd);
}

int __wrap_mkostemp(char *path, int flags)
{
    struct verdict v = judge(SEAM_CREATE, "mkostemp");
    if (refuses(&v)) return -1;
    trace_enter();
    int fd = __real_mkostemp(path, flags);
    if (fd >= 0) trace_create(path, fd);
    trace_leave();
    if (fd >= 0 && v.fails) __real_close(fd);
    return after(&v, fd);
}

int __wrap_close(int fd)
{
    struct verdict v = judge(SEAM_CLOSE, "close");
    int result = __real_close(fd);
    if (!v.fails) return result;
    errno = v.error;
    return -1;
}

ssize_t __wrap_pread(int fd, void *to, size_t len, off_t off)
{
    struct verdict v = judge(SEAM_READ, "pread");
    if (v.fails && v.effect == SEAM_HALF && v.first) return __real_pread(fd, to, len / 2, off);
    if (refuses(&v)) return -1;
    ssize_t got = __real_pread(fd, to, len, off);
    return v.fails ? after(&v, -1) : got;
}

static ssize_t write_recorded(int fd, const void *from, size_t len, off_t off)
{
    if (counts(SEAM_SYNC) && drops()) undo_keep(fd, off, len);
    trace_enter();
    ssize_t n = __real_pwrite(fd, from, len, off);
    if (n > 0) trace_write(fd, (uint64_t)off, from, (size_t)n);
    trace_leave();
    return n;
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t len, off_t off)
{
    struct verdict v = judge(SEAM_WRITE, "pwrite");
    if (v.fails && v.effect == SEAM_HALF && v.first && len > 1)
        return write_recorded(fd, from, len / 2, off);
    if (refuses(&v)) return -1;
    ssize_t n = write_recorded(fd, from, len, off);
    return v.fails ? after(&v, -1) : n;
}

static int reserve_recorded(int fd, off_t off, off_t len)
{
    trace_enter();
    int error = __real_posix_fallocate(fd, off, len);
    if (!error) trace_reserve(fd, (uint64_t)off, (uint64_t)len);
    trace_leave();
    return error;
}

int __wrap_posix_fallocate(int fd, off_t off, off_t len)
{
    struct verdict v = judge(SEAM_RESERVE, "posix_fallocate");
    if (!v.fails) return reserve_recorded(fd, off, len);
    if (v.effect == SEAM_HALF && len > 1) reserve_recorded(fd, off, len / 2);
    if (v.effect == SEAM_DONE) reserve_recorded(fd, off, len);
    return v.error;
}

int __wrap_ftruncate(int fd, off_t len)
{
    struct verdict v = judge(SEAM_TRUNCATE, "ftruncate");
    if (refuses(&v)) return -1;
    trace_enter();
    int result = __real_ftruncate(fd, len);
    if (result == 0) trace_truncate(fd, (uint64_t)len);
    trace_leave();
    return after(&v, result);
}

static int sync_judged(int fd, int (*real)(int), const char *call)
{
    struct stat s;
    bool directory = fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
    struct verdict v = judge(directory ? SEAM_SYNC_DIRECTORY : SEAM_SYNC, call);
    trace_enter();
    int result = v.fails && v.effect != SEAM_DONE ? -1 : real(fd);
    trace_sync(fd, result == 0);
    if (v.fails && v.effect == SEAM_DROP && !directory) undo_all(fd);
    trace_leave();
    if (result == 0 && counts(SEAM_SYNC) && drops()) undo_forget(fd);
    if (v.fails) errno = v.error;
    return v.fails ? -1 : result;
}

int __wrap_fdatasync(int fd)
{
    return sync_judged(fd, __real_fdatasync, "fdatasync");
}

int __wrap_fsync(int fd)
{
    return sync_judged(fd, __real_fsync, "fsync");
}

int __wrap_rename(const char *from, const char *to)
{
    struct verdict v = judge(SEAM_RENAME, "rename");
    if (refuses(&v)) return -1;
    trace_enter();
    int result = __real_rename(from, to);
    if (result == 0) trace_rename(from, to);
    trace_leave();
    return after(&v, result);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    struct verdict v = judge(SEAM_RENAME, "renameat2");
    if (refuses(&v)) return -1;
    trace_enter();
    int result = __real_renameat2(from_fd, from, to_fd, to, flags);
    if (result == 0) trace_rename(from, to);
    trace_leave();
    return after(&v, result);
}

int __wrap_link(const char *from, const char *to)
{
    struct verdict v = judge(SEAM_RENAME, "link");
    if (refuses(&v)) return -1;
    trace_enter();
    int result = __real_link(from, to);
    if (result == 0) trace_link(from, to);
    trace_leave();
    return after(&v, result);
}

int __wrap_unlink(const char *path)
{
    struct verdict v = judge(SEAM_UNLINK, "unlink");
    if (refuses(&v)) return -1;
    trace_enter();
    int result = __real_unlink(path);
    if (result == 0) trace_unlink(path);
    trace_leave();
    return after(&v, result);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    bool locks = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_SETLK ||
                 command == F_SETLKW;
    struct verdict v = {0};
    int result;
    if (duplicates) {
        int least = va_arg(arguments, int);
        v = judge(SEAM_DUPLICATE, "fcntl");
        result = v.fails ? -1 : __real_fcntl(fd, command, least);
    } else if (locks) {
        struct flock *range = va_arg(arguments, struct flock *);
        if (range->l_type != F_UNLCK) v = judge(SEAM_LOCK, "fcntl");
        result = v.fails ? -1 : __real_fcntl(fd, command, range);
    } else {
        result = __real_fcntl(fd, command, va_arg(arguments, void *));
    }
    va_end(arguments);
    if (v.fails) errno = v.error;
    return result;
}

int __wrap_statx(int directory, const char *path, int flags, unsigned mask, struct statx *found)
{
    struct verdict v = judge(SEAM_STAT, "statx");
    return refuses(&v) ? -1 : after(&v, __real_statx(directory, path, flags, mask, found));
}

char *__wrap_realpath(const char *path, char *resolved)
{
    struct verdict v = judge(SEAM_STAT, "realpath");
    if (v.fails) errno = v.error;
    return v.fails ? NULL : __real_realpath(path, resolved);
}

ssize_t __wrap_readlink(const char *path, char *held, size_t room)
{
    struct verdict v = judge(SEAM_STAT, "readlink");
    if (v.fails) errno = v.error;
    return v.fails ? -1 : __real_readlink(path, held, room);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    struct verdict v = judge(SEAM_MODE, "fchmod");
    return refuses(&v) ? -1 : after(&v, __real_fchmod(fd, mode));
}

int __wrap_fchown(int fd, uid_t owner, gid_t group)
{
    struct verdict v = judge(SEAM_MODE, "fchown");
    return refuses(&v) ? -1 : after(&v, __real_fchown(fd, owner, group));
}

/* ---- memory and threads -------------------------------------------------------------------- */

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t off)
{
    bool of_file = !(flags & MAP_ANONYMOUS);
    struct verdict v = judge(of_file ? SEAM_MAP : SEAM_MEMORY, "mmap");
    if (!v.fails) return __real_mmap(at, len, protection, flags, fd, off);
    errno = of_file ? v.error : ENOMEM;
    return MAP_FAILED;
}

static bool no_memory(const char *call)
{
    struct verdict v = judge(SEAM_MEMORY, call);
    if (v.fails) errno = ENOMEM;
    return v.fails;
}

void *__wrap_malloc(size_t size)
{
    return no_memory("malloc") ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return no_memory("calloc") ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return no_memory("realloc") ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return no_memory("aligned_alloc") ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return no_memory("strdup") ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    if (no_memory("asprintf")) return -1;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(text, format, arguments);
    va_end(arguments);
    return n;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *context)
{
    struct verdict v = judge(SEAM_THREAD, "pthread_create");
    return v.fails ? v.error : __real_pthread_create(thread, attributes, run, context);
}
