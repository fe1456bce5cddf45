/* publish.c: putting a manifest into force; implements format-spec/writing.md, "Publishing".
 *
 * Order is everything here: what a superblock names is on the medium before the superblock is, and
 * the slot that is in force is never the one that is written.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/publish.h"

#include <string.h>

#include "base/error.h"
#include "db/space.h"

static enum vdb_status write_slot(const struct osfile *file, const struct superblock *superblock,
                                  int slot, struct vdb_error *err)
{
    struct disk_superblock disk;
    superblock_encode(superblock, &disk);
    return space_write(file, (uint64_t)slot * VDB_SUPERBLOCK_STRIDE, &disk, sizeof disk, err);
}

static enum vdb_status file_length(const struct osfile *file, uint64_t *len, struct vdb_error *err)
{
    struct osfile_stat now;
    int failed = osfile_stat(file, &now);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    *len = now.size;
    return VDB_OK;
}

/* ---- a new file ---------------------------------------------------------------------------- */

enum vdb_status publish_begin_new(const struct osfile *file, struct vdb_error *err)
{
    uint64_t off;
    enum vdb_status status = space_reserve(file, NEWFILE_HEAD_LEN, VDB_ARRAY_ALIGN, &off, err);
    return status ? status : space_zero(file, 0, NEWFILE_HEAD_LEN, err);
}

/* Manifests with many entries do not fit in front of the log and go to the file's end. */
static enum vdb_status place_manifest(const struct osfile *file, const struct buf *bytes,
                                      uint64_t *off, struct vdb_error *err)
{
    *off = NEWFILE_MANIFEST_OFF;
    if (bytes->len > NEWFILE_LOG_OFF - NEWFILE_MANIFEST_OFF) {
        enum vdb_status status = space_reserve(file, bytes->len, VDB_ARRAY_ALIGN, off, err);
        if (status) return status;
    }
    return space_write(file, *off, bytes->data, bytes->len, err);
}

enum vdb_status publish_new(const struct osfile *file, const uint8_t file_id[16],
                            struct manifest *manifest, struct vdb_error *err)
{
    manifest->generation = 1;
    struct log_extent_entry extent = {NEWFILE_LOG_OFF, NEWFILE_HEAD_LEN - NEWFILE_LOG_OFF,
                                      manifest->commit + 1, manifest->commit_time_us};
    struct superblock superblock = {
        .version_major = VDB_VERSION_MAJOR,
        .version_minor = VDB_VERSION_MINOR,
        .generation = 1,
        .log_off = extent.off,
        .log_end = extent.off + extent.len,
        .log_check = superblock_first_check(file_id),
    };
    memcpy(superblock.file_id, file_id, sizeof superblock.file_id);
    struct buf bytes = {0};
    enum vdb_status status = manifest_add_log_extent(manifest, &extent, err);
    if (!status) status = manifest_encode(manifest, &bytes, err);
    if (!status) status = place_manifest(file, &bytes, &superblock.manifest_off, err);
    superblock.manifest_len = bytes.len;
    buf_release(&bytes);
    if (!status) status = file_length(file, &superblock.file_end, err);
    /* Both slots, so that no single damage takes the only one. */
    for (int slot = 0; slot < VDB_SUPERBLOCK_SLOTS && !status; slot++)
        status = write_slot(file, &superblock, slot, err);
    if (status) return status;
    int failed = osfile_sync_all(file);
    return failed ? error_set_errno(err, VDB_IO, failed, "cannot sync the new file") : VDB_OK;
}

/* ---- the next generation ------------------------------------------------------------------- */

