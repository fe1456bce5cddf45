/* test_send.c: states sent from one index and received in others, against a model in memory.
 *
 * The model is which version of each id there is, and knows nothing of rows or commits. What a
 * stream must not change is held against the bytes of the file.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/filelock.h"
#include "format/disk.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "store_fixture.h"

#define DIM 5u
#define IDS 40u

/* ---- the model ----------------------------------------------------------------------------- */

struct model {
    unsigned version[IDS]; /* 0: the id is not there */
};

static void model_row(unsigned number, unsigned version, uint32_t dim, char id[32], float *vector,
                      char metadata[64])
{
    snprintf(id, 32, "id %u", number);
    store_vector(number * 1000 + version, dim, vector);
    metadata[0] = 0;
    if ((number + version) % 3)
        snprintf(metadata, 64, "{\"version\": %u, \"of\": %u}", version, number);
}

static void put(struct vdb_txn *txn, unsigned number, unsigned version)
{
    char id[32], metadata[64];
    float vector[DIM];
    model_row(number, version, DIM, id, vector, metadata);
    store_put(txn, id, vector, metadata[0] ? metadata : NULL);
}

/* One commit of a few puts and deletes; returns its number. */
static uint64_t change(struct vdb *db, struct model *m, uint64_t *seed, unsigned changes)
{
    struct vdb_txn *txn = store_begin(db);
    for (unsigned i = 0; i < changes; i++) {
        unsigned number = (unsigned)(store_random(seed) % IDS);
        if (m->version[number] && store_random(seed) % 3 == 0) {
            char id[32];
            struct vdb_error err;
            snprintf(id, sizeof id, "id %u", number);
            must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
            m->version[number] = 0;
        } else {
            m->version[number] = 1 + (unsigned)(store_random(seed) % 900);
            put(txn, number, m->version[number]);
        }
    }
    return store_commit(txn).commit;
}

static void expect(struct vdb *db, const struct model *m)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_info info;
    struct vdb_error err;
    unsigned live = 0;
    vdb_snapshot_info(s, &info);
    for (unsigned i = 0; i < IDS; i++) {
        char id[32], metadata[64], *json;
        float want[DIM], got[DIM];
        size_t len;
        uint32_t row;
        model_row(i, m->version[i], DIM, id, want, metadata);
        enum vdb_status status = vdb_find(s, id, strlen(id), 0, &row, &err);
        assert_int_equal(status, m->version[i] ? VDB_OK : VDB_NOT_FOUND);
        if (status) continue;
        live++;
        must(vdb_row_vector(s, row, got, &err), &err);
        assert_memory_equal(got, want, sizeof got);
        must(vdb_row_metadata(s, row, &json, &len, &err), &err);
        assert_string_equal(json ? json : "", metadata);
        free(json);
    }
    assert_int_equal(info.live, live);
    vdb_snapshot_close(s);
}

static struct vdb *create(const char *name, enum vdb_metric metric, enum vdb_type type)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.metric = metric;
    options.type = type;
    return store_create(name, options);
}

static struct vdb *create_plain(const char *name)
{
    return create(name, VDB_METRIC_L2, VDB_TYPE_F32);
}

/* ---- streams in memory --------------------------------------------------------------------- */

struct stream {
    struct buf bytes;
    size_t at, piece; /* read so far; bytes a call, 0: all that are asked for */
    size_t fails_at;  /* 0: never */
};

static int write_stream(void *context, const void *bytes, size_t len)
{
    struct stream *s = context;
    if (s->fails_at && s->bytes.len + len >= s->fails_at) {
        errno = EPIPE;
        return 1;
    }
    return buf_append(&s->bytes, bytes, len);
}

static ptrdiff_t read_stream(void *context, void *bytes, size_t len)
{
    struct stream *s = context;
    if (s->fails_at && s->at >= s->fails_at) {
        errno = EIO;
        return -1;
    }
    if (s->piece && len > s->piece) len = s->piece;
    if (len > s->bytes.len - s->at) len = s->bytes.len - s->at;
    if (s->fails_at && len > s->fails_at - s->at) len = s->fails_at - s->at;
    memcpy(bytes, s->bytes.data + s->at, len);
    s->at += len;
    return (ptrdiff_t)len;
}

