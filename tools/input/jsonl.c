/* jsonl.c: the native record, JSON Lines; a line is parsed by json_record.c.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "cli.h"
#include "input/json_record.h"
#include "input/lines.h"
#include "input/reader.h"

struct jsonl {
    struct reader reader;
    struct lines lines;
    struct json_record parsed;
    bool ids_optional;
};

static enum input_status jsonl_next(struct reader *reader, struct record *record,
                                    struct fault *fault)
{
    struct jsonl *jsonl = (struct jsonl *)reader;
    struct json_record *parsed = &jsonl->parsed;
    const char *line, *missing = NULL;
    size_t len;
    enum line_status status = lines_next_filled(&jsonl->lines, &line, &len, fault);
    if (status == LINE_END) return INPUT_END;
    if (status == LINE_FAILED) return INPUT_FATAL;
    if (status == LINE_TOO_LONG) return INPUT_BAD;

    char why[JSON_WHY_SIZE];
    bool taken = json_record_parse(line, len, parsed, why);
    if (!taken && parsed->no_memory) {
        fault_set(fault, CLI_IOERR, reader->name, "out of memory");
        return INPUT_FATAL;
    }
    if (!taken)
        missing = why;
    else if (!parsed->has_vector)
        missing = "the record has no vector";
    else if (!parsed->id && !jsonl->ids_optional)
        missing = "the record has no id";
    if (missing) {
        fault_line(fault, reader->name, jsonl->lines.number, "%s", missing);
        return INPUT_BAD;
    }
    *record = (struct record){.id = parsed->id,
                              .id_len = parsed->id_len,
                              .vector = parsed->vector.v,
                              .dim = parsed->vector.count,
                              .metadata = parsed->metadata,
                              .metadata_len = parsed->metadata_len,
                              .place = jsonl->lines.number,
                              .offset = jsonl->lines.offset};
    return INPUT_RECORD;
}

static double jsonl_progress(const struct reader *reader)
{
    return source_progress(((const struct jsonl *)reader)->lines.source);
}

static void jsonl_close(struct reader *reader)
{
    struct jsonl *jsonl = (struct jsonl *)reader;
    json_record_release(&jsonl->parsed);
    source_close(jsonl->lines.source);
    free(jsonl);
}

struct reader *jsonl_open(struct source *source, const struct input_options *options,
                          struct fault *fault)
{
    struct jsonl *jsonl = calloc(1, sizeof *jsonl);
    if (!jsonl) {
        fault_set(fault, CLI_IOERR, source_name(source), "out of memory");
        source_close(source);
        return NULL;
    }
    jsonl->reader = (struct reader){.name = source_name(source),
                                    .lines = true,
                                    .has_ids = true,
                                    .has_metadata = true,
                                    .type = VDB_TYPE_F32,
                                    .next = jsonl_next,
                                    .progress = jsonl_progress,
                                    .close = jsonl_close};
    jsonl->lines.source = source;
    jsonl->ids_optional = options->ids_optional;
    return &jsonl->reader;
}
