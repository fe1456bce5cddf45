/* part_search.h: the nearest rows of one part, by its index.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_SEARCH_PART_SEARCH_H
#define VDB_SEARCH_PART_SEARCH_H

#include <stdint.h>

#include "index/graph.h"
#include "index/ivf.h"
#include "search/query.h"
#include "state/snapshot.h"

struct part_search { /* one thread's */
    const struct vdb_snapshot *s;
    const struct vdb_search_options *options;
    uint32_t k;
    struct walk *walk;
    struct ivf_scratch *scratch;
};

/* End with part_search_release, on errors too. `snapshot` and `options` are kept. Errors:
 * VDB_NO_MEMORY. */
enum vdb_status part_search_init(struct part_search *s, const struct vdb_snapshot *snapshot,
                                 const struct vdb_search_options *options, struct vdb_error *err);
void part_search_release(struct part_search *s);

/* Offers the query the nearest rows of a part that is not flat. Errors: VDB_NO_MEMORY. */
enum vdb_status part_search(struct part_search *s, const struct part *part, struct query *query,
                            struct vdb_error *err);

#endif
