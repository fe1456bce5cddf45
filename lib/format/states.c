/* states.c: states segments; implements format-spec/states.md.
 *
 *     header | states | flips, state by state
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/states.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "format/disk.h"
#include "format/range.h"

static const char SEGMENT[] = "states";

/* What a state must be by itself, and behind the one before it; else a reason. */
static const char *wrong_with(const struct state_entry *entry, const struct state_entry *before)
{
    if (entry->commit == 0) return "is of no commit";
    if (entry->until_us < entry->time_us) return "ends before it begins";
    if (entry->row_count >= VDB_NO_ROW || entry->live_count > entry->row_count)
        return "has impossible row counts";
    if (!before) return NULL;
    if (entry->commit <= before->commit) return "is no later than the one before";
    bool next = entry->commit == before->commit + 1;
    if (next ? entry->time_us != before->until_us : entry->time_us < before->until_us)
        return "begins at another time than the one before ends";
    return entry->row_count < before->row_count ? "has fewer rows than the one before" : NULL;
}

/* ---- building ------------------------------------------------------------------------------ */

enum vdb_status states_builder_add(struct states_builder *b, const struct state_entry *entry,
                                   const uint32_t *flips, uint32_t flip_count,
                                   struct vdb_error *err)
{
    const char *wrong = wrong_with(entry, b->count ? &b->last : NULL);
    if (!wrong && b->count == UINT32_MAX) wrong = "is one too many";
    for (uint32_t i = 0; i < flip_count && !wrong; i++)
        if (flips[i] >= entry->row_count || (i && flips[i] <= flips[i - 1]))
            wrong = "has flips out of order";
    if (wrong)
        return error_set(err, VDB_INVALID, "the state at commit %" PRIu64 " %s", entry->commit,
                         wrong);
    if (buf_append(&b->flips, flips, flip_count * sizeof *flips)) return error_no_memory(err);
    struct disk_state put = {
        .commit = le64_put(entry->commit),
        .time_us = le64_put((uint64_t)entry->time_us),
        .until_us = le64_put((uint64_t)entry->until_us),
        .row_count = le32_put(entry->row_count),
        .live_count = le32_put(entry->live_count),
        .flips_end = le64_put(b->flips.len / sizeof(le32)),
    };
    if (buf_append(&b->states, &put, sizeof put)) return error_no_memory(err);
    b->last = *entry;
    b->count++;
    return VDB_OK;
}

enum vdb_status states_builder_finish(const struct states_builder *b, struct buf *to,
                                      struct vdb_error *err)
{
    if (!b->count) return error_set(err, VDB_INVALID, "no state is kept");
    struct disk_states_header header = {
        .state_count = le32_put(b->count),
        .flip_count = le64_put(b->flips.len / sizeof(le32)),
        .states_off = le64_put(sizeof header),
        .flips_off = le64_put(sizeof header + b->states.len),
    };
    if (buf_append(to, &header, sizeof header) || buf_append(to, b->states.data, b->states.len) ||
        buf_append(to, b->flips.data, b->flips.len))
        return error_no_memory(err);
    return VDB_OK;
}

void states_builder_release(struct states_builder *b)
{
    buf_release(&b->states);
    buf_release(&b->flips);
    *b = (struct states_builder){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct disk_state disk_at(const struct states_view *view, uint32_t index)
{
    struct disk_state disk;
    memcpy(&disk, view->states + (size_t)index * sizeof disk, sizeof disk);
    return disk;
}

static uint64_t flips_end(const struct states_view *view, uint32_t index)
{
    return le64_get(disk_at(view, index).flips_end);
}

struct state_entry states_at(const struct states_view *view, uint32_t index)
{
    struct disk_state disk = disk_at(view, index);
    return (struct state_entry){
        .commit = le64_get(disk.commit),
        .time_us = (int64_t)le64_get(disk.time_us),
        .until_us = (int64_t)le64_get(disk.until_us),
        .row_count = le32_get(disk.row_count),
        .live_count = le32_get(disk.live_count),
    };
}

/* States in order, and each with no more flips than rows, of which the last end at flip_count. */
static enum vdb_status check_states(const struct states_view *view, uint64_t states_at_off,
                                    uint64_t flip_count, struct vdb_error *err)
{
    struct state_entry before = {0};
    uint64_t end = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        struct state_entry entry = states_at(view, i);
        const char *wrong = wrong_with(&entry, i ? &before : NULL);
        uint64_t begin = end;
        end = flips_end(view, i);
        if (!wrong && (end < begin || end - begin > entry.row_count || end > flip_count))
            wrong = "has impossible flips";
        if (wrong)
            return error_set_corrupt(err, SEGMENT,
                                     states_at_off + (uint64_t)i * sizeof(struct disk_state),
                                     "the state at commit %" PRIu64 " %s", entry.commit, wrong);
        before = entry;
    }
    if (end != flip_count)
        return error_set_corrupt(err, SEGMENT, view->file_off,
                                 "its states have %" PRIu64 " flips of %" PRIu64, end, flip_count);
    return VDB_OK;
}

enum vdb_status states_view_init(struct states_view *view, const void *p, size_t len,
                                 uint64_t file_off, struct vdb_error *err)
{
    struct disk_states_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    uint64_t states_off = le64_get(header.states_off), flips_off = le64_get(header.flips_off);
    uint64_t flip_count = le64_get(header.flip_count);
    uint32_t count = le32_get(header.state_count);
    if (count == 0) return error_set_corrupt(err, SEGMENT, file_off, "it holds no state");
    if (states_off < sizeof header || flips_off < sizeof header ||
        !range_array_inside(states_off, count, sizeof(struct disk_state), VDB_ARRAY_ALIGN, len) ||
        !range_array_inside(flips_off, flip_count, sizeof(le32), VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(err, SEGMENT, file_off,
                                 "%u states and %" PRIu64 " flips do not lie in its %zu bytes",
                                 count, flip_count, len);
    *view = (struct states_view){
        .states = (const uint8_t *)p + states_off,
        .flips = (const uint8_t *)p + flips_off,
        .count = count,
        .file_off = file_off,
        .flips_off = file_off + flips_off,
    };
    return check_states(view, file_off + states_off, flip_count, err);
}

uint32_t states_from(const struct states_view *view, uint64_t commit)
{
    uint32_t low = 0, high = view->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (le64_get(disk_at(view, mid).commit) < commit)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const uint8_t *states_flips(const struct states_view *view, uint32_t index, uint32_t *count)
{
    uint64_t begin = index ? flips_end(view, index - 1) : 0;
    *count = (uint32_t)(flips_end(view, index) - begin);
    return view->flips + begin * sizeof(le32);
}

enum vdb_status states_validate(const struct states_view *view, struct vdb_error *err)
{
    for (uint32_t i = 0; i < view->count; i++) {
        struct state_entry entry = states_at(view, i);
        uint32_t count, before = 0;
        const uint8_t *flips = states_flips(view, i, &count);
        for (uint32_t j = 0; j < count; j++) {
            uint32_t row = le32_at(flips + (size_t)j * sizeof(le32));
            if (row >= entry.row_count || (j && row <= before))
                return error_set_corrupt(
                    err, SEGMENT,
                    view->flips_off + (uint64_t)(flips - view->flips) + (uint64_t)j * sizeof(le32),
                    "row %" PRIu32 " flips out of order at commit %" PRIu64, row, entry.commit);
            before = row;
        }
    }
    return VDB_OK;
}
