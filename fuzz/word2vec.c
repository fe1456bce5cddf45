/* word2vec.c: the fuzz target for the text format of word2vec.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/fuzz.h"
#include "aid/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum input_format formats[] = {INPUT_WORD2VEC};
    fuzz_records(data, size, formats, sizeof formats / sizeof *formats);
    return 0;
}
