/* onebit.h: which single bit of some bytes makes their checksum right when it is turned.
 *
 * Media and memory that fail most often fail by one bit. Of n bytes 8 n others differ by one, so
 * that one of them has a given checksum of 64 bits by chance once in 2^61 / n times: a bit found is
 * as sure as a checksum that is right.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_CHECK_ONEBIT_H
#define VDB_CHECK_ONEBIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The work grows with the square of the length: of this one it is a fraction of a second. */
#define ONEBIT_MAX ((size_t)16 << 10)

struct onebit {
    uint8_t *p; /* len bytes, which are left as they were found */
    size_t len;
    size_t begin, end; /* among these the bit is sought */
    uint64_t check;    /* what the bytes should have, where has_field is false; */
    bool has_field;    /* else what the 8 bytes at `field` say, which count as zero */
    size_t field;
};

/* *bit is its number from the least of the first byte on. false: there is none, or end - begin
 * times len is above ONEBIT_MAX squared. */
bool onebit_find(const struct onebit *sought, uint64_t *bit);

#endif
