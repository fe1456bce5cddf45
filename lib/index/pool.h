/* pool.h: the candidates of a walk, nearest first, in one sorted array.
 *
 * A key is distance << 32 | row << 1 | expanded, so that keys order by distance and ties by row;
 * rows are therefore below GRAPH_ROWS_MAX, 2^31. Each row is inserted once. `next` is the first
 * entry not yet expanded; everything at `limit` or above falls off the end.
 * A sorted array beats two heaps up to some thousand entries: one branchless bisection and one
 * move of adjacent memory, and the answer needs no sorting. Several keys at once are better still:
 * no bisection waits for the move before it, and what lies behind them moves once.
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

#define POOL_BATCH 64

struct pool_batch {
    uint64_t keys[POOL_BATCH]; /* in order */
    uint32_t count;
};

/* Adds a key to a batch that is not full. */
static inline void pool_batch_add(struct pool_batch *batch, uint64_t key)
{
    uint32_t at = batch->count++;
    for (; at > 0 && batch->keys[at - 1] > key; at--) batch->keys[at] = batch->keys[at - 1];
    batch->keys[at] = key;
}

/* Inserts the keys, which are below pool->limit, as one by one, and empties the batch. */
static inline void pool_insert_batch(struct pool *pool, struct pool_batch *batch)
{
    uint32_t places[POOL_BATCH], n = batch->count, end = pool->count, room = pool->capacity;
    if (n == 0) return;
    for (uint32_t i = 0; i < n; i++) places[i] = pool_rank(pool->keys, end, batch->keys[i]);
    if (places[0] < pool->next) pool->next = places[0];
    pool->count = n < room - end ? end + n : room;
    for (uint32_t i = n; i-- > 0;) { /* those from places[i] on have i + 1 keys in front of them */
        uint32_t at = places[i], to = at + i + 1;
        if (to <= room) {
            uint32_t moved = end - at < room - to ? end - at : room - to;
            memmove(pool->keys + to, pool->keys + at, moved * sizeof *pool->keys);
            pool->keys[to - 1] = batch->keys[i];
        }
        end = at;
    }
    if (pool->count == room) pool->limit = pool->keys[room - 1];
    batch->count = 0;
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
