/* cli_signal.c: what signals do to a tool: at once, or noted while a change is under way.
 *
 * The state is that of the process, as signals are.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "lostpage.h"

static struct {
    const char *tool, *twice;
    char remove[PATH_MAX];
    char say[256];
} at_end;

/* 0: signals end the tool; NOTING: they are noted; above: the one that was, and when. It changes in
 * one step, so that none is lost whichever thread the handler runs on. */
#define NOTING (-1)
static atomic_llong noted;

#define NUMBERS 128 /* signals are below */

/* What comes again so soon was meant as one: timeout(1) sends its signal to the process and to the
 * group that it is in. */
#define AGAIN_US 50000

/* A tool ends within a second of a signal, on a busy machine too. */
#define PATIENCE_US 500000

static void write_text(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void write_line(const char *begin, const char *text)
{
    write_text(at_end.tool);
    write_text(": ");
    write_text(begin);
    write_text(text);
    write_text("\n");
}

/* Dies of the signal itself, so that a shell sees 130 or 143 and a waiting parent the truth. `why`,
 * or NULL: what ends it in the midst of a change. */
static void end_by(int number, const char *why)
{
    sigset_t open;
    if (at_end.remove[0]) unlink(at_end.remove);
    if (number != SIGPIPE) {
        if (why && at_end.twice) write_line(why, at_end.twice);
        if (at_end.say[0]) write_line("ended by a signal; ", at_end.say);
    }
    signal(number, SIG_DFL);
    sigemptyset(&open);
    sigaddset(&open, number);
    sigprocmask(SIG_UNBLOCK, &open, NULL);
    raise(number);
}

static void set_timer(long microseconds)
{
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, microseconds}}, NULL);
}

static long long microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int number_of(long long state)
{
    return state > 0 ? (int)(state % NUMBERS) : 0;
}

static void on_signal(int number)
{
    long long expected = NOTING, now = microseconds();
    if (atomic_compare_exchange_strong(&noted, &expected, now * NUMBERS + number))
        set_timer(PATIENCE_US);
    else if (number_of(expected) != number || now - expected / NUMBERS >= AGAIN_US)
        end_by(number, expected > 0 ? "ended by a second signal; " : NULL);
}

/* The library is long in a step that it does not break off: whatever is under way can be left so,
 * as the next one finds it after a crash. */
static void on_alarm(int alarm)
{
    int number = number_of(atomic_load(&noted));
    (void)alarm;
    if (number > 0) end_by(number, "ended by a signal; ");
}

static void on_lost_page(void)
{
    if (at_end.remove[0]) unlink(at_end.remove);
    if (at_end.say[0]) write_line("", at_end.say);
}

void cli_catch_signals(const char *tool)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    sigset_t open;
    sigemptyset(&open);
    at_end.tool = tool;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old;
        sigaction(numbers[i], NULL, &old);
        /* nohup and background jobs ignore some on purpose. A broken pipe is another matter: a
         * tool that went on writing into it would never end. */
        if (old.sa_handler == SIG_IGN && numbers[i] != SIGPIPE) continue;
        /* SA_RESTART: a sync that a noted signal broke off would count as one that failed. */
        struct sigaction new = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigemptyset(&new.sa_mask);
        sigaction(numbers[i], &new, NULL);
        sigaddset(&open, numbers[i]);
    }
    struct sigaction alarm = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigemptyset(&alarm.sa_mask);
    sigaction(SIGALRM, &alarm, NULL);
    sigaddset(&open, SIGALRM);
    sigaddset(&open, SIGBUS);
    sigprocmask(SIG_UNBLOCK, &open, NULL);
    /* A limit on the length of files then fails the call that passes it, as a full medium does. */
    signal(SIGXFSZ, SIG_IGN);
    lostpage_catch(tool, on_lost_page);
}

void cli_at_signal(const char *remove_path, const char *say)
{
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    snprintf(at_end.remove, sizeof at_end.remove, "%s", remove_path ? remove_path : "");
    snprintf(at_end.say, sizeof at_end.say, "%s", say ? say : "");
    sigprocmask(SIG_SETMASK, &old, NULL);
}

const char *cli_said_at_signal(void)
{
    return at_end.say[0] ? at_end.say : NULL;
}

void cli_note_signals(const char *twice)
{
    at_end.twice = twice;
    atomic_store(&noted, NOTING);
}

int cli_cancelled(void *context)
{
    (void)context;
    return number_of(atomic_load(&noted));
}

void cli_release_signals(void)
{
    int number = number_of(atomic_exchange(&noted, 0));
    if (number == 0) return;
    set_timer(0);
    end_by(number, NULL);
}
