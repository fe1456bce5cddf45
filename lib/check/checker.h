/* checker.h: what the parts of a check share: the file, and the findings.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_CHECKER_H
#define VDB_CHECK_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/osfile.h"
#include "format/log.h"
#include "format/superblock.h"
#include "state/snapshot.h"
#include "state/view.h"
#include "vdb.h"

struct checker {
    const struct vdb_check_options *options;
    struct osfile file;
    uint64_t file_len;
    struct superblock superblock;
    struct view *view;
    uint64_t findings;
};

void checker_report(struct checker *checker, const struct vdb_error *finding);

/* Reports a status that says damage and returns VDB_OK for it; hands others back. */
enum vdb_status checker_take(struct checker *checker, enum vdb_status status,
                             const struct vdb_error *finding);

/* Reports the bytes where they have another checksum. */
void checker_bytes(struct checker *checker, const char *segment, uint64_t off, uint64_t len,
                   uint64_t expected);

/* Holds a commit's blocks against their checksums. */
void checker_blocks(struct checker *checker, const struct log_commit *commit);

#endif
