/* listed.c: which of some rows are the nearest, by their codes.
 *
 * Where few rows of a part are wanted, they lie anywhere, as those that a walk meets do, and cost
 * as much: while some are measured the next ones are fetched.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "index/listed.h"

#include "base/error.h"
#include "index/beam.h"

enum vdb_status listed_nearest(struct walk *walk, const struct listed *listed, uint32_t keep,
                               const struct candidate **candidates, uint32_t *count,
                               struct vdb_error *err)
{
    uint32_t rows[2][LISTED_ROOM], distances[LISTED_ROOM], turn = 0;
    enum vdb_status status = walk_check_rows(walk->space.codes->rows, err);
    if (status) return status;
    if (keep == 0) keep = 1;
    if (keep > walk->space.codes->rows) keep = walk->space.codes->rows;
    if (!walk_reserve_found(walk, keep)) return error_no_memory(err);
    struct pool *pool = &walk->pool;
    pool_reset(pool, keep);
    uint32_t n = keep ? listed->next(listed->context, rows[0]) : 0;
    space_prefetch(&walk->space, rows[0], n);
    for (; n > 0; turn ^= 1) {
        uint32_t ahead = listed->next(listed->context, rows[turn ^ 1]);
        struct kernel_list list = {
            .rows = rows[turn], .count = n, .ahead = rows[turn ^ 1], .ahead_count = ahead};
        space_measure_list(&walk->space, &walk->probe, &list, distances);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t key = pool_key(distances[i], rows[turn][i]);
            if (key < pool->limit) pool_insert(pool, key);
        }
        walk->work.measured += n;
        n = ahead;
    }
    *count = walk_take_found(walk, candidates);
    return VDB_OK;
}
