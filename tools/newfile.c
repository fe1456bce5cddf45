/* newfile.c: a file that takes its name only when it is complete.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

bool newfile_init(struct newfile *file, const char *name)
{
    /* The time as well as the process: two machines that share a directory share process ids. */
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    file->name = name;
    int len = snprintf(file->path, sizeof file->path, "%s.new-%ld-%lx", name, (long)getpid(),
                       (unsigned long)t.tv_sec * 1000000000UL + (unsigned long)t.tv_nsec);
    if (len < 0 || (size_t)len >= sizeof file->path) {
        file->path[0] = 0;
        errno = ENAMETOOLONG;
        return false;
    }
    cli_at_signal(file->path, NULL);
    return true;
}

/* Makes the entry of `name` in its directory durable. */
static bool sync_directory(const char *name)
{
    char path[PATH_MAX];
    const char *slash = strrchr(name, '/');
    int len = slash ? (int)(slash - name) + 1 : 1;
    snprintf(path, sizeof path, "%.*s", len, slash ? name : ".");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool synced =
        fsync(fd) == 0 || errno == EINVAL; /* EINVAL: its filesystem knows no such thing */
    int error = errno;
    close(fd);
    errno = error;
    return synced;
}

static bool rename_where_nothing_is(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    return link(from, to) == 0 && unlink(from) == 0; /* NFS, for one, has only this */
}

bool newfile_publish(struct newfile *file, bool replace)
{
    if (!(replace ? rename(file->path, file->name) == 0
                  : rename_where_nothing_is(file->path, file->name)))
        return false;
    file->path[0] = 0;
    cli_at_signal(NULL, NULL);
    return sync_directory(file->name);
}

void newfile_discard(struct newfile *file)
{
    if (file->path[0]) unlink(file->path);
    file->path[0] = 0;
    cli_at_signal(NULL, NULL);
}
