/* space.c: room in the file: new extents at its end, and what is written there.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/space.h"

#include <stdlib.h>

#include "base/error.h"
#include "format/disk.h"

#define HUGE_FROM ((uint64_t)8 << 20)

/* What is written in such lengths is written out in pieces, so that a sync by who commits meanwhile
 * finds little of it to wait for. */
#define BULK_MIN   ((size_t)1 << 20)
#define BULK_PIECE ((size_t)4 << 20)

enum vdb_status space_reserve(const struct osfile *file, uint64_t len, uint64_t align,
                              uint64_t *off, struct vdb_error *err)
{
    struct osfile_stat now;
    int failed = osfile_stat(file, &now);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    *off = round_up(now.size, align);
    failed = osfile_reserve(file, *off, len);
    if (failed)
        return error_set_errno(err, VDB_IO, failed, "cannot get %llu bytes more for the file",
                               (unsigned long long)len);
    return VDB_OK;
}

static enum vdb_status write_piece(const struct osfile *file, uint64_t off, const uint8_t *from,
                                   size_t len, struct vdb_error *err)
{
    int failed = osfile_write(file, off, from, len);
    return failed ? error_set_errno(err, VDB_IO, failed, "cannot write at offset %llu",
                                    (unsigned long long)off)
                  : VDB_OK;
}

enum vdb_status space_write(const struct osfile *file, uint64_t off, const void *from, size_t len,
                            struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    if (len < BULK_MIN) return write_piece(file, off, from, len, err);
    for (size_t done = 0, n; done < len && !status; done += n) {
        n = len - done < BULK_PIECE ? len - done : BULK_PIECE;
        status = write_piece(file, off + done, (const uint8_t *)from + done, n, err);
        if (!status) osfile_write_out(file, off + done, n);
    }
    return status;
}

enum vdb_status space_zero(const struct osfile *file, uint64_t off, uint64_t len,
                           struct vdb_error *err)
{
    size_t step = len < 65536 ? (size_t)len : 65536;
    void *zeros = calloc(1, step ? step : 1);
    if (!zeros) return error_no_memory(err);
    enum vdb_status status = VDB_OK;
    for (uint64_t done = 0; done < len && !status; done += step) {
        if (step > len - done) step = (size_t)(len - done);
        status = space_write(file, off + done, zeros, step, err);
    }
    free(zeros);
    return status;
}

uint64_t space_segment_align(uint64_t len)
{
    if (len >= HUGE_FROM) return VDB_SEGMENT_ALIGN_HUGE;
    return len >= VDB_SEGMENT_ALIGN ? VDB_SEGMENT_ALIGN : VDB_ARRAY_ALIGN;
}
