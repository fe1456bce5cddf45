/* asking.h: all queries of a calibrator asked at one effort, and what they find at what cost.
 *
 * What is searched is m->graph by m->codes, or m->ivf where that is not NULL. `a` is an index of
 * KS_MEASURED. A job that fails is noted in m->status.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_ASKING_H
#define VDB_INDEX_ASKING_H

#include "index/calibrator.h"

#define ASKING_ROUGHLY 4 /* one query of so many, where few are enough */

/* Nothing has been found yet, and all that `depth` measures is open. */
void asking_begin(struct calibrator *m, calibrate_rerank_fn rerank, enum calibrate_depth depth);

/* What went wrong since. Errors: VDB_NO_MEMORY, and what rows.row_fn returned. */
enum vdb_status asking_end(const struct calibrator *m, struct vdb_error *err);

/* For how many of KS_MEASURED the query counts, from the first on. */
uint32_t asking_ks(const struct calibrator *m, uint32_t query);

/* Whether searches for KS_MEASURED[a] are asked at m->effort. Of a single list at least k rows
 * survive: with less effort searches are the same. */
bool asking_measures(const struct calibrator *m, uint32_t a);

/* m->active: the queries that have something to find at m->effort, and those that tell the cost. */
void asking_gather(struct calibrator *m);

/* Asks these. A query that found more before has that still. */
void asking_search(struct calibrator *m);

/* Gathers and asks for one k alone. */
void asking_only(struct calibrator *m, uint32_t a, uint32_t effort);

/* The hits of all queries asked anew, for one k, with so many survivors of an inverted file. */
uint64_t asking_hits(struct calibrator *m, uint32_t a, uint32_t effort, uint32_t survivors);

/* Those of a recall, and the recall of so many. */
uint64_t asking_wanted(const struct calibrator *m, uint32_t a, double recall);
double asking_share(const struct calibrator *m, uint32_t a, uint64_t hits);

/* The mean cost of the last searches for KS_MEASURED[a]. To be called once after each. */
uint32_t asking_cost(struct calibrator *m, uint32_t a);

bool asking_one_list(const struct calibrator *m);

/* The most effort there can be: rows, or lists where there are several. */
uint32_t asking_effort_max(const struct calibrator *m);

/* What all queries together may spend, in efforts of one search. */
uint64_t asking_budget(const struct calibrator *m);

#endif
