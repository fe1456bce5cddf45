/* store_fixture.h: a directory of its own for each test of the store, and short ways to say what
 * such tests say over and over. What fails here fails the test.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "vdb.h"

/* For cmocka_unit_test_setup_teardown: the directory comes and goes with the test. */
int store_setup(void **state);
int store_teardown(void **state);

/* The path of `name` in the directory; good until the third call after. */
const char *store_path(const char *name);

/* Asserts VDB_OK, and says what the error was where it is not. Its last argument is the last
 * argument of the call too: must(vdb_create(path, &options, &err), &err). */
#define must(call, err)                                                                            \
    do {                                                                                           \
        enum vdb_status must_status = (call);                                                      \
        if (must_status) fail_msg("%s: status %d: %s", #call, (int)must_status, (err)->message);   \
    } while (0)

struct vdb *store_create(const char *name, struct vdb_create_options options);
struct vdb *store_open(const char *name);
struct vdb *store_open_with(const char *name, struct vdb_open_options options);
const struct vdb_snapshot *store_snapshot(struct vdb *db);
struct vdb_info store_info(struct vdb *db);

struct vdb_txn *store_begin(struct vdb *db);
void store_put(struct vdb_txn *txn, const char *id, const float *vector, const char *metadata);
struct vdb_commit_info store_commit(struct vdb_txn *txn);

/* One row of number `number` in a commit of its own: see store_vector. */
void store_add(struct vdb *db, uint32_t number, uint32_t dim);

/* Rows "r<number>" from `first` on, `count` of them, in one commit; metadata for every third. */
void store_add_many(struct vdb *db, uint32_t first, uint32_t count, uint32_t dim);

/* The numbers of row `number`: small integers, not all zero, that every type can hold. */
void store_vector(uint32_t number, uint32_t dim, float *vector);

/* Deletes "r<number>" in a commit of its own. */
void store_delete(struct vdb *db, uint32_t number);

/* How many findings vdb_check has; `first` may be NULL. */
uint64_t store_check(const char *name, int deep, struct vdb_error *first);

/* The whole file; and the whole file back. */
void store_read(const char *name, struct buf *bytes);
void store_write(const char *name, const struct buf *bytes);

/* xorshift64. */
uint64_t store_random(uint64_t *seed);

#endif
