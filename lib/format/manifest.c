/* manifest.c: encoding and verifying the manifest; implements format-spec/manifest.md.
 *
 * What decoding lets through holds without further checks: every segment lies in the file and
 * every part's rows are where they should be.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/utf8.h"

static const char SEGMENT[] = "manifest";

const char *segment_type_name(unsigned type)
{
    static const char *const names[] = {
        [DISK_SEGMENT_VECTOR] = "vector",
        [DISK_SEGMENT_CODE] = "code",
        [DISK_SEGMENT_GRAPH] = "graph",
        [DISK_SEGMENT_ID] = "id",
        [DISK_SEGMENT_ID_HASH] = "id-hash",
        [DISK_SEGMENT_METADATA] = "metadata",
        [DISK_SEGMENT_TOMBSTONE] = "tombstone",
        [DISK_SEGMENT_HISTORY] = "history",
        [DISK_SEGMENT_CALIBRATION] = "calibration",
        [DISK_SEGMENT_IVF] = "ivf",
        [DISK_SEGMENT_TIME] = "time",
        [DISK_SEGMENT_STATES] = "states",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

void manifest_release(struct manifest *manifest)
{
    free(manifest->parts);
    free(manifest->segments);
    free(manifest->log_extents);
    free(manifest->snapshots);
    memset(manifest, 0, sizeof *manifest);
}

const struct segment_entry *manifest_segment(const struct manifest *manifest,
                                             const struct part_entry *part, unsigned type)
{
    for (uint32_t i = 0; i < part->segment_count; i++) {
        const struct segment_entry *segment = &manifest->segments[part->segment_first + i];
        if (segment->type == type && segment->version == 1) return segment;
    }
    return NULL;
}

/* Tables have room for the power of two that is not below their count. */
static void *table_alloc(uint32_t count, size_t size)
{
    size_t room = 1;
    while (room < count) room *= 2;
    return calloc(room, size);
}

static enum vdb_status table_grow(void **table, uint32_t *count, size_t size, const void *entry,
                                  struct vdb_error *err)
{
    bool full = (*count & (*count - 1)) == 0; /* a power of two, or none at all */
    if (full) {
        void *grown = realloc(*table, (*count ? 2 * (size_t)*count : 1) * size);
        if (!grown) return error_no_memory(err);
        *table = grown;
    }
    memcpy((char *)*table + *count * size, entry, size);
    ++*count;
    return VDB_OK;
}

enum vdb_status manifest_add_part(struct manifest *manifest, const struct part_entry *part,
                                  struct vdb_error *err)
{
    void *table = manifest->parts;
    enum vdb_status status = table_grow(&table, &manifest->part_count, sizeof *part, part, err);
    manifest->parts = table;
    return status;
}

enum vdb_status manifest_add_segment(struct manifest *manifest, const struct segment_entry *segment,
                                     struct vdb_error *err)
{
    void *table = manifest->segments;
    enum vdb_status status =
        table_grow(&table, &manifest->segment_count, sizeof *segment, segment, err);
    manifest->segments = table;
    return status;
}

enum vdb_status manifest_add_log_extent(struct manifest *manifest,
                                        const struct log_extent_entry *extent,
                                        struct vdb_error *err)
{
    void *table = manifest->log_extents;
    enum vdb_status status =
        table_grow(&table, &manifest->log_extent_count, sizeof *extent, extent, err);
    manifest->log_extents = table;
    return status;
}

