/* shim.c: an object for LD_PRELOAD under which one call of a program fails, is slow or is its last.
 *
 * It stands between the shipped binaries and the C library, and so knows nothing of the seam in
 * lib/ at which other tests inject faults. The environment says what is to happen:
 *
 *   VDB_SHIM_CALL   which call: pwrite, write, fdatasync, fsync, fallocate, open, rename, lock,
 *                   mmap, unlink, truncate or malloc, each with its variants
 *   VDB_SHIM_NTH    which of them, from 1 on; without it none
 *   VDB_SHIM_DO     errno=NUMBER, short, delay=MILLISECONDS, kill-before or kill-after
 *   VDB_SHIM_ALWAYS set: those after it as well
 *   VDB_SHIM_FOLDER only files are counted whose path has this in it
 *   VDB_SHIM_MET    a file that is made when the call is met
 *   VDB_SHIM_NAMED  set: no file is made without a name, as where the file system has no O_TMPFILE
 *
 * Descriptors 0 to 2 are never counted, nor is what the shim itself calls.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FD_MAX 1024

/* glibc's own names, which need no dlsym: that calls malloc itself. */
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);
void *__libc_memalign(size_t align, size_t len);

enum action { NOTHING, FAIL, SHORT, DELAY, KILL_BEFORE, KILL_AFTER };

static struct {
    const char *call, *folder, *met;
    enum action action;
    long nth;
    int error;
    long delay_ms;
    bool always, named, ready;
    atomic_long count;
    atomic_bool watched[FD_MAX]; /* descriptors of files in the folder */
} shim;

__attribute__((constructor)) static void read_environment(void)
{
    const char *nth = getenv("VDB_SHIM_NTH"), *what = getenv("VDB_SHIM_DO");
    shim.call = getenv("VDB_SHIM_CALL");
    shim.folder = getenv("VDB_SHIM_FOLDER");
    shim.met = getenv("VDB_SHIM_MET");
    shim.always = getenv("VDB_SHIM_ALWAYS") != NULL;
    shim.named = getenv("VDB_SHIM_NAMED") != NULL;
    if (!shim.call || !shim.folder || !nth || !what) return;
    shim.nth = atol(nth);
    if (strncmp(what, "errno=", 6) == 0) {
        shim.action = FAIL;
        shim.error = atoi(what + 6);
    } else if (strncmp(what, "delay=", 6) == 0) {
        shim.action = DELAY;
        shim.delay_ms = atol(what + 6);
    } else if (strcmp(what, "short") == 0) {
        shim.action = SHORT;
    } else if (strcmp(what, "kill-before") == 0) {
        shim.action = KILL_BEFORE;
    } else if (strcmp(what, "kill-after") == 0) {
        shim.action = KILL_AFTER;
    }
    shim.ready = true;
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* A signal does not shorten it, as it does not a slow disk. */
static void wait_for(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

/* What is to happen to this call; waits or dies where that comes first. */
static enum action now(const char *call)
{
    if (!shim.ready || strcmp(call, shim.call) != 0) return NOTHING;
    long at = atomic_fetch_add(&shim.count, 1) + 1;
    if (at < shim.nth || (at > shim.nth && !shim.always)) return NOTHING;
    if (shim.met) {
        long fd = syscall(SYS_openat, AT_FDCWD, shim.met, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) syscall(SYS_close, fd);
    }
    if (shim.action == KILL_BEFORE) die();
    if (shim.action == DELAY) wait_for(shim.delay_ms);
    errno = shim.error;
    return shim.action;
}

static bool is_watched(int fd)
{
    return fd > 2 && fd < FD_MAX && atomic_load(&shim.watched[fd]);
}

static enum action on_fd(const char *call, int fd)
{
    return is_watched(fd) ? now(call) : NOTHING;
}

static bool in_folder(const char *path)
{
    static const char by_number[] = "/proc/self/fd/";
    if (!shim.folder || !path) return false;
    if (strncmp(path, by_number, sizeof by_number - 1) == 0)
        return is_watched(atoi(path + sizeof by_number - 1));
    return strstr(path, shim.folder) != NULL;
}

static enum action on_path(const char *call, const char *path)
{
    return in_folder(path) ? now(call) : NOTHING;
}

static int watch(int fd, bool watched)
{
    if (fd > 2 && fd < FD_MAX) atomic_store(&shim.watched[fd], watched);
    return fd;
}

/* That a pointer from dlsym may be a function's is POSIX's word, not that of ISO C. */
#pragma GCC diagnostic ignored "-Wpedantic"
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Does the call unless it fails, and dies after it where that is wanted. */
#define DO(what, failed, type, call)                                                               \
    do {                                                                                           \
        enum action action_ = (what);                                                              \
        if (action_ == FAIL) return failed;                                                        \
        type result_ = (call);                                                                     \
        if (action_ == KILL_AFTER) die();                                                          \
        return result_;                                                                            \
    } while (0)

/* ---- writing -----------------------------------------------------------------------------------
 */

static size_t length(enum action action, size_t len)
{
    return action == SHORT && len > 1 ? len / 2 : len;
}

EXPORT ssize_t pwrite(int fd, const void *from, size_t len, off_t off)
{
    enum action action = on_fd("pwrite", fd);
    DO(action, -1, ssize_t, REAL(pwrite)(fd, from, length(action, len), off));
}

EXPORT ssize_t pwrite64(int fd, const void *from, size_t len, off64_t off)
{
    enum action action = on_fd("pwrite", fd);
    DO(action, -1, ssize_t, REAL(pwrite64)(fd, from, length(action, len), off));
}

EXPORT ssize_t write(int fd, const void *from, size_t len)
{
    enum action action = on_fd("write", fd);
    DO(action, -1, ssize_t, REAL(write)(fd, from, length(action, len)));
}

EXPORT int fdatasync(int fd)
{
    DO(on_fd("fdatasync", fd), -1, int, REAL(fdatasync)(fd));
}

EXPORT int fsync(int fd)
{
    DO(on_fd("fsync", fd), -1, int, REAL(fsync)(fd));
}

EXPORT int posix_fallocate(int fd, off_t off, off_t len)
{
    DO(on_fd("fallocate", fd), shim.error, int, REAL(posix_fallocate)(fd, off, len));
}

EXPORT int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    DO(on_fd("fallocate", fd), shim.error, int, REAL(posix_fallocate64)(fd, off, len));
}

EXPORT int fallocate(int fd, int mode, off_t off, off_t len)
{
    DO(on_fd("fallocate", fd), -1, int, REAL(fallocate)(fd, mode, off, len));
}

EXPORT int ftruncate(int fd, off_t len)
{
    DO(on_fd("truncate", fd), -1, int, REAL(ftruncate)(fd, len));
}

/* ---- names -------------------------------------------------------------------------------------
 */

#define MODE_OF(flags, last, mode)                                                                 \
    do {                                                                                           \
        if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                   \
            va_list args_;                                                                         \
            va_start(args_, last);                                                                 \
            mode = va_arg(args_, mode_t);                                                          \
            va_end(args_);                                                                         \
        }                                                                                          \
    } while (0)

