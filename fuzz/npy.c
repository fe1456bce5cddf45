/* npy.c: the fuzz target for arrays of NumPy.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/fuzz.h"
#include "aid/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum input_format formats[] = {INPUT_NPY};
    fuzz_records(data, size, formats, sizeof formats / sizeof *formats);
    return 0;
}
