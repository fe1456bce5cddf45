/* part_build.c: writing a part's vectors, ids, metadata and tombstones.
 *
 * Where the rows are those of one commit whose blocks lie in an extent of their own, the part's
 * segments are these blocks: a bulk load writes its vectors once.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/metaspool.h"
#include "db/part_index.h"
#include "db/space.h"
#include "format/row_times.h"
#include "format/tombstone.h"
#include "state/verify.h"
#include "vector/vtype.h"

static uint32_t source_row(const struct part_build *b, uint32_t i)
{
    return b->rows ? b->rows[i] : b->first + i;
}

enum vdb_status part_build_reserve(const struct part_build *b, uint64_t len, uint64_t align,
                                   uint64_t *off, struct vdb_error *err)
{
    if (!b->shared) return space_reserve(b->file, len, align, off, err);
    enum vdb_status status = db_lock_write_maintained(b->shared, err);
    if (status) return status;
    status = space_reserve(b->file, len, align, off, err);
    db_unlock_write(b->shared);
    return status;
}

enum vdb_status part_build_progress(const struct part_build *b, const char *phase, uint64_t done,
                                    uint64_t total, struct vdb_error *err)
{
    if (b->progress && b->progress(b->context, phase, done, total))
        return error_set(err, VDB_CANCELLED, "cancelled");
    return VDB_OK;
}

enum vdb_status part_build_segment(const struct part_build *b, const void *bytes, size_t len,
                                   struct segment_entry *segment, struct vdb_error *err)
{
    enum vdb_status status =
        part_build_reserve(b, len, space_segment_align(len), &segment->off, err);
    if (!status) status = space_write(b->file, segment->off, bytes, len, err);
    segment->len = len;
    segment->check = checksum(bytes, len);
    return status;
}

static enum vdb_status add_segment(const struct part_build *b, struct manifest *m, uint16_t type,
                                   struct segment_entry segment, struct vdb_error *err)
{
    segment.type = type;
    segment.row_begin = b->row_begin;
    segment.row_end = b->row_begin + b->count;
    return manifest_add_segment(m, &segment, err);
}

static enum vdb_status write_and_add(const struct part_build *b, struct manifest *m, uint16_t type,
                                     struct buf *bytes, struct vdb_error *err)
{
    struct segment_entry segment = {0};
    enum vdb_status status = part_build_segment(b, bytes->data, bytes->len, &segment, err);
    if (!status) status = add_segment(b, m, type, segment, err);
    return status;
}

/* The one commit that brought exactly these rows, with its blocks outside of the log; or NULL. */
static const struct tail_commit *whole_commit(const struct part_build *b)
{
    if (!b->in_place || b->rows) return NULL;
    const struct vdb_snapshot *s = b->source;
    const struct tail_commit *commit = tail_of_row(&s->generation->tail, s->tail_count, b->first);
    if (!commit || commit->log.row_base != b->first || commit->log.row_count != b->count)
        return NULL;
    bool outside = commit->log.vectors.off % VDB_SEGMENT_ALIGN == 0;
    return outside ? commit : NULL;
}

static struct segment_entry of_block(const struct log_block *block)
{
    return (struct segment_entry){.off = block->off, .len = block->len, .check = block->check};
}

/* ---- vectors ------------------------------------------------------------------------------- */

static enum vdb_status copy_vectors(const struct part_build *b, size_t stride, uint64_t off,
                                    uint64_t *check, struct vdb_error *err)
{
    size_t step = ((size_t)1 << 20) / stride + 1;
    uint8_t *bytes = malloc(step * stride);
    if (!bytes) return error_no_memory(err);
    struct checksum_state state;
    checksum_init(&state);
    enum vdb_status status = VDB_OK;
    for (uint32_t done = 0; done < b->count && !status;) {
        size_t n = b->count - done < step ? b->count - done : step;
        for (size_t i = 0; i < n && !status; i++) {
            struct row_place place;
            status = snapshot_place(b->source, source_row(b, done + (uint32_t)i), &place, err);
            if (!status) memcpy(bytes + i * stride, place.vector, stride);
        }
        if (!status)
            status = space_write(b->file, off + (uint64_t)done * stride, bytes, n * stride, err);
        checksum_add(&state, bytes, n * stride);
        done += (uint32_t)n;
        if (!status) status = part_build_progress(b, "write vectors", done, b->count, err);
    }
    free(bytes);
    *check = checksum_end(&state);
    return status;
}

static enum vdb_status build_vectors(const struct part_build *b, const struct tail_commit *whole,
                                     struct manifest *m, struct segment_entry *segment,
                                     struct vdb_error *err)
{
    size_t stride = vtype_stride(m->type, m->dim);
    enum vdb_status status = VDB_OK;
    if (whole) {
        *segment = of_block(&whole->log.vectors);
    } else {
        *segment = (struct segment_entry){.len = (uint64_t)b->count * stride};
        status = part_build_reserve(b, segment->len, space_segment_align(segment->len),
                                    &segment->off, err);
        if (!status) status = copy_vectors(b, stride, segment->off, &segment->check, err);
    }
    segment->stride = (uint32_t)stride;
    return status ? status : add_segment(b, m, DISK_SEGMENT_VECTOR, *segment, err);
}

/* ---- ids and metadata ---------------------------------------------------------------------- */

static enum vdb_status gather_ids(const struct part_build *b, struct ids_builder *ids,
                                  uint64_t *hashes, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < b->count && !status; i++) {
        struct row_place place;
        const char *id;
        size_t id_len;
        status = snapshot_place(b->source, source_row(b, i), &place, err);
        if (!status) status = ids_get(place.ids, place.local, &id, &id_len, err);
        if (!status && ids) status = ids_builder_add(ids, id, id_len, err);
        if (!status) hashes[i] = checksum(id, id_len);
    }
    return status;
}

