/* row_times.c: time segments; implements format-spec/times.md.
 *
 * Rows stand in the order of their commits, so times rise, and one entry does for all rows of a
 * second: a part has no more of them than seconds in which it was written to.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/row_times.h"

#include <string.h>

#include "base/error.h"
#include "format/disk.h"

static const char SEGMENT[] = "time";

static int64_t second_of(int64_t us)
{
    return us / 1000000 - (us % 1000000 < 0);
}

enum vdb_status row_times_add(struct row_times_builder *b, int64_t time_us, struct vdb_error *err)
{
    if (b->rows && time_us < b->last) time_us = b->last;
    if (b->rows && time_us && b->last && second_of(time_us) == second_of(b->last)) {
        uint8_t *entry = b->entries.data + b->entries.len - sizeof(struct disk_row_time);
        le64 put = le64_put((uint64_t)time_us);
        memcpy(entry + offsetof(struct disk_row_time, time_us), &put, sizeof put);
    } else if (b->rows == 0 || time_us != b->last) {
        struct disk_row_time put = {.time_us = le64_put((uint64_t)time_us),
                                    .row = le32_put(b->rows)};
        if (buf_append(&b->entries, &put, sizeof put)) return error_no_memory(err);
    }
    b->last = time_us;
    b->rows++;
    return VDB_OK;
}

bool row_times_any(const struct row_times_builder *b)
{
    return b->rows && b->last;
}

enum vdb_status row_times_view_init(struct row_times_view *view, const void *p, size_t len,
                                    uint64_t file_off, struct vdb_error *err)
{
    size_t size = sizeof(struct disk_row_time);
    if (len == 0 || len % size || len / size >= UINT32_MAX)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes are no entries", len);
    *view = (struct row_times_view){p, (uint32_t)(len / size)};
    return VDB_OK;
}

static struct disk_row_time entry_at(const struct row_times_view *view, uint32_t index)
{
    struct disk_row_time entry;
    memcpy(&entry, view->entries + (size_t)index * sizeof entry, sizeof entry);
    return entry;
}

int64_t row_times_at(const struct row_times_view *view, uint32_t row)
{
    uint32_t low = 0, high = view->count; /* the last entry whose row is not beyond */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        struct disk_row_time entry = entry_at(view, mid);
        if (le32_get(entry.row) <= row)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0) return 0;
    struct disk_row_time entry = entry_at(view, low - 1);
    return (int64_t)le64_get(entry.time_us);
}

enum vdb_status row_times_validate(const struct row_times_view *view, uint32_t rows,
                                   uint64_t file_off, struct vdb_error *err)
{
    uint32_t last_row = 0;
    uint64_t last_time = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        struct disk_row_time entry = entry_at(view, i);
        uint64_t at = file_off + (uint64_t)i * sizeof entry;
        uint32_t row = le32_get(entry.row);
        uint64_t time = le64_get(entry.time_us);
        if (i == 0 ? row != 0 : row <= last_row || row >= rows)
            return error_set_corrupt(err, SEGMENT, at, "entry %u begins at row %u of %u", i, row,
                                     rows);
        if (i && time <= last_time)
            return error_set_corrupt(err, SEGMENT, at, "entry %u is no later than the one before",
                                     i);
        last_row = row;
        last_time = time;
    }
    return VDB_OK;
}
