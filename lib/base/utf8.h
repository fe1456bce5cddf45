/* utf8.h: what is text, and what is an id.
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_UTF8_H
#define VDB_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes that the first character takes, 1 to 4, with its number in *code; 0 where the bytes do
 * not begin with a whole character. `len` is at least 1. */
size_t utf8_decode(const void *p, size_t len, uint32_t *code);

bool utf8_valid(const void *p, size_t len);

/* 1 to VDB_ID_MAX bytes of UTF-8 without control characters (U+0000 to U+001F, U+007F to U+009F).
 */
bool utf8_id_valid(const void *p, size_t len);

#endif
