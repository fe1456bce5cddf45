/* test_flips.c: each single bit of a file with everything in it is turned, and the file is cut off
 * at each length: the check finds it, or the bit lies in bytes that the spec calls padding; and
 * whoever reads and searches gets an answer or an error.
 *
 * `make test` turns one bit of each byte, another one from byte to byte; VDB_FLIPS=all turns all.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "flips_file.h"
#include "format/disk.h"
#include "store_fixture.h"

#define READ_ONE_OF 61 /* of the files with a bit turned; no power of two, so that bits change */

struct file { /* the index in memory, with a path for the library */
    int fd;
    uint8_t *p;
    size_t len;
    char path[64];
};

static void file_open(struct file *file, const struct buf *bytes)
{
    file->fd = memfd_create("flips", MFD_CLOEXEC);
    assert_true(file->fd >= 0);
    assert_int_equal(ftruncate(file->fd, (off_t)bytes->len), 0);
    file->len = bytes->len;
    file->p = mmap(NULL, file->len, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    assert_ptr_not_equal(file->p, MAP_FAILED);
    memcpy(file->p, bytes->data, bytes->len);
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
}

static void file_close(struct file *file)
{
    munmap(file->p, file->len);
    close(file->fd);
}

/* ---- what is done with a file -------------------------------------------------------------- */

static bool is_found(const char *path, int deep)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    uint64_t findings = 0;
    struct vdb_error err;
    options.deep = deep;
    options.threads = 1;
    return vdb_check(path, &options, &findings, &err) != VDB_OK || findings > 0;
}

static volatile unsigned touched;

static void touch(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++) sum += at[i];
    touched = touched + sum;
}

static void read_rows(const struct vdb_snapshot *s, const struct vdb_info *info, float *vector)
{
    struct vdb_error err;
    for (uint32_t row = 0; row < info->rows && row < 5000; row += 23) {
        const char *id;
        char *json = NULL;
        size_t len;
        uint32_t found;
        if (vdb_row_id(s, row, &id, &len, &err) == VDB_OK) {
            touch(id, len);
            (void)vdb_find(s, id, len, 1, &found, &err);
        }
        if (vdb_row_vector(s, row, vector, &err) == VDB_OK)
            touch(vector, info->dim * sizeof *vector);
        if (vdb_row_metadata(s, row, &json, &len, &err) == VDB_OK && json) touch(json, len);
        free(json);
    }
}

static void search(const struct vdb_snapshot *s, const struct vdb_info *info, float *vector)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[10];
    struct vdb_error err;
    uint32_t found;
    for (uint32_t i = 0; i < info->dim; i++) vector[i] = (float)(i % 7 + 40);
    options.threads = 1;
    for (options.exact = 0; options.exact < 2; options.exact++)
        if (vdb_search(s, vector, 1, &options, hits, &found, &err) == VDB_OK)
            for (uint32_t i = 0; i < found; i++)
                if (hits[i].row >= info->rows) fail_msg("a hit is row %u", hits[i].row);
}

static void read_log(const struct vdb_snapshot *s)
{
    struct vdb_log *log;
    struct vdb_log_entry entry;
    struct vdb_error err;
    if (vdb_log_open(s, NULL, &log, &err) != VDB_OK) return;
    while (vdb_log_next(log, &entry, &err) == VDB_OK) touch(entry.id, entry.id_len);
    vdb_log_close(log);
}

static void read_past(const struct vdb_snapshot *s)
{
    const struct vdb_snapshot *past;
    struct vdb_name name;
    struct vdb_error err;
    for (uint32_t i = 0; vdb_name_at(s, i, &name) == VDB_OK; i++) {
        touch(name.name, name.name_len);
        if (vdb_snapshot_at(s, name.commit, &past, &err) != VDB_OK) continue;
        struct vdb_info info;
        vdb_snapshot_info(past, &info);
        float *vector = malloc((info.dim ? info.dim : 1) * sizeof *vector);
        assert_non_null(vector);
        read_rows(past, &info, vector);
        free(vector);
        vdb_snapshot_close(past);
    }
}

