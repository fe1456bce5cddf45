/* stream.c: the fuzz target for streams, as an index receives them.
 *
 * By bit 0 of the first byte it is received with `force`; the rest is the stream. One of changes is
 * given an index that has its base: as many rows, by ids "row 0" and so on, under its origin. What
 * is received leaves a sound index, and what is refused leaves what was there.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aid/fuzz.h"
#include "aid/mutator.h"
#include "db/txn.h"
#include "format/stream.h"

#define ROWS_MAX 64u
#define DIM_MAX  300u

/* What receiving may take whatever the stream, spools and all; and by a byte of it. */
#define MEMORY_BASE ((size_t)80 << 20)
#define MEMORY_BYTE 1024u

static const char *path;

/* ---- the index that receives --------------------------------------------------------------- */

static bool put_rows(struct vdb_txn *txn, uint32_t rows, uint32_t dim)
{
    float vector[DIM_MAX];
    struct vdb_error err;
    for (uint32_t i = 0; i < rows; i++) {
        char id[16];
        int len = snprintf(id, sizeof id, "row %u", i);
        for (uint32_t j = 0; j < dim; j++) vector[j] = (float)((i + j) % 9 + 1);
        if (vdb_txn_put(txn, VDB_INSERT, id, (size_t)len, vector, NULL, 0, &err)) return false;
    }
    return true;
}

/* One that has the base of the stream, if that is not too large to be made. */
static bool make_base(const struct stream_header *header)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb *db;
    struct vdb_txn *txn;
    struct vdb_error err;
    if (header->dim > DIM_MAX || header->base.live > ROWS_MAX) return false;
    options.dim = header->dim;
    options.metric = header->metric;
    options.type = header->type;
    if (vdb_create(path, &options, &err) || vdb_open(path, NULL, &db, &err)) return false;
    struct log_name_change received = {.operation = DISK_NAME_RECEIVED};
    received.snapshot.origin = header->base.origin;
    bool made = vdb_txn_begin(db, &txn, &err) == VDB_OK;
    if (made) {
        made = put_rows(txn, header->base.live, header->dim) &&
               txn_name(txn, &received, &err) == VDB_OK && txn_write(txn, NULL, &err) == VDB_OK;
        vdb_txn_abort(txn);
    }
    vdb_close(db);
    return made;
}

/* ---- receiving ----------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t size, at;
};

static ptrdiff_t read_input(void *context, void *bytes, size_t len)
{
    struct input *input = context;
    if (len > input->size - input->at) len = input->size - input->at;
    memcpy(bytes, input->data + input->at, len);
    input->at += len;
    return (ptrdiff_t)len;
}

static uint64_t newest_commit(void)
{
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    struct vdb_info info;
    struct vdb_error err;
    if (vdb_open(path, NULL, &db, &err)) abort();
    if (vdb_snapshot_open(db, &snapshot, &err)) abort();
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    return info.commit;
}

static void receive(struct input *input, bool based, bool force)
{
    struct vdb_receive_options options = VDB_RECEIVE_OPTIONS_INIT;
    struct vdb_open_options open = VDB_OPEN_OPTIONS_INIT;
    struct vdb_check_options check = VDB_CHECK_OPTIONS_INIT;
    struct vdb_receive_info info;
    struct vdb_error err;
    uint64_t findings = 0, before = based ? newest_commit() : 0;

    options.force = force;
    open.threads = check.threads = 1;
    check.deep = 1;
    enum vdb_status status = vdb_receive(path, &open, &options, read_input, input, &info, &err);
    if (status && !based) {
        if (access(path, F_OK) == 0) abort();
        return;
    }
    if (newest_commit() != (status ? before : info.commit)) abort();
    if (vdb_check(path, &check, &findings, &err) || findings) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct stream_reader reader;
    struct vdb_error err;
    struct input input = {data + 1, size - 1, 0};
    uint8_t head[sizeof(struct disk_stream)];
    bool based = false;
    path = fuzz_path();
    if (input.size >= sizeof head) {
        memcpy(head, input.data, sizeof head);
        based = stream_begin(&reader, head, &err) == VDB_OK && reader.header.incremental &&
                make_base(&reader.header);
    }
    if (!based) unlink(path);
    fuzz_memory(MEMORY_BASE + MEMORY_BYTE * size);
    receive(&input, based, data[0] & 1);
    fuzz_memory(0);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return mutate_stream(data, size, max_size, seed);
}
