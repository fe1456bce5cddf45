/* test_failures_memory.c: memory that is denied, at every place where a workload asks for some.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault/failures.h"

static void memory_denied_once(void **state)
{
    static const struct failure failure = {"memory",   SEAM_MEMORY, ENOMEM, SEAM_NOTHING,
                                           LASTS_ONCE, SEEN_MAYBE,  true};
    (void)state;
    failures_try(&failure, 1);
}

static void memory_denied_for_good(void **state)
{
    static const struct failure failure = {"memory",       SEAM_MEMORY, ENOMEM, SEAM_NOTHING,
                                           LASTS_FOR_GOOD, SEEN_ALWAYS, false};
    (void)state;
    failures_try(&failure, 1);
}

/* The work is done by those that there are. */
static void threads_denied(void **state)
{
    static const struct failure failure = {"threads",  SEAM_THREAD, EAGAIN, SEAM_NOTHING,
                                           LASTS_BOTH, SEEN_NEVER,  true};
    (void)state;
    failures_try(&failure, 1);
}

/* With an argument, only the tests whose names fit that pattern. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_denied_once),
        cmocka_unit_test(memory_denied_for_good),
        cmocka_unit_test(threads_denied),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, failures_setup, failures_teardown);
}
