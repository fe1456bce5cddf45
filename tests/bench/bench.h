/* bench.h: what the programs of the benchmark share: reading images, a clock, and giving up.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* Vectors of an idx file: `count` rows of `dim` bytes, one after another. */
struct images {
    size_t count, dim;
    uint8_t *bytes;
};

/* Reads a plain (not packed) idx file of unsigned bytes; dies where it is none. The caller frees
 * `bytes`. */
struct images images_read(const char *path);

/* The same numbers as floats, which the caller frees. */
float *images_as_floats(const struct images *images);

/* Seconds from some moment on. */
double seconds(void);

/* A benchmark that cannot go on has nothing to tell: one sentence, exit 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
