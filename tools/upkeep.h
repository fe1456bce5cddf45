/* upkeep.h: maintenance by the tools that write, once their rows are in.
 *
 * Who brought many rows waits for the index part over them; else a process of its own, `vdb-compact
 * --maintain`, does what has become necessary in the background, one at a time.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_UPKEEP_H
#define TOOLS_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

/* Rows of one run from which on it is a load whose user waits. */
#define UPKEEP_LOAD 2048

/* Does what has become necessary here and now. The rows are in already, so that nothing here fails
 * the run: where another process is at it, it is left to that one, and a part that cannot be built
 * is a matter of speed, for the next run; a warning says so. Signals are noted meanwhile. `now_us`
 * as in struct vdb_maintain_options. */
void upkeep_now(const struct cli *cli, struct vdb *db, int64_t now_us,
                struct cli_progress *progress);

/* Rows of the tail from which on a stream that brings them faster than they are built into the
 * index is held up until it is short again: or searches would get slower and slower. */
#define UPKEEP_BEHIND 16384

/* Whether a compaction with these options, NULL for the usual, is worth its while: more than a
 * tenth of the rows would be purged, more than half of the file is dead, or the parts are more than
 * eight. Takes as long as vdb_compact_purges where rows are deleted; errors as there. */
enum vdb_status upkeep_compaction_due(const struct vdb_snapshot *snapshot,
                                      const struct vdb_compact_options *how, bool *due,
                                      struct vdb_error *err);

/* Has it done in the background, where it is necessary and nobody is at it; returns at once unless
 * the tail has grown to UPKEEP_BEHIND. */
void upkeep_later(const struct cli *cli, struct vdb *db, int64_t now_us);

#endif
