/* osfile.c: the calls on files, over POSIX and Linux.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/osfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int open_retrying(struct osfile *file, const char *path, int flags, mode_t mode)
{
    do {
        file->fd = open(path, flags | O_CLOEXEC, mode);
    } while (file->fd < 0 && errno == EINTR);
    return file->fd < 0 ? errno : 0;
}

int osfile_open(struct osfile *file, const char *path, bool writable)
{
    /* O_NONBLOCK: a FIFO of that name must not hang the open; it has no effect on regular files. */
    return open_retrying(file, path, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
}

int osfile_create(struct osfile *file, const char *path, mode_t mode)
{
    return open_retrying(file, path, O_RDWR | O_CREAT | O_EXCL, mode);
}

/* The directory of `path`, to be freed. */
static char *directory_of(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return NULL;
    char *directory = strdup(dirname(copy));
    free(copy);
    return directory;
}

int osfile_create_unnamed(struct osfile *file, const char *path)
{
    char *directory = directory_of(path);
    if (!directory) return ENOMEM;
    int failed = open_retrying(file, directory, O_TMPFILE | O_RDWR, 0600);
    if (failed == EOPNOTSUPP || failed == EISDIR) { /* a file system without O_TMPFILE */
        char *name = NULL;
        if (asprintf(&name, "%s/.vdb-spool-XXXXXX", directory) < 0) {
            failed = ENOMEM;
        } else {
            file->fd = mkostemp(name, O_CLOEXEC);
            failed = file->fd < 0 ? errno : 0;
            if (!failed) unlink(name);
            free(name);
        }
    }
    free(directory);
    return failed;
}

void osfile_close(struct osfile *file)
{
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}

int osfile_duplicate(const struct osfile *file, struct osfile *duplicate)
{
    duplicate->fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    return duplicate->fd < 0 ? errno : 0;
}

int osfile_reopen(const struct osfile *file, struct osfile *again)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
    return open_retrying(again, path, O_RDWR | O_NONBLOCK, 0);
}

/* Times are not asked for: Linux from 6.13 on gives a file whose time of change was looked at a new
 * one, of its own, with the next write, and a sync must then write the inode too. That took a
 * commit half as long again as the bare write and sync. */
#define ASKED_FOR                                                                                  \
    (STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO | STATX_SIZE)

static int stat_at(int directory, const char *path, int flags, struct osfile_stat *to)
{
    struct statx found;
    if (statx(directory, path, flags, ASKED_FOR, &found) < 0) return errno;
    *to = (struct osfile_stat){
        .identity = {(uint64_t)makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino},
        .size = found.stx_size,
        .mode = found.stx_mode & 07777,
        .owner = found.stx_uid,
        .group = found.stx_gid,
        .links = found.stx_nlink,
        .regular = S_ISREG(found.stx_mode),
    };
    return 0;
}

int osfile_stat(const struct osfile *file, struct osfile_stat *out)
{
    return stat_at(file->fd, "", AT_EMPTY_PATH, out);
}

int osfile_stat_path(const char *path, struct osfile_stat *out)
{
    return stat_at(AT_FDCWD, path, 0, out);
}

int osfile_stat_name(const char *path, struct osfile_stat *out)
{
    return stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, out);
}

#define LINKS_MAX 40 /* as many as the system follows */

/* What the link `path` holds, seen from where `path` is; to be freed. */
static int read_link(const char *path, char **leads_to)
{
    char held[PATH_MAX];
    ssize_t len = readlink(path, held, sizeof held);
    if (len < 0) return errno;
    if ((size_t)len == sizeof held) return ENAMETOOLONG;
    const char *slash = held[0] == '/' ? NULL : strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    return asprintf(leads_to, "%.*s%.*s", folder, path, (int)len, held) < 0 ? ENOMEM : 0;
}

int osfile_follow(const char *path, char **target)
{
    char *at = strdup(path), *next;
    if (!at) return ENOMEM;
    int failed = 0;
    for (int links = 0; !(failed = read_link(at, &next)); links++) {
        free(at);
        at = next;
        if (links < LINKS_MAX) continue;
        failed = ELOOP;
        break;
    }
    if (failed == EINVAL || failed == ENOENT) {
        *target = at;
        return 0;
    }
    free(at);
    return failed;
}

int osfile_read(const struct osfile *file, uint64_t off, void *to, size_t len, size_t *got)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(file->fd, (char *)to + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) break;
        done += (size_t)n;
    }
    *got = done;
    return 0;
}

