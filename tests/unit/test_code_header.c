/* test_code_header.c: code headers as bytes and back, and planes that stay where they belong.
 *
 * The bytes are those of the worked example of format-spec/codes.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/code_header.h"
#include "hostile.h"

#define AT       0x20000 /* the segment in the file of the example */
#define FILE_LEN (AT + 0x180)

static const uint8_t HEADER[128] = {
    [0] = 1,     [8] = 3,  [12] = 4, [16] = 0xc0, [18] = 2,    [24] = 0x40, [28] = 0x40,
    [32] = 0x80, [34] = 2, [40] = 4, [44] = 4,    [51] = 0x3c, [52] = 0x80};

static const struct code_header NATIVE = {
    .kind = 1,
    .rows = 3,
    .dim = 4,
    .codes = {0x200c0, 64, 64},
    .norms = {0x20080, 4, 4},
    .scale = 0.0078125f,
    .zero = 128,
};

static const uint8_t CODES[3][4] = {
    {0xc0, 0x60, 0x80, 0x90}, {0x40, 0xe0, 0xa0, 0x00}, {0x80, 0x80, 0xc0, 0xc0}};
static const uint8_t NORMS[12] = {0x00, 0x15, 0xff, 0xff, 0x00, 0x78,
                                  0xff, 0xff, 0x00, 0x20, 0xff, 0xff};

/* A file with the segment at AT and nothing before it. */
static uint8_t *make_file(void)
{
    uint8_t *file = calloc(1, FILE_LEN);
    assert_non_null(file);
    memcpy(file + AT, HEADER, sizeof HEADER);
    memcpy(file + AT + 0x80, NORMS, sizeof NORMS);
    for (size_t row = 0; row < 3; row++) memcpy(file + AT + 0xc0 + row * 64, CODES[row], 4);
    return file;
}

static void example_of_the_spec(void **state)
{
    (void)state;
    struct disk_code_header disk;
    struct code_header got;
    code_header_encode(&NATIVE, &disk);
    assert_int_equal(sizeof disk, sizeof HEADER);
    assert_memory_equal(&disk, HEADER, sizeof HEADER);
    assert_int_equal(code_header_decode(HEADER, sizeof HEADER, 3, 4, AT, FILE_LEN, &got, NULL),
                     VDB_OK);
    assert_int_equal(got.kind, 1);
    assert_int_equal(got.flags, 0);
    assert_int_equal(got.rows, 3);
    assert_int_equal(got.dim, 4);
    assert_int_equal(got.codes.off, 0x200c0);
    assert_int_equal(got.codes.stride, 64);
    assert_int_equal(got.codes.width, 64);
    assert_int_equal(got.norms.off, 0x20080);
    assert_int_equal(got.norms.stride, 4);
    assert_true(got.scale == 0.0078125f);
    assert_int_equal(got.zero, 128);
}

static void widths(void **state)
{
    (void)state;
    assert_int_equal(code_width(DISK_CODE_SQ8, 1), 64);
    assert_int_equal(code_width(DISK_CODE_SQ8, 64), 64);
    assert_int_equal(code_width(DISK_CODE_SQ8, 65), 128);
    assert_int_equal(code_width(DISK_CODE_SQ8, 784), 832);
    assert_int_equal(code_width(DISK_CODE_SQ8, 65535), 65536);
    assert_int_equal(code_width(DISK_CODE_SQ4, 1), 64);
    assert_int_equal(code_width(DISK_CODE_SQ4, 128), 64);
    assert_int_equal(code_width(DISK_CODE_SQ4, 129), 128);
    assert_int_equal(code_width(DISK_CODE_SQ4, 784), 448);
    assert_int_equal(code_width(DISK_CODE_SQ4, 65535), 32768);
    assert_int_equal(code_norm_width(DISK_CODE_SQ8), 4);
    assert_int_equal(code_norm_width(DISK_CODE_SQ4), 8);
}

/* A 4-bit segment of 3 rows of 200 dimensions: its center, then rows of 128 bytes, 100 of which are
 * codes, the norm being the last 8. */
#define DIM4  200
#define LEN4  (0x80 + 0x340 + 3 * 0x80)
#define NORM4 120

static const struct code_header NATIVE4 = {
    .kind = 2,
    .flags = DISK_CODE_ROTATED,
    .rows = 3,
    .dim = DIM4,
    .codes = {AT + 0x3c0, 128, 128},
    .norms = {AT + 0x3c0 + NORM4, 128, 8},
    .scale = 1,
    .bias = -0.5f,
    .error = 0.25f,
    .center_off = AT + 0x80,
};

