/* test_part_codes.c: the codes of a part are those of its rows, laid out as format-spec/codes.md
 * says, whoever makes them.
 *
 * Expected values: the planes and their places by the spec, the centre as a mean in double
 * precision, the codes row by row from the coder, which test_codes.c and test_codes4.c hold.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/part_codes.h"
#include "index/codes4.h"
#include "points.h"
#include "store_fixture.h"
#include "vector/vtype.h"

#define ROWS 700u /* more than what one job codes */

static const struct quantizer grid = {0.03f, 120};

struct made {
    struct vdb_snapshot snapshot;
    struct manifest manifest;
    struct part_build build;
    struct part_source source;
    uint8_t *vectors;
};

/* Rows of small whole numbers times 1/16, none of them zero, that every float type can hold; bytes
 * without the 1/16. */
static void make_rows(struct made *m, enum vdb_metric metric, enum vdb_type type, uint32_t dim)
{
    uint64_t seed = dim;
    float *x = malloc(dim * sizeof *x);
    size_t stride = vtype_stride(type, dim);
    bool bytes = type == VDB_TYPE_U8 || type == VDB_TYPE_I8;
    *m = (struct made){.manifest = {.dim = dim, .metric = metric, .type = type}};
    m->snapshot.kernels = kernels_best();
    m->build = (struct part_build){
        .source = &m->snapshot, .count = ROWS, .beside = store_path("part.vdb"), .threads = 1};
    m->vectors = calloc(ROWS, stride);
    assert_non_null(x);
    assert_non_null(m->vectors);
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t i = 0; i < dim; i++)
            x[i] = (float)(store_random(&seed) % 100 + 1) / (bytes ? 1 : 16);
        assert_int_equal(vtype_store(type, x, m->vectors + row * stride, dim), dim);
    }
    m->source = (struct part_source){.build = &m->build,
                                     .manifest = &m->manifest,
                                     .vectors = m->vectors,
                                     .vectors_off = 65536,
                                     .stride = stride};
    free(x);
}

static void release_rows(struct made *m)
{
    free(m->vectors);
}

static void value_of(struct made *m, uint32_t row, float *x)
{
    const struct manifest *f = &m->manifest;
    vtype_load(f->type, m->vectors + row * m->source.stride, x, f->dim);
    if (f->metric != VDB_METRIC_COSINE) return;
    double sum = 0;
    for (uint32_t i = 0; i < f->dim; i++) sum += (double)x[i] * (double)x[i];
    for (uint32_t i = 0; i < f->dim; i++) x[i] = (float)((double)x[i] / sqrt(sum));
}

/* Where planes lie, from the number of dimensions alone. */
static void layout_is(const struct part_codes *codes, uint16_t kind, uint32_t dim, bool inside)
{
    const struct code_header *h = &codes->header;
    uint64_t width = kind == DISK_CODE_SQ4 ? (dim + 127) / 128 * 64 : (dim + 63) / 64 * 64;
    uint64_t norm = kind == DISK_CODE_SQ4 ? 8 : 4;
    uint64_t begin = 128 + (kind == DISK_CODE_SQ4 ? (4 * (uint64_t)dim + 63) / 64 * 64 : 0);
    assert_int_equal(h->kind, kind);
    assert_int_equal(h->rows, ROWS);
    assert_int_equal(h->dim, dim);
    assert_int_equal(h->center_off, kind == DISK_CODE_SQ4 ? 128 : 0);
    assert_int_equal(h->codes.off, begin);
    assert_int_equal(h->codes.stride, width);
    assert_int_equal(h->codes.width, width);
    assert_int_equal(h->norms.width, norm);
    assert_int_equal(h->norms.stride, inside ? width : norm);
    assert_int_equal(h->norms.off, inside ? begin + width - norm : begin + ROWS * width);
    assert_int_equal(codes->len, begin + ROWS * (inside ? width : width + norm));
    assert_int_equal(codes->view.bytes, width);
    assert_ptr_equal(codes->view.code, codes->segment + begin);
    assert_ptr_equal(codes->view.norm, codes->segment + h->norms.off);
}

static void rows_of_8_bits(struct made *m, const struct part_codes *codes)
{
    uint32_t dim = m->manifest.dim;
    float *x = malloc(dim * sizeof *x);
    uint8_t *code = malloc(codes_bytes(dim));
    assert_non_null(x);
    assert_non_null(code);
    for (uint32_t row = 0; row < ROWS; row++) {
        int32_t norm;
        value_of(m, row, x);
        codes_encode_row(kernels_best(), &grid, x, dim, code, &norm);
        assert_memory_equal(codes->view.code + row * codes->view.code_stride, code, dim);
        assert_memory_equal(codes->view.norm + row * codes->view.norm_stride, &norm, sizeof norm);
    }
    free(code);
    free(x);
}

