/* lines.c: line numbers, byte order marks, empty lines.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/lines.h"

#include <string.h>

enum line_status lines_next(struct lines *lines, const char **line, size_t *len,
                            struct fault *fault)
{
    lines->offset = source_offset(lines->source);
    enum line_status status = source_line(lines->source, line, len, fault);
    if (status == LINE_END || status == LINE_FAILED) return status;
    lines->number++;
    if (status == LINE_TOO_LONG)
        fault_line(fault, source_name(lines->source), lines->number,
                   "the line is longer than %zu bytes", SOURCE_LINE_MAX);
    else if (lines->number == 1 && *len >= 3 && memcmp(*line, "\xef\xbb\xbf", 3) == 0) {
        *line += 3;
        *len -= 3;
    }
    return status;
}

enum line_status lines_next_filled(struct lines *lines, const char **line, size_t *len,
                                   struct fault *fault)
{
    enum line_status status;
    do status = lines_next(lines, line, len, fault);
    while (status == LINE_OK && strspn(*line, " \t\r") == *len);
    return status;
}
