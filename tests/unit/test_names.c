/* test_names.c: names of commits: their order, what shares them, how many there can be, and that a
 * long record of changes does not take time by the square of its length.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "state/names.h"

static struct names *none(void)
{
    struct manifest manifest = {0};
    struct names *names;
    assert_int_equal(names_create(&manifest, &names, NULL), VDB_OK);
    return names;
}

static struct log_name_change change_of(unsigned operation, const char *name)
{
    struct log_name_change change = {.operation = operation};
    change.snapshot.name_len = (uint16_t)strlen(name);
    memcpy(change.snapshot.name, name, strlen(name));
    return change;
}

static enum vdb_status change(struct names **names, unsigned operation, const char *name)
{
    struct log_name_change asked = change_of(operation, name);
    return names_change(names, &asked, NULL);
}

static const char *const sorted[] = {"a", "aa", "b", "ba", "\xc3\xa9"}; /* é is behind ASCII */

static void names_stand_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    static const int order[] = {3, 0, 4, 2, 1};
    struct names *names = none();
    for (int i = 0; i < 5; i++)
        assert_int_equal(change(&names, DISK_NAME_CREATE, sorted[order[i]]), VDB_OK);
    assert_int_equal(names->count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(names->entries[i]->name_len, strlen(sorted[i]));
        assert_memory_equal(names->entries[i]->name, sorted[i], strlen(sorted[i]));
        bool there;
        assert_int_equal(names_place(names, sorted[i], strlen(sorted[i]), &there), i);
        assert_true(there);
    }
    assert_int_equal(change(&names, DISK_NAME_CREATE, "b"), VDB_EXISTS);
    assert_int_equal(change(&names, DISK_NAME_REMOVE, "c"), VDB_NOT_FOUND);
    assert_int_equal(change(&names, DISK_NAME_REMOVE, "aa"), VDB_OK);
    assert_int_equal(names->count, 4);
    assert_memory_equal(names->entries[1]->name, "b", 1);
    names_unref(names);
}

static void shared_names_stay_as_they_are(void **state)
{
    (void)state;
    struct names *before = none();
    assert_int_equal(change(&before, DISK_NAME_CREATE, "one"), VDB_OK);
    struct names *after = names_ref(before);
    assert_int_equal(change(&after, DISK_NAME_CREATE, "two"), VDB_OK);
    assert_int_equal(change(&after, DISK_NAME_REMOVE, "one"), VDB_OK);
    assert_int_equal(before->count, 1);
    assert_memory_equal(before->entries[0]->name, "one", 3);
    assert_int_equal(after->count, 1);
    assert_memory_equal(after->entries[0]->name, "two", 3);
    names_unref(before);
    assert_memory_equal(after->entries[0]->name, "two", 3);
    names_unref(after);
}

static void there_is_a_most(void **state)
{
    (void)state;
    struct names *names = none();
    char name[16];
    for (int i = 0; i < VDB_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(change(&names, DISK_NAME_CREATE, name), VDB_OK);
    }
    assert_int_equal(change(&names, DISK_NAME_CREATE, "more"), VDB_LIMIT);
    assert_int_equal(names->count, VDB_NAMES_MAX);
    assert_int_equal(change(&names, DISK_NAME_REMOVE, "7"), VDB_OK);
    assert_int_equal(change(&names, DISK_NAME_CREATE, "more"), VDB_OK);
    names_unref(names);
}

/* A file of 100 MB can hold as many changes as that: copying the names at each took hours. */
static void many_changes_take_little_time(void **state)
{
    (void)state;
    const int changes = 300000;
    struct names *names = none();
    char name[16];
    clock_t begin = clock();
    for (int i = 0; i < changes; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(change(&names, DISK_NAME_CREATE, name), VDB_OK);
        snprintf(name, sizeof name, "%d", i - VDB_NAMES_MAX / 2);
        if (i >= VDB_NAMES_MAX / 2)
            assert_int_equal(change(&names, DISK_NAME_REMOVE, name), VDB_OK);
    }
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 60);
    names_unref(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_in_the_order_of_their_bytes),
        cmocka_unit_test(shared_names_stay_as_they_are),
        cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(many_changes_take_little_time),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
