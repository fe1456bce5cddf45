/* snapshot.c: one commit of the file: making it, and reading its rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/snapshot.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/utf8.h"
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
    enum vdb_status status = liveness_copy(&spans, &made->dead, err);
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

static enum vdb_status snapshot_clone(const struct vdb_snapshot *from, struct vdb_snapshot **to,
                                      struct vdb_error *err)
{
    struct vdb_snapshot *made = malloc(sizeof *made);
    if (!made) return error_no_memory(err);
    made->refs = 1;
    /* All but the count, which other threads change meanwhile. */
    size_t begin = offsetof(struct vdb_snapshot, generation);
    memcpy((char *)made + begin, (const char *)from + begin, sizeof *made - begin);
    enum vdb_status status = liveness_copy(&from->dead, &made->dead, err);
    if (status) {
        free(made);
        return status;
    }
    generation_ref(made->generation);
    *to = made;
    return VDB_OK;
}

enum vdb_status snapshot_advance(struct vdb_snapshot *from, uint64_t file_len, uint64_t most,
                                 struct vdb_snapshot **to, bool *beyond, struct vdb_error *err)
{
    const uint8_t *file = from->generation->view->base;
    struct log_cursor cursor = from->cursor;
    struct log_commit commit;
    struct vdb_snapshot *made = NULL;
    enum vdb_status status = VDB_OK;
    *beyond = false;
    for (uint64_t taken = 0; taken < most && !status;) {
        enum log_step step = log_next(file, file_len, &cursor, &commit);
        *beyond = step == LOG_DAMAGED;
        if (step == LOG_ENDS || step == LOG_DAMAGED) break;
        if (!made) status = snapshot_clone(from, &made, err);
        if (!status && step == LOG_COMMIT) {
            status = apply_commit(made, &commit, file_len, err);
            taken++;
        }
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

enum vdb_status snapshot_open(const struct osfile *file, struct view *mapped,
                              const struct snapshot_options *options,
                              struct vdb_snapshot **snapshot, struct vdb_error *err)
{
    *snapshot = NULL;
    while (!*snapshot) { /* again where the file outgrew its mapping while it was opened */
        struct generation *generation;
        struct vdb_snapshot *base;
        enum vdb_status status = generation_open(file, mapped, &generation, err);
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

/* ---- reading rows -------------------------------------------------------------------------- */

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

struct finder {
    const struct vdb_snapshot *s;
    const struct liveness *dead;
    const char *id;
    size_t id_len;
    bool deleted;
    uint32_t best; /* VDB_NO_ROW: none yet */
};

/* Takes the row if it is what is sought; rows come newest first. Ids are read in place, so a hash
 * that lies costs a miss.
 */
static bool finder_visit(void *context, uint32_t row)
{
    struct finder *f = context;
    if (row >= f->s->row_count || liveness_deleted(f->dead, row) != f->deleted) return true;
    struct row_place place;
    const char *id;
    size_t len;
    if (snapshot_place(f->s, row, &place, NULL) || ids_get(place.ids, place.local, &id, &len, NULL))
        return true;
    if (len != f->id_len || memcmp(id, f->id, len) != 0) return true;
    f->best = row;
    return false;
}

static enum vdb_status find_in_part(const struct part *part, uint64_t hash, struct finder *f,
                                    struct vdb_error *err)
{
    uint32_t first, count;
    enum vdb_status status = id_hash_find(&part->id_hash, hash, &first, &count, err);
    while (!status && count-- > 0) { /* entries rise by row: the newest is the last */
        uint32_t row;
        status = id_hash_row(&part->id_hash, first + count, &row, err);
        if (!status) finder_visit(f, part->row_begin + row);
        if (f->best != VDB_NO_ROW) break;
    }
    return status;
}

enum vdb_status snapshot_find(const struct vdb_snapshot *s, const struct liveness *dead,
                              const char *id, size_t id_len, bool deleted, uint32_t *row,
                              struct vdb_error *err)
{
    struct finder f = {s, dead, id, id_len, deleted, VDB_NO_ROW};
    uint64_t hash = checksum(id, id_len);
    enum vdb_status status = VDB_OK;
    if (s->tail_count)
        status = tail_find(&s->generation->tail, s->tail_count, hash, finder_visit, &f, err);
    for (uint32_t i = s->generation->manifest.part_count;
         i-- > 0 && f.best == VDB_NO_ROW && !status;)
        status = find_in_part(&s->generation->parts[i], hash, &f, err);
    *row = f.best;
    return status;
}

enum vdb_status vdb_find(const struct vdb_snapshot *snapshot, const char *id, size_t id_len,
                         int deleted, uint32_t *row, struct vdb_error *err)
{
    enum vdb_status status = snapshot_find(snapshot, &snapshot->dead, id, id_len, false, row, err);
    if (!status && *row == VDB_NO_ROW && deleted)
        status = snapshot_find(snapshot, &snapshot->dead, id, id_len, true, row, err);
    if (status) return status;
    if (*row == VDB_NO_ROW)
        return error_set(err, VDB_NOT_FOUND, "no such id: %.*s", (int)(id_len > 200 ? 200 : id_len),
                         id);
    return VDB_OK;
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

/* ---- telling ------------------------------------------------------------------------------- */

/* Rows that a part takes where a commit put them may lie within the log's extent. Bytes that lie
 * between two structures for the sake of alignment are nobody's. */
static uint64_t used_bytes(const struct vdb_snapshot *s)
{
    const struct superblock *sb = &s->generation->superblock;
    const struct manifest *manifest = &s->generation->manifest;
    struct log_extent_entry extent = {0};
    if (sb->log_off && manifest->log_extent_count)
        extent = manifest->log_extents[manifest->log_extent_count - 1];
    uint64_t bytes = (uint64_t)VDB_SUPERBLOCK_SLOTS * VDB_SUPERBLOCK_SIZE + sb->manifest_len +
                     extent.len + s->log_bytes;
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        const struct segment_entry *segment = &manifest->segments[i];
        if (segment->off < extent.off || segment->off - extent.off >= extent.len)
            bytes += segment->len;
    }
    return bytes < s->file_len ? bytes : s->file_len; /* a hostile file's may overlap */
}

void vdb_snapshot_info(const struct vdb_snapshot *s, struct vdb_info *info)
{
    const struct manifest *manifest = &s->generation->manifest;
    *info = (struct vdb_info){
        .format_major = s->generation->superblock.version_major,
        .format_minor = s->generation->superblock.version_minor,
        .file_bytes = s->file_len,
        .dim = manifest->dim,
        .metric = manifest->metric,
        .type = manifest->type,
        .index = manifest->index,
        .codes = manifest->codes,
        .rows = s->row_count,
        .live = s->live_count,
        .deleted = s->row_count - s->live_count,
        .commit = s->commit,
        .commit_time_us = s->commit_time_us,
        .created_us = manifest->created_us,
        .parts = manifest->part_count,
        .tail_rows = s->row_count - manifest->row_count,
        .read_only = s->read_only,
        .isa = s->kernels->name,
        .used_bytes = used_bytes(s),
        .degree = manifest->degree,
        .ef_construction = manifest->ef_construction,
        .recent_rows = manifest->recent_rows,
        .recent_seconds = manifest->recent_seconds,
        .quiet_begin = manifest->quiet_begin,
        .quiet_end = manifest->quiet_end,
    };
    memcpy(info->file_id, s->generation->superblock.file_id, sizeof info->file_id);
}

/* With the norm, where that does not lie among them. */
static uint32_t code_bytes_of(const struct codes *codes)
{
    bool inside = codes->norm_stride == codes->code_stride;
    return (uint32_t)codes->bytes + (inside ? 0 : codes_norm_bytes(codes->kind));
}

static enum vdb_codes codes_of_ivf(const struct ivf_header *header)
{
    return header->sub_dim == 1 ? VDB_CODES_I4 : header->sub_dim == 2 ? VDB_CODES_PQ : VDB_CODES_B1;
}

static enum vdb_codes codes_of(const struct part *part)
{
    if (part->entry->kind == DISK_PART_IVF) return codes_of_ivf(&part->ivf.view.h);
    if (part->entry->kind != DISK_PART_GRAPH) return VDB_CODES_AUTO;
    if (part->codes.kind == CODES_4) return VDB_CODES_I4;
    return part->codes.code == part->vectors ? VDB_CODES_NONE : VDB_CODES_I8;
}

static enum vdb_index_kind kind_of(const struct part *part)
{
    if (part->entry->kind == DISK_PART_FLAT) return VDB_INDEX_FLAT;
    if (part->entry->kind == DISK_PART_IVF) return VDB_INDEX_IVF;
    return part->graph.levels.degree ? VDB_INDEX_HNSW : VDB_INDEX_GRAPH;
}

/* The imbalance is that of kmeans_imbalance. */
static void tell_lists(const struct ivf_view *view, struct vdb_part_info *info)
{
    double sum = 0, squares = 0;
    info->list_rows_min = UINT32_MAX;
    for (uint32_t i = 0; i < view->h.list_count; i++) {
        uint32_t rows = ivf_view_list(view, i).row_count;
        sum += (double)rows;
        squares += (double)rows * (double)rows;
        if (rows < info->list_rows_min) info->list_rows_min = rows;
        if (rows > info->list_rows_max) info->list_rows_max = rows;
    }
    double lists = (double)view->h.list_count, mean = sum / lists;
    info->lists = view->h.list_count;
    info->list_rows_mean = mean;
    info->list_rows_deviation = sqrt(fmax(squares / lists - mean * mean, 0));
    info->imbalance = squares / lists / (mean * mean);
}

static void tell_ivf(const struct ivf_view *view, struct vdb_part_info *info)
{
    tell_lists(view, info);
    info->row_code_bytes = view->block_bytes / VDB_IVF_BLOCK;
    info->code_dim = view->h.out_dim;
    info->sub_dim = view->h.sub_dim;
    info->spilled = (view->h.flags & DISK_IVF_SPILLED) != 0;
    memcpy(info->survivors, view->h.survivors, sizeof info->survivors);
}

#define COST_K      10 /* as the rival's in format-spec/calibration.md */
#define COST_RECALL 0.95

enum vdb_status vdb_part_info(const struct vdb_snapshot *s, uint32_t index,
                              struct vdb_part_info *info)
{
    const struct manifest *manifest = &s->generation->manifest;
    if (index >= manifest->part_count) return VDB_NOT_FOUND;
    const struct part *part = &s->generation->parts[index];
    bool is_graph = part->entry->kind == DISK_PART_GRAPH;
    *info = (struct vdb_part_info){
        .kind = kind_of(part),
        .row_begin = part->row_begin,
        .row_end = part->row_end,
        .degree = is_graph ? part->graph.degree : 0,
        .levels = part->graph.levels.degree ? part->graph.levels.count + 1 : 0,
        .codes_are_vectors = is_graph && part->codes.code == part->vectors,
        .codes = codes_of(part),
        .row_code_bytes = is_graph ? code_bytes_of(&part->codes) : 0,
        .rotated = is_graph && part->codes.rotated,
        .oldest_us = snapshot_row_time(s, part->row_begin),
        .newest_us = snapshot_row_time(s, part->row_end - 1),
        .dimension = (double)part->calibration.dimension / 1000,
        .hubness = (double)part->calibration.hubness / 1000,
        .cost = (double)calibration_cost(&part->calibration, COST_K, COST_RECALL),
        .rival = (enum vdb_index_kind)part->calibration.rival,
        .rival_cost = (double)part->calibration.rival_cost,
    };
    if (info->kind == VDB_INDEX_IVF) tell_ivf(&part->ivf.view, info);
    for (uint32_t i = 0; i < part->entry->segment_count; i++) {
        const struct segment_entry *segment = &manifest->segments[part->entry->segment_first + i];
        info->bytes += segment->len;
        switch (segment->type) {
        case DISK_SEGMENT_VECTOR:
            info->vector_bytes += segment->len;
            break;
        case DISK_SEGMENT_CODE:
            info->code_bytes += segment->len;
            break;
        case DISK_SEGMENT_GRAPH:
            info->graph_bytes += segment->len;
            break;
        case DISK_SEGMENT_IVF:
            info->ivf_bytes += segment->len;
            break;
        case DISK_SEGMENT_ID:
        case DISK_SEGMENT_ID_HASH:
            info->id_bytes += segment->len;
            break;
        case DISK_SEGMENT_METADATA:
            info->metadata_bytes += segment->len;
            break;
        default:
            break;
        }
    }
    return VDB_OK;
}

enum vdb_status vdb_part_centroid(const struct vdb_snapshot *s, uint32_t index, uint32_t list,
                                  float *vector)
{
    if (index >= s->generation->manifest.part_count) return VDB_NOT_FOUND;
    const struct part *part = &s->generation->parts[index];
    const struct ivf_view *view = &part->ivf.view;
    if (part->entry->kind != DISK_PART_IVF || list >= view->h.list_count) return VDB_NOT_FOUND;
    for (uint32_t i = 0; i < view->h.dim; i++) {
        int32_t code = view->centroids[ivf_centroid_at(view->h.dim, list, i)];
        vector[i] = view->h.scale * (float)(code - view->h.zero);
    }
    return VDB_OK;
}

enum vdb_status vdb_part_calibration(const struct vdb_snapshot *s, uint32_t index, uint32_t number,
                                     struct vdb_calibration_point *point)
{
    if (index >= s->generation->manifest.part_count) return VDB_NOT_FOUND;
    const struct calibration *calibration = &s->generation->parts[index].calibration;
    for (uint32_t i = 0; i < calibration->curve_count; i++) {
        const struct calibration_curve *curve = &calibration->curves[i];
        if (number < curve->point_count) {
            const struct calibration_point *from = &curve->points[number];
            *point = (struct vdb_calibration_point){
                .k = curve->k,
                .effort = from->effort,
                .recall = (double)from->recall / CALIBRATION_RECALL_ONE,
                .error = (double)from->error / CALIBRATION_RECALL_ONE,
                .p5 = (double)from->p5 / CALIBRATION_RECALL_ONE,
                .p5_error = (double)from->p5_error / CALIBRATION_RECALL_ONE,
                .zero = (double)from->zero / CALIBRATION_RECALL_ONE,
                .cost = (double)from->cost,
            };
            return VDB_OK;
        }
        number -= curve->point_count;
    }
    return VDB_NOT_FOUND;
}

enum vdb_status vdb_part_effort(const struct vdb_snapshot *s, uint32_t index, uint32_t k,
                                double recall, uint32_t *effort)
{
    if (index >= s->generation->manifest.part_count) return VDB_NOT_FOUND;
    if (k == 0 || !(recall >= 0 && recall <= 1)) return VDB_INVALID;
    *effort =
        part_effort(&s->generation->parts[index], k < s->row_count ? k : s->row_count, recall);
    return VDB_OK;
}
