/* catchup.h: carrying commits over from an index to its compacted successor.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_CATCHUP_H
#define VDB_DB_CATCHUP_H

#include <stdint.h>

#include "db/db.h"

/* The index at `successor` holds the live rows of `from` and its names, under commit numbers that
 * go on from there. The caller sets these three; the rest is zero. */
struct catchup {
    struct vdb *db; /* its MAINTAIN lock is held */
    const struct vdb_snapshot *from;
    const char *successor;
    struct vdb_snapshot *at; /* how far it has come, NULL: from */
    struct names *names;     /* of the index, as they were carried over; NULL: those of from */
    struct vdb *to;
};

/* Makes in the successor, one for one and with their times, the commits that the index has beyond
 * those that were carried over before, and their names; *carried: how many. They are not synced.
 * Where others may commit meanwhile, it is to be called again until that is excluded. */
enum vdb_status catchup_run(struct catchup *c, uint64_t *carried, struct vdb_error *err);

/* Closes the successor. */
void catchup_release(struct catchup *c);

#endif
