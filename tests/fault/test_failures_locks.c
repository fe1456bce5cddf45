/* test_failures_locks.c: locks and syncs of a handle where the system fails them, or where another
 * thread has them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db.h"
#include "fault/seam.h"
#include "unit/store_fixture.h"

static void fails(uint32_t kinds, uint64_t nth, int error)
{
    seam_fail(&(struct seam_fault){.kinds = kinds, .nth = nth, .error = error});
}

static int asked(void *context)
{
    return ++*(int *)context > 1;
}

static struct vdb *create(const char *name)
{
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    options.dim = 2;
    return store_create(name, options);
}

/* A handle of an index that is there, whose name nobody has synced through it. */
static struct vdb *handle(void)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    vdb_close(create("a.vdb"));
    options.wait = 0;
    return store_open_with("a.vdb", options);
}

/* The first one also syncs the name, and later ones the room that a log goes on in. */
static void a_small_commit_is_synced_once(void **state)
{
    (void)state;
    struct vdb *db = handle();
    store_add(db, 0, 2);
    seam_fail(&(struct seam_fault){.kinds = SEAM_SYNC | SEAM_SYNC_DIRECTORY});
    for (uint32_t i = 1; i <= 10; i++) {
        store_add(db, i, 2);
        assert_int_equal(seam_count(), i);
    }
    store_delete(db, 3);
    assert_int_equal(seam_count(), 11);
    seam_pass();
    vdb_close(db);
}

static void no_descriptor_to_look_by(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_locks locks;
    struct vdb_error err = {0};
    char holder[64];
    fails(SEAM_DUPLICATE, 1, EMFILE);
    assert_int_equal(vdb_locks(db, &locks, &err), VDB_IO);
    fails(SEAM_DUPLICATE, 1, EMFILE);
    assert_int_equal(vdb_maintainer(db, holder, &err), VDB_IO);
    seam_pass();
    must(vdb_locks(db, &locks, &err), &err);
    must(vdb_maintainer(db, holder, &err), &err);
    vdb_close(db);
}

static void neither_opened_again_nor_duplicated(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    seam_fail(&(struct seam_fault){
        .kinds = SEAM_OPEN | SEAM_DUPLICATE, .nth = 1, .from_then_on = true, .error = EMFILE});
    assert_int_equal(db_lock_write(db, &err), VDB_IO);
    assert_int_equal(err.os_errno, EMFILE);
    seam_pass();
    must(db_lock_write(db, &err), &err);
    db_unlock_write(db);
    /* MAINTAIN keeps a descriptor of its own. */
    must(db_lock_maintain(db, 0, &err), &err);
    db_unlock_maintain(db);
    fails(SEAM_DUPLICATE, 1, EMFILE);
    assert_int_equal(db_lock_maintain(db, 0, &err), VDB_IO);
    seam_pass();
    vdb_close(db);
}

static void another_thread_has_it(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    must(db_lock_maintain(db, 0, &err), &err);
    assert_int_equal(db_lock_maintain(db, 0, &err), VDB_BUSY);
    assert_non_null(strstr(err.message, "another thread maintains"));
    must(db_lock_write(db, &err), &err);
    assert_int_equal(db_lock_write(db, &err), VDB_BUSY);
    assert_non_null(strstr(err.message, "another thread is writing"));
    int times = 0;
    db->cancel = (struct cancel){asked, &times};
    db->wait = 1000;
    assert_int_equal(db_lock_write(db, &err), VDB_CANCELLED);
    times = 0;
    assert_int_equal(db_lock_maintain(db, 1000, &err), VDB_CANCELLED);
    db->cancel = (struct cancel){0};
    db_unlock_write(db);
    db_unlock_maintain(db);
    vdb_close(db);
}

