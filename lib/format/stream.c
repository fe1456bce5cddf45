/* stream.c: streams; implements format-spec/stream.md.
 *
 * A frame's number and its kind's place in the order say where it belongs, its check that it is
 * whole, and the last frame's that all are those of one stream. What a hostile length can cost is
 * bounded by VDB_STREAM_FRAME_MAX.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/stream.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "format/packed.h"
#include "format/stream_items.h"
#include "vector/vtype.h"

#define SEGMENT "stream"

/* Fewer bytes are not worth packing. */
#define PACK_FROM 64

_Static_assert(VDB_STREAM_FRAME_MAX >=
                   VDB_STREAM_FRAME + VDB_METADATA_MAX + VDB_ID_MAX + sizeof(le16) + sizeof(le32),
               "a frame that is not full has room for one more row");
_Static_assert(VDB_STREAM_FRAME_MAX >= VDB_STREAM_FRAME + VDB_DIM_MAX * sizeof(float),
               "and for its vector");

/* ---- writing ------------------------------------------------------------------------------- */

static enum vdb_status put(struct stream_writer *w, const void *p, size_t len, struct buf *to,
                           struct vdb_error *err)
{
    if (buf_append(to, p, len)) return error_no_memory(err);
    checksum_add(&w->whole, p, len);
    return VDB_OK;
}

enum vdb_status stream_put_header(struct stream_writer *w, const struct stream_header *header,
                                  struct buf *to, struct vdb_error *err)
{
    const struct stream_state *target = &header->target, *base = &header->base;
    struct disk_stream disk = {
        .magic = {0},
        .version = le16_put(VDB_STREAM_VERSION),
        .flags = le16_put(header->incremental ? DISK_STREAM_INCREMENTAL : 0),
        .header_len = le32_put(sizeof disk),
        .dim = le32_put(header->dim),
        .metric = le16_put((uint16_t)header->metric),
        .type = le16_put((uint16_t)header->type),
        .index = le16_put((uint16_t)header->index),
        .codes = le16_put((uint16_t)header->codes),
        .degree = le32_put(header->degree),
        .ef_construction = le32_put(header->ef_construction),
        .recent_rows = le32_put(header->recent_rows),
        .recent_seconds = le64_put(header->recent_seconds),
        .quiet_begin = le16_put(header->quiet_begin),
        .quiet_end = le16_put(header->quiet_end),
        .target_live = le32_put(target->live),
        .target_commit = le64_put(target->origin.commit),
        .target_time_us = le64_put((uint64_t)target->time_us),
        .base_commit = le64_put(base->origin.commit),
        .base_time_us = le64_put((uint64_t)base->time_us),
        .base_live = le32_put(base->live),
    };
    memcpy(disk.magic, VDB_STREAM_MAGIC, sizeof disk.magic);
    memcpy(disk.target_id, target->origin.id, sizeof disk.target_id);
    memcpy(disk.base_id, base->origin.id, sizeof disk.base_id);
    disk.check = le64_put(checksum(&disk, offsetof(struct disk_stream, check)));
    checksum_init(&w->whole);
    return put(w, &disk, sizeof disk, to, err);
}

/* In each frame the check counts as zero itself. */
static uint64_t frame_check(const void *head, const void *packed, size_t packed_len)
{
    struct disk_stream_frame zeroed;
    struct checksum_state state;
    memcpy(&zeroed, head, sizeof zeroed);
    zeroed.check = le64_put(0);
    checksum_init(&state);
    checksum_add(&state, &zeroed, sizeof zeroed);
    checksum_add(&state, packed, packed_len);
    return checksum_end(&state);
}

static void count_items(struct stream_totals *totals, unsigned kind, uint32_t count)
{
    totals->rows += kind == DISK_FRAME_ROWS ? count : 0;
    totals->deletes += kind == DISK_FRAME_DELETES ? count : 0;
    totals->names += kind == DISK_FRAME_NAMES ? count : 0;
}

enum vdb_status stream_put_frame(struct stream_writer *w, unsigned kind, uint32_t count,
                                 const struct buf *raw, struct buf *to, struct vdb_error *err)
{
    size_t start = to->len;
    uint32_t packing = DISK_BLOCK_STORED;
    count_items(&w->totals, kind, count);
    w->base_names += kind == DISK_FRAME_BASE_NAMES ? count : 0;
    if (raw->len > VDB_STREAM_FRAME_MAX || w->frames == UINT32_MAX ||
        w->totals.names + w->base_names > VDB_STREAM_NAMES_MAX)
        return error_set(err, VDB_LIMIT, "a stream cannot hold as much");
    if (buf_append_zeros(to, sizeof(struct disk_stream_frame))) return error_no_memory(err);
    if (raw->len < PACK_FROM) {
        if (buf_append(to, raw->data, raw->len)) return error_no_memory(err);
    } else {
        enum vdb_status status = packed_pack(raw->data, raw->len, to, &packing, err);
        if (status) return status;
    }
    const uint8_t *packed = to->data + start + sizeof(struct disk_stream_frame);
    size_t packed_len = to->len - start - sizeof(struct disk_stream_frame);
    struct disk_stream_frame head = {
        .kind = le16_put((uint16_t)kind),
        .packing = le16_put((uint16_t)packing),
        .number = le32_put(w->frames),
        .count = le32_put(count),
        .raw_len = le32_put((uint32_t)raw->len),
        .packed_len = le32_put((uint32_t)packed_len),
    };
    head.check = le64_put(frame_check(&head, packed, packed_len));
    memcpy(to->data + start, &head, sizeof head);
    checksum_add(&w->whole, to->data + start, to->len - start);
    w->frames++;
    return VDB_OK;
}

