/* verify.c: checksums of what is about to be copied.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/verify.h"

#include "base/checksum.h"
#include "base/error.h"
#include "base/osfile.h"

#define STEP ((uint64_t)4 << 20)

/* In steps, each forgotten when it is done: to verify a file must not take memory as large as it.
 */
static uint64_t checksum_in_steps(const uint8_t *p, uint64_t len)
{
    struct checksum_state state;
    checksum_init(&state);
    for (uint64_t done = 0; done < len; done += STEP) {
        size_t n = (size_t)(len - done < STEP ? len - done : STEP);
        checksum_add(&state, p + done, n);
        if (len > STEP) osfile_drop_pages(p + done, n);
    }
    return checksum_end(&state);
}

enum vdb_status verify_bytes(const uint8_t *file, const char *segment, uint64_t off, uint64_t len,
                             uint64_t check, struct vdb_error *err)
{
    if (checksum_in_steps(file + off, len) == check) return VDB_OK;
    return error_set_corrupt(err, segment, off, "%s checksum does not match over %llu bytes",
                             segment, (unsigned long long)len);
}

enum vdb_status verify_commit(const uint8_t *file, const struct log_commit *commit,
                              struct vdb_error *err)
{
    const struct log_block *blocks[] = {&commit->vectors, &commit->ids, &commit->metadata,
                                        &commit->events};
    enum vdb_status status = VDB_OK;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0] && !status; i++)
        if (blocks[i]->len)
            status =
                verify_bytes(file, "log", blocks[i]->off, blocks[i]->len, blocks[i]->check, err);
    return status;
}

static bool copied(unsigned type)
{
    return type == DISK_SEGMENT_VECTOR || type == DISK_SEGMENT_ID ||
           type == DISK_SEGMENT_METADATA || type == DISK_SEGMENT_TOMBSTONE ||
           type == DISK_SEGMENT_TIME;
}

enum vdb_status verify_rows(const struct vdb_snapshot *s, uint32_t row_begin, struct vdb_error *err)
{
    const struct generation *g = s->generation;
    const uint8_t *file = g->view->base;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < g->manifest.segment_count && !status; i++) {
        const struct segment_entry *segment = &g->manifest.segments[i];
        if (copied(segment->type) && segment->row_end > row_begin)
            status = verify_bytes(file, segment_type_name(segment->type), segment->off,
                                  segment->len, segment->check, err);
    }
    for (uint32_t i = 0; i < s->tail_count && !status; i++)
        status = verify_commit(file, &tail_at(&g->tail, i)->log, err);
    return status;
}
