/* test_ivf_header.c: ivf segments as bytes and back, and every rule of theirs broken in turn.
 *
 * The bytes are those of the worked example of format-spec/ivf.md, which the library has no part
 * in: two lists at 384, slots of them at 768, blocks at 4096 and 8192, slot codes at 8320.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "example.h"
#include "format/ivf_header.h"
#include "hostile.h"

#define LEN  10368
#define ROWS 3
#define DIM  4

static void read_example(struct example *e)
{
    example_read(e, "ivf.md", "ivf");
    assert_int_equal(e->bytes.len, LEN);
}

static void view_of_the_example(void **state)
{
    (void)state;
    struct example e;
    struct ivf_header h;
    struct ivf_view v;
    read_example(&e);
    const uint8_t *p = e.bytes.data;
    assert_int_equal(sizeof(struct disk_ivf_header), 192);
    assert_int_equal(sizeof(struct disk_ivf_list), 16);
    assert_int_equal(ivf_header_decode(p, LEN, ROWS, DIM, 0, &h, NULL), VDB_OK);
    assert_int_equal(h.rows, ROWS);
    assert_int_equal(h.dim, DIM);
    assert_int_equal(h.list_count, 2);
    assert_int_equal(h.slot_count, 32);
    assert_int_equal(h.survivors[2], 300);
    ivf_view_init(&v, &h, p);
    assert_int_equal(v.groups, 1);
    assert_int_equal(v.block_bytes, 128);
    assert_ptr_equal(v.centroids, p + 192);
    assert_int_equal(v.centroid_norms[1], -58880);
    assert_true(v.codebook[31] == 0.9375F);
    assert_ptr_equal(v.matrix, p + 512);
    assert_true(v.matrix_scales[1] == 0.0078125F);
    assert_ptr_equal(v.slot_codes, p + 8320);
    assert_ptr_equal(v.norms, p + 8380);
    struct ivf_list list = ivf_view_list(&v, 1);
    assert_ptr_equal(list.blocks, p + 8192);
    assert_int_equal(list.block_count, 1);
    assert_int_equal(list.row_count, 2);
    assert_int_equal(list.first_slot, 16);
    assert_int_equal(v.slot_rows[list.first_slot + 1], 2);
    assert_int_equal(v.slot_rows[list.first_slot + 2], VDB_NO_ROW);
    example_release(&e);
}

/* Worked out by hand from the page: 37 dimensions are ten fours. */
static void places_of_centroids(void **state)
{
    (void)state;
    assert_int_equal(ivf_centroid_bytes(37), 640);
    assert_int_equal(ivf_centroid_bytes(36), 576);
    assert_int_equal(ivf_centroid_at(37, 0, 0), 0);
    assert_int_equal(ivf_centroid_at(37, 5, 2), 22);
    assert_int_equal(ivf_centroid_at(37, 15, 39), 639);
    assert_int_equal(ivf_centroid_at(37, 37, 36), 2 * 640 + 9 * 64 + 5 * 4);
}

/* Worked out by hand from the page. */
static void layouts(void **state)
{
    (void)state;
    /* 61 dimensions leave 3 bytes behind a code, which are none for a norm. */
    struct ivf_header h = {
        .dim = 61, .list_count = 4, .code_count = 61, .sub_dim = 1, .out_dim = 61, .rows = 200};
    struct disk_ivf_list lists[4];
    static const uint32_t list_rows[] = {130, 0, 65, 5};
    /* 9 + 5 + 1 blocks of 64 + 8 * 64 bytes: 5184 on two pages, 2880 on one, and 576. */
    assert_int_equal(ivf_header_layout(&h, list_rows, true, lists), 21056 + 240 * 68);
    assert_int_equal(h.slot_count, 240);
    assert_int_equal(h.code_bytes, 64);
    assert_int_equal(h.centroids_off, 192);
    assert_int_equal(h.centroid_norms_off, 1216); /* behind one block of 16 fours */
    assert_int_equal(h.lists_off, 1280);
    assert_int_equal(h.codebook_off, 1344);
    assert_int_equal(h.matrix_off, 0);
    assert_int_equal(h.matrix_scales_off, 0);
    assert_int_equal(h.slot_rows_off, 1344 + 61 * 64);
    assert_int_equal(h.blocks_off, 8192);
    assert_int_equal(h.slot_codes_off, 8192 + 3 * 4096 + 576);
    assert_int_equal(h.slot_code_stride, 64);
    assert_int_equal(h.norms_off, h.slot_codes_off + 240 * 64);
    assert_int_equal(h.norm_stride, 4);
    static const uint32_t pages[] = {0, 2, 2, 3}, blocks[] = {0, 9, 9, 14};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(le32_get(lists[i].page), pages[i]);
        assert_int_equal(le32_get(lists[i].first_block), blocks[i]);
        assert_int_equal(le32_get(lists[i].row_count), list_rows[i]);
    }
    /* Of 60, the norm has room. */
    h.dim = h.out_dim = h.code_count = 60;
    uint64_t len = ivf_header_layout(&h, list_rows, true, lists);
    assert_int_equal(h.norms_off, h.slot_codes_off + 60);
    assert_int_equal(h.norm_stride, 64);
    assert_int_equal(len, h.slot_codes_off + 240 * 64);
    assert_int_equal(ivf_header_layout(&h, list_rows, false, lists), len - 240 * 64 + 200 * 4);
    assert_int_equal(h.slot_codes_off, 0);
    assert_int_equal(h.slot_code_stride, 0);
    assert_int_equal(h.norm_stride, 4);
}

