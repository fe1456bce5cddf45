/* calibrate.h: what recall which effort gives in a part's index, measured on rows of the part.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_CALIBRATE_H
#define VDB_INDEX_CALIBRATE_H

#include <stdint.h>

#include "format/calibration.h"
#include "index/graph.h"
#include "index/ivf.h"
#include "index/quality.h"
#include "vdb.h"

/* How many of a walk's candidates, nearest codes first, a search for the k nearest with effort `ef`
 * keeps at least, for the stored vectors to decide between: k where nothing is left to decide, as
 * codes are the vectors, else more. It never keeps fewer than ef. */
typedef uint32_t (*calibrate_rerank_fn)(uint32_t k, uint32_t ef);

/* What measuring needs: queries, which are rows, the rows nearest to them, and a graph without
 * them. */
struct calibrator;

/* `graph` and `edges` may be NULL, where no walks are to be measured. Takes one of 16 rows for a
 * query, up to 384 of them; of many rows one of 128, up to 768; but at most 128 if `few`. They are
 * put out of the way in `edges`, which is graph->edges, until calibrate_close. `eight` are the
 * 8-bit codes, `joined_by` these or the vectors: what the graph was built on; alpha_milli is what
 * it was built with. All that is passed must stay until then. Of fewer than 512 rows nothing is
 * measured: *out is NULL then. Errors: VDB_NO_MEMORY, and what rows->row_fn returns; `edges` is
 * then as it was. */
enum vdb_status calibrate_open(const struct quality_rows *rows, const struct codes *eight,
                               const struct codes *joined_by, const struct graph *graph,
                               uint32_t *edges, uint32_t alpha_milli, bool few,
                               struct calibrator **out, struct vdb_error *err);

/* The same with rows from `first` on alone for queries: 256 times their share of all, 16 to 128.
 * The graph was built on the 8-bit codes. *out is NULL also where there are not twice as many of
 * them. */
enum vdb_status calibrate_open_last(uint32_t first, const struct quality_rows *rows,
                                    const struct codes *eight, const struct graph *graph,
                                    uint32_t *edges, uint32_t alpha_milli, struct calibrator **out,
                                    struct vdb_error *err);

enum calibrate_depth {
    CALIBRATE_ROUGH, /* a quarter of the queries, k up to 10: enough to choose codes by */
    CALIBRATE_FULL
};

/* Measures recall@k for k = 1, 10 and 100, as far as there are so many rows, of walks over `codes`,
 * against efforts that rise until nothing much is missed, or until that has cost a few hundredths
 * of what a build does. `graph` is the one that was opened, with pivots coded as `codes` are. The
 * same rows give the same curves for any number of threads and any kernel set, whatever was
 * measured before. Without a calibrator `out` has no curves. Errors: VDB_NO_MEMORY, and what
 * rows->row_fn returns. */
enum vdb_status calibrate_walks(struct calibrator *calibrator, const struct codes *codes,
                                const struct graph *graph, calibrate_rerank_fn rerank,
                                enum calibrate_depth depth, struct calibration *out,
                                struct vdb_error *err);

/* The same of searches in an inverted file over the same rows, the queries among them; `rerank` is
 * asked with the survivors for an ef, for how many candidates are kept. */
enum vdb_status calibrate_probes(struct calibrator *calibrator, const struct ivf *ivf,
                                 calibrate_rerank_fn rerank, enum calibrate_depth depth,
                                 struct calibration *out, struct vdb_error *err);

/* *recall becomes the mean recall@k of walks with this effort; k is one of those above. Errors: as
 * calibrate_walks. */
enum vdb_status calibrate_recall(struct calibrator *calibrator, const struct codes *codes,
                                 const struct graph *graph, calibrate_rerank_fn rerank, uint32_t k,
                                 uint32_t effort, double *recall, struct vdb_error *err);

/* How many of the least estimates have to survive in searches for k = 1, 10 and 100, so that no
 * more would find next to nothing more, with so many lists: enough for a recall of 0.99. Both are
 * left alone without a calibrator, and of a single list. */
enum vdb_status calibrate_survivors(struct calibrator *calibrator, const struct ivf *ivf,
                                    calibrate_rerank_fn rerank, uint32_t survivors[3],
                                    uint32_t *lists, struct vdb_error *err);

/* Puts the edges back as they were. NULL is allowed. */
void calibrate_close(struct calibrator *calibrator);

#endif
