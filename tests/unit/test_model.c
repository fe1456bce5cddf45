/* test_model.c: thousands of random operations against a plain model, and every past commit.
 *
 * Two handles take turns at transactions, names, rolling back, maintenance and compaction, which
 * keeps named states, a window of time or all, and beside which the other handle goes on. After
 * each operation the newest state and some of the past are compared, at times all of the past: of
 * commits that the index need not have any more, that it says so. Held snapshots go on showing
 * their state, and all the past that there was then.
 *
 * VDB_MODEL_SEED runs one other history, VDB_MODEL_STEPS so many operations of each.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_run.h"
#include "store_fixture.h"

static void history(uint64_t seed, unsigned steps, enum vdb_index_kind index)
{
    const char *seed_text = getenv("VDB_MODEL_SEED"), *steps_text = getenv("VDB_MODEL_STEPS");
    if (seed_text) seed = strtoull(seed_text, NULL, 0);
    const char *mode = getenv("VDB_MODE");
    if (mode && strcmp(mode, "release") != 0) steps /= 4; /* sanitizers see the same code sooner */
    if (steps_text) steps = (unsigned)atoi(steps_text);
    struct run run = {.seed = seed, .many = 300};
    print_message("# seed %llu, %u operations\n", (unsigned long long)seed, steps);
    run_begin(&run, index);
    for (unsigned i = 0; i < steps; i++) {
        run_step(&run);
        run_look(&run, 97);
        if (i % 250 == 249) run_look_all(&run, 41);
    }
    run_look_all(&run, 13);
    run_look(&run, 1);
    run_end(&run);
}

static void a_history_of_flat_parts(void **state)
{
    (void)state;
    history(1, 1500, VDB_INDEX_FLAT);
}

static void a_history_of_graphs(void **state)
{
    (void)state;
    history(0xdecafbad, 350, VDB_INDEX_GRAPH);
}

static void a_history_of_recent_and_old_rows(void **state)
{
    (void)state;
    history(77777777, 350, VDB_INDEX_HYBRID);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(a_history_of_flat_parts),
        test(a_history_of_graphs),
        test(a_history_of_recent_and_old_rows),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
