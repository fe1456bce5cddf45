/* element.h: the element types of binary inputs, and their way to float.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_INPUT_ELEMENT_H
#define TOOLS_INPUT_ELEMENT_H

#include <stddef.h>
#include <stdint.h>

#include "vdb.h"

enum element { /* little-endian, but for those that end in BE */
               ELEMENT_U8,
               ELEMENT_I8,
               ELEMENT_F16,
               ELEMENT_F32,
               ELEMENT_F64,
               ELEMENT_I32,
               ELEMENT_I16_BE,
               ELEMENT_I32_BE,
               ELEMENT_F32_BE,
               ELEMENT_F64_BE
};

size_t element_size(enum element element);
enum vdb_type element_type(enum element element); /* the type to store it as */

/* Rounds to nearest where a float cannot hold the value; beyond its range it becomes infinite. */
void element_load(enum element element, const uint8_t *from, float *to, size_t n);

#endif
