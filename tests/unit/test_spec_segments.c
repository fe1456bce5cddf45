/* test_spec_segments.c: the segments of the spec's worked example: the writer emits those bytes,
 * and the reader finds in them what the spec says.
 *
 * Holds promise 8: what is documented is what happens.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "example.h"
#include "format/code_header.h"
#include "format/graph_header.h"
#include "format/history.h"
#include "format/id_hash.h"
#include "format/ids.h"
#include "format/ivf_header.h"
#include "format/metadata.h"
#include "format/row_times.h"
#include "format/states.h"
#include "format/tombstone.h"
#include "index/codes.h"
#include "index/codes4.h"
#include "index/space.h"
#include "points.h"
#include "vector/vtype.h"

#define FILE_LEN 724992 /* of the example file */
#define DIM      4
#define ROWS     3

static void same_bytes(const void *got, size_t len, const struct example *example)
{
    assert_int_equal(len, example->bytes.len);
    assert_memory_equal(got, example->bytes.data, len);
}

/* The value of "stem[i]". */
static const char *item(const struct example *e, const char *stem, unsigned i, char text[256])
{
    char field[64];
    snprintf(field, sizeof field, "%s[%u]", stem, i);
    return example_text(e, field, text);
}

static uint64_t item_field(const struct example *e, const char *stem, unsigned i, const char *field)
{
    char name[64];
    snprintf(name, sizeof name, "%s[%u].%s", stem, i, field);
    return example_number(e, name);
}

/* Up to `max` numbers of a field; how many there are. */
static unsigned field_numbers(const struct example *e, const char *field, float *numbers,
                              unsigned max)
{
    char text[256], *at = text, *end;
    example_text(e, field, text);
    unsigned count = 0;
    for (float x = strtof(at, &end); end != at; at = end, x = strtof(at, &end)) {
        assert_true(count < max);
        numbers[count++] = x;
    }
    return count;
}

static unsigned item_numbers(const struct example *e, const char *stem, unsigned i, float *numbers,
                             unsigned max)
{
    char field[64];
    snprintf(field, sizeof field, "%s[%u]", stem, i);
    return field_numbers(e, field, numbers, max);
}

static void vectors(void **state)
{
    (void)state;
    struct example e;
    example_read(&e, "vectors.md", "vectors");
    size_t stride = vtype_stride(VDB_TYPE_F32, DIM);
    assert_int_equal(stride * ROWS, e.bytes.len);
    for (unsigned row = 0; row < ROWS; row++) {
        float said[DIM], got[DIM];
        uint8_t stored[DIM * 4];
        assert_int_equal(item_numbers(&e, "row", row, said, DIM), DIM);
        vtype_load(VDB_TYPE_F32, e.bytes.data + row * stride, got, DIM);
        assert_memory_equal(got, said, sizeof said);
        assert_int_equal(vtype_store(VDB_TYPE_F32, said, stored, DIM), DIM);
        assert_memory_equal(stored, e.bytes.data + row * stride, sizeof stored);
    }
    example_release(&e);
}

/* The strides that vectors.md lays down, worked out by hand. */
static void strides(void **state)
{
    (void)state;
    assert_int_equal(vtype_stride(VDB_TYPE_U8, 1), 64);
    assert_int_equal(vtype_stride(VDB_TYPE_I8, 65), 128);
    assert_int_equal(vtype_stride(VDB_TYPE_F16, 1), 4);
    assert_int_equal(vtype_stride(VDB_TYPE_F16, 255), 512);
    assert_int_equal(vtype_stride(VDB_TYPE_F16, 256), 512);
    assert_int_equal(vtype_stride(VDB_TYPE_F16, 257), 576);
    assert_int_equal(vtype_stride(VDB_TYPE_F32, 100), 400);
    assert_int_equal(vtype_stride(VDB_TYPE_F32, 127), 508);
    assert_int_equal(vtype_stride(VDB_TYPE_F32, 129), 576);
}