/* From the state at one commit, 0 for none, to that at another, 0 for the newest. */
static void send(struct vdb *db, uint64_t from, uint64_t to, struct stream *stream)
{
    const struct vdb_snapshot *newest = store_snapshot(db), *a = NULL, *b = NULL;
    struct vdb_error err;
    if (from) must(vdb_snapshot_at(newest, from, &a, &err), &err);
    if (to) must(vdb_snapshot_at(newest, to, &b, &err), &err);
    buf_clear(&stream->bytes);
    stream->at = 0;
    must(vdb_send(a, to ? b : newest, write_stream, stream, &err), &err);
    if (a) vdb_snapshot_close(a);
    if (b) vdb_snapshot_close(b);
    vdb_snapshot_close(newest);
}

static enum vdb_status try_receive(const char *name, struct stream *stream, bool force,
                                   struct vdb_receive_info *info, struct vdb_error *err)
{
    struct vdb_receive_options options = VDB_RECEIVE_OPTIONS_INIT;
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    options.force = force;
    open.threads = 1;
    stream->at = 0;
    return vdb_receive(store_path(name), &open, &options, read_stream, stream, info, err);
}

static struct vdb_receive_info receive(const char *name, struct stream *stream)
{
    struct vdb_receive_info info;
    struct vdb_error err;
    must(try_receive(name, stream, false, &info, &err), &err);
    return info;
}

static struct vdb_receive_info receive_forced(const char *name, struct stream *stream)
{
    struct vdb_receive_info info;
    struct vdb_error err;
    must(try_receive(name, stream, true, &info, &err), &err);
    return info;
}

/* The stream is refused with that status and these words, and the file is what it was. */
static void refused(const char *name, struct stream *stream, enum vdb_status want,
                    const char *words)
{
    struct buf before = {0}, after = {0};
    struct vdb_error err;
    store_read(name, &before);
    enum vdb_status status = try_receive(name, stream, false, NULL, &err);
    if (status != want) fail_msg("status %d, not %d: %s", status, want, err.message);
    if (!strstr(err.message, words)) fail_msg("%s: not in: %s", words, err.message);
    store_read(name, &after);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, after.len);
    buf_release(&before);
    buf_release(&after);
}

/* It is there already, and the file is what it was. */
static void known(const char *name, struct stream *stream)
{
    struct buf before = {0}, after = {0};
    store_read(name, &before);
    struct vdb_receive_info info = receive(name, stream);
    assert_int_equal(info.known, 1);
    assert_int_equal(info.added + info.updated + info.deleted, 0);
    store_read(name, &after);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, after.len);
    buf_release(&before);
    buf_release(&after);
}

static void name_it(struct vdb *db, const char *name)
{
    struct vdb_error err;
    must(vdb_name_create(db, name, strlen(name), NULL, &err), &err);
}

static struct vdb_name find_name(struct vdb *db, const char *name)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    struct vdb_name found;
    struct vdb_error err;
    must(vdb_name_find(s, name, strlen(name), &found, &err), &err);
    vdb_snapshot_close(s);
    return found;
}

static unsigned files(void)
{
    unsigned count = 0;
    DIR *directory = opendir(store_path("."));
    assert_non_null(directory);
    while (readdir(directory)) count++;
    closedir(directory);
    return count - 2;
}

/* ---- whole states -------------------------------------------------------------------------- */

static void round_trip(enum vdb_metric metric, enum vdb_type type, size_t piece)
{
    struct vdb *a = create("a", metric, type);
    struct model m = {0};
    struct stream stream = {.piece = piece};
    uint64_t seed = 1 + metric + 10 * type;
    for (int i = 0; i < 6; i++) change(a, &m, &seed, 25);
    send(a, 0, 0, &stream);
    struct vdb_receive_info info = receive("b", &stream);
    struct vdb *b = store_open("b");
    struct vdb_info here = store_info(a), there = store_info(b);
    assert_int_equal(info.created, 1);
    assert_int_equal(info.known, 0);
    assert_int_equal(info.added, here.live);
    assert_int_equal(info.commit, there.commit);
    assert_int_equal(there.metric, metric);
    assert_int_equal(there.type, type);
    assert_int_equal(there.dim, DIM);
    assert_memory_not_equal(there.file_id, here.file_id, sizeof here.file_id);
    expect(b, &m);
    assert_int_equal(store_check("b", 1, NULL), 0);
    known("b", &stream);
    assert_int_equal(files(), 2);
    vdb_close(a);
    vdb_close(b);
    remove(store_path("a"));
    remove(store_path("b"));
    buf_release(&stream.bytes);
}

static void all_metrics_and_types(void **state)
{
    (void)state;
    for (int metric = VDB_METRIC_L2; metric <= VDB_METRIC_IP; metric++)
        for (int type = VDB_TYPE_F32; type <= VDB_TYPE_U8; type++)
            round_trip((enum vdb_metric)metric, (enum vdb_type)type, type == VDB_TYPE_I8 ? 1 : 0);
}

