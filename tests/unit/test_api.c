/* test_api.c: what vdb.h says of bad arguments, of limits, and of system calls that fail.
 *
 * The calls that write are defined here and so take the place of libc's for the library too: they
 * can be told to fail from the n-th on, or to call the test back.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "slow.h"
#include "store_fixture.h"

/* ---- faults -------------------------------------------------------------------------------- */

enum call { SYNC, WRITE, RESERVE, CALLS };

static struct {
    int after[CALLS]; /* how many succeed before all fail; below 0: none fails */
    int count[CALLS];
    int error;
    void (*on_write)(void);
} fault = {.after = {-1, -1, -1}};

static void fault_none(void)
{
    for (int i = 0; i < CALLS; i++) {
        fault.after[i] = -1;
        fault.count[i] = 0;
    }
}

static bool fails(enum call call)
{
    int n = __atomic_fetch_add(&fault.count[call], 1, __ATOMIC_RELAXED);
    return fault.after[call] >= 0 && n >= fault.after[call];
}

int fdatasync(int fd)
{
    if (fails(SYNC)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t off)
{
    void (*call)(void) = fault.on_write;
    if (call) { /* set only where one thread writes */
        fault.on_write = NULL;
        call();
    }
    if (fails(WRITE)) {
        errno = fault.error;
        return -1;
    }
    /* Short ones now and then: they are to be gone on with. */
    if (len > 1 && __atomic_load_n(&fault.count[WRITE], __ATOMIC_RELAXED) % 3 == 0) len = len / 2;
    return syscall(SYS_pwrite64, fd, from, len, off);
}

int posix_fallocate(int fd, off_t off, off_t len)
{
    if (fails(RESERVE)) return fault.error;
    if (syscall(SYS_fallocate, fd, 0, off, len) == 0) return 0;
    if (errno != EOPNOTSUPP) return errno;
    struct stat now; /* a file system without it */
    if (fstat(fd, &now) < 0) return errno;
    return now.st_size < off + len && ftruncate(fd, off + len) < 0 ? errno : 0;
}

/* ---- faults: the promises ------------------------------------------------------------------ */

enum { DIM = 16, BIG = 6000 }; /* BIG rows have an extent of their own, and a spool in a file */

static struct vdb *create(void)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    fault_none();
    return store_create("x.vdb", options);
}

static struct vdb_txn *filled(struct vdb *db, uint32_t first, uint32_t count)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        float v[DIM];
        snprintf(id, sizeof id, "r%u", i);
        store_vector(i, DIM, v);
        store_put(txn, id, v, NULL);
    }
    return txn;
}

/* A sync fails: that is said, no sync is tried again, and the handle takes no more writes. The
 * next handle goes on from what it finds. */
static void a_failed_sync_poisons_the_handle(void **state)
{
    (void)state;
    static const uint32_t counts[] = {3, BIG};
    for (int which = 0; which < 2; which++) {
        for (int syncs = 0; syncs < 4; syncs++) {
            struct vdb_error err;
            struct vdb *db = create();
            store_add_many(db, 0, 10, DIM);
            struct vdb_txn *txn = filled(db, 10, counts[which]);
            fault_none();
            fault.after[SYNC] = syncs;
            enum vdb_status status = vdb_txn_commit(txn, NULL, &err);
            int tried = fault.count[SYNC];
            fault_none();
            if (status == VDB_OK) { /* it needs no more than this */
                assert_true(syncs > 0);
                vdb_close(db);
                assert_int_equal(remove(store_path("x.vdb")), 0);
                break;
            }
            assert_int_equal(status, VDB_DURABILITY_UNKNOWN);
            assert_int_equal(err.os_errno, EIO);
            assert_int_equal(tried, syncs + 1);
            uint64_t live = store_info(db).live; /* reading goes on */
            assert_true(live == 10 || live == 10 + counts[which]);
            txn = store_begin(db);
            store_put(txn, "more", (float[DIM]){1}, NULL);
            assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_DURABILITY_UNKNOWN);
            assert_int_equal(vdb_compact(db, NULL, &err), VDB_DURABILITY_UNKNOWN);
            struct vdb *next = store_open("x.vdb");
            store_add(next, 9000, DIM);
            assert_int_equal(store_info(next).live, live + 1);
            vdb_close(next);
            vdb_close(db);
            assert_int_equal(store_check("x.vdb", 1, NULL), 0);
            assert_int_equal(remove(store_path("x.vdb")), 0);
        }
    }
}

