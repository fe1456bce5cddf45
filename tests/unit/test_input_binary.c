/* test_input_binary.c: binary formats are read as documented, from files and from pipes; a lying
 * or truncated one is refused with its place. Files are written out byte by byte here.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "unit/input_fixture.h"

#define ONE     "\0\0\x80\x3f"
#define TWO     "\0\0\0\x40"
#define MINUS_3 "\0\0\x40\xc0"
#define HALF    "\0\0\0\x3f"
#define NAN_F32 "\0\0\xc0\x7f"

/* ---- NumPy --------------------------------------------------------------------------------- */

#define NPY_F4 "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"

/* An npy file, version `major`, of that dictionary and data. */
static const char *npy(const char *name, int major, const char *dictionary, const char *data,
                       size_t data_len)
{
    char bytes[1024] = "\x93NUMPY";
    size_t dictionary_len = strlen(dictionary), prefix = major == 1 ? 10 : 12;
    size_t header = (prefix + dictionary_len + 1 + 63) / 64 * 64, len = header - prefix;
    bytes[6] = (char)major;
    bytes[8] = (char)(len & 255);
    bytes[9] = (char)(len >> 8);
    memset(bytes + prefix, ' ', len);
    memcpy(bytes + prefix, dictionary, dictionary_len);
    bytes[header - 1] = '\n';
    memcpy(bytes + header, data, data_len);
    return fixture_file(name, bytes, header + data_len);
}

static const char six_floats[] = ONE TWO MINUS_3 HALF ONE ONE;

static void npy_is_read_in_all_versions(void **state)
{
    (void)state;
    for (int major = 1; major <= 3; major++) {
        struct input *in = open_good(npy("good.npy", major, NPY_F4, six_floats, 24), NULL);
        assert_int_equal(input_dim(in), 3);
        assert_int_equal(input_rows(in), 2);
        assert_int_equal(input_type(in), VDB_TYPE_F32);
        assert_false(input_is_text(in));
        RECORD(in, "0", 1, 2, -3);
        RECORD(in, "1", 0.5f, 1, 1);
        expect_end(in);
    }
}

