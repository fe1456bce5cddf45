/* ivf.h: an inverted file: rows in lists around centroids, searched by scanning the nearest lists.
 *
 * A search measures all centroids by 8-bit codes and takes the nearest lists, as many as its
 * effort says. Their rows are estimated from 4-bit product codes (pq.h), by one table for all
 * lists; the rows of the least estimates survive, and are measured by 8-bit codes; the nearest of
 * these are the candidates, which the caller measures by their stored vectors.
 *
 * The inverted file is that of Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor
 * Search" (TPAMI 2011).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_IVF_H
#define VDB_INDEX_IVF_H

#include <stdbool.h>
#include <stdint.h>

#include "format/ivf_header.h"
#include "index/codes.h"
#include "index/graph.h"
#include "index/kmeans.h"
#include "index/pca.h"
#include "index/pq.h"

struct ivf { /* a view; owns nothing */
    struct ivf_view view;
    struct kmeans_lists centroids;
    struct pq pq;   /* this and the next without kernels */
    struct pca pca; /* where view.matrix is not NULL */
    /* What survivors are measured by: a code a slot, or, where the stored vectors are their own
     * codes, one a row. Queries are prepared for these (walk_prepare). */
    struct codes codes;
    bool by_row;
};

/* A part's stored vectors and what they are. */
struct ivf_vectors {
    const uint8_t *vectors;
    size_t stride;
    enum vdb_type type;
    enum vdb_metric metric;
};

/* `view` has passed ivf_header_decode and ivf_header_match. */
void ivf_init(struct ivf *ivf, const struct ivf_view *view, const struct ivf_vectors *vectors);

/* How many of the least estimates survive in a search for the k nearest, with an effort of so many
 * lists: from what was measured for k 1, 10 and 100. A file of a single list has an effort of rows
 * instead, those that survive. */
uint32_t ivf_survivors(const struct ivf *ivf, uint32_t k, uint32_t effort);

/* A search's scratch space, for one thread at a time; grows to what it is used for. */
struct ivf_scratch;
struct ivf_scratch *ivf_scratch_create(void);
void ivf_scratch_free(struct ivf_scratch *scratch);

/* What searches did since it was created: lists, the rows in them, and how many of these were
 * measured again by 8-bit codes. */
struct ivf_work {
    uint64_t probed, scanned, survived;
};
struct ivf_work ivf_work_done(const struct ivf_scratch *scratch);

struct ivf_effort {
    uint32_t lists;     /* that are scanned, the nearest, or so many that k rows lie in them */
    uint32_t survivors; /* rows of the least estimates. Measured by 8-bit codes are those of them */
    uint32_t k;         /* that may be among the k nearest, as far as estimates tell, */
    uint32_t keep;      /* and the nearest of these are the candidates */
};

/* For the query that `walk` was prepared for with ivf->codes, its dim floats given again: the
 * candidates, nearest by 8-bit codes first, ties by row, each once: *count of them in *candidates,
 * which belong to the walk until its next use. Every row is checked against the number of rows.
 * Errors: VDB_NO_MEMORY, VDB_LIMIT (over 2^31 rows). */
enum vdb_status ivf_search(struct ivf_scratch *scratch, struct walk *walk, const struct ivf *ivf,
                           const float *query, const struct ivf_effort *effort,
                           const struct candidate **candidates, uint32_t *count,
                           struct vdb_error *err);

#endif