static enum vdb_status commit_big(struct vdb *db, struct vdb_error *err)
{
    return vdb_txn_commit(filled(db, 100, BIG), NULL, err);
}

static enum vdb_status commit_small(struct vdb *db, struct vdb_error *err)
{
    return vdb_txn_commit(filled(db, 100, 2), NULL, err);
}

/* Fills what is left of the log's extent, so that the next commit needs another. */
static enum vdb_status commit_with_link(struct vdb *db, struct vdb_error *err)
{
    return vdb_txn_commit(filled(db, 100, 900), NULL, err);
}

static enum vdb_status maintain(struct vdb *db, struct vdb_error *err)
{
    return vdb_maintain(db, NULL, err);
}

static enum vdb_status compact(struct vdb *db, struct vdb_error *err)
{
    return vdb_compact(db, NULL, err);
}

static enum vdb_status compact_to(struct vdb *db, struct vdb_error *err)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    options.output = store_path("out.vdb");
    return vdb_compact(db, &options, err);
}

/* No space at the n-th call, for each n: an error, the old state, and another try succeeds. */
static void no_space_means_the_old_state(void **state)
{
    (void)state;
    enum vdb_status (*const works[])(struct vdb *, struct vdb_error *) = {
        commit_small, commit_big, commit_with_link, maintain, compact, compact_to};
    for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
        struct vdb *db = create();
        store_add_many(db, 10000, 2500, DIM);
        store_delete(db, 10007);
        struct vdb_info before = store_info(db);
        for (int kind = WRITE; kind < CALLS; kind++) {
            unsigned failures = 0;
            for (int n = 0;; n += 1 + n / (SLOW ? 2 : 8)) {
                struct vdb_error err;
                fault_none();
                fault.after[kind] = n;
                fault.error = ENOSPC;
                enum vdb_status status = works[w](db, &err);
                fault_none();
                if (status == VDB_OK) break;
                if (status != VDB_IO && status != VDB_CANNOT_CREATE)
                    fail_msg("work %zu, call %d of kind %d: status %d", w, n, kind, (int)status);
                assert_int_equal(err.os_errno, ENOSPC);
                failures++;
                struct vdb_info now = store_info(db);
                assert_int_equal(now.commit, before.commit);
                assert_int_equal(now.live, before.live);
                assert_int_equal(now.parts, before.parts);
                struct vdb *other = store_open("x.vdb");
                assert_int_equal(store_info(other).live, before.live);
                vdb_close(other);
                if (SLOW || n % 4 == 0) assert_int_equal(store_check("x.vdb", 1, NULL), 0);
            }
            if (w != 0 || kind == WRITE) assert_true(failures > 0);
            assert_int_equal(store_check("x.vdb", 1, NULL), 0);
            vdb_close(db);
            assert_int_equal(remove(store_path("x.vdb")), 0);
            (void)remove(store_path("out.vdb"));
            db = create();
            store_add_many(db, 10000, 2500, DIM);
            store_delete(db, 10007);
        }
        vdb_close(db);
        assert_int_equal(remove(store_path("x.vdb")), 0);
    }
}

/* ---- a compaction in the middle of a commit ------------------------------------------------ */

static struct vdb *same, *another;

/* Another process compacts, and another thread of this handle notices. */
static void compact_meanwhile(void)
{
    struct vdb_error err;
    must(vdb_compact(another, NULL, &err), &err);
    vdb_snapshot_close(store_snapshot(same));
}

static void a_compaction_while_rows_are_written(void **state)
{
    (void)state;
    same = create();
    another = store_open("x.vdb");
    store_add_many(same, 0, 5000, DIM);
    struct vdb_txn *txn = filled(same, 10000, 4000);
    fault.on_write = compact_meanwhile;
    struct vdb_commit_info info = store_commit(txn);
    assert_null(fault.on_write);
    assert_int_equal(info.added, 4000);
    assert_int_equal(store_info(another).live, 9000);
    struct vdb_error finding;
    if (store_check("x.vdb", 1, &finding)) fail_msg("check: %s", finding.message);
    vdb_close(same);
    vdb_close(another);
}

