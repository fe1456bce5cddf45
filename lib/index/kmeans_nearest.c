/* kmeans_nearest.c: the lists nearest to a query.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/kmeans_pass.h"
#include "index/lanes.h"

#define SORTED_BY_INSERTION 12
#define SETS_MIN            64
#define SETS_A_LIST         3 /* sets of lists for each that is wanted */

/* ---- sorting ------------------------------------------------------------------------------- */

static void keys_insert(uint64_t *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t key = keys[i];
        uint32_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

static void keys_swap(uint64_t *a, uint64_t *b)
{
    uint64_t key = *a;
    *a = *b;
    *b = key;
}

/* Those below a pivot to the front, the pivot behind them; returns its place. Without a branch
 * that depends on keys. */
static uint32_t keys_part(uint64_t *keys, uint32_t count)
{
    uint64_t *a = &keys[0], *b = &keys[count / 2], *c = &keys[count - 1];
    if (*a > *b) keys_swap(a, b);
    if (*b > *c) keys_swap(b, c);
    if (*a > *b) keys_swap(a, b);
    keys_swap(b, c);
    uint64_t pivot = *c;
    uint32_t front = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        uint64_t key = keys[i];
        keys[i] = keys[front];
        keys[front] = key;
        front += key < pivot;
    }
    keys_swap(&keys[front], c);
    return front;
}

/* Whether the first n of the keys, and among these the first `sorted` in order, ask for more. */
static inline int keys_are_wanted(uint32_t count, uint32_t n, uint32_t sorted)
{
    return n > 0 && (n < count || sorted > 0);
}

static inline uint32_t beyond(uint32_t n, uint32_t behind)
{
    return n > behind ? n - behind : 0;
}

/* Quicksort that leaves alone what will not be among the first n, and in any order what is among
 * them but not among the first `sorted`. Keys are different. */
static void keys_sort(uint64_t *keys, uint32_t count, uint32_t n, uint32_t sorted)
{
    while (keys_are_wanted(count, n, sorted) && count > SORTED_BY_INSERTION) {
        uint32_t front = keys_part(keys, count), behind = front + 1;
        if (front < count - behind) { /* into the smaller part by a call: few at once */
            keys_sort(keys, front, n, sorted);
            keys += behind;
            count -= behind;
            n = beyond(n, behind);
            sorted = beyond(sorted, behind);
        } else {
            keys_sort(keys + behind, count - behind, beyond(n, behind), beyond(sorted, behind));
            count = front;
        }
    }
    if (keys_are_wanted(count, n, sorted)) keys_insert(keys, count);
}

/* ---- choosing what to sort ----------------------------------------------------------------- */

/* The keys, then distances of all places, then what is least in each set of lists. */
size_t kmeans_scratch_bytes(uint32_t lists)
{
    return kmeans_places(lists) * (sizeof(uint64_t) + 2 * sizeof(int32_t));
}

static uint64_t key_of(int32_t ordered, uint32_t list)
{
    return (uint64_t)((uint32_t)ordered ^ LANES_ORDERED) << 32 | list;
}

/* least[i] becomes the least of x[i], x[i + sets], x[i + 2 * sets] and so on. */
static void sets_least(const int32_t *x, uint32_t places, uint32_t sets, int32_t *least)
{
    for (uint32_t at = 0; at < sets; at += LANES) {
        struct lanes lanes = lanes_load(x + at);
        for (uint32_t i = at + sets; i < places; i += sets)
            lanes = lanes_least(lanes, lanes_load(x + i));
        lanes_store(lanes, least + at);
    }
}

static uint32_t count_up_to(const int32_t *x, uint32_t n, int32_t most)
{
    int32_t beyond[LANES], count = (int32_t)n; /* beyond[]: -1 for each */
    struct lanes lanes = lanes_of(0), limit = lanes_of(most);
    for (uint32_t i = 0; i < n; i += LANES)
        lanes = lanes_add(lanes, lanes_above(lanes_load(x + i), limit));
    lanes_store(lanes, beyond);
    for (uint32_t j = 0; j < LANES; j++) count += beyond[j];
    return (uint32_t)count;
}

/* A value that `wanted` or a few more of the n do not exceed, by bisection. */
static int32_t bound_of(const int32_t *x, uint32_t n, uint32_t wanted)
{
    int32_t ends[2][LANES];
    struct lanes least = lanes_load(x), most = least;
    for (uint32_t i = LANES; i < n; i += LANES) {
        struct lanes here = lanes_load(x + i);
        least = lanes_least(least, here);
        most = lanes_most(most, here);
    }
    lanes_store(least, ends[0]);
    lanes_store(most, ends[1]);
    int64_t low = ends[0][0], high = ends[1][0];
    for (uint32_t j = 1; j < LANES; j++) {
        low = ends[0][j] < low ? ends[0][j] : low;
        high = ends[1][j] > high ? ends[1][j] : high;
    }
    while (low < high) { /* fewer are below `low`, and enough not beyond `high` */
        int64_t middle = low + (high - low) / 2;
        uint32_t count = count_up_to(x, n, (int32_t)middle);
        if (count < wanted) {
            low = middle + 1;
            continue;
        }
        high = middle;
        if (count <= wanted + wanted / 8) break;
    }
    return (int32_t)high;
}

/* So many sets whose least is not beyond the bound as lists are wanted hold that many lists not
 * beyond it, and no other set holds one. Puts these to keys[]; returns their number. */
static uint32_t gather(const int32_t *x, uint32_t places, uint32_t sets, uint32_t n, int32_t *least,
                       uint64_t *keys)
{
    sets_least(x, places, sets, least);
    int32_t bound = bound_of(least, sets, n);
    uint32_t near = 0, found = 0;
    for (uint32_t i = 0; i < sets; i++) {
        int32_t here = least[i];
        least[near] = (int32_t)i;
        near += here <= bound;
    }
    for (uint32_t i = 0; i < near; i++)
        for (uint32_t list = (uint32_t)least[i]; list < places; list += sets) {
            keys[found] = key_of(x[list], list);
            found += x[list] <= bound;
        }
    return found;
}

uint32_t kmeans_nearest(const struct kmeans_lists *lists, const struct kernels *kernels,
                        const struct kernel_query8 *query, uint32_t n, uint32_t sorted,
                        uint64_t *scratch)
{
    uint32_t count = lists->count, places = (uint32_t)kmeans_places(count);
    int32_t *x = (int32_t *)(void *)(scratch + places), *least = x + places;
    struct kernel_query8 ordered = *query;
    if (n > count) n = count;
    if (n == 0) return 0;
    ordered.base += LANES_ORDERED;
    kernels->blocks_u8i8(lists->codes, lists->norms, kmeans_blocks(count),
                         kernel_block_groups(lists->dim), &ordered, (uint32_t *)x);
    for (uint32_t i = count; i < places; i++) x[i] = INT32_MAX; /* behind all, ties too */
    uint32_t sets = n <= SETS_MIN / SETS_A_LIST ? SETS_MIN : SETS_A_LIST * n;
    sets = (sets + LANES - 1) / LANES * LANES;
    uint32_t found = places;
    if (n < places / 4 && sets <= places / 2)
        found = gather(x, places, sets, n, least, scratch);
    else
        for (uint32_t i = 0; i < places; i++) scratch[i] = key_of(x[i], i);
    keys_sort(scratch, found, n, sorted);
    return n;
}
