/* graph_order.c: the order in which rows enter a graph, and under ip what their lengths come to.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/error.h"
#include "base/par.h"
#include "index/graph_build.h"

static uint64_t mix(uint64_t x) /* the finaliser of splitmix64 (Steele et al., OOPSLA 2014) */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void swap_rows(uint32_t *a, uint32_t *b)
{
    uint32_t row = *a;
    *a = *b;
    *b = row;
}

uint32_t graph_order(const uint32_t *representative, uint32_t rows, uint32_t *order)
{
    uint32_t n = 0;
    for (uint32_t row = 0; row < rows; row++)
        if (representative[row] == row) order[n++] = row;
    for (uint32_t i = n; i > 1; i--) swap_rows(&order[i - 1], &order[mix(i) % i]);
    return n;
}

/* Malkov and Yashunin's floor(-ln(u) / ln M) for u in (0, 1), without a logarithm. */
static uint32_t level_of(uint32_t row, uint32_t degree)
{
    uint64_t hash = mix(~(uint64_t)row), below = UINT64_MAX / degree;
    uint32_t level = 0;
    for (; level < GRAPH_LEVELS_MAX && hash < below; below /= degree) level++;
    return level;
}

uint32_t graph_order_levels(uint32_t *order, uint32_t distinct, uint32_t degree,
                            uint32_t sizes[GRAPH_LEVELS_MAX])
{
    uint32_t count = 0, members = 0;
    for (uint32_t i = 0; i < distinct; i++) /* the few to the front */
        if (level_of(order[i], degree)) swap_rows(&order[i], &order[members++]);
    for (uint32_t level = GRAPH_LEVELS_MAX, front = 0; level > 0; level--) {
        for (uint32_t i = front; i < members; i++)
            if (level_of(order[i], degree) == level) swap_rows(&order[i], &order[front++]);
        sizes[level - 1] = front;
        if (front && count == 0) count = level;
    }
    return count;
}

struct lengths {
    const struct codes *codes;
    uint64_t *squared; /* |x|^2 a row, in units of the codes' scale */
};

static void length_job(void *context, unsigned worker, size_t begin, size_t end)
{
    struct lengths *lengths = context;
    const struct codes *codes = lengths->codes;
    (void)worker;
    for (size_t row = begin; row < end; row++) {
        const uint8_t *code = codes->code + row * codes->code_stride;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < codes->dim; i++) {
            int64_t x = (int64_t)(code[i] ^ codes->flip) - codes->zero;
            sum += (uint64_t)(x * x);
        }
        lengths->squared[row] = sum;
    }
}

void graph_rise(const struct codes *codes, unsigned threads, uint64_t *rise, uint32_t *shift)
{
    struct lengths lengths = {codes, rise};
    par_for(threads, codes->rows, 1024, length_job, &lengths);
    uint64_t most = 0;
    for (uint32_t row = 0; row < codes->rows; row++)
        if (rise[row] > most) most = rise[row];
    for (uint32_t row = 0; row < codes->rows; row++) rise[row] = most - rise[row];
    *shift = 1;
    while (4 * most >> *shift > UINT32_MAX) ++*shift;
}
