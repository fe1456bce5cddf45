/* space.h: room in the file: new extents at its end, and what is written there.
 *
 * The file's length is the allocator: who needs room lengthens the file, under the WRITE lock or
 * where no one else has the file. Room that a crash leaves unused is dead until compaction.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_SPACE_H
#define VDB_DB_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/osfile.h"
#include "vdb.h"

/* Reserves len bytes (at least 1) from *off on, a multiple of `align`. Errors: VDB_IO. */
enum vdb_status space_reserve(const struct osfile *file, uint64_t len, uint64_t align,
                              uint64_t *off, struct vdb_error *err);

/* osfile_write with the error told; long ones leave little for a sync to do. */
enum vdb_status space_write(const struct osfile *file, uint64_t off, const void *from, size_t len,
                            struct vdb_error *err);

/* Zeros over a reserved range, written out, so that later writes into it change no metadata of the
 * file system. */
enum vdb_status space_zero(const struct osfile *file, uint64_t off, uint64_t len,
                           struct vdb_error *err);

/* What a segment of that length is aligned to: large ones to huge pages, from 64 KiB on to 64 KiB;
 * smaller ones share pages, or a small index would be mostly gaps. */
uint64_t space_segment_align(uint64_t len);

static inline uint64_t round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

#endif
