/* test_row_times.c: times of rows go in and come out, one entry a second, and what is no time
 * segment is refused or does no harm.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/disk.h"
#include "format/row_times.h"

#define SECOND ((int64_t)1000000)
#define START  ((int64_t)1700000000 * SECOND)

static struct row_times_view built(struct row_times_builder *b, const int64_t *times, uint32_t rows)
{
    struct row_times_view view;
    *b = (struct row_times_builder){0};
    for (uint32_t i = 0; i < rows; i++) assert_int_equal(row_times_add(b, times[i], NULL), VDB_OK);
    assert_int_equal(row_times_view_init(&view, b->entries.data, b->entries.len, 0, NULL), VDB_OK);
    assert_int_equal(row_times_validate(&view, rows, 0, NULL), VDB_OK);
    return view;
}

/* A time read is the row's or less than a second later; and copied again, it stays what it is. */
static void they_come_back(void **state)
{
    (void)state;
    enum { ROWS = 2000 };
    int64_t times[ROWS], now = START;
    struct row_times_builder first, second;
    for (uint32_t i = 0; i < ROWS; i++) {
        if (i % 3 == 0) now += (int64_t)(i * 7919 % 1300) * 1000;
        times[i] = i < 20 ? 0 : now;
    }
    struct row_times_view view = built(&first, times, ROWS);
    int64_t seconds = (times[ROWS - 1] - times[20]) / SECOND + 2;
    assert_in_range(view.count, 2, seconds + 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        int64_t later = row_times_at(&view, i) - times[i];
        assert_true(later >= 0 && later < SECOND);
        if (i < 20) assert_int_equal(row_times_at(&view, i), 0);
        times[i] = row_times_at(&view, i);
    }
    struct row_times_view again = built(&second, times, ROWS);
    assert_int_equal(first.entries.len, second.entries.len);
    assert_memory_equal(view.entries, again.entries, first.entries.len);
    buf_release(&first.entries);
    buf_release(&second.entries);
}

static void the_boundary_of_a_second(void **state)
{
    (void)state;
    struct row_times_builder b;
    const int64_t times[] = {START, START + SECOND - 1, START + SECOND};
    struct row_times_view view = built(&b, times, 3);
    assert_int_equal(view.count, 2);
    assert_int_equal(row_times_at(&view, 0), START + SECOND - 1);
    assert_int_equal(row_times_at(&view, 2), START + SECOND);
    assert_true(row_times_any(&b));
    buf_release(&b.entries);
}

static void none_is_recorded(void **state)
{
    (void)state;
    struct row_times_builder b = {0};
    struct row_times_view empty = {0};
    assert_false(row_times_any(&b));
    for (int i = 0; i < 3; i++) assert_int_equal(row_times_add(&b, 0, NULL), VDB_OK);
    assert_false(row_times_any(&b));
    assert_int_equal(b.entries.len, sizeof(struct disk_row_time));
    assert_int_equal(row_times_at(&empty, 7), 0);
    buf_release(&b.entries);
}

/* A clock that went back: rows keep their order. */
static void times_never_fall(void **state)
{
    (void)state;
    struct row_times_builder b;
    const int64_t times[] = {START + 5 * SECOND, START, START + 9 * SECOND};
    struct row_times_view view = built(&b, times, 3);
    assert_int_equal(row_times_at(&view, 1), START + 5 * SECOND);
    buf_release(&b.entries);
}

static void what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows[3];
        int64_t times[3];
    } bad[] = {
        {{1, 2, 3}, {1, 2, 3}}, /* the first is not row 0 */
        {{0, 2, 2}, {1, 2, 3}}, {{0, 3, 2}, {1, 2, 3}}, {{0, 1, 10}, {1, 2, 3}},
        {{0, 1, 2}, {1, 2, 2}}, {{0, 1, 2}, {1, 3, 2}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct disk_row_time entries[3];
        struct row_times_view view;
        memset(entries, 0, sizeof entries);
        for (int j = 0; j < 3; j++) {
            entries[j].row = le32_put(bad[i].rows[j]);
            entries[j].time_us = le64_put((uint64_t)bad[i].times[j]);
        }
        assert_int_equal(row_times_view_init(&view, entries, sizeof entries, 0, NULL), VDB_OK);
        assert_int_equal(row_times_validate(&view, 10, 0, NULL), VDB_CORRUPT);
        for (uint32_t row = 0; row < 12; row++) (void)row_times_at(&view, row);
    }
    struct row_times_view view;
    uint8_t bytes[40] = {0};
    assert_int_equal(row_times_view_init(&view, bytes, 0, 0, NULL), VDB_CORRUPT);
    assert_int_equal(row_times_view_init(&view, bytes, 40, 0, NULL), VDB_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_back),   cmocka_unit_test(the_boundary_of_a_second),
        cmocka_unit_test(none_is_recorded), cmocka_unit_test(times_never_fall),
        cmocka_unit_test(what_is_wrong),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
