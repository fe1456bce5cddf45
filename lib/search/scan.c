/* scan.c: exact search over rows one by one, for several queries at once.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/scan.h"

#include "index/flat.h"
#include "index/vafile.h"
#include "vector/vtype.h"

#define BLOCK_ROWS  128u
#define QUERIES_MAX 64 /* looked at in one go; more make several */

/* Where no k have been seen, those nearest by codes come first, if they are one row in so many. */
#define BEGIN_SHARE 4
#define AWAITED_MAX 128  /* rows; coarser codes serve where they leave no more of a scan */
#define PASSED      4    /* scans until they are tried again */
#define FETCH_AHEAD 8    /* rows */
#define FETCH_MAX   1024 /* bytes of one; what is behind them follows by itself */

/* Forced inline: gcc 12 drops calls of a function that only prefetches. */
__attribute__((always_inline)) static inline void fetch(const uint8_t *vector, size_t bytes)
{
    if (bytes > FETCH_MAX) bytes = FETCH_MAX;
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(vector + i);
}

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

struct run { /* of live rows, of a block's length at most; without any: there are no more */
    uint32_t begin, end;
};

/* The next one, whose first row, which no processor sees coming, is fetched. */
static struct run next_run(const struct vdb_snapshot *s, const struct part *part, uint32_t row)
{
    uint32_t begin = liveness_next_live(&s->dead, row, part->row_end), end = begin;
    while (end < part->row_end && end - begin < BLOCK_ROWS && !liveness_deleted(&s->dead, end))
        end++;
    if (begin < end) fetch(part->vectors + (begin - part->row_begin) * part->stride, part->stride);
    return (struct run){begin, end};
}

