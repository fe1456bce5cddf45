/* spool.c: bytes gathered in order, in memory while they are few, else in an unlinked file.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "db/space.h"

#define SPOOL_MEMORY ((size_t)4 << 20)

void spool_init(struct spool *spool, const char *beside)
{
    *spool = (struct spool){.beside = beside, .file = {-1}};
}

void spool_release(struct spool *spool)
{
    buf_release(&spool->memory);
    osfile_close(&spool->file);
}

uint64_t spool_len(const struct spool *spool)
{
    return spool->in_file + spool->memory.len;
}

static enum vdb_status spill(struct spool *spool, struct vdb_error *err)
{
    if (spool->file.fd < 0) {
        int failed = osfile_create_unnamed(&spool->file, spool->beside);
        if (failed)
            return error_set_errno(err, VDB_IO, failed,
                                   "cannot make a temporary file beside the index");
    }
    int failed = osfile_write(&spool->file, spool->in_file, spool->memory.data, spool->memory.len);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot write the temporary file");
    spool->in_file += spool->memory.len;
    buf_clear(&spool->memory);
    return VDB_OK;
}

enum vdb_status spool_append(struct spool *spool, const void *p, size_t len, struct vdb_error *err)
{
    if (spool->memory.len >= SPOOL_MEMORY) {
        enum vdb_status status = spill(spool, err);
        if (status) return status;
    }
    return buf_append(&spool->memory, p, len) ? error_no_memory(err) : VDB_OK;
}

enum vdb_status spool_read(const struct spool *spool, uint64_t off, void *p, size_t len,
                           struct vdb_error *err)
{
    size_t from_file = 0;
    if (off < spool->in_file)
        from_file = spool->in_file - off < len ? (size_t)(spool->in_file - off) : len;
    if (from_file) {
        size_t got;
        int failed = osfile_read(&spool->file, off, p, from_file, &got);
        if (failed || got < from_file)
            return error_set_errno(err, VDB_IO, failed, "cannot read the temporary file");
    }
    if (len > from_file)
        memcpy((uint8_t *)p + from_file, spool->memory.data + (off + from_file - spool->in_file),
               len - from_file);
    return VDB_OK;
}

enum vdb_status spool_copy(const struct spool *spool, const struct osfile *file, uint64_t off,
                           struct checksum_state *check, const struct cancel *cancel,
                           struct vdb_error *err)
{
    size_t step = (size_t)1 << 20;
    uint8_t *bytes = malloc(step);
    if (!bytes) return error_no_memory(err);
    enum vdb_status status = VDB_OK;
    for (uint64_t done = 0; done < spool->in_file && !status;) {
        size_t want = spool->in_file - done < step ? (size_t)(spool->in_file - done) : step, got;
        int failed = osfile_read(&spool->file, done, bytes, want, &got);
        if (failed || got < want)
            status = error_set_errno(err, VDB_IO, failed, "cannot read the temporary file");
        if (!status) status = space_write(file, off + done, bytes, want, err);
        if (!status && cancel_asked(cancel))
            status = error_set(err, VDB_CANCELLED, "cancelled while the rows were written");
        checksum_add(check, bytes, want);
        done += want;
    }
    free(bytes);
    if (!status)
        status =
            space_write(file, off + spool->in_file, spool->memory.data, spool->memory.len, err);
    checksum_add(check, spool->memory.data, spool->memory.len);
    return status;
}
