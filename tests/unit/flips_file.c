/* flips_file.c: a small index with every structure of the format in it.
 *
 * The map of its bytes is worked out from the tables of format-spec/ and from nothing that the
 * library says.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "flips_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "base/le.h"
#include "store_fixture.h"

enum { OLD = 512, RECENT = 40 };

static void put_rows(struct vdb *db, uint32_t first, uint32_t count, const char *text)
{
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        float vector[FLIPS_DIM];
        char id[16], json[64];
        store_vector(i, FLIPS_DIM, vector);
        snprintf(id, sizeof id, "r%u", i);
        snprintf(json, sizeof json, "{\"n\":%u,\"t\":\"%s\"}", i, text);
        store_put(txn, id, vector, i % 3 ? NULL : json);
    }
    store_commit(txn);
}

static void name_it(struct vdb *db, const char *name)
{
    struct vdb_error err;
    must(vdb_name_create(db, name, strlen(name), NULL, &err), &err);
}

static void restore(struct vdb *db, const char *id)
{
    struct vdb_error err;
    struct vdb_txn *txn = store_begin(db);
    must(vdb_txn_restore(txn, id, strlen(id), &err), &err);
    store_commit(txn);
}

/* So many bytes of the file belong to the first extent and are not yet written. */
static uint64_t room_in_log(const char *name)
{
    struct buf bytes = {0};
    store_read(name, &bytes);
    uint64_t at = 16384;
    while (at < 65536 && memcmp(bytes.data + at, "VREC", 4) == 0)
        at += le64_at(bytes.data + at + 8);
    buf_release(&bytes);
    return 65536 - at;
}

/* Until the log goes on in another extent, each time with as much as there is room for. */
static void fill_log(struct vdb *db, const char *name, uint32_t number)
{
    uint64_t before = UINT64_MAX;
    for (uint64_t room = room_in_log(name); room < before; room = room_in_log(name)) {
        before = room;
        put_rows(db, number, room > 4096 ? 48 : room > 1024 ? 6 : 1, "filler");
        number += 3;
    }
}

static void seal(struct buf *bytes, uint64_t at, uint64_t len, uint64_t field)
{
    memset(bytes->data + at + field, 0, 8);
    uint64_t check = XXH3_64bits(bytes->data + at, (size_t)len);
    memcpy(bytes->data + at + field, &check, sizeof check);
}

/* Moves a record's blocks that lie in it along with it. */
static void move_blocks(struct buf *bytes, uint64_t at, uint64_t len, uint64_t from)
{
    for (unsigned i = 0; bytes->data[at + 4] == 1 && i < 4; i++) {
        uint64_t off = le64_at(bytes->data + at + 80 + 24 * i);
        if (off < from || off >= from + len) continue;
        off -= from - at;
        memcpy(bytes->data + at + 80 + 24 * i, &off, sizeof off);
    }
}

/* The last extent begins at a multiple of 65,536, and most of it is unwritten. So that there is
 * less to flip in which nothing lies, it is brought to where the file ended and cut off; readers
 * rely on multiples of 64 alone. The link has its place and length, and each record the check of
 * the one before. */
static void draw_together(struct buf *bytes, uint64_t link, uint64_t file_end)
{
    uint64_t from = le64_at(bytes->data + link + 64), to = (file_end + 63) & ~(uint64_t)63, check;
    uint64_t length = 0;
    while (memcmp(bytes->data + from + length, "VREC", 4) == 0)
        length += le64_at(bytes->data + from + length + 8);
    memmove(bytes->data + to, bytes->data + from, (size_t)length);
    memset(bytes->data + to + length, 0, 128);
    uint64_t end = to + length + 128; /* with room for a link */
    uint64_t extent = end - to;
    memcpy(bytes->data + link + 64, &to, sizeof to);
    memcpy(bytes->data + link + 72, &extent, sizeof extent);
    seal(bytes, link, 128, 40);
    memcpy(&check, bytes->data + link + 40, sizeof check);
    for (uint64_t at = to, len; at < to + length; at += len) {
        len = le64_at(bytes->data + at + 8);
        move_blocks(bytes, at, len, from + (at - to));
        memcpy(bytes->data + at + 32, &check, sizeof check);
        seal(bytes, at, len, 40);
        memcpy(&check, bytes->data + at + 40, sizeof check);
    }
    bytes->len = (size_t)end;
}

