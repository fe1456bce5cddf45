/* graph_repair.c: what holds for every graph that is built: lists of full length, and every row
 * reachable from the first pivot, where all walks start beside other places.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/error.h"
#include "index/graph_build.h"

#define AHEAD 8 /* lists lie anywhere: so many rows on, they are fetched */

/* A list is short only where there were few distinct rows: it takes the neighbours of its
 * neighbours, then rows as they come. */
static void fill_list(uint32_t row, uint32_t rows, uint32_t degree, uint32_t *edges)
{
    uint32_t *list = edges + (size_t)row * degree, length = 0;
    while (length < degree && list[length] != GRAPH_NO_ROW) length++;
    for (uint32_t i = 0; i < length && length < degree; i++) {
        const uint32_t *theirs = edges + (size_t)list[i] * degree;
        for (uint32_t j = 0; j < degree && length < degree && theirs[j] != GRAPH_NO_ROW; j++)
            if (theirs[j] != row && !graph_list_has(list, length, theirs[j]))
                list[length++] = theirs[j];
    }
    for (uint32_t i = 1; i < rows && length < degree; i++) {
        uint32_t other = (uint32_t)(((uint64_t)row + i) % rows);
        if (!graph_list_has(list, length, other)) list[length++] = other;
    }
}

void graph_fill(uint32_t rows, uint32_t degree, uint32_t *edges)
{
    for (uint32_t row = 0; row < rows; row++)
        if (edges[(size_t)row * degree + degree - 1] == GRAPH_NO_ROW)
            fill_list(row, rows, degree, edges);
}

/* A tree that reaches rows from the first pivot. An edge that is not of it can go without cutting
 * anything off. */
struct tree {
    uint32_t *parent; /* a row: GRAPH_NO_ROW: not reached; itself: the root */
    uint32_t *queue;
    size_t head, tail;
    uint32_t *heir;    /* a row: where rows go that it is to take in */
    uint32_t *adopted; /* a row: how many its heir has taken in */
};

static void reach(struct tree *tree, uint32_t row, uint32_t parent)
{
    if (tree->parent[row] != GRAPH_NO_ROW) return;
    tree->parent[row] = parent;
    tree->queue[tree->tail++] = row;
}

static void spread(struct tree *tree, const struct graph *graph)
{
    while (tree->head < tree->tail) {
        if (tree->head + AHEAD < tree->tail) {
            size_t soon = tree->queue[tree->head + AHEAD];
            for (uint32_t i = 0; i < graph->degree; i += 16)
                __builtin_prefetch(graph->edges + soon * graph->degree + i, 0, 2);
        }
        uint32_t row = tree->queue[tree->head++];
        const uint32_t *list = graph->edges + (size_t)row * graph->degree;
        for (uint32_t i = 0; i < graph->degree && list[i] != GRAPH_NO_ROW; i++)
            reach(tree, list[i], row);
    }
}

/* Gives `from` an edge to `row` in place of its last that can go; 0 where it has none, or is not
 * reached itself. */
static int attach(struct tree *tree, const struct graph *graph, uint32_t *edges, uint32_t from,
                  uint32_t row)
{
    if (tree->parent[from] == GRAPH_NO_ROW) return 0;
    uint32_t *list = edges + (size_t)from * graph->degree;
    for (uint32_t i = graph->degree; i-- > 0;) {
        if (list[i] == GRAPH_NO_ROW || tree->parent[list[i]] == from) continue;
        list[i] = row;
        reach(tree, row, from);
        return 1;
    }
    return 0;
}

/* Attaches `row` near `from`. A row gives up one edge of its own at most; what else it is to take
 * in goes to the row that it took in, half of whose edges may go, and so on. Under ip most rows can
 * be out of reach, because none has them for nearest, and the few that are near to all are those
 * whose edges every search needs. */
static int adopt(struct tree *tree, const struct graph *graph, uint32_t *edges, uint32_t from,
                 uint32_t row)
{
    uint32_t heir = tree->heir[from];
    if (!attach(tree, graph, edges, heir, row)) return 0;
    uint32_t limit = heir == from ? 1 : graph->degree / 2;
    if (++tree->adopted[from] >= limit) {
        tree->heir[from] = row;
        tree->adopted[from] = 0;
    }
    return 1;
}

/* By the nearest of the rows that a walk meets. Lists that are not full have all rows. The tree
 * has fewer edges than reached rows and their lists have more, so some row can always serve. */
static void adopt_somewhere(struct tree *tree, const struct graph *graph, uint32_t *edges,
                            const struct space *space, struct pruner *pruner, uint32_t ef,
                            uint32_t row)
{
    struct walk *walk = pruner->walk;
    space_probe_row(space, row, &walk->probe);
    walk_run(walk, space, graph, &walk->probe, ef, ef);
    for (uint32_t i = 0; i < walk->pool.count; i++)
        if (adopt(tree, graph, edges, pool_row(walk->pool.keys[i]), row)) return;
    for (uint32_t from = 0; from < graph->rows; from++)
        if (attach(tree, graph, edges, from, row)) return;
}

static void repair(struct tree *tree, const struct graph *graph, uint32_t *edges,
                   const struct space *space, struct pruner *pruner, uint32_t ef)
{
    for (uint32_t row = 0; row < graph->rows; row++) {
        tree->parent[row] = GRAPH_NO_ROW;
        tree->heir[row] = row;
        tree->adopted[row] = 0;
    }
    reach(tree, graph->pivots[0], graph->pivots[0]);
    spread(tree, graph);
    for (uint32_t row = 0; row < graph->rows; row++) {
        if (tree->parent[row] != GRAPH_NO_ROW) continue;
        adopt_somewhere(tree, graph, edges, space, pruner, ef, row);
        spread(tree, graph);
    }
}

enum vdb_status graph_repair(const struct graph *graph, uint32_t *edges, const struct space *space,
                             struct pruner *pruner, uint32_t ef, struct vdb_error *err)
{
    size_t rows = graph->rows;
    uint32_t *memory = malloc(4 * rows * sizeof *memory);
    if (!memory) return error_no_memory(err);
    struct tree tree = {.parent = memory,
                        .queue = memory + rows,
                        .heir = memory + 2 * rows,
                        .adopted = memory + 3 * rows};
    repair(&tree, graph, edges, space, pruner, ef);
    free(memory);
    return VDB_OK;
}