/* Where a call is broken off it is made again; a system may say EACCES for a lock that is held. */
static void what_fcntl_says(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    fails(SEAM_LOCK, 1, EINTR);
    must(db_lock_write(db, &err), &err);
    assert_int_equal(seam_failures(), 1);
    db_unlock_write(db);
    seam_fail(
        &(struct seam_fault){.kinds = SEAM_LOCK, .nth = 1, .from_then_on = true, .error = EACCES});
    assert_int_equal(db_lock_write(db, &err), VDB_BUSY);
    /* Nobody is found to hold it. */
    assert_non_null(strstr(err.message, "another process holds the WRITE lock"));
    fails(SEAM_LOCK, 1, ENOLCK);
    assert_int_equal(db_lock_write(db, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, ENOLCK);
    /* Not at once, but while it waits. */
    seam_pass();
    struct vdb *other = store_open("a.vdb");
    must(db_lock_write(other, &err), &err);
    db->wait = 1000;
    fails(SEAM_LOCK, 3, ENOLCK);
    assert_int_equal(db_lock_write(db, &err), VDB_READ_ONLY);
    assert_int_equal(err.os_errno, ENOLCK);
    seam_pass();
    db_unlock_write(other);
    vdb_close(other);
    vdb_close(db);
}

/* The directory's sync: EACCES and EPERM are those of one that only lets us pass. */
static void a_name_that_cannot_be_made_durable(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum vdb_status status;
    } cases[] = {{EIO, VDB_IO}, {EPERM, VDB_OK}, {EACCES, VDB_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vdb *db = i ? store_open("a.vdb") : handle();
        struct vdb_error err = {0};
        fails(SEAM_SYNC_DIRECTORY, 1, cases[i].error);
        assert_int_equal(db_lock_write(db, &err), cases[i].status);
        assert_int_equal(seam_failures(), 1);
        seam_pass();
        if (!cases[i].status) db_unlock_write(db);
        vdb_close(db);
    }
}

/* A commit is refused, and nothing is written, until the name of the file is durable. */
static void syncs_the_name_first(struct vdb *db)
{
    struct vdb_error err = {0};
    uint64_t before = store_info(db).commit;
    struct vdb_txn *txn = store_begin(db);
    store_put(txn, "late", (const float[]){1, 2}, NULL);
    fails(SEAM_SYNC_DIRECTORY, 1, EIO);
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_IO);
    seam_pass();
    assert_int_equal(store_info(db).commit, before);
    store_add(db, 1, 2);
    assert_int_equal(store_info(db).commit, before + 1);
}

/* It had its parts, and so its second manifest, before it had its name. */
static void published_without_a_sync(void **state)
{
    (void)state;
    struct vdb_create_options options = VDB_CREATE_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct vdb *db;
    options.dim = 2;
    options.index = VDB_INDEX_FLAT;
    must(vdb_create_unpublished(store_path("a.vdb"), &options, NULL, &db, &err), &err);
    store_add_many(db, 0, 2048, 2);
    must(vdb_maintain(db, NULL, &err), &err);
    fails(SEAM_SYNC_DIRECTORY, 1, EIO);
    assert_int_equal(vdb_publish(db, &err), VDB_DURABILITY_UNKNOWN);
    seam_pass();
    assert_int_equal(store_info(db).parts, 1);
    syncs_the_name_first(db);
    vdb_close(db);
    db = store_open("a.vdb");
    syncs_the_name_first(db);
    vdb_close(db);
}

static int commit_meanwhile(void *context, const char *phase, uint64_t done, uint64_t total)
{
    struct vdb **other = context;
    (void)phase, (void)done, (void)total;
    if (*other) return 0;
    *other = store_open("a.vdb");
    store_add(*other, 2, 2);
    return 0;
}

/* Who compacts dies when the new file has its name; what was carried over is maintained, and then
 * written to. */
