/* error.c: filling in a struct vdb_error.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct vdb_error *err, enum vdb_status status, const char *format, va_list args)
{
    *err = (struct vdb_error){.status = status};
    vsnprintf(err->message, sizeof err->message, format, args);
}

enum vdb_status error_set(struct vdb_error *err, enum vdb_status status, const char *format, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, format);
    fill(err, status, format, args);
    va_end(args);
    return status;
}

enum vdb_status error_set_errno(struct vdb_error *err, enum vdb_status status, int os_errno,
                                const char *format, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, format);
    fill(err, status, format, args);
    va_end(args);
    err->os_errno = os_errno;
    char room[128];
    const char *words = strerror_r(os_errno, room, sizeof room); /* GNU's, which cannot fail */
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", words);
    return status;
}

enum vdb_status error_set_corrupt(struct vdb_error *err, const char *segment, uint64_t offset,
                                  const char *format, ...)
{
    if (!err) return VDB_CORRUPT;
    va_list args;
    va_start(args, format);
    fill(err, VDB_CORRUPT, format, args);
    va_end(args);
    err->segment = segment;
    err->offset = offset;
    return VDB_CORRUPT;
}

enum vdb_status error_no_memory(struct vdb_error *err)
{
    return error_set(err, VDB_NO_MEMORY, "out of memory");
}

const char *vdb_status_string(enum vdb_status status)
{
    switch (status) {
    case VDB_OK:
        return "done";
    case VDB_NOT_FOUND:
        return "no such id or row";
    case VDB_EXISTS:
        return "exists already";
    case VDB_INVALID:
        return "not acceptable";
    case VDB_CORRUPT:
        return "damaged, or not an index";
    case VDB_UNSUPPORTED:
        return "not supported here";
    case VDB_CANNOT_OPEN:
        return "cannot be opened";
    case VDB_CANNOT_CREATE:
        return "cannot be created";
    case VDB_IO:
        return "read or write failed";
    case VDB_BUSY:
        return "busy";
    case VDB_READ_ONLY:
        return "read-only";
    case VDB_NO_MEMORY:
        return "out of memory";
    case VDB_DURABILITY_UNKNOWN:
        return "durability unknown";
    case VDB_CANCELLED:
        return "cancelled";
    case VDB_LIMIT:
        return "over a limit";
    case VDB_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}
