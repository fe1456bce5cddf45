/* check_deep.c: the invariants that checksums do not show; format-spec/README.md lists them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_deep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "check/check_graph.h"
#include "check/check_ivf.h"
#include "check/check_manifest.h"
#include "format/code_header.h"
#include "format/graph_header.h"
#include "format/tombstone.h"
#include "index/codes.h"
#include "index/codes4.h"
#include "vector/vtype.h"

/* ---- rows ---------------------------------------------------------------------------------- */

struct vectors {
    const uint8_t *rows;
    size_t stride;
    uint32_t count;
    uint64_t off;
};

/* Numbers are finite, a cosine index has no zero vector, and the padding is zero. */
static enum vdb_status check_vectors(const struct vdb_snapshot *s, const struct vectors *v,
                                     struct vdb_error *finding)
{
    const struct manifest *m = &s->generation->manifest;
    size_t used = m->dim * vtype_size(m->type);
    for (uint32_t row = 0; row < v->count; row++) {
        const uint8_t *at = v->rows + row * v->stride;
        uint64_t off = v->off + row * v->stride;
        double sum = s->kernels->sumsq[m->type](at, m->dim);
        if (!isfinite(sum))
            return error_set_corrupt(finding, "vector", off,
                                     "vector has a number that is not finite");
        if (sum == 0 && m->metric == VDB_METRIC_COSINE)
            return error_set_corrupt(finding, "vector", off, "vector is zero under cosine");
        for (size_t i = used; i < v->stride; i++)
            if (at[i])
                return error_set_corrupt(finding, "vector", off + i,
                                         "padding behind a vector is not zero");
    }
    return VDB_OK;
}

/* ---- parts --------------------------------------------------------------------------------- */

struct part_check {
    struct checker *checker;
    const struct vdb_snapshot *snapshot;
    const struct part *part;
    const uint8_t *file;
};

static const struct segment_entry *segment_of(const struct part_check *p, unsigned type)
{
    return manifest_segment(&p->snapshot->generation->manifest, p->part->entry, type);
}

static enum vdb_status check_part_rows(const struct part_check *p, struct vdb_error *finding)
{
    const struct part *part = p->part;
    uint32_t rows = part->row_end - part->row_begin;
    struct vectors v = {part->vectors, part->stride, rows, segment_of(p, DISK_SEGMENT_VECTOR)->off};
    enum vdb_status status = check_vectors(p->snapshot, &v, finding);
    if (!status) status = ids_validate(&part->ids, finding);
    if (!status) status = id_hash_validate(&part->id_hash, &part->ids, finding);
    if (!status && part->has_metadata) status = metadata_validate(&part->metadata, finding);
    if (!status && part->tombstones)
        status = tombstone_validate(part->tombstones, rows,
                                    segment_of(p, DISK_SEGMENT_TOMBSTONE)->off, finding);
    if (!status && part->times.count)
        status =
            row_times_validate(&part->times, rows, segment_of(p, DISK_SEGMENT_TIME)->off, finding);
    return status;
}

/* Each code is what the header's scale and zero make of the stored vector. */
static enum vdb_status check_codes_match(const struct part_check *p, const struct code_header *h,
                                         struct vdb_error *finding)
{
    const struct manifest *m = &p->snapshot->generation->manifest;
    struct quantizer quantizer = {h->scale, h->zero};
    const struct codes *codes = &p->part->codes;
    struct codes4 four = {p->snapshot->kernels, codes->center, m->dim, codes->rotated};
    bool is_four = h->kind == DISK_CODE_SQ4;
    uint32_t used = is_four ? (m->dim + 1) / 2 : m->dim;
    float *x = malloc(m->dim * sizeof *x), *scratch = malloc(codes4_scratch(m->dim) * sizeof *x);
    uint8_t *code = malloc(h->codes.width);
    enum vdb_status status = x && scratch && code ? VDB_OK : error_no_memory(finding);
    for (uint32_t row = 0; row < h->rows && !status; row++) {
        const uint8_t *vector = p->part->vectors + row * p->part->stride;
        int32_t norm;
        vtype_load(m->type, vector, x, m->dim);
        double length = 1;
        if (h->flags & DISK_CODE_NORMALIZE)
            length = sqrt(p->snapshot->kernels->sumsq[m->type](vector, m->dim));
        for (uint32_t i = 0; i < m->dim; i++) x[i] = (float)(x[i] / length);
        struct codes4_factors factors;
        const uint8_t *stored_norm = codes->norm + row * codes->norm_stride;
        if (is_four)
            codes4_encode(&four, x, scratch, code, &factors);
        else
            codes_encode_row(p->snapshot->kernels, &quantizer, x, m->dim, code, &norm);
        uint64_t off = h->codes.off + (uint64_t)row * h->codes.stride;
        if (memcmp(code, p->file + off, used) != 0 ||
            (is_four && memcmp(&factors, stored_norm, sizeof factors) != 0))
            status = error_set_corrupt(finding, "code", off,
                                       "codes of row %u are not those of its vector",
                                       p->part->row_begin + row);
    }
    free(x);
    free(scratch);
    free(code);
    return status;
}

