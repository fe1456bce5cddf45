/* newfile.h: a file that takes its name only when it is complete.
 *
 * It is written as NAME.new-... beside its place and then renamed, so that whoever looks sees all
 * of it or none. A signal that ends the tool removes it.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_NEWFILE_H
#define TOOLS_NEWFILE_H

#include <limits.h>
#include <stdbool.h>

struct newfile {
    const char *name;    /* where it is to stand */
    char path[PATH_MAX]; /* where it is written; "" when there is nothing to remove */
};

/* Chooses a path, without making a file; false with errno where `name` is too long. */
bool newfile_init(struct newfile *file, const char *name);

/* Renames it, durably, over what stands there if `replace`, else only where nothing does (errno
 * EEXIST). On failure it is still there, under its path. */
bool newfile_publish(struct newfile *file, bool replace);

/* Removes it, unless it was published. */
void newfile_discard(struct newfile *file);

#endif
