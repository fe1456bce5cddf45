/* ivf_header.c: ivf segments; implements format-spec/ivf.md.
 *
 *     header | centroids | their norms | lists | codebook | matrix | its scales | row a slot |
 *     blocks of 4-bit codes, list by list | 8-bit code a slot | norm a slot, or a row
 *
 * What each query reads of all lists stands in front.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "format/ivf_header.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/code_header.h"
#include "format/range.h"

static const char SEGMENT[] = "ivf";

#define FIELD(field) offsetof(struct disk_ivf_header, field)
#define FLAGS        (DISK_IVF_SPILLED | DISK_IVF_MATRIX)
#define F16_INFINITY 0x7c00

/* ---- layout and encoding ------------------------------------------------------------------- */

static uint64_t codebook_entry(const struct ivf_header *h)
{
    return (uint64_t)16 * h->sub_dim * sizeof(float);
}

/* Fills in the lists; returns the bytes from blocks_off to the end of the last block, or
 * UINT64_MAX. */
static uint64_t lay_out_lists(struct ivf_header *h, const uint32_t *list_rows,
                              struct disk_ivf_list *lists)
{
    uint64_t block = 0, page = 0, end = 0;
    for (uint32_t i = 0; i < h->list_count; i++) {
        uint32_t blocks = ivf_blocks(list_rows[i]);
        lists[i] = (struct disk_ivf_list){.page = le32_put((uint32_t)page),
                                          .first_block = le32_put((uint32_t)block),
                                          .row_count = le32_put(list_rows[i])};
        if (blocks) end = page * VDB_IVF_PAGE + (uint64_t)blocks * ivf_block_bytes(h->code_count);
        block += blocks;
        page = range_align(end, VDB_IVF_PAGE) / VDB_IVF_PAGE;
        if (block > UINT32_MAX / VDB_IVF_BLOCK || page > UINT32_MAX) return UINT64_MAX;
    }
    h->slot_count = (uint32_t)block * VDB_IVF_BLOCK;
    return end;
}

/* Vectors that are their own codes are measured by row, and slots of the same row share its norm.
 */
static uint32_t norm_count(const struct ivf_header *h)
{
    return h->slot_codes_off ? h->slot_count : h->rows;
}

/* The array begins at *end, which goes on behind it. */
static uint64_t place(uint64_t *end, uint64_t count, uint64_t size)
{
    uint64_t off = *end;
    *end = range_align(off + count * size, VDB_ARRAY_ALIGN);
    return off;
}

uint64_t ivf_header_layout(struct ivf_header *h, const uint32_t *list_rows, bool slot_codes,
                           struct disk_ivf_list *lists)
{
    uint64_t blocks = lay_out_lists(h, list_rows, lists);
    if (blocks == UINT64_MAX) return 0;
    bool matrix = h->flags & DISK_IVF_MATRIX;
    uint64_t end = range_align(sizeof(struct disk_ivf_header), VDB_ARRAY_ALIGN);
    h->code_bytes = code_width(DISK_CODE_SQ8, h->dim);
    uint32_t centroid_blocks = ivf_blocks(h->list_count);
    h->centroids_off = place(&end, centroid_blocks, ivf_centroid_bytes(h->dim));
    h->centroid_norms_off = place(&end, centroid_blocks, 4 * VDB_IVF_BLOCK);
    h->lists_off = place(&end, h->list_count, sizeof *lists);
    h->codebook_off = place(&end, h->code_count, codebook_entry(h));
    h->matrix_off = matrix ? place(&end, h->out_dim, h->code_bytes) : 0;
    h->matrix_scales_off = matrix ? place(&end, h->out_dim, 4) : 0;
    h->slot_rows_off = place(&end, h->slot_count, 4);
    h->blocks_off = end = range_align(end, VDB_IVF_PAGE);
    end = range_align(end + blocks, VDB_ARRAY_ALIGN);
    h->slot_code_stride = slot_codes ? h->code_bytes : 0;
    h->slot_codes_off = slot_codes ? place(&end, h->slot_count, h->code_bytes) : 0;
    if (slot_codes && h->code_bytes - h->dim >= 4) { /* room for a norm behind each code */
        h->norms_off = h->slot_codes_off + h->code_bytes - 4;
        h->norm_stride = h->code_bytes;
        return end;
    }
    h->norms_off = end;
    h->norm_stride = 4;
    return end + (uint64_t)norm_count(h) * 4;
}

