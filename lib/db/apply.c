/* apply.c: the rows of a stream, put into a transaction.
 *
 * The checksums have shown that the stream is what its sender made; what a hostile sender may have
 * made of it is found here, before the commit.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/apply.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "vector/vtype.h"

enum vdb_status applier_init(struct applier *a, struct vdb_txn *txn, bool replace,
                             struct vdb_error *err)
{
    *a = (struct applier){.txn = txn, .base = replace ? txn->changes.now.base : NULL};
    a->vector = malloc(txn->dim * sizeof *a->vector);
    if (!a->vector || (a->base && buf_append_zeros(&a->kept, a->base->row_count)))
        return error_no_memory(err);
    return VDB_OK;
}

void applier_release(struct applier *a)
{
    free(a->vector);
    buf_release(&a->kept);
    buf_release(&a->items);
}

static enum vdb_status unfit(const char *what, const struct stream_item *item,
                             const struct vdb_error *why, struct vdb_error *err)
{
    return error_set_corrupt(err, "stream", 0, "the stream %s id \"%.*s\": %s", what,
                             (int)(item->id_len < 200 ? item->id_len : 200), item->id,
                             why->message);
}

/* Whether the row holds just that. */
static enum vdb_status equal(const struct applier *a, uint32_t row, const struct stream_item *item,
                             const uint8_t *vector, bool *same, struct vdb_error *err)
{
    struct row_place place;
    char *text;
    size_t len;
    enum vdb_status status = snapshot_place(a->base, row, &place, err);
    if (status) return status;
    *same = memcmp(place.vector, vector, a->txn->dim * vtype_size(a->txn->type)) == 0;
    if (!*same) return VDB_OK;
    status = vdb_row_metadata(a->base, row, &text, &len, err);
    if (status) return status;
    *same = !text == !item->text && len == item->text_len &&
            (!text || memcmp(text, item->text, len) == 0);
    free(text);
    return VDB_OK;
}

static enum vdb_status apply_row(struct applier *a, const struct stream_item *item,
                                 const uint8_t *vector, struct vdb_error *err)
{
    bool same = false;
    enum vdb_status status = VDB_OK;
    if (a->base) {
        uint32_t row;
        status = snapshot_find(a->base, &a->base->dead, item->id, item->id_len, false, &row, err);
        if (status) return status;
        if (row != VDB_NO_ROW) {
            a->kept.data[row] = 1;
            status = equal(a, row, item, vector, &same, err);
        }
    }
    if (status || same) return status;
    struct vdb_error why;
    vtype_load(a->txn->type, vector, a->vector, a->txn->dim);
    status = vdb_txn_put(a->txn, VDB_UPSERT, item->id, item->id_len, a->vector, item->text,
                         item->text_len, &why);
    if (status == VDB_INVALID) return unfit("has", item, &why, err);
    if (status && err) *err = why;
    return status;
}

static enum vdb_status apply_vectors(struct applier *a, const uint8_t *vectors,
                                     struct vdb_error *err)
{
    size_t bytes = a->txn->dim * vtype_size(a->txn->type);
    struct stream_item item;
    enum vdb_status status = VDB_OK;
    while (!status && stream_items_next(&a->rows, &item)) {
        status = apply_row(a, &item, vectors, err);
        vectors += bytes;
    }
    return status;
}

static enum vdb_status apply_deletes(struct applier *a, struct stream_items *items,
                                     struct vdb_error *err)
{
    struct stream_item item;
    enum vdb_status status = VDB_OK;
    while (!status && stream_items_next(items, &item)) {
        struct vdb_error why;
        status = vdb_txn_delete(a->txn, item.id, item.id_len, &why);
        if (status == VDB_NOT_FOUND) return unfit("deletes", &item, &why, err);
        if (status && err) *err = why;
    }
    return status;
}

enum vdb_status applier_frame(void *context, const struct stream_frame *frame, struct buf *raw,
                              struct vdb_error *err)
{
    struct applier *a = context;
    struct stream_items deletes;
    switch (frame->kind) {
    case DISK_FRAME_ROWS: { /* kept until their vectors are here */
        struct buf spent = a->items;
        a->items = *raw;
        *raw = spent;
        stream_items_init(&a->rows, a->items.data, a->items.len, frame->count, true);
        return VDB_OK;
    }
    case DISK_FRAME_VECTORS:
        return apply_vectors(a, raw->data, err);
    case DISK_FRAME_DELETES:
        stream_items_init(&deletes, raw->data, raw->len, frame->count, false);
        return apply_deletes(a, &deletes, err);
    default:
        return VDB_OK;
    }
}

enum vdb_status applier_finish(struct applier *a, uint32_t live, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    for (uint32_t row = 0; a->base && !status && vdb_next_live_row(a->base, &row); row++) {
        const char *id;
        size_t id_len;
        if (a->kept.data[row]) continue;
        status = vdb_row_id(a->base, row, &id, &id_len, err);
        if (!status) status = vdb_txn_delete(a->txn, id, id_len, err);
    }
    uint32_t count = changes_live_count(&a->txn->changes);
    if (!status && count != live)
        status = error_set_corrupt(
            err, "stream", 0, "the stream leads to %u live rows, its state has %u", count, live);
    return status;
}
