/* centroids.h: the centroids that vdb-compact is to build lists around, from a file of vectors.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_COMPACT_CENTROIDS_H
#define TOOLS_COMPACT_CENTROIDS_H

#include <stdint.h>

#include "cli.h"
#include "vdb.h"

struct centroids {
    float *vectors; /* count times the index's dimension, one behind another */
    uint32_t count;
};

/* Reads all vectors of the file at `path`, or of standard input where that is "-": 1 to as many as
 * the index has live rows, of its dimension. Returns an exit status; what is wrong has been said
 * where it is not CLI_OK. End with centroids_release, on errors too. */
int centroids_read(const struct cli *cli, const char *path, const struct vdb_info *info,
                   struct centroids *centroids);
void centroids_release(struct centroids *centroids);

#endif
