/* fuzz.h: what the fuzz targets have in common with what drives them, and with each other.
 *
 * A target is one file, fuzz/NAME.c, with one LLVMFuzzerTestOneInput, and where its bytes have
 * checksums a LLVMFuzzerCustomMutator. libFuzzer drives it in `make fuzz T=NAME`, AFL++ in
 * `make afl T=NAME`; aid/replay.c drives it over kept inputs where there is neither.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_FUZZ_H
#define FUZZ_AID_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Of libFuzzer, or of aid/mutate.c: changes up to max_size bytes by guesses of its own, and returns
 * how many there are then. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A file in memory with these bytes, and its path, for what opens files by path only. Returns a
 * file descriptor to close; ends the program where the system gives none. */
int fuzz_file(const uint8_t *data, size_t size, char path[64]);

/* The path of a file in a folder of this process, which is in memory where the system has such and
 * goes with the process. There is no file of that name afterwards. */
const char *fuzz_path(void);

/* Writes these bytes to that path. */
void fuzz_write(const char *path, const uint8_t *data, size_t size);

/* From here on a request for memory that brings what was taken since above `bytes` is a finding:
 * it ends the program. 0: no limit any more. Mapped files do not count. */
void fuzz_memory(size_t bytes);

/* The same bytes again for the same calls: xorshift64; *state is not 0. */
uint64_t fuzz_random(uint64_t *state);

#endif
