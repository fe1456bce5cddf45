/* stream.c: the fuzz target for streams, as an index receives them.
 *
 * The first byte says how: by bit 0 checks are made anew, so that what they cover is come to; by
 * bit 1 with `force`; the rest is the stream. One of changes is given an index that has its base:
 * as many rows, by ids "row 0" and so on, under its origin. What is received leaves a sound index,
 * and what is refused leaves what was there. SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"
#include "db/txn.h"
#include "format/stream.h"
#include "fuzz.h"

#define ROWS_MAX 64u
#define DIM_MAX  300u

static char folder[64], path[96];

static void tidy_up(void)
{
    unlink(path);
    rmdir(folder);
}

static void find_a_place(void)
{
    if (folder[0]) {
        unlink(path);
        return;
    }
    snprintf(folder, sizeof folder, "%s/vdb-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    snprintf(path, sizeof path, "%s/index.vdb", folder);
    atexit(tidy_up);
}

/* ---- checks made anew ---------------------------------------------------------------------- */

static void put_check(uint8_t *at, uint64_t check)
{
    le64 put = le64_put(check);
    memcpy(at, &put, sizeof put);
}

/* As far as frames can be told apart; what ends a stream is stored as it is. */
static void seal(uint8_t *p, size_t size)
{
    size_t at = sizeof(struct disk_stream);
    if (size < at) return;
    put_check(p + offsetof(struct disk_stream, check),
              checksum(p, offsetof(struct disk_stream, check)));
    for (uint32_t number = 0; size - at >= sizeof(struct disk_stream_frame); number++) {
        struct disk_stream_frame head;
        memcpy(&head, p + at, sizeof head);
        head.number = le32_put(number);
        memcpy(p + at, &head, sizeof head);
        size_t packed_len = le32_get(head.packed_len), body = at + sizeof head;
        if (packed_len > size - body) return;
        if (le16_get(head.kind) == DISK_FRAME_END && packed_len == sizeof(struct disk_stream_end))
            put_check(p + body + offsetof(struct disk_stream_end, check), checksum(p, at));
        put_check(p + at + offsetof(struct disk_stream_frame, check),
                  checksum_without(p + at, sizeof head + packed_len,
                                   offsetof(struct disk_stream_frame, check)));
        at = body + packed_len;
    }
}

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
    uint8_t *stream = malloc(size);
    if (!stream) return 0;
    memcpy(stream, data + 1, size - 1);
    find_a_place();
    if (data[0] & 1) seal(stream, size - 1);
    struct input input = {stream, size - 1, 0};
    bool based = size > sizeof(struct disk_stream) &&
                 stream_begin(&reader, stream, &err) == VDB_OK && reader.header.incremental &&
                 make_base(&reader.header);
    if (!based) unlink(path);
    receive(&input, based, data[0] & 2);
    free(stream);
    return 0;
}
