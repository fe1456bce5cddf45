/* graph_leaves.c: cutting rows into overlapping leaves, within which they are near.
 *
 * The randomised ball carving of PiPNN (arXiv 2602.21247), with overlap on the first level only:
 * on more levels it gave more copies and the same recall. Leaves depend on nothing but the rows
 * and their order.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_leaves.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "index/graph_homes.h"

#define BALLS_MAX 2048
#define BALL_ROWS 1000 /* on average, while balls are not too many */
#define CUTS_MAX  64   /* leaders of a ball */
#define DEPTH_MAX 8    /* of cutting; what is left then is cut by number */

struct leaves_scratch {
    struct tiles leaders;
    struct homes find;
    uint32_t *sorted; /* of a ball */
    uint16_t *homes;  /* of a ball */
};

/* Where leaves are handed to. */
struct visit {
    const struct leaves *leaves;
    struct leaves_scratch *scratch;
    leaf_fn fn;
    void *context;
    unsigned worker;
};

enum vdb_status leaves_init(struct leaves *leaves, struct vdb_error *err)
{
    size_t count = leaves->count, copies = leaves->copies, balls = count * copies / BALL_ROWS;
    if (balls < 2 * copies) balls = 2 * copies;
    if (balls > BALLS_MAX) balls = BALLS_MAX;
    leaves->balls = (uint32_t)balls;
    leaves->homes = malloc(count * copies * sizeof *leaves->homes);
    leaves->starts = calloc(balls + 2, sizeof *leaves->starts);
    leaves->members = malloc(count * copies * sizeof *leaves->members);
    leaves->scratch = calloc(leaves->workers, sizeof *leaves->scratch);
    if (!leaves->homes || !leaves->starts || !leaves->members || !leaves->scratch ||
        !tiles_alloc(&leaves->leaders, leaves->space, leaves->balls, true, false))
        return error_no_memory(err);
    for (unsigned i = 0; i < leaves->workers; i++) {
        struct leaves_scratch *s = &leaves->scratch[i];
        uint32_t most = leaves->balls > CUTS_MAX ? leaves->balls : CUTS_MAX;
        if (!homes_alloc(&s->find, leaves->space, most) ||
            !tiles_alloc(&s->leaders, leaves->space, CUTS_MAX, true, false))
            return error_no_memory(err);
    }
    for (uint32_t i = 0; i < leaves->balls; i++)
        tiles_pack(&leaves->leaders, leaves->space, i, leaves->order[i]);
    return VDB_OK;
}

void leaves_release(struct leaves *leaves)
{
    for (unsigned i = 0; leaves->scratch && i < leaves->workers; i++) {
        struct leaves_scratch *s = &leaves->scratch[i];
        tiles_free(&s->leaders);
        homes_free(&s->find);
        free(s->sorted);
        free(s->homes);
    }
    free(leaves->scratch);
    tiles_free(&leaves->leaders);
    free(leaves->homes);
    free(leaves->starts);
    free(leaves->members);
    *leaves = (struct leaves){0};
}

void leaves_home(struct leaves *leaves, unsigned worker, size_t begin, size_t end)
{
    homes_find(&leaves->scratch[worker].find, leaves->space, &leaves->leaders, leaves->balls,
               leaves->order + begin, end - begin, leaves->copies,
               leaves->homes + begin * leaves->copies);
}

enum vdb_status leaves_fill(struct leaves *leaves, struct vdb_error *err)
{
    size_t most = homes_sort(leaves->order, leaves->count, leaves->homes, leaves->copies,
                             leaves->balls, leaves->starts, leaves->members);
    free(leaves->homes);
    leaves->homes = NULL;
    for (unsigned i = 0; i < leaves->workers; i++) {
        struct leaves_scratch *s = &leaves->scratch[i];
        s->sorted = malloc(most * sizeof *s->sorted);
        s->homes = malloc(most * sizeof *s->homes);
        if (!s->sorted || !s->homes) return error_no_memory(err);
    }
    return VDB_OK;
}

static void cut_by_number(const struct visit *visit, const uint32_t *rows, size_t n)
{
    size_t pieces = (n + visit->leaves->leaf_rows - 1) / visit->leaves->leaf_rows;
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = n * i / pieces, end = n * (i + 1) / pieces;
        visit->fn(visit->context, visit->worker, rows + begin, (uint32_t)(end - begin));
    }
}

/* Sorts the rows by the nearest of a few leaders among them, and goes on with the rows of each. */
static void cut(const struct visit *visit, uint32_t *rows, size_t n, uint32_t depth)
{
    const struct space *space = visit->leaves->space;
    struct leaves_scratch *s = visit->scratch;
    if (n <= visit->leaves->leaf_rows || depth == DEPTH_MAX) {
        cut_by_number(visit, rows, n);
        return;
    }
    size_t starts[CUTS_MAX + 2] = {0}, leaders = 2 * n / visit->leaves->leaf_rows + 1;
    if (leaders > CUTS_MAX) leaders = CUTS_MAX;
    for (size_t i = 0; i < leaders; i++)
        tiles_pack(&s->leaders, space, (uint32_t)i, rows[n * i / leaders]);
    homes_find(&s->find, space, &s->leaders, (uint32_t)leaders, rows, n, 1, s->homes);
    homes_sort(rows, n, s->homes, 1, leaders, starts, s->sorted);
    memcpy(rows, s->sorted, n * sizeof *rows);
    for (size_t i = 0; i < leaders; i++)
        cut(visit, rows + starts[i], starts[i + 1] - starts[i], depth + 1);
}

void leaves_visit(struct leaves *leaves, unsigned worker, size_t begin, size_t end, leaf_fn fn,
                  void *context)
{
    struct visit visit = {.leaves = leaves,
                          .scratch = &leaves->scratch[worker],
                          .fn = fn,
                          .context = context,
                          .worker = worker};
    for (size_t i = begin; i < end; i++)
        cut(&visit, leaves->members + leaves->starts[i], leaves->starts[i + 1] - leaves->starts[i],
            0);
}
