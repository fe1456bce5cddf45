/* row_times.h: time segments: when the rows of a part were committed (format-spec/times.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_ROW_TIMES_H
#define VDB_FORMAT_ROW_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "vdb.h"

/* Gathers the times of rows in their order. All zero is an empty one; end it by releasing
 * `entries`, the segment's bytes. */
struct row_times_builder {
    uint32_t rows;
    int64_t last; /* of the row before */
    struct buf entries;
};

/* The next row's time in microseconds since 1970; 0: not recorded. Errors: VDB_NO_MEMORY. */
enum vdb_status row_times_add(struct row_times_builder *b, int64_t time_us, struct vdb_error *err);

/* Whether any row's time is recorded: else there is no use in a segment. */
bool row_times_any(const struct row_times_builder *b);

struct row_times_view { /* owns nothing; all zero: no time is recorded */
    const uint8_t *entries;
    uint32_t count;
};

/* The segment of len bytes at p, at file_off of the file; its length alone is looked at. Errors:
 * VDB_CORRUPT. */
enum vdb_status row_times_view_init(struct row_times_view *view, const void *p, size_t len,
                                    uint64_t file_off, struct vdb_error *err);

/* When the row, counted from the part's first, was committed: then or less than a second before. 0:
 * not recorded. */
int64_t row_times_at(const struct row_times_view *view, uint32_t row);

/* Every entry, of a part of `rows` rows. Errors: VDB_CORRUPT. */
enum vdb_status row_times_validate(const struct row_times_view *view, uint32_t rows,
                                   uint64_t file_off, struct vdb_error *err);

#endif
