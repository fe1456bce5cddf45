/* spool.h: bytes gathered in order, in memory while they are few, else in an unlinked file.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_SPOOL_H
#define VDB_DB_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/checksum.h"
#include "base/osfile.h"
#include "vdb.h"

struct spool {
    const char *beside; /* a file in the directory where the unlinked one is made */
    struct buf memory;  /* what the file does not hold yet */
    struct osfile file; /* fd -1: not made yet */
    uint64_t in_file;
};

void spool_init(struct spool *spool, const char *beside);
void spool_release(struct spool *spool);
uint64_t spool_len(const struct spool *spool);
enum vdb_status spool_append(struct spool *spool, const void *p, size_t len, struct vdb_error *err);

/* Fills p with the len bytes from `off` on, which are there. Errors: VDB_IO. */
enum vdb_status spool_read(const struct spool *spool, uint64_t off, void *p, size_t len,
                           struct vdb_error *err);

/* Copies all of it to `off` of `file` and adds it to a checksum. `cancel`, which may be NULL, is
 * asked once a MiB. */
enum vdb_status spool_copy(const struct spool *spool, const struct osfile *file, uint64_t off,
                           struct checksum_state *check, const struct cancel *cancel,
                           struct vdb_error *err);

#endif