/* By the offsets of format-spec/codes.md. */
static const uint8_t HEADER4[128] = {
    [0] = 2,     [4] = 4,     [8] = 3,     [12] = 200,  [16] = 0xc0, [17] = 3,    [18] = 2,
    [24] = 0x80, [28] = 0x80, [32] = 0x38, [33] = 4,    [34] = 2,    [40] = 0x80, [44] = 8,
    [50] = 0x80, [51] = 0x3f, [59] = 0xbf, [62] = 0x80, [63] = 0x3e, [64] = 0x80, [66] = 2};

struct damage {
    size_t at, size;
    uint64_t value, offset;
};

static void damage_named(const uint8_t header[128], uint32_t dim, uint64_t file_len,
                         const struct damage *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[128];
        struct code_header got;
        struct vdb_error err = {0};
        memcpy(bytes, header, sizeof bytes);
        memcpy(bytes + cases[i].at, &cases[i].value, cases[i].size);
        enum vdb_status status = code_header_decode(bytes, 128, 3, dim, AT, file_len, &got, &err);
        if (status != VDB_CORRUPT || err.offset != AT + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
        assert_string_equal(err.segment, "code");
    }
}

static void four_bits(void **state)
{
    (void)state;
    struct disk_code_header disk;
    struct code_header got;
    code_header_encode(&NATIVE4, &disk);
    assert_memory_equal(&disk, HEADER4, sizeof HEADER4);
    assert_int_equal(code_header_decode(HEADER4, 128, 3, DIM4, AT, AT + LEN4, &got, NULL), VDB_OK);
    assert_int_equal(got.kind, 2);
    assert_int_equal(got.flags, DISK_CODE_ROTATED);
    assert_int_equal(got.codes.width, 128);
    assert_int_equal(got.norms.width, 8);
    assert_true(got.bias == -0.5f && got.error == 0.25f);
    assert_int_equal(got.center_off, AT + 0x80);
}

static void damage_of_four_bits_is_named(void **state)
{
    (void)state;
    static const struct damage cases[] = {
        {0, 2, 1, 4},     /* SQ8 knows no rotation */
        {0, 2, 3, 0},     /* no such kind */
        {4, 4, 1, 4},     /* signed codes of 4 bits */
        {4, 4, 8, 4},     /* an unknown flag */
        {24, 4, 192, 16}, /* leaves the file */
        {28, 4, 64, 16},  /* a width that is not that of 200 dimensions */
        {28, 4, 256, 16},
        {32, 8, 0x204b8, 32},    /* norms leave the file by a row */
        {44, 4, 4, 32},          /* a norm of SQ8 */
        {56, 4, 0x7f800000, 56}, /* bias: infinite, NaN */
        {56, 4, 0xffc00000, 56},
        {60, 4, 0x7f800000, 60}, /* error: infinite, NaN, below 0 */
        {60, 4, 0x7fc00000, 60},
        {60, 4, 0xbf800000, 60},
        {64, 8, 0, 64},                  /* no center */
        {64, 8, 0x20084, 64},            /* not aligned */
        {64, 8, AT + LEN4 - 768, 64},    /* leaves the file by 32 bytes */
        {64, 8, 0xffffffffffffffc0, 64}, /* wraps around */
    };
    damage_named(HEADER4, DIM4, AT + LEN4, cases, sizeof cases / sizeof cases[0]);
}

