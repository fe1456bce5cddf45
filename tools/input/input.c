/* input.c: opens an input with the reader of its format, joins ids and metadata from beside, and
 * holds every record against what all of them must be.
 *
 * A bad record still takes its line of the ids and metadata files, so that they stay in step.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/input.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "input/detect.h"
#include "input/json_record.h"
#include "input/lines.h"
#include "input/reader.h"
#include "input/text.h"

struct input {
    struct reader *reader;
    struct lines ids, metadata; /* source NULL: none */
    const char *id_prefix;
    uint64_t first_number;
    char *number; /* the id made of the prefix and a row's number */
    size_t number_size;
    uint64_t row; /* records read, good and bad */
    uint32_t dim; /* of the first good record, or of the header; 0: not known yet */
    bool any_dim, dead;
};

/* ---- opening ------------------------------------------------------------------------------- */

static struct reader *open_reader(const char *path, const struct input_options *options,
                                  struct fault *fault)
{
    struct source *source = source_open(path, fault);
    if (!source) return NULL;
    enum input_format format = options->format ? options->format : detect_by_name(path);
    size_t have;
    const uint8_t *p = source_peek(source, DETECT_BYTES, &have, fault);
    bool good = p != NULL;
    if (good && detect_gzip(p, have, format, path)) {
        good = source_unpack(source, fault) &&
               (p = source_peek(source, DETECT_BYTES, &have, fault)) != NULL;
    }
    if (good && format == INPUT_AUTO) format = detect_by_magic(p, have);
    if (good && format != INPUT_HDF5 && (options->dataset || options->ids_dataset)) {
        fault_set(fault, CLI_USAGE, source_name(source),
                  "is not HDF5, and only that has datasets to choose from");
        good = false;
    }
    if (!good) {
        source_close(source);
        return NULL;
    }
    switch (format) {
    case INPUT_AUTO:
    case INPUT_JSONL:
        return jsonl_open(source, options, fault);
    case INPUT_TSV:
    case INPUT_CSV:
    case INPUT_WORD2VEC:
        return delimited_open(source, format, fault);
    case INPUT_NPY:
        return npy_open(source, fault);
    case INPUT_FVECS:
    case INPUT_BVECS:
    case INPUT_IVECS:
        return vecs_open(source, format, fault);
    case INPUT_FBIN:
    case INPUT_U8BIN:
    case INPUT_I8BIN:
        return bin_open(source, format, fault);
    case INPUT_IDX:
        return idx_open(source, fault);
    case INPUT_HDF5:
        return hdf5_open(source, path, options, fault);
    }
    source_close(source);
    return NULL;
}

static bool open_beside(struct input *input, const struct input_options *options,
                        struct fault *fault)
{
    const char *name = input->reader->name, *ids = options->ids_path;
    const char *metadata = options->metadata_path;
    if (ids && input->reader->has_ids) {
        fault_set(fault, CLI_USAGE, name, "has ids of its own, and --ids gives others");
        return false;
    }
    if (metadata && input->reader->has_metadata) {
        fault_set(fault, CLI_USAGE, name, "has metadata of its own, and --metadata gives others");
        return false;
    }
    int standard = strcmp(name, "standard input") == 0;
    standard += ids && strcmp(ids, "-") == 0;
    standard += metadata && strcmp(metadata, "-") == 0;
    if (standard > 1) {
        fault_set(fault, CLI_USAGE, "standard input", "can be read for one purpose only");
        return false;
    }
    if (ids && !(input->ids.source = source_open(ids, fault))) return false;
    return !metadata || (input->metadata.source = source_open(metadata, fault)) != NULL;
}

