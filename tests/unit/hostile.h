/* hostile.h: feeds a decoder damaged copies of what it should read.
 *
 * Each copy is an allocation of just its length, so that under ASan a read of one byte beyond it
 * ends the test. What the decoder says of it is not judged here, except by the callback.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_TESTS_HOSTILE_H
#define VDB_TESTS_HOSTILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*hostile_fn)(const uint8_t *p, size_t len, void *context);

/* xorshift64: the same numbers in every run. */
static inline uint64_t hostile_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void hostile_copy(const uint8_t *p, size_t len, hostile_fn fn, void *context)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) abort();
    if (len) memcpy(copy, p, len);
    fn(copy, len, context);
    free(copy);
}

/* Every shorter length. */
static inline void hostile_truncations(const uint8_t *p, size_t len, hostile_fn fn, void *context)
{
    for (size_t n = 0; n < len; n++) hostile_copy(p, n, fn, context);
}

/* `rounds` copies with one to four bytes changed: half of them among the first 160, where headers
 * and tables are, and with values that are extreme as often as not. */
static inline void hostile_flips(const uint8_t *p, size_t len, unsigned rounds, hostile_fn fn,
                                 void *context)
{
    static const uint8_t extreme[] = {0x00, 0xff, 0x7f, 0x80, 0x01, 0xfe};
    uint64_t state = 0x9e3779b97f4a7c15;
    uint8_t *damaged = malloc(len);
    if (!damaged) abort();
    for (unsigned i = 0; i < rounds; i++) {
        memcpy(damaged, p, len);
        size_t reach = hostile_random(&state) % 2 && len > 160 ? 160 : len;
        size_t changes = 1 + hostile_random(&state) % 4;
        for (size_t j = 0; j < changes; j++) {
            uint64_t r = hostile_random(&state);
            damaged[hostile_random(&state) % reach] =
                r % 2 ? extreme[r / 2 % sizeof extreme] : (uint8_t)(r >> 32);
        }
        hostile_copy(damaged, len, fn, context);
    }
    free(damaged);
}

#endif
