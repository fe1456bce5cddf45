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

/* What the segments say; the words are the caller's to free. */
static struct liveness random_spans(uint64_t *seed, uint8_t **words)
{
    *words = malloc(16384);
    assert_non_null(*words);
    for (size_t i = 0; i < 16384; i++) (*words)[i] = (uint8_t)(store_random(seed) >> 30);
    SPANS[0].words = *words;
    SPANS[1].words = *words + 200;
    return (struct liveness){.spans = SPANS, .span_count = 2};
}

/* A copy of another one, or with NULL of what the segments say. */
static void pair_init(struct pair *pair, const struct liveness *spans, const struct pair *from)
{
    assert_int_equal(liveness_copy(from ? &from->state : spans, &pair->state, NULL), 0);
    pair->dead = malloc(ROWS);
    assert_non_null(pair->dead);
    for (uint32_t row = 0; row < ROWS; row++)
        pair->dead[row] = from ? from->dead[row] : in_span(row);
}

static void pair_release(struct pair *pair)
{
    liveness_release(&pair->state);
    free(pair->dead);
}

static void states_do_not_see_each_other(void **state)
{
    (void)state;
    uint64_t seed = 4;
    uint8_t *words;
    struct pair pairs[STATES];
    const struct liveness spans = random_spans(&seed, &words);
    for (int i = 0; i < STATES; i++) {
        pair_init(&pairs[i], &spans, i ? &pairs[i - 1] : NULL);
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
    for (int i = 0; i < STATES; i++) pair_release(&pairs[i]);
    free(words);
}

/* Every row of [begin, end) that is dead in one and not in the other, and no other. */
static void expect_differences(const struct pair *a, const struct pair *b, uint32_t begin,
                               uint32_t end)
{
    uint32_t row = begin;
    for (uint32_t want = begin; want < end; want++) {
        if (a->dead[want] == b->dead[want]) continue;
        row = liveness_next_difference(&a->state, &b->state, row, end);
        if (row++ != want) fail_msg("rows %u to %u: %u differs, not %u", begin, end, want, row - 1);
    }
    assert_int_equal(liveness_next_difference(&a->state, &b->state, row, end), end);
}

/* Rows that are hidden end in words and chunks, begin there, and are none. */
static void hidden_rows_and_differences(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {
        {5, 5},
        {0, 1},
        {63, 64},
        {64, 128},
        {127, 130},
        {LIVENESS_CHUNK - 1, LIVENESS_CHUNK + 1},
        {LIVENESS_CHUNK, LIVENESS_CHUNK},
        {2 * LIVENESS_CHUNK, 2 * LIVENESS_CHUNK + 64},
        {ROWS - 78, ROWS - 76},
        {2 * LIVENESS_CHUNK - 3, ROWS},
    };
    uint64_t seed = 5;
    uint8_t *words;
    struct pair was, is;
    const struct liveness spans = random_spans(&seed, &words);
    pair_init(&was, &spans, NULL);
    assert_int_equal(liveness_set(&was.state, 200, true, NULL), 0);
    was.dead[200] = true;
    pair_init(&is, &spans, &was);
    expect_differences(&was, &is, 0, ROWS);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        uint32_t begin = ranges[i][0], end = ranges[i][1];
        assert_int_equal(liveness_hide(&is.state, begin, end, NULL), 0);
        for (uint32_t row = begin; row < end; row++) is.dead[row] = true;
        expect(&is);
        expect(&was);
        expect_differences(&was, &is, 0, ROWS);
        expect_differences(&is, &was, begin, end);
        expect_differences(&was, &is, begin + 1, end < ROWS ? end + 1 : end);
        expect_differences(&was, &is, 0, begin);
    }
    assert_int_equal(liveness_set(&is.state, 64, was.dead[64], NULL), 0);
    is.dead[64] = was.dead[64];
    expect_differences(&was, &is, 1, ROWS - 1);
    pair_release(&was);
    pair_release(&is);
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
        cmocka_unit_test(hidden_rows_and_differences),
        cmocka_unit_test(stored_words),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
