/* image.c: index files as inputs: without their holes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "aid/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/le.h"

struct piece {
    le32 zeros, bytes;
};

enum { HOLE = 32 }; /* zeros that are worth a piece of their own */

/* How many zeros and bytes the piece at data[*at] has, and where its bytes are. */
static void take(const uint8_t *data, size_t size, size_t *at, size_t room, size_t *zeros,
                 size_t *bytes)
{
    struct piece piece;
    memcpy(&piece, data + *at, sizeof piece);
    *at += sizeof piece;
    *zeros = le32_get(piece.zeros);
    *bytes = le32_get(piece.bytes);
    if (*zeros > room) *zeros = room;
    if (*bytes > size - *at) *bytes = size - *at;
    if (*bytes > room - *zeros) *bytes = room - *zeros;
}

uint8_t *image_unpack(const uint8_t *data, size_t size, size_t *len)
{
    size_t total = 0, zeros, bytes;
    for (size_t at = 0; size - at >= sizeof(struct piece); at += bytes) {
        take(data, size, &at, IMAGE_MAX - total, &zeros, &bytes);
        total += zeros + bytes;
    }
    uint8_t *file = calloc(total ? total : 1, 1);
    *len = 0;
    if (file == NULL) return NULL;
    for (size_t at = 0; size - at >= sizeof(struct piece); at += bytes) {
        take(data, size, &at, IMAGE_MAX - *len, &zeros, &bytes);
        memcpy(file + *len + zeros, data + at, bytes);
        *len += zeros + bytes;
    }
    return file;
}

/* Where the run of zeros from file[at] on ends. */
static size_t zeros_end(const uint8_t *file, size_t at, size_t len)
{
    static const uint8_t zeros[64];
    while (len - at >= sizeof zeros && memcmp(file + at, zeros, sizeof zeros) == 0)
        at += sizeof zeros;
    while (at < len && file[at] == 0) at++;
    return at;
}

/* Where the bytes from file[at] on end: at a hole, or with the file. */
static size_t bytes_end(const uint8_t *file, size_t at, size_t len)
{
    while (at < len) {
        size_t end = zeros_end(file, at, len);
        if (end == len || end - at >= HOLE) return at;
        at = end + 1;
    }
    return at;
}

size_t image_pack(const uint8_t *file, size_t len, uint8_t *to, size_t max)
{
    size_t used = 0;
    for (size_t at = 0; at < len;) {
        size_t begin = zeros_end(file, at, len), end = bytes_end(file, begin, len);
        struct piece piece = {le32_put((uint32_t)(begin - at)), le32_put((uint32_t)(end - begin))};
        if (max - used < sizeof piece || max - used - sizeof piece < end - begin) return 0;
        memcpy(to + used, &piece, sizeof piece);
        memcpy(to + used + sizeof piece, file + begin, end - begin);
        used += sizeof piece + end - begin;
        at = end;
    }
    return used;
}
