/* scan.c: exact search over rows one by one, for several queries at once.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/scan.h"

#include "index/flat.h"

#define BLOCK_ROWS  128u
#define QUERIES_MAX 64 /* looked at in one go; more make several */

struct block { /* rows at hand */
    const uint8_t *vectors;
    size_t stride;
    uint32_t first, count; /* `first` counts from the index's first row */
};

static bool wanted(const struct vdb_snapshot *s, bool deleted, uint32_t row)
{
    return deleted || !liveness_deleted(&s->dead, row);
}

static void offer_block(const struct vdb_snapshot *s, const struct block *b, bool deleted,
                        struct query *query)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (wanted(s, deleted, b->first + i))
            query_offer(query, s, b->first + i, b->vectors + i * b->stride);
}

static void scan_rows(const struct vdb_snapshot *s, struct block all, bool deleted,
                      struct query *queries, size_t count)
{
    for (uint32_t done = 0; done < all.count; done += BLOCK_ROWS) {
        struct block block = all;
        block.first += done;
        block.vectors += done * all.stride;
        block.count = all.count - done < BLOCK_ROWS ? all.count - done : BLOCK_ROWS;
        for (size_t q = 0; q < count; q++) offer_block(s, &block, deleted, &queries[q]);
    }
}

/* Whether integers can stand for the distances of this part: see index/flat.h. */
static bool prepare_flat(const struct vdb_snapshot *s, const struct part *part, struct query *query,
                         struct flat_query *flat)
{
    *flat = (struct flat_query){.values = query->codes};
    return part->entry->kind != DISK_PART_FLAT && s->generation->manifest.metric == VDB_METRIC_L2 &&
           part->codes.code == part->vectors && part->codes.scale == 1 &&
           flat_query_prepare(flat, &part->codes, query->values);
}

static void offer_flat(const struct vdb_snapshot *s, const struct part *part, uint32_t begin,
                       uint32_t count, bool deleted, const struct flat_query *flat,
                       struct query *query)
{
    uint32_t distances[BLOCK_ROWS];
    flat_l2sq(flat, &part->codes, s->kernels, begin, count, distances);
    double worst = topk_worst(&query->top);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = part->row_begin + begin + i;
        if (distances[i] > worst || !wanted(s, deleted, row)) continue;
        topk_offer(&query->top, row, distances[i]);
        worst = topk_worst(&query->top);
    }
}

static void scan_part_some(const struct vdb_snapshot *s, const struct part *part, bool deleted,
                           struct query *queries, size_t count)
{
    struct flat_query flat[QUERIES_MAX];
    bool is_flat[QUERIES_MAX];
    for (size_t q = 0; q < count; q++) is_flat[q] = prepare_flat(s, part, &queries[q], &flat[q]);
    uint32_t rows = part->row_end - part->row_begin;
    for (uint32_t begin = 0; begin < rows; begin += BLOCK_ROWS) {
        uint32_t n = rows - begin < BLOCK_ROWS ? rows - begin : BLOCK_ROWS;
        struct block block = {part->vectors + begin * part->stride, part->stride,
                              part->row_begin + begin, n};
        for (size_t q = 0; q < count; q++) {
            if (is_flat[q])
                offer_flat(s, part, begin, n, deleted, &flat[q], &queries[q]);
            else
                offer_block(s, &block, deleted, &queries[q]);
        }
    }
}

void scan_part(const struct vdb_snapshot *snapshot, const struct part *part, bool deleted,
               struct query *queries, size_t count)
{
    for (size_t done = 0; done < count; done += QUERIES_MAX) {
        size_t n = count - done < QUERIES_MAX ? count - done : QUERIES_MAX;
        scan_part_some(snapshot, part, deleted, queries + done, n);
    }
}

void scan_tail(const struct vdb_snapshot *snapshot, bool deleted, struct query *queries,
               size_t count)
{
    for (uint32_t i = 0; i < snapshot->tail_count; i++) {
        const struct tail_commit *commit = tail_at(&snapshot->generation->tail, i);
        struct block rows = {commit->vectors, commit->log.stride, commit->log.row_base,
                             commit->log.row_count};
        scan_rows(snapshot, rows, deleted, queries, count);
    }
}
