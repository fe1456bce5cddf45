/* compact.c: the live rows, and those that kept states see, dense, in a fresh file.
 *
 * In place: the new file is written beside the old one while others read and commit; then, under
 * the WRITE lock, the commits made meanwhile are carried over one by one, and the file takes its
 * name. A writer that waited for the lock finds another inode under the name and goes on there.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/options.h"
#include "db/catchup.h"
#include "db/create.h"
#include "db/history_keep.h"
#include "db/newname.h"
#include "db/part_build.h"
#include "db/part_index.h"
#include "db/policy.h"
#include "db/publish.h"
#include "db/states_keep.h"
#include "vdb.h"

/* An output's identity follows from its content: the same rows and options give the same bytes. */
static void derive_file_id(const struct manifest *m, uint8_t file_id[16])
{
    struct checksum_state state;
    checksum_init(&state);
    uint64_t facts[] = {
        m->dim,      (uint64_t)m->metric, (uint64_t)m->type, (uint64_t)m->index, (uint64_t)m->codes,
        m->row_count};
    uint64_t policy[] = {m->recent_rows, m->recent_seconds, m->quiet_begin, m->quiet_end};
    checksum_add(&state, facts, sizeof facts);
    checksum_add(&state, policy, sizeof policy);
    for (uint32_t i = 0; i < m->segment_count; i++)
        checksum_add(&state, &m->segments[i].check, sizeof m->segments[i].check);
    uint64_t low = checksum_end(&state);
    checksum_add(&state, &low, sizeof low);
    uint64_t high = checksum_end(&state);
    memcpy(file_id, &low, sizeof low);
    memcpy(file_id + sizeof low, &high, sizeof high);
}

static enum vdb_index_kind index_of(const struct manifest *old, const struct vdb_compact_options *o)
{
    return o->set_index ? o->index : old->index;
}

static uint32_t degree_of(const struct manifest *old, const struct vdb_compact_options *o)
{
    bool was = old->index == VDB_INDEX_HNSW, is = index_of(old, o) == VDB_INDEX_HNSW;
    return o->degree ? o->degree : was == is ? old->degree : 0;
}

static enum vdb_codes codes_of(const struct manifest *old, const struct vdb_compact_options *o)
{
    if (o->set_codes) return o->codes;
    return create_codes_fit(index_of(old, o), old->codes) ? old->codes : VDB_CODES_AUTO;
}

static struct manifest fresh_manifest(const struct vdb_snapshot *s,
                                      const struct vdb_compact_options *o)
{
    const struct manifest *old = &s->generation->manifest;
    bool output = o->output != NULL;
    return (struct manifest){
        .commit = output ? 1 : s->commit,
        .commit_time_us = output ? 0 : s->commit_time_us,
        .live_count = s->live_count,
        .dim = old->dim,
        .metric = old->metric,
        .type = old->type,
        .created_us = output ? 0 : old->created_us,
        .horizon_commit = output ? 1 : s->commit,
        .index = index_of(old, o),
        .codes = codes_of(old, o),
        .degree = degree_of(old, o),
        .ef_construction = o->ef_construction ? o->ef_construction : old->ef_construction,
        .alpha_milli = old->alpha_milli,
    };
}

/* What the options say of age and hours, or else what the index has. */
static enum vdb_status take_policy(struct manifest *m, const struct manifest *old,
                                   const struct vdb_compact_options *o, struct vdb_error *err)
{
    bool given = o->recent_rows || o->recent_seconds, kept = m->index == VDB_INDEX_HYBRID && !given;
    m->recent_rows = kept ? old->recent_rows : o->recent_rows;
    m->recent_seconds = kept ? old->recent_seconds : o->recent_seconds;
    enum vdb_status status = policy_set_quiet(m, o->set_quiet ? o->quiet_begin : old->quiet_begin,
                                              o->set_quiet ? o->quiet_end : old->quiet_end, err);
    return status ? status : policy_check(m, err);
}

/* The fresh rows from 0 on that an inverted file may get, as they are asked for by name or by
 * age. */
static uint32_t listed_rows(const struct manifest *m, uint32_t old_rows)
{
    if (m->index == VDB_INDEX_HYBRID) return old_rows;
    return part_build_kind(m) == VDB_INDEX_IVF ? m->row_count : 0;
}

