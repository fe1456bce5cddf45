/* verify.h: checksums of what is about to be copied.
 *
 * Readers do not verify what they touch; who writes rows anew must, or damage would be given fresh
 * checksums and never be found.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_VERIFY_H
#define VDB_STATE_VERIFY_H

#include "state/snapshot.h"
#include "vdb.h"

/* VDB_CORRUPT, named by segment and offset, where the len bytes at off have another checksum. */
enum vdb_status verify_bytes(const uint8_t *file, const char *segment, uint64_t off, uint64_t len,
                             uint64_t check, struct vdb_error *err);

/* Vectors, ids, metadata and tombstones of all rows from row_begin on. */
enum vdb_status verify_rows(const struct vdb_snapshot *snapshot, uint32_t row_begin,
                            struct vdb_error *err);

/* The blocks of one commit. */
enum vdb_status verify_commit(const uint8_t *file, const struct log_commit *commit,
                              struct vdb_error *err);

#endif
