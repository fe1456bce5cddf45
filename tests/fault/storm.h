/* storm.h: what the processes of the storm and their oracle say to one another.
 *
 * Rows come in groups of GROUP_ROWS ids that every batch puts, deletes or restores together, so
 * that half a batch shows in any state by itself. A row's vector and metadata follow from the batch
 * that put it and its place there. Beside its groups every batch puts one row, the marker of the
 * writer's slot, which is never deleted and so tells the last batch of that slot that has come to
 * be.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_STORM_H
#define TESTS_FAULT_STORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vdb.h"

enum {
    DIM = 8,
    WRITERS = 8,
    READERS = 8,
    GROUP_ROWS = 4,
    OWN_GROUPS = 6, /* of each writer's slot */
    SHARED_GROUPS = 10,
    GROUPS = WRITERS * OWN_GROUPS + SHARED_GROUPS,
    BATCH_GROUPS = 3, /* at most */
    NAMES = 3,        /* of each writer's slot */
    MARKER = 1000     /* the group of a slot's marker is MARKER + slot */
};

/* ---- rows ---------------------------------------------------------------------------------- */

/* A batch's number is slot << 20 | count: no two have the same. A row's place in its batch is 0 for
 * the marker, else 1 + GROUP_ROWS * (which of the batch's groups) + (which id of the group). */
struct storm_row {
    uint32_t group, member, batch, place;
};

#define STORM_ID_MAX  32
#define STORM_BIG_LEN 24000 /* of the metadata of a row in a batch too large for the log itself */

int storm_id(uint32_t group, uint32_t member, char id[STORM_ID_MAX]);
bool storm_id_parse(const char *id, size_t len, uint32_t *group, uint32_t *member);
void storm_vector(const struct storm_row *row, float vector[DIM]);

/* The row's metadata as JSON, or NULL; the caller frees it. */
char *storm_metadata(const struct storm_row *row);

/* Of one row; a state's is the sum over its live rows. */
uint64_t storm_hash(const struct storm_row *row);

/* A name that a slot's writer gives to commits. */
int storm_name(uint32_t slot, uint32_t number, char text[STORM_ID_MAX]);

uint64_t storm_random(uint64_t *seed);
int64_t storm_now_ns(void);

/* Nanoseconds for which the process could have run, in all its life, and no processor was given to
 * it; 0 where the kernel does not tell. */
int64_t storm_run_delay(pid_t pid);
void storm_nap(double seconds);

/* ---- what processes tell ------------------------------------------------------------------- */

enum storm_op { OP_UPSERT, OP_INSERT, OP_UPDATE, OP_DELETE, OP_RESTORE };

struct storm_batch {
    uint32_t number, groups;
    uint64_t base; /* the newest commit when it began: its own is a later one */
    uint64_t back; /* it goes back to this commit, and does nothing else; 0: it does not */
    uint32_t group[BATCH_GROUPS];
    uint32_t op[BATCH_GROUPS];
};

enum storm_kind {
    TELL_BEGIN,   /* a writer: vdb_txn_commit of this batch comes next */
    TELL_DONE,    /* ... it has returned, and this is its commit */
    TELL_REFUSED, /* ... another commit had come between */
    TELL_AS_WAS,  /* ... this commit is as the one that was to be gone back to: nothing was done */
    TELL_SEEN,    /* a reader: this commit has these rows */
    TELL_OUTPUT,  /* the shipper: the output has the rows of a commit from `since` to `commit` */
    TELL_SENT_WHOLE, /* ... it has sent */
    TELL_SENT_CHANGES,
    TELL_WORK, /* the compactor: vdb_compact comes next */
    TELL_COMPACTED,
    TELL_MAINTAINED,
    TELL_TOOL, /* the compactor: vdb-compact --if-needed has ended */
    TELL_ALIVE,
    TELL_WRONG /* something that must hold does not */
};

