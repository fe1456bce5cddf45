/* test_stream.c: streams as bytes: what is written is read, what is damaged is refused, and no
 * length costs more than its bytes.
 *
 * Checks are made anew by XXH3 itself where damage is to get past them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "example.h"
#include "format/stream.h"
#include "format/stream_items.h"
#include "hostile.h"

#define HEADER_LEN 160u
#define FRAME_LEN  32u

static const struct stream_header HEADER = {
    .incremental = true,
    .dim = 3,
    .metric = VDB_METRIC_COSINE,
    .type = VDB_TYPE_U8,
    .index = VDB_INDEX_HYBRID,
    .codes = VDB_CODES_I4,
    .degree = 48,
    .ef_construction = 200,
    .recent_seconds = 86400,
    .recent_rows = 0x01020304,
    .quiet_begin = 61,
    .quiet_end = 1439,
    .base = {{"base's file id", 0x0102030405060708}, 1767322800000001, 0x11121314},
    .target = {{"target's file id", 0x1112131415161718}, 1767322800000002, 0x21222324},
};

/* ---- writing and reading a whole stream ---------------------------------------------------- */

static void put(struct stream_writer *w, unsigned kind, uint32_t count, const void *p, size_t len,
                struct buf *to)
{
    struct buf raw = {0};
    assert_int_equal(buf_append(&raw, p, len), 0);
    assert_int_equal(stream_put_frame(w, kind, count, &raw, to, NULL), VDB_OK);
    buf_release(&raw);
}

static void put_items(struct stream_writer *w, unsigned kind, uint32_t first, uint32_t count,
                      struct buf *to)
{
    struct stream_items_builder items = {0};
    struct buf raw = {0};
    for (uint32_t i = first; i < first + count; i++) {
        char id[32], text[64];
        int id_len = snprintf(id, sizeof id, "id %u", i * 7);
        int text_len = snprintf(text, sizeof text, "{\"number\": %u}", i);
        assert_int_equal(stream_items_add(&items, id, (size_t)id_len, i % 3 ? text : NULL,
                                          (size_t)text_len, NULL),
                         VDB_OK);
    }
    size_t len = stream_items_len(&items, kind == DISK_FRAME_ROWS);
    assert_int_equal(stream_items_finish(&items, kind == DISK_FRAME_ROWS, &raw, NULL), VDB_OK);
    assert_int_equal(raw.len, len);
    assert_int_equal(items.count, 0);
    put(w, kind, count, raw.data, raw.len, to);
    stream_items_release(&items);
    buf_release(&raw);
}

static void put_name(struct stream_writer *w, unsigned kind, const char *name, struct buf *to)
{
    struct snapshot_entry entry = {.created_us = 1767322800000003,
                                   .origin = {"who made it", 77},
                                   .name_len = (uint16_t)strlen(name)};
    struct buf raw = {0};
    memcpy(entry.name, name, strlen(name));
    assert_int_equal(stream_name_append(&entry, &raw, NULL), VDB_OK);
    put(w, kind, 1, raw.data, raw.len, to);
    buf_release(&raw);
}

/* Of each kind of frame; rows in two. */
static void make(const struct stream_header *header, unsigned rows, struct buf *to)
{
    struct stream_writer w = {0};
    uint8_t vectors[3 * 100];
    for (size_t i = 0; i < sizeof vectors; i++) vectors[i] = (uint8_t)(i * i);
    assert_int_equal(stream_put_header(&w, header, to, NULL), VDB_OK);
    assert_int_equal(to->len, HEADER_LEN);
    if (header->incremental) put_name(&w, DISK_FRAME_BASE_NAMES, "monday", to);
    put_name(&w, DISK_FRAME_NAMES, "tuesday", to);
    put_name(&w, DISK_FRAME_NAMES, "weekly", to);
    put_items(&w, DISK_FRAME_ROWS, 0, rows, to);
    put(&w, DISK_FRAME_VECTORS, rows, vectors, 3 * rows, to);
    put_items(&w, DISK_FRAME_ROWS, rows, 5, to);
    put(&w, DISK_FRAME_VECTORS, 5, vectors, 15, to);
    if (header->incremental) put_items(&w, DISK_FRAME_DELETES, 100, 9, to);
    assert_int_equal(stream_put_end(&w, to, NULL), VDB_OK);
}

