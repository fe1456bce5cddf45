/* input.c: the fuzz target for the formats that vectors are read from, HDF5 left out: that is
 * read in a process of its own, by a library that is not ours.
 *
 * The first byte chooses the format, the rest is the file. An input of n bytes has fewer records
 * than n + 2, so more calls than that are an endless loop, and a finding.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "input/input.h"

/* What input.h promises of a record; abort() is how a fuzz target reports. */
static void check_record(const struct input *input, const struct record *record)
{
    if (record->dim == 0 || record->dim != input_dim(input)) abort();
    for (uint32_t i = 0; i < record->dim; i++)
        if (!(record->vector[i] - record->vector[i] == 0)) abort(); /* infinite, or not a number */
    if (record->id_len > VDB_ID_MAX || (record->id != NULL && record->id_len == 0)) abort();
    for (size_t i = 0; i < record->id_len; i++)
        if ((unsigned char)record->id[i] < 0x20) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char path[64], message[1024];
    int exit_status = 0;
    struct input_options options = {.format = (enum input_format)(data[0] % INPUT_HDF5),
                                    .default_dataset = "train"};
    int fd = fuzz_file(data + 1, size - 1, path);
    struct input *input = input_open(path, &options, &exit_status, message, sizeof message);

    if (input != NULL) {
        enum input_status status;
        struct record record;
        size_t calls = 0;
        do {
            status = input_next(input, &record, &exit_status, message, sizeof message);
            if (status == INPUT_RECORD) check_record(input, &record);
            if (++calls > size + 2) abort();
        } while (status == INPUT_RECORD || status == INPUT_BAD);
        input_close(input);
    }
    close(fd);
    return 0;
}
