/* test_cost.c: what a walk costs follows what it does, and how much there is that no cache holds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/cost.h"

static uint64_t cost_of(uint32_t rows, uint32_t expanded, uint32_t measured)
{
    struct codes codes = {.rows = rows, .bytes = 64, .code_stride = 64, .norm_stride = 64};
    struct walk_work work = {.expanded = expanded, .measured = measured};
    return cost_walks(&codes, &work);
}

static void grows_with_the_work(void **state)
{
    (void)state;
    assert_int_equal(cost_of(1000, 0, 0), 0);
    assert_true(cost_of(1000, 10, 100) < cost_of(1000, 11, 100));
    assert_true(cost_of(1000, 10, 100) < cost_of(1000, 10, 101));
    assert_int_equal(cost_of(1000, 20, 200), 2 * cost_of(1000, 10, 100));
}

/* 3 * 2^20 rows of 64 bytes, with lists as long, take 384 MiB, three quarters of them beyond 96: a
 * row waits for three quarters of 50 ns. */
static void waits_for_what_no_cache_holds(void **state)
{
    (void)state;
    uint64_t near = cost_of(1000, 10, 1000);
    assert_int_equal(cost_of(786432, 10, 1000), near); /* 96 MiB */
    assert_int_equal(cost_of(3 << 20, 10, 1000), near + 37500);
    assert_true(cost_of(UINT32_MAX, 10, 1000) <= near + 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_with_the_work),
        cmocka_unit_test(waits_for_what_no_cache_holds),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
