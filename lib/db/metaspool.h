/* metaspool.h: a metadata segment in the making, of which memory holds little.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_METASPOOL_H
#define VDB_DB_METASPOOL_H

#include <stdint.h>

#include "base/osfile.h"
#include "db/spool.h"
#include "format/metadata.h"
#include "vdb.h"

struct metaspool {
    struct metadata_builder builder;
    struct spool packed; /* what was taken from the builder */
    struct buf front;    /* after metaspool_finish: what stands in front of it */
};

void metaspool_init(struct metaspool *spool, const char *beside);
void metaspool_release(struct metaspool *spool);

/* As metadata_builder_add, and VDB_IO. */
enum vdb_status metaspool_add(struct metaspool *spool, const char *text, size_t len,
                              struct vdb_error *err);

/* Ends the adding; *len is the segment's length, 0 where no row has metadata. */
enum vdb_status metaspool_finish(struct metaspool *spool, uint64_t *len, struct vdb_error *err);

/* Writes the finished segment to `off` of `file`; *check is its checksum. `cancel` as in
 * spool_copy. */
enum vdb_status metaspool_copy(const struct metaspool *spool, const struct osfile *file,
                               uint64_t off, uint64_t *check, const struct cancel *cancel,
                               struct vdb_error *err);

#endif
