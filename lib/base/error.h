/* error.h: filling in a struct vdb_error; every failure in lib/ passes through here.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_ERROR_H
#define VDB_BASE_ERROR_H

#include "vdb.h"

#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

/* Each returns `status`, so that a caller can `return error_set(...)`. `err` may be NULL. */
enum vdb_status error_set(struct vdb_error *err, enum vdb_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* As error_set, and appends ": " and the words for `os_errno`. */
enum vdb_status error_set_errno(struct vdb_error *err, enum vdb_status status, int os_errno,
                                const char *format, ...) PRINTF_LIKE(4, 5);

/* VDB_CORRUPT at `offset` of the file, in the structure or segment named (a constant). */
enum vdb_status error_set_corrupt(struct vdb_error *err, const char *segment, uint64_t offset,
                                  const char *format, ...) PRINTF_LIKE(4, 5);

enum vdb_status error_no_memory(struct vdb_error *err);

#endif
