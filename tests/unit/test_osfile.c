/* test_osfile.c: the seam to the system: renames that do not replace, mappings of any range, and
 * reads that stop at the file's end.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/osfile.h"
#include "store_fixture.h"

static void opening(void **state)
{
    (void)state;
    struct osfile a, b;
    assert_int_equal(osfile_open(&a, store_path("none"), false), ENOENT);
    assert_int_equal(osfile_create(&a, store_path("a"), 0640), 0);
    assert_int_equal(osfile_create(&b, store_path("a"), 0640), EEXIST);
    assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(osfile_duplicate(&a, &b), 0);
    assert_true(a.fd != b.fd);
    assert_true(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
    osfile_close(&a);
    assert_int_equal(a.fd, -1);
    osfile_close(&a); /* a second time is no harm */
    assert_int_equal(osfile_write(&b, 0, "x", 1), 0);
    osfile_close(&b);
    assert_int_equal(osfile_create_unnamed(&a, store_path("whatever")), 0);
    struct osfile_stat found;
    assert_int_equal(osfile_stat(&a, &found), 0);
    assert_int_equal(found.links, 0);
    assert_true(found.regular);
    osfile_close(&a);
}

static void reading_and_mapping(void **state)
{
    (void)state;
    struct osfile file;
    enum { LEN = 20000 };
    uint8_t bytes[LEN], got[LEN + 10];
    size_t n;
    for (size_t i = 0; i < LEN; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(osfile_create(&file, store_path("a"), 0600), 0);
    assert_int_equal(osfile_write(&file, 0, bytes, LEN), 0);
    assert_int_equal(osfile_read(&file, 100, got, LEN, &n), 0);
    assert_int_equal(n, LEN - 100);
    assert_memory_equal(got, bytes + 100, n);
    assert_int_equal(osfile_read(&file, LEN, got, 10, &n), 0);
    assert_int_equal(n, 0);
    for (uint64_t off = 0; off < LEN; off += 1234) {
        const uint8_t *mapping;
        assert_int_equal(osfile_map(&file, off, LEN - off, &mapping), 0);
        assert_memory_equal(mapping, bytes + off, LEN - off);
        osfile_unmap(mapping, LEN - off);
    }
    assert_int_equal(osfile_reserve(&file, LEN, 5000), 0);
    struct osfile_stat found;
    assert_int_equal(osfile_stat(&file, &found), 0);
    assert_int_equal(found.size, LEN + 5000);
    assert_int_equal(osfile_reserve(&file, 0, 10), 0); /* never shortens */
    assert_int_equal(osfile_stat(&file, &found), 0);
    assert_int_equal(found.size, LEN + 5000);
    osfile_close(&file);
}

static void renames(void **state)
{
    (void)state;
    struct osfile file;
    struct osfile_stat a, found;
    assert_int_equal(osfile_create(&file, store_path("a"), 0600), 0);
    assert_int_equal(osfile_stat(&file, &a), 0);
    osfile_close(&file);
    assert_int_equal(osfile_create(&file, store_path("b"), 0604), 0);
    assert_int_equal(osfile_rename_new(store_path("a"), store_path("b")), EEXIST);
    assert_int_equal(osfile_rename_new(store_path("a"), store_path("c")), 0);
    assert_int_equal(osfile_stat_path(store_path("a"), &found), ENOENT);
    assert_int_equal(osfile_rename(store_path("c"), store_path("b")), 0);
    assert_int_equal(osfile_stat_path(store_path("b"), &found), 0);
    assert_int_equal(found.identity.inode, a.identity.inode);
    assert_int_equal(osfile_copy_owner(&file, &found), 0);
    assert_int_equal(osfile_stat(&file, &found), 0);
    assert_int_equal(found.mode, 0600);
    assert_int_equal(osfile_sync_data(&file), 0);
    assert_int_equal(osfile_sync_directory_of(store_path("b")), 0);
    assert_int_equal(osfile_sync_directory_of(store_path("no/such")), ENOENT);
    osfile_close(&file);
    assert_int_equal(osfile_unlink(store_path("b")), 0);
    assert_int_equal(osfile_unlink(store_path("b")), ENOENT);
}

/* Bytes of the range that are mapped by huge pages of a file. */
static size_t in_huge_pages(const uint8_t *range, size_t len)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[1024];
    uintptr_t from = (uintptr_t)range, to = from + len;
    unsigned long begin = 0, end = 0, kib;
    size_t sum = 0;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "FilePmdMapped: %lu", &kib) == 1) {
            if (begin < to && from < end) sum += kib * 1024;
        } else if (strchr(line, '-')) {
            sscanf(line, "%lx-%lx ", &begin, &end);
        }
    }
    fclose(maps);
    return sum;
}

#define HUGE ((size_t)2 << 20)
#define LEN  (9 * HUGE / 2)

/* Large ranges lie where huge pages fit, and hold the same bytes after they were settled, what was
 * not yet synced among them. Returns how many of those bytes are in huge pages. */
static size_t settled(size_t off)
{
    static uint8_t bytes[LEN];
    struct osfile file;
    const uint8_t *mapping;
    size_t len = LEN - off, huge;
    assert_int_equal(osfile_create(&file, store_path("a"), 0600), 0);
    for (size_t i = 0; i < LEN; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    for (size_t at = 0; at < LEN; at += LEN / 72) /* in pieces: what is cached whole stays whole */
        assert_int_equal(osfile_write(&file, at, bytes + at, LEN / 72), 0);
    assert_int_equal(osfile_sync_data(&file), 0);
    assert_int_equal(osfile_write(&file, LEN - 5, "new", 3), 0);
    memcpy(bytes + LEN - 5, "new", 3);

    osfile_settle(&file, off, len);
    assert_int_equal(osfile_map(&file, off, len, &mapping), 0);
    assert_int_equal(((uintptr_t)mapping - off) % HUGE, 0);
    osfile_want_huge_pages(mapping, len);
    assert_memory_equal(mapping, bytes + off, len);
    huge = in_huge_pages(mapping, len);
    osfile_unmap(mapping, len);
    osfile_close(&file);
    assert_int_equal(osfile_unlink(store_path("a")), 0);
    return huge;
}

static void large_mappings(void **state)
{
    (void)state;
    size_t most = settled(0);
    print_message("# %zu bytes of %zu in huge pages\n", most, LEN);
    int has_huge_pages = most == 4 * HUGE; /* this file system, of this kernel */
    static const size_t offs[] = {4096, 100000, HUGE - 4096};
    for (size_t i = 0; i < sizeof offs / sizeof offs[0]; i++) {
        size_t huge = settled(offs[i]);
        if (has_huge_pages) assert_int_equal(huge, 3 * HUGE);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(opening),
        test(reading_and_mapping),
        test(large_mappings),
        test(renames),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
