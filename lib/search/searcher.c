/* searcher.c: what one thread searches with.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/searcher.h"

#include "base/error.h"
#include "search/scan.h"

enum vdb_status searcher_init(struct searcher *s, const struct vdb_snapshot *snapshot,
                              const struct vdb_search_options *options, size_t queries,
                              struct vdb_error *err)
{
    const struct manifest *m = &snapshot->generation->manifest;
    *s = (struct searcher){0};
    enum vdb_status status = part_search_init(&s->by_index, snapshot, options, err);
    for (size_t q = 0; q < queries && q < SEARCHER_QUERIES && !status; q++)
        status = query_init(&s->queries[q], m->dim, s->by_index.k, err);
    if (!status && m->part_count > 1) status = topk_init(&s->own, s->by_index.k, err);
    return status;
}

void searcher_release(struct searcher *s)
{
    part_search_release(&s->by_index);
    for (size_t q = 0; q < SEARCHER_QUERIES; q++) query_release(&s->queries[q]);
    topk_release(&s->own);
}

/* Which of a part's candidates are measured depends on the best so far: those of this part alone,
 * so that the order of the parts does not matter. */
static enum vdb_status search_index(struct searcher *s, const struct part *part,
                                    struct query *query, struct vdb_error *err)
{
    if (query->top.count == 0) return part_search(&s->by_index, part, query, err);
    struct query own = *query;
    own.top = s->own;
    topk_reset(&own.top);
    enum vdb_status status = part_search(&s->by_index, part, &own, err);
    topk_merge(&query->top, &own.top);
    return status;
}

enum vdb_status searcher_part(struct searcher *s, const struct part *part, struct query *queries,
                              size_t count, struct vdb_error *err)
{
    const struct vdb_search_options *options = s->by_index.options;
    enum vdb_status status = VDB_OK;
    if (part->entry->kind == DISK_PART_FLAT || options->exact)
        scan_part(s->by_index.s, part, options->include_deleted, queries, count);
    else
        for (size_t q = 0; q < count && !status; q++)
            status = search_index(s, part, &queries[q], err);
    return status;
}