static void layouts_beyond_32_bits(void **state)
{
    (void)state;
    struct disk_ivf_list lists[2];
    struct ivf_header h = {.dim = 8, .list_count = 2, .code_count = 8, .sub_dim = 1, .out_dim = 8};
    static const uint32_t most[] = {0x80000000, 0x7fffffe0}, more[] = {0x80000000, 0x7ffffff0};
    assert_int_not_equal(ivf_header_layout(&h, most, false, lists), 0);
    assert_int_equal(h.slot_count, 0xffffffe0);
    assert_int_not_equal(ivf_header_layout(&h, more, false, lists), 0);
    assert_int_equal(h.slot_count, 0xfffffff0);
    static const uint32_t over[] = {0x80000000, 0x7ffffff1};
    assert_int_equal(ivf_header_layout(&h, over, false, lists), 0);
    h.code_count = h.dim = h.out_dim = 65535; /* 2^27 blocks of 2^19 bytes: 2^34 pages */
    assert_int_equal(ivf_header_layout(&h, most, false, lists), 0);
}

enum { INIT, VALIDATE };

struct damage {
    uint32_t at, width;
    uint32_t value;
    int found_by;
    uint32_t offset;
};

static const struct damage DAMAGES[] = {
    {0, 4, 4, INIT, 0},
    {4, 4, 0, INIT, 4},
    {4, 4, 4, INIT, 4},   /* more lists than rows */
    {4, 4, 1, INIT, 8},   /* lists that do not use all slots */
    {4, 4, 3, INIT, 356}, /* a list behind the last */
    {8, 4, 0, INIT, 8},
    {8, 4, 31, INIT, 8},
    {8, 4, 16, INIT, 8},
    {8, 4, 48, INIT, 128}, /* codes of more slots than there are */
    {8, 4, 0xfffffff0, INIT, 88},
    {12, 4, 1, INIT, 12},
    {12, 4, 3, INIT, 12},
    {16, 4, 0, INIT, 16},
    {16, 4, 3, INIT, 16},
    {16, 4, 8, INIT, 16},
    {16, 4, 2, INIT, 12}, /* one code would do */
    {20, 4, 0, INIT, 20},
    {20, 4, 5, INIT, 20},
    {20, 4, 3, INIT, 12},
    {24, 4, 7, INIT, 24},
    {24, 4, 1, INIT, 20}, /* two of four dimensions without a matrix */
    {24, 4, 2, INIT, 0},  /* four places for three rows, and no spilling */
    {28, 4, 128, INIT, 28},
    {28, 4, 0, INIT, 28},
    {32, 4, 0, INIT, 32},
    {32, 4, 0x7f800000, INIT, 32},
    {32, 4, 0x7fc00000, INIT, 32},
    {32, 4, 0xbc000000, INIT, 32},
    {36, 4, 0xffbfffff, INIT, 36},
    {36, 4, 0x00400100, INIT, 36},
    {40, 4, 0, INIT, 40},
    {40, 4, 0x3f400000, INIT, 40}, /* 0.75 */
    {40, 4, 0xbf000000, INIT, 40},
    {40, 4, 0x7f800000, INIT, 40},
    {44, 4, 0x3e800001, INIT, 44},
    {44, 4, 0x7fc00000, INIT, 44},
    {48, 4, 61, INIT, 48}, /* survivors: 20, 60, 300 */
    {56, 4, 59, INIT, 48},
    /* arrays: not aligned, within the header, beyond the end */
    {64, 4, 193, INIT, 64},
    {64, 4, 128, INIT, 64},
    {64, 4, 10368, INIT, 64},
    {68, 4, 1, INIT, 64},
    {72, 4, 260, INIT, 72},
    {72, 4, 0, INIT, 72},
    {72, 4, 10368, INIT, 72},
    {80, 4, 324, INIT, 80},
    {80, 4, 10368, INIT, 80},
    {84, 4, 0xffffffff, INIT, 80},
    {88, 4, 708, INIT, 88},
    {88, 4, 10304, INIT, 88},
    {96, 4, 388, INIT, 96},
    {96, 4, 10304, INIT, 96},
    {104, 4, 0, INIT, 104},
    {104, 4, 516, INIT, 104},
    {104, 4, 10304, INIT, 104},
    {112, 4, 0, INIT, 112},
    {112, 4, 10368, INIT, 112},
    {120, 4, 0, INIT, 120},
    {120, 4, 4160, INIT, 120},
    {120, 4, 12288, INIT, 120},
    {120, 4, 8192, INIT, 336}, /* the second list's blocks are beyond the end then */
    {128, 4, 8384, INIT, 128},
    {128, 4, 0, INIT, 128},
    {128, 4, 8324, INIT, 128},
    {136, 4, 8382, INIT, 136},
    {136, 4, 64, INIT, 136},
    {136, 4, 8320, INIT, 136}, /* norms in the codes' place */
    {136, 4, 8384, INIT, 136}, /* the last norm is beyond the end */
    {140, 4, 1, INIT, 136},
    {144, 4, 0, INIT, 128}, /* slot codes without a stride */
    {144, 4, 32, INIT, 144},
    {144, 4, 65, INIT, 144},
    {144, 4, 128, INIT, 128},
    {148, 4, 0, INIT, 148},
    {148, 4, 66, INIT, 148},
    {148, 4, 4, INIT, 136},
    {148, 4, 128, INIT, 136},
    {152, 4, 0x7fc00000, INIT, 152},
    {152, 4, 0xff800000, INIT, 152},
    {156, 4, 0x7f800000, INIT, 156},
    {156, 4, 0xbb800000, INIT, 156},
    /* lists */
    {320, 4, 1, INIT, 336}, /* both on page 1 */
    {336, 4, 0, INIT, 336},
    {336, 4, 2, INIT, 336},
    {336, 4, 0xffffffff, INIT, 336},
    {324, 4, 1, INIT, 324},
    {340, 4, 0, INIT, 340},
    {340, 4, 2, INIT, 340},
    {328, 4, 17, INIT, 340},
    {328, 4, 0xffffffff, INIT, 320},
    {328, 4, 5, INIT, 0}, /* seven places for three rows */
    {344, 4, 0, INIT, 8},
    {344, 4, 17, INIT, 8},
    {328, 4, 4, VALIDATE, 712},
    {328, 4, 1, VALIDATE, 708}, /* a row behind those of the list */
    /* codes and norms of centroids */
    {192, 1, 0, VALIDATE, 256},
    {255, 1, 1, VALIDATE, 255},
    {200, 1, 1, VALIDATE, 200}, /* of a third, which is none */
    {260, 4, 0, VALIDATE, 260},
    {264, 4, 1, VALIDATE, 264},
    {384, 4, 0x7fc00000, VALIDATE, 384},
    {508, 4, 0xff800000, VALIDATE, 508},
    {516, 1, 1, VALIDATE, 516},
    {639, 1, 1, VALIDATE, 639},
    {644, 4, 0x7f800000, VALIDATE, 644},
    /* slots */
    {704, 4, 3, VALIDATE, 704},
    {704, 4, VDB_NO_ROW, VALIDATE, 704},
    {708, 4, 0, VALIDATE, 708}, /* twice in one list */
    {768, 4, 0, VALIDATE, 704}, /* row 1 is in no list then */
    {712, 4, 1, VALIDATE, 712},
    {828, 4, 0, VALIDATE, 828},
    /* blocks: b, f and codes of slots 0 and 1, and of empty ones */
    {4096, 2, 0x7c00, VALIDATE, 4096},
    {4098, 2, 0xfe00, VALIDATE, 4098},
    {4128, 2, 0x7c00, VALIDATE, 4096},
    {4100, 2, 0, VALIDATE, 4100},
    {4100, 2, 0xfc00, VALIDATE, 4100},
    {8222, 2, 0x7bff, VALIDATE, 8222},
    {4132, 2, 0x8000, VALIDATE, 4100},
    {4160, 1, 0x10, VALIDATE, 4160}, /* code 4 of two */
    {4166, 1, 1, VALIDATE, 4160},    /* code 2 of two, of slot 1 */
    {4168, 1, 1, VALIDATE, 4160},    /* of slot 2, without a row */
    {8319, 1, 0x80, VALIDATE, 8256},
    /* slot codes and their norms */
    {8320, 1, 0, VALIDATE, 8380},
    {8324, 1, 1, VALIDATE, 8324},
    {8379, 1, 1, VALIDATE, 8379},
    {8380, 4, 0, VALIDATE, 8380},
    {8448, 1, 1, VALIDATE, 8448},
    {8508, 4, 1, VALIDATE, 8508},
    {10363, 1, 1, VALIDATE, 10363},
};

