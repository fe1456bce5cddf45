/* par.c: a loop over independent items, run by several threads.
 *
 * Threads live for one par_for only: the loops that use it run for milliseconds at the least, and
 * a pool would be state that outlives the call, and that a fork would leave behind.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/par.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct loop {
    size_t count, chunk, chunks;
    par_fn job;
    void *context;
    atomic_size_t next; /* chunk to be handed out; counts chunks, so that it cannot wrap */
};

struct worker {
    struct loop *loop;
    unsigned number;
    pthread_t thread;
};

static void work(struct loop *loop, unsigned number)
{
    for (;;) {
        size_t taken = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (taken >= loop->chunks) return;
        size_t begin = taken * loop->chunk;
        size_t left = loop->count - begin;
        loop->job(loop->context, number, begin, begin + (left < loop->chunk ? left : loop->chunk));
    }
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    work(worker->loop, worker->number);
    return NULL;
}

/* Signals sent to the process are for the program's own threads; those that a fault raises stay
 * open, because a blocked one would end the process past any handler that the program has. */
bool par_start(pthread_t *thread, void *(*run)(void *), void *context)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    if (pthread_sigmask(SIG_SETMASK, &blocked, &before)) return false;
    bool started = pthread_create(thread, NULL, run, context) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Starts up to `wanted` workers, numbered from 1; returns how many there are. */
static unsigned start_workers(struct loop *loop, struct worker *workers, unsigned wanted)
{
    unsigned started = 0;
    while (started < wanted) {
        struct worker *worker = &workers[started];
        worker->loop = loop;
        worker->number = started + 1;
        if (!par_start(&worker->thread, worker_main, worker)) break;
        started++;
    }
    return started;
}

void par_for(unsigned threads, size_t count, size_t chunk, par_fn job, void *context)
{
    if (count == 0) return;
    if (chunk == 0) chunk = 1;
    struct loop loop = {.count = count,
                        .chunk = chunk,
                        .chunks = count / chunk + (count % chunk != 0),
                        .job = job,
                        .context = context};
    atomic_init(&loop.next, 0);

    unsigned others = threads > 0 ? threads - 1 : 0; /* the calling thread is worker 0 */
    if (others > loop.chunks - 1) others = (unsigned)(loop.chunks - 1);
    struct worker *workers = others > 0 ? calloc(others, sizeof *workers) : NULL;
    unsigned started = workers ? start_workers(&loop, workers, others) : 0;
    work(&loop, 0);
    for (unsigned i = 0; i < started; i++) pthread_join(workers[i].thread, NULL);
    free(workers);
}

unsigned par_threads(unsigned asked)
{
    if (asked > 0) return asked;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        int allowed_count = CPU_COUNT(&allowed);
        if (allowed_count > 0) return (unsigned)allowed_count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more than 1,024 processors: no mask fits */
    return online > 0 ? (unsigned)online : 1;
}
