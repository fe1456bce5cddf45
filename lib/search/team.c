/* team.c: several threads for one query, each of them in another part.
 *
 * Every thread gathers the best of the parts that it comes to, and these are then put together:
 * rows are in a total order, so that neither who searched what nor when can be seen from the
 * answer.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "search/team.h"

#include <stdlib.h>

#include "base/crew.h"
#include "base/error.h"
#include "index/cost.h"
#include "vector/vtype.h"

#define USUAL_RECALL 0.95

struct job {
    uint32_t part;
    uint64_t cost; /* in nanoseconds */
};

struct helper {
    struct searcher searcher;
    struct query query; /* the one at hand, with room of the searcher's first query */
    enum vdb_status status;
    struct vdb_error error;
};

struct team {
    const struct vdb_snapshot *snapshot;
    struct crew *crew;
    struct job *order; /* the parts, that which takes longest first */
    unsigned threads;
    struct searcher *first; /* worker 0's, which is the caller's, and its query */
    struct query *query;
    struct helper helpers[]; /* of the workers from 1 on; [0] tells of worker 0's status alone */
};

/* What a search of the part is estimated to take; what was not measured, as long as a scan. */
static uint64_t cost_of(const struct part *part, const struct vdb_search_options *options,
                        uint32_t k)
{
    uint64_t scan = cost_scan(part->row_end - part->row_begin, part->stride), cost;
    if (part->entry->kind == DISK_PART_FLAT || options->exact) return scan;
    bool usual = options->ef || options->recall == 0;
    cost = calibration_cost(&part->calibration, k, usual ? USUAL_RECALL : options->recall);
    if (options->ef && cost) cost = cost * options->ef / part_effort(part, k, USUAL_RECALL);
    return cost && cost < scan ? cost : scan;
}

static void put_in_order(struct team *team, const struct vdb_search_options *options)
{
    const struct generation *g = team->snapshot->generation;
    uint32_t rows = team->snapshot->row_count, k = options->k < rows ? options->k : rows;
    for (uint32_t i = 0; i < g->manifest.part_count; i++) {
        struct job job = {i, cost_of(&g->parts[i], options, k)};
        uint32_t at = i;
        for (; at > 0 && team->order[at - 1].cost < job.cost; at--)
            team->order[at] = team->order[at - 1];
        team->order[at] = job;
    }
}

enum vdb_status team_create(const struct vdb_snapshot *snapshot,
                            const struct vdb_search_options *options, unsigned threads,
                            uint64_t worth, struct team **team, struct vdb_error *err)
{
    uint32_t parts = snapshot->generation->manifest.part_count;
    *team = NULL;
    if (threads > parts) threads = parts;
    if (threads < 2) return VDB_OK;
    struct team *made = calloc(1, sizeof *made + threads * sizeof made->helpers[0]);
    if (!made) return error_no_memory(err);
    made->snapshot = snapshot;
    made->order = malloc(parts * sizeof *made->order);
    enum vdb_status status = made->order ? VDB_OK : error_no_memory(err);
    if (!status) put_in_order(made, options);
    if (status || made->order[1].cost < worth) {
        team_free(made);
        return status;
    }
    while (made->order[threads - 1].cost < worth) threads--;
    made->threads = threads;
    made->crew = crew_create(threads);
    if (!made->crew) status = error_no_memory(err);
    for (unsigned i = 1; i < threads && !status; i++)
        status = searcher_init(&made->helpers[i].searcher, snapshot, options, 1, err);
    if (status)
        team_free(made);
    else
        *team = made;
    return status;
}

void team_free(struct team *team)
{
    if (!team) return;
    crew_free(team->crew);
    for (unsigned i = 1; i < team->threads; i++) searcher_release(&team->helpers[i].searcher);
    free(team->order);
    free(team);
}

/* The query as the helper has it: its values are the caller's, its room is its own. */
static void take_query(struct helper *helper, const struct query *query)
{
    const struct query *room = &helper->searcher.queries[0];
    helper->query = *query;
    helper->query.codes = room->codes;
    helper->query.top = room->top;
    topk_reset(&helper->query.top);
}

static void search_one(void *context, unsigned worker, uint32_t item)
{
    struct team *team = context;
    struct helper *helper = &team->helpers[worker];
    const struct part *part = &team->snapshot->generation->parts[team->order[item].part];
    if (helper->status) return;
    helper->status = worker
                         ? searcher_part(&helper->searcher, part, &helper->query, 1, &helper->error)
                         : searcher_part(team->first, part, team->query, 1, &helper->error);
}

enum vdb_status team_search(struct team *team, struct searcher *first, struct query *query,
                            struct vdb_error *err)
{
    enum vdb_status status = VDB_OK;
    team->first = first;
    team->query = query;
    for (unsigned i = 0; i < team->threads; i++) {
        team->helpers[i].status = VDB_OK;
        if (i) take_query(&team->helpers[i], query);
    }
    crew_run(team->crew, team->snapshot->generation->manifest.part_count, search_one, team);
    for (unsigned i = 0; i < team->threads && !status; i++) {
        status = team->helpers[i].status;
        if (status && err) *err = team->helpers[i].error;
        if (i) topk_merge(&query->top, &team->helpers[i].query.top);
    }
    return status;
}

static enum vdb_status warm_one(struct searcher *s, const struct vdb_snapshot *snapshot,
                                float *values, struct vdb_error *err)
{
    const struct generation *g = snapshot->generation;
    enum vdb_status status = VDB_OK;
    for (uint32_t i = 0; i < g->manifest.part_count && !status; i++) {
        struct query *query = &s->queries[0];
        vtype_load(g->manifest.type, g->parts[i].vectors, values, g->manifest.dim);
        if (query_begin(query, snapshot, values, 0, NULL)) continue; /* a damaged file's */
        for (int twice = 0; twice < 2 && !status; twice++) /* once with the best of another part */
            status = searcher_part(s, &g->parts[i], query, 1, err);
    }
    return status;
}

enum vdb_status team_warm(struct team *team, struct searcher *first, struct vdb_error *err)
{
    float *values = malloc(team->snapshot->generation->manifest.dim * sizeof *values);
    enum vdb_status status = values ? VDB_OK : error_no_memory(err);
    for (unsigned i = 0; i < team->threads && !status; i++) {
        struct searcher *s = i ? &team->helpers[i].searcher : first;
        status = warm_one(s, team->snapshot, values, err);
    }
    free(values);
    return status;
}
