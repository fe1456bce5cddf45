/* tail.c: the commits after the manifest's, as the log gives them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"

enum vdb_status tail_init(struct tail *tail, struct vdb_error *err)
{
    memset(tail, 0, sizeof *tail);
    if (pthread_mutex_init(&tail->map_lock, NULL) != 0) return error_no_memory(err);
    return VDB_OK;
}

void tail_release(struct tail *tail)
{
    for (int i = 0; i < TAIL_BLOCKS; i++) free(tail->blocks[i]);
    free(tail->map);
    free(tail->previous);
    pthread_mutex_destroy(&tail->map_lock);
}

/* Entry `index` lies in the block whose first entry is 64 * (2^block - 1). */
static unsigned block_of(uint32_t index, uint32_t *within)
{
    uint32_t scaled = index / TAIL_BLOCK_FIRST + 1;
    unsigned block = 31u - (unsigned)__builtin_clz(scaled);
    *within = index - TAIL_BLOCK_FIRST * ((1u << block) - 1);
    return block;
}

const struct tail_commit *tail_at(const struct tail *tail, uint32_t index)
{
    uint32_t within;
    unsigned block = block_of(index, &within);
    return &tail->blocks[block][within];
}

static enum vdb_status check_fits(const struct log_commit *commit, uint32_t rows, size_t stride,
                                  struct vdb_error *err)
{
    if (commit->row_base != rows)
        return error_set_corrupt(err, "log", commit->record_off,
                                 "commit %llu adds rows from %u, expected %u",
                                 (unsigned long long)commit->commit, commit->row_base, rows);
    if (commit->row_count && commit->stride != stride)
        return error_set_corrupt(err, "log", commit->record_off,
                                 "commit %llu has vectors of stride %u, expected %zu",
                                 (unsigned long long)commit->commit, commit->stride, stride);
    return VDB_OK;
}

enum vdb_status tail_append(struct tail *tail, const struct log_commit *commit, uint32_t rows,
                            size_t stride, const uint8_t *file, struct vdb_error *err)
{
    enum vdb_status status = check_fits(commit, rows, stride, err);
    if (status) return status;
    uint32_t within;
    unsigned block = block_of(tail->count, &within);
    if (block >= TAIL_BLOCKS) return error_set(err, VDB_LIMIT, "the log has too many commits");
    if (!tail->blocks[block]) {
        tail->blocks[block] = calloc((size_t)TAIL_BLOCK_FIRST << block, sizeof(struct tail_commit));
        if (!tail->blocks[block]) return error_no_memory(err);
    }
    struct tail_commit *entry = &tail->blocks[block][within];
    *entry = (struct tail_commit){
        .log = *commit,
        .vectors = file + commit->vectors.off,
        .events = file + commit->events.off,
    };
    if (commit->row_count)
        status = ids_view_init(&entry->ids, file + commit->ids.off, commit->ids.len,
                               commit->row_count, commit->ids.off, err);
    if (!status && commit->metadata.len)
        status =
            metadata_view_init(&entry->metadata, file + commit->metadata.off, commit->metadata.len,
                               commit->row_count, commit->metadata.off, err);
    if (!status) tail->count++;
    return status;
}

uint32_t tail_index_of_row(const struct tail *tail, uint32_t count, uint32_t row)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct tail_commit *commit = tail_at(tail, mid);
        if (commit->log.row_base + commit->log.row_count > row)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

const struct tail_commit *tail_of_row(const struct tail *tail, uint32_t count, uint32_t row)
{
    uint32_t index = tail_index_of_row(tail, count, row);
    if (index == count) return NULL;
    const struct tail_commit *commit = tail_at(tail, index);
    return row >= commit->log.row_base ? commit : NULL;
}

/* ---- the map of ids ------------------------------------------------------------------------ */

/* Where the hash's entry is or belongs. Only its upper half is kept, so two ids may share one: who
 * visits the rows compares ids anyway. */
