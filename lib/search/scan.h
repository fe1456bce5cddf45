/* scan.h: exact search over rows one by one, for several queries at once.
 *
 * Rows are taken in blocks that stay in cache while query after query looks at them: a scan is
 * bound by memory, and reading the rows once serves all.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_SCAN_H
#define VDB_SEARCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "search/query.h"

/* Of a part's rows, the first so many were there at the snapshot's commit. */
static inline uint32_t scan_part_rows(const struct vdb_snapshot *snapshot, const struct part *part)
{
    uint32_t end = part->row_end < snapshot->row_count ? part->row_end : snapshot->row_count;
    return end > part->row_begin ? end - part->row_begin : 0;
}

/* Offers the rows of a part, the deleted ones only if `deleted`. */
void scan_part(const struct vdb_snapshot *snapshot, const struct part *part, bool deleted,
               struct query *queries, size_t count);

/* The same for one query and live rows, passing over the others: for a part that has few of them.
 */
void scan_part_live(const struct vdb_snapshot *snapshot, const struct part *part,
                    struct query *query);

/* Offers the rows of the tail: all that are among the nearest where `sure`, else all but one in
 * some ten thousands of these (index/vafile4.h). */
void scan_tail(const struct vdb_snapshot *snapshot, bool deleted, bool sure, struct query *queries,
               size_t count);

#endif
