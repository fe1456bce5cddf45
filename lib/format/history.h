/* history.h: history segments: who was changed when, for commits whose records are gone
 * (format-spec/history.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_HISTORY_H
#define VDB_FORMAT_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/packed.h"
#include "vdb.h"

struct history_entry {
    uint64_t commit;
    int64_t time_us;
    uint16_t operation; /* DISK_OPERATION_* */
    const char *id;     /* utf8_id_valid */
    size_t id_len;
};

/* Gathers changes in the order of their commits. All zero is an empty one. */
struct history_builder {
    uint64_t entries;
    uint64_t block_first; /* the entry that the open block begins with */
    uint64_t first, last; /* commits of the first and last entry */
    uint64_t taken;       /* bytes of packed blocks that history_builder_take has moved out */
    struct buf raw;       /* the open block */
    struct buf blocks, data;
};

/* After VDB_NO_MEMORY the builder can only be released, after another error it is as before.
 * Errors: VDB_INVALID (operation, id, a commit before the last one's), VDB_NO_MEMORY. */
enum vdb_status history_builder_add(struct history_builder *b, const struct history_entry *entry,
                                    struct vdb_error *err);

/* Appends the segment, which says that it lists the commits [first_commit, last_commit], to `to`;
 * its offsets count from where that ends now. Afterwards the builder takes no more entries.
 * Errors: VDB_INVALID (an entry of another commit), VDB_NO_MEMORY. */
enum vdb_status history_builder_finish(struct history_builder *b, uint64_t first_commit,
                                       uint64_t last_commit, struct buf *to, struct vdb_error *err);

/* The same in pieces, for segments that memory should not hold whole: what is packed so far is
 * moved behind `to`, as often as the caller likes. At the end history_builder_front gives what
 * stands in front of all pieces, of which the last is taken after it. */
enum vdb_status history_builder_take(struct history_builder *b, struct buf *to,
                                     struct vdb_error *err);
enum vdb_status history_builder_front(struct history_builder *b, uint64_t first_commit,
                                      uint64_t last_commit, struct buf *to, struct vdb_error *err);
void history_builder_release(struct history_builder *b);

struct history_view { /* owns nothing */
    uint64_t first_commit, last_commit;
    uint64_t entries;
    struct packed_view packed;
};

/* Looks at the header alone; see ids_view_init. Errors: VDB_CORRUPT. */
enum vdb_status history_view_init(struct history_view *view, const void *p, size_t len,
                                  uint64_t file_off, struct vdb_error *err);

/* From the first entry to the last: init, next until it returns VDB_NOT_FOUND, release. */
struct history_iter {
    const struct history_view *view;
    uint32_t block;  /* the next one to unpack */
    uint32_t left;   /* entries of the one unpacked that are still to come */
    size_t at;       /* in its raw bytes */
    uint64_t commit; /* of the entry before */
    struct packed_block unpacked;
};

void history_iter_init(struct history_iter *iter, const struct history_view *view);

/* entry->id lies in the iterator until its next use. VDB_NOT_FOUND: there was no further entry;
 * err is left alone. Errors: VDB_CORRUPT, VDB_NO_MEMORY, after which there is only release. */
enum vdb_status history_next(struct history_iter *iter, struct history_entry *entry,
                             struct vdb_error *err);

/* Passes over entries, whole blocks of them without unpacking: returns how many, at most `most`,
 * and fewer where whole blocks do not come to that. */
uint64_t history_pass(struct history_iter *iter, uint64_t most);
void history_iter_release(struct history_iter *iter);

/* Every block and every entry. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status history_validate(const struct history_view *view, struct vdb_error *err);

#endif
