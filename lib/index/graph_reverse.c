/* graph_reverse.c: edges back, to the rows that have a row in their lists.
 *
 * As in insertion, only what robust pruning kept gets one, not what fills a list up.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_reverse.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Edges sorted by their target, those to one in the order of their rows. While they are put in
 * place, a target's start is that of the one before it. */
enum vdb_status reverse_gather(struct reverse *reverse, struct vdb_error *err)
{
    const struct builder *b = reverse->builder;
    const uint32_t *edges = reverse->edges;
    size_t rows = b->growing.rows, degree = b->params.degree;
    size_t *starts = reverse->starts = calloc(rows + 2, sizeof *starts);
    if (!starts) return error_no_memory(err);
    for (size_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < reverse->kept[row]; i++) starts[edges[row * degree + i] + 2]++;
    for (size_t i = 2; i < rows + 2; i++) starts[i] += starts[i - 1];
    reverse->rows = malloc(starts[rows + 1] * sizeof *reverse->rows + 1);
    if (!reverse->rows) return error_no_memory(err);
    for (size_t row = 0; row < rows; row++)
        for (uint32_t i = 0; i < reverse->kept[row]; i++)
            reverse->rows[starts[edges[row * degree + i] + 1]++] = (uint32_t)row;
    return VDB_OK;
}

void reverse_release(struct reverse *reverse)
{
    free(reverse->starts);
    free(reverse->rows);
    reverse->starts = NULL;
    reverse->rows = NULL;
}

/* What was kept, the fresh, and then as much as there is room for of what filled the list. */
static uint32_t append(uint32_t *list, uint32_t degree, uint32_t kept, const uint32_t *fresh,
                       uint32_t n)
{
    uint32_t filled[GRAPH_DEGREE_MAX], count = kept + n;
    memcpy(filled, list + kept, (degree - kept) * sizeof *filled);
    memcpy(list + kept, fresh, n * sizeof *list);
    for (uint32_t i = 0; i < degree - kept && count < degree; i++)
        if (filled[i] != GRAPH_NO_ROW && !graph_list_has(fresh, n, filled[i]))
            list[count++] = filled[i];
    return count;
}

const uint32_t *reverse_rows(const struct reverse *reverse, uint32_t row, uint32_t *count)
{
    *count = (uint32_t)(reverse->starts[row + 1] - reverse->starts[row]);
    return reverse->rows + reverse->starts[row];
}

void reverse_link(struct reverse *reverse, struct pruner *pruner, uint32_t row)
{
    const struct builder *b = reverse->builder;
    uint32_t degree = b->params.degree, kept = reverse->kept[row], n = 0, count;
    uint32_t *list = reverse->edges + (size_t)row * degree;
    uint32_t *fresh = reverse->rows + reverse->starts[row];
    size_t all = reverse->starts[row + 1] - reverse->starts[row];
    for (size_t i = 0; i < all; i++)
        if (!graph_list_has(list, kept, fresh[i])) fresh[n++] = fresh[i];
    if (n == 0) return;
    if (kept + n <= degree) {
        count = append(list, degree, kept, fresh, n);
    } else {
        space_probe_row(&b->space, row, &pruner->walk->probe);
        pool_reset(&pruner->walk->pool, pruner->room);
        pool_measure(pruner, &b->space, list, kept);
        pool_measure(pruner, &b->space, fresh, n);
        count = prune_again(b, pruner, list);
    }
    for (; count < degree; count++) list[count] = GRAPH_NO_ROW;
}
