/* hostile_hdf5.c: HDF5 files that no honest program writes, for tests.
 *
 *     hostile_hdf5 KIND FILE [OTHER]
 *
 * external: `train` is sound, and `ids` are bytes of the file OTHER; link: an external link to
 * `train` of OTHER; filter: `train` is packed by a filter that nobody has; bomb: a chunk of some MB
 * unpacks to 4 GB; chunk: a chunk of 4 GB that holds nothing; large: an honest `train` of 4 MB.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <hdf5.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ROWS = 16000, DIM = 65535 };

static void check(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "hostile_hdf5: %s\n", what);
    exit(1);
}

static hid_t dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims,
                     hid_t how)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t made = H5Dcreate2(file, name, type, space, H5P_DEFAULT, how, H5P_DEFAULT);
    check(made >= 0, name);
    H5Sclose(space);
    return made;
}

static void train(hid_t file, hsize_t rows, hsize_t dim)
{
    hsize_t dims[2] = {rows, dim};
    float *numbers = calloc(rows * dim, sizeof *numbers);
    check(numbers != NULL, "memory");
    for (size_t i = 0; i < rows * dim; i++) numbers[i] = (float)(i % 1000);
    hid_t made = dataset(file, "train", H5T_IEEE_F32LE, 2, dims, H5P_DEFAULT);
    check(H5Dwrite(made, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0, "write");
    H5Dclose(made);
    free(numbers);
}

static void external(hid_t file, const char *other)
{
    hsize_t rows = 4;
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    train(file, rows, 2);
    check(H5Pset_external(how, other, 0, 4) >= 0, "external");
    H5Dclose(dataset(file, "ids", H5T_STD_U8LE, 1, &rows, how));
}

static void filtered(hid_t file)
{
    hsize_t dims[2] = {4, 4};
    const char bytes[16] = "as it comes";
    hsize_t begin[2] = {0, 0};
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(how, 2, dims);
    check(H5Pset_filter(how, 32123, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0, "filter");
    hid_t made = dataset(file, "train", H5T_IEEE_F32LE, 2, dims, how);
    check(H5Dwrite_chunk(made, H5P_DEFAULT, 0, begin, sizeof bytes, bytes) >= 0, "chunk");
    H5Dclose(made);
}

/* A run of blocks of zeros, each by itself, is a stream as well. */
static size_t zeros(unsigned char **stream)
{
    enum { BLOCK = 1 << 20, BLOCKS = 4000 };
    static unsigned char from[BLOCK], packed[BLOCK];
    z_stream z = {.next_in = from, .avail_in = BLOCK, .next_out = packed, .avail_out = BLOCK};
    check(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
    deflate(&z, Z_FULL_FLUSH);
    size_t len = BLOCK - z.avail_out;
    deflateEnd(&z);
    *stream = malloc(2 + BLOCKS * len);
    check(*stream != NULL, "memory");
    memcpy(*stream, "\x78\xda", 2);
    for (size_t i = 0; i < BLOCKS; i++) memcpy(*stream + 2 + i * len, packed, len);
    return 2 + BLOCKS * len;
}

/* Of two chunks the first holds nothing, or the bomb, and the other some bytes. */
static void huge(hid_t file, int bomb)
{
    hsize_t dims[2] = {2 * ROWS, DIM}, chunk[2] = {ROWS, DIM}, begin[2] = {0, 0};
    unsigned char *stream;
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(how, 2, chunk);
    H5Pset_deflate(how, 9);
    hid_t made = dataset(file, "train", H5T_IEEE_F32LE, 2, dims, how);
    size_t len = zeros(&stream);
    if (bomb) check(H5Dwrite_chunk(made, H5P_DEFAULT, 0, begin, len, stream) >= 0, "bomb");
    begin[0] = ROWS;
    check(H5Dwrite_chunk(made, H5P_DEFAULT, 0, begin, 100, stream) >= 0, "chunk");
    free(stream);
    H5Dclose(made);
}

int main(int argc, char **argv)
{
    check(argc == 3 || argc == 4, "usage: hostile_hdf5 KIND FILE [OTHER]");
    const char *kind = argv[1], *other = argc == 4 ? argv[3] : "";
    hid_t file = H5Fcreate(argv[2], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    check(file >= 0, argv[2]);
    if (strcmp(kind, "external") == 0)
        external(file, other);
    else if (strcmp(kind, "link") == 0)
        check(H5Lcreate_external(other, "train", file, "train", H5P_DEFAULT, H5P_DEFAULT) >= 0,
              "link");
    else if (strcmp(kind, "filter") == 0)
        filtered(file);
    else if (strcmp(kind, "large") == 0)
        train(file, 4000, 256);
    else
        huge(file, strcmp(kind, "bomb") == 0);
    check(H5Fclose(file) >= 0, "close");
    return 0;
}
