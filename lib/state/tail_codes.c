/* tail_codes.c: codes of the tail's rows, made as searches ask for them.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/tail_codes.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

/* To code a row takes as long as to measure it some 10 times. A query pays for one row in SHARE of
 * those without, which is about as much as it pays for measuring them, and for a few in any case:
 * so that with rows coming in all the time only the newest of them have no codes. */
#define SHARE 16
#define LEAST 256

/* A tail of as many rows is read fast enough by codes of 8 bits. */
#define COARSE_FROM  8192
#define LEAST_COARSE 64

struct tail_coder {
    int refs;
    pthread_mutex_t lock;    /* guards what follows, and the last chunk's growth */
    struct tail_chunk *last; /* no reference: chains that share the coder reach it */
    uint32_t next_row;       /* those before have codes, or never will */
    bool asked;              /* by a search before */
    struct vafile_scratch scratch;
    struct vafile4_frame *frame;
    struct vafile4 *growing; /* coarser codes of the chunk that begins at coarse_row, or NULL */
    uint32_t coarse_row;     /* chunks that begin before have them, or never will */
};

/* ---- chunks -------------------------------------------------------------------------------- */

static struct tail_chunk *chunk_create(uint32_t first_row)
{
    struct tail_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return NULL;
    chunk->refs = 1;
    chunk->first_row = first_row;
    return chunk;
}

static struct tail_chunk *chunk_ref(struct tail_chunk *chunk)
{
    __atomic_add_fetch(&chunk->refs, 1, __ATOMIC_RELAXED);
    return chunk;
}