/* Extents that the log went on to since the current manifest, up to `cursor`. */
static enum vdb_status add_new_extents(const struct generation *current, struct manifest *manifest,
                                       const struct log_cursor *cursor, struct vdb_error *err)
{
    const struct superblock *sb = &current->superblock;
    struct log_cursor at = {sb->log_off, sb->log_end, sb->log_check, current->manifest.commit};
    struct log_commit commit;
    struct log_names names;
    int64_t time_us = current->manifest.commit_time_us;
    enum vdb_status status = VDB_OK;
    while (at.off != cursor->off && !status) {
        enum log_step step =
            log_next(current->view->base, current->view->cap, &at, &commit, &names);
        if (!log_went_on(step))
            return error_set_corrupt(err, "log", at.off, "the log ends before commit %llu",
                                     (unsigned long long)cursor->commit);
        if (step == LOG_COMMIT) time_us = commit.time_us;
        if (step == LOG_LINKED)
            status = manifest_add_log_extent(
                manifest,
                &(struct log_extent_entry){at.off, at.end - at.off, at.commit + 1, time_us}, err);
    }
    return status;
}

static enum vdb_status append_manifest(struct vdb *db, const struct manifest *manifest,
                                       struct superblock *superblock, struct vdb_error *err)
{
    struct buf bytes = {0};
    enum vdb_status status = manifest_encode(manifest, &bytes, err);
    if (!status) status = db_lock_write_maintained(db, err);
    if (!status) {
        status = space_reserve(&db->maintained, bytes.len, VDB_ARRAY_ALIGN,
                               &superblock->manifest_off, err);
        db_unlock_write(db);
    }
    if (!status)
        status = space_write(&db->maintained, superblock->manifest_off, bytes.data, bytes.len, err);
    superblock->manifest_len = bytes.len;
    buf_release(&bytes);
    return status ? status : file_length(&db->maintained, &superblock->file_end, err);
}

enum vdb_status publish_next(struct vdb *db, const struct generation *current,
                             struct manifest *manifest, const struct log_cursor *cursor,
                             struct vdb_error *err)
{
    struct superblock superblock = current->superblock;
    superblock.generation++;
    superblock.log_off = cursor->off;
    superblock.log_end = cursor->end;
    superblock.log_check = cursor->check;
    manifest->generation = superblock.generation;
    enum vdb_status status = add_new_extents(current, manifest, cursor, err);
    if (!status) status = append_manifest(db, manifest, &superblock, err);
    if (status) return status;
    status = db_sync(db, &db->maintained, err);
    if (!status) status = write_slot(&db->maintained, &superblock, 1 - current->slot, err);
    if (status) return status;
    status = db_sync(db, &db->maintained, err);
    /* It may be in force for all who look and yet not on the medium, with no dirty page left: put
     * down again, it is carried by the next publication's first sync, before that writes the other
     * slot. */
    if (status) write_slot(&db->maintained, &superblock, 1 - current->slot, NULL);
    return status;
}

void publish_superseded(const struct osfile *file, const struct generation *current)
{
    struct superblock superblock = current->superblock;
    superblock.generation++;
    superblock.flags |= VDB_SUPERBLOCK_SUPERSEDED;
    write_slot(file, &superblock, 1 - current->slot, NULL);
}

/* Pages that are mapped stay in the system's cache, so the mapping lets go of them first. */
static void settle(const struct osfile *file, const struct view *view,
                   const struct segment_entry *s)
{
    if (view && s->off + s->len <= view->cap)
        osfile_drop_pages(view->base + s->off, (size_t)s->len);
    osfile_settle(file, s->off, (size_t)s->len);
}

void publish_settle(const struct osfile *file, const struct view *view,
                    const struct manifest *manifest, uint64_t commit)
{
    bool bytes = manifest->type == VDB_TYPE_U8 || manifest->type == VDB_TYPE_I8;
    bool coded = bytes && manifest->metric != VDB_METRIC_COSINE; /* the vectors are codes */
    for (uint32_t i = 0; i < manifest->part_count; i++) {
        const struct part_entry *part = &manifest->parts[i];
        if (part->commit != commit || part->kind == DISK_PART_FLAT) continue;
        for (uint32_t j = 0; j < part->segment_count; j++) {
            const struct segment_entry *s = &manifest->segments[part->segment_first + j];
            if (s->type == DISK_SEGMENT_CODE || s->type == DISK_SEGMENT_GRAPH ||
                s->type == DISK_SEGMENT_IVF || (s->type == DISK_SEGMENT_VECTOR && coded))
                settle(file, view, s);
        }
    }
}
