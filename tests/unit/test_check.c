/* test_check.c: damage is found and named by segment and offset; a file cut off anywhere is an
 * error and never a crash; what checksums cannot show, the deep check does.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "format/manifest.h"
#include "format/superblock.h"
#include "store_fixture.h"

enum { DIM = 8, ROWS = 2100 };

/* A part of ROWS rows with every segment that it can have, and a tail of three commits. */
static void make_of(struct vdb_create_options options, struct buf *bytes, struct manifest *m,
                    struct superblock *sb)
{
    struct vdb_error err;
    int slot;
    options.dim = DIM;
    struct vdb *db = store_create("x.vdb", options);
    store_add_many(db, 0, 2000, DIM);
    store_add_many(db, 2000, ROWS - 2000, DIM);
    store_delete(db, 5);
    must(vdb_maintain(db, NULL, &err), &err);
    store_add_many(db, ROWS, 10, DIM);
    store_delete(db, 6);
    store_add(db, ROWS + 10, DIM);
    vdb_close(db);
    store_read("x.vdb", bytes);
    must(superblock_choose(bytes->data, bytes->len, sb, &slot, &err), &err);
    assert_int_equal(slot, 1);
    must(manifest_decode(bytes->data + sb->manifest_off, sb->manifest_len, sb->manifest_off,
                         bytes->len, m, &err),
         &err);
    assert_int_equal(m->part_count, 1);
}

static void make(struct buf *bytes, struct manifest *m, struct superblock *sb)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.index = VDB_INDEX_GRAPH;
    make_of(options, bytes, m, sb);
    assert_int_equal(m->segment_count, 9);
}

static uint64_t check_bytes(const struct buf *bytes, int deep, struct vdb_error *first)
{
    store_write("y.vdb", bytes);
    return store_check("y.vdb", deep, first);
}

static void sound_is_sound(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make(&bytes, &m, &sb);
    for (int deep = 0; deep < 2; deep++) assert_int_equal(check_bytes(&bytes, deep, NULL), 0);
    manifest_release(&m);
    buf_release(&bytes);
}

static void a_flipped_bit_is_named(const struct buf *bytes, uint64_t at, const char *segment,
                                   uint64_t begin, uint64_t end)
{
    struct vdb_error finding;
    bytes->data[at] ^= 0x10;
    uint64_t findings = check_bytes(bytes, 0, &finding);
    bytes->data[at] ^= 0x10;
    if (!findings || !finding.segment || strcmp(finding.segment, segment) != 0 ||
        finding.offset < begin || finding.offset >= end)
        fail_msg("%s, byte %llu: %s at %llu: %s", segment, (unsigned long long)at,
                 findings && finding.segment ? finding.segment : "nothing",
                 (unsigned long long)finding.offset, finding.message);
}

static void damaged_bytes_are_named(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make(&bytes, &m, &sb);
    for (uint32_t i = 0; i < m.segment_count; i++) {
        const struct segment_entry *s = &m.segments[i];
        for (uint64_t j = 0; j < 5; j++)
            a_flipped_bit_is_named(&bytes, s->off + j * (s->len - 1) / 4,
                                   segment_type_name(s->type), s->off, s->off + s->len);
    }
    for (uint64_t j = 0; j < sb.manifest_len; j += 61)
        a_flipped_bit_is_named(&bytes, sb.manifest_off + j, "manifest", sb.manifest_off,
                               sb.manifest_off + sb.manifest_len);
    for (uint64_t j = 16; j < 512; j += 33) {
        a_flipped_bit_is_named(&bytes, j, "superblock", 0, 512);
        a_flipped_bit_is_named(&bytes, 4096 + j, "superblock", 4096, 4096 + 512);
    }
    /* The first two of the tail's records: what follows tells that they are no torn end. */
    for (uint64_t j = 0; j < 800; j += 41)
        a_flipped_bit_is_named(&bytes, sb.log_off + j, "log", sb.log_off, sb.log_end);
    manifest_release(&m);
    buf_release(&bytes);
}