/* What a reader comes to, and how far. */
struct reading {
    enum vdb_status status;
    struct stream_reader reader;
    struct vdb_error err;
    struct buf raw; /* of the last frame */
    bool cut;       /* the bytes end before the stream does */
};

typedef void (*frame_fn)(const struct stream_frame *frame, const struct buf *raw, void *context);

static void read_all(const uint8_t *p, size_t len, frame_fn each, void *context, struct reading *r)
{
    memset(r, 0, sizeof *r);
    r->cut = len < HEADER_LEN;
    if (r->cut) return;
    r->status = stream_begin(&r->reader, p, &r->err);
    for (size_t at = HEADER_LEN; !r->status && !r->reader.ended;) {
        struct stream_frame frame;
        r->cut = len - at < FRAME_LEN;
        if (r->cut) break;
        assert_int_equal(r->reader.off, at);
        r->status = stream_frame_begin(&r->reader, p + at, &frame, &r->err);
        if (r->status) break;
        assert_in_range(frame.packed_len, 0, VDB_STREAM_FRAME_MAX);
        r->cut = frame.packed_len > len - at - FRAME_LEN;
        if (r->cut) break;
        r->status = stream_frame_end(&r->reader, &frame, p + at + FRAME_LEN, &r->raw, &r->err);
        if (!r->status && each) each(&frame, &r->raw, context);
        at += FRAME_LEN + frame.packed_len;
    }
    buf_release(&r->raw);
}

static bool sound(const uint8_t *p, size_t len)
{
    struct reading r;
    read_all(p, len, NULL, NULL, &r);
    return r.status == VDB_OK && !r.cut && r.reader.off == len;
}

struct expected {
    unsigned frames, rows, deletes, next_row;
};

static void same_frame(const struct stream_frame *frame, const struct buf *raw, void *context)
{
    struct expected *e = context;
    struct stream_items items;
    struct stream_item item;
    struct snapshot_entry entry;
    size_t at = 0;
    bool rows = frame->kind == DISK_FRAME_ROWS;
    e->frames++;
    if (frame->kind == DISK_FRAME_NAMES) {
        assert_true(stream_name_next(raw->data, raw->len, &at, &entry));
        assert_int_equal(at, raw->len);
        assert_int_equal(entry.created_us, 1767322800000003);
        assert_int_equal(entry.origin.commit, 77);
        assert_string_equal((const char *)entry.origin.id, "who made it");
        assert_memory_equal(entry.name, e->frames == 2 ? "tuesday" : "weekly", entry.name_len);
        assert_false(stream_name_next(raw->data, raw->len, &at, &entry));
    }
    if (!rows && frame->kind != DISK_FRAME_DELETES) return;
    assert_true(stream_items_init(&items, raw->data, raw->len, frame->count, rows));
    for (uint32_t i = 0; i < frame->count; i++) {
        char id[32], text[64];
        unsigned number = rows ? e->next_row++ : 100 + i;
        snprintf(id, sizeof id, "id %u", number * 7);
        snprintf(text, sizeof text, "{\"number\": %u}", number);
        assert_true(stream_items_next(&items, &item));
        assert_int_equal(item.id_len, strlen(id));
        assert_memory_equal(item.id, id, item.id_len);
        assert_int_equal(item.text_len, rows && number % 3 ? strlen(text) : 0);
        if (item.text_len) assert_memory_equal(item.text, text, item.text_len);
        assert_int_equal(item.text != NULL, item.text_len != 0);
    }
    assert_false(stream_items_next(&items, &item));
}

