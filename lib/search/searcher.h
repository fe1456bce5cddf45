/* searcher.h: what one thread searches with, and queries taken through all parts by it.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_SEARCHER_H
#define VDB_SEARCH_SEARCHER_H

#include <stddef.h>

#include "search/part_search.h"
#include "search/query.h"

#define SEARCHER_QUERIES 32 /* that a thread takes at a time */

struct searcher {
    struct part_search by_index;
    struct query queries[SEARCHER_QUERIES];
    struct topk own; /* the best of one part, of an index of several */
};

/* Room for `queries` queries, or as many as are taken at a time. End with searcher_release, on
 * errors too. `snapshot` and `options` are kept. Errors: VDB_NO_MEMORY. */
enum vdb_status searcher_init(struct searcher *s, const struct vdb_snapshot *snapshot,
                              const struct vdb_search_options *options, size_t queries,
                              struct vdb_error *err);
void searcher_release(struct searcher *s);

/* Offers `count` queries, which have begun, the nearest rows of a part. What a part gives does not
 * depend on what others have given, so that parts can be searched in any order, and at the same
 * time by other searchers. Errors: VDB_NO_MEMORY. */
enum vdb_status searcher_part(struct searcher *s, const struct part *part, struct query *queries,
                              size_t count, struct vdb_error *err);

#endif
