/* apply.h: the rows of a stream, put into a transaction.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_APPLY_H
#define VDB_DB_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "db/txn.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "vdb.h"

struct applier {
    struct vdb_txn *txn;
    const struct vdb_snapshot *base; /* where all is replaced: the state; else NULL */
    struct buf kept;                 /* u8 a row of it: 1 where the stream has the id */
    struct stream_items rows;        /* in `items`, waiting for their vectors */
    struct buf items;
    float *vector;
};

/* With `replace`, what the transaction's state has and the stream has not is deleted, and what is
 * equal in both is left as it is. Released even after an error. */
enum vdb_status applier_init(struct applier *a, struct vdb_txn *txn, bool replace,
                             struct vdb_error *err);

/* Takes a frame of a stream, in their order, with what it holds; `a` is a struct applier. Errors:
 * VDB_CORRUPT (rows that the index cannot have, ids that it has not), and as vdb_txn_put. */
enum vdb_status applier_frame(void *a, const struct stream_frame *frame, struct buf *raw,
                              struct vdb_error *err);

/* Ends the applying. Errors: VDB_CORRUPT (there would not be `live` live rows). */
enum vdb_status applier_finish(struct applier *a, uint32_t live, struct vdb_error *err);
void applier_release(struct applier *a);

#endif
