/* part_codes.h: the codes of a part that is being built.
 *
 * A code segment is first made whole in memory and used from there: a graph is built on 8-bit codes
 * whatever its walks will use, and which codes these are is decided when they have been tried on
 * it.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_DB_PART_CODES_H
#define VDB_DB_PART_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "db/part_build.h"
#include "format/code_header.h"
#include "index/codes.h"
#include "index/quality.h"

/* The stored vectors that are coded. */
struct part_source {
    const struct part_build *build;
    const struct manifest *manifest;
    const uint8_t *vectors; /* mapped */
    uint64_t vectors_off;   /* in the file */
    size_t stride;
};

/* A row as it is coded, a quantizer_row_fn over a struct part_source: under cosine divided by its
 * length. */
enum vdb_status part_source_row(void *source, uint32_t row, float *x);

struct quality_rows part_source_rows(struct part_source *source);

/* Whether the stored vectors serve as 8-bit codes. */
bool part_source_is_coded(const struct part_source *source);

struct part_codes {
    struct codes view;
    bool own; /* codes are written, not only norms of vectors that serve as codes */
    struct code_header header; /* planes in the segment count from its start */
    uint8_t *segment;          /* NULL: there is none, walks use the vectors */
    size_t len;
    float *center;
};

/* Codes all rows. `quantizer` is for CODES_8. `base`: codes of the first rows, which are copied
 * where they are of this kind and on this grid; about the centre of those of CODES_4 the others are
 * coded, too. NULL: none. End with part_codes_release, on errors too. */
enum vdb_status part_codes_make(struct part_source *source, enum codes_kind kind,
                                const struct quantizer *quantizer, const struct codes *base,
                                struct part_codes *codes, struct vdb_error *err);
void part_codes_release(struct part_codes *codes);

/* Writes the segment into the build's file. */
enum vdb_status part_codes_write(const struct part_source *source, const struct part_codes *codes,
                                 struct segment_entry *segment, struct vdb_error *err);

#endif