static void ids(void **state)
{
    (void)state;
    struct example e;
    struct ids_builder builder = {0};
    struct ids_view view;
    struct buf again = {0};
    char said[256];
    example_read(&e, "ids.md", "id");
    assert_int_equal(example_number(&e, "row_count"), ROWS);
    assert_int_equal(ids_view_init(&view, e.bytes.data, e.bytes.len, ROWS, 0, NULL), VDB_OK);
    assert_int_equal(ids_validate(&view, NULL), VDB_OK);
    for (unsigned row = 0; row < ROWS; row++) {
        const char *id;
        size_t len;
        item(&e, "id", row, said);
        assert_int_equal(ids_get(&view, row, &id, &len, NULL), VDB_OK);
        assert_int_equal(len, strlen(said));
        assert_memory_equal(id, said, len);
        assert_int_equal(ids_builder_add(&builder, said, len, NULL), VDB_OK);
    }
    assert_int_equal(ids_builder_finish(&builder, &again, NULL), VDB_OK);
    same_bytes(again.data, again.len, &e);
    ids_builder_release(&builder);
    buf_release(&again);
    example_release(&e);
}

static void id_hash_of(const char *name, const char *const *names, uint32_t count)
{
    struct example e;
    struct id_hash_view view;
    struct buf again = {0};
    uint64_t hashes[16];
    example_read(&e, "ids.md", name);
    assert_int_equal(example_number(&e, "entry_count"), count);
    assert_int_equal(id_hash_view_init(&view, e.bytes.data, e.bytes.len, count, 0, NULL), VDB_OK);
    assert_int_equal(view.bucket_bits, example_number(&e, "bucket_bits"));
    for (uint32_t row = 0; row < count; row++) {
        uint32_t first, matches, found;
        hashes[row] = checksum(names[row], strlen(names[row]));
        assert_int_equal(id_hash_find(&view, hashes[row], &first, &matches, NULL), VDB_OK);
        assert_int_equal(matches, 1);
        assert_int_equal(id_hash_row(&view, first, &found, NULL), VDB_OK);
        assert_int_equal(found, row);
        assert_int_equal(found, item_field(&e, "entry", first, "row"));
        assert_int_equal((uint32_t)hashes[row], item_field(&e, "entry", first, "tag"));
    }
    assert_int_equal(id_hash_build(hashes, count, &again, NULL), VDB_OK);
    same_bytes(again.data, again.len, &e);
    buf_release(&again);
    example_release(&e);
}

