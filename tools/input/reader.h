/* reader.h: what input.c asks of the reader of one format.
 *
 * A reader gives records as they stand in the file: input.c adds numbers, ids and metadata from
 * beside, and checks what is the same for all (finite numbers, one dimension, valid ids).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_READER_H
#define TOOLS_INPUT_READER_H

#include <stdbool.h>

#include "input/fault.h"
#include "input/input.h"
#include "input/source.h"

struct reader {
    const char *name; /* of the input, for messages */
    bool lines;       /* a record's place is a line number */
    bool has_ids;     /* records bring their ids */
    bool has_metadata;
    bool no_offsets; /* record.offset means nothing */
    uint32_t dim;    /* 0: not known yet */
    enum vdb_type type;
    enum vdb_metric metric; /* 0: not known */
    uint64_t rows;          /* 0: not known */

    enum input_status (*next)(struct reader *reader, struct record *record, struct fault *fault);
    double (*progress)(const struct reader *reader);
    void (*close)(struct reader *reader);
};

/* Each takes over `source`, on failure too. NULL: fault is set. */
struct reader *jsonl_open(struct source *source, const struct input_options *options,
                          struct fault *fault);
struct reader *delimited_open(struct source *source, enum input_format format, struct fault *fault);
struct reader *npy_open(struct source *source, struct fault *fault);
struct reader *vecs_open(struct source *source, enum input_format format, struct fault *fault);
struct reader *bin_open(struct source *source, enum input_format format, struct fault *fault);
struct reader *idx_open(struct source *source, struct fault *fault);
struct reader *hdf5_open(struct source *source, const char *path,
                         const struct input_options *options, struct fault *fault);

#endif