static void npy_is_read_in_all_element_types(void **state)
{
    (void)state;
    static const struct {
        const char *descr, *data;
        size_t len;
        enum vdb_type type;
        float wanted[3];
    } cases[] = {
        {"<f2", "\0\x3c\0\xc2\xff\x7b", 6, VDB_TYPE_F16, {1, -3, 65504}},
        {"<f2", "\1\0\0\x80\0\x04", 6, VDB_TYPE_F16, {0x1p-24f, -0.0f, 0x1p-14f}},
        {"<f8",
         "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x08\xc0\x9a\x99\x99\x99\x99\x99\xb9\x3f",
         24,
         VDB_TYPE_F32,
         {1, -3, 0.1f}},
        {"|i1", "\x01\x80\x7f", 3, VDB_TYPE_I8, {1, -128, 127}},
        {"|u1", "\x01\x80\xff", 3, VDB_TYPE_U8, {1, 128, 255}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char dictionary[100];
        snprintf(dictionary, sizeof dictionary,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (1, 3), }", cases[i].descr);
        struct input *in =
            open_good(npy("type.npy", 1, dictionary, cases[i].data, cases[i].len), NULL);
        assert_int_equal(input_type(in), cases[i].type);
        expect_record(in, "0", 3, cases[i].wanted);
        expect_end(in);
    }
}

static void npy_of_one_dimension_is_one_row(void **state)
{
    (void)state;
    struct input *in =
        open_good(npy("one.npy", 1, "{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"<f4\"}",
                      six_floats, 12),
                  NULL);
    RECORD(in, "0", 1, 2, -3);
    expect_end(in);
}

static void npy_that_is_something_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *dictionary, *rest;
    } cases[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
         ": the array's element type is '>f4', expected <f4, <f2, <f8, |i1 or |u1"},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }",
         ": the array's element type is '<i8', expected <f4, <f2, <f8, |i1 or |u1"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
         ": the array is in Fortran order, expected C order (numpy.save of numpy.ascontiguousarray "
         "makes it so)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }",
         ": the array has 3 dimensions, expected 2 (rows of vectors) or 1 (one vector)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
         ": the array has 0 dimensions, expected 2 (rows of vectors) or 1 (one vector)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }",
         ": the header announces 0 dimensions, expected 1 to 65535"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 65536), }",
         ": the header announces 65536 dimensions, expected 1 to 65535"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3), }",
         ": the header announces 9223372036854775807 rows of 3 dimensions, more than any file "
         "holds"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
         ": the NumPy header is damaged at byte 80: the size is too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }",
         ": the header announces 3 rows of 3 dimensions, 164 bytes with the header; the file has "
         "152: it is truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }",
         ": the header announces 1 rows of 3 dimensions, 140 bytes with the header; the file has "
         "152"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
         ": the NumPy header is damaged at byte 21: structured arrays are not read"},
        {"{'descr': '<f4', 'fortran_order': False, }",
         ": the NumPy header is damaged at byte 52: expected the keys descr, fortran_order and "
         "shape"},
        {"{'descr': '<f4', 'descr': '<f4', }",
         ": the NumPy header is damaged at byte 35: a key stands twice"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }",
         ": the NumPy header is damaged at byte 44: expected True or False"},
        {"import os", ": the NumPy header is damaged at byte 10: expected '{'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(npy("bad.npy", 1, cases[i].dictionary, six_floats, 24), NULL, 65,
                       cases[i].rest);
    expect_refused(npy("bad.npy", 4, NPY_F4, six_floats, 24), NULL, 65,
                   ": NumPy format version 4.0, expected 1 to 3");
    expect_refused(TEXT_FILE("bad.npy", "\x93NUMPX\1\0\x10\0 123456789"), NULL, 65,
                   ": not a NumPy file: expected the bytes 93 'NUMPY' at 0");
    expect_refused(TEXT_FILE("bad.npy", "\x93NUMPY\1\0\x76\0{'desc"), NULL, 65,
                   ": truncated: the NumPy header takes 128 bytes, the input has 16");
    expect_refused(TEXT_FILE("bad.npy", "\x93NUMPY\2\0\xff\xff\xff\xff{"), NULL, 65,
                   ": the NumPy header takes 4294967295 bytes, expected at most 1048576");
    expect_refused(fixture_file("bad.npy", "", 0), NULL, 65,
                   ": not a NumPy file: expected the bytes 93 'NUMPY' at 0");
}

static void npy_from_a_pipe_shows_its_faults_when_they_are_met(void **state)
{
    (void)state;
    char file[256] = "";
    FILE *f = fopen(npy("pipe.npy", 1, NPY_F4, six_floats, 24), "rb");
    assert_non_null(f);
    size_t len = fread(file, 1, sizeof file, f);
    fclose(f);
    assert_int_equal(len, 152);

    fixture_stdin(file, len);
    struct input *in = open_good("-", NULL);
    RECORD(in, "0", 1, 2, -3);
    RECORD(in, "1", 0.5f, 1, 1);
    expect_end(in);

    fixture_stdin(file, len - 1);
    in = open_good("-", NULL);
    RECORD(in, "0", 1, 2, -3);
    expect_fatal(in, 65, "standard input",
                 ": row 1 (byte 140): truncated: the row takes 12 bytes, 11 are there");

    fixture_stdin(file, len + 1);
    in = open_good("-", NULL);
    RECORD(in, "0", 1, 2, -3);
    RECORD(in, "1", 0.5f, 1, 1);
    expect_fatal(in, 65, "standard input",
                 ": row 2 (byte 152): the header announces 2 rows, and more bytes follow");
}

