/* append.c: putting a record where the log ends.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/append.h"

#include "base/error.h"
#include "db/space.h"

#define LOG_EXTENT_MIN ((uint64_t)64 << 10)
#define LOG_DOUBLINGS  6u

enum vdb_status append_make_room(struct vdb *db, const struct vdb_snapshot *base,
                                 struct log_cursor *cursor, uint64_t len, int64_t time_us,
                                 struct buf *link, uint64_t *link_off, struct vdb_error *err)
{
    uint64_t room = cursor->end - cursor->off;
    if (len + LOG_LINK_LEN <= room) return VDB_OK;
    if (room < LOG_LINK_LEN)
        return error_set_corrupt(err, "log", cursor->off, "the extent has no room for a link");
    uint32_t extents = base->generation->manifest.log_extent_count + base->tail_links;
    uint64_t extent = LOG_EXTENT_MIN << (extents < LOG_DOUBLINGS ? extents : LOG_DOUBLINGS);
    if (extent < len + LOG_LINK_LEN) extent = round_up(len + LOG_LINK_LEN, LOG_EXTENT_MIN);
    uint64_t off;
    enum vdb_status status = space_reserve(&db->file, extent, VDB_SEGMENT_ALIGN, &off, err);
    if (!status) status = space_zero(&db->file, off, extent, err);
    /* A link must never lead beyond the file's end, whatever a crash leaves of it. */
    if (!status) status = db_sync(db, &db->file, err);
    if (!status) status = log_encode_link(cursor, time_us, off, extent, link, err);
    if (status) return status;
    *link_off = cursor->off;
    cursor->check = log_seal(link, 0);
    cursor->off = off;
    cursor->end = off + extent;
    return VDB_OK;
}

/* One sync for both. Where it fails, the system may take the pages for clean though they are not on
 * the medium, while readers and the next writer see and go on from the record: so it is put down
 * again, for that writer's sync to carry or to fail on. */
enum vdb_status append_write(struct vdb *db, const struct buf *link, uint64_t link_off,
                             const struct buf *record, uint64_t record_off, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    if (cancel_asked(&db->cancel))
        return error_set(err, VDB_CANCELLED, "cancelled before the commit was written");
    if (link->len) status = space_write(&db->file, link_off, link->data, link->len, err);
    if (!status) status = space_write(&db->file, record_off, record->data, record->len, err);
    if (!status) status = db_sync(db, &db->file, err);
    if (status == VDB_DURABILITY_UNKNOWN) {
        if (link->len) space_write(&db->file, link_off, link->data, link->len, NULL);
        space_write(&db->file, record_off, record->data, record->len, NULL);
    }
    return status;
}
