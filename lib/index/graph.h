/* graph.h: a proximity graph over coded rows: build and walk.
 *
 * Both use integer code distances, with ties decided by row, so that a graph and an answer are the
 * same on every CPU and for every number of threads.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_H
#define VDB_INDEX_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/codes.h"
#include "vdb.h"
#include "vector/kernel.h"

#define GRAPH_NO_ROW     0xffffffffu
#define GRAPH_LEVELS_MAX 16 /* above level 0: 4^16 rows are more than there can be */

/* The levels of an HNSW above level 0, which is the graph itself. Rows of level 1 and above are
 * members, those of higher levels first, so that a level's are the first sizes[l - 1] of them and a
 * member has one number on all its levels. A view; owns nothing. */
struct graph_levels {
    uint32_t count;                   /* 0: none */
    uint32_t degree;                  /* M; 0: the graph is no HNSW */
    const uint32_t *members;          /* their rows; NULL: members are numbered as the rows are */
    uint32_t sizes[GRAPH_LEVELS_MAX]; /* none larger than the one before */
    const uint32_t
        *edges[GRAPH_LEVELS_MAX]; /* sizes * M of each: members, filled as in the graph */
};

struct graph { /* a view; owns nothing */
    uint32_t rows;
    uint32_t degree;       /* R */
    const uint32_t *edges; /* rows * degree, filled from the front, GRAPH_NO_ROW behind */
    const uint32_t *pivots;
    uint32_t pivot_count;
    /* The pivots' codes (codes->bytes each) and norms, one behind another, as every walk measures
     * them all; NULL: they are taken from their rows. */
    const uint8_t *pivot_codes, *pivot_norms;
    /* The first so many pivots lead a group of the others each: those nearest to it. groups[i] is
     * where group i ends among the pivots; the first begins behind the leaders. 0: no groups. */
    uint32_t leader_count;
    const uint32_t *groups;
    struct graph_levels levels; /* above the rows: walks enter where they lead, too */
    uint32_t built_rows;        /* the first so many were built at once, the others put in later */
    float grid_scale;        /* of the 8-bit codes that it was built by, where those at hand are */
    int32_t grid_zero;       /* of another kind; both 0: not known, or built on the vectors */
    uint32_t walk_dimension; /* of rows, in thousandths, that walks for the k nearest end by; 0:
                                they end by ef alone */
};

struct graph_params {
    uint32_t degree;          /* R */
    uint32_t ef_construction; /* L: how many candidates are looked at for a row, or what is as much
                                 work in a build in bulk */
    uint32_t alpha_milli;     /* robust prune's alpha, in thousandths */
    unsigned threads;
    vdb_progress_fn progress; /* may be NULL; returning nonzero ends the build: VDB_CANCELLED */
    void *context;
    uint32_t *groups; /* where groups of pivots are put, graph_leader_count() of them; NULL: pivots
                         are not grouped. Left alone where fewer rows than pivots are distinct */
    /* A finished graph, without levels, of the first of the rows: what comes behind them is put
     * into it. Of `degree`, whose lists may be anything that a graph's may; rows in them and pivots
     * that it does not have are passed over or refused. NULL: all rows are new. */
    const struct graph *base;
    uint32_t bulk_rows; /* from so many distinct rows on all are put in at once, but under ip */
};

/* Fills params the caller left 0 with defaults. `dimension`: the rows' intrinsic dimension in
 * thousandths (dimension.h), 0 where it is not known. */
void graph_params_default(struct graph_params *params, uint32_t dimension);

/* How many pivots a graph of so many rows gets. */
uint32_t graph_pivot_count(uint32_t rows, enum vdb_metric metric);

/* How many where it goes on from `base`, at least as many: one more for as many new rows as a large
 * graph has for each. Walks hardly find rows of a new kind by pivots that are all of others. NULL:
 * the same. */
uint32_t graph_pivot_count_on(const struct graph *base, uint32_t rows, enum vdb_metric metric);

/* Whether a graph can be the base of one over so many rows: of one that another writer made, or
 * that is damaged, pivots may be too many, or no rows. */
bool graph_can_grow(const struct graph *base, uint32_t rows, enum vdb_metric metric);

