/* buf.h: a growable run of bytes.
 *
 * A `struct buf` that is all zero is an empty one. Functions that can want memory return 0, or -1
 * with the buf unchanged: memory was not to be had, or the length would not fit a size_t.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_BASE_BUF_H
#define VDB_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* NULL until something was appended */
    size_t len;
    size_t cap;
};

/* Makes room for `more` bytes behind the len there are. */
int buf_reserve(struct buf *b, size_t more);

/* Lengthens it by `more` bytes of no particular value and returns where they begin, or NULL. The
 * pointer is good until the next call that can want memory. `more` is at least 1. */
void *buf_extend(struct buf *b, size_t more);

/* `p` may be NULL where len is 0; it must not point into the buf. */
int buf_append(struct buf *b, const void *p, size_t len);
int buf_append_zeros(struct buf *b, size_t count);

/* Appends zeros until len is a multiple of `align`, a power of two. */
int buf_align(struct buf *b, size_t align);

/* Forgets the bytes and keeps the memory. */
void buf_clear(struct buf *b);

/* Frees the memory and leaves an empty buf. */
void buf_release(struct buf *b);

#endif