void ivf_header_encode(const struct ivf_header *from, struct disk_ivf_header *to)
{
    *to = (struct disk_ivf_header){
        .row_count = le32_put(from->rows),
        .list_count = le32_put(from->list_count),
        .slot_count = le32_put(from->slot_count),
        .code_count = le32_put(from->code_count),
        .sub_dim = le32_put(from->sub_dim),
        .out_dim = le32_put(from->out_dim),
        .flags = le32_put(from->flags),
        .code_bytes = le32_put(from->code_bytes),
        .scale = le32_put_float(from->scale),
        .zero = le32_put((uint32_t)from->zero),
        .unit_b = le32_put_float(from->unit_b),
        .unit_f = le32_put_float(from->unit_f),
        .survivor_lists = le32_put(from->survivor_lists),
        .centroids_off = le64_put(from->centroids_off),
        .centroid_norms_off = le64_put(from->centroid_norms_off),
        .lists_off = le64_put(from->lists_off),
        .slot_rows_off = le64_put(from->slot_rows_off),
        .codebook_off = le64_put(from->codebook_off),
        .matrix_off = le64_put(from->matrix_off),
        .matrix_scales_off = le64_put(from->matrix_scales_off),
        .blocks_off = le64_put(from->blocks_off),
        .slot_codes_off = le64_put(from->slot_codes_off),
        .norms_off = le64_put(from->norms_off),
        .slot_code_stride = le32_put(from->slot_code_stride),
        .norm_stride = le32_put(from->norm_stride),
        .bias = le32_put_float(from->bias),
        .error = le32_put_float(from->error),
    };
    for (int i = 0; i < 3; i++) to->survivors[i] = le32_put(from->survivors[i]);
}

/* ---- decoding ------------------------------------------------------------------------------ */

static enum vdb_status check_counts(const struct ivf_header *h, uint32_t rows, uint64_t file_off,
                                    struct vdb_error *err)
{
    if (h->rows != rows)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(row_count),
                                 "it holds %" PRIu32 " rows, not %" PRIu32, h->rows, rows);
    if (h->list_count == 0 || h->list_count > rows)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(list_count),
                                 "%" PRIu32 " lists of %" PRIu32 " rows", h->list_count, rows);
    if (h->flags & ~FLAGS)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(flags), "unknown flags 0x%" PRIx32,
                                 h->flags);
    if (h->sub_dim != 1 && h->sub_dim != 2 && h->sub_dim != 4)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(sub_dim),
                                 "a code is for %" PRIu32 " dimensions", h->sub_dim);
    bool matrix = h->flags & DISK_IVF_MATRIX;
    if (h->out_dim == 0 || h->out_dim > h->dim || (!matrix && h->out_dim != h->dim))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(out_dim),
                                 "codes are of %" PRIu32 " of %" PRIu32
                                 " dimensions, with%s matrix",
                                 h->out_dim, h->dim, matrix ? " a" : "out");
    if (h->code_count != (h->out_dim + h->sub_dim - 1) / h->sub_dim)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(code_count),
                                 "%" PRIu32 " codes, each of %" PRIu32 " of %" PRIu32 " dimensions",
                                 h->code_count, h->sub_dim, h->out_dim);
    if (h->code_bytes != code_width(DISK_CODE_SQ8, h->dim))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(code_bytes),
                                 "a centroid of %" PRIu32 " dimensions has %" PRIu32 " bytes",
                                 h->dim, h->code_bytes);
    return VDB_OK;
}

