/* test_manifest.c: manifests as bytes and back, and every one that is refused.
 *
 * Damage is put into the encoded bytes, at the offsets of format-spec/manifest.md, and the checksum
 * is then made right, so that what refuses it is the rule and not the checksum.
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

#include "format/manifest.h"
#include "hostile.h"

#define FILE_LEN 1000000u
#define OFF      8192u

enum { HEADER = 256, PART = 64, SEGMENT = 64, EXTENT = 32, SNAPSHOT = 256, CHECK = 248 };
enum {
    PARTS_AT = HEADER,
    SEGMENTS_AT = PARTS_AT + 2 * PART,
    EXTENTS_AT = SEGMENTS_AT + 9 * SEGMENT
};
enum { SNAPSHOTS_AT = EXTENTS_AT + 2 * EXTENT, LENGTH = SNAPSHOTS_AT + 2 * SNAPSHOT };

static void add_segment(struct manifest *m, uint16_t type, uint32_t begin, uint32_t end)
{
    struct segment_entry segment = {
        .type = type,
        .off = 65536 + 4096u * m->segment_count,
        .len = 4000 + m->segment_count,
        .row_begin = begin,
        .row_end = end,
        .stride = type == DISK_SEGMENT_VECTOR ? 64 : 0,
        .check = 0xabcdef0000000000u + m->segment_count,
    };
    assert_int_equal(manifest_add_segment(m, &segment, NULL), VDB_OK);
}

/* A graph part of rows 0 to 99, a flat one of rows 100 to 149, and one of everything else. */
static void sample(struct manifest *m)
{
    *m = (struct manifest){
        .generation = 7,
        .commit = 42,
        .commit_time_us = 1700000000000000,
        .row_count = 150,
        .live_count = 140,
        .dim = 16,
        .metric = VDB_METRIC_COSINE,
        .type = VDB_TYPE_F16,
        .created_us = 1600000000000000,
        .horizon_commit = 3,
        .index = VDB_INDEX_GRAPH,
        .codes = VDB_CODES_I4,
        .degree = 24,
        .ef_construction = 80,
        .alpha_milli = 1150,
        .quiet_begin = 1380,
        .quiet_end = 270,
        .origin = {"0123456789abcdef", 77},
        .received_commit = 41,
    };
    struct part_entry graph = {DISK_PART_GRAPH, 0, 100, 0, 6, 40};
    struct part_entry flat = {DISK_PART_FLAT, 100, 150, 6, 3, 42};
    assert_int_equal(manifest_add_part(m, &graph, NULL), VDB_OK);
    assert_int_equal(manifest_add_part(m, &flat, NULL), VDB_OK);
    for (uint16_t type = DISK_SEGMENT_VECTOR; type <= DISK_SEGMENT_METADATA; type++)
        add_segment(m, type, 0, 100);
    add_segment(m, DISK_SEGMENT_VECTOR, 100, 150);
    add_segment(m, DISK_SEGMENT_ID, 100, 150);
    add_segment(m, DISK_SEGMENT_ID_HASH, 100, 150);
    struct log_extent_entry extents[] = {{16384, 49152, 2, 1600000000000001},
                                         {131072, 65536, 30, 1650000000000000}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(manifest_add_log_extent(m, &extents[i], NULL), VDB_OK);
    static const struct snapshot_entry snapshots[] = {
        {41, 5, 6, {"0123456789abcdef", 77}, 149, 139, 6, "before"},
        {40, 4, 4, {"fedcba9876543210", 40}, 149, 149, 7, "before2"}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(manifest_add_snapshot(m, &snapshots[i], NULL), VDB_OK);
}

static void encoded(struct buf *bytes)
{
    struct manifest m;
    sample(&m);
    assert_int_equal(manifest_encode(&m, bytes, NULL), VDB_OK);
    manifest_release(&m);
    assert_int_equal(bytes->len, LENGTH);
}

static void comes_back_as_it_went(void **state)
{
    (void)state;
    struct manifest want, got;
    struct buf bytes = {0};
    sample(&want);
    encoded(&bytes);
    assert_int_equal(manifest_decode(bytes.data, bytes.len, OFF, FILE_LEN, &got, NULL), VDB_OK);
    assert_int_equal(got.generation, 7);
    assert_int_equal(got.commit, 42);
    assert_int_equal(got.commit_time_us, 1700000000000000);
    assert_int_equal(got.row_count, 150);
    assert_int_equal(got.live_count, 140);
    assert_int_equal(got.dim, 16);
    assert_int_equal(got.metric, VDB_METRIC_COSINE);
    assert_int_equal(got.type, VDB_TYPE_F16);
    assert_int_equal(got.created_us, 1600000000000000);
    assert_int_equal(got.horizon_commit, 3);
    assert_int_equal(got.index, VDB_INDEX_GRAPH);
    assert_int_equal(got.codes, VDB_CODES_I4);
    assert_int_equal(got.degree, 24);
    assert_int_equal(got.ef_construction, 80);
    assert_int_equal(got.alpha_milli, 1150);
    assert_int_equal(got.quiet_begin, 1380);
    assert_int_equal(got.quiet_end, 270);
    assert_int_equal(got.part_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(got.parts[i].kind, want.parts[i].kind);
        assert_int_equal(got.parts[i].row_begin, want.parts[i].row_begin);
        assert_int_equal(got.parts[i].row_end, want.parts[i].row_end);
        assert_int_equal(got.parts[i].segment_first, want.parts[i].segment_first);
        assert_int_equal(got.parts[i].segment_count, want.parts[i].segment_count);
        assert_int_equal(got.parts[i].commit, want.parts[i].commit);
    }
    assert_int_equal(got.segment_count, 9);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(got.segments[i].type, want.segments[i].type);
        assert_int_equal(got.segments[i].off, want.segments[i].off);
        assert_int_equal(got.segments[i].len, want.segments[i].len);
        assert_int_equal(got.segments[i].stride, want.segments[i].stride);
        assert_int_equal(got.segments[i].check, want.segments[i].check);
    }
    assert_int_equal(got.log_extent_count, 2);
    assert_int_equal(got.log_extents[1].off, 131072);
    assert_int_equal(got.log_extents[1].first_commit, 30);
    assert_int_equal(got.log_extents[1].time_us, 1650000000000000);
    assert_int_equal(got.snapshot_count, 2);
    assert_int_equal(got.snapshots[0].commit, 41);
    assert_int_equal(got.snapshots[0].commit_time_us, 5);
    assert_int_equal(got.snapshots[0].created_us, 6);
    assert_int_equal(got.snapshots[0].origin.commit, 77);
    assert_memory_equal(got.snapshots[0].origin.id, "0123456789abcdef", 16);
    assert_int_equal(got.snapshots[0].row_count, 149);
    assert_int_equal(got.snapshots[0].live_count, 139);
    assert_int_equal(got.snapshots[0].name_len, 6);
    assert_memory_equal(got.snapshots[0].name, "before", 7);
    assert_memory_equal(got.snapshots[1].name, "before2", 8);
    assert_int_equal(got.origin.commit, 77);
    assert_memory_equal(got.origin.id, "0123456789abcdef", 16);
    assert_int_equal(got.received_commit, 41);
    assert_ptr_equal(manifest_segment(&got, &got.parts[1], DISK_SEGMENT_ID), &got.segments[7]);
    assert_null(manifest_segment(&got, &got.parts[1], DISK_SEGMENT_GRAPH));
    buf_release(&bytes);
    manifest_release(&want);
    manifest_release(&got);
}

static void seal(uint8_t *p, size_t len)
{
    memset(p + CHECK, 0, 8);
    uint64_t check = XXH3_64bits(p, len);
    memcpy(p + CHECK, &check, 8);
}

struct damage {
    unsigned at, width;
    uint64_t value;
    enum vdb_status status;
    const char *words;
};

static const struct damage DAMAGES[] = {
    {0, 1, 'v', VDB_CORRUPT, "magic"},
    {4, 4, 252, VDB_CORRUPT, "header of 252 bytes"},
    {4, 4, 264, VDB_CORRUPT, "header of 264 bytes"},
    {4, 4, LENGTH + 64, VDB_CORRUPT, "header of"},
    {4, 4, HEADER + 64, VDB_CORRUPT, "part table"},
    {88, 8, HEADER - 8, VDB_CORRUPT, "part table"},
    {8, 8, LENGTH + 1, VDB_CORRUPT, "length"},
    {8, 8, LENGTH - 1, VDB_CORRUPT, "length"},
    {40, 4, 0xffffffff, VDB_CORRUPT, "live"},
    {44, 4, 151, VDB_CORRUPT, "live"},
    {48, 4, 0, VDB_CORRUPT, "dimension"},
    {48, 4, 65536, VDB_CORRUPT, "dimension"},
    {52, 2, 0, VDB_UNSUPPORTED, "metric 0"},
    {52, 2, 4, VDB_UNSUPPORTED, "metric 4"},
    {54, 2, 0, VDB_UNSUPPORTED, "vector type 0"},
    {54, 2, 5, VDB_UNSUPPORTED, "vector type 5"},
    {72, 2, 6, VDB_UNSUPPORTED, "index kind 6"},
    {72, 2, 5, VDB_CORRUPT, "recent rows are told by 0 measures"},
    {74, 2, 6, VDB_UNSUPPORTED, "codes of kind 6"},
    {152, 8, 1, VDB_CORRUPT, "recent rows are told by 1 measures"},
    {160, 4, 1, VDB_CORRUPT, "recent rows are told by 1 measures"},
    {164, 2, 1440, VDB_CORRUPT, "quiet hours"},
    {166, 2, 1440, VDB_CORRUPT, "quiet hours"},
    /* tables: parts, segments, log extents, snapshots */
    {88, 8, LENGTH + 1, VDB_CORRUPT, "part table"},
    {88, 8, (uint64_t)-64, VDB_CORRUPT, "part table"},
    {96, 4, 0x04000001, VDB_CORRUPT, "part table"},
    {100, 4, 56, VDB_CORRUPT, "part table"},
    {100, 4, 68, VDB_CORRUPT, "part table"},
    {104, 8, LENGTH + 1, VDB_CORRUPT, "segment table"},
    {112, 4, 0xffffffff, VDB_CORRUPT, "segment table"},
    {116, 4, 0, VDB_CORRUPT, "segment table"},
    {128, 4, 0xffffffff, VDB_CORRUPT, "log extent table"},
    {132, 4, 31, VDB_CORRUPT, "log extent table"},
    {144, 4, 3, VDB_CORRUPT, "snapshot table"},
    {148, 4, 1, VDB_CORRUPT, "snapshot table"},
    /* the first part */
    {PARTS_AT + 0, 2, 0, VDB_UNSUPPORTED, "part kind 0 version 1"},
    {PARTS_AT + 0, 2, 4, VDB_UNSUPPORTED, "part kind 4 version 1"},
    {PARTS_AT + 0, 2, 3, VDB_CORRUPT, "part has no ivf segment"},
    {PARTS_AT + 2, 2, 2, VDB_UNSUPPORTED, "part kind 2 version 2"},
    {PARTS_AT + 8, 4, 1, VDB_CORRUPT, "begin at 0"},
    {PARTS_AT + 12, 4, 0, VDB_CORRUPT, "rows"},
    {PARTS_AT + 12, 4, 99, VDB_CORRUPT, "segment covers"},
    {PARTS_AT + 16, 4, 10, VDB_CORRUPT, "segment table"},
    {PARTS_AT + 16, 4, 0xffffffff, VDB_CORRUPT, "segment table"},
    {PARTS_AT + 20, 4, 10, VDB_CORRUPT, "segment table"},
    {PARTS_AT + 20, 4, 2, VDB_CORRUPT, "no graph segment"},
    {PARTS_AT + 20, 4, 4, VDB_CORRUPT, "no id-hash segment"},
    /* the second part */
    {PARTS_AT + PART + 8, 4, 101, VDB_CORRUPT, "rows"},
    {PARTS_AT + PART + 8, 4, 99, VDB_CORRUPT, "rows"},
    {PARTS_AT + PART + 12, 4, 100, VDB_CORRUPT, "rows"},
    {PARTS_AT + PART + 20, 4, 2, VDB_CORRUPT, "no id-hash segment"},
    /* a table without entries; segments */
    {128, 4, 0, VDB_CORRUPT, "no log extent"},
    {SEGMENTS_AT + 0, 2, 13, VDB_UNSUPPORTED, "segment type 13 version 1"},
    {SEGMENTS_AT + 0, 2, DISK_SEGMENT_HISTORY, VDB_CORRUPT, "history segment covers rows"},
    {SEGMENTS_AT + 0, 2, DISK_SEGMENT_STATES, VDB_CORRUPT, "states segment covers rows"},
    {SEGMENTS_AT + 0, 2, 0, VDB_UNSUPPORTED, "segment type 0 version 1"},
    {SEGMENTS_AT + 2, 2, 2, VDB_UNSUPPORTED, "segment type 1 version 2"},
    {SEGMENTS_AT + 0, 2, DISK_SEGMENT_ID, VDB_CORRUPT, "two id segments"},
    {SEGMENTS_AT + 8, 8, FILE_LEN, VDB_CORRUPT, "end of the file"},
    {SEGMENTS_AT + 8, 8, (uint64_t)-4000, VDB_CORRUPT, "end of the file"},
    {SEGMENTS_AT + 8, 8, 65540, VDB_CORRUPT, "aligned"},
    {SEGMENTS_AT + 8, 8, 4096, VDB_CORRUPT, "superblocks"},
    {SEGMENTS_AT + 16, 8, FILE_LEN - 65536 + 1, VDB_CORRUPT, "end of the file"},
    {SEGMENTS_AT + 16, 8, (uint64_t)-1, VDB_CORRUPT, "end of the file"},
    {SEGMENTS_AT + 24, 4, 101, VDB_CORRUPT, "covers rows"},
    {SEGMENTS_AT + 24, 4, 1, VDB_CORRUPT, "covers rows"},
    {SEGMENTS_AT + 28, 4, 151, VDB_CORRUPT, "covers rows"},
    {SEGMENTS_AT + 28, 4, 99, VDB_CORRUPT, "covers rows"},
    /* log extents */
    {EXTENTS_AT + 0, 8, 16392, VDB_CORRUPT, "cannot begin with commit 2"},
    {EXTENTS_AT + 0, 8, 4096, VDB_CORRUPT, "at 4096 cannot begin"},
    {EXTENTS_AT + 8, 8, 63, VDB_CORRUPT, "of 63 bytes"},
    {EXTENTS_AT + EXTENT + 16, 8, 0, VDB_CORRUPT, "with commit 0"},
    /* rows that no part covers; snapshots */
    {40, 4, 151, VDB_CORRUPT, "parts cover 150 of 151 rows"},
    {SNAPSHOTS_AT + 56, 2, 0, VDB_CORRUPT, "name of snapshot 0 is none"},
    {SNAPSHOTS_AT + 56, 2, 199, VDB_CORRUPT, "name of snapshot 0 is none"},
    {SNAPSHOTS_AT + 58, 1, '\t', VDB_CORRUPT, "name of snapshot 0 is none"},
    {SNAPSHOTS_AT + 58, 1, 0xff, VDB_CORRUPT, "name of snapshot 0 is none"},
    {SNAPSHOTS_AT + SNAPSHOT + 56, 2, 8, VDB_CORRUPT, "name of snapshot 1 is none"},
    {SNAPSHOTS_AT + SNAPSHOT + 56, 2, 6, VDB_CORRUPT, "name of snapshot 1 is out of order"},
    {SNAPSHOTS_AT + SNAPSHOT + 58, 1, 'a', VDB_CORRUPT, "name of snapshot 1 is out of order"},
    {SNAPSHOTS_AT + 58, 1, 'c', VDB_CORRUPT, "name of snapshot 1 is out of order"},
    {SNAPSHOTS_AT + 0, 8, 0, VDB_CORRUPT, "snapshot 0 is of commit 0"},
    {SNAPSHOTS_AT + 0, 8, 43, VDB_CORRUPT, "snapshot 0 is of commit 43"},
    {SNAPSHOTS_AT + 48, 4, 151, VDB_CORRUPT, "139 of 151 rows live"},
    {SNAPSHOTS_AT + 52, 4, 150, VDB_CORRUPT, "150 of 149 rows live"},
};

static void each_damage_has_its_words(void **state)
{
    (void)state;
    struct buf bytes = {0};
    encoded(&bytes);
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        const struct damage *d = &DAMAGES[i];
        uint8_t copy[LENGTH];
        struct manifest got;
        struct vdb_error err = {0};
        memcpy(copy, bytes.data, LENGTH);
        memcpy(copy + d->at, &d->value, d->width);
        seal(copy, LENGTH);
        enum vdb_status status = manifest_decode(copy, LENGTH, OFF, FILE_LEN, &got, &err);
        if (status != d->status || !strstr(err.message, d->words))
            fail_msg("damage %zu at %u: status %d: %s", i, d->at, (int)status, err.message);
        if (status != VDB_CORRUPT) continue;
        assert_string_equal(err.segment, "manifest");
        assert_in_range(err.offset, OFF, OFF + LENGTH - 1);
    }
    buf_release(&bytes);
}

