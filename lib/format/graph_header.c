/* graph_header.c: graph segments; implements format-spec/graph.md.
 *
 *     header | u32 a pivot | norms of pivots | codes of pivots | levels above 0 | u32 times R a row
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/graph_header.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/range.h"

static const char SEGMENT[] = "graph";

static uint32_t members(const struct graph_header *header)
{
    return header->level_count > 1 ? header->level_sizes[0] : 0;
}

/* Lists on the levels from 1 to `level`. */
static uint64_t list_count(const struct graph_header *header, uint32_t level)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < level; i++) sum += header->level_sizes[i];
    return sum;
}

uint64_t graph_header_level_off(const struct graph_header *header, uint32_t level)
{
    return header->level_edges_off + list_count(header, level - 1) * header->level_degree * 4;
}

static uint64_t lay_out_levels(struct graph_header *header, uint64_t end)
{
    header->level_sizes_off = header->members_off = header->level_edges_off = 0;
    if (header->level_count < 2) return end;
    uint32_t above = header->level_count - 1;
    header->level_sizes_off = end;
    end = range_align(end + (uint64_t)above * 4, VDB_ARRAY_ALIGN);
    header->members_off = end;
    end = range_align(end + (uint64_t)members(header) * 4, VDB_ARRAY_ALIGN);
    header->level_edges_off = end;
    return range_align(end + list_count(header, above) * header->level_degree * 4, VDB_ARRAY_ALIGN);
}

uint64_t graph_header_layout(struct graph_header *header)
{
    header->pivots_off = range_align(sizeof(struct disk_graph_header), VDB_ARRAY_ALIGN);
    uint64_t end =
        range_align(header->pivots_off + (uint64_t)header->pivot_count * 4, VDB_ARRAY_ALIGN);
    header->pivot_norms_off = header->pivot_codes_off = 0;
    if (header->code_bytes) {
        header->pivot_norms_off = end;
        end =
            range_align(end + (uint64_t)header->pivot_count * header->norm_bytes, VDB_ARRAY_ALIGN);
        header->pivot_codes_off = end;
        end =
            range_align(end + (uint64_t)header->pivot_count * header->code_bytes, VDB_ARRAY_ALIGN);
    }
    header->groups_off = header->leader_count ? end : 0;
    end = range_align(end + (uint64_t)header->leader_count * 4, VDB_ARRAY_ALIGN);
    header->edges_off = lay_out_levels(header, end);
    return header->edges_off + (uint64_t)header->rows * header->degree * 4;
}

void graph_header_encode(const struct graph_header *from, struct disk_graph_header *to)
{
    *to = (struct disk_graph_header){
        .row_count = le32_put(from->rows),
        .degree = le32_put(from->degree),
        .pivot_count = le32_put(from->pivot_count),
        .ef_construction = le32_put(from->ef_construction),
        .pivots_off = le64_put(from->pivots_off),
        .edges_off = le64_put(from->edges_off),
        .alpha_milli = le32_put(from->alpha_milli),
        .code_bytes = le32_put(from->code_bytes),
        .pivot_codes_off = le64_put(from->pivot_codes_off),
        .pivot_norms_off = le64_put(from->pivot_norms_off),
        .norm_bytes = le32_put(from->norm_bytes),
        .level_count = le32_put(from->level_count),
        .level_degree = le32_put(from->level_degree),
        .member_count = le32_put(members(from)),
        .level_sizes_off = le64_put(from->level_sizes_off),
        .members_off = le64_put(from->members_off),
        .level_edges_off = le64_put(from->level_edges_off),
        .leader_count = le32_put(from->leader_count),
        .built_rows = le32_put(from->built_rows == from->rows ? 0 : from->built_rows),
        .groups_off = le64_put(from->groups_off),
        .grid_scale = le32_put_float(from->grid_scale),
        .grid_zero = le32_put((uint32_t)from->grid_zero),
    };
}

void graph_header_put_sizes(const struct graph_header *header, uint8_t *segment)
{
    for (uint32_t i = 0; i + 1 < header->level_count; i++) {
        le32 size = le32_put(header->level_sizes[i]);
        memcpy(segment + header->level_sizes_off + (uint64_t)i * 4, &size, sizeof size);
    }
}

