/* failures.h: every workload under a kind of failing call, at every one of its calls.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_FAILURES_H
#define TESTS_FAULT_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "fault/seam.h"

enum failure_lasts { LASTS_ONCE = 1, LASTS_FOR_GOOD = 2, LASTS_BOTH = 3 };

enum failure_seen {
    SEEN_MAYBE,  /* the run may fail or get by */
    SEEN_ALWAYS, /* no run in which it struck may go on as if nothing had happened */
    SEEN_NEVER   /* no caller may learn of it */
};

struct failure {
    const char *name;
    uint32_t kinds;
    int error;
    enum seam_effect effect;
    enum failure_lasts lasts;
    enum failure_seen seen;
    bool builds; /* tried on the long builds of parts, too */
};

/* For the group's setup and teardown: sets every workload up and keeps its files. */
int failures_setup(void **state);
int failures_teardown(void **state);

/* Runs every workload once for each call of these kinds that it makes, with that call failing, and
 * prints how many runs that were. Fails the test where one of them breaks a promise. */
void failures_try(const struct failure *failures, unsigned count);

#endif
