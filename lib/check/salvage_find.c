/* salvage_find.c: what is left of a damaged file: manifests, and the commits that the log has.
 *
 * Offsets that a reader refuses a file for, such as those of segments beyond its end, are no reason
 * here to leave the rest alone: each is tried where it is used.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/salvage_find.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "check/mend_record.h"
#include "check/onebit.h"
#include "format/range.h"
#include "format/superblock.h"

#define ANY_LEN ((uint64_t)1 << 62) /* in place of the file's length: see above */

/* ---- wrong bits ---------------------------------------------------------------------------- */

static bool put_right(struct salvage_found *f, struct onebit *sought)
{
    uint64_t bit, work = (uint64_t)sought->len * sought->len * 8;
    if (sought->len > ONEBIT_MAX || work > f->effort) return false;
    f->effort -= work;
    sought->end = sought->len;
    if (!onebit_find(sought, &bit)) return false;
    sought->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    f->mended++;
    return true;
}

bool salvage_sound(struct salvage_found *f, const char *segment, uint64_t off, uint64_t len,
                   uint64_t check, struct vdb_error *why)
{
    if (off % VDB_ARRAY_ALIGN != 0 || !range_inside(off, len, f->file_len)) {
        error_set_corrupt(why, segment, off, "%s goes beyond the end of the file", segment);
        return false;
    }
    if (checksum(f->file + off, (size_t)len) == check) return true;
    struct onebit sought = {.p = f->file + off, .len = (size_t)len, .check = check};
    if (put_right(f, &sought)) return true;
    error_set_corrupt(why, segment, off, "%s checksum does not match over %llu bytes", segment,
                      (unsigned long long)len);
    return false;
}

/* ---- manifests ----------------------------------------------------------------------------- */

static void drop(struct salvage_manifest *m)
{
    manifest_release(&m->m);
}

static bool is_newer(const struct salvage_manifest *a, const struct salvage_manifest *b)
{
    if (a->m.generation != b->m.generation) return a->m.generation > b->m.generation;
    return a->m.commit > b->m.commit;
}

/* Takes it over; of too many the oldest goes. */
static void keep(struct salvage_found *f, struct salvage_manifest *fresh)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->manifest_count; i++)
        if (f->manifests[i].off == fresh->off) {
            drop(fresh);
            return;
        }
    while (at < f->manifest_count && is_newer(&f->manifests[at], fresh)) at++;
    if (f->manifest_count == SALVAGE_MANIFESTS_MAX) {
        if (at == SALVAGE_MANIFESTS_MAX) {
            drop(fresh);
            return;
        }
        drop(&f->manifests[--f->manifest_count]);
    }
    memmove(&f->manifests[at + 1], &f->manifests[at],
            (f->manifest_count - at) * sizeof f->manifests[0]);
    f->manifests[at] = *fresh;
    f->manifest_count++;
}

static enum vdb_status take_manifest(struct salvage_found *f, const struct superblock *sb,
                                     struct vdb_error *why)
{
    struct salvage_manifest fresh = {.off = sb->manifest_off};
    uint64_t off = sb->manifest_off, len = sb->manifest_len;
    if (off % VDB_ARRAY_ALIGN != 0 || !range_inside(off, len, f->file_len))
        return error_set_corrupt(why, "manifest", off, "the manifest does not lie in the file");
    enum vdb_status status =
        manifest_decode(f->file + off, (size_t)len, off, ANY_LEN, &fresh.m, why);
    struct onebit sought = {.p = f->file + off,
                            .len = (size_t)len,
                            .has_field = true,
                            .field = offsetof(struct disk_manifest, check)};
    if (status == VDB_CORRUPT && put_right(f, &sought))
        status = manifest_decode(f->file + off, (size_t)len, off, ANY_LEN, &fresh.m, why);
    if (status) return status;
    fresh.has_log = sb->log_off != 0;
    fresh.log = (struct log_cursor){sb->log_off, sb->log_end, sb->log_check, fresh.m.commit};
    keep(f, &fresh);
    return VDB_OK;
}

