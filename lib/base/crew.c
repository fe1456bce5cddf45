/* crew.c: threads that wait for work.
 *
 * Who comes late to a run, or not at all, holds nobody up: a run is open as long as its caller
 * still finds items, and ends when those who joined it have left.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/par.h"

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

struct crew {
    pthread_mutex_t lock; /* guards what follows up to `next` */
    pthread_cond_t called, left;
    uint64_t turn; /* runs so far */
    bool open;     /* the run may be joined */
    bool over;     /* threads are to end */
    unsigned inside;
    crew_fn job;
    void *context;
    uint32_t count;
    atomic_uint_fast32_t next;
    unsigned started;
    struct member members[];
};

static void work(struct crew *crew, unsigned worker)
{
    crew_fn job = crew->job;
    void *context = crew->context;
    uint32_t count = crew->count;
    for (;;) {
        uint_fast32_t item = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed);
        if (item >= count) return;
        job(context, worker, (uint32_t)item);
    }
}

static void *member_main(void *arg)
{
    struct member *member = arg;
    struct crew *crew = member->crew;
    uint64_t seen = 0;
    pthread_mutex_lock(&crew->lock);
    while (!crew->over) {
        if (!crew->open || crew->turn == seen) {
            pthread_cond_wait(&crew->called, &crew->lock);
            continue;
        }
        seen = crew->turn;
        crew->inside++;
        pthread_mutex_unlock(&crew->lock);
        work(crew, member->number);
        pthread_mutex_lock(&crew->lock);
        if (--crew->inside == 0) pthread_cond_signal(&crew->left);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

struct crew *crew_create(unsigned threads)
{
    unsigned others = threads > 0 ? threads - 1 : 0;
    struct crew *crew = calloc(1, sizeof *crew + others * sizeof crew->members[0]);
    if (!crew) return NULL;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->called, NULL);
    pthread_cond_init(&crew->left, NULL);
    atomic_init(&crew->next, 0);
    for (; crew->started < others; crew->started++) {
        struct member *member = &crew->members[crew->started];
        member->crew = crew;
        member->number = crew->started + 1;
        if (!par_start(&member->thread, member_main, member)) break;
    }
    return crew;
}

void crew_free(struct crew *crew)
{
    if (!crew) return;
    pthread_mutex_lock(&crew->lock);
    crew->over = true;
    pthread_cond_broadcast(&crew->called);
    pthread_mutex_unlock(&crew->lock);
    for (unsigned i = 0; i < crew->started; i++) pthread_join(crew->members[i].thread, NULL);
    pthread_cond_destroy(&crew->left);
    pthread_cond_destroy(&crew->called);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}

void crew_run(struct crew *crew, uint32_t count, crew_fn job, void *context)
{
    pthread_mutex_lock(&crew->lock);
    crew->job = job;
    crew->context = context;
    crew->count = count;
    atomic_store_explicit(&crew->next, 0, memory_order_relaxed);
    crew->turn++;
    crew->open = true;
    pthread_cond_broadcast(&crew->called);
    pthread_mutex_unlock(&crew->lock);
    work(crew, 0);
    pthread_mutex_lock(&crew->lock);
    crew->open = false;
    while (crew->inside > 0) pthread_cond_wait(&crew->left, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}
