/* test_id_hash.c: an id-hash segment finds every row of an id, whatever the ids.
 *
 * The bytes of nine rows are those of the worked example of format-spec/ids.md; else expected rows
 * come from a look at all of them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/checksum.h"
#include "format/id_hash.h"
#include "hostile.h"

/* Buckets and entries of the ids "a" to "i"; the header is in the test. */
static const uint32_t EXAMPLE[] = {0,          2, 5,          7, 9,          0, 0x0ff25ace, 8,
                                   0x9ff3ba9a, 5, 0x44d8843f, 1, 0xc9c7a7ca, 3, 0xf5ef6a66, 7,
                                   0x46b9f81b, 2, 0xf2f9b697, 6, 0x1e964e1f, 0, 0x3bec4a78, 4};

struct fixture { /* an id segment and its hash */
    uint32_t rows;
    struct buf ids, hash;
    struct ids_view ids_view;
    struct id_hash_view view;
    uint64_t *hashes;
};

/* Row r has the id number r % distinct: a letter where these suffice, else a number. */
static void set_up(struct fixture *f, uint32_t rows, uint32_t distinct)
{
    struct ids_builder b = {0};
    *f = (struct fixture){.rows = rows, .hashes = calloc(rows + 1, 8)};
    assert_non_null(f->hashes);
    for (uint32_t row = 0; row < rows; row++) {
        char id[16];
        unsigned n = row % distinct;
        size_t len = (size_t)(distinct <= 26 ? snprintf(id, sizeof id, "%c", (int)('a' + n))
                                             : snprintf(id, sizeof id, "%u", n));
        assert_int_equal(ids_builder_add(&b, id, len, NULL), VDB_OK);
        f->hashes[row] = checksum(id, len);
    }
    assert_int_equal(ids_builder_finish(&b, &f->ids, NULL), VDB_OK);
    assert_int_equal(id_hash_build(f->hashes, rows, &f->hash, NULL), VDB_OK);
    assert_int_equal(ids_view_init(&f->ids_view, f->ids.data, f->ids.len, rows, 0, NULL), VDB_OK);
    assert_int_equal(id_hash_view_init(&f->view, f->hash.data, f->hash.len, rows, 0, NULL), VDB_OK);
    ids_builder_release(&b);
}

static void tear_down(struct fixture *f)
{
    buf_release(&f->ids);
    buf_release(&f->hash);
    free(f->hashes);
}

static void example_of_the_spec(void **state)
{
    (void)state;
    uint64_t hashes[9];
    struct buf buf = {0};
    uint8_t header[64] = {9, 0, 0, 0, 2, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x58};
    for (int i = 0; i < 9; i++) hashes[i] = checksum(&"abcdefghi"[i], 1);
    assert_int_equal(buf_append(&buf, "before", 6), 0);
    assert_int_equal(id_hash_build(hashes, 9, &buf, NULL), VDB_OK);
    assert_int_equal(buf.len, 6 + 64 + sizeof EXAMPLE);
    assert_memory_equal(buf.data + 6, header, 64);
    assert_memory_equal(buf.data + 6 + 64, EXAMPLE, sizeof EXAMPLE);
    buf_release(&buf);
}

/* Every id is found with all its rows, in order, and with no row of a different tag. */
static void finds_all(struct fixture *f, uint32_t distinct)
{
    for (uint32_t number = 0; number < distinct && number < f->rows; number++) {
        uint64_t hash = f->hashes[number];
        uint32_t first, count, expected = number, hits = 0;
        assert_int_equal(id_hash_find(&f->view, hash, &first, &count, NULL), VDB_OK);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row;
            assert_int_equal(id_hash_row(&f->view, first + i, &row, NULL), VDB_OK);
            assert_int_equal((uint32_t)f->hashes[row], (uint32_t)hash);
            if (f->hashes[row] != hash) continue;
            assert_int_equal(row, expected);
            expected += distinct;
            hits++;
        }
        assert_int_equal(hits, (f->rows - number + distinct - 1) / distinct);
    }
}