/* Every bit counts, those that mean nothing too. */
static void any_changed_bit_is_seen(void **state)
{
    (void)state;
    struct buf bytes = {0};
    encoded(&bytes);
    for (size_t bit = 0; bit < 8 * (size_t)LENGTH; bit++) {
        struct manifest got;
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, NULL),
                         VDB_CORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    buf_release(&bytes);
}

/* A later version's header and entries may be longer: what this one knows comes first. */
static void longer_headers_and_entries_are_read(void **state)
{
    (void)state;
    static const struct {
        size_t at, size;
    } tables[] = {{88, PART}, {104, SEGMENT}, {120, EXTENT}, {136, SNAPSHOT}};
    struct buf bytes = {0};
    struct manifest got;
    uint8_t longer[2 * LENGTH];
    encoded(&bytes);
    memset(longer, 0xa5, sizeof longer);
    memcpy(longer, bytes.data, HEADER);
    uint64_t end = HEADER + 64;
    memcpy(longer + 4, &(uint32_t){HEADER + 64}, 4);
    for (size_t t = 0; t < 4; t++) {
        uint64_t off;
        uint32_t count, stride = (uint32_t)tables[t].size + 8 * ((uint32_t)t + 1);
        memcpy(&off, bytes.data + tables[t].at, 8);
        memcpy(&count, bytes.data + tables[t].at + 8, 4);
        memcpy(longer + tables[t].at, &end, 8);
        memcpy(longer + tables[t].at + 12, &stride, 4);
        for (uint32_t i = 0; i < count; i++, end += stride)
            memcpy(longer + end, bytes.data + off + i * tables[t].size, tables[t].size);
    }
    memcpy(longer + 8, &end, 8);
    seal(longer, end);
    struct vdb_error err = {0};
    enum vdb_status status = manifest_decode(longer, end, OFF, FILE_LEN, &got, &err);
    if (status) fail_msg("%s", err.message);
    struct buf again = {0};
    assert_int_equal(manifest_encode(&got, &again, NULL), VDB_OK);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    buf_release(&again);
    manifest_release(&got);
    buf_release(&bytes);
}

