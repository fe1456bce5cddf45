/* mutator.h: changes of index files, logs and streams that get past their checksums.
 *
 * Each takes what a LLVMFuzzerCustomMutator does and returns what that does. Most changes are made
 * in one of the structures that it finds, to numbers more than to other bytes; checks are then made
 * anew, but for one change in 16.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_MUTATOR_H
#define FUZZ_AID_MUTATOR_H

#include <stddef.h>
#include <stdint.h>

/* Inputs of fuzz/open.c: image.h. */
size_t mutate_index(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Inputs of fuzz/log.c: loghead.h. */
size_t mutate_log(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Inputs of fuzz/stream.c: a byte that says how it is received, and the stream. */
size_t mutate_stream(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