enum vdb_status manifest_add_snapshot(struct manifest *manifest,
                                      const struct snapshot_entry *snapshot, struct vdb_error *err)
{
    void *table = manifest->snapshots;
    enum vdb_status status =
        table_grow(&table, &manifest->snapshot_count, sizeof *snapshot, snapshot, err);
    manifest->snapshots = table;
    return status;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static struct disk_table table_at(size_t off, uint32_t count, size_t entry_size)
{
    return (struct disk_table){le64_put(off), le32_put(count), le32_put((uint32_t)entry_size)};
}

static struct disk_part part_put(const struct part_entry *from)
{
    return (struct disk_part){
        .kind = le16_put(from->kind),
        .version = le16_put(1),
        .row_begin = le32_put(from->row_begin),
        .row_end = le32_put(from->row_end),
        .segment_first = le32_put(from->segment_first),
        .segment_count = le32_put(from->segment_count),
        .commit = le64_put(from->commit),
    };
}

static struct disk_segment segment_put(const struct segment_entry *from)
{
    return (struct disk_segment){
        .type = le16_put(from->type),
        .version = le16_put(from->version ? from->version : 1),
        .flags = le32_put(from->flags),
        .off = le64_put(from->off),
        .len = le64_put(from->len),
        .row_begin = le32_put(from->row_begin),
        .row_end = le32_put(from->row_end),
        .stride = le32_put(from->stride),
        .check = le64_put(from->check),
    };
}

struct disk_snapshot manifest_snapshot_put(const struct snapshot_entry *from)
{
    struct disk_snapshot to = {
        .commit = le64_put(from->commit),
        .commit_time_us = le64_put((uint64_t)from->commit_time_us),
        .created_us = le64_put((uint64_t)from->created_us),
        .origin_commit = le64_put(from->origin.commit),
        .row_count = le32_put(from->row_count),
        .live_count = le32_put(from->live_count),
        .name_len = le16_put(from->name_len),
    };
    memcpy(to.origin_id, from->origin.id, sizeof to.origin_id);
    memcpy(to.name, from->name, from->name_len);
    return to;
}

static struct disk_manifest header_put(const struct manifest *from)
{
    size_t parts_off = sizeof(struct disk_manifest);
    size_t segments_off = parts_off + from->part_count * sizeof(struct disk_part);
    size_t extents_off = segments_off + from->segment_count * sizeof(struct disk_segment);
    size_t snapshots_off = extents_off + from->log_extent_count * sizeof(struct disk_log_extent);
    size_t end = snapshots_off + from->snapshot_count * sizeof(struct disk_snapshot);
    struct disk_manifest to = {
        .header_len = le32_put(sizeof(struct disk_manifest)),
        .length = le64_put(end),
        .generation = le64_put(from->generation),
        .commit = le64_put(from->commit),
        .commit_time_us = le64_put((uint64_t)from->commit_time_us),
        .row_count = le32_put(from->row_count),
        .live_count = le32_put(from->live_count),
        .dim = le32_put(from->dim),
        .metric = le16_put((uint16_t)from->metric),
        .type = le16_put((uint16_t)from->type),
        .created_us = le64_put((uint64_t)from->created_us),
        .horizon_commit = le64_put(from->horizon_commit),
        .index = le16_put((uint16_t)from->index),
        .codes = le16_put((uint16_t)from->codes),
        .degree = le32_put(from->degree),
        .ef_construction = le32_put(from->ef_construction),
        .alpha_milli = le32_put(from->alpha_milli),
        .recent_seconds = le64_put(from->recent_seconds),
        .recent_rows = le32_put(from->recent_rows),
        .quiet_begin = le16_put(from->quiet_begin),
        .quiet_end = le16_put(from->quiet_end),
        .origin_commit = le64_put(from->origin.commit),
        .received_commit = le64_put(from->received_commit),
        .parts = table_at(parts_off, from->part_count, sizeof(struct disk_part)),
        .segments = table_at(segments_off, from->segment_count, sizeof(struct disk_segment)),
        .log_extents =
            table_at(extents_off, from->log_extent_count, sizeof(struct disk_log_extent)),
        .snapshots = table_at(snapshots_off, from->snapshot_count, sizeof(struct disk_snapshot)),
    };
    memcpy(to.magic, VDB_MANIFEST_MAGIC, sizeof to.magic);
    memcpy(to.origin_id, from->origin.id, sizeof to.origin_id);
    return to;
}

enum vdb_status manifest_encode(const struct manifest *from, struct buf *to, struct vdb_error *err)
{
    struct disk_manifest header = header_put(from);
    size_t start = to->len;
    int failed = buf_append(to, &header, sizeof header);
    for (uint32_t i = 0; i < from->part_count && !failed; i++) {
        struct disk_part part = part_put(&from->parts[i]);
        failed = buf_append(to, &part, sizeof part);
    }
    for (uint32_t i = 0; i < from->segment_count && !failed; i++) {
        struct disk_segment segment = segment_put(&from->segments[i]);
        failed = buf_append(to, &segment, sizeof segment);
    }
    for (uint32_t i = 0; i < from->log_extent_count && !failed; i++) {
        const struct log_extent_entry *extent = &from->log_extents[i];
        struct disk_log_extent put = {.off = le64_put(extent->off),
                                      .len = le64_put(extent->len),
                                      .first_commit = le64_put(extent->first_commit),
                                      .time_us = le64_put((uint64_t)extent->time_us)};
        failed = buf_append(to, &put, sizeof put);
    }
    for (uint32_t i = 0; i < from->snapshot_count && !failed; i++) {
        struct disk_snapshot snapshot = manifest_snapshot_put(&from->snapshots[i]);
        failed = buf_append(to, &snapshot, sizeof snapshot);
    }
    if (failed) return error_no_memory(err);
    le64 check = le64_put(
        checksum_without(to->data + start, to->len - start, offsetof(struct disk_manifest, check)));
    memcpy(to->data + start + offsetof(struct disk_manifest, check), &check, sizeof check);
    return VDB_OK;
}

/* ---- decoding ------------------------------------------------------------------------------ */

struct source { /* the manifest's bytes, for the functions below */
    const uint8_t *p;
    size_t len, header_len;
    uint64_t off, file_len;
};

struct table {
    const uint8_t *entries;
    uint32_t count;
    size_t stride; /* from entry to entry; a later version's may be longer than those here */
    uint64_t off;  /* in the file */
};

/* Where a table lies, after its bounds were checked. */
static enum vdb_status table_get(const struct source *from, const struct disk_table *disk,
                                 size_t entry_size, const char *name, struct table *to,
                                 struct vdb_error *err)
{
    uint64_t off = le64_get(disk->off);
    *to = (struct table){.count = le32_get(disk->count), .stride = le32_get(disk->entry_size)};
    if (to->stride < entry_size || to->stride % 8 != 0)
        return error_set_corrupt(err, SEGMENT, from->off,
                                 "%s table has entries of %zu bytes, expected at least %zu", name,
                                 to->stride, entry_size);
    if (off < from->header_len || off > from->len || to->count > (from->len - off) / to->stride)
        return error_set_corrupt(err, SEGMENT, from->off,
                                 "%s table does not lie in the manifest, behind its header", name);
    to->entries = from->p + off;
    to->off = from->off + off;
    return VDB_OK;
}

static uint64_t entry_off(const struct table *table, uint32_t index)
{
    return table->off + (uint64_t)index * table->stride;
}

static void entry_get(const struct table *table, uint32_t index, void *to, size_t size)
{
    memcpy(to, table->entries + index * table->stride, size);
}

static enum vdb_status get_segments(const struct source *from, const struct table *table,
                                    struct manifest *out, struct vdb_error *err)
{
    uint32_t count = table->count;
    out->segments = table_alloc(count, sizeof *out->segments);
    if (!out->segments) return error_no_memory(err);
    out->segment_count = count;
    uint64_t total = 0; /* segments do not overlap: what they share would be work without end */
    for (uint32_t i = 0; i < count; i++) {
        struct disk_segment disk;
        entry_get(table, i, &disk, sizeof disk);
        uint64_t at = entry_off(table, i);
        struct segment_entry *segment = &out->segments[i];
        *segment = (struct segment_entry){
            .type = le16_get(disk.type),
            .version = le16_get(disk.version),
            .flags = le32_get(disk.flags),
            .off = le64_get(disk.off),
            .len = le64_get(disk.len),
            .row_begin = le32_get(disk.row_begin),
            .row_end = le32_get(disk.row_end),
            .stride = le32_get(disk.stride),
            .check = le64_get(disk.check),
        };
        const char *name = segment_type_name(segment->type);
        bool optional = segment->flags & DISK_SEGMENT_OPTIONAL;
        if ((!name || le16_get(disk.version) != 1) && !optional)
            return error_set(err, VDB_UNSUPPORTED, "segment type %u version %u is not known here",
                             segment->type, le16_get(disk.version));
        if (segment->off > from->file_len || segment->len > from->file_len - segment->off)
            return error_set_corrupt(err, SEGMENT, at, "%s segment goes beyond the end of the file",
                                     name ? name : "unknown");
        if (segment->off < VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE)
            return error_set_corrupt(err, SEGMENT, at, "%s segment lies in the superblocks",
                                     name ? name : "unknown");
        if (segment->off % VDB_ARRAY_ALIGN != 0)
            return error_set_corrupt(err, SEGMENT, at, "%s segment is not aligned to %d bytes",
                                     name ? name : "unknown", VDB_ARRAY_ALIGN);
        if (segment->row_begin > segment->row_end || segment->row_end > out->row_count)
            return error_set_corrupt(err, SEGMENT, at, "segment covers rows %u to %u of %u",
                                     segment->row_begin, segment->row_end, out->row_count);
        bool rowless =
            segment->type == DISK_SEGMENT_HISTORY || segment->type == DISK_SEGMENT_STATES;
        if (rowless && segment->row_end != 0)
            return error_set_corrupt(err, SEGMENT, at, "%s segment covers rows", name);
        total += segment->len;
        if (total > from->file_len) return error_set_corrupt(err, SEGMENT, at, "segments overlap");
    }
    return VDB_OK;
}

/* A part's segments are its own rows', one of a type, and the ones that every part needs are there.
 */
static enum vdb_status check_part(const struct manifest *manifest, const struct part_entry *part,
                                  uint64_t at, struct vdb_error *err)
{
    if (part->segment_first > manifest->segment_count ||
        part->segment_count > manifest->segment_count - part->segment_first)
        return error_set_corrupt(err, SEGMENT, at, "part's segments go beyond the segment table");
    unsigned seen = 0;
    for (uint32_t i = 0; i < part->segment_count; i++) {
        const struct segment_entry *segment = &manifest->segments[part->segment_first + i];
        if (!segment_type_name(segment->type) || segment->version != 1) continue;
        if (segment->row_begin != part->row_begin || segment->row_end != part->row_end)
            return error_set_corrupt(err, SEGMENT, at,
                                     "%s segment covers rows %u to %u, its part %u to %u",
                                     segment_type_name(segment->type), segment->row_begin,
                                     segment->row_end, part->row_begin, part->row_end);
        if (seen & 1u << segment->type)
            return error_set_corrupt(err, SEGMENT, at, "part has two %s segments",
                                     segment_type_name(segment->type));
        seen |= 1u << segment->type;
    }
    unsigned needed =
        1u << DISK_SEGMENT_VECTOR | 1u << DISK_SEGMENT_ID | 1u << DISK_SEGMENT_ID_HASH;
    if (part->kind == DISK_PART_GRAPH) needed |= 1u << DISK_SEGMENT_GRAPH;
    if (part->kind == DISK_PART_IVF) needed |= 1u << DISK_SEGMENT_IVF;
    if (needed & ~seen)
        return error_set_corrupt(err, SEGMENT, at, "part has no %s segment",
                                 segment_type_name((unsigned)__builtin_ctz(needed & ~seen)));
    return VDB_OK;
}

static enum vdb_status get_parts(const struct source *from, const struct table *table,
                                 struct manifest *out, struct vdb_error *err)
{
    uint32_t count = table->count;
    if (count > VDB_PARTS_MAX)
        return error_set_corrupt(err, SEGMENT, from->off, "there are %u parts, at most %d can be",
                                 count, VDB_PARTS_MAX);
    out->parts = table_alloc(count, sizeof *out->parts);
    if (!out->parts) return error_no_memory(err);
    out->part_count = count;
    uint32_t covered = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct disk_part disk;
        entry_get(table, i, &disk, sizeof disk);
        uint64_t at = entry_off(table, i);
        struct part_entry *part = &out->parts[i];
        *part = (struct part_entry){
            .kind = le16_get(disk.kind),
            .row_begin = le32_get(disk.row_begin),
            .row_end = le32_get(disk.row_end),
            .segment_first = le32_get(disk.segment_first),
            .segment_count = le32_get(disk.segment_count),
            .commit = le64_get(disk.commit),
        };
        if (part->kind < DISK_PART_FLAT || part->kind > DISK_PART_IVF ||
            le16_get(disk.version) != 1)
            return error_set(err, VDB_UNSUPPORTED, "part kind %u version %u is not known here",
                             part->kind, le16_get(disk.version));
        if (part->row_begin != covered || part->row_end <= part->row_begin)
            return error_set_corrupt(err, SEGMENT, at,
                                     "part covers rows %u to %u, expected it to begin at %u",
                                     part->row_begin, part->row_end, covered);
        covered = part->row_end;
        enum vdb_status status = check_part(out, part, at, err);
        if (status) return status;
    }
    if (covered != out->row_count)
        return error_set_corrupt(err, SEGMENT, from->off, "parts cover %u of %u rows", covered,
                                 out->row_count);
    return VDB_OK;
}