/* A slot whose checksum is right and that is of another version is no damage. */
static enum vdb_status take_slot(struct salvage_found *f, uint64_t off, struct vdb_error *why)
{
    struct superblock sb;
    if (!range_inside(off, VDB_SUPERBLOCK_SIZE, f->file_len))
        return error_set_corrupt(why, "superblock", off, "the file is cut off before its end");
    uint8_t *slot = f->file + off;
    size_t field = offsetof(struct disk_superblock, check);
    struct onebit sought = {
        .p = slot, .len = VDB_SUPERBLOCK_SIZE, .has_field = true, .field = field};
    enum vdb_status status = superblock_decode(slot, VDB_SUPERBLOCK_SIZE, off, &sb, why);
    bool right = checksum(slot, field) == le64_at(slot + field);
    /* The check is of what stands before it, and not with itself as zero. */
    sought.len = field;
    sought.has_field = false;
    sought.check = le64_at(slot + field);
    if (status && !right) {
        uint64_t differs = checksum(slot, field) ^ sought.check;
        if ((differs & (differs - 1)) == 0) {
            for (size_t i = 0; i < 8; i++) slot[field + i] ^= (uint8_t)(differs >> 8 * i);
            f->mended++;
            right = true;
        } else {
            right = put_right(f, &sought);
        }
        if (right) status = superblock_decode(slot, VDB_SUPERBLOCK_SIZE, off, &sb, why);
    }
    if (status == VDB_UNSUPPORTED && !right)
        return error_set_corrupt(why, "superblock", off, "superblock checksum does not match");
    if (status) return status;
    memcpy(f->file_id, sb.file_id, sizeof f->file_id);
    return take_manifest(f, &sb, why);
}

/* Where no superblock leads to one: by their magic. What is added up for checksums is bounded by
 * the file's length. */
static void scan_manifests(struct salvage_found *f)
{
    uint64_t left = 16 * f->file_len;
    for (uint64_t at = 0; at + sizeof(struct disk_manifest) <= f->file_len; at += VDB_ARRAY_ALIGN) {
        const uint8_t *p = f->file + at;
        if (memcmp(p, VDB_MANIFEST_MAGIC, 4) != 0) continue;
        uint64_t len = le64_at(p + offsetof(struct disk_manifest, length));
        struct salvage_manifest fresh = {.off = at};
        if (!range_inside(at, len, f->file_len) || len > left) continue;
        left -= len;
        if (manifest_decode(p, (size_t)len, at, ANY_LEN, &fresh.m, NULL) == VDB_OK) keep(f, &fresh);
    }
}

/* ---- the log ------------------------------------------------------------------------------- */

static enum vdb_status add_commit(struct salvage_found *f, const struct log_commit *commit,
                                  struct vdb_error *err)
{
    if (f->commit_count == f->commit_cap) {
        uint64_t cap = f->commit_cap ? 2 * f->commit_cap : 256;
        struct log_commit *grown = realloc(f->commits, cap * sizeof *grown);
        if (!grown) return error_no_memory(err);
        f->commits = grown;
        f->commit_cap = cap;
    }
    f->commits[f->commit_count++] = *commit;
    return VDB_OK;
}

/* The next record, put right where one bit of it is wrong. Blocks may lie beyond the file's end. */
static enum vdb_status step_on(struct salvage_found *f, struct log_cursor *cursor,
                               struct log_commit *commit, enum log_step *step,
                               struct vdb_error *err)
{
    struct log_names names;
    bool mended;
    uint64_t bit;
    /* Where an extent goes beyond the file's end, what is there of it is walked. */
    struct log_cursor within = *cursor;
    if (within.off + sizeof(struct disk_record) > f->file_len) {
        *step = LOG_ENDS;
        return VDB_OK;
    }
    *step = log_next(f->file, f->file_len, &within, commit, &names);
    if (*step == LOG_ENDS && f->effort) {
        enum vdb_status status =
            mend_record(f->file, f->file_len, cursor, &mended, &bit, NULL, err);
        if (status) return status;
        f->effort -= f->effort < ((uint64_t)1 << 26) ? f->effort : (uint64_t)1 << 26;
        if (mended) {
            f->file[cursor->off + bit / 8] ^= (uint8_t)(1u << bit % 8);
            within = *cursor;
            *step = log_next(f->file, f->file_len, &within, commit, &names);
            f->mended += *step != LOG_ENDS;
        }
    }
    *cursor = within;
    return VDB_OK;
}

