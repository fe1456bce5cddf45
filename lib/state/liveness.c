/* liveness.c: which rows are deleted, at one commit.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "state/liveness.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct liveness_chunk {
    int refs;
    uint64_t words[LIVENESS_CHUNK / 64];
};

static void chunk_unref(struct liveness_chunk *chunk)
{
    if (chunk && __atomic_sub_fetch(&chunk->refs, 1, __ATOMIC_ACQ_REL) == 0) free(chunk);
}

enum vdb_status liveness_copy(const struct liveness *from, struct liveness *to,
                              struct vdb_error *err)
{
    uint32_t count = from->chunk_count;
    struct liveness_chunk **chunks = calloc(count ? count : 1, sizeof(struct liveness_chunk *));
    if (!chunks) return error_no_memory(err);
    for (uint32_t i = 0; i < from->chunk_count; i++) {
        chunks[i] = from->chunks[i];
        if (chunks[i]) __atomic_add_fetch(&chunks[i]->refs, 1, __ATOMIC_RELAXED);
    }
    *to = (struct liveness){from->spans, from->span_count, chunks, count};
    return VDB_OK;
}

void liveness_release(struct liveness *liveness)
{
    for (uint32_t i = 0; i < liveness->chunk_count; i++) chunk_unref(liveness->chunks[i]);
    free(liveness->chunks);
    *liveness = (struct liveness){0};
}

/* The span that has the row; NULL: none has. */
static const struct liveness_span *span_of(const struct liveness *liveness, uint32_t row)
{
    uint32_t low = 0, high = liveness->span_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (liveness->spans[mid].row_begin <= row)
            low = mid + 1;
        else
            high = mid;
    }
    return low && row < liveness->spans[low - 1].row_end ? &liveness->spans[low - 1] : NULL;
}

/* What the tombstone segments say. */
static bool span_deleted(const struct liveness *liveness, uint32_t row)
{
    const struct liveness_span *span = span_of(liveness, row);
    if (!span) return false;
    uint32_t bit = row - span->row_begin;
    return span->words[bit / 8] >> (bit % 8) & 1;
}

bool liveness_deleted(const struct liveness *liveness, uint32_t row)
{
    uint32_t at = row / LIVENESS_CHUNK;
    const struct liveness_chunk *chunk = at < liveness->chunk_count ? liveness->chunks[at] : NULL;
    if (chunk) return chunk->words[row % LIVENESS_CHUNK / 64] >> (row % 64) & 1;
    return span_deleted(liveness, row);
}

static void chunk_from_spans(const struct liveness *liveness, uint32_t at,
                             struct liveness_chunk *chunk)
{
    uint64_t begin = (uint64_t)at * LIVENESS_CHUNK, end = begin + LIVENESS_CHUNK;
    memset(chunk->words, 0, sizeof chunk->words);
    for (uint32_t i = 0; i < liveness->span_count; i++) {
        const struct liveness_span *span = &liveness->spans[i];
        uint64_t row = span->row_begin > begin ? span->row_begin : begin;
        for (; row < span->row_end && row < end; row++) {
            uint64_t bit = row - span->row_begin, to = row - begin;
            if (span->words[bit / 8] >> (bit % 8) & 1)
                chunk->words[to / 64] |= (uint64_t)1 << (to % 64);
        }
    }
}

static bool grow(struct liveness *liveness, uint32_t count)
{
    struct liveness_chunk **chunks = realloc(liveness->chunks, count * sizeof *chunks);
    if (!chunks) return false;
    for (uint32_t i = liveness->chunk_count; i < count; i++) chunks[i] = NULL;
    liveness->chunks = chunks;
    liveness->chunk_count = count;
    return true;
}

/* The chunk at `at`, owned by this state alone. */
static struct liveness_chunk *chunk_own(struct liveness *liveness, uint32_t at)
{
    if (at >= liveness->chunk_count && !grow(liveness, at + 1)) return NULL;
    struct liveness_chunk *chunk = liveness->chunks[at];
    if (chunk && __atomic_load_n(&chunk->refs, __ATOMIC_ACQUIRE) == 1) return chunk;
    struct liveness_chunk *own = malloc(sizeof *own);
    if (!own) return NULL;
    if (chunk)
        memcpy(own->words, chunk->words, sizeof own->words);
    else
        chunk_from_spans(liveness, at, own);
    own->refs = 1;
    chunk_unref(chunk);
    liveness->chunks[at] = own;
    return own;
}

enum vdb_status liveness_set(struct liveness *liveness, uint32_t row, bool deleted,
                             struct vdb_error *err)
{
    if (liveness_deleted(liveness, row) == deleted) return VDB_OK;
    struct liveness_chunk *chunk = chunk_own(liveness, row / LIVENESS_CHUNK);
    if (!chunk) return error_no_memory(err);
    uint64_t bit = (uint64_t)1 << (row % 64);
    uint64_t *word = &chunk->words[row % LIVENESS_CHUNK / 64];
    *word = deleted ? *word | bit : *word & ~bit;
    return VDB_OK;
}

enum vdb_status liveness_hide(struct liveness *liveness, uint32_t begin, uint32_t end,
                              struct vdb_error *err)
{
    while (begin < end) {
        struct liveness_chunk *chunk = chunk_own(liveness, begin / LIVENESS_CHUNK);
        if (!chunk) return error_no_memory(err);
        uint32_t left = LIVENESS_CHUNK - begin % LIVENESS_CHUNK;
        uint32_t n = end - begin < left ? end - begin : left;
        for (; n && begin % 64; n--, begin++)
            chunk->words[begin % LIVENESS_CHUNK / 64] |= (uint64_t)1 << (begin % 64);
        for (; n >= 64; n -= 64, begin += 64)
            chunk->words[begin % LIVENESS_CHUNK / 64] = ~(uint64_t)0;
        for (; n; n--, begin++)
            chunk->words[begin % LIVENESS_CHUNK / 64] |= (uint64_t)1 << (begin % 64);
    }
    return VDB_OK;
}

