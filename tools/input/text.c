/* text.c: checks of UTF-8 and ids; pure functions of (pointer, length).
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vdb.h"

/* Length of the well-formed sequence at `s`, or 0. The second byte's range depends on the first:
 * that is what shuts out overlong forms, surrogates and what lies above U+10FFFF. */
static size_t sequence(const uint8_t *s, size_t left)
{
    uint8_t first = s[0];
    if (first < 0x80) return 1;
    size_t n = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : 4;
    if (first < 0xc2 || first > 0xf4 || left < n) return 0;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

size_t utf8_prefix(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t at = 0;
    while (at < len) {
        size_t n = sequence(s + at, len - at);
        if (n == 0) break;
        at += n;
    }
    return at;
}

const char *id_fault(const char *id, size_t len)
{
    if (len == 0) return "is empty";
    if (len > VDB_ID_MAX) return "is longer than 1023 bytes";
    if (utf8_prefix(id, len) != len) return "is not valid UTF-8";
    for (size_t i = 0; i < len; i++) {
        uint8_t b = (uint8_t)id[i];
        bool c1 = b == 0xc2 && (uint8_t)id[i + 1] < 0xa0; /* U+0080 to U+009F; valid, so not last */
        if (b < 0x20 || b == 0x7f || c1) return "contains a control character";
    }
    return NULL;
}

const char *quote(char to[QUOTE_SIZE], const char *text, size_t len)
{
    size_t room = QUOTE_SIZE - 4, used = 0, at = 0;
    while (at < len) {
        size_t n = sequence((const uint8_t *)text + at, len - at);
        bool c1 = n == 2 && (uint8_t)text[at] == 0xc2 && (uint8_t)text[at + 1] < 0xa0;
        bool plain = n > 1 ? !c1 : n == 1 && (uint8_t)text[at] >= 0x20 && text[at] != 0x7f;
        if (used + (plain ? n : 1) > room) break;
        if (plain)
            memcpy(to + used, text + at, n);
        else
            to[used] = '?';
        used += plain ? n : 1;
        at += n ? n : 1;
    }
    strcpy(to + used, at < len ? "..." : "");
    return to;
}
