/* filelock.c: locks over Linux's open-file-description locks.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/filelock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- fork ---------------------------------------------------------------------------------- */

/* The descriptors that a child must close: the one thing here that the whole process shares. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct filelock *all_open;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&open_lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&open_lock);
}

static void in_child(void)
{
    for (struct filelock *lock = all_open; lock; lock = lock->next) osfile_close(&lock->file);
    all_open = NULL;
    pthread_mutex_unlock(&open_lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

/* Opened and noted in one, as seen by forks. */
int filelock_open(struct filelock *lock, const struct osfile *of)
{
    *lock = (struct filelock){.file = {-1}};
    pthread_once(&watch_once, watch_forks);
    pthread_mutex_lock(&open_lock);
    int failed = osfile_reopen(of, &lock->file);
    /* No /proc, or no right to open it any more: a copy of the descriptor locks as well, if also
     * against nobody who shares the description. */
    if (failed) failed = osfile_duplicate(of, &lock->file);
    if (!failed) {
        lock->next = all_open;
        all_open = lock;
    }
    pthread_mutex_unlock(&open_lock);
    return failed;
}

void filelock_close(struct filelock *lock)
{
    if (lock->file.fd < 0) return;
    pthread_mutex_lock(&open_lock);
    struct filelock **at = &all_open;
    while (*at && *at != lock) at = &(*at)->next;
    if (*at) *at = lock->next;
    osfile_close(&lock->file);
    pthread_mutex_unlock(&open_lock);
}

/* ---- locking ------------------------------------------------------------------------------- */

/* A lock that stays free for so long while the line before us stands still: somebody in it must
 * have been stopped. */
#define STALL_SECONDS 0.05

#define NAP_MIN 50e-6
#define NAP_MAX 5e-3

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int set(const struct filelock *lock, short type, uint64_t off, uint64_t len)
{
    struct flock range = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = (off_t)len};
    int failed;
    do {
        failed = fcntl(lock->file.fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
    } while (failed == EINTR);
    return failed == EACCES ? EAGAIN : failed;
}

static void nap(double seconds)
{
    seconds = seconds < NAP_MIN ? NAP_MIN : seconds > NAP_MAX ? NAP_MAX : seconds;
    nanosleep(&(struct timespec){0, (long)(seconds * 1e9)}, NULL);
}

/* The lock and the whole line at once: nobody holds it and nobody waits. */
static int try_once(const struct filelock *lock, struct filelock_place place)
{
    int failed = set(lock, F_WRLCK, place.off - place.places, place.places + 1u);
    if (!failed && place.places) set(lock, F_UNLCK, place.off - place.places, place.places);
    return failed;
}

/* `at` is where we stand: place 0 is the lock, place.places the line's end, and beyond that is who
 * has no place yet. */
static int wait_in_line(const struct filelock *lock, struct filelock_place place, double wait,
                        const struct cancel *cancel)
{
    unsigned at = place.places + 1;
    double began = seconds_now(), since = began, taken = began;
    for (;;) {
        int failed = set(lock, F_WRLCK, place.off - (at - 1), 1);
        double now = seconds_now();
        if (at == 1 || filelock_is_held(&lock->file, place.off)) taken = now;
        bool past = failed == EAGAIN && now - taken > STALL_SECONDS;
        if (past) failed = set(lock, F_WRLCK, place.off, 1);
        if (!failed) {
            if (at <= place.places) set(lock, F_UNLCK, place.off - at, 1);
            at = past ? 0 : at - 1;
            since = taken = now;
            if (at == 0) return 0;
            continue;
        }
        if (failed != EAGAIN) return failed;
        if (cancel_asked(cancel)) return ECANCELED;
        if (now - began >= wait) return EAGAIN;
        nap((now - since) / 8);
    }
}

int filelock_take(struct filelock *lock, struct filelock_place place, double wait,
                  const struct cancel *cancel)
{
    int failed = try_once(lock, place);
    if (failed == EAGAIN && wait > 0) {
        failed = wait_in_line(lock, place, wait, cancel);
        if (failed) set(lock, F_UNLCK, place.off - place.places, place.places + 1u);
    } else if (failed == EAGAIN && place.places) { /* who stands in line may have been stopped */
        failed = set(lock, F_WRLCK, place.off, 1);
    }
    return failed;
}

void filelock_release(struct filelock *lock, struct filelock_place place)
{
    if (lock->file.fd >= 0) set(lock, F_UNLCK, place.off, 1);
}

/* ---- who holds it -------------------------------------------------------------------------- */

static void name_process(long pid, char holder[FILELOCK_HOLDER])
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (!fgets(name, sizeof name, file)) name[0] = '\0';
        fclose(file);
    }
    name[strcspn(name, "\n")] = '\0';
    for (char *c = name; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = '?';
    if (name[0])
        snprintf(holder, FILELOCK_HOLDER, "process %ld (%s)", pid, name);
    else
        snprintf(holder, FILELOCK_HOLDER, "process %ld", pid);
}

/* Whether the descriptor's lines "lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:INODE BEGIN END" have
 * this one among them. */
static bool descriptor_locks(const char *path, uint64_t inode, uint64_t off)
{
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned long long its_inode, begin, end;
        if (strncmp(line, "lock:", 5) != 0) continue;
        found = sscanf(line, "lock: %*s OFDLCK %*s WRITE %*s %*x:%*x:%llu %llu %llu", &its_inode,
                       &begin, &end) == 3 &&
                its_inode == inode && begin <= off && off <= end;
    }
    fclose(file);
    return found;
}

static bool process_locks(const char *pid, uint64_t inode, uint64_t off)
{
    char path[600];
    snprintf(path, sizeof path, "/proc/%s/fdinfo", pid);
    DIR *folder = opendir(path);
    if (!folder) return false; /* another user's */
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%s/fdinfo/%s", pid, entry->d_name);
        found = descriptor_locks(path, inode, off);
    }
    closedir(folder);
    return found;
}

/* The system names no holder of a description's lock; the process shows it among its files. */
static void search_processes(uint64_t inode, uint64_t off, char holder[FILELOCK_HOLDER])
{
    DIR *folder = opendir("/proc");
    if (!folder) return;
    for (struct dirent *entry; !holder[0] && (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0]) && process_locks(entry->d_name, inode, off))
            name_process(strtol(entry->d_name, NULL, 10), holder);
    closedir(folder);
}

/* Of a lock that somebody has, also his process where the system names it; else 0. */
static bool look(const struct osfile *file, uint64_t off, pid_t *pid)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1};
    if (fcntl(file->fd, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK) return false;
    *pid = range.l_pid > 0 ? range.l_pid : 0;
    return true;
}

bool filelock_is_held(const struct osfile *file, uint64_t off)
{
    pid_t ignored;
    return look(file, off, &ignored);
}

bool filelock_holder(const struct osfile *file, uint64_t off, char holder[FILELOCK_HOLDER])
{
    pid_t pid;
    struct osfile_stat now;
    holder[0] = '\0';
    if (!look(file, off, &pid)) return false;
    if (pid)
        name_process(pid, holder);
    else if (osfile_stat(file, &now) == 0)
        search_processes(now.identity.inode, off, holder);
    return true;
}
