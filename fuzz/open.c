/* open.c: the fuzz target for index files: whatever the bytes, each call ends, stays in bounds and
 * asks for memory by the length of the file.
 *
 * Everything that reads an index is called: the check, the search for what is sound, then, where
 * the file opens, all that a snapshot gives, of the newest state and of past ones. What the calls
 * answer is of no account; that they return is. The input is the file without its holes:
 * aid/image.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <unistd.h>

#include "aid/fuzz.h"
#include "aid/image.h"
#include "aid/mutator.h"
#include "vdb.h"

enum { ROWS_READ = 12, NEIGHBOURS = 5, STATES_READ = 3 };

/* Memory that a reader may take whatever the file, and by a byte of it. */
#define MEMORY_BASE ((size_t)16 << 20)
#define MEMORY_BYTE 256u

/* What is read of a row has to be readable memory: sum it, so that a sanitizer sees each byte. */
static volatile unsigned touched;

static void touch(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++) sum += at[i];
    touched = touched + sum;
}

static void read_row(const struct vdb_snapshot *snapshot, uint32_t row, float *vector, uint32_t dim)
{
    const char *id;
    char *json = NULL;
    size_t id_len, json_len;
    uint32_t found;
    struct vdb_error err;

    vdb_row_state(snapshot, row);
    if (vdb_row_id(snapshot, row, &id, &id_len, &err) == VDB_OK) {
        touch(id, id_len);
        vdb_find(snapshot, id, id_len, 0, &found, &err);
        vdb_find(snapshot, id, id_len, 1, &found, &err);
    }
    if (vdb_row_vector(snapshot, row, vector, &err) == VDB_OK) touch(vector, dim * sizeof *vector);
    if (vdb_row_metadata(snapshot, row, &json, &json_len, &err) == VDB_OK && json != NULL)
        touch(json, json_len);
    free(json);
}

static void search(const struct vdb_snapshot *snapshot, const float *query)
{
    struct vdb_search_options options = VDB_SEARCH_OPTIONS_INIT;
    struct vdb_hit hits[NEIGHBOURS];
    uint32_t found;
    struct vdb_error err;

    options.k = NEIGHBOURS;
    options.ef = 24;
    options.threads = 1;
    vdb_search(snapshot, query, 1, &options, hits, &found, &err);
    options.include_deleted = 1;
    options.exact = 1;
    if (vdb_search(snapshot, query, 1, &options, hits, &found, &err) == VDB_OK)
        touch(hits, found * sizeof *hits);
}

static void read_log(const struct vdb_snapshot *snapshot, uint64_t last)
{
    struct vdb_log_options options = VDB_LOG_OPTIONS_INIT;
    struct vdb_log *log;
    struct vdb_log_entry entry;
    struct vdb_error err;

    options.last = last;
    if (vdb_log_open(snapshot, &options, &log, &err) != VDB_OK) return;
    vdb_log_first_commit(log);
    while (vdb_log_next(log, &entry, &err) == VDB_OK) touch(entry.id, entry.id_len);
    vdb_log_close(log);
}

static void read_part(const struct vdb_snapshot *snapshot, uint32_t part, float *vector)
{
    struct vdb_part_info info;
    struct vdb_calibration_point point;
    uint32_t effort;

    if (vdb_part_info(snapshot, part, &info) != VDB_OK) return;
    for (uint32_t i = 0; vdb_part_calibration(snapshot, part, i, &point) == VDB_OK; i++)
        touch(&point, sizeof point);
    vdb_part_effort(snapshot, part, NEIGHBOURS, 0.9, &effort);
    for (uint32_t i = 0; i < info.lists && i < ROWS_READ; i++)
        vdb_part_centroid(snapshot, part, i, vector);
}

/* The rows that there are, and what compaction would make of the others. */
static void count_rows(const struct vdb_snapshot *snapshot)
{
    struct vdb_compact_options options = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err;
    uint64_t purged;
    uint32_t row = 0;

    for (uint32_t i = 0; i < ROWS_READ && vdb_next_live_row(snapshot, &row); i++) row++;
    options.threads = 1;
    options.keep_rows_seconds = UINT64_MAX;
    vdb_compact_purges(snapshot, &options, &purged, &err);
    vdb_maintain_wanted(snapshot, &maintain);
}

