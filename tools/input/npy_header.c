/* npy_header.c: a pure parser of (pointer, length) for what numpy.lib.format writes.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "input/npy_header.h"

#include <string.h>

struct cursor {
    const char *text;
    size_t at, len;
    const char *why;
};

static bool fail(struct cursor *c, const char *why)
{
    c->why = why;
    return false;
}

static bool next_is(struct cursor *c, char wanted)
{
    while (c->at < c->len && (c->text[c->at] == ' ' || c->text[c->at] == '\n')) c->at++;
    if (c->at >= c->len || c->text[c->at] != wanted) return false;
    c->at++;
    return true;
}

static bool next_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    while (c->at < c->len && c->text[c->at] == ' ') c->at++;
    if (c->len - c->at < n || memcmp(c->text + c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

/* A string without escapes, in either kind of quotes. */
static bool take_string(struct cursor *c, char *to, size_t size)
{
    bool single = next_is(c, '\'');
    if (!single && !next_is(c, '"')) return fail(c, "expected a string");
    size_t n = 0;
    for (; c->at < c->len && c->text[c->at] != (single ? '\'' : '"'); c->at++) {
        if (n + 1 == size) return fail(c, "the string is too long");
        to[n++] = c->text[c->at];
    }
    to[n] = '\0';
    if (c->at >= c->len) return fail(c, "the string is not closed");
    c->at++;
    return true;
}

static bool take_bool(struct cursor *c, bool *value)
{
    *value = next_word(c, "True");
    return *value || next_word(c, "False") || fail(c, "expected True or False");
}

static bool take_size(struct cursor *c, uint64_t *value)
{
    size_t begin = c->at;
    *value = 0;
    for (; c->at < c->len && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(c->text[c->at] - '0'), value))
            return fail(c, "the size is too large");
    if (c->at == begin) return fail(c, "expected a size");
    (void)(c->at < c->len && c->text[c->at] == 'L' && c->at++); /* of Python 2 */
    return true;
}

static bool take_shape(struct cursor *c, struct npy_header *header)
{
    header->dims = 0;
    if (!next_is(c, '(')) return fail(c, "expected a tuple");
    while (!next_is(c, ')')) {
        if (header->dims == NPY_DIMS_MAX) return fail(c, "more than 32 dimensions");
        if (!take_size(c, &header->shape[header->dims++])) return false;
        if (next_is(c, ',')) continue;
        if (!next_is(c, ')')) return fail(c, "expected ',' or ')'");
        break;
    }
    return true;
}

static bool take_entry(struct cursor *c, struct npy_header *header, unsigned *seen)
{
    char key[32];
    if (!take_string(c, key, sizeof key)) return false;
    if (!next_is(c, ':')) return fail(c, "expected ':'");
    bool descr = strcmp(key, "descr") == 0, shape = strcmp(key, "shape") == 0;
    bool fortran = strcmp(key, "fortran_order") == 0;
    if (!descr && !shape && !fortran) return fail(c, "an unknown key");
    unsigned bit = descr ? 1 : fortran ? 2 : 4;
    if (*seen & bit) return fail(c, "a key stands twice");
    *seen |= bit;
    if (descr && next_is(c, '[')) return fail(c, "structured arrays are not read");
    if (descr) return take_string(c, header->descr, sizeof header->descr);
    return fortran ? take_bool(c, &header->fortran_order) : take_shape(c, header);
}

static bool take_header(struct cursor *c, struct npy_header *header)
{
    unsigned seen = 0;
    if (!next_is(c, '{')) return fail(c, "expected '{'");
    while (!next_is(c, '}')) {
        if (!take_entry(c, header, &seen)) return false;
        if (next_is(c, ',')) continue;
        if (!next_is(c, '}')) return fail(c, "expected ',' or '}'");
        break;
    }
    if (seen != 7) return fail(c, "expected the keys descr, fortran_order and shape");
    (void)next_is(c, '\n'); /* padding */
    return c->at == c->len || fail(c, "something stands behind the dictionary");
}

bool npy_header_parse(const char *text, size_t len, struct npy_header *header, const char **why,
                      size_t *at)
{
    struct cursor c = {text, 0, len, ""};
    memset(header, 0, sizeof *header);
    bool good = take_header(&c, header);
    *why = c.why;
    *at = c.at;
    return good;
}
