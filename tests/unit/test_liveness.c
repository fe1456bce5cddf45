/* test_liveness.c: which rows are deleted, against plain arrays of booleans; states that share
 * chunks do not see each other's changes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/liveness.h"
#include "store_fixture.h"

enum { ROWS = 3 * (int)LIVENESS_CHUNK + 77, STATES = 4 };

struct pair {
    struct liveness state;
    bool *dead;
};

/* Rows that tombstone segments speak for, with a gap between, and no end at a chunk's. */
static struct liveness_span SPANS[2] = {{100, 1000, NULL}, {30000, 70001, NULL}};

static bool in_span(uint32_t row)
{
    for (int i = 0; i < 2; i++) {
        uint32_t bit = row - SPANS[i].row_begin;
        if (row >= SPANS[i].row_begin && row < SPANS[i].row_end)
            return SPANS[i].words[bit / 8] >> (bit % 8) & 1;
    }
    return false;
}

static void expect(const struct pair *pair)
{
    for (uint32_t row = 0; row < ROWS + 10; row++)
        if (liveness_deleted(&pair->state, row) != (row < ROWS && pair->dead[row]))
            fail_msg("row %u", row);
}

static void states_do_not_see_each_other(void **state)
{
    (void)state;
    uint64_t seed = 4;
    uint8_t *words = malloc(16384);
    struct pair pairs[STATES];
    assert_non_null(words);
    for (size_t i = 0; i < 16384; i++) words[i] = (uint8_t)(store_random(&seed) >> 30);
    SPANS[0].words = words;
    SPANS[1].words = words + 200;
    const struct liveness spans = {.spans = SPANS, .span_count = 2};
    for (int i = 0; i < STATES; i++) {
        assert_int_equal(liveness_copy(i ? &pairs[i - 1].state : &spans, &pairs[i].state, NULL), 0);
        pairs[i].dead = malloc(ROWS);
        assert_non_null(pairs[i].dead);
        for (uint32_t row = 0; row < ROWS; row++)
            pairs[i].dead[row] = i ? pairs[i - 1].dead[row] : in_span(row);
        expect(&pairs[i]);
        for (unsigned change = 0; change < 3000; change++) {
            uint64_t which = (store_random(&seed) >> 20) % (uint64_t)(i + 1);
            uint32_t row = (uint32_t)(store_random(&seed) >> 20) % ROWS;
            bool dead = store_random(&seed) >> 40 & 1;
            assert_int_equal(liveness_set(&pairs[which].state, row, dead, NULL), 0);
            pairs[which].dead[row] = dead;
        }
        for (int j = 0; j <= i; j++) expect(&pairs[j]);
    }
    for (int i = 0; i < STATES; i++) {
        liveness_release(&pairs[i].state);
        free(pairs[i].dead);
    }
    free(words);
}

/* Words as a tombstone segment has them: the bits of the rows, and zero behind the last. */
static void stored_words(void **state)
{
    (void)state;
    struct liveness dead = {0};
    uint8_t words[24];
    assert_int_equal(liveness_set(&dead, 10, true, NULL), 0);
    assert_int_equal(liveness_set(&dead, 74, true, NULL), 0);
    assert_int_equal(liveness_set(&dead, 139, true, NULL), 0);
    assert_int_equal(liveness_set(&dead, 140, true, NULL), 0);
    memset(words, 0xff, sizeof words);
    assert_int_equal(liveness_store(&dead, 10, 130, words), 3);
    uint8_t want[24] = {[0] = 1, [8] = 1, [16] = 2};
    assert_memory_equal(words, want, sizeof words);
    liveness_release(&dead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_do_not_see_each_other),
        cmocka_unit_test(stored_words),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