static enum vdb_status build_id_hash(const struct part_build *b, const uint64_t *hashes,
                                     struct manifest *m, struct vdb_error *err)
{
    struct buf bytes = {0};
    enum vdb_status status = id_hash_build(hashes, b->count, &bytes, err);
    if (!status) status = write_and_add(b, m, DISK_SEGMENT_ID_HASH, &bytes, err);
    buf_release(&bytes);
    return status;
}

static enum vdb_status build_ids(const struct part_build *b, const struct tail_commit *whole,
                                 struct manifest *m, struct vdb_error *err)
{
    struct ids_builder ids = {0};
    struct buf bytes = {0};
    uint64_t *hashes = malloc(b->count * sizeof *hashes);
    enum vdb_status status = hashes ? VDB_OK : error_no_memory(err);
    if (!status) status = gather_ids(b, whole ? NULL : &ids, hashes, err);
    if (!status && whole)
        status = add_segment(b, m, DISK_SEGMENT_ID, of_block(&whole->log.ids), err);
    if (!status && !whole) {
        status = ids_builder_finish(&ids, &bytes, err);
        if (!status) status = write_and_add(b, m, DISK_SEGMENT_ID, &bytes, err);
    }
    ids_builder_release(&ids);
    buf_release(&bytes);
    if (!status) status = build_id_hash(b, hashes, m, err);
    free(hashes);
    return status;
}

static enum vdb_status gather_metadata(const struct part_build *b, struct metaspool *spool,
                                       struct vdb_error *err)
{
    struct packed_block cache = {0};
    const struct metadata_view *cached = NULL;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < b->count && !status; i++) {
        struct row_place place;
        const char *text = NULL;
        size_t len = 0;
        status = snapshot_place(b->source, source_row(b, i), &place, err);
        if (!status && place.metadata) {
            if (place.metadata != cached) packed_block_release(&cache);
            cached = place.metadata;
            status = metadata_read(cached, &cache, place.local, &text, &len, err);
        }
        if (!status) status = metaspool_add(spool, text, len, err);
    }
    packed_block_release(&cache);
    return status;
}

static enum vdb_status build_metadata(const struct part_build *b, const struct tail_commit *whole,
                                      struct manifest *m, struct vdb_error *err)
{
    if (whole) {
        if (!whole->log.metadata.len) return VDB_OK;
        return add_segment(b, m, DISK_SEGMENT_METADATA, of_block(&whole->log.metadata), err);
    }
    struct metaspool spool;
    struct segment_entry segment = {0};
    metaspool_init(&spool, b->beside);
    enum vdb_status status = gather_metadata(b, &spool, err);
    if (!status) status = metaspool_finish(&spool, &segment.len, err);
    if (!status && segment.len) {
        status =
            part_build_reserve(b, segment.len, space_segment_align(segment.len), &segment.off, err);
        if (!status)
            status = metaspool_copy(&spool, b->file, segment.off, &segment.check, NULL, err);
        if (!status) status = add_segment(b, m, DISK_SEGMENT_METADATA, segment, err);
    }
    metaspool_release(&spool);
    return status;
}

/* ---- times --------------------------------------------------------------------------------- */

static enum vdb_status build_times(const struct part_build *b, struct manifest *m,
                                   struct vdb_error *err)
{
    struct row_times_builder times = {0};
    struct segment_entry segment = {.flags = DISK_SEGMENT_OPTIONAL};
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < b->count && !b->timeless && !status; i++)
        status = row_times_add(&times, snapshot_row_time(b->source, source_row(b, i)), err);
    if (!status && row_times_any(&times)) {
        status = part_build_segment(b, times.entries.data, times.entries.len, &segment, err);
        if (!status) status = add_segment(b, m, DISK_SEGMENT_TIME, segment, err);
    }
    buf_release(&times.entries);
    return status;
}

/* ---- tombstones ---------------------------------------------------------------------------- */

static enum vdb_status build_tombstones(const struct part_build *b, struct manifest *m,
                                        struct vdb_error *err)
{
    struct buf bytes = {0};
    if (buf_append_zeros(&bytes, tombstone_len(b->count))) return error_no_memory(err);
    bool any = false;
    for (uint32_t i = 0; i < b->count; i++) {
        if (!liveness_deleted(&b->source->dead, source_row(b, i))) continue;
        tombstone_set(bytes.data, i);
        any = true;
    }
    enum vdb_status status = VDB_OK;
    if (any) status = write_and_add(b, m, DISK_SEGMENT_TOMBSTONE, &bytes, err);
    buf_release(&bytes);
    return status;
}

enum vdb_status part_build(const struct part_build *b, struct manifest *m, struct vdb_error *err)
{
    struct part_entry part = {
        .kind = part_index_kind(b->index, b->count),
        .row_begin = b->row_begin,
        .row_end = b->row_begin + b->count,
        .segment_first = m->segment_count,
        .commit = b->commit,
    };
    const struct tail_commit *whole = whole_commit(b);
    struct segment_entry vectors;
    enum vdb_status status = verify_rows(b->source, b->rows ? 0 : b->first, err);
    if (!status) status = build_vectors(b, whole, m, &vectors, err);
    if (!status) status = build_ids(b, whole, m, err);
    if (!status) status = build_metadata(b, whole, m, err);
    if (!status) status = build_times(b, m, err);
    if (!status) status = build_tombstones(b, m, err);
    if (!status && part.kind != DISK_PART_FLAT)
        status = part_index_build(b, &vectors, m, &part.kind, err);
    if (status) return status;
    part.segment_count = m->segment_count - part.segment_first;
    return manifest_add_part(m, &part, err);
}
