/* snapshot.h: one commit of the file: what every read goes through.
 *
 * Immutable once made, and counted. It is the generation's parts, the first tail_count commits of
 * its tail, and which rows are deleted; it takes no lock and looks at no byte past file_len.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_SNAPSHOT_H
#define VDB_STATE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/log.h"
#include "state/generation.h"
#include "state/liveness.h"
#include "state/names.h"
#include "vdb.h"
#include "vector/kernel.h"

struct vdb_snapshot {
    int refs;
    struct generation *generation;
    uint64_t file_len;
    struct log_cursor cursor; /* where the next commit will be */
    uint32_t tail_count;
    uint32_t row_count, live_count;
    uint64_t commit;
    int64_t commit_time_us;
    uint32_t tail_links;  /* extents that the log went on to since the manifest */
    uint64_t tail_events; /* rows added, deleted, restored since the manifest */
    uint64_t tail_bytes;  /* of the blocks of its commits */
    uint64_t log_bytes;   /* of blocks outside the log's extents, and of extents linked to */
    struct names
        *names; /* at `cursor`; of a state gone back to, those of the one it was made from */
    uint32_t *deleted_in;  /* of each part: 1 + what snapshot_live_in counted; 0: not yet */
    const uint32_t *ended; /* what ended_order told; NULL: nothing yet */
    struct liveness dead;  /* rows from row_count on are, where they are known of */

    /* How the handle was opened. */
    const struct kernels *kernels;
    unsigned threads;
    bool read_only;
};

/* What a snapshot takes over from its handle. */
struct snapshot_options {
    const struct kernels *kernels;
    unsigned threads;
    bool read_only;
};

/* The manifest's commit, before any of the log; takes over the caller's reference. */
enum vdb_status snapshot_create(struct generation *generation, uint64_t file_len,
                                const struct snapshot_options *options,
                                struct vdb_snapshot **snapshot, struct vdb_error *err);

/* Goes on along the log from `from` to its end, or for `most` commits: *to is a new snapshot, or
 * another reference to `from` where nothing has changed. Where a record names what lies beyond
 * file_len, *beyond is set and *to is the state before it. One thread at a time per generation. */
enum vdb_status snapshot_advance(struct vdb_snapshot *from, uint64_t file_len, uint64_t most,
                                 struct vdb_snapshot **to, bool *beyond, struct vdb_error *err);

/* Goes on along the log to its end as it is now, the file having just had `len` bytes. *to is NULL
 * where it has outgrown the generation's mapping. Errors: VDB_CORRUPT, VDB_IO, VDB_NO_MEMORY. */
enum vdb_status snapshot_follow(struct vdb_snapshot *from, const struct osfile *file, uint64_t len,
                                struct vdb_snapshot **to, struct vdb_error *err);

/* Opens the newest state of a file from its superblock on; `before` as in generation_open. */
enum vdb_status snapshot_open(const struct osfile *file, const struct generation *before,
                              const struct snapshot_options *options,
                              struct vdb_snapshot **snapshot, struct vdb_error *err);

/* A copy of the same state, for who makes another one of it before anybody else sees it. */
enum vdb_status snapshot_clone(const struct vdb_snapshot *from, struct vdb_snapshot **to,
                               struct vdb_error *err);

struct vdb_snapshot *snapshot_ref(struct vdb_snapshot *snapshot);
void snapshot_unref(struct vdb_snapshot *snapshot);

/* Whether the row, which is below the row count of some newer state, is there for a reader. */
static inline bool snapshot_sees(const struct vdb_snapshot *s, uint32_t row, bool deleted)
{
    return deleted ? row < s->row_count : !liveness_deleted(&s->dead, row);
}

/* How many rows of the part are live. Counted once a snapshot, by whichever thread asks first. */
uint32_t snapshot_live_in(const struct vdb_snapshot *snapshot, const struct part *part);

/* The first row from `row` on that is live in one of two states and not in the other; the larger of
 * their row counts where there is none. Both were made from the same state, or are it. */
uint32_t snapshot_next_difference(const struct vdb_snapshot *a, const struct vdb_snapshot *b,
                                  uint32_t row);

/* Where a row's things are. */
struct row_place {
    const uint8_t *vector;
    const struct ids_view *ids;
    const struct metadata_view *metadata; /* NULL: no row there has any */
    uint32_t local;                       /* the row's number in the two above */
};
enum vdb_status snapshot_place(const struct vdb_snapshot *snapshot, uint32_t row,
                               struct row_place *place, struct vdb_error *err);

/* When the row, which is there, was committed, in microseconds since 1970: then or less than a
 * second before. 0: not recorded. */
int64_t snapshot_row_time(const struct vdb_snapshot *snapshot, uint32_t row);

/* The row of that id which `dead` says is live (deleted = false), or of those deleted (true) the
 * one that was live last; VDB_NO_ROW where there is none. `dead` is the snapshot's own or a
 * transaction's. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status snapshot_find(const struct vdb_snapshot *snapshot, const struct liveness *dead,
                              const char *id, size_t id_len, bool deleted, uint32_t *row,
                              struct vdb_error *err);

#endif
