/* policy.h: what an index is to be like by the age of its rows and the hour of the day.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_POLICY_H
#define VDB_DB_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "format/manifest.h"
#include "state/snapshot.h"
#include "vdb.h"

/* Whether the manifest's index kind and its measure of recent rows go together. Errors:
 * VDB_INVALID. */
enum vdb_status policy_check(const struct manifest *manifest, struct vdb_error *err);

/* Sets the manifest's quiet hours, minutes of the day; equal: none. Errors: VDB_INVALID. */
enum vdb_status policy_set_quiet(struct manifest *manifest, uint32_t begin, uint32_t end,
                                 struct vdb_error *err);

/* The first row such that no live row from it on is old, by the manifest's measure; the snapshot's
 * row count where all rows are old, and 0 where the index is no hybrid one. */
uint32_t policy_first_recent(const struct manifest *manifest, const struct vdb_snapshot *snapshot,
                             int64_t now_us);

/* Whether maintenance may run at that time: there are no quiet hours, or it is one of them. */
bool policy_is_quiet(const struct manifest *manifest, int64_t now_us);

/* The clock's time, in microseconds since 1970, where `given` is 0; else that. */
int64_t policy_now(int64_t given);

#endif