/* Each search goes through all parts, and so does each look-up of an id. */
static void there_are_not_too_many_parts(void **state)
{
    (void)state;
    static const uint16_t types[] = {DISK_SEGMENT_VECTOR, DISK_SEGMENT_ID, DISK_SEGMENT_ID_HASH};
    static struct part_entry parts[4097];
    static struct segment_entry segments[3 * 4097];
    for (uint32_t i = 0; i < 3 * 4097; i++)
        segments[i] = (struct segment_entry){.type = types[i % 3],
                                             .version = 1,
                                             .off = 65536,
                                             .len = 1,
                                             .row_begin = i / 3,
                                             .row_end = i / 3 + 1,
                                             .stride = 64};
    for (uint32_t i = 0; i < 4097; i++)
        parts[i] = (struct part_entry){.kind = DISK_PART_FLAT,
                                       .row_begin = i,
                                       .row_end = i + 1,
                                       .segment_first = 3 * i,
                                       .segment_count = 3};
    for (uint32_t count = 4096; count <= 4097; count++) {
        struct manifest m = {.generation = 1,
                             .commit = 1,
                             .row_count = count,
                             .dim = 1,
                             .metric = VDB_METRIC_L2,
                             .type = VDB_TYPE_F32,
                             .parts = parts,
                             .part_count = count,
                             .segments = segments,
                             .segment_count = 3 * count};
        struct log_extent_entry extent = {65536, 65536, 2, 0};
        m.log_extents = &extent;
        m.log_extent_count = 1;
        struct buf bytes = {0};
        struct manifest got;
        struct vdb_error err = {0};
        assert_int_equal(manifest_encode(&m, &bytes, NULL), VDB_OK);
        enum vdb_status status = manifest_decode(bytes.data, bytes.len, 8192, 1 << 20, &got, &err);
        if (status != (count == 4096 ? VDB_OK : VDB_CORRUPT)) fail_msg("%s", err.message);
        if (status) assert_non_null(strstr(err.message, "there are 4097 parts"));
        manifest_release(&got);
        buf_release(&bytes);
    }
}

