/* test_check_log.c: where the log ends: a last record that is whole but for one bit is damage, one
 * that a crash cut short is not.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/le.h"
#include "format/disk.h"
#include "store_fixture.h"

enum { DIM = 8, SECTOR = 512 };

/* Where the last record begins, by what spec says of them: one behind another, each as long as its
 * head says. */
static uint64_t last_record(const struct buf *bytes, uint64_t *length)
{
    uint64_t at = le64_at(bytes->data + 80), last = 0;
    while (memcmp(bytes->data + at, "VREC", 4) == 0) {
        last = at;
        *length = le64_at(bytes->data + at + 8);
        at += *length;
    }
    assert_int_not_equal(last, 0);
    return last;
}

/* A log whose last record is, in turn, of rows with metadata, of events alone, of a name. */
static uint64_t make(int last, struct buf *bytes, uint64_t *length)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = DIM;
    remove(store_path("x.vdb"));
    struct vdb *db = store_create("x.vdb", options);
    store_add_many(db, 0, 20, DIM);
    if (last == 0) store_add_many(db, 20, 40, DIM);
    if (last == 1) store_delete(db, 3);
    if (last == 2) must(vdb_name_create(db, "spring", 6, NULL, &err), &err);
    vdb_close(db);
    bytes->len = 0;
    store_read("x.vdb", bytes);
    return last_record(bytes, length);
}

static void each_bit_of_the_last_record_is_found(void **state)
{
    (void)state;
    for (int last = 0; last < 3; last++) {
        struct buf bytes = {0};
        uint64_t length, at = make(last, &bytes, &length);
        for (uint64_t i = 0; i < length; i++)
            for (unsigned j = 0; j < 8; j++) {
                if (i >= 192 && (i % 7 || j != i % 8)) continue; /* the others are as these */
                struct vdb_error finding = {0};
                bytes.data[at + i] ^= (uint8_t)(1u << j);
                store_write("y.vdb", &bytes);
                uint64_t findings = store_check("y.vdb", 1, &finding);
                bytes.data[at + i] ^= (uint8_t)(1u << j);
                if (findings != 1 || strcmp(finding.segment, "log") != 0 || finding.offset != at)
                    fail_msg("record %d, bit %u of byte %llu: %llu findings, %s at %llu", last, j,
                             (unsigned long long)i, (unsigned long long)findings,
                             findings ? finding.segment : "none",
                             (unsigned long long)finding.offset);
            }
        buf_release(&bytes);
    }
}

/* Of a record that was being written there are its first sectors, or all but one. */
static void a_record_cut_short_is_no_damage(void **state)
{
    (void)state;
    struct buf bytes = {0}, torn = {0};
    uint64_t length, at = make(0, &bytes, &length);
    uint64_t end = at + length;
    assert_true(end - at > 2 * SECTOR);
    for (uint64_t from = at - at % SECTOR; from < end; from += SECTOR)
        for (int rest = 0; rest < 2; rest++) {
            uint64_t begin = from < at ? at : from;
            uint64_t stop = rest || from + SECTOR > end ? end : from + SECTOR;
            torn.len = 0;
            assert_int_equal(buf_append(&torn, bytes.data, bytes.len), 0);
            memset(torn.data + begin, 0, stop - begin);
            store_write("y.vdb", &torn);
            assert_int_equal(store_check("y.vdb", 1, NULL), 0);
        }
    /* And two bits, which no other record is behind, cannot be told from that. */
    bytes.data[at + 100] ^= 3;
    store_write("y.vdb", &bytes);
    assert_int_equal(store_check("y.vdb", 1, NULL), 0);
    buf_release(&bytes);
    buf_release(&torn);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(each_bit_of_the_last_record_is_found),
        test(a_record_cut_short_is_no_damage),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
