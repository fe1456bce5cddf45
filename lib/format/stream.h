/* stream.h: streams: what makes an index, or what changed in one (format-spec/stream.md).
 *
 * A header, then frames, packed by LZ4 and with a checksum each, the last of which has the checksum
 * of all. Written and read frame by frame, by way of the caller's memory.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_STREAM_H
#define VDB_FORMAT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "format/disk.h"
#include "format/manifest.h"
#include "vdb.h"

struct stream_state { /* of an index, as a stream names it */
    struct origin origin;
    int64_t time_us; /* of the origin's commit; 0: not known to the sender */
    uint32_t live;
};

struct stream_header {
    bool incremental; /* else `base` is all 0 */
    uint32_t dim;
    enum vdb_metric metric;
    enum vdb_type type;
    enum vdb_index_kind index;
    enum vdb_codes codes;
    uint32_t degree, ef_construction;
    uint64_t recent_seconds;
    uint32_t recent_rows;
    uint16_t quiet_begin, quiet_end;
    struct stream_state base, target;
};

struct stream_totals {
    uint64_t rows, deletes, names;
};

/* ---- writing ------------------------------------------------------------------------------- */

struct stream_writer { /* all zero before stream_put_header */
    uint32_t frames;
    struct stream_totals totals;
    uint64_t base_names;
    struct checksum_state whole;
};

/* Each appends to `to`, whose bytes from there on are then the stream's next. Frames come in the
 * order that stream.md has, one of rows with that of their vectors behind it. Errors: VDB_LIMIT,
 * VDB_NO_MEMORY, after which the stream cannot be gone on with. */
enum vdb_status stream_put_header(struct stream_writer *w, const struct stream_header *header,
                                  struct buf *to, struct vdb_error *err);

/* `raw` is 1 to VDB_STREAM_FRAME_MAX bytes that hold `count` items, at least one. */
enum vdb_status stream_put_frame(struct stream_writer *w, unsigned kind, uint32_t count,
                                 const struct buf *raw, struct buf *to, struct vdb_error *err);
enum vdb_status stream_put_end(struct stream_writer *w, struct buf *to, struct vdb_error *err);

/* ---- reading ------------------------------------------------------------------------------- */

struct stream_reader {
    struct stream_header header;
    uint64_t off;       /* bytes taken so far */
    uint64_t frame_off; /* of the frame that is being taken */
    uint32_t frames;
    unsigned last;      /* kind of the last frame, 0: none yet */
    uint32_t rows_open; /* rows of the last frame, whose vectors are still to come */
    bool ended;
    struct stream_totals totals;
    uint64_t base_names;
    struct checksum_state whole;
};

struct stream_frame {
    unsigned kind; /* DISK_FRAME_ */
    uint32_t count, packing, raw_len, packed_len;
    uint8_t head[sizeof(struct disk_stream_frame)];
};

/* Takes what a stream begins with: sizeof(struct disk_stream) bytes.
 * Errors: VDB_CORRUPT (no stream, or damaged), VDB_UNSUPPORTED (of another version). */
enum vdb_status stream_begin(struct stream_reader *r, const void *p, struct vdb_error *err);

/* Takes a frame's head, sizeof(struct disk_stream_frame) bytes: frame->packed_len bytes follow, at
 * most VDB_STREAM_FRAME_MAX. Not to be called when r->ended. Errors: VDB_CORRUPT. */
enum vdb_status stream_frame_begin(struct stream_reader *r, const void *p,
                                   struct stream_frame *frame, struct vdb_error *err);

/* Takes those bytes; *raw, whose memory is used again, becomes what they unpack to: verified, with
 * items that stream_items_init, stream_name_next and the vectors' length promise to be sound. The
 * frame that ends a stream sets r->ended. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status stream_frame_end(struct stream_reader *r, const struct stream_frame *frame,
                                 const void *packed, struct buf *raw, struct vdb_error *err);

#endif
