/* superblock.c: the two slots at the front of the file; implements format-spec/superblock.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/superblock.h"

#include <string.h>

#include "base/checksum.h"
#include "base/error.h"

static const char SEGMENT[] = "superblock";

uint64_t superblock_first_check(const uint8_t file_id[16])
{
    return checksum(file_id, 16);
}

void superblock_encode(const struct superblock *from, struct disk_superblock *to)
{
    memset(to, 0, sizeof *to);
    memcpy(to->magic, VDB_MAGIC, sizeof to->magic);
    to->version_major = le16_put(from->version_major);
    to->version_minor = le16_put(from->version_minor);
    to->header_len = le32_put(VDB_SUPERBLOCK_SIZE);
    to->compat = le64_put(from->compat);
    to->ro_compat = le64_put(from->ro_compat);
    to->incompat = le64_put(from->incompat);
    memcpy(to->file_id, from->file_id, sizeof to->file_id);
    to->generation = le64_put(from->generation);
    to->manifest_off = le64_put(from->manifest_off);
    to->manifest_len = le64_put(from->manifest_len);
    to->log_off = le64_put(from->log_off);
    to->log_end = le64_put(from->log_end);
    to->log_check = le64_put(from->log_check);
    to->file_end = le64_put(from->file_end);
    to->flags = le64_put(from->flags);
    to->check = le64_put(checksum(to, offsetof(struct disk_superblock, check)));
}

/* What a later minor version adds, its masks tell. */
static enum vdb_status check_version(const struct disk_superblock *sb, uint64_t slot_off,
                                     struct vdb_error *err)
{
    unsigned major = le16_get(sb->version_major), minor = le16_get(sb->version_minor);
    if (major == VDB_VERSION_MAJOR && minor >= VDB_VERSION_MINOR) return VDB_OK;
    error_set(err, VDB_UNSUPPORTED, "format version %u.%u is not known here (this is %d.%d)", major,
              minor, VDB_VERSION_MAJOR, VDB_VERSION_MINOR);
    if (err) {
        err->segment = SEGMENT;
        err->offset = slot_off + offsetof(struct disk_superblock, version_major);
    }
    return VDB_UNSUPPORTED;
}

static const char *incompat_name(uint64_t bit)
{
    switch (bit) {
    case VDB_INCOMPAT_BINARY_VECTORS:
        return "binary vectors";
    case VDB_INCOMPAT_MULTI_VECTOR:
        return "rows of several vectors";
    case VDB_INCOMPAT_LONG_ROW_NUMBER:
        return "row numbers of 64 bits";
    default:
        return "a feature";
    }
}

static enum vdb_status check_features(const struct disk_superblock *sb, uint64_t slot_off,
                                      struct vdb_error *err)
{
    uint64_t unknown = le64_get(sb->incompat) & ~(uint64_t)VDB_INCOMPAT_KNOWN;
    if (!unknown) return VDB_OK;
    error_set(err, VDB_UNSUPPORTED, "the file has %s (incompat bit %d), which is not known here",
              incompat_name(unknown & -unknown), __builtin_ctzll(unknown));
    if (err) {
        err->segment = SEGMENT;
        err->offset = slot_off + offsetof(struct disk_superblock, incompat);
    }
    return VDB_UNSUPPORTED;
}

enum vdb_status superblock_decode(const uint8_t *p, size_t len, uint64_t slot_off,
                                  struct superblock *out, struct vdb_error *err)
{
    struct disk_superblock sb;
    if (len < sizeof sb)
        return error_set_corrupt(err, SEGMENT, slot_off,
                                 "superblock is cut off after %zu of %zu bytes", len, sizeof sb);
    memcpy(&sb, p, sizeof sb);
    if (memcmp(sb.magic, VDB_MAGIC, sizeof sb.magic) != 0)
        return error_set_corrupt(err, SEGMENT, slot_off, "superblock has no vdb magic");
    enum vdb_status status = check_version(&sb, slot_off, err);
    if (status) return status;
    if (le64_get(sb.check) != checksum(&sb, offsetof(struct disk_superblock, check)))
        return error_set_corrupt(err, SEGMENT, slot_off, "superblock checksum does not match");
    status = check_features(&sb, slot_off, err);
    if (status) return status;
    if (le32_get(sb.header_len) != VDB_SUPERBLOCK_SIZE)
        return error_set_corrupt(err, SEGMENT, slot_off, "superblock length is %u, expected %d",
                                 le32_get(sb.header_len), VDB_SUPERBLOCK_SIZE);
    *out = (struct superblock){
        .version_major = le16_get(sb.version_major),
        .version_minor = le16_get(sb.version_minor),
        .compat = le64_get(sb.compat),
        .ro_compat = le64_get(sb.ro_compat),
        .incompat = le64_get(sb.incompat),
        .generation = le64_get(sb.generation),
        .manifest_off = le64_get(sb.manifest_off),
        .manifest_len = le64_get(sb.manifest_len),
        .log_off = le64_get(sb.log_off),
        .log_end = le64_get(sb.log_end),
        .log_check = le64_get(sb.log_check),
        .file_end = le64_get(sb.file_end),
        .flags = le64_get(sb.flags),
    };
    memcpy(out->file_id, sb.file_id, sizeof out->file_id);
    return VDB_OK;
}

static bool has_magic(const uint8_t *p, size_t len, size_t off)
{
    size_t n = sizeof VDB_MAGIC - 1;
    return len >= off + n && memcmp(p + off, VDB_MAGIC, n) == 0;
}

/* Slot 0 may be torn, so the second one counts too. */
bool superblock_is_ours(const uint8_t *p, size_t len)
{
    return has_magic(p, len, 0) || has_magic(p, len, VDB_SUPERBLOCK_STRIDE);
}

enum vdb_status superblock_choose(const uint8_t *p, size_t len, struct superblock *out, int *slot,
                                  struct vdb_error *err)
{
    if (!superblock_is_ours(p, len)) return error_set_corrupt(err, SEGMENT, 0, "not a vdb index");
    struct superblock slots[VDB_SUPERBLOCK_SLOTS];
    struct vdb_error errors[VDB_SUPERBLOCK_SLOTS] = {{0}};
    int best = -1;
    for (int i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        size_t off = (size_t)i * VDB_SUPERBLOCK_STRIDE;
        enum vdb_status status = superblock_decode(
            p + (len < off ? 0 : off), len < off ? 0 : len - off, off, &slots[i], &errors[i]);
        if (status) continue;
        if (best < 0 || slots[i].generation > slots[best].generation) best = i;
    }
    if (best < 0) {
        int worst = errors[0].status != VDB_UNSUPPORTED && errors[1].status == VDB_UNSUPPORTED;
        if (err) *err = errors[worst];
        return errors[worst].status;
    }
    /* The newer slot may be of a version unknown here: the older one must not be taken for the
     * state. */
    if (errors[1 - best].status == VDB_UNSUPPORTED) {
        if (err) *err = errors[1 - best];
        return VDB_UNSUPPORTED;
    }
    *out = slots[best];
    *slot = best;
    return VDB_OK;
}
