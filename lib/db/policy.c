/* policy.c: what an index is to be like by the age of its rows and the hour of the day.
 *
 * Rows stand in the order of their commits, so old ones come before recent ones, and where they
 * part is a row's number.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/policy.h"

#include <time.h>

#include "base/error.h"

#define DAY_MINUTES 1440

enum vdb_status policy_check(const struct manifest *m, struct vdb_error *err)
{
    if (m->index != VDB_INDEX_HYBRID && (m->recent_rows || m->recent_seconds))
        return error_set(err, VDB_INVALID, "only hybrid indexes tell recent rows from old ones");
    if (m->index != VDB_INDEX_HYBRID) return VDB_OK;
    if (!m->recent_rows && !m->recent_seconds)
        return error_set(err, VDB_INVALID, "which rows of a hybrid index are recent is not given");
    if (m->recent_rows && m->recent_seconds)
        return error_set(err, VDB_INVALID,
                         "recent rows are told by their number or by their age, not by both");
    if (m->recent_seconds > VDB_RECENT_SECONDS_MAX)
        return error_set(err, VDB_INVALID,
                         "rows are recent for %llu seconds, expected at most %lld",
                         (unsigned long long)m->recent_seconds, (long long)VDB_RECENT_SECONDS_MAX);
    return VDB_OK;
}

enum vdb_status policy_set_quiet(struct manifest *m, uint32_t begin, uint32_t end,
                                 struct vdb_error *err)
{
    if (begin >= DAY_MINUTES || end >= DAY_MINUTES)
        return error_set(err, VDB_INVALID,
                         "quiet hours are from minute %u to minute %u of the day, expected 0 to %d",
                         begin, end, DAY_MINUTES - 1);
    m->quiet_begin = begin == end ? 0 : (uint16_t)begin;
    m->quiet_end = begin == end ? 0 : (uint16_t)end;
    return VDB_OK;
}

uint32_t policy_first_recent(const struct manifest *m, const struct vdb_snapshot *s, int64_t now_us)
{
    int64_t age = (int64_t)m->recent_seconds * 1000000;
    int64_t since = now_us < INT64_MIN + age ? INT64_MIN : now_us - age;
    uint32_t row = m->index == VDB_INDEX_HYBRID ? s->row_count : 0, seen = 0;
    while (row > 0) {
        bool deleted = liveness_deleted(&s->dead, row - 1);
        if (m->recent_rows && !deleted && seen++ == m->recent_rows) break;
        if (m->recent_seconds && !deleted && snapshot_row_time(s, row - 1) <= since) break;
        row--;
    }
    return row;
}

bool policy_is_quiet(const struct manifest *m, int64_t now_us)
{
    if (m->quiet_begin == m->quiet_end) return true;
    int64_t minute = now_us / 60000000 % DAY_MINUTES;
    if (minute < 0) minute += DAY_MINUTES;
    bool from = minute >= m->quiet_begin, before = minute < m->quiet_end;
    return m->quiet_begin < m->quiet_end ? from && before : from || before;
}

int64_t policy_now(int64_t given)
{
    struct timespec now;
    if (given) return given;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
