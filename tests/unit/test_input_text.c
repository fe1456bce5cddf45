/* test_input_text.c: JSON Lines, tsv, csv and word2vec are read as documented, and what is wrong is
 * named with its line.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "input/detect.h"
#include "input/text.h"
#include "unit/input_fixture.h"

static void jsonl_gives_ids_vectors_and_metadata(void **state)
{
    (void)state;
    const char *path =
        TEXT_FILE("good.jsonl", "\xef\xbb\xbf{\"id\": \"a\", \"vector\": [0.1, -2, 3e2], "
                                "\"metadata\": {\"z\": 1, \"a\": [1.50, \"}\"]}}\r\n"
                                "\n   \t\n"
                                "{\"vector\": [4, 5, 6], \"id\": \"\\u00e9\"}");
    struct input *in = open_good(path, NULL);
    struct record record;
    char message[256];
    int status;
    assert_true(input_is_text(in));
    assert_int_equal(input_dim(in), 0);
    assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
    /* Metadata comes as it was written: order of keys and digits of numbers. */
    const char *metadata = "{\"z\": 1, \"a\": [1.50, \"}\"]}";
    assert_int_equal(record.metadata_len, strlen(metadata));
    assert_memory_equal(record.metadata, metadata, record.metadata_len);
    assert_int_equal(record.place, 1);
    assert_true(record.vector[0] == 0.1f && record.vector[1] == -2 && record.vector[2] == 300);
    assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
    assert_int_equal(record.place, 4);
    assert_int_equal(record.id_len, 2);
    assert_memory_equal(record.id, "\xc3\xa9", 2);
    assert_null(record.metadata);
    assert_int_equal(input_dim(in), 3);
    assert_true(input_progress(in) == 1);
    expect_end(in);
}

static void jsonl_faults_name_path_and_line_and_reading_goes_on(void **state)
{
    (void)state;
    const char *path =
        TEXT_FILE("bad.jsonl", "{\"id\": \"a\", \"vector\": [1, 2]}\n"
                               "{\"id\": \"b\", \"vector\": [1, 2, 3]}\n"
                               "{\"id\": \"c\"}\n"
                               "{\"vector\": [1, 2]}\n"
                               "{\"id\": \"\", \"vector\": [1, 2]}\n"
                               "{\"id\": \"a\\tb\", \"vector\": [1, 2]}\n"
                               "{\"id\": \"\xff\", \"vector\": [1, 2]}\n"
                               "not json\n"
                               "{\"id\": \"d\", \"vector\": []}\n"
                               "{\"id\": \"e\", \"vector\": [1, 2], \"metdata\": {}}\n"
                               "{\"id\": \"f\", \"vector\": [1, Infinity]}\n"
                               "{\"id\": \"\\u0085\", \"vector\": [1, 2]}\n"
                               "{\"id\": \"g\", \"vector\": [3, 4]}\n");
    struct input *in = open_good(path, NULL);
    RECORD(in, "a", 1, 2);
    expect_bad(in, path, ":2: vector has 3 dimensions, expected 2");
    expect_bad(in, path, ":3: the record has no vector");
    expect_bad(in, path, ":4: the record has no id");
    expect_bad(in, path, ":5: the id is empty");
    expect_bad(in, path, ":6: the id contains a control character");
    expect_bad(in, path, ":7: the id is not valid UTF-8");
    expect_bad(in, path, ":8: column 1: expected a JSON object, beginning with '{'");
    expect_bad(in, path, ":9: the vector has no numbers");
    expect_bad(in, path,
               ":10: column 31: unknown key 'metdata'; a record has id, vector and metadata");
    expect_bad(in, path, ":11: column 27: number 2 of the vector: 'Infinity' is not finite");
    expect_bad(in, path, ":12: the id contains a control character");
    RECORD(in, "g", 3, 4);
    expect_end(in);
}

static void a_query_may_lack_its_id(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("noid.jsonl", "{\"vector\": [1]}\n");
    struct input_options options = {.ids_optional = true};
    struct input *in = open_good(path, &options);
    struct record record;
    char message[256];
    int status;
    assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
    assert_null(record.id);
    expect_end(in);
}

static void ids_are_1_to_1023_bytes(void **state)
{
    (void)state;
    char line[1200];
    for (int len = 1023; len <= 1024; len++) {
        int n = snprintf(line, sizeof line, "%0*d\t1\n", len, 7);
        const char *path = fixture_file("long.tsv", line, (size_t)n);
        struct input *in = open_good(path, NULL);
        line[len] = '\0';
        if (len == 1023)
            RECORD(in, line, 1);
        else
            expect_bad(in, path, ":1: the id is longer than 1023 bytes");
        expect_end(in);
    }
}

