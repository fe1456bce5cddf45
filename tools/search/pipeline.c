/* pipeline.c: batches that are read, worked on and written, several at a time and yet in order.
 *
 * Batches are numbered as they are read; batch n is in slot n modulo the slots. At any time
 * written <= read_count <= written + slots. Whoever finishes a batch writes it, if all before it
 * are written, and those behind it that have been waiting for it; no thread waits for its turn to
 * write.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/pipeline.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct run {
    const struct pipeline *how;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t read_count, written;
    bool *done; /* a slot: its batch waits to be written */
    bool reading, writing, ended;
    int status;
    pthread_t *others;
    unsigned started;
};

static void *other_thread(void *context);

/* Without another thread it goes on with those that there are. */
static void start_another(struct run *run)
{
    if (run->others != NULL && run->started + 1 < run->how->threads &&
        pthread_create(&run->others[run->started], NULL, other_thread, run) == 0)
        run->started++;
}

/* Takes the next batch; false where there is none any more. */
static bool read_batch(struct run *run, size_t *slot)
{
    const struct pipeline *how = run->how;
    while (!run->ended && (run->reading || run->read_count - run->written == how->slots))
        pthread_cond_wait(&run->changed, &run->lock);
    if (run->ended) return false;
    *slot = run->read_count % how->slots;
    run->reading = true;
    pthread_mutex_unlock(&run->lock);
    bool more = how->read(how->context, *slot);
    pthread_mutex_lock(&run->lock);
    run->reading = false;
    run->read_count++;
    if (!more) run->ended = true;
    pthread_cond_broadcast(&run->changed);
    if (!run->ended) start_another(run);
    return true;
}

static void write_batches(struct run *run)
{
    const struct pipeline *how = run->how;
    if (run->writing) return; /* who is at it goes on to this one */
    run->writing = true;
    while (run->done[run->written % how->slots]) {
        size_t slot = run->written % how->slots;
        int status = run->status;
        pthread_mutex_unlock(&run->lock);
        if (status == 0) status = how->write(how->context, slot);
        pthread_mutex_lock(&run->lock);
        run->done[slot] = false;
        run->written++;
        run->status = status;
        if (status != 0) run->ended = true;
        pthread_cond_broadcast(&run->changed);
    }
    run->writing = false;
}

static void run_batches(struct run *run)
{
    size_t slot;
    pthread_mutex_lock(&run->lock);
    while (read_batch(run, &slot)) {
        pthread_mutex_unlock(&run->lock);
        run->how->work(run->how->context, slot);
        pthread_mutex_lock(&run->lock);
        run->done[slot] = true;
        write_batches(run);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *other_thread(void *context)
{
    run_batches(context);
    return NULL;
}

static int run_alone(const struct pipeline *how)
{
    bool more = true;
    int status = 0;
    while (more && status == 0) {
        more = how->read(how->context, 0);
        how->work(how->context, 0);
        status = how->write(how->context, 0);
    }
    return status;
}

int pipeline_run(const struct pipeline *how)
{
    if (how->threads < 2) return run_alone(how);
    struct run run = {.how = how};
    run.done = calloc(how->slots, sizeof *run.done);
    if (run.done == NULL) return run_alone(how);
    run.others = calloc(how->threads - 1, sizeof *run.others);
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.changed, NULL);
    run_batches(&run);
    /* No batch is left to be read, so that no thread is started any more. */
    for (unsigned i = 0; i < run.started; i++) pthread_join(run.others[i], NULL);
    pthread_cond_destroy(&run.changed);
    pthread_mutex_destroy(&run.lock);
    free(run.others);
    free(run.done);
    return run.status;
}
