/* fault.h: where a reader puts what went wrong: an exit status and one sentence.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_FAULT_H
#define TOOLS_INPUT_FAULT_H

#include <stddef.h>
#include <stdint.h>

struct fault {
    int exit_status;
    char *message;
    size_t message_size;
};

/* The sentence is "NAME: " and the text; with `line` or `row` the place stands between. */
void fault_set(struct fault *fault, int exit_status, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void fault_line(struct fault *fault, const char *name, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void fault_row(struct fault *fault, const char *name, uint64_t row, uint64_t offset,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
