/* output.h: how vdb-search writes what it found: text, JSON, ivecs or HDF5.
 *
 * A file takes its name when it is complete and not before; standard output gets every answer as
 * it comes.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_SEARCH_OUTPUT_H
#define TOOLS_SEARCH_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli.h"
#include "input/hdf5_write.h"
#include "newfile.h"
#include "vdb.h"

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_IVECS, OUTPUT_HDF5 };

static inline bool output_is_numbers(enum output_format format)
{
    return format == OUTPUT_IVECS || format == OUTPUT_HDF5;
}

struct output {
    /* by the caller */
    const struct cli *cli;
    const struct vdb_snapshot *snapshot;
    enum output_format format;
    bool with_metadata;
    const char *path; /* NULL: standard output */
    uint32_t k;       /* columns of ivecs and HDF5 */

    /* by output_open */
    FILE *out; /* NULL with HDF5 */
    struct newfile file;
    struct hdf5_writer *writer;
    bool hdf5_failed;
    int neighbors, distances; /* datasets */
    int32_t *row_numbers;     /* k, of one query */
    float *row_distances;
};

/* Returns an exit status and has told what was wrong. */
int output_open(struct output *output);

/* Of text and JSON: prints the answer to one query on any stream. Several threads may do so at
 * once, each on a stream of its own. */
enum vdb_status output_print(const struct output *output, FILE *to, const char *query,
                             const struct vdb_hit *hits, uint32_t found, struct vdb_error *err);

/* Of ivecs and HDF5: writes the answer to one query. Returns an exit status, and leaves it to
 * output_close to tell what was wrong. */
int output_write_row(struct output *output, const struct vdb_hit *hits, uint32_t found);

/* Completes the output where `status` says that the answers are whole (0 or 1), else gives it up.
 * Returns `status`, or what went wrong here. Standard output is left to cli_finish. */
int output_close(struct output *output, int status);

#endif
