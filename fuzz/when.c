/* when.c: the fuzz target for WHEN, a commit's number, a time or a name: what is taken for a time
 * is one of four digits of a year, printed as a text that is the same time again.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "when.h"

#include <stdlib.h>
#include <string.h>

#include "aid/fuzz.h"

/* 0000-01-01T00:00:00+23:59 and 9999-12-31T23:59:60.999999-23:59, in microseconds. */
#define FIRST_US (INT64_C(-62167219200000000) - INT64_C(86340000000))
#define LAST_US  (INT64_C(253402300800000000) + INT64_C(86340000000))

static void check_time(const struct when *when)
{
    char text[WHEN_TEXT_SIZE];
    if (when->time_us < FIRST_US || when->time_us > LAST_US) abort();
    if (when_text(when->time_us, text) != text || memchr(text, 0, sizeof text) == NULL) abort();
    struct when again = when_parse(text);
    /* An offset leads out of the years that have four digits: such a time prints as seconds. */
    if (again.kind == WHEN_TIME && (again.time_us != when->time_us || again.later)) abort();
    if (again.kind != WHEN_TIME && when->time_us >= INT64_C(-62167219200000000) &&
        when->time_us < INT64_C(253402300800000000))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), none[WHEN_TEXT_SIZE];
    if (text == NULL) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct when when = when_parse(text);
    if (when.kind == WHEN_TIME) check_time(&when);
    if (when.kind == WHEN_COMMIT && when.commit != strtoull(text, NULL, 10)) abort();
    if (when.kind == WHEN_COMMIT && text[strspn(text, "0123456789")] != '\0') abort();
    if (size >= sizeof when.time_us) { /* a hostile file may have any */
        memcpy(&when.time_us, data, sizeof when.time_us);
        if (memchr(when_text(when.time_us, none), 0, sizeof none) == NULL) abort();
    }
    free(text);
    return 0;
}
