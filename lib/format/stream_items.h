/* stream_items.h: what the frames of a stream hold: ids, metadata, names (format-spec/stream.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_STREAM_ITEMS_H
#define VDB_FORMAT_STREAM_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/manifest.h"
#include "vdb.h"

/* Rows without their vectors, or deleted ids: gathered column by column, since what is alike packs
 * best side by side. All zero is an empty one. */
struct stream_items_builder {
    uint32_t count;
    struct buf id_lens, text_lens, ids, texts;
};

/* `text` is NULL where the row has no metadata. Errors: VDB_NO_MEMORY. */
enum vdb_status stream_items_add(struct stream_items_builder *b, const char *id, size_t id_len,
                                 const char *text, size_t text_len, struct vdb_error *err);

/* Bytes that a frame of them would have unpacked, for deleted ids without `texts`. */
size_t stream_items_len(const struct stream_items_builder *b, bool texts);

/* Appends the frame's bytes to `to` and begins anew. Errors: VDB_NO_MEMORY. */
enum vdb_status stream_items_finish(struct stream_items_builder *b, bool texts, struct buf *to,
                                    struct vdb_error *err);
void stream_items_release(struct stream_items_builder *b);

struct stream_item {
    const char *id;
    size_t id_len;
    const char *text; /* NULL: none */
    size_t text_len;
};

struct stream_items { /* owns nothing */
    const uint8_t *id_lens, *text_lens;
    const char *ids, *texts;
    uint32_t left;
};

/* Whether the bytes hold just `count` items, each with an id that is one and, with `texts`, a text
 * that can be metadata; then *items stands before the first. */
bool stream_items_init(struct stream_items *items, const void *p, size_t len, uint32_t count,
                       bool texts);

/* false: there is no further item. */
bool stream_items_next(struct stream_items *items, struct stream_item *item);

/* Of an entry, name, created_us and origin go into streams. Errors: VDB_NO_MEMORY. */
enum vdb_status stream_name_append(const struct snapshot_entry *entry, struct buf *to,
                                   struct vdb_error *err);

/* Takes the name at *at of the bytes, whose other members become 0, and moves *at behind it. false:
 * there is none. */
bool stream_name_next(const void *p, size_t len, size_t *at, struct snapshot_entry *entry);

#endif
