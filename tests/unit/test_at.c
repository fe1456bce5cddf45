/* test_at.c: which commit a WHEN means, where a snapshot's name could be read as something else.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "at.h"
#include "store_fixture.h"

static void name_it(struct vdb *db, const char *name)
{
    struct vdb_error err;
    must(vdb_name_create(db, name, strlen(name), NULL, &err), &err);
}

/* vdb-snap makes no such names, but a program can. */
static void a_name_counts_before_a_number_and_a_time(void **state)
{
    (void)state;
    const char *time = "2001-02-03T04:05:06Z";
    struct cli cli = {.tool = "test_at", .index = "a.vdb"};
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 2;
    struct vdb *db = store_create("a.vdb", options);
    store_add(db, 0, 2);
    store_add(db, 1, 2); /* commit 3 */
    name_it(db, "2");
    name_it(db, time);
    store_add(db, 2, 2);
    const struct vdb_snapshot *newest = store_snapshot(db);
    uint64_t commit = 0;
    assert_int_equal(at_commit(&cli, newest, "2", &commit), CLI_OK);
    assert_int_equal(commit, 3);
    assert_int_equal(at_commit(&cli, newest, time, &commit), CLI_OK);
    assert_int_equal(commit, 3);
    assert_int_equal(at_commit(&cli, newest, "02", &commit), CLI_OK);
    assert_int_equal(commit, 2);
    const struct vdb_snapshot *past = NULL;
    struct vdb_info info;
    assert_int_equal(at_past(&cli, newest, "2", &past), CLI_OK);
    vdb_snapshot_info(past, &info);
    assert_int_equal(info.commit, 3);
    assert_int_equal(info.live, 2);
    vdb_snapshot_close(past);
    vdb_snapshot_close(newest);
    vdb_close(db);
}

static void what_is_not_there_is_no(void **state)
{
    (void)state;
    struct cli cli = {.tool = "test_at", .index = "a.vdb"};
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 2;
    struct vdb *db = store_create("a.vdb", options);
    const struct vdb_snapshot *snapshot = NULL;
    assert_int_equal(at_open(&cli, db, "never", &snapshot), CLI_NO);
    assert_int_equal(at_open(&cli, db, "2", &snapshot), CLI_NO);
    assert_int_equal(at_open(&cli, db, "1970-01-01T00:00:00Z", &snapshot), CLI_NO);
    assert_null(snapshot);
    assert_int_equal(at_open(&cli, db, "1", &snapshot), CLI_OK);
    vdb_snapshot_close(snapshot);
    assert_int_equal(at_open(&cli, db, NULL, &snapshot), CLI_OK);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_counts_before_a_number_and_a_time, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_no, store_setup, store_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("at", tests, NULL, NULL);
}
