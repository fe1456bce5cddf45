/* json_record.h: one line of JSON Lines to an id, a vector and metadata.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_JSON_RECORD_H
#define TOOLS_INPUT_JSON_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "input/floats.h"

struct json_record {
    const char *id; /* in the line or in id_decoded; NULL: the record has none */
    size_t id_len;
    bool has_vector;
    struct floats vector;
    const char *metadata; /* a slice of the line, or NULL */
    size_t metadata_len;

    bool no_memory; /* parsing failed for want of memory, and not by what stands in the line */

    char *id_decoded; /* owned: an id that was written with escapes */
};

#define JSON_WHY_SIZE 256

/* Parses a record: an object with the keys id (string), vector (array of numbers) and metadata
 * (object, or null for none), each once at most, and no others. line[len] must be a NUL. The
 * record's buffers are used again from call to call: begin with zero bytes, end with
 * json_record_release. false: `why` says in one sentence what is wrong. */
bool json_record_parse(const char *line, size_t len, struct json_record *record,
                       char why[JSON_WHY_SIZE]);
void json_record_release(struct json_record *record);

/* Whether all of `text` is one JSON object; else `why`. */
bool json_text_is_object(const char *text, size_t len, char why[JSON_WHY_SIZE]);

#endif
