/* crash.h: workloads recorded, and every image of a crash in their midst opened again.
 *
 * What fails here fails the test.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_CRASH_H
#define TESTS_FAULT_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "fault/images.h"
#include "fault/workload.h"

/* How much is tried. */
struct crash_scale {
    struct images_options images;
    unsigned every;    /* of the images one of so many is opened; 1: all */
    unsigned recovery; /* of those one of so many is recovered */
    unsigned second;   /* of which one of so many is recorded, for crashes within it; 0: none */
    bool reduced;      /* a build that is slow does less */
};

struct crash_counts {
    uint64_t images;             /* different ones that were opened, checked and compared */
    uint64_t kinds[IMAGE_KINDS]; /* the same, by how each came about first */
    uint64_t slots[2];           /* torn slots of either number among them */
    uint64_t recoveries, second; /* images that were recovered; images of crashes within that */
    uint64_t explained; /* findings of the check about what was torn: see is_sound in crash.c */
    uint64_t repeated;  /* images that had been seen before */
};

/* What is tried here: less in builds that are slow (VDB_MODE) and of workloads that are `heavy`,
 * more where VDB_CRASH_SCALE is above 1, which multiplies the random images. */
struct crash_scale crash_scale(bool heavy);

/* Runs the workload on files of its own, and tries its images. */
void crash_workload(const struct workload *workload, const struct crash_scale *scale,
                    struct crash_counts *counts);

/* The same of a run in which sync `nth` fails, from 1, with what was written kept in the system's
 * cache or dropped from it, and which another writer then goes on from. Gives false where the run
 * has not so many syncs. */
bool crash_after_failed_sync(const struct workload *workload, unsigned nth, bool drop,
                             const struct crash_scale *scale, struct crash_counts *counts);

/* Adds up, and prints as a comment of TAP. */
void crash_add(struct crash_counts *to, const struct crash_counts *from);
void crash_print(const char *name, const struct crash_counts *counts);

/* The workload of that name. */
const struct workload *crash_find(const char *name);

#endif
