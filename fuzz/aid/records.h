/* records.h: what the fuzz targets of the input formats share.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_RECORDS_H
#define FUZZ_AID_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "input/input.h"

/* Reads an input to its end as one of these formats. Its first byte chooses: by the low four bits
 * one of `count` formats, or beyond them that it is found out; by bit 4 that ids may be missing, by
 * bit 5 that records may have any dimension. */
void fuzz_records(const uint8_t *data, size_t size, const enum input_format *formats, size_t count);

#endif
