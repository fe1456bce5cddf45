/* records.c: reading an input of any format to its end.
 *
 * An input of n bytes has fewer records than n + 2, so more calls than that are an endless loop,
 * and a finding; but for what gzip has packed, which makes up to 1,032 bytes of one.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/records.h"

#include <stdlib.h>
#include <unistd.h>

#include "aid/fuzz.h"

enum { OPTIONAL_IDS = 16, ANY_DIM = 32, GZIP_MOST = 1032 };

/* What reading takes whatever the input, buffers and tables of zlib's; and by a byte of it. */
#define MEMORY_BASE ((size_t)4 << 20)
#define MEMORY_BYTE 64u

/* What input.h promises of a record; abort() is how a fuzz target reports. */
static void check_record(const struct input *input, const struct input_options *options,
                         const struct record *record)
{
    if (record->dim == 0 || (!options->any_dim && record->dim != input_dim(input))) abort();
    for (uint32_t i = 0; i < record->dim; i++)
        if (!(record->vector[i] - record->vector[i] == 0)) abort(); /* infinite, or not a number */
    if (record->id == NULL && !options->ids_optional) abort();
    if (record->id_len > VDB_ID_MAX || (record->id != NULL && record->id_len == 0)) abort();
    for (size_t i = 0; i < record->id_len; i++)
        if ((unsigned char)record->id[i] < 0x20) abort();
    if (record->metadata != NULL && record->metadata_len < 2) abort();
}

void fuzz_records(const uint8_t *data, size_t size, const enum input_format *formats, size_t count)
{
    if (size == 0) return;
    char path[64], message[1024];
    int exit_status = 0, fd = fuzz_file(data + 1, size - 1, path);
    size_t chosen = data[0] % 16, calls = 0, bytes = size + 2;
    struct input_options options = {
        .format = chosen < count ? formats[chosen] : INPUT_AUTO,
        .ids_optional = data[0] & OPTIONAL_IDS,
        .any_dim = data[0] & ANY_DIM,
        .default_dataset = "train",
        .hdf5_helper = "/nonexistent",
    };
    if (size > 2 && data[1] == 0x1f && data[2] == 0x8b) bytes *= GZIP_MOST;
    fuzz_memory(MEMORY_BASE + MEMORY_BYTE * bytes);
    struct input *input = input_open(path, &options, &exit_status, message, sizeof message);
    if (input != NULL) {
        enum input_status status;
        struct record record;
        do {
            status = input_next(input, &record, &exit_status, message, sizeof message);
            if (status == INPUT_RECORD) check_record(input, &options, &record);
            if (++calls > bytes) abort();
        } while (status == INPUT_RECORD || status == INPUT_BAD);
        input_close(input);
    }
    fuzz_memory(0);
    close(fd);
}
