/* snapshot.c: one commit of the file: making it, and reading its rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/snapshot.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/utf8.h"
#include "state/ended.h"
#include "vector/vtype.h"

/* ---- making -------------------------------------------------------------------------------- */

enum vdb_status snapshot_create(struct generation *generation, uint64_t file_len,
                                const struct snapshot_options *options,
                                struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    struct vdb_snapshot *made = calloc(1, sizeof *made);
    if (!made) {
        generation_unref(generation);
        return error_no_memory(err);
    }
    const struct superblock *sb = &generation->superblock;
    const struct manifest *manifest = &generation->manifest;
    *made = (struct vdb_snapshot){
        .refs = 1,
        .generation = generation,
        .file_len = file_len,
        .cursor = {sb->log_off, sb->log_end, sb->log_check, manifest->commit},
        .row_count = manifest->row_count,
        .live_count = manifest->live_count,
        .commit = manifest->commit,
        .commit_time_us = manifest->commit_time_us,
        .kernels = options->kernels,
        .threads = options->threads,
        .read_only = options->read_only,
    };
    struct liveness spans = {.spans = generation->spans, .span_count = generation->span_count};
    enum vdb_status status = names_create(manifest, &made->names, err);
    if (!status) status = liveness_copy(&spans, &made->dead, err);
    if (status) {
        snapshot_unref(made);
        return status;
    }
    *snapshot = made;
    return VDB_OK;
}

