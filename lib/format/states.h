/* states.h: states segments: the index after commits whose records are gone
 * (format-spec/states.md).
 *
 * A state's liveness is told by the next one's: the rows that flip between the two.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_STATES_H
#define VDB_FORMAT_STATES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "vdb.h"

struct state_entry {
    uint64_t commit;
    int64_t time_us;  /* of that commit */
    int64_t until_us; /* of the one after it, kept or not */
    uint32_t row_count, live_count;
};

/* Gathers kept states, oldest first. All zero is an empty one. */
struct states_builder {
    uint32_t count;
    struct state_entry last;
    struct buf states, flips;
};

/* The next state, and the `flip_count` rows, rising and below its row_count, whose liveness differs
 * between it and the state that will be added next: for the last one, the state at the commit
 * before the first of the log. After VDB_NO_MEMORY the builder can only be released, after another
 * error it is as before. `flips` may be NULL where there are none.
 * Errors: VDB_INVALID (what states_view_init or states_validate would refuse), VDB_NO_MEMORY. */
enum vdb_status states_builder_add(struct states_builder *b, const struct state_entry *entry,
                                   const uint32_t *flips, uint32_t flip_count,
                                   struct vdb_error *err);

/* Appends the segment to `to`. Errors: VDB_INVALID (no state was added: a file without kept states
 * has no such segment), VDB_NO_MEMORY. */
enum vdb_status states_builder_finish(const struct states_builder *b, struct buf *to,
                                      struct vdb_error *err);
void states_builder_release(struct states_builder *b);

struct states_view { /* owns nothing */
    const uint8_t *states, *flips;
    uint32_t count; /* at least 1 */
    uint64_t file_off;
    uint64_t flips_off; /* from the start of the file */
};

/* The segment of len bytes at p, at file_off of the file. Looks at header and states, not at flips:
 * commits and times of what passes rise as the spec says, row counts do not fall, and
 * states_flips is inside. That the last row_count is not above the file's, and the last commit
 * below the log's first, is the caller's to see. Errors: VDB_CORRUPT. */
enum vdb_status states_view_init(struct states_view *view, const void *p, size_t len,
                                 uint64_t file_off, struct vdb_error *err);

/* `index` is below view->count. */
struct state_entry states_at(const struct states_view *view, uint32_t index);

/* The first state at this commit or a later one; view->count: there is none. */
uint32_t states_from(const struct states_view *view, uint64_t commit);

/* Where the flips of a state lie: *count u32 that are to be read by le32_at, and to be held against
 * row counts before they are used. */
const uint8_t *states_flips(const struct states_view *view, uint32_t index, uint32_t *count);

/* Every flip: rising within a state, below its row count. Errors: VDB_CORRUPT. */
enum vdb_status states_validate(const struct states_view *view, struct vdb_error *err);

#endif
