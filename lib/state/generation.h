/* generation.h: the file as one superblock describes it: manifest, parts, and the tail behind them.
 *
 * Counted, and shared by the snapshots between two publications. A new manifest, or a file that
 * has outgrown its mapping, makes a new generation; the old one lives as long as its snapshots.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_GENERATION_H
#define VDB_STATE_GENERATION_H

#include <stdint.h>

#include "base/osfile.h"
#include "format/manifest.h"
#include "format/superblock.h"
#include "state/liveness.h"
#include "state/part.h"
#include "state/tail.h"
#include "state/tail_codes.h"
#include "state/view.h"
#include "vdb.h"

struct generation {
    int refs;
    struct view *view;
    struct superblock superblock;
    int slot; /* where the superblock stands: the next one goes to the other */
    struct manifest manifest;
    struct part *parts; /* manifest.part_count */
    struct liveness_span *spans;
    uint32_t span_count;
    struct tail tail;
    struct tail_codes codes; /* of the tail's rows */
};

/* Reads both slots and chooses. *file_len is the file's length after that. */
enum vdb_status generation_superblock(const struct osfile *file, struct superblock *superblock,
                                      int *slot, uint64_t *file_len, struct vdb_error *err);

/* The superblock as the mapping of `generation` has it, where the file is as `now` says: what
 * generation_superblock gives, without a call to the system. */
enum vdb_status generation_look(const struct generation *generation, const struct osfile_stat *now,
                                struct superblock *superblock, struct vdb_error *err);

/* Reads superblock and manifest and opens the parts; the log is left to snapshots. `before`, or
 * NULL, is an older generation of the same file. Its view is used where it reaches far enough:
 * pages that were touched through it need not be found again; and so are its codes of rows. Errors:
 * VDB_CORRUPT, VDB_UNSUPPORTED, VDB_IO, VDB_NO_MEMORY. */
enum vdb_status generation_open(const struct osfile *file, const struct generation *before,
                                struct generation **generation, struct vdb_error *err);
struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation);

/* The part that holds the row, or NULL: it is in the tail. */
const struct part *generation_part_of_row(const struct generation *generation, uint32_t row);

#endif
