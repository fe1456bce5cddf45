/* margin.h: how far estimates by codes are off, measured near rows of the part itself.
 *
 * A search measures the walk's candidates by their stored vectors, nearest estimate first, and ends
 * where no estimate can be wrong enough to matter any more. What "enough" is follows from these
 * two figures.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_MARGIN_H
#define VDB_INDEX_MARGIN_H

#include "index/graph.h"
#include "index/ivf.h"
#include "index/quality.h"

/* An estimate is rarely off by more than so many times its error. */
#define MARGIN_ERRORS 2.5

/* How many candidates a search for the k nearest keeps at least, for the stored vectors to decide
 * between, of a walk with effort `ef` or an inverted file with so many survivors; and where codes
 * are the vectors, so that nothing is left to decide. */
uint32_t margin_candidates(uint32_t k, uint32_t ef);
uint32_t margin_candidates_exact(uint32_t k, uint32_t ef);

/* The most that the estimate of a row may be which is no farther than `worst`, both in what the
 * metric orders by. */
static inline double margin_reach(const struct codes *codes, double worst)
{
    return worst + (double)codes->bias + MARGIN_ERRORS * (double)codes->error;
}

/* Sets codes->bias and codes->error, in what the metric orders by, from the candidates of short
 * walks whose queries are rows. 0 where codes are the rows. The same for any number of threads and
 * any kernel set. Errors: VDB_NO_MEMORY, and what rows->row_fn returns. */
enum vdb_status margin_measure(const struct quality_rows *rows, const struct graph *graph,
                               struct codes *codes, struct vdb_error *err);

/* The same of the 8-bit codes of an inverted file. */
enum vdb_status margin_measure_ivf(const struct quality_rows *rows, const struct ivf *ivf,
                                   float *bias, float *error, struct vdb_error *err);

#endif
