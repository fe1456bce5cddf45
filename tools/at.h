/* at.h: earlier states of an index, as users ask for them.
 *
 * A WHEN is the name of a snapshot, else the number of a commit, else a time of RFC 3339, which
 * means the commit that was the newest then. vdb-snap makes no names that would be the others; of
 * one that another program made or sent, the name counts, as a branch of git's counts that is
 * called like a shortened hash.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_AT_H
#define TOOLS_AT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "vdb.h"

/* An empty WHEN, the value of `option`, is wrong usage. */
void at_check(const struct cli *cli, const char *option, const char *text);

/* Each of the following returns an exit status; what is wrong has been said where it is not CLI_OK.
 * A snapshot's name that is not there, a commit to come and one that is not kept are CLI_NO. */

/* The commit that `text` means; `snapshot` is the newest of the index. */
int at_commit(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
              uint64_t *commit);

/* The state that `text` means, for the caller to close. */
int at_past(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
            const struct vdb_snapshot **past);

/* The newest snapshot, or where `text` is not NULL, that one. */
int at_open(const struct cli *cli, struct vdb *db, const char *text,
            const struct vdb_snapshot **snapshot);

/* Whether there is a snapshot of that name. */
bool at_find(const struct vdb_snapshot *snapshot, const char *text, struct vdb_name *name);

/* Says that there is no snapshot of that name, and `else_` (or NULL) of what else it could be, and
 * which there are. Returns CLI_NO. */
int at_unknown(const struct cli *cli, const struct vdb_snapshot *snapshot, const char *text,
               const char *else_);

#endif
