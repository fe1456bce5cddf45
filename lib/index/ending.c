/* ending.c: when a walk for the nearest rows ends, and which rows it need not keep.
 *
 * Of evenly spread rows in m dimensions the ef-th nearest is (ef / k)^(1/m) times as far as the
 * k-th. A walk that ends there does less where rows thin out around the query and more where they
 * crowd, which is where it misses more, than one that ends at the ef-th of what it has met. (Ending
 * by a multiple of the k-th distance: Al-Jazzazi et al., "Distance Adaptive Beam Search for
 * Provably Accurate Graph-Based Nearest Neighbor Search", arXiv 2505.15636, 2025.)
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/ending.h"

#include <math.h>

#define POWER_ONE     4096 /* of an exponent: the fractions of it are as fine as that */
#define DIMENSION_MIN 1000 /* thousandths; of less nothing can be told */
#define LOOK_EVERY    8 /* turns, at least, until the pool is looked at anew for rows that count */
#define LOOKED_AT     8 /* rows of it, a turn, at most */

/* x^(2000 / thousandths) for an x of 1 or more, by roots: the same on every CPU, which pow is not.
 */
static double root_of(double x, uint32_t thousandths)
{
    double power = 1;
    uint32_t exponent = 2000 * POWER_ONE / thousandths;
    for (; exponent >= POWER_ONE; exponent -= POWER_ONE) power *= x;
    for (uint32_t bit = POWER_ONE / 2; exponent; exponent &= ~bit, bit /= 2) {
        x = sqrt(x);
        if (exponent & bit) power *= x;
    }
    return power;
}

void ending_init(struct ending *ending, const struct space *space, const struct graph *graph,
                 uint32_t k, uint32_t ef, uint32_t keep, const struct walk_filter *filter,
                 uint64_t *keys)
{
    *ending = (struct ending){
        .k = k, .least = ef, .most = ef, .keep = keep, .filter = filter, .nearest = {.keys = keys}};
    if (k == 0 || ef <= k || graph->walk_dimension < DIMENSION_MIN || space->inner) return;
    ending->stretch = root_of((double)ef / k, graph->walk_dimension);
    ending->least = ef / 2 > k ? ef / 2 : k;
    ending->most = ef > UINT32_MAX / 2 ? UINT32_MAX : 2 * ef - k;
    if (ending->keep < ending->least) ending->keep = ending->least;
}

void ending_begin(struct ending *ending)
{
    if (ending->filter) pool_reset(&ending->nearest, ending->k);
    ending->taken = ending->turns = 0;
    ending->look_far = ending->least;
    ending->look_most = ending->most;
}

/* The largest key that is not far from what the k-th nearest row lets expect. */
static uint64_t far_key(const struct ending *ending, const struct space *space, uint64_t kth)
{
    double distance = space_distance(space, pool_distance(kth));
    return pool_key(space_distance_of(space, ending->stretch * distance), 0) | UINT32_MAX;
}

static uint32_t count_of(const struct ending *ending, const struct pool *pool, uint32_t end)
{
    const struct walk_filter *filter = ending->filter;
    uint32_t n = 0;
    for (uint32_t i = 0; i < end; i++)
        n += filter->counts(filter->context, pool_row(pool->keys[i]));
    return n;
}

/* A row that is far is neither expanded nor among those wanted: the pool, which has room for all
 * that may be near, need not take it. */
static void tighten(struct ending *ending, struct pool *pool, uint64_t far)
{
    if (pool->count < ending->keep) return;
    if (ending->filter) {
        if (ending->turns-- == 0) {
            ending->ample = count_of(ending, pool, ending->keep) >= ending->least;
            ending->turns = ending->keep / LOOKED_AT + LOOK_EVERY;
        }
        if (!ending->ample) return;
    }
    uint64_t last = pool->keys[ending->keep - 1], limit = far > last ? far : last;
    if (limit >= pool->limit) return;
    pool->limit = limit;
    while (pool->count > ending->keep && pool->keys[pool->count - 1] > limit) pool->count--;
}

/* What was expanded before nearer rows were met does not make a walk end: it is those before the
 * next row that must be enough. */
static bool has_taken(const struct ending *ending, const struct pool *pool, uint32_t enough,
                      uint32_t *look)
{
    if (ending->taken < *look) return false;
    uint32_t n = count_of(ending, pool, pool->next);
    if (n >= enough) return true;
    *look = ending->taken + enough - n;
    return false;
}

bool ending_reached(struct ending *ending, const struct space *space, struct pool *pool)
{
    const struct pool *nearest = ending->filter ? &ending->nearest : pool;
    bool far = false;
    if (nearest->count < ending->k && pool->count < pool->capacity) return false;
    if (ending->stretch > 0 && nearest->count >= ending->k) {
        uint64_t key = far_key(ending, space, nearest->keys[ending->k - 1]);
        tighten(ending, pool, key);
        if (pool->next >= pool->count) return true; /* it has left the pool */
        far = pool->keys[pool->next] > key;
    }
    if (!ending->filter) return far && pool->next >= ending->least;
    return (far && has_taken(ending, pool, ending->least, &ending->look_far)) ||
           has_taken(ending, pool, ending->most, &ending->look_most);
}
