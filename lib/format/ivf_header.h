/* ivf_header.h: ivf segments: the header, and views of its arrays and lists
 * (format-spec/ivf.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_IVF_HEADER_H
#define VDB_FORMAT_IVF_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/disk.h"
#include "vdb.h"

struct ivf_header {
    uint32_t rows;
    uint32_t dim; /* of the index; the segment has it as code_bytes alone */
    uint32_t list_count;
    uint32_t slot_count; /* places for rows, VDB_IVF_BLOCK a block */
    uint32_t code_count; /* 4-bit codes a slot, for sub_dim of the out_dim dimensions each */
    uint32_t sub_dim;    /* 1, 2 or 4 */
    uint32_t out_dim;    /* m: dimensions after the transform */
    uint32_t flags;      /* DISK_IVF_SPILLED, DISK_IVF_MATRIX */
    uint32_t code_bytes; /* of a row of the matrix, of a slot's 8-bit code */
    float scale;         /* of centroids and slot codes: value = scale * (code - zero) */
    int32_t zero;
    float unit_b, unit_f;    /* powers of two that b and f of the blocks are multiplied by */
    uint32_t survivors[3];   /* for k 1, 10, 100, not falling; all 0: not measured */
    uint32_t survivor_lists; /* with so many lists; 0, more than list_count: not known */
    float bias, error; /* of distances by 8-bit codes: how much too high, and their deviation */
    /* From the start of the segment: */
    uint64_t centroids_off;
    uint64_t centroid_norms_off;
    uint64_t lists_off;
    uint64_t slot_rows_off;
    uint64_t codebook_off;
    uint64_t matrix_off, matrix_scales_off; /* 0 without DISK_IVF_MATRIX */
    uint64_t blocks_off;
    uint64_t slot_codes_off;   /* 0: the stored vectors are their own codes */
    uint64_t norms_off;        /* of slot codes, or without these of the rows */
    uint32_t slot_code_stride; /* 0 where slot_codes_off is */
    uint32_t norm_stride;
};

/* Groups of 8 codes in a block, and the bytes of a block: b and f of its slots, then the groups. */
static inline uint32_t ivf_groups(uint32_t code_count)
{
    return code_count / 8 + (code_count % 8 != 0);
}

static inline uint32_t ivf_block_bytes(uint32_t code_count)
{
    return 64 + 64 * ivf_groups(code_count);
}

static inline uint32_t ivf_blocks(uint32_t rows)
{
    return rows / VDB_IVF_BLOCK + (rows % VDB_IVF_BLOCK != 0);
}

/* Centroids stand in blocks of VDB_IVF_BLOCK, by fours of dimensions. */
static inline uint32_t ivf_centroid_bytes(uint32_t dim)
{
    return 64 * (dim / 4 + (dim % 4 != 0));
}

/* Where dimension i of a centroid stands, from centroids_off; list and i may be beyond what there
 * is, inside the last block and the last four. */
static inline size_t ivf_centroid_at(uint32_t dim, uint32_t list, uint32_t i)
{
    return (size_t)(list / VDB_IVF_BLOCK) * ivf_centroid_bytes(dim) + (size_t)(i / 4) * 64 +
           list % VDB_IVF_BLOCK * 4 + i % 4;
}

/* As a writer lays it out: from list_rows[list_count], dim, list_count, code_count, sub_dim,
 * out_dim and flags (and without slot codes rows) sets slot_count, code_bytes, offsets and strides,
 * and fills lists[list_count]; with slot codes, or the norms alone. Returns the length of the
 * segment, or 0 where its slots or pages would not fit 32 bits. */
uint64_t ivf_header_layout(struct ivf_header *header, const uint32_t *list_rows, bool slot_codes,
                           struct disk_ivf_list *lists);

void ivf_header_encode(const struct ivf_header *from, struct disk_ivf_header *to);

