/* test_input_json.c: a line of JSON Lines is taken exactly when jansson and the record's rules take
 * it, and means the same.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input/json_record.h"
#include "input/text.h"
#include "unit/input_fixture.h"

/* What a whole JSON library makes of the line. */
struct reference {
    json_t *tree;
    bool good;
    bool repeats; /* a key, the record's or one within the metadata, which is not ours to judge */
};

static struct reference judge(const char *line, size_t len)
{
    const size_t how = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY;
    json_error_t error;
    struct reference r = {.tree = json_loadb(line, len, how, &error)};
    json_t *unique = json_loadb(line, len, how | JSON_REJECT_DUPLICATES, &error);
    r.repeats = r.tree && !unique;
    json_decref(unique);
    if (!json_is_object(r.tree)) return r;
    const char *key;
    json_t *value, *number;
    size_t i;
    json_object_foreach(r.tree, key, value)
    {
        if (strcmp(key, "id") == 0 && json_is_string(value)) continue;
        if (strcmp(key, "metadata") == 0 && (json_is_object(value) || json_is_null(value)))
            continue;
        if (strcmp(key, "vector") != 0 || !json_is_array(value)) return r;
        json_array_foreach(value, i,
                           number) if (!json_is_number(number) ||
                                       !isfinite((float)json_number_value(number))) return r;
    }
    r.good = true;
    return r;
}