struct input *input_open(const char *path, const struct input_options *options, int *exit_status,
                         char *message, size_t message_size)
{
    struct fault fault = {CLI_SOFTWARE, message, message_size};
    struct input *input = calloc(1, sizeof *input);
    const char *prefix = options->id_prefix ? options->id_prefix : "";
    size_t number_size = strlen(prefix) + 24;
    char *number = malloc(number_size);
    if (!input || !number) {
        free(input);
        free(number);
        fault_set(&fault, CLI_IOERR, path, "out of memory");
        *exit_status = fault.exit_status;
        return NULL;
    }
    *input = (struct input){.id_prefix = prefix,
                            .first_number = options->first_number,
                            .any_dim = options->any_dim,
                            .number = number,
                            .number_size = number_size};
    input->reader = open_reader(path, options, &fault);
    if (!input->reader || !open_beside(input, options, &fault)) {
        input_close(input);
        *exit_status = fault.exit_status;
        return NULL;
    }
    input->dim = input->reader->dim;
    return input;
}

void input_close(struct input *input)
{
    if (!input) return;
    if (input->reader) input->reader->close(input->reader);
    source_close(input->ids.source);
    source_close(input->metadata.source);
    free(input->number);
    free(input);
}

uint32_t input_dim(const struct input *input)
{
    return input->dim;
}
enum vdb_type input_type(const struct input *input)
{
    return input->reader->type;
}
enum vdb_metric input_metric(const struct input *input)
{
    return input->reader->metric;
}
uint64_t input_rows(const struct input *input)
{
    return input->reader->rows;
}
bool input_is_text(const struct input *input)
{
    return input->reader->lines;
}

double input_progress(const struct input *input)
{
    return input->reader->progress(input->reader);
}

/* ---- ids and metadata from beside ---------------------------------------------------------- */

/* This row's line of a file beside; `what` it holds. */
static enum input_status beside_line(struct input *input, struct lines *lines, const char *what,
                                     const char **line, size_t *len, struct fault *fault)
{
    switch (lines_next(lines, line, len, fault)) {
    case LINE_OK:
        return INPUT_RECORD;
    case LINE_TOO_LONG:
        return INPUT_BAD;
    case LINE_FAILED:
        return INPUT_FATAL;
    case LINE_END:
        break;
    }
    fault_line(fault, source_name(lines->source), lines->number + 1,
               "%s for row %" PRIu64 " of %s is missing", what, input->row, input->reader->name);
    return INPUT_FATAL;
}

static enum input_status take_id(struct input *input, struct record *record, struct fault *fault)
{
    if (!input->ids.source) {
        int n = snprintf(input->number, input->number_size, "%s%" PRIu64, input->id_prefix,
                         input->first_number + input->row);
        record->id = input->number;
        record->id_len = (size_t)n;
        return INPUT_RECORD;
    }
    enum input_status status =
        beside_line(input, &input->ids, "the id", &record->id, &record->id_len, fault);
    const char *why = status == INPUT_RECORD ? id_fault(record->id, record->id_len) : NULL;
    if (!why) return status;
    fault_line(fault, source_name(input->ids.source), input->ids.number, "the id %s", why);
    return INPUT_BAD;
}

static enum input_status take_metadata(struct input *input, struct record *record,
                                       struct fault *fault)
{
    const char *line, *name = source_name(input->metadata.source);
    char why[JSON_WHY_SIZE];
    size_t len, at;
    enum input_status status =
        beside_line(input, &input->metadata, "the metadata", &line, &len, fault);
    if (status != INPUT_RECORD) return status;
    at = strspn(line, " \t\r");
    while (len > at && strchr(" \t\r", line[len - 1]) && line[len - 1]) len--;
    line += at;
    len -= at;
    if (len == 0 || (len == 4 && memcmp(line, "null", 4) == 0)) return INPUT_RECORD;
    record->metadata = line;
    record->metadata_len = len;
    if (json_text_is_object(line, len, why)) return INPUT_RECORD;
    fault_line(fault, name, input->metadata.number, "%s", why);
    return INPUT_BAD;
}

