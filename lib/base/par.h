/* par.h: a loop over independent items, run by several threads.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_PAR_H
#define VDB_BASE_PAR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Calls job(context, worker, begin, end) over [0, count) in chunks of at most `chunk` items;
 * worker is below `threads`. Chunks are handed out as workers come free, so a job must not depend
 * on which worker runs it. Runs in the calling thread where threads are 1 or cannot be had.
 * Returns when all is done. */
typedef void (*par_fn)(void *context, unsigned worker, size_t begin, size_t end);
void par_for(unsigned threads, size_t count, size_t chunk, par_fn job, void *context);

/* Starts a thread of the library's own: signals sent to the process are for the program's. False
 * where none can be had. */
bool par_start(pthread_t *thread, void *(*run)(void *), void *context);

/* `asked`, or the number of processors that this process may run on where it is 0. At least 1. */
unsigned par_threads(unsigned asked);

#endif