/* Groups follow the leaders, one behind another, up to the last pivot. */
static enum vdb_status check_groups(const struct graph_header *h, const uint8_t *p, size_t len,
                                    uint64_t file_off, struct vdb_error *err)
{
    if (h->leader_count == 0 && h->groups_off == 0) return VDB_OK;
    if (h->leader_count == 0 || h->leader_count > h->pivot_count ||
        !range_array_inside(h->groups_off, h->leader_count, 4, VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, leader_count),
            "%" PRIu32 " leaders of %" PRIu32 " pivots, with groups at %" PRIu64, h->leader_count,
            h->pivot_count, h->groups_off);
    uint32_t before = h->leader_count;
    for (uint32_t i = 0; i < h->leader_count; i++) {
        uint64_t off = h->groups_off + (uint64_t)i * 4;
        uint32_t end = le32_at(p + off);
        bool last = i + 1 == h->leader_count;
        if (end < before || end > h->pivot_count || (last && end != h->pivot_count))
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "group %" PRIu32 " of pivots ends at %" PRIu32 " of %" PRIu32,
                                     i, end, h->pivot_count);
        before = end;
    }
    return VDB_OK;
}

static enum vdb_status check_copies(const struct graph_header *h, size_t len, uint64_t file_off,
                                    struct vdb_error *err)
{
    if (!h->code_bytes && !h->norm_bytes) return VDB_OK;
    if (!h->code_bytes || !h->norm_bytes || h->code_bytes % VDB_ARRAY_ALIGN)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, code_bytes),
                                 "a pivot's code has %" PRIu32 " bytes and its norm %" PRIu32,
                                 h->code_bytes, h->norm_bytes);
    if (!range_array_inside(h->pivot_norms_off, h->pivot_count, h->norm_bytes, VDB_ARRAY_ALIGN,
                            len))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, pivot_norms_off),
            "the norms of the pivots at %" PRIu64 " do not lie in it", h->pivot_norms_off);
    if (!range_array_inside(h->pivot_codes_off, h->pivot_count, h->code_bytes, VDB_ARRAY_ALIGN,
                            len))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, pivot_codes_off),
            "the codes of the pivots at %" PRIu64 " do not lie in it", h->pivot_codes_off);
    return VDB_OK;
}

static enum vdb_status check_level_counts(const struct graph_header *h, uint32_t member_count,
                                          uint64_t file_off, struct vdb_error *err)
{
    if (h->level_count > GRAPH_LEVELS_MAX + 1)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, level_count),
                                 "it has %" PRIu32 " levels", h->level_count);
    if ((h->level_degree == 0) != (h->level_count == 0) || h->level_degree > GRAPH_DEGREE_MAX)
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, level_degree),
            "%" PRIu32 " levels have a degree of %" PRIu32, h->level_count, h->level_degree);
    if ((member_count == 0) != (h->level_count < 2) || member_count > h->rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, member_count),
                                 "%" PRIu32 " levels of %" PRIu32 " rows have %" PRIu32 " members",
                                 h->level_count, h->rows, member_count);
    return VDB_OK;
}

/* Takes the sizes of the levels from the segment at p. */
static enum vdb_status take_levels(struct graph_header *h, const uint8_t *p, size_t len,
                                   uint32_t member_count, uint64_t file_off, struct vdb_error *err)
{
    enum vdb_status status = check_level_counts(h, member_count, file_off, err);
    if (status != VDB_OK || h->level_count < 2) return status;
    uint32_t above = h->level_count - 1;
    if (!range_array_inside(h->level_sizes_off, above, 4, VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, level_sizes_off),
            "the sizes of levels at %" PRIu64 " do not lie in it", h->level_sizes_off);
    for (uint32_t i = 0; i < above; i++) {
        uint64_t off = h->level_sizes_off + (uint64_t)i * 4;
        uint32_t size = le32_at(p + off), most = i ? h->level_sizes[i - 1] : member_count;
        if (size == 0 || size > most || (i == 0 && size != most))
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "level %" PRIu32 " has %" PRIu32 " of %" PRIu32 " members",
                                     i + 1, size, most);
        h->level_sizes[i] = size;
    }
    if (!range_array_inside(h->members_off, member_count, 4, VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, members_off),
                                 "the members at %" PRIu64 " do not lie in it", h->members_off);
    if (!range_array_inside(h->level_edges_off, list_count(h, above), (uint64_t)h->level_degree * 4,
                            VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_graph_header, level_edges_off),
            "the edges of levels at %" PRIu64 " do not lie in it", h->level_edges_off);
    return VDB_OK;
}

