/* part.c: opening a part.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/part.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/osfile.h"
#include "format/code_header.h"
#include "format/graph_header.h"
#include "format/tombstone.h"
#include "vector/vtype.h"

#define RECALL_DEFAULT 0.95
#define REACHED        0.9 /* of the near rows, by an index that is worth its name */
#define EFFORT_DEFAULT 64  /* where there is no calibration */

struct opener { /* what every step needs */
    const struct manifest *manifest;
    const uint8_t *file;
    uint64_t file_len;
    uint32_t rows;
};

static enum vdb_status open_vectors(const struct opener *o, struct part *part,
                                    struct vdb_error *err)
{
    const struct segment_entry *s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_VECTOR);
    size_t stride = vtype_stride(o->manifest->type, o->manifest->dim);
    if (s->stride != stride)
        return error_set_corrupt(err, "vector", s->off,
                                 "vector segment has a stride of %u, expected %zu", s->stride,
                                 stride);
    if (s->len != (uint64_t)o->rows * stride)
        return error_set_corrupt(err, "vector", s->off,
                                 "vector segment has %llu bytes for %u rows of %zu",
                                 (unsigned long long)s->len, o->rows, stride);
    part->vectors = o->file + s->off;
    part->stride = stride;
    return VDB_OK;
}

static enum vdb_status open_ids(const struct opener *o, struct part *part, struct vdb_error *err)
{
    const struct segment_entry *s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_ID);
    enum vdb_status status =
        ids_view_init(&part->ids, o->file + s->off, s->len, o->rows, s->off, err);
    if (status) return status;
    s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_ID_HASH);
    status = id_hash_view_init(&part->id_hash, o->file + s->off, s->len, o->rows, s->off, err);
    if (status) return status;
    s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_METADATA);
    part->has_metadata = s != NULL;
    if (s)
        status =
            metadata_view_init(&part->metadata, o->file + s->off, s->len, o->rows, s->off, err);
    return status;
}

static enum vdb_status open_codes(const struct opener *o, struct part *part,
                                  struct code_header *out, struct vdb_error *err)
{
    const struct segment_entry *s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_CODE);
    struct code_header header;
    if (!s) {
        *out = (struct code_header){0};
        part->codes = (struct codes){
            .kind = CODES_VECTORS,
            .metric = o->manifest->metric,
            .rows = o->rows,
            .dim = o->manifest->dim,
            .code = part->vectors,
            .code_stride = part->stride,
            .bytes = part->stride,
            .type = o->manifest->type,
        };
        return VDB_OK;
    }
    enum vdb_status status = code_header_decode(o->file + s->off, s->len, o->rows, o->manifest->dim,
                                                s->off, o->file_len, &header, err);
    if (status) return status;
    bool four = header.kind == DISK_CODE_SQ4;
    const float *center = NULL;
    if (four) { /* aligned: center_off is a multiple of 64, as what is mapped is */
        center = (const float *)(const void *)(o->file + header.center_off);
        for (uint32_t i = 0; i < header.dim; i++)
            if (!isfinite(center[i]))
                return error_set_corrupt(err, "code", header.center_off + 4 * (uint64_t)i,
                                         "element %u of the center is no finite number", i);
    }
    part->codes = (struct codes){
        .kind = four ? CODES_4 : CODES_8,
        .metric = o->manifest->metric,
        .rows = o->rows,
        .dim = o->manifest->dim,
        .code = o->file + header.codes.off,
        .code_stride = header.codes.stride,
        .bytes = header.codes.width,
        .flip = (uint8_t)(header.flags & DISK_CODE_SIGNED ? 0x80 : 0),
        .norm = o->file + header.norms.off,
        .norm_stride = header.norms.stride,
        .scale = header.scale,
        .zero = header.zero,
        .center = center,
        .rotated = header.flags & DISK_CODE_ROTATED,
        .bias = header.bias,
        .error = header.error,
    };
    *out = header;
    osfile_want_huge_pages(part->codes.code, (size_t)o->rows * part->codes.code_stride);
    return VDB_OK;
}

static struct graph_levels levels_of(const struct graph_header *header, const uint8_t *segment)
{
    struct graph_levels levels = {.degree = header->level_degree};
    if (header->level_count < 2) return levels;
    levels.count = header->level_count - 1;
    levels.members = (const uint32_t *)(const void *)(segment + header->members_off);
    for (uint32_t i = 0; i < levels.count; i++) {
        uint64_t off = graph_header_level_off(header, i + 1);
        levels.sizes[i] = header->level_sizes[i];
        levels.edges[i] = (const uint32_t *)(const void *)(segment + off);
    }
    return levels;
}