/* Whether the options' centroids can be those of an inverted file over `rows` fresh rows. */
static enum vdb_status check_centroids(const struct manifest *m, uint32_t rows,
                                       const struct vdb_compact_options *o, struct vdb_error *err)
{
    uint32_t count = o->centroid_count;
    if (!o->centroids && !count) return VDB_OK;
    if (!o->centroids || !count)
        return error_set(err, VDB_INVALID, "%u centroids are given and none lie there", count);
    if (part_build_kind(m) != VDB_INDEX_IVF && m->index != VDB_INDEX_HYBRID)
        return error_set(err, VDB_INVALID, "only inverted files have centroids");
    if (count > rows)
        return error_set(err, VDB_INVALID, "%u centroids are given, and the index has %u %srows",
                         count, rows, m->index == VDB_INDEX_HYBRID ? "old " : "");
    if (part_index_kind(VDB_INDEX_IVF, rows) != DISK_PART_IVF)
        return error_set(err, VDB_INVALID, "%u rows are too few for an inverted file", rows);
    for (size_t i = 0; i < (size_t)count * m->dim; i++)
        if (!isfinite(o->centroids[i]))
            return error_set(err, VDB_INVALID, "number %zu of centroid %zu is not finite",
                             i % m->dim + 1, i / m->dim);
    return VDB_OK;
}

/* Of a hybrid index two parts, else one, of those of them that have rows. */
static enum vdb_status build_parts(struct part_build *b, uint32_t old_rows, struct manifest *m,
                                   struct vdb_error *err)
{
    uint32_t count = b->count;
    enum vdb_status status = VDB_OK;
    if (m->index == VDB_INDEX_HYBRID && old_rows) {
        b->count = old_rows;
        b->index = VDB_INDEX_IVF;
        status = part_build(b, m, err);
        b->rows += old_rows;
        b->row_begin = old_rows;
        b->count = count - old_rows;
    }
    if (m->index == VDB_INDEX_HYBRID) b->index = VDB_INDEX_GRAPH;
    return status || !b->count ? status : part_build(b, m, err);
}

static enum vdb_status keep_history(const struct osfile *file, const char *beside,
                                    const struct vdb_snapshot *s,
                                    const struct vdb_compact_options *o, struct manifest *m,
                                    struct vdb_error *err)
{
    struct history_keep keep = {
        .source = s,
        .file = file,
        .beside = beside,
        .since_us = INT64_MIN,
        .progress = o->progress,
        .context = o->context,
    };
    if (o->output || (o->set_history && !o->history_seconds)) return VDB_OK;
    if (o->set_history && o->history_seconds > VDB_RECENT_SECONDS_MAX)
        return error_set(err, VDB_INVALID, "history of %llu seconds is asked for, at most %lld are",
                         (unsigned long long)o->history_seconds, (long long)VDB_RECENT_SECONDS_MAX);
    if (o->set_history)
        keep.since_us = policy_now(o->now_us) - (int64_t)o->history_seconds * 1000000;
    return history_keep(&keep, m, err);
}

/* An output has nothing of the past. */
static enum vdb_status find_kept(const struct vdb_snapshot *s, const struct vdb_compact_options *o,
                                 struct states_keep *keep, struct vdb_error *err)
{
    uint64_t seconds = o->output ? 0 : o->keep_rows_seconds;
    if (seconds > VDB_RECENT_SECONDS_MAX && seconds != UINT64_MAX)
        return error_set(err, VDB_INVALID,
                         "rows of %llu seconds are to be kept, at most %lld can be",
                         (unsigned long long)seconds, (long long)VDB_RECENT_SECONDS_MAX);
    *keep = (struct states_keep){
        .source = s,
        .live_only = o->output != NULL,
        .since_us = STATES_KEEP_NAMED,
        .progress = o->progress,
        .context = o->context,
    };
    if (seconds == UINT64_MAX)
        keep->since_us = STATES_KEEP_ALL;
    else if (seconds)
        keep->since_us = policy_now(o->now_us) - (int64_t)seconds * 1000000;
    return states_keep_find(keep, err);
}

