/* storm_role.h: what the processes of the storm have in common.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_STORM_ROLE_H
#define TESTS_FAULT_STORM_ROLE_H

#include "fault/storm.h"

uint32_t storm_below(struct storm_role *role, uint32_t n);

void storm_tell(const struct storm_role *role, struct storm_tell *what);
void storm_tell_kind(const struct storm_role *role, enum storm_kind kind);

/* Says that something does not hold, and ends the process. */
void storm_wrong(const struct storm_role *role, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

void storm_must(const struct storm_role *role, enum vdb_status status, const char *what,
                const struct vdb_error *err);

struct vdb *storm_open(const struct storm_role *role, const char *path, bool read_only);
const struct vdb_snapshot *storm_snapshot(const struct storm_role *role, struct vdb *db,
                                          struct vdb_info *info);

enum { STORM_ROWS_MAX = GROUPS * GROUP_ROWS + WRITERS };

struct storm_scan {
    uint32_t count;
    uint64_t hash;
    uint32_t row[STORM_ROWS_MAX];
    struct storm_row what[STORM_ROWS_MAX];
    float vector[STORM_ROWS_MAX][DIM];
};

/* Reads all live rows of a snapshot at `commit`, in which each batch must be whole. */
void storm_scan_rows(const struct storm_role *role, const struct vdb_snapshot *snapshot,
                     uint64_t commit, struct storm_scan *s);

void storm_tell_seen(const struct storm_role *role, uint64_t commit, const struct storm_scan *s);

#endif
