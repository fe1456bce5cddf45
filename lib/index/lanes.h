/* lanes.h: 16 numbers of 32 bits, compared and added at once.
 *
 * In what compilers have for any processor of 16-byte vectors: loops over a thousand distances are
 * not worth a kernel for each set. x86-64 compares signed numbers only without more, so unsigned
 * ones come with LANES_ORDERED added to them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_LANES_H
#define VDB_INDEX_LANES_H

#include <stdint.h>
#include <string.h>

#define LANES         16
#define LANES_ORDERED 0x80000000u /* modulo 2^32: signed numbers in the order of unsigned ones */

/* Not an array: compilers keep these in registers. */
typedef int32_t four __attribute__((vector_size(16)));

struct lanes {
    four a, b, c, d;
};

static inline struct lanes lanes_load(const int32_t *x)
{
    struct lanes lanes;
    memcpy(&lanes.a, x, sizeof lanes.a);
    memcpy(&lanes.b, x + 4, sizeof lanes.b);
    memcpy(&lanes.c, x + 8, sizeof lanes.c);
    memcpy(&lanes.d, x + 12, sizeof lanes.d);
    return lanes;
}

static inline void lanes_store(struct lanes lanes, int32_t x[LANES])
{
    memcpy(x, &lanes, sizeof lanes);
}

static inline struct lanes lanes_of(int32_t x)
{
    four all = {x, x, x, x};
    return (struct lanes){all, all, all, all};
}

static inline struct lanes lanes_add(struct lanes x, struct lanes y)
{
    return (struct lanes){x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}

/* -1 where x is above y, or else 0 */
static inline struct lanes lanes_above(struct lanes x, struct lanes y)
{
    return (struct lanes){x.a > y.a, x.b > y.b, x.c > y.c, x.d > y.d};
}

static inline four four_choose(four mask, four x, four y)
{
    return (x & mask) | (y & ~mask);
}

static inline struct lanes lanes_choose(struct lanes mask, struct lanes x, struct lanes y)
{
    return (struct lanes){four_choose(mask.a, x.a, y.a), four_choose(mask.b, x.b, y.b),
                          four_choose(mask.c, x.c, y.c), four_choose(mask.d, x.d, y.d)};
}

static inline struct lanes lanes_least(struct lanes x, struct lanes y)
{
    return lanes_choose(lanes_above(x, y), y, x);
}

static inline int32_t lanes_least_one(struct lanes x)
{
    four ab = four_choose(x.a > x.b, x.b, x.a), cd = four_choose(x.c > x.d, x.d, x.c);
    four all = four_choose(ab > cd, cd, ab);
    int32_t one = all[0] < all[1] ? all[0] : all[1], other = all[2] < all[3] ? all[2] : all[3];
    return one < other ? one : other;
}

static inline struct lanes lanes_most(struct lanes x, struct lanes y)
{
    return lanes_choose(lanes_above(x, y), x, y);
}

#endif
