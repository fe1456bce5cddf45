/* txn.c: gathering a transaction.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/txn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "vector/vtype.h"

enum vdb_status vdb_txn_begin(struct vdb *db, struct vdb_txn **out, struct vdb_error *err)
{
    struct vdb_snapshot *base;
    enum vdb_status status = db_refresh(db, &base, err);
    if (status) return status;
    status = db_takes_writes(db, err);
    if (status) {
        snapshot_unref(base);
        return status;
    }
    const struct manifest *manifest = &base->generation->manifest;
    struct vdb_txn *txn = calloc(1, sizeof *txn);
    if (!txn) {
        snapshot_unref(base);
        return error_no_memory(err);
    }
    txn->db = db;
    txn->dim = manifest->dim;
    txn->type = manifest->type;
    txn->metric = manifest->metric;
    txn->stride = vtype_stride(manifest->type, manifest->dim);
    txn->kernels = base->kernels;
    spool_init(&txn->vectors, db->path);
    metaspool_init(&txn->metadata, db->path);
    status = changes_init(&txn->changes, base, err);
    snapshot_unref(base);
    if (!status && buf_append_zeros(&txn->row, txn->stride)) status = error_no_memory(err);
    if (status) {
        vdb_txn_abort(txn);
        return status;
    }
    *out = txn;
    return VDB_OK;
}

void vdb_txn_abort(struct vdb_txn *txn)
{
    if (!txn) return;
    changes_release(&txn->changes);
    spool_release(&txn->vectors);
    metaspool_release(&txn->metadata);
    buf_release(&txn->names);
    buf_release(&txn->row);
    free(txn);
}

static enum vdb_status check_id(const char *id, size_t id_len, struct vdb_error *err)
{
    if (id_len < 1 || id_len > VDB_ID_MAX)
        return error_set(err, VDB_INVALID, "id has %zu bytes, expected 1 to %d", id_len,
                         VDB_ID_MAX);
    if (!utf8_id_valid(id, id_len))
        return error_set(err, VDB_INVALID, "id is not UTF-8 without control characters");
    return VDB_OK;
}

/* Puts the vector into txn->row as it will be stored, if it may be. */
static enum vdb_status take_vector(struct vdb_txn *txn, const float *vector, struct vdb_error *err)
{
    for (uint32_t i = 0; i < txn->dim; i++)
        if (!isfinite(vector[i]))
            return error_set(err, VDB_INVALID, "number %u of the vector is not finite", i + 1);
    size_t bad = vtype_store(txn->type, vector, txn->row.data, txn->dim);
    if (bad < txn->dim)
        return error_set(err, VDB_INVALID, "number %zu of the vector is %.9g, which %s cannot hold",
                         bad + 1, (double)vector[bad], vtype_name(txn->type));
    if (txn->metric == VDB_METRIC_COSINE &&
        txn->kernels->sumsq[txn->type](txn->row.data, txn->dim) == 0)
        return error_set(err, VDB_INVALID, "vector is zero, which has no direction for cosine");
    return VDB_OK;
}

static enum vdb_status check_metadata(const char *text, size_t len, struct vdb_error *err)
{
    if (!text) return VDB_OK;
    if (len < 1 || len > VDB_METADATA_MAX)
        return error_set(err, VDB_INVALID, "metadata has %zu bytes, expected 1 to %d", len,
                         VDB_METADATA_MAX);
    if (memchr(text, 0, len) || !utf8_valid(text, len))
        return error_set(err, VDB_INVALID, "metadata is not UTF-8 text");
    return VDB_OK;
}

static enum vdb_status check_usable(const struct vdb_txn *txn, struct vdb_error *err)
{
    if (txn->broken)
        return error_set(err, VDB_INVALID, "the transaction failed before and can only be aborted");
    return VDB_OK;
}

enum vdb_status vdb_txn_put(struct vdb_txn *txn, enum vdb_put_mode mode, const char *id,
                            size_t id_len, const float *vector, const char *metadata,
                            size_t metadata_len, struct vdb_error *err)
{
    enum vdb_status status = check_usable(txn, err);
    if (!status && (unsigned)mode > VDB_UPDATE)
        status = error_set(err, VDB_INVALID, "put mode %d is not known", (int)mode);
    if (!status) status = check_id(id, id_len, err);
    if (!status) status = check_metadata(metadata, metadata_len, err);
    if (!status) status = take_vector(txn, vector, err);
    if (!status) status = changes_put(&txn->changes, mode, id, id_len, err);
    if (status) {
        txn->broken |= status == VDB_NO_MEMORY;
        return status;
    }
    /* From here on a failure would leave an id without its row. */
    status = spool_append(&txn->vectors, txn->row.data, txn->stride, err);
    if (!status) status = metaspool_add(&txn->metadata, metadata, metadata_len, err);
    txn->broken |= status != VDB_OK;
    return status;
}

static enum vdb_status mark(struct vdb_txn *txn, uint32_t kind, const char *id, size_t id_len,
                            struct vdb_error *err)
{
    enum vdb_status status = check_usable(txn, err);
    if (!status) status = check_id(id, id_len, err);
    if (!status) status = changes_mark(&txn->changes, kind, id, id_len, err);
    txn->broken |= status == VDB_NO_MEMORY;
    return status;
}

enum vdb_status vdb_txn_delete(struct vdb_txn *txn, const char *id, size_t id_len,
                               struct vdb_error *err)
{
    return mark(txn, DISK_EVENT_DELETE, id, id_len, err);
}

enum vdb_status vdb_txn_restore(struct vdb_txn *txn, const char *id, size_t id_len,
                                struct vdb_error *err)
{
    return mark(txn, DISK_EVENT_RESTORE, id, id_len, err);
}

enum vdb_status txn_name(struct vdb_txn *txn, const struct log_name_change *change,
                         struct vdb_error *err)
{
    enum vdb_status status = check_usable(txn, err);
    if (status || !buf_append(&txn->names, change, sizeof *change)) return status;
    txn->broken = true;
    return error_no_memory(err);
}

enum vdb_status txn_roll_back(struct vdb_txn *txn, uint64_t commit, struct vdb_error *err)
{
    enum vdb_status status = check_usable(txn, err);
    if (!status) status = changes_roll_back(&txn->changes, commit, err);
    txn->broken |= status != VDB_OK;
    return status;
}

enum vdb_status vdb_rollback(struct vdb *db, uint64_t commit, struct vdb_commit_info *info,
                             struct vdb_error *err)
{
    struct vdb_txn *txn;
    enum vdb_status status = vdb_txn_begin(db, &txn, err);
    if (status) return status;
    status = txn_roll_back(txn, commit, err);
    if (!status) return vdb_txn_commit(txn, info, err);
    vdb_txn_abort(txn);
    return status;
}

enum vdb_status vdb_txn_commit(struct vdb_txn *txn, struct vdb_commit_info *info,
                               struct vdb_error *err)
{
    enum vdb_status status = check_usable(txn, err);
    if (!status) status = txn_write(txn, info, err);
    vdb_txn_abort(txn);
    return status;
}
