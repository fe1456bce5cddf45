/* check_log.c: the records of the log behind the manifest, and where it ends.
 *
 * The log ends at the first record that is not valid: a commit in flight, or torn by a crash. That
 * it was not meant to end there is told by a whole record further on, or by a record that is valid
 * with one bit turned.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_log.h"

#include "base/error.h"
#include "check/mend_record.h"

/* A writer may have just put both there. */
static bool goes_on(const struct checker *c, const struct log_cursor *end)
{
    struct log_cursor again = *end;
    struct log_commit commit;
    struct log_names names;
    return log_next(c->view->base, c->file_len, &again, &commit, &names) != LOG_ENDS;
}

static enum vdb_status check_log_end(struct checker *c, const struct log_cursor *end,
                                     struct vdb_error *err)
{
    struct vdb_error finding;
    bool mended = false;
    uint64_t bit, behind = mend_whole_behind(c->view->base, c->file_len, end);
    enum vdb_status status = VDB_OK;
    if (!behind) status = mend_record(c->view->base, c->file_len, end, &mended, &bit, NULL, err);
    if (status || (!behind && !mended) || goes_on(c, end)) return status;
    if (mended)
        error_set_corrupt(&finding, "log", end->off,
                          "record after commit %llu is damaged: it is whole but for bit %u of the "
                          "byte at %llu",
                          (unsigned long long)end->commit, (unsigned)(bit % 8),
                          (unsigned long long)(end->off + bit / 8));
    else
        error_set_corrupt(
            &finding, "log", end->off,
            "record after commit %llu is damaged: a later one is whole at offset %llu",
            (unsigned long long)end->commit, (unsigned long long)behind);
    checker_report(c, &finding);
    return VDB_OK;
}

enum vdb_status check_log(struct checker *c, const struct vdb_snapshot *s, struct vdb_error *err)
{
    for (uint32_t i = 0; i < s->tail_count; i++)
        checker_blocks(c, &tail_at(&s->generation->tail, i)->log);
    return check_log_end(c, &s->cursor, err);
}