static uint64_t find_link(const struct buf *bytes)
{
    uint64_t at = 16384;
    while (memcmp(bytes->data + at, "VREC\2", 5) != 0) {
        assert_memory_equal(bytes->data + at, "VREC", 4);
        at += le64_at(bytes->data + at + 8);
    }
    return at;
}

void flips_make(const char *name, struct buf *bytes)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    options.dim = FLIPS_DIM;
    options.index = VDB_INDEX_HYBRID;
    options.recent_seconds = 3600;
    options.degree = 8;
    struct vdb *db = store_create(name, options);
    put_rows(db, 0, OLD, "old");
    name_it(db, "seed");
    store_delete(db, 7);
    store_delete(db, 9);
    name_it(db, "thin");
    put_rows(db, 20, 4, "again");
    store_delete(db, 10);
    /* A month on, all rows are old and get an inverted file. */
    const struct vdb_snapshot *now = store_snapshot(db);
    struct vdb_info info;
    vdb_snapshot_info(now, &info);
    vdb_snapshot_close(now);
    compact.now_us = info.commit_time_us + (int64_t)30 * 86400 * 1000000;
    must(vdb_compact(db, &compact, &err), &err);
    put_rows(db, OLD, RECENT, "recent");
    store_delete(db, 11);
    put_rows(db, 30, 3, "replaced");
    restore(db, "r11");
    store_delete(db, OLD + 1);
    name_it(db, "whole");
    maintain.merge_percent = 1;
    must(vdb_maintain(db, &maintain, &err), &err);
    put_rows(db, 600, 5, "tail");
    name_it(db, "late");
    must(vdb_name_remove(db, "thin", 4, &err), &err);
    store_delete(db, 12);
    store_delete(db, OLD + 2);
    fill_log(db, name, 1000);
    put_rows(db, 700, 2, "last");
    store_delete(db, 700);
    name_it(db, "end");
    vdb_close(db);
    bytes->len = 0;
    store_read(name, bytes);
    draw_together(bytes, find_link(bytes), le64_at(bytes->data + 4096 + 104));
    store_write(name, bytes);
}

/* ---- which bytes belong to something ------------------------------------------------------- */

struct map {
    const struct buf *bytes;
    uint8_t *owned;
    uint32_t *types;
};

static void own(struct map *m, uint64_t off, uint64_t len)
{
    assert_true(off <= m->bytes->len && len <= m->bytes->len - off);
    memset(m->owned + off, 1, (size_t)len);
}

static uint64_t u64_at(const struct map *m, uint64_t at)
{
    return le64_at(m->bytes->data + at);
}

static uint32_t u32_at(const struct map *m, uint64_t at)
{
    return le32_at(m->bytes->data + at);
}

/* Of an extent, what is written; then the ones that its link leads to. */
static void own_records(struct map *m, uint64_t at)
{
    const uint8_t *p = m->bytes->data;
    while (at + 64 <= m->bytes->len && memcmp(p + at, "VREC", 4) == 0) {
        uint64_t length = u64_at(m, at + 8);
        own(m, at, length);
        for (unsigned i = 0; p[at + 4] == 1 && i < 4; i++)
            own(m, u64_at(m, at + 80 + 24 * i), u64_at(m, at + 88 + 24 * i));
        at = p[at + 4] == 2 ? u64_at(m, at + 64) : at + length;
    }
}

static void own_state(struct map *m, uint64_t at)
{
    uint64_t segments = at + u64_at(m, at + 104), extents = at + u64_at(m, at + 120);
    for (uint32_t i = 0; i < u32_at(m, at + 112); i++) {
        *m->types |= 1u << le16_at(m->bytes->data + segments + 64 * i);
        own(m, u64_at(m, segments + 64 * i + 8), u64_at(m, segments + 64 * i + 16));
    }
    for (uint32_t i = 0; i < u32_at(m, at + 128); i++) own_records(m, u64_at(m, extents + 32 * i));
}

uint8_t *flips_owned(const struct buf *bytes, uint32_t *types)
{
    struct map m = {bytes, calloc(1, bytes->len), types};
    assert_non_null(m.owned);
    *types = 0;
    for (uint64_t slot = 0; slot <= 4096; slot += 4096) {
        own(&m, slot, 512);
        own(&m, u64_at(&m, slot + 64), u64_at(&m, slot + 72));
    }
    own_state(&m, u64_at(&m, 4096 + 64)); /* the newer one, to which a file goes first */
    return m.owned;
}