struct vdb_snapshot *snapshot_ref(struct vdb_snapshot *snapshot)
{
    __atomic_add_fetch(&snapshot->refs, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void snapshot_unref(struct vdb_snapshot *snapshot)
{
    if (!snapshot || __atomic_sub_fetch(&snapshot->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    liveness_release(&snapshot->dead);
    free(snapshot->deleted_in);
    ended_release(snapshot->ended);
    names_unref(snapshot->names);
    generation_unref(snapshot->generation);
    free(snapshot);
}

void vdb_snapshot_close(const struct vdb_snapshot *snapshot)
{
    snapshot_unref((struct vdb_snapshot *)(uintptr_t)snapshot);
}

/* Carries out one event; every row is checked, and that the event changes what it says. */
static enum vdb_status apply_event(struct vdb_snapshot *s, const struct tail_commit *commit,
                                   uint32_t index, struct vdb_error *err)
{
    struct disk_event event;
    memcpy(&event, commit->events + (size_t)index * sizeof event, sizeof event);
    uint32_t row = le32_get(event.row), kind = le32_get(event.kind);
    uint64_t at = commit->log.events.off + (uint64_t)index * sizeof event;
    if (row >= s->row_count || kind < DISK_EVENT_DELETE || kind > DISK_EVENT_REPLACE)
        return error_set_corrupt(err, "log", at, "event of kind %u names row %u of %u", kind, row,
                                 s->row_count);
    bool deleted = kind != DISK_EVENT_RESTORE;
    if (liveness_deleted(&s->dead, row) == deleted)
        return error_set_corrupt(err, "log", at, "event of kind %u finds row %u %s already", kind,
                                 row, deleted ? "deleted" : "live");
    s->live_count = deleted ? s->live_count - 1 : s->live_count + 1;
    return liveness_set(&s->dead, row, deleted, err);
}

/* Blocks do not overlap, so they cannot take more than the file has: a log that names the same
 * bytes again and again would cost time without end. */
static enum vdb_status check_share(struct vdb_snapshot *s, const struct log_commit *commit,
                                   uint64_t file_len, struct vdb_error *err)
{
    s->tail_bytes +=
        commit->vectors.len + commit->ids.len + commit->metadata.len + commit->events.len;
    if (s->tail_bytes > file_len)
        return error_set_corrupt(err, "log", commit->record_off,
                                 "the blocks up to commit %llu overlap",
                                 (unsigned long long)commit->commit);
    if (commit->time_us < s->commit_time_us)
        return error_set_corrupt(err, "log", commit->record_off,
                                 "commit %llu is older than the one before it",
                                 (unsigned long long)commit->commit);
    return VDB_OK;
}

/* Of the commit's blocks, those that do not lie in its record. */
static uint64_t blocks_outside(const struct log_commit *commit)
{
    const struct log_block *blocks[] = {&commit->vectors, &commit->ids, &commit->metadata,
                                        &commit->events};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (blocks[i]->off < commit->record_off ||
            blocks[i]->off - commit->record_off >= commit->record_len)
            bytes += blocks[i]->len;
    return bytes;
}

static enum vdb_status apply_commit(struct vdb_snapshot *s, const struct log_commit *commit,
                                    uint64_t file_len, struct vdb_error *err)
{
    enum vdb_status status = check_share(s, commit, file_len, err);
    if (status) return status;
    const struct manifest *manifest = &s->generation->manifest;
    status =
        tail_append(&s->generation->tail, commit, s->row_count,
                    vtype_stride(manifest->type, manifest->dim), s->generation->view->base, err);
    if (status) return status;
    const struct tail_commit *entry = tail_at(&s->generation->tail, s->tail_count++);
    s->row_count += commit->row_count;
    s->live_count += commit->row_count;
    for (uint32_t i = 0; i < commit->event_count && !status; i++)
        status = apply_event(s, entry, i, err);
    if (!status && s->live_count != commit->live_count)
        status = error_set_corrupt(err, "log", commit->record_off,
                                   "commit %llu says that %u rows are live, its events leave %u",
                                   (unsigned long long)commit->commit, commit->live_count,
                                   s->live_count);
    s->commit = commit->commit;
    s->commit_time_us = commit->time_us;
    s->tail_events += (uint64_t)commit->row_count + commit->event_count;
    s->log_bytes += blocks_outside(commit);
    return status;
}

/* A name is given to the state that the log has come to. */
static bool name_fits(const struct vdb_snapshot *s, const struct log_name_change *change)
{
    const struct snapshot_entry *entry = &change->snapshot;
    if (change->operation == DISK_NAME_REMOVE) return true;
    if (entry->commit != s->commit) return false;
    return change->operation == DISK_NAME_RECEIVED ||
           (entry->row_count == s->row_count && entry->live_count == s->live_count &&
            entry->commit_time_us == s->commit_time_us);
}

static enum vdb_status apply_names(struct vdb_snapshot *s, const struct log_names *record,
                                   struct vdb_error *err)
{
    for (uint32_t i = 0; i < record->count; i++) {
        struct log_name_change change;
        if (!log_name_change(s->generation->view->base, record, i, &change) ||
            !name_fits(s, &change))
            return error_set_corrupt(err, "log", record->record_off,
                                     "change %u of the names of commit %llu is none", i,
                                     (unsigned long long)s->commit);
        struct vdb_error why = {0};
        enum vdb_status status = names_change(&s->names, &change, &why);
        if (status == VDB_NO_MEMORY) return error_no_memory(err);
        if (status) return error_set_corrupt(err, "log", record->record_off, "%s", why.message);
    }
    return VDB_OK;
}

enum vdb_status snapshot_clone(const struct vdb_snapshot *from, struct vdb_snapshot **to,
                               struct vdb_error *err)
{
    struct vdb_snapshot *made = malloc(sizeof *made);
    if (!made) return error_no_memory(err);
    made->refs = 1;
    /* All but the count, which other threads change meanwhile. */
    size_t begin = offsetof(struct vdb_snapshot, generation);
    memcpy((char *)made + begin, (const char *)from + begin, sizeof *made - begin);
    made->deleted_in = NULL;
    made->ended = NULL;
    enum vdb_status status = liveness_copy(&from->dead, &made->dead, err);
    if (status) {
        free(made);
        return status;
    }
    generation_ref(made->generation);
    names_ref(made->names);
    *to = made;
    return VDB_OK;
}

enum vdb_status snapshot_advance(struct vdb_snapshot *from, uint64_t file_len, uint64_t most,
                                 struct vdb_snapshot **to, bool *beyond, struct vdb_error *err)
{
    const uint8_t *file = from->generation->view->base;
    struct log_cursor cursor = from->cursor;
    struct log_commit commit;
    struct log_names names;
    struct vdb_snapshot *made = NULL;
    enum vdb_status status = VDB_OK;
    *beyond = false;
    for (uint64_t taken = 0; taken < most && !status;) {
        enum log_step step = log_next(file, file_len, &cursor, &commit, &names);
        *beyond = step == LOG_DAMAGED;
        if (step == LOG_UNKNOWN) status = log_unknown(file, &cursor, err);
        if (!log_went_on(step)) break;
        if (!made) status = snapshot_clone(from, &made, err);
        if (!status && step == LOG_COMMIT) {
            status = apply_commit(made, &commit, file_len, err);
            if (!status) status = apply_names(made, &commit.names, err);
            taken++;
        }
        if (!status && step == LOG_NAMES) status = apply_names(made, &names, err);
        if (!status && step == LOG_LINKED) {
            made->log_bytes += cursor.end - cursor.off;
            made->tail_links++;
        }
        if (!status) made->cursor = cursor;
    }
    if (!status && !made && from->file_len != file_len) status = snapshot_clone(from, &made, err);
    if (status) {
        /* The tail may have taken entries that no snapshot counts; they are the log's all the same,
         * so the next attempt fails likewise. */
        from->generation->tail.count = from->tail_count;
        snapshot_unref(made);
        return status;
    }
    if (made) made->file_len = file_len;
    *to = made ? made : snapshot_ref(from);
    return VDB_OK;
}

static enum vdb_status length_of(const struct osfile *file, uint64_t *len, struct vdb_error *err)
{
    struct osfile_stat now;
    int failed = osfile_stat(file, &now);
    if (failed) return error_set_errno(err, VDB_IO, failed, "cannot look at the file");
    *len = now.size;
    return VDB_OK;
}

/* The length is asked for before the log is read, so a writer may have made the file longer for a
 * commit that is read already: what lies beyond the length is damage only if the file is no longer
 * than when that was seen before. Each turn goes on from where the last one stood. */
enum vdb_status snapshot_follow(struct vdb_snapshot *from, const struct osfile *file, uint64_t len,
                                struct vdb_snapshot **to, struct vdb_error *err)
{
    struct vdb_snapshot *at = snapshot_ref(from);
    uint64_t cap = from->generation->view->cap, len_before = 0;
    enum vdb_status status = VDB_OK;
    *to = NULL;
    while (!status && len <= cap) {
        struct vdb_snapshot *next;
        bool beyond;
        status = snapshot_advance(at, len, UINT64_MAX, &next, &beyond, err);
        if (status) break;
        snapshot_unref(at);
        at = next;
        if (!beyond) {
            *to = at;
            return VDB_OK;
        }
        if (len == len_before)
            status = error_set_corrupt(
                err, "log", at->cursor.off,
                "what the record after commit %llu names does not lie in the file",
                (unsigned long long)at->cursor.commit);
        len_before = len;
        if (!status) status = length_of(file, &len, err);
    }
    snapshot_unref(at);
    return status;
}

enum vdb_status snapshot_open(const struct osfile *file, const struct generation *before,
                              const struct snapshot_options *options,
                              struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    *snapshot = NULL;
    while (!*snapshot) { /* again where the file outgrew its mapping while it was opened */
        struct generation *generation;
        struct vdb_snapshot *base;
        enum vdb_status status = generation_open(file, before, &generation, err);
        if (!status) status = snapshot_create(generation, 0, options, &base, err);
        if (status) return status;
        uint64_t len = 0;
        status = length_of(file, &len, err);
        if (!status) status = snapshot_follow(base, file, len, snapshot, err);
        snapshot_unref(base);
        if (status) return status;
    }
    return VDB_OK;
}

/* ---- how many are live --------------------------------------------------------------------- */

/* Room for the counts, or NULL where there is none: they are only kept to save counting. Threads
 * that ask at once may all make some; that of one stays. */
static uint32_t *counts_of(const struct vdb_snapshot *s)
{
    uint32_t **place = (uint32_t **)(uintptr_t)&s->deleted_in;
    uint32_t *counts = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (counts) return counts;
    uint32_t *made = calloc(s->generation->manifest.part_count, sizeof *made);
    if (!made) return NULL;
    if (__atomic_compare_exchange_n(place, &counts, made, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return made;
    free(made);
    return counts;
}

uint32_t snapshot_live_in(const struct vdb_snapshot *s, const struct part *part)
{
    uint32_t *counts = counts_of(s), rows = part->row_end - part->row_begin;
    uint32_t *place = counts ? counts + (part - s->generation->parts) : NULL;
    uint32_t known = place ? __atomic_load_n(place, __ATOMIC_RELAXED) : 0;
    if (known) return rows - (known - 1);
    uint32_t deleted = liveness_count(&s->dead, part->row_begin, part->row_end);
    if (place) __atomic_store_n(place, deleted + 1, __ATOMIC_RELAXED);
    return rows - deleted;
}

/* ---- reading rows -------------------------------------------------------------------------- */

uint32_t snapshot_next_difference(const struct vdb_snapshot *a, const struct vdb_snapshot *b,
                                  uint32_t row)
{
    uint32_t end = a->row_count > b->row_count ? a->row_count : b->row_count;
    return liveness_next_difference(&a->dead, &b->dead, row, end);
}

enum vdb_status snapshot_place(const struct vdb_snapshot *s, uint32_t row, struct row_place *place,
                               struct vdb_error *err)
{
    if (row >= s->row_count) return error_set(err, VDB_NOT_FOUND, "there is no row %u", row);
    const struct part *part = generation_part_of_row(s->generation, row);
    if (part) {
        uint32_t local = row - part->row_begin;
        *place = (struct row_place){part->vectors + local * part->stride, &part->ids,
                                    part->has_metadata ? &part->metadata : NULL, local};
        return VDB_OK;
    }
    const struct tail_commit *commit = tail_of_row(&s->generation->tail, s->tail_count, row);
    if (!commit) return error_set(err, VDB_INTERNAL, "row %u is in no part and no commit", row);
    uint32_t local = row - commit->log.row_base;
    *place = (struct row_place){commit->vectors + (size_t)local * commit->log.stride, &commit->ids,
                                commit->log.metadata.len ? &commit->metadata : NULL, local};
    return VDB_OK;
}

int64_t snapshot_row_time(const struct vdb_snapshot *s, uint32_t row)
{
    const struct part *part = generation_part_of_row(s->generation, row);
    if (part) return row_times_at(&part->times, row - part->row_begin);
    const struct tail_commit *commit = tail_of_row(&s->generation->tail, s->tail_count, row);
    return commit ? commit->log.time_us : 0;
}

int vdb_row_state(const struct vdb_snapshot *snapshot, uint32_t row)
{
    if (row >= snapshot->row_count) return 0;
    return liveness_deleted(&snapshot->dead, row) ? 2 : 1;
}

int vdb_next_live_row(const struct vdb_snapshot *snapshot, uint32_t *row)
{
    while (*row < snapshot->row_count && liveness_deleted(&snapshot->dead, *row)) ++*row;
    return *row < snapshot->row_count;
}

enum vdb_status vdb_row_id(const struct vdb_snapshot *snapshot, uint32_t row, const char **id,
                           size_t *id_len, struct vdb_error *err)
{
    struct row_place place;
    enum vdb_status status = snapshot_place(snapshot, row, &place, err);
    return status ? status : ids_get(place.ids, place.local, id, id_len, err);
}

enum vdb_status vdb_row_vector(const struct vdb_snapshot *snapshot, uint32_t row, float *vector,
                               struct vdb_error *err)
{
    struct row_place place;
    enum vdb_status status = snapshot_place(snapshot, row, &place, err);
    if (status) return status;
    const struct manifest *manifest = &snapshot->generation->manifest;
    vtype_load(manifest->type, place.vector, vector, manifest->dim);
    return VDB_OK;
}

enum vdb_status vdb_row_metadata(const struct vdb_snapshot *snapshot, uint32_t row, char **json,
                                 size_t *json_len, struct vdb_error *err)
{
    struct row_place place;
    enum vdb_status status = snapshot_place(snapshot, row, &place, err);
    if (status) return status;
    *json = NULL;
    *json_len = 0;
    return place.metadata ? metadata_get(place.metadata, place.local, json, json_len, err) : VDB_OK;
}
