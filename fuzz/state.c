/* state.c: the fuzz target for what an index is after any operations: what a plain model of it is.
 *
 * The first byte chooses the index kind; the rest are the choices of tests/unit/model_run.h, which
 * are made until there are none left. At times the state is sent to a second index, as a whole or
 * as what changed since the last one there, which must then have the same rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aid/fuzz.h"
#include "base/buf.h"
#include "unit/model_run.h"
#include "unit/store_fixture.h"

#define COPY "copy.vdb"

enum { MANY = 30, STEPS_MAX = 60 };

struct pipe {
    struct buf bytes;
    size_t at;
};

static int write_pipe(void *context, const void *bytes, size_t len)
{
    struct pipe *pipe = context;
    return buf_append(&pipe->bytes, bytes, len);
}

static ptrdiff_t read_pipe(void *context, void *bytes, size_t len)
{
    struct pipe *pipe = context;
    if (len > pipe->bytes.len - pipe->at) len = pipe->bytes.len - pipe->at;
    memcpy(bytes, pipe->bytes.data + pipe->at, len);
    pipe->at += len;
    return (ptrdiff_t)len;
}

/* The copy's live rows are those of the model's newest state, by id, vector and metadata. */
static void expect_copy(const struct model *m)
{
    struct vdb *db = store_open(COPY);
    const struct vdb_snapshot *copy = store_snapshot(db);
    const struct state *state = model_state(m, model_commit(m));
    struct vdb_info info;
    struct vdb_error err;
    vdb_snapshot_info(copy, &info);
    assert_int_equal(info.live, state->live_count);
    for (uint32_t v = 0; v < m->version_count; v++) {
        if (!model_live(state, v)) continue;
        char id[VDB_ID_MAX + 1], *json, *want = model_metadata(m->versions[v].tag);
        float vector[MODEL_DIM];
        size_t len = model_id(m->versions[v].id, id);
        uint32_t row;
        must(vdb_find(copy, id, len, 0, &row, &err), &err);
        must(vdb_row_vector(copy, row, vector, &err), &err);
        assert_int_equal(model_tag(vector), m->versions[v].tag);
        must(vdb_row_metadata(copy, row, &json, &len, &err), &err);
        assert_int_equal(json != NULL, want != NULL);
        if (want) assert_string_equal(json, want);
        free(json);
        free(want);
    }
    vdb_snapshot_close(copy);
    vdb_close(db);
    assert_int_equal(store_check(COPY, 1, NULL), 0);
}

/* Sends what there is since `*sent`, where that is to be had, or all of it. */
static void send(struct run *run, uint64_t *sent)
{
    struct vdb_receive_options options = VDB_RECEIVE_OPTIONS_INIT;
    struct vdb_receive_info info;
    struct vdb_error err;
    struct pipe pipe = {{0}, 0};
    const struct vdb_snapshot *to = store_snapshot(run->db[run_draw(run, 2)]), *from = NULL;
    if (model_keeps(&run->now, *sent) && run_draw(run, 4))
        must(vdb_snapshot_at(to, *sent, &from, &err), &err);
    must(vdb_send(from, to, write_pipe, &pipe, &err), &err);
    must(vdb_receive(store_path(COPY), NULL, &options, read_pipe, &pipe, &info, &err), &err);
    *sent = model_commit(&run->now);
    vdb_snapshot_close(to);
    if (from) vdb_snapshot_close(from);
    buf_release(&pipe.bytes);
    expect_copy(&run->now);
}

static void operate(const uint8_t *data, size_t size)
{
    static const enum vdb_index_kind kinds[] = {VDB_INDEX_FLAT, VDB_INDEX_GRAPH, VDB_INDEX_HYBRID,
                                                VDB_INDEX_IVF, VDB_INDEX_HNSW};
    struct run run = {.seed = 1, .choice = data + 1, .choices = size - 1, .many = MANY};
    uint64_t sent = 0;
    run_begin(&run, kinds[data[0] % (sizeof kinds / sizeof *kinds)]);
    for (unsigned i = 0; i < STEPS_MAX && run.choices; i++) {
        run_step(&run);
        run_look(&run, 7);
        if (run_draw(&run, 10) == 1) send(&run, &sent);
    }
    run_look_all(&run, 3);
    run_look(&run, 1);
    run_end(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *none = NULL;
    if (size == 0) return 0;
    /* What differs ends the program, as no test is running; and no test should need a disk. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    setenv("TMPDIR", "/dev/shm", 0);
    if (store_setup(&none) != 0) return 0;
    operate(data, size);
    store_teardown(&none);
    return 0;
}
