/* hdf5_file.h: what both halves of the helper need: one way to fail, and names of things.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_HDF5_HDF5_FILE_H
#define TOOLS_HDF5_HDF5_FILE_H

#include <hdf5.h>

#include "cli.h"

/* Ends the helper with one sentence on stderr. */
_Noreturn void helper_fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What libhdf5 says about its last failure: the innermost reason. Never NULL. */
const char *helper_reason(void);

/* Ends it where memory has run out that a file asks for. */
_Noreturn void helper_no_memory(void);

/* The two verbs; each ends the helper by itself where it fails. One reads the file on descriptor 0
 * and writes rows to 1, "": none; the other reads frames from 0 and writes a file on 1. */
void helper_read(const char *dataset, const char *ids, const char *default_dataset);
void helper_write(void);

/* hdf5_driver.c: the file on a descriptor, which stays the caller's. < 0: see helper_reason. */
hid_t hdf5_descriptor_open(int fd);
hid_t hdf5_descriptor_create(int fd);

/* hdf5_ids.c: a dataset of ids, strings of any kind or integers. Takes over `dataset`. */
struct hdf5_ids;
struct hdf5_ids *hdf5_ids_open(hid_t dataset, const char *name, hsize_t rows);
/* Loads the ids of rows [begin, begin + count); hdf5_ids_get gives the i-th of them. */
void hdf5_ids_load(struct hdf5_ids *ids, hsize_t begin, hsize_t count);
const char *hdf5_ids_get(struct hdf5_ids *ids, size_t i, size_t *len);
void hdf5_ids_unload(struct hdf5_ids *ids);
void hdf5_ids_close(struct hdf5_ids *ids); /* NULL is allowed */

#endif
