/* hdf5_import.c: a numeric dataset of an HDF5 file as a stream of float rows.
 *
 * Rows are read a slab at a time, a slab covering whole chunks where the dataset is chunked, so
 * that each chunk is unpacked once. A file is read alone: datasets whose data lies in other files
 * (external storage, virtual datasets, external links) are refused.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hdf5/confine.h"
#include "hdf5/hdf5_file.h"
#include "input/hdf5_pipe.h"

enum { LISTED_MAX = 4096 };

static const uint64_t slab_bytes = 4 << 20, slab_bytes_max = 64 << 20, cache_bytes_max = 256 << 20;

struct import {
    hid_t file, dataset;
    const char *name;
    int rank;
    hsize_t rows, dim;
    hsize_t slab_rows;
    float *slab;
    struct hdf5_ids *ids; /* NULL: none */
};

/* ---- finding the dataset ------------------------------------------------------------------- */

static herr_t refuse_external_link(const char *file, const char *group, const char *child,
                                   const char *object, unsigned *flags, hid_t fapl, void *context)
{
    (void)file, (void)group, (void)child, (void)object, (void)flags, (void)fapl, (void)context;
    return -1;
}

/* < 0: it cannot be opened. */
static hid_t open_dataset(hid_t file, const char *name, size_t cache_bytes)
{
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_elink_cb(access, refuse_external_link, NULL);
    if (cache_bytes) H5Pset_chunk_cache(access, 12421, cache_bytes, 1.0);
    hid_t dataset = H5Dopen2(file, name, access);
    H5Pclose(access);
    return dataset;
}

/* Its rank, and dims where that is 1 or 2. */
static int extent(hid_t dataset, hsize_t dims[2])
{
    hid_t space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank == 1 || rank == 2) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    return rank;
}

static bool is_numeric(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    H5T_class_t class = H5Tget_class(type);
    H5Tclose(type);
    return class == H5T_INTEGER || class == H5T_FLOAT;
}

struct listing {
    char text[300]; /* for a message */
    size_t used;
    unsigned seen, fit;
    char only[256]; /* the last that fits */
};

static herr_t list_one(hid_t file, const char *name, const H5L_info_t *info, void *context)
{
    struct listing *list = context;
    if (list->seen++ == LISTED_MAX) return 1;
    if (info->type != H5L_TYPE_HARD) return 0;
    hid_t dataset = open_dataset(file, name, 0); /* fails for groups, quietly */
    if (dataset < 0) return 0;
    hsize_t dims[2];
    int rank = extent(dataset, dims);
    bool fits = is_numeric(dataset) && (rank == 1 || rank == 2);
    H5Dclose(dataset);
    list->fit += fits;
    if (fits) snprintf(list->only, sizeof list->only, "%s", name);
    if (fits && strlen(name) >= sizeof list->only) list->fit++; /* too long to be chosen */
    size_t room = sizeof list->text - list->used;
    int n = snprintf(list->text + list->used, room, "%s\"%s\"", list->used ? ", " : "", name);
    if (n > 0 && (size_t)n < room)
        list->used += (size_t)n;
    else
        snprintf(list->text + list->used, room, "%.*s", (int)room - 1, " ...");
    return 0;
}

/* The dataset asked for; else the default; else the only one there is. */
static void find_dataset(struct import *in, const char *asked, const char *fallback)
{
    static struct listing list;
    in->name = *asked ? asked : fallback;
    in->dataset = *in->name ? open_dataset(in->file, in->name, 0) : -1;
    if (in->dataset >= 0) return;
    H5Lvisit(in->file, H5_INDEX_NAME, H5_ITER_INC, list_one, &list);
    if (!*asked && list.fit == 1) {
        in->name = list.only;
        in->dataset = open_dataset(in->file, in->name, 0);
        if (in->dataset >= 0) return;
    }
    if (*in->name == '\0' && list.fit > 1)
        helper_fail(CLI_DATA, "which dataset is to be read? The file has %s", list.text);
    if (list.used == 0) helper_fail(CLI_DATA, "the file has no datasets");
    helper_fail(CLI_DATA, "there is no dataset \"%s\" to be read; the file has %s", in->name,
                list.text);
}