/* From the cursor on, as far as records follow one another. */
static enum vdb_status walk(struct salvage_found *f, struct log_cursor *cursor,
                            struct vdb_error *err)
{
    enum log_step step;
    do {
        struct log_commit commit;
        enum vdb_status status = step_on(f, cursor, &commit, &step, err);
        if (!status && step == LOG_COMMIT) status = add_commit(f, &commit, err);
        if (status) return status;
    } while (step != LOG_ENDS && step != LOG_DAMAGED && step != LOG_UNKNOWN);
    error_set_corrupt(&f->broken, "log", cursor->off, "the record after commit %llu is damaged",
                      (unsigned long long)cursor->commit);
    f->behind = step != LOG_ENDS || cursor->end > f->file_len ||
                mend_whole_behind(f->file, f->file_len, cursor) != 0;
    return VDB_OK;
}

/* Enters at the beginning of an extent of the table. The chain value is that of the record there;
 * in the first extent of all it follows from the file's id. */
static struct log_cursor enter(const struct salvage_found *f, const struct log_extent_entry *extent,
                               const struct log_cursor *before)
{
    struct log_cursor at = {
        .off = extent->off, .end = extent->off + extent->len, .commit = extent->first_commit - 1};
    if (before->off == extent->off)
        at.check = before->check;
    else if (range_inside(extent->off, sizeof(struct disk_record), f->file_len))
        at.check = le64_at(f->file + extent->off + offsetof(struct disk_record, prev_check));
    return at;
}

/* Walks on from the cursor where that leads to commits that are not there yet. */
static enum vdb_status walk_on(struct salvage_found *f, struct log_cursor *cursor,
                               struct log_cursor from, struct vdb_error *err)
{
    uint64_t last = f->commit_count ? f->commits[f->commit_count - 1].commit : 0;
    if (f->commit_count && from.commit < last) return VDB_OK;
    if (from.commit == cursor->commit && from.off == cursor->off && f->commit_count)
        return VDB_OK; /* it has just ended there */
    *cursor = from;
    return walk(f, cursor, err);
}

static enum vdb_status walk_all(struct salvage_found *f, struct vdb_error *err)
{
    const struct salvage_manifest *newest = &f->manifests[0];
    struct log_cursor cursor = {0};
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < newest->m.log_extent_count && !status; i++) {
        const struct log_extent_entry *extent = &newest->m.log_extents[i];
        struct log_cursor from = enter(f, extent, &cursor);
        if (extent->first_commit == 0 || extent->off % VDB_ARRAY_ALIGN != 0) continue;
        if (i == 0 && newest->has_log && newest->log.off == extent->off) from = newest->log;
        status = walk_on(f, &cursor, from, err);
    }
    if (!status && newest->has_log) status = walk_on(f, &cursor, newest->log, err);
    return status;
}

uint64_t salvage_commit_from(const struct salvage_found *f, uint64_t number)
{
    uint64_t low = 0, high = f->commit_count;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (f->commits[mid].commit < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* ---- the whole ----------------------------------------------------------------------------- */

enum vdb_status salvage_find(struct salvage_found *f, struct vdb_error *err)
{
    enum vdb_status other = VDB_OK;
    struct vdb_error why[VDB_SUPERBLOCK_SLOTS];
    if (!superblock_is_ours(f->file, (size_t)f->file_len))
        return error_set_corrupt(err, "superblock", 0, "not a vdb index");
    for (unsigned i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        enum vdb_status status = take_slot(f, (uint64_t)i * VDB_SUPERBLOCK_STRIDE, &why[i]);
        if (status && status != VDB_CORRUPT) {
            other = status;
            if (err) *err = why[i];
        }
    }
    if (other) return other;
    if (!f->manifest_count) scan_manifests(f);
    if (!f->manifest_count)
        return error_set_corrupt(err, "manifest", why[0].offset,
                                 "no manifest is left that could tell what is in the file");
    return walk_all(f, err);
}

void salvage_found_release(struct salvage_found *f)
{
    for (uint32_t i = 0; i < f->manifest_count; i++) drop(&f->manifests[i]);
    free(f->commits);
    f->manifest_count = 0;
    f->commits = NULL;
}
