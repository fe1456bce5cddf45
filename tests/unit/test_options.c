/* test_options.c: options of any version of the library, and what an open handle may do.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store_fixture.h"

enum { DIM = 16 };

static struct vdb *create(void)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    return store_create("x.vdb", options);
}

/* The functions that take options, called with any bytes for them. */

static struct vdb *options_db; /* x.vdb, with one row */

static enum vdb_status call_create(const void *options, struct vdb_error *err)
{
    remove(store_path("o.vdb"));
    return vdb_create(store_path("o.vdb"), options, err);
}

static enum vdb_status call_open(const void *options, struct vdb_error *err)
{
    struct vdb *db = NULL;
    enum vdb_status status = vdb_open(store_path("x.vdb"), options, &db, err);
    vdb_close(db);
    return status;
}

static enum vdb_status call_search(const void *options, struct vdb_error *err)
{
    float query[DIM] = {1};
    struct vdb_hit hits[10];
    uint32_t found;
    const struct vdb_snapshot *s = store_snapshot(options_db);
    enum vdb_status status = vdb_search(s, query, 1, options, hits, &found, err);
    vdb_snapshot_close(s);
    if (!status) assert_int_equal(found, 1);
    return status;
}

static enum vdb_status call_maintain(const void *options, struct vdb_error *err)
{
    return vdb_maintain(options_db, options, err);
}

static enum vdb_status call_compact(const void *options, struct vdb_error *err)
{
    return vdb_compact(options_db, options, err);
}

static enum vdb_status call_check(const void *options, struct vdb_error *err)
{
    uint64_t findings;
    return vdb_check(store_path("x.vdb"), options, &findings, err);
}

static void options_of_any_size(void **state)
{
    (void)state;
    struct vdb_create_options create_options = VDB_CREATE_OPTIONS_INIT;
    const struct vdb_open_options open_options = VDB_OPEN_OPTIONS_INIT;
    const struct vdb_search_options search = VDB_SEARCH_OPTIONS_INIT;
    const struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    const struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    const struct vdb_check_options check = VDB_CHECK_OPTIONS_INIT;
    create_options.dim = DIM;
    const struct {
        enum vdb_status (*call)(const void *options, struct vdb_error *err);
        const void *good;
        size_t size, least; /* least: up to its one required member */
        enum vdb_status none;
    } calls[] = {
        {call_create, &create_options, sizeof create_options,
         offsetof(struct vdb_create_options, metric), VDB_INVALID},
        {call_open, &open_options, sizeof open_options, sizeof(size_t), VDB_OK},
        {call_search, &search, sizeof search, sizeof(size_t), VDB_OK},
        {call_maintain, &maintain, sizeof maintain, sizeof(size_t), VDB_OK},
        {call_compact, &compact, sizeof compact, sizeof(size_t), VDB_OK},
        {call_check, &check, sizeof check, sizeof(size_t), VDB_OK},
    };
    options_db = create();
    store_add(options_db, 1, DIM);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct vdb_error err = {0};
        union {
            size_t size;
            unsigned char bytes[256];
        } given = {.size = 0};
        assert_int_equal(calls[i].call(NULL, &err), calls[i].none);
        memcpy(given.bytes, calls[i].good, calls[i].size);
        must(calls[i].call(&given, &err), &err);

        given.size = calls[i].size + 16; /* a newer caller, who asks for nothing new */
        must(calls[i].call(&given, &err), &err);
        given.bytes[calls[i].size + 15] = 1;
        assert_int_equal(calls[i].call(&given, &err), VDB_UNSUPPORTED);
        given.size = calls[i].size + 15;
        must(calls[i].call(&given, &err), &err);

        static const size_t none[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
        for (size_t j = 0; j < sizeof none / sizeof none[0]; j++) {
            given.size = none[j];
            assert_int_equal(calls[i].call(&given, &err), VDB_INVALID);
        }

        /* An older caller: what lies behind the size is not looked at. */
        memset(given.bytes + calls[i].least, 0xff, sizeof given.bytes - calls[i].least);
        given.size = calls[i].least;
        must(calls[i].call(&given, &err), &err);
    }
    vdb_close(options_db);
    remove(store_path("o.vdb"));
}

/* What a short struct leaves out is as INIT has it, and what it has counts. */
static void options_that_are_short(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 2;
    options.metric = VDB_METRIC_COSINE;
    options.type = VDB_TYPE_U8;
    options.size = offsetof(struct vdb_create_options, type);
    must(vdb_create(store_path("s.vdb"), &options, &err), &err);
    struct vdb *db = store_open("s.vdb");
    assert_int_equal(store_info(db).metric, VDB_METRIC_COSINE);
    assert_int_equal(store_info(db).type, VDB_TYPE_F32);
    store_add_many(db, 0, 20, 2);
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_search_options search = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[20];
    uint32_t found;
    const float query[2] = {1, 1};
    search.k = 3;
    must(vdb_search(s, query, 1, &search, hits, &found, &err), &err);
    assert_int_equal(found, 3);
    search.size = offsetof(struct vdb_search_options, k);
    must(vdb_search(s, query, 1, &search, hits, &found, &err), &err);
    assert_int_equal(found, 10);
    search.size = sizeof search;
    search.k = 0; /* the caller's own number: no default could be meant */
    assert_int_equal(vdb_search(s, query, 1, &search, hits, &found, &err), VDB_INVALID);
    vdb_snapshot_close(s);
    vdb_close(db);
    remove(store_path("s.vdb"));
}

/* A handle that only reads says whose will that was. */
static void why_it_takes_no_writes(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb_txn *txn;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    vdb_close(create());
    options.read_only = 1;
    struct vdb *db = store_open_with("x.vdb", options);
    assert_int_equal(vdb_txn_begin(db, &txn, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, 0);
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, 0);
    vdb_close(db);
    uid_t user = geteuid();
    assert_int_equal(chmod(store_path("x.vdb"), 0444), 0);
    if (user == 0) { /* root may write anything */
        assert_int_equal(chmod(store_path("."), 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    db = store_open("x.vdb");
    if (user == 0) assert_int_equal(seteuid(0), 0);
    assert_int_equal(vdb_txn_begin(db, &txn, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, EACCES);
    assert_non_null(strstr(err.message, "Permission denied"));
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, EACCES);
    vdb_close(db);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(options_of_any_size),
        test(options_that_are_short),
        test(why_it_takes_no_writes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