/* A type that is not known here but marked optional does not keep anyone from reading. */
static void optional_segments_are_passed_over(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest got;
    encoded(&bytes);
    uint8_t *metadata = bytes.data + SEGMENTS_AT + 5 * SEGMENT;
    metadata[0] = 77;
    metadata[2] = 9;
    metadata[4] = DISK_SEGMENT_OPTIONAL;
    seal(bytes.data, LENGTH);
    assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, NULL), VDB_OK);
    assert_null(manifest_segment(&got, &got.parts[0], DISK_SEGMENT_METADATA));
    assert_non_null(manifest_segment(&got, &got.parts[0], DISK_SEGMENT_GRAPH));
    manifest_release(&got);
    buf_release(&bytes);
}

/* Where they lie is looked at all the same; a later version of a type that is known is another. */
static void optional_segments_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        uint64_t off;
        const char *words;
    } cases[] = {{FILE_LEN, "unknown segment goes beyond"},
                 {4096, "unknown segment lies in the superblocks"},
                 {65540, "unknown segment is not aligned"}};
    struct buf bytes = {0};
    struct manifest got;
    struct vdb_error err = {0};
    encoded(&bytes);
    uint8_t *metadata = bytes.data + SEGMENTS_AT + 5 * SEGMENT, sound[SEGMENT];
    metadata[2] = 2;
    metadata[4] = DISK_SEGMENT_OPTIONAL;
    seal(bytes.data, LENGTH);
    assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, NULL), VDB_OK);
    assert_null(manifest_segment(&got, &got.parts[0], DISK_SEGMENT_METADATA));
    manifest_release(&got);
    metadata[0] = 77;
    memcpy(sound, metadata, SEGMENT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(metadata, sound, SEGMENT);
        memcpy(metadata + 8, &cases[i].off, 8);
        seal(bytes.data, LENGTH);
        assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, &err),
                         VDB_CORRUPT);
        if (!strstr(err.message, cases[i].words)) fail_msg("%s", err.message);
    }
    buf_release(&bytes);
}

