/* options.h: taking a caller's struct of options, which may be of another version than this one.
 *
 * Its first member is a size_t with its size. A shorter struct than this version's comes from an
 * older caller: what it lacks has its default. A longer one is from a newer caller, and will do as
 * long as what is not known here is zero, which means the default there.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_OPTIONS_H
#define VDB_BASE_OPTIONS_H

#include <stddef.h>
#include <string.h>

#include "base/error.h"

/* No version's options are longer: a size beyond is one that was never set, and not to be read
 * after. */
#define OPTIONS_SIZE_MAX 4096

/* Lays what `given` holds (NULL: nothing) over the defaults in `to`, of `known` bytes. Errors:
 * VDB_INVALID (no size that could be one), VDB_UNSUPPORTED (an option that is not known here). */
static inline enum vdb_status options_take(void *to, size_t known, const void *given,
                                           struct vdb_error *err)
{
    size_t size;
    if (!given) return VDB_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > OPTIONS_SIZE_MAX)
        return error_set(err, VDB_INVALID,
                         "the options' member size is %zu: initialise them with their INIT macro",
                         size);
    const unsigned char *bytes = given;
    for (size_t i = known; i < size; i++)
        if (bytes[i])
            return error_set(err, VDB_UNSUPPORTED,
                             "the options have a member that this version does not know, at byte "
                             "%zu",
                             i);
    memcpy(to, given, size < known ? size : known);
    memcpy(to, &known, sizeof known);
    return VDB_OK;
}

#endif
