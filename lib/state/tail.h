/* tail.h: the commits after the manifest's, as the log gives them.
 *
 * One tail serves all snapshots of a generation: entries are appended and then never change, and
 * never move, so that a snapshot is a count of them. Appending is for one thread at a time (the
 * handle's lock); reading entries below a count that was handed over needs no lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_STATE_TAIL_H
#define VDB_STATE_TAIL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/ids.h"
#include "format/log.h"
#include "format/metadata.h"
#include "vdb.h"

struct tail_commit {
    struct log_commit log;
    const uint8_t *vectors;
    const uint8_t *events; /* struct disk_event */
    struct ids_view ids;
    struct metadata_view metadata; /* used where log.metadata.len is not 0 */
};

#define TAIL_BLOCK_FIRST 64u /* block i has 64 << i entries */
#define TAIL_BLOCKS      26

struct tail {
    struct tail_commit *blocks[TAIL_BLOCKS];
    uint32_t count;

    /* From a hash to its rows, newest first: the map has the newest, and for each row of the tail
     * `previous` has the one before it of the same hash. So a row costs the same to add however
     * many versions its id has. Guarded by map_lock. */
    pthread_mutex_t map_lock;
    uint64_t *map; /* hash's upper 32 bits, newest row's number in the tail + 1 below; 0: empty */
    uint32_t *previous; /* number in the tail + 1; 0: none */
    uint32_t map_bits, map_used, mapped_rows, previous_cap;
};

enum vdb_status tail_init(struct tail *tail, struct vdb_error *err);
void tail_release(struct tail *tail);

/* Takes in a commit that log_next let through. `rows` is the row count before it, `stride` what
 * vectors of this index have, `file` the mapped bytes. */
enum vdb_status tail_append(struct tail *tail, const struct log_commit *commit, uint32_t rows,
                            size_t stride, const uint8_t *file, struct vdb_error *err);

const struct tail_commit *tail_at(const struct tail *tail, uint32_t index);

/* The first among the first `count` commits whose rows end beyond `row`, or `count`. */
uint32_t tail_index_of_row(const struct tail *tail, uint32_t count, uint32_t row);

/* The commit among the first `count` that added the row, or NULL. */
const struct tail_commit *tail_of_row(const struct tail *tail, uint32_t count, uint32_t row);

/* Calls visit for each row of the first `count` commits whose id may have this hash, the newest
 * first, until it returns false. */
typedef bool (*tail_visit_fn)(void *context, uint32_t row);
enum vdb_status tail_find(struct tail *tail, uint32_t count, uint64_t hash, tail_visit_fn visit,
                          void *context, struct vdb_error *err);

#endif
