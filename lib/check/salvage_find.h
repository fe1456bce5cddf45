/* salvage_find.h: what is left of a damaged file: manifests, and the commits that the log has.
 *
 * The file is mapped privately, so that a wrong bit that is found can be put right where it is.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_SALVAGE_FIND_H
#define VDB_CHECK_SALVAGE_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "format/log.h"
#include "format/manifest.h"
#include "vdb.h"

#define SALVAGE_MANIFESTS_MAX 8

struct salvage_manifest {
    struct manifest m;
    uint64_t off;
    bool has_log; /* it has a superblock, by which the log goes on at: */
    struct log_cursor log;
};

struct salvage_found {
    uint8_t *file;
    uint64_t file_len;
    uint8_t file_id[16];
    struct salvage_manifest manifests[SALVAGE_MANIFESTS_MAX]; /* the newest first */
    uint32_t manifest_count;
    /* From the oldest that is left on, in the order of their numbers, of which some may be missing.
     */
    struct log_commit *commits;
    uint64_t commit_count, commit_cap;
    bool behind;             /* a later commit is left than the last of these, or may be; */
    struct vdb_error broken; /* why the log ends there */
    uint64_t mended;
    uint64_t effort; /* bytes that may still be looked at for wrong bits */
};

/* Finds manifests and walks the log. Errors: VDB_CORRUPT (no manifest is left, or no index at all),
 * VDB_UNSUPPORTED (another version), VDB_NO_MEMORY. */
enum vdb_status salvage_find(struct salvage_found *found, struct vdb_error *err);
void salvage_found_release(struct salvage_found *found);

/* Whether the bytes lie in the file and have that checksum, as they are or with one bit put right,
 * which is done; *why says so where they do not. */
bool salvage_sound(struct salvage_found *found, const char *segment, uint64_t off, uint64_t len,
                   uint64_t check, struct vdb_error *why);

/* The index of the first commit whose number is not below `number`. */
uint64_t salvage_commit_from(const struct salvage_found *found, uint64_t number);

#endif
