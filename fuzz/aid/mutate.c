/* mutate.c: what changes inputs where there is no libFuzzer to do so, for aid/replay.c and
 * aid/afl.c.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "aid/fuzz.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u; /* any but 0 */

/* One to four places overwritten with what breaks arithmetic most; each eighth form is cut off. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    uint64_t *state = &random_state;
    size_t places = 1 + fuzz_random(state) % 4;

    if (size > max_size) size = max_size;
    for (size_t i = 0; i < places && size > 0; i++) {
        size_t at = fuzz_random(state) % size, count = 1 + fuzz_random(state) % 8;
        uint8_t value = values[fuzz_random(state) % sizeof values];
        if (fuzz_random(state) % 2) {
            data[at] ^= (uint8_t)(1u << fuzz_random(state) % 8);
        } else {
            for (size_t j = at; j < at + count && j < size; j++) data[j] = value;
        }
    }
    if (size > 0 && fuzz_random(state) % 8 == 0) size = fuzz_random(state) % size;
    return size;
}
