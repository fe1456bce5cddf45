/* part_graph.h: the graph of a part that is being built.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PART_GRAPH_H
#define VDB_DB_PART_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "db/part_codes.h"
#include "format/graph_header.h"
#include "index/calibrate.h"
#include "index/graph.h"

/* Codes to walk on, and how that went. */
struct graph_trial {
    struct part_codes codes; /* those of the build are not in here */
    struct part_codes *used; /* these, or those of the build */
    bool exact;
    struct calibration calibration;
};

struct part_graph {
    struct part_source *source;
    struct part_codes *eight;  /* 8-bit codes, which the graph is built on */
    struct part_codes vectors; /* these instead, where `by_vectors` */
    bool by_vectors;
    uint32_t *edges, *pivots, *groups;
    uint32_t *members, *level_edges; /* of an HNSW */
    struct graph view;
    struct graph_header header;
    uint8_t *front; /* of the graph segment, up to the edges */
    uint64_t graph_len;
    struct graph_trial trials[2];
    struct graph_trial *best;
};

/* Builds over the rows; `graph` is all zero before. `by_vectors`: on the vectors, not the 8-bit
 * codes, which walks then go by as well, where that can be: the codes do not tell well who is near
 * whom. `dimension`: the rows' intrinsic dimension in thousandths, 0 where it is not known. `base`:
 * a part of the first rows whose graph is built on if it has the degree that this one gets, or
 * NULL. End with part_graph_release, on errors too. */
enum vdb_status part_graph_make(struct part_source *source, struct part_codes *eight,
                                bool by_vectors, uint32_t dimension, const struct part *base,
                                struct part_graph *graph, struct vdb_error *err);
void part_graph_release(struct part_graph *graph);

/* What the graph was built on. */
const struct codes *part_graph_joined_by(const struct part_graph *graph);

/* Chooses the codes that walks do best with: graph->best, how far their estimates are off, and what
 * recall they have. The calibrator was opened with graph->view and graph->edges. */
enum vdb_status part_graph_measure(struct part_graph *graph, struct calibrator *calibrator,
                                   struct vdb_error *err);

/* In place of measuring: the kind of codes that `base` has, what was measured on them, and how far
 * their estimates are off. */
enum vdb_status part_graph_keep(struct part_graph *graph, const struct part *base,
                                struct vdb_error *err);

/* How many of the part's rows there were when its recall was measured. */
uint32_t part_graph_measured_rows(const struct part *part);

/* Whether what was kept still says what is found, by queries from the rows that came since it was
 * measured: those that the calibrator was opened with. Without one it is taken to. */
enum vdb_status part_graph_spot_check(struct part_graph *graph, struct calibrator *calibrator,
                                      bool *holds, struct vdb_error *err);

/* Undoes keeping and measuring; the graph stays. */
void part_graph_forget(struct part_graph *graph);

/* The share of the nearest rows that walks find, looked at more closely where it seems less than
 * `enough`. */
enum vdb_status part_graph_recall(struct part_graph *graph, double enough, double *recall,
                                  struct vdb_error *err);

/* Writes the segments of codes and graph into the build's file and adds them to the manifest. */
enum vdb_status part_graph_write(struct part_graph *graph, struct manifest *m,
                                 struct vdb_error *err);

#endif
