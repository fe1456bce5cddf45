/* number.h: decimal numbers to floats, correctly rounded, whatever the locale.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_NUMBER_H
#define TOOLS_INPUT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

enum number_status {
    NUMBER_OK,
    NUMBER_NOT,       /* not a number */
    NUMBER_TOO_LARGE, /* its float would be infinite */
    NUMBER_NOT_FINITE /* inf or nan in words */
};

/* Reads the number that `text` begins with and puts its length into *used (0 with NUMBER_NOT).
 * `json`: RFC 8259's grammar; else also "+1", ".5", "5." and "007". Words such as NaN, inf and
 * Infinity are recognised in both, to be refused by name. text[len] must be readable and not a
 * digit: the final NUL of a line. */
enum number_status number_parse(const char *text, size_t len, bool json, float *value,
                                size_t *used);

/* Words for a message: "is not a number". */
const char *number_fault(enum number_status status);

#endif