static void round_trip(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct reading r;
    struct expected e = {0};
    make(&HEADER, 60, &bytes);
    read_all(bytes.data, bytes.len, same_frame, &e, &r);
    assert_int_equal(r.status, VDB_OK);
    assert_int_equal(r.reader.off, bytes.len);
    assert_int_equal(e.frames, 9);
    assert_int_equal(e.next_row, 65);
    assert_int_equal(r.reader.totals.rows, 65);
    assert_int_equal(r.reader.totals.deletes, 9);
    assert_int_equal(r.reader.totals.names, 2);
    const struct stream_header *got = &r.reader.header;
    assert_int_equal(got->incremental, true);
    assert_int_equal(got->dim, 3);
    assert_int_equal(got->metric, VDB_METRIC_COSINE);
    assert_int_equal(got->type, VDB_TYPE_U8);
    assert_int_equal(got->index, VDB_INDEX_HYBRID);
    assert_int_equal(got->codes, VDB_CODES_I4);
    assert_int_equal(got->degree, 48);
    assert_int_equal(got->ef_construction, 200);
    assert_int_equal(got->recent_seconds, 86400);
    assert_int_equal(got->recent_rows, 0x01020304);
    assert_int_equal(got->quiet_begin, 61);
    assert_int_equal(got->quiet_end, 1439);
    assert_memory_equal(got->base.origin.id, HEADER.base.origin.id, 16);
    assert_int_equal(got->base.origin.commit, 0x0102030405060708);
    assert_int_equal(got->base.time_us, 1767322800000001);
    assert_int_equal(got->base.live, 0x11121314);
    assert_memory_equal(got->target.origin.id, HEADER.target.origin.id, 16);
    assert_int_equal(got->target.origin.commit, 0x1112131415161718);
    assert_int_equal(got->target.time_us, 1767322800000002);
    assert_int_equal(got->target.live, 0x21222324);
    buf_release(&bytes);
}

/* ---- the example of the spec --------------------------------------------------------------- */

struct example_frames {
    const struct example *example;
    struct stream_writer writer;
    struct buf again; /* written anew, frame by frame */
};

static void same_text(const struct example *e, const char *field, const char *got, size_t len)
{
    char said[256];
    example_text(e, field, said);
    assert_int_equal(len, strlen(said));
    assert_memory_equal(got, said, len);
}

static void example_frame(const struct stream_frame *frame, const struct buf *raw, void *context)
{
    struct example_frames *f = context;
    const struct example *e = f->example;
    struct stream_items items;
    struct stream_item item;
    struct snapshot_entry entry;
    size_t at = 0;
    char field[64];
    unsigned number = f->writer.frames;
    snprintf(field, sizeof field, "frame[%u].kind", number);
    assert_int_equal(frame->kind, example_number(e, field));
    snprintf(field, sizeof field, "frame[%u].count", number);
    assert_int_equal(frame->count, example_number(e, field));
    switch (frame->kind) {
    case DISK_FRAME_BASE_NAMES:
    case DISK_FRAME_NAMES:
        assert_true(stream_name_next(raw->data, raw->len, &at, &entry));
        same_text(e, frame->kind == DISK_FRAME_NAMES ? "name.name" : "base_name.name", entry.name,
                  entry.name_len);
        if (frame->kind == DISK_FRAME_NAMES) {
            assert_int_equal(entry.created_us, example_number(e, "name.created_us"));
            assert_int_equal(entry.origin.commit, example_number(e, "name.origin_commit"));
        }
        break;
    case DISK_FRAME_ROWS:
    case DISK_FRAME_DELETES:
        assert_true(stream_items_init(&items, raw->data, raw->len, frame->count,
                                      frame->kind == DISK_FRAME_ROWS));
        assert_true(stream_items_next(&items, &item));
        same_text(e, frame->kind == DISK_FRAME_ROWS ? "id[0]" : "deleted[0]", item.id, item.id_len);
        if (item.text) same_text(e, "row[0]", item.text, item.text_len);
        break;
    default:
        break;
    }
    if (frame->kind != DISK_FRAME_END)
        assert_int_equal(
            stream_put_frame(&f->writer, frame->kind, frame->count, raw, &f->again, NULL), VDB_OK);
}