static void compacted_without_a_sync_and_maintained(void **state)
{
    (void)state;
    struct vdb *db = handle(), *other = NULL;
    struct vdb_compact_options compact = VDB_COMPACT_OPTIONS_INIT;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    struct vdb_error err = {0};
    store_add(db, 1, 2);
    store_add(db, 3, 2);
    store_delete(db, 1);
    compact.progress = commit_meanwhile;
    compact.context = &other;
    fails(SEAM_SYNC_DIRECTORY, 2, EIO); /* the first is of the other's commit */
    assert_int_equal(vdb_compact(db, &compact, &err), VDB_IO);
    assert_int_equal(seam_failures(), 1);
    seam_pass();
    vdb_close(other);
    vdb_close(db);
    db = store_open("a.vdb");
    assert_int_equal(store_info(db).tail_rows, 1);
    maintain.merge_percent = 1;
    fails(SEAM_SYNC_DIRECTORY, 1, EIO);
    assert_int_equal(vdb_maintain(db, &maintain, &err), VDB_IO);
    seam_pass();
    assert_int_equal(store_info(db).tail_rows, 1);
    must(vdb_maintain(db, &maintain, &err), &err);
    assert_int_equal(store_info(db).tail_rows, 0);
    vdb_close(db);
    db = store_open("a.vdb");
    syncs_the_name_first(db);
    vdb_close(db);
}

/* Another writer, who does not wait. */
struct rival {
    struct vdb *db;
    unsigned refused, let_in;
};

static struct rival rival_open(void)
{
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    options.wait = 0;
    return (struct rival){.db = store_open_with("a.vdb", options)};
}

static void try_to_commit(void *context)
{
    struct rival *rival = context;
    struct vdb_txn *txn = store_begin(rival->db);
    struct vdb_error err;
    char id[16];
    snprintf(id, sizeof id, "rival%u", rival->let_in);
    store_put(txn, id, (const float[]){1, 2}, NULL);
    enum vdb_status status = vdb_txn_commit(txn, NULL, &err);
    if (status != VDB_BUSY) must(status, &err);
    rival->refused += status == VDB_BUSY;
    rival->let_in += status == VDB_OK;
}

/* From now on he tries to commit before each call of these kinds. */
static void watch(uint32_t kinds, struct rival *rival)
{
    rival->refused = 0;
    seam_fail(&(struct seam_fault){.kinds = kinds,
                                   .nth = 1,
                                   .from_then_on = true,
                                   .effect = SEAM_PASS,
                                   .before = try_to_commit,
                                   .context = rival});
}

/* Another writer comes in before each lock that a compaction takes: what he has committed since the
 * new file caught up is carried over when nobody can commit any more. */
static void commits_until_the_file_is_replaced(void **state)
{
    (void)state;
    struct vdb_error err = {0};
    struct vdb *db = handle();
    struct rival rival = rival_open();
    store_add(db, 1, 2);
    uint64_t before = store_info(db).commit;
    watch(SEAM_LOCK, &rival);
    must(vdb_compact(db, NULL, &err), &err);
    seam_pass();
    assert_true(rival.let_in >= 2);
    assert_int_equal(store_info(db).commit, before + rival.let_in);
    assert_int_equal(store_info(db).live, 1 + rival.let_in);
    vdb_close(rival.db);
    vdb_close(db);
    assert_int_equal(store_check("a.vdb", 1, NULL), 0);
}

/* Two that reserve at the file's end at once would get the same place, and who commits while a file
 * is replaced would do so in the old one: so nobody is let in at any of these calls. */
static void nobody_comes_between(void **state)
{
    (void)state;
    struct vdb_error err = {0};
    struct vdb *db = handle();
    struct rival rival = rival_open();
    watch(SEAM_RESERVE, &rival);
    store_add_many(db, 0, 20000, 2); /* in an extent of their own */
    assert_int_equal(rival.refused, 1);
    watch(SEAM_RESERVE, &rival);
    must(vdb_maintain(db, NULL, &err), &err);
    assert_true(rival.refused >= 3); /* for segments and the manifest */
    watch(SEAM_RENAME, &rival);
    must(vdb_compact(db, NULL, &err), &err);
    assert_int_equal(rival.refused, 1);
    seam_pass();
    assert_int_equal(rival.let_in, 0);
    vdb_close(rival.db);
    vdb_close(db);
}

static void move(const char *from, const char *to)
{
    char path[512];
    snprintf(path, sizeof path, "%s", store_path(from));
    assert_int_equal(rename(path, store_path(to)), 0);
}

/* As where a file system gives a compacted file the inode of the one before the last: a file that
 * was written to comes again, after another one. */
