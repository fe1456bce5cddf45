/* kernel_cut.h: where a scan's estimates are cut, for the sets that count them each in their own
 * way.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_KERNEL_CUT_H
#define VDB_VECTOR_KERNEL_CUT_H

#include "vector/kernel_scan.h"
#include "vector/kernel_sets.h"

struct kernel_ends { /* of some values: the least and the greatest */
    float low, high;
};

/* How many of x[0..n) are not above `most`. */
typedef uint32_t (*kernel_count_fn)(const float *x, uint32_t n, float most);

/* A value that `wanted` to an eighth more of the n values between the ends do not exceed: which
 * they are is decided by the values alone. Where too many are equal, some more. Each round halves
 * what is left, or goes to where the value would lie if those between were spread evenly. */
KERNEL_INLINE float kernel_cut_bound(const float *x, uint32_t n, uint32_t wanted,
                                     struct kernel_ends ends, kernel_count_fn count_up_to)
{
    float low = ends.low, high = ends.high;
    uint32_t below = 1, within = n; /* not above low, and not above high */
    for (int round = 0; round < 64; round++) {
        float share = 0.5f;
        if (round % 2 == 0) share = (float)(wanted + wanted / 16 - below) / (float)(within - below);
        float middle = low + share * (high - low);
        if (!(middle > low && middle < high)) {
            middle = low + 0.5f * (high - low);
            if (!(middle > low && middle < high)) break;
        }
        uint32_t count = count_up_to(x, n, middle);
        if (count < wanted) {
            low = middle;
            below = count;
            continue;
        }
        high = middle;
        within = count;
        if (count <= wanted + wanted / 8) break;
    }
    return high;
}

#endif
