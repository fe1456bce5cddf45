/* graph_header.h: graph segments: the header, and where its arrays lie (format-spec/graph.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_GRAPH_HEADER_H
#define VDB_FORMAT_GRAPH_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "format/code_header.h"
#include "format/disk.h"
#include "vdb.h"

#define GRAPH_DEGREE_MAX 256
#define GRAPH_LEVELS_MAX 16

struct graph_header {
    uint32_t rows;
    uint32_t degree; /* R */
    uint32_t pivot_count;
    uint32_t ef_construction;
    uint32_t alpha_milli;
    uint32_t code_bytes, norm_bytes; /* of a pivot's copies; both 0: there are none */
    /* From the start of the segment: */
    uint64_t pivots_off;      /* u32 a pivot */
    uint64_t pivot_norms_off; /* norm_bytes a pivot; 0 where there are no copies */
    uint64_t pivot_codes_off; /* code_bytes a pivot; likewise */
    uint64_t edges_off;       /* u32 times R a row */
    uint32_t leader_count;    /* the first so many pivots lead a group each; 0: no groups */
    uint32_t built_rows;      /* the first so many were built at once; at most `rows` */
    uint64_t groups_off;      /* u32 a leader: the end of its group among the pivots */
    float grid_scale;         /* of the 8-bit codes that it was built by, where the part's are of */
    int32_t grid_zero;        /* another kind; both 0: not known, or built on the vectors */
    /* HNSW; all 0 where there are no levels: */
    uint32_t level_count;                   /* level 0 included */
    uint32_t level_degree;                  /* M */
    uint32_t level_sizes[GRAPH_LEVELS_MAX]; /* members of level 1, 2, ... */
    uint64_t level_sizes_off;               /* u32 a level above 0 */
    uint64_t members_off;                   /* u32 a member of level 1 */
    uint64_t level_edges_off;               /* u32 times M a member of each level above 0 */
};

/* Where the edges of a level begin, 1 to level_count - 1. */
uint64_t graph_header_level_off(const struct graph_header *header, uint32_t level);

/* Sets the offsets as a writer lays them out, and returns the length of the segment. */
uint64_t graph_header_layout(struct graph_header *header);

void graph_header_encode(const struct graph_header *from, struct disk_graph_header *to);

/* Writes the sizes of the levels, which are no part of the header, into the segment. */
void graph_header_put_sizes(const struct graph_header *header, uint8_t *segment);

/* The segment is the len bytes at p, which lie at file_off of the file. What it lets through: the
 * rows asked for, a degree of 1 to GRAPH_DEGREE_MAX, 1 to `rows` pivots (0 of 0), all arrays
 * inside the segment and aligned to 64 bytes in it, both copies of pivots or neither, up to
 * GRAPH_LEVELS_MAX levels above 0, of 1 to as many members as the one below. The numbers in the
 * arrays, the levels' sizes excepted, are not looked at.
 * Errors: VDB_CORRUPT. */
enum vdb_status graph_header_decode(const void *p, size_t len, uint32_t rows, uint64_t file_off,
                                    struct graph_header *out, struct vdb_error *err);

/* That the pivots' copies, if there are any, are as wide as the codes and norms of the part; and
 * that they are copies of them. Errors: VDB_CORRUPT. */
enum vdb_status graph_header_match(const struct graph_header *header,
                                   const struct code_header *codes, uint64_t file_off,
                                   struct vdb_error *err);
enum vdb_status graph_header_validate_copies(const struct graph_header *header, const void *p,
                                             const struct code_header *codes, const uint8_t *file,
                                             uint64_t file_off, struct vdb_error *err);

/* Every pivot and every edge: that they are rows, that a row's edges are filled from the front and
 * name no row twice nor the row itself; on levels above 0 likewise, that no row is two members, and
 * that the first of them is the one pivot. Errors: VDB_CORRUPT, VDB_NO_MEMORY. */
enum vdb_status graph_header_validate(const struct graph_header *header, const void *p,
                                      uint64_t file_off, struct vdb_error *err);

#endif