/* ---- judging it ---------------------------------------------------------------------------- */

static void check_shape(struct import *in)
{
    hsize_t dims[2] = {0, 0};
    if (!is_numeric(in->dataset))
        helper_fail(CLI_DATA, "dataset \"%s\" does not hold numbers", in->name);
    in->rank = extent(in->dataset, dims);
    if (in->rank != 1 && in->rank != 2)
        helper_fail(CLI_DATA,
                    "dataset \"%s\" has %d dimensions, expected 2 (rows of vectors) or 1 "
                    "(one vector)",
                    in->name, in->rank);
    in->rows = in->rank == 2 ? dims[0] : 1;
    in->dim = dims[in->rank - 1];
    if (in->dim == 0 || in->dim > VDB_DIM_MAX)
        helper_fail(CLI_DATA,
                    "dataset \"%s\" has vectors of %" PRIu64 " dimensions, expected 1 to "
                    "65535",
                    in->name, (uint64_t)in->dim);
    if (in->rows >= UINT32_MAX)
        helper_fail(CLI_DATA, "dataset \"%s\" has %" PRIu64 " rows, expected less than 4294967295",
                    in->name, (uint64_t)in->rows);
}

static void check_place(hid_t dataset, const char *name)
{
    hid_t how = H5Dget_create_plist(dataset);
    bool outside = H5Pget_layout(how) == H5D_VIRTUAL || H5Pget_external_count(how) > 0;
    H5Pclose(how);
    if (outside) helper_fail(CLI_DATA, "dataset \"%s\" keeps its data in other files", name);
}

/* Nothing stored under rows that are announced is a hole, not vectors of zeros: it would let a
 * file of a kilobyte fill a disk. */
static void check_storage(const struct import *in)
{
    check_place(in->dataset, in->name);
    if (in->rows > 0 && H5Dget_storage_size(in->dataset) == 0)
        helper_fail(CLI_DATA, "dataset \"%s\" announces %" PRIu64 " rows and holds no data",
                    in->name, (uint64_t)in->rows);
}

/* Chooses the rows read at a time, and opens the dataset anew with a cache for a band of chunks
 * where a slab cannot cover one. */
static void choose_slab(struct import *in)
{
    hid_t how = H5Dget_create_plist(in->dataset);
    uint64_t row_bytes = in->dim * sizeof(float), band_rows = 1;
    hsize_t chunk[32] = {1};
    if (H5Pget_layout(how) == H5D_CHUNKED && in->rank == 2 && H5Pget_chunk(how, 32, chunk) == 2)
        band_rows = chunk[0] ? chunk[0] : 1;
    H5Pclose(how);
    if (band_rows * row_bytes > slab_bytes_max) {
        uint64_t band = band_rows * in->dim * sizeof(double);
        H5Dclose(in->dataset);
        in->dataset = open_dataset(in->file, in->name,
                                   (size_t)(band < cache_bytes_max ? band : cache_bytes_max));
        if (in->dataset < 0)
            helper_fail(CLI_DATA, "dataset \"%s\" cannot be opened: %s", in->name, helper_reason());
        band_rows = 1;
    }
    uint64_t bands = slab_bytes / (band_rows * row_bytes);
    in->slab_rows = band_rows * (bands ? bands : 1);
}

static uint32_t type_of(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    size_t size = H5Tget_size(type);
    bool integer = H5Tget_class(type) == H5T_INTEGER;
    bool sign = integer && H5Tget_sign(type) != H5T_SGN_NONE;
    H5Tclose(type);
    if (integer && size == 1) return sign ? VDB_TYPE_I8 : VDB_TYPE_U8;
    return !integer && size == 2 ? VDB_TYPE_F16 : VDB_TYPE_F32;
}