/* Its frames are too short for a writer to pack, so that it gives the very bytes. */
static void example_of_the_spec(void **state)
{
    (void)state;
    struct example e;
    struct reading r;
    example_read(&e, "stream.md", "stream");
    struct example_frames f = {.example = &e};
    struct stream_header header;
    struct stream_reader reader;
    assert_int_equal(stream_begin(&reader, e.bytes.data, NULL), VDB_OK);
    header = reader.header;
    assert_int_equal(stream_put_header(&f.writer, &header, &f.again, NULL), VDB_OK);
    read_all(e.bytes.data, e.bytes.len, example_frame, &f, &r);
    assert_int_equal(r.status, VDB_OK);
    assert_false(r.cut);
    assert_int_equal(stream_put_end(&f.writer, &f.again, NULL), VDB_OK);
    assert_int_equal(f.again.len, e.bytes.len);
    assert_memory_equal(f.again.data, e.bytes.data, e.bytes.len);
    assert_int_equal(header.incremental, example_number(&e, "flags") & 1);
    assert_int_equal(header.dim, example_number(&e, "dim"));
    assert_int_equal(header.metric, example_number(&e, "metric"));
    assert_int_equal(header.type, example_number(&e, "type"));
    assert_int_equal(header.index, example_number(&e, "index"));
    assert_int_equal(header.codes, example_number(&e, "codes"));
    assert_int_equal(header.degree, example_number(&e, "degree"));
    assert_int_equal(header.ef_construction, example_number(&e, "ef_construction"));
    assert_int_equal(header.quiet_begin, example_number(&e, "quiet_begin"));
    assert_int_equal(header.quiet_end, example_number(&e, "quiet_end"));
    assert_int_equal(header.target.origin.commit, example_number(&e, "target_commit"));
    assert_int_equal(header.target.time_us, example_number(&e, "target_time_us"));
    assert_int_equal(header.target.live, example_number(&e, "target_live"));
    assert_int_equal(header.base.origin.commit, example_number(&e, "base_commit"));
    assert_int_equal(header.base.time_us, example_number(&e, "base_time_us"));
    assert_int_equal(header.base.live, example_number(&e, "base_live"));
    assert_int_equal(r.reader.totals.rows, example_number(&e, "end.row_count"));
    assert_int_equal(r.reader.totals.deletes, example_number(&e, "end.delete_count"));
    assert_int_equal(r.reader.totals.names, example_number(&e, "end.name_count"));
    buf_release(&f.again);
    example_release(&e);
}

/* ---- damage -------------------------------------------------------------------------------- */

static void must_be_cut(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct reading r;
    read_all(p, len, NULL, NULL, &r);
    assert_true(r.cut);
    assert_int_equal(r.status, VDB_OK);
}

static void every_length(void **state)
{
    (void)state;
    struct buf bytes = {0};
    make(&HEADER, 60, &bytes);
    hostile_truncations(bytes.data, bytes.len, must_be_cut, NULL);
    buf_release(&bytes);
}

