/* test_filelock.c: locks that exclude each other, are had in turn, are freed by death alone, and
 * tell who has them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/filelock.h"
#include "store_fixture.h"

/* Locks are static here: one that a failed test leaves open is looked at by the next fork. */

#define AT     0x4000000000000000u
#define PLACES 16
#define WAIT   8 /* seconds, for what comes at once or never */

static const struct filelock_place queue = {AT, PLACES}, alone = {AT + 1, 0};

static struct osfile file_a(bool create)
{
    struct osfile file;
    const char *path = store_path("a");
    assert_int_equal(create ? osfile_create(&file, path, 0600) : osfile_open(&file, path, true), 0);
    return file;
}

static int take(struct filelock *lock, const struct osfile *of, struct filelock_place place,
                double wait, const struct cancel *cancel)
{
    int failed = filelock_open(lock, of);
    if (!failed) failed = filelock_take(lock, place, wait, cancel);
    if (failed) filelock_close(lock);
    return failed;
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Also within one process, through the same descriptor or another. */
static void exclusion(void **state)
{
    (void)state;
    struct osfile a = file_a(true), b = file_a(false);
    static struct filelock first, second, third;
    assert_int_equal(take(&first, &a, queue, 0, NULL), 0);
    assert_int_equal(take(&second, &a, queue, 0, NULL), EAGAIN);
    assert_int_equal(take(&second, &b, queue, 0, NULL), EAGAIN);
    assert_int_equal(take(&second, &b, queue, 0.05, NULL), EAGAIN);
    assert_int_equal(take(&second, &b, alone, 0, NULL), 0); /* another lock */
    assert_int_equal(take(&third, &a, alone, 0.01, NULL), EAGAIN);
    /* Another descriptor of the file, closed, does not take the lock with it. */
    osfile_close(&b);
    b = file_a(false);
    assert_int_equal(take(&third, &b, queue, 0, NULL), EAGAIN);
    filelock_release(&first, queue);
    filelock_release(&first, queue); /* a second time is no harm */
    assert_int_equal(take(&third, &b, queue, 0, NULL), 0);
    filelock_close(&third);                                     /* as good as letting go */
    assert_int_equal(filelock_take(&first, queue, 0, NULL), 0); /* it was still open */
    filelock_close(&first);
    filelock_close(&first);
    assert_int_equal(take(&third, &b, queue, 0, NULL), 0);
    filelock_close(&third);
    filelock_close(&second);
    osfile_close(&b);
    osfile_close(&a);
}

/* ---- processes ----------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int said; /* the read end of what it writes */
};

/* What a failed test leaves running or stopped ends with the program. */
static void end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* A process that waits for the lock, says `name`, keeps the lock for hold_ms, and ends. */
static struct child waiter(char name, long hold_ms)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct osfile file;
        struct filelock lock;
        end_with_parent();
        if (osfile_open(&file, store_path("a"), true)) _exit(3);
        if (write(ends[1], "-", 1) != 1) _exit(4); /* it is about to */
        if (take(&lock, &file, queue, WAIT, NULL)) _exit(5);
        int order = open(store_path("order"), O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (order < 0 || write(order, &name, 1) != 1 || write(ends[1], &name, 1) != 1) _exit(6);
        nap_ms(hold_ms);
        _exit(0);
    }
    close(ends[1]);
    char began;
    assert_int_equal(read(ends[0], &began, 1), 1);
    return (struct child){pid, ends[0]};
}

static void ended(struct child child, int signal)
{
    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    if (signal)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(child.said);
}

static void order_is(const char *wanted)
{
    struct buf got = {0};
    store_read("order", &got);
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.data, wanted, got.len);
    buf_release(&got);
}