/* The metric that ann-benchmarks writes into the root's attribute `distance`; 0: none known. */
static uint32_t metric_of(hid_t file)
{
    static const struct {
        const char *name;
        uint32_t metric;
    } names[] = {{"euclidean", VDB_METRIC_L2},   {"l2", VDB_METRIC_L2},
                 {"angular", VDB_METRIC_COSINE}, {"cosine", VDB_METRIC_COSINE},
                 {"dot", VDB_METRIC_IP},         {"ip", VDB_METRIC_IP}};
    if (H5Aexists(file, "distance") <= 0) return 0;
    hid_t attribute = H5Aopen(file, "distance", H5P_DEFAULT);
    if (attribute < 0) return 0;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    uint32_t metric = 0;
    if (H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1 &&
        H5Tget_size(type) < 256) {
        char text[257] = "", *variable = NULL;
        bool is_variable = H5Tis_variable_str(type) > 0;
        const char *value = text;
        if (H5Aread(attribute, type, is_variable ? (void *)&variable : (void *)text) >= 0 &&
            is_variable)
            value = variable ? variable : "";
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(names[i].name, value) == 0) metric = names[i].metric;
        if (variable) H5free_memory(variable);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return metric;
}

/* ---- sending it ---------------------------------------------------------------------------- */

static void put(const void *data, size_t len)
{
    if (fwrite(data, 1, len, stdout) != len) exit(CLI_IOERR); /* the tool has gone */
}

static void put_slab(struct import *in, hsize_t begin, hsize_t count)
{
    if (in->ids) hdf5_ids_load(in->ids, begin, count);
    for (hsize_t i = 0; i < count; i++) {
        if (in->ids) {
            size_t len;
            const char *id = hdf5_ids_get(in->ids, i, &len);
            uint32_t sent = len < HDF5_ID_MAX ? (uint32_t)len : HDF5_ID_MAX;
            put(&sent, sizeof sent);
            put(id, sent);
        }
        put(in->slab + i * in->dim, in->dim * sizeof *in->slab);
    }
    if (in->ids) hdf5_ids_unload(in->ids);
}

static void put_rows(struct import *in)
{
    if (in->slab_rows > in->rows) in->slab_rows = in->rows;
    in->slab = malloc(in->slab_rows * in->dim * sizeof *in->slab + 1);
    if (!in->slab) helper_no_memory();
    hid_t space = H5Dget_space(in->dataset);
    for (hsize_t begin = 0; begin < in->rows; begin += in->slab_rows) {
        hsize_t left = in->rows - begin, count = left < in->slab_rows ? left : in->slab_rows;
        hsize_t start[2] = {begin, 0}, size[2] = {count, in->dim};
        int skip = 2 - in->rank; /* one-dimensional: the columns only */
        hid_t memory = H5Screate_simple(in->rank, size + skip, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start + skip, NULL, size + skip, NULL);
        if (H5Dread(in->dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, in->slab) < 0)
            helper_fail(CLI_DATA, "dataset \"%s\" cannot be read from row %" PRIu64 " on: %s",
                        in->name, (uint64_t)begin, helper_reason());
        H5Sclose(memory);
        put_slab(in, begin, count);
        confine_progress();
    }
    H5Sclose(space);
    free(in->slab);
}

void helper_read(const char *dataset, const char *ids, const char *default_dataset)
{
    struct import in = {.file = hdf5_descriptor_open(STDIN_FILENO)};
    if (in.file < 0) helper_fail(CLI_DATA, "not a sound HDF5 file: %s", helper_reason());
    find_dataset(&in, dataset, default_dataset);
    check_shape(&in);
    check_storage(&in);
    choose_slab(&in);
    if (*ids) {
        hid_t d = open_dataset(in.file, ids, 0);
        if (d < 0) helper_fail(CLI_DATA, "there is no dataset \"%s\" of ids", ids);
        check_place(d, ids);
        in.ids = hdf5_ids_open(d, ids, in.rows);
    }
    struct hdf5_read_head head = {.rows = in.rows,
                                  .dim = (uint32_t)in.dim,
                                  .type = type_of(in.dataset),
                                  .metric = metric_of(in.file),
                                  .has_ids = in.ids != NULL};
    memcpy(head.magic, HDF5_READ_MAGIC, sizeof head.magic);
    setvbuf(stdout, NULL, _IOFBF, 1 << 18);
    put(&head, sizeof head);
    put_rows(&in);
    hdf5_ids_close(in.ids);
    H5Dclose(in.dataset);
    H5Fclose(in.file);
    uint32_t end = HDF5_READ_END;
    put(&end, sizeof end);
    if (fflush(stdout) != 0) exit(CLI_IOERR);
}
