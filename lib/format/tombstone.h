/* tombstone.h: tombstone segments: which rows of a part are deleted (format-spec/tombstones.md).
 *
 * A bitmap without a header: one u64 for 64 rows, so that row r is bit r % 8 of byte r / 8.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_TOMBSTONE_H
#define VDB_FORMAT_TOMBSTONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

/* Bytes of a bitmap over so many rows, a multiple of 8. */
static inline size_t tombstone_len(uint32_t rows)
{
    return ((size_t)rows + 63) / 64 * 8;
}

/* `row` counts from the part's first and is below its rows; all rows of NULL are alive. */
static inline bool tombstone_test(const uint8_t *map, uint32_t row)
{
    return map && (map[row / 8] >> (row % 8) & 1);
}

static inline void tombstone_set(uint8_t *map, uint32_t row)
{
    map[row / 8] = (uint8_t)(map[row / 8] | 1u << (row % 8));
}

static inline void tombstone_clear(uint8_t *map, uint32_t row)
{
    map[row / 8] = (uint8_t)(map[row / 8] & ~(1u << (row % 8)));
}

/* How many of `rows` rows are deleted; bits beyond them do not count. */
uint32_t tombstone_count(const uint8_t *map, uint32_t rows);

/* The segment of len bytes at p, at file_off of the file, as a bitmap over `rows` rows; its length
 * alone is looked at. Errors: VDB_CORRUPT. */
enum vdb_status tombstone_view(const uint8_t **map, const void *p, size_t len, uint32_t rows,
                               uint64_t file_off, struct vdb_error *err);

/* That no bit beyond the rows is set. Errors: VDB_CORRUPT. */
enum vdb_status tombstone_validate(const uint8_t *map, uint32_t rows, uint64_t file_off,
                                   struct vdb_error *err);

#endif