/* Who came first is served first, and who comes back stands behind all. */
static void in_turn(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock;
    struct child children[6];
    assert_int_equal(take(&lock, &file, queue, 0, NULL), 0);
    for (int i = 0; i < 6; i++) {
        children[i] = waiter((char)('a' + i), 1);
        nap_ms(30); /* so that it stands in line before the next one comes */
    }
    filelock_close(&lock);
    assert_int_equal(take(&lock, &file, queue, WAIT, NULL), 0);
    order_is("abcdef");
    filelock_close(&lock);
    for (int i = 0; i < 6; i++) ended(children[i], 0);
    osfile_close(&file);
}

/* Somebody in line who was stopped, or killed, holds up nobody. */
static void the_stopped_and_the_dead(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock;
    assert_int_equal(take(&lock, &file, queue, 0, NULL), 0);
    struct child stopped = waiter('s', 0);
    nap_ms(30);
    struct child dead = waiter('d', 0);
    nap_ms(30);
    struct child last = waiter('z', 0);
    nap_ms(30);
    kill(stopped.pid, SIGSTOP);
    kill(dead.pid, SIGKILL);
    filelock_close(&lock);
    ended(dead, SIGKILL);
    ended(last, 0);
    order_is("z");
    assert_int_equal(take(&lock, &file, queue, 0, NULL), 0); /* past the line */
    filelock_close(&lock);
    kill(stopped.pid, SIGCONT);
    ended(stopped, 0);
    order_is("zs");
    osfile_close(&file);
}

/* A holder that is killed frees the lock at once, though a child of it lives on that was forked
 * while the lock was held and has never called exec. */
static void death_with_children(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock;
    int ends[2], stay[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(stay), 0);
    pid_t holder = fork();
    assert_true(holder >= 0);
    if (holder == 0) {
        end_with_parent();
        if (take(&lock, &file, queue, 0, NULL)) _exit(3);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            char nothing;
            close(stay[1]);
            if (lock.file.fd != -1) _exit(4);
            if (write(ends[1], "x", 1) != 1) _exit(6);
            if (read(stay[0], &nothing, 1)) _exit(5); /* until the test ends */
            _exit(0);
        }
        close(ends[1]);
        for (;;) pause();
    }
    char said;
    close(ends[1]);
    assert_int_equal(read(ends[0], &said, 1), 1);
    assert_int_equal(take(&lock, &file, queue, 0, NULL), EAGAIN);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(take(&lock, &file, queue, 0, NULL), 0);
    filelock_close(&lock);
    close(ends[0]);
    close(stay[0]);
    close(stay[1]);
    osfile_close(&file);
}

/* A child does not hold its parent's lock, and letting go of it there changes nothing here. */
static void children_of_a_holder(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock, again;
    assert_int_equal(take(&lock, &file, queue, 0, NULL), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        filelock_close(&lock);
        _exit(take(&again, &file, queue, 0, NULL) == EAGAIN ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(take(&again, &file, queue, 0, NULL), EAGAIN);
    filelock_close(&lock);
    osfile_close(&file);
}

/* ---- cancelling and telling ---------------------------------------------------------------- */

static int third_time(void *context)
{
    return ++*(int *)context >= 3;
}

static void cancelling(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock, again;
    int asked = 0;
    struct cancel cancel = {third_time, &asked};
    assert_int_equal(take(&lock, &file, queue, 0, &cancel), 0);
    assert_int_equal(take(&again, &file, queue, 1000, &cancel), ECANCELED);
    assert_int_equal(asked, 3);
    /* It has left the line. */
    filelock_close(&lock);
    assert_int_equal(take(&again, &file, queue, 0, NULL), 0);
    filelock_close(&again);
    osfile_close(&file);
}

/* By the name that the system has for us, which is another one under valgrind. */
static void describe(pid_t pid, char text[FILELOCK_HOLDER])
{
    char name[32] = "";
    FILE *file = fopen("/proc/self/comm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%31[^\n]", name), 1);
    fclose(file);
    snprintf(text, FILELOCK_HOLDER, "process %ld (%s)", (long)pid, name);
}

static void holders(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock;
    char holder[FILELOCK_HOLDER], wanted[FILELOCK_HOLDER];
    assert_false(filelock_holder(&file, AT, holder));
    struct child other = waiter('o', 60000);
    char said;
    assert_int_equal(read(other.said, &said, 1), 1);
    assert_true(filelock_holder(&file, AT, holder));
    describe(other.pid, wanted);
    assert_string_equal(holder, wanted);
    assert_false(filelock_holder(&file, AT + 1, holder));
    kill(other.pid, SIGKILL);
    ended(other, SIGKILL);
    /* The older kind of lock, which names its holder. */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = AT, .l_len = 1};
        end_with_parent();
        if (fcntl(file.fd, F_SETLK, &range)) _exit(3);
        kill(getpid(), SIGSTOP);
        for (;;) pause();
    }
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_true(filelock_holder(&file, AT, holder));
    describe(child, wanted);
    assert_string_equal(holder, wanted);
    assert_int_equal(take(&lock, &file, queue, 0, NULL), EAGAIN);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    osfile_close(&file);
}