static void numbers_that_are_not_finite_spoil_their_row_only(void **state)
{
    (void)state;
    const char *path = npy("nan.npy", 1, NPY_F4, ONE NAN_F32 ONE ONE TWO ONE, 24);
    struct input *in = open_good(path, NULL);
    expect_bad(in, path, ": row 0 (byte 128): number 2 of the vector is not finite (NaN)");
    RECORD(in, "1", 1, 2, 1);
    expect_end(in);

    path = npy("big.npy", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }",
               "\0\0\0\0\0\0\xf0\x7e", 8);
    in = open_good(path, NULL);
    expect_bad(in, path,
               ": row 0 (byte 128): number 1 of the vector is not finite as a 32-bit float");
    expect_end(in);
}

/* ---- TEXMEX and big-ann -------------------------------------------------------------------- */

static void vecs_are_read_in_their_types(void **state)
{
    (void)state;
    struct input *in =
        open_good(TEXT_FILE("a.fvecs", "\2\0\0\0" ONE TWO "\2\0\0\0" MINUS_3 HALF), NULL);
    assert_int_equal(input_rows(in), 2);
    assert_int_equal(input_dim(in), 2);
    assert_int_equal(input_type(in), VDB_TYPE_F32);
    RECORD(in, "0", 1, 2);
    RECORD(in, "1", -3, 0.5f);
    expect_end(in);
    in = open_good(TEXT_FILE("a.bvecs", "\3\0\0\0\x01\x80\xff"), NULL);
    assert_int_equal(input_type(in), VDB_TYPE_U8);
    RECORD(in, "0", 1, 128, 255);
    expect_end(in);
    in = open_good(TEXT_FILE("a.ivecs", "\2\0\0\0\x01\x02\0\0\xff\xff\xff\xff"), NULL);
    RECORD(in, "0", 513, -1);
    expect_end(in);
    in = open_good(fixture_file("empty.fvecs", "", 0), NULL);
    assert_int_equal(input_dim(in), 0);
    expect_end(in);
}

static void damaged_vecs_are_refused(void **state)
{
    (void)state;
    expect_refused(TEXT_FILE("a.fvecs", "\2\0\0\0" ONE TWO "\2\0\0\0" MINUS_3), NULL, 65,
                   ": row 1 (byte 12): the file of 20 bytes ends within the row: rows of 2 "
                   "dimensions take 12 bytes");
    expect_refused(TEXT_FILE("a.fvecs", "\2\0\0\0" ONE TWO "\3\0\0\0" ONE TWO HALF), NULL, 65,
                   ": row 1 (byte 12): its header says 3 dimensions, expected 2 as in row 0");
    expect_refused(TEXT_FILE("a.bvecs", "\1\0\0\0x\1\0\0\0y\7\0\0\0"), NULL, 65,
                   ": row 2 (byte 10): its header says 7 dimensions, expected 1 as in row 0");
    expect_refused(TEXT_FILE("a.fvecs", "\2\0\0"), NULL, 65,
                   ": truncated: the header of a row takes 4 bytes, the input has 3");
    expect_refused(TEXT_FILE("a.fvecs", "\xff\xff\xff\xff" ONE), NULL, 65,
                   ": row 0 (byte 0): its header says -1 dimensions, expected 1 to 65535");
    expect_refused(TEXT_FILE("a.bvecs", "\0\0\0\0"), NULL, 65,
                   ": row 0 (byte 0): its header says 0 dimensions, expected 1 to 65535");
    expect_refused(TEXT_FILE("a.bvecs", "\0\0\1\0"), NULL, 65,
                   ": row 0 (byte 0): its header says 65536 dimensions, expected 1 to 65535");
    const char *path = TEXT_FILE("b.fvecs", "\1\0\0\0" ONE "\2\0\0\0" ONE);
    struct input *in = open_good(path, NULL);
    RECORD(in, "0", 1);
    expect_fatal(in, 65, path,
                 ": row 1 (byte 8): its header says 2 dimensions, expected 1 as in row 0");
    static const char torn[] = "\1\0\0\0" ONE "\1\0\0\0\0\0";
    struct input_options options = {.format = INPUT_FVECS};
    fixture_stdin(torn, sizeof torn - 1);
    in = open_good("-", &options);
    assert_int_equal(input_rows(in), 0);
    RECORD(in, "0", 1);
    expect_fatal(in, 65, "standard input",
                 ": row 1 (byte 8): truncated: the row takes 8 bytes, 6 are there");
}

