/* ivf_build.h: building an inverted file over coded rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_IVF_BUILD_H
#define VDB_INDEX_IVF_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "index/ivf.h"
#include "index/quality.h"

struct ivf_params {
    uint32_t lists;   /* 1 to the number of rows */
    uint32_t sub_dim; /* dimensions a 4-bit code stands for: 1, 2 or 4 */
    uint32_t out_dim; /* of the codes: `dim` for the dimensions as they are, less for so many
                         principal axes (pca.h), 0 for what the residuals ask for */
    bool spill;       /* each row into a second list too */
    unsigned threads;
    vdb_progress_fn progress; /* may be NULL; returning nonzero ends the build: VDB_CANCELLED */
    void *context;
    const uint8_t *centroids; /* lists of them, as codes of the rows' grid; NULL: trained */
    const uint8_t *seeds;     /* what to begin training with (kmeans.h), as codes; may be NULL */
    uint32_t seed_count;
    /* Built over the same rows without second lists, or NULL. With it `spill` is set and all of
     * the above but threads, progress and context are its own: lists, transform, codebook, and the
     * codes in first lists are taken over. */
    const struct ivf_built *single;
};

/* Fills in what the caller left 0, but for out_dim, from the number of rows, their dimensions, and
 * their intrinsic dimension in thousandths (dimension.h). */
void ivf_params_default(struct ivf_params *params, uint32_t rows, uint32_t dim, uint32_t dimension);

struct ivf_built {
    struct ivf_header header; /* survivors are left 0 */
    uint8_t *segment;         /* without the header's bytes; from pages_alloc */
    size_t len;
    float *b, *f;     /* of each slot, before they were rounded */
    double imbalance; /* kmeans_imbalance of the lists */
};

/* Builds over all rows of `eight`, their 8-bit codes; `by_row` says that these are the stored
 * vectors, of which no copy is kept. The same rows and params give the same bytes for any number of
 * threads and any kernel set. End with ivf_built_release, on errors too. Errors: VDB_CANCELLED,
 * VDB_LIMIT, VDB_NO_MEMORY, and what rows->row_fn returns. */
enum vdb_status ivf_build(const struct quality_rows *rows, const struct codes *eight, bool by_row,
                          const struct ivf_params *params, struct ivf_built *built,
                          struct vdb_error *err);
void ivf_built_release(struct ivf_built *built);

#endif
