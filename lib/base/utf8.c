/* utf8.c: what is text, and what is an id.
 *
 * The ranges are those of RFC 3629, section 4: the first byte says how many follow, and narrows
 * the range of the second where the form would be overlong, a surrogate or above U+10FFFF.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/utf8.h"

#include "vdb.h"

/* Bytes that a character with this first byte takes, and the range of its second; 0 where no
 * character begins so. */
static size_t shape(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (first == 0xe0) *low = 0xa0;
    if (first == 0xed) *high = 0x9f;
    if (first >= 0xe0 && first <= 0xef) return 3;
    if (first == 0xf0) *low = 0x90;
    if (first == 0xf4) *high = 0x8f;
    if (first >= 0xf0 && first <= 0xf4) return 4;
    return 0;
}

size_t utf8_decode(const void *p, size_t len, uint32_t *code)
{
    static const uint8_t first_bits[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t *s = p;
    uint8_t low, high;
    size_t n = shape(s[0], &low, &high);
    if (n == 0 || n > len) return 0;
    uint32_t c = s[0] & first_bits[n];
    for (size_t i = 1; i < n; i++) {
        if (s[i] < low || s[i] > high) return 0;
        c = c << 6 | (s[i] & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    *code = c;
    return n;
}

bool utf8_valid(const void *p, size_t len)
{
    const uint8_t *s = p;
    uint32_t code;
    for (size_t at = 0; at < len;) {
        size_t n = s[at] < 0x80 ? 1 : utf8_decode(s + at, len - at, &code);
        if (n == 0) return false;
        at += n;
    }
    return true;
}

bool utf8_id_valid(const void *p, size_t len)
{
    const uint8_t *s = p;
    if (len == 0 || len > VDB_ID_MAX) return false;
    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t n = utf8_decode(s + at, len - at, &code);
        if (n == 0 || code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
        at += n;
    }
    return true;
}
