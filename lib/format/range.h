/* range.h: does a stretch lie inside another: the test that every offset from a file must pass.
 *
 * Each form is free of overflow for any values, so that hostile ones cannot slip through by
 * wrapping.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_RANGE_H
#define VDB_FORMAT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* [off, off + len) lies in [0, total). */
static inline bool range_inside(uint64_t off, uint64_t len, uint64_t total)
{
    return off <= total && len <= total - off;
}

/* An array of `count` items of `size` bytes (not 0), at a multiple of `align`, lies in
 * [0, total). */
static inline bool range_array_inside(uint64_t off, uint64_t count, uint64_t size, uint64_t align,
                                      uint64_t total)
{
    return off % align == 0 && off <= total && count <= (total - off) / size;
}

/* off, or the next multiple of `align` (a power of two); off is far below 2^64. */
static inline uint64_t range_align(uint64_t off, uint64_t align)
{
    return (off + align - 1) & ~(align - 1);
}

#endif
