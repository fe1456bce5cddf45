/* test_pages.c: large blocks of memory: zeroed, aligned, writable to the last byte.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pages.h"

#define HUGE_PAGE ((size_t)2 << 20)

static void blocks_are_zeroed_and_aligned(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 63, 64, 4097, HUGE_PAGE - 1, HUGE_PAGE, 5000000};
    for (int round = 0; round < 2; round++) /* the second gets memory that was written to */
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            size_t len = lengths[i];
            uint8_t *p = pages_alloc(len);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % (len < HUGE_PAGE ? 64 : HUGE_PAGE), 0);
            for (size_t at = 0; at < len; at++)
                if (p[at]) fail_msg("byte %zu of %zu is %u", at, len, p[at]);
            memset(p, 0xff, len);
            pages_free(p, len);
        }
    pages_free(NULL, 5000000);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    assert_null(pages_alloc(SIZE_MAX));
    assert_null(pages_alloc(SIZE_MAX - HUGE_PAGE));
    assert_null(pages_alloc(SIZE_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_and_aligned),
        cmocka_unit_test(too_much_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
