/* model_expect.h: holding an index against a model. What differs fails the test.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_MODEL_EXPECT_H
#define TESTS_UNIT_MODEL_EXPECT_H

#include "model.h"

/* The state after `commit`, with all of its rows' numbers; ids, vectors and metadata of every
 * `step`-th row, and what every `step`-th id leads to, from the `random`-th one on. */
void expect_state(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                  uint32_t step, uint64_t random);

/* vdb_snapshot_at from `s`, which is at the model's newest commit or an earlier one. */
void expect_past(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                 uint32_t step, uint64_t random);

/* All that are kept, and of the others that they are not, by an error that says what is. */
void expect_all_pasts(const struct vdb_snapshot *s, const struct model *m, uint32_t step);

/* Exact searches by brute force; others, that they answer with rows of the state. */
void expect_searches(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                     uint64_t seed);

void expect_names(const struct vdb_snapshot *s, const struct model *m);
void expect_commit_at(const struct vdb_snapshot *s, const struct model *m, int64_t time_us);
void expect_log(const struct vdb_snapshot *s, const struct model *m, uint64_t commit,
                uint64_t since, uint64_t last);

/* Between two commits that the index has, both gone back to from `s`. */
void expect_diff(const struct vdb_snapshot *s, const struct model *m, uint64_t from, uint64_t to);

#endif