enum vdb_status stream_put_end(struct stream_writer *w, struct buf *to, struct vdb_error *err)
{
    struct disk_stream_end end = {
        .row_count = le64_put(w->totals.rows),
        .delete_count = le64_put(w->totals.deletes),
        .name_count = le64_put(w->totals.names),
        .check = le64_put(checksum_end(&w->whole)),
    };
    const struct buf raw = {.data = (uint8_t *)&end, .len = sizeof end};
    return stream_put_frame(w, DISK_FRAME_END, 1, &raw, to, err);
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool header_sound(const struct disk_stream *disk)
{
    unsigned metric = le16_get(disk->metric), type = le16_get(disk->type);
    uint32_t dim = le32_get(disk->dim);
    return le32_get(disk->header_len) == sizeof *disk && dim >= 1 && dim <= VDB_DIM_MAX &&
           metric >= DISK_METRIC_L2 && metric <= DISK_METRIC_IP && type >= DISK_TYPE_F32 &&
           type <= DISK_TYPE_U8 && le16_get(disk->index) <= DISK_INDEX_HYBRID &&
           le16_get(disk->codes) <= DISK_CODES_B1 &&
           (le16_get(disk->flags) & ~DISK_STREAM_INCREMENTAL) == 0;
}

static void header_get(const struct disk_stream *disk, struct stream_header *out)
{
    *out = (struct stream_header){
        .incremental = le16_get(disk->flags) & DISK_STREAM_INCREMENTAL,
        .dim = le32_get(disk->dim),
        .metric = (enum vdb_metric)le16_get(disk->metric),
        .type = (enum vdb_type)le16_get(disk->type),
        .index = (enum vdb_index_kind)le16_get(disk->index),
        .codes = (enum vdb_codes)le16_get(disk->codes),
        .degree = le32_get(disk->degree),
        .ef_construction = le32_get(disk->ef_construction),
        .recent_rows = le32_get(disk->recent_rows),
        .recent_seconds = le64_get(disk->recent_seconds),
        .quiet_begin = le16_get(disk->quiet_begin),
        .quiet_end = le16_get(disk->quiet_end),
        .target = {.origin.commit = le64_get(disk->target_commit),
                   .time_us = (int64_t)le64_get(disk->target_time_us),
                   .live = le32_get(disk->target_live)},
        .base = {.origin.commit = le64_get(disk->base_commit),
                 .time_us = (int64_t)le64_get(disk->base_time_us),
                 .live = le32_get(disk->base_live)},
    };
    memcpy(out->target.origin.id, disk->target_id, sizeof out->target.origin.id);
    memcpy(out->base.origin.id, disk->base_id, sizeof out->base.origin.id);
}

enum vdb_status stream_begin(struct stream_reader *r, const void *p, struct vdb_error *err)
{
    struct disk_stream disk;
    memcpy(&disk, p, sizeof disk);
    *r = (struct stream_reader){.off = sizeof disk};
    if (memcmp(disk.magic, VDB_STREAM_MAGIC, sizeof disk.magic) != 0)
        return error_set_corrupt(err, SEGMENT, 0, "not a stream of an index");
    if (le16_get(disk.version) != VDB_STREAM_VERSION)
        return error_set(err, VDB_UNSUPPORTED, "the stream is of version %u, this reads version %d",
                         le16_get(disk.version), VDB_STREAM_VERSION);
    if (checksum(&disk, offsetof(struct disk_stream, check)) != le64_get(disk.check))
        return error_set_corrupt(err, SEGMENT, 0, "the stream's header is damaged");
    if (!header_sound(&disk))
        return error_set_corrupt(err, SEGMENT, 0, "the stream's header has impossible values");
    header_get(&disk, &r->header);
    checksum_init(&r->whole);
    checksum_add(&r->whole, &disk, sizeof disk);
    return VDB_OK;
}

/* Whether a frame of that kind may come now. Vectors come behind their rows and nowhere else. */
static bool in_order(const struct stream_reader *r, const struct stream_frame *frame)
{
    bool vectors = frame->kind == DISK_FRAME_VECTORS;
    if (vectors != (r->last == DISK_FRAME_ROWS)) return false;
    if (vectors) return frame->count == r->rows_open;
    if (!r->header.incremental &&
        (frame->kind == DISK_FRAME_BASE_NAMES || frame->kind == DISK_FRAME_DELETES))
        return false;
    unsigned reached = r->last == DISK_FRAME_VECTORS ? DISK_FRAME_ROWS : r->last;
    return frame->kind != 0 && frame->kind >= reached && frame->kind <= DISK_FRAME_END;
}

enum vdb_status stream_frame_begin(struct stream_reader *r, const void *p,
                                   struct stream_frame *frame, struct vdb_error *err)
{
    struct disk_stream_frame disk;
    memcpy(&disk, p, sizeof disk);
    memcpy(frame->head, p, sizeof frame->head);
    frame->kind = le16_get(disk.kind);
    frame->packing = le16_get(disk.packing);
    frame->count = le32_get(disk.count);
    frame->raw_len = le32_get(disk.raw_len);
    frame->packed_len = le32_get(disk.packed_len);
    if (le32_get(disk.number) != r->frames || !in_order(r, frame))
        return error_set_corrupt(
            err, SEGMENT, r->off,
            "the stream is damaged: frame %" PRIu32 " is not the one that follows", r->frames);
    if (frame->count == 0 || frame->raw_len == 0 || frame->raw_len > VDB_STREAM_FRAME_MAX ||
        frame->packed_len > frame->raw_len)
        return error_set_corrupt(err, SEGMENT, r->off,
                                 "the stream is damaged: frame %" PRIu32 " has impossible lengths",
                                 r->frames);
    r->frame_off = r->off;
    r->off += sizeof disk;
    return VDB_OK;
}

static bool names_sound(const struct buf *raw, uint32_t count)
{
    struct snapshot_entry entry;
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!stream_name_next(raw->data, raw->len, &at, &entry)) return false;
    return at == raw->len;
}