static void damage_is_named(void **state)
{
    (void)state;
    struct example e;
    struct ivf_header h;
    uint8_t *bytes = malloc(LEN);
    assert_non_null(bytes);
    read_example(&e);
    assert_int_equal(ivf_header_decode(e.bytes.data, LEN, ROWS, DIM, 0, &h, NULL), VDB_OK);
    assert_int_equal(ivf_header_validate(&h, e.bytes.data, 0, NULL), VDB_OK);
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        const struct damage *d = &DAMAGES[i];
        struct vdb_error err = {0};
        memcpy(bytes, e.bytes.data, LEN);
        memcpy(bytes + d->at, &d->value, d->width);
        enum vdb_status status = ivf_header_decode(bytes, LEN, ROWS, DIM, 100000, &h, &err);
        if (d->found_by == VALIDATE) {
            if (status != VDB_OK) fail_msg("case %zu: %s", i, err.message);
            status = ivf_header_validate(&h, bytes, 100000, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 100000 + d->offset)
            fail_msg("case %zu, %u at %u: status %d at %d: %s", i, d->value, d->at, (int)status,
                     (int)err.offset - 100000, err.message);
        assert_string_equal(err.segment, "ivf");
    }
    free(bytes);
    example_release(&e);
}

/* Dimensions that are not those of the index. */
static void other_dimensions(void **state)
{
    (void)state;
    struct example e;
    struct ivf_header h;
    struct vdb_error err = {0};
    read_example(&e);
    assert_int_equal(ivf_header_decode(e.bytes.data, LEN, ROWS, 65, 0, &h, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 28);
    assert_int_equal(ivf_header_decode(e.bytes.data, LEN, ROWS, 1, 0, &h, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 20);
    /* A fourth number of a centroid, where there are three dimensions. */
    assert_int_equal(ivf_header_decode(e.bytes.data, LEN, ROWS, 3, 0, &h, NULL), VDB_OK);
    assert_int_equal(ivf_header_validate(&h, e.bytes.data, 0, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 192 + 3);
    example_release(&e);
}

/* ---- a segment without slot codes or matrix, of three lists -------------------------------- */

#define SMALL_ROWS 4

struct small {
    struct ivf_header h;
    size_t len;
    _Alignas(64) uint8_t bytes[16384];
};

/* Vectors of u8, two dimensions, all (1, 2): the norm is 1 - 256 + 4 - 512. Row numbers and how
 * many of them each list has are the caller's. */
static void small_make(struct small *s, uint32_t flags, const uint32_t list_rows[3],
                       const uint32_t *rows)
{
    *s = (struct small){.h = {.rows = SMALL_ROWS,
                              .dim = 2,
                              .list_count = 3,
                              .code_count = 1,
                              .sub_dim = 4,
                              .out_dim = 2,
                              .flags = flags,
                              .scale = 1,
                              .unit_b = 1,
                              .unit_f = 1}};
    struct disk_ivf_list lists[3];
    struct disk_ivf_header disk;
    s->len = ivf_header_layout(&s->h, list_rows, false, lists);
    assert_in_range(s->len, 1, sizeof s->bytes);
    ivf_header_encode(&s->h, &disk);
    memcpy(s->bytes, &disk, sizeof disk);
    memcpy(s->bytes + s->h.lists_off, lists, sizeof lists);
    memset(s->bytes + s->h.slot_rows_off, 0xff, (size_t)s->h.slot_count * 4);
    for (uint32_t i = 0, next = 0; i < 3; i++) {
        uint8_t *block = s->bytes + s->h.blocks_off + (size_t)le32_get(lists[i].page) * 4096;
        uint32_t slot = le32_get(lists[i].first_block) * 16;
        for (uint32_t j = list_rows[i]; list_rows[i] && j < 16; j++) block[2 * j + 1] = 0x7c;
        for (uint32_t j = 0; j < list_rows[i]; j++, slot++) {
            memcpy(s->bytes + s->h.slot_rows_off + (size_t)slot * 4, &rows[next++], 4);
        }
    }
    for (size_t row = 0; row < SMALL_ROWS; row++) {
        static const int32_t norm = -763;
        memcpy(s->bytes + s->h.norms_off + row * 4, &norm, 4);
    }
    assert_int_equal(s->len, s->h.norms_off + SMALL_ROWS * 4);
}

/* The offset of the finding, from slot_rows_off; or -1: none. */
static int64_t small_finding(const struct small *s)
{
    struct ivf_header h;
    struct vdb_error err = {0};
    assert_int_equal(ivf_header_decode(s->bytes, s->len, SMALL_ROWS, 2, 0, &h, &err), VDB_OK);
    if (ivf_header_validate(&h, s->bytes, 0, &err) == VDB_OK) return -1;
    return (int64_t)err.offset - (int64_t)h.slot_rows_off;
}

static void rows_in_lists(void **state)
{
    (void)state;
    struct small s;
    static const uint32_t each[3] = {2, 0, 2}, two[3] = {3, 2, 2}, three[3] = {3, 1, 3};
    small_make(&s, 0, each, (uint32_t[]){0, 3, 1, 2});
    assert_int_equal(small_finding(&s), -1);
    small_make(&s, DISK_IVF_SPILLED, each, (uint32_t[]){0, 3, 1, 2});
    assert_int_equal(small_finding(&s), -1);
    small_make(&s, 0, each, (uint32_t[]){0, 3, 1, 3}); /* and row 2 in none */
    assert_int_equal(small_finding(&s), 17 * 4);
    small_make(&s, DISK_IVF_SPILLED, each, (uint32_t[]){0, 3, 1, 3});
    assert_int_equal(small_finding(&s), 0);
    small_make(&s, DISK_IVF_SPILLED, two, (uint32_t[]){0, 1, 2, 0, 1, 2, 3});
    assert_int_equal(small_finding(&s), -1);
    small_make(&s, DISK_IVF_SPILLED, two, (uint32_t[]){0, 1, 2, 0, 3, 2, 0});
    assert_int_equal(small_finding(&s), 33 * 4); /* in all three */
    small_make(&s, DISK_IVF_SPILLED, three, (uint32_t[]){0, 1, 2, 3, 1, 0, 1});
    assert_int_equal(small_finding(&s), 34 * 4); /* twice in the last */
}

static void empty_lists_have_no_blocks(void **state)
{
    (void)state;
    struct small s;
    struct ivf_header h;
    struct ivf_view v;
    small_make(&s, 0, (uint32_t[]){0, 4, 0}, (uint32_t[]){0, 3, 1, 2});
    memset(s.bytes + s.h.lists_off, 0xff, 4); /* pages of lists without rows say nothing */
    memset(s.bytes + s.h.lists_off + 32, 0xff, 4);
    assert_int_equal(small_finding(&s), -1);
    assert_int_equal(ivf_header_decode(s.bytes, s.len, SMALL_ROWS, 2, 0, &h, NULL), VDB_OK);
    ivf_view_init(&v, &h, s.bytes);
    assert_null(v.matrix);
    assert_null(v.matrix_scales);
    assert_null(v.slot_codes);
    for (uint32_t i = 0; i < 3; i += 2) {
        struct ivf_list list = ivf_view_list(&v, i);
        assert_null(list.blocks);
        assert_int_equal(list.block_count, 0);
        assert_int_equal(list.row_count, 0);
    }
    assert_int_equal(ivf_view_list(&v, 1).row_count, 4);
    assert_ptr_equal(ivf_view_list(&v, 1).blocks, v.blocks);
}

static void norms_of_vectors(void **state)
{
    (void)state;
    struct small s;
    struct vdb_error err = {0};
    uint8_t vectors[SMALL_ROWS][64] = {{1, 2}, {1, 2}, {1, 2}, {1, 2}};
    small_make(&s, 0, (uint32_t[]){2, 0, 2}, (uint32_t[]){0, 3, 1, 2});
    assert_int_equal(ivf_header_validate_norms(&s.h, s.bytes, vectors[0], 64, 0, 0, NULL), VDB_OK);
    assert_int_equal(ivf_header_validate_norms(&s.h, s.bytes, vectors[0], 64, 0x80, 0, NULL),
                     VDB_CORRUPT);
    vectors[2][0]++;
    assert_int_equal(ivf_header_validate_norms(&s.h, s.bytes, vectors[0], 64, 0, 1000, &err),
                     VDB_CORRUPT);
    assert_int_equal(err.offset, 1000 + s.h.norms_off + 2 * 4);
    for (unsigned i = 0; i < SMALL_ROWS; i++) memcpy(vectors[i], "\x81\x82", 2);
    assert_int_equal(ivf_header_validate_norms(&s.h, s.bytes, vectors[0], 64, 0x80, 0, NULL),
                     VDB_OK);
    s.bytes[s.h.norms_off + 12]++;
    assert_int_equal(ivf_header_validate_norms(&s.h, s.bytes, vectors[0], 64, 0x80, 0, &err),
                     VDB_CORRUPT);
    assert_int_equal(err.offset, s.h.norms_off + 12);
    /* One a row is enough, however many slots there are. */
    struct ivf_header h;
    assert_true(s.h.slot_count > SMALL_ROWS);
    assert_int_equal(ivf_header_decode(s.bytes, s.len, SMALL_ROWS, 2, 0, &h, NULL), VDB_OK);
    assert_int_equal(ivf_header_decode(s.bytes, s.len - 1, SMALL_ROWS, 2, 0, &h, &err),
                     VDB_CORRUPT);
    assert_int_equal(err.offset, 136);
}

/* Lists with room for all rows, of which one is in none. */
static void rows_without_a_place(void **state)
{
    (void)state;
    struct example e;
    struct ivf_header h;
    struct vdb_error err = {0};
    read_example(&e);
    for (int list = 0; list < 2; list++)
        e.bytes.data[320 + 16 * list + (int)offsetof(struct disk_ivf_list, row_count)] = 1;
    assert_int_equal(ivf_header_decode(e.bytes.data, LEN, ROWS, DIM, 0, &h, &err), VDB_CORRUPT);
    assert_string_equal(err.message, "its lists have 2 places taken by 3 rows");
    example_release(&e);
}

/* The example with its norms in an array of their own, as for dimensions that leave no room behind
 * a code: then all bytes behind one are to be 0. */
static void norms_apart_from_codes(void **state)
{
    (void)state;
    enum { SLOTS = 32, APART = LEN + SLOTS * 4, CODES = 8320, CODE = 64 };
    struct example e;
    struct ivf_header h;
    struct vdb_error err = {0};
    uint8_t *p = calloc(APART, 1);
    le64 norms_off = le64_put(LEN);
    le32 norm_stride = le32_put(4);
    assert_non_null(p);
    read_example(&e);
    memcpy(p, e.bytes.data, LEN);
    memcpy(p + offsetof(struct disk_ivf_header, norms_off), &norms_off, 8);
    memcpy(p + offsetof(struct disk_ivf_header, norm_stride), &norm_stride, 4);
    for (size_t slot = 0; slot < SLOTS; slot++) {
        memcpy(p + LEN + slot * 4, p + CODES + slot * CODE + CODE - 4, 4);
        memset(p + CODES + slot * CODE + CODE - 4, 0, 4);
    }
    if (ivf_header_decode(p, APART, ROWS, DIM, 0, &h, &err)) fail_msg("%s", err.message);
    if (ivf_header_validate(&h, p, 0, &err)) fail_msg("%s", err.message);
    for (size_t at = DIM; at < CODE; at++) {
        p[CODES + at] = 1;
        assert_int_equal(ivf_header_validate(&h, p, 1000, &err), VDB_CORRUPT);
        assert_int_equal(err.offset, 1000 + CODES + at);
        p[CODES + at] = 0;
    }
    free(p);
    example_release(&e);
}

static void slot_codes_are_missed(void **state)
{
    (void)state;
    struct vdb_error err = {0};
    struct ivf_header h = {.scale = 1};
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_U8, VDB_METRIC_L2, 0, NULL), VDB_OK);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_U8, VDB_METRIC_IP, 0, NULL), VDB_OK);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_I8, VDB_METRIC_L2, 9, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 9 + 32);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_U8, VDB_METRIC_COSINE, 9, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 9 + 128);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_F32, VDB_METRIC_L2, 9, &err), VDB_CORRUPT);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_F16, VDB_METRIC_IP, 9, &err), VDB_CORRUPT);
    h.zero = 128;
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_I8, VDB_METRIC_L2, 0, NULL), VDB_OK);
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_U8, VDB_METRIC_L2, 0, NULL), VDB_CORRUPT);
    h.scale = 2;
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_I8, VDB_METRIC_L2, 0, NULL), VDB_CORRUPT);
    h.slot_codes_off = 4096;
    assert_int_equal(ivf_header_match(&h, VDB_TYPE_F32, VDB_METRIC_COSINE, 0, NULL), VDB_OK);
}

