/* checksum.c: XXH3-64 over libxxhash.
 *
 * The library's return codes are not looked at: with a state that is not NULL and input that is
 * not NULL these calls have no way to fail.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/checksum.h"

uint64_t checksum(const void *p, size_t len)
{
    return XXH3_64bits(len ? p : "", len);
}

uint64_t checksum_without(const void *p, size_t len, size_t field_off)
{
    static const uint8_t zero[8];
    const uint8_t *bytes = p;
    size_t after = field_off + sizeof zero;
    struct checksum_state state;
    checksum_init(&state);
    checksum_add(&state, bytes, field_off);
    checksum_add(&state, zero, sizeof zero);
    checksum_add(&state, bytes + after, len - after);
    return checksum_end(&state);
}

void checksum_init(struct checksum_state *state)
{
    /* A state on the stack is to be set up once before its first reset, says xxhash.h. */
    XXH3_INITSTATE(&state->xxh);
    (void)XXH3_64bits_reset(&state->xxh);
}

void checksum_add(struct checksum_state *state, const void *p, size_t len)
{
    if (len) (void)XXH3_64bits_update(&state->xxh, p, len);
}

uint64_t checksum_end(const struct checksum_state *state)
{
    return XXH3_64bits_digest(&state->xxh);
}
