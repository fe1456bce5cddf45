/* test_spec_examples.c: superblock, manifest and log records of the spec's worked example: the
 * writer emits those bytes, and the reader finds in them what the spec says.
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

#include "example.h"
#include "format/ids.h"
#include "format/log.h"
#include "format/manifest.h"
#include "format/metadata.h"
#include "format/superblock.h"

#define FILE_LEN 724992 /* of the example file */

/* Every page and how many dumps the tests of examples read from it: one that is added to a page
 * must be added to a test. */
static void every_dump_has_its_test(void **state)
{
    (void)state;
    static const struct {
        const char *page;
        unsigned dumps;
    } pages[] = {
        {"README.md", 0},   {"superblock.md", 1},  {"manifest.md", 1},   {"log.md", 4},
        {"vectors.md", 1},  {"codes.md", 3},       {"graph.md", 2},      {"ids.md", 3},
        {"metadata.md", 2}, {"history.md", 1},     {"tombstones.md", 1}, {"times.md", 1},
        {"writing.md", 0},  {"calibration.md", 1}, {"ivf.md", 1},        {"stream.md", 1},
        {"states.md", 1},
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        assert_int_equal(example_count(pages[i].page), pages[i].dumps);
}

static void same(uint64_t got, const struct example *example, const char *prefix, const char *field)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, field);
    uint64_t said = example_number(example, name);
    if (got != said)
        fail_msg("%s is %llu, the spec says %llu", name, (unsigned long long)got,
                 (unsigned long long)said);
}

static void same_bytes(const void *got, size_t len, const struct example *example)
{
    assert_int_equal(len, example->bytes.len);
    assert_memory_equal(got, example->bytes.data, len);
}

/* ---- superblock ---------------------------------------------------------------------------- */

static void superblock(void **state)
{
    (void)state;
    struct example e;
    struct superblock sb;
    struct disk_superblock disk;
    int slot = -1;
    example_read(&e, "superblock.md", "superblock");
    assert_int_equal(superblock_choose(e.bytes.data, e.bytes.len, &sb, &slot, NULL), VDB_OK);
    assert_int_equal(slot, 0);
    same(sb.version_major, &e, "", "version_major");
    same(sb.version_minor, &e, "", "version_minor");
    same(sb.compat, &e, "", "compat");
    same(sb.ro_compat, &e, "", "ro_compat");
    same(sb.incompat, &e, "", "incompat");
    same(sb.generation, &e, "", "generation");
    same(sb.manifest_off, &e, "", "manifest_off");
    same(sb.manifest_len, &e, "", "manifest_len");
    same(sb.log_off, &e, "", "log_off");
    same(sb.log_end, &e, "", "log_end");
    same(sb.log_check, &e, "", "log_check");
    same(sb.file_end, &e, "", "file_end");
    same(sb.flags, &e, "", "flags");
    char said[256], got[33];
    for (size_t i = 0; i < 16; i++) snprintf(got + 2 * i, 3, "%02x", sb.file_id[i]);
    assert_string_equal(got, example_text(&e, "file_id", said));
    superblock_encode(&sb, &disk);
    same_bytes(&disk, sizeof disk, &e);
    example_release(&e);
}

/* ---- manifest ------------------------------------------------------------------------------ */

static void manifest_head(const struct manifest *m, const struct example *e)
{
    same(m->generation, e, "", "generation");
    same(m->commit, e, "", "commit");
    same((uint64_t)m->commit_time_us, e, "", "commit_time_us");
    same(m->row_count, e, "", "row_count");
    same(m->live_count, e, "", "live_count");
    same(m->dim, e, "", "dim");
    same((uint64_t)m->metric, e, "", "metric");
    same((uint64_t)m->type, e, "", "type");
    same((uint64_t)m->created_us, e, "", "created_us");
    same(m->horizon_commit, e, "", "horizon_commit");
    same((uint64_t)m->index, e, "", "index");
    same(m->degree, e, "", "degree");
    same(m->ef_construction, e, "", "ef_construction");
    same(m->alpha_milli, e, "", "alpha_milli");
    same(m->part_count, e, "", "parts.count");
    same(m->segment_count, e, "", "segments.count");
    same(m->log_extent_count, e, "", "log_extents.count");
    same(m->snapshot_count, e, "", "snapshots.count");
    same(m->received_commit, e, "", "received_commit");
}

