/* buf.c: a growable run of bytes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 64

int buf_reserve(struct buf *b, size_t more)
{
    if (more <= b->cap - b->len) return 0;
    /* PTRDIFF_MAX, not SIZE_MAX: no object is larger, and the additions below cannot wrap. */
    if (more > (size_t)PTRDIFF_MAX - b->len) return -1;
    size_t cap = b->cap + b->cap / 2;
    if (cap < SMALLEST) cap = SMALLEST;
    if (cap < b->len + more || cap > (size_t)PTRDIFF_MAX) cap = b->len + more;
    uint8_t *data = realloc(b->data, cap);
    if (!data) return -1;
    b->data = data;
    b->cap = cap;
    return 0;
}

void *buf_extend(struct buf *b, size_t more)
{
    if (buf_reserve(b, more) != 0) return NULL;
    void *p = b->data + b->len;
    b->len += more;
    return p;
}

int buf_append(struct buf *b, const void *p, size_t len)
{
    if (len == 0) return 0;
    void *to = buf_extend(b, len);
    if (!to) return -1;
    memcpy(to, p, len);
    return 0;
}

int buf_append_zeros(struct buf *b, size_t count)
{
    if (count == 0) return 0;
    void *to = buf_extend(b, count);
    if (!to) return -1;
    memset(to, 0, count);
    return 0;
}

int buf_align(struct buf *b, size_t align)
{
    return buf_append_zeros(b, (align - (b->len & (align - 1))) & (align - 1));
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
