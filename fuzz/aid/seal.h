/* seal.h: checks made anew, so that what they cover is come to.
 *
 * Each goes as far as structures can be told apart and leaves the rest; none reads or writes beyond
 * `len`, and none takes longer than a few times what it takes to read the bytes once.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_SEAL_H
#define FUZZ_AID_SEAL_H

#include <stddef.h>
#include <stdint.h>

/* An index file: of both superblock slots, their manifests and segments, and the log from the
 * oldest extent on, the blocks of its commits included. */
void seal_index(uint8_t *file, size_t len);

/* The records of the log from `off` to `end`, and where links lead to: their checks, those of their
 * blocks, and the chain from `check` on. `numbers` not 0: also their numbers, from that of the
 * commit before on. Returns the chain value where the records end; where one begins at `stop`, the
 * one there, through *at_stop. */
uint64_t seal_log(uint8_t *file, size_t len, uint64_t off, uint64_t end, uint64_t check,
                  uint64_t numbers, uint64_t stop, uint64_t *at_stop);

/* A stream: its header, its frames, which are numbered anew, and its end. */
void seal_stream(uint8_t *p, size_t len);

#endif