static bool is_power_of_two(float x)
{
    int exponent;
    return isfinite(x) && frexpf(x, &exponent) == 0.5F;
}

static enum vdb_status check_values(const struct ivf_header *h, uint64_t file_off,
                                    struct vdb_error *err)
{
    if (!isfinite(h->scale) || h->scale <= 0)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(scale),
                                 "the scale is no positive number");
    if (h->zero < -CODE_ZERO_MAX || h->zero > CODE_ZERO_MAX + 255)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(zero),
                                 "the zero, %" PRId32 ", is too far from the codes", h->zero);
    if (!is_power_of_two(h->unit_b))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(unit_b),
                                 "the unit of b is no power of two");
    if (!is_power_of_two(h->unit_f))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(unit_f),
                                 "the unit of f is no power of two");
    if (!isfinite(h->bias))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(bias), "the bias is not finite");
    if (!isfinite(h->error) || h->error < 0)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(error),
                                 "the error is no number from 0 up");
    if (h->survivors[0] > h->survivors[1] || h->survivors[1] > h->survivors[2])
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(survivors),
                                 "of %" PRIu32 ", %" PRIu32 " and %" PRIu32
                                 " survivors for 1, 10 and 100 rows, fewer are for more",
                                 h->survivors[0], h->survivors[1], h->survivors[2]);
    return VDB_OK;
}

struct array {
    const char *name;
    size_t field;
    uint64_t off, count, size; /* count 0: there is none */
};

static enum vdb_status check_arrays(const struct ivf_header *h, size_t len, uint64_t file_off,
                                    struct vdb_error *err)
{
    uint32_t matrix = h->flags & DISK_IVF_MATRIX ? h->out_dim : 0;
    if (h->slot_code_stride && (h->slot_code_stride < h->code_bytes || h->slot_code_stride % 64))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(slot_code_stride),
                                 "slot codes of %" PRIu32 " bytes in strides of %" PRIu32,
                                 h->code_bytes, h->slot_code_stride);
    const struct array arrays[] = {
        {"centroids", FIELD(centroids_off), h->centroids_off, ivf_blocks(h->list_count),
         ivf_centroid_bytes(h->dim)},
        {"norms of centroids", FIELD(centroid_norms_off), h->centroid_norms_off,
         ivf_blocks(h->list_count), 4 * VDB_IVF_BLOCK},
        {"lists", FIELD(lists_off), h->lists_off, h->list_count, sizeof(struct disk_ivf_list)},
        {"rows of slots", FIELD(slot_rows_off), h->slot_rows_off, h->slot_count, 4},
        {"codebook", FIELD(codebook_off), h->codebook_off, h->code_count, codebook_entry(h)},
        {"matrix", FIELD(matrix_off), h->matrix_off, matrix, h->code_bytes},
        {"scales of the matrix", FIELD(matrix_scales_off), h->matrix_scales_off, matrix, 4},
        {"slot codes", FIELD(slot_codes_off), h->slot_codes_off,
         h->slot_code_stride ? h->slot_count : 0, h->slot_code_stride},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        const struct array *a = &arrays[i];
        if (a->count == 0 && a->off != 0)
            return error_set_corrupt(err, SEGMENT, file_off + a->field,
                                     "there is to be no array of %s, and it lies at %" PRIu64,
                                     a->name, a->off);
        if (a->count && (a->off < sizeof(struct disk_ivf_header) ||
                         !range_array_inside(a->off, a->count, a->size, VDB_ARRAY_ALIGN, len)))
            return error_set_corrupt(err, SEGMENT, file_off + a->field,
                                     "the array of %s at %" PRIu64 " does not lie in it", a->name,
                                     a->off);
    }
    return VDB_OK;
}