/* ---- arguments ----------------------------------------------------------------------------- */

static void creating(void **state)
{
    (void)state;
    struct vdb_error err;
    static const struct {
        uint32_t dim;
        int metric, type, index;
        uint32_t degree, ef;
        enum vdb_status status;
    } cases[] = {
        {0, 1, 1, 0, 0, 0, VDB_INVALID},    {65536, 1, 1, 0, 0, 0, VDB_INVALID},
        {65535, 1, 1, 0, 0, 0, VDB_OK},     {3, 4, 1, 0, 0, 0, VDB_INVALID},
        {3, -1, 1, 0, 0, 0, VDB_INVALID},   {3, 1, 5, 0, 0, 0, VDB_INVALID},
        {3, 1, 1, 5, 0, 0, VDB_INVALID},    {3, 1, 1, -1, 0, 0, VDB_INVALID},
        {3, 1, 1, 4, 0, 0, VDB_OK},         {3, 1, 1, 4, 257, 0, VDB_INVALID},
        {3, 1, 1, 3, 0, 0, VDB_OK},         {3, 1, 1, 3, 9, 0, VDB_INVALID},
        {3, 1, 1, 3, 6, 0, VDB_INVALID},    {3, 1, 1, 3, 8, 0, VDB_OK},
        {3, 1, 1, 3, 256, 8, VDB_OK},       {3, 1, 1, 3, 258, 0, VDB_INVALID},
        {3, 1, 1, 0, 3, 0, VDB_INVALID},    {3, 1, 1, 0, 257, 0, VDB_INVALID},
        {3, 1, 1, 0, 256, 0, VDB_OK},       {3, 1, 1, 0, 0, 7, VDB_INVALID},
        {3, 1, 1, 0, 0, 4097, VDB_INVALID}, {3, 1, 1, 0, 4, 4096, VDB_OK},
        {3, 0, 0, 0, 0, 0, VDB_OK}, /* left zero: the defaults */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
        options.dim = cases[i].dim;
        options.metric = (enum vdb_metric)cases[i].metric;
        options.type = (enum vdb_type)cases[i].type;
        options.index = (enum vdb_index_kind)cases[i].index;
        options.degree = cases[i].degree;
        options.ef_construction = cases[i].ef;
        enum vdb_status status = vdb_create(store_path("c.vdb"), &options, &err);
        if (status != cases[i].status) fail_msg("case %zu: status %d", i, (int)status);
        assert_int_equal(access(store_path("c.vdb"), F_OK) == 0, status == VDB_OK);
        if (status) continue;
        assert_int_equal(vdb_create(store_path("c.vdb"), &options, &err), VDB_EXISTS);
        struct vdb *db = store_open("c.vdb");
        struct vdb_info info = store_info(db);
        assert_int_equal(info.dim, cases[i].dim);
        assert_int_equal(info.metric, VDB_METRIC_L2);
        assert_int_equal(info.type, VDB_TYPE_F32);
        assert_int_equal(info.commit, 1);
        assert_int_equal(info.rows, 0);
        vdb_close(db);
        assert_int_equal(store_check("c.vdb", 1, NULL), 0);
        remove(store_path("c.vdb"));
    }
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 3;
    assert_int_equal(vdb_create(store_path("no/such/c.vdb"), &options, &err), VDB_CANNOT_CREATE);
}

/* By kind, which codes an index can have: auto, none, i8, i4, pq, b1, and one that is not known. */
static void creating_with_codes(void **state)
{
    (void)state;
    static const char can[][8] = {"1111110", "1111000", "1111000", "1111000", "1001110"};
    struct vdb_error err;
    for (int kind = VDB_INDEX_AUTO; kind <= VDB_INDEX_IVF; kind++) {
        for (int codes = 0; codes < 7; codes++) {
            struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
            options.dim = 3;
            options.index = (enum vdb_index_kind)kind;
            options.codes = (enum vdb_codes)codes;
            enum vdb_status wanted = can[kind][codes] == '1' ? VDB_OK : VDB_INVALID;
            enum vdb_status status = vdb_create(store_path("c.vdb"), &options, &err);
            if (status != wanted) fail_msg("kind %d, codes %d: status %d", kind, codes, status);
            if (status) continue;
            struct vdb *db = store_open("c.vdb");
            assert_int_equal(store_info(db).index, kind);
            assert_int_equal(store_info(db).codes, codes);
            vdb_close(db);
            remove(store_path("c.vdb"));
        }
    }
}