static enum vdb_status get_log_extents(const struct source *from, const struct table *table,
                                       struct manifest *out, struct vdb_error *err)
{
    uint32_t count = table->count;
    if (count == 0) return error_set_corrupt(err, SEGMENT, from->off, "there is no log extent");
    out->log_extents = table_alloc(count, sizeof *out->log_extents);
    if (!out->log_extents) return error_no_memory(err);
    out->log_extent_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct disk_log_extent disk;
        entry_get(table, i, &disk, sizeof disk);
        out->log_extents[i] = (struct log_extent_entry){
            .off = le64_get(disk.off),
            .len = le64_get(disk.len),
            .first_commit = le64_get(disk.first_commit),
            .time_us = (int64_t)le64_get(disk.time_us),
        };
        const struct log_extent_entry *extent = &out->log_extents[i];
        if (extent->off > from->file_len || extent->len > from->file_len - extent->off)
            return error_set_corrupt(err, SEGMENT, from->off,
                                     "log extent goes beyond the end of the file");
        if (extent->off % VDB_ARRAY_ALIGN != 0 ||
            extent->off < VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE ||
            extent->len < sizeof(struct disk_record) || extent->first_commit == 0)
            return error_set_corrupt(err, SEGMENT, entry_off(table, i),
                                     "log extent of %llu bytes at %llu cannot begin with commit "
                                     "%llu",
                                     (unsigned long long)extent->len,
                                     (unsigned long long)extent->off,
                                     (unsigned long long)extent->first_commit);
    }
    return VDB_OK;
}

