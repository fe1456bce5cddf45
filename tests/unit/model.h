/* model.h: an index as plain arrays, with all of its past: what random tests hold the library
 * against.
 *
 * A version is one vector of one id. A state is the set of versions that are live after a commit;
 * all that ever were are kept here, with a mark at those that the index still has to have. Rows are
 * the index's numbers of versions. Nothing here knows of files, logs or parts.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

#define MODEL_DIM   5u
#define MODEL_IDS   1200u
#define MODEL_HOT   24u /* ids that most small transactions are about */
#define MODEL_NONE  UINT32_MAX
#define MODEL_NAMES 24u

struct version {
    uint32_t tag; /* from which its id's text, vector and metadata follow, but for the id */
    uint32_t id;
    uint32_t row; /* MODEL_NONE: the index has purged it */
};

struct state {
    int64_t time_us;
    bool kept; /* the index has it */
    uint32_t row_count, live_count;
    uint64_t *live; /* a bit a version, of those there were */
    uint32_t words;
};

struct entry { /* of the history of changes */
    uint64_t commit;
    enum vdb_operation operation;
    uint32_t id, row;
};

struct name {
    char text[VDB_NAME_MAX + 1];
    uint64_t commit;
};

struct model {
    struct version *versions;
    uint32_t version_count, version_room;
    uint32_t *rows; /* the version of each row */
    uint32_t row_count, row_room;
    struct state *states; /* of commit c: states[c - 1] */
    uint32_t state_count, state_room;
    struct entry *entries;
    uint32_t entry_count, entry_room;
    struct name names[MODEL_NAMES]; /* in their order */
    uint32_t name_count;

    /* The transaction. */
    uint64_t *live; /* after what it did so far */
    uint32_t live_room;
    uint32_t first_version, first_row, first_entry;
    struct entry *marks;
    uint32_t mark_count, mark_room;
    struct vdb_commit_info done;
};

void model_init(struct model *m, int64_t time_us); /* with commit 1 */
void model_release(struct model *m);
void model_copy(const struct model *from, struct model *to);

uint64_t model_commit(const struct model *m); /* the newest */
const struct state *model_state(const struct model *m, uint64_t commit);
uint64_t model_oldest(const struct model *m);
bool model_keeps(const struct model *m, uint64_t commit);
bool model_live(const struct state *s, uint32_t version);

/* The version of the id that is live; in rows below the state's. */
uint32_t model_find(const struct model *m, const uint64_t *live, uint32_t rows, uint32_t id);

/* Of those that are not, the one that was live last, as far as the states up to that commit tell
 * which the index still has. */
uint32_t model_last(const struct model *m, const uint64_t *live, uint32_t rows, uint32_t id,
                    uint64_t commit);

/* What a version is made of. The text has at most VDB_ID_MAX bytes and a final NUL. */
size_t model_id(uint32_t id, char *text);
void model_vector(uint32_t tag, float *vector);
uint32_t model_tag(const float *vector);
char *model_metadata(uint32_t tag); /* NULL: it has none; else the caller's */

/* A transaction: what follows changes it alone, and then it is committed, or never was. */
void model_begin(struct model *m);
void model_put(struct model *m, uint32_t id, uint32_t tag); /* a tag that no other version has */
void model_delete(struct model *m, uint32_t version);
void model_restore(struct model *m, uint32_t version);
void model_roll_back(struct model *m, uint64_t commit);
bool model_changed(const struct model *m);
void model_end(struct model *m, int64_t time_us); /* where it changed something */
void model_abort(struct model *m);

/* The place of the name, or where it would be. */
uint32_t model_name_place(const struct model *m, const char *text, bool *there);
void model_name(struct model *m, const char *text);
void model_unname(struct model *m, uint32_t place);

/* Compaction of what there was at commit `s`, with the names of `named`: states with such a name
 * are kept, and those that were the newest after `since_us`; of versions those that one of these
 * states has. Their rows are numbered anew. Later commits have to be taken as below. */
void model_compact(struct model *m, uint64_t s, const struct model *named, int64_t since_us);

/* No history of changes up to that commit. */
void model_forget_history(struct model *m, uint64_t commit);

/* Commits that were carried over by a compaction, one after another, rows and history as the index
 * numbers and tells them: the next row; what is live after the commit, of which bits the model
 * becomes the owner; a change. */
void model_take_row(struct model *m, uint32_t tag, uint32_t id);
uint64_t *model_no_versions(const struct model *m);
void model_take_state(struct model *m, uint64_t commit, uint64_t *live);
void model_take_entry(struct model *m, uint64_t commit, enum vdb_operation operation, uint32_t row);

#endif
