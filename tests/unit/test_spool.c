/* test_spool.c: bytes gathered in memory and beyond come back in order, and no file is left.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "db/spool.h"
#include "store_fixture.h"

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *directory = opendir(store_path("."));
    assert_non_null(directory);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static void gather(size_t total, size_t piece)
{
    struct spool spool;
    struct osfile file;
    struct buf want = {0}, got = {0};
    struct vdb_error err;
    struct checksum_state check;
    uint64_t seed = total + 1;
    char beside[512];
    strcpy(beside, store_path("x"));
    spool_init(&spool, beside);
    unsigned before = entries();
    while (want.len < total) {
        uint8_t bytes[5000];
        size_t len = total - want.len < piece ? total - want.len : piece;
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(store_random(&seed) >> 33);
        must(spool_append(&spool, bytes, len, &err), &err);
        assert_int_equal(buf_append(&want, bytes, len), 0);
    }
    assert_int_equal(spool_len(&spool), total);
    assert_int_equal(entries(), before);
    for (size_t at = 0; at < total; at += 1 + total / 9) {
        size_t len = total - at;
        uint8_t *part = malloc(len);
        assert_non_null(part);
        must(spool_read(&spool, at, part, len, &err), &err);
        assert_memory_equal(part, want.data + at, len);
        free(part);
    }
    assert_int_equal(osfile_create(&file, store_path("to"), 0600), 0);
    checksum_init(&check);
    must(spool_copy(&spool, &file, 777, &check, NULL, &err), &err);
    osfile_close(&file);
    spool_release(&spool);
    assert_int_equal(checksum_end(&check), XXH3_64bits(want.data, total));
    store_read("to", &got);
    if (total) {
        assert_int_equal(got.len, 777 + total);
        assert_memory_equal(got.data + 777, want.data, total);
    }
    assert_int_equal(osfile_unlink(store_path("to")), 0);
    buf_release(&want);
    buf_release(&got);
}

static void comes_back_in_order(void **state)
{
    (void)state;
    gather(0, 1);
    gather(1000, 7);
    gather((size_t)4 << 20, 4096);       /* as much as memory takes */
    gather(((size_t)4 << 20) + 1, 4096); /* and one more */
    gather((size_t)13 << 20, 4999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_in_order, store_setup, store_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
