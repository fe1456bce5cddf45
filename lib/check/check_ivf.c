/* check_ivf.c: what an ivf segment says of the stored vectors; implements the formulas of
 * format-spec/ivf.md.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_ivf.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/ivf_header.h"
#include "index/codes.h"
#include "index/pca.h"
#include "index/pq.h"
#include "vector/vtype.h"

static const char SEGMENT[] = "ivf";

/* Of b and f, which fit binary32 and are rounded to 11 bits; and of their subnormal numbers, in
 * units. */
#define ROUNDING 0x1p-10
#define STEP     0x1p-24
/* Of what b is the sum of, whose parts may cancel out: they are made of binary32 numbers. */
#define CANCELLED 0x1p-20

struct ivf_check {
    const struct vdb_snapshot *snapshot;
    const struct part *part;
    const struct manifest *manifest;
    struct ivf_view view;
    uint64_t file_off;
    const uint8_t *segment;
    struct pq pq;
    struct pca pca;
    struct quantizer quantizer;
    /* Scratch space; of a list: its centroid c and P c. Of a row: itself, x - c, P (x - c), what
     * its 4-bit codes stand for, these, and the 8-bit code. */
    float *c, *pc, *x, *r, *y, *u;
    uint8_t *codes, *eight;
};

static int scratch_init(struct ivf_check *k)
{
    size_t dim = k->view.h.dim, m = k->view.h.out_dim;
    k->c = malloc((3 * dim + 3 * m) * sizeof *k->c);
    k->codes = malloc((size_t)k->view.groups * PQ_GROUP);
    k->eight = malloc(codes_bytes(k->view.h.dim));
    if (!k->c || !k->codes || !k->eight) return 0;
    k->x = k->c + dim;
    k->r = k->x + dim;
    k->pc = k->r + dim;
    k->y = k->pc + m;
    k->u = k->y + m;
    return 1;
}

static void scratch_release(struct ivf_check *k)
{
    free(k->c);
    free(k->codes);
    free(k->eight);
}

static double dot(const struct ivf_check *k, const float *a, const float *b, uint32_t n)
{
    return k->snapshot->kernels->dot[VDB_TYPE_F32](a, b, n);
}

static void transform(const struct ivf_check *k, const float *r, float *y)
{
    if (k->view.matrix)
        pca_apply_exact(&k->pca, r, y);
    else
        memcpy(y, r, k->view.h.dim * sizeof *y);
}

static void load_centroid(struct ivf_check *k, uint32_t list)
{
    const struct ivf_header *h = &k->view.h;
    for (uint32_t i = 0; i < h->dim; i++) {
        int32_t code = k->view.centroids[ivf_centroid_at(h->dim, list, i)];
        k->c[i] = h->scale * (float)(code - h->zero);
    }
    transform(k, k->c, k->pc);
}

static void load_row(struct ivf_check *k, uint32_t row)
{
    const struct manifest *m = k->manifest;
    const uint8_t *vector = k->part->vectors + row * k->part->stride;
    vtype_load(m->type, vector, k->x, m->dim);
    if (m->metric != VDB_METRIC_COSINE) return;
    double length = sqrt(k->snapshot->kernels->sumsq[m->type](vector, m->dim));
    for (uint32_t i = 0; i < m->dim; i++) k->x[i] = (float)(k->x[i] / length);
}

/* ---- one row ------------------------------------------------------------------------------- */

static enum vdb_status check_slot_code(struct ivf_check *k, uint32_t slot,
                                       struct vdb_error *finding)
{
    const struct ivf_header *h = &k->view.h;
    uint64_t off = h->slot_codes_off + (uint64_t)slot * h->slot_code_stride;
    int32_t norm;
    if (!k->view.slot_codes) return VDB_OK;
    codes_encode_row(k->snapshot->kernels, &k->quantizer, k->x, h->dim, k->eight, &norm);
    if (memcmp(k->eight, k->segment + off, h->dim) == 0) return VDB_OK;
    return error_set_corrupt(finding, SEGMENT, k->file_off + off,
                             "the code of slot %" PRIu32 " is not that of row %u", slot,
                             (unsigned)(k->part->row_begin + k->view.slot_rows[slot]));
}

static bool is_near(double stored, double expected, double parts, float unit)
{
    expected = fmin(fmax(expected, -(double)FLT_MAX), (double)FLT_MAX);
    return fabs(stored - expected) <=
           ROUNDING * fabs(expected) + CANCELLED * parts + STEP * (double)unit;
}

