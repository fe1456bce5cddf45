/* info.c: what a snapshot tells of itself: figures, its parts, the names of commits.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "state/snapshot.h"
#include "vdb.h"

/* ---- the index and its parts ---------------------------------------------------------------- */

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
        .tail_rows = s->row_count > manifest->row_count ? s->row_count - manifest->row_count : 0,
        .read_only = s->read_only,
        .isa = s->kernels->name,
        .used_bytes = used_bytes(s),
        .degree = manifest->degree,
        .ef_construction = manifest->ef_construction,
        .recent_rows = manifest->recent_rows,
        .recent_seconds = manifest->recent_seconds,
        .quiet_begin = manifest->quiet_begin,
        .quiet_end = manifest->quiet_end,
        .oldest_commit = manifest->horizon_commit,
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

/* ---- names --------------------------------------------------------------------------------- */

static void tell_name(const struct snapshot_entry *entry, struct vdb_name *name)
{
    *name = (struct vdb_name){
        .name = entry->name,
        .name_len = entry->name_len,
        .commit = entry->commit,
        .commit_time_us = entry->commit_time_us,
        .created_us = entry->created_us,
        .rows = entry->row_count,
        .live = entry->live_count,
        .origin_commit = entry->origin.commit,
    };
    memcpy(name->origin_id, entry->origin.id, sizeof name->origin_id);
}

enum vdb_status vdb_name_at(const struct vdb_snapshot *s, uint32_t index, struct vdb_name *name)
{
    if (index >= s->names->count) return VDB_NOT_FOUND;
    tell_name(s->names->entries[index], name);
    return VDB_OK;
}

enum vdb_status vdb_name_find(const struct vdb_snapshot *s, const char *name, size_t name_len,
                              struct vdb_name *found, struct vdb_error *err)
{
    bool there;
    uint32_t place = names_place(s->names, name, name_len, &there);
    if (!there)
        return error_set(err, VDB_NOT_FOUND, "no such snapshot: %.*s",
                         (int)(name_len > VDB_NAME_MAX ? VDB_NAME_MAX : name_len), name);
    tell_name(s->names->entries[place], found);
    return VDB_OK;
}