/* Behind each slot of the superblock, up to the next page, are bytes that mean nothing. */
static void padding_is_nobodys(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make(&bytes, &m, &sb);
    for (uint64_t at = 512; at < 8192; at++) {
        if (at == 4096) at += 512;
        assert_int_equal(bytes.data[at], 0);
        bytes.data[at] = 0xa5;
    }
    for (int deep = 0; deep < 2; deep++) assert_int_equal(check_bytes(&bytes, deep, NULL), 0);
    manifest_release(&m);
    buf_release(&bytes);
}

/* Several damaged segments are all found. */
static void one_finding_does_not_hide_another(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make(&bytes, &m, &sb);
    for (uint32_t i = 0; i < m.segment_count; i++)
        bytes.data[m.segments[i].off + m.segments[i].len / 2] ^= 1;
    assert_true(check_bytes(&bytes, 0, NULL) >= m.segment_count);
    manifest_release(&m);
    buf_release(&bytes);
}

/* ---- with checksums made right ------------------------------------------------------------- */

static void seal(struct buf *bytes, struct manifest *m, const struct superblock *sb)
{
    struct buf again = {0};
    for (uint32_t i = 0; i < m->segment_count; i++)
        m->segments[i].check = XXH3_64bits(bytes->data + m->segments[i].off, m->segments[i].len);
    assert_int_equal(manifest_encode(m, &again, NULL), VDB_OK);
    assert_int_equal(again.len, sb->manifest_len);
    memcpy(bytes->data + sb->manifest_off, again.data, again.len);
    buf_release(&again);
}

static const struct segment_entry *segment(const struct manifest *m, unsigned type)
{
    const struct segment_entry *found = manifest_segment(m, &m->parts[0], type);
    assert_non_null(found);
    return found;
}

static uint64_t get64(const struct buf *bytes, uint64_t at)
{
    uint64_t value;
    memcpy(&value, bytes->data + at, sizeof value);
    return value;
}

static void put32(struct buf *bytes, uint64_t at, uint32_t value)
{
    memcpy(bytes->data + at, &value, sizeof value);
}

/* `change` puts one wrong thing in; the deep check says `name`, the other one nothing. */
static void only_deep_finds(void (*change)(struct buf *, struct manifest *), const char *name)
{
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    struct vdb_error finding;
    make(&bytes, &m, &sb);
    change(&bytes, &m);
    seal(&bytes, &m, &sb);
    uint64_t findings = check_bytes(&bytes, 0, &finding);
    if (findings) fail_msg("%s: %s", name, finding.message);
    findings = check_bytes(&bytes, 1, &finding);
    if (!findings || strcmp(finding.segment, name) != 0)
        fail_msg("%s: %llu findings, %s", name, (unsigned long long)findings, finding.message);
    manifest_release(&m);
    buf_release(&bytes);
}

static void wrong_edge(struct buf *bytes, struct manifest *m)
{
    uint64_t off = segment(m, DISK_SEGMENT_GRAPH)->off;
    put32(bytes, off + get64(bytes, off + 24), ROWS); /* beyond the last row */
}

/* The places of the first row's list, and how many a list has. */
static uint64_t edges_of(struct buf *bytes, struct manifest *m, uint32_t *degree)
{
    uint64_t off = segment(m, DISK_SEGMENT_GRAPH)->off;
    memcpy(degree, bytes->data + off + 4, sizeof *degree);
    return off + get64(bytes, off + 24);
}

/* A row that no list has, and which is no pivot. */
static void lost_row(struct buf *bytes, struct manifest *m)
{
    uint32_t degree, lost = 0, pivot;
    uint64_t edges = edges_of(bytes, m, &degree), off = segment(m, DISK_SEGMENT_GRAPH)->off;
    uint64_t pivots = off + get64(bytes, off + 16), count = (edges - pivots) / 4;
    for (uint64_t i = 0; i < count; i++) { /* no farther than the edges */
        memcpy(&pivot, bytes->data + pivots + 4 * i, sizeof pivot);
        if (pivot != lost) continue;
        lost++;
        i = UINT64_MAX; /* from the front */
    }
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t i = 0, n = 0, to; i < degree; i++) { /* closes the gap that it leaves */
            uint64_t list = edges + 4 * (uint64_t)row * degree;
            memcpy(&to, bytes->data + list + 4 * i, sizeof to);
            put32(bytes, list + 4 * i, VDB_NO_ROW);
            if (to != lost && to != VDB_NO_ROW) put32(bytes, list + 4 * n++, to);
        }
}