static void manifest_segment_entry(const struct segment_entry *s, const struct example *e,
                                   const char *prefix)
{
    same(s->type, e, prefix, "type");
    same(s->flags, e, prefix, "flags");
    same(s->off, e, prefix, "off");
    same(s->len, e, prefix, "len");
    same(s->row_begin, e, prefix, "row_begin");
    same(s->row_end, e, prefix, "row_end");
    same(s->stride, e, prefix, "stride");
    same(s->check, e, prefix, "check");
}

static void snapshot_said(const struct snapshot_entry *snapshot, const struct example *e,
                          const char *prefix)
{
    char field[64], said[256], id[33];
    same(snapshot->commit, e, prefix, "commit");
    same((uint64_t)snapshot->commit_time_us, e, prefix, "commit_time_us");
    same((uint64_t)snapshot->created_us, e, prefix, "created_us");
    same(snapshot->origin.commit, e, prefix, "origin_commit");
    same(snapshot->row_count, e, prefix, "row_count");
    same(snapshot->live_count, e, prefix, "live_count");
    same(snapshot->name_len, e, prefix, "name_len");
    if (snapshot->name_len) {
        snprintf(field, sizeof field, "%sname", prefix);
        example_text(e, field, said);
        assert_int_equal(strlen(said), snapshot->name_len);
        assert_memory_equal(said, snapshot->name, snapshot->name_len);
    }
    for (size_t i = 0; i < 16; i++) snprintf(id + 2 * i, 3, "%02x", snapshot->origin.id[i]);
    snprintf(field, sizeof field, "%sorigin_id", prefix);
    assert_string_equal(id, example_text(e, field, said));
}

static void manifest_tables(const struct manifest *m, const struct example *e)
{
    same(m->parts[0].kind, e, "parts[0].", "kind");
    same(m->parts[0].row_begin, e, "parts[0].", "row_begin");
    same(m->parts[0].row_end, e, "parts[0].", "row_end");
    same(m->parts[0].segment_first, e, "parts[0].", "segment_first");
    same(m->parts[0].segment_count, e, "parts[0].", "segment_count");
    same(m->parts[0].commit, e, "parts[0].", "commit");
    for (uint32_t i = 0; i < m->segment_count; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "segments[%u].", i);
        manifest_segment_entry(&m->segments[i], e, prefix);
    }
    same(m->log_extents[0].off, e, "log_extents[0].", "off");
    same(m->log_extents[0].len, e, "log_extents[0].", "len");
    same(m->log_extents[0].first_commit, e, "log_extents[0].", "first_commit");
    same((uint64_t)m->log_extents[0].time_us, e, "log_extents[0].", "time_us");
    snapshot_said(&m->snapshots[0], e, "snapshots[0].");
    snapshot_said(&m->snapshots[1], e, "snapshots[1].");
}

static void manifest(void **state)
{
    (void)state;
    struct example e, sb;
    struct manifest m;
    struct buf again = {0};
    example_read(&e, "manifest.md", "manifest");
    example_read(&sb, "superblock.md", "superblock");
    assert_int_equal(manifest_decode(e.bytes.data, e.bytes.len, example_number(&sb, "manifest_off"),
                                     FILE_LEN, &m, NULL),
                     VDB_OK);
    same(e.bytes.len, &sb, "", "manifest_len");
    manifest_head(&m, &e);
    manifest_tables(&m, &e);
    assert_int_equal(manifest_encode(&m, &again, NULL), VDB_OK);
    same_bytes(again.data, again.len, &e);
    buf_release(&again);
    manifest_release(&m);
    example_release(&e);
    example_release(&sb);
}

/* ---- log records --------------------------------------------------------------------------- */

/* The file, empty but for one record where the example says that it lies. */
static uint8_t *file_with(const struct example *e)
{
    uint8_t *file = calloc(1, FILE_LEN);
    assert_non_null(file);
    uint64_t off = example_number(e, "record_off");
    assert_true(off + e->bytes.len <= FILE_LEN);
    memcpy(file + off, e->bytes.data, e->bytes.len);
    return file;
}

