/* test_packed.c: packed blocks unpack to exactly what they say, or not at all.
 *
 * The LZ4 blocks here are written by hand from the description of the block format: a token of two
 * nibbles (literals, match length - 4), the literals, a u16 offset.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/packed.h"

/* A view over one block of the bytes given, which says that it unpacks to raw_len. */
struct single {
    struct disk_packed_block table;
    struct packed_view view;
};

static void single_init(struct single *s, uint32_t packing, const uint8_t *packed, uint32_t len,
                        uint32_t raw_len)
{
    s->table = (struct disk_packed_block){
        .packing = le32_put(packing), .raw_len = le32_put(raw_len), .packed_len = le32_put(len)};
    s->view = (struct packed_view){.segment = "test",
                                   .items = 1,
                                   .count = 1,
                                   .blocks = (const uint8_t *)&s->table,
                                   .data = packed,
                                   .data_len = len};
}

static void exact_length(void **state)
{
    (void)state;
    /* 1 literal, a match of 14 at distance 1, then 5 literals: 20 bytes. */
    static const uint8_t packed[] = {0x1a, 'a', 1, 0, 0x50, 'b', 'c', 'd', 'e', 'f'};
    for (uint32_t raw_len = 0; raw_len < 40; raw_len++) {
        struct single s;
        struct packed_block block = {0};
        single_init(&s, DISK_BLOCK_LZ4, packed, sizeof packed, raw_len);
        enum vdb_status status = packed_read(&s.view, 0, &block, NULL);
        assert_int_equal(status, raw_len == 20 ? VDB_OK : VDB_CORRUPT);
        assert_int_equal(block.count, raw_len == 20 ? 1 : 0);
        if (status == VDB_OK) {
            assert_int_equal(block.raw.len, 20);
            assert_memory_equal(block.raw.data, "aaaaaaaaaaaaaaabcdef", 20);
        }
        packed_block_release(&block);
    }
}

/* Six literals take seven bytes: such a block is to be stored. */
static void not_shorter(void **state)
{
    (void)state;
    static const uint8_t packed[] = {0x60, 'a', 'b', 'c', 'd', 'e', 'f'};
    struct single s;
    struct packed_block block = {0};
    single_init(&s, DISK_BLOCK_LZ4, packed, 7, 6);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    single_init(&s, DISK_BLOCK_STORED, packed + 1, 6, 6);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_OK);
    assert_memory_equal(block.raw.data, "abcdef", 6);
    single_init(&s, DISK_BLOCK_STORED, packed + 1, 6, 5);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    single_init(&s, 2, packed + 1, 6, 6);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    packed_block_release(&block);
}

static void matches_stay_inside(void **state)
{
    (void)state;
    static const uint8_t before[] = {0x1a, 'a', 2, 0, 0x50, 'b', 'c', 'd', 'e', 'f'};
    static const uint8_t beyond[] = {0xf0, 200, 'a', 'b'};
    struct single s;
    struct packed_block block = {0};
    single_init(&s, DISK_BLOCK_LZ4, before, sizeof before, 20);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    single_init(&s, DISK_BLOCK_LZ4, beyond, sizeof beyond, 215);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    packed_block_release(&block);
}

static void limits(void **state)
{
    (void)state;
    struct buf blocks = {0}, data = {0};
    struct single s;
    struct packed_block block = {0};
    uint8_t *raw = calloc(1, PACKED_RAW_MAX);
    assert_non_null(raw);
    assert_int_equal(packed_append(&blocks, &data, 0, 7, raw, PACKED_RAW_MAX, NULL), VDB_LIMIT);
    assert_int_equal(packed_append(&blocks, &data, 0, 7, raw, PACKED_RAW_MAX - 1, NULL), VDB_OK);
    assert_int_equal(blocks.len, 24);
    assert_true(data.len < 100000);
    single_init(&s, DISK_BLOCK_LZ4, data.data, (uint32_t)data.len, PACKED_RAW_MAX - 1);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_OK);
    assert_int_equal(block.raw.len, PACKED_RAW_MAX - 1);
    assert_memory_equal(block.raw.data, raw, block.raw.len);
    single_init(&s, DISK_BLOCK_STORED, raw, PACKED_RAW_MAX, PACKED_RAW_MAX);
    assert_int_equal(packed_read(&s.view, 0, &block, NULL), VDB_CORRUPT);
    packed_block_release(&block);
    buf_release(&blocks);
    buf_release(&data);
    free(raw);
}

static void finds(void **state)
{
    (void)state;
    static const uint32_t firsts[] = {0, 3, 4, 100, 4000000000};
    struct disk_packed_block table[5];
    struct packed_view view = {.items = 4200000000, .blocks = (const uint8_t *)table};
    for (uint32_t i = 0; i < 5; i++)
        table[i] = (struct disk_packed_block){.first = le32_put(firsts[i])};
    for (view.count = 1; view.count <= 5; view.count++) {
        for (uint32_t i = 0; i < view.count; i++) {
            assert_int_equal(packed_find(&view, firsts[i]), i);
            if (i) assert_int_equal(packed_find(&view, firsts[i] - 1), i - 1);
        }
        assert_int_equal(packed_find(&view, 4199999999), view.count - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_length),
        cmocka_unit_test(not_shorter),
        cmocka_unit_test(matches_stay_inside),
        cmocka_unit_test(limits),
        cmocka_unit_test(finds),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
