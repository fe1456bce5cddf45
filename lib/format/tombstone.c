/* tombstone.c: tombstone segments; implements format-spec/tombstones.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/tombstone.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/le.h"

static const char SEGMENT[] = "tombstone";

/* Word number `word` with the bits of rows alone. */
static uint64_t word_at(const uint8_t *map, uint32_t rows, size_t word)
{
    uint64_t bits = le64_at(map + word * 8);
    bool last = word == rows / 64;
    return last ? bits & (((uint64_t)1 << rows % 64) - 1) : bits;
}

uint32_t tombstone_count(const uint8_t *map, uint32_t rows)
{
    uint32_t count = 0;
    for (size_t word = 0; map && word < tombstone_len(rows) / 8; word++)
        count += (uint32_t)__builtin_popcountll(word_at(map, rows, word));
    return count;
}

enum vdb_status tombstone_view(const uint8_t **map, const void *p, size_t len, uint32_t rows,
                               uint64_t file_off, struct vdb_error *err)
{
    if (len != tombstone_len(rows))
        return error_set_corrupt(err, SEGMENT, file_off,
                                 "%zu bytes are not the bitmap of %" PRIu32 " rows", len, rows);
    *map = p;
    return VDB_OK;
}

enum vdb_status tombstone_validate(const uint8_t *map, uint32_t rows, uint64_t file_off,
                                   struct vdb_error *err)
{
    size_t words = tombstone_len(rows) / 8;
    if (words && word_at(map, rows, words - 1) != le64_at(map + (words - 1) * 8))
        return error_set_corrupt(err, SEGMENT, file_off + (words - 1) * 8,
                                 "a bit is set beyond the last of %" PRIu32 " rows", rows);
    return VDB_OK;
}