/* Norms may stand between slot codes, so they have a stride. There is one at least. */
static enum vdb_status check_norms(const struct ivf_header *h, size_t len, uint64_t file_off,
                                   struct vdb_error *err)
{
    if (h->norm_stride < 4 || h->norm_stride % 4)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(norm_stride),
                                 "norms in strides of %" PRIu32, h->norm_stride);
    uint64_t bytes = (uint64_t)(norm_count(h) - 1) * h->norm_stride + 4;
    if (h->norms_off < sizeof(struct disk_ivf_header) || h->norms_off % 4 ||
        !range_inside(h->norms_off, bytes, len))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(norms_off),
                                 "the norms at %" PRIu64 " do not lie in it", h->norms_off);
    uint64_t behind = h->norms_off - h->slot_codes_off; /* where it lies in a slot's code */
    if (h->slot_code_stride && behind < h->slot_code_stride &&
        (behind < h->dim || h->norm_stride != h->slot_code_stride))
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(norms_off),
                                 "the norms at %" PRIu64 " overlap the codes at %" PRIu64,
                                 h->norms_off, h->slot_codes_off);
    return VDB_OK;
}

static enum vdb_status check_lists(const struct ivf_header *h, const uint8_t *p, size_t len,
                                   uint64_t file_off, struct vdb_error *err)
{
    if (h->blocks_off < sizeof(struct disk_ivf_header) || h->blocks_off % VDB_IVF_PAGE ||
        h->blocks_off > len)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(blocks_off),
                                 "the blocks at %" PRIu64 " do not lie in it", h->blocks_off);
    uint64_t total = 0, block = 0, next = 0; /* next: the first page behind the lists so far */
    for (uint32_t i = 0; i < h->list_count; i++) {
        uint64_t at = h->lists_off + (uint64_t)i * sizeof(struct disk_ivf_list);
        struct disk_ivf_list list;
        memcpy(&list, p + at, sizeof list);
        uint32_t page = le32_get(list.page), rows = le32_get(list.row_count);
        if (le32_get(list.first_block) != block)
            return error_set_corrupt(
                err, SEGMENT, file_off + at + offsetof(struct disk_ivf_list, first_block),
                "list %" PRIu32 " takes slots from block %" PRIu32 " on, not %" PRIu64, i,
                le32_get(list.first_block), block);
        uint64_t bytes = (uint64_t)ivf_blocks(rows) * ivf_block_bytes(h->code_count);
        uint64_t off = h->blocks_off + (uint64_t)page * VDB_IVF_PAGE;
        if (rows && (page < next || !range_inside(off, bytes, len)))
            return error_set_corrupt(err, SEGMENT, file_off + at,
                                     "list %" PRIu32 ", of %" PRIu32
                                     " rows, cannot lie at page %" PRIu32,
                                     i, rows, page);
        if (rows) next = page + (bytes + VDB_IVF_PAGE - 1) / VDB_IVF_PAGE;
        block += ivf_blocks(rows);
        total += rows;
    }
    if (block * VDB_IVF_BLOCK != h->slot_count)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(slot_count),
                                 "its lists have %" PRIu64 " slots, not %" PRIu32,
                                 block * VDB_IVF_BLOCK, h->slot_count);
    uint64_t most = (uint64_t)h->rows * (h->flags & DISK_IVF_SPILLED ? 2 : 1);
    if (total < h->rows || total > most)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(row_count),
                                 "its lists have %" PRIu64 " places taken by %" PRIu32 " rows",
                                 total, h->rows);
    return VDB_OK;
}

