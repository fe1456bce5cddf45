/* test_par.c: the parallel loop calls its job for each item exactly once.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/par.h"

#define ITEMS       10000
#define THREADS_MAX 64

/* cmocka's assertions may only be used in the thread that runs the test, so jobs count faults. */
struct record {
    atomic_int calls[ITEMS];
    atomic_int inside[THREADS_MAX]; /* calls of a worker that have not returned */
    atomic_int faults, elsewhere;   /* elsewhere: calls outside the calling thread */
    unsigned threads;
    size_t count, chunk;
    pthread_t caller;
};

static void record_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct record *r = context;
    if (worker >= r->threads || begin >= end || end > r->count || end - begin > r->chunk) {
        atomic_fetch_add(&r->faults, 1);
        return;
    }
    if (atomic_fetch_add(&r->inside[worker], 1)) atomic_fetch_add(&r->faults, 1);
    if (!pthread_equal(pthread_self(), r->caller)) atomic_fetch_add(&r->elsewhere, 1);
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&r->calls[i], 1);
    atomic_fetch_sub(&r->inside[worker], 1);
}

static struct record record;

static void run(unsigned threads, size_t count, size_t chunk)
{
    memset(&record, 0, sizeof record);
    record.threads = threads > 0 ? threads : 1;
    record.count = count;
    record.chunk = chunk > 0 ? chunk : 1;
    record.caller = pthread_self();
    par_for(threads, count, chunk, record_job, &record);
    assert_int_equal(record.faults, 0);
    for (size_t i = 0; i < ITEMS; i++) assert_int_equal(record.calls[i], i < count ? 1 : 0);
}

static void every_item_once(void **state)
{
    (void)state;
    static const unsigned threads[] = {0, 1, 2, 3, 8, 64};
    static const size_t counts[] = {0, 1, 2, 7, 64, 1000, ITEMS};
    static const size_t chunks[] = {0, 1, 3, 64, 999, ITEMS, SIZE_MAX};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++)
        for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++)
            for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++)
                run(threads[t], counts[n], chunks[c]);
}

static void one_thread_is_the_caller(void **state)
{
    (void)state;
    run(1, ITEMS, 10);
    assert_int_equal(record.elsewhere, 0);
    run(0, ITEMS, 10);
    assert_int_equal(record.elsewhere, 0);
}

/* Each of four workers waits in its first call until all four are there. */
static void wait_for_all(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker, (void)begin, (void)end;
    atomic_int *arrived = context;
    atomic_fetch_add(arrived, 1);
    for (int i = 0; i < 10000 && atomic_load(arrived) < 4; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void threads_run_at_the_same_time(void **state)
{
    (void)state;
    atomic_int arrived = 0;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    par_for(4, 4, 1, wait_for_all, &arrived);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(arrived, 4);
    assert_true(after.tv_sec - before.tv_sec < 9); /* else somebody ran into the end of the wait */
}

struct ranges {
    atomic_size_t items, calls, faults;
};

static void add_range(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)worker;
    struct ranges *r = context;
    if (begin >= end) atomic_fetch_add(&r->faults, 1);
    atomic_fetch_add(&r->items, end - begin);
    atomic_fetch_add(&r->calls, 1);
}

static void the_largest_counts_do_not_wrap(void **state)
{
    (void)state;
    struct ranges r = {0};
    par_for(3, SIZE_MAX, SIZE_MAX / 2, add_range, &r);
    assert_true(r.items == SIZE_MAX);
    assert_int_equal(r.calls, 3);
    assert_int_equal(r.faults, 0);
}

/* Threads whose stacks are larger than any address space cannot be had. */
static void without_threads_the_caller_does_it(void **state)
{
    (void)state;
    pthread_attr_t usual, huge;
    assert_int_equal(pthread_getattr_default_np(&usual), 0);
    assert_int_equal(pthread_attr_init(&huge), 0);
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    run(4, ITEMS, 10);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    assert_int_equal(record.elsewhere, 0);
    pthread_attr_destroy(&huge);
    pthread_attr_destroy(&usual);
}

static void see_signals(void *context, unsigned worker, size_t begin, size_t end)
{
    (void)begin, (void)end;
    int *blocked = context;
    sigset_t mask;
    if (worker != 0 && pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0)
        blocked[worker] = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1 &&
                          sigismember(&mask, SIGBUS) == 0;
    nanosleep(&(struct timespec){0, 1000000}, NULL); /* let the other worker have some */
}

static void workers_leave_signals_to_the_program(void **state)
{
    (void)state;
    sigset_t mine, before, after;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    sigemptyset(&after);
    pthread_sigmask(SIG_SETMASK, &mine, &before);
    int blocked[2] = {0, -1};
    for (int i = 0; i < 100 && blocked[1] == -1; i++) par_for(2, 100, 1, see_signals, blocked);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_int_equal(blocked[1], 1);
    for (int s = 1; s < 32; s++) assert_int_equal(sigismember(&after, s), s == SIGUSR2);
}

static void threads_asked_for_or_processors(void **state)
{
    (void)state;
    assert_int_equal(par_threads(1), 1);
    assert_int_equal(par_threads(37), 37);

    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(par_threads(0), CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsigned restricted = par_threads(0);
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(restricted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(one_thread_is_the_caller),
        cmocka_unit_test(threads_run_at_the_same_time),
        cmocka_unit_test(the_largest_counts_do_not_wrap),
        cmocka_unit_test(without_threads_the_caller_does_it),
        cmocka_unit_test(workers_leave_signals_to_the_program),
        cmocka_unit_test(threads_asked_for_or_processors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("par", tests, NULL, NULL);
}