static void every_byte(void **state)
{
    (void)state;
    static const uint8_t turned[] = {0x01, 0x80, 0xff, 0x10};
    struct buf bytes = {0};
    make(&HEADER, 60, &bytes);
    for (size_t at = 0; at < bytes.len; at++)
        for (size_t i = 0; i < sizeof turned; i++) {
            bytes.data[at] ^= turned[i];
            if (sound(bytes.data, bytes.len)) fail_msg("byte %zu ^ %02x", at, turned[i]);
            bytes.data[at] ^= turned[i];
        }
    assert_true(sound(bytes.data, bytes.len));
    buf_release(&bytes);
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where a frame begins, by the lengths of those before it. */
static size_t frame_off(const struct buf *bytes, unsigned number)
{
    size_t at = HEADER_LEN;
    while (number-- > 0) at += FRAME_LEN + u32_at(bytes->data + at + 16);
    assert_true(at < bytes->len);
    return at;
}

/* Before anything behind it is read: its numbers say how much that is. */
static void every_bit_of_the_header(void **state)
{
    (void)state;
    struct stream_header header = {
        .metric = VDB_METRIC_L2, .type = VDB_TYPE_F32, .dim = 2, .target = {.origin.commit = 7}};
    struct stream_reader reader;
    struct buf bytes = {0};
    make(&header, 1, &bytes);
    assert_int_equal(stream_begin(&reader, bytes.data, NULL), VDB_OK);
    for (size_t bit = 0; bit < 8 * sizeof(struct disk_stream); bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(stream_begin(&reader, bytes.data, NULL), VDB_OK);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buf_release(&bytes);
}

static void set(struct buf *bytes, size_t at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) bytes->data[at + i] = (uint8_t)(value >> 8 * i);
}

/* Numbers frames anew and gives all of it the checks that its bytes want. */
static void seal(struct buf *bytes)
{
    set(bytes, 152, XXH3_64bits(bytes->data, 152), 8);
    unsigned number = 0;
    for (size_t at = HEADER_LEN; at < bytes->len; number++) {
        uint8_t *head = bytes->data + at;
        if (bytes->len - at < FRAME_LEN) return;
        size_t len = FRAME_LEN + u32_at(head + 16);
        if (len > bytes->len - at) return;
        set(bytes, at + 4, number, 4);
        if (head[0] == DISK_FRAME_END && len == FRAME_LEN + 32)
            set(bytes, at + FRAME_LEN + 24, XXH3_64bits(bytes->data, at), 8);
        set(bytes, at + 24, 0, 8);
        set(bytes, at + 24, XXH3_64bits(head, len), 8);
        at += len;
    }
}

static void refused(struct buf *bytes, const char *words)
{
    struct reading r;
    read_all(bytes->data, bytes->len, NULL, NULL, &r);
    if (r.status == VDB_OK) fail_msg("not refused: %s", words);
    if (!strstr(r.err.message, words)) fail_msg("%s: not in: %s", words, r.err.message);
}

/* Takes frame `number` out, or puts a copy of it in front of frame `before`. */
static void move_frame(const struct buf *from, unsigned number, int before, struct buf *to)
{
    struct buf empty = {0};
    *to = empty;
    assert_int_equal(buf_append(to, from->data, HEADER_LEN), 0);
    size_t at = HEADER_LEN, moved = frame_off(from, number);
    size_t moved_len = FRAME_LEN + u32_at(from->data + moved + 16);
    for (int i = 0; at < from->len; i++) {
        size_t len = FRAME_LEN + u32_at(from->data + at + 16);
        if (i == before) assert_int_equal(buf_append(to, from->data + moved, moved_len), 0);
        if (before >= 0 || i != (int)number)
            assert_int_equal(buf_append(to, from->data + at, len), 0);
        at += len;
    }
}

static void frames_out_of_place(void **state)
{
    (void)state;
    struct buf bytes = {0}, other = {0}, moved, mixed = {0};
    make(&HEADER, 60, &bytes);
    for (unsigned i = 0; i < 9; i++) {
        move_frame(&bytes, i, -1, &moved);
        if (i < 8)
            assert_false(sound(moved.data, moved.len));
        else
            must_be_cut(moved.data, moved.len, NULL);
        buf_release(&moved);
        for (int before = 0; before < 9; before++) {
            move_frame(&bytes, i, before, &moved);
            assert_false(sound(moved.data, moved.len));
            buf_release(&moved);
        }
    }
    /* A frame of another stream, whole in itself and with the right number. */
    struct stream_header changed = HEADER;
    changed.dim = 3;
    changed.target.live++;
    make(&changed, 60, &other);
    size_t at = frame_off(&bytes, 8);
    assert_int_equal(frame_off(&other, 8), at);
    assert_int_equal(buf_append(&mixed, other.data, HEADER_LEN), 0);
    assert_int_equal(buf_append(&mixed, bytes.data + HEADER_LEN, bytes.len - HEADER_LEN), 0);
    refused(&mixed, "what its frame 8 ends is not what it sums up");
    buf_release(&bytes);
    buf_release(&other);
    buf_release(&mixed);
}

/* With checks that are right: the order itself is looked at. */
static void an_order_that_is_none(void **state)
{
    (void)state;
    static const struct {
        unsigned number;
        int before;
    } moves[] = {{0, 1}, {3, -1}, {4, -1}, {3, 3}, {4, 4}, {7, 3},
                 {7, 5}, {1, 0},  {2, 8},  {8, 3}, {0, 8}};
    struct buf bytes = {0}, moved;
    make(&HEADER, 60, &bytes);
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (i == 0) continue; /* two frames of names of the base are allowed */
        move_frame(&bytes, moves[i].number, moves[i].before, &moved);
        seal(&moved);
        if (sound(moved.data, moved.len)) fail_msg("move %zu", i);
        buf_release(&moved);
    }
    move_frame(&bytes, 0, 1, &moved);
    seal(&moved);
    assert_true(sound(moved.data, moved.len));
    buf_release(&moved);
    /* A whole stream has neither names of a base nor deleted ids. */
    set(&bytes, 10, 0, 2);
    seal(&bytes);
    refused(&bytes, "frame 0 is not the one that follows");
    move_frame(&bytes, 7, 0, &moved); /* and no names of a base before them */
    seal(&moved);
    refused(&moved, "frame 0 is not the one that follows");
    buf_release(&moved);
    buf_clear(&bytes);
    struct stream_header whole = HEADER;
    whole.incremental = false;
    make(&whole, 60, &bytes);
    assert_true(sound(bytes.data, bytes.len));
    buf_release(&bytes);
}

