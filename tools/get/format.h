/* format.h: the formats that vdb-get writes to a stream.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_GET_FORMAT_H
#define TOOLS_GET_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vdb.h"

struct get_row {
    const char *id;
    size_t id_len;
    const float *vector;
    const char *metadata; /* or NULL */
    size_t metadata_len;
};

struct get_format {
    const char *name;
    bool binary;
    bool metadata; /* whether it is wanted at all */
    /* NULL: nothing stands before the rows. Failures show in ferror(out). */
    void (*begin)(FILE *out, const struct vdb_info *info, uint64_t rows);
    void (*row)(FILE *out, const struct vdb_info *info, const struct get_row *row);
};

/* The format of that name, or NULL. */
const struct get_format *get_format(const char *name);

#endif
