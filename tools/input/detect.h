/* detect.h: the format of an input, by name or by its first bytes.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_DETECT_H
#define TOOLS_INPUT_DETECT_H

#include <stdbool.h>

#include "input/input.h"

enum { DETECT_BYTES = 8 };

enum input_format detect_by_name(const char *path); /* INPUT_AUTO: it says nothing */
enum input_format detect_by_magic(const uint8_t *bytes, size_t len); /* else INPUT_JSONL */

/* Whether an input is to be unpacked. fbin and its like have no magic of their own: a file of
 * 559,903 rows begins as gzip does, and only its name can tell. */
bool detect_gzip(const uint8_t *bytes, size_t len, enum input_format format, const char *path);

#endif
