/* spool.c: a temporary file that is written without a name and gets one when it is whole.
 *
 * Spooling may take minutes, in which a signal may end the program: a file without a name then goes
 * with it. Where the filesystem has no such files, the name is there from the start.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char *const folders[] = {"/var/tmp", "/tmp"}; /* the first is on a disk */

/* path is left "" where the file has no name yet; *folder is where it is. */
static int create(char path[SPOOL_PATH_SIZE], const char **folder)
{
    path[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        *folder = folders[i];
        int fd = open(*folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) return fd;
        snprintf(path, SPOOL_PATH_SIZE, "%s/vdb-spool-XXXXXX", *folder);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) return fd;
        path[0] = '\0';
    }
    return -1;
}

static bool give_name(int fd, const char *folder, char path[SPOOL_PATH_SIZE])
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(path, SPOOL_PATH_SIZE, "%s/vdb-spool-%ld-%u", folder, (long)getpid(), i);
        if (linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) return true;
        if (errno != EEXIST) break;
    }
    path[0] = '\0';
    return false;
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool spool_source(struct source *source, char path[SPOOL_PATH_SIZE], struct fault *fault)
{
    const char *folder;
    int fd = create(path, &folder);
    bool read = true, written = fd >= 0;
    size_t have = 1;
    while (written && have > 0) {
        const uint8_t *p = source_peek(source, 1 << 18, &have, fault);
        read = p != NULL;
        if (!read) break;
        written = write_all(fd, p, have);
        source_skip(source, have);
    }
    if (read && written && path[0] == '\0') written = give_name(fd, folder, path);
    if (!written)
        fault_set(fault, CLI_IOERR, source_name(source), "cannot spool it to a temporary file: %s",
                  strerror(errno));
    if (fd >= 0) close(fd);
    if (read && written) return true;
    if (path[0]) unlink(path);
    return false;
}
