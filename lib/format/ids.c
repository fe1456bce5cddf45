/* ids.c: id segments; implements format-spec/ids.md.
 *
 *     header | u64 base a group | u16 end a row | bytes
 *
 * A row costs two bytes beside its id: ends count from the base of the row's group of 64, whose
 * ids take at most 64 * 1023 bytes. A row's id begins where that of the row before it ends, or at
 * the base for the first of a group.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/ids.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "format/range.h"

static const char SEGMENT[] = "id";

_Static_assert(VDB_ID_MAX <= UINT16_MAX / VDB_ID_GROUP, "a group's bytes must fit its u16 ends");

static uint64_t groups(uint32_t rows)
{
    return ((uint64_t)rows + VDB_ID_GROUP - 1) / VDB_ID_GROUP;
}

/* ---- building ------------------------------------------------------------------------------ */

enum vdb_status ids_builder_add(struct ids_builder *b, const void *id, size_t len,
                                struct vdb_error *err)
{
    if (len == 0 || len > VDB_ID_MAX)
        return error_set(err, VDB_INVALID, "an id has %zu bytes, not 1 to %d", len, VDB_ID_MAX);
    if (b->rows == VDB_NO_ROW) return error_set(err, VDB_LIMIT, "too many rows");
    if (buf_reserve(&b->bases, sizeof(uint64_t)) != 0 ||
        buf_reserve(&b->ends, sizeof(uint16_t)) != 0 || buf_append(&b->bytes, id, len) != 0)
        return error_no_memory(err);
    if (b->rows % VDB_ID_GROUP == 0) {
        uint64_t base = b->bytes.len - len;
        (void)buf_append(&b->bases, &base, sizeof base); /* reserved above */
    }
    uint64_t base = le64_at(b->bases.data + b->bases.len - sizeof base);
    uint16_t end = (uint16_t)(b->bytes.len - base);
    (void)buf_append(&b->ends, &end, sizeof end);
    b->rows++;
    return VDB_OK;
}

void ids_builder_get(const struct ids_builder *b, uint32_t row, const char **id, size_t *len)
{
    uint64_t base = le64_at(b->bases.data + (size_t)row / VDB_ID_GROUP * sizeof base);
    const uint8_t *ends = b->ends.data + (size_t)row * sizeof(uint16_t);
    uint16_t begin = row % VDB_ID_GROUP ? le16_at(ends - sizeof begin) : 0;
    *id = (const char *)b->bytes.data + base + begin;
    *len = (size_t)(le16_at(ends) - begin);
}

enum vdb_status ids_builder_finish(const struct ids_builder *b, struct buf *to,
                                   struct vdb_error *err)
{
    uint64_t bases_off = sizeof(struct disk_id_header);
    uint64_t ends_off = bases_off + b->bases.len;
    uint64_t bytes_off = ends_off + b->ends.len;
    struct disk_id_header header = {
        .row_count = le32_put(b->rows),
        .bases_off = le64_put(bases_off),
        .ends_off = le64_put(ends_off),
        .bytes_off = le64_put(bytes_off),
        .bytes_len = le64_put(b->bytes.len),
    };
    if (b->bytes.len > SIZE_MAX - bytes_off || buf_reserve(to, bytes_off + b->bytes.len) != 0)
        return error_no_memory(err);
    (void)buf_append(to, &header, sizeof header); /* there is room for all four */
    (void)buf_append(to, b->bases.data, b->bases.len);
    (void)buf_append(to, b->ends.data, b->ends.len);
    (void)buf_append(to, b->bytes.data, b->bytes.len);
    return VDB_OK;
}

