/* cancel.h: asking a caller whether long work is to end.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_CANCEL_H
#define VDB_BASE_CANCEL_H

#include <stdbool.h>
#include <stddef.h>

struct cancel {
    int (*asked)(void *context); /* NULL: never */
    void *context;
};

/* `cancel` may be NULL. */
static inline bool cancel_asked(const struct cancel *cancel)
{
    return cancel && cancel->asked && cancel->asked(cancel->context) != 0;
}

#endif