static void metadata_may_take_16_mib(void **state)
{
    (void)state;
    size_t max = 16777216;
    char *line = malloc(max + 200);
    assert_non_null(line);
    for (size_t over = 0; over <= 1; over++) {
        size_t len = (size_t)sprintf(line, "{\"id\":\"a\",\"vector\":[1],\"metadata\":");
        size_t fill = max + over - strlen("{\"k\":\"\"}");
        len += (size_t)sprintf(line + len, "{\"k\":\"");
        memset(line + len, 'x', fill);
        len += fill;
        len += (size_t)sprintf(line + len, "\"}}\n");
        const char *path = fixture_file("large.jsonl", line, len);
        struct input *in = open_good(path, NULL);
        if (over == 0)
            RECORD(in, "a", 1);
        else
            expect_bad(in, path, ":1: the metadata is longer than 16 MiB");
        expect_end(in);
    }
    free(line);
}

static void a_line_without_end_is_passed_over(void **state)
{
    (void)state;
    size_t len = ((size_t)48 << 20) + 100000;
    char *text = malloc(len + 64);
    assert_non_null(text);
    memset(text, 'x', len);
    len += (size_t)sprintf(text + len, "\n{\"id\": \"a\", \"vector\": [1]}");
    const char *path = fixture_file("endless.jsonl", text, len);
    free(text);
    struct input *in = open_good(path, NULL);
    expect_bad(in, path, ":1: the line is longer than 50331648 bytes");
    RECORD(in, "a", 1);
    expect_end(in);
}

static void tsv_has_an_id_and_numbers_between_tabs(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("good.tsv", "a b\t1\t-2.5\r\n\nc\t+1e1\t.5\n");
    struct input *in = open_good(path, NULL);
    RECORD(in, "a b", 1, -2.5f);
    RECORD(in, "c", 10, 0.5f);
    expect_end(in);

    path = TEXT_FILE("bad.tsv", "a\t1\t2\n"
                                "b\t1\tx2\n"
                                "c\t1\t\n"
                                "d\n"
                                "e\t1\tnan\n"
                                "f\t1 \t2\n"
                                "\t1\t2\n"
                                "g\t-1e99\t2\n"
                                "h\t1\t2\t3\n"
                                "i\t1\t0x10\n"
                                "j\t3\t4\n");
    in = open_good(path, NULL);
    RECORD(in, "a", 1, 2);
    expect_bad(in, path, ":2: column 3: 'x2' is not a number");
    expect_bad(in, path, ":3: column 3: '' is not a number");
    expect_bad(in, path, ":4: column 1: no numbers stand behind the id");
    expect_bad(in, path, ":5: column 3: 'nan' is not finite");
    expect_bad(in, path, ":6: column 2: '1 ' is not a number");
    expect_bad(in, path, ":7: the id is empty");
    expect_bad(in, path, ":8: column 2: '-1e99' is too large for a 32-bit float");
    expect_bad(in, path, ":9: vector has 3 dimensions, expected 2");
    expect_bad(in, path, ":10: column 3: '0x10' is not a number");
    RECORD(in, "j", 3, 4);
    expect_end(in);
}

static void csv_has_quotes_as_in_rfc_4180(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("good.csv", "a,1,2\r\n"
                                             "\"b, \"\"c\"\"\",3, 4 \n"
                                             "\"d\",\"5\",\"-6e0\"\n");
    struct input *in = open_good(path, NULL);
    RECORD(in, "a", 1, 2);
    RECORD(in, "b, \"c\"", 3, 4);
    RECORD(in, "d", 5, -6);
    expect_end(in);

    path = TEXT_FILE("bad.csv", "\"a,1,2\n"
                                "\"a\"x,1,2\n"
                                "a,1,\"2\n"
                                "a,1,,\n"
                                "a;1;2\n"
                                "\"\",1,2\n"
                                "\"\n");
    in = open_good(path, NULL);
    expect_bad(in, path, ":1: column 1: the quote is not closed on this line");
    expect_bad(in, path, ":2: column 1: expected ',' behind the closing quote");
    expect_bad(in, path, ":3: column 3: '\"2' is not a number");
    expect_bad(in, path, ":4: column 3: '' is not a number");
    expect_bad(in, path, ":5: column 1: no numbers stand behind the id");
    expect_bad(in, path, ":6: the id is empty");
    expect_bad(in, path, ":7: column 1: the quote is not closed on this line");
    expect_end(in);
}

