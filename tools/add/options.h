/* options.h: the options and operands of vdb-add, from text to meaning.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_ADD_OPTIONS_H
#define TOOLS_ADD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli.h"
#include "input/input.h"
#include "vdb.h"

struct add_options {
    bool create, skip_bad, json, index_given, codes_given, quiet_given, maintain;
    enum vdb_metric metric; /* 0: not given; likewise type, dim, batch */
    enum vdb_type type;
    uint32_t dim;
    enum vdb_index_kind index;
    enum vdb_codes codes;
    uint32_t m, ef_construction; /* 0: not given */
    uint32_t recent_rows;        /* 0: not given, or recent_seconds is */
    uint64_t recent_seconds;     /* likewise */
    uint32_t quiet_begin, quiet_end;
    int64_t now_us; /* 0: the clock's */
    enum vdb_put_mode mode;
    uint64_t batch;
    struct input_options input;
};
/* Dimensions are held against the index, which a message then names. */
#define ADD_OPTIONS_INIT                                                                           \
    {                                                                                              \
        .maintain = true, .input = {.default_dataset = "train", .any_dim = true }                  \
    }

extern const struct cli_option add_option_table[];

/* A cli_take_fn; `context` is a struct add_options. */
void add_take_option(struct cli *cli, void *context, int id, const char *value);

/* Whether the options ask for another index than this one is; then one sentence in `text`. */
bool add_options_conflict(const struct add_options *options, const struct vdb_info *info,
                          char *text, size_t text_size);

/* INPUT, or ID=FILE of an HDF5 file: then `id` is not NULL. */
struct add_operand {
    const char *path;
    const char *id;
    size_t id_len;
};

/* An operand that is the path of a file is one, whatever it looks like. Else it is ID=FILE where
 * FILE is HDF5 by `format`, by its name or by its first bytes; an id may hold '=', too: the first
 * '=' behind which an existing file stands ends it. */
struct add_operand add_operand(const char *text, enum input_format format);

#endif
