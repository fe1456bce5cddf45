/* source.h: the bytes of an input, in order, from a file or a pipe, unpacked where gzip packed
 * them.
 *
 * It holds one window of the input; what a call returns is valid until the next call. Offsets
 * count unpacked bytes.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_SOURCE_H
#define TOOLS_INPUT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input/fault.h"

struct source;

/* Opens `path` ("-": standard input). */
struct source *source_open(const char *path, struct fault *fault);

/* Reads from `fd`, which it then owns. `name` is copied. */
struct source *source_from_fd(int fd, const char *name, struct fault *fault);
void source_close(struct source *source); /* NULL is allowed */

const char *source_name(const struct source *source); /* for messages */

/* From here on, gzip is unpacked. Nothing but source_peek may have been called before. */
bool source_unpack(struct source *source, struct fault *fault);

uint64_t source_offset(const struct source *source);           /* of the next byte */
bool source_size(const struct source *source, uint64_t *size); /* all of it, where that is known */

/* The descriptor that it reads from, which stays the source's. */
int source_descriptor(const struct source *source);

/* Bytes out of order, where the size is known; false: they are not to be had. */
bool source_read_at(const struct source *source, uint64_t offset, void *to, size_t len);
double source_progress(const struct source *source); /* 0 to 1, or -1 */

/* Makes the next `want` bytes contiguous without passing over them. *have is less than `want` only
 * where the input ends. NULL: fault is set. */
const uint8_t *source_peek(struct source *source, size_t want, size_t *have, struct fault *fault);

/* Passes over `len` bytes, which a peek must have shown. */
void source_skip(struct source *source, size_t len);

enum line_status { LINE_OK, LINE_END, LINE_TOO_LONG, LINE_FAILED };

#define SOURCE_LINE_MAX                                                                            \
    ((size_t)48 << 20) /* 16 MiB metadata, 65,535 numbers, and room to spare                       \
                        */

/* The next line without its LF or CRLF, with a NUL behind it (and perhaps within). A line above
 * SOURCE_LINE_MAX is passed over. */
enum line_status source_line(struct source *source, const char **line, size_t *len,
                             struct fault *fault);

#endif
