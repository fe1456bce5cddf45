/* pool.h: the candidates of a walk, nearest first, in one sorted array.
 *
 * A key is distance << 32 | row << 1 | expanded, so that keys order by distance and ties by row;
 * rows are therefore below GRAPH_ROWS_MAX, 2^31. Each row is inserted once. `next` is the first
 * entry not yet expanded; everything at `limit` or above falls off the end.
 * A sorted array beats two heaps up to some thousand entries: one branchless bisection and one
 * move of adjacent memory, and the answer needs no sorting.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_POOL_H
#define VDB_INDEX_POOL_H

#include <stdint.h>
#include <string.h>

struct pool {
    uint64_t *keys; /* room for `capacity` */
    uint32_t count, capacity, next;
    uint32_t effort; /* only the first so many entries are expanded */
    uint64_t limit;  /* the last key where the pool is full, else above all keys, or lower where
                      * farther rows are of no use (ending.h) */
};

static inline uint64_t pool_key(uint32_t distance, uint32_t row)
{
    return (uint64_t)distance << 32 | (uint64_t)row << 1;
}

static inline uint32_t pool_row(uint64_t key)
{
    return (uint32_t)key >> 1;
}

static inline uint32_t pool_distance(uint64_t key)
{
    return (uint32_t)(key >> 32);
}

static inline void pool_reset(struct pool *pool, uint32_t capacity)
{
    pool->count = pool->next = 0;
    pool->capacity = pool->effort = capacity;
    pool->limit = UINT64_MAX;
}

/* How many of the `count` keys are below `key`. */
static inline uint32_t pool_rank(const uint64_t *keys, uint32_t count, uint64_t key)
{
    const uint64_t *base = keys;
    if (count == 0) return 0;
    while (count > 1) {
        uint32_t half = count >> 1;
        base += (size_t)half & (0 - (size_t)(base[half - 1] < key));
        count -= half;
    }
    return (uint32_t)(base - keys) + (*base < key);
}

/* Inserts a key below pool->limit; returns its place. */
static inline uint32_t pool_insert(struct pool *pool, uint64_t key)
{
    uint32_t at = pool_rank(pool->keys, pool->count, key);
    if (pool->count < pool->capacity) pool->count++;
    memmove(pool->keys + at + 1, pool->keys + at, (size_t)(pool->count - 1 - at) * sizeof key);
    pool->keys[at] = key;
    if (at < pool->next) pool->next = at;
    if (pool->count == pool->capacity) pool->limit = pool->keys[pool->count - 1];
    return at;
}

/* Moves `next` to the nearest entry not expanded; 0 where there is none that is to be. */
static inline int pool_has_next(struct pool *pool)
{
    uint32_t end = pool->count < pool->effort ? pool->count : pool->effort;
    while (pool->next < end && (pool->keys[pool->next] & 1)) pool->next++;
    return pool->next < end;
}

/* Marks that entry expanded and returns its row. */
static inline uint32_t pool_take(struct pool *pool)
{
    uint64_t *key = &pool->keys[pool->next++];
    *key |= 1;
    return pool_row(*key);
}

#endif