static void round_trip(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {{1, 1},   {4, 4},   {5, 5},        {8, 8},    {9, 9},
                                        {63, 63}, {64, 64}, {1000, 7},     {5000, 1}, {5000, 5000},
                                        {17, 16}, {33, 32}, {40000, 40000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        set_up(&f, cases[i][0], cases[i][1]);
        finds_all(&f, cases[i][1]);
        assert_int_equal(id_hash_validate(&f.view, &f.ids_view, NULL), VDB_OK);
        uint32_t first, count;
        uint64_t other = checksum("no such id", 10);
        assert_int_equal(id_hash_find(&f.view, other, &first, &count, NULL), VDB_OK);
        assert_int_equal(count, 0);
        tear_down(&f);
    }
}

static void no_rows(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t first, count, row;
    set_up(&f, 0, 1);
    assert_int_equal(id_hash_find(&f.view, 77, &first, &count, NULL), VDB_OK);
    assert_int_equal(count, 0);
    assert_int_equal(id_hash_row(&f.view, 0, &row, NULL), VDB_NOT_FOUND);
    assert_int_equal(id_hash_validate(&f.view, &f.ids_view, NULL), VDB_OK);
    tear_down(&f);
}

/* Hashes chosen to fall into one bucket, tags falling: the order must come out, and fast. */
static void one_bucket(void **state)
{
    (void)state;
    enum { N = 200000 };
    uint64_t *hashes = malloc(N * sizeof *hashes);
    struct buf buf = {0};
    struct id_hash_view view;
    assert_non_null(hashes);
    for (uint32_t row = 0; row < N; row++) hashes[row] = 0xffff000000000000 | (N - row);
    assert_int_equal(id_hash_build(hashes, N, &buf, NULL), VDB_OK);
    assert_int_equal(id_hash_view_init(&view, buf.data, buf.len, N, 0, NULL), VDB_OK);
    for (uint32_t row = 0; row < N; row += 997) {
        uint32_t first, count, got;
        assert_int_equal(id_hash_find(&view, hashes[row], &first, &count, NULL), VDB_OK);
        assert_int_equal(count, 1);
        assert_int_equal(id_hash_row(&view, first, &got, NULL), VDB_OK);
        assert_int_equal(got, row);
    }
    buf_release(&buf);
    free(hashes);
}

/* The greatest tag has no successor in 32 bits. */
static void greatest_tag(void **state)
{
    (void)state;
    uint64_t hashes[3] = {0x00000000ffffffff, 0x0000000000000000, 0x00000001ffffffff};
    struct buf buf = {0};
    struct id_hash_view view;
    uint32_t first, count;
    assert_int_equal(id_hash_build(hashes, 3, &buf, NULL), VDB_OK);
    assert_int_equal(id_hash_view_init(&view, buf.data, buf.len, 3, 0, NULL), VDB_OK);
    assert_int_equal(id_hash_find(&view, hashes[0], &first, &count, NULL), VDB_OK);
    assert_int_equal(first, 1);
    assert_int_equal(count, 2);
    buf_release(&buf);
}

/* A word of the segment of nine ids changed: who finds it, and where. */
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
        {0, 8, INIT, 0},

        {4, 31, INIT, 4},
        {4, 30, INIT, 8},
        {8, 0x42, INIT, 8},
        {12, 0x80000000, INIT, 8},
        {16, 0x5c, INIT, 16},
        {16, 0x60, INIT, 16},
        {20, 0xffffffff, INIT, 16},
        {64, 1, VALIDATE, 64},  /* the first bucket does not begin at 0 */
        {68, 10, VALIDATE, 64}, /* ends behind the entries */
        {72, 1, VALIDATE, 68},  /* ends before it begins */
        {80, 8, VALIDATE, 80},  /* the last entry is of no bucket */
        {88, 1, VALIDATE, 88},  /* a tag */
        {92, 7, VALIDATE, 88},  /* a row that has another hash */
        {92, 9, VALIDATE, 88},  /* a row that is not there */
        {68, 1, VALIDATE, 96},  /* an entry in its neighbour's bucket */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        set_up(&f, 9, 9);
        memcpy(f.hash.data + cases[i].at, &cases[i].value, 4);
        struct vdb_error err = {0};
        struct id_hash_view view;
        enum vdb_status status = id_hash_view_init(&view, f.hash.data, f.hash.len, 9, 1000, &err);
        if (cases[i].found_by == VALIDATE) {
            assert_int_equal(status, VDB_OK);
            status = id_hash_validate(&view, &f.ids_view, &err);
        }
        assert_int_equal(status, VDB_CORRUPT);
        assert_string_equal(err.segment, "id-hash");
        assert_int_equal(err.offset, 1000 + cases[i].offset);
        tear_down(&f);
    }
}

static void order_is_verified(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 40, 1); /* forty rows of one id */
    uint64_t two[2];
    struct vdb_error err = {0};
    uint64_t entries = 64 + ((1 << 4) + 1 + 1) * 4; /* 16 buckets */
    memcpy(two, f.hash.data + entries, 16);
    uint64_t swapped[2] = {two[1], two[0]}, twice[2] = {two[0], two[0]};
    memcpy(f.hash.data + entries, swapped, 16);
    assert_int_equal(id_hash_validate(&f.view, &f.ids_view, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, entries + 8);
    memcpy(f.hash.data + entries, twice, 16);
    assert_int_equal(id_hash_validate(&f.view, &f.ids_view, &err), VDB_CORRUPT);
    assert_int_equal(err.offset, entries + 8);
    memcpy(f.hash.data + entries, two, 16);
    assert_int_equal(id_hash_validate(&f.view, &f.ids_view, &err), VDB_OK);
    f.ids_view.rows--;
    assert_int_equal(id_hash_validate(&f.view, &f.ids_view, &err), VDB_CORRUPT);
    assert_non_null(strstr(err.message, "it is of other ids"));
    tear_down(&f);
}

static void read_all(const uint8_t *p, size_t len, void *context)
{
    struct fixture *f = context;
    struct id_hash_view view;
    if (id_hash_view_init(&view, p, len, f->rows, 0, NULL) != VDB_OK) return;
    for (uint32_t i = 0; i < f->rows; i++) {
        uint32_t first, count, row;
        if (id_hash_find(&view, f->hashes[i], &first, &count, NULL) != VDB_OK) continue;
        assert_true(count <= f->rows && first <= f->rows - count);
        for (uint32_t j = first; j < first + count; j++)
            if (id_hash_row(&view, j, &row, NULL) == VDB_OK) assert_true(row < f->rows);
    }
    (void)id_hash_validate(&view, &f->ids_view, NULL);
}

static void must_fail(const uint8_t *p, size_t len, void *context)
{
    struct id_hash_view view;
    uint32_t rows = ((struct fixture *)context)->rows;
    assert_int_equal(id_hash_view_init(&view, p, len, rows, 0, NULL), VDB_CORRUPT);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 70, 35);
    hostile_truncations(f.hash.data, f.hash.len, must_fail, &f);
    hostile_flips(f.hash.data, f.hash.len, 5000, read_all, &f);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_the_spec),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(one_bucket),
        cmocka_unit_test(greatest_tag),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(order_is_verified),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