static enum vdb_status open_graph(const struct opener *o, struct part *part, struct vdb_error *err)
{
    struct code_header codes;
    const struct segment_entry *s = manifest_segment(o->manifest, part->entry, DISK_SEGMENT_GRAPH);
    struct graph_header header;
    enum vdb_status status = open_codes(o, part, &codes, err);
    if (!status)
        status = graph_header_decode(o->file + s->off, s->len, o->rows, s->off, &header, err);
    if (!status) status = graph_header_match(&header, &codes, s->off, err);
    if (status) return status;
    /* Aligned to 4 at least: segments and the arrays in them are aligned to 64. */
    const uint8_t *segment = o->file + s->off;
    part->graph = (struct graph){
        .rows = o->rows,
        .degree = header.degree,
        .edges = (const uint32_t *)(const void *)(segment + header.edges_off),
        .pivots = (const uint32_t *)(const void *)(segment + header.pivots_off),
        .pivot_count = header.pivot_count,
        .built_rows = header.built_rows,
        .grid_scale = header.grid_scale,
        .grid_zero = header.grid_zero,
        .leader_count = header.leader_count,
        .groups = (const uint32_t *)(const void *)(segment + header.groups_off),
        .pivot_codes = header.code_bytes ? segment + header.pivot_codes_off : NULL,
        .pivot_norms = header.code_bytes ? segment + header.pivot_norms_off : NULL,
        .levels = levels_of(&header, segment),
    };
    osfile_want_huge_pages(segment, s->len);
    return VDB_OK;
}

static enum vdb_status open_ivf(const struct opener *o, struct part *part, struct vdb_error *err)
{
    const struct manifest *m = o->manifest;
    const struct segment_entry *s = manifest_segment(m, part->entry, DISK_SEGMENT_IVF);
    struct ivf_header header;
    struct ivf_view view;
    enum vdb_status status =
        ivf_header_decode(o->file + s->off, s->len, o->rows, m->dim, s->off, &header, err);
    if (!status) status = ivf_header_match(&header, m->type, m->metric, s->off, err);
    if (status) return status;
    struct ivf_vectors vectors = {part->vectors, part->stride, m->type, m->metric};
    ivf_view_init(&view, &header, o->file + s->off);
    ivf_init(&part->ivf, &view, &vectors);
    part->codes = part->ivf.codes;
    osfile_want_huge_pages(o->file + s->off, s->len);
    if (part->ivf.by_row)
        osfile_want_huge_pages(part->codes.code, (size_t)o->rows * part->codes.code_stride);
    return VDB_OK;
}

static enum vdb_status open_calibration(const struct opener *o, struct part *part,
                                        struct vdb_error *err)
{
    const struct segment_entry *s =
        manifest_segment(o->manifest, part->entry, DISK_SEGMENT_CALIBRATION);
    if (!s) return VDB_OK;
    enum vdb_status status =
        calibration_decode(o->file + s->off, s->len, s->off, &part->calibration, err);
    part->calibration.rows = o->rows;
    return status;
}

enum vdb_status part_open(const struct manifest *manifest, uint32_t index, const uint8_t *file,
                          uint64_t file_len, struct part *out, struct vdb_error *err)
{
    const struct part_entry *entry = &manifest->parts[index];
    struct opener o = {manifest, file, file_len, entry->row_end - entry->row_begin};
    *out = (struct part){.entry = entry, .row_begin = entry->row_begin, .row_end = entry->row_end};
    enum vdb_status status = open_vectors(&o, out, err);
    if (!status) status = open_ids(&o, out, err);
    const struct segment_entry *s = manifest_segment(manifest, entry, DISK_SEGMENT_TOMBSTONE);
    if (!status && s)
        status = tombstone_view(&out->tombstones, file + s->off, s->len, o.rows, s->off, err);
    s = manifest_segment(manifest, entry, DISK_SEGMENT_TIME);
    if (!status && s) status = row_times_view_init(&out->times, file + s->off, s->len, s->off, err);
    if (!status && entry->kind == DISK_PART_GRAPH) status = open_graph(&o, out, err);
    if (!status && entry->kind == DISK_PART_IVF) status = open_ivf(&o, out, err);
    if (!status && entry->kind != DISK_PART_FLAT) status = open_calibration(&o, out, err);
    out->graph.walk_dimension = out->calibration.walk_dimension;
    return status;
}

/* Lists are read further until nothing more is found: where a curve ends below this and below what
 * is wanted, codes do not tell what is near, and no effort helps. */
static bool lists_fall_short(const struct part *part, uint32_t k, double recall)
{
    if (part->entry->kind != DISK_PART_IVF) return false;
    return !calibration_reaches(&part->calibration, k, recall < REACHED ? recall : REACHED);
}

uint64_t part_cost(const struct part *part, uint32_t k, double recall)
{
    if (part->entry->kind == DISK_PART_FLAT) return 0;
    return calibration_cost(&part->calibration, k, recall > 0 ? recall : RECALL_DEFAULT);
}

uint32_t part_effort(const struct part *part, uint32_t k, double recall)
{
    if (part->entry->kind == DISK_PART_FLAT) return 0;
    if (!(recall > 0)) recall = RECALL_DEFAULT;
    if (lists_fall_short(part, k, recall)) return 0;
    uint32_t effort = calibration_effort(&part->calibration, k, recall);
    return effort ? effort : EFFORT_DEFAULT;
}