static enum vdb_status write_fresh(const struct osfile *file, const char *beside,
                                   const struct vdb_snapshot *s,
                                   const struct vdb_compact_options *o, struct vdb_error *err)
{
    struct manifest manifest = fresh_manifest(s, o);
    struct states_keep keep = {0};
    uint32_t old_rows = 0;
    enum vdb_status status =
        create_check_index(manifest.index, manifest.codes, o->degree, o->ef_construction, err);
    if (!status) status = take_policy(&manifest, &s->generation->manifest, o, err);
    if (!status) status = find_kept(s, o, &keep, err);
    manifest.row_count = keep.count;
    if (!status && manifest.index == VDB_INDEX_HYBRID) {
        uint32_t recent = policy_first_recent(&manifest, s, policy_now(o->now_us));
        while (old_rows < keep.count && keep.rows[old_rows] < recent) old_rows++;
    }
    if (!status) status = check_centroids(&manifest, listed_rows(&manifest, old_rows), o, err);
    if (!status) status = publish_begin_new(file, err);
    struct part_build build = {
        .source = s,
        .rows = keep.rows,
        .count = keep.count,
        .file = file,
        .beside = beside,
        .commit = manifest.commit,
        .index = part_build_kind(&manifest),
        .timeless = o->output && !manifest.recent_seconds,
        .centroids = o->centroids,
        .centroid_count = o->centroid_count,
        .threads = o->threads ? o->threads : s->threads,
        .progress = o->progress,
        .context = o->context,
    };
    if (!status && !o->output) status = states_keep_write(&keep, file, &manifest, err);
    if (!status) status = keep_history(file, beside, s, o, &manifest, err);
    if (!status) status = build_parts(&build, old_rows, &manifest, err);
    uint8_t file_id[16];
    memcpy(file_id, s->generation->superblock.file_id, sizeof file_id);
    if (o->output) derive_file_id(&manifest, file_id);
    if (!status) status = publish_new(file, file_id, &manifest, err);
    if (!status) publish_settle(file, NULL, &manifest, build.commit);
    manifest_release(&manifest);
    states_keep_release(&keep);
    return status;
}

/* A link is followed, so that what it leads to is written; what is no regular file cannot be given
 * a file's place and stays. */
static enum vdb_status check_output(const struct vdb *db, const char *path, struct vdb_error *err)
{
    struct osfile_stat there;
    if (osfile_stat_path(path, &there) != 0) return VDB_OK;
    if (there.identity.inode == db->identity.inode && there.identity.device == db->identity.device)
        return error_set(err, VDB_INVALID, "the output is the index itself");
    if (!there.regular)
        return error_set(err, VDB_CANNOT_CREATE, "the output is there and no regular file");
    return VDB_OK;
}

static enum vdb_status compact_to_output(const struct vdb *db, const struct vdb_snapshot *s,
                                         const struct vdb_compact_options *o, struct vdb_error *err)
{
    struct newname name;
    enum vdb_status status = check_output(db, o->output, err);
    if (!status) status = newname_create(&name, o->output, 0666, err);
    if (status) return status;
    if (o->passing) o->passing(o->context, name.passing);
    status = write_fresh(&name.file, name.path, s, o, err);
    status = newname_finish(&name, status, true, err);
    if (o->passing) o->passing(o->context, NULL);
    return status;
}

static enum vdb_status check_links(const struct vdb *db, struct vdb_error *err)
{
    struct osfile_stat now;
    int failed = osfile_stat(&db->maintained, &now);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    if (now.links <= 1) return VDB_OK;
    return error_set(err, VDB_READ_ONLY,
                     "the index has %llu hard links, which compaction would part",
                     (unsigned long long)now.links);
}

static enum vdb_status sync_failed(int failed, struct vdb_error *err)
{
    return failed ? error_set_errno(err, VDB_IO, failed, "cannot sync the new file") : VDB_OK;
}

static enum vdb_status sync_like(const struct vdb *db, const struct newname *name,
                                 struct osfile_stat *like, struct vdb_error *err)
{
    int failed = osfile_stat(&db->maintained, like);
    if (!failed) failed = osfile_copy_owner(&name->file, like);
    if (failed)
        return error_set_errno(err, VDB_CANNOT_CREATE, failed,
                               "cannot give the new file mode and owner of the old one");
    return sync_failed(osfile_sync_all(&name->file), err);
}

/* What came since sync_like, which is little: it is the writers who wait for it. */
static enum vdb_status sync_rest(const struct vdb *db, const struct newname *name,
                                 const struct osfile_stat *like, struct vdb_error *err)
{
    struct osfile_stat old;
    int failed = osfile_stat(&db->maintained, &old);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    if (old.mode != like->mode || old.owner != like->owner || old.group != like->group)
        return sync_like(db, name, &old, err);
    return sync_failed(osfile_sync_data(&name->file), err);
}

/* So few commits may be left for the time in which writers have to wait. */
#define LEFT_MAX 4
#define ROUNDS   100 /* writers who are faster than the catching up have to wait in the end */

/* Carries over what was committed while the new file was built, and what was meanwhile, until so
 * little is left that the WRITE lock is held no longer for it than for a commit. */
