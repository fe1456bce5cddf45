/* write_hdf5.c: an HDF5 file with one dataset of numbers, for tests: a line of them in one
 * dimension, or with WIDTH a table.
 *
 *     write_hdf5 HELPER FILE DATASET WIDTH NUMBER...
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "input/hdf5_write.h"

int main(int argc, char **argv)
{
    if (argc < 6) return 2;
    float numbers[64];
    int count = argc - 5, width = atoi(argv[4]), status = 0;
    if (count > 64 || width < 0 || width > count) return 2;
    for (int i = 0; i < count; i++) numbers[i] = strtof(argv[5 + i], NULL);
    char message[512];
    struct hdf5_writer *writer =
        hdf5_write_open(argv[2], argv[1], &status, message, sizeof message);
    if (writer) {
        int dataset = hdf5_write_dataset(writer, argv[3], HDF5_F32, (uint32_t)width);
        int step = width ? width : 1;
        for (int i = 0; i + step <= count; i += step) hdf5_write_row(writer, dataset, numbers + i);
        if (hdf5_write_close(writer, &status, message, sizeof message)) return 0;
    }
    fprintf(stderr, "write_hdf5: %s\n", message);
    return 1;
}