static enum vdb_status check_part_index(const struct part_check *p, struct vdb_error *finding)
{
    const struct segment_entry *code = segment_of(p, DISK_SEGMENT_CODE);
    const struct segment_entry *vector = segment_of(p, DISK_SEGMENT_VECTOR);
    const struct segment_entry *graph = segment_of(p, DISK_SEGMENT_GRAPH);
    const struct manifest *m = &p->snapshot->generation->manifest;
    uint32_t rows = p->part->row_end - p->part->row_begin;
    struct code_header header = {0};
    struct graph_header graph_header;
    enum vdb_status status = VDB_OK;
    if (code)
        status = code_header_decode(p->file + code->off, code->len, rows, m->dim, code->off,
                                    p->snapshot->file_len, &header, finding);
    if (!status && code)
        status = code_header_check_planes(&header, code->off, code->len, vector->off, vector->len,
                                          finding);
    if (!status && code) status = code_header_validate(&header, p->file, finding);
    if (!status && code && header.codes.off != vector->off)
        status = check_codes_match(p, &header, finding);
    if (!status)
        status = graph_header_decode(p->file + graph->off, graph->len, rows, graph->off,
                                     &graph_header, finding);
    if (!status)
        status = graph_header_validate(&graph_header, p->file + graph->off, graph->off, finding);
    if (!status) status = graph_header_match(&graph_header, &header, graph->off, finding);
    if (!status)
        status = graph_header_validate_copies(&graph_header, p->file + graph->off, &header, p->file,
                                              graph->off, finding);
    if (!status) status = check_graph(p->snapshot, p->part, graph->off, finding);
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vdb_status check_tail_commit(const struct vdb_snapshot *s,
                                         const struct tail_commit *commit,
                                         struct vdb_error *finding)
{
    if (!commit->log.row_count) return VDB_OK;
    struct vectors v = {commit->vectors, commit->log.stride, commit->log.row_count,
                        commit->log.vectors.off};
    enum vdb_status status = check_vectors(s, &v, finding);
    if (!status) status = ids_validate(&commit->ids, finding);
    if (!status && commit->log.metadata.len) status = metadata_validate(&commit->metadata, finding);
    return status;
}

/* The live rows are as many as the state says, and each is what its id leads to. */
static enum vdb_status check_live(const struct vdb_snapshot *s, struct vdb_error *finding)
{
    uint32_t live = 0;
    for (uint32_t row = 0; row < s->row_count; row++) {
        if (liveness_deleted(&s->dead, row)) continue;
        live++;
        const char *id;
        size_t id_len;
        uint32_t found;
        enum vdb_status status = vdb_row_id(s, row, &id, &id_len, finding);
        if (!status) status = snapshot_find(s, &s->dead, id, id_len, false, &found, finding);
        if (status) return status;
        if (found != row)
            return error_set_corrupt(finding, "id-hash", 0, "the id of live row %u leads to row %u",
                                     row, found);
    }
    if (live != s->live_count)
        return error_set_corrupt(finding, "tombstone", 0, "%u rows are live, expected %u", live,
                                 s->live_count);
    return VDB_OK;
}

enum vdb_status check_deep(struct checker *c, const struct vdb_snapshot *s, struct vdb_error *err)
{
    const struct generation *g = s->generation;
    struct vdb_error finding;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < g->manifest.part_count && !status; i++) {
        struct part_check p = {c, s, &g->parts[i], g->view->base};
        status = checker_take(c, check_part_rows(&p, &finding), &finding);
        if (!status && p.part->entry->kind == DISK_PART_GRAPH)
            status = checker_take(c, check_part_index(&p, &finding), &finding);
        if (!status && p.part->entry->kind == DISK_PART_IVF)
            status = checker_take(c, check_ivf(s, p.part, &finding), &finding);
    }
    for (uint32_t i = 0; i < s->tail_count && !status; i++)
        status = checker_take(c, check_tail_commit(s, tail_at(&g->tail, i), &finding), &finding);
    if (!status) status = checker_take(c, check_live(s, &finding), &finding);
    if (status && err) *err = finding;
    return status ? status : check_manifest(c, s, err);
}