/* One neighbour is left of a live row. */
static void lonely_row(struct buf *bytes, struct manifest *m)
{
    uint32_t degree;
    uint64_t edges = edges_of(bytes, m, &degree);
    for (uint32_t i = degree / 2 - 1; i < degree; i++) put32(bytes, edges + 4 * i, VDB_NO_ROW);
}

static void wrong_hash(struct buf *bytes, struct manifest *m)
{
    uint64_t off = segment(m, DISK_SEGMENT_ID_HASH)->off;
    bytes->data[off + get64(bytes, off + 16)] ^= 1; /* the first entry's tag */
}

/* Of a deleted row, which no live id leads to. */
static void wrong_hash_of_the_dead(struct buf *bytes, struct manifest *m)
{
    const struct segment_entry *s = segment(m, DISK_SEGMENT_ID_HASH);
    uint64_t at = s->off + get64(bytes, s->off + 16);
    while (at < s->off + s->len && get64(bytes, at) >> 32 != 5) at += 8; /* row 5: tag, row */
    assert_true(at < s->off + s->len);
    bytes->data[at] ^= 1;
}

static void wrong_id(struct buf *bytes, struct manifest *m)
{
    uint64_t off = segment(m, DISK_SEGMENT_ID)->off;
    bytes->data[off + get64(bytes, off + 24)] = '\n';
}

static void other_id(struct buf *bytes, struct manifest *m)
{
    uint64_t off = segment(m, DISK_SEGMENT_ID)->off;
    bytes->data[off + get64(bytes, off + 24)] = 'q'; /* an id as good, but not the hash's */
}

static void not_a_number(struct buf *bytes, struct manifest *m)
{
    put32(bytes, segment(m, DISK_SEGMENT_VECTOR)->off + 64 * 7, 0x7fc00000);
}

static void other_code(struct buf *bytes, struct manifest *m)
{
    const struct segment_entry *code = segment(m, DISK_SEGMENT_CODE);
    uint64_t codes_off = get64(bytes, code->off + 16);
    assert_in_range(codes_off, code->off, code->off + code->len);
    bytes->data[codes_off] ^= 0x40;
}

/* Two codes of a row in each other's place: its norm is as before. */
static void swapped_codes(struct buf *bytes, struct manifest *m)
{
    uint8_t *codes = bytes->data + get64(bytes, segment(m, DISK_SEGMENT_CODE)->off + 16);
    unsigned i = 1;
    while (i < DIM - 1 && codes[i] == codes[0]) i++;
    assert_true(codes[i] != codes[0]);
    uint8_t first = codes[0];
    codes[0] = codes[i];
    codes[i] = first;
}

static void one_tombstone_more(struct buf *bytes, struct manifest *m)
{
    bytes->data[segment(m, DISK_SEGMENT_TOMBSTONE)->off + 100] ^= 1;
}

static void tombstone_beyond_the_rows(struct buf *bytes, struct manifest *m)
{
    const struct segment_entry *s = segment(m, DISK_SEGMENT_TOMBSTONE);
    bytes->data[s->off + s->len - 1] |= 0x80;
}

static void a_deep_check_sees_behind_checksums(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct buf *, struct manifest *);
        const char *name;
    } cases[] = {
        {wrong_edge, "graph"},
        {lost_row, "graph"},
        {lonely_row, "graph"},
        {wrong_hash, "id-hash"},
        {wrong_hash_of_the_dead, "id-hash"},
        {wrong_id, "id"},
        {other_id, "id-hash"},
        {not_a_number, "vector"},
        {other_code, "code"},
        {swapped_codes, "code"},
        {one_tombstone_more, "tombstone"},
        {tombstone_beyond_the_rows, "tombstone"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        only_deep_finds(cases[i].change, cases[i].name);
        remove(store_path("x.vdb"));
    }
}

/* ---- ivf parts ----------------------------------------------------------------------------- */

static struct vdb_create_options ivf_options(enum vdb_type type, enum vdb_metric metric)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.index = VDB_INDEX_IVF;
    options.type = type;
    options.metric = metric;
    return options;
}

