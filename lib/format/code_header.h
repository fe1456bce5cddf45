/* code_header.h: the header of a code segment, and the planes that it names
 * (format-spec/codes.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_CODE_HEADER_H
#define VDB_FORMAT_CODE_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "format/disk.h"
#include "vdb.h"

struct plane {
    uint64_t off;    /* of row 0, from the start of the file */
    uint32_t stride; /* bytes from row to row */
    uint32_t width;  /* bytes a row, at most the stride */
};

struct code_header {
    uint16_t kind;  /* DISK_CODE_SQ8, DISK_CODE_SQ4 */
    uint32_t flags; /* DISK_CODE_SIGNED, DISK_CODE_NORMALIZE, DISK_CODE_ROTATED */
    uint32_t rows;
    uint32_t dim;
    struct plane codes; /* width: code_width(kind, dim) */
    struct plane norms; /* width: code_norm_width(kind) */
    float scale;
    int32_t zero;
    float bias, error;
    uint64_t center_off; /* SQ4: of dim f32, from the start of the file; else 0 */
};

/* The code of the value 0 lies outside of 0 to 255 where all values are on one side of it; this far
 * at most, so that binary32 arithmetic on it is exact. */
#define CODE_ZERO_MAX 4194304

/* Bytes of a row's codes, a byte a dimension or half of one, up to a multiple of 64; and of what
 * goes with it. */
static inline uint32_t code_width(uint16_t kind, uint32_t dim)
{
    return ((kind == DISK_CODE_SQ4 ? (dim + 1) / 2 : dim) + 63) & ~(uint32_t)63;
}

static inline uint32_t code_norm_width(uint16_t kind)
{
    return kind == DISK_CODE_SQ4 ? 8 : 4;
}

void code_header_encode(const struct code_header *from, struct disk_code_header *to);

/* The segment is the len bytes at p, which lie at file_off of the file. What it lets through: the
 * rows and dim asked for, planes inside the file's file_len bytes, a scale that is finite and
 * above 0, a zero of -CODE_ZERO_MAX to CODE_ZERO_MAX + 255, a finite bias, an error that is finite
 * and not below 0. The center's values are not looked at. Errors: VDB_CORRUPT. */
enum vdb_status code_header_decode(const void *p, size_t len, uint32_t rows, uint32_t dim,
                                   uint64_t file_off, uint64_t file_len, struct code_header *out,
                                   struct vdb_error *err);

/* That each plane lies in one of the segments whose checksums are to cover it: in the code
 * segment, of len bytes at file_off, behind its header, or in the part's vector segment, of
 * vector_len bytes at vector_off; and the center in the code segment. Errors: VDB_CORRUPT. */
enum vdb_status code_header_check_planes(const struct code_header *header, uint64_t file_off,
                                         uint64_t len, uint64_t vector_off, uint64_t vector_len,
                                         struct vdb_error *err);

/* Every row: its norm is that of its codes (SQ4: its factors are finite and not below 0), and the
 * bytes behind them, but for a norm that lies there, are zero. `file` is the first byte of the file
 * that the header was decoded for. Errors: VDB_CORRUPT. */
enum vdb_status code_header_validate(const struct code_header *header, const uint8_t *file,
                                     struct vdb_error *err);

#endif
