/* vtype.h: the element types that vectors are stored in.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef VDB_VECTOR_VTYPE_H
#define VDB_VECTOR_VTYPE_H

#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

size_t vtype_size(enum vdb_type type);      /* bytes an element */
const char *vtype_name(enum vdb_type type); /* "f32" ... */

/* Bytes from row to row: elements of a row padded with zero bytes. To a multiple of 64 for i8 and
 * u8, and for f32 and f16 rows of 512 bytes and more; else to a multiple of 4. */
size_t vtype_stride(enum vdb_type type, uint32_t dim);

/* Stores n finite floats as `type`; the first that it cannot hold is returned as its index, else n.
 * i8 and u8 hold integers in their range; f16 rounds to nearest even, and cannot hold what would
 * become infinity so, 65520 and more in size: below that all becomes 65504 at most. */
size_t vtype_store(enum vdb_type type, const float *from, void *to, size_t n);
void vtype_load(enum vdb_type type, const void *from, float *to, size_t n);

/* IEEE 754 binary16, by arithmetic alone: the same on every CPU. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);

#endif
