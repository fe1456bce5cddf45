/* workload.h: small, named pieces of work on an index, and a model in memory of what they do, for
 * tests that fail their calls and tests that replay crashes of them.
 *
 * The model knows nothing of files: a state is a list of rows and the number of a commit. A run
 * says beforehand which state a call will lead to, and afterwards that it did, so that at any
 * moment the states that a file may be found in are known: the one last acknowledged, and those
 * that a call in flight may give.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_WORKLOAD_H
#define TESTS_FAULT_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

/* What is in a file that is not of the library's making, whatever its name. */
#define WORKLOAD_FOREIGN "somebody else's file"

/* ---- the model ----------------------------------------------------------------------------- */

/* Id, vector and metadata follow from these numbers. */
struct model_row {
    uint32_t id;
    uint32_t content;
    uint32_t metadata_len; /* 0: none; else 8 or more */
    bool live;
};

enum { MODEL_NAMES = 8, MODEL_PAST = 64 };

struct model_name {  /* of a commit that can be gone back to */
    uint32_t number; /* from which its text follows */
    uint64_t commit;
};

struct model_state {
    bool absent; /* there is no file of that name; nothing below counts */
    uint64_t commit;
    uint32_t dim;
    enum vdb_metric metric;
    enum vdb_type type;
    uint32_t row_count;
    struct model_row *rows;
    struct model_name names[MODEL_NAMES]; /* by number, 0 to 9 */
    unsigned name_count;
    /* The one before of those that can be gone back to, whose rows are the first ones of these;
     * its names do not count. NULL: there is none. At most MODEL_PAST stand in a row. */
    const struct model_state *before;
};

/* Whether the snapshot holds this state and nothing else: every row by its number, with id, vector
 * and metadata, live or deleted, what its id leads to, the commit's number, the names of commits,
 * and every state of before that there should be, and no other. If not, `why` says where they part.
 * The index at `path` is opened for that; if `state` is absent it must be, too. */
bool workload_matches_snapshot(const struct vdb_snapshot *snapshot, const struct model_state *state,
                               char *why, size_t why_len);
bool workload_matches(const char *path, const struct model_state *state, char *why, size_t why_len);

/* Whether the two say the same of a file. */
bool workload_same_state(const struct model_state *a, const struct model_state *b);

/* ---- runs ---------------------------------------------------------------------------------- */

enum workload_call {
    CALL_NONE,
    CALL_CREATE,
    CALL_PUBLISH, /* and making what is to be published */
    CALL_OPEN,
    CALL_SNAPSHOT_OPEN,
    CALL_TXN_BEGIN,
    CALL_TXN_PUT,
    CALL_TXN_DELETE,
    CALL_TXN_RESTORE,
    CALL_TXN_COMMIT,
    CALL_NAME_CREATE,
    CALL_NAME_REMOVE,
    CALL_ROLLBACK,
    CALL_RECEIVE,
    CALL_MAINTAIN,
    CALL_COMPACT,
    CALL_COUNT
};

enum { TRACKED_STATES = 4 };

/* A file that the run changes, and the states that it may be found in now: allowed[0] is the one
 * last acknowledged. The states live as long as the run that was prepared. */
struct tracked {
    char path[256]; /* empty: there is no such file */
    const struct model_state *allowed[TRACKED_STATES];
    unsigned allowed_count;
};

/* A stream of the state `to`, whole or with what has changed since `from`. */
struct sent {
    uint8_t *bytes;
    size_t len;
    const struct model_state *from, *to;
};

struct run {
    char directory[200];
    struct tracked index;
    struct tracked output;  /* of a compaction to a file of its own */
    struct vdb *db, *other; /* handles, which stay open after a failed call; NULL: not open */
    const struct vdb_snapshot *held; /* a reader's, which stays open; NULL: none */
    const struct model_state *held_state;
    unsigned threads; /* that build parts; 0: one */

    struct sent sent; /* by the setup; it belongs to the run that was prepared */
    bool sent_here;

    /* Called each time that what is allowed has changed; may be NULL. */
    void (*changed)(void *context, const struct run *run);
    void *context;

    /* The first call that failed, how, and in which handle; CALL_NONE: none has. */
    enum workload_call failed_call;
    enum vdb_status status;
    struct vdb_error err;
    struct vdb *failed_handle;
    bool half_committed; /* a transaction that had failed could be committed */

    /* Of workload.c: states made since the run began, what a compaction under way would leave, and
     * what the commit in flight makes of both. */
    struct model_state **states;
    size_t state_count;
    const struct model_state *current, *successor, *next, *next_successor;
};

struct workload {
    const char *name;
    unsigned heavy; /* 0: a run takes about a millisecond, 1: some, 2: a tenth of a second */
    /* What comes before the part of interest; NULL: nothing. */
    enum vdb_status (*setup)(struct run *run);
    enum vdb_status (*run)(struct run *run);
};

/* Ends with an entry whose name is NULL. */
extern const struct workload workloads[];

/* Empties `directory` and sets the workload up in it; all handles are closed again. */
enum vdb_status run_prepare(struct run *run, const struct workload *workload,
                            const char *directory);

/* A run over the files as run_prepare left them, which is for the caller to see to; then
 * workload->run(run). `prepared` must outlive it. */
void run_begin(struct run *run, const struct run *prepared);

/* Closes snapshots and handles. */
void run_close(struct run *run);

/* run_close, and forgets the states. */
void run_release(struct run *run);

/* With no fault in force, in a handle of its own: adds a row to the index in a commit, from one of
 * the allowed states, which must be the one that it is in. The lock is tried once. */
enum vdb_status run_commit_one(struct run *run, const struct model_state *from,
                               struct vdb_error *err);

/* The call's name, as in vdb.h. */
const char *workload_call_name(enum workload_call call);

#endif