/* Each within the file, and together more than it holds. */
static void segments_that_must_overlap(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest got;
    struct vdb_error err = {0};
    encoded(&bytes);
    for (unsigned i = 0; i < 9; i++) {
        uint64_t off = 65536, len = FILE_LEN - off;
        memcpy(bytes.data + SEGMENTS_AT + i * SEGMENT + 8, &off, 8);
        memcpy(bytes.data + SEGMENTS_AT + i * SEGMENT + 16, &len, 8);
    }
    seal(bytes.data, LENGTH);
    assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, &err), VDB_CORRUPT);
    assert_non_null(strstr(err.message, "segments overlap"));
    buf_release(&bytes);
}

/* Walks can do without codes, but not without a graph. */
static void graph_part_without_codes(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest got;
    struct vdb_error err = {0};
    encoded(&bytes);
    uint8_t *code = bytes.data + SEGMENTS_AT + 1 * SEGMENT, *graph = code + SEGMENT;
    assert_int_equal(code[0], DISK_SEGMENT_CODE);
    code[0] = 77;
    code[4] = DISK_SEGMENT_OPTIONAL;
    seal(bytes.data, LENGTH);
    assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, NULL), VDB_OK);
    assert_null(manifest_segment(&got, &got.parts[0], DISK_SEGMENT_CODE));
    manifest_release(&got);
    graph[0] = 78;
    graph[4] = DISK_SEGMENT_OPTIONAL;
    seal(bytes.data, LENGTH);
    assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, &err), VDB_CORRUPT);
    assert_non_null(strstr(err.message, "no graph segment"));
    buf_release(&bytes);
}

