/* changes.c: what a transaction asks for, and what that means for a given state.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "state/rewind.h"

/* ---- the map from ids to the transaction's own rows ---------------------------------------- */

static uint64_t *map_slot(const struct resolution *r, const struct ids_builder *ids, uint64_t hash,
                          const char *id, size_t id_len)
{
    uint32_t mask = (1u << r->map_bits) - 1;
    for (uint32_t at = (uint32_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
        uint64_t entry = r->map[at];
        if (!entry) return &r->map[at];
        if (entry >> 32 != hash >> 32) continue;
        const char *other;
        size_t other_len;
        ids_builder_get(ids, (uint32_t)entry - 1, &other, &other_len);
        if (other_len == id_len && memcmp(other, id, id_len) == 0) return &r->map[at];
    }
}

/* At most half full, so that probing ends soon. */
static enum vdb_status map_make_room(struct resolution *r, struct vdb_error *err)
{
    uint32_t bits = r->map_bits ? r->map_bits : 7;
    while ((uint64_t)1 << bits < 2 * ((uint64_t)r->map_used + 1)) bits++;
    if (bits == r->map_bits) return VDB_OK;
    uint64_t *map = bits > 31 ? NULL : calloc((size_t)1 << bits, sizeof *map);
    if (!map) return error_no_memory(err);
    uint32_t mask = (1u << bits) - 1;
    for (size_t i = 0; r->map && i < (size_t)1 << r->map_bits; i++) {
        if (!r->map[i]) continue;
        uint32_t at = (uint32_t)(r->map[i] >> 32) & mask;
        while (map[at]) at = (at + 1) & mask;
        map[at] = r->map[i];
    }
    free(r->map);
    r->map = map;
    r->map_bits = bits;
    return VDB_OK;
}

/* ---- resolving ----------------------------------------------------------------------------- */

static enum vdb_status add_event(struct resolution *r, uint32_t kind, uint32_t row,
                                 struct vdb_error *err)
{
    struct disk_event event = {le32_put(row), le32_put(kind)};
    enum vdb_status status = liveness_set(&r->dead, row, kind != DISK_EVENT_RESTORE, err);
    if (!status && buf_append(&r->events, &event, sizeof event)) status = error_no_memory(err);
    return status;
}

/* Events of one kind that lead to the rows that were live in an earlier state. */
static enum vdb_status go_back(struct resolution *r, const struct vdb_snapshot *base,
                               const struct vdb_snapshot *past, uint32_t kind,
                               struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    uint32_t row = 0;
    while (!status && (row = snapshot_next_difference(base, past, row)) < base->row_count) {
        bool live = !liveness_deleted(&base->dead, row);
        if (live == (kind == DISK_EVENT_DELETE)) {
            status = add_event(r, kind, row, err);
            *(live ? &r->deleted : &r->restored) += 1;
        }
        row++;
    }
    return status;
}

/* Rows are ended before others are brought back, of which some have their ids. */
static enum vdb_status resolve_roll_back(struct resolution *r, struct vdb_snapshot *base,
                                         uint64_t commit, struct vdb_error *err)
{
    struct vdb_snapshot *past;
    enum vdb_status status = rewind_to(base, commit, &past, err);
    if (status) return status;
    status = go_back(r, base, past, DISK_EVENT_DELETE, err);
    if (!status) status = go_back(r, base, past, DISK_EVENT_RESTORE, err);
    snapshot_unref(past);
    return status;
}

static enum vdb_status resolution_init(struct resolution *r, struct vdb_snapshot *base,
                                       uint64_t roll_back_to, struct vdb_error *err)
{
    *r = (struct resolution){0};
    enum vdb_status status = liveness_copy(&base->dead, &r->dead, err);
    if (!status) status = map_make_room(r, err);
    if (!status && roll_back_to) status = resolve_roll_back(r, base, roll_back_to, err);
    if (!status) r->base = snapshot_ref(base);
    return status;
}

static void resolution_release(struct resolution *r)
{
    liveness_release(&r->dead);
    buf_release(&r->events);
    free(r->map);
    snapshot_unref(r->base);
    *r = (struct resolution){0};
}

/* The newest row of the id that is live (or deleted), of the transaction's own first: they are
 * newer than all others. VDB_NO_ROW: none. */
static enum vdb_status resolve_id(const struct changes *c, const char *id, size_t id_len,
                                  bool deleted, uint32_t *row, struct vdb_error *err)
{
    const struct resolution *r = &c->now;
    uint64_t own = *map_slot(r, &c->ids, checksum(id, id_len), id, id_len);
    if (own) {
        *row = r->base->row_count + (uint32_t)own - 1;
        if (liveness_deleted(&r->dead, *row) == deleted) return VDB_OK;
    }
    return snapshot_find(r->base, &r->dead, id, id_len, deleted, row, err);
}

static int shown(size_t id_len)
{
    return (int)(id_len < 200 ? id_len : 200);
}

/* Row `number` of the transaction, whose id is in c->ids already. */
static enum vdb_status resolve_put(struct changes *c, enum vdb_put_mode mode, uint32_t number,
                                   const char *id, size_t id_len, struct vdb_error *err)
{
    struct resolution *r = &c->now;
    if (number >= VDB_NO_ROW - 1 - r->base->row_count)
        return error_set(err, VDB_LIMIT, "the index would have more than %u rows", VDB_NO_ROW - 1);
    uint32_t old;
    enum vdb_status status = map_make_room(r, err);
    if (!status) status = resolve_id(c, id, id_len, false, &old, err);
    if (status) return status;
    if (mode == VDB_INSERT && old != VDB_NO_ROW)
        return error_set(err, VDB_EXISTS, "id \"%.*s\" is in the index already", shown(id_len), id);
    if (mode == VDB_UPDATE && old == VDB_NO_ROW)
        return error_set(err, VDB_NOT_FOUND, "id \"%.*s\" is not in the index", shown(id_len), id);
    if (old != VDB_NO_ROW) status = add_event(r, DISK_EVENT_REPLACE, old, err);
    if (status) return status;
    uint64_t hash = checksum(id, id_len);
    uint64_t *slot = map_slot(r, &c->ids, hash, id, id_len);
    if (!*slot) r->map_used++;
    *slot = (hash & 0xffffffff00000000u) | ((uint64_t)number + 1);
    *(old == VDB_NO_ROW ? &r->added : &r->updated) += 1;
    return VDB_OK;
}

static enum vdb_status resolve_mark(struct changes *c, uint32_t kind, const char *id, size_t id_len,
                                    struct vdb_error *err)
{
    struct resolution *r = &c->now;
    uint32_t live, row;
    enum vdb_status status = resolve_id(c, id, id_len, false, &live, err);
    if (status) return status;
    if (kind == DISK_EVENT_DELETE) {
        if (live == VDB_NO_ROW)
            return error_set(err, VDB_NOT_FOUND, "id \"%.*s\" is not in the index", shown(id_len),
                             id);
        r->deleted++;
        return add_event(r, kind, live, err);
    }
    if (live != VDB_NO_ROW)
        return error_set(err, VDB_EXISTS, "id \"%.*s\" is not deleted", shown(id_len), id);
    status = resolve_id(c, id, id_len, true, &row, err);
    if (status) return status;
    if (row == VDB_NO_ROW)
        return error_set(err, VDB_NOT_FOUND, "id \"%.*s\" is not in the index", shown(id_len), id);
    r->restored++;
    return add_event(r, kind, row, err);
}

/* ---- the sequence -------------------------------------------------------------------------- */

enum vdb_status changes_init(struct changes *changes, struct vdb_snapshot *base,
                             struct vdb_error *err)
{
    *changes = (struct changes){0};
    return resolution_init(&changes->now, base, 0, err);
}

void changes_release(struct changes *changes)
{
    resolution_release(&changes->now);
    ids_builder_release(&changes->ids);
    buf_release(&changes->modes);
    buf_release(&changes->marks);
    buf_release(&changes->mark_ids);
}

bool changes_none(const struct changes *changes)
{
    return changes->ids.rows == 0 && changes->marks.len == 0 && !changes->roll_back_to;
}

bool changes_settled(const struct changes *changes)
{
    return changes->ids.rows == 0 && changes->now.events.len == 0;
}

enum vdb_status changes_roll_back(struct changes *changes, uint64_t commit, struct vdb_error *err)
{
    struct vdb_snapshot *base = snapshot_ref(changes->now.base);
    changes->roll_back_to = commit;
    enum vdb_status status = changes_rebase(changes, base, err);
    snapshot_unref(base);
    return status;
}

enum vdb_status changes_put(struct changes *changes, enum vdb_put_mode mode, const char *id,
                            size_t id_len, struct vdb_error *err)
{
    uint8_t byte = (uint8_t)mode;
    uint32_t number = changes->ids.rows;
    if (buf_reserve(&changes->modes, 1)) return error_no_memory(err);
    enum vdb_status status = resolve_put(changes, mode, number, id, id_len, err);
    if (!status) status = ids_builder_add(&changes->ids, id, id_len, err);
    if (!status) buf_append(&changes->modes, &byte, 1);
    return status;
}

enum vdb_status changes_mark(struct changes *changes, uint32_t kind, const char *id, size_t id_len,
                             struct vdb_error *err)
{
    struct mark mark = {changes->ids.rows, kind, (uint32_t)id_len, changes->mark_ids.len};
    if (buf_reserve(&changes->marks, sizeof mark) || buf_reserve(&changes->mark_ids, id_len))
        return error_no_memory(err);
    enum vdb_status status = resolve_mark(changes, kind, id, id_len, err);
    if (status) return status;
    buf_append(&changes->marks, &mark, sizeof mark);
    buf_append(&changes->mark_ids, id, id_len);
    return VDB_OK;
}

enum vdb_status changes_rebase(struct changes *changes, struct vdb_snapshot *base,
                               struct vdb_error *err)
{
    resolution_release(&changes->now);
    enum vdb_status status = resolution_init(&changes->now, base, changes->roll_back_to, err);
    const struct mark *marks = (const struct mark *)(const void *)changes->marks.data;
    size_t mark_count = changes->marks.len / sizeof *marks, m = 0;
    for (uint32_t i = 0; i <= changes->ids.rows && !status; i++) {
        for (; m < mark_count && marks[m].puts == i && !status; m++)
            status = resolve_mark(changes, marks[m].kind,
                                  (const char *)changes->mark_ids.data + marks[m].id_off,
                                  marks[m].id_len, err);
        if (status || i == changes->ids.rows) break;
        const char *id;
        size_t id_len;
        ids_builder_get(&changes->ids, i, &id, &id_len);
        status =
            resolve_put(changes, (enum vdb_put_mode)changes->modes.data[i], i, id, id_len, err);
    }
    return status;
}

uint32_t changes_live_count(const struct changes *changes)
{
    const struct resolution *r = &changes->now;
    return (uint32_t)(r->base->live_count + r->added + r->restored - r->deleted);
}