static bool end_sound(const struct stream_reader *r, const struct buf *raw, uint32_t count)
{
    struct disk_stream_end end;
    if (raw->len != sizeof end || count != 1) return false;
    memcpy(&end, raw->data, sizeof end);
    return le64_get(end.row_count) == r->totals.rows &&
           le64_get(end.delete_count) == r->totals.deletes &&
           le64_get(end.name_count) == r->totals.names &&
           le64_get(end.check) == checksum_end(&r->whole);
}

static bool items_sound(const struct stream_reader *r, const struct stream_frame *frame,
                        const struct buf *raw)
{
    struct stream_items items;
    switch (frame->kind) {
    case DISK_FRAME_BASE_NAMES:
    case DISK_FRAME_NAMES:
        return frame->count <= VDB_STREAM_NAMES_MAX - (r->totals.names + r->base_names) &&
               names_sound(raw, frame->count);
    case DISK_FRAME_ROWS:
    case DISK_FRAME_DELETES:
        return stream_items_init(&items, raw->data, raw->len, frame->count,
                                 frame->kind == DISK_FRAME_ROWS);
    case DISK_FRAME_VECTORS:
        return raw->len == frame->count * vtype_size(r->header.type) * r->header.dim;
    default:
        return end_sound(r, raw, frame->count);
    }
}

enum vdb_status stream_frame_end(struct stream_reader *r, const struct stream_frame *frame,
                                 const void *packed, struct buf *raw, struct vdb_error *err)
{
    struct disk_stream_frame disk;
    memcpy(&disk, frame->head, sizeof disk);
    if (frame_check(frame->head, packed, frame->packed_len) != le64_get(disk.check))
        return error_set_corrupt(
            err, SEGMENT, r->frame_off,
            "the stream is damaged: the checksum of frame %" PRIu32 " does not match", r->frames);
    buf_clear(raw);
    uint8_t *to = buf_extend(raw, frame->raw_len);
    if (!to) return error_no_memory(err);
    if (!packed_unpack(frame->packing, packed, frame->packed_len, to, frame->raw_len))
        return error_set_corrupt(
            err, SEGMENT, r->frame_off,
            "the stream is damaged: frame %" PRIu32 " does not unpack to its length", r->frames);
    if (!items_sound(r, frame, raw))
        return error_set_corrupt(
            err, SEGMENT, r->frame_off,
            frame->kind == DISK_FRAME_END
                ? "the stream is damaged: what its frame %" PRIu32 " ends is not what it sums up"
                : "the stream is damaged: frame %" PRIu32 " does not hold what it says",
            r->frames);
    checksum_add(&r->whole, frame->head, sizeof frame->head);
    checksum_add(&r->whole, packed, frame->packed_len);
    count_items(&r->totals, frame->kind, frame->count);
    r->base_names += frame->kind == DISK_FRAME_BASE_NAMES ? frame->count : 0;
    r->off += frame->packed_len;
    r->last = frame->kind;
    r->rows_open = frame->count;
    r->ended = frame->kind == DISK_FRAME_END;
    r->frames++;
    return VDB_OK;
}
