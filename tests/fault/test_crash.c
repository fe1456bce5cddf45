/* test_crash.c: whenever the power fails, an index opens, is sound, and holds the commit last
 * acknowledged or the one in flight: the workloads of small files.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault/crash.h"

static struct crash_counts all;

static void crash(void **state)
{
    const struct workload *workload = *state;
    struct crash_scale scale = crash_scale(workload->heavy);
    struct crash_counts counts = {0};
    crash_workload(workload, &scale, &counts);
    crash_print(workload->name, &counts);
    crash_add(&all, &counts);
}

/* The last of the tests. */
static void enough_images(void **state)
{
    (void)state;
    struct crash_scale scale = crash_scale(false);
    crash_print("all of these", &all);
    if (!scale.reduced) assert_true(all.images + all.second >= 60000);
}

/* A name, or a pattern with * and ?, to run those alone. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[100];
    size_t count = 0;
    for (const struct workload *w = workloads; w->name; w++)
        if (!w->heavy)
            tests[count++] = (struct CMUnitTest){
                .name = w->name, .test_func = crash, .initial_state = (void *)(uintptr_t)w};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(enough_images);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("crash", tests, count, NULL, NULL);
}
