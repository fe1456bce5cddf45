/* test_pool.c: candidates in order, one by one and several at once.
 *
 * What a pool is to hold is said by sorting all that it was given.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/pool.h"
#include "points.h"

enum { MOST = 700, ROUNDS = 300 };

struct given {
    uint64_t keys[MOST];
    uint32_t count;
};

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The nearest of those given, with the marks of those that were expanded. */
static void check(const struct pool *pool, struct given *given)
{
    uint32_t expected = given->count < pool->capacity ? given->count : pool->capacity;
    uint32_t first = 0;
    qsort(given->keys, given->count, sizeof *given->keys, by_key);
    given->count = expected;
    assert_int_equal(pool->count, expected);
    assert_memory_equal(pool->keys, given->keys, expected * sizeof *given->keys);
    uint64_t limit = expected == pool->capacity ? given->keys[expected - 1] : UINT64_MAX;
    assert_true((pool->limit | 1) == (limit | 1)); /* it may have been expanded since */
    while (first < expected && (given->keys[first] & 1)) first++;
    assert_true(pool->next <= first);
}

static void give(struct given *given, struct pool_batch *batch, uint64_t key)
{
    given->keys[given->count++] = key;
    pool_batch_add(batch, key);
}

static void take(struct pool *pool, struct given *given)
{
    if (!pool_has_next(pool)) return;
    uint64_t key = pool->keys[pool->next];
    for (uint32_t i = 0; i < given->count; i++)
        if (given->keys[i] == key) given->keys[i] |= 1;
    assert_int_equal(pool_take(pool), pool_row(key));
}

/* Batches of any size between expansions, of keys that tie in distance and not. */
static void several_at_once(void **state)
{
    (void)state;
    static const uint32_t capacities[] = {1, 2, 3, 17, 64, 65, 200, MOST};
    uint64_t seed = 5, room[MOST + 1];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct pool pool = {.keys = room};
        struct given given = {.count = 0};
        uint32_t row = 0, spread = i % 2 ? 20 : 1u << 30;
        pool_reset(&pool, capacities[i % (sizeof capacities / sizeof *capacities)]);
        for (uint32_t turn = 0; turn < 10; turn++) {
            struct pool_batch batch = {.count = 0};
            uint32_t n = (uint32_t)(random_next(&seed) % (POOL_BATCH + 1));
            for (uint32_t j = 0; j < n && given.count < MOST; j++) {
                uint64_t key = pool_key((uint32_t)(random_next(&seed) % spread), row++);
                if (key < pool.limit) give(&given, &batch, key);
            }
            pool_insert_batch(&pool, &batch);
            assert_int_equal(batch.count, 0);
            check(&pool, &given);
            for (uint32_t j = turn % 4; j > 0; j--) take(&pool, &given);
        }
    }
}

/* A lower limit than that of the farthest entry stays until the pool is full. */
static void a_limit_that_was_set(void **state)
{
    (void)state;
    uint64_t room[5 + 1];
    struct pool pool = {.keys = room};
    struct pool_batch batch = {.count = 0};
    pool_reset(&pool, 5);
    pool.limit = pool_key(50, 0);
    for (uint32_t row = 0; row < 4; row++) pool_batch_add(&batch, pool_key(40 - row, row));
    pool_insert_batch(&pool, &batch);
    assert_int_equal(pool.count, 4);
    assert_true(pool.limit == pool_key(50, 0));
    pool_batch_add(&batch, pool_key(45, 9));
    pool_insert_batch(&pool, &batch);
    assert_true(pool.limit == pool_key(45, 9));
}

/* An entry nearer than those expanded is the next; one that is farther changes nothing. */
static void what_is_next(void **state)
{
    (void)state;
    uint64_t room[8 + 1];
    struct pool pool = {.keys = room};
    struct pool_batch batch = {.count = 0};
    pool_reset(&pool, 8);
    pool_batch_add(&batch, pool_key(30, 3));
    pool_batch_add(&batch, pool_key(10, 1));
    pool_batch_add(&batch, pool_key(20, 2));
    pool_insert_batch(&pool, &batch);
    assert_int_equal(pool_take(&pool), 1);
    assert_int_equal(pool_take(&pool), 2);
    pool_batch_add(&batch, pool_key(25, 4));
    pool_insert_batch(&pool, &batch);
    assert_int_equal(pool.next, 2);
    pool_batch_add(&batch, pool_key(40, 5));
    pool_batch_add(&batch, pool_key(15, 6));
    pool_insert_batch(&pool, &batch);
    assert_true(pool_has_next(&pool));
    assert_int_equal(pool_take(&pool), 6);
    assert_true(pool_has_next(&pool));
    assert_int_equal(pool_take(&pool), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(a_limit_that_was_set),
        cmocka_unit_test(what_is_next),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