static enum vdb_status approach(struct catchup *c, const struct newname *name,
                                struct vdb_error *err)
{
    uint64_t carried = LEFT_MAX + 1;
    enum vdb_status status = VDB_OK;
    for (int i = 0; i < ROUNDS && carried > LEFT_MAX && !status; i++) {
        status = catchup_run(c, &carried, err);
        bool many = !status && carried > LEFT_MAX;
        if (many) status = sync_failed(osfile_sync_data(&name->file), err);
    }
    return status;
}

/* With WRITE held, for as short as can be. The name is made durable afterwards: whoever writes to
 * the new file before sees to that himself. */
static enum vdb_status replace_old(struct vdb *db, const struct vdb_snapshot *s, struct catchup *c,
                                   const struct newname *name, const struct osfile_stat *like,
                                   struct vdb_error *err)
{
    uint64_t carried;
    enum vdb_status status = check_links(db, err);
    if (!status) status = catchup_run(c, &carried, err);
    if (!status) status = sync_rest(db, name, like, err);
    if (!status) status = newname_take(name, true, err);
    if (!status) publish_superseded(&db->maintained, s->generation); /* a hint: the work is done */
    return status;
}

/* With the MAINTAIN lock held, and the new file written as of `s`. */
static enum vdb_status take_over(struct vdb *db, const struct vdb_snapshot *s, struct newname *name,
                                 struct vdb_error *err)
{
    struct catchup c = {.db = db, .from = s, .successor = name->passing};
    struct osfile_stat like;
    enum vdb_status status = sync_like(db, name, &like, err);
    if (!status) status = approach(&c, name, err);
    if (!status) status = db_lock_write_maintained(db, err);
    if (!status) {
        status = replace_old(db, s, &c, name, &like, err);
        db_unlock_write(db);
    }
    catchup_release(&c);
    return newname_settle(name, status, err);
}

static enum vdb_status write_successor(struct vdb *db, const struct vdb_snapshot *s,
                                       const struct vdb_compact_options *o, struct vdb_error *err)
{
    struct newname name;
    enum vdb_status status = check_links(db, err);
    if (!status)
        status =
            newname_create_successor(&name, db->path, s->generation->superblock.file_id, 0600, err);
    if (status) return status;
    if (o->passing) o->passing(o->context, name.passing);
    status = write_fresh(&name.file, name.path, s, o, err);
    status = status ? newname_finish(&name, status, true, err) : take_over(db, s, &name, err);
    if (o->passing) o->passing(o->context, NULL);
    return status;
}

static enum vdb_status compact_in_place(struct vdb *db, const struct vdb_compact_options *o,
                                        struct vdb_error *err)
{
    if (db->fresh) return error_set(err, VDB_INVALID, "the index has not been published");
    enum vdb_status status = db_lock_maintain(db, db->wait, err);
    if (status) return status;
    struct vdb_snapshot *snapshot = NULL;
    status = newname_clear(db->path, err);
    if (!status) status = db_refresh_to_write(db, &snapshot, err);
    if (!status) status = write_successor(db, snapshot, o, err);
    db_unlock_maintain(db); /* a lock that is held is not let go of */
    /* Whoever goes last over to the new file gives the pages and the room of the old one back,
     * which takes its time: so that it is none of the writers who wait for the lock, this one
     * stands in line behind them, on the old file and then on the new one. */
    if (!status) db_stand_in_line(db);
    snapshot_unref(snapshot); /* keeps the old file until then */
    return status;
}

enum vdb_status vdb_compact(struct vdb *db, const struct vdb_compact_options *options,
                            struct vdb_error *err)
{
    struct vdb_compact_options chosen = VDB_COMPACT_OPTIONS_INIT;
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (status) return status;
    if (!chosen.output) return compact_in_place(db, &chosen, err);
    struct vdb_snapshot *snapshot;
    status = db_refresh(db, &snapshot, err);
    if (status) return status;
    status = compact_to_output(db, snapshot, &chosen, err);
    snapshot_unref(snapshot);
    return status;
}

enum vdb_status vdb_compact_purges(const struct vdb_snapshot *snapshot,
                                   const struct vdb_compact_options *options, uint64_t *rows,
                                   struct vdb_error *err)
{
    struct vdb_compact_options chosen = VDB_COMPACT_OPTIONS_INIT;
    struct states_keep keep = {0};
    enum vdb_status status = options_take(&chosen, sizeof chosen, options, err);
    if (!status) status = find_kept(snapshot, &chosen, &keep, err);
    if (!status) *rows = snapshot->row_count - keep.count;
    states_keep_release(&keep);
    return status;
}