static void bins_are_read_in_their_types(void **state)
{
    (void)state;
    struct input *in = open_good(TEXT_FILE("a.fbin", "\2\0\0\0\1\0\0\0" ONE HALF), NULL);
    assert_int_equal(input_rows(in), 2);
    RECORD(in, "0", 1);
    RECORD(in, "1", 0.5f);
    expect_end(in);
    in = open_good(TEXT_FILE("a.u8bin", "\1\0\0\0\3\0\0\0\x01\x80\xff"), NULL);
    assert_int_equal(input_type(in), VDB_TYPE_U8);
    RECORD(in, "0", 1, 128, 255);
    expect_end(in);
    in = open_good(TEXT_FILE("a.i8bin", "\1\0\0\0\3\0\0\0\x01\x80\xff"), NULL);
    assert_int_equal(input_type(in), VDB_TYPE_I8);
    RECORD(in, "0", 1, -128, -1);
    expect_end(in);

    expect_refused(TEXT_FILE("b.fbin", "\2\0\0\0\1\0\0"), NULL, 65,
                   ": truncated: the header of fbin, u8bin and i8bin takes 8 bytes, the input has "
                   "7");
    expect_refused(TEXT_FILE("b.fbin", "\2\0\0\0\1\0\0\0" ONE), NULL, 65,
                   ": the header announces 2 rows of 1 dimensions, 16 bytes with the header; the "
                   "file has 12: it is truncated");
    expect_refused(TEXT_FILE("b.u8bin", "\xff\xff\xff\xff\xff\xff\xff\xff"), NULL, 65,
                   ": the header announces 4294967295 dimensions, expected 1 to 65535");
}

/* A count that happens to be gzip's magic is no reason to unpack. */
static void fbin_of_559903_rows_is_not_taken_for_gzip(void **state)
{
    (void)state;
    expect_refused(TEXT_FILE("c.fbin", "\x1f\x8b\x08\0\1\0\0\0" ONE), NULL, 65,
                   ": the header announces 559903 rows of 1 dimensions, 2239620 bytes with the "
                   "header; the file has 12: it is truncated");
}

/* ---- idx ----------------------------------------------------------------------------------- */

static const char idx[] = "\0\0\x08\3\0\0\0\2\0\0\0\2\0\0\0\2\1\2\3\4\5\6\7\xff";

static void idx_images_become_rows(void **state)
{
    (void)state;
    struct input *in = open_good(fixture_file("t-idx3-ubyte", idx, sizeof idx - 1), NULL);
    assert_int_equal(input_dim(in), 4);
    assert_int_equal(input_rows(in), 2);
    assert_int_equal(input_type(in), VDB_TYPE_U8);
    RECORD(in, "0", 1, 2, 3, 4);
    RECORD(in, "1", 5, 6, 7, 255);
    expect_end(in);
    fixture_stdin(idx, sizeof idx - 1); /* by its magic */
    in = open_good("-", NULL);
    RECORD(in, "0", 1, 2, 3, 4);
    RECORD(in, "1", 5, 6, 7, 255);
    expect_end(in);
    in = open_good(TEXT_FILE("b.idx", "\0\0\x08\1\0\0\0\2\7\x09"), NULL); /* labels */
    RECORD(in, "0", 7);
    RECORD(in, "1", 9);
    expect_end(in);
}

