/* kernel_scan.h: what a scan of 4-bit codes by look-up tables is given, and what it gives.
 *
 * A block holds 16 rows, in KERNEL_SCAN_HEADER + groups * KERNEL_SCAN_GROUP bytes: the rows' b as
 * 16 little-endian f16, their f as another 16, and then their codes, 8 of each row to a group: in
 * group g, byte 4 * row + j (j < 4) has code 8g + j in its low half and code 8g + 4 + j in its high
 * half. The table has for each of the codes 16 bytes, what its values add to the sum, in the order
 * of the codes: KERNEL_SCAN_TABLE bytes a group. The estimate of a row is
 *
 *     base + (unit_b * b - f * (scale * (float)sum + offset))
 *
 * in binary32, each operation rounded, which gives the same bits in every kernel set.
 *
 * A scan whose places are taken is cut: where more than `wanted` rows are kept, those stay, in
 * their order, that are not above a bound, `wanted` to an eighth more of them, or where too many
 * are equal the first so many; the bound becomes the limit. Estimates are then no NaN.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_SCAN_H
#define VDB_VECTOR_KERNEL_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KERNEL_SCAN_ROWS       16
#define KERNEL_SCAN_HEADER     64
#define KERNEL_SCAN_GROUP      64
#define KERNEL_SCAN_TABLE      128
#define KERNEL_SCAN_GROUPS_MAX 8192 /* up to which a sum is below 2^24, and a float holds it */

/* A block, wherever it lies; it needs no alignment. */
struct kernel_scan_block {
    const uint8_t *at;
    uint32_t slot; /* of its first row; the others follow, modulo 2^32 */
    float base;
};

struct kernel_scan {
    /* Read, and left as they are. The table needs no alignment. */
    const struct kernel_scan_block *blocks;
    uint32_t block_count;
    uint32_t groups; /* at most KERNEL_SCAN_GROUPS_MAX */
    const uint8_t *table;
    float unit_b, scale, offset;
    float limit; /* rows are kept whose estimate is below: no NaN is, nor +inf */

    /* Rows that are kept, in the order of blocks and slots, go to [count), and count grows. Places
     * from count to `room` may be written beyond what is kept. count is at most room. */
    uint32_t *slots;
    float *estimates;
    uint32_t count, room;
};

/* Lists are short, and the next block often lies elsewhere, where no processor looks ahead: blocks
 * are fetched so many before they are scanned, mostly into the second cache: the first can wait for
 * too few lines at once (tests/bench/NOTES.md). */
#define KERNEL_SCAN_AHEAD 16

static inline size_t kernel_scan_block_bytes(uint32_t groups)
{
    return KERNEL_SCAN_HEADER + (size_t)groups * KERNEL_SCAN_GROUP;
}

/* Whether a block that starts now has a place for each of its rows, and so have `blocks` of them.
 */
static inline int kernel_scan_has_room(const struct kernel_scan *scan, uint32_t blocks)
{
    return scan->room - scan->count >= blocks * KERNEL_SCAN_ROWS;
}

/* What is to be fetched while block `done` is scanned: one that is there. */
static inline const uint8_t *kernel_scan_ahead(const struct kernel_scan *scan, uint32_t done)
{
    uint32_t left = scan->block_count - done;
    return scan->blocks[left > KERNEL_SCAN_AHEAD ? done + KERNEL_SCAN_AHEAD : done].at;
}

/* Forced inline: gcc 12 drops calls of a function that only prefetches. */
__attribute__((always_inline)) static inline void kernel_scan_fetch(const uint8_t *block,
                                                                    size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(block + i, 0, 2);
}

/* How many groups have anything in the table for their high halves: all, or all but the last. A
 * number of codes that is no multiple of 8 leaves the last one's empty as often as not, and its
 * look-ups can be spared. */
static inline uint32_t kernel_scan_whole_groups(const struct kernel_scan *scan)
{
    if (scan->groups == 0) return 0;
    const uint8_t *table = scan->table + (size_t)(scan->groups - 1) * KERNEL_SCAN_TABLE;
    uint64_t high[8], any = 0;
    memcpy(high, table + KERNEL_SCAN_TABLE / 2, sizeof high);
    for (int i = 0; i < 8; i++) any |= high[i];
    return any ? scan->groups : scan->groups - 1;
}

#endif
