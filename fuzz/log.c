/* log.c: the fuzz target for the log: an index whose records are the input is opened, and written
 * to. The input is what aid/loghead.h says.
 *
 * Whatever the records, each call ends and stays in bounds. Where a commit can be made behind what
 * was recovered, and the check has found nothing there, it is there afterwards, in the index that
 * is opened anew, behind all that was there before.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aid/fuzz.h"
#include "aid/loghead.h"
#include "aid/mutator.h"
#include "vdb.h"

enum { DIM_MAX = 255, STATES_READ = 4 };

#define MEMORY_BASE ((size_t)16 << 20)
#define MEMORY_BYTE 256u

static const char new_id[] = "written behind what was recovered";

static const struct vdb_snapshot *newest(struct vdb *db, struct vdb_info *info)
{
    const struct vdb_snapshot *snapshot;
    if (vdb_snapshot_open(db, &snapshot, NULL) != VDB_OK) return NULL;
    vdb_snapshot_info(snapshot, info);
    return snapshot;
}

static void read_changes(const struct vdb_snapshot *snapshot)
{
    struct vdb_log *log;
    struct vdb_log_entry entry;
    if (vdb_log_open(snapshot, NULL, &log, NULL) != VDB_OK) return;
    while (vdb_log_next(log, &entry, NULL) == VDB_OK) continue;
    vdb_log_close(log);
}

static void read_states(const struct vdb_snapshot *snapshot, const struct vdb_info *info)
{
    const struct vdb_snapshot *past;
    struct vdb_name name;
    float query[DIM_MAX];
    struct vdb_hit hits[10];
    uint32_t found, row;
    for (uint32_t i = 0; i < info->dim && i < DIM_MAX; i++) query[i] = (float)(i % 5) + 1;
    vdb_search(snapshot, query, 1, NULL, hits, &found, NULL);
    vdb_find(snapshot, new_id, sizeof new_id - 1, 1, &row, NULL);
    for (uint32_t i = 0; vdb_name_at(snapshot, i, &name) == VDB_OK; i++) continue;
    for (uint64_t i = 0; i < STATES_READ; i++) {
        if (vdb_snapshot_at(snapshot, info->commit - i, &past, NULL) != VDB_OK) continue;
        vdb_search(past, query, 1, NULL, hits, &found, NULL);
        read_changes(past);
        vdb_snapshot_close(past);
    }
}

/* Puts a row and gives the state a name. Returns the commit, or 0 where none was made. */
static uint64_t write_behind(struct vdb *db, uint32_t dim, float *vector)
{
    struct vdb_txn *txn;
    struct vdb_commit_info done;
    for (uint32_t i = 0; i < dim; i++) vector[i] = (float)(i % 7) + 1;
    if (vdb_txn_begin(db, &txn, NULL) != VDB_OK) return 0;
    if (vdb_txn_put(txn, VDB_UPSERT, new_id, sizeof new_id - 1, vector, NULL, 0, NULL) != VDB_OK) {
        vdb_txn_abort(txn);
        return 0;
    }
    if (vdb_txn_commit(txn, &done, NULL) != VDB_OK) return 0;
    vdb_name_create(db, "new", 3, NULL, NULL);
    return done.commit;
}

static void expect_written(const struct vdb_snapshot *snapshot, const struct vdb_info *before,
                           const struct vdb_info *info, uint64_t commit, const float *vector)
{
    float got[DIM_MAX];
    uint32_t row;
    if (info->commit != commit || commit != before->commit + 1) abort();
    if (info->rows != before->rows + 1) abort();
    if (vdb_find(snapshot, new_id, sizeof new_id - 1, 0, &row, NULL) != VDB_OK) abort();
    if (row != before->rows) abort();
    if (vdb_row_vector(snapshot, row, got, NULL) != VDB_OK) abort();
    if (memcmp(got, vector, info->dim * sizeof *got) != 0) abort();
}

static struct vdb *open_index(const char *path, int read_only)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb *db;
    options.read_only = read_only;
    options.threads = 1;
    return vdb_open(path, &options, &db, NULL) == VDB_OK ? db : NULL;
}

static void recover(const char *path, bool sound)
{
    struct vdb_info before, info;
    float vector[DIM_MAX];
    uint64_t commit = 0;
    struct vdb *db = open_index(path, 0);
    if (db == NULL) return;
    const struct vdb_snapshot *snapshot = newest(db, &before);
    if (snapshot != NULL) {
        read_changes(snapshot);
        read_states(snapshot, &before);
        commit = write_behind(db, before.dim, vector);
        if (!sound) commit = 0;
        vdb_snapshot_close(snapshot);
    }
    vdb_close(db);
    db = open_index(path, 1);
    snapshot = db != NULL ? newest(db, &info) : NULL;
    if (commit != 0 && snapshot == NULL) abort();
    if (commit != 0) expect_written(snapshot, &before, &info, commit, vector);
    if (snapshot != NULL) vdb_snapshot_close(snapshot);
    vdb_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vdb_check_options check = VDB_CHECK_OPTIONS_INIT;
    uint64_t findings;
    size_t len;
    uint8_t *file = loghead_index(data, size, &len);
    if (file == NULL) return 0;
    const char *path = fuzz_path();
    fuzz_write(path, file, len);
    free(file);
    fuzz_memory(MEMORY_BASE + MEMORY_BYTE * len);
    check.deep = 1;
    check.threads = 1;
    enum vdb_status checked = vdb_check(path, &check, &findings, NULL);
    recover(path, checked == VDB_OK && findings == 0);
    fuzz_memory(0);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return mutate_log(data, size, max_size, seed);
}
