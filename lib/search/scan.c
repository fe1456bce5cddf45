/* scan.c: exact search over rows one by one, for several queries at once.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/scan.h"

#include "index/flat.h"
#include "index/vafile.h"

#define BLOCK_ROWS  128u
#define QUERIES_MAX 64 /* looked at in one go; more make several */

struct block { /* rows at hand */
    const uint8_t *vectors;
    size_t stride;
    uint32_t first, count; /* `first` counts from the index's first row */
};

static void offer_block(const struct vdb_snapshot *s, const struct block *b, bool deleted,
                        struct query *query)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (snapshot_sees(s, b->first + i, deleted))
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
        if (distances[i] > worst || !snapshot_sees(s, row, deleted)) continue;
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
    uint32_t rows = scan_part_rows(s, part);
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

/* Where the rows from `row` on, which is live, are no longer live, or a block ends. */
static uint32_t live_run(const struct vdb_snapshot *s, uint32_t row, uint32_t end)
{
    uint32_t begin = row;
    while (row < end && row - begin < BLOCK_ROWS && !liveness_deleted(&s->dead, row)) row++;
    return row;
}

void scan_part_live(const struct vdb_snapshot *s, const struct part *part, struct query *query)
{
    struct flat_query flat;
    bool is_flat = prepare_flat(s, part, query, &flat);
    uint32_t row = part->row_begin;
    while ((row = liveness_next_live(&s->dead, row, part->row_end)) < part->row_end) {
        uint32_t local = row - part->row_begin, n = live_run(s, row, part->row_end) - row;
        struct block block = {part->vectors + local * part->stride, part->stride, row, n};
        if (is_flat)
            offer_flat(s, part, local, n, false, &flat, query);
        else
            offer_block(s, &block, false, query);
        row += n;
    }
}

/* ---- the tail ------------------------------------------------------------------------------ */

static struct tail_rows tail_rows_of(const struct vdb_snapshot *s, size_t queries)
{
    const struct generation *g = s->generation;
    const struct manifest *m = &g->manifest;
    return (struct tail_rows){
        .tail = &g->tail,
        .commits = s->tail_count,
        .begin = m->row_count,
        .end = s->row_count,
        .file = g->view->base,
        .queries = (uint32_t)queries,
        .space = {m->metric, m->type, m->dim, s->kernels},
    };
}

/* Rows [begin, end) of the tail by their stored vectors. */
static void scan_uncoded(const struct vdb_snapshot *s, uint32_t begin, uint32_t end, bool deleted,
                         struct query *queries, size_t count)
{
    const struct tail *tail = &s->generation->tail;
    uint32_t i = tail_index_of_row(tail, s->tail_count, begin);
    for (; begin < end; i++) {
        const struct tail_commit *commit = tail_at(tail, i);
        uint32_t local = begin - commit->log.row_base, n = commit->log.row_count - local;
        if (n > end - begin) n = end - begin;
        const uint8_t *vectors = commit->vectors + (size_t)local * commit->log.stride;
        struct block rows = {vectors, commit->log.stride, begin, n};
        scan_rows(s, rows, deleted, queries, count);
        begin += n;
    }
}

struct tail_scan {
    const struct vdb_snapshot *s;
    const struct vafile_space *space;
    bool deleted;
    struct query *queries;
    struct vafile_query *coded; /* as many */
    size_t count;
};

struct span { /* rows of a chunk: those before may lie in parts, those behind be newer */
    const struct tail_chunk *chunk;
    uint32_t begin, end;
};

static void offer_place(const struct tail_scan *t, const struct span *span, uint32_t place,
                        struct query *query)
{
    const struct tail_chunk *chunk = span->chunk;
    uint32_t row = chunk->first_row + place;
    if (row >= span->begin && row < span->end && snapshot_sees(t->s, row, t->deleted))
        query_offer(query, t->s, row, t->s->generation->view->base + chunk->places[place]);
}

/* Takes `count` rows from place `from` on. What remains of them lies anywhere, so it is fetched
 * first. */
