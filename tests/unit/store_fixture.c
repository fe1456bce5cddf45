/* store_fixture.c: a directory for each test of the store, and what such tests share.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store_fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[256];

int store_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/vdb-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

int store_teardown(void **state)
{
    (void)state;
    DIR *entries = opendir(directory);
    if (!entries) return -1;
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    return rmdir(directory);
}

const char *store_path(const char *name)
{
    static char paths[3][512];
    static unsigned turn;
    char *path = paths[turn++ % 3];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

struct vdb *store_create(const char *name, struct vdb_create_options options)
{
    struct vdb_error err;
    must(vdb_create(store_path(name), &options, &err), &err);
    return store_open(name);
}

struct vdb *store_open_with(const char *name, struct vdb_open_options options)
{
    struct vdb_error err;
    struct vdb *db = NULL;
    must(vdb_open(store_path(name), &options, &db, &err), &err);
    return db;
}

struct vdb *store_open(const char *name)
{
    return store_open_with(name, (struct vdb_open_options)VDB_OPEN_OPTIONS_INIT);
}

const struct vdb_snapshot *store_snapshot(struct vdb *db)
{
    struct vdb_error err;
    const struct vdb_snapshot *snapshot = NULL;
    must(vdb_snapshot_open(db, &snapshot, &err), &err);
    return snapshot;
}

struct vdb_info store_info(struct vdb *db)
{
    struct vdb_info info;
    const struct vdb_snapshot *snapshot = store_snapshot(db);
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    return info;
}

struct vdb_txn *store_begin(struct vdb *db)
{
    struct vdb_error err;
    struct vdb_txn *txn = NULL;
    must(vdb_txn_begin(db, &txn, &err), &err);
    return txn;
}

void store_put(struct vdb_txn *txn, const char *id, const float *vector, const char *metadata)
{
    struct vdb_error err;
    must(vdb_txn_put(txn, VDB_UPSERT, id, strlen(id), vector, metadata,
                     metadata ? strlen(metadata) : 0, &err),
         &err);
}

struct vdb_commit_info store_commit(struct vdb_txn *txn)
{
    struct vdb_error err;
    struct vdb_commit_info info;
    must(vdb_txn_commit(txn, &info, &err), &err);
    return info;
}

void store_vector(uint32_t number, uint32_t dim, float *vector)
{
    uint64_t seed = 0x9e3779b97f4a7c15u + number;
    for (uint32_t i = 0; i < 3; i++) store_random(&seed);
    for (uint32_t i = 0; i < dim; i++) vector[i] = (float)(store_random(&seed) % 100 + 1);
}

void store_add_many(struct vdb *db, uint32_t first, uint32_t count, uint32_t dim)
{
    float *vector = malloc(dim * sizeof *vector);
    assert_non_null(vector);
    struct vdb_txn *txn = store_begin(db);
    for (uint32_t i = first; i < first + count; i++) {
        char id[32], metadata[64];
        snprintf(id, sizeof id, "r%u", i);
        snprintf(metadata, sizeof metadata, "{\"number\": %u}", i);
        store_vector(i, dim, vector);
        store_put(txn, id, vector, i % 3 == 0 ? metadata : NULL);
    }
    store_commit(txn);
    free(vector);
}

void store_add(struct vdb *db, uint32_t number, uint32_t dim)
{
    store_add_many(db, number, 1, dim);
}

void store_delete(struct vdb *db, uint32_t number)
{
    char id[32];
    struct vdb_error err;
    struct vdb_txn *txn = store_begin(db);
    snprintf(id, sizeof id, "r%u", number);
    must(vdb_txn_delete(txn, id, strlen(id), &err), &err);
    store_commit(txn);
}

static void keep_first(void *context, const struct vdb_error *finding)
{
    struct vdb_error *first = context;
    if (!first->status) *first = *finding;
}

uint64_t store_check(const char *name, int deep, struct vdb_error *first)
{
    struct vdb_error err, unwanted;
    uint64_t findings = 0;
    if (!first) first = &unwanted;
    memset(first, 0, sizeof *first);
    struct vdb_check_options options = VDB_CHECK_OPTIONS_INIT;
    options.deep = deep;
    options.report = keep_first;
    options.context = first;
    must(vdb_check(store_path(name), &options, &findings, &err), &err);
    return findings;
}

void store_read(const char *name, struct buf *bytes)
{
    FILE *file = fopen(store_path(name), "rb");
    assert_non_null(file);
    buf_clear(bytes);
    uint8_t piece[65536];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        assert_int_equal(buf_append(bytes, piece, got), 0);
    fclose(file);
}

void store_write(const char *name, const struct buf *bytes)
{
    FILE *file = fopen(store_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->len, file), bytes->len);
    assert_int_equal(fclose(file), 0);
}

uint64_t store_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