static struct ivf_header header_get(const struct disk_ivf_header *from)
{
    struct ivf_header to = {
        .rows = le32_get(from->row_count),
        .list_count = le32_get(from->list_count),
        .slot_count = le32_get(from->slot_count),
        .code_count = le32_get(from->code_count),
        .sub_dim = le32_get(from->sub_dim),
        .out_dim = le32_get(from->out_dim),
        .flags = le32_get(from->flags),
        .code_bytes = le32_get(from->code_bytes),
        .scale = le32_get_float(from->scale),
        .zero = (int32_t)le32_get(from->zero),
        .unit_b = le32_get_float(from->unit_b),
        .unit_f = le32_get_float(from->unit_f),
        .survivor_lists = le32_get(from->survivor_lists),
        .centroids_off = le64_get(from->centroids_off),
        .centroid_norms_off = le64_get(from->centroid_norms_off),
        .lists_off = le64_get(from->lists_off),
        .slot_rows_off = le64_get(from->slot_rows_off),
        .codebook_off = le64_get(from->codebook_off),
        .matrix_off = le64_get(from->matrix_off),
        .matrix_scales_off = le64_get(from->matrix_scales_off),
        .blocks_off = le64_get(from->blocks_off),
        .slot_codes_off = le64_get(from->slot_codes_off),
        .norms_off = le64_get(from->norms_off),
        .slot_code_stride = le32_get(from->slot_code_stride),
        .norm_stride = le32_get(from->norm_stride),
        .bias = le32_get_float(from->bias),
        .error = le32_get_float(from->error),
    };
    for (int i = 0; i < 3; i++) to.survivors[i] = le32_get(from->survivors[i]);
    return to;
}

enum vdb_status ivf_header_decode(const void *p, size_t len, uint32_t rows, uint32_t dim,
                                  uint64_t file_off, struct ivf_header *out, struct vdb_error *err)
{
    struct disk_ivf_header header;
    if (len < sizeof header)
        return error_set_corrupt(err, SEGMENT, file_off, "%zu bytes hold no header", len);
    memcpy(&header, p, sizeof header);
    struct ivf_header h = header_get(&header);
    h.dim = dim;
    enum vdb_status status = check_counts(&h, rows, file_off, err);
    if (status == VDB_OK) status = check_values(&h, file_off, err);
    if (status == VDB_OK && (h.slot_count == 0 || h.slot_count % VDB_IVF_BLOCK))
        status =
            error_set_corrupt(err, SEGMENT, file_off + FIELD(slot_count),
                              "%" PRIu32 " slots are no blocks of %d", h.slot_count, VDB_IVF_BLOCK);
    if (status == VDB_OK) status = check_arrays(&h, len, file_off, err);
    if (status == VDB_OK) status = check_norms(&h, len, file_off, err);
    if (status == VDB_OK) status = check_lists(&h, p, len, file_off, err);
    if (status == VDB_OK) *out = h;
    return status;
}

enum vdb_status ivf_header_match(const struct ivf_header *header, enum vdb_type type,
                                 enum vdb_metric metric, uint64_t file_off, struct vdb_error *err)
{
    if (header->slot_codes_off) return VDB_OK;
    if ((type != VDB_TYPE_U8 && type != VDB_TYPE_I8) || metric == VDB_METRIC_COSINE)
        return error_set_corrupt(err, SEGMENT, file_off + FIELD(slot_codes_off),
                                 "it has no slot codes, and the vectors are not their own codes");
    int32_t zero = type == VDB_TYPE_U8 ? 0 : 128;
    if (header->scale != 1 || header->zero != zero)
        return error_set_corrupt(
            err, SEGMENT, file_off + FIELD(scale),
            "vectors that are their own codes have the zero %" PRId32 " and the scale 1", zero);
    return VDB_OK;
}