static void a_file_that_comes_again(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    struct buf bytes = {0};
    store_add(db, 3, 2);
    store_read("a.vdb", &bytes);
    store_write("b.vdb", &bytes);
    buf_release(&bytes);
    move("a.vdb", "c.vdb");
    move("b.vdb", "a.vdb");
    must(db_lock_maintain(db, 0, &err), &err);
    db_unlock_maintain(db);
    move("c.vdb", "a.vdb");
    must(db_lock_maintain(db, 0, &err), &err);
    db_unlock_maintain(db);
    syncs_the_name_first(db);
    vdb_close(db);
}

static void a_sync_that_failed_is_not_asked_again(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    fails(SEAM_SYNC, 1, EIO);
    assert_int_equal(db_sync(db, &db->file, &err), VDB_DURABILITY_UNKNOWN);
    seam_pass();
    assert_int_equal(db_sync(db, &db->file, &err), VDB_DURABILITY_UNKNOWN);
    assert_int_equal(db_lock_write(db, &err), VDB_DURABILITY_UNKNOWN);
    assert_int_equal(db_lock_maintain(db, 0, &err), VDB_DURABILITY_UNKNOWN);
    vdb_close(db);
}

/* Who maintains finds, when it is to write, another file in the index's place. */
static void another_file_has_taken_its_place(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    must(db_lock_maintain(db, 0, &err), &err);
    fails(SEAM_STAT, 1, EIO); /* of what the path names, or of the file that is held */
    enum vdb_status status = db_lock_write_maintained(db, &err);
    if (!status) db_unlock_write(db);
    seam_pass();
    vdb_close(create("b.vdb"));
    char from[512], to[512];
    snprintf(from, sizeof from, "%s", store_path("b.vdb"));
    snprintf(to, sizeof to, "%s", store_path("a.vdb"));
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(db_lock_write_maintained(db, &err), VDB_BUSY);
    assert_non_null(strstr(err.message, "meanwhile"));
    db_unlock_maintain(db);
    vdb_close(db);
}

/* Who holds a lock cannot always be told: then it is somebody. */
static void a_holder_without_a_name(void **state)
{
    (void)state;
    struct vdb *db = handle(), *other = store_open("a.vdb");
    struct vdb_error err = {0};
    must(db_lock_write(other, &err), &err);
    seam_fail(
        &(struct seam_fault){.kinds = SEAM_STAT, .nth = 1, .from_then_on = true, .error = EIO});
    assert_int_equal(db_lock_write(db, &err), VDB_BUSY);
    assert_int_equal(seam_failures(), 1);
    seam_pass();
    assert_non_null(strstr(err.message, "another process holds the WRITE lock"));
    db_unlock_write(other);
    vdb_close(other);
    vdb_close(db);
}

/* A transaction is of the index that it was begun on, whatever its path has come to name. */
static void another_index_has_taken_its_place(void **state)
{
    (void)state;
    struct vdb *db = handle();
    struct vdb_error err = {0};
    struct vdb_txn *txn = store_begin(db);
    store_put(txn, "a", (const float[]){1, 2}, NULL);
    vdb_close(create("b.vdb"));
    char from[512], to[512];
    snprintf(from, sizeof from, "%s", store_path("b.vdb"));
    snprintf(to, sizeof to, "%s", store_path("a.vdb"));
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(vdb_txn_commit(txn, NULL, &err), VDB_INVALID);
    assert_non_null(strstr(err.message, "another index has taken this one's place"));
    vdb_close(db);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_small_commit_is_synced_once),
        test(no_descriptor_to_look_by),
        test(neither_opened_again_nor_duplicated),
        test(another_thread_has_it),
        test(what_fcntl_says),
        test(a_name_that_cannot_be_made_durable),
        test(published_without_a_sync),
        test(compacted_without_a_sync_and_maintained),
        test(commits_until_the_file_is_replaced),
        test(nobody_comes_between),
        test(a_file_that_comes_again),
        test(a_sync_that_failed_is_not_asked_again),
        test(another_file_has_taken_its_place),
        test(a_holder_without_a_name),
        test(another_index_has_taken_its_place),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
