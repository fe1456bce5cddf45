/* crew.h: threads that wait for work, for loops too short to start threads for.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_CREW_H
#define VDB_BASE_CREW_H

#include <stdint.h>

struct crew;

/* Starts threads - 1 of them, or as many as can be had. NULL: no memory. */
struct crew *crew_create(unsigned threads);

/* Ends the threads. NULL is allowed. */
void crew_free(struct crew *crew);

/* Calls job(context, worker, item) for each item of [0, count), handed out in this order as workers
 * come free, and returns when all is done. The caller is worker 0, and `worker` is below the
 * threads that were asked for: a worker has one item at a time. For one caller at a time. No memory
 * is asked for. */
typedef void (*crew_fn)(void *context, unsigned worker, uint32_t item);
void crew_run(struct crew *crew, uint32_t count, crew_fn job, void *context);

#endif
