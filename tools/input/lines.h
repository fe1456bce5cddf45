/* lines.h: the lines of a source, numbered.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_LINES_H
#define TOOLS_INPUT_LINES_H

#include "input/source.h"

struct lines {
    struct source *source;
    uint64_t number; /* of the line last read, from 1 */
    uint64_t offset; /* of its first byte */
};

/* The next line, as source_line has it; a byte order mark before the first is passed over. With
 * LINE_TOO_LONG and LINE_FAILED fault is set. */
enum line_status lines_next(struct lines *lines, const char **line, size_t *len,
                            struct fault *fault);

/* As lines_next, and passes over lines that are empty or hold nothing but white space. */
enum line_status lines_next_filled(struct lines *lines, const char **line, size_t *len,
                                   struct fault *fault);

#endif