/* How many of them lead groups; 0: none, every walk measures all pivots. */
uint32_t graph_leader_count(uint32_t rows, enum vdb_metric metric);

/* Builds over all rows of `codes`; edges (rows * params->degree) and pivots
 * (graph_pivot_count_on(params->base, rows)) are the caller's. The same codes and params give the
 * same edges for any number of threads and any kernel set. Every row has min(degree, rows - 1)
 * different neighbours, not itself, and can be reached from the first pivot. */
enum vdb_status graph_build(const struct codes *codes, const struct kernels *kernels,
                            const struct graph_params *params, uint32_t *edges, uint32_t *pivots,
                            struct vdb_error *err);

/* Copies what the rows of these pivots have: codes->bytes and codes_norm_bytes() a pivot. */
void graph_copy_pivots(const struct codes *codes, const uint32_t *pivots, uint32_t count,
                       uint8_t *pivot_codes, uint8_t *pivot_norms);

/* A walk's scratch space, for one thread at a time; grows to what it is used for. */
struct walk;
struct walk *walk_create(void);
void walk_free(struct walk *walk);

/* What a walk's runs did since it was created. */
struct walk_work {
    uint64_t expanded; /* rows whose lists were read */
    uint64_t measured; /* rows, pivots not among them */
};
struct walk_work walk_work_done(const struct walk *walk);

struct candidate {
    uint32_t row;
    uint32_t distance; /* of codes: a key to order by, smaller is nearer */
};

/* A query made ready: cheap, once a part. `query` is dim floats, already divided by its length
 * under cosine. */
enum vdb_status walk_prepare(struct walk *walk, const struct codes *codes,
                             const struct kernels *kernels, const float *query,
                             struct vdb_error *err);

/* What a candidate's distance says of what the metric orders by: the square of the distance under
 * l2, 1 - cosine, minus the inner product. */
double walk_estimate(const struct walk *walk, uint32_t distance);

/* Whether the prepared query lies on the grid of the codes, so that distances of codes that are
 * exact are exact too: squared distances, where codes have a scale of 1. */
int walk_is_exact(const struct walk *walk);

/* For the query prepared: the up to `keep` nearest rows that the walk meets, nearest first, ties by
 * row: *count of them in *candidates, which belong to the walk until its next use. It ends when the
 * `ef` nearest are expanded; ef is the effort, and may be below `keep`. A `keep` of 0 is 1. Every
 * edge and pivot is checked against graph->rows. Errors: as walk_graph_for. */
enum vdb_status walk_graph(struct walk *walk, const struct graph *graph, uint32_t ef, uint32_t keep,
                           const struct candidate **candidates, uint32_t *count,
                           struct vdb_error *err);

/* Which rows count; for how many of all, the others among them, there is to be room; and about how
 * many may be measured, by all walks of a query together, until it gives up. */
struct walk_filter {
    bool (*counts)(void *context, uint32_t row);
    void *context;
    uint32_t room;
    uint64_t budget;
};

/* The same for the `k` nearest. With an ef above k it ends where the next row is farther than the
 * ef-th nearest should be, as the k-th nearest met and graph->walk_dimension have it, between half
 * of ef and twice ef; under ip, and where there is no such dimension, as walk_graph does. Where
 * `keep` is below ef, the candidates are up to ef: those of them that are not farther. With a
 * filter only the rows that count do so for this: it goes on until enough of these are expanded,
 * and all that lie between them, within the `keep` nearest rows of all. So effort grows where rows
 * do not count and nowhere else. With an ef below k it goes on until k rows have been met that
 * count, if it can reach as many. Those of the candidates that do not count are the caller's to
 * drop. Where what it finds is much farther from the query than from its own neighbours, it walks
 * once or twice more from other pivots, which takes as long again, unless it gave up. A k of 0 is
 * none in particular: it goes without a filter, and without another walk. Errors: VDB_NO_MEMORY,
 * and VDB_LIMIT of a graph of more than 2^31 rows. */
enum vdb_status walk_graph_for(struct walk *walk, const struct graph *graph, uint32_t k,
                               uint32_t ef, uint32_t keep, const struct walk_filter *filter,
                               const struct candidate **candidates, uint32_t *count,
                               struct vdb_error *err);

#endif