void ids_builder_release(struct ids_builder *b)
{
    buf_release(&b->bases);
    buf_release(&b->ends);
    buf_release(&b->bytes);
    b->rows = 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

enum vdb_status ids_view_init(struct ids_view *view, const void *p, size_t len, uint32_t rows,
                              uint64_t file_off, struct vdb_error *err)
{
    struct disk_id_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    uint32_t row_count = le32_get(header.row_count);
    uint64_t bases_off = le64_get(header.bases_off);
    uint64_t ends_off = le64_get(header.ends_off);
    uint64_t bytes_off = le64_get(header.bytes_off);
    uint64_t bytes_len = le64_get(header.bytes_len);
    if (row_count != rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_header, row_count),
                                 "it holds %" PRIu32 " rows, not %" PRIu32, row_count, rows);
    if (!range_array_inside(bases_off, groups(rows), 8, 8, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_header, bases_off),
                                 "the bases at %" PRIu64 " do not lie in it", bases_off);
    if (!range_array_inside(ends_off, rows, 2, 2, len))
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_id_header, ends_off),
                                 "the ends at %" PRIu64 " do not lie in it", ends_off);
    if (!range_inside(bytes_off, bytes_len, len))
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_id_header, bytes_off),
                                 "the bytes at %" PRIu64 " do not lie in it", bytes_off);
    const uint8_t *start = p;
    *view = (struct ids_view){
        .rows = rows,
        .bases = start + bases_off,
        .ends = start + ends_off,
        .bytes = start + bytes_off,
        .bytes_len = bytes_len,
        .ends_at = file_off + ends_off,
        .bytes_at = file_off + bytes_off,
    };
    return VDB_OK;
}

/* Where the id of a row (below view->rows) lies in the bytes. */
static enum vdb_status locate(const struct ids_view *view, uint32_t row, uint64_t *begin,
                              size_t *len, struct vdb_error *err)
{
    uint64_t base = le64_at(view->bases + (size_t)(row / VDB_ID_GROUP) * 8);
    const uint8_t *end_p = view->ends + (size_t)row * 2;
    uint16_t start = row % VDB_ID_GROUP ? le16_at(end_p - 2) : 0;
    uint16_t end = le16_at(end_p);
    if (end <= start || end - start > VDB_ID_MAX || !range_inside(base, end, view->bytes_len))
        return error_set_corrupt(err, SEGMENT, view->ends_at + (uint64_t)row * 2,
                                 "the id of row %" PRIu32 " has impossible bounds", row);
    *begin = base + start;
    *len = (size_t)(end - start);
    return VDB_OK;
}

enum vdb_status ids_get(const struct ids_view *view, uint32_t row, const char **id, size_t *len,
                        struct vdb_error *err)
{
    if (row >= view->rows)
        return error_set(err, VDB_NOT_FOUND, "row %" PRIu32 " is not in an id segment of %" PRIu32,
                         row, view->rows);
    uint64_t begin = 0;
    size_t n = 0;
    enum vdb_status status = locate(view, row, &begin, &n, err);
    if (status != VDB_OK) return status;
    if (!utf8_id_valid(view->bytes + begin, n))
        return error_set_corrupt(err, SEGMENT, view->bytes_at + begin,
                                 "the id of row %" PRIu32 " is not valid text", row);
    *id = (const char *)view->bytes + begin;
    *len = n;
    return VDB_OK;
}

enum vdb_status ids_validate(const struct ids_view *view, struct vdb_error *err)
{
    const uint8_t *expected = view->bytes;
    for (uint32_t row = 0; row < view->rows; row++) {
        const char *id;
        size_t len;
        enum vdb_status status = ids_get(view, row, &id, &len, err);
        if (status != VDB_OK) return status;
        if ((const uint8_t *)id != expected)
            return error_set_corrupt(err, SEGMENT, view->ends_at + (uint64_t)row * 2,
                                     "the id of row %" PRIu32 " does not follow on", row);
        expected += len;
    }
    if (expected != view->bytes + view->bytes_len)
        return error_set_corrupt(err, SEGMENT, view->bytes_at + (uint64_t)(expected - view->bytes),
                                 "bytes that belong to no id");
    return VDB_OK;
}
