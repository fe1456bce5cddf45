/* peer.h: hnswlib, as its packagers ship it, behind functions that C can call.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer;

/* An empty index, Euclidean, for `rows` vectors of `dim` floats. NULL: out of memory. */
struct peer *peer_create(size_t dim, size_t rows, size_t m, size_t ef_construction);

/* Adds `count` vectors, numbered from 0, by `threads` threads. 0, or -1 where it failed. */
int peer_build(struct peer *peer, const float *vectors, size_t count, unsigned threads);

/* 0, or -1 where it failed. */
int peer_save(struct peer *peer, const char *path);
struct peer *peer_load(size_t dim, const char *path);

/* The effort of searches from now on. */
void peer_effort(struct peer *peer, size_t ef);

/* The `k` nearest that it finds, in any order, into rows[0..k); returns how many. */
size_t peer_search(struct peer *peer, const float *query, size_t k, uint32_t *rows);

void peer_free(struct peer *peer);

#ifdef __cplusplus
}
#endif

#endif
