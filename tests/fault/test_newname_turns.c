/* test_newname_turns.c: what others do between two steps of who creates a file or clears one away.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/newname.h"
#include "fault/seam.h"

static char folder[64], path[80], passing[90];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/vdb-test-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(passing, sizeof passing, "%s.tmp-0", path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(passing);
    return rmdir(folder);
}

static void put(const char *name)
{
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* Calls it before the first lock that is asked for, which is then had as if nothing was. */
static void before_the_lock(void (*call)(void *))
{
    seam_fail(
        &(struct seam_fault){.kinds = SEAM_LOCK, .nth = 1, .effect = SEAM_PASS, .before = call});
}

/* The file that is found takes its name and another one is begun. */
static void finish_and_begin(void *context)
{
    (void)context;
    assert_int_equal(rename(passing, path), 0);
    put(passing);
}

static void what_was_begun_meanwhile_is_not_cleared(void **state)
{
    (void)state;
    put(passing);
    before_the_lock(finish_and_begin);
    enum vdb_status status = newname_clear(path, NULL);
    seam_pass();
    assert_int_equal(seam_failures(), 1);
    assert_int_equal(status, VDB_OK);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(passing, F_OK), 0);
}

static void take_away(void *context)
{
    (void)context;
    assert_int_equal(unlink(passing), 0);
}

static void what_was_cleared_meanwhile_is_made_anew(void **state)
{
    (void)state;
    struct newname name;
    before_the_lock(take_away);
    enum vdb_status status = newname_create(&name, path, 0600, NULL);
    seam_pass();
    assert_int_equal(seam_failures(), 1);
    assert_int_equal(status, VDB_OK);
    assert_int_equal(access(name.passing, F_OK), 0);
    assert_int_equal(newname_finish(&name, VDB_OK, false, NULL), VDB_OK);
    assert_int_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_begun_meanwhile_is_not_cleared),
        TEST(what_was_cleared_meanwhile_is_made_anew),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