/* The files beside must end where the input does. */
static enum input_status check_beside_end(struct input *input, struct fault *fault)
{
    struct lines *both[2] = {&input->ids, &input->metadata};
    for (int i = 0; i < 2; i++) {
        const char *line;
        size_t len;
        if (!both[i]->source) continue;
        enum line_status status = lines_next(both[i], &line, &len, fault);
        if (status == LINE_FAILED) return INPUT_FATAL;
        if (status == LINE_END) continue;
        fault_line(fault, source_name(both[i]->source), both[i]->number,
                   "more lines than %s has rows (%" PRIu64 ")", input->reader->name, input->row);
        return INPUT_FATAL;
    }
    return INPUT_END;
}

/* ---- records ------------------------------------------------------------------------------- */

static enum input_status bad(const struct input *input, const struct record *record,
                             struct fault *fault, const char *what)
{
    const struct reader *reader = input->reader;
    if (reader->lines)
        fault_line(fault, reader->name, record->place, "%s", what);
    else if (!reader->no_offsets)
        fault_row(fault, reader->name, record->place, record->offset, "%s", what);
    else
        fault_set(fault, CLI_DATA, reader->name, "row %" PRIu64 ": %s", record->place, what);
    return INPUT_BAD;
}

static enum input_status check(struct input *input, const struct record *record,
                               struct fault *fault)
{
    char what[128];
    if (record->dim == 0) return bad(input, record, fault, "the vector has no numbers");
    if (!input->any_dim && input->dim && record->dim != input->dim) {
        snprintf(what, sizeof what, "vector has %" PRIu32 " dimensions, expected %" PRIu32,
                 record->dim, input->dim);
        return bad(input, record, fault, what);
    }
    for (uint32_t i = 0; i < record->dim; i++)
        if (!isfinite(record->vector[i])) {
            snprintf(what, sizeof what, "number %" PRIu32 " of the vector is not finite%s", i + 1,
                     isnan(record->vector[i]) ? " (NaN)" : " as a 32-bit float");
            return bad(input, record, fault, what);
        }
    const char *why = record->id ? id_fault(record->id, record->id_len) : NULL;
    if (why) {
        snprintf(what, sizeof what, "the id %s", why);
        return bad(input, record, fault, what);
    }
    if (record->metadata_len > VDB_METADATA_MAX)
        return bad(input, record, fault, "the metadata is longer than 16 MiB");
    input->dim = record->dim;
    return INPUT_RECORD;
}

/* One step of the input and of the files beside it. Of two bad things the first is told. */
static enum input_status step(struct input *input, struct record *record, struct fault *fault)
{
    char text[512];
    struct fault other = {0, text, sizeof text};
    enum input_status status = input->reader->next(input->reader, record, fault);
    if (status == INPUT_END) return check_beside_end(input, fault);
    if (status == INPUT_FATAL) return status;
    for (int i = 0; i < 2; i++) {
        bool wanted = i == 0 ? !input->reader->has_ids : input->metadata.source != NULL;
        if (!wanted) continue;
        struct fault *to = status == INPUT_BAD ? &other : fault;
        enum input_status beside =
            i == 0 ? take_id(input, record, to) : take_metadata(input, record, to);
        if (beside == INPUT_FATAL && to == &other) {
            fault->exit_status = other.exit_status;
            snprintf(fault->message, fault->message_size, "%s", text);
        }
        if (beside == INPUT_FATAL) return beside;
        if (beside == INPUT_BAD) status = beside;
    }
    return status == INPUT_RECORD ? check(input, record, fault) : status;
}

enum input_status input_next(struct input *input, struct record *record, int *exit_status,
                             char *message, size_t message_size)
{
    struct fault fault = {0, message, message_size};
    *record = (struct record){0};
    enum input_status status = INPUT_FATAL;
    if (input->dead)
        fault_set(&fault, CLI_DATA, input->reader->name, "cannot be read any further");
    else
        status = step(input, record, &fault);
    if (status == INPUT_RECORD || status == INPUT_BAD) input->row++;
    input->dead = status == INPUT_FATAL;
    if (fault.exit_status) *exit_status = fault.exit_status;
    return status;
}
