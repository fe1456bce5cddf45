/* spool.h: temporary files without a name, for a library that seeks in what comes as a stream.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_SPOOL_H
#define TOOLS_INPUT_SPOOL_H

#include "input/source.h"

/* An empty temporary file, open for reading and writing; -1 with errno. It goes when the last
 * descriptor of it is closed, however that comes about. */
int spool_create(void);

/* Copies the whole source to such a file, and returns it; -1: fault is set. */
int spool_source(struct source *source, struct fault *fault);

/* Writes all of it; false with errno. */
bool spool_write(int fd, const void *data, size_t len);

#endif