/* Old rows and recent ones: one measure, in hybrid indexes alone. */
static void a_measure_of_recent_rows(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows;
        uint64_t seconds;
        bool good;
    } measures[] = {{1, 0, true},
                    {0xfffffffe, 0, true},
                    {0, 1, true},
                    {0, VDB_RECENT_SECONDS_MAX, true},
                    {0, VDB_RECENT_SECONDS_MAX + 1, false},
                    {1, 1, false},
                    {0, 0, false}};
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++) {
        struct buf bytes = {0};
        struct manifest m, got;
        sample(&m);
        m.index = VDB_INDEX_HYBRID;
        m.recent_rows = measures[i].rows;
        m.recent_seconds = measures[i].seconds;
        assert_int_equal(manifest_encode(&m, &bytes, NULL), VDB_OK);
        assert_int_equal(manifest_decode(bytes.data, LENGTH, OFF, FILE_LEN, &got, NULL),
                         measures[i].good ? VDB_OK : VDB_CORRUPT);
        assert_true(!measures[i].good ||
                    (got.recent_rows == m.recent_rows && got.recent_seconds == m.recent_seconds));
        manifest_release(&got);
        manifest_release(&m);
        buf_release(&bytes);
    }
}

static void names(void **state)
{
    (void)state;
    static const char *const want[] = {NULL,      "vector",   "code",      "graph",  "id",
                                       "id-hash", "metadata", "tombstone", "history"};
    for (unsigned type = 1; type <= 8; type++)
        assert_string_equal(segment_type_name(type), want[type]);
    assert_null(segment_type_name(0));
    assert_string_equal(segment_type_name(DISK_SEGMENT_CALIBRATION), "calibration");
    assert_string_equal(segment_type_name(DISK_SEGMENT_IVF), "ivf");
    assert_string_equal(segment_type_name(DISK_SEGMENT_TIME), "time");
    assert_string_equal(segment_type_name(DISK_SEGMENT_STATES), "states");
    assert_null(segment_type_name(13));
}