static uint64_t *map_slot(uint64_t *map, uint32_t bits, uint64_t hash)
{
    uint32_t mask = (1u << bits) - 1;
    for (uint32_t at = (uint32_t)(hash >> 32) & mask;; at = (at + 1) & mask)
        if (!map[at] || map[at] >> 32 == hash >> 32) return &map[at];
}

/* At most half full, so that probing ends soon. */
static enum vdb_status map_make_room(struct tail *tail, struct vdb_error *err)
{
    uint32_t bits = tail->map_bits ? tail->map_bits : 8;
    while (((uint64_t)1 << bits) < 2 * ((uint64_t)tail->map_used + 1)) bits++;
    if (bits == tail->map_bits) return VDB_OK;
    if (bits > 31) return error_set(err, VDB_LIMIT, "the tail has too many rows");
    uint64_t *map = calloc((size_t)1 << bits, sizeof *map);
    if (!map) return error_no_memory(err);
    for (size_t i = 0; tail->map && i < (size_t)1 << tail->map_bits; i++)
        if (tail->map[i]) *map_slot(map, bits, tail->map[i]) = tail->map[i];
    free(tail->map);
    tail->map = map;
    tail->map_bits = bits;
    return VDB_OK;
}

static enum vdb_status previous_make_room(struct tail *tail, struct vdb_error *err)
{
    if (tail->mapped_rows < tail->previous_cap) return VDB_OK;
    uint32_t cap = tail->previous_cap ? 2 * tail->previous_cap : 256;
    uint32_t *previous = realloc(tail->previous, cap * sizeof *previous);
    if (!previous) return error_no_memory(err);
    tail->previous = previous;
    tail->previous_cap = cap;
    return VDB_OK;
}

/* Adds the next row that is not in the map yet. */
static enum vdb_status map_row(struct tail *tail, uint32_t row, const struct tail_commit *commit,
                               struct vdb_error *err)
{
    const char *id;
    size_t id_len;
    enum vdb_status status = ids_get(&commit->ids, row - commit->log.row_base, &id, &id_len, err);
    if (!status) status = map_make_room(tail, err);
    if (!status) status = previous_make_room(tail, err);
    if (status) return status;
    uint64_t hash = checksum(id, id_len);
    uint64_t *slot = map_slot(tail->map, tail->map_bits, hash);
    if (!*slot) tail->map_used++;
    tail->previous[tail->mapped_rows++] = (uint32_t)*slot;
    *slot = (hash & 0xffffffff00000000u) | tail->mapped_rows;
    return VDB_OK;
}

/* Brings the map up to the first `count` commits. */
static enum vdb_status map_all(struct tail *tail, uint32_t count, uint32_t first_row,
                               struct vdb_error *err)
{
    const struct tail_commit *last = tail_at(tail, count - 1);
    uint32_t rows = last->log.row_base + last->log.row_count - first_row;
    enum vdb_status status = VDB_OK;
    while (tail->mapped_rows < rows && !status) {
        uint32_t row = first_row + tail->mapped_rows;
        const struct tail_commit *commit = tail_of_row(tail, count, row);
        status = commit ? VDB_OK : error_set(err, VDB_INTERNAL, "row %u is in no commit", row);
        for (; !status && row < commit->log.row_base + commit->log.row_count; row++)
            status = map_row(tail, row, commit, err);
    }
    return status;
}

enum vdb_status tail_find(struct tail *tail, uint32_t count, uint64_t hash, tail_visit_fn visit,
                          void *context, struct vdb_error *err)
{
    if (count == 0) return VDB_OK;
    uint32_t first_row = tail_at(tail, 0)->log.row_base;
    pthread_mutex_lock(&tail->map_lock);
    enum vdb_status status = map_all(tail, count, first_row, err);
    if (!status && tail->map) {
        uint32_t at = (uint32_t)*map_slot(tail->map, tail->map_bits, hash);
        while (at && visit(context, first_row + at - 1)) at = tail->previous[at - 1];
    }
    pthread_mutex_unlock(&tail->map_lock);
    return status;
}
