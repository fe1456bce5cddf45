/* part_build.h: writing a part: its segments into the file, its entries into a manifest.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PART_BUILD_H
#define VDB_DB_PART_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/osfile.h"
#include "db/db.h"
#include "format/manifest.h"
#include "state/snapshot.h"
#include "vdb.h"

struct part_build {
    const struct vdb_snapshot *source;
    const uint32_t *rows; /* the source's rows to take, rising; NULL: `first` and those behind it */
    uint32_t first;
    uint32_t count;

    const struct osfile *file; /* where to */
    const char *beside;        /* a path in whose directory temporary files go */
    struct vdb *shared;        /* whose lock guards the file's length; NULL: nobody else has it */
    bool in_place;      /* the file is the source's: rows that lie well stay where they are */
    uint32_t row_begin; /* their first number there */
    uint64_t commit;
    enum vdb_index_kind index;
    /* The part of the source whose rows are the first of these, and whose graph may be built on;
     * NULL: there is none. */
    const struct part *base;
    bool timeless;          /* when rows were committed is not told */
    const float *centroids; /* of an inverted file, dim floats each; NULL: it finds its own */
    uint32_t centroid_count;
    const float *seeds; /* in the same way, for it to begin looking with; NULL: none */
    uint32_t seed_count;
    unsigned threads;
    vdb_progress_fn progress;
    void *context;
};

/* The kind of index that builds are to go by: codes that only inverted files have ask for one. */
static inline enum vdb_index_kind part_build_kind(const struct manifest *manifest)
{
    bool listed = manifest->codes == VDB_CODES_PQ || manifest->codes == VDB_CODES_B1;
    return listed && manifest->index == VDB_INDEX_AUTO ? VDB_INDEX_IVF : manifest->index;
}

/* Verifies the checksums of the rows it takes, writes the segments, unsynced, and adds part and
 * segments to the manifest, whose degree, ef_construction and alpha it goes by. Errors:
 * VDB_CORRUPT, VDB_IO, VDB_BUSY, VDB_CANCELLED. */
enum vdb_status part_build(const struct part_build *build, struct manifest *manifest,
                           struct vdb_error *err);

/* A segment of its own, for what belongs to no part or to an older one. */
enum vdb_status part_build_segment(const struct part_build *build, const void *bytes, size_t len,
                                   struct segment_entry *segment, struct vdb_error *err);

#endif