static int swallow(void *context, const void *bytes, size_t len)
{
    (void)context;
    touch(bytes, len);
    return 0;
}

static void read_snapshot(const struct vdb_snapshot *snapshot)
{
    struct vdb_info info;
    struct vdb_error err;
    uint32_t found;

    vdb_snapshot_info(snapshot, &info);
    vdb_find(snapshot, "no such id", 10, 1, &found, &err);
    read_log(snapshot, 0);
    read_log(snapshot, 3);

    float *vector = calloc(info.dim ? info.dim : 1, sizeof *vector);
    if (vector == NULL) return;
    for (uint32_t i = 0; i < info.parts && i < ROWS_READ; i++) read_part(snapshot, i, vector);
    count_rows(snapshot);
    /* From both ends: the last rows are the tail's, the first ones the oldest part's. */
    for (uint32_t i = 0; i < ROWS_READ; i++) {
        read_row(snapshot, i, vector, info.dim);
        if (info.rows > i) read_row(snapshot, (uint32_t)(info.rows - 1 - i), vector, info.dim);
    }
    for (uint32_t i = 0; i < info.dim; i++) vector[i] = (float)(i % 7) - 2.5f;
    search(snapshot, vector);
    free(vector);
}

/* Names, and the states that they are of; and others, from the oldest on. */
static void read_past(const struct vdb_snapshot *snapshot)
{
    struct vdb_info info;
    struct vdb_name name;
    struct vdb_error err;
    const struct vdb_snapshot *past;
    uint64_t commit;

    vdb_snapshot_info(snapshot, &info);
    for (uint32_t i = 0; i < STATES_READ && vdb_name_at(snapshot, i, &name) == VDB_OK; i++) {
        touch(name.name, name.name_len);
        vdb_name_find(snapshot, name.name, name.name_len, &name, &err);
        vdb_commit_at(snapshot, name.commit_time_us, &commit, &err);
        if (vdb_snapshot_at(snapshot, name.commit, &past, &err) != VDB_OK) continue;
        read_log(past, 0);
        vdb_snapshot_close(past);
    }
    for (uint64_t i = 0; i < STATES_READ; i++) {
        struct vdb_diff *diff;
        struct vdb_diff_entry entry;
        if (vdb_snapshot_at(snapshot, info.oldest_commit + i, &past, &err) != VDB_OK) continue;
        if (vdb_diff_open(past, snapshot, &diff, &err) == VDB_OK) {
            while (vdb_diff_next(diff, &entry, &err) == VDB_OK) touch(entry.id, entry.id_len);
            vdb_diff_close(diff);
        }
        vdb_send(past, snapshot, swallow, NULL, &err);
        read_snapshot(past);
        vdb_snapshot_close(past);
    }
}

static void read_index(const char *path)
{
    struct vdb_check_options check = VDB_CHECK_OPTIONS_INIT;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_salvage_info saved;
    const struct vdb_snapshot *snapshot;
    struct vdb *db;
    struct vdb_error err;
    uint64_t findings;

    check.deep = 1;
    check.threads = 1;
    vdb_check(path, &check, &findings, &err);
    vdb_salvage(path, NULL, NULL, &saved, &err);

    options.read_only = 1;
    options.wait = 0;
    options.threads = 1;
    if (vdb_open(path, &options, &db, &err) != VDB_OK) return;
    if (vdb_snapshot_open(db, &snapshot, &err) == VDB_OK) {
        read_snapshot(snapshot);
        read_past(snapshot);
        vdb_send(NULL, snapshot, swallow, NULL, &err);
        vdb_snapshot_close(snapshot);
    }
    vdb_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    size_t len;
    uint8_t *file = image_unpack(data, size, &len);
    if (file == NULL) return 0;
    int fd = fuzz_file(file, len, path);
    free(file);
    fuzz_memory(MEMORY_BASE + MEMORY_BYTE * len);
    read_index(path);
    fuzz_memory(0);
    close(fd);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return mutate_index(data, size, max_size, seed);
}
