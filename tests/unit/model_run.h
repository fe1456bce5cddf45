/* model_run.h: operations on an index and on its model, chosen at random or by bytes that are
 * given.
 *
 * Two handles take turns at transactions, names, rolling back, maintenance and compaction, which
 * keeps named states, a window of time or all, and beside which the other handle goes on.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_MODEL_RUN_H
#define TESTS_UNIT_MODEL_RUN_H

#include "model.h"

#define RUN_INDEX "x.vdb" /* of the store's directory */
#define RUN_VIEWS 3u

struct run {
    uint64_t seed;         /* not 0 */
    const uint8_t *choice; /* what choices are made by in place of the seed, or NULL */
    size_t choices;        /* bytes of it that are left; without any the first is always chosen */
    uint32_t many; /* rows that a large transaction has at least, and up to four times that */
    uint32_t next_tag;
    struct model now;
    struct vdb *db[2];
    struct model then[RUN_VIEWS]; /* what there was when the view was taken */
    const struct vdb_snapshot *views[RUN_VIEWS];
    struct vdb **view_of[RUN_VIEWS];
    uint32_t meanwhile; /* operations that may still come beside the compaction */
};

/* Below `below`, which is at least 1. */
uint32_t run_draw(struct run *run, uint32_t below);

/* Makes the index and its model; seed, choices and many are set before, and the rest is zero. */
void run_begin(struct run *run, enum vdb_index_kind index);

/* One operation. What it answers is held against the model. */
void run_step(struct run *run);

/* Holds the newest state and some of the past against the model: ids, vectors and metadata of every
 * `step`-th row. */
void run_look(struct run *run, uint32_t step);

/* The same of all of the past: of commits that the index need not have any more, that it says so.
 */
void run_look_all(struct run *run, uint32_t step);

/* Looks at the views that are held, closes everything, and checks the file. */
void run_end(struct run *run);

#endif