static void idx_is_big_endian(void **state)
{
    (void)state;
    struct input *in =
        open_good(TEXT_FILE("c.idx", "\0\0\x0b\2\0\0\0\1\0\0\0\2\x01\x02\xff\xfe"), NULL);
    RECORD(in, "0", 258, -2);
    expect_end(in);
    in = open_good(TEXT_FILE("c.idx", "\0\0\x0d\2\0\0\0\1\0\0\0\1\x3f\x80\0\0"), NULL);
    RECORD(in, "0", 1);
    expect_end(in);
    in = open_good(TEXT_FILE("c.idx", "\0\0\x0e\2\0\0\0\1\0\0\0\1\xc0\x08\0\0\0\0\0\0"), NULL);
    RECORD(in, "0", -3);
    expect_end(in);
    in = open_good(TEXT_FILE("c.idx", "\0\0\x0c\2\0\0\0\1\0\0\0\1\xff\xff\xff\0"), NULL);
    RECORD(in, "0", -256);
    expect_end(in);
    in = open_good(TEXT_FILE("c.idx", "\0\0\x09\2\0\0\0\1\0\0\0\1\xff"), NULL);
    assert_int_equal(input_type(in), VDB_TYPE_I8);
    RECORD(in, "0", -1);
    expect_end(in);
}

static void damaged_idx_is_refused(void **state)
{
    (void)state;
    expect_refused(TEXT_FILE("d.idx", "\0\0\x0a\1\0\0\0\1\1"), NULL, 65,
                   ": not idx: it begins with the bytes 00 00 0a 01, expected 00 00, a type and "
                   "the number of dimensions");
    expect_refused(TEXT_FILE("d.idx", "\0\0\x08\3\0\0\0\1"), NULL, 65,
                   ": truncated: the header of idx takes 16 bytes, the input has 8");
    expect_refused(fixture_file("d.idx", idx, sizeof idx - 2), NULL, 65,
                   ": the header announces 2 rows of 4 dimensions, 24 bytes with the header; the "
                   "file has 23: it is truncated");
    expect_refused(TEXT_FILE("d.idx", "\0\0\x08\3\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff"), NULL,
                   65,
                   ": the header announces 18446744065119617025 dimensions, expected 1 to "
                   "65535");
}

static size_t pack(const void *bytes, size_t len, uint8_t *to, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)len;
    z.next_out = to;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

/* Where damage shows depends on how far the decoder reads ahead; that it shows does not. */
static void expect_damaged(const char *path, const char *rest)
{
    const struct input_options none = {.format = INPUT_AUTO};
    char message[256] = "", wanted[256];
    int status = 0;
    struct input *in = input_open(path, &none, &status, message, sizeof message);
    enum input_status next = in ? INPUT_RECORD : INPUT_FATAL;
    struct record record;
    while (next == INPUT_RECORD) next = input_next(in, &record, &status, message, sizeof message);
    input_close(in);
    assert_int_equal(next, INPUT_FATAL);
    assert_int_equal(status, 65);
    snprintf(wanted, sizeof wanted, "%s%s", path, rest);
    assert_string_equal(message, wanted);
}

static void idx_may_be_gzipped(void **state)
{
    (void)state;
    uint8_t packed[200];
    size_t len = pack(idx, sizeof idx - 1, packed, sizeof packed);
    struct input *in = open_good(fixture_file("t-idx3-ubyte.gz", packed, len), NULL);
    RECORD(in, "0", 1, 2, 3, 4);
    RECORD(in, "1", 5, 6, 7, 255);
    expect_end(in);
    fixture_stdin(packed, len);
    in = open_good("-", NULL);
    RECORD(in, "0", 1, 2, 3, 4);
    RECORD(in, "1", 5, 6, 7, 255);
    expect_end(in);

    /* The last 8 bytes are the checksum and the length. */
    const char *path = fixture_file("torn-idx3-ubyte.gz", packed, len - 9);
    char rest[100];
    snprintf(rest, sizeof rest, ": the gzip data is truncated: it ends at byte %zu", len - 9);
    expect_damaged(path, rest);
    packed[len - 8] ^= 1;
    path = fixture_file("bad-idx3-ubyte.gz", packed, len);
    snprintf(rest, sizeof rest, ": the gzip data is damaged near byte %zu: incorrect data check",
             len - 4);
    expect_damaged(path, rest);
}

