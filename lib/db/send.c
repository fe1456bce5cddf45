/* send.c: a state, or what makes it of another, as a stream (format-spec/stream.md).
 *
 * Memory holds one frame. What is sent is verified before: the receiver gives it fresh checksums.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "format/metadata.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "state/names.h"
#include "state/snapshot.h"
#include "state/verify.h"
#include "vdb.h"
#include "vector/vtype.h"

struct sender {
    const struct vdb_snapshot *to;
    vdb_write_fn write;
    void *context;
    struct stream_writer stream;
    struct stream_items_builder items; /* rows, or deleted ids */
    struct buf vectors;                /* of the rows, without padding */
    struct buf raw, out;
    struct packed_block texts; /* of the rows that `texts_of` speaks for */
    const struct metadata_view *texts_of;
};

static void sender_release(struct sender *s)
{
    stream_items_release(&s->items);
    buf_release(&s->vectors);
    buf_release(&s->raw);
    buf_release(&s->out);
    packed_block_release(&s->texts);
}

static enum vdb_status flush(struct sender *s, struct vdb_error *err)
{
    errno = 0;
    if (s->out.len && s->write(s->context, s->out.data, s->out.len) != 0)
        return error_set_errno(err, VDB_IO, errno, "cannot write the stream");
    buf_clear(&s->out);
    return VDB_OK;
}

static enum vdb_status put_frame(struct sender *s, unsigned kind, uint32_t count, struct buf *raw,
                                 struct vdb_error *err)
{
    enum vdb_status status = stream_put_frame(&s->stream, kind, count, raw, &s->out, err);
    buf_clear(raw);
    return status ? status : flush(s, err);
}

/* ---- header and names ---------------------------------------------------------------------- */

/* When another index made the commit that a state came from, is not known here. */
static struct stream_state state_of(const struct vdb_snapshot *s)
{
    const uint8_t *file_id = s->generation->superblock.file_id;
    struct origin origin = names_origin(s->names, file_id, s->commit);
    bool own = memcmp(origin.id, file_id, sizeof origin.id) == 0;
    return (struct stream_state){
        .origin = origin,
        .time_us = own ? s->commit_time_us : 0,
        .live = s->live_count,
    };
}

static enum vdb_status put_header(struct sender *s, const struct vdb_snapshot *from,
                                  struct vdb_error *err)
{
    const struct manifest *m = &s->to->generation->manifest;
    struct stream_header header = {
        .incremental = from != NULL,
        .dim = m->dim,
        .metric = m->metric,
        .type = m->type,
        .index = m->index,
        .codes = m->codes,
        .degree = m->degree,
        .ef_construction = m->ef_construction,
        .recent_seconds = m->recent_seconds,
        .recent_rows = m->recent_rows,
        .quiet_begin = m->quiet_begin,
        .quiet_end = m->quiet_end,
        .target = state_of(s->to),
    };
    if (from) header.base = state_of(from);
    return stream_put_header(&s->stream, &header, &s->out, err);
}

/* The names that a commit has at the newest state that is known of. A file may have more of them
 * than a frame holds. */
static enum vdb_status put_names(struct sender *s, unsigned kind, uint64_t commit,
                                 struct vdb_error *err)
{
    const struct names *names = s->to->names;
    uint32_t count = 0;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < names->count && !status; i++) {
        if (names->entries[i]->commit != commit) continue;
        status = stream_name_append(names->entries[i], &s->raw, err);
        count++;
        if (!status && s->raw.len >= VDB_STREAM_FRAME) {
            status = put_frame(s, kind, count, &s->raw, err);
            count = 0;
        }
    }
    return status || !count ? status : put_frame(s, kind, count, &s->raw, err);
}

/* ---- rows and deleted ids ------------------------------------------------------------------ */

static enum vdb_status close_items(struct sender *s, unsigned kind, struct vdb_error *err)
{
    uint32_t count = s->items.count;
    if (!count) return VDB_OK;
    enum vdb_status status = stream_items_finish(&s->items, kind == DISK_FRAME_ROWS, &s->raw, err);
    if (!status) status = put_frame(s, kind, count, &s->raw, err);
    if (!status && kind == DISK_FRAME_ROWS)
        status = put_frame(s, DISK_FRAME_VECTORS, count, &s->vectors, err);
    return status;
}

