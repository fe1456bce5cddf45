/* test_crash_sync.c: a sync fails, another writer goes on, and then the power fails: what was
 * acknowledged is there all the same.
 *
 * After a failed sync the system may hold pages for clean that never reached the disk, or may have
 * thrown them away; no later sync brings them there.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fault/crash.h"
#include "fault/seam.h"
#include "unit/store_fixture.h"

static struct crash_counts all;

static void crash(void **state)
{
    const struct workload *workload = *state;
    struct crash_scale scale = crash_scale(true);
    struct crash_counts counts = {0};
    unsigned nth = 1;
    scale.images.random = 16 * (scale.images.random / 64 + 1);
    while (crash_after_failed_sync(workload, nth, false, &scale, &counts) &&
           crash_after_failed_sync(workload, nth, true, &scale, &counts))
        nth++;
    assert_true(nth > 1);
    crash_print(workload->name, &counts);
    crash_add(&all, &counts);
}

/* ---- a slot whose sync failed -------------------------------------------------------------- */

/* As many rows behind the parts as vdb_maintain begins to work at. */
enum { TAIL = 2048 };

struct after_slot {
    struct image_disk disk;
    uint64_t least, most; /* commits that an image may hold */
    uint64_t opened;
};

static bool opens(void *context, const struct image *image)
{
    struct after_slot *x = context;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct vdb_info info;
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    options.read_only = 1;
    image_put(image, 0, &x->disk);
    if (vdb_open(x->disk.path, &options, &db, &err))
        fail_msg("operation %zu, of the window there is \"%s\": cannot be opened: %s",
                 image->moment, image_kind_name(image->kind), err.message);
    must(vdb_snapshot_open(db, &snapshot, &err), &err);
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    x->opened++;
    if (info.commit < x->least || info.commit > x->most)
        fail_msg("operation %zu, of the window there is \"%s\": commit %llu", image->moment,
                 image_kind_name(image->kind), (unsigned long long)info.commit);
    return true;
}

/* The slot that the first publication wrote is in the system's cache alone. The next one writes
 * the other slot, which until then is the only one that is on the disk. */
static void next_publication_after_a_slot_was_not_synced(void **state)
{
    (void)state;
    struct vdb_create_options create = VDB_CREATE_OPTIONS_INIT;
    struct vdb_maintain_options maintain = VDB_MAINTAIN_OPTIONS_INIT;
    struct images_options images = {.random = 8, .cuts = 8};
    struct seam_trace trace;
    struct vdb_error err;
    struct after_slot x = {.least = 2, .most = 3};
    static const char *const tracked[] = {"x.vdb"};
    char directory[512];
    create.dim = 2;
    create.index = VDB_INDEX_FLAT;
    maintain.threads = 1;
    struct vdb *db = store_create("x.vdb", create);
    store_add_many(db, 0, TAIL, 2);
    snprintf(directory, sizeof directory, "%s", store_path("x.vdb"));
    *strrchr(directory, '/') = '\0';
    seam_record_begin(directory);
    seam_fail(&(struct seam_fault){.kinds = SEAM_SYNC, .nth = 2, .error = EIO});
    assert_int_equal(vdb_maintain(db, &maintain, &err), VDB_DURABILITY_UNKNOWN);
    assert_int_equal(seam_failures(), 1);
    seam_pass();
    vdb_close(db);
    db = store_open("x.vdb");
    store_add_many(db, TAIL, TAIL, 2);
    must(vdb_maintain(db, &maintain, &err), &err);
    vdb_close(db);
    seam_record_end(&trace);
    snprintf(x.disk.path, sizeof x.disk.path, "%s", store_path("image.vdb"));
    images_make(&trace, tracked, 1, &images, opens, &x);
    assert_true(x.opened > 0);
    image_disk_release(&x.disk);
    seam_trace_release(&trace);
}

/* ---- a salvaged index ---------------------------------------------------------------------- */

struct salvaged {
    struct image_disk disk;
    uint64_t absent, whole;
};

static bool is_whole_or_absent(void *context, const struct image *image)
{
    struct salvaged *x = context;
    struct vdb_open_options options = VDB_OPEN_OPTIONS_INIT;
    struct vdb_error err = {0};
    struct vdb_info info;
    struct vdb *db;
    const struct vdb_snapshot *snapshot;
    bool there = image->tracked[0].there;
    if (!there && image->mark == 0) x->absent++;
    if (!there && image->mark == 0) return true;
    options.read_only = 1;
    image_put(image, 0, &x->disk);
    if (!there || vdb_open(x->disk.path, &options, &db, &err))
        fail_msg("operation %zu, of the window there is \"%s\": %s", image->moment,
                 image_kind_name(image->kind), there ? err.message : "it is not there");
    must(vdb_snapshot_open(db, &snapshot, &err), &err);
    vdb_snapshot_info(snapshot, &info);
    vdb_snapshot_close(snapshot);
    vdb_close(db);
    x->whole++;
    if (info.live != TAIL)
        fail_msg("operation %zu, of the window there is \"%s\": %llu rows", image->moment,
                 image_kind_name(image->kind), (unsigned long long)info.live);
    return true;
}

static void what_is_salvaged_is_whole_or_not_there(void **state)
{
    (void)state;
    struct vdb_create_options create = VDB_CREATE_OPTIONS_INIT;
    struct vdb_salvage_options salvage = VDB_SALVAGE_OPTIONS_INIT;
    struct images_options images = {.random = 8, .cuts = 8};
    struct seam_trace trace;
    struct vdb_error err;
    struct salvaged x = {0};
    static const char *const tracked[] = {"out.vdb"};
    char directory[512], output[512];
    create.dim = 2;
    create.index = VDB_INDEX_FLAT;
    salvage.threads = 1;
    struct vdb *db = store_create("x.vdb", create);
    store_add_many(db, 0, TAIL, 2);
    vdb_close(db);
    snprintf(output, sizeof output, "%s", store_path("out.vdb"));
    snprintf(directory, sizeof directory, "%s", output);
    *strrchr(directory, '/') = '\0';
    seam_record_begin(directory);
    must(vdb_salvage(store_path("x.vdb"), output, &salvage, NULL, &err), &err);
    seam_mark(1);
    seam_record_end(&trace);
    snprintf(x.disk.path, sizeof x.disk.path, "%s", store_path("image.vdb"));
    images_make(&trace, tracked, 1, &images, is_whole_or_absent, &x);
    assert_true(x.absent > 0 && x.whole > 0);
    image_disk_release(&x.disk);
    seam_trace_release(&trace);
}

/* ---- all ----------------------------------------------------------------------------------- */

/* The last of the tests. */
static void enough_images(void **state)
{
    (void)state;
    struct crash_scale scale = crash_scale(true);
    crash_print("all of these", &all);
    if (!scale.reduced) assert_true(all.images + all.second >= 20000);
}

/* A name, or a pattern with * and ?, to run those alone. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[100];
    size_t count = 0;
    for (const struct workload *w = workloads; w->name; w++)
        if (!w->heavy)
            tests[count++] = (struct CMUnitTest){
                .name = w->name, .test_func = crash, .initial_state = (void *)(uintptr_t)w};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
        next_publication_after_a_slot_was_not_synced, store_setup, store_teardown);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
        what_is_salvaged_is_whole_or_not_there, store_setup, store_teardown);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(enough_images);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("crash after a failed sync", tests, count, NULL, NULL);
}