static void ivf_parts_are_sound(void **state)
{
    (void)state;
    static const enum vdb_type types[] = {VDB_TYPE_F32, VDB_TYPE_F16, VDB_TYPE_I8, VDB_TYPE_U8};
    static const enum vdb_metric metrics[] = {VDB_METRIC_L2, VDB_METRIC_COSINE, VDB_METRIC_IP};
    for (size_t i = 0; i < 12; i++) {
        struct buf bytes = {0};
        struct manifest m;
        struct superblock sb;
        struct vdb_error finding;
        make_of(ivf_options(types[i / 3], metrics[i % 3]), &bytes, &m, &sb);
        segment(&m, DISK_SEGMENT_IVF);
        if (check_bytes(&bytes, 1, &finding)) fail_msg("case %zu: %s", i, finding.message);
        manifest_release(&m);
        buf_release(&bytes);
        remove(store_path("x.vdb"));
    }
}

/* Each of those that follow puts one wrong thing in, and returns where it is to be found. */
static uint64_t blocks_at(struct buf *bytes, const struct segment_entry *s)
{
    return s->off + get64(bytes, s->off + 120);
}

static uint64_t wrong_row(struct buf *bytes, const struct segment_entry *s)
{
    uint64_t at = s->off + get64(bytes, s->off + 88);
    put32(bytes, at, ROWS);
    return at;
}

static uint64_t wrong_b(struct buf *bytes, const struct segment_entry *s)
{
    bytes->data[blocks_at(bytes, s) + 2 * 3] ^= 4; /* a 256th of slot 3's b, or more */
    return blocks_at(bytes, s) + 2 * 3;
}

static uint64_t wrong_f(struct buf *bytes, const struct segment_entry *s)
{
    bytes->data[blocks_at(bytes, s) + 32 + 2 * 5] ^= 4;
    return blocks_at(bytes, s) + 32 + 2 * 5;
}

static uint64_t wrong_small_code(struct buf *bytes, const struct segment_entry *s)
{
    bytes->data[blocks_at(bytes, s) + 64 + 4 * 7 + 1] ^= 8; /* the second of slot 7 */
    return blocks_at(bytes, s) + 32 + 2 * 7;
}

/* Two in each other's place: the norm is as before. */
static uint64_t wrong_slot_code(struct buf *bytes, const struct segment_entry *s)
{
    uint64_t at = s->off + get64(bytes, s->off + 128);
    uint8_t *code = bytes->data + at;
    unsigned i = 1;
    while (i < DIM - 1 && code[i] == code[0]) i++;
    assert_true(code[i] != code[0]);
    uint8_t first = code[0];
    code[0] = code[i];
    code[i] = first;
    return at;
}

static uint64_t wrong_norm(struct buf *bytes, const struct segment_entry *s)
{
    uint64_t at = s->off + get64(bytes, s->off + 136) + 4 * 11;
    bytes->data[at] ^= 1; /* of row 11: one a row */
    return at;
}

static uint64_t wrong_grid(struct buf *bytes, const struct segment_entry *s)
{
    put32(bytes, s->off + 36, 1);
    return s->off + 32;
}