static void impossible_values(void **state)
{
    (void)state;
    static const struct {
        unsigned frame; /* UINT_MAX: the header */
        size_t at, len;
        uint64_t value;
        const char *words;
    } cases[] = {
        {99, 0, 1, 0x8e, "not a stream"},
        {99, 8, 2, 2, "the stream is of version 2, this reads version 1"},
        {99, 10, 2, 3, "impossible values"},
        {99, 12, 4, 168, "impossible values"},
        {99, 16, 4, 0, "impossible values"},
        {99, 16, 4, 65536, "impossible values"},
        {99, 20, 2, 0, "impossible values"},
        {99, 20, 2, 4, "impossible values"},
        {99, 22, 2, 0, "impossible values"},
        {99, 22, 2, 5, "impossible values"},
        {99, 24, 2, 6, "impossible values"},
        {99, 26, 2, 6, "impossible values"},
        {99, 16, 4, 4, "frame 4 does not hold what it says"}, /* vectors of another length */
        {0, 0, 2, 0, "frame 0 is not the one"},
        {8, 0, 2, 7, "frame 8 is not the one"},
        {0, 2, 2, 2, "frame 0 does not unpack"},
        {0, 2, 2, 1, "frame 0 does not unpack"}, /* stored, and said to be packed */
        {3, 2, 2, 0, "frame 3 does not unpack"}, /* and the other way round */
        {3, 8, 4, 0, "impossible lengths"},
        {3, 8, 4, 61, "frame 3 does not hold"},
        {3, 8, 4, 0xffffffff, "frame 3 does not hold"},
        {4, 8, 4, 61, "frame 4 is not the one"},
        {3, 12, 4, 0, "impossible lengths"},
        {3, 12, 4, 17047553, "impossible lengths"},
        {3, 12, 4, 17047552, "frame 3 does not unpack"},
        {3, 12, 4, 0xffffffff, "impossible lengths"},
        {7, 8, 4, 8, "frame 7 does not hold"},
        {0, 8, 4, 2, "frame 0 does not hold"},
        {1, FRAME_LEN + 32, 2, 0, "frame 1 does not hold"}, /* a name of no bytes */
        {1, FRAME_LEN + 32, 2, 6, "frame 1 does not hold"},
        {1, FRAME_LEN + 32, 2, 199, "frame 1 does not hold"},
        {1, FRAME_LEN + 40, 1, 0x1f, "frame 1 does not hold"}, /* a control character */
        {8, 8, 4, 2, "what its frame 8 ends"},
        {8, FRAME_LEN + 0, 8, 64, "what its frame 8 ends"},
        {8, FRAME_LEN + 8, 8, 10, "what its frame 8 ends"},
        {8, FRAME_LEN + 16, 8, 1, "what its frame 8 ends"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf bytes = {0};
        make(&HEADER, 60, &bytes);
        size_t at = cases[i].frame == 99 ? 0 : frame_off(&bytes, cases[i].frame);
        set(&bytes, at + cases[i].at, cases[i].value, cases[i].len);
        seal(&bytes);
        refused(&bytes, cases[i].words);
        buf_release(&bytes);
    }
}

static void an_end_of_another_length(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct stream_writer w = {.frames = 8};
    uint8_t sums[24] = {0};
    make(&HEADER, 60, &bytes);
    bytes.len = frame_off(&bytes, 8);
    put(&w, DISK_FRAME_END, 1, sums, sizeof sums, &bytes);
    seal(&bytes);
    refused(&bytes, "what its frame 8 ends");
    buf_release(&bytes);
}

/* Items that a frame's lengths allow and that are none. */
static void items_that_are_none(void **state)
{
    (void)state;
    struct stream_items items;
    struct stream_item item;
    static const uint8_t two[] = {1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', 'x', 'y', 'z'};
    uint8_t bytes[sizeof two];
    assert_true(stream_items_init(&items, two, sizeof two, 2, true));
    assert_true(stream_items_next(&items, &item));
    assert_int_equal(item.id_len, 1);
    assert_null(item.text);
    assert_true(stream_items_next(&items, &item));
    assert_memory_equal(item.id, "bc", 2);
    assert_memory_equal(item.text, "xyz", 3);
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 0},   {0, 2},     {2, 1},     {4, 1},  {8, 4},     {11, 0xff},
                 {12, 10}, {12, 0x7f}, {13, 0xc3}, {15, 0}, {16, 0xff}, {1, 0xff}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bytes, two, sizeof two);
        bytes[cases[i].at] = cases[i].value;
        if (stream_items_init(&items, bytes, sizeof bytes, 2, true)) fail_msg("case %zu", i);
    }
    assert_false(stream_items_init(&items, two, sizeof two, 1, true));
    assert_false(stream_items_init(&items, two, sizeof two, 3, true));
    assert_false(stream_items_init(&items, two, sizeof two, UINT32_MAX, true));
    assert_false(stream_items_init(&items, two, sizeof two - 1, 2, true));
    /* A text that is longer than one may be, by a byte. */
    size_t len = 7 + (size_t)VDB_METADATA_MAX + 1;
    uint8_t *large = malloc(len);
    assert_non_null(large);
    memset(large, 'x', len);
    memcpy(large, (uint8_t[]){1, 0, 1, 0, 0, 1}, 6);
    assert_false(stream_items_init(&items, large, len, 1, true));
    memcpy(large, (uint8_t[]){1, 0, 0, 0, 0, 1}, 6);
    assert_true(stream_items_init(&items, large, len - 1, 1, true));
    free(large);
}

