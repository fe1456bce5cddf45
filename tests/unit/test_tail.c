/* test_tail.c: the commits of a log, as they are taken in one by one: what does not follow on what
 * was before is refused, and so are ids that are none when they are looked for.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "state/tail.h"

enum { STRIDE = 64 };

/* The bytes of a file that begins with these ids. */
static struct buf ids_of(const char *const *ids, uint32_t count)
{
    struct ids_builder b = {0};
    struct buf file = {0};
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(ids_builder_add(&b, ids[i], strlen(ids[i]), NULL), VDB_OK);
    assert_int_equal(ids_builder_finish(&b, &file, NULL), VDB_OK);
    ids_builder_release(&b);
    return file;
}

static const char *const three[] = {"a", "b", "a"};

static void what_does_not_follow(void **state)
{
    (void)state;
    struct tail tail;
    struct vdb_error err = {0};
    struct buf file = ids_of(three, 3);
    struct log_commit commit = {.commit = 5,
                                .row_base = 7,
                                .row_count = 3,
                                .stride = STRIDE,
                                .ids = {0, file.len},
                                .record_off = 4096};
    assert_int_equal(tail_init(&tail, &err), VDB_OK);
    assert_int_equal(tail_append(&tail, &commit, 8, STRIDE, file.data, &err), VDB_CORRUPT);
    assert_string_equal(err.message, "commit 5 adds rows from 7, expected 8");
    assert_int_equal(err.offset, 4096);
    assert_int_equal(tail_append(&tail, &commit, 7, 128, file.data, &err), VDB_CORRUPT);
    assert_string_equal(err.message, "commit 5 has vectors of stride 64, expected 128");
    struct log_commit wrong = commit;
    wrong.ids.len = 10;
    assert_int_equal(tail_append(&tail, &wrong, 7, STRIDE, file.data, &err), VDB_CORRUPT);
    wrong = commit;
    wrong.metadata = (struct log_block){.off = 0, .len = 10};
    assert_int_equal(tail_append(&tail, &wrong, 7, STRIDE, file.data, &err), VDB_CORRUPT);
    assert_int_equal(tail.count, 0);
    assert_int_equal(tail_append(&tail, &commit, 7, STRIDE, file.data, &err), VDB_OK);
    assert_int_equal(tail.count, 1);
    tail_release(&tail);
    buf_release(&file);
}

static bool note(void *context, uint32_t row)
{
    struct buf *rows = context;
    return buf_append(rows, &row, sizeof row) == 0;
}

static void rows_are_found(void **state)
{
    (void)state;
    struct tail tail;
    struct vdb_error err = {0};
    struct buf file = ids_of(three, 3), rows = {0};
    struct log_commit commit = {
        .commit = 5, .row_base = 7, .row_count = 3, .stride = STRIDE, .ids = {0, file.len}};
    assert_int_equal(tail_init(&tail, &err), VDB_OK);
    assert_int_equal(tail_find(&tail, 0, checksum("a", 1), note, &rows, &err), VDB_OK);
    assert_int_equal(rows.len, 0);
    assert_int_equal(tail_append(&tail, &commit, 7, STRIDE, file.data, &err), VDB_OK);
    assert_int_equal(tail_find(&tail, 1, checksum("a", 1), note, &rows, &err), VDB_OK);
    static const uint32_t wanted[] = {9, 7};
    assert_int_equal(rows.len, sizeof wanted);
    assert_memory_equal(rows.data, wanted, sizeof wanted);
    assert_ptr_equal(tail_of_row(&tail, 1, 9), tail_at(&tail, 0));
    assert_null(tail_of_row(&tail, 1, 6));
    assert_null(tail_of_row(&tail, 1, 10));
    buf_release(&rows);
    tail_release(&tail);
    buf_release(&file);
}

/* The ids' table is looked at when the commit comes, and each id when it is looked for. */
static void an_id_that_is_none(void **state)
{
    (void)state;
    struct tail tail;
    struct vdb_error err = {0};
    struct buf file = ids_of(three, 3), rows = {0};
    struct log_commit commit = {
        .commit = 5, .row_base = 7, .row_count = 3, .stride = STRIDE, .ids = {0, file.len}};
    ((char *)memchr(file.data, 'b', file.len))[0] = '\n';
    assert_int_equal(tail_init(&tail, &err), VDB_OK);
    assert_int_equal(tail_append(&tail, &commit, 7, STRIDE, file.data, &err), VDB_OK);
    assert_int_equal(tail_find(&tail, 1, checksum("a", 1), note, &rows, &err), VDB_CORRUPT);
    assert_int_equal(rows.len, 0);
    tail_release(&tail);
    buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_follow),
        cmocka_unit_test(rows_are_found),
        cmocka_unit_test(an_id_that_is_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