static void a_deep_check_sees_into_ivf_parts(void **state)
{
    (void)state;
    static const struct {
        enum vdb_type type;
        enum vdb_metric metric;
        uint64_t (*change)(struct buf *, const struct segment_entry *);
        int always; /* found by any check */
    } cases[] = {
        {VDB_TYPE_F32, VDB_METRIC_L2, wrong_row, 0},
        {VDB_TYPE_F32, VDB_METRIC_L2, wrong_b, 0},
        {VDB_TYPE_F32, VDB_METRIC_L2, wrong_f, 0},
        {VDB_TYPE_F32, VDB_METRIC_L2, wrong_small_code, 0},
        {VDB_TYPE_F32, VDB_METRIC_L2, wrong_slot_code, 0},
        {VDB_TYPE_F16, VDB_METRIC_COSINE, wrong_b, 0},
        {VDB_TYPE_I8, VDB_METRIC_COSINE, wrong_slot_code, 0},
        {VDB_TYPE_F32, VDB_METRIC_IP, wrong_b, 0},
        {VDB_TYPE_I8, VDB_METRIC_IP, wrong_f, 0},
        {VDB_TYPE_U8, VDB_METRIC_L2, wrong_small_code, 0},
        {VDB_TYPE_U8, VDB_METRIC_L2, wrong_norm, 0},
        {VDB_TYPE_I8, VDB_METRIC_L2, wrong_norm, 0},
        {VDB_TYPE_I8, VDB_METRIC_L2, wrong_grid, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf bytes = {0};
        struct manifest m;
        struct superblock sb;
        struct vdb_error finding;
        make_of(ivf_options(cases[i].type, cases[i].metric), &bytes, &m, &sb);
        uint64_t at = cases[i].change(&bytes, segment(&m, DISK_SEGMENT_IVF));
        seal(&bytes, &m, &sb);
        assert_int_equal(check_bytes(&bytes, 0, NULL) != 0, cases[i].always);
        uint64_t findings = check_bytes(&bytes, 1, &finding);
        if (!findings || strcmp(finding.segment, "ivf") != 0 || finding.offset != at)
            fail_msg("case %zu, at %llu: %llu findings, at %llu: %s", i, (unsigned long long)at,
                     (unsigned long long)findings, (unsigned long long)finding.offset,
                     findings ? finding.message : "none");
        manifest_release(&m);
        buf_release(&bytes);
        remove(store_path("x.vdb"));
    }
}

/* ---- damaged and cut off ------------------------------------------------------------------- */

/* Everything a reader can do; what it says matters not here, that it comes back does. */
static void use(const char *name)
{
    struct vdb *db;
    struct vdb_error err = {0};
    const struct vdb_snapshot *s;
    if (vdb_open(store_path(name), NULL, &db, &err)) {
        assert_true(err.message[0]);
        return;
    }
    if (vdb_snapshot_open(db, &s, &err) == VDB_OK) {
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        struct vdb_hit hits[10];
        struct vdb_info info;
        uint32_t found, row;
        float v[DIM];
        store_vector(3, DIM, v);
        vdb_snapshot_info(s, &info);
        if (info.dim == DIM) (void)vdb_search(s, v, 1, &options, hits, &found, &err);
        options.exact = 1;
        if (info.dim == DIM) (void)vdb_search(s, v, 1, &options, hits, &found, &err);
        (void)vdb_find(s, "r77", 3, 1, &row, &err);
        for (row = 0; row < info.rows; row += 97) {
            const char *id;
            char *json = NULL;
            size_t len;
            (void)vdb_row_id(s, row, &id, &len, &err);
            if (vdb_row_metadata(s, row, &json, &len, &err) == VDB_OK) free(json);
        }
        vdb_snapshot_close(s);
    }
    vdb_close(db);
}

static void cut_off_it_is_an_error(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make(&bytes, &m, &sb);
    size_t whole = bytes.len;
    uint64_t seed = 3;
    for (unsigned i = 0; i < 300; i++) {
        struct vdb *db;
        struct vdb_error err = {0};
        /* Short ones all around the first structures, then any length, the last byte's too. */
        size_t len = i < 100 ? i * 90 : i == 299 ? whole - 1 : store_random(&seed) % whole;
        bytes.len = len;
        store_write("y.vdb", &bytes);
        enum vdb_status status = vdb_open(store_path("y.vdb"), NULL, &db, &err);
        if (status != VDB_CORRUPT) fail_msg("length %zu of %zu: %d", len, whole, (int)status);
        assert_true(err.message[0] && err.segment);
        uint64_t findings = 0; /* without its first bytes it is no index at all */
        status = vdb_check(store_path("y.vdb"), NULL, &findings, &err);
        assert_int_equal(status, len < 8 ? VDB_CORRUPT : VDB_OK);
        if (!status && !findings) fail_msg("length %zu is sound", len);
    }
    manifest_release(&m);
    bytes.len = whole;
    buf_release(&bytes);
}

static void hostile_bytes_of(struct vdb_create_options options)
{
    struct buf bytes = {0};
    struct manifest m;
    struct superblock sb;
    make_of(options, &bytes, &m, &sb);
    uint64_t seed = 11;
    uint8_t *sound = malloc(bytes.len);
    assert_non_null(sound);
    memcpy(sound, bytes.data, bytes.len);
    for (unsigned i = 0; i < 400; i++) {
        /* Bytes of one segment, or of the log, with the checksums that cover segments made right.
         */
        const struct segment_entry *s = &m.segments[store_random(&seed) % m.segment_count];
        uint64_t off = s->off, len = i % 3 ? 256 : s->len;
        for (unsigned j = 0; j < 1 + i % 4; j++)
            bytes.data[off + store_random(&seed) % (len < s->len ? len : s->len)] =
                (uint8_t)(i % 2 ? 0xff : store_random(&seed) >> 40);
        seal(&bytes, &m, &sb);
        store_write("y.vdb", &bytes);
        use("y.vdb");
        if (i % 8 == 0) (void)store_check("y.vdb", 1, NULL);
        memcpy(bytes.data, sound, bytes.len);
        seal(&bytes, &m, &sb);
    }
    free(sound);
    manifest_release(&m);
    buf_release(&bytes);
    remove(store_path("x.vdb"));
}

static void hostile_bytes_crash_nothing(void **state)
{
    (void)state;
    struct vdb_create_options graph = VDB_CREATE_OPTIONS_INIT;
    graph.index = VDB_INDEX_GRAPH;
    hostile_bytes_of(graph);
    hostile_bytes_of(ivf_options(VDB_TYPE_F32, VDB_METRIC_COSINE));
    hostile_bytes_of(ivf_options(VDB_TYPE_U8, VDB_METRIC_L2));
}

/* Lists that say so do not bring a row twice, nor one that is not there. */
static void rows_of_lists_are_not_believed(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct buf bytes = {0};
        struct manifest m;
        struct superblock sb;
        make_of(ivf_options(own ? VDB_TYPE_U8 : VDB_TYPE_F32, VDB_METRIC_L2), &bytes, &m, &sb);
        const struct segment_entry *s = segment(&m, DISK_SEGMENT_IVF);
        uint64_t rows_off = s->off + get64(&bytes, s->off + 88);
        for (uint32_t i = 0; i < ROWS; i++)
            put32(&bytes, rows_off + 4 * (uint64_t)i, i % 3 ? 100 + i % 40 : ROWS + i);
        seal(&bytes, &m, &sb);
        store_write("y.vdb", &bytes);
        struct vdb *db = store_open("y.vdb");
        const struct vdb_snapshot *snapshot = store_snapshot(db);
        struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
        struct vdb_hit hits[30];
        struct vdb_error err;
        uint32_t found;
        float v[DIM];
        options.k = 30;
        store_vector(120, DIM, v);
        must(vdb_search(snapshot, v, 1, &options, hits, &found, &err), &err);
        assert_int_equal(found, 30);
        for (uint32_t i = 0; i < found; i++)
            for (uint32_t j = 0; j < i; j++) assert_true(hits[i].row != hits[j].row);
        vdb_snapshot_close(snapshot);
        vdb_close(db);
        manifest_release(&m);
        buf_release(&bytes);
        remove(store_path("x.vdb"));
    }
}

static void what_cannot_be_checked(void **state)
{
    (void)state;
    struct vdb_error err;
    uint64_t findings;
    struct buf bytes = {0};
    assert_int_equal(vdb_check(store_path("none"), NULL, &findings, &err), VDB_CANNOT_OPEN);
    assert_int_equal(vdb_check(store_path("."), NULL, &findings, &err), VDB_CANNOT_OPEN);
    assert_int_equal(buf_append_zeros(&bytes, 9000), 0);
    for (int i = 0; i < 2; i++) {
        store_write("y.vdb", &bytes);
        assert_int_equal(vdb_check(store_path("y.vdb"), NULL, &findings, &err), VDB_CORRUPT);
        bytes.len = 0;
    }
    buf_release(&bytes);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(sound_is_sound),
        test(damaged_bytes_are_named),
        test(padding_is_nobodys),
        test(one_finding_does_not_hide_another),
        test(a_deep_check_sees_behind_checksums),
        test(ivf_parts_are_sound),
        test(a_deep_check_sees_into_ivf_parts),
        test(cut_off_it_is_an_error),
        test(hostile_bytes_crash_nothing),
        test(rows_of_lists_are_not_believed),
        test(what_cannot_be_checked),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