/* Goes through a pipe in one write of less than PIPE_BUF bytes: all of it or nothing, whenever its
 * process is killed. */
struct storm_tell {
    uint32_t kind;
    uint32_t live;
    uint64_t commit, hash, since;
    int64_t time_ns;
    struct storm_batch batch;
    char text[400];
};

/* A name's state: how often it was changed, the commit that has it, or 0 for none, and whether a
 * change is under way, so that either may be found. */
#define STORM_NAME(count, commit, flux) ((uint64_t)(count) << 40 | (uint64_t)(commit) << 1 | (flux))
#define STORM_NAME_COMMIT(state)        ((state) >> 1 & 0x7fffffffff)

/* A state as the shipper knows it; commit 0: there is no file. */
struct storm_state {
    uint64_t commit, hash;
    uint32_t live;
};

/* Memory that all processes share; what is in it outlives each of them. */
struct storm_shared {
    _Atomic uint64_t names[WRITERS][NAMES]; /* each changed by the writer of its slot alone */
    _Atomic uint64_t acknowledged; /* the highest commit of which a process knows that it is done */
    _Atomic int over;              /* no more batches are wanted */
    _Atomic int64_t longest_sync;  /* of the witness, which waits for the disk and for nobody */

    /* Of the shipper alone: copy[copy_now] is what the copy is, and while it changes it may be the
     * other one; the oldest commit that the output may be of, and that which one may be of that has
     * taken its place since. */
    struct storm_state copy[2];
    _Atomic int copy_now, copy_changes;
    _Atomic uint64_t output_since, next_output_since;
};

/* What a process is started with. */
struct storm_role {
    const char *path, *copy, *output; /* the index, and what the shipper makes of it */
    const char *tool; /* vdb-compact, which the compactor has compact if needed; NULL: it does so */
    struct storm_shared *shared;
    uint64_t seed;
    uint32_t slot;
    uint32_t count; /* writers: of the slot's batches so far */
    int pipe;
    bool flat;
    bool names;      /* writers give commits names and go back to them, and do not restore rows */
    double patience; /* seconds to wait for a lock */
};

/* They end when the storm is over, by _exit. */
void storm_writer(struct storm_role *role) __attribute__((noreturn));
void storm_reader(struct storm_role *role) __attribute__((noreturn));
void storm_compactor(struct storm_role *role) __attribute__((noreturn));
void storm_shipper(struct storm_role *role) __attribute__((noreturn));

/* ---- what the oracle knows ----------------------------------------------------------------- */

struct storm_oracle;

/* With `past`, batches may go back to earlier commits. */
struct storm_oracle *oracle_create(bool past);
void oracle_free(struct storm_oracle *oracle);

/* These return NULL, or what is wrong. */

/* The batch was acknowledged with this commit. */
const char *oracle_acknowledged(struct storm_oracle *oracle, uint64_t commit,
                                const struct storm_batch *batch);

/* The batch is there, by a commit above its base and up to `newest`, which nobody was told; or it
 * may be, where it is not `sure`. */
const char *oracle_unacknowledged(struct storm_oracle *oracle, uint64_t newest,
                                  const struct storm_batch *batch, bool sure);

/* A reader found rows of this hash at this commit. */
const char *oracle_seen(struct storm_oracle *oracle, uint64_t commit, uint64_t hash, uint32_t live);

/* A file has the rows of a commit from `since` to `until`. */
const char *oracle_shipped(struct storm_oracle *oracle, uint64_t since, uint64_t until,
                           uint64_t hash);

/* Commit `number` was found to have the same rows as `back`. */
const char *oracle_same(struct storm_oracle *oracle, uint64_t number, uint64_t back);

/* Replays commits up to `commit`, about which nothing more will be told but what was seen there. */
const char *oracle_replay(struct storm_oracle *oracle, uint64_t commit);

/* How many were seen at a commit that had been replayed in several ways before. */
uint64_t oracle_unjudged(const struct storm_oracle *oracle);

#endif