static void id_hash(void **state)
{
    (void)state;
    static const char *const few[] = {"apple", "pear", "plum"};
    static const char *const more[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    id_hash_of("id_hash", few, 3);
    id_hash_of("id_hash_buckets", more, 9);
}

static void metadata_reads(const struct example *e, uint32_t rows)
{
    struct metadata_view view;
    assert_int_equal(example_number(e, "row_count"), rows);
    assert_int_equal(metadata_view_init(&view, e->bytes.data, e->bytes.len, rows, 0, NULL), VDB_OK);
    assert_int_equal(metadata_validate(&view, NULL), VDB_OK);
    for (uint32_t row = 0; row < rows; row++) {
        char said[256], *text;
        size_t len;
        assert_int_equal(metadata_get(&view, row, &text, &len, NULL), VDB_OK);
        assert_string_equal(text ? text : "none", item(e, "row", row, said));
        free(text);
    }
}

static void metadata(void **state)
{
    (void)state;
    struct example e;
    struct metadata_builder builder = {0};
    struct buf again = {0};
    example_read(&e, "metadata.md", "metadata");
    metadata_reads(&e, ROWS);
    for (uint32_t row = 0; row < ROWS; row++) {
        char said[256];
        item(&e, "row", row, said);
        assert_int_equal(metadata_builder_add(&builder, said, strlen(said), NULL), VDB_OK);
    }
    assert_int_equal(metadata_builder_finish(&builder, &again, NULL), VDB_OK);
    same_bytes(again.data, again.len, &e);
    metadata_builder_release(&builder);
    buf_release(&again);
    example_release(&e);
}

/* A writer may pack otherwise, so this one is only read. */
static void metadata_lz4(void **state)
{
    (void)state;
    struct example e;
    example_read(&e, "metadata.md", "metadata_lz4");
    metadata_reads(&e, 2);
    example_release(&e);
}

static void times(void **state)
{
    (void)state;
    struct example e;
    struct row_times_builder builder = {0};
    struct row_times_view view;
    example_read(&e, "times.md", "times");
    assert_int_equal(row_times_view_init(&view, e.bytes.data, e.bytes.len, 0, NULL), VDB_OK);
    assert_int_equal(row_times_validate(&view, 4, 0, NULL), VDB_OK);
    for (unsigned row = 0; row < 4; row++) {
        char field[32];
        snprintf(field, sizeof field, "row[%u].time_us", row);
        int64_t said = (int64_t)example_number(&e, field);
        int64_t later = row_times_at(&view, row) - said;
        assert_true(later >= 0 && later < 1000000);
        assert_true(said || !row_times_at(&view, row));
        assert_int_equal(row_times_add(&builder, said, NULL), VDB_OK);
    }
    assert_true(row_times_any(&builder));
    same_bytes(builder.entries.data, builder.entries.len, &e);
    buf_release(&builder.entries);
    example_release(&e);
}

static void tombstone(void **state)
{
    (void)state;
    struct example e;
    const uint8_t *map;
    uint8_t again[8] = {0};
    example_read(&e, "tombstones.md", "tombstone");
    assert_int_equal(tombstone_view(&map, e.bytes.data, e.bytes.len, ROWS, 0, NULL), VDB_OK);
    assert_int_equal(tombstone_validate(map, ROWS, 0, NULL), VDB_OK);
    uint32_t deleted = (uint32_t)example_number(&e, "deleted");
    for (uint32_t row = 0; row < ROWS; row++)
        assert_int_equal(tombstone_test(map, row), row == deleted);
    assert_int_equal(tombstone_len(ROWS), sizeof again);
    tombstone_set(again, deleted);
    same_bytes(again, sizeof again, &e);
    example_release(&e);
}

static void states(void **state)
{
    (void)state;
    struct example e;
    struct states_view view;
    struct states_builder builder = {0};
    struct buf again = {0};
    example_read(&e, "states.md", "states");
    assert_int_equal(states_view_init(&view, e.bytes.data, e.bytes.len, 0, NULL), VDB_OK);
    assert_int_equal(states_validate(&view, NULL), VDB_OK);
    assert_int_equal(view.count, example_number(&e, "state_count"));
    unsigned flip = 0;
    for (uint32_t i = 0; i < view.count; i++) {
        struct state_entry entry = states_at(&view, i);
        uint32_t count, flips[8];
        char field[64];
        const uint8_t *p = states_flips(&view, i, &count);
        assert_int_equal(entry.commit, item_field(&e, "state", i, "commit"));
        assert_int_equal(entry.time_us, item_field(&e, "state", i, "time_us"));
        assert_int_equal(entry.until_us, item_field(&e, "state", i, "until_us"));
        assert_int_equal(entry.row_count, item_field(&e, "state", i, "row_count"));
        assert_int_equal(entry.live_count, item_field(&e, "state", i, "live_count"));
        assert_int_equal(flip + count, item_field(&e, "state", i, "flips_end"));
        assert_true(count <= 8);
        for (uint32_t j = 0; j < count; j++) {
            flips[j] = le32_at(p + 4 * (size_t)j);
            snprintf(field, sizeof field, "flip[%u]", flip++);
            assert_int_equal(flips[j], example_number(&e, field));
        }
        assert_int_equal(states_builder_add(&builder, &entry, flips, count, NULL), VDB_OK);
    }
    assert_int_equal(flip, example_number(&e, "flip_count"));
    assert_int_equal(states_builder_finish(&builder, &again, NULL), VDB_OK);
    same_bytes(again.data, again.len, &e);
    states_builder_release(&builder);
    buf_release(&again);
    example_release(&e);
}

static void history_reads(const struct history_view *view, const struct example *e,
                          struct history_builder *builder)
{
    struct history_iter iter;
    history_iter_init(&iter, view);
    for (unsigned i = 0; i < view->entries; i++) {
        struct history_entry entry;
        char field[64], said[256];
        assert_int_equal(history_next(&iter, &entry, NULL), VDB_OK);
        assert_int_equal(entry.commit, item_field(e, "change", i, "commit"));
        assert_int_equal(entry.time_us, item_field(e, "change", i, "time_us"));
        assert_int_equal(entry.operation, item_field(e, "change", i, "operation"));
        snprintf(field, sizeof field, "change[%u].id", i);
        example_text(e, field, said);
        assert_int_equal(entry.id_len, strlen(said));
        assert_memory_equal(entry.id, said, entry.id_len);
        if (builder) assert_int_equal(history_builder_add(builder, &entry, NULL), VDB_OK);
    }
    struct history_entry beyond;
    assert_int_equal(history_next(&iter, &beyond, NULL), VDB_NOT_FOUND);
    history_iter_release(&iter);
}

/* The dump is stored as it is so that it can be read by eye; a writer packs such a block, so what
 * it writes is compared unpacked. */
static void history(void **state)
{
    (void)state;
    struct example e;
    struct history_view view;
    struct history_builder builder = {0};
    struct buf again = {0};
    example_read(&e, "history.md", "history");
    assert_int_equal(history_view_init(&view, e.bytes.data, e.bytes.len, 0, NULL), VDB_OK);
    assert_int_equal(history_validate(&view, NULL), VDB_OK);
    assert_int_equal(view.first_commit, example_number(&e, "first_commit"));
    assert_int_equal(view.last_commit, example_number(&e, "last_commit"));
    assert_int_equal(view.entries, example_number(&e, "entry_count"));
    history_reads(&view, &e, &builder);
    assert_int_equal(
        history_builder_finish(&builder, view.first_commit, view.last_commit, &again, NULL),
        VDB_OK);
    assert_int_equal(history_view_init(&view, again.data, again.len, 0, NULL), VDB_OK);
    history_reads(&view, &e, NULL);

    struct packed_block raw = {0};
    assert_int_equal(packed_read(&view.packed, 0, &raw, NULL), VDB_OK);
    assert_int_equal(raw.raw.len, example_number(&e, "block[0].raw_len"));
    assert_memory_equal(raw.raw.data, e.bytes.data + example_number(&e, "data_off"), raw.raw.len);
    packed_block_release(&raw);
    history_builder_release(&builder);
    buf_release(&again);
    example_release(&e);
}

/* The rows of vectors.md, coded with the scale and zero of the example. */
static void codes_written(const struct example *e, const struct code_header *header,
                          const uint8_t *file)
{
    struct example rows;
    example_read(&rows, "vectors.md", "vectors");
    struct quantizer quantizer = {header->scale, header->zero};
    for (unsigned row = 0; row < ROWS; row++) {
        float x[DIM], said[DIM];
        uint8_t code[64];
        int32_t norm;
        assert_int_equal(item_numbers(&rows, "row", row, x, DIM), DIM);
        assert_int_equal(item_numbers(e, "code", row, said, DIM), DIM);
        memset(code, 0xee, sizeof code);
        codes_encode_row(kernels_best(), &quantizer, x, DIM, code, &norm);
        for (unsigned i = 0; i < DIM; i++) assert_int_equal(code[i], (int)said[i]);
        assert_memory_equal(file + header->codes.off + row * header->codes.stride, code, 64);
        float said_norm;
        assert_int_equal(item_numbers(e, "norm", row, &said_norm, 1), 1);
        assert_int_equal(norm, (int32_t)said_norm);
        assert_int_equal(codes_norm(code, DIM, 0), norm);
        assert_int_equal(le32_at(file + header->norms.off + row * header->norms.stride),
                         (uint32_t)norm);
    }
    example_release(&rows);
}

static void codes(void **state)
{
    (void)state;
    struct example e;
    struct code_header header;
    struct disk_code_header again;
    example_read(&e, "codes.md", "code");
    uint64_t off = example_number(&e, "codes.off") - sizeof again;
    uint8_t *file = calloc(1, FILE_LEN);
    assert_non_null(file);
    memcpy(file + off, e.bytes.data, e.bytes.len);
    assert_int_equal(
        code_header_decode(file + off, e.bytes.len, ROWS, DIM, off, FILE_LEN, &header, NULL),
        VDB_OK);
    assert_int_equal(code_header_check_planes(&header, off, e.bytes.len, 65536, 48, NULL), VDB_OK);
    assert_int_equal(code_header_validate(&header, file, NULL), VDB_OK);
    assert_int_equal(header.kind, example_number(&e, "kind"));
    assert_int_equal(header.flags, example_number(&e, "flags"));
    assert_int_equal(header.codes.off, example_number(&e, "codes.off"));
    assert_int_equal(header.codes.stride, example_number(&e, "codes.stride"));
    assert_int_equal(header.codes.width, example_number(&e, "codes.width"));
    assert_int_equal(header.norms.stride, example_number(&e, "norms.stride"));
    assert_int_equal(header.norms.width, example_number(&e, "norms.width"));
    assert_int_equal(header.zero, example_number(&e, "zero"));
    char said[256];
    assert_true(header.scale == strtof(example_text(&e, "scale", said), NULL));
    codes_written(&e, &header, file);
    code_header_encode(&header, &again);
    assert_memory_equal(&again, e.bytes.data, sizeof again);
    free(file);
    example_release(&e);
}

#define DIM4 5

static void rotation(void **state)
{
    (void)state;
    struct example e;
    float x[DIM4], rotated[DIM4];
    example_read(&e, "codes.md", "rotation");
    assert_int_equal(field_numbers(&e, "x", x, DIM4), DIM4);
    assert_int_equal(field_numbers(&e, "rotated", rotated, DIM4), DIM4);
    assert_int_equal(e.bytes.len, sizeof x + sizeof rotated);
    assert_memory_equal(e.bytes.data, x, sizeof x);
    kernels_best()->rotate(x, DIM4);
    assert_memory_equal(x, rotated, sizeof x);
    assert_memory_equal(e.bytes.data + sizeof x, x, sizeof x);
    example_release(&e);
}

static float one_number(const struct example *e, const char *stem, unsigned i)
{
    float x;
    assert_int_equal(item_numbers(e, stem, i, &x, 1), 1);
    return x;
}

/* What is in the row, by the reader's rules; what the writer makes of its vector; and the estimate,
 * for which the writer's query is rounded to bytes. */
static void code4_row(const struct example *e, const struct codes4 *four, const uint8_t *row,
                      unsigned i)
{
    float x[DIM4], query[DIM4], said[DIM4], scratch[512];
    uint8_t code[64];
    int8_t query8[128];
    struct codes4_factors factors;
    struct kernel_query4 prepared;
    assert_in_range(codes4_scratch(DIM4), 1, sizeof scratch / sizeof *scratch);
    assert_int_equal(item_numbers(e, "row", i, x, DIM4), DIM4);
    assert_int_equal(item_numbers(e, "code", i, said, DIM4), DIM4);
    for (unsigned j = 0; j < DIM4; j++)
        assert_int_equal(j < 3 ? row[j] & 15 : row[j - 3] >> 4, (int)said[j]);
    codes4_encode(four, x, scratch, code, &factors);
    assert_true(factors.norm == one_number(e, "norm", i));
    assert_true(factors.f == one_number(e, "f", i));
    memcpy(code + 56, &factors, sizeof factors);
    assert_memory_equal(code, row, sizeof code);

    struct kernel_codes from = {
        .code = code, .factors = (const uint8_t *)&factors, .bytes = sizeof code, .lines = 1};
    struct kernel_list list = {.rows = (const uint32_t[]){0}, .count = 1};
    uint32_t distances[4];
    assert_int_equal(field_numbers(e, "query", query, DIM4), DIM4);
    codes4_prepare(four, query, false, scratch, query8, &prepared);
    kernels_best()->list_u4i8(&from, &list, &prepared, distances);
    float estimate = space_disorder(distances[0]);
    assert_float_equal(estimate, one_number(e, "estimate", i), 0.3);
}

static void codes4(void **state)
{
    (void)state;
    struct example e;
    struct code_header header;
    struct disk_code_header again;
    example_read(&e, "codes.md", "code4");
    uint64_t off = example_number(&e, "center_off") - sizeof again;
    uint8_t *file = calloc(1, FILE_LEN);
    assert_non_null(file);
    memcpy(file + off, e.bytes.data, e.bytes.len);
    assert_int_equal(
        code_header_decode(file + off, e.bytes.len, 2, DIM4, off, FILE_LEN, &header, NULL), VDB_OK);
    assert_int_equal(code_header_check_planes(&header, off, e.bytes.len, 0, 0, NULL), VDB_OK);
    assert_int_equal(code_header_validate(&header, file, NULL), VDB_OK);
    assert_int_equal(header.kind, example_number(&e, "kind"));
    assert_int_equal(header.flags, example_number(&e, "flags"));
    assert_int_equal(header.codes.off, example_number(&e, "codes.off"));
    assert_int_equal(header.norms.off, example_number(&e, "norms.off"));
    assert_int_equal(header.norms.stride, example_number(&e, "norms.stride"));
    assert_int_equal(header.center_off, example_number(&e, "center_off"));
    float bias, error, center[DIM4], stored[DIM4];
    assert_int_equal(field_numbers(&e, "bias", &bias, 1), 1);
    assert_int_equal(field_numbers(&e, "error", &error, 1), 1);
    assert_true(header.bias == bias && header.error == error);
    assert_int_equal(field_numbers(&e, "center", center, DIM4), DIM4);
    memcpy(stored, file + header.center_off, sizeof stored);
    assert_memory_equal(stored, center, sizeof center);
    struct codes4 four = {kernels_best(), center, DIM4, header.flags & DISK_CODE_ROTATED};
    for (unsigned i = 0; i < 2; i++)
        code4_row(&e, &four, file + header.codes.off + i * header.codes.stride, i);
    code_header_encode(&header, &again);
    assert_memory_equal(&again, e.bytes.data, sizeof again);
    free(file);
    example_release(&e);
}

static void graph(void **state)
{
    (void)state;
    struct example e;
    struct graph_header header;
    struct disk_graph_header again;
    example_read(&e, "graph.md", "graph");
    const uint8_t *p = e.bytes.data;
    assert_int_equal(graph_header_decode(p, e.bytes.len, ROWS, 0, &header, NULL), VDB_OK);
    assert_int_equal(graph_header_validate(&header, p, 0, NULL), VDB_OK);
    assert_int_equal(header.degree, example_number(&e, "degree"));
    assert_int_equal(header.pivot_count, example_number(&e, "pivot_count"));
    assert_int_equal(header.ef_construction, example_number(&e, "ef_construction"));
    assert_int_equal(header.alpha_milli, example_number(&e, "alpha_milli"));
    assert_int_equal(le32_at(p + header.pivots_off), example_number(&e, "pivot[0]"));
    for (unsigned row = 0; row < ROWS; row++) {
        float said[8];
        unsigned count = item_numbers(&e, "edges", row, said, 8);
        for (unsigned i = 0; i < header.degree; i++)
            assert_int_equal(le32_at(p + header.edges_off + (row * header.degree + i) * 4),
                             i < count ? (uint32_t)said[i] : VDB_NO_ROW);
    }
    struct graph_header laid = header;
    assert_int_equal((int32_t)le32_at(p + header.pivot_norms_off),
                     example_number(&e, "pivot_norm[0]"));
    float code[4];
    assert_int_equal(item_numbers(&e, "pivot_code", 0, code, 4), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(p[header.pivot_codes_off + i], (uint8_t)code[i]);
    laid.pivots_off = laid.pivot_norms_off = laid.pivot_codes_off = laid.edges_off = 0;
    assert_int_equal(graph_header_layout(&laid), e.bytes.len);
    graph_header_encode(&laid, &again);
    assert_memory_equal(&again, p, sizeof again);
    example_release(&e);
}

static void same_lists(const struct example *e, const char *stem, const uint8_t *p, uint64_t off,
                       uint32_t count, uint32_t degree)
{
    for (unsigned row = 0; row < count; row++) {
        float said[8];
        unsigned filled = item_numbers(e, stem, row, said, 8);
        for (unsigned i = 0; i < degree; i++)
            assert_int_equal(le32_at(p + off + (row * degree + i) * 4),
                             i < filled ? (uint32_t)said[i] : VDB_NO_ROW);
    }
}

static void hnsw(void **state)
{
    (void)state;
    struct example e;
    struct graph_header header;
    struct disk_graph_header again;
    example_read(&e, "graph.md", "hnsw");
    const uint8_t *p = e.bytes.data;
    assert_int_equal(graph_header_decode(p, e.bytes.len, ROWS, 0, &header, NULL), VDB_OK);
    assert_int_equal(graph_header_validate(&header, p, 0, NULL), VDB_OK);
    assert_int_equal(header.level_count, example_number(&e, "level_count"));
    assert_int_equal(header.level_degree, example_number(&e, "level_degree"));
    assert_int_equal(header.level_sizes[0], example_number(&e, "member_count"));
    for (unsigned i = 0; i < 2; i++) {
        float row;
        assert_int_equal(item_numbers(&e, "member", i, &row, 1), 1);
        assert_int_equal(le32_at(p + header.members_off + i * 4), (uint32_t)row);
    }
    same_lists(&e, "level[1].edges", p, graph_header_level_off(&header, 1), 2, 2);
    same_lists(&e, "level[2].edges", p, graph_header_level_off(&header, 2), 1, 2);
    same_lists(&e, "edges", p, header.edges_off, ROWS, header.degree);

    struct graph_header laid = header;
    laid.pivots_off = laid.edges_off = 0;
    laid.level_sizes_off = laid.members_off = laid.level_edges_off = 0;
    assert_int_equal(graph_header_layout(&laid), e.bytes.len);
    graph_header_encode(&laid, &again);
    assert_memory_equal(&again, p, sizeof again);
    uint8_t sizes[256] = {0};
    laid.level_sizes_off = 0;
    graph_header_put_sizes(&laid, sizes);
    assert_memory_equal(sizes, p + header.level_sizes_off, 64);
    example_release(&e);
}

/* Numbers of a field that are the bytes at p. */
static void same_numbers(const struct example *e, const char *stem, unsigned i, const uint8_t *p,
                         unsigned count)
{
    float said[16];
    assert_int_equal(item_numbers(e, stem, i, said, 16), count);
    for (unsigned j = 0; j < count; j++) assert_int_equal(p[j], (uint8_t)(int)said[j]);
}

/* The residual transformed, or a query: by the weights and scales of the matrix. */
static void ivf_transform(const struct ivf_view *v, const float *x, double *out)
{
    for (unsigned i = 0; i < v->h.out_dim; i++) {
        out[i] = 0;
        for (unsigned j = 0; j < DIM; j++)
            out[i] += (double)(int8_t)v->matrix[i * v->h.code_bytes + j] * x[j];
        out[i] *= v->matrix_scales[i];
    }
}

/* One slot: what stands there, and what the page's formula makes of it. */
static void ivf_slot(const struct example *e, const struct ivf_view *v, const float *query,
                     unsigned list, const uint8_t *block, unsigned slot)
{
    unsigned place = slot % VDB_IVF_BLOCK;
    char stem[32], field[64];
    snprintf(stem, sizeof stem, "slot[%u]", slot);
    snprintf(field, sizeof field, "%s.codes", stem);
    float said[DIM], b = f16_to_f32(le16_at(block + 2 * place)),
                     f = f16_to_f32(le16_at(block + 32 + 2 * place));
    assert_int_equal(item_field(e, "slot", slot, "row"), v->slot_rows[slot]);
    assert_int_equal(field_numbers(e, field, said, DIM), 2);
    double pq[2], s = 0, apart = 0;
    ivf_transform(v, query, pq);
    for (unsigned i = 0; i < 2; i++) {
        unsigned code = block[64 + 4 * place + i];
        assert_int_equal(code, (unsigned)said[i]);
        s += pq[i] * v->codebook[i * 16 + code];
    }
    for (unsigned i = 0; i < DIM; i++) {
        int code = v->centroids[ivf_centroid_at(DIM, list, i)];
        double d = query[i] - v->h.scale * (float)(code - v->h.zero);
        apart += d * d;
    }
    snprintf(field, sizeof field, "%s.b", stem);
    assert_true(field_numbers(e, field, said, DIM) == 1 && said[0] == b);
    snprintf(field, sizeof field, "%s.f", stem);
    assert_true(field_numbers(e, field, said, DIM) == 1 && said[0] == f);
    snprintf(field, sizeof field, "%s.estimate", stem);
    assert_int_equal(field_numbers(e, field, said, DIM), 1);
    assert_float_equal((float)(apart + v->h.unit_b * b - v->h.unit_f * f * s), said[0], 1e-5);
    snprintf(field, sizeof field, "%s.slot_code", stem);
    assert_int_equal(field_numbers(e, field, said, DIM), DIM);
    for (unsigned i = 0; i < DIM; i++)
        assert_int_equal(v->slot_codes[slot * v->h.slot_code_stride + i], (int)said[i]);
    snprintf(field, sizeof field, "%s.norm", stem);
    assert_int_equal(field_numbers(e, field, said, DIM), 1);
    assert_int_equal((int32_t)le32_at(v->norms + slot * v->h.norm_stride), (int)said[0]);
}

static void ivf(void **state)
{
    (void)state;
    struct example e;
    struct ivf_header header;
    struct ivf_view v;
    struct disk_ivf_header again;
    float query[DIM];
    example_read(&e, "ivf.md", "ivf");
    const uint8_t *p = e.bytes.data;
    assert_int_equal(ivf_header_decode(p, e.bytes.len, ROWS, DIM, 0, &header, NULL), VDB_OK);
    assert_int_equal(ivf_header_validate(&header, p, 0, NULL), VDB_OK);
    assert_int_equal(header.code_count, example_number(&e, "code_count"));
    assert_int_equal(header.sub_dim, example_number(&e, "sub_dim"));
    assert_int_equal(header.flags, example_number(&e, "flags"));
    assert_int_equal(field_numbers(&e, "survivors", query, DIM), 3);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(header.survivors[i], (unsigned)query[i]);
    assert_int_equal(header.survivor_lists, example_number(&e, "survivor_lists"));
    assert_true(field_numbers(&e, "bias", query, DIM) == 1 && header.bias == query[0]);
    assert_true(field_numbers(&e, "error", query, DIM) == 1 && header.error == query[0]);
    assert_int_equal(field_numbers(&e, "query", query, DIM), DIM);
    ivf_view_init(&v, &header, p);
    uint32_t list_rows[2];
    for (unsigned i = 0; i < 2; i++) {
        float said[16];
        struct ivf_list list = ivf_view_list(&v, i);
        list_rows[i] = list.row_count;
        assert_int_equal(list.row_count, item_field(&e, "list", i, "row_count"));
        assert_int_equal(list.first_slot, 16 * item_field(&e, "list", i, "first_block"));
        assert_int_equal(list.blocks - v.blocks, 4096 * item_field(&e, "list", i, "page"));
        same_numbers(&e, "centroid", i, v.centroids + 4 * i, DIM);
        same_numbers(&e, "weights", i, v.matrix + i * header.code_bytes, DIM);
        assert_int_equal(v.centroid_norms[i], (int)one_number(&e, "centroid_norm", i));
        assert_true(v.matrix_scales[i] == one_number(&e, "matrix_scale", i));
        assert_int_equal(item_numbers(&e, "codebook", i, said, 16), 16);
        assert_memory_equal(v.codebook + i * 16, said, sizeof said);
        for (unsigned j = 0; j < list.row_count; j++)
            ivf_slot(&e, &v, query, i, list.blocks, list.first_slot + j);
    }
    struct disk_ivf_list lists[2];
    struct ivf_header laid = header;
    memset(&laid.centroids_off, 0, sizeof laid - offsetof(struct ivf_header, centroids_off));
    laid.slot_count = laid.code_bytes = 0;
    assert_int_equal(ivf_header_layout(&laid, list_rows, true, lists), e.bytes.len);
    assert_memory_equal(lists, v.lists, sizeof lists);
    ivf_header_encode(&laid, &again);
    assert_memory_equal(&again, p, sizeof again);
    example_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(strides),   cmocka_unit_test(ids),
        cmocka_unit_test(id_hash), cmocka_unit_test(metadata),  cmocka_unit_test(metadata_lz4),
        cmocka_unit_test(times),   cmocka_unit_test(tombstone), cmocka_unit_test(history),
        cmocka_unit_test(states),  cmocka_unit_test(codes),     cmocka_unit_test(rotation),
        cmocka_unit_test(codes4),  cmocka_unit_test(graph),     cmocka_unit_test(hnsw),
        cmocka_unit_test(ivf),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
