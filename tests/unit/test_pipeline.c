/* test_pipeline.c: batches are written in order and each once, reading and writing are never done
 * twice at a time, and none waits for input while there is something to write.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "search/pipeline.h"

enum { SLOTS_MAX = 12, NEVER = 1 << 30 };

struct line {
    int last, stop_at;      /* batches are 0 to last; `write` fails at stop_at */
    int slots[SLOTS_MAX];   /* the batch in each, negative once it is worked on */
    int next_read, written; /* how many */
    int reading, writing, working, working_most, faults;
    bool dialogue; /* `read` waits until all that was read is written */
    int together;  /* `work` waits until so many are at it, once */
};

static int at(const int *n)
{
    return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static int change(int *n, int by)
{
    return __atomic_add_fetch(n, by, __ATOMIC_SEQ_CST);
}

/* Waits for *n to be that much; some seconds at most. */
static bool wait_until(const int *n, int wanted)
{
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && at(n) < wanted; i++) nanosleep(&pause, NULL);
    return at(n) >= wanted;
}

static bool read_one(void *context, size_t slot)
{
    struct line *line = context;
    if (change(&line->reading, 1) != 1) change(&line->faults, 1);
    if (line->dialogue && !wait_until(&line->written, line->next_read)) change(&line->faults, 1);
    line->slots[slot] = line->next_read++;
    change(&line->reading, -1);
    return line->slots[slot] < line->last;
}

static void work_on_one(void *context, size_t slot)
{
    struct line *line = context;
    int many = change(&line->working, 1);
    if (many > at(&line->working_most))
        __atomic_store_n(&line->working_most, many, __ATOMIC_SEQ_CST);
    if (line->together && !wait_until(&line->working_most, line->together))
        change(&line->faults, 1);
    for (int i = 0; i < line->slots[slot] * 7 % 5; i++) sched_yield();
    line->slots[slot] = -1 - line->slots[slot];
    change(&line->working, -1);
}

static int write_one(void *context, size_t slot)
{
    struct line *line = context;
    if (change(&line->writing, 1) != 1) change(&line->faults, 1);
    if (line->slots[slot] != -1 - at(&line->written)) change(&line->faults, 1);
    if (at(&line->written) == line->stop_at) return 42;
    change(&line->written, 1);
    change(&line->writing, -1);
    return 0;
}

static int run(struct line *line, unsigned threads, size_t slots)
{
    struct pipeline pipeline = {threads, slots, line, read_one, work_on_one, write_one};
    return pipeline_run(&pipeline);
}

static void in_order_and_each_once(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 6; threads++)
        for (size_t slots = 1; slots <= SLOTS_MAX; slots++)
            for (int last = 0; last <= 300; last += last == 0 ? 1 : 299) {
                struct line line = {.last = last, .stop_at = NEVER};
                assert_int_equal(run(&line, threads, slots), 0);
                assert_int_equal(line.faults, 0);
                assert_int_equal(line.written, last + 1);
                assert_int_equal(line.next_read, last + 1);
                assert_in_range(line.working_most, 1, threads);
            }
}

/* What `write` returns ends it: nothing behind is written, nor read for long. */
static void a_write_that_fails(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads++)
        for (int stop = 0; stop <= 40; stop += 20) {
            struct line line = {.last = NEVER, .stop_at = stop};
            assert_int_equal(run(&line, threads, 2 * threads), 42);
            assert_int_equal(line.faults, 0);
            assert_int_equal(line.written, stop);
            assert_in_range(line.next_read, stop + 1, stop + 1 + 2 * (int)threads);
        }
}

/* Each batch comes only when all before it are written, as in a dialogue. */
static void nothing_waits_for_input(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct line line = {.last = 50, .stop_at = NEVER, .dialogue = true};
        assert_int_equal(run(&line, threads, 2 * threads), 0);
        assert_int_equal(line.faults, 0);
        assert_int_equal(line.written, 51);
    }
}

static void all_threads_work(void **state)
{
    (void)state;
    struct line line = {.last = 50, .stop_at = NEVER, .together = 4};
    assert_int_equal(run(&line, 4, 8), 0);
    assert_int_equal(line.faults, 0);
    assert_int_equal(line.working_most, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_each_once),
        cmocka_unit_test(a_write_that_fails),
        cmocka_unit_test(nothing_waits_for_input),
        cmocka_unit_test(all_threads_work),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
