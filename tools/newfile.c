/* newfile.c: a file that takes its name only when it is complete.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "newfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define INFIX ".new-"

/* ---- names --------------------------------------------------------------------------------- */

static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

static void folder_of(const char *name, char folder[PATH_MAX])
{
    size_t len = (size_t)(base_of(name) - name);
    snprintf(folder, PATH_MAX, "%.*s", len ? (int)len : 1, len ? name : ".");
}

#define LINKS_MAX 40 /* as many as the system follows */

/* Puts into file->name what `path` leads to through symbolic links. */
static bool follow(struct newfile *file, const char *path)
{
    char held[PATH_MAX];
    size_t room = sizeof file->name, folder = 0;
    const char *name = path;
    for (int links = 0; links <= LINKS_MAX; links++) {
        if (strlen(name) >= room - folder) {
            errno = ENAMETOOLONG;
            return false;
        }
        strcpy(file->name + folder, name);
        ssize_t len = readlink(file->name, held, sizeof held - 1);
        if (len < 0) return errno == EINVAL || errno == ENOENT;
        held[len] = 0;
        name = held;
        folder = held[0] == '/' ? 0 : (size_t)(base_of(file->name) - file->name);
    }
    errno = ELOOP;
    return false;
}

/* The time as well as the process: two machines that share a directory share process ids. */
static bool choose_path(struct newfile *file)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int len =
        snprintf(file->path, sizeof file->path, "%s" INFIX "%ld-%lx", file->name, (long)getpid(),
                 (unsigned long)t.tv_sec * 1000000000UL + (unsigned long)t.tv_nsec);
    if (len < 0 || (size_t)len >= sizeof file->path) {
        file->path[0] = 0;
        errno = ENAMETOOLONG;
        return false;
    }
    cli_at_signal(file->path, NULL);
    return true;
}

static void forget_path(struct newfile *file)
{
    file->path[0] = 0;
    cli_at_signal(NULL, NULL);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- what was left behind ------------------------------------------------------------------ */

/* Whether that is a name that choose_path gives for `base`. */
static bool is_passing(const char *entry, const char *base)
{
    size_t len = strlen(base);
    if (strncmp(entry, base, len) != 0 || strncmp(entry + len, INFIX, strlen(INFIX)) != 0)
        return false;
    const char *number = entry + len + strlen(INFIX);
    size_t digits = strspn(number, "0123456789");
    const char *time = number + digits + 1;
    return digits > 0 && number[digits] == '-' && *time &&
           time[strspn(time, "0123456789abcdef")] == 0;
}

/* A regular file of this user that nobody has locked. */
static void clear(int folder, const char *entry)
{
    struct stat named, opened;
    if (fstatat(folder, entry, &named, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(named.st_mode) ||
        named.st_uid != geteuid())
        return;
    int fd = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 &&
        fstatat(folder, entry, &named, AT_SYMLINK_NOFOLLOW) == 0 && same_file(&named, &opened))
        unlinkat(folder, entry, 0);
    close(fd);
}

static void clear_left(const char *name)
{
    char path[PATH_MAX];
    folder_of(name, path);
    DIR *folder = opendir(path);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (is_passing(entry->d_name, base_of(name))) clear(dirfd(folder), entry->d_name);
    closedir(folder);
}

/* ---- making it ----------------------------------------------------------------------------- */

static void path_of_descriptor(int fd, char path[32])
{
    snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* One that can be given a name later, or -1. */
static int open_unnamed(const char *name)
{
    char folder[PATH_MAX], link[32];
    folder_of(name, folder);
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    path_of_descriptor(fd, link);
    if (access(link, F_OK) == 0) return fd;
    close(fd);
    return -1;
}

/* Whether it is still there: who came upon it before it was locked has removed it. */
static bool is_there(const char *path, int fd)
{
    struct stat named, opened;
    return lstat(path, &named) == 0 && fstat(fd, &opened) == 0 && same_file(&named, &opened);
}

static int open_named(struct newfile *file)
{
    clear_left(file->name);
    for (;;) {
        if (!choose_path(file)) return -1;
        int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0) {
            int error = errno;
            forget_path(file);
            errno = error;
            return -1;
        }
        flock(fd, LOCK_EX | LOCK_NB);
        if (is_there(file->path, fd)) return fd;
        close(fd);
    }
}

/* Whether its names can be had, as far as that shows before it is written. */
static bool can_be_named(struct newfile *file)
{
    struct stat st;
    if (!choose_path(file)) return false;
    int error = lstat(file->path, &st) == 0 ? EEXIST : errno;
    forget_path(file);
    errno = error;
    return error == ENOENT;
}

int newfile_open(struct newfile *file, const char *path)
{
    *file = (struct newfile){.file = -1};
    if (!follow(file, path) || !can_be_named(file)) return -1;
    int fd = open_unnamed(file->name);
    if (fd < 0) fd = open_named(file);
    if (fd < 0) return -1;
    file->open = true;
    file->file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (file->file >= 0) return fd;
    int error = errno;
    close(fd);
    newfile_discard(file);
    errno = error;
    return -1;
}

/* ---- its name ------------------------------------------------------------------------------ */

/* Makes the entry of `name` in its directory durable. */
static bool sync_directory(const char *name)
{
    char path[PATH_MAX];
    folder_of(name, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool synced =
        fsync(fd) == 0 || errno == EINVAL; /* EINVAL: its filesystem knows no such thing */
    int error = errno;
    close(fd);
    errno = error;
    return synced;
}

/* Nothing can take the place of another file but what has a name. */
static bool name_to_replace(struct newfile *file, const char *link)
{
    clear_left(file->name);
    flock(file->file, LOCK_EX | LOCK_NB);
    if (!choose_path(file)) return false;
    if (linkat(AT_FDCWD, link, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0) return true;
    int error = errno;
    forget_path(file);
    errno = error;
    return false;
}

static bool take_name(struct newfile *file)
{
    char link[32];
    path_of_descriptor(file->file, link);
    if (!file->path[0]) {
        if (linkat(AT_FDCWD, link, AT_FDCWD, file->name, AT_SYMLINK_FOLLOW) == 0) return true;
        if (errno != EEXIST || !name_to_replace(file, link)) return false;
    }
    return rename(file->path, file->name) == 0;
}

/* A signal that comes in between counts when it is known what has become of the name. */
static bool take_name_or_tell(struct newfile *file)
{
    cli_note_signals(NULL);
    bool named = take_name(file);
    int error = errno;
    if (named) {
        forget_path(file);
        cli_at_signal(NULL, "the output is complete");
    }
    cli_release_signals();
    errno = error;
    return named;
}

bool newfile_publish(struct newfile *file)
{
    if (!take_name_or_tell(file)) return false;
    close(file->file);
    file->open = false;
    return sync_directory(file->name);
}

void newfile_discard(struct newfile *file)
{
    if (!file->open) return;
    if (file->path[0]) unlink(file->path);
    forget_path(file);
    if (file->file >= 0) close(file->file);
    file->open = false;
}
