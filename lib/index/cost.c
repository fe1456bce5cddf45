/* cost.c: what searches cost, by what they count.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/cost.h"

/* In hundredths of a nanosecond. */
#define EXPANSION     9000 /* to read a list, and to wait for it */
#define MEASURED      1100 /* to meet a row, keep it or not, and wait for its code */
#define LINE          280  /* each line of a code that lies anywhere */
#define LINE_IN_ROW   60   /* and of one that the processor's streams fetch */
#define FAR           5000 /* to wait for a row that no cache holds, beyond what is taken to be in one: */
#define NEAR_BYTES    (96u << 20)
#define PIVOT         300
#define BY_VECTOR     700 /* more than codes take, each by a call of its own */
#define GROUP         14 /* of 8 codes of a row: 4 bytes, at the pace of memory beyond the second cache */
#define SCANNED       20   /* factors, limit */
#define PROBED        8500 /* to begin with a list */
#define SURVIVOR_LINE 370
#define SURVIVOR      4000 /* to keep it among the best so far */
#define LIST          60   /* to select it or not */
#define LIST_DIM      90   /* a hundredth of it for each dimension */
#define TABLE_DIM     370  /* the look-up table */
#define PCA_LINE      80
#define VECTOR        400
#define VECTOR_BYTE   6
#define DECIDED       2500 /* to wait for a vector that only this query wants, */
#define DECIDED_LINE  1300 /* on pages of which few are known to the processor */

uint32_t cost_lines(const struct codes *codes)
{
    uint64_t used = codes->bytes;
    bool apart = codes->kind != CODES_VECTORS && codes->norm_stride != codes->code_stride;
    return (uint32_t)((used + 63) / 64) + apart;
}

/* Of a graph so much larger than caches that its codes, and lists taken to be as long, are mostly
 * in none, a walk waits longer for each row: a million of 128 dimensions by 4 bits take twice the
 * time that as many steps among a third of them take. */
static uint64_t waiting(const struct codes *codes)
{
    uint64_t bytes = 2 * (uint64_t)codes->rows * codes->code_stride;
    return bytes > NEAR_BYTES ? FAR * (bytes - NEAR_BYTES) / bytes : 0;
}

static uint64_t call(const struct codes *codes)
{
    return codes->kind == CODES_VECTORS ? BY_VECTOR : 0;
}

uint64_t cost_walks(const struct codes *codes, const struct walk_work *work)
{
    uint64_t row = MEASURED + LINE * (uint64_t)cost_lines(codes) + call(codes) + waiting(codes);
    return (EXPANSION * work->expanded + row * work->measured) / 100;
}

uint64_t cost_entry(const struct codes *codes, const struct graph *graph)
{
    uint64_t pivots = graph->pivot_count;
    if (graph->leader_count) /* all leaders, and the groups of a few */
        pivots = graph->leader_count + 8 * (pivots / graph->leader_count);
    return pivots * (PIVOT + LINE_IN_ROW * (uint64_t)cost_lines(codes) + call(codes)) / 100;
}

uint64_t cost_probes(const struct ivf *ivf, const struct ivf_work *work)
{
    uint64_t row = SCANNED + GROUP * (uint64_t)ivf->view.groups;
    uint64_t survivor = SURVIVOR + SURVIVOR_LINE * (uint64_t)cost_lines(&ivf->codes);
    return (PROBED * work->probed + row * work->scanned + survivor * work->survived) / 100;
}

uint64_t cost_lists(const struct ivf *ivf)
{
    const struct ivf_header *h = &ivf->view.h;
    uint64_t lists = h->list_count * (LIST + LIST_DIM * (uint64_t)h->dim / 100);
    uint64_t transform = ivf->view.matrix ? PCA_LINE * (uint64_t)h->out_dim * (h->dim / 64 + 1) : 0;
    return (lists + transform + TABLE_DIM * (uint64_t)h->out_dim) / 100;
}

uint64_t cost_vectors(uint64_t rows, uint64_t bytes)
{
    return rows * (DECIDED + DECIDED_LINE * ((bytes + 63) / 64)) / 100;
}

uint64_t cost_scan(uint64_t rows, uint64_t bytes)
{
    return rows * (VECTOR + VECTOR_BYTE * bytes) / 100;
}

uint64_t cost_list(uint64_t rows, uint64_t bytes)
{
    return rows * (MEASURED + LINE * ((bytes + 63) / 64)) / 100;
}