/* ---- ids and metadata from beside ---------------------------------------------------------- */

static void rows_are_numbered_with_a_prefix(void **state)
{
    (void)state;
    struct input_options options = {.id_prefix = "img-", .first_number = 60000};
    struct input *in = open_good(npy("n.npy", 1, NPY_F4, six_floats, 24), &options);
    RECORD(in, "img-60000", 1, 2, -3);
    RECORD(in, "img-60001", 0.5f, 1, 1);
    expect_end(in);
}

static void a_bad_row_takes_its_number_and_its_lines(void **state)
{
    (void)state;
    const char *path = npy("n.npy", 1, NPY_F4, ONE NAN_F32 ONE ONE TWO ONE, 24);
    struct input_options options = {.ids_path = TEXT_FILE("ids", "first\nsecond\n"),
                                    .metadata_path = TEXT_FILE("meta", "{\"n\": 1}\n{\"n\": 2}\n")};
    struct input *in = open_good(path, &options);
    struct record record;
    char message[256];
    int status;
    expect_bad(in, path, ": row 0 (byte 128): number 2 of the vector is not finite (NaN)");
    assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
    assert_int_equal(record.id_len, 6);
    assert_memory_equal(record.id, "second", 6);
    assert_int_equal(record.metadata_len, 8);
    assert_memory_equal(record.metadata, "{\"n\": 2}", 8);
    expect_end(in);
    in = open_good(path, NULL);
    expect_bad(in, path, ": row 0 (byte 128): number 2 of the vector is not finite (NaN)");
    RECORD(in, "1", 1, 2, 1);
    expect_end(in);
}

static void ids_and_rows_must_be_as_many(void **state)
{
    (void)state;
    const char *path = npy("n.npy", 1, NPY_F4, six_floats, 24);
    char rest[300];
    struct input_options options = {.ids_path = TEXT_FILE("few", "a\n")};
    struct input *in = open_good(path, &options);
    RECORD(in, "a", 1, 2, -3);
    snprintf(rest, sizeof rest, ":2: the id for row 1 of %s is missing", path);
    expect_fatal(in, 65, options.ids_path, rest);

    options.ids_path = TEXT_FILE("many", "a\r\nb\r\nc\r\n");
    in = open_good(path, &options);
    RECORD(in, "a", 1, 2, -3);
    RECORD(in, "b", 0.5f, 1, 1);
    snprintf(rest, sizeof rest, ":3: more lines than %s has rows (2)", path);
    expect_fatal(in, 65, options.ids_path, rest);

    options.ids_path = TEXT_FILE("odd", "\nb\n");
    in = open_good(path, &options);
    expect_bad(in, options.ids_path, ":1: the id is empty");
    RECORD(in, "b", 0.5f, 1, 1);
    expect_end(in);

    char message[256];
    int status = 0;
    options.ids_path = fixture_path("no-such-ids");
    assert_null(input_open(path, &options, &status, message, sizeof message));
    assert_int_equal(status, 66);
    assert_memory_equal(message, options.ids_path, strlen(options.ids_path));
}

