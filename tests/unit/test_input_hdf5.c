/* test_input_hdf5.c: HDF5 through the helper process, in and out. Files to be read are made here
 * by libhdf5 itself, and files written are read by it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <hdf5.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input/hdf5_write.h"
#include "unit/input_fixture.h"

/* ---- making files -------------------------------------------------------------------------- */

static hid_t new_file(const char *path)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void add_dataset(hid_t file, const char *name, hid_t stored, hid_t memory, int rank,
                        const hsize_t *dims, const hsize_t *chunk, const void *data)
{
    hid_t space = H5Screate_simple(rank, dims, NULL), how = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk) {
        H5Pset_chunk(how, rank, chunk);
        H5Pset_deflate(how, 1);
    }
    hid_t dataset = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, how, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (data) assert_true(H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
    H5Pclose(how);
    H5Sclose(space);
}

static void add_floats(hid_t file, const char *name, hsize_t rows, hsize_t dim, const float *data)
{
    hsize_t dims[2] = {rows, dim};
    add_dataset(file, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, dims, NULL, data);
}

static void add_distance(hid_t file, const char *value, bool variable)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, variable ? H5T_VARIABLE : strlen(value));
    H5Tset_strpad(type, variable ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    hid_t attribute = H5Acreate2(file, "distance", type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, variable ? (const void *)&value : value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static const float numbers[6] = {1, -2, 0.5f, 4, 5, 6};

static const char *simple_file(const char *name)
{
    const char *path = fixture_path(name);
    hid_t file = new_file(path);
    add_floats(file, "train", 2, 3, numbers);
    add_floats(file, "test", 3, 2, numbers);
    H5Fclose(file);
    return path;
}

/* ---- reading ------------------------------------------------------------------------------- */

static const struct input_options train = {.default_dataset = "train"};

static void the_default_or_named_dataset_is_read(void **state)
{
    (void)state;
    const char *path = simple_file("ann.hdf5");
    struct input *in = open_good(path, &train);
    assert_int_equal(input_dim(in), 3);
    assert_int_equal(input_rows(in), 2);
    assert_int_equal(input_type(in), VDB_TYPE_F32);
    assert_int_equal(input_metric(in), 0);
    RECORD(in, "0", 1, -2, 0.5f);
    RECORD(in, "1", 4, 5, 6);
    assert_true(input_progress(in) == 1);
    expect_end(in);
    in = open_good(path, &(struct input_options){.default_dataset = "test"});
    RECORD(in, "0", 1, -2);
    input_close(in); /* in the middle: the helper is ended */
    in = open_good(path, &(struct input_options){.dataset = "test", .default_dataset = "train"});
    RECORD(in, "0", 1, -2);
    RECORD(in, "1", 0.5f, 4);
    RECORD(in, "2", 5, 6);
    expect_end(in);
}

static void the_distance_attribute_is_the_metric(void **state)
{
    (void)state;
    static const struct {
        const char *distance;
        enum vdb_metric metric;
    } cases[] = {{"euclidean", VDB_METRIC_L2},
                 {"angular", VDB_METRIC_COSINE},
                 {"dot", VDB_METRIC_IP},
                 {"jaccard", (enum vdb_metric)0}};
    for (int i = 0; i < 8; i++) {
        const char *path = fixture_path("metric.h5");
        hid_t file = new_file(path);
        add_floats(file, "train", 1, 1, numbers);
        add_distance(file, cases[i / 2].distance, i % 2);
        H5Fclose(file);
        struct input *in = open_good(path, &train);
        assert_int_equal(input_metric(in), cases[i / 2].metric);
        input_close(in);
    }
}

static void every_numeric_type_is_read(void **state)
{
    (void)state;
    static const int values[3] = {1, 100, 7};
    static const hsize_t dims[2] = {1, 3};
    hid_t half = H5Tcopy(H5T_IEEE_F32LE); /* IEEE binary16 */
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    const struct {
        hid_t type;
        enum vdb_type wanted;
    } cases[] = {{H5T_STD_U8LE, VDB_TYPE_U8},    {H5T_STD_I8BE, VDB_TYPE_I8},
                 {H5T_STD_I16BE, VDB_TYPE_F32},  {H5T_STD_U32LE, VDB_TYPE_F32},
                 {H5T_STD_I64BE, VDB_TYPE_F32},  {H5T_IEEE_F32BE, VDB_TYPE_F32},
                 {H5T_IEEE_F64LE, VDB_TYPE_F32}, {half, VDB_TYPE_F16}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = fixture_path("type.h5");
        hid_t file = new_file(path);
        add_dataset(file, "train", cases[i].type, H5T_NATIVE_INT, 2, dims, NULL, values);
        H5Fclose(file);
        struct input *in = open_good(path, &train);
        assert_int_equal(input_type(in), cases[i].wanted);
        RECORD(in, "0", 1, 100, 7);
        expect_end(in);
    }
    H5Tclose(half);
}

static void one_dimension_is_one_vector_and_an_only_dataset_needs_no_name(void **state)
{
    (void)state;
    const char *path = fixture_path("part.h5"), *strings = "text";
    hid_t file = new_file(path),
          group = H5Gcreate2(file, "shape", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t six = 6, one = 1;
    add_dataset(group, "features", H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, 1, &six, NULL, numbers);
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    add_dataset(file, "label", text, text, 1, &one, NULL, &strings);
    H5Tclose(text);
    H5Gclose(group);
    H5Fclose(file);
    struct input *in = open_good(path, &train);
    assert_int_equal(input_rows(in), 1);
    RECORD(in, "0", 1, -2, 0.5f, 4, 5, 6);
    expect_end(in);
    in = open_good(path, &(struct input_options){.dataset = "/shape/features"});
    RECORD(in, "0", 1, -2, 0.5f, 4, 5, 6);
    expect_end(in);
    expect_refused(path, &(struct input_options){.dataset = "label"}, 65,
                   ": dataset \"label\" does not hold numbers");
    expect_refused(path, &(struct input_options){.dataset = "shape"}, 65,
                   ": there is no dataset \"shape\" to be read; the file has \"label\", "
                   "\"shape/features\"");
}

static void what_cannot_be_vectors_is_refused(void **state)
{
    (void)state;
    const char *path = fixture_path("odd.h5");
    hid_t file = new_file(path);
    hsize_t cube[3] = {1, 2, 3}, wide[2] = {1, 65536}, none[2] = {4, 0}, hole[2] = {1000000, 1000};
    hsize_t chunk[2] = {1, 1000};
    float *row = calloc(65536, sizeof *row);
    assert_non_null(row);
    add_dataset(file, "cube", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, cube, NULL, numbers);
    add_dataset(file, "wide", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, wide, NULL, row);
    add_dataset(file, "none", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, none, NULL, NULL);
    add_dataset(file, "hole", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, hole, chunk, NULL);
    free(row);
    hid_t how = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, wide, NULL);
    H5Pset_external(how, "/etc/passwd", 0, H5F_UNLIMITED);
    hid_t outside = H5Dcreate2(file, "outside", H5T_STD_U8LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
    assert_true(outside >= 0);
    H5Dclose(outside);
    H5Sclose(space);
    H5Pclose(how);
    wide[1] = 100;
    space = H5Screate_simple(2, wide, NULL);
    how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(how, "/etc/passwd", 0, H5F_UNLIMITED);
    outside = H5Dcreate2(file, "near", H5T_STD_U8LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
    assert_true(outside >= 0);
    H5Dclose(outside);
    H5Sclose(space);
    H5Pclose(how);
    H5Lcreate_external(simple_file("target.h5"), "train", file, "link", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    expect_refused(path, &(struct input_options){.dataset = "cube"}, 65,
                   ": dataset \"cube\" has 3 dimensions, expected 2 (rows of vectors) or 1 (one "
                   "vector)");
    expect_refused(path, &(struct input_options){.dataset = "wide"}, 65,
                   ": dataset \"wide\" has vectors of 65536 dimensions, expected 1 to 65535");
    expect_refused(path, &(struct input_options){.dataset = "none"}, 65,
                   ": dataset \"none\" has vectors of 0 dimensions, expected 1 to 65535");
    expect_refused(path, &(struct input_options){.dataset = "hole"}, 65,
                   ": dataset \"hole\" announces 1000000 rows and holds no data");
    expect_refused(path, &(struct input_options){.dataset = "near"}, 65,
                   ": dataset \"near\" keeps its data in other files");
    expect_refused(path, &(struct input_options){.dataset = "link"}, 65,
                   ": there is no dataset \"link\" to be read; the file has \"cube\", \"hole\", "
                   "\"near\", \"none\", \"outside\", \"wide\"");
}

static void chunked_rows_come_whole_and_in_order(void **state)
{
    (void)state;
    enum { ROWS = 7001, DIM = 130 };
    static uint16_t data[ROWS * DIM];
    for (size_t i = 0; i < ROWS * DIM; i++) data[i] = (uint16_t)(i * 2654435761u >> 16);
    const char *path = fixture_path("chunks.h5");
    hid_t file = new_file(path);
    hsize_t dims[2] = {ROWS, DIM}, chunk[2] = {300, 50};
    add_dataset(file, "train", H5T_STD_U16LE, H5T_NATIVE_UINT16, 2, dims, chunk, data);
    H5Fclose(file);
    struct input *in = open_good(path, &train);
    struct record record;
    char message[256];
    int status;
    for (size_t row = 0; row < ROWS; row++) {
        assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
        for (size_t i = 0; i < DIM; i++)
            if (record.vector[i] != (float)data[row * DIM + i]) fail();
    }
    expect_end(in);
}

static void ids_come_from_strings_and_integers(void **state)
{
    (void)state;
    const char *path = fixture_path("ids.h5");
    const char *names[2] = {"a", "\xc3\xa9 long"};
    const long long signed_ids[2] = {-1, 9007199254740993};
    const unsigned long long unsigned_ids[2] = {18446744073709551615u, 0};
    hsize_t two = 2, three = 3;
    hid_t file = new_file(path), variable = H5Tcopy(H5T_C_S1), fixed = H5Tcopy(H5T_C_S1);
    H5Tset_size(variable, H5T_VARIABLE);
    H5Tset_cset(variable, H5T_CSET_UTF8);
    H5Tset_size(fixed, 4);
    add_floats(file, "train", 2, 3, numbers);
    add_dataset(file, "variable", variable, variable, 1, &two, NULL, names);
    static const H5T_str_t paddings[] = {H5T_STR_NULLTERM, H5T_STR_NULLPAD, H5T_STR_SPACEPAD};
    static const char *const padded[] = {"x\0??xyz", "x\0\0\0wxyz", "x   wxyz"};
    static const char *const padded_names[] = {"nullterm", "nullpad", "spacepad"};
    for (int i = 0; i < 3; i++) {
        H5Tset_strpad(fixed, paddings[i]);
        add_dataset(file, padded_names[i], fixed, fixed, 1, &two, NULL, padded[i]);
    }
    add_dataset(file, "signed", H5T_STD_I64BE, H5T_NATIVE_LLONG, 1, &two, NULL, signed_ids);
    add_dataset(file, "unsigned", H5T_STD_U64LE, H5T_NATIVE_ULLONG, 1, &two, NULL, unsigned_ids);
    add_dataset(file, "few", H5T_STD_I64LE, H5T_NATIVE_FLOAT, 1, &three, NULL, numbers);
    add_dataset(file, "floats", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, &two, NULL, numbers);
    H5Tclose(variable);
    H5Tclose(fixed);
    H5Fclose(file);

    static const struct {
        const char *dataset, *ids[2];
    } cases[] = {{"variable", {"a", "\xc3\xa9 long"}},
                 {"nullterm", {"x", "xyz"}},
                 {"nullpad", {"x", "wxyz"}},
                 {"spacepad", {"x", "wxyz"}},
                 {"signed", {"-1", "9007199254740993"}},
                 {"unsigned", {"18446744073709551615", "0"}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct input *in =
            open_good(path, &(struct input_options){.default_dataset = "train",
                                                    .ids_dataset = cases[i].dataset});
        RECORD(in, cases[i].ids[0], 1, -2, 0.5f);
        RECORD(in, cases[i].ids[1], 4, 5, 6);
        expect_end(in);
    }
    expect_refused(path, &(struct input_options){.dataset = "train", .ids_dataset = "few"}, 65,
                   ": dataset \"few\" has 3 elements in 1 dimensions, expected one id for each of "
                   "2 rows");
    expect_refused(path, &(struct input_options){.dataset = "train", .ids_dataset = "floats"}, 65,
                   ": dataset \"floats\" holds neither strings nor integers, expected ids");
    expect_refused(path, &(struct input_options){.dataset = "train", .ids_dataset = "gone"}, 65,
                   ": there is no dataset \"gone\" of ids");
    expect_refused(
        path, &(struct input_options){.dataset = "train", .ids_dataset = "signed", .ids_path = "x"},
        2, ": has ids of its own, and --ids gives others");
}

static void bad_rows_and_ids_are_passed_over(void **state)
{
    (void)state;
    const char *path = fixture_path("nan.h5"), *names[3] = {"a", "", "c"};
    static const double data[3] = {1e300, 1, 2};
    hid_t file = new_file(path), text = H5Tcopy(H5T_C_S1);
    hsize_t dims[2] = {3, 1};
    H5Tset_size(text, H5T_VARIABLE);
    add_dataset(file, "train", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, NULL, data);
    add_dataset(file, "ids", text, text, 1, dims, NULL, names);
    H5Tclose(text);
    H5Fclose(file);
    struct input *in =
        open_good(path, &(struct input_options){.dataset = "train", .ids_dataset = "ids"});
    expect_bad(in, path, ": row 0: number 1 of the vector is not finite as a 32-bit float");
    expect_bad(in, path, ": row 1: the id is empty");
    RECORD(in, "c", 2);
    expect_end(in);
}

static size_t slurp(const char *path, char **bytes)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t len = (size_t)ftell(f);
    rewind(f);
    *bytes = malloc(len);
    assert_int_equal(fread(*bytes, 1, len, f), len);
    fclose(f);
    return len;
}

/* More than one read's worth: all of it is spooled. */
static void hdf5_comes_through_a_pipe(void **state)
{
    (void)state;
    enum { ROWS = 2000, DIM = 300 };
    static float data[ROWS * DIM];
    for (size_t i = 0; i < ROWS * DIM; i++) data[i] = (float)i;
    const char *path = fixture_path("piped.h5");
    hid_t file = new_file(path);
    add_floats(file, "train", ROWS, DIM, data);
    H5Fclose(file);
    char *bytes, message[512];
    size_t len = slurp(path, &bytes);
    assert_true(len > 2000000);
    fixture_stdin(bytes, len);
    free(bytes);
    struct input *in = open_good("-", &train);
    struct record record;
    int status;
    for (size_t row = 0; row < ROWS; row++) {
        assert_int_equal(input_next(in, &record, &status, message, sizeof message), INPUT_RECORD);
        assert_memory_equal(record.vector, data + row * DIM, DIM * sizeof(float));
    }
    expect_end(in);
}

static void damaged_files_are_bad_data(void **state)
{
    (void)state;
    char *bytes;
    size_t len = slurp(simple_file("whole.h5"), &bytes);
    const char *path = fixture_file("torn.h5", bytes, len - 100);
    const struct input_options *options = &train;
    char message[512];
    int status = 0;
    assert_null(input_open(path, options, &status, message, sizeof message));
    assert_int_equal(status, 65);
    assert_memory_equal(message, path, strlen(path));
    assert_non_null(strstr(message, ": not a sound HDF5 file: truncated file"));
    free(bytes);
    path = TEXT_FILE("text.h5", "this is not HDF5");
    assert_null(input_open(path, options, &status, message, sizeof message));
    assert_int_equal(status, 65);
    assert_non_null(strstr(message, ": not a sound HDF5 file: "));
    expect_refused(fixture_path("none.h5"), options, 66,
                   ": cannot open: No such file or directory");
}

/* Any one byte changed: records or an error, but never a crash of ours nor a lost helper. */
static void every_damaged_byte_is_survived(void **state)
{
    (void)state;
    char *bytes;
    size_t len = slurp(simple_file("bytes.h5"), &bytes);
    for (size_t at = 0; at < len; at += 29) {
        bytes[at] ^= 0x55;
        const char *path = "/tmp";
        static char name[200];
        if (at == 0) strcpy(name, fixture_path("flipped.h5"));
        path = name;
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(bytes, 1, len, f);
        fclose(f);
        bytes[at] ^= 0x55;
        char message[512];
        int status = 0;
        struct input *in = input_open(
            path, &(struct input_options){.format = INPUT_HDF5, .default_dataset = "train"},
            &status, message, sizeof message);
        struct record record;
        enum input_status next = in ? INPUT_RECORD : INPUT_FATAL;
        while (next == INPUT_RECORD || next == INPUT_BAD)
            next = input_next(in, &record, &status, message, sizeof message);
        if (next == INPUT_FATAL && status != 65) fail_msg("byte %zu: %d %s", at, status, message);
        input_close(in);
    }
    free(bytes);
}

/* ---- the helper's own misfortunes ---------------------------------------------------------- */

static const char *script(const char *name, const char *text)
{
    const char *path = fixture_file(name, text, strlen(text));
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

static void a_helper_that_crashes_or_is_missing_is_told(void **state)
{
    (void)state;
    const char *path = simple_file("fine.h5");
    struct input_options options = {.hdf5_helper = script("crash", "#!/bin/sh\nkill -SEGV $$\n")};
    expect_refused(path, &options, 65,
                   ": the HDF5 library crashed on it (signal 11): the file is damaged");
    options.hdf5_helper = script("nonsense", "#!/bin/sh\nhead -c 1000 /dev/zero\n");
    expect_refused(path, &options, 70, ": the helper vdb-hdf5 is not of this tool's version");
    options.hdf5_helper = script("silent", "#!/bin/sh\nexit 0\n");
    expect_refused(path, &options, 70, ": the helper vdb-hdf5 broke off at row 0");
    options.hdf5_helper = script("odd", "#!/bin/sh\nprintf 'a \\033 sentence\\n' >&2\nexit 66\n");
    expect_refused(path, &options, 66, ": a ? sentence");
    options.hdf5_helper = "/nonexistent/vdb-hdf5";
    expect_refused(path, &options, 66,
                   ": cannot run the helper /nonexistent/vdb-hdf5: No such file or directory");
}

/* ---- writing ------------------------------------------------------------------------------- */

enum { WRITTEN = 40000 };

static bool write_file(const char *path, int *status, char *message, size_t size)
{
    struct hdf5_writer *w = hdf5_write_open(path, NULL, status, message, size);
    if (!w) return false;
    int vectors = hdf5_write_dataset(w, "vectors", HDF5_F32, 3);
    int ids = hdf5_write_dataset(w, "ids", HDF5_STRING, 0);
    int neighbours = hdf5_write_dataset(w, "neighbors", HDF5_I32, 2);
    int flat = hdf5_write_dataset(w, "flat", HDF5_F32, 0);
    hdf5_write_attribute(w, "distance", "angular");
    for (int i = 0; i < WRITTEN; i++) {
        char id[32];
        float vector[3] = {(float)i, (float)-i, 0.5f}, one = (float)i * 2;
        int32_t pair[2] = {i, -i};
        int len = i % 7 ? snprintf(id, sizeof id, "id-%d", i) : 0;
        hdf5_write_row(w, vectors, vector);
        hdf5_write_string(w, ids, id, (size_t)len);
        hdf5_write_row(w, neighbours, pair);
        if (i < 5) hdf5_write_row(w, flat, &one);
    }
    return hdf5_write_close(w, status, message, size);
}

static void check_written(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    static float vectors[WRITTEN][3];
    static int32_t pairs[WRITTEN][2];
    static char *ids[WRITTEN];
    float flat[5];
    hsize_t dims[2];
    const struct {
        const char *name;
        int rank;
        hsize_t rows, columns;
        hid_t memory;
        void *to;
    } sets[] = {{"vectors", 2, WRITTEN, 3, H5T_NATIVE_FLOAT, vectors},
                {"neighbors", 2, WRITTEN, 2, H5T_NATIVE_INT32, pairs},
                {"flat", 1, 5, 0, H5T_NATIVE_FLOAT, flat},
                {"ids", 1, WRITTEN, 0, -1, ids}};
    for (size_t i = 0; i < 4; i++) {
        hid_t dataset = H5Dopen2(file, sets[i].name, H5P_DEFAULT);
        assert_true(dataset >= 0);
        hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
        assert_int_equal(H5Sget_simple_extent_dims(space, dims, NULL), sets[i].rank);
        assert_int_equal(dims[0], sets[i].rows);
        if (sets[i].rank == 2) assert_int_equal(dims[1], sets[i].columns);
        assert_true(H5Dread(dataset, sets[i].memory < 0 ? type : sets[i].memory, H5S_ALL, H5S_ALL,
                            H5P_DEFAULT, sets[i].to) >= 0);
        if (sets[i].memory < 0) {
            assert_true(H5Tis_variable_str(type) > 0);
            assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
            char wanted[32];
            for (int row = 0; row < WRITTEN; row++) {
                snprintf(wanted, sizeof wanted, "id-%d", row);
                if (row % 7 == 0) wanted[0] = '\0';
                if (strcmp(ids[row] ? ids[row] : "", wanted) != 0) fail_msg("id %d", row);
            }
            H5Dvlen_reclaim(type, space, H5P_DEFAULT, ids);
        }
        H5Tclose(type);
        H5Sclose(space);
        H5Dclose(dataset);
    }
    for (int i = 0; i < WRITTEN; i++) {
        assert_true(vectors[i][0] == (float)i && vectors[i][1] == (float)-i &&
                    vectors[i][2] == 0.5f);
        assert_true(pairs[i][0] == i && pairs[i][1] == -i);
    }
    for (int i = 0; i < 5; i++) assert_true(flat[i] == (float)i * 2);
    H5Fclose(file);
}

static void a_file_is_written_row_by_row(void **state)
{
    (void)state;
    const char *path = fixture_file("out.h5", "what stood there", 16);
    char message[512] = "";
    int status = 0;
    if (!write_file(path, &status, message, sizeof message)) fail_msg("%s", message);
    check_written(path);
    struct input *in = open_good(path, &(struct input_options){.dataset = "vectors"});
    assert_int_equal(input_metric(in), VDB_METRIC_COSINE);
    input_close(in);
}

static void a_file_is_written_to_standard_output(void **state)
{
    (void)state;
    const char *path = fixture_path("stdout.h5");
    int saved = dup(STDOUT_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char message[512] = "";
    int status = 0;
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    bool good = write_file("-", &status, message, sizeof message);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    if (!good) fail_msg("%s", message);
    check_written(path);
}

static void a_large_string_is_written(void **state)
{
    (void)state;
    const char *path = fixture_path("string.h5");
    size_t len = 3000000;
    char *text = malloc(len), message[512] = "";
    int status = 0;
    assert_non_null(text);
    memset(text, 'x', len);
    struct hdf5_writer *w = hdf5_write_open(path, NULL, &status, message, sizeof message);
    assert_non_null(w);
    int d = hdf5_write_dataset(w, "metadata", HDF5_STRING, 0);
    assert_true(hdf5_write_string(w, d, "{}", 2));
    assert_true(hdf5_write_string(w, d, text, len));
    free(text);
    if (!hdf5_write_close(w, &status, message, sizeof message)) fail_msg("%s", message);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "metadata", H5P_DEFAULT), type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    char *strings[2] = {NULL, NULL};
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, strings) >= 0);
    assert_string_equal(strings[0], "{}");
    assert_int_equal(strlen(strings[1]), len);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, strings);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void an_abandoned_file_leaves_what_stood_there(void **state)
{
    (void)state;
    const char *path = fixture_file("kept.h5", "what stood there", 16);
    char message[512] = "", *bytes, command[300];
    int status = 0;
    struct hdf5_writer *w = hdf5_write_open(path, NULL, &status, message, sizeof message);
    assert_non_null(w);
    int d = hdf5_write_dataset(w, "vectors", HDF5_F32, 3);
    for (int i = 0; i < 100000; i++) hdf5_write_row(w, d, numbers);
    hdf5_write_abort(w);
    assert_int_equal(slurp(path, &bytes), 16);
    assert_memory_equal(bytes, "what stood there", 16);
    free(bytes);
    snprintf(command, sizeof command, "! ls -d %s?* >/dev/null 2>&1", path); /* nothing beside it */
    assert_int_equal(system(command), 0);
}

static void a_file_that_cannot_be_made_is_exit_73(void **state)
{
    (void)state;
    char message[512] = "";
    int status = 0;
    assert_false(write_file("/nonexistent/a.h5", &status, message, sizeof message));
    assert_int_equal(status, 73);
    assert_non_null(strstr(message, "/nonexistent/a.h5: cannot be created: "));
    assert_false(write_file("/tmp", &status, message, sizeof message));
    assert_int_equal(status, 73);
    assert_string_equal(message, "/tmp: is a directory");
    assert_false(write_file("/dev/full", &status, message, sizeof message));
    assert_int_equal(status, 74);
    assert_string_equal(message, "/dev/full: write failed: No space left on device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_or_named_dataset_is_read),
        cmocka_unit_test(the_distance_attribute_is_the_metric),
        cmocka_unit_test(every_numeric_type_is_read),
        cmocka_unit_test(one_dimension_is_one_vector_and_an_only_dataset_needs_no_name),
        cmocka_unit_test(what_cannot_be_vectors_is_refused),
        cmocka_unit_test(chunked_rows_come_whole_and_in_order),
        cmocka_unit_test(ids_come_from_strings_and_integers),
        cmocka_unit_test(bad_rows_and_ids_are_passed_over),
        cmocka_unit_test(hdf5_comes_through_a_pipe),
        cmocka_unit_test(damaged_files_are_bad_data),
        cmocka_unit_test(every_damaged_byte_is_survived),
        cmocka_unit_test(a_helper_that_crashes_or_is_missing_is_told),
        cmocka_unit_test(a_file_is_written_row_by_row),
        cmocka_unit_test(a_file_is_written_to_standard_output),
        cmocka_unit_test(a_large_string_is_written),
        cmocka_unit_test(an_abandoned_file_leaves_what_stood_there),
        cmocka_unit_test(a_file_that_cannot_be_made_is_exit_73),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