static void opening(void **state)
{
    (void)state;
    struct vdb *db;
    struct vdb_error err;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    assert_int_equal(vdb_open(store_path("none.vdb"), NULL, &db, &err), VDB_CANNOT_OPEN);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(vdb_open(store_path("."), NULL, &db, &err), VDB_CANNOT_OPEN);
    assert_int_equal(mkfifo(store_path("fifo"), 0600), 0);
    assert_int_equal(vdb_open(store_path("fifo"), NULL, &db, &err), VDB_CANNOT_OPEN);
    vdb_close(create());
    options.isa = "sse9";
    assert_int_equal(vdb_open(store_path("x.vdb"), &options, &db, &err), VDB_UNSUPPORTED);
    vdb_close(NULL);
    vdb_snapshot_close(NULL);
    vdb_txn_abort(NULL);
}

/* y.vdb: x.vdb with this bit of this mask set in both slots (format-spec/superblock.md). */
static void with_feature(const struct buf *bytes, size_t mask, unsigned bit)
{
    struct buf copy = {0};
    assert_int_equal(buf_append(&copy, bytes->data, bytes->len), 0);
    for (size_t slot = 0; slot < 2; slot++) {
        uint8_t *p = copy.data + slot * 4096;
        p[mask + bit / 8] |= (uint8_t)(1u << bit % 8);
        uint64_t check = XXH3_64bits(p, 504);
        memcpy(p + 504, &check, 8);
    }
    store_write("y.vdb", &copy);
    buf_release(&copy);
}

/* Each bit of each mask as README.md of format-spec/ has it: compat goes on, ro_compat reads,
 * incompat refuses. */
static void unknown_features(void **state)
{
    (void)state;
    enum { COMPAT = 16, RO_COMPAT = 24, INCOMPAT = 32 };
    struct buf bytes = {0}, now = {0};
    struct vdb_error err;
    struct vdb *db;
    struct vdb_txn *txn;
    vdb_close(create());
    store_read("x.vdb", &bytes);
    for (unsigned bit = 0; bit < 64; bit++) {
        with_feature(&bytes, INCOMPAT, bit);
        assert_int_equal(vdb_open(store_path("y.vdb"), NULL, &db, &err), VDB_UNSUPPORTED);
        assert_non_null(strstr(err.message, "incompat bit"));
        struct vdb_open_options reading = VDB_OPEN_OPTIONS_INIT;
        reading.read_only = 1;
        assert_int_equal(vdb_open(store_path("y.vdb"), &reading, &db, &err), VDB_UNSUPPORTED);

        with_feature(&bytes, RO_COMPAT, bit);
        db = store_open("y.vdb");
        assert_int_equal(store_info(db).read_only, 1);
        assert_int_equal(vdb_txn_begin(db, &txn, &err), VDB_READ_ONLY);
        char bit_text[32];
        snprintf(bit_text, sizeof bit_text, "(ro_compat bit %u)", bit);
        assert_non_null(strstr(err.message, bit_text));
        vdb_close(db);
        store_read("y.vdb", &now);
        assert_int_equal(now.len, bytes.len);

        with_feature(&bytes, COMPAT, bit);
        db = store_open("y.vdb");
        store_add_many(db, 0, bit % 63 == 0 ? 3000 : 1, DIM);
        must(vdb_maintain(db, NULL, &err), &err); /* the first and the last publish a manifest */
        assert_int_equal(store_info(db).parts, bit % 63 == 0);
        vdb_close(db);
        store_read("y.vdb", &now);
        for (size_t slot = 0; slot < 2; slot++) /* it stays */
            assert_int_equal(now.data[slot * 4096 + COMPAT + bit / 8], 1u << bit % 8);
    }
    buf_release(&now);
    buf_release(&bytes);
}

