/* graph_reservoirs.h: the nearest of the rows that each row was offered.
 *
 * What a reservoir holds in the end does not depend on the order of the offers.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_INDEX_GRAPH_RESERVOIRS_H
#define VDB_INDEX_GRAPH_RESERVOIRS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

#define RESERVOIRS_KEEP_MAX 256

struct reservoirs {
    uint32_t degree, keep;
    uint32_t *edges, *spill; /* rows, nearest first: `degree` of them, and the others */
    uint16_t *distances;     /* of as many, coarsely; FREE behind the last */
    size_t spill_len, distances_len;
    pthread_mutex_t *locks; /* NULL: one worker needs none */
};

/* Empty ones for rows 0 to rows - 1, of `keep` each, from degree to RESERVOIRS_KEEP_MAX. The first
 * `degree` of a row come to lie in edges[], which is the caller's. Errors: VDB_NO_MEMORY;
 * reservoirs_release is due even so. */
enum vdb_status reservoirs_init(struct reservoirs *reservoirs, uint32_t rows, uint32_t degree,
                                uint32_t keep, uint32_t *edges, bool locked, struct vdb_error *err);
void reservoirs_release(struct reservoirs *reservoirs);

/* What an offered row is offered by: its distance, coarsely, then its number. */
uint64_t reservoirs_key(uint32_t distance, uint32_t row);

/* Keeps the nearest `keep` of what the reservoir has and is offered, each once. */
void reservoirs_offer(struct reservoirs *reservoirs, uint32_t row, const uint64_t *keys,
                      uint32_t n);

/* Fetches the reservoir of a row, which will be offered something, into the cache. */
void reservoirs_fetch(const struct reservoirs *reservoirs, uint32_t row);

/* Puts the keys of what a reservoir holds, pool.h's, into keys[0..keep); returns their number. */
uint32_t reservoirs_get(const struct reservoirs *reservoirs, uint32_t row, uint64_t *keys);

#endif
