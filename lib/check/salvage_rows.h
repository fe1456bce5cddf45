/* salvage_rows.h: the rows of a damaged file: where each one's id, vector and metadata can still be
 * had, and whether it was live.
 *
 * Rows keep their numbers as long as a file lives. So what a row has may be had from any part of
 * any manifest and from the commit that brought it, each by itself.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_SALVAGE_ROWS_H
#define VDB_CHECK_SALVAGE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "check/salvage_find.h"
#include "format/ids.h"
#include "format/metadata.h"
#include "format/packed.h"

enum salvage_row { SALVAGE_UNKNOWN, SALVAGE_LIVE, SALVAGE_DELETED };

struct salvage_source;

struct salvage_rows {
    struct salvage_found *found;
    struct salvage_source *sources;           /* parts by manifests, then commits in their order */
    uint64_t ends[SALVAGE_MANIFESTS_MAX + 1]; /* where those of a manifest end, and of commits */
    uint64_t source_count;
    struct packed_block unpacked; /* of metadata of: */
    const struct salvage_source *unpacked_of;
    size_t stride;
    uint64_t commit;    /* the newest whose state can be told */
    uint32_t row_count; /* of that state */
    uint32_t tried;     /* rows below this one can be in the file: the others are cut off */
    uint8_t *state;     /* enum salvage_row of each of those */
};

/* Works out the newest state. Errors: VDB_NO_MEMORY. */
enum vdb_status salvage_rows_init(struct salvage_rows *rows, struct salvage_found *found,
                                  struct vdb_error *err);
void salvage_rows_release(struct salvage_rows *rows);

/* Each gives what can be proven, or false, with the reason why the newest of what has it is not
 * sound. Ids and texts lie in the file or in a cache, until the next call. */
bool salvage_row_vector(struct salvage_rows *rows, uint32_t row, const uint8_t **vector,
                        struct vdb_error *why);
bool salvage_row_id(struct salvage_rows *rows, uint32_t row, const char **id, size_t *len,
                    struct vdb_error *why);
bool salvage_row_metadata(struct salvage_rows *rows, uint32_t row, const char **text, size_t *len,
                          struct vdb_error *why);

#endif
