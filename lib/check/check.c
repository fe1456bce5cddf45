/* check.c: verifying a file: checksums first, then what they cannot show.
 *
 * It goes from the outside in and says all that it finds: a damaged segment does not keep it from
 * looking at the others; a damaged superblock or manifest does.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/options.h"
#include "base/par.h"
#include "check/check_deep.h"
#include "check/check_log.h"
#include "check/check_past.h"
#include "check/checker.h"
#include "format/range.h"
#include "state/verify.h"
#include "vdb.h"

void checker_report(struct checker *c, const struct vdb_error *finding)
{
    c->findings++;
    if (c->options->report) c->options->report(c->options->context, finding);
}

enum vdb_status checker_take(struct checker *c, enum vdb_status status,
                             const struct vdb_error *finding)
{
    if (status != VDB_CORRUPT && status != VDB_UNSUPPORTED) return status;
    checker_report(c, finding);
    return VDB_OK;
}

/* ---- superblocks --------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i]) return false;
    return true;
}

/* The manifest of the slot that is not in force is what is left where the other one is lost. */
static void check_older_manifest(struct checker *c, const struct superblock *older)
{
    struct manifest manifest;
    struct vdb_error finding;
    uint64_t off = older->manifest_off, len = older->manifest_len;
    if (off == c->superblock.manifest_off) return;
    if (!range_inside(off, len, c->file_len))
        error_set_corrupt(&finding, "manifest", off, "the older manifest does not lie in the file");
    else if (manifest_decode(c->view->base + off, (size_t)len, off, c->file_len, &manifest,
                             &finding) == VDB_OK) {
        manifest_release(&manifest);
        return;
    }
    checker_report(c, &finding);
}

/* Both slots must be whole, the one not in force too; a writer may leave one zero until it first
 * publishes. */
static void check_slots(struct checker *c, const uint8_t slots[])
{
    for (int i = 0; i < VDB_SUPERBLOCK_SLOTS; i++) {
        const uint8_t *slot = slots + (size_t)i * VDB_SUPERBLOCK_STRIDE;
        struct superblock superblock;
        struct vdb_error finding;
        if (all_zero(slot, VDB_SUPERBLOCK_SIZE)) continue;
        enum vdb_status status = superblock_decode(
            slot, VDB_SUPERBLOCK_SIZE, (uint64_t)i * VDB_SUPERBLOCK_STRIDE, &superblock, &finding);
        if (status == VDB_CORRUPT) checker_report(c, &finding);
        if (!status && superblock.generation < c->superblock.generation)
            check_older_manifest(c, &superblock);
    }
}

/* ---- checksums ----------------------------------------------------------------------------- */

void checker_bytes(struct checker *c, const char *segment, uint64_t off, uint64_t len,
                   uint64_t expected)
{
    struct vdb_error finding;
    if (verify_bytes(c->view->base, segment, off, len, expected, &finding))
        checker_report(c, &finding);
}

void checker_blocks(struct checker *c, const struct log_commit *commit)
{
    const struct log_block *blocks[] = {&commit->vectors, &commit->ids, &commit->metadata,
                                        &commit->events};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (blocks[i]->len)
            checker_bytes(c, "log", blocks[i]->off, blocks[i]->len, blocks[i]->check);
}

static void check_segments(struct checker *c, const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        const struct segment_entry *s = &manifest->segments[i];
        const char *name = segment_type_name(s->type);
        checker_bytes(c, name ? name : "unknown", s->off, s->len, s->check);
    }
}

/* Where the state cannot be opened, its segments may still be looked at, if the manifest is sound.
 */
static void check_segments_alone(struct checker *c)
{
    const struct superblock *sb = &c->superblock;
    struct manifest manifest;
    if (sb->manifest_off > c->file_len || sb->manifest_len > c->file_len - sb->manifest_off) return;
    if (manifest_decode(c->view->base + sb->manifest_off, (size_t)sb->manifest_len,
                        sb->manifest_off, c->file_len, &manifest, NULL) != VDB_OK)
        return;
    check_segments(c, &manifest);
    manifest_release(&manifest);
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Checks one state, the newest of now: writers may go on. */
static enum vdb_status check_state(struct checker *c, struct vdb_error *err)
{
    struct vdb_error finding;
    struct vdb_snapshot *snapshot;
    struct snapshot_options options = {.threads = par_threads(c->options->threads),
                                       .read_only = true};
    enum vdb_status status = kernels_select(NULL, &options.kernels, err);
    if (status) return status;
    status = snapshot_open(&c->file, NULL, &options, &snapshot, &finding);
    if (status) {
        if (err) *err = finding;
        check_segments_alone(c);
        return checker_take(c, status, &finding);
    }
    view_unref(c->view);
    c->view = view_ref(snapshot->generation->view);
    c->file_len = snapshot->file_len;
    check_segments(c, &snapshot->generation->manifest);
    status = check_log(c, snapshot, err);
    if (!status && c->options->deep) status = check_deep(c, snapshot, err);
    if (!status) status = check_past(c, snapshot, err);
    snapshot_unref(snapshot);
    return status;
}

static enum vdb_status check_file(struct checker *c, struct vdb_error *err)
{
    struct vdb_error finding;
    int slot;
    uint8_t slots[VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE] = {0};
    size_t got;
    int failed = osfile_read(&c->file, 0, slots, sizeof slots, &got);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot read the superblock");
    if (!superblock_is_ours(slots, got))
        return error_set_corrupt(err, "superblock", 0, "not a vdb index");
    enum vdb_status status =
        generation_superblock(&c->file, &c->superblock, &slot, &c->file_len, &finding);
    if (status) {
        if (err) *err = finding;
        return status == VDB_CORRUPT ? checker_take(c, status, &finding) : status;
    }
    status = view_create(&c->file, c->file_len, &c->view, err);
    if (!status) check_slots(c, slots);
    if (!status) status = check_state(c, err);
    view_unref(c->view);
    return status;
}

enum vdb_status vdb_check(const char *path, const struct vdb_check_options *options,
                          uint64_t *findings, struct vdb_error *err)
{
    struct vdb_check_options chosen = VDB_CHECK_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    struct checker c = {.options = &chosen};
    int failed = osfile_open(&c.file, path, false);
    struct osfile_stat found;
    if (!failed) failed = osfile_stat(&c.file, &found);
    if (failed) return error_set_errno(err, VDB_CANNOT_OPEN, failed, "cannot open the index");
    status =
        found.regular ? check_file(&c, err) : error_set(err, VDB_CANNOT_OPEN, "not a regular file");
    osfile_close(&c.file);
    *findings = c.findings;
    return status;
}