/* Neighbouring rows have their texts in one block, which is kept unpacked. */
static enum vdb_status read_text(struct sender *s, const struct row_place *place, const char **text,
                                 size_t *len, struct vdb_error *err)
{
    *text = NULL;
    *len = 0;
    if (!place->metadata) return VDB_OK;
    if (place->metadata != s->texts_of) s->texts.count = 0;
    s->texts_of = place->metadata;
    return metadata_read(place->metadata, &s->texts, place->local, text, len, err);
}

static enum vdb_status put_row(struct sender *s, uint32_t row, struct vdb_error *err)
{
    const struct manifest *m = &s->to->generation->manifest;
    struct row_place place;
    const char *id, *text;
    size_t id_len, text_len;
    enum vdb_status status = snapshot_place(s->to, row, &place, err);
    if (!status) status = ids_get(place.ids, place.local, &id, &id_len, err);
    if (!status) status = read_text(s, &place, &text, &text_len, err);
    if (!status) status = stream_items_add(&s->items, id, id_len, text, text_len, err);
    if (!status && buf_append(&s->vectors, place.vector, m->dim * vtype_size(m->type)))
        status = error_no_memory(err);
    if (status) return status;
    bool full =
        stream_items_len(&s->items, true) >= VDB_STREAM_FRAME || s->vectors.len >= VDB_STREAM_FRAME;
    return full ? close_items(s, DISK_FRAME_ROWS, err) : VDB_OK;
}

static enum vdb_status put_delete(struct sender *s, const char *id, size_t id_len,
                                  struct vdb_error *err)
{
    enum vdb_status status = stream_items_add(&s->items, id, id_len, NULL, 0, err);
    if (!status && stream_items_len(&s->items, false) >= VDB_STREAM_FRAME)
        status = close_items(s, DISK_FRAME_DELETES, err);
    return status;
}

static enum vdb_status put_whole(struct sender *s, struct vdb_error *err)
{
    enum vdb_status status = verify_rows(s->to, 0, err);
    for (uint32_t row = 0; !status && vdb_next_live_row(s->to, &row); row++)
        status = put_row(s, row, err);
    return status ? status : close_items(s, DISK_FRAME_ROWS, err);
}

/* Rows come in their order, so that the first says from where on there is something to verify; ids
 * of deleted rows the receiver holds against its own. */
static enum vdb_status put_changes(struct sender *s, const struct vdb_snapshot *from,
                                   struct vdb_error *err)
{
    struct vdb_diff *diff;
    struct vdb_diff_entry entry;
    bool verified = false, deleting = false;
    enum vdb_status status = vdb_diff_open(from, s->to, &diff, err);
    if (status) return status;
    while (!status && (status = vdb_diff_next(diff, &entry, err)) == VDB_OK) {
        if (entry.operation == VDB_OPERATION_DELETE) {
            if (!deleting) status = close_items(s, DISK_FRAME_ROWS, err);
            deleting = true;
            if (!status) status = put_delete(s, entry.id, entry.id_len, err);
            continue;
        }
        if (!verified) status = verify_rows(s->to, entry.to_row, err);
        verified = true;
        if (!status) status = put_row(s, entry.to_row, err);
    }
    if (status == VDB_NOT_FOUND)
        status = close_items(s, deleting ? DISK_FRAME_DELETES : DISK_FRAME_ROWS, err);
    vdb_diff_close(diff);
    return status;
}

enum vdb_status vdb_send(const struct vdb_snapshot *from, const struct vdb_snapshot *to,
                         vdb_write_fn write, void *context, struct vdb_error *err)
{
    struct sender s = {.to = to, .write = write, .context = context};
    enum vdb_status status = put_header(&s, from, err);
    if (!status && from) status = put_names(&s, DISK_FRAME_BASE_NAMES, from->commit, err);
    if (!status) status = put_names(&s, DISK_FRAME_NAMES, to->commit, err);
    if (!status) status = from ? put_changes(&s, from, err) : put_whole(&s, err);
    if (!status) status = stream_put_end(&s.stream, &s.out, err);
    if (!status) status = flush(&s, err);
    sender_release(&s);
    return status;
}
