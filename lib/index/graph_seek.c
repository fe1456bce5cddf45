/* graph_seek.c: edges to rows that walks do not find.
 *
 * Measured before: leaves of samples at coarser scales, whose edges are longer; walks from them
 * found 164 to 193 of 256 tight groups.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_seek.h"

#include <stdlib.h>

#include "base/error.h"

#define SHARE   8 /* one row in so many is sought, */
#define SHORTER 4 /* by a walk so much shorter than one for its neighbours would be */

enum vdb_status seek_init(struct seek *seek, const struct builder *builder, uint32_t *edges,
                          struct vdb_error *err)
{
    *seek = (struct seek){.builder = builder, .edges = edges, .sought = builder->distinct / SHARE};
    seek->ends = malloc(seek->sought * sizeof *seek->ends + 1);
    return seek->ends ? VDB_OK : error_no_memory(err);
}

void seek_release(struct seek *seek)
{
    free(seek->ends);
    seek->ends = NULL;
}

static uint32_t row_at(const struct seek *seek, size_t i)
{
    return seek->builder->order[seek->builder->distinct - 1 - i];
}

void seek_run(struct seek *seek, struct walk *walk, size_t begin, size_t end)
{
    const struct builder *b = seek->builder;
    uint32_t ef = b->params.ef_construction / SHORTER;
    struct graph graph = b->growing;
    graph.degree = b->params.degree;
    graph.edges = seek->edges;
    for (size_t i = begin; i < end; i++) {
        uint32_t row = row_at(seek, i);
        space_probe_row(&b->space, row, &walk->probe);
        walk_run(walk, &b->space, &graph, &walk->probe, ef, ef);
        uint32_t nearest = walk->pool.count ? pool_row(walk->pool.keys[0]) : row;
        seek->ends[i] = nearest == row ? GRAPH_NO_ROW : nearest;
    }
}

/* The last quarter of a list, which mostly only fills it, is what edges are put in the place of,
 * from its end on. */
enum vdb_status seek_link(struct seek *seek, struct vdb_error *err)
{
    const struct builder *b = seek->builder;
    uint32_t degree = b->params.degree;
    uint16_t *added = calloc(b->growing.rows, sizeof *added);
    if (!added) return error_no_memory(err);
    for (uint32_t i = 0; i < seek->sought; i++) {
        uint32_t row = row_at(seek, i), from = seek->ends[i];
        if (from == GRAPH_NO_ROW) continue;
        uint32_t *list = seek->edges + (size_t)from * degree;
        if (graph_list_has(list, degree, row)) continue;
        uint32_t place = degree - 1 - added[from]++ % (degree / 4);
        while (place > 0 && list[place - 1] == GRAPH_NO_ROW) place--;
        list[place] = row;
    }
    free(added);
    return VDB_OK;
}
