/* manifest.h: the table of everything that is in the file at one commit (format-spec/manifest.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_MANIFEST_H
#define VDB_FORMAT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "format/disk.h"
#include "vdb.h"

struct part_entry {
    uint16_t kind; /* DISK_PART_* */
    uint32_t row_begin, row_end;
    uint32_t segment_first, segment_count;
    uint64_t commit;
};

struct segment_entry {
    uint16_t type;    /* DISK_SEGMENT_* */
    uint16_t version; /* 0 is written as 1 */
    uint32_t flags;
    uint64_t off, len;
    uint32_t row_begin, row_end;
    uint32_t stride;
    uint64_t check;
};

struct log_extent_entry {
    uint64_t off, len, first_commit;
    int64_t time_us; /* of the commit before that */
};

/* A state by what it is wherever it came to: a commit of the index where it was made. */
struct origin {
    uint8_t id[16]; /* that index's file id */
    uint64_t commit;
};

struct snapshot_entry {
    uint64_t commit;
    int64_t commit_time_us, created_us;
    struct origin origin;
    uint32_t row_count, live_count;
    uint16_t name_len;
    char name[VDB_NAME_MAX];
};

struct manifest {
    uint64_t generation;
    uint64_t commit;
    int64_t commit_time_us;
    uint32_t row_count, live_count;
    uint32_t dim;
    enum vdb_metric metric;
    enum vdb_type type;
    int64_t created_us;
    uint64_t horizon_commit;
    enum vdb_index_kind index;
    enum vdb_codes codes;
    uint32_t degree, ef_construction, alpha_milli;
    uint64_t recent_seconds; /* VDB_INDEX_HYBRID: one of the two is not 0; else both are */
    uint32_t recent_rows;
    uint16_t quiet_begin, quiet_end; /* minutes of the day in UTC; equal: no window */
    struct origin origin;            /* of the state at received_commit; all 0: none was received */
    uint64_t received_commit;

    struct part_entry *parts;
    uint32_t part_count;
    struct segment_entry *segments;
    uint32_t segment_count;
    struct log_extent_entry *log_extents;
    uint32_t log_extent_count;
    struct snapshot_entry *snapshots;
    uint32_t snapshot_count;
};

/* The name of a segment type ("vector"), or NULL where the type is not known. */
const char *segment_type_name(unsigned type);

enum vdb_status manifest_encode(const struct manifest *from, struct buf *to, struct vdb_error *err);

/* Decodes and verifies: checksum, table bounds, known kinds, parts that cover [0, row_count) in
 * order, segments inside the file (`file_len`) with rows that fit their part. Tables are on the
 * heap: manifest_release. `off` is where the manifest lies in the file.
 * Errors: VDB_CORRUPT, VDB_UNSUPPORTED (a part kind, or a segment type that is not optional). */
enum vdb_status manifest_decode(const uint8_t *p, size_t len, uint64_t off, uint64_t file_len,
                                struct manifest *out, struct vdb_error *err);
void manifest_release(struct manifest *manifest);

/* The segment of that type, in the version known here, that the part owns, or NULL. */
const struct segment_entry *manifest_segment(const struct manifest *manifest,
                                             const struct part_entry *part, unsigned type);

/* One entry of the table of snapshots, as manifests and records of the log have it. Decoding
 * errors: false, where the name is no snapshot's. */
struct disk_snapshot manifest_snapshot_put(const struct snapshot_entry *from);
bool manifest_snapshot_get(const struct disk_snapshot *from, struct snapshot_entry *to);

/* Appends to a table of the manifest, growing it. */
enum vdb_status manifest_add_part(struct manifest *manifest, const struct part_entry *part,
                                  struct vdb_error *err);
enum vdb_status manifest_add_segment(struct manifest *manifest, const struct segment_entry *segment,
                                     struct vdb_error *err);
enum vdb_status manifest_add_log_extent(struct manifest *manifest,
                                        const struct log_extent_entry *extent,
                                        struct vdb_error *err);
enum vdb_status manifest_add_snapshot(struct manifest *manifest,
                                      const struct snapshot_entry *snapshot, struct vdb_error *err);

#endif
