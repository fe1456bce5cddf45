/* graph_header.c: graph segments; implements format-spec/graph.md.
 *
 *     header | u32 a pivot | norms of pivots | codes of pivots | u32 times R a row
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/graph_header.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/range.h"

static const char SEGMENT[] = "graph";

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
    header->edges_off = end;
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
    };
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
    };
    enum vdb_status status = check(&h, rows, len, file_off, err);
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

/* seen[r] is 1 + the row that last had r as its neighbour, which finds repetitions in one pass. */
static enum vdb_status validate_row(const struct graph_header *h, const uint8_t *p, uint32_t row,
                                    uint32_t *seen, uint64_t file_off, struct vdb_error *err)
{
    uint32_t filled = 0; /* edges in front of the first empty place */
    for (uint32_t i = 0; i < h->degree; i++) {
        uint64_t off = h->edges_off + ((uint64_t)row * h->degree + i) * 4;
        uint32_t to = le32_at(p + off);
        if (to == VDB_NO_ROW) continue;
        const char *fault = NULL;
        if (to >= h->rows)
            fault = "which is not there";
        else if (to == row)
            fault = "itself";
        else if (seen[to] == row + 1)
            fault = "twice";
        else if (i > filled)
            fault = "behind an empty place";
        if (fault)
            return error_set_corrupt(err, SEGMENT, file_off + off,
                                     "row %" PRIu32 " leads to row %" PRIu32 ", %s", row, to,
                                     fault);
        seen[to] = row + 1;
        filled++;
    }
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
    for (uint32_t row = 0; row < header->rows && status == VDB_OK; row++)
        status = validate_row(header, p, row, seen, file_off, err);
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
