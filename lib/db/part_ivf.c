/* part_ivf.c: the inverted file of a part that is being built.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "db/part_ivf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "db/part_index.h"
#include "db/space.h"
#include "index/margin.h"

/* Rows stand in a second list too where that makes searches so much cheaper, as it doubles the
 * codes; it is tried where searches look into so many lists. */
#define SPILL_PAYS 0.7
#define SPILL_FROM 8

static uint32_t sub_dim_of(enum vdb_codes codes)
{
    switch (codes) {
    case VDB_CODES_I4:
        return 1;
    case VDB_CODES_PQ:
        return 2;
    case VDB_CODES_B1:
        return 4;
    case VDB_CODES_AUTO:
    case VDB_CODES_NONE:
    case VDB_CODES_I8:
        break;
    }
    return 0;
}

/* Centroids that the build was given, on the grid of the rows' codes: *codes is the caller's to
 * free. In doubles, by which centroids read from a segment of the same grid get the codes that they
 * had: in binary32 a place far from 0 on a fine grid could be rounded to the next. */
static enum vdb_status code_centroids(const float *centroids, uint32_t count,
                                      const struct codes *eight, uint8_t **codes,
                                      struct vdb_error *err)
{
    *codes = calloc(count, eight->bytes);
    if (!*codes) return error_no_memory(err);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < eight->dim; j++) {
            double x = (double)centroids[i * eight->dim + j];
            double place = x / (double)eight->scale + (double)eight->zero;
            place = place < 0 ? 0 : place > 255 ? 255 : place;
            (*codes)[i * eight->bytes + j] = (uint8_t)(place + 0.5);
        }
    return VDB_OK;
}

enum vdb_status part_ivf_make(struct part_source *source, const struct part_codes *eight,
                              uint32_t dimension, struct part_ivf *ivf, struct vdb_error *err)
{
    const struct part_build *b = source->build;
    struct quality_rows rows = part_source_rows(source);
    struct ivf_params params = {
        .sub_dim = sub_dim_of(source->manifest->codes),
        .threads = b->threads,
        .progress = b->progress,
        .context = b->context,
    };
    uint8_t *centroids = NULL;
    enum vdb_status status = VDB_OK;
    if (b->centroids) {
        status = code_centroids(b->centroids, b->centroid_count, &eight->view, &centroids, err);
        params.centroids = centroids;
        params.lists = b->centroid_count;
    } else if (b->seeds) {
        status = code_centroids(b->seeds, b->seed_count, &eight->view, &centroids, err);
        params.seeds = centroids;
        params.seed_count = b->seed_count;
    }
    ivf_params_default(&params, rows.rows, rows.dim, dimension);
    if (!status) status = ivf_build(&rows, &eight->view, !eight->own, &params, &ivf->built, err);
    free(centroids);
    return status;
}

static struct ivf view_of(const struct part_source *source, const struct part_ivf *ivf)
{
    const struct manifest *m = source->manifest;
    struct ivf_vectors vectors = {source->vectors, source->stride, m->type, m->metric};
    struct ivf_view view;
    struct ivf made;
    ivf_view_init(&view, &ivf->built.header, ivf->built.segment);
    ivf_init(&made, &view, &vectors);
    return made;
}

static enum vdb_status measure(struct part_source *source, const struct part_codes *eight,
                               struct calibrator *calibrator, struct part_ivf *ivf,
                               struct vdb_error *err)
{
    struct quality_rows rows = part_source_rows(source);
    struct ivf_header *h = &ivf->built.header;
    calibrate_rerank_fn rerank = eight->own ? margin_candidates : margin_candidates_exact;
    struct ivf made = view_of(source, ivf);
    enum vdb_status status = VDB_OK;
    if (eight->own) status = margin_measure_ivf(&rows, &made, &h->bias, &h->error, err);
    if (!status)
        status =
            calibrate_survivors(calibrator, &made, rerank, h->survivors, &h->survivor_lists, err);
    made = view_of(source, ivf);
    if (!status)
        status =
            calibrate_probes(calibrator, &made, rerank, CALIBRATE_FULL, &ivf->calibration, err);
    return status;
}

/* Builds over the same lists once more, each row in two of them. */
static enum vdb_status make_spilled(struct part_source *source, const struct part_codes *eight,
                                    const struct part_ivf *single, struct part_ivf *spilled,
                                    struct vdb_error *err)
{
    const struct part_build *b = source->build;
    const struct ivf_header *h = &single->built.header;
    struct quality_rows rows = part_source_rows(source);
    struct ivf_params params = {
        .lists = h->list_count,
        .sub_dim = h->sub_dim,
        .out_dim = h->out_dim,
        .spill = true,
        .single = &single->built,
        .threads = b->threads,
        .progress = b->progress,
        .context = b->context,
    };
    return ivf_build(&rows, &eight->view, !eight->own, &params, &spilled->built, err);
}

static double cost_of(const struct part_ivf *ivf)
{
    double low = calibration_cost(&ivf->calibration, QUALITY_NEAREST, 0.95),
           high = calibration_cost(&ivf->calibration, QUALITY_NEAREST, 0.99);
    return low > 0 && high > 0 ? low + high : HUGE_VAL;
}

enum vdb_status part_ivf_measure(struct part_source *source, const struct part_codes *eight,
                                 struct calibrator *calibrator, struct part_ivf *ivf,
                                 struct vdb_error *err)
{
    struct part_ivf spilled = {0};
    enum vdb_status status = measure(source, eight, calibrator, ivf, err);
    uint32_t lists = calibration_effort(&ivf->calibration, QUALITY_NEAREST, 0.95);
    if (status || ivf->built.header.list_count == 1 || lists < SPILL_FROM) return status;
    status = make_spilled(source, eight, ivf, &spilled, err);
    if (!status) status = measure(source, eight, calibrator, &spilled, err);
    if (!status && cost_of(&spilled) < SPILL_PAYS * cost_of(ivf)) {
        struct part_ivf single = *ivf;
        *ivf = spilled;
        spilled = single;
    }
    part_ivf_release(&spilled);
    return status;
}

void part_ivf_release(struct part_ivf *ivf)
{
    ivf_built_release(&ivf->built);
}

enum vdb_status part_ivf_write(const struct part_source *source, const struct part_ivf *ivf,
                               struct segment_entry *segment, struct vdb_error *err)
{
    struct disk_ivf_header *disk = (struct disk_ivf_header *)(void *)ivf->built.segment;
    ivf_header_encode(&ivf->built.header, disk);
    return part_build_segment(source->build, ivf->built.segment, ivf->built.len, segment, err);
}
