/* json_record.c: a pure parser of one record of JSON Lines.
 *
 * The record's outer object and its numbers are read here, straight into floats: a tree with a
 * node for each number costs several times what the rest of an import does. Whatever is not
 * numbers (metadata, ids with escapes) is judged by jansson. Metadata is kept as it was written.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/json_record.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "input/number.h"
#include "input/text.h"

struct cursor {
    const char *text;
    size_t at, len;
    char *why;
    bool no_memory;
};

static bool fail(struct cursor *c, const char *what)
{
    snprintf(c->why, JSON_WHY_SIZE, "column %zu: %s", c->at + 1, what);
    return false;
}

static bool fail_memory(struct cursor *c)
{
    c->no_memory = true;
    return fail(c, "out of memory");
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->len && strchr(" \t\r\n", c->text[c->at]) && c->text[c->at]) c->at++;
}

static bool next_is(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at >= c->len || c->text[c->at] != wanted) return false;
    c->at++;
    return true;
}

/* Finds the end of the string that begins at c->at. */
static bool skip_string(struct cursor *c, bool *escapes)
{
    size_t begin = c->at++;
    *escapes = false;
    for (; c->at < c->len; c->at++) {
        unsigned char b = (unsigned char)c->text[c->at];
        if (b == '"') {
            c->at++;
            return true;
        }
        if (b == '\\') {
            *escapes = true;
            c->at++;
        } else if (b < 0x20) {
            return fail(c, "a control character in a string");
        }
    }
    c->at = begin;
    return fail(c, "a string without its closing quote");
}

