/* test_crash_heavy.c: the same as test_crash.c of the workloads of larger files, which are those
 * that publish manifests: both slots of the superblock are torn at every byte.
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
    struct crash_scale scale = crash_scale(true);
    struct crash_counts counts = {0};
    crash_workload(workload, &scale, &counts);
    crash_print(workload->name, &counts);
    crash_add(&all, &counts);
}

/* Each slot as this workload writes it, with every image opened but no others than these. */
static void torn_slot(const char *name, int slot)
{
    struct crash_scale scale = crash_scale(true);
    struct crash_counts counts = {0};
    scale.images.random = scale.images.cuts = 1;
    scale.images.bytes = false;
    scale.every = 1;
    crash_workload(crash_find(name), &scale, &counts);
    crash_print(name, &counts);
    assert_true(counts.slots[slot] >= 2 * 511);
}

static void slot_0_torn_at_every_byte(void **state)
{
    (void)state;
    torn_slot("merge of a part", 0);
}

static void slot_1_torn_at_every_byte(void **state)
{
    (void)state;
    torn_slot("maintain flat", 1);
}

/* The last of the tests. */
static void enough_images(void **state)
{
    (void)state;
    struct crash_scale scale = crash_scale(true);
    crash_print("all of these", &all);
    if (!scale.reduced) assert_true(all.images + all.second >= 8000);
}

/* A name, or a pattern with * and ?, to run those alone. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[100] = {cmocka_unit_test(slot_0_torn_at_every_byte),
                                    cmocka_unit_test(slot_1_torn_at_every_byte)};
    size_t count = 2;
    for (const struct workload *w = workloads; w->name; w++)
        if (w->heavy)
            tests[count++] = (struct CMUnitTest){
                .name = w->name, .test_func = crash, .initial_state = (void *)(uintptr_t)w};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(enough_images);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("heavy crash", tests, count, NULL, NULL);
}
