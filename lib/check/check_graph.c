/* check_graph.c: whether walks on a graph can find its rows.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "check/check_graph.h"

#include <stdlib.h>

#include "base/error.h"

#define SEGMENT "graph"

struct level { /* 0 is the graph itself; above it, members stand for rows */
    uint32_t number, rows, degree;
    const uint32_t *edges;
    const uint32_t *entries; /* NULL: the first */
    uint32_t entry_count;
};

static uint32_t length_of(const struct level *level, uint32_t row)
{
    const uint32_t *list = level->edges + (size_t)row * level->degree;
    uint32_t n = 0;
    while (n < level->degree && list[n] != GRAPH_NO_ROW) n++;
    return n;
}

struct reach {
    uint8_t *seen;   /* a row */
    uint32_t *queue; /* of rows seen */
    size_t head, tail;
};

static void see(struct reach *reach, uint32_t row)
{
    if (reach->seen[row]) return;
    reach->seen[row] = 1;
    reach->queue[reach->tail++] = row;
}

static void spread(struct reach *reach, const struct level *level)
{
    for (uint32_t i = 0; i < level->entry_count; i++)
        see(reach, level->entries ? level->entries[i] : i);
    while (reach->head < reach->tail) {
        uint32_t row = reach->queue[reach->head++], n = length_of(level, row);
        const uint32_t *list = level->edges + (size_t)row * level->degree;
        for (uint32_t i = 0; i < n; i++) see(reach, list[i]);
    }
}

static enum vdb_status check_reach(const struct level *level, uint64_t file_off,
                                   struct vdb_error *finding)
{
    struct reach reach = {calloc(level->rows, 1), malloc(level->rows * sizeof *reach.queue), 0, 0};
    enum vdb_status status = reach.seen && reach.queue ? VDB_OK : error_no_memory(finding);
    if (!status) spread(&reach, level);
    if (!status && reach.tail < level->rows) {
        uint32_t row = 0;
        while (reach.seen[row]) row++;
        status = error_set_corrupt(finding, SEGMENT, file_off,
                                   "%zu %s of %u cannot be reached%s, the first of them %u",
                                   level->rows - reach.tail, level->number ? "members" : "rows",
                                   level->rows, level->number ? " on a level" : "", row);
    }
    free(reach.seen);
    free(reach.queue);
    return status;
}

static enum vdb_status check_degrees(const struct vdb_snapshot *s, const struct part *part,
                                     const struct level *level, uint64_t file_off,
                                     struct vdb_error *finding)
{
    uint32_t most = level->degree < level->rows - 1 ? level->degree : level->rows - 1;
    uint32_t least = most / 2;
    for (uint32_t row = 0; row < level->rows; row++) {
        uint32_t n = length_of(level, row);
        if (n < least && !liveness_deleted(&s->dead, part->row_begin + row))
            return error_set_corrupt(finding, SEGMENT, file_off,
                                     "row %u has %u neighbours, fewer than half of %u",
                                     part->row_begin + row, n, most);
    }
    return VDB_OK;
}

enum vdb_status check_graph(const struct vdb_snapshot *snapshot, const struct part *part,
                            uint64_t file_off, struct vdb_error *finding)
{
    const struct graph *g = &part->graph;
    const struct graph_levels *above = &g->levels;
    struct level ground = {0, g->rows, g->degree, g->edges, g->pivots, g->pivot_count};
    enum vdb_status status = check_degrees(snapshot, part, &ground, file_off, finding);
    if (!status) status = check_reach(&ground, file_off, finding);
    for (uint32_t i = 0; i < above->count && !status; i++) {
        struct level level = {i + 1, above->sizes[i], above->degree, above->edges[i], NULL, 1};
        status = check_reach(&level, file_off, finding);
    }
    return status;
}