static void compare_good(const char *line, const struct json_record *record, json_t *tree)
{
    json_t *id = json_object_get(tree, "id"), *vector = json_object_get(tree, "vector");
    json_t *metadata = json_object_get(tree, "metadata");
    bool same = (id != NULL) == (record->id != NULL) && (vector != NULL) == record->has_vector;
    if (same && id)
        same = json_string_length(id) == record->id_len &&
               memcmp(json_string_value(id), record->id, record->id_len) == 0;
    if (same && vector) same = json_array_size(vector) == record->vector.count;
    for (uint32_t i = 0; same && vector && i < record->vector.count; i++)
        same = (float)json_number_value(json_array_get(vector, i)) == record->vector.v[i];
    if (same) same = json_is_object(metadata) == (record->metadata != NULL);
    if (same && record->metadata) {
        json_t *again = json_loadb(record->metadata, record->metadata_len,
                                   JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        same = json_equal(again, metadata);
        json_decref(again);
    }
    if (!same) fail_msg("taken otherwise than jansson takes it: %s", line);
}

/* Returns whether the line is good. */
static bool compare(const char *line, size_t len, struct json_record *record)
{
    char why[JSON_WHY_SIZE];
    struct reference r = judge(line, len);
    bool good = json_record_parse(line, len, record, why);
    /* Ids are held against UTF-8 with the other rules for ids, behind the parser. */
    if (good && record->id && utf8_prefix(record->id, record->id_len) != record->id_len)
        good = false;
    if (good != r.good && (good || !r.repeats)) fail_msg("%s: '%s'", good ? "taken" : why, line);
    if (good) compare_good(line, record, r.tree);
    json_decref(r.tree);
    return good;
}

static const char *const seeds[] = {
    "{\"id\": \"a\", \"vector\": [0.5, -1, 2e3], \"metadata\": {\"k\": [1, {\"x\": 0}]}}",
    "{\"metadata\": {\"s\": \"}]\\\"\", \"t\": null}, \"vector\": [7]}",
    "{\"vector\":[],\"id\":\"\\u00e9\\n\"}",
    "  { \"id\" : \"\xc3\xa9\xf0\x9f\x98\x80\" , \"vector\" : [ 1 , 2 ] , \"metadata\" : null } ",
    "{}",
    "{\"metadata\": {\"a\": {\"b\": [[]]}, \"n\": -0.0e1}, \"id\": \"x\\\\\"}",
    "{\"id\": \"se\\ud83d\\ude00cond\", \"vector\": [2, 3]}",
};

static void seeds_are_good(void **state)
{
    (void)state;
    struct json_record record = {0};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
        assert_true(compare(seeds[i], strlen(seeds[i]), &record));
    json_record_release(&record);
}

/* Bytes changed, taken out and put in, at random but the same in every run. */
static void mutants_are_judged_as_by_jansson(void **state)
{
    (void)state;
    static const char pieces[] = "\"\\{}[],:0123456789eE.+- \tunultrfasid\x01\x80\xc3\xff";
    struct json_record record = {0};
    uint32_t random = 1;
    unsigned good = 0, all = 200000;
    for (unsigned n = 0; n < all; n++) {
        const char *seed = seeds[n % (sizeof seeds / sizeof seeds[0])];
        char line[400];
        size_t len = strlen(seed);
        memcpy(line, seed, len);
        for (unsigned edits = 1 + n % 3; edits > 0; edits--) {
            random = random * 1664525u + 1013904223u;
            size_t at = (random >> 8) % (len + 1);
            char piece = pieces[(random >> 4) % (sizeof pieces - 1)];
            unsigned kind = random >> 30;
            if (kind == 0 && at < len) {
                memmove(line + at, line + at + 1, len - at - 1);
                len--;
            } else if (kind == 1) {
                memmove(line + at + 1, line + at, len - at);
                line[at] = piece;
                len++;
            } else if (at < len) {
                line[at] = piece;
            }
        }
        line[len] = '\0';
        good += compare(line, len, &record);
    }
    json_record_release(&record);
    assert_true(good > all / 50 && good < all / 2); /* both sorts came up */
}

static void expect_why(const char *line, const char *wanted)
{
    struct json_record record = {0};
    char why[JSON_WHY_SIZE];
    assert_false(json_record_parse(line, strlen(line), &record, why));
    assert_string_equal(why, wanted);
    json_record_release(&record);
}

static void faults_are_named_with_their_column(void **state)
{
    (void)state;
    expect_why("[1]", "column 1: expected a JSON object, beginning with '{'");
    expect_why("{\"id\": \"a\", \"metdata\": {}}",
               "column 13: unknown key 'metdata'; a record has id, vector and metadata");
    expect_why("{\"id\": 7}", "column 8: the id must be a string");
    expect_why("{\"vector\": {}}", "column 12: the vector must be an array of numbers");
    expect_why("{\"vector\": [1, 2", "column 17: expected ',' or ']' in the vector");
    expect_why("{\"vector\": [1, \"x\"]}",
               "column 16: number 2 of the vector: '\"x\"' is not a number");
    expect_why("{\"vector\": [NaN]}", "column 13: number 1 of the vector: 'NaN' is not finite");
    expect_why("{\"vector\": [1e40]}",
               "column 13: number 1 of the vector: '1e40' is too large for a 32-bit float");
    expect_why("{\"metadata\": [1]}", "column 14: the metadata must be a JSON object");
    expect_why("{\"metadata\": {\"a\": }}", "column 14: metadata: unexpected token near '}'");
    expect_why("{\"metadata\": {", "column 14: the metadata object is not closed");
    expect_why("{\"id\": \"a", "column 8: a string without its closing quote");
    expect_why("{\"id\": \"a\"} x", "column 13: something stands behind the record");
    expect_why("{\"id\" \"a\"}", "column 7: expected ':'");
    expect_why("{\"id\": \"a\", \"id\": \"b\"}", "column 13: the key 'id' is there twice");
    expect_why("{\"vector\": [], \"vector\": [1]}", "column 16: the key 'vector' is there twice");
    expect_why("{\"metadata\": null, \"metadata\": {}}",
               "column 20: the key 'metadata' is there twice");
    expect_why("{\"id\": \"a\", \"\\u0069d\": \"b\"}", "column 13: the key 'id' is there twice");
}

static void the_largest_dimension_is_65535(void **state)
{
    (void)state;
    for (uint32_t dim = 65535; dim <= 65536; dim++) {
        size_t len = 0;
        char *line = malloc(2 * (size_t)dim + 64), why[JSON_WHY_SIZE];
        assert_non_null(line);
        len += (size_t)sprintf(line, "{\"vector\":[");
        for (uint32_t i = 0; i < dim; i++) {
            line[len++] = '1';
            line[len++] = i + 1 < dim ? ',' : ']';
        }
        line[len++] = '}';
        line[len] = '\0';
        struct json_record record = {0};
        assert_int_equal(json_record_parse(line, len, &record, why), dim == 65535);
        if (dim == 65536) assert_non_null(strstr(why, "the vector has more than 65535 dimensions"));
        json_record_release(&record);
        free(line);
    }
}

static void deep_nesting_is_refused_without_recursion(void **state)
{
    (void)state;
    size_t depth = 1000000, len = 0;
    char *line = malloc(depth + 64), why[JSON_WHY_SIZE];
    assert_non_null(line);
    len = (size_t)sprintf(line, "{\"metadata\":{\"a\":");
    memset(line + len, '[', depth);
    line[len + depth] = '\0';
    struct json_record record = {0};
    assert_false(json_record_parse(line, len + depth, &record, why));
    json_record_release(&record);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_good),
        cmocka_unit_test(mutants_are_judged_as_by_jansson),
        cmocka_unit_test(faults_are_named_with_their_column),
        cmocka_unit_test(the_largest_dimension_is_65535),
        cmocka_unit_test(deep_nesting_is_refused_without_recursion),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