static void center_in_its_segment(void **state)
{
    (void)state;
    struct code_header h = NATIVE4;
    struct vdb_error err = {0};
    assert_int_equal(code_header_check_planes(&h, AT, LEN4, 0x10000, 0x200, &err), VDB_OK);
    h.center_off = AT + 0x40; /* into the header */
    assert_int_equal(code_header_check_planes(&h, AT, LEN4, 0x10000, 0x200, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, AT + 64);
    h.center_off = 0x10000; /* in the vectors */
    assert_int_equal(code_header_check_planes(&h, AT, LEN4, 0x10000, 0x400, &err), VDB_CORRUPT);
    h.center_off = AT + LEN4 - 800 + 64; /* to behind the end */
    assert_int_equal(code_header_check_planes(&h, AT, LEN4, 0x10000, 0x200, &err), VDB_CORRUPT);
}

static uint8_t *make_file4(void)
{
    uint8_t *file = calloc(1, AT + LEN4);
    assert_non_null(file);
    memcpy(file + AT, HEADER4, sizeof HEADER4);
    for (size_t row = 0; row < 3; row++) {
        uint8_t *at = file + AT + 0x3c0 + row * 128;
        static const float factors[2] = {3.5f, 0.25f};
        memset(at, (int)(0x11 * (row + 1)), 100);
        memcpy(at + NORM4, factors, sizeof factors);
    }
    return file;
}

/* A factor is finite and not below 0; what is behind the codes is zero but for them. */
static void validation_of_four_bits(void **state)
{
    (void)state;
    uint8_t *file = make_file4();
    uint8_t *row = file + AT + 0x3c0 + 128;
    struct vdb_error err = {0};
    static const uint32_t bad[] = {0x7f800000, 0x7fc00000, 0xff800000, 0xbf800000, 0x80000001};
    assert_int_equal(code_header_validate(&NATIVE4, file, &err), VDB_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t at = 0; at < 8; at += 4) {
            uint32_t before;
            memcpy(&before, row + NORM4 + at, 4);
            memcpy(row + NORM4 + at, &bad[i], 4);
            assert_int_equal(code_header_validate(&NATIVE4, file, &err), VDB_CORRUPT);
            assert_int_equal(err.offset, AT + 0x3c0 + 128 + NORM4);
            memcpy(row + NORM4 + at, &before, 4);
        }
    row[99] = 0xff; /* the last byte of codes */
    assert_int_equal(code_header_validate(&NATIVE4, file, &err), VDB_OK);
    for (size_t i = 100; i < NORM4; i++) {
        row[i] = 1;
        assert_int_equal(code_header_validate(&NATIVE4, file, &err), VDB_CORRUPT);
        assert_int_equal(err.offset, AT + 0x3c0 + 128 + i);
        row[i] = 0;
    }
    free(file);
}

/* One field set to a value that may not be; NATIVE's fields stand for all others. */
static void damage_is_named(void **state)
{
    (void)state;
    static const struct damage cases[] = {
        {0, 2, 0, 0},
        {0, 2, 3, 0},
        {0, 2, 2, 32},        /* codes of 4 bits have norms of other widths */
        {4, 4, 4, 4},         /* an unknown flag */
        {8, 4, 4, 8},         /* rows */
        {12, 4, 5, 12},       /* dim */
        {16, 8, 0x200bf, 16}, /* not aligned */
        {16, 8, 0x20100, 16}, /* the last row leaves the file */
        {16, 8, 0xffffffffffffffc0, 16},
        {24, 4, 63, 16}, /* rows overlap */
        {24, 4, 0, 16},
        {24, 4, 65, 16},  /* rows that are not aligned */
        {24, 4, 128, 16}, /* leaves the file by a row */
        {24, 4, 0xffffffff, 16},
        {28, 4, 4, 16}, /* a width that is not dim's */
        {28, 4, 128, 16},
        {32, 8, 0x20175, 32}, /* norms leave the file */
        {32, 8, 0x8000000000000000, 32},
        {40, 4, 3, 32},
        {40, 4, 0xfffffffe, 32},
        {44, 4, 8, 32},
        {48, 4, 0, 48},          /* 0 */
        {48, 4, 0xbc000000, 48}, /* below */
        {48, 4, 0x80000000, 48}, /* -0 */
        {48, 4, 0x7f800000, 48}, /* infinite */
        {48, 4, 0x7fc00000, 48}, /* NaN */
        {52, 4, 4194560, 52},    /* the zero is at most 4,194,304 + 255 */
        {52, 4, 0xffbfffff, 52}, /* and at least -4,194,304 */
        {64, 8, 0x20080, 64},    /* SQ8 has no center */
    };
    damage_named(HEADER, 4, FILE_LEN, cases, sizeof cases / sizeof cases[0]);
}

static void limits_that_fit(void **state)
{
    (void)state;
    struct disk_code_header disk;
    struct code_header h = NATIVE, got;
    h.norms.off = FILE_LEN - 12; /* to the last byte */
    h.flags = DISK_CODE_SIGNED | DISK_CODE_NORMALIZE;
    h.zero = 4194559;
    h.scale = 1e-45f;
    code_header_encode(&h, &disk);
    assert_int_equal(code_header_decode(&disk, sizeof disk, 3, 4, AT, FILE_LEN, &got, NULL),
                     VDB_OK);
    assert_int_equal(got.flags, 3);
    assert_true(got.scale == h.scale);
    h.rows = 0xfffffffe; /* the product of rows and stride passes 2^32, but not the file */
    h.codes.stride = h.norms.stride = 0x10000;
    h.norms.off = h.codes.off = 0x20000;
    code_header_encode(&h, &disk);
    uint64_t end = 0x20000 + (uint64_t)0xfffffffd * 0x10000 + 64;
    assert_int_equal(code_header_decode(&disk, 128, h.rows, 4, AT, end, &got, NULL), VDB_OK);
    assert_int_equal(code_header_decode(&disk, 128, h.rows, 4, AT, end - 1, &got, NULL),
                     VDB_CORRUPT);
    h.rows = 3;
    h.codes.stride = 0x10020; /* a multiple of 32, not of 64 */
    code_header_encode(&h, &disk);
    assert_int_equal(code_header_decode(&disk, 128, 3, 4, AT, end, &got, NULL), VDB_CORRUPT);
}

static void planes_in_their_segments(void **state)
{
    (void)state;
    struct code_header h = NATIVE;
    assert_int_equal(code_header_check_planes(&h, AT, 0x180, 0x10000, 0x100, NULL), VDB_OK);
    assert_int_equal(code_header_check_planes(&h, AT, 0x17f, 0x10000, 0x100, NULL), VDB_CORRUPT);
    h.norms.off = AT + 0x7f; /* into the header */
    assert_int_equal(code_header_check_planes(&h, AT, 0x180, 0x10000, 0x100, NULL), VDB_CORRUPT);
    h.norms.off = AT + 0x80;
    h.codes.off = 0x10000;
    assert_int_equal(code_header_check_planes(&h, AT, 0x180, 0x10000, 0xc0, NULL), VDB_OK);
    assert_int_equal(code_header_check_planes(&h, AT, 0x180, 0x10000, 0xbf, NULL), VDB_CORRUPT);
    assert_int_equal(code_header_check_planes(&h, AT, 0x180, 0x10040, 0xc0, NULL), VDB_CORRUPT);
    assert_int_equal(code_header_check_planes(&h, AT, 0x7f, 0x10000, 0xc0, NULL), VDB_CORRUPT);
}

static void deep_validation(void **state)
{
    (void)state;
    uint8_t *file = make_file();
    struct code_header h = NATIVE;
    struct vdb_error err = {0};
    assert_int_equal(code_header_validate(&h, file, &err), VDB_OK);
    file[AT + 0xc0 + 64 + 3] = 1; /* a code of row 1 */
    assert_int_equal(code_header_validate(&h, file, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, AT + 0x84);
    file[AT + 0xc0 + 64 + 3] = 0;
    file[AT + 0xc0 + 128 + 63] = 1; /* behind the codes of row 2 */
    assert_int_equal(code_header_validate(&h, file, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, AT + 0xc0 + 128 + 63);
    file[AT + 0xc0 + 128 + 63] = 0;
    /* As i8, byte b is the code b + 128: norms by the definition, in this order of rows. */
    h.flags = DISK_CODE_SIGNED;
    for (size_t row = 0; row < 3; row++) {
        int32_t norm = 0;
        for (size_t i = 0; i < 4; i++) {
            int c = (int8_t)CODES[row][i] + 128;
            norm += c * c - 256 * c;
        }
        memcpy(file + AT + 0x80 + row * 4, &norm, 4);
    }
    assert_int_equal(code_header_validate(&h, file, &err), VDB_OK);
    free(file);
}

/* What is let through can be computed with: the last row's value is inside the file. */
static void decode(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct code_header h;
    if (len < FILE_LEN || code_header_decode(p + AT, len - AT, 3, 4, AT, len, &h, NULL) != VDB_OK)
        return;
    (void)code_header_validate(&h, p, NULL);
}

static void decode_header(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct code_header h;
    assert_int_equal(code_header_decode(p, len, 3, 4, AT, FILE_LEN, &h, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    uint8_t *file = make_file();
    uint64_t random = 3;
    hostile_truncations(HEADER, sizeof HEADER, decode_header, NULL);
    for (int i = 0; i < 3000; i++) {
        uint8_t before[128];
        memcpy(before, file + AT, 128);
        for (int j = 0; j < 3; j++)
            file[AT + hostile_random(&random) % 56] = (uint8_t)hostile_random(&random);
        if (i % 3 == 0) memcpy(file + AT, before, 52); /* so that some come through */
        hostile_copy(file, FILE_LEN, decode, NULL);
        memcpy(file + AT, before, 128);
    }
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_spec),
        cmocka_unit_test(widths),
        cmocka_unit_test(four_bits),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(damage_of_four_bits_is_named),
        cmocka_unit_test(limits_that_fit),
        cmocka_unit_test(planes_in_their_segments),
        cmocka_unit_test(center_in_its_segment),
        cmocka_unit_test(deep_validation),
        cmocka_unit_test(validation_of_four_bits),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
