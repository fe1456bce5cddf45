/* ivf_code.h: what the codes of an inverted file are learned from, and its rows in them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_IVF_CODE_H
#define VDB_INDEX_IVF_CODE_H

#include <stdint.h>

#include "index/ivf_build.h"

struct ivf_builder { /* an inverted file while it is built */
    const struct quality_rows *rows;
    const struct codes *eight;
    const struct ivf_params *params;
    struct ivf_built *built;
    uint8_t *centroids;
    int32_t *norms;
    uint32_t *first, *second; /* lists of each row */
    uint32_t *slots;          /* of each row in params->single */
    uint8_t *matrix;          /* of the PCA */
    float *matrix_scales;
    float *codebook;
    uint32_t m; /* dimensions of the codes */
    struct pq pq;
    struct pca pca;
    enum vdb_status status; /* of jobs */
};

/* Learns the transform and the codebook from rows whose lists are known. Errors: VDB_NO_MEMORY, and
 * what rows->row_fn returns. */
enum vdb_status ivf_code_learn(struct ivf_builder *x, struct vdb_error *err);

/* Takes those of params->single over. Errors: VDB_NO_MEMORY. */
enum vdb_status ivf_code_take(struct ivf_builder *x, struct vdb_error *err);

/* Codes all rows in their slots, which have been laid out, and puts their factors there. Errors as
 * ivf_code_learn. */
enum vdb_status ivf_code_rows(struct ivf_builder *x, struct vdb_error *err);

#endif