static void rows_of_4_bits(struct made *m, const struct part_codes *codes)
{
    uint32_t dim = m->manifest.dim;
    float *x = malloc(dim * sizeof *x), *scratch = malloc(codes4_scratch(dim) * sizeof *x);
    double *mean = calloc(dim, sizeof *mean);
    uint8_t *code = malloc(codes4_bytes(dim));
    assert_true(x && scratch && mean && code);
    for (uint32_t row = 0; row < ROWS; row++) {
        value_of(m, row, x);
        for (uint32_t i = 0; i < dim; i++) mean[i] += (double)x[i] / ROWS;
    }
    const float *center = codes->view.center;
    for (uint32_t i = 0; i < dim; i++)
        assert_true(fabs((double)center[i] - mean[i]) <= 1e-6 * mean[i]);
    assert_memory_equal(codes->segment + 128, center, dim * sizeof *center);
    struct codes4 four = {kernels_best(), center, dim, codes->header.flags & DISK_CODE_ROTATED};
    assert_int_equal(codes->view.rotated, four.rotated);
    for (uint32_t row = 0; row < ROWS; row++) {
        struct codes4_factors factors;
        value_of(m, row, x);
        codes4_encode(&four, x, scratch, code, &factors);
        assert_memory_equal(codes->view.code + row * codes->view.code_stride, code, (dim + 1) / 2);
        assert_memory_equal(codes->view.norm + row * codes->view.norm_stride, &factors, 8);
    }
    free(code);
    free(mean);
    free(scratch);
    free(x);
}

/* Through bytes and back, with all that a deep check asks. */
static void passes_validation(const struct part_codes *codes)
{
    struct disk_code_header disk;
    struct code_header h = codes->header, got;
    uint8_t *segment = malloc(codes->len);
    assert_non_null(segment);
    memcpy(segment, codes->segment, codes->len);
    code_header_encode(&h, &disk);
    assert_int_equal(code_header_decode(&disk, sizeof disk, ROWS, h.dim, 0, codes->len, &got, NULL),
                     VDB_OK);
    assert_int_equal(code_header_check_planes(&got, 0, codes->len, 0, 0, NULL), VDB_OK);
    assert_int_equal(code_header_validate(&got, segment, NULL), VDB_OK);
    free(segment);
}

static void of_8_bits(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 60, 61, 64, 124, 125, 128, 300};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (enum vdb_metric metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
            struct made m;
            struct part_codes codes;
            make_rows(&m, metric, i % 2 ? VDB_TYPE_F16 : VDB_TYPE_F32, dims[i]);
            assert_int_equal(part_codes_make(&m.source, CODES_8, &grid, NULL, &codes, NULL),
                             VDB_OK);
            assert_true(codes.own);
            layout_is(&codes, DISK_CODE_SQ8, dims[i], (dims[i] + 63) / 64 * 64 - dims[i] >= 4);
            assert_int_equal(codes.header.flags,
                             metric == VDB_METRIC_COSINE ? DISK_CODE_NORMALIZE : 0);
            assert_true(codes.header.scale == grid.scale);
            assert_int_equal(codes.header.zero, grid.zero);
            rows_of_8_bits(&m, &codes);
            passes_validation(&codes);
            part_codes_release(&codes);
            release_rows(&m);
        }
}

/* Fewer than 8 dimensions are not rotated. Bytes have codes of their own then, too. */
static void of_4_bits(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 7, 8, 61, 111, 112, 113, 128, 240, 241, 300};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (enum vdb_metric metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++) {
            struct made m;
            struct part_codes codes;
            uint32_t dim = dims[i], used = (dim + 1) / 2;
            make_rows(&m, metric, (enum vdb_type)(VDB_TYPE_F32 + (i + metric) % 4), dim);
            assert_int_equal(part_codes_make(&m.source, CODES_4, NULL, NULL, &codes, NULL), VDB_OK);
            assert_true(codes.own);
            layout_is(&codes, DISK_CODE_SQ4, dim, (used + 63) / 64 * 64 - used >= 8);
            assert_int_equal(codes.header.flags,
                             (metric == VDB_METRIC_COSINE ? DISK_CODE_NORMALIZE : 0) |
                                 (dim >= 8 ? DISK_CODE_ROTATED : 0));
            assert_true(codes.header.scale == 1.0f);
            assert_int_equal(codes.header.zero, 0);
            rows_of_4_bits(&m, &codes);
            passes_validation(&codes);
            part_codes_release(&codes);
            release_rows(&m);
        }
}

