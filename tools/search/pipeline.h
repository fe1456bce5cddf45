/* pipeline.h: batches that are read, worked on and written, several at a time and yet in order.
 *
 * One batch is read at a time and one is written at a time, each in its turn; the work between is
 * done on as many as there are threads. A thread does whatever of the three is to be done, so that
 * all are busy however the time divides, and none is there that was not asked for.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_SEARCH_PIPELINE_H
#define TOOLS_SEARCH_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

struct pipeline {
    unsigned threads; /* the caller's included; the others start as batches come */
    size_t slots;     /* so many batches are under way at the most; at least 1 */
    void *context;

    /* Fills a slot with the next batch; false: it is the last, and may be empty. May wait for
     * input, for as long as that takes: meanwhile the batches before it are worked on and written.
     */
    bool (*read)(void *context, size_t slot);
    void (*work)(void *context, size_t slot);
    /* Other than 0: nothing more is read, and nothing behind this batch is written. */
    int (*write)(void *context, size_t slot);
};

/* Runs until the last batch is written. Returns 0, or what `write` did. What one callback stores in
 * the context, those of its kind called later see, and the caller does at the end. */
int pipeline_run(const struct pipeline *pipeline);

#endif