bool manifest_snapshot_get(const struct disk_snapshot *from, struct snapshot_entry *to)
{
    *to = (struct snapshot_entry){
        .commit = le64_get(from->commit),
        .commit_time_us = (int64_t)le64_get(from->commit_time_us),
        .created_us = (int64_t)le64_get(from->created_us),
        .origin.commit = le64_get(from->origin_commit),
        .row_count = le32_get(from->row_count),
        .live_count = le32_get(from->live_count),
        .name_len = le16_get(from->name_len),
    };
    memcpy(to->origin.id, from->origin_id, sizeof to->origin.id);
    if (to->name_len == 0 || to->name_len > sizeof from->name) return false;
    memcpy(to->name, from->name, sizeof to->name);
    return utf8_id_valid(to->name, to->name_len);
}

/* Names by themselves say where they stand: rising byte by byte, so that none is there twice. */
static bool names_rise(const struct snapshot_entry *a, const struct snapshot_entry *b)
{
    int order = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);
    return order < 0 || (order == 0 && a->name_len < b->name_len);
}

static enum vdb_status get_snapshots(const struct source *from, const struct table *table,
                                     struct manifest *out, struct vdb_error *err)
{
    uint32_t count = table->count;
    if (count > VDB_NAMES_MAX)
        return error_set_corrupt(err, SEGMENT, from->off,
                                 "there are %u snapshots, at most %d can be", count, VDB_NAMES_MAX);
    out->snapshots = table_alloc(count, sizeof *out->snapshots);
    if (!out->snapshots) return error_no_memory(err);
    out->snapshot_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct disk_snapshot disk;
        struct snapshot_entry *snapshot = &out->snapshots[i];
        uint64_t at = entry_off(table, i);
        entry_get(table, i, &disk, sizeof disk);
        if (!manifest_snapshot_get(&disk, snapshot))
            return error_set_corrupt(err, SEGMENT, at, "name of snapshot %u is none", i);
        if (i && !names_rise(snapshot - 1, snapshot))
            return error_set_corrupt(err, SEGMENT, at, "name of snapshot %u is out of order", i);
        if (snapshot->commit == 0 || snapshot->commit > out->commit ||
            snapshot->row_count > out->row_count || snapshot->live_count > snapshot->row_count)
            return error_set_corrupt(
                err, SEGMENT, at, "snapshot %u is of commit %llu with %u of %u rows live", i,
                (unsigned long long)snapshot->commit, snapshot->live_count, snapshot->row_count);
    }
    return VDB_OK;
}

