/* hdf5_ids.c: ids from an HDF5 dataset of strings (variable or fixed length) or integers.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hdf5/hdf5_file.h"

enum { FIXED_MAX = 1 << 20 };

enum kind { VARIABLE, FIXED, SIGNED, UNSIGNED };

struct hdf5_ids {
    hid_t dataset, type, file_space, memory_space;
    const char *name;
    enum kind kind;
    int rank;
    size_t size; /* bytes an element in memory */
    H5T_str_t padding;
    char *values;
    size_t capacity; /* elements */
    char text[24];
};

static void take_string_type(struct hdf5_ids *ids, hid_t type)
{
    htri_t variable = H5Tis_variable_str(type);
    ids->kind = variable > 0 ? VARIABLE : FIXED;
    if (ids->kind == VARIABLE) {
        ids->type = H5Tcopy(H5T_C_S1);
        H5Tset_size(ids->type, H5T_VARIABLE);
        H5Tset_cset(ids->type, H5Tget_cset(type)); /* libhdf5 converts between none */
        ids->size = sizeof(char *);
        return;
    }
    ids->type = H5Tcopy(type);
    ids->size = H5Tget_size(type);
    ids->padding = H5Tget_strpad(type);
    if (ids->size == 0 || ids->size > FIXED_MAX)
        helper_fail(CLI_DATA, "dataset \"%s\" has strings of %zu bytes, expected ids", ids->name,
                    ids->size);
}

struct hdf5_ids *hdf5_ids_open(hid_t dataset, const char *name, hsize_t rows)
{
    struct hdf5_ids *ids = calloc(1, sizeof *ids);
    if (!ids) helper_no_memory();
    ids->dataset = dataset;
    ids->name = name;
    ids->file_space = H5Dget_space(dataset);
    ids->memory_space = -1;
    ids->rank = H5Sget_simple_extent_ndims(ids->file_space);
    hssize_t count = H5Sget_simple_extent_npoints(ids->file_space);
    if (ids->rank > 1 || count < 0 || (hsize_t)count != rows)
        helper_fail(CLI_DATA,
                    "dataset \"%s\" has %lld elements in %d dimensions, expected one id "
                    "for each of %llu rows",
                    name, (long long)count, ids->rank, (unsigned long long)rows);
    hid_t type = H5Dget_type(dataset);
    switch (H5Tget_class(type)) {
    case H5T_STRING:
        take_string_type(ids, type);
        break;
    case H5T_INTEGER:
        ids->kind = H5Tget_sign(type) == H5T_SGN_NONE ? UNSIGNED : SIGNED;
        ids->type = H5Tcopy(ids->kind == SIGNED ? H5T_NATIVE_LLONG : H5T_NATIVE_ULLONG);
        ids->size = sizeof(long long);
        break;
    default:
        helper_fail(CLI_DATA, "dataset \"%s\" holds neither strings nor integers, expected ids",
                    name);
    }
    H5Tclose(type);
    return ids;
}

void hdf5_ids_load(struct hdf5_ids *ids, hsize_t begin, hsize_t count)
{
    if (count > ids->capacity) {
        free(ids->values);
        ids->values = calloc(count, ids->size);
        if (!ids->values) helper_no_memory();
        ids->capacity = count;
    }
    ids->memory_space = H5Screate_simple(1, &count, NULL);
    hid_t space = ids->rank == 0 ? H5S_ALL : ids->file_space;
    if (ids->rank == 1)
        H5Sselect_hyperslab(ids->file_space, H5S_SELECT_SET, &begin, NULL, &count, NULL);
    if (H5Dread(ids->dataset, ids->type, ids->rank == 0 ? H5S_ALL : ids->memory_space, space,
                H5P_DEFAULT, ids->values) < 0)
        helper_fail(CLI_DATA, "dataset \"%s\" cannot be read from row %llu on: %s", ids->name,
                    (unsigned long long)begin, helper_reason());
}

static size_t fixed_len(const struct hdf5_ids *ids, const char *text)
{
    size_t len = ids->size;
    switch (ids->padding) {
    case H5T_STR_NULLPAD:
        while (len > 0 && text[len - 1] == '\0') len--;
        return len;
    case H5T_STR_SPACEPAD:
        while (len > 0 && text[len - 1] == ' ') len--;
        return len;
    default:
        return strnlen(text, len);
    }
}

const char *hdf5_ids_get(struct hdf5_ids *ids, size_t i, size_t *len)
{
    const char *at = ids->values + i * ids->size, *text = at;
    long long number;
    switch (ids->kind) {
    case VARIABLE:
        memcpy(&text, at, sizeof text);
        if (!text) text = "";
        *len = strlen(text);
        return text;
    case FIXED:
        *len = fixed_len(ids, text);
        return text;
    case SIGNED:
    case UNSIGNED:
        memcpy(&number, at, sizeof number);
        snprintf(ids->text, sizeof ids->text, ids->kind == SIGNED ? "%lld" : "%llu", number);
        *len = strlen(ids->text);
        return ids->text;
    }
    *len = 0;
    return "";
}

void hdf5_ids_unload(struct hdf5_ids *ids)
{
    if (ids->kind == VARIABLE)
        H5Dvlen_reclaim(ids->type, ids->memory_space, H5P_DEFAULT, ids->values);
    H5Sclose(ids->memory_space);
}

void hdf5_ids_close(struct hdf5_ids *ids)
{
    if (!ids) return;
    H5Tclose(ids->type);
    H5Sclose(ids->file_space);
    H5Dclose(ids->dataset);
    free(ids->values);
    free(ids);
}
