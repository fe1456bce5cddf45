/* afl.c: a target's mutator as AFL++ loads it (AFL_CUSTOM_MUTATOR_LIBRARY), from a library of its
 * own that has the target in it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "aid/fuzz.h"

struct mutator {
    uint64_t random;
    uint8_t *room;
    size_t size;
};

__attribute__((visibility("default"))) void *afl_custom_init(void *afl, unsigned seed);
__attribute__((visibility("default"))) size_t afl_custom_fuzz(void *data, uint8_t *input,
                                                              size_t size, uint8_t **output,
                                                              uint8_t *other, size_t other_size,
                                                              size_t max_size);
__attribute__((visibility("default"))) void afl_custom_deinit(void *data);

void *afl_custom_init(void *afl, unsigned seed)
{
    (void)afl;
    struct mutator *m = calloc(1, sizeof *m);
    if (m != NULL) m->random = (uint64_t)seed * 2 + 1;
    return m;
}

size_t afl_custom_fuzz(void *data, uint8_t *input, size_t size, uint8_t **output, uint8_t *other,
                       size_t other_size, size_t max_size)
{
    struct mutator *m = data;
    (void)other, (void)other_size;
    *output = input;
    if (max_size > m->size) {
        uint8_t *room = realloc(m->room, max_size);
        if (room == NULL) return size;
        m->room = room;
        m->size = max_size;
    }
    memcpy(m->room, input, size);
    *output = m->room;
    return LLVMFuzzerCustomMutator(m->room, size, max_size, (unsigned)fuzz_random(&m->random));
}

void afl_custom_deinit(void *data)
{
    struct mutator *m = data;
    free(m->room);
    free(m);
}