/* A later version, at work on the same file, gives it a ro_compat feature: who had it open before
 * must see that before the next write. */
static void a_feature_that_comes_while_the_file_is_open(void **state)
{
    (void)state;
    struct buf bytes = {0}, now = {0};
    struct vdb_error err;
    struct vdb_txn *txn;
    vdb_close(create());
    struct vdb *db = store_open("x.vdb");
    txn = store_begin(db);
    store_put(txn, "a", (const float[DIM]){1}, NULL);

    store_read("x.vdb", &bytes);
    uint8_t *p = bytes.data + 4096;
    p[24] = 1; /* ro_compat */
    p[56]++;   /* generation */
    uint64_t check = XXH3_64bits(p, 504);
    memcpy(p + 504, &check, 8);
    FILE *file = fopen(store_path("x.vdb"), "r+b");
    assert_true(fseek(file, 4096, SEEK_SET) == 0 && fwrite(p, 512, 1, file) == 1);
    assert_int_equal(fclose(file), 0);

    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_READ_ONLY);
    assert_int_equal(vdb_name_create(db, "n", 1, NULL, &err), VDB_READ_ONLY);
    assert_int_equal(vdb_compact(db, NULL, &err), VDB_READ_ONLY);
    vdb_close(db);
    store_read("x.vdb", &now);
    assert_int_equal(now.len, bytes.len);
    assert_memory_equal(now.data, bytes.data, bytes.len);
    buf_release(&now);
    buf_release(&bytes);
}

static enum vdb_status put(struct vdb_txn *txn, const char *id, size_t len, const float *v,
                           const char *metadata, size_t metadata_len)
{
    struct vdb_error err = {0};
    enum vdb_status status = vdb_txn_put(txn, VDB_UPSERT, id, len, v, metadata, metadata_len, &err);
    if (status) assert_true(err.status == status && err.message[0]);
    return status;
}

