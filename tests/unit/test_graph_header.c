/* test_graph_header.c: graph headers as bytes and back, and graphs that break the rules.
 *
 * The bytes are those of the worked example of format-spec/graph.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/graph_header.h"
#include "hostile.h"

#define NONE 0xff, 0xff, 0xff, 0xff

/* The pivot at 128 is row 0; its norm at 192, 0xffff1500, and its code at 256. */
static const uint8_t EXAMPLE[0x170] = {
    [0] = 3,
    [4] = 4,
    [8] = 1,
    [12] = 0x64,
    [16] = 0x80,
    [24] = 0x40,
    [25] = 1,
    [32] = 0xb0,
    [33] = 4,
    [36] = 0x40,
    [41] = 1,
    [48] = 0xc0,
    [56] = 4,
    [193] = 0x15,
    [194] = 0xff,
    [195] = 0xff,
    [256] = 0xc0,
    [257] = 0x60,
    [258] = 0x80,
    [259] = 0x90,
    /* clang-format off */
    [320] = 1, 0, 0, 0, 2, 0, 0, 0, NONE, NONE, /* row 0 */
            0, 0, 0, 0, NONE, NONE, NONE,       /* row 1 */
            0, 0, 0, 0, 1, 0, 0, 0, NONE, NONE, /* row 2 */
    /* clang-format on */
};

static void example_of_the_spec(void **state)
{
    (void)state;
    struct graph_header h = {.rows = 3,
                             .degree = 4,
                             .pivot_count = 1,
                             .ef_construction = 100,
                             .alpha_milli = 1200,
                             .code_bytes = 64,
                             .norm_bytes = 4},
                        got;
    struct disk_graph_header disk;
    assert_int_equal(graph_header_layout(&h), sizeof EXAMPLE);
    graph_header_encode(&h, &disk);
    assert_int_equal(sizeof disk, 128);
    assert_memory_equal(&disk, EXAMPLE, sizeof disk);
    assert_int_equal(graph_header_decode(EXAMPLE, sizeof EXAMPLE, 3, 0, &got, NULL), VDB_OK);
    assert_int_equal(got.rows, 3);
    assert_int_equal(got.degree, 4);
    assert_int_equal(got.pivot_count, 1);
    assert_int_equal(got.ef_construction, 100);
    assert_int_equal(got.alpha_milli, 1200);
    assert_int_equal(got.pivots_off, 128);
    assert_int_equal(got.pivot_norms_off, 192);
    assert_int_equal(got.pivot_codes_off, 256);
    assert_int_equal(got.edges_off, 320);
    assert_int_equal(got.built_rows, 3);
    assert_int_equal(graph_header_validate(&got, EXAMPLE, 0, NULL), VDB_OK);
}

/* None, and more than there are, are all. */
static void rows_built_at_once(void **state)
{
    (void)state;
    static const struct {
        uint8_t stored;
        uint32_t rows;
    } cases[] = {{0, 3}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {255, 3}};
    uint8_t bytes[sizeof EXAMPLE];
    memcpy(bytes, EXAMPLE, sizeof bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph_header got;
        struct disk_graph_header disk;
        bytes[100] = cases[i].stored;
        assert_int_equal(graph_header_decode(bytes, sizeof bytes, 3, 0, &got, NULL), VDB_OK);
        assert_int_equal(got.built_rows, cases[i].rows);
        graph_header_encode(&got, &disk);
        assert_int_equal(le32_get(disk.built_rows), cases[i].rows < 3 ? cases[i].rows : 0);
    }
}

/* What is no grid is as if there were none: nothing but a merge asks for it. */
static void the_grid_it_was_built_by(void **state)
{
    (void)state;
    static const struct {
        uint32_t scale, zero; /* as stored */
        float got_scale;
        int32_t got_zero;
    } cases[] = {
        {0x3f000000, 128, 0.5f, 128},
        {0x00800000, 0xffc00000, 0x1p-126f, -4194304},
        {0x3f000000, 4194559, 0.5f, 4194559},
        {0, 0, 0, 0},
        {0, 128, 0, 0},
        {0x80000000, 128, 0, 0},     /* -0 */
        {0xbf000000, 128, 0, 0},     /* -0.5 */
        {0x7f800000, 128, 0, 0},     /* infinite */
        {0x7fc00000, 128, 0, 0},     /* no number */
        {0x3f000000, 4194560, 0, 0}, /* too far from the codes */
        {0x3f000000, 0xffbfffff, 0, 0},
    };
    uint8_t bytes[sizeof EXAMPLE];
    memcpy(bytes, EXAMPLE, sizeof bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph_header got;
        struct disk_graph_header disk;
        for (int j = 0; j < 4; j++) {
            bytes[112 + j] = (uint8_t)(cases[i].scale >> 8 * j);
            bytes[116 + j] = (uint8_t)(cases[i].zero >> 8 * j);
        }
        assert_int_equal(graph_header_decode(bytes, sizeof bytes, 3, 0, &got, NULL), VDB_OK);
        assert_true(got.grid_scale == cases[i].got_scale);
        assert_int_equal(got.grid_zero, cases[i].got_zero);
        graph_header_encode(&got, &disk);
        if (got.grid_scale > 0) assert_memory_equal(&disk, bytes, sizeof disk);
    }
}

