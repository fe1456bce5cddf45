/* text.h: what text from outside must be: UTF-8, ids, and how it is quoted in messages.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_TEXT_H
#define TOOLS_INPUT_TEXT_H

#include <stddef.h>

/* The length of the well-formed UTF-8 that `text` begins with (Unicode 15, table 3-7: no
 * overlong forms, no surrogates, nothing above U+10FFFF); `len` where all of it is. */
size_t utf8_prefix(const char *text, size_t len);

/* What keeps `id` from being an id ("is empty"), or NULL. */
const char *id_fault(const char *id, size_t len);

#define QUOTE_SIZE 64

/* Text for a message: cut short, without control characters and broken UTF-8. Returns `to`. */
const char *quote(char to[QUOTE_SIZE], const char *text, size_t len);

#endif
