/* test_maintain.c: when a part is built, which parts it takes in, and that nothing but the layout
 * changes by it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "slow.h"
#include "store_fixture.h"

enum { DIM = 6 };

static void maintain(struct vdb *db)
{
    struct vdb_error err;
    must(vdb_maintain(db, NULL, &err), &err);
}

static struct vdb *create(enum vdb_index_kind index)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = DIM;
    options.index = index;
    return store_create("x.vdb", options);
}

static void a_short_tail_is_left_alone(void **state)
{
    (void)state;
    struct buf before = {0}, after = {0};
    struct vdb *db = create(VDB_INDEX_AUTO);
    store_add_many(db, 0, 500, DIM);
    store_read("x.vdb", &before);
    maintain(db);
    store_read("x.vdb", &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_release(&before);
    buf_release(&after);
    vdb_close(db);
}

/* Parts cover the rows from 0 on without a gap, and grow geometrically: there are few of them. */
static void parts_are_few_and_cover_all(void **state)
{
    (void)state;
    struct vdb *db = create(VDB_INDEX_FLAT);
    uint32_t rows = 0;
    for (unsigned i = 0; i < 24; i++) {
        store_add_many(db, rows, 2100, DIM);
        rows += 2100;
        maintain(db);
        const struct vdb_snapshot *s = store_snapshot(db);
        struct vdb_info info;
        struct vdb_part_info part;
        uint64_t covered = 0, log = 1;
        vdb_snapshot_info(s, &info);
        assert_int_equal(info.tail_rows, 0);
        assert_int_equal(info.live, rows);
        for (uint32_t n = i + 1; n > 1; n /= 2) log++;
        assert_in_range(info.parts, 1, log);
        for (uint32_t p = 0; p < info.parts; p++) {
            assert_int_equal(vdb_part_info(s, p, &part), VDB_OK);
            assert_int_equal(part.row_begin, covered);
            assert_int_equal(part.kind, VDB_INDEX_FLAT);
            covered = part.row_end;
            /* Rows of 24 bytes have strides of 24 or more, up to the alignment of 64. */
            assert_in_range(part.vector_bytes / (part.row_end - part.row_begin), 24, 64);
            assert_int_equal(part.code_bytes + part.graph_bytes, 0);
            assert_true(part.bytes >= part.vector_bytes + part.id_bytes + part.metadata_bytes);
        }
        assert_int_equal(covered, rows);
        assert_int_equal(vdb_part_info(s, info.parts, &part), VDB_NOT_FOUND);
        vdb_snapshot_close(s);
    }
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* Rows of a part that were deleted or restored since it was built, and it is kept: so are they. */
static void kept_parts_get_new_tombstones(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(VDB_INDEX_GRAPH);
    store_add_many(db, 0, 6000, DIM);
    store_delete(db, 10);
    store_delete(db, 11);
    maintain(db);
    struct vdb_txn *txn = store_begin(db);
    must(vdb_txn_restore(txn, "r10", 3, &err), &err);
    must(vdb_txn_delete(txn, "r12", 3, &err), &err);
    store_commit(txn);
    store_add_many(db, 6000, 2100, DIM);
    store_delete(db, 7000);
    for (int reopened = 0; reopened < 3; reopened++) {
        if (reopened == 1) maintain(db);
        if (reopened == 2) {
            vdb_close(db);
            db = store_open("x.vdb");
        }
        const struct vdb_snapshot *s = store_snapshot(db);
        static const struct {
            uint32_t row;
            int state;
        } want[] = {{9, 1}, {10, 1}, {11, 2}, {12, 2}, {13, 1}, {7000, 2}, {7001, 1}};
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
            assert_int_equal(vdb_row_state(s, want[i].row), want[i].state);
        struct vdb_info info;
        vdb_snapshot_info(s, &info);
        assert_int_equal(info.live, 8097);
        assert_int_equal(info.parts, reopened ? 2 : 1);
        vdb_snapshot_close(s);
    }
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* An opener replays events: many of them are a reason as well, without a row more. */
static void many_events_are_a_reason(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(VDB_INDEX_FLAT);
    store_add_many(db, 0, 2100, DIM);
    maintain(db);
    struct vdb_info before = store_info(db);
    for (unsigned round = 0; round < 32; round++) {
        struct vdb_txn *txn = store_begin(db);
        for (uint32_t i = 0; i < 2100; i++) {
            char id[16];
            snprintf(id, sizeof id, "r%u", i);
            must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
            must(vdb_txn_restore(txn, id, strlen(id), &err), &err);
        }
        store_commit(txn);
    }
    struct buf bytes = {0}, again = {0};
    store_read("x.vdb", &bytes);
    maintain(db);
    store_read("x.vdb", &again);
    assert_memory_not_equal(bytes.data, again.data, 8192); /* another superblock */
    buf_release(&bytes);
    buf_release(&again);
    struct vdb_info after = store_info(db);
    assert_int_equal(after.live, before.live);
    assert_int_equal(after.commit, before.commit + 32);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* Rows of a large commit lie outside of its record: what has happened to them is not copied into a
 * part, whose checksums would then be right. */
static void damage_is_not_built_in(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(VDB_INDEX_FLAT);
    store_add_many(db, 0, 3, DIM);
    store_add_many(db, 3, 40000, DIM);
    const struct vdb_snapshot *s = store_snapshot(db);
    const struct log_commit *commit = &tail_at(&s->generation->tail, 1)->log;
    uint64_t places[] = {commit->vectors.off + commit->vectors.len / 2,
                         commit->ids.off + commit->ids.len - 20,
                         commit->metadata.off + commit->metadata.len / 2};
    vdb_snapshot_close(s);
    struct buf whole = {0};
    store_read("x.vdb", &whole);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        assert_true(places[i] < whole.len);
        uint8_t byte = whole.data[places[i]] ^ 1;
        assert_int_equal(osfile_write(&db->file, places[i], &byte, 1), 0);
        assert_int_equal(vdb_maintain(db, NULL, &err), VDB_CORRUPT);
        assert_int_equal(vdb_compact(db, NULL, &err), VDB_CORRUPT);
        assert_int_equal(osfile_write(&db->file, places[i], &whole.data[places[i]], 1), 0);
    }
    maintain(db);
    assert_int_equal(store_info(db).parts, 1);
    buf_release(&whole);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* And so are many commits, each of which takes an opener longer than an event. */
static void many_commits_are_a_reason(void **state)
{
    (void)state;
    struct vdb_error err;
    struct vdb *db = create(VDB_INDEX_FLAT);
    store_add_many(db, 0, 10, DIM);
    for (unsigned i = 0; i < 8000; i++) {
        struct vdb_txn *txn = store_begin(db);
        must(i % 2 ? vdb_txn_restore(txn, "r3", 2, &err) : vdb_txn_delete(txn, "r3", 2, &err),
             &err);
        store_commit(txn);
        const struct vdb_snapshot *s = store_snapshot(db);
        int wanted = vdb_maintain_wanted(s, NULL);
        vdb_snapshot_close(s);
        if (i < 7000) assert_int_equal(wanted, 0);
        if (i == 7999) assert_int_equal(wanted, 1);
    }
    maintain(db);
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(vdb_maintain_wanted(s, NULL), 0);
    vdb_snapshot_close(s);
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

static void put_file(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(store_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static bool is_there(const char *name)
{
    return access(store_path(name), F_OK) == 0;
}

/* Of a compaction, an output and a creation; not what somebody else has put there, nor before there
 * is something to do. */
static void what_killed_processes_left_goes(void **state)
{
    (void)state;
    static const char zeros[9000], foreign[] = "somebody else's file";
    struct buf bytes = {0};
    struct vdb *db = create(VDB_INDEX_FLAT);
    store_add_many(db, 0, 2000, DIM);
    store_read("x.vdb", &bytes);
    store_write(".x.vdb.compact", &bytes);
    put_file("x.vdb.tmp-1", zeros, sizeof zeros);
    store_write("x.vdb.tmp-7", &bytes);
    put_file("x.vdb.tmp-0", foreign, sizeof foreign);
    maintain(db);
    assert_true(is_there(".x.vdb.compact") && is_there("x.vdb.tmp-1") && is_there("x.vdb.tmp-7"));
    store_add_many(db, 2000, 100, DIM);
    maintain(db);
    assert_int_equal(store_info(db).parts, 1);
    assert_false(is_there(".x.vdb.compact") || is_there("x.vdb.tmp-1") || is_there("x.vdb.tmp-7"));
    assert_true(is_there("x.vdb.tmp-0"));
    put_file(".x.vdb.compact", foreign, sizeof foreign);
    store_add_many(db, 2100, 2100, DIM);
    maintain(db);
    assert_true(is_there(".x.vdb.compact"));
    buf_release(&bytes);
    vdb_close(db);
}

/* Rows that come a tenth at a time are put into the graph there is, until there are twice those
 * that it was built of. */
static void a_graph_that_has_doubled_is_built_anew(void **state)
{
    (void)state;
    struct vdb_maintain_options options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    options.merge_percent = 10;
    struct vdb *db = create(VDB_INDEX_GRAPH);
    uint32_t rows = 2100, built = rows, anew = 0;
    store_add_many(db, 0, rows, DIM);
    maintain(db);
    while (anew < (SLOW ? 1 : 2)) {
        uint32_t more = rows / 10 + 1;
        store_add_many(db, rows, more, DIM);
        rows += more;
        must(vdb_maintain(db, &options, &err), &err);
        if (rows >= 2 * built) built = rows, anew++;
        const struct vdb_snapshot *s = store_snapshot(db);
        assert_int_equal(s->generation->manifest.part_count, 1);
        assert_int_equal(s->generation->parts[0].graph.rows, rows);
        assert_int_equal(s->generation->parts[0].graph.built_rows, built);
        vdb_snapshot_close(s);
    }
    vdb_close(db);
    assert_int_equal(store_check("x.vdb", 1, NULL), 0);
}

/* Of the part, by whose 8-bit codes its graph was built. */
static void read_grid(struct vdb *db, float *scale, int32_t *zero)
{
    const struct vdb_snapshot *s = store_snapshot(db);
    assert_int_equal(s->generation->manifest.part_count, 1);
    *scale = s->generation->parts[0].graph.grid_scale;
    *zero = s->generation->parts[0].graph.grid_zero;
    vdb_snapshot_close(s);
}

/* Beyond what a grid for the others spans, by a single number, for which it is not made anew. */
static void put_edge(struct vdb *db, uint32_t number)
{
    static const float edge[DIM] = {100, 5, 5, 5, 5, 5};
    char id[16];
    struct vdb_txn *txn = store_begin(db);
    snprintf(id, sizeof id, "edge%u", number);
    store_put(txn, id, edge, NULL);
    store_commit(txn);
}

/* Where the part has other codes than those its graph is built by, each merge makes them again. */
static void merges_measure_by_one_grid(void **state)
{
    (void)state;
    static const enum vdb_codes codes[] = {VDB_CODES_I4, VDB_CODES_NONE, VDB_CODES_I8};
    struct vdb_maintain_options maintain_options = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    maintain_options.merge_percent = 10;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
        uint32_t rows = 2100;
        float scale, first_scale;
        int32_t zero, first_zero;
        options.dim = DIM;
        options.index = VDB_INDEX_GRAPH;
        options.metric = VDB_METRIC_COSINE;
        options.codes = codes[i];
        struct vdb *db = store_create("x.vdb", options);
        store_add_many(db, 0, rows, DIM);
        maintain(db);
        read_grid(db, &first_scale, &first_zero);
        assert_int_equal(first_scale > 0, codes[i] != VDB_CODES_I8);
        for (uint32_t more; rows < 3000; rows += more) {
            more = rows / 10 + 1;
            store_add_many(db, rows, more, DIM);
            put_edge(db, rows);
            must(vdb_maintain(db, &maintain_options, &err), &err);
            read_grid(db, &scale, &zero);
            assert_true(scale == first_scale && zero == first_zero);
        }

        /* A file that does not say by which, as those made before it was recorded: another is
         * chosen, and recorded. */
        const struct vdb_snapshot *s = store_snapshot(db);
        s->generation->parts[0].graph.grid_scale = 0;
        vdb_snapshot_close(s);
        store_add_many(db, rows, rows / 9, DIM);
        must(vdb_maintain(db, &maintain_options, &err), &err);
        read_grid(db, &first_scale, &first_zero);
        assert_int_equal(first_scale > 0, codes[i] != VDB_CODES_I8);

        /* All that came before is above 0. */
        float vector[DIM];
        struct vdb_txn *txn = store_begin(db);
        for (uint32_t n = 0; n < 500; n++) {
            char id[16];
            snprintf(id, sizeof id, "below%u", n);
            store_vector(n, DIM, vector);
            for (uint32_t j = 0; j < DIM; j++) vector[j] = -vector[j];
            store_put(txn, id, vector, NULL);
        }
        store_commit(txn);
        must(vdb_maintain(db, &maintain_options, &err), &err);
        read_grid(db, &scale, &zero);
        assert_int_equal(scale > first_scale, codes[i] != VDB_CODES_I8);
        vdb_close(db);
        assert_int_equal(store_check("x.vdb", 1, NULL), 0);
        assert_int_equal(remove(store_path("x.vdb")), 0);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_short_tail_is_left_alone),      test(parts_are_few_and_cover_all),
        test(kept_parts_get_new_tombstones),   test(many_events_are_a_reason),
        test(damage_is_not_built_in),          test(many_commits_are_a_reason),
        test(what_killed_processes_left_goes), test(a_graph_that_has_doubled_is_built_anew),
        test(merges_measure_by_one_grid),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
