/* spool.c: temporary files without a name.
 *
 * Filling one may take minutes, in which a signal may end the program: a file without a name then
 * goes with it. Where the filesystem has no such files, its name is taken away at once.
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

int spool_create(void)
{
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        int fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0) return fd;
        snprintf(path, sizeof path, "%s/vdb-spool-XXXXXX", folders[i]);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            unlink(path);
            return fd;
        }
    }
    return -1;
}

bool spool_write(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

int spool_source(struct source *source, struct fault *fault)
{
    int fd = spool_create();
    bool read = true, written = fd >= 0;
    size_t have = 1;
    while (written && have > 0) {
        const uint8_t *p = source_peek(source, 1 << 18, &have, fault);
        read = p != NULL;
        if (!read) break;
        written = spool_write(fd, p, have);
        source_skip(source, have);
    }
    if (read && written) return fd;
    if (!written)
        fault_set(fault, CLI_IOERR, source_name(source), "cannot spool it to a temporary file: %s",
                  strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}
