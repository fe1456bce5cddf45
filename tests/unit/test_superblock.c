/* test_superblock.c: which of the two slots is in force, and what each kind of damage is called.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "format/superblock.h"
#include "hostile.h"

/* Bytes of a slot, and from the first to the second. */
#define SLOT   512u
#define STRIDE 4096u

/* Offsets of format-spec/superblock.md. */
enum { VERSION = 8, HEADER_LEN = 12, RO_COMPAT = 24, INCOMPAT = 32, GENERATION = 56, CHECK = 504 };

static struct superblock sample(uint64_t generation)
{
    struct superblock sb = {
        .version_minor = 9,
        .compat = 5,
        .generation = generation,
        .manifest_off = 8192 + generation,
        .manifest_len = 256,
        .log_off = 16384,
        .log_end = 65536,
        .log_check = 0x0123456789abcdef,
        .file_end = 65536,
        .flags = 1,
    };
    for (uint8_t i = 0; i < 16; i++) sb.file_id[i] = (uint8_t)(i * 3);
    return sb;
}

static void slot_put(uint8_t slots[2 * STRIDE], int slot, uint64_t generation)
{
    struct superblock sb = sample(generation);
    struct disk_superblock disk;
    superblock_encode(&sb, &disk);
    assert_int_equal(sizeof disk, SLOT);
    memcpy(slots + (size_t)slot * STRIDE, &disk, SLOT);
}

/* After a change of a slot's bytes. */
static void slot_seal(uint8_t slots[2 * STRIDE], int slot)
{
    uint8_t *p = slots + (size_t)slot * STRIDE;
    uint64_t check = XXH3_64bits(p, CHECK);
    memcpy(p + CHECK, &check, sizeof check);
}

static void comes_back_as_it_went(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    struct superblock want = sample(7), got;
    int slot = -1;
    slot_put(slots, 0, 7);
    assert_memory_equal(slots, "\x8fVDB\r\n\x1a\n", 8);
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, NULL), VDB_OK);
    assert_int_equal(slot, 0);
    assert_int_equal(got.version_major, 0);
    assert_int_equal(got.version_minor, 9);
    assert_int_equal(got.compat, want.compat);
    assert_memory_equal(got.file_id, want.file_id, 16);
    assert_int_equal(got.generation, 7);
    assert_int_equal(got.manifest_off, want.manifest_off);
    assert_int_equal(got.manifest_len, want.manifest_len);
    assert_int_equal(got.log_off, want.log_off);
    assert_int_equal(got.log_end, want.log_end);
    assert_int_equal(got.log_check, want.log_check);
    assert_int_equal(got.file_end, want.file_end);
    assert_int_equal(got.flags, want.flags);
}

static int chosen(const uint8_t slots[2 * STRIDE], uint64_t *generation)
{
    struct superblock got;
    int slot = -1;
    assert_int_equal(superblock_choose(slots, 2 * STRIDE, &got, &slot, NULL), VDB_OK);
    *generation = got.generation;
    return slot;
}

static void the_higher_generation_is_in_force(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    uint64_t generation;
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    assert_int_equal(chosen(slots, &generation), 1);
    assert_int_equal(generation, 9);
    slot_put(slots, 0, 10);
    assert_int_equal(chosen(slots, &generation), 0);
    assert_int_equal(generation, 10);
}

/* Of the newer slot a part is there, before or behind any byte, and of what it was to replace the
 * rest: the other slot is in force. */
static void a_torn_slot_is_passed_over(void **state)
{
    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        for (size_t cut = 0; cut <= 2 * SLOT; cut++) {
            uint8_t slots[2 * STRIDE] = {0}, newer[2 * STRIDE] = {0};
            uint64_t generation;
            size_t begin = cut < SLOT ? 0 : cut - SLOT, end = cut < SLOT ? cut : SLOT;
            size_t off = (size_t)torn * STRIDE;
            bool whole = begin <= GENERATION && end == SLOT; /* what is before is the same */
            slot_put(slots, torn, 7);
            slot_put(slots, 1 - torn, 8);
            slot_put(newer, torn, 9);
            memcpy(slots + off + begin, newer + off + begin, end - begin);
            assert_int_equal(chosen(slots, &generation), whole ? torn : 1 - torn);
            assert_int_equal(generation, whole ? 9 : 8);
        }
    }
}

