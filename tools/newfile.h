/* newfile.h: a file that takes its name only when it is complete.
 *
 * It is written without a name, where the file system can do that, so that nothing is left of it
 * however the tool ends. Elsewhere, and for the moment in which it takes the place of another file,
 * it is called NAME.new-...: a signal that ends the tool removes it, and what a killed one has left
 * goes with the next that is called so.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_NEWFILE_H
#define TOOLS_NEWFILE_H

#include <limits.h>
#include <stdbool.h>

struct newfile {
    char name[PATH_MAX]; /* where it is to stand */
    char path[PATH_MAX]; /* its name until then; "" while it has none */
    int file;            /* locked, so that nobody takes it for left behind */
    bool open;           /* neither published nor discarded */
};

/* Makes the file; returns a descriptor to write it by, which is the caller's, or -1 with errno.
 * Where `path` is a symbolic link, it is to stand where that leads, though nothing is there yet. */
int newfile_open(struct newfile *file, const char *path);

/* Gives it its name, durably, in the place of what stands there. On failure, with errno, it is
 * still open. A signal that ends the tool thereafter tells that the output is complete. */
bool newfile_publish(struct newfile *file);

/* Removes it, unless it was published or never opened. */
void newfile_discard(struct newfile *file);

#endif