static void scan_blocks(const struct tail_scan *t, const struct span *span, uint32_t from,
                        uint32_t count)
{
    const uint8_t *file = t->s->generation->view->base;
    const struct tail_chunk *chunk = span->chunk;
    for (size_t q = 0; q < t->count; q++) {
        uint32_t places[VAFILE_SCAN + 16];
        struct query *query = &t->queries[q];
        uint32_t n = vafile_scan(chunk->codes, &t->coded[q], t->space, from, count,
                                 topk_worst(&query->top), places);
        for (uint32_t i = 0; i < n; i++) __builtin_prefetch(file + chunk->places[places[i]]);
        for (uint32_t i = 0; i < n; i++) offer_place(t, span, places[i], query);
    }
}

static void scan_outliers(const struct tail_scan *t, const struct span *span)
{
    const uint16_t *places;
    uint32_t n = vafile_outliers(span->chunk->codes, &places);
    for (size_t q = 0; q < t->count; q++)
        for (uint32_t i = 0; i < n; i++) offer_place(t, span, places[i], &t->queries[q]);
}

static void prepare_coded(const struct tail_scan *t, const struct vafile *codes)
{
    bool unit = t->space->metric == VDB_METRIC_COSINE;
    for (size_t q = 0; q < t->count; q++) {
        const struct query *query = &t->queries[q];
        vafile_prepare(&t->coded[q], codes, t->space, unit ? query->unit : query->values);
    }
}

/* Few rows come first where no k have been seen: after them it is known better which of the others
 * can matter. */
static void scan_span(const struct tail_scan *t, const struct span *span)
{
    uint32_t first = span->chunk->first_row, from = (span->begin - first) & ~(VAFILE_BLOCK - 1u);
    uint32_t to = (span->end - first + VAFILE_BLOCK - 1) & ~(VAFILE_BLOCK - 1u);
    prepare_coded(t, span->chunk->codes);
    scan_outliers(t, span);
    for (uint32_t n; from < to; from += n) {
        bool full = topk_worst(&t->queries[0].top) < INFINITY;
        n = full ? VAFILE_SCAN : VAFILE_SCAN / 4;
        if (n > to - from) n = to - from;
        scan_blocks(t, span, from, n);
    }
}

static void scan_tail_some(const struct vdb_snapshot *s, const struct vafile_space *space,
                           bool deleted, struct query *queries, size_t count)
{
    struct vafile_query coded[QUERIES_MAX];
    struct tail_scan t = {s, space, deleted, queries, coded, count};
    for (size_t q = 0; q < count; q++) coded[q] = (struct vafile_query){.values = queries[q].codes};
    uint32_t at = s->generation->manifest.row_count;
    const struct tail_chunk *chunk = s->generation->codes.first;
    for (; chunk && at < s->row_count; chunk = tail_chunk_next(chunk)) {
        uint32_t rows = chunk->codes ? vafile_count(chunk->codes) : 0;
        struct span span = {chunk, chunk->first_row, chunk->first_row + rows};
        if (span.begin < at) span.begin = at;
        if (span.end > s->row_count) span.end = s->row_count;
        if (span.begin >= span.end) continue;
        if (at < span.begin) scan_uncoded(s, at, span.begin, deleted, queries, count);
        scan_span(&t, &span);
        at = span.end;
    }
    if (at < s->row_count) scan_uncoded(s, at, s->row_count, deleted, queries, count);
}

void scan_tail(const struct vdb_snapshot *snapshot, bool deleted, struct query *queries,
               size_t count)
{
    struct tail_rows rows = tail_rows_of(snapshot, count);
    if (snapshot->tail_count == 0 || rows.begin >= rows.end) return;
    tail_codes_extend(&snapshot->generation->codes, &rows);
    for (size_t done = 0; done < count; done += QUERIES_MAX) {
        size_t n = count - done < QUERIES_MAX ? count - done : QUERIES_MAX;
        scan_tail_some(snapshot, &rows.space, deleted, queries + done, n);
    }
}
