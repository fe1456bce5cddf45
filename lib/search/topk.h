/* topk.h: the k best rows seen so far, in order.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_TOPK_H
#define VDB_SEARCH_TOPK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct topk_item {
    double key;
    uint32_t row;
};

struct topk { /* sorted by key, ties by row */
    struct topk_item *items;
    uint32_t count, cap;
};

static inline enum vdb_status topk_init(struct topk *top, uint32_t k, struct vdb_error *err)
{
    *top = (struct topk){.items = malloc(k * sizeof *top->items), .cap = k};
    return top->items ? VDB_OK : error_no_memory(err);
}

static inline void topk_release(struct topk *top)
{
    free(top->items);
}

static inline void topk_reset(struct topk *top)
{
    top->count = 0;
}

static inline int topk_before(const struct topk_item *a, double key, uint32_t row)
{
    return a->key < key || (a->key == key && a->row < row);
}

/* No row with a larger key than this can come among the best any more. */
static inline double topk_worst(const struct topk *top)
{
    return top->count == top->cap ? top->items[top->count - 1].key : INFINITY;
}

/* `key` is not a NaN. A row that is offered again, with the same key, is there once: what lists of
 * a damaged file hold may be twice the same. */
static inline void topk_offer(struct topk *top, uint32_t row, double key)
{
    if (top->count == top->cap && topk_before(&top->items[top->count - 1], key, row)) return;
    uint32_t low = 0, high = top->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (topk_before(&top->items[mid], key, row))
            low = mid + 1;
        else
            high = mid;
    }
    if (low < top->count && top->items[low].row == row && top->items[low].key == key) return;
    if (top->count == top->cap) top->count--;
    memmove(top->items + low + 1, top->items + low, (top->count - low) * sizeof *top->items);
    top->items[low] = (struct topk_item){key, row};
    top->count++;
}

static inline void topk_merge(struct topk *top, const struct topk *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        topk_offer(top, from->items[i].row, from->items[i].key);
}

#endif
