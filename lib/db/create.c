/* create.c: a new, empty index.
 *
 * It is made whole under another name, synced, and then takes its own: a crash leaves no half of
 * an index where one is expected.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/options.h"
#include "db/create.h"
#include "db/newname.h"
#include "db/policy.h"
#include "db/publish.h"
#include "vdb.h"

bool create_codes_fit(enum vdb_index_kind index, enum vdb_codes codes)
{
    switch (codes) {
    case VDB_CODES_NONE:
    case VDB_CODES_I8:
        return index != VDB_INDEX_IVF;
    case VDB_CODES_PQ:
    case VDB_CODES_B1:
        return index == VDB_INDEX_IVF || index == VDB_INDEX_AUTO || index == VDB_INDEX_HYBRID;
    case VDB_CODES_AUTO:
    case VDB_CODES_I4:
        break;
    }
    return true;
}

enum vdb_status create_check_index(enum vdb_index_kind index, enum vdb_codes codes, uint32_t degree,
                                   uint32_t ef, struct vdb_error *err)
{
    static const char *const names[] = {"auto", "none", "i8", "i4", "pq", "b1"};
    if ((unsigned)index > VDB_INDEX_HYBRID)
        return error_set(err, VDB_INVALID, "index kind %d is not known", (int)index);
    if ((unsigned)codes > VDB_CODES_B1)
        return error_set(err, VDB_INVALID, "codes of kind %d are not known", (int)codes);
    if (!create_codes_fit(index, codes))
        return error_set(err, VDB_INVALID,
                         index == VDB_INDEX_IVF ? "inverted files have no codes of kind %s"
                                                : "only inverted files have codes of kind %s",
                         names[codes]);
    if (index == VDB_INDEX_HNSW && degree && (degree < 8 || degree > 256 || degree % 2))
        return error_set(err, VDB_INVALID, "degree is %u, expected twice an M of 4 to 128", degree);
    if (degree && (degree < 4 || degree > 256))
        return error_set(err, VDB_INVALID, "degree is %u, expected 4 to 256", degree);
    if (ef && (ef < 8 || ef > 4096))
        return error_set(err, VDB_INVALID, "ef_construction is %u, expected 8 to 4096", ef);
    return VDB_OK;
}

static enum vdb_status check_options(const struct vdb_create_options *o, struct vdb_error *err)
{
    if (o->dim < 1 || o->dim > VDB_DIM_MAX)
        return error_set(err, VDB_INVALID, "dimension is %u, expected 1 to %d", o->dim,
                         VDB_DIM_MAX);
    if (o->metric < VDB_METRIC_L2 || o->metric > VDB_METRIC_IP)
        return error_set(err, VDB_INVALID, "metric %d is not known", (int)o->metric);
    if (o->type < VDB_TYPE_F32 || o->type > VDB_TYPE_U8)
        return error_set(err, VDB_INVALID, "vector type %d is not known", (int)o->type);
    return create_check_index(o->index, o->codes, o->degree, o->ef_construction, err);
}

static enum vdb_status write_empty(const struct osfile *file, const struct vdb_create_options *o,
                                   struct vdb_error *err)
{
    int64_t now_us = policy_now(0);
    uint8_t file_id[16];
    if (getrandom(file_id, sizeof file_id, 0) != (ssize_t)sizeof file_id)
        return error_set_errno(err, VDB_IO, errno, "cannot get random bytes for the file's id");
    struct manifest manifest = {
        .commit = 1,
        .commit_time_us = now_us,
        .dim = o->dim,
        .metric = o->metric,
        .type = o->type,
        .created_us = now_us,
        .horizon_commit = 1,
        .index = o->index,
        .codes = o->codes,
        .degree = o->degree,
        .ef_construction = o->ef_construction,
        .recent_rows = o->recent_rows,
        .recent_seconds = o->recent_seconds,
    };
    enum vdb_status status = policy_set_quiet(&manifest, o->quiet_begin, o->quiet_end, err);
    if (!status) status = policy_check(&manifest, err);
    if (!status) status = publish_begin_new(file, err);
    if (!status) status = publish_new(file, file_id, &manifest, err);
    manifest_release(&manifest);
    return status;
}

/* Fills in defaults. */
static enum vdb_status take_options(const struct vdb_create_options *options,
                                    struct vdb_create_options *chosen, struct vdb_error *err)
{
    *chosen = (struct vdb_create_options)VDB_CREATE_OPTIONS_INIT;
    enum vdb_status status = options_take(chosen, sizeof *chosen, options, err);
    if (status) return status;
    if (!chosen->metric) chosen->metric = VDB_METRIC_L2;
    if (!chosen->type) chosen->type = VDB_TYPE_F32;
    return check_options(chosen, err);
}