static struct log_cursor cursor_before(const struct example *e, uint64_t commits)
{
    uint64_t off = example_number(e, "record_off");
    return (struct log_cursor){off, off + e->bytes.len + commits * LOG_LINK_LEN,
                               example_number(e, "prev_check"),
                               example_number(e, "commit") - commits};
}

static void block_said(const struct log_block *block, const struct example *e, const char *prefix)
{
    same(block->off, e, prefix, "off");
    same(block->len, e, prefix, "len");
    same(block->check, e, prefix, "check");
}

static void commit_said(const struct log_commit *c, const struct example *e)
{
    same(c->commit, e, "", "commit");
    same((uint64_t)c->time_us, e, "", "time_us");
    same(c->row_base, e, "", "row_base");
    same(c->row_count, e, "", "row_count");
    same(c->live_count, e, "", "live_count");
    same(c->event_count, e, "", "event_count");
    same(c->stride, e, "", "stride");
    same(c->names.count, e, "", "name_count");
    block_said(&c->vectors, e, "vectors.");
    block_said(&c->ids, e, "ids.");
    block_said(&c->metadata, e, "metadata.");
    block_said(&c->events, e, "events.");
}

/* The changes of names of a record, which are appended to `again` as a writer does. */
static void names_said(const uint8_t *file, const struct log_names *names, const struct example *e,
                       struct buf *again)
{
    for (uint32_t i = 0; i < names->count; i++) {
        struct log_name_change change;
        char prefix[64];
        assert_true(log_name_change(file, names, i, &change));
        snprintf(prefix, sizeof prefix, "name[%u].", i);
        same(change.operation, e, prefix, "operation");
        snprintf(prefix, sizeof prefix, "name[%u].snapshot.", i);
        snapshot_said(&change.snapshot, e, prefix);
        assert_int_equal(log_encode_name(&change, again, NULL), VDB_OK);
    }
}

/* Reads the commit record of an example, and has it written again. */
static void commit_both_ways(const struct example *e, const uint8_t *file, struct log_commit *c)
{
    struct log_cursor cursor = cursor_before(e, 1);
    struct log_names apart;
    assert_int_equal(log_next(file, FILE_LEN, &cursor, c, &apart), LOG_COMMIT);
    assert_int_equal(cursor.off, example_number(e, "record_off") + e->bytes.len);
    same(cursor.check, e, "", "check");
    same(cursor.commit, e, "", "commit");
    commit_said(c, e);

    struct buf again = {0};
    size_t head = sizeof(struct disk_record) + sizeof(struct disk_commit);
    assert_int_equal(log_encode_commit(c, example_number(e, "prev_check"), &again, NULL), VDB_OK);
    assert_int_equal(again.len, head);
    size_t blocks = e->bytes.len - head - c->names.count * sizeof(struct disk_name_change);
    assert_int_equal(buf_append(&again, e->bytes.data + head, blocks), 0);
    names_said(file, &c->names, e, &again);
    assert_int_equal(log_seal(&again, 0), example_number(e, "check"));
    same_bytes(again.data, again.len, e);
    buf_release(&again);
}

static void commit(void **state)
{
    (void)state;
    struct example e;
    struct log_commit c;
    example_read(&e, "log.md", "commit");
    uint8_t *file = file_with(&e);
    commit_both_ways(&e, file, &c);

    struct ids_view ids;
    const char *id;
    size_t len;
    char said[256];
    assert_int_equal(ids_view_init(&ids, file + c.ids.off, c.ids.len, c.row_count, c.ids.off, NULL),
                     VDB_OK);
    assert_int_equal(ids_get(&ids, 0, &id, &len, NULL), VDB_OK);
    example_text(&e, "id[0]", said);
    assert_int_equal(len, strlen(said));
    assert_memory_equal(id, said, len);

    struct metadata_view metadata;
    char *text;
    assert_int_equal(metadata_view_init(&metadata, file + c.metadata.off, c.metadata.len,
                                        c.row_count, c.metadata.off, NULL),
                     VDB_OK);
    assert_int_equal(metadata_get(&metadata, 0, &text, &len, NULL), VDB_OK);
    assert_string_equal(text, example_text(&e, "row[0]", said));
    free(text);

    struct disk_event event;
    memcpy(&event, file + c.events.off, sizeof event);
    assert_int_equal(le32_get(event.row), example_number(&e, "event[0].row"));
    assert_int_equal(le32_get(event.kind), example_number(&e, "event[0].kind"));
    free(file);
    example_release(&e);
}