static const struct liveness_chunk *chunk_at(const struct liveness *liveness, uint32_t at)
{
    return at < liveness->chunk_count ? liveness->chunks[at] : NULL;
}

/* Bits of the 64 rows from `row`, a multiple of 64, on. */
static uint64_t word_at(const struct liveness *liveness, const struct liveness_chunk *chunk,
                        uint32_t row)
{
    if (chunk) return chunk->words[row % LIVENESS_CHUNK / 64];
    uint64_t word = 0;
    for (uint32_t i = 0; i < 64; i++) word |= (uint64_t)span_deleted(liveness, row + i) << i;
    return word;
}

uint32_t liveness_next_difference(const struct liveness *a, const struct liveness *b, uint32_t row,
                                  uint32_t end)
{
    while (row < end) {
        uint32_t at = row / LIVENESS_CHUNK, word_row = row / 64 * 64;
        const struct liveness_chunk *in_a = chunk_at(a, at), *in_b = chunk_at(b, at);
        if (in_a == in_b) {
            if (at == UINT32_MAX / LIVENESS_CHUNK) return end;
            row = (at + 1) * LIVENESS_CHUNK;
            continue;
        }
        uint64_t differ = word_at(a, in_a, word_row) ^ word_at(b, in_b, word_row);
        differ &= ~(uint64_t)0 << (row % 64);
        if (differ) {
            row = word_row + (uint32_t)__builtin_ctzll(differ);
            break;
        }
        if (word_row > UINT32_MAX - 64) return end;
        row = word_row + 64;
    }
    return row < end ? row : end;
}

/* How many of bits [begin, end) are set. */
static uint32_t count_bits(const uint8_t *words, uint32_t begin, uint32_t end)
{
    uint32_t set = 0;
    for (; begin < end && begin % 64; begin++) set += words[begin / 8] >> (begin % 8) & 1;
    for (; end - begin >= 64; begin += 64) {
        uint64_t word;
        memcpy(&word, words + begin / 8, sizeof word);
        set += (uint32_t)__builtin_popcountll(word);
    }
    for (; begin < end; begin++) set += words[begin / 8] >> (begin % 8) & 1;
    return set;
}

uint32_t liveness_count(const struct liveness *liveness, uint32_t begin, uint32_t end)
{
    uint32_t set = 0;
    while (begin < end) {
        const struct liveness_chunk *chunk = chunk_at(liveness, begin / LIVENESS_CHUNK);
        uint32_t low = begin % LIVENESS_CHUNK, left = LIVENESS_CHUNK - low;
        uint32_t n = end - begin < left ? end - begin : left;
        if (chunk) {
            for (; n && begin % 64; n--, begin++)
                set += (uint32_t)(chunk->words[begin % LIVENESS_CHUNK / 64] >> (begin % 64) & 1);
            for (; n >= 64; n -= 64, begin += 64)
                set += (uint32_t)__builtin_popcountll(chunk->words[begin % LIVENESS_CHUNK / 64]);
            for (; n; n--, begin++)
                set += (uint32_t)(chunk->words[begin % LIVENESS_CHUNK / 64] >> (begin % 64) & 1);
            continue;
        }
        for (uint32_t i = 0; i < liveness->span_count; i++) {
            const struct liveness_span *span = &liveness->spans[i];
            uint32_t from = begin > span->row_begin ? begin : span->row_begin;
            uint32_t to = begin + n < span->row_end ? begin + n : span->row_end;
            if (from < to)
                set += count_bits(span->words, from - span->row_begin, to - span->row_begin);
        }
        begin += n;
    }
    return set;
}

/* In the 64 bits that hold bit `at`: how many from that one on are set before the first that is
 * not, or before the word ends. */
static uint32_t set_from(uint64_t word, uint32_t at)
{
    uint64_t clear = ~word >> (at % 64);
    return clear ? (uint32_t)__builtin_ctzll(clear) : 64 - at % 64;
}

uint32_t liveness_next_live(const struct liveness *liveness, uint32_t row, uint32_t end)
{
    while (row < end) {
        const struct liveness_chunk *chunk = chunk_at(liveness, row / LIVENESS_CHUNK);
        const struct liveness_span *span = chunk ? NULL : span_of(liveness, row);
        uint32_t at = span ? row - span->row_begin : row;
        uint64_t word = 0;
        if (chunk)
            word = chunk->words[row % LIVENESS_CHUNK / 64];
        else if (span)
            memcpy(&word, span->words + at / 64 * 8, sizeof word);
        uint32_t run = set_from(word, at);
        if (run == 0) return row;
        /* Not beyond the chunk, nor the span, behind whose last bit there are zeros. */
        row = end - row < run ? end : row + run;
        if (run < 64 - at % 64 && (!span || row < span->row_end)) return row < end ? row : end;
    }
    return end;
}

uint32_t liveness_store(const struct liveness *liveness, uint32_t row_begin, uint32_t rows,
                        uint8_t *words)
{
    uint32_t set = 0;
    memset(words, 0, ((size_t)rows + 63) / 64 * 8);
    for (uint32_t i = 0; i < rows; i++)
        if (liveness_deleted(liveness, row_begin + i)) {
            words[i / 8] |= (uint8_t)(1u << (i % 8));
            set++;
        }
    return set;
}