/* Only hybrid indexes tell old rows from recent ones, and by one measure; a day has 1,440 minutes.
 */
static enum vdb_status check_policy(const struct source *from, const struct manifest *m,
                                    struct vdb_error *err)
{
    int measures = (m->recent_rows > 0) + (m->recent_seconds > 0);
    if (measures != (m->index == VDB_INDEX_HYBRID))
        return error_set_corrupt(err, SEGMENT, from->off,
                                 "recent rows are told by %d measures in an index of kind %d",
                                 measures, (int)m->index);
    if (m->recent_seconds > VDB_RECENT_SECONDS_MAX)
        return error_set_corrupt(err, SEGMENT, from->off, "rows are recent for %llu seconds",
                                 (unsigned long long)m->recent_seconds);
    if (m->quiet_begin >= 1440 || m->quiet_end >= 1440)
        return error_set_corrupt(err, SEGMENT, from->off,
                                 "quiet hours are from minute %u to minute %u of the day",
                                 m->quiet_begin, m->quiet_end);
    return VDB_OK;
}

static enum vdb_status get_header(const struct source *from, const struct disk_manifest *disk,
                                  struct manifest *out, struct vdb_error *err)
{
    *out = (struct manifest){
        .generation = le64_get(disk->generation),
        .commit = le64_get(disk->commit),
        .commit_time_us = (int64_t)le64_get(disk->commit_time_us),
        .row_count = le32_get(disk->row_count),
        .live_count = le32_get(disk->live_count),
        .dim = le32_get(disk->dim),
        .metric = (enum vdb_metric)le16_get(disk->metric),
        .type = (enum vdb_type)le16_get(disk->type),
        .created_us = (int64_t)le64_get(disk->created_us),
        .horizon_commit = le64_get(disk->horizon_commit),
        .index = (enum vdb_index_kind)le16_get(disk->index),
        .codes = (enum vdb_codes)le16_get(disk->codes),
        .degree = le32_get(disk->degree),
        .ef_construction = le32_get(disk->ef_construction),
        .alpha_milli = le32_get(disk->alpha_milli),
        .recent_seconds = le64_get(disk->recent_seconds),
        .recent_rows = le32_get(disk->recent_rows),
        .quiet_begin = le16_get(disk->quiet_begin),
        .quiet_end = le16_get(disk->quiet_end),
        .origin.commit = le64_get(disk->origin_commit),
        .received_commit = le64_get(disk->received_commit),
    };
    memcpy(out->origin.id, disk->origin_id, sizeof out->origin.id);
    if (out->dim < 1 || out->dim > VDB_DIM_MAX)
        return error_set_corrupt(err, SEGMENT, from->off, "dimension is %u", out->dim);
    if (out->metric < VDB_METRIC_L2 || out->metric > VDB_METRIC_IP)
        return error_set(err, VDB_UNSUPPORTED, "metric %d is not known here", (int)out->metric);
    if (out->type < VDB_TYPE_F32 || out->type > VDB_TYPE_U8)
        return error_set(err, VDB_UNSUPPORTED, "vector type %d is not known here", (int)out->type);
    if (out->codes > VDB_CODES_B1)
        return error_set(err, VDB_UNSUPPORTED, "codes of kind %d are not known here",
                         (int)out->codes);
    if (out->index > VDB_INDEX_HYBRID)
        return error_set(err, VDB_UNSUPPORTED, "index kind %d is not known here", (int)out->index);
    enum vdb_status status = check_policy(from, out, err);
    if (status) return status;
    if (out->commit < 1)
        return error_set_corrupt(err, SEGMENT, from->off, "the commit's number is 0");
    if (out->row_count == VDB_NO_ROW || out->live_count > out->row_count)
        return error_set_corrupt(err, SEGMENT, from->off, "%u of %u rows are said to be live",
                                 out->live_count, out->row_count);
    return VDB_OK;
}

