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

#include "base/buf.h"
#include "flips_file.h"
#include "format/disk.h"
#include "store_fixture.h"

#define READ_ONE_OF 61 /* of the files with a bit turned; no power of two, so that bits change */

struct file { /* the index, in memory where there is room for files in it */
    int fd;
    uint8_t *p;
    size_t len;
    char path[512];
};

static void file_open(struct file *file, const struct buf *bytes)
{
    bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(file->path, sizeof file->path, "%s",
             memory ? "/dev/shm/vdb-flips-XXXXXX" : store_path("flips-XXXXXX"));
    file->fd = mkstemp(file->path);
    assert_true(file->fd >= 0);
    assert_int_equal(ftruncate(file->fd, (off_t)bytes->len), 0);
    file->len = bytes->len;
    file->p = mmap(NULL, file->len, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    assert_ptr_not_equal(file->p, MAP_FAILED);
    memcpy(file->p, bytes->data, bytes->len);
}

static void file_close(struct file *file)
{
    munmap(file->p, file->len);
    close(file->fd);
    unlink(file->path);
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

/* false: it was not opened. */
static bool use(const char *path)
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
        return false;
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
    return true;
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
        f->used += use(f->file.path);
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
    assert_true(use(f.file.path));
    for (size_t at = 0; at < bytes.len; at += step())
        for (unsigned bit = 0; bit < 8; bit++)
            if (all_bits() || bit == at / step() % 8) flip(&f, at, bit);
    print_message(
        "# %zu bytes, %llu bits turned: %llu found by checksums, %llu by the deep check "
        "alone, %llu in padding, %llu missed; %llu of the files could be opened and were read\n",
        bytes.len, (unsigned long long)f.tried, (unsigned long long)f.shallow,
        (unsigned long long)f.deep, (unsigned long long)f.padding, (unsigned long long)f.missed,
        (unsigned long long)f.used);
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
        used += use(file.path);
    }
    print_message("# %llu lengths; %llu of the files could be opened and were read\n",
                  (unsigned long long)tried, (unsigned long long)used);
    file_close(&file);
    buf_release(&bytes);
}

/* ---- salvage ------------------------------------------------------------------------------- */

struct versions { /* of rows, each with its id, numbers and text; sorted */
    struct buf *rows;
    size_t count;
};

static int row_order(const void *a, const void *b)
{
    const struct buf *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Those that are live, or all that ever were. */
static void versions_read(const char *path, bool deleted, struct versions *v)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb *db;
    const struct vdb_snapshot *s;
    struct vdb_info info;
    struct vdb_error err;
    options.read_only = 1;
    must(vdb_open(path, &options, &db, &err), &err);
    must(vdb_snapshot_open(db, &s, &err), &err);
    vdb_snapshot_info(s, &info);
    assert_int_equal(info.dim, FLIPS_DIM);
    *v = (struct versions){calloc(info.rows + 1, sizeof *v->rows), 0};
    assert_non_null(v->rows);
    for (uint32_t row = 0; row < info.rows; row++) {
        float vector[FLIPS_DIM];
        const char *id;
        char *json;
        size_t id_len, json_len;
        if (!deleted && vdb_row_state(s, row) != 1) continue;
        must(vdb_row_id(s, row, &id, &id_len, &err), &err);
        must(vdb_row_vector(s, row, vector, &err), &err);
        must(vdb_row_metadata(s, row, &json, &json_len, &err), &err);
        struct buf *to = &v->rows[v->count++];
        assert_int_equal(buf_append(to, id, id_len) || buf_append(to, "", 1) ||
                             buf_append(to, vector, sizeof vector) ||
                             (json && buf_append(to, json, json_len)),
                         0);
        free(json);
    }
    qsort(v->rows, v->count, sizeof *v->rows, row_order);
    vdb_snapshot_close(s);
    vdb_close(db);
}

static void versions_release(struct versions *v)
{
    for (size_t i = 0; i < v->count; i++) buf_release(&v->rows[i]);
    free(v->rows);
}

static void all_are_among(const struct versions *some, const struct versions *all)
{
    for (size_t i = 0; i < some->count; i++)
        if (!bsearch(&some->rows[i], all->rows, all->count, sizeof *all->rows, row_order))
            fail_msg("row %s is not one that there was", (const char *)some->rows[i].data);
}

struct salvages {
    struct versions live, all;
    uint64_t tried, whole, in_part, refused;
};

