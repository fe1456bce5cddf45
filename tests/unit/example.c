/* example.c: reads hexdumps and values from the pages of format-spec/.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void page_read(const char *page, struct buf *text)
{
    const char *root = getenv("VDB_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/format-spec/%s", root ? root : ".", page);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    char piece[4096];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        assert_int_equal(buf_append(text, piece, got), 0);
    assert_int_equal(ferror(file), 0);
    fclose(file);
    assert_int_equal(buf_append_zeros(text, 1), 0);
}

/* The text between the fence "```KIND NAME" and the closing one, as a NUL-terminated copy. */
static void block_read(const struct buf *page, const char *kind, const char *name, struct buf *to)
{
    char fence[128];
    snprintf(fence, sizeof fence, "\n```%s %s\n", kind, name);
    const char *begin = strstr((const char *)page->data, fence);
    if (!begin) fail_msg("no block `%s %s`", kind, name);
    begin += strlen(fence) - 1;
    const char *end = strstr(begin, "\n```");
    if (!end) fail_msg("block `%s %s` does not end", kind, name);
    assert_int_equal(buf_append(to, begin, (size_t)(end - begin)), 0);
    assert_int_equal(buf_append(to, "\n", 2), 0);
}

/* One line of a dump behind its offset: up to 16 bytes, before the `|`. */
static void dump_row(const char *line, struct buf *to)
{
    while (*line && *line != '|' && *line != '\n') {
        if (*line == ' ') {
            line++;
            continue;
        }
        unsigned byte;
        if (sscanf(line, "%2x", &byte) != 1) fail_msg("no byte: %.20s", line);
        uint8_t put = (uint8_t)byte;
        assert_int_equal(buf_append(to, &put, 1), 0);
        line += 2;
    }
}

/* Rows that a `*` stands for repeat the row before, up to the offset of the next line. */
static void dump_repeat(struct buf *to, size_t up_to)
{
    while (to->len < up_to) {
        uint8_t row[16];
        assert_true(to->len >= sizeof row);
        memcpy(row, to->data + to->len - sizeof row, sizeof row);
        assert_int_equal(buf_append(to, row, sizeof row), 0);
    }
}

static void dump_read(const struct buf *text, struct buf *to)
{
    bool starred = false;
    const char *line = (const char *)text->data + 1;
    while (*line) {
        const char *next = strchr(line, '\n') + 1;
        if (*line == '*') {
            starred = true;
        } else {
            char *rest;
            size_t off = strtoul(line, &rest, 16);
            if (starred) dump_repeat(to, off);
            starred = false;
            assert_int_equal(off, to->len);
            dump_row(rest, to);
        }
        line = next;
    }
}

void example_read(struct example *example, const char *page, const char *name)
{
    struct buf text = {0}, dump = {0};
    *example = (struct example){0};
    page_read(page, &text);
    block_read(&text, "hexdump", name, &dump);
    dump_read(&dump, &example->bytes);
    block_read(&text, "values", name, &example->values);
    buf_release(&dump);
    buf_release(&text);
}

void example_release(struct example *example)
{
    buf_release(&example->bytes);
    buf_release(&example->values);
}

unsigned example_count(const char *page)
{
    struct buf text = {0};
    page_read(page, &text);
    unsigned count = 0;
    const char *at = (const char *)text.data;
    while ((at = strstr(at, "\n```hexdump ")) != NULL) {
        count++;
        at++;
    }
    buf_release(&text);
    return count;
}

const char *example_text(const struct example *example, const char *field, char text[256])
{
    char key[128];
    int key_len = snprintf(key, sizeof key, "\n%s = ", field);
    const char *at = strstr((const char *)example->values.data, key);
    if (!at) fail_msg("the example does not say %s", field);
    at += key_len;
    size_t len = strcspn(at, "\n");
    assert_true(len < 256);
    memcpy(text, at, len);
    text[len] = 0;
    return text;
}

uint64_t example_number(const struct example *example, const char *field)
{
    char text[256];
    example_text(example, field, text);
    const char *last = strrchr(field, '.');
    last = last ? last + 1 : field;
    bool hexadecimal = strstr(last, "check") || strcmp(last, "tag") == 0;
    char *end;
    uint64_t number = text[0] == '-' ? (uint64_t)strtoll(text, &end, 10)
                                     : strtoull(text, &end, hexadecimal ? 16 : 10);
    if (*end) fail_msg("%s is no number: %s", field, text);
    return number;
}