static void use(const char *path)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    const struct vdb_snapshot *s;
    struct vdb *db;
    struct vdb_info info;
    struct vdb_error err = {0};
    options.read_only = 1;
    options.threads = 1;
    if (vdb_open(path, &options, &db, &err)) {
        assert_true(err.message[0]);
        return;
    }
    if (vdb_snapshot_open(db, &s, &err) == VDB_OK) {
        vdb_snapshot_info(s, &info);
        float *vector = malloc((info.dim ? info.dim : 1) * sizeof *vector);
        assert_non_null(vector);
        read_rows(s, &info, vector);
        search(s, &info, vector);
        free(vector);
        read_log(s);
        read_past(s);
        vdb_snapshot_close(s);
    }
    vdb_close(db);
}

/* Under a sanitizer fewer are tried: what they are for is to reach every place in the code. */
static size_t step(void)
{
    const char *mode = getenv("VDB_MODE");
    return mode && strcmp(mode, "release") != 0 ? 16 : 1;
}

/* ---- bits ---------------------------------------------------------------------------------- */

static bool all_bits(void)
{
    const char *wanted = getenv("VDB_FLIPS");
    return wanted && strcmp(wanted, "all") == 0;
}

struct flips {
    struct file file;
    uint8_t *owned;
    uint64_t tried, shallow, deep, padding, missed, used;
};

/* Of what belongs to nothing, which cannot be told from what it should be, a sample is turned: no
 * damage is to be seen in it. */
static void flip(struct flips *f, size_t at, unsigned bit)
{
    if (!f->owned[at] && !all_bits() && at % 16) return;
    f->file.p[at] ^= (uint8_t)(1u << bit);
    f->tried++;
    bool shallow = is_found(f->file.path, 0);
    bool deep = !shallow && (f->owned[at] || at % 64 < 8) && is_found(f->file.path, 1);
    f->shallow += shallow;
    f->deep += deep;
    if (!f->owned[at]) {
        f->padding++;
        if (shallow || deep) fail_msg("byte %zu is nobody's and damage is found", at);
    } else if (!shallow && !deep) {
        if (f->missed++ < 20) print_message("# byte %zu, bit %u: not found\n", at, bit);
    }
    if (f->tried % READ_ONE_OF == 0) {
        use(f->file.path);
        f->used++;
    }
    f->file.p[at] ^= (uint8_t)(1u << bit);
}

static void every_bit_is_found(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct flips f = {0};
    uint32_t types;
    flips_make("x.vdb", &bytes);
    f.owned = flips_owned(&bytes, &types);
    for (unsigned type = DISK_SEGMENT_VECTOR; type <= DISK_SEGMENT_STATES; type++)
        if (!(types >> type & 1)) fail_msg("there is no segment of type %u", type);
    file_open(&f.file, &bytes);
    assert_false(is_found(f.file.path, 1));
    for (size_t at = 0; at < bytes.len; at += step())
        for (unsigned bit = 0; bit < 8; bit++)
            if (all_bits() || bit == at / step() % 8) flip(&f, at, bit);
    print_message("# %zu bytes, %llu bits turned: %llu found by checksums, %llu by the deep check "
                  "alone, %llu in padding, %llu missed; %llu files read\n",
                  bytes.len, (unsigned long long)f.tried, (unsigned long long)f.shallow,
                  (unsigned long long)f.deep, (unsigned long long)f.padding,
                  (unsigned long long)f.missed, (unsigned long long)f.used);
    assert_int_equal(f.missed, 0);
    size_t padding = 0;
    for (size_t at = 0; at < bytes.len; at++) padding += !f.owned[at];
    print_message("# %zu bytes belong to nothing\n", padding);
    assert_true(padding < 16384); /* of the slots' pages and of the manifest's place, most of it */
    file_close(&f.file);
    free(f.owned);
    buf_release(&bytes);
}

/* ---- lengths ------------------------------------------------------------------------------- */

static void every_length_is_found(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct file file;
    uint64_t tried = 0, used = 0;
    flips_make("x.vdb", &bytes);
    file_open(&file, &bytes);
    for (size_t len = bytes.len; len-- > 0;) {
        assert_int_equal(ftruncate(file.fd, (off_t)len), 0);
        if (len % step()) continue;
        if (!is_found(file.path, 0) && !is_found(file.path, 1))
            fail_msg("a file of %zu bytes cut off after %zu is found sound", bytes.len, len);
        if (++tried % READ_ONE_OF) continue;
        use(file.path);
        used++;
    }
    print_message("# %llu lengths, %llu files read\n", (unsigned long long)tried,
                  (unsigned long long)used);
    file_close(&file);
    buf_release(&bytes);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(every_bit_is_found),
        test(every_length_is_found),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
