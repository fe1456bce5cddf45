/* graph_duplicates.c: rows with equal codes, or equal vectors where the graph is built on these.
 *
 * Among rows at distance 0 from each other neither pruning nor walking has a direction: thousands
 * of them fill each other's lists and nobody finds the way in or out. So only one row of each set
 * of equals, the lowest, takes part in the build. The others form a ring behind it in row order:
 * each has the next ones of the ring and the lowest row's own neighbours, and the lowest row has
 * edges to the first of the ring.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "index/graph_build.h"

#define PLACES 8 /* in a table, a row */

struct hashed {
    uint64_t hash;
    uint32_t row;
};

/* Of a row; what is behind them is the same in all rows. */
static size_t bytes_of(const struct codes *codes)
{
    return codes->kind == CODES_VECTORS ? codes->bytes : codes->dim;
}

static const uint8_t *code_of(const struct codes *codes, uint32_t row)
{
    return codes->code + (size_t)row * codes->code_stride;
}

static uint64_t hash_code(const uint8_t *code, size_t bytes)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, code + i, bytes - i < 8 ? bytes - i : 8);
        hash = (hash ^ word) * 0x9fb21c651e98df25u;
        hash ^= hash >> 29;
    }
    return hash;
}

static int compare_hashed(const void *left, const void *right)
{
    const struct hashed *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* What equal rows have alike, and most others not. */
static uint32_t mark_of(const struct codes *codes, uint32_t row)
{
    uint32_t norm;
    if (codes->kind == CODES_VECTORS)
        return (uint32_t)(hash_code(code_of(codes, row), codes->bytes) >> 32);
    memcpy(&norm, codes->norm + row * codes->norm_stride, sizeof norm);
    return norm;
}

/* Rows whose marks alone, or their places in a table of counts, are another's: only they can be
 * equal. Puts them into hashed[], in order, and returns their number. */
static uint32_t find_suspects(const struct codes *codes, uint8_t *counts, unsigned bits,
                              struct hashed *hashed)
{
    uint32_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t row = 0; row < codes->rows; row++) {
            uint32_t place = mark_of(codes, row) * 0x9e3779b9u >> (32 - bits);
            if (pass == 0)
                counts[place] |= (uint8_t)(counts[place] + 1);
            else if (counts[place] > 1)
                hashed[n++].row = row;
        }
    return n;
}

/* Rows with one hash and different codes, which only an adversary makes, come out as several sets;
 * that costs quality among them alone. */
enum vdb_status duplicates_find(const struct codes *codes, uint32_t *representative,
                                struct vdb_error *err)
{
    unsigned bits = 10;
    while (bits < 31 && (uint64_t)codes->rows * PLACES > (uint64_t)1 << bits) bits++;
    struct hashed *hashed = malloc(codes->rows * sizeof *hashed);
    uint8_t *counts = calloc((size_t)1 << bits, 1);
    if (!hashed || !counts) {
        free(hashed);
        free(counts);
        return error_no_memory(err);
    }
    uint32_t count = find_suspects(codes, counts, bits, hashed);
    free(counts);
    for (uint32_t row = 0; row < codes->rows; row++) representative[row] = row;
    for (uint32_t i = 0; i < count; i++)
        hashed[i].hash = hash_code(code_of(codes, hashed[i].row), bytes_of(codes));
    qsort(hashed, count, sizeof *hashed, compare_hashed);
    uint32_t first = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *a = code_of(codes, hashed[i].row), *b = code_of(codes, hashed[first].row);
        if (hashed[i].hash != hashed[first].hash || memcmp(a, b, bytes_of(codes)) != 0) first = i;
        representative[hashed[i].row] = hashed[first].row;
    }
    free(hashed);
    return VDB_OK;
}

static uint32_t list_length(const uint32_t *list, uint32_t degree)
{
    uint32_t n = 0;
    while (n < degree && list[n] != GRAPH_NO_ROW) n++;
    return n;
}

/* A set's members are ring[0..n), the lowest first, whose list is in place. Half of every list, or
 * as much as the lowest row's neighbours leave, goes along the ring; a quarter of the lowest's. */
static void link_ring(const uint32_t *ring, uint32_t n, uint32_t degree, uint32_t *edges)
{
    uint32_t *first = edges + (size_t)ring[0] * degree;
    uint32_t outside = list_length(first, degree);
    uint32_t along = degree - outside > degree / 2 ? degree - outside : (degree + 1) / 2;
    if (along > n - 1) along = n - 1;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t *list = edges + (size_t)ring[i] * degree, length = 0;
        for (uint32_t j = 1; j <= along; j++) list[length++] = ring[(i + j) % n];
        for (uint32_t j = 0; j < outside && length < degree; j++) list[length++] = first[j];
    }
    uint32_t room = degree - outside > degree / 4 ? degree - outside : (degree + 3) / 4;
    if (room > n - 1) room = n - 1;
    uint32_t at = outside + room <= degree ? outside : degree - room;
    for (uint32_t j = 1; j <= room; j++) first[at++] = ring[j];
}

static int compare_keys(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

enum vdb_status duplicates_link(const uint32_t *representative, uint32_t rows, uint32_t degree,
                                uint32_t *edges, struct vdb_error *err)
{
    size_t n = 0;
    for (uint32_t row = 0; row < rows; row++) n += representative[row] != row;
    if (n == 0) return VDB_OK;
    uint64_t *members = malloc(n * sizeof *members);
    uint32_t *ring = malloc((n + 1) * sizeof *ring);
    enum vdb_status status = VDB_OK;
    if (!members || !ring) {
        status = error_no_memory(err);
        goto done;
    }
    n = 0;
    for (uint32_t row = 0; row < rows; row++)
        if (representative[row] != row) members[n++] = (uint64_t)representative[row] << 32 | row;
    qsort(members, n, sizeof *members, compare_keys);
    for (size_t i = 0; i < n;) {
        uint32_t length = 0;
        ring[length++] = (uint32_t)(members[i] >> 32);
        for (; i < n && members[i] >> 32 == ring[0]; i++) ring[length++] = (uint32_t)members[i];
        link_ring(ring, length, degree, edges);
    }
done:
    free(members);
    free(ring);
    return status;
}