void scan_part_live(const struct vdb_snapshot *s, const struct part *part, struct query *query)
{
    struct flat_query flat;
    struct run runs[FETCH_AHEAD];
    bool is_flat = prepare_flat(s, part, query, &flat);
    uint32_t row = part->row_begin, turn = 0;
    for (uint32_t i = 0; i < FETCH_AHEAD; i++, row = runs[i - 1].end)
        runs[i] = next_run(s, part, row);
    for (; runs[turn].begin < runs[turn].end; turn = (turn + 1) % FETCH_AHEAD) {
        uint32_t begin = runs[turn].begin, n = runs[turn].end - begin;
        uint32_t local = begin - part->row_begin;
        struct block block = {part->vectors + local * part->stride, part->stride, begin, n};
        runs[turn] = next_run(s, part, row);
        row = runs[turn].end;
        if (is_flat)
            offer_flat(s, part, local, n, false, &flat, query);
        else
            offer_block(s, &block, false, query);
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

struct span { /* rows of a chunk: those before may lie in parts, those behind be newer */
    const struct tail_chunk *chunk;
    uint32_t begin, end;
};

/* Rows that are waited for while others are scanned. */
struct awaited {
    struct span span;
    uint32_t count;
    uint16_t places[AWAITED_MAX]; /* small: there are two a query */
};

/* A query as codes of 8 and of 4 bits are compared with it. */
struct coded {
    struct vafile_query eight;
    struct vafile4_query four;
    uint32_t passed;               /* scans to go without the latter, as they leave too many rows */
    struct awaited codes, vectors; /* rows that codes of 4 bits left, then those that 8 bits left */
};

struct tail_scan {
    const struct vdb_snapshot *s;
    const struct vafile_space *space;
    bool deleted;
    bool sure; /* no answer may be missed, however unlikely that is */
    struct query *queries;
    struct coded *coded; /* as many */
    size_t count;
};

static void offer_place(const struct tail_scan *t, const struct span *span, uint32_t place,
                        struct query *query)
{
    const struct tail_chunk *chunk = span->chunk;
    uint32_t row = chunk->first_row + place;
    if (row >= span->begin && row < span->end && snapshot_sees(t->s, row, t->deleted))
        query_offer(query, t->s, row, t->s->generation->view->base + chunk->places[place]);
}

__attribute__((always_inline)) static inline void
fetch_vector(const struct tail_scan *t, const struct span *span, uint32_t place)
{
    fetch(t->s->generation->view->base + span->chunk->places[place],
          t->space->dim * vtype_size(t->space->type));
}

static void offer_places(const struct tail_scan *t, const struct span *span, const uint32_t *places,
                         uint32_t n, struct query *query)
{
    for (uint32_t i = 0; i < n && i < FETCH_AHEAD; i++) fetch_vector(t, span, places[i]);
    for (uint32_t i = 0; i < n; i++) {
        if (i + FETCH_AHEAD < n) fetch_vector(t, span, places[i + FETCH_AHEAD]);
        offer_place(t, span, places[i], query);
    }
}

/* The way of rows that codes of 4 bits leave: their codes of 8 bits are fetched while rows behind
 * them are scanned, then held against the query; what that leaves has its vectors fetched, which
 * are measured a scan later. */
static void move_on(const struct tail_scan *t, size_t q, const struct span *span,
                    const uint32_t *places, uint32_t n)
{
    struct coded *coded = &t->coded[q];
    struct awaited *codes = &coded->codes, *vectors = &coded->vectors;
    for (uint32_t i = 0; i < vectors->count; i++)
        offer_place(t, &vectors->span, vectors->places[i], &t->queries[q]);
    vectors->count = 0;
    if (codes->count) {
        const struct tail_chunk *chunk = codes->span.chunk;
        uint32_t left[AWAITED_MAX];
        for (uint32_t i = 0; i < codes->count; i++) left[i] = codes->places[i];
        vectors->span = codes->span;
        vectors->count =
            vafile_filter(chunk->codes, &coded->eight, t->space, tail_chunk_coarse(chunk)->by_row,
                          topk_worst(&t->queries[q].top), left, codes->count);
        for (uint32_t i = 0; i < vectors->count; i++) {
            vectors->places[i] = (uint16_t)left[i];
            fetch_vector(t, &vectors->span, left[i]);
        }
    }
    codes->count = n;
    if (n == 0) return;
    codes->span = *span;
    for (uint32_t i = 0; i < n; i++) codes->places[i] = (uint16_t)places[i];
    vafile_filter_fetch(span->chunk->codes, t->space, tail_chunk_coarse(span->chunk)->by_row,
                        places, n);
}

static void move_all_on(const struct tail_scan *t, size_t q)
{
    move_on(t, q, NULL, NULL, 0);
    move_on(t, q, NULL, NULL, 0);
}

/* Coarser codes are read in half the time, and are worth it where they leave few rows; where they
 * do not they are tried again later. False: they were not read. */
static bool scan_coarse(const struct tail_scan *t, const struct span *span, size_t q, uint32_t from,
                        uint32_t count)
{
    const struct vafile4 *coarse = tail_chunk_coarse(span->chunk);
    struct coded *coded = &t->coded[q];
    double worst = topk_worst(&t->queries[q].top);
    uint32_t places[VAFILE_SCAN + 16];
    if (!coarse || coded->passed || !(worst < INFINITY)) {
        coded->passed -= coded->passed > 0;
        return false;
    }
    uint32_t n = vafile4_scan(coarse, &coded->four, t->space, t->sure, from, count, worst, places);
    if (n > AWAITED_MAX) {
        coded->passed = PASSED;
        n = vafile_filter(span->chunk->codes, &coded->eight, t->space, coarse->by_row, worst,
                          places, n);
        offer_places(t, span, places, n, &t->queries[q]);
    } else {
        move_on(t, q, span, places, n);
    }
    return true;
}

/* Takes `count` rows from place `from` on. */
static void scan_blocks(const struct tail_scan *t, const struct span *span, uint32_t from,
                        uint32_t count)
{
    for (size_t q = 0; q < t->count; q++) {
        uint32_t places[VAFILE_SCAN + 16];
        if (scan_coarse(t, span, q, from, count)) continue;
        uint32_t n = vafile_scan(span->chunk->codes, &t->coded[q].eight, t->space, from, count,
                                 topk_worst(&t->queries[q].top), places);
        offer_places(t, span, places, n, &t->queries[q]);
    }
}

static void scan_outliers(const struct tail_scan *t, const struct span *span)
{
    const uint16_t *places;
    uint32_t n = vafile_outliers(span->chunk->codes, &places);
    for (size_t q = 0; q < t->count; q++)
        for (uint32_t i = 0; i < n; i++) offer_place(t, span, places[i], &t->queries[q]);
}

static void prepare_coded(const struct tail_scan *t, const struct tail_chunk *chunk)
{
    bool unit = t->space->metric == VDB_METRIC_COSINE;
    const struct vafile4 *coarse = tail_chunk_coarse(chunk);
    for (size_t q = 0; q < t->count; q++) {
        const struct query *query = &t->queries[q];
        const float *values = unit ? query->unit : query->values;
        if (!vafile_is_prepared(&t->coded[q].eight, chunk->codes)) {
            move_all_on(t, q); /* those that wait have the grid before */
            vafile_prepare(&t->coded[q].eight, chunk->codes, t->space, values);
        }
        if (coarse) vafile4_prepare(&t->coded[q].four, coarse, t->space, values);
    }
}

/* Where no k have been seen yet, those nearest by codes come first: after them it is known better
 * which of the others can matter. */
static void begin_query(const struct tail_scan *t, const struct span *span, size_t q, uint32_t from,
                        uint32_t count)
{
    struct query *query = &t->queries[q];
    uint32_t places[VAFILE_SCAN + 16], k = query->top.cap;
    if (query->top.count == k || k > count / BEGIN_SHARE) return;
    uint32_t n =
        vafile_nearest(span->chunk->codes, &t->coded[q].eight, t->space, from, count, k, places);
    offer_places(t, span, places, n, query);
}

static void scan_span(const struct tail_scan *t, const struct span *span)
{
    uint32_t first = span->chunk->first_row, from = (span->begin - first) & ~(VAFILE_BLOCK - 1u);
    uint32_t to = (span->end - first + VAFILE_BLOCK - 1) & ~(VAFILE_BLOCK - 1u);
    prepare_coded(t, span->chunk);
    scan_outliers(t, span);
    for (uint32_t n; from < to; from += n) {
        n = to - from < VAFILE_SCAN ? to - from : VAFILE_SCAN;
        for (size_t q = 0; q < t->count; q++) begin_query(t, span, q, from, n);
        scan_blocks(t, span, from, n);
    }
}

static void coded_init(struct coded *coded, const struct query *query)
{
    coded->eight = (struct vafile_query){.values = query->codes};
    coded->four = (struct vafile4_query){.values = query->coarse, .rotated = query->rotated};
    coded->passed = coded->codes.count = coded->vectors.count = 0;
}

static void scan_tail_some(const struct vdb_snapshot *s, const struct vafile_space *space,
                           bool deleted, bool sure, struct query *queries, size_t count)
{
    struct coded coded[QUERIES_MAX];
    struct tail_scan t = {s, space, deleted, sure, queries, coded, count};
    for (size_t q = 0; q < count; q++) coded_init(&coded[q], &queries[q]);
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
    for (size_t q = 0; q < count; q++) move_all_on(&t, q);
    if (at < s->row_count) scan_uncoded(s, at, s->row_count, deleted, queries, count);
}

void scan_tail(const struct vdb_snapshot *snapshot, bool deleted, bool sure, struct query *queries,
               size_t count)
{
    struct tail_rows rows = tail_rows_of(snapshot, count);
    if (snapshot->tail_count == 0 || rows.begin >= rows.end) return;
    tail_codes_extend(&snapshot->generation->codes, &rows);
    for (size_t done = 0; done < count; done += QUERIES_MAX) {
        size_t n = count - done < QUERIES_MAX ? count - done : QUERIES_MAX;
        scan_tail_some(snapshot, &rows.space, deleted, sure, queries + done, n);
    }
}
