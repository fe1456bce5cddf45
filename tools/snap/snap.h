/* snap.h: what the commands of vdb-snap share: options, and the index.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_SNAP_SNAP_H
#define TOOLS_SNAP_SNAP_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "vdb.h"

struct snap {
    struct cli cli;

    /* options */
    bool json, force, no_maintain;
    const char *prefix, *from; /* NULL: not given */
    uint64_t keep;             /* 0: all */

    char **operands; /* behind the command */
    int operand_count;

    struct vdb *db;                      /* NULL with recv */
    const struct vdb_snapshot *snapshot; /* the newest, when the tool began; likewise */
};

/* The commands. Each returns an exit status; what is wrong has been said where it is not CLI_OK. */
int snap_list(struct snap *snap);
int snap_create(struct snap *snap);
int snap_rm(struct snap *snap);
int snap_restore(struct snap *snap);
int snap_diff(struct snap *snap);
int snap_send(struct snap *snap);
int snap_recv(struct snap *snap);

#endif
