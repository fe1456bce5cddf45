/* liveness.h: which rows are deleted, at one commit.
 *
 * The tombstone segments of the parts say it for the manifest's commit and are read where they lie.
 * What has changed since is in chunks of LIVENESS_CHUNK rows, a bit a row, set = deleted: a chunk
 * is NULL (nothing changed: ask the segments) or shared, with a count, by the states that agree on
 * it; a state that is to change one makes its own copy first. So a new state costs its changes and
 * a pointer a chunk, and opening reads no row's bit.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_LIVENESS_H
#define VDB_STATE_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "vdb.h"

#define LIVENESS_CHUNK 32768u

struct liveness_chunk;

struct liveness_span { /* rows that a tombstone segment speaks for */
    uint32_t row_begin, row_end;
    const uint8_t *words;
};

struct liveness {
    const struct liveness_span *spans; /* in row order; the caller's, and outlive the state */
    uint32_t span_count;
    struct liveness_chunk **chunks;
    uint32_t chunk_count;
};

/* `to`, uninitialised before, becomes equal to `from`. */
enum vdb_status liveness_copy(const struct liveness *from, struct liveness *to,
                              struct vdb_error *err);
void liveness_release(struct liveness *liveness);

bool liveness_deleted(const struct liveness *liveness, uint32_t row);

enum vdb_status liveness_set(struct liveness *liveness, uint32_t row, bool deleted,
                             struct vdb_error *err);

/* The rows [begin, end) become deleted. */
enum vdb_status liveness_hide(struct liveness *liveness, uint32_t begin, uint32_t end,
                              struct vdb_error *err);

/* The first row from `row` on, below `end`, that is deleted in one of two states of the same parts
 * and not in the other; `end` where there is none. What the two share is passed over. */
uint32_t liveness_next_difference(const struct liveness *a, const struct liveness *b, uint32_t row,
                                  uint32_t end);

/* How many of the rows [begin, end) are deleted, a word at a time. */
uint32_t liveness_count(const struct liveness *liveness, uint32_t begin, uint32_t end);

/* The first row from `row` on, below `end`, that is not deleted; `end` where there is none. */
uint32_t liveness_next_live(const struct liveness *liveness, uint32_t row, uint32_t end);

/* Writes the bits of rows [row_begin, row_begin + rows) as a tombstone segment's words; returns
 * how many are set. `words` has ceil(rows / 64) of them. */
uint32_t liveness_store(const struct liveness *liveness, uint32_t row_begin, uint32_t rows,
                        uint8_t *words);

#endif