static void ids(void **state)
{
    (void)state;
    float v[DIM] = {1};
    char id[VDB_ID_MAX + 2];
    struct vdb *db = create();
    struct vdb_txn *txn = store_begin(db);
    memset(id, 'i', sizeof id);
    assert_int_equal(put(txn, id, VDB_ID_MAX + 1, v, NULL, 0), VDB_INVALID);
    assert_int_equal(put(txn, id, 0, v, NULL, 0), VDB_INVALID);
    assert_int_equal(put(txn, id, VDB_ID_MAX, v, NULL, 0), VDB_OK);
    static const char *const bad[] = {
        "a\nb",
        "\x7f",
        "\x1f",
        "a\tb",
        "\xc2\x80", /* control */
        "\xff",
        "\xc3",
        "\xc0\x80",
        "\x80",
        "a\xe2\x82",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (put(txn, bad[i], strlen(bad[i]), v, NULL, 0) != VDB_INVALID) fail_msg("id %zu", i);
    assert_int_equal(put(txn, "a\0b", 3, v, NULL, 0), VDB_INVALID);
    static const char *const good[] = {" ", "\"", "\xc3\xa4", "\xf0\x9f\x90\x98", "a/b c"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(put(txn, good[i], strlen(good[i]), v, NULL, 0), VDB_OK);
    assert_int_equal(store_commit(txn).added, 6);
    vdb_close(db);
}

static void metadata(void **state)
{
    (void)state;
    float v[DIM] = {1};
    char *text = malloc(VDB_METADATA_MAX + 1);
    assert_non_null(text);
    uint64_t seed = 1;
    for (size_t i = 0; i <= VDB_METADATA_MAX; i++) text[i] = (char)('a' + store_random(&seed) % 26);
    struct vdb *db = create();
    struct vdb_txn *txn = store_begin(db);
    assert_int_equal(put(txn, "a", 1, v, text, VDB_METADATA_MAX + 1), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, v, text, 0), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, v, "{\"\xff\"}", 5), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, v, "{\0}", 3), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, v, text, VDB_METADATA_MAX), VDB_OK);
    assert_int_equal(put(txn, "b", 1, v, "{}", 2), VDB_OK);
    assert_int_equal(store_commit(txn).added, 2);
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_error err;
    char *json;
    size_t len;
    must(vdb_row_metadata(s, 0, &json, &len, &err), &err);
    assert_int_equal(len, VDB_METADATA_MAX);
    assert_memory_equal(json, text, len);
    assert_int_equal(json[len], 0);
    free(json);
    must(vdb_row_metadata(s, 1, &json, &len, &err), &err);
    assert_string_equal(json, "{}");
    free(json);
    assert_int_equal(vdb_row_metadata(s, 2, &json, &len, &err), VDB_NOT_FOUND);
    assert_int_equal(vdb_row_vector(s, 2, v, &err), VDB_NOT_FOUND);
    vdb_snapshot_close(s);
    vdb_close(db);
    free(text);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        enum vdb_type type;
        float value;
        bool good;
    } cases[] = {
        {VDB_TYPE_F32, NAN, false},       {VDB_TYPE_F32, INFINITY, false},
        {VDB_TYPE_F32, -INFINITY, false}, {VDB_TYPE_F32, FLT_MAX, true},
        {VDB_TYPE_F16, NAN, false},       {VDB_TYPE_F16, 65504, true},
        {VDB_TYPE_F16, 70000, false},     {VDB_TYPE_F16, -70000, false},
        {VDB_TYPE_U8, 255, true},         {VDB_TYPE_U8, 256, false},
        {VDB_TYPE_U8, -1, false},         {VDB_TYPE_U8, 0.5f, false},
        {VDB_TYPE_U8, NAN, false},        {VDB_TYPE_I8, -128, true},
        {VDB_TYPE_I8, 127, true},         {VDB_TYPE_I8, 128, false},
        {VDB_TYPE_I8, -129, false},       {VDB_TYPE_I8, 1.5f, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
        options.dim = 3;
        options.type = cases[i].type;
        struct vdb *db = store_create("n.vdb", options);
        struct vdb_txn *txn = store_begin(db);
        float v[3] = {1, 2, cases[i].value};
        struct vdb_error err = {0};
        enum vdb_status status = vdb_txn_put(txn, VDB_UPSERT, "a", 1, v, NULL, 0, &err);
        if (status != (cases[i].good ? VDB_OK : VDB_INVALID))
            fail_msg("type %d, %g: status %d", (int)cases[i].type, (double)cases[i].value,
                     (int)status);
        if (status) assert_non_null(strstr(err.message, "number 3 of the vector"));
        assert_int_equal(store_commit(txn).added, cases[i].good);
        vdb_close(db);
        assert_int_equal(store_check("n.vdb", 1, NULL), 0);
        remove(store_path("n.vdb"));
    }
}

/* Zero as given, or once it is stored. */
static void zero_under_cosine(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    const float zero[2] = {0, -0.0f}, tiny[2] = {0, 1e-12f}, one[2] = {0, 1};
    options.dim = 2;
    options.metric = VDB_METRIC_COSINE;
    options.type = VDB_TYPE_F16;
    struct vdb *db = store_create("z.vdb", options);
    struct vdb_txn *txn = store_begin(db);
    assert_int_equal(put(txn, "a", 1, zero, NULL, 0), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, tiny, NULL, 0), VDB_INVALID);
    assert_int_equal(put(txn, "a", 1, one, NULL, 0), VDB_OK);
    assert_int_equal(store_commit(txn).added, 1);
    vdb_close(db);
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(vdb_version(), VDB_VERSION_STRING);
    for (int i = -1; i < 20; i++) {
        const char *text = vdb_status_string((enum vdb_status)i);
        assert_non_null(text);
        assert_true(text[0]);
        for (int j = 0; j < i && i <= VDB_INTERNAL; j++)
            assert_string_not_equal(text, vdb_status_string((enum vdb_status)j));
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_failed_sync_poisons_the_handle),
        test(no_space_means_the_old_state),
        test(a_compaction_while_rows_are_written),
        test(creating),
        test(creating_with_codes),
        test(opening),
        test(unknown_features),
        test(a_feature_that_comes_while_the_file_is_open),
        test(ids),
        test(metadata),
        test(numbers),
        test(zero_under_cosine),
        test(words),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
