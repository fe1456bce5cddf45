/* flips_file.h: a small index with every structure of the format in it, and which of its bytes
 * belong to one.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_FLIPS_FILE_H
#define TESTS_UNIT_FLIPS_FILE_H

#include <stdint.h>

#include "base/buf.h"

enum { FLIPS_DIM = 4 };

/* Two parts, an inverted file with a calibration and a graph with codes; tombstones, times,
 * metadata, history, kept states, names in the manifest and in the log; a log of two extents with
 * commits before and behind the manifest, whose rows and events stand in the records and, of one
 * commit, outside. In the directory of store_setup, under `name`. */
void flips_make(const char *name, struct buf *bytes);

/* A byte for each of the file's: 0 where it belongs to no structure, by what format-spec/ says of
 * where they lie. The segment types seen are added to *types, a bit each. */
uint8_t *flips_owned(const struct buf *bytes, uint32_t *types);

#endif