/* ---- hostile bytes ------------------------------------------------------------------------- */

/* Whatever was let through can be read as a search reads it. */
static void read_all(const uint8_t *p, size_t len, void *context)
{
    struct ivf_header h;
    struct ivf_view v;
    unsigned *sum = context;
    if (ivf_header_decode(p, len, ROWS, DIM, 0, &h, NULL) != VDB_OK) return;
    ivf_view_init(&v, &h, p);
    for (uint32_t i = 0; i < h.list_count; i++) {
        struct ivf_list list = ivf_view_list(&v, i);
        *sum += v.centroids[ivf_centroid_at(DIM, i, DIM - 1)] + (unsigned)v.centroid_norms[i];
        for (uint32_t j = 0; j < list.block_count * 16; j++) {
            size_t slot = list.first_slot + j;
            *sum += v.slot_rows[slot];
            *sum += v.slot_codes ? v.slot_codes[(slot + 1) * h.slot_code_stride - 1] : 0;
            *sum += v.slot_codes ? le32_at(v.norms + slot * h.norm_stride) : 0;
        }
        for (size_t j = 0; j < (size_t)list.block_count * v.block_bytes; j++)
            *sum += list.blocks[j];
    }
    for (size_t row = 0; row < ROWS && !v.slot_codes; row++)
        *sum += le32_at(v.norms + row * h.norm_stride);
    for (size_t i = 0; i < (size_t)h.code_count * 16 * h.sub_dim; i++)
        *sum += le32_at(v.codebook + i);
    for (size_t i = 0; v.matrix && i < (size_t)h.out_dim * h.code_bytes; i++) *sum += v.matrix[i];
    *sum += ivf_header_validate(&h, p, 0, NULL) == VDB_OK;
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    struct ivf_header h;
    (void)context;
    assert_int_equal(ivf_header_decode(p, len, ROWS, DIM, 0, &h, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct example e;
    unsigned sum = 0;
    read_example(&e);
    hostile_truncations(e.bytes.data, LEN, must_fail, NULL);
    hostile_flips(e.bytes.data, LEN, 50000, read_all, &sum);
    struct small s;
    small_make(&s, 0, (uint32_t[]){2, 0, 1}, (uint32_t[]){0, 2, 1});
    s.bytes[0] = ROWS;
    hostile_flips(s.bytes, s.len, 10000, read_all, &sum);
    assert_int_not_equal(sum, 0); /* so that nothing of it is left out by the compiler */
    example_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(view_of_the_example),
        cmocka_unit_test(places_of_centroids),
        cmocka_unit_test(layouts),
        cmocka_unit_test(layouts_beyond_32_bits),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(other_dimensions),
        cmocka_unit_test(rows_in_lists),
        cmocka_unit_test(empty_lists_have_no_blocks),
        cmocka_unit_test(norms_of_vectors),
        cmocka_unit_test(rows_without_a_place),
        cmocka_unit_test(norms_apart_from_codes),
        cmocka_unit_test(slot_codes_are_missed),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
