/* checksum.h: XXH3-64, the checksum of everything in the file and the hash of ids.
 *
 * It detects accidents; it does not authenticate. Inputs up to 240 bytes and longer ones, whole or
 * in pieces, give the same value as XXH3_64bits of the XXH3 specification with seed 0.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_CHECKSUM_H
#define VDB_BASE_CHECKSUM_H

/* The state lies in the caller's memory, so that a checksum cannot fail for want of any; xxhash.h
 * shows the state's members only under this macro. */
#ifndef XXH_STATIC_LINKING_ONLY
#define XXH_STATIC_LINKING_ONLY
#endif
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* `p` may be NULL where len is 0. */
uint64_t checksum(const void *p, size_t len);

/* Of the len bytes with the 8 at field_off taken as zero: the value that a structure holds of
 * itself. field_off + 8 is at most len. */
uint64_t checksum_without(const void *p, size_t len, size_t field_off);

/* In pieces: init, add any number of times, end. The state is aligned to 64 bytes by its type; it
 * holds nothing that needs releasing. After end it may go on being added to. */
struct checksum_state {
    XXH3_state_t xxh;
};

void checksum_init(struct checksum_state *state);
void checksum_add(struct checksum_state *state, const void *p, size_t len);
uint64_t checksum_end(const struct checksum_state *state);

#endif
