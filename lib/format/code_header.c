/* code_header.c: the header of a code segment; implements format-spec/codes.md.
 *
 * A header that was decoded is safe to compute with: row * stride of any row of a plane stays in
 * the file.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/code_header.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "format/range.h"

static const char SEGMENT[] = "code";

#define FLAGS_SQ8 (DISK_CODE_SIGNED | DISK_CODE_NORMALIZE)
#define FLAGS_SQ4 (DISK_CODE_ROTATED | DISK_CODE_NORMALIZE)

static struct disk_plane plane_put(struct plane from)
{
    return (struct disk_plane){le64_put(from.off), le32_put(from.stride), le32_put(from.width)};
}

static struct plane plane_get(struct disk_plane from)
{
    return (struct plane){le64_get(from.off), le32_get(from.stride), le32_get(from.width)};
}

void code_header_encode(const struct code_header *from, struct disk_code_header *to)
{
    *to = (struct disk_code_header){
        .kind = le16_put(from->kind),
        .flags = le32_put(from->flags),
        .row_count = le32_put(from->rows),
        .dim = le32_put(from->dim),
        .codes = plane_put(from->codes),
        .norms = plane_put(from->norms),
        .scale = le32_put_float(from->scale),
        .zero = le32_put((uint32_t)from->zero),
        .bias = le32_put_float(from->bias),
        .error = le32_put_float(from->error),
        .center_off = le64_put(from->center_off),
    };
}

/* Bytes from the plane's first to the end of its last row: below 2^64, as rows and stride are
 * below 2^32. */
static uint64_t plane_len(const struct plane *plane, uint32_t rows)
{
    return rows ? (uint64_t)(rows - 1) * plane->stride + plane->width : 0;
}

static enum vdb_status check_plane(const struct plane *plane, const char *name, uint32_t width,
                                   uint32_t rows, uint64_t file_len, uint64_t at,
                                   struct vdb_error *err)
{
    if (plane->width != width || plane->stride < width)
        return error_set_corrupt(err, SEGMENT, at,
                                 "the %s have %" PRIu32 " bytes a row in strides of %" PRIu32, name,
                                 plane->width, plane->stride);
    if (!range_inside(plane->off, plane_len(plane, rows), file_len))
        return error_set_corrupt(err, SEGMENT, at, "the %s at %" PRIu64 " do not lie in the file",
                                 name, plane->off);
    return VDB_OK;
}

static enum vdb_status check_values(const struct code_header *h, uint32_t rows, uint32_t dim,
                                    uint64_t file_off, struct vdb_error *err)
{
    if (h->kind != DISK_CODE_SQ8 && h->kind != DISK_CODE_SQ4)
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, kind),
                                 "there is no kind %d of code", h->kind);
    if (h->flags & ~(h->kind == DISK_CODE_SQ8 ? FLAGS_SQ8 : FLAGS_SQ4))
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, flags),
                                 "unknown flags 0x%" PRIx32, h->flags);
    if (h->rows != rows)
        return error_set_corrupt(err, SEGMENT,
                                 file_off + offsetof(struct disk_code_header, row_count),
                                 "it holds %" PRIu32 " rows, not %" PRIu32, h->rows, rows);
    if (h->dim != dim)
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, dim),
                                 "it has %" PRIu32 " dimensions, not %" PRIu32, h->dim, dim);
    if (!isfinite(h->scale) || h->scale <= 0)
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, scale),
                                 "the scale is no positive number");
    if (h->zero < -CODE_ZERO_MAX || h->zero > CODE_ZERO_MAX + 255)
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, zero),
                                 "the zero, %" PRId32 ", is too far from the codes", h->zero);
    if (!isfinite(h->bias))
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, bias),
                                 "the bias is no finite number");
    if (!isfinite(h->error) || h->error < 0)
        return error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, error),
                                 "the error is no finite number from 0 on");
    return VDB_OK;
}

