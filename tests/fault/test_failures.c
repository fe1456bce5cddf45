/* test_failures.c: calls on files that fail, at every place where a workload makes one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault/failures.h"

#define TRY(...)                                                                                   \
    do {                                                                                           \
        static const struct failure list[] = {__VA_ARGS__};                                        \
        (void)state;                                                                               \
        failures_try(list, sizeof list / sizeof list[0]);                                          \
    } while (0)

static void writes_that_fail(void **state)
{
    TRY({"write ENOSPC", SEAM_WRITE, ENOSPC, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, true},
        {"write EDQUOT", SEAM_WRITE, EDQUOT, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"write EIO", SEAM_WRITE, EIO, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"half a write, then ENOSPC", SEAM_WRITE, ENOSPC, SEAM_HALF, LASTS_FOR_GOOD, SEEN_ALWAYS,
         false});
}

static void reservations_that_fail(void **state)
{
    TRY({"reserve ENOSPC", SEAM_RESERVE, ENOSPC, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"reserve EDQUOT", SEAM_RESERVE, EDQUOT, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"reserve EIO", SEAM_RESERVE, EIO, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"reserve EFBIG", SEAM_RESERVE, EFBIG, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"half a reservation, then ENOSPC", SEAM_RESERVE, ENOSPC, SEAM_HALF, LASTS_BOTH,
         SEEN_ALWAYS, false});
}

static void what_nobody_may_notice(void **state)
{
    TRY({"write EINTR", SEAM_WRITE, EINTR, SEAM_NOTHING, LASTS_ONCE, SEEN_NEVER, false},
        {"half a write", SEAM_WRITE, 0, SEAM_HALF, LASTS_ONCE, SEEN_NEVER, false},
        {"reserve EINTR", SEAM_RESERVE, EINTR, SEAM_NOTHING, LASTS_ONCE, SEEN_NEVER, false},
        {"read EINTR", SEAM_READ, EINTR, SEAM_NOTHING, LASTS_ONCE, SEEN_NEVER, false},
        {"half a read", SEAM_READ, 0, SEAM_HALF, LASTS_ONCE, SEEN_NEVER, false},
        {"open EINTR", SEAM_OPEN | SEAM_CREATE, EINTR, SEAM_NOTHING, LASTS_ONCE, SEEN_NEVER, false},
        {"lock EINTR", SEAM_LOCK, EINTR, SEAM_NOTHING, LASTS_ONCE, SEEN_NEVER, false},
        {"close EIO", SEAM_CLOSE, EIO, SEAM_DONE, LASTS_BOTH, SEEN_NEVER, false});
}

static void reads_that_fail(void **state)
{
    TRY({"read EIO", SEAM_READ, EIO, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, false},
        {"half a read, then EIO", SEAM_READ, EIO, SEAM_HALF, LASTS_FOR_GOOD, SEEN_MAYBE, false},
        {"map ENOMEM", SEAM_MAP, ENOMEM, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, true},
        {"map ENODEV", SEAM_MAP, ENODEV, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false},
        {"stat EIO", SEAM_STAT, EIO, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false},
        {"stat EACCES", SEAM_STAT, EACCES, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false});
}

static void syncs_that_fail(void **state)
{
    TRY({"sync EIO, pages kept", SEAM_SYNC, EIO, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"sync EIO, pages dropped", SEAM_SYNC, EIO, SEAM_DROP, LASTS_BOTH, SEEN_ALWAYS, true},
        {"sync EIO, but done", SEAM_SYNC, EIO, SEAM_DONE, LASTS_ONCE, SEEN_ALWAYS, false},
        {"sync ENOSPC, pages dropped", SEAM_SYNC, ENOSPC, SEAM_DROP, LASTS_ONCE, SEEN_ALWAYS,
         false},
        {"sync EDQUOT, pages kept", SEAM_SYNC, EDQUOT, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS,
         false},
        {"sync EINTR, pages dropped", SEAM_SYNC, EINTR, SEAM_DROP, LASTS_ONCE, SEEN_ALWAYS, false},
        {"sync of a directory EIO", SEAM_SYNC_DIRECTORY, EIO, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS,
         false});
}

static void names_that_fail(void **state)
{
    TRY({"open EMFILE", SEAM_OPEN, EMFILE, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, false},
        {"open EACCES", SEAM_OPEN, EACCES, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, false},
        {"open ENFILE", SEAM_OPEN, ENFILE, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false},
        {"duplicate EMFILE", SEAM_DUPLICATE, EMFILE, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"create EMFILE", SEAM_CREATE, EMFILE, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"create EACCES", SEAM_CREATE, EACCES, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"create ENOSPC", SEAM_CREATE, ENOSPC, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"rename EIO", SEAM_RENAME, EIO, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"rename EIO, but done", SEAM_RENAME, EIO, SEAM_DONE, LASTS_ONCE, SEEN_ALWAYS, false},
        {"rename EACCES", SEAM_RENAME, EACCES, SEAM_NOTHING, LASTS_ONCE, SEEN_ALWAYS, false},
        {"unlink EIO", SEAM_UNLINK, EIO, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, false},
        {"mode EPERM", SEAM_MODE, EPERM, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false});
}

/* A file system that has no renameat2: a link takes its place. */
static void renames_that_are_not_there(void **state)
{
    TRY({"rename EINVAL", SEAM_RENAME, EINVAL, SEAM_NOTHING, LASTS_BOTH, SEEN_MAYBE, false},
        {"rename ENOSYS", SEAM_RENAME, ENOSYS, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false});
}

static void locks_that_fail(void **state)
{
    TRY({"lock ENOLCK", SEAM_LOCK, ENOLCK, SEAM_NOTHING, LASTS_BOTH, SEEN_ALWAYS, false},
        {"lock EAGAIN", SEAM_LOCK, EAGAIN, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false},
        {"lock EACCES", SEAM_LOCK, EACCES, SEAM_NOTHING, LASTS_ONCE, SEEN_MAYBE, false});
}

/* A medium that is gone: from some call on all of them fail, those that clean up, too. */
static void everything_fails(void **state)
{
    TRY({"writing EIO", SEAM_WRITE | SEAM_RESERVE | SEAM_SYNC | SEAM_UNLINK, EIO, SEAM_NOTHING,
         LASTS_FOR_GOOD, SEEN_ALWAYS, false},
        {"all EIO", SEAM_FILES & ~(uint32_t)SEAM_CLOSE, EIO, SEAM_NOTHING, LASTS_FOR_GOOD,
         SEEN_MAYBE, false});
}

/* With an argument, only the tests whose names fit that pattern. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_that_fail),
        cmocka_unit_test(reservations_that_fail),
        cmocka_unit_test(what_nobody_may_notice),
        cmocka_unit_test(reads_that_fail),
        cmocka_unit_test(syncs_that_fail),
        cmocka_unit_test(names_that_fail),
        cmocka_unit_test(renames_that_are_not_there),
        cmocka_unit_test(locks_that_fail),
        cmocka_unit_test(everything_fails),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, failures_setup, failures_teardown);
}
