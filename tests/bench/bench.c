/* bench.c: reading images, a clock, and giving up; see bench.h.
 *
 * The reader is the benchmark's own and not the tools', so that truth and peer depend on nothing
 * that is measured.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t big_endian(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

struct images images_read(const char *path)
{
    uint8_t head[16];
    FILE *file = fopen(path, "rb");
    if (file == NULL) die("%s: %s", path, strerror(errno));
    if (fread(head, 1, sizeof head, file) != sizeof head || memcmp(head, "\0\0\x08\x03", 4) != 0)
        die("%s: no idx file of unsigned bytes in three dimensions", path);
    struct images images = {big_endian(head + 4), big_endian(head + 8) * big_endian(head + 12),
                            NULL};
    images.bytes = malloc(images.count * images.dim);
    if (images.bytes == NULL) die("out of memory");
    if (fread(images.bytes, images.dim, images.count, file) != images.count)
        die("%s: shorter than its header says", path);
    fclose(file);
    return images;
}

float *images_as_floats(const struct images *images)
{
    size_t count = images->count * images->dim;
    float *floats = malloc(count * sizeof *floats);
    if (floats == NULL) die("out of memory");
    for (size_t i = 0; i < count; i++) floats[i] = images->bytes[i];
    return floats;
}