static enum vdb_status check(const struct graph_header *h, uint32_t rows, size_t len,
                             uint64_t file_off, struct vdb_error *err)
{
    if (h->rows != rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, row_count),
                                 "it holds %" PRIu32 " rows, not %" PRIu32, h->rows, rows);
    if (h->degree == 0 || h->degree > GRAPH_DEGREE_MAX)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, degree),
                                 "the degree is %" PRIu32, h->degree);
    if (h->pivot_count > rows || (rows && h->pivot_count == 0))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, pivot_count),
                                 "%" PRIu32 " pivots of %" PRIu32 " rows", h->pivot_count, rows);
    if (!range_array_inside(h->pivots_off, h->pivot_count, 4, VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, pivots_off),
                                 "the pivots at %" PRIu64 " do not lie in it", h->pivots_off);
    if (!range_array_inside(h->edges_off, rows, (uint64_t)h->degree * 4, VDB_ARRAY_ALIGN, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_graph_header, edges_off),
                                 "the edges at %" PRIu64 " do not lie in it", h->edges_off);
    return check_copies(h, len, file_off, err);
}

static bool grid_is_sound(const struct graph_header *h)
{
    return isfinite(h->grid_scale) && h->grid_scale > 0 && h->grid_zero >= -CODE_ZERO_MAX &&
           h->grid_zero <= CODE_ZERO_MAX + 255;
}

enum vdb_status graph_header_decode(const void *p, size_t len, uint32_t rows, uint64_t file_off,
                                    struct graph_header *out, struct vdb_error *err)
{
    struct disk_graph_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    struct graph_header h = {
        .rows = le32_get(header.row_count),
        .degree = le32_get(header.degree),
        .pivot_count = le32_get(header.pivot_count),
        .ef_construction = le32_get(header.ef_construction),
        .alpha_milli = le32_get(header.alpha_milli),
        .pivots_off = le64_get(header.pivots_off),
        .edges_off = le64_get(header.edges_off),
        .code_bytes = le32_get(header.code_bytes),
        .norm_bytes = le32_get(header.norm_bytes),
        .pivot_codes_off = le64_get(header.pivot_codes_off),
        .pivot_norms_off = le64_get(header.pivot_norms_off),
        .level_count = le32_get(header.level_count),
        .leader_count = le32_get(header.leader_count),
        .built_rows = le32_get(header.built_rows),
        .groups_off = le64_get(header.groups_off),
        .level_degree = le32_get(header.level_degree),
        .level_sizes_off = le64_get(header.level_sizes_off),
        .members_off = le64_get(header.members_off),
        .level_edges_off = le64_get(header.level_edges_off),
        .grid_scale = le32_get_float(header.grid_scale),
        .grid_zero = (int32_t)le32_get(header.grid_zero),
    };
    if (!grid_is_sound(&h)) h.grid_scale = 0, h.grid_zero = 0;
    if (h.built_rows == 0 || h.built_rows > h.rows) h.built_rows = h.rows;
    enum vdb_status status = check(&h, rows, len, file_off, err);
    if (status == VDB_OK) status = check_groups(&h, p, len, file_off, err);
    if (status == VDB_OK)
        status = take_levels(&h, p, len, le32_get(header.member_count), file_off, err);
    if (status == VDB_OK) *out = h;
    return status;
}

static enum vdb_status validate_pivots(const struct graph_header *h, const uint8_t *p,
                                       uint64_t file_off, struct vdb_error *err)
{
    for (uint32_t i = 0; i < h->pivot_count; i++) {
        uint64_t off = h->pivots_off + (uint64_t)i * 4;
        uint32_t pivot = le32_at(p + off);
        if (pivot >= h->rows)
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "pivot %" PRIu32 " is row %" PRIu32 " of %" PRIu32, i, pivot,
                                     h->rows);
    }
    return VDB_OK;
}

struct lists { /* of one level */
    uint32_t level, count, degree;
    uint64_t off;
};

/* seen[r] is 1 + the row that last had r as its neighbour, which finds repetitions in one pass. On
 * levels above 0 members stand for rows. */
static enum vdb_status validate_list(const struct lists *lists, const uint8_t *p, uint32_t row,
                                     uint32_t *seen, uint64_t file_off, struct vdb_error *err)
{
    uint32_t filled = 0; /* edges in front of the first empty place */
    for (uint32_t i = 0; i < lists->degree; i++) {
        uint64_t off = lists->off + ((uint64_t)row * lists->degree + i) * 4;
        uint32_t to = le32_at(p + off);
        if (to == VDB_NO_ROW) continue;
        const char *fault = NULL;
        if (to >= lists->count)
            fault = "which is not there";
        else if (to == row)
            fault = "itself";
        else if (seen[to] == row + 1)
            fault = "twice";
        else if (i > filled)
            fault = "behind an empty place";
        if (fault && lists->level)
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "member %" PRIu32 " leads on level %" PRIu32
                                     " to member %" PRIu32 ", %s",
                                     row, lists->level, to, fault);
        if (fault)
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "row %" PRIu32 " leads to row %" PRIu32 ", %s", row, to,
                                     fault);
        seen[to] = row + 1;
        filled++;
    }
    return VDB_OK;
}