static void empty_index(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 300;
    options.metric = VDB_METRIC_IP;
    options.type = VDB_TYPE_I8;
    options.index = VDB_INDEX_HYBRID;
    options.codes = VDB_CODES_I8;
    options.recent_seconds = 1234567890123 % VDB_RECENT_SECONDS_MAX;
    options.degree = 24;
    options.ef_construction = 77;
    options.quiet_begin = 60;
    options.quiet_end = 1380;
    struct vdb *a = store_create("a", options);
    struct stream stream = {0};
    send(a, 0, 0, &stream);
    receive("b", &stream);
    struct vdb *b = store_open("b");
    struct vdb_info there = store_info(b);
    assert_int_equal(there.rows, 0);
    assert_int_equal(there.dim, 300);
    assert_int_equal(there.metric, VDB_METRIC_IP);
    assert_int_equal(there.type, VDB_TYPE_I8);
    assert_int_equal(there.index, VDB_INDEX_HYBRID);
    assert_int_equal(there.codes, VDB_CODES_I8);
    assert_int_equal(there.recent_seconds, options.recent_seconds);
    assert_int_equal(there.degree, 24);
    assert_int_equal(there.ef_construction, 77);
    assert_int_equal(there.quiet_begin, 60);
    assert_int_equal(there.quiet_end, 1380);
    known("b", &stream);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

/* More rows than a frame holds, ids and texts that are long, and more than memory holds of the
 * stream. */
static void many_rows(void **state)
{
    (void)state;
    enum { ROWS = 9000, WIDE = 200 };
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = WIDE;
    struct vdb *a = store_create("a", options);
    struct vdb_txn *txn = store_begin(a);
    struct stream stream = {.piece = 60000};
    struct vdb_error err;
    uint64_t seed = 7;
    float vector[WIDE], got[WIDE];
    char *text = malloc(1000001), id[VDB_ID_MAX + 1];
    assert_non_null(text);
    memset(text, 'x', 1000000);
    text[1000000] = 0;
    for (unsigned i = 0; i < ROWS; i++) {
        for (unsigned j = 0; j < WIDE; j++) vector[j] = (float)(store_random(&seed) % 1000003) / 77;
        snprintf(id, sizeof id, "%0*u", i == 5 ? VDB_ID_MAX : 5, i);
        store_put(txn, id, vector, i == 4000 ? text : NULL);
    }
    store_commit(txn);
    send(a, 0, 0, &stream);
    assert_true(stream.bytes.len > 7000000);
    receive("b", &stream);
    struct vdb *b = store_open("b");
    const struct vdb_snapshot *s = store_snapshot(b);
    seed = 7;
    for (unsigned i = 0; i < ROWS; i++) {
        uint32_t row;
        char *json;
        size_t len;
        for (unsigned j = 0; j < WIDE; j++) vector[j] = (float)(store_random(&seed) % 1000003) / 77;
        snprintf(id, sizeof id, "%0*u", i == 5 ? VDB_ID_MAX : 5, i);
        must(vdb_find(s, id, strlen(id), 0, &row, &err), &err);
        assert_int_equal(row, i);
        must(vdb_row_vector(s, row, got, &err), &err);
        assert_memory_equal(got, vector, sizeof got);
        must(vdb_row_metadata(s, row, &json, &len, &err), &err);
        assert_int_equal(len, i == 4000 ? 1000000 : 0);
        if (json) assert_string_equal(json, text);
        free(json);
    }
    free(text);
    vdb_snapshot_close(s);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

static void onto_what_is_there(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a"), *b = create_plain("b"), *c = create_plain("c");
    struct model m = {0}, other = {0};
    struct stream stream = {0}, later = {0};
    uint64_t seed = 3;
    change(a, &m, &seed, 40);
    send(a, 0, 0, &stream);
    assert_int_equal(receive("b", &stream).created, 0); /* empty: nothing is lost */
    expect(b, &m);
    change(c, &other, &seed, 30);
    refused("c", &stream, VDB_EXISTS, "rows that it did not receive");
    receive_forced("c", &stream);
    expect(c, &m);
    /* What came from one sender, that sender may replace: rows that are alike are left alone. */
    uint64_t rows = store_info(c).rows;
    change(a, &m, &seed, 3);
    send(a, 0, 0, &later);
    receive("b", &later);
    receive("c", &later);
    expect(b, &m);
    expect(c, &m);
    assert_true(store_info(c).rows <= rows + 3);
    known("c", &later);
    /* Unless the index has gone its own way since. */
    change(b, &other, &seed, 1);
    refused("b", &stream, VDB_EXISTS, "rows that it did not receive");
    assert_int_equal(store_check("b", 1, NULL), 0);
    assert_int_equal(store_check("c", 1, NULL), 0);
    vdb_close(a);
    vdb_close(b);
    vdb_close(c);
    buf_release(&stream.bytes);
    buf_release(&later.bytes);
}

static void of_another_kind(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct stream stream = {0};
    store_add(a, 1, DIM);
    send(a, 0, 0, &stream);
    vdb_close(create("b", VDB_METRIC_IP, VDB_TYPE_F32));
    vdb_close(create("c", VDB_METRIC_L2, VDB_TYPE_F16));
    refused("b", &stream, VDB_UNSUPPORTED, "l2; the index is of 5, f32, ip");
    refused("c", &stream, VDB_UNSUPPORTED, "f32, l2; the index is of 5, f16, l2");
    vdb_close(a);
    buf_release(&stream.bytes);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void compact(const char *name)
{
    struct vdb *db = store_open(name);
    struct vdb_error err;
    must(vdb_compact(db, NULL, &err), &err);
    vdb_close(db);
}

static void a_chain(void **state)
{
    (void)state;
    enum { LINKS = 8 };
    struct vdb *a = create_plain("a");
    struct model m = {0};
    struct stream streams[LINKS] = {{{0}, 0, 0, 0}};
    uint64_t seed = 11, from = 0;
    for (unsigned i = 0; i < LINKS; i++) {
        char name[16];
        snprintf(name, sizeof name, "state %u", i);
        if (i == 4) compact("a"); /* keeps the states that have names */
        if (i == 5) compact("b");
        for (unsigned j = 0; j < 1 + i % 3; j++) change(a, &m, &seed, 12);
        name_it(a, name);
        send(a, from, 0, &streams[i]);
        from = store_info(a).commit;
        struct vdb_receive_info info = receive("b", &streams[i]);
        assert_int_equal(info.created, i == 0);
        struct vdb *b = store_open("b");
        expect(b, &m);
        struct vdb_name here = find_name(a, name), there = find_name(b, name);
        assert_int_equal(there.commit, i + 2); /* a commit a stream, behind the creation */
        assert_int_equal(there.commit, info.commit);
        assert_int_equal(there.live, here.live);
        assert_int_equal(there.created_us, here.created_us);
        assert_int_equal(there.origin_commit, here.commit);
        assert_memory_equal(there.origin_id, store_info(a).file_id, 16);
        assert_int_equal(store_check("b", 1, NULL), 0);
        vdb_close(b);
        for (unsigned j = 0; j <= i; j++) known("b", &streams[j]);
    }
    /* Back to a state from before its compaction, and on from there. */
    struct stream aside = {0};
    send(a, find_name(a, "state 2").commit, 0, &aside);
    known("b", &aside);
    change(a, &m, &seed, 12);
    send(a, find_name(a, "state 2").commit, 0, &aside);
    receive("b", &aside);
    struct vdb *b = store_open("b");
    expect(b, &m);
    assert_int_equal(store_check("b", 1, NULL), 0);
    buf_release(&aside.bytes);
    /* The same from the replica, which calls the states what they were called. */
    struct stream second = {0};
    send(b, 0, 2, &second);
    receive("c", &second);
    for (unsigned i = 1; i < LINKS; i++) receive("c", &streams[i]);
    known("c", &streams[0]);
    send(b, 2, 0, &second);
    receive("c", &second);
    struct vdb *c = store_open("c");
    expect(c, &m);
    vdb_close(a);
    vdb_close(b);
    vdb_close(c);
    for (unsigned i = 0; i < LINKS; i++) buf_release(&streams[i].bytes);
    buf_release(&second.bytes);
}

static void unnamed_states(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct model m = {0};
    struct stream stream = {0};
    uint64_t seed = 17, from = 0;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t to = change(a, &m, &seed, 15);
        send(a, from, to, &stream);
        from = to;
        receive("b", &stream);
        known("b", &stream);
    }
    struct vdb *b = store_open("b");
    expect(b, &m);
    /* Nothing but the state's number changes: it is known by that afterwards. */
    struct vdb_error err;
    must(vdb_rollback(a, 3, NULL, &err), &err);
    must(vdb_rollback(a, from, NULL, &err), &err);
    send(a, from, 0, &stream);
    receive("b", &stream);
    expect(b, &m);
    known("b", &stream);
    from = store_info(a).commit;
    change(a, &m, &seed, 15);
    send(a, from, 0, &stream);
    receive("b", &stream);
    expect(b, &m);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

static void a_base_that_is_not_there(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a"), *b = create_plain("b");
    struct model m = {0}, base;
    struct stream stream = {0};
    struct vdb_error err;
    uint64_t seed = 19, from = change(a, &m, &seed, 20);
    base = m;
    change(a, &m, &seed, 20);
    send(a, from, 0, &stream);
    refused("b", &stream, VDB_NOT_FOUND, "base, commit 2 of index ");
    must(vdb_rollback(a, from, NULL, &err), &err);
    m = base;
    name_it(a, "monday");
    from = store_info(a).commit;
    change(a, &m, &seed, 20);
    send(a, from, 0, &stream);
    refused("b", &stream, VDB_NOT_FOUND, "base, \"monday\" (commit 4), is not in the index");
    assert_int_equal(try_receive("none", &stream, false, NULL, &err), VDB_CANNOT_OPEN);
    assert_int_equal(files(), 2);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

static void an_index_that_has_changed(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct model m = {0}, base, other;
    struct stream whole = {0}, stream = {0};
    uint64_t seed = 23, from = change(a, &m, &seed, 20);
    name_it(a, "base");
    base = m;
    send(a, 0, 0, &whole);
    receive("b", &whole);
    struct vdb *b = store_open("b");
    other = m;
    change(b, &other, &seed, 9);
    change(a, &m, &seed, 20);
    send(a, from, 0, &stream);
    refused("b", &stream, VDB_EXISTS, "has changed since the stream's base, \"base\" (commit 2)");
    expect(b, &other);
    receive_forced("b", &stream);
    expect(b, &m);
    known("b", &stream);
    /* Names are no change. What was received last can be left for what goes out from its base. */
    name_it(b, "mine");
    struct vdb_error err;
    assert_int_equal(vdb_name_create(b, "mine", 4, NULL, &err), VDB_EXISTS);
    assert_int_equal(find_name(b, "mine").origin_commit, store_info(a).commit);
    assert_memory_equal(find_name(b, "mine").origin_id, store_info(a).file_id, 16);
    send(a, from, from, &stream);
    known("b", &stream);
    m = base;
    must(vdb_rollback(a, from, NULL, &err), &err);
    change(a, &m, &seed, 30);
    send(a, from, 0, &stream);
    receive("b", &stream);
    expect(b, &m);
    assert_int_equal(store_check("b", 1, NULL), 0);
    vdb_close(a);
    vdb_close(b);
    buf_release(&whole.bytes);
    buf_release(&stream.bytes);
}

/* Changes made in the replica go back to where its state came from. */
static void back_and_forth(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a"), *b = NULL;
    struct model m = {0};
    struct stream stream = {0};
    uint64_t seed = 29;
    change(a, &m, &seed, 30);
    send(a, 0, 0, &stream);
    receive("b", &stream);
    b = store_open("b");
    for (unsigned i = 0; i < 4; i++) {
        struct vdb *from = i % 2 ? a : b;
        const char *to = i % 2 ? "b" : "a";
        uint64_t base = store_info(from).commit;
        change(from, &m, &seed, 6);
        send(from, base, 0, &stream);
        receive(to, &stream);
        expect(a, &m);
        expect(b, &m);
        known(to, &stream);
    }
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

/* A copy of a file has its id and numbers its commits alike, but is another index by then. */
static void a_copy_that_went_its_own_way(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct model m = {0}, other;
    struct stream stream = {0};
    struct buf bytes = {0};
    uint64_t seed = 31;
    change(a, &m, &seed, 30);
    store_read("a", &bytes);
    store_write("b", &bytes);
    struct vdb *b = store_open("b");
    other = m;
    uint64_t from = change(a, &m, &seed, 5);
    change(b, &other, &seed, 5);
    send(a, 0, 0, &stream);
    refused("b", &stream, VDB_EXISTS, "rows that it did not receive");
    change(a, &m, &seed, 5);
    send(a, from, 0, &stream);
    refused("b", &stream, VDB_NOT_FOUND, "commit 3 of index");
    send(a, from - 1, 0, &stream);
    refused("b", &stream, VDB_EXISTS, "which is commit 2 here");
    vdb_close(a);
    vdb_close(b);
    buf_release(&bytes);
    buf_release(&stream.bytes);
}

/* One that stayed behind takes what the other sends, though that has its own id. */
static void a_copy_that_follows(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct model m = {0};
    struct stream streams[6] = {{{0}, 0, 0, 0}};
    struct buf bytes = {0};
    uint64_t seed = 33, from = change(a, &m, &seed, 30);
    store_read("a", &bytes);
    store_write("b", &bytes);
    struct vdb *b = store_open("b");
    for (unsigned i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "state %u", i);
        change(a, &m, &seed, 5);
        if (i >= 2) name_it(a, name);
        send(a, from, 0, &streams[i]);
        from = store_info(a).commit;
        receive("b", &streams[i]);
        expect(b, &m);
        for (unsigned j = i < 2 ? i : 2; j <= i; j++) known("b", &streams[j]);
    }
    for (unsigned i = 0; i < 6; i++) buf_release(&streams[i].bytes);
    vdb_close(a);
    vdb_close(b);
    buf_release(&bytes);
}

static void names_that_are_taken(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a"), *b;
    struct model m = {0};
    struct stream stream = {0};
    uint64_t seed = 37, from = change(a, &m, &seed, 30);
    send(a, 0, 0, &stream);
    receive("b", &stream);
    b = store_open("b");
    name_it(b, "weekly");
    change(a, &m, &seed, 5);
    name_it(a, "weekly");
    send(a, from, 0, &stream);
    refused("b", &stream, VDB_EXISTS, "snapshot \"weekly\" is another one");
    receive_forced("b", &stream);
    expect(b, &m);
    assert_int_equal(find_name(b, "weekly").origin_commit, find_name(a, "weekly").commit);
    /* The same state with a further name: that alone is new, and no commit. */
    uint64_t commit = store_info(b).commit;
    name_it(a, "monthly");
    send(a, from, 0, &stream);
    assert_int_equal(receive("b", &stream).known, 0);
    assert_int_equal(find_name(b, "monthly").commit, commit);
    assert_int_equal(store_info(b).commit, commit);
    known("b", &stream);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

static void size_follows_the_change(void **state)
{
    (void)state;
    enum { ROWS = 3000, WIDE = 32 };
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = WIDE;
    struct vdb *a = store_create("a", options);
    struct stream whole = {0}, part = {0};
    store_add_many(a, 0, ROWS, WIDE);
    uint64_t from = store_info(a).commit;
    store_add_many(a, ROWS, ROWS / 100, WIDE);
    send(a, 0, 0, &whole);
    send(a, from, 0, &part);
    if (part.bytes.len * 100 >= 2 * whole.bytes.len)
        fail_msg("%zu bytes of %zu", part.bytes.len, whole.bytes.len);
    from = store_info(a).commit;
    for (unsigned i = 0; i < 20; i++) store_delete(a, i * 7);
    send(a, from, 0, &part);
    if (part.bytes.len >= 500) fail_msg("%zu bytes for 20 ids", part.bytes.len);
    send(a, store_info(a).commit, 0, &part);
    if (part.bytes.len >= 300) fail_msg("%zu bytes for nothing", part.bytes.len);
    vdb_close(a);
    buf_release(&whole.bytes);
    buf_release(&part.bytes);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

static void damage_changes_nothing(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct model m = {0};
    struct stream whole = {0}, part = {0}, cut = {0};
    struct vdb_error err;
    uint64_t seed = 41, from = change(a, &m, &seed, 30);
    name_it(a, "base");
    send(a, 0, 0, &whole);
    receive("b", &whole);
    change(a, &m, &seed, 10);
    name_it(a, "target");
    send(a, from, 0, &part);
    unsigned there = files();
    for (size_t len = 0; len < part.bytes.len; len += 1 + len / 16) {
        cut.bytes = part.bytes;
        cut.bytes.len = len;
        refused("b", &cut, VDB_CORRUPT, "the stream is cut off after");
        cut.bytes = whole.bytes;
        cut.bytes.len = len;
        assert_int_equal(try_receive("none", &cut, true, NULL, &err), VDB_CORRUPT);
    }
    for (size_t at = 0; at < part.bytes.len; at += 13) {
        part.bytes.data[at] ^= 0x40;
        enum vdb_status want = at == 8 || at == 9 ? VDB_UNSUPPORTED : VDB_CORRUPT;
        refused("b", &part, want, "stream");
        part.bytes.data[at] ^= 0x40;
    }
    assert_int_equal(buf_append_zeros(&part.bytes, 1), 0);
    refused("b", &part, VDB_CORRUPT, "bytes follow the end of the stream");
    part.bytes.len--;
    part.fails_at = part.bytes.len / 2;
    refused("b", &part, VDB_IO, "cannot read the stream: Input/output error");
    part.fails_at = 0;
    assert_int_equal(files(), there);
    receive("b", &part);
    struct vdb *b = store_open("b");
    expect(b, &m);
    vdb_close(a);
    vdb_close(b);
    buf_release(&whole.bytes);
    buf_release(&part.bytes);
}

/* ---- streams that lie ---------------------------------------------------------------------- */

/* One row of a made-up sender, and what else it says. */
struct lie {
    const char *id, *deleted;
    float value; /* of each dimension */
    uint32_t live;
    bool twice;
};

static void lie(const struct stream_header *like, const struct lie *lie, struct buf *to)
{
    struct stream_header header = *like;
    struct stream_writer w = {0};
    struct stream_items_builder items = {0};
    struct buf raw = {0}, vectors = {0};
    float vector[DIM];
    for (unsigned i = 0; i < DIM; i++) vector[i] = lie->value;
    header.target.live = lie->live;
    buf_clear(to);
    assert_int_equal(stream_put_header(&w, &header, to, NULL), VDB_OK);
    for (int i = 0; i <= lie->twice; i++) {
        stream_items_add(&items, lie->id, strlen(lie->id), NULL, 0, NULL);
        buf_append(&vectors, vector, sizeof vector);
    }
    stream_items_finish(&items, true, &raw, NULL);
    stream_put_frame(&w, DISK_FRAME_ROWS, 1 + lie->twice, &raw, to, NULL);
    stream_put_frame(&w, DISK_FRAME_VECTORS, 1 + lie->twice, &vectors, to, NULL);
    if (lie->deleted) {
        buf_clear(&raw);
        stream_items_add(&items, lie->deleted, strlen(lie->deleted), NULL, 0, NULL);
        stream_items_finish(&items, false, &raw, NULL);
        stream_put_frame(&w, DISK_FRAME_DELETES, 1, &raw, to, NULL);
    }
    assert_int_equal(stream_put_end(&w, to, NULL), VDB_OK);
    stream_items_release(&items);
    buf_release(&raw);
    buf_release(&vectors);
}

static void lies(void **state)
{
    (void)state;
    struct vdb *a = create("a", VDB_METRIC_COSINE, VDB_TYPE_F32);
    struct stream stream = {0};
    struct vdb_error err;
    store_add_many(a, 0, 7, DIM);
    send(a, 0, 0, &stream);
    receive("b", &stream);
    struct stream_reader reader;
    assert_int_equal(stream_begin(&reader, stream.bytes.data, NULL), VDB_OK);
    struct stream_header changes = reader.header, whole = reader.header;
    changes.incremental = true;
    changes.base = changes.target;
    changes.target.origin.commit++;
    whole.target.origin.commit++;
    static const struct {
        struct lie lie;
        const char *words;
    } cases[] = {
        {{.id = "new", .value = 0, .live = 8}, "id \"new\": vector is zero"},
        {{.id = "new", .value = NAN, .live = 8},
         "id \"new\": number 1 of the vector is not finite"},
        {{.id = "new", .value = 1, .live = 8, .deleted = "r9"},
         "deletes id \"r9\": id \"r9\" is not"},
        {{.id = "new", .value = 1, .live = 7}, "leads to 8 live rows, its state has 7"},
        {{.id = "r1", .value = 1, .live = 8}, "leads to 7 live rows, its state has 8"},
        {{.id = "new", .value = 1, .live = 9, .twice = true}, "leads to 8 live rows"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lie(&changes, &cases[i].lie, &stream.bytes);
        refused("b", &stream, VDB_CORRUPT, cases[i].words);
    }
    static const struct lie twice = {.id = "new", .value = 1, .live = 2, .twice = true};
    lie(&whole, &twice, &stream.bytes);
    refused("b", &stream, VDB_CORRUPT, "leads to 1 live rows, its state has 2");
    assert_int_equal(try_receive("none", &stream, false, NULL, &err), VDB_CORRUPT);
    whole.degree = 3;
    lie(&whole, &(struct lie){.id = "new", .value = 1, .live = 1}, &stream.bytes);
    assert_int_equal(try_receive("none", &stream, false, NULL, &err), VDB_CORRUPT);
    assert_string_equal(err.message, "the stream's header: degree is 3, expected 4 to 256");
    assert_int_equal(files(), 2);
    /* One of which nothing is a lie. */
    lie(&changes, &(struct lie){.id = "new", .value = 1, .live = 7, .deleted = "r3"},
        &stream.bytes);
    receive("b", &stream);
    vdb_close(a);
    buf_release(&stream.bytes);
}

static void a_failing_write(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct stream stream = {.fails_at = 200};
    struct vdb_error err;
    store_add_many(a, 0, 50, DIM);
    const struct vdb_snapshot *s = store_snapshot(a);
    assert_int_equal(vdb_send(NULL, s, write_stream, &stream, &err), VDB_IO);
    assert_int_equal(err.os_errno, EPIPE);
    assert_string_equal(err.message, "cannot write the stream: Broken pipe");
    vdb_snapshot_close(s);
    vdb_close(a);
    buf_release(&stream.bytes);
}

/* Rows that are damaged in the sender's file are not given fresh checksums. */
static void damage_at_the_sender(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a");
    struct stream stream = {0};
    struct buf bytes = {0};
    struct vdb_error err;
    store_add_many(a, 0, 20, DIM);
    store_add_many(a, 20, 20, DIM);
    vdb_close(a);
    float vector[DIM];
    store_vector(3, DIM, vector);
    store_read("a", &bytes);
    uint8_t *at = memmem(bytes.data, bytes.len, vector, sizeof vector);
    assert_non_null(at);
    at[2] ^= 1;
    /* As a byte that goes bad once the index is open: a record is read when it is come upon. */
    a = store_open("a");
    const struct vdb_snapshot *s = store_snapshot(a), *first;
    FILE *file = fopen(store_path("a"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at - bytes.data, SEEK_SET), 0);
    assert_int_equal(fwrite(at, sizeof vector, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(vdb_send(NULL, s, write_stream, &stream, &err), VDB_CORRUPT);
    assert_string_equal(err.segment, "log");
    must(vdb_snapshot_at(s, 2, &first, &err), &err);
    assert_int_equal(vdb_send(first, s, write_stream, &stream, &err), VDB_CORRUPT);
    vdb_snapshot_close(first);
    vdb_snapshot_close(s);
    vdb_close(a);
    buf_release(&bytes);
    buf_release(&stream.bytes);
}

/* A writer whose commit comes while the receiver waits for the lock. */
struct overtaker {
    struct filelock lock;
    struct filelock_place place;
    struct vdb *db;
    struct model *model;
    uint64_t seed;
};

static int overtake(void *context)
{
    struct overtaker *o = context;
    if (o->lock.file.fd < 0) return 0;
    filelock_release(&o->lock, o->place);
    filelock_close(&o->lock);
    o->lock.file.fd = -1;
    change(o->db, o->model, &o->seed, 4);
    return 0;
}

static void a_commit_that_comes_between(void **state)
{
    (void)state;
    struct vdb *a = create_plain("a"), *b;
    struct model m = {0}, other;
    struct stream stream = {0};
    struct vdb_error err;
    uint64_t seed = 43, from = change(a, &m, &seed, 30);
    send(a, 0, 0, &stream);
    receive("b", &stream);
    b = store_open("b");
    other = m;
    change(a, &m, &seed, 5);
    send(a, from, 0, &stream);
    struct overtaker o = {.place = {VDB_LOCK_WRITE, 0}, .db = b, .model = &other, .seed = 5};
    struct osfile file;
    assert_int_equal(osfile_open(&file, store_path("b"), true), 0);
    assert_int_equal(filelock_open(&o.lock, &file), 0);
    assert_int_equal(filelock_take(&o.lock, o.place, 0, NULL), 0);
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    open.cancelled = overtake;
    open.cancel_context = &o;
    stream.at = 0;
    assert_int_equal(vdb_receive(store_path("b"), &open, NULL, read_stream, &stream, NULL, &err),
                     VDB_EXISTS);
    assert_int_equal(o.lock.file.fd, -1);
    expect(b, &other);
    osfile_close(&file);
    vdb_close(a);
    vdb_close(b);
    buf_release(&stream.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_metrics_and_types),
        TEST(empty_index),
        TEST(many_rows),
        TEST(onto_what_is_there),
        TEST(of_another_kind),
        TEST(a_chain),
        TEST(unnamed_states),
        TEST(a_base_that_is_not_there),
        TEST(an_index_that_has_changed),
        TEST(back_and_forth),
        TEST(a_copy_that_went_its_own_way),
        TEST(a_copy_that_follows),
        TEST(names_that_are_taken),
        TEST(size_follows_the_change),
        TEST(damage_changes_nothing),
        TEST(lies),
        TEST(a_failing_write),
        TEST(damage_at_the_sender),
        TEST(a_commit_that_comes_between),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
