/* query.h: what makes a record fit to be a query of an index; vdb-search and vdb-bench hold every
 * one against it, so that the sentence names the file and the place before anything is searched.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_QUERY_H
#define TOOLS_QUERY_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "input/input.h"
#include "vdb.h"

static inline const char *query_source(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

/* Where the record stands, as messages begin: "q.jsonl:3" or "q.npy: row 3 (byte 1312)". */
static inline void query_place(const char *path, bool text, const struct record *record,
                               char *place, size_t place_size)
{
    if (text)
        snprintf(place, place_size, "%s:%" PRIu64, query_source(path), record->place);
    else
        snprintf(place, place_size, "%s: row %" PRIu64 " (byte %" PRIu64 ")", query_source(path),
                 record->place, record->offset);
}

/* Fills `message` and returns false where the index cannot be asked for this record. */
static inline bool query_fits(const struct record *record, const char *path, bool text,
                              const struct vdb_info *info, const char *index, char *message,
                              size_t message_size)
{
    char place[300];
    query_place(path, text, record, place, sizeof place);
    if (record->dim != info->dim) {
        snprintf(message, message_size,
                 "%s: vector has %" PRIu32 " dimensions, index %s has %" PRIu32, place, record->dim,
                 index, info->dim);
        return false;
    }
    if (info->metric != VDB_METRIC_COSINE) return true;
    for (uint32_t i = 0; i < record->dim; i++)
        if (record->vector[i] != 0.0f) return true;
    snprintf(message, message_size, "%s: the zero vector has no direction, and index %s is cosine",
             place, index);
    return false;
}

#endif
