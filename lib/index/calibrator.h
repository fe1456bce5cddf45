/* calibrator.h: the queries that calibrations are measured with, and their true neighbours.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_CALIBRATOR_H
#define VDB_INDEX_CALIBRATOR_H

#include <stdbool.h>

#include "index/beam.h"
#include "index/calibrate.h"
#include "index/graph_without.h"
#include "index/tiles.h"

#define WINDOW 256 /* rows nearest by codes that the k nearest are sought among */
#define GROUP  64  /* queries that share a scan */
#define KS     3
#define K_MAX  100

static const uint32_t KS_MEASURED[KS] = {1, 10, K_MAX};

struct query {
    uint32_t row;
    uint32_t ks;       /* it counts for so many of KS_MEASURED, from the first on */
    uint32_t count;    /* of the window */
    double reach[KS];  /* how far off the k-th nearest row is */
    uint32_t hits[KS]; /* at the last effort; all k once they were */
    double cost[KS];   /* when it was last asked */
    double before[KS]; /* and the time before */
    bool beyond;       /* rows outside of the window may be as near as the last that counts */
};

struct calibrator {
    struct quality_rows rows;
    const struct codes *eight; /* that the graph was built on */
    const struct graph *graph;
    uint32_t *edges;
    struct graph_undo *undo;
    uint64_t *gone;                       /* a bit a row: it is a query */
    uint32_t first, query_count, k_count; /* queries are rows from `first` on */
    struct query *queries;
    uint8_t *hits;     /* CALIBRATION_POINTS_MAX a query and one of KS_MEASURED */
    float *values;     /* dim a query */
    uint64_t *windows; /* WINDOW keys a query, nearest first; once judged, judged_row() by row */
    uint32_t *active;  /* queries that have something to find */
    unsigned workers;
    struct scratch *scratch;
    enum vdb_status status; /* of the first job that failed */

    /* One measurement's. */
    const struct codes *codes; /* that walks use */
    const struct ivf *ivf;     /* NULL: walks are measured */
    uint32_t survivors;        /* of an inverted file; 0: as many as it says itself */
    calibrate_rerank_fn rerank;
    uint32_t every, k_limit; /* its queries; how many of KS_MEASURED, k_count at most */
    bool open[KS];           /* the curve goes on */
    double cost[KS];         /* the mean over the queries */
    uint32_t active_count, effort;
};

struct scratch { /* a worker's */
    struct walk *walk;
    struct ivf_scratch *probe;
    struct probe probes[GROUP];
    struct tiles packed, asked; /* rows of a block, and the queries; not under ip */
    uint32_t *distances;        /* of a block */
    struct pool pools[GROUP];
    float *x;
};

/* Notes that a job failed; the first to do so counts. */
void calibrator_fail(struct calibrator *calibrator, enum vdb_status status);

/* *place becomes the least `a` such that the row is as near to the query as the KS_MEASURED[a]-th
 * nearest, or KS. x: room for a row. */
enum vdb_status calibrator_place(const struct calibrator *calibrator, uint32_t query, uint32_t row,
                                 float *x, uint8_t *place);

#endif
