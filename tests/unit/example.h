/* example.h: the worked examples of format-spec/, read from its pages when a test runs.
 *
 * A page has them as fenced blocks: "hexdump NAME" with the bytes, "values NAME" with lines
 * `field = value` that say what the bytes mean.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_EXAMPLE_H
#define TESTS_UNIT_EXAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct example {
    struct buf bytes;
    struct buf values; /* text with a final NUL */
};

/* Reads both blocks of an example from a page ("ids.md"). The pages lie in format-spec/ below the
 * directory that VDB_SOURCE_DIR names, or below the current one. Fails the test where the page or
 * a block is missing or is not a dump. */
void example_read(struct example *example, const char *page, const char *name);
void example_release(struct example *example);

/* How many dumps a page has. */
unsigned example_count(const char *page);

/* A value's text, up to its line's end, copied into `text`. Fails the test where there is none. */
const char *example_text(const struct example *example, const char *field, char text[256]);

/* The same as a number: decimal, or for checks and tags 8 or 16 hexadecimal digits. */
uint64_t example_number(const struct example *example, const char *field);

#endif