/* What is saved was in the original; the whole of it where `whole`. */
static void save(struct salvages *k, const char *path, bool whole, const char *what)
{
    struct vdb_salvage_info info;
    struct vdb_error err;
    struct versions saved;
    k->tried++;
    enum vdb_status status = vdb_salvage(path, store_path("o.vdb"), NULL, &info, &err);
    if (status) {
        if (whole || (status != VDB_CORRUPT && status != VDB_UNSUPPORTED))
            fail_msg("%s: status %d: %s", what, (int)status, err.message);
        assert_int_not_equal(access(store_path("o.vdb"), F_OK), 0);
        k->refused++;
        return;
    }
    assert_int_equal(store_check("o.vdb", 1, NULL), 0);
    versions_read(store_path("o.vdb"), false, &saved);
    assert_int_equal(saved.count, info.rows);
    all_are_among(&saved, &k->all);
    bool is_whole = saved.count == k->live.count;
    if (is_whole) all_are_among(&saved, &k->live);
    k->whole += is_whole;
    k->in_part += !is_whole;
    if (whole && (!is_whole || info.lost || info.doubtful || info.behind))
        fail_msg("%s: %zu rows of %zu are saved, %llu lost, %llu doubtful, %d", what, saved.count,
                 k->live.count, (unsigned long long)info.lost, (unsigned long long)info.doubtful,
                 info.behind);
    versions_release(&saved);
    remove(store_path("o.vdb"));
}

static void begin_salvages(struct salvages *k, struct buf *bytes, struct file *file)
{
    *k = (struct salvages){0};
    flips_make("x.vdb", bytes);
    file_open(file, bytes);
    versions_read(file->path, false, &k->live);
    versions_read(file->path, true, &k->all);
}

static void end_salvages(struct salvages *k, struct buf *bytes, struct file *file)
{
    print_message("# %llu salvages: %llu gave all rows, %llu some, %llu none\n",
                  (unsigned long long)k->tried, (unsigned long long)k->whole,
                  (unsigned long long)k->in_part, (unsigned long long)k->refused);
    versions_release(&k->live);
    versions_release(&k->all);
    file_close(file);
    buf_release(bytes);
}

/* One bit takes nothing: it is put right, or what it is in is had from elsewhere. */
static void one_bit_loses_no_row(void **state)
{
    (void)state;
    struct buf bytes;
    struct file file;
    struct salvages k;
    char what[64];
    memset(&bytes, 0, sizeof bytes);
    begin_salvages(&k, &bytes, &file);
    size_t apart = (all_bits() ? 97 : 997) * step();
    for (size_t at = 0; at < bytes.len; at += at < 10000 ? apart / 10 + 1 : apart) {
        unsigned bit = (unsigned)(at / 7 % 8);
        snprintf(what, sizeof what, "bit %u of byte %zu", bit, at);
        file.p[at] ^= (uint8_t)(1u << bit);
        save(&k, file.path, true, what);
        file.p[at] ^= (uint8_t)(1u << bit);
    }
    end_salvages(&k, &bytes, &file);
}

/* A stretch of garbage, or the rest of the file gone, may take rows, and brings none. */
static void what_is_saved_was_there(void **state)
{
    (void)state;
    struct buf bytes;
    struct file file;
    struct salvages k;
    uint64_t seed = 5;
    memset(&bytes, 0, sizeof bytes);
    begin_salvages(&k, &bytes, &file);
    unsigned rounds = (unsigned)((all_bits() ? 2000 : 120) / step());
    for (unsigned i = 0; i < rounds; i++) {
        size_t at = (size_t)(store_random(&seed) % bytes.len);
        size_t len = (size_t)1 << store_random(&seed) % 16;
        if (len > bytes.len - at) len = bytes.len - at;
        for (size_t j = 0; j < len; j++) file.p[at + j] = (uint8_t)store_random(&seed);
        save(&k, file.path, false, "garbage");
        memcpy(file.p + at, bytes.data + at, len);
    }
    for (unsigned i = rounds; i > 1; i--) {
        assert_int_equal(ftruncate(file.fd, (off_t)(bytes.len * (i - 1) / rounds)), 0);
        save(&k, file.path, false, "cut off");
    }
    end_salvages(&k, &bytes, &file);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(every_bit_is_found),
        test(every_length_is_found),
        test(one_bit_loses_no_row),
        test(what_is_saved_was_there),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
