/* superblock.h: the two slots at the front of the file (format-spec/superblock.md).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_FORMAT_SUPERBLOCK_H
#define VDB_FORMAT_SUPERBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/disk.h"
#include "vdb.h"

struct superblock {
    uint16_t version_major, version_minor;
    uint64_t compat, ro_compat, incompat;
    uint8_t file_id[16];
    uint64_t generation;
    uint64_t manifest_off, manifest_len;
    uint64_t log_off, log_end, log_check;
    uint64_t file_end;
    uint64_t flags;
};

/* The chain value that the first record of a file's log names as its predecessor's. */
uint64_t superblock_first_check(const uint8_t file_id[16]);

void superblock_encode(const struct superblock *from, struct disk_superblock *to);

/* Chooses the valid slot with the highest generation of the two at `p`, VDB_SUPERBLOCK_STRIDE bytes
 * apart; `len` is how many bytes of them the file has. *slot is 0 or 1. Magic and version are
 * judged before the checksum, so that a file of another version is told from a damaged one.
 * Errors: VDB_CORRUPT, VDB_UNSUPPORTED (version or incompat bits, by name). */
enum vdb_status superblock_choose(const uint8_t *p, size_t len, struct superblock *out, int *slot,
                                  struct vdb_error *err);

/* Whether either slot bears the magic: else the file is no index, or not one any more. */
bool superblock_is_ours(const uint8_t *p, size_t len);

/* Decodes the slot at `p`, of which the file has `len` bytes, with every check of
 * superblock_choose. */
enum vdb_status superblock_decode(const uint8_t *p, size_t len, uint64_t slot_off,
                                  struct superblock *out, struct vdb_error *err);

#endif
