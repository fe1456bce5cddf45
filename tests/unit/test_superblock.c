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

#define SLOT 4096u

/* Offsets of format-spec/superblock.md. */
enum { VERSION = 8, HEADER_LEN = 12, RO_COMPAT = 24, INCOMPAT = 32, CHECK = 4088 };

static struct superblock sample(uint64_t generation)
{
    struct superblock sb = {
        .version_minor = 1,
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

static void slot_put(uint8_t slots[2 * SLOT], int slot, uint64_t generation)
{
    struct superblock sb = sample(generation);
    struct disk_superblock disk;
    superblock_encode(&sb, &disk);
    memcpy(slots + (size_t)slot * SLOT, &disk, SLOT);
}

/* After a change of a slot's bytes. */
static void slot_seal(uint8_t slots[2 * SLOT], int slot)
{
    uint8_t *p = slots + (size_t)slot * SLOT;
    uint64_t check = XXH3_64bits(p, CHECK);
    memcpy(p + CHECK, &check, sizeof check);
}

static void comes_back_as_it_went(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
    struct superblock want = sample(7), got;
    int slot = -1;
    slot_put(slots, 0, 7);
    assert_memory_equal(slots, "\x8fVDB\r\n\x1a\n", 8);
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, NULL), VDB_OK);
    assert_int_equal(slot, 0);
    assert_int_equal(got.version_major, 0);
    assert_int_equal(got.version_minor, 1);
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

static int chosen(const uint8_t slots[2 * SLOT], uint64_t *generation)
{
    struct superblock got;
    int slot = -1;
    assert_int_equal(superblock_choose(slots, 2 * SLOT, &got, &slot, NULL), VDB_OK);
    *generation = got.generation;
    return slot;
}

static void the_higher_generation_is_in_force(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
    uint64_t generation;
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    assert_int_equal(chosen(slots, &generation), 1);
    assert_int_equal(generation, 9);
    slot_put(slots, 0, 10);
    assert_int_equal(chosen(slots, &generation), 0);
    assert_int_equal(generation, 10);
}

/* A crash in the middle of writing the newer slot leaves the older one in force, whichever it is
 * and wherever it tore. */
static void a_torn_slot_is_passed_over(void **state)
{
    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        for (size_t cut = 0; cut < SLOT; cut += 63) {
            uint8_t slots[2 * SLOT] = {0};
            uint64_t generation;
            slot_put(slots, torn, 9);
            slot_put(slots, 1 - torn, 8);
            memset(slots + (size_t)torn * SLOT + cut, 0, SLOT - cut);
            assert_int_equal(chosen(slots, &generation), 1 - torn);
            assert_int_equal(generation, 8);
        }
    }
}

static void both_torn_is_damage(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
    struct superblock got;
    struct vdb_error err = {0};
    int slot;
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    slots[200] ^= 1;
    slots[SLOT + 3000] ^= 1;
    assert_int_equal(superblock_choose(slots, sizeof slots, &got, &slot, &err), VDB_CORRUPT);
    assert_string_equal(err.segment, "superblock");
    assert_int_equal(err.offset, 0);
}

static void what_is_not_ours(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
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

static void expect_unsupported(const uint8_t slots[2 * SLOT], const char *words, uint64_t offset)
{
    struct superblock got;
    struct vdb_error err = {0};
    int slot;
    assert_int_equal(superblock_choose(slots, 2 * SLOT, &got, &slot, &err), VDB_UNSUPPORTED);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    assert_string_equal(err.segment, "superblock");
    assert_int_equal(err.offset, offset);
}

static void unknown_versions_are_named(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
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
    uint8_t slots[2 * SLOT] = {0};
    slot_put(slots, 0, 8);
    slot_put(slots, 1, 9);
    slots[SLOT + VERSION] = 1;
    slot_seal(slots, 1);
    expect_unsupported(slots, "1.1", SLOT + VERSION);
    slot_put(slots, 0, 9);
    slot_put(slots, 1, 8);
    slots[INCOMPAT] = 1;
    slot_seal(slots, 0);
    expect_unsupported(slots, "incompat bit 0", INCOMPAT);
}

static void incompat_bits_are_named(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t slots[2 * SLOT] = {0};
        char words[32];
        slot_put(slots, 0, 1);
        slots[INCOMPAT + bit / 8] |= (uint8_t)(1u << (bit % 8));
        slot_seal(slots, 0);
        snprintf(words, sizeof words, "incompat bit %u ", bit);
        expect_unsupported(slots, words, INCOMPAT);
    }
}

static void ro_compat_bits_are_let_through(void **state)
{
    (void)state;
    uint8_t slots[2 * SLOT] = {0};
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
    uint8_t slots[2 * SLOT] = {0};
    struct superblock got;
    struct vdb_error err = {0};
    slot_put(slots, 0, 1);
    slots[HEADER_LEN] = 1;
    slot_seal(slots, 0);
    assert_int_equal(superblock_decode(slots, SLOT, 0, &got, &err), VDB_CORRUPT);
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
    uint8_t slots[2 * SLOT] = {0};
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
        cmocka_unit_test(ro_compat_bits_are_let_through),
        cmocka_unit_test(a_wrong_header_length_is_damage),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
