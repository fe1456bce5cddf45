/* hdf5_write.h: an HDF5 file written row by row, by the helper process vdb-hdf5.
 *
 *     struct hdf5_writer *w = hdf5_write_open("out.h5", NULL, &status, message, sizeof message);
 *     int vectors = hdf5_write_dataset(w, "vectors", HDF5_F32, dim);
 *     int ids = hdf5_write_dataset(w, "ids", HDF5_STRING, 0);
 *     for each row: hdf5_write_row(w, vectors, floats); hdf5_write_string(w, ids, id, id_len);
 *     if (!hdf5_write_close(w, &status, message, sizeof message)) ...
 *
 * The number of rows need not be known. The file takes its name only in hdf5_write_close, over
 * whatever stood there. A failure in between shows in the return values and, with its sentence, in
 * hdf5_write_close.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_HDF5_WRITE_H
#define TOOLS_INPUT_HDF5_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hdf5_element { HDF5_F32 = 1, HDF5_I32 = 2, HDF5_STRING = 3 /* UTF-8, of any length */ };

struct hdf5_writer;

/* `path` "-": standard output, at hdf5_write_close. `helper`: path of vdb-hdf5, NULL: beside the
 * tool or in ../libexec/vdb. NULL: exit status and a sentence that begins with the path. */
struct hdf5_writer *hdf5_write_open(const char *path, const char *helper, int *exit_status,
                                    char *message, size_t message_size);

/* A new dataset; `width` columns, or 0: one-dimensional, one element a row (strings always).
 * Returns its number, counted from 0, or -1. All datasets come before the first row. */
int hdf5_write_dataset(struct hdf5_writer *writer, const char *name, enum hdf5_element element,
                       uint32_t width);

/* A string attribute of the file, such as `distance`. */
bool hdf5_write_attribute(struct hdf5_writer *writer, const char *name, const char *value);

/* One more row: `width` floats or int32_t (one, where the width is 0), or a string. */
bool hdf5_write_row(struct hdf5_writer *writer, int dataset, const void *elements);
bool hdf5_write_string(struct hdf5_writer *writer, int dataset, const char *text, size_t len);

/* Completes the file and frees the writer. false: exit status and sentence; there is no file. */
bool hdf5_write_close(struct hdf5_writer *writer, int *exit_status, char *message,
                      size_t message_size);

/* Gives the file up and frees the writer. NULL is allowed. */
void hdf5_write_abort(struct hdf5_writer *writer);

#endif