static void metadata_lines_are_objects_or_nothing(void **state)
{
    (void)state;
    const char *path = npy(
        "m.npy", 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 1), }", "\1\2\3\4\5", 5);
    struct input_options options = {
        .metadata_path = TEXT_FILE("meta", " {\"a\": 1} \n\nnull\n[1]\n{\"a\": }\n")};
    struct input *in = open_good(path, &options);
    struct record record;
    char message[256];
    int status;
    assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
    assert_int_equal(record.metadata_len, 8);
    assert_memory_equal(record.metadata, "{\"a\": 1}", 8);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
        assert_null(record.metadata);
    }
    expect_bad(in, options.metadata_path, ":4: expected a JSON object");
    expect_bad(in, options.metadata_path, ":5: unexpected token near '}'");
    expect_end(in);

    options.metadata_path = TEXT_FILE("short", "{}\n");
    in = open_good(path, &options);
    RECORD(in, "0", 1);
    char rest[300];
    snprintf(rest, sizeof rest, ":2: the metadata for row 1 of %s is missing", path);
    expect_fatal(in, 65, options.metadata_path, rest);
}

static void options_that_do_not_fit_the_format_are_wrong_usage(void **state)
{
    (void)state;
    const char *path = TEXT_FILE("has.tsv", "a\t1\n"), *ids = TEXT_FILE("ids", "a\n");
    struct input_options options = {.ids_path = ids};
    expect_refused(path, &options, 2, ": has ids of its own, and --ids gives others");
    options = (struct input_options){.metadata_path = ids};
    expect_refused(TEXT_FILE("has.jsonl", ""), &options, 2,
                   ": has metadata of its own, and --metadata gives others");
    options = (struct input_options){.dataset = "x"};
    expect_refused(path, &options, 2, ": is not HDF5, and only that has datasets to choose from");
}

/* More rows than a window holds: the seams of the read buffer show nowhere. */
static void long_inputs_are_read_whole(void **state)
{
    (void)state;
    enum { ROWS = 5000, DIM = 301 };
    size_t len = 8 + (size_t)ROWS * DIM;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, "\x88\x13\0\0\x2d\x01\0\0", 8);
    for (size_t i = 8; i < len; i++) bytes[i] = (uint8_t)(i * 31 % 251);
    const char *path = fixture_file("long.u8bin", bytes, len);
    for (int piped = 0; piped <= 1; piped++) {
        struct input_options options = {.format = INPUT_U8BIN};
        if (piped) fixture_stdin(bytes, len);
        struct input *in = open_good(piped ? "-" : path, &options);
        struct record record;
        char message[256];
        int status;
        for (size_t row = 0; row < ROWS; row++) {
            assert_int_equal(input_next(in, &record, &status, message, sizeof message),
                             INPUT_RECORD);
            assert_int_equal(record.place, row);
            assert_int_equal(record.offset, 8 + row * DIM);
            for (size_t i = 0; i < DIM; i++)
                if (record.vector[i] != (float)bytes[8 + row * DIM + i]) fail();
        }
        expect_end(in);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_is_read_in_all_versions),
        cmocka_unit_test(npy_is_read_in_all_element_types),
        cmocka_unit_test(npy_of_one_dimension_is_one_row),
        cmocka_unit_test(npy_that_is_something_else_is_refused),
        cmocka_unit_test(npy_from_a_pipe_shows_its_faults_when_they_are_met),
        cmocka_unit_test(numbers_that_are_not_finite_spoil_their_row_only),
        cmocka_unit_test(vecs_are_read_in_their_types),
        cmocka_unit_test(damaged_vecs_are_refused),
        cmocka_unit_test(bins_are_read_in_their_types),
        cmocka_unit_test(fbin_of_559903_rows_is_not_taken_for_gzip),
        cmocka_unit_test(idx_images_become_rows),
        cmocka_unit_test(idx_is_big_endian),
        cmocka_unit_test(damaged_idx_is_refused),
        cmocka_unit_test(idx_may_be_gzipped),
        cmocka_unit_test(rows_are_numbered_with_a_prefix),
        cmocka_unit_test(a_bad_row_takes_its_number_and_its_lines),
        cmocka_unit_test(ids_and_rows_must_be_as_many),
        cmocka_unit_test(metadata_lines_are_objects_or_nothing),
        cmocka_unit_test(options_that_do_not_fit_the_format_are_wrong_usage),
        cmocka_unit_test(long_inputs_are_read_whole),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
