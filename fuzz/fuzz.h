/* fuzz.h: what the fuzz targets have in common with what drives them, and with each other.
 *
 * A target is one file, fuzz/NAME.c, with one LLVMFuzzerTestOneInput. libFuzzer drives it in
 * `make fuzz T=NAME`; replay.c drives it over kept inputs where there is no libFuzzer.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory with these bytes, and its path, for what opens files by path only. Returns a
 * file descriptor to close; ends the program where the system gives none. */
int fuzz_file(const uint8_t *data, size_t size, char path[64]);

#endif
