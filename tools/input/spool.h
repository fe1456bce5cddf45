/* spool.h: a stream as a temporary file with a name, for a library that opens by name and seeks.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_SPOOL_H
#define TOOLS_INPUT_SPOOL_H

#include "input/source.h"

enum { SPOOL_PATH_SIZE = 64 };

/* Copies the whole source. The name is there for as short a time as may be: the caller unlinks it
 * when the file is open. false: fault is set, and nothing is left. */
bool spool_source(struct source *source, char path[SPOOL_PATH_SIZE], struct fault *fault);

#endif