static void both_torn_is_damage(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    struct superblock got;
    struct vdb_error err = {0};
    int slot;
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    slots[200] ^= 1;
    slots[STRIDE + 300] ^= 1;
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, &err), VDB_CORRUPT);
    assert_string_equal(err.segment, "superblock");
    assert_int_equal(err.offset, 0);
}

static void what_is_not_ours(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    struct superblock got;
    struct vdb_error err = {0};
    int slot;
    memcpy(slots, "SQLite format 3", 16);
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, &err), VDB_CORRUPT);
    assert_string_equal(err.message, "not a vdb index");
    /* What a transfer as text makes of the magic. */
    slot_put(slots, 0, 1);
    memmove(slots + 4, slots + 5, 100);
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, &err), VDB_CORRUPT);
}

static void expect_unsupported(const uint8_t slots[2 * STRIDE], const char *words, uint64_t offset)
{
    struct superblock got;
    struct vdb_error err = {0};
    int slot;
    assert_int_equal(superblock_choose(slots, 2 * STRIDE, &got, &slot, &err), VDB_UNSUPPORTED);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    assert_string_equal(err.segment, "superblock");
    assert_int_equal(err.offset, offset);
}

static void unknown_versions_are_named(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    slot_put(slots, 0, 1);
    slots[VERSION] = 3;
    slots[VERSION + 2] = 17;
    expect_unsupported(slots, "3.17", VERSION); /* even where the check is computed otherwise */
    slot_seal(slots, 0);
    expect_unsupported(slots, "3.17", VERSION);
}

/* The newer slot is of a version not known here: what the older one says is not the state. */
static void a_newer_unsupported_slot_rules(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    slots[STRIDE + VERSION] = 1;
    slot_seal(slots, 1);
    expect_unsupported(slots, "1.9", STRIDE + VERSION);
    slot_put(slots, 0, 9);
    slot_put(slots, 1, 8);
    slots[INCOMPAT] = 1;
    slot_seal(slots, 0);
    expect_unsupported(slots, "binary vectors (incompat bit 0)", INCOMPAT);
    /* Who asks for no words gets the status. */
    struct superblock got;
    int slot;
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, NULL), VDB_UNSUPPORTED);
    assert_int_equal(superblock_decode(slots, SLOT, 0, &got, NULL), VDB_UNSUPPORTED);
    slots[INCOMPAT] = 0;
    slots[VERSION] = 1;
    slot_seal(slots, 0);
    assert_int_equal(superblock_decode(slots, SLOT, 0, &got, NULL), VDB_UNSUPPORTED);
}

static void incompat_bits_are_named(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t slots[2 * STRIDE] = {0};
        char words[32];
        slot_put(slots, 0, 1);
        slots[INCOMPAT + bit / 8] |= (uint8_t)(1u << (bit % 8));
        slot_seal(slots, 0);
        snprintf(words, sizeof words, "(incompat bit %u),", bit);
        expect_unsupported(slots, words, INCOMPAT);
    }
}

/* What a later minor version adds is in the masks. */
static void later_minor_versions_are_read(void **state)
{
    (void)state;
    for (unsigned minor = 0; minor < 0x10000; minor++) {
        uint8_t slots[2 * STRIDE] = {0};
        struct superblock got;
        int slot;
        slot_put(slots, 0, 1);
        slots[VERSION + 2] = (uint8_t)minor;
        slots[VERSION + 3] = (uint8_t)(minor >> 8);
        slot_seal(slots, 0);
        enum vdb_status status = superblock_choose(slots, sizeof slots, &got, &slot, NULL);
        assert_int_equal(status, minor < 9 ? VDB_UNSUPPORTED : VDB_OK);
        if (!status) assert_int_equal(got.version_minor, minor);
    }
}

static void ro_compat_bits_are_let_through(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    struct superblock got;
    int slot;
    slot_put(slots, 0, 1);
    slots[RO_COMPAT + 7] = 0x80;
    slot_seal(slots, 0);
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, NULL), VDB_OK);
    assert_int_equal(got.ro_compat, (uint64_t)1 << 63);
}

