/* team.h: several threads for one query, each of them in another part.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_TEAM_H
#define VDB_SEARCH_TEAM_H

#include "search/searcher.h"

struct team;

/* The nanoseconds that a second part must be estimated to take for a second thread to pay: to wake
 * one that waits takes some 5,000, to start and end one for a single query 40,000, and where the
 * processors are busy a turn of the scheduler on top, which is milliseconds. */
#define TEAM_WAKES  30000
#define TEAM_STARTS 1000000

/* *team is NULL where several threads are of no use: there is but one, or no second part that takes
 * `worth` nanoseconds. `snapshot` and `options` are kept. Errors: VDB_NO_MEMORY. */
enum vdb_status team_create(const struct vdb_snapshot *snapshot,
                            const struct vdb_search_options *options, unsigned threads,
                            uint64_t worth, struct team **team, struct vdb_error *err);

/* NULL is allowed. */
void team_free(struct team *team);

/* Has each thread search each part for a row that it holds, so that it has the memory that this
 * takes; `first` is that of the calling one. Errors: VDB_NO_MEMORY. */
enum vdb_status team_warm(struct team *team, struct searcher *first, struct vdb_error *err);

/* Offers the query, which has begun, the nearest rows of all parts; `first` is the searcher of the
 * calling thread. Errors: VDB_NO_MEMORY. */
enum vdb_status team_search(struct team *team, struct searcher *first, struct query *query,
                            struct vdb_error *err);

#endif