/* Who names himself oddly or not at all, and has locks of other files and of other places beside.
 */
static void odd_holder(const char *name, const char *told)
{
    static const struct filelock_place low = {AT - 64, 0};
    struct osfile file = file_a(true), other;
    assert_int_equal(osfile_create(&other, store_path("b"), 0600), 0);
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct filelock locks[4];
        end_with_parent();
        prctl(PR_SET_NAME, name);
        if (flock(other.fd, LOCK_SH) || take(&locks[0], &other, queue, 0, NULL) ||
            take(&locks[1], &file, alone, 0, NULL) || take(&locks[3], &file, low, 0, NULL) ||
            take(&locks[2], &file, queue, 0, NULL) || write(said[1], "x", 1) != 1)
            _exit(1);
        for (;;) pause();
    }
    char byte, holder[FILELOCK_HOLDER], wanted[FILELOCK_HOLDER];
    assert_int_equal(read(said[0], &byte, 1), 1);
    assert_true(filelock_holder(&file, AT, holder));
    snprintf(wanted, sizeof wanted, "process %ld%s", (long)child, told);
    assert_string_equal(holder, wanted);
    assert_true(filelock_is_held(&file, AT + 1));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(said[0]);
    close(said[1]);
    osfile_close(&other);
    osfile_close(&file);
}

static void odd_holders(void **state)
{
    (void)state;
    odd_holder("an\todd\x01one", " (an?odd?one)");
    unlink(store_path("a"));
    unlink(store_path("b"));
    odd_holder("", "");
}

/* In whatever order they are opened and closed; one that is closed has nothing to release. */
static void several_at_once(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock first, second, third;
    assert_int_equal(filelock_open(&first, &file), 0);
    assert_int_equal(filelock_open(&second, &file), 0);
    assert_int_equal(filelock_open(&third, &file), 0);
    assert_int_equal(filelock_take(&second, queue, 0, NULL), 0);
    filelock_close(&first);
    filelock_close(&third);
    filelock_release(&first, queue);
    assert_true(filelock_is_held(&file, AT));
    filelock_close(&second);
    filelock_close(&second);
    assert_false(filelock_is_held(&file, AT));
    osfile_close(&file);
    assert_false(filelock_is_held(&file, AT)); /* nobody can tell */
}

static void no_right_to_write(void **state)
{
    (void)state;
    struct osfile file = file_a(true);
    static struct filelock lock;
    osfile_close(&file);
    struct osfile closed = {-1};
    assert_int_equal(take(&lock, &closed, queue, 0, NULL), EBADF);
    assert_int_equal(lock.file.fd, -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(exclusion),
        test(in_turn),
        test(the_stopped_and_the_dead),
        test(death_with_children),
        test(children_of_a_holder),
        test(cancelling),
        test(holders),
        test(odd_holders),
        test(several_at_once),
        test(no_right_to_write),
    };
    alarm(300); /* a lock that is never had is no reason to wait for ever */
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
