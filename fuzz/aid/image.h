/* image.h: index files as inputs: without their holes.
 *
 * An index is mostly zeros, kept between structures that begin at round offsets. An input leaves
 * runs of them out: it is pieces, each a count of zeros and a count of bytes, le32, and then these
 * bytes. Whatever the input, it means some file: a count that goes beyond the input or beyond
 * IMAGE_MAX is cut there.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUZZ_AID_IMAGE_H
#define FUZZ_AID_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define IMAGE_MAX ((size_t)1 << 18)

/* The file that an input means, for free(); NULL where memory is short. */
uint8_t *image_unpack(const uint8_t *data, size_t size, size_t *len);

/* The input that means these bytes, into `to`; returns its length, or 0 where that is over `max`.
 * `len` is at most IMAGE_MAX. */
size_t image_pack(const uint8_t *file, size_t len, uint8_t *to, size_t max);

#endif
