/* test_range.c: a stretch is inside or not, for numbers whose sums and products wrap too.
 *
 * Expected values come from 128-bit arithmetic.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/range.h"

__extension__ typedef unsigned __int128 wide;

static const uint64_t NUMBERS[] = {0,
                                   1,
                                   2,
                                   63,
                                   64,
                                   65,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   INT64_MAX,
                                   (uint64_t)1 << 63,
                                   UINT64_MAX - 63,
                                   UINT64_MAX - 1,
                                   UINT64_MAX};
#define COUNT (sizeof NUMBERS / sizeof NUMBERS[0])

static void every_triple(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++)
            for (size_t k = 0; k < COUNT; k++)
                assert_int_equal(range_inside(NUMBERS[i], NUMBERS[j], NUMBERS[k]),
                                 (wide)NUMBERS[i] + NUMBERS[j] <= NUMBERS[k]);
}

static void every_array(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 4, 24, 1024, (uint64_t)1 << 40}, aligns[] = {1, 8, 64};
    for (size_t i = 0; i < COUNT * COUNT * COUNT; i++) {
        uint64_t off = NUMBERS[i % COUNT], count = NUMBERS[i / COUNT % COUNT],
                 total = NUMBERS[i / COUNT / COUNT];
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (size_t a = 0; a < sizeof aligns / sizeof aligns[0]; a++)
                assert_int_equal(range_array_inside(off, count, sizes[s], aligns[a], total),
                                 off % aligns[a] == 0 && off + (wide)count * sizes[s] <= total);
    }
}

static void aligned(void **state)
{
    (void)state;
    assert_int_equal(range_align(0, 64), 0);
    assert_int_equal(range_align(1, 64), 64);
    assert_int_equal(range_align(64, 64), 64);
    assert_int_equal(range_align(65, 8), 72);
    assert_int_equal(range_align(0x100000001, 64), 0x100000040);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_triple),
        cmocka_unit_test(every_array),
        cmocka_unit_test(aligned),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
