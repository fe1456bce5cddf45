/* metaspool.c: a metadata segment in the making, of which memory holds little.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/metaspool.h"

#include "base/checksum.h"
#include "base/error.h"
#include "db/space.h"

#define TAKE_FROM ((size_t)1 << 20)

void metaspool_init(struct metaspool *spool, const char *beside)
{
    *spool = (struct metaspool){.builder = {0}};
    spool_init(&spool->packed, beside);
}

void metaspool_release(struct metaspool *spool)
{
    metadata_builder_release(&spool->builder);
    spool_release(&spool->packed);
    buf_release(&spool->front);
}

static enum vdb_status take(struct metaspool *spool, struct vdb_error *err)
{
    struct buf chunk = {0};
    enum vdb_status status = metadata_builder_take(&spool->builder, &chunk, err);
    if (!status) status = spool_append(&spool->packed, chunk.data, chunk.len, err);
    buf_release(&chunk);
    return status;
}

enum vdb_status metaspool_add(struct metaspool *spool, const char *text, size_t len,
                              struct vdb_error *err)
{
    enum vdb_status status = metadata_builder_add(&spool->builder, text, len, err);
    return !status && spool->builder.data.len >= TAKE_FROM ? take(spool, err) : status;
}

enum vdb_status metaspool_finish(struct metaspool *spool, uint64_t *len, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    if (!spool->front.len) {
        status = metadata_builder_front(&spool->builder, &spool->front, err);
        if (!status) status = take(spool, err);
    }
    *len = spool->front.len + spool_len(&spool->packed);
    return status;
}

enum vdb_status metaspool_copy(const struct metaspool *spool, const struct osfile *file,
                               uint64_t off, uint64_t *check, const struct cancel *cancel,
                               struct vdb_error *err)
{
    struct checksum_state state;
    checksum_init(&state);
    checksum_add(&state, spool->front.data, spool->front.len);
    enum vdb_status status = space_write(file, off, spool->front.data, spool->front.len, err);
    if (!status)
        status = spool_copy(&spool->packed, file, off + spool->front.len, &state, cancel, err);
    *check = checksum_end(&state);
    return status;
}