static enum vdb_status get_tables(const struct source *from, const struct disk_manifest *disk,
                                  struct manifest *out, struct vdb_error *err)
{
    struct table table;
    enum vdb_status status =
        table_get(from, &disk->segments, sizeof(struct disk_segment), "segment", &table, err);
    if (!status) status = get_segments(from, &table, out, err);
    if (!status)
        status = table_get(from, &disk->parts, sizeof(struct disk_part), "part", &table, err);
    if (!status) status = get_parts(from, &table, out, err);
    if (!status)
        status = table_get(from, &disk->log_extents, sizeof(struct disk_log_extent), "log extent",
                           &table, err);
    if (!status) status = get_log_extents(from, &table, out, err);
    if (!status)
        status = table_get(from, &disk->snapshots, sizeof(struct disk_snapshot), "snapshot", &table,
                           err);
    if (!status) status = get_snapshots(from, &table, out, err);
    return status;
}

enum vdb_status manifest_decode(const uint8_t *p, size_t len, uint64_t off, uint64_t file_len,
                                struct manifest *out, struct vdb_error *err)
{
    struct disk_manifest disk;
    memset(out, 0, sizeof *out);
    if (len < sizeof disk)
        return error_set_corrupt(err, SEGMENT, off, "manifest has %zu bytes, expected at least %zu",
                                 len, sizeof disk);
    memcpy(&disk, p, sizeof disk);
    if (memcmp(disk.magic, VDB_MANIFEST_MAGIC, sizeof disk.magic) != 0)
        return error_set_corrupt(err, SEGMENT, off, "manifest has no magic");
    uint32_t header_len = le32_get(disk.header_len);
    if (header_len < sizeof disk || header_len % VDB_ARRAY_ALIGN != 0 || header_len > len)
        return error_set_corrupt(err, SEGMENT, off,
                                 "manifest has a header of %u bytes, expected %zu", header_len,
                                 sizeof disk);
    if (le64_get(disk.length) != len)
        return error_set_corrupt(err, SEGMENT, off,
                                 "manifest gives its length as %llu, expected %zu",
                                 (unsigned long long)le64_get(disk.length), len);
    if (le64_get(disk.check) != checksum_without(p, len, offsetof(struct disk_manifest, check)))
        return error_set_corrupt(err, SEGMENT, off, "manifest checksum does not match");
    struct source from = {p, len, header_len, off, file_len};
    enum vdb_status status = get_header(&from, &disk, out, err);
    if (!status) status = get_tables(&from, &disk, out, err);
    if (status) manifest_release(out);
    return status;
}
