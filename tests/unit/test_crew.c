/* test_crew.c: threads that wait do every item of every run once, and nothing between runs.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/crew.h"

#define ITEMS_MAX 64
#define THREADS   4

struct record {
    atomic_int calls[ITEMS_MAX];
    atomic_int inside[THREADS];
    atomic_int faults, by_others;
    uint32_t count;
    long sleep_ns;
};

static void record_job(void *context, unsigned worker, uint32_t item)
{
    struct record *r = context;
    struct timespec pause = {0, r->sleep_ns};
    if (worker >= THREADS || item >= r->count) {
        atomic_fetch_add(&r->faults, 1);
        return;
    }
    if (atomic_fetch_add(&r->inside[worker], 1)) atomic_fetch_add(&r->faults, 1);
    if (r->sleep_ns) nanosleep(&pause, NULL);
    atomic_fetch_add(&r->calls[item], 1);
    if (worker) atomic_fetch_add(&r->by_others, 1);
    atomic_fetch_sub(&r->inside[worker], 1);
}

static int run(struct crew *crew, uint32_t count, long sleep_ns)
{
    struct record r;
    memset(&r, 0, sizeof r);
    r.count = count;
    r.sleep_ns = sleep_ns;
    crew_run(crew, count, record_job, &r);
    assert_int_equal(atomic_load(&r.faults), 0);
    for (uint32_t i = 0; i < ITEMS_MAX; i++)
        assert_int_equal(atomic_load(&r.calls[i]), i < count ? 1 : 0);
    return atomic_load(&r.by_others);
}

/* Each run's record is gone when the next begins: a thread that still wrote would be found by the
 * sanitizers, or would spoil the next one's. */
static void every_item_once(void **state)
{
    (void)state;
    struct crew *crew = crew_create(THREADS);
    assert_non_null(crew);
    for (uint32_t turn = 0; turn < 3000; turn++) run(crew, turn % (ITEMS_MAX + 1), 0);
    crew_free(crew);
}

static void others_take_part(void **state)
{
    (void)state;
    struct crew *crew = crew_create(THREADS);
    assert_non_null(crew);
    assert_in_range(run(crew, 40, 2000000), 1, 39);
    crew_free(crew);
}

static void one_thread_is_the_caller(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 1; threads++) {
        struct crew *crew = crew_create(threads);
        assert_non_null(crew);
        assert_int_equal(run(crew, 40, 0), 0);
        crew_free(crew);
    }
    crew_free(NULL);
}

/* Idle, or never used. */
static void they_end_when_they_wait(void **state)
{
    (void)state;
    for (int turn = 0; turn < 50; turn++) {
        struct crew *crew = crew_create(THREADS);
        assert_non_null(crew);
        if (turn % 2) run(crew, 3, 0);
        crew_free(crew);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(others_take_part),
        cmocka_unit_test(one_thread_is_the_caller),
        cmocka_unit_test(they_end_when_they_wait),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
