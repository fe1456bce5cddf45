/* test_check_rules.c: what is wrong between structures, each of them with its checksum right, and
 * each by its own rules: parts against the log, tombstones against events, times, history, segments
 * that overlap. The check finds none of it, the deep check does.
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

#include "flips_file.h"
#include "format/history.h"
#include "format/manifest.h"
#include "format/superblock.h"
#include "store_fixture.h"

struct image {
    struct buf bytes;
    struct manifest m;
    struct superblock sb;
};

static void image_make(struct image *image)
{
    struct vdb_error err;
    int slot;
    memset(image, 0, sizeof *image);
    flips_make("x.vdb", &image->bytes);
    struct buf *b = &image->bytes;
    must(superblock_choose(b->data, b->len, &image->sb, &slot, &err), &err);
    must(manifest_decode(b->data + image->sb.manifest_off, image->sb.manifest_len,
                         image->sb.manifest_off, b->len, &image->m, &err),
         &err);
    assert_int_equal(image->m.part_count, 2);
}

static void image_release(struct image *image)
{
    manifest_release(&image->m);
    buf_release(&image->bytes);
}

/* Makes checksums of segments and manifest right. */
static void image_seal(struct image *image)
{
    struct buf again = {0};
    struct manifest *m = &image->m;
    for (uint32_t i = 0; i < m->segment_count; i++)
        m->segments[i].check =
            XXH3_64bits(image->bytes.data + m->segments[i].off, (size_t)m->segments[i].len);
    assert_int_equal(manifest_encode(m, &again, NULL), VDB_OK);
    assert_int_equal(again.len, image->sb.manifest_len);
    memcpy(image->bytes.data + image->sb.manifest_off, again.data, again.len);
    buf_release(&again);
}

/* The graph part, whose rows the log has too. */
static struct segment_entry *segment(struct image *image, unsigned type)
{
    return (struct segment_entry *)(uintptr_t)manifest_segment(&image->m, &image->m.parts[1], type);
}

static uint8_t *at(struct image *image, unsigned type)
{
    return image->bytes.data + segment(image, type)->off;
}

static struct segment_entry *history(struct image *image)
{
    for (uint32_t i = 0; i < image->m.segment_count; i++)
        if (image->m.segments[i].type == DISK_SEGMENT_HISTORY) return &image->m.segments[i];
    fail_msg("there is no history");
    return NULL;
}

struct wanted {
    const char *segment, *words;
    bool found;
};

static void look(void *context, const struct vdb_error *finding)
{
    struct wanted *w = context;
    w->found |= finding->segment && strcmp(finding->segment, w->segment) == 0 &&
                strstr(finding->message, w->words);
}

static uint64_t check(const struct image *image, int deep, struct wanted *w)
{
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t findings;
    options.deep = deep;
    options.report = look;
    options.context = w;
    store_write("y.vdb", &image->bytes);
    must(vdb_check(store_path("y.vdb"), &options, &findings, &err), &err);
    return findings;
}

/* ---- what is put in ------------------------------------------------------------------------ */

/* Of row 1 of the part, which a commit has deleted, and of row 7. */
static void swapped_tombstones(struct image *image)
{
    uint8_t *words = at(image, DISK_SEGMENT_TOMBSTONE);
    assert_int_equal(words[0] & 0x82, 0x02);
    words[0] ^= 0x82;
}

static void other_vector(struct image *image)
{
    at(image, DISK_SEGMENT_VECTOR)[64] ^= 1; /* a last bit, which no code shows */
}

static void other_id(struct image *image)
{
    uint8_t *ids = at(image, DISK_SEGMENT_ID);
    uint64_t bytes_off;
    memcpy(&bytes_off, ids + 24, sizeof bytes_off);
    ids[bytes_off] = 'q';
}

static void other_metadata(struct image *image)
{
    struct segment_entry *s = segment(image, DISK_SEGMENT_METADATA);
    uint8_t *text = memmem(image->bytes.data + s->off, (size_t)s->len, "recent", 6);
    assert_non_null(text);
    text[0] = 'd';
}

static void other_time(struct image *image)
{
    uint64_t time_us;
    memcpy(&time_us, at(image, DISK_SEGMENT_TIME), sizeof time_us);
    time_us += 2000000;
    memcpy(at(image, DISK_SEGMENT_TIME), &time_us, sizeof time_us);
}

static void overlapping(struct image *image)
{
    struct segment_entry *s = segment(image, DISK_SEGMENT_ID_HASH);
    uint64_t end = s->off + s->len, next = UINT64_MAX;
    for (uint32_t i = 0; i < image->m.segment_count; i++)
        if (image->m.segments[i].off >= end && image->m.segments[i].off < next)
            next = image->m.segments[i].off;
    s->len = next + 1 - s->off; /* what it holds ends where it did */
}

static void history_into_the_log(struct image *image)
{
    uint8_t *header = image->bytes.data + history(image)->off;
    uint64_t last;
    memcpy(&last, header + 8, sizeof last);
    last += 1;
    memcpy(header + 8, &last, sizeof last);
}

/* The same changes, one of them at another time than its commit's others. */
static void history_of_two_times(struct image *image)
{
    struct segment_entry *s = history(image);
    struct history_view view;
    struct history_iter iter;
    struct history_entry entry;
    struct history_builder builder = {0};
    struct vdb_error err;
    must(history_view_init(&view, image->bytes.data + s->off, (size_t)s->len, s->off, &err), &err);
    history_iter_init(&iter, &view);
    for (unsigned i = 0; history_next(&iter, &entry, &err) == VDB_OK; i++) {
        entry.time_us += i == 3;
        must(history_builder_add(&builder, &entry, &err), &err);
    }
    history_iter_release(&iter);
    assert_int_equal(buf_align(&image->bytes, 64), 0);
    s->off = image->bytes.len;
    must(history_builder_finish(&builder, view.first_commit, view.last_commit, &image->bytes, &err),
         &err);
    s->len = image->bytes.len - s->off;
    history_builder_release(&builder);
}

static void what_lies_between_structures_is_found(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct image *);
        const char *segment, *words;
    } cases[] = {
        {swapped_tombstones, "tombstone", "by the events of the log it is not"},
        {other_vector, "vector", "is not that which commit"},
        {other_id, "id", "is not that which commit"},
        {other_metadata, "metadata", "is not that which commit"},
        {other_time, "time", "is not that which commit"},
        {overlapping, "", "begins within the id-hash segment"},
        {history_into_the_log, "history", "the log begins with"},
        {history_of_two_times, "history", "of two times"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image image;
        struct wanted w = {cases[i].segment, cases[i].words, false};
        image_make(&image);
        struct wanted none = {"", "", false};
        assert_int_equal(check(&image, 1, &none), 0);
        cases[i].change(&image);
        image_seal(&image);
        if (cases[i].change == overlapping) { /* it is named by what lies behind */
            for (uint32_t j = 0; j < image.m.segment_count; j++) {
                const struct segment_entry *hash = segment(&image, DISK_SEGMENT_ID_HASH);
                if (image.m.segments[j].off == hash->off + hash->len - 1)
                    w.segment = segment_type_name(image.m.segments[j].type);
            }
        }
        if (check(&image, 0, &w)) fail_msg("case %zu is found by checksums", i);
        if (!check(&image, 1, &w) || !w.found) fail_msg("case %zu is not found", i);
        image_release(&image);
        remove(store_path("x.vdb"));
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(what_lies_between_structures_is_found),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
