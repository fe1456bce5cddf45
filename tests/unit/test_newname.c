/* test_newname.c: passing names: what others hold or own stays, what killed processes left goes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/newname.h"
#include "store_fixture.h"

/* What is being named is static here: the lock of one that a failed test leaves open is looked at
 * by whoever opens or closes the next. */

static bool is_there(const char *name)
{
    struct stat found;
    return lstat(store_path(name), &found) == 0;
}

static void put(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(store_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void put_index(const char *name)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 4;
    vdb_close(store_create(name, options));
}

static const char zeros[5000];

/* Begins a file to be called "a", which must come under "a.tmp-<number>". */
static void begin(struct newname *name, int number)
{
    struct vdb_error err;
    char expected[16];
    snprintf(expected, sizeof expected, "a.tmp-%d", number);
    must(newname_create(name, store_path("a"), 0666, &err), &err);
    assert_string_equal(strrchr(name->passing, '/') + 1, expected);
    assert_true(is_there(expected));
}

static void leftovers_go(void **state)
{
    (void)state;
    static struct newname name;
    struct vdb_error err;
    put("a.tmp-0", zeros, sizeof zeros);
    put_index("a.tmp-1");
    put("a.tmp-4", zeros, 0);
    put_index("a.tmp-7");
    begin(&name, 0);
    assert_false(is_there("a.tmp-1") || is_there("a.tmp-4") || is_there("a.tmp-7"));
    must(newname_finish(&name, VDB_OK, false, &err), &err);
    assert_true(is_there("a") && !is_there("a.tmp-0"));
}

static void what_is_not_ours_stays(void **state)
{
    (void)state;
    static struct newname name;
    char target[600];
    put("a.tmp-0", "somebody's notes", 16);
    put_index("other");
    snprintf(target, sizeof target, "%s", store_path("other"));
    assert_int_equal(symlink(target, store_path("a.tmp-1")), 0);
    assert_int_equal(mkdir(store_path("a.tmp-2"), 0700), 0);
    assert_int_equal(mkfifo(store_path("a.tmp-3"), 0600), 0);
    put_index("a.tmp-10");
    put_index("a.tmp-x");
    put_index("ab.tmp-0");
    begin(&name, 4);
    assert_int_equal(newname_finish(&name, VDB_CANCELLED, false, NULL), VDB_CANCELLED);
    static const char *const stay[] = {"a.tmp-0", "a.tmp-1",  "a.tmp-2", "a.tmp-3",
                                       "other",   "a.tmp-10", "a.tmp-x", "ab.tmp-0"};
    for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) assert_true(is_there(stay[i]));
    assert_false(is_there("a.tmp-4"));
    assert_int_equal(rmdir(store_path("a.tmp-2")), 0);
}

static void what_another_user_left_stays(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    put("a.tmp-0", zeros, sizeof zeros);
    assert_int_equal(chown(store_path("a.tmp-0"), 1, 1), 0);
    assert_int_equal(newname_clear(store_path("a"), NULL), VDB_OK);
    assert_true(is_there("a.tmp-0"));
}

/* Also those of this process; as many as there are names, and then an error that tells one. */
static void what_is_being_written_stays(void **state)
{
    (void)state;
    static struct newname names[NEWNAME_COUNT], more;
    struct vdb_error err;
    for (int i = 0; i < NEWNAME_COUNT; i++) begin(&names[i], i);
    assert_int_equal(newname_clear(store_path("a"), NULL), VDB_OK);
    assert_int_equal(newname_create(&more, store_path("a"), 0666, &err), VDB_CANNOT_CREATE);
    assert_int_equal(err.os_errno, EEXIST);
    assert_non_null(strstr(err.message, "a.tmp-7"));
    must(newname_finish(&names[3], VDB_OK, false, &err), &err);
    begin(&names[3], 3);
    for (int i = 0; i < NEWNAME_COUNT; i++)
        assert_int_equal(newname_finish(&names[i], VDB_OK, false, &err), VDB_EXISTS);
    for (int i = 0; i < NEWNAME_COUNT; i++) {
        char name[24];
        snprintf(name, sizeof name, "a.tmp-%d", i);
        assert_false(is_there(name));
    }
}

