/* workload_model.h: the model beside the workloads: what a row of a number is made of, and the
 * states that calls lead to.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_WORKLOAD_MODEL_H
#define TESTS_FAULT_WORKLOAD_MODEL_H

#include "fault/workload.h"

enum { MODEL_ID_MAX = 64, MODEL_MANY_ROWS = 512 };

/* The model stands where the library is denied memory. */
void *model_grow(void *p, size_t len);

size_t model_row_id(uint32_t id, char *text);
void model_row_vector(const struct model_state *s, uint32_t content, float *vector);
void model_row_metadata(uint32_t content, uint32_t len, char *text); /* `len` is at least 8 */
size_t model_name_text(uint32_t number, char *text);

enum op_kind { PUT, INSERT, UPDATE, DELETE, RESTORE };

struct op {
    enum op_kind kind;
    uint32_t id, content, metadata_len;
};

/* A copy that belongs to the run. */
struct model_state *state_new(struct run *run, const struct model_state *like);

/* The state after a commit of these. */
const struct model_state *state_after(struct run *run, const struct model_state *from,
                                      const struct op *ops, size_t count);

/* The state after a compaction of this one: with the rows that are live, or were at an earlier
 * commit that has a name, or with `keep_all` at any that there is. */
struct model_state *state_compacted(struct run *run, const struct model_state *from, bool keep_all);

/* What a compaction to a file of its own makes: the live rows, and nothing of the past. */
struct model_state *state_output(struct run *run, const struct model_state *from);

/* The state after a commit that goes back to an earlier one. */
const struct model_state *state_rolled_back(struct run *run, const struct model_state *from,
                                            uint64_t commit);

/* The same, as a compaction under way carries it over: what it brings back is put. */
const struct model_state *state_carried_back(struct run *run, const struct model_state *successor,
                                             const struct model_state *before,
                                             const struct model_state *after);

/* The state after a commit that receives the run's stream on what there was at the commit `base`.
 */
const struct model_state *state_received(struct run *run, const struct model_state *from,
                                         uint64_t base);

/* The state with its newest commit named, and without that name. */
const struct model_state *state_named(struct run *run, const struct model_state *from,
                                      uint32_t number);
const struct model_state *state_unnamed(struct run *run, const struct model_state *from,
                                        uint32_t number);

#endif