/* Every variant comes down to this one. */
static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    enum action action = on_path("open", path);
    if (action == FAIL) return -1;
    if (shim.named && (flags & __O_TMPFILE) == __O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int fd = REAL(openat)(folder, path, flags, mode);
    if (action == KILL_AFTER) die();
    return watch(fd, in_folder(path));
}

EXPORT int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, flags, mode);
    return open_at(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, flags, mode);
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, flags, mode);
    return open_at(folder, path, flags, mode);
}

EXPORT int openat64(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, flags, mode);
    return open_at(folder, path, flags | O_LARGEFILE, mode);
}

EXPORT int close(int fd)
{
    watch(fd, false);
    return REAL(close)(fd);
}

EXPORT int rename(const char *from, const char *to)
{
    DO(on_path("rename", to), -1, int, REAL(rename)(from, to));
}

EXPORT int renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags)
{
    DO(on_path("rename", to), -1, int, REAL(renameat2)(from_folder, from, to_folder, to, flags));
}

EXPORT int unlink(const char *path)
{
    DO(on_path("unlink", path), -1, int, REAL(unlink)(path));
}

/* ---- locks -------------------------------------------------------------------------------------
 */

static int control(int fd, int command, void *argument)
{
    bool lock = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
                command == F_OFD_SETLKW;
    bool taken = lock && ((const struct flock *)argument)->l_type != F_UNLCK;
    enum action action = taken ? on_fd("lock", fd) : NOTHING;
    if (action == FAIL) return -1;
    int result = REAL(fcntl)(fd, command, argument);
    if (action == KILL_AFTER) die();
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) watch(result, is_watched(fd));
    return result;
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return control(fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return control(fd, command, argument);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

EXPORT void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t off)
{
    DO(now("mmap"), MAP_FAILED, void *, REAL(mmap)(at, len, protection, flags, fd, off));
}

EXPORT void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t off)
{
    DO(now("mmap"), MAP_FAILED, void *, REAL(mmap64)(at, len, protection, flags, fd, off));
}

EXPORT void *malloc(size_t len)
{
    DO(now("malloc"), NULL, void *, __libc_malloc(len));
}

EXPORT void *calloc(size_t count, size_t len)
{
    DO(now("malloc"), NULL, void *, __libc_calloc(count, len));
}

EXPORT void *realloc(void *old, size_t len)
{
    DO(now("malloc"), NULL, void *, __libc_realloc(old, len));
}

EXPORT void *aligned_alloc(size_t align, size_t len)
{
    DO(now("malloc"), NULL, void *, __libc_memalign(align, len));
}

EXPORT int posix_memalign(void **to, size_t align, size_t len)
{
    enum action action = now("malloc");
    void *got = action == FAIL ? NULL : __libc_memalign(align, len);
    if (action == KILL_AFTER) die();
    if (!got) return ENOMEM;
    *to = got;
    return 0;
}