/* Names without end are not gathered: their number has a bound. */
static void too_many_names(void **state)
{
    (void)state;
    struct buf bytes = {0}, raw = {0};
    struct stream_writer w = {0};
    struct snapshot_entry entry = {.name_len = 1, .name = "x"};
    for (unsigned i = 0; i < 32768; i++)
        assert_int_equal(stream_name_append(&entry, &raw, NULL), VDB_OK);
    assert_int_equal(stream_put_header(&w, &HEADER, &bytes, NULL), VDB_OK);
    assert_int_equal(stream_put_frame(&w, DISK_FRAME_NAMES, 32768, &raw, &bytes, NULL), VDB_OK);
    assert_int_equal(stream_put_frame(&w, DISK_FRAME_NAMES, 32768, &raw, &bytes, NULL), VDB_OK);
    size_t end = bytes.len;
    put_name(&(struct stream_writer){.frames = 2}, DISK_FRAME_NAMES, "y", &bytes);
    refused(&bytes, "frame 2 does not hold what it says");
    bytes.len = end;
    assert_int_equal(stream_put_frame(&w, DISK_FRAME_NAMES, 1, &raw, &bytes, NULL), VDB_LIMIT);
    /* Nor are there more frames than can be numbered, or larger ones than are read. */
    struct stream_writer last = {.frames = UINT32_MAX};
    assert_int_equal(stream_put_frame(&last, DISK_FRAME_ROWS, 1, &raw, &bytes, NULL), VDB_LIMIT);
    assert_int_equal(stream_put_end(&last, &bytes, NULL), VDB_LIMIT);
    struct stream_writer large = {0};
    raw.len = (size_t)VDB_STREAM_FRAME_MAX + 1; /* which nobody reads */
    assert_int_equal(stream_put_frame(&large, DISK_FRAME_ROWS, 1, &raw, &bytes, NULL), VDB_LIMIT);
    buf_release(&bytes);
    buf_release(&raw);
}

static void any_answer(const uint8_t *p, size_t len, void *context)
{
    (void)context;
    struct buf bytes = {0};
    struct reading r;
    read_all(p, len, NULL, NULL, &r);
    /* And with checks that hide the damage. */
    assert_int_equal(buf_append(&bytes, p, len), 0);
    seal(&bytes);
    read_all(bytes.data, bytes.len, NULL, NULL, &r);
    buf_release(&bytes);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct buf bytes = {0};
    make(&HEADER, 20, &bytes);
    hostile_flips(bytes.data, bytes.len, 20000, any_answer, NULL);
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),          cmocka_unit_test(example_of_the_spec),
        cmocka_unit_test(every_length),        cmocka_unit_test(every_byte),
        cmocka_unit_test(frames_out_of_place), cmocka_unit_test(an_order_that_is_none),
        cmocka_unit_test(impossible_values),   cmocka_unit_test(an_end_of_another_length),
        cmocka_unit_test(items_that_are_none), cmocka_unit_test(too_many_names),
        cmocka_unit_test(hostile_bytes),       cmocka_unit_test(every_bit_of_the_header),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