static void chunk_unref(struct tail_chunk *chunk)
{
    while (chunk && __atomic_sub_fetch(&chunk->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        struct tail_chunk *next = chunk->next;
        vafile_free(chunk->codes);
        vafile4_free(chunk->coarse);
        free(chunk);
        chunk = next;
    }
}

/* The last chunk that begins at or before the row. */
static struct tail_chunk *chunk_of(struct tail_chunk *chunk, uint32_t row)
{
    for (;;) {
        struct tail_chunk *next = __atomic_load_n(&chunk->next, __ATOMIC_ACQUIRE);
        if (!next || next->first_row > row) return chunk;
        chunk = next;
    }
}

/* ---- coders -------------------------------------------------------------------------------- */

static struct tail_coder *coder_create(struct tail_chunk *last)
{
    struct tail_coder *coder = calloc(1, sizeof *coder);
    if (!coder) return NULL;
    if (pthread_mutex_init(&coder->lock, NULL) != 0) {
        free(coder);
        return NULL;
    }
    coder->refs = 1;
    coder->last = last;
    return coder;
}

static void coder_unref(struct tail_coder *coder)
{
    if (!coder || __atomic_sub_fetch(&coder->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    pthread_mutex_destroy(&coder->lock);
    vafile4_free(coder->growing);
    vafile4_frame_free(coder->frame);
    free(coder->scratch.code);
    free(coder->scratch.x);
    free(coder);
}

enum vdb_status tail_codes_init(struct tail_codes *codes, const struct tail_codes *before,
                                uint32_t first_row, struct vdb_error *err)
{
    *codes = (struct tail_codes){0};
    if (before) {
        codes->coder = before->coder;
        __atomic_add_fetch(&codes->coder->refs, 1, __ATOMIC_RELAXED);
        codes->first = chunk_ref(chunk_of(before->first, first_row));
        return VDB_OK;
    }
    codes->first = chunk_create(first_row);
    if (codes->first) codes->coder = coder_create(codes->first);
    return codes->coder ? VDB_OK : error_no_memory(err);
}

void tail_codes_release(struct tail_codes *codes)
{
    chunk_unref(codes->first);
    coder_unref(codes->coder);
}

/* ---- appending ----------------------------------------------------------------------------- */

/* Going from row to row through the commits that added them. */
struct cursor {
    const struct tail_rows *rows;
    const struct tail_commit *commit;
    uint32_t index, row;
};

static struct cursor cursor_at(const struct tail_rows *rows, uint32_t row)
{
    uint32_t index = tail_index_of_row(rows->tail, rows->commits, row);
    return (struct cursor){rows, tail_at(rows->tail, index), index, row};
}

/* Where the next row's vector is, as an offset in the file; there is such a row. */
static uint64_t cursor_next(struct cursor *c)
{
    while (c->row - c->commit->log.row_base >= c->commit->log.row_count)
        c->commit = tail_at(c->rows->tail, ++c->index);
    uint32_t local = c->row++ - c->commit->log.row_base;
    return c->commit->log.vectors.off + (uint64_t)local * c->commit->log.stride;
}

static bool coder_ready(struct tail_coder *coder, const struct vafile_space *space)
{
    if (!coder->scratch.code) coder->scratch.code = malloc(codes_bytes(space->dim));
    if (!coder->scratch.x) coder->scratch.x = malloc(vafile4_bytes(space->dim) * sizeof(float));
    return coder->scratch.code && coder->scratch.x;
}

/* The grid is for rows like those around the next one: behind it are as many as there are. */
static void train(struct tail_coder *coder, const struct tail_rows *rows, struct quantizer *grid)
{
    const uint8_t *vectors[VAFILE_SAMPLE];
    uint32_t next = coder->next_row, begin = rows->begin, end = rows->end;
    if (next - begin > VAFILE_ROWS) begin = next - VAFILE_ROWS;
    if (end - next > VAFILE_ROWS) end = next + VAFILE_ROWS;
    uint32_t n = end - begin < VAFILE_SAMPLE ? end - begin : VAFILE_SAMPLE;
    for (uint32_t i = 0; i < n; i++) {
        struct cursor c = cursor_at(rows, begin + (uint32_t)((uint64_t)i * (end - begin) / n));
        vectors[i] = rows->file + cursor_next(&c);
    }
    const struct quantizer *before = coder->last->codes ? &coder->last->codes->grid : NULL;
    vafile_train(&rows->space, vectors, n, before, &coder->scratch, grid);
}

/* Makes room for a block that begins at next_row. */
static bool make_room(struct tail_coder *coder, const struct tail_rows *rows)
{
    const struct tail_chunk *last = coder->last;
    uint32_t count = last->codes ? vafile_count(last->codes) : VAFILE_ROWS;
    if (count < VAFILE_ROWS && last->first_row + count == coder->next_row) return true;
    struct quantizer grid;
    train(coder, rows, &grid);
    struct tail_chunk *chunk = chunk_create(coder->next_row);
    if (!chunk) return false;
    chunk->codes = vafile_create(&rows->space, &grid);
    if (!chunk->codes) {
        chunk_unref(chunk);
        return false;
    }
    __atomic_store_n(&coder->last->next, chunk, __ATOMIC_RELEASE);
    coder->last = chunk;
    return true;
}

static void append(struct tail_coder *coder, const struct tail_rows *rows, uint32_t count)
{
    struct cursor c = cursor_at(rows, coder->next_row);
    for (; count >= VAFILE_BLOCK; count -= VAFILE_BLOCK) {
        if (!make_room(coder, rows)) return;
        struct tail_chunk *chunk = coder->last;
        const uint8_t *vectors[VAFILE_BLOCK];
        for (uint32_t i = 0; i < VAFILE_BLOCK; i++) {
            uint64_t place = cursor_next(&c);
            chunk->places[coder->next_row - chunk->first_row + i] = place;
            vectors[i] = rows->file + place;
        }
        vafile_append(chunk->codes, &rows->space, vectors, &coder->scratch);
        coder->next_row += VAFILE_BLOCK;
    }
}

/* ---- coarser codes ------------------------------------------------------------------------- */

/* The first full chunk from coarse_row on. */
static struct tail_chunk *next_coarse(const struct tail_coder *coder, struct tail_chunk *chunk)
{
    for (; chunk; chunk = __atomic_load_n(&chunk->next, __ATOMIC_ACQUIRE))
        if (chunk->codes && chunk->first_row >= coder->coarse_row &&
            vafile_count(chunk->codes) == VAFILE_ROWS)
            break;
    return chunk;
}

static bool begin_coarse(struct tail_coder *coder, const struct tail_rows *rows,
                         const struct tail_chunk *chunk)
{
    const uint8_t *vectors[VAFILE4_SAMPLE];
    for (uint32_t i = 0; i < VAFILE4_SAMPLE; i++)
        vectors[i] = rows->file + chunk->places[i * (VAFILE_ROWS / VAFILE4_SAMPLE)];
    vafile4_free(coder->growing); /* of a chunk that this generation has no more */
    coder->growing = vafile4_create(&rows->space, vectors, &coder->frame);
    coder->coarse_row = chunk->first_row;
    return coder->growing;
}

/* Up to `count` rows more. */
static void append_coarse(struct tail_coder *coder, const struct tail_rows *rows,
                          struct tail_chunk *first, uint32_t count)
{
    while (count >= VAFILE_BLOCK && coder->next_row - coder->coarse_row >= VAFILE_ROWS) {
        struct tail_chunk *chunk = next_coarse(coder, first);
        bool goes_on = chunk && coder->growing && chunk->first_row == coder->coarse_row;
        if (!chunk || (!goes_on && !begin_coarse(coder, rows, chunk))) return;
        struct vafile4 *coarse = coder->growing;
        for (; count >= VAFILE_BLOCK && coarse->count < VAFILE_ROWS; count -= VAFILE_BLOCK) {
            const uint8_t *vectors[VAFILE_BLOCK];
            for (uint32_t i = 0; i < VAFILE_BLOCK; i++)
                vectors[i] = rows->file + chunk->places[coarse->count + i];
            vafile4_append(coarse, &rows->space, chunk->codes, vectors, &coder->scratch);
        }
        if (coarse->count < VAFILE_ROWS) return;
        __atomic_store_n(&chunk->coarse, coarse, __ATOMIC_RELEASE);
        coder->growing = NULL;
        coder->coarse_row += VAFILE_ROWS;
    }
}

/* ---- shares -------------------------------------------------------------------------------- */

/* How many of `missing` rows are coded now. */
static uint32_t share_of(struct tail_coder *coder, uint32_t missing, uint32_t queries,
                         uint32_t least)
{
    bool first = !coder->asked;
    coder->asked = true;
    if (first && queries < SHARE) return 0; /* there may never be another search */
    uint64_t share = (uint64_t)missing * queries / SHARE;
    if (share < least) share = least;
    return share < missing ? (uint32_t)share : missing;
}

void tail_codes_extend(struct tail_codes *codes, const struct tail_rows *rows)
{
    struct tail_coder *coder = codes->coder;
    if (pthread_mutex_trylock(&coder->lock) != 0) return;
    if (coder->next_row < rows->begin) coder->next_row = rows->begin;
    uint32_t missing = rows->end > coder->next_row ? rows->end - coder->next_row : 0;
    if (missing >= VAFILE_BLOCK && coder_ready(coder, &rows->space))
        append(coder, rows, share_of(coder, missing, rows->queries, LEAST));
    if (coder->coarse_row < rows->begin) coder->coarse_row = rows->begin;
    missing = coder->next_row > coder->coarse_row ? coder->next_row - coder->coarse_row : 0;
    if (rows->end - rows->begin >= COARSE_FROM && missing >= VAFILE_ROWS)
        append_coarse(coder, rows, codes->first,
                      share_of(coder, missing, rows->queries, LEAST_COARSE));
    pthread_mutex_unlock(&coder->lock);
}