void ivf_view_init(struct ivf_view *view, const struct ivf_header *h, const void *segment)
{
    const uint8_t *p = segment;
    bool matrix = h->flags & DISK_IVF_MATRIX;
    *view = (struct ivf_view){
        .h = *h,
        .groups = ivf_groups(h->code_count),
        .block_bytes = ivf_block_bytes(h->code_count),
        .centroids = p + h->centroids_off,
        .centroid_norms = (const int32_t *)(const void *)(p + h->centroid_norms_off),
        .lists = (const struct disk_ivf_list *)(const void *)(p + h->lists_off),
        .slot_rows = (const uint32_t *)(const void *)(p + h->slot_rows_off),
        .codebook = (const float *)(const void *)(p + h->codebook_off),
        .matrix = matrix ? p + h->matrix_off : NULL,
        .matrix_scales = matrix ? (const float *)(const void *)(p + h->matrix_scales_off) : NULL,
        .blocks = p + h->blocks_off,
        .slot_codes = h->slot_codes_off ? p + h->slot_codes_off : NULL,
        .norms = p + h->norms_off,
    };
}

/* ---- every number -------------------------------------------------------------------------- */

/* As in code segments. The sum fits an i32: no term is above 0 or below -16384. */
static int32_t norm_of(const uint8_t *code, uint32_t dim, uint8_t flip)
{
    int32_t norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        int32_t c = code[i] ^ flip;
        norm += c * (c - 256);
    }
    return norm;
}

/* Where the first byte of [from, end) lies that is not 0; end: nowhere. */
static uint64_t first_set(const uint8_t *p, uint64_t from, uint64_t end)
{
    while (from < end && p[from] == 0) from++;
    return from;
}

static enum vdb_status validate_centroids(const struct ivf_header *h, const uint8_t *p,
                                          uint64_t file_off, struct vdb_error *err)
{
    uint32_t places = ivf_blocks(h->list_count) * VDB_IVF_BLOCK, end = ivf_centroid_bytes(h->dim);
    for (uint32_t list = 0; list < places; list++) {
        uint64_t norm_off = h->centroid_norms_off + (uint64_t)list * 4;
        int32_t norm = 0;
        for (uint32_t i = 0; i < end / VDB_IVF_BLOCK; i++) {
            uint64_t off = h->centroids_off + ivf_centroid_at(h->dim, list, i);
            int32_t c = p[off];
            norm += c * (c - 256);
            if (c && (list >= h->list_count || i >= h->dim))
                return error_set_corrupt(err, SEGMENT, file_off + off,
                                         "beyond its centroids, place %" PRIu32
                                         " of dimension %" PRIu32 " is not zero",
                                         list, i);
        }
        if ((int32_t)le32_at(p + norm_off) != norm)
            return error_set_corrupt(err, SEGMENT, file_off + norm_off,
                                     "the norm of centroid %" PRIu32 " is not that of its code",
                                     list);
    }
    return VDB_OK;
}

static enum vdb_status validate_floats(const uint8_t *p, uint64_t off, uint64_t count,
                                       const char *name, uint64_t file_off, struct vdb_error *err)
{
    for (uint64_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, p + off + i * sizeof x, sizeof x);
        if (!isfinite(x))
            return error_set_corrupt(err, SEGMENT, file_off + off + i * sizeof x,
                                     "number %" PRIu64 " of the %s is not finite", i, name);
    }
    return VDB_OK;
}

static enum vdb_status validate_matrix(const struct ivf_header *h, const uint8_t *p,
                                       uint64_t file_off, struct vdb_error *err)
{
    if (!(h->flags & DISK_IVF_MATRIX)) return VDB_OK;
    for (uint32_t i = 0; i < h->out_dim; i++) {
        uint64_t off = h->matrix_off + (uint64_t)i * h->code_bytes, end = off + h->code_bytes;
        uint64_t set = first_set(p, off + h->dim, end);
        if (set < end)
            return error_set_corrupt(err, SEGMENT, file_off + set,
                                     "bytes behind row %" PRIu32 " of the matrix are not zero", i);
    }
    return validate_floats(p, h->matrix_scales_off, h->out_dim, "scales of the matrix", file_off,
                           err);
}

/* Code number `code` of a place in a block. */
static unsigned code_at(const uint8_t *block, uint32_t place_in_block, uint32_t code)
{
    uint8_t byte = block[64 + 64 * (size_t)(code / 8) + 4 * place_in_block + code % 4];
    return code % 8 < 4 ? byte & 15 : byte >> 4;
}

