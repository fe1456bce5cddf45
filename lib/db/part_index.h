/* part_index.h: which index a part gets.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PART_INDEX_H
#define VDB_DB_PART_INDEX_H

#include "db/part_build.h"

/* The kind of part (DISK_PART_*) that so many rows get under an index option. */
uint16_t part_index_kind(enum vdb_index_kind index, uint32_t rows);

/* Adds the segments of an index over the vectors that lie in `vectors`. *kind (DISK_PART_*) is what
 * it became: DISK_PART_FLAT, and nothing is added, where 8-bit codes of these rows do not tell near
 * from far: a scan is the answer then. */
enum vdb_status part_index_build(const struct part_build *build,
                                 const struct segment_entry *vectors, struct manifest *manifest,
                                 uint16_t *kind, struct vdb_error *err);

/* The entry of a segment of that type over the build's rows. */
struct segment_entry part_index_entry(const struct part_build *build, uint16_t type,
                                      uint32_t flags);

/* Of part_build.c, for this file too: room in the destination, and the progress callback. */
enum vdb_status part_build_reserve(const struct part_build *build, uint64_t len, uint64_t align,
                                   uint64_t *off, struct vdb_error *err);
enum vdb_status part_build_progress(const struct part_build *build, const char *phase,
                                    uint64_t done, uint64_t total, struct vdb_error *err);

#endif
