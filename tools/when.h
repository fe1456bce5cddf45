/* when.h: points in an index's life, as users write them, and times, as the tools print them.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_WHEN_H
#define TOOLS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

enum when_kind {
    WHEN_COMMIT, /* digits alone, a number below 2^64 */
    WHEN_TIME,   /* a date-time of RFC 3339 */
    WHEN_NAME    /* anything else: a snapshot's name, if there is one of it */
};

struct when {
    enum when_kind kind;
    uint64_t commit;
    int64_t time_us; /* microseconds since 1970, rounded down */
    bool later;      /* the time lies between that microsecond and the next */
};

/* RFC 3339 in full: date, time with any digits of a fraction, and Z or an offset; T and Z may be
 * small, and T a space. The 60th second is taken where there can be one, at 23:59 UTC, as the
 * instant after it. A year is 0 to 9999, and what no calendar has is no time. */
struct when when_parse(const char *text);

/* The time in RFC 3339, in UTC, to the microsecond. One whose year has not four digits (a hostile
 * file may name any) comes out as the plain number of seconds. Returns `text`. */
#define WHEN_TEXT_SIZE 48
const char *when_text(int64_t time_us, char text[WHEN_TEXT_SIZE]);

#endif
