/* hdf5_pipe.h: what passes between a tool and its helper vdb-hdf5, and how the helper is run.
 *
 *     vdb-hdf5 read [DATASET [IDS_DATASET [DEFAULT_DATASET]]]      "": none
 *     vdb-hdf5 write
 *     vdb-hdf5 --version                                           and how it is confined
 *
 * It opens no files: what it reads or writes is a descriptor that the tool has opened. Both are
 * processes of one machine and one installation: numbers are native. Errors: one sentence on
 * stderr, without the tool's name and the path, and an exit status as everywhere.
 *
 * read, of the file that is stdin, on stdout: struct hdf5_read_head; each row: where has_ids, u32
 * length and bytes of the id, then dim floats; behind the last row HDF5_READ_END, by which a whole
 * stream is known.
 *
 * write, on stdin: frames, a struct hdf5_frame and `len` bytes each; the last is HDF5_FRAME_END,
 * without which it fails. The file, empty and open for reading and writing, is stdout.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_HDF5_PIPE_H
#define TOOLS_INPUT_HDF5_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "input/fault.h"

#define HDF5_READ_MAGIC "VDBH5R1\n"
#define HDF5_READ_END   0x656e6421u
#define HDF5_ID_MAX     4096 /* longer ids are cut to this, which is still too long for an id */

struct hdf5_read_head {
    char magic[8];
    uint64_t rows;
    uint32_t dim;
    uint32_t type;   /* enum vdb_type */
    uint32_t metric; /* enum vdb_metric, or 0 */
    uint32_t has_ids;
};

enum hdf5_frame_kind {
    HDF5_FRAME_DATASET = 1, /* u32 element, u32 width, the name; numbered in order from 0 */
    HDF5_FRAME_ATTRIBUTE,   /* name, NUL, value */
    HDF5_FRAME_ROWS, /* rows for `dataset`: elements, or strings each behind its u32 length */
    HDF5_FRAME_END
};

struct hdf5_frame {
    uint32_t kind;
    uint32_t dataset;
    uint64_t len;
};

struct hdf5_child {
    pid_t pid; /* 0: none */
    int said;  /* an anonymous file that takes the helper's stderr */
};

/* Starts the helper (`helper`, or NULL: the one beside this program or in ../libexec/vdb) with
 * args[0] the verb; descriptors: `in` < 0 for /dev/null, `out` < 0 for this process's stdout. They
 * stay the caller's. `name` begins the message, `status` is the exit status, where it cannot. */
bool hdf5_spawn(struct hdf5_child *child, const char *helper, const char *const *args, int in,
                int out, const char *name, int status, struct fault *fault);

/* Waits for the helper to end; false unless it succeeded, with what it said as the fault. */
bool hdf5_reap(struct hdf5_child *child, const char *name, struct fault *fault);

/* Ends the helper, whatever it is doing. */
void hdf5_kill(struct hdf5_child *child);

/* For --version of the tools: a line about the helper and how it is confined. */
void hdf5_about(FILE *to);

#endif