/* With a checksum made right, as someone of ill will would. */
static void decode_sealed(const uint8_t *p, size_t len, void *context)
{
    struct manifest got;
    uint8_t *copy = malloc(len ? len : 1);
    (void)context;
    assert_non_null(copy);
    memcpy(copy, p, len);
    if (len >= HEADER) {
        uint64_t length = len;
        memcpy(copy + 8, &length, 8);
        seal(copy, len);
    }
    enum vdb_status status = manifest_decode(copy, len, OFF, FILE_LEN, &got, NULL);
    if (!status) {
        for (uint32_t i = 0; i < got.segment_count; i++)
            assert_true(got.segments[i].off + got.segments[i].len <= FILE_LEN);
        manifest_release(&got);
    }
    free(copy);
}

static void hostile_bytes(void **state)
{
    (void)state;
    struct buf bytes = {0};
    encoded(&bytes);
    hostile_truncations(bytes.data, bytes.len, decode_sealed, NULL);
    hostile_flips(bytes.data, bytes.len, 50000, decode_sealed, NULL);
    buf_release(&bytes);
}

static void no_more_names_than_there_can_be(void **state)
{
    (void)state;
    for (uint32_t count = 16384; count <= 16385; count++) {
        struct manifest m, got;
        struct buf bytes = {0};
        sample(&m);
        m.snapshot_count = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct snapshot_entry entry = {.commit = 40, .name_len = 5};
            snprintf(entry.name, sizeof entry.name, "%05u", i);
            assert_int_equal(manifest_add_snapshot(&m, &entry, NULL), VDB_OK);
        }
        assert_int_equal(manifest_encode(&m, &bytes, NULL), VDB_OK);
        assert_int_equal(manifest_decode(bytes.data, bytes.len, OFF, (uint64_t)1 << 40, &got, NULL),
                         count == 16384 ? VDB_OK : VDB_CORRUPT);
        manifest_release(&got);
        manifest_release(&m);
        buf_release(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_went),
        cmocka_unit_test(each_damage_has_its_words),
        cmocka_unit_test(any_changed_bit_is_seen),
        cmocka_unit_test(longer_headers_and_entries_are_read),
        cmocka_unit_test(there_are_not_too_many_parts),
        cmocka_unit_test(optional_segments_are_passed_over),
        cmocka_unit_test(optional_segments_are_looked_at),
        cmocka_unit_test(segments_that_must_overlap),
        cmocka_unit_test(graph_part_without_codes),
        cmocka_unit_test(a_measure_of_recent_rows),
        cmocka_unit_test(names),
        cmocka_unit_test(no_more_names_than_there_can_be),
        cmocka_unit_test(hostile_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
