/* test_publish.c: an index that nobody sees before it is published.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"

static bool is_there(const char *name)
{
    struct stat found;
    return stat(store_path(name), &found) == 0;
}

static struct vdb *make(void)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb *db = NULL;
    struct vdb_error err;
    options.dim = 4;
    must(vdb_create_unpublished(store_path("a"), &options, NULL, &db, &err), &err);
    store_add(db, 1, 4);
    return db;
}

/* The handle goes on, as any does; the rows of before are there for others, and those of after. */
static void published(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = make();
    assert_false(is_there("a"));
    assert_true(is_there("a.tmp-0"));
    assert_string_equal(vdb_passing_path(db), store_path("a.tmp-0"));
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_INVALID);
    must(vdb_publish(db, &err), &err);
    assert_null(vdb_passing_path(db));
    assert_false(is_there("a.tmp-0"));
    struct vdb *other = store_open("a");
    assert_int_equal(store_info(other).rows, 1);
    store_add(db, 2, 4);
    assert_int_equal(store_info(other).rows, 2);
    must(vdb_compact(db, NULL, &err), &err);
    store_add(db, 3, 4);
    assert_int_equal(store_info(other).rows, 3);
    assert_int_equal(vdb_publish(db, &err), VDB_INVALID);
    vdb_close(other);
    vdb_close(db);
    assert_int_equal(store_check("a", 1, NULL), 0);
}

static void given_up(void **state)
{
    (void)state;
    vdb_close(make());
    assert_false(is_there("a") || is_there("a.tmp-0"));
}

/* What came to be there first stays; nothing can be written any more that would be lost. */
static void too_late(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    struct vdb_txn *txn;
    options.dim = 4;
    struct vdb *db = make();
    vdb_close(store_create("a", options));
    assert_true(is_there("a.tmp-0"));
    assert_int_equal(vdb_publish(db, &err), VDB_EXISTS);
    assert_false(is_there("a.tmp-0"));
    assert_int_equal(vdb_txn_begin(db, &txn, &err), VDB_READ_ONLY);
    vdb_close(db);
    db = store_open("a");
    assert_int_equal(store_info(db).rows, 0);
    assert_int_equal(vdb_create_unpublished(store_path("a"), &options, NULL, &db, &err),
                     VDB_EXISTS);
    vdb_close(db);
}

/* A child of fork has a copy of the handle, and no share in the file. */
static void closed_by_a_child(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = make();
    pid_t child = fork();
    if (child == 0) {
        vdb_close(db);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    assert_true(is_there("a.tmp-0"));
    must(vdb_publish(db, &err), &err);
    vdb_close(db);
    assert_true(is_there("a"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(published),
        TEST(given_up),
        TEST(too_late),
        TEST(closed_by_a_child),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