enum vdb_status create_empty(const struct osfile *file, const struct vdb_create_options *options,
                             struct vdb_error *err)
{
    struct vdb_create_options chosen;
    enum vdb_status status = take_options(options, &chosen, err);
    return status ? status : write_empty(file, &chosen, err);
}

/* An empty index, durable but for its name. */
static enum vdb_status begin_new(struct newname *name, const char *path,
                                 const struct vdb_create_options *options, struct vdb_error *err)
{
    struct vdb_create_options chosen;
    struct osfile_stat there;
    enum vdb_status status = take_options(options, &chosen, err);
    if (status) return status;
    if (osfile_stat_path(path, &there) == 0)
        return error_set(err, VDB_EXISTS, "the file exists already");
    status = newname_create(name, path, 0666, err);
    if (status) return status;
    status = write_empty(&name->file, &chosen, err);
    return status ? newname_finish(name, status, false, err) : VDB_OK;
}

enum vdb_status vdb_create(const char *path, const struct vdb_create_options *options,
                           struct vdb_error *err)
{
    struct newname name;
    enum vdb_status status = begin_new(&name, path, options, err);
    return status ? status : newname_finish(&name, VDB_OK, false, err);
}

enum vdb_status vdb_create_unpublished(const char *path, const struct vdb_create_options *options,
                                       const struct vdb_open_options *open, struct vdb **out,
                                       struct vdb_error *err)
{
    struct newname *fresh = malloc(sizeof *fresh);
    if (!fresh) return error_no_memory(err);
    enum vdb_status status = begin_new(fresh, path, options, err);
    if (!status) {
        status = vdb_open(fresh->passing, open, out, err);
        if (status) newname_finish(fresh, status, false, NULL);
    }
    if (status) {
        free(fresh);
        return status;
    }
    (*out)->unsynced = true;
    (*out)->fresh = fresh;
    return VDB_OK;
}

const char *vdb_passing_path(const struct vdb *db)
{
    return db->fresh ? db->fresh->passing : NULL;
}

/* Cuts what makes it a passing name off the resolved path. */
static char *published_path(const struct vdb *db)
{
    return strndup(db->path, strlen(db->path) - strlen(strrchr(db->path, '.')));
}

/* Of one that could not get its name: its file is gone, and what would be written is lost. */
static void take_no_more(struct vdb *db, int why)
{
    pthread_mutex_lock(&db->state_lock);
    db->read_only = true;
    db->not_writable = why;
    pthread_mutex_unlock(&db->state_lock);
}

enum vdb_status vdb_publish(struct vdb *db, struct vdb_error *err)
{
    struct newname *fresh = db->fresh;
    if (!fresh) return error_set(err, VDB_INVALID, "the index has been published");
    char *path = published_path(db);
    enum vdb_status status = path ? VDB_OK : error_no_memory(err);
    int failed = status ? 0 : osfile_sync_all(&fresh->file);
    if (failed) status = error_set_errno(err, VDB_IO, failed, "cannot sync the new index");
    bool synced = !status;
    status = newname_finish(fresh, status, false, err);
    bool unsure = synced && status == VDB_IO; /* it has its name, if that is not durable */
    free(fresh);
    db->fresh = NULL;
    if (status && !unsure) {
        free(path);
        take_no_more(db, ENOENT);
        return status;
    }
    free(db->path);
    db->path = path;
    db->unsynced = false;
    if (!status) db->writing.named = true;
    if (!unsure) return VDB_OK;
    if (err) err->status = VDB_DURABILITY_UNKNOWN;
    return VDB_DURABILITY_UNKNOWN;
}