enum vdb_status code_header_decode(const void *p, size_t len, uint32_t rows, uint32_t dim,
                                   uint64_t file_off, uint64_t file_len, struct code_header *out,
                                   struct vdb_error *err)
{
    struct disk_code_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    struct code_header h = {
        .kind = le16_get(header.kind),
        .flags = le32_get(header.flags),
        .rows = le32_get(header.row_count),
        .dim = le32_get(header.dim),
        .codes = plane_get(header.codes),
        .norms = plane_get(header.norms),
        .scale = le32_get_float(header.scale),
        .zero = (int32_t)le32_get(header.zero),
        .bias = le32_get_float(header.bias),
        .error = le32_get_float(header.error),
        .center_off = le64_get(header.center_off),
    };
    enum vdb_status status = check_values(&h, rows, dim, file_off, err);
    if (status == VDB_OK)
        status = check_plane(&h.codes, "codes", code_width(h.kind, dim), rows, file_len,
                             file_off + offsetof(struct disk_code_header, codes), err);
    if (status == VDB_OK && (h.codes.off | h.codes.stride) % VDB_ARRAY_ALIGN)
        status =
            error_set_corrupt(err, SEGMENT, file_off + offsetof(struct disk_code_header, codes),
                              "the codes at %" PRIu64 ", every %" PRIu32 " bytes, are not aligned",
                              h.codes.off, h.codes.stride);
    if (status == VDB_OK)
        status = check_plane(&h.norms, "norms", code_norm_width(h.kind), rows, file_len,
                             file_off + offsetof(struct disk_code_header, norms), err);
    uint64_t center_len = h.kind == DISK_CODE_SQ4 ? (uint64_t)dim * 4 : 0;
    if (status == VDB_OK &&
        (h.center_off % VDB_ARRAY_ALIGN || (h.center_off == 0) != (center_len == 0) ||
         !range_inside(h.center_off, center_len, file_len)))
        status = error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_code_header, center_off),
            "the center at %" PRIu64 " does not lie in the file", h.center_off);
    if (status == VDB_OK) *out = h;
    return status;
}

/* The plane lies in the `len` bytes at `off`. */
static bool plane_inside(const struct plane *plane, uint32_t rows, uint64_t off, uint64_t len)
{
    return plane->off >= off && range_inside(plane->off - off, plane_len(plane, rows), len);
}

enum vdb_status code_header_check_planes(const struct code_header *header, uint64_t file_off,
                                         uint64_t len, uint64_t vector_off, uint64_t vector_len,
                                         struct vdb_error *err)
{
    const struct plane *planes[] = {&header->codes, &header->norms};
    uint64_t skip = sizeof(struct disk_code_header);
    for (size_t i = 0; i < 2; i++) {
        bool own =
            len >= skip && plane_inside(planes[i], header->rows, file_off + skip, len - skip);
        if (!own && !plane_inside(planes[i], header->rows, vector_off, vector_len))
            return error_set_corrupt(err, SEGMENT, file_off,
                                     "the plane at %" PRIu64 " lies in neither the code nor the "
                                     "vector segment of its part",
                                     planes[i]->off);
    }
    uint64_t center_len = (uint64_t)header->dim * 4;
    if (header->center_off && (header->center_off < file_off + skip ||
                               !range_inside(header->center_off - file_off, center_len, len)))
        return error_set_corrupt(
            err, SEGMENT, file_off + offsetof(struct disk_code_header, center_off),
            "the center at %" PRIu64 " does not lie in the code segment", header->center_off);
    return VDB_OK;
}

/* sum c * (c - 256) over the dim codes: at least -16384 * 65535, so it fits. */
static int32_t norm_of(const uint8_t *codes, uint32_t dim, uint8_t flip)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        int32_t c = codes[i] ^ flip;
        sum += c * (c - 256);
    }
    return sum;
}

/* That of SQ8 is what its codes make it; factors of SQ4 are any numbers from 0 on. */
static bool norm_is_right(const struct code_header *h, const uint8_t *codes, const uint8_t *norm)
{
    if (h->kind == DISK_CODE_SQ8)
        return (int32_t)le32_at(norm) ==
               norm_of(codes, h->dim, h->flags & DISK_CODE_SIGNED ? 0x80u : 0u);
    for (int i = 0; i < 2; i++) {
        le32 stored;
        memcpy(&stored, norm + 4 * i, sizeof stored);
        float factor = le32_get_float(stored);
        if (!isfinite(factor) || factor < 0) return false;
    }
    return true;
}

enum vdb_status code_header_validate(const struct code_header *header, const uint8_t *file,
                                     struct vdb_error *err)
{
    uint32_t used = header->kind == DISK_CODE_SQ4 ? (header->dim + 1) / 2 : header->dim;
    for (uint32_t row = 0; row < header->rows; row++) {
        uint64_t codes_at = header->codes.off + (uint64_t)row * header->codes.stride;
        uint64_t norm_at = header->norms.off + (uint64_t)row * header->norms.stride;
        const uint8_t *codes = file + codes_at;
        if (!norm_is_right(header, codes, file + norm_at))
            return error_set_corrupt(err, SEGMENT, norm_at,
                                     "the norm of row %" PRIu32 " is not that of its codes", row);
        for (uint32_t i = used; i < header->codes.width; i++)
            if (codes[i] != 0 && codes_at + i - norm_at >= header->norms.width)
                return error_set_corrupt(err, SEGMENT, codes_at + i,
                                         "bytes behind the codes of row %" PRIu32 " are not zero",
                                         row);
    }
    return VDB_OK;
}
