/* graph_reservoirs.c: the nearest of the rows that each row was offered.
 *
 * HashPrune, in PiPNN (arXiv 2602.21247), keeps one row a direction, by hashes of differences. By
 * distance alone, with room for about twice as many as a list holds, pruning has enough to choose
 * from, and nothing needs hashing.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/graph_reservoirs.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "index/pool.h"

#define FREE  0xffff
#define LOCKS 1024

enum vdb_status reservoirs_init(struct reservoirs *r, uint32_t rows, uint32_t degree, uint32_t keep,
                                uint32_t *edges, bool locked, struct vdb_error *err)
{
    *r = (struct reservoirs){.degree = degree, .keep = keep, .edges = edges};
    r->distances_len = (size_t)rows * keep * sizeof *r->distances;
    r->spill_len = (size_t)rows * (keep - degree) * sizeof *r->spill;
    r->distances = pages_alloc(r->distances_len);
    r->spill = pages_alloc(r->spill_len);
    if (locked) r->locks = malloc(LOCKS * sizeof *r->locks);
    for (uint32_t i = 0; r->locks && i < LOCKS; i++) pthread_mutex_init(&r->locks[i], NULL);
    if (!r->distances || !r->spill || (locked && !r->locks)) return error_no_memory(err);
    memset(r->distances, 0xff, r->distances_len);
    return VDB_OK;
}

void reservoirs_release(struct reservoirs *r)
{
    pages_free(r->spill, r->spill_len);
    pages_free(r->distances, r->distances_len);
    for (uint32_t i = 0; r->locks && i < LOCKS; i++) pthread_mutex_destroy(&r->locks[i]);
    free(r->locks);
    *r = (struct reservoirs){0};
}

/* 16 bits that order like the distance, 12 of them significant. */
uint64_t reservoirs_key(uint32_t distance, uint32_t row)
{
    uint32_t shift = 0;
    while (distance >> shift >= 4096) shift++;
    return pool_key(2048 * shift + (distance >> shift), row);
}

static uint16_t *distances_of(const struct reservoirs *r, uint32_t row)
{
    return r->distances + (size_t)row * r->keep;
}

static uint32_t *edges_of(const struct reservoirs *r, uint32_t row)
{
    return r->edges + (size_t)row * r->degree;
}

static uint32_t *spill_of(const struct reservoirs *r, uint32_t row)
{
    return r->spill + (size_t)row * (r->keep - r->degree);
}

static void fetch(const void *begin, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)begin + i, 1, 2);
}

void reservoirs_fetch(const struct reservoirs *r, uint32_t row)
{
    fetch(edges_of(r, row), r->degree * sizeof *r->edges);
    fetch(distances_of(r, row), r->keep * sizeof *r->distances);
    fetch(spill_of(r, row), (r->keep - r->degree) * sizeof *r->spill);
}

uint32_t reservoirs_get(const struct reservoirs *r, uint32_t row, uint64_t *keys)
{
    const uint16_t *distances = distances_of(r, row);
    const uint32_t *edges = edges_of(r, row), *spill = spill_of(r, row);
    uint32_t n = 0, degree = r->degree;
    for (; n < degree && distances[n] != FREE; n++) keys[n] = pool_key(distances[n], edges[n]);
    if (n < degree) return n;
    for (; n < r->keep && distances[n] != FREE; n++)
        keys[n] = pool_key(distances[n], spill[n - degree]);
    return n;
}

static void put(const struct reservoirs *r, uint32_t row, const uint64_t *keys, uint32_t from,
                uint32_t n)
{
    uint16_t *distances = distances_of(r, row);
    uint32_t *edges = edges_of(r, row), *spill = spill_of(r, row);
    for (uint32_t i = from; i < n; i++) {
        distances[i] = (uint16_t)pool_distance(keys[i]);
        *(i < r->degree ? edges + i : spill + (i - r->degree)) = pool_row(keys[i]);
    }
}

void reservoirs_offer(struct reservoirs *r, uint32_t row, const uint64_t *offered, uint32_t n)
{
    uint64_t keys[RESERVOIRS_KEEP_MAX];
    if (r->locks) pthread_mutex_lock(&r->locks[row % LOCKS]);
    uint32_t count = reservoirs_get(r, row, keys), changed = r->keep;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = offered[i];
        if (count == r->keep && key >= keys[count - 1]) continue;
        uint32_t at = pool_rank(keys, count, key);
        if (at < count && keys[at] == key) continue;
        if (count < r->keep) count++;
        memmove(keys + at + 1, keys + at, (size_t)(count - 1 - at) * sizeof key);
        keys[at] = key;
        if (at < changed) changed = at;
    }
    put(r, row, keys, changed, count);
    if (r->locks) pthread_mutex_unlock(&r->locks[row % LOCKS]);
}