static enum vdb_status validate_lists(const struct lists *lists, const uint8_t *p, uint32_t *seen,
                                      uint64_t file_off, struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    memset(seen, 0, lists->count * sizeof *seen);
    for (uint32_t row = 0; row < lists->count && status == VDB_OK; row++)
        status = validate_list(lists, p, row, seen, file_off, err);
    return status;
}

/* `seen` is all 0. */
static enum vdb_status validate_members(const struct graph_header *h, const uint8_t *p,
                                        uint32_t *seen, uint64_t file_off, struct vdb_error *err)
{
    for (uint32_t i = 0; i < members(h); i++) {
        uint64_t off = h->members_off + (uint64_t)i * 4;
        uint32_t row = le32_at(p + off);
        if (row >= h->rows || seen[row])
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "member %" PRIu32 " is row %" PRIu32 " of %" PRIu32 "%s", i,
                                     row, h->rows, row < h->rows ? ", as another is" : "");
        seen[row] = 1;
    }
    uint32_t pivot = le32_at(p + h->pivots_off);
    if (h->pivot_count != 1 || (members(h) && le32_at(p + h->members_off) != pivot))
        return error_set_corrupt(err, SEGMENT, file_off + h->pivots_off,
                                 "the levels are not entered by their first member, but by %" PRIu32
                                 " pivots, the first of them row %" PRIu32,
                                 h->pivot_count, pivot);
    return VDB_OK;
}

enum vdb_status graph_header_validate(const struct graph_header *header, const void *p,
                                      uint64_t file_off, struct vdb_error *err)
{
    if (header->rows == 0) return VDB_OK;
    enum vdb_status status = validate_pivots(header, p, file_off, err);
    if (status != VDB_OK) return status;
    uint32_t *seen = calloc(header->rows, sizeof *seen);
    if (!seen) return error_no_memory(err);
    if (header->level_count) status = validate_members(header, p, seen, file_off, err);
    for (uint32_t level = 0; status == VDB_OK && (level == 0 || level < header->level_count);
         level++) {
        struct lists lists = {0, header->rows, header->degree, header->edges_off};
        if (level)
            lists = (struct lists){level, header->level_sizes[level - 1], header->level_degree,
                                   graph_header_level_off(header, level)};
        status = validate_lists(&lists, p, seen, file_off, err);
    }
    free(seen);
    return status;
}

enum vdb_status graph_header_match(const struct graph_header *header,
                                   const struct code_header *codes, uint64_t file_off,
                                   struct vdb_error *err)
{
    if (!header->code_bytes ||
        (header->code_bytes == codes->codes.width && header->norm_bytes == codes->norms.width))
        return VDB_OK;
    return error_set_corrupt(
        err, SEGMENT, file_off + offsetof(struct disk_graph_header, code_bytes),
        "a pivot's code and norm have %" PRIu32 " and %" PRIu32 " bytes, those of rows %" PRIu32
        " and %" PRIu32,
        header->code_bytes, header->norm_bytes, codes->codes.width, codes->norms.width);
}

static bool is_copy(const uint8_t *copy, const struct plane *plane, uint32_t row,
                    const uint8_t *file)
{
    return memcmp(copy, file + plane->off + (uint64_t)row * plane->stride, plane->width) == 0;
}

enum vdb_status graph_header_validate_copies(const struct graph_header *header, const void *p,
                                             const struct code_header *codes, const uint8_t *file,
                                             uint64_t file_off, struct vdb_error *err)
{
    const uint8_t *segment = p;
    for (uint32_t i = 0; header->code_bytes && i < header->pivot_count; i++) {
        uint32_t row = le32_at(segment + header->pivots_off + (uint64_t)i * 4);
        uint64_t code_off = header->pivot_codes_off + (uint64_t)i * header->code_bytes,
                 norm_off = header->pivot_norms_off + (uint64_t)i * header->norm_bytes;
        if (row >= header->rows) continue; /* told of already */
        if (!is_copy(segment + code_off, &codes->codes, row, file))
            return error_set_corrupt(err, SEGMENT, file_off + code_off,
                                     "the code of pivot %" PRIu32 " is not that of row %" PRIu32, i,
                                     row);
        if (!is_copy(segment + norm_off, &codes->norms, row, file))
            return error_set_corrupt(err, SEGMENT, file_off + norm_off,
                                     "the norm of pivot %" PRIu32 " is not that of row %" PRIu32, i,
                                     row);
    }
    return VDB_OK;
}