/* Bytes under l2 and ip: the codes plane is the vectors, the segment has the norms. */
static void vectors_as_codes(void **state)
{
    (void)state;
    for (int type = VDB_TYPE_I8; type <= VDB_TYPE_U8; type++) {
        struct made m;
        struct part_codes codes;
        uint8_t flip = type == VDB_TYPE_I8 ? 0x80 : 0;
        make_rows(&m, VDB_METRIC_IP, (enum vdb_type)type, 70);
        assert_true(part_source_is_coded(&m.source));
        assert_int_equal(part_codes_make(&m.source, CODES_8, &grid, NULL, &codes, NULL), VDB_OK);
        assert_false(codes.own);
        assert_int_equal(codes.len, 128 + 4 * ROWS);
        assert_int_equal(codes.header.codes.off, 65536);
        assert_int_equal(codes.header.codes.stride, 128);
        assert_int_equal(codes.header.norms.off, 128);
        assert_int_equal(codes.header.norms.stride, 4);
        assert_int_equal(codes.header.flags, flip ? DISK_CODE_SIGNED : 0);
        assert_int_equal(codes.header.zero, flip);
        assert_true(codes.header.scale == 1.0f);
        assert_ptr_equal(codes.view.code, m.vectors);
        assert_int_equal(codes.view.flip, flip);
        for (uint32_t row = 0; row < ROWS; row++) {
            int32_t norm = 0, stored;
            for (uint32_t i = 0; i < 70; i++) {
                int c = m.vectors[row * 128 + i] ^ flip;
                norm += c * c - 256 * c;
            }
            memcpy(&stored, codes.view.norm + row * 4, sizeof stored);
            assert_int_equal(stored, norm);
        }
        part_codes_release(&codes);
        m.manifest.metric = VDB_METRIC_COSINE;
        assert_false(part_source_is_coded(&m.source));
        release_rows(&m);
    }
}

static void no_codes(void **state)
{
    (void)state;
    struct made m;
    struct part_codes codes;
    make_rows(&m, VDB_METRIC_COSINE, VDB_TYPE_F16, 33);
    assert_int_equal(part_codes_make(&m.source, CODES_VECTORS, NULL, NULL, &codes, NULL), VDB_OK);
    assert_null(codes.segment);
    assert_ptr_equal(codes.view.code, m.vectors);
    assert_int_equal(codes.view.code_stride, 68);
    assert_int_equal(codes.view.bytes, 68);
    assert_int_equal(codes.view.type, VDB_TYPE_F16);
    assert_int_equal(codes.view.metric, VDB_METRIC_COSINE);
    part_codes_release(&codes);
    release_rows(&m);
}

static void the_same_for_any_threads_and_kernels(void **state)
{
    (void)state;
    static const char *const isas[] = {"portable", "avx2", "avx512"};
    struct made m;
    struct part_codes first, other;
    for (int kind = CODES_8; kind <= CODES_4; kind++) {
        make_rows(&m, VDB_METRIC_COSINE, VDB_TYPE_F32, 100);
        assert_int_equal(
            part_codes_make(&m.source, (enum codes_kind)kind, &grid, NULL, &first, NULL), VDB_OK);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
            for (m.build.threads = 1; m.build.threads < 6; m.build.threads += 2) {
                if (kernels_select(isas[i], &m.snapshot.kernels, NULL) != VDB_OK) continue;
                assert_int_equal(
                    part_codes_make(&m.source, (enum codes_kind)kind, &grid, NULL, &other, NULL),
                    VDB_OK);
                assert_int_equal(other.len, first.len);
                assert_memory_equal(other.segment + 128, first.segment + 128, first.len - 128);
                part_codes_release(&other);
            }
        part_codes_release(&first);
        release_rows(&m);
    }
}