/* A writer may have made b with f as it was rounded. */
static enum vdb_status check_factors(struct ivf_check *k, uint32_t slot, const uint8_t *block,
                                     struct vdb_error *finding)
{
    const struct ivf_header *h = &k->view.h;
    uint32_t place = slot % VDB_IVF_BLOCK;
    bool ip = k->manifest->metric == VDB_METRIC_IP;
    double b = (double)h->unit_b * f16_to_f32(le16_at(block + 2 * place));
    double f = (double)h->unit_f * f16_to_f32(le16_at(block + 32 + 2 * place));
    for (uint32_t i = 0; i < h->dim; i++) k->r[i] = k->x[i] - k->c[i];
    transform(k, k->r, k->y);
    pq_unpack_row(block + 64, place, k->view.groups * PQ_GROUP, k->codes);
    pq_decode(&k->pq, k->codes, k->u);
    struct pq_row row = {dot(k, k->y, k->y, h->out_dim), dot(k, k->y, k->u, h->out_dim),
                         dot(k, k->u, k->u, h->out_dim)};
    double residual = dot(k, k->r, k->r, h->dim), center = dot(k, k->pc, k->u, h->out_dim);
    struct pq_factors made = pq_factors_of(ip, &row, residual, center);
    double with_f = fabs(made.f * center) * (ROUNDING / CANCELLED);
    uint64_t at = k->file_off + (uint64_t)(block - k->segment) + 2 * place;
    if (!is_near(f, made.f, 0, h->unit_f))
        return error_set_corrupt(finding, SEGMENT, at + 32,
                                 "f of slot %" PRIu32 " is %g, and %g by its codes", slot, f,
                                 made.f);
    if (ip ? b != 0 : !is_near(b, made.b, residual + with_f, h->unit_b))
        return error_set_corrupt(finding, SEGMENT, at,
                                 "b of slot %" PRIu32 " is %g, and %g by its codes", slot, b,
                                 made.b);
    return VDB_OK;
}

/* ---- all ----------------------------------------------------------------------------------- */

/* Of a segment that validates. */
static enum vdb_status check_rows(struct ivf_check *k, struct vdb_error *finding)
{
    enum vdb_status status = scratch_init(k) ? VDB_OK : error_no_memory(finding);
    for (uint32_t number = 0; number < k->view.h.list_count && !status; number++) {
        struct ivf_list list = ivf_view_list(&k->view, number);
        load_centroid(k, number);
        for (uint32_t i = 0; i < list.row_count && !status; i++) {
            uint32_t slot = list.first_slot + i;
            load_row(k, k->view.slot_rows[slot]);
            status = check_slot_code(k, slot, finding);
            if (!status)
                status = check_factors(
                    k, slot, list.blocks + (size_t)(i / VDB_IVF_BLOCK) * k->view.block_bytes,
                    finding);
        }
    }
    scratch_release(k);
    return status;
}

enum vdb_status check_ivf(const struct vdb_snapshot *s, const struct part *part,
                          struct vdb_error *finding)
{
    const struct manifest *m = &s->generation->manifest;
    const struct segment_entry *segment = manifest_segment(m, part->entry, DISK_SEGMENT_IVF);
    const uint8_t *p = s->generation->view->base + segment->off;
    struct ivf_header h;
    enum vdb_status status = ivf_header_decode(p, segment->len, part->row_end - part->row_begin,
                                               m->dim, segment->off, &h, finding);
    if (!status) status = ivf_header_match(&h, m->type, m->metric, segment->off, finding);
    if (!status) status = ivf_header_validate(&h, p, segment->off, finding);
    if (!status)
        status =
            ivf_header_validate_norms(&h, p, part->vectors, part->stride,
                                      m->type == VDB_TYPE_I8 ? 0x80 : 0, segment->off, finding);
    if (status) return status;
    struct ivf_check k = {
        .snapshot = s,
        .part = part,
        .manifest = m,
        .file_off = segment->off,
        .segment = p,
        .quantizer = {h.scale, h.zero},
    };
    ivf_view_init(&k.view, &h, p);
    k.pq = (struct pq){s->kernels, k.view.codebook, h.out_dim, h.sub_dim};
    k.pca = (struct pca){s->kernels, h.dim, h.out_dim, k.view.matrix, k.view.matrix_scales};
    return check_rows(&k, finding);
}