static void commit_without_rows(void **state)
{
    (void)state;
    struct example e;
    struct log_commit c;
    example_read(&e, "log.md", "commit_restore");
    uint8_t *file = file_with(&e);
    commit_both_ways(&e, file, &c);
    struct disk_event event;
    memcpy(&event, file + c.events.off, sizeof event);
    assert_int_equal(le32_get(event.row), example_number(&e, "event[0].row"));
    assert_int_equal(le32_get(event.kind), DISK_EVENT_RESTORE);
    free(file);
    example_release(&e);
}

static void names_record(void **state)
{
    (void)state;
    struct example e;
    struct log_commit c;
    struct log_names names;
    struct buf again = {0};
    example_read(&e, "log.md", "names");
    uint8_t *file = file_with(&e);
    struct log_cursor cursor = cursor_before(&e, 0), before = cursor;
    cursor.end += LOG_LINK_LEN;
    assert_int_equal(log_next(file, FILE_LEN, &cursor, &c, &names), LOG_NAMES);
    assert_int_equal(cursor.off, example_number(&e, "record_off") + e.bytes.len);
    same(cursor.check, &e, "", "check");
    same(cursor.commit, &e, "", "commit");
    same(names.count, &e, "", "count");
    assert_int_equal(log_encode_names(&before, (int64_t)example_number(&e, "time_us"), names.count,
                                      &again, NULL),
                     VDB_OK);
    names_said(file, &names, &e, &again);
    assert_int_equal(log_seal(&again, 0), example_number(&e, "check"));
    same_bytes(again.data, again.len, &e);
    buf_release(&again);
    free(file);
    example_release(&e);
}

static void link_record(void **state)
{
    (void)state;
    struct example e;
    struct log_commit c;
    struct buf again = {0};
    example_read(&e, "log.md", "link");
    uint8_t *file = file_with(&e);
    struct log_cursor cursor = cursor_before(&e, 0), before = cursor;
    struct log_names names;
    assert_int_equal(log_next(file, FILE_LEN, &cursor, &c, &names), LOG_LINKED);
    same(cursor.off, &e, "", "next_off");
    same(cursor.end - cursor.off, &e, "", "next_len");
    same(cursor.check, &e, "", "check");
    same(cursor.commit, &e, "", "commit");
    assert_int_equal(log_encode_link(&before, (int64_t)example_number(&e, "time_us"), cursor.off,
                                     cursor.end - cursor.off, &again, NULL),
                     VDB_OK);
    assert_int_equal(log_seal(&again, 0), example_number(&e, "check"));
    same_bytes(again.data, again.len, &e);
    buf_release(&again);
    free(file);
    example_release(&e);
}

/* The chain: each record of the example names the one before, and the first one the file. */
static void chain(void **state)
{
    (void)state;
    struct example sb, sixth, names, link, seventh;
    example_read(&sb, "superblock.md", "superblock");
    example_read(&sixth, "log.md", "commit");
    example_read(&names, "log.md", "names");
    example_read(&link, "log.md", "link");
    example_read(&seventh, "log.md", "commit_restore");
    assert_int_equal(example_number(&sb, "log_off"), example_number(&sixth, "record_off"));
    assert_int_equal(example_number(&sb, "log_check"), example_number(&sixth, "prev_check"));
    assert_int_equal(example_number(&sixth, "check"), example_number(&names, "prev_check"));
    assert_int_equal(example_number(&names, "check"), example_number(&link, "prev_check"));
    assert_int_equal(example_number(&link, "check"), example_number(&seventh, "prev_check"));
    example_release(&sb);
    example_release(&sixth);
    example_release(&names);
    example_release(&link);
    example_release(&seventh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dump_has_its_test),
        cmocka_unit_test(superblock),
        cmocka_unit_test(manifest),
        cmocka_unit_test(commit),
        cmocka_unit_test(commit_without_rows),
        cmocka_unit_test(names_record),
        cmocka_unit_test(link_record),
        cmocka_unit_test(chain),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
