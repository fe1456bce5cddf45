/* find.c: the row of an id.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "state/ended.h"
#include "state/snapshot.h"

struct finder {
    const struct vdb_snapshot *s;
    const struct liveness *dead;
    const char *id;
    size_t id_len;
    bool deleted;
    const uint32_t *ended; /* in which order rows were; NULL: in that of their numbers */
    uint32_t best;         /* VDB_NO_ROW: none yet */
    uint32_t best_ended;
};

/* Of rows that the snapshot has live and a transaction has not, it is the last there is. */
static uint32_t when_ended(const struct finder *f, uint32_t row)
{
    return liveness_deleted(&f->s->dead, row) ? f->ended[row] : UINT32_MAX;
}

/* Takes the row if it is what is sought, and returns whether others are to be looked at; rows come
 * newest first. Ids are read in place, so a hash that lies costs a miss. */
static bool finder_visit(void *context, uint32_t row)
{
    struct finder *f = context;
    if (row >= f->s->row_count || liveness_deleted(f->dead, row) != f->deleted) return true;
    struct row_place place;
    const char *id;
    size_t len;
    if (snapshot_place(f->s, row, &place, NULL) || ids_get(place.ids, place.local, &id, &len, NULL))
        return true;
    if (len != f->id_len || memcmp(id, f->id, len) != 0) return true;
    uint32_t ended = f->ended ? when_ended(f, row) : 0;
    if (f->best == VDB_NO_ROW || ended > f->best_ended) {
        f->best = row;
        f->best_ended = ended;
    }
    return f->ended != NULL;
}

static bool found(const struct finder *f)
{
    return f->best != VDB_NO_ROW && !f->ended;
}

static enum vdb_status find_in_part(const struct part *part, uint64_t hash, struct finder *f,
                                    struct vdb_error *err)
{
    uint32_t first, count;
    enum vdb_status status = id_hash_find(&part->id_hash, hash, &first, &count, err);
    while (!status && !found(f) && count-- > 0) { /* entries rise by row: the newest is the last */
        uint32_t row;
        status = id_hash_row(&part->id_hash, first + count, &row, err);
        if (!status) finder_visit(f, part->row_begin + row);
    }
    return status;
}

enum vdb_status snapshot_find(const struct vdb_snapshot *s, const struct liveness *dead,
                              const char *id, size_t id_len, bool deleted, uint32_t *row,
                              struct vdb_error *err)
{
    struct finder f = {s, dead, id, id_len, deleted, NULL, VDB_NO_ROW, 0};
    uint64_t hash = checksum(id, id_len);
    enum vdb_status status = deleted ? ended_order(s, &f.ended, err) : VDB_OK;
    if (!status && s->tail_count)
        status = tail_find(&s->generation->tail, s->tail_count, hash, finder_visit, &f, err);
    for (uint32_t i = s->generation->manifest.part_count; i-- > 0 && !found(&f) && !status;)
        status = find_in_part(&s->generation->parts[i], hash, &f, err);
    *row = f.best;
    return status;
}

enum vdb_status vdb_find(const struct vdb_snapshot *snapshot, const char *id, size_t id_len,
                         int deleted, uint32_t *row, struct vdb_error *err)
{
    enum vdb_status status = snapshot_find(snapshot, &snapshot->dead, id, id_len, false, row, err);
    if (!status && *row == VDB_NO_ROW && deleted)
        status = snapshot_find(snapshot, &snapshot->dead, id, id_len, true, row, err);
    if (status) return status;
    if (*row == VDB_NO_ROW)
        return error_set(err, VDB_NOT_FOUND, "no such id: %.*s", (int)(id_len > 200 ? 200 : id_len),
                         id);
    return VDB_OK;
}
