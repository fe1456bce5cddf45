/* hdf5_export.c: an HDF5 file from a stream of frames. Datasets are chunked and grow as rows come.
 *
 * Signals that a terminal sends to the whole group of processes end both this and the tool, which
 * removes the unfinished file.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hdf5/confine.h"
#include "hdf5/hdf5_file.h"
#include "input/hdf5_pipe.h"
#include "input/hdf5_write.h"

enum { DATASETS_MAX = 16, CHUNK_BYTES = 1 << 16, STRINGS_PER_CHUNK = 1024 };

static const uint64_t payload_max = (uint64_t)1 << 30;

struct column { /* a dataset being written */
    hid_t dataset, memory_type;
    enum hdf5_element element;
    hsize_t width; /* 0: one-dimensional */
    hsize_t rows;
};

static void failed(const char *what)
{
    helper_fail(CLI_IOERR, "%s failed: %s", what, helper_reason());
}

static void take(void *to, size_t len)
{
    if (fread(to, 1, len, stdin) != len)
        helper_fail(CLI_IOERR, "the stream of rows ended before its end");
}

static void malformed(void)
{
    helper_fail(CLI_SOFTWARE, "the stream of rows is malformed");
}

/* ---- datasets ------------------------------------------------------------------------------ */

static hid_t string_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        failed("making a string type");
    return type;
}

static void add_column(hid_t file, struct column *column, const char *payload, size_t len)
{
    uint32_t element, width;
    if (len < 9) malformed();
    memcpy(&element, payload, 4);
    memcpy(&width, payload + 4, 4);
    bool strings = element == HDF5_STRING;
    *column = (struct column){.element = (enum hdf5_element)element, .width = strings ? 0 : width};
    hid_t stored = strings ? string_type() : element == HDF5_F32 ? H5T_IEEE_F32LE : H5T_STD_I32LE;
    column->memory_type = strings               ? stored
                          : element == HDF5_F32 ? H5T_NATIVE_FLOAT
                                                : H5T_NATIVE_INT32;
    hsize_t columns = column->width ? column->width : 1, fit = CHUNK_BYTES / (4 * columns);
    int rank = column->width ? 2 : 1;
    hsize_t size[2] = {0, columns}, limit[2] = {H5S_UNLIMITED, columns};
    hsize_t chunk[2] = {strings ? STRINGS_PER_CHUNK : fit ? fit : 1, columns};
    hid_t space = H5Screate_simple(rank, size, limit), how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(how, rank, chunk);
    column->dataset = H5Dcreate2(file, payload + 8, stored, space, H5P_DEFAULT, how, H5P_DEFAULT);
    if (column->dataset < 0) failed("making a dataset");
    H5Pclose(how);
    H5Sclose(space);
}

static void add_attribute(hid_t file, const char *payload, size_t len)
{
    size_t name_len = strnlen(payload, len);
    if (name_len == len) malformed();
    const char *value = payload + name_len + 1;
    hid_t type = string_type(), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, payload, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, &value) < 0 || H5Aclose(attribute) < 0)
        failed("writing an attribute");
    H5Sclose(space);
    H5Tclose(type);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void append_rows(struct column *column, const void *elements, hsize_t count)
{
    hsize_t columns = column->width ? column->width : 1;
    hsize_t size[2] = {column->rows + count, columns}, begin[2] = {column->rows, 0};
    hsize_t part[2] = {count, columns};
    int rank = column->width ? 2 : 1;
    if (H5Dset_extent(column->dataset, size) < 0) failed("growing a dataset");
    hid_t space = H5Dget_space(column->dataset), memory = H5Screate_simple(rank, part, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, begin, NULL, part, NULL);
    if (H5Dwrite(column->dataset, column->memory_type, memory, space, H5P_DEFAULT, elements) < 0)
        failed("writing rows");
    H5Sclose(memory);
    H5Sclose(space);
    column->rows += count;
}

/* Strings behind their lengths become C strings in place: each one's NUL takes the first byte of
 * the next one's length, which has been read by then. The payload has room for a last NUL. */
static void append_strings(struct column *column, char *payload, size_t len)
{
    size_t count = 0, capacity = len / 4 + 1;
    const char **strings = malloc(capacity * sizeof *strings);
    if (!strings) helper_fail(CLI_SOFTWARE, "out of memory");
    for (size_t at = 0; at < len;) {
        uint32_t string_len;
        if (len - at < 4) malformed();
        memcpy(&string_len, payload + at, 4);
        payload[at] = '\0';
        at += 4;
        if (len - at < string_len) malformed();
        strings[count++] = payload + at;
        at += string_len;
    }
    payload[len] = '\0';
    if (count) append_rows(column, strings, count);
    free(strings);
}

static void append(struct column *column, char *payload, size_t len)
{
    size_t row_bytes = 4 * (column->width ? column->width : 1);
    if (column->element == HDF5_STRING)
        append_strings(column, payload, len);
    else if (len % row_bytes)
        malformed();
    else if (len)
        append_rows(column, payload, len / row_bytes);
}

/* Takes frames until the end frame. */
static void take_frames(hid_t file)
{
    struct column columns[DATASETS_MAX];
    uint32_t count = 0;
    char *payload = NULL;
    size_t capacity = 0;
    for (;;) {
        struct hdf5_frame frame;
        take(&frame, sizeof frame);
        confine_progress();
        if (frame.kind == HDF5_FRAME_END) break;
        if (frame.len > payload_max) malformed();
        if (frame.len + 1 > capacity) {
            free(payload);
            capacity = frame.len + 1;
            payload = malloc(capacity);
            if (!payload) helper_fail(CLI_SOFTWARE, "out of memory");
        }
        take(payload, frame.len);
        payload[frame.len] = '\0';
        if (frame.kind == HDF5_FRAME_DATASET && count < DATASETS_MAX)
            add_column(file, &columns[count++], payload, frame.len);
        else if (frame.kind == HDF5_FRAME_ATTRIBUTE)
            add_attribute(file, payload, frame.len);
        else if (frame.kind == HDF5_FRAME_ROWS && frame.dataset < count)
            append(&columns[frame.dataset], payload, frame.len);
        else
            malformed();
    }
    free(payload);
    for (uint32_t i = 0; i < count; i++)
        if (H5Dclose(columns[i].dataset) < 0) failed("closing a dataset");
}

/* ---- the file ------------------------------------------------------------------------------ */

void helper_write(void)
{
    hid_t file = hdf5_descriptor_create(STDOUT_FILENO);
    if (file < 0) helper_fail(CLI_CANTCREAT, "cannot be created: %s", helper_reason());
    take_frames(file);
    if (H5Fclose(file) < 0) failed("closing the file");
}
