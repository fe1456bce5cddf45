/* part.h: an opened part: its segments as views that can be read without further thought.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_PART_H
#define VDB_STATE_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "format/calibration.h"
#include "format/id_hash.h"
#include "format/ids.h"
#include "format/manifest.h"
#include "format/metadata.h"
#include "format/row_times.h"
#include "index/codes.h"
#include "index/graph.h"
#include "index/ivf.h"
#include "vdb.h"

struct part {
    const struct part_entry *entry;
    uint32_t row_begin, row_end;
    const uint8_t *vectors;
    size_t stride;
    struct ids_view ids;
    struct id_hash_view id_hash;
    bool has_metadata;
    struct metadata_view metadata;
    const uint8_t *tombstones;      /* NULL: no row is deleted */
    struct row_times_view times;    /* empty where they are not recorded */
    struct codes codes;             /* by which its index orders; in a flat part there are none */
    struct graph graph;             /* of a part of kind DISK_PART_GRAPH */
    struct ivf ivf;                 /* of one of kind DISK_PART_IVF */
    struct calibration calibration; /* of its index; without curves where nothing was measured */
};

/* Opens part `index` of the manifest over the mapped file. O(1) in rows. */
enum vdb_status part_open(const struct manifest *manifest, uint32_t index, const uint8_t *file,
                          uint64_t file_len, struct part *out, struct vdb_error *err);

/* The effort of a search of the part's index for a recall@k of `recall`, above 0 to 1, or 0 for the
 * usual 0.95: what its calibration says, or where it has none, 64. 0 where the part is flat, and
 * where its lists do not come to such a recall with any: all rows are to be compared. */
uint32_t part_effort(const struct part *part, uint32_t k, double recall);

/* What that search costs, in nanoseconds by counts (index/cost.h); 0 where the part is flat or
 * nothing was measured. */
uint64_t part_cost(const struct part *part, uint32_t k, double recall);

#endif
