/* generation.c: the file as one superblock describes it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static enum vdb_status cut_off(uint64_t size, uint64_t least, struct vdb_error *err)
{
    return error_set_corrupt(err, "superblock", size,
                             "file is cut off after %llu of at least %llu bytes",
                             (unsigned long long)size, (unsigned long long)least);
}

enum vdb_status generation_superblock(const struct osfile *file, struct superblock *superblock,
                                      int *slot, uint64_t *file_len, struct vdb_error *err)
{
    uint8_t slots[VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE];
    size_t got;
    int failed = osfile_read(file, 0, slots, sizeof slots, &got);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot read the superblock");
    if (got == 0) return error_set_corrupt(err, "superblock", 0, "file is empty");
    enum vdb_status status = superblock_choose(slots, got, superblock, slot, err);
    if (status) return status;
    struct osfile_stat now;
    failed = osfile_stat(file, &now);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    if (now.size < superblock->file_end) return cut_off(now.size, superblock->file_end, err);
    *file_len = now.size;
    return VDB_OK;
}

/* `now` was asked for first: where another superblock has come since, the file may be longer. */
enum vdb_status generation_look(const struct generation *g, const struct osfile_stat *now,
                                struct superblock *superblock, struct vdb_error *err)
{
    if (now->size < g->superblock.file_end) return cut_off(now->size, g->superblock.file_end, err);
    int slot;
    size_t len = (size_t)(now->size < g->view->cap ? now->size : g->view->cap);
    return superblock_choose(g->view->base, len, superblock, &slot, err);
}

/* The extent that the log goes on in lies in the file, behind the superblocks. */
static enum vdb_status check_log_place(const struct superblock *sb, struct vdb_error *err)
{
    if (sb->log_off >= (uint64_t)VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE &&
        sb->log_off % VDB_ARRAY_ALIGN == 0 && sb->log_off <= sb->log_end &&
        sb->log_end - sb->log_off >= LOG_LINK_LEN && sb->log_end <= sb->file_end)
        return VDB_OK;
    return error_set_corrupt(err, "superblock", offsetof(struct disk_superblock, log_off),
                             "log is said to go on at %llu of an extent that ends at %llu",
                             (unsigned long long)sb->log_off, (unsigned long long)sb->log_end);
}

static enum vdb_status open_manifest(struct generation *g, uint64_t file_len, struct vdb_error *err)
{
    const struct superblock *sb = &g->superblock;
    if (sb->manifest_off % VDB_ARRAY_ALIGN != 0 ||
        sb->manifest_off < (uint64_t)VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_STRIDE)
        return error_set_corrupt(err, "manifest", sb->manifest_off,
                                 "manifest lies at %llu, where none can",
                                 (unsigned long long)sb->manifest_off);
    if (sb->manifest_off > sb->file_end || sb->manifest_len > sb->file_end - sb->manifest_off)
        return error_set_corrupt(err, "manifest", sb->manifest_off,
                                 "manifest goes beyond the end of the file");
    enum vdb_status status =
        manifest_decode(g->view->base + sb->manifest_off, (size_t)sb->manifest_len,
                        sb->manifest_off, file_len, &g->manifest, err);
    if (status) return status;
    /* Lower where a superblock was written anew for the same manifest, to mark it superseded. */
    if (g->manifest.generation > sb->generation)
        return error_set_corrupt(err, "manifest", sb->manifest_off,
                                 "manifest is of generation %llu, its superblock of %llu",
                                 (unsigned long long)g->manifest.generation,
                                 (unsigned long long)sb->generation);
    return VDB_OK;
}

static enum vdb_status open_parts(struct generation *g, uint64_t file_len, struct vdb_error *err)
{
    uint32_t count = g->manifest.part_count;
    g->parts = calloc(count ? count : 1, sizeof *g->parts);
    g->spans = calloc(count ? count : 1, sizeof *g->spans);
    if (!g->parts || !g->spans) return error_no_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        struct part *part = &g->parts[i];
        enum vdb_status status = part_open(&g->manifest, i, g->view->base, file_len, part, err);
        if (status) return status;
        if (part->tombstones)
            g->spans[g->span_count++] =
                (struct liveness_span){part->row_begin, part->row_end, part->tombstones};
    }
    return VDB_OK;
}

enum vdb_status generation_open(const struct osfile *file, const struct generation *before,
                                struct generation **generation, struct vdb_error *err)
{
    struct generation *g = calloc(1, sizeof *g);
    if (!g) return error_no_memory(err);
    g->refs = 1;
    enum vdb_status status = tail_init(&g->tail, err);
    if (status) {
        free(g);
        return status;
    }
    uint64_t file_len;
    status = generation_superblock(file, &g->superblock, &g->slot, &file_len, err);
    if (!status) status = check_log_place(&g->superblock, err);
    if (!status && before && file_len <= before->view->cap)
        g->view = view_ref(before->view);
    else if (!status)
        status = view_create(file, file_len, &g->view, err);
    if (!status) status = open_manifest(g, file_len, err);
    if (!status) status = open_parts(g, file_len, err);
    if (!status)
        status =
            tail_codes_init(&g->codes, before ? &before->codes : NULL, g->manifest.row_count, err);
    if (status) {
        generation_unref(g);
        return status;
    }
    *generation = g;
    return VDB_OK;
}

struct generation *generation_ref(struct generation *generation)
{
    __atomic_add_fetch(&generation->refs, 1, __ATOMIC_RELAXED);
    return generation;
}

void generation_unref(struct generation *generation)
{
    if (!generation || __atomic_sub_fetch(&generation->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    tail_codes_release(&generation->codes);
    tail_release(&generation->tail);
    manifest_release(&generation->manifest);
    free(generation->parts);
    free(generation->spans);
    view_unref(generation->view);
    free(generation);
}

const struct part *generation_part_of_row(const struct generation *generation, uint32_t row)
{
    uint32_t low = 0, high = generation->manifest.part_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (generation->parts[mid].row_end > row)
            high = mid;
        else
            low = mid + 1;
    }
    return low < generation->manifest.part_count ? &generation->parts[low] : NULL;
}