static void layouts(void **state)
{
    (void)state;
    struct graph_header h = {.rows = 0xfffffffe, .degree = 256, .pivot_count = 17};
    assert_int_equal(graph_header_layout(&h), 256 + (uint64_t)0xfffffffe * 1024);
    assert_int_equal(h.pivots_off, 128);
    assert_int_equal(h.edges_off, 256);
    h.pivot_count = 16;
    (void)graph_header_layout(&h);
    assert_int_equal(h.edges_off, 192);
}

static void damage_is_named(void **state)
{
    (void)state;
    enum { INIT, VALIDATE };
    static const struct {
        size_t at;
        uint32_t value;
        int found_by;
        uint64_t offset;
    } cases[] = {
        {0, 4, INIT, 0},
        {4, 0, INIT, 4},
        {4, 257, INIT, 4},
        {4, 5, INIT, 24}, /* more edges than there are */
        {8, 0, INIT, 8},
        {8, 4, INIT, 8}, /* more pivots than rows */
        {16, 0x81, INIT, 16},
        {16, 0x180, INIT, 16}, /* pivots beyond the end */
        {20, 0x80000000, INIT, 16},
        {24, 0x144, INIT, 24}, /* not aligned */
        {24, 0x180, INIT, 24},
        {28, 0xffffffff, INIT, 24},
        {128, 3, VALIDATE, 128}, /* a pivot that is not there */
        {128, 0xffffffff, VALIDATE, 128},
        {36, 0, INIT, 36},   /* a norm without a code */
        {36, 32, INIT, 36},  /* not a multiple of 64 */
        {36, 128, INIT, 40}, /* more of a code than there is */
        {40, 0x101, INIT, 40},
        {44, 1, INIT, 40},
        {48, 0xc1, INIT, 48},
        {48, 0x180, INIT, 48},
        {56, 0, INIT, 36},
        {324, 3, VALIDATE, 324},          /* an edge to nowhere */
        {320, 0, VALIDATE, 320},          /* to itself */
        {324, 1, VALIDATE, 324},          /* twice */
        {320, 0xffffffff, VALIDATE, 324}, /* behind an empty place */
        {364, 0xfffffffe, VALIDATE, 364},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof EXAMPLE];
        struct graph_header h;
        struct vdb_error err = {0};
        memcpy(bytes, EXAMPLE, sizeof bytes);
        memcpy(bytes + cases[i].at, &cases[i].value, 4);
        enum vdb_status status = graph_header_decode(bytes, sizeof bytes, 3, 1000, &h, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = graph_header_validate(&h, bytes, 1000, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 1000 + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
        assert_string_equal(err.segment, "graph");
    }
}

/* The rows of EXAMPLE as an HNSW: the sizes 2 and 1 at 192, members 1 and 0 at 256, their edges,
 * two a member, at 320. */
static const uint8_t LEVELS[0x1b0] = {
    [0] = 3,
    [4] = 4,
    [8] = 1,
    [12] = 0x64,
    [16] = 0x80,
    [24] = 0x80,
    [25] = 1,
    [32] = 0x4c,
    [33] = 4,
    [60] = 3,
    [64] = 2,
    [68] = 2,
    [72] = 0xc0,
    [81] = 1,
    [88] = 0x40,
    [89] = 1,
    [128] = 1,
    [192] = 2,
    [196] = 1,
    [256] = 1,
    /* clang-format off */
    [320] = 1, 0, 0, 0, NONE, /* level 1, member 0 */
            0, 0, 0, 0, NONE, /* member 1 */
            NONE, NONE,       /* level 2, member 0 */
    [384] = 1, 0, 0, 0, 2, 0, 0, 0, NONE, NONE, /* row 0 */
            0, 0, 0, 0, NONE, NONE, NONE,       /* row 1 */
            0, 0, 0, 0, 1, 0, 0, 0, NONE, NONE, /* row 2 */
    /* clang-format on */
};

static void damaged_levels_are_named(void **state)
{
    (void)state;
    enum { INIT, VALIDATE };
    static const struct {
        size_t at;
        uint32_t value;
        int found_by;
        uint64_t offset;
    } cases[] = {
        {60, 18, INIT, 60},         {60, 0, INIT, 64}, /* a degree without levels */
        {60, 1, INIT, 68},                             /* members without levels for them */
        {60, 4, INIT, 200},                            /* a level without members */
        {64, 0, INIT, 64},          {64, 257, INIT, 64},
        {64, 64, INIT, 88}, /* more edges than there are */
        {68, 0, INIT, 68},          {68, 4, INIT, 68},
        {68, 3, INIT, 192}, /* not the size of level 1 */
        {72, 0xc1, INIT, 72},       {72, 0x1c0, INIT, 72},
        {76, 1, INIT, 72},          {80, 0x104, INIT, 80},
        {84, 0x80000000, INIT, 80}, {88, 0x1c0, INIT, 88},
        {92, 0xffffffff, INIT, 88}, {192, 1, INIT, 192},
        {196, 0, INIT, 196},        {196, 3, INIT, 196},     /* more than below */
        {256, 3, VALIDATE, 256},                             /* a member that is no row */
        {260, 1, VALIDATE, 260},                             /* a row that is two members */
        {256, 2, VALIDATE, 128},                             /* not the pivot */
        {128, 0, VALIDATE, 128},    {320, 2, VALIDATE, 320}, /* to a member that is not there */
        {320, 0, VALIDATE, 320},                             /* to itself */
        {324, 1, VALIDATE, 324},                             /* twice */
        {336, 1, VALIDATE, 336}, /* to a member of the level below alone */
        {388, 3, VALIDATE, 388}, /* level 0 as ever */
    };
    struct graph_header h;
    struct vdb_error err = {0};
    assert_int_equal(graph_header_decode(LEVELS, sizeof LEVELS, 3, 0, &h, &err), VDB_OK);
    assert_int_equal(graph_header_validate(&h, LEVELS, 0, &err), VDB_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[sizeof LEVELS];
        memcpy(bytes, LEVELS, sizeof bytes);
        memcpy(bytes + cases[i].at, &cases[i].value, 4);
        enum vdb_status status = graph_header_decode(bytes, sizeof bytes, 3, 1000, &h, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = graph_header_validate(&h, bytes, 1000, &err);
        }
        if (status != VDB_CORRUPT || err.offset != 1000 + cases[i].offset)
            fail_msg("case %zu: status %d at %d", i, (int)status, (int)err.offset);
    }
}

/* Levels are entered by one pivot; one level alone has no members above it. */
static void levels_and_their_pivot(void **state)
{
    (void)state;
    uint8_t bytes[sizeof LEVELS];
    struct graph_header h;
    struct vdb_error err = {0};
    memcpy(bytes, LEVELS, sizeof bytes);
    bytes[offsetof(struct disk_graph_header, pivot_count)] = 2;
    bytes[128 + 4] = bytes[128] ? 0 : 1;
    assert_int_equal(graph_header_decode(bytes, sizeof bytes, 3, 1000, &h, &err), VDB_OK);
    assert_int_equal(graph_header_validate(&h, bytes, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1128);
    assert_non_null(strstr(err.message, "but by 2 pivots"));
    memcpy(bytes, LEVELS, sizeof bytes);
    bytes[offsetof(struct disk_graph_header, level_count)] = 1;
    bytes[offsetof(struct disk_graph_header, member_count)] = 0;
    assert_int_equal(graph_header_decode(bytes, sizeof bytes, 3, 1000, &h, &err), VDB_OK);
    assert_int_equal(graph_header_validate(&h, bytes, 1000, &err), VDB_OK);
}

/* Seven pivots in groups of two leaders, behind pivots at 128: groups at 192. */
static void groups_are_checked(void **state)
{
    (void)state;
    struct graph_header h = {.rows = 7, .degree = 1, .pivot_count = 7, .leader_count = 2}, got;
    struct disk_graph_header disk;
    uint8_t bytes[256 + 7 * 4];
    assert_int_equal(graph_header_layout(&h), sizeof bytes);
    assert_int_equal(h.groups_off, 192);
    assert_int_equal(h.edges_off, 256);
    static const struct {
        uint32_t leaders, ends[2];
        uint64_t offset; /* of the fault, 0: none */
    } cases[] = {
        {2, {4, 7}, 0},   {2, {2, 7}, 0},   {2, {7, 7}, 0},
        {2, {1, 7}, 192}, {2, {8, 8}, 192}, {2, {5, 4}, 196},
        {2, {4, 6}, 196}, {8, {4, 7}, 96},  {2, {4, 0xffffffff}, 196},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vdb_error err = {0};
        memset(bytes, 0, sizeof bytes);
        h.leader_count = cases[i].leaders;
        graph_header_encode(&h, &disk);
        memcpy(bytes, &disk, sizeof disk);
        memcpy(bytes + 192, cases[i].ends, 8);
        enum vdb_status status = graph_header_decode(bytes, sizeof bytes, 7, 1000, &got, &err);
        if (status != (cases[i].offset ? VDB_CORRUPT : VDB_OK)) fail_msg("case %zu", i);
        if (status) assert_int_equal(err.offset, 1000 + cases[i].offset);
    }
    h.leader_count = 2;
    h.groups_off = 264; /* not aligned, and beyond the end */
    graph_header_encode(&h, &disk);
    memcpy(bytes, &disk, sizeof disk);
    assert_int_equal(graph_header_decode(bytes, sizeof bytes, 7, 0, &got, NULL), VDB_CORRUPT);
}

/* Copies that are not those of the row, or of another width than the codes. */
static void copies_are_compared(void **state)
{
    (void)state;
    uint8_t file[4 * 64] = {0xc0, 0x60, 0x80, 0x90, [192] = 0, 0x15, 0xff, 0xff};
    struct code_header codes = {
        .rows = 3, .codes = {0, 64, 64}, .norms = {192, 4, 4}, .kind = DISK_CODE_SQ8};
    struct graph_header h;
    struct vdb_error err = {0};
    assert_int_equal(graph_header_decode(EXAMPLE, sizeof EXAMPLE, 3, 0, &h, NULL), VDB_OK);
    assert_int_equal(graph_header_match(&h, &codes, 0, NULL), VDB_OK);
    assert_int_equal(graph_header_validate_copies(&h, EXAMPLE, &codes, file, 0, NULL), VDB_OK);
    /* A row that is none has been told of by then; there may be no copies. */
    struct graph_header other = h;
    other.rows = 0;
    assert_int_equal(graph_header_validate_copies(&other, EXAMPLE, &codes, file, 0, NULL), VDB_OK);
    other.code_bytes = other.norm_bytes = 0;
    assert_int_equal(graph_header_match(&other, &codes, 0, NULL), VDB_OK);
    assert_int_equal(graph_header_validate_copies(&other, EXAMPLE, &codes, file, 0, NULL), VDB_OK);
    file[3]++;
    assert_int_equal(graph_header_validate_copies(&h, EXAMPLE, &codes, file, 1000, &err),
                     VDB_CORRUPT);
    assert_int_equal(err.offset, 1256);
    file[3]--;
    file[195]--;
    assert_int_equal(graph_header_validate_copies(&h, EXAMPLE, &codes, file, 1000, &err),
                     VDB_CORRUPT);
    assert_int_equal(err.offset, 1192);
    codes.norms.width = 8;
    assert_int_equal(graph_header_match(&h, &codes, 1000, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, 1036);
    codes.norms.width = 4;
    codes.codes.width = 128;
    assert_int_equal(graph_header_match(&h, &codes, 0, NULL), VDB_CORRUPT);
}

/* rows * degree * 4 passes 2^32 and 2^41: the product must not wrap. */
static void products(void **state)
{
    (void)state;
    uint8_t bytes[sizeof EXAMPLE];
    struct graph_header h;
    static const uint32_t rows[] = {4, 0x01000000, 0x40000000, 0x40000001, 0xfffffffe};
    memcpy(bytes, EXAMPLE, sizeof bytes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint32_t degree = 4; degree <= 256; degree *= 2) {
            memcpy(bytes, &rows[i], 4);
            memcpy(bytes + 4, &degree, 4);
            assert_int_equal(graph_header_decode(bytes, sizeof bytes, rows[i], 0, &h, NULL),
                             VDB_CORRUPT);
        }
    }
}

static void no_rows(void **state)
{
    (void)state;
    struct graph_header h = {.rows = 0, .degree = 32}, got;
    struct disk_graph_header disk;
    assert_int_equal(graph_header_layout(&h), 128);
    graph_header_encode(&h, &disk);
    assert_int_equal(graph_header_decode(&disk, sizeof disk, 0, 0, &got, NULL), VDB_OK);
    assert_int_equal(graph_header_validate(&got, &disk, 0, NULL), VDB_OK);
}

static void read_all(const uint8_t *p, size_t len, void *context)
{
    struct graph_header h;
    (void)context;
    if (graph_header_decode(p, len, 3, 0, &h, NULL) == VDB_OK)
        (void)graph_header_validate(&h, p, 0, NULL);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    struct graph_header h;
    (void)context;
    assert_int_equal(graph_header_decode(p, len, 3, 0, &h, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    hostile_truncations(EXAMPLE, sizeof EXAMPLE, must_fail, NULL);
    hostile_flips(EXAMPLE, sizeof EXAMPLE, 50000, read_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_spec),
        cmocka_unit_test(rows_built_at_once),
        cmocka_unit_test(the_grid_it_was_built_by),
        cmocka_unit_test(layouts),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(damaged_levels_are_named),
        cmocka_unit_test(levels_and_their_pivot),
        cmocka_unit_test(groups_are_checked),
        cmocka_unit_test(copies_are_compared),
        cmocka_unit_test(products),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