static void word2vec_goes_with_and_without_count_line(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("count.txt", "2 3\r\nthe 1 2 3 \n\xc3\xbc\"x  -1\t0.5 2e-1\n");
    struct input *in = open_good(path, NULL);
    assert_int_equal(input_dim(in), 3);
    assert_int_equal(input_rows(in), 2);
    RECORD(in, "the", 1, 2, 3);
    RECORD(in, "\xc3\xbc\"x", -1, 0.5f, 0.2f);
    expect_end(in);

    path = TEXT_FILE("glove.vec", "the 1 2\n12 3 4\n");
    in = open_good(path, NULL);
    RECORD(in, "the", 1, 2);
    RECORD(in, "12", 3, 4);
    expect_end(in);

    path = TEXT_FILE("number.txt", "12 3 4\n"); /* three numbers are no count line */
    in = open_good(path, NULL);
    RECORD(in, "12", 3, 4);
    expect_end(in);
}

static void word2vec_is_held_to_its_count_line(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("few.txt", "3 2\na 1 2\nb 1\n");
    struct input *in = open_good(path, NULL);
    RECORD(in, "a", 1, 2);
    expect_bad(in, path, ":3: vector has 1 dimensions, expected 2");
    expect_fatal(in, 65, path, ": the first line announces 3 vectors, 2 are there");

    path = TEXT_FILE("other.txt", "2 3\n\na 1 2\nb 1 2\n");
    in = open_good(path, NULL);
    expect_fatal(in, 65, path, ":1: announces 3 dimensions, the first vector, on line 3, has 2");

    path = TEXT_FILE("many.txt", "1 2\na 1 2\nb 1 2\n");
    in = open_good(path, NULL);
    RECORD(in, "a", 1, 2);
    RECORD(in, "b", 1, 2);
    expect_fatal(in, 65, path, ": the first line announces 1 vectors, 2 are there");

    path = TEXT_FILE("dim.txt", "1 0\n");
    expect_refused(path, NULL, 65, ":1: announces 0 dimensions, expected 1 to 65535");
    path = TEXT_FILE("dim2.txt", "1 65536\n");
    expect_refused(path, NULL, 65, ":1: announces 65536 dimensions, expected 1 to 65535");
}

static void standard_input_is_read_through_a_pipe(void **state)
{
    (void)state;
    static const char records[] = "{\"id\": \"a\", \"vector\": [1]}\n{\"id\": 7}\n";
    fixture_stdin(records, sizeof records - 1);
    struct input *in = open_good("-", NULL);
    assert_true(input_progress(in) < 0);
    RECORD(in, "a", 1);
    expect_bad(in, "standard input", ":2: column 8: the id must be a string");
    expect_end(in);

    static const char words[] = "1 2\nx 1 2\n";
    fixture_stdin(words, sizeof words - 1);
    struct input_options options = {.format = INPUT_WORD2VEC};
    in = open_good("-", &options);
    RECORD(in, "x", 1, 2);
    expect_end(in);
}

static void what_cannot_be_opened_is_exit_66(void **state)
{
    (void)state;
    expect_refused(fixture_path("missing.jsonl"), NULL, 66,
                   ": cannot open: No such file or directory");
    expect_refused("/tmp", NULL, 66, ": is a directory");
}

static void an_empty_file_has_no_records(void **state)
{
    (void)state;
    expect_end(open_good(fixture_file("empty.jsonl", "", 0), NULL));
    expect_end(open_good(fixture_file("empty", "", 0), NULL));
    expect_end(open_good(fixture_file("empty.txt", "", 0), NULL));
}

static void gzip_is_unpacked_whatever_is_in_it(void **state)
{
    (void)state;
    const char *path = fixture_path("packed.tsv.gz");
    gzFile z = gzopen(path, "wb");
    assert_non_null(z);
    gzprintf(z, "a\t1\n");
    gzclose(z);
    z = gzopen(path, "ab"); /* a second member */
    gzprintf(z, "b\t2\n");
    gzclose(z);
    struct input *in = open_good(path, NULL);
    RECORD(in, "a", 1);
    RECORD(in, "b", 2);
    expect_end(in);
}

