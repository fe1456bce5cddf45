/* test_graph_reservoirs.c: reservoirs hold the nearest of what they were offered.
 *
 * Expected: all offers sorted.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/graph_reservoirs.h"
#include "points.h"

#define ROWS 7

/* pool.h's keys, of which pool_key is not used here: distance, then row. */
static uint32_t row_of(uint64_t key)
{
    return (uint32_t)key >> 1;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Each row of the offers is always offered at the same distance, some with equal ones. */
static uint64_t key_for(uint32_t row, uint32_t other)
{
    uint64_t seed = row * 1000 + other;
    return reservoirs_key((uint32_t)(random_next(&seed) % 90) * 1000, other);
}

static void check(uint32_t degree, uint32_t keep, uint32_t offers)
{
    struct reservoirs reservoirs;
    uint32_t *edges = malloc(ROWS * degree * sizeof *edges);
    uint64_t *all = malloc(offers * sizeof *all), *keys = malloc(keep * sizeof *keys);
    uint64_t seed = keep * 1000 + offers;
    assert_true(edges && all && keys);
    memset(edges, 0xff, ROWS * degree * sizeof *edges);
    assert_int_equal(reservoirs_init(&reservoirs, ROWS, degree, keep, edges, degree % 2, NULL),
                     VDB_OK);
    for (uint32_t row = 0; row < ROWS; row++) { /* twice over, in other portions and orders */
        for (uint32_t i = 0; i < offers; i++) all[i] = key_for(row, i);
        for (uint32_t i = 0; i < 2 * offers;) {
            uint64_t some[5];
            uint32_t n = (uint32_t)(random_next(&seed) % 6);
            for (uint32_t j = 0; j < n; j++, i++)
                some[j] = all[i < offers ? i : (2 * offers - 1 - i) % offers];
            reservoirs_fetch(&reservoirs, row);
            reservoirs_offer(&reservoirs, row, some, n);
        }
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t count = offers < keep ? offers : keep;
        for (uint32_t i = 0; i < offers; i++) all[i] = key_for(row, i);
        qsort(all, offers, sizeof *all, compare_keys);
        assert_int_equal(reservoirs_get(&reservoirs, row, keys), count);
        assert_memory_equal(keys, all, count * sizeof *keys);
        for (uint32_t i = 0; i < count && i < degree; i++)
            assert_int_equal(edges[row * degree + i], row_of(all[i]));
        for (uint32_t i = count; i < degree; i++)
            assert_int_equal(edges[row * degree + i], UINT32_MAX);
    }
    reservoirs_release(&reservoirs);
    free(edges);
    free(all);
    free(keys);
}

static void the_nearest_stay(void **state)
{
    (void)state;
    static const uint32_t offers[] = {1, 4, 15, 16, 17, 127, 128, 129, 600};
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        check(16, 128, offers[i]);
        check(17, 17, offers[i]);
        check(4, 5, offers[i]);
        check(255, 256, offers[i]);
    }
}

/* Farther rows never come before nearer ones, and distances that differ by one in a thousand are
 * told apart. */
static void keys_order_like_distances(void **state)
{
    (void)state;
    uint64_t last = 0, seed = 3;
    for (uint64_t x = 0; x <= UINT32_MAX; x += 1 + x / 5000) {
        uint64_t key = reservoirs_key((uint32_t)x, 0);
        assert_true(key >= last);
        assert_true(key >> 32 < 0xffff);
        last = key;
    }
    assert_true(reservoirs_key(UINT32_MAX, 0) >= last);
    assert_true(reservoirs_key(UINT32_MAX, 0) >> 32 < 0xffff);
    for (int i = 0; i < 10000; i++) {
        uint32_t x = (uint32_t)random_next(&seed) >> i % 20;
        uint32_t y = x - x / 1000 - 1;
        if (x > 0) assert_true(reservoirs_key(y, 0) < reservoirs_key(x, 0));
    }
    assert_true(reservoirs_key(5000, 1) < reservoirs_key(5000, 2));
    assert_int_equal(row_of(reservoirs_key(5000, 0x7fffffff)), 0x7fffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_stay),
        cmocka_unit_test(keys_order_like_distances),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