static void a_wrong_header_length_is_damage(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    struct superblock got;
    struct vdb_error err = {0};
    slot_put(slots, 0, 1);
    slots[HEADER_LEN] = 1;
    slot_seal(slots, 0);
    assert_int_equal(superblock_decode(slots, SLOT, 0, &got, &err), VDB_CORRUPT);
}

/* A disk that writes sectors whole cannot tear what lies in one. */
static void a_slot_lies_in_one_sector(void **state)
{
    (void)state;
    struct superblock sb = sample(1);
    struct {
        struct disk_superblock slot;
        uint8_t behind;
    } disk = {.behind = 0xa5};
    superblock_encode(&sb, &disk.slot);
    assert_int_equal(sizeof disk.slot, 512);
    assert_int_equal(disk.behind, 0xa5);
    uint64_t check = XXH3_64bits(&disk, CHECK), said;
    memcpy(&said, (uint8_t *)&disk + CHECK, sizeof said);
    assert_int_equal(said, check);
    const uint8_t *length = (uint8_t *)&disk + HEADER_LEN;
    assert_memory_equal(length, "\0\2\0\0", 4);
}

/* What lies between the slots is nobody's. */
static void padding_is_not_looked_at(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE];
    uint64_t generation;
    memset(slots, 0xff, sizeof slots);
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    assert_int_equal(chosen(slots, &generation), 1);
    assert_int_equal(generation, 9);
    slots[STRIDE + CHECK] ^= 1;
    assert_int_equal(chosen(slots, &generation), 0);
    assert_int_equal(generation, 8);
}

/* A slot of version 0.1, whose check was at the end of 4,096 bytes. */
static void an_older_layout_is_told_by_its_version(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    for (int slot = 0; slot < 2; slot++) {
        slot_put(slots, slot, 1);
        uint8_t *p = slots + (size_t)slot * STRIDE;
        p[VERSION + 2] = 1;
        memcpy(p + HEADER_LEN, "\0\x10\0\0", 4);
        memset(p + CHECK, 0, 8);
        uint64_t check = XXH3_64bits(p, 4088);
        memcpy(p + 4088, &check, sizeof check);
    }
    expect_unsupported(slots, "version 0.1 is not known here (this is 0.9)", VERSION);
}

static void choose_any(const uint8_t *p, size_t len, void *context)
{
    struct superblock got;
    struct vdb_error err = {0};
    int slot = -1;
    (void)context;
    enum vdb_status status = superblock_choose(p, len, &got, &slot, &err);
    if (!status) assert_in_range(slot, 0, 1);
    if (status) assert_true(err.message[0]);
}

/* Whole slots or none: what is cut off inside slot 0 is refused, inside slot 1 is slot 0's. */
static void truncated(const uint8_t *p, size_t len, void *context)
{
    struct superblock got;
    int slot = -1;
    (void)context;
    enum vdb_status status = superblock_choose(p, len, &got, &slot, NULL);
    assert_int_equal(status, len < SLOT ? VDB_CORRUPT : VDB_OK);
}

static void hostile_bytes(void **state)
{
    (void)state;
    uint8_t slots[2 * STRIDE] = {0};
    slot_put(slots, 0, 1);
    slot_put(slots, 1, 2);
    hostile_truncations(slots, sizeof slots, truncated, NULL);
    hostile_flips(slots, sizeof slots, 5000, choose_any, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_went),
        cmocka_unit_test(the_higher_generation_is_in_force),
        cmocka_unit_test(a_torn_slot_is_passed_over),
        cmocka_unit_test(both_torn_is_damage),
        cmocka_unit_test(what_is_not_ours),
        cmocka_unit_test(unknown_versions_are_named),
        cmocka_unit_test(a_newer_unsupported_slot_rules),
        cmocka_unit_test(incompat_bits_are_named),
        cmocka_unit_test(later_minor_versions_are_read),
        cmocka_unit_test(ro_compat_bits_are_let_through),
        cmocka_unit_test(a_wrong_header_length_is_damage),
        cmocka_unit_test(a_slot_lies_in_one_sector),
        cmocka_unit_test(padding_is_not_looked_at),
        cmocka_unit_test(an_older_layout_is_told_by_its_version),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