static void formats_are_known_by_name_and_magic(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum input_format format;
    } names[] = {{"a.jsonl", INPUT_JSONL},
                 {"a.json", INPUT_JSONL},
                 {"a.ndjson", INPUT_JSONL},
                 {"x/a.TSV", INPUT_TSV},
                 {"a.csv", INPUT_CSV},
                 {"glove.6B.50d.txt", INPUT_WORD2VEC},
                 {"wiki.vec", INPUT_WORD2VEC},
                 {"a.npy", INPUT_NPY},
                 {"a.fvecs", INPUT_FVECS},
                 {"a.bvecs", INPUT_BVECS},
                 {"a.ivecs", INPUT_IVECS},
                 {"a.fbin", INPUT_FBIN},
                 {"a.u8bin", INPUT_U8BIN},
                 {"a.i8bin", INPUT_I8BIN},
                 {"train-images-idx3-ubyte", INPUT_IDX},
                 {"train-images-idx3-ubyte.gz", INPUT_IDX},
                 {"a.idx", INPUT_IDX},
                 {"a.h5", INPUT_HDF5},
                 {"a.hdf5", INPUT_HDF5},
                 {"-", INPUT_AUTO},
                 {"npy", INPUT_AUTO},
                 {".csv", INPUT_AUTO},
                 {"a.jsonl/b", INPUT_AUTO}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (detect_by_name(names[i].path) != names[i].format) fail_msg("%s", names[i].path);
    assert_int_equal(detect_by_magic((const uint8_t *)"\x93NUMPY\1\0", 8), INPUT_NPY);
    assert_int_equal(detect_by_magic((const uint8_t *)"\x89HDF\r\n\x1a\n", 8), INPUT_HDF5);
    assert_int_equal(detect_by_magic((const uint8_t *)"\0\0\x08\3\0\0\0\1", 8), INPUT_IDX);
    assert_int_equal(detect_by_magic((const uint8_t *)"{\"id\": ", 7), INPUT_JSONL);
    assert_int_equal(input_format_by_name("u8bin"), INPUT_U8BIN);
    assert_int_equal(input_format_by_name("U8BIN "), -1);
}

/* The borders of Unicode 15, table 3-7. */
static void utf8_is_neither_overlong_nor_a_surrogate(void **state)
{
    (void)state;
    static const char *const good[] = {"\x7f",         "\xc2\x80",         "\xdf\xbf",
                                       "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
                                       "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xc2",
                                      "\xe1\x80",
                                      "\xf1\x80\x80",
                                      "\xe1\x80\x7f",
                                      "\xf1\x80\x80\xc0",
                                      "\xc2\x7f"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (utf8_prefix(good[i], strlen(good[i])) != strlen(good[i])) fail_msg("good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (utf8_prefix(bad[i], strlen(bad[i])) != 0) fail_msg("bad %zu", i);
}

static void messages_hold_no_control_characters(void **state)
{
    (void)state;
    char to[QUOTE_SIZE];
    assert_string_equal(quote(to, "a\x1b[31m\xff\xc2\x9b", 9), "a?[31m??");
    assert_string_equal(quote(to, "\xc3\xa9", 2), "\xc3\xa9");
    char text[100];
    memset(text, 'x', sizeof text);
    assert_int_equal(strlen(quote(to, text, sizeof text)), QUOTE_SIZE - 1);
    assert_string_equal(to + QUOTE_SIZE - 4, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonl_gives_ids_vectors_and_metadata),
        cmocka_unit_test(jsonl_faults_name_path_and_line_and_reading_goes_on),
        cmocka_unit_test(a_query_may_lack_its_id),
        cmocka_unit_test(ids_are_1_to_1023_bytes),
        cmocka_unit_test(metadata_may_take_16_mib),
        cmocka_unit_test(a_line_without_end_is_passed_over),
        cmocka_unit_test(tsv_has_an_id_and_numbers_between_tabs),
        cmocka_unit_test(csv_has_quotes_as_in_rfc_4180),
        cmocka_unit_test(word2vec_goes_with_and_without_count_line),
        cmocka_unit_test(word2vec_is_held_to_its_count_line),
        cmocka_unit_test(standard_input_is_read_through_a_pipe),
        cmocka_unit_test(what_cannot_be_opened_is_exit_66),
        cmocka_unit_test(an_empty_file_has_no_records),
        cmocka_unit_test(gzip_is_unpacked_whatever_is_in_it),
        cmocka_unit_test(formats_are_known_by_name_and_magic),
        cmocka_unit_test(utf8_is_neither_overlong_nor_a_surrogate),
        cmocka_unit_test(messages_hold_no_control_characters),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