/* The segment is the len bytes at p, which lie at file_off of the file. What it lets through: the
 * rows asked for, 1 to `rows` lists, codes that cover the out_dim dimensions, which are 1 to dim
 * with a matrix and else dim, a scale that is finite and above 0, a zero of -CODE_ZERO_MAX to
 * CODE_ZERO_MAX + 255, units that are powers of two, a bias and an error that are finite, the
 * latter not below 0, survivors that do not fall, all arrays inside the segment behind the header
 * and aligned in it, lists that take the slots one after another, whose blocks lie inside the
 * segment in that order, and whose rows are as many as the flags let them be. Takes time by lists,
 * not by rows: the numbers in the other arrays are not looked at. Errors: VDB_CORRUPT. */
enum vdb_status ivf_header_decode(const void *p, size_t len, uint32_t rows, uint32_t dim,
                                  uint64_t file_off, struct ivf_header *out, struct vdb_error *err);

/* That slot codes are missing only where vectors of this type are, under this metric, their own
 * codes, and that the grid is theirs then. Errors: VDB_CORRUPT. */
enum vdb_status ivf_header_match(const struct ivf_header *header, enum vdb_type type,
                                 enum vdb_metric metric, uint64_t file_off, struct vdb_error *err);

/* The arrays of a decoded segment in memory. It holds no memory; the segment must outlive it. */
struct ivf_view {
    struct ivf_header h;
    uint32_t groups;          /* of 8 codes in a block */
    uint32_t block_bytes;     /* 64 + 64 * groups */
    const uint8_t *centroids; /* in blocks, as kernels->blocks_u8i8 reads them */
    const int32_t *centroid_norms;
    const struct disk_ivf_list *lists;
    const uint32_t *slot_rows; /* VDB_NO_ROW, or a number that is to be held against h.rows */
    const float *codebook;
    const uint8_t *matrix; /* i8; NULL without one, as the next */
    const float *matrix_scales;
    const uint8_t *blocks;
    const uint8_t *slot_codes; /* NULL without; h.slot_code_stride from slot to slot */
    /* i32 a slot code, or without these a row; aligned to 4; h.norm_stride from one to the next */
    const uint8_t *norms;
};

/* `segment` is aligned to 64 bytes, as segments are in a file. */
void ivf_view_init(struct ivf_view *view, const struct ivf_header *header, const void *segment);

struct ivf_list {
    const uint8_t *blocks; /* block_count times view->block_bytes; NULL where it is empty */
    uint32_t block_count;
    uint32_t row_count;
    uint32_t first_slot;
};

/* `list` is below h.list_count. */
static inline struct ivf_list ivf_view_list(const struct ivf_view *view, uint32_t list)
{
    const struct disk_ivf_list *entry = &view->lists[list];
    uint32_t rows = le32_get(entry->row_count);
    uint64_t off = (uint64_t)VDB_IVF_PAGE * le32_get(entry->page);
    return (struct ivf_list){rows ? view->blocks + off : NULL, ivf_blocks(rows), rows,
                             VDB_IVF_BLOCK * le32_get(entry->first_block)};
}

/* Every slot and every number, in time by rows: that each row stands in one list, or with
 * DISK_IVF_SPILLED in up to two; that slots behind a list's rows are empty, and the b and f of
 * others finite; codebook and scales of the matrix finite; norms those of centroids and slot codes;
 * zeros behind 8-bit codes, rows of the matrix and 4-bit codes, and where centroids are not.
 * Errors: VDB_CORRUPT, VDB_NO_MEMORY.
 */
enum vdb_status ivf_header_validate(const struct ivf_header *header, const void *p,
                                    uint64_t file_off, struct vdb_error *err);

/* Without slot codes: that the norms are those of the stored vectors, `stride` bytes from row to
 * row, whose codes are their bytes ^ flip. Errors: VDB_CORRUPT. */
enum vdb_status ivf_header_validate_norms(const struct ivf_header *header, const void *p,
                                          const uint8_t *vectors, size_t stride, uint8_t flip,
                                          uint64_t file_off, struct vdb_error *err);

#endif
