/* input.h: one way to read vectors, whatever they come in.
 *
 * An input is opened by path and format and gives records one after another; it holds one record
 * in memory, whatever the file's size (JSON, text: one line; binary: one row and a read buffer).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_INPUT_H
#define TOOLS_INPUT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

enum input_format {
    INPUT_AUTO, /* by extension, else by magic, else jsonl */
    INPUT_JSONL,
    INPUT_TSV,
    INPUT_CSV,
    INPUT_WORD2VEC,
    INPUT_NPY,
    INPUT_FVECS,
    INPUT_BVECS,
    INPUT_IVECS,
    INPUT_FBIN,
    INPUT_U8BIN,
    INPUT_I8BIN,
    INPUT_IDX,
    INPUT_HDF5
};

/* The format of that name ("npy"), or -1. */
int input_format_by_name(const char *name);

struct input_options {
    enum input_format format;
    const char *ids_path;      /* one id a line, for inputs without ids; NULL: row numbers */
    const char *id_prefix;     /* put before row numbers; NULL: "" */
    uint64_t first_number;     /* the number of this input's first row (several inputs count on) */
    const char *metadata_path; /* one JSON object a line, in row order; NULL: none */
    const char *dataset;       /* HDF5; NULL: `default_dataset` */
    const char *ids_dataset;   /* HDF5; NULL: none */
    const char *default_dataset; /* HDF5: "train" for vdb-add, "test" for vdb-search */
    bool ids_optional;           /* a JSON record may lack its id: record.id is then NULL */
    bool any_dim;            /* text: the caller holds each record's dimension against its own */
    const char *hdf5_helper; /* path of vdb-hdf5; NULL: beside the tool, or ../libexec/vdb */
};

struct record {
    const char *id; /* no final NUL; NULL only under `ids_optional` */
    size_t id_len;
    const float *vector;
    uint32_t dim;
    const char *metadata; /* JSON text of an object, or NULL */
    size_t metadata_len;
    uint64_t place;  /* line from 1 for text, row from 0 for binary, for messages */
    uint64_t offset; /* byte offset of the record, for messages of binary formats */
};

enum input_status {
    INPUT_RECORD, /* one more record */
    INPUT_END,
    INPUT_BAD,  /* this record is bad and is passed over; the next call goes on behind it */
    INPUT_FATAL /* nothing more can be read: broken structure (65), cannot open (66), I/O (74);
                   records handed out before it are to be given up */
};

struct input;

/* Opens `path` ("-": standard input, which need not be seekable; messages then begin with
 * "standard input"). What gzip has packed is unpacked on the way, HDF5 excepted. The strings of
 * `options` are to outlive the input. On failure returns NULL, puts an exit status into
 * *exit_status (2: options that do not go together) and one sentence that begins with the path
 * into `message`. */
struct input *input_open(const char *path, const struct input_options *options, int *exit_status,
                         char *message, size_t message_size);

/* What a reader knows before the first record: */
uint32_t input_dim(const struct input *input); /* 0: not known yet */
enum vdb_type
input_type(const struct input *input); /* the input's own type; text: f32; f64: f32; ivecs: f32 */
enum vdb_metric
input_metric(const struct input *input);          /* of HDF5's `distance` attribute, else 0 */
uint64_t input_rows(const struct input *input);   /* 0: not known */
double input_progress(const struct input *input); /* share read, 0 to 1, or < 0: not known */
bool input_is_text(const struct input *input);    /* record.place is a line, not a row */

/* Reads the next record; pointers in it are valid until the next call. Every number is finite,
 * every record of one input has the same dimension, the id is 1 to 1,023 bytes of valid UTF-8
 * without control characters, metadata is a JSON object: else INPUT_BAD with a message such as
 * "vectors.jsonl:17: vector has 99 dimensions, expected 100". */
enum input_status input_next(struct input *input, struct record *record, int *exit_status,
                             char *message, size_t message_size);
void input_close(struct input *input);

#endif