/* What stands in the block for slot number `slot`: without a row b = +inf, and zeros. */
static enum vdb_status validate_place(const struct ivf_view *v, const uint8_t *block, uint32_t slot,
                                      bool has_row, uint64_t block_off, struct vdb_error *err)
{
    uint32_t at = slot % VDB_IVF_BLOCK;
    uint16_t b = le16_at(block + 2 * at), f = le16_at(block + 32 + 2 * at);
    bool finite = (b & F16_INFINITY) != F16_INFINITY && (f & F16_INFINITY) != F16_INFINITY;
    if (has_row ? !finite : b != F16_INFINITY || f != 0)
        return error_set_corrupt(err, SEGMENT, block_off + 2 * at,
                                 "slot %" PRIu32 ", which has %s row, has b 0x%04x and f 0x%04x",
                                 slot, has_row ? "a" : "no", b, f);
    for (uint32_t code = has_row ? v->h.code_count : 0; code < v->groups * 8; code++)
        if (code_at(block, at, code) != 0)
            return error_set_corrupt(err, SEGMENT, block_off + 64 + 64 * (uint64_t)(code / 8),
                                     "code %" PRIu32 " of slot %" PRIu32 ", which has %s, is not 0",
                                     code, slot, has_row ? "less" : "no row");
    return VDB_OK;
}

/* The bytes of a slot's code that are to be 0: all or those behind it, but for a norm there. */
static enum vdb_status validate_slot_code(const struct ivf_view *v, const uint8_t *p, uint32_t slot,
                                          bool has_row, uint64_t file_off, struct vdb_error *err)
{
    const struct ivf_header *h = &v->h;
    if (!v->slot_codes) return VDB_OK;
    uint64_t off = h->slot_codes_off + (uint64_t)slot * h->slot_code_stride;
    uint64_t end = off + h->slot_code_stride;
    uint64_t norm_off = h->norms_off + (uint64_t)slot * h->norm_stride;
    bool inside = norm_off >= off && norm_off < end;
    int32_t norm = (int32_t)le32_at(p + norm_off);
    if (norm != (has_row ? norm_of(p + off, h->dim, 0) : 0))
        return error_set_corrupt(err, SEGMENT, file_off + norm_off,
                                 "the norm of slot %" PRIu32 " is not that of its code", slot);
    uint64_t from = off + (has_row ? h->dim : 0);
    uint64_t set = first_set(p, from, inside ? norm_off : end), stop = inside ? norm_off : end;
    if (set == stop && inside) set = first_set(p, norm_off + 4, stop = end);
    if (set < stop)
        return error_set_corrupt(err, SEGMENT, file_off + set,
                                 "bytes behind the code of slot %" PRIu32 " are not zero", slot);
    return VDB_OK;
}

struct seen {          /* by row: */
    uint32_t *in_list; /* 1 + the last list that it was met in; 0: in none */
    uint8_t *twice;
};

static enum vdb_status validate_row(const struct ivf_view *v, uint32_t list, uint32_t slot,
                                    const struct seen *seen, uint64_t file_off,
                                    struct vdb_error *err)
{
    uint32_t row = v->slot_rows[slot];
    uint64_t off = file_off + v->h.slot_rows_off + (uint64_t)slot * 4;
    if (row >= v->h.rows)
        return error_set_corrupt(err, SEGMENT, off,
                                 "slot %" PRIu32 " of list %" PRIu32 " is row %" PRIu32
                                 " of %" PRIu32,
                                 slot, list, row, v->h.rows);
    if (seen->in_list[row] == list + 1)
        return error_set_corrupt(err, SEGMENT, off,
                                 "row %" PRIu32 " stands in list %" PRIu32 " twice", row, list);
    bool again = seen->in_list[row] != 0;
    if (again && (!(v->h.flags & DISK_IVF_SPILLED) || seen->twice[row]))
        return error_set_corrupt(err, SEGMENT, off,
                                 "row %" PRIu32 " stands in list %" PRIu32
                                 " and in %s others already",
                                 row, list, seen->twice[row] ? "two" : "one of the");
    seen->in_list[row] = list + 1;
    seen->twice[row] = again;
    return VDB_OK;
}