/* A process that dies lets go of the lock, even where it has left a child. */
static void who_is_killed_holds_nothing(void **state)
{
    (void)state;
    int ready[2], over[2];
    char c;
    struct newname name;
    assert_int_equal(pipe(ready) | pipe(over), 0);
    pid_t child = fork();
    if (child == 0) {
        close(over[1]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (newname_create(&name, store_path("a"), 0666, NULL)) _exit(1);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            if (write(ready[1], "x", 1) == 1 && read(over[0], &c, 1) == 0) _exit(0);
            _exit(1);
        }
        pause();
    }
    close(over[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(newname_clear(store_path("a"), NULL), VDB_OK);
    assert_true(is_there("a.tmp-0"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(newname_clear(store_path("a"), NULL), VDB_OK);
    assert_false(is_there("a.tmp-0"));
    close(over[1]);
    close(ready[0]);
    close(ready[1]);
}

/* Whoever asks for no lock may put another file there: that is neither named nor removed. */
static void a_passing_name_that_was_taken_away(void **state)
{
    (void)state;
    for (int failed = 0; failed < 2; failed++) {
        static struct newname name;
        struct vdb_error err;
        begin(&name, 0);
        assert_int_equal(unlink(store_path("a.tmp-0")), 0);
        put("a.tmp-0", "another", 7);
        assert_int_equal(newname_finish(&name, failed ? VDB_CANCELLED : VDB_OK, true, &err),
                         failed ? VDB_CANCELLED : VDB_CANNOT_CREATE);
        if (!failed) assert_non_null(strstr(err.message, "a.tmp-0"));
        assert_false(is_there("a"));
        assert_true(is_there("a.tmp-0"));
        assert_int_equal(unlink(store_path("a.tmp-0")), 0);
    }
}

/* ---- at once -------------------------------------------------------------------------------- */

enum { MAKERS = 4, ROUNDS = 300 };

/* What a maker has written is what comes to stand there, whole: a name that is cleared away under
 * his hands, or given by another, would show. */
static void *make_many(void *path)
{
    struct vdb_error err;
    uintptr_t wrong = 0;
    for (int i = 0; i < ROUNDS && !wrong; i++) {
        struct newname name;
        char bytes[4100];
        memset(bytes, 0, sizeof bytes);
        if (newname_create(&name, path, 0666, &err)) return "it was not created";
        struct osfile_stat made, there;
        wrong = osfile_write(&name.file, 0, bytes, sizeof bytes) != 0 ||
                osfile_stat(&name.file, &made) != 0 ||
                osfile_stat_name(name.passing, &there) != 0 ||
                made.identity.inode != there.identity.inode;
        if (newname_finish(&name, i % 3 ? VDB_OK : VDB_CANCELLED, true, &err) &&
            err.status != VDB_CANCELLED && i % 3)
            return "it did not get its name";
    }
    return wrong ? "its name led elsewhere" : NULL;
}

static void *clear_many(void *path)
{
    for (int i = 0; i < 3 * ROUNDS; i++)
        if (newname_clear(path, NULL)) return "no memory";
    return NULL;
}

static void makers_and_clearers_at_once(void **state)
{
    (void)state;
    pthread_t threads[MAKERS + 2];
    char path[600];
    void *wrong;
    snprintf(path, sizeof path, "%s", store_path("a"));
    for (int i = 0; i < MAKERS + 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < MAKERS ? make_many : clear_many, path), 0);
    for (int i = 0; i < MAKERS + 2; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        if (wrong) fail_msg("%s", (const char *)wrong);
    }
    assert_true(is_there("a"));
    for (int i = 0; i < NEWNAME_COUNT; i++) {
        char name[24];
        snprintf(name, sizeof name, "a.tmp-%d", i);
        assert_false(is_there(name));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leftovers_go),
        TEST(what_is_not_ours_stays),
        TEST(what_another_user_left_stays),
        TEST(what_is_being_written_stays),
        TEST(who_is_killed_holds_nothing),
        TEST(a_passing_name_that_was_taken_away),
        TEST(makers_and_clearers_at_once),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