int osfile_write(const struct osfile *file, uint64_t off, const void *from, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(file->fd, (const char *)from + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

int osfile_reserve(const struct osfile *file, uint64_t off, uint64_t len)
{
    int failed;
    do {
        failed = posix_fallocate(file->fd, (off_t)off, (off_t)len);
    } while (failed == EINTR);
    return failed;
}

int osfile_sync_data(const struct osfile *file)
{
    return fdatasync(file->fd) < 0 ? errno : 0;
}

int osfile_sync_all(const struct osfile *file)
{
    return fsync(file->fd) < 0 ? errno : 0;
}

int osfile_sync_directory_of(const char *path)
{
    char *name = directory_of(path);
    if (!name) return ENOMEM;
    struct osfile directory;
    int failed = open_retrying(&directory, name, O_RDONLY | O_DIRECTORY, 0);
    free(name);
    if (failed) return failed;
    failed = osfile_sync_all(&directory);
    osfile_close(&directory);
    return failed;
}

/* The system maps whole pages, so a mapping begins up to a page before what was asked for. */
static size_t page_part(uint64_t off)
{
    return (size_t)(off % (uint64_t)sysconf(_SC_PAGESIZE));
}

#define HUGE_PAGE ((size_t)2 << 20)

/* An address that is as far beyond a multiple of HUGE_PAGE as `off` is, with `len` bytes behind it
 * that nothing lies in; NULL where that is not to be had. */
static uint8_t *place_for(uint64_t off, size_t len)
{
    if (len < HUGE_PAGE) return NULL;
    uint8_t *room =
        mmap(NULL, len + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return NULL;
    size_t skip = (size_t)(off - (uintptr_t)room) & (HUGE_PAGE - 1);
    if (skip) munmap(room, skip);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = skip + (len + page - 1) / page * page;
    if (end < len + HUGE_PAGE) munmap(room + end, len + HUGE_PAGE - end);
    return room + skip;
}

int osfile_map(const struct osfile *file, uint64_t off, size_t len, const uint8_t **mapping)
{
    size_t before = page_part(off);
    uint8_t *place = place_for(off - before, len + before);
    uint8_t *at = mmap(place, len + before, PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0),
                       file->fd, (off_t)(off - before));
    if (at == MAP_FAILED) {
        int failed = errno;
        if (place) munmap(place, len + before);
        return failed;
    }
    *mapping = at + before;
    return 0;
}

int osfile_map_private(const struct osfile *file, size_t len, uint8_t **mapping)
{
    uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, file->fd, 0);
    if (at == MAP_FAILED) return errno;
    *mapping = at;
    return 0;
}

/* The whole huge pages in a mapping. */
static size_t huge_pages(const uint8_t *mapping, size_t len, void **first)
{
    uintptr_t begin = ((uintptr_t)mapping + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1),
              end = ((uintptr_t)mapping + len) & ~(uintptr_t)(HUGE_PAGE - 1);
    *first = (void *)begin;
    return begin < end ? end - begin : 0;
}

void osfile_want_huge_pages(const uint8_t *mapping, size_t len)
{
    void *first;
    size_t huge = huge_pages(mapping, len, &first);
    if (huge) madvise(first, huge, MADV_HUGEPAGE);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

void osfile_write_out(const struct osfile *file, uint64_t off, uint64_t len)
{
    sync_file_range(file->fd, (off_t)off, (off_t)len,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                        SYNC_FILE_RANGE_WAIT_AFTER);
}

void osfile_settle(const struct osfile *file, uint64_t off, size_t len)
{
    const uint8_t *mapping;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    bool fits = pages > 0 && page > 0 && len / (size_t)page <= (size_t)pages / 8;
    if (len < HUGE_PAGE || !fits) return;
    posix_fadvise(file->fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
    if (osfile_map(file, off, len, &mapping) != 0) return;
    size_t before = page_part((uintptr_t)mapping);
    void *first;
    size_t huge = huge_pages(mapping, len, &first);
    if (huge) {
        /* Before what precedes them, since reading that ahead would reach into them with small
         * pages, and so would reading on from one of them to the next. */
        madvise(first, huge, MADV_HUGEPAGE);
        madvise(first, huge, MADV_RANDOM);
        madvise(first, huge, MADV_POPULATE_READ);
    }
    madvise((void *)((uintptr_t)mapping - before), len + before, MADV_POPULATE_READ);
    osfile_unmap(mapping, len);
}

void osfile_unmap(const uint8_t *mapping, size_t len)
{
    if (!mapping) return;
    size_t before = page_part((uintptr_t)mapping);
    munmap((void *)((uintptr_t)mapping - before), len + before);
}

void osfile_drop_pages(const uint8_t *mapping, size_t len)
{
    size_t before = page_part((uintptr_t)mapping);
    madvise((void *)((uintptr_t)mapping - before), len + before, MADV_DONTNEED);
}

int osfile_copy_owner(const struct osfile *file, const struct osfile_stat *like)
{
    struct osfile_stat now;
    int failed = osfile_stat(file, &now);
    if (failed) return failed;
    if ((now.owner != like->owner || now.group != like->group) &&
        fchown(file->fd, like->owner, like->group) < 0)
        return errno;
    return fchmod(file->fd, like->mode) < 0 ? errno : 0;
}

int osfile_rename(const char *from, const char *to)
{
    return rename(from, to) < 0 ? errno : 0;
}

int osfile_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    /* A file system that cannot rename so: a hard link does not replace either. */
    if (link(from, to) < 0) return errno;
    return unlink(from) < 0 ? errno : 0;
}

int osfile_unlink(const char *path)
{
    return unlink(path) < 0 ? errno : 0;
}