static enum vdb_status validate_list(const struct ivf_view *v, const uint8_t *p, uint32_t list,
                                     const struct seen *seen, uint64_t file_off,
                                     struct vdb_error *err)
{
    struct ivf_list l = ivf_view_list(v, list);
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < l.block_count * VDB_IVF_BLOCK && status == VDB_OK; i++) {
        uint32_t slot = l.first_slot + i;
        const uint8_t *block = l.blocks + (size_t)(i / VDB_IVF_BLOCK) * v->block_bytes;
        bool has_row = i < l.row_count;
        if (has_row)
            status = validate_row(v, list, slot, seen, file_off, err);
        else if (v->slot_rows[slot] != VDB_NO_ROW)
            status = error_set_corrupt(
                err, SEGMENT, file_off + v->h.slot_rows_off + (uint64_t)slot * 4,
                "slot %" PRIu32 " is behind the rows of list %" PRIu32 ", and is row %" PRIu32,
                slot, list, v->slot_rows[slot]);
        if (status == VDB_OK)
            status = validate_place(v, block, slot, has_row, file_off + (uint64_t)(block - p), err);
        if (status == VDB_OK) status = validate_slot_code(v, p, slot, has_row, file_off, err);
    }
    return status;
}

static enum vdb_status validate_lists(const struct ivf_view *v, const uint8_t *p, uint64_t file_off,
                                      struct vdb_error *err)
{
    struct seen seen = {calloc(v->h.rows, sizeof *seen.in_list), calloc(v->h.rows, 1)};
    enum vdb_status status = seen.in_list && seen.twice ? VDB_OK : error_no_memory(err);
    for (uint32_t list = 0; list < v->h.list_count && status == VDB_OK; list++)
        status = validate_list(v, p, list, &seen, file_off, err);
    for (uint32_t row = 0; row < v->h.rows && status == VDB_OK; row++)
        if (!seen.in_list[row])
            status = error_set_corrupt(err, SEGMENT, file_off + v->h.slot_rows_off,
                                       "row %" PRIu32 " stands in no list", row);
    free(seen.in_list);
    free(seen.twice);
    return status;
}

enum vdb_status ivf_header_validate(const struct ivf_header *h, const void *p, uint64_t file_off,
                                    struct vdb_error *err)
{
    struct ivf_view view;
    ivf_view_init(&view, h, p);
    enum vdb_status status = validate_centroids(h, p, file_off, err);
    if (status == VDB_OK)
        status = validate_floats(p, h->codebook_off, (uint64_t)h->code_count * 16 * h->sub_dim,
                                 "codebook", file_off, err);
    if (status == VDB_OK) status = validate_matrix(h, p, file_off, err);
    if (status == VDB_OK) status = validate_lists(&view, p, file_off, err);
    return status;
}

enum vdb_status ivf_header_validate_norms(const struct ivf_header *h, const void *p,
                                          const uint8_t *vectors, size_t stride, uint8_t flip,
                                          uint64_t file_off, struct vdb_error *err)
{
    struct ivf_view v;
    ivf_view_init(&v, h, p);
    for (uint32_t row = 0; row < h->rows && !v.slot_codes; row++) {
        uint64_t off = (uint64_t)row * h->norm_stride;
        if ((int32_t)le32_at(v.norms + off) != norm_of(vectors + row * stride, h->dim, flip))
            return error_set_corrupt(err, SEGMENT, file_off + h->norms_off + off,
                                     "the norm of row %" PRIu32 " is not that of its vector", row);
    }
    return VDB_OK;
}