/* Reads a string. It lies in the text, or decoded in *decoded, where it had escapes. */
static bool take_string(struct cursor *c, const char **value, size_t *len, char **decoded)
{
    size_t begin = c->at;
    bool escapes;
    if (!skip_string(c, &escapes)) return false;
    *value = c->text + begin + 1;
    *len = c->at - begin - 2;
    if (!escapes) return true;
    json_error_t error;
    json_t *string =
        json_loadb(c->text + begin, c->at - begin, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    char *copy = string ? malloc(json_string_length(string) + 1) : NULL;
    if (!copy) {
        json_decref(string);
        c->at = begin;
        bool memory = string || json_error_code(&error) == json_error_out_of_memory;
        return memory ? fail_memory(c) : fail(c, error.text);
    }
    *len = json_string_length(string);
    memcpy(copy, json_string_value(string), *len);
    json_decref(string);
    free(*decoded);
    *value = *decoded = copy;
    return true;
}

static bool take_id(struct cursor *c, struct json_record *record)
{
    if (c->at >= c->len || c->text[c->at] != '"') return fail(c, "the id must be a string");
    return take_string(c, &record->id, &record->id_len, &record->id_decoded);
}

static bool take_number(struct cursor *c, struct floats *vector)
{
    float value = 0;
    size_t used;
    enum number_status status = number_parse(c->text + c->at, c->len - c->at, true, &value, &used);
    if (status != NUMBER_OK) {
        char quoted[QUOTE_SIZE], what[160];
        size_t len = used ? used : strcspn(c->text + c->at, ",] \t");
        if (len > c->len - c->at) len = c->len - c->at;
        snprintf(what, sizeof what, "number %lu of the vector: '%s' %s",
                 (unsigned long)vector->count + 1, quote(quoted, c->text + c->at, len),
                 number_fault(status));
        return fail(c, what);
    }
    switch (floats_add(vector, value)) {
    case FLOATS_OK:
        break;
    case FLOATS_FULL:
        return fail(c, "the vector has more than 65535 dimensions");
    case FLOATS_NO_MEMORY:
        return fail_memory(c);
    }
    c->at += used;
    return true;
}

static bool take_vector(struct cursor *c, struct json_record *record)
{
    if (!next_is(c, '[')) return fail(c, "the vector must be an array of numbers");
    record->has_vector = true;
    record->vector.count = 0;
    if (next_is(c, ']')) return true;
    do {
        skip_space(c);
        if (!take_number(c, &record->vector)) return false;
    } while (next_is(c, ','));
    return next_is(c, ']') || fail(c, "expected ',' or ']' in the vector");
}

/* Where an object ends is told by its brackets outside strings; what is between them is jansson's
 * to judge. */
static bool take_metadata(struct cursor *c, struct json_record *record)
{
    if (c->len - c->at >= 4 && memcmp(c->text + c->at, "null", 4) == 0) {
        c->at += 4;
        record->metadata = NULL;
        record->metadata_len = 0;
        return true;
    }
    size_t begin = c->at, depth = 0;
    if (c->at >= c->len || c->text[c->at] != '{')
        return fail(c, "the metadata must be a JSON object");
    do {
        bool escapes;
        char b = c->at < c->len ? c->text[c->at] : '\0';
        if (c->at >= c->len) {
            c->at = begin;
            return fail(c, "the metadata object is not closed");
        }
        if (b == '"') {
            if (!skip_string(c, &escapes)) return false;
            continue;
        }
        depth += b == '{' || b == '[';
        depth -= b == '}' || b == ']';
        c->at++;
    } while (depth > 0);
    char why[JSON_WHY_SIZE];
    if (!json_text_is_object(c->text + begin, c->at - begin, why)) {
        c->at = begin;
        snprintf(c->why, JSON_WHY_SIZE, "column %zu: metadata: %.200s", begin + 1, why);
        return false;
    }
    record->metadata = c->text + begin;
    record->metadata_len = c->at - begin;
    return true;
}

/* `seen` has a bit for each key that was there before. */
static bool take_member(struct cursor *c, struct json_record *record, unsigned *seen)
{
    static const struct {
        const char *key;
        bool (*take)(struct cursor *, struct json_record *);
    } members[] = {{"id", take_id}, {"vector", take_vector}, {"metadata", take_metadata}};

    skip_space(c);
    if (c->at >= c->len || c->text[c->at] != '"') return fail(c, "expected a key in quotes");
    size_t key_at = c->at, key_len;
    const char *key;
    char *decoded = NULL;
    if (!take_string(c, &key, &key_len, &decoded)) return false;
    size_t m = 0;
    while (m < 3 && (strlen(members[m].key) != key_len || memcmp(members[m].key, key, key_len)))
        m++;
    char what[160], quoted[QUOTE_SIZE];
    snprintf(what, sizeof what, "unknown key '%s'; a record has id, vector and metadata",
             quote(quoted, key, key_len));
    free(decoded);
    if (m == 3) {
        c->at = key_at;
        return fail(c, what);
    }
    if (*seen & 1U << m) {
        c->at = key_at;
        snprintf(what, sizeof what, "the key '%s' is there twice", members[m].key);
        return fail(c, what);
    }
    *seen |= 1U << m;
    if (!next_is(c, ':')) return fail(c, "expected ':'");
    skip_space(c);
    return members[m].take(c, record);
}

static bool take_record(struct cursor *c, struct json_record *record)
{
    record->id = record->metadata = NULL;
    record->id_len = record->metadata_len = 0;
    record->has_vector = false;
    record->vector.count = 0;

    unsigned seen = 0;
    if (!next_is(c, '{')) return fail(c, "expected a JSON object, beginning with '{'");
    if (!next_is(c, '}')) {
        do {
            if (!take_member(c, record, &seen)) return false;
        } while (next_is(c, ','));
        if (!next_is(c, '}')) return fail(c, "expected ',' or '}'");
    }
    skip_space(c);
    return c->at == c->len || fail(c, "something stands behind the record");
}

bool json_record_parse(const char *line, size_t len, struct json_record *record,
                       char why[JSON_WHY_SIZE])
{
    struct cursor c = {line, 0, len, why, false};
    bool taken = take_record(&c, record);
    record->no_memory = c.no_memory;
    return taken;
}

void json_record_release(struct json_record *record)
{
    free(record->vector.v);
    free(record->id_decoded);
}

bool json_text_is_object(const char *text, size_t len, char why[JSON_WHY_SIZE])
{
    json_error_t error;
    /* Integers as reals: an integer of 30 digits is JSON, too, and nothing is kept of the tree. */
    json_t *tree =
        json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    bool object = json_is_object(tree);
    if (!tree)
        snprintf(why, JSON_WHY_SIZE, "%.180s", error.text);
    else if (!object)
        snprintf(why, JSON_WHY_SIZE, "expected a JSON object");
    json_decref(tree);
    return object;
}
