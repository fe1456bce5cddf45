/* loghead.h: an index whose log is an input.
 *
 * The input begins with what an empty index of that log would say of itself: 16 bytes of its file
 * id, and a byte each of its dimensions, metric and element type (0 and what there is none of
 * become some that there are), and of the length of the log's first extent in units of 256 bytes
 * (0: as in a new index). What follows are the bytes of the log, where that of a new index
 * begins.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_LOGHEAD_H
#define FUZZ_AID_LOGHEAD_H

#include <stddef.h>
#include <stdint.h>

#define LOG_HEAD    20u
#define LOG_END     65536u /* of its first extent; what goes beyond it is room for others */
#define LOG_FROM    16384u
#define LOG_FILE_ID 16u

/* Where the first extent ends; `data` has at least a head. */
size_t loghead_end(const uint8_t *data);

/* The index, for free(); NULL where the input is too short for a head, or memory for the index. */
uint8_t *loghead_index(const uint8_t *data, size_t size, size_t *len);

#endif
