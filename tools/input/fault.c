/* fault.c: sentences about bad input, all of one shape.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/fault.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli.h"

static void append(struct fault *fault, int used, const char *format, va_list args)
{
    if (used >= 0 && (size_t)used < fault->message_size)
        vsnprintf(fault->message + used, fault->message_size - (size_t)used, format, args);
}

void fault_set(struct fault *fault, int exit_status, const char *name, const char *format, ...)
{
    fault->exit_status = exit_status;
    va_list args;
    va_start(args, format);
    append(fault, snprintf(fault->message, fault->message_size, "%s: ", name), format, args);
    va_end(args);
}

void fault_line(struct fault *fault, const char *name, uint64_t line, const char *format, ...)
{
    fault->exit_status = CLI_DATA;
    va_list args;
    va_start(args, format);
    append(fault, snprintf(fault->message, fault->message_size, "%s:%" PRIu64 ": ", name, line),
           format, args);
    va_end(args);
}

void fault_row(struct fault *fault, const char *name, uint64_t row, uint64_t offset,
               const char *format, ...)
{
    fault->exit_status = CLI_DATA;
    va_list args;
    va_start(args, format);
    append(fault,
           snprintf(fault->message, fault->message_size,
                    "%s: row %" PRIu64 " (byte %" PRIu64 "): ", name, row, offset),
           format, args);
    va_end(args);
}