/* What is written is the header with offsets of the file, and the segment as it was made. */
static void written(void **state)
{
    (void)state;
    struct made m;
    struct part_codes codes;
    struct osfile file;
    struct segment_entry segment = {.type = DISK_SEGMENT_CODE};
    const uint8_t *bytes;
    make_rows(&m, VDB_METRIC_L2, VDB_TYPE_F32, 200);
    assert_int_equal(osfile_create(&file, store_path("part.vdb"), 0600), 0);
    assert_int_equal(osfile_reserve(&file, 0, 100000), 0);
    m.build.file = &file;
    assert_int_equal(part_codes_make(&m.source, CODES_4, NULL, NULL, &codes, NULL), VDB_OK);
    codes.header.bias = 0.5f;
    codes.header.error = 2.0f;
    assert_int_equal(part_codes_write(&m.source, &codes, &segment, NULL), VDB_OK);
    assert_int_equal(segment.len, codes.len);
    assert_true(segment.off >= 100000 && segment.off % 65536 == 0);
    assert_int_equal(osfile_map(&file, 0, segment.off + segment.len, &bytes), 0);
    assert_memory_equal(bytes + segment.off + 128, codes.segment + 128, codes.len - 128);
    struct code_header got;
    assert_int_equal(code_header_decode(bytes + segment.off, segment.len, ROWS, 200, segment.off,
                                        segment.off + segment.len, &got, NULL),
                     VDB_OK);
    assert_int_equal(got.codes.off, segment.off + codes.header.codes.off);
    assert_int_equal(got.norms.off, segment.off + codes.header.norms.off);
    assert_int_equal(got.center_off, segment.off + 128);
    assert_true(got.bias == 0.5f && got.error == 2.0f);
    assert_int_equal(code_header_validate(&got, bytes, NULL), VDB_OK);
    osfile_unmap(bytes, segment.off + segment.len);
    osfile_close(&file);
    part_codes_release(&codes);
    release_rows(&m);
}

/* Codes of the first rows are taken as they are, and only where they are what would be made. */
static void what_is_coded_is_copied(void **state)
{
    (void)state;
    static const enum vdb_type types[] = {VDB_TYPE_F32, VDB_TYPE_I8};
    for (int i = 0; i < 2; i++)
        for (int kind = CODES_8; kind <= CODES_4; kind++) {
            struct made m;
            struct part_codes old, same, other;
            struct quantizer finer = {grid.scale / 2, grid.zero};
            make_rows(&m, VDB_METRIC_L2, types[i], 40);
            m.build.count = ROWS / 2;
            assert_int_equal(
                part_codes_make(&m.source, (enum codes_kind)kind, &grid, NULL, &old, NULL), VDB_OK);
            m.build.count = ROWS;
            uint8_t *norm =
                old.segment + old.header.norms.off + 7 * (size_t)old.header.norms.stride;
            norm[0] ^= 1; /* by which it is known again */
            assert_int_equal(
                part_codes_make(&m.source, (enum codes_kind)kind, &grid, &old.view, &same, NULL),
                VDB_OK);
            for (uint32_t row = 0; row < ROWS / 2; row++) {
                assert_memory_equal(same.view.code + row * same.view.code_stride,
                                    old.view.code + row * old.view.code_stride, old.view.bytes);
                assert_memory_equal(same.view.norm + row * same.view.norm_stride,
                                    old.view.norm + row * old.view.norm_stride,
                                    codes_norm_bytes((enum codes_kind)kind));
            }
            if (kind == CODES_4) assert_memory_equal(same.center, old.center, 40 * sizeof(float));
            part_codes_release(&same);
            enum codes_kind else_kind = kind == CODES_4 ? CODES_8 : CODES_4;
            assert_int_equal(part_codes_make(&m.source, else_kind, &grid, NULL, &same, NULL),
                             VDB_OK);
            assert_int_equal(part_codes_make(&m.source, else_kind, &grid, &old.view, &other, NULL),
                             VDB_OK);
            assert_memory_equal(same.segment, other.segment, same.len);
            part_codes_release(&same);
            part_codes_release(&other);
            if (kind == CODES_8 && types[i] == VDB_TYPE_F32) {
                assert_int_equal(part_codes_make(&m.source, CODES_8, &finer, NULL, &same, NULL),
                                 VDB_OK);
                assert_int_equal(
                    part_codes_make(&m.source, CODES_8, &finer, &old.view, &other, NULL), VDB_OK);
                assert_memory_equal(same.segment, other.segment, same.len);
                part_codes_release(&same);
                part_codes_release(&other);
            }
            part_codes_release(&old);
            release_rows(&m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_8_bits, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(of_4_bits, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(vectors_as_codes, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(no_codes, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(the_same_for_any_threads_and_kernels, store_setup,
                                        store_teardown),
        cmocka_unit_test_setup_teardown(written, store_setup, store_teardown),
        cmocka_unit_test_setup_teardown(what_is_coded_is_copied, store_setup, store_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
