/* names.h: the names that commits have at one state: what users call snapshots.
 *
 * The manifest has those of its commit; records of the log change them. Counted, and immutable once
 * they are shared, as the states that have them are.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_NAMES_H
#define VDB_STATE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format/log.h"
#include "format/manifest.h"
#include "vdb.h"

struct names {
    int refs;
    struct origin origin; /* of the state at received_commit; all 0: none was received */
    uint64_t received_commit;
    uint32_t count, room;
    const struct snapshot_entry **entries; /* in the order of their names, byte by byte */
};

enum vdb_status names_create(const struct manifest *manifest, struct names **names,
                             struct vdb_error *err);
struct names *names_ref(struct names *names);
void names_unref(struct names *names);

/* Where the name stands, or where it would: *there tells which. */
uint32_t names_place(const struct names *names, const char *name, size_t len, bool *there);

/* What the state of a commit is called wherever it came to: what it was received as, or named with,
 * or else a commit of the index that has the names. */
struct origin names_origin(const struct names *names, const uint8_t file_id[16], uint64_t commit);

static inline bool same_origin(const struct origin *a, const struct origin *b)
{
    return a->commit == b->commit && memcmp(a->id, b->id, sizeof a->id) == 0;
}

/* *names become those after the change: as long as nobody else refers to them in place, so that a
 * long record costs little more than its names; else in a copy, which takes over the reference.
 * Errors: VDB_EXISTS, VDB_NOT_FOUND, VDB_LIMIT, VDB_NO_MEMORY; the names are as before then. */
enum vdb_status names_change(struct names **names, const struct log_name_change *change,
                             struct vdb_error *err);

/* Appends them to the manifest's table, and says there what was received. */
enum vdb_status names_store(const struct names *names, struct manifest *manifest,
                            struct vdb_error *err);

#endif
